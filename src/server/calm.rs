//! A connection whose peer may not flood it with frames that cost it nothing: PING, which
//! has to be answered, and SETTINGS (B6, B7, G23).
//!
//! HTTP/2 is hyper's, which answers each of them. So the headers of the peer's frames are
//! read here, on their way to hyper, and a peer that sends too many is told
//! ENHANCE_YOUR_CALM and left, as gRFC A8 has it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How often a PING may come while nothing is answered, and how many may come earlier
/// (gRFC A8). The clients' libraries do not send them more often by themselves.
const PING_INTERVAL: Duration = Duration::from_secs(5 * 60);
const MAX_PING_STRIKES: u32 = 2;
/// Clients that measure the bandwidth send a SETTINGS for each new window: tens, over the
/// life of a connection.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(60);
const MAX_SETTINGS: u32 = 100;

const HEADER: usize = 9;
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const SETTINGS: u8 = 0x4;
const PING: u8 = 0x6;
const ACK: u8 = 0x1;
const GOAWAY: u8 = 0x7;
const ENHANCE_YOUR_CALM: u8 = 0xb;

/// Finds the frames in a stream of bytes.
#[derive(Debug, Default)]
struct Scanner {
    header: [u8; HEADER],
    /// How many bytes of the header are there.
    filled: usize,
    /// How many bytes of the payload are still to come.
    payload: usize,
}

/// What a peer has sent of late, and whether it was answered.
#[derive(Debug)]
struct Patience {
    last_ping: Option<Instant>,
    strikes: u32,
    settings: u32,
    settings_since: Instant,
}

/// A connection of which hyper sees what a calm peer sends. The preface has been read.
#[derive(Debug)]
pub(super) struct Calmed<IO> {
    io: IO,
    /// What hyper shall read before the rest.
    preface: io::Cursor<&'static [u8]>,
    received: Scanner,
    sent: Scanner,
    patience: Patience,
}

// === impl Scanner ===

impl Scanner {
    /// Calls `seen` with type and flags of each frame whose header ends in `bytes`.
    fn scan(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u8, u8)) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let rest = self.header.get_mut(self.filled..).unwrap_or_default();
            let taken = rest.len().min(bytes.len());
            let (now, later) = bytes.split_at(taken);
            rest.iter_mut().zip(now).for_each(|(to, from)| *to = *from);
            self.filled += taken;
            bytes = later;
            if self.filled == HEADER {
                let [high, middle, low, kind, flags, ..] = self.header;
                let length = u32::from_be_bytes([0, high, middle, low]);
                self.payload = usize::try_from(length).unwrap_or(usize::MAX);
                self.filled = 0;
                seen(kind, flags);
            }
        }
    }

    /// Whether what was scanned ends with a part of a frame.
    fn is_within_frame(&self) -> bool {
        self.filled > 0 || self.payload > 0
    }
}

// === impl Patience ===

impl Patience {
    fn new(now: Instant) -> Self {
        Self { last_ping: None, strikes: 0, settings: 0, settings_since: now }
    }

    /// What is too many, if a frame of this kind is one too many.
    fn exhausted(&mut self, kind: u8, flags: u8, now: Instant) -> Option<&'static [u8]> {
        match kind {
            PING if flags & ACK == 0 => self.ping(now),
            SETTINGS if flags & ACK == 0 => self.settings(now),
            _ => None,
        }
    }

    fn ping(&mut self, now: Instant) -> Option<&'static [u8]> {
        match self.last_ping.is_some_and(|last| now - last < PING_INTERVAL) {
            true => self.strikes += 1,
            false => self.last_ping = Some(now),
        }
        (self.strikes > MAX_PING_STRIKES).then_some(b"too_many_pings")
    }

    /// A frame of this kind goes to the peer. Each of an answer makes up for the PINGs before
    /// it, as with gRPC's own servers: a client measures the bandwidth with a PING for what it
    /// receives, and a long answer is many frames.
    fn sent(&mut self, kind: u8) {
        if matches!(kind, DATA | HEADERS) {
            (self.last_ping, self.strikes) = (None, 0);
        }
    }

    fn settings(&mut self, now: Instant) -> Option<&'static [u8]> {
        if now - self.settings_since >= SETTINGS_INTERVAL {
            (self.settings, self.settings_since) = (0, now);
        }
        self.settings += 1;
        (self.settings > MAX_SETTINGS).then_some(b"too_many_settings")
    }
}

// === impl Calmed ===

impl<IO: AsyncRead + AsyncWrite + Unpin> Calmed<IO> {
    /// Watches over `io`.
    pub(super) fn new(io: IO, preface: &'static [u8]) -> Self {
        let (received, sent) = (Scanner::default(), Scanner::default());
        let patience = Patience::new(Instant::now());
        Self { io, preface: io::Cursor::new(preface), received, sent, patience }
    }

    fn check(&mut self, bytes: &[u8]) -> Result<(), &'static [u8]> {
        let (now, mut verdict) = (Instant::now(), Ok(()));
        let Self { received, patience, .. } = self;
        received.scan(bytes, |kind, flags| {
            if let Some(what) = patience.exhausted(kind, flags, now) {
                verdict = Err(what);
            }
        });
        verdict
    }

    /// Tells the peer why, as far as the connection takes it now, and gives up on it.
    fn leave(&mut self, context: &mut Context<'_>, what: &'static [u8]) -> io::Error {
        if !self.sent.is_within_frame() {
            let _ = Pin::new(&mut self.io).poll_write(context, &goaway(what));
            let _ = Pin::new(&mut self.io).poll_flush(context);
        }
        io::Error::other(String::from_utf8_lossy(what))
    }

    /// Notes as much of `slices` as was written.
    fn note<'a>(
        &mut self,
        slices: impl IntoIterator<Item = &'a [u8]>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(Ok(mut rest)) = written else { return written };
        let Self { sent, patience, .. } = self;
        for slice in slices {
            let taken = slice.get(..rest).unwrap_or(slice);
            rest -= taken.len();
            sent.scan(taken, |kind, _| patience.sent(kind));
        }
        written
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Calmed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (this, before) = (&mut *self, buffer.filled().len());
        let _ = Pin::new(&mut this.preface).poll_read(context, buffer)?;
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        match this.check(bytes) {
            Ok(()) => read,
            Err(what) => Poll::Ready(Err(this.leave(context, what))),
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Calmed<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note([bytes], written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.note(slices.iter().map(|slice| &**slice), written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// A GOAWAY that tells the reason and `what` (RFC 9113 section 6.8). Which streams were
/// taken is not known here: it says that all may have been, so that none is sent again.
fn goaway(what: &[u8]) -> Vec<u8> {
    let length = u8::try_from(8 + what.len()).unwrap_or(u8::MAX);
    let header = [0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
    let body = [0x7f, 0xff, 0xff, 0xff, 0, 0, 0, ENHANCE_YOUR_CALM];
    [&header[..], &body, what].concat()
}

#[cfg(test)]
mod tests;
