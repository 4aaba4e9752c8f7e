//! The journal in front of the sinks: `[journal]`.

use crate::choice::JournalMode;
use crate::reader::{Reader, Section};
use crate::schema::Data;
use crate::units::show_bytes;
use crate::values::{bytes, choice, journal_sync, path};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[journal]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Whether events pass through the journal. Default `"auto"`.
    pub mode: JournalMode,
    /// Folder of its segments, of its own. Default: `journal` below `data.dir`.
    pub dir: PathBuf,
    /// When what was written is forced to the disk. Default every 10 ms.
    pub sync: JournalSync,
    /// Most bytes of all segments; 64 KiB to 64 TiB, at least four segments. Default 4 GiB.
    pub bytes_max: u64,
    /// Bytes of one segment; 16 KiB to 1 GiB. Default 64 MiB.
    pub segment_bytes: u64,
}

/// When the journal forces what it has written to the disk: until then a power cut loses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalSync {
    /// After this time at the latest, all events of it together; 1 ms to 10 s.
    Every(Duration),
    /// `"always"`: after every write.
    Always,
    /// `"os"`: never; the system writes when it likes. A crash of the process loses nothing, one of the machine does.
    Os,
}

impl Journal {
    /// The defaults in a data folder.
    pub(crate) fn below(data_dir: &Path) -> Self {
        Self {
            mode: JournalMode::Auto,
            dir: data_dir.join("journal"),
            sync: JournalSync::Every(Duration::from_millis(10)),
            bytes_max: 4 << 30,
            segment_bytes: 64 << 20,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self::below(&Data::default().dir)
    }
}

pub(crate) fn read_journal(s: &mut Section<'_, '_>, journal: &mut Journal) {
    s.key("mode", &mut journal.mode, choice);
    s.key("dir", &mut journal.dir, path);
    s.key("sync", &mut journal.sync, journal_sync);
    s.key("bytes_max", &mut journal.bytes_max, bytes(64 << 10..=64 << 40));
    s.key("segment_bytes", &mut journal.segment_bytes, bytes(16 << 10..=1 << 30));
}

/// Finds values that are each in range but contradict each other.
pub(crate) fn check_together(journal: &Journal, reader: &mut Reader) {
    let bytes_min = journal.segment_bytes.saturating_mul(SEGMENTS_MIN);
    if journal.bytes_max < bytes_min {
        let (origin, key) = reader.origin_of(&["journal.bytes_max", "journal.segment_bytes"]);
        let [bytes_max, segment_bytes, bytes_min] =
            [journal.bytes_max, journal.segment_bytes, bytes_min].map(show_bytes);
        let message = format!(
            "bytes_max = \"{bytes_max}\" must hold at least {SEGMENTS_MIN} segments of segment_bytes = \
             \"{segment_bytes}\"; give it \"{bytes_min}\" or more, or make the segments smaller"
        );
        reader.fault(origin, &key, message);
    }
}

/// With fewer the writer would wait for a sink at the end of every segment.
const SEGMENTS_MIN: u64 = 4;
