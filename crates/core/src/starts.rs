//! When the last starts of a data folder were: a small file beside its state, so that a recorder that is started again and
//! again can say so itself.

use crate::data_dir::{DataDirError, STATE_DIR, write_whole};
use feedd_model::{Epoch, UnixNanos};
use std::path::Path;

const FILE: &str = "starts.json";
/// Starts that are remembered.
const STARTS_MAX: usize = 16;

/// The last starts of a folder, this one included; the first start of a folder repeats none and is not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// This one.
    at: i64,
    /// In the order of their epochs.
    all: Vec<i64>,
}

impl Starts {
    /// Remembers this start. A file that is not there or cannot be understood is begun anew: it is no reason not to record.
    ///
    /// # Errors
    /// [`DataDirError::Io`] when it cannot be written.
    pub fn note(data_dir: &Path, epoch: Epoch, at: UnixNanos) -> Result<Self, DataDirError> {
        let path = data_dir.join(STATE_DIR).join(FILE);
        let before = std::fs::read(&path).ok();
        let mut all: Vec<i64> = before.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        if epoch > Epoch(1) {
            all.push(at.0);
        }
        all.drain(..all.len().saturating_sub(STARTS_MAX));
        // Numbers always have a JSON form.
        write_whole(&path, &serde_json::to_vec(&all).unwrap_or_default())?;
        Ok(Self { at: at.0, all })
    }

    /// How many were in the last `window_ns`, `uptime_ns` after this one. Times after it, left by a clock that was set back,
    /// do not count.
    #[must_use]
    pub fn within(&self, window_ns: u64, uptime_ns: u64) -> u64 {
        let ages = self.all.iter().filter_map(|at| u64::try_from(self.at.saturating_sub(*at)).ok());
        ages.filter(|age| age.saturating_add(uptime_ns) < window_ns).count() as u64
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const WINDOW_NS: u64 = 900_000_000_000;

    #[test]
    fn starts_are_counted_over_the_window_and_the_first_of_a_folder_is_none() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(STATE_DIR)).unwrap();
        let note = |epoch, second| Starts::note(dir.path(), Epoch(epoch), UnixNanos(second * SECOND)).unwrap();
        assert_eq!(note(1, 1_000).within(WINDOW_NS, 0), 0);
        assert_eq!(note(2, 1_010).within(WINDOW_NS, 0), 1);
        assert_eq!(note(3, 1_500).within(WINDOW_NS, 0), 2);
        let last = note(4, 1_900);
        assert_eq!(last.within(WINDOW_NS, 0), 3);
        assert_eq!(last.within(WINDOW_NS, 10_000_000_000), 2, "one has become old");
        assert_eq!(last.within(WINDOW_NS, WINDOW_NS), 0);
        assert_eq!(note(5, 1_200).within(WINDOW_NS, 0), 2, "a clock that was set back");
        for epoch in 6..100 {
            assert!(note(epoch, 2_000).all.len() <= STARTS_MAX);
        }
        std::fs::write(dir.path().join(STATE_DIR).join(FILE), b"[1, 2").unwrap();
        assert_eq!(note(100, 2_000).within(WINDOW_NS, 0), 1, "a damaged file is begun anew");
    }
}
