//! One column of a row group, read in batches and handed out row by row.

use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::file::reader::RowGroupReader;

/// Rows decoded at once: a batch of eleven columns stays within the second-level cache.
pub(crate) const BATCH_ROWS: usize = 4_096;

/// A column of the physical type `T`.
pub(crate) struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    is_optional: bool,
    levels: Vec<i16>,
    values: Vec<T::T>,
    row: usize,
    value: usize,
}

/// UTF-8 texts.
pub(crate) type Texts = Column<ByteArrayType>;
/// Decimals with 18 digits behind the point.
pub(crate) type Decimals = Column<FixedLenByteArrayType>;

impl<T: DataType> Column<T> {
    /// Opens a column by its name.
    ///
    /// # Errors
    /// A text: when there is none, or it is of another type.
    pub(crate) fn open(group: &dyn RowGroupReader, name: &str) -> Result<Self, String> {
        let is_it = |at: &usize| group.metadata().column(*at).column_path().string() == name;
        let at = (0..group.num_columns()).find(is_it).ok_or_else(|| format!("no column {name}"))?;
        let described = group.metadata().column(at).column_descr_ptr();
        let is_decimal = T::get_physical_type() == parquet::basic::Type::FIXED_LEN_BYTE_ARRAY;
        let is_other = described.max_rep_level() > 0 || is_decimal && described.type_scale() != SCALE;
        let reader = group.get_column_reader(at).map_err(|error| error.to_string())?;
        let reader = T::get_column_reader(reader).filter(|_| !is_other);
        let reader = reader.ok_or_else(|| format!("column {name} is not what feedd writes"))?;
        let is_optional = described.max_def_level() > 0;
        Ok(Self { reader, is_optional, levels: Vec::new(), values: Vec::new(), row: 0, value: 0 })
    }

    /// The value of the next row; `None` where it has none.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&T::T> {
        if self.is_optional {
            self.row += 1;
            if self.levels.get(self.row - 1).is_none_or(|level| *level == 0) {
                return None;
            }
        }
        self.value += 1;
        self.values.get(self.value - 1)
    }
}

/// The decimals of every price and size.
const SCALE: i32 = 18;

/// A column of any type.
pub(crate) trait Fill {
    /// Reads the next batch in the place of the last one; tells its rows, 0 at the end.
    ///
    /// # Errors
    /// A text: what is wrong with the file.
    fn fill(&mut self) -> Result<usize, String>;
}

impl<T: DataType> Fill for Column<T> {
    fn fill(&mut self) -> Result<usize, String> {
        self.levels.clear();
        self.values.clear();
        (self.row, self.value) = (0, 0);
        let read = self.reader.read_records(BATCH_ROWS, Some(&mut self.levels), None, &mut self.values);
        read.map(|(rows, ..)| rows).map_err(|error| error.to_string())
    }
}

/// The digits of a decimal.
pub(crate) fn digits(value: &FixedLenByteArray) -> Option<i128> {
    value.data().try_into().ok().map(i128::from_be_bytes)
}

/// The text of a value.
pub(crate) fn text(value: &ByteArray) -> Option<&str> {
    std::str::from_utf8(value.data()).ok()
}
