//! Up to where each partition is stored: a checkpoint file, and the names of files finished after it was written.
//!
//! Partitions close at their own times, so rows above the sink's `stored_seq` can be stored already. The checkpoint
//! keeps the last sequence of each such partition; below `stored_seq` nothing is ever offered again, so entries there are
//! dropped. The checkpoint may lag behind the files, never lead them. It, not the files, is the record: users may move files.

use crate::dataset::Dataset;
use crate::disk::{Disk, make_dirs, replace};
use crate::error::{fatal, unavailable};
use crate::names::FileName;
use feedd_core::SinkError;
use feedd_model::{Epoch, Seq, StreamId};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Starts whose positions are kept. Only starts that still stand in the journal are asked for again.
const EPOCHS_MAX: usize = 1000;

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Checkpoint {
    version: u32,
    epochs: BTreeMap<u32, EpochPositions>,
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct EpochPositions {
    /// Everything up to here is stored.
    stored_seq: u64,
    /// Partition folder to the sequence of its last stored row, where that is above `stored_seq`.
    partitions: BTreeMap<String, u64>,
}

/// Format of the checkpoint file.
const VERSION: u32 = 1;

/// The positions of one stream, and of the epoch that is being written.
pub(crate) struct Positions {
    path: PathBuf,
    epoch: Epoch,
    checkpoint: Checkpoint,
}

impl Positions {
    /// Reads the checkpoint of `stream`, then raises the positions of `epoch` by files that the checkpoint does not
    /// know yet. Removes temporary files of the stream.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when a file cannot be read; [`SinkError::Fatal`] when one is damaged.
    pub(crate) fn recover(disk: &dyn Disk, dir: &Path, stream: StreamId, epoch: Epoch) -> Result<Self, SinkError> {
        let path = checkpoint_path(dir, stream);
        let mut checkpoint = load(&path)?;
        checkpoint.epochs.entry(epoch.0).or_default();
        let mut positions = Self { path, epoch, checkpoint };
        let mut found = Scan::default();
        found.run(dir, stream, epoch)?;
        remove_all(disk, &found.tmp)?;
        let mut folders = BTreeSet::new();
        for (folder, name) in found.files {
            if name.last > positions.stored().max(positions.of(&folder)) {
                check_footer(&dir.join(&folder).join(name.to_string()))?;
                positions.raise(&folder, name.last);
                folders.insert(folder);
            }
        }
        // A killed writer may have renamed without syncing the folder: the name has to be durable before it counts.
        for folder in folders {
            let folder = dir.join(folder);
            disk.sync_dir(&folder).map_err(|error| unavailable("syncing folder", &folder, error))?;
        }
        Ok(positions)
    }

    /// Up to which sequence everything of a start is stored, read without changing anything.
    ///
    /// # Errors
    /// As [`Positions::recover`].
    pub(crate) fn peek(dir: &Path, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        let checkpoint = load(&checkpoint_path(dir, stream))?;
        Ok(Seq(checkpoint.epochs.get(&epoch.0).map_or(0, |at| at.stored_seq)))
    }

    /// Up to which sequence everything is stored.
    pub(crate) fn stored(&self) -> Seq {
        Seq(self.checkpoint.epochs.get(&self.epoch.0).map_or(0, |at| at.stored_seq))
    }

    /// Up to which sequence the rows of one partition are stored, as far as known.
    pub(crate) fn of(&self, folder: &str) -> Seq {
        let epoch = self.checkpoint.epochs.get(&self.epoch.0);
        Seq(epoch.and_then(|at| at.partitions.get(folder)).copied().unwrap_or(0))
    }

    /// A file of the partition is durable under its final name.
    pub(crate) fn raise(&mut self, folder: &str, last: Seq) {
        let epoch = self.checkpoint.epochs.entry(self.epoch.0).or_default();
        let position = epoch.partitions.entry(folder.to_owned()).or_default();
        *position = last.0.max(*position);
    }

    /// Makes the positions durable, with `stored` as the sequence up to which everything is stored.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`]; may be called again.
    pub(crate) fn save(&mut self, disk: &dyn Disk, stored: Seq) -> Result<(), SinkError> {
        let epoch = self.checkpoint.epochs.entry(self.epoch.0).or_default();
        let before = epoch.stored_seq;
        let stored = stored.0.max(before);
        epoch.stored_seq = stored;
        epoch.partitions.retain(|_, last| *last > stored);
        while self.checkpoint.epochs.len() > EPOCHS_MAX {
            self.checkpoint.epochs.pop_first();
        }
        self.checkpoint.version = VERSION;
        let text = serde_json::to_vec_pretty(&self.checkpoint).map_err(|e| fatal(e.to_string(), None))?;
        let parent = self.path.parent().unwrap_or(Path::new("."));
        let saved = make_dirs(disk, parent).and_then(|()| replace(disk, &self.path, &text));
        if saved.is_err() {
            // What is not durable must not be told. The dropped partitions lie below what was taken, so their rows are
            // known until the next recovery, which reads them from the files' names.
            self.checkpoint.epochs.entry(self.epoch.0).or_default().stored_seq = before;
        }
        saved
    }
}

fn checkpoint_path(dir: &Path, stream: StreamId) -> PathBuf {
    dir.join(format!("_feedd/positions-s{}.json", stream.0))
}

fn load(path: &Path) -> Result<Checkpoint, SinkError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Checkpoint::default()),
        Err(error) => return Err(unavailable("reading", path, error)),
    };
    let damaged = |reason: String| {
        let remedy = "restore it from a copy, or remove it if no finished file was moved away";
        fatal(format!("{}: {reason}; {remedy}", path.display()), None)
    };
    let checkpoint: Checkpoint = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    if checkpoint.version != VERSION {
        return Err(damaged(format!("version {} is not known", checkpoint.version)));
    }
    Ok(checkpoint)
}

/// What stands in the partition folders.
#[derive(Default)]
pub(crate) struct Scan {
    /// Folder relative to the sink's, and name.
    pub(crate) files: Vec<(String, FileName)>,
    tmp: Vec<PathBuf>,
}

impl Scan {
    /// Finds the finished files of (stream, epoch) and every temporary file of the stream.
    pub(crate) fn run(&mut self, dir: &Path, stream: StreamId, epoch: Epoch) -> Result<(), SinkError> {
        for dataset in Dataset::ALL {
            for venue in entries(&dir.join(dataset.name()), "venue=")? {
                for date in entries(&dir.join(dataset.name()).join(&venue), "date=")? {
                    let folder = format!("{}/{venue}/{date}", dataset.name());
                    for name in entries(&dir.join(&folder), "")? {
                        if FileName::is_tmp_of(&name, stream) {
                            self.tmp.push(dir.join(&folder).join(name));
                        } else if let Some(file) = FileName::parse(&name)
                            && (file.stream, file.epoch) == (stream, epoch)
                        {
                            self.files.push((folder.clone(), file));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// Names in a folder that begin with `prefix`; none when there is no such folder.
fn entries(dir: &Path, prefix: &str) -> Result<Vec<String>, SinkError> {
    let failed = |error| unavailable("listing", dir, error);
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in listing {
        if let Ok(name) = entry.map_err(failed)?.file_name().into_string()
            && name.starts_with(prefix)
        {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_all(disk: &dyn Disk, orphans: &[PathBuf]) -> Result<(), SinkError> {
    for path in orphans {
        disk.remove(path).map_err(|error| unavailable("removing", path, error))?;
    }
    if let Some(first) = orphans.first() {
        tracing::warn!(files = orphans.len(), first = %first.display(), "removed unfinished Parquet files; their rows are stored again");
    }
    Ok(())
}

/// A file that the checkpoint does not know counts only when its footer says that it is whole.
pub(crate) fn check_footer(path: &Path) -> Result<(), SinkError> {
    let damaged = |reason: String| {
        fatal(format!("{} is damaged ({reason}); move it away and its rows are stored again", path.display()), None)
    };
    let file = File::open(path).map_err(|error| unavailable("opening", path, error))?;
    let reader = SerializedFileReader::new(file).map_err(|error| damaged(error.to_string()))?;
    let footer = reader.metadata().file_metadata();
    let pairs = footer.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let rows = pairs.iter().find(|pair| pair.key == "feedd.rows").and_then(|pair| pair.value.as_deref());
    if rows == Some(footer.num_rows().to_string().as_str()) {
        Ok(())
    } else {
        Err(damaged(format!("{} rows, {} expected", footer.num_rows(), rows.unwrap_or("no number"))))
    }
}
