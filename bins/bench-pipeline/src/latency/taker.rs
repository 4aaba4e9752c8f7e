//! Who takes the events where they are measured, and checks that each came once and in order.

use super::hop::Hop;
use super::schedule::{Dues, Schedule};
use anyhow::{Result, ensure};
use feedd_core::fanin::Served;
use feedd_core::link::LinkReceiver;
use feedd_core::{Batch, Block, Clock, Sink, SinkError};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Seq, Status, StatusCode, StreamId, UnixNanos,
};
use feedd_sink_null::NullSink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The event of a number, stamped at a monotonic time: it says both itself.
#[inline]
pub(crate) fn event(number: u64, stamp_ns: u64) -> Event {
    let stamp = UnixNanos(i64::try_from(stamp_ns).unwrap_or(i64::MAX));
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: Some(stamp), flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

/// What arrived at one place.
#[derive(Debug)]
pub(crate) struct Arrivals {
    schedule: Schedule,
    /// Set when the first event is here.
    dues: Option<Dues>,
    /// Events at the beginning that do not count.
    warm: u64,
    next: u64,
    /// The first event that was not the next one: its number, and that of the next one.
    wrong: Option<(u64, u64)>,
    hop: Hop,
}

/// Arrivals that a thread notes and another one reads afterwards.
pub(crate) type Shared = Arc<Mutex<Arrivals>>;

impl Arrivals {
    /// # Errors
    /// When there is no memory for the figures.
    pub(crate) fn new(schedule: &Schedule, warm: u64) -> Result<Shared> {
        let (schedule, hop) = (schedule.clone(), Hop::new()?);
        Ok(Arc::new(Mutex::new(Self { schedule, dues: None, warm, next: 0, wrong: None, hop })))
    }

    /// These events arrived at `now`.
    #[inline]
    fn take(&mut self, events: &[Event], now: MonoNanos) {
        for event in events {
            let EventBody::Status(status) = event.body() else { continue };
            if status.detail != self.next {
                self.wrong.get_or_insert((status.detail, self.next));
            }
            let stamp = event.recv_ts().map_or(0, |stamp| stamp.0.cast_unsigned());
            self.count(Some(stamp), now);
        }
    }

    /// Everything up to the event of this number has arrived by `now`; of stamps nothing is known here.
    fn take_to(&mut self, events: u64, now: MonoNanos) {
        while self.next < events {
            self.count(None, now);
        }
    }

    #[inline]
    fn count(&mut self, stamp: Option<u64>, now: MonoNanos) {
        let due = self.dues.get_or_insert_with(|| self.schedule.dues()).next();
        if self.next >= self.warm {
            self.hop.arrived(due, stamp.unwrap_or(due), now.0);
        }
        self.next += 1;
    }

    /// The figures, when all of `events` have arrived.
    ///
    /// # Errors
    /// When one is missing, or came twice, or too early.
    pub(crate) fn all(shared: &Shared, events: u64) -> Result<Hop> {
        let mut arrivals = lock(shared);
        if let Some((found, expected)) = arrivals.wrong {
            anyhow::bail!("event {found} came in place of event {expected}");
        }
        ensure!(arrivals.next == events, "{} events arrived of {events}", arrivals.next);
        Ok(std::mem::replace(&mut arrivals.hop, Hop::new()?))
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Arrivals> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes blocks from the batching thread, in that thread: the hand-over itself, without a third thread.
pub(crate) struct Taker {
    pub(crate) blocks: LinkReceiver<Arc<Block>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) arrivals: Shared,
    /// Where the system tells about the batching thread.
    pub(crate) thread: Arc<OnceLock<PathBuf>>,
}

impl Served for Taker {
    fn register(&mut self) {
        // Where it cannot be read, its time is not told.
        if let Ok(thread) = std::fs::read_link("/proc/thread-self") {
            self.thread.get_or_init(|| PathBuf::from("/proc").join(thread));
        }
    }

    fn serve(&mut self) {
        while let Some(block) = self.blocks.take() {
            let now = self.clock.mono();
            lock(&self.arrivals).take(block.events(), now);
        }
        self.blocks.signal_ready();
    }

    fn finish(mut self: Box<Self>) {
        self.serve();
    }
}

/// A null sink that notes when it had what.
pub(crate) struct TimedSink {
    pub(crate) null: NullSink,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) arrivals: Shared,
}

impl Sink for TimedSink {
    fn name(&self) -> &'static str {
        self.null.name()
    }

    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        self.null.recover(stream, epoch)
    }

    fn write(&mut self, batch: &Batch, now: MonoNanos) -> Result<(), SinkError> {
        self.null.write(batch, now)?;
        let now = self.clock.mono();
        let mut arrivals = lock(&self.arrivals);
        batch.slices().for_each(|(_, events)| arrivals.take(events, now));
        Ok(())
    }

    fn stored_seq(&self) -> Seq {
        self.null.stored_seq()
    }

    fn tick(&mut self, now: MonoNanos) -> Result<(), SinkError> {
        self.null.tick(now)
    }

    fn flush(&mut self, now: MonoNanos) -> Result<(), SinkError> {
        self.null.flush(now)
    }

    fn batch_events_best(&self) -> usize {
        self.null.batch_events_best()
    }
}

/// Notes events that arrived at `now`.
#[inline]
pub(crate) fn take(shared: &Shared, events: &[Event], now: MonoNanos) {
    lock(shared).take(events, now);
}

/// Notes what the journal says to be durable.
pub(crate) fn note_durable(shared: &Shared, durable: Seq, now: MonoNanos) {
    lock(shared).take_to(durable.0, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals() -> Shared {
        let schedule = Schedule::new(1_000_000, 1);
        schedule.begin(5_000);
        Arrivals::new(&schedule, 2).unwrap()
    }

    #[test]
    fn every_event_counts_from_its_due_time_and_from_its_stamp() {
        let shared = arrivals();
        // Due at 5, 6, 7 and 8 us; the first two do not count.
        let events: Vec<Event> = (0..4).map(|number| event(number, 9_000)).collect();
        lock(&shared).take(&events[..3], MonoNanos(9_100));
        lock(&shared).take(&events[3..], MonoNanos(9_200));
        let details = Arrivals::all(&shared, 4).unwrap().details();
        let figures = ["events", "due_max", "stamp_p50", "stamp_max"].map(|name| details[name].as_u64().unwrap());
        assert_eq!(figures[0], 2);
        for (found, expected) in figures[1..].iter().zip([2_100, 100, 200]) {
            assert!(found.abs_diff(expected) <= 3, "{figures:?}");
        }
    }

    #[test]
    fn what_is_missing_or_out_of_order_is_told() {
        let shared = arrivals();
        lock(&shared).take(&[event(0, 0), event(2, 0)], MonoNanos(9_000));
        let error = Arrivals::all(&shared, 2).unwrap_err().to_string();
        assert_eq!(error, "event 2 came in place of event 1");
        let shared = arrivals();
        note_durable(&shared, Seq(3), MonoNanos(9_000));
        let error = Arrivals::all(&shared, 4).unwrap_err().to_string();
        assert_eq!(error, "3 events arrived of 4");
    }
}
