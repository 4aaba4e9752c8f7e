//! The ways in: a simulated market, recordings. Each runs on its own thread and shares [`crate::intake`].

mod capture;
mod playing;
mod sim;

pub use capture::{CaptureConfig, CaptureSource};
pub use feedd_core::source::Progress;
pub use sim::SimSource;

use crate::intake::IntakeParts;
use crate::validate::ValidationConfig;
use feedd_core::dead_letters::DeadLetters;
use feedd_core::outlet::Ended;
use feedd_core::{Instruments, Outlet};
use feedd_model::{Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Status, StatusCode, UnixNanos};
use std::time::Duration;

/// What every source needs beside its own configuration.
#[derive(Clone)]
pub struct SourceParts {
    /// Name, unique in a run.
    pub name: String,
    /// Limits for trades.
    pub validation: ValidationConfig,
    /// The shared dictionary.
    pub instruments: Instruments,
    /// Where rejected texts go.
    pub dead_letters: DeadLetters,
    /// Whether frames of unknown type are kept, too.
    pub keep_unknown: bool,
    /// Longest frame, bytes.
    pub frame_bytes_max: usize,
}

impl SourceParts {
    fn intake(&self, venue: &str, decoder: Box<dyn crate::decoder::Decoder>) -> IntakeParts {
        IntakeParts {
            source: self.name.clone(),
            venue: venue.to_owned(),
            decoder,
            validation: self.validation,
            instruments: self.instruments.clone(),
            dead_letters: self.dead_letters.clone(),
            keep_unknown: self.keep_unknown,
            frame_bytes_max: self.frame_bytes_max,
            check: None,
        }
    }
}

/// Longest sleep of a pacing source: a stop is seen this soon.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Records that a source began or ended, at the receive time `at`.
///
/// # Errors
/// [`Ended`]: the source shall end.
pub fn publish_status(outlet: &mut Outlet, code: StatusCode, at: Option<UnixNanos>) -> Result<(), Ended> {
    let head = EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: at, flags: Flags::NONE };
    outlet.publish_own(Event::new(head, EventBody::Status(Status { code, detail: 0 })))
}

/// Sleeps until `deadline`; false when a stop was requested first.
fn sleep_until(deadline: MonoNanos, outlet: &Outlet) -> bool {
    loop {
        if outlet.stop().is_requested() {
            return false;
        }
        let now = outlet.clock().mono();
        outlet.beat_at(now);
        let left = deadline.since(now);
        if left == 0 {
            return true;
        }
        std::thread::sleep(Duration::from_nanos(left).min(SLEEP_MAX));
    }
}
