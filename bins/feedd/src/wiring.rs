//! Builds every stage and starts its thread, from the end of the way to its start: what consumes is there before what
//! produces.

use crate::registry;
use crate::threads::{Run, SourceThread};
use anyhow::{Context, Result, ensure};
use crossbeam_utils::CachePadded;
use feedd_config::{Config, Core, FullPolicy as ConfigFull, SourceKind, Wait};
use feedd_core::affinity::{CoreChoice, Placement, pin, plan, usable_cores};
use feedd_core::counters::{BatchingCounters, SourceCounters, StorageCounters};
use feedd_core::data_dir::{DataDir, STATE_DIR};
use feedd_core::dead_letters::{DeadLetterWriter, DeadLetters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::{LinkReceiver, LinkWatch, link};
use feedd_core::outlet::{Budget, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Clock, Instruments, Seq, Sink, SourceId, Stop, SystemClock};
use feedd_delivery::{BatchLimits, LaneEnd, LaneParts, Quarantine, Retry, StorageLane, pool_blocks};
use feedd_telemetry::{Watched, WatchedSource};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::sources::Progress;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Blocks on their way to the storage lane: 16 blocks of up to 4096 events bridge a write of some milliseconds.
const LINK_BLOCKS: usize = 16;
/// File of rejected texts, in the data folder.
pub const DEAD_LETTERS_FILE: &str = "dead-letters.jsonl";
/// File of events that a sink refused, in the data folder.
pub const QUARANTINE_FILE: &str = "quarantine.jsonl";

/// What all stages share.
struct Shared {
    clock: Arc<dyn Clock>,
    stop: Stop,
    wake: Arc<Wake>,
    instruments: Instruments,
    dead_letters: DeadLetters,
    cores: Vec<Placement>,
}

/// Starts a run. `events_max` bounds it: each source ends after the message that reaches the bound.
///
/// # Errors
/// When the data folder, the sink or a source cannot be opened, or a thread cannot be started. Nothing runs then.
pub fn start(config: &Config, events_max: Option<u64>) -> Result<Run> {
    let data_dir = DataDir::open(&config.data.dir)?;
    let instruments = Instruments::open(&data_dir.instruments_path())?;
    let mut sink = registry::sink(config, &instruments)?;
    let sink_name = sink.name();
    let stored =
        sink.recover(data_dir.stream(), data_dir.epoch()).with_context(|| format!("recovering sink {sink_name}"))?;
    // It would take the first events of this run for known ones and skip them.
    ensure!(
        stored == Seq(0),
        "sink {sink_name} already holds events of stream {} epoch {}, which starts only now: the state in {} is older than \
         the stored data, or belongs to another recorder; restore it from a copy, or use a new data.dir and an empty store",
        data_dir.stream(),
        data_dir.epoch(),
        data_dir.path().join(STATE_DIR).display()
    );
    let (dead_letters, letter_writer) = dead_letters(config, &data_dir)?;
    let wait = wait_strategy(config.batching.wait);
    let shared = Shared {
        clock: Arc::new(SystemClock::new()),
        stop: Stop::new(),
        wake: Arc::new(Wake::new(wait.parks())),
        instruments,
        dead_letters,
        cores: placements(config),
    };
    let (sources, inputs) = sources(config, &shared, events_max)?;
    let (sender, blocks) = link(LINK_BLOCKS);
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let storage = Arc::new(CachePadded::new(StorageCounters::default()));
    let watched = watched(config, &shared, &sources, (&batching, &storage), sender.watch(), sink_name);
    let fan_in = FanIn::new(FanInParts {
        stream: data_dir.stream(),
        epoch: data_dir.epoch(),
        inputs,
        lanes: vec![sender],
        pool: BlockPool::new(pool_blocks(LINK_BLOCKS, limits(config).backlog_max())),
        wait,
        wake: shared.wake.clone(),
        counters: batching,
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    });
    let lane = spawn_lane(config, &shared, &data_dir, sink, blocks, storage)?;
    let core = |index: usize| shared.cores.get(index).and_then(|placement| placement.core);
    let batching = spawn(BATCHING, core(0), move || fan_in.run())?;
    let progress = sources.iter().filter_map(|s| s.progress.clone()).collect();
    let sources = sources.into_iter().zip(1..).map(|(source, index)| source.spawn(core(index)));
    // Those that run already end with the one that could not be started.
    let sources = sources.collect::<Result<_>>().inspect_err(|_| shared.stop.abort())?;
    Ok(Run { data_dir, stop: shared.stop, watched, progress, sources, batching, lane, letter_writer })
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

fn limits(config: &Config) -> BatchLimits {
    BatchLimits { events_max: config.batch.max_events, age_max: config.batch.max_age }
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
fn placements(config: &Config) -> Vec<Placement> {
    let choice = |core: Core| match core {
        Core::Auto => CoreChoice::Auto,
        Core::None => CoreChoice::Unpinned,
        Core::Pinned(core) => CoreChoice::Core(core),
    };
    let sources = config.sources.iter().map(|source| (source.name.clone(), choice(source.core)));
    let threads: Vec<_> = std::iter::once((BATCHING.to_owned(), choice(config.batching.core))).chain(sources).collect();
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

fn sources(config: &Config, shared: &Shared, events_max: Option<u64>) -> Result<(Vec<ReadySource>, Vec<Input>)> {
    let budget = events_max.map(Budget::new);
    let (mut sources, mut inputs) = (Vec::new(), Vec::new());
    for (index, source) in config.sources.iter().enumerate() {
        let built = registry::source(source, config, &shared.instruments, &shared.dead_letters)
            .with_context(|| format!("source {}", source.name))?;
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
        let id = SourceId(u16::try_from(index).context("more than 65,536 sources")?);
        inputs.push(Input { source: id, ring: consumer, counters: counters.clone() });
        sources.push(ReadySource { source: built.source, outlet, counters, progress: built.progress });
    }
    Ok((sources, inputs))
}

fn watched(
    config: &Config,
    shared: &Shared,
    sources: &[ReadySource],
    (batching, storage): (&Arc<CachePadded<BatchingCounters>>, &Arc<CachePadded<StorageCounters>>),
    link: LinkWatch,
    sink: &'static str,
) -> Watched {
    let source = |source: &ReadySource| WatchedSource {
        name: source.source.name().to_owned(),
        ring_capacity: config.ring.capacity as u64,
        counters: source.counters.clone(),
    };
    Watched {
        sources: sources.iter().map(source).collect(),
        batching: batching.clone(),
        link,
        link_capacity: LINK_BLOCKS as u64,
        storage: storage.clone(),
        sink,
        batch_age_max: config.batch.max_age,
        instruments: shared.instruments.clone(),
        simulated: config.sources.iter().any(|source| matches!(source.kind, SourceKind::Sim(_))),
        clock: shared.clock.clone(),
    }
}

fn spawn_lane(
    config: &Config,
    shared: &Shared,
    data_dir: &DataDir,
    sink: Box<dyn Sink>,
    blocks: LinkReceiver<Arc<Block>>,
    counters: Arc<CachePadded<StorageCounters>>,
) -> Result<JoinHandle<LaneEnd>> {
    let parts = LaneParts {
        blocks,
        sink,
        limits: limits(config),
        retry: Retry { attempts: config.retry.attempts, delay: config.retry.delay, delay_max: config.retry.max_delay },
        quarantine: Quarantine::new(&data_dir.path().join(QUARANTINE_FILE)),
        counters,
        clock: shared.clock.clone(),
        stop: shared.stop.clone(),
    };
    // The epoch differs at every start: recorders that start together do not retry together.
    let lane = StorageLane::new(parts, u64::from(std::process::id()) << 32 | u64::from(data_dir.epoch().0));
    spawn("storage", None, move || lane.run())
}

/// Starts a named thread on its core, if it has one.
fn spawn<T: Send + 'static>(
    name: &str,
    core: Option<usize>,
    body: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    let thread = name.to_owned();
    std::thread::Builder::new()
        // A source's name comes from the configuration; the system takes no NUL.
        .name(name.replace('\0', " "))
        .spawn(move || {
            if let Some(core) = core
                && !pin(core)
            {
                tracing::warn!(thread, core, "the system refused to pin this thread; it runs unpinned");
            }
            body()
        })
        .with_context(|| format!("starting thread {name}"))
}
