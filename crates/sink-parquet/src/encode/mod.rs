//! Columns to Parquet pages. Hot path: per value one append, later one pass over a page's values; no text is hashed,
//! nothing is allocated per value.
//!
//! A [`Column`] gathers the values of one page. At the page's end its [`Coder`] turns them into bytes, which are
//! compressed into the column's [`chunk::Chunk`]. At the end of the row group the chunk's pages, behind the page of the
//! dictionary, are appended to the file by the Parquet library, which also writes the footer. The library's own column
//! writers are not used: they hash every text and allocate every decimal, and do not tell how much memory they hold.

mod bits;
mod bounds;
mod chunk;
mod column;
mod delta;
mod dictionary;
mod hybrid;
mod presence;
mod text;
mod value;

#[cfg(test)]
mod tests;

pub(crate) use column::{Column, EncodeColumn};
pub(crate) use delta::Delta;
pub(crate) use dictionary::Dictionary;
pub(crate) use text::ShortText;
pub(crate) use value::{Float, Value, Word, Words};

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use zstd::bulk::Compressor;

/// Rows of a full page. The format's authors advise 20,000; whole blocks of differences and groups of bits fit best.
pub(crate) const PAGE_ROWS: usize = 20 * 1024;

/// How the values of one column become bytes.
pub(crate) trait Coder<V>: Default + Send {
    /// Appends the values of a page and says how they are encoded. `codes` is room to work in.
    fn encode(&mut self, values: &[V], words: &[String], codes: &mut Vec<u32>, out: &mut Vec<u8>) -> Encoding;

    /// Body and entries of the dictionary that pages since the start of the chunk refer to.
    fn dictionary(&self) -> Option<(&[u8], usize)> {
        None
    }

    /// Memory held, in bytes.
    fn memory_bytes(&self) -> usize {
        0
    }
}

/// What all columns share while they encode: the compressor, and room to work in.
pub(crate) struct Press {
    compression: Compression,
    compressor: Compressor<'static>,
    codes: Vec<u32>,
    /// A page before it is compressed.
    body: Vec<u8>,
}

impl Press {
    /// # Errors
    /// When zstd does not know the level.
    pub(crate) fn new(zstd_level: i32) -> Result<Self> {
        Ok(Self {
            compression: Compression::ZSTD(ZstdLevel::try_new(zstd_level)?),
            compressor: Compressor::new(zstd_level)?,
            codes: Vec::new(),
            body: Vec::new(),
        })
    }
}
