//! `size`: what a host needs for a number of symbols and a rate, from what one event costs on this machine, measured now.

mod arithmetic;
mod costs;

use crate::Interrupt;
use crate::cli::{SizeArgs, StoreArg};
use crate::machine::Machine;
use crate::report::{CaseFigure, Report, Table};
use crate::rounds::{Case, NS_PER_EVENT, Side};
use crate::spread::Spread;
use crate::trades::Trades;
use anyhow::{Context, Result};
use arithmetic::{CPU_SAFETY, DISK_SAFETY, Demand, MEMORY_SAFETY, Size, grouped};
pub(crate) use costs::symbol_names;
use costs::{Costs, Stored};
use feedd_config::Config;
use feedd_sink_postgres::Layout;
use serde_json::json;

/// More symbols cost hardly more an event (`growth` tells) and would only take longer to measure.
const SYMBOLS_MEASURED_MAX: u32 = 1_000;
/// Rows that PostgreSQL is measured with.
const POSTGRES_ROWS: usize = 100_000;

/// # Errors
/// When something cannot be measured.
pub(crate) fn measure(args: &SizeArgs, interrupt: &Interrupt) -> Result<Report> {
    let program_bytes = rss_bytes().context("reading the memory of this process from /proc/self/status")?;
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("size", Machine::look(&place));
    let symbols = args.symbols.min(SYMBOLS_MEASURED_MAX);
    let (costs, rows) = Costs::measure(usize::try_from(symbols)?, &place)?;
    interrupt.check()?;
    let stored = match args.sink {
        StoreArg::Parquet => costs::parquet(rows, &place)?,
        StoreArg::Postgres => postgres(args)?,
    };
    let demand = Demand {
        symbols: args.symbols,
        peak: args.rate,
        mean: args.mean_rate.unwrap_or(args.rate),
        retain_days: args.retain_days,
    };
    let config = Config::default();
    let size = arithmetic::size(&demand, &costs, &stored, &config, program_bytes);
    tell(&mut report, args, symbols, &costs, &stored, &size);
    Ok(report)
}

/// Trades through one connection of the sink, in its best batches.
fn postgres(args: &SizeArgs) -> Result<Stored> {
    let trades = Trades::simulate(POSTGRES_ROWS)?;
    let (run, bytes) = crate::postgres::cost(&args.server, Layout::default(), &trades)?;
    Ok(Stored {
        ns: run.client_us_per_row() * 1e3,
        server_ns: Some(run.server_us_per_row() * 1e3),
        bytes: bytes as f64 / trades.totals.rows as f64,
        row: "trade",
    })
}

fn tell(report: &mut Report, args: &SizeArgs, symbols: u32, costs: &Costs, stored: &Stored, size: &Size) {
    let sink = args.sink.name();
    report.notes = vec![
        format!("for {} symbols, {} events/s at the peak, sink {sink}", args.symbols, grouped(args.rate)),
        format!("CPU time of one thread each, measured now on this machine, {symbols} symbols of the simulated market"),
        format!("safety: cores x {CPU_SAFETY}, memory x {MEMORY_SAFETY}, disk x {DISK_SAFETY}"),
        "prices and sizes of the simulated market are stored in fewer bytes than a venue's may be: compare with a day of \
         your own data"
            .to_owned(),
        "bounds (rings, blocks, journal, row groups) are those of the default configuration".to_owned(),
    ];
    if args.mean_rate.is_none() {
        report.notes.push("the disk is sized as if the peak lasted all day: give --mean-rate".to_owned());
    }
    if args.retain_days.is_none() {
        report.notes.push("give --retain-days for the size of the disk".to_owned());
    }
    if stored.server_ns.is_some() {
        report.notes.push("rows are trades, and their bytes are without the indexes of finished days".to_owned());
    }
    if cfg!(debug_assertions) {
        report.warnings.push("a host sized by this build would be several times too large".to_owned());
    }
    report.warnings.extend(size.warnings.iter().cloned());
    let mut figures: Vec<(String, String, f64)> = costs
        .kinds
        .iter()
        .map(|kind| {
            let name = format!("source, {} ({:.0} % of the events)", kind.name, kind.share * 100.0);
            (format!("source_{}", kind.name), name, kind.ns)
        })
        .collect();
    let fixed = [
        ("source_mix", "source, mix of the simulated market", Some(costs.source_ns)),
        ("batching", "batching thread, one event a publish", Some(costs.batching_ns)),
        ("journal", "journal, append and commit", Some(costs.journal_ns)),
        ("read_back", "journal, read back", Some(costs.read_ns)),
        ("store", "sink", Some(stored.ns)),
        ("server", "database server", stored.server_ns),
    ];
    figures.extend(fixed.into_iter().filter_map(|(key, name, ns)| Some((key.to_owned(), name.to_owned(), ns?))));
    report.cases.extend(figures.into_iter().map(|(key, name, ns)| CaseFigure {
        case: Case { key, name, side: Side::Ours },
        unit: NS_PER_EVENT,
        spread: Spread::of([ns]),
    }));
    let rows = size.steps.iter().map(|step| vec![step.part.to_owned(), step.text.clone(), step.result.clone()]);
    report.tables = vec![Table { heads: vec!["part", "calculation", "result"], rows: rows.collect() }];
    report.figures.extend([
        ("sink".to_owned(), json!(sink)),
        ("symbols".to_owned(), json!(args.symbols)),
        ("rate".to_owned(), json!(args.rate)),
        ("mean_rate".to_owned(), json!(args.mean_rate.unwrap_or(args.rate))),
        ("cores".to_owned(), json!(size.cores)),
        ("server_cores".to_owned(), json!(size.server_cores)),
        ("sources".to_owned(), json!(size.sources)),
        ("memory_mib".to_owned(), json!(size.memory_mib)),
        ("disk_gb_per_day".to_owned(), json!(size.disk_gb_per_day)),
        ("disk_gb".to_owned(), json!(size.disk_gb)),
        ("journal_bytes_per_event".to_owned(), json!(costs.journal_bytes)),
        ("stored_bytes_per_row".to_owned(), json!(stored.bytes)),
        ("steps".to_owned(), size.steps.iter().map(|step| json!([step.part, step.text, step.result])).collect()),
    ]);
}

/// Memory of this process now.
fn rss_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}
