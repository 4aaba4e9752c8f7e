//! A run as a service: a thread of its own tells the service manager how the run is.
//!
//! The sign of life is given only while the heartbeat of every pinned thread moves: a timer that pings for itself proves
//! nothing. So a thread that hangs is named in the log, and the service manager starts the recorder anew.

use crate::notify::Notify;
use crate::observer::Observer;
use anyhow::{Context, Result};
use feedd_model::MonoNanos;
use feedd_telemetry::{BeatWatch, StillThread, Watched};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How often the state is told in words.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long a start that works is given from each look on.
const START_TIME: Duration = Duration::from_secs(30);
/// What an orderly stop may take beyond its deadline: last calls of a sink, the end of the admin server.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// A thread beats at least once a second: less patience than for two is none.
const PATIENCE_MIN: Duration = Duration::from_secs(2);

/// A run, as far as it is told of.
struct Recording {
    watched: Watched,
    observer: Arc<Observer>,
}

/// The way to the service manager, and the thread that goes it. Without a service manager there is no thread.
pub(crate) struct Service {
    notify: Notify,
    thread: Option<(SyncSender<Recording>, JoinHandle<()>)>,
}

impl Service {
    /// Begins to tell of a start.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start() -> Result<Self> {
        let notify = Notify::from_environment();
        if !notify.is_heard() {
            return Ok(Self { notify, thread: None });
        }
        let (sender, recording) = sync_channel(1);
        let told = notify.clone();
        let thread = std::thread::Builder::new().name("service".into()).spawn(move || tell(&told, &recording));
        let thread = thread.context("starting the thread that speaks to the service manager")?;
        Ok(Self { notify, thread: Some((sender, thread)) })
    }

    /// What the service manager can be told besides.
    pub(crate) const fn notify(&self) -> &Notify {
        &self.notify
    }

    /// The journal is recovered, everything runs.
    pub(crate) fn ready(&self, watched: &Watched, observer: &Arc<Observer>) {
        // Before the first sign of life.
        self.notify.ready();
        if let Some((sender, _)) = &self.thread {
            let recording = Recording { watched: watched.clone(), observer: observer.clone() };
            // Its thread ends only when the sender is gone, so somebody takes it.
            let _ = sender.send(recording);
        }
    }

    /// The run ends within `deadline`, and what comes back late.
    pub(crate) fn stopping(&self, deadline: Duration) {
        self.notify.stopping(deadline + STOP_GRACE);
        self.notify.status("stopping: sources end, rings drain, sinks are flushed");
    }

    /// Ends the thread.
    pub(crate) fn end(self) {
        if let Some((sender, thread)) = self.thread {
            drop(sender);
            if thread.join().is_err() {
                tracing::error!(
                    "the thread that speaks to the service manager panicked; the recording was not affected"
                );
            }
        }
    }
}

/// Tells until the run is over.
fn tell(notify: &Notify, from_run: &Receiver<Recording>) {
    let ping_every = notify.watchdog_time().map(|time| time / 2);
    let look = ping_every.map_or(LOOK, |every| (every / 4).min(LOOK));
    let mut watch = ping_every.map(|every| Watch::new(every.max(PATIENCE_MIN), look * 2));
    let (started, mut recording) = (Instant::now(), None);
    let (mut pinged, mut spoken, mut work) = (None, None, main_thread_work());
    let is_due = |last: Option<Instant>, every: Duration| last.is_none_or(|last| last.elapsed() >= every);
    loop {
        match from_run.recv_timeout(look) {
            // What is next to be said is about the recording, at once.
            Ok(begun) => (recording, spoken) = (Some(begun), None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let is_speaking = is_due(spoken, STATUS_EVERY);
        if is_speaking {
            spoken = Some(Instant::now());
        }
        let Some(Recording { watched, observer }) = &recording else {
            if is_speaking {
                let now = main_thread_work();
                // A start that hangs gets no more time.
                if now.is_none() || now != work {
                    notify.extend(START_TIME);
                }
                work = now;
                notify
                    .status(&format!("starting: the journal is recovered ({} s so far)", started.elapsed().as_secs()));
            }
            continue;
        };
        if is_speaking {
            notify.status(&observer.status().verdict.text);
        }
        if let (Some(watch), Some(every)) = (&mut watch, ping_every)
            && watch.all_move(&watched.heartbeats(), watched.clock.mono())
            && is_due(pinged, every)
        {
            notify.watchdog();
            pinged = Some(Instant::now());
        }
    }
}

/// What the main thread, which recovers the journal, has read and written; changes as long as it works. None where the
/// system does not count it.
fn main_thread_work() -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/task/{}/io", std::process::id())).ok()
}

/// Whether every thread moves.
struct Watch {
    patience: Duration,
    beats: BeatWatch,
    stuck: BTreeSet<String>,
}

impl Watch {
    const fn new(patience: Duration, step_max: Duration) -> Self {
        Self { patience, beats: BeatWatch::new(step_max), stuck: BTreeSet::new() }
    }

    /// Looks at the last sign of life of each thread; names those that hang, once, and those that go on.
    fn all_move(&mut self, beats: &[(String, MonoNanos)], now: MonoNanos) -> bool {
        let mut stuck = BTreeSet::new();
        for StillThread { thread, still } in self.beats.look(beats, now) {
            let was_stuck = self.stuck.contains(&thread);
            let is_stuck = still > self.patience;
            if is_stuck && !was_stuck {
                tracing::error!(
                    thread,
                    "thread {thread} has shown no sign of life for {} s: the service manager gets none either, and will \
                     start the recorder anew",
                    still.as_secs()
                );
            } else if was_stuck && !is_stuck {
                tracing::warn!(thread, "thread {thread} goes on");
            }
            if is_stuck {
                stuck.insert(thread);
            }
        }
        self.stuck = stuck;
        self.stuck.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn watch() -> Watch {
        Watch::new(Duration::from_secs(15), Duration::from_secs(2))
    }

    /// The last signs of life, in seconds.
    fn beats(seconds: &[(&str, u64)]) -> Vec<(String, MonoNanos)> {
        seconds.iter().map(|&(name, at)| (name.to_owned(), MonoNanos(at * SECOND))).collect()
    }

    /// From when to when it was not well, looking every second.
    fn unwell(watch: &mut Watch, until: u64, at: impl Fn(u64) -> Vec<(String, MonoNanos)>) -> Vec<u64> {
        (0..=until).filter(|&now| !watch.all_move(&at(now), MonoNanos(now * SECOND))).collect()
    }

    #[test]
    fn one_thread_that_stands_still_is_enough() {
        let at = |now: u64| beats(&[("batching", now), ("kraken", now.min(10)), ("okx", now)]);
        // Its last sign of life is of second 10: for 15 s that is borne.
        assert_eq!(unwell(&mut watch(), 40, at), (26..=40).collect::<Vec<_>>());
        let goes_on = |now: u64| beats(&[("batching", if (10..30).contains(&now) { 10 } else { now })]);
        assert_eq!(unwell(&mut watch(), 40, goes_on), (26..30).collect::<Vec<_>>());
        let never = |_| beats(&[("batching", 0)]);
        assert_eq!(unwell(&mut watch(), 20, never), (16..=20).collect::<Vec<_>>());
    }

    #[test]
    fn threads_that_move_or_have_ended_are_well() {
        assert!(unwell(&mut watch(), 100, |now| beats(&[("a", now), ("b", now - now % 15)])).is_empty());
        let ends = |now: u64| beats(&[("a", now), ("b", 0)][..if now < 12 { 2 } else { 1 }]);
        assert!(unwell(&mut watch(), 100, ends).is_empty());
        assert!(unwell(&mut watch(), 100, |_| Vec::new()).is_empty());
    }

    #[test]
    fn a_machine_that_was_stopped_is_no_thread_that_hangs() {
        let mut watch = watch();
        assert!(watch.all_move(&beats(&[("a", 5)]), MonoNanos(5 * SECOND)));
        assert!(watch.all_move(&beats(&[("a", 5)]), MonoNanos(500 * SECOND)), "nothing ran in between");
        assert!(watch.all_move(&beats(&[("a", 501)]), MonoNanos(501 * SECOND)));
    }

    #[test]
    fn the_main_thread_is_seen_to_work() {
        let Some(before) = main_thread_work() else {
            println!("skipped: this system does not count what threads read and write");
            return;
        };
        assert!(before.contains("rchar: "), "{before}");
    }
}
