//! Whether a connection has calls, and since when it has none.
//!
//! A connection that nobody uses still costs memory and a place among the bounded
//! number of connections; its client opens a new one when it needs it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, Instant};

/// The calls of one connection.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

/// A call in flight, until its response has ended.
#[derive(Debug)]
pub(super) struct Active(Activity);

#[derive(Debug)]
struct State {
    calls: usize,
    idle_since: Instant,
}

// === impl Activity ===

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { calls: 0, idle_since: Instant::now() })))
    }
}

impl Activity {
    pub(super) fn begin(&self) -> Active {
        self.change(|state| state.calls += 1);
        Active(self.clone())
    }

    /// Waits until there has been no call for `idle`.
    pub(super) async fn idle_for(&self, idle: Duration) {
        loop {
            let (calls, idle_since) = self.change(|state| (state.calls, state.idle_since));
            let until = if calls == 0 { idle_since } else { Instant::now() } + idle;
            if calls == 0 && until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

// === impl Active ===

impl Drop for Active {
    fn drop(&mut self) {
        self.0.change(|state| {
            state.calls -= 1;
            state.idle_since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    async fn is_idle(activity: &Activity) -> bool {
        tokio::time::timeout(Duration::from_millis(1), activity.idle_for(IDLE)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_after_its_last_call_has_ended() {
        let activity = Activity::default();
        let call = activity.begin();
        tokio::time::advance(IDLE * 3).await;
        assert!(!is_idle(&activity).await);

        drop(call);
        assert!(!is_idle(&activity).await);
        tokio::time::advance(IDLE).await;
        assert!(is_idle(&activity).await);
    }
}
