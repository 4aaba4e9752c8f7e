//! A source's end of its ring: whole messages go in, in order, once per burst.
//!
//! Hot path: no allocation, lock, log or system call while there is room (crates/venues/tests/no_alloc.rs counts).

use crate::clock::{Clock, StepWatch};
use crate::counters::{DROP_RING_FULL, DROP_STOP, DROP_TOO_LARGE, SourceCounters};
use crate::stop::Stop;
use crate::wake::Wake;
use crossbeam_utils::{Backoff, CachePadded};
use feedd_model::{
    Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, MonoNanos, Status, StatusCode, UnixNanos,
};
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
    /// Of the events: those of the recorder's own.
    own: usize,
}

impl Burst {
    /// An empty burst with room for `events` events; grows once when a larger message comes.
    #[must_use]
    pub fn with_capacity(events: usize) -> Self {
        Self { events: Vec::with_capacity(events), ends: Vec::with_capacity(64), own: 0 }
    }

    /// Appends an event to the message that is being built.
    #[inline]
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Appends an event of the recorder's own (gap, status), as a message: a run's bound does not count it.
    pub fn push_own(&mut self, event: Event) {
        self.push(event);
        self.end_message();
        self.own += 1;
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
        self.own = 0;
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

/// When a burst left its socket, by the recorder's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The receive time of its events.
    pub at: UnixNanos,
    /// Flags of its events: [`Flags::DOUBTFUL_CLOCK`] when the clock was set since the burst before.
    pub flags: Flags,
    /// How far it was set: forward, back when negative, 0 when it was not.
    pub step_ns: i64,
}

/// The producer's handle: publishes bursts, waits or drops when the ring is full.
pub struct Outlet {
    parts: OutletParts,
    /// A quarter of the ring: the reader gets work before the writer is through with a large message.
    publish_max: usize,
    dropped: DroppedSpan,
    steps: StepWatch,
    /// Whether the thread gives signs of life.
    is_heard: bool,
    /// Monotonic time of the last measurement, ns.
    sampled_at: u64,
    /// When what is published left its socket; none when it came from nowhere, or long ago.
    received_at: Option<MonoNanos>,
}

/// What was dropped since the last gap event.
#[derive(Debug, Default)]
struct DroppedSpan {
    events: u64,
    from_ts: Option<UnixNanos>,
    to_ts: Option<UnixNanos>,
}

/// How long a blocked producer stays awake, giving its core to others: the reader drains a ring in some 50 us, and a sleep
/// takes that long by itself, in which the ring would run empty.
const BLOCKED_AWAKE_NANOS: u64 = 200_000;
/// Sleeps of a blocked producer after that, from the first to the longest: a slow store takes milliseconds.
const BLOCKED_SLEEP_MIN: Duration = Duration::from_micros(10);
const BLOCKED_SLEEP: Duration = Duration::from_micros(320);
/// Shortest time between two measurements, as far as the clock is read anyway: 10,000 a second cost below 0.1 % of a core.
const SAMPLE_NANOS: u64 = 100_000;
/// A producer that never reads the clock reads it once in so many events, a power of two: some 0.01 ns an event.
const SAMPLE_EVENTS: u64 = 4_096;
/// "No price" in [`SourceCounters::blocked_scale`].
const NO_PRICE: u64 = 255;

impl Outlet {
    /// Wires a producer.
    #[must_use]
    pub fn new(parts: OutletParts) -> Self {
        let publish_max = (parts.ring.buffer().capacity() / 4).max(1);
        Self {
            parts,
            publish_max,
            dropped: DroppedSpan::default(),
            steps: StepWatch::default(),
            is_heard: true,
            sampled_at: 0,
            received_at: None,
        }
    }

    /// The same for a thread whose life is not watched here: a stage of the analysis, which may hang without harm to the
    /// recording.
    #[must_use]
    pub const fn unheard(mut self) -> Self {
        self.is_heard = false;
        self
    }

    /// A sign of life of the source's thread: to be given at least once a second, also while it waits, unless it publishes or
    /// stamps what it receives. Reads the clock.
    pub fn beat(&self) {
        self.beat_at(self.parts.clock.mono());
    }

    /// The same for a thread that has read the clock.
    #[inline]
    pub fn beat_at(&self, now: MonoNanos) {
        if self.is_heard {
            self.parts.counters.beat_at.set(now.0.max(1));
        }
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

    /// Stamps what leaves the socket now: once a burst, before its events are built. `waiting` is what was received
    /// before and is not published yet: when the wall clock was set since, it is published first, and then the mark of
    /// the step, so that the mark stands between the last event with the old time and the first with the new one.
    ///
    /// A stop or a reached bound is told by the next [`Outlet::publish`].
    #[inline]
    pub fn received(&mut self, waiting: &mut Burst) -> Received {
        let look = self.steps.look(&*self.parts.clock);
        let now = self.steps.looked_at();
        self.beat_at(now);
        self.received_at = Some(now);
        let received = Received { at: look.wall, flags: Flags::NONE, step_ns: look.step_ns };
        if look.step_ns == 0 { received } else { self.mark_step(received, waiting) }
    }

    #[cold]
    fn mark_step(&mut self, received: Received, waiting: &mut Burst) -> Received {
        let received = Received { flags: Flags::DOUBTFUL_CLOCK, ..received };
        let (at, step_ns) = (Some(received.at), received.step_ns);
        let counters = &self.parts.counters;
        counters.clock_step_ns.store(step_ns, Ordering::Relaxed);
        counters.clock_steps.add(1);
        // What they answer, the next burst is answered, too.
        let _ = self.publish(waiting);
        let code = if step_ns > 0 { StatusCode::ClockForward } else { StatusCode::ClockBack };
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: at, flags: received.flags };
        let status = Status { code, detail: step_ns.unsigned_abs() };
        let _ = self.publish_own(Event::new(head, EventBody::Status(status)));
        received
    }

    /// Publishes every message of the burst, in order, and empties it.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end now. The burst has been published (or counted as dropped) all the same.
    #[inline]
    pub fn publish(&mut self, burst: &mut Burst) -> Result<(), Ended> {
        let published = self.offer(burst);
        burst.clear();
        published
    }

    /// The same for a burst that stays as it is.
    ///
    /// # Errors
    /// As [`Outlet::publish`].
    #[inline]
    pub fn offer(&mut self, burst: &Burst) -> Result<(), Ended> {
        let events = burst.events.len();
        // Mostly all of it goes in at once.
        let is_whole = events <= self.publish_max && self.parts.policy == FullPolicy::Block;
        if events > 0 && !(is_whole && self.try_push(&burst.events)) {
            self.push_by_messages(burst);
        }
        if events == 0 {
            // What was received is published: what comes now was received later.
            self.received_at = None;
        }
        if self.parts.stop.is_requested() {
            return Err(Ended::Stopped);
        }
        match &self.parts.budget {
            Some(budget) if events > burst.own && !budget.spend((events - burst.own) as u64) => Err(Ended::Budget),
            _ => Ok(()),
        }
    }

    /// A burst that is large, or for which there is no room, or that may be dropped.
    fn push_by_messages(&mut self, burst: &Burst) {
        let mut start = 0;
        while start < burst.events.len() {
            let end = self.next_cut(burst, start);
            match self.parts.policy {
                FullPolicy::Block => self.push_blocking(&burst.events[start..end]),
                FullPolicy::Drop => self.push_or_drop(&burst.events[start..end]),
            }
            start = end;
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

    /// Publishes a record of the recorder's own that takes several events (a derived record): whole, so that the batching thread
    /// never sees a part of it. Waits for room, whatever the policy, also after a stop was requested. The batching thread is
    /// not woken while there is room: [`Outlet::tell`] does, once for many records.
    ///
    /// # Errors
    /// [`Ended::Stopped`]: the stop deadline has passed, or the batching thread is gone. The record is counted as dropped.
    pub fn publish_record(&mut self, slots: &[Event]) -> Result<(), Ended> {
        self.parts.counters.events_own.add(slots.len() as u64);
        let fits = slots.len() <= self.parts.ring.buffer().capacity();
        debug_assert!(fits, "a ring of derived records holds at least one");
        if fits && (self.try_put(slots) || self.tell_and_wait(slots)) {
            return Ok(());
        }
        self.parts.counters.events_dropped.add(if fits { DROP_STOP } else { DROP_TOO_LARGE }, slots.len() as u64);
        Err(Ended::Stopped)
    }

    /// Wakes the batching thread, after records that it was not woken for.
    pub fn tell(&self) {
        self.parts.wake.notify();
    }

    #[cold]
    fn tell_and_wait(&mut self, slots: &[Event]) -> bool {
        self.tell();
        self.wait_for_room(slots)
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
        if self.parts.ring.is_full() {
            return false;
        }
        // Counted before it is published, as everywhere: see `try_push`.
        self.parts.counters.events_own.add(1);
        self.parts.counters.gaps.add(1);
        self.parts.counters.gap_ledger.note(InstrumentId::NONE, gap);
        self.try_push(&[Event::new(head, EventBody::Gap(gap))])
    }

    /// Puts all of `events` into the ring and wakes its reader, or does nothing.
    #[inline]
    fn try_push(&mut self, events: &[Event]) -> bool {
        let is_pushed = self.try_put(events);
        if is_pushed {
            self.parts.wake.notify();
        }
        is_pushed
    }

    /// Puts all of `events` into the ring, or nothing.
    #[inline]
    fn try_put(&mut self, events: &[Event]) -> bool {
        let ring = &mut self.parts.ring;
        if ring.cached_slots() < events.len() && ring.slots() < events.len() {
            return false;
        }
        let counters = &self.parts.counters;
        let before = counters.events_published.get();
        let published = before + events.len() as u64;
        let is_due = counters.beat_at.get().saturating_sub(self.sampled_at) >= SAMPLE_NANOS;
        if is_due || (before ^ published) >= SAMPLE_EVENTS {
            self.sample(before + 1);
        }
        // Before they can be taken: nobody ever sees more events accepted than published.
        self.parts.counters.events_published.set(published);
        let ring = &mut self.parts.ring;
        let is_pushed = match events {
            // A quote, a trade: half of the time of a slice of one.
            [event] => ring.push(*event).is_ok(),
            events => ring.push_entire_slice(events).is_ok(),
        };
        debug_assert!(is_pushed, "this thread alone takes room");
        is_pushed
    }

    /// Measures the event that is published next, number `position` of this ring.
    #[cold]
    fn sample(&mut self, position: u64) {
        let now = self.parts.clock.mono();
        self.sampled_at = now.0;
        self.beat_at(now);
        let counters = &self.parts.counters;
        if let Some(received_at) = self.received_at {
            counters.to_ring_ns.record(now.since(received_at));
        }
        counters.probe.send(position, now);
    }

    /// Waits until `piece` fits. False when the stop deadline passed first.
    #[cold]
    fn wait_for_room(&mut self, piece: &[Event]) -> bool {
        let start = self.parts.clock.mono();
        self.announce_wait(start, piece);
        // A reader that naps after a lull would let the ring stand full for the rest of its nap.
        self.parts.wake.nudge();
        let backoff = Backoff::new();
        let mut sleep = BLOCKED_SLEEP_MIN;
        let done = loop {
            if self.try_push(piece) {
                break true;
            }
            if self.parts.ring.is_abandoned() || self.parts.stop.is_aborted() {
                break false;
            }
            if !backoff.is_completed() {
                backoff.snooze();
                continue;
            }
            let now = self.parts.clock.mono();
            // A thread that waits for storage is well.
            self.beat_at(now);
            if now.since(start) < BLOCKED_AWAKE_NANOS {
                std::thread::yield_now();
            } else {
                std::thread::park_timeout(sleep);
                sleep = (sleep * 2).min(BLOCKED_SLEEP);
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
                self.beat();
                std::thread::park_timeout(BLOCKED_SLEEP);
            }
            self.publish_gap();
        }
        self.parts.counters.ended.set(1);
        self.parts.wake.notify();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const HOUR: i64 = 3_600_000_000_000;

    fn event(recv_ts: UnixNanos, flags: Flags) -> Event {
        let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: Some(recv_ts), flags };
        Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }))
    }

    fn outlet(clock: &Arc<ManualClock>, budget: Option<Budget>) -> (Outlet, rtrb::Consumer<Event>) {
        let (ring, consumer) = rtrb::RingBuffer::new(64);
        let outlet = Outlet::new(OutletParts {
            ring,
            wake: Arc::new(Wake::new(false)),
            counters: Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"]))),
            policy: FullPolicy::Drop,
            stop: Stop::new(),
            clock: clock.clone(),
            budget,
        });
        (outlet, consumer)
    }

    #[test]
    fn the_mark_of_a_step_stands_behind_what_was_received_before_it() {
        let start = UnixNanos(10 * HOUR);
        for (step, code) in [(HOUR, StatusCode::ClockForward), (-HOUR, StatusCode::ClockBack)] {
            let clock = Arc::new(ManualClock::at(start));
            let (mut outlet, mut ring) = outlet(&clock, None);
            let mut burst = Burst::with_capacity(4);
            let before = outlet.received(&mut burst);
            assert_eq!(before, Received { at: start, flags: Flags::NONE, step_ns: 0 });
            burst.push(event(before.at, before.flags));
            burst.end_message();
            clock.advance(1_000_000);
            clock.step_wall(step);
            let at = UnixNanos(start.0 + 1_000_000 + step);
            let after = outlet.received(&mut burst);
            assert_eq!(after, Received { at, flags: Flags::DOUBTFUL_CLOCK, step_ns: step });
            assert!(burst.events().is_empty(), "what waited is published");
            burst.push(event(after.at, after.flags));
            burst.end_message();
            assert_eq!(outlet.received(&mut burst), Received { at, flags: Flags::NONE, step_ns: 0 }, "once");
            outlet.publish(&mut burst).unwrap();
            let head = EventHead {
                instrument: InstrumentId::NONE,
                venue_ts: None,
                recv_ts: Some(at),
                flags: Flags::DOUBTFUL_CLOCK,
            };
            let mark = Event::new(head, EventBody::Status(Status { code, detail: HOUR.unsigned_abs() }));
            let count = ring.slots();
            let got: Vec<Event> = ring.read_chunk(count).unwrap().into_iter().collect();
            assert_eq!(got, [event(start, Flags::NONE), mark, event(at, Flags::DOUBTFUL_CLOCK)]);
            let counters = outlet.counters();
            assert_eq!((counters.clock_steps.get(), counters.events_own.get()), (1, 1));
            assert_eq!(counters.clock_step_ns.load(Ordering::Relaxed), step);
        }
    }

    #[test]
    fn a_stop_or_a_bound_that_a_step_met_is_told_with_the_next_burst() {
        for (is_stop, expected) in [(true, Ended::Stopped), (false, Ended::Budget)] {
            let clock = Arc::new(ManualClock::at(UnixNanos(10 * HOUR)));
            let (mut outlet, mut ring) = outlet(&clock, (!is_stop).then(|| Budget::new(1)));
            let mut burst = Burst::with_capacity(4);
            let mut receive = |outlet: &mut Outlet| {
                let received = outlet.received(&mut burst);
                burst.push(event(received.at, received.flags));
                burst.end_message();
                received
            };
            receive(&mut outlet);
            if is_stop {
                outlet.stop().request();
            }
            clock.step_wall(HOUR);
            receive(&mut outlet);
            assert_eq!(outlet.publish(&mut burst), Err(expected));
            let count = ring.slots();
            assert_eq!(ring.read_chunk(count).unwrap().into_iter().count(), 3, "all of it is published");
        }
    }
}
