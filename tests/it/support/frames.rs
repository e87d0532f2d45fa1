//! HTTP/2 frames on a bare socket (RFC 9113): for what clients hide.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) const SETTINGS: u8 = 0x4;
pub(crate) const GOAWAY: u8 = 0x7;
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 0x4;
pub(crate) const MAX_HEADER_LIST_SIZE: u16 = 0x6;

const PING: u8 = 0x6;
const ACK: u8 = 0x1;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Longer than any of the server's own time-outs in these tests.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the gateway.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    answers_pings: bool,
}

/// A frame from the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) payload: Vec<u8>,
}

// === impl Connection ===

impl Connection {
    /// A TCP connection; nothing is sent.
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), answers_pings: false }
    }

    /// A connection whose client's half of the handshake is done. It answers PINGs as
    /// long as frames are read from it.
    pub(crate) async fn established(address: SocketAddr) -> Self {
        let mut connection = Self::open(address).await;
        connection.answers_pings = true;
        connection.send(PREFACE).await;
        connection.send(&[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]).await;
        connection
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.ok();
    }

    /// The next frame; none when the server has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("neither a frame nor an end")
    }

    /// The next frame of this kind, or none until the end of the connection.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            match self.next().await {
                Some(frame) if frame.kind != kind => {}
                found => return found,
            }
        }
    }

    /// Whether the server says nothing for so long.
    pub(crate) async fn is_silent_for(&mut self, time: Duration) -> bool {
        let mut byte = [0];
        tokio::time::timeout(time, self.stream.peek(&mut byte)).await.is_err()
    }

    /// Reads until the server has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.next().await.is_some() {}
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).await.ok()?;
        if head[3] == PING && head[4] & ACK == 0 && self.answers_pings {
            self.send(&[0, 0, 8, PING, ACK, 0, 0, 0, 0]).await;
            self.send(&payload).await;
        }
        Some(Frame { kind: head[3], payload })
    }
}

// === impl Frame ===

impl Frame {
    /// The value of a setting, if a SETTINGS frame has it.
    pub(crate) fn setting(&self, id: u16) -> Option<u32> {
        let mut settings = self.payload.chunks_exact(6);
        let found = settings.rfind(|setting| setting[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
    }

    /// The error code of a GOAWAY frame.
    pub(crate) fn error_code(&self) -> u32 {
        u32::from_be_bytes(self.payload[4..8].try_into().unwrap())
    }
}
