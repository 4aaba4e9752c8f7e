//! For how long each thread has given no sign of life.

use feedd_model::MonoNanos;
use std::collections::BTreeMap;
use std::time::Duration;

/// Watches last signs of life. A look after a long pause (a stopped machine, a process that got no time) counts as a short
/// one: then the threads have had no time either.
#[derive(Debug)]
pub struct BeatWatch {
    step_max: Duration,
    looked_at: Option<MonoNanos>,
    seen: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    beat_at: MonoNanos,
    still: Duration,
}

/// A thread that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillThread {
    /// Its name.
    pub thread: String,
    /// For how long it has given no sign of life, as far as it was watched.
    pub still: Duration,
}

impl BeatWatch {
    /// Nothing seen yet. The time between two looks counts as `step_max` at the most.
    #[must_use]
    pub const fn new(step_max: Duration) -> Self {
        Self { step_max, looked_at: None, seen: BTreeMap::new() }
    }

    /// Looks at the last sign of life of each thread; those that are not among `beats` have ended and are forgotten.
    pub fn look(&mut self, beats: &[(String, MonoNanos)], now: MonoNanos) -> Vec<StillThread> {
        let since = self.looked_at.replace(now).map_or(0, |last| now.since(last));
        let step = Duration::from_nanos(since).min(self.step_max);
        self.seen.retain(|thread, _| beats.iter().any(|(name, _)| name == thread));
        let look = |(thread, beat_at): &(String, MonoNanos)| {
            let first = Seen { beat_at: *beat_at, still: Duration::ZERO };
            let seen = self.seen.entry(thread.clone()).or_insert(first);
            seen.still = if seen.beat_at == *beat_at { seen.still + step } else { Duration::ZERO };
            seen.beat_at = *beat_at;
            StillThread { thread: thread.clone(), still: seen.still }
        };
        beats.iter().map(look).collect()
    }
}
