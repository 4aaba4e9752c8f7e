//! What a reader of the folder sees, and when.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, batch, canonical, instruments, sample_events};
use feedd_core::{Epoch, Instruments, Seq, Sink, SinkError};
use feedd_model::{
    Decimal, Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Side, Trade, TradeId, UnixNanos,
};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use std::path::Path;

mod readback;

const EPOCH: Epoch = Epoch(3);

fn open(dir: &Path, set: impl FnOnce(&mut ParquetConfig)) -> ParquetSink {
    let mut config = ParquetConfig::new(dir);
    set(&mut config);
    let mut sink = ParquetSink::open(config, instruments()).unwrap();
    sink.recover(STREAM, EPOCH).unwrap();
    sink
}

fn write(sink: &mut ParquetSink, events: &[Event], range: std::ops::Range<usize>, now: u64) {
    sink.write(&batch(events, EPOCH, range, 100), MonoNanos(now)).unwrap();
}

fn names(dir: &Path) -> Vec<String> {
    let relative = |path: std::path::PathBuf| path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
    readback::files(dir).into_iter().map(relative).collect()
}

/// A trade of venue alpha at `recv_ts` ns.
fn trade(price: Decimal, recv_ts: i64) -> Event {
    let head = EventHead {
        instrument: InstrumentId(1),
        venue_ts: None,
        recv_ts: Some(UnixNanos(recv_ts)),
        flags: Flags::NONE,
    };
    let body = Trade { price, size: Decimal::new(1, 0).unwrap(), side: Some(Side::Buy), id: TradeId::None };
    Event::new(head, EventBody::Trade(body))
}

/// Temporary files below `dir`.
fn unfinished(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { unfinished(&path) } else { usize::from(path.extension().unwrap() == "tmp") })
        .sum()
}

#[test]
fn a_file_is_hidden_until_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(9000);
    let mut sink = open(dir.path(), |config| config.memory_bytes_max = 0); // everything is written out at once
    write(&mut sink, &events, 0..9000, 0);
    assert!(unfinished(dir.path()) > 0);
    assert_eq!(names(dir.path()), Vec::<String>::new());
    assert_eq!(sink.stored_seq(), Seq(0));
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(sink.stored_seq(), Seq(9000));
    assert_eq!(unfinished(dir.path()), 0);
    assert_eq!(readback::read_all(dir.path(), &instruments()).len(), 9000);
}

#[test]
fn names_and_footers_say_what_a_file_holds() {
    let dir = tempfile::tempdir().unwrap();
    let day = 86_400_000_000_000;
    let events: Vec<Event> = [0, 1, day, day + 1, day + 2].map(|ts| trade(Decimal::new(5, 1).unwrap(), ts)).to_vec();
    let mut sink = open(dir.path(), |_| {});
    write(&mut sink, &events, 0..5, 0);
    sink.flush(MonoNanos(0)).unwrap();
    let expected = [
        "trades/venue=alpha/date=1970-01-01/s7-e000003-00000000000000000001-00000000000000000002.parquet",
        "trades/venue=alpha/date=1970-01-02/s7-e000003-00000000000000000003-00000000000000000005.parquet",
    ];
    assert_eq!(names(dir.path()), expected);
    let file = std::fs::File::open(dir.path().join(expected[1])).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let text: Vec<String> = pairs.iter().map(|p| format!("{}={}", p.key, p.value.as_deref().unwrap())).collect();
    assert_eq!(
        text.join(" "),
        "feedd.schema_version=1 feedd.dataset=trades feedd.venue=alpha feedd.date=1970-01-02 feedd.stream=7 \
         feedd.epoch=3 feedd.first_seq=3 feedd.last_seq=5 feedd.rows=3"
    );
}

#[test]
fn files_close_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let events: Vec<Event> = (0..30).map(|i| trade(Decimal::new(i, 2).unwrap(), i)).collect();
    let mut sink = open(dir.path(), |config| config.file_age_ns_max = 1000);
    write(&mut sink, &events, 0..10, 500);
    sink.tick(MonoNanos(1499)).unwrap();
    assert_eq!((names(dir.path()).len(), sink.stored_seq()), (0, Seq(0)));
    write(&mut sink, &events, 10..20, 1499); // a later row does not make the file younger
    sink.tick(MonoNanos(1500)).unwrap();
    assert_eq!((names(dir.path()).len(), sink.stored_seq()), (1, Seq(20)));
    sink.tick(MonoNanos(9999)).unwrap();
    assert_eq!(names(dir.path()).len(), 1, "nothing new, no file");
}

#[test]
fn files_close_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let prices = (0..60_000).map(|i: i64| Decimal::new(i.wrapping_mul(0x9E37_79B9_7F4A_7C15u64.cast_signed()) >> 2, 9));
    let events: Vec<Event> = prices.enumerate().map(|(i, p)| trade(p.unwrap(), i64::try_from(i).unwrap())).collect();
    let mut sink = open(dir.path(), |config| config.file_bytes_max = 150_000);
    for start in (0..60_000).step_by(4000) {
        write(&mut sink, &events, start..start + 4000, 0);
    }
    let sizes: Vec<u64> = readback::files(dir.path()).iter().map(|p| p.metadata().unwrap().len()).collect();
    assert!(sizes.len() >= 3, "{sizes:?}");
    assert!(sizes.iter().all(|size| (75_000..450_000).contains(size)), "{sizes:?}");
    assert!(sink.stored_seq() > Seq(0));
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(readback::read_all(dir.path(), &instruments()).len(), 60_000);
}

#[test]
fn unfinished_files_of_an_earlier_run_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(9000);
    let mut sink = open(dir.path(), |config| config.memory_bytes_max = 0);
    write(&mut sink, &events, 0..9000, 0);
    drop(sink); // as a kill: temporary files stay
    assert!(unfinished(dir.path()) > 0);
    let others = dir.path().join("trades/venue=alpha/date=2024-08-08/.s71-e000001-00000000000000000001.parquet.tmp");
    std::fs::create_dir_all(others.parent().unwrap()).unwrap();
    std::fs::write(&others, "another stream's").unwrap();
    let mut sink = open(dir.path(), |_| {});
    assert_eq!(unfinished(dir.path()), 1);
    assert!(others.exists(), "a file of another stream stays");
    write(&mut sink, &events, 0..9000, 0);
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(readback::read_all(dir.path(), &instruments()).len(), 9000);
}

#[test]
fn the_checkpoint_remembers_files_that_were_moved_away() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(300);
    let mut sink = open(dir.path(), |_| {});
    write(&mut sink, &events, 0..300, 0);
    sink.flush(MonoNanos(0)).unwrap();
    drop(sink);
    for path in readback::files(dir.path()) {
        std::fs::remove_file(path).unwrap();
    }
    let mut sink = open(dir.path(), |_| {});
    assert_eq!(sink.stored_seq(), Seq(300));
    write(&mut sink, &events, 0..300, 0);
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(names(dir.path()).len(), 0);
}

#[test]
fn names_alone_tell_the_positions_when_the_checkpoint_is_behind() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(300);
    let mut sink = open(dir.path(), |_| {});
    write(&mut sink, &events, 0..300, 0);
    sink.flush(MonoNanos(0)).unwrap();
    drop(sink);
    // As after a kill between the renames and the checkpoint.
    std::fs::remove_file(dir.path().join("_feedd/positions-s7.json")).unwrap();
    let mut sink = open(dir.path(), |_| {});
    assert_eq!(sink.stored_seq(), Seq(0));
    write(&mut sink, &events, 0..300, 0);
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(sink.stored_seq(), Seq(300));
    assert_eq!(readback::read_all(dir.path(), &instruments()).len(), 300);
}

#[test]
fn a_damaged_file_and_a_damaged_checkpoint_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_events(100);
    let mut sink = open(dir.path(), |_| {});
    write(&mut sink, &events, 0..100, 0);
    sink.flush(MonoNanos(0)).unwrap();
    let checkpoint = dir.path().join("_feedd/positions-s7.json");
    std::fs::write(&checkpoint, "{\"version\":1,").unwrap();
    let error = sink.recover(STREAM, EPOCH).unwrap_err().to_string();
    assert!(error.contains("positions-s7.json") && error.contains("restore it"), "{error}");
    std::fs::remove_file(&checkpoint).unwrap();
    let file = readback::files(dir.path()).pop().unwrap();
    std::fs::write(&file, "PAR1 torn").unwrap();
    let error = sink.recover(STREAM, EPOCH).unwrap_err().to_string();
    assert!(error.contains(file.to_str().unwrap()) && error.contains("move it away"), "{error}");
}

#[test]
fn what_has_no_place_in_the_columns_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let fine = |mantissa, scale| trade(Decimal::new(mantissa, scale).unwrap(), 0);
    let mut sink = open(dir.path(), |_| {});
    let events = [fine(1, 18), fine(1, 19), fine(10, 19), fine(7, 30)];
    let error = sink.write(&batch(&events, EPOCH, 0..4, 4), MonoNanos(0)).unwrap_err();
    assert!(matches!(&error, SinkError::Refused { seqs, .. } if *seqs == [Seq(2), Seq(4)]), "{error}");
    let stranger = EventHead { instrument: InstrumentId(9), ..events[0].head() };
    let events = [events[0], Event::new(stranger, events[0].body())];
    let error = sink.write(&batch(&events, EPOCH, 0..2, 2), MonoNanos(0)).unwrap_err();
    assert!(matches!(&error, SinkError::Refused { seqs, .. } if *seqs == [Seq(2)]), "{error}");
    sink.write(&batch(&events, EPOCH, 0..1, 1), MonoNanos(0)).unwrap();
    sink.flush(MonoNanos(0)).unwrap();
    assert_eq!(readback::read_all(dir.path(), &instruments()).len(), 1, "nothing of a refused range was taken");
}

#[test]
fn an_instrument_added_later_gets_its_symbol() {
    let dir = tempfile::tempdir().unwrap();
    let book = Instruments::in_memory();
    let mut sink = ParquetSink::open(ParquetConfig::new(dir.path()), book.clone()).unwrap();
    let events: Vec<Event> = (1..=3)
        .map(|id| {
            book.resolve("alpha", &format!("S{id}")).unwrap();
            let head = EventHead { instrument: InstrumentId(id), ..trade(Decimal::ZERO, 0).head() };
            Event::new(head, trade(Decimal::ZERO, 0).body())
        })
        .collect();
    for i in 0..3 {
        sink.write(&batch(&events, EPOCH, i..i + 1, 1), MonoNanos(0)).unwrap();
    }
    sink.flush(MonoNanos(0)).unwrap();
    let stored = readback::read_all(dir.path(), &book);
    assert_eq!(stored.iter().map(|(.., e)| e.instrument().0).collect::<Vec<_>>(), [1, 2, 3]);
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (-i64::MAX..=i64::MAX, 0u8..=18).prop_map(|(m, s)| Decimal::new(m, s).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Every digit reads back, whatever the files, batches and times.
    #[test]
    fn digits_read_back(
        rows in prop::collection::vec((decimal(), decimal(), any::<u128>(), any::<i64>()), 1..200),
        cut in 1usize..50,
        row_group in 1usize..100,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let events: Vec<Event> = rows
            .iter()
            .map(|&(price, size, id, recv_ts)| {
                let body = Trade { price, size, side: None, id: TradeId::Number(id) };
                Event::new(trade(price, recv_ts).head(), EventBody::Trade(body))
            })
            .collect();
        let mut sink = open(dir.path(), |config| (config.row_group_rows_max, config.open_files_max) = (row_group, 5));
        for start in (0..events.len()).step_by(cut) {
            write(&mut sink, &events, start..events.len().min(start + cut), 0);
        }
        sink.flush(MonoNanos(0)).unwrap();
        let mut stored = readback::read_all(dir.path(), &instruments());
        stored.sort_by_key(|(_, seq, _)| *seq);
        let stored: Vec<Event> = stored.into_iter().map(|(.., event)| event).collect();
        let expected: Vec<Event> = events.iter().map(canonical).collect();
        prop_assert_eq!(stored, expected);
    }
}
