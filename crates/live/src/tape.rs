//! The tape: every frame of a live source with its receive time, in files of the capture format, off the hot path.
//!
//! The source's thread copies texts into chunks; a thread of its own escapes, compresses and writes them. Each piece of a
//! file is a zstd frame of its own, written at once, so that after a crash a file is whole up to the last second. What
//! finds no room on the way is dropped and counted, and a line of the tape says so: recording is never held up.

mod writer;

use feedd_model::UnixNanos;
use feedd_venues::capture::{Direction, TapeNote};
use feedd_venues::check::Rules;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use writer::Writer;

/// A chunk goes to the writer when it has so many bytes of text, or at the next tick.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks on the way at once; their bytes are bounded besides.
const CHUNKS_MAX: usize = 4096;
/// A piece is written when it has so many bytes of lines, or after [`FLUSH_EVERY`].
const PIECE_BYTES: usize = 1 << 20;
/// What a crash may cost.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Pause before the disk is tried again after a failure. Meanwhile the queue fills, and what it has no room for is counted.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a run waits for the writer.
const END_TIME_MAX: Duration = Duration::from_secs(2);

/// How tapes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeConfig {
    /// Folder; each venue has one of its own in it.
    pub dir: PathBuf,
    /// Size at which a file is followed by the next, bytes as stored.
    pub file_bytes_max: u64,
    /// Age at which it is.
    pub file_age_max: Duration,
    /// Level of zstd.
    pub compression_level: i32,
    /// Bytes of all files in the folder beyond which nothing more is taped.
    pub bytes_max: u64,
    /// Bytes that may wait for the disk.
    pub queue_bytes_max: usize,
}

/// The folder that the tapes of a run share.
#[derive(Debug)]
pub struct Tapes {
    config: TapeConfig,
    /// Bytes of all files in it.
    used: Arc<AtomicU64>,
}

impl Tapes {
    /// Makes the folder, and looks how much is in it.
    ///
    /// # Errors
    /// When it cannot be made or looked at.
    pub fn open(config: TapeConfig) -> io::Result<Self> {
        std::fs::create_dir_all(&config.dir)?;
        let mut used = 0;
        for venue in std::fs::read_dir(&config.dir)? {
            let venue = venue?;
            if venue.file_type()?.is_dir() {
                for file in std::fs::read_dir(venue.path())? {
                    used += file?.metadata()?.len();
                }
            }
        }
        Ok(Self { config, used: Arc::new(AtomicU64::new(used)) })
    }

    /// As it was configured.
    #[must_use]
    pub const fn config(&self) -> &TapeConfig {
        &self.config
    }
}

/// The end of a tape at which a source puts lines on it.
#[derive(Debug)]
pub(crate) struct Tape {
    chunk: Chunk,
    queue: SyncSender<Chunk>,
    waiting_bytes: Arc<AtomicUsize>,
    queue_bytes_max: usize,
    dropped: u64,
    /// Of these: not yet told by a line.
    dropped_untold: u64,
    is_over: Arc<AtomicBool>,
    /// Lines that the writer could not write.
    lost: Arc<AtomicU64>,
    writer: JoinHandle<()>,
}

/// Lines on their way to the writer.
#[derive(Debug, Default)]
struct Chunk {
    lines: Vec<Line>,
    /// Names and frames of the lines, one behind the other.
    text: String,
}

#[derive(Debug)]
struct Line {
    recv_ns: i64,
    dir: Direction,
    /// Ends of its name and its frame in the text.
    conn_end: usize,
    frame_end: usize,
}

/// Whose tape it is.
#[derive(Clone, Debug)]
pub(crate) struct TapeOf {
    pub(crate) venue: &'static str,
    pub(crate) source: String,
    pub(crate) rules: Rules,
}

impl Tape {
    /// Makes the folder and starts the writer. To be called by a thread that is not pinned.
    pub(crate) fn start(tapes: &Tapes, of: TapeOf) -> io::Result<Self> {
        let dir = tapes.config.dir.join(of.venue);
        std::fs::create_dir_all(&dir)?;
        let (queue, chunks) = sync_channel(CHUNKS_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let mut writer = Writer::new(tapes, dir, of);
        let (is_over, lost) = (writer.is_over.clone(), writer.lost.clone());
        let waiting = waiting_bytes.clone();
        let writer =
            std::thread::Builder::new().name("tape".to_owned()).spawn(move || writer.run(&chunks, &waiting))?;
        Ok(Self {
            chunk: Chunk::default(),
            queue,
            waiting_bytes,
            queue_bytes_max: tapes.config.queue_bytes_max,
            dropped: 0,
            dropped_untold: 0,
            is_over,
            lost,
            writer,
        })
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, recv_ts: UnixNanos, conn: &str, dir: Direction, frame: &str) {
        if self.dropped_untold > 0 && self.waiting_bytes.load(Ordering::Relaxed) < self.queue_bytes_max {
            let note = TapeNote::Dropped(std::mem::take(&mut self.dropped_untold)).to_string();
            self.chunk.push(recv_ts.0, "-", Direction::Control, &note);
        }
        self.chunk.push(recv_ts.0, conn, dir, frame);
        if self.chunk.text.len() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    /// Gives the writer what there is; drops it when there is no room, but for notes, which are few.
    pub(crate) fn hand_over(&mut self) {
        if self.chunk.lines.is_empty() {
            return;
        }
        let bytes = self.chunk.text.len();
        if self.waiting_bytes.load(Ordering::Relaxed).saturating_add(bytes) > self.queue_bytes_max {
            return self.drop_frames();
        }
        self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Err(refused) = self.queue.try_send(std::mem::take(&mut self.chunk)) {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.chunk = match refused {
                std::sync::mpsc::TrySendError::Full(chunk) | std::sync::mpsc::TrySendError::Disconnected(chunk) => {
                    chunk
                }
            };
            self.drop_frames();
        }
    }

    #[cold]
    fn drop_frames(&mut self) {
        let all = std::mem::take(&mut self.chunk);
        let mut start = 0;
        for line in &all.lines {
            if line.dir == Direction::Control {
                let (conn, frame) = (&all.text[start..line.conn_end], &all.text[line.conn_end..line.frame_end]);
                self.chunk.push(line.recv_ns, conn, line.dir, frame);
            } else {
                self.dropped += 1;
                self.dropped_untold += 1;
            }
            start = line.frame_end;
        }
    }

    /// Lines that are not on the tape: no room on the way to the disk, or on it.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped + self.lost.load(Ordering::Relaxed)
    }

    /// Writes what is left and closes the file; a disk that does not take it is not waited for.
    pub(crate) fn end(mut self) {
        self.hand_over();
        self.is_over.store(true, Ordering::Relaxed);
        drop(self.queue);
        let since = Instant::now();
        while !self.writer.is_finished() {
            if since.elapsed() > END_TIME_MAX {
                return tracing::error!("the tape's last lines are not written: the disk does not take them");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.writer.join().is_err() {
            tracing::error!("the tape's thread panicked; its last file may lack lines");
        }
    }
}

impl Chunk {
    fn push(&mut self, recv_ns: i64, conn: &str, dir: Direction, frame: &str) {
        self.text.push_str(conn);
        let conn_end = self.text.len();
        self.text.push_str(frame);
        self.lines.push(Line { recv_ns, dir, conn_end, frame_end: self.text.len() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_venues::capture::{CaptureReader, TapeHeader, expand};
    use feedd_venues::check::{BookRule, TradeIds};
    use std::fs::File;
    use std::path::Path;

    const RULES: Rules = Rules { book: BookRule::JoinFirst, trades: TradeIds::Dense, is_global: true };
    const START: i64 = 1_795_363_024_123_456_789;

    fn config(dir: &Path) -> TapeConfig {
        TapeConfig {
            dir: dir.to_owned(),
            file_bytes_max: 64 << 20,
            file_age_max: Duration::from_secs(3600),
            compression_level: 3,
            bytes_max: u64::MAX,
            queue_bytes_max: 1 << 20,
        }
    }

    fn start(config: &TapeConfig) -> Tape {
        let tapes = Tapes::open(config.clone()).unwrap();
        Tape::start(&tapes, TapeOf { venue: "binance", source: "bin/1".into(), rules: RULES }).unwrap()
    }

    /// Every line of every file, as the reader of captures sees it.
    fn lines(dir: &Path) -> Vec<(String, i64, String, Direction, String)> {
        let mut lines = Vec::new();
        for path in expand(dir).unwrap() {
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            let mut reader = CaptureReader::open(&path).unwrap();
            while let Some(line) = reader.next_line().unwrap() {
                let (conn, frame) = (line.conn.to_owned(), line.frame.to_owned());
                lines.push((name.clone(), line.recv_ns.unwrap(), conn, line.dir, frame));
            }
        }
        lines
    }

    #[test]
    fn a_tape_is_a_capture_with_a_header() {
        let dir = tempfile::tempdir().unwrap();
        let mut tape = start(&config(dir.path()));
        let told = [
            ("ws-1", Direction::Control, "opened"),
            ("ws-1", Direction::Out, r#"{"method":"SUBSCRIBE"}"#),
            ("ws-1", Direction::In, "{\"text\":\"with \\\"quotes\\\", \u{1} and \u{20ac}\\n\"}"),
            ("-", Direction::Control, "ended"),
        ];
        for (at, (conn, dir, frame)) in (START..).zip(told) {
            tape.line(UnixNanos(at), conn, dir, frame);
        }
        assert_eq!(tape.dropped(), 0);
        tape.end();
        let lines = lines(dir.path());
        assert_eq!(lines[0].0, "binance/bin_1-20261122T155704.123456789Z.jsonl.zst");
        let header = TapeHeader { source: "bin/1".into(), run: START, part: 1, rules: RULES };
        assert_eq!(TapeHeader::parse(&lines[0].4), Some(header));
        let read: Vec<_> = lines[1..].iter().map(|line| (line.1, &*line.2, line.3, &*line.4)).collect();
        let expected: Vec<_> = (START..).zip(told).map(|(at, (conn, dir, frame))| (at, conn, dir, frame)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn files_are_followed_by_others_that_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut tape = start(&TapeConfig { file_bytes_max: 1, ..config(dir.path()) });
        let frame = "x".repeat(PIECE_BYTES / 2);
        for number in 0..6 {
            while tape.waiting_bytes.load(Ordering::Relaxed) > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            tape.line(UnixNanos(START + number), "ws-1", Direction::In, &frame);
        }
        tape.end();
        let lines = lines(dir.path());
        let headers: Vec<_> = lines.iter().filter_map(|line| TapeHeader::parse(&line.4)).collect();
        assert!(headers.len() >= 3, "two frames fill a piece, and a piece a file: {headers:?}");
        assert!(headers.windows(2).all(|pair| pair[1].continues(&pair[0])));
        let times: Vec<_> = lines.iter().filter(|line| line.3 == Direction::In).map(|line| line.1 - START).collect();
        assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_finds_no_room_is_dropped_counted_and_told_but_notes_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut tape = start(&TapeConfig { queue_bytes_max: 500, ..config(dir.path()) });
        let frame = "y".repeat(200);
        for number in 0..3 {
            tape.line(UnixNanos(START + number), "ws-1", Direction::In, &frame);
        }
        tape.line(UnixNanos(START + 3), "ws-1", Direction::Control, "closed 1006");
        tape.hand_over();
        assert_eq!(tape.dropped(), 3);
        tape.line(UnixNanos(START + 4), "ws-2", Direction::In, "after");
        tape.end();
        let frames: Vec<_> = lines(dir.path())[1..].iter().map(|line| line.4.clone()).collect();
        assert_eq!(frames, ["closed 1006", "dropped 3", "after"]);
    }

    #[test]
    fn a_full_folder_takes_no_more_and_counts_what_it_does_not_take() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("binance")).unwrap();
        std::fs::write(dir.path().join("binance/older.jsonl"), [b'\n'; 900]).unwrap();
        let mut tape = start(&TapeConfig { bytes_max: 1000, ..config(dir.path()) });
        let noise: String = (0..4000).map(|_| fastrand::alphanumeric()).collect();
        tape.line(UnixNanos(START), "ws-1", Direction::In, &noise);
        let lost = tape.lost.clone();
        tape.end();
        assert_eq!(lost.load(Ordering::Relaxed), 2, "the header and the frame");
        assert_eq!(std::fs::read_dir(dir.path().join("binance")).unwrap().count(), 1, "no empty file");
    }

    #[test]
    fn a_file_that_is_cut_off_gives_every_piece_before() {
        let dir = tempfile::tempdir().unwrap();
        let of = TapeOf { venue: "binance", source: "a".into(), rules: RULES };
        let tapes = Tapes::open(config(dir.path())).unwrap();
        let mut writer = Writer::new(&tapes, dir.path().to_owned(), of);
        for piece in 0..3 {
            writer.begin(START);
            writer.push(START + piece, "ws-1", Direction::In, &format!("frame {piece}"));
            writer.write_out();
        }
        // Not closed, as after a crash: whole up to the last piece.
        assert_eq!(lines(dir.path()).len(), 4);
        let file = writer.file.take().unwrap();
        File::options().write(true).open(&file.path).unwrap().set_len(file.bytes - 1).unwrap();
        let mut reader = CaptureReader::open(&file.path).unwrap();
        let mut frames = Vec::new();
        while let Ok(Some(line)) = reader.next_line() {
            frames.push(line.frame.to_owned());
        }
        assert_eq!(frames[1..], ["frame 0", "frame 1"]);
    }
}
