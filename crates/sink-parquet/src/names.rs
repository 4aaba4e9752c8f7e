//! Folders and file names: what a file holds can be read from its path.

use crate::dataset::Dataset;
use feedd_model::{Epoch, Seq, StreamId};
use std::fmt::Write;

/// What a finished file's name says: `s1-e000003-00000000000000000001-00000000000000015863.parquet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileName {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    /// Sequence of the first row.
    pub(crate) first: Seq,
    /// Sequence of the last row, of a derived record that of its last slot. Other partitions hold rows in between.
    pub(crate) last: Seq,
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{}-e{:06}-{:020}-{:020}.parquet", self.stream.0, self.epoch.0, self.first.0, self.last.0)
    }
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
        (found.to_string() == name).then_some(found)
    }

    /// The name while the file is being written. Readers that list `*.parquet` and shells pass over it.
    pub(crate) fn tmp(stream: StreamId, epoch: Epoch, first: Seq) -> String {
        format!(".s{}-e{:06}-{:020}.parquet.tmp", stream.0, epoch.0, first.0)
    }

    /// Whether a name is a temporary one of `stream`.
    pub(crate) fn is_tmp_of(name: &str, stream: StreamId) -> bool {
        name.strip_suffix(".parquet.tmp").is_some_and(|rest| rest.starts_with(&format!(".s{}-e", stream.0)))
    }
}

/// The folder of a partition below the sink's folder: `trades/venue=binance/date=2024-08-08`.
///
/// `day` counts from 1970-01-01 UTC. Bytes of a venue's name other than letters, digits, `_`, `.` and `-` are written
/// `%XX`, as Hive does.
pub(crate) fn partition(dataset: Dataset, venue: &str, day: i64) -> String {
    let mut folder = format!("{}/venue=", dataset.name());
    for byte in venue.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-') {
            folder.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(folder, "%{byte:02X}");
        }
    }
    folder.push_str("/date=");
    folder.push_str(&date(day));
    folder
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01. Times in ns reach from 1677 to 2262, so every day has a date.
pub(crate) fn date(day: i64) -> String {
    const UNIX_EPOCH_JULIAN: i64 = 2_440_588;
    i32::try_from(UNIX_EPOCH_JULIAN + day)
        .ok()
        .and_then(|julian| time::Date::from_julian_day(julian).ok())
        .map_or_else(|| "1970-01-01".to_owned(), |date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let name = FileName { stream: StreamId(1), epoch: Epoch(3), first: Seq(1), last: Seq(15_863) };
        let text = "s1-e000003-00000000000000000001-00000000000000015863.parquet";
        assert_eq!(name.to_string(), text);
        assert_eq!(FileName::parse(text), Some(name));
        for other in ["part-0.parquet", "s1-e3-1-2.parquet", &format!("{text}.bak"), ""] {
            assert_eq!(FileName::parse(other), None, "{other}");
        }
        let tmp = FileName::tmp(StreamId(1), Epoch(3), Seq(1));
        assert!(FileName::is_tmp_of(&tmp, StreamId(1)) && !FileName::is_tmp_of(&tmp, StreamId(11)), "{tmp}");
    }

    #[test]
    fn partitions_are_hive_folders() {
        let cases = [
            ("first day", "binance", 0, "trades/venue=binance/date=1970-01-01"),
            ("before 1970", "_", -1, "trades/venue=_/date=1969-12-31"),
            ("a leap day", "okx", 19_782, "trades/venue=okx/date=2024-02-29"),
            ("a name with a path in it", "../x y", 0, "trades/venue=..%2Fx%20y/date=1970-01-01"),
            ("last day of the range", "v", i64::MAX / 86_400_000_000_000, "trades/venue=v/date=2262-04-11"),
        ];
        for (name, venue, day, expected) in cases {
            assert_eq!(partition(Dataset::Trades, venue, day), expected, "{name}");
        }
    }
}
