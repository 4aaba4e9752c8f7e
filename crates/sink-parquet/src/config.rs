//! What an operator can set.

use std::path::PathBuf;

/// Settings of a [`crate::ParquetSink`]. Sizes are bytes, ages are nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetConfig {
    /// Folder of the datasets; made when missing.
    pub dir: PathBuf,
    /// A file is closed when its compressed bytes, the row group being built included, reach this.
    pub file_bytes_max: u64,
    /// A file is closed when its first row is this old: rows of an open file are not visible and not yet stored.
    pub file_age_ns_max: u64,
    /// Rows of a row group. 128 thousand to a million measured alike; 64 thousand cost 5 % more bytes.
    pub row_group_rows_max: usize,
    /// Memory of all open row groups together; above it the largest is written out early.
    pub memory_bytes_max: usize,
    /// Files open at once; above it the oldest is closed early.
    pub open_files_max: usize,
    /// zstd level, 1 to 22. 3 measured 2 to 3 % smaller and 15 to 50 % slower than 1.
    pub compression_level: i32,
}

impl ParquetConfig {
    /// The defaults, in `dir`: 128 MiB or 5 minutes a file, 512 Ki rows a row group, 64 MiB of memory, 128 open files,
    /// zstd level 1.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            file_bytes_max: 128 << 20,
            file_age_ns_max: 300_000_000_000,
            row_group_rows_max: 512 * 1024,
            memory_bytes_max: 64 << 20,
            open_files_max: 128,
            compression_level: 1,
        }
    }
}
