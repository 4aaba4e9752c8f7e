//! The raw tape of live sources: `[tape]`.

use crate::reader::Section;
use crate::schema::Data;
use crate::values::{bytes, count, duration, flag, path, size};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[tape]`: every frame of the live sources as it came, with its receive time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// Whether it is kept. Default false.
    pub enabled: bool,
    /// Folder of its files, one folder for each venue below it. Default: `tape` below `data.dir`.
    pub dir: PathBuf,
    /// A file is finished when it holds this many bytes; 64 KiB to 1 TiB. Default 256 MiB.
    pub file_bytes_max: u64,
    /// A file is finished when it is this old; 1 s to 30 d. Default 1 h.
    pub file_age_max: Duration,
    /// Zstandard level; 1 to 22. Default 3.
    pub compression_level: i32,
    /// Most bytes of all its files; 1 MiB to 1,024 TiB. Default 64 GiB. Beyond it nothing more is taped, which is counted:
    /// recording itself goes on.
    pub bytes_max: u64,
    /// Most bytes that may wait for the disk; 64 KiB to 1 GiB. Default 16 MiB. Beyond it lines are left out, likewise counted.
    pub queue_bytes_max: usize,
}

impl Tape {
    /// The defaults in a data folder.
    pub(crate) fn below(data_dir: &Path) -> Self {
        Self {
            enabled: false,
            dir: data_dir.join("tape"),
            file_bytes_max: 256 << 20,
            file_age_max: Duration::from_secs(3_600),
            compression_level: 3,
            bytes_max: 64 << 30,
            queue_bytes_max: 16 << 20,
        }
    }
}

impl Default for Tape {
    fn default() -> Self {
        Self::below(&Data::default().dir)
    }
}

pub(crate) fn read_tape(s: &mut Section<'_, '_>, tape: &mut Tape) {
    s.key("enabled", &mut tape.enabled, flag);
    s.key("dir", &mut tape.dir, path);
    s.key("file_bytes_max", &mut tape.file_bytes_max, bytes(64 << 10..=1 << 40));
    s.key("file_age_max", &mut tape.file_age_max, duration(Duration::from_secs(1)..=Duration::from_secs(30 * 86_400)));
    s.key("compression_level", &mut tape.compression_level, count(1..=22));
    s.key("bytes_max", &mut tape.bytes_max, bytes(1 << 20..=1 << 50));
    s.key("queue_bytes_max", &mut tape.queue_bytes_max, size(64 << 10..=1 << 30));
}
