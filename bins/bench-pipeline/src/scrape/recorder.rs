//! The recorder that is looked at, or not: feedd itself. Its own health lines say how fast it was.

use anyhow::{Context, Result, bail, ensure};
use feedd_venues::time_text::rfc3339;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Between two health lines.
const HEALTH: &str = "health.interval=100ms";
/// Health lines at the beginning that do not count: files are made, caches are cold.
const COLD_LINES: usize = 3;
/// Until it says where it is, and until it has ended.
const START_MAX: Duration = Duration::from_secs(30);
const END_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(10);

/// Where events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Store {
    Parquet,
    /// A journal, and a sink that keeps nothing.
    JournalledNull,
}

/// A running recorder; killed when it goes out of scope before its end.
pub(super) struct Recorder {
    child: Child,
    log: PathBuf,
}

/// What it did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recorded {
    pub(super) accepted: u64,
    /// Over the time between the first and the last health line that count.
    pub(super) events_per_s: f64,
}

fn command(program: &Path, dir: &Path, what: &str, store: Store) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FEEDD_")) {
        command.env_remove(name);
    }
    command.arg(what).arg("--data-dir").arg(dir.join("data")).stdin(Stdio::null());
    match store {
        Store::Parquet => command.args(["--sink", "parquet"]),
        Store::JournalledNull => command.args(["--sink", "null", "--set", "journal.mode=on"]),
    };
    command
}

/// Starts it for so long.
///
/// # Errors
/// The system's.
pub(super) fn start(program: &Path, dir: &Path, store: Store, is_seen: bool, length: Duration) -> Result<Recorder> {
    let log = dir.join("log");
    let stderr = File::create(&log).with_context(|| format!("making {}", log.display()))?;
    let mut command = command(program, dir, "run", store);
    // Cold lines and the start beside what is measured.
    command.arg("--for").arg(format!("{}ms", length.as_millis() + 400));
    let listen = if is_seen { "admin.listen=127.0.0.1:0" } else { "admin.listen=off" };
    let socket = if is_seen { "admin.socket=true" } else { "admin.socket=false" };
    let sets = ["source.0.rate=max", "log.format=json", "stop.deadline=60s", HEALTH, listen, socket];
    command.args(sets.iter().flat_map(|set| ["--set", set])).stdout(Stdio::null()).stderr(stderr);
    let child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
    Ok(Recorder { child, log })
}

impl Recorder {
    /// `HOST:PORT`, as soon as it says so.
    ///
    /// # Errors
    /// When it does not.
    pub(super) fn address(&mut self) -> Result<String> {
        let begin = Instant::now();
        loop {
            let said = self.said()?;
            if let Some((_, rest)) = said.split_once("dashboard and metrics: http://")
                && let Some((address, _)) = rest.split_once('/')
            {
                return Ok(address.to_owned());
            }
            let is_over = self.child.try_wait()?.is_some();
            ensure!(!is_over && begin.elapsed() < START_MAX, "the recorder does not serve: {said}");
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end well, with everything stored.
    pub(super) fn end(mut self) -> Result<Recorded> {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(begin.elapsed() < END_MAX, "the recorder does not end");
            std::thread::sleep(LOOK);
        };
        let said = self.said()?;
        ensure!(status.success(), "the recorder ended with {status}: {said}");
        recorded(&said)
    }

    fn said(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Nothing to do when it has ended, which it mostly has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From its log: the rate between health lines, and that it lacks nothing.
fn recorded(said: &str) -> Result<Recorded> {
    let mut totals = Vec::new();
    let mut account = None;
    for line in said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let message = line["fields"]["message"].as_str().unwrap_or_default();
        let at = line["timestamp"].as_str().and_then(|text| rfc3339(text.as_bytes()));
        if let (Some(at), Some(total), None) = (at, number(message, "| Total: "), &account) {
            totals.push((at.0, total));
        }
        if message.starts_with("Final accounting (") {
            account = Some(message.to_owned());
        }
        if message.starts_with("stopping:") {
            // What comes later is the end, not the rate.
            account = account.or(Some(String::new()));
        }
    }
    let account = account.context("no final accounting in its log")?;
    ensure!(account.starts_with("Final accounting (complete):"), "not everything was stored: {account}");
    let accepted = number_before(&account, " accepted").context("the account tells no accepted events")?;
    let (Some(first), Some(last)) = (totals.get(COLD_LINES), totals.last()) else {
        bail!("{} health lines are too few: let it run for longer", totals.len());
    };
    let nanos = last.0 - first.0;
    ensure!(nanos > 0 && last.1 > first.1, "nothing was recorded between two health lines");
    Ok(Recorded { accepted, events_per_s: (last.1 - first.1) as f64 / (nanos as f64 / 1e9) })
}

/// The number that follows a text.
fn number(message: &str, after: &str) -> Option<u64> {
    let (_, rest) = message.split_once(after)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The number that stands before a text.
fn number_before(message: &str, before: &str) -> Option<u64> {
    let (rest, _) = message.split_once(before)?;
    rest.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whether as many rows are stored as were accepted.
///
/// # Errors
/// When they are not.
pub(super) fn verify(program: &Path, dir: &Path, accepted: u64) -> Result<()> {
    let output =
        command(program, dir, "verify", Store::Parquet).arg("--json").output().context("running feedd verify")?;
    let verified: Value = serde_json::from_slice(&output.stdout).context("reading what feedd verify says")?;
    let rows = verified.pointer("/lines/0/audit/rows").and_then(Value::as_u64);
    ensure!(
        verified["pass"] == true && rows == Some(accepted),
        "{accepted} events were accepted, feedd verify says {verified}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: u32, message: &str) -> String {
        format!(
            "{{\"timestamp\":\"2026-01-31T12:00:{second:02}.000000Z\",\"level\":\"INFO\",\"fields\":{{\"message\":\"{message}\"}}}}\n"
        )
    }

    #[test]
    fn the_rate_is_that_between_the_lines_that_count() {
        let health = |second: u32, total: u64| {
            line(second, &format!("Pipeline Health: 9 ticks/0s | Total: {total} | Batches: 1"))
        };
        let account = |verdict: &str| {
            line(
                11,
                &format!("Final accounting ({verdict}): frames: 9 received | events: 9 decoded, 5000 accepted | x"),
            )
        };
        let mut said: String = (0..8).map(|second| health(second, 100 * u64::from(second * second))).collect();
        said += &line(9, "stopping: sources end");
        said += &health(10, 99_999);
        let good = recorded(&(said.clone() + &account("complete"))).unwrap();
        assert_eq!(good, Recorded { accepted: 5_000, events_per_s: f64::from(4_900 - 900) / 4.0 });
        let pending = recorded(&(said.clone() + &account("complete, 3 pending in the journal for the next start")));
        assert!(pending.unwrap_err().to_string().contains("not everything was stored"));
        assert!(recorded(&said).is_err(), "no account");
    }
}
