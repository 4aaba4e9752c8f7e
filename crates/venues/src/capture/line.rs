//! One line of a capture: its fields, and the frame's exact text.

use crate::decoder::FRAME_BYTES_MAX;
use crate::scan::{JsonError, Scanner, Token, TokenKind, unescape};

/// One line. Borrowed from the reader, whose buffers are used again for the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureLine<'a> {
    /// Line in the file, from 1.
    pub number: u64,
    /// Nanoseconds since 1970 UTC when the bytes left the socket; `None` when the recording does not know.
    pub recv_ns: Option<i64>,
    /// Connection within the session.
    pub conn: &'a str,
    /// Which way the frame went.
    pub dir: Direction,
    /// Exact text of the frame.
    pub frame: &'a str,
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the venue.
    In,
    /// From the recorder: a subscription, or `GET <url>`.
    Out,
    /// About the connection itself: opened, closed, pinged.
    Control,
}

/// What is wrong with a line. The names are stable, counters carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Not one JSON object.
    #[error("not a JSON object")]
    NotJson,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Longer than any frame that is decoded.
    #[error("line or frame too large (limit 16 MiB a frame)")]
    TooLarge,
    /// A field is not there.
    #[error("field `{0}` is missing")]
    MissingField(&'static str),
    /// A field holds something else than it must.
    #[error("field `{0}` has a value that cannot be used")]
    BadField(&'static str),
    /// The file ends in the middle of the line.
    #[error("incomplete last line")]
    Incomplete,
}

impl LineFault {
    /// The name as counted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::MissingField(_) => "missing_field",
            Self::BadField(_) => "bad_field",
            Self::Incomplete => "incomplete",
        }
    }
}

impl From<JsonError> for LineFault {
    fn from(_: JsonError) -> Self {
        Self::NotJson
    }
}

/// The fields of a line before they are checked.
#[derive(Default)]
struct Fields {
    recv_ns: Token,
    conn: Token,
    dir: Token,
    frame: Token,
}

/// Buffers for the unescaped texts; they keep their room between lines.
#[derive(Debug, Default)]
pub(super) struct LineTexts {
    conn: String,
    frame: String,
}

/// Reads one line. Unknown keys are skipped; of a duplicate key the last one counts.
pub(super) fn parse<'a>(bytes: &[u8], number: u64, texts: &'a mut LineTexts) -> Result<CaptureLine<'a>, LineFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| LineFault::NotUtf8)?;
    let fields = read_fields(text)?;
    let recv_ns = receive_time(text, fields.recv_ns)?;
    let dir = direction(text, fields.dir)?;
    string(text, fields.conn, "conn", &mut texts.conn)?;
    string(text, fields.frame, "frame", &mut texts.frame)?;
    if texts.frame.len() > FRAME_BYTES_MAX {
        return Err(LineFault::TooLarge);
    }
    Ok(CaptureLine { number, recv_ns, conn: &texts.conn, dir, frame: &texts.frame })
}

fn read_fields(text: &str) -> Result<Fields, JsonError> {
    let mut scanner = Scanner::new(text)?;
    let mut fields = Fields::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        match key.bytes(text) {
            b"recv_ns" => fields.recv_ns = value,
            b"conn" => fields.conn = value,
            b"dir" => fields.dir = value,
            b"frame" => fields.frame = value,
            _ => {}
        }
        more = scanner.next_member()?;
    }
    scanner.end()?;
    Ok(fields)
}

fn receive_time(text: &str, token: Token) -> Result<Option<i64>, LineFault> {
    match token.kind {
        TokenKind::Absent => Err(LineFault::MissingField("recv_ns")),
        TokenKind::Null => Ok(None),
        // `i64::MIN` stands for "unknown" inside events, so it is not a time.
        TokenKind::Number => match token.text(text).parse() {
            Ok(i64::MIN) | Err(_) => Err(LineFault::BadField("recv_ns")),
            Ok(nanos) => Ok(Some(nanos)),
        },
        _ => Err(LineFault::BadField("recv_ns")),
    }
}

fn direction(text: &str, token: Token) -> Result<Direction, LineFault> {
    match (token.kind, token.bytes(text)) {
        (TokenKind::Absent, _) => Err(LineFault::MissingField("dir")),
        (TokenKind::String, b"in") => Ok(Direction::In),
        (TokenKind::String, b"out") => Ok(Direction::Out),
        (TokenKind::String, b"ctl") => Ok(Direction::Control),
        _ => Err(LineFault::BadField("dir")),
    }
}

fn string(text: &str, token: Token, field: &'static str, out: &mut String) -> Result<(), LineFault> {
    out.clear();
    match token.kind {
        TokenKind::String => unescape(token.text(text), out).map_err(|_| LineFault::BadField(field)),
        TokenKind::Absent => Err(LineFault::MissingField(field)),
        _ => Err(LineFault::BadField(field)),
    }
}
