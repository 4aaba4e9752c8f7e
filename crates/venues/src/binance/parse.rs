//! Binance fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: Binance spot API `web-socket-streams.md` and USD-M/COIN-M "Websocket Market Streams" (read mid
//! 2026), checked against recorded frames of all four markets.

use super::wire::{DepthLevels, Fields};
use crate::decoder::{Reject, RejectReason};
use crate::fields::{integer, number, optional_seq, required_time, time};
use crate::levels::check_levels;
use crate::message::{BookMsg, QuoteMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use feedd_model::{BookAction, Side, TradeId, VenueSeq};

/// `trade` (id `t`) and `aggTrade` (id `a`). As sent: USD-M prints insurance fund trades with price 0 and `"X":"NA"`.
pub(super) fn trade<'a>(frame: &'a str, fields: &Fields, symbol: &'a str, id: Token) -> Result<TradeMsg<'a>, Reject> {
    let id = u64::try_from(integer(frame, id, "id")?).map_err(|_| Reject::new(RejectReason::BadNumber, "id"))?;
    Ok(TradeMsg {
        symbol,
        exchange_ts: Some(required_time(frame, fields.time, "T")?),
        event_ts: time(frame, fields.event_time, "E")?,
        price: number(frame, fields.price, "p")?,
        size: number(frame, fields.size, "q")?,
        side: Some(taker_side(fields.buyer_is_maker)?),
        id: TradeId::Number(u128::from(id)),
        seq: None,
        replay: false,
    })
}

/// `m`, "the buyer is the maker": then the taker sold.
pub(super) fn taker_side(buyer_is_maker: Token) -> Result<Side, Reject> {
    match buyer_is_maker.kind {
        TokenKind::True => Ok(Side::Sell),
        TokenKind::False => Ok(Side::Buy),
        TokenKind::Absent => Err(Reject::new(RejectReason::MissingField, "m")),
        _ => Err(Reject::new(RejectReason::BadField, "m")),
    }
}

/// `bookTicker`. Spot sends no time; futures send `T` and `E`.
pub(super) fn quote<'a>(frame: &'a str, fields: &Fields, symbol: &'a str) -> Result<QuoteMsg<'a>, Reject> {
    Ok(QuoteMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "T")?,
        event_ts: time(frame, fields.event_time, "E")?,
        bid: Some(number(frame, fields.b, "b")?),
        bid_size: Some(number(frame, fields.bid_size, "B")?),
        ask: Some(number(frame, fields.a, "a")?),
        ask_size: Some(number(frame, fields.ask_size, "A")?),
        seq: Some(VenueSeq(integer(frame, fields.last_id, "u")?)),
        replay: false,
    })
}

/// `depthUpdate`: a change of the book, or its top on the futures' `@depth5/10/20` streams (`action` tells).
pub(super) fn depth_update<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    action: BookAction,
    levels: &'a DepthLevels,
) -> Result<BookMsg<'a>, Reject> {
    check_levels(fields.b, "b", levels.bids.fault)?;
    check_levels(fields.a, "a", levels.asks.fault)?;
    let event_ts = required_time(frame, fields.event_time, "E")?;
    Ok(BookMsg {
        symbol,
        exchange_ts: Some(time(frame, fields.time, "T")?.unwrap_or(event_ts)),
        event_ts: Some(event_ts),
        action,
        bids: &levels.bids.levels,
        asks: &levels.asks.levels,
        seq_first: Some(VenueSeq(integer(frame, fields.first_id, "U")?)),
        seq_last: Some(VenueSeq(integer(frame, fields.last_id, "u")?)),
        seq_prev: optional_seq(frame, fields.prev_id, "pu")?,
        checksum: None,
        replay: false,
    })
}

/// `lastUpdateId`, `bids`, `asks`: a REST answer, or spot's `@depth5/10/20`. Only futures answers carry times.
pub(super) fn snapshot<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    levels: &'a DepthLevels,
) -> Result<BookMsg<'a>, Reject> {
    check_levels(fields.bids, "bids", levels.bids.fault)?;
    check_levels(fields.asks, "asks", levels.asks.fault)?;
    Ok(BookMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "T")?,
        event_ts: time(frame, fields.event_time, "E")?,
        action: BookAction::Snapshot,
        bids: &levels.bids.levels,
        asks: &levels.asks.levels,
        seq_first: None,
        seq_last: Some(VenueSeq(integer(frame, fields.last_update_id, "lastUpdateId")?)),
        seq_prev: None,
        checksum: None,
        replay: false,
    })
}
