//! The lines of one file, plain or compressed with zstd, in bounded memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

/// Longest line: four times what a line of trades takes.
const LINE_BYTES_MAX: u64 = 1 << 10;
/// One read from the file.
const READ_BYTES: usize = 64 << 10;
/// What some programs put before the first line.
const BYTE_ORDER_MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// Reads line by line.
pub(super) struct Lines {
    input: Input,
    line: Vec<u8>,
    number: u64,
}

enum Input {
    Plain(BufReader<File>),
    Zstd(Box<BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>>),
}

/// A line that was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawLine<'a> {
    /// Its bytes, without the line feed.
    Line(&'a [u8]),
    /// Its beginning; the rest was passed over.
    TooLong(&'a [u8]),
}

impl Lines {
    /// Opens a file; a name that ends in `.zst` is unpacked on the way.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        let input = if path.extension().is_some_and(|extension| extension == "zst") {
            let plain = zstd::stream::read::Decoder::with_buffer(file)?;
            Input::Zstd(Box::new(BufReader::with_capacity(READ_BYTES, plain)))
        } else {
            Input::Plain(file)
        };
        Ok(Self { input, line: Vec::new(), number: 0 })
    }

    /// Number of the line that was read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read of the file as it is stored.
    pub(super) fn position(&self) -> u64 {
        let mut file = match &self.input {
            Input::Plain(file) => file.get_ref(),
            Input::Zstd(plain) => plain.get_ref().get_ref().get_ref(),
        };
        // For a progress bar alone.
        file.stream_position().unwrap_or(0)
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        match &mut self.input {
            Input::Plain(file) => read_line(file, &mut self.line)?,
            Input::Zstd(plain) => read_line(plain, &mut self.line)?,
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        if let Some(line) = self.line.strip_suffix(b"\n") {
            let mark = if self.number == 1 { &BYTE_ORDER_MARK[..] } else { &[] };
            return Ok(Some(RawLine::Line(line.strip_prefix(mark).unwrap_or(line))));
        }
        if (self.line.len() as u64) < LINE_BYTES_MAX {
            // The last line, without an end.
            return Ok(Some(RawLine::Line(&self.line)));
        }
        match &mut self.input {
            Input::Plain(file) => pass_line(file)?,
            Input::Zstd(plain) => pass_line(plain)?,
        }
        Ok(Some(RawLine::TooLong(&self.line)))
    }
}

fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    input.take(LINE_BYTES_MAX).read_until(b'\n', line).map(|_| ())
}

/// Goes on behind the next line feed.
fn pass_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let piece = input.fill_buf()?;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let bytes = end.map_or(piece.len(), |end| end + 1);
        if bytes == 0 {
            return Ok(());
        }
        input.consume(bytes);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let long = "x".repeat(200_000);
        let text = format!("\u{feff}a,b\n\n{long}\nc\r\n{}\nlast", "y".repeat(1023));
        let plain = folder.path().join("a.csv");
        std::fs::write(&plain, &text).unwrap();
        let packed = folder.path().join("a.csv.zst");
        std::fs::write(&packed, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        for path in [plain, packed] {
            let mut lines = Lines::open(&path).unwrap();
            let mut found = Vec::new();
            while let Some(line) = lines.next().unwrap() {
                let line = match line {
                    RawLine::Line(line) => (line.to_vec(), false),
                    RawLine::TooLong(line) => (line.to_vec(), true),
                };
                found.push((line.0, line.1, lines.number()));
            }
            let expected = [
                (b"a,b".to_vec(), false, 1),
                (Vec::new(), false, 2),
                (vec![b'x'; 1024], true, 3),
                (b"c\r".to_vec(), false, 4),
                (vec![b'y'; 1023], false, 5),
                (b"last".to_vec(), false, 6),
            ];
            assert_eq!(found, expected, "{}", path.display());
            assert_eq!(lines.position(), std::fs::metadata(&path).unwrap().len());
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_an_error_behind_its_last_whole_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.zst");
        let packed = zstd::encode_all(&b"a\nb\n"[..], 1).unwrap();
        std::fs::write(&path, &packed[..packed.len() - 1]).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        while let Ok(line) = lines.next() {
            assert!(line.is_some(), "the end is missing");
        }
    }
}
