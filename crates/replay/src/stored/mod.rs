//! A folder of the Parquet sink, replayed: rows of all its files in the order in which they were recorded.

pub(crate) mod column;
mod file;
mod folder;
pub(crate) mod names;
mod rows;

pub use folder::is_stored;

use crate::context::{Context, Shared};
use crate::merge::{Merge, Step};
use crate::source::{Next, Recording};
use feedd_core::SourceError;
use feedd_core::counters::SourceCounters;
use file::SeqKey;
use folder::Found;
use std::path::Path;

/// All wanted files of a folder.
pub(crate) struct StoredRecording {
    shared: Shared,
    merge: Merge<Found>,
    last: Option<SeqKey>,
}

impl StoredRecording {
    /// Looks at the folder; no file is opened.
    ///
    /// # Errors
    /// [`SourceError::Input`], see [`folder::list`].
    pub(crate) fn open(dir: &Path, mut shared: Shared) -> Result<Self, SourceError> {
        let files = folder::list(dir, &mut shared)?;
        shared.progress.total.set(files.iter().map(|file| file.bytes).sum());
        Ok(Self { shared, merge: Merge::new(files), last: None })
    }
}

impl Recording for StoredRecording {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn next(&mut self, counters: &SourceCounters) -> Result<Next, SourceError> {
        let context = &mut Context { shared: &mut self.shared, counters };
        Ok(match self.merge.next(context)? {
            Step::Passed => Next::Passed,
            Step::End => Next::End,
            // The same row in a second file, such as one that was restored beside the first.
            Step::Event((key, _)) if self.last == Some(key) => {
                self.shared.tally.repeated.add(1);
                Next::Passed
            }
            Step::Event((key, event)) => {
                self.last = Some(key);
                Next::Event { event, session: key.0 }
            }
        })
    }

    fn end(&mut self) -> Result<(), SourceError> {
        self.shared.end()
    }
}
