//! One file being written: rows, then encoded bytes, then a temporary file, then a name.
//!
//! Encoding goes to memory, so it cannot fail for lack of room; [`Part::drain`] then moves the bytes to the file by
//! positioned writes. Bytes leave memory only after their write succeeded, so a full disk costs nothing: the next call
//! goes on at the same offset.

use crate::config::ParquetConfig;
use crate::dataset::{Dataset, SCHEMA_VERSION};
use crate::disk::{Disk, make_dirs};
use crate::error::{encoding, fatal, unavailable, unknown};
use crate::names::{FileName, date, partition};
use crate::rows::Rows;
use crate::venues::VenueIndex;
use arrow_array::StringArray;
use arrow_schema::SchemaRef;
use feedd_core::SinkError;
use feedd_model::{Epoch, Event, MonoNanos, Seq, StreamId};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::KeyValue;
use std::fs::File;
use std::io;
use std::path::PathBuf;

/// Rows gathered before they are encoded: batches of 4 to 16 thousand measured best.
const ENCODE_ROWS: usize = 8192;

/// Memory of a row in the column buffers, an upper estimate for the widest dataset.
const ROW_BYTES: usize = 128;

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

/// One file being written.
pub(crate) struct Part {
    pub(crate) key: PartKey,
    pub(crate) folder: String,
    /// Sequence of the first row: the lowest that is not stored.
    pub(crate) first: Seq,
    /// Sequence of the last row.
    pub(crate) last: Seq,
    /// When the first row came.
    pub(crate) opened: MonoNanos,
    rows: Rows,
    row_count: u64,
    schema: SchemaRef,
    /// `None` once the footer has been encoded.
    writer: Option<ArrowWriter<Vec<u8>>>,
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
    /// [`SinkError::Fatal`] when the configured compression level is none of zstd's.
    pub(crate) fn new(config: &ParquetConfig, key: PartKey, first: Seq, now: MonoNanos) -> Result<Self, SinkError> {
        let folder = key.folder();
        let dir = config.dir.join(&folder);
        let failed = |error: parquet::errors::ParquetError| fatal(format!("{}: {error}", dir.display()), None);
        let properties = key.dataset.properties(config.compression_level, config.row_group_rows_max).map_err(failed)?;
        let schema = key.dataset.schema();
        // Without Arrow's own schema in the footer every reader shows plain strings and decimals.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), options).map_err(failed)?;
        Ok(Self {
            rows: Rows::new(key.dataset),
            key,
            folder,
            first,
            last: first,
            opened: now,
            row_count: 0,
            schema,
            writer: Some(writer),
            pending: Vec::new(),
            offset: 0,
            dir,
            file: None,
            synced: false,
        })
    }

    /// Appends a row; `seq` rises from call to call.
    pub(crate) fn push(&mut self, seq: Seq, symbol: Option<i32>, event: &Event) {
        self.rows.push(self.key.epoch, seq, symbol, event);
        self.last = seq;
        self.row_count += 1;
    }

    /// Whether enough rows wait to be worth encoding.
    pub(crate) fn wants_encoding(&self) -> bool {
        self.rows.len() >= ENCODE_ROWS
    }

    /// Memory held, in bytes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let encoders = self.writer.as_ref().map_or(0, ArrowWriter::memory_size);
        self.rows.len() * ROW_BYTES + encoders + self.pending.len()
    }

    /// Size the file would have if it were closed now, an estimate in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        let building = self.writer.as_ref().map_or(0, ArrowWriter::in_progress_size);
        self.offset + (self.pending.len() + building) as u64
    }

    /// Whether the footer is encoded: only the file and its name are missing.
    pub(crate) const fn is_closed(&self) -> bool {
        self.writer.is_none()
    }

    /// Whether bytes wait for the file.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty() || self.is_closed()
    }

    /// Encodes the waiting rows into the row group. Memory only.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] on a defect of this crate.
    pub(crate) fn encode(&mut self, symbols: &StringArray) -> Result<(), SinkError> {
        let Some(writer) = self.writer.as_mut().filter(|_| self.rows.len() > 0) else { return Ok(()) };
        let batch = self.rows.take(self.schema.clone(), symbols).map_err(|e| encoding(&self.dir, e))?;
        writer.write(&batch).map_err(|e| encoding(&self.dir, e))?;
        self.pending.append(writer.inner_mut());
        Ok(())
    }

    /// Closes the row group: what it holds becomes compressed bytes. Memory only.
    ///
    /// # Errors
    /// As [`Part::encode`].
    pub(crate) fn end_row_group(&mut self, symbols: &StringArray) -> Result<(), SinkError> {
        self.encode(symbols)?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.flush().map_err(|e| encoding(&self.dir, e))?;
        self.pending.append(writer.inner_mut());
        Ok(())
    }

    /// Encodes everything and the footer. Memory only; takes no rows afterwards.
    ///
    /// # Errors
    /// As [`Part::encode`].
    pub(crate) fn close(&mut self, symbols: &StringArray) -> Result<(), SinkError> {
        self.encode(symbols)?;
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
