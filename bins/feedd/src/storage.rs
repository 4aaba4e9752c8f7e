//! Builds what stores: the journal, a lane for each sink, and their threads.

use crate::known_trades::{Keeper, KeeperParts, discard};
use crate::registry;
use crate::threads::{LaneHandle, LaneThread, spawn};
use crate::wiring::Shared;
use anyhow::{Context, Result, bail};
use crossbeam_utils::CachePadded;
use feedd_config::{Config, JournalSync, SinkKind};
use feedd_core::counters::{JournalCounters, SinkState, StorageCounters};
use feedd_core::data_dir::DataDir;
use feedd_core::fanin::Served;
use feedd_core::link::{LinkReceiver, LinkSender, LinkWatch, link};
use feedd_core::{Block, Sink, error_text};
use feedd_delivery::{
    BatchLimits, Feed, JournalEnd, JournalFeed, JournalLane, JournalLaneParts, LaneEnd, LaneParts, LinkFeed,
    Quarantine, Retry, ServedLane, SinkMark, StorageLane, feed_blocks, pool_blocks,
};
use feedd_journal::{EpochSpan, Journal, JournalConfig, Readers, Recovered, Start, Sync};
use feedd_model::{Gap, GapReason, UnixNanos};
use feedd_telemetry::{WatchedJournal, WatchedSink};
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
    /// Lanes that the batching thread serves itself.
    pub(crate) served: Vec<Box<dyn Served>>,
    /// Blocks its pool needs beside those in the batching thread's hands.
    pub(crate) pool_blocks: usize,
    pub(crate) journal: Option<JoinHandle<JournalEnd>>,
    /// Readers of it for later.
    pub(crate) readers: Option<Readers>,
    /// Notes which trades are stored, for the next start.
    pub(crate) keeper: Option<JoinHandle<()>>,
    pub(crate) watched_journal: Option<WatchedJournal>,
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
pub(crate) fn start(config: &Config, shared: &Shared, data_dir: &DataDir, sources: usize) -> Result<Storage> {
    // The sinks before the journal: a wrong setting is told before anything is recovered.
    let sinks = config.sinks.iter().map(|sink| registry::sink(sink, config, &shared.instruments));
    let sinks: Vec<Box<dyn Sink>> = sinks.collect::<Result<_>>()?;
    let marks: Vec<Arc<SinkMark>> =
        config.sinks.iter().map(|sink| Arc::new(SinkMark::new(sink.name.as_str().into(), sink.required))).collect();
    let opened = if config.is_journalled() {
        Some(open_journal(config, shared, data_dir)?)
    } else {
        discard(data_dir.path())?;
        None
    };
    let counters: Vec<Arc<CachePadded<StorageCounters>>> = sinks.iter().map(|_| Arc::default()).collect();
    let watched = marks.iter().zip(&counters).map(|(mark, counters)| WatchedSink {
        name: mark.name().into(),
        required: mark.is_required(),
        counters: counters.clone(),
    });
    let mut storage = Storage {
        links: Vec::new(),
        served: Vec::new(),
        pool_blocks: pool_blocks(LINK_BLOCKS, 0),
        journal: None,
        readers: opened.as_ref().map(|(journal, _)| journal.readers()),
        keeper: None,
        watched_journal: None,
        lanes: Vec::new(),
        sinks: watched.collect(),
        gap: gap_of(opened.as_ref().map(|(_, found)| found), data_dir, shared),
    };
    let earlier = opened.as_ref().map(|(_, found)| found.epochs.clone());
    for (((sink, mark), counters), settings) in sinks.into_iter().zip(&marks).zip(counters).zip(&config.sinks) {
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
        let thread = if opened.is_none() && settings.kind == SinkKind::Null {
            let (mut lane, end) = ServedLane::new(lane);
            // Its first answer, which the start waits for.
            lane.serve();
            storage.served.push(Box::new(lane));
            LaneHandle::Served(end)
        } else {
            LaneHandle::Own(spawn(&format!("sink {}", mark.name()), None, move || lane.run())?)
        };
        storage.lanes.push(LaneThread { name: mark.name().into(), required: mark.is_required(), thread });
    }
    if let Some((journal, found)) = opened {
        let (sender, blocks) = link(LINK_BLOCKS);
        storage.links.push(sender);
        let keeper = keeper(shared, data_dir, &journal, &found);
        let marks = marks.into_iter().chain(keeper.iter().map(Keeper::mark)).collect();
        let (thread, watched) = start_journal((config, sources), shared, journal, blocks, marks, &found)?;
        storage.keeper = keeper.map(|keeper| spawn("known trades", None, move || keeper.run())).transpose()?;
        (storage.journal, storage.watched_journal) = (Some(thread), Some(watched));
    }
    first_answers(storage, shared)
}

/// What notes which trades are stored; hands over what earlier starts have. `None` when no live source records trades.
fn keeper(shared: &Shared, data_dir: &DataDir, journal: &Journal, found: &Recovered) -> Option<Keeper> {
    let rules = shared.trade_rules.clone();
    if rules.iter().all(Option::is_none) {
        return None;
    }
    let keeper = Keeper::open(KeeperParts { data_dir, journal, found, rules, clock: shared.clock.clone() });
    keeper.hand_over(&shared.instruments, &shared.earlier_trades);
    Some(keeper)
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
        if let LaneEnd::Fatal(error) = lane.thread.join()
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
    (config, sources): (&Config, usize),
    shared: &Shared,
    journal: Journal,
    blocks: LinkReceiver<Arc<Block>>,
    marks: Vec<Arc<SinkMark>>,
    found: &Recovered,
) -> Result<(JoinHandle<JournalEnd>, WatchedJournal)> {
    let counters: Arc<CachePadded<JournalCounters>> = Arc::default();
    counters.found.set(found.events);
    counters.damaged.set(found.damage.len() as u64);
    let interval = match config.journal.sync {
        JournalSync::Every(interval) => interval,
        JournalSync::Always => Duration::ZERO,
        // What the system does not sync is as safe soon as late: one write for many blocks.
        JournalSync::Os => Duration::from_millis(1),
    };
    let tail = journal.tail();
    let watched = WatchedJournal { counters: counters.clone(), durable_now: Arc::new(move || tail.durable().seq.0) };
    let lane = JournalLane::new(JournalLaneParts {
        blocks,
        journal,
        sources,
        interval,
        marks,
        counters,
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    });
    Ok((spawn("journal", None, move || lane.run())?, watched))
}

pub(crate) fn limits(config: &Config) -> BatchLimits {
    BatchLimits { events_max: config.batch.max_events, age_max: config.batch.max_age }
}

/// After a kill or a power cut: from the last moment that is known to be complete until now, anything may be missing.
fn gap_of(found: Option<&Recovered>, data_dir: &DataDir, shared: &Shared) -> Option<Gap> {
    let before = data_dir.epoch().0.checked_sub(1);
    if !is_cut_off(found, before, data_dir.unended_since()) {
        return None;
    }
    let now = shared.clock.wall();
    // What the journal holds is complete. It ends before a start that left nothing in it, and so does what may be missing.
    let from = found.and_then(|found| found.complete_until).max(data_dir.unended_since());
    tracing::warn!("the last run did not end by itself; the span until now is recorded as a gap");
    Some(Gap {
        reason: GapReason::RecorderDown,
        first_missing: None,
        last_missing: None,
        // A clock that was set back must not turn the span around.
        from_ts: from.map(|from| from.min(now)),
        to_ts: Some(now),
        events: None,
    })
}

/// Whether the starts up to `before`, the one before this, have lost something: the journal says how its last start ended,
/// the data folder whether a start left no trace there.
fn is_cut_off(found: Option<&Recovered>, before: Option<u32>, unended_since: Option<UnixNanos>) -> bool {
    let last = found.and_then(|found| found.epochs.last());
    // Its end in the journal is what counts; the note in the data folder comes after it.
    let has_ended = last.is_some_and(|span| Some(span.epoch.0) == before && span.ended.is_some());
    !has_ended && (unended_since.is_some() || found.is_some_and(|found| !found.clean))
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::{Epoch, Seq, StreamId};

    #[test]
    fn a_start_is_cut_off_unless_journal_or_data_folder_say_that_it_ended() {
        let journal = |epoch: u32, ended: Option<i64>| {
            let (epoch, ended) = (Epoch(epoch), ended.map(UnixNanos));
            let span = EpochSpan { stream: StreamId(1), epoch, first: Seq(1), last: Seq(0), ended };
            Some(Recovered { clean: ended.is_some(), epochs: vec![span], ..Recovered::default() })
        };
        let empty = Some(Recovered { clean: true, ..Recovered::default() });
        let since = Some(UnixNanos(5));
        let cases = [
            ("the first start of all", empty.clone(), None, false),
            ("all of it ended in order", journal(6, Some(9)), None, false),
            ("killed, with a journal", journal(6, None), since, true),
            ("killed, by a version that noted nothing", journal(6, None), None, true),
            ("ended in order, and killed before the note of it", journal(6, Some(9)), since, false),
            ("the journal holds an older start only", journal(5, Some(9)), since, true),
            ("a journal of which nothing is left", empty, since, true),
            ("killed without a journal", None, since, true),
            ("ended in order without a journal", None, None, false),
        ];
        for (name, found, since, expected) in cases {
            assert_eq!(is_cut_off(found.as_ref(), Some(6), since), expected, "{name}");
        }
    }
}
