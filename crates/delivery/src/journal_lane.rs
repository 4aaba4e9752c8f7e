//! The journal's thread: makes what the batching thread hands over durable, and gives room back when sinks have it.

use crate::horizon::Horizon;
use crate::mark::SinkMark;
use crossbeam_utils::CachePadded;
use feedd_core::counters::JournalCounters;
use feedd_core::link::LinkReceiver;
use feedd_core::{Block, Clock, Stop, error_text};
use feedd_journal::{FRAME_EVENTS_MAX, Journal, JournalError, Stamp};
use feedd_model::{Event, EventKind, MonoNanos, Position, SLOTS_MAX, Seq, UnixNanos};
use std::sync::Arc;
use std::time::Duration;

/// A commit is due at this size whatever its age: 1 MiB writes reach the disk's best rate, see the crate's README.
const COMMIT_BYTES: usize = 1 << 20;
/// How often room is given back.
const TRIM_NANOS: u64 = 50_000_000;
/// Longest sleep, so that a stop is seen soon.
const SLEEP_NANOS_MAX: u64 = 50_000_000;
/// Pause between two attempts while there is no room; well below the 2 s after which capture must go on.
const FULL_PAUSE: Duration = Duration::from_millis(20);
/// How often a running wait is told again.
const FULL_TELL_NANOS: u64 = 10_000_000_000;

/// What the journal's thread is made of.
pub struct JournalLaneParts {
    /// Blocks of the batching thread.
    pub blocks: LinkReceiver<Arc<Block>>,
    /// Open and recovered.
    pub journal: Journal,
    /// How many sources there are; their numbers are below.
    pub sources: usize,
    /// Age of the oldest event at which a commit is due; zero for a commit at once.
    pub interval: Duration,
    /// Every sink.
    pub marks: Vec<Arc<SinkMark>>,
    /// Its counters.
    pub counters: Arc<CachePadded<JournalCounters>>,
    /// Both times.
    pub clock: Arc<dyn Clock>,
    /// The run's stop request.
    pub stop: Stop,
}

/// How the journal's thread ended.
#[derive(Debug)]
pub enum JournalEnd {
    /// Everything that came is durable.
    Closed,
    /// The stop deadline passed while there was no room.
    Deadline,
    /// The disk failed; what is not durable is lost.
    Failed(JournalError),
}

/// The journal's thread. [`JournalLane::run`] is its body.
pub struct JournalLane {
    parts: JournalLaneParts,
    horizon: Horizon,
    /// Last event handed to the journal.
    appended: Seq,
    /// When the oldest uncommitted event was taken.
    oldest: Option<MonoNanos>,
    /// When each uncommitted block was opened by the batching thread.
    opened: Vec<MonoNanos>,
    /// Nanoseconds of all syncs when they were looked at last.
    synced_ns: u64,
    last_trim: MonoNanos,
}

impl JournalLane {
    /// Wires the lane.
    #[must_use]
    pub fn new(parts: JournalLaneParts) -> Self {
        let last_trim = parts.clock.mono();
        let horizon = Horizon::new(parts.sources, parts.clock.wall());
        let mut lane =
            Self { parts, horizon, appended: Seq(0), oldest: None, opened: Vec::new(), synced_ns: 0, last_trim };
        // What the recovery has synced is no commit.
        lane.synced_ns = lane.parts.journal.usage().sync_ns_total;
        lane.note_usage();
        lane
    }

    /// Runs until the batching thread is gone and everything is durable.
    pub fn run(mut self) -> JournalEnd {
        self.parts.blocks.register();
        let end = self.drain();
        if matches!(end, JournalEnd::Failed(_)) {
            // Whatever came from now on would be thrown away: the run ends, and says why.
            self.parts.stop.request();
        }
        // Readers go on to the end of what is durable, then they end, too.
        let closed = match end {
            JournalEnd::Closed => self.parts.journal.close(self.parts.clock.wall()),
            _ => Ok(()),
        };
        self.parts.journal.tail().wake_all();
        match closed {
            Ok(()) => end,
            // The events are durable; only the mark of a clean end is missing.
            Err(error) => {
                tracing::warn!(
                    error = error_text(&error),
                    "the journal could not be closed; the next start recovers it"
                );
                end
            }
        }
    }

    fn drain(&mut self) -> JournalEnd {
        loop {
            self.take();
            let ended = self.parts.blocks.is_ended();
            let now = self.parts.clock.mono();
            self.parts.counters.beat_at.set(now.0.max(1));
            if self.is_due(now, ended) {
                if let Err(end) = self.commit() {
                    return end;
                }
            } else if ended && self.parts.journal.uncommitted_bytes() == 0 {
                return JournalEnd::Closed;
            } else {
                self.parts.blocks.signal_ready();
                self.parts.blocks.sleep(self.sleep_nanos(now));
            }
            self.trim(now);
        }
    }

    /// Takes what waits, as far as one commit holds it.
    fn take(&mut self) {
        while self.parts.journal.uncommitted_bytes() < COMMIT_BYTES {
            let Some(block) = self.parts.blocks.take() else { break };
            self.append(&block);
        }
    }

    fn append(&mut self, block: &Block) {
        let (at, now) = (self.parts.clock.wall(), self.parts.clock.mono());
        let age = i64::try_from(now.since(block.opened())).unwrap_or(i64::MAX);
        self.horizon.enter(block, UnixNanos(at.0.saturating_sub(age)));
        self.oldest.get_or_insert(now);
        self.opened.push(block.opened());
        let mut start = 0;
        for run in block.runs() {
            let end = start + run.events as usize;
            while start < end {
                let frame = frame_of(&block.events()[start..end]);
                let first = Seq(block.first_seq().0 + start as u64);
                let complete_until = self.horizon.pass(run.source, frame, at);
                self.parts.journal.append(first, run.source, frame, Stamp { at, complete_until });
                start += frame.len();
            }
        }
        self.appended = block.last_seq();
        self.parts.counters.received_seq.set(self.appended.0);
    }

    fn is_due(&self, now: MonoNanos, ended: bool) -> bool {
        let bytes = self.parts.journal.uncommitted_bytes();
        let age = self.oldest.map_or(0, |oldest| now.since(oldest));
        bytes > 0 && (ended || bytes >= COMMIT_BYTES || age >= feedd_model::duration_nanos(self.parts.interval))
    }

    fn sleep_nanos(&self, now: MonoNanos) -> u64 {
        let interval = feedd_model::duration_nanos(self.parts.interval);
        let due = self.oldest.map_or(u64::MAX, |oldest| interval.saturating_sub(now.since(oldest)));
        due.clamp(1_000, SLEEP_NANOS_MAX)
    }

    /// Makes everything appended durable; waits for room as long as the run lasts.
    fn commit(&mut self) -> Result<(), JournalEnd> {
        let mut wait = Full::default();
        loop {
            let start = self.parts.clock.mono();
            let error = match self.parts.journal.commit() {
                Ok(()) => {
                    self.note_commit(start, self.parts.clock.mono());
                    wait.end(&self.parts.counters);
                    return Ok(());
                }
                Err(error) => error,
            };
            // A part of it may have become durable.
            self.parts.counters.durable_seq.raise(self.parts.journal.tail().durable().seq.0);
            match error {
                JournalError::NoSpace { .. } => {}
                JournalError::Budget { .. } => {
                    if self.make_room() {
                        continue;
                    }
                }
                error => {
                    let text = error_text(&error);
                    tracing::error!(
                        error = text,
                        "the journal failed; what it does not hold is lost with this process"
                    );
                    return Err(JournalEnd::Failed(error));
                }
            }
            if self.parts.stop.is_aborted() {
                return Err(JournalEnd::Deadline);
            }
            wait.pause(&error_text(&error), &self.parts.counters, &*self.parts.clock);
            self.trim_now();
        }
    }

    fn note_commit(&mut self, start: MonoNanos, now: MonoNanos) {
        self.oldest = None;
        let (counters, nanos) = (&self.parts.counters, now.since(start));
        self.opened.drain(..).for_each(|opened| counters.durable_ns.record(now.since(opened)));
        self.parts.marks.iter().for_each(|mark| mark.probe().send(self.appended.0, now));
        counters.durable_seq.set(self.appended.0);
        counters.commit_ns.add(nanos);
        counters.commit_ns_peak.raise(nanos);
        self.note_usage();
    }

    fn note_usage(&mut self) {
        let (usage, counters) = (self.parts.journal.usage(), &self.parts.counters);
        counters.bytes.set(usage.bytes_used);
        counters.bytes_max.set(usage.bytes_max);
        counters.commits.set(usage.commits);
        counters.bytes_written.set(usage.bytes_written);
        counters.failed_syncs.set(usage.failed_syncs);
        // With `sync = os` there are none.
        if usage.sync_ns_total > self.synced_ns {
            counters.sync_ns.record(usage.sync_ns_total - self.synced_ns);
            self.synced_ns = usage.sync_ns_total;
        }
    }

    fn trim(&mut self, now: MonoNanos) {
        if now.since(self.last_trim) >= TRIM_NANOS {
            self.last_trim = now;
            self.trim_now();
        }
    }

    /// Gives back what every sink has. When room becomes short, sinks that hold it are asked to store what they have taken.
    fn trim_now(&mut self) {
        let Some(stored) = self.parts.marks.iter().map(|mark| mark.position()).min() else { return };
        self.trim_to(stored);
        let usage = self.parts.journal.usage();
        if usage.bytes_used >= usage.bytes_max / 2
            && let Some(end) = self.parts.journal.oldest_segment_end()
        {
            self.parts.marks.iter().filter(|mark| mark.position() < end).for_each(|mark| mark.ask_to_store());
        }
    }

    fn trim_to(&mut self, stored: Position) {
        if let Err(error) = self.parts.journal.trim(stored) {
            let error = error_text(&error);
            tracing::warn!(error, "room of the journal could not be given back; tried again");
        }
        self.parts.counters.bytes.set(self.parts.journal.usage().bytes_used);
    }

    /// At the byte limit: gives up the oldest events when only sinks that are not required lack them.
    fn make_room(&mut self) -> bool {
        self.trim_now();
        let Some(end) = self.parts.journal.oldest_segment_end() else { return false };
        let behind = || self.parts.marks.iter().filter(|mark| mark.position() < end);
        if behind().any(|mark| mark.is_required()) {
            return false;
        }
        for mark in behind() {
            let position = mark.position();
            tracing::error!(sink = mark.name(), at = %position, "the journal is at journal.bytes_max; events up to {end} are given up for this sink, which is not required");
        }
        self.trim_to(end);
        true
    }
}

/// The first frame of a run. It ends with the last derived record that it holds whole, so that damage and power cuts, which
/// take whole frames, leave no record without its other slots.
fn frame_of(run: &[Event]) -> &[Event] {
    let most = run.len().min(FRAME_EVENTS_MAX);
    let is_end = |end: &usize| run.get(*end).is_none_or(|next| next.kind() != EventKind::More);
    // Slots without an end to their record are no record anyway.
    let end = (most.saturating_sub(SLOTS_MAX) + 1..=most).rev().find(is_end).unwrap_or(most);
    &run[..end]
}

/// A wait for room.
#[derive(Default)]
struct Full {
    since: Option<MonoNanos>,
    told: Option<MonoNanos>,
}

impl Full {
    fn pause(&mut self, reason: &str, counters: &JournalCounters, clock: &dyn Clock) {
        let before = clock.mono();
        let since = *self.since.get_or_insert(before);
        counters.beat_at.set(before.0.max(1));
        counters.blocked_since.set(since.0.max(1));
        if self.told.is_none_or(|told| before.since(told) >= FULL_TELL_NANOS) {
            let waited_ms = before.since(since) / 1_000_000;
            tracing::error!(
                reason,
                waited_ms,
                "the journal waits for room; nothing is lost, sources wait as configured"
            );
            self.told = Some(before);
        }
        std::thread::sleep(FULL_PAUSE);
        counters.blocked_ns.add(clock.mono().since(before));
    }

    fn end(&self, counters: &JournalCounters) {
        if self.since.is_some() {
            counters.blocked_since.set(0);
            tracing::warn!("the journal has room again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::contract::sink::sample_stream;
    use feedd_core::records;

    #[test]
    fn no_frame_ends_inside_a_derived_record_and_every_frame_is_as_full_as_that_allows() {
        let events = sample_stream(5000);
        let mut rest = &events[..];
        let mut short = 0;
        while !rest.is_empty() {
            let frame = frame_of(rest);
            assert!(records((1..).map(Seq).zip(frame)).all(|record| record.is_ok()));
            assert!((61..=63).contains(&frame.len()) || frame.len() == rest.len(), "{}", frame.len());
            short += usize::from(frame.len() < FRAME_EVENTS_MAX);
            rest = &rest[frame.len()..];
        }
        assert!(short > 10, "some frames had to be shorter: {short}");
        // What is no record is cut where the frame is full.
        let ends = vec![*events.iter().find(|event| event.kind() == EventKind::More).expect("there are records"); 100];
        assert_eq!(frame_of(&ends).len(), FRAME_EVENTS_MAX);
    }
}
