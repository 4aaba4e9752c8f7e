//! A full disk or budget: nothing durable is lost, nothing is believed that is not durable, and it goes on by itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{DIR, Log, SEGMENT_BYTES, append, at, config, instruments, open_sim, open_sim_with, start};
use feedd_journal::testing::{Fault, SimDisk};
use feedd_journal::{Journal, JournalConfig, JournalError};
use feedd_model::UnixNanos;
use feedd_testkit::promise::Report;
use std::path::Path;

/// Appends and commits; on a full disk `make_room` is called and the commit tried again.
fn fill(journal: &mut Journal, rounds: u64, mut make_room: impl FnMut(&mut Journal, JournalError)) -> u64 {
    let mut last = 0;
    for round in 0..rounds {
        append(journal, 1, &mut last, 40);
        if let Err(error) = journal.commit() {
            let durable = journal.tail().durable();
            assert!(durable.seq.0 < last && journal.uncommitted_bytes() > 0, "the rest is kept in the buffer");
            make_room(journal, error);
            // What arrives meanwhile is kept as well.
            append(journal, 1, &mut last, 1);
            journal.commit().unwrap_or_else(|error| panic!("round {round}: {error}"));
        }
        assert_eq!(journal.tail().durable(), at(1, last));
    }
    last
}

#[test]
fn a_disk_that_fills_at_any_size_goes_on_when_there_is_room() {
    for room in (SEGMENT_BYTES..10 * SEGMENT_BYTES).step_by(1024) {
        let disk = SimDisk::new(room);
        disk.set_bytes_max(room);
        let (mut journal, _) = open_sim(&disk, 1).unwrap();
        let mut waits = 0;
        let last = fill(&mut journal, 60, |_, error| {
            assert!(matches!(error, JournalError::NoSpace { .. }), "{error}");
            waits += 1;
            disk.set_bytes_max(disk.bytes_used() + 2 * SEGMENT_BYTES);
        });
        assert!(waits > 0, "{room} bytes are too few for the run");
        journal.close(UnixNanos(1)).unwrap();
        drop(journal);
        disk.power_cut();
        disk.set_bytes_max(disk.bytes_used() + SEGMENT_BYTES);
        let (journal, recovered) = open_sim(&disk, 2).unwrap_or_else(|error| panic!("{room}: {error}"));
        let log = Log::read(&mut journal.cursor());
        log.assert_unaltered();
        assert_eq!(log.seqs(1), (1..=last).collect::<Vec<_>>());
        assert!(recovered.clean && recovered.damage.is_empty());
    }
}

#[test]
fn no_space_at_any_call_loses_nothing() {
    let mut failed = 0;
    for call in 0..400 {
        let disk = SimDisk::new(call);
        let (mut journal, _) = open_sim(&disk, 1).unwrap();
        disk.fail_calls(call, 1, Fault::NoSpace);
        let last = fill(&mut journal, 50, |_, error| {
            assert!(error.is_full() || matches!(error, JournalError::Io { .. }), "{error}");
        });
        failed += u64::from(disk.has_failed());
        drop(journal);
        disk.power_cut();
        let (journal, _) = open_sim(&disk, 2).unwrap();
        let log = Log::read(&mut journal.cursor());
        assert_eq!((log.seqs(1), &log.missing[..]), ((1..=last).collect(), &[][..]), "call {call}");
    }
    Report::new("P6").runs(400).faults(failed).fault_kinds("no space at every I/O call").finish();
    assert!(failed > 100, "{failed} runs met the fault");
}

#[test]
fn a_prepared_segment_is_written_on_a_full_disk() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    while disk.bytes_used() < 2 * SEGMENT_BYTES {
        append(&mut journal, 1, &mut last, 20);
        journal.commit().unwrap();
    }
    disk.set_bytes_max(disk.bytes_used());
    let half = last;
    let error = loop {
        append(&mut journal, 1, &mut last, 20);
        if let Err(error) = journal.commit() {
            break error;
        }
    };
    assert!(matches!(error, JournalError::NoSpace { .. }), "{error}");
    assert!(last > half * 3, "the rest of this segment and the next were written: {half} {last}");
    // A trim makes room inside: no new file is needed.
    journal.trim(journal.oldest_segment_end().unwrap()).unwrap();
    journal.commit().unwrap();
    assert_eq!(journal.tail().durable(), at(1, last));
}

#[test]
fn the_budget_holds_and_a_trim_frees_it() {
    let disk = SimDisk::new(1);
    let config = JournalConfig { bytes_max: 5 * SEGMENT_BYTES, ..config(Path::new(DIR)) };
    let (mut journal, _) = open_sim_with(&disk, 1, config.clone()).unwrap();
    let last = fill(&mut journal, 200, |journal, error| {
        assert!(matches!(error, JournalError::Budget { bytes_max } if bytes_max == 5 * SEGMENT_BYTES), "{error}");
        let stored = journal.oldest_segment_end().unwrap();
        journal.trim(stored).unwrap();
        assert!(disk.bytes_used() <= 5 * SEGMENT_BYTES);
    });
    assert_eq!(disk.bytes_used(), journal.usage().bytes_used);
    assert!(last > 6000);
    // Starts on a used-up budget work, and each costs a small segment at most.
    while journal.commit().is_ok() && disk.bytes_used() < 5 * SEGMENT_BYTES {}
    drop(journal);
    for epoch in 2..8 {
        let (journal, _) = open_sim_with(&disk, epoch, config.clone()).unwrap();
        assert!(disk.bytes_used() <= 7 * SEGMENT_BYTES, "{}", disk.bytes_used());
        drop(journal);
    }
}

#[test]
fn a_restart_on_a_full_disk_takes_the_spare() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 150);
    journal.commit().unwrap();
    disk.set_bytes_max(disk.bytes_used());
    drop(journal);
    for epoch in 2..6 {
        let (journal, _) = open_sim(&disk, epoch).unwrap_or_else(|error| panic!("start {epoch}: {error}"));
        assert_eq!(Log::read(&mut journal.cursor()).seqs(1), (1..=last).collect::<Vec<_>>());
    }
}

#[test]
fn limits_that_cannot_work_are_refused() {
    for (segment_bytes, bytes_max) in [(8192, 1 << 30), (16_385, 1 << 30), (65_536, 65_536 * 3 - 1)] {
        let config = JournalConfig { segment_bytes, bytes_max, ..config(Path::new(DIR)) };
        let error =
            Journal::open_on(std::sync::Arc::new(SimDisk::new(1)), config, start(1), instruments()).unwrap_err();
        assert!(matches!(error, JournalError::Config { .. }), "{error}");
    }
}
