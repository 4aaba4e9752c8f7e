//! Model checks of the two protocols of our own atomics, in every order the memory model allows. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p feedd-core --test loom --release`.
//!
//! Each has a weakened twin that must fail: it shows that the check would notice.
#![cfg(loom)]

use feedd_core::link::Credit;
use feedd_core::wake::Wake;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::thread;

/// A consumer that waits for `expected` published items and sleeps in between: no order of steps may leave it asleep.
fn consume(wake: &Wake, published: &AtomicU64, expected: u64) {
    while published.load(Ordering::Acquire) < expected {
        let seen = published.load(Ordering::Acquire);
        if seen < expected {
            wake.sleep(0, || published.load(Ordering::Acquire) > seen);
        }
    }
}

/// `producers` threads publish `items` each; the consumer must see all of them. (The consumer is a spawned thread
/// because loom takes a late `unpark` for the end of a `join`.)
///
/// `preemptions` bounds how often a thread is interrupted against its will; `None` explores everything.
fn check(producers: usize, items: u64, preemptions: Option<usize>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(move || {
        let wake = Arc::new(Wake::new(true));
        let published = Arc::new(AtomicU64::new(0));
        let consumer = {
            let (wake, published) = (wake.clone(), published.clone());
            thread::spawn(move || {
                wake.register();
                consume(&wake, &published, producers as u64 * items);
            })
        };
        let produce = move |wake: &Wake, published: &AtomicU64| {
            for _ in 0..items {
                published.fetch_add(1, Ordering::Release);
                wake.notify();
            }
        };
        let others: Vec<_> = (1..producers)
            .map(|_| {
                let (wake, published) = (wake.clone(), published.clone());
                thread::spawn(move || produce(&wake, &published))
            })
            .collect();
        produce(&wake, &published);
        for other in others {
            other.join().unwrap();
        }
        consumer.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost() {
    check(1, 2, None);
}

#[test]
fn no_wake_up_is_lost_with_two_producers() {
    // Without a bound the three threads take more than minutes; known protocol errors show within two preemptions.
    check(2, 1, Some(3));
}

/// The wake protocol without its two fences: the producer may miss the sleeper while the sleeper misses the item.
#[test]
#[should_panic(expected = "deadlock")]
fn twin_without_fences_loses_a_wake_up() {
    loom::model(|| {
        let sleeping = Arc::new(AtomicBool::new(false));
        let published = Arc::new(AtomicU64::new(0));
        let consumer = thread::current();
        let producer = {
            let (sleeping, published) = (sleeping.clone(), published.clone());
            thread::spawn(move || {
                published.store(1, Ordering::Release);
                if sleeping.load(Ordering::Acquire) {
                    consumer.unpark();
                }
            })
        };
        sleeping.store(true, Ordering::Release);
        if published.load(Ordering::Acquire) == 0 {
            thread::park();
        }
        producer.join().unwrap();
    });
}

/// A sender with the credit sees everything the receiver did before it granted it, and a grant is never lost.
#[test]
fn credit_carries_what_was_done_before_it() {
    loom::model(|| {
        let credit = Arc::new(Credit::new());
        let done = Arc::new(AtomicU64::new(0));
        assert!(credit.is_granted(0), "initially granted");
        let receiver = {
            let (credit, done) = (credit.clone(), done.clone());
            thread::spawn(move || {
                for item in 1..=2 {
                    credit.take();
                    done.store(item, Ordering::Relaxed);
                    credit.grant();
                }
            })
        };
        for delivered in 1..=2 {
            if credit.is_granted(delivered) {
                assert!(done.load(Ordering::Relaxed) >= delivered, "finished work is visible with its credit");
            }
        }
        receiver.join().unwrap();
        assert!(credit.is_granted(2) && !credit.is_granted(3));
    });
}

/// The credit with a relaxed grant: the work may be invisible to who sees the credit.
#[test]
#[should_panic(expected = "finished work is visible")]
fn twin_with_a_relaxed_grant_shows_unfinished_work() {
    loom::model(|| {
        let finished = Arc::new(AtomicU64::new(0));
        let done = Arc::new(AtomicU64::new(0));
        let receiver = {
            let (finished, done) = (finished.clone(), done.clone());
            thread::spawn(move || {
                done.store(1, Ordering::Relaxed);
                finished.store(1, Ordering::Relaxed);
            })
        };
        if finished.load(Ordering::Acquire) >= 1 {
            assert!(done.load(Ordering::Relaxed) >= 1, "finished work is visible with its credit");
        }
        receiver.join().unwrap();
        fence(Ordering::SeqCst);
    });
}
