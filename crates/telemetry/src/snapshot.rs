//! One consistent enough look at a run: every text is made from it.

use crate::watched::Watched;
use feedd_core::accounting::Account;
use feedd_model::MonoNanos;

/// A ring at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingView {
    /// Its source.
    pub source: String,
    /// Slots.
    pub capacity: u64,
    /// Events in it.
    pub depth: u64,
    /// Highest fill since the start.
    pub peak_ever: u64,
    /// Nanoseconds its producer waited for room, the running wait included.
    pub blocked_ns: u64,
}

/// The state of a run at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When.
    pub at: MonoNanos,
    /// Whether any source is simulated.
    pub simulated: bool,
    /// Name of the sink.
    pub sink: &'static str,
    /// The account.
    pub account: Account,
    /// Every ring.
    pub rings: Vec<RingView>,
    /// Batches the sink took.
    pub batches: u64,
    /// Batches that used up their quick attempts.
    pub batches_failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Events in the open batch.
    pub buffered: u64,
    /// Events a batch may hold.
    pub buffer_limit: u64,
    /// Age of the oldest event that no sink has taken, ns.
    pub lag_ns: u64,
    /// Holes marked in the data.
    pub gaps: u64,
    /// Whether the sink fails now.
    pub sink_failing: bool,
}

impl Snapshot {
    /// Looks at everything now.
    #[must_use]
    pub fn take(watched: &Watched) -> Self {
        let storage = &watched.storage;
        let account = watched.account();
        let at = watched.clock.mono();
        let oldest = storage.oldest_unwritten.get();
        let since = |start: u64| if start == 0 { 0 } else { at.since(MonoNanos(start)) };
        let rings = watched.source_totals().map(|(source, totals)| RingView {
            source: source.name.clone(),
            capacity: source.ring_capacity,
            // Not the batching thread's last look: while it waits for storage, it looks at nothing and the ring fills.
            depth: totals.in_ring.min(source.ring_capacity),
            peak_ever: source.counters.ring_peak_ever.get().max(totals.in_ring).min(source.ring_capacity),
            blocked_ns: source.counters.blocked_ns.get() + since(source.counters.blocked_since.get()),
        });
        Self {
            at,
            simulated: watched.simulated,
            sink: watched.sink,
            account,
            rings: rings.collect(),
            batches: storage.batches.get(),
            batches_failed: storage.batches_failed.get(),
            retries: storage.retries.get(),
            buffered: storage.buffered.get(),
            buffer_limit: storage.buffer_limit.get(),
            lag_ns: since(oldest),
            gaps: watched.sources.iter().map(|s| s.counters.gaps.get()).sum(),
            sink_failing: storage.failing.get() != 0,
        }
    }
}
