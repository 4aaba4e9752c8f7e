//! Frames printed as Binance prints them, with their keys in any order: keys of one or two letters, texts without escapes,
//! whole numbers, levels of two texts, no white space.
//!
//! Hot path: one walk, each value read straight into what its key stands for. The same letter means other things in other
//! events (`a` is an id, a price or a list), which the form of its value tells. The first deviation, whatever it is, gives
//! `None` and hands nothing out; the general way (`wire.rs`, `parse.rs`) then reads the frame from its front and alone
//! decides what it is, or why it is refused. tests/usual_order.rs checks that nobody can tell the ways apart.

use super::wire::DepthLevels;
use super::{DepthStream, depth_stream};
use crate::cursor::Cursor;
use crate::fields::time_of;
use crate::levels::read_plain_levels;
use crate::message::{BookMsg, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// Hands out the message of a frame; `None`, and nothing handed out, when it is not quite plain.
pub(super) fn decode(frame: &str, levels: &mut DepthLevels, out: &mut dyn MessageSink) -> Option<()> {
    let mut at = Cursor::new(frame, 0)?;
    let mut fields = Fields::default();
    let mut stream = "";
    if at.take(br#"{"stream":""#) {
        stream = at.string()?;
        at.need(br#","data":{""#)?;
        fields.read(&mut at, levels)?;
        at.need(b"}")?;
    } else if at.take(br#"{"data":{""#) {
        fields.read(&mut at, levels)?;
        at.need(br#","stream":""#)?;
        stream = at.string()?;
        at.need(b"}")?;
    } else {
        at.need(br#"{""#)?;
        fields.read(&mut at, levels)?;
    }
    if !at.is_at_end() || fields.symbol.is_empty() {
        return None;
    }
    let message = match fields.event {
        Some(Event::Trade) => Message::Trade(fields.trade(fields.trade_id?)?),
        Some(Event::AggTrade) => Message::Trade(fields.trade(fields.aggregate_id?)?),
        Some(Event::DepthUpdate) => Message::Book(fields.book(stream, levels)?),
        // Spot's quotes have no event name: they are told by their shape.
        Some(Event::BookTicker) | None => Message::Quote(fields.quote()?),
    };
    out.message(frame, &message);
    Some(())
}

/// What `e` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Trade,
    AggTrade,
    BookTicker,
    DepthUpdate,
}

/// The values of an event; its levels lie in [`DepthLevels`].
#[derive(Debug, Default)]
struct Fields<'a> {
    /// A bit for each letter that has been a key.
    letters: u64,
    event: Option<Event>,
    event_time: Option<UnixNanos>,
    time: Option<UnixNanos>,
    symbol: &'a str,
    trade_id: Option<i64>,
    aggregate_id: Option<i64>,
    bid: Option<Num>,
    bid_size: Option<Num>,
    ask: Option<Num>,
    ask_size: Option<Num>,
    price: Option<Num>,
    size: Option<Num>,
    side: Option<Side>,
    first_id: Option<i64>,
    last_id: Option<i64>,
    prev_id: Option<i64>,
    has_bids: bool,
    has_asks: bool,
}

impl<'a> Fields<'a> {
    /// From the first key's letter on, up to the brace.
    #[inline]
    fn read(&mut self, at: &mut Cursor<'a>, levels: &mut DepthLevels) -> Option<()> {
        loop {
            match at.short_key()? {
                &[letter] => self.read_letter(letter, at, levels)?,
                b"pu" if self.prev_id.is_none() => self.prev_id = Some(at.integer()?),
                b"pu" => return None,
                _ => {
                    at.plain_value()?;
                }
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }

    /// The value behind a key of one letter. Twice the same key is for the general way.
    #[inline(always)]
    fn read_letter(&mut self, letter: u8, at: &mut Cursor<'a>, levels: &mut DepthLevels) -> Option<()> {
        let bit = 1 << (letter & 63); // Six bits tell letters apart.
        if self.letters & bit != 0 {
            return None;
        }
        self.letters |= bit;
        match letter {
            b'e' => self.event = Some(event(at)?),
            b'E' => self.event_time = Some(time(at)?),
            b'T' => self.time = Some(time(at)?),
            b's' => {
                at.need(b"\"")?;
                self.symbol = at.string()?;
            }
            b't' => self.trade_id = Some(at.integer()?),
            b'p' => self.price = Some(decimal(at)?),
            b'q' => self.size = Some(decimal(at)?),
            b'm' => {
                // The buyer is the maker, so the taker sold.
                self.side = Some(if at.take(b"true") {
                    Side::Sell
                } else {
                    at.need(b"false")?;
                    Side::Buy
                });
            }
            b'u' => self.last_id = Some(at.integer()?),
            b'U' => self.first_id = Some(at.integer()?),
            b'b' if at.take(b"\"") => self.bid = Some(at.decimal()?),
            b'b' => {
                self.has_bids = true;
                levels.bids.levels.clear();
                read_plain_levels(at, &mut levels.bids.levels)?;
            }
            b'B' => self.bid_size = Some(decimal(at)?),
            b'a' if at.take(b"\"") => self.ask = Some(at.decimal()?),
            b'a' if at.peek() == Some(b'[') => {
                self.has_asks = true;
                levels.asks.levels.clear();
                read_plain_levels(at, &mut levels.asks.levels)?;
            }
            b'a' => self.aggregate_id = Some(at.integer()?),
            b'A' => self.ask_size = Some(decimal(at)?),
            _ => {
                at.plain_value()?;
            }
        }
        Some(())
    }

    fn trade(&self, id: i64) -> Option<TradeMsg<'a>> {
        Some(TradeMsg {
            symbol: self.symbol,
            exchange_ts: Some(self.time?),
            event_ts: self.event_time,
            price: self.price?,
            size: self.size?,
            side: Some(self.side?),
            id: TradeId::Number(u128::try_from(id).ok()?),
            seq: None,
            replay: false,
        })
    }

    fn quote(&self) -> Option<QuoteMsg<'a>> {
        Some(QuoteMsg {
            symbol: self.symbol,
            exchange_ts: self.time,
            event_ts: self.event_time,
            bid: Some(self.bid?),
            bid_size: Some(self.bid_size?),
            ask: Some(self.ask?),
            ask_size: Some(self.ask_size?),
            seq: Some(VenueSeq(self.last_id?)),
            replay: false,
        })
    }

    fn book<'b>(&self, stream: &str, levels: &'b DepthLevels) -> Option<BookMsg<'b>>
    where
        'a: 'b,
    {
        let action = match depth_stream(stream) {
            DepthStream::Diff => BookAction::Delta,
            DepthStream::Partial => BookAction::Snapshot,
            DepthStream::Other => return None,
        };
        (self.has_bids && self.has_asks).then_some(BookMsg {
            symbol: self.symbol,
            exchange_ts: self.time.or(self.event_time),
            event_ts: Some(self.event_time?),
            action,
            bids: &levels.bids.levels,
            asks: &levels.asks.levels,
            seq_first: Some(VenueSeq(self.first_id?)),
            seq_last: Some(VenueSeq(self.last_id?)),
            seq_prev: self.prev_id.map(VenueSeq),
            checksum: None,
            replay: false,
        })
    }
}

#[inline(always)]
fn event(at: &mut Cursor<'_>) -> Option<Event> {
    if at.take(br#""aggTrade""#) {
        Some(Event::AggTrade)
    } else if at.take(br#""trade""#) {
        Some(Event::Trade)
    } else if at.take(br#""bookTicker""#) {
        Some(Event::BookTicker)
    } else {
        at.need(br#""depthUpdate""#).map(|()| Event::DepthUpdate)
    }
}

#[inline(always)]
fn decimal(at: &mut Cursor<'_>) -> Option<Num> {
    at.need(b"\"")?;
    at.decimal()
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    time_of(at.integer()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as Binance prints it is read here: without this the way would be right and of no use.
    #[test]
    fn every_event_is_taken_with_its_keys_turned_round() {
        let cases = [
            (
                "spot trade",
                r#"{"stream":"x@trade","data":{"M":true,"m":true,"T":1723161255342,"q":"0.02000000","p":"61837.63000000","t":3735683259,"s":"BTCUSDT","E":1723161255343,"e":"trade"}}"#,
            ),
            (
                "aggTrade, the stream behind it",
                r#"{"data":{"m":true,"T":1617647797485,"l":12821738,"f":12821738,"nq":"369","q":"369","p":"0.69067","s":"SANDUSDT","a":9445517,"E":1617647797640,"e":"aggTrade"},"stream":"x@aggTrade"}"#,
            ),
            ("spot quote, raw", r#"{"A":"40.66","a":"25.36","B":"31.21","b":"25.35","s":"BNBUSDT","u":400900217}"#),
            (
                "COIN-M quote",
                r#"{"stream":"x@bookTicker","data":{"E":1723161601299,"T":1723161601293,"A":"2018","a":"2682.02","B":"1991","b":"2682.01","ps":"ETHUSD","s":"ETHUSD_PERP","e":"bookTicker","u":1007202248291}}"#,
            ),
            (
                "COIN-M depth",
                r#"{"stream":"x@depth@0ms","data":{"a":[["2682.70","1331"]],"b":[],"pu":1007202247937,"u":1007202248133,"U":1007202248094,"ps":"ETHUSD","s":"ETHUSD_PERP","T":1723161601274,"E":1723161601286,"e":"depthUpdate"}}"#,
            ),
        ];
        for (name, frame) in cases {
            let mut messages = 0;
            let taken = decode(frame, &mut DepthLevels::default(), &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(()), 1), "{name}");
        }
    }
}
