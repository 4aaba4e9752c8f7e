//! A link is delivered to as its mode says, and every delivery, skip and wait is counted once.
#![cfg(not(loom))]

use feedd_core::link::{Delivered, LinkMode, LinkReceiver, LinkSender, LinkTotals, Skipped, stage_link};
use feedd_core::wake::Wake;
use feedd_core::{Clock, Stop, SystemClock};
use feedd_model::{InstrumentId, MonoNanos};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

const MODES: [LinkMode; 3] = [LinkMode::Live, LinkMode::Clock, LinkMode::Data];
const SECOND: u64 = 1_000_000_000;

fn stage(mode: LinkMode, capacity: usize) -> (LinkSender<u64>, LinkReceiver<u64>) {
    stage_link("engine", capacity, mode, Arc::new(Wake::new(true)))
}

/// What a script does.
#[derive(Clone, Debug)]
enum Step {
    /// The sender delivers an item of so many events, if the mode lets it.
    Deliver(u64),
    /// The consumer takes an item.
    Take,
    /// The consumer says that it has finished what it took.
    Ready,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u64..100).prop_map(Step::Deliver),
        3 => Just(Step::Take),
        2 => Just(Step::Ready),
    ];
    prop::collection::vec(step, 0..300)
}

/// The link in words, without atomics: what is waiting, what is taken and not finished.
#[derive(Default)]
struct Model {
    waiting: VecDeque<u64>,
    unfinished: u64,
    totals: LinkTotals,
    untold: Skipped,
}

impl Model {
    fn deliver(&mut self, events: u64, capacity: usize) -> Delivered<u64> {
        if self.waiting.len() == capacity {
            self.totals.skipped_items += 1;
            self.totals.skipped_events += events;
            self.untold = Skipped { items: self.untold.items + 1, events: self.untold.events + events };
            return Delivered::Skipped(events);
        }
        let with_credit = self.waiting.is_empty() && self.unfinished == 0;
        self.totals.items += 1;
        self.totals.events += events;
        if !with_credit {
            self.totals.backpressure_items += 1;
            self.totals.backpressure_events += events;
        }
        self.totals.overruns += u64::from(!self.waiting.is_empty());
        self.untold = Skipped::default();
        self.waiting.push_back(events);
        Delivered::Yes { with_credit }
    }
}

proptest! {
    /// Whatever sender and consumer do, and in whatever order: what is counted is what happened.
    #[test]
    fn counts_are_exact(mode in prop::sample::select(&MODES[..]), capacity in 1usize..6, steps in steps()) {
        let (clock, stop) = (SystemClock::new(), Stop::new());
        let (mut sender, mut receiver) = stage(mode, capacity);
        let (watch, mut model) = (sender.watch(), Model::default());
        for step in steps {
            match step {
                Step::Deliver(events) => {
                    let is_granted = model.waiting.is_empty() && model.unfinished == 0;
                    prop_assert_eq!(sender.is_ready(), is_granted);
                    let may = match mode {
                        LinkMode::Live => true,
                        LinkMode::Clock => model.waiting.len() < capacity,
                        LinkMode::Data => is_granted,
                    };
                    prop_assert_eq!(sender.may_deliver(), may);
                    if may {
                        let expected = model.deliver(events, capacity);
                        prop_assert_eq!(sender.deliver(events, events, &clock, &stop), expected);
                    }
                }
                Step::Take => {
                    let item = model.waiting.pop_front();
                    model.unfinished += u64::from(item.is_some());
                    prop_assert_eq!(receiver.take(), item);
                }
                Step::Ready => {
                    receiver.signal_ready();
                    model.unfinished = 0;
                }
            }
            prop_assert_eq!(sender.untold(), model.untold);
            prop_assert_eq!(watch.totals(), model.totals);
            prop_assert_eq!(watch.waiting(), model.waiting.len() as u64);
        }
        if mode == LinkMode::Data {
            prop_assert_eq!(watch.totals().backpressure_items + watch.totals().overruns, 0);
        }
    }

    /// A consumer that has finished each item before the next one comes: nothing is counted but the deliveries, in any mode.
    #[test]
    fn a_fast_consumer_is_never_counted(
        mode in prop::sample::select(&MODES[..]),
        capacity in 1usize..6,
        items in prop::collection::vec(0u64..5_000, 0..200),
    ) {
        let (clock, stop) = (SystemClock::new(), Stop::new());
        let (mut sender, mut receiver) = stage(mode, capacity);
        for &events in &items {
            prop_assert_eq!(sender.deliver(events, events, &clock, &stop), Delivered::Yes { with_credit: true });
            prop_assert_eq!(receiver.take(), Some(events));
            receiver.signal_ready();
        }
        let (items, events) = (items.len() as u64, items.iter().sum());
        prop_assert_eq!(sender.watch().totals(), LinkTotals { items, events, ..LinkTotals::default() });
    }
}

/// Takes everything until the sender is gone.
fn consume(mut receiver: LinkReceiver<u64>) -> Vec<u64> {
    receiver.register();
    let mut got = Vec::new();
    while !receiver.is_ended() {
        match receiver.take() {
            Some(item) => {
                got.push(item);
                receiver.signal_ready();
            }
            None => receiver.sleep(SECOND),
        }
    }
    got
}

/// A sender that waits is woken by what it waits for: with sleeps until the next wake-up of a second each, a lost one would
/// take hours.
#[test]
fn everything_arrives_in_order_where_the_sender_waits() {
    for mode in [LinkMode::Clock, LinkMode::Data] {
        for capacity in [1, 4] {
            let (mut sender, receiver) = stage(mode, capacity);
            let consumer = std::thread::spawn(move || consume(receiver));
            sender.register();
            let (clock, stop) = (SystemClock::new(), Stop::new());
            for item in 0..5_000 {
                assert!(matches!(sender.deliver(item, 2, &clock, &stop), Delivered::Yes { .. }));
            }
            let watch = sender.watch();
            drop(sender);
            assert_eq!(consumer.join().unwrap(), (0..5_000).collect::<Vec<_>>());
            let totals = watch.totals();
            assert_eq!((totals.items, totals.events, totals.skipped_items), (5_000, 10_000, 0));
            assert_eq!(totals.waits > 0, totals.blocked_ns > 0, "a wait takes time, and nothing else does");
            assert_eq!(watch.counters().waiting_since.get(), 0, "nobody waits any more");
            if mode == LinkMode::Data {
                assert_eq!((totals.backpressure_items, totals.overruns), (0, 0));
            }
        }
    }
}

#[test]
fn a_stalled_consumer_is_named_and_waiting_goes_on_until_it_is_gone() {
    for mode in [LinkMode::Clock, LinkMode::Data] {
        let (mut sender, receiver) = stage(mode, 1);
        let (clock, stop) = (SystemClock::new(), Stop::new());
        assert_eq!(sender.deliver(1, 1, &clock, &stop), Delivered::Yes { with_credit: true });
        let watch = sender.watch();
        assert_eq!(watch.stall(MonoNanos(u64::MAX), 0), None, "nobody waits");
        for _ in 0..3 {
            assert!(!sender.wait(&clock, 100_000), "{mode:?}: a wait is bounded");
        }
        let since = watch.counters().waiting_since.get();
        let stall = watch.stall(MonoNanos(since + 5_250_000_000), 5 * SECOND).unwrap();
        assert_eq!(stall.to_string(), "engine has stalled: waited for 5.2 s, 1 item not finished");
        assert_eq!(stall.since, MonoNanos(since), "one wait, however often it was looked");
        assert_eq!(watch.stall(MonoNanos(since + 5 * SECOND), 5 * SECOND), None, "not yet");
        let totals = watch.totals();
        assert_eq!(totals.waits, 1);
        assert!(totals.blocked_ns >= 300_000 && totals.blocked_ns <= clock.mono().0, "{totals:?}");
        let gone = std::thread::spawn(move || drop(receiver));
        assert_eq!(sender.deliver(2, 7, &clock, &stop), Delivered::Over(2), "{mode:?}");
        gone.join().unwrap();
        let after = watch.totals().since(&totals);
        assert_eq!((after.items, after.skipped_items, after.skipped_events, after.waits), (0, 1, 7, 0));
        assert_eq!(watch.counters().waiting_since.get(), 0);
    }
}

#[test]
fn nobody_waits_beyond_the_stop_deadline() {
    let (mut sender, _receiver) = stage(LinkMode::Data, 2);
    let (clock, stop) = (SystemClock::new(), Stop::new());
    assert_eq!(sender.deliver(1, 1, &clock, &stop), Delivered::Yes { with_credit: true });
    stop.abort();
    assert_eq!(sender.deliver(2, 1, &clock, &stop), Delivered::Over(2));
}

#[test]
fn what_was_delivered_without_credit_is_told_apart_by_instrument() {
    let (mut sender, _receiver) = stage(LinkMode::Live, 3);
    let (clock, stop) = (SystemClock::new(), Stop::new());
    for (item, instrument) in [7, 7, 9].into_iter().enumerate() {
        if let Delivered::Yes { with_credit: false } = sender.deliver(item as u64, 1, &clock, &stop) {
            sender.count_instruments([instrument, instrument].map(InstrumentId).into_iter());
        }
    }
    assert_eq!(sender.watch().by_instrument(), [(InstrumentId(7), 2), (InstrumentId(9), 2)]);
}
