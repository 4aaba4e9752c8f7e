//! What the Parquet sink's folders and file names say, read back. How they are written: `crates/sink-parquet/src/names.rs`.

use feedd_model::{Epoch, Seq, StreamId};
use time::{Date, Month};

/// A finished file: `s1-e000003-00000000000000000001-00000000000000015863.parquet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    /// Sequence of the first row.
    pub(crate) first: Seq,
    /// Sequence of the last row.
    pub(crate) last: Seq,
}

impl FileName {
    /// Reads a name; `None` for files that are not the sink's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(".parquet")?.split('-');
        let found = Self {
            stream: StreamId(parts.next()?.strip_prefix('s')?.parse().ok()?),
            epoch: Epoch(parts.next()?.strip_prefix('e')?.parse().ok()?),
            first: Seq(parts.next()?.parse().ok()?),
            last: Seq(parts.next()?.parse().ok()?),
        };
        (parts.next().is_none() && found.first <= found.last).then_some(found)
    }
}

/// The day of a partition's folder (`date=2024-08-08`), counted from 1970-01-01.
pub(crate) fn day(folder: &str) -> Option<i64> {
    let (year, rest) = folder.strip_prefix("date=")?.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    Some(i64::from(date.to_julian_day()) - UNIX_EPOCH_JULIAN)
}

const UNIX_EPOCH_JULIAN: i64 = 2_440_588;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_days_are_read() {
        let name = FileName { stream: StreamId(1), epoch: Epoch(3), first: Seq(1), last: Seq(15_863) };
        let text = "s1-e000003-00000000000000000001-00000000000000015863.parquet";
        assert_eq!(FileName::parse(text), Some(name));
        let others = ["part-0.parquet", "s1-e3-1.parquet", "s1-e3-2-1.parquet", "s1-e3-1-2-3.parquet", ""];
        for other in others.map(str::to_owned).into_iter().chain([format!("{text}.bak")]) {
            assert_eq!(FileName::parse(&other), None, "{other}");
        }
        let days = [
            ("date=1970-01-01", Some(0)),
            ("date=1969-12-31", Some(-1)),
            ("date=2024-02-29", Some(19_782)),
            ("date=2262-04-11", Some(i64::MAX / 86_400_000_000_000)),
            ("date=2024-02-30", None),
            ("2024-02-29", None),
            ("date=today", None),
        ];
        for (folder, expected) in days {
            assert_eq!(day(folder), expected, "{folder}");
        }
    }
}
