//! Refused events as lines of a quarantine file: one JSON object a line.
//!
//! A line holds the identity, the reason and every field for people, and the 64 bytes of the event, from which it is made
//! again exactly. Both must say the same, or the line counts as damaged.

use feedd_core::Instruments;
use feedd_model::{
    BookAction, Decimal, Epoch, Event, EventBody, Flags, Seq, Side, StreamId, TradeId, UnixNanos, VenueSeq,
};
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

/// An event that a sink will never take.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Recorded stream.
    pub stream: StreamId,
    /// Start of the stream.
    pub epoch: Epoch,
    /// Place in it.
    pub seq: Seq,
    /// The event.
    pub event: Event,
    /// The sink's words.
    pub reason: String,
}

impl Refused {
    /// Which event it is.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        Identity { stream: self.stream, epoch: self.epoch, seq: self.seq }
    }
}

/// One kept event, as read from a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Line of the file, from 1.
    pub line: u64,
    /// Which event.
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
    /// The event itself.
    pub event: Event,
    /// Whether it still waits.
    pub state: EntryState,
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
    let instrument = instruments.get(refused.event.instrument());
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
        event: Shown::of(&refused.event),
        bytes: hex(&refused.event.to_bytes()),
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
    let event = unhex(&line.bytes).and_then(|bytes| Event::from_bytes(&bytes));
    let event = event.ok_or_else(|| BadLine::Damaged("\"bytes\" are no event".to_owned()))?;
    if event_fields(&event).map_err(damaged)? != line.event {
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
        event,
        state: EntryState::Pending,
    })))
}

/// Every field of an event by its name, as the lines of a quarantine show it under `event`.
///
/// # Errors
/// When JSON cannot hold it, which no value of these types causes.
pub fn event_fields(event: &Event) -> serde_json::Result<Value> {
    serde_json::to_value(Shown::of(event))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 64]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 64];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

/// An event with every field by its name, as the datasets name their columns. Decimals are exact texts, as printed by the
/// venue; times are nanoseconds since 1970; what is absent is null.
#[derive(serde::Serialize)]
struct Shown {
    instrument: u32,
    venue_ts: Option<i64>,
    recv_ts: Option<i64>,
    flags: Vec<&'static str>,
    #[serde(flatten)]
    body: ShownBody,
}

#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ShownBody {
    Trade {
        price: String,
        size: String,
        side: Option<&'static str>,
        trade_id: Option<String>,
    },
    Quote {
        bid: Option<String>,
        bid_size: Option<String>,
        ask: Option<String>,
        ask_size: Option<String>,
        venue_seq: Option<i64>,
    },
    Book {
        action: &'static str,
        seq_first: Option<i64>,
        seq_last: Option<i64>,
        seq_prev: Option<i64>,
        checksum: Option<u32>,
        bids: u32,
        asks: u32,
    },
    Level {
        action: &'static str,
        side: &'static str,
        price: String,
        size: String,
        venue_seq: Option<i64>,
        level: u32,
    },
    Gap {
        reason: &'static str,
        first_missing: Option<i64>,
        last_missing: Option<i64>,
        from_ts: Option<i64>,
        to_ts: Option<i64>,
        events: Option<u64>,
    },
    Status {
        code: &'static str,
        detail: u64,
    },
}

impl Shown {
    fn of(event: &Event) -> Self {
        let head = event.head();
        let flags = Flags::NAMES.iter().enumerate();
        Self {
            instrument: head.instrument.0,
            venue_ts: nanos(head.venue_ts),
            recv_ts: nanos(head.recv_ts),
            flags: flags.filter(|(bit, _)| head.flags.bits() >> bit & 1 == 1).map(|(_, &name)| name).collect(),
            body: ShownBody::of(event.body()),
        }
    }
}

impl ShownBody {
    fn of(body: EventBody) -> Self {
        match body {
            EventBody::Trade(trade) => Self::Trade {
                price: trade.price.to_string(),
                size: trade.size.to_string(),
                side: trade.side.map(|side| if side == Side::Buy { "buy" } else { "sell" }),
                trade_id: (trade.id != TradeId::None).then(|| trade.id.to_string()),
            },
            EventBody::Quote(quote) => Self::Quote {
                bid: text(quote.bid),
                bid_size: text(quote.bid_size),
                ask: text(quote.ask),
                ask_size: text(quote.ask_size),
                venue_seq: number(quote.venue_seq),
            },
            EventBody::Book(book) => Self::Book {
                action: action(book.action),
                seq_first: number(book.seq_first),
                seq_last: number(book.seq_last),
                seq_prev: number(book.seq_prev),
                checksum: book.checksum,
                bids: book.bids,
                asks: book.asks,
            },
            EventBody::Level(level) => Self::Level {
                action: action(level.action),
                side: if level.side == Side::Buy { "bid" } else { "ask" },
                price: level.price.to_string(),
                size: level.size.to_string(),
                venue_seq: number(level.venue_seq),
                level: level.index,
            },
            EventBody::Gap(gap) => Self::Gap {
                reason: gap.reason.name(),
                first_missing: number(gap.first_missing),
                last_missing: number(gap.last_missing),
                from_ts: nanos(gap.from_ts),
                to_ts: nanos(gap.to_ts),
                events: gap.events,
            },
            EventBody::Status(status) => Self::Status { code: status.code.name(), detail: status.detail },
        }
    }
}

fn text(value: Option<Decimal>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn number(seq: Option<VenueSeq>) -> Option<i64> {
    seq.map(|seq| seq.0)
}

fn nanos(time: Option<UnixNanos>) -> Option<i64> {
    time.map(|time| time.0)
}

fn action(action: BookAction) -> &'static str {
    match action {
        BookAction::Snapshot => "snapshot",
        BookAction::Delta => "delta",
    }
}
