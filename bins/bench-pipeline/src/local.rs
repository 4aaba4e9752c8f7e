//! Sinks without a server, driven as a recorder drives them; and `sink null`, which is nothing else.

use crate::Interrupt;
use crate::cli::NullArgs;
use crate::machine::Machine;
use crate::meter::thread_cpu;
use crate::report::{Report, Table};
use crate::spread::Spread;
use crate::trades::{EPOCH, STREAM, Trades};
use anyhow::{Result, ensure};
use feedd_core::{Batch, Sink};
use feedd_model::{MonoNanos, Seq};
use feedd_sink_null::NullSink;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// One run of one thread.
pub(crate) struct Run {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// Writes all rows in batches of the sink's best size and stores them; the sink is new.
///
/// # Errors
/// When the sink fails, or does not count every row as stored.
pub(crate) fn run(sink: &mut dyn Sink, batches: &[Batch], trades: &Trades) -> Result<Run> {
    sink.recover(STREAM, EPOCH)?;
    let (cpu, begin) = (thread_cpu(), Instant::now());
    for batch in batches {
        sink.write(batch, MonoNanos(0))?;
    }
    sink.flush(MonoNanos(0))?;
    let run = Run { wall: begin.elapsed(), cpu: thread_cpu().saturating_sub(cpu) };
    ensure!(sink.stored_seq() == Seq(trades.totals.rows), "{} is all that is stored", sink.stored_seq());
    Ok(run)
}

/// # Errors
/// When the sink did not read every event.
pub(crate) fn null(args: &NullArgs, interrupt: &Interrupt) -> Result<Report> {
    let trades = Trades::simulate(usize::try_from(args.rows)?)?;
    let mut report = Report::new("sink null", Machine::look(Path::new(".")));
    let expected = trades.events.iter().fold(0_u64, |sum, event| {
        let received = event.recv_ts().map_or(0, |time| time.0.cast_unsigned());
        sum.wrapping_add(received).wrapping_add(event.instrument().0.into())
    });
    let batches = trades.batches(Seq(1), NullSink::new().batch_events_best());
    let mut runs = Vec::new();
    for _ in 0..args.runs {
        interrupt.check()?;
        let mut sink = NullSink::new();
        let counts = sink.counts();
        runs.push(run(&mut sink, &batches, &trades)?);
        let (found, wanted) = ((counts.events(), counts.checksum()), (trades.totals.rows, expected));
        ensure!(found == wanted, "the sink read {found:?} instead of {wanted:?}");
    }
    let rows = trades.totals.rows as f64;
    let rate = Spread::of(runs.iter().map(|run| rows / run.wall.as_secs_f64()));
    let cpu_us = Spread::of(runs.iter().map(|run| run.cpu.as_secs_f64() * 1e6 / rows));
    report.notes.push(format!("{} rows a run, {} runs, all checked, one thread", args.rows, args.runs));
    report.tables.push(Table {
        heads: vec!["rows/s: median (p25 to p75)", "CPU us/row"],
        rows: vec![vec![Spread::text(rate, 0), Spread::text(cpu_us, 3)]],
    });
    report.figures.extend([
        ("rows".to_owned(), json!(args.rows)),
        ("runs_checked".to_owned(), json!(runs.len())),
        ("rows_per_s".to_owned(), json!(rate.map(Spread::json))),
        ("cpu_us_per_row".to_owned(), json!(cpu_us.map(Spread::json))),
        ("checksum".to_owned(), json!(expected)),
    ]);
    Ok(report)
}
