//! A TCP proxy that lets a partner fail at a chosen byte, whatever is spoken through it.
//!
//! It counts bytes in both directions from the moment that it is armed. When the chosen
//! number has gone through, the gateway's side of the connection fails as ordered; the
//! partner behind it keeps what it was sent, and acts on it if that is a whole request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

/// For a peer to close its side, or to answer what it has been sent.
const PATIENCE: Duration = Duration::from_secs(5);

/// The direction whose bytes are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the gateway to the partner.
    Request,
    /// From the partner to the gateway.
    Answer,
}

/// How a connection fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It ends in order, and too early (FIN).
    Close,
    /// It is reset (RST).
    Reset,
    /// It stays, and nothing comes any more.
    Stall,
    /// Bytes without a meaning come, then it ends.
    Garbage,
}

/// One failure: after so many bytes in one direction, the first connection that is used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    pub(crate) way: Way,
    pub(crate) after: usize,
    pub(crate) fault: Fault,
}

/// What has happened since the proxy was armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Bytes of the watched connection that went to the partner, before it failed.
    pub(crate) request: usize,
    /// Bytes of it that went to the gateway.
    pub(crate) answer: usize,
    /// Whether the watched connection was there before.
    pub(crate) is_reused: bool,
    /// Whether the failure has happened.
    pub(crate) has_failed: bool,
    /// Bytes that went to the partner after that, on whatever connection.
    pub(crate) later: usize,
}

/// A running proxy.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: watch::Sender<usize>,
    closing: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    watched: Option<u64>,
    seen: Seen,
    connections: u64,
    /// Connections with a number up to this one were there when the proxy was armed.
    before: u64,
}

/// One connection of the gateway's, and its other half.
struct Passing {
    proxy: Proxy,
    id: u64,
    gateway: TcpStream,
    partner: TcpStream,
}

// === impl Proxy ===

impl Proxy {
    /// A proxy to the partner at this address.
    pub(crate) async fn start(partner: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, closing) = (watch::Sender::new(0), watch::Sender::new(0));
        let proxy = Self { address, state: Arc::default(), open, closing };
        let accepting = proxy.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (gateway, _) = listener.accept().await.unwrap();
                accepting.open.send_modify(|open| *open += 1);
                let proxy = accepting.clone();
                tokio::spawn(async move {
                    proxy.clone().pass(gateway, partner).await;
                    proxy.open.send_modify(|open| *open -= 1);
                });
            }
        });
        proxy
    }

    /// Counts anew, and lets the first connection that is used from now on fail so.
    pub(crate) fn arm(&self, cut: Option<Cut>) {
        self.change(|state| {
            let before = state.connections;
            *state = State { cut, before, connections: before, ..State::default() };
        });
    }

    pub(crate) fn seen(&self) -> Seen {
        self.change(|state| state.seen)
    }

    /// How many connections the gateway has made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.change(|state| state.connections)
    }

    /// Closes what is open, and waits until the gateway has noticed.
    pub(crate) async fn quiesce(&self) {
        self.closing.send_modify(|round| *round += 1);
        self.settled().await;
    }

    /// Waits until no connection is open any more.
    async fn settled(&self) {
        let mut open = self.open.subscribe();
        let closed = timeout(2 * PATIENCE, open.wait_for(|open| *open == 0)).await;
        closed.expect("a connection stays open").unwrap();
    }

    async fn pass(self, gateway: TcpStream, partner: SocketAddr) {
        gateway.set_nodelay(true).unwrap();
        let mut closing = self.closing.subscribe();
        let (id, fails) = self.change(|state| {
            state.connections += 1;
            let fails = state.watched.is_none()
                && state.cut.is_some_and(|cut| cut.way == Way::Request && cut.after == 0);
            if fails {
                state.watched = Some(state.connections);
                state.seen.has_failed = true;
            }
            (state.connections, fails.then_some(state.cut).flatten())
        });
        if let Some(cut) = fails {
            return fail(gateway, cut.fault, &mut closing).await;
        }
        let partner = TcpStream::connect(partner).await.unwrap();
        partner.set_nodelay(true).unwrap();
        Passing { proxy: self, id, gateway, partner }.run(closing).await;
    }

    /// How many of these bytes go through, and what happens after them.
    fn count(&self, id: u64, way: Way, bytes: usize) -> (usize, Option<Fault>) {
        self.change(|state| {
            if state.seen.has_failed && way == Way::Request {
                state.seen.later += bytes;
            }
            if *state.watched.get_or_insert(id) != id || state.seen.has_failed {
                return (bytes, None);
            }
            state.seen.is_reused = id <= state.before;
            let counted = match way {
                Way::Request => &mut state.seen.request,
                Way::Answer => &mut state.seen.answer,
            };
            match state.cut {
                Some(cut) if cut.way == way && *counted + bytes >= cut.after => {
                    let through = cut.after - *counted;
                    *counted = cut.after;
                    state.seen.has_failed = true;
                    (through, Some(cut.fault))
                }
                _ => {
                    *counted += bytes;
                    (bytes, None)
                }
            }
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

// === impl Passing ===

impl Passing {
    async fn run(mut self, mut closing: watch::Receiver<u64>) {
        let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
        let fault = loop {
            tokio::select! {
                read = self.gateway.read(&mut up) => {
                    let read = read.unwrap_or(0);
                    if read == 0 {
                        break None;
                    }
                    let (through, fault) = self.proxy.count(self.id, Way::Request, read);
                    // It may have closed by itself.
                    self.partner.write_all(&up[..through]).await.ok();
                    if fault.is_some() {
                        break fault;
                    }
                }
                read = self.partner.read(&mut down) => {
                    let read = read.unwrap_or(0);
                    if read == 0 {
                        break Some(Fault::Close);
                    }
                    let (through, fault) = self.proxy.count(self.id, Way::Answer, read);
                    self.gateway.write_all(&down[..through]).await.ok();
                    if fault.is_some() {
                        break fault;
                    }
                }
                _ = closing.changed() => break Some(Fault::Close),
            }
        };
        let gateway = async {
            if let Some(fault) = fault {
                fail(self.gateway, fault, &mut closing).await;
            }
        };
        tokio::join!(gateway, finish(&mut self.partner));
    }
}

/// Lets a connection of the gateway's fail, and waits until the gateway has closed it.
async fn fail(mut gateway: TcpStream, fault: Fault, closing: &mut watch::Receiver<u64>) {
    match fault {
        Fault::Close => {}
        Fault::Reset => {
            gateway.set_zero_linger().unwrap();
            return;
        }
        Fault::Stall => {
            tokio::select! {
                () = drain(&mut gateway) => return,
                _ = closing.changed() => {}
            }
        }
        Fault::Garbage => {
            let garbage: Vec<u8> =
                (0..512_u32).map(|i| (i * 151 + 0x85).to_le_bytes()[0]).collect();
            gateway.write_all(&garbage).await.ok();
        }
    }
    finish(&mut gateway).await;
}

/// Says that nothing more comes, and waits until the peer has closed its side.
async fn finish(stream: &mut TcpStream) {
    stream.shutdown().await.ok();
    timeout(PATIENCE, drain(stream)).await.ok();
}

async fn drain(stream: &mut TcpStream) {
    let mut sink = vec![0; 4096];
    while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
}
