//! The session calendar: days and weeks, trades from outside, silence between sessions.

use crate::common::{Line, config, line_of, tick, trade};
use feedd_analysis::bars::{BarsConfig, Calendar, Empty};

/// Noon of the scenes is 12:00 UTC on Thursday 2024-08-08: 08:00 in New York.
const NEW_YORK: &str = r#"
offset = "-05:00"
outside = "OUTSIDE"
[offsets]
"2024-03-10" = "-04:00"
"2024-11-03" = "-05:00"
[sessions]
monday = ["09:30-16:00"]
tuesday = ["09:30-16:00"]
wednesday = ["09:30-16:00"]
thursday = ["09:30-16:00"]
friday = ["09:30-12:00", "13:00-16:00"]
[dates]
"2024-08-12" = []
"2024-08-13" = ["09:30-13:00"]
"#;

const HOUR: f64 = 3_600.0;
/// New York's opening and close, in seconds after the scenes' noon.
const OPEN: f64 = 1.5 * HOUR;
const CLOSE: f64 = 8.0 * HOUR;
const DAY: f64 = 24.0 * HOUR;

fn new_york(outside: &str, intervals: &[&str]) -> BarsConfig {
    let calendar = Calendar::parse(&NEW_YORK.replace("OUTSIDE", outside)).unwrap();
    BarsConfig { calendar: Some(calendar), ..config(intervals) }
}

/// `interval start..end` and flags.
fn spans(line: &Line) -> Vec<String> {
    let words = |text: String| {
        let words: Vec<_> = text.split(' ').map(str::to_owned).collect();
        format!("{} {} {} {}", words[0], words[1], words[5], words[7])
    };
    line.bars().iter().map(|bar| words(line_of(bar))).collect()
}

#[test]
fn days_and_weeks_go_from_opening_to_close() {
    let mut line = Line::new(new_york("drop", &["1d", "1w", "30m"]));
    line.feed(&[trade(OPEN, "1", "1"), trade(CLOSE - 0.001, "2", "1")]);
    line.feed(&[trade(CLOSE, "9", "1"), trade(DAY + OPEN, "3", "1")]);
    // Friday's break, its afternoon, and the Tuesday that closes early after Monday's holiday.
    line.feed(&[trade(DAY + 4.5 * HOUR, "9", "1"), trade(DAY + 5.5 * HOUR, "4", "1")]);
    line.feed(&[trade(5.0 * DAY + 2.0 * HOUR, "5", "1"), trade(5.0 * DAY + 5.5 * HOUR, "9", "1"), tick(9.0 * DAY)]);
    let expected = [
        "30m 5400..7200 x1 complete",
        "30m 27000..28800 x1 complete",
        "1d 5400..28800 x2 complete",
        "30m 91800..93600 x1 complete",
        "30m 106200..108000 x1 complete",
        "1d 91800..115200 x2 complete",
        // Monday to Friday, partial: the recording began on Thursday.
        "1w -253800..115200 x4 partial",
        "30m 439200..441000 x1 complete",
        "1d 437400..450000 x1 complete",
        "1w 437400..720000 x1 complete",
    ];
    assert_eq!(spans(&line), expected);
    assert_eq!(line.processor.counts().outside, 3);
}

#[test]
fn trades_from_outside_can_stay_tagged_but_never_in_days() {
    let mut line = Line::new(new_york("tag", &["30m", "1d"]));
    line.feed(&[trade(0.0, "9", "1"), trade(OPEN, "1", "1"), trade(CLOSE, "9", "1"), tick(DAY)]);
    let expected = [
        "30m 0..1800 x1 outside",
        "30m 5400..7200 x1 complete",
        "1d 5400..28800 x1 complete",
        "30m 28800..30600 x1 outside",
    ];
    assert_eq!(spans(&line), expected);
    assert_eq!(line.processor.counts().outside, 2);
}

#[test]
fn days_are_built_from_trades_when_smaller_bars_cross_the_opening() {
    // 09:30 and 16:00 are no multiples of 45 minutes of UTC.
    let mut line = Line::new(new_york("tag", &["45m", "1d"]));
    line.feed(&[trade(OPEN - 1.0, "9", "1"), trade(OPEN, "1", "1"), trade(OPEN + 1.0, "2", "1"), tick(DAY)]);
    let days: Vec<_> = line.bars().iter().map(line_of).filter(|bar| bar.starts_with("1d")).collect();
    assert_eq!(days, ["1d 5400..28800 1/2/1/2 2(2) 3 x2 10000 complete r0 @86400"]);
}

#[test]
fn silence_between_sessions_gives_no_empty_bars() {
    let mut line = Line::new(BarsConfig { empty: Empty::Synthetic, ..new_york("drop", &["30m", "1d"]) });
    line.feed(&[trade(CLOSE - 60.0, "1", "1"), tick(DAY + OPEN + 1.6 * HOUR)]);
    let expected = [
        "30m 27000..28800 x1 partial",
        "1d 5400..28800 x1 partial",
        "30m 91800..93600 x0 synthetic",
        "30m 93600..95400 x0 synthetic",
        "30m 95400..97200 x0 synthetic",
    ];
    assert_eq!(spans(&line), expected);
    // Friday's break and the weekend with a holiday are bridged; what is too many is left out.
    let mut line = Line::new(BarsConfig { empty: Empty::Synthetic, synthetic_max: 2, ..new_york("drop", &["30m"]) });
    line.feed(&[trade(CLOSE - 60.0, "1", "1"), tick(5.0 * DAY + OPEN + 0.6 * HOUR)]);
    let expected =
        ["30m 27000..28800 x1 partial", "30m 113400..115200 x0 synthetic", "30m 437400..439200 x0 synthetic"];
    assert_eq!(spans(&line), expected);
    // Friday has 5 half-hours before its break and 6 after it, Tuesday one so far.
    assert_eq!(line.processor.counts().empties_skipped, 5 + 6 + 1 - 2);
}

#[test]
fn overnight_sessions_belong_to_the_day_they_open_on() {
    let text = "offset = \"UTC\"\n[sessions]\nwednesday = [\"18:00-17:00\"]\nthursday = [\"18:00-17:00\"]";
    let calendar = Some(Calendar::parse(text).unwrap());
    let mut line = Line::new(BarsConfig { calendar, ..config(&["1d"]) });
    // 12:00 and 16:59:59 are still Wednesday's; 17:30 is nobody's; 18:00 opens Thursday's.
    line.feed(&[trade(0.0, "1", "1"), trade(5.0 * HOUR - 1.0, "2", "1"), trade(5.5 * HOUR, "9", "1")]);
    line.feed(&[trade(6.0 * HOUR, "3", "1"), tick(3.0 * DAY)]);
    assert_eq!(spans(&line), ["1d -64800..18000 x2 partial", "1d 21600..104400 x1 complete"]);
}

#[test]
fn faults_name_line_and_remedy() {
    let week = "[sessions]\nmonday = [\"09:00-17:00\"]\n";
    let cases = [
        ("offset = \"+5\"\n".to_owned() + week, "line 1: \"+5\" is no offset from UTC; write it as \"+05:30\""),
        ("offset = \"+15:00\"\n".to_owned() + week, "line 1: \"+15:00\" is no offset"),
        (week.to_owned(), "missing field `offset`"),
        ("offset = \"UTC\"\n".to_owned(), "missing field `sessions`"),
        ("offset = \"UTC\"\n[sessions]\nmonday = []\n".to_owned(), "line 2: no weekday has a session; write one"),
        ("offset = \"UTC\"\n[sessions]\nmonnday = []\n".to_owned(), "line 3: unknown field `monnday`"),
        (
            "offset = \"UTC\"\noutside = \"keep\"\n".to_owned() + week,
            "line 2: unknown variant `keep`, expected `drop` or `tag`",
        ),
        (
            "offset = \"UTC\"\n[sessions]\nfriday = [\"9:00-17:00\"]\n".to_owned(),
            "line 3: \"9:00-17:00\" is no session; write opening and close, such as",
        ),
        (
            "offset = \"UTC\"\n[sessions]\nfriday = [\"24:00-17:00\"]\n".to_owned(),
            "line 3: \"24:00-17:00\" is no session",
        ),
        (
            "offset = \"UTC\"\n[sessions]\nfriday = [\n  \"09:00-12:00\",\n  \"11:00-17:00\",\n]\n".to_owned(),
            "line 5: \"11:00-17:00\" begins before the session before it has closed; write them in order",
        ),
        (
            "offset = \"UTC\"\n[sessions]\nmonday = [\"18:00-17:00\"]\ntuesday = [\"09:00-17:00\"]\n".to_owned(),
            "line 2: in the week, a session goes on beyond the opening of the next day's; let it close before",
        ),
        (
            format!("offset = \"UTC\"\n{week}[dates]\n\"2024-13-01\" = []\n"),
            "line 5: \"2024-13-01\" is no date; write it as",
        ),
        (
            format!("offset = \"UTC\"\n{week}[dates]\n\"2024-08-04\" = [\"20:00-10:00\"]\n"),
            "line 5: a session goes on beyond the opening of the next day's",
        ),
        ("offset = \"UTC\"\nsessions = 5".to_owned(), "line 2: invalid type: integer"),
    ];
    for (text, expected) in cases {
        let told = Calendar::parse(&text).unwrap_err().to_string();
        assert!(told.contains(expected), "{text}\n{told}");
    }
}
