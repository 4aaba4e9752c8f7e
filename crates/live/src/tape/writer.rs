//! The writer of one source's tape: lines into files, on a thread of its own.

use super::{Chunk, FLUSH_EVERY, PIECE_BYTES, RETRY_PAUSE, TapeConfig, TapeOf, Tapes};
use feedd_venues::capture::{Direction, TapeHeader};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

/// Writes one source's files.
pub(super) struct Writer {
    config: TapeConfig,
    dir: PathBuf,
    of: TapeOf,
    /// Start of the run, and the number of the file.
    run: Option<i64>,
    part: u64,
    pub(super) file: Option<OpenFile>,
    /// Lines that are not in the file yet.
    piece: Vec<u8>,
    piece_since: Instant,
    is_failing: bool,
    /// Bytes of all tapes, and whether it was told that there is no more room.
    used: Arc<AtomicU64>,
    is_full: bool,
    pub(super) lost: Arc<AtomicU64>,
    /// The run has ended: a disk that fails is not tried again.
    pub(super) is_over: Arc<AtomicBool>,
}

pub(super) struct OpenFile {
    pub(super) path: PathBuf,
    /// `None` until there is something to write: an empty file is no good zstd.
    file: Option<File>,
    pub(super) bytes: u64,
    since: Instant,
}

impl Writer {
    pub(super) fn new(tapes: &Tapes, dir: PathBuf, of: TapeOf) -> Self {
        Self {
            config: tapes.config.clone(),
            dir,
            of,
            run: None,
            part: 0,
            file: None,
            piece: Vec::new(),
            piece_since: Instant::now(),
            is_failing: false,
            used: tapes.used.clone(),
            is_full: false,
            lost: Arc::default(),
            is_over: Arc::default(),
        }
    }

    pub(super) fn run(&mut self, chunks: &Receiver<Chunk>, waiting_bytes: &AtomicUsize) {
        loop {
            let wait = FLUSH_EVERY.saturating_sub(self.piece_since.elapsed());
            match chunks.recv_timeout(wait) {
                Ok(chunk) => {
                    self.take(&chunk);
                    waiting_bytes.fetch_sub(chunk.text.len(), Ordering::Relaxed);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.piece_since.elapsed() >= FLUSH_EVERY {
                self.write_out();
            }
        }
        self.write_out();
        if let Some(file) = self.file.take() {
            file.finish();
        }
    }

    fn take(&mut self, chunk: &Chunk) {
        let mut start = 0;
        for line in &chunk.lines {
            let (conn, frame) = (&chunk.text[start..line.conn_end], &chunk.text[line.conn_end..line.frame_end]);
            start = line.frame_end;
            self.begin(line.recv_ns);
            self.push(line.recv_ns, conn, line.dir, frame);
            if self.piece.len() >= PIECE_BYTES {
                self.write_out();
            }
        }
    }

    /// Sees to it that there is a file, with its header first.
    pub(super) fn begin(&mut self, recv_ns: i64) {
        if let Some(file) = &self.file {
            if file.bytes < self.config.file_bytes_max && file.since.elapsed() < self.config.file_age_max {
                return;
            }
            self.write_out();
        }
        if let Some(file) = self.file.take() {
            file.finish();
        }
        self.part += 1;
        let run = *self.run.get_or_insert(recv_ns);
        let header = TapeHeader { source: self.of.source.clone(), run, part: self.part, rules: self.of.rules };
        self.push(recv_ns, "-", Direction::Control, &header.to_string());
        let path = self.dir.join(format!("{}-{}.jsonl.zst", file_name(&self.of.source), time_name(recv_ns)));
        self.file = Some(OpenFile { path, file: None, bytes: 0, since: Instant::now() });
    }

    pub(super) fn push(&mut self, recv_ns: i64, conn: &str, dir: Direction, frame: &str) {
        let dir = match dir {
            Direction::In => "in",
            Direction::Out => "out",
            Direction::Control => "ctl",
        };
        let piece = &mut self.piece;
        // Writing to memory does not fail.
        let _ = write!(piece, r#"{{"recv_ns":{recv_ns},"conn":"#);
        let _ = serde_json::to_writer(&mut *piece, conn);
        let _ = write!(piece, r#","dir":"{dir}","frame":"#);
        let _ = serde_json::to_writer(&mut *piece, frame);
        piece.extend_from_slice(b"}\n");
    }

    /// Writes the piece as one zstd frame. A write that fails is undone and made again.
    pub(super) fn write_out(&mut self) {
        self.piece_since = Instant::now();
        if self.piece.is_empty() {
            return;
        }
        let piece = std::mem::take(&mut self.piece);
        if let Err(why) = self.write(&piece) {
            let lost = piece.iter().filter(|byte| **byte == b'\n').count();
            self.lost.fetch_add(lost as u64, Ordering::Relaxed);
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::error!("lines of the tape are lost, {lost} and what follows: {why}");
            }
        }
        self.piece = piece;
        self.piece.clear();
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), String> {
        let packed = zstd::bulk::compress(piece, self.config.compression_level);
        let packed = packed.map_err(|error| format!("they could not be compressed: {error}"))?;
        let bytes = packed.len() as u64;
        if self.used.load(Ordering::Relaxed).saturating_add(bytes) > self.config.bytes_max {
            let (dir, max) = (self.config.dir.display(), self.config.bytes_max);
            return Err(format!("{dir} holds as much as tape.bytes_max allows ({max} bytes); move files away"));
        }
        let Some(mut file) = self.file.take() else { return Err("there is no file for them".to_owned()) };
        loop {
            match file.append(&packed) {
                Ok(()) => {
                    self.works();
                    self.file = Some(file);
                    self.used.fetch_add(bytes, Ordering::Relaxed);
                    self.is_full = false;
                    return Ok(());
                }
                Err(error) if self.fails(&file.path, &error) => {}
                Err(error) => return Err(format!("{}: {error}", file.path.display())),
            }
        }
    }

    fn works(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("the tape is written again");
        }
    }

    /// The disk failed; false when it is not to be tried again.
    #[cold]
    fn fails(&mut self, path: &Path, error: &io::Error) -> bool {
        if !std::mem::replace(&mut self.is_failing, true) {
            let path = path.display();
            tracing::error!("the tape cannot be written, trying again: {path}: {error}; recording goes on without it");
        }
        if self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        std::thread::sleep(RETRY_PAUSE);
        true
    }
}

impl OpenFile {
    /// Appends whole or not at all.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().append(true).create_new(true).open(&self.path)?,
        };
        // What a write that failed has left behind goes first.
        let written = file.set_len(self.bytes).and_then(|()| file.write_all(bytes));
        self.file = Some(file);
        self.bytes += if written.is_ok() { bytes.len() as u64 } else { 0 };
        written
    }

    fn finish(self) {
        if let Some(Err(error)) = self.file.map(|file| file.sync_all()) {
            tracing::warn!("{}: closing this file of the tape failed: {error}", self.path.display());
        }
    }
}

/// A source's name as part of a file's.
fn file_name(source: &str) -> String {
    source.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// `20261122T155704.123456789Z`: sorts by time.
fn time_name(unix_ns: i64) -> String {
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second].[subsecond digits:9]Z");
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(unix_ns.into()).ok();
    time.and_then(|time| time.format(format).ok()).unwrap_or_else(|| unix_ns.to_string())
}
