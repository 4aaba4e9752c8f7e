//! What a recording is played with: its intake, and for a tape what goes on from one file to the next.

use super::publish_status;
use crate::capture::{CaptureLine, Direction, TapeHeader, TapeNote};
use crate::decoder::Decoder;
use crate::intake::{Intake, IntakeParts};
use crate::sources::SourceParts;
use feedd_core::counters::SourceCounters;
use feedd_core::outlet::Ended;
use feedd_core::{Outlet, SourceError};
use feedd_model::{StatusCode, UnixNanos};

/// A recording that is being played.
pub(super) struct Playing {
    pub(super) intake: Intake,
    /// Receive time of the last line that has one.
    pub(super) last_recv: Option<UnixNanos>,
    /// The header of its last file, if it is a tape.
    tape: Option<TapeHeader>,
    has_begun: bool,
}

impl Playing {
    /// One of which nothing is known yet.
    pub(super) fn new(parts: &SourceParts, venue: &str, decoder: Box<dyn Decoder>, outlet: &Outlet) -> Self {
        let intake = Intake::new(parts.intake(venue, decoder), outlet);
        Self { intake, last_recv: None, tape: None, has_begun: false }
    }

    /// Whether its next file may go on with it.
    pub(super) const fn is_tape(&self) -> bool {
        self.tape.is_some()
    }

    /// The first line of a file: a tape goes on where the file before it ended, or begins, and is checked as its session
    /// was; anything else is a recording that stays as it is.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end.
    pub(super) fn begin(
        &mut self,
        line: &CaptureLine<'_>,
        carried: &mut Option<Self>,
        again: impl FnOnce() -> Result<IntakeParts, SourceError>,
        outlet: &mut Outlet,
    ) -> Result<Result<(), Ended>, SourceError> {
        if std::mem::replace(&mut self.has_begun, true) {
            return Ok(Ok(()));
        }
        let header = (line.dir == Direction::Control).then(|| TapeHeader::parse(line.frame)).flatten();
        let before = carried.take();
        let Some(header) = header else {
            let ended = before.map_or(Ok(()), |before| before.end(outlet));
            return Ok(ended.and(publish_status(outlet, StatusCode::Connected, line.recv_ns.map(UnixNanos))));
        };
        match before {
            Some(before) if before.tape.as_ref().is_some_and(|tape| header.continues(tape)) => *self = before,
            before => {
                if let Some(Err(ended)) = before.map(|before| before.end(outlet)) {
                    return Ok(Err(ended));
                }
                self.intake = Intake::new(IntakeParts { check: Some(header.rules), ..again()? }, outlet);
            }
        }
        self.tape = Some(header);
        Ok(Ok(()))
    }

    /// One line.
    ///
    /// # Errors
    /// [`SourceError`] of the intake.
    pub(super) fn line(
        &mut self,
        line: &CaptureLine<'_>,
        counters: &SourceCounters,
        outlet: &mut Outlet,
    ) -> Result<Result<(), Ended>, SourceError> {
        let recv_ts = line.recv_ns.map(UnixNanos);
        match line.dir {
            Direction::In => self.intake.frame(line.conn, line.frame, recv_ts, counters)?,
            Direction::Out => self.intake.request(line.conn, line.frame),
            Direction::Control if self.is_tape() => return Ok(self.note(line, recv_ts, counters, outlet)),
            Direction::Control => {}
        }
        Ok(Ok(()))
    }

    /// Tells the checker what the session told it.
    fn note(
        &mut self,
        line: &CaptureLine<'_>,
        recv_ts: Option<UnixNanos>,
        counters: &SourceCounters,
        outlet: &mut Outlet,
    ) -> Result<(), Ended> {
        match TapeNote::parse(line.frame) {
            Some(TapeNote::Opened) => self.intake.opened(line.conn, recv_ts, counters),
            Some(TapeNote::Closed(code)) => self.intake.closed(line.conn, code, recv_ts, counters),
            Some(TapeNote::Silent(symbol)) => self.intake.silent(&symbol, None, None),
            Some(TapeNote::Mute(kind, symbol)) => {
                let conn = (line.conn != TapeNote::EVERYWHERE).then_some(line.conn);
                self.intake.silent(&symbol, Some(kind), conn);
            }
            Some(TapeNote::Known(symbol, known)) => self.intake.know(&symbol, *known),
            Some(TapeNote::Left(symbol)) => self.intake.left(&symbol, recv_ts, counters),
            Some(TapeNote::Ended) => self.intake.ended(recv_ts, counters),
            Some(TapeNote::Clock(step_ns)) => return self.intake.clock_was_set(step_ns, recv_ts, outlet),
            Some(TapeNote::Dropped(lines)) => {
                tracing::warn!(line = line.number, "the tape lacks {lines} lines: it was slower than the feed");
            }
            // A header, or a word of a later version.
            None => {}
        }
        // What the session would have asked for was asked for: the answers are on the tape.
        self.intake.wants().for_each(drop);
        Ok(())
    }

    /// It is over: everything is published, and a status says so.
    ///
    /// # Errors
    /// [`Ended`]: the source shall end.
    pub(super) fn end(mut self, outlet: &mut Outlet) -> Result<(), Ended> {
        let published = self.intake.publish(outlet);
        published.and(publish_status(outlet, StatusCode::Ended, self.last_recv))
    }
}
