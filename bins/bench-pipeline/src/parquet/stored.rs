//! What stands in Parquet files, read back: rows, columns, and for each column a sum that tells values and their order.

use crate::trades::{Trades, number_of, trade_of};
use anyhow::{Context, Result, bail, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampNanosecondType, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrowPrimitiveType};
use arrow_schema::{DataType, TimeUnit};
use feedd_sink_parquet::DECIMAL_SCALE;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

/// The content of a set of files, whoever wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) rows: u64,
    /// By column: the sum of each value times its row's number from 1 on, modulo 2^128. Null counts as nothing.
    sums: BTreeMap<String, u128>,
}

impl Stored {
    /// Reads files as parts of one table.
    ///
    /// # Errors
    /// When a file cannot be read, or has a column of another type than ours.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self> {
        let mut stored = Self::default();
        for path in files {
            stored.add(path).with_context(|| format!("reading {} back", path.display()))?;
        }
        Ok(stored)
    }

    fn add(&mut self, path: &PathBuf) -> Result<()> {
        // Types of the format itself, whatever the writer's library had in memory.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(path)?, options)?;
        for batch in reader.with_batch_size(super::BATCH_ROWS).build()? {
            let batch = batch?;
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let sum = sum(column, self.rows).with_context(|| field.name().clone())?;
                let all = self.sums.entry(field.name().clone()).or_default();
                *all = all.wrapping_add(sum);
            }
            self.rows += batch.num_rows() as u64;
        }
        Ok(())
    }

    /// Whether these are the trades: their number, and the columns that tell them apart.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn check_trades(&self, trades: &Trades) -> Result<()> {
        ensure!(self.rows == trades.totals.rows, "{} rows instead of {}", self.rows, trades.totals.rows);
        let scale = u8::try_from(DECIMAL_SCALE)?;
        let mut expected = BTreeMap::new();
        for (row, event) in (1_u64..).zip(&trades.events) {
            let trade = trade_of(event)?;
            let fixed =
                |value: feedd_model::Decimal| value.mantissa_at(scale).context("a price of at most 18 decimals");
            let time = |time: Option<feedd_model::UnixNanos>| time.map_or(0, |time| i128::from(time.0));
            for (name, value) in [
                ("seq", i128::from(row)),
                ("venue_ts", time(event.venue_ts())),
                ("recv_ts", time(event.recv_ts())),
                ("price", fixed(trade.price)?),
                ("size", fixed(trade.size)?),
                ("trade_id", i128::try_from(number_of(&trade)?)?),
            ] {
                let sum: &mut u128 = expected.entry(name).or_default();
                *sum = sum.wrapping_add(weighted(value, row));
            }
        }
        for (name, sum) in expected {
            ensure!(self.sums.get(name) == Some(&sum), "column {name} is not as written");
        }
        Ok(())
    }
}

/// `row` counts from 1.
fn weighted(value: i128, row: u64) -> u128 {
    value.cast_unsigned().wrapping_mul(row.into())
}

fn sum(column: &dyn Array, rows_before: u64) -> Result<u128> {
    match column.data_type() {
        DataType::UInt8 => Ok(numbers::<UInt8Type>(column, rows_before)),
        DataType::UInt32 => Ok(numbers::<UInt32Type>(column, rows_before)),
        DataType::UInt64 => Ok(numbers::<UInt64Type>(column, rows_before)),
        DataType::Int64 => Ok(numbers::<Int64Type>(column, rows_before)),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => {
            Ok(numbers::<TimestampNanosecondType>(column, rows_before))
        }
        DataType::Decimal128(_, DECIMAL_SCALE) => Ok(numbers::<Decimal128Type>(column, rows_before)),
        DataType::Utf8 => {
            let texts = column.as_string::<i32>().iter();
            Ok(total(texts.map(|text| text.map(|text| text.bytes().fold(1, fold_byte))), rows_before))
        }
        other => bail!("a column of type {other}"),
    }
}

fn numbers<T: ArrowPrimitiveType<Native: Into<i128>>>(column: &dyn Array, rows_before: u64) -> u128 {
    total(column.as_primitive::<T>().iter().map(|value| value.map(Into::into)), rows_before)
}

fn total(values: impl Iterator<Item = Option<i128>>, rows_before: u64) -> u128 {
    let rows = (rows_before + 1..).zip(values);
    rows.fold(0, |sum: u128, (row, value)| sum.wrapping_add(value.map_or(0, |value| weighted(value, row))))
}

/// A text as a number.
fn fold_byte(number: i128, byte: u8) -> i128 {
    number.wrapping_mul(0x0100_0193) ^ i128::from(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{StringArray, UInt32Array};

    #[test]
    fn sums_tell_values_their_order_and_nulls() {
        let sum_of = |values: Vec<Option<u32>>| sum(&UInt32Array::from(values), 0).unwrap();
        let first = sum_of(vec![Some(1), Some(2), None]);
        assert_eq!(first, 5);
        for other in [vec![Some(2), Some(1), None], vec![Some(1), None, Some(2)], vec![Some(1), Some(2), Some(3)]] {
            assert_ne!(sum_of(other), first);
        }
        let texts = |texts: [&str; 2]| sum(&StringArray::from(texts.to_vec()), 0).unwrap();
        assert_ne!(texts(["a", "b"]), texts(["b", "a"]));
        assert_ne!(texts(["", "b"]), texts(["b", ""]));
    }

    #[test]
    fn a_file_in_parts_is_one_table() {
        let whole = UInt32Array::from_iter_values(0..10);
        let parts = sum(&whole.slice(0, 4), 0).unwrap().wrapping_add(sum(&whole.slice(4, 6), 4).unwrap());
        assert_eq!(parts, sum(&whole, 0).unwrap());
    }

    #[test]
    fn a_coarser_column_is_named() {
        let column = arrow_array::Float64Array::from(vec![0.5]);
        assert!(sum(&column, 0).unwrap_err().to_string().contains("Float64"));
    }
}
