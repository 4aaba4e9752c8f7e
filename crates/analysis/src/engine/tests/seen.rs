//! What strategies are shown, and when their signals count.

use super::market::{Step, assert_seen, bar, d, items, quote, quote_of, text, tick, trade};
use super::{Log, TEST, bars, engine, engine_with, on_minutes, script};
use crate::engine::{EngineError, Lag, Notice, Settings};
use crate::flow::Item;
use crate::strategies::{Orders, Subscription};
use feedd_core::{Clock, ManualClock};
use feedd_model::{Bar, BarFlags, Flags, Interval, UnixNanos};
use std::sync::Arc;

fn buys(_: &Bar, orders: &mut Orders) {
    orders.buy(f64::NAN);
}

fn shown(subscription: Subscription, all: &[Bar]) -> Log {
    let (plan, log) = script(0, "script", subscription, buys);
    let mut engine = engine(Settings::default(), vec![plan]);
    bars(all).into_iter().for_each(|item| engine.item(item));
    log
}

fn revised(bar: Bar, close: &str) -> Bar {
    Bar { revision: bar.revision + 1, close: d(close), flags: BarFlags::REVISED, ..bar }
}

#[test]
fn revisions_are_shown_to_those_who_ask() {
    let late = Bar { flags: BarFlags::PARTIAL, ..bar(120, "2") };
    let all = [bar(60, "1"), bar(180, "3"), revised(bar(60, "1"), "1.5"), late, bar(240, "4")];
    assert_seen(&shown(on_minutes(), &all), &["added 1", "bar 60 1", "bar 180 3", "bar 240 4"]);
    let with = Subscription { revisions: true, ..on_minutes() };
    assert_seen(&shown(with, &all), &["added 1", "bar 60 1", "bar 180 3", "bar 60 1.5", "bar 120 2", "bar 240 4"]);
}

#[test]
fn partial_and_synthetic_bars_are_shown_and_cut_off_ones_only_when_they_are_whole() {
    let with = |end, flags| Bar { flags, ..bar(end, "1") };
    let cut_off = with(180, BarFlags::PARTIAL.with(BarFlags::TRUNCATED));
    let all = [with(60, BarFlags::PARTIAL), with(120, BarFlags::SYNTHETIC), cut_off, revised(cut_off, "7")];
    assert_seen(&shown(on_minutes(), &all), &["added 1", "bar 60 1", "bar 120 1", "bar 180 7"]);
}

#[test]
fn bars_of_trades_may_begin_at_the_same_moment() {
    let interval = Interval::Trades(2);
    let one = Bar { interval, ..bar(60, "1") };
    let all = [one, Bar { close: d("2"), ..one }, revised(one, "3")];
    let subscription = Subscription { intervals: vec![interval], ..Subscription::default() };
    assert_seen(&shown(subscription, &all), &["added 1", "bar 60 1", "bar 60 2"]);
}

#[test]
fn other_intervals_are_not_shown() {
    let all = [Bar { interval: Interval::Seconds(1), ..bar(60, "1") }, bar(60, "2")];
    assert_seen(&shown(on_minutes(), &all), &["added 1", "bar 60 2"]);
}

#[test]
fn signals_count_once_it_is_warm_and_a_hole_begins_the_warm_up_anew() {
    let (plan, log) = script(0, "script", Subscription { warm_up: 3, ..on_minutes() }, buys);
    let mut engine = engine(Settings::default(), vec![plan]);
    let mut all = bars(&[1, 2, 3, 4, 5, 6, 7].map(|minute| bar(minute * 60, "1")));
    all.insert(4, Item::Skipped { events: 9 });
    all.into_iter().for_each(|item| engine.item(item));
    let signals: Vec<_> = text(engine.records()).iter().map(|line| line[..13].to_owned()).collect();
    assert_eq!(signals, ["signal 1 @180", "signal 2 @240", "signal 3 @420"]);
    assert_seen(
        &log,
        &["added 1", "bar 60 1", "bar 120 1", "bar 180 1", "bar 240 1", "reset", "bar 300 1", "bar 360 1", "bar 420 1"],
    );
}

#[test]
fn quality_is_told_when_it_changes_before_the_bar() {
    let with = |end, quality_bp| Bar { quality_bp, ..bar(end, "1") };
    let all = [with(60, 10_000), with(120, 9_500), with(180, 9_500), with(240, 10_000)];
    assert_seen(
        &shown(on_minutes(), &all),
        &["added 1", "bar 60 1", "quality 9500", "bar 120 1", "bar 180 1", "quality 10000", "bar 240 1"],
    );
}

#[test]
fn trades_and_quotes_are_shown_in_their_places_but_not_what_was_sent_again() {
    let (plan, log) = script(0, "script", Subscription { trades: true, quotes: true, ..on_minutes() }, |_, _| {});
    let mut engine = engine(Settings::default(), vec![plan]);
    let steps = [
        Step::Event(trade("1", "10")),
        Step::Event(quote("2", "9", "11")),
        Step::Event(quote_of(TEST, "3", Some("1"), Some("2"), Flags::BACKFILLED)),
        Step::Event(tick("61")),
        Step::Bar(bar(60, "10")),
        Step::Event(trade("62", "12")),
    ];
    items(&steps, 2).into_iter().for_each(|item| engine.item(item));
    assert_seen(&log, &["added 1", "trade 10", "quote", "bar 60 10", "trade 12"]);
}

#[test]
fn an_engine_that_is_behind_leaves_strategies_out_until_it_has_caught_up() {
    let clock = Arc::new(ManualClock::at(UnixNanos(0)));
    let (plan, log) = script(0, "script", Subscription { warm_up: 2, history: 3, ..on_minutes() }, buys);
    let settings = Settings { lag: Some(Lag::default()), ..Settings::default() };
    let (mut engine, _) = engine_with(settings, vec![plan], clock.clone());
    let mut at = |minute: i64, lag_s: i64| {
        let bar = bar(minute * 60, "1");
        clock.step_wall(bar.closed_at.0 + lag_s * 1_000_000_000 - clock.wall().0);
        bars(&[bar]).into_iter().for_each(|item| engine.item(item));
    };
    at(1, 0);
    at(2, 60);
    at(3, 61);
    at(4, 16);
    at(5, 15);
    at(6, 0);
    assert_seen(
        &log,
        &["added 1", "bar 60 1", "bar 120 1", "reset", "bar 120 1", "bar 180 1", "bar 240 1", "bar 300 1", "bar 360 1"],
    );
    let signals: Vec<_> = text(engine.records()).iter().map(|line| line[..13].to_owned()).collect();
    assert_eq!(signals, ["signal 1 @120", "signal 2 @300", "signal 3 @360"], "none at what is shown again");
    assert_eq!((engine.figures().suspensions, engine.figures().bars_left_out), (1, 2));
    assert_eq!(engine.take_notices(), [Notice::Behind { lag_ns: 61_000_000_000 }, Notice::CaughtUp { bars: 2 }]);
}

#[test]
fn two_of_one_name_are_refused() {
    let plans = vec![script(0, "a", on_minutes(), buys).0, script(1, "a", on_minutes(), buys).0];
    let names = ["a".to_owned(), "a".to_owned()];
    let counters = Arc::new(feedd_core::counters::AnalysisCounters::new(&names));
    let dictionary = feedd_core::Instruments::in_memory();
    let clock = Arc::new(ManualClock::default());
    let made = crate::engine::Engine::new(Settings::default(), plans, Vec::new(), dictionary, clock, counters);
    let Err(error @ EngineError::TwoOfOneName { .. }) = made else { panic!("must be refused") };
    assert_eq!(error.to_string(), "strategy a is configured twice; leave one out, or name all of its symbols in one");
}
