//! The analysis lane: its two threads, the links between them, and the rings that lead back to storage.

mod settings;
mod state;
mod threads;
mod ticks;

pub(crate) use settings::bars_config;
pub(crate) use state::{LaneStart, STATE_FILE, Saved};
pub(crate) use threads::AnalysisThreads;
pub(crate) use ticks::{Ticks, is_ticking};

use crate::wiring::Shared;
use anyhow::{Context, Result};
use crossbeam_utils::CachePadded;
use feedd_analysis::bars::Processor;
use feedd_analysis::engine::{Engine, EngineShared, Shift};
use feedd_analysis::flow::{Item, Records};
use feedd_config::Config;
use feedd_core::counters::{AnalysisCounters, SourceCounters};
use feedd_core::fanin::{Input, analysis_blocks};
use feedd_core::link::{LinkMode, LinkReceiver, LinkSender, stage_link};
use feedd_core::outlet::{FullPolicy, Outlet, OutletParts};
use feedd_core::wake::Wake;
use feedd_core::{Block, SourceId};
use feedd_model::{Derived, InstrumentId, duration_nanos};
use feedd_telemetry::{WatchedAnalysis, WatchedSource};
use std::sync::Arc;

/// Slots of the rings that lead back: bars and fills are few, and the batching thread never waits for this lane.
const DERIVED_RING: usize = 4_096;

/// The lane, wired and not yet running.
pub(crate) struct Analysis {
    pub(crate) ends: Ends,
    parts: Parts,
}

/// What the batching thread and the telemetry need of the lane.
pub(crate) struct Ends {
    /// From the batching thread.
    pub(crate) link: LinkSender<Arc<Block>>,
    /// The rings back to it.
    pub(crate) derived: Vec<Input>,
    /// Blocks that its pool needs for this lane.
    pub(crate) pool_blocks: usize,
    /// What comes through those rings.
    pub(crate) sources: Vec<WatchedSource>,
    /// What is counted.
    pub(crate) watched: WatchedAnalysis,
}

/// What the threads take with them.
struct Parts {
    blocks: LinkReceiver<Arc<Block>>,
    processor: Processor,
    bars: OutletRecords,
    engine: Option<EngineParts>,
    counters: Arc<AnalysisCounters>,
}

struct EngineParts {
    items: LinkSender<Item>,
    engine: Arc<EngineShared<OutletRecords>>,
    shift: Shift,
}

/// Derived records into a ring: whole, in order, never dropped while the run goes on.
pub(crate) struct OutletRecords {
    /// `None` once the lane has ended.
    outlet: Option<Outlet>,
    tap: Option<RecordTap>,
    /// Whether the batching thread was not woken for the last one.
    is_untold: bool,
}

/// Sees every record that strategies and books make, as it is put.
pub type RecordTap = Box<dyn FnMut(&Derived) + Send>;

impl OutletRecords {
    /// Nothing more comes: the batching thread can end, also while a strategy that never returns still holds the engine.
    fn close(&mut self) {
        self.outlet = None;
    }
}

impl Records for OutletRecords {
    fn put(&mut self, record: &Derived) {
        let slots = record.to_events();
        // After the stop deadline nothing is taken any more; the outlet has counted it.
        let _ = self.outlet.as_mut().map(|outlet| outlet.publish_record(slots.events()));
        self.is_untold = true;
        if let Some(tap) = &mut self.tap {
            tap(record);
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.is_untold) {
            self.outlet.iter().for_each(Outlet::tell);
        }
    }
}

/// Wires the lane, when the configuration asks for it. `first_source` is the number of the first ring that leads back, `start`
/// says what it goes on from.
///
/// # Errors
/// A calendar, a strategy or its parameters, or the dictionary.
pub(crate) fn build(
    config: &Config,
    shared: &Shared,
    mode: LinkMode,
    tap: Option<RecordTap>,
    (first_source, start): (usize, &LaneStart),
) -> Result<Option<Analysis>> {
    if !config.is_analysed() {
        return Ok(None);
    }
    let plans = settings::plans(config, &shared.instruments)?;
    let names: Vec<String> = plans.iter().map(|plan| plan.blueprint.name().to_owned()).collect();
    let counters = Arc::new(AnalysisCounters::new(&names));
    let (link, blocks) = stage_link("DataProcessor", config.analysis.queue_blocks, mode, shared.wake.clone());
    let mut rings = Rings { first: first_source, shared, inputs: Vec::new(), sources: Vec::new() };
    let bars = rings.add("analysis.bars", None)?;
    let mut bars_config = bars_config(config)?;
    // The processor's wake is its own: nobody else waits for the engine.
    let wake = Arc::new(Wake::new(true));
    let (items, taken) = stage_link("AnalysisEngine", config.analysis.queue_items, mode, wake);
    let watched =
        WatchedAnalysis { processor_link: link.watch(), engine_link: items.watch(), counters: counters.clone() };
    let mut engine_parts = None;
    if !plans.is_empty() {
        let records = rings.add("analysis.strategies", tap)?;
        let settings = settings::engine_settings(config, mode);
        let (instruments, clock) = (shared.instruments.clone(), shared.clock.clone());
        let mut engine = Engine::new(settings, plans, records, instruments, clock, counters.clone())?;
        for interval in engine.intervals() {
            if !bars_config.intervals.contains(&interval) {
                bars_config.intervals.push(interval);
            }
        }
        bars_config.block_ends = engine.needs_block_ends();
        start.engine(&mut engine);
        let hang_ns = duration_nanos(config.analysis.strategy_hang_max);
        let (engine, shift) = EngineShared::new(engine, Box::new(taken), hang_ns);
        engine_parts = Some(EngineParts { items, engine, shift });
    }
    let instruments = shared.instruments.clone();
    let symbols = config.analysis.symbols.clone();
    let wanted = move |id: InstrumentId| settings::is_named(&symbols, &instruments, id);
    let mut processor = Processor::new(bars_config, wanted).context("analysis.bars")?;
    start.processor(&mut processor);
    let pool_blocks = analysis_blocks(config.analysis.queue_blocks, config.analysis.queue_items);
    let Rings { inputs, sources, .. } = rings;
    let parts = Parts { blocks, processor, bars, engine: engine_parts, counters };
    let ends = Ends { link, derived: inputs, pool_blocks, sources, watched };
    Ok(Some(Analysis { ends, parts }))
}

/// Makes the rings that lead back.
struct Rings<'a> {
    first: usize,
    shared: &'a Shared,
    inputs: Vec<Input>,
    sources: Vec<WatchedSource>,
}

impl Rings<'_> {
    fn add(&mut self, name: &str, tap: Option<RecordTap>) -> Result<OutletRecords> {
        let (ring, taken) = rtrb::RingBuffer::new(DERIVED_RING);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&[], &[])));
        let id = u16::try_from(self.first + self.inputs.len()).context("more than 65,536 sources")?;
        self.inputs.push(Input { source: SourceId(id), ring: taken, counters: counters.clone() });
        self.sources.push(WatchedSource {
            name: name.to_owned(),
            ring_capacity: DERIVED_RING as u64,
            has_thread: false,
            counters: counters.clone(),
        });
        let outlet = Outlet::new(OutletParts {
            ring,
            wake: self.shared.wake.clone(),
            counters,
            policy: FullPolicy::Block,
            stop: self.shared.stop.clone(),
            clock: self.shared.clock.clone(),
            budget: None,
        });
        // The stages have signs of life of their own, and none of them holds up the recording.
        Ok(OutletRecords { outlet: Some(outlet.unheard()), tap, is_untold: false })
    }
}
