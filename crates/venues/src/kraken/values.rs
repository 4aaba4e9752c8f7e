//! What both protocols print alike: sides, checksums, prices that may be missing. Pure.

use crate::decoder::{Label, Outcome, Reject, RejectReason};
use crate::fields::{integer, number};
use crate::message::Num;
use crate::scan::{Token, TokenKind};
use feedd_model::Side;

/// The taker's side: `buy` and `sell`, in the first protocol `b` and `s`.
pub(super) fn side(frame: &str, token: Token) -> Result<Option<Side>, Reject> {
    match (token.kind, token.bytes(frame)) {
        (TokenKind::String, b"buy" | b"b") => Ok(Some(Side::Buy)),
        (TokenKind::String, b"sell" | b"s") => Ok(Some(Side::Sell)),
        (TokenKind::String, b"") | (TokenKind::Absent | TokenKind::Null, _) => Ok(None),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}

/// A CRC-32, a number in the second protocol and a text in the first.
pub(super) fn checksum(frame: &str, token: Token, field: &'static str) -> Result<Option<u32>, Reject> {
    if is_none(token) {
        return Ok(None);
    }
    let sum = integer(frame, token, field)?;
    u32::try_from(sum).map(Some).map_err(|_| Reject::new(RejectReason::NumberOutOfRange, field))
}

/// Nothing there, `null` or an empty text: the venue has none.
pub(super) fn optional_number(frame: &str, token: Token, field: &'static str) -> Result<Option<Num>, Reject> {
    if is_none(token) { Ok(None) } else { number(frame, token, field).map(Some) }
}

const fn is_none(token: Token) -> bool {
    matches!(token.kind, TokenKind::Absent | TokenKind::Null)
        || matches!(token.kind, TokenKind::String) && token.len == 0
}

/// What a frame without a quote is told as when all it holds is tickers with neither price.
pub(super) const NO_QUOTE: Outcome<'static> =
    Outcome::Unknown(Label { field: "tickers", name: Some("without bid/ask") });
