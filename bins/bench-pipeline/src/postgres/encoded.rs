//! Rows as COPY's binary form has them, in files of a chosen number of rows.

use super::psql::Psql;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// What stands before the first row when there is no extension: signature, flags, length.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last row.
const TRAILER: [u8; 2] = [0xff, 0xff];

/// The rows that the sink had stored.
pub(crate) struct Encoded {
    /// Rows alone.
    rows: Vec<Vec<u8>>,
    /// The first one's sequence.
    pub(crate) first_seq: u64,
    dir: PathBuf,
}

impl Encoded {
    /// Asks the server for the rows of a table that holds one run from sequence 1 on, in their order.
    ///
    /// # Errors
    /// When it fails or does not answer in the form that is known.
    pub(crate) fn read(psql: &mut Psql, table: &str, dir: &Path) -> Result<Self> {
        let file = dir.join("all");
        psql.save(&format!("SELECT * FROM {table} ORDER BY seq"), &file)?;
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let rows = split(&bytes).context("psql wrote another form of COPY than is known")?;
        Ok(Self { rows, first_seq: 1, dir: dir.to_owned() })
    }

    /// Writes all rows, so many a file, over the files of before.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write_files(&self, file_rows: usize) -> Result<Vec<PathBuf>> {
        ensure!(file_rows > 0, "a file holds at least one row");
        let write = |(number, rows): (usize, &[Vec<u8>])| {
            let path = self.dir.join(format!("part-{number}"));
            let mut bytes = HEADER.to_vec();
            rows.iter().for_each(|row| bytes.extend_from_slice(row));
            bytes.extend_from_slice(&TRAILER);
            std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
            Ok(path)
        };
        self.rows.chunks(file_rows).enumerate().map(write).collect()
    }
}

/// The rows of a binary COPY, each with its count of columns. `None` when it is not one.
fn split(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes.strip_prefix(HEADER)?;
    let mut rows = Vec::new();
    while rest != TRAILER {
        let columns = u16::from_be_bytes(*rest.first_chunk()?);
        let mut at = 2;
        for _ in 0..columns {
            let length = i32::from_be_bytes(*rest.get(at..)?.first_chunk()?);
            // -1 is NULL: no bytes follow.
            at += 4 + usize::try_from(length.max(0)).ok()?;
        }
        rows.push(rest.get(..at)?.to_vec());
        rest = &rest[at..];
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_any_size_hold_the_rows_in_order() {
        let row = |n: u8| [&[0, 2, 0, 0, 0, 1, n][..], &[0xff; 4]].concat();
        let all = [HEADER, &row(1), &row(2), &row(3), &TRAILER].concat();
        let dir = tempfile::tempdir().unwrap();
        let encoded = Encoded { rows: split(&all).unwrap(), first_seq: 1, dir: dir.path().to_owned() };
        let read = |rows: usize| -> Vec<Vec<u8>> {
            encoded.write_files(rows).unwrap().iter().map(|path| std::fs::read(path).unwrap()).collect()
        };
        assert_eq!(read(3), std::slice::from_ref(&all));
        assert_eq!(read(9), std::slice::from_ref(&all));
        let halves = [[HEADER, &row(1), &row(2), &TRAILER].concat(), [HEADER, &row(3), &TRAILER].concat()];
        assert_eq!(read(2), halves);
        for end in 0..all.len() {
            assert_eq!(split(&all[..end]), None, "cut at {end}");
        }
    }
}
