//! Bitstamp tokens to values. Pure.
//!
//! Source: bitstamp.net/websocket/v2 and bitstamp.net/api, "Order book".

use super::wire::{Body, Levels};
use crate::decoder::{Reject, RejectReason};
use crate::fields::{integer, number};
use crate::message::{BookMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{BookAction, Side, UnixNanos};

/// One execution of `live_trades`. Its texts are exact, its numbers have been printed from floats (`1.44e-05`).
pub(super) fn trade<'a>(frame: &str, body: &Body, symbol: &'a str) -> Result<TradeMsg<'a>, Reject> {
    let either = |text: Token, number: Token| if text.is_present() { text } else { number };
    Ok(TradeMsg {
        symbol,
        exchange_ts: Some(time(frame, body)?),
        event_ts: None,
        price: number(frame, either(body.price_text, body.price), "price")?,
        size: number(frame, either(body.size_text, body.size), "amount")?,
        side: taker_side(frame, body.side)?,
        id: trade_id(frame, body.id, "id")?,
        seq: None,
        replay: false,
    })
}

/// A book or changes of one.
pub(super) fn book<'a>(
    frame: &str,
    body: &Body,
    symbol: &'a str,
    action: BookAction,
    levels: &'a Levels,
) -> Result<BookMsg<'a>, Reject> {
    let (bids, asks) = levels.both(body)?;
    Ok(BookMsg {
        symbol,
        exchange_ts: Some(time(frame, body)?),
        event_ts: None,
        action,
        bids,
        asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: None,
        replay: false,
    })
}

/// `microtimestamp`; what is older than that has seconds only.
fn time(frame: &str, body: &Body) -> Result<UnixNanos, Reject> {
    let (token, field, nanos) = match body.micros.kind {
        TokenKind::Absent | TokenKind::Null => (body.seconds, "timestamp", 1_000_000_000),
        _ => (body.micros, "microtimestamp", 1000),
    };
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Err(Reject::new(RejectReason::MissingField, "microtimestamp"));
    }
    let bad = Reject::new(RejectReason::BadTime, field);
    let units = integer(frame, token, field).ok().filter(|units| *units >= 0).ok_or(bad)?;
    units.checked_mul(nanos).map(UnixNanos).ok_or(bad)
}

/// 0: the taker buys; 1: the taker sells.
fn taker_side(frame: &str, token: Token) -> Result<Option<Side>, Reject> {
    match (token.kind, token.bytes(frame)) {
        (TokenKind::Absent | TokenKind::Null, _) => Ok(None),
        (TokenKind::Number | TokenKind::String, b"0") => Ok(Some(Side::Buy)),
        (TokenKind::Number | TokenKind::String, b"1") => Ok(Some(Side::Sell)),
        _ => Err(Reject::new(RejectReason::BadField, "type")),
    }
}
