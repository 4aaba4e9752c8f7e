//! What the processor is told: intervals, time, grace, holes, calendar.

use super::calendar::Calendar;
use feedd_model::Interval;
use std::time::Duration;

/// Which clock says to which interval of time a trade belongs. What closes bars is always the receive time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeBy {
    /// The trade's receive time. What the venue says to be older (sent again after a subscription, or fetched to fill a
    /// hole) goes by the venue's time.
    #[default]
    Receive,
    /// The trade's venue time while it is no further than the tolerance from the receive time, else the receive time. Bars
    /// are then comparable with those of the venue.
    Venue,
}

/// What an interval of time without trades gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Empty {
    /// No bar.
    #[default]
    None,
    /// One bar that repeats the last close, with volume 0.
    Synthetic,
}

/// How bars are made. The defaults fit a live run.
#[derive(Clone, Debug, PartialEq)]
pub struct BarsConfig {
    /// What bars span, each once; at least one.
    pub intervals: Vec<Interval>,
    /// The time that counts.
    pub by: TimeBy,
    /// How far a venue time may be from the receive time to count. Default 10 s.
    pub venue_tolerance: Duration,
    /// How long after its end a bar stays open, on the clock of receive times. Default 1 s.
    pub grace: Duration,
    /// How long after that a late trade revises a bar. Default 10 min.
    pub revise: Duration,
    /// Most bars of one symbol and interval that are kept for that. Default 3,600.
    pub kept_max: usize,
    /// What an interval without trades gives.
    pub empty: Empty,
    /// Most empty bars of one symbol and interval for one silence that the clock has jumped over: the last ones are made, the
    /// others counted. Default 1,000.
    pub synthetic_max: u64,
    /// Most holes of one symbol that are kept. Default 1,024.
    pub holes_max: usize,
    /// Sessions; `None`: trading never stops.
    pub calendar: Option<Calendar>,
    /// Whether the end of each block is told, for those who look at single events.
    pub block_ends: bool,
}

impl Default for BarsConfig {
    fn default() -> Self {
        Self {
            intervals: Vec::new(),
            by: TimeBy::Receive,
            venue_tolerance: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            revise: Duration::from_secs(600),
            kept_max: 3_600,
            empty: Empty::None,
            synthetic_max: 1_000,
            holes_max: 1_024,
            calendar: None,
            block_ends: false,
        }
    }
}

/// Why bars cannot be made so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarsError {
    /// Nothing to make.
    #[error("no interval is named; name at least one, such as \"1m\"")]
    NoInterval,
    /// The same twice.
    #[error("interval {0} is named twice; name it once")]
    Twice(Interval),
    /// Spans nothing.
    #[error("an interval spans nothing; its number must be above 0")]
    Zero,
    /// Trading days have no multiples.
    #[error("with a calendar, {0} is no trading day or week; use 1d or 1w, or an interval below a day")]
    NoTradingDays(Interval),
    /// A bound of 0.
    #[error("{0} must be above 0")]
    Bound(&'static str),
}
