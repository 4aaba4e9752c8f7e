//! Sends the trades of an oracle as a capture, at a rate, into a file or a named pipe, and logs what was taken.
//!
//! A pipe's reader may be slow, be killed and come back: what was written is logged, what was not is sent again. Lines are
//! written in pieces that a pipe takes whole or not at all, so the log is exact.

use super::Oracle;
use super::sent::{Sent, note_line, range_line, run_line};
use feedd_core::{Clock, SystemClock};
use rustix::fs::OFlags;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes that Linux writes to a pipe whole or not at all.
const PIPE_BYTES_WHOLE: usize = 4096;
/// How often the log is written, and how long a range of it is.
const LOG_EVERY: Duration = Duration::from_millis(100);
/// What was sent so recently is kept exactly, in case the reader goes away: a recorder holds no more than some seconds of
/// what it can lose.
const EXACT: Duration = Duration::from_secs(10);
/// Pause while nothing is due or the reader takes nothing.
const PAUSE: Duration = Duration::from_millis(1);
/// A reader that takes nothing for so long is noted.
const NOTE_BLOCKED: Duration = Duration::from_millis(100);

/// What is sent where.
#[derive(Clone, Debug)]
pub struct Feed {
    /// What.
    pub oracle: Oracle,
    /// First number; 1, or where an earlier feed of the same run ended.
    pub first: u64,
    /// Trades a second; 0: as fast as they are taken.
    pub rate: u64,
    /// For how long.
    pub duration: Duration,
    /// A named pipe, or a file to append to.
    pub out: PathBuf,
    /// The log, appended to.
    pub log: PathBuf,
}

/// How a feed ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedEnd {
    /// The number that would have come next.
    pub next: u64,
    /// How long the reader took nothing, or was not there.
    pub blocked: Duration,
    /// How often the reader went away.
    pub readers_gone: u64,
}

/// The state of a running feed.
struct Sender<'a> {
    feed: &'a Feed,
    clock: SystemClock,
    start: Instant,
    out: Option<File>,
    pipe: bool,
    log: File,
    /// Sent and not yet logged: what was sent at one moment each.
    recent: VecDeque<Sent>,
    logged: Instant,
    next: u64,
    /// Since when nothing is taken, and whether that was noted.
    blocked_since: Option<(Instant, bool)>,
    end: FeedEnd,
}

impl Feed {
    /// Sends until the time is over or `stop` is set.
    ///
    /// # Errors
    /// When the file or the log cannot be written to. A reader that goes away is no error.
    pub fn run(&self, stop: &AtomicBool) -> io::Result<FeedEnd> {
        let mut log = File::options().create(true).append(true).open(&self.log).map_err(|e| with(&self.log, &e))?;
        log.write_all(run_line(&self.oracle).as_bytes())?;
        let now = Instant::now();
        let mut sender = Sender {
            feed: self,
            clock: SystemClock::new(),
            start: now,
            out: None,
            pipe: std::fs::metadata(&self.out).is_ok_and(|metadata| metadata.file_type().is_fifo()),
            log,
            recent: VecDeque::new(),
            logged: now,
            next: self.first,
            blocked_since: None,
            end: FeedEnd { next: self.first, blocked: Duration::ZERO, readers_gone: 0 },
        };
        // Relaxed: nothing else hangs on the flag.
        while sender.start.elapsed() < self.duration && !stop.load(Ordering::Relaxed) {
            sender.turn()?;
        }
        sender.taken(true)?;
        sender.write_exactly()?;
        sender.note("end")?;
        Ok(FeedEnd { next: sender.next, ..sender.end })
    }
}

impl Sender<'_> {
    /// Sends one piece, or pauses.
    fn turn(&mut self) -> io::Result<()> {
        if self.logged.elapsed() >= LOG_EVERY {
            self.write_log()?;
        }
        if self.out.is_none() && !self.open_out()? {
            return self.not_taken();
        }
        let at_ns = self.clock.wall().0;
        let (piece, last) = self.piece(at_ns);
        if piece.is_empty() {
            std::thread::sleep(PAUSE);
            return Ok(());
        }
        let out = self.out.as_mut().expect("it was opened above");
        // A pipe takes a piece whole; a file takes all of it in the end.
        let written = if self.pipe { out.write(piece.as_bytes()).map(drop) } else { out.write_all(piece.as_bytes()) };
        match written {
            Ok(()) => {
                let first = self.next;
                self.next = last + 1;
                self.recent.push_back(Sent { first, last, first_ns: at_ns, last_ns: at_ns });
                self.taken(false)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.not_taken(),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe && self.pipe => {
                self.out = None;
                self.end.readers_gone += 1;
                self.write_exactly()?;
                self.note("reader gone")
            }
            Err(error) => Err(with(&self.feed.out, &error)),
        }
    }

    /// The lines that are due and fit into one piece, and the number of the last; all received at the same moment.
    fn piece(&self, at_ns: i64) -> (String, u64) {
        let feed = self.feed;
        let mut piece = String::new();
        let mut n = self.next;
        while feed.rate == 0 || due_ns(n - feed.first, feed.rate) <= self.start.elapsed().as_nanos() {
            let line = feed.oracle.capture_line(n, at_ns);
            if piece.len() + line.len() > PIPE_BYTES_WHOLE {
                break;
            }
            piece += &line;
            n += 1;
        }
        (piece, n - 1)
    }

    /// Opens the file, or the pipe if somebody reads it.
    fn open_out(&mut self) -> io::Result<bool> {
        let mut options = File::options();
        if self.pipe {
            options.write(true).custom_flags(i32::try_from(OFlags::NONBLOCK.bits()).expect("a flag below 2^31"));
        } else {
            options.create(true).append(true);
        }
        match options.open(&self.feed.out) {
            Ok(out) => {
                self.out = Some(out);
                if self.pipe {
                    self.note("reader there")?;
                }
                Ok(true)
            }
            Err(error) if self.pipe && error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                Ok(false)
            }
            Err(error) => Err(with(&self.feed.out, &error)),
        }
    }

    fn not_taken(&mut self) -> io::Result<()> {
        let (since, noted) = *self.blocked_since.get_or_insert((Instant::now(), false));
        if !noted && since.elapsed() >= NOTE_BLOCKED {
            self.blocked_since = Some((since, true));
            self.note("blocked")?;
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// The reader takes again, or the feed ends.
    fn taken(&mut self, at_end: bool) -> io::Result<()> {
        let Some((since, noted)) = self.blocked_since.take() else { return Ok(()) };
        self.end.blocked += since.elapsed();
        if noted && !at_end { self.note("taken again") } else { Ok(()) }
    }

    /// Logs what was sent long ago, about 0.1 s in a range.
    fn write_log(&mut self) -> io::Result<()> {
        self.logged = Instant::now();
        let old_ns = self.clock.wall().0.saturating_sub(nanos(EXACT));
        let mut lines = String::new();
        while let Some(mut range) = self.recent.pop_front_if(|sent| sent.last_ns < old_ns) {
            let end_ns = old_ns.min(range.first_ns.saturating_add(nanos(LOG_EVERY)));
            while let Some(next) = self.recent.pop_front_if(|sent| sent.last_ns < end_ns) {
                (range.last, range.last_ns) = (next.last, next.last_ns);
            }
            lines += &range_line(&range);
        }
        self.log.write_all(lines.as_bytes())
    }

    /// Logs all that was sent, what is recent exactly.
    fn write_exactly(&mut self) -> io::Result<()> {
        self.write_log()?;
        let lines: String = self.recent.drain(..).map(|sent| range_line(&sent)).collect();
        self.log.write_all(lines.as_bytes())
    }

    fn note(&mut self, note: &str) -> io::Result<()> {
        let at_ns = self.clock.wall().0;
        self.log.write_all(note_line(note, at_ns, self.next).as_bytes())
    }
}

/// Nanoseconds from the start at which the trade with this place in the feed is due. Counted from the start: what was late
/// is made up for, as a venue's feed is after a stall.
fn due_ns(place: u64, rate: u64) -> u128 {
    u128::from(place) * 1_000_000_000 / u128::from(rate)
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn with(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::SentLog;
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::Command;
    use std::sync::Arc;
    use tempfile::TempDir;

    fn feed(folder: &TempDir, rate: u64, duration: Duration) -> Feed {
        Feed {
            oracle: Oracle::new(3, &["BTCUSDT", "ETHUSDT"]),
            first: 1,
            rate,
            duration,
            out: folder.path().join("out"),
            log: folder.path().join("log"),
        }
    }

    fn trade_id(oracle: &Oracle, line: &str) -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
        let frame = line["frame"].as_str().unwrap();
        let value: serde_json::Value = serde_json::from_str(frame).unwrap();
        let n = value["data"]["t"].as_u64().unwrap();
        assert_eq!(frame, oracle.frame(n));
        n
    }

    #[test]
    fn a_file_holds_exactly_what_the_log_says() {
        let folder = tempfile::tempdir().unwrap();
        let feed = feed(&folder, 2_000, Duration::from_millis(300));
        let end = feed.run(&AtomicBool::new(false)).unwrap();
        let again = Feed { first: end.next, ..feed.clone() };
        let end = again.run(&AtomicBool::new(false)).unwrap();
        let log = SentLog::read(&feed.log).unwrap();
        let text = std::fs::read_to_string(&feed.out).unwrap();
        let sent: Vec<u64> = text.lines().map(|line| trade_id(&feed.oracle, line)).collect();
        assert_eq!(sent, (1..end.next).collect::<Vec<_>>());
        assert_eq!(log.count(), end.next - 1);
        for (line, n) in text.lines().zip(1..) {
            let received: serde_json::Value = serde_json::from_str(line).unwrap();
            let range = log.range_of(n).unwrap();
            let at_ns = received["recv_ns"].as_i64().unwrap();
            assert_eq!((range.first_ns, range.last_ns), (at_ns, at_ns), "trade {n}: the log is exact");
        }
        assert!(log.count() <= 1_202, "paced: {} in two times 0.3 s at 2,000 a second", log.count());
    }

    #[test]
    fn readers_of_a_pipe_may_come_late_stall_and_go_away() {
        let folder = tempfile::tempdir().unwrap();
        let feed = feed(&folder, 0, Duration::from_secs(60));
        assert!(Command::new("mkfifo").arg(&feed.out).status().unwrap().success());
        let stop = Arc::new(AtomicBool::new(false));
        let (thread_feed, thread_stop) = (feed.clone(), stop.clone());
        let sender = std::thread::spawn(move || thread_feed.run(&thread_stop).unwrap());
        let read = |lines: usize| {
            let reader = BufReader::new(File::open(&feed.out).unwrap());
            let lines = reader.lines().take(lines).map(|line| trade_id(&feed.oracle, &line.unwrap()));
            lines.collect::<Vec<_>>()
        };
        let first = read(500);
        assert_eq!(first, (1..=500).collect::<Vec<_>>());
        // The feed notices that the reader is gone by its next write; only then is the pipe emptied.
        let gone = || std::fs::read_to_string(&feed.log).unwrap().matches("reader gone").count();
        assert!(crate::wait_until(Duration::from_secs(20), || gone() == 1));
        let second = read(500);
        assert_eq!(second, (second[0]..second[0] + 500).collect::<Vec<_>>());
        assert!(second[0] > 500, "what was taken is not sent again: {}", second[0]);
        // Nobody reads: the pipe is full or broken, and the feed waits instead of dying.
        assert!(crate::wait_until(Duration::from_secs(20), || gone() == 2));
        stop.store(true, Ordering::Relaxed);
        let end = sender.join().unwrap();
        assert_eq!(end.readers_gone, 2);
        let log = SentLog::read(&feed.log).unwrap();
        assert_eq!(log.count(), end.next - 1, "every number once");
        assert!(log.range_of(second[499]).is_some());
    }
}
