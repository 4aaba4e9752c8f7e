//! The files of a journal: segments that wait to be trimmed, spares, and the byte budget.

use crate::config::SEGMENT_BYTES_MIN;
use crate::disk::{Disk, DiskFile};
use crate::error::{JournalError, io_error, space_error};
use crate::segment::{segment_path, spare_path};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most spares kept: one to roll into, one for the segment trimmed meanwhile.
const SPARES_MAX: usize = 2;

/// A file of the folder.
#[derive(Clone, Debug)]
pub(crate) struct FileEntry {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

/// A file that is about to become a segment.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) bytes: u64,
}

/// The files, and what may still be made.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) bytes_max: u64,
    /// Bytes of segments and spares.
    pub(crate) bytes_used: u64,
    pub(crate) next_number: u64,
    pub(crate) spares: VecDeque<FileEntry>,
    /// The last attempt to make a spare failed: said once.
    spare_refused: bool,
}

impl Folder {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, segment_bytes: u64, bytes_max: u64, next_number: u64) -> Self {
        let spares = VecDeque::new();
        let dir = dir.to_owned();
        Self { disk, dir, segment_bytes, bytes_max, bytes_used: 0, next_number, spares, spare_refused: false }
    }

    /// Takes over the spares of an earlier run; those of another length are removed.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub(crate) fn adopt_spares(&mut self, paths: Vec<PathBuf>) -> Result<(), JournalError> {
        for path in paths {
            let opened = self.disk.open_read(&path).and_then(|file| file.bytes());
            let bytes = opened.map_err(io_error(&path, "reading the length of"))?;
            if bytes == self.segment_bytes && self.spares.len() < SPARES_MAX {
                self.bytes_used += bytes;
                self.spares.push_back(FileEntry { path, bytes });
            } else {
                self.disk.remove(&path).map_err(io_error(&path, "removing"))?;
            }
        }
        Ok(())
    }

    /// A file for the next segment, at least `bytes_min` long, under its name; the name is not durable yet. With
    /// `beyond_budget` a small one is made where the budget or the disk has no room for a whole one.
    ///
    /// # Errors
    /// [`JournalError::Budget`], [`JournalError::NoSpace`], [`JournalError::Io`]; nothing has changed then.
    pub(crate) fn take(&mut self, bytes_min: u64, beyond_budget: bool) -> Result<Fresh, JournalError> {
        let bytes = self.segment_bytes.max(bytes_min);
        if self.spares.front().is_some_and(|spare| spare.bytes >= bytes) {
            return self.take_spare();
        }
        let made = if self.bytes_used + bytes <= self.bytes_max {
            self.make(bytes)
        } else {
            Err(JournalError::Budget { bytes_max: self.bytes_max })
        };
        let small = SEGMENT_BYTES_MIN.max(bytes_min);
        match made {
            Err(error) if error.is_full() && beyond_budget => self.make(small),
            other => other,
        }
    }

    fn take_spare(&mut self) -> Result<Fresh, JournalError> {
        let number = self.next_number;
        let path = segment_path(&self.dir, number);
        let Some(spare) = self.spares.front().cloned() else {
            return Err(JournalError::Budget { bytes_max: self.bytes_max });
        };
        self.disk.rename(&spare.path, &path).map_err(io_error(&spare.path, "renaming"))?;
        self.spares.pop_front();
        self.next_number += 1;
        let file = self.disk.open(&path).map_err(|source| {
            // Its name is a segment's now: the next start finds it empty. It keeps its place in the budget.
            JournalError::Io { path: path.clone(), action: "opening", source }
        })?;
        Ok(Fresh { number, path, file, bytes: spare.bytes })
    }

    fn make(&mut self, bytes: u64) -> Result<Fresh, JournalError> {
        loop {
            let number = self.next_number;
            let path = segment_path(&self.dir, number);
            match self.make_file(&path, bytes) {
                // Somebody's file of that name is not ours to write over.
                Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    self.next_number += 1;
                }
                made => {
                    let file = made?;
                    self.next_number += 1;
                    return Ok(Fresh { number, path, file, bytes });
                }
            }
        }
    }

    fn make_file(&mut self, path: &Path, bytes: u64) -> Result<Arc<dyn DiskFile>, JournalError> {
        let file = self.disk.create(path).map_err(space_error(path, "making"))?;
        if let Err(error) = file.preallocate(bytes) {
            self.discard(path);
            return Err(space_error(path, "reserving room for")(error));
        }
        self.bytes_used += bytes;
        Ok(file)
    }

    /// Makes a spare ready when there is none, so that the next roll does not depend on the disk. Failing is no error
    /// yet: the roll tries again.
    pub(crate) fn prepare_spare(&mut self) {
        if !self.spares.is_empty() || self.bytes_used + self.segment_bytes > self.bytes_max {
            return;
        }
        let path = spare_path(&self.dir, self.next_number);
        let bytes = self.segment_bytes;
        let made = self.make_spare(&path, bytes);
        match made {
            Ok(()) => {
                self.spares.push_back(FileEntry { path, bytes });
                self.spare_refused = false;
            }
            Err(error) if !self.spare_refused => {
                self.spare_refused = true;
                let error = feedd_core::error_text(&error);
                tracing::warn!(%error, "journal: no spare segment could be made ready; recording goes on in the open one");
            }
            Err(_) => {}
        }
    }

    fn make_spare(&mut self, path: &Path, bytes: u64) -> Result<(), JournalError> {
        match self.disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(path, "removing")(error)),
            _ => {}
        }
        let file = self.make_file(path, bytes)?;
        let synced = file.sync_data().and_then(|()| self.disk.sync_dir(&self.dir));
        synced.map_err(|error| {
            self.bytes_used -= bytes;
            self.discard(path);
            space_error(path, "syncing")(error)
        })
    }

    /// Gives a segment back: it becomes a spare, or is removed.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the segment stands as before.
    pub(crate) fn release(&mut self, path: &Path, bytes: u64) -> Result<(), JournalError> {
        let spare = path.with_extension("spare");
        let is_taken = self.spares.iter().any(|known| known.path == spare);
        if bytes == self.segment_bytes && self.spares.len() < SPARES_MAX && !is_taken {
            self.disk.rename(path, &spare).map_err(io_error(path, "renaming"))?;
            self.spares.push_back(FileEntry { path: spare, bytes });
        } else {
            self.disk.remove(path).map_err(io_error(path, "removing"))?;
            self.bytes_used = self.bytes_used.saturating_sub(bytes);
        }
        Ok(())
    }

    /// Makes names durable.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub(crate) fn sync_names(&self) -> Result<(), JournalError> {
        self.disk.sync_dir(&self.dir).map_err(io_error(&self.dir, "syncing the folder"))
    }

    /// Removes a segment whose first write failed: nothing in it was ever durable.
    pub(crate) fn drop_failed(&mut self, path: &Path, bytes: u64) {
        self.bytes_used = self.bytes_used.saturating_sub(bytes);
        self.discard(path);
    }

    fn discard(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path) {
            tracing::warn!(path = %path.display(), %error, "journal: an unused segment could not be removed");
        }
    }
}
