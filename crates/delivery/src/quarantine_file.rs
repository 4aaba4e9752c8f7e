//! The file below a quarantine: its lock, its lines, its end.

use crate::quarantine::QuarantineError;
use crate::refused::{BadLine, Line, read_line};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file names instruments, prices and reasons of a store: for its owner alone.
const FILE_MODE: u32 = 0o600;

/// Opens the file and takes its lock; `None` when there is none and none is to be made.
pub(crate) fn lock(path: &Path, make: bool) -> Result<Option<File>, QuarantineError> {
    if make {
        let folder = parent_of(path);
        std::fs::create_dir_all(folder).map_err(failed(folder, "creating the folder"))?;
    }
    loop {
        let file = match OpenOptions::new().read(true).append(true).create(make).mode(FILE_MODE).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
            Err(error) => return Err(failed(path, "opening")(error)),
        };
        file.lock().map_err(failed(path, "locking"))?;
        // Another process may have put a new file in its place while this one waited for the lock.
        let opened = file.metadata().map_err(failed(path, "reading"))?;
        match std::fs::metadata(path) {
            Ok(named) if (named.dev(), named.ino()) == (opened.dev(), opened.ino()) => return Ok(Some(file)),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path, "reading")(error)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Makes a locked file end with a whole line, and returns its length: a torn line is cut off, a whole one without its line
/// feed (an editor's work) gets it.
pub(crate) fn mend_end(path: &Path, file: &File) -> Result<u64, QuarantineError> {
    let length = file.metadata().map_err(failed(path, "reading"))?.len();
    let end = last_line(file, length).map_err(failed(path, "reading its end"))?;
    if end.is_empty() {
        return Ok(length);
    }
    if !matches!(read_line(&end, 0), Err(BadLine::Damaged(_))) {
        let mut file = file;
        file.write_all(b"\n").map_err(failed(path, "ending the last line"))?;
        return Ok(length + 1);
    }
    let whole = length - end.len() as u64;
    file.set_len(whole).map_err(failed(path, "cutting the torn end"))?;
    tracing::warn!(path = %path.display(), bytes = end.len(), "cut the torn end of the quarantine; its event was never counted as kept");
    Ok(whole)
}

/// Puts a file without the lines that go, by number, in the place of `file`, which is locked.
pub(crate) fn replace(path: &Path, file: &File, goes: impl Fn(u64) -> bool) -> Result<(), QuarantineError> {
    let tmp = path.with_extension("jsonl.tmp");
    let written = copy_without(file, &tmp, goes).and_then(|()| std::fs::rename(&tmp, path));
    written.map_err(|error| {
        // It takes room on a disk that may be full; the next one overwrites it if it stays.
        let _ = std::fs::remove_file(&tmp);
        failed(path, "writing it anew")(error)
    })?;
    sync_name(path)
}

fn copy_without(file: &File, tmp: &Path, goes: impl Fn(u64) -> bool) -> io::Result<()> {
    let out = OpenOptions::new().create(true).write(true).truncate(true).mode(FILE_MODE).open(tmp)?;
    let mut writer = BufWriter::new(&out);
    rewind(file)?;
    let (mut reader, mut text, mut number) = (BufReader::new(file), Vec::new(), 0);
    while reader.read_until(b'\n', &mut text)? > 0 {
        number += 1;
        if !goes(number) {
            writer.write_all(&text)?;
        }
        text.clear();
    }
    writer.flush()?;
    out.sync_all()
}

/// Makes the name of the file, and of its folder, durable. Each time, not once: the file may be another one than before, and
/// a folder that has not changed costs next to nothing.
pub(crate) fn sync_name(path: &Path) -> Result<(), QuarantineError> {
    let folder = parent_of(path);
    for folder in [folder, parent_of(folder)] {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(folder, "syncing the folder"))?;
    }
    Ok(())
}

/// What stands behind the last line feed.
fn last_line(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let (mut from, mut end) = (length, Vec::new());
    while from > 0 {
        let mut step = vec![0; usize::try_from(from).map_or(STEP_BYTES, |left| left.min(STEP_BYTES))];
        from -= step.len() as u64;
        file.read_exact_at(&mut step, from)?;
        let found = step.iter().rposition(|&byte| byte == b'\n');
        end.splice(0..0, step.drain(found.map_or(0, |at| at + 1)..));
        if found.is_some() {
            break;
        }
    }
    Ok(end)
}

/// Read at once when the end is looked for: a line or two.
const STEP_BYTES: usize = 4096;

/// The lines of a file, with their numbers. What stands behind the last line feed counts when it is whole: else it is
/// torn, or being written. Ends after an error of the system or a newer format.
pub(crate) struct Lines<F> {
    path: PathBuf,
    reader: BufReader<F>,
    text: Vec<u8>,
    number: u64,
    is_over: bool,
}

impl<F: Read> Lines<F> {
    pub(crate) fn new(path: &Path, file: F) -> Self {
        Self { path: path.to_owned(), reader: BufReader::new(file), text: Vec::new(), number: 0, is_over: false }
    }
}

impl<F: Read> Iterator for Lines<F> {
    type Item = Result<(u64, Line), QuarantineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        self.text.clear();
        self.number += 1;
        let (path, line) = (&self.path, self.number);
        let result = match self.reader.read_until(b'\n', &mut self.text).map_err(failed(path, "reading")) {
            Ok(0) => return None,
            Ok(_) => match (read_line(self.text.trim_ascii_end(), line), self.text.last()) {
                (Ok(read), _) => Ok((line, read)),
                (Err(BadLine::Newer(version)), _) => Err(QuarantineError::Newer { path: path.clone(), line, version }),
                (Err(BadLine::Damaged(reason)), Some(b'\n')) => {
                    Err(QuarantineError::Damaged { path: path.clone(), line, reason })
                }
                (Err(BadLine::Damaged(_)), _) => return None,
            },
            Err(error) => Err(error),
        };
        self.is_over = matches!(&result, Err(QuarantineError::Io { .. } | QuarantineError::Newer { .. }));
        Some(result)
    }
}

pub(crate) fn rewind(mut file: &File) -> io::Result<()> {
    Seek::rewind(&mut file)
}

pub(crate) fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> QuarantineError {
    let path = path.to_owned();
    move |source| QuarantineError::Io { path, action, source }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
