//! bench-pipeline: feedd's storage measured against what the same machine can do, in one process and one run.
//!
//! Every figure that matters is a ratio of two ways that take turns (ours, theirs, ours, theirs, ...), because rates on a
//! machine that others use vary by a factor, and ratios of neighbours do not. What was stored is counted and summed after
//! each run: a way that loses a row has no figure. Start with `contest.rs`; then `hot_path/`, `postgres/`,
//! `journal.rs`, `local.rs`.
#![forbid(unsafe_code)]

mod cli;
mod contest;
mod hot_path;
mod journal;
mod local;
mod machine;
mod meter;
mod postgres;
mod report;
mod spread;
mod trades;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use cli::{Cli, Command, SinkCommand};
use report::Report;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

// As the recorder.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Something could not be measured, or what was stored is not what was written.
const EXIT_FAILED: u8 = 1;

fn main() -> ExitCode {
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
    let (report, json): (Report, bool) = match &cli.command {
        Command::Sink(SinkCommand::Postgres(args)) => (postgres::measure(args, &interrupt)?, args.json),
        Command::Sink(SinkCommand::Parquet(args)) => (local::parquet(args, &interrupt)?, args.json),
        Command::Sink(SinkCommand::Null(args)) => (local::null(args, &interrupt)?, args.json),
        Command::Journal(args) => (journal::measure(args, &interrupt)?, args.json),
        Command::HotPath(args) => (hot_path::measure(args, &interrupt)?, args.json),
    };
    report.print(json).context("writing to standard output")
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
