//! The dictionary of instruments of one data folder: ids that outlive every configuration.
//!
//! An id is durable before its first use: [`Instruments::resolve`] appends the new entry and syncs it before it
//! returns. Off the hot path: decoders keep their own map from symbol to id and ask here once per new symbol.

use crate::data_dir::parent_of;
use feedd_model::InstrumentId;
use rustc_hash::FxHashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

/// Venue of the dictionary's entries that are strategies; their symbol is the name with parameters: `sma(10,30)`.
pub const STRATEGY_VENUE: &str = "strategy";

/// One instrument: where, and the venue's own text for it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Instrument {
    /// The id, from 1.
    pub id: u32,
    /// Venue and market, as in the configuration: `binance`, `binance_usdm`.
    pub venue: Arc<str>,
    /// Symbol as the venue sends it.
    pub symbol: Arc<str>,
}

/// Why the dictionary could not be read or grown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstrumentsError {
    /// The file could not be read or written.
    #[error("{path}: {action} failed")]
    Io {
        /// The dictionary's file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// A line is not what this program writes.
    #[error("{path}:{line}: {reason}; restore the file from a copy, or use a new data folder")]
    Damaged {
        /// The dictionary's file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// The shared dictionary. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Instruments {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug)]
struct Inner {
    by_id: Vec<Instrument>,
    by_name: FxHashMap<(Arc<str>, Arc<str>), InstrumentId>,
    file: Option<(PathBuf, File)>,
}

impl Instruments {
    /// A dictionary that lives in memory only: for `decode`, tests and benchmarks.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { inner: Arc::new(RwLock::new(Inner { by_id: Vec::new(), by_name: FxHashMap::default(), file: None })) }
    }

    /// Opens or creates the dictionary file. A torn last line (a crash during an append) is cut off: its id was never used.
    ///
    /// # Errors
    /// [`InstrumentsError`] when the file cannot be read, written, or is damaged elsewhere than at its end.
    pub fn open(path: &Path) -> Result<Self, InstrumentsError> {
        let io = |action| move |source| InstrumentsError::Io { path: path.to_owned(), action, source };
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(io("opening the instrument dictionary"))?;
        let mut inner = Inner { by_id: Vec::new(), by_name: FxHashMap::default(), file: None };
        let mut good = 0u64;
        let mut reader = BufReader::new(&file);
        let mut line = String::new();
        for number in 1.. {
            line.clear();
            let bytes = reader.read_line(&mut line).map_err(io("reading the instrument dictionary"))?;
            if bytes == 0 || !line.ends_with('\n') {
                break;
            }
            let damaged = |reason| InstrumentsError::Damaged { path: path.to_owned(), line: number, reason };
            let entry: Instrument = serde_json::from_str(&line).map_err(|e| damaged(e.to_string()))?;
            if entry.id as usize != inner.by_id.len() + 1 {
                return Err(damaged(format!("id {} out of order", entry.id)));
            }
            inner.insert(entry);
            good += bytes as u64;
        }
        let length = file.metadata().map_err(io("reading the instrument dictionary"))?.len();
        if good < length {
            file.set_len(good).map_err(io("cutting the torn end of the instrument dictionary"))?;
        }
        file.flush().and_then(|()| file.sync_all()).map_err(io("syncing the instrument dictionary"))?;
        // A new file is durable only with its name: without it, ids that are stored already would be given again.
        File::open(parent_of(path))
            .and_then(|folder| folder.sync_all())
            .map_err(io("syncing the folder of the instrument dictionary"))?;
        inner.file = Some((path.to_owned(), file));
        Ok(Self { inner: Arc::new(RwLock::new(inner)) })
    }

    /// The id of a symbol, new or known; durable when this returns.
    ///
    /// # Errors
    /// [`InstrumentsError::Io`] when a new entry could not be stored: the id must not be used then.
    pub fn resolve(&self, venue: &str, symbol: &str) -> Result<InstrumentId, InstrumentsError> {
        let key: (Arc<str>, Arc<str>) = (venue.into(), symbol.into());
        if let Some(&id) = self.read().by_name.get(&key) {
            return Ok(id);
        }
        let mut inner = self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(&id) = inner.by_name.get(&key) {
            return Ok(id);
        }
        let id = u32::try_from(inner.by_id.len() + 1).unwrap_or(u32::MAX);
        let entry = Instrument { id, venue: key.0, symbol: key.1 };
        if let Some((path, file)) = &mut inner.file {
            append(path, file, &entry)?;
        }
        inner.insert(entry);
        Ok(InstrumentId(id))
    }

    /// Venue and symbol of an id.
    #[must_use]
    pub fn get(&self, id: InstrumentId) -> Option<Instrument> {
        let index = (id.0 as usize).checked_sub(1)?;
        self.read().by_id.get(index).cloned()
    }

    /// Number of known instruments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Whether no instrument is known yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    fn insert(&mut self, entry: Instrument) {
        self.by_name.insert((entry.venue.clone(), entry.symbol.clone()), InstrumentId(entry.id));
        self.by_id.push(entry);
    }
}

/// Appends one line and syncs it; on failure the torn line is cut off again.
fn append(path: &Path, file: &mut File, entry: &Instrument) -> Result<(), InstrumentsError> {
    let io = |action| move |source| InstrumentsError::Io { path: path.to_owned(), action, source };
    let before = file.metadata().map_err(io("reading the instrument dictionary"))?.len();
    let mut line = serde_json::to_string(entry).unwrap_or_default();
    line.push('\n');
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(|source| {
        // The error matters more than whether the cut worked: `open` cuts a torn line as well.
        let _ = file.set_len(before);
        InstrumentsError::Io { path: path.to_owned(), action: "adding to the instrument dictionary", source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_a_restart_and_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instruments.jsonl");
        let book = Instruments::open(&path).unwrap();
        assert_eq!(book.resolve("binance", "BTCUSDT").unwrap(), InstrumentId(1));
        assert_eq!(book.resolve("binance_usdm", "BTCUSDT").unwrap(), InstrumentId(2));
        assert_eq!(book.resolve("binance", "BTCUSDT").unwrap(), InstrumentId(1));
        drop(book);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"id\":3,\"ven").unwrap();
        let book = Instruments::open(&path).unwrap();
        assert_eq!(book.len(), 2);
        assert_eq!(book.resolve("binance", "ETHUSDT").unwrap(), InstrumentId(3));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
        assert_eq!(&*book.get(InstrumentId(2)).unwrap().venue, "binance_usdm");
        assert_eq!(book.get(InstrumentId(4)), None);
    }

    #[test]
    fn damage_inside_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("instruments.jsonl");
        std::fs::write(
            &path,
            "{\"id\":1,\"venue\":\"v\",\"symbol\":\"A\"}\n{\"id\":7,\"venue\":\"v\",\"symbol\":\"B\"}\n",
        )
        .unwrap();
        let error = Instruments::open(&path).unwrap_err().to_string();
        assert!(error.contains("instruments.jsonl:2: id 7 out of order"), "{error}");
    }
}
