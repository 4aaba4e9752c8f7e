//! What writer and readers share: how far the journal is durable, and which segments there are.
//!
//! Cold: one lock for each commit and for each piece a reader takes.

use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// One segment as readers see it.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Place in the order of reading, dense; survives no restart.
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    /// Length of the file.
    pub(crate) bytes: u64,
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    pub(crate) started_at: UnixNanos,
    /// Last event known before this segment.
    pub(crate) before: Position,
    /// Last event of this segment, lost ones included where they are known.
    pub(crate) last: Seq,
    /// Events in it, and in all segments before it.
    pub(crate) events: u64,
    pub(crate) events_before: u64,
    /// Frames up to here are durable.
    pub(crate) end: u64,
    /// Nothing will be added.
    pub(crate) closed: bool,
    /// The epoch ended here, in order.
    pub(crate) stopped_at: Option<UnixNanos>,
}

impl Mark {
    /// Events belong here, present or known to be lost.
    pub(crate) fn has_events(&self) -> bool {
        let base = if self.before.epoch == self.epoch { self.before.seq } else { Seq(0) };
        self.last > base
    }

    /// Position of its last event.
    pub(crate) const fn last_position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.last }
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) durable: Position,
    pub(crate) closed: bool,
    pub(crate) marks: VecDeque<Mark>,
    generation: u64,
}

impl State {
    /// Durable events of this and earlier starts, trimmed ones of this run included.
    pub(crate) fn events_total(&self) -> u64 {
        self.marks.back().map_or(0, |mark| mark.events_before + mark.events)
    }

    /// The segment with this id, if it has not been given back.
    pub(crate) fn mark(&self, id: u64) -> Option<&Mark> {
        let first = self.marks.front()?.id;
        self.marks.get(usize::try_from(id.checked_sub(first)?).ok()?)
    }
}

/// The end of a journal: how far it is durable. Shared by the writer and any number of readers.
#[derive(Debug, Default)]
pub struct Tail {
    state: Mutex<State>,
    changed: Condvar,
}

impl Tail {
    /// Last durable event of the current epoch; sequence 0 when there is none yet.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.state().durable
    }

    /// Rises with each commit, and when the writer is gone.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Whether no further frames will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits until the generation differs from `seen`, at most `timeout`, and returns it. Look at the state again
    /// afterwards, whatever it returns.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let waited = self.changed.wait_timeout_while(self.state(), timeout, |state| state.generation == seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.generation
    }

    /// Ends every running [`Tail::wait`].
    pub fn wake_all(&self) {
        self.publish(|_| ());
    }

    /// Changes the state and wakes the readers.
    pub(crate) fn publish<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = change(&mut state);
        state.generation += 1;
        drop(state);
        self.changed.notify_all();
        result
    }

    /// The state; a panic elsewhere cannot leave it half changed.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
