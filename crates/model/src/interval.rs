//! Text of an [`Interval`]: `1s`, `5m`, `1h`, `1d`, `1w`, `100t`, `2.5v`.

use crate::decimal::Decimal;
use crate::derived::Interval;
use std::fmt;
use std::str::FromStr;

/// Seconds of each unit, the longest first.
const UNITS: [(char, u32); 5] = [('w', 604_800), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Decimals of the amount in [`Interval::Volume`].
const VOLUME_SCALE: u8 = 8;

/// Why a text is no interval. Each message says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntervalError {
    /// Not a number and a unit.
    #[error(
        "{0:?} is not an interval; write a whole number of s, m, h, d or w (\"5m\") or of trades (\"100t\"), or an \
         amount of base currency (\"2.5v\")"
    )]
    NotAnInterval(String),
    /// Spans nothing.
    #[error("{0:?} spans nothing; write a number above 0")]
    Zero(String),
    /// More than the type holds.
    #[error("{0:?} is too long; write at most 7000w, 4294967295t or 92233720368v")]
    TooLong(String),
    /// An amount with digits below 1e-8.
    #[error("{0:?} has too many decimals; write an amount with at most 8")]
    TooFine(String),
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let unknown = || IntervalError::NotAnInterval(text.to_owned());
        let unit = text.chars().next_back().ok_or_else(unknown)?;
        let number = text.strip_suffix(unit).ok_or_else(unknown)?;
        if unit == 'v' {
            return volume(text, number);
        }
        let seconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
        if seconds.is_none() && unit != 't' || number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unknown());
        }
        // Digits alone: what does not fit is too long.
        let count: u32 = number.parse().map_err(|_| IntervalError::TooLong(text.to_owned()))?;
        if count == 0 {
            return Err(IntervalError::Zero(text.to_owned()));
        }
        match seconds {
            None => Ok(Self::Trades(count)),
            Some(unit) => {
                let length = count.checked_mul(unit).filter(|&length| length <= SECONDS_MAX);
                length.map(Self::Seconds).ok_or_else(|| IntervalError::TooLong(text.to_owned()))
            }
        }
    }
}

/// Longest interval of time, 7,000 weeks.
const SECONDS_MAX: u32 = 7_000 * 604_800;

fn volume(text: &str, number: &str) -> Result<Interval, IntervalError> {
    let is_plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let amount = Decimal::parse(number.as_bytes()).ok().filter(|_| is_plain);
    let amount = amount.ok_or_else(|| IntervalError::NotAnInterval(text.to_owned()))?.canonical();
    if amount.is_zero() {
        return Err(IntervalError::Zero(text.to_owned()));
    }
    if amount.scale() > VOLUME_SCALE {
        return Err(IntervalError::TooFine(text.to_owned()));
    }
    // What a decimal of 64 bits holds, so that every interval can be written.
    let units = amount.mantissa_at(VOLUME_SCALE).and_then(|units| i64::try_from(units).ok());
    units.map(|units| Interval::Volume(units.unsigned_abs())).ok_or_else(|| IntervalError::TooLong(text.to_owned()))
}

impl fmt::Display for Interval {
    /// In the longest unit that gives a whole number; an amount without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Seconds(seconds) => {
                let (name, unit) = UNITS.into_iter().find(|(_, unit)| seconds % unit == 0).unwrap_or(('s', 1));
                // Nothing is 0 seconds, in whatever unit.
                let (name, unit) = if seconds == 0 { ('s', 1) } else { (name, unit) };
                write!(f, "{}{name}", seconds / unit)
            }
            Self::Trades(trades) => write!(f, "{trades}t"),
            Self::Volume(units) => {
                let unit = 10u64.pow(u32::from(VOLUME_SCALE));
                let (whole, rest) = (units / unit, units % unit);
                if rest == 0 {
                    return write!(f, "{whole}v");
                }
                write!(f, "{whole}.{}v", format!("{rest:08}").trim_end_matches('0'))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_read_and_printed_in_the_longest_unit() {
        let cases = [
            ("1s", Interval::Seconds(1), "1s"),
            ("90s", Interval::Seconds(90), "90s"),
            ("60s", Interval::Seconds(60), "1m"),
            ("5m", Interval::Seconds(300), "5m"),
            ("4h", Interval::Seconds(14_400), "4h"),
            ("24h", Interval::Seconds(86_400), "1d"),
            ("7d", Interval::Seconds(604_800), "1w"),
            ("7000w", Interval::Seconds(4_233_600_000), "7000w"),
            ("100t", Interval::Trades(100), "100t"),
            ("2.5v", Interval::Volume(250_000_000), "2.5v"),
            ("2.50v", Interval::Volume(250_000_000), "2.5v"),
            ("0.00000001v", Interval::Volume(1), "0.00000001v"),
            ("1000v", Interval::Volume(100_000_000_000), "1000v"),
        ];
        for (text, interval, printed) in cases {
            assert_eq!(text.parse(), Ok(interval), "{text}");
            assert_eq!(interval.to_string(), printed, "{text}");
        }
    }

    #[test]
    fn what_is_no_interval_is_told_with_the_remedy() {
        let cases = [
            ("", "\"\" is not an interval; write a whole number of s, m, h, d or w"),
            ("5x", "\"5x\" is not an interval; write a whole number of s, m, h, d or w"),
            ("m", "is not an interval"),
            ("1.5m", "is not an interval"),
            ("-1m", "is not an interval"),
            ("+1m", "is not an interval"),
            ("1 m", "is not an interval"),
            ("1M", "is not an interval"),
            ("1é", "is not an interval"),
            ("v", "is not an interval"),
            ("-2v", "is not an interval"),
            ("1e3v", "is not an interval"),
            ("0s", "\"0s\" spans nothing; write a number above 0"),
            ("0t", "spans nothing"),
            ("0.0v", "spans nothing"),
            ("7001w", "\"7001w\" is too long; write at most 7000w"),
            ("99999999999s", "is too long"),
            ("4294967296t", "is too long"),
            ("92233720369v", "is too long"),
            ("0.000000001v", "has too many decimals; write an amount with at most 8"),
        ];
        for (text, expected) in cases {
            let told = text.parse::<Interval>().expect_err(text).to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
    }

    proptest! {
        /// Printing and reading are inverse.
        #[test]
        fn every_interval_survives_its_text(
            interval in prop_oneof![
                (1..=SECONDS_MAX).prop_map(Interval::Seconds),
                (1..5_000u32).prop_map(|minutes| Interval::Seconds(minutes * 60)),
                (1..=u32::MAX).prop_map(Interval::Trades),
                (1..=u64::MAX >> 1).prop_map(Interval::Volume),
                (1..1_000_000u64).prop_map(|units| Interval::Volume(units * 1_000_000)),
            ],
        ) {
            prop_assert_eq!(interval.to_string().parse(), Ok(interval));
        }
    }
}
