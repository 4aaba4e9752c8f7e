//! Bybit fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: bybit-exchange/docs, `docs/v5/websocket/public/{trade,orderbook,ticker}.mdx` (2026-07-24), checked
//! against recorded frames of spot and linear.

use super::wire::{Best, Elements, Fields, Wire};
use crate::decoder::{Reject, RejectReason};
use crate::fields::{number, optional_seq, time};
use crate::message::{BookMsg, LevelNum, Num, TradeMsg};
use crate::scan::{Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{BookAction, Side, UnixNanos};

/// Numbers of a ticker are kept, so they are no longer than this: the longest recorded ones have 16 bytes.
pub(super) const KEPT_BYTES_MAX: u32 = 64;

/// `publicTrade`. Ids are UUIDs, and whole numbers on spot.
pub(super) fn trade<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    event_ts: Option<UnixNanos>,
) -> Result<TradeMsg<'a>, Reject> {
    Ok(TradeMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "T")?,
        event_ts,
        price: number(frame, fields.price, "p")?,
        size: number(frame, fields.size, "v")?,
        side: taker_side(frame, fields.side)?,
        id: trade_id(frame, fields.id, "i")?,
        seq: optional_seq(frame, fields.seq, "seq")?,
        replay: false,
    })
}

/// `S` is the taker's.
pub(super) fn taker_side(frame: &str, side: Token) -> Result<Option<Side>, Reject> {
    match (side.kind, side.bytes(frame)) {
        (TokenKind::Absent | TokenKind::Null, _) | (TokenKind::String, b"") => Ok(None),
        (TokenKind::String, b"Buy") => Ok(Some(Side::Buy)),
        (TokenKind::String, b"Sell") => Ok(Some(Side::Sell)),
        _ => Err(Reject::new(RejectReason::BadField, "S")),
    }
}

/// `orderbook.<depth>`. The update id `u` tells which message follows which, and stands last as with other venues; `seq`
/// is common to all depths of a symbol, not dense, and stands first. Frames before 2024 have no `cts`: then `ts` counts.
pub(super) fn book<'a>(
    frame: &'a str,
    wire: &Wire,
    fields: &Fields,
    symbol: &'a str,
    action: BookAction,
    elements: &'a Elements,
) -> Result<BookMsg<'a>, Reject> {
    let (bids, asks) = sides(fields, elements)?;
    let event_ts = time(frame, wire.sent, "ts")?;
    Ok(BookMsg {
        symbol,
        exchange_ts: time(frame, wire.matched, "cts")?.or(event_ts),
        event_ts,
        action,
        bids,
        asks,
        seq_first: optional_seq(frame, fields.seq, "seq")?,
        seq_last: optional_seq(frame, fields.update_id, "u")?,
        seq_prev: None,
        checksum: None,
        replay: false,
    })
}

/// Both sides. One that is not there has no levels; without any, it is no book.
fn sides<'a>(fields: &Fields, elements: &'a Elements) -> Result<(&'a [LevelNum], &'a [LevelNum]), Reject> {
    for (list, field, fault) in [(fields.bids, "b", elements.bids.fault), (fields.asks, "a", elements.asks.fault)] {
        match list.kind {
            TokenKind::Absent | TokenKind::Null => {}
            TokenKind::Array => fault.map_or(Ok(()), Err)?,
            _ => return Err(Reject::new(RejectReason::BadField, field)),
        }
    }
    if fields.bids.kind != TokenKind::Array && fields.asks.kind != TokenKind::Array {
        return Err(Reject::new(RejectReason::MissingField, "b"));
    }
    let levels = |list: Token, levels: &'a [LevelNum]| if list.kind == TokenKind::Array { levels } else { &[] };
    Ok((levels(fields.bids, &elements.bids.levels), levels(fields.asks, &elements.asks.levels)))
}

/// What a ticker says of its best bid and ask: `None` where it says nothing, `Some(None)` where there is no price.
pub(super) fn best(frame: &str, best: &Best) -> Result<[Option<Option<Num>>; 4], Reject> {
    const FIELDS: [&str; 4] = ["bid1Price", "bid1Size", "ask1Price", "ask1Size"];
    let mut said = [None; 4];
    for ((slot, token), field) in said.iter_mut().zip(best.values).zip(FIELDS) {
        *slot = match token.kind {
            TokenKind::Absent => None,
            TokenKind::Null => Some(None),
            TokenKind::String if token.len == 0 => Some(None),
            _ if token.len > KEPT_BYTES_MAX => return Err(Reject::new(RejectReason::NumberOutOfRange, field)),
            _ => Some(Some(number(frame, token, field)?)),
        };
    }
    Ok(said)
}
