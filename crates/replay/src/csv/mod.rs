//! Binance's public files of trades, replayed: any number of them, merged by time.
//!
//! Trades (`BTCUSDT-trades-2024-08-08.csv`) and aggregated trades (`BTCUSDT-aggTrades-2024-08.csv`) of spot and futures,
//! plain or packed with zstd (`.csv.zst`). A trade's receive time is its own time: nobody knows a better one.

mod file;
pub(crate) mod line;
mod lines;

pub use line::FAULT_NAMES;

use crate::context::{Context, Shared};
use crate::merge::{Merge, Step};
use crate::source::{Next, Recording};
use feedd_core::SourceError;
use feedd_core::counters::SourceCounters;
use feedd_model::{Event, EventBody, InstrumentId, Trade, TradeId};
use file::CsvFile;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};

/// All wanted files.
pub(crate) struct CsvRecording {
    shared: Shared,
    merge: Merge<CsvFile>,
    /// Of each symbol: the id of its last trade, and whether it was told that ids do not rise.
    last_ids: FxHashMap<InstrumentId, (u128, bool)>,
}

impl CsvRecording {
    /// Finds the files, and looks at the first trade of each.
    ///
    /// # Errors
    /// As [`crate::ReplaySource::csv`].
    pub(crate) fn open(paths: &[PathBuf], venue: &str, mut shared: Shared) -> Result<Self, SourceError> {
        let mut files = Vec::new();
        // By symbol: whether its trades are aggregated, and where that was seen first.
        let mut kinds: FxHashMap<String, (bool, PathBuf)> = FxHashMap::default();
        for path in expand(paths, &mut shared)? {
            let symbol = symbol(&path, &shared)?;
            let Some(instrument) = shared.resolve(venue, &symbol)? else { continue };
            let file = match CsvFile::look(&path, instrument) {
                Ok(file) => file,
                Err(error) => {
                    shared.bad_file(format!("{} cannot be read ({error}); unpack or fetch it anew", path.display()));
                    continue;
                }
            };
            if let Some(layout) = file.layout() {
                let (aggregated, first) =
                    kinds.entry(symbol.clone()).or_insert_with(|| (layout.is_aggregated(), path.clone()));
                if *aggregated != layout.is_aggregated() {
                    return Err(both_kinds(&symbol, first, &path));
                }
            }
            shared.progress.total.add(file.bytes());
            files.push(file);
        }
        if files.is_empty() && shared.tally.files_bad.get() == 0 {
            let symbols = shared.selection.symbols.join(", ");
            let what = format!("no file is of {symbols}; symbols are written as in the names of the files");
            return Err(SourceError::Input { what, source: None });
        }
        Ok(Self { shared, merge: Merge::new(files), last_ids: FxHashMap::default() })
    }
}

impl Recording for CsvRecording {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn next(&mut self, counters: &SourceCounters) -> Result<Next, SourceError> {
        let context = &mut Context { shared: &mut self.shared, counters };
        Ok(match self.merge.next(context)? {
            Step::Event((_, event)) if self.is_repeated(&event) => {
                counters.events_decoded.add(1);
                counters.events_duplicate.add(1);
                self.shared.tally.repeated.add(1);
                Next::Passed
            }
            Step::Event((_, event)) => Next::Event { event, session: 0 },
            Step::Passed => Next::Passed,
            Step::End => Next::End,
        })
    }

    fn end(&mut self) -> Result<(), SourceError> {
        self.shared.end()
    }
}

impl CsvRecording {
    /// Whether the trade was there before: ids rise with time.
    fn is_repeated(&mut self, event: &Event) -> bool {
        let EventBody::Trade(Trade { id: TradeId::Number(id), .. }) = event.body() else { return false };
        let Some((last, told)) = self.last_ids.get_mut(&event.instrument()) else {
            self.last_ids.insert(event.instrument(), (id, false));
            return false;
        };
        if id > *last {
            *last = id;
            return false;
        }
        if !std::mem::replace(told, true) {
            let symbol = self.shared.instruments.get(event.instrument()).map(|one| one.symbol);
            tracing::warn!(
                source = self.shared.name,
                "{}: trade id {id} is not above {last}, the one before: the same trades stand in two files, or a file is \
                 not in their order; such trades are left out and counted",
                symbol.unwrap_or_default()
            );
        }
        true
    }
}

/// Whether a path names a file of trades that can be read.
#[must_use]
pub fn is_csv(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.ends_with(".csv") || name.ends_with(".csv.zst")
}

/// Files as given, and the files of trades in folders, by name.
fn expand(paths: &[PathBuf], shared: &mut Shared) -> Result<Vec<PathBuf>, SourceError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            match packed(path) {
                Some(remedy) => return Err(SourceError::Input { what: remedy, source: None }),
                None => files.push(path.clone()),
            }
            continue;
        }
        let cannot = |error: std::io::Error| SourceError::Input {
            what: format!("{} cannot be read; check its permissions", path.display()),
            source: Some(error.into()),
        };
        let entries = std::fs::read_dir(path).map_err(cannot)?;
        let mut here =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(cannot)?;
        here.sort();
        for file in here.iter().filter(|file| !file.with_extension("csv").exists()) {
            if let Some(remedy) = packed(file) {
                shared.bad_file(remedy);
            }
        }
        here.retain(|file| is_csv(file));
        files.append(&mut here);
    }
    if files.is_empty() && shared.tally.files_bad.get() == 0 {
        let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let what = format!("{}: no file ends in .csv or .csv.zst", paths.join(", "));
        return Err(SourceError::Input { what, source: None });
    }
    Ok(files)
}

/// What to do with a file that is packed in another way.
fn packed(path: &Path) -> Option<String> {
    let tool = match path.extension()?.to_str()? {
        "zip" => "unzip",
        "gz" => "gunzip",
        _ => return None,
    };
    let path = path.display();
    Some(format!("{path} is packed and cannot be replayed; unpack it: {tool} {path}"))
}

/// The symbol in a file's name, else the one that is asked for.
fn symbol(path: &Path, shared: &Shared) -> Result<String, SourceError> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let named = ["-trades-", "-aggTrades-"].iter().find_map(|kind| name.split_once(kind));
    match (named, shared.selection.symbols.as_slice()) {
        (Some((symbol, _)), _) if !symbol.is_empty() => Ok(symbol.to_owned()),
        (_, [symbol]) => Ok(symbol.clone()),
        _ => {
            let what = format!(
                "{}: its name does not tell the symbol, as BTCUSDT-trades-2024-08-08.csv does; give it by --symbols, alone",
                path.display()
            );
            Err(SourceError::Input { what, source: None })
        }
    }
}

fn both_kinds(symbol: &str, first: &Path, second: &Path) -> SourceError {
    let what = format!(
        "{} and {} hold trades and aggregated trades of {symbol}, which are the same executions; give one kind",
        first.display(),
        second.display()
    );
    SourceError::Input { what, source: None }
}
