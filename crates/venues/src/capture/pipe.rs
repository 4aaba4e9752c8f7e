//! A named pipe that another process writes a capture into, live. Opening and reading wait for nobody.
//!
//! The pipe is opened once: an opening and closing beside it breaks its writer.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The reading end of a pipe. A read that finds nothing fails with [`ErrorKind::WouldBlock`] as long as a writer is
/// there or none has come yet; when the last writer is gone, it finds the end.
pub(super) struct Pipe {
    file: File,
    /// Whether everything read so far is whole lines.
    at_line_start: bool,
    /// Set when nothing but the rest of a line may still be read.
    rest: Option<Rest>,
}

struct Rest {
    wait_max: Duration,
    /// Set by the first read: what was read before may take long to deliver, and the writer is not to blame for that.
    until: Option<Instant>,
}

impl Pipe {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        // The end of a file is told in another way: a file put in the pipe's place would be waited for without end.
        if !file.metadata()?.file_type().is_fifo() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "no longer a named pipe"));
        }
        Ok(Self { file, at_line_start: true, rest: None })
    }

    /// Waits until there is something to read or the last writer is gone, at most so long. A signal ends it, too.
    pub(super) fn wait(&self, wait_max: Duration) -> io::Result<()> {
        if self.is_over() {
            return Ok(());
        }
        let timeout = Timespec::try_from(wait_max).map_err(io::Error::other)?;
        self.look(&timeout).map(|_| ())
    }

    /// From now on reads only the rest of a line that is read in part, waiting at most so long for it; then finds the
    /// end.
    pub(super) fn end_after_line(&mut self, wait_max: Duration) {
        self.rest.get_or_insert(Rest { wait_max, until: None });
    }

    fn is_over(&self) -> bool {
        let is_late = |rest: &Rest| rest.until.is_some_and(|until| Instant::now() >= until);
        self.rest.as_ref().is_some_and(|rest| self.at_line_start || is_late(rest))
    }

    fn look(&self, timeout: &Timespec) -> io::Result<PollFlags> {
        let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut fds, Some(timeout)) {
            Err(Errno::INTR) => Ok(PollFlags::empty()),
            result => result.map(|_| fds[0].revents()).map_err(Into::into),
        }
    }

    /// Linux reports a hang-up only when there has been a writer since this end was opened.
    fn is_hung_up(&self) -> io::Result<bool> {
        let found = self.look(&Timespec { tv_sec: 0, tv_nsec: 0 })?;
        Ok(found.contains(PollFlags::HUP) && !found.contains(PollFlags::IN))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut room = buffer.len();
        if let Some(rest) = &mut self.rest {
            rest.until.get_or_insert_with(|| Instant::now() + rest.wait_max);
            if self.is_over() {
                return Ok(0);
            }
            // Byte by byte: what comes behind the line feed stays in the pipe, for the next reader.
            room = room.min(1);
        }
        let count = self.file.read(&mut buffer[..room])?;
        match buffer[..count].last() {
            Some(&byte) => self.at_line_start = byte == b'\n',
            // A pipe without a writer reads as its end, also before the first one has come.
            None if self.is_hung_up()? => {}
            None => return Err(ErrorKind::WouldBlock.into()),
        }
        Ok(count)
    }
}
