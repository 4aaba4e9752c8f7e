//! Since when events may be missing, if the frame appended last is the last one kept.
//!
//! Each source delivers in the order of its receive times, and the batching thread takes every ring in turn. So what follows
//! a frame was received no earlier than the last event of its source before it; and a source that delivered nothing has
//! nothing underway from before its ring was seen empty, but for [`UNDERWAY_NANOS`].

use feedd_core::Block;
use feedd_model::{Event, EventKind, SourceId, UnixNanos};

/// Longest way of an event from its receive time into an empty ring: a frame is decoded within microseconds, but its thread
/// can be kept from running, and a capture's pipe holds what was stamped before.
const UNDERWAY_NANOS: i64 = 1_000_000_000;
/// A receive time so far before the start of this process is a recording's: it says nothing about what is underway.
const RECENT_NANOS: i64 = 3_600_000_000_000;

/// What is known of every source.
#[derive(Debug)]
pub(crate) struct Horizon {
    started: UnixNanos,
    /// By the number of the source.
    sources: Vec<Known>,
}

/// What is known of a source.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// No event of it that is still to come was received earlier; `None` for a recording.
    until: Option<UnixNanos>,
    /// It has events in the block.
    is_present: bool,
}

impl Horizon {
    /// Of `sources` sources, at the start of the process.
    pub(crate) fn new(sources: usize, started: UnixNanos) -> Self {
        let known = Known { until: Some(before(started, UNDERWAY_NANOS)), is_present: false };
        Self { started, sources: vec![known; sources] }
    }

    /// Takes note of a block before its first frame. `opened`: wall time when its first event was put in.
    pub(crate) fn enter(&mut self, block: &Block, opened: UnixNanos) {
        let mut start = 0;
        for run in block.runs() {
            let events = &block.events()[start..start + run.events as usize];
            start += events.len();
            let started = self.started;
            let Some(known) = self.known(run.source) else { continue };
            if !std::mem::replace(&mut known.is_present, true)
                && let Some(first) = events.iter().find_map(received)
            {
                known.until = counted(started, first);
            }
        }
        // A full block ends before every ring had its turn.
        let are_others_empty = block.room() > 0;
        for known in &mut self.sources {
            if !std::mem::take(&mut known.is_present) && are_others_empty {
                // A time above is one from before the clock was set back.
                let last = known.until.filter(|until| *until <= opened);
                known.until = last.max(Some(before(opened, UNDERWAY_NANOS)));
            }
        }
    }

    /// Takes note of a frame: the earliest receive time of what can follow it, at most `at`.
    pub(crate) fn pass(&mut self, source: SourceId, frame: &[Event], at: UnixNanos) -> UnixNanos {
        let started = self.started;
        if let (Some(known), Some(last)) = (self.known(source), frame.iter().rev().find_map(received)) {
            known.until = counted(started, last);
        }
        self.sources.iter().filter_map(|known| known.until).fold(at, UnixNanos::min)
    }

    /// `None` for a source that nobody has announced.
    fn known(&mut self, source: SourceId) -> Option<&mut Known> {
        self.sources.get_mut(usize::from(source.0))
    }
}

/// When an event came. The recorder's own marks of holes are not among what comes in order: a message can have been received
/// just before the mark that precedes it.
fn received(event: &Event) -> Option<UnixNanos> {
    event.recv_ts().filter(|_| event.kind() != EventKind::Gap)
}

/// A receive time, unless it is a recording's.
fn counted(started: UnixNanos, at: UnixNanos) -> Option<UnixNanos> {
    (at >= before(started, RECENT_NANOS)).then_some(at)
}

const fn before(at: UnixNanos, nanos: i64) -> UnixNanos {
    UnixNanos(at.0.saturating_sub(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_core::BLOCK_EVENTS_MAX;
    use feedd_model::{
        Epoch, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Seq, Status, StatusCode, StreamId,
    };

    const SECOND: i64 = 1_000_000_000;
    /// Some moment of this decade.
    const START: i64 = 1_800_000_000 * SECOND;

    fn event(recv_ts: Option<i64>) -> Event {
        let recv_ts = recv_ts.map(UnixNanos);
        let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts, flags: Flags::NONE };
        Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }))
    }

    fn mark(recv_ts: i64) -> Event {
        let reason = GapReason::RecorderDown;
        let (first_missing, last_missing, from_ts, to_ts, events) = (None, None, None, None, None);
        let gap = Gap { reason, first_missing, last_missing, from_ts, to_ts, events };
        Event::new(event(Some(recv_ts)).head(), EventBody::Gap(gap))
    }

    fn block(runs: &[(u16, Vec<Event>)]) -> Block {
        let mut block = Block::of(StreamId(1), Epoch(1), Seq(1), SourceId(0), &[]);
        for (source, events) in runs {
            block.extend(SourceId(*source), events);
        }
        block
    }

    /// Each run as one frame; seconds since the start, also in what comes back.
    fn stamps(horizon: &mut Horizon, opened: i64, runs: &[(u16, Vec<Event>)]) -> Vec<i64> {
        let at = UnixNanos(START + (opened + 1) * SECOND);
        horizon.enter(&block(runs), UnixNanos(START + opened * SECOND));
        runs.iter().map(|(source, events)| (horizon.pass(SourceId(*source), events, at).0 - START) / SECOND).collect()
    }

    fn at(seconds: &[i64]) -> Vec<Event> {
        seconds.iter().map(|s| event(Some(START + s * SECOND))).collect()
    }

    #[test]
    fn one_source_is_complete_up_to_its_last_event() {
        let mut horizon = Horizon::new(1, UnixNanos(START));
        assert_eq!(stamps(&mut horizon, 5, &[(0, at(&[3, 4]))]), [4]);
        // Quiet for an hour, then one event.
        assert_eq!(stamps(&mut horizon, 3_600, &[(0, at(&[3_599]))]), [3_599]);
        assert_eq!(stamps(&mut horizon, 3_610, &[(0, vec![event(None), event(None)])]), [3_599], "no news");
        // Hours in a ring behind a journal without room: still what is known.
        assert_eq!(stamps(&mut horizon, 20_000, &[(0, at(&[3_600, 3_601]))]), [3_601]);
    }

    #[test]
    fn the_source_that_is_furthest_behind_counts_and_a_silent_one_is_not_behind() {
        let mut horizon = Horizon::new(3, UnixNanos(START));
        // The third has never delivered, and was seen empty at 10.
        assert_eq!(stamps(&mut horizon, 10, &[(0, at(&[9, 10])), (1, at(&[4, 5])), (0, at(&[10]))]), [4, 5, 5]);
        // Now the second is silent, too.
        assert_eq!(stamps(&mut horizon, 20, &[(0, at(&[20]))]), [19]);
        // What is left of its backlog is in the next block.
        assert_eq!(stamps(&mut horizon, 30, &[(0, at(&[30])), (1, at(&[21, 22]))]), [21, 22]);
    }

    #[test]
    fn a_full_block_says_nothing_of_who_is_not_in_it() {
        let mut horizon = Horizon::new(2, UnixNanos(START));
        assert_eq!(stamps(&mut horizon, 10, &[(0, at(&[10])), (1, at(&[8]))]), [8, 8]);
        assert_eq!(stamps(&mut horizon, 20, &[(0, vec![at(&[20])[0]; BLOCK_EVENTS_MAX])]), [8]);
    }

    #[test]
    fn recordings_and_marks_of_holes_do_not_count() {
        let mut horizon = Horizon::new(2, UnixNanos(START));
        let year = 365 * 86_400;
        assert_eq!(stamps(&mut horizon, 10, &[(0, at(&[10 - year])), (1, at(&[9]))]), [9, 9]);
        let mut horizon = Horizon::new(1, UnixNanos(START));
        assert_eq!(stamps(&mut horizon, 10, &[(0, at(&[10 - year]))]), [11], "as the journal has it");
        // What follows the mark of a start may have been stamped by somebody else just before.
        let mut horizon = Horizon::new(1, UnixNanos(START));
        assert_eq!(stamps(&mut horizon, 1, &[(0, vec![mark(START + 1)])]), [-1]);
        assert_eq!(stamps(&mut horizon, 1, &[(0, [vec![mark(START + 1)], at(&[0])].concat())]), [0]);
        // A clock that was set back since: what is above the present says nothing, also not of a silent source.
        assert_eq!(stamps(&mut horizon, 1, &[(0, at(&[50]))]), [2]);
        let mut horizon = Horizon::new(2, UnixNanos(START));
        assert_eq!(stamps(&mut horizon, 50, &[(0, at(&[49])), (1, at(&[50]))]), [49, 49]);
        assert_eq!(stamps(&mut horizon, 20, &[(0, at(&[20]))]), [19]);
    }
}
