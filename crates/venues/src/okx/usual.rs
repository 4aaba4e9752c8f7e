//! Frames printed as OKX prints them: texts without escapes, plain whole numbers, levels of four texts, no white space; keys
//! in any order. Most of what arrives.
//!
//! Hot path: read straight into the message. The first deviation, whatever it is, gives `None` and hands nothing out; the
//! general way (`wire.rs`, `parse.rs`) then reads the frame from its front and alone decides what it is, or why it is
//! refused. tests/usual_order_okx_bybit.rs checks that nobody can tell the two ways apart.

use super::levels::read_plain_levels;
use super::wire::Elements;
use super::{Channel, channel};
use crate::cursor::Cursor;
use crate::fields::time_of;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::trade_ids::trade_id_of;
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// What an element of `data` says, whatever it is; its levels lie in [`Elements`].
struct Element<'a> {
    symbol: Option<&'a str>,
    time: Option<UnixNanos>,
    seq: Option<VenueSeq>,
    prev_seq: Option<VenueSeq>,
    checksum: Option<u32>,
    has_asks: bool,
    has_bids: bool,
    price: Option<Num>,
    size: Option<Num>,
    side: Option<Side>,
    id: TradeId,
    /// Bid, its size, ask, its size; `Some(None)` where there is no price.
    best: [Option<Option<Num>>; 4],
}

/// `arg`, and what else stands beside `data`.
#[derive(Default)]
struct Envelope<'a> {
    channel: Option<Channel>,
    symbol: &'a str,
    action: Option<BookAction>,
}

/// Elements of `data`: the first, its place, and how many there are.
struct Data<'a> {
    first: Element<'a>,
    start: usize,
    count: usize,
    /// Whether each of them could be a trade.
    are_trades: bool,
}

/// Hands out the messages of a frame and counts them; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(frame: &str, elements: &mut Elements, out: &mut dyn MessageSink) -> Option<usize> {
    let mut at = Cursor::new(frame, 0)?;
    at.need(br#"{""#)?;
    let (mut envelope, mut data) = (Envelope::default(), None);
    loop {
        if at.take(br#"arg":{""#) {
            envelope.read_arg(&mut at)?;
        } else if at.take(br#"data":[{""#) {
            // Twice is for the general way.
            if data.is_some() {
                return None;
            }
            data = Some(read_data(&mut at, elements)?);
        } else if at.take(br#"action":"update""#) {
            envelope.action = Some(BookAction::Delta);
        } else {
            at.need(br#"action":"snapshot""#)?;
            envelope.action = Some(BookAction::Snapshot);
        }
        if !at.take(br#",""#) {
            break;
        }
    }
    at.need(b"}")?;
    if !at.is_at_end() {
        return None;
    }
    hand_out(frame, &envelope, &data?, elements, out)
}

fn hand_out(
    frame: &str,
    envelope: &Envelope<'_>,
    data: &Data<'_>,
    elements: &mut Elements,
    out: &mut dyn MessageSink,
) -> Option<usize> {
    let channel = envelope.channel?;
    if channel == Channel::Trades && data.count > 1 {
        return trades(frame, envelope, data, elements, out);
    }
    let first = &data.first;
    let symbol = first.symbol.unwrap_or(envelope.symbol);
    if data.count > 1 || symbol.is_empty() {
        return None;
    }
    let (bids, asks) = (&elements.bids.levels, &elements.asks.levels);
    let message = match channel {
        Channel::Trades => Message::Trade(first.trade(symbol)?),
        Channel::Tickers => Message::Quote(first.ticker(symbol)?),
        Channel::Best => Message::Quote(first.best_of(symbol, bids, asks)?),
        Channel::Top => Message::Book(first.book(symbol, BookAction::Snapshot, bids, asks)?),
        Channel::Books => Message::Book(first.book(symbol, envelope.action?, bids, asks)?),
    };
    out.message(frame, &message);
    Some(1)
}

/// Several trades: all of them have been looked at, so the second look finds the same.
fn trades(
    frame: &str,
    envelope: &Envelope<'_>,
    data: &Data<'_>,
    elements: &mut Elements,
    out: &mut dyn MessageSink,
) -> Option<usize> {
    if !data.are_trades || envelope.symbol.is_empty() {
        return None;
    }
    let mut at = Cursor::new(frame, data.start)?;
    for _ in 0..data.count {
        let element = read_element(&mut at, elements)?;
        out.message(frame, &Message::Trade(element.trade(element.symbol.unwrap_or(envelope.symbol))?));
        at.take(br#",{""#);
    }
    Some(data.count)
}

impl<'a> Envelope<'a> {
    /// From its first key on.
    fn read_arg(&mut self, at: &mut Cursor<'a>) -> Option<()> {
        (self.channel, self.symbol) = (None, "");
        loop {
            if at.take(br#"channel":""#) {
                self.channel = Some(channel(at.string()?)?);
            } else if at.take(br#"instId":""#) {
                self.symbol = at.string()?;
            } else {
                at.need(br#"instType":""#)?;
                at.skip_string()?;
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }
}

/// From the first element's first key on.
fn read_data<'a>(at: &mut Cursor<'a>, elements: &mut Elements) -> Option<Data<'a>> {
    elements.clear();
    let start = at.at();
    let first = read_element(at, elements)?;
    let mut data = Data { are_trades: first.could_be_trade(), first, start, count: 1 };
    while at.take(br#",{""#) {
        data.are_trades &= read_element(at, elements)?.could_be_trade();
        data.count += 1;
    }
    at.need(b"]").map(|()| data)
}

/// From its first key up to its brace.
#[inline]
fn read_element<'a>(at: &mut Cursor<'a>, elements: &mut Elements) -> Option<Element<'a>> {
    let mut element = Element {
        symbol: None,
        time: None,
        seq: None,
        prev_seq: None,
        checksum: None,
        has_asks: false,
        has_bids: false,
        price: None,
        size: None,
        side: None,
        id: TradeId::None,
        best: [None; 4],
    };
    loop {
        match at.peek()? {
            b'p' if at.take(br#"px":"#) => element.price = Some(decimal(at)?),
            b's' if at.take(br#"sz":"#) => element.size = Some(decimal(at)?),
            b't' if at.take(br#"ts":"#) => element.time = Some(quoted_time(at)?),
            b's' if at.take(br#"side":"#) => element.side = Some(side(at)?),
            b'a' if at.take(br#"asks":"#) => {
                element.has_asks = true;
                elements.asks.levels.clear();
                read_plain_levels(at, &mut elements.asks.levels)?;
            }
            b'b' if at.take(br#"bids":"#) => {
                element.has_bids = true;
                elements.bids.levels.clear();
                read_plain_levels(at, &mut elements.bids.levels)?;
            }
            b'i' if at.take(br#"instId":"#) => element.symbol = Some(text(at).filter(|symbol| !symbol.is_empty())?),
            b't' if at.take(br#"tradeId":"#) => element.id = trade_id_of(text(at)?.as_bytes())?,
            b's' if at.take(br#"seqId":"#) => element.seq = Some(VenueSeq(signed(at)?)),
            b'p' if at.take(br#"prevSeqId":"#) => element.prev_seq = Some(VenueSeq(signed(at)?)),
            b'c' if at.take(br#"checksum":"#) => {
                element.checksum = Some(i32::try_from(signed(at)?).ok()?.cast_unsigned());
            }
            b'b' if at.take(br#"bidPx":"#) => element.best[0] = Some(optional_decimal(at)?),
            b'b' if at.take(br#"bidSz":"#) => element.best[1] = Some(optional_decimal(at)?),
            b'a' if at.take(br#"askPx":"#) => element.best[2] = Some(optional_decimal(at)?),
            b'a' if at.take(br#"askSz":"#) => element.best[3] = Some(optional_decimal(at)?),
            _ => at.skip_member()?,
        }
        if !at.take(br#",""#) {
            return at.need(b"}").map(|()| element);
        }
    }
}

impl Element<'_> {
    const fn could_be_trade(&self) -> bool {
        self.price.is_some() && self.size.is_some()
    }

    fn trade<'a>(&self, symbol: &'a str) -> Option<TradeMsg<'a>> {
        Some(TradeMsg {
            symbol,
            exchange_ts: self.time,
            event_ts: None,
            price: self.price?,
            size: self.size?,
            side: self.side,
            id: self.id,
            seq: self.seq,
            replay: false,
        })
    }

    fn ticker<'a>(&self, symbol: &'a str) -> Option<QuoteMsg<'a>> {
        let says_something = self.best.iter().any(Option::is_some);
        says_something.then(|| self.quote(symbol, self.best.map(Option::flatten)))
    }

    fn best_of<'a>(&self, symbol: &'a str, bids: &[LevelNum], asks: &[LevelNum]) -> Option<QuoteMsg<'a>> {
        let (bid, ask) = (bids.first(), asks.first());
        let price = |level: Option<&LevelNum>| level.map(|level| level.price);
        let size = |level: Option<&LevelNum>| level.map(|level| level.size);
        (self.has_bids && self.has_asks).then(|| self.quote(symbol, [price(bid), size(bid), price(ask), size(ask)]))
    }

    const fn quote<'a>(&self, symbol: &'a str, [bid, bid_size, ask, ask_size]: [Option<Num>; 4]) -> QuoteMsg<'a> {
        QuoteMsg {
            symbol,
            exchange_ts: self.time,
            event_ts: None,
            bid,
            bid_size,
            ask,
            ask_size,
            seq: self.seq,
            replay: false,
        }
    }

    fn book<'a>(
        &self,
        symbol: &'a str,
        action: BookAction,
        bids: &'a [LevelNum],
        asks: &'a [LevelNum],
    ) -> Option<BookMsg<'a>> {
        (self.has_bids && self.has_asks).then_some(BookMsg {
            symbol,
            exchange_ts: self.time,
            event_ts: None,
            action,
            bids,
            asks,
            seq_first: None,
            seq_last: self.seq,
            seq_prev: self.prev_seq,
            checksum: self.checksum,
            replay: false,
        })
    }
}

#[inline(always)]
fn text<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.need(b"\"")?;
    at.string()
}

#[inline(always)]
fn decimal(at: &mut Cursor<'_>) -> Option<Num> {
    at.need(b"\"")?;
    at.decimal()
}

/// An empty text is none.
#[inline(always)]
fn optional_decimal(at: &mut Cursor<'_>) -> Option<Option<Num>> {
    if at.take(br#""""#) { Some(None) } else { decimal(at).map(Some) }
}

#[inline(always)]
fn side(at: &mut Cursor<'_>) -> Option<Side> {
    if at.take(br#""buy""#) { Some(Side::Buy) } else { at.need(br#""sell""#).map(|()| Side::Sell) }
}

/// Times are texts.
#[inline(always)]
fn quoted_time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    at.need(b"\"")?;
    let time = time_of(at.integer()?)?;
    at.need(b"\"").map(|()| time)
}

/// A whole number that may have a sign.
#[inline(always)]
fn signed(at: &mut Cursor<'_>) -> Option<i64> {
    if at.take(b"-") { at.integer().map(|value| -value) } else { at.integer() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as the venue prints it is read here: without this the way would be right and of no use.
    #[test]
    fn every_channel_s_frames_are_taken() {
        let cases = [
            (
                "trades",
                1,
                r#"{"arg":{"channel":"trades","instId":"A-B"},"data":[{"instId":"A-B","tradeId":"314161276","px":"43474.1","sz":"0.00373695","side":"buy","ts":"1646311839593","count":"3","source":"0","seqId":363996337}]}"#,
            ),
            (
                "two trades, the channel behind them",
                2,
                r#"{"data":[{"instId":"A-B","tradeId":"1","px":"4","sz":"3","side":"buy","ts":"1646311839593"},{"instId":"A-B","tradeId":"2","px":"4","sz":"3","side":"sell","ts":"1646311839593"}],"arg":{"channel":"trades-all","instId":"A-B"}}"#,
            ),
            (
                "tickers",
                1,
                r#"{"arg":{"channel":"tickers","instId":"A-B"},"data":[{"instType":"OPTION","instId":"A-B","last":"","lastSz":"0","askPx":"","askSz":"","bidPx":"29934","bidSz":"0.05181315","open24h":"31588.3","vol24h":"9935.14546361","ts":"1654166073135"}]}"#,
            ),
            (
                "bbo-tbt",
                1,
                r#"{"arg":{"channel":"bbo-tbt","instId":"A-B"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[],"ts":"1670324386802","seqId":363996337}]}"#,
            ),
            (
                "books",
                1,
                r#"{"arg":{"channel":"books","instId":"A-B"},"action":"update","data":[{"asks":[["30249.4","0","0","0"],["30261","4","0","1"]],"bids":[],"ts":"1652459225464","checksum":0,"seqId":363996338,"prevSeqId":363996337}]}"#,
            ),
            (
                "books5",
                1,
                r#"{"arg":{"channel":"books5","instId":"A-B"},"data":[{"asks":[["2","18","0","2"]],"bids":[["1","1","0","1"]],"instId":"A-B","ts":"1652672165391","seqId":363996337}]}"#,
            ),
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let taken = decode(frame, &mut Elements::default(), &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
