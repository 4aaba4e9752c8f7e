//! The log of what an oracle sent: appended while it sends, read by the judge.
//!
//! One JSON object a line: first the run (`seed`, `symbols`), then ranges of numbers with the wall clock at the first and at
//! the last of them, and what happened to the reader in between. What was sent within the last 10 s before a reader went
//! away, or before the end, stands there exactly: all of a range was sent at one moment.

use super::Oracle;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Numbers sent in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// First number.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// Wall clock in nanoseconds when the first was sent: its receive time.
    pub first_ns: i64,
    /// Wall clock in nanoseconds when the last was sent.
    pub last_ns: i64,
}

/// Why a log cannot be used. A test shows it and fails.
#[derive(Debug)]
pub struct SentLogError {
    path: PathBuf,
    line: usize,
    what: String,
}

impl std::fmt::Display for SentLogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

impl std::error::Error for SentLogError {}

/// Everything that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentLog {
    /// Who sent it.
    pub oracle: Oracle,
    /// In the order of numbers, without overlaps.
    ranges: Vec<Sent>,
}

impl SentLog {
    /// From ranges in the order of numbers.
    ///
    /// # Panics
    /// When they are not in that order.
    #[must_use]
    pub fn new(oracle: Oracle, ranges: Vec<Sent>) -> Self {
        assert!(ranges.iter().all(|r| r.first <= r.last), "a range ends before it begins");
        assert!(ranges.is_sorted_by(|a, b| a.last < b.first), "ranges rise and do not overlap");
        Self { oracle, ranges }
    }

    /// Reads a log; a last line that was never finished is left out (its writer was killed).
    ///
    /// # Errors
    /// When the file cannot be read, or a line of it is none of such a log.
    pub fn read(path: &Path) -> Result<Self, SentLogError> {
        let error = |line, what: String| SentLogError { path: path.to_owned(), line, what };
        let text = std::fs::read_to_string(path).map_err(|e| error(0, e.to_string()))?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut oracle = None;
        let mut ranges: Vec<Sent> = Vec::new();
        for (line, number) in whole.lines().zip(1..) {
            let value: Value = serde_json::from_str(line).map_err(|e| error(number, e.to_string()))?;
            if let Some(found) = run_of(&value) {
                let same = oracle.as_ref().is_none_or(|before| *before == found);
                if !same {
                    return Err(error(number, "another run in the same log".to_owned()));
                }
                oracle = Some(found);
            } else if value.get("first").is_some() {
                let range = range_of(&value).ok_or_else(|| error(number, "a range without its fields".to_owned()))?;
                let rises = range.first <= range.last && ranges.last().is_none_or(|before| before.last < range.first);
                if !rises {
                    return Err(error(number, "a number was sent twice".to_owned()));
                }
                ranges.push(range);
            } else if value.get("note").is_none() {
                return Err(error(number, "neither a run, a range nor a note".to_owned()));
            }
        }
        let oracle = oracle.ok_or_else(|| error(1, "no run: seed and symbols are missing".to_owned()))?;
        Ok(Self { oracle, ranges })
    }

    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> &[Sent] {
        &self.ranges
    }

    /// How many were sent.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|r| r.last - r.first + 1).sum()
    }

    /// The range that holds `n`; `None` when it was not sent.
    #[must_use]
    pub fn range_of(&self, n: u64) -> Option<&Sent> {
        let index = self.ranges.partition_point(|range| range.last < n);
        self.ranges.get(index).filter(|range| range.first <= n)
    }
}

/// The line that begins a log.
pub(super) fn run_line(oracle: &Oracle) -> String {
    format!("{}\n", serde_json::json!({ "seed": oracle.seed(), "symbols": oracle.symbols() }))
}

pub(super) fn range_line(range: &Sent) -> String {
    let Sent { first, last, first_ns, last_ns } = range;
    format!("{{\"first\":{first},\"last\":{last},\"first_ns\":{first_ns},\"last_ns\":{last_ns}}}\n")
}

pub(super) fn note_line(note: &str, at_ns: i64, next: u64) -> String {
    format!("{}\n", serde_json::json!({ "note": note, "at_ns": at_ns, "next": next }))
}

fn run_of(value: &Value) -> Option<Oracle> {
    let seed = value.get("seed")?.as_u64()?;
    let symbols: Option<Vec<&str>> = value.get("symbols")?.as_array()?.iter().map(Value::as_str).collect();
    Some(Oracle::new(seed, &symbols?))
}

fn range_of(value: &Value) -> Option<Sent> {
    Some(Sent {
        first: value.get("first")?.as_u64()?,
        last: value.get("last")?.as_u64()?,
        first_ns: value.get("first_ns")?.as_i64()?,
        last_ns: value.get("last_ns")?.as_i64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SentLog, SentLogError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        SentLog::read(file.path())
    }

    #[test]
    fn a_log_is_read_back_without_the_line_that_was_not_finished() {
        let oracle = Oracle::new(u64::MAX, &["A", "B"]);
        let ranges = [
            Sent { first: 1, last: 10, first_ns: 5, last_ns: 9 },
            Sent { first: 12, last: 12, first_ns: 20, last_ns: 20 },
        ];
        let mut text = run_line(&oracle);
        text += &range_line(&ranges[0]);
        text += &note_line("reader gone", 15, 11);
        text += &range_line(&ranges[1]);
        text += "{\"first\":13,\"la";
        let log = read(&text).unwrap();
        assert_eq!(log, SentLog::new(oracle, ranges.to_vec()));
        assert_eq!(log.count(), 11);
        let cases = [(0, None), (1, Some(1)), (10, Some(1)), (11, None), (12, Some(12)), (13, None)];
        for (n, first) in cases {
            assert_eq!(log.range_of(n).map(|range| range.first), first, "{n}");
        }
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_line() {
        let run = run_line(&Oracle::new(1, &["A"]));
        let range = range_line(&Sent { first: 1, last: 2, first_ns: 0, last_ns: 0 });
        let cases = [
            ("no run", range.clone(), ":1: no run"),
            ("sent twice", format!("{run}{range}{range}"), ":3: a number was sent twice"),
            ("two runs", format!("{run}{}", run_line(&Oracle::new(2, &["A"]))), ":2: another run"),
            ("no JSON", format!("{run}x\n"), ":2: expected"),
            ("unknown", format!("{run}{{}}\n"), ":2: neither"),
        ];
        for (name, text, words) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(words), "{name}: {error}");
        }
    }
}
