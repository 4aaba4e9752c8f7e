//! From the configuration to what the lane's stages are told.

use anyhow::{Context, Result};
use feedd_analysis::bars::{BarsConfig, Calendar, Empty};
use feedd_analysis::engine::{Lag, Overlong, Plan, Settings};
use feedd_analysis::paper;
use feedd_analysis::strategies::Blueprint;
use feedd_config::{Config, EmptyBars, FillAt};
use feedd_core::Instruments;
use feedd_core::link::LinkMode;
use feedd_model::{InstrumentId, duration_nanos};
use std::time::Duration;

/// Venue under which strategies stand in the dictionary.
pub(crate) const STRATEGY_VENUE: &str = "strategy";

/// What bars are made.
///
/// # Errors
/// When the calendar cannot be read.
pub(crate) fn bars_config(config: &Config) -> Result<BarsConfig> {
    let analysis = &config.analysis;
    let calendar = analysis.calendar.as_ref().map(|path| {
        let what = || format!("analysis.calendar {}", path.display());
        let text = std::fs::read_to_string(path).with_context(what)?;
        Calendar::parse(&text).with_context(what)
    });
    Ok(BarsConfig {
        intervals: analysis.bars.clone(),
        grace: analysis.grace,
        revise: analysis.revise,
        empty: match analysis.empty {
            EmptyBars::None => Empty::None,
            EmptyBars::Synthetic => Empty::Synthetic,
        },
        calendar: calendar.transpose()?,
        ..BarsConfig::default()
    })
}

/// The configured strategies.
///
/// # Errors
/// A strategy, parameter or interval that cannot be had, or a dictionary that cannot be written.
pub(super) fn plans(config: &Config, instruments: &Instruments) -> Result<Vec<Plan>> {
    let plan = |(at, settings): (usize, &feedd_config::StrategySettings)| {
        let what = || format!("strategy.{at} ({})", settings.kind);
        let blueprint = Blueprint::read(&settings.kind, settings.interval, &settings.parameters).with_context(what)?;
        let id = instruments.resolve(STRATEGY_VENUE, blueprint.name()).with_context(what)?;
        let (symbols, instruments) = (settings.symbols.clone(), instruments.clone());
        let wants = Box::new(move |id: InstrumentId| is_named(&symbols, &instruments, id));
        Ok(Plan { blueprint, id, wants })
    };
    config.strategies.iter().enumerate().map(plan).collect()
}

/// Whether an instrument's symbol is one of `symbols`, which are all when there are none.
pub(super) fn is_named(symbols: &[String], instruments: &Instruments, id: InstrumentId) -> bool {
    symbols.is_empty() || instruments.get(id).is_some_and(|i| symbols.iter().any(|symbol| **symbol == *i.symbol))
}

/// How the engine runs.
pub(super) fn engine_settings(config: &Config, mode: LinkMode) -> Settings {
    let (analysis, books) = (&config.analysis, &config.paper);
    let nanos = |duration: Duration| i64::try_from(duration_nanos(duration)).unwrap_or(i64::MAX);
    let paper = analysis.paper.then_some(paper::Settings {
        cash: books.cash,
        fee: books.fee,
        slippage: books.slippage,
        fill: match books.fill {
            FillAt::QuoteOrTrade => paper::Fill::QuoteOrTrade,
            FillAt::Trade => paper::Fill::Trade,
        },
        order_life_ns: nanos(books.order_life),
        equity_every_ns: nanos(books.equity_every),
    });
    // In a replay nothing is late.
    let lag = (mode == LinkMode::Live).then(|| Lag { ns_max: nanos(analysis.lag_max), ..Lag::default() });
    Settings { paper, call_ns_max: duration_nanos(analysis.strategy_time_max), overlong: Overlong::Warn, lag }
}
