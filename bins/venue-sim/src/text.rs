//! Numbers and times as venues print them: decimals from integers with a scale, times of day from nanoseconds.

use std::fmt::Write as _;

/// How a decimal is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digits {
    /// Decimals of the integer that is printed.
    pub(crate) scale: u32,
    /// Decimals that are printed, zeros added; `None`: as many as needed, no zeros at the end.
    pub(crate) printed: Option<u32>,
}

/// Appends `value` x 10^-`scale`. Values are never negative here.
pub(crate) fn push_decimal(out: &mut String, value: i64, digits: Digits) {
    let one = 10u64.pow(digits.scale);
    let value = value.unsigned_abs();
    let (whole, fraction) = (value / one, value % one);
    push_int(out, whole);
    let (mut fraction, mut places) = (fraction, digits.scale);
    match digits.printed {
        None => {
            while places > 0 && fraction.is_multiple_of(10) {
                fraction /= 10;
                places -= 1;
            }
        }
        Some(printed) => {
            while places < printed {
                fraction *= 10;
                places += 1;
            }
        }
    }
    if places > 0 {
        out.push('.');
        push_padded(out, fraction, places);
    }
}

/// The same, as a text of its own.
pub(crate) fn decimal(value: i64, digits: Digits) -> String {
    let mut out = String::new();
    push_decimal(&mut out, value, digits);
    out
}

/// Appends an integer.
pub(crate) fn push_int(out: &mut String, value: u64) {
    push_padded(out, value, 1);
}

/// Appends an integer with zeros before it, up to `width` digits.
fn push_padded(out: &mut String, mut value: u64, width: u32) {
    // 20 digits hold every u64.
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut left = width;
    while value > 0 || left > 0 {
        at -= 1;
        digits[at] = b"0123456789"[usize::try_from(value % 10).unwrap_or(0)];
        value /= 10;
        left = left.saturating_sub(1);
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

/// Appends a JSON text: quoted, and escaped where it must be.
pub(crate) fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Milliseconds of a time in nanoseconds.
pub(crate) fn millis(ns: i64) -> u64 {
    u64::try_from(ns / 1_000_000).unwrap_or(0)
}

/// Microseconds of a time in nanoseconds.
pub(crate) fn micros(ns: i64) -> u64 {
    u64::try_from(ns / 1_000).unwrap_or(0)
}

/// Appends `2026-08-09T21:05:48.228568804Z` with `places` (at most 9) decimals of the second.
pub(crate) fn push_time(out: &mut String, ns: i64, places: u32) {
    push_time_with(out, ns, places, "T", "Z");
}

/// The same with another separator and another end.
pub(crate) fn push_time_with(out: &mut String, ns: i64, places: u32, separator: &str, end: &str) {
    let ns = u64::try_from(ns).unwrap_or(0);
    let (seconds, fraction) = (ns / 1_000_000_000, ns % 1_000_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let second = seconds % 86_400;
    push_padded(out, year, 4);
    for part in [month, day] {
        out.push('-');
        push_padded(out, part, 2);
    }
    out.push_str(separator);
    push_padded(out, second / 3600, 2);
    for part in [second / 60 % 60, second % 60] {
        out.push(':');
        push_padded(out, part, 2);
    }
    if places > 0 {
        out.push('.');
        push_padded(out, fraction / 10u64.pow(9 - places), places);
    }
    out.push_str(end);
}

/// Year, month and day of a number of days since 1970, by counting months from March on, so that the leap day is last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_printed_as_the_venue_prints_them() {
        let cases = [
            ("zeros added", 6_183_763, 2, Some(8), "61837.63000000"),
            ("as it is", 26_837, 1, Some(1), "2683.7"),
            ("zeros left out", 2_186_000, 8, None, "0.02186"),
            ("no decimal needed", 300, 2, None, "3"),
            ("contracts", 1991, 0, Some(0), "1991"),
            ("zero", 0, 8, Some(8), "0.00000000"),
            ("zero, short", 0, 8, None, "0"),
            ("small", 5, 8, Some(8), "0.00000005"),
        ];
        for (name, value, scale, printed, text) in cases {
            assert_eq!(decimal(value, Digits { scale, printed }), text, "{name}");
        }
    }

    #[test]
    fn times_are_of_the_calendar() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_786_309_548_228_568_804, 9, "2026-08-09T21:05:48.228568804Z"),
            (1_709_164_799_999_999_999, 6, "2024-02-28T23:59:59.999999Z"),
            (1_709_164_800_000_000_000, 3, "2024-02-29T00:00:00.000Z"),
            (951_868_800_000_000_000, 0, "2000-03-01T00:00:00Z"),
        ];
        for (ns, places, text) in cases {
            let mut out = String::new();
            push_time(&mut out, ns, places);
            assert_eq!(out, text);
        }
    }

    #[test]
    fn texts_are_escaped() {
        let mut out = String::new();
        push_json(&mut out, "a\"b\\c\nd");
        assert_eq!(out, "\"a\\\"b\\\\c\\u000ad\"");
    }
}
