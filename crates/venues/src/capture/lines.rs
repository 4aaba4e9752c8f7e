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
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R, line_bytes_max: usize) -> Self {
        Self { reader, buffer: Vec::new(), line_bytes_max }
    }

    /// The bytes of the last line; after an error, of the line that the error broke off.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the next line. The last one may lack its line feed.
    pub(super) fn advance(&mut self) -> Result<RawLine> {
        self.buffer.clear();
        let (mut too_long, mut any) = (false, false);
        loop {
            let available = match self.reader.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let end = memchr(available);
            let piece = &available[..end.unwrap_or(available.len())];
            let room = self.line_bytes_max - self.buffer.len();
            too_long |= piece.len() > room;
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
        Ok(match (too_long, any) {
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
}
