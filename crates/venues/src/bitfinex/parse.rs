//! Bitfinex tokens to values: tickers, trades and levels, all of them lists by place. Numbers are literals (texts with
//! configuration flag 8); the sign of an amount is a side.
//!
//! Source: docs.bitfinex.com, "WebSocket public channels": ticker, trades, books.

use super::wire::{list_at, read_row};
use crate::decoder::{Reject, RejectReason};
use crate::fields::{integer, number, required_time};
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{LevelNum, Num, QuoteMsg, TradeMsg};
use crate::scan::{Scanner, Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::Side;

/// Most trades of a snapshot; the venue sends 30.
const TRADES_MAX: usize = 1 << 14;

/// A list under a channel, read completely before anything is handed out.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) bids: Vec<LevelNum>,
    pub(super) asks: Vec<LevelNum>,
    /// Without their symbol.
    pub(super) trades: Vec<TradeMsg<'static>>,
}

/// `[bid, bid size, ask, ask size, ..]`; no time. `None`: neither price is there.
pub(super) fn ticker<'a>(frame: &str, payload: Token, symbol: &'a str) -> Result<Option<QuoteMsg<'a>>, Reject> {
    let [bid, bid_size, ask, ask_size] = read_row(&mut list_at(frame, payload, "ticker")?, "ticker")?;
    let read = |token: Token, field| -> Result<Option<Num>, Reject> {
        if token.kind == TokenKind::Null { Ok(None) } else { number(frame, token, field).map(Some) }
    };
    let quote = QuoteMsg {
        symbol,
        exchange_ts: None,
        event_ts: None,
        bid: read(bid, "bid")?,
        bid_size: read(bid_size, "bid size")?,
        ask: read(ask, "ask")?,
        ask_size: read(ask_size, "ask size")?,
        seq: None,
        replay: false,
    };
    Ok((quote.bid.is_some() || quote.ask.is_some()).then_some(quote))
}

/// `[id, time, amount, price]`; what is bought by the taker has a positive amount.
pub(super) fn trade(frame: &str, payload: Token) -> Result<TradeMsg<'static>, Reject> {
    read_trade(&mut list_at(frame, payload, "trade")?, frame, false)
}

fn read_trade(scanner: &mut Scanner<'_>, frame: &str, replay: bool) -> Result<TradeMsg<'static>, Reject> {
    let [id, time, amount, price] = read_row(scanner, "trade")?;
    let (side, size) = signed(frame, amount)?;
    Ok(TradeMsg {
        symbol: "",
        exchange_ts: Some(required_time(frame, time, "mts")?),
        event_ts: None,
        price: number(frame, price, "price")?,
        size,
        side,
        id: trade_id(frame, id, "id")?,
        seq: None,
        replay,
    })
}

/// `[[id, time, amount, price], ..]`: those from before the subscription.
pub(super) fn trades(frame: &str, payload: Token, held: &mut Held) -> Result<(), Reject> {
    held.trades.clear();
    let mut scanner = list_at(frame, payload, "trades")?;
    let mut more = scanner.open_array()?;
    while more {
        if held.trades.len() == TRADES_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "trades"));
        }
        held.trades.push(read_trade(&mut scanner, frame, true)?);
        more = scanner.next_element()?;
    }
    Ok(())
}

/// `[price, count, amount]`, or a list of such. True for the list.
pub(super) fn levels(frame: &str, payload: Token, held: &mut Held) -> Result<bool, Reject> {
    held.bids.clear();
    held.asks.clear();
    let mut scanner = list_at(frame, payload, "levels")?;
    let first = scanner.mark();
    let mut more = scanner.open_array()?;
    if more && scanner.peek() != Some(b'[') {
        scanner.rewind(first);
        read_level(&mut scanner, frame, held)?;
        return Ok(false);
    }
    while more {
        read_level(&mut scanner, frame, held)?;
        more = scanner.next_element()?;
    }
    Ok(true)
}

/// A bid has a positive amount, an ask a negative one; without orders (`count` 0) the level is gone, and only the sign of
/// its amount means something.
fn read_level(scanner: &mut Scanner<'_>, frame: &str, held: &mut Held) -> Result<(), Reject> {
    let [price, count, amount] = read_row(scanner, "level")?;
    let orders = integer(frame, count, "count")?;
    if orders < 0 {
        return Err(Reject::new(RejectReason::BadNumber, "count"));
    }
    let price = number(frame, price, "price")?;
    let (side, amount) = signed(frame, amount)?;
    let size = if orders == 0 { number(frame, count, "count")? } else { amount };
    let levels = match side {
        Some(Side::Buy) => &mut held.bids,
        Some(Side::Sell) => &mut held.asks,
        None => return Err(Reject::new(RejectReason::BadNumber, "amount")),
    };
    if levels.len() == SIDE_LEVELS_MAX {
        return Err(Reject::new(RejectReason::TooManyLevels, "levels"));
    }
    levels.push(LevelNum { price, size });
    Ok(())
}

/// An amount's side and size. Zero has no side.
fn signed(frame: &str, amount: Token) -> Result<(Option<Side>, Num), Reject> {
    let (is_negative, is_signed_twice) = match amount.bytes(frame) {
        [b'-', rest @ ..] => (true, matches!(rest, [b'-' | b'+', ..])),
        _ => (false, false),
    };
    if is_signed_twice {
        return Err(Reject::new(RejectReason::BadNumber, "amount"));
    }
    let digits = if is_negative { Token { start: amount.start + 1, len: amount.len - 1, ..amount } } else { amount };
    let size = number(frame, digits, "amount")?;
    let side = (!size.value.is_zero()).then_some(if is_negative { Side::Sell } else { Side::Buy });
    Ok((side, size))
}
