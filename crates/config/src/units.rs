//! Text forms of durations, sizes in bytes and percentages, in both directions.

use std::fmt;
use std::time::Duration;

/// A share of a whole, exact to a hundredth of a percent (one basis point): `"10%"` is 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent {
    bp: u32,
}

impl Percent {
    /// Hundredths of a percent.
    #[must_use]
    pub const fn from_bp(bp: u32) -> Self {
        Self { bp }
    }

    /// Hundredths of a percent.
    #[must_use]
    pub const fn bp(self) -> u32 {
        self.bp
    }

    /// Reads `10`, `10%` or `0.25 %`; at most two decimals.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number = text.trim().trim_end_matches('%').trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return None;
        }
        let decimals: u32 = format!("{decimals:0<2}").parse().ok()?;
        let bp = whole.parse::<u32>().ok()?.checked_mul(BP_PER_PERCENT)?.checked_add(decimals)?;
        Some(Self { bp })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.bp / BP_PER_PERCENT, self.bp % BP_PER_PERCENT);
        if rest == 0 {
            return write!(f, "{whole}%");
        }
        write!(f, "{whole}.{}%", format!("{rest:02}").trim_end_matches('0'))
    }
}

/// Reads `250ms`, `5s`, `10m`, `1h`, `3650d`; `None` when it is anything else or does not fit.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let &(_, nanos) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(nanos).map(Duration::from_nanos)
}

/// Reads `64KiB`, `128MiB`, `1GiB`, `512B`; `None` when it is anything else or does not fit.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let &(_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(factor)
}

/// The shortest text that [`duration`] reads back as the same value, for values in whole nanoseconds below 584 years.
pub(crate) fn show_duration(duration: Duration) -> String {
    let nanos = feedd_model::duration_nanos(duration);
    show(nanos, DURATION_UNITS, "0s")
}

/// The shortest text that [`bytes`] reads back as the same value.
pub(crate) fn show_bytes(bytes: u64) -> String {
    show(bytes, SIZE_UNITS, "0B")
}

/// Writes `value` in the largest unit that divides it.
fn show(value: u64, units: &[(&str, u64)], zero: &str) -> String {
    if value == 0 {
        return zero.to_owned();
    }
    let fits = units.iter().rev().find(|(_, factor)| value.is_multiple_of(*factor));
    fits.map_or_else(|| value.to_string(), |(unit, factor)| format!("{}{unit}", value / factor))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

const BP_PER_PERCENT: u32 = 100;

/// Rising, each with its nanoseconds.
const DURATION_UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Rising, each with its bytes. Powers of 1000 are left out: `MB` means two things.
const SIZE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations() {
        let cases = [
            ("250ms", Some(Duration::from_millis(250))),
            ("5 s", Some(Duration::from_secs(5))),
            ("3650d", Some(Duration::from_secs(3650 * 86_400))),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("1.5s", None),
            ("5S", None),
            ("99999999999d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes() {
        let cases = [("64KiB", Some(65_536)), ("1GiB", Some(1 << 30)), ("7B", Some(7)), ("64MB", None), ("", None)];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }

    #[test]
    fn percentages() {
        let cases = [
            ("10%", Some(1_000)),
            ("10", Some(1_000)),
            ("0.25 %", Some(25)),
            ("0.01%", Some(1)),
            ("0.001%", None),
            ("ten", None),
            (".5", None),
            ("1e2", None),
            ("99999999999", None),
        ];
        for (text, bp) in cases {
            assert_eq!(Percent::parse(text).map(Percent::bp), bp, "{text}");
        }
        assert_eq!(Percent::from_bp(25).to_string(), "0.25%");
        assert_eq!(Percent::from_bp(105).to_string(), "1.05%");
        assert_eq!(Percent::from_bp(1_000).to_string(), "10%");
    }

    proptest! {
        /// What is shown reads back as the same value.
        #[test]
        fn shown_text_reads_back(value: u64) {
            prop_assert_eq!(bytes(&show_bytes(value)), Some(value));
            prop_assert_eq!(duration(&show_duration(Duration::from_nanos(value))), Some(Duration::from_nanos(value)));
        }

        /// Text from a file never panics.
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = (bytes(&text), duration(&text), Percent::parse(&text));
        }
    }
}
