//! What an event says: its head, its kinds and their fields. How they fit into 64 bytes: [`crate::Event`].

use crate::decimal::Decimal;
use crate::ids::{InstrumentId, VenueSeq};
use crate::slots::Slot;
use crate::time::UnixNanos;
use std::fmt;

/// What every kind of event carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventHead {
    /// Whose event it is; [`InstrumentId::NONE`] for a whole connection.
    pub instrument: InstrumentId,
    /// The venue's clock: transaction time where the venue states one.
    pub venue_ts: Option<UnixNanos>,
    /// Our clock when the bytes left the socket; unknown for recordings without receive time.
    pub recv_ts: Option<UnixNanos>,
    /// Doubts about the event.
    pub flags: Flags,
}

/// Quality flags, a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No doubt.
    pub const NONE: Self = Self(0);
    /// First event of its instrument after a gap.
    pub const AFTER_GAP: Self = Self(1);
    /// Sent again by the venue after a subscription: from before it.
    pub const REPLAYED: Self = Self(2);
    /// Fetched later by us to fill a gap.
    pub const BACKFILLED: Self = Self(4);
    /// The receive time does not continue the one before it: our clock was set since ([`StatusCode::ClockForward`]).
    pub const DOUBTFUL_CLOCK: Self = Self(8);
    /// The price jumped further from the agreed price than configured.
    pub const PRICE_JUMP: Self = Self(16);

    /// Names in the order of the bits, as columns and texts show them.
    pub const NAMES: [&'static str; 5] = ["after_gap", "replayed", "backfilled", "doubtful_clock", "price_jump"];

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits, as stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// From bits as stored.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventBody {
    /// One execution.
    Trade(Trade),
    /// Best bid and ask at one moment.
    Quote(Quote),
    /// Header of one depth message; its levels follow.
    Book(Book),
    /// One price level of the depth message before it.
    Level(Level),
    /// Something is missing.
    Gap(Gap),
    /// A connection or instrument changed its state.
    Status(Status),
    /// A part of a derived record.
    Slot(Slot),
}

/// The kind of an event alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum EventKind {
    /// See [`EventBody::Trade`].
    Trade = 1,
    /// See [`EventBody::Quote`].
    Quote = 2,
    /// See [`EventBody::Book`].
    Book = 3,
    /// See [`EventBody::Level`].
    Level = 4,
    /// See [`EventBody::Gap`].
    Gap = 5,
    /// See [`EventBody::Status`].
    Status = 6,
    /// First slot of a [`crate::Bar`].
    Bar = 7,
    /// The slot of a [`crate::Signal`].
    Signal = 8,
    /// First slot of a [`crate::Fill`].
    Fill = 9,
    /// First slot of an [`crate::Equity`].
    Equity = 10,
    /// A later slot of the derived record before it.
    More = 11,
}

impl EventKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Trade,
        Self::Quote,
        Self::Book,
        Self::Level,
        Self::Gap,
        Self::Status,
        Self::Bar,
        Self::Signal,
        Self::Fill,
        Self::Equity,
        Self::More,
    ];

    /// The name, as texts show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Quote => "quote",
            Self::Book => "book",
            Self::Level => "level",
            Self::Gap => "gap",
            Self::Status => "status",
            Self::Bar => "bar",
            Self::Signal => "signal",
            Self::Fill => "fill",
            Self::Equity => "equity",
            Self::More => "more",
        }
    }

    /// Consecutive events that a record takes which begins with this kind: 1 unless it is derived. An event of kind
    /// [`EventKind::More`] begins none; alone it is one event.
    #[must_use]
    pub const fn slots(self) -> usize {
        match self {
            Self::Bar | Self::Fill | Self::Equity => 3,
            _ => 1,
        }
    }

    /// Whether it is a derived record or a part of one.
    #[inline]
    #[must_use]
    pub const fn is_slot(self) -> bool {
        self as u8 >= Self::Bar as u8
    }
}

/// Bid or ask of a level; buy or sell of a trade's aggressor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Bid; the taker bought.
    Buy,
    /// Ask; the taker sold.
    Sell,
}

/// One execution the venue reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Price in quote currency.
    pub price: Decimal,
    /// Size in the venue's unit (base currency, contracts).
    pub size: Decimal,
    /// The aggressor's side, where the venue tells.
    pub side: Option<Side>,
    /// The venue's id of the trade.
    pub id: TradeId,
}

/// A venue's trade id: 128 bits, because some venues send UUIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeId {
    /// The venue sends none.
    None,
    /// A whole number, printed without leading zeros.
    Number(u128),
    /// A UUID, printed in lower case with dashes.
    Uuid(u128),
}

/// Best bid and ask with sizes, at one moment. `None`: the venue sent none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Best bid price.
    pub bid: Option<Decimal>,
    /// Size at the best bid.
    pub bid_size: Option<Decimal>,
    /// Best ask price.
    pub ask: Option<Decimal>,
    /// Size at the best ask.
    pub ask_size: Option<Decimal>,
    /// The venue's sequence number of the quote.
    pub venue_seq: Option<VenueSeq>,
}

/// Whether a depth message replaces the book or changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BookAction {
    /// Replaces the book.
    Snapshot,
    /// Changes the levels it names.
    Delta,
}

/// Header of one depth message, also when it has no levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Book {
    /// Replace or change.
    pub action: BookAction,
    /// First venue sequence number the message covers.
    pub seq_first: Option<VenueSeq>,
    /// Last venue sequence number the message covers.
    pub seq_last: Option<VenueSeq>,
    /// Venue sequence number the message claims to follow; -1 has a meaning at some venues.
    pub seq_prev: Option<VenueSeq>,
    /// The venue's checksum, its bits as sent.
    pub checksum: Option<u32>,
    /// Bid levels that follow.
    pub bids: u32,
    /// Ask levels that follow (after the bids).
    pub asks: u32,
}

/// One price level of a depth message. The size is the level's total; zero removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Of the message it belongs to.
    pub action: BookAction,
    /// Bid or ask.
    pub side: Side,
    /// Price of the level.
    pub price: Decimal,
    /// Total size; zero removes the level.
    pub size: Decimal,
    /// `seq_last` of the message it belongs to.
    pub venue_seq: Option<VenueSeq>,
    /// Place within its side of the message, from 0.
    pub index: u32,
}

/// What is missing, from where to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Why.
    pub reason: GapReason,
    /// First missing venue sequence number or trade id.
    pub first_missing: Option<VenueSeq>,
    /// Last missing venue sequence number or trade id.
    pub last_missing: Option<VenueSeq>,
    /// Receive time of the last event before.
    pub from_ts: Option<UnixNanos>,
    /// Receive time of the first event after.
    pub to_ts: Option<UnixNanos>,
    /// Events known to be missing; `None` when unknown.
    pub events: Option<u64>,
}

/// Why something is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The venue's own sequence has a hole.
    VenueSequence,
    /// The connection was away.
    Disconnected,
    /// Dropped by the configured policy because the ring was full.
    RingFull,
    /// The recorder was not running, or was killed with events in flight.
    RecorderDown,
    /// Journalled, but damaged on the disk before this sink had it.
    JournalDamaged,
    /// Journalled, but given up at the journal's byte limit while this sink, which is not required, was away.
    SinkBehind,
    /// The depth messages of a book do not follow each other, or its checksum is wrong.
    BookSequence,
}

impl GapReason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::VenueSequence,
        Self::Disconnected,
        Self::RingFull,
        Self::RecorderDown,
        Self::JournalDamaged,
        Self::SinkBehind,
        Self::BookSequence,
    ];

    /// The name as stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VenueSequence => "venue_sequence",
            Self::Disconnected => "disconnected",
            Self::RingFull => "ring_full",
            Self::RecorderDown => "recorder_down",
            Self::JournalDamaged => "journal_damaged",
            Self::SinkBehind => "sink_behind",
            Self::BookSequence => "book_sequence",
        }
    }
}

/// A connection or instrument changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The new state.
    pub code: StatusCode,
    /// A number that belongs to the code (a close code, a count, nanoseconds); 0 when there is none.
    pub detail: u64,
}

/// States that are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// The source delivers: a socket is open and subscribed, a recording or simulation has begun.
    Connected,
    /// The source stopped delivering; it may come back.
    Disconnected,
    /// The book was rebuilt from a snapshot after a hole.
    Resynchronised,
    /// The source has no more to deliver.
    Ended,
    /// The recorder's wall clock was set forward; the detail is by how many nanoseconds, measured against its monotonic
    /// clock.
    ClockForward,
    /// The recorder's wall clock was set back; the detail is as for [`StatusCode::ClockForward`].
    ClockBack,
    /// Trades of a gap were fetched later and are stored with [`Flags::BACKFILLED`]; the detail is how many.
    Backfilled,
    /// The recorder's timer: time passes also when nothing is traded, so that bars end.
    Tick,
}

impl StatusCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Connected,
        Self::Disconnected,
        Self::Resynchronised,
        Self::Ended,
        Self::ClockForward,
        Self::ClockBack,
        Self::Backfilled,
        Self::Tick,
    ];

    /// The name as stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Resynchronised => "resynchronised",
            Self::Ended => "ended",
            Self::ClockForward => "clock_forward",
            Self::ClockBack => "clock_back",
            Self::Backfilled => "backfilled",
            Self::Tick => "tick",
        }
    }
}

impl fmt::Display for TradeId {
    /// As the venue prints it; nothing for [`TradeId::None`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Number(id) => id.fmt(f),
            Self::Uuid(id) => {
                let hex = format!("{id:032x}");
                write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journals hold these numbers: they stay as they are.
    #[test]
    fn status_codes_keep_their_numbers_and_names() {
        let names = [
            "connected",
            "disconnected",
            "resynchronised",
            "ended",
            "clock_forward",
            "clock_back",
            "backfilled",
            "tick",
        ];
        assert_eq!(StatusCode::ALL.map(StatusCode::name), names);
        assert!(StatusCode::ALL.iter().enumerate().all(|(number, code)| *code as usize == number));
    }

    /// So do they these.
    #[test]
    fn kinds_keep_their_numbers() {
        let names = ["trade", "quote", "book", "level", "gap", "status", "bar", "signal", "fill", "equity", "more"];
        assert_eq!(EventKind::ALL.map(EventKind::name), names);
        assert!(EventKind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place + 1));
        assert_eq!(EventKind::ALL.map(EventKind::slots), [1, 1, 1, 1, 1, 1, 3, 1, 3, 3, 1]);
        assert_eq!(EventKind::ALL.map(EventKind::is_slot).iter().filter(|slot| !**slot).count(), 6);
    }

    #[test]
    fn ids_print_as_the_venue_prints_them() {
        assert_eq!(TradeId::Number(716_849_523).to_string(), "716849523");
        let uuid = TradeId::Uuid(0x2b5c_1d6e_0000_4a5b_8c9d_0123_4567_89ab);
        assert_eq!(uuid.to_string(), "2b5c1d6e-0000-4a5b-8c9d-0123456789ab");
    }
}
