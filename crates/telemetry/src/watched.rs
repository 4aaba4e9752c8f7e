//! Handles to every counter of a run.

use crossbeam_utils::CachePadded;
use feedd_core::accounting::{Account, JournalAt, SourceTotals};
use feedd_core::counters::{
    AnalysisCounters, BatchingCounters, DROP_STOP, JournalCounters, SourceCounters, StorageCounters,
};
use feedd_core::link::LinkWatch;
use feedd_core::{Clock, Instruments};
use feedd_model::MonoNanos;
use std::sync::Arc;
use std::time::Duration;

/// One source and its ring.
#[derive(Clone)]
pub struct WatchedSource {
    /// Name, as in the configuration.
    pub name: String,
    /// Slots of its ring.
    pub ring_capacity: u64,
    /// Whether a pinned thread of its own fills the ring; otherwise a stage of the analysis does.
    pub has_thread: bool,
    /// Its counters.
    pub counters: Arc<CachePadded<SourceCounters>>,
}

/// One sink and its lane.
#[derive(Clone)]
pub struct WatchedSink {
    /// Name, as in the configuration.
    pub name: Arc<str>,
    /// Whether the recorder waits for it when the journal is full.
    pub required: bool,
    /// Its counters.
    pub counters: Arc<CachePadded<StorageCounters>>,
}

/// The journal.
#[derive(Clone)]
pub struct WatchedJournal {
    /// Its counters.
    pub counters: Arc<CachePadded<JournalCounters>>,
    /// Up to which sequence its readers may read now. Takes a lock of the journal's: asked only when a reader was seen
    /// ahead of the counters, which is during a commit.
    pub durable_now: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// The analysis lane.
#[derive(Clone)]
pub struct WatchedAnalysis {
    /// From the batching thread to the processor; its items are blocks.
    pub processor_link: LinkWatch,
    /// From the processor to the engine; its events are cycles.
    pub engine_link: LinkWatch,
    /// Of both stages.
    pub counters: Arc<AnalysisCounters>,
}

impl WatchedAnalysis {
    /// What was delivered without credit: blocks to the processor, cycles to the engine.
    pub(crate) fn backpressure(&self) -> [u64; 2] {
        [self.processor_link.totals().backpressure_items, self.engine_link.totals().backpressure_events]
    }
}

/// Everything telemetry looks at.
#[derive(Clone)]
pub struct Watched {
    /// Every source.
    pub sources: Vec<WatchedSource>,
    /// The batching thread.
    pub batching: Arc<CachePadded<BatchingCounters>>,
    /// The journal; none when it is off.
    pub journal: Option<WatchedJournal>,
    /// The links from the batching thread: one to the journal, or without it one to each sink.
    pub links: Vec<LinkWatch>,
    /// Items a link holds.
    pub link_capacity: u64,
    /// Every sink.
    pub sinks: Vec<WatchedSink>,
    /// The analysis lane, if there is one.
    pub analysis: Option<WatchedAnalysis>,
    /// Age at which a batch is due.
    pub batch_age_max: Duration,
    /// Names for instruments.
    pub instruments: Instruments,
    /// Whether any source is simulated.
    pub simulated: bool,
    /// Both times.
    pub clock: Arc<dyn Clock>,
}

impl Watched {
    /// The account of the run now.
    #[must_use]
    pub fn account(&self) -> Account {
        let sinks = self.sinks.iter().map(|sink| (&sink.name, &**sink.counters));
        let journal = self.journal.as_ref();
        let journal = journal.map(|journal| JournalAt { counters: &journal.counters, now: &*journal.durable_now });
        Account::read(self.sources.iter().map(|s| &**s.counters), &self.batching, journal, sinks)
    }

    /// Each pinned thread that has not ended, by name, with its last sign of life; also one that has never given any. The
    /// batching thread ends after the last source. Rings that a stage of the analysis fills have no thread of that kind.
    #[must_use]
    pub fn heartbeats(&self) -> Vec<(String, MonoNanos)> {
        let runs = |source: &&WatchedSource| source.has_thread && source.counters.ended.get() == 0;
        let sources = self.sources.iter().filter(runs);
        let mut beats: Vec<_> = sources.map(|s| (s.name.clone(), MonoNanos(s.counters.beat_at.get()))).collect();
        if !beats.is_empty() {
            beats.push(("batching".to_owned(), MonoNanos(self.batching.beat_at.get())));
        }
        beats
    }

    /// Events for which there was no room until the stop deadline had passed.
    #[must_use]
    pub fn cut_off(&self) -> u64 {
        self.sources.iter().map(|source| source.counters.events_dropped.get(DROP_STOP)).sum()
    }

    /// The totals of each source.
    pub fn source_totals(&self) -> impl Iterator<Item = (&WatchedSource, SourceTotals)> {
        self.sources.iter().map(|source| (source, SourceTotals::read(&source.counters)))
    }
}
