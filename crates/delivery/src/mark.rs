//! How far a sink is, as the journal's thread sees it: what may be trimmed.

use feedd_core::probe::Probe;
use feedd_model::Position;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A sink's stored position. Written by its lane once a batch, read by the journal's thread a few times a second.
#[derive(Debug)]
pub struct SinkMark {
    name: Arc<str>,
    required: bool,
    position: Mutex<Position>,
    /// The journal is short of room that this sink holds by what it has taken and not stored.
    asked: AtomicBool,
    /// The durable event whose way to the store is measured.
    probe: Probe,
}

impl SinkMark {
    /// Nothing is known to be stored.
    #[must_use]
    pub fn new(name: Arc<str>, required: bool) -> Self {
        Self { name, required, position: Mutex::default(), asked: AtomicBool::new(false), probe: Probe::new() }
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

    /// Asks the sink to store what it has taken: a file that waits to be full must not fill the journal.
    pub fn ask_to_store(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The event of the current start whose way to the store is measured: sent by whoever makes it durable (without a journal
    /// by the lane itself), taken by the lane when it is stored.
    pub(crate) const fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The request was met.
    pub fn answer(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }
}
