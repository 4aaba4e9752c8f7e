//! Reading: beside the writer, across starts, from any position, and over what was given back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{DIR, Log, append, at, config, event, instruments, open_sim, start};
use feedd_journal::testing::SimDisk;
use feedd_journal::{Cause, Item, Journal, JournalConfig};
use feedd_model::{Epoch, Position, Seq, SourceId, UnixNanos};
use std::time::Duration;

#[test]
fn what_is_not_committed_is_not_seen() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let (mut cursor, tail) = (journal.cursor(), journal.tail());
    assert_eq!(tail.durable(), at(1, 0));
    let mut log = Log::read(&mut cursor);
    assert_eq!((&log.starts[..], log.events.len()), (&[(1, 1_000_000)][..], 0));
    let mut last = 0;
    append(&mut journal, 1, &mut last, 100);
    log.read_on(&mut cursor);
    assert_eq!((log.events.len(), cursor.events_behind()), (0, 0));
    let seen = tail.generation();
    journal.commit().unwrap();
    assert_ne!(tail.wait(seen, Duration::ZERO), seen);
    assert_eq!((tail.durable(), cursor.events_behind()), (at(1, 100), 100));
    log.read_on(&mut cursor);
    assert_eq!((log.seqs(1), cursor.events_behind()), ((1..=100).collect(), 0));
    assert!(!tail.is_closed());
    journal.close(UnixNanos(77)).unwrap();
    log.read_on(&mut cursor);
    assert_eq!(log.ends, [(1, 100, 77)]);
    assert!(tail.is_closed());
}

#[test]
fn items_say_source_and_time() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    journal.append(Seq(1), SourceId(9), &common::events(1, 1..3), UnixNanos(50));
    journal.commit().unwrap();
    let mut cursor = journal.cursor();
    assert_eq!(
        cursor.next().unwrap(),
        Some(Item::Epoch { stream: common::STREAM, epoch: Epoch(1), at: UnixNanos(1_000_000) })
    );
    let events = [event(1, 1), event(1, 2)];
    let expected = Item::Events {
        epoch: Epoch(1),
        first: Seq(1),
        source: SourceId(9),
        at: UnixNanos(50),
        complete_until: UnixNanos(50),
        events: &events,
    };
    assert_eq!(cursor.next().unwrap(), Some(expected));
    assert_eq!(cursor.next().unwrap(), None);
}

/// Three starts: 1 closed, 2 killed, 3 running; several segments each.
fn three_starts(disk: &SimDisk) -> (Journal, [u64; 3]) {
    let mut lasts = [0; 3];
    for epoch in 1..=3 {
        let (mut journal, _) = open_sim(disk, epoch).unwrap();
        let last = &mut lasts[epoch as usize - 1];
        for _ in 0..10 * epoch {
            append(&mut journal, epoch, last, 63);
            journal.commit().unwrap();
        }
        match epoch {
            1 => journal.close(UnixNanos(11)).unwrap(),
            2 => {}
            _ => return (journal, lasts),
        }
    }
    unreachable!("the third start returns");
}

#[test]
fn a_seek_to_any_position_gives_what_follows() {
    let disk = SimDisk::new(1);
    let (journal, lasts) = three_starts(&disk);
    let total: u64 = lasts.iter().sum();
    let mut cursor = journal.cursor();
    assert_eq!(cursor.events_behind(), total);
    let whole = Log::read(&mut cursor);
    assert_eq!(whole.starts.iter().map(|start| start.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((whole.ends.as_slice(), whole.missing.len()), (&[(1, 630, 11)][..], 0));
    for (i, (&(epoch, seq), _)) in whole.events.iter().enumerate().filter(|(i, _)| i % 17 == 0) {
        cursor.seek(at(epoch, seq)).unwrap();
        let ahead = total - i as u64 - 1;
        assert_eq!(cursor.events_behind(), ahead, "after {epoch} {seq}");
        let log = Log::read(&mut cursor);
        assert_eq!(log.events.len() as u64, ahead);
        let next = whole.events.keys().nth(i + 1);
        assert_eq!(log.events.keys().next(), next, "after {epoch} {seq}");
        assert_eq!((log.missing.len(), cursor.events_behind()), (0, 0));
    }
    // An end that nothing in the journal reaches is no obstacle: what comes later comes.
    cursor.seek(at(2, 1_000_000)).unwrap();
    assert_eq!(Log::read(&mut cursor).seqs(3).len() as u64, lasts[2]);
}

#[test]
fn recovered_tells_the_starts() {
    let disk = SimDisk::new(1);
    let (journal, lasts) = three_starts(&disk);
    drop(journal);
    let (journal, recovered) = open_sim(&disk, 4).unwrap();
    let spans: Vec<_> =
        recovered.epochs.iter().map(|s| (s.epoch.0, s.first.0, s.last.0, s.ended.map(|at| at.0))).collect();
    assert_eq!(spans, [(1, 1, lasts[0], Some(11)), (2, 1, lasts[1], None), (3, 1, lasts[2], None)]);
    assert_eq!(recovered.events, lasts.iter().sum::<u64>());
    assert_eq!(recovered.last_event_at, Some(UnixNanos(i64::try_from(lasts[2]).unwrap() - 62)));
    assert!(!recovered.clean);
    drop(journal);
    // A start without events is nobody's loss, and its segment is used again.
    let (mut journal, recovered) = open_sim(&disk, 5).unwrap();
    assert_eq!(recovered.epochs.last().map(|span| (span.first.0, span.last.0)), Some((1, 0)));
    // Everything stored, everything trimmed: the time of the last event is still known.
    journal.trim(at(4, u64::MAX)).unwrap();
    journal.close(UnixNanos(3)).unwrap();
    drop(journal);
    let (journal, recovered) = open_sim(&disk, 6).unwrap();
    assert!(recovered.clean && recovered.events == 0);
    assert_eq!(recovered.last_event_at, Some(UnixNanos(i64::try_from(lasts[2]).unwrap() - 62)));
    assert_eq!(journal.oldest_segment_end(), None);
}

#[test]
fn segments_given_back_under_the_cursor_are_missing_as_trimmed() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    for _ in 0..20 {
        append(&mut journal, 1, &mut last, 63);
        journal.commit().unwrap();
    }
    let mut cursor = journal.cursor();
    // Into the middle of the first segment.
    assert!(matches!(cursor.next().unwrap(), Some(Item::Epoch { .. })));
    assert!(matches!(cursor.next().unwrap(), Some(Item::Events { first: Seq(1), .. })));
    let stored = at(1, 600);
    journal.trim(stored).unwrap();
    // The files are written over.
    for _ in 0..20 {
        append(&mut journal, 1, &mut last, 63);
        journal.commit().unwrap();
    }
    let mut log = Log { starts: vec![(1, 0)], ..Log::default() };
    log.read_on(&mut cursor);
    log.assert_unaltered();
    let (epoch, first, end, cause) = log.missing[0];
    assert_eq!((log.missing.len(), epoch, cause), (1, 1, Cause::Trimmed));
    // What the cursor had read ahead may still come.
    assert!(first >= 64 && end <= 600, "{first} to {end}");
    let seen: Vec<_> = (64..first).chain(end + 1..=last).collect();
    assert_eq!(log.seqs(1), seen);
    assert_eq!(cursor.events_behind(), 0);
    // A reader that comes with its own position learns the same.
    cursor.seek(at(1, 10)).unwrap();
    let log = Log::read(&mut cursor);
    assert_eq!(log.missing, [(1, 11, end, Cause::Trimmed)]);
    // One that has no position begins with what is there.
    assert!(Log::read(&mut journal.cursor()).missing.is_empty());
}

#[test]
fn events_lost_at_the_end_of_a_start_are_missing() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 1).unwrap();
    let mut last = 0;
    append(&mut journal, 1, &mut last, 100);
    journal.close(UnixNanos(11)).unwrap();
    drop(journal);
    // The second frame of events (64 to 100) is damaged; the clean stop behind it says how far the epoch went.
    let path = std::path::Path::new(DIR).join("00000000000000000001.fdj");
    let mut bytes = disk.contents(&path).unwrap();
    let frame = common::raw::frames(&bytes).into_iter().find(|frame| frame.first == 64).unwrap();
    bytes[frame.offset + 100] ^= 1;
    disk.put(&path, &bytes);
    let (mut journal, recovered) = open_sim(&disk, 2).unwrap();
    assert_eq!(recovered.damage.iter().map(|damage| damage.lost).collect::<Vec<_>>(), [Some((at(1, 64), at(1, 100)))]);
    let mut last = 0;
    append(&mut journal, 2, &mut last, 5);
    journal.commit().unwrap();
    let log = Log::read(&mut journal.cursor());
    assert_eq!(log.missing, [(1, 64, 100, Cause::Damaged)]);
    assert_eq!((log.seqs(1).len(), log.seqs(2), &log.ends[..]), (63, (1..=5).collect(), &[(1, 100, 11)][..]));
    // Trimming needs the lost ones to be passed as well.
    assert_eq!(journal.oldest_segment_end(), Some(at(1, 100)));
    journal.trim(at(1, 99)).unwrap();
    assert_eq!(journal.usage().segments, 2);
    journal.trim(at(1, 100)).unwrap();
    assert_eq!(journal.usage().segments, 1);
}

#[test]
fn a_whole_start_that_is_gone_is_missing() {
    let disk = SimDisk::new(1);
    let (journal, lasts) = three_starts(&disk);
    drop(journal);
    // Every segment of the second start is zeroed.
    for path in disk.paths() {
        let mut bytes = disk.contents(&path).unwrap();
        if path.extension().is_some_and(|end| end == "fdj") && common::raw::frames(&bytes)[0].epoch == 2 {
            bytes.fill(0);
            disk.put(&path, &bytes);
        }
    }
    let (journal, recovered) = open_sim(&disk, 4).unwrap();
    let lost = recovered.damage.iter().map(|damage| damage.lost).collect::<Vec<_>>();
    assert_eq!(lost, [Some((at(2, 1), at(2, lasts[1])))]);
    let log = Log::read(&mut journal.cursor());
    assert_eq!(log.missing, [(2, 1, lasts[1], Cause::Damaged)]);
    assert_eq!(log.starts.iter().map(|start| start.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!((log.seqs(1).len() as u64, log.seqs(3).len() as u64), (lasts[0], lasts[2]));
}

#[test]
fn segments_of_another_stream_are_left_alone() {
    let disk = SimDisk::new(1);
    let (mut journal, _) = open_sim(&disk, 9).unwrap();
    let mut last = 0;
    append(&mut journal, 9, &mut last, 10);
    journal.commit().unwrap();
    drop(journal);
    let other = feedd_journal::Start { stream: feedd_model::StreamId(8), ..start(1) };
    let disk_ref = std::sync::Arc::new(disk.clone());
    let opened = Journal::open_on(disk_ref, config(std::path::Path::new(DIR)), other, instruments());
    let (mut journal, recovered) = opened.unwrap();
    assert_eq!((recovered.foreign.len(), recovered.events, recovered.epochs.len()), (1, 0, 0));
    journal.trim(Position { epoch: Epoch(u32::MAX), seq: Seq(u64::MAX) }).unwrap();
    drop(journal);
    let bytes = disk.contents(&recovered.foreign[0]).unwrap();
    assert!(common::raw::frames(&bytes).iter().any(|frame| frame.kind == common::raw::EVENTS));
}

#[test]
fn an_epoch_is_never_given_twice() {
    let disk = SimDisk::new(1);
    drop(open_sim(&disk, 5).unwrap());
    for epoch in [4, 5] {
        let error = open_sim(&disk, epoch).unwrap_err();
        assert!(matches!(error, feedd_journal::JournalError::EpochUsed { found: Epoch(5), .. }), "{error}");
    }
    open_sim(&disk, 6).unwrap();
}

/// Writer, trims and two readers at once on a real disk.
#[test]
fn readers_beside_a_writer_that_trims_see_every_event_or_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let config = JournalConfig { bytes_max: 1 << 22, ..config(dir.path()) };
    let (mut journal, _) = Journal::open(config, start(1), instruments()).unwrap();
    let total = if common::is_full() { 1_000_000 } else { 60_000 };
    let (follower, loiterer) = (journal.cursor(), journal.cursor());
    let tail = journal.tail();
    let read = move |mut cursor: feedd_journal::Cursor, is_slow: bool| {
        let mut log = Log::default();
        loop {
            let seen = tail.generation();
            let closed = tail.is_closed();
            log.read_on(&mut cursor);
            if closed {
                return log;
            }
            tail.wait(seen, Duration::from_millis(if is_slow { 50 } else { 5 }));
        }
    };
    let slow = read.clone();
    let threads = [std::thread::spawn(move || read(follower, false)), std::thread::spawn(move || slow(loiterer, true))];
    let mut random = fastrand::Rng::with_seed(common::seed(8));
    let mut last = 0;
    while last < total {
        append(&mut journal, 1, &mut last, random.u64(1..500));
        if let Err(error) = journal.commit() {
            assert!(error.is_full(), "{error}");
            journal.trim(at(1, last)).unwrap();
            journal.commit().unwrap();
        }
        if random.u8(..40) == 0 {
            journal.trim(at(1, last.saturating_sub(2_000))).unwrap();
        }
    }
    journal.close(UnixNanos(1)).unwrap();
    for thread in threads {
        let log = thread.join().unwrap();
        log.assert_unaltered();
        assert!(log.missing.iter().all(|hole| hole.3 == Cause::Trimmed), "{:?}", log.missing);
        let missing: u64 = log.missing.iter().map(|(_, first, last, _)| last + 1 - first).sum();
        assert_eq!(log.events.len() as u64 + missing, last, "seen or told");
        assert_eq!(log.ends.len(), 1);
        println!("{} events read, {missing} given back before", log.events.len());
    }
}

#[test]
fn a_journal_that_is_dropped_wakes_its_readers() {
    let disk = SimDisk::new(1);
    let (journal, _) = open_sim(&disk, 1).unwrap();
    let tail = journal.tail();
    let seen = tail.generation();
    drop(journal);
    assert!(tail.wait(seen, Duration::from_secs(60)) != seen && tail.is_closed());
}
