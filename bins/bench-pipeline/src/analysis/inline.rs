//! The steps on one thread: events of blocks walked, bars made of them, strategies shown the bars, one called in line by the
//! other.

use super::market::Market;
use super::stages::{check_trades, engine, processor, strategies};
use super::tally::{Strategies, Tally};
use crate::meter::thread_cpu;
use anyhow::{Result, anyhow, ensure};
use feedd_analysis::bars::Processor;
use feedd_analysis::engine::Engine;
use feedd_analysis::flow::{Item, Items};
use feedd_core::SystemClock;
use feedd_core::affinity::pin;
use feedd_model::EventKind;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A run goes over all blocks again until it has taken so long.
const RUN_MIN: Duration = Duration::from_millis(120);

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Looks at each event's kind and time.
    Walk,
    /// Bars of a second, and of a minute beside them.
    Bars { minutes: bool },
    /// Bars of a second, and strategies over them.
    Strategies { books: bool },
}

/// What one run took.
pub(super) struct Ran {
    pub(super) passes: u64,
    pub(super) wall: Duration,
    pub(super) cpu: Duration,
    /// Of the last pass.
    pub(super) strategies: Option<Strategies>,
}

/// Runs it on a thread of its own, and checks each pass.
///
/// # Errors
/// When the thread cannot be pinned, or something is missing.
pub(super) fn run(work: Work, market: &Market, core: Option<usize>) -> Result<Ran> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            ensure!(core.is_none_or(pin), "the thread could not be pinned");
            let mut ran = Ran { passes: 0, wall: Duration::ZERO, cpu: Duration::ZERO, strategies: None };
            while ran.wall < RUN_MIN {
                pass(work, market, &mut ran)?;
                ran.passes += 1;
            }
            Ok(ran)
        });
        thread.join().map_err(|_| anyhow!("the thread panicked"))?
    })
}

/// Goes over all blocks once, from the beginning.
fn pass(work: Work, market: &Market, ran: &mut Ran) -> Result<()> {
    match work {
        Work::Walk => {
            let mut found = (0, 0);
            timed(ran, || found = walk(market));
            ensure!(found == (market.trades, market.times), "not every event was walked: {found:?}");
        }
        Work::Bars { minutes } => {
            let (mut processor, mut bars) = (processor(minutes, false)?, Tally::default());
            timed(ran, || make_bars(&mut processor, market, &mut Nowhere, &mut bars));
            check_trades(&processor, market)?;
            bars.check(market, minutes)?;
        }
        Work::Strategies { books } => {
            let (engine, counters) = engine(market, books, Arc::new(SystemClock::new()))?;
            let (mut processor, mut bars, mut engine) = (processor(false, books)?, Tally::default(), InLine(engine));
            timed(ran, || {
                make_bars(&mut processor, market, &mut engine, &mut bars);
                engine.0.finish();
            });
            check_trades(&processor, market)?;
            bars.check(market, false)?;
            ran.strategies = Some(strategies(&mut engine.0, &counters, market)?);
        }
    }
    Ok(())
}

fn timed(ran: &mut Ran, work: impl FnOnce()) {
    let (begin, cpu) = (Instant::now(), thread_cpu());
    work();
    ran.wall += begin.elapsed();
    ran.cpu += thread_cpu().saturating_sub(cpu);
}

/// Trades, and the sum of their times.
fn walk(market: &Market) -> (u64, u64) {
    let (mut trades, mut times) = (0, 0_u64);
    for event in market.blocks.iter().flat_map(|block| black_box(block).events()) {
        trades += u64::from(event.kind() == EventKind::Trade);
        times = times.wrapping_add(event.recv_ts().map_or(0, |time| time.0.cast_unsigned()));
    }
    (trades, times)
}

fn make_bars(processor: &mut Processor, market: &Market, items: &mut dyn Items, bars: &mut Tally) {
    for block in &market.blocks {
        processor.block(block, block.skipped(), items, bars);
    }
    processor.finish(items, bars);
}

/// Items for nobody.
struct Nowhere;

impl Items for Nowhere {
    fn put(&mut self, item: Item) {
        black_box(&item);
    }
}

/// The engine on the processor's thread.
struct InLine(Engine<Tally>);

impl Items for InLine {
    fn put(&mut self, item: Item) {
        self.0.item(item);
    }
}
