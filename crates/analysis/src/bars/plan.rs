//! Which bars are made of trades, and which of smaller bars.

use super::calendar::Calendar;
use super::config::{BarsConfig, BarsError, Empty, TimeBy};
use super::grid::Grid;
use feedd_model::{Interval, duration_nanos};
use std::fmt::Write;

const DAY: u32 = 86_400;
const WEEK: u32 = 604_800;

/// An interval of time.
#[derive(Clone, Debug)]
pub(super) struct TimeNode {
    pub(super) interval: Interval,
    pub(super) grid: Grid,
    /// Made of trades; else of the bars of another interval.
    pub(super) is_root: bool,
    /// Intervals that are made of its bars.
    pub(super) above: Vec<usize>,
}

/// An interval of trades or volume.
#[derive(Clone, Debug)]
pub(super) struct CountNode {
    pub(super) interval: Interval,
    pub(super) is_root: bool,
    pub(super) above: Vec<usize>,
}

/// What does not change while bars are made. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The shortest first: what another is made of comes before it.
    pub(super) times: Vec<TimeNode>,
    pub(super) time_roots: Vec<usize>,
    pub(super) counts: Vec<CountNode>,
    pub(super) by: TimeBy,
    pub(super) venue_tolerance: i64,
    pub(super) grace: i64,
    pub(super) revise: i64,
    pub(super) kept_max: usize,
    pub(super) is_synthetic: bool,
    pub(super) synthetic_max: u64,
    pub(super) holes_max: usize,
    pub(super) calendar: Option<Calendar>,
    pub(super) block_ends: bool,
    /// What a saved state must agree in.
    pub(super) shape: String,
}

impl Plan {
    pub(super) fn new(config: BarsConfig) -> Result<Self, BarsError> {
        check(&config)?;
        let calendar = config.calendar;
        let mut times = Vec::new();
        let mut counts = Vec::new();
        for &interval in &config.intervals {
            match interval {
                Interval::Seconds(seconds) => {
                    let grid = grid_of(seconds, calendar.is_some()).ok_or(BarsError::NoTradingDays(interval))?;
                    times.push(TimeNode { interval, grid, is_root: true, above: Vec::new() });
                }
                Interval::Trades(_) | Interval::Volume(_) => {
                    counts.push(CountNode { interval, is_root: true, above: Vec::new() });
                }
            }
        }
        times.sort_by_key(|node| node.grid.rank());
        counts.sort_by_key(|node| node.interval);
        link_times(&mut times, calendar.as_ref());
        link_counts(&mut counts);
        let mut shape = format!("by {:?}", config.by);
        for interval in times.iter().map(|node| node.interval).chain(counts.iter().map(|node| node.interval)) {
            write!(shape, ", {interval}").expect("a string takes all");
        }
        if let Some(calendar) = &calendar {
            write!(shape, ", calendar {}", calendar.text).expect("a string takes all");
        }
        Ok(Self {
            time_roots: (0..times.len()).filter(|&at| times[at].is_root).collect(),
            times,
            counts,
            by: config.by,
            venue_tolerance: nanos(config.venue_tolerance),
            grace: nanos(config.grace),
            revise: nanos(config.revise),
            kept_max: config.kept_max,
            is_synthetic: config.empty == Empty::Synthetic,
            synthetic_max: config.synthetic_max,
            holes_max: config.holes_max,
            calendar,
            block_ends: config.block_ends,
            shape,
        })
    }

    pub(super) const fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }
}

fn nanos(duration: std::time::Duration) -> i64 {
    i64::try_from(duration_nanos(duration)).unwrap_or(i64::MAX)
}

fn check(config: &BarsConfig) -> Result<(), BarsError> {
    if config.intervals.is_empty() {
        return Err(BarsError::NoInterval);
    }
    for (at, interval) in config.intervals.iter().enumerate() {
        if matches!(interval, Interval::Seconds(0) | Interval::Trades(0) | Interval::Volume(0)) {
            return Err(BarsError::Zero);
        }
        if config.intervals[..at].contains(interval) {
            return Err(BarsError::Twice(*interval));
        }
    }
    let bounds = [
        ("kept_max", config.kept_max == 0),
        ("synthetic_max", config.synthetic_max == 0),
        ("holes_max", config.holes_max == 0),
    ];
    match bounds.iter().find(|(_, is_zero)| *is_zero) {
        Some((name, _)) => Err(BarsError::Bound(name)),
        None => Ok(()),
    }
}

fn grid_of(seconds: u32, has_calendar: bool) -> Option<Grid> {
    match seconds {
        DAY if has_calendar => Some(Grid::Days),
        WEEK if has_calendar => Some(Grid::Weeks),
        _ if has_calendar && seconds >= DAY => None,
        _ => Some(Grid::even(seconds)),
    }
}

/// Makes each interval of the longest other one that it can be added up from.
fn link_times(times: &mut [TimeNode], calendar: Option<&Calendar>) {
    for at in 0..times.len() {
        let grid = times[at].grid;
        if let Some(part) = (0..at).rev().find(|&part| grid.is_made_of(times[part].grid, calendar)) {
            times[part].above.push(at);
            times[at].is_root = false;
        }
    }
}

/// The same of numbers of trades. An amount cannot be added up: the trade that reaches it may exceed it.
fn link_counts(counts: &mut [CountNode]) {
    let trades = |node: &CountNode| if let Interval::Trades(trades) = node.interval { Some(trades) } else { None };
    for at in 0..counts.len() {
        let Some(wanted) = trades(&counts[at]) else { continue };
        let divides = |part: &usize| trades(&counts[*part]).is_some_and(|part| wanted % part == 0);
        if let Some(part) = (0..at).rev().find(divides) {
            counts[part].above.push(at);
            counts[at].is_root = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(intervals: &[&str]) -> Plan {
        let intervals = intervals.iter().map(|text| text.parse().unwrap()).collect();
        Plan::new(BarsConfig { intervals, ..BarsConfig::default() }).unwrap()
    }

    /// Each interval, and those made of it.
    fn links(plan: &Plan) -> Vec<(String, bool, Vec<String>)> {
        let times = plan.times.iter().map(|node| {
            let above = node.above.iter().map(|&above| plan.times[above].interval.to_string()).collect();
            (node.interval.to_string(), node.is_root, above)
        });
        let counts = plan.counts.iter().map(|node| {
            let above = node.above.iter().map(|&above| plan.counts[above].interval.to_string()).collect();
            (node.interval.to_string(), node.is_root, above)
        });
        times.chain(counts).collect()
    }

    fn link(interval: &str, is_root: bool, above: &[&str]) -> (String, bool, Vec<String>) {
        (interval.to_owned(), is_root, above.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn each_interval_is_made_of_the_longest_that_fits() {
        let expected = [
            link("1s", true, &["5s", "7s"]),
            link("5s", false, &["1m"]),
            link("7s", false, &[]),
            link("1m", false, &["1h"]),
            link("1h", false, &[]),
        ];
        assert_eq!(links(&plan(&["1h", "1m", "7s", "5s", "1s"])), expected);
        assert_eq!(links(&plan(&["7s", "1m"])), [link("7s", true, &[]), link("1m", true, &[])]);
        assert_eq!(
            links(&plan(&["7h", "1w"])),
            [link("7h", true, &[]), link("1w", true, &[])],
            "weeks begin on Mondays"
        );
        assert_eq!(links(&plan(&["1d", "1w"])), [link("1d", true, &["1w"]), link("1w", false, &[])]);
        let expected = [
            link("10t", true, &["100t"]),
            link("15t", true, &[]),
            link("100t", false, &[]),
            link("1v", true, &[]),
            link("2v", true, &[]),
        ];
        assert_eq!(links(&plan(&["100t", "10t", "15t", "1v", "2v"])), expected);
    }

    #[test]
    fn what_cannot_be_made_is_told_with_the_remedy() {
        let calendar = Calendar::parse("offset = \"UTC\"\n[sessions]\nmonday = [\"09:00-17:00\"]").unwrap();
        let cases = [
            (vec![], None, "name at least one"),
            (vec![Interval::Seconds(60), Interval::Seconds(60)], None, "interval 1m is named twice"),
            (vec![Interval::Trades(0)], None, "must be above 0"),
            (vec![Interval::Seconds(2 * DAY)], Some(calendar), "2d is no trading day or week; use 1d or 1w"),
        ];
        for (intervals, calendar, expected) in cases {
            let told = Plan::new(BarsConfig { intervals, calendar, ..BarsConfig::default() }).unwrap_err().to_string();
            assert!(told.contains(expected), "{told}");
        }
        let config = BarsConfig { intervals: vec![Interval::Trades(1)], kept_max: 0, ..BarsConfig::default() };
        assert_eq!(Plan::new(config).unwrap_err(), BarsError::Bound("kept_max"));
    }
}
