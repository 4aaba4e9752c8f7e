//! A recorder that ends before its first commit leaves nothing in the journal: the next start still says since when
//! something may be missing. One that ends in order leaves no gap.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::types::TimestampNanosecondType;
use common::{Ended, Feedd, run_args, stored};
use feedd_testkit::disk::LoopFs;
use feedd_testkit::judge::{Evidence, Gap, StoredRow, judge};
use feedd_testkit::oracle::{Oracle, Sent, SentLog};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

/// Nothing is committed by time while a start lives.
const NO_COMMIT: [&str; 2] = ["--set", "journal.sync=10s"];
/// Trades a start gets; less than what is committed for its size.
const TRADES: u64 = 50;

/// A recorder with a pipe as its source, and what was written to it.
struct Scene {
    folder: TempDir,
    data: PathBuf,
    args: Vec<String>,
    oracle: Oracle,
    sent: Vec<Sent>,
}

impl Scene {
    /// `data`: a disk of its own, or below the folder of the pipe.
    fn new(data: Option<&Path>, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = data.map_or_else(|| folder.path().join("data"), Path::to_owned);
        // The folder's name is the venue.
        let pipe = folder.path().join("binance").join("feed");
        std::fs::create_dir(pipe.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let source = format!("capture:{}", pipe.display());
        let fixed = ["--source", &source, "--set", "health.interval=100ms"];
        let args = run_args(&data, &[&fixed, settings].concat());
        Self { folder, data, args, oracle: Oracle::new(3, &["BTCUSDT"]), sent: Vec::new() }
    }

    /// Starts the recorder, and lets it accept trades; the pipe stays open as long as the file.
    fn start(&mut self) -> (Feedd, File) {
        let mut feedd = Feedd::start(&self.args);
        // Opens when the recorder has.
        let mut pipe = File::options().write(true).open(self.folder.path().join("binance").join("feed")).unwrap();
        feedd.wait_until_said("recording 1 source(s)");
        let first = self.sent.last().map_or(1, |sent| sent.last + 1);
        for n in first..first + TRADES {
            let at_ns = now_ns();
            pipe.write_all(self.oracle.capture_line(n, at_ns).as_bytes()).unwrap();
            self.sent.push(Sent { first: n, last: n, first_ns: at_ns, last_ns: at_ns });
        }
        feedd.wait_until("the trades are accepted", |feedd| last_accepted(&feedd.said()) > TRADES - 1);
        (feedd, pipe)
    }

    /// A start that gets its trades and then a signal.
    fn start_and_end(&mut self, signal: &str) -> Ended {
        let (feedd, _pipe) = self.start();
        feedd.signal(signal);
        feedd.wait()
    }

    /// Every gap that is stored, by its epoch; and asserts that what is not stored lies in one of them.
    fn gaps(&self) -> Vec<(u32, Gap)> {
        let files = stored::read(&self.data);
        let gaps: Vec<(u32, Gap)> = stored::of(&files, "gaps").flat_map(gaps_of).collect();
        let spans: Vec<Gap> = gaps.iter().map(|&(_, gap)| gap).collect();
        let sent = SentLog::new(self.oracle.clone(), self.sent.clone());
        let verdict = judge(rows(&files), &Evidence { sent: &sent, gaps: &spans, durable: &[] });
        println!("{verdict}\n{gaps:?}");
        assert!(verdict.is_clean(), "{verdict}\n{gaps:?}");
        gaps
    }
}

fn gaps_of(rows: &stored::Rows) -> Vec<(u32, Gap)> {
    let time = |column| rows.numbers::<TimestampNanosecondType>(column).clone();
    let (from, to) = (time("from_ts"), time("to_ts"));
    let gap = |at: usize| {
        assert_eq!(rows.texts("reason").value(at), "recorder_down");
        Gap { from_ns: from.value(at), to_ns: to.value(at) }
    };
    rows.places().zip(0..).map(|((epoch, _), at)| (epoch, gap(at))).collect()
}

fn rows(files: &[stored::Rows]) -> Vec<StoredRow> {
    let ids = |rows: &stored::Rows| -> Vec<Option<u64>> {
        if rows.dataset != "trades" {
            return vec![None; rows.len()];
        }
        rows.numbers::<arrow_array::types::UInt64Type>("trade_id").iter().collect()
    };
    let row = |((epoch, seq), trade_id): ((u32, u64), Option<u64>)| {
        StoredRow::parse(&format!("{epoch}|{seq}|{}", trade_id.map_or_else(String::new, |id| id.to_string()))).unwrap()
    };
    files.iter().flat_map(|rows| rows.places().zip(ids(rows)).map(row).collect::<Vec<_>>()).collect()
}

fn now_ns() -> i64 {
    i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos()).unwrap()
}

/// The last number of accepted events in the health lines.
fn last_accepted(said: &str) -> u64 {
    let Some((_, last)) = said.rsplit_once(" | Total: ") else { return 0 };
    last.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap_or(0)
}

#[test]
fn starts_that_are_killed_before_their_first_commit_are_one_gap_from_the_first_of_them_on() {
    let mut scene = Scene::new(None, &NO_COMMIT);
    assert_eq!(scene.start_and_end("TERM").code(), Some(0));
    assert_eq!(scene.gaps(), [], "the first start of all misses nothing");
    let begin_ns = now_ns();
    for _ in 0..3 {
        assert_eq!(scene.start_and_end("KILL").code(), None);
    }
    let ended = scene.start_and_end("TERM");
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let gaps = scene.gaps();
    let [(5, gap)] = gaps[..] else { panic!("one gap, in the fifth start: {gaps:?}") };
    assert!(begin_ns <= gap.from_ns, "nothing is missing before the first of the kills: {gap:?}");
    // A start after an end in order adds nothing.
    assert_eq!(scene.start_and_end("TERM").code(), Some(0));
    assert_eq!(scene.gaps(), gaps);
}

#[test]
fn a_journal_that_vanished_with_the_power_does_not_hide_that_a_start_was_cut_off() {
    let Some(mut disk) = LoopFs::mount(256) else { return };
    // What the system has not written by itself is gone, also the names of files.
    let limits = ["--set", "journal.segment_bytes=1MiB", "--set", "journal.bytes_max=16MiB"];
    let settings = [&limits[..], &["--set", "journal.sync=os"]].concat();
    let mut scene = Scene::new(Some(&disk.path().join("data")), &settings);
    let begin_ns = now_ns();
    let (feedd, pipe) = scene.start();
    feedd.signal("STOP");
    disk.shutdown();
    feedd.signal("KILL");
    drop((feedd.wait(), pipe));
    disk.remount();
    assert!(scene.data.join("_feedd").join("stream.json").exists(), "the state is durable");
    let ended = scene.start_and_end("TERM");
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let gaps = scene.gaps();
    let [(2, gap)] = gaps[..] else { panic!("one gap, in the second start: {gaps:?}") };
    assert!(begin_ns <= gap.from_ns, "{gap:?}");
}

#[test]
fn without_a_journal_a_kill_is_a_gap_from_the_start_on_and_an_end_in_order_is_none() {
    let mut scene = Scene::new(None, &["--set", "journal.mode=off"]);
    assert_eq!(scene.start_and_end("TERM").code(), Some(0));
    assert_eq!(scene.start_and_end("TERM").code(), Some(0));
    assert_eq!(scene.gaps(), []);
    let begin_ns = now_ns();
    assert_eq!(scene.start_and_end("KILL").code(), None);
    assert_eq!(scene.start_and_end("TERM").code(), Some(0));
    let gaps = scene.gaps();
    let [(4, gap)] = gaps[..] else { panic!("one gap, in the fourth start: {gaps:?}") };
    assert!(begin_ns <= gap.from_ns, "{gap:?}");
}
