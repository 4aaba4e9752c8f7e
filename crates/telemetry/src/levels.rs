//! Backpressure in plain words: when a line is due, what it says, and which key would help.
//!
//! Pure: it is shown observations and answers with notices; the telemetry thread logs them.

use crate::limit::Limit;
use crate::number::{duration, percent};
use crate::watched::{Watched, WatchedSource};
use feedd_core::accounting::SourceTotals;
use feedd_core::counters::SinkState;
use feedd_core::link::LinkWatch;
use feedd_core::peak::PeakReader;
use feedd_model::{Decimal, InstrumentId, MonoNanos, duration_nanos};
use std::sync::atomic::Ordering;

/// When lines are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Fill of a ring above which a debug line is due, percent.
    pub utilisation_debug: u64,
    /// Fill of a ring above which a warning is due, percent.
    pub utilisation_warn: u64,
    /// Lag of the batch buffer above which a warning is due, percent.
    pub batch_buffer_warn: u64,
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For whoever looks closely.
    Debug,
    /// Something waits.
    Warn,
}

/// A line that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub severity: Severity,
    /// Source, or sink.
    pub who: String,
    /// The settled words.
    pub text: String,
    /// Lines of this kind that were not printed since the last one.
    pub suppressed: u64,
}

/// What is known of one ring since the last look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Source.
    pub source: String,
    /// Highest fill since the last look, events.
    pub peak: u64,
    /// Slots.
    pub capacity: u64,
    /// How long the producer has been waiting, ns; 0 when it does not.
    pub blocked_ns: u64,
    /// Symbol and price of the event that waits.
    pub blocked_event: Option<(String, String)>,
    /// Whether the batching thread itself waits for storage.
    pub storage_is_slow: bool,
}

/// A sink's batch buffer as it was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferView {
    /// Blocks that wait behind it.
    pub blocks: u64,
    /// Most blocks that can wait.
    pub blocks_max: u64,
    /// Events in it.
    pub events: u64,
    /// Events it may hold now.
    pub events_max: u64,
    /// Age of its oldest event, ns.
    pub age_ns: u64,
    /// Age at which it is due, ns.
    pub due_ns: u64,
}

/// A full ring is told of when the producer has waited this long.
const BLOCKED_TOLD_NANOS: u64 = 100_000_000;
/// The hint comes with every this many warnings.
const HINT_EVERY: u64 = 3;

#[derive(Debug, Default)]
struct RingLevel {
    debug: Limit,
    warn: Limit,
    full: Limit,
    warnings: u64,
    step: Limit,
    /// Steps of the wall clock that were told, or counted as suppressed.
    steps: u64,
}

/// The levels of all rings and of the batch buffer.
#[derive(Debug)]
pub struct Levels {
    thresholds: Thresholds,
    rings: Vec<RingLevel>,
    buffer: Limit,
}

impl Levels {
    /// For `rings` rings.
    #[must_use]
    pub fn new(thresholds: Thresholds, rings: usize) -> Self {
        Self { thresholds, rings: (0..rings).map(|_| RingLevel::default()).collect(), buffer: Limit::default() }
    }

    /// Other thresholds from now on.
    pub const fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Looks at everything and returns the lines that are due at `now`.
    pub fn look(&mut self, watched: &Watched, now: MonoNanos) -> Vec<Notice> {
        let mut notices = Vec::new();
        let storage_is_slow = watched.batching.blocked_since.get() != 0;
        for (index, source) in watched.sources.iter().enumerate() {
            let c = &source.counters;
            let depth = SourceTotals::read(c).in_ring;
            let since = c.blocked_since.get();
            let observation = Observation {
                source: source.name.clone(),
                peak: c.ring_peak.take(PeakReader::Health).max(depth).min(source.ring_capacity),
                capacity: source.ring_capacity,
                blocked_ns: if since == 0 { 0 } else { now.since(MonoNanos(since)) },
                blocked_event: (since != 0).then(|| blocked_event(watched, index)),
                storage_is_slow,
            };
            self.ring(index, &observation, now, &mut notices);
            self.clock_steps(index, source, now, &mut notices);
        }
        let depth = watched.links.iter().map(LinkWatch::waiting).max().unwrap_or(0);
        let due = duration_nanos(watched.batch_age_max);
        for sink in &watched.sinks {
            let c = &sink.counters;
            let oldest = c.oldest_unwritten.get();
            // A sink that fails is told of by its lane.
            if oldest == 0 || c.sink_state() != SinkState::Working {
                continue;
            }
            let buffer = BufferView {
                // With a journal, blocks wait for nothing but the disk.
                blocks: if watched.journal.is_some() { 0 } else { depth },
                blocks_max: watched.link_capacity,
                events: c.buffered.get(),
                events_max: c.buffer_limit.get(),
                age_ns: now.since(MonoNanos(oldest)),
                due_ns: due,
            };
            self.batch_buffer(&sink.name, &buffer, now, &mut notices);
        }
        notices
    }

    /// Judges one ring.
    pub fn ring(&mut self, index: usize, seen: &Observation, now: MonoNanos, notices: &mut Vec<Notice>) {
        let Some(level) = self.rings.get_mut(index) else { return };
        let (peak, capacity) = (seen.peak, seen.capacity);
        let fill = percent(peak, capacity);
        let above = |limit: u64| peak * 100 > limit * capacity;
        let mut say = |severity, text: String, suppressed| {
            notices.push(Notice { severity, who: seen.source.clone(), text, suppressed });
        };
        if let Some((symbol, price)) = seen.blocked_event.as_ref().filter(|_| seen.blocked_ns > BLOCKED_TOLD_NANOS)
            && let Some(suppressed) = level.full.allow(now)
        {
            let text = format!("Channel full! Blocking until space available. Symbol: {symbol}, Price: {price}");
            say(Severity::Warn, text, suppressed);
        }
        if above(self.thresholds.utilisation_warn) {
            if let Some(suppressed) = level.warn.allow(now) {
                level.warnings += 1;
                let hint = if level.warnings.is_multiple_of(HINT_EVERY) { hint(seen) } else { String::new() };
                let text = format!(
                    "Processing backpressure detected: channel {fill}% full ({peak}/{capacity}), data processing may be \
                     falling behind{hint}"
                );
                say(Severity::Warn, text, suppressed);
            }
        } else if above(self.thresholds.utilisation_debug)
            && let Some(suppressed) = level.debug.allow(now)
        {
            say(Severity::Debug, format!("Channel utilization: {fill}% ({peak}/{capacity})"), suppressed);
        }
    }

    /// Tells of a step of the wall clock that the source has seen since the last look.
    fn clock_steps(&mut self, index: usize, source: &WatchedSource, now: MonoNanos, notices: &mut Vec<Notice>) {
        let Some(level) = self.rings.get_mut(index) else { return };
        let steps = source.counters.clock_steps.get();
        if std::mem::replace(&mut level.steps, steps) == steps {
            return;
        }
        if let Some(suppressed) = level.step.allow(now) {
            let step_ns = source.counters.clock_step_ns.load(Ordering::Relaxed);
            let direction = if step_ns < 0 { "back" } else { "forward" };
            let by = duration(step_ns.unsigned_abs());
            let text = format!(
                "The wall clock was set {direction} by {by}; this is marked in the data (status clock_{direction}), and no \
                 timer depends on it"
            );
            notices.push(Notice { severity: Severity::Warn, who: source.name.clone(), text, suppressed });
        }
    }

    /// Judges a sink's batch buffer by its lag: blocks waiting behind it, and how long its oldest event is overdue.
    pub fn batch_buffer(&mut self, sink: &str, seen: &BufferView, now: MonoNanos, notices: &mut Vec<Notice>) {
        // A batch that is twice as old as it may become is as late as a full link.
        let overdue = percent(seen.age_ns, seen.due_ns.saturating_mul(2)).min(100);
        let fill = percent(seen.blocks, seen.blocks_max).max(overdue);
        if fill > self.thresholds.batch_buffer_warn
            && let Some(suppressed) = self.buffer.allow(now)
        {
            let text =
                format!("Batch buffer {fill}% full ({}/{}), database writes may be slow", seen.events, seen.events_max);
            notices.push(Notice { severity: Severity::Warn, who: sink.to_owned(), text, suppressed });
        }
    }
}

/// Which key or profile would help, by who is slow.
fn hint(seen: &Observation) -> String {
    if seen.storage_is_slow {
        "; storage is slower than the source: use profile = \"high-volume\" or raise batch.max_events".to_owned()
    } else {
        format!(
            "; bursts are larger than the ring: raise ring.capacity (now {}), or pin batching.core and set batching.wait = \
             \"spin\"",
            seen.capacity
        )
    }
}

fn blocked_event(watched: &Watched, index: usize) -> (String, String) {
    let c = &watched.sources[index].counters;
    let id = InstrumentId(u32::try_from(c.blocked_instrument.get()).unwrap_or(0));
    let symbol = watched.instruments.get(id).map_or_else(|| "-".to_owned(), |i| i.symbol.to_string());
    let scale = u8::try_from(c.blocked_scale.get()).unwrap_or(u8::MAX);
    let price = Decimal::new(c.blocked_price.load(Ordering::Relaxed), scale);
    (symbol, price.map_or_else(|| "-".to_owned(), |p| p.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::counters::SourceCounters;
    use std::sync::Arc;

    const THRESHOLDS: Thresholds = Thresholds { utilisation_debug: 50, utilisation_warn: 80, batch_buffer_warn: 80 };

    fn seen(peak: u64, blocked_ns: u64) -> Observation {
        Observation {
            source: "sim".into(),
            peak,
            capacity: 10_000,
            blocked_ns,
            blocked_event: (blocked_ns > 0).then(|| ("BTCUSDT".into(), "61837.63".into())),
            storage_is_slow: false,
        }
    }

    fn texts(levels: &mut Levels, seen: &Observation, seconds: u64) -> Vec<(Severity, String, u64)> {
        let mut notices = Vec::new();
        levels.ring(0, seen, MonoNanos(seconds * 1_000_000_000), &mut notices);
        notices.into_iter().map(|n| (n.severity, n.text, n.suppressed)).collect()
    }

    #[test]
    fn levels_are_strict_and_say_the_settled_words() {
        let cases = [
            ("50 % is quiet", seen(5_000, 0), None),
            ("above 50 %", seen(5_001, 0), Some((Severity::Debug, "Channel utilization: 50% (5001/10000)"))),
            (
                "80 % is not yet a warning",
                seen(8_000, 0),
                Some((Severity::Debug, "Channel utilization: 80% (8000/10000)")),
            ),
            (
                "above 80 %",
                seen(8_001, 0),
                Some((
                    Severity::Warn,
                    "Processing backpressure detected: channel 80% full (8001/10000), data processing may be falling behind",
                )),
            ),
            ("a short wait is not told", seen(100, 100_000_000), None),
            (
                "a long wait is",
                seen(100, 100_000_001),
                Some((
                    Severity::Warn,
                    "Channel full! Blocking until space available. Symbol: BTCUSDT, Price: 61837.63",
                )),
            ),
        ];
        for (name, seen, expected) in cases {
            let got = texts(&mut Levels::new(THRESHOLDS, 1), &seen, 1);
            let got: Vec<_> = got.iter().map(|(severity, text, _)| (*severity, text.as_str())).collect();
            assert_eq!(got, expected.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn a_warning_comes_once_in_ten_seconds_and_its_repetition_brings_a_hint() {
        let mut levels = Levels::new(THRESHOLDS, 1);
        let full = seen(9_000, 0);
        assert_eq!(texts(&mut levels, &full, 0).len(), 1);
        for second in 1..10 {
            assert!(texts(&mut levels, &full, second).is_empty(), "{second}");
        }
        let second = texts(&mut levels, &full, 10);
        assert_eq!(second[0].2, 9, "the lines that were left out are counted");
        let third = texts(&mut levels, &Observation { storage_is_slow: true, ..full }, 20);
        assert!(third[0].1.ends_with("use profile = \"high-volume\" or raise batch.max_events"), "{}", third[0].1);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_told_once_in_words() {
        let counters = SourceCounters::new(&["x"], &["y"]);
        let source = WatchedSource {
            name: "sim".into(),
            ring_capacity: 64,
            has_thread: true,
            counters: Arc::new(counters.into()),
        };
        let mut levels = Levels::new(THRESHOLDS, 1);
        let mut look = |step: Option<i64>, second: u64| {
            if let Some(step_ns) = step {
                source.counters.clock_step_ns.store(step_ns, Ordering::Relaxed);
                source.counters.clock_steps.add(1);
            }
            let mut notices = Vec::new();
            levels.clock_steps(0, &source, MonoNanos(second * 1_000_000_000), &mut notices);
            notices.pop().map(|notice| (notice.who, notice.severity, notice.text, notice.suppressed))
        };
        let told = |text: &str, suppressed| {
            let text = text.to_owned() + ", and no timer depends on it";
            Some(("sim".to_owned(), Severity::Warn, text, suppressed))
        };
        assert_eq!(look(None, 0), None);
        let forward = "The wall clock was set forward by 3600.0 s; this is marked in the data (status clock_forward)";
        assert_eq!(look(Some(3_600_000_000_000), 1), told(forward, 0));
        assert_eq!(look(None, 2), None, "once");
        assert_eq!(look(Some(60_000_000), 3), None, "at most once in ten seconds");
        let back = "The wall clock was set back by 60 ms; this is marked in the data (status clock_back)";
        assert_eq!(look(Some(-60_000_000), 12), told(back, 1));
    }

    #[test]
    fn the_batch_buffer_is_judged_by_lag_not_by_filling() {
        let cases = [
            ("filling up to its age is normal", (0, 5_000), None),
            ("overdue", (0, 8_100), Some("Batch buffer 81% full (7/500), database writes may be slow")),
            ("blocks waiting", (14, 10), Some("Batch buffer 87% full (7/500), database writes may be slow")),
        ];
        for (name, (blocks, age_ns), expected) in cases {
            let seen = BufferView { blocks, blocks_max: 16, events: 7, events_max: 500, age_ns, due_ns: 5_000 };
            let mut notices = Vec::new();
            Levels::new(THRESHOLDS, 1).batch_buffer("parquet", &seen, MonoNanos(0), &mut notices);
            assert_eq!(notices.first().map(|n| n.text.as_str()), expected, "{name}");
        }
    }
}
