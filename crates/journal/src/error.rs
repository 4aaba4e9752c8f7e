//! What can go wrong, by what the caller can do next.

use feedd_core::LockError;
use feedd_model::Epoch;
use std::io;
use std::path::{Path, PathBuf};

/// Why the journal could not do it. Nothing that was durable is lost by any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk (or quota) is full and a further segment is needed; try again when there is room.
    #[error("{path}: no space for a further journal segment; free some, the journal goes on by itself")]
    NoSpace {
        /// The segment that could not be made or written.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Every segment within the budget holds events that are not trimmed: trim, then try again.
    #[error("the journal holds {bytes_max} bytes of events that are not stored yet; store them, or raise its limit")]
    Budget {
        /// The budget.
        bytes_max: u64,
    },
    /// Several fresh segments in a row could not be written or synced: a person is needed.
    #[error("{path}: the last {segments} journal segments could not be written; look at the disk")]
    Failed {
        /// The last of them.
        path: PathBuf,
        /// How many in a row.
        segments: u32,
        /// The last cause.
        source: io::Error,
    },
    /// A file or folder could not be read, made, renamed or removed; the same call may be tried again.
    #[error("{path}: {action} failed")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A segment was written by a newer version; nothing has been changed.
    #[error("{path}: written by a newer version (journal format {version}); start that version, or use a new folder")]
    Newer {
        /// The segment.
        path: PathBuf,
        /// Its format.
        version: u32,
    },
    /// Another process writes to the folder, or its lock cannot be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal holds this start, or a later one: its identities would be given twice.
    #[error(
        "{path}: holds epoch {found}, but this start is epoch {epoch}; restore the stream's state file, or move the journal away"
    )]
    EpochUsed {
        /// The segment.
        path: PathBuf,
        /// Its epoch.
        found: Epoch,
        /// The epoch of this start.
        epoch: Epoch,
    },
    /// The limits cannot work.
    #[error("journal: {reason}")]
    Config {
        /// Which, and what would work.
        reason: &'static str,
    },
}

impl JournalError {
    /// Whether the same call can succeed later without a person: disk or budget full.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::NoSpace { .. } | Self::Budget { .. })
    }
}

/// For `map_err`: names path and action.
pub(crate) fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::Io { path, action, source }
}

/// Whether the cause is a full disk or quota.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// As [`io_error`], but a full disk is [`JournalError::NoSpace`].
pub(crate) fn space_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| match is_no_space(&source) {
        true => JournalError::NoSpace { path, source },
        false => JournalError::Io { path, action, source },
    }
}
