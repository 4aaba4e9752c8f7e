//! The reader of one capture file: decompresses, cuts into lines, delivers line by line.
//!
//! In the steady state a line allocates nothing: its bytes, `conn` and `frame` lie in buffers that are used again.

use super::CaptureError;
use super::line::{self, CaptureLine, LineFault, LineTexts};
use super::lines::{Lines, RawLine};
use crate::decoder::FRAME_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest line: a frame of the largest size with every second byte escaped, and some room for the other fields.
const LINE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX + 4096;
/// Most bytes of a too long line that an error carries.
const RAW_BYTES_MAX: usize = 64 << 10;
/// One read from the file: 256 KiB keep system calls under 1 % of decoding.
const READ_BYTES: usize = 256 << 10;
/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads one capture file.
pub struct CaptureReader {
    path: PathBuf,
    lines: Lines<Box<dyn BufRead + Send>>,
    texts: LineTexts,
    number: u64,
    ended: bool,
    /// Why the file ends here; reported once, after the line that it broke off.
    fatal: Option<io::Error>,
    bytes_read: Arc<AtomicU64>,
    bytes_total: u64,
}

impl std::fmt::Debug for CaptureReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureReader").field("path", &self.path).field("line", &self.number).finish_non_exhaustive()
    }
}

impl CaptureReader {
    /// Opens a capture; zstd is told by its first bytes, and by the name when the file is too short to tell.
    ///
    /// # Errors
    /// [`CaptureError::Open`] when the file is missing, is a folder, or may not be read.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let error = |source| CaptureError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if metadata.is_dir() {
            return Err(error(ErrorKind::IsADirectory.into()));
        }
        let bytes_read = Arc::new(AtomicU64::new(0));
        let mut counted = BufReader::with_capacity(READ_BYTES, Counted { inner: file, bytes: bytes_read.clone() });
        let head = counted.fill_buf().map_err(error)?;
        let zstd = head.starts_with(&ZSTD_MAGIC) || path.extension().is_some_and(|extension| extension == "zst");
        let reader: Box<dyn BufRead + Send> = if zstd {
            let plain = zstd::stream::read::Decoder::with_buffer(counted).map_err(error)?;
            Box::new(BufReader::with_capacity(READ_BYTES, plain))
        } else {
            Box::new(counted)
        };
        Ok(Self::new(path, reader, bytes_read, metadata.len()))
    }

    /// A capture that lies in memory, plain; `path` names it in errors.
    #[must_use]
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        let total = bytes.len() as u64;
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: io::Cursor::new(bytes), bytes: bytes_read.clone() };
        Self::new(path, Box::new(BufReader::new(counted)), bytes_read, total)
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>, bytes_read: Arc<AtomicU64>, bytes_total: u64) -> Self {
        Self {
            path: path.to_owned(),
            lines: Lines::new(reader, LINE_BYTES_MAX),
            texts: LineTexts::default(),
            number: 0,
            ended: false,
            fatal: None,
            bytes_read,
            bytes_total,
        }
    }

    /// The next line; `None` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// [`CaptureError::Line`]: this line is bad, the next call goes on behind it. Any other error ends the file: the call
    /// after it gives `None`.
    pub fn next_line(&mut self) -> Result<Option<CaptureLine<'_>>, CaptureError> {
        if let Some(source) = self.fatal.take() {
            return Err(self.ended_early(source));
        }
        loop {
            if self.ended {
                return Ok(None);
            }
            let raw = match self.lines.advance() {
                Ok(raw) => raw,
                Err(source) => return self.broken_off(source),
            };
            match raw {
                RawLine::End => self.ended = true,
                RawLine::TooLong => {
                    self.number += 1;
                    return Err(self.bad_line(LineFault::TooLarge));
                }
                RawLine::Whole => {
                    self.number += 1;
                    if !self.lines.buffer().trim_ascii().is_empty() {
                        break;
                    }
                }
            }
        }
        self.current_line()
    }

    /// Bytes taken from the file so far and bytes in the file, both as stored (compressed).
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        (self.bytes_read.load(Ordering::Relaxed), self.bytes_total)
    }

    /// The file this reads.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn current_line(&mut self) -> Result<Option<CaptureLine<'_>>, CaptureError> {
        let bytes = self.lines.buffer();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").filter(|_| self.number == 1).unwrap_or(bytes);
        // Not `?` on one `parse`: what it lends out cannot be given up again for the error's sake.
        match line::parse(bytes, self.number, &mut self.texts) {
            Ok(line) => Ok(Some(line)),
            Err(fault) => Err(bad_line(&self.path, self.number, fault, bytes)),
        }
    }

    /// Reading failed. The beginning of a line, if there is one, is reported first.
    fn broken_off(&mut self, source: io::Error) -> Result<Option<CaptureLine<'_>>, CaptureError> {
        self.ended = true;
        if self.lines.buffer().is_empty() {
            return Err(self.ended_early(source));
        }
        self.fatal = Some(source);
        let (path, number) = (&self.path, self.number + 1);
        Err(bad_line(path, number, LineFault::Incomplete, self.lines.buffer()))
    }

    fn ended_early(&self, source: io::Error) -> CaptureError {
        let (path, lines) = (self.path.clone(), self.number);
        if source.kind() == ErrorKind::UnexpectedEof {
            CaptureError::Truncated { path, lines, source }
        } else {
            CaptureError::Read { path, lines, source }
        }
    }

    fn bad_line(&self, fault: LineFault) -> CaptureError {
        bad_line(&self.path, self.number, fault, self.lines.buffer())
    }
}

fn bad_line(path: &Path, line: u64, fault: LineFault, bytes: &[u8]) -> CaptureError {
    let kept = if fault == LineFault::TooLarge { bytes.len().min(RAW_BYTES_MAX) } else { bytes.len() };
    CaptureError::Line { path: path.to_owned(), line, fault, raw: bytes[..kept].to_vec() }
}

/// Counts what is read from the file, for a progress bar in another thread.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Relaxed: a bar may lag, and nothing else hangs on the number.
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
