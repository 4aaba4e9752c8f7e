//! The hand-off between two stages: a bounded ring with one credit, and counters that say who waits for whom.
//!
//! Hot path: once per block, never per event. [`LinkSender::is_ready`] is one load.
//!
//! The credit is granted while the consumer has finished every item that was delivered: the sender knows how many it
//! delivered, the receiver publishes how many it has taken and finished. So a grant cannot be lost or given twice.

use crate::counters::Counter;
use crate::sync::{AtomicU64, Ordering};
use crate::wake::Wake;
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// What the receiver has done, as the sender sees it. Written by the receiver only.
#[derive(Debug, Default)]
pub struct Credit {
    taken: CachePadded<AtomicU64>,
    finished: CachePadded<AtomicU64>,
}

impl Credit {
    /// Nothing delivered, nothing outstanding: granted.
    #[must_use]
    pub fn new() -> Self {
        Self { taken: CachePadded::new(AtomicU64::new(0)), finished: CachePadded::new(AtomicU64::new(0)) }
    }

    /// Whether all of `delivered` items are finished.
    #[inline]
    #[must_use]
    pub fn is_granted(&self, delivered: u64) -> bool {
        // Acquire pairs with the Release in `grant`: what the consumer did before is visible to who sees the credit.
        self.finished.load(Ordering::Acquire) >= delivered
    }

    /// Whether the last of `delivered` items has been taken.
    #[must_use]
    pub fn is_taken(&self, delivered: u64) -> bool {
        self.taken.load(Ordering::Acquire) >= delivered
    }

    /// Notes that one more item was taken. Receiver only.
    pub fn take(&self) {
        self.taken.store(self.taken.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// Grants the credit for every item taken so far. Receiver only.
    pub fn grant(&self) {
        // Release pairs with the Acquire in `is_granted`.
        self.finished.store(self.taken.load(Ordering::Relaxed), Ordering::Release);
    }
}

/// Counters of a link; each has one writer, the sender.
#[derive(Debug, Default)]
pub struct LinkCounters {
    /// Items delivered.
    pub items: Counter,
    /// Events in delivered items.
    pub events: Counter,
    /// Items delivered without credit.
    pub backpressure_items: Counter,
    /// Events in items delivered without credit.
    pub backpressure_events: Counter,
    /// Items delivered while the one before had not even been taken.
    pub overruns: Counter,
    /// Nanoseconds the sender waited for room.
    pub blocked_ns: Counter,
}

#[derive(Debug)]
struct Shared {
    credit: Credit,
    counters: CachePadded<LinkCounters>,
    wake: Wake,
}

/// The delivering end.
#[derive(Debug)]
pub struct LinkSender<T> {
    ring: rtrb::Producer<T>,
    shared: Arc<Shared>,
}

/// The receiving end.
#[derive(Debug)]
pub struct LinkReceiver<T> {
    ring: rtrb::Consumer<T>,
    shared: Arc<Shared>,
}

/// A read-only view of a link for telemetry.
#[derive(Clone, Debug)]
pub struct LinkWatch {
    shared: Arc<Shared>,
}

/// A link of `capacity` items.
///
/// # Panics
/// When `capacity` is 0.
#[must_use]
pub fn link<T>(capacity: usize) -> (LinkSender<T>, LinkReceiver<T>) {
    assert!(capacity > 0, "a link holds at least one item");
    let (producer, consumer) = rtrb::RingBuffer::new(capacity);
    let shared = Arc::new(Shared { credit: Credit::new(), counters: CachePadded::default(), wake: Wake::new(true) });
    (LinkSender { ring: producer, shared: shared.clone() }, LinkReceiver { ring: consumer, shared })
}

impl<T> LinkSender<T> {
    /// Whether the consumer has finished everything delivered: one load.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.credit.is_granted(self.shared.counters.items.get())
    }

    /// Delivers `item`, which holds `events` events; gives it back when the link is full.
    ///
    /// # Errors
    /// The item, when there is no room.
    pub fn send(&mut self, item: T, events: u64) -> Result<(), T> {
        let counters = &self.shared.counters;
        let delivered = counters.items.get();
        let ready = self.shared.credit.is_granted(delivered);
        let overrun = !self.shared.credit.is_taken(delivered);
        if let Err(rtrb::PushError::Full(item)) = self.ring.push(item) {
            return Err(item);
        }
        counters.items.add(1);
        counters.events.add(events);
        if !ready {
            counters.backpressure_items.add(1);
            counters.backpressure_events.add(events);
        }
        if overrun {
            counters.overruns.add(1);
        }
        self.shared.wake.notify();
        Ok(())
    }

    /// Counts time the sender waited for room.
    pub fn add_blocked(&self, nanos: u64) {
        self.shared.counters.blocked_ns.add(nanos);
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// The link's counters, for telemetry.
    #[must_use]
    pub fn watch(&self) -> LinkWatch {
        LinkWatch { shared: self.shared.clone() }
    }
}

impl<T> LinkReceiver<T> {
    /// Names the calling thread as the consumer.
    pub fn register(&self) {
        self.shared.wake.register();
    }

    /// The next item, if there is one.
    pub fn take(&mut self) -> Option<T> {
        let item = self.ring.pop().ok()?;
        self.shared.credit.take();
        Some(item)
    }

    /// Says that everything taken is finished: grants the credit.
    pub fn finish(&self) {
        self.shared.credit.grant();
    }

    /// Items waiting.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ring.slots()
    }

    /// Whether nothing more can come: the sender is gone and the link is empty.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        // Order matters: an item sent before the sender went is still found.
        self.ring.is_abandoned() && self.ring.is_empty()
    }

    /// Sleeps until an item arrives or the sender goes, at most `nanos`.
    pub fn sleep(&self, nanos: u64) {
        self.shared.wake.sleep(nanos, || !self.ring.is_empty() || self.ring.is_abandoned());
    }
}

impl LinkWatch {
    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &LinkCounters {
        &self.shared.counters
    }

    /// Items delivered and not yet taken, now.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        // Taken first: what is delivered in between only makes the difference larger.
        let taken = self.shared.credit.taken.load(Ordering::Acquire);
        self.shared.counters.items.get().saturating_sub(taken)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_slow_consumer_is_counted_and_a_full_link_gives_the_item_back() {
        let (mut sender, mut receiver) = link::<u32>(2);
        assert!(sender.is_ready());
        sender.send(1, 10).unwrap();
        assert!(!sender.is_ready());
        sender.send(2, 20).unwrap();
        assert_eq!(sender.send(3, 30), Err(3));
        let watch = sender.watch();
        assert_eq!((watch.counters().backpressure_items.get(), watch.counters().backpressure_events.get()), (1, 20));
        assert_eq!((watch.counters().overruns.get(), watch.waiting()), (1, 2));
        assert_eq!(receiver.take(), Some(1));
        assert_eq!(watch.waiting(), 1, "without another delivery");
        receiver.finish();
        assert!(!sender.is_ready(), "the second item is not finished");
        assert_eq!(receiver.take(), Some(2));
        receiver.finish();
        assert!(sender.is_ready());
        drop(sender);
        assert!(receiver.is_ended());
    }

    proptest! {
        /// A consumer that finishes before the next delivery sees no backpressure, one that does not is counted
        /// exactly.
        #[test]
        fn counts_exactly_the_deliveries_without_credit(steps in prop::collection::vec((1u64..100, any::<bool>()), 1..200)) {
            let (mut sender, mut receiver) = link::<u64>(256);
            let (mut items, mut events, mut ready) = (0, 0, true);
            for (size, finishes) in steps {
                sender.send(size, size).unwrap();
                if !ready {
                    items += 1;
                    events += size;
                }
                ready = finishes;
                if finishes {
                    while receiver.take().is_some() {}
                    receiver.finish();
                }
            }
            let watch = sender.watch();
            prop_assert_eq!(watch.counters().backpressure_items.get(), items);
            prop_assert_eq!(watch.counters().backpressure_events.get(), events);
        }
    }
}
