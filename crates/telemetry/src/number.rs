//! Numbers as people read them.

/// A whole number with thousands separators.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `part` of `whole` in percent, rounded down; 0 when there is no whole.
#[must_use]
pub fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

/// A duration as people read it: `350 us`, `14 ms`, `2.5 s`.
#[must_use]
pub fn duration(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} us", nanos / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{}.{} s", nanos / 1_000_000_000, nanos % 1_000_000_000 / 100_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_for_people() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1_000, 12_345_678].map(grouped).each_ref().map(String::as_str)
        );
        assert_eq!((percent(4, 5), percent(1, 0)), (80, 0));
        assert_eq!(
            (duration(350_000).as_str(), duration(14_999_999).as_str(), duration(2_560_000_000).as_str()),
            ("350 us", "14 ms", "2.5 s")
        );
    }
}
