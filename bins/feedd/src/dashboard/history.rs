//! The last minutes as a few numbers a second, so that a page that is opened after an incident shows it.

use feedd_model::{MonoNanos, UnixNanos};
use serde::Serialize;

/// What `/history` answers: oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct History {
    points: Vec<Point>,
}

/// From the look before to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Point {
    /// Unix milliseconds.
    at_ms: i64,
    accepted_per_s: u64,
    lag_ns: u64,
}

/// What is kept of a look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) at: MonoNanos,
    pub(crate) accepted: u64,
    pub(crate) lag_ns: u64,
}

impl History {
    /// Made of looks, oldest first; `wall` and `mono` are the same moment.
    pub(crate) fn of(looks: impl Iterator<Item = Look>, wall: UnixNanos, mono: MonoNanos) -> Self {
        let mut before: Option<Look> = None;
        let mut points = Vec::new();
        for look in looks {
            if let Some(past) = before.replace(look) {
                let nanos = u128::from(look.at.since(past.at)).max(1);
                let rate = u128::from(look.accepted.saturating_sub(past.accepted)) * 1_000_000_000 / nanos;
                let age = i64::try_from(mono.since(look.at)).unwrap_or(i64::MAX);
                points.push(Point {
                    at_ms: wall.0.saturating_sub(age) / 1_000_000,
                    accepted_per_s: u64::try_from(rate).unwrap_or(u64::MAX),
                    lag_ns: look.lag_ns,
                });
            }
        }
        Self { points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_point_is_the_rate_since_the_look_before() {
        let look = |at_ms: u64, accepted, lag_ns| Look { at: MonoNanos(at_ms * 1_000_000), accepted, lag_ns };
        let looks = [look(500, 0, 7), look(1_500, 2_000, 8), look(3_500, 2_500, 9), look(4_000, 2_500, 10)];
        let (wall, mono) = (UnixNanos(1_723_075_200_000_000_000), MonoNanos(5_000_000_000));
        let history = History::of(looks.into_iter(), wall, mono);
        let point = |at_ms, accepted_per_s, lag_ns| Point { at_ms, accepted_per_s, lag_ns };
        let expected =
            [point(1_723_075_196_500, 2_000, 8), point(1_723_075_198_500, 250, 9), point(1_723_075_199_000, 0, 10)];
        assert_eq!(history.points, expected);
        assert_eq!(History::of(looks[..1].iter().copied(), wall, mono), History::default(), "a rate takes two");
    }
}
