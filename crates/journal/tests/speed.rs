//! Figures, on request: `cargo nextest run -p feedd-journal --run-ignored only -E 'test(figures)' --no-capture`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{event, instruments, start};
use feedd_journal::{Journal, JournalConfig, Sync, inspect};
use feedd_model::{Seq, SourceId, UnixNanos};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Instant;

const COMMIT_EVENTS: usize = 1024;

#[test]
#[ignore = "prints figures, checks none"]
fn figures_of_commits_and_scans() {
    let events: Vec<_> = (1..=COMMIT_EVENTS as u64).map(|seq| event(1, seq)).collect();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let config = JournalConfig {
        dir: dir.path().join("journal"),
        segment_bytes: 8 << 20,
        bytes_max: 4 << 30,
        sync: Sync::Always,
    };
    let (mut journal, _) = Journal::open(config, start(1), instruments()).unwrap();
    let raw = OpenOptions::new().create_new(true).write(true).open(dir.path().join("raw")).unwrap();
    let bytes = vec![7_u8; COMMIT_EVENTS * 64];
    let (mut last, mut offset) = (0, 0);
    let mut ratios = Vec::new();
    for _ in 0..21 {
        let begin = Instant::now();
        for _ in 0..200 {
            journal.append(Seq(last + 1), SourceId(0), &events, UnixNanos(1));
            journal.commit().unwrap();
            last += COMMIT_EVENTS as u64;
        }
        let ours = begin.elapsed();
        // As in operation: what is stored is given back, and its segments are used again.
        journal.trim(common::at(1, last)).unwrap();
        let begin = Instant::now();
        for _ in 0..200 {
            raw.write_all_at(&bytes, offset).unwrap();
            raw.sync_data().unwrap();
            offset += bytes.len() as u64;
        }
        ratios.push(begin.elapsed().as_secs_f64() / ours.as_secs_f64());
        println!("journal {:?} raw {:?} for 200 x 64 KiB", ours, begin.elapsed());
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "journal's speed over raw append + fdatasync: median {:.2}, {:.2} to {:.2}",
        ratios[10], ratios[5], ratios[15]
    );
    let kept = last;
    for _ in 0..8_000 {
        journal.append(Seq(last + 1), SourceId(0), &events, UnixNanos(1));
        last += COMMIT_EVENTS as u64;
        if last % (64 * COMMIT_EVENTS as u64) == 0 {
            journal.commit().unwrap();
        }
    }
    journal.close(UnixNanos(2)).unwrap();
    drop(journal);
    let begin = Instant::now();
    let found = inspect(&dir.path().join("journal")).unwrap();
    let gib = found.bytes as f64 / f64::from(1 << 30);
    println!("scan: {gib:.2} GiB, {} events, {:.2} GiB/s", found.events, gib / begin.elapsed().as_secs_f64());
    assert!(found.events >= last - kept);
}
