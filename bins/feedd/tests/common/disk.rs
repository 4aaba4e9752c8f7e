//! A disk that can be full: a small tmpfs.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A mounted tmpfs; unmounted when it goes out of scope, also by a failing test.
pub(crate) struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts `kib` KiB. `None`, with a printed note, without the right to mount.
    pub(crate) fn mount(kib: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        println!("skipped: mounting a tmpfs is not allowed here");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes `kib` KiB away, until [`SmallDisk::free`].
    pub(crate) fn fill(&self, kib: usize) {
        std::fs::write(self.ballast(), vec![0; kib << 10]).unwrap();
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.folder.path().join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// Writes to `ballast` until there is no room, down to the last block.
pub(crate) fn fill_up(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    for piece in [64 << 10, 4 << 10, 512] {
        loop {
            match file.write_all(&vec![0; piece]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("filling the disk: {error}"),
            }
        }
    }
}
