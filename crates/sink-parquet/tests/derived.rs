//! Derived records as rows: what has no exact place is refused whole and by name, what was refused can be stored late, and a
//! row stands for as many events as its record has slots.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, batch, instruments, sample_derived, sample_stream, whole_end};
use feedd_core::{Epoch, LONE_SLOT, Seq, Sink, SinkError};
use feedd_model::{
    Bar, Decimal, Derived, Equity, Event, EventKind, Fill, InstrumentId, Interval, Money, MonoNanos, Signal, Sum,
    UnixNanos,
};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::path::Path;

mod readback;

const EPOCH: Epoch = Epoch(1);

fn open(dir: &Path) -> ParquetSink {
    let mut sink = ParquetSink::open(ParquetConfig::new(dir), instruments()).unwrap();
    sink.recover(STREAM, EPOCH).unwrap();
    sink
}

fn bar() -> Bar {
    let found =
        (0..).map(sample_derived).find_map(|record| if let Derived::Bar(bar) = record { Some(bar) } else { None });
    Bar { interval: Interval::Seconds(60), ..found.unwrap() }
}

fn signal() -> Signal {
    let is = |record| if let Derived::Signal(signal) = record { Some(signal) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn fill() -> Fill {
    let is = |record| if let Derived::Fill(fill) = record { Some(fill) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn equity() -> Equity {
    let is = |record| if let Derived::Equity(equity) = record { Some(equity) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn sum(mantissa: i128, scale: u32) -> Sum {
    Sum::from_parts(mantissa, scale).unwrap()
}

fn slots(record: Derived) -> Vec<Event> {
    record.to_events().events().to_vec()
}

#[test]
fn what_has_no_exact_place_is_refused_whole_and_the_rest_is_stored() {
    let (wide, strategy, symbol) = (
        "a value of the derived record has no exact place in decimal(38,18)",
        "strategy is not in the dictionary",
        "instrument is not in the dictionary",
    );
    let (one, fine) = (sum(1, 0), Decimal::new(1, 19).unwrap());
    let most = 10i128.pow(38);
    let cases: [(&str, Vec<Event>, &str); 13] = [
        ("19 decimals in a sum", slots(Derived::Bar(Bar { notional: sum(1, 19), ..bar() })), wide),
        ("39 digits in a sum", slots(Derived::Bar(Bar { volume: sum(most, 18), ..bar() })), wide),
        ("39 digits, less 18", slots(Derived::Bar(Bar { volume: sum(10i128.pow(20), 0), ..bar() })), wide),
        ("a vwap of 21 digits", slots(Derived::Bar(Bar { notional: sum(1000, 0), volume: sum(1, 18), ..bar() })), wide),
        ("a price", slots(Derived::Bar(Bar { open: fine, ..bar() })), wide),
        ("a symbol", slots(Derived::Bar(Bar { instrument: InstrumentId(77), ..bar() })), symbol),
        ("a size", slots(Derived::Signal(Signal { size: Some(fine), ..signal() })), wide),
        ("no strategy at all", slots(Derived::Signal(Signal { strategy: InstrumentId(77), ..signal() })), strategy),
        ("a symbol for a strategy", slots(Derived::Equity(Equity { strategy: InstrumentId(1), ..equity() })), strategy),
        ("money", slots(Derived::Fill(Fill { cost: Money::from_mantissa(most), ..fill() })), wide),
        (
            "an average cost",
            slots(Derived::Fill(Fill {
                position: Decimal::new(1, 18).unwrap(),
                cost: Money::from_mantissa(most - 1),
                ..fill()
            })),
            wide,
        ),
        ("a beginning", slots(Derived::Bar(bar()))[..2].to_vec(), LONE_SLOT),
        ("an end", slots(Derived::Bar(bar()))[2..].to_vec(), LONE_SLOT),
    ];
    let sound = slots(Derived::Bar(Bar { notional: sum(2, 0), volume: sum(3, 0), buy_volume: one, ..bar() }));
    for (name, refused, reason) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut sink = open(dir.path());
        let events = [sound.clone(), refused.clone(), sound.clone()].concat();
        let wanted: Vec<Seq> = (4..4 + refused.len() as u64).map(Seq).collect();
        match sink.write(&batch(&events, EPOCH, 0..events.len(), 4), MonoNanos(0)) {
            Err(SinkError::Refused { seqs, reason: found, .. }) => {
                assert_eq!((seqs, found.as_str()), (wanted, reason), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
        let after = 3 + refused.len();
        sink.write(&batch(&events, EPOCH, 0..3, 4), MonoNanos(0)).unwrap();
        sink.write(&batch(&events, EPOCH, after..after + 3, 4), MonoNanos(0)).unwrap();
        sink.flush(MonoNanos(0)).unwrap();
        assert_eq!(sink.stored_seq(), Seq(after as u64 + 3), "{name}");
        let seqs: Vec<u64> = readback::read_all(dir.path(), &instruments()).iter().map(|(_, seq, _)| seq.0).collect();
        let after = after as u64;
        assert_eq!(seqs, [1, 2, 3, after + 1, after + 2, after + 3], "{name}");
        let late = sink.store_late(STREAM, EPOCH, Seq(4), &refused).unwrap_err();
        assert!(matches!(&late, SinkError::Refused { seqs, .. } if seqs.len() == refused.len()), "{name}: {late}");
    }
}

#[test]
fn a_row_stands_for_all_slots_of_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let events = sample_stream(9000);
    let records = events.iter().filter(|event| event.kind().is_slot() && event.kind() != EventKind::More).count();
    let slots = events.iter().filter(|event| event.kind().is_slot()).count();
    let mut sink = open(dir.path());
    let mut start = 0;
    while start < events.len() {
        let end = whole_end(&events, events.len().min(start + 700));
        sink.write(&batch(&events, EPOCH, start..end, 100), MonoNanos(0)).unwrap();
        start = end;
    }
    sink.flush(MonoNanos(0)).unwrap();
    let audit = sink.audit(STREAM, EPOCH).unwrap().unwrap();
    assert_eq!((audit.stored_seq, audit.rows, audit.duplicates, audit.beyond), (Seq(9000), 9000, 0, 0));
    let in_files: u64 = readback::files(dir.path()).iter().map(|path| rows(path)).sum();
    assert_eq!(in_files, (9000 - slots + records) as u64);
    // The names of files say which sequences they may hold.
    for path in readback::files(dir.path()).iter().filter(|path| path.to_str().unwrap().contains("/bars/")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let numbers: Vec<usize> =
            name.trim_end_matches(".parquet").split('-').skip(2).map(|number| number.parse().unwrap()).collect();
        assert_eq!(events[numbers[0] - 1].kind(), EventKind::Bar, "{name}");
        assert_eq!(events[numbers[1] - 3].kind(), EventKind::Bar, "{name}");
    }
}

fn rows(path: &Path) -> u64 {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    reader.metadata().file_metadata().num_rows().try_into().unwrap()
}

#[test]
fn a_record_out_of_quarantine_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let late = slots(Derived::Bar(Bar { closed_at: UnixNanos(86_400_000_000_000), ..bar() }));
    let next = slots(Derived::Signal(signal()));
    let mut sink = open(dir.path());
    let events = [late.clone(), next].concat();
    sink.write(&batch(&events, EPOCH, 3..4, 4), MonoNanos(0)).unwrap();
    sink.flush(MonoNanos(0)).unwrap();
    for new in [true, false] {
        assert_eq!(open(dir.path()).store_late(STREAM, EPOCH, Seq(1), &late).unwrap(), new);
    }
    let audit = sink.audit(STREAM, EPOCH).unwrap().unwrap();
    assert_eq!((audit.rows, audit.duplicates), (4, 0));
    let stored = readback::read_all(dir.path(), &instruments());
    assert_eq!(stored.iter().filter(|(_, seq, _)| seq.0 <= 3).count(), 3);
    assert!(dir.path().join("bars/venue=alpha/date=1970-01-02").is_dir(), "the day it was closed on");
}
