//! The session calendar as text (TOML): read and judged, with line and remedy.
//!
//! ```toml
//! offset = "-05:00"            # local time, east of UTC
//! outside = "drop"             # trades outside the sessions: "drop" (default), or "tag" to keep them in bars below a day
//!
//! [offsets]                    # another offset from a local date on: daylight saving
//! "2026-03-08" = "-04:00"
//! "2026-11-01" = "-05:00"
//!
//! [sessions]                   # by weekday; several a day, overnight ("18:00-17:00"), whole days ("00:00-24:00")
//! monday = ["09:30-16:00"]
//! friday = ["09:30-12:00", "13:00-16:00"]
//!
//! [dates]                      # days that differ: early closes, and holidays, which have no session
//! "2026-11-27" = ["09:30-13:00"]
//! "2026-12-25" = []
//! ```

use super::calendar::{Calendar, Hours, weekday};
use serde::Deserialize;
use std::collections::BTreeMap;
use time::format_description::well_known::Iso8601;
use time::{Date, Month};
use toml::Spanned;

const DAY_SECONDS: u32 = 86_400;

/// Why a text is no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CalendarError {
    /// From 1.
    pub line: usize,
    /// What is wrong there, and what to write instead.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    offset: Spanned<String>,
    #[serde(default)]
    outside: Outside,
    #[serde(default)]
    offsets: BTreeMap<String, Spanned<String>>,
    sessions: Spanned<Week>,
    #[serde(default)]
    dates: BTreeMap<String, Spanned<Vec<Spanned<String>>>>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Outside {
    #[default]
    Drop,
    Tag,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Week {
    monday: Vec<Spanned<String>>,
    tuesday: Vec<Spanned<String>>,
    wednesday: Vec<Spanned<String>>,
    thursday: Vec<Spanned<String>>,
    friday: Vec<Spanned<String>>,
    saturday: Vec<Spanned<String>>,
    sunday: Vec<Spanned<String>>,
}

/// Reads parts, and knows where they stand.
struct Text<'a>(&'a str);

impl Calendar {
    /// Reads a calendar.
    ///
    /// # Errors
    /// [`CalendarError`] with the line and what to write there.
    pub fn parse(text: &str) -> Result<Self, CalendarError> {
        let place = Text(text);
        let file: File = toml::from_str(text)
            .map_err(|error| place.error(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        let mut offsets = vec![(i32::MIN, place.offset(&file.offset)?)];
        for (date, offset) in &file.offsets {
            offsets.push((place.date(date, offset.span().start)?, place.offset(offset)?));
        }
        offsets.sort_unstable();
        let start = file.sessions.span().start;
        let Week { monday, tuesday, wednesday, thursday, friday, saturday, sunday } = file.sessions.into_inner();
        let mut week: [Vec<Hours>; 7] = Default::default();
        for (hours, texts) in week.iter_mut().zip([monday, tuesday, wednesday, thursday, friday, saturday, sunday]) {
            *hours = place.sessions(&texts)?;
        }
        if week.iter().all(Vec::is_empty) {
            let remedy = "no weekday has a session; write one, such as monday = [\"09:30-16:00\"]";
            return Err(place.error(start, remedy.to_owned()));
        }
        let mut dates = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for (date, texts) in &file.dates {
            let day = place.date(date, texts.span().start)?;
            dates.insert(day, place.sessions(texts.get_ref())?);
            lines.insert(day, texts.span().start);
        }
        let keeps_outside = file.outside == Outside::Tag;
        let calendar = Self { offsets, week, dates, keeps_outside, text: text.to_owned() };
        calendar.check_apart(&place, start, &lines)?;
        Ok(calendar)
    }

    /// No session goes on into the next day's.
    fn check_apart(
        &self,
        text: &Text<'_>,
        week_at: usize,
        dates_at: &BTreeMap<i32, usize>,
    ) -> Result<(), CalendarError> {
        let of = |day: i32| self.dates.get(&day).unwrap_or(&self.week[weekday(day)]);
        let runs_into = |today: &[Hours], tomorrow: &[Hours]| {
            let close = today.last().map_or(0, |hours| hours.close);
            tomorrow.first().is_some_and(|hours| close > hours.open + DAY_SECONDS)
        };
        let remedy = "a session goes on beyond the opening of the next day's; let it close before";
        if (0..7).any(|day| runs_into(&self.week[day], &self.week[(day + 1) % 7])) {
            return Err(text.error(week_at, format!("in the week, {remedy}")));
        }
        for (&day, &at) in dates_at {
            if runs_into(of(day - 1), of(day)) || runs_into(of(day), of(day + 1)) {
                return Err(text.error(at, remedy.to_owned()));
            }
        }
        Ok(())
    }
}

impl Text<'_> {
    fn error(&self, at: usize, what: String) -> CalendarError {
        let line = self.0.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1;
        CalendarError { line, what }
    }

    /// Days since 1970.
    fn date(&self, text: &str, at: usize) -> Result<i32, CalendarError> {
        let epoch = Date::from_calendar_date(1970, Month::January, 1).map(Date::to_julian_day);
        let date = Date::parse(text, &Iso8601::DATE).map(Date::to_julian_day);
        match (date, epoch) {
            (Ok(date), Ok(epoch)) if text.len() == 10 => Ok(date - epoch),
            _ => Err(self.error(at, format!("{text:?} is no date; write it as \"2026-12-25\""))),
        }
    }

    /// Seconds east of UTC.
    fn offset(&self, text: &Spanned<String>) -> Result<i32, CalendarError> {
        let wrong = || {
            let what = format!("{:?} is no offset from UTC; write it as \"+05:30\" or \"UTC\"", text.get_ref());
            self.error(text.span().start, what)
        };
        if text.get_ref() == "UTC" {
            return Ok(0);
        }
        let (sign, rest) = match text.get_ref().split_at_checked(1) {
            Some(("+", rest)) => (1, rest),
            Some(("-", rest)) => (-1, rest),
            _ => return Err(wrong()),
        };
        let seconds = time_of_day(rest).filter(|&seconds| seconds <= 14 * 3_600).ok_or_else(wrong)?;
        Ok(sign * i32::try_from(seconds).map_err(|_| wrong())?)
    }

    /// The sessions of a day, in order.
    fn sessions(&self, texts: &[Spanned<String>]) -> Result<Vec<Hours>, CalendarError> {
        let mut sessions: Vec<Hours> = Vec::with_capacity(texts.len());
        for text in texts {
            let at = text.span().start;
            let hours = text.get_ref().split_once('-');
            let hours = hours.and_then(|(open, close)| Some((time_of_day(open)?, time_of_day(close)?)));
            let Some((open, close)) = hours.filter(|(open, _)| *open < DAY_SECONDS) else {
                let what =
                    format!("{:?} is no session; write opening and close, such as \"09:30-16:00\"", text.get_ref());
                return Err(self.error(at, what));
            };
            // Overnight: it closes on the next day.
            let close = if close <= open { close + DAY_SECONDS } else { close };
            if sessions.last().is_some_and(|last| last.close > open) {
                let what =
                    format!("{:?} begins before the session before it has closed; write them in order", text.get_ref());
                return Err(self.error(at, what));
            }
            sessions.push(Hours { open, close });
        }
        Ok(sessions)
    }
}

/// Seconds after midnight of `09:30` or `09:30:15`; up to `24:00`.
fn time_of_day(text: &str) -> Option<u32> {
    let mut seconds = 0;
    let mut parts = text.split(':');
    for (unit, max) in [(3_600, 24), (60, 59), (1, 59)] {
        let Some(part) = parts.next() else {
            return (unit == 1).then_some(seconds);
        };
        let is_two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = part.parse().ok().filter(|number| is_two_digits && *number <= max)?;
        seconds += number * unit;
    }
    (parts.next().is_none() && seconds <= DAY_SECONDS).then_some(seconds)
}
