//! Counts what many files hold without keeping it: for tests whose rows do not fit into memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use super::common::stored;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt32Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::File;
use std::path::Path;

/// Rows of one start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    /// One bit for each sequence that was seen.
    seen: Vec<u64>,
}

impl Tally {
    /// Goes over every finished file below `dir`; `look` gets each row of the start.
    pub(crate) fn of(dir: &Path, epoch: u32, mut look: impl FnMut(&RecordBatch, usize)) -> Self {
        let mut tally = Self::default();
        for path in stored::files(dir) {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            for batch in reader.with_batch_size(65_536).build().unwrap() {
                let batch = batch.unwrap();
                let epochs = batch.column_by_name("epoch").unwrap().as_primitive::<UInt32Type>();
                let seqs = batch.column_by_name("seq").unwrap().as_primitive::<Int64Type>();
                for row in (0..batch.num_rows()).filter(|row| epochs.value(*row) == epoch) {
                    tally.see(usize::try_from(seqs.value(row)).unwrap());
                    look(&batch, row);
                }
            }
        }
        tally
    }

    fn see(&mut self, seq: usize) {
        self.rows += 1;
        if self.seen.len() <= seq / 64 {
            self.seen.resize(seq / 64 + 1, 0);
        }
        self.seen[seq / 64] |= 1 << (seq % 64);
    }

    /// Different sequences.
    pub(crate) fn different(&self) -> u64 {
        self.seen.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}
