//! OKX fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: okx.com/docs-v5, "WS / Trades channel", "WS / All trades channel", "WS / Tickers channel" and "WS /
//! Order book channel" (mid 2026), checked against recorded frames of spot, swap, futures and options.

use super::wire::{Elements, Fields};
use crate::decoder::{Reject, RejectReason};
use crate::fields::{integer, number, optional_seq, time};
use crate::message::{BookMsg, LevelNum, Num, QuoteMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{BookAction, Side};

/// `trades` and `trades-all`.
pub(super) fn trade<'a>(frame: &'a str, fields: &Fields, symbol: &'a str) -> Result<TradeMsg<'a>, Reject> {
    Ok(TradeMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "ts")?,
        event_ts: None,
        price: number(frame, fields.price, "px")?,
        size: number(frame, fields.size, "sz")?,
        side: taker_side(frame, fields.side)?,
        id: trade_id(frame, fields.trade_id, "tradeId")?,
        seq: optional_seq(frame, fields.seq, "seqId")?,
        replay: false,
    })
}

/// `side` is the taker's.
pub(super) fn taker_side(frame: &str, side: Token) -> Result<Option<Side>, Reject> {
    if is_none(side) {
        return Ok(None);
    }
    match side.bytes(frame) {
        b"buy" if side.kind == TokenKind::String => Ok(Some(Side::Buy)),
        b"sell" if side.kind == TokenKind::String => Ok(Some(Side::Sell)),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}

/// `tickers`. An option without orders has empty texts: no price.
pub(super) fn ticker<'a>(frame: &'a str, fields: &Fields, symbol: &'a str) -> Result<QuoteMsg<'a>, Reject> {
    if ![fields.bid, fields.bid_size, fields.ask, fields.ask_size].iter().any(|token| token.is_present()) {
        return Err(Reject::new(RejectReason::MissingField, "bidPx"));
    }
    Ok(QuoteMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "ts")?,
        event_ts: None,
        bid: optional_number(frame, fields.bid, "bidPx")?,
        bid_size: optional_number(frame, fields.bid_size, "bidSz")?,
        ask: optional_number(frame, fields.ask, "askPx")?,
        ask_size: optional_number(frame, fields.ask_size, "askSz")?,
        seq: optional_seq(frame, fields.seq, "seqId")?,
        replay: false,
    })
}

/// `bbo-tbt`: a book of one level. A side without orders has none.
pub(super) fn best<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    elements: &Elements,
) -> Result<QuoteMsg<'a>, Reject> {
    let (bids, asks) = sides(fields, elements)?;
    let (bid, ask) = (bids.first(), asks.first());
    Ok(QuoteMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "ts")?,
        event_ts: None,
        bid: bid.map(|level| level.price),
        bid_size: bid.map(|level| level.size),
        ask: ask.map(|level| level.price),
        ask_size: ask.map(|level| level.size),
        seq: optional_seq(frame, fields.seq, "seqId")?,
        replay: false,
    })
}

/// Every other book. A `prevSeqId` of -1 (nothing before it) is not an absent one; the numbers of recordings before 2022
/// are absent. An update without levels keeps the connection alive, and its numbers count.
pub(super) fn book<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    action: BookAction,
    elements: &'a Elements,
) -> Result<BookMsg<'a>, Reject> {
    let (bids, asks) = sides(fields, elements)?;
    Ok(BookMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "ts")?,
        event_ts: None,
        action,
        bids,
        asks,
        seq_first: None,
        seq_last: optional_seq(frame, fields.seq, "seqId")?,
        seq_prev: optional_seq(frame, fields.prev_seq, "prevSeqId")?,
        checksum: checksum(frame, fields.checksum)?,
        replay: false,
    })
}

/// Both sides. One that is not there has no levels; without any, it is no book.
fn sides<'a>(fields: &Fields, elements: &'a Elements) -> Result<(&'a [LevelNum], &'a [LevelNum]), Reject> {
    for (list, field, fault) in [(fields.bids, "bids", elements.bids.fault), (fields.asks, "asks", elements.asks.fault)]
    {
        match list.kind {
            TokenKind::Absent | TokenKind::Null => {}
            TokenKind::Array => fault.map_or(Ok(()), Err)?,
            _ => return Err(Reject::new(RejectReason::BadField, field)),
        }
    }
    if fields.bids.kind != TokenKind::Array && fields.asks.kind != TokenKind::Array {
        return Err(Reject::new(RejectReason::MissingField, "bids"));
    }
    let levels = |list: Token, levels: &'a [LevelNum]| if list.kind == TokenKind::Array { levels } else { &[] };
    Ok((levels(fields.bids, &elements.bids.levels), levels(fields.asks, &elements.asks.levels)))
}

/// A signed number of 32 bits; its bits are kept. Retired: the venue has sent 0 since 2026, so it says nothing then.
fn checksum(frame: &str, token: Token) -> Result<Option<u32>, Reject> {
    if is_none(token) {
        return Ok(None);
    }
    let sum = i32::try_from(integer(frame, token, "checksum")?);
    sum.map(|sum| Some(sum.cast_unsigned())).map_err(|_| Reject::new(RejectReason::NumberOutOfRange, "checksum"))
}

fn optional_number(frame: &str, token: Token, field: &'static str) -> Result<Option<Num>, Reject> {
    if is_none(token) { Ok(None) } else { number(frame, token, field).map(Some) }
}

/// Not there, `null`, or an empty text.
const fn is_none(token: Token) -> bool {
    match token.kind {
        TokenKind::Absent | TokenKind::Null => true,
        TokenKind::String => token.len == 0,
        _ => false,
    }
}
