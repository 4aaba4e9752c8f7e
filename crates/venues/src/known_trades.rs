//! Which trades are stored, of every instrument of the live sources: kept from one start to the next.
//!
//! [`KnownFile`] is what stands on the disk: everything up to a position of the journal. What the journal holds behind it is
//! noted at the next start, before anything is recorded; then [`EarlierTrades`] hands it to the checkers.

use crate::check::{KnownTrades, TradeIds};
use feedd_model::{Epoch, Event, Flags, InstrumentId, Position, Seq, StreamId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Format of the file; another one is not read.
const FORMAT: u32 = 1;

/// How each source of a start numbers its trades, by the source's number; `None` for one that is not live: what a recording
/// or a simulation plays is not what the venue sends.
pub type SourceRules = Vec<Option<TradeIds>>;

/// What is stored up to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// Of this stream.
    pub stream: StreamId,
    /// Up to here; a start without events has sequence 0.
    pub at: Position,
    /// Nothing follows in that start.
    pub is_ended: bool,
    /// The sources of that start.
    pub rules: SourceRules,
    /// By instrument.
    pub trades: BTreeMap<InstrumentId, KnownTrades>,
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KnownFileError {
    /// Not whole, or changed since it was written.
    #[error("its checksum does not hold")]
    Checksum,
    /// Whole, but of another version.
    #[error("written by another version of feedd (this one knows format {FORMAT})")]
    Version,
    /// Whole, and not what this program writes.
    #[error("line {line} is not what feedd writes")]
    Line {
        /// Counted from 1.
        line: usize,
    },
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Head {
    format: u32,
    stream: u32,
    epoch: u32,
    seq: u64,
    ended: bool,
    rules: Vec<Option<String>>,
}

impl KnownFile {
    /// Nothing is known at the begin of a start.
    #[must_use]
    pub const fn new(stream: StreamId, epoch: Epoch, rules: SourceRules) -> Self {
        let at = Position { epoch, seq: Seq(0) };
        Self { stream, at, is_ended: false, rules, trades: BTreeMap::new() }
    }

    /// Notes an event that is stored; those that are no trade are of no consequence.
    pub fn note(&mut self, rule: TradeIds, event: &Event) {
        let Some(trade) = event.trade() else { return };
        let known = self.trades.entry(event.instrument()).or_insert_with(|| KnownTrades::new(rule));
        if known.rule() != rule {
            *known = KnownTrades::new(rule);
        }
        let recv_ts = event.recv_ts().filter(|_| !event.flags().contains(Flags::BACKFILLED));
        known.note(trade.id, event.venue_ts(), recv_ts);
    }

    /// JSON Lines: a head, a line an instrument, and the checksum of these.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Position { epoch, seq } = self.at;
        let rules = self.rules.iter().map(|rule| rule.map(|rule| rule.name().to_owned()));
        let (format, stream, rules) = (FORMAT, self.stream.0, rules.collect());
        let head = Head { format, stream, epoch: epoch.0, seq: seq.0, ended: self.is_ended, rules };
        let mut text = serde_json::json!(head).to_string();
        text.push('\n');
        for (instrument, known) in &self.trades {
            text.push_str(&serde_json::json!({"instrument": instrument.0, "trades": known.to_json()}).to_string());
            text.push('\n');
        }
        let checksum = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("{{\"crc32\":{checksum}}}\n"));
        text
    }

    /// Reads what [`KnownFile::to_text`] gave.
    ///
    /// # Errors
    /// [`KnownFileError`].
    pub fn parse(text: &[u8]) -> Result<Self, KnownFileError> {
        let body = text.strip_suffix(b"\n").ok_or(KnownFileError::Checksum)?;
        let end = body.iter().rposition(|byte| *byte == b'\n').ok_or(KnownFileError::Checksum)? + 1;
        let (body, last) = body.split_at(end);
        let sum = serde_json::from_slice::<serde_json::Value>(last).ok().and_then(|last| last["crc32"].as_u64());
        if sum != Some(u64::from(crc32fast::hash(body))) {
            return Err(KnownFileError::Checksum);
        }
        let mut lines = body.split(|byte| *byte == b'\n').zip(1..).filter(|(line, _)| !line.is_empty());
        let (head, _) = lines.next().ok_or(KnownFileError::Line { line: 1 })?;
        let head: serde_json::Value = serde_json::from_slice(head).map_err(|_| KnownFileError::Line { line: 1 })?;
        if head["format"] != FORMAT {
            return Err(KnownFileError::Version);
        }
        let mut file = of_head(head).ok_or(KnownFileError::Line { line: 1 })?;
        for (text, line) in lines {
            let (instrument, known) = instrument_of(text).ok_or(KnownFileError::Line { line })?;
            file.trades.insert(instrument, known);
        }
        Ok(file)
    }
}

fn of_head(head: serde_json::Value) -> Option<KnownFile> {
    let head: Head = serde_json::from_value(head).ok()?;
    let rule = |name: Option<String>| match name {
        None => Some(None),
        Some(name) => TradeIds::from_name(&name).map(Some),
    };
    let rules = head.rules.into_iter().map(rule).collect::<Option<_>>()?;
    let at = Position { epoch: Epoch(head.epoch), seq: Seq(head.seq) };
    Some(KnownFile { stream: StreamId(head.stream), at, is_ended: head.ended, rules, trades: BTreeMap::new() })
}

fn instrument_of(line: &[u8]) -> Option<(InstrumentId, KnownTrades)> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let instrument = u32::try_from(line["instrument"].as_u64()?).ok()?;
    Some((InstrumentId(instrument), KnownTrades::from_json(&line["trades"])?))
}

/// What earlier starts have stored, for the checkers of this one: each instrument's once.
#[derive(Debug, Default)]
pub struct EarlierTrades(Mutex<FxHashMap<(String, String), KnownTrades>>);

impl EarlierTrades {
    /// Lays an instrument's ready, by venue and symbol.
    pub fn put(&self, venue: &str, symbol: &str, known: KnownTrades) {
        self.all().insert((venue.to_owned(), symbol.to_owned()), known);
    }

    /// An instrument's. It stays: another source may record the same.
    #[must_use]
    pub fn of(&self, venue: &str, symbol: &str) -> Option<KnownTrades> {
        self.all().get(&(venue.to_owned(), symbol.to_owned())).cloned()
    }

    fn all(&self) -> std::sync::MutexGuard<'_, FxHashMap<(String, String), KnownTrades>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
