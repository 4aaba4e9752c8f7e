//! The reading side: every durable event once, in order, with what is missing said.

use crate::disk::Disk;
use crate::error::{JournalError, io_error};
use crate::format::{self, FRAME_BYTES_MAX, Header, Kind};
use crate::progress::{Hole, Progress};
use crate::segment::{SegmentReader, Step};
use crate::tail::{Mark, State, Tail};
use feedd_model::{Epoch, Event, Position, Seq, SourceId, StreamId, UnixNanos};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Piece a cursor reads at once.
const PIECE_BYTES: usize = 64 * FRAME_BYTES_MAX;
/// Times a piece is asked for before what cannot be read counts as damaged.
const READ_ATTEMPTS: u32 = 3;

/// What a cursor finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A start of the stream; always before the first events of the epoch.
    Epoch {
        /// Recorded stream.
        stream: StreamId,
        /// Start counter.
        epoch: Epoch,
        /// When it started; 1970 when no frame that says so is left.
        at: UnixNanos,
    },
    /// Events of one source, dense in sequence.
    Events {
        /// Start counter.
        epoch: Epoch,
        /// Sequence of the first event.
        first: Seq,
        /// Who delivered them.
        source: SourceId,
        /// When they were journalled.
        at: UnixNanos,
        /// No event behind them was received earlier.
        complete_until: UnixNanos,
        /// The events.
        events: &'a [Event],
    },
    /// Events that existed and cannot be read.
    Missing {
        /// Start counter.
        epoch: Epoch,
        /// First of them.
        first: Seq,
        /// Last of them.
        last: Seq,
        /// Why.
        cause: Cause,
    },
    /// The epoch ended in order.
    End {
        /// Start counter.
        epoch: Epoch,
        /// Its last event.
        last: Seq,
        /// When.
        at: UnixNanos,
    },
}

/// Why events are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The bytes are damaged, or a file inside the journal is gone.
    Damaged,
    /// The segment was given back; or the oldest files were removed by hand, which looks the same.
    Trimmed,
}

/// A reader with file handles and a position of its own.
#[derive(Debug)]
pub struct Cursor {
    disk: Arc<dyn Disk>,
    tail: Arc<Tail>,
    open: Option<Open>,
    /// The segment that was read last.
    last_id: Option<u64>,
    progress: Progress,
    /// The next segment is entered by position, not by following the one before.
    is_seeking: bool,
    /// Segments were given back before they were read.
    is_overtaken: bool,
    announced: Option<(StreamId, Epoch)>,
    /// Handed out before `ready`.
    queue: VecDeque<Item<'static>>,
    /// What `events` holds, when it has not been handed out.
    ready: Option<Ready>,
    events: Vec<Event>,
    /// Events of this journal that lie behind.
    passed: u64,
    failed_reads: u32,
}

#[derive(Debug)]
struct Open {
    id: u64,
    path: PathBuf,
    epoch: Epoch,
    reader: SegmentReader,
}

#[derive(Clone, Copy, Debug)]
struct Ready {
    epoch: Epoch,
    first: Seq,
    source: SourceId,
    at: UnixNanos,
    complete_until: UnixNanos,
}

impl Cursor {
    pub(crate) fn new(disk: Arc<dyn Disk>, tail: Arc<Tail>) -> Self {
        Self {
            disk,
            tail,
            open: None,
            last_id: None,
            progress: Progress::default(),
            is_seeking: true,
            is_overtaken: false,
            announced: None,
            queue: VecDeque::new(),
            ready: None,
            events: Vec::with_capacity(format::FRAME_EVENTS_MAX),
            passed: 0,
            failed_reads: 0,
        }
    }

    /// The next item up to the durable end; `None` when caught up. Nothing that is not durable is ever returned.
    ///
    /// # Errors
    /// [`JournalError::Io`] when a segment cannot be opened or read; may be called again. Bytes that cannot be read at the
    /// third attempt count as damaged.
    #[allow(clippy::should_implement_trait, reason = "the items borrow from the cursor")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, JournalError> {
        while self.queue.is_empty() && self.ready.is_none() {
            if !self.look()? {
                return Ok(None);
            }
        }
        if let Some(item) = self.queue.pop_front() {
            return Ok(Some(item));
        }
        let ready = self.ready.take();
        Ok(ready.map(|Ready { epoch, first, source, at, complete_until }| Item::Events {
            epoch,
            first,
            source,
            at,
            complete_until,
            events: &self.events,
        }))
    }

    /// The next events are those after `after`; what lies at or below it is skipped, earlier epochs as a whole. The epoch
    /// is announced again.
    ///
    /// # Errors
    /// None at present: files are opened by [`Cursor::next`].
    pub fn seek(&mut self, after: Position) -> Result<(), JournalError> {
        self.open = None;
        self.last_id = None;
        self.progress = Progress(Some(after));
        (self.is_seeking, self.is_overtaken) = (true, false);
        self.announced = None;
        self.queue.clear();
        self.ready = None;
        Ok(())
    }

    /// Goes on near the durable end, at most `bytes` before it in the newest segment, at the cost of reading so many: for
    /// whoever wants samples and not everything. What lies before is passed over without a word; the epoch is announced
    /// again. [`Cursor::events_behind`] does not know about it before the next segment.
    ///
    /// # Errors
    /// [`JournalError::Io`] when the segment cannot be opened.
    pub fn seek_near_end(&mut self, bytes: u64) -> Result<(), JournalError> {
        self.seek(Position::default())?;
        let Some(mark) = self.tail.state().marks.back().cloned() else { return Ok(()) };
        let file = self.disk.open_read(&mark.path).map_err(io_error(&mark.path, "opening"))?;
        let mut reader = SegmentReader::new(file, mark.number, mark.end, PIECE_BYTES);
        reader.start_at(mark.end.saturating_sub(bytes));
        self.passed = mark.events_before + mark.events;
        // From the end itself on, nothing is missed without a word.
        self.progress = Progress((bytes == 0).then(|| mark.last_position()));
        self.is_seeking = false;
        self.announce(mark.stream, mark.epoch, mark.started_at);
        self.open = Some(Open { id: mark.id, path: mark.path, epoch: mark.epoch, reader });
        Ok(())
    }

    /// Events between the cursor and the durable end, over all epochs. Counts what is there: missing events are not
    /// counted, events that stand twice are.
    #[must_use]
    pub fn events_behind(&self) -> u64 {
        let state = self.tail.state();
        let passed = match (&self.open, self.locate(&state)) {
            (None, Some(mark)) => self.passed_at(mark),
            (None, None) => state.events_total(),
            (Some(_), _) => self.passed,
        };
        state.events_total().saturating_sub(passed)
    }

    /// Takes one step; false when caught up.
    fn look(&mut self) -> Result<bool, JournalError> {
        let Some(open) = &mut self.open else { return self.enter() };
        match open.reader.step() {
            Ok(Step::Frame { header, .. }) => {
                self.failed_reads = 0;
                if header.kind == Kind::Events && header.epoch == open.epoch {
                    if format::read_events(open.reader.payload(), &mut self.events) {
                        self.take_events(&header);
                    } else {
                        self.events.clear();
                    }
                }
                Ok(true)
            }
            // The hole shows by the events behind it, or at the segment's end. A recycled file looks damaged as well.
            Ok(Step::Damaged(_) | Step::Rest(_)) => {
                let id = open.id;
                if self.tail.state().mark(id).is_none() {
                    self.overtaken(id);
                }
                Ok(true)
            }
            Ok(Step::End) => Ok(self.at_end()),
            Err(source) => {
                self.failed_reads += 1;
                open.reader.tolerant = self.failed_reads >= READ_ATTEMPTS - 1;
                Err(io_error(&open.path, "reading")(source))
            }
        }
    }

    fn take_events(&mut self, header: &Header) {
        let (hole, known) = self.progress.run(header.epoch, header.first, header.last());
        if let Some(hole) = hole {
            self.missing(hole, Cause::Damaged);
        }
        self.events.drain(..usize::try_from(known).unwrap_or(usize::MAX).min(self.events.len()));
        if !self.events.is_empty() {
            self.passed += self.events.len() as u64;
            let first = Seq(header.first.0 + known);
            let (epoch, source, at) = (header.epoch, header.source, header.at);
            self.ready = Some(Ready { epoch, first, source, at, complete_until: header.complete_until() });
        }
    }

    /// Everything durable of the open segment is read.
    fn at_end(&mut self) -> bool {
        let Some(open) = &mut self.open else { return true };
        let state = self.tail.state();
        let Some(mark) = state.mark(open.id) else {
            let id = open.id;
            drop(state);
            self.overtaken(id);
            return true;
        };
        if mark.end > open.reader.limit() {
            open.reader.set_limit(mark.end);
            return true;
        }
        if !mark.closed {
            return false;
        }
        let mark = mark.clone();
        drop(state);
        self.finish(&mark);
        true
    }

    fn finish(&mut self, mark: &Mark) {
        if let Some(hole) = self.progress.pass(mark.last_position()) {
            self.missing(hole, Cause::Damaged);
        }
        if let Some(at) = mark.stopped_at {
            self.queue.push_back(Item::End { epoch: mark.epoch, last: mark.last, at });
        }
        self.passed = mark.events_before + mark.events;
        self.last_id = Some(mark.id);
        self.open = None;
    }

    /// The open segment was given back before its end was reached.
    fn overtaken(&mut self, id: u64) {
        self.open = None;
        self.last_id = Some(id);
        self.is_overtaken = true;
    }

    /// Opens the next segment; false when there is none.
    fn enter(&mut self) -> Result<bool, JournalError> {
        let (mark, cause) = {
            let state = self.tail.state();
            let Some(mark) = self.locate(&state) else { return Ok(false) };
            let is_front = state.marks.front().is_some_and(|front| front.id == mark.id);
            let follows = self.last_id.is_some_and(|last| last + 1 == mark.id) && !self.is_overtaken;
            let trimmed = if self.is_seeking { is_front } else { !follows };
            (mark.clone(), if trimmed { Cause::Trimmed } else { Cause::Damaged })
        };
        let file = match self.disk.open_read(&mark.path) {
            Ok(file) => Some(file),
            // Given back since the lock was let go.
            Err(_) if self.tail.state().mark(mark.id).is_none() => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound && mark.closed => {
                tracing::error!(path = %mark.path.display(), "journal: a segment is gone that was not given back");
                None
            }
            Err(error) => return Err(io_error(&mark.path, "opening")(error)),
        };
        self.passed = self.passed_at(&mark);
        if let Some(hole) = self.progress.pass(mark.before) {
            let started_at = if hole.epoch == mark.epoch { mark.started_at } else { UnixNanos(0) };
            self.announce(mark.stream, hole.epoch, started_at);
            self.missing(hole, cause);
        }
        self.announce(mark.stream, mark.epoch, mark.started_at);
        (self.is_seeking, self.is_overtaken) = (false, false);
        match file {
            Some(file) => {
                let reader = SegmentReader::new(file, mark.number, mark.end, PIECE_BYTES);
                self.open = Some(Open { id: mark.id, path: mark.path, epoch: mark.epoch, reader });
            }
            None => self.finish(&mark),
        }
        Ok(true)
    }

    /// The segment to be entered next.
    fn locate<'a>(&self, state: &'a State) -> Option<&'a Mark> {
        match self.last_id {
            Some(last) => state.marks.iter().find(|mark| mark.id > last),
            None => {
                let after = self.progress.0.unwrap_or_default();
                let is_behind =
                    |mark: &&Mark| mark.closed && self.progress.0.is_some() && mark.last_position() <= after;
                state.marks.iter().find(|mark| !is_behind(mark))
            }
        }
    }

    /// Events of the journal that lie behind when `mark` is entered.
    fn passed_at(&self, mark: &Mark) -> u64 {
        let ahead = match self.progress.0 {
            Some(at) if at.epoch == mark.epoch => mark.last.0.saturating_sub(at.seq.0).min(mark.events),
            Some(at) if at.epoch > mark.epoch => 0,
            _ => mark.events,
        };
        mark.events_before + mark.events - ahead
    }

    fn missing(&mut self, Hole { epoch, first, last }: Hole, cause: Cause) {
        self.queue.push_back(Item::Missing { epoch, first, last, cause });
    }

    fn announce(&mut self, stream: StreamId, epoch: Epoch, at: UnixNanos) {
        if self.announced != Some((stream, epoch)) {
            self.announced = Some((stream, epoch));
            self.queue.push_back(Item::Epoch { stream, epoch, at });
        }
    }
}
