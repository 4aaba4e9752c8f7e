//! How whole the stored bars are: what is known of each symbol and interval, and where something is missing.
//!
//! Reads the datasets `bars` and `gaps` of a folder of the Parquet sink. Of a bar that was revised the latest revision
//! counts. Memory grows with the bars of two days, not with the recording.

mod files;
mod gaps;

use crate::context::Selection;
use feedd_model::{BarFlags, Interval, UnixNanos};
use files::{BarRow, GapRow};
pub use gaps::MissingSpan;
use std::collections::BTreeMap;
use std::path::Path;

/// Bars of which a revision may still come: those that were closed within so many ns before the end of a day's folder.
const OPEN_NANOS: i64 = 86_400_000_000_000;
/// All of a bar's span.
const WHOLE_BP: u64 = 10_000;

/// The bars of a symbol and interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quality {
    /// Venue and market.
    pub venue: String,
    /// As the venue spells it.
    pub symbol: String,
    /// As configured.
    pub interval: Interval,
    /// Start of the first bar.
    pub from: UnixNanos,
    /// End of the last.
    pub to: UnixNanos,
    /// Bars, each once.
    pub bars: u64,
    /// Of these: nothing is missing and nothing made up.
    pub complete: u64,
    /// The recorder started within it, or a gap lies in it.
    pub partial: u64,
    /// Made without a trade.
    pub synthetic: u64,
    /// Corrected by a trade that came late.
    pub revised: u64,
    /// The run ended within it.
    pub truncated: u64,
    /// Spans of time between the first and the last bar that have none; 0 for bars of trades and volume.
    pub empty: u64,
    /// Share of the bars' spans without known gaps, in hundredths of a percent, rounded down.
    pub quality_bp: u64,
    /// Where something is missing within `from` and `to`, oldest first.
    pub missing: Vec<MissingSpan>,
}

/// What was read, and what could not be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QualityReport {
    /// Each venue, symbol and interval, in this order.
    pub rows: Vec<Quality>,
    /// Files that are damaged or not feedd's, each with what it is; the others were read.
    pub bad_files: Vec<String>,
}

/// Reads a folder.
///
/// # Errors
/// A text with the remedy: when the folder cannot be read, or holds no bars.
pub fn quality(dir: &Path, selection: &Selection) -> Result<QualityReport, String> {
    let mut report = QualityReport::default();
    let mut sums: BTreeMap<Key, Sums> = BTreeMap::new();
    let mut days = files::days(dir, "bars")?;
    if days.is_empty() {
        return Err(format!(
            "{}: no bars; give the folder that the Parquet sink writes to (parquet.dir) of a run with analysis.bars",
            dir.display()
        ));
    }
    // One venue after the other, its days in order.
    days.sort();
    let mut open: BTreeMap<(Key, i64), BarRow> = BTreeMap::new();
    let mut venue = String::new();
    for day in days {
        if day.venue != venue {
            close(&mut open, i64::MAX, &mut sums);
            venue.clone_from(&day.venue);
        }
        files::bars(&day, &mut report.bad_files, |symbol, interval, row| {
            if selection.has_time(Some(UnixNanos(row.start))) && selection.has_symbol(symbol) {
                let key = Key { venue: venue.clone(), symbol: symbol.to_owned(), interval: order(interval) };
                let at = open.entry((key, row.start)).or_insert(row);
                if (row.revision, row.number) >= (at.revision, at.number) {
                    *at = row;
                }
            }
        });
        close(&mut open, day.end_ns().saturating_sub(OPEN_NANOS), &mut sums);
    }
    close(&mut open, i64::MAX, &mut sums);
    let mut gaps: Vec<(String, GapRow)> = Vec::new();
    for day in files::days(dir, "gaps")? {
        files::gaps(&day, &mut report.bad_files, |gap| gaps.push((day.venue.clone(), gap)));
    }
    report.rows = sums.into_iter().map(|(key, sums)| sums.quality(key, &gaps)).collect();
    Ok(report)
}

/// Intervals in an order: by kind, then by length.
type Ordered = (u8, u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    venue: String,
    symbol: String,
    interval: Ordered,
}

fn order(interval: Interval) -> Ordered {
    match interval {
        Interval::Seconds(seconds) => (0, u64::from(seconds)),
        Interval::Trades(trades) => (1, u64::from(trades)),
        Interval::Volume(amount) => (2, amount),
    }
}

fn interval(ordered: Ordered) -> Interval {
    let small = u32::try_from(ordered.1).unwrap_or(u32::MAX);
    match ordered.0 {
        0 => Interval::Seconds(small),
        1 => Interval::Trades(small),
        _ => Interval::Volume(ordered.1),
    }
}

/// Adds the bars that were closed before `until` to their sums: no revision of them comes any more.
fn close(open: &mut BTreeMap<(Key, i64), BarRow>, until: i64, sums: &mut BTreeMap<Key, Sums>) {
    open.retain(|(key, _), row| {
        let stays = row.closed >= until;
        if !stays {
            sums.entry(key.clone()).or_default().add(row);
        }
        stays
    });
}

/// Of the bars of a key.
#[derive(Clone, Debug, Default)]
struct Sums {
    from: Option<i64>,
    to: i64,
    bars: u64,
    complete: u64,
    partial: u64,
    synthetic: u64,
    revised: u64,
    truncated: u64,
    empty: u64,
    span_ns: u128,
    known_ns: u128,
}

impl Sums {
    /// Adds the latest revision of a bar. Bars of a key come in the order of their starts.
    fn add(&mut self, row: &BarRow) {
        let span = u128::from(row.end.abs_diff(row.start));
        if self.from.is_some() && row.start > self.to && row.is_time {
            // Whole spans: bars of a day or a week may be of different length (sessions), those of one key are mostly not.
            self.empty += u64::try_from(u128::from(row.start.abs_diff(self.to)) / span.max(1)).unwrap_or(u64::MAX);
        }
        let has = |flag: BarFlags| u64::from(row.flags.contains(flag));
        self.from = Some(self.from.unwrap_or(row.start).min(row.start));
        self.to = self.to.max(row.end);
        self.bars += 1;
        self.partial += has(BarFlags::PARTIAL);
        self.synthetic += has(BarFlags::SYNTHETIC);
        self.revised += has(BarFlags::REVISED);
        self.truncated += has(BarFlags::TRUNCATED);
        let doubtful = [BarFlags::PARTIAL, BarFlags::SYNTHETIC, BarFlags::TRUNCATED];
        self.complete += u64::from(!doubtful.iter().any(|flag| row.flags.contains(*flag)));
        self.span_ns += span;
        self.known_ns += span * u128::from(row.quality_bp.min(WHOLE_BP));
    }

    fn quality(self, key: Key, gaps: &[(String, GapRow)]) -> Quality {
        let (from, to) = (self.from.unwrap_or(0), self.to);
        // Bars without any span (one trade) are as whole as bars can be.
        let quality = self.known_ns.checked_div(self.span_ns).unwrap_or(u128::from(WHOLE_BP));
        Quality {
            missing: gaps::within(gaps, &key.venue, &key.symbol, (from, to)),
            venue: key.venue,
            symbol: key.symbol,
            interval: interval(key.interval),
            from: UnixNanos(from),
            to: UnixNanos(to),
            bars: self.bars,
            complete: self.complete,
            partial: self.partial,
            synthetic: self.synthetic,
            revised: self.revised,
            truncated: self.truncated,
            empty: self.empty,
            quality_bp: u64::try_from(quality).unwrap_or(WHOLE_BP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(start: i64, quality_bp: u64, flags: BarFlags) -> BarRow {
        BarRow { start, end: start + 10, closed: start + 12, revision: 0, number: 1, quality_bp, flags, is_time: true }
    }

    fn key() -> Key {
        Key { venue: "v".to_owned(), symbol: "S".to_owned(), interval: order(Interval::Seconds(1)) }
    }

    #[test]
    fn bars_add_up() {
        let mut sums = Sums::default();
        sums.add(&row(100, 10_000, BarFlags::COMPLETE));
        sums.add(&row(110, 2_500, BarFlags::PARTIAL));
        sums.add(&row(140, 10_000, BarFlags::REVISED));
        let found = sums.quality(key(), &[]);
        assert_eq!((found.from, found.to), (UnixNanos(100), UnixNanos(150)));
        let counts = [found.bars, found.complete, found.partial, found.synthetic, found.revised, found.truncated];
        assert_eq!((counts, found.empty, found.quality_bp), ([3, 2, 1, 0, 1, 0], 2, 7_500));
    }

    #[test]
    fn the_latest_revision_counts_until_none_can_come() {
        let (mut open, mut sums) = (BTreeMap::new(), BTreeMap::new());
        open.insert((key(), 100), row(100, 10_000, BarFlags::COMPLETE));
        open.insert((key(), 110), row(110, 10_000, BarFlags::COMPLETE));
        close(&mut open, 122, &mut sums);
        assert_eq!(open.keys().map(|(_, start)| *start).collect::<Vec<_>>(), [110]);
        close(&mut open, i64::MAX, &mut sums);
        assert_eq!((open.len(), sums[&key()].bars), (0, 2));
    }

    #[test]
    fn intervals_have_an_order() {
        for one in ["1s", "1m", "1w", "100t", "2.5v"] {
            let one: Interval = one.parse().unwrap();
            assert_eq!(interval(order(one)), one);
        }
    }
}
