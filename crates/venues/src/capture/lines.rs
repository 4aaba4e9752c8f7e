//! Lines of a stream of bytes, with a limit on their length and one buffer for all of them.

use std::io::{BufRead, ErrorKind, Result};

/// What stands at the reader's place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RawLine {
    /// A line, without its end, lies in the buffer.
    Whole,
    /// A line that is longer than allowed; its beginning lies in the buffer, the rest was skipped.
    TooLong,
    /// Nothing is left.
    End,
}

/// Reads lines into one buffer.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    line_bytes_max: usize,
    /// Of the line in the buffer: whether it is longer than allowed, and whether there is anything of it.
    too_long: bool,
    any: bool,
    /// Whether the reader had no more for now in the middle of this line.
    interrupted: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), line_bytes_max, too_long: false, any: false, interrupted: false }
    }

    pub(super) const fn reader(&self) -> &R {
        &self.reader
    }

    pub(super) const fn reader_mut(&mut self) -> &mut R {
        &mut self.reader
    }

    /// The bytes of the last line; after an error, of the line that the error broke off.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next line. The last one may lack its line feed. After [`ErrorKind::WouldBlock`] the next call goes on
    /// with the same line.
    pub(super) fn advance(&mut self) -> Result<RawLine> {
        if !std::mem::take(&mut self.interrupted) {
            self.buffer.clear();
            (self.too_long, self.any) = (false, false);
        }
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.interrupted = true;
                    return Err(error);
                }
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            self.any = true;
            let end = memchr(available);
            let piece = &available[..end.unwrap_or(available.len())];
            let room = self.line_bytes_max - self.buffer.len();
            self.too_long |= piece.len() > room;
            self.buffer.extend_from_slice(&piece[..piece.len().min(room)]);
            let taken = piece.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        Ok(match (self.too_long, self.any) {
            (true, _) => RawLine::TooLong,
            (false, true) => RawLine::Whole,
            (false, false) => RawLine::End,
        })
    }
}

/// Where the first line feed stands.
fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Read};

    fn all(text: &[u8], buffer_bytes: usize, max: usize) -> Vec<(RawLine, Vec<u8>)> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer_bytes, text), max);
        let mut out = Vec::new();
        loop {
            match lines.advance().unwrap() {
                RawLine::End => return out,
                line => out.push((line, lines.buffer().to_vec())),
            }
        }
    }

    #[test]
    fn lines_do_not_depend_on_where_reads_end() {
        for buffer_bytes in 1..12 {
            let got = all(b"one\n\r\ntwo\r\n0123456789\nlast", buffer_bytes, 6);
            let expected: Vec<(RawLine, Vec<u8>)> = vec![
                (RawLine::Whole, b"one".to_vec()),
                (RawLine::Whole, b"".to_vec()),
                (RawLine::Whole, b"two".to_vec()),
                (RawLine::TooLong, b"012345".to_vec()),
                (RawLine::Whole, b"last".to_vec()),
            ];
            assert_eq!(got, expected, "buffer of {buffer_bytes}");
        }
    }

    #[test]
    fn an_error_leaves_the_broken_line_in_the_buffer() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> Result<usize> {
                Err(ErrorKind::UnexpectedEof.into())
            }
        }
        let mut lines = Lines::new(BufReader::with_capacity(4, (&b"one\ntw"[..]).chain(Broken)), 100);
        assert_eq!(lines.advance().unwrap(), RawLine::Whole);
        assert_eq!(lines.advance().unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(lines.buffer(), b"tw");
    }

    #[test]
    fn a_pause_of_the_reader_changes_no_line() {
        /// One byte a read, and nothing for now before each.
        struct Halting<'a>(&'a [u8], bool);
        impl Read for Halting<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
                self.1 = !self.1;
                if self.1 { Err(ErrorKind::WouldBlock.into()) } else { self.0.read(&mut buffer[..1]) }
            }
        }
        let text = b"one\n\r\n0123456789\nlast";
        let mut lines = Lines::new(BufReader::new(Halting(text, false)), 6);
        let (mut got, mut pauses) = (Vec::new(), 0);
        loop {
            match lines.advance() {
                Ok(RawLine::End) => break,
                Ok(line) => got.push((line, lines.buffer().to_vec())),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    pauses += 1;
                }
            }
        }
        assert_eq!(got, all(text, 64, 6));
        assert!(pauses > text.len());
    }
}
