//! The second protocol as it is usually printed, its keys in any order; see `usual.rs`.

use super::usual::{end, push};
use super::wire::{HeldTrade, ITEMS_MAX, Levels, Lists};
use crate::cursor::Cursor;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use crate::time_text::rfc3339;
use feedd_model::{BookAction, Side, TradeId, UnixNanos};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Book,
    Trade,
    Ticker,
}

/// The keys beside `data`.
#[derive(Default)]
struct Envelope {
    channel: Option<Channel>,
    is_snapshot: Option<bool>,
}

/// What an element of `data` says, whatever it is; its levels lie in [`Levels`].
#[derive(Default)]
struct Element {
    symbol: Token,
    time: Option<UnixNanos>,
    side: Option<Side>,
    price: Option<Num>,
    size: Option<Num>,
    id: Option<i64>,
    bid: Option<Num>,
    bid_size: Option<Num>,
    ask: Option<Num>,
    ask_size: Option<Num>,
    checksum: Option<u32>,
    has_bids: bool,
    has_asks: bool,
}

/// Elements of `data`: the first, and how many there are. Those that could be trades are held in [`Lists`].
struct Data {
    first: Element,
    count: usize,
}

/// From the first key on.
#[inline]
pub(super) fn decode(mut at: Cursor<'_>, frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    let (mut envelope, mut data) = (Envelope::default(), None);
    loop {
        if at.take(br#"data":[{""#) {
            // Twice is for the general way.
            if data.is_some() {
                return None;
            }
            data = Some(read_data(&mut at, lists)?);
        } else {
            envelope.read(&mut at)?;
        }
        if !at.take(br#",""#) {
            break;
        }
    }
    end(&mut at, b"}")?;
    let (Data { first, count }, is_snapshot) = (data?, envelope.is_snapshot?);
    match envelope.channel? {
        Channel::Trade if lists.trades.len() == count => {
            for held in &lists.trades {
                let symbol = held.symbol.text(frame);
                out.message(frame, &Message::Trade(TradeMsg { symbol, replay: is_snapshot, ..held.trade }));
            }
        }
        // Several books and tickers go the general way.
        Channel::Book if count == 1 => {
            out.message(frame, &Message::Book(first.book(frame, is_snapshot, &lists.levels)?))
        }
        Channel::Ticker if count == 1 => out.message(frame, &Message::Quote(first.quote(frame)?)),
        _ => return None,
    }
    Some(count)
}

impl Envelope {
    /// One member, from its key's first letter on.
    #[inline(always)]
    fn read(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        if at.take(br#"type":"update""#) {
            self.is_snapshot = Some(false);
        } else if at.take(br#"type":"snapshot""#) {
            self.is_snapshot = Some(true);
        } else if at.take(br#"channel":"book""#) {
            self.channel = Some(Channel::Book);
        } else if at.take(br#"channel":"trade""#) {
            self.channel = Some(Channel::Trade);
        } else {
            at.need(br#"channel":"ticker""#)?;
            self.channel = Some(Channel::Ticker);
        }
        Some(())
    }
}

/// From the first element's first key on.
#[inline]
fn read_data(at: &mut Cursor<'_>, lists: &mut Lists) -> Option<Data> {
    lists.levels.clear();
    lists.trades.clear();
    let mut first = Element::default();
    first.read(at, &mut lists.levels)?;
    lists.trades.extend(first.trade());
    let mut count = 1;
    while at.take(br#",{""#) {
        if count == ITEMS_MAX {
            return None;
        }
        let mut element = Element::default();
        element.read(at, &mut lists.levels)?;
        lists.trades.extend(element.trade());
        count += 1;
    }
    at.need(b"]").map(|()| Data { first, count })
}

impl Element {
    /// From its first key up to its brace.
    #[inline]
    fn read(&mut self, at: &mut Cursor<'_>, levels: &mut Levels) -> Option<()> {
        loop {
            match at.peek()? {
                b's' if at.take(br#"symbol":"#) => self.symbol = at.plain_value()?,
                b's' if at.take(br#"side":"buy""#) => self.side = Some(Side::Buy),
                b's' => {
                    at.need(br#"side":"sell""#)?;
                    self.side = Some(Side::Sell);
                }
                b'b' if at.take(br#"bid":"#) => self.bid = Some(at.number()?),
                b'b' if at.take(br#"bid_qty":"#) => self.bid_size = Some(at.number()?),
                b'b' if at.take(br#"bids":"#) => read_side(at, &mut levels.bids, &mut self.has_bids)?,
                b'a' if at.take(br#"ask":"#) => self.ask = Some(at.number()?),
                b'a' if at.take(br#"ask_qty":"#) => self.ask_size = Some(at.number()?),
                b'a' if at.take(br#"asks":"#) => read_side(at, &mut levels.asks, &mut self.has_asks)?,
                b'p' if at.take(br#"price":"#) => self.price = Some(at.number()?),
                b'q' if at.take(br#"qty":"#) => self.size = Some(at.number()?),
                b't' if at.take(br#"timestamp":""#) => self.time = Some(rfc3339(at.string()?.as_bytes())?),
                b't' if at.take(br#"trade_id":"#) => self.id = Some(at.integer()?),
                b'c' if at.take(br#"checksum":"#) => self.checksum = Some(u32::try_from(at.integer()?).ok()?),
                b'v' | b'l' | b'h' | b'c' | b'o' | b'p' | b'q' => at.skip_member()?,
                _ => return None,
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }

    fn symbol<'f>(&self, frame: &'f str) -> Option<&'f str> {
        let is_named = self.symbol.kind == TokenKind::String && self.symbol.len > 0;
        is_named.then(|| self.symbol.text(frame))
    }

    #[inline]
    fn trade(&self) -> Option<HeldTrade> {
        let symbol = self.symbol;
        (symbol.kind == TokenKind::String && symbol.len > 0).then_some(())?;
        let trade = TradeMsg {
            symbol: "",
            exchange_ts: self.time,
            event_ts: None,
            price: self.price?,
            size: self.size?,
            side: self.side,
            id: match self.id {
                Some(id) => TradeId::Number(u128::try_from(id).ok()?),
                None => TradeId::None,
            },
            seq: None,
            replay: false,
        };
        Some(HeldTrade { symbol, trade })
    }

    fn quote<'f>(&self, frame: &'f str) -> Option<QuoteMsg<'f>> {
        Some(QuoteMsg {
            symbol: self.symbol(frame)?,
            exchange_ts: self.time,
            event_ts: None,
            bid: Some(self.bid?),
            bid_size: self.bid_size,
            ask: Some(self.ask?),
            ask_size: self.ask_size,
            seq: None,
            replay: false,
        })
    }

    fn book<'f>(&self, frame: &'f str, is_snapshot: bool, levels: &'f Levels) -> Option<BookMsg<'f>> {
        (self.has_bids && self.has_asks).then_some(BookMsg {
            symbol: self.symbol(frame)?,
            exchange_ts: self.time,
            event_ts: None,
            action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
            bids: &levels.bids,
            asks: &levels.asks,
            seq_first: None,
            seq_last: None,
            seq_prev: None,
            checksum: self.checksum,
            replay: false,
        })
    }
}

/// One side of a book. Twice is for the general way.
#[inline(always)]
fn read_side(at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>, has: &mut bool) -> Option<()> {
    if *has {
        return None;
    }
    *has = true;
    side(at, levels)
}

/// `[{"price":62802.5,"qty":0.02987767},..]`.
#[inline(always)]
pub(super) fn side(at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>) -> Option<()> {
    at.need(b"[")?;
    if at.take(b"]") {
        return Some(());
    }
    loop {
        at.need(br#"{"price":"#)?;
        let price = at.number()?;
        at.need(br#","qty":"#)?;
        let size = at.number()?;
        push(levels, price, size)?;
        if !at.take(b"},") {
            return at.need(b"}]");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as the venue prints it is read here: without this the way would be right and of no use.
    #[test]
    fn every_channel_s_frames_are_taken() {
        let cases = [
            (
                "book",
                1,
                r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":62806.6,"qty":0.00000000},{"price":62808.0,"qty":0.79607759}],"checksum":265834348,"timestamp":"2026-08-16T23:37:05.376419Z"}]}"#,
            ),
            (
                "trades",
                2,
                r#"{"channel":"trade","type":"snapshot","data":[{"symbol":"ETH/USD","side":"sell","price":2284.15,"qty":0.001,"ord_type":"market","trade_id":62886870,"timestamp":"2026-05-14T15:03:41.748964Z"},{"symbol":"ETH/USD","side":"buy","price":2284,"qty":1,"ord_type":"limit","trade_id":62886871,"timestamp":"2026-05-14T15:03:42Z"}]}"#,
            ),
            (
                "ticker",
                1,
                r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":60108.6,"bid_qty":2.84311954,"ask":60108.7,"ask_qty":0.00138853,"last":60108.7,"volume":4473.99704028,"vwap":59460.1,"low":58033,"high":61858.8,"change":-1497.7,"change_pct":-2.43,"timestamp":"2026-06-26T06:41:22.476797Z"}]}"#,
            ),
            (
                "ticker, turned round",
                1,
                r#"{"data":[{"timestamp":"2026-06-26T06:41:22.476797Z","last":60108.7,"ask_qty":0.00138853,"ask":60108.7,"bid_qty":2.84311954,"bid":60108.6,"symbol":"BTC/USD"}],"type":"update","channel":"ticker"}"#,
            ),
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let mut sink = |_: &str, _: &Message<'_>| messages += 1;
            let taken = super::super::usual::decode(frame, &mut Lists::default(), &mut sink);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
