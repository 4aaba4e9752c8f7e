//! Whole frames of whole documents, and what keys do to them.

use super::*;
use feedd_telemetry::status::Status;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use state::Tab;

const WELL: &str = include_str!("../../../../crates/telemetry/testdata/well.json");
const STALLED: &str = include_str!("../../../../crates/telemetry/testdata/stalled.json");

fn status(document: &str) -> Status {
    serde_json::from_str(document).unwrap()
}

/// The same, two seconds later, with 500 more messages of each symbol and 3,000 more events.
fn later(status: &Status) -> Status {
    let mut status = status.clone();
    status.program.uptime_ns += 2_000_000_000;
    status.totals.accepted += 3_000;
    status.symbols.iter_mut().for_each(|symbol| symbol.messages += 500);
    status
}

/// After two looks.
fn top_of(document: &str) -> Top {
    let (mut top, first) = (Top::default(), status(document));
    top.heard(Ok(first.clone()));
    top.heard(Ok(later(&first)));
    top
}

fn press(top: &mut Top, keys: &str) {
    for key in keys.chars() {
        top.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE));
    }
}

fn press_code(top: &mut Top, code: KeyCode) {
    top.key(KeyEvent::new(code, KeyModifiers::NONE));
}

fn text(top: &Top, size: (u16, u16)) -> String {
    frame_text(top, size).unwrap()
}

/// The rows of the table in a frame.
fn first_words(text: &str, head: &str) -> Vec<String> {
    let rows = text.lines().skip_while(|line| !(line.starts_with(head) && line.contains("rate/s"))).skip(1);
    rows.map_while(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

#[test]
fn frames_of_whole_documents() {
    let frame = |document: &str, keys: &str, size: (u16, u16)| {
        let mut top = top_of(document);
        press(&mut top, keys);
        text(&top, size)
    };
    let frames = [
        frame(WELL, "", (80, 24)),
        frame(WELL, "8", (120, 40)),
        frame(STALLED, "", (120, 40)),
        frame(STALLED, "", (80, 24)),
        frame(STALLED, "4", (80, 24)),
        frame(STALLED, "4?", (80, 24)),
    ];
    let expected = [
        include_str!("testdata/well-80x24.txt"),
        include_str!("testdata/well-latency-120x40.txt"),
        include_str!("testdata/stalled-120x40.txt"),
        include_str!("testdata/stalled-80x24.txt"),
        include_str!("testdata/stalled-sinks-80x24.txt"),
        include_str!("testdata/help-80x24.txt"),
    ];
    assert_eq!(frames, expected);
}

#[test]
fn every_tab_fits_any_terminal() {
    for size in [(40, 10), (80, 24), (500, 500), (41, 200), (39, 9), (1, 1)] {
        for document in [WELL, STALLED] {
            let mut top = top_of(document);
            for _ in Tab::ALL {
                assert_eq!(text(&top, size).lines().count(), usize::from(size.1));
                press_code(&mut top, KeyCode::Tab);
            }
        }
    }
    assert!(text(&top_of(WELL), (39, 24)).starts_with("this terminal is too small: 40 x 10"));
}

#[test]
fn rows_are_sorted_by_any_column_both_ways_and_filtered() {
    let mut top = top_of(STALLED);
    press(&mut top, "3");
    let of = |top: &Top| first_words(&text(top, (120, 40)), "symbol");
    assert_eq!(of(&top)[..3], ["ADAUSDT", "AVAXUSDT", "BNBUSDT"]);
    // Venue, source, rate, messages.
    press(&mut top, "ssss");
    assert_eq!(of(&top)[..3], ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "most messages first");
    press(&mut top, "r");
    assert_eq!(of(&top)[..3], ["LTCUSDT", "XRP/USD", "LINKUSDT"], "fewest first");
    press(&mut top, "s");
    assert_eq!(of(&top)[0], "XRP/USD", "quiet for longest");
    press(&mut top, "SSSSSS");
    assert_eq!(top.sort(state::Sorted::Symbols).column, 6, "round the end");
    press(&mut top, "/Xrp");
    assert_eq!(of(&top), ["XRP/USD", "XRPUSDT"]);
    press_code(&mut top, KeyCode::Backspace);
    press_code(&mut top, KeyCode::Enter);
    press(&mut top, "q2");
    assert!(top.is_over, "keys are commands again");
    press_code(&mut top, KeyCode::Esc);
    assert_eq!(top.filter, "");
    press(&mut top, "/kraken");
    assert_eq!(first_words(&text(&top, (120, 40)), "source"), ["kraken"], "the filter holds in every tab");
}

#[test]
fn while_paused_nothing_changes_but_whether_a_recorder_answers() {
    let mut top = top_of(WELL);
    press(&mut top, "p");
    let before = text(&top, (80, 24));
    assert!(before.contains("PAUSED"), "{before}");
    top.heard(Ok(later(&later(&status(WELL)))));
    assert_eq!(text(&top, (80, 24)), before);
    top.heard(Err("no recorder answers at /tmp/feedd.sock".to_owned()));
    let told = text(&top, (80, 24));
    assert!(
        told.starts_with("NO ANSWER no recorder answers, trying again: no recorder answers at\n/tmp/feedd.sock"),
        "{told}"
    );
    press(&mut top, "p");
    top.heard(Ok(later(&later(&status(WELL)))));
    assert!(text(&top, (80, 24)).starts_with("OK recording 10/10 symbols"));
}

#[test]
fn a_recorder_that_was_started_again_begins_anew() {
    let mut top = top_of(WELL);
    let symbol = ("binance", "binance", "BTCUSDT");
    assert_eq!(top.history.rate(symbol.0, symbol.1, symbol.2), Some(250), "500 in two seconds");
    assert_eq!(top.history.accepted_per_s().iter().copied().collect::<Vec<_>>(), [1_500]);
    let mut again = status(WELL);
    again.program.pid += 1;
    again.program.uptime_ns = 1_000_000_000;
    again.symbols.iter_mut().for_each(|symbol| symbol.messages = 3);
    top.heard(Ok(again));
    assert_eq!(top.history.rate(symbol.0, symbol.1, symbol.2), None, "not the difference to another run");
    assert_eq!(top.history.accepted_per_s().len(), 0);
    assert_eq!(top.history.lag_ns().len(), 1);
}

#[test]
fn one_scrolls_as_far_as_there_is_something() {
    let mut top = top_of(WELL);
    press(&mut top, "3");
    press_code(&mut top, KeyCode::PageDown);
    press_code(&mut top, KeyCode::PageDown);
    assert_eq!(first_words(&text(&top, (120, 40)), "symbol"), ["XRPUSDT"], "the last row stays");
    press_code(&mut top, KeyCode::Home);
    assert_eq!(top.scrolled, 0);
    top.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(top.is_over);
}
