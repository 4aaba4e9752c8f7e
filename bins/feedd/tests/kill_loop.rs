//! P4: SIGKILL at random moments of a recorder's life, its recovery and the change of segments included: nothing durable is
//! lost, nothing is doubled, every start succeeds by itself, and what is missing lies in recorded gaps.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
#[allow(dead_code, reason = "there is no database here")]
mod oracled;

use arrow_array::types::TimestampNanosecondType;
use common::pg::{self, Size};
use common::{Feedd, run_args, stored};
use feedd_model::{Epoch, Position, Seq};
use feedd_testkit::judge::{Evidence, Gap, judge};
use feedd_testkit::promise::{Report, seed};
use oracled::{Sender, holes_within_starts, rows_of_files};
use std::path::Path;
use std::time::Duration;

/// Trades a second: a small segment is full within some 20 ms.
const RATE: u64 = 20_000;
/// Longest life of a start that is killed, and of each tenth one: a debug build records after some 50 ms, and finishes files
/// after a second.
const LIFE_MS_MAX: [u64; 2] = [400, 1_500];
/// Longest wait for anything that a busy machine makes slow.
const WAIT_MAX: Duration = Duration::from_secs(120);

fn kills() -> u64 {
    match Size::of_this_run() {
        Size::Day => 12,
        Size::Ci => 200,
        Size::Full => 2_000,
    }
}

/// The start that the data folder knows as its last one; `None` before the first.
fn epoch(data_dir: &Path) -> Option<Epoch> {
    let state = std::fs::read_to_string(data_dir.join("_feedd").join("stream.json")).ok()?;
    let digits = state.split_once("\"epoch\":")?.1;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().map(Epoch)
}

fn gaps(data_dir: &Path) -> Vec<Gap> {
    let files = stored::read(data_dir);
    let gaps = stored::of(&files, "gaps").flat_map(|rows| {
        let time = |column| rows.numbers::<TimestampNanosecondType>(column).clone();
        let (from, to) = (time("from_ts"), time("to_ts"));
        (0..rows.len()).map(move |at| Gap { from_ns: from.value(at), to_ns: to.value(at) })
    });
    gaps.collect()
}

#[test]
fn kills_at_any_moment_lose_nothing_durable_and_need_no_help() {
    let (seed, kills) = (seed(), kills());
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let sender = Sender::start(folder.path(), seed, RATE);
    let settings = ["journal.segment_bytes=32KiB", "parquet.file_age_max=1s", "health.interval=100ms"];
    let mut more = vec!["--sink".to_owned(), "parquet".to_owned(), "--source".to_owned(), sender.source()];
    more.extend(settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
    let args = run_args(&data_dir, &more.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut durable, mut recording) = (Vec::new(), 0_u64);
    for kill in 1..=kills {
        let mut feedd = Feedd::start(&args);
        let life_ms = rng.u64(..LIFE_MS_MAX[usize::from(kill % 10 == 0)]);
        std::thread::sleep(Duration::from_millis(life_ms));
        assert!(feedd.is_running(), "start {kill} failed by itself:\n{}", feedd.said());
        let said = feedd.said();
        feedd.signal("KILL");
        assert_eq!(feedd.wait().code(), None, "killed");
        recording += u64::from(said.contains("recording 1 source(s)"));
        if let (Some(seq), Some(epoch)) = (pg::durable(&said), epoch(&data_dir)) {
            durable.push(Position { epoch, seq: Seq(seq) });
        }
        sender.wait_until_alone();
    }
    // Undisturbed: everything there is gets into files.
    let mut feedd = Feedd::start(&args);
    pg::wait(&mut feedd, WAIT_MAX, "a second of events", |feedd| pg::durable(&feedd.said()) > Some(RATE));
    let (sent, held) = sender.end();
    std::thread::sleep(Duration::from_millis(500));
    feedd.signal("TERM");
    let ended = feedd.wait();
    drop(held);
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.account().is_complete(), "{}", ended.stderr);

    let rows = rows_of_files(&data_dir);
    let gaps = gaps(&data_dir);
    let holes = holes_within_starts(&rows);
    let verdict = judge(rows, &Evidence { sent: &sent, gaps: &gaps, durable: &durable });
    println!("{verdict}\n{} of {kills} starts were recording, {} had told what was durable", recording, durable.len());
    let note = format!(
        "{} events, {recording} starts killed while recording, {} before, {} missed, each received in a recorded gap",
        verdict.rows,
        kills - recording,
        verdict.missing_inside_gaps.count
    );
    Report::new("P4")
        .runs(kills)
        .faults(kills)
        .fault_kinds("kills of the recorder at any moment")
        .lost(verdict.missing_below_durable.count)
        .duplicated(verdict.duplicates.count)
        .demand(verdict.altered.count + verdict.phantoms.count == 0, "events altered or made up")
        .demand(verdict.missing_outside_gaps.count == 0, "events missed outside recorded gaps")
        .demand(holes == 0, "holes within a start")
        .demand(recording > 0 && !durable.is_empty(), "a start must have been recording when it was killed")
        .seed(seed)
        .note(&note)
        .finish();
}
