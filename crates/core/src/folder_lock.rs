//! One writer for a folder: a lock the system frees when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A folder this process alone writes to, until this is dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

/// Why a folder is not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process writes to it.
    #[error("{path} is in use by process {pid}; stop it, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, as it wrote it down.
        pid: String,
    },
    /// The lock file cannot be made, locked or written (a network file system without locks, a read-only disk).
    #[error("{path}: {action} failed")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
}

impl FolderLock {
    /// Takes the lock of `folder`, kept in the file `lock`, and writes the process id into it. A lock that a dead process
    /// left is free: the number in the file says nothing, the system's lock does.
    ///
    /// # Errors
    /// [`LockError`], at once: never waits.
    pub fn take(folder: &Path, lock: &Path) -> Result<Self, LockError> {
        let io = |action| move |source| LockError::Io { path: lock.to_owned(), action, source };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(lock)
            .map_err(io("opening the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Err(LockError::InUse { path: folder.to_owned(), pid: pid.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io("locking")(source)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(io("writing the lock file"))?;
        Ok(Self { _file: file })
    }
}
