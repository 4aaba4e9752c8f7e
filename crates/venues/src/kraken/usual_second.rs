//! The second protocol in its usual order of keys; see `usual.rs`.

use super::usual::{end, push, symbol};
use super::wire::{HeldTrade, ITEMS_MAX, Levels, Lists};
use crate::cursor::Cursor;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, QuoteMsg, TradeMsg};
use crate::scan::TokenKind;
use crate::time_text::rfc3339;
use feedd_model::{BookAction, Side, TradeId, UnixNanos};

/// From the name of the channel on.
#[inline]
pub(super) fn decode(mut at: Cursor<'_>, frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    if at.take(br#"book","type":""#) {
        return book(at, frame, &mut lists.levels, out);
    }
    if at.take(br#"trade","type":""#) {
        return trades(at, frame, &mut lists.trades, out);
    }
    at.need(br#"ticker","type":""#)?;
    ticker(at, frame, out)
}

/// Whether it is a snapshot; up to the list.
#[inline(always)]
fn is_snapshot(at: &mut Cursor<'_>) -> Option<bool> {
    if at.take(br#"update","data":["#) {
        return Some(false);
    }
    at.need(br#"snapshot","data":["#)?;
    Some(true)
}

/// One book; several go the general way.
fn book(mut at: Cursor<'_>, frame: &str, levels: &mut Levels, out: &mut dyn MessageSink) -> Option<usize> {
    let is_snapshot = is_snapshot(&mut at)?;
    at.need(br#"{"symbol":""#)?;
    let symbol = symbol(&mut at)?;
    levels.clear();
    at.need(br#","bids":"#)?;
    side(&mut at, &mut levels.bids)?;
    at.need(br#","asks":"#)?;
    side(&mut at, &mut levels.asks)?;
    at.need(br#","checksum":"#)?;
    let checksum = u32::try_from(at.integer()?).ok()?;
    let exchange_ts = if at.take(br#","timestamp":""#) { Some(time(&mut at)?) } else { None };
    end(&mut at, b"}]}")?;
    let book = BookMsg {
        symbol,
        exchange_ts,
        event_ts: None,
        action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
        bids: &levels.bids,
        asks: &levels.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: Some(checksum),
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Some(1)
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

fn trades(mut at: Cursor<'_>, frame: &str, trades: &mut Vec<HeldTrade>, out: &mut dyn MessageSink) -> Option<usize> {
    let replay = is_snapshot(&mut at)?;
    trades.clear();
    loop {
        if trades.len() == ITEMS_MAX {
            return None;
        }
        trades.push(one_trade(&mut at, replay)?);
        if !at.take(b",") {
            break;
        }
    }
    end(&mut at, b"]}")?;
    for held in &*trades {
        let symbol = held.symbol.text(frame);
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
    }
    Some(trades.len())
}

#[inline(always)]
fn one_trade(at: &mut Cursor<'_>, replay: bool) -> Option<HeldTrade> {
    at.need(br#"{"symbol":"#)?;
    let symbol = at.plain_value().filter(|token| token.kind == TokenKind::String && token.len > 0)?;
    let side = if at.take(br#","side":"buy","price":"#) {
        Side::Buy
    } else {
        at.need(br#","side":"sell","price":"#)?;
        Side::Sell
    };
    let price = at.number()?;
    at.need(br#","qty":"#)?;
    let size = at.number()?;
    at.need(br#","ord_type":""#)?;
    at.string()?;
    at.need(br#","trade_id":"#)?;
    let id = at.integer()?;
    at.need(br#","timestamp":""#)?;
    let time = time(at)?;
    at.need(b"}")?;
    let trade = TradeMsg {
        symbol: "",
        exchange_ts: Some(time),
        event_ts: None,
        price,
        size,
        side: Some(side),
        id: TradeId::Number(u128::try_from(id).ok()?),
        seq: None,
        replay,
    };
    Some(HeldTrade { symbol, trade })
}

/// One ticker. What stands behind its sizes has changed over the years, so it is read as plain members.
fn ticker(mut at: Cursor<'_>, frame: &str, out: &mut dyn MessageSink) -> Option<usize> {
    is_snapshot(&mut at)?;
    at.need(br#"{"symbol":""#)?;
    let symbol = symbol(&mut at)?;
    at.need(br#","bid":"#)?;
    let bid = at.number()?;
    at.need(br#","bid_qty":"#)?;
    let bid_size = at.number()?;
    at.need(br#","ask":"#)?;
    let ask = at.number()?;
    at.need(br#","ask_qty":"#)?;
    let ask_size = at.number()?;
    let mut exchange_ts = None;
    while at.take(br#",""#) {
        let key = at.string()?;
        at.need(b":")?;
        match key {
            "timestamp" => {
                at.need(br#"""#)?;
                exchange_ts = Some(time(&mut at)?);
            }
            "symbol" | "bid" | "bid_qty" | "ask" | "ask_qty" => return None,
            _ if at.take(br#"""#) => {
                at.string()?;
            }
            _ => {
                at.number()?;
            }
        }
    }
    end(&mut at, b"}]}")?;
    let quote = QuoteMsg {
        symbol,
        exchange_ts,
        event_ts: None,
        bid: Some(bid),
        bid_size: Some(bid_size),
        ask: Some(ask),
        ask_size: Some(ask_size),
        seq: None,
        replay: false,
    };
    out.message(frame, &Message::Quote(quote));
    Some(1)
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    rfc3339(at.string()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed by the template is read by it: without this the way would be right and of no use.
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
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let mut sink = |_: &str, _: &Message<'_>| messages += 1;
            let taken = super::super::usual::decode(frame, &mut Lists::default(), &mut sink);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
