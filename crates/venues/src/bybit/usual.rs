//! Frames printed as Bybit prints them: texts without escapes, plain whole numbers, levels of two texts, no white space; keys
//! in any order, which differs by product. Most of what arrives.
//!
//! Hot path: read straight into the message. The first deviation, whatever it is, gives `None` and hands nothing out; the
//! general way (`wire.rs`, `parse.rs`) then reads the frame from its front and alone decides what it is, or why it is
//! refused. tests/usual_order_okx_bybit.rs checks that nobody can tell the two ways apart.

use super::parse::KEPT_BYTES_MAX;
use super::tickers::Tickers;
use super::{TICKER_SYMBOL_BYTES_MAX, Topic, WITHOUT_BEST, topic};
use crate::cursor::Cursor;
use crate::decoder::Outcome;
use crate::fields::time_of;
use crate::levels::read_plain_levels;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::trade_ids::trade_id_of;
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// Most trades of a frame that are held here: four times what the venue sends at most.
const TRADES_MAX: usize = 4096;

/// What is kept between frames for its room.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    trades: Vec<Trade>,
    bids: Vec<LevelNum>,
    asks: Vec<LevelNum>,
}

/// A trade before the whole frame has been read.
#[derive(Clone, Copy, Debug)]
struct Trade {
    /// First byte and end of the symbol.
    symbol: (usize, usize),
    time: Option<UnixNanos>,
    price: Num,
    size: Num,
    side: Option<Side>,
    id: TradeId,
    seq: Option<VenueSeq>,
}

/// What `data` holds; trades and levels lie in [`Buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Trades,
    Object,
}

/// A book or a ticker: which of the two, the topic tells.
#[derive(Default)]
struct Object<'a> {
    /// `s` of a book.
    symbol: &'a str,
    has_bids: bool,
    has_asks: bool,
    seq: Option<VenueSeq>,
    update_id: Option<VenueSeq>,
    /// `symbol` of a ticker.
    ticker_symbol: &'a str,
    said: [Option<Option<Num>>; 4],
}

/// The keys beside `data`.
#[derive(Default)]
struct Envelope {
    topic: Option<Topic>,
    action: Option<BookAction>,
    sent: Option<UnixNanos>,
    matched: Option<UnixNanos>,
    seq: Option<VenueSeq>,
}

/// Hands out the messages of a frame; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(
    conn: &str,
    frame: &str,
    buffers: &mut Buffers,
    tickers: &mut Tickers,
    out: &mut dyn MessageSink,
) -> Option<Outcome<'static>> {
    let mut at = Cursor::new(frame, 0)?;
    at.need(br#"{""#)?;
    let (mut envelope, mut object, mut data) = (Envelope::default(), Object::default(), None);
    loop {
        if at.take(br#"data":"#) {
            // Twice is for the general way.
            if data.is_some() {
                return None;
            }
            data = Some(if at.take(br#"[{""#) {
                trades(&mut at, &mut buffers.trades)?;
                Data::Trades
            } else {
                object.read(&mut at, buffers)?;
                Data::Object
            });
        } else {
            envelope.read(&mut at)?;
        }
        if !at.take(br#",""#) {
            break;
        }
    }
    at.need(b"}")?;
    if !at.is_at_end() {
        return None;
    }
    match (envelope.topic?, data?) {
        (Topic::Trades, Data::Trades) => {
            for trade in &buffers.trades {
                out.message(frame, &Message::Trade(trade.message(frame, envelope.sent)));
            }
            Some(Outcome::Messages(buffers.trades.len()))
        }
        (Topic::Book, Data::Object) => {
            out.message(frame, &Message::Book(envelope.book(&object, buffers)?));
            Some(Outcome::Messages(1))
        }
        (Topic::Tickers, Data::Object) => {
            let symbol = object.ticker_symbol;
            let is_snapshot = envelope.action? == BookAction::Snapshot;
            if object.said.iter().all(Option::is_none) {
                return Some(WITHOUT_BEST);
            }
            if !(1..=TICKER_SYMBOL_BYTES_MAX).contains(&symbol.len()) {
                return None;
            }
            let (text, best) = tickers.update((conn, symbol), is_snapshot, frame, object.said);
            out.message(text, &Message::Quote(envelope.quote(symbol, best)));
            Some(Outcome::Messages(1))
        }
        _ => None,
    }
}

impl Envelope {
    /// One member, from its key's first letter on.
    #[inline]
    fn read(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        match at.peek()? {
            b't' if at.take(br#"topic":"tickers."#) => {
                at.skip_string()?;
                self.topic = Some(Topic::Tickers);
            }
            b't' if at.take(br#"topic":""#) => self.topic = Some(topic(at.string()?)?),
            b't' if at.take(br#"ts":"#) => self.sent = Some(time(at)?),
            b't' if at.take(br#"type":"delta""#) => self.action = Some(BookAction::Delta),
            b't' => {
                at.need(br#"type":"snapshot""#)?;
                self.action = Some(BookAction::Snapshot);
            }
            _ if at.take(br#"cs":"#) => self.seq = Some(VenueSeq(at.integer()?)),
            _ => {
                at.need(br#"cts":"#)?;
                self.matched = Some(time(at)?);
            }
        }
        Some(())
    }

    fn book<'a>(&self, book: &Object<'a>, buffers: &'a Buffers) -> Option<BookMsg<'a>> {
        let is_whole = book.has_bids && book.has_asks && !book.symbol.is_empty();
        is_whole.then_some(BookMsg {
            symbol: book.symbol,
            exchange_ts: self.matched.or(self.sent),
            event_ts: self.sent,
            action: self.action?,
            bids: &buffers.bids,
            asks: &buffers.asks,
            seq_first: book.seq,
            seq_last: book.update_id,
            seq_prev: None,
            checksum: None,
            replay: false,
        })
    }

    const fn quote<'a>(&self, symbol: &'a str, [bid, bid_size, ask, ask_size]: [Option<Num>; 4]) -> QuoteMsg<'a> {
        QuoteMsg {
            symbol,
            exchange_ts: self.sent,
            event_ts: None,
            bid,
            bid_size,
            ask,
            ask_size,
            seq: self.seq,
            replay: false,
        }
    }
}

impl<'a> Object<'a> {
    /// Tickers of options go the general way.
    #[inline]
    fn read(&mut self, at: &mut Cursor<'a>, buffers: &mut Buffers) -> Option<()> {
        at.need(br#"{""#)?;
        loop {
            match at.peek()? {
                b'b' if at.take(br#"b":"#) => {
                    self.has_bids = true;
                    buffers.bids.clear();
                    read_plain_levels(at, &mut buffers.bids)?;
                }
                b'a' if at.take(br#"a":"#) => {
                    self.has_asks = true;
                    buffers.asks.clear();
                    read_plain_levels(at, &mut buffers.asks)?;
                }
                b's' if at.take(br#"s":"#) => self.symbol = text(at)?,
                b'u' if at.take(br#"u":"#) => self.update_id = Some(VenueSeq(at.integer()?)),
                b's' if at.take(br#"seq":"#) => self.seq = Some(VenueSeq(at.integer()?)),
                b's' if at.take(br#"symbol":"#) => self.ticker_symbol = text(at)?,
                b'b' if at.take(br#"bid1Price":"#) => self.said[0] = Some(kept_decimal(at)?),
                b'b' if at.take(br#"bid1Size":"#) => self.said[1] = Some(kept_decimal(at)?),
                b'a' if at.take(br#"ask1Price":"#) => self.said[2] = Some(kept_decimal(at)?),
                b'a' if at.take(br#"ask1Size":"#) => self.said[3] = Some(kept_decimal(at)?),
                b'b' if at.take(br#"bidPrice":"#) || at.take(br#"bidSize":"#) => return None,
                b'a' if at.take(br#"askPrice":"#) || at.take(br#"askSize":"#) => return None,
                _ => at.skip_member()?,
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }
}

impl Trade {
    fn message<'a>(&self, frame: &'a str, event_ts: Option<UnixNanos>) -> TradeMsg<'a> {
        TradeMsg {
            symbol: frame.get(self.symbol.0..self.symbol.1).unwrap_or(""),
            exchange_ts: self.time,
            event_ts,
            price: self.price,
            size: self.size,
            side: self.side,
            id: self.id,
            seq: self.seq,
            replay: false,
        }
    }
}

/// The list of a `publicTrade`, from its first trade's first key on.
fn trades(at: &mut Cursor<'_>, trades: &mut Vec<Trade>) -> Option<()> {
    trades.clear();
    for _ in 0..TRADES_MAX {
        trades.push(trade(at)?);
        if !at.take(br#",{""#) {
            return at.need(b"]");
        }
    }
    None
}

/// From its first key up to its brace.
#[inline]
fn trade(at: &mut Cursor<'_>) -> Option<Trade> {
    let (mut symbol, mut time_of_trade, mut price, mut size) = (None, None, None, None);
    let (mut side, mut id, mut seq) = (None, TradeId::None, None);
    loop {
        match at.peek()? {
            b'T' => {
                at.need(br#"T":"#)?;
                time_of_trade = Some(time(at)?);
            }
            b's' if at.take(br#"s":""#) => {
                let start = at.at();
                symbol = Some((start, start + at.string()?.len()));
            }
            b's' => {
                at.need(br#"seq":"#)?;
                seq = Some(VenueSeq(at.integer()?));
            }
            b'S' => {
                let is_buy = at.take(br#"S":"Buy""#);
                if !is_buy {
                    at.need(br#"S":"Sell""#)?;
                }
                side = Some(if is_buy { Side::Buy } else { Side::Sell });
            }
            b'v' => {
                at.need(br#"v":""#)?;
                size = Some(at.decimal()?);
            }
            b'p' => {
                at.need(br#"p":""#)?;
                price = Some(at.decimal()?);
            }
            b'i' => {
                at.need(br#"i":""#)?;
                id = trade_id_of(at.string()?.as_bytes())?;
            }
            b'L' => {
                at.need(br#"L":""#)?;
                at.skip_string()?;
            }
            b'B' => flag(at, br#"BT":"#)?,
            _ => flag(at, br#"RPI":"#)?,
        }
        if !at.take(br#",""#) {
            break;
        }
    }
    at.need(b"}")?;
    let symbol = symbol.filter(|(start, end)| start < end)?;
    Some(Trade { symbol, time: time_of_trade, price: price?, size: size?, side, id, seq })
}

/// A member that is true or false, and of no interest.
#[inline]
fn flag<const N: usize>(at: &mut Cursor<'_>, key: &[u8; N]) -> Option<()> {
    at.need(key)?;
    if at.take(b"false") { Some(()) } else { at.need(b"true") }
}

#[inline(always)]
fn text<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.need(b"\"")?;
    at.string()
}

/// A decimal of bounded length, or none in an empty text.
#[inline(always)]
fn kept_decimal(at: &mut Cursor<'_>) -> Option<Option<Num>> {
    at.need(b"\"")?;
    if at.take(b"\"") {
        return Some(None);
    }
    at.decimal().filter(|num| num.len <= KEPT_BYTES_MAX).map(Some)
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    time_of(at.integer()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as the venue prints it is read here: without this the way would be right and of no use.
    #[test]
    fn every_topic_s_frames_are_taken() {
        let cases = [
            (
                "trades of linear",
                1,
                r#"{"topic":"publicTrade.X","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"X","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913}]}"#,
            ),
            (
                "trades of spot, the topic behind them",
                2,
                r#"{"data":[{"i":"2290000001189048101","T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"X","BT":false,"RPI":true},{"i":"7","T":1786310822605,"p":"1","v":"1","S":"Sell","s":"X","BT":true}],"ts":1786310822606,"type":"snapshot","topic":"publicTrade.X"}"#,
            ),
            (
                "a book",
                1,
                r#"{"topic":"orderbook.200.X","ts":1786310816618,"type":"delta","data":{"s":"X","b":[["65140.4","0.875077"]],"a":[],"u":62505425,"seq":112488545865},"cts":1786310816585}"#,
            ),
            (
                "a ticker",
                1,
                r#"{"topic":"tickers.X","type":"delta","data":{"symbol":"X","markPrice":"65117.43","bid1Price":"65114.20","bid1Size":"6.124"},"cs":753843922769,"ts":1786310818484}"#,
            ),
        ];
        for (name, expected, frame) in cases {
            let (mut buffers, mut tickers, mut messages) = (Buffers::default(), Tickers::default(), 0);
            let taken = decode("ws", frame, &mut buffers, &mut tickers, &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(Outcome::Messages(expected)), expected), "{name}");
        }
        let spot =
            r#"{"topic":"tickers.X","ts":1,"type":"snapshot","cs":1,"data":{"symbol":"X","lastPrice":"65140.5"}}"#;
        let taken =
            decode("ws", spot, &mut Buffers::default(), &mut Tickers::default(), &mut |_: &str, _: &Message<'_>| ());
        assert_eq!(taken, Some(WITHOUT_BEST));
    }
}
