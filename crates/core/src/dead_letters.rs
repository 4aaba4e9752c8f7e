//! Raw texts that were rejected, kept beside the data with the reason: nothing is thrown away unseen.
//!
//! A file in JSON lines, written by a thread of its own. The queue to it is bounded; what does not fit is counted, so
//! that a storm of bad frames cannot stop the good ones.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Letters that wait to be written; each holds at most one frame (16 MiB by default).
const QUEUE_LETTERS: usize = 256;

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
}

/// Where sources send their letters. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    queue: Option<SyncSender<DeadLetter>>,
}

/// The writing thread; joined to know that everything is on disk.
#[derive(Debug)]
pub struct DeadLetterWriter {
    thread: JoinHandle<()>,
}

impl DeadLetters {
    /// Keeps nothing: every letter counts as missed.
    #[must_use]
    pub const fn disabled() -> Self {
        Self { queue: None }
    }

    /// Starts the writer. The file is made at the first letter and grows to at most `bytes_max` bytes.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(path: &Path, bytes_max: u64) -> std::io::Result<(Self, DeadLetterWriter)> {
        let (sender, receiver) = sync_channel(QUEUE_LETTERS);
        let path = path.to_owned();
        let thread = std::thread::Builder::new()
            .name("dead-letters".into())
            .spawn(move || write_letters(&path, bytes_max, &receiver))?;
        Ok((Self { queue: Some(sender) }, DeadLetterWriter { thread }))
    }

    /// Keeps a letter; false when it could not be taken, which the caller counts.
    #[must_use]
    pub fn keep(&self, letter: DeadLetter) -> bool {
        match &self.queue {
            None => false,
            Some(queue) => !matches!(queue.try_send(letter), Err(TrySendError::Full(_) | TrySendError::Disconnected(_))),
        }
    }
}

impl DeadLetterWriter {
    /// Waits until every letter is on disk. Every [`DeadLetters`] must be gone.
    pub fn join(self) {
        // A panic of the writer has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

fn write_letters(path: &PathBuf, bytes_max: u64, letters: &Receiver<DeadLetter>) {
    let mut file: Option<std::fs::File> = None;
    let mut bytes = std::fs::metadata(path).map_or(0, |m| m.len());
    let mut refused = 0u64;
    for letter in letters {
        let mut line = serde_json::to_vec(&letter).unwrap_or_default();
        line.push(b'\n');
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
        assert_eq!((&lines[0]["reason"], &lines[0]["text"], &lines[0]["detail"]), (&"not_json".into(), &"{\"a\":".into(), &"line 7".into()));
        assert_eq!(lines[1]["bytes_hex"], "61ff");
        assert!(!DeadLetters::disabled().keep(DeadLetter::new("s", "r", String::new(), None, b"")));
    }
}
