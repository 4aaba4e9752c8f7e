//! Synthetic frames and events, in the shape and length of real ones; the same in every run.

use feedd_core::{BLOCK_EVENTS_MAX, Batch, Block};
use feedd_model::{
    Decimal, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, Side, SourceId, StreamId, Trade, TradeId,
    UnixNanos,
};
use feedd_venues::decoder::Decoder;
use feedd_venues::table;
use std::fmt::Write as _;
use std::sync::Arc;

/// A trade, with its keys in the venue's order.
pub const TRADE: &str = r#"{"e":"trade","E":1769860800124,"s":"BTCUSDT","t":5123456789,"p":"61837.63000000","q":"0.00127000","T":1769860800123,"m":true,"M":true}"#;
/// The same with two keys exchanged, so that no template fits it.
pub const TRADE_OTHER_ORDER: &str = r#"{"E":1769860800124,"e":"trade","s":"BTCUSDT","t":5123456789,"p":"61837.63000000","q":"0.00127000","T":1769860800123,"m":true,"M":true}"#;
/// Best bid and ask.
pub const QUOTE: &str =
    r#"{"u":74512345678,"s":"BTCUSDT","b":"61837.63000000","B":"1.20456000","a":"61837.64000000","A":"0.87310000"}"#;

/// The stream that all blocks are of.
pub const STREAM: StreamId = StreamId(1);
/// Its start.
pub const EPOCH: Epoch = Epoch(1);
/// When the first event is received.
pub const START: UnixNanos = UnixNanos(1_769_860_800_125_678_901);

/// A depth update with `levels` levels on each side.
///
/// # Panics
/// Never: a string takes any text.
#[must_use]
pub fn depth(levels: u32) -> String {
    let mut frame =
        String::from(r#"{"e":"depthUpdate","E":1769860800124,"s":"BTCUSDT","U":74512345600,"u":74512345678,"b":["#);
    push_levels(&mut frame, (0..levels).map(|i| 6_183_763 - i));
    frame.push_str(r#"],"a":["#);
    push_levels(&mut frame, (0..levels).map(|i| 6_183_764 + i));
    frame.push_str("]}");
    frame
}

/// Levels at the given prices, in hundredths.
fn push_levels(frame: &mut String, prices: impl Iterator<Item = u32>) {
    for (i, price) in prices.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let (int, frac) = (price / 100, price % 100);
        write!(frame, r#"{comma}["{int}.{frac:02}000000","{i}.{price:08}"]"#).expect("a string takes any text");
    }
}

/// A decoder of the frames.
///
/// # Panics
/// When the table of venues has no Binance.
#[must_use]
pub fn decoder() -> Box<dyn Decoder> {
    table::decoder_for("binance").expect("the table has Binance")
}

/// Trades of one instrument, a millisecond apart, with ids from 1; prices and sizes wander a little.
///
/// # Panics
/// Never: the numbers fit.
#[must_use]
pub fn trades(count: u32) -> Vec<Event> {
    let trade = |number: u32| {
        let at = UnixNanos(START.0 + i64::from(number) * 1_000_000);
        let head = EventHead {
            instrument: InstrumentId(1),
            venue_ts: Some(UnixNanos(at.0 - 1_678_901)),
            recv_ts: Some(at),
            flags: Flags::NONE,
        };
        let wander = i64::from(number.wrapping_mul(2_654_435_761) >> 20);
        let price = Decimal::new(6_183_763_000_000 + wander * 1_000_000, 8).expect("eight decimals");
        let size = Decimal::new(127_000 + wander * 10, 8).expect("eight decimals");
        let side = Some(if wander % 2 == 0 { Side::Buy } else { Side::Sell });
        Event::new(head, EventBody::Trade(Trade { price, size, side, id: TradeId::Number(u128::from(number)) }))
    };
    (1..=count).map(trade).collect()
}

/// The events in blocks of `block_events`, numbered from `first` on.
///
/// # Panics
/// When a block is to have no events, or more than one has room for.
#[must_use]
pub fn blocks(events: &[Event], block_events: usize, first: Seq) -> Vec<Arc<Block>> {
    assert!((1..=BLOCK_EVENTS_MAX).contains(&block_events), "a block holds 1 to {BLOCK_EVENTS_MAX} events");
    let mut seq = first;
    let mut blocks = Vec::new();
    for part in events.chunks(block_events) {
        blocks.push(Arc::new(Block::of(STREAM, EPOCH, seq, SourceId(0), part)));
        seq = Seq(seq.0 + part.len() as u64);
    }
    blocks
}

/// All events in one batch, numbered from `first` on.
#[must_use]
pub fn batch(events: &[Event], first: Seq) -> Batch {
    let mut batch = Batch::new();
    for block in blocks(events, BLOCK_EVENTS_MAX, first) {
        let len = block.events().len();
        batch.push(block, 0, len);
    }
    batch
}
