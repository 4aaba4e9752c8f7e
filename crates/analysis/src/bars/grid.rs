//! Where bars of one interval of time begin and end.

use super::calendar::Calendar;

/// Nanoseconds of a second.
pub(super) const SECOND: i64 = 1_000_000_000;
/// Monday 1970-01-05: weeks begin on Mondays.
const FIRST_MONDAY: i64 = 4 * 86_400 * SECOND;
const WEEK_SECONDS: u32 = 604_800;

/// Half-open: from `start`, ending before `end`. Nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i64,
    pub(super) end: i64,
}

impl Span {
    pub(super) const fn contains(self, at: i64) -> bool {
        self.start <= at && at < self.end
    }
}

/// The spans of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    /// Equal lengths from `origin` on, both ways.
    Even {
        /// Of each.
        length: i64,
        /// Where one begins.
        origin: i64,
    },
    /// The trading days of the calendar: from a day's first opening to its last close.
    Days,
    /// Its weeks: from the first opening of Monday to Sunday to the last close.
    Weeks,
}

impl Grid {
    /// Equal lengths of `seconds`, aligned to 1970-01-01 UTC, weeks to Monday.
    pub(super) fn even(seconds: u32) -> Self {
        let origin = if seconds.is_multiple_of(WEEK_SECONDS) { FIRST_MONDAY } else { 0 };
        Self::Even { length: i64::from(seconds) * SECOND, origin }
    }

    /// The span that holds a moment; `None` outside the sessions of days and weeks, and beyond the range of times.
    pub(super) fn span(self, at: i64, calendar: Option<&Calendar>) -> Option<Span> {
        match self {
            Self::Even { length, origin } => {
                let from_origin = at.checked_sub(origin)?;
                let start = at.checked_sub(from_origin.rem_euclid(length))?;
                Some(Span { start, end: start.checked_add(length)? })
            }
            Self::Days => calendar?.day_at(at),
            Self::Weeks => calendar?.week_at(at),
        }
    }

    /// The first span that ends after a moment and in which trading is possible.
    pub(super) fn next(self, after: i64, calendar: Option<&Calendar>) -> Option<Span> {
        let Some(calendar) = calendar else { return self.span(after, None) };
        let session = calendar.next_session(after)?;
        let here = self.span(after.max(session.start), Some(calendar))?;
        // The part of an even span that lies before the opening counts, too.
        match self.span(after, Some(calendar)) {
            Some(span) if session.start < span.end => Some(span),
            _ => Some(here),
        }
    }

    /// Spans in which trading is possible, from the one that [`Grid::next`] gives for `after` to the last one that ends by
    /// `until`.
    pub(super) fn count(self, after: i64, until: i64, calendar: Option<&Calendar>) -> u64 {
        let mut count = 0u64;
        let mut after = after;
        while let Some(span) = self.next(after, calendar)
            && span.end <= until
        {
            let stretch = self.stretch(span, until, calendar);
            count = count.saturating_add(stretch);
            after = self.after(span, stretch);
        }
        count
    }

    /// The moment after which all but the last `kept` spans of such a count follow, and how many were left out.
    pub(super) fn skip(self, after: i64, until: i64, kept: u64, calendar: Option<&Calendar>) -> (i64, u64) {
        let skipped = self.count(after, until, calendar).saturating_sub(kept);
        let (mut left, mut after) = (skipped, after);
        while left > 0
            && let Some(span) = self.next(after, calendar)
        {
            let stretch = self.stretch(span, until, calendar).min(left);
            left -= stretch;
            after = self.after(span, stretch);
        }
        (after, skipped)
    }

    /// How many spans follow each other from this one on without a pause, up to the last that ends by `until`; at least 1.
    fn stretch(self, first: Span, until: i64, calendar: Option<&Calendar>) -> u64 {
        let Self::Even { length, .. } = self else { return 1 };
        let end = match calendar {
            None => until,
            // The last span of the session may end after its close.
            Some(calendar) => match calendar.next_session(first.start) {
                Some(session) => session.end.saturating_add(length - 1).min(until),
                None => first.end,
            },
        };
        let spans = end.saturating_sub(first.start).div_euclid(length).max(1);
        u64::try_from(spans).unwrap_or(1)
    }

    /// The end of the last of `spans` spans from `first` on.
    fn after(self, first: Span, spans: u64) -> i64 {
        match self {
            Self::Even { length, .. } => {
                let more = i64::try_from(spans.saturating_sub(1)).unwrap_or(i64::MAX);
                first.end.saturating_add(more.saturating_mul(length))
            }
            Self::Days | Self::Weeks => first.end,
        }
    }

    /// Whether each span of `part` lies in one span of this, so that these can be added up from those.
    pub(super) fn is_made_of(self, part: Self, calendar: Option<&Calendar>) -> bool {
        match (self, part) {
            (Self::Even { length, origin }, Self::Even { length: part, origin: part_origin }) => {
                length > part && length % part == 0 && (origin - part_origin) % part == 0
            }
            (Self::Weeks, Self::Days) => true,
            (Self::Days | Self::Weeks, Self::Even { length, origin: 0 }) => {
                calendar.is_some_and(|calendar| calendar.is_aligned_to(length))
            }
            _ => false,
        }
    }

    /// About how long a span is, to put intervals in order: what another is made of comes first.
    pub(super) const fn rank(self) -> i64 {
        match self {
            Self::Even { length, .. } => length,
            Self::Days => 86_400 * SECOND,
            Self::Weeks => 604_800 * SECOND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * SECOND;
    /// Thursday 2024-08-08.
    const THURSDAY: i64 = 19_943 * DAY;

    #[test]
    fn spans_are_aligned_and_half_open() {
        let monday = THURSDAY - 3 * DAY;
        let cases = [
            ("second", 1, THURSDAY + 5, THURSDAY, THURSDAY + SECOND),
            ("a boundary begins the next", 60, THURSDAY, THURSDAY, THURSDAY + 60 * SECOND),
            ("last nanosecond", 60, THURSDAY - 1, THURSDAY - 60 * SECOND, THURSDAY),
            ("day", 86_400, THURSDAY + 7, THURSDAY, THURSDAY + DAY),
            ("week", 604_800, THURSDAY + 7, monday, monday + 7 * DAY),
            ("week, Monday itself", 604_800, monday, monday, monday + 7 * DAY),
            ("before 1970", 60, -1, -60 * SECOND, 0),
        ];
        for (name, seconds, at, start, end) in cases {
            assert_eq!(Grid::even(seconds).span(at, None), Some(Span { start, end }), "{name}");
        }
        assert_eq!(Grid::even(60).span(i64::MAX, None), None, "its end is beyond the range");
        assert_eq!(Grid::even(60).span(i64::MIN, None), None);
    }

    #[test]
    fn what_can_be_added_up_is_known() {
        let cases = [(60, 1, true), (60, 7, false), (604_800, 86_400, true), (604_800, 25_200, false), (60, 60, false)];
        for (whole, part, expected) in cases {
            assert_eq!(Grid::even(whole).is_made_of(Grid::even(part), None), expected, "{whole} s of {part} s");
        }
    }

    #[test]
    fn empty_spans_are_counted_and_skipped() {
        let grid = Grid::even(1);
        assert_eq!(grid.count(THURSDAY, THURSDAY + DAY, None), 86_400);
        assert_eq!(grid.count(THURSDAY, THURSDAY + SECOND - 1, None), 0);
        let (after, skipped) = grid.skip(THURSDAY, THURSDAY + DAY, 100, None);
        assert_eq!((after, skipped), (THURSDAY + DAY - 100 * SECOND, 86_300));
        assert_eq!(grid.count(after, THURSDAY + DAY, None), 100);
        assert_eq!(grid.skip(THURSDAY, THURSDAY + DAY, 90_000, None), (THURSDAY, 0));
    }
}
