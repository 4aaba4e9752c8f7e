//! When events came, and when they were where: a lane beside the sinks notes for each block when it was handed over, a
//! thread when what was durable and what was stored. What came together came at one time, so the notes are short, and the
//! distributions are made of them afterwards.

use anyhow::{Context, Result};
use feedd_core::fanin::Served;
use feedd_core::link::{LinkReceiver, link};
use feedd_core::{Block, Clock, SystemClock};
use feedd_model::Event;
use feedd_run::MeasuringLane;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocks on their way to the lane, which takes each at once.
const LINK_BLOCKS: usize = 16;
/// Longer times count as this.
const NANOS_MAX: u64 = 100_000_000_000;
/// Of every time: 0.1 %.
const DIGITS: u8 = 3;

/// A sequence, and a time on the wall, in ns.
type Note = (u64, i64);

/// What is noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// From this event on, events were received at that time.
    received: Vec<Note>,
    /// One behind the last event that was noted.
    end: u64,
    /// Everything up to this event had been handed over by then; likewise the others.
    handed: Vec<Note>,
    durable: Vec<Note>,
    stored: Vec<Note>,
}

/// How long events took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hop {
    pub(super) events: u64,
    /// Events that were not there yet when the notes ended; they are not in the figures.
    pub(super) waiting: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) p999_ns: u64,
    pub(super) max_ns: u64,
}

/// From the frame's receive time on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Hops {
    pub(super) handed: Hop,
    pub(super) durable: Hop,
    pub(super) stored: Hop,
}

impl Notes {
    fn block(&mut self, first: u64, events: &[Event], now: i64) {
        if self.received.is_empty() {
            self.end = first;
        }
        for event in events {
            // The recorder's own events can be without a time: they count as received with the event before.
            let at =
                event.recv_ts().map(|at| at.0).filter(|at| self.received.last().is_none_or(|(_, last)| last != at));
            if let Some(at) = at {
                self.received.push((self.end, at));
            }
            self.end += 1;
        }
        self.handed.push((self.end - 1, now));
    }

    fn hops(&self) -> Result<Hops> {
        let hop = |reached| self.hop(reached);
        Ok(Hops { handed: hop(&self.handed)?, durable: hop(&self.durable)?, stored: hop(&self.stored)? })
    }

    fn hop(&self, reached: &[Note]) -> Result<Hop> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, NANOS_MAX, DIGITS).context("making a histogram")?;
        let (mut at, mut waiting) = (0, 0);
        let ends = self.received.iter().skip(1).map(|(first, _)| *first).chain([self.end]);
        for (&(first, received), end) in self.received.iter().zip(ends) {
            let mut seq = first;
            while seq < end {
                while reached.get(at).is_some_and(|(upto, _)| *upto < seq) {
                    at += 1;
                }
                let Some(&(upto, time)) = reached.get(at) else {
                    waiting += end - seq;
                    break;
                };
                let next = end.min(upto + 1);
                let took = u64::try_from(time.saturating_sub(received)).unwrap_or(0).max(1);
                histogram.saturating_record_n(took, next - seq);
                seq = next;
            }
        }
        let of = |percentile| histogram.value_at_percentile(percentile);
        let (p50_ns, p99_ns, p999_ns, max_ns) = (of(50.0), of(99.0), of(99.9), histogram.max());
        Ok(Hop { events: histogram.len(), waiting, p50_ns, p99_ns, p999_ns, max_ns })
    }
}

/// Notes while it is on.
#[derive(Debug, Default)]
pub(super) struct Observer {
    is_on: AtomicBool,
    notes: Mutex<Notes>,
}

/// The lane.
struct Lane {
    blocks: LinkReceiver<Arc<Block>>,
    clock: SystemClock,
    observer: Arc<Observer>,
}

impl Observer {
    /// The lane that has to run with the recorder.
    pub(super) fn lane(self: &Arc<Self>) -> MeasuringLane {
        let (sender, blocks) = link(LINK_BLOCKS);
        (sender, Box::new(Lane { blocks, clock: SystemClock::new(), observer: self.clone() }))
    }

    pub(super) fn is_on(&self) -> bool {
        // Relaxed: the notes have their lock.
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins anew.
    pub(super) fn start(&self) {
        *self.notes() = Notes::default();
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Everything up to these events was durable, and stored, by `now`.
    pub(super) fn reached(&self, durable: u64, stored: u64, now: i64) {
        let mut notes = self.notes();
        let Notes { durable: durables, stored: storeds, .. } = &mut *notes;
        for (list, seq) in [(durables, durable), (storeds, stored)] {
            if list.last().is_none_or(|(last, _)| *last < seq) {
                list.push((seq, now));
            }
        }
    }

    /// Ends the notes, and says what they say.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(super) fn end(&self) -> Result<Hops> {
        self.is_on.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.notes()).hops()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Served for Lane {
    fn serve(&mut self) {
        while let Some(block) = self.blocks.take() {
            if self.observer.is_on() {
                let now = self.clock.wall().0;
                self.observer.notes().block(block.first_seq().0, block.events(), now);
            }
        }
        self.blocks.signal_ready();
    }

    fn finish(mut self: Box<Self>) {
        self.serve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::{EventBody, EventHead, Flags, InstrumentId, Status, StatusCode, UnixNanos};

    fn event(at: Option<i64>) -> Event {
        let recv_ts = at.map(UnixNanos);
        let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts, flags: Flags::NONE };
        Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }))
    }

    #[test]
    fn each_event_counts_from_its_own_time_to_the_first_note_at_or_behind_it() {
        let mut notes = Notes::default();
        // 7 and 8 came at 1000, 9 to 11 at 2000 (one of them without a time), 12 at 3000.
        notes.block(7, &[event(Some(1000)), event(Some(1000)), event(Some(2000)), event(None)], 2_500);
        notes.block(11, &[event(Some(2000)), event(Some(3000))], 3_500);
        assert_eq!(notes.received, [(7, 1000), (9, 2000), (12, 3000)]);
        notes.durable = vec![(6, 1), (7, 2_000), (11, 12_000)];
        let hops = notes.hops().unwrap();
        let of = |hop: Hop| (hop.events, hop.waiting, hop.p50_ns, hop.max_ns);
        // 1500, 1500, 500, 500, 1500, 500.
        assert_eq!(of(hops.handed), (6, 0, 500, 1500));
        // 1000, 11000, 10000 three times; 12 is not durable.
        let (events, waiting, p50, max) = of(hops.durable);
        assert_eq!((events, waiting), (5, 1));
        assert!(p50.abs_diff(10_000) <= 10 && max.abs_diff(11_000) <= 11, "{p50} {max}");
        assert_eq!(hops.stored, Hop { waiting: 6, ..Hop::default() });
    }

    #[test]
    fn positions_that_did_not_move_are_noted_once() {
        let observer = Observer::default();
        observer.start();
        for (durable, stored, now) in [(5, 0, 10), (5, 0, 11), (9, 5, 12), (9, 9, 13)] {
            observer.reached(durable, stored, now);
        }
        let notes = observer.notes();
        assert_eq!(
            (&notes.durable[..], &notes.stored[..]),
            (&[(5, 10), (9, 12)][..], &[(0, 10), (5, 12), (9, 13)][..])
        );
    }
}
