//! The lane's stages as every case has them, and what their counters must say in the end.

use super::market::Market;
use super::tally::{MINUTE, SECOND, Strategies, Tally};
use anyhow::{Context, Result, ensure};
use feedd_analysis::bars::{BarsConfig, Processor};
use feedd_analysis::engine::{Engine, Plan, Settings};
use feedd_analysis::paper;
use feedd_analysis::strategies::Blueprint;
use feedd_core::counters::AnalysisCounters;
use feedd_core::{Clock, STRATEGY_VENUE};
use std::sync::Arc;

/// What is measured, with their default parameters, over bars of a second.
pub(super) const KINDS: [&str; 2] = ["sma", "rsi"];

/// Makes bars of a second, and of a minute beside them.
///
/// # Errors
/// When it cannot be made so.
pub(super) fn processor(has_minutes: bool, block_ends: bool) -> Result<Processor> {
    let mut intervals = vec![SECOND];
    intervals.extend(has_minutes.then_some(MINUTE));
    let config = BarsConfig { intervals, block_ends, ..BarsConfig::default() };
    Processor::new(config, |_| true).context("making the processor")
}

/// Runs the strategies for every symbol.
///
/// # Errors
/// When a strategy or the dictionary does not do.
pub(super) fn engine(
    market: &Market,
    has_books: bool,
    clock: Arc<dyn Clock>,
) -> Result<(Engine<Tally>, Arc<AnalysisCounters>)> {
    let plans = KINDS.iter().map(|kind| {
        let blueprint = Blueprint::read(kind, SECOND, &[])?;
        let id = market.instruments.resolve(STRATEGY_VENUE, blueprint.name())?;
        Ok(Plan { blueprint, id, wants: Box::new(|_| true) })
    });
    let plans = plans.collect::<Result<Vec<_>>>()?;
    let names: Vec<String> = plans.iter().map(|plan| plan.blueprint.name().to_owned()).collect();
    let counters = Arc::new(AnalysisCounters::new(&names));
    let settings = Settings { paper: has_books.then(paper::Settings::default), ..Settings::default() };
    let engine = Engine::new(settings, plans, Tally::default(), market.instruments.clone(), clock, counters.clone())?;
    Ok((engine, counters))
}

/// Checks that the processor has seen every trade.
///
/// # Errors
/// When it has not.
pub(super) fn check_trades(processor: &Processor, market: &Market) -> Result<()> {
    let counts = processor.counts();
    let (found, wanted) = ((counts.trades, counts.skipped), (market.trades, 0));
    ensure!(found == wanted, "trades that arrived and were skipped are {found:?} instead of {wanted:?}");
    Ok(())
}

/// What the strategies did, after the end.
///
/// # Errors
/// When they were not shown every bar.
pub(super) fn strategies(
    engine: &mut Engine<Tally>,
    counters: &AnalysisCounters,
    market: &Market,
) -> Result<Strategies> {
    let Tally { signals, fills, equity, .. } = *engine.records();
    let cycles = counters.engine.cycles.get();
    ensure!(cycles == market.seconds, "the engine was given {cycles} bars instead of {}", market.seconds);
    Ok(Strategies { signals, fills, equity })
}
