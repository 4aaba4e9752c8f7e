//! Gaps, and what they do to bars before and after they are known.

use crate::common::{Line, config, gap, old_trade, tick, trade};
use feedd_analysis::bars::{BarsConfig, Empty};
use feedd_model::{Flags, GapReason, InstrumentId};

#[test]
fn a_gap_makes_bars_partial_also_those_that_are_out() {
    let mut line = Line::new(BarsConfig { empty: Empty::Synthetic, ..config(&["1s"]) });
    line.feed(&[trade(0.0, "10", "1"), tick(3.0)]);
    let expected =
        ["1s 0..1 10/10/10/10 1(1) 10 x1 10000 complete r0 @3", "1s 1..2 10/10/10/10 0(0) 0 x0 10000 synthetic r0 @3"];
    assert_eq!(line.told(), expected);
    // Known only when the connection is back.
    line.feed(&[gap(1, GapReason::Disconnected, 0.75, 2.5, None), tick(4.0)]);
    let expected = [
        "1s 0..1 10/10/10/10 1(1) 10 x1 7500 partial+revised r1 @3",
        "1s 1..2 10/10/10/10 0(0) 0 x0 0 partial+synthetic+revised r1 @3",
        "1s 2..3 10/10/10/10 0(0) 0 x0 5000 partial+synthetic r0 @4",
    ];
    assert_eq!(line.told(), expected);
    line.feed(&[tick(5.0)]);
    assert_eq!(line.told(), ["1s 3..4 10/10/10/10 0(0) 0 x0 10000 synthetic r0 @5"], "whole again");
}

#[test]
fn a_gap_of_a_connection_counts_for_every_symbol_and_one_in_the_depth_for_none() {
    for (instrument, reason, expected) in [
        (0, GapReason::RecorderDown, 5_000),
        (1, GapReason::VenueSequence, 5_000),
        (2, GapReason::VenueSequence, 10_000),
        (1, GapReason::BookSequence, 10_000),
    ] {
        let mut line = Line::new(config(&["1s"]));
        line.feed(&[trade(0.0, "10", "1"), gap(instrument, reason, 0.25, 0.75, None), tick(3.0)]);
        let bar = line.bars()[0];
        assert_eq!(
            (bar.quality_bp, bar.flags.bits()),
            (expected, u8::from(expected < 10_000)),
            "{reason:?} of {instrument}"
        );
    }
}

#[test]
fn fetched_trades_revise_their_bars_and_make_them_whole() {
    let mut line = Line::new(config(&["1s", "1m"]));
    line.feed(&[trade(0.0, "10", "1"), gap(1, GapReason::Disconnected, 0.5, 2.25, None)]);
    line.feed(&[gap(1, GapReason::VenueSequence, 0.0, 2.5, Some((7, 9))), trade(2.5, "20", "1"), tick(4.0)]);
    let expected =
        ["1s 0..1 10/10/10/10 1(1) 10 x1 0 partial r0 @2.25", "1s 2..3 20/20/20/20 1(1) 20 x1 5000 partial r0 @4"];
    let first = line.told();
    assert_eq!(first.len(), 3, "the first comes out again when more of it is known to be missing");
    assert_eq!([&first[0].replace(" 5000 ", " 0 "), &first[2]], [expected[0], expected[1]]);
    let quality = line.processor.quality(InstrumentId(1)).unwrap();
    assert_eq!((quality.holes.len(), quality.quality_bp, quality.forgotten), (2, 3_750, 0));
    let old = |id, venue, price| old_trade(5.0, venue, Flags::BACKFILLED, id, price, "1");
    line.feed(&[old(7, 0.6, "11"), old(8, 1.5, "12"), old(9, 2.2, "13"), tick(6.0)]);
    let expected = [
        "1s 0..1 10/11/10/11 2(1) 21 x2 10000 revised r2 @5",
        "1s 1..2 12/12/12/12 1(0) 12 x1 10000 complete r0 @5",
        "1s 2..3 13/20/13/20 2(1) 33 x2 10000 revised r1 @5",
    ];
    assert_eq!(line.told(), expected);
    assert!(line.processor.quality(InstrumentId(1)).unwrap().holes.is_empty());
    line.feed(&[tick(61.0)]);
    assert_eq!(line.told(), ["1m 0..60 10/20/10/20 5(2) 66 x5 10000 complete r0 @61"]);
}

#[test]
fn a_hole_that_is_filled_in_part_stays() {
    let mut line = Line::new(config(&["1s"]));
    line.feed(&[trade(0.0, "10", "1"), gap(1, GapReason::VenueSequence, 0.0, 0.5, Some((7, 8)))]);
    line.feed(&[old_trade(0.6, 0.3, Flags::BACKFILLED, 7, "11", "1"), tick(3.0)]);
    assert_eq!(line.told(), ["1s 0..1 10/11/10/11 2(1) 21 x2 5000 partial r0 @3"]);
    assert_eq!(line.processor.quality(InstrumentId(1)).unwrap().holes[0].missing, 1);
}

#[test]
fn blocks_that_were_skipped_make_bars_partial() {
    let mut line = Line::new(config(&["1s", "2t"]));
    line.feed(&[trade(0.0, "10", "1"), trade(0.5, "11", "1")]).feed_after(500, &[trade(1.25, "12", "1"), tick(3.0)]);
    let told = line.told();
    let expected = [
        "2t 0..0.5 10/11/10/11 2(2) 21 x2 10000 complete r0 @0.5",
        "1s 0..1 10/11/10/11 2(2) 21 x2 5000 partial r0 @3",
        "1s 1..2 12/12/12/12 1(1) 12 x1 7500 partial r0 @3",
    ];
    assert_eq!(told, expected);
    line.feed(&[trade(3.5, "13", "1")]);
    assert_eq!(
        line.told(),
        ["2t 1.25..3.5 12/13/12/13 2(2) 25 x2 10000 partial r0 @3.5"],
        "there was a hole before it"
    );
}
