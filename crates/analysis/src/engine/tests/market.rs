//! Small made-up markets.

use super::{Log, MINUTE, TEST};
use crate::flow::Item;
use feedd_core::{Block, Epoch, Seq, SourceId, StreamId};
use feedd_model::{
    Bar, BarFlags, Decimal, Derived, Event, EventBody, EventHead, Flags, InstrumentId, Quote, Side, Status, StatusCode,
    Sum, Trade, TradeId, UnixNanos,
};
use std::sync::Arc;

pub(in super::super) fn d(text: &str) -> Decimal {
    Decimal::parse(text.as_bytes()).unwrap()
}

/// Seconds, with up to nine decimals.
pub(in super::super) fn at(seconds: &str) -> UnixNanos {
    UnixNanos(i64::try_from(d(seconds).mantissa_at(9).unwrap()).unwrap())
}

fn event(instrument: InstrumentId, seconds: &str, flags: Flags, body: EventBody) -> Event {
    Event::new(EventHead { instrument, venue_ts: None, recv_ts: Some(at(seconds)), flags }, body)
}

pub(in super::super) fn trade_of(instrument: InstrumentId, seconds: &str, price: &str) -> Event {
    let trade = Trade { price: d(price), size: d("1"), side: Some(Side::Buy), id: TradeId::None };
    event(instrument, seconds, Flags::NONE, EventBody::Trade(trade))
}

pub(in super::super) fn trade(seconds: &str, price: &str) -> Event {
    trade_of(TEST, seconds, price)
}

pub(in super::super) fn quote_of(
    instrument: InstrumentId,
    seconds: &str,
    bid: Option<&str>,
    ask: Option<&str>,
    flags: Flags,
) -> Event {
    let quote = Quote { bid: bid.map(d), bid_size: None, ask: ask.map(d), ask_size: None, venue_seq: None };
    event(instrument, seconds, flags, EventBody::Quote(quote))
}

pub(in super::super) fn quote(seconds: &str, bid: &str, ask: &str) -> Event {
    quote_of(TEST, seconds, Some(bid), Some(ask), Flags::NONE)
}

/// Something that only moves the clock.
pub(in super::super) fn tick(seconds: &str) -> Event {
    let body = EventBody::Status(Status { code: StatusCode::Connected, detail: 0 });
    event(InstrumentId::NONE, seconds, Flags::NONE, body)
}

/// The bar of the minute that ends at `end` seconds, which comes out a second later.
pub(in super::super) fn bar_of(instrument: InstrumentId, end: i64, close: &str) -> Bar {
    let (end, close) = (end * 1_000_000_000, d(close));
    Bar {
        instrument,
        interval: MINUTE,
        start: UnixNanos(end - 60_000_000_000),
        end: UnixNanos(end),
        closed_at: UnixNanos(end + 1_000_000_000),
        open: close,
        high: close,
        low: close,
        close,
        volume: Sum::default(),
        buy_volume: Sum::default(),
        notional: Sum::default(),
        trades: 1,
        flags: BarFlags::COMPLETE,
        revision: 0,
        quality_bp: 10_000,
        number: u64::try_from(end / 60_000_000_000).unwrap(),
    }
}

pub(in super::super) fn bar(end: i64, close: &str) -> Bar {
    bar_of(TEST, end, close)
}

/// What happens in a market, in order.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::large_enum_variant, reason = "a few of them, in tests")]
pub(in super::super) enum Step {
    Event(Event),
    Bar(Bar),
}

/// The items that bring `steps`, in blocks of `block_events` events.
pub(in super::super) fn items(steps: &[Step], block_events: usize) -> Vec<Item> {
    let events: Vec<Event> =
        steps.iter().filter_map(|step| if let Step::Event(event) = step { Some(*event) } else { None }).collect();
    let block = |place: usize, events: &[Event]| {
        let first = Seq(u64::try_from(place * block_events).unwrap() + 1);
        Arc::new(Block::of(StreamId(1), Epoch(1), first, SourceId(0), events))
    };
    let mut blocks =
        events.chunks(block_events).enumerate().map(|(place, events)| block(place, events)).collect::<Vec<_>>();
    if blocks.is_empty() {
        blocks.push(block(0, &[]));
    }
    let (mut out, mut place, mut upto) = (Vec::new(), 0, 0u32);
    for step in steps {
        match step {
            Step::Event(_) => {
                if usize::try_from(upto).unwrap() == blocks[place].events().len() {
                    out.push(Item::BlockEnd { block: blocks[place].clone() });
                    (place, upto) = (place + 1, 0);
                }
                upto += 1;
            }
            Step::Bar(bar) => out.push(Item::Bar { bar: *bar, block: blocks[place].clone(), upto }),
        }
    }
    out.push(Item::BlockEnd { block: blocks[place].clone() });
    out
}

fn seconds(time: UnixNanos) -> String {
    Decimal::new(time.0, 9).unwrap().canonical().to_string()
}

/// Records as lines of text.
pub(in super::super) fn text(records: &[Derived]) -> Vec<String> {
    let line = |record: &Derived| match record {
        Derived::Bar(_) => panic!("the engine makes no bars"),
        Derived::Signal(s) => {
            let size = s.size.map_or("all".to_owned(), |size| size.to_string());
            format!(
                "signal {} @{} {:?} {size} price {} value {} by {}",
                s.number,
                seconds(s.at),
                s.action,
                s.price,
                s.value,
                s.strategy.0
            )
        }
        Derived::Fill(f) => format!(
            "fill {} of {} @{} ordered @{} {:?} {} {} x {} fee {} realised {} cash {} position {} cost {}",
            f.number,
            f.signal,
            seconds(f.at),
            seconds(f.ordered_at),
            f.side,
            f.outcome.name(),
            f.size,
            f.price,
            f.fee,
            f.realised,
            f.cash,
            f.position,
            f.cost,
        ),
        Derived::Equity(e) => format!(
            "equity {} @{} at {} position {} cash {} equity {} realised {} unrealised {}",
            e.number,
            seconds(e.at),
            e.price,
            e.position,
            e.cash,
            e.equity,
            e.realised,
            e.unrealised,
        ),
    };
    records.iter().map(line).collect()
}

/// Nothing was shown that is not in `expected`.
pub(in super::super) fn assert_seen(log: &Log, expected: &[&str]) {
    assert_eq!(super::seen(log), expected);
}
