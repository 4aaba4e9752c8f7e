//! The binary: starts a server, says where it is, and ends it when it is told to.

#![forbid(unsafe_code)]

mod cli;

use anyhow::{Context, Result};
use clap::Parser;
use cli::Cli;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use venue_sim::{Server, Summary, Venue};

/// How soon a signal or the end of the time is noticed.
const LOOK: Duration = Duration::from_millis(20);
/// How often a status line is written.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// Exit code of a run that proves nothing.
const EXIT_TROUBLE: u8 = 1;
/// Exit code of a run that did not start.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(trouble) if trouble.is_empty() => ExitCode::SUCCESS,
        Ok(trouble) => {
            trouble.iter().for_each(|words| eprintln!("venue-sim: {words}"));
            ExitCode::from(EXIT_TROUBLE)
        }
        Err(error) => {
            eprintln!("venue-sim: {error:#}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Runs to the end; says what makes the run worth nothing.
fn run(cli: &Cli) -> Result<Vec<String>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).context("catching signals")?;
    }
    let server = Server::start(cli.config().map_err(anyhow::Error::msg)?)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", ready(&server, cli.venue))
        .and_then(|()| stdout.flush())
        .context("writing to standard output")?;
    drop(stdout);
    let (start, mut said) = (Instant::now(), Instant::now());
    let mut before = Summary::default();
    // Relaxed: nothing else hangs on the flag.
    while !stop.load(Ordering::Relaxed) && cli.duration.is_none_or(|duration| start.elapsed() < duration) {
        std::thread::sleep(LOOK);
        if !cli.quiet && said.elapsed() >= STATUS_EVERY {
            let now = server.summary();
            eprintln!("{}", status(cli.venue, start.elapsed(), said.elapsed(), &before, &now));
            (before, said) = (now, Instant::now());
        }
    }
    server.end();
    let total = server.summary();
    if !cli.quiet {
        eprintln!("{}", status(cli.venue, start.elapsed(), said.elapsed(), &before, &total));
    }
    let mut trouble: Vec<String> = server.log_error().into_iter().collect();
    if total.panics > 0 {
        trouble.push(format!("{} thread(s) panicked", total.panics));
    }
    Ok(trouble)
}

/// The line that says where it is.
fn ready(server: &Server, venue: Venue) -> String {
    let line = serde_json::json!({
        "venue": venue.name(),
        "ws": server.ws_url(""),
        "rest": server.rest_url(),
        "ca": server.ca_path(),
    });
    line.to_string()
}

fn status(venue: Venue, elapsed: Duration, since: Duration, before: &Summary, now: &Summary) -> String {
    let ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = (now.frames_sent - before.frames_sent).saturating_mul(1000) / ms;
    format!(
        "{} {}s: {} connections ({} so far, {} refused), {} frames sent ({rate}/s), {} dropped and {} doubled by {} faults, \
         {} REST requests, {} steps",
        venue.name(),
        elapsed.as_secs(),
        now.open,
        now.connections,
        now.refused,
        now.frames_sent,
        now.frames_lost,
        now.frames_twice,
        now.faults,
        now.rest,
        now.steps
    )
}
