//! Counts what the finished files of one start hold, by reading them: every row's sequence, and the markers of what is
//! missing.
//!
//! Changes nothing and may run beside a recorder: the position is read before the files are listed, and a file is there
//! before the position moves over its rows.

use crate::dataset::Dataset;
use crate::error::{fatal, unavailable};
use crate::positions::{Positions, Scan};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use feedd_core::{EpochAudit, SinkError};
use feedd_model::{Epoch, GapReason, StreamId};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
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
        let gaps = folder.split('/').next() == Some(Dataset::Gaps.name());
        count.file(&dir.join(folder).join(name.to_string()), gaps)?;
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
    fn file(&mut self, path: &Path, gaps: bool) -> Result<(), SinkError> {
        let damaged =
            |reason: String| fatal(format!("{} is damaged ({reason}); restore it from a copy", path.display()), None);
        let file = File::open(path).map_err(|error| unavailable("opening", path, error))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| damaged(error.to_string()))?;
        let columns: &[&str] = if gaps { &["seq", "reason", "events"] } else { &["seq"] };
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let reader = builder.with_projection(mask).with_batch_size(READ_ROWS).build();
        for batch in reader.map_err(|error| damaged(error.to_string()))? {
            let batch = batch.map_err(|error| damaged(error.to_string()))?;
            self.rows(&batch, gaps).ok_or_else(|| damaged("columns of another type".to_owned()))?;
        }
        Ok(())
    }

    /// Counts the rows of one batch; `None` when a column is missing or not what this sink writes.
    fn rows(&mut self, batch: &RecordBatch, gaps: bool) -> Option<()> {
        let seqs = batch.column_by_name("seq")?.as_primitive_opt::<Int64Type>()?;
        for &seq in seqs.values() {
            let seq = u64::try_from(seq).ok()?;
            if !self.seen.insert(seq) {
                self.audit.duplicates += 1;
            }
            if seq <= self.audit.stored_seq.0 {
                self.audit.rows += 1;
            } else {
                self.audit.beyond += 1;
            }
        }
        if gaps {
            let reasons = batch.column_by_name("reason")?.as_string_opt::<i32>()?;
            let events = batch.column_by_name("events")?.as_primitive_opt::<UInt64Type>()?;
            for (row, &seq) in seqs.values().iter().enumerate() {
                let seq = u64::try_from(seq).ok()?;
                if seq <= self.audit.stored_seq.0 && MARKERS.contains(&reasons.value(row)) {
                    self.audit.markers += 1;
                    self.markers.insert(seq, if events.is_null(row) { 1 } else { events.value(row) });
                }
            }
        }
        Some(())
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
