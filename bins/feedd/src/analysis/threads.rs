//! The lane's threads: one makes bars, one runs strategies, one watches that a strategy which never returns is left behind.

use super::{Analysis, Ends, EngineParts, OutletRecords, Parts, Saved};
use crate::threads::spawn;
use crate::wiring::Shared;
use anyhow::Result;
use crossbeam_utils::Backoff;
use feedd_analysis::bars::Processor;
use feedd_analysis::engine::{Ended, EngineShared, Shift};
use feedd_analysis::flow::{Item, Items};
use feedd_core::counters::AnalysisCounters;
use feedd_core::link::{Delivered, LinkReceiver, LinkSender};
use feedd_core::{Block, Clock, Stop};
use feedd_model::MonoNanos;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Longest sleep while there is no block; the batching thread wakes the processor earlier.
const SLEEP_NS: u64 = 100_000_000;
/// How long the items of one block may wait for the engine's credit, all together, before they are handed over without it:
/// the bars of many symbols end at one moment, and an engine that is done with them in a moment is not behind. One that is
/// behind at the beginning of a block is not waited for.
const PATIENCE_NS: u64 = 1_000_000;
/// How often the engine is looked after.
const WATCH: Duration = Duration::from_millis(50);

/// The running lane.
pub(crate) struct AnalysisThreads {
    processor: JoinHandle<Vec<u8>>,
    engine: Option<JoinHandle<Vec<u8>>>,
}

/// How the lane ended.
pub(crate) struct LaneEnd {
    /// What went wrong, in plain words.
    pub(crate) troubles: Vec<String>,
    /// For the next start.
    pub(crate) saved: Saved,
}

impl AnalysisThreads {
    /// Waits for its end. `epoch` is that of this start.
    pub(crate) fn join(self, epoch: u32) -> LaneEnd {
        let mut end = LaneEnd { troubles: Vec::new(), saved: Saved { epoch, ..Saved::default() } };
        let saved = &mut end.saved;
        let threads =
            [("processor", Some(self.processor), &mut saved.processor), ("engine", self.engine, &mut saved.engine)];
        for (name, thread, state) in threads {
            match thread.map(JoinHandle::join) {
                None => {}
                Some(Ok(bytes)) => *state = bytes,
                Some(Err(_)) => end
                    .troubles
                    .push(format!("the analysis lane's {name} panicked; everything was recorded, bars are missing")),
            }
        }
        end
    }
}

impl Analysis {
    /// Starts the threads; what is left is for the batching thread and the telemetry.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(crate) fn spawn(self, core: Option<usize>, shared: &Shared) -> Result<(AnalysisThreads, Ends)> {
        let Parts { blocks, processor, bars, engine, counters } = self.parts;
        let (clock, stop) = (shared.clock.clone(), shared.stop.clone());
        let (items, engine) = match engine {
            Some(EngineParts { items, engine, shift }) => (Some(items), Some((engine, shift))),
            None => (None, None),
        };
        let items = ToEngine { sender: items, clock: clock.clone(), stop, patient_until: MonoNanos(0) };
        let work = BarsThread { blocks, processor, bars, items, counters, clock };
        let engine = engine.map(|(engine, shift)| spawn("engine watch", None, move || watch(&engine, shift)));
        let engine = engine.transpose()?;
        let processor = spawn("processor", core, move || work.run())?;
        Ok((AnalysisThreads { processor, engine }, self.ends))
    }
}

/// Makes bars of blocks.
struct BarsThread {
    blocks: LinkReceiver<Arc<Block>>,
    processor: Processor,
    bars: OutletRecords,
    items: ToEngine,
    counters: Arc<AnalysisCounters>,
    clock: Arc<dyn Clock>,
}

impl BarsThread {
    /// Gives its state for the next start.
    fn run(mut self) -> Vec<u8> {
        self.blocks.register();
        self.items.register();
        loop {
            match self.blocks.take() {
                Some(block) => self.block(&block),
                None if self.blocks.is_ended() => break,
                None => {
                    self.beat(self.clock.mono());
                    self.blocks.sleep(SLEEP_NS);
                }
            }
        }
        self.processor.finish(&mut self.items, &mut self.bars);
        self.note();
        self.processor.save()
    }

    fn block(&mut self, block: &Arc<Block>) {
        let began = self.clock.mono();
        self.beat(began);
        self.items.begin_block(began);
        self.processor.block(block, block.skipped(), &mut self.items, &mut self.bars);
        let counters = &self.counters.processor;
        counters.items.add(1);
        counters.events.add(block.events().len() as u64);
        counters.item_ns.record(self.clock.mono().since(began));
        self.note();
        self.blocks.signal_ready();
    }

    /// A sign of life.
    fn beat(&self, now: MonoNanos) {
        self.counters.processor.beat_at.set(now.0.max(1));
    }

    fn note(&self) {
        let (counters, counts) = (&self.counters.processor, self.processor.counts());
        counters.bars.set(counts.bars);
        counters.revised.set(counts.revised);
        counters.late.set(counts.late);
        counters.skipped.set(counts.skipped);
        counters.last_recv_ns.set(self.processor.clock().map_or(0, |at| at.0.max(0).unsigned_abs()));
    }
}

/// The link to the engine; nowhere when there is none.
struct ToEngine {
    sender: Option<LinkSender<Item>>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    /// Until when the credit is waited for.
    patient_until: MonoNanos,
}

impl ToEngine {
    fn register(&self) {
        if let Some(sender) = &self.sender {
            sender.register();
        }
    }

    fn begin_block(&mut self, now: MonoNanos) {
        let is_ready = self.sender.as_ref().is_some_and(LinkSender::is_ready);
        self.patient_until = if is_ready { MonoNanos(now.0 + PATIENCE_NS) } else { MonoNanos(0) };
    }
}

impl Items for ToEngine {
    fn put(&mut self, item: Item) {
        let Some(sender) = &mut self.sender else { return };
        let backoff = Backoff::new();
        while !sender.is_ready() && self.clock.mono() < self.patient_until {
            backoff.snooze();
        }
        // What a full link has kept from the engine is told before what follows.
        let skipped = sender.untold();
        if skipped.items > 0 && sender.send(Item::Skipped { events: skipped.events }, 0).is_err() {
            sender.skip(events_of(&item));
            return;
        }
        let events = events_of(&item);
        let instrument = match &item {
            Item::Bar { bar, .. } => Some(bar.instrument),
            Item::BlockEnd { .. } | Item::Skipped { .. } => None,
        };
        match sender.deliver(item, events, &*self.clock, &self.stop) {
            Delivered::Yes { with_credit: false } => sender.count_instruments(instrument.into_iter()),
            // What was skipped is counted by the link, and told with the next.
            Delivered::Yes { with_credit: true } | Delivered::Skipped(_) | Delivered::Over(_) => {}
        }
    }
}

/// Events that an item stands for: a bar's cycle is one.
const fn events_of(item: &Item) -> u64 {
    match item {
        Item::Bar { .. } => 1,
        Item::BlockEnd { .. } | Item::Skipped { .. } => 0,
    }
}

/// Runs the engine until its input ends. Gives its state for the next start: open orders go on with it.
fn watch(engine: &Arc<EngineShared<OutletRecords>>, shift: Shift) -> Vec<u8> {
    let has_finished = run_engine(engine, shift);
    engine.with(|engine| {
        let state = if has_finished { engine.save() } else { None };
        engine.records().close();
        state.unwrap_or_default()
    })
}

/// Runs the engine on a thread of its own, and on another one when a call never returns. Whether it came to the end.
fn run_engine(engine: &Arc<EngineShared<OutletRecords>>, shift: Shift) -> bool {
    let start = |shift: Shift| {
        let engine = engine.clone();
        std::thread::Builder::new().name("engine".into()).spawn(move || engine.run(&shift))
    };
    let mut thread = match start(shift) {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!("no thread for the strategies: {error}; bars are made without them");
            return false;
        }
    };
    loop {
        std::thread::sleep(WATCH);
        if let Some(next) = engine.supervise() {
            match start(next) {
                // The one before is left with the call that does not return.
                Ok(next) => thread = next,
                Err(error) => {
                    tracing::error!("no thread for the strategies that are left: {error}");
                    return false;
                }
            }
        } else if thread.is_finished() {
            match thread.join() {
                Ok(Ended::Finished) => return true,
                Ok(Ended::Replaced) => {}
                Err(_) => tracing::error!("the strategies' thread panicked; everything was recorded"),
            }
            return false;
        }
    }
}
