//! A journal's folder on a real disk: one writer, the format of its files, the tools that look at it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::raw::{self, DICTIONARY, EVENTS, checksum, frames};
use common::{Log, append, at, config, instruments, start};
use feedd_core::LockError;
use feedd_journal::{FrameKind, Journal, JournalConfig, JournalError, Repair, dump, inspect, repair_plan};
use feedd_model::UnixNanos;
use feedd_testkit::promise::Report;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn open(dir: &Path, epoch: u32) -> Result<(Journal, feedd_journal::Recovered), JournalError> {
    Journal::open(config(dir), start(epoch), instruments())
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_journal = |path: &PathBuf| path.file_name().is_some_and(|name| name != "lock");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.filter(is_journal).map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
}

#[test]
fn a_second_writer_is_refused_by_pid_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 1).unwrap();
    let before = contents(dir.path());
    let error = open(dir.path(), 2).unwrap_err();
    let own = std::process::id().to_string();
    assert!(matches!(&error, JournalError::Lock(LockError::InUse { pid, .. }) if *pid == own), "{error}");
    assert_eq!(contents(dir.path()), before);
    let mut last = 0;
    append(&mut journal, 1, &mut last, 1);
    journal.commit().unwrap();
    drop(journal);
    // A number that a dead process left is no lock.
    std::fs::write(dir.path().join("lock"), "1\n").unwrap();
    open(dir.path(), 2).unwrap();
    Report::new("P22").runs(2).faults(2).fault_kinds("second writer, number of a dead process").finish();
}

#[test]
fn files_are_private_and_as_long_as_configured() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(&dir.path().join("deep/er"), 1).unwrap();
    let mut last = 0;
    for _ in 0..10 {
        append(&mut journal, 1, &mut last, 63);
        journal.commit().unwrap();
    }
    let files = contents(&dir.path().join("deep/er"));
    assert!(files.len() >= 3);
    for (path, bytes) in &files {
        assert_eq!(bytes.len(), 16384);
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(journal.usage().bytes_used, files.len() as u64 * 16384);
}

#[test]
fn every_segment_carries_the_dictionary_of_its_events() {
    let dir = tempfile::tempdir().unwrap();
    let instruments = instruments();
    let (mut journal, _) = Journal::open(config(dir.path()), start(1), instruments.clone()).unwrap();
    let mut last = 0;
    for n in 0..100 {
        instruments.resolve("beta", &format!("SYMBOL-{n}")).unwrap();
        append(&mut journal, 1, &mut last, 11);
        journal.commit().unwrap();
    }
    drop(journal);
    let mut total = 0;
    let segments =
        contents(dir.path()).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "fdj"));
    for (path, bytes) in segments {
        let mut known = 0;
        for frame in frames(&bytes) {
            if frame.kind == DICTIONARY {
                let text = String::from_utf8(frame.payload.clone()).unwrap();
                let ids = text.lines().filter(|line| !line.is_empty()).map(|line| {
                    let value: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert!(value["venue"] == "alpha" || value["venue"] == "beta");
                    value["id"].as_u64().unwrap()
                });
                assert_eq!(ids.clone().count() as u64, u64::from(frame.count));
                known = known.max(ids.max().unwrap());
            }
            if frame.kind == EVENTS {
                // Append n came when n + 1 instruments were known.
                assert!(known > frame.first / 11, "{}: {known} known at seq {}", path.display(), frame.first);
                total += u64::from(frame.count);
            }
            assert!(frame.bytes <= 4096, "a damaged page costs at most two frames");
        }
    }
    assert_eq!(total, 1100);
}

#[test]
fn a_dictionary_larger_than_a_segment_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let instruments = instruments();
    for n in 0..2000 {
        instruments.resolve("beta", &format!("A-RATHER-LONG-SYMBOL-{n}")).unwrap();
    }
    let config = JournalConfig { bytes_max: 1 << 24, ..config(dir.path()) };
    let (mut journal, _) = Journal::open(config, start(1), instruments).unwrap();
    let mut last = 0;
    for _ in 0..50 {
        append(&mut journal, 1, &mut last, 63);
        journal.commit().unwrap();
    }
    assert_eq!(Log::read(&mut journal.cursor()).seqs(1), (1..=last).collect::<Vec<_>>());
}

#[test]
fn looking_from_outside_finds_what_a_start_finds_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 1).unwrap();
    let mut last = 0;
    for _ in 0..12 {
        append(&mut journal, 1, &mut last, 50);
        journal.commit().unwrap();
    }
    // Beside the running writer.
    assert_eq!(inspect(dir.path()).unwrap().events, last);
    let second = dir.path().join("00000000000000000002.fdj");
    drop(journal);
    let mut bytes = std::fs::read(&second).unwrap();
    bytes[9000] ^= 4;
    std::fs::write(&second, &bytes).unwrap();
    // A commit that was cut off.
    let newest = dir.path().join("00000000000000000003.fdj");
    let mut torn = std::fs::read(&newest).unwrap();
    let end = frames(&torn).last().map(|frame| frame.offset + frame.bytes).unwrap();
    torn[end..end + 200].fill(7);
    std::fs::write(&newest, &torn).unwrap();
    let before = contents(dir.path());
    let found = inspect(dir.path()).unwrap();
    let plan = repair_plan(dir.path()).unwrap();
    let listed: Vec<_> = dump(dir.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(contents(dir.path()), before);

    let kinds = |kind| listed.iter().filter(|frame| frame.kind == kind).count();
    assert_eq!((kinds(FrameKind::Damaged), kinds(FrameKind::Torn), kinds(FrameKind::EpochStart)), (1, 1, 1));
    assert_eq!((kinds(FrameKind::Segment), kinds(FrameKind::Seal)), (3, 2));
    let events: u64 = listed.iter().filter(|frame| frame.kind == FrameKind::Events).map(|f| u64::from(f.count)).sum();
    assert_eq!(events, found.events);
    let [Repair::SetAside { quarantine, bytes: aside, offset, lost, .. }, Repair::CutTornTail { bytes: cut }] =
        &plan[..]
    else {
        panic!("{plan:?}");
    };
    assert_eq!(*cut, 256);
    assert!(lost.is_some_and(|(first, last)| last.seq.0 - first.seq.0 == 49));

    let (journal, recovered) = open(dir.path(), 2).unwrap();
    assert_eq!(recovered, found);
    let kept = std::fs::read(quarantine).unwrap();
    let from = usize::try_from(*offset).unwrap();
    assert_eq!(kept, bytes[from..from + usize::try_from(*aside).unwrap()], "a start does what the plan says");
    assert_eq!(recovered.torn_bytes, *cut);
    drop(journal);
    assert_eq!(inspect(dir.path()).unwrap().torn_bytes, 0, "said once");
}

/// `golden/format-1`: written by the first version; `format-1.txt` was made from its bytes by a program of its own.
#[test]
fn the_golden_journal_of_format_1_is_read_whole() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in contents(&golden.join("format-1")) {
        std::fs::write(dir.path().join(path.file_name().unwrap()), bytes).unwrap();
    }
    let (journal, recovered) = open(dir.path(), 9).unwrap();
    assert!(recovered.damage.is_empty() && !recovered.clean && recovered.torn_bytes == 0, "{recovered:?}");
    let log = Log::read(&mut journal.cursor());
    assert!(log.missing.is_empty());
    let mut text = String::new();
    for ((epoch, seq), event) in &log.events {
        let hex: String = event.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        text += &format!("{epoch} {seq} {hex}\n");
    }
    assert!(text == std::fs::read_to_string(golden.join("format-1.txt")).unwrap(), "golden/format-1.txt differs");
    assert_eq!(log.ends.len(), 1);
    Report::new("P24").runs(1).note("format 1").finish();
}

#[test]
#[ignore = "writes golden/format-1 anew: only for a new format"]
fn write_the_golden_journal() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/format-1");
    for epoch in 1..=2 {
        let (mut journal, _) = open(&dir, epoch).unwrap();
        let mut last = 0;
        for count in [1, 63, 64, 30, 2, 90, 70] {
            append(&mut journal, epoch, &mut last, count);
            journal.commit().unwrap();
        }
        if epoch == 1 {
            journal.close(UnixNanos(123)).unwrap();
        }
    }
    std::fs::remove_file(dir.join("lock")).unwrap();
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 1).unwrap();
    let mut last = 0;
    for _ in 0..12 {
        append(&mut journal, 1, &mut last, 50);
        journal.commit().unwrap();
    }
    drop(journal);
    // The newest segment says format 2; an older one is damaged, which must not be touched either.
    let newest = dir.path().join("00000000000000000003.fdj");
    let mut bytes = std::fs::read(&newest).unwrap();
    bytes[64] = 2;
    let sum = checksum(&bytes[..128]);
    bytes[4..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(frames(&bytes)[0].kind, raw::SEGMENT);
    std::fs::write(&newest, &bytes).unwrap();
    let first = dir.path().join("00000000000000000001.fdj");
    let mut damaged = std::fs::read(&first).unwrap();
    damaged[5000] ^= 1;
    std::fs::write(&first, damaged).unwrap();
    let before = contents(dir.path());
    for error in [open(dir.path(), 2).unwrap_err(), inspect(dir.path()).unwrap_err()] {
        assert!(matches!(&error, JournalError::Newer { path, version: 2 } if *path == newest), "{error}");
    }
    assert_eq!(contents(dir.path()), before);
    assert!(!dir.path().join("quarantine").exists());
    Report::new("P24").runs(2).faults(1).fault_kinds("unknown newer format").finish();
}

#[test]
fn trimmed_segments_become_spares_and_the_rest_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 1).unwrap();
    let mut last = 0;
    for _ in 0..40 {
        append(&mut journal, 1, &mut last, 63);
        journal.commit().unwrap();
    }
    assert!(journal.usage().segments > 8);
    let end = journal.oldest_segment_end().unwrap();
    journal.trim(at(1, end.seq.0 - 1)).unwrap();
    assert_eq!(journal.oldest_segment_end(), Some(end), "one event too few");
    journal.trim(at(1, last)).unwrap();
    assert_eq!((journal.usage().segments, journal.oldest_segment_end()), (1, None));
    let names = contents(dir.path());
    let spares = names.keys().filter(|path| path.extension().is_some_and(|end| end == "spare")).count();
    assert_eq!((names.len(), spares), (3, 2));
    // Spares hold stale frames; they are never taken for new ones.
    for _ in 0..12 {
        append(&mut journal, 1, &mut last, 13);
        journal.commit().unwrap();
    }
    drop(journal);
    let (journal, recovered) = open(dir.path(), 2).unwrap();
    assert!(recovered.damage.is_empty() && recovered.torn_bytes == 0, "{recovered:?}");
    assert_eq!(Log::read(&mut journal.cursor()).seqs(1).last(), Some(&last));
}

#[test]
fn arbitrary_bytes_are_read_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(common::seed(12));
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path(), 1).unwrap();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 150);
    journal.commit().unwrap();
    let real = std::fs::read(dir.path().join("00000000000000000001.fdj")).unwrap();
    for _ in 0..2_000 {
        let mut bytes = real[..random.usize(..real.len())].to_vec();
        for _ in 0..random.usize(..20) {
            if !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        // Also with sound checksums over unsound headers.
        if bytes.len() > 128 && random.bool() {
            let at = random.usize(8..64);
            bytes[at] = random.u8(..);
            let sum = checksum(&bytes[..128]);
            bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        }
        feedd_journal::fuzzing::fuzz_bytes(&bytes);
    }
}
