//! Listening sockets.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key}: cannot listen on {address}")]
pub(super) struct BindError {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Listens on the address that the setting `key` gives.
pub(super) async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError { key, address, source })
}
