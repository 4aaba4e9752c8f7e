//! Handles to every counter of a run.

use crossbeam_utils::CachePadded;
use feedd_core::accounting::{Account, SourceTotals};
use feedd_core::counters::{BatchingCounters, DROP_STOP, SourceCounters, StorageCounters};
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

/// Everything telemetry looks at.
#[derive(Clone)]
pub struct Watched {
    /// Every source.
    pub sources: Vec<WatchedSource>,
    /// The batching thread.
    pub batching: Arc<CachePadded<BatchingCounters>>,
    /// The link to the storage lane.
    pub link: LinkWatch,
    /// Items the link holds.
    pub link_capacity: u64,
    /// The storage lane.
    pub storage: Arc<CachePadded<StorageCounters>>,
    /// Name of the sink.
    pub sink: &'static str,
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
        Account::read(self.sources.iter().map(|s| &**s.counters), &self.batching, &self.storage)
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
