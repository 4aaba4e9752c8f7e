//! The writing side: frames into memory, memory to disk, what is durable told to readers.

use crate::config::{JournalConfig, Stamp, Start, Sync};
use crate::cursor::Cursor;
use crate::disk::{Disk, SystemDisk};
use crate::error::{JournalError, io_error};
use crate::folder::Folder;
use crate::format::{CONTROL_FRAME_BYTES, Control, FORMAT_VERSION, Identity, Kind};
use crate::open;
use crate::pending::Pending;
use crate::readers::Readers;
use crate::recovered::Recovered;
use crate::roll::Active;
use crate::tail::{Mark, Tail};
use crate::usage::{Counters, Usage};
use feedd_core::{FolderLock, Instruments, SystemClock};
use feedd_model::{Event, Position, Seq, SourceId, UnixNanos};
use std::sync::Arc;

/// An append-only log of events in segments. One thread writes; readers take a [`Cursor`].
#[derive(Debug)]
pub struct Journal {
    pub(crate) start: Start,
    pub(crate) sync: Sync,
    pub(crate) instruments: Instruments,
    pub(crate) folder: Folder,
    pub(crate) tail: Arc<Tail>,
    pub(crate) pending: Pending,
    /// Instruments whose entries stand in the open segment or in `pending`.
    pub(crate) instruments_known: usize,
    /// The segment being written; none after one was sealed or given up.
    pub(crate) active: Option<Active>,
    /// Last event appended.
    pub(crate) last: Seq,
    /// Last durable event, that of an earlier start until this one has some.
    pub(crate) before: Position,
    pub(crate) complete_until: Option<UnixNanos>,
    /// Segments given up since a write succeeded.
    pub(crate) failures: u32,
    /// The epoch start is not durable yet: the budget may be exceeded by one small segment.
    pub(crate) is_opening: bool,
    pub(crate) is_stopping: bool,
    pub(crate) counters: Counters,
    pub(crate) clock: SystemClock,
    pub(crate) _lock: Option<FolderLock>,
}

impl Journal {
    /// Locks the folder, recovers what is there (every checksum is read) and begins a new segment with an epoch-start
    /// frame, durable when this returns. Old segments are never appended to.
    ///
    /// # Errors
    /// [`JournalError::Newer`], [`JournalError::Lock`], [`JournalError::EpochUsed`] and [`JournalError::Config`] before
    /// any segment is changed. After the others opening may be tried again.
    pub fn open(
        config: JournalConfig,
        start: Start,
        instruments: Instruments,
    ) -> Result<(Self, Recovered), JournalError> {
        Self::open_on(Arc::new(SystemDisk), config, start, instruments)
    }

    /// As [`Journal::open`], on a disk of one's own: for tests ([`crate::testing`]).
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        config: JournalConfig,
        start: Start,
        instruments: Instruments,
    ) -> Result<(Self, Recovered), JournalError> {
        open::open(disk, &config, start, instruments)
    }

    pub(crate) fn new(folder: Folder, sync: Sync, start: Start, instruments: Instruments) -> Self {
        let identity = Identity { stream: start.stream, epoch: start.epoch };
        Self {
            start,
            sync,
            folder,
            tail: Arc::default(),
            pending: Pending::new(identity),
            instruments_known: instruments.len(),
            instruments,
            active: None,
            last: Seq(0),
            before: Position::default(),
            complete_until: None,
            failures: 0,
            is_opening: true,
            is_stopping: false,
            counters: Counters::default(),
            clock: SystemClock::new(),
            _lock: None,
        }
    }

    /// Encodes events into the commit buffer, in frames of up to [`crate::FRAME_EVENTS_MAX`], each with this stamp. `first`
    /// follows the last event appended.
    ///
    /// # Panics
    /// When `first` does not follow, and after [`Journal::close`]: the caller's sequence would be wrong for ever.
    pub fn append(&mut self, first: Seq, source: SourceId, events: &[Event], stamp: impl Into<Stamp>) {
        let stamp = stamp.into();
        assert!(first == self.last.next(), "seq rises by one");
        assert!(!self.is_stopping, "nothing follows a clean stop");
        let known = self.instruments.len();
        if known > self.instruments_known {
            // Before the first event that can carry the new id.
            self.pending.push_dictionary(&self.instruments, self.instruments_known, known, stamp.at);
            self.instruments_known = known;
        }
        self.pending.push_events(first, source, events, stamp);
        self.last = Seq(self.last.0 + events.len() as u64);
    }

    /// Bytes of the commit buffer.
    #[must_use]
    pub const fn uncommitted_bytes(&self) -> usize {
        self.pending.bytes()
    }

    /// Writes the buffer and syncs it, then publishes the durable position and wakes the readers.
    ///
    /// # Errors
    /// [`JournalError`]; what is not durable stays in the buffer, and this may be called again.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        while !self.pending.is_empty() {
            if self.active.is_none() {
                self.active = Some(self.activate()?);
            }
            if let Err(failure) = self.write_piece() {
                self.judge(failure)?;
            }
        }
        self.counters.commits.add(1);
        if self.active.as_ref().is_some_and(Active::is_half_full) {
            self.folder.prepare_spare();
        }
        Ok(())
    }

    /// Gives back the segments all of whose events are at or below `stored`, oldest first. The newest always stays.
    ///
    /// # Errors
    /// [`JournalError::Io`]: segments not given back yet stay as they are, and this may be called again.
    pub fn trim(&mut self, stored: Position) -> Result<(), JournalError> {
        loop {
            // Out of the readers' sight first: the file may be overwritten as soon as it is a spare.
            let mark = {
                let mut state = self.tail.state();
                let is_free = |mark: &Mark| mark.closed && mark.last_position() <= stored;
                if state.marks.len() < 2 || !state.marks.front().is_some_and(is_free) {
                    return Ok(());
                }
                state.marks.pop_front()
            };
            let Some(mark) = mark else { return Ok(()) };
            if let Err(error) = self.folder.release(&mark.path, mark.bytes) {
                self.tail.state().marks.push_front(mark);
                return Err(error);
            }
            // In order, also across a power cut: a younger file gone before an older one would look like damage.
            self.folder.sync_names()?;
        }
    }

    /// Position of the last event in the oldest closed segment that holds events: what [`Journal::trim`] must reach to
    /// free a segment. `None` when only the newest is left.
    #[must_use]
    pub fn oldest_segment_end(&self) -> Option<Position> {
        let state = self.tail.state();
        let closed = state.marks.len().saturating_sub(1);
        state.marks.iter().take(closed).find(|mark| mark.closed && mark.events > 0).map(Mark::last_position)
    }

    /// Commits, and writes a clean-stop frame, synced. Readers find the end of the journal then.
    ///
    /// # Errors
    /// As [`Journal::commit`]; may be called again.
    pub fn close(&mut self, at: UnixNanos) -> Result<(), JournalError> {
        if !self.is_stopping {
            let control = self.control(self.before);
            self.pending.push_control(Kind::CleanStop, self.last, at, control);
            self.is_stopping = true;
        }
        self.commit()?;
        self.tail.publish(|state| state.closed = true);
        Ok(())
    }

    /// A reader from the oldest frame on. It may live in another thread, and longer than the journal.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.folder.disk.clone(), self.tail.clone())
    }

    /// Readers for later, from other threads.
    #[must_use]
    pub fn readers(&self) -> Readers {
        Readers::new(self.folder.disk.clone(), self.tail.clone())
    }

    /// What readers wait on.
    #[must_use]
    pub fn tail(&self) -> Arc<Tail> {
        self.tail.clone()
    }

    /// Figures for telemetry. Starts a new window of `sync_ns_max`.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let segments = self.tail.state().marks.len() as u64;
        self.counters.usage(segments, self.folder.bytes_used, self.folder.bytes_max)
    }

    /// What a control frame says now.
    pub(crate) const fn control(&self, before: Position) -> Control {
        Control {
            version: FORMAT_VERSION,
            clean: false,
            before,
            complete_until: self.complete_until,
            started_at: self.start.at,
            events: 0,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.tail.publish(|state| state.closed = true);
    }
}

/// Kept free at the end of a segment for its last frame.
pub(crate) const LAST_FRAME_BYTES: u64 = CONTROL_FRAME_BYTES as u64;

/// Makes the newest segment of an earlier run durable: after a kill its last bytes may be in the system's memory only.
pub(crate) fn sync_segment(disk: &dyn Disk, path: &std::path::Path) -> Result<(), JournalError> {
    disk.open(path).and_then(|file| file.sync_data()).map_err(io_error(path, "syncing"))
}
