//! Bars of a number of trades or of an amount.

use crate::common::{Line, config, trade};

#[test]
fn the_trade_that_fills_a_bar_ends_it() {
    let mut line = Line::new(config(&["2t", "4t", "2.5v"]));
    line.feed(&[trade(0.0, "10", "1"), trade(1.0, "12", "1.5"), trade(1.5, "11", "7"), trade(3.0, "9", "0.1")]);
    let expected = [
        "2t 0..1 10/12/10/12 2.5(2.5) 28 x2 10000 complete r0 @1",
        "2.5v 0..1 10/12/10/12 2.5(2.5) 28 x2 10000 complete r0 @1",
        "2.5v 1.5..1.5 11/11/11/11 7(7) 77 x1 10000 complete r0 @1.5",
        "2t 1.5..3 11/11/9/9 7.1(7.1) 77.9 x2 10000 complete r0 @3",
        "4t 0..3 10/12/9/9 9.6(9.6) 105.9 x4 10000 complete r0 @3",
    ];
    assert_eq!(line.told(), expected);
}

#[test]
fn trades_of_one_moment_make_bars_that_start_apart() {
    let mut line = Line::new(config(&["1t"]));
    line.feed(&[trade(0.0, "1", "1"), trade(0.0, "2", "1"), trade(-5.0, "3", "1")]);
    let bars = line.bars();
    let starts: Vec<_> = bars.iter().map(|bar| bar.start.0 - bars[0].start.0).collect();
    assert_eq!(starts, [0, 1, 2], "also when the time goes back");
    assert!(bars.iter().all(|bar| bar.start <= bar.end));
}

#[test]
fn the_order_of_the_record_counts_not_the_time() {
    let mut line = Line::new(config(&["3t"]));
    line.feed(&[trade(2.0, "1", "1"), trade(1.0, "2", "1"), trade(3.0, "3", "1")]);
    assert_eq!(line.told(), ["3t 2..3 1/3/1/3 3(3) 6 x3 10000 complete r0 @3"]);
}

#[test]
fn an_unfinished_bar_comes_out_truncated_and_goes_on_after_the_restart() {
    let mut line = Line::new(config(&["2t", "4t"]));
    line.feed(&[trade(0.0, "1", "1"), trade(1.0, "2", "1"), trade(2.0, "3", "1")]).finish();
    let expected = [
        "2t 0..1 1/2/1/2 2(2) 3 x2 10000 complete r0 @1",
        "2t 2..2 3/3/3/3 1(1) 3 x1 10000 truncated r0 @2",
        "4t 0..2 1/3/1/3 3(3) 6 x3 10000 truncated r0 @2",
    ];
    assert_eq!(line.told(), expected);
    line.restart(config(&["2t", "4t"])).feed(&[trade(3.0, "4", "1")]);
    let expected = ["2t 2..3 3/4/3/4 2(2) 7 x2 10000 revised r1 @3", "4t 0..3 1/4/1/4 4(4) 10 x4 10000 revised r1 @3"];
    assert_eq!(line.told(), expected);
}
