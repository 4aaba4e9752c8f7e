//! The same items give the same records: twice, in other blocks, and with a restart in between.

use super::market::{Step, bar, bar_of, items, quote_of, tick, trade_of};
use super::{OTHER, TEST, built_in, engine, engine_with, on_minutes, script};
use crate::engine::{Engine, Notice, Plan, Settings, StateError};
use crate::paper;
use crate::strategies::Subscription;
use feedd_core::ManualClock;
use feedd_model::{Decimal, Derived, Flags, Outcome};
use proptest::prelude::*;
use std::sync::Arc;

/// One minute of a market: where the prices of both symbols go, which events come, and whether quotes do.
type Minute = (i64, i64, Vec<(u8, bool)>);

fn minutes() -> impl Strategy<Value = Vec<Minute>> {
    prop::collection::vec((-30i64..=30, -30i64..=30, prop::collection::vec((1u8..59, any::<bool>()), 0..6)), 1..60)
}

/// The same, but no price stays where it was.
fn moving() -> impl Strategy<Value = Vec<Minute>> {
    let moved = |by: i64| if by == 0 { 1 } else { by };
    minutes().prop_map(move |all| all.into_iter().map(|(a, b, events)| (moved(a), moved(b), events)).collect())
}

/// How far two values of one signal may be apart, as a part of them: floats whose sums began at other places. Where a price
/// falls far and then nearly stands still, within one window, few of their digits are left.
const APART: f64 = 1e-4;

/// Records as text without the values of signals, which are floats; and those.
fn texts_and_values(records: &[Derived]) -> (Vec<String>, Vec<f64>) {
    let mut values = Vec::new();
    let line = |record: &Derived| match record {
        Derived::Signal(signal) => {
            values.push(signal.value);
            format!("{:?}", feedd_model::Signal { value: 0.0, ..*signal })
        }
        other => format!("{other:?}"),
    };
    (records.iter().map(line).collect(), values)
}

fn price(cents: i64) -> String {
    Decimal::new(cents, 2).unwrap().to_string()
}

/// Bars come a second after their minute, events in between.
fn market(minutes: &[Minute]) -> Vec<Step> {
    let (mut steps, mut prices) = (Vec::new(), [1_000, 50_000]);
    for ((first, second, events), minute) in minutes.iter().zip(1i64..) {
        prices[0] = (prices[0] + first * 5).max(400 + minute);
        prices[1] = (prices[1] + second * 200).max(10_000 + minute);
        let from = (minute - 1) * 60;
        let mut sorted = events.clone();
        sorted.sort_unstable();
        for (second, is_quote) in sorted {
            let (instrument, cents) = if second % 2 == 0 { (TEST, prices[0]) } else { (OTHER, prices[1]) };
            let seconds = format!("{}", from + i64::from(second) + 2);
            let (bid, ask) = (price(cents - 1), price(cents + 1));
            steps.push(Step::Event(if is_quote {
                quote_of(instrument, &seconds, Some(&bid), Some(&ask), Flags::NONE)
            } else {
                trade_of(instrument, &seconds, &price(cents))
            }));
        }
        steps.push(Step::Event(tick(&format!("{}", minute * 60 + 1))));
        steps.push(Step::Bar(bar(minute * 60, &price(prices[0]))));
        steps.push(Step::Bar(bar_of(OTHER, minute * 60, &price(prices[1]))));
    }
    // In the order of their times, as a record has them.
    let time = |step: &Step| match step {
        Step::Event(event) => event.recv_ts().unwrap(),
        Step::Bar(bar) => bar.closed_at,
    };
    steps.sort_by_key(time);
    steps
}

fn plans() -> Vec<Plan> {
    let quotes = Subscription { quotes: true, trades: true, ..on_minutes() };
    vec![
        built_in(0, "sma", &[("fast", "2"), ("slow", "5")]),
        built_in(1, "rsi", &[("period", "2")]),
        built_in(2, "bollinger", &[("bars", "5"), ("sigmas", "1")]),
        script(3, "quotes", quotes, |bar, orders| if bar.end.0 % 7 == 0 { orders.sell(0.0) } else { orders.buy(0.0) })
            .0,
    ]
}

fn settings() -> Settings {
    Settings { paper: Some(paper::Settings::default()), ..Settings::default() }
}

fn records(plans: Vec<Plan>, steps: &[Step], block_events: usize) -> Vec<Derived> {
    let mut engine = engine(settings(), plans);
    items(steps, block_events).into_iter().for_each(|item| engine.item(item));
    std::mem::take(engine.records())
}

/// Equal also where a value is NaN.
fn same(a: &[Derived], b: &[Derived]) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Replay = live.
    #[test]
    fn the_same_again_and_wherever_blocks_end(minutes in minutes(), block_events in 1usize..20, other in 1usize..20) {
        let steps = market(&minutes);
        for plans in [|| plans(), || plans().into_iter().take(3).collect::<Vec<_>>()] {
            let first = records(plans(), &steps, block_events);
            prop_assert!(same(&first, &records(plans(), &steps, block_events)));
            prop_assert!(same(&first, &records(plans(), &steps, other)));
        }
    }

    /// A restart between two items: books, orders and numbers go on, strategies are as warm as before. Prices move in each
    /// minute: after a market that stood still for as long as bars are kept, nobody knows what was before it.
    #[test]
    fn a_restart_makes_no_difference(minutes in moving(), at in any::<prop::sample::Index>(), block_events in 1usize..20) {
        let steps = market(&minutes);
        let whole = records(plans(), &steps, block_events);
        let cut = at.index(steps.len() + 1);
        let mut before = engine(settings(), plans());
        items(&steps[..cut], block_events).into_iter().for_each(|item| before.item(item));
        let state = before.save().unwrap();
        let mut after = engine(settings(), plans());
        after.load(&state).unwrap();
        items(&steps[cut..], block_events).into_iter().for_each(|item| after.item(item));
        let mut both = std::mem::take(before.records());
        both.append(after.records());
        let ((both, values), (whole, expected)) = (texts_and_values(&both), texts_and_values(&whole));
        prop_assert_eq!(both, whole, "cut at {} of {}", cut, steps.len());
        for (value, expected) in values.iter().zip(&expected) {
            let is_near = value == expected || (value - expected).abs() <= APART * expected.abs();
            prop_assert!(is_near, "{} instead of {}, cut at {} of {}", value, expected, cut, steps.len());
        }
    }

    /// Numbers are dense, and every signal has exactly one end.
    #[test]
    fn numbers_are_dense_and_every_order_ends(minutes in minutes()) {
        let mut engine = engine(settings(), plans());
        items(&market(&minutes), 5).into_iter().for_each(|item| engine.item(item));
        engine.finish();
        let (mut signals, mut ended, mut equity) = (Vec::new(), Vec::new(), Vec::new());
        for record in engine.records().iter() {
            match record {
                Derived::Signal(signal) => signals.push(signal.number),
                Derived::Fill(fill) => ended.push((fill.signal, fill.number)),
                Derived::Equity(row) => equity.push(row.number),
                Derived::Bar(_) => prop_assert!(false, "the engine makes no bars"),
            }
        }
        let dense = |count: usize| (1..=u64::try_from(count).unwrap()).collect::<Vec<_>>();
        prop_assert_eq!(&signals, &dense(signals.len()));
        prop_assert_eq!(&equity, &dense(equity.len()));
        prop_assert_eq!(ended.iter().map(|(_, number)| *number).collect::<Vec<_>>(), dense(ended.len()));
        let mut of: Vec<_> = ended.iter().map(|(signal, _)| *signal).collect();
        of.sort_unstable();
        prop_assert_eq!(of, signals);
    }
}

/// A run in which something happens: not only refusals.
fn busy() -> Vec<Step> {
    let minute =
        |at: i64| ((at % 11 - 5) * 6, (at % 7 - 3) * 9, vec![(2, true), (3, true), (30, at % 2 == 0), (31, false)]);
    market(&(0..60).map(minute).collect::<Vec<_>>())
}

#[test]
fn the_market_of_these_tests_is_a_busy_one() {
    let all = records(plans(), &busy(), 7);
    let filled =
        all.iter().filter(|record| matches!(record, Derived::Fill(fill) if fill.outcome == Outcome::Filled)).count();
    assert!(filled > 30, "{filled} of {}", all.len());
}

fn saved() -> Vec<u8> {
    let mut engine = engine(settings(), plans());
    items(&busy(), 7).into_iter().for_each(|item| engine.item(item));
    engine.save().unwrap()
}

#[test]
fn a_state_that_is_loaded_and_saved_is_the_same_state() {
    let state = saved();
    let mut engine: Engine<Vec<Derived>> = engine(settings(), plans());
    engine.load(&state).unwrap();
    assert_eq!(engine.save(), None, "not while strategies are warmed up");
    // An item that brings nothing: the warm-up is done before it.
    items(&[], 1).into_iter().for_each(|item| engine.item(item));
    assert_eq!(engine.save().unwrap(), state);
    assert!(engine.records().is_empty(), "warming up gives no signals");
}

#[test]
fn books_of_strategies_that_are_not_configured_are_kept_and_told() {
    let state = saved();
    let without = || plans().into_iter().skip(1).collect::<Vec<_>>();
    let (mut first, _) = engine_with(settings(), without(), Arc::new(ManualClock::default()));
    first.load(&state).unwrap();
    let who = |symbol: &str| Notice::NotConfigured { who: format!("sma(2,5)@1m on sim {symbol}") };
    assert_eq!(first.take_notices(), [who("TEST"), who("OTHER")]);
    items(&[], 1).into_iter().for_each(|item| first.item(item));
    let mut again = engine(settings(), plans());
    again.load(&first.save().unwrap()).unwrap();
    items(&[], 1).into_iter().for_each(|item| again.item(item));
    assert_eq!(again.save().unwrap(), state, "the book of sma is there again");
}

#[test]
fn a_state_of_something_else_is_refused() {
    let state = saved();
    let load = |bytes: &[u8]| engine(settings(), plans()).load(bytes).unwrap_err().to_string();
    let mut newer = state.clone();
    newer[0] = 9;
    assert!(matches!(engine(settings(), plans()).load(&newer), Err(StateError::Version { found: 9 })));
    let damaged = "the state of the strategies is damaged; start without it: books begin anew";
    assert_eq!(load(&state[..state.len() - 1]), damaged);
    assert_eq!(load(&[state.as_slice(), &[0]].concat()), damaged);
    assert_eq!(load(&[]), damaged);
}
