//! One column of the row group that is being built.

use super::bounds::Bounds;
use super::chunk::{Chunk, Finished, PageFacts};
use super::presence::Presence;
use super::value::{Value, Words};
use super::{Coder, Press};
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

/// Values of type `V`, encoded by `C`.
pub(crate) struct Column<V, C> {
    descr: ColumnDescPtr,
    words: Words,
    /// Of the page: those that there are, and in which rows.
    values: Vec<V>,
    presence: Presence,
    /// Of the chunk.
    coder: C,
    bounds: Bounds<V>,
    chunk: Chunk,
}

impl<V: Value, C: Coder<V>> Column<V, C> {
    pub(crate) fn new(descr: &ColumnDescPtr) -> Self {
        Self {
            words: Words::default(),
            values: Vec::new(),
            presence: Presence::default(),
            coder: C::default(),
            bounds: Bounds::default(),
            chunk: Chunk::new(descr.physical_type()),
            descr: descr.clone(),
        }
    }

    /// The same with a list of texts.
    pub(crate) fn with_words(mut self, words: &[&str]) -> Self {
        self.set_words(&Words::new(words.iter().map(|&word| word.to_owned()).collect()));
        self
    }

    /// Sets the texts: those known so far, or these and more.
    pub(crate) fn set_words(&mut self, words: &Words) {
        self.words = words.clone();
    }

    /// Appends a row of a column that has a value in every row.
    #[inline]
    pub(crate) fn push(&mut self, value: V) {
        debug_assert!(!self.is_optional(), "{} has definition levels", self.descr.name());
        self.values.push(value);
    }

    /// Appends a row of a column that may have none.
    #[inline]
    pub(crate) fn push_option(&mut self, value: Option<V>) {
        debug_assert!(self.is_optional(), "{} has a value in every row", self.descr.name());
        self.presence.push(value.is_some());
        if let Some(value) = value {
            self.values.push(value);
        }
    }

    fn is_optional(&self) -> bool {
        self.descr.max_def_level() > 0
    }
}

/// A column, whatever its values.
pub(crate) trait EncodeColumn {
    /// Encodes the rows that wait as a page.
    ///
    /// # Errors
    /// When the library or zstd refuse it: a defect.
    fn end_page(&mut self, press: &mut Press) -> Result<()>;

    /// Takes the column's pages, which are all of the row group; the next row starts the next one.
    ///
    /// # Errors
    /// As [`EncodeColumn::end_page`].
    fn end_chunk(&mut self, press: &mut Press) -> Result<Finished>;

    /// Memory of the pages so far and of their dictionary, in bytes.
    fn encoded_memory_bytes(&self) -> usize;

    /// Memory for the rows of a page, in bytes.
    fn room_bytes(&self) -> usize;

    /// Bytes of the pages so far, the dictionary's before compression.
    fn file_bytes(&self) -> usize;
}

impl<V: Value, C: Coder<V>> EncodeColumn for Column<V, C> {
    fn end_page(&mut self, press: &mut Press) -> Result<()> {
        press.body.clear();
        let values = u32::try_from(self.values.len())?;
        let rows = if self.is_optional() { self.presence.rows() } else { values };
        if self.is_optional() {
            self.presence.encode(&mut press.codes, &mut press.body);
        }
        let encoding = self.coder.encode(&self.values, &self.words, &mut press.codes, &mut press.body);
        let bounds = V::bounds(&self.values, &self.words);
        if let Some(bounds) = bounds {
            self.bounds.add(bounds, &self.words);
        }
        let facts = PageFacts {
            rows,
            values,
            encoding,
            bounds: bounds.map(|(min, max)| [min.statistic(&self.words), max.statistic(&self.words)]),
            text_bytes: V::text_bytes(&self.values, &self.words),
        };
        self.chunk.add(&self.descr, facts, press)?;
        self.values.clear();
        self.presence.clear();
        Ok(())
    }

    fn end_chunk(&mut self, press: &mut Press) -> Result<Finished> {
        // Nothing is kept, not even room: the part may not see another row for long.
        let next = Self { words: self.words.clone(), ..Self::new(&self.descr) };
        let Self { descr, words, coder, bounds, chunk, .. } = std::mem::replace(self, next);
        chunk.finish(&descr, coder.dictionary(), bounds.statistics(&words), bounds.order(), press)
    }

    fn encoded_memory_bytes(&self) -> usize {
        self.coder.memory_bytes() + self.chunk.memory_bytes()
    }

    fn room_bytes(&self) -> usize {
        self.values.capacity() * size_of::<V>() + self.presence.memory_bytes()
    }

    fn file_bytes(&self) -> usize {
        self.chunk.bytes() + self.coder.dictionary().map_or(0, |(body, _)| body.len())
    }
}
