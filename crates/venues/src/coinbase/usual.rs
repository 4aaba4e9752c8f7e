//! Frames printed as Coinbase prints them, in both feeds: texts without escapes, plain whole numbers, levels in their usual
//! form, no white space; keys in any order. Most of what arrives.
//!
//! Hot path: read straight into the message. The first deviation, whatever it is, gives `None` and hands nothing out; the
//! general way (`walk.rs`, `exchange.rs`, `advanced.rs`) then reads the frame from its front and alone decides what it is,
//! or why it is refused. tests/usual_order_coinbase_kraken.rs checks that nobody can tell the two ways apart.

use super::wire::{HeldTrade, ITEMS_MAX, Lists, Updates};
use crate::cursor::Cursor;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use crate::time_text::rfc3339;
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// What a frame carries, by its `type` on the Exchange feed and by its `channel` on Advanced Trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ExchangeUpdate,
    ExchangeMatch { replay: bool },
    ExchangeTicker,
    AdvancedUpdates,
    AdvancedTrades,
    AdvancedTicker,
}

/// What stands beside the lists; levels and trades lie in [`Lists`].
#[derive(Default)]
struct Outer {
    kind: Option<Kind>,
    /// `sequence` of the Exchange feed.
    sequence: Option<VenueSeq>,
    /// `sequence_num` of Advanced Trade.
    sequence_num: Option<VenueSeq>,
    /// `timestamp` of Advanced Trade.
    timestamp: Option<UnixNanos>,
    /// All else that a frame of the Exchange feed says.
    item: Item,
    has_changes: bool,
    event: Option<Event>,
}

/// The one element of `events`; several go the general way.
#[derive(Default)]
struct Event {
    is_snapshot: Option<bool>,
    product: Token,
    has_updates: bool,
    has_trades: bool,
    ticker: Option<Item>,
}

/// A trade or a ticker.
#[derive(Default)]
struct Item {
    product: Token,
    id: Option<i64>,
    price: Option<Num>,
    size: Option<Num>,
    side: Option<Side>,
    time: Option<UnixNanos>,
    bid: Option<Num>,
    bid_size: Option<Num>,
    ask: Option<Num>,
    ask_size: Option<Num>,
}

/// Hands out the messages of a frame and tells how many; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    let mut at = Cursor::new(frame, 0)?;
    at.need(br#"{""#)?;
    let mut outer = Outer::default();
    loop {
        outer.read(&mut at, lists)?;
        if !at.take(br#",""#) {
            break;
        }
    }
    at.need(b"}")?;
    if !at.is_at_end() {
        return None;
    }
    let messages = outer.hand_out(frame, lists, out)?;
    lists.number = outer.sequence_num;
    Some(messages)
}

impl Outer {
    /// One member, from its key's first letter on. What only one of them can be is, twice, for the general way.
    #[inline(always)]
    fn read(&mut self, at: &mut Cursor<'_>, lists: &mut Lists) -> Option<()> {
        match at.peek()? {
            b't' if at.take(br#"type":""#) => self.name(exchange_kind(at)?)?,
            b't' if at.take(br#"timestamp":"#) => self.timestamp = Some(time(at)?),
            b's' if at.take(br#"sequence":"#) => self.sequence = Some(VenueSeq(at.integer()?)),
            b's' if at.take(br#"sequence_num":"#) => self.sequence_num = Some(VenueSeq(at.integer()?)),
            b'c' if at.take(br#"channel":""#) => self.name(advanced_kind(at)?)?,
            b'c' if at.take(br#"changes":"#) && !self.has_changes => {
                self.has_changes = true;
                lists.updates.clear();
                changes(at, &mut lists.updates)?;
            }
            b'c' => {
                at.need(br#"client_id":"#)?;
                at.plain_value()?;
            }
            b'e' => {
                at.need(br#"events":[{""#)?;
                if self.event.is_some() {
                    return None;
                }
                self.event.insert(Event::default()).read(at, lists)?;
                at.need(b"]")?;
            }
            _ => self.item.read(at)?,
        }
        Some(())
    }

    fn name(&mut self, kind: Kind) -> Option<()> {
        self.kind.replace(kind).is_none().then_some(())
    }

    fn hand_out(&self, frame: &str, lists: &Lists, out: &mut dyn MessageSink) -> Option<usize> {
        let message = match self.kind? {
            Kind::AdvancedTrades => return self.trades(frame, lists, out),
            Kind::AdvancedTicker => {
                let ticker = self.event.as_ref()?.ticker.as_ref()?;
                Message::Quote(ticker.quote(frame, self.timestamp, self.sequence_num)?)
            }
            Kind::AdvancedUpdates => {
                let event = self.event.as_ref().filter(|event| event.has_updates)?;
                let action = if event.is_snapshot? { BookAction::Snapshot } else { BookAction::Delta };
                let product = product(event.product)?.text(frame);
                Message::Book(book(product, self.timestamp, self.sequence_num, action, &lists.updates))
            }
            Kind::ExchangeTicker => Message::Quote(self.item.quote(frame, self.item.time, self.sequence)?),
            Kind::ExchangeMatch { replay } => {
                let HeldTrade { symbol, trade } = self.item.trade()?;
                Message::Trade(TradeMsg { symbol: symbol.text(frame), seq: self.sequence, replay, ..trade })
            }
            Kind::ExchangeUpdate => {
                let product = product(self.item.product).filter(|_| self.has_changes)?.text(frame);
                Message::Book(book(product, self.item.time, None, BookAction::Delta, &lists.updates))
            }
        };
        out.message(frame, &message);
        Some(1)
    }

    /// The trades of a snapshot are from before the subscription.
    fn trades(&self, frame: &str, lists: &Lists, out: &mut dyn MessageSink) -> Option<usize> {
        let event = self.event.as_ref().filter(|event| event.has_trades)?;
        let (event_ts, seq, replay) = (self.timestamp, self.sequence_num, event.is_snapshot?);
        for HeldTrade { symbol, trade } in &lists.trades {
            let (symbol, exchange_ts) = (symbol.text(frame), trade.exchange_ts.or(event_ts));
            out.message(frame, &Message::Trade(TradeMsg { symbol, exchange_ts, event_ts, seq, replay, ..*trade }));
        }
        Some(lists.trades.len())
    }
}

fn exchange_kind(at: &mut Cursor<'_>) -> Option<Kind> {
    if at.take(br#"l2update""#) {
        Some(Kind::ExchangeUpdate)
    } else if at.take(br#"ticker""#) {
        Some(Kind::ExchangeTicker)
    } else if at.take(br#"match""#) {
        Some(Kind::ExchangeMatch { replay: false })
    } else {
        // The last trade before the subscription.
        at.need(br#"last_match""#).map(|()| Kind::ExchangeMatch { replay: true })
    }
}

fn advanced_kind(at: &mut Cursor<'_>) -> Option<Kind> {
    if at.take(br#"l2_data""#) {
        Some(Kind::AdvancedUpdates)
    } else if at.take(br#"ticker""#) {
        Some(Kind::AdvancedTicker)
    } else {
        at.need(br#"market_trades""#).map(|()| Kind::AdvancedTrades)
    }
}

impl Event {
    /// From its first key up to its brace.
    #[inline(always)]
    fn read(&mut self, at: &mut Cursor<'_>, lists: &mut Lists) -> Option<()> {
        loop {
            if at.take(br#"type":"update""#) {
                self.is_snapshot = Some(false);
            } else if at.take(br#"type":"snapshot""#) {
                self.is_snapshot = Some(true);
            } else if at.take(br#"product_id":"#) {
                self.product = at.plain_value()?;
            } else if at.take(br#"updates":"#) && !self.has_updates {
                self.has_updates = true;
                lists.updates.clear();
                level_updates(at, &mut lists.updates)?;
            } else if at.take(br#"trades":[{""#) && !self.has_trades {
                self.has_trades = true;
                trades(at, &mut lists.trades)?;
            } else {
                // One ticker; several go the general way.
                at.need(br#"tickers":[{""#)?;
                if self.ticker.is_some() {
                    return None;
                }
                self.ticker.insert(Item::default()).read_all(at)?;
                at.need(b"]")?;
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }
}

/// From the first trade's first key on.
#[inline(always)]
fn trades(at: &mut Cursor<'_>, trades: &mut Vec<HeldTrade>) -> Option<()> {
    trades.clear();
    while trades.len() < ITEMS_MAX {
        let mut item = Item::default();
        item.read_all(at)?;
        trades.push(item.trade()?);
        if !at.take(br#",{""#) {
            return at.need(b"]");
        }
    }
    None
}

impl Item {
    /// From its first key up to its brace.
    #[inline(always)]
    fn read_all(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        loop {
            self.read(at)?;
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }

    /// One member, from its key's first letter on.
    #[inline(always)]
    fn read(&mut self, at: &mut Cursor<'_>) -> Option<()> {
        match at.peek()? {
            b'p' if at.take(br#"product_id":"#) => self.product = at.plain_value()?,
            b'p' if at.take(br#"price":"#) => self.price = Some(decimal(at)?),
            b's' if at.take(br#"size":"#) => self.size = Some(decimal(at)?),
            b's' if at.take(br#"side":"#) => self.side = Some(taker_side(at)?),
            b't' if at.take(br#"time":"#) => self.time = Some(time(at)?),
            b't' if at.take(br#"trade_id":"#) => self.id = Some(trade_id(at)?),
            b'b' if at.take(br#"best_bid":"#) => self.bid = Some(decimal(at)?),
            b'b' if at.take(br#"best_bid_quantity":"#) => self.bid_size = Some(decimal(at)?),
            b'b' if at.take(br#"best_bid_size":"#) => self.bid_size = Some(decimal(at)?),
            b'b' if at.take(br#"best_ask":"#) => self.ask = Some(decimal(at)?),
            b'b' if at.take(br#"best_ask_quantity":"#) => self.ask_size = Some(decimal(at)?),
            b'b' if at.take(br#"best_ask_size":"#) => self.ask_size = Some(decimal(at)?),
            _ => at.skip_member()?,
        }
        Some(())
    }

    /// Without its symbol.
    #[inline(always)]
    fn trade(&self) -> Option<HeldTrade> {
        let id = match self.id {
            Some(id) => TradeId::Number(u128::try_from(id).ok()?),
            None => TradeId::None,
        };
        let trade = TradeMsg {
            symbol: "",
            exchange_ts: self.time,
            event_ts: None,
            price: self.price?,
            size: self.size?,
            side: self.side,
            id,
            seq: None,
            replay: false,
        };
        Some(HeldTrade { symbol: product(self.product)?, trade })
    }

    /// Tickers of 2021 and 2022 have no sizes.
    fn quote<'f>(&self, frame: &'f str, exchange_ts: Option<UnixNanos>, seq: Option<VenueSeq>) -> Option<QuoteMsg<'f>> {
        Some(QuoteMsg {
            symbol: product(self.product)?.text(frame),
            exchange_ts,
            event_ts: None,
            bid: Some(self.bid?),
            bid_size: self.bid_size,
            ask: Some(self.ask?),
            ask_size: self.ask_size,
            seq,
            replay: false,
        })
    }
}

const fn book<'a>(
    symbol: &'a str,
    exchange_ts: Option<UnixNanos>,
    seq_last: Option<VenueSeq>,
    action: BookAction,
    updates: &'a Updates,
) -> BookMsg<'a> {
    BookMsg {
        symbol,
        exchange_ts,
        event_ts: None,
        action,
        bids: updates.bids.as_slice(),
        asks: updates.asks.as_slice(),
        seq_first: None,
        seq_last,
        seq_prev: None,
        checksum: None,
        replay: false,
    }
}

/// A product's name, when it is one.
#[inline(always)]
fn product(token: Token) -> Option<Token> {
    (token.kind == TokenKind::String && token.len > 0).then_some(token)
}

#[inline(always)]
fn decimal(at: &mut Cursor<'_>) -> Option<Num> {
    at.need(b"\"")?;
    at.decimal()
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    at.need(b"\"")?;
    rfc3339(at.string()?.as_bytes())
}

/// A number on the Exchange feed, a text on Advanced Trade.
#[inline(always)]
fn trade_id(at: &mut Cursor<'_>) -> Option<i64> {
    let is_text = at.take(b"\"");
    let id = at.integer()?;
    if is_text {
        at.need(b"\"")?;
    }
    Some(id)
}

/// The maker's side is stated: the taker's is the other one.
#[inline(always)]
fn taker_side(at: &mut Cursor<'_>) -> Option<Side> {
    if at.take(br#""SELL""#) || at.take(br#""sell""#) {
        return Some(Side::Buy);
    }
    (at.take(br#""BUY""#) || at.take(br#""buy""#)).then_some(Side::Sell)
}

/// `[["buy","price","size"],..]`, not empty.
#[inline(always)]
pub(super) fn changes(at: &mut Cursor<'_>, updates: &mut Updates) -> Option<()> {
    at.need(b"[")?;
    loop {
        let levels = if at.take(br#"["buy",""#) {
            &mut updates.bids
        } else {
            at.need(br#"["sell",""#)?;
            &mut updates.asks
        };
        let price = at.decimal()?;
        at.need(br#",""#)?;
        let size = at.decimal()?;
        push(levels, LevelNum { price, size })?;
        if !at.take(b"],") {
            return at.need(b"]]");
        }
    }
}

/// `[{"side":"bid","event_time":..,"price_level":"..","new_quantity":".."},..]`, not empty.
#[inline(always)]
pub(super) fn level_updates(at: &mut Cursor<'_>, updates: &mut Updates) -> Option<()> {
    at.need(b"[")?;
    loop {
        let levels = if at.take(br#"{"side":"bid","event_time":""#) {
            &mut updates.bids
        } else {
            at.need(br#"{"side":"offer","event_time":""#)?;
            &mut updates.asks
        };
        at.skip_string()?;
        at.need(br#","price_level":""#)?;
        let price = at.decimal()?;
        at.need(br#","new_quantity":""#)?;
        let size = at.decimal()?;
        push(levels, LevelNum { price, size })?;
        if !at.take(b"},") {
            return at.need(b"}]");
        }
    }
}

#[inline(always)]
fn push(levels: &mut Vec<LevelNum>, level: LevelNum) -> Option<()> {
    if levels.len() == SIDE_LEVELS_MAX {
        return None;
    }
    levels.push(level);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as the venue prints it is read here: without this the way would be right and of no use.
    #[test]
    fn both_feeds_frames_are_taken() {
        let cases = [
            (
                "l2update",
                1,
                r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","37378.26","0.0246"],["sell","37378.27","0"]],"time":"2021-06-02T09:02:09.048568Z"}"#,
            ),
            (
                "match",
                1,
                r#"{"type":"match","trade_id":280232,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#,
            ),
            (
                "last_match",
                1,
                r#"{"type":"last_match","trade_id":7,"maker_order_id":"a","taker_order_id":"b","side":"buy","size":"1","price":"2","product_id":"X-Y","sequence":3,"time":"2021-04-17T16:43:37Z"}"#,
            ),
            (
                "ticker of 2021",
                1,
                r#"{"type":"ticker","sequence":38,"product_id":"BTC-USD","price":"29940.91","open_24h":"31677.61","volume_24h":"27.78","low_24h":"29308.01","high_24h":"31888","volume_30d":"778633.1","best_bid":"29940.90","best_ask":"29940.91","side":"buy","time":"2022-06-02T09:20:54.127011Z","trade_id":347875517,"last_size":"0.00061522"}"#,
            ),
            (
                "ticker with sizes",
                1,
                r#"{"type":"ticker","sequence":38,"product_id":"BTC-USD","price":"2","open_24h":"3","volume_24h":"2","low_24h":"2","high_24h":"3","volume_30d":"7","best_bid":"29940.90","best_bid_size":"0.5","best_ask":"29940.91","best_ask_size":"1","side":"buy","time":"2024-06-02T09:20:54.127011Z","trade_id":3,"last_size":"0.1"}"#,
            ),
            (
                "l2_data",
                1,
                r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.506659391Z","sequence_num":15,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"offer","event_time":"2026-08-09T21:05:48.264069Z","price_level":"65106.54","new_quantity":"0.15"},{"side":"bid","event_time":"2026-08-09T21:05:48.264069Z","price_level":"65100","new_quantity":"0"}]}]}"#,
            ),
            (
                "market_trades, with a client",
                2,
                r#"{"channel":"market_trades","client_id":"","timestamp":"2026-08-09T21:05:49.25328358Z","sequence_num":50,"events":[{"type":"snapshot","trades":[{"product_id":"BTC-USD","trade_id":"92","price":"65083.66","size":"0.0017","time":"2026-08-09T21:05:49.205817Z","side":"BUY"},{"product_id":"BTC-USD","trade_id":"91","price":"65083","size":"1","time":"2026-08-09T21:05:49Z","side":"SELL"}]}]}"#,
            ),
            (
                "ticker of Advanced Trade",
                1,
                r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48.348050942Z","sequence_num":11,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"65086.18","volume_24_h":"2867.5","low_24_h":"64675.22","high_24_h":"65252.99","low_52_w":"57717.55","high_52_w":"126296","price_percent_chg_24_h":"0.096","best_bid":"65083.66","best_ask":"65083.67","best_bid_quantity":"0.2","best_ask_quantity":"0.15"}]}]}"#,
            ),
            (
                "match, turned round",
                1,
                r#"{"time":"2021-04-17T16:43:37.089723Z","sequence":177100030,"product_id":"SKL-BTC","price":"0.00001305","size":"985","side":"sell","taker_order_id":"b","maker_order_id":"a","trade_id":280232,"type":"match"}"#,
            ),
            (
                "market_trades, turned round, the first frame of a connection",
                1,
                r#"{"events":[{"trades":[{"side":"BUY","time":"2026-08-09T21:05:49.205817Z","size":"0.0017","price":"65083.66","trade_id":"92","product_id":"BTC-USD"}],"type":"update"}],"sequence_num":0,"timestamp":"2026-08-09T21:05:49.25328358Z","channel":"market_trades"}"#,
            ),
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let taken = decode(frame, &mut Lists::default(), &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
