//! Chance, passed in.
//!
//! Jitter keeps replicas from doing the same thing at the same moment. A test sets it, so
//! that what it sees is not left to chance. Nothing secret is made of it.

use std::fmt;
use std::sync::Arc;

/// Draws numbers.
#[derive(Clone)]
pub struct Random(Arc<dyn Fn() -> f64 + Send + Sync>);

impl Random {
    /// Numbers that nobody foresees.
    pub fn system() -> Self {
        Self(Arc::new(fastrand::f64))
    }

    /// What `draw` gives, held between 0 and 1.
    pub fn from_fn(draw: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    /// The next number, from 0 to 1.
    pub fn draw(&self) -> f64 {
        (self.0)().clamp(0.0, 1.0)
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
