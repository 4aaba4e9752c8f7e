//! Recorded ticks of the clock: so that bars end while nothing is traded, in the run and in its replay alike.

use crossbeam_utils::CachePadded;
use feedd_config::{Config, SourceKind};
use feedd_core::counters::SourceCounters;
use feedd_core::{Outlet, Source, SourceError};
use feedd_model::{Event, EventBody, EventHead, Flags, InstrumentId, Status, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Time between two ticks.
const EVERY: Duration = Duration::from_secs(1);
/// How soon the end of the other sources, or of the run, is seen.
const LOOK: Duration = Duration::from_millis(20);

/// Whether ticks are recorded: while the clock of the sources is this machine's. The times of a recording are its own.
pub(crate) fn is_ticking(config: &Config) -> bool {
    config.is_analysed() && !config.sources.iter().any(|source| matches!(source.kind, SourceKind::Capture(_)))
}

/// A source of one status event a second, which ends with the others.
pub(crate) struct Ticks {
    others: Vec<Arc<CachePadded<SourceCounters>>>,
}

impl Ticks {
    /// Beside these sources.
    pub(crate) const fn new(others: Vec<Arc<CachePadded<SourceCounters>>>) -> Self {
        Self { others }
    }
}

impl Source for Ticks {
    fn name(&self) -> &str {
        "clock"
    }

    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
        let mut last = outlet.clock().mono();
        loop {
            std::thread::sleep(LOOK);
            let has_others = self.others.iter().any(|source| source.ended.get() == 0);
            if !has_others || outlet.stop().is_requested() {
                return Ok(());
            }
            let now = outlet.clock().mono();
            outlet.beat_at(now);
            if Duration::from_nanos(now.since(last)) < EVERY {
                continue;
            }
            last = now;
            let recv_ts = Some(outlet.clock().wall());
            let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts, flags: Flags::NONE };
            let body = EventBody::Status(Status { code: StatusCode::Tick, detail: 0 });
            if outlet.publish_own(Event::new(head, body)).is_err() {
                return Ok(());
            }
        }
    }
}
