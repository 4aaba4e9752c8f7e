//! Sessions: when an instrument is traded. Made from text by `calendar_file.rs`.

use super::grid::{SECOND, Span};
use std::collections::BTreeMap;

const DAY_SECONDS: i64 = 86_400;
/// How far ahead the next session is looked for.
const SEARCH_DAYS: i32 = 400;

/// A session within its day: seconds after local midnight. One that goes on overnight ends above 86,400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hours {
    pub(super) open: u32,
    pub(super) close: u32,
}

/// When trading takes place. Without one, always.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Seconds east of UTC, from a local date on (days since 1970); the first has the lowest date there is.
    pub(super) offsets: Vec<(i32, i32)>,
    /// Sessions by weekday, Monday first, in order and apart from each other.
    pub(super) week: [Vec<Hours>; 7],
    /// Dates that differ from their weekday; no session on a holiday.
    pub(super) dates: BTreeMap<i32, Vec<Hours>>,
    /// Whether trades outside the sessions stay in bars of less than a day, tagged.
    pub(super) keeps_outside: bool,
    /// The text it was made from.
    pub(super) text: String,
}

impl Calendar {
    /// The session that holds a moment.
    pub(super) fn session_at(&self, at: i64) -> Option<Span> {
        self.next_session(at).filter(|session| session.contains(at))
    }

    /// The first session that ends after a moment; `None` when there is none within 400 days.
    pub(super) fn next_session(&self, after: i64) -> Option<Span> {
        Some(self.find(after)?.1)
    }

    /// From the first opening to the last close of the trading day whose session holds a moment.
    pub(super) fn day_at(&self, at: i64) -> Option<Span> {
        let (day, session) = self.find(at)?;
        if session.contains(at) { self.whole(day, day) } else { None }
    }

    /// The same of the week, Monday to Sunday.
    pub(super) fn week_at(&self, at: i64) -> Option<Span> {
        let (day, session) = self.find(at)?;
        let monday = day - i32::try_from(weekday(day)).ok()?;
        if session.contains(at) { self.whole(monday, monday + 6) } else { None }
    }

    fn whole(&self, first_day: i32, last_day: i32) -> Option<Span> {
        let first = (first_day..=last_day).find_map(|day| self.sessions_of(day).next())?;
        let last = (first_day..=last_day).rev().find_map(|day| self.sessions_of(day).last())?;
        Some(Span { start: first.start, end: last.end })
    }

    /// The first session that ends after a moment, and its day.
    fn find(&self, after: i64) -> Option<(i32, Span)> {
        let utc_day = i32::try_from(after.div_euclid(DAY_SECONDS * SECOND)).ok()?;
        // Local dates are up to a day off, and the session of the evening before may go on.
        (utc_day - 3..utc_day + SEARCH_DAYS)
            .find_map(|day| self.sessions_of(day).find(|session| session.end > after).map(|session| (day, session)))
    }

    /// The sessions of a local date.
    fn sessions_of(&self, day: i32) -> impl Iterator<Item = Span> {
        let hours = self.dates.get(&day).unwrap_or(&self.week[weekday(day)]);
        let place = self.offsets.partition_point(|(from, _)| *from <= day).saturating_sub(1);
        let midnight = i64::from(day) * DAY_SECONDS - i64::from(self.offsets[place].1);
        let nanos = move |seconds: u32| midnight.checked_add(i64::from(seconds))?.checked_mul(SECOND);
        hours.iter().filter_map(move |hours| Some(Span { start: nanos(hours.open)?, end: nanos(hours.close)? }))
    }

    /// Whether every session opens and closes where an even span of this length does.
    pub(super) fn is_aligned_to(&self, length: i64) -> bool {
        let (seconds, rest) = (length / SECOND, length % SECOND);
        let hours = || self.week.iter().chain(self.dates.values()).flatten();
        let edges = hours().flat_map(|hours| [i64::from(hours.open), i64::from(hours.close)]);
        rest == 0
            && DAY_SECONDS % seconds == 0
            && edges
                .into_iter()
                .all(|edge| self.offsets.iter().all(|(_, offset)| (edge - i64::from(*offset)) % seconds == 0))
    }
}

/// 0 for Monday.
pub(super) fn weekday(day: i32) -> usize {
    // 1970-01-01 was a Thursday.
    usize::try_from((i64::from(day) + 3).rem_euclid(7)).unwrap_or(0)
}
