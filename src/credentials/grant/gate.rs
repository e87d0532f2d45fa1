//! Leaves the token endpoint alone for all users when it asks for that, or refuses the
//! client: a wrong secret that is shown for every user in turn may lock the client.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::credentials::token::Refusal;

/// How long a client that is refused is not shown again, and the longest that a wait is
/// kept to that the endpoint asks for.
const PAUSE: Duration = Duration::from_secs(60);

/// Is closed for a while after some refusals.
#[derive(Default)]
pub(super) struct Gate(Mutex<Option<(Instant, Refusal)>>);

impl Gate {
    /// Why nothing is asked just now.
    pub(super) fn refusal(&self, now: Instant) -> Option<Refusal> {
        let closed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        closed.as_ref().filter(|(end, _)| now < *end).map(|(_, refusal)| refusal.clone())
    }

    /// Closes if the refusal says so.
    pub(super) fn note(&self, refusal: &Refusal, now: Instant) {
        let pause = match refusal.retry_after {
            _ if refusal.refuses_client => PAUSE,
            Some(wait) => wait.min(PAUSE),
            None => return,
        };
        let closed = Some((now + pause, refusal.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = closed;
    }

    /// Opens: the client has another secret.
    pub(super) fn open(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn o5_only_a_refused_client_and_a_wish_close_it() {
        let gate = Gate::default();
        let passes = Refusal::transient("busy");
        gate.note(&passes, Instant::now());
        assert!(gate.refusal(Instant::now()).is_none());
        let told = Some(Duration::from_secs(5));
        gate.note(&Refusal { retry_after: told, ..passes.clone() }, Instant::now());
        assert!(gate.refusal(Instant::now()).is_some());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(gate.refusal(Instant::now()).is_none());
        gate.note(&Refusal { refuses_client: true, ..passes }, Instant::now());
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert!(gate.refusal(Instant::now()).is_some());
        gate.open();
        assert!(gate.refusal(Instant::now()).is_none());
    }
}
