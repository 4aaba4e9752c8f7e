//! The whole lane as the recorder runs it: blocks over a link to the processor's thread, items over another one to the
//! engine's. Its loops are those of feedd's own analysis threads, without the rings back to storage: records are counted.

use super::market::Market;
use super::stages::{KINDS, check_trades, engine, processor, strategies};
use super::tally::{Strategies, Tally};
use crate::meter::thread_cpu;
use anyhow::{Result, anyhow, ensure};
use crossbeam_utils::Backoff;
use feedd_analysis::bars::Processor;
use feedd_analysis::engine::{Ended, Engine, EngineShared, Input};
use feedd_analysis::flow::{Item, Items};
use feedd_core::affinity::pin;
use feedd_core::link::{Delivered, LinkMode, LinkReceiver, LinkSender, LinkTotals, stage_link};
use feedd_core::wake::Wake;
use feedd_core::{Block, Clock, Stop, SystemClock};
use feedd_model::{Event, MonoNanos};
use rustix::thread::set_current_timer_slack;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// As the recorder has them by default.
const QUEUE_BLOCKS: usize = 64;
const QUEUE_ITEMS: usize = 256;
const SLEEP_NS: u64 = 100_000_000;
const PATIENCE_NS: u64 = 1_000_000;
/// No call hangs here: nobody would look.
const HANG_NS: u64 = u64::MAX;
/// A sleep ends so much too late at most, mostly: the rest of a wait is spent looking. A short rest, as the lane's two
/// threads need the two cores that there may be.
const OVERSLEEP_NS: u64 = 50_000;
/// From the start of the threads to the first block that is due.
const SETTLING_NS: u64 = 5_000_000;

/// What a reader of events is given: the stage that makes bars, and each strategy that is told of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    /// The block itself, shared by all.
    Shared,
    /// A list of its own, copied when it is told: the usual way, and the one the shared block is compared with.
    Copied,
}

impl Lists {
    /// The list of a reader's own, which is kept until the item is finished.
    fn of(self, block: &Block) -> Vec<Event> {
        match self {
            Self::Shared => Vec::new(),
            // Nobody reads more of it than of the block, so that only the copying is compared; without the box it would go.
            Self::Copied => std::hint::black_box(block.events().to_vec()),
        }
    }
}

/// When blocks are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each when the one before is finished: `data` mode.
    Credit,
    /// As fast as the link takes them: `clock` mode.
    Full,
    /// One each so many ns, whatever became of those before, and never closer: `clock` mode.
    Due(u64),
}

/// What one run took and counted.
pub(super) struct Ran {
    /// From the first delivery until the engine had finished the last item.
    pub(super) wall: Duration,
    pub(super) sender_cpu: Duration,
    pub(super) processor_cpu: Duration,
    pub(super) engine_cpu: Duration,
    pub(super) to_processor: LinkTotals,
    pub(super) to_engine: LinkTotals,
    /// Blocks that were delivered more than [`OVERSLEEP_NS`] after they were due.
    pub(super) late_blocks: u64,
    pub(super) strategies: Strategies,
}

impl Ran {
    /// CPU time of both threads of the lane.
    pub(super) fn lane_cpu(&self) -> Duration {
        self.processor_cpu + self.engine_cpu
    }

    /// Events delivered to the processor before it had finished the ones before, in per cent of all.
    pub(super) fn backpressure_percent(&self) -> f64 {
        self.to_processor.backpressure_events as f64 * 100.0 / self.to_processor.events as f64
    }
}

/// Runs all blocks of the market through the lane once.
///
/// With cores, the processor has the second to itself, and the first is for who delivers and the engine, which both have
/// little to do: there are three threads, and a host may have two cores.
///
/// # Errors
/// When a thread fails or cannot be pinned, or a trade or a bar is missing.
pub(super) fn run(market: &Market, pace: Pace, lists: Lists, cores: Option<[usize; 2]>) -> Result<Ran> {
    let stay = move |place: usize| {
        ensure!(cores.is_none_or(|cores| pin(cores[place])), "a thread could not be pinned");
        Ok(())
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let stop = Stop::new();
    let mode = if pace == Pace::Credit { LinkMode::Data } else { LinkMode::Clock };
    let (link, blocks) = stage_link("DataProcessor", QUEUE_BLOCKS, mode, Arc::new(Wake::new(true)));
    let (items, taken) = stage_link("AnalysisEngine", QUEUE_ITEMS, mode, Arc::new(Wake::new(true)));
    let watches = [link.watch(), items.watch()];
    let (engine, counters) = engine(market, false, clock.clone())?;
    let finished_ns = Arc::new(AtomicU64::new(0));
    let taken = Taken {
        link: taken,
        lists,
        own: std::array::from_fn(|_| Vec::new()),
        clock: clock.clone(),
        finished_ns: finished_ns.clone(),
    };
    let (engine, shift) = EngineShared::new(engine, Box::new(taken), HANG_NS);
    let items = ToEngine { sender: items, clock: clock.clone(), stop: stop.clone(), patient_until: MonoNanos(0) };
    let (processor, left) = (processor(false, false)?, market.blocks.len());
    let bars = BarsThread { blocks, left, lists, processor, bars: Tally::default(), items };
    let ran = std::thread::scope(|scope| {
        let bars = scope.spawn(move || {
            stay(1)?;
            Ok::<_, anyhow::Error>(bars.run())
        });
        let strategies = scope.spawn(|| {
            stay(0)?;
            ensure!(engine.run(&shift) == Ended::Finished, "the engine was taken over");
            Ok(thread_cpu())
        });
        let sender = Sender { link, clock: &*clock, stop: &stop };
        let sender = scope.spawn(move || {
            stay(0)?;
            sender.run(market, pace)
        });
        let (begin, sender_cpu, late_blocks) = sender.join().map_err(|_| anyhow!("the sender panicked"))??;
        let (processor, bars, processor_cpu) = bars.join().map_err(|_| anyhow!("the processor panicked"))??;
        let engine_cpu = strategies.join().map_err(|_| anyhow!("the engine panicked"))??;
        check_trades(&processor, market)?;
        bars.check(market, false)?;
        // Relaxed: the thread that wrote it was joined.
        let wall = Duration::from_nanos(MonoNanos(finished_ns.load(Ordering::Relaxed)).since(begin));
        Ok::<_, anyhow::Error>((wall, [sender_cpu, processor_cpu, engine_cpu], late_blocks))
    });
    let (wall, [sender_cpu, processor_cpu, engine_cpu], late_blocks) = ran?;
    engine.with(Engine::finish);
    let strategies = engine.with(|engine| strategies(engine, &counters, market))?;
    let [to_processor, to_engine] = watches.map(|watch| watch.totals());
    ensure!(to_processor.events == market.trades, "{} events were delivered", to_processor.events);
    ensure!(to_engine.items == market.seconds, "{} items were delivered to the engine", to_engine.items);
    Ok(Ran { wall, sender_cpu, processor_cpu, engine_cpu, to_processor, to_engine, late_blocks, strategies })
}

/// In place of the batching thread.
struct Sender<'a> {
    link: LinkSender<Arc<Block>>,
    clock: &'a dyn Clock,
    stop: &'a Stop,
}

impl Sender<'_> {
    /// Delivers every block: when it began, its CPU time, and how many blocks were late.
    fn run(mut self, market: &Market, pace: Pace) -> Result<(MonoNanos, Duration, u64)> {
        self.link.register();
        // Without it a sleep is 50 us too long. Where it is refused, late blocks tell.
        let _ = set_current_timer_slack(NonZeroU64::new(1));
        let cpu = thread_cpu();
        let begin = MonoNanos(self.clock.mono().0 + if pace == Pace::Credit { 0 } else { SETTLING_NS });
        let (mut late_blocks, mut due) = (0, begin);
        for block in &market.blocks {
            let now = self.wait_until(due);
            if let Pace::Due(every_ns) = pace {
                // When this thread itself was held up, what follows is put off: a burst would be backpressure of its making.
                let is_late = now.since(due) > OVERSLEEP_NS;
                late_blocks += u64::from(is_late);
                due = MonoNanos(if is_late { now.0 } else { due.0 } + every_ns);
            }
            match self.link.deliver(block.clone(), block.events().len() as u64, self.clock, self.stop) {
                Delivered::Yes { .. } => {}
                Delivered::Skipped(_) | Delivered::Over(_) => anyhow::bail!("a block was not delivered"),
            }
        }
        Ok((begin, thread_cpu().saturating_sub(cpu), late_blocks))
    }

    fn wait_until(&self, due: MonoNanos) -> MonoNanos {
        loop {
            let now = self.clock.mono();
            match due.0.saturating_sub(now.0) {
                0 => return now,
                left if left > OVERSLEEP_NS => std::thread::sleep(Duration::from_nanos(left - OVERSLEEP_NS)),
                _ => std::thread::yield_now(),
            }
        }
    }
}

/// Makes bars of blocks.
struct BarsThread {
    blocks: LinkReceiver<Arc<Block>>,
    /// Blocks to come.
    left: usize,
    lists: Lists,
    processor: Processor,
    bars: Tally,
    items: ToEngine,
}

impl BarsThread {
    /// Until the link ends: the processor, what it made, and the thread's CPU time.
    fn run(mut self) -> (Processor, Tally, Duration) {
        self.blocks.register();
        self.items.sender.register();
        loop {
            match self.blocks.take() {
                Some(block) => {
                    let own = self.lists.of(&block);
                    self.items.patient_until = MonoNanos(self.items.clock.mono().0 + PATIENCE_NS);
                    self.processor.block(&block, block.skipped(), &mut self.items, &mut self.bars);
                    drop(own);
                    self.blocks.signal_ready();
                    self.left -= 1;
                }
                None if self.blocks.is_ended() => break,
                // The end wakes nobody, and a sleep would count as work.
                None if self.left == 0 => std::thread::yield_now(),
                None => self.blocks.sleep(SLEEP_NS),
            }
        }
        self.processor.finish(&mut self.items, &mut self.bars);
        (self.processor, self.bars, thread_cpu())
    }
}

/// The link to the engine.
struct ToEngine {
    sender: LinkSender<Item>,
    clock: Arc<dyn Clock>,
    stop: Stop,
    /// Until when the credit is waited for.
    patient_until: MonoNanos,
}

impl Items for ToEngine {
    fn put(&mut self, item: Item) {
        let backoff = Backoff::new();
        while !self.sender.is_ready() && self.clock.mono() < self.patient_until {
            backoff.snooze();
        }
        match self.sender.deliver(item, 1, &*self.clock, &self.stop) {
            // What is missing is found when items are counted.
            Delivered::Yes { .. } | Delivered::Skipped(_) | Delivered::Over(_) => {}
        }
    }
}

/// The engine's end of it.
struct Taken {
    link: LinkReceiver<Item>,
    lists: Lists,
    /// Of the strategies that are told of the bar that is worked on.
    own: [Vec<Event>; KINDS.len()],
    clock: Arc<dyn Clock>,
    /// When the last item was finished: the thread itself may sleep on before it sees that there are no more.
    finished_ns: Arc<AtomicU64>,
}

impl Input for Taken {
    fn register(&mut self) {
        self.link.register();
    }

    fn take(&mut self) -> Option<Item> {
        let item = self.link.take()?;
        if let Item::Bar { block, .. } = &item {
            self.own = std::array::from_fn(|_| self.lists.of(block));
        }
        Some(item)
    }

    fn finish(&mut self) {
        self.own = std::array::from_fn(|_| Vec::new());
        self.finished_ns.store(self.clock.mono().0, Ordering::Relaxed);
        self.link.signal_ready();
    }

    fn is_ended(&self) -> bool {
        self.link.is_ended()
    }

    fn sleep(&self, nanos: u64) {
        self.link.sleep(nanos);
    }
}
