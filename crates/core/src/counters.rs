//! Counters: one writer each, stored once per burst; readers take snapshots.
//!
//! Hot path: [`Counter::add`] is a load and a store by the owning thread, no locked instruction.

use crate::heard::{GapLedger, HeardTable};
use crate::histogram::Histogram;
use crate::peak::Peak;
use crate::probe::Probe;
use crossbeam_utils::CachePadded;
use feedd_model::MonoNanos;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// A number with one writing thread and any number of readers. Rises for the life of the process unless it is a gauge.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. One thread only: two writers would lose counts.
    #[inline]
    pub fn add(&self, n: u64) {
        self.set(self.0.load(Ordering::Relaxed).wrapping_add(n));
    }

    /// Sets the value (for gauges and positions). One thread only.
    #[inline]
    pub fn set(&self, value: u64) {
        // Release pairs with the Acquire in `get`: whoever sees an event counted at the end of its way and then looks at
        // an earlier step sees it counted there, too. The accounting is checked against that.
        self.0.store(value, Ordering::Release);
    }

    /// Raises the value to `value` if that is higher. One thread only, apart from [`Counter::reset`].
    #[inline]
    pub fn raise(&self, value: u64) {
        if value > self.get() {
            self.set(value);
        }
    }

    /// The value now.
    #[inline]
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Reads a high-water mark and starts a new window. The writer may put the former mark back once; it is never lost.
    pub fn reset(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Most reasons one set of [`Reasons`] tells apart.
pub const REASONS_MAX: usize = 24;

/// Counters by reason: a closed set of names.
#[derive(Debug)]
pub struct Reasons {
    names: &'static [&'static str],
    counts: [Counter; REASONS_MAX],
}

impl Reasons {
    /// One counter for each name.
    ///
    /// # Panics
    /// When there are more than [`REASONS_MAX`] names.
    #[must_use]
    pub fn new(names: &'static [&'static str]) -> Self {
        assert!(names.len() <= REASONS_MAX, "the set of reasons is closed and small");
        Self { names, counts: Default::default() }
    }

    /// Counts `n` for the reason at `index`; an index outside the set counts for the last.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        self.counts[index.min(self.names.len().saturating_sub(1))].add(n);
    }

    /// The count of the reason at `index`; 0 outside the set.
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        self.counts.get(index).map_or(0, Counter::get)
    }

    /// All reasons together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().map(Counter::get).sum()
    }

    /// Every name with its count, also 0.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.names.iter().zip(&self.counts).map(|(&name, count)| (name, count.get()))
    }
}

/// Why events are dropped, in the order of their numbers.
pub const DROP_REASONS: [&str; 3] = ["ring_full", "larger_than_ring", "stop_deadline"];
/// [`DROP_REASONS`]: policy `drop` and no room.
pub const DROP_RING_FULL: usize = 0;
/// [`DROP_REASONS`]: policy `drop` and a message that never fits.
pub const DROP_TOO_LARGE: usize = 1;
/// [`DROP_REASONS`]: no room until the stop deadline had passed.
pub const DROP_STOP: usize = 2;

/// What one source counts. Written by its producer thread, apart from the last group.
#[derive(Debug)]
pub struct SourceCounters {
    /// Bytes of frames received.
    pub bytes: Counter,
    /// Frames received.
    pub frames: Counter,
    /// Frames that gave events.
    pub frames_decoded: Counter,
    /// Control messages: acknowledgements, pings, notices.
    pub frames_control: Counter,
    /// Frames of a type we do not decode.
    pub frames_unknown: Counter,
    /// Frames rejected, by reason.
    pub frames_rejected: Reasons,
    /// Events decoded.
    pub events_decoded: Counter,
    /// Events dropped as known already.
    pub events_duplicate: Counter,
    /// Events rejected by validation, by reason.
    pub events_rejected: Reasons,
    /// Events lost by policy, by reason ([`DROP_REASONS`]).
    pub events_dropped: Reasons,
    /// Events put into the ring.
    pub events_published: Counter,
    /// Events the recorder itself added (gap, status): published without having been decoded.
    pub events_own: Counter,
    /// Gap events among those: holes that are marked in the data.
    pub gaps: Counter,
    /// Nanoseconds waited for room in the ring.
    pub blocked_ns: Counter,
    /// Times the producer had to wait.
    pub blocked_times: Counter,
    /// Monotonic time the running wait began; 0 when the producer does not wait.
    pub blocked_since: Counter,
    /// Instrument of the event that waits.
    pub blocked_instrument: Counter,
    /// Price of the event that waits: mantissa.
    pub blocked_price: AtomicI64,
    /// Price of the event that waits: decimals; above 30 when it has no price.
    pub blocked_scale: Counter,
    /// Steps of the wall clock: seen where receive times are stamped, and marked in the data.
    pub clock_steps: Counter,
    /// The last of them, ns; negative: back.
    pub clock_step_ns: AtomicI64,
    /// Raw texts that could not be kept because the writer of dead letters was behind.
    pub dead_letters_missed: Counter,
    /// 1 when the source has no more to deliver.
    pub ended: Counter,
    /// Monotonic time of the last sign of life of its thread, at least one a second while it is well, also while it waits; 0
    /// before the first, and for rings that no thread of their own fills.
    pub beat_at: Counter,
    /// What is heard of each instrument.
    pub heard: HeardTable,
    /// The last holes that were marked.
    pub gap_ledger: GapLedger,
    /// Nanoseconds from the receive stamp of a burst to the ring, of some bursts a second.
    pub to_ring_ns: Histogram,
    /// The event on its way through the ring that is measured.
    pub probe: CachePadded<Probe>,
    /// Of a live session.
    pub session: SessionCounters,
    /// Written by the batching thread: events taken from the ring, which is when they are accepted. On lines of their own,
    /// these two: a line that two threads write goes to and fro at each burst.
    pub events_accepted: CachePadded<Counter>,
    /// Written by the batching thread: highest fill since each reader's last look, and ever.
    pub ring_peak: Peak,
    /// Written by the batching thread: nanoseconds that the measured events were in the ring.
    pub in_ring_ns: Histogram,
}

impl SourceCounters {
    /// All zero, with the closed sets of reasons of the decoder and the validation.
    #[must_use]
    pub fn new(frame_reasons: &'static [&'static str], event_reasons: &'static [&'static str]) -> Self {
        Self {
            bytes: Counter::default(),
            frames: Counter::default(),
            frames_decoded: Counter::default(),
            frames_control: Counter::default(),
            frames_unknown: Counter::default(),
            frames_rejected: Reasons::new(frame_reasons),
            events_decoded: Counter::default(),
            events_duplicate: Counter::default(),
            events_rejected: Reasons::new(event_reasons),
            events_dropped: Reasons::new(&DROP_REASONS),
            events_published: Counter::default(),
            events_own: Counter::default(),
            gaps: Counter::default(),
            blocked_ns: Counter::default(),
            blocked_times: Counter::default(),
            blocked_since: Counter::default(),
            blocked_instrument: Counter::default(),
            blocked_price: AtomicI64::new(0),
            blocked_scale: Counter::default(),
            clock_steps: Counter::default(),
            clock_step_ns: AtomicI64::new(0),
            dead_letters_missed: Counter::default(),
            ended: Counter::default(),
            beat_at: Counter::default(),
            heard: HeardTable::default(),
            gap_ledger: GapLedger::default(),
            to_ring_ns: Histogram::default(),
            probe: CachePadded::new(Probe::new()),
            session: SessionCounters::default(),
            events_accepted: CachePadded::default(),
            ring_peak: Peak::default(),
            in_ring_ns: Histogram::default(),
        }
    }
}

/// What the session of a live source counts; all zero for others. Written by its producer thread.
#[derive(Debug, Default)]
pub struct SessionCounters {
    /// Connections opened.
    pub connections_opened: Counter,
    /// Connections that ended, whoever ended them.
    pub connections_closed: Counter,
    /// Attempts to connect that failed.
    pub connections_failed: Counter,
    /// Connections opened in place of one that broke.
    pub reconnects: Counter,
    /// Books that were whole again after a hole.
    pub resynchronised: Counter,
    /// REST requests.
    pub pulls: Counter,
    /// REST requests that failed or were refused.
    pub pulls_failed: Counter,
    /// Trades that were missing and came by REST.
    pub trades_backfilled: Counter,
    /// Lines that found no room on the way to the tape.
    pub tape_lines_dropped: Counter,
    /// Streams recorded, now.
    pub streams: Counter,
    /// Of these: silent for so long that they must be broken, now.
    pub streams_mute: Counter,
    /// Connections that are subscribed and heard, now.
    pub connections_live: Counter,
}

/// What the batching thread counts.
#[derive(Debug, Default)]
pub struct BatchingCounters {
    /// Events accepted: the last sequence number given.
    pub accepted: Counter,
    /// Events of sources that were not recorded, because they are stored already (a replay).
    pub replayed: Counter,
    /// Blocks handed on.
    pub blocks: Counter,
    /// Nanoseconds waited because every block was still held by a lane, or a lane was full.
    pub blocked_ns: Counter,
    /// Monotonic time the running wait began; 0 when it does not wait.
    pub blocked_since: Counter,
    /// Monotonic time of the last sign of life, at least one a second while it is well, also while it waits.
    pub beat_at: Counter,
}

impl BatchingCounters {
    /// A sign of life, by a reading of the clock that is there.
    #[inline]
    pub fn beat(&self, now: MonoNanos) {
        self.beat_at.set(now.0.max(1));
    }
}

/// What the analysis lane counts: one struct for each of its stages, each with one writing thread.
#[derive(Debug)]
pub struct AnalysisCounters {
    /// Of the thread that makes bars.
    pub processor: CachePadded<ProcessorCounters>,
    /// Of the thread that runs the strategies.
    pub engine: CachePadded<EngineCounters>,
}

impl AnalysisCounters {
    /// All zero, with one set for each strategy of these names, in their order.
    #[must_use]
    pub fn new(strategies: &[String]) -> Self {
        let strategies = strategies.iter().map(|name| CachePadded::new(StrategyCounters::new(name))).collect();
        let engine = CachePadded::new(EngineCounters { strategies, ..EngineCounters::default() });
        Self { processor: CachePadded::default(), engine }
    }
}

/// What the thread that makes bars counts.
#[derive(Debug, Default)]
pub struct ProcessorCounters {
    /// Blocks processed.
    pub items: Counter,
    /// Events in them.
    pub events: Counter,
    /// Nanoseconds that each block took.
    pub item_ns: Histogram,
    /// Bars that came out, revisions included.
    pub bars: Counter,
    /// Of these: revisions.
    pub revised: Counter,
    /// Trades that came too late for a revision.
    pub late: Counter,
    /// Events that the lane was not given.
    pub skipped: Counter,
    /// Receive time of the last event processed, ns since 1970; 0 before the first.
    pub last_recv_ns: Counter,
    /// Monotonic time of the last sign of life, also while it waits; 0 before the first.
    pub beat_at: Counter,
}

/// What the thread that runs the strategies counts.
#[derive(Debug, Default)]
pub struct EngineCounters {
    /// Cycles processed: finished bars of a symbol and interval.
    pub cycles: Counter,
    /// Nanoseconds that each cycle took.
    pub cycle_ns: Histogram,
    /// Cycles that the engine was not given.
    pub skipped: Counter,
    /// Each strategy, in the order of the configuration.
    pub strategies: Box<[CachePadded<StrategyCounters>]>,
}

/// What one strategy did, over all its symbols.
#[derive(Debug)]
pub struct StrategyCounters {
    /// Its name with parameters, such as `sma(10,30)`.
    pub name: Box<str>,
    /// Calls that have come back.
    pub calls: Counter,
    /// Nanoseconds that each of them took.
    pub call_ns: Histogram,
    /// Calls that panicked; (strategy, symbol) is stopped then.
    pub panics: Counter,
    /// Calls that took longer than allowed.
    pub overlong: Counter,
    /// Symbols for which it is suspended or stopped, now.
    pub suspended: Counter,
    /// Signals it gave.
    pub signals: Counter,
    /// Monotonic time the running call began; 0 when none runs. So a call that never comes back is seen.
    pub running_since: Counter,
    /// Instrument of the running call.
    pub running_instrument: Counter,
}

impl StrategyCounters {
    /// All zero.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            calls: Counter::default(),
            call_ns: Histogram::default(),
            panics: Counter::default(),
            overlong: Counter::default(),
            suspended: Counter::default(),
            signals: Counter::default(),
            running_since: Counter::default(),
            running_instrument: Counter::default(),
        }
    }
}

/// What the journal's thread counts.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Highest sequence number taken from the batching thread.
    pub received_seq: Counter,
    /// Everything up to here survives a power cut.
    pub durable_seq: Counter,
    /// Bytes of segments on the disk now.
    pub bytes: Counter,
    /// Most bytes they may take.
    pub bytes_max: Counter,
    /// Group commits.
    pub commits: Counter,
    /// Nanoseconds spent in commits, all together.
    pub commit_ns: Counter,
    /// Longest commit since the last [`Counter::reset`], ns.
    pub commit_ns_peak: Counter,
    /// Nanoseconds that the disk took to sync, for each commit that was synced.
    pub sync_ns: Histogram,
    /// Nanoseconds from the opening of a block by the batching thread until it was durable.
    pub durable_ns: Histogram,
    /// Bytes written.
    pub bytes_written: Counter,
    /// Writes or syncs that failed; what they held was written again elsewhere.
    pub failed_syncs: Counter,
    /// Nanoseconds waited for room: a full disk, or the byte limit while a required sink is behind.
    pub blocked_ns: Counter,
    /// Monotonic time the running wait began; 0 when it does not wait.
    pub blocked_since: Counter,
    /// Events of earlier starts found in the journal at this start.
    pub found: Counter,
    /// Places of the journal that were damaged at this start.
    pub damaged: Counter,
    /// Monotonic time of the last sign of life, also while it waits for room; 0 before the first.
    pub beat_at: Counter,
}

/// How a sink stands: the value of [`StorageCounters::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkState {
    /// It has not been asked where it stands.
    Starting,
    /// It takes batches (breaker closed).
    Working,
    /// It failed and is tried again soon (breaker closed, quick attempts).
    Failing,
    /// It is left alone until the next attempt (breaker open).
    Open,
    /// One batch probes whether it works again (breaker half-open).
    HalfOpen,
    /// It cannot go on without a person.
    Stopped,
}

impl SinkState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::Working, Self::Failing, Self::Open, Self::HalfOpen, Self::Stopped];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Working => "closed",
            Self::Failing => "closed, retrying",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Stopped => "stopped",
        }
    }
}

/// What one storage lane counts. Positions and events are those of the current start; events of earlier starts, found in
/// the journal, are counted apart (`earlier_*`).
#[derive(Debug, Default)]
pub struct StorageCounters {
    /// Highest sequence number the lane has taken.
    pub received_seq: Counter,
    /// Everything up to here is stored, in quarantine or marked as missed.
    pub stored_seq: Counter,
    /// Events refused by the sink and kept aside.
    pub quarantined: Counter,
    /// Events this sink will not get: damaged in the journal, or given up at its byte limit.
    pub missed: Counter,
    /// Quarantined and missed events that lie above `stored_seq`, now.
    pub skipped_ahead: Counter,
    /// Events of earlier starts that this sink did not have at this start; an upper bound until it was asked.
    pub earlier_found: Counter,
    /// Of these: stored since.
    pub earlier_stored: Counter,
    /// Of these: refused and kept aside.
    pub earlier_quarantined: Counter,
    /// Of these: never to be had.
    pub earlier_missed: Counter,
    /// Of these: still in the journal alone.
    pub earlier_pending: Counter,
    /// Events written to the sink.
    pub events_written: Counter,
    /// Batches the sink took.
    pub batches: Counter,
    /// Batches that used up their quick retries at least once.
    pub batches_failed: Counter,
    /// Attempts after the first.
    pub retries: Counter,
    /// Attempts that failed.
    pub failures: Counter,
    /// Events in the open batch.
    pub buffered: Counter,
    /// Most events that an open batch has held.
    pub buffered_peak: Peak,
    /// Events a batch may hold now.
    pub buffer_limit: Counter,
    /// Monotonic time at which the lane read the oldest event not yet written to the sink; 0 when there is none.
    pub oldest_unwritten: Counter,
    /// Nanoseconds spent in the sink.
    pub sink_ns: Counter,
    /// Nanoseconds that the sink took for a batch that it took.
    pub insert_ns: Histogram,
    /// Nanoseconds from durable, or without a journal from the batching thread's block, until stored: of one event after the
    /// other.
    pub stored_ns: Histogram,
    /// Monotonic time the running call of the sink began; 0 when none runs. So a call that never comes back is seen.
    pub calling_since: Counter,
    /// [`SinkState`] by its place in [`SinkState::ALL`].
    pub state: Counter,
    /// Changes of the breaker's state.
    pub transitions: Counter,
    /// Monotonic time of the next attempt, while the sink fails.
    pub next_attempt: Counter,
    /// Monotonic time the sink began to fail; 0 while it works.
    pub failing_since: Counter,
    /// Monotonic time of the lane's last sign of life, also while it waits; none comes while the sink is at work. 0 before the
    /// first.
    pub beat_at: Counter,
    /// What the sink said when it failed last.
    error: Mutex<String>,
}

impl StorageCounters {
    /// How the sink stands.
    #[must_use]
    pub fn sink_state(&self) -> SinkState {
        let number = usize::try_from(self.state.get()).unwrap_or(0);
        SinkState::ALL.get(number).copied().unwrap_or(SinkState::Starting)
    }

    /// What the sink said when it failed last; empty when it never did.
    #[must_use]
    pub fn last_error(&self) -> String {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what the sink said. Rare, so a lock does no harm.
    pub fn set_error(&self, text: String) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    /// Says how the sink stands. One thread only.
    pub fn set_state(&self, state: SinkState) {
        self.state.set(state as u64);
    }
}
