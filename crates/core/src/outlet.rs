//! A source's end of its ring: whole messages go in, in order, once per burst.
//!
//! Hot path: no allocation, lock, log or system call while there is room (crates/venues/tests/no_alloc.rs counts).

use crate::clock::Clock;
use crate::counters::{DROP_RING_FULL, DROP_STOP, DROP_TOO_LARGE, SourceCounters};
use crate::stop::Stop;
use crate::wake::Wake;
use crossbeam_utils::{Backoff, CachePadded};
use feedd_model::{Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, MonoNanos, UnixNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a producer does when its ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FullPolicy {
    /// Wait in the producer's own thread; the socket pushes back.
    Block,
    /// Drop whole messages, count them and mark the hole by a gap event.
    Drop,
}

/// The messages of one read: events in order, and where each message ends.
#[derive(Debug)]
pub struct Burst {
    events: Vec<Event>,
    ends: Vec<usize>,
}

impl Burst {
    /// An empty burst with room for `events` events; grows once when a larger message comes.
    #[must_use]
    pub fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), ends: Vec::with_capacity(64) }
    }

    /// Appends an event to the message that is being built.
    #[inline]
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Ends the message that is being built; a message without events is no message.
    #[inline]
    pub fn end_message(&mut self) {
        if self.events.len() > self.ends.last().copied().unwrap_or(0) {
            self.ends.push(self.events.len());
        }
    }

    /// All events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Forgets everything, keeps the room.
    #[inline]
    pub fn clear(&mut self) {
        self.events.clear();
        self.ends.clear();
    }
}

/// A bound on the events of a run, shared by its sources.
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

impl Budget {
    /// At most about `events` events: each source ends after the message that reaches the bound.
    #[must_use]
    pub fn new(events: u64) -> Self {
        Self(Arc::new(AtomicU64::new(events)))
    }

    /// What is left.
    fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes `n` and tells whether anything was left before.
    fn spend(&self, n: u64) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(n))).unwrap_or(0) > n
    }
}

/// Why a source shall end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// A stop was requested, or the deadline for waiting has passed.
    #[error("stop requested")]
    Stopped,
    /// The bound on events is reached.
    #[error("bound on events reached")]
    Budget,
}

/// What an outlet is made of.
pub struct OutletParts {
    /// The ring.
    pub ring: rtrb::Producer<Event>,
    /// Of the batching thread.
    pub wake: Arc<Wake>,
    /// Of this source.
    pub counters: Arc<CachePadded<SourceCounters>>,
    /// What to do when the ring is full.
    pub policy: FullPolicy,
    /// The run's stop request.
    pub stop: Stop,
    /// Both times.
    pub clock: Arc<dyn Clock>,
    /// Bound on events, if any.
    pub budget: Option<Budget>,
}

/// The producer's handle: publishes bursts, waits or drops when the ring is full.
pub struct Outlet {
    parts: OutletParts,
    /// A quarter of the ring: the reader gets work before the writer is through with a large message.
    publish_max: usize,
    dropped: DroppedSpan,
}

/// What was dropped since the last gap event.
#[derive(Debug, Default)]
struct DroppedSpan {
    events: u64,
    from_ts: Option<UnixNanos>,
    to_ts: Option<UnixNanos>,
}

/// Sleeps of a blocked producer, from the first to the longest: a reader drains a ring in some 50 us, a slow store takes
/// milliseconds.
const BLOCKED_SLEEP_MIN: Duration = Duration::from_micros(10);
const BLOCKED_SLEEP: Duration = Duration::from_micros(320);
/// "No price" in [`SourceCounters::blocked_scale`].
const NO_PRICE: u64 = 255;

impl Outlet {
    /// Wires a producer.
    #[must_use]
    pub fn new(parts: OutletParts) -> Self {
        let publish_max = (parts.ring.buffer().capacity() / 4).max(1);
        Self { parts, publish_max, dropped: DroppedSpan::default() }
    }

    /// Both times.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The run's stop request.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.parts.stop
    }

    /// This source's counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<CachePadded<SourceCounters>> {
        &self.parts.counters
    }

    /// Events until the run's bound is reached. A source with so many waiting publishes them now, so that it ends with
    /// the message that reaches the bound.
    #[inline]
    #[must_use]
    pub fn events_left(&self) -> u64 {
        self.parts.budget.as_ref().map_or(u64::MAX, Budget::left)
    }

    /// Publishes every message of the burst, in order, and empties it.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end now. The burst has been published (or counted as dropped) all the same.
    pub fn publish(&mut self, burst: &mut Burst) -> Result<(), Ended> {
        let events = burst.events.len() as u64;
        let mut start = 0;
        while start < burst.events.len() {
            let end = self.next_cut(burst, start);
            match self.parts.policy {
                FullPolicy::Block => self.push_blocking(&burst.events[start..end]),
                FullPolicy::Drop => self.push_or_drop(&burst.events[start..end]),
            }
            start = end;
        }
        burst.clear();
        if self.parts.stop.is_requested() {
            return Err(Ended::Stopped);
        }
        match &self.parts.budget {
            Some(budget) if events > 0 && !budget.spend(events) => Err(Ended::Budget),
            _ => Ok(()),
        }
    }

    /// Publishes an event of the recorder's own (status).
    ///
    /// # Errors
    /// As [`Outlet::publish`].
    pub fn publish_own(&mut self, event: Event) -> Result<(), Ended> {
        self.parts.counters.events_own.add(1);
        self.push_blocking(&[event]);
        if self.parts.stop.is_requested() { Err(Ended::Stopped) } else { Ok(()) }
    }

    /// End of the longest run of whole messages from `start` that may be published at once; under policy `drop` one
    /// message at a time.
    fn next_cut(&self, burst: &Burst, start: usize) -> usize {
        let first = burst.ends.partition_point(|&end| end <= start);
        if self.parts.policy == FullPolicy::Drop {
            return burst.ends.get(first).copied().unwrap_or(burst.events.len());
        }
        let fitting = burst.ends[first..].iter().take_while(|&&end| end - start <= self.publish_max).last();
        fitting.or(burst.ends.get(first)).copied().unwrap_or(burst.events.len())
    }

    fn push_blocking(&mut self, events: &[Event]) {
        // A message above a quarter of the ring goes in pieces, still in order.
        for piece in events.chunks(self.publish_max) {
            if !self.try_push(piece) && !self.wait_for_room(piece) {
                self.parts.counters.events_dropped.add(DROP_STOP, piece.len() as u64);
            }
        }
    }

    fn push_or_drop(&mut self, message: &[Event]) {
        if self.dropped.events > 0 && self.parts.ring.slots() > message.len() {
            self.publish_gap();
        }
        if self.dropped.events == 0 && self.try_push(message) {
            return;
        }
        let reason = if message.len() > self.parts.ring.buffer().capacity() { DROP_TOO_LARGE } else { DROP_RING_FULL };
        let now = message.first().and_then(Event::recv_ts);
        self.dropped.from_ts = self.dropped.from_ts.or(now);
        self.dropped.to_ts = now.or(self.dropped.to_ts);
        self.dropped.events += message.len() as u64;
        self.parts.counters.events_dropped.add(reason, message.len() as u64);
    }

    /// Marks the hole that the policy has cut; there is room for one event and the next message.
    fn publish_gap(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        let gap = Gap {
            reason: GapReason::RingFull,
            first_missing: None,
            last_missing: None,
            from_ts: dropped.from_ts,
            to_ts: dropped.to_ts,
            events: Some(dropped.events),
        };
        self.mark_gap(gap);
    }

    /// Marks a hole by an event of the recorder's own, received when the hole ended. False when there is no room.
    pub fn mark_gap(&mut self, gap: Gap) -> bool {
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: gap.to_ts, flags: Flags::NONE };
        let marked = self.try_push(&[Event::new(head, EventBody::Gap(gap))]);
        if marked {
            self.parts.counters.events_own.add(1);
            self.parts.counters.gaps.add(1);
        }
        marked
    }

    /// Puts all of `events` into the ring, or nothing.
    #[inline]
    fn try_push(&mut self, events: &[Event]) -> bool {
        if self.parts.ring.push_entire_slice(events).is_err() {
            return false;
        }
        self.parts.counters.events_published.add(events.len() as u64);
        self.parts.wake.notify();
        true
    }

    /// Waits until `piece` fits. False when the stop deadline passed first.
    #[cold]
    fn wait_for_room(&mut self, piece: &[Event]) -> bool {
        let start = self.parts.clock.mono();
        self.announce_wait(start, piece);
        let backoff = Backoff::new();
        let mut sleep = BLOCKED_SLEEP_MIN;
        let done = loop {
            if self.try_push(piece) {
                break true;
            }
            if self.parts.ring.is_abandoned() || self.parts.stop.is_aborted() {
                break false;
            }
            if backoff.is_completed() {
                std::thread::park_timeout(sleep);
                sleep = (sleep * 2).min(BLOCKED_SLEEP);
            } else {
                backoff.snooze();
            }
        };
        let counters = &self.parts.counters;
        counters.blocked_ns.add(self.parts.clock.mono().since(start));
        counters.blocked_times.add(1);
        counters.blocked_since.set(0);
        done
    }

    /// Lets telemetry say which event waits.
    fn announce_wait(&self, start: MonoNanos, piece: &[Event]) {
        let counters = &self.parts.counters;
        let first = piece.first();
        let price = first.and_then(|event| match event.body() {
            EventBody::Trade(trade) => Some(trade.price),
            EventBody::Quote(quote) => quote.bid.or(quote.ask),
            EventBody::Level(level) => Some(level.price),
            _ => None,
        });
        counters.blocked_instrument.set(first.map_or(0, |event| u64::from(event.instrument().0)));
        counters.blocked_price.store(price.map_or(0, |p| p.mantissa()), Ordering::Relaxed);
        counters.blocked_scale.set(price.map_or(NO_PRICE, |p| u64::from(p.scale())));
        counters.blocked_since.set(start.0.max(1));
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        if self.dropped.events > 0 {
            // The last hole is marked too; the batching thread is still draining.
            let room = || self.parts.ring.slots() > 0 || self.parts.stop.is_aborted() || self.parts.ring.is_abandoned();
            while !room() {
                std::thread::park_timeout(BLOCKED_SLEEP);
            }
            self.publish_gap();
        }
        self.parts.wake.notify();
    }
}
