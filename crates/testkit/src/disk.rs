//! Disks that fail: an ext4 that loses power, and a tmpfs that is small. Both need the right to mount.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// `FS_IOC_SHUTDOWN` with the flag "do not flush the log": what is not on the disk yet is lost, and every later write or
/// sync fails with EIO until the file system is mounted again.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
/// The same for machines without Python.
const SHUTDOWN_PERL: &str = "open(my $d, '<', $ARGV[0]) or die $!; my $f = pack('I', 2);
ioctl($d, 0x8004587D, $f) or die $!;";

/// An ext4 in a file, mounted over a loop device. Unmounted when it goes out of scope, also by a failing test.
///
/// ext4 keeps more than it must: a new file survives without a sync of its folder. A test that must see such a
/// forgotten sync needs a stricter, simulated disk.
#[derive(Debug)]
pub struct LoopFs {
    folder: TempDir,
    mounted: bool,
}

impl LoopFs {
    /// Makes and mounts a file system of `mib` MiB. `None`, with a printed note, where that is not possible.
    ///
    /// # Panics
    /// When the temporary folder cannot be made, and with `CI` set where it cannot be mounted.
    #[must_use]
    pub fn mount(mib: u64) -> Option<Self> {
        if !crate::is_root() {
            crate::skipped("mounting an ext4 needs root");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("feedd-ext4-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("mnt")).expect("the folder is ours");
        let image = std::fs::File::create(folder.path().join("image")).expect("the folder is ours");
        image.set_len(mib << 20).expect("a sparse file");
        let mut fs = Self { folder, mounted: false };
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(fs.image())).and_then(|()| fs.attach());
        match made {
            Ok(()) => Some(fs),
            Err(why) => {
                crate::skipped(&format!("no ext4 over a loop device here: {why}"));
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mnt")
    }

    /// Cuts the power: what has not been synced is lost, and everything fails until [`LoopFs::remount`].
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn shutdown(&self) {
        let done = run(Command::new("python3").args(["-c", SHUTDOWN]).arg(self.path()))
            .or_else(|_| run(Command::new("perl").args(["-e", SHUTDOWN_PERL]).arg(self.path())));
        done.unwrap_or_else(|why| panic!("shutting {} down: {why}", self.path().display()));
    }

    /// Power is back: mounts again what is on the disk. Whoever had files open there must have closed them.
    ///
    /// # Panics
    /// When a file is still open, or the file system cannot be mounted even after a repair.
    pub fn remount(&mut self) {
        run(Command::new("umount").arg(self.path())).unwrap_or_else(|why| panic!("unmounting: {why}"));
        self.mounted = false;
        if self.attach().is_err() {
            // 1: errors were found and mended.
            let check = Command::new("e2fsck").args(["-f", "-y"]).arg(self.image()).output();
            let check = check.unwrap_or_else(|e| panic!("e2fsck: {e}"));
            assert!(matches!(check.status.code(), Some(0 | 1)), "e2fsck: {}", said(&check));
            self.attach().unwrap_or_else(|why| panic!("mounting again: {why}"));
        }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn attach(&mut self) -> Result<(), String> {
        // `mount` detaches the loop device with the unmount.
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(self.image()).arg(self.path()))?;
        self.mounted = true;
        Ok(())
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        if self.mounted {
            unmount(&self.path());
        }
    }
}

/// A disk that can be full: a small tmpfs. Unmounted when it goes out of scope, also by a failing test.
#[derive(Debug)]
pub struct SmallTmpfs {
    folder: TempDir,
}

impl SmallTmpfs {
    /// Mounts `kib` KiB. `None`, with a printed note, without the right to mount.
    ///
    /// # Panics
    /// When the temporary folder cannot be made, and with `CI` set where it cannot be mounted.
    #[must_use]
    pub fn mount(kib: u64) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("feedd-tmpfs-").tempdir().expect("a temporary folder");
        let size = format!("size={kib}k");
        match run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path())) {
            Ok(()) => Some(Self { folder }),
            Err(why) => {
                crate::skipped(&format!("mounting a tmpfs is not allowed here: {why}"));
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes `kib` KiB away, until [`SmallTmpfs::free`].
    ///
    /// # Panics
    /// When there is less room than that.
    pub fn fill(&self, kib: usize) {
        std::fs::write(self.ballast(), vec![0; kib << 10]).expect("room for the ballast");
    }

    /// Gives back what [`SmallTmpfs::fill`] took.
    ///
    /// # Panics
    /// When nothing was taken.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("something was taken");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for SmallTmpfs {
    fn drop(&mut self) {
        unmount(self.path());
    }
}

/// Unmounts as soon as nobody uses it any more. In a drop: a failure is only told.
fn unmount(path: &Path) {
    if let Err(why) = run(Command::new("umount").arg("-l").arg(path)) {
        eprintln!("unmounting {}: {why}", path.display());
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said(&output))) }
}

fn said(output: &Output) -> String {
    format!("{} ({})", String::from_utf8_lossy(&output.stderr).trim(), output.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{ErrorKind, Write};

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_nothing_else() {
        let Some(mut fs) = LoopFs::mount(16) else { return };
        let (synced, lost) = (fs.path().join("synced"), fs.path().join("lost"));
        let mut file = File::create(&synced).unwrap();
        file.write_all(b"kept").unwrap();
        file.sync_all().unwrap();
        file.write_all(b", not synced").unwrap();
        std::fs::write(&lost, b"never synced").unwrap();
        assert_eq!(std::fs::read(&synced).unwrap(), b"kept, not synced", "the page cache has it");
        fs.shutdown();
        file.write_all(b"!").expect_err("the disk is gone");
        file.sync_all().expect_err("a sync must not succeed");
        drop(file);
        fs.remount();
        assert_eq!(std::fs::read(&synced).unwrap(), b"kept");
        assert!(!lost.exists() || std::fs::read(&lost).unwrap().is_empty());
        std::fs::write(fs.path().join("after"), b"works again").unwrap();
        let path = fs.path();
        drop(fs);
        assert!(!path.exists(), "unmounted and removed");
    }

    #[test]
    fn a_small_tmpfs_is_full_until_room_is_given_back() {
        let Some(disk) = SmallTmpfs::mount(256) else { return };
        disk.fill(200);
        let file = disk.path().join("file");
        assert_eq!(std::fs::write(&file, vec![1; 100 << 10]).unwrap_err().kind(), ErrorKind::StorageFull);
        disk.free();
        std::fs::write(&file, vec![1; 100 << 10]).unwrap();
    }
}
