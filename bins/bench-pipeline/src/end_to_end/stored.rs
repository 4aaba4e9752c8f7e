//! What the stores hold in the end: rows of each dataset, from the files' footers and by `count(*)`.

use super::recorder::Look;
use crate::postgres::{SCHEMA, Session};
use anyhow::{Context, Result, ensure};
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Datasets and views, which together hold each event once.
const DATASETS: [&str; 6] = ["trades", "quotes", "books", "levels", "gaps", "status"];
/// Those of which a frame, or a book that came by REST, gives one row each.
const ONE_A_FRAME: [&str; 3] = ["trades", "quotes", "books"];

/// Rows by dataset.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rows(BTreeMap<String, u64>);

impl Rows {
    /// Of the files in a folder.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(super) fn of_files(dir: &Path) -> Result<Self> {
        let mut rows = Self::default();
        for dataset in DATASETS {
            let folder = dir.join(dataset);
            let count = if folder.is_dir() { rows_below(&folder)? } else { 0 };
            rows.0.insert(dataset.to_owned(), count);
        }
        Ok(rows)
    }

    /// Of the views.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) fn of_views(session: &Session) -> Result<Self> {
        let count = |dataset: &&str| {
            let count = session.value(&format!("SELECT count(*) FROM {SCHEMA}.{dataset}"))?;
            Ok(((*dataset).to_owned(), count.parse().with_context(|| format!("{count:?} is no number of rows"))?))
        };
        Ok(Self(DATASETS.iter().map(count).collect::<Result<_>>()?))
    }

    /// Whether these are the events of the recorder's account, and the frames that it received.
    ///
    /// # Errors
    /// When they are not.
    pub(super) fn check(&self, last: &Look) -> Result<()> {
        let sum = |datasets: &[&str]| datasets.iter().filter_map(|dataset| self.0.get(*dataset)).sum::<u64>();
        let (all, of_frames, frames) = (sum(&DATASETS), sum(&ONE_A_FRAME), last.frames + last.snapshots);
        ensure!(all == last.accepted, "{} events were accepted, {all} rows are stored", last.accepted);
        ensure!(
            of_frames == frames,
            "{frames} frames and books came, {of_frames} rows of trades, quotes and books are stored"
        );
        Ok(())
    }
}

fn rows_below(folder: &Path) -> Result<u64> {
    let mut rows = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            rows += rows_below(&path)?;
        } else if path.extension().is_some_and(|end| end == "parquet") {
            let file = File::open(&path).with_context(|| format!("reading {} back", path.display()))?;
            let reader = SerializedFileReader::new(file).with_context(|| format!("reading {} back", path.display()))?;
            rows += u64::try_from(reader.metadata().file_metadata().num_rows())?;
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_too_few_is_told() {
        let rows =
            |trades| Rows([("trades", trades), ("books", 3), ("levels", 9)].map(|(n, c)| (n.to_owned(), c)).into());
        let last = Look { accepted: 22, frames: 11, snapshots: 2, ..Look::default() };
        rows(10).check(&last).unwrap();
        let error = rows(9).check(&last).unwrap_err().to_string();
        assert_eq!(error, "22 events were accepted, 21 rows are stored");
        let error = rows(10).check(&Look { frames: 12, ..last }).unwrap_err().to_string();
        assert!(error.starts_with("14 frames and books came, 13 rows"), "{error}");
    }
}
