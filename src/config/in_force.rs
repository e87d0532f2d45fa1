//! Since when the configuration is in force, and whether its file says something else by now
//! that cannot be used: an operator who looks must not take the one for the other.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

/// The standing of the configuration. Clones share it.
#[derive(Clone, Debug)]
pub struct InForce(Arc<Mutex<Standing>>);

/// What is known of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// When it was read.
    pub(crate) since: Timestamp,
    /// Whether the file has a fault since, or cannot be read.
    pub(crate) is_refused: bool,
}

impl InForce {
    /// That of a configuration that was read just now.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Standing { since: now, is_refused: false })))
    }

    /// What is known just now.
    pub(crate) fn get(&self) -> Standing {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that another one was taken.
    pub(crate) fn taken(&self, now: Timestamp) {
        self.set(Standing { since: now, is_refused: false });
    }

    /// Says whether the file is refused as it is.
    pub(crate) fn refused(&self, is_refused: bool) {
        self.set(Standing { is_refused, ..self.get() });
    }

    fn set(&self, standing: Standing) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}
