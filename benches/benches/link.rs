//! The hand-off between two stages: the look at the credit, and a delivery with and without it.
//!
//! Both ends are on one thread, so this is the cost of the instructions; `ring.rs` has a link between threads.

use criterion::Criterion;
use feedd_core::histogram::Histogram;
use feedd_core::link::{Delivered, LinkMode, link, stage_link};
use feedd_core::wake::Wake;
use feedd_core::{Stop, SystemClock};
use std::hint::black_box;
use std::sync::Arc;

/// Events one item stands for.
const ITEM_EVENTS: u64 = 64;

fn credit_check(criterion: &mut Criterion) {
    let (sender, _receiver) = link::<u64>(4);
    assert!(sender.is_ready(), "initially granted");
    criterion.bench_function("link/is_ready/credit=granted", |bencher| {
        bencher.iter(|| black_box(&sender).is_ready());
    });
}

/// Check, send, take, finish: a consumer that keeps up.
fn send_with_credit(criterion: &mut Criterion) {
    let (mut sender, mut receiver) = link::<u64>(4);
    let watch = sender.watch();
    criterion.bench_function("link/send/credit=granted", |bencher| {
        bencher.iter(|| {
            assert!(sender.is_ready(), "everything delivered is finished");
            sender.send(black_box(7), ITEM_EVENTS).expect("the link is empty");
            assert_eq!(receiver.take(), Some(7));
            receiver.signal_ready();
        });
    });
    let counters = watch.counters();
    assert_eq!(counters.events.get(), counters.items.get() * ITEM_EVENTS, "every event is counted");
    assert_eq!(counters.backpressure_items.get(), 0, "the consumer kept up");
}

/// Send and take without ever granting: each delivery but the first is counted as backpressure.
fn send_without_credit(criterion: &mut Criterion) {
    let (mut sender, mut receiver) = link::<u64>(4);
    let watch = sender.watch();
    criterion.bench_function("link/send/credit=out", |bencher| {
        bencher.iter(|| {
            sender.send(black_box(7), ITEM_EVENTS).expect("the link is empty");
            assert_eq!(receiver.take(), Some(7));
        });
    });
    let counters = watch.counters();
    let without = counters.items.get().saturating_sub(1);
    assert_eq!(counters.backpressure_items.get(), without, "each delivery without credit is counted");
    assert_eq!(counters.overruns.get(), 0, "each item was taken before the next");
}

/// Check and count alone, of a stage that is behind: the link is full, so each delivery ends after its counters.
fn check_and_count(criterion: &mut Criterion) {
    let (mut sender, _receiver) = stage_link::<u64>("engine", 1, LinkMode::Live, Arc::new(Wake::new(true)));
    sender.send(7, ITEM_EVENTS).expect("the link is empty");
    let watch = sender.watch();
    let (clock, stop) = (SystemClock::new(), Stop::new());
    let mut delivered = 0;
    criterion.bench_function("link/check_and_count/mode=live,link=full", |bencher| {
        bencher.iter(|| {
            assert!(!sender.is_ready(), "nothing is finished");
            delivered += 1;
            assert_eq!(sender.deliver(black_box(7), ITEM_EVENTS, &clock, &stop), Delivered::Skipped(7));
        });
    });
    assert_eq!(watch.totals().skipped_items, delivered, "each is counted");
}

/// Check, delivery with its counters, take and grant, as each mode has it.
fn deliver(criterion: &mut Criterion) {
    let (clock, stop) = (SystemClock::new(), Stop::new());
    for mode in [LinkMode::Live, LinkMode::Clock, LinkMode::Data] {
        let (mut sender, mut receiver) = stage_link::<u64>("engine", 4, mode, Arc::new(Wake::new(true)));
        let watch = sender.watch();
        criterion.bench_function(&format!("link/deliver/mode={}", mode.name()), |bencher| {
            bencher.iter(|| {
                let delivered = sender.deliver(black_box(7), ITEM_EVENTS, &clock, &stop);
                assert_eq!(delivered, Delivered::Yes { with_credit: true });
                assert_eq!(receiver.take(), Some(7));
                receiver.signal_ready();
            });
        });
        let totals = watch.totals();
        assert_eq!((totals.backpressure_items, totals.overruns, totals.waits), (0, 0, 0), "the consumer kept up");
    }
}

/// One duration noted.
fn record(criterion: &mut Criterion) {
    let histogram = Histogram::default();
    let (mut value, mut recorded) = (1_u64, 0);
    criterion.bench_function("histogram/record", |bencher| {
        bencher.iter(|| {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            recorded += 1;
            histogram.record(black_box(value >> 40));
        });
    });
    assert_eq!(histogram.snapshot().count(), recorded, "each is counted");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    credit_check(&mut criterion);
    send_with_credit(&mut criterion);
    send_without_credit(&mut criterion);
    check_and_count(&mut criterion);
    deliver(&mut criterion);
    record(&mut criterion);
    criterion.final_summary();
}
