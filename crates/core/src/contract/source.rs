//! The contract suite of [`Source`]: whole messages of known instruments, exact counts, a bounded run, a prompt end.
//!
//! A source's tests implement [`SourceHarness`] and call [`source_contract`]. [`SourceRun`] runs a source against a ring
//! that is read, for the tests of what one source alone promises.

use crate::accounting::SourceTotals;
use crate::clock::SystemClock;
use crate::counters::{Reasons, SourceCounters};
use crate::instruments::Instruments;
use crate::outlet::{Budget, FullPolicy, Outlet, OutletParts};
use crate::source::{Source, SourceError};
use crate::stop::Stop;
use crate::wake::Wake;
use crossbeam_utils::CachePadded;
use feedd_model::{Event, EventBody, Side};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How the suite makes the source under test.
pub trait SourceHarness {
    /// A source at its beginning, with everything it would deliver in a run of its own. It must have more than 2000
    /// events to deliver, and use `instruments` for their ids.
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source>;

    /// Names of the reasons for rejected frames and for rejected events, as the source counts them.
    fn reasons(&self) -> [&'static [&'static str]; 2];
}

/// Runs every case, each on a new source.
///
/// # Panics
/// With the name of the case, when the source breaks the contract.
pub fn source_contract(harness: &mut dyn SourceHarness) {
    messages_are_whole_and_every_frame_is_counted(harness);
    a_bound_ends_it_with_the_message_that_reaches_it(harness);
    a_stop_before_the_start_ends_it(harness);
    a_stop_ends_it_while_it_delivers(harness);
    an_abort_ends_it_while_the_ring_is_full(harness);
}

/// How a source is run.
#[derive(Clone, Copy, Debug)]
pub struct SourceRun {
    /// Slots of the ring, which is read as fast as it fills.
    pub ring: usize,
    /// The run's bound on events.
    pub events_max: Option<u64>,
    /// A stop is requested when so many events have been read; 0: before the start.
    pub stop_after: Option<usize>,
    /// Names of the reasons for rejected frames and for rejected events.
    pub reasons: [&'static [&'static str]; 2],
}

/// What a source did.
#[derive(Debug)]
pub struct SourceRan {
    /// Every event it published, in order.
    pub events: Vec<Event>,
    /// What it counted.
    pub totals: SourceTotals,
    /// Frames it rejected, by reason; only reasons that occurred.
    pub frames_rejected: Vec<(&'static str, u64)>,
    /// Events it rejected, by reason; only reasons that occurred.
    pub events_rejected: Vec<(&'static str, u64)>,
    /// How it ended.
    pub end: Result<(), SourceError>,
}

/// Longest time from the request to stop to the end of the source: the contract says 100 ms, a busy machine is slower.
const STOP_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest time of one run: far above what a bounded run takes.
const RUN_TIME_MAX: Duration = Duration::from_secs(60);
/// Smaller than most snapshots, so that messages go in pieces.
const RING: usize = 64;

/// A source on its thread, with the reading end of its ring.
struct Running {
    ring: rtrb::Consumer<Event>,
    counters: Arc<CachePadded<SourceCounters>>,
    stop: Stop,
    /// The source's result, once.
    ended: Receiver<Result<(), SourceError>>,
}

impl SourceRun {
    /// A run without bound, through a small ring.
    #[must_use]
    pub const fn new(reasons: [&'static [&'static str]; 2]) -> Self {
        Self { ring: RING, events_max: None, stop_after: None, reasons }
    }

    /// Runs the source to its end.
    ///
    /// # Panics
    /// When it does not end in time.
    #[must_use]
    pub fn run(&self, source: Box<dyn Source>) -> SourceRan {
        let mut running = self.start(source);
        let mut events = Vec::new();
        let mut waited = Duration::ZERO;
        let end = loop {
            let end = match running.ended.recv_timeout(LOOK) {
                Ok(end) => Some(end),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => panic!("the source panicked"),
            };
            running.read(&mut events);
            if let Some(end) = end {
                break end;
            }
            if self.stop_after.is_some_and(|count| events.len() >= count) {
                running.stop.request();
            }
            waited += LOOK;
            let limit = if running.stop.is_requested() { STOP_TIME_MAX } else { RUN_TIME_MAX };
            assert!(waited < limit, "the source ends within {limit:?}");
        };
        let happened = |reasons: &Reasons| reasons.iter().filter(|(_, count)| *count > 0).collect();
        SourceRan {
            events,
            totals: SourceTotals::read(&running.counters),
            frames_rejected: happened(&running.counters.frames_rejected),
            events_rejected: happened(&running.counters.events_rejected),
            end,
        }
    }

    fn start(&self, mut source: Box<dyn Source>) -> Running {
        let (producer, ring) = rtrb::RingBuffer::new(self.ring);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(self.reasons[0], self.reasons[1])));
        let stop = Stop::new();
        if self.stop_after == Some(0) {
            stop.request();
        }
        let mut outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: Arc::new(Wake::new(false)),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: Arc::new(SystemClock::new()),
            budget: self.events_max.map(Budget::new),
        });
        let (sender, ended) = sync_channel(1);
        std::thread::spawn(move || {
            let end = source.run(&mut outlet);
            drop(outlet);
            // The test may have failed and gone.
            let _ = sender.send(end);
        });
        Running { ring, counters, stop, ended }
    }
}

/// Pause between two looks at the ring.
const LOOK: Duration = Duration::from_micros(200);

impl Running {
    fn read(&mut self, events: &mut Vec<Event>) {
        let count = self.ring.slots();
        if let Ok(chunk) = self.ring.read_chunk(count) {
            events.extend(chunk);
            self.counters.events_accepted.add(count as u64);
        }
    }
}

fn messages_are_whole_and_every_frame_is_counted(harness: &mut dyn SourceHarness) {
    let instruments = Instruments::in_memory();
    let source = harness.make(&instruments);
    let name = source.name().to_owned();
    assert!(!name.is_empty(), "a source has a name");
    let ran = SourceRun { stop_after: Some(2000), ..SourceRun::new(harness.reasons()) }.run(source);
    assert_ran("whole messages", &ran, &instruments);
    assert!(ran.events.len() >= 2000, "a harness has 2000 events to deliver, not {}", ran.events.len());
    assert_eq!(harness.make(&instruments).name(), name, "the name is the configured one, each time");
}

fn a_bound_ends_it_with_the_message_that_reaches_it(harness: &mut dyn SourceHarness) {
    for bound in [1, 2, 63, 64, 500, 1999] {
        let instruments = Instruments::in_memory();
        let source = harness.make(&instruments);
        let ran = SourceRun { events_max: Some(bound), ..SourceRun::new(harness.reasons()) }.run(source);
        assert_ran("bound", &ran, &instruments);
        let decoded = ran.totals.decoded - ran.totals.rejected;
        let last = last_message(&ran.events);
        assert!(decoded >= bound, "bound {bound}: only {decoded} events");
        assert!(decoded - last < bound, "bound {bound}: {decoded} events, the last {last} of them in one message");
    }
}

fn a_stop_before_the_start_ends_it(harness: &mut dyn SourceHarness) {
    let instruments = Instruments::in_memory();
    let source = harness.make(&instruments);
    let ran = SourceRun { stop_after: Some(0), ..SourceRun::new(harness.reasons()) }.run(source);
    assert_ran("stopped before the start", &ran, &instruments);
    assert!(ran.events.len() < 2000, "a stopped source soon ends, but delivered {} events", ran.events.len());
}

fn a_stop_ends_it_while_it_delivers(harness: &mut dyn SourceHarness) {
    for count in [1, 100, 1000] {
        let instruments = Instruments::in_memory();
        let source = harness.make(&instruments);
        let ran = SourceRun { stop_after: Some(count), ..SourceRun::new(harness.reasons()) }.run(source);
        assert_ran("stopped", &ran, &instruments);
    }
}

/// Nobody reads: the source waits for room until waiting is over, and what found none is counted as dropped.
fn an_abort_ends_it_while_the_ring_is_full(harness: &mut dyn SourceHarness) {
    let instruments = Instruments::in_memory();
    let mut running = SourceRun::new(harness.reasons()).start(harness.make(&instruments));
    let mut waited = Duration::ZERO;
    while running.counters.blocked_since.get() == 0 {
        assert!(
            matches!(running.ended.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout)),
            "a full ring is waited for"
        );
        waited += LOOK;
        assert!(waited < RUN_TIME_MAX, "the source fills its ring");
    }
    running.stop.request();
    running.stop.abort();
    let end = running.ended.recv_timeout(STOP_TIME_MAX).expect("the source ends when waiting is over");
    assert!(end.is_ok(), "aborted: {end:?}");
    let mut events = Vec::new();
    running.read(&mut events);
    let totals = SourceTotals::read(&running.counters);
    assert_accounted("aborted", &totals, &events);
    assert!(totals.dropped > 0, "aborted: what found no room is counted");
}

/// What holds after every run that was read to its end.
fn assert_ran(case: &str, ran: &SourceRan, instruments: &Instruments) {
    assert!(ran.end.is_ok(), "{case}: {:?}", ran.end);
    assert_accounted(case, &ran.totals, &ran.events);
    assert_eq!(ran.totals.dropped, 0, "{case}: nothing is dropped while the ring is read");
    assert_whole(case, &ran.events);
    for event in &ran.events {
        let id = event.instrument();
        assert!(id == feedd_model::InstrumentId::NONE || instruments.get(id).is_some(), "{case}: unknown {event:?}");
    }
}

fn assert_accounted(case: &str, t: &SourceTotals, events: &[Event]) {
    let frames = t.frames_decoded + t.frames_control + t.frames_unknown + t.frames_rejected;
    assert_eq!(t.frames, frames, "{case}: frames: {t:?}");
    assert_eq!(t.accepted, events.len() as u64, "{case}: events read: {t:?}");
    assert_eq!(
        t.decoded + t.own,
        t.accepted + t.duplicate + t.rejected + t.dropped + t.in_ring,
        "{case}: events: {t:?}"
    );
    assert_eq!(t.in_ring, 0, "{case}: everything has been read: {t:?}");
}

/// Every book header is followed by exactly its levels: bids, then asks, each numbered from 0.
fn assert_whole(case: &str, events: &[Event]) {
    let mut at = 0;
    while let Some(event) = events.get(at) {
        at += 1;
        match event.body() {
            EventBody::Level(level) => panic!("{case}: event {at}: a level without its header: {level:?}"),
            EventBody::Book(book) => {
                for (side, count) in [(Side::Buy, book.bids), (Side::Sell, book.asks)] {
                    for index in 0..count {
                        let Some(EventBody::Level(level)) = events.get(at).map(Event::body) else {
                            panic!("{case}: event {at}: {side:?} level {index} of {count} is missing behind {book:?}");
                        };
                        assert_eq!((level.side, level.index), (side, index), "{case}: event {at}");
                        assert_eq!((level.action, level.venue_seq), (book.action, book.seq_last), "{case}: event {at}");
                        assert_eq!(events[at].instrument(), event.instrument(), "{case}: event {at}");
                        at += 1;
                    }
                }
            }
            _ => {}
        }
    }
}

/// Events of the last message that came from the venue.
fn last_message(events: &[Event]) -> u64 {
    let is_own = |event: &&Event| matches!(event.body(), EventBody::Status(_) | EventBody::Gap(_));
    let mut venue = events.iter().rev().skip_while(is_own);
    let levels = venue.by_ref().take_while(|event| matches!(event.body(), EventBody::Level(_))).count();
    levels as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::Burst;
    use feedd_model::{Book, BookAction, Decimal, EventHead, Flags, InstrumentId, Level, VenueSeq};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        None,
        TornBook,
        UnknownInstrument,
        UncountedEvents,
        UncountedFrame,
        LongBursts,
        DoesNotEnd,
    }

    /// 3000 books of one bid each.
    struct Books {
        fault: Fault,
        instrument: InstrumentId,
    }

    impl Books {
        fn push(&self, number: u32, burst: &mut Burst) {
            let fault = |fault| self.fault == fault && number == 700;
            let instrument = if fault(Fault::UnknownInstrument) { InstrumentId(99) } else { self.instrument };
            let head = EventHead { instrument, venue_ts: None, recv_ts: None, flags: Flags::NONE };
            let seq = Some(VenueSeq(number.into()));
            let action = BookAction::Delta;
            let book = Book { action, seq_first: seq, seq_last: seq, seq_prev: None, checksum: None, bids: 1, asks: 0 };
            burst.push(Event::new(head, EventBody::Book(book)));
            if !fault(Fault::TornBook) {
                let (price, size) = (Decimal::ZERO, Decimal::ZERO);
                let level = Level { action, side: Side::Buy, price, size, venue_seq: seq, index: 0 };
                burst.push(Event::new(head, EventBody::Level(level)));
            }
            burst.end_message();
        }
    }

    impl Source for Books {
        fn name(&self) -> &str {
            "books"
        }

        fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
            let mut burst = Burst::with_capacity(64);
            for number in 0..3000 {
                let before = burst.events().len();
                self.push(number, &mut burst);
                let counters = outlet.counters();
                counters.frames.add(1);
                counters.frames_decoded.add(u64::from(self.fault != Fault::UncountedFrame || number != 700));
                if self.fault != Fault::UncountedEvents || number != 700 {
                    counters.events_decoded.add((burst.events().len() - before) as u64);
                }
                let waiting = burst.events().len();
                let full = if self.fault == Fault::LongBursts { waiting >= 40 } else { waiting > 0 };
                if full && outlet.publish(&mut burst).is_err() && self.fault != Fault::DoesNotEnd {
                    return Ok(());
                }
            }
            let _ = outlet.publish(&mut burst);
            Ok(())
        }
    }

    struct Harness(Fault);

    impl SourceHarness for Harness {
        fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
            let instrument = instruments.resolve("v", "S").expect("a dictionary in memory has no file");
            Box::new(Books { fault: self.0, instrument })
        }

        fn reasons(&self) -> [&'static [&'static str]; 2] {
            [&["x"], &["y"]]
        }
    }

    #[test]
    fn a_good_source_passes_and_each_fault_is_found() {
        source_contract(&mut Harness(Fault::None));
        let faults = [
            (Fault::TornBook, "level 0 of 1 is missing"),
            (Fault::UnknownInstrument, "unknown Event"),
            (Fault::UncountedEvents, "events:"),
            (Fault::UncountedFrame, "frames:"),
            (Fault::LongBursts, "in one message"),
            (Fault::DoesNotEnd, "the last 2 of them in one message"),
        ];
        for (fault, said) in faults {
            let panic = catch_unwind(AssertUnwindSafe(|| source_contract(&mut Harness(fault))));
            let panic = panic.expect_err("the suite finds the fault");
            let text = panic.downcast_ref::<String>().map_or("", String::as_str);
            assert!(text.contains(said), "{fault:?}: {text}");
        }
    }
}
