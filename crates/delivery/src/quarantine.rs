//! Events a sink refused, kept aside until they are stored after all: one file a sink, only ever appended to.
//!
//! A line counts when it is synced; what a crash leaves of an unfinished write is cut off. Two processes may share a file (the
//! recorder, and a command that stores its events): every change is made under the file's lock, and the file is opened
//! anew for each, so that it may also be moved away at any time. Refused events are rare; opening costs less than the sync.

use crate::quarantine_file::{Lines, failed, lock, mend_end, replace, rewind, sync_name};
use crate::refused::{Entry, EntryState, Identity, Line, Refused, write_kept, write_mark};
use feedd_core::Instruments;
use feedd_model::{Epoch, Position, Seq, StreamId, UnixNanos};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuarantineError {
    /// The file or its folder could not be used; may be tried again.
    #[error("{path}: {action} failed")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// The events do not fit below the bound; may be tried again when the file has been emptied.
    #[error(
        "{path}: {bytes} bytes more do not fit below quarantine.bytes_max = {bytes_max}; store its events with `feedd \
         quarantine retry`, move the file away, or raise the bound"
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// Bytes that had to be added.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// A line cannot be read. The other lines are not concerned.
    #[error("{path}:{line}: damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A newer version wrote the file; it is left as it is.
    #[error("{path}:{line}: format {version} is not known; use the version of feedd that wrote it, or a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// Its format.
        version: u32,
    },
}

/// A sink's quarantine, as the one who adds to it sees it.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    bytes_max: u64,
    instruments: Instruments,
    /// What is in the file, retried or not; [`Quarantine::forget`] bounds it.
    known: BTreeSet<Identity>,
}

impl Quarantine {
    /// The file of a sink in a data folder.
    #[must_use]
    pub fn path_in(data_dir: &Path, sink: &str) -> PathBuf {
        data_dir.join("quarantine").join(format!("{sink}.jsonl"))
    }

    /// Reads which events are kept already. The file, at most `bytes_max` long, is made at the first refused event. A torn
    /// last line (a crash while it was written: it never counted) is cut off; other damaged lines are logged and stay.
    ///
    /// # Errors
    /// [`QuarantineError`] when the file cannot be read, or a newer version wrote it.
    pub fn open(path: &Path, bytes_max: u64, instruments: Instruments) -> Result<Self, QuarantineError> {
        let mut quarantine = Self { path: path.to_owned(), bytes_max, instruments, known: BTreeSet::new() };
        let Some(file) = lock(path, false)? else { return Ok(quarantine) };
        for line in Lines::new(path, &file) {
            match line {
                Ok((_, Line::Kept(entry))) => {
                    quarantine.known.extend(entry.identities());
                }
                Ok((_, Line::Stored(..))) => {}
                Err(error @ QuarantineError::Damaged { .. }) => {
                    tracing::error!(%error, "a line of the quarantine cannot be read; it stays in the file");
                }
                Err(error) => return Err(error),
            }
        }
        mend_end(path, &file)?;
        // Whole lines of an unfinished write count from now on, so they have to be durable.
        file.sync_all().map_err(failed(path, "syncing"))?;
        sync_name(path)?;
        Ok(quarantine)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps refused events with one sync for all, and says how many of them were not kept before. On an error none of
    /// them counts as kept, and the file is as before.
    ///
    /// # Errors
    /// [`QuarantineError::Io`] and [`QuarantineError::Full`]: the events must not be skipped then; try again.
    pub fn keep(&mut self, items: &[Refused], sink: &str, at: UnixNanos) -> Result<u64, QuarantineError> {
        let (mut text, mut new) = (Vec::new(), BTreeSet::new());
        for item in items {
            let identity = item.identity();
            if !self.known.contains(&identity) && !new.contains(&identity) {
                new.extend(item.identities());
                write_kept(&mut text, item, sink, at, &self.instruments)
                    .map_err(|error| failed(&self.path, "writing an event as JSON")(error.into()))?;
            }
        }
        if !new.is_empty() {
            self.append(&text, self.bytes_max)?;
        }
        let kept = new.len() as u64;
        self.known.append(&mut new);
        Ok(kept)
    }

    /// Sequences of one start that are in the file, stored since or not: a sink must not be offered them again.
    #[must_use]
    pub fn holds(&self, stream: StreamId, epoch: Epoch) -> BTreeSet<Seq> {
        let at = |seq| Identity { stream, epoch, seq };
        self.known.range(at(Seq(0))..=at(Seq(u64::MAX))).map(|identity| identity.seq).collect()
    }

    /// Forgets which events of a stream are kept up to a position that its sink never falls behind again; what is in the
    /// file stays there.
    pub fn forget(&mut self, stream: StreamId, position: Position) {
        let first = Identity { stream, epoch: Epoch(0), seq: Seq(0) };
        let last = Identity { stream, epoch: position.epoch, seq: position.seq };
        while let Some(&identity) = self.known.range(first..=last).next() {
            self.known.remove(&identity);
        }
    }

    /// Notes that the sink has taken events since, with one sync for all. Not bound by `bytes_max`: it is the way to room.
    ///
    /// # Errors
    /// [`QuarantineError::Io`]; the events still count as pending then, and storing them again is safe.
    pub fn mark_stored(&self, identities: &[Identity], at: UnixNanos) -> Result<(), QuarantineError> {
        let mut text = Vec::new();
        for &identity in identities {
            write_mark(&mut text, identity, at)
                .map_err(|error| failed(&self.path, "writing a mark as JSON")(error.into()))?;
        }
        if text.is_empty() { Ok(()) } else { self.append(&text, u64::MAX) }
    }

    /// Takes the events that are stored since out of the file, and says how many; pending events and damaged lines stay.
    ///
    /// Only for events at or below the position of their sink, as every event that could be stored late is: others would be
    /// offered again.
    ///
    /// # Errors
    /// [`QuarantineError`]; the file is as before then.
    pub fn drop_stored(&self) -> Result<u64, QuarantineError> {
        let Some(file) = lock(&self.path, false)? else { return Ok(0) };
        mend_end(&self.path, &file)?;
        let (mut stored, mut lines) = (BTreeSet::new(), BTreeMap::new());
        for line in Lines::new(&self.path, &file) {
            match line {
                Ok((number, Line::Kept(entry))) => {
                    lines.insert(number, Some(entry.identity));
                }
                Ok((number, Line::Stored(identity, _))) => {
                    lines.insert(number, None);
                    stored.insert(identity);
                }
                Err(QuarantineError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let goes = |number: u64| match lines.get(&number) {
            Some(Some(identity)) => stored.contains(identity),
            Some(None) => true,
            None => false,
        };
        replace(&self.path, &file, goes)?;
        Ok(lines.values().flatten().filter(|identity| stored.contains(identity)).count() as u64)
    }

    /// Appends whole lines and syncs them, or leaves the file as it was.
    fn append(&self, text: &[u8], bytes_max: u64) -> Result<(), QuarantineError> {
        let path = &self.path;
        let Some(mut file) = lock(path, true)? else { return Ok(()) };
        let before = mend_end(path, &file)?;
        let bytes = text.len() as u64;
        if before + bytes > bytes_max {
            return Err(QuarantineError::Full { path: path.clone(), bytes, bytes_max });
        }
        let written = file.write_all(text).and_then(|()| file.sync_data()).map_err(failed(path, "writing"));
        written.and_then(|()| sync_name(path)).inspect_err(|_| {
            // The first error is what matters. A torn end that stays here is cut off before the next line is added; whole
            // lines that stay are kept events, too, and readers take each event once.
            let _ = file.set_len(before).and_then(|()| file.sync_data());
        })
    }
}

/// Lists the events of a quarantine file in the order they were refused, each once; none when there is no file. Needs no
/// lock. After [`QuarantineError::Damaged`] the listing goes on.
///
/// # Errors
/// [`QuarantineError`] when the file cannot be read, or a newer version wrote it.
pub fn list(path: &Path) -> Result<impl Iterator<Item = Result<Entry, QuarantineError>> + use<>, QuarantineError> {
    let file = match File::open(path) {
        Ok(file) => Some(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(path, "opening")(error)),
    };
    let mut stored = BTreeMap::new();
    for line in file.iter().flat_map(|file| Lines::new(path, file)) {
        match line {
            Ok((_, Line::Stored(identity, at))) => {
                stored.insert(identity, at);
            }
            // Damaged lines are told when it is their turn.
            Ok((_, Line::Kept(_))) | Err(QuarantineError::Damaged { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(file) = &file {
        rewind(file).map_err(failed(path, "reading"))?;
    }
    let mut seen = BTreeSet::new();
    let lines = file.into_iter().flat_map({
        let path = path.to_owned();
        move |file| Lines::new(&path, file)
    });
    Ok(lines.filter_map(move |line| match line {
        Ok((_, Line::Stored(..))) => None,
        Ok((_, Line::Kept(mut entry))) => {
            if let Some(&at) = stored.get(&entry.identity) {
                entry.state = EntryState::Retried { at };
            }
            seen.insert(entry.identity).then_some(Ok(*entry))
        }
        Err(error) => Some(Err(error)),
    }))
}
