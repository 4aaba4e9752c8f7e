//! One summary of a whole capture: counts, exact sums and digests, to compare two decoders by.

use super::symbols::SymbolSummary;
use super::words::{sha256_hex, side_name};
use super::{Listener, ListingError, Place, Problem, walk};
use crate::message::{BookMsg, LevelNum, Message, Num, QuoteMsg, TradeMsg};
use crate::table::SymbolScope;
use feedd_model::{BookAction, Decimal, UnixNanos};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// A whole capture in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The capture's folder and name.
    pub file: String,
    /// Frames from the venue.
    pub frames_in: u64,
    /// Frames from the recorder.
    pub frames_out: u64,
    /// Events by kind.
    pub events: BTreeMap<&'static str, u64>,
    /// SHA-256 over one line an event, by kind. The lines: `T|symbol|time|price|size|side|id`,
    /// `Q|symbol|time|bid|bid_size|ask|ask_size`, `B|symbol|time|s or d|price@size,..|price@size,..`; canonical decimals,
    /// `None` for no time, `-` for other missing values. The symbols are as sent.
    pub digest_sha256: BTreeMap<&'static str, String>,
    /// Frames from the venue without an event, by reason.
    pub frames_without_event: BTreeMap<String, u64>,
    /// Counts and sums by symbol: `connection/symbol` where a symbol alone does not name an instrument
    /// ([`SymbolScope::Connection`]).
    pub symbols: BTreeMap<String, SymbolSummary>,
}

/// Reads the whole capture at `path`. `venue`: `None` takes the name of the capture's folder.
///
/// # Errors
/// [`ListingError`] when the venue is unknown or the capture ends early. Bad lines and rejected frames go to `problems`;
/// rejected frames count as frames without an event.
pub fn summarize(
    path: &Path,
    venue: Option<&str>,
    problems: &mut dyn FnMut(&Problem<'_>),
) -> Result<Summary, ListingError> {
    let mut summarizer = Summarizer::default();
    walk(path, venue, &mut summarizer, problems)?;
    Ok(summarizer.finish(path))
}

#[derive(Default)]
struct Summarizer {
    frames_in: u64,
    frames_out: u64,
    last_line: Option<u64>,
    kinds: BTreeMap<&'static str, Kind>,
    frames_without_event: BTreeMap<String, u64>,
    symbols: BTreeMap<String, SymbolSummary>,
    /// Name under which the symbol at hand is summed up.
    symbol: String,
    text: String,
}

#[derive(Default)]
struct Kind {
    events: u64,
    digest: Sha256,
}

impl Listener for Summarizer {
    fn message(&mut self, place: Place<'_>, _: usize, _: &str, message: &Message<'_>) {
        if self.last_line.replace(place.line) != Some(place.line) {
            self.frames_in += 1;
        }
        self.symbol.clear();
        if place.venue.symbol_scope == SymbolScope::Connection {
            self.symbol.extend([place.conn, "/"]);
        }
        self.symbol.push_str(message.symbol());
        self.text.clear();
        let kind = match message {
            Message::Trade(trade) => digest_trade(&mut self.text, trade),
            Message::Quote(quote) => digest_quote(&mut self.text, quote),
            Message::Book(book) => digest_book(&mut self.text, book),
        };
        let kind = self.kinds.entry(kind).or_default();
        kind.events += 1;
        kind.digest.update(self.text.as_bytes());
        if !self.symbols.contains_key(&self.symbol) {
            self.symbols.insert(self.symbol.clone(), SymbolSummary::default());
        }
        if let Some(symbol) = self.symbols.get_mut(&self.symbol) {
            symbol.add(message);
        }
    }

    fn none(&mut self, _: Place<'_>, reason: &dyn std::fmt::Display) {
        self.frames_in += 1;
        *self.frames_without_event.entry(reason.to_string()).or_default() += 1;
    }

    fn sent(&mut self, _: &str) {
        self.frames_out += 1;
    }

    fn check(&mut self) -> Result<(), ListingError> {
        Ok(())
    }
}

impl Summarizer {
    fn finish(self, path: &Path) -> Summary {
        Summary {
            file: file_name(path),
            frames_in: self.frames_in,
            frames_out: self.frames_out,
            events: self.kinds.iter().map(|(name, kind)| (*name, kind.events)).collect(),
            digest_sha256: self.kinds.into_iter().map(|(name, kind)| (name, sha256_hex(kind.digest))).collect(),
            frames_without_event: self.frames_without_event,
            symbols: self.symbols,
        }
    }
}

/// Folder and name, which is how captures are named wherever they lie.
fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match crate::capture::venue_of(path) {
        Some(folder) => format!("{folder}/{name}"),
        None => name.into_owned(),
    }
}

// Writing to a `String` cannot fail, so the results of `write!` below say nothing.

fn digest_trade(out: &mut String, trade: &TradeMsg<'_>) -> &'static str {
    let _ = write!(out, "T|{}|", trade.symbol);
    push_time(out, trade.exchange_ts);
    push_decimal(out, Some(trade.price));
    push_decimal(out, Some(trade.size));
    let id = trade.id.to_string();
    let id = if id.is_empty() { "-" } else { &id };
    let _ = writeln!(out, "|{}|{id}", trade.side.map_or("-", side_name));
    "trade"
}

fn digest_quote(out: &mut String, quote: &QuoteMsg<'_>) -> &'static str {
    let _ = write!(out, "Q|{}|", quote.symbol);
    push_time(out, quote.exchange_ts);
    for num in [quote.bid, quote.bid_size, quote.ask, quote.ask_size] {
        push_decimal(out, num);
    }
    out.push('\n');
    "quote"
}

fn digest_book(out: &mut String, book: &BookMsg<'_>) -> &'static str {
    let _ = write!(out, "B|{}|", book.symbol);
    push_time(out, book.exchange_ts);
    out.push_str(if book.action == BookAction::Snapshot { "|s" } else { "|d" });
    push_levels(out, book.bids);
    push_levels(out, book.asks);
    out.push('\n');
    "book"
}

fn push_time(out: &mut String, time: Option<UnixNanos>) {
    match time {
        Some(time) => {
            let _ = write!(out, "{}", time.0);
        }
        None => out.push_str("None"),
    }
}

fn push_decimal(out: &mut String, num: Option<Num>) {
    out.push('|');
    match num {
        Some(num) => push_canonical(out, num.value),
        None => out.push('-'),
    }
}

fn push_levels(out: &mut String, levels: &[LevelNum]) {
    out.push('|');
    for (at, level) in levels.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_canonical(out, level.price.value);
        out.push('@');
        push_canonical(out, level.size.value);
    }
}

fn push_canonical(out: &mut String, value: Decimal) {
    let _ = write!(out, "{}", value.canonical());
}
