//! Samples of the end: reading begins near it, whatever lies before, and goes on from there.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{Log, append, open_sim};
use feedd_journal::testing::SimDisk;

/// Bytes of an event, and most events of a frame.
const EVENT_BYTES: u64 = 64;
const FRAME_EVENTS: u64 = 63;

#[test]
fn reading_begins_near_the_end_and_goes_on() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut cursor = journal.readers().cursor();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 150);
    journal.commit().unwrap();
    for bytes in [0, 1, 64, 700, 4_096, 5_000, 1 << 20] {
        cursor.seek_near_end(bytes).unwrap();
        let log = Log::read(&mut cursor);
        log.assert_unaltered();
        let seqs = log.seqs(1);
        let count = seqs.len() as u64;
        assert_eq!(seqs, (last + 1 - count..=last).collect::<Vec<_>>(), "{bytes}: the last ones, without a hole");
        assert!(
            count <= bytes / EVENT_BYTES && count + FRAME_EVENTS >= (bytes / EVENT_BYTES).min(last),
            "{bytes}: {count}"
        );
        assert_eq!((log.starts.len(), log.missing.len()), (1, 0), "{bytes}");
    }
    // What comes now is read as by any other cursor, over segments too.
    cursor.seek_near_end(0).unwrap();
    let mut log = Log::read(&mut cursor);
    assert!(log.events.is_empty());
    for _ in 0..20 {
        append(&mut journal, 1, &mut last, 60);
        journal.commit().unwrap();
        log.read_on(&mut cursor);
    }
    log.assert_unaltered();
    assert_eq!(log.seqs(1), (151..=last).collect::<Vec<_>>());
    assert!(journal.usage().segments > 2, "several segments");
    assert!(log.missing.is_empty());
}

#[test]
fn what_is_given_back_before_it_was_read_is_told() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut cursor = journal.readers().cursor();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 10);
    journal.commit().unwrap();
    cursor.seek_near_end(0).unwrap();
    let mut log = Log::read(&mut cursor);
    while journal.usage().segments < 6 {
        append(&mut journal, 1, &mut last, 60);
        journal.commit().unwrap();
    }
    // Nobody waits for this reader.
    journal.trim(common::at(1, last)).unwrap();
    append(&mut journal, 1, &mut last, 60);
    journal.commit().unwrap();
    log.read_on(&mut cursor);
    log.assert_unaltered();
    assert_eq!((log.missing[0].0, log.missing[0].1), (1, 11), "from the first one on");
    let told = |seq: u64| log.events.contains_key(&(1, seq)) || log.is_missing(1, seq);
    assert!((11..=last).all(told), "read or missing");
    assert!(log.events.contains_key(&(1, last)));
}
