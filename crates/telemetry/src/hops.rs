//! The stages of the way of an event: signs of life, what went in and out; and how long events take from hop to hop.

use crate::snapshot::Snapshot;
use crate::watched::{Watched, WatchedAnalysis};
use feedd_core::Clock;
use feedd_core::counters::{Counter, SinkState};
use feedd_core::histogram::{Histogram, HistogramSnapshot};
use feedd_model::{MonoNanos, UnixNanos};

/// A hop of the way, as it is named everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// From the socket to the ring: decoding, checking, waiting for room.
    SocketToRing,
    /// From the ring to the batching thread's block.
    RingToBatch,
    /// From the opening of the block until the journal has synced it.
    BatchToDurable,
    /// From durable until the sink has stored it.
    DurableToStored,
    /// Without a journal: from the block until the sink has stored it.
    BatchToStored,
}

impl Hop {
    /// As shown and exported.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SocketToRing => "socket_to_ring",
            Self::RingToBatch => "ring_to_batch",
            Self::BatchToDurable => "batch_to_durable",
            Self::DurableToStored => "durable_to_stored",
            Self::BatchToStored => "batch_to_stored",
        }
    }
}

/// Calls `each` with every hop of the run, whose it is (a source, `journal`, a sink) and its times, in the order of the way.
pub(crate) fn each_hop(watched: &Watched, mut each: impl FnMut(Hop, &str, &Histogram)) {
    let sources = watched.sources.iter().filter(|source| source.has_thread);
    sources.for_each(|source| each(Hop::SocketToRing, &source.name, &source.counters.to_ring_ns));
    watched.sources.iter().for_each(|source| each(Hop::RingToBatch, &source.name, &source.counters.in_ring_ns));
    watched.journal.iter().for_each(|journal| each(Hop::BatchToDurable, "journal", &journal.counters.durable_ns));
    let last = if watched.journal.is_some() { Hop::DurableToStored } else { Hop::BatchToStored };
    watched.sinks.iter().for_each(|sink| each(last, &sink.name, &sink.counters.stored_ns));
}

/// Times of a hop, or of what else the status tells with it.
pub(crate) struct Times {
    /// A [`Hop`], `journal_sync` or `sink_insert`.
    pub(crate) hop: &'static str,
    /// Whose.
    pub(crate) name: String,
    /// Nanoseconds.
    pub(crate) times: HistogramSnapshot,
}

/// Every hop, and what disk and sinks take of it.
pub(crate) fn all_times(watched: &Watched) -> Vec<Times> {
    let mut all = Vec::new();
    let mut add = |hop, name: &str, times: &Histogram| {
        all.push(Times { hop, name: name.to_owned(), times: times.snapshot() });
    };
    each_hop(watched, |hop, name, times| add(hop.name(), name, times));
    watched.journal.iter().for_each(|journal| add("journal_sync", "journal", &journal.counters.sync_ns));
    watched.sinks.iter().for_each(|sink| add("sink_insert", &sink.name, &sink.counters.insert_ns));
    all
}

/// A stage of the way at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageView {
    /// `source`, `batching`, `journal`, `sink`, `processor`, `engine`.
    pub stage: &'static str,
    /// Of a source or a sink its name; otherwise the stage again.
    pub name: String,
    /// Whether its thread never waits for anything without a sign of life.
    pub pinned: bool,
    /// Whether it has ended.
    pub ended: bool,
    /// What went in: frames of a source, events, cycles of the engine.
    pub items_in: u64,
    /// What came out: events, bars of the processor, signals of the engine.
    pub items_out: u64,
    /// Its last sign of life; `None` when it gives none.
    pub beat_at: Option<MonoNanos>,
    /// When something came out of it last, as exactly as it is looked at; `None` before the first.
    pub moved_at: Option<MonoNanos>,
}

/// Remembers when something came out of each stage.
#[derive(Debug, Default)]
pub struct StageWatch {
    /// In the order of the views.
    seen: Vec<Seen>,
}

/// What a stage had done.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    items_in: u64,
    items_out: u64,
    /// When that came out.
    moved_at: Option<MonoNanos>,
}

impl StageWatch {
    /// Looks at every stage; to be called often.
    pub fn look(&mut self, watched: &Watched, snapshot: &Snapshot) -> Vec<StageView> {
        let mut views = stages(watched, snapshot);
        self.seen.resize(views.len(), Seen::default());
        for (view, seen) in views.iter_mut().zip(&mut self.seen) {
            if view.items_out > seen.items_out {
                seen.moved_at = Some(snapshot.at);
            }
            // A lane that reads again what its sink gave up does not take back what it has told.
            seen.items_in = seen.items_in.max(view.items_in);
            seen.items_out = seen.items_out.max(view.items_out);
            (view.items_in, view.items_out, view.moved_at) = (seen.items_in, seen.items_out, seen.moved_at);
        }
        views
    }
}

fn stages(watched: &Watched, snapshot: &Snapshot) -> Vec<StageView> {
    let account = &snapshot.account;
    let mut views = Vec::new();
    for source in watched.sources.iter().filter(|source| source.has_thread) {
        let c = &source.counters;
        let items = [c.frames.get(), c.events_published.get()];
        let ended = c.ended.get() != 0;
        views.push(StageView { pinned: true, ended, ..view("source", &source.name, &c.beat_at, items) });
    }
    let taken = account.each_source.iter().map(|source| source.accepted).sum::<u64>();
    let items = [taken, account.accepted];
    views.push(StageView { pinned: true, ..view("batching", "batching", &watched.batching.beat_at, items) });
    if let Some(journal) = &watched.journal {
        let c = &journal.counters;
        let items = [c.received_seq.get(), account.durable.unwrap_or(0)];
        views.push(view("journal", "journal", &c.beat_at, items));
    }
    for (sink, totals) in watched.sinks.iter().zip(&account.sinks) {
        let c = &sink.counters;
        let ended = c.sink_state() == SinkState::Stopped;
        views.push(StageView { ended, ..view("sink", &sink.name, &c.beat_at, [c.received_seq.get(), totals.stored]) });
    }
    watched.analysis.iter().for_each(|analysis| views.extend(analysis_stages(analysis)));
    views
}

/// A stage that is neither pinned nor over. `items`: in and out.
fn view(stage: &'static str, name: &str, beat_at: &Counter, items: [u64; 2]) -> StageView {
    StageView {
        stage,
        name: name.to_owned(),
        pinned: false,
        ended: false,
        items_in: items[0],
        items_out: items[1],
        beat_at: Some(MonoNanos(beat_at.get())).filter(|at| at.0 > 0),
        moved_at: None,
    }
}

fn analysis_stages(analysis: &WatchedAnalysis) -> [StageView; 2] {
    let (processor, engine) = (&analysis.counters.processor, &analysis.counters.engine);
    let signals = engine.strategies.iter().map(|strategy| strategy.signals.get()).sum();
    // A call of a strategy that never comes back is told of by itself.
    let never = Counter::default();
    [
        view("processor", "processor", &processor.beat_at, [processor.events.get(), processor.bars.get()]),
        view("engine", "engine", &never, [engine.cycles.get(), signals]),
    ]
}

/// A moment of the monotonic clock on the wall clock, as that stands now.
pub(crate) fn wall_of(at: MonoNanos, clock: &dyn Clock) -> UnixNanos {
    let ago = clock.mono().since(at);
    UnixNanos(clock.wall().0.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watched::{WatchedJournal, WatchedSink, WatchedSource};
    use feedd_core::counters::{BatchingCounters, JournalCounters, SourceCounters, StorageCounters};
    use feedd_core::{Instruments, ManualClock};
    use std::sync::Arc;
    use std::time::Duration;

    /// A source, a ring of derived records, a journal and a sink.
    fn watched(clock: &Arc<ManualClock>) -> Watched {
        let source = |name: &str, has_thread| WatchedSource {
            name: name.to_owned(),
            ring_capacity: 64,
            has_thread,
            counters: Arc::new(crossbeam_utils::CachePadded::new(SourceCounters::new(&["x"], &["y"]))),
        };
        let durable_now: Arc<dyn Fn() -> u64 + Send + Sync> = Arc::new(|| 0);
        Watched {
            sources: vec![source("binance", true), source("bars", false)],
            batching: Arc::new(crossbeam_utils::CachePadded::new(BatchingCounters::default())),
            journal: Some(WatchedJournal { counters: Arc::default(), durable_now }),
            links: Vec::new(),
            link_capacity: 16,
            sinks: vec![WatchedSink { name: "parquet".into(), required: true, counters: Arc::default() }],
            analysis: None,
            batch_age_max: Duration::from_secs(1),
            instruments: Instruments::in_memory(),
            simulated: false,
            clock: clock.clone(),
        }
    }

    fn journal(watched: &Watched) -> &JournalCounters {
        &watched.journal.as_ref().expect("there is one").counters
    }

    #[test]
    fn every_pinned_thread_that_runs_is_named_and_no_stage_of_the_analysis() {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let watched = watched(&clock);
        let named = |name: &str, at| (name.to_owned(), MonoNanos(at));
        // The second ring is one that a stage of the analysis fills: nobody beats for it.
        assert!(watched.sources.iter().any(|source| !source.has_thread));
        assert_eq!(watched.heartbeats(), [named("binance", 0), named("batching", 0)], "before the first sign of life");
        watched.sources[0].counters.beat_at.set(5);
        watched.batching.beat_at.set(7);
        assert_eq!(watched.heartbeats(), [named("binance", 5), named("batching", 7)]);
        watched.sources[0].counters.ended.set(1);
        assert_eq!(watched.heartbeats(), [], "the batching thread ends after the last source");
    }

    #[test]
    fn a_stage_tells_what_went_in_and_out_and_when_it_moved_last() {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let watched = watched(&clock);
        let (source, sink): (&SourceCounters, &StorageCounters) =
            (&watched.sources[0].counters, &watched.sinks[0].counters);
        source.beat_at.set(1);
        let mut watch = StageWatch::default();
        let mut look = || {
            let views = watch.look(&watched, &Snapshot::take(&watched));
            views.into_iter().map(|v| (v.stage, v.name, v.items_in, v.items_out, v.moved_at)).collect::<Vec<_>>()
        };
        let at = |nanos| Some(MonoNanos(nanos));
        let still = |stage, name: &str| (stage, name.to_owned(), 0, 0, None);
        let expected = [
            still("source", "binance"),
            still("batching", "batching"),
            still("journal", "journal"),
            still("sink", "parquet"),
        ];
        assert_eq!(look(), expected);

        clock.advance(100);
        source.frames.add(2);
        source.events_published.add(3);
        source.events_accepted.add(3);
        watched.batching.accepted.set(3);
        journal(&watched).received_seq.set(3);
        let moved = look();
        assert_eq!(moved[0], ("source", "binance".to_owned(), 2, 3, at(100)));
        assert_eq!(moved[1], ("batching", "batching".to_owned(), 3, 3, at(100)));
        assert_eq!(moved[2], ("journal", "journal".to_owned(), 3, 0, None), "nothing is durable yet");

        clock.advance(100);
        journal(&watched).durable_seq.set(3);
        sink.received_seq.set(3);
        let moved = look();
        assert_eq!(moved[1].4, at(100), "nothing came since");
        assert_eq!(moved[2], ("journal", "journal".to_owned(), 3, 3, at(200)));
        assert_eq!(moved[3], ("sink", "parquet".to_owned(), 3, 0, None));
    }

    #[test]
    fn every_hop_is_told_from_the_start_with_whose_it_is() {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let mut watched = watched(&clock);
        watched.sources[0].counters.beat_at.set(1);
        watched.sinks[0].counters.insert_ns.record(1_000);
        let told = |watched: &Watched| {
            let all = all_times(watched).into_iter();
            all.map(|times| (times.hop, times.name, times.times.count())).collect::<Vec<_>>()
        };
        let row = |hop, name: &str, count| (hop, name.to_owned(), count);
        let expected = [
            row("socket_to_ring", "binance", 0),
            row("ring_to_batch", "binance", 0),
            row("ring_to_batch", "bars", 0),
            row("batch_to_durable", "journal", 0),
            row("durable_to_stored", "parquet", 0),
            row("journal_sync", "journal", 0),
            row("sink_insert", "parquet", 1),
        ];
        assert_eq!(told(&watched), expected);
        watched.journal = None;
        assert_eq!(told(&watched)[3], row("batch_to_stored", "parquet", 0));
    }

    #[test]
    fn a_moment_of_the_monotonic_clock_is_told_by_the_wall_clock() {
        let clock = ManualClock::at(UnixNanos(1_000_000));
        clock.advance(500);
        assert_eq!(wall_of(MonoNanos(200), &clock), UnixNanos(1_000_200));
        clock.step_wall(-1_000);
        assert_eq!(wall_of(MonoNanos(200), &clock), UnixNanos(999_200), "as it stands now");
    }
}
