//! One segment file: its name, and reading it frame by frame, over damage.

use crate::disk::DiskFile;
use crate::format::{self, END_MARK, FRAME_BYTES_MAX, HEADER_BYTES, Header, UNIT_BYTES};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Ending of a segment.
const SEGMENT_END: &str = "fdj";
/// Ending of an empty segment that waits for its use.
const SPARE_END: &str = "spare";
/// Digits of a segment's name, so that names sort as numbers.
const NAME_DIGITS: usize = 20;
/// No journal of ours reaches it. A name beyond gives no number to go on from, unless a frame confirms it.
pub(crate) const NAME_MAX: u64 = 1_000_000_000_000_000;

/// `NNNNNNNNNNNNNNNNNNNN.fdj`.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:0NAME_DIGITS$}.{SEGMENT_END}"))
}

/// `NNNNNNNNNNNNNNNNNNNN.spare`.
pub(crate) fn spare_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:0NAME_DIGITS$}.{SPARE_END}"))
}

/// The number in a segment's name.
pub(crate) fn segment_number(path: &Path) -> Option<u64> {
    number_of(path, SEGMENT_END)
}

/// Whether the name is that of a spare.
pub(crate) fn is_spare(path: &Path) -> bool {
    number_of(path, SPARE_END).is_some()
}

fn number_of(path: &Path, end: &str) -> Option<u64> {
    let (digits, found) = path.file_name()?.to_str()?.split_once('.')?;
    let ours = found == end && digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|_| ours)
}

/// What stands next in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A frame; [`SegmentReader::payload`] holds its payload.
    Frame { header: Header, offset: u64 },
    /// Bytes that are no frame, with a frame behind them.
    Damaged(Region),
    /// Bytes up to the limit that hold no frame of this segment.
    Rest(Region),
    /// The limit.
    End,
}

/// A range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Reads the frames of one segment up to a limit. Holds one piece of the file in memory.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: Arc<dyn DiskFile>,
    /// Only frames of this segment count: a recycled file holds others behind its end.
    number: u64,
    limit: u64,
    at: u64,
    piece_bytes: usize,
    buffer: Vec<u8>,
    buffer_at: u64,
    payload: std::ops::Range<usize>,
    /// Fill what the disk cannot read with zeros, instead of giving up.
    pub(crate) tolerant: bool,
}

impl SegmentReader {
    /// Reads `file` from its beginning, in pieces of `piece_bytes`.
    pub(crate) fn new(file: Arc<dyn DiskFile>, number: u64, limit: u64, piece_bytes: usize) -> Self {
        debug_assert!(piece_bytes >= FRAME_BYTES_MAX, "a piece holds a frame");
        let (buffer, payload) = (Vec::new(), 0..0);
        Self { file, number, limit, at: 0, piece_bytes, buffer, buffer_at: 0, payload, tolerant: false }
    }

    /// Goes on at `offset`, rounded down to where a frame can begin. Inside of one, what is left of it counts as damaged.
    pub(crate) fn start_at(&mut self, offset: u64) {
        self.at = offset - offset % UNIT_BYTES as u64;
    }

    /// Where the next frame is looked for.
    pub(crate) const fn offset(&self) -> u64 {
        self.at
    }

    /// Frames up to here may be read now.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Raises the limit when more has become durable.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Payload of the frame that was read last.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }

    /// The next frame, or what stands in its place.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if self.at >= self.limit {
            return Ok(Step::End);
        }
        let from = self.at;
        let mut probe = from;
        while probe < self.limit {
            if let Some(header) = self.frame_at(probe)? {
                if probe > from {
                    // Read again by the next step: the damage comes first.
                    self.at = probe;
                    return Ok(Step::Damaged(Region { offset: from, bytes: probe - from }));
                }
                self.at = probe + header.frame_bytes();
                return Ok(Step::Frame { header, offset: probe });
            }
            probe += UNIT_BYTES as u64;
        }
        self.at = self.limit;
        Ok(Step::Rest(Region { offset: from, bytes: self.limit - from }))
    }

    /// The intact frame of this segment at `offset`, if one stands there.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<Header>> {
        let number = self.number;
        let Some(bytes) = self.load(offset, HEADER_BYTES)? else { return Ok(None) };
        let Some(header) = format::outline(bytes).filter(|header| header.segment == number) else { return Ok(None) };
        let frame_bytes = HEADER_BYTES + header.payload_bytes as usize;
        let Some(frame) = self.load(offset, frame_bytes)? else { return Ok(None) };
        if !format::is_intact(frame) {
            return Ok(None);
        }
        let start = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        self.payload = start + HEADER_BYTES..start + frame_bytes;
        Ok(Some(header))
    }

    /// Bytes of `region` that belong to what was written last: up to the first end mark or older frame.
    pub(crate) fn written_part(&mut self, region: Region) -> io::Result<Region> {
        let end = region.offset + region.bytes;
        let mut at = region.offset;
        while at < end {
            let Some(unit) = self.load(at, UNIT_BYTES)? else { break };
            if unit == END_MARK || format::outline(unit).is_some_and(|header| header.segment != self.number) {
                return Ok(Region { bytes: at - region.offset, ..region });
            }
            at += UNIT_BYTES as u64;
        }
        Ok(Region { bytes: end - region.offset, ..region })
    }

    /// `region` without the zeros at its end.
    pub(crate) fn used_part(&mut self, region: Region) -> io::Result<Region> {
        let mut used = 0;
        let mut at = region.offset;
        let end = region.offset + region.bytes;
        while at < end {
            let unit_bytes = usize::try_from(end - at).unwrap_or(usize::MAX).min(UNIT_BYTES);
            if self.load(at, unit_bytes)?.is_some_and(|unit| unit.iter().any(|&byte| byte != 0)) {
                used = at + unit_bytes as u64 - region.offset;
            }
            at += unit_bytes as u64;
        }
        Ok(Region { bytes: used, ..region })
    }

    /// `bytes` bytes at `offset`; `None` beyond the limit.
    fn load(&mut self, offset: u64, bytes: usize) -> io::Result<Option<&[u8]>> {
        if offset + bytes as u64 > self.limit {
            return Ok(None);
        }
        let held = self.buffer_at..self.buffer_at + self.buffer.len() as u64;
        if !held.contains(&offset) || offset + bytes as u64 > held.end {
            self.fill(offset)?;
        }
        let start = usize::try_from(offset - self.buffer_at).unwrap_or(usize::MAX);
        Ok(self.buffer.get(start..start + bytes))
    }

    /// Reads the piece that begins at `offset`.
    fn fill(&mut self, offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(self.limit - offset).unwrap_or(usize::MAX).min(self.piece_bytes);
        self.buffer.clear();
        self.buffer.resize(bytes, 0);
        self.buffer_at = offset;
        let read = read_whole(&*self.file, &mut self.buffer, offset);
        match read {
            Err(error) if self.tolerant => {
                tracing::warn!(offset, bytes, %error, "journal: bytes cannot be read; the readable pages are used");
                for (i, page) in self.buffer.chunks_mut(FRAME_BYTES_MAX).enumerate() {
                    let at = offset + (i * FRAME_BYTES_MAX) as u64;
                    if read_whole(&*self.file, page, at).is_err() {
                        page.fill(0);
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.buffer.clear();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Fills `bytes` from `offset`; what lies beyond the end of the file stays zero.
pub(crate) fn read_whole(file: &dyn DiskFile, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => return Ok(()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
