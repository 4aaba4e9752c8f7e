//! `sink parquet` and `sink null`: sinks without a server, measured alone.

use crate::Interrupt;
use crate::cli::LocalArgs;
use crate::machine::Machine;
use crate::meter::thread_cpu;
use crate::report::{Report, Table};
use crate::spread::Spread;
use crate::trades::{EPOCH, STREAM, Trades};
use anyhow::{Context, Result, ensure};
use feedd_core::{Batch, Sink};
use feedd_model::{MonoNanos, Seq};
use feedd_sink_null::NullSink;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// One run of one thread.
struct Run {
    wall: Duration,
    cpu: Duration,
}

/// # Errors
/// When the folder cannot be written to, or the files do not hold every row once.
pub(crate) fn parquet(args: &LocalArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let trades = Trades::simulate(usize::try_from(args.rows)?)?;
    let mut report = Report::new("sink parquet", Machine::look(&place));
    let (mut runs, mut bytes) = (Vec::new(), 0);
    for _ in 0..args.runs {
        interrupt.check()?;
        let dir = tempfile::Builder::new().prefix("feedd-bench-").tempdir_in(&place);
        let dir = dir.with_context(|| format!("making a folder in {}", place.display()))?;
        let mut sink = ParquetSink::open(ParquetConfig::new(dir.path()), trades.instruments.clone())?;
        runs.push(run(&mut sink, &trades)?);
        let counted = sink.audit(STREAM, EPOCH)?.context("the Parquet sink counts its rows")?;
        let expected = (Seq(trades.totals.rows), trades.totals.rows, 0, 0);
        let found = (counted.stored_seq, counted.rows, counted.duplicates, counted.beyond);
        ensure!(found == expected, "the files hold {found:?} instead of {expected:?}");
        bytes = parquet_bytes(dir.path())?;
    }
    let per_row = bytes as f64 / trades.totals.rows as f64;
    finish(&mut report, args, &runs, &trades);
    report.notes.push("each run ends with files that are synced and closed; their rows are counted in them".to_owned());
    report.notes.push(format!("{per_row:.2} bytes a row"));
    report.figures.insert("bytes_per_row".to_owned(), json!(per_row));
    Ok(report)
}

/// # Errors
/// When the sink did not read every event.
pub(crate) fn null(args: &LocalArgs, interrupt: &Interrupt) -> Result<Report> {
    let trades = Trades::simulate(usize::try_from(args.rows)?)?;
    let mut report = Report::new("sink null", Machine::look(Path::new(".")));
    let expected = trades.events.iter().fold(0_u64, |sum, event| {
        let received = event.recv_ts().map_or(0, |time| time.0.cast_unsigned());
        sum.wrapping_add(received).wrapping_add(event.instrument().0.into())
    });
    let mut runs = Vec::new();
    for _ in 0..args.runs {
        interrupt.check()?;
        let mut sink = NullSink::new();
        let counts = sink.counts();
        runs.push(run(&mut sink, &trades)?);
        let (found, wanted) = ((counts.events(), counts.checksum()), (trades.totals.rows, expected));
        ensure!(found == wanted, "the sink read {found:?} instead of {wanted:?}");
    }
    finish(&mut report, args, &runs, &trades);
    report.figures.insert("checksum".to_owned(), json!(expected));
    Ok(report)
}

/// Writes all rows in the sink's best batches and stores them.
fn run(sink: &mut dyn Sink, trades: &Trades) -> Result<Run> {
    sink.recover(STREAM, EPOCH)?;
    let batches: Vec<Batch> = trades.batches(Seq(1), sink.batch_events_best());
    let (cpu, begin) = (thread_cpu(), Instant::now());
    for batch in &batches {
        sink.write(batch, MonoNanos(0))?;
    }
    sink.flush(MonoNanos(0))?;
    let run = Run { wall: begin.elapsed(), cpu: thread_cpu().saturating_sub(cpu) };
    ensure!(sink.stored_seq() == Seq(trades.totals.rows), "{} is all that is stored", sink.stored_seq());
    Ok(run)
}

fn finish(report: &mut Report, args: &LocalArgs, runs: &[Run], trades: &Trades) {
    let rows = trades.totals.rows as f64;
    let rate = Spread::of(runs.iter().map(|run| rows / run.wall.as_secs_f64()));
    let cpu_us = Spread::of(runs.iter().map(|run| run.cpu.as_secs_f64() * 1e6 / rows));
    let text = |spread: Option<Spread>, digits: usize| {
        let text = |s: Spread| format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.p25, s.p75);
        spread.map_or_else(|| "-".to_owned(), text)
    };
    report.notes.push(format!("{} rows a run, {} runs, all checked, one thread", args.rows, args.runs));
    report.tables.push(Table {
        heads: vec!["rows/s: median (p25 to p75)", "CPU us/row"],
        rows: vec![vec![text(rate, 0), text(cpu_us, 3)]],
    });
    report.figures.extend([
        ("rows".to_owned(), json!(args.rows)),
        ("runs_checked".to_owned(), json!(runs.len())),
        ("rows_per_s".to_owned(), json!(rate.map(Spread::json))),
        ("cpu_us_per_row".to_owned(), json!(cpu_us.map(Spread::json))),
    ]);
}

/// Bytes of all Parquet files below a folder.
fn parquet_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            bytes += parquet_bytes(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}
