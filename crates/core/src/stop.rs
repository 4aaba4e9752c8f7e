//! The request to stop, as every thread sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

// 0, the default, is "running".
const STOPPING: u8 = 1;
const ABORTED: u8 = 2;

/// A shared request to stop. Only ever moves forward: running, stopping, aborted.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Running.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sources stop; what is in flight is drained and stored.
    pub fn request(&self) {
        self.0.fetch_max(STOPPING, Ordering::Relaxed);
    }

    /// The deadline has passed: nobody waits any longer.
    pub fn abort(&self) {
        self.0.fetch_max(ABORTED, Ordering::Relaxed);
    }

    /// Whether sources shall stop.
    #[inline]
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= STOPPING
    }

    /// Whether waiting is over.
    #[inline]
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= ABORTED
    }
}
