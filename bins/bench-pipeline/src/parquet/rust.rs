//! The two ways of this program: the sink, and its Parquet library alone.

use super::{BATCH_ROWS, Written};
use crate::local;
use crate::meter::thread_cpu;
use crate::trades::Trades;
use anyhow::{Context, Result, ensure};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use feedd_core::{Batch, Sink};
use feedd_model::Seq;
use feedd_sink_parquet::{Dataset, ParquetConfig, ParquetSink};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use std::fs::File;
use std::path::{Path, PathBuf};
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

/// Rows as the library takes them: columns, with texts as keys.
pub(super) struct Columns {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Columns {
    /// Reads files that the sink wrote.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let schema = Dataset::Trades.schema();
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
        Ok(Self { schema, batches })
    }

    /// Writes them with the sink's encodings, and syncs file and folder.
    ///
    /// # Errors
    /// When that fails.
    pub(super) fn write(&self, path: &Path) -> Result<Written> {
        let dir = path.parent().context("a file is in a folder")?;
        let settings = ParquetConfig::new(dir);
        let properties = Dataset::Trades.properties(settings.compression_level, settings.row_group_rows_max)?;
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
