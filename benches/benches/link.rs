//! The hand-off between two stages: the look at the credit, and a delivery with and without it.
//!
//! Both ends are on one thread, so this is the cost of the instructions; `ring.rs` has a link between threads.

use criterion::Criterion;
use feedd_core::link::link;
use std::hint::black_box;

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
            receiver.finish();
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

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    credit_check(&mut criterion);
    send_with_credit(&mut criterion);
    send_without_credit(&mut criterion);
    criterion.final_summary();
}
