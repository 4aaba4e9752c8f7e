//! However a run ends, what is stored is whole, and the final line accounts for every event.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::disk::SmallDisk;
use common::{Feedd, run, run_args, stored, synthetic};
use std::path::Path;
use std::time::{Duration, Instant};

/// Seed of the moments at which runs are stopped; a failure names the run.
const SEED: u64 = 7;
/// Small files: many are finished within a run, and some are open at its end.
const SMALL_FILES: [&str; 4] = ["--set", "parquet.file_bytes_max=64KiB", "--set", "parquet.memory_max=1MiB"];
/// The simulated market as fast as it goes.
const SIM_MAX: [&str; 4] = ["--source", "sim", "--set", "source.0.rate=max"];

/// Asserts that the first run in `dir` ended well and that its files hold exactly what it accounts for.
fn assert_all_stored(case: &str, dir: &Path, ended: &common::Ended) -> u64 {
    let accepted = ended.assert_complete(case).get("events.accepted");
    assert_eq!(stored::unfinished(dir), Vec::<std::path::PathBuf>::new(), "{case}: no unfinished file");
    stored::assert_dense(case, &stored::read(dir), 1, accepted);
    accepted
}

#[test]
fn a_signal_at_any_moment_ends_a_run_with_everything_stored() {
    let recording = tempfile::tempdir().unwrap();
    // 30 s of a market.
    let capture = synthetic::source(recording.path(), &synthetic::session(3000, 10_000_000));
    let mut sources = vec![SIM_MAX.to_vec(), vec!["--source", "sim", "--set", "source.0.rate=20000"]];
    for speed in ["source.0.speed=1", "source.0.speed=10", "source.0.speed=100"] {
        sources.push(vec!["--source", &capture, "--set", speed]);
    }
    let mut rng = fastrand::Rng::with_seed(SEED);
    for number in 0..20 {
        let mut args = sources[number % sources.len()].clone();
        if number / sources.len() % 2 == 0 {
            args.extend(SMALL_FILES);
        }
        let (signal, delay) = (["TERM", "INT"][number / 2 % 2], Duration::from_millis(rng.u64(0..1500)));
        let case = format!("run {number}: SIG{signal} after {delay:?}, {args:?}");
        let dir = tempfile::tempdir().unwrap();
        let mut feedd = Feedd::start(&run_args(dir.path(), &args));
        // Before this line the process has no handler, and nothing to store.
        feedd.wait_until_said("Data pipeline initialized");
        std::thread::sleep(delay);
        feedd.signal(signal);
        assert_all_stored(&case, dir.path(), &feedd.wait());
    }
}

#[test]
fn a_bound_on_events_ends_with_the_message_that_reaches_it() {
    let recording = tempfile::tempdir().unwrap();
    let capture = synthetic::source(recording.path(), &synthetic::session(30_000, 1_000_000));
    let capture = vec!["--source", capture.as_str()];
    for (name, source) in [("sim", SIM_MAX.to_vec()), ("capture", capture)] {
        for bound in [1, 1000, 1001, 50_000] {
            let case = format!("{name}, {bound} events");
            let (dir, text) = (tempfile::tempdir().unwrap(), bound.to_string());
            let ended = run(dir.path(), &[&source[..], &["--events", text.as_str()]].concat());
            assert_all_stored(&case, dir.path(), &ended);
            let decoded = ended.account().get("events.decoded");
            let last = last_message(&stored::read(dir.path()));
            assert!(decoded >= bound, "{case}: {decoded}");
            assert!(decoded - last < bound, "{case}: {decoded}, the last message has {last}");
        }
    }
}

/// Events of the last message that came from the source: a book header has its levels behind it.
fn last_message(rows: &[stored::Rows]) -> u64 {
    let last = |dataset| stored::last_seq(rows, dataset, 1).unwrap_or(0);
    let (book, level) = (last("books"), last("levels"));
    if level > last("trades").max(last("quotes")) { level - book + 1 } else { 1 }
}

#[test]
fn a_bound_on_time_ends_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let ended = run(dir.path(), &["--for", "300ms"]);
    assert!(start.elapsed() >= Duration::from_millis(300), "not before its time");
    // 300 ms at 1,000 frames a second; a busy machine starts late.
    assert!(assert_all_stored("--for 300ms", dir.path(), &ended) > 100);
}

/// A recorder without a journal, whose disk is full and which has said so.
fn stuck(disk: &SmallDisk, more: &[&str]) -> Feedd {
    disk.fill(1900);
    let retry = ["--set", "retry.delay=50ms", "--set", "journal.mode=off"];
    let args = [&SIM_MAX[..], &SMALL_FILES, &retry, more].concat();
    let mut feedd = Feedd::start(&run_args(&disk.path().join("data"), &args));
    feedd.wait_until_said("it is tried again, nothing is given up");
    feedd
}

#[test]
fn a_second_signal_ends_a_stuck_run_at_once() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    let mut feedd = stuck(&disk, &["--set", "stop.deadline=1h"]);
    feedd.signal("TERM");
    feedd.wait_until_said("stopping: ");
    assert!(feedd.is_running(), "the first signal waits for the sink: {}", feedd.said());
    feedd.signal("INT");
    let ended = feedd.wait();
    assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
}

#[test]
fn the_stop_deadline_ends_a_stuck_run_and_its_account_says_what_is_pending() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    let feedd = stuck(&disk, &["--set", "stop.deadline=300ms"]);
    feedd.signal("TERM");
    let ended = feedd.wait();
    assert_eq!(ended.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("the stop deadline passed before everything was stored"), "{}", ended.stderr);
    let account = ended.account();
    assert!(account.verdict.ends_with("events pending when the run ended"), "{account:?}");
    assert_eq!(account.get("unaccounted"), 0, "{account:?}");
    assert!(account.get("sink.pending") > 0, "{account:?}");
    // The room was too small for a whole file, or for few: what is visible is whole and within the account.
    let rows: usize = stored::read(&disk.path().join("data")).iter().map(stored::Rows::len).sum();
    assert!(rows as u64 >= account.get("sink.stored"), "{rows} rows, {account:?}");
}

#[test]
fn with_a_journal_a_stuck_sink_does_not_hold_up_the_end_and_the_next_start_stores_the_rest() {
    let Some(disk) = SmallDisk::mount(2048) else { return };
    let dir = tempfile::tempdir().unwrap();
    let files = disk.path().join("files");
    let folder = format!("parquet.dir={}", files.display());
    disk.fill(1900);
    let retry = ["--set", "retry.delay=20ms", "--set", "retry.max_delay=100ms", "--set", "stop.deadline=1h"];
    let args = [&SMALL_FILES[..], &retry, &["--set", &folder]].concat();
    let mut feedd = Feedd::start(&run_args(dir.path(), &[&args[..], &SIM_MAX].concat()));
    feedd.wait_until_said("breaker=\"open\"");
    feedd.signal("TERM");
    let ended = feedd.wait();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let first = ended.account();
    assert!(first.verdict.ends_with("pending in the journal for the next start"), "{first:?}");
    assert!(first.get("sink.pending") > 0 && first.get("journal.not yet") == 0, "{first:?}");

    disk.free();
    drop(disk);
    // The disk is gone with its files: what was visible on it is not looked for again, the rest is stored elsewhere.
    let ended = run(dir.path(), &[&SMALL_FILES[..], &["--events", "1000"]].concat());
    let account = ended.assert_complete("after a full disk");
    let rows = stored::read(dir.path());
    let (found, stored) = (account.get("earlier starts parquet.found"), account.get("earlier starts parquet.stored"));
    assert_eq!((found, stored), (first.get("events.accepted"), found), "{account:?}");
    stored::assert_dense("the start whose disk was full", &rows, 1, first.get("events.accepted"));
    stored::assert_dense("the start after it", &rows, 2, account.get("events.accepted"));
}

#[test]
fn a_kill_loses_nothing_durable_and_the_next_start_stores_it_and_marks_the_gap() {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut orphans = 0;
    for number in 0..5 {
        let case = format!("run {number}");
        let dir = tempfile::tempdir().unwrap();
        let health = ["--set", "health.interval=100ms"];
        let mut feedd = Feedd::start(&run_args(dir.path(), &[&SIM_MAX[..], &SMALL_FILES, &health].concat()));
        feedd.wait_until("a finished file beside an unfinished one", |feedd| {
            let told = feedd.said().contains("| Durable: ");
            told && !stored::files(dir.path()).is_empty() && !stored::unfinished(dir.path()).is_empty()
        });
        std::thread::sleep(Duration::from_millis(rng.u64(0..300)));
        if number == 0 {
            // At least one kill is to leave something behind: at a moment that is held still.
            feedd.wait_until("held still beside an unfinished file", |feedd| {
                feedd.signal("STOP");
                let is_found =
                    is_held_still(feedd.pid()) && stored::unfinished(dir.path()).iter().any(|p| is_parquet(p));
                if !is_found {
                    feedd.signal("CONT");
                }
                is_found
            });
        }
        let durable = last_durable(&feedd.said());
        feedd.signal("KILL");
        let ended = feedd.wait();
        assert_eq!(ended.code(), None, "{case}: killed: {}", ended.stderr);
        let left = stored::unfinished(dir.path()).iter().filter(|path| is_parquet(path)).count();
        orphans += left;

        let ended = run(dir.path(), &[&SIM_MAX[..], &["--events", "5000"]].concat());
        let accepted = ended.assert_complete("after a kill").get("events.accepted");
        let told = ended.stderr.contains("removed unfinished Parquet files");
        assert_eq!(told, left > 0, "{case}: {left} unfinished files: {}", ended.stderr);
        assert_eq!(stored::unfinished(dir.path()), Vec::<std::path::PathBuf>::new(), "{case}");
        let rows = stored::read(dir.path());
        let kept = *stored::seqs(&rows)[&1].last().unwrap();
        assert!(kept >= durable && durable > 0, "{case}: {kept} stored, {durable} were durable");
        stored::assert_dense(&case, &rows, 1, kept);
        stored::assert_dense("the next epoch", &rows, 2, accepted);
        let gaps: Vec<(u32, u64)> = stored::of(&rows, "gaps").flat_map(stored::Rows::places).collect();
        assert_eq!(gaps, [(2, 1)], "{case}: the span until the next start is its first event");
    }
    assert!(orphans > 0, "a kill leaves unfinished files behind");
}

/// Whether every thread of the process stands (state `T`); proc(5), /proc/pid/stat.
fn is_held_still(pid: u32) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}

/// The last durable sequence that the recorder told of.
fn last_durable(said: &str) -> u64 {
    let last = said.rsplit("| Durable: ").next().unwrap();
    last.split(' ').next().unwrap().parse().unwrap()
}

fn is_parquet(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".parquet.tmp")
}
