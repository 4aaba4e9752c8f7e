//! Handles to every counter of a run.

use crossbeam_utils::CachePadded;
use feedd_core::accounting::{Account, JournalAt, SourceTotals};
use feedd_core::counters::{BatchingCounters, DROP_STOP, JournalCounters, SourceCounters, StorageCounters};
use feedd_core::link::LinkWatch;
use feedd_core::{Clock, Instruments};
use std::sync::Arc;
use std::time::Duration;

/// One source and its ring.
#[derive(Clone)]
pub struct WatchedSource {
    /// Name, as in the configuration.
    pub name: String,
    /// Slots of its ring.
    pub ring_capacity: u64,
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
