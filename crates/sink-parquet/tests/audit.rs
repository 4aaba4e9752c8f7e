//! Counting what the files hold, and adding single events to them.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, batch, canonical, instruments, sample_events};
use feedd_core::{Batch, Block, Epoch, EpochAudit, Instruments, Seq, Sink, SinkError, SourceId};
use feedd_model::{
    Decimal, Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, MonoNanos, Trade, TradeId, UnixNanos,
};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod readback;

const EPOCH: Epoch = Epoch(3);

fn open(dir: &Path) -> ParquetSink {
    ParquetSink::open(ParquetConfig::new(dir), instruments()).unwrap()
}

/// A sink that holds `events` from sequence 1 on.
fn stored(dir: &Path, events: &[Event]) -> ParquetSink {
    let mut sink = open(dir);
    sink.recover(STREAM, EPOCH).unwrap();
    sink.write(&batch(events, EPOCH, 0..events.len(), 100), MonoNanos(0)).unwrap();
    sink.flush(MonoNanos(0)).unwrap();
    sink
}

/// As a command asks: a sink that has not been recovered.
fn audit(dir: &Path) -> EpochAudit {
    open(dir).audit(STREAM, EPOCH).unwrap().expect("this sink can tell")
}

fn counted(stored_seq: u64, rows: u64) -> EpochAudit {
    EpochAudit { stored_seq: Seq(stored_seq), rows, ..EpochAudit::default() }
}

/// Every finished file whose path holds `text`.
fn files(dir: &Path, text: &str) -> Vec<PathBuf> {
    readback::files(dir).into_iter().filter(|path| path.to_str().unwrap().contains(text)).collect()
}

fn event_at(seq: Seq, event: Event) -> Batch {
    let mut batch = Batch::new();
    batch.push(Arc::new(Block::of(STREAM, EPOCH, seq, SourceId(0), &[event])), 0, 1);
    batch
}

fn gap(reason: GapReason, events: u64) -> Event {
    let head =
        EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: Some(UnixNanos(5)), flags: Flags::NONE };
    let (first_missing, last_missing, from_ts, to_ts) = (None, None, None, None);
    let gap = Gap { reason, first_missing, last_missing, from_ts, to_ts, events: Some(events) };
    Event::new(head, EventBody::Gap(gap))
}

#[test]
fn every_row_of_the_start_is_counted_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(audit(dir.path()), counted(0, 0));
    let mut sink = stored(dir.path(), &sample_events(70_000));
    assert_eq!(sink.audit(STREAM, EPOCH).unwrap(), Some(counted(70_000, 70_000)));
    assert_eq!(sink.audit(STREAM, Epoch(2)).unwrap(), Some(counted(0, 0)));
    assert_eq!(sink.audit(feedd_model::StreamId(8), EPOCH).unwrap(), Some(counted(0, 0)));
    let names = readback::files(dir.path());
    assert_eq!(audit(dir.path()), counted(70_000, 70_000), "the sink's own memory is not asked");
    assert_eq!(readback::files(dir.path()), names, "a look changes nothing");
}

#[test]
fn a_look_beside_a_writer_leaves_its_open_files_alone() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(9000);
    let config = ParquetConfig { memory_bytes_max: 0, ..ParquetConfig::new(dir.path()) };
    let mut writer = ParquetSink::open(config, instruments()).unwrap();
    writer.recover(STREAM, EPOCH).unwrap();
    writer.write(&batch(&events, EPOCH, 0..9000, 100), MonoNanos(0)).unwrap();
    assert_eq!(audit(dir.path()), counted(0, 0));
    writer.flush(MonoNanos(0)).unwrap();
    assert_eq!(audit(dir.path()), counted(9000, 9000));
}

#[test]
fn missing_doubled_and_early_rows_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), &sample_events(3000));
    let trades = files(dir.path(), "trades/venue=alpha").remove(0);
    let rows = readback::read_all(trades.parent().unwrap(), &instruments()).len() as u64;
    // The same rows in the other venue's folder: a copy that should not be there.
    let copy = PathBuf::from(trades.to_str().unwrap().replace("venue=alpha", "venue=beta"));
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::copy(&trades, &copy).unwrap();
    assert_eq!(audit(dir.path()), EpochAudit { duplicates: rows, ..counted(3000, 3000 + rows) });
    std::fs::remove_file(&copy).unwrap();
    std::fs::remove_file(&trades).unwrap();
    assert_eq!(audit(dir.path()), counted(3000, 3000 - rows));
    // The position of an older checkpoint: the files above it are there early.
    std::fs::remove_file(dir.path().join(format!("_feedd/positions-s{STREAM}.json"))).unwrap();
    assert_eq!(audit(dir.path()), EpochAudit { beyond: 3000 - rows, ..counted(0, 0) });
}

#[test]
fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    stored(dir.path(), &sample_events(300));
    let file = files(dir.path(), "levels").remove(0);
    std::fs::write(&file, "no Parquet").unwrap();
    let error = open(dir.path()).audit(STREAM, EPOCH).unwrap_err();
    assert!(matches!(&error, SinkError::Fatal { what, .. } if what.contains(file.to_str().unwrap())), "{error}");
}

#[test]
fn markers_stand_for_what_is_missing_and_other_gaps_for_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = stored(dir.path(), &sample_events(100));
    sink.write(&event_at(Seq(101), gap(GapReason::RecorderDown, 1000)), MonoNanos(0)).unwrap();
    sink.write(&event_at(Seq(140), gap(GapReason::JournalDamaged, 39)), MonoNanos(0)).unwrap();
    sink.write(&event_at(Seq(150), gap(GapReason::SinkBehind, 10)), MonoNanos(0)).unwrap();
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(audit(dir.path()), EpochAudit { markers: 2, missed: 49, ..counted(150, 103) });
}

#[test]
fn a_late_event_is_stored_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(200);
    let mut sink = open(dir.path());
    sink.recover(STREAM, EPOCH).unwrap();
    // Everything but 50 and 77, which were refused.
    for range in [0..49, 50..76, 77..200] {
        sink.write(&batch(&events, EPOCH, range, 100), MonoNanos(0)).unwrap();
    }
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(audit(dir.path()), counted(200, 198));
    drop(sink);
    for (seq, new) in [(50, true), (50, false), (77, true), (50, false), (77, false)] {
        let event = &events[usize::try_from(seq).unwrap() - 1];
        assert_eq!(open(dir.path()).store_late(STREAM, EPOCH, Seq(seq), &[*event]).unwrap(), new, "{seq}");
    }
    assert_eq!(audit(dir.path()), counted(200, 200));
    let mut found = readback::read_all(dir.path(), &instruments());
    found.sort_by_key(|(_, seq, _)| *seq);
    for ((epoch, seq, event), (i, expected)) in found.iter().zip(events.iter().enumerate()) {
        assert_eq!((*epoch, *seq, canonical(event)), (EPOCH, Seq(i as u64 + 1), canonical(expected)));
    }
    let mut again = open(dir.path());
    assert_eq!(again.recover(STREAM, EPOCH).unwrap(), Seq(200), "a late file moves no position");
    again.write(&batch(&sample_events(300), EPOCH, 150..300, 100), MonoNanos(0)).unwrap();
    again.flush(MonoNanos(0)).unwrap();
    assert_eq!(audit(dir.path()), counted(300, 300));
}

#[test]
fn a_late_event_that_cannot_be_stored_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = stored(dir.path(), &sample_events(10));
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    let trade = |price| Trade { price, size: Decimal::ZERO, side: None, id: TradeId::None };
    let sound = Event::new(head, EventBody::Trade(trade(Decimal::ZERO)));
    let fine = Event::new(head, EventBody::Trade(trade(Decimal::new(1, 19).unwrap())));
    let strange = Event::new(EventHead { instrument: InstrumentId(9), ..head }, sound.body());
    let cases =
        [(11, sound, "above the stored position 10"), (5, fine, "digits below 10^-18"), (5, strange, "dictionary")];
    for (seq, event, words) in cases {
        let error = sink.store_late(STREAM, EPOCH, Seq(seq), &[event]).unwrap_err();
        let SinkError::Refused { seqs, reason, .. } = &error else { panic!("{error}") };
        assert!(seqs == &[Seq(seq)] && reason.contains(words), "{error}");
    }
    assert_eq!(audit(dir.path()), counted(10, 10));
    let mut unknown = ParquetSink::open(ParquetConfig::new(dir.path()), Instruments::in_memory()).unwrap();
    assert!(unknown.store_late(STREAM, EPOCH, Seq(5), &[sound]).is_err());
}
