//! The contract suite of [`Sink`]: each range stored once or not at all, whatever is offered again and however cut.
//!
//! A sink's tests implement [`SinkHarness`] over their store and call [`sink_contract`].

use super::derived::shorten;
pub use super::derived::{canonical_record, sample_derived, sample_stream, whole_end};
use crate::block::Block;
use crate::instruments::{Instruments, STRATEGY_VENUE};
use crate::sink::{Batch, Sink};
use feedd_model::{
    Book, BookAction, Decimal, Epoch, Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Level,
    MonoNanos, Quote, Seq, Side, SourceId, Status, StatusCode, StreamId, Trade, TradeId, UnixNanos, VenueSeq,
};
use std::ops::Range;
use std::sync::Arc;

/// The stream of the suite.
pub const STREAM: StreamId = StreamId(7);

/// 2024-08-08T23:59:59Z in ns: the suite's events cross midnight UTC.
const START_TS: i64 = 1_723_161_599_000_000_000;

/// What a reader finds in the store.
#[derive(Debug)]
pub enum Stored {
    /// The sink keeps no events: how many it counted since it was opened last.
    Count(u64),
    /// Every event with its identity, in any order, duplicates included; a derived record as the events that it was offered
    /// as. Decimals may have another scale.
    Events(Vec<(Epoch, Seq, Event)>),
}

/// One store under test.
pub trait SinkHarness {
    /// Opens the sink, for the first time or again after the former one was dropped.
    fn open(&mut self) -> Box<dyn Sink>;

    /// Reads the store in the sink's own way.
    fn stored(&mut self) -> Stored;
}

/// A dictionary with the instruments of [`sample_events`]: two venues, two symbols each; and with two strategies.
///
/// # Panics
/// Never: a dictionary in memory cannot fail.
#[must_use]
pub fn instruments() -> Instruments {
    let instruments = Instruments::in_memory();
    let symbols = [("alpha", "BTCUSDT"), ("alpha", "ETHUSDT"), ("beta", "XBT/USD"), ("beta", "ETH-USD")];
    let strategies = [(STRATEGY_VENUE, "sma(10,30)"), (STRATEGY_VENUE, "rsi(14)")];
    for (venue, symbol) in symbols.into_iter().chain(strategies) {
        instruments.resolve(venue, symbol).expect("a dictionary in memory has no file");
    }
    instruments
}

/// Runs every case, each on a new store from `make`.
///
/// # Panics
/// With the name of the case, when the sink breaks the contract.
pub fn sink_contract(make: &mut dyn FnMut() -> Box<dyn SinkHarness>) {
    ranges_in_order_are_stored_once(make().as_mut());
    overlaps_are_stored_once(make().as_mut());
    stored_seq_never_falls(make().as_mut());
    reopening_is_exactly_once(make().as_mut());
    recover_without_reopening_is_exactly_once(make().as_mut());
    a_new_epoch_starts_from_zero(make().as_mut());
    nothing_offered_is_nothing_stored(make().as_mut());
}

/// `count` events of all kinds that venues tell of, instruments and flags, with values at the edges; the same for the same `count`.
#[must_use]
pub fn sample_events(count: usize) -> Vec<Event> {
    (0..count).map(sample_event).collect()
}

/// The event with every decimal in its shortest form, so that stores that keep values but not printed zeros compare
/// equal.
#[must_use]
pub fn canonical(event: &Event) -> Event {
    let short = |value: Option<Decimal>| value.map(Decimal::canonical);
    let body = match event.body() {
        EventBody::Trade(t) => EventBody::Trade(Trade { price: t.price.canonical(), size: t.size.canonical(), ..t }),
        EventBody::Quote(q) => EventBody::Quote(Quote {
            bid: short(q.bid),
            bid_size: short(q.bid_size),
            ask: short(q.ask),
            ask_size: short(q.ask_size),
            ..q
        }),
        EventBody::Level(l) => EventBody::Level(Level { price: l.price.canonical(), size: l.size.canonical(), ..l }),
        other => other,
    };
    Event::new(event.head(), body)
}

/// Events `range` (from 0) of `events` as a batch in blocks of `block_events`; event 0 has sequence 1.
#[must_use]
pub fn batch(events: &[Event], epoch: Epoch, range: Range<usize>, block_events: usize) -> Batch {
    let mut batch = Batch::new();
    let mut at = range.start;
    for part in events[range].chunks(block_events) {
        let first = Seq(at as u64 + 1);
        let block = Arc::new(Block::of(STREAM, epoch, first, SourceId(0), part));
        batch.push(block, 0, part.len());
        at += part.len();
    }
    batch
}

/// Offers the events `range` in batches of `size`, or up to two more: no batch ends inside a derived record.
fn offer(sink: &mut dyn Sink, events: &[Event], epoch: Epoch, range: Range<usize>, size: usize) {
    let end = whole_end(events, range.end);
    let mut start = whole_end(events, range.start);
    while start < end {
        let until = whole_end(events, end.min(start + size));
        let batch = batch(events, epoch, start..until, 64);
        sink.write(&batch, MonoNanos(start as u64)).expect("a healthy store takes the range");
        start = until;
    }
}

fn recover(sink: &mut dyn Sink, epoch: Epoch) -> usize {
    let seq = sink.recover(STREAM, epoch).expect("a healthy store tells its position");
    usize::try_from(seq.0).expect("positions of the suite are small")
}

fn flush(sink: &mut dyn Sink) {
    sink.flush(MonoNanos(1_000_000)).expect("a healthy store flushes");
}

/// Asserts that the store holds exactly `events` of each epoch in `epochs`, once.
fn assert_stored(case: &str, harness: &mut dyn SinkHarness, epochs: &[(Epoch, &[Event])]) {
    let expected = epochs.iter().map(|(_, events)| events.len()).sum::<usize>();
    match harness.stored() {
        Stored::Count(count) => assert_eq!(count, expected as u64, "{case}: every event counted once"),
        Stored::Events(mut found) => {
            found.sort_by_key(|(epoch, seq, _)| (*epoch, *seq));
            shorten(&mut found);
            assert_eq!(found.len(), expected, "{case}: every event stored once");
            let wanted = epochs.iter().flat_map(|(epoch, events)| {
                events.iter().enumerate().map(|(i, event)| (*epoch, Seq(i as u64 + 1), *event))
            });
            let mut wanted: Vec<_> = wanted.collect();
            shorten(&mut wanted);
            for ((epoch, seq, event), wanted) in found.iter().zip(wanted) {
                assert_eq!((*epoch, *seq), (wanted.0, wanted.1), "{case}: identity");
                assert_eq!(canonical(event), canonical(&wanted.2), "{case}: epoch {epoch} seq {seq}");
            }
        }
    }
}

fn ranges_in_order_are_stored_once(harness: &mut dyn SinkHarness) {
    let events = sample_stream(1000);
    let mut sink = harness.open();
    assert_eq!(recover(sink.as_mut(), Epoch(1)), 0, "an empty store starts at 0");
    offer(sink.as_mut(), &events, Epoch(1), 0..1000, 137);
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(1000));
    drop(sink);
    assert_stored("in order", harness, &[(Epoch(1), &events)]);
}

fn overlaps_are_stored_once(harness: &mut dyn SinkHarness) {
    let events = sample_stream(900);
    let mut sink = harness.open();
    recover(sink.as_mut(), Epoch(1));
    offer(sink.as_mut(), &events, Epoch(1), 0..300, 100);
    offer(sink.as_mut(), &events, Epoch(1), 200..300, 100); // the whole last range again
    offer(sink.as_mut(), &events, Epoch(1), 250..500, 250); // half of it known
    flush(sink.as_mut());
    offer(sink.as_mut(), &events, Epoch(1), 0..500, 500); // all of it stored, cut anew
    offer(sink.as_mut(), &events, Epoch(1), 450..900, 77); // at sizes of no relation to the first
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(900));
    drop(sink);
    assert_stored("overlaps", harness, &[(Epoch(1), &events)]);
}

fn stored_seq_never_falls(harness: &mut dyn SinkHarness) {
    let events = sample_stream(600);
    let mut sink = harness.open();
    recover(sink.as_mut(), Epoch(1));
    let mut highest = sink.stored_seq();
    for start in (0..600).step_by(50) {
        // Every second step goes back, as delivery does after an error.
        let from = if start % 100 == 0 { start } else { start - 30 };
        let end = whole_end(&events, start + 50) as u64;
        offer(sink.as_mut(), &events, Epoch(1), from..start + 50, 40);
        if start % 150 == 0 {
            flush(sink.as_mut());
            assert_eq!(sink.stored_seq(), Seq(end), "a flush stores everything taken");
        }
        sink.tick(MonoNanos(start as u64)).expect("a healthy store ticks");
        assert!(sink.stored_seq() >= highest, "stored_seq never falls");
        assert!(sink.stored_seq().0 <= end, "nothing is stored before it was offered");
        highest = sink.stored_seq();
    }
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(600));
    drop(sink);
    assert_stored("stored_seq", harness, &[(Epoch(1), &events)]);
}

/// A crash is a dropped sink: what it did not say to have stored is offered again.
fn reopening_is_exactly_once(harness: &mut dyn SinkHarness) {
    let events = sample_stream(1200);
    let mut taken = 0;
    for (round, size) in [(1usize, 90usize), (2, 55), (3, 200), (4, 33)] {
        let mut sink = harness.open();
        let position = recover(sink.as_mut(), Epoch(1));
        assert!(position <= taken, "a position is never ahead of what was offered");
        let until = whole_end(&events, round * 300);
        let middle = position + (until - position) / 2;
        offer(sink.as_mut(), &events, Epoch(1), position..middle, size);
        if round % 2 == 1 {
            flush(sink.as_mut());
        }
        offer(sink.as_mut(), &events, Epoch(1), middle..until, size);
        taken = until;
    }
    let mut sink = harness.open();
    let position = recover(sink.as_mut(), Epoch(1));
    offer(sink.as_mut(), &events, Epoch(1), position..1200, 400);
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(1200));
    drop(sink);
    assert_stored("reopened", harness, &[(Epoch(1), &events)]);
}

/// As after [`crate::SinkError::Unknown`]: the position is asked for in mid-flight, and offering goes on after it.
fn recover_without_reopening_is_exactly_once(harness: &mut dyn SinkHarness) {
    let events = sample_stream(500);
    let mut sink = harness.open();
    recover(sink.as_mut(), Epoch(1));
    offer(sink.as_mut(), &events, Epoch(1), 0..200, 200);
    flush(sink.as_mut());
    offer(sink.as_mut(), &events, Epoch(1), 200..400, 100);
    let position = recover(sink.as_mut(), Epoch(1));
    assert!((200..=402).contains(&position), "what was stored stays stored");
    offer(sink.as_mut(), &events, Epoch(1), position..500, 60);
    flush(sink.as_mut());
    drop(sink);
    assert_stored("recovered", harness, &[(Epoch(1), &events)]);
}

fn a_new_epoch_starts_from_zero(harness: &mut dyn SinkHarness) {
    let (first, second) = (sample_stream(300), sample_stream(200));
    let mut sink = harness.open();
    recover(sink.as_mut(), Epoch(1));
    offer(sink.as_mut(), &first, Epoch(1), 0..300, 70);
    flush(sink.as_mut());
    assert_eq!(recover(sink.as_mut(), Epoch(2)), 0, "each epoch has its own position");
    assert_eq!(sink.stored_seq(), Seq(0));
    offer(sink.as_mut(), &second, Epoch(2), 0..200, 70);
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(200));
    drop(sink);
    assert_stored("epochs", harness, &[(Epoch(1), &first), (Epoch(2), &second)]);
}

fn nothing_offered_is_nothing_stored(harness: &mut dyn SinkHarness) {
    let mut sink = harness.open();
    recover(sink.as_mut(), Epoch(1));
    flush(sink.as_mut());
    sink.write(&Batch::new(), MonoNanos(1)).expect("an empty batch is nothing to do");
    sink.tick(MonoNanos(2)).expect("an idle store ticks");
    flush(sink.as_mut());
    assert_eq!(sink.stored_seq(), Seq(0));
    assert!(!sink.name().is_empty(), "a sink has a name");
    drop(sink);
    assert_stored("nothing", harness, &[]);
}

/// Event `i`: kind, instrument, flags and absences go through their combinations at unrelated periods.
fn sample_event(i: usize) -> Event {
    let n = i64::try_from(i).unwrap_or(0);
    let flags = [Flags::NONE, Flags::AFTER_GAP, Flags::REPLAYED.with(Flags::PRICE_JUMP)];
    let instrument = InstrumentId(u32::try_from(i % 4).unwrap_or(0) + 1);
    let mut head = EventHead {
        instrument,
        venue_ts: (!i.is_multiple_of(5)).then_some(UnixNanos(START_TS + n * 1_000_000)),
        recv_ts: (!i.is_multiple_of(11)).then_some(UnixNanos(START_TS + n * 3_000_001)),
        flags: flags[i % flags.len()],
    };
    let body = match i % 13 {
        0 => EventBody::Status(Status {
            code: StatusCode::ALL[i / 13 % StatusCode::ALL.len()],
            detail: u64::MAX - i as u64,
        }),
        1 => EventBody::Gap(sample_gap(i, n)),
        2 => EventBody::Book(sample_book(i, n)),
        3..=6 => EventBody::Level(Level {
            action: if i.is_multiple_of(2) { BookAction::Snapshot } else { BookAction::Delta },
            side: if i.is_multiple_of(3) { Side::Buy } else { Side::Sell },
            price: decimal(5_894_201_000_000 + n, 8),
            size: if i.is_multiple_of(4) { Decimal::ZERO } else { decimal(n + 1, 18) },
            venue_seq: seq(i, n),
            index: u32::try_from(i).unwrap_or(0),
        }),
        7..=9 => EventBody::Quote(Quote {
            bid: (!i.is_multiple_of(7)).then(|| decimal(n + 1, 2)),
            bid_size: (!i.is_multiple_of(7)).then(|| decimal(6_000_000_000_000 + n, 0)),
            ask: (!i.is_multiple_of(9)).then(|| decimal(n + 2, 2)),
            ask_size: (!i.is_multiple_of(9)).then(|| decimal(100 * n, 5)),
            venue_seq: seq(i, n),
        }),
        _ => EventBody::Trade(Trade {
            price: decimal(if i.is_multiple_of(2) { i64::MAX - n } else { n + 1 }, 18),
            size: decimal(n + 1, 12),
            side: [None, Some(Side::Buy), Some(Side::Sell)][i % 3],
            id: match i % 4 {
                0 => TradeId::None,
                1 => TradeId::Number(i as u128),
                2 => TradeId::Number(u128::from(u64::MAX) + i as u128),
                _ => TradeId::Uuid(0x2b5c_1d6e_0000_4a5b_8c9d_0123_4567_0000 + i as u128),
            },
        }),
    };
    if matches!(body, EventBody::Status(_)) {
        head.instrument = InstrumentId::NONE;
    }
    Event::new(head, body)
}

fn sample_gap(i: usize, n: i64) -> Gap {
    Gap {
        reason: GapReason::ALL[i / 13 % 4],
        first_missing: seq(i, n),
        last_missing: seq(i + 1, n + 4),
        from_ts: (!i.is_multiple_of(2)).then_some(UnixNanos(START_TS)),
        to_ts: (!i.is_multiple_of(3)).then_some(UnixNanos(START_TS + n)),
        events: (!i.is_multiple_of(3)).then_some(i as u64),
    }
}

fn sample_book(i: usize, n: i64) -> Book {
    Book {
        action: if i.is_multiple_of(2) { BookAction::Snapshot } else { BookAction::Delta },
        seq_first: seq(i, n),
        seq_last: seq(i + 2, n + 3),
        seq_prev: Some(VenueSeq(-1)),
        checksum: (!i.is_multiple_of(3)).then_some(u32::MAX - u32::try_from(i).unwrap_or(0)),
        bids: u32::try_from(i).unwrap_or(0),
        asks: 2,
    }
}

fn seq(i: usize, n: i64) -> Option<VenueSeq> {
    (!i.is_multiple_of(6)).then_some(VenueSeq(n + 1_000_000_000_000))
}

pub(super) fn decimal(mantissa: i64, scale: u8) -> Decimal {
    Decimal::new(mantissa, scale).unwrap_or(Decimal::ZERO)
}
