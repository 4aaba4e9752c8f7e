//! The two ways of this program: the sink, and its Parquet library alone.

use super::{BATCH_ROWS, Written};
use crate::local;
use crate::meter::thread_cpu;
use crate::trades::Trades;
use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Schema, SchemaRef};
use feedd_core::{Batch, Sink};
use feedd_model::Seq;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// All rows in the batches that suit the sink best.
///
/// # Errors
/// When the sink cannot be opened.
pub(super) fn batches(trades: &Trades, place: &Path) -> Result<Vec<Batch>> {
    let dir = super::folder(place)?;
    let sink = ParquetSink::open(ParquetConfig::new(dir.path()), trades.instruments.clone())?;
    Ok(trades.batches(Seq(1), sink.batch_events_best()))
}

/// Writes all rows with the sink, as a recorder drives it.
///
/// # Errors
/// When the sink fails.
pub(super) fn sink(dir: &Path, trades: &Trades, batches: &[Batch]) -> Result<Written> {
    let mut sink = ParquetSink::open(ParquetConfig::new(dir), trades.instruments.clone())?;
    let run = local::run(&mut sink, batches, trades)?;
    Ok(Written { wall: run.wall, cpu: run.cpu, files: parquet_files(dir)? })
}

/// All Parquet files below a folder, sorted by name, which is in the order of their rows.
fn parquet_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(parquet_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Columns of texts, which the library is given as keys into a list: it then does not hash them row by row.
const TEXTS: [&str; 2] = ["symbol", "side"];

/// Rows as the library takes them: columns, with texts as keys.
pub(super) struct Columns {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    properties: WriterProperties,
}

impl Columns {
    /// Reads files that the sink wrote.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let first = File::open(files.first().context("the sink wrote no file")?)?;
        let written = ParquetRecordBatchReaderBuilder::try_new(first)?;
        let schema = with_keys(written.schema());
        let properties = properties_of(written.metadata())?;
        let mut batches = Vec::new();
        for path in files {
            let options = ArrowReaderOptions::new().with_schema(schema.clone());
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)?;
            for batch in reader.with_batch_size(BATCH_ROWS).build()? {
                batches.push(batch?);
            }
        }
        ensure!(!batches.is_empty(), "the sink wrote no rows");
        Ok(Self { schema, batches, properties })
    }

    /// Writes them with the sink's encodings, and syncs file and folder.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn write(&self, path: &Path) -> Result<Written> {
        let dir = path.parent().context("a file is in a folder")?;
        let properties = self.properties.clone();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let (cpu, begin) = (thread_cpu(), Instant::now());
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let mut writer = ArrowWriter::try_new_with_options(file, self.schema.clone(), options)?;
        for batch in &self.batches {
            writer.write(batch)?;
        }
        let file = writer.into_inner()?;
        file.sync_all().and_then(|()| File::open(dir)?.sync_all()).context("syncing")?;
        Ok(Written { wall: begin.elapsed(), cpu: thread_cpu().saturating_sub(cpu), files: vec![path.to_owned()] })
    }
}

/// The schema with keys in place of [`TEXTS`].
fn with_keys(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let keys = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        let is_text = TEXTS.contains(&field.name().as_str());
        if is_text { Arc::new(field.as_ref().clone().with_data_type(keys)) } else { field.clone() }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What the library has to be asked for to write such a file.
fn properties_of(file: &ParquetMetaData) -> Result<WriterProperties> {
    let settings = ParquetConfig::new("");
    let level = ZstdLevel::try_new(settings.compression_level)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(settings.row_group_rows_max));
    for column in file.row_groups().first().context("the file has rows")?.columns() {
        // Everything else gets a dictionary.
        if column.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED) {
            let path = column.column_path();
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}
