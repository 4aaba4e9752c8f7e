//! Gemini fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: docs.gemini.com, "Market Data Version 2" (as public clients report it), checked against recorded frames.

use super::wire::TradeFields;
use crate::decoder::{Reject, RejectReason};
use crate::fields::{number, optional_seq, time};
use crate::message::TradeMsg;
use crate::scan::{Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{Side, TradeId};

/// A trade without its symbol.
pub(super) fn trade(frame: &str, fields: &TradeFields, replay: bool) -> Result<TradeMsg<'static>, Reject> {
    Ok(TradeMsg {
        symbol: "",
        exchange_ts: time(frame, fields.time, "timestamp")?,
        event_ts: None,
        price: number(frame, fields.price, "price")?,
        size: number(frame, fields.size, "quantity")?,
        side: taker_side(frame, fields.side)?,
        id: match trade_id(frame, fields.trade_id, "tid")? {
            TradeId::None => trade_id(frame, fields.event_id, "event_id")?,
            id => id,
        },
        seq: optional_seq(frame, fields.event_id, "event_id")?,
        replay,
    })
}

/// `side` is the taker's: so it is in 88 of 88 recorded trades that the book decides. Trades of an auction and block trades
/// have none; they bear the names that the REST `type` of a trade has.
fn taker_side(frame: &str, side: Token) -> Result<Option<Side>, Reject> {
    match (side.kind, side.bytes(frame)) {
        (TokenKind::String, b"buy") => Ok(Some(Side::Buy)),
        (TokenKind::String, b"sell") => Ok(Some(Side::Sell)),
        (TokenKind::String, b"" | b"auction" | b"block") | (TokenKind::Absent | TokenKind::Null, _) => Ok(None),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}
