//! The pages of one column in one row group, compressed, and what the footer says about them.

use super::Press;
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Encoding, EncodingMask, PageType, Type};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};
use std::io::Write;

/// The bytes of a finished chunk, and what the footer says about them.
pub(crate) type Finished = (Bytes, ColumnCloseResult);

/// What a page of data is, beside its bytes.
pub(super) struct PageFacts {
    pub(super) rows: u32,
    /// Rows that have a value.
    pub(super) values: u32,
    pub(super) encoding: Encoding,
    /// Smallest and largest value, as statistics hold them.
    pub(super) bounds: Option<[Vec<u8>; 2]>,
    /// Bytes of all texts, in a column of texts.
    pub(super) text_bytes: Option<usize>,
}

/// Pages of data so far. The dictionary's page is put before them when the chunk ends.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    rows: u32,
    values: u32,
    uncompressed_bytes: usize,
    text_bytes: Option<usize>,
    encodings: Vec<PageEncodingStats>,
    column_index: ColumnIndexBuilder,
    offset_index: OffsetIndexBuilder,
}

impl Chunk {
    pub(super) fn new(physical: Type) -> Self {
        Self {
            bytes: Vec::new(),
            rows: 0,
            values: 0,
            uncompressed_bytes: 0,
            text_bytes: None,
            encodings: Vec::new(),
            column_index: ColumnIndexBuilder::new(physical),
            offset_index: OffsetIndexBuilder::new(),
        }
    }

    /// Bytes of the pages.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Memory held, in bytes.
    pub(super) const fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds a page of data whose levels and values stand in `press`.
    ///
    /// # Errors
    /// When the library or zstd refuse it.
    pub(super) fn add(&mut self, descr: &ColumnDescriptor, facts: PageFacts, press: &mut Press) -> Result<()> {
        let PageFacts { rows, values, encoding, bounds, text_bytes } = facts;
        let data = Page::DataPage {
            buf: press.compressor.compress(&press.body)?.into(),
            num_values: rows,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            // They stand in the column index.
            statistics: None,
        };
        let offset = self.bytes.len();
        let page = put_page(data, press.body.len(), &mut self.bytes)?;
        self.uncompressed_bytes += page.uncompressed_size;
        match self.encodings.last_mut().filter(|last| last.encoding == encoding) {
            Some(last) => last.count += 1,
            None => self.encodings.push(PageEncodingStats { page_type: PageType::DATA_PAGE, encoding, count: 1 }),
        }
        self.rows += rows;
        self.values += values;
        self.offset_index.append_row_count(rows.into());
        self.offset_index.append_offset_and_size(signed(offset)?, i32::try_from(page.compressed_size)?);
        if let Some(bytes) = text_bytes {
            *self.text_bytes.get_or_insert(0) += bytes;
            self.offset_index.append_unencoded_byte_array_data_bytes(Some(signed(bytes)?));
        }
        let [min, max] = bounds.unwrap_or_default();
        self.column_index.append(values == 0, min, max, (rows - values).into(), None);
        self.column_index.append_histograms(&None, &histogram(descr, rows, values));
        Ok(())
    }

    /// Ends the chunk. `dictionary` is the body of its page and its entries, `bounds` are the smallest and the largest
    /// value, as statistics hold them.
    ///
    /// # Errors
    /// As [`Chunk::add`].
    pub(super) fn finish(
        mut self,
        descr: &ColumnDescPtr,
        dictionary: Option<(&[u8], usize)>,
        bounds: Option<[Vec<u8>; 2]>,
        order: BoundaryOrder,
        press: &mut Press,
    ) -> Result<Finished> {
        let mut bytes = Vec::new();
        if let Some((body, entries)) = dictionary {
            let page = Page::DictionaryPage {
                buf: press.compressor.compress(body)?.into(),
                num_values: u32::try_from(entries)?,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            self.uncompressed_bytes += put_page(page, body.len(), &mut bytes)?.uncompressed_size;
            let page_type = PageType::DICTIONARY_PAGE;
            self.encodings.insert(0, PageEncodingStats { page_type, encoding: Encoding::PLAIN, count: 1 });
        }
        let dictionary_bytes = bytes.len();
        if bytes.is_empty() {
            bytes = self.bytes;
        } else {
            bytes.append(&mut self.bytes);
        }
        // The levels' encoding, also where there are no levels: as other writers have it.
        let encodings = [Encoding::RLE].into_iter().chain(self.encodings.iter().map(|pages| pages.encoding));
        let encodings: Vec<Encoding> = encodings.collect();
        let metadata = ColumnChunkMetaData::builder(descr.clone())
            .set_compression(press.compression)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(signed(bytes.len())?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_num_values(self.rows.into())
            .set_data_page_offset(0)
            .set_statistics(statistics(descr, bounds, self.rows - self.values)?)
            .set_unencoded_byte_array_data_bytes(self.text_bytes.map(signed).transpose()?)
            .set_definition_level_histogram(histogram(descr, self.rows, self.values))
            .build()?;
        self.column_index.set_boundary_order(order);
        let closed = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows.into(),
            metadata,
            bloom_filter: None,
            column_index: Some(self.column_index.build()?),
            offset_index: Some(self.offset_index.build()),
        };
        Ok((bytes.into(), closed.update_dictionary_location(dictionary_bytes)?))
    }
}

/// Appends a compressed page behind its header.
fn put_page(page: Page, uncompressed_bytes: usize, out: &mut Vec<u8>) -> Result<PageWriteSpec> {
    let mut out = TrackedWrite::new(out);
    let page = SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(page, uncompressed_bytes))?;
    out.flush()?;
    Ok(page)
}

/// Rows without and with a value, where rows without one can be.
fn histogram(descr: &ColumnDescriptor, rows: u32, values: u32) -> Option<LevelHistogram> {
    (descr.max_def_level() > 0).then(|| LevelHistogram::from(vec![i64::from(rows - values), values.into()]))
}

/// Statistics of a chunk.
fn statistics(descr: &ColumnDescriptor, bounds: Option<[Vec<u8>; 2]>, nulls: u32) -> Result<Statistics> {
    match descr.physical_type() {
        Type::INT32 => {
            let bytes = |bytes: Vec<u8>| bytes.try_into().map(i32::from_le_bytes).ok();
            Ok(typed_statistics(descr, bounds.map(|pair| pair.map(bytes)), nulls))
        }
        Type::INT64 => {
            let bytes = |bytes: Vec<u8>| bytes.try_into().map(i64::from_le_bytes).ok();
            Ok(typed_statistics(descr, bounds.map(|pair| pair.map(bytes)), nulls))
        }
        Type::DOUBLE => {
            let bytes = |bytes: Vec<u8>| bytes.try_into().map(f64::from_le_bytes).ok();
            Ok(typed_statistics(descr, bounds.map(|pair| pair.map(bytes)), nulls))
        }
        Type::BYTE_ARRAY => {
            Ok(typed_statistics(descr, bounds.map(|pair| pair.map(|bytes| Some(ByteArray::from(bytes)))), nulls))
        }
        Type::FIXED_LEN_BYTE_ARRAY => {
            let bytes = |bytes| Some(FixedLenByteArray::from(bytes));
            Ok(typed_statistics(descr, bounds.map(|pair| pair.map(bytes)), nulls))
        }
        other => Err(ParquetError::General(format!("no column is of type {other}"))),
    }
}

fn typed_statistics<T>(descr: &ColumnDescriptor, bounds: Option<[Option<T>; 2]>, nulls: u32) -> Statistics
where
    Statistics: From<ValueStatistics<T>>,
{
    let [min, max] = bounds.unwrap_or([None, None]);
    // Old readers compare as signed numbers.
    let signed = descr.sort_order().is_signed();
    ValueStatistics::new(min, max, None, Some(nulls.into()), false).with_backwards_compatible_min_max(signed).into()
}

fn signed(bytes: usize) -> Result<i64> {
    Ok(i64::try_from(bytes)?)
}
