//! Counts what the finished files of one start hold, by reading them: every row's sequence, of a derived record those of all
//! its slots, and the markers of what is missing.
//!
//! Changes nothing and may run beside a recorder: the position is read before the files are listed, and a file is there
//! before the position moves over its rows.

use crate::dataset::Dataset;
use crate::error::{fatal, unavailable};
use crate::positions::{Positions, Scan};
use feedd_core::{EpochAudit, SinkError};
use feedd_model::{Epoch, GapReason, StreamId};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Rows decoded at once.
const READ_ROWS: usize = 64 * 1024;

/// Counts the rows of (stream, epoch) in the folder `dir`.
///
/// `missed` counts the events of marked ranges that no row holds: a partition that was ahead may have stored some of them
/// before they were lost elsewhere.
///
/// # Errors
/// [`SinkError::Unavailable`] when a file cannot be read; [`SinkError::Fatal`] when one is damaged.
pub(crate) fn audit(dir: &Path, stream: StreamId, epoch: Epoch) -> Result<EpochAudit, SinkError> {
    let stored_seq = Positions::peek(dir, stream, epoch)?;
    let mut found = Scan::default();
    found.run(dir, stream, epoch)?;
    // In the order of their rows, so that the set below fills up from the front.
    found.files.sort_by_key(|(_, name)| (name.first, name.last));
    let mut count = Count { audit: EpochAudit { stored_seq, ..EpochAudit::default() }, ..Count::default() };
    for (folder, name) in &found.files {
        let dataset = Dataset::ALL.into_iter().find(|dataset| folder.split('/').next() == Some(dataset.name()));
        count.file(&dir.join(folder).join(name.to_string()), dataset)?;
    }
    Ok(count.end())
}

#[derive(Default)]
struct Count {
    audit: EpochAudit,
    seen: SeqSet,
    /// Last sequence of each marked range at or below the position, and its events.
    markers: BTreeMap<u64, u64>,
}

impl Count {
    fn file(&mut self, path: &Path, dataset: Option<Dataset>) -> Result<(), SinkError> {
        let damaged =
            |reason: String| fatal(format!("{} is damaged ({reason}); restore it from a copy", path.display()), None);
        let file = File::open(path).map_err(|error| unavailable("opening", path, error))?;
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(error.to_string()))?;
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group).map_err(|error| damaged(error.to_string()))?;
            self.row_group(group.as_ref(), dataset).map_err(|error| damaged(error.to_string()))?;
        }
        Ok(())
    }

    /// # Errors
    /// When a column is missing, not what this sink writes, or cannot be decoded.
    fn row_group(&mut self, group: &dyn RowGroupReader, dataset: Option<Dataset>) -> Result<(), ParquetError> {
        let slots = dataset.map_or(1, Dataset::slots);
        let ColumnReader::Int64ColumnReader(mut seqs) = column(group, "seq")? else { return Err(other_type("seq")) };
        let mut markers = if dataset == Some(Dataset::Gaps) { Some(Markers::open(group)?) } else { None };
        loop {
            let seqs = read(&mut seqs)?;
            if seqs.is_empty() {
                return Ok(());
            }
            let events = markers.as_mut().map(Markers::read).transpose()?;
            for (row, seq) in seqs.iter().enumerate() {
                let seq = seq.and_then(|seq| u64::try_from(seq).ok()).ok_or_else(|| other_type("seq"))?;
                (seq..seq.saturating_add(slots)).for_each(|seq| self.row(seq));
                let events = events.as_ref().and_then(|events| *events.get(row)?);
                if let Some(events) = events.filter(|_| seq <= self.audit.stored_seq.0) {
                    self.audit.markers += 1;
                    self.markers.insert(seq, events);
                }
            }
        }
    }

    fn row(&mut self, seq: u64) {
        if !self.seen.insert(seq) {
            self.audit.duplicates += 1;
        }
        if seq <= self.audit.stored_seq.0 {
            self.audit.rows += 1;
        } else {
            self.audit.beyond += 1;
        }
    }

    /// The events of all marked ranges together, less the rows that stand in them.
    fn end(mut self) -> EpochAudit {
        // From the last one down: what is above `from` has been counted, as far as a range covers it.
        let mut from = u64::MAX;
        for (&marker, &events) in self.markers.iter().rev() {
            let first = marker.saturating_sub(events.saturating_sub(1)).max(1);
            let last = marker.min(from - 1);
            if first <= last {
                // Every marker stands in a range, its own, and is no event.
                let markers = self.markers.range(first..=last).count() as u64;
                self.audit.missed += last + 1 - first - (self.seen.count(first, last) - markers);
            }
            from = from.min(first);
        }
        self.audit
    }
}

/// The columns that tell of gaps which of them stand for events that this store did not get.
struct Markers {
    reasons: ColumnReaderImpl<parquet::data_type::ByteArrayType>,
    events: ColumnReaderImpl<parquet::data_type::Int64Type>,
}

impl Markers {
    fn open(group: &dyn RowGroupReader) -> Result<Self, ParquetError> {
        let ColumnReader::ByteArrayColumnReader(reasons) = column(group, "reason")? else {
            return Err(other_type("reason"));
        };
        let ColumnReader::Int64ColumnReader(events) = column(group, "events")? else {
            return Err(other_type("events"));
        };
        Ok(Self { reasons, events })
    }

    /// Of each of the next rows the number of events that it stands for, when it does.
    fn read(&mut self) -> Result<Vec<Option<u64>>, ParquetError> {
        let is_marker = |reason: Option<ByteArray>| {
            reason.is_some_and(|reason| MARKERS.iter().any(|marker| marker.as_bytes() == reason.data()))
        };
        let reasons = read(&mut self.reasons)?;
        let rows = reasons.into_iter().zip(read(&mut self.events)?);
        Ok(rows.map(|(reason, events)| is_marker(reason).then(|| events.map_or(1, i64::cast_unsigned))).collect())
    }
}

/// A column by its name.
fn column(group: &dyn RowGroupReader, name: &str) -> Result<ColumnReader, ParquetError> {
    let place = group.metadata().columns().iter().position(|column| column.column_path().string() == name);
    group.get_column_reader(place.ok_or_else(|| ParquetError::General(format!("no column {name}")))?)
}

fn other_type(name: &str) -> ParquetError {
    ParquetError::General(format!("column {name} is not what this sink writes"))
}

/// The next rows of a column that is not nested; none at the end.
fn read<T: DataType>(column: &mut ColumnReaderImpl<T>) -> Result<Vec<Option<T::T>>, ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (rows, ..) = column.read_records(READ_ROWS, Some(&mut levels), None, &mut values)?;
    let mut values = values.into_iter();
    if levels.is_empty() {
        return Ok(values.map(Some).collect());
    }
    Ok(levels.into_iter().take(rows).map(|level| if level > 0 { values.next() } else { None }).collect())
}

/// Reasons of the gaps that stand for events this store did not get.
const MARKERS: [&str; 2] = [GapReason::JournalDamaged.name(), GapReason::SinkBehind.name()];

/// Sequences in a piece of [`SeqSet`].
const PIECE_SEQS: u64 = 64 * 1024;

/// A set of sequences: 8 KiB for each 65,536 of them that are not complete yet, next to nothing for complete ones.
#[derive(Default)]
struct SeqSet {
    pieces: BTreeMap<u64, Piece>,
}

/// Bits of one piece; none are kept once all are set.
#[derive(Default)]
struct Piece {
    set: u64,
    bits: Vec<u64>,
}

impl SeqSet {
    /// False when it was there already.
    fn insert(&mut self, seq: u64) -> bool {
        let piece = self.pieces.entry(seq / PIECE_SEQS).or_default();
        if piece.set == PIECE_SEQS {
            return false;
        }
        piece.bits.resize(WORDS, 0);
        let (word, bit) = place(seq);
        let new = piece.bits[word] & bit == 0;
        piece.bits[word] |= bit;
        piece.set += u64::from(new);
        if piece.set == PIECE_SEQS {
            piece.bits = Vec::new();
        }
        new
    }

    /// How many of `first..=last` are in it.
    fn count(&self, first: u64, last: u64) -> u64 {
        let mut count = 0;
        for (&number, piece) in self.pieces.range(first / PIECE_SEQS..=last / PIECE_SEQS) {
            let from = first.max(number * PIECE_SEQS);
            let to = last.min(number * PIECE_SEQS + (PIECE_SEQS - 1));
            count += if piece.set == PIECE_SEQS {
                to + 1 - from
            } else {
                (from..=to).filter(|&seq| piece.bits[place(seq).0] & place(seq).1 != 0).count() as u64
            };
        }
        count
    }
}

/// Words of 64 bits in a piece.
const WORDS: usize = 1024;
const _: () = assert!(WORDS as u64 * 64 == PIECE_SEQS);

/// Word and bit of a sequence inside its piece.
fn place(seq: u64) -> (usize, u64) {
    let at = seq % PIECE_SEQS;
    (usize::try_from(at / 64).unwrap_or(0), 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// The same as a set of single numbers, over complete and incomplete pieces.
        #[test]
        fn it_is_a_set(
            fill in 0u64..2,
            seqs in prop::collection::vec(0u64..200_000, 0..200),
            ranges in prop::collection::vec((0u64..200_000, 0u64..100_000), 1..8),
        ) {
            let (mut set, mut model) = (SeqSet::default(), BTreeSet::new());
            for seq in (PIECE_SEQS..PIECE_SEQS + fill * PIECE_SEQS).chain(seqs) {
                prop_assert_eq!(set.insert(seq), model.insert(seq));
            }
            for (first, more) in ranges {
                prop_assert_eq!(set.count(first, first + more), model.range(first..=first + more).count() as u64);
            }
        }
    }

    #[test]
    fn ranges_that_overlap_and_rows_inside_them_are_counted_once() {
        let none: &[(u64, u64)] = &[];
        let cases = [
            ("none", none, 0),
            ("one, its own place alone", &[(8, 1)], 1),
            ("4..=8 and 4..=10: 5 is a row", &[(8, 5), (10, 7)], 6),
            ("7..=8 inside 1..=10: 1, 2 and 5 are rows", &[(8, 2), (10, 10)], 7),
            ("4..=8 and 9..=11, side by side", &[(8, 5), (11, 3)], 7),
        ];
        for (name, markers, missed) in cases {
            let mut count = Count { markers: markers.iter().copied().collect(), ..Count::default() };
            let rows = [1, 2, 5].into_iter().chain(count.markers.keys().copied().collect::<Vec<_>>());
            rows.for_each(|seq| assert!(count.seen.insert(seq)));
            assert_eq!(count.end().missed, missed, "{name}");
        }
    }
}
