//! A small disk in memory that can be full, so that no real one has to be.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its size, in the words of `mount`: a disk with less than 64 MiB left is found to be full by itself.
const SIZE: &str = "size=256m";
/// Frames that certainly fit, with room for the journal: some 30 bytes each in files.
pub(super) const FRAMES_MAX: u64 = 1_500_000;
/// Settings of a recorder on it: a journal that needs new room often, and files that do not stay open for long.
pub(super) const SETTINGS: [&str; 3] =
    ["journal.segment_bytes=64KiB", "journal.bytes_max=8MiB", "parquet.file_age_max=5s"];
/// Written at once while it is filled: large ones first, down to the last block.
const PIECES: [usize; 3] = [1 << 20, 4 << 10, 512];

/// A mounted disk; unmounted when it goes out of scope.
#[derive(Debug)]
pub(super) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts it over an empty folder.
    ///
    /// # Errors
    /// Without the right to.
    pub(super) fn mount(at: &Path) -> Result<Self> {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(at).output();
        let output = output.context("running mount")?;
        ensure!(
            output.status.success(),
            "a disk-full soak mounts a small disk, which is not allowed here ({}); run it as root",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(Self { at: at.to_owned() })
    }

    /// Fills it, until [`SmallDisk::free`].
    ///
    /// # Errors
    /// When something else than the missing room is wrong.
    pub(super) fn fill(&self) -> Result<()> {
        let path = self.ballast();
        let what = || format!("filling {}", path.display());
        let mut file = File::create(&path).with_context(what)?;
        for piece in PIECES.map(|bytes| vec![0; bytes]) {
            loop {
                match file.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).with_context(what),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn free(&self) -> Result<()> {
        std::fs::remove_file(self.ballast()).context("making room on the small disk")
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if !Command::new("umount").arg(&self.at).status().is_ok_and(|status| status.success()) {
            eprintln!("feedd: {} is still mounted; umount it", self.at.display());
        }
    }
}
