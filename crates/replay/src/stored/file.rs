//! One file of the Parquet sink as a stream of events, batch by batch.

use super::folder::Found;
use super::rows::{Common, Rows};
use crate::context::{Context, Shared};
use crate::merge::{Step, Stream, Waiting};
use feedd_core::SourceError;
use feedd_model::{Event, EventHead, Flags, InstrumentId, UnixNanos};
use parquet::basic::Repetition;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Place in the recording: start of the recorder, sequence.
pub(crate) type SeqKey = (u32, u64);

impl Waiting for Found {
    type Stream = StoredFile;

    fn first(&self) -> SeqKey {
        (self.name.epoch.0, self.name.first.0)
    }

    fn open(self, context: &mut Context<'_>) -> Option<StoredFile> {
        match guarded(|| StoredFile::open(&self)) {
            Ok(file) => Some(file),
            Err(reason) => {
                tell_damaged(&self, &reason, 0, context.shared);
                context.shared.progress.bytes.add(self.bytes);
                None
            }
        }
    }
}

/// A file that is being read.
pub(crate) struct StoredFile {
    found: Found,
    venue: String,
    reader: SerializedFileReader<File>,
    /// The next row group.
    group: usize,
    rows: Option<Rows>,
    rows_total: u64,
    rows_read: u64,
    /// Of [`crate::context::Shared`]'s progress.
    bytes_told: u64,
    symbols: FxHashMap<Vec<u8>, Option<InstrumentId>>,
    /// The symbol of the row before, mostly that of the next.
    last_symbol: (Vec<u8>, Option<InstrumentId>),
    last_seq: Option<u64>,
    event: Option<Event>,
}

/// The newest columns that are known.
const SCHEMA_VERSION: u32 = 1;

impl StoredFile {
    /// # Errors
    /// A text: why it is no file that this version can read.
    fn open(found: &Found) -> Result<Self, String> {
        let file = File::open(&found.path).map_err(|error| error.to_string())?;
        let reader = SerializedFileReader::new(file).map_err(|error| error.to_string())?;
        let metadata = reader.metadata().file_metadata();
        let values = metadata.key_value_metadata().map_or(&[][..], Vec::as_slice);
        let version: u32 =
            value(values, "feedd.schema_version")?.parse().map_err(|_| "no schema version".to_owned())?;
        if version > SCHEMA_VERSION {
            return Err(format!(
                "columns of version {version}, known is {SCHEMA_VERSION}: use the feedd that wrote it"
            ));
        }
        if value(values, "feedd.dataset")? != found.dataset.name() {
            return Err(format!("rows of {} in a folder of {}", value(values, "feedd.dataset")?, found.dataset.name()));
        }
        Ok(Self {
            venue: value(values, "feedd.venue")?.to_owned(),
            rows_total: u64::try_from(metadata.num_rows()).unwrap_or(0),
            found: found.clone(),
            reader,
            group: 0,
            rows: None,
            rows_read: 0,
            bytes_told: 0,
            symbols: FxHashMap::default(),
            last_symbol: (Vec::new(), None),
            last_seq: None,
            event: None,
        })
    }

    /// Reads a batch, of the next row group where the last has ended; false at the end of the file.
    fn fill(&mut self, shared: &mut Shared) -> Result<bool, String> {
        loop {
            if let Some(rows) = &mut self.rows
                && guarded(|| rows.fill())? > 0
            {
                return Ok(true);
            }
            self.rows = None;
            if self.group == self.reader.num_row_groups() {
                return Ok(false);
            }
            let (at, metadata) = (self.group, self.reader.metadata().row_group(self.group));
            self.group += 1;
            if is_outside(metadata, shared) {
                let rows = u64::try_from(metadata.num_rows()).unwrap_or(0);
                self.rows_read += rows;
                shared.tally.left_out.add(rows);
                continue;
            }
            let open = || {
                let group = self.reader.get_row_group(at).map_err(|error| error.to_string())?;
                Rows::open(self.found.dataset, group.as_ref())
            };
            self.rows = Some(guarded(open)?);
        }
    }

    /// The next row, when the batch has one.
    fn row(&mut self, shared: &mut Shared) -> Result<Row, Fault> {
        let Some(rows) = self.rows.as_mut().filter(|rows| rows.left() > 0) else { return Ok(Row::NoMore) };
        let row = rows.next()?;
        let (name, epoch, seq) = (&self.found.name, row.epoch, row.seq);
        let is_in_order = self.last_seq.is_none_or(|last| seq > last);
        if epoch != name.epoch.0 || seq < name.first.0 || seq > name.last.0 || !is_in_order {
            return Err(Fault::Damaged(format!("row {epoch}:{seq} is not one that its name and order allow")));
        }
        self.last_seq = Some(seq);
        self.rows_read += 1;
        if !shared.selection.has_time(row.recv_ts.or(row.venue_ts)) {
            return Ok(Row::Unwanted);
        }
        let instrument = match row.symbol {
            None => Some(InstrumentId::NONE),
            Some(symbol) if symbol.data() == self.last_symbol.0 && !self.last_symbol.0.is_empty() => self.last_symbol.1,
            Some(symbol) => {
                let id = instrument(symbol.data(), &self.venue, &mut self.symbols, shared)?;
                self.last_symbol.0.clear();
                self.last_symbol.0.extend_from_slice(symbol.data());
                self.last_symbol.1 = id;
                id
            }
        };
        let Some(instrument) = instrument else { return Ok(Row::Unwanted) };
        self.event = Some(event(&row, instrument));
        Ok(Row::Event((epoch, seq)))
    }

    /// Progress in the file's bytes, by its rows.
    fn tell_progress(&mut self, shared: &Shared, at_end: bool) {
        let share = u128::from(self.found.bytes) * u128::from(self.rows_read) / u128::from(self.rows_total.max(1));
        let bytes = if at_end { self.found.bytes } else { u64::try_from(share).unwrap_or(0).min(self.found.bytes) };
        shared.progress.bytes.add(bytes.saturating_sub(self.bytes_told));
        self.bytes_told = self.bytes_told.max(bytes);
    }
}

/// What stands at a row.
enum Row {
    Event(SeqKey),
    Unwanted,
    NoMore,
}

/// What ends a file.
enum Fault {
    /// The file alone.
    Damaged(String),
    /// The recording.
    Fatal(SourceError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Damaged(reason)
    }
}

impl Stream for StoredFile {
    type Key = SeqKey;

    fn advance(&mut self, context: &mut Context<'_>) -> Result<Step<SeqKey>, SourceError> {
        let shared = &mut *context.shared;
        let mut unwanted = 0;
        let step = loop {
            match self.row(shared) {
                Ok(Row::Event(key)) => break Step::Event(key),
                Ok(Row::Unwanted) => unwanted += 1,
                Ok(Row::NoMore) => {
                    self.tell_progress(shared, false);
                    match self.fill(shared) {
                        // Whoever asks gets to see a stop between batches of which nothing is wanted.
                        Ok(true) if unwanted > 0 => break Step::Passed,
                        Ok(true) => {}
                        Ok(false) => break Step::End,
                        Err(reason) => {
                            tell_damaged(&self.found, &reason, self.rows_read, shared);
                            break Step::End;
                        }
                    }
                }
                Err(Fault::Damaged(reason)) => {
                    tell_damaged(&self.found, &reason, self.rows_read, shared);
                    break Step::End;
                }
                Err(Fault::Fatal(error)) => return Err(error),
            }
        };
        shared.tally.left_out.add(unwanted);
        if matches!(step, Step::End) {
            self.tell_progress(shared, true);
        }
        Ok(step)
    }

    fn event(&self) -> Event {
        self.event.expect("asked for behind an event")
    }
}

fn event(row: &Common<'_>, instrument: InstrumentId) -> Event {
    let flags = Flags::from_bits(row.flags);
    Event::new(EventHead { instrument, venue_ts: row.venue_ts, recv_ts: row.recv_ts, flags }, row.body)
}

/// The id of a symbol in the running dictionary, asked for once a file; `None` when it is not wanted.
fn instrument(
    symbol: &[u8],
    venue: &str,
    known: &mut FxHashMap<Vec<u8>, Option<InstrumentId>>,
    shared: &mut Shared,
) -> Result<Option<InstrumentId>, Fault> {
    if let Some(id) = known.get(symbol) {
        return Ok(*id);
    }
    let text = std::str::from_utf8(symbol).map_err(|_| "a symbol is not UTF-8".to_owned())?;
    let id = shared.resolve(venue, text).map_err(Fault::Fatal)?;
    known.insert(symbol.to_vec(), id);
    Ok(id)
}

/// Whether the statistics say that no row is of a wanted time.
fn is_outside(group: &RowGroupMetaData, shared: &Shared) -> bool {
    let column = group.columns().iter().find(|column| column.column_path().string() == "recv_ts");
    let Some(Statistics::Int64(times)) = column.and_then(|column| column.statistics()) else { return false };
    let is_required = column
        .is_some_and(|column| column.column_descr().self_type().get_basic_info().repetition() == Repetition::REQUIRED);
    // Of rows without receive time, another time decides.
    let has_all = is_required || times.null_count_opt() == Some(0);
    let (Some(min), Some(max)) = (times.min_opt(), times.max_opt()) else { return false };
    let selection = &shared.selection;
    let too_old = selection.since.is_some_and(|since| UnixNanos(*max) < since);
    let too_new = selection.until.is_some_and(|until| UnixNanos(*min) >= until);
    has_all && (too_old || too_new)
}

fn value<'a>(values: &'a [KeyValue], key: &str) -> Result<&'a str, String> {
    let found = values.iter().find(|value| value.key == key).and_then(|value| value.value.as_deref());
    found.ok_or_else(|| format!("no {key} in its footer: feedd has not written it"))
}

fn tell_damaged(found: &Found, reason: &str, rows: u64, shared: &mut Shared) {
    let path = found.path.display();
    shared.bad_file(format!(
        "{path} is damaged or not feedd's ({reason}); {rows} rows were read; restore it from a copy"
    ));
}

/// Runs what decodes bytes of a file: the library panics on some that are damaged.
fn guarded<R>(decode: impl FnOnce() -> Result<R, String>) -> Result<R, String> {
    // Whatever it has changed belongs to the file, which is given up.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| Err("it cannot be decoded".to_owned()))
}
