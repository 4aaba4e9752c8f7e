//! Strategies that panic, take their time or never return, and their neighbours.

use super::market::{bar, bar_of};
use super::{OTHER, TEST, bars, built_in, engine, engine_with, on_minutes, plan, script, seen};
use crate::engine::{Ended, EngineShared, Input, Notice, Overlong, Settings};
use crate::flow::Item;
use crate::strategies::{Orders, Strategy, Subscription};
use feedd_core::{ManualClock, SystemClock};
use feedd_model::{Bar, Derived, Signal, UnixNanos};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

/// Closes on which `sma(2,4)` signals.
fn closes() -> Vec<Bar> {
    let closes = ["10", "9", "8", "7", "6", "9", "12", "12", "12", "12", "12", "9", "9"];
    closes.iter().zip(1i64..).map(|(close, minute)| bar(minute * 60, close)).collect()
}

const SMA: (&str, &[(&str, &str)]) = ("sma", &[("fast", "2"), ("slow", "4")]);

fn signals(records: &[Derived]) -> Vec<Signal> {
    let signal = |record: &Derived| if let Derived::Signal(signal) = record { Some(*signal) } else { None };
    records.iter().filter_map(signal).collect()
}

/// What `sma(2,4)` says when it is alone.
fn alone() -> Vec<Signal> {
    let mut engine = engine(Settings::default(), vec![built_in(1, SMA.0, SMA.1)]);
    bars(&closes()).into_iter().for_each(|item| engine.item(item));
    let signals = signals(engine.records());
    assert_eq!(signals.len(), 2);
    signals
}

#[test]
fn a_panic_stops_one_strategy_for_one_symbol() {
    let (bad, log) = script(0, "bad", on_minutes(), |bar, orders| {
        orders.buy(1.0);
        assert!(bar.close.to_string() != "8", "no idea what to do at {}", bar.close);
    });
    let (mut engine, counters) =
        engine_with(Settings::default(), vec![bad, built_in(1, SMA.0, SMA.1)], Arc::new(SystemClock::new()));
    let mut all = closes();
    all.push(bar_of(OTHER, 60, "5"));
    bars(&all).into_iter().for_each(|item| engine.item(item));
    let mine: Vec<_> =
        signals(engine.records()).iter().map(|s| (s.strategy.0, s.instrument.0, s.at.0 / 60_000_000_000)).collect();
    // Nothing that the panicking call asked for.
    assert_eq!(mine, [(100, 1, 1), (100, 1, 2), (101, 1, 7), (101, 1, 12), (100, 2, 1)]);
    assert_eq!(seen(&log), ["added 1", "bar 60 10", "bar 120 9", "bar 180 8", "added 2", "bar 60 5"]);
    let message = "no idea what to do at 8".to_owned();
    assert_eq!(engine.take_notices(), [Notice::Panicked { who: "bad on sim TEST".to_owned(), message }]);
    let bad = &counters.engine.strategies[0];
    assert_eq!((bad.panics.get(), bad.suspended.get(), bad.running_since.get()), (1, 1, 0));
    assert_eq!((bad.calls.get(), bad.signals.get(), counters.engine.cycles.get()), (6, 3, 14));
    assert_eq!(counters.engine.strategies[1].suspended.get(), 0);
}

/// Takes 20 ms of the clock at each bar, and none from the bar of minute 30 on.
struct Late(Arc<ManualClock>);

impl Strategy for Late {
    fn subscription(&self) -> Subscription {
        on_minutes()
    }

    fn reset(&mut self) {}

    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders) {
        if bar.end.0 < 30 * 60_000_000_000 {
            self.0.advance(20_000_000);
        }
        orders.buy(0.0);
    }
}

fn late(overlong: Overlong) -> (Vec<Notice>, usize, u64) {
    let clock = Arc::new(ManualClock::default());
    let its = clock.clone();
    let plan = plan(0, "late", move || Box::new(Late(its.clone())));
    let (mut engine, counters) = engine_with(Settings { overlong, ..Settings::default() }, vec![plan], clock);
    let all: Vec<_> = (1..=40).map(|minute| bar(minute * 60, "1")).collect();
    bars(&all).into_iter().for_each(|item| engine.item(item));
    let signals = signals(engine.records()).len();
    (engine.take_notices(), signals, counters.engine.strategies[0].overlong.get())
}

#[test]
fn overlong_calls_are_counted_and_told_now_and_then() {
    let (notices, signals, overlong) = late(Overlong::Warn);
    let told = |row, total| Notice::Overlong { who: "late on sim TEST".to_owned(), took_ns: 20_000_000, row, total };
    assert_eq!(notices, [told(1, 1), told(10, 10)]);
    assert_eq!((signals, overlong), (40, 29));
    let text = "late on sim TEST takes too long: 20.000 ms in its last call, 10 in a row, 10 in all";
    assert_eq!(notices[1].to_string(), text);
}

#[test]
fn a_strategy_that_is_too_slow_is_stopped_when_that_is_the_policy() {
    let (notices, signals, overlong) = late(Overlong::Suspend);
    assert_eq!(notices[1], Notice::TooSlow { who: "late on sim TEST".to_owned(), row: 10 });
    assert_eq!((notices.len(), signals, overlong), (2, 10, 10));
}

#[test]
fn a_slow_neighbour_changes_nothing_for_the_others() {
    let slow = built_in(0, "slow", &[("millis", "3")]);
    let settings = Settings { call_ns_max: 1_000_000, ..Settings::default() };
    let (mut engine, counters) =
        engine_with(settings, vec![slow, built_in(1, SMA.0, SMA.1)], Arc::new(SystemClock::new()));
    bars(&closes()).into_iter().for_each(|item| engine.item(item));
    assert_eq!(signals(engine.records()), alone());
    // It sleeps for longer than allowed, however long the machine takes besides.
    assert_eq!(counters.engine.strategies[0].overlong.get(), 13);
}

/// Blocks at the third bar until it is told to go on.
struct Stuck {
    bars: u32,
    entered: SyncSender<()>,
    release: Arc<Mutex<Receiver<()>>>,
}

impl Strategy for Stuck {
    fn subscription(&self) -> Subscription {
        on_minutes()
    }

    fn reset(&mut self) {}

    fn on_bar(&mut self, _: &Bar, orders: &mut Orders) {
        self.bars += 1;
        orders.sell(0.0);
        if self.bars == 3 {
            self.entered.send(()).unwrap();
            self.release.lock().unwrap().recv().unwrap();
        }
    }
}

/// Items that are there already.
struct Ready(VecDeque<Item>);

impl Input for Ready {
    fn register(&mut self) {}

    fn take(&mut self) -> Option<Item> {
        self.0.pop_front()
    }

    fn finish(&mut self) {}

    fn is_ended(&self) -> bool {
        self.0.is_empty()
    }

    fn sleep(&self, _: u64) {}
}

#[test]
fn a_call_that_never_returns_is_left_behind_and_the_others_go_on_at_the_same_place() {
    let (entered, has_entered) = sync_channel(1);
    let (release, released) = sync_channel(1);
    let released = Arc::new(Mutex::new(released));
    let stuck =
        plan(0, "stuck", move || Box::new(Stuck { bars: 0, entered: entered.clone(), release: released.clone() }));
    let clock = Arc::new(ManualClock::at(UnixNanos(0)));
    clock.advance(1);
    let (engine, counters) = engine_with(Settings::default(), vec![stuck, built_in(1, SMA.0, SMA.1)], clock.clone());
    let (shared, first) = EngineShared::new(engine, Box::new(Ready(bars(&closes()).into())), 5_000_000_000);
    let run = |shift| {
        let shared = shared.clone();
        std::thread::spawn(move || shared.run(&shift))
    };
    let first = run(first);
    has_entered.recv().unwrap();
    assert!(counters.engine.strategies[0].running_since.get() > 0, "who looks at the counters sees the call");
    clock.advance(4_999_999_999);
    assert_eq!(shared.supervise(), None, "it may still return");
    clock.advance(1);
    let second = shared.supervise().unwrap();
    assert_eq!(shared.supervise(), None, "one thread is enough");
    assert_eq!(run(second).join().unwrap(), Ended::Finished);
    shared.with(|engine| {
        let records = signals(engine.records());
        let others: Vec<_> =
            records.iter().filter(|signal| signal.strategy.0 == 101).map(|s| Signal { number: 0, ..*s }).collect();
        assert_eq!(others, alone().iter().map(|s| Signal { number: 0, ..*s }).collect::<Vec<_>>());
        assert_eq!(records.len(), 4, "two of the stuck one, from before");
        assert_eq!(engine.figures().hangs, 1);
    });
    let counted = &counters.engine.strategies[0];
    assert_eq!((counted.suspended.get(), counted.running_since.get()), (1, 0));
    assert_eq!(counters.engine.cycles.get(), 13);
    release.send(()).unwrap();
    assert_eq!(first.join().unwrap(), Ended::Replaced, "it comes back, and finds that it is over");
    shared.with(|engine| assert_eq!(signals(engine.records()).len(), 4, "what it asked for does not count"));
}

#[test]
fn the_end_of_the_input_is_the_end_of_the_work() {
    let (mut sender, receiver) = feedd_core::link::link::<Item>(64);
    let (plan, log) = script(0, "script", on_minutes(), |_, _| {});
    let engine = engine(Settings::default(), vec![plan]);
    let (shared, shift) = EngineShared::new(engine, Box::new(receiver), 5_000_000_000);
    let watch = sender.watch();
    let thread = std::thread::spawn(move || shared.run(&shift));
    for item in bars(&closes()) {
        sender.send(item, 1).unwrap();
    }
    drop(sender);
    assert_eq!(thread.join().unwrap(), Ended::Finished);
    assert_eq!(seen(&log).len(), 14);
    assert_eq!((watch.waiting(), TEST.0), (0, 1));
}
