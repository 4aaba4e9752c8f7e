//! The data folder's own state: who writes it, which stream it is, how often it was started.
//!
//! The epoch is durable before the first event of a start: a crash right after it costs an epoch number, never an
//! identity used twice. That recording began is durable before it begins, and that it ended in order after it has: so that
//! a start knows since when something may be missing, also when nothing else is left of the starts before.

use crate::folder_lock::{FolderLock, LockError};
use feedd_model::{Epoch, StreamId, UnixNanos};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Folder of feedd's own files inside the data folder.
pub const STATE_DIR: &str = "_feedd";
/// Format of [`State`]; a newer one is refused untouched.
const FORMAT: u32 = 1;
const STATE_FILE: &str = "stream.json";
const LOCK_FILE: &str = "lock";

#[derive(serde::Serialize, serde::Deserialize)]
struct State {
    format: u32,
    stream: u32,
    epoch: u32,
    /// When the first of the starts began to record that have not ended in order since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unended_since_ns: Option<i64>,
}

/// A locked data folder with a fresh epoch.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    stream: StreamId,
    epoch: Epoch,
    unended_since: Option<UnixNanos>,
    _lock: FolderLock,
}

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataDirError {
    /// A file or folder could not be made, read or written.
    #[error("{path}: {action} failed")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// Another recorder writes to this folder, or its lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state file is not what this program writes.
    #[error("{path}: {reason}; restore the file from a copy, or use a new data folder")]
    Damaged {
        /// The state file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl DataDir {
    /// Creates or opens the folder, locks it, and makes the next epoch durable.
    ///
    /// # Errors
    /// [`DataDirError`]; nothing is changed then.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let state_dir = path.join(STATE_DIR);
        std::fs::create_dir_all(&state_dir).map_err(io(&state_dir, "creating the folder"))?;
        // The names of new folders have to be durable, too: an epoch whose folder vanishes would be given again.
        sync_folder(path)?;
        sync_folder(parent_of(path))?;
        let lock = FolderLock::take(path, &state_dir.join(LOCK_FILE))?;
        let file = state_dir.join(STATE_FILE);
        let mut state = read_state(&file)?.unwrap_or_else(|| State {
            format: FORMAT,
            stream: new_stream(),
            epoch: 0,
            unended_since_ns: None,
        });
        state.epoch = state
            .epoch
            .checked_add(1)
            .ok_or_else(|| DataDirError::Damaged { path: file.clone(), reason: "no epoch is left".to_owned() })?;
        write_state(&file, &state)?;
        Ok(Self {
            path: path.to_owned(),
            stream: StreamId(state.stream),
            epoch: Epoch(state.epoch),
            unended_since: state.unended_since_ns.map(UnixNanos),
            _lock: lock,
        })
    }

    /// When the first of the starts began to record that have not ended in order since; this one is not among them before
    /// [`DataDir::begin`].
    #[must_use]
    pub const fn unended_since(&self) -> Option<UnixNanos> {
        self.unended_since
    }

    /// Makes durable that this start begins to record, at wall time `at`. To be called before anything is recorded.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; nothing may be recorded then.
    pub fn begin(&mut self, at: UnixNanos) -> Result<(), DataDirError> {
        self.note(Some(self.unended_since.unwrap_or(at)))
    }

    /// Makes durable that this start has ended in order: nothing it has recorded can be lost any more.
    ///
    /// # Errors
    /// [`DataDirError::Io`]; the next start takes this one for one that was cut off.
    pub fn end(&mut self) -> Result<(), DataDirError> {
        self.note(None)
    }

    fn note(&mut self, unended_since: Option<UnixNanos>) -> Result<(), DataDirError> {
        let unended_since_ns = unended_since.map(|at| at.0);
        let state = State { format: FORMAT, stream: self.stream.0, epoch: self.epoch.0, unended_since_ns };
        write_state(&self.path.join(STATE_DIR).join(STATE_FILE), &state)?;
        self.unended_since = unended_since;
        Ok(())
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dictionary of instruments.
    #[must_use]
    pub fn instruments_path(&self) -> PathBuf {
        self.path.join(STATE_DIR).join("instruments.jsonl")
    }

    /// Recorded stream.
    #[must_use]
    pub const fn stream(&self) -> StreamId {
        self.stream
    }

    /// This start.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// Which stream a folder holds, and its newest start; `None` for a folder that was never recorded to. Takes no lock and
/// changes nothing.
///
/// # Errors
/// [`DataDirError`] when the state cannot be read or is damaged.
pub fn peek(path: &Path) -> Result<Option<(StreamId, Epoch)>, DataDirError> {
    let state = read_state(&path.join(STATE_DIR).join(STATE_FILE))?;
    Ok(state.map(|state| (StreamId(state.stream), Epoch(state.epoch))))
}

/// The process that records to a folder now, as it wrote itself down; `None` when there is none. To find out, the lock is
/// shared with nobody for an instant.
///
/// # Errors
/// [`DataDirError::Io`] when the lock file is there and cannot be read.
pub fn recorder_of(path: &Path) -> Result<Option<String>, DataDirError> {
    let path = path.join(STATE_DIR).join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(&path, "opening the lock file")(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(std::fs::TryLockError::WouldBlock) => {
            let pid = std::io::read_to_string(&file).map_err(io(&path, "reading the lock file"))?;
            Ok(Some(pid.trim().to_owned()))
        }
        Err(std::fs::TryLockError::Error(source)) => Err(io(&path, "asking for the lock")(source)),
    }
}

/// Keeps recorders away from a folder without starting one: for work on its files.
///
/// # Errors
/// [`DataDirError::Lock`] when a recorder runs, or the folder was never recorded to.
pub fn lock(path: &Path) -> Result<FolderLock, DataDirError> {
    Ok(FolderLock::take(path, &path.join(STATE_DIR).join(LOCK_FILE))?)
}

/// A stream id for a new data folder: random, so that a folder whose state was deleted, or a second folder that writes
/// to the same store, never takes the identities of the first for its own. 31 bits, because stores know signed numbers.
fn new_stream() -> u32 {
    // The standard library seeds each hasher from the system's randomness.
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    u32::try_from(random >> 33).unwrap_or(1).max(1)
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> DataDirError {
    let path = path.to_owned();
    move |source| DataDirError::Io { path, action, source }
}

fn read_state(path: &Path) -> Result<Option<State>, DataDirError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(path, "reading the stream state")(error)),
    };
    let damaged = |reason| DataDirError::Damaged { path: path.to_owned(), reason };
    let state: State = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if state.format > FORMAT {
        return Err(damaged(format!("written by a newer version (format {}, known {FORMAT})", state.format)));
    }
    Ok(Some(state))
}

fn write_state(file: &Path, state: &State) -> Result<(), DataDirError> {
    let json = serde_json::to_vec(state).map_err(|error| io(file, "encoding the stream state")(error.into()))?;
    write_whole(file, &json)
}

/// Writes a small file so that it is there whole or not at all: temporary name, sync, rename, sync of the folder.
///
/// On an error the former content stays.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp).map_err(io(&tmp, "creating"))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io(&tmp, "writing"))?;
    std::fs::rename(&tmp, path).map_err(io(path, "renaming"))?;
    sync_folder(parent_of(path))
}

/// The folder a name stands in.
#[must_use]
pub fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes names that were created or renamed in a folder durable.
///
/// # Errors
/// [`DataDirError::Io`].
pub fn sync_folder(path: &Path) -> Result<(), DataDirError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(io(path, "syncing the folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_is_a_new_epoch_and_one_writer_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap();
        let stream = first.stream();
        assert_eq!(first.epoch(), Epoch(1));
        let second = DataDir::open(dir.path()).unwrap_err();
        assert!(
            matches!(&second, DataDirError::Lock(LockError::InUse { pid, .. }) if *pid == std::process::id().to_string()),
            "{second}"
        );
        drop(first);
        let again = DataDir::open(dir.path()).unwrap();
        assert_eq!((again.stream(), again.epoch()), (stream, Epoch(2)));
    }

    #[test]
    fn a_start_knows_since_when_none_has_ended_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let open = || DataDir::open(dir.path()).unwrap();
        // A start that never began to record has nothing to lose.
        assert_eq!(open().unended_since(), None);
        assert_eq!(open().unended_since(), None);
        open().begin(UnixNanos(5)).unwrap();
        let mut second = open();
        assert_eq!(second.unended_since(), Some(UnixNanos(5)));
        second.begin(UnixNanos(9)).unwrap();
        drop(second);
        let mut third = open();
        assert_eq!(third.unended_since(), Some(UnixNanos(5)), "the first of them");
        third.begin(UnixNanos(12)).unwrap();
        third.end().unwrap();
        let epoch = third.epoch();
        drop(third);
        let fourth = open();
        assert_eq!((fourth.unended_since(), fourth.epoch()), (None, Epoch(epoch.0 + 1)));
    }

    #[test]
    fn the_state_of_an_older_version_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(STATE_DIR)).unwrap();
        std::fs::write(dir.path().join(STATE_DIR).join(STATE_FILE), br#"{"format":1,"stream":8,"epoch":7}"#).unwrap();
        let open = DataDir::open(dir.path()).unwrap();
        assert_eq!((open.stream(), open.epoch(), open.unended_since()), (StreamId(8), Epoch(8), None));
    }

    #[test]
    fn a_look_changes_nothing_and_names_the_recorder() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!((peek(dir.path()).unwrap(), recorder_of(dir.path()).unwrap()), (None, None));
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing was made");
        let open = DataDir::open(dir.path()).unwrap();
        let state = Some((open.stream(), Epoch(1)));
        let pid = std::process::id().to_string();
        assert_eq!((peek(dir.path()).unwrap(), recorder_of(dir.path()).unwrap()), (state, Some(pid)));
        assert!(matches!(lock(dir.path()), Err(DataDirError::Lock(LockError::InUse { .. }))));
        drop(open);
        assert_eq!((peek(dir.path()).unwrap(), recorder_of(dir.path()).unwrap()), (state, None));
        let held = lock(dir.path()).unwrap();
        assert!(matches!(DataDir::open(dir.path()), Err(DataDirError::Lock(LockError::InUse { .. }))));
        drop(held);
        assert_eq!(DataDir::open(dir.path()).unwrap().epoch(), Epoch(2), "no start was counted by the looks");
    }

    #[test]
    fn a_folder_without_its_state_is_another_stream() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::open(dir.path()).unwrap().stream();
        std::fs::remove_dir_all(dir.path().join(STATE_DIR)).unwrap();
        let second = DataDir::open(dir.path()).unwrap();
        assert_eq!(second.epoch(), Epoch(1));
        assert_ne!(second.stream(), first, "one in two thousand million");
    }

    #[test]
    fn a_newer_format_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        drop(DataDir::open(dir.path()).unwrap());
        let file = dir.path().join(STATE_DIR).join("stream.json");
        let newer = br#"{"format":2,"stream":1,"epoch":7}"#;
        std::fs::write(&file, newer).unwrap();
        assert!(DataDir::open(dir.path()).unwrap_err().to_string().contains("newer version"));
        assert_eq!(std::fs::read(&file).unwrap(), newer);
    }
}
