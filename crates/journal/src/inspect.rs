//! Looking at a journal from outside: nothing is locked or changed, and a writer may run beside it.

use crate::disk::{Disk, SystemDisk};
use crate::error::{JournalError, io_error};
use crate::format::{self, Header, Kind};
use crate::quarantine;
use crate::recovered::Recovered;
use crate::scan::{SCAN_PIECE_BYTES, number_segment};
use crate::segment::{Region, SegmentReader, Step, segment_number};
use crate::survey::survey;
use feedd_model::{Epoch, Event, Position, Seq, SourceId, StreamId, UnixNanos};
use std::path::{Path, PathBuf};

/// Reads and checks everything. Beside a running writer its last commit may show as torn bytes.
///
/// # Errors
/// [`JournalError::Newer`]; [`JournalError::Io`] when the folder or a file cannot be read.
pub fn inspect(dir: &Path) -> Result<Recovered, JournalError> {
    inspect_on(&SystemDisk, dir)
}

pub(crate) fn inspect_on(disk: &dyn Disk, dir: &Path) -> Result<Recovered, JournalError> {
    let first = survey(disk, dir, None)?.recovered;
    if first.damage.is_empty() {
        return Ok(first);
    }
    // A segment that a writer recycled or wrote to meanwhile looks damaged once, real damage twice.
    let mut second = survey(disk, dir, None)?.recovered;
    second.damage.retain(|damage| first.damage.contains(damage));
    Ok(second)
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// Head of a segment.
    Segment,
    /// Instruments.
    Dictionary,
    /// Events.
    Events,
    /// A start.
    EpochStart,
    /// A stop in order.
    CleanStop,
    /// End of a full segment.
    Seal,
    /// Bytes that are no frame, with frames behind them.
    Damaged,
    /// Bytes behind the last frame that are no end mark.
    Torn,
}

/// One frame, or one damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpFrame {
    /// Segment number.
    pub segment: u64,
    /// Its file.
    pub file: PathBuf,
    /// Where the frame begins.
    pub offset: u64,
    /// Its length.
    pub bytes: u64,
    /// What it is.
    pub kind: FrameKind,
    /// Recorded stream.
    pub stream: StreamId,
    /// Start counter.
    pub epoch: Epoch,
    /// First event; the last so far for a seal or clean stop.
    pub first: Seq,
    /// Events, or instruments.
    pub count: u32,
    /// Who delivered the events.
    pub source: SourceId,
    /// Wall time of the frame.
    pub at: UnixNanos,
}

/// Every frame of a journal, segment by segment.
#[derive(Debug)]
pub struct Dump {
    files: std::vec::IntoIter<(u64, PathBuf)>,
    open: Option<(u64, PathBuf, SegmentReader)>,
    events: Vec<Event>,
}

/// Begins a dump.
///
/// # Errors
/// As [`inspect`].
pub fn dump(dir: &Path) -> Result<Dump, JournalError> {
    let disk = SystemDisk;
    let mut files = Vec::new();
    for path in disk.list(dir).map_err(io_error(dir, "listing"))? {
        if segment_number(&path).is_some() {
            files.push((number_segment(&disk, &path)?, path));
        }
    }
    files.sort();
    Ok(Dump { files: files.into_iter(), open: None, events: Vec::new() })
}

impl Dump {
    /// Events of the frame that came last; empty for other kinds.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Text of the dictionary frame that came last, one JSON object a line; empty for other kinds.
    #[must_use]
    pub fn instruments(&self) -> &[u8] {
        self.open.as_ref().map_or(&[], |(_, _, reader)| reader.payload())
    }

    fn step(&mut self) -> Result<Option<DumpFrame>, JournalError> {
        loop {
            self.events.clear();
            let Some((number, path, reader)) = &mut self.open else {
                let Some((number, path)) = self.files.next() else { return Ok(None) };
                let file = SystemDisk.open_read(&path).map_err(io_error(&path, "opening"))?;
                let bytes = file.bytes().map_err(io_error(&path, "reading the length of"))?;
                let mut reader = SegmentReader::new(file, number, bytes, SCAN_PIECE_BYTES);
                reader.tolerant = true;
                self.open = Some((number, path, reader));
                continue;
            };
            let step = reader.step().map_err(io_error(path, "reading"))?;
            match step {
                Step::Frame { header, offset } => {
                    let sound = header.kind != Kind::Events || format::read_events(reader.payload(), &mut self.events);
                    let kind = if sound { FrameKind::of(header.kind) } else { FrameKind::Damaged };
                    return Ok(Some(DumpFrame::of(*number, path, offset, &header, kind)));
                }
                Step::Damaged(region) => {
                    return Ok(Some(DumpFrame::damaged(*number, path, region, FrameKind::Damaged)));
                }
                Step::Rest(region) => {
                    let torn = reader.written_part(region).map_err(io_error(path, "reading"))?;
                    if torn.bytes > 0 {
                        return Ok(Some(DumpFrame::damaged(*number, path, torn, FrameKind::Torn)));
                    }
                }
                Step::End => self.open = None,
            }
        }
    }
}

impl Iterator for Dump {
    type Item = Result<DumpFrame, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            // A file that cannot be read is left, so that the dump comes to an end.
            self.open = None;
        }
        step.transpose()
    }
}

impl FrameKind {
    const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Segment => Self::Segment,
            Kind::Dictionary => Self::Dictionary,
            Kind::Events => Self::Events,
            Kind::EpochStart => Self::EpochStart,
            Kind::CleanStop => Self::CleanStop,
            Kind::Seal => Self::Seal,
        }
    }
}

impl DumpFrame {
    fn of(segment: u64, file: &Path, offset: u64, header: &Header, kind: FrameKind) -> Self {
        Self {
            segment,
            file: file.to_owned(),
            offset,
            bytes: header.frame_bytes(),
            kind,
            stream: header.stream,
            epoch: header.epoch,
            first: header.first,
            count: header.count,
            source: header.source,
            at: header.at,
        }
    }

    fn damaged(segment: u64, file: &Path, region: Region, kind: FrameKind) -> Self {
        Self {
            segment,
            file: file.to_owned(),
            offset: region.offset,
            bytes: region.bytes,
            kind,
            stream: StreamId(0),
            epoch: Epoch(0),
            first: Seq(0),
            count: 0,
            source: SourceId(0),
            at: UnixNanos(0),
        }
    }
}

/// What a start would do about one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Read no further than `offset`: an unfinished commit follows, which was never durable.
    CutTornTail {
        /// Bytes that follow.
        bytes: u64,
    },
    /// Copy damaged bytes to quarantine and go on behind them.
    SetAside {
        /// The segment file.
        file: PathBuf,
        /// Where the damage begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// The copy.
        quarantine: PathBuf,
        /// First and last event known to be lost.
        lost: Option<(Position, Position)>,
    },
    /// Nothing is left to set aside: report the events as lost.
    ReportLost {
        /// The file that is gone or cut.
        file: PathBuf,
        /// First and last event.
        lost: Option<(Position, Position)>,
    },
}

/// What [`crate::Journal::open`] would do to the damaged places of a journal.
///
/// # Errors
/// As [`inspect`].
pub fn repair_plan(dir: &Path) -> Result<Vec<Repair>, JournalError> {
    let found = inspect(dir)?;
    let kept = dir.join(quarantine::QUARANTINE_DIR);
    let mut plan: Vec<_> = found
        .damage
        .into_iter()
        .map(|damage| match damage.bytes {
            0 => Repair::ReportLost { file: damage.file, lost: damage.lost },
            bytes => Repair::SetAside {
                quarantine: quarantine::path_of(&kept, &damage),
                offset: damage.offset,
                bytes,
                lost: damage.lost,
                file: damage.file,
            },
        })
        .collect();
    if found.torn_bytes > 0 {
        plan.push(Repair::CutTornTail { bytes: found.torn_bytes });
    }
    Ok(plan)
}
