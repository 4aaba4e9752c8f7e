//! Builds every stage and starts its thread, from the end of the way to its start: what consumes is there before what
//! produces.

use crate::analysis::{self, LaneStart, RecordTap, STATE_FILE, Ticks, is_ticking};
use crate::live::{self, LiveShard};
use crate::recording::OpenRecording;
use crate::registry::{self, BuiltSource, LiveShared};
use crate::storage::{self, LINK_BLOCKS, Storage};
use crate::threads::{Run, SourceMailboxes, SourceThread, spawn};
use anyhow::{Context, Result};
use crossbeam_utils::CachePadded;
use feedd_config::{Config, Core, FullPolicy as ConfigFull, Source as SourceConfig, SourceKind, Wait};
use feedd_core::affinity::{CoreChoice, Placement, plan, usable_cores};
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::data_dir::{DataDir, STATE_DIR};
use feedd_core::dead_letters::{DeadLetterWriter, DeadLetters};
use feedd_core::fanin::{FanIn, FanInParts, Input, Served};
use feedd_core::link::{LinkMode, LinkSender};
use feedd_core::outlet::{Budget, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Clock, Instruments, SourceId, Stop, SystemClock};
use feedd_live::ask_book::BookDesks;
use feedd_model::Gap;
use feedd_telemetry::{Watched, WatchedSource};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::known_trades::{EarlierTrades, SourceRules};
use feedd_venues::sources::Progress;
use std::sync::Arc;

/// A lane beside those that store: the end to which blocks are handed, and who takes them from the other one. It must not
/// wait.
pub type MeasuringLane = (LinkSender<Arc<Block>>, Box<dyn Served>);

/// File of rejected texts, in the data folder.
pub const DEAD_LETTERS_FILE: &str = "dead-letters.jsonl";

/// What all stages share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    pub(crate) wake: Arc<Wake>,
    pub(crate) instruments: Instruments,
    pub(crate) dead_letters: DeadLetters,
    cores: Vec<Placement>,
    /// How each source numbers its trades, and what earlier starts have stored of them.
    pub(crate) trade_rules: SourceRules,
    pub(crate) earlier_trades: Arc<EarlierTrades>,
    /// Where sources are asked for their books.
    pub(crate) books: BookDesks,
    /// Where they are told what is to change.
    pub(crate) mailboxes: SourceMailboxes,
}

/// Starts a run. `events_max` bounds it: each source ends after the message that reaches the bound.
///
/// # Errors
/// When the data folder, the journal, a sink or a source cannot be opened, or a thread cannot be started. Nothing runs
/// then.
pub fn start(config: &Config, events_max: Option<u64>) -> Result<Run> {
    start_with(config, events_max, None)
}

/// As [`start`], with one more lane, which the batching thread serves: who measures sees there what is handed over, and
/// when.
///
/// # Errors
/// As [`start`].
pub fn start_with(config: &Config, events_max: Option<u64>, lane: Option<MeasuringLane>) -> Result<Run> {
    // A recording can wait; what is live cannot.
    let is_recorded = config.sources.iter().all(|source| matches!(source.kind, SourceKind::Capture(_)));
    let mode = if is_recorded { LinkMode::Clock } else { LinkMode::Live };
    let shards = live::shards(config)?;
    let placed = live::threads(BATCHING, config, &shards);
    let rules = live::trade_rules(config, &shards);
    let sources = |shared: &Shared| sources(config, shards, shared, events_max);
    wire(config, (mode, false, None), (placed, rules), sources, lane)
}

/// Starts a replay: what the recording delivers is not recorded again, only what the analysis lane makes of it.
///
/// # Errors
/// As [`start`].
pub fn start_replay(
    config: &Config,
    mode: LinkMode,
    tap: Option<RecordTap>,
    open: impl FnOnce(&Instruments, DeadLetters) -> Result<OpenRecording>,
) -> Result<Run> {
    let placed = vec![(BATCHING.to_owned(), config.batching.core), ("replay".to_owned(), Core::Auto)];
    let placed = placed.into_iter().map(|(name, core)| (name, live::choice(core))).collect();
    let sources = |shared: &Shared| {
        let OpenRecording { source, progress, reasons, .. } = open(&shared.instruments, shared.dead_letters.clone())?;
        let counters = Arc::new(CachePadded::new(SourceCounters::new(reasons[0], reasons[1])));
        let built = BuiltSource { source, progress: Some(progress) };
        let (ready, input) = ready(built, (0, counters), (config.ring.capacity, FullPolicy::Block), shared, None)?;
        Ok((vec![ready], vec![input]))
    };
    wire(config, (mode, true, tap), (placed, SourceRules::default()), sources, None)
}

/// What the sources of a run are made of.
type Sources = (Vec<ReadySource>, Vec<Input>);

/// Wires and starts everything.
fn wire(
    config: &Config,
    (mode, is_replay, tap): (LinkMode, bool, Option<RecordTap>),
    (placed, trade_rules): (Vec<(String, CoreChoice)>, SourceRules),
    sources: impl FnOnce(&Shared) -> Result<Sources>,
    lane: Option<MeasuringLane>,
) -> Result<Run> {
    let mut data_dir = DataDir::open(&config.data.dir)?;
    let instruments = Instruments::open(&data_dir.instruments_path())?;
    let (dead_letters, letter_writer) = dead_letters(config, &data_dir)?;
    let wait = wait_strategy(config.batching.wait);
    let shared = Shared {
        clock: Arc::new(SystemClock::new()),
        stop: Stop::new(),
        wake: Arc::new(Wake::new(wait.parks())),
        instruments,
        dead_letters,
        cores: placements(&placed),
        trade_rules,
        earlier_trades: Arc::default(),
        books: BookDesks::default(),
        mailboxes: SourceMailboxes::default(),
    };
    let (mut sources, inputs) = sources(&shared)?;
    let epoch = data_dir.epoch().0;
    let state = data_dir.path().join(STATE_DIR).join(STATE_FILE);
    let lane_start = if is_replay { LaneStart::anew(epoch) } else { LaneStart::after(&state, epoch) };
    let analysis = analysis::build(config, &shared, mode, tap, (inputs.len(), &lane_start))?;
    let mut storage = storage::start(config, &shared, &data_dir, inputs.len())?;
    if !is_replay {
        mark_gap(&mut sources, storage.gap.take());
    }
    data_dir.begin(shared.clock.wall()).inspect_err(|_| shared.stop.abort())?;
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let mut watched = watched(config, &shared, &sources, &batching, &storage);
    let analysis = analysis.map(|lane| lane.spawn(core_of(config.analysis.core), &shared)).transpose();
    let (analysis, ends) = analysis.inspect_err(|_| shared.stop.abort())?.unzip();
    let analysis = analysis.map(|threads| (threads, (!is_replay).then_some(state)));
    let mut pool_blocks = storage.pool_blocks;
    let (mut derived, mut link) = (Vec::new(), None);
    if let Some(ends) = ends {
        pool_blocks += ends.pool_blocks;
        watched.sources.extend(ends.sources);
        watched.analysis = Some(ends.watched);
        (derived, link) = (ends.derived, Some(ends.link));
    }
    if let Some((link, served)) = lane {
        storage.links.push(link);
        storage.served.push(served);
    }
    let fan_in = FanIn::new(FanInParts {
        stream: data_dir.stream(),
        epoch: data_dir.epoch(),
        inputs,
        derived,
        lanes: storage.links,
        analysis: link,
        is_replay,
        served: storage.served,
        pool: BlockPool::new(pool_blocks),
        wait,
        wake: shared.wake.clone(),
        counters: batching,
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    });
    let core = |index: usize| shared.cores.get(index).and_then(|placement| placement.core);
    let batching = spawn(BATCHING, core(0), move || fan_in.run())?;
    let progress = sources.iter().filter_map(|s| s.progress.clone()).collect();
    let sources = sources.into_iter().zip(1..).map(|(source, index)| source.spawn(core(index)));
    // Those that run already end with the one that could not be started.
    let sources = sources.collect::<Result<_>>().inspect_err(|_| shared.stop.abort())?;
    let Storage { journal, lanes, keeper, readers, .. } = storage;
    let (stop, books, mailboxes) = (shared.stop, shared.books, shared.mailboxes);
    Ok(Run {
        data_dir,
        stop,
        watched,
        progress,
        sources,
        batching,
        journal,
        keeper,
        lanes,
        analysis,
        letter_writer,
        readers,
        books,
        mailboxes,
    })
}

/// The first event of a start after a kill: what is missing since the last one that was safe.
fn mark_gap(sources: &mut [ReadySource], gap: Option<Gap>) {
    let (Some(source), Some(gap)) = (sources.first_mut(), gap) else { return };
    // A ring that nobody has used has room.
    let marked = source.outlet.mark_gap(gap);
    debug_assert!(marked, "a new ring has room");
}

/// Name of the batching thread.
const BATCHING: &str = "batching";

fn dead_letters(config: &Config, data_dir: &DataDir) -> Result<(DeadLetters, Option<DeadLetterWriter>)> {
    if !config.dead_letters.enabled {
        return Ok((DeadLetters::disabled(), None));
    }
    let path = data_dir.path().join(DEAD_LETTERS_FILE);
    let (letters, writer) = DeadLetters::start(&path, config.dead_letters.bytes_max)?;
    Ok((letters, Some(writer)))
}

const fn wait_strategy(wait: Wait) -> WaitStrategy {
    match wait {
        Wait::Adaptive => WaitStrategy::Adaptive,
        Wait::Spin => WaitStrategy::Spin,
        Wait::Yield => WaitStrategy::Yield,
        Wait::Park => WaitStrategy::Park,
    }
}

/// A core of a thread that nothing waits for.
const fn core_of(core: Core) -> Option<usize> {
    match core {
        Core::Auto | Core::None => None,
        Core::Pinned(core) => Some(core),
    }
}

/// Which thread runs where: the batching thread, then each source. Asked before any thread is pinned.
fn placements(threads: &[(String, CoreChoice)]) -> Vec<Placement> {
    let cores = usable_cores();
    let placements = plan(threads, &cores);
    for ((thread, choice), placement) in threads.iter().zip(&placements) {
        match (choice, placement.core) {
            (_, Some(core)) => tracing::info!("thread {thread}: pinned to core {core}"),
            (CoreChoice::Auto, None) => {
                let count = cores.len();
                tracing::info!("thread {thread}: not pinned, {count} cores do not suffice for it and everything else");
            }
            (_, None) => tracing::info!("thread {thread}: not pinned, as configured"),
        }
    }
    placements
}

/// A source that is ready to run.
struct ReadySource {
    source: Box<dyn feedd_core::Source>,
    outlet: Outlet,
    counters: Arc<CachePadded<SourceCounters>>,
    progress: Option<Arc<Progress>>,
}

impl ReadySource {
    fn spawn(self, core: Option<usize>) -> Result<SourceThread> {
        let Self { mut source, mut outlet, .. } = self;
        let name = source.name().to_owned();
        // Told at once, not only at the end of a run that may last for weeks.
        let run = move || {
            outlet.beat();
            source
                .run(&mut outlet)
                .inspect_err(|error| tracing::error!(source = source.name(), "source ended: {error}"))
        };
        let thread = spawn(&name, core, run)?;
        Ok(SourceThread { name, thread })
    }
}

fn sources(config: &Config, shards: Vec<LiveShard>, shared: &Shared, events_max: Option<u64>) -> Result<Sources> {
    let budget = events_max.map(Budget::new);
    let (mut sources, mut inputs) = (Vec::new(), Vec::new());
    let mut all: Vec<Arc<CachePadded<SourceCounters>>> = Vec::new();
    for (source, built) in built(config, shards, shared)? {
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        all.push(counters.clone());
        let policy = match source.full {
            ConfigFull::Block => FullPolicy::Block,
            ConfigFull::Drop => FullPolicy::Drop,
        };
        let place = (inputs.len(), counters);
        let (source, input) = ready(built, place, (config.ring.capacity, policy), shared, budget.clone())?;
        inputs.push(input);
        sources.push(source);
    }
    if is_ticking(config) {
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&[], &[])));
        let built = BuiltSource { source: Box::new(Ticks::new(all)), progress: None };
        let (source, input) = ready(built, (inputs.len(), counters), (TICK_RING, FullPolicy::Block), shared, None)?;
        inputs.push(input);
        sources.push(source);
    }
    Ok((sources, inputs))
}

/// Slots of the ring of recorded ticks: one a second.
const TICK_RING: usize = 64;

/// Gives a source its ring. `index`: its place among the sources.
fn ready(
    built: BuiltSource,
    (index, counters): (usize, Arc<CachePadded<SourceCounters>>),
    (capacity, policy): (usize, FullPolicy),
    shared: &Shared,
    budget: Option<Budget>,
) -> Result<(ReadySource, Input)> {
    let (ring, taken) = rtrb::RingBuffer::new(capacity);
    let outlet = Outlet::new(OutletParts {
        ring,
        wake: shared.wake.clone(),
        counters: counters.clone(),
        policy,
        stop: shared.stop.clone(),
        clock: shared.clock.clone(),
        budget,
    });
    let id = SourceId(u16::try_from(index).context("more than 65,536 sources")?);
    let input = Input { source: id, ring: taken, counters: counters.clone() };
    Ok((ReadySource { source: built.source, outlet, counters, progress: built.progress }, input))
}

/// Every source in the order of the configuration, a live one with one for each of its shards.
fn built<'a>(
    config: &'a Config,
    shards: Vec<LiveShard>,
    shared: &Shared,
) -> Result<Vec<(&'a SourceConfig, BuiltSource)>> {
    let live = if shards.is_empty() { None } else { Some(LiveShared::open(config)?) };
    let mut shards = shards.into_iter().peekable();
    let mut built = Vec::new();
    for (index, source) in config.sources.iter().enumerate() {
        let what = || format!("source {}", source.name);
        if let (SourceKind::Venue(_), Some(live)) = (&source.kind, &live) {
            while let Some(shard) = shards.next_if(|shard| shard.source == index) {
                let shard = registry::live(source, shard, config, live, shared);
                built.push((source, shard.with_context(what)?));
            }
        } else {
            built.push((source, registry::source(source, config, shared).with_context(what)?));
        }
    }
    Ok(built)
}

fn watched(
    config: &Config,
    shared: &Shared,
    sources: &[ReadySource],
    batching: &Arc<CachePadded<BatchingCounters>>,
    storage: &Storage,
) -> Watched {
    let source = |source: &ReadySource| WatchedSource {
        name: source.source.name().to_owned(),
        ring_capacity: config.ring.capacity as u64,
        has_thread: true,
        counters: source.counters.clone(),
    };
    Watched {
        sources: sources.iter().map(source).collect(),
        batching: batching.clone(),
        journal: storage.watched_journal.clone(),
        links: storage.watches(),
        link_capacity: LINK_BLOCKS as u64,
        sinks: storage.sinks.clone(),
        analysis: None,
        batch_age_max: config.batch.max_age,
        instruments: shared.instruments.clone(),
        simulated: config.sources.iter().any(|source| matches!(source.kind, SourceKind::Sim(_))),
        clock: shared.clock.clone(),
    }
}
