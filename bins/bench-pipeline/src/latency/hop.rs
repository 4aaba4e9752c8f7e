//! How long events took to get somewhere: from when they were due, and from when they were stamped.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

/// What is told of a distribution: the name in the JSON, and the part in percent.
const PERCENTILES: [(&str, f64); 5] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9), ("p9999", 99.99)];
/// Longer times count as this.
const NANOS_MAX: u64 = 100_000_000_000;
/// Of every time: 0.1 %.
const DIGITS: u8 = 3;

/// The times of one hop.
#[derive(Debug)]
pub(crate) struct Hop {
    due: Histogram<u32>,
    stamp: Histogram<u32>,
}

impl Hop {
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new() -> Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).context("making a histogram");
        Ok(Self { due: histogram()?, stamp: histogram()? })
    }

    /// An event arrived at `now`. All in monotonic ns.
    #[inline]
    pub(crate) fn arrived(&mut self, due: u64, stamp: u64, now: u64) {
        self.due.saturating_record(now.saturating_sub(due));
        self.stamp.saturating_record(now.saturating_sub(stamp));
    }

    /// Events that arrived.
    pub(crate) fn events(&self) -> u64 {
        self.due.len()
    }

    /// Median from the stamp on, in ns.
    pub(crate) fn stamp_p50(&self) -> f64 {
        self.stamp.value_at_percentile(50.0) as f64
    }

    /// Median from the due time on, in ns.
    pub(crate) fn due_p50(&self) -> f64 {
        self.due.value_at_percentile(50.0) as f64
    }

    /// Everything about both distributions, in ns: `due_p50`, ..., `stamp_max`.
    pub(crate) fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        for (from, histogram) in [("due", &self.due), ("stamp", &self.stamp)] {
            for (name, percentile) in PERCENTILES {
                details.insert(format!("{from}_{name}"), json!(histogram.value_at_percentile(percentile)));
            }
            details.insert(format!("{from}_max"), json!(histogram.max()));
        }
        details.insert("events".to_owned(), json!(self.events()));
        details
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_times_are_told_with_three_digits() {
        let mut hop = Hop::new().unwrap();
        for n in 1..=1000 {
            hop.arrived(1_000, 1_400, 1_400 + n * 10);
        }
        hop.arrived(0, 1, u64::MAX);
        let details = hop.details();
        let close = |name: &str, expected: f64| {
            let found = details[name].as_f64().unwrap();
            assert!((found - expected).abs() <= expected * 0.001, "{name}: {found}, not {expected}");
        };
        close("stamp_p50", 5_010.0);
        close("due_p50", 5_410.0);
        close("stamp_p99", 9_910.0);
        close("due_max", NANOS_MAX as f64);
        assert_eq!(hop.events(), 1001);
    }
}
