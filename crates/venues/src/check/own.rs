//! Events of the recorder's own: what the checker adds to a burst, and how many.

use feedd_core::Burst;
use feedd_model::{
    Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Status, StatusCode, UnixNanos, VenueSeq,
};

/// Events of the recorder's own that were added to bursts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// All of them.
    pub events: u64,
    /// Gap events among them.
    pub gaps: u64,
    /// Books that are whole again.
    pub resynchronised: u64,
    /// Trades that were missing and came by REST.
    pub backfilled: u64,
}

/// What a gap event will say.
pub(super) struct Hole {
    pub(super) reason: GapReason,
    pub(super) first: Option<VenueSeq>,
    pub(super) last: Option<VenueSeq>,
    pub(super) from_ts: Option<UnixNanos>,
    pub(super) to_ts: Option<UnixNanos>,
    pub(super) events: Option<u64>,
}

impl Hole {
    /// Nothing was heard in between.
    pub(super) const fn away(from_ts: Option<UnixNanos>, to_ts: Option<UnixNanos>) -> Self {
        Self { reason: GapReason::Disconnected, first: None, last: None, from_ts, to_ts, events: None }
    }

    /// The venue's numbers do not follow, and do not say by how many.
    pub(super) const fn unnumbered(from_ts: Option<UnixNanos>, to_ts: Option<UnixNanos>) -> Self {
        Self { reason: GapReason::VenueSequence, first: None, last: None, from_ts, to_ts, events: None }
    }
}

impl Own {
    #[cold]
    pub(super) fn status(
        &mut self,
        instrument: InstrumentId,
        code: StatusCode,
        detail: u64,
        at: Option<UnixNanos>,
        burst: &mut Burst,
    ) {
        match code {
            StatusCode::Resynchronised => self.resynchronised += 1,
            StatusCode::Backfilled => self.backfilled += detail,
            _ => {}
        }
        self.push(instrument, EventBody::Status(Status { code, detail }), at, burst);
    }

    #[cold]
    pub(super) fn gap(&mut self, instrument: InstrumentId, hole: &Hole, at: Option<UnixNanos>, burst: &mut Burst) {
        self.gaps += 1;
        let gap = Gap {
            reason: hole.reason,
            first_missing: hole.first,
            last_missing: hole.last,
            from_ts: hole.from_ts,
            to_ts: hole.to_ts,
            events: hole.events,
        };
        self.push(instrument, EventBody::Gap(gap), at, burst);
    }

    fn push(&mut self, instrument: InstrumentId, body: EventBody, at: Option<UnixNanos>, burst: &mut Burst) {
        self.events += 1;
        let head = EventHead { instrument, venue_ts: None, recv_ts: at, flags: Flags::NONE };
        burst.push_own(Event::new(head, body));
    }
}
