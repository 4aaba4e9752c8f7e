//! The log: what happened and what was sent, as the simulator alone knows it. JSON Lines, written at least every 100 ms.

use crate::text::push_json;
use feedd_core::{Clock, SystemClock};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The log of a server. Whoever writes gathers whole lines and hands them over together.
pub(crate) struct Log {
    clock: SystemClock,
    inner: Mutex<Inner>,
}

struct Inner {
    file: Option<File>,
    waiting: Vec<u8>,
    lines: Vec<String>,
    lines_max: usize,
    lines_left_out: u64,
    /// The first error of the file: the log is worth nothing after it, and the end of the run says so.
    error: Option<String>,
}

impl Log {
    pub(crate) fn open(path: Option<&Path>, lines_max: usize) -> std::io::Result<Arc<Self>> {
        let file = path.map(File::create).transpose()?;
        let (waiting, lines) = (Vec::new(), Vec::new());
        let inner = Inner { file, waiting, lines, lines_max, lines_left_out: 0, error: None };
        Ok(Arc::new(Self { clock: SystemClock::new(), inner: Mutex::new(inner) }))
    }

    /// The true time.
    pub(crate) fn now_ns(&self) -> i64 {
        self.clock.wall().0
    }

    /// A line that begins with the time and what it is about.
    pub(crate) fn line(&self, what: &str) -> Line {
        Line::begin(String::with_capacity(160), self.now_ns(), what)
    }

    /// Takes one line.
    pub(crate) fn put(&self, line: Line) {
        self.put_all(&line.end());
    }

    /// Takes whole lines.
    pub(crate) fn put_all(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        let mut inner = self.lock();
        if inner.file.is_some() {
            inner.waiting.extend_from_slice(lines.as_bytes());
        }
        if inner.lines_max > 0 {
            for line in lines.lines() {
                if inner.lines.len() < inner.lines_max {
                    inner.lines.push(line.to_owned());
                } else {
                    inner.lines_left_out += 1;
                }
            }
        }
        // A burst is not to wait in memory for the timer.
        if inner.waiting.len() >= 1 << 20 {
            inner.write();
        }
    }

    /// Writes what waits.
    pub(crate) fn flush(&self) {
        self.lock().write();
    }

    /// What is kept in memory, from a line on, and how many lines are not.
    pub(crate) fn lines(&self, from: usize) -> (Vec<String>, u64) {
        let inner = self.lock();
        (inner.lines.get(from..).unwrap_or_default().to_vec(), inner.lines_left_out)
    }

    /// Why the file is not whole.
    pub(crate) fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.write_all(&self.waiting)
        {
            self.error.get_or_insert(format!("the log could not be written: {error}"));
        }
        self.waiting.clear();
    }
}

/// A line of the log in the making.
pub(crate) struct Line(String);

impl Line {
    /// Begins a line at the end of `buffer`.
    pub(crate) fn begin(mut buffer: String, t_ns: i64, what: &str) -> Self {
        buffer.push_str("{\"t\":");
        crate::text::push_int(&mut buffer, t_ns.unsigned_abs());
        buffer.push_str(",\"what\":\"");
        buffer.push_str(what);
        buffer.push('"');
        Self(buffer)
    }

    /// A text.
    pub(crate) fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        push_json(&mut self.0, value);
        self
    }

    /// A number.
    pub(crate) fn number(mut self, key: &str, value: u64) -> Self {
        self.key(key);
        crate::text::push_int(&mut self.0, value);
        self
    }

    /// A number that can be below zero.
    pub(crate) fn signed(mut self, key: &str, value: i64) -> Self {
        self.key(key);
        if value < 0 {
            self.0.push('-');
        }
        crate::text::push_int(&mut self.0, value.unsigned_abs());
        self
    }

    /// `true`.
    pub(crate) fn yes(self, key: &str) -> Self {
        self.raw(key, "true")
    }

    /// JSON as it is.
    pub(crate) fn raw(mut self, key: &str, json: &str) -> Self {
        self.key(key);
        self.0.push_str(json);
        self
    }

    /// Lets something append a value.
    pub(crate) fn with(mut self, key: &str, push: impl FnOnce(&mut String)) -> Self {
        self.key(key);
        push(&mut self.0);
        self
    }

    /// The buffer with the whole line.
    pub(crate) fn end(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }

    fn key(&mut self, key: &str) {
        self.0.push_str(",\"");
        self.0.push_str(key);
        self.0.push_str("\":");
    }
}
