//! One file being written: rows, then encoded bytes, then a temporary file, then a name.
//!
//! Encoding goes to memory, so it cannot fail for lack of room; [`Part::drain`] then moves the bytes to the file by
//! positioned writes. Bytes leave memory only after their write succeeded, so a full disk costs nothing: the next call
//! goes on at the same offset.

use crate::config::ParquetConfig;
use crate::dataset::{Dataset, SCHEMA_VERSION};
use crate::derived::{DerivedRows, Keys, Row};
use crate::disk::{Disk, make_dirs};
use crate::encode::{EncodeColumn, PAGE_ROWS, Press};
use crate::error::{encoding, fatal, unavailable, unknown};
use crate::names::{FileName, date, partition};
use crate::rows::{Rows, Texts};
use crate::venues::VenueIndex;
use feedd_core::SinkError;
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnDescPtr;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Memory of a row in the column buffers, an upper estimate for the widest dataset of events, and of derived records.
const ROW_BYTES: usize = 128;
const RECORD_BYTES: usize = 256;

/// Bytes of a row in the file, an estimate for the time before the first are encoded.
const ROW_FILE_BYTES: u64 = 10;

/// What a part holds.
#[derive(Clone, Debug)]
pub(crate) struct PartKey {
    pub(crate) dataset: Dataset,
    pub(crate) venue: VenueIndex,
    pub(crate) venue_name: String,
    /// Days since 1970-01-01 UTC.
    pub(crate) day: i64,
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
}

impl PartKey {
    /// The partition's folder, relative to the sink's.
    pub(crate) fn folder(&self) -> String {
        partition(self.dataset, &self.venue_name, self.day)
    }
}

/// What the row group that is being built holds in its columns, in bytes.
#[derive(Clone, Copy, Default)]
struct GroupBytes {
    /// Memory of what is encoded.
    encoded: usize,
    /// Memory kept for the rows of the next page.
    room: usize,
    /// What is encoded, as it will stand in the file.
    in_file: usize,
}

/// One file being written.
pub(crate) struct Part {
    pub(crate) key: PartKey,
    pub(crate) folder: String,
    /// Sequence of the first row: the lowest that is not stored.
    pub(crate) first: Seq,
    /// Sequence of the last row; of a derived record, that of its last slot.
    pub(crate) last: Seq,
    /// When the first row came.
    pub(crate) opened: MonoNanos,
    rows: Waiting,
    row_count: u64,
    /// Rows in pages of the row group that is being built.
    group_rows: usize,
    group_rows_max: usize,
    /// What the row group holds.
    group: GroupBytes,
    /// `None` once the footer has been encoded.
    writer: Option<SerializedFileWriter<Vec<u8>>>,
    /// Encoded bytes that are not in the file yet; they belong at `offset`.
    pending: Vec<u8>,
    offset: u64,
    dir: PathBuf,
    file: Option<File>,
    synced: bool,
}

impl Part {
    /// A part without rows; `first` is the sequence of its first one.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] on a defect of this crate.
    pub(crate) fn new(config: &ParquetConfig, key: PartKey, first: Seq, now: MonoNanos) -> Result<Self, SinkError> {
        let folder = key.folder();
        let dir = config.dir.join(&folder);
        let properties = WriterProperties::builder().set_created_by(CREATED_BY.to_owned()).build();
        let writer = key
            .dataset
            .schema()
            .and_then(|schema| SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)))
            .map_err(|e| encoding(&dir, e))?;
        Ok(Self {
            rows: Waiting::new(key.dataset, writer.schema_descr().columns()),
            key,
            folder,
            first,
            last: first,
            opened: now,
            row_count: 0,
            group_rows: 0,
            group_rows_max: config.row_group_rows_max,
            group: GroupBytes::default(),
            writer: Some(writer),
            pending: Vec::new(),
            offset: 0,
            dir,
            file: None,
            synced: false,
        })
    }

    /// Appends a row; `seq` rises from call to call.
    pub(crate) fn push(&mut self, seq: Seq, symbol: Option<u32>, event: &Event) {
        debug_assert!(matches!(self.rows, Waiting::Events(_)), "an event goes to a dataset of events");
        if let Waiting::Events(rows) = &mut self.rows {
            rows.push(self.key.epoch, seq, symbol, event);
        }
        self.last = seq;
        self.row_count += 1;
    }

    /// Appends a derived record; `first` is the sequence of its first slot.
    pub(crate) fn push_record(&mut self, first: Seq, keys: Keys, row: &Row) {
        debug_assert!(matches!(self.rows, Waiting::Records(_)), "a record goes to a dataset of records");
        if let Waiting::Records(rows) = &mut self.rows {
            rows.push(self.key.epoch, first, keys, row);
        }
        self.last = Seq(first.0 + row.slots() - 1);
        self.row_count += 1;
    }

    /// Whether the rows that wait fill a page, or the row group.
    pub(crate) fn wants_encoding(&self) -> bool {
        self.rows.len() >= PAGE_ROWS.min(self.group_rows_max - self.group_rows)
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.group.encoded + self.group.room.max(self.rows.len() * self.rows.row_bytes()) + self.pending.len()
    }

    /// Size the file would have if it were closed now, an estimate in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        let encoded = self.offset + (self.pending.len() + self.group.in_file) as u64;
        let waiting = self.rows.len() as u64;
        // Rows that wait will take as much as those before them.
        encoded + (encoded * waiting).checked_div(self.row_count - waiting).unwrap_or(waiting * ROW_FILE_BYTES)
    }

    /// Whether the footer is encoded: only the file and its name are missing.
    pub(crate) const fn is_closed(&self) -> bool {
        self.writer.is_none()
    }

    /// Whether bytes wait for the file.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.is_closed()
    }

    /// Encodes the waiting rows as a page of each column; a full row group is closed. Memory only.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] on a defect of this crate.
    pub(crate) fn encode(&mut self, texts: &Texts, press: &mut Press) -> Result<(), SinkError> {
        let waiting = self.rows.len();
        if waiting == 0 {
            return Ok(());
        }
        let mut group = GroupBytes::default();
        for column in self.rows.take_waiting(texts) {
            column.end_page(press).map_err(|e| encoding(&self.dir, e))?;
            group.encoded += column.encoded_memory_bytes();
            group.room += column.room_bytes();
            group.in_file += column.file_bytes();
        }
        self.group = group;
        self.group_rows += waiting;
        if self.group_rows < self.group_rows_max { Ok(()) } else { self.close_row_group(press) }
    }

    /// Closes the row group: what it holds becomes bytes of the file. Memory only.
    ///
    /// # Errors
    /// As [`Part::encode`].
    pub(crate) fn end_row_group(&mut self, texts: &Texts, press: &mut Press) -> Result<(), SinkError> {
        self.encode(texts, press)?;
        self.close_row_group(press)
    }

    fn close_row_group(&mut self, press: &mut Press) -> Result<(), SinkError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.group_rows > 0) else { return Ok(()) };
        append_row_group(writer, &mut self.rows, press).map_err(|e| encoding(&self.dir, e))?;
        self.pending.append(writer.inner_mut());
        self.group_rows = 0;
        self.group = GroupBytes::default();
        Ok(())
    }

    /// Encodes everything and the footer. Memory only; takes no rows afterwards.
    ///
    /// # Errors
    /// As [`Part::encode`].
    pub(crate) fn close(&mut self, texts: &Texts, press: &mut Press) -> Result<(), SinkError> {
        self.end_row_group(texts, press)?;
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        for (key, value) in [
            ("schema_version", SCHEMA_VERSION.to_string()),
            ("dataset", self.key.dataset.name().to_owned()),
            ("venue", self.key.venue_name.clone()),
            ("date", date(self.key.day)),
            ("stream", self.key.stream.to_string()),
            ("epoch", self.key.epoch.to_string()),
            ("first_seq", self.first.to_string()),
            ("last_seq", self.last.to_string()),
            ("rows", self.row_count.to_string()),
        ] {
            writer.append_key_value_metadata(KeyValue::new(format!("feedd.{key}"), value));
        }
        let mut rest = writer.into_inner().map_err(|e| encoding(&self.dir, e))?;
        self.pending.append(&mut rest);
        Ok(())
    }

    /// Moves encoded bytes to the temporary file.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`]; nothing is lost and the next call goes on where this one stopped.
    pub(crate) fn drain(&mut self, disk: &dyn Disk) -> Result<(), SinkError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let tmp = self.tmp();
        if self.file.is_none() {
            make_dirs(disk, &self.dir)?;
            self.file = Some(disk.create(&tmp).map_err(|e| unavailable("creating", &tmp, e))?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut done = 0;
        let mut result = Ok(());
        while done < self.pending.len() {
            match disk.write_at(file, &self.pending[done..], self.offset + done as u64) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        self.pending.drain(..done);
        self.offset += done as u64;
        result.map_err(|e| unavailable("writing", &tmp, e))
    }

    /// Makes the drained, closed file durable and visible under its final name.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when only the rename failed: it can be tried again. [`SinkError::Unknown`] when a sync
    /// failed: the kernel may have dropped pages and would report success next time, so the file is given up and its rows
    /// have to be offered again. [`SinkError::Fatal`] when such a file cannot be taken out of the readers' sight.
    pub(crate) fn publish(&mut self, disk: &dyn Disk) -> Result<(), SinkError> {
        let (tmp, last) = (self.tmp(), self.last);
        let name = FileName { stream: self.key.stream, epoch: self.key.epoch, first: self.first, last };
        let path = self.dir.join(name.to_string());
        let Some(file) = &self.file else { return Ok(()) };
        if !self.synced {
            disk.sync(file).map_err(|e| unknown("syncing", &tmp, e))?;
            self.synced = true;
        }
        disk.rename(&tmp, &path).map_err(|e| unavailable("renaming to", &path, e))?;
        disk.sync_dir(&self.dir).map_err(|error| match disk.remove(&path) {
            Ok(()) => unknown("syncing folder", &self.dir, error),
            Err(_) => fatal(
                format!("{} is visible but may not survive a power cut; check the disk and restart", path.display()),
                Some(error.into()),
            ),
        })
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join(FileName::tmp(self.key.stream, self.key.epoch, self.first))
    }
}

/// The rows of the page that is being filled.
#[allow(clippy::large_enum_variant, reason = "one for each open file")]
enum Waiting {
    Events(Rows),
    Records(DerivedRows),
}

impl Waiting {
    fn new(dataset: Dataset, columns: &[ColumnDescPtr]) -> Self {
        if dataset.is_derived() {
            Self::Records(DerivedRows::new(dataset, columns))
        } else {
            Self::Events(Rows::new(dataset, columns))
        }
    }

    const fn len(&self) -> usize {
        match self {
            Self::Events(rows) => rows.len(),
            Self::Records(rows) => rows.len(),
        }
    }

    const fn row_bytes(&self) -> usize {
        match self {
            Self::Events(_) => ROW_BYTES,
            Self::Records(_) => RECORD_BYTES,
        }
    }

    fn take_waiting(&mut self, texts: &Texts) -> Vec<&mut dyn EncodeColumn> {
        match self {
            Self::Events(rows) => rows.take_waiting(texts),
            Self::Records(rows) => rows.take_waiting(texts),
        }
    }

    fn columns(&mut self) -> Vec<&mut dyn EncodeColumn> {
        match self {
            Self::Events(rows) => rows.columns(),
            Self::Records(rows) => rows.columns(),
        }
    }
}

/// The program's name in the footer.
const CREATED_BY: &str = concat!("feedd ", env!("CARGO_PKG_VERSION"));

/// Moves the pages of all columns to the file's bytes.
fn append_row_group(
    writer: &mut SerializedFileWriter<Vec<u8>>,
    rows: &mut Waiting,
    press: &mut Press,
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in rows.columns() {
        let (bytes, closed) = column.end_chunk(press)?;
        group.append_column(&bytes, closed)?;
    }
    group.close()?;
    Ok(writer.flush()?)
}
