//! Which gaps concern a symbol.

use super::files::GapRow;
use feedd_model::UnixNanos;

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingSpan {
    /// Whether it concerns a whole connection or the recorder itself, and not this symbol alone.
    pub is_shared: bool,
    /// Why, as stored.
    pub reason: String,
    /// Receive time of the last event before; `None` when unknown.
    pub from: Option<UnixNanos>,
    /// Receive time of the first event after; `None` when unknown.
    pub to: Option<UnixNanos>,
    /// First and last missing number, where the venue numbers.
    pub numbers: Option<(i64, i64)>,
    /// Events known to be missing.
    pub events: Option<u64>,
}

/// The venue of what concerns the recorder itself.
const RECORDER: &str = "_";

/// The gaps of a symbol that touch `[from, to]`, oldest first. One whose times are unknown concerns all.
pub(crate) fn within(gaps: &[(String, GapRow)], venue: &str, symbol: &str, (from, to): (i64, i64)) -> Vec<MissingSpan> {
    let is_ours = |of: &str, gap: &GapRow| match &gap.symbol {
        Some(own) => of == venue && own == symbol,
        None => of == venue || of == RECORDER,
    };
    let touches = |gap: &GapRow| gap.from.is_none_or(|at| at <= to) && gap.to.is_none_or(|at| at >= from);
    let found = gaps.iter().filter(|(of, gap)| is_ours(of, gap) && touches(gap));
    let mut found: Vec<MissingSpan> = found
        .map(|(_, gap)| MissingSpan {
            is_shared: gap.symbol.is_none(),
            reason: gap.reason.clone(),
            from: gap.from.map(UnixNanos),
            to: gap.to.map(UnixNanos),
            numbers: gap.first_missing.zip(gap.last_missing),
            events: gap.events,
        })
        .collect();
    found.sort_by_key(|gap| (gap.from, gap.to));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_gaps_those_of_the_connection_and_of_the_recorder_count() {
        let gap = |venue: &str, symbol: Option<&str>, from: i64, to: i64| {
            let gap = GapRow {
                symbol: symbol.map(str::to_owned),
                reason: "disconnected".to_owned(),
                from: Some(from),
                to: Some(to),
                first_missing: None,
                last_missing: None,
                events: None,
            };
            (venue.to_owned(), gap)
        };
        let gaps = [
            gap("v", Some("A"), 30, 40),
            gap("v", Some("B"), 30, 40),
            gap("v", None, 20, 25),
            gap("w", None, 20, 25),
            gap("_", None, 95, 120),
            gap("v", Some("A"), 101, 102),
        ];
        let found = within(&gaps, "v", "A", (10, 100));
        let found: Vec<_> = found.iter().map(|gap| (gap.from.unwrap().0, gap.is_shared)).collect();
        assert_eq!(found, [(20, true), (30, false), (95, true)]);
    }
}
