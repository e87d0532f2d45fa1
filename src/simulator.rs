//! The partner simulators: strict doubles of the partners' REST APIs. Tests, people and
//! `serve --simulate` need something that answers as a partner does, refuses what a partner
//! refuses, and can be told to fail on purpose; a partner's own sandbox does none of this on demand.
//!
//! They are written from the partners' documents alone and share no code with the rest of the
//! crate: a double that signs with the code under test would agree with its mistakes.
//!
//! Life of a request: `server` accepts, `exchange` reads the raw request, writes it to the
//! `journal`, asks `fault` what should go wrong and the `partner` for its answer.
//! Everything is driven over `control`, mounted at `/_simulator`.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use tokio::net::TcpListener;

use self::fault::Faults;
use self::journal::Journal;
use self::partner::Partner;

mod clock;
mod control;
mod exchange;
mod fault;
mod form;
mod gzip;
mod journal;
mod json;
mod partner;
mod random;
mod server;
pub mod trolley;
pub mod trustap;
pub mod trustist;
mod webhook;

pub use self::clock::Clock;

/// What the simulators accept and assume. The default is the fixed, documented set of
/// credentials that `serve --simulate` uses.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The TrustistTransfer Partner API double.
    pub trustist: trustist::Settings,
    /// The Trolley Partner API double.
    pub trolley: trolley::Settings,
    /// The Trustap API double.
    pub trustap: trustap::Settings,
    /// The time that every expiry, signature window and rate limit is measured with.
    pub clock: Clock,
}

/// All partner simulators behind one listener. Clones share their state.
#[derive(Clone, Debug)]
pub struct Simulator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    partners: Vec<Box<dyn Partner>>,
    clock: Clock,
    journal: Journal,
    faults: Faults,
}

// === impl Simulator ===

impl Simulator {
    /// Builds simulators in their starting state.
    pub fn new(settings: Settings) -> Self {
        let clock = settings.clock;
        let partners: Vec<Box<dyn Partner>> = vec![
            Box::new(trustist::Trustist::new(settings.trustist, clock.clone())),
            Box::new(trolley::Trolley::new(settings.trolley, clock.clone())),
            Box::new(trustap::Trustap::new(settings.trustap, clock.clone())),
        ];
        let inner =
            Inner { partners, clock, journal: Journal::default(), faults: Faults::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The HTTP surface: one mount per partner (`/trustist`, `/trolley`, `/trustap`) and `/_simulator`.
    ///
    /// Without [`Simulator::serve`] there is no connection to close, so a fault that drops the
    /// connection shows as a reply whose body breaks off.
    pub fn router(&self) -> Router {
        control::routes().fallback(exchange::receive).with_state(self.clone())
    }

    /// Serves HTTP/1.1 and cleartext HTTP/2 until `shutdown` completes, then gives open
    /// connections a moment to finish.
    ///
    /// # Errors
    /// When the listener has no local address, that is, was never bound.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        server::serve(self.router(), listener, shutdown).await
    }

    fn partner(&self, name: &str) -> Option<&dyn Partner> {
        self.partners().find(|partner| partner.name() == name)
    }

    fn partners(&self) -> impl Iterator<Item = &dyn Partner> {
        self.inner.partners.iter().map(AsRef::as_ref)
    }

    fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    fn reset(&self) {
        self.clock().reset();
        self.faults().clear();
        self.journal().clear();
        self.partners().for_each(Partner::reset);
    }
}

/// Locks state whose every change is a single assignment or insertion, so that a panic elsewhere
/// cannot have left it half-changed.
fn locked<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
