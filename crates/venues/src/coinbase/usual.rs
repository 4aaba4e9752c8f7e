//! Coinbase frames with their keys in the order that Coinbase sends them: most of what arrives.
//!
//! Hot path: read along the template, straight into the message. The first deviation, whatever it is, gives `None` and
//! hands nothing out; the general way (`walk.rs`, `exchange.rs`, `advanced.rs`) then reads the frame from its front and
//! alone decides what it is, or why it is refused. tests/usual_order_coinbase_kraken.rs checks that nobody can tell the
//! two ways apart.

use super::wire::{HeldTrade, ITEMS_MAX, Lists, Updates};
use crate::cursor::Cursor;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, QuoteMsg, TradeMsg};
use crate::scan::TokenKind;
use crate::time_text::rfc3339;
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// Hands out the messages of a frame and tells how many; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    let mut at = Cursor::new(frame, 0)?;
    if at.take(br#"{"type":""#) {
        if at.take(br#"l2update","product_id":""#) {
            return l2update(at, frame, &mut lists.updates, out);
        }
        if at.take(br#"ticker","sequence":"#) {
            return exchange_ticker(at, frame, out);
        }
        let replay = !at.take(br#"match","trade_id":"#);
        if replay {
            at.need(br#"last_match","trade_id":"#)?;
        }
        return exchange_match(at, frame, replay, out);
    }
    at.need(br#"{"channel":""#)?;
    if at.take(br#"l2_data",""#) {
        let envelope = envelope(&mut at, lists)?;
        return l2_data(at, frame, envelope, &mut lists.updates, out);
    }
    if at.take(br#"market_trades",""#) {
        let envelope = envelope(&mut at, lists)?;
        return market_trades(at, frame, &envelope, &mut lists.trades, out);
    }
    at.need(br#"ticker",""#)?;
    let envelope = envelope(&mut at, lists)?;
    ticker(at, frame, &envelope, out)
}

/// From the product on.
fn l2update(mut at: Cursor<'_>, frame: &str, updates: &mut Updates, out: &mut dyn MessageSink) -> Option<usize> {
    let symbol = symbol(&mut at)?;
    at.need(br#","changes":"#)?;
    updates.clear();
    changes(&mut at, updates)?;
    at.need(br#","time":""#)?;
    let time = time(&mut at)?;
    end(&mut at, b"}")?;
    show_book(frame, symbol, time, None, BookAction::Delta, updates, out)
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

/// From the trade's id on.
fn exchange_match(mut at: Cursor<'_>, frame: &str, replay: bool, out: &mut dyn MessageSink) -> Option<usize> {
    let id = at.integer()?;
    at.need(br#","maker_order_id":""#)?;
    at.skip_string()?;
    at.need(br#","taker_order_id":""#)?;
    at.skip_string()?;
    // The maker's side: the taker's is the other one.
    let side = if at.take(br#","side":"sell","size":""#) {
        Side::Buy
    } else {
        at.need(br#","side":"buy","size":""#)?;
        Side::Sell
    };
    let size = at.decimal()?;
    at.need(br#","price":""#)?;
    let price = at.decimal()?;
    at.need(br#","product_id":""#)?;
    let symbol = symbol(&mut at)?;
    at.need(br#","sequence":"#)?;
    let seq = VenueSeq(at.integer()?);
    at.need(br#","time":""#)?;
    let time = time(&mut at)?;
    end(&mut at, b"}")?;
    let trade = TradeMsg {
        symbol,
        exchange_ts: Some(time),
        event_ts: None,
        price,
        size,
        side: Some(side),
        id: TradeId::Number(u128::try_from(id).ok()?),
        seq: Some(seq),
        replay,
    };
    out.message(frame, &Message::Trade(trade));
    Some(1)
}

/// From the sequence number on. Frames of 2021 and 2022 have no sizes; the documentation (read mid 2026) has them.
fn exchange_ticker(mut at: Cursor<'_>, frame: &str, out: &mut dyn MessageSink) -> Option<usize> {
    let seq = VenueSeq(at.integer()?);
    at.need(br#","product_id":""#)?;
    let symbol = symbol(&mut at)?;
    text(&mut at, br#","price":""#)?;
    text(&mut at, br#","open_24h":""#)?;
    text(&mut at, br#","volume_24h":""#)?;
    text(&mut at, br#","low_24h":""#)?;
    text(&mut at, br#","high_24h":""#)?;
    text(&mut at, br#","volume_30d":""#)?;
    at.need(br#","best_bid":""#)?;
    let bid = at.decimal()?;
    let bid_size = if at.take(br#","best_bid_size":""#) { Some(at.decimal()?) } else { None };
    at.need(br#","best_ask":""#)?;
    let ask = at.decimal()?;
    let ask_size = if at.take(br#","best_ask_size":""#) { Some(at.decimal()?) } else { None };
    text(&mut at, br#","side":""#)?;
    at.need(br#","time":""#)?;
    let time = time(&mut at)?;
    at.need(br#","trade_id":"#)?;
    at.integer()?;
    text(&mut at, br#","last_size":""#)?;
    end(&mut at, b"}")?;
    let quote = QuoteMsg {
        symbol,
        exchange_ts: Some(time),
        event_ts: None,
        bid: Some(bid),
        bid_size,
        ask: Some(ask),
        ask_size,
        seq: Some(seq),
        replay: false,
    };
    out.message(frame, &Message::Quote(quote));
    Some(1)
}

/// What the envelope of Advanced Trade says, and whether the first event is a snapshot.
struct Envelope {
    time: UnixNanos,
    seq: VenueSeq,
    is_snapshot: bool,
}

/// From behind the channel up to the type of the first event. The documentation has a `client_id`, the recording of
/// 2026 none. Notes the connection's number.
#[inline(always)]
fn envelope(at: &mut Cursor<'_>, lists: &mut Lists) -> Option<Envelope> {
    if at.take(br#"client_id":""#) {
        at.skip_string()?;
        at.need(br#",""#)?;
    }
    at.need(br#"timestamp":""#)?;
    let time = time(at)?;
    at.need(br#","sequence_num":"#)?;
    let seq = VenueSeq(at.integer()?);
    lists.number = Some(seq);
    at.need(br#","events":[{"type":""#)?;
    let is_snapshot = !at.take(br#"update","#);
    if is_snapshot {
        at.need(br#"snapshot","#)?;
    }
    Some(Envelope { time, seq, is_snapshot })
}

fn l2_data(
    mut at: Cursor<'_>,
    frame: &str,
    envelope: Envelope,
    updates: &mut Updates,
    out: &mut dyn MessageSink,
) -> Option<usize> {
    at.need(br#""product_id":""#)?;
    let symbol = symbol(&mut at)?;
    at.need(br#","updates":"#)?;
    updates.clear();
    level_updates(&mut at, updates)?;
    end(&mut at, b"}]}")?;
    let action = if envelope.is_snapshot { BookAction::Snapshot } else { BookAction::Delta };
    show_book(frame, symbol, envelope.time, Some(envelope.seq), action, updates, out)
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

fn market_trades(
    mut at: Cursor<'_>,
    frame: &str,
    envelope: &Envelope,
    trades: &mut Vec<HeldTrade>,
    out: &mut dyn MessageSink,
) -> Option<usize> {
    at.need(br#""trades":["#)?;
    trades.clear();
    loop {
        if trades.len() == ITEMS_MAX {
            return None;
        }
        trades.push(advanced_trade(&mut at, envelope)?);
        if !at.take(b",") {
            break;
        }
    }
    end(&mut at, b"]}]}")?;
    for held in &*trades {
        let symbol = held.symbol.text(frame);
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
    }
    Some(trades.len())
}

#[inline(always)]
fn advanced_trade(at: &mut Cursor<'_>, envelope: &Envelope) -> Option<HeldTrade> {
    at.need(br#"{"product_id":"#)?;
    let symbol = at.plain_value().filter(|token| token.kind == TokenKind::String && token.len > 0)?;
    at.need(br#","trade_id":""#)?;
    let id = at.integer()?;
    at.need(br#"","price":""#)?;
    let price = at.decimal()?;
    at.need(br#","size":""#)?;
    let size = at.decimal()?;
    at.need(br#","time":""#)?;
    let time = time(at)?;
    // The maker's side: the taker's is the other one.
    let side = if at.take(br#","side":"SELL"}"#) {
        Side::Buy
    } else {
        at.need(br#","side":"BUY"}"#)?;
        Side::Sell
    };
    let trade = TradeMsg {
        symbol: "",
        exchange_ts: Some(time),
        event_ts: Some(envelope.time),
        price,
        size,
        side: Some(side),
        id: TradeId::Number(u128::try_from(id).ok()?),
        seq: Some(envelope.seq),
        replay: envelope.is_snapshot,
    };
    Some(HeldTrade { symbol, trade })
}

/// One ticker; several go the general way.
fn ticker(mut at: Cursor<'_>, frame: &str, envelope: &Envelope, out: &mut dyn MessageSink) -> Option<usize> {
    at.need(br#""tickers":[{"type":"ticker","product_id":""#)?;
    let symbol = symbol(&mut at)?;
    text(&mut at, br#","price":""#)?;
    text(&mut at, br#","volume_24_h":""#)?;
    text(&mut at, br#","low_24_h":""#)?;
    text(&mut at, br#","high_24_h":""#)?;
    text(&mut at, br#","low_52_w":""#)?;
    text(&mut at, br#","high_52_w":""#)?;
    text(&mut at, br#","price_percent_chg_24_h":""#)?;
    at.need(br#","best_bid":""#)?;
    let bid = at.decimal()?;
    at.need(br#","best_ask":""#)?;
    let ask = at.decimal()?;
    at.need(br#","best_bid_quantity":""#)?;
    let bid_size = at.decimal()?;
    at.need(br#","best_ask_quantity":""#)?;
    let ask_size = at.decimal()?;
    end(&mut at, b"}]}]}")?;
    let quote = QuoteMsg {
        symbol,
        exchange_ts: Some(envelope.time),
        event_ts: None,
        bid: Some(bid),
        bid_size: Some(bid_size),
        ask: Some(ask),
        ask_size: Some(ask_size),
        seq: Some(envelope.seq),
        replay: false,
    };
    out.message(frame, &Message::Quote(quote));
    Some(1)
}

fn show_book(
    frame: &str,
    symbol: &str,
    time: UnixNanos,
    seq_last: Option<VenueSeq>,
    action: BookAction,
    updates: &Updates,
    out: &mut dyn MessageSink,
) -> Option<usize> {
    let book = BookMsg {
        symbol,
        exchange_ts: Some(time),
        event_ts: None,
        action,
        bids: &updates.bids,
        asks: &updates.asks,
        seq_first: None,
        seq_last,
        seq_prev: None,
        checksum: None,
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Some(1)
}

#[inline(always)]
fn push(levels: &mut Vec<LevelNum>, level: LevelNum) -> Option<()> {
    if levels.len() == SIDE_LEVELS_MAX {
        return None;
    }
    levels.push(level);
    Some(())
}

#[inline(always)]
fn symbol<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.string().filter(|symbol| !symbol.is_empty())
}

/// A text that nobody needs.
#[inline(always)]
fn text<const N: usize>(at: &mut Cursor<'_>, key: &[u8; N]) -> Option<()> {
    at.need(key)?;
    at.skip_string().map(|_| ())
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    rfc3339(at.string()?.as_bytes())
}

#[inline(always)]
fn end<const N: usize>(at: &mut Cursor<'_>, tail: &[u8; N]) -> Option<()> {
    at.need(tail)?;
    at.is_at_end().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed by the template is read by it: without this the way would be right and of no use.
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
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let taken = decode(frame, &mut Lists::default(), &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
