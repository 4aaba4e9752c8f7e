//! A recording held to its pace: what is not due yet waits, a pause stands still, and how late each event came is kept.
//!
//! Deadlines count from the first event ([`crate::pace`]), so nothing drifts; a pause moves what comes after it and is no
//! lateness. The time is the outlet's clock and the nap comes in as a function, so that tests need no sleep.

use crate::histogram::Histogram;
use crate::outlet::{Ended, Outlet};
use crate::pace::{RecordingPacer, Speed};
use feedd_model::{MonoNanos, UnixNanos};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest nap: a stop, a pause and its end are seen this soon.
const NAP_MAX: Duration = Duration::from_millis(20);

/// A shared switch that stops a recording and lets it go on. Cheap to clone; any thread may use it.
#[derive(Clone, Debug, Default)]
pub struct Pause(Arc<AtomicBool>);

impl Pause {
    /// Playing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the recording, or lets it go on.
    pub fn set(&self, paused: bool) {
        self.0.store(paused, Ordering::Relaxed);
    }

    /// The other of the two; tells whether it is paused now.
    pub fn toggle(&self) -> bool {
        !self.0.fetch_xor(true, Ordering::Relaxed)
    }

    /// Whether it is paused.
    #[inline]
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What holds one source to the times of its recording.
pub struct Playback {
    speed: Speed,
    /// `None` until the first event.
    pacer: Option<RecordingPacer>,
    pause: Pause,
    drift: Arc<Histogram>,
    nap: Box<dyn FnMut(Duration) + Send>,
}

impl Playback {
    /// The first event is due when it comes.
    #[must_use]
    pub fn new(speed: Speed, pause: Pause) -> Self {
        Self::with_nap(speed, pause, Box::new(std::thread::sleep))
    }

    /// The same with another way to let time pass.
    #[must_use]
    pub fn with_nap(speed: Speed, pause: Pause, nap: Box<dyn FnMut(Duration) + Send>) -> Self {
        Self { speed, pacer: None, pause, drift: Arc::default(), nap }
    }

    /// How late events came against their deadlines, nanoseconds; nothing at [`Speed::Max`], which has none.
    #[must_use]
    pub fn drift(&self) -> Arc<Histogram> {
        self.drift.clone()
    }

    /// The next event begins a recording of its own: the time before it is not waited for.
    pub fn restart(&mut self) {
        self.pacer = None;
    }

    /// Returns when the event that was received at `recorded` is due. Before it waits, it calls `publish`, which hands on
    /// what came before the event.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end, and the event shall not be published any more.
    #[inline]
    pub fn hold(
        &mut self,
        recorded: Option<UnixNanos>,
        outlet: &mut Outlet,
        publish: impl FnOnce(&mut Outlet) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        if self.speed == Speed::Max && !self.pause.is_set() {
            return Ok(());
        }
        let begin = || RecordingPacer::new(self.speed, outlet.clock().mono());
        let mut due = self.pacer.get_or_insert_with(begin).due_at(recorded);
        let now = outlet.clock().mono();
        outlet.beat_at(now);
        if self.pause.is_set() || due > now {
            publish(outlet)?;
            due = self.wait(due, outlet)?;
        }
        if self.speed != Speed::Max {
            self.drift.record(outlet.clock().mono().since(due));
        }
        Ok(())
    }

    /// Waits for `due`, which every moment of a pause moves; tells when it was in the end.
    fn wait(&mut self, mut due: MonoNanos, outlet: &Outlet) -> Result<MonoNanos, Ended> {
        loop {
            if outlet.stop().is_requested() {
                return Err(Ended::Stopped);
            }
            let now = outlet.clock().mono();
            outlet.beat_at(now);
            if self.pause.is_set() {
                (self.nap)(NAP_MAX);
                let paused_ns = outlet.clock().mono().since(now);
                if let Some(pacer) = &mut self.pacer {
                    pacer.delay(paused_ns);
                }
                due = MonoNanos(due.0.saturating_add(paused_ns));
                continue;
            }
            let left_ns = due.since(now);
            if left_ns == 0 {
                return Ok(due);
            }
            (self.nap)(Duration::from_nanos(left_ns).min(NAP_MAX));
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::counters::SourceCounters;
    use crate::outlet::{FullPolicy, OutletParts};
    use crate::stop::Stop;
    use crate::wake::Wake;
    use crossbeam_utils::CachePadded;
    use std::num::NonZeroU32;
    use std::sync::Mutex;

    const SECOND: u64 = 1_000_000_000;

    /// A clock that only naps move, each a little longer than it was asked to.
    struct World {
        clock: Arc<ManualClock>,
        outlet: Outlet,
        playback: Playback,
        pause: Pause,
        naps: Arc<Mutex<Vec<Duration>>>,
    }

    /// `overslept_ns` is how much longer each nap takes; after nap number `resume_after` a pause ends.
    fn world(speed: Speed, overslept_ns: u64, resume_after: usize) -> World {
        let clock = Arc::new(ManualClock::at(UnixNanos(0)));
        let (ring, _) = rtrb::RingBuffer::new(64);
        let outlet = Outlet::new(OutletParts {
            ring,
            wake: Arc::new(Wake::new(false)),
            counters: Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"]))),
            policy: FullPolicy::Drop,
            stop: Stop::new(),
            clock: clock.clone(),
            budget: None,
        });
        let (pause, naps) = (Pause::new(), Arc::new(Mutex::new(Vec::new())));
        let (moved, told, resumed) = (clock.clone(), naps.clone(), pause.clone());
        let nap = move |time: Duration| {
            moved.advance(u64::try_from(time.as_nanos()).expect("short") + overslept_ns);
            let mut naps = told.lock().expect("no panic");
            naps.push(time);
            if naps.len() == resume_after {
                resumed.set(false);
            }
        };
        let playback = Playback::with_nap(speed, pause.clone(), Box::new(nap));
        World { clock, outlet, playback, pause, naps }
    }

    fn times(factor: u32) -> Speed {
        NonZeroU32::new(factor * 1_000).map_or(Speed::Max, Speed::Thousandths)
    }

    impl World {
        /// Holds an event, and tells when it went on and whether what came before was published first.
        fn hold(&mut self, recorded_ns: u64) -> (u64, bool) {
            let mut published = false;
            let recorded = Some(UnixNanos(i64::try_from(recorded_ns).expect("small")));
            let held = self.playback.hold(recorded, &mut self.outlet, |_| {
                published = true;
                Ok(())
            });
            held.expect("nobody stops");
            (self.clock.mono().0, published)
        }
    }

    #[test]
    fn events_go_on_when_they_are_due_and_lateness_never_adds_up() {
        let mut at = world(times(60), 1_000, usize::MAX);
        at.clock.advance(1);
        assert_eq!(at.hold(7 * SECOND), (1, false), "the first is due at once");
        // 600 ms at 60 times the speed are 10 ms; each nap takes a microsecond longer than asked for.
        assert_eq!(at.hold(7 * SECOND + 600_000_000), (10_001_001, true));
        assert_eq!(at.hold(7 * SECOND + 600_000_000), (10_001_001, false), "due since");
        assert_eq!(at.hold(7 * SECOND + 1_200_000_000), (20_001_001, true), "from the start, not from the last");
        let drift = at.playback.drift().snapshot();
        assert_eq!((drift.count(), drift.min(), drift.max(), drift.sum()), (4, 0, 1_000, 3_000));
        assert_eq!(*at.naps.lock().unwrap(), [Duration::from_millis(10), Duration::from_nanos(9_999_000)]);
    }

    #[test]
    fn a_long_wait_is_many_naps_and_a_stop_ends_it() {
        let mut at = world(times(1), 0, usize::MAX);
        assert_eq!(at.hold(0), (0, false));
        assert_eq!(at.hold(SECOND), (SECOND, true));
        assert_eq!(at.naps.lock().unwrap().len(), 50, "20 ms each");
        at.outlet.stop().request();
        let mut published = false;
        let held = at.playback.hold(Some(UnixNanos(2_000_000_000)), &mut at.outlet, |_| {
            published = true;
            Ok(())
        });
        assert_eq!((held, published, at.clock.mono()), (Err(Ended::Stopped), true, MonoNanos(SECOND)));
    }

    #[test]
    fn a_pause_moves_what_comes_after_it_and_is_no_lateness() {
        for speed in [times(1), Speed::Max] {
            let mut at = world(speed, 0, 3);
            assert_eq!(at.hold(0), (0, false));
            assert!(at.pause.toggle(), "paused now");
            // Three naps of 20 ms, then it goes on.
            assert_eq!(at.hold(0), (60_000_000, true), "{speed:?}");
            assert_eq!(at.hold(1_000), (60_000_000 + if speed == Speed::Max { 0 } else { 1_000 }, speed != Speed::Max));
            assert_eq!(at.playback.drift().snapshot().max(), 0, "{speed:?}");
        }
    }

    #[test]
    fn a_recording_of_its_own_begins_at_once() {
        let mut at = world(times(1), 0, usize::MAX);
        at.hold(0);
        at.hold(1_000);
        at.playback.restart();
        assert_eq!(at.hold(3_600 * SECOND), (1_000, false), "the hour between is not waited for");
        assert_eq!(at.hold(3_600 * SECOND + 5), (1_005, true));
    }
}
