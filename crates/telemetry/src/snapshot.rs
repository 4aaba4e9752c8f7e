//! One consistent enough look at a run: every text is made from it.

use crate::watched::{Watched, WatchedAnalysis};
use feedd_core::accounting::{Account, SinkTotals};
use feedd_core::counters::{Counter, SinkState, StorageCounters, StrategyCounters};
use feedd_core::link::LinkTotals;
use feedd_model::MonoNanos;
use std::sync::Arc;

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
    /// The running wait, ns; 0 while its producer does not wait.
    pub waiting_ns: u64,
}

/// A sink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkView {
    /// Its name.
    pub name: Arc<str>,
    /// Whether the recorder waits for it when the journal is full.
    pub required: bool,
    /// How it stands.
    pub state: SinkState,
    /// How long it has failed, ns; 0 while it works.
    pub failing_ns: u64,
    /// Until its next attempt, ns; 0 while it works.
    pub next_attempt_ns: u64,
    /// How long the oldest event that its lane has read waits to be taken, ns.
    pub lag_ns: u64,
    /// Events it has taken, also of earlier starts, and again after it gave some up.
    pub written: u64,
    /// How long its running call has not come back, ns; 0 while none runs.
    pub calling_ns: u64,
    /// What it said last, while it fails.
    pub error: String,
    /// Stored, quarantined, missed and pending events of this start and of earlier ones.
    pub totals: SinkTotals,
}

impl SinkView {
    /// Events its lane has not read yet: they are in the journal, or in the link when there is none. What the sink has
    /// taken and not stored (an open file) is no backlog.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        let totals = &self.totals;
        // Nothing of this start was read: the lane is still at an earlier one.
        let earlier = if totals.in_sink + totals.stored == 0 { totals.earlier.pending } else { 0 };
        totals.in_lane + earlier
    }
}

/// The journal at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalView {
    /// Everything up to here survives a power cut.
    pub durable_seq: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Most bytes they may take.
    pub bytes_max: u64,
    /// How long it has waited for room, ns; 0 while it has some.
    pub waiting_ns: u64,
    /// Highest sequence it was given.
    pub received_seq: u64,
    /// Group commits.
    pub commits: u64,
    /// Nanoseconds they took, all together.
    pub commit_ns: u64,
    /// Writes or syncs that failed.
    pub failed_syncs: u64,
    /// Damaged places found at this start.
    pub damaged: u64,
}

/// A live source at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedView {
    /// Its name.
    pub source: String,
    /// Connections that are subscribed and heard.
    pub connections: u64,
    /// Streams it records.
    pub streams: u64,
    /// Of these: silent for so long that they must be broken.
    pub mute: u64,
    /// Attempts to connect that failed, and connections that ended.
    pub failed: u64,
}

/// The analysis lane at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnalysisView {
    /// From the batching thread to the processor; its items are blocks.
    pub processor: LinkTotals,
    /// From the processor to the engine; its events are cycles.
    pub engine: LinkTotals,
    /// Bars that came out.
    pub bars: u64,
    /// Cycles that the engine has processed.
    pub cycles: u64,
    /// The running call of a strategy that has run longest, and for how long, ns.
    pub running: Option<(Box<str>, u64)>,
    /// How long the senders to processor and engine have waited without a break, ns; 0 while they do not.
    pub waiting_ns: [u64; 2],
    /// Every strategy.
    pub strategies: Vec<StrategyView>,
}

/// A strategy at one moment, over all its symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StrategyView {
    /// Its name with parameters.
    pub name: Box<str>,
    /// Calls that came back.
    pub calls: u64,
    /// Nanoseconds they took.
    pub busy_ns: u64,
    /// Calls that took longer than allowed.
    pub overlong: u64,
    /// Symbols for which it is suspended or stopped.
    pub suspended: u64,
    /// How long its running call has run, ns; 0 while none runs.
    pub running_ns: u64,
}

impl AnalysisView {
    fn take(analysis: &WatchedAnalysis, at: MonoNanos) -> Self {
        let (processor, engine) = (&analysis.counters.processor, &analysis.counters.engine);
        let running = engine.strategies.iter().filter_map(|strategy| {
            let since = strategy.running_since.get();
            (since > 0).then(|| (strategy.name.clone(), at.since(MonoNanos(since))))
        });
        Self {
            processor: analysis.processor_link.totals(),
            engine: analysis.engine_link.totals(),
            bars: processor.bars.get(),
            cycles: engine.cycles.get(),
            running: running.max_by_key(|running| running.1),
            waiting_ns: [&analysis.processor_link, &analysis.engine_link].map(|link| {
                let since = link.counters().waiting_since.get();
                if since == 0 { 0 } else { at.since(MonoNanos(since)) }
            }),
            strategies: engine.strategies.iter().map(|strategy| StrategyView::take(strategy, at)).collect(),
        }
    }
}

impl StrategyView {
    fn take(strategy: &StrategyCounters, at: MonoNanos) -> Self {
        let since = strategy.running_since.get();
        Self {
            name: strategy.name.clone(),
            calls: strategy.calls.get(),
            busy_ns: strategy.call_ns.snapshot().sum(),
            overlong: strategy.overlong.get(),
            suspended: strategy.suspended.get(),
            running_ns: if since == 0 { 0 } else { at.since(MonoNanos(since)) },
        }
    }
}

/// The state of a run at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// When.
    pub at: MonoNanos,
    /// Whether any source is simulated.
    pub simulated: bool,
    /// The account.
    pub account: Account,
    /// Every ring.
    pub rings: Vec<RingView>,
    /// Every live source.
    pub feeds: Vec<FeedView>,
    /// The journal, unless it is off.
    pub journal: Option<JournalView>,
    /// Every sink.
    pub sinks: Vec<SinkView>,
    /// The analysis lane, if there is one.
    pub analysis: Option<AnalysisView>,
    /// Batches the sinks took.
    pub batches: u64,
    /// Batches that used up their quick attempts.
    pub batches_failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// Events in the open batch.
    pub buffered: u64,
    /// Events a batch may hold.
    pub buffer_limit: u64,
    /// How long the oldest event that some lane has read waits to be taken, ns.
    pub lag_ns: u64,
    /// Holes marked in the data.
    pub gaps: u64,
    /// Steps of the wall clock, marked in the data: the most that one source has seen.
    pub clock_steps: u64,
    /// Nanoseconds the batching thread waited for storage.
    pub batching_blocked_ns: u64,
    /// The running wait, ns; 0 while it does not wait.
    pub batching_waiting_ns: u64,
}

impl Snapshot {
    /// Looks at everything now.
    #[must_use]
    pub fn take(watched: &Watched) -> Self {
        let account = watched.account();
        let at = watched.clock.mono();
        let since = |start: u64| if start == 0 { 0 } else { at.since(MonoNanos(start)) };
        let rings = watched.source_totals().map(|(source, totals)| RingView {
            source: source.name.clone(),
            capacity: source.ring_capacity,
            // Not the batching thread's last look: while it waits for storage, it looks at nothing and the ring fills.
            depth: totals.in_ring.min(source.ring_capacity),
            peak_ever: source.counters.ring_peak.ever().max(totals.in_ring).min(source.ring_capacity),
            blocked_ns: source.counters.blocked_ns.get() + since(source.counters.blocked_since.get()),
            waiting_ns: since(source.counters.blocked_since.get()),
        });
        let feeds =
            watched.sources.iter().map(|source| (source, &source.counters.session)).map(|(source, c)| FeedView {
                source: source.name.clone(),
                connections: c.connections_live.get(),
                streams: c.streams.get(),
                mute: c.streams_mute.get(),
                failed: c.connections_failed.get() + c.connections_closed.get(),
            });
        let journal = watched.journal.as_ref().map(|journal| &journal.counters).map(|counters| JournalView {
            durable_seq: account.durable.unwrap_or(0),
            bytes: counters.bytes.get(),
            bytes_max: counters.bytes_max.get(),
            waiting_ns: since(counters.blocked_since.get()),
            received_seq: counters.received_seq.get(),
            commits: counters.commits.get(),
            commit_ns: counters.commit_ns.get(),
            failed_syncs: counters.failed_syncs.get(),
            damaged: counters.damaged.get(),
        });
        let sinks: Vec<SinkView> = watched
            .sinks
            .iter()
            .zip(&account.sinks)
            .map(|(sink, totals)| {
                let c = &sink.counters;
                let failing_ns = since(c.failing_since.get());
                SinkView {
                    name: sink.name.clone(),
                    required: sink.required,
                    state: c.sink_state(),
                    failing_ns,
                    next_attempt_ns: if failing_ns == 0 { 0 } else { c.next_attempt.get().saturating_sub(at.0) },
                    lag_ns: since(c.oldest_unwritten.get()),
                    written: c.events_written.get(),
                    calling_ns: since(c.calling_since.get()),
                    error: if failing_ns > 0 { c.last_error() } else { String::new() },
                    totals: totals.clone(),
                }
            })
            .collect();
        let sum = |counter: fn(&StorageCounters) -> &Counter| {
            watched.sinks.iter().map(|sink| counter(&sink.counters).get()).sum::<u64>()
        };
        Self {
            at,
            simulated: watched.simulated,
            rings: rings.collect(),
            feeds: feeds.filter(|feed| feed.streams > 0).collect(),
            journal,
            batches: sum(|c| &c.batches),
            batches_failed: sum(|c| &c.batches_failed),
            retries: sum(|c| &c.retries),
            buffered: sum(|c| &c.buffered),
            buffer_limit: sum(|c| &c.buffer_limit),
            lag_ns: sinks.iter().map(|sink| sink.lag_ns).max().unwrap_or(0),
            // The batching thread adds each piece of a wait when it is over.
            batching_blocked_ns: watched.batching.blocked_ns.get(),
            batching_waiting_ns: since(watched.batching.blocked_since.get()),
            clock_steps: watched.sources.iter().map(|s| s.counters.clock_steps.get()).max().unwrap_or(0),
            gaps: watched.sources.iter().map(|s| s.counters.gaps.get()).sum(),
            sinks,
            analysis: watched.analysis.as_ref().map(|analysis| AnalysisView::take(analysis, at)),
            account,
        }
    }
}
