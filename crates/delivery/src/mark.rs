//! How far a sink is, as the journal's thread sees it: what may be trimmed.

use feedd_model::Position;
use std::sync::{Arc, Mutex, PoisonError};

/// A sink's stored position. Written by its lane once a batch, read by the journal's thread a few times a second.
#[derive(Debug)]
pub struct SinkMark {
    name: Arc<str>,
    required: bool,
    position: Mutex<Position>,
}

impl SinkMark {
    /// Nothing is known to be stored.
    #[must_use]
    pub fn new(name: Arc<str>, required: bool) -> Self {
        Self { name, required, position: Mutex::default() }
    }

    /// Name of the sink.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the journal waits for it at its byte limit.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Everything up to here is stored, or will never be.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the position; it never falls.
    pub fn raise(&self, position: Position) {
        let mut at = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        *at = position.max(*at);
    }
}
