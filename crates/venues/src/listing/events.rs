//! One JSON line an event, in file order; numbers as the exact text of the frame.

use super::words::{sha256_hex, side_name};
use super::{Listener, ListingError, Place, Problem, walk};
use crate::message::{BookMsg, LevelNum, Message, Num, QuoteMsg, TradeMsg};
use crate::table::{ChecksumSign, Venue};
use feedd_model::{BookAction, UnixNanos, VenueSeq};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// A depth message with more levels on both sides together is cut to [`LEVELS_SHOWN`] a side.
const LEVELS_MAX: usize = 80;
/// Levels a side that are shown of a cut message.
const LEVELS_SHOWN: usize = 10;

/// What a listing held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Events written.
    pub events: u64,
    /// Frames without an event, written as `"kind":"none"` lines.
    pub frames_without_event: u64,
}

/// Writes every event of the capture at `path` to `out`, and one `"kind":"none"` line for each frame from the venue that
/// gave none. `venue`: `None` takes the name of the capture's folder.
///
/// # Errors
/// [`ListingError`] when the venue is unknown, the capture ends early or `out` refuses. Everything before has been
/// written. Bad lines and rejected frames go to `problems`.
pub fn list_events(
    path: &Path,
    venue: Option<&str>,
    out: &mut dyn Write,
    problems: &mut dyn FnMut(&Problem<'_>),
) -> Result<Listed, ListingError> {
    let mut lister = Lister { out, line: Vec::new(), listed: Listed::default(), written: Ok(()) };
    walk(path, venue, &mut lister, problems)?;
    lister.out.flush().map_err(ListingError::Write)?;
    Ok(lister.listed)
}

struct Lister<'a> {
    out: &'a mut dyn Write,
    line: Vec<u8>,
    listed: Listed,
    written: std::io::Result<()>,
}

impl Listener for Lister<'_> {
    fn message(&mut self, place: Place<'_>, sub: usize, frame: &str, message: &Message<'_>) {
        self.line.clear();
        let mut object = Object::open(&mut self.line);
        object.number("line", place.line);
        object.number("sub", sub);
        object.text("venue", place.venue.name);
        match message {
            Message::Trade(trade) => write_trade(&mut object, frame, trade),
            Message::Quote(quote) => write_quote(&mut object, frame, quote),
            Message::Book(book) => write_book(&mut object, place.venue, frame, book),
        }
        object.text("conn", place.conn);
        object.optional("recv_ns", place.recv_ns);
        if let Message::Book(book) = message {
            write_cut(&mut object, book);
        }
        object.close();
        self.listed.events += 1;
        self.write_line();
    }

    fn none(&mut self, place: Place<'_>, reason: &dyn std::fmt::Display) {
        self.line.clear();
        let mut object = Object::open(&mut self.line);
        object.number("line", place.line);
        object.text("venue", place.venue.name);
        object.text("kind", "none");
        object.text("reason", &reason.to_string());
        object.close();
        self.listed.frames_without_event += 1;
        self.write_line();
    }

    fn sent(&mut self, _: &str) {}

    fn check(&mut self) -> Result<(), ListingError> {
        std::mem::replace(&mut self.written, Ok(())).map_err(ListingError::Write)
    }
}

impl Lister<'_> {
    /// Writes the line unless an earlier one of the same frame failed; [`Listener::check`] reports that.
    fn write_line(&mut self) {
        if self.written.is_ok() {
            self.written = self.out.write_all(&self.line);
        }
    }
}

fn write_head(object: &mut Object<'_>, kind: &str, symbol: &str, times: [Option<UnixNanos>; 2]) {
    object.text("kind", kind);
    object.text("symbol", symbol);
    object.optional("exchange_ts", times[0].map(|time| time.0));
    object.optional("event_ts", times[1].map(|time| time.0));
}

fn write_trade(object: &mut Object<'_>, frame: &str, trade: &TradeMsg<'_>) {
    write_head(object, "trade", trade.symbol, [trade.exchange_ts, trade.event_ts]);
    object.text("price", trade.price.text(frame));
    object.text("size", trade.size.text(frame));
    object.optional_text("side", trade.side.map(side_name));
    let id = trade.id.to_string();
    object.optional_text("id", Some(id.as_str()).filter(|id| !id.is_empty()));
    write_seq(object, "seq", trade.seq);
    write_plain(object, frame, "price_plain", Some(trade.price));
    write_plain(object, frame, "size_plain", Some(trade.size));
    write_replay(object, trade.replay);
}

fn write_quote(object: &mut Object<'_>, frame: &str, quote: &QuoteMsg<'_>) {
    write_head(object, "quote", quote.symbol, [quote.exchange_ts, quote.event_ts]);
    let text = |num: Option<Num>| num.map(|num| num.text(frame));
    object.optional_text("bid", text(quote.bid));
    object.optional_text("bid_size", text(quote.bid_size));
    object.optional_text("ask", text(quote.ask));
    object.optional_text("ask_size", text(quote.ask_size));
    write_seq(object, "seq", quote.seq);
    write_plain(object, frame, "bid_plain", quote.bid);
    write_plain(object, frame, "bid_size_plain", quote.bid_size);
    write_plain(object, frame, "ask_plain", quote.ask);
    write_plain(object, frame, "ask_size_plain", quote.ask_size);
    write_replay(object, quote.replay);
}

fn write_book(object: &mut Object<'_>, venue: &Venue, frame: &str, book: &BookMsg<'_>) {
    write_head(object, "book", book.symbol, [book.exchange_ts, book.event_ts]);
    object.text("action", if book.action == BookAction::Snapshot { "snapshot" } else { "delta" });
    let shown = if is_cut(book) { LEVELS_SHOWN } else { LEVELS_MAX };
    let (bids, asks) = (&book.bids[..book.bids.len().min(shown)], &book.asks[..book.asks.len().min(shown)]);
    write_levels(object, frame, "bids", bids);
    write_levels(object, frame, "asks", asks);
    write_seq(object, "seq_first", book.seq_first);
    write_seq(object, "seq_last", book.seq_last);
    write_seq(object, "seq_prev", book.seq_prev);
    object.optional_text("checksum", book.checksum.map(|sum| checksum_text(venue, sum)).as_deref());
    write_plain_levels(object, frame, bids, asks);
    write_replay(object, book.replay);
}

/// As the venue prints it.
fn checksum_text(venue: &Venue, bits: u32) -> String {
    match venue.checksum {
        ChecksumSign::Unsigned => bits.to_string(),
        ChecksumSign::Signed => bits.cast_signed().to_string(),
    }
}

fn is_cut(book: &BookMsg<'_>) -> bool {
    book.bids.len() + book.asks.len() > LEVELS_MAX
}

fn write_levels(object: &mut Object<'_>, frame: &str, name: &str, levels: &[LevelNum]) {
    object.name(name);
    object.out.push(b'[');
    for (at, level) in levels.iter().enumerate() {
        object.out.extend_from_slice(if at == 0 { b"[" } else { b", [" });
        string(object.out, level.price.text(frame));
        object.out.extend_from_slice(b", ");
        string(object.out, level.size.text(frame));
        object.out.push(b']');
    }
    object.out.push(b']');
}

/// What the cut levels were: counts, and a digest over all of them, one `b|a price size` a level, LF between them.
fn write_cut(object: &mut Object<'_>, book: &BookMsg<'_>) {
    if !is_cut(book) {
        return;
    }
    let mut hash = Sha256::new();
    let sides = [("b", book.bids), ("a", book.asks)];
    for (at, (side, level)) in sides.iter().flat_map(|(side, levels)| levels.iter().map(move |l| (side, l))).enumerate()
    {
        let (price, size) = (level.price.value.canonical(), level.size.value.canonical());
        hash.update(format!("{}{side} {price} {size}", if at == 0 { "" } else { "\n" }));
    }
    object.number("bids_n", book.bids.len());
    object.number("asks_n", book.asks.len());
    object.text("levels_sha256", &sha256_hex(hash));
    object.number("truncated", true);
}

fn has_exponent(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'e' | b'E'))
}

fn write_plain(object: &mut Object<'_>, frame: &str, name: &str, num: Option<Num>) {
    if let Some(num) = num.filter(|num| has_exponent(num.text(frame))) {
        object.text(name, &num.value.to_string());
    }
}

/// `plain`: from each text with an exponent that is shown to its plain notation.
fn write_plain_levels(object: &mut Object<'_>, frame: &str, bids: &[LevelNum], asks: &[LevelNum]) {
    let numbers = bids.iter().chain(asks).flat_map(|level| [level.price, level.size]);
    let mut exponents = numbers.filter(|num| has_exponent(num.text(frame))).peekable();
    if exponents.peek().is_none() {
        return;
    }
    object.name("plain");
    let mut seen = std::collections::BTreeSet::new();
    let mut plain = Object::open(object.out);
    for num in exponents.filter(|num| seen.insert(num.text(frame))) {
        plain.text(num.text(frame), &num.value.to_string());
    }
    plain.end();
}

fn write_seq(object: &mut Object<'_>, name: &str, seq: Option<VenueSeq>) {
    object.optional_text(name, seq.map(|seq| seq.to_string()).as_deref());
}

fn write_replay(object: &mut Object<'_>, replay: bool) {
    if replay {
        object.number("replay", true);
    }
}

/// A JSON object being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn name(&mut self, name: &str) {
        if !self.empty {
            self.out.extend_from_slice(b", ");
        }
        self.empty = false;
        string(self.out, name);
        self.out.extend_from_slice(b": ");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(self.out, value);
    }

    /// A value whose own text is JSON: a number, `true`.
    fn number(&mut self, name: &str, value: impl std::fmt::Display) {
        self.name(name);
        self.out.extend_from_slice(value.to_string().as_bytes());
    }

    fn optional(&mut self, name: &str, value: Option<i64>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.number(name, "null"),
        }
    }

    fn optional_text(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.number(name, "null"),
        }
    }

    fn end(self) {
        self.out.push(b'}');
    }

    /// Ends the line too.
    fn close(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory cannot fail; a short write would show up as broken JSON in every test.
    let _ = serde_json::to_writer(out, text);
}
