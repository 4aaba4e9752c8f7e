//! The text format: one line a sample, labels escaped, times and shares as exact decimals of whole numbers.

use super::table::Metric;
use feedd_core::histogram::HistogramSnapshot;
use feedd_model::UnixNanos;
use std::fmt::Write;

/// What a metric is, as Prometheus tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rises for the life of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution: how many values are at most so large, for some bounds.
    Histogram,
}

impl Kind {
    /// The word of the `# TYPE` line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Upper bounds of the buckets of a histogram: nanoseconds, and the same in seconds.
const BOUNDS: [(u64, &str); 11] = [
    (10_000, "0.00001"),
    (100_000, "0.0001"),
    (1_000_000, "0.001"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1"),
    (5_000_000_000, "5"),
    (30_000_000_000, "30"),
];

/// Collects the samples of a page.
#[derive(Debug, Default)]
pub struct Samples {
    page: String,
    name: &'static str,
}

impl Samples {
    /// The samples that follow belong to `metric`.
    pub(super) fn begin(&mut self, metric: &Metric) {
        self.name = metric.name;
        // Writing to a String cannot fail.
        let _ = write!(
            self.page,
            "# HELP {} {}\n# TYPE {} {}\n",
            metric.name,
            metric.help,
            metric.name,
            metric.kind.word()
        );
    }

    /// A whole number.
    pub fn add(&mut self, labels: &[(&str, &str)], value: u64) {
        self.labels("", labels);
        let _ = writeln!(self.page, " {value}");
    }

    /// Nanoseconds, shown as seconds.
    pub fn add_seconds(&mut self, labels: &[(&str, &str)], nanos: u64) {
        self.seconds("", labels, nanos);
    }

    /// A moment, shown as Unix seconds; before 1970 as 0.
    pub fn add_time(&mut self, labels: &[(&str, &str)], at: UnixNanos) {
        self.add_seconds(labels, at.0.max(0).unsigned_abs());
    }

    /// A part of a whole, shown as a number from 0 to 1; 0 when there is no whole.
    pub fn add_ratio(&mut self, labels: &[(&str, &str)], part: u64, whole: u64) {
        let millionths = u128::from(part.min(whole)) * 1_000_000 / u128::from(whole.max(1));
        self.labels("", labels);
        let _ = writeln!(self.page, " {}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    }

    /// A distribution of nanoseconds, shown as seconds.
    pub fn add_histogram(&mut self, labels: &[(&str, &str)], times: &HistogramSnapshot) {
        let mut bucket = |bound: &str, count: u64| {
            self.labels("_bucket", &[labels, &[("le", bound)]].concat());
            let _ = writeln!(self.page, " {count}");
        };
        BOUNDS.iter().for_each(|&(nanos, bound)| bucket(bound, times.count_up_to(nanos)));
        bucket("+Inf", times.count());
        self.seconds("_sum", labels, times.sum());
        self.labels("_count", labels);
        let _ = writeln!(self.page, " {}", times.count());
    }

    fn seconds(&mut self, suffix: &str, labels: &[(&str, &str)], nanos: u64) {
        self.labels(suffix, labels);
        let _ = writeln!(self.page, " {}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    }

    /// The page.
    #[must_use]
    pub fn page(self) -> String {
        self.page
    }

    fn labels(&mut self, suffix: &str, labels: &[(&str, &str)]) {
        self.page.push_str(self.name);
        self.page.push_str(suffix);
        if labels.is_empty() {
            return;
        }
        for (i, (name, value)) in labels.iter().enumerate() {
            self.page.push(if i == 0 { '{' } else { ',' });
            self.page.push_str(name);
            self.page.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.page.push_str("\\\\"),
                    '"' => self.page.push_str("\\\""),
                    '\n' => self.page.push_str("\\n"),
                    c => self.page.push(c),
                }
            }
            self.page.push('"');
        }
        self.page.push('}');
    }
}
