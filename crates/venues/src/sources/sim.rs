//! The simulated market as a source: its text passes the same decoder as a venue's.

use super::{SourceParts, publish_status, sleep_until};
use crate::intake::Intake;
use crate::pace::{Rate, RatePacer};
use crate::sim::{SimConfig, SimConfigError, SimKind, SimMarket};
use crate::table::decoder_for;
use feedd_core::mailbox::Mailbox;
use feedd_core::outlet::Ended;
use feedd_core::{Outlet, Source, SourceError};
use feedd_model::{MonoNanos, StatusCode, UnixNanos};
use std::sync::Arc;

/// Venue of simulated instruments: simulated data never looks like real data.
const VENUE: &str = "sim";
/// Frames between two looks at the clock at rate `max`.
const FRAMES_PER_LOOK: u64 = 16;

/// Simulated time from one frame to the next at rate `max`, when a start time is given: 100,000 frames a second.
const STEP_NANOS_AT_MAX: u64 = 10_000;

/// A simulated market at a rate.
pub struct SimSource {
    parts: SourceParts,
    market: SimMarket,
    rate: Rate,
    start_time: Option<UnixNanos>,
    mailbox: Arc<Mailbox<Vec<String>>>,
}

/// The venue's and the receiving clock of the simulation.
enum SimClock {
    /// The recorder's own, as it was looked at last.
    Live { now: UnixNanos },
    /// Moves on with each frame, so that a run can be repeated to the last bit.
    Stepping { next: UnixNanos, step_ns: i64 },
}

impl SimClock {
    fn new(start: Option<UnixNanos>, rate: Rate) -> Self {
        let step_ns = match rate {
            Rate::Max => STEP_NANOS_AT_MAX,
            Rate::PerSecond(rate) => 1_000_000_000 / rate.get().min(1_000_000_000),
        };
        let step_ns = i64::try_from(step_ns).unwrap_or(i64::MAX);
        start.map_or(Self::Live { now: UnixNanos(0) }, |next| Self::Stepping { next, step_ns })
    }

    /// Looks at the recorder's clock, once a burst. Where times follow from the number of the frame, its steps do not
    /// matter.
    fn look(&mut self, intake: &mut Intake, outlet: &mut Outlet) {
        if let Self::Live { now } = self {
            *now = intake.received(outlet);
        }
    }

    /// Time of the next frame, which is still to come.
    const fn at(&self) -> UnixNanos {
        match self {
            Self::Live { now } => *now,
            Self::Stepping { next, .. } => *next,
        }
    }

    /// Time of the next frame.
    fn tick(&mut self) -> UnixNanos {
        match self {
            Self::Live { now } => *now,
            Self::Stepping { next, step_ns } => {
                let now = *next;
                *next = UnixNanos(now.0.saturating_add(*step_ns));
                now
            }
        }
    }
}

impl SimSource {
    /// A market at its beginning. With a start time, times follow from the number of the frame, and a run can be repeated
    /// to the last bit; without one they are the recorder's.
    ///
    /// # Errors
    /// [`SimConfigError`] when there is nothing to simulate.
    pub fn new(
        parts: SourceParts,
        config: &SimConfig,
        rate: Rate,
        start_time: Option<UnixNanos>,
    ) -> Result<Self, SimConfigError> {
        let mailbox = Arc::new(Mailbox::new(&parts.name));
        Ok(Self { parts, market: SimMarket::new(config)?, rate, start_time, mailbox })
    }

    /// Where it can be told other symbols, all of them, while it runs.
    #[must_use]
    pub fn mailbox(&self) -> Arc<Mailbox<Vec<String>>> {
        self.mailbox.clone()
    }

    /// Takes the symbols that it was told. What has gone is told by a row of its own.
    #[cold]
    fn change(&mut self, outlet: &mut Outlet, intake: &mut Intake, clock: &mut SimClock) -> Result<(), Ended> {
        for symbols in self.mailbox.take() {
            match self.market.set_symbols(&symbols) {
                Ok(gone) => {
                    clock.look(intake, outlet);
                    let at = clock.at();
                    gone.iter().for_each(|symbol| intake.left(symbol, Some(at), outlet.counters()));
                }
                // The configuration has checked them; what it let through is told and changes nothing.
                Err(error) => tracing::error!("source {}: {error}; its symbols stay", self.parts.name),
            }
        }
        intake.publish(outlet)
    }

    fn deliver(
        &mut self,
        outlet: &mut Outlet,
        intake: &mut Intake,
        clock: &mut SimClock,
    ) -> Result<Ended, SourceError> {
        let counters = outlet.counters().clone();
        let mut pacer = RatePacer::new(self.rate, outlet.clock().mono());
        let mut text = String::with_capacity(4096);
        loop {
            let now = outlet.clock().mono();
            outlet.beat_at(now);
            if self.mailbox.is_there()
                && let Err(ended) = self.change(outlet, intake, clock)
            {
                return Ok(ended);
            }
            let due = pacer.due(now).min(FRAMES_PER_LOOK);
            if due > 0 {
                clock.look(intake, outlet);
            }
            for _ in 0..due {
                let recv_ts = clock.tick();
                let frame = self.market.next_frame(recv_ts, &mut text);
                match frame.kind {
                    SimKind::Request => intake.request(frame.conn, &text),
                    SimKind::Frame => intake.frame(frame.conn, &text, Some(recv_ts), &counters)?,
                }
                if intake.is_due(outlet)
                    && let Err(ended) = intake.publish(outlet)
                {
                    return Ok(ended);
                }
            }
            pacer.sent(due);
            if let Err(ended) = intake.publish(outlet) {
                return Ok(ended);
            }
            let wait = pacer.wait_ns(outlet.clock().mono());
            if wait > 0 && !sleep_until(MonoNanos(now.0 + wait), outlet) {
                return Ok(Ended::Stopped);
            }
        }
    }
}

impl Source for SimSource {
    fn name(&self) -> &str {
        &self.parts.name
    }

    fn run(&mut self, outlet: &mut Outlet) -> Result<(), SourceError> {
        let Some(decoder) = decoder_for(VENUE) else {
            return Err(SourceError::Recorder { what: "no decoder for the simulated market".into(), source: None });
        };
        let mut intake = Intake::new(self.parts.intake(VENUE, decoder), outlet);
        let mut clock = SimClock::new(self.start_time, self.rate);
        clock.look(&mut intake, outlet);
        if publish_status(outlet, StatusCode::Connected, Some(clock.tick())).is_err() {
            return Ok(());
        }
        let result = self.deliver(outlet, &mut intake, &mut clock);
        // Whatever ended it, what was decoded is published.
        let _ = intake.publish(outlet);
        clock.look(&mut intake, outlet);
        // Ended anyway: the status is the last event, whatever the outlet answers.
        let _ = publish_status(outlet, StatusCode::Ended, Some(clock.tick()));
        result.map(drop)
    }
}
