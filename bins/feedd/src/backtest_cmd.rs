//! `feedd backtest`: a recording through strategies on paper, and how they did. `feedd strategies`: what there is.

use crate::cli::ConfigArgs;
use crate::commands::{self, Verdict};
use crate::replay_cmd::RecordingArgs;
use crate::replaying::{Replayed, through_the_lane};
use anyhow::{Context, Result};
use clap::Args;
use feedd_analysis::paper::curve::{Line, svg};
use feedd_analysis::paper::report::{Collector, Figures, check_events, json, table};
use feedd_analysis::strategies::table::KINDS;
use feedd_config::{Config, StrategySettings};
use feedd_core::link::LinkMode;
use feedd_core::pace::Speed;
use feedd_model::{Interval, Money};
use feedd_telemetry::Performance;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

/// Files of the result, in the data folder.
const FIGURES_FILE: &str = "backtest.json";
const CURVE_FILE: &str = "equity.svg";
/// What trades when nothing is named.
const USUAL_STRATEGY: &str = "rsi";

#[derive(Args, Debug)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) recording: RecordingArgs,
    /// Strategy instead of the configured ones, with its usual parameters; `feedd strategies` lists them. May be given again.
    #[arg(long = "strategy", value_name = "KIND")]
    strategies: Vec<String>,
    /// Bars those strategies look at.
    #[arg(long, value_name = "INTERVAL", default_value = "1m", value_parser = interval)]
    interval: Interval,
    /// The figures as one JSON object.
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Interval, String> {
    text.parse().map_err(|error: feedd_model::IntervalError| error.to_string())
}

/// Replays as fast as possible, stores what the lane makes, and prints how the books did.
pub(crate) fn backtest(args: &BacktestArgs) -> ExitCode {
    commands::run(&args.config, |config, out| {
        let config = traded(config, args);
        let cash = Money::of(config.paper.cash).context("paper.cash is out of range")?;
        let collector = Arc::new(Mutex::new(Collector::new(cash)));
        let tap = {
            let collector = collector.clone();
            Box::new(move |record: &_| collector.lock().unwrap_or_else(PoisonError::into_inner).see(record))
        };
        let done = through_the_lane(&config, &args.recording, (Speed::Max, LinkMode::Data), Some(tap))?;
        let collector = collector.lock().unwrap_or_else(PoisonError::into_inner);
        report(&config, &done, &collector, args.json, out)
    })
}

/// The configuration with strategies that trade.
fn traded(config: &Config, args: &BacktestArgs) -> Config {
    let mut config = config.clone();
    config.analysis.paper = true;
    let usual = config.strategies.is_empty() && args.strategies.is_empty();
    let named = args.strategies.iter().map(String::as_str).chain(usual.then_some(USUAL_STRATEGY));
    let named: Vec<StrategySettings> = named
        .map(|kind| StrategySettings {
            kind: kind.to_owned(),
            interval: args.interval,
            symbols: Vec::new(),
            parameters: Vec::new(),
        })
        .collect();
    if !named.is_empty() {
        config.strategies = named;
    }
    config
}

fn report(
    config: &Config,
    done: &Replayed,
    collector: &Collector,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<Verdict> {
    let events = done.watched.account().replayed;
    check_events(events)?;
    let name = |id| done.watched.instruments.get(id).map_or_else(|| id.to_string(), |i| i.symbol.to_string());
    let figures = collector.figures();
    let document = json(&figures, name);
    write_files(config, collector, &figures, &document, &name)?;
    if as_json {
        commands::write_json(out, &document)?;
    } else {
        writeln!(out, "{}", table(&figures, name))?;
        writeln!(out, "{events} events in {} ms; nothing of this was ever sent to a venue", done.took.as_millis())?;
        for file in [FIGURES_FILE, CURVE_FILE] {
            writeln!(out, "{}", config.data.dir.join(file).display())?;
        }
        if let Some(performance) = Performance::take(&done.watched) {
            writeln!(out, "\n{}", performance.text())?;
        }
    }
    done.end.troubles.iter().for_each(|trouble| eprintln!("feedd: {trouble}"));
    Ok(Verdict::of(done.end.troubles.is_empty()))
}

fn write_files(
    config: &Config,
    collector: &Collector,
    figures: &[Figures],
    document: &serde_json::Value,
    name: &impl Fn(feedd_model::InstrumentId) -> String,
) -> Result<()> {
    let write = |file: &str, bytes: Vec<u8>| {
        let path = config.data.dir.join(file);
        std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))
    };
    write(FIGURES_FILE, serde_json::to_vec_pretty(document)?)?;
    let curves = collector
        .curves()
        .map(|(strategy, instrument, curve)| (format!("{} {}", name(strategy), name(instrument)), curve));
    let curves: Vec<_> = curves.collect();
    let lines: Vec<Line<'_>> = curves.iter().map(|(name, curve)| Line { name, curve }).collect();
    let cash = figures.first().map_or(0.0, |first| first.equity / (1.0 + first.total_return));
    write(CURVE_FILE, svg("Equity on paper", cash, &lines).into_bytes())
}

/// Prints every strategy.
pub(crate) fn strategies() -> ExitCode {
    for kind in KINDS {
        println!("{}: {}", kind.name, kind.help);
        for parameter in kind.parameters {
            println!("    {} ({}): {}", parameter.name, parameter.values.wanted(), parameter.help);
        }
    }
    ExitCode::SUCCESS
}
