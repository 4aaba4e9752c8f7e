//! What shows only in the middle of a batch, when the server has rows of it: they are taken back, and the batch is stored
//! once or refused whole. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use common::{LAYOUTS, Store, offer, trades};
use feedd_core::{Sink, SinkError};
use feedd_model::{Event, EventBody, EventHead, InstrumentId, Seq, Status, StatusCode, UnixNanos};
use feedd_sink_postgres::Layout;

mod common;

/// Some 100 KB: more than the connection holds back before the server sees it.
const BATCH: usize = 1000;
const DAY_NANOS: i64 = 86_400_000_000_000;

/// The event at `at` with another head.
fn changed(events: &mut [Event], at: usize, change: impl Fn(EventHead) -> EventHead) {
    events[at] = Event::new(change(events[at].head()), events[at].body());
}

/// One instrument, one table, one day; the next batch begins as the last one did.
fn plain(batches: usize) -> Vec<Event> {
    let mut events = trades(batches * BATCH);
    (0..events.len()).for_each(|at| changed(&mut events, at, |head| EventHead { instrument: InstrumentId(1), ..head }));
    events
}

#[test]
fn an_instrument_a_day_and_a_table_that_come_up_midway_are_made_and_the_batch_is_stored_once() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let mut events = plain(3);
        for first in [BATCH, 2 * BATCH] {
            changed(&mut events, first + 800, |head| EventHead { instrument: InstrumentId(2), ..head });
            let tomorrow = |time: Option<UnixNanos>| time.map(|time| UnixNanos(time.0 + DAY_NANOS));
            changed(&mut events, first + 900, |head| EventHead { recv_ts: tomorrow(head.recv_ts), ..head });
            let status = EventBody::Status(Status { code: StatusCode::Connected, detail: 7 });
            events[first + 950] = Event::new(EventHead { instrument: InstrumentId::NONE, ..events[0].head() }, status);
        }
        offer(&mut sink, &events, 0..BATCH).unwrap();
        store.count_attempts();
        offer(&mut sink, &events, BATCH..2 * BATCH).unwrap();
        assert_eq!(store.attempts(), 2, "{layout:?}: the first ends midway");
        offer(&mut sink, &events, 2 * BATCH..3 * BATCH).unwrap();
        assert_eq!(store.attempts(), 3, "{layout:?}: what is known needs no second attempt");
        store.assert_stored(1..=3 * BATCH as u64, "three batches");
        assert_eq!(sink.stored_seq(), Seq(3 * BATCH as u64));
        let by_symbol = "SELECT count(DISTINCT symbol), max(seq) FILTER (WHERE symbol <> (SELECT symbol FROM trades WHERE \
                         seq = 1)) FROM trades";
        assert_eq!(store.sql(by_symbol), "2|2801", "{layout:?}");
        let leaf = format!("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM {}_20240809", store.trades());
        assert_eq!(store.sql(&leaf), "1901,2901", "{layout:?}");
        assert_eq!(store.sql("SELECT string_agg(seq::text, ',' ORDER BY seq) FROM status"), "1951,2951", "{layout:?}");
    }
}

#[test]
fn a_value_of_more_decimals_midway_gets_a_row_of_its_own() {
    let Some(server) = common::server() else { return };
    let store = Store::new(&server, Layout::Compact);
    let mut sink = store.recovered();
    // The first has 2 decimals, the others 8.
    let events = plain(1);
    offer(&mut sink, &events, 0..1).unwrap();
    store.count_attempts();
    offer(&mut sink, &events[..1].repeat(501), 1..501).unwrap();
    assert_eq!(store.attempts(), 1, "all as the first");
    let mut mixed = events[..1].repeat(BATCH);
    mixed[900..].copy_from_slice(&events[900..]);
    offer(&mut sink, &mixed, 501..BATCH).unwrap();
    assert_eq!(store.attempts(), 3);
    store.assert_stored(1..=BATCH as u64, "both kinds");
    assert_eq!(store.sql("SELECT string_agg(price_scale::text, ',' ORDER BY id) FROM instrument"), "2,8");
    assert_eq!(store.sql("SELECT sum(price), sum(size) FROM trades"), sums(&mixed));
}

/// As `psql` shows them.
fn sums(events: &[Event]) -> String {
    let sum = |field: fn(&EventBody) -> i64| -> i64 { events.iter().map(|event| field(&event.body())).sum() };
    let price = sum(|body| if let EventBody::Trade(trade) = body { trade.price.mantissa() } else { 0 });
    let size = sum(|body| if let EventBody::Trade(trade) = body { trade.size.mantissa() } else { 0 });
    let text = |sum: i64| format!("{}.{:08}", sum / 100_000_000, sum % 100_000_000);
    format!("{}|{}", text(price), text(size))
}

#[test]
fn events_that_cannot_be_stored_are_all_named_and_nothing_of_their_batch_is_stored() {
    let Some(server) = common::server() else { return };
    for layout in LAYOUTS {
        let store = Store::new(&server, layout);
        let mut sink = store.recovered();
        let mut events = plain(2);
        for at in [BATCH + 700, BATCH + 800] {
            changed(&mut events, at, |head| EventHead { instrument: InstrumentId(999), ..head });
        }
        offer(&mut sink, &events, 0..BATCH).unwrap();
        let refused = offer(&mut sink, &events, BATCH..2 * BATCH).unwrap_err();
        let SinkError::Refused { seqs, reason, .. } = refused else { panic!("{layout:?}: {refused:?}") };
        assert_eq!(seqs, [1701, 1801].map(Seq), "{layout:?}");
        assert_eq!(reason, "instrument is not in the dictionary");
        store.assert_stored(1..=BATCH as u64, "the first batch alone");
        assert_eq!(sink.stored_seq(), Seq(BATCH as u64));
        offer(&mut sink, &events, BATCH..BATCH + 700).unwrap();
        store.assert_stored(1..=BATCH as u64 + 700, "what stands before the first of them");
    }
}
