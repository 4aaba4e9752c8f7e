//! The twin of P10: a ring with relaxed indices, which ThreadSanitizer must report. It passes on x86 without it, which is
//! why a stress test alone proves nothing about orderings. `scripts/soak` runs it and wants it reported.
#![cfg(not(loom))]
#![allow(unsafe_code, reason = "a data race cannot be written without it; no other code uses this file")]

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 64;

/// One producer, one consumer.
struct RacyRing {
    slots: [UnsafeCell<u64>; SLOTS],
    written: AtomicU64,
    read: AtomicU64,
}

// SAFETY: none: the relaxed indices order no access to the slots. That is the defect which has to be found.
unsafe impl Sync for RacyRing {}

impl RacyRing {
    fn slot(&self, place: u64) -> *mut u64 {
        let index = usize::try_from(place % SLOTS as u64).expect("below the number of slots");
        self.slots[index].get()
    }

    fn push(&self, item: u64) {
        let place = self.written.load(Ordering::Relaxed);
        while place - self.read.load(Ordering::Relaxed) >= SLOTS as u64 {
            std::hint::spin_loop();
        }
        // SAFETY: the slot lies within the ring; that nobody reads it now is what the weak indices fail to show.
        unsafe { *self.slot(place) = item };
        self.written.store(place + 1, Ordering::Relaxed);
    }

    fn pop(&self) -> u64 {
        let place = self.read.load(Ordering::Relaxed);
        while self.written.load(Ordering::Relaxed) == place {
            std::hint::spin_loop();
        }
        // SAFETY: as in `push`.
        let item = unsafe { *self.slot(place) };
        self.read.store(place + 1, Ordering::Relaxed);
        item
    }
}

#[test]
#[ignore = "to be run under ThreadSanitizer, which has to report it"]
fn a_ring_with_relaxed_indices_is_reported() {
    const ITEMS: u64 = 100_000;
    let ring = Arc::new(RacyRing {
        slots: std::array::from_fn(|_| UnsafeCell::new(0)),
        written: AtomicU64::new(0),
        read: AtomicU64::new(0),
    });
    let producer = {
        let ring = ring.clone();
        std::thread::spawn(move || (1..=ITEMS).for_each(|item| ring.push(item)))
    };
    let sum: u64 = (1..=ITEMS).map(|_| ring.pop()).sum();
    producer.join().expect("the producer does not panic");
    assert_eq!(sum, ITEMS * (ITEMS + 1) / 2, "on x86 it even works");
}
