//! The hand-off between two stages: a bounded ring with one credit, and counters that say who waits for whom.
//!
//! Hot path: once per block, never per event. [`LinkSender::is_ready`] is one load.
//!
//! The credit is granted while the consumer has finished every item that was delivered: the sender knows how many it
//! delivered, the receiver publishes how many it has taken and finished. So a grant cannot be lost or given twice.
//!
//! [`link`] leads to storage: the sender waits for room. [`stage_link`] leads from stage to stage of the analysis and is
//! delivered to as its [`LinkMode`] says. The sending thread calls [`LinkSender::register`] once and [`LinkSender::deliver`]
//! for each item; the consumer calls [`LinkReceiver::take`], works, and calls [`LinkReceiver::signal_ready`]. Counters rise
//! for the life of the process: a session or a report shows the difference of two [`LinkWatch::totals`].
//!
//! ```
//! use feedd_core::link::{Delivered, LinkMode, stage_link};
//! use feedd_core::{Stop, SystemClock, wake::Wake};
//! let (mut sender, mut receiver) = stage_link("engine", 1, LinkMode::Live, Wake::new(true).into());
//! let (clock, stop) = (SystemClock::new(), Stop::new());
//! assert_eq!(sender.deliver("bar 1", 1, &clock, &stop), Delivered::Yes { with_credit: true });
//! assert_eq!(sender.deliver("bar 2", 1, &clock, &stop), Delivered::Skipped("bar 2"), "full, and nobody waits");
//! assert_eq!(sender.untold().items, 1, "to be told to the engine before what follows");
//! receiver.take();
//! receiver.signal_ready();
//! assert!(sender.is_ready());
//! ```

use crate::by_instrument::ByInstrument;
use crate::clock::Clock;
use crate::stop::Stop;
use crate::sync::{AtomicU64, Ordering};
use crate::wake::Wake;
use crossbeam_utils::{Backoff, CachePadded};
use feedd_model::{InstrumentId, MonoNanos};
use std::sync::Arc;

mod watch;

pub use watch::{LinkCounters, LinkTotals, LinkWatch, Stall};

/// Longest sleep of a sender that waits, before it looks again by itself.
const LOOK_NANOS: u64 = 1_000_000;

/// What happens to an item while the consumer has not granted its credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkMode {
    /// Delivered anyway, counted as backpressure; when the link is full the item is skipped, counted, and nobody waits.
    Live,
    /// Delivered anyway, counted as backpressure; when the link is full the sender waits for room.
    Clock,
    /// Not delivered: the sender waits for the credit, and only the wait is counted.
    Data,
}

impl LinkMode {
    /// As configured and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Clock => "clock",
            Self::Data => "data",
        }
    }
}

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

    /// How many of `delivered` items have not been taken.
    fn waiting(&self, delivered: u64) -> u64 {
        delivered.saturating_sub(self.taken.load(Ordering::Acquire))
    }

    /// Notes that one more item was taken, and tells a sender that may wait for room. Receiver only.
    pub fn take(&self, sender: Option<&Wake>) {
        self.taken.store(self.taken.load(Ordering::Relaxed) + 1, Ordering::Release);
        if let Some(sender) = sender {
            sender.notify();
        }
    }

    /// Grants the credit for every item taken so far, and tells a sender that may wait for it. Receiver only.
    pub fn grant(&self, sender: Option<&Wake>) {
        // Release pairs with the Acquire in `is_granted`.
        self.finished.store(self.taken.load(Ordering::Relaxed), Ordering::Release);
        // After the grant: either the sender sees it before it sleeps, or it is woken.
        if let Some(sender) = sender {
            sender.notify();
        }
    }
}

#[derive(Debug)]
struct Shared {
    /// Whom it leads to.
    consumer: &'static str,
    mode: LinkMode,
    credit: Credit,
    counters: CachePadded<LinkCounters>,
    /// Events delivered without credit; only of links between stages.
    by_instrument: Option<ByInstrument>,
    wake: Wake,
    /// Of the sender, when it sleeps for room or credit.
    sender: Option<Arc<Wake>>,
}

/// The delivering end.
#[derive(Debug)]
pub struct LinkSender<T> {
    ring: rtrb::Producer<T>,
    shared: Arc<Shared>,
    untold: Skipped,
}

/// The receiving end.
#[derive(Debug)]
pub struct LinkReceiver<T> {
    ring: rtrb::Consumer<T>,
    shared: Arc<Shared>,
}

/// What a consumer was not given since the last item that it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Items.
    pub items: u64,
    /// Events in them.
    pub events: u64,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an item that was skipped is to be told to the consumer"]
pub enum Delivered<T> {
    /// The consumer has it.
    Yes {
        /// Whether it had finished everything before; otherwise this one is counted as backpressure.
        with_credit: bool,
    },
    /// The link is full, and its mode is [`LinkMode::Live`]. Counted.
    Skipped(T),
    /// The consumer is gone, or the stop deadline has passed: nothing more is delivered. Counted as skipped.
    Over(T),
}

/// A link of `capacity` items to storage: delivered to anyway, and waited for when it is full.
///
/// # Panics
/// When `capacity` is 0.
#[must_use]
pub fn link<T>(capacity: usize) -> (LinkSender<T>, LinkReceiver<T>) {
    open(capacity, ("storage", LinkMode::Clock), None, None)
}

/// A link of `capacity` items to the stage `consumer`. `sender` is told when there is room or credit: the wake of the thread
/// that delivers.
///
/// # Panics
/// When `capacity` is 0.
#[must_use]
pub fn stage_link<T>(
    consumer: &'static str,
    capacity: usize,
    mode: LinkMode,
    sender: Arc<Wake>,
) -> (LinkSender<T>, LinkReceiver<T>) {
    open(capacity, (consumer, mode), Some(sender), Some(ByInstrument::default()))
}

fn open<T>(
    capacity: usize,
    (consumer, mode): (&'static str, LinkMode),
    sender: Option<Arc<Wake>>,
    by_instrument: Option<ByInstrument>,
) -> (LinkSender<T>, LinkReceiver<T>) {
    assert!(capacity > 0, "a link holds at least one item");
    let (producer, ring) = rtrb::RingBuffer::new(capacity);
    let (credit, counters, wake) = (Credit::new(), CachePadded::default(), Wake::new(true));
    let shared = Arc::new(Shared { consumer, mode, credit, counters, by_instrument, wake, sender });
    (LinkSender { ring: producer, shared: shared.clone(), untold: Skipped::default() }, LinkReceiver { ring, shared })
}

impl<T> LinkSender<T> {
    /// Names the calling thread as the one that delivers.
    pub fn register(&self) {
        if let Some(sender) = &self.shared.sender {
            sender.register();
        }
    }

    /// How it is delivered.
    #[must_use]
    pub fn mode(&self) -> LinkMode {
        self.shared.mode
    }

    /// Whether the consumer has finished everything delivered: one load.
    #[inline]
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.credit.is_granted(self.shared.counters.items.get())
    }

    /// Whether the last item delivered has not even been taken.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.shared.credit.is_taken(self.shared.counters.items.get())
    }

    /// Whether the mode lets an item be delivered now, or skipped now.
    #[must_use]
    pub fn may_deliver(&self) -> bool {
        match self.shared.mode {
            LinkMode::Live => true,
            LinkMode::Clock => !self.ring.is_full(),
            LinkMode::Data => self.is_ready(),
        }
    }

    /// Delivers `item`, which holds `events` events, or gives it back when the link is full. Tells whether the consumer had
    /// granted its credit.
    ///
    /// # Errors
    /// The item, when there is no room.
    pub fn send(&mut self, item: T, events: u64) -> Result<bool, T> {
        let counters = &self.shared.counters;
        let delivered = counters.items.get();
        let ready = self.shared.credit.is_granted(delivered);
        // What is finished was taken.
        let overrun = !ready && !self.shared.credit.is_taken(delivered);
        let waiting = if overrun { self.shared.credit.waiting(delivered) } else { 0 };
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
        counters.depth_peak.raise(waiting + 1);
        self.untold = Skipped::default();
        self.shared.wake.notify();
        Ok(ready)
    }

    /// Delivers `item`, which holds `events` events, as the mode says: waits where it says so, until the consumer is gone or
    /// the stop deadline has passed. For a thread that has nothing else to do meanwhile.
    pub fn deliver(&mut self, item: T, events: u64, clock: &dyn Clock, stop: &Stop) -> Delivered<T> {
        while !self.wait(clock, LOOK_NANOS) && !self.is_closed() && !stop.is_aborted() {}
        self.end_wait();
        // What may be delivered once may be until it is: this thread alone takes room and credit.
        if self.is_closed() || !self.may_deliver() {
            self.skip(events);
            return Delivered::Over(item);
        }
        match self.send(item, events) {
            Ok(with_credit) => Delivered::Yes { with_credit },
            Err(item) => {
                self.skip(events);
                Delivered::Skipped(item)
            }
        }
    }

    /// Waits until the mode lets an item be delivered, at most about `nanos_max` and not once the consumer is gone; tells
    /// whether it may be. A wait that goes on with the next call is counted once.
    pub fn wait(&self, clock: &dyn Clock, nanos_max: u64) -> bool {
        if self.may_deliver() {
            return true;
        }
        let mut before = clock.mono();
        self.begin_wait(before);
        let (end, backoff) = (before.0.saturating_add(nanos_max), Backoff::new());
        loop {
            if backoff.is_completed() {
                self.sleep(end.saturating_sub(before.0).min(LOOK_NANOS));
            } else {
                backoff.snooze();
            }
            let now = clock.mono();
            self.add_blocked(now.since(before));
            before = now;
            if self.may_deliver() {
                self.end_wait();
                return true;
            }
            if now.0 >= end || self.is_closed() {
                return false;
            }
        }
    }

    fn sleep(&self, nanos: u64) {
        let has_news = || self.may_deliver() || self.is_closed();
        match &self.shared.sender {
            Some(sender) => sender.sleep(nanos, has_news),
            None => crate::sync::nap(nanos),
        }
    }

    /// Notes that the sender began to wait; nothing when it waits already.
    pub(crate) fn begin_wait(&self, now: MonoNanos) {
        let counters = &self.shared.counters;
        if counters.waiting_since.get() == 0 {
            counters.waits.add(1);
            counters.waiting_since.set(now.0.max(1));
        }
    }

    /// Notes that the sender does not wait any more.
    pub(crate) fn end_wait(&self) {
        self.shared.counters.waiting_since.set(0);
    }

    /// Counts time the sender waited for room or credit.
    pub fn add_blocked(&self, nanos: u64) {
        self.shared.counters.blocked_ns.add(nanos);
    }

    /// Counts an item of `events` events that is not delivered.
    pub fn skip(&mut self, events: u64) {
        let counters = &self.shared.counters;
        counters.skipped_items.add(1);
        counters.skipped_events.add(events);
        self.untold.items += 1;
        self.untold.events += events;
    }

    /// What was skipped since the last item that was delivered: to be told to the consumer with or before the next one.
    #[must_use]
    pub const fn untold(&self) -> Skipped {
        self.untold
    }

    /// Counts an event of each of `instruments` as delivered without credit. To be called only then: it costs the good case
    /// nothing. A link to storage does not tell instruments apart.
    pub fn count_instruments(&self, instruments: impl Iterator<Item = InstrumentId>) {
        if let Some(table) = &self.shared.by_instrument {
            instruments.for_each(|instrument| table.add(instrument, 1));
        }
    }

    /// Whether the receiver is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.ring.is_abandoned()
    }

    /// The link's counters, for telemetry.
    #[must_use]
    pub fn watch(&self) -> LinkWatch {
        LinkWatch::new(self.shared.clone())
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
        self.shared.credit.take(self.shared.sender.as_deref());
        Some(item)
    }

    /// Says that everything taken is finished: grants the credit. Once an item is enough, and never too often.
    pub fn signal_ready(&self) {
        self.shared.credit.grant(self.shared.sender.as_deref());
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
        let has_news = || !self.ring.is_empty() || self.ring.is_abandoned();
        // The next item of a block comes within a microsecond or two, and a sleep costs both sides three system calls.
        let backoff = Backoff::new();
        while !backoff.is_completed() {
            if has_news() {
                return;
            }
            backoff.snooze();
        }
        self.shared.wake.sleep(nanos, has_news);
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
        receiver.signal_ready();
        assert!(!sender.is_ready(), "the second item is not finished");
        assert_eq!(receiver.take(), Some(2));
        receiver.signal_ready();
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
                    receiver.signal_ready();
                }
            }
            let watch = sender.watch();
            prop_assert_eq!(watch.counters().backpressure_items.get(), items);
            prop_assert_eq!(watch.counters().backpressure_events.get(), events);
        }
    }
}
