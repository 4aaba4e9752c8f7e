//! The end of a run, the saved state, and going on with it.

use crate::common::{Line, config, gap, tick, trade};
use feedd_analysis::bars::{BarsConfig, Processor, StateError, TimeBy};
use feedd_model::GapReason;

#[test]
fn open_bars_come_out_truncated_with_what_their_parts_hold() {
    let mut line = Line::new(config(&["1s", "1m", "1h"]));
    line.feed(&[trade(0.0, "10", "1"), trade(5.0, "11", "1")]);
    line.told();
    line.finish();
    let expected = [
        "1s 5..6 11/11/11/11 1(1) 11 x1 10000 truncated r0 @5",
        "1m 0..60 10/11/10/11 2(2) 21 x2 10000 truncated r0 @5",
        "1h 0..3600 10/11/10/11 2(2) 21 x2 10000 truncated r0 @5",
    ];
    assert_eq!(line.told(), expected);
    // The next start goes on; what was traded in between is missing.
    line.restart(config(&["1s", "1m", "1h"]));
    line.processor.interrupted();
    line.feed(&[tick(20.0), trade(30.0, "12", "1"), tick(61.0), tick(3_601.0)]);
    let expected = [
        "1s 5..6 11/11/11/11 1(1) 11 x1 0 partial+revised r1 @20",
        "1s 30..31 12/12/12/12 1(1) 12 x1 10000 complete r0 @61",
        "1m 0..60 10/12/10/12 3(3) 33 x3 7500 partial+revised r1 @61",
        "1h 0..3600 10/12/10/12 3(3) 33 x3 9958 partial+revised r1 @3601",
    ];
    assert_eq!(line.told(), expected);
    assert_eq!(line.items.len(), 8, "one bar before, and each of these once to the engine, too");
}

#[test]
fn what_had_changed_comes_out_before_the_end() {
    let mut line = Line::new(config(&["1s"]));
    line.feed(&[trade(0.0, "10", "1"), tick(3.0), trade(0.5, "11", "1")]);
    line.told();
    line.finish();
    assert_eq!(line.told(), ["1s 0..1 10/11/10/11 2(2) 21 x2 10000 revised r1 @3"]);
}

#[test]
fn a_state_of_something_else_is_refused_with_the_remedy() {
    let mut line = Line::new(config(&["1s", "3t"]));
    line.feed(&[trade(0.0, "10", "1"), gap(1, GapReason::RingFull, 0.5, 0.75, None), tick(3.0), trade(3.5, "11", "1")]);
    let saved = line.processor.save();
    let load = |config: BarsConfig, bytes: &[u8]| Processor::new(config, |_| true).unwrap().load(bytes);
    assert_eq!(load(config(&["1s", "3t"]), &saved), Ok(()));
    let other = load(config(&["1s"]), &saved).unwrap_err();
    assert!(matches!(other, StateError::OtherBars { number: 2, .. }), "{other:?}");
    assert!(other.to_string().contains("of other intervals (by Receive, 1s, 3t, now by Receive, 1s)"), "{other}");
    let by_venue = BarsConfig { by: TimeBy::Venue, ..config(&["1s", "3t"]) };
    assert!(matches!(load(by_venue, &saved), Err(StateError::OtherBars { .. })));
    assert_eq!(load(config(&["1s"]), b"something else"), Err(StateError::Foreign));
    for length in 8..saved.len() {
        assert_eq!(load(config(&["1s", "3t"]), &saved[..length]), Err(StateError::Damaged), "cut at {length}");
    }
    let longer: Vec<_> = saved.iter().copied().chain([0]).collect();
    assert_eq!(load(config(&["1s", "3t"]), &longer), Err(StateError::Damaged));
}

#[test]
fn a_state_saves_what_it_was_loaded_from() {
    let mut line = Line::new(config(&["1s", "3t"]));
    line.feed(&[trade(0.0, "10", "1"), gap(0, GapReason::RingFull, 0.5, 0.75, None), tick(3.0), trade(3.5, "11", "1")]);
    let saved = line.processor.save();
    assert_eq!(line.restart(config(&["1s", "3t"])).processor.save(), saved);
    line.processor.number_from(50);
    line.told();
    line.feed(&[tick(6.0)]);
    assert_eq!(line.bars()[0].number, 50, "above what the data folder holds");
}
