//! What one segment file holds: a full read with every checksum.

use crate::disk::Disk;
use crate::error::{JournalError, io_error};
use crate::format::{self, CONTROL_FRAME_BYTES, Control, FORMAT_VERSION, Header, Kind};
use crate::segment::{Region, SegmentReader, Step, read_whole, segment_number};
use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use std::path::{Path, PathBuf};

/// Piece a scan reads at once: sequential reads gain nothing beyond.
pub(crate) const SCAN_PIECE_BYTES: usize = 1024 * 1024;

/// Events without a hole between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

/// Bytes that should be frames and are not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DamagedRegion {
    pub(crate) region: Region,
    /// Runs that stand before it.
    pub(crate) runs_before: usize,
}

/// How the segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Without a last frame: the writer was killed, or gave the segment up.
    Open,
    /// Full, continued in the next.
    Sealed,
    /// The recorder stopped in order.
    Stopped(UnixNanos),
}

/// One segment.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) path: PathBuf,
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// Whose it is; `None` when not a single frame is intact.
    pub(crate) identity: Option<(StreamId, Epoch)>,
    /// The segment's own header.
    pub(crate) head: Option<Control>,
    /// The start of the epoch, when it stands here: what is known from before.
    pub(crate) start: Option<Control>,
    /// Last event of the epoch before this segment.
    pub(crate) base: Option<Seq>,
    pub(crate) runs: Vec<Run>,
    pub(crate) damage: Vec<DamagedRegion>,
    /// Bytes behind the last frame that are no end mark.
    pub(crate) torn: Option<Region>,
    pub(crate) finish: Finish,
    /// Last event according to seal or clean stop.
    pub(crate) finish_last: Seq,
    /// Behind the last intact frame.
    pub(crate) end: u64,
    pub(crate) last_event_at: Option<UnixNanos>,
    /// No event behind the last events frame was received earlier.
    pub(crate) complete_until: Option<UnixNanos>,
    /// The same of the last events frame before any damage.
    pub(crate) whole_until: Option<UnixNanos>,
}

impl Scanned {
    /// No frame is intact, and there is nothing but zeros: prepared and never written, or cut to nothing.
    pub(crate) fn is_blank(&self) -> bool {
        self.identity.is_none() && self.damage.is_empty()
    }

    /// Nothing is lost by giving it up: neither events nor traces of some.
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.damage.is_empty() && self.finish_last <= self.base.unwrap_or_default()
    }

    /// Last event present.
    pub(crate) fn last_present(&self) -> Option<Seq> {
        self.runs.last().map(|run| run.last)
    }
}

/// Reads the header of a segment, and refuses it when a newer version wrote it.
///
/// # Errors
/// [`JournalError::Newer`]; [`JournalError::Io`] when the file cannot be opened.
pub(crate) fn read_head(disk: &dyn Disk, path: &Path) -> Result<Option<(Header, Control)>, JournalError> {
    let file = disk.open_read(path).map_err(io_error(path, "opening"))?;
    let mut bytes = [0; CONTROL_FRAME_BYTES];
    if let Err(error) = read_whole(&*file, &mut bytes, 0) {
        // A page that cannot be read is damage like any other; the scan reports it.
        tracing::warn!(path = %path.display(), %error, "journal: the head of a segment cannot be read");
        return Ok(None);
    }
    let Some(header) = format::outline(&bytes).filter(|header| header.kind == Kind::Segment) else { return Ok(None) };
    let control = Control::from_payload(&bytes[format::HEADER_BYTES..]);
    let Some(control) = control.filter(|_| format::is_intact(&bytes)) else { return Ok(None) };
    if control.version > FORMAT_VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), version: control.version });
    }
    Ok(Some((header, control)))
}

/// The number of a segment: its header's, else that of its newest frame, else that of its name.
///
/// # Errors
/// As [`read_head`].
pub(crate) fn number_segment(disk: &dyn Disk, path: &Path) -> Result<u64, JournalError> {
    if let Some((header, _)) = read_head(disk, path)? {
        return Ok(header.segment);
    }
    let file = disk.open_read(path).map_err(io_error(path, "opening"))?;
    let bytes = file.bytes().map_err(io_error(path, "reading the length of"))?;
    Ok(newest_number(&*file, bytes).or(segment_number(path)).unwrap_or_default())
}

/// Reads a whole segment. `following`: the last event before the next segment. What this one holds beyond it was never
/// durable and stands in the next again (a segment that was given up after a failed write).
///
/// # Errors
/// [`JournalError::Io`] when the file cannot be opened. Pages that cannot be read count as damaged.
pub(crate) fn scan_segment(
    disk: &dyn Disk,
    path: &Path,
    number: u64,
    following: Option<(StreamId, Position)>,
) -> Result<Scanned, JournalError> {
    let file = disk.open_read(path).map_err(io_error(path, "opening"))?;
    let bytes = file.bytes().map_err(io_error(path, "reading the length of"))?;
    let mut reader = SegmentReader::new(file, number, bytes, SCAN_PIECE_BYTES);
    reader.tolerant = true;
    let mut scan = Scan { following, scanned: Scanned::new(path, number, bytes) };
    scan.run(&mut reader).map_err(io_error(path, "reading"))?;
    Ok(scan.scanned)
}

/// The highest segment number of any intact frame: in a recycled file all others are older.
fn newest_number(file: &dyn crate::disk::DiskFile, bytes: u64) -> Option<u64> {
    let mut newest = None;
    let mut piece = vec![0; SCAN_PIECE_BYTES];
    let mut at = 0;
    while at < bytes {
        // Pieces overlap by a frame. Unreadable ones hold nothing that could be used.
        piece.fill(0);
        if read_whole(file, &mut piece, at).is_ok() {
            for offset in (0..piece.len() - format::FRAME_BYTES_MAX).step_by(format::UNIT_BYTES) {
                let Some(header) = format::outline(&piece[offset..]) else { continue };
                let frame = &piece[offset..offset + format::HEADER_BYTES + header.payload_bytes as usize];
                if Some(header.segment) > newest && format::is_intact(frame) {
                    newest = Some(header.segment);
                }
            }
        }
        at += (piece.len() - format::FRAME_BYTES_MAX) as u64;
    }
    newest
}

/// A scan under way.
struct Scan {
    following: Option<(StreamId, Position)>,
    scanned: Scanned,
}

impl Scan {
    fn run(&mut self, reader: &mut SegmentReader) -> std::io::Result<()> {
        loop {
            match reader.step()? {
                Step::Frame { header, .. } if self.is_given_up(&header) => {
                    self.forget_given_up();
                    return Ok(());
                }
                Step::Frame { header, offset } => {
                    if header.kind == Kind::Events && !format::are_events(reader.payload()) {
                        self.damaged(Region { offset, bytes: header.frame_bytes() });
                        continue;
                    }
                    self.frame(&header, reader.payload());
                    self.scanned.end = reader.offset();
                    if self.scanned.finish != Finish::Open {
                        return Ok(());
                    }
                }
                Step::Damaged(region) => self.damaged(region),
                Step::Rest(region) => {
                    self.rest(reader, region)?;
                    return Ok(());
                }
                Step::End => return Ok(()),
            }
        }
    }

    fn damaged(&mut self, region: Region) {
        let runs_before = self.scanned.runs.len();
        self.scanned.damage.push(DamagedRegion { region, runs_before });
    }

    /// Whether the frame stands in the next segment again.
    fn is_given_up(&self, header: &Header) -> bool {
        self.following.is_some_and(|(stream, before)| {
            header.kind == Kind::Events
                && (header.stream, header.epoch) == (stream, before.epoch)
                && header.first > before.seq
        })
    }

    /// Damage behind the last event that was durable here costs nothing.
    fn forget_given_up(&mut self) {
        let scanned = &mut self.scanned;
        let last = scanned.last_present().or(scanned.base).unwrap_or_default();
        if self.following.is_some_and(|(_, before)| before.seq <= last) {
            scanned.damage.retain(|damaged| damaged.runs_before < scanned.runs.len());
        }
    }

    /// What stands behind the last frame.
    fn rest(&mut self, reader: &mut SegmentReader, region: Region) -> std::io::Result<()> {
        let scanned = &mut self.scanned;
        if scanned.identity.is_none() {
            // Not one frame: the whole file is damaged, unless it was never written.
            let whole = reader.used_part(region)?;
            if whole.bytes > 0 {
                self.damaged(whole);
            }
        } else {
            let torn = reader.written_part(region)?;
            scanned.torn = (torn.bytes > 0).then_some(torn);
        }
        Ok(())
    }

    fn frame(&mut self, header: &Header, payload: &[u8]) {
        let scanned = &mut self.scanned;
        scanned.identity.get_or_insert((header.stream, header.epoch));
        scanned.base.get_or_insert(header.base);
        let control = header.kind.is_control().then(|| Control::from_payload(payload)).flatten();
        match header.kind {
            Kind::Segment => scanned.head = control,
            Kind::EpochStart => scanned.start = control,
            Kind::Seal => (scanned.finish, scanned.finish_last) = (Finish::Sealed, header.first),
            Kind::CleanStop => (scanned.finish, scanned.finish_last) = (Finish::Stopped(header.at), header.first),
            Kind::Dictionary => {}
            Kind::Events => {
                scanned.last_event_at = Some(header.at);
                scanned.complete_until = Some(header.complete_until());
                if scanned.damage.is_empty() {
                    scanned.whole_until = scanned.complete_until;
                }
                match scanned.runs.last_mut().filter(|run| run.last.next() == header.first) {
                    Some(run) => run.last = header.last(),
                    None => scanned.runs.push(Run { first: header.first, last: header.last() }),
                }
            }
        }
    }
}

impl Scanned {
    fn new(path: &Path, number: u64, bytes: u64) -> Self {
        Self {
            path: path.to_owned(),
            number,
            bytes,
            identity: None,
            head: None,
            start: None,
            base: None,
            runs: Vec::new(),
            damage: Vec::new(),
            torn: None,
            finish: Finish::Open,
            finish_last: Seq(0),
            end: 0,
            last_event_at: None,
            complete_until: None,
            whole_until: None,
        }
    }

    /// Last event known before this segment, when one of its frames says so.
    pub(crate) fn before(&self) -> Option<Position> {
        let (_, epoch) = self.identity?;
        let by_base = self.base.map(|seq| Position { epoch, seq });
        self.head.or(self.start).map(|control| control.before).or(by_base)
    }
}
