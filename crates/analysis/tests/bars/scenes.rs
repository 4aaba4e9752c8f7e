//! How bars open, end and are revised; times in seconds after noon.

use crate::common::{Line, at, config, old_trade, quote, tick, trade, trade_of};
use feedd_analysis::bars::{BarsConfig, Counts, Empty, TimeBy};
use feedd_analysis::flow::Item;
use feedd_model::{EventHead, Flags, InstrumentId, Side, TradeId, UnixNanos};
use std::time::Duration;

#[test]
fn a_bar_is_half_open_and_ends_when_the_grace_period_has_passed() {
    let mut line = Line::new(config(&["1s"]));
    line.feed(&[trade(0.0, "100.50", "2"), trade(0.4, "101", "1"), trade(0.999_999_999, "99.5", "0.5")]);
    line.feed(&[trade(1.0, "100", "1"), tick(1.999_999_999)]);
    assert_eq!(line.told(), [""; 0], "open for a second more");
    line.feed(&[tick(2.0)]);
    assert_eq!(line.told(), ["1s 0..1 100.50/101/99.5/99.5 3.5(3.5) 351.75 x3 10000 complete r0 @2"]);
    line.feed(&[tick(10.0)]);
    assert_eq!(line.told(), ["1s 1..2 100/100/100/100 1(1) 100 x1 10000 complete r0 @10"]);
}

#[test]
fn the_side_tells_what_was_bought() {
    let mut line = Line::new(config(&["1s"]));
    let by = |seconds: f64, side| {
        let recv_ts = Some(UnixNanos(at(seconds)));
        let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts, flags: Flags::NONE };
        trade_of(head, "10", "1.5", side, TradeId::None)
    };
    line.feed(&[by(0.0, Some(Side::Buy)), by(0.1, Some(Side::Sell)), by(0.2, None), tick(5.0)]);
    assert_eq!(line.told(), ["1s 0..1 10/10/10/10 4.5(1.5) 45 x3 10000 complete r0 @5"]);
}

#[test]
fn a_bar_that_was_begun_before_the_first_event_is_partial() {
    let mut line = Line::new(config(&["1s", "1m"]));
    line.feed(&[quote(1, at(15.0)), trade(16.5, "7", "1"), tick(61.0)]);
    let expected =
        ["1s 16..17 7/7/7/7 1(1) 7 x1 10000 complete r0 @61", "1m 0..60 7/7/7/7 1(1) 7 x1 7500 partial r0 @61"];
    assert_eq!(line.told(), expected, "a quarter of the minute was before the first event");
}

#[test]
fn trades_within_the_grace_period_take_their_place_by_time() {
    let mut line = Line::new(config(&["1s"]));
    let events = [trade(0.0, "1", "1"), trade(0.5, "2", "1"), trade(1.2, "9", "1"), trade(0.7, "3", "1")];
    line.feed(&events).feed(&[trade(0.2, "5", "1"), tick(3.0)]);
    let expected =
        ["1s 0..1 1/5/1/3 4(4) 11 x4 10000 complete r0 @3", "1s 1..2 9/9/9/9 1(1) 9 x1 10000 complete r0 @3"];
    assert_eq!(line.told(), expected);
}

#[test]
fn a_late_trade_revises_its_bar_and_those_above_once_the_clock_moves() {
    let mut line = Line::new(config(&["1s", "5s", "1m"]));
    line.feed(&[trade(0.0, "10", "1"), trade(5.0, "11", "1"), trade(9.0, "12", "1")]);
    let expected = [
        "1s 0..1 10/10/10/10 1(1) 10 x1 10000 complete r0 @5",
        "5s 0..5 10/10/10/10 1(1) 10 x1 10000 complete r0 @9",
        "1s 5..6 11/11/11/11 1(1) 11 x1 10000 complete r0 @9",
    ];
    assert_eq!(line.told(), expected);
    // From another source, all at one moment: one revision of each closed bar, and none of those that are open.
    line.feed(&[trade(0.5, "8", "2"), trade(0.2, "20", "1"), trade(5.5, "9", "1")]);
    assert_eq!(line.told(), [""; 0], "the clock has not moved");
    line.feed(&[tick(9.5)]);
    let expected = [
        "1s 0..1 10/20/8/8 4(4) 46 x3 10000 revised r1 @9",
        "1s 5..6 11/11/9/9 2(2) 20 x2 10000 revised r1 @9",
        "5s 0..5 10/20/8/8 4(4) 46 x3 10000 revised r1 @9",
    ];
    assert_eq!(line.told(), expected);
    line.feed(&[tick(61.0)]);
    let expected = [
        "1s 9..10 12/12/12/12 1(1) 12 x1 10000 complete r0 @61",
        "5s 5..10 11/12/9/12 3(3) 32 x3 10000 complete r0 @61",
        "1m 0..60 10/20/8/12 7(7) 78 x6 10000 complete r0 @61",
    ];
    assert_eq!(line.told(), expected, "each trade once");
    line.feed(&[trade(6.0, "13", "1"), tick(62.0)]);
    let expected = [
        "1s 6..7 13/13/13/13 1(1) 13 x1 10000 complete r0 @61",
        "5s 5..10 11/13/9/12 4(4) 45 x4 10000 revised r1 @61",
        "1m 0..60 10/20/8/12 8(8) 91 x7 10000 revised r1 @61",
    ];
    assert_eq!(line.told(), expected, "a second that had no bar yet");
}

#[test]
fn a_trade_that_is_too_late_is_counted() {
    let revise = Duration::from_secs(10);
    let mut line = Line::new(BarsConfig { revise, ..config(&["1s", "1m"]) });
    line.feed(&[trade(0.0, "10", "1"), tick(12.0)]);
    line.told();
    line.feed(&[trade(0.5, "99", "1"), trade(1.5, "11", "1"), tick(13.0)]);
    assert_eq!(line.told(), ["1s 1..2 11/11/11/11 1(1) 11 x1 10000 complete r0 @12"], "that of 0..1 is final");
    assert_eq!(line.processor.counts().late, 1);
    line.feed(&[tick(61.0)]);
    assert_eq!(line.told(), ["1m 0..60 10/11/10/11 2(2) 21 x2 10000 complete r0 @61"], "neither is it above");
}

#[test]
fn bars_beyond_the_most_that_are_kept_are_final() {
    let mut line = Line::new(BarsConfig { kept_max: 2, ..config(&["1s"]) });
    line.feed(&[trade(0.0, "1", "1"), trade(1.0, "2", "1"), trade(2.0, "3", "1"), trade(3.0, "4", "1"), tick(4.0)]);
    assert_eq!(line.told().len(), 3);
    line.feed(&[trade(0.5, "9", "1"), trade(2.5, "9", "1"), tick(4.5)]);
    assert_eq!(line.told(), ["1s 2..3 3/9/3/9 2(2) 12 x2 10000 revised r1 @4"]);
    assert_eq!(line.processor.counts().late, 1);
}

#[test]
fn silence_gives_one_empty_bar_an_interval_or_none() {
    let events = [trade(0.0, "10.0", "1"), trade(3.5, "11", "1"), tick(6.0), tick(6.5)];
    let mut none = Line::new(config(&["1s"]));
    assert_eq!(none.feed(&events).told().len(), 2);
    let mut line = Line::new(BarsConfig { empty: Empty::Synthetic, ..config(&["1s", "2s"]) });
    line.feed(&events);
    let expected = [
        "1s 0..1 10.0/10.0/10.0/10.0 1(1) 10 x1 10000 complete r0 @3.5",
        "1s 1..2 10.0/10.0/10.0/10.0 0(0) 0 x0 10000 synthetic r0 @3.5",
        "2s 0..2 10.0/10.0/10.0/10.0 1(1) 10 x1 10000 complete r0 @3.5",
        "1s 2..3 10.0/10.0/10.0/10.0 0(0) 0 x0 10000 synthetic r0 @6",
        "1s 3..4 11/11/11/11 1(1) 11 x1 10000 complete r0 @6",
        "2s 2..4 11/11/11/11 1(1) 11 x1 10000 complete r0 @6",
        "1s 4..5 11/11/11/11 0(0) 0 x0 10000 synthetic r0 @6",
    ];
    assert_eq!(line.told(), expected);
    // A late trade makes a bar of an empty one; the empty ones after it repeat its close.
    line.feed(&[trade(1.5, "12", "1"), tick(7.0)]);
    let expected = [
        "1s 1..2 12/12/12/12 1(1) 12 x1 10000 revised r1 @6.5",
        "1s 2..3 12/12/12/12 0(0) 0 x0 10000 synthetic+revised r1 @6.5",
        "2s 0..2 10.0/12/10.0/12 2(2) 22 x2 10000 revised r1 @6.5",
        "1s 5..6 11/11/11/11 0(0) 0 x0 10000 synthetic r0 @7",
        "2s 4..6 11/11/11/11 0(0) 0 x0 10000 synthetic r0 @7",
    ];
    assert_eq!(line.told(), expected);
}

#[test]
fn a_jump_of_the_clock_makes_a_bounded_number_of_empty_bars() {
    let empty = Empty::Synthetic;
    let mut line = Line::new(BarsConfig { empty, synthetic_max: 3, ..config(&["1s", "1d"]) });
    let three_days = 3.0 * 86_400.0;
    line.feed(&[trade(0.0, "5", "1"), tick(three_days)]);
    let told = line.told();
    let starts: Vec<_> = told.iter().map(|bar| bar.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "1s 0..1",
        "1d -43200..43200",
        "1d 43200..129600",
        "1d 129600..216000",
        "1s 259196..259197",
        "1s 259197..259198",
        "1s 259198..259199",
    ];
    assert_eq!(starts, expected, "the last three seconds, and every day");
    let Counts { synthetic, empties_skipped, .. } = *line.processor.counts();
    assert_eq!((synthetic, empties_skipped), (5, 259_199 - 1 - 3));
    line.feed(&[tick(three_days + 1.0)]);
    assert_eq!(line.told().len(), 1, "and on from there, one a second");
}

#[test]
fn venue_time_counts_while_it_is_near() {
    let events = [
        trade(60.2, "1", "1"),
        old_trade(60.3, 59.9, Flags::NONE, 1, "2", "1"),
        old_trade(60.4, 20.0, Flags::NONE, 2, "3", "1"),
        tick(121.0),
    ];
    let by_receive = Line::new(config(&["1m"])).feed(&events).told();
    assert_eq!(by_receive, ["1m 60..120 1/3/1/3 3(1) 6 x3 9966 partial r0 @121"]);
    let mut line = Line::new(BarsConfig { by: TimeBy::Venue, ..config(&["1m"]) });
    let expected = ["1m 0..60 2/2/2/2 1(0) 2 x1 0 partial r0 @61", "1m 60..120 1/3/1/3 2(1) 4 x2 9966 partial r0 @121"];
    let mut with_tick = events.to_vec();
    with_tick.insert(3, tick(61.0));
    assert_eq!(line.feed(&with_tick).told(), expected, "40 s are no delay, 0.4 s are");
}

#[test]
fn what_the_venue_sends_again_goes_by_its_own_time() {
    let mut line = Line::new(config(&["1s"]));
    line.feed(&[old_trade(10.0, 7.5, Flags::REPLAYED, 1, "7", "1"), trade(10.1, "8", "1"), tick(10.2)]);
    assert_eq!(line.told(), ["1s 7..8 7/7/7/7 1(0) 7 x1 0 partial r0 @10"]);
}

#[test]
fn without_receive_times_the_venue_times_stand_in() {
    let of = |seconds: f64, price| {
        let venue_ts = Some(UnixNanos(at(seconds)));
        let head = EventHead { instrument: InstrumentId(1), venue_ts, recv_ts: None, flags: Flags::NONE };
        trade_of(head, price, "1", None, TradeId::None)
    };
    let head = EventHead { instrument: InstrumentId(2), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    let mut line = Line::new(config(&["1s"]));
    line.feed(&[trade_of(head, "1", "1", None, TradeId::None), of(0.0, "1"), of(2.0, "2")]);
    assert_eq!(line.told(), ["1s 0..1 1/1/1/1 1(0) 1 x1 10000 complete r0 @2"]);
    assert_eq!(line.processor.counts().untimed, 1, "the first had no time at all");
}

#[test]
fn a_sum_beyond_128_bits_leaves_the_trade_out_and_is_told() {
    let mut line = Line::new(config(&["1s", "1m"]));
    let large = "9223372036854775807";
    line.feed(&[trade(0.0, large, large), trade(0.1, "1", "0.5"), trade(0.2, large, large), trade(0.3, large, large)]);
    line.feed(&[tick(61.0)]);
    let told = line.told();
    assert!(told[0].ends_with("x2 10000 partial r0 @61"), "{told:?}");
    assert!(told[0].contains(" 18446744073709551614("), "two whole ones, {told:?}");
    assert_eq!(told[0].replace("1s 0..1", "1m 0..60"), told[1]);
    assert_eq!(line.processor.counts().overflows, 2);
}

#[test]
fn the_engine_sees_each_bar_after_the_events_before_it() {
    let mut line = Line::new(BarsConfig { block_ends: true, ..config(&["1s", "2t"]) });
    line.feed(&[trade(0.0, "1", "1"), trade(0.5, "2", "1"), trade(2.5, "3", "1")]).feed_after(7, &[tick(4.0)]);
    let seen = line.items.iter().map(|item| match item {
        Item::Bar { bar, block, upto } => format!("{} after {} of {}", bar.interval, upto, block.first_seq()),
        Item::BlockEnd { block } => format!("end of {}", block.first_seq()),
        Item::Skipped { events } => format!("{events} skipped"),
    });
    let seen: Vec<_> = seen.collect();
    let expected = ["2t after 2 of 1", "1s after 2 of 1", "end of 1", "7 skipped", "1s after 0 of 4", "end of 4"];
    assert_eq!(seen, expected);
    assert_eq!(line.processor.counts().skipped, 7);
}

#[test]
fn instruments_that_are_not_wanted_have_no_bars() {
    let mut line = Line::new(config(&["1s"]));
    line.processor = feedd_analysis::bars::Processor::new(config(&["1s"]), |id| id == InstrumentId(2)).unwrap();
    line.feed(&[trade(0.0, "1", "1"), quote(2, at(0.5)), tick(9.0)]);
    assert_eq!((line.told().len(), line.processor.counts().trades), (0, 0));
    assert!(line.processor.quality(InstrumentId(1)).is_none() && line.processor.quality(InstrumentId(2)).is_some());
}
