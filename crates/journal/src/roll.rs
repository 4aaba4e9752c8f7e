//! Writing a piece of the buffer into the open segment, going on to the next one, giving one up.
//!
//! A file whose write or sync failed is never synced again: the system may have thrown the data away and would report
//! success the second time. The frames are written to a fresh segment instead, and may then stand twice; readers skip by
//! position.

use crate::config::Sync;
use crate::disk::DiskFile;
use crate::error::{JournalError, is_no_space};
use crate::folder::Fresh;
use crate::format::{self, END_MARK, FRAME_BYTES_MAX, Identity, Kind};
use crate::pending::{Piece, push_dictionary};
use crate::tail::Mark;
use crate::writer::{Journal, LAST_FRAME_BYTES};
use feedd_core::Clock;
use feedd_model::{Position, Seq};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Segments given up in a row before a person is called.
const FAILURES_MAX: u32 = 3;

/// The segment being written.
#[derive(Debug)]
pub(crate) struct Active {
    number: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    bytes: u64,
    /// Durable up to here.
    offset: u64,
    /// Segment header and dictionary, until they are durable.
    head: Vec<u8>,
    before: Position,
    base: Seq,
    events: u64,
}

impl Active {
    /// Time to make the next one ready.
    pub(crate) const fn is_half_full(&self) -> bool {
        self.offset >= self.bytes / 2
    }

    /// Nothing in it is durable yet.
    const fn is_fresh(&self) -> bool {
        !self.head.is_empty()
    }
}

/// What failed.
pub(crate) struct Failure {
    error: io::Error,
    /// The data had been handed to the system, and is in doubt.
    synced: bool,
}

impl Journal {
    /// Begins the next segment in memory; its header goes to disk with the first frames.
    pub(crate) fn activate(&mut self) -> Result<Active, JournalError> {
        let identity = Identity { stream: self.start.stream, epoch: self.start.epoch };
        let at = self.complete_until.unwrap_or(self.start.at);
        let mut head = Vec::new();
        identity.push_control(&mut head, Kind::Segment, Seq(0), at, self.control(self.before));
        push_dictionary(identity, &mut head, &self.instruments, 0, self.instruments_known, at);
        // A few pages of events at least, however many instruments there are.
        let bytes_min = (head.len() + 3 * FRAME_BYTES_MAX).next_multiple_of(FRAME_BYTES_MAX) as u64;
        let Fresh { number, path, file, bytes } = self.folder.take(bytes_min, self.is_opening)?;
        let base = if self.before.epoch == self.start.epoch { self.before.seq } else { Seq(0) };
        format::stamp(&mut head, number, base);
        Ok(Active { number, path, file, bytes, offset: 0, head, before: self.before, base, events: 0 })
    }

    /// Writes as much of the buffer as fits into the open segment, syncs and publishes it. Seals the segment when
    /// something is left over.
    pub(crate) fn write_piece(&mut self) -> Result<(), Failure> {
        let Some(mut active) = self.active.take() else { return Ok(()) };
        let kept_free = LAST_FRAME_BYTES + END_MARK.len() as u64;
        let room = (active.bytes - active.offset).saturating_sub(active.head.len() as u64 + kept_free);
        let piece = self.pending.fit(room, LAST_FRAME_BYTES);
        let seals = piece.bytes < self.pending.bytes();
        let after = self.after(&active, &piece, seals);
        let written = self.write(&active, &piece, &after).and_then(|()| self.sync(&active));
        if let Err(failure) = written {
            self.active = Some(active);
            return Err(failure);
        }
        let was_fresh = active.is_fresh();
        active.offset += (active.head.len() + piece.bytes + after.len() - END_MARK.len()) as u64;
        active.events += piece.events;
        active.head = Vec::new();
        self.failures = 0;
        self.is_opening = false;
        self.pending.forget(piece.bytes);
        if let Some((seq, at)) = piece.last {
            self.before = Position { epoch: self.start.epoch, seq };
            self.complete_until = Some(at);
        }
        self.publish(&active, &piece, was_fresh, seals);
        self.active = Some(active).filter(|_| !seals);
        Ok(())
    }

    /// What stands behind the frames: the seal of a full segment, and the end mark.
    fn after(&self, active: &Active, piece: &Piece, seals: bool) -> Vec<u8> {
        let mut after = Vec::with_capacity(256);
        if seals {
            let identity = Identity { stream: self.start.stream, epoch: self.start.epoch };
            let durable = if self.before.epoch == self.start.epoch { self.before.seq } else { Seq(0) };
            let last = piece.last.map_or(durable, |(seq, _)| seq);
            let at = piece.last.map(|(_, at)| at).or(self.complete_until).unwrap_or(self.start.at);
            let events = active.events + piece.events;
            let control = format::Control { events, ..self.control(active.before) };
            identity.push_control(&mut after, Kind::Seal, last, at, control);
            format::stamp(&mut after, active.number, active.base);
        }
        after.extend_from_slice(&END_MARK);
        after
    }

    fn write(&mut self, active: &Active, piece: &Piece, after: &[u8]) -> Result<(), Failure> {
        let stamped = self.pending.stamped(piece.bytes, active.number, active.base, after);
        let written = if active.is_fresh() {
            let bytes = [&active.head, stamped.bytes()].concat();
            active.file.write_at(&bytes, active.offset).map(|()| bytes.len())
        } else {
            active.file.write_at(stamped.bytes(), active.offset).map(|()| stamped.bytes().len())
        };
        let written = written.map_err(|error| Failure { error, synced: false })?;
        self.counters.bytes_written.add(written as u64);
        Ok(())
    }

    /// Data first; then, for a new segment, its name.
    fn sync(&self, active: &Active) -> Result<(), Failure> {
        let failed = |error| Failure { error, synced: true };
        if self.sync != Sync::Os {
            let start = self.clock.mono();
            let synced = active.file.sync_data();
            self.counters.synced(self.clock.mono().since(start));
            synced.map_err(failed)?;
        }
        if active.is_fresh() {
            self.folder.disk.sync_dir(&self.folder.dir).map_err(failed)?;
        }
        Ok(())
    }

    /// Tells the readers.
    fn publish(&self, active: &Active, piece: &Piece, is_new: bool, is_full: bool) {
        let last = if self.before.epoch == self.start.epoch { self.before.seq } else { Seq(0) };
        self.tail.publish(|state| {
            state.durable = Position { epoch: self.start.epoch, seq: last };
            if is_new {
                let id = state.marks.back().map_or(0, |mark| mark.id + 1);
                let events_before = state.events_total();
                state.marks.push_back(Mark {
                    id,
                    number: active.number,
                    path: active.path.clone(),
                    bytes: active.bytes,
                    stream: self.start.stream,
                    epoch: self.start.epoch,
                    started_at: self.start.at,
                    before: active.before,
                    last,
                    events: 0,
                    events_before,
                    end: 0,
                    closed: false,
                    stopped_at: None,
                });
            }
            let Some(mark) = state.marks.back_mut() else { return };
            (mark.last, mark.events, mark.end) = (last, active.events, active.offset);
            mark.stopped_at = piece.stopped_at;
            mark.closed = is_full || piece.stopped_at.is_some();
        });
    }

    /// Decides what a failed write means: try again, go on in a fresh segment, or give up.
    pub(crate) fn judge(&mut self, failure: Failure) -> Result<(), JournalError> {
        let Some(active) = self.active.take() else { return Ok(()) };
        let path = active.path.clone();
        let is_full = is_no_space(&failure.error);
        if is_full && !failure.synced {
            // Nothing was synced: the same bytes may be written to the same place again.
            self.active = Some(active);
            return Err(JournalError::NoSpace { path, source: failure.error });
        }
        self.counters.failed_syncs.add(1);
        self.failures += 1;
        let (segments, error) = (self.failures, &failure.error);
        tracing::error!(path = %path.display(), segments, %error, "journal: a segment is given up; its frames are written again elsewhere");
        self.give_up(active);
        if is_full {
            return Err(JournalError::NoSpace { path, source: failure.error });
        }
        if segments >= FAILURES_MAX {
            return Err(JournalError::Failed { path, segments, source: failure.error });
        }
        Ok(())
    }

    /// The durable part of a segment stays; one without is removed.
    fn give_up(&mut self, active: Active) {
        if active.is_fresh() {
            drop(active.file);
            self.folder.drop_failed(&active.path, active.bytes);
        } else {
            self.tail.publish(|state| {
                if let Some(mark) = state.marks.back_mut() {
                    mark.closed = true;
                }
            });
        }
    }
}
