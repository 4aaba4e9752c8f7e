//! Times as text: RFC 3339 (`2026-08-09T12:34:56.123456Z`, as Coinbase and Kraken print them) and seconds with decimals
//! (`1618677817.020616`, Kraken's first protocol). Exact to the nanosecond, never through a float.
//!
//! Hot path: nothing is allocated.

use crate::decoder::{Reject, RejectReason};
use crate::scan::{Token, TokenKind};
use feedd_model::{UnixNanos, digits_value};

/// The time in a token that must be an RFC 3339 text.
pub(crate) fn required_rfc3339(frame: &str, token: Token, field: &'static str) -> Result<UnixNanos, Reject> {
    match token.kind {
        TokenKind::Absent | TokenKind::Null => Err(Reject::new(RejectReason::MissingField, field)),
        TokenKind::String => rfc3339(token.bytes(frame)).ok_or(Reject::new(RejectReason::BadTime, field)),
        _ => Err(Reject::new(RejectReason::BadTime, field)),
    }
}

/// As [`required_rfc3339`]; absent, `null` or an empty text: none.
pub(crate) fn optional_rfc3339(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    let is_empty = token.kind == TokenKind::String && token.len == 0;
    if is_empty || matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    required_rfc3339(frame, token, field).map(Some)
}

/// `YYYY-MM-DDTHH:MM:SS`, a fraction of any length (digits below a nanosecond must be zero), then `Z` or an offset.
/// `None` for anything else, for times before 1970 and after 2262. A leap second (`:60`) is the second after it.
#[must_use]
pub fn rfc3339(text: &[u8]) -> Option<UnixNanos> {
    let (date_time, rest) = text.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', i0, i1, b':', s0, s1] =
        *date_time
    else {
        return None;
    };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    let days = days_since_1970(year, month, day)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            // Behind the decimals mostly stands one letter.
            let len = match rest.split_last() {
                Some((b'Z', digits)) => digits.len(),
                _ => rest.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            };
            (fraction_nanos(&rest[..len])?, &rest[len..])
        }
        _ => (0, rest),
    };
    let offset = offset_seconds(rest)?;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    nanos(seconds, fraction)
}

/// Seconds since 1970 with up to nine decimals. `None` for anything else.
#[must_use]
pub fn unix_seconds(text: &[u8]) -> Option<UnixNanos> {
    // Ten digits, from 2001 to 2286, and six decimals: as Kraken prints them.
    if let Some((whole, [b'.', decimals @ ..])) = text.split_first_chunk::<10>()
        && decimals.len() == 6
    {
        return nanos(digits_value(whole)?, fraction_nanos(decimals)?);
    }
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, fraction) = match point {
        Some(at) => (&text[..at], fraction_nanos(&text[at + 1..])?),
        None => (text, 0),
    };
    if whole.is_empty() || whole.len() > 18 {
        return None;
    }
    nanos(digits_value(whole)?, fraction)
}

fn nanos(seconds: i64, fraction: i64) -> Option<UnixNanos> {
    if seconds < 0 {
        return None;
    }
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction).map(UnixNanos)
}

/// The value of two digits.
#[inline]
const fn two(high: u8, low: u8) -> Option<i64> {
    let (high, low) = (high.wrapping_sub(b'0'), low.wrapping_sub(b'0'));
    if high > 9 || low > 9 {
        return None;
    }
    Some(high as i64 * 10 + low as i64)
}

/// Nanoseconds of one unit of the last of so many decimals.
const NANOS_PER_UNIT: [i64; 10] =
    [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1000, 100, 10, 1];

/// One to any number of decimals as nanoseconds; `None` when there are none, or when they say less than a nanosecond.
fn fraction_nanos(digits: &[u8]) -> Option<i64> {
    // Nearly always six: no loop over them.
    if let &[a, b, c, d, e, f] = digits {
        return Some((two(a, b)? * 10_000 + two(c, d)? * 100 + two(e, f)?) * 1000);
    }
    let (kept, below) = digits.split_at(digits.len().min(9));
    if kept.is_empty() || below.iter().any(|&byte| byte != b'0') {
        return None;
    }
    Some(digits_value(kept)? * NANOS_PER_UNIT[kept.len()])
}

/// `Z`, `+HH:MM` or `-HH:MM`.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            let seconds = hours * 3600 + minutes * 60;
            (hours < 24 && minutes < 60).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// Days of a date of the Gregorian calendar since 1970-01-01; `None` for a date that does not exist.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    const BEFORE_MONTH: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let at = usize::try_from(month - 1).ok()?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let leap_day = i64::from(is_leap && month == 2);
    if day < 1 || day > DAYS.get(at)? + leap_day {
        return None;
    }
    // Leap days up to the end of the year before; 719,162 days lie before 1970-01-01.
    let before = year - 1;
    let leap_days = before / 4 - before / 100 + before / 400;
    Some(before * 365 + leap_days + BEFORE_MONTH[at] + i64::from(is_leap && month > 2) + day - 1 - 719_162)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_exact_or_none() {
        let cases = [
            // name, text, nanoseconds
            ("micros", "2026-08-16T23:37:04.334090Z", Some(1_786_923_424_334_090_000)),
            ("nanos", "2026-08-09T21:05:48.174374801Z", Some(1_786_309_548_174_374_801)),
            ("no fraction", "1970-01-01T00:00:00Z", Some(0)),
            ("an offset", "1970-01-01T02:30:00+02:30", Some(0)),
            ("a negative offset", "1969-12-31T23:00:00-01:00", Some(0)),
            ("a leap day", "2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000)),
            ("zeros below a nanosecond", "1970-01-01T00:00:00.0000000010Z", Some(1)),
            ("less than a nanosecond", "1970-01-01T00:00:00.0000000001Z", None),
            ("no leap day", "2023-02-29T00:00:00Z", None),
            ("month 13", "2023-13-01T00:00:00Z", None),
            ("day 0", "2023-01-00T00:00:00Z", None),
            ("hour 24", "2023-01-01T24:00:00Z", None),
            ("before 1970", "1969-12-31T23:59:59Z", None),
            ("after 2262", "2300-01-01T00:00:00Z", None),
            ("no zone", "2023-01-01T00:00:00", None),
            ("a point alone", "2023-01-01T00:00:00.Z", None),
            ("a letter", "2023-01-01T00:00:0xZ", None),
            ("behind it", "2023-01-01T00:00:00ZZ", None),
            ("empty", "", None),
        ];
        for (name, text, expected) in cases {
            assert_eq!(rfc3339(text.as_bytes()).map(|t| t.0), expected, "{name}");
        }
    }

    #[test]
    fn seconds_are_exact_or_none() {
        let cases = [
            ("micros", "1618677817.020616", Some(1_618_677_817_020_616_000)),
            ("whole", "7", Some(7_000_000_000)),
            ("nine decimals", "0.000000001", Some(1)),
            ("ten decimals", "0.0000000001", None),
            ("no decimals", "1.", None),
            ("no whole", ".5", None),
            ("minus", "-1", None),
            ("too large", "9999999999999", None),
        ];
        for (name, text, expected) in cases {
            assert_eq!(unix_seconds(text.as_bytes()).map(|t| t.0), expected, "{name}");
        }
    }

    proptest! {
        /// Every second from 1970 to 2199, printed by another implementation of the calendar, is read back.
        #[test]
        fn calendars_agree(second in 0_i64..7_258_118_400, nano in 0_i64..1_000_000_000) {
            // Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
            let z = second.div_euclid(86_400) + 719_468;
            let era = z.div_euclid(146_097);
            let doe = z - era * 146_097;
            let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
            let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
            let mp = (5 * doy + 2) / 153;
            let day = doy - (153 * mp + 2) / 5 + 1;
            let month = if mp < 10 { mp + 3 } else { mp - 9 };
            let year = yoe + era * 400 + i64::from(month <= 2);
            let rest = second.rem_euclid(86_400);
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nano:09}Z", rest / 3600, rest / 60 % 60, rest % 60,
            );
            prop_assert_eq!(rfc3339(text.as_bytes()), Some(UnixNanos(second * 1_000_000_000 + nano)));
        }

        /// No text makes it fail.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = rfc3339(&bytes);
            let _ = unix_seconds(&bytes);
        }
    }
}
