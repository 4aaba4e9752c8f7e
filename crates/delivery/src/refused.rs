//! Refused events as lines of a quarantine file: one JSON object a line.
//!
//! A line holds the identity, the reason and every field for people, and the 64 bytes of the event, from which it is made
//! again exactly. Both must say the same, or the line counts as damaged. A derived record is one line, with the bytes of all
//! its slots and the identity of the first.

use crate::shown::{Shown, event_fields};
use feedd_core::Instruments;
use feedd_model::{Derived, Epoch, Event, SLOTS_MAX, Seq, StreamId, UnixNanos};
use serde_json::Value;
use std::sync::Arc;

/// Format of a line; a newer one is refused.
pub(crate) const VERSION: u32 = 1;

/// Which event of a record: stream, start, place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// Place in it.
    pub seq: Seq,
}

impl Identity {
    /// This and those that follow it, `count` in all.
    fn and_following(self, count: usize) -> impl Iterator<Item = Self> {
        (self.seq.0..self.seq.0.saturating_add(count as u64)).map(move |seq| Self { seq: Seq(seq), ..self })
    }
}

/// An event, or a derived record, that a sink will never take.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// Place in it; of a derived record, that of its first slot.
    pub seq: Seq,
    /// The event, or the slots of a derived record in order.
    pub events: Vec<Event>,
    /// The sink's words.
    pub reason: String,
}

impl Refused {
    /// Which event it is, or with which the record begins.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        Identity { stream: self.stream, epoch: self.epoch, seq: self.seq }
    }

    /// Which events they are.
    pub fn identities(&self) -> impl Iterator<Item = Identity> + use<> {
        self.identity().and_following(self.events.len())
    }
}

/// One kept event or derived record, as read from a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Line of the file, from 1.
    pub line: u64,
    /// Which event, or the first of which slots.
    pub identity: Identity,
    /// Sink that refused it.
    pub sink: String,
    /// When.
    pub refused_at: UnixNanos,
    /// Why.
    pub reason: String,
    /// Venue of the instrument; `None` when the event concerns a whole connection.
    pub venue: Option<String>,
    /// Symbol of the instrument; `None` when the event concerns a whole connection.
    pub symbol: Option<String>,
    /// Every field by its name, as in the line: `kind`, `price`, `size`, ...
    pub fields: Value,
    /// The event itself, or the slots of the derived record.
    pub events: Vec<Event>,
    /// Whether it still waits.
    pub state: EntryState,
}

impl Entry {
    /// Which events they are.
    pub fn identities(&self) -> impl Iterator<Item = Identity> + use<> {
        self.identity.and_following(self.events.len())
    }
}

/// Whether a kept event still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryState {
    /// It is in the quarantine alone.
    Pending,
    /// The sink has taken it since.
    Retried {
        /// When.
        at: UnixNanos,
    },
}

/// A line as it stands in the file; the order of the fields is the order in the text.
#[derive(serde::Serialize, serde::Deserialize)]
struct KeptLine<E> {
    version: u32,
    sink: String,
    stream: u32,
    epoch: u32,
    seq: u64,
    refused_at: i64,
    reason: String,
    venue: Option<Arc<str>>,
    symbol: Option<Arc<str>>,
    event: E,
    bytes: String,
}

/// The line that says that an entry is stored.
#[derive(serde::Serialize, serde::Deserialize)]
struct MarkLine {
    version: u32,
    stored: MarkIdentity,
    at: i64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct MarkIdentity {
    stream: u32,
    epoch: u32,
    seq: u64,
}

/// What every line begins with, and what tells the two apart.
#[derive(serde::Deserialize)]
struct Probe {
    version: u32,
    stored: Option<serde::de::IgnoredAny>,
}

/// What a line says.
pub(crate) enum Line {
    Kept(Box<Entry>),
    Stored(Identity, UnixNanos),
}

/// Why a line cannot be read.
pub(crate) enum BadLine {
    Damaged(String),
    Newer(u32),
}

/// Appends the line of a refused event.
///
/// # Errors
/// When JSON cannot hold it, which no value of these types causes.
pub(crate) fn write_kept(
    out: &mut Vec<u8>,
    refused: &Refused,
    sink: &str,
    at: UnixNanos,
    instruments: &Instruments,
) -> serde_json::Result<()> {
    let instrument = refused.events.first().and_then(|event| instruments.get(event.instrument()));
    let line = KeptLine {
        version: VERSION,
        sink: sink.to_owned(),
        stream: refused.stream.0,
        epoch: refused.epoch.0,
        seq: refused.seq.0,
        refused_at: at.0,
        reason: refused.reason.clone(),
        venue: instrument.as_ref().map(|instrument| instrument.venue.clone()),
        symbol: instrument.map(|instrument| instrument.symbol),
        event: Shown::of(&refused.events),
        bytes: refused.events.iter().map(|event| hex(&event.to_bytes())).collect(),
    };
    serde_json::to_writer(&mut *out, &line)?;
    out.push(b'\n');
    Ok(())
}

/// Appends the line that says that an event is stored.
///
/// # Errors
/// As [`write_kept`].
pub(crate) fn write_mark(out: &mut Vec<u8>, identity: Identity, at: UnixNanos) -> serde_json::Result<()> {
    let stored = MarkIdentity { stream: identity.stream.0, epoch: identity.epoch.0, seq: identity.seq.0 };
    serde_json::to_writer(&mut *out, &MarkLine { version: VERSION, stored, at: at.0 })?;
    out.push(b'\n');
    Ok(())
}

/// Reads a line; `number` counts from 1. The entry's state is not known from its own line.
pub(crate) fn read_line(text: &[u8], number: u64) -> Result<Line, BadLine> {
    let damaged = |error: serde_json::Error| BadLine::Damaged(error.to_string());
    let probe: Probe = serde_json::from_slice(text).map_err(damaged)?;
    if probe.version > VERSION {
        return Err(BadLine::Newer(probe.version));
    }
    if probe.stored.is_some() {
        let MarkLine { stored, at, .. } = serde_json::from_slice(text).map_err(damaged)?;
        let identity = Identity { stream: StreamId(stored.stream), epoch: Epoch(stored.epoch), seq: Seq(stored.seq) };
        return Ok(Line::Stored(identity, UnixNanos(at)));
    }
    let line: KeptLine<Value> = serde_json::from_slice(text).map_err(damaged)?;
    let events = events_of(&line.bytes).ok_or_else(|| BadLine::Damaged("\"bytes\" are no event".to_owned()))?;
    if event_fields(&events).map_err(damaged)? != line.event {
        return Err(BadLine::Damaged("\"event\" and \"bytes\" differ".to_owned()));
    }
    Ok(Line::Kept(Box::new(Entry {
        line: number,
        identity: Identity { stream: StreamId(line.stream), epoch: Epoch(line.epoch), seq: Seq(line.seq) },
        sink: line.sink,
        refused_at: UnixNanos(line.refused_at),
        reason: line.reason,
        venue: line.venue.map(|venue| venue.to_string()),
        symbol: line.symbol.map(|symbol| symbol.to_string()),
        fields: line.event,
        events,
        state: EntryState::Pending,
    })))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One event, or the slots of one record.
fn events_of(text: &str) -> Option<Vec<Event>> {
    let (pieces, rest) = text.as_bytes().as_chunks::<128>();
    if !rest.is_empty() || !(1..=SLOTS_MAX).contains(&pieces.len()) {
        return None;
    }
    let event = |piece: &[u8; 128]| unhex(piece).and_then(|bytes| Event::from_bytes(&bytes));
    let events: Vec<Event> = pieces.iter().map(event).collect::<Option<_>>()?;
    (events.len() == 1 || Derived::from_events(&events).is_ok()).then_some(events)
}

fn unhex(text: &[u8; 128]) -> Option<[u8; 64]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 64];
    let (pairs, _) = text.as_chunks::<2>();
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}
