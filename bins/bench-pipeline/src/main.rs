//! bench-pipeline: feedd measured beside what the same machine can do, in one process and one run.
//!
//! Every figure that matters is a ratio of two ways that take turns (ours, theirs, ours, theirs, ...), because rates on a
//! machine that others use vary by a factor, and ratios of neighbours do not. What was stored is counted and summed after
//! each run: a way that loses a row has no figure. Start with `rounds.rs`, which lets cases take turns; then `hot_path/`,
//! `parquet/`, `postgres/` (whose pairs have rules of their own, in `contest.rs`), `journal.rs`, `local.rs`.
#![forbid(unsafe_code)]

mod all;
mod analysis;
mod chart;
mod cli;
mod contest;
mod decode;
mod disturbance;
mod end_to_end;
mod growth;
mod hot_path;
mod journal;
mod latency;
mod limits;
mod line;
mod local;
mod machine;
mod meter;
mod parquet;
mod postgres;
mod processes;
mod report;
mod rounds;
mod scrape;
mod size;
mod spread;
mod trades;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cli::{AllArgs, Cli, Command, EndToEndArgs, OutputArgs, SinkCommand};
use report::Report;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

// As the recorder.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something could not be measured, or what was stored is not what was written.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
    // As the recorder.
    feedd_core::memory::use_small_pages();
    match measure(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-pipeline: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn measure(cli: &Cli) -> Result<()> {
    let interrupt = Interrupt::new()?;
    if let Command::EndToEnd(EndToEndArgs { role: Some(role), cores, .. }) = &cli.command {
        return end_to_end::play(*role, cores);
    }
    let report: Report = match &cli.command {
        Command::Sink(SinkCommand::Postgres(args)) => postgres::measure(args, &interrupt)?,
        Command::Sink(SinkCommand::Parquet(args)) => parquet::measure(args, &interrupt)?,
        Command::Sink(SinkCommand::Journal(args)) => journal::measure(args, &interrupt)?,
        Command::Sink(SinkCommand::Null(args)) => local::null(args, &interrupt)?,
        Command::HotPath(args) => hot_path::measure(args, &interrupt)?,
        Command::Latency(args) => latency::measure(args, &interrupt)?,
        Command::EndToEnd(args) => end_to_end::measure(args, &interrupt)?,
        Command::Growth(args) => growth::measure(args, &interrupt)?,
        Command::Size(args) => size::measure(args, &interrupt)?,
        Command::Decode(args) => decode::measure(args, &interrupt)?,
        Command::Analysis(args) => analysis::measure(args, &interrupt)?,
        Command::Scrape(args) => scrape::measure(args, &interrupt)?,
        Command::All(args) => return measure_all(args, &cli.output, &interrupt),
    };
    give_out(&report, &cli.output)
}

fn measure_all(args: &AllArgs, output: &OutputArgs, interrupt: &Interrupt) -> Result<()> {
    let all = all::measure(args, interrupt)?;
    if let Some(path) = &output.markdown {
        all.write_document(path)?;
    }
    give_out(&all.report, &OutputArgs { json: output.json.clone(), markdown: None, svg: None })?;
    let failed: Vec<&str> = all.failures().iter().map(|(name, _)| *name).collect();
    ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}

/// Writes what was asked for; tables to standard output unless that is where the JSON goes.
fn give_out(report: &Report, output: &OutputArgs) -> Result<()> {
    let write =
        |path: &Path, text: &[u8]| std::fs::write(path, text).with_context(|| format!("writing {}", path.display()));
    let mut shown = false;
    if let Some(path) = &output.json {
        let mut json = serde_json::to_vec(&report.json())?;
        json.push(b'\n');
        shown = path == Path::new("-");
        if shown {
            std::io::stdout().write_all(&json).context("writing to standard output")?;
        } else {
            write(path, &json)?;
        }
    }
    if let Some(path) = &output.markdown {
        let mut text = Vec::new();
        report.write_markdown(&mut text, 2)?;
        write(path, &text)?;
    }
    if let Some(path) = &output.svg {
        write(path, chart::svg(report).as_bytes())?;
    }
    if !shown {
        let mut out = std::io::stdout().lock();
        report.write_text(&mut out).and_then(|()| out.flush()).context("writing to standard output")?;
    }
    Ok(())
}

/// Whether somebody wants it to end. It ends between two runs, so that everything is cleaned up.
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    fn new() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            signal_hook::flag::register(signal, flag.clone()).context("registering a signal handler")?;
        }
        Ok(Self(flag))
    }

    /// # Errors
    /// When a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        // Relaxed: nothing else is read because of it.
        ensure!(!self.0.load(Ordering::Relaxed), "interrupted; nothing was kept");
        Ok(())
    }
}
