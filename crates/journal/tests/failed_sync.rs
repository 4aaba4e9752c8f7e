//! Failing writes and syncs: nothing is called durable that is not; frames in memory are written again elsewhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{DIR, Log, append, at, open_sim, seed};
use feedd_journal::testing::{Fault, SimDisk};
use feedd_journal::{Cause, Journal, JournalError};
use feedd_model::UnixNanos;
use feedd_testkit::promise::Report;
use std::path::Path;

/// Commits until it works; tells how often it failed.
fn commit(journal: &mut Journal) -> usize {
    for failures in 0..10 {
        match journal.commit() {
            Ok(()) => return failures,
            Err(JournalError::Io { .. } | JournalError::Failed { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("a fault that is over does not last");
}

#[test]
fn a_failure_at_any_call_makes_nothing_falsely_durable() {
    let first = seed(1);
    let (mut runs, mut given_up) = (0, 0);
    for seed in first..first + if common::is_full() { 25 } else { 2 } {
        for call in 0..220 {
            let disk = SimDisk::new(seed << 16 | call);
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut journal, _) = open_sim(&disk, 1).unwrap();
            disk.fail_calls(call, 1 + call % 3, Fault::Eio);
            let mut last = 0;
            let mut trimmed = 0;
            // A power cut at a random moment after the fault.
            let rounds = random.usize(20..60);
            for _ in 0..rounds {
                append(&mut journal, 1, &mut last, random.u64(1..90));
                commit(&mut journal);
                assert_eq!(journal.tail().durable(), at(1, last));
                if random.u8(..6) == 0
                    && let Some(stored) = journal.oldest_segment_end()
                {
                    trimmed = trimmed.max(stored.seq.0);
                    // A trim that fails has freed what it could; the next one goes on.
                    assert!(journal.trim(stored).is_ok() || disk.has_failed());
                }
            }
            runs += u64::from(disk.has_failed());
            given_up += journal.usage().failed_syncs;
            drop(journal);
            disk.power_cut();
            let (journal, _) = open_sim(&disk, 2).unwrap();
            let mut cursor = journal.cursor();
            cursor.seek(at(1, trimmed)).unwrap();
            let log = Log::read(&mut cursor);
            log.assert_unaltered();
            assert_eq!(log.seqs(1), (trimmed + 1..=last).collect::<Vec<_>>(), "seed {seed} call {call}");
            assert!(
                !log.missing.iter().any(|hole| hole.3 == Cause::Damaged),
                "seed {seed} call {call}: {:?}",
                log.missing
            );
        }
    }
    let note = format!("{given_up} segments given up");
    Report::new("P7").runs(runs).faults(runs).fault_kinds("failed writes and syncs").seed(first).note(&note).finish();
    assert!(given_up > 100);
}

#[test]
fn readers_see_each_event_once_although_frames_stand_twice() {
    let disk = SimDisk::new(seed(4));
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut cursor = journal.cursor();
    let mut log = Log::default();
    let mut last = 0;
    for round in 0..30 {
        append(&mut journal, 1, &mut last, 30);
        if round % 7 == 3 {
            // The write works, its sync does not.
            disk.fail_calls(1, 1, Fault::Eio);
        }
        commit(&mut journal);
        log.read_on(&mut cursor);
        assert_eq!(log.seqs(1), (1..=last).collect::<Vec<_>>());
    }
    assert_eq!(journal.usage().failed_syncs, 4);
    drop(journal);
    // Also at the next start, without a power cut: pages that were never durable may still be shown.
    let (journal, recovered) = open_sim(&disk, 2).unwrap();
    assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
    assert_eq!(recovered.events, last);
    assert_eq!(Log::read(&mut journal.cursor()).seqs(1), (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_segment_is_never_synced_again_after_a_failure() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 10);
    journal.commit().unwrap();
    let first = disk.contents(&Path::new(DIR).join("00000000000000000001.fdj")).unwrap();
    append(&mut journal, 1, &mut last, 10);
    disk.fail_calls(0, 1, Fault::Eio);
    journal.commit().unwrap();
    append(&mut journal, 1, &mut last, 10);
    journal.commit().unwrap();
    let path = Path::new(DIR).join("00000000000000000002.fdj");
    let frames = common::raw::frames(&disk.contents(&path).unwrap());
    let events: Vec<_> =
        frames.iter().filter(|frame| frame.kind == common::raw::EVENTS).map(|frame| frame.first).collect();
    assert_eq!(events, [11, 21], "the frames in memory stand in the next segment");
    let now = disk.contents(&Path::new(DIR).join("00000000000000000001.fdj")).unwrap();
    let durable = common::raw::frames(&first).last().map(|frame| frame.offset + frame.bytes).unwrap();
    assert_eq!(now[..durable], first[..durable], "the durable part stays");
}

#[test]
fn a_disk_that_stays_broken_is_reported_and_the_buffer_kept() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 10);
    journal.commit().unwrap();
    append(&mut journal, 1, &mut last, 10);
    let before = journal.uncommitted_bytes();
    // Every sync of data fails: calls alternate between write and sync, with making files between.
    let mut failed = None;
    for _ in 0..20 {
        disk.fail_calls(1, 1, Fault::Eio);
        match journal.commit() {
            Err(JournalError::Failed { segments, .. }) => {
                failed = Some(segments);
                break;
            }
            Err(_) => {}
            Ok(()) => {
                append(&mut journal, 1, &mut last, 10);
            }
        }
        if journal.usage().failed_syncs > 0 {
            disk.fail_calls(0, 1000, Fault::Eio);
        }
    }
    assert!(failed.is_some_and(|segments| segments >= 3) || journal.commit().is_err());
    assert!(journal.uncommitted_bytes() >= before);
    let durable = journal.tail().durable();
    assert!(durable.seq.0 < last);
    disk.fail_calls(0, 0, Fault::Eio);
    journal.commit().unwrap();
    journal.close(UnixNanos(5)).unwrap();
    drop(journal);
    disk.power_cut();
    let (journal, _) = open_sim(&disk, 2).unwrap();
    assert_eq!(Log::read(&mut journal.cursor()).seqs(1), (1..=last).collect::<Vec<_>>());
}

#[test]
fn a_start_that_fails_at_any_call_can_be_repeated() {
    for call in 0..40 {
        let disk = SimDisk::new(call);
        let (mut journal, _) = open_sim(&disk, 1).unwrap();
        let mut last = 0;
        for _ in 0..10 {
            append(&mut journal, 1, &mut last, 63);
            journal.commit().unwrap();
        }
        journal.close(UnixNanos(5)).unwrap();
        drop(journal);
        disk.fail_calls(call, 1, Fault::Eio);
        let mut epoch = 2;
        let journal = loop {
            match open_sim(&disk, epoch) {
                Ok((journal, _)) => break journal,
                Err(error) => assert!(epoch < 4, "{error}"),
            }
            epoch += 1;
        };
        assert_eq!(Log::read(&mut journal.cursor()).seqs(1), (1..=last).collect::<Vec<_>>(), "call {call}");
    }
}
