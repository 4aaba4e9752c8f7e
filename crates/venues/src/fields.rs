//! Values out of tokens: decimals, whole numbers, times as numbers, keys. Each says by a [`Reject`] what is wrong with it.
//!
//! Hot path: pure, nothing is allocated.

use crate::decoder::{Reject, RejectReason};
use crate::message::Num;
use crate::scan::{Token, TokenKind};
use feedd_model::{Decimal, DecimalError, UnixNanos, VenueSeq};

/// Times below are milliseconds, from here on microseconds (`timeUnit=MICROSECOND`): 1e14 ms is the year 5138, 1e14 µs
/// is 1973.
const MICROS_FROM: i64 = 100_000_000_000_000;

/// A number, printed as a string or as a literal.
#[inline]
pub(crate) fn number(frame: &str, token: Token, field: &'static str) -> Result<Num, Reject> {
    if !token.is_scalar_text() {
        let missing = !token.is_present();
        return Err(Reject::new(if missing { RejectReason::MissingField } else { RejectReason::BadNumber }, field));
    }
    // Usually the digits tell themselves where they end.
    if let Some((value, len)) = frame.as_bytes().get(token.start as usize..).and_then(Decimal::parse_front)
        && len == token.len as usize
    {
        return Ok(Num { value, start: token.start, len: token.len });
    }
    match Decimal::parse(token.bytes(frame)) {
        Ok(value) => Ok(Num { value, start: token.start, len: token.len }),
        Err(error) => Err(Reject::new(number_fault(error), field)),
    }
}

#[cold]
const fn number_fault(error: DecimalError) -> RejectReason {
    match error {
        DecimalError::TooManyDigits | DecimalError::TooManyDecimals => RejectReason::NumberOutOfRange,
        _ => RejectReason::BadNumber,
    }
}

/// As [`time`], of a field that must be there.
pub(crate) fn required_time(frame: &str, token: Token, field: &'static str) -> Result<UnixNanos, Reject> {
    time(frame, token, field)?.ok_or(Reject::new(RejectReason::MissingField, field))
}

/// A time in milliseconds or microseconds, told apart by its size (see [`MICROS_FROM`]). Absent or `null`: none.
pub(crate) fn time(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    let bad = Reject::new(RejectReason::BadTime, field);
    let stamp = integer(frame, token, field).ok().filter(|stamp| *stamp >= 0).ok_or(bad)?;
    time_of(stamp).map(Some).ok_or(bad)
}

/// The time of a stamp that is not negative; `None` after 2262.
#[inline]
pub(crate) fn time_of(stamp: i64) -> Option<UnixNanos> {
    if stamp < MICROS_FROM { UnixNanos::from_millis(stamp) } else { UnixNanos::from_micros(stamp) }
}

/// A venue's sequence number; absent or `null`: none.
pub(crate) fn optional_seq(frame: &str, token: Token, field: &'static str) -> Result<Option<VenueSeq>, Reject> {
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    integer(frame, token, field).map(|seq| Some(VenueSeq(seq)))
}

/// A whole number, plain digits with an optional minus, printed as a literal or as a string.
#[inline]
pub(crate) fn integer(frame: &str, token: Token, field: &'static str) -> Result<i64, Reject> {
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
