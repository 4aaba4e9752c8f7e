//! The reader of one capture file: decompresses, cuts into lines, delivers line by line.
//!
//! In the steady state a line allocates nothing: its bytes, `conn` and `frame` lie in buffers that are used again.

use super::CaptureError;
use super::line::{self, CaptureLine, LineFault, LineTexts};
use super::lines::{Lines, RawLine};
use super::pipe::Pipe;
use crate::decoder::FRAME_BYTES_MAX;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest line: a frame of the largest size with every second byte escaped, and some room for the other fields.
const LINE_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX + 4096;
/// Most bytes of a too long line that an error carries.
const RAW_BYTES_MAX: usize = 64 << 10;
/// One read from the file or pipe: 256 KiB keep system calls under 1 % of decoding.
const READ_BYTES: usize = 256 << 10;
/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Reads one capture: a file, or a named pipe as it is written.
pub struct CaptureReader {
    path: PathBuf,
    lines: Lines<Input>,
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
        Ok(Self::new(path, Input::Stored(reader), bytes_read, metadata.len()))
    }

    /// Opens a named pipe that another process writes a plain capture into; a writer may come later.
    /// [`CaptureReader::next_line`] then never waits, [`CaptureReader::wait`] does.
    ///
    /// # Errors
    /// [`CaptureError::Open`] when it is missing, is no pipe, or may not be read.
    pub fn open_pipe(path: &Path) -> Result<Self, CaptureError> {
        let pipe = Pipe::open(path).map_err(|source| CaptureError::Open { path: path.to_owned(), source })?;
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: pipe, bytes: bytes_read.clone() };
        let input = Input::Pipe(BufReader::with_capacity(READ_BYTES, counted));
        Ok(Self::new(path, input, bytes_read, 0))
    }

    /// A capture that lies in memory, plain; `path` names it in errors.
    #[must_use]
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Self {
        let total = bytes.len() as u64;
        let bytes_read = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: io::Cursor::new(bytes), bytes: bytes_read.clone() };
        Self::new(path, Input::Stored(Box::new(BufReader::new(counted))), bytes_read, total)
    }

    fn new(path: &Path, input: Input, bytes_read: Arc<AtomicU64>, bytes_total: u64) -> Self {
        Self {
            path: path.to_owned(),
            lines: Lines::new(input, LINE_BYTES_MAX),
            texts: LineTexts::default(),
            number: 0,
            ended: false,
            fatal: None,
            bytes_read,
            bytes_total,
        }
    }

    /// The next line; `None` at the end, and while a pipe holds no further whole line ([`CaptureReader::is_ended`] tells
    /// which). Empty lines are passed over.
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
                Err(source) if source.kind() == ErrorKind::WouldBlock && self.is_pipe() => return Ok(None),
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

    /// Whether this reads a pipe.
    #[must_use]
    pub const fn is_pipe(&self) -> bool {
        matches!(self.lines.reader(), Input::Pipe(_))
    }

    /// Whether the end was reached; of a pipe, when its last writer is gone.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.ended
    }

    /// Waits until a pipe holds more or its last writer is gone, at most so long. A file is not waited for.
    ///
    /// # Errors
    /// [`CaptureError::Read`] when the system cannot wait for it.
    pub fn wait(&self, wait_max: Duration) -> Result<(), CaptureError> {
        let Input::Pipe(pipe) = self.lines.reader() else { return Ok(()) };
        pipe.get_ref().inner.wait(wait_max).map_err(|source| self.ended_early(source))
    }

    /// Takes no more from a pipe than it must: what was read is delivered, and a line read in part is read to its end if
    /// that comes within `wait_max`; it is a bad line otherwise. What comes behind stays in the pipe. No effect on files.
    pub fn end_after_line(&mut self, wait_max: Duration) {
        if let Input::Pipe(pipe) = self.lines.reader_mut() {
            pipe.get_mut().inner.end_after_line(wait_max);
        }
    }

    /// Bytes taken from the file so far and bytes in the file, both as stored (compressed); a pipe has 0 of the latter.
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

/// Where the bytes come from.
enum Input {
    /// A file or memory.
    Stored(Box<dyn BufRead + Send>),
    /// Another process.
    Pipe(BufReader<Counted<Pipe>>),
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(stored) => stored.read(buffer),
            Self::Pipe(pipe) => pipe.read(buffer),
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Stored(stored) => stored.fill_buf(),
            Self::Pipe(pipe) => pipe.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        match self {
            Self::Stored(stored) => stored.consume(amount),
            Self::Pipe(pipe) => pipe.consume(amount),
        }
    }
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
