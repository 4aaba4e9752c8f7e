//! Raw texts that were rejected, kept beside the data with the reason: nothing is thrown away unseen.
//!
//! A file in JSON lines, written by a thread of its own. The queue to it is bounded, in letters and in bytes; what does
//! not fit is counted, so that a storm of bad frames can neither stop the good ones nor fill the memory.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Letters that wait to be written.
const QUEUE_LETTERS: usize = 256;
/// Bytes that wait to be written; a single letter (16 MiB of frame by default) may be larger.
const QUEUE_BYTES: usize = 64 << 20;

/// One rejected text.
#[derive(Debug, serde::Serialize)]
pub struct DeadLetter {
    /// Source it came from.
    pub source: String,
    /// Why, by name.
    pub reason: &'static str,
    /// More about it: a field, a file and line.
    pub detail: String,
    /// Receive time in ns since 1970, where known.
    pub recv_ns: Option<i64>,
    /// The text; bytes that are not UTF-8 are replaced, and `bytes_hex` holds them.
    pub text: String,
    /// The exact bytes in hexadecimal when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_hex: Option<String>,
}

impl DeadLetter {
    /// A letter of raw bytes.
    #[must_use]
    pub fn new(source: &str, reason: &'static str, detail: String, recv_ns: Option<i64>, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let exact = matches!(text, std::borrow::Cow::Borrowed(_));
        let bytes_hex = (!exact).then(|| bytes.iter().map(|b| format!("{b:02x}")).collect());
        Self { source: source.to_owned(), reason, detail, recv_ns, text: text.into_owned(), bytes_hex }
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.detail.len() + self.bytes_hex.as_ref().map_or(0, String::len)
    }
}

/// Where sources send their letters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    queue: Option<SyncSender<DeadLetter>>,
    /// Bytes in the queue.
    waiting: Arc<AtomicUsize>,
}

/// The writing thread; joined to know that everything is on disk.
#[derive(Debug)]
pub struct DeadLetterWriter {
    thread: JoinHandle<()>,
}

impl DeadLetters {
    /// Keeps nothing: every letter counts as missed.
    #[must_use]
    pub fn disabled() -> Self {
        Self { queue: None, waiting: Arc::default() }
    }

    /// Starts the writer. The file is made at the first letter and grows to at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(path: &Path, bytes_max: u64) -> std::io::Result<(Self, DeadLetterWriter)> {
        let (sender, receiver) = sync_channel(QUEUE_LETTERS);
        let path = path.to_owned();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer_waiting = waiting.clone();
        let thread = std::thread::Builder::new()
            .name("dead-letters".into())
            .spawn(move || write_letters(&path, bytes_max, &receiver, &writer_waiting))?;
        Ok((Self { queue: Some(sender), waiting }, DeadLetterWriter { thread }))
    }

    /// Keeps a letter; false when it could not be taken, which the caller counts.
    #[must_use]
    pub fn keep(&self, letter: DeadLetter) -> bool {
        let Some(queue) = &self.queue else { return false };
        let bytes = letter.bytes();
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        if (before == 0 || before + bytes <= QUEUE_BYTES) && queue.try_send(letter).is_ok() {
            return true;
        }
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        false
    }
}

impl DeadLetterWriter {
    /// Waits until every letter is on disk. Every [`DeadLetters`] must be gone.
    pub fn join(self) {
        // A panic of the writer has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

fn write_letters(path: &PathBuf, bytes_max: u64, letters: &Receiver<DeadLetter>, waiting: &AtomicUsize) {
    let mut file: Option<std::fs::File> = None;
    let mut bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    let mut refused = 0u64;
    for letter in letters {
        let mut line = serde_json::to_vec(&letter).unwrap_or_default();
        line.push(b'\n');
        waiting.fetch_sub(letter.bytes(), Ordering::Relaxed);
        if bytes + line.len() as u64 > bytes_max {
            refused += 1;
            if refused == 1 {
                tracing::error!(path = %path.display(), bytes_max, "dead-letter file is full; move it away or raise dead_letters.bytes_max");
            }
            continue;
        }
        let written = open_once(&mut file, path).and_then(|file| file.write_all(&line));
        match written {
            Ok(()) => bytes += line.len() as u64,
            Err(error) => {
                refused += 1;
                tracing::error!(path = %path.display(), %error, reason = letter.reason, "a dead letter could not be written");
            }
        }
    }
    if let Some(file) = file
        && let Err(error) = file.sync_all()
    {
        tracing::error!(path = %path.display(), %error, "the dead-letter file could not be synced");
    }
    if refused > 0 {
        tracing::error!(path = %path.display(), refused, "dead letters that are not in the file");
    }
}

fn open_once<'a>(file: &'a mut Option<std::fs::File>, path: &Path) -> std::io::Result<&'a mut std::fs::File> {
    if file.is_none() {
        *file = Some(std::fs::OpenOptions::new().create(true).append(true).open(path)?);
    }
    file.as_mut().ok_or_else(|| std::io::Error::other("not opened"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_of_large_frames_does_not_fill_the_memory() {
        let (sender, receiver) = sync_channel(QUEUE_LETTERS);
        let letters = DeadLetters { queue: Some(sender), waiting: Arc::default() };
        let frame = vec![b'x'; QUEUE_BYTES / 4];
        let letter = || DeadLetter::new("sim", "not_json", String::new(), None, &frame);
        let kept = (0..8).filter(|_| letters.keep(letter())).count();
        assert_eq!(kept, 4, "four fill the bound, nobody writes");
        let path = tempfile::tempdir().unwrap().path().join("none");
        let waiting = letters.waiting.clone();
        drop(letters);
        write_letters(&path, 0, &receiver, &waiting);
        assert_eq!(waiting.load(Ordering::Relaxed), 0, "what was taken has left the queue");
    }

    #[test]
    fn keeps_reason_and_exact_bytes_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead.jsonl");
        let (letters, writer) = DeadLetters::start(&path, 300).unwrap();
        assert!(letters.keep(DeadLetter::new("sim", "not_json", "line 7".into(), Some(5), b"{\"a\":")));
        assert!(letters.keep(DeadLetter::new("sim", "not_utf8", String::new(), None, &[0x61, 0xff])));
        assert!(letters.keep(DeadLetter::new("sim", "not_json", String::new(), None, &[b'x'; 300])));
        drop(letters);
        writer.join();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2, "the third is above the bound");
        assert_eq!(
            (&lines[0]["reason"], &lines[0]["text"], &lines[0]["detail"]),
            (&"not_json".into(), &"{\"a\":".into(), &"line 7".into())
        );
        assert_eq!(lines[1]["bytes_hex"], "61ff");
        assert!(!DeadLetters::disabled().keep(DeadLetter::new("s", "r", String::new(), None, b"")));
    }
}
