//! The few calls to the file system, in one place, so that tests can make each of them fail.

use feedd_core::SinkError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::unavailable;

/// The file system as it is; tests replace single calls.
pub(crate) trait Disk: Send {
    /// A new empty file for writing; an old one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<File> {
        File::create(path)
    }

    /// Writes some of `bytes` at `offset` and says how many.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    /// Makes the contents of a file durable.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file its final name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// The real one.
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {}

/// Makes `dir` and its missing parents, each durable in its own parent.
///
/// # Errors
/// [`SinkError::Unavailable`] with the folder.
pub(crate) fn make_dirs(disk: &dyn Disk, dir: &Path) -> Result<(), SinkError> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_dirs(disk, parent)?;
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(unavailable("making folder", dir, error));
        }
        _ => {}
    }
    disk.sync_dir(parent).map_err(|error| {
        // Without this the next call would find the folder and believe that its name is durable.
        let _ = std::fs::remove_dir(dir);
        unavailable("syncing folder", parent, error)
    })
}

/// Replaces a small file: readers see the old contents or the new ones, also after a power cut.
///
/// # Errors
/// [`SinkError::Unavailable`] with the file; calling again starts with a new temporary file.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), SinkError> {
    let tmp = path.with_extension("tmp");
    let failed = |source: io::Error| unavailable("writing", path, source);
    let file = disk.create(&tmp).map_err(failed)?;
    let mut done = 0;
    while done < bytes.len() {
        match disk.write_at(&file, &bytes[done..], done as u64).map_err(failed)? {
            0 => return Err(failed(io::ErrorKind::WriteZero.into())),
            written => done += written,
        }
    }
    disk.sync(&file).map_err(failed)?;
    disk.rename(&tmp, path).map_err(failed)?;
    disk.sync_dir(path.parent().unwrap_or(Path::new("."))).map_err(failed)
}
