//! The recorder's own stages, with producers whose events are ready: outlet, ring, batching thread, lane, sink.

use super::work::{Sums, Work};
use crate::meter::thread_cpu;
use crate::trades::{EPOCH, STREAM, Trades};
use anyhow::{Context, Result, anyhow, ensure};
use crossbeam_utils::CachePadded;
use feedd_core::affinity::pin;
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input, Served};
use feedd_core::link::{LinkSender, link};
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Clock, Instruments, Sink, Stop, SystemClock};
use feedd_delivery::{
    BatchLimits, Feed, JournalEnd, JournalFeed, JournalLane, JournalLaneParts, LaneEnd, LaneParts, LinkFeed,
    Quarantine, Retry, ServedEnd, ServedLane, SinkMark, StorageLane, feed_blocks, pool_blocks,
};
use feedd_journal::{Journal, JournalConfig, Start, Sync, Tail};
use feedd_model::{Event, SourceId};
use feedd_sink_null::{NullCounts, NullSink};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// As the recorder has them by default.
const LINK_BLOCKS: usize = 16;
const LIMITS: BatchLimits = BatchLimits { events_max: 500, age_max: Duration::from_secs(5) };
const COMMIT_INTERVAL: Duration = Duration::from_millis(10);
const SEGMENT_BYTES: u64 = 64 << 20;
/// Bursts that a producer sends in turn: few enough that small ones stay in its nearest cache.
const BURSTS_READY: usize = 64;
/// Until every thread is where it waits for events.
const SETTLING: Duration = Duration::from_millis(30);
/// Room for a whole run: a sink that is slower than the journal must not be what is measured.
const JOURNAL_SEGMENTS: u64 = 32;
const QUARANTINE_BYTES: u64 = 1 << 20;
/// More producers than are measured.
const SOURCES_MAX: usize = 64;

/// What takes the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A sink that reads every event and keeps none, served by the batching thread: as the recorder has it.
    Null,
    /// The same in a lane with a thread of its own, as every sink that stores has it.
    NullLane,
    /// The same behind a journal, synced every 10 ms.
    Journal,
    /// Parquet behind a journal.
    Parquet,
}

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) producers: usize,
    /// Events published at once.
    pub(crate) burst: usize,
    /// Slots of each ring.
    pub(crate) ring: usize,
    pub(crate) wait: WaitStrategy,
    /// Cores of the producers and of the batching thread.
    pub(crate) cores: Option<[usize; 2]>,
    pub(crate) store: Store,
}

/// Runs `events` events through and checks that each arrived once.
///
/// # Errors
/// When a thread fails, or something else arrived than was sent.
pub(crate) fn run(setup: &Setup, trades: &Trades, events: u64, dir: &Path) -> Result<Work> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stop = Stop::new();
    let wake = Arc::new(Wake::new(setup.wait.parks()));
    let dir = tempfile::Builder::new().prefix("hot-path-").tempdir_in(dir).context("making a folder")?;
    let (storage, way) = Storage::start(setup.store, trades, dir.path(), &clock, &stop)?;
    let share = events / setup.producers as u64;
    let ready = &trades.events[..trades.events.len().min(setup.burst * BURSTS_READY)];
    let line = Arc::new(Barrier::new(setup.producers + 1));
    let (mut inputs, mut producers, mut watched) = (Vec::new(), Vec::new(), Vec::new());
    let batching_counters = Arc::new(CachePadded::new(BatchingCounters::default()));
    for number in 0..setup.producers {
        let (ring, consumer) = rtrb::RingBuffer::new(setup.ring);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&["rejected"], &["rejected"])));
        watched.push(counters.clone());
        inputs.push(Input { source: SourceId(u16::try_from(number)?), ring: consumer, counters: counters.clone() });
        let outlet = Outlet::new(OutletParts {
            ring,
            wake: wake.clone(),
            counters,
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        });
        let (ready, line, setup) = (ready.to_vec(), line.clone(), *setup);
        producers.push(std::thread::spawn(move || {
            setup.cores.is_none_or(|[core, _]| pin(core)).then_some(()).context("a producer could not be pinned")?;
            line.wait();
            produce(outlet, &ready, share, setup.burst)
        }));
    }
    let fan_in = FanIn::new(FanInParts {
        stream: STREAM,
        epoch: EPOCH,
        inputs,
        derived: Vec::new(),
        lanes: vec![way.link],
        analysis: None,
        is_replay: false,
        served: way.served.into_iter().collect(),
        pool: BlockPool::new(way.pool_blocks),
        wait: setup.wait,
        wake,
        counters: batching_counters.clone(),
        clock,
        stop,
    });
    let core = setup.cores.map(|[_, core]| core);
    let batching = std::thread::spawn(move || {
        core.is_none_or(pin).then_some(()).context("the batching thread could not be pinned")?;
        let (begin, cpu) = (Instant::now(), thread_cpu());
        fan_in.run();
        Ok::<_, anyhow::Error>((begin.elapsed(), thread_cpu().saturating_sub(cpu)))
    });
    // The batching thread learns at its start what a nap costs.
    std::thread::sleep(SETTLING);
    line.wait();
    let begin = Instant::now();
    let mut work = Work { events: share * setup.producers as u64, ..Work::default() };
    for producer in producers {
        let (wall, cpu) = join(producer, "a producer")??;
        work.producer_cpu += cpu;
        work.producer_shares.push(cpu.as_secs_f64() / wall.as_secs_f64());
        work.producer_walls.push(wall);
    }
    let (batching_wall, batching_cpu) = join(batching, "the batching thread")??;
    work.consumer_cpu = batching_cpu;
    work.consumer_share = batching_cpu.as_secs_f64() / batching_wall.as_secs_f64();
    let expected = Sums::of(ready, share).times(setup.producers as u64);
    work.blocked = Duration::from_nanos(watched.iter().map(|counters| counters.blocked_ns.get()).sum());
    work.blocks = batching_counters.blocks.get();
    work.wall = storage.finish(begin, &expected, dir.path(), trades)?;
    Ok(work)
}

/// Publishes ready bursts again and again; how long it took, and how long on a core. The events are in their bursts before:
/// making them is the decoder's work.
fn produce(mut outlet: Outlet, ready: &[Event], events: u64, burst_events: usize) -> Result<(Duration, Duration)> {
    let bursts: Vec<Burst> = ready.chunks(burst_events).map(burst_of).collect();
    let (begin, cpu) = (Instant::now(), thread_cpu());
    let mut left = usize::try_from(events)?;
    for burst in bursts.iter().cycle() {
        let events = burst.events();
        if left < events.len() {
            outlet.offer(&burst_of(&events[..left]))?;
            break;
        }
        outlet.offer(burst)?;
        left -= events.len();
    }
    Ok((begin.elapsed(), thread_cpu().saturating_sub(cpu)))
}
/// One message of these events.
fn burst_of(events: &[Event]) -> Burst {
    let mut burst = Burst::with_capacity(events.len());
    events.iter().for_each(|event| burst.push(*event));
    burst.end_message();
    burst
}

/// The lane, and the journal in front of it.
pub(crate) struct Storage {
    lane: Lane,
    journal: Option<JoinHandle<JournalEnd>>,
    /// How far that journal is durable.
    pub(crate) tail: Option<Arc<Tail>>,
    /// What a null sink has counted.
    counts: Option<Arc<NullCounts>>,
}

enum Lane {
    Own(JoinHandle<LaneEnd>),
    Served(ServedEnd),
}

/// What the batching thread needs of it.
pub(crate) struct Way {
    pub(crate) link: LinkSender<Arc<Block>>,
    pub(crate) served: Option<Box<dyn Served>>,
    pub(crate) pool_blocks: usize,
}

impl Storage {
    fn start(store: Store, trades: &Trades, dir: &Path, clock: &Arc<dyn Clock>, stop: &Stop) -> Result<(Self, Way)> {
        let (sink, counts): (Box<dyn Sink>, _) = match store {
            Store::Null | Store::NullLane | Store::Journal => {
                let sink = NullSink::new();
                let counts = sink.counts();
                (Box::new(sink), Some(counts))
            }
            Store::Parquet => (Box::new(ParquetSink::open(ParquetConfig::new(dir), trades.instruments.clone())?), None),
        };
        let (storage, way) = Self::start_with(store, sink, &trades.instruments, dir, clock, stop)?;
        Ok((Self { counts, ..storage }, way))
    }

    /// The same with a sink that is given, and whose caller counts what it got.
    pub(crate) fn start_with(
        store: Store,
        sink: Box<dyn Sink>,
        instruments: &Instruments,
        dir: &Path,
        clock: &Arc<dyn Clock>,
        stop: &Stop,
    ) -> Result<(Self, Way)> {
        let backlog_max = LIMITS.backlog_max(&*sink);
        let (link, blocks) = link(LINK_BLOCKS);
        let mark = Arc::new(SinkMark::new("bench".into(), true));
        let (feed, journal, tail, pool_blocks, earlier): (Box<dyn Feed>, _, _, _, _) =
            if matches!(store, Store::Null | Store::NullLane) {
                let pool_blocks = pool_blocks(LINK_BLOCKS, backlog_max);
                (Box::new(LinkFeed::new(blocks, STREAM, EPOCH)), None, None, pool_blocks, None)
            } else {
                let config = JournalConfig {
                    dir: dir.join("journal"),
                    segment_bytes: SEGMENT_BYTES,
                    bytes_max: SEGMENT_BYTES * JOURNAL_SEGMENTS,
                    sync: Sync::Every(COMMIT_INTERVAL),
                };
                let start = Start { stream: STREAM, epoch: EPOCH, at: clock.wall() };
                let (journal, found) = Journal::open(config, start, instruments.clone())?;
                let tail = journal.tail();
                let feed = JournalFeed::new(journal.cursor(), tail.clone(), feed_blocks(backlog_max), clock.clone());
                let lane = JournalLane::new(JournalLaneParts {
                    blocks,
                    journal,
                    sources: SOURCES_MAX,
                    interval: COMMIT_INTERVAL,
                    marks: vec![mark.clone()],
                    counters: Arc::default(),
                    clock: clock.clone(),
                    stop: stop.clone(),
                });
                let thread = std::thread::spawn(move || lane.run());
                (Box::new(feed), Some(thread), Some(tail), pool_blocks(LINK_BLOCKS, 0), Some(found.epochs))
            };
        let quarantine =
            Quarantine::open(&Quarantine::path_in(dir, mark.name()), QUARANTINE_BYTES, instruments.clone())?;
        let parts = LaneParts {
            feed,
            sink,
            mark,
            epoch: EPOCH,
            earlier,
            limits: LIMITS,
            retry: Retry::default(),
            quarantine,
            counters: Arc::default(),
            clock: clock.clone(),
            stop: stop.clone(),
        };
        let lane = StorageLane::new(parts, 1);
        let (lane, served): (_, Option<Box<dyn Served>>) = if store == Store::Null {
            let (lane, end) = ServedLane::new(lane);
            (Lane::Served(end), Some(Box::new(lane)))
        } else {
            (Lane::Own(std::thread::spawn(move || lane.run())), None)
        };
        Ok((Self { lane, journal, tail, counts: None }, Way { link, served, pool_blocks }))
    }

    /// Waits until everything is stored and tells since when; checks what is there.
    fn finish(self, begin: Instant, expected: &Sums, dir: &Path, trades: &Trades) -> Result<Duration> {
        let counts = self.counts.clone();
        let wall = self.drain(begin)?;
        match counts {
            Some(counts) => {
                let found = Sums { events: counts.events(), checksum: counts.checksum() };
                ensure!(found == *expected, "the sink read {found:?} instead of {expected:?}");
            }
            None => {
                let mut sink = ParquetSink::open(ParquetConfig::new(dir), trades.instruments.clone())?;
                let counted = sink.audit(STREAM, EPOCH)?.context("the Parquet sink counts its rows")?;
                let found = (counted.rows, counted.duplicates, counted.beyond);
                ensure!(found == (expected.events, 0, 0), "the files hold {found:?} of {} rows", expected.events);
            }
        }
        Ok(wall)
    }

    /// Waits until everything is stored and tells since when.
    pub(crate) fn drain(self, begin: Instant) -> Result<Duration> {
        if let Some(journal) = self.journal {
            let end = join(journal, "the journal's thread")?;
            ensure!(matches!(end, JournalEnd::Closed), "the journal ended with {end:?}");
        }
        let end = match self.lane {
            Lane::Own(thread) => join(thread, "the sink's lane")?,
            Lane::Served(end) => end.take(),
        };
        let wall = begin.elapsed();
        ensure!(matches!(end, LaneEnd::Drained), "the lane ended with {end:?}");
        Ok(wall)
    }
}

fn join<T>(thread: JoinHandle<T>, what: &str) -> Result<T> {
    thread.join().map_err(|_| anyhow!("{what} panicked"))
}
