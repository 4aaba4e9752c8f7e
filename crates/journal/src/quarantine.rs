//! Damaged bytes, kept aside for whoever wants to look: `quarantine/<segment>-<offset>-<bytes>.bin`.
//!
//! Bounded, and never in the way: when a copy cannot be made, the start goes on and says so.

use crate::disk::{Disk, DiskFile};
use crate::recovered::Damage;
use crate::scan::SCAN_PIECE_BYTES;
use crate::segment::read_whole;
use std::io;
use std::path::{Path, PathBuf};

/// Most bytes kept, those of earlier starts included.
pub const QUARANTINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Folder inside the journal's.
pub(crate) const QUARANTINE_DIR: &str = "quarantine";

/// Copies damaged bytes that are not kept yet.
pub(crate) fn keep(disk: &dyn Disk, dir: &Path, damage: &[Damage]) {
    let dir = dir.join(QUARANTINE_DIR);
    let damage: Vec<_> = damage.iter().filter(|damage| damage.bytes > 0).collect();
    if damage.is_empty() {
        return;
    }
    let mut kept_bytes = match disk.create_dir(&dir).and_then(|()| bytes_in(disk, &dir)) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::error!(dir = %dir.display(), %error, "journal: damaged bytes cannot be kept aside");
            return;
        }
    };
    for damage in damage {
        if kept_bytes + damage.bytes > QUARANTINE_BYTES_MAX {
            let limit = QUARANTINE_BYTES_MAX;
            tracing::error!(dir = %dir.display(), limit, "journal: quarantine is full; further damaged bytes are not kept");
            return;
        }
        match keep_one(disk, &dir, damage) {
            Ok(bytes) => kept_bytes += bytes,
            Err(error) => {
                tracing::error!(file = %damage.file.display(), damage.offset, %error, "journal: damaged bytes cannot be kept aside");
            }
        }
    }
    if let Err(error) = disk.sync_dir(&dir) {
        tracing::error!(dir = %dir.display(), %error, "journal: quarantine is not durable");
    }
}

/// Where the bytes of `damage` are kept.
pub(crate) fn path_of(dir: &Path, damage: &Damage) -> PathBuf {
    dir.join(format!("{:020}-{:010}-{}.bin", damage.segment, damage.offset, damage.bytes))
}

/// Returns how many bytes were added: none when the place was kept at an earlier start.
fn keep_one(disk: &dyn Disk, dir: &Path, damage: &Damage) -> io::Result<u64> {
    let path = path_of(dir, damage);
    let copy = match disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(0),
        created => created?,
    };
    let copied = disk.open_read(&damage.file).and_then(|file| copy_region(&*file, damage, &*copy));
    if let Err(error) = copied {
        // A part of a copy would look like the whole: better none. Its own failure changes nothing.
        let _ = disk.remove(&path);
        return Err(error);
    }
    Ok(damage.bytes)
}

fn copy_region(from: &dyn DiskFile, damage: &Damage, to: &dyn DiskFile) -> io::Result<()> {
    let mut piece = vec![0; SCAN_PIECE_BYTES];
    let mut done = 0;
    while done < damage.bytes {
        let bytes = usize::try_from(damage.bytes - done).unwrap_or(usize::MAX).min(piece.len());
        piece[..bytes].fill(0);
        read_whole(from, &mut piece[..bytes], damage.offset + done)?;
        to.write_at(&piece[..bytes], done)?;
        done += bytes as u64;
    }
    to.sync_data()
}

fn bytes_in(disk: &dyn Disk, dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for path in disk.list(dir)? {
        bytes += disk.open_read(&path)?.bytes()?;
    }
    Ok(bytes)
}
