//! Which files of a folder are replayed: those of the wanted datasets, days and stream, by their paths alone.

use super::names::{FileName, day};
use crate::context::Shared;
use feedd_core::{SourceError, data_dir};
use feedd_model::{StreamId, UnixNanos};
use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

/// The datasets that are replayed: what bars and strategies are made from, and where something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dataset {
    Trades,
    Quotes,
    Gaps,
    Status,
}

impl Dataset {
    pub(crate) const ALL: [Self; 4] = [Self::Trades, Self::Quotes, Self::Gaps, Self::Status];

    /// The folder's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Gaps => "gaps",
            Self::Status => "status",
        }
    }
}

/// A file that holds rows to replay.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) dataset: Dataset,
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) bytes: u64,
}

/// Whether a folder looks like one that the Parquet sink writes to.
#[must_use]
pub fn is_stored(dir: &Path) -> bool {
    dir.join(data_dir::STATE_DIR).is_dir() || Dataset::ALL.iter().any(|dataset| dir.join(dataset.name()).is_dir())
}

/// The files of one stream; what is not the sink's is told.
///
/// # Errors
/// [`SourceError::Input`] when the folder cannot be read, holds no file to replay, or holds those of several streams and
/// does not say which is its own.
pub(crate) fn list(dir: &Path, shared: &mut Shared) -> Result<Vec<Found>, SourceError> {
    let mut found = Vec::new();
    for dataset in Dataset::ALL {
        for venue in children(&dir.join(dataset.name()))? {
            for date in folder(&venue, "venue=", shared)? {
                let Some(day) = date.file_name().to_str().and_then(day) else {
                    not_ours(&date.path(), shared);
                    continue;
                };
                if has_day(shared, day) {
                    files(dataset, &date, &mut found, shared)?;
                }
            }
        }
    }
    let own = own_stream(dir, &found)?;
    let before = found.len();
    found.retain(|file| Some(file.name.stream) == own);
    if before > found.len() {
        let others = before - found.len();
        tracing::warn!(source = shared.name, "{}: {others} files of other recorders are left out", dir.display());
    }
    if found.is_empty() && shared.tally.files_bad.get() == 0 {
        let what = format!(
            "{}: no file of trades, quotes, gaps or status in the range; give the folder that the Parquet sink writes to \
             (parquet.dir), and check --since and --until",
            dir.display()
        );
        return Err(SourceError::Input { what, source: None });
    }
    Ok(found)
}

/// The folder's own stream as its state says, else the only one that there is.
fn own_stream(dir: &Path, found: &[Found]) -> Result<Option<StreamId>, SourceError> {
    let state = data_dir::peek(dir).map_err(|error| SourceError::Input {
        what: format!("{}: whose data it is cannot be told", dir.display()),
        source: Some(error.into()),
    })?;
    let mut streams = BTreeMap::new();
    found.iter().for_each(|file| *streams.entry(file.name.stream.0).or_insert(0) += 1);
    match (state, streams.len()) {
        (Some((stream, _)), _) if streams.contains_key(&stream.0) => Ok(Some(stream)),
        (_, 0 | 1) => Ok(streams.into_keys().next().map(StreamId)),
        _ => {
            let list: Vec<String> = streams.iter().map(|(stream, files)| format!("s{stream}: {files} files")).collect();
            let what = format!(
                "{}: files of several recorders ({}), and no {}/stream.json that names one; move the files of each (their \
                 names begin with it) to a folder of its own",
                dir.display(),
                list.join(", "),
                data_dir::STATE_DIR
            );
            Err(SourceError::Input { what, source: None })
        }
    }
}

fn files(dataset: Dataset, date: &DirEntry, found: &mut Vec<Found>, shared: &mut Shared) -> Result<(), SourceError> {
    for file in children(&date.path())? {
        let path = file.path();
        let Some(name) = file.file_name().to_str().and_then(FileName::parse) else {
            not_ours(&path, shared);
            continue;
        };
        let bytes = file.metadata().map_err(|error| unreadable(&path, error))?.len();
        found.push(Found { dataset, path, name, bytes });
    }
    Ok(())
}

/// Whether events of a day may be wanted.
fn has_day(shared: &Shared, day: i64) -> bool {
    let start = |day: i64| UnixNanos(day.saturating_mul(NANOS_PER_DAY));
    let selection = &shared.selection;
    selection.since.is_none_or(|since| since < start(day + 1)) && selection.until.is_none_or(|until| until > start(day))
}

const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// What stands in a folder whose name begins with `prefix`.
fn folder(entry: &DirEntry, prefix: &str, shared: &mut Shared) -> Result<Vec<DirEntry>, SourceError> {
    if entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
        return children(&entry.path());
    }
    not_ours(&entry.path(), shared);
    Ok(Vec::new())
}

/// The entries of a folder by name, without those that begin with a dot (files that are being written) or an underscore;
/// none when there is no such folder.
fn children(dir: &Path) -> Result<Vec<DirEntry>, SourceError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(dir, error)),
    };
    let mut entries: Vec<DirEntry> = entries.collect::<Result<_, _>>().map_err(|error| unreadable(dir, error))?;
    entries.retain(|entry| !matches!(entry.file_name().as_encoded_bytes().first(), Some(b'.' | b'_')));
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn unreadable(path: &Path, error: std::io::Error) -> SourceError {
    let what = format!("{} cannot be read; check that it is a folder and its permissions", path.display());
    SourceError::Input { what, source: Some(error.into()) }
}

fn not_ours(path: &Path, shared: &mut Shared) {
    shared.bad_file(format!("{} was not written by feedd; move it out of the folder", path.display()));
}
