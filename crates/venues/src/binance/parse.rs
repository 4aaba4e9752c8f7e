//! Binance fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: Binance spot API `web-socket-streams.md` and USD-M/COIN-M "Websocket Market Streams" (read mid
//! 2026), checked against recorded frames of all four markets.

use super::wire::{DepthLevels, Fields, number};
use crate::decoder::{Reject, RejectReason};
use crate::message::{BookMsg, QuoteMsg, TradeMsg};
use crate::scan::{Token, TokenKind};
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// Times below are milliseconds, from here on microseconds (`timeUnit=MICROSECOND`): 1e14 ms is the year 5138, 1e14 µs
/// is 1973.
const MICROS_FROM: i64 = 100_000_000_000_000;

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
fn taker_side(buyer_is_maker: Token) -> Result<Side, Reject> {
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

fn check_levels(list: Token, field: &'static str, fault: Option<Reject>) -> Result<(), Reject> {
    match (list.kind, fault) {
        (TokenKind::Absent, _) => Err(Reject::new(RejectReason::MissingField, field)),
        (TokenKind::Array, None) => Ok(()),
        (TokenKind::Array, Some(fault)) => Err(fault),
        _ => Err(Reject::new(RejectReason::BadField, field)),
    }
}

fn required_time(frame: &str, token: Token, field: &'static str) -> Result<UnixNanos, Reject> {
    time(frame, token, field)?.ok_or(Reject::new(RejectReason::MissingField, field))
}

/// A time in milliseconds or microseconds, told apart by its size (see [`MICROS_FROM`]). Absent or `null`: none.
fn time(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    let bad = Reject::new(RejectReason::BadTime, field);
    let stamp = integer(frame, token, field).ok().filter(|stamp| *stamp >= 0).ok_or(bad)?;
    time_of(stamp).map(Some).ok_or(bad)
}

/// The time of a stamp that is not negative; `None` after 2262.
#[inline]
pub(super) fn time_of(stamp: i64) -> Option<UnixNanos> {
    if stamp < MICROS_FROM { UnixNanos::from_millis(stamp) } else { UnixNanos::from_micros(stamp) }
}

fn optional_seq(frame: &str, token: Token, field: &'static str) -> Result<Option<VenueSeq>, Reject> {
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    integer(frame, token, field).map(|seq| Some(VenueSeq(seq)))
}

/// A whole number, plain digits with an optional minus, printed as a literal or as a string.
#[inline]
fn integer(frame: &str, token: Token, field: &'static str) -> Result<i64, Reject> {
    if !token.is_scalar_text() {
        let missing = !token.is_present();
        return Err(Reject::new(if missing { RejectReason::MissingField } else { RejectReason::BadNumber }, field));
    }
    let text = token.bytes(frame);
    // Up to 18 digits cannot overflow, and ids and times have no more.
    if !text.is_empty()
        && text.len() <= 18
        && let Some(value) = feedd_model::digits_value(text)
    {
        return Ok(value);
    }
    any_integer(text, field)
}

/// The general form of [`integer`]: signs, any length.
#[cold]
fn any_integer(text: &[u8], field: &'static str) -> Result<i64, Reject> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Reject::new(RejectReason::BadNumber, field));
    }
    // Summed up below zero, so that the lowest number has no case of its own; that one stays reserved for "absent".
    let sum = digits.iter().try_fold(0i64, |sum, byte| sum.checked_mul(10)?.checked_sub(i64::from(byte - b'0')));
    let value = sum.filter(|sum| *sum > i64::MIN).map(|sum| if negative { sum } else { -sum });
    value.ok_or(Reject::new(RejectReason::NumberOutOfRange, field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scanner;

    fn token(text: &str) -> Token {
        Scanner::new(text).unwrap().value().unwrap()
    }

    #[test]
    fn the_size_of_a_time_tells_its_unit() {
        let cases = [
            // name, text, nanoseconds
            ("milliseconds", "1723161255208", Ok(Some(1_723_161_255_208_000_000))),
            ("microseconds", "1723161255208123", Ok(Some(1_723_161_255_208_123_000))),
            ("as a string", "\"1723161255208\"", Ok(Some(1_723_161_255_208_000_000))),
            ("the epoch", "0", Ok(Some(0))),
            ("null", "null", Ok(None)),
            ("milliseconds after 2262", "99999999999999", Err(RejectReason::BadTime)),
            ("nanoseconds", "1723161255208123456", Err(RejectReason::BadTime)),
            ("before the epoch", "-1", Err(RejectReason::BadTime)),
            ("a fraction", "1723161255208.5", Err(RejectReason::BadTime)),
            ("a word", "\"now\"", Err(RejectReason::BadTime)),
        ];
        for (name, text, expected) in cases {
            let got = time(text, token(text), "T").map(|t| t.map(|t| t.0)).map_err(|reject| reject.reason);
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn whole_numbers_are_exact_or_refused() {
        let cases = [
            // name, text, expected
            ("one digit", "7", Ok(7)),
            ("eight digits", "12345678", Ok(12_345_678)),
            ("13 digits", "1723161255208", Ok(1_723_161_255_208)),
            ("16 digits", "9999999999999999", Ok(9_999_999_999_999_999)),
            ("18 digits", "100000000000000009", Ok(100_000_000_000_000_009)),
            ("a colon among eight", "\"1234:678\"", Err(RejectReason::BadNumber)),
            ("a letter behind eight", "\"12345678x\"", Err(RejectReason::BadNumber)),
            ("largest", "9223372036854775807", Ok(i64::MAX)),
            ("one more", "9223372036854775808", Err(RejectReason::NumberOutOfRange)),
            ("smallest that is a value", "-9223372036854775807", Ok(-i64::MAX)),
            ("reserved", "-9223372036854775808", Err(RejectReason::NumberOutOfRange)),
            ("an exponent", "1e3", Err(RejectReason::BadNumber)),
            ("an empty string", "\"\"", Err(RejectReason::BadNumber)),
            ("a list", "[1]", Err(RejectReason::BadNumber)),
        ];
        for (name, text, expected) in cases {
            assert_eq!(integer(text, token(text), "u").map_err(|reject| reject.reason), expected, "{name}");
        }
    }
}
