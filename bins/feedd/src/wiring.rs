//! Builds every stage and starts its thread, from the end of the way to its start: what consumes is there before what
//! produces.

use crate::live::{self, LiveShard};
use crate::registry::{self, BuiltSource, LiveShared};
use crate::storage::{self, LINK_BLOCKS, Storage};
use crate::threads::{Run, SourceThread, spawn};
use anyhow::{Context, Result};
use crossbeam_utils::CachePadded;
use feedd_config::{Config, FullPolicy as ConfigFull, Source as SourceConfig, SourceKind, Wait};
use feedd_core::affinity::{CoreChoice, Placement, plan, usable_cores};
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::data_dir::DataDir;
use feedd_core::dead_letters::{DeadLetterWriter, DeadLetters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::outlet::{Budget, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{BlockPool, Clock, Instruments, SourceId, Stop, SystemClock};
use feedd_model::Gap;
use feedd_telemetry::{Watched, WatchedSource};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::sources::Progress;
use std::sync::Arc;

/// File of rejected texts, in the data folder.
pub const DEAD_LETTERS_FILE: &str = "dead-letters.jsonl";

/// What all stages share.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) stop: Stop,
    wake: Arc<Wake>,
    pub(crate) instruments: Instruments,
    dead_letters: DeadLetters,
    cores: Vec<Placement>,
}

/// Starts a run. `events_max` bounds it: each source ends after the message that reaches the bound.
///
/// # Errors
/// When the data folder, the journal, a sink or a source cannot be opened, or a thread cannot be started. Nothing runs
/// then.
pub fn start(config: &Config, events_max: Option<u64>) -> Result<Run> {
    let mut data_dir = DataDir::open(&config.data.dir)?;
    let instruments = Instruments::open(&data_dir.instruments_path())?;
    let (dead_letters, letter_writer) = dead_letters(config, &data_dir)?;
    let wait = wait_strategy(config.batching.wait);
    let shards = live::shards(config)?;
    let shared = Shared {
        clock: Arc::new(SystemClock::new()),
        stop: Stop::new(),
        wake: Arc::new(Wake::new(wait.parks())),
        instruments,
        dead_letters,
        cores: placements(config, &shards),
    };
    let (mut sources, inputs) = sources(config, shards, &shared, events_max)?;
    let mut storage = storage::start(config, &shared, &data_dir)?;
    mark_gap(&mut sources, storage.gap.take());
    data_dir.begin(shared.clock.wall()).inspect_err(|_| shared.stop.abort())?;
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let watched = watched(config, &shared, &sources, &batching, &storage);
    let fan_in = FanIn::new(FanInParts {
        stream: data_dir.stream(),
        epoch: data_dir.epoch(),
        inputs,
        lanes: storage.links,
        served: storage.served,
        pool: BlockPool::new(storage.pool_blocks),
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
    let Storage { journal, lanes, .. } = storage;
    Ok(Run { data_dir, stop: shared.stop, watched, progress, sources, batching, journal, lanes, letter_writer })
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

/// Which thread runs where: the batching thread, then each source. Asked before any thread is pinned.
fn placements(config: &Config, shards: &[LiveShard]) -> Vec<Placement> {
    let threads = live::threads(BATCHING, config, shards);
    let cores = usable_cores();
    let placements = plan(&threads, &cores);
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
            source
                .run(&mut outlet)
                .inspect_err(|error| tracing::error!(source = source.name(), "source ended: {error}"))
        };
        let thread = spawn(&name, core, run)?;
        Ok(SourceThread { name, thread })
    }
}

fn sources(
    config: &Config,
    shards: Vec<LiveShard>,
    shared: &Shared,
    events_max: Option<u64>,
) -> Result<(Vec<ReadySource>, Vec<Input>)> {
    let budget = events_max.map(Budget::new);
    let (mut sources, mut inputs) = (Vec::new(), Vec::new());
    for (source, built) in built(config, shards, shared)? {
        let (producer, consumer) = rtrb::RingBuffer::new(config.ring.capacity);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        let outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: shared.wake.clone(),
            counters: counters.clone(),
            policy: match source.full {
                ConfigFull::Block => FullPolicy::Block,
                ConfigFull::Drop => FullPolicy::Drop,
            },
            stop: shared.stop.clone(),
            clock: shared.clock.clone(),
            budget: budget.clone(),
        });
        let id = SourceId(u16::try_from(inputs.len()).context("more than 65,536 sources")?);
        inputs.push(Input { source: id, ring: consumer, counters: counters.clone() });
        sources.push(ReadySource { source: built.source, outlet, counters, progress: built.progress });
    }
    Ok((sources, inputs))
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
        let (instruments, dead_letters) = (&shared.instruments, &shared.dead_letters);
        if let (SourceKind::Venue(_), Some(live)) = (&source.kind, &live) {
            while let Some(shard) = shards.next_if(|shard| shard.source == index) {
                let shard = registry::live(source, shard, config, live, instruments, dead_letters);
                built.push((source, shard.with_context(what)?));
            }
        } else {
            built.push((source, registry::source(source, config, instruments, dead_letters).with_context(what)?));
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
        counters: source.counters.clone(),
    };
    Watched {
        sources: sources.iter().map(source).collect(),
        batching: batching.clone(),
        journal: storage.watched_journal.clone(),
        links: storage.watches(),
        link_capacity: LINK_BLOCKS as u64,
        sinks: storage.sinks.clone(),
        batch_age_max: config.batch.max_age,
        instruments: shared.instruments.clone(),
        simulated: config.sources.iter().any(|source| matches!(source.kind, SourceKind::Sim(_))),
        clock: shared.clock.clone(),
    }
}
