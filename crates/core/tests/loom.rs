//! Model checks of the protocols of our own atomics, in every order the memory model allows. Run with
//! `RUSTFLAGS="--cfg loom" cargo test -p feedd-core --test loom --release`.
//!
//! Each has a weakened twin that must fail: it shows that the check would notice.
#![cfg(loom)]

use feedd_core::link::Credit;
use feedd_core::probe::Probe;
use feedd_core::wake::Wake;
use feedd_model::MonoNanos;
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
                    credit.take(None);
                    done.store(item, Ordering::Relaxed);
                    credit.grant(None);
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

/// A sender that has delivered two items and waits for each as one of the modes has it, until the consumer has finished
/// (data) or taken (clock) it: no order of steps leaves it asleep. (The sender is the spawned thread: see `check`.)
fn check_waiting_sender(may_deliver: fn(&Credit, u64) -> bool) {
    let mut model = loom::model::Builder::new();
    // As with two producers: without a bound it takes more than minutes.
    model.preemption_bound = Some(3);
    model.check(move || {
        let (credit, sender) = (Arc::new(Credit::new()), Arc::new(Wake::new(true)));
        let sending = {
            let (credit, sender) = (credit.clone(), sender.clone());
            thread::spawn(move || {
                sender.register();
                for item in 1..=2 {
                    while !may_deliver(&credit, item) {
                        sender.sleep(0, || may_deliver(&credit, item));
                    }
                }
            })
        };
        for _ in 1..=2 {
            credit.take(Some(&sender));
            credit.grant(Some(&sender));
        }
        sending.join().unwrap();
    });
}

#[test]
fn a_sender_that_waits_for_the_credit_gets_it() {
    check_waiting_sender(Credit::is_granted);
}

#[test]
fn a_sender_that_waits_for_room_gets_it() {
    check_waiting_sender(Credit::is_taken);
}

/// A consumer that tells the sender first and grants then: the sender may look in between, and sleep on.
#[test]
#[should_panic(expected = "deadlock")]
fn twin_that_tells_before_it_grants_leaves_the_sender_asleep() {
    loom::model(|| {
        // Leaked: while loom unwinds a thread that is asleep for ever, its own `Arc` may not be dropped.
        let sleeping: &AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let finished: &AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
        let sender = thread::current();
        let receiver = thread::spawn(move || {
            fence(Ordering::SeqCst);
            if sleeping.load(Ordering::Acquire) {
                sender.unpark();
            }
            finished.store(1, Ordering::Release);
        });
        sleeping.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        if finished.load(Ordering::Acquire) == 0 {
            thread::park();
        }
        receiver.join().unwrap();
    });
}

/// Whoever meets the measured event sees its own time, and never that of another.
#[test]
fn a_measured_event_is_met_with_its_own_time() {
    loom::model(|| {
        let probe = Arc::new(Probe::new());
        let published = Arc::new(AtomicU64::new(0));
        let producer = {
            let (probe, published) = (probe.clone(), published.clone());
            thread::spawn(move || {
                for item in 1..=2 {
                    probe.send(item, MonoNanos(item * 10));
                    published.store(item, Ordering::Release);
                }
            })
        };
        let mut met = 0;
        for _ in 0..2 {
            if let Some(at) = probe.take(published.load(Ordering::Acquire)) {
                assert!(at.0 > met && (at.0 == 10 || at.0 == 20), "the time of the measured event");
                met = at.0;
            }
        }
        producer.join().unwrap();
    });
}

/// The probe with a relaxed position: the event may be met before its time is seen.
#[test]
#[should_panic(expected = "the time of the measured event")]
fn twin_with_a_relaxed_position_meets_no_time() {
    loom::model(|| {
        let (position, at) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let producer = {
            let (position, at) = (position.clone(), at.clone());
            thread::spawn(move || {
                at.store(10, Ordering::Relaxed);
                position.store(1, Ordering::Relaxed);
            })
        };
        if position.load(Ordering::Acquire) == 1 {
            assert_eq!(at.load(Ordering::Relaxed), 10, "the time of the measured event");
        }
        producer.join().unwrap();
    });
}
