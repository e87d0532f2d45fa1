//! The gRPC face of the partners: one handler for every rpc of the catalogue.
//!
//! Messages pass through as bytes. The handler finds the operation by its path, the
//! transcoder turns bytes into a call and the answer into bytes, and `status` turns
//! whatever failed into a status with details. A server-streaming twin is a list, asked
//! for page after page.

mod codec;
mod credentials;
mod exchange;
mod handler;
pub mod log;
mod own_call;
mod partners;
pub mod reason;
pub mod status;
mod stream;
#[cfg(test)]
mod testing;
mod user_token;
mod walk;

pub use credentials::KeptCredentials;
pub use exchange::{Gateway, PartnerSide, is_readable};
pub use handler::Operations;
pub use log::Report;
pub use own_call::OwnCall;
pub use partners::PartnerStates;

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::callers::Caller;

/// What the server knows of a call before its message is read: an extension of the
/// request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The gateway's own id of the call.
    pub id: Uuid,
    /// When the call came in.
    pub time: Instant,
    /// How long its caller waits.
    pub timeout: Duration,
    /// Who made it.
    pub caller: Caller,
    /// How many times its caller's own gRPC library has made it before
    /// (`grpc-previous-rpc-attempts`, gRFC A6).
    pub previous_attempts: u32,
    /// Where whoever answers it leaves what became of it.
    pub report: Report,
}

impl Arrival {
    /// When the caller stops waiting.
    pub fn deadline(&self) -> Instant {
        self.time + self.timeout
    }
}
