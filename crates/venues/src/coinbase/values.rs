//! What both feeds print alike: times, sides, ids, prices that may be missing. Pure.

use super::wire::Item;
use crate::decoder::{CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Label, Outcome, Reject, RejectReason};
use crate::fields::number;
use crate::message::{Num, QuoteMsg};
use crate::names::symbol;
use crate::scan::{Token, TokenKind};
use crate::time_text::optional_rfc3339;
use feedd_model::{Side, UnixNanos, VenueSeq};

/// A time; none also for year 1, which is how Coinbase's servers print a time that was never set.
pub(super) fn time(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    if token.kind == TokenKind::String && token.bytes(frame).starts_with(b"0001-01-01T00:00:00") {
        return Ok(None);
    }
    optional_rfc3339(frame, token, field)
}

/// The taker's side. Both feeds state the maker's: the Exchange feed by its documentation (channels, `match`; read mid
/// 2026), Advanced Trade by what was recorded on 2026-08-09: 71 of 71 trades that the book decides.
pub(super) fn taker_side(frame: &str, maker: Token) -> Result<Option<Side>, Reject> {
    match (maker.kind, maker.bytes(frame)) {
        (TokenKind::String, b"sell" | b"SELL") => Ok(Some(Side::Buy)),
        (TokenKind::String, b"buy" | b"BUY") => Ok(Some(Side::Sell)),
        // Advanced Trade's enumeration of sides has a third name, for "not known".
        (TokenKind::String, b"" | b"UNKNOWN_ORDER_SIDE") | (TokenKind::Absent | TokenKind::Null, _) => Ok(None),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}

/// Nothing there, `null` or an empty text: the venue has none.
pub(super) fn optional_number(frame: &str, token: Token, field: &'static str) -> Result<Option<Num>, Reject> {
    let is_empty = token.kind == TokenKind::String && token.len == 0;
    if is_empty || matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    number(frame, token, field).map(Some)
}

/// Best bid and ask of a ticker; recordings of the Exchange feed of 2021 and 2022 have no sizes. `None`: a ticker with
/// neither price (Advanced Trade documents some without) is no quote.
pub(super) fn quote<'a>(
    frame: &'a str,
    item: &Item,
    exchange_ts: Option<UnixNanos>,
    seq: Option<VenueSeq>,
    scratch: &'a mut String,
) -> Result<Option<QuoteMsg<'a>>, Reject> {
    let bid = optional_number(frame, item.bid, "best_bid")?;
    let ask = optional_number(frame, item.ask, "best_ask")?;
    if bid.is_none() && ask.is_none() {
        return Ok(None);
    }
    Ok(Some(QuoteMsg {
        symbol: symbol(frame, item.product, "product_id", scratch)?,
        exchange_ts,
        event_ts: None,
        bid,
        bid_size: optional_number(frame, item.bid_size, "best_bid_size")?,
        ask,
        ask_size: optional_number(frame, item.ask_size, "best_ask_size")?,
        seq,
        replay: false,
    }))
}

/// What a frame without a quote is told as when all it holds is such tickers.
pub(super) const NO_QUOTE: Outcome<'static> =
    Outcome::Unknown(Label { field: "tickers", name: Some("without bid/ask") });

/// A frame that gives no message: whether it belongs to the connection, or is of no use.
pub(super) fn other<'f>(field: &'static str, name: Option<&'f str>) -> Outcome<'f> {
    let label = Label { field, name };
    let control = match name {
        Some("subscriptions") => CONTROL_ACK,
        Some("error") => CONTROL_ERROR,
        Some("heartbeat" | "heartbeats") => CONTROL_ALIVE,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name: control, label }
}
