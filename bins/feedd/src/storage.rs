//! Builds what stores: the journal, a lane for each sink, and their threads.

use crate::registry;
use crate::threads::{LaneThread, spawn};
use crate::wiring::Shared;
use anyhow::{Context, Result, bail};
use crossbeam_utils::CachePadded;
use feedd_config::{Config, JournalSync};
use feedd_core::counters::{JournalCounters, SinkState, StorageCounters};
use feedd_core::data_dir::DataDir;
use feedd_core::link::{LinkReceiver, LinkSender, LinkWatch, link};
use feedd_core::{Block, Sink, error_text};
use feedd_delivery::{
    BatchLimits, Feed, JournalEnd, JournalFeed, JournalLane, JournalLaneParts, LaneEnd, LaneParts, LinkFeed,
    Quarantine, Retry, SinkMark, StorageLane, feed_blocks, pool_blocks,
};
use feedd_journal::{EpochSpan, Journal, JournalConfig, Recovered, Start, Sync};
use feedd_model::{Gap, GapReason};
use feedd_telemetry::WatchedSink;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Blocks on their way to the journal or to a lane: 16 blocks of up to 4096 events bridge a write of some milliseconds.
pub(crate) const LINK_BLOCKS: usize = 16;
/// How long a start waits to hear from a sink that it cannot go on. One that is away is not waited for.
const FIRST_ANSWER: Duration = Duration::from_secs(2);

/// Everything that stores, running.
pub(crate) struct Storage {
    /// From the batching thread: to the journal, or without it to each lane.
    pub(crate) links: Vec<LinkSender<Arc<Block>>>,
    /// Blocks its pool needs beside those in the batching thread's hands.
    pub(crate) pool_blocks: usize,
    pub(crate) journal: Option<JoinHandle<JournalEnd>>,
    pub(crate) journal_counters: Option<Arc<CachePadded<JournalCounters>>>,
    pub(crate) lanes: Vec<LaneThread>,
    pub(crate) sinks: Vec<WatchedSink>,
    /// What the last run, which did not end by itself, may have lost.
    pub(crate) gap: Option<Gap>,
}

impl Storage {
    /// The links, for telemetry.
    pub(crate) fn watches(&self) -> Vec<LinkWatch> {
        self.links.iter().map(LinkSender::watch).collect()
    }
}

/// Opens and starts everything that stores.
///
/// # Errors
/// When the journal or a sink cannot be opened, or a required sink says at once that it needs a person. Nothing runs then.
pub(crate) fn start(config: &Config, shared: &Shared, data_dir: &DataDir) -> Result<Storage> {
    // The sinks before the journal: a wrong setting is told before anything is recovered.
    let sinks = config.sinks.iter().map(|sink| registry::sink(sink, config, &shared.instruments));
    let sinks: Vec<Box<dyn Sink>> = sinks.collect::<Result<_>>()?;
    let marks: Vec<Arc<SinkMark>> =
        config.sinks.iter().map(|sink| Arc::new(SinkMark::new(sink.name.as_str().into(), sink.required))).collect();
    let opened = if config.is_journalled() { Some(open_journal(config, shared, data_dir)?) } else { None };
    let counters: Vec<Arc<CachePadded<StorageCounters>>> = sinks.iter().map(|_| Arc::default()).collect();
    let watched = marks.iter().zip(&counters).map(|(mark, counters)| WatchedSink {
        name: mark.name().into(),
        required: mark.is_required(),
        counters: counters.clone(),
    });
    let mut storage = Storage {
        links: Vec::new(),
        pool_blocks: pool_blocks(LINK_BLOCKS, 0),
        journal: None,
        journal_counters: None,
        lanes: Vec::new(),
        sinks: watched.collect(),
        gap: opened.as_ref().and_then(|(_, found)| gap_of(found, shared)),
    };
    let earlier = opened.as_ref().map(|(_, found)| found.epochs.clone());
    for ((sink, mark), counters) in sinks.into_iter().zip(&marks).zip(counters) {
        let backlog_max = limits(config).backlog_max(&*sink);
        let feed: Box<dyn Feed> = match &opened {
            Some((journal, _)) => {
                let blocks = feed_blocks(backlog_max);
                Box::new(JournalFeed::new(journal.cursor(), journal.tail(), blocks, shared.clock.clone()))
            }
            None => {
                let (sender, receiver) = link(LINK_BLOCKS);
                storage.links.push(sender);
                storage.pool_blocks = storage.pool_blocks.max(pool_blocks(LINK_BLOCKS, backlog_max));
                Box::new(LinkFeed::new(receiver, data_dir.stream(), data_dir.epoch()))
            }
        };
        let parts = lane_parts(config, shared, data_dir, (sink, feed), (mark.clone(), counters), earlier.clone())?;
        // The epoch differs at every start: recorders that start together do not retry together.
        let seed = u64::from(std::process::id()) << 32 | u64::from(data_dir.epoch().0);
        let lane = StorageLane::new(parts, seed);
        let thread = spawn(&format!("sink {}", mark.name()), None, move || lane.run())?;
        storage.lanes.push(LaneThread { name: mark.name().into(), required: mark.is_required(), thread });
    }
    if let Some((journal, found)) = opened {
        let (sender, blocks) = link(LINK_BLOCKS);
        storage.links.push(sender);
        let (thread, counters) = start_journal(config, shared, journal, blocks, marks, &found)?;
        (storage.journal, storage.journal_counters) = (Some(thread), Some(counters));
    }
    first_answers(storage, shared)
}

/// Waits until every sink was reached once, but not for one that is away.
fn first_answers(storage: Storage, shared: &Shared) -> Result<Storage> {
    let until = Instant::now() + FIRST_ANSWER;
    let waits = |storage: &Storage| {
        let starting = |sink: &WatchedSink| sink.counters.sink_state() == SinkState::Starting;
        storage.sinks.iter().zip(&storage.lanes).any(|(sink, lane)| starting(sink) && !lane.thread.is_finished())
    };
    while waits(&storage) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    let stopped = |lane: &LaneThread| lane.required && lane.thread.is_finished();
    if !storage.lanes.iter().any(stopped) {
        return Ok(storage);
    }
    shared.stop.abort();
    drop(storage.links);
    for lane in storage.lanes {
        if let Ok(LaneEnd::Fatal(error)) = lane.thread.join()
            && lane.required
        {
            bail!("sink {}: {}", lane.name, error_text(&error));
        }
    }
    bail!("a sink's thread ended at the start");
}

fn lane_parts(
    config: &Config,
    shared: &Shared,
    data_dir: &DataDir,
    (sink, feed): (Box<dyn Sink>, Box<dyn Feed>),
    (mark, counters): (Arc<SinkMark>, Arc<CachePadded<StorageCounters>>),
    earlier: Option<Vec<EpochSpan>>,
) -> Result<LaneParts> {
    let path = Quarantine::path_in(data_dir.path(), mark.name());
    let quarantine = Quarantine::open(&path, config.quarantine.bytes_max, shared.instruments.clone())
        .with_context(|| format!("opening the quarantine of sink {}", mark.name()))?;
    Ok(LaneParts {
        feed,
        sink,
        mark,
        epoch: data_dir.epoch(),
        earlier,
        limits: limits(config),
        retry: Retry {
            attempts: config.retry.attempts,
            delay: config.retry.delay,
            delay_max: config.retry.max_delay,
            stable: config.retry.stable,
        },
        quarantine,
        counters,
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    })
}

/// The journal's settings as its crate takes them.
#[must_use]
pub fn journal_config(config: &Config) -> JournalConfig {
    JournalConfig {
        dir: config.journal.dir.clone(),
        segment_bytes: config.journal.segment_bytes,
        bytes_max: config.journal.bytes_max,
        sync: match config.journal.sync {
            JournalSync::Every(interval) => Sync::Every(interval),
            JournalSync::Always => Sync::Always,
            JournalSync::Os => Sync::Os,
        },
    }
}

fn open_journal(config: &Config, shared: &Shared, data_dir: &DataDir) -> Result<(Journal, Recovered)> {
    let start = Start { stream: data_dir.stream(), epoch: data_dir.epoch(), at: shared.clock.wall() };
    let began = Instant::now();
    let (journal, found) = Journal::open(journal_config(config), start, shared.instruments.clone())
        .with_context(|| format!("opening the journal in {}", config.journal.dir.display()))?;
    if found.events > 0 || !found.damage.is_empty() {
        tracing::info!(
            "journal: {} events of {} earlier start(s) in {} segment(s), read in {:?}; {} damaged place(s), {} torn byte(s)",
            found.events,
            found.epochs.len(),
            found.segments,
            began.elapsed(),
            found.damage.len(),
            found.torn_bytes
        );
    }
    Ok((journal, found))
}

fn start_journal(
    config: &Config,
    shared: &Shared,
    journal: Journal,
    blocks: LinkReceiver<Arc<Block>>,
    marks: Vec<Arc<SinkMark>>,
    found: &Recovered,
) -> Result<(JoinHandle<JournalEnd>, Arc<CachePadded<JournalCounters>>)> {
    let counters: Arc<CachePadded<JournalCounters>> = Arc::default();
    counters.found.set(found.events);
    counters.damaged.set(found.damage.len() as u64);
    let interval = match config.journal.sync {
        JournalSync::Every(interval) => interval,
        JournalSync::Always => Duration::ZERO,
        // What the system does not sync is as safe soon as late: one write for many blocks.
        JournalSync::Os => Duration::from_millis(1),
    };
    let lane = JournalLane::new(JournalLaneParts {
        blocks,
        journal,
        interval,
        marks,
        counters: counters.clone(),
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    });
    Ok((spawn("journal", None, move || lane.run())?, counters))
}

pub(crate) fn limits(config: &Config) -> BatchLimits {
    BatchLimits { events_max: config.batch.max_events, age_max: config.batch.max_age }
}

/// After a kill or a power cut: from the last event that is safe until now, anything may be missing.
fn gap_of(found: &Recovered, shared: &Shared) -> Option<Gap> {
    if found.clean {
        return None;
    }
    let now = shared.clock.wall();
    tracing::warn!("the last run did not end by itself; the span until now is recorded as a gap");
    Some(Gap {
        reason: GapReason::RecorderDown,
        first_missing: None,
        last_missing: None,
        from_ts: found.last_event_at,
        to_ts: Some(now),
        events: None,
    })
}
