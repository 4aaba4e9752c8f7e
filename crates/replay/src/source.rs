//! A recording as a source: events in the order in which they were recorded, with the receive times that were recorded,
//! as fast as they were received or faster.

use crate::context::{Selection, Shared, Tally};
use crate::csv::CsvRecording;
use crate::stored::StoredRecording;
use feedd_core::counters::SourceCounters;
use feedd_core::histogram::Histogram;
use feedd_core::outlet::Ended;
use feedd_core::pace::Speed;
use feedd_core::playback::{Pause, Playback};
use feedd_core::source::Progress;
use feedd_core::{Burst, Instruments, Outlet, Source, SourceError};
use feedd_model::{Event, EventKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What every replay needs.
#[derive(Clone, Debug)]
pub struct ReplayParts {
    /// Name of the source, unique in a run.
    pub name: String,
    /// The running dictionary: recorded symbols get the ids that they have there.
    pub instruments: Instruments,
    /// How fast.
    pub speed: Speed,
    /// Stops it, and lets it go on.
    pub pause: Pause,
    /// Which part.
    pub selection: Selection,
}

/// A recording that is read.
pub(crate) trait Recording: Send {
    /// What its files share.
    fn shared(&self) -> &Shared;

    /// The next event.
    ///
    /// # Errors
    /// What ends the recording before its time.
    fn next(&mut self, counters: &SourceCounters) -> Result<Next, SourceError>;

    /// Called once, at its end.
    ///
    /// # Errors
    /// [`SourceError::Input`] when a part of it could not be read.
    fn end(&mut self) -> Result<(), SourceError>;
}

/// What comes next in a recording.
pub(crate) enum Next {
    /// An event, and which start of the recorder it belongs to: the time between two is not waited for.
    Event {
        /// The event.
        event: Event,
        /// The start of the recorder.
        session: u32,
    },
    /// Rows that are not wanted; there may be more.
    Passed,
    /// There is no more.
    End,
}

/// Delivers a recording. Its ring must be one that waits when it is full (policy `block`): nothing of a recording may be
/// dropped.
pub struct ReplaySource {
    name: String,
    recording: Box<dyn Recording>,
    playback: Playback,
    session: Option<u32>,
    /// Events waiting that the run's bound counts.
    waiting: u64,
}

/// Most events that are published at once.
const BURST_EVENTS_MAX: usize = 256;
/// Rows between two signs of life.
const ROWS_PER_BEAT: u64 = 4_096;

impl ReplaySource {
    /// Replays trades, quotes, gaps and status of a folder that the Parquet sink wrote; nothing there is changed.
    ///
    /// # Errors
    /// [`SourceError::Input`] when the folder cannot be read or holds nothing to replay.
    pub fn stored(parts: ReplayParts, dir: &Path) -> Result<Self, SourceError> {
        let (shared, playback) = parts.split();
        Ok(Self::new(Box::new(StoredRecording::open(dir, shared)?), playback))
    }

    /// Replays Binance's public files of trades or aggregated trades: files, and folders of them, merged by time. `venue`
    /// is the name under which they are known from now on.
    ///
    /// # Errors
    /// [`SourceError::Input`] when a file cannot be opened or its name does not tell the symbol;
    /// [`SourceError::Recorder`] when the dictionary cannot be grown.
    pub fn csv(parts: ReplayParts, paths: &[PathBuf], venue: &str) -> Result<Self, SourceError> {
        let (shared, playback) = parts.split();
        Ok(Self::new(Box::new(CsvRecording::open(paths, venue, shared)?), playback))
    }

    fn new(recording: Box<dyn Recording>, playback: Playback) -> Self {
        Self { name: recording.shared().name.clone(), recording, playback, session: None, waiting: 0 }
    }

    /// How far it is, in bytes of its files.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.recording.shared().progress.clone()
    }

    /// What it counts.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        self.recording.shared().tally.clone()
    }

    /// How late its events come against their deadlines, nanoseconds; nothing at [`Speed::Max`].
    #[must_use]
    pub fn drift(&self) -> Arc<Histogram> {
        self.playback.drift()
    }

    /// Delivers up to the end of the recording, or until the source shall end.
    fn deliver(&mut self, outlet: &mut Outlet, burst: &mut Burst) -> Result<Result<(), Ended>, SourceError> {
        // A stop or a bound of nothing that was there before the start.
        let mut published = self.publish(outlet, burst);
        let counters = outlet.counters().clone();
        for rows in 1u64.. {
            if published.is_err() {
                break;
            }
            // Also where many rows are passed, or the clock is never looked at.
            if rows.is_multiple_of(ROWS_PER_BEAT) {
                outlet.beat();
            }
            published = match self.recording.next(&counters)? {
                Next::End => return Ok(self.publish(outlet, burst)),
                Next::Passed if burst.events().is_empty() && !outlet.stop().is_requested() => Ok(()),
                Next::Passed => self.publish(outlet, burst),
                Next::Event { event, session } => self.take(event, session, outlet, burst),
            };
        }
        Ok(published)
    }

    /// Holds an event until it is due, and puts it into the burst.
    #[inline]
    fn take(&mut self, event: Event, session: u32, outlet: &mut Outlet, burst: &mut Burst) -> Result<(), Ended> {
        if self.session.replace(session) != Some(session) {
            self.playback.restart();
        }
        let (tally, waiting) = (&self.recording.shared().tally, &mut self.waiting);
        let publish = |outlet: &mut Outlet| publish(tally, waiting, outlet, burst);
        self.playback.hold(event.recv_ts().or(event.venue_ts()), outlet, publish)?;
        let counters = outlet.counters();
        if matches!(event.kind(), EventKind::Gap | EventKind::Status) {
            counters.gaps.add(u64::from(event.kind() == EventKind::Gap));
            counters.events_own.add(1);
            burst.push_own(event);
        } else {
            counters.events_decoded.add(1);
            burst.push(event);
            burst.end_message();
            self.waiting += 1;
        }
        if burst.events().len() < BURST_EVENTS_MAX && self.waiting < outlet.events_left() {
            return Ok(());
        }
        self.publish(outlet, burst)
    }

    fn publish(&mut self, outlet: &mut Outlet, burst: &mut Burst) -> Result<(), Ended> {
        publish(&self.recording.shared().tally, &mut self.waiting, outlet, burst)
    }
}

/// Hands the burst on and empties it.
fn publish(tally: &Tally, waiting: &mut u64, outlet: &mut Outlet, burst: &mut Burst) -> Result<(), Ended> {
    tally.delivered.add(burst.events().len() as u64);
    *waiting = 0;
    outlet.publish(burst)
}

impl Source for ReplaySource {
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
        let mut burst = Burst::with_capacity(BURST_EVENTS_MAX);
        let delivered = self.deliver(outlet, &mut burst);
        // What came before the failure stays; nothing waits when there was none.
        let _ = self.publish(outlet, &mut burst);
        match delivered {
            Ok(Ok(())) => self.recording.end(),
            // Whoever ended it knows that it is not through.
            Ok(Err(_ended)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl ReplayParts {
    fn split(self) -> (Shared, Playback) {
        let playback = Playback::new(self.speed, self.pause);
        (Shared::new(self.name, self.instruments, self.selection), playback)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_utils::CachePadded;
    use feedd_core::outlet::{Budget, OutletParts};
    use feedd_core::wake::Wake;
    use feedd_core::{Clock, FullPolicy, ManualClock, Stop};
    use feedd_model::{
        Decimal, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Status, StatusCode, Trade, TradeId, UnixNanos,
    };
    use std::num::NonZeroU32;
    use std::sync::Mutex;

    const SECOND: i64 = 1_000_000_000;

    /// Start of the recorder and receive time of each event; none for what is not wanted.
    struct Listed(Shared, std::vec::IntoIter<Option<(u32, i64)>>);

    impl Recording for Listed {
        fn shared(&self) -> &Shared {
            &self.0
        }

        fn next(&mut self, _: &SourceCounters) -> Result<Next, SourceError> {
            Ok(match self.1.next() {
                None => Next::End,
                Some(None) => Next::Passed,
                Some(Some((session, at))) => Next::Event { event: event(at), session },
            })
        }

        fn end(&mut self) -> Result<(), SourceError> {
            self.0.end()
        }
    }

    /// Even times are trades, odd ones are the recorder's own.
    fn event(at: i64) -> Event {
        let recv_ts = Some(UnixNanos(at));
        let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts, flags: Flags::NONE };
        let trade = Trade { price: Decimal::ZERO, size: Decimal::ZERO, side: None, id: TradeId::None };
        let status = Status { code: StatusCode::Connected, detail: 0 };
        Event::new(head, if at % 2 == 0 { EventBody::Trade(trade) } else { EventBody::Status(status) })
    }

    /// What was delivered, and how much of it when the clock moved on.
    fn run(
        speed: Speed,
        rows: Vec<Option<(u32, i64)>>,
        budget: Option<u64>,
    ) -> (Vec<Event>, Vec<(u64, usize)>, Counted) {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let (producer, consumer) = rtrb::RingBuffer::new(1 << 10);
        let consumer = Arc::new(Mutex::new(consumer));
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        let mut outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: Arc::new(Wake::new(false)),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: Stop::new(),
            clock: clock.clone(),
            budget: budget.map(Budget::new),
        });
        let naps = Arc::new(Mutex::new(Vec::new()));
        let (moved, ring, told) = (clock.clone(), consumer.clone(), naps.clone());
        let nap = move |time: std::time::Duration| {
            told.lock().unwrap().push((moved.mono().0, ring.lock().unwrap().slots()));
            moved.advance(u64::try_from(time.as_nanos()).unwrap());
        };
        let playback = Playback::with_nap(speed, Pause::new(), Box::new(nap));
        let shared = Shared::new("replay".to_owned(), Instruments::in_memory(), Selection::default());
        let mut source = ReplaySource::new(Box::new(Listed(shared, rows.into_iter())), playback);
        source.run(&mut outlet).unwrap();
        let mut ring = consumer.lock().unwrap();
        let count = ring.slots();
        let events = ring.read_chunk(count).unwrap().into_iter().collect();
        let naps = naps.lock().unwrap().clone();
        let counted =
            (counters.events_decoded.get(), counters.events_own.get(), source.tally().delivered.get(), clock.mono());
        (events, naps, counted)
    }

    /// Decoded, own, delivered, and the time at the end.
    type Counted = (u64, u64, u64, MonoNanos);

    #[test]
    fn events_wait_for_their_time_and_nothing_waits_behind_them() {
        let real_time = NonZeroU32::new(1_000).map_or(Speed::Max, Speed::Thousandths);
        let hour = 3_600 * SECOND;
        let rows = vec![Some((1, 0)), None, Some((1, 1)), Some((1, 10_000_000)), Some((2, hour)), Some((2, hour + 2))];
        let (events, naps, counted) = run(real_time, rows, None);
        assert_eq!(events, [0, 1, 10_000_000, hour, hour + 2].map(event));
        // What came before is in the ring when the source sleeps; the hour between two starts is not slept.
        assert_eq!(naps, [(0, 1), (1, 2), (10_000_000, 4)]);
        assert_eq!(counted, (4, 1, 5, MonoNanos(10_000_002)));
    }

    #[test]
    fn as_fast_as_possible_never_sleeps_and_ends_at_the_bound() {
        let rows = (0..600).map(|at| Some((1, at))).collect::<Vec<_>>();
        let (events, naps, counted) = run(Speed::Max, rows.clone(), None);
        assert_eq!((events.len(), naps.len(), counted.3), (600, 0, MonoNanos(0)));
        // Trades alone are bounded: every other second.
        let (events, _, counted) = run(Speed::Max, rows, Some(100));
        assert_eq!(events, (0..199).map(event).collect::<Vec<_>>());
        assert_eq!((counted.0, counted.1, counted.2), (100, 99, 199));
    }
}
