//! What is stored, read with the Parquet library's own reader: nothing of the sink's code.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, UInt32Type};
use arrow_array::{ArrowPrimitiveType, PrimitiveArray, RecordBatch, StringArray};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Rows of one file that were read together.
pub(crate) struct Rows {
    /// First folder of the path: `trades`, `quotes`, `books`, `levels`, `gaps`, `status`.
    pub(crate) dataset: String,
    /// Of its second folder: `venue=binance`.
    pub(crate) venue: String,
    batch: RecordBatch,
}

impl Rows {
    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub(crate) fn numbers<T: ArrowPrimitiveType>(&self, column: &str) -> &PrimitiveArray<T> {
        self.batch.column_by_name(column).unwrap_or_else(|| panic!("column {column}")).as_primitive()
    }

    pub(crate) fn texts(&self, column: &str) -> &StringArray {
        self.batch.column_by_name(column).unwrap_or_else(|| panic!("column {column}")).as_string()
    }

    /// Every column but these.
    pub(crate) fn others(&self, without: &[&str]) -> impl Iterator<Item = &arrow_array::ArrayRef> {
        let fields = self.batch.schema_ref().fields();
        let kept = fields.iter().map(|field| !without.contains(&field.name().as_str())).collect::<Vec<_>>();
        self.batch.columns().iter().zip(kept).filter_map(|(column, kept)| kept.then_some(column))
    }

    /// The exact values of a price or size column that has no holes.
    pub(crate) fn decimals(&self, column: &str) -> impl Iterator<Item = BigDecimal> {
        let column = self.numbers::<Decimal128Type>(column);
        let scale = i64::from(column.scale());
        column.iter().map(move |units| match units.expect("a column without holes") {
            0 => BigDecimal::zero(),
            units => BigDecimal::new(BigInt::from(units), scale).normalized(),
        })
    }

    /// The identity of every row.
    pub(crate) fn places(&self) -> impl Iterator<Item = (u32, u64)> {
        let epochs = self.numbers::<UInt32Type>("epoch").values().iter().copied();
        epochs.zip(self.numbers::<Int64Type>("seq").values().iter().map(|&seq| u64::try_from(seq).unwrap()))
    }
}

/// Files below `dir` whose name ends with `end`, hidden ones too, sorted.
fn files_ending(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // A recorder may be removing what is listed here.
        if path.is_dir() {
            found.extend(files_ending(&path, end));
        } else if path.file_name().unwrap().to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every finished file.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    files_ending(dir, ".parquet")
}

/// Every unfinished file of any kind.
pub(crate) fn unfinished(dir: &Path) -> Vec<PathBuf> {
    files_ending(dir, ".tmp")
}

/// Every row of every finished file; fails when one of them is not whole.
pub(crate) fn read(dir: &Path) -> Vec<Rows> {
    let mut all = Vec::new();
    for path in files(dir) {
        let mut folders = path.strip_prefix(dir).unwrap().iter().map(|folder| folder.to_str().unwrap());
        let dataset = folders.next().unwrap().to_owned();
        let venue = folders.next().and_then(|folder| folder.strip_prefix("venue=")).unwrap_or_default().to_owned();
        let opened = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap());
        let reader = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display())).build().unwrap();
        let batches = reader.map(|batch| batch.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        all.extend(batches.map(|batch| Rows { dataset: dataset.clone(), venue: venue.clone(), batch }));
    }
    all
}

/// The sequence numbers of each epoch, sorted.
pub(crate) fn seqs(rows: &[Rows]) -> BTreeMap<u32, Vec<u64>> {
    let mut seqs: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (epoch, seq) in rows.iter().flat_map(Rows::places) {
        seqs.entry(epoch).or_default().push(seq);
    }
    seqs.values_mut().for_each(|seqs| seqs.sort_unstable());
    seqs
}

/// Asserts that the epoch's rows of all datasets together are 1..=`accepted`, each once.
pub(crate) fn assert_dense(case: &str, rows: &[Rows], epoch: u32, accepted: u64) {
    let all = seqs(rows);
    let seqs = all.get(&epoch).map(Vec::as_slice).unwrap_or_default();
    assert_eq!(seqs.len() as u64, accepted, "{case}: rows of epoch {epoch}");
    assert!(seqs.iter().copied().eq(1..=accepted), "{case}: each sequence of epoch {epoch} is stored once");
}

/// Rows of one dataset.
pub(crate) fn of<'a>(rows: &'a [Rows], dataset: &'a str) -> impl Iterator<Item = &'a Rows> {
    rows.iter().filter(move |rows| rows.dataset == dataset)
}

/// Highest sequence of a dataset in one epoch.
pub(crate) fn last_seq(rows: &[Rows], dataset: &str, epoch: u32) -> Option<u64> {
    of(rows, dataset).flat_map(Rows::places).filter(|place| place.0 == epoch).map(|place| place.1).max()
}
