//! Derived records as rows of PostgreSQL: exact, whole or refused, counted as all of their events. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{LAYOUTS, Store};
use feedd_core::contract::sink::{STREAM, batch, sample_derived, sample_stream, whole_end};
use feedd_core::{LONE_SLOT, Sink, SinkError};
use feedd_model::{
    Bar, BarFlags, Decimal, Derived, Epoch, Event, EventKind, Fill, InstrumentId, Interval, MonoNanos, Seq, Signal,
    Sum, UnixNanos,
};
use feedd_sink_postgres::{PostgresSink, retain};

mod common;

const DAY: i64 = 86_400_000_000_000;

fn bar() -> Bar {
    let is = |record| if let Derived::Bar(bar) = record { Some(bar) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn signal() -> Signal {
    let is = |record| if let Derived::Signal(signal) = record { Some(signal) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn fill() -> Fill {
    let is = |record| if let Derived::Fill(fill) = record { Some(fill) } else { None };
    (0..).map(sample_derived).find_map(is).unwrap()
}

fn slots(record: Derived) -> Vec<Event> {
    record.to_events().events().to_vec()
}

fn sum(mantissa: i128, scale: u32) -> Sum {
    Sum::from_parts(mantissa, scale).unwrap()
}

fn store_all(sink: &mut PostgresSink, events: &[Event], size: usize) {
    let mut start = 0;
    while start < events.len() {
        let end = whole_end(events, events.len().min(start + size));
        sink.write(&batch(events, Epoch(1), start..end, 100), MonoNanos(0)).unwrap();
        start = end;
    }
}

#[test]
fn what_has_no_place_is_refused_whole_and_the_rest_is_stored() {
    let Some(server) = common::server() else { return };
    let (large, strategy) = ("a number of the derived record is beyond 63 bits", "strategy is not in the dictionary");
    let quotient = "the volume-weighted or average price of the derived record is beyond 20 digits";
    let cases: [(&str, Vec<Event>, &str); 7] = [
        ("a number", slots(Derived::Bar(Bar { number: 1 << 63, ..bar() })), large),
        ("of a signal", slots(Derived::Fill(Fill { signal: 1 << 63, ..fill() })), large),
        ("a vwap", slots(Derived::Bar(Bar { notional: sum(i128::MAX, 0), volume: sum(1, 0), ..bar() })), quotient),
        ("no strategy", slots(Derived::Signal(Signal { strategy: InstrumentId(1), ..signal() })), strategy),
        (
            "a symbol",
            slots(Derived::Bar(Bar { instrument: InstrumentId(77), ..bar() })),
            "instrument is not in the dictionary",
        ),
        ("a beginning", slots(Derived::Bar(bar()))[..2].to_vec(), LONE_SLOT),
        ("an end", slots(Derived::Bar(bar()))[2..].to_vec(), LONE_SLOT),
    ];
    for layout in LAYOUTS {
        for (name, refused, reason) in &cases {
            let store = Store::new(&server, layout);
            let mut sink = store.recovered();
            let events = [slots(Derived::Bar(bar())), refused.clone(), slots(Derived::Signal(signal()))].concat();
            let wanted: Vec<Seq> = (4..4 + refused.len() as u64).map(Seq).collect();
            match sink.write(&batch(&events, Epoch(1), 0..events.len(), 4), MonoNanos(0)) {
                Err(SinkError::Refused { seqs, reason: found, .. }) => {
                    assert_eq!((seqs, found.as_str()), (wanted, *reason), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
            sink.write(&batch(&events, Epoch(1), 0..3, 4), MonoNanos(0)).unwrap();
            let last = events.len();
            sink.write(&batch(&events, Epoch(1), last - 1..last, 4), MonoNanos(0)).unwrap();
            store.assert_stored([1, 2, 3, last as u64], name);
        }
    }
}

#[test]
fn values_of_any_size_are_exact() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let volume = sum(i128::MAX, 60);
        let wide =
            Bar { volume, buy_volume: sum(i128::MIN, 0), notional: sum(2, 59), interval: Interval::Trades(7), ..bar() };
        let events = slots(Derived::Bar(Bar { flags: BarFlags::PARTIAL.with(BarFlags::REVISED), ..wide }));
        store_all(&mut store.recovered(), &events, 10);
        let found = store.sql("SELECT interval, volume, buy_volume, notional, vwap, state, flags FROM bars");
        assert_eq!(
            found,
            "7t|0.000000000000000000000170141183460469231731687303715884105727|\
             -170141183460469231731687303715884105728|\
             0.00000000000000000000000000000000000000000000000000000000002|0|partial+revised|5"
        );
    }
}

#[test]
fn a_row_stands_for_all_events_of_its_record_also_when_it_is_dropped() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let events = sample_stream(1500);
        store_all(&mut sink, &events, 137);
        let audit = sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
        assert_eq!((audit.stored_seq, audit.rows, audit.duplicates, audit.beyond), (Seq(1500), 1500, 0, 0));
        store.assert_stored(1..=1500, layout.name());
        // All that has a receive time is of 2024.
        let kept: u64 = events.iter().filter(|event| event.recv_ts().is_none()).count() as u64;
        let dropped = retain(&store.config(), 30, false).unwrap();
        assert!(dropped.iter().any(|dropped| dropped.partition.starts_with("bar")), "{dropped:?}");
        let after = sink.audit(STREAM, Epoch(1)).unwrap().unwrap();
        assert_eq!(after.rows, kept);
        let rows = events.iter().filter(|event| event.recv_ts().is_some() && event.kind() != EventKind::More).count();
        assert_eq!(after.dropped_rows, rows as u64);
        let accounted = after.rows + after.missed - after.markers + after.dropped_events;
        assert_eq!(accounted, 1500 + audit.missed - audit.markers);
    }
}

#[test]
fn a_record_out_of_quarantine_is_stored_once() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let late = slots(Derived::Fill(fill()));
        let events = [late.clone(), slots(Derived::Signal(signal()))].concat();
        sink.write(&batch(&events, Epoch(1), 3..4, 4), MonoNanos(0)).unwrap();
        for new in [true, false] {
            assert_eq!(sink.store_late(STREAM, Epoch(1), Seq(1), &late).unwrap(), new);
        }
        store.assert_stored(1..=4, layout.name());
        let alone = sink.store_late(STREAM, Epoch(1), Seq(1), &late[1..]).unwrap_err();
        assert!(matches!(&alone, SinkError::Refused { seqs, .. } if seqs.len() == 2), "{alone}");
    }
}

#[test]
fn the_latest_revision_of_each_bar_is_shown() {
    let Some(server) = common::server() else { return };
    let decimal = |units| Decimal::new(units, 2).unwrap();
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let bar = |start: i64, interval, revision, close| {
            let times = (UnixNanos(start), UnixNanos(start + 60), UnixNanos(DAY + start));
            let close = decimal(close);
            let (start, end, closed_at) = times;
            slots(Derived::Bar(Bar { interval, start, end, closed_at, revision, close, ..bar() }))
        };
        let minute = Interval::Seconds(60);
        let events = [
            bar(0, minute, 0, 100),
            bar(60, minute, 0, 200),
            bar(0, minute, 1, 101),
            bar(0, Interval::Seconds(300), 0, 300),
            bar(0, minute, 2, 102),
        ];
        store_all(&mut store.recovered(), &events.concat(), 100);
        let latest =
            store.sql("SELECT interval, start_ts, revision, close FROM bars_latest ORDER BY interval, start_ts");
        assert_eq!(latest, "1m|0|2|1.02\n1m|60|0|2\n5m|0|0|3", "{}", layout.name());
        assert_eq!(store.sql("SELECT count(*) FROM bars"), "5");
    }
}
