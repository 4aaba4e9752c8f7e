//! The 64-byte event: what one message of a venue becomes, and what every ring, block, sink and bar is made of.
//!
//! Hot path: building and reading an event is shifts and loads only. The packing is private to this file; the rest of
//! the project sees [`EventHead`] and [`EventBody`].

use crate::decimal::{Decimal, SCALE_MAX};
use crate::ids::{InstrumentId, VenueSeq};
use crate::kinds::{
    Book, BookAction, EventBody, EventHead, EventKind, Flags, Gap, GapReason, Level, Quote, Side, Status, StatusCode,
    Trade, TradeId,
};
use crate::slots::Slot;
use crate::time::UnixNanos;
use std::fmt;

/// One market event: one cache line, no pointer.
///
/// Layout: venue time, receive time (8 bytes each, `i64::MIN` = unknown), instrument (4), tag (4), payload (40). The tag
/// holds kind (4 bits), quality flags (8) and four 5-bit fields: scales of the decimals in the payload, where 31 means
/// "absent", or small enumerations.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Event {
    venue_ts: i64,
    recv_ts: i64,
    instrument: u32,
    tag: u32,
    payload: [u64; 5],
}

const _: () = assert!(size_of::<Event>() == 64); // one cache line

/// "Unknown" in a time or sequence field.
const ABSENT: i64 = i64::MIN;
/// "Absent" in a 5-bit field.
const ABSENT_FIELD: u32 = 31;
/// Bit positions of the four 5-bit fields in the tag.
const FIELD: [u32; 4] = [12, 17, 22, 27];

const fn opt(value: i64) -> Option<i64> {
    if value == ABSENT { None } else { Some(value) }
}

/// An `i64` as the payload word that holds its bits.
const fn word(value: i64) -> u64 {
    value.cast_unsigned()
}

fn seq_word(seq: Option<VenueSeq>) -> u64 {
    word(seq.map_or(ABSENT, |s| s.0))
}

fn time_word(time: Option<UnixNanos>) -> u64 {
    word(time.map_or(ABSENT, |t| t.0))
}

/// Two 32-bit numbers in one word.
fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[allow(clippy::cast_possible_truncation, reason = "takes the named half of a word")]
fn low(word: u64) -> u32 {
    word as u32
}

#[allow(clippy::cast_possible_truncation, reason = "takes the named half of a word")]
fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

impl Event {
    /// Packs head and body. `i64::MIN` as a time or sequence number reads back as "unknown".
    #[must_use]
    pub fn new(head: EventHead, body: EventBody) -> Self {
        let mut event = Self {
            venue_ts: head.venue_ts.map_or(ABSENT, |t| t.0),
            recv_ts: head.recv_ts.map_or(ABSENT, |t| t.0),
            instrument: head.instrument.0,
            tag: u32::from(head.flags.bits()) << 4,
            payload: [0; 5],
        };
        match body {
            EventBody::Trade(trade) => event.pack_trade(trade),
            EventBody::Quote(quote) => event.pack_quote(quote),
            EventBody::Book(book) => event.pack_book(book),
            EventBody::Level(level) => event.pack_level(level),
            EventBody::Gap(gap) => event.pack_gap(gap),
            EventBody::Status(status) => event.pack_status(status),
            EventBody::Slot(slot) => event.pack_slot(slot),
        }
        event
    }

    /// The kind alone: one load.
    ///
    /// # Panics
    /// Never for an event made by [`Event::new`].
    #[inline]
    #[must_use]
    pub fn kind(&self) -> EventKind {
        let number = self.tag & 15;
        EventKind::ALL[(number as usize).wrapping_sub(1) % EventKind::ALL.len()]
    }

    /// What every kind carries.
    #[must_use]
    pub fn head(&self) -> EventHead {
        EventHead {
            instrument: InstrumentId(self.instrument),
            venue_ts: self.venue_ts(),
            recv_ts: self.recv_ts(),
            flags: self.flags(),
        }
    }

    /// Whose event it is.
    #[must_use]
    pub const fn instrument(&self) -> InstrumentId {
        InstrumentId(self.instrument)
    }

    /// The venue's clock.
    #[must_use]
    pub fn venue_ts(&self) -> Option<UnixNanos> {
        opt(self.venue_ts).map(UnixNanos)
    }

    /// Our clock when the bytes left the socket.
    #[must_use]
    pub fn recv_ts(&self) -> Option<UnixNanos> {
        opt(self.recv_ts).map(UnixNanos)
    }

    /// Doubts about the event.
    #[must_use]
    pub const fn flags(&self) -> Flags {
        #[allow(clippy::cast_possible_truncation, reason = "eight bits of the tag")]
        Flags::from_bits((self.tag >> 4) as u8)
    }

    /// Unpacks what happened.
    #[inline]
    #[must_use]
    pub fn body(&self) -> EventBody {
        match self.kind() {
            EventKind::Trade => EventBody::Trade(self.unpack_trade()),
            EventKind::Quote => EventBody::Quote(Quote {
                bid: self.decimal(0, 0),
                bid_size: self.decimal(1, 1),
                ask: self.decimal(2, 2),
                ask_size: self.decimal(3, 3),
                venue_seq: self.venue_seq(4),
            }),
            EventKind::Book => EventBody::Book(Book {
                action: self.action(),
                seq_first: self.venue_seq(0),
                seq_last: self.venue_seq(1),
                seq_prev: self.venue_seq(2),
                checksum: (self.field(3) != ABSENT_FIELD).then(|| low(self.payload[4])),
                bids: low(self.payload[3]),
                asks: high(self.payload[3]),
            }),
            EventKind::Level => EventBody::Level(Level {
                action: self.action(),
                side: if self.field(3) == 0 { Side::Buy } else { Side::Sell },
                price: self.decimal(0, 0).unwrap_or(Decimal::ZERO),
                size: self.decimal(1, 1).unwrap_or(Decimal::ZERO),
                venue_seq: self.venue_seq(2),
                index: low(self.payload[3]),
            }),
            EventKind::Gap => EventBody::Gap(Gap {
                reason: GapReason::ALL[self.field(0) as usize % GapReason::ALL.len()],
                first_missing: self.venue_seq(0),
                last_missing: self.venue_seq(1),
                from_ts: opt(self.payload[2].cast_signed()).map(UnixNanos),
                to_ts: opt(self.payload[3].cast_signed()).map(UnixNanos),
                events: (self.payload[4] != u64::MAX).then_some(self.payload[4]),
            }),
            EventKind::Status => EventBody::Status(Status {
                code: StatusCode::ALL[self.field(0) as usize % StatusCode::ALL.len()],
                detail: self.payload[0],
            }),
            kind => EventBody::Slot(self.unpack_slot(kind)),
        }
    }

    /// The trade, if it is one. Costs less than [`Event::body`], which has room for every kind.
    #[inline]
    #[must_use]
    pub fn trade(&self) -> Option<Trade> {
        (self.kind() == EventKind::Trade).then(|| self.unpack_trade())
    }

    /// Prices at even places and sizes at odd ones, as in the body: two of a trade or a level, four of a quote (bid, then
    /// ask), none of other kinds. Costs less than [`Event::body`].
    #[inline]
    #[must_use]
    pub fn decimals(&self) -> [Option<Decimal>; 4] {
        let count = match self.kind() {
            EventKind::Trade | EventKind::Level => 2,
            EventKind::Quote => 4,
            _ => 0,
        };
        std::array::from_fn(|at| if at < count { self.decimal(at, at) } else { None })
    }

    /// Whether it is a trade, a quote or a level whose decimals are all there, prices at `price` decimals and sizes at
    /// `size`. Costs less than asking [`Event::decimals`]: one comparison.
    #[inline]
    #[must_use]
    pub fn is_at_scales(&self, price: u8, size: u8) -> bool {
        let fields = match self.kind() {
            EventKind::Trade | EventKind::Level => 2,
            EventKind::Quote => 4,
            _ => return false,
        };
        if price > SCALE_MAX || size > SCALE_MAX {
            return false;
        }
        let two = u32::from(price) | u32::from(size) << 5;
        let differ = (self.tag >> FIELD[0]) ^ (two | two << 10);
        differ & ((1 << (5 * fields)) - 1) == 0
    }

    /// The event as 64 bytes for files of ours, little-endian, field by field in the order of the struct.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&self.venue_ts.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.recv_ts.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.instrument.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.tag.to_le_bytes());
        for (place, word) in bytes[24..].chunks_exact_mut(8).zip(self.payload) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Event::to_bytes`] wrote; `None` when the bytes are no event of a known kind.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Option<Self> {
        let word = |at: usize| {
            let mut place = [0; 8];
            place.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(place)
        };
        let event = Self {
            venue_ts: word(0).cast_signed(),
            recv_ts: word(8).cast_signed(),
            instrument: low(word(16)),
            tag: high(word(16)),
            payload: [word(24), word(32), word(40), word(48), word(56)],
        };
        (1..=EventKind::ALL.len()).contains(&((event.tag & 15) as usize)).then_some(event)
    }

    fn pack_trade(&mut self, trade: Trade) {
        self.set_kind(EventKind::Trade);
        self.set_decimal(0, 0, Some(trade.price));
        self.set_decimal(1, 1, Some(trade.size));
        self.set_field(
            2,
            match trade.side {
                None => ABSENT_FIELD,
                Some(Side::Buy) => 0,
                Some(Side::Sell) => 1,
            },
        );
        let (form, id) = match trade.id {
            TradeId::None => (ABSENT_FIELD, 0),
            TradeId::Number(id) => (0, id),
            TradeId::Uuid(id) => (1, id),
        };
        self.set_field(3, form);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves of the id")]
        {
            self.payload[2] = id as u64;
            self.payload[3] = (id >> 64) as u64;
        }
    }

    #[inline]
    fn unpack_trade(&self) -> Trade {
        let id = u128::from(self.payload[2]) | u128::from(self.payload[3]) << 64;
        Trade {
            price: self.decimal(0, 0).unwrap_or(Decimal::ZERO),
            size: self.decimal(1, 1).unwrap_or(Decimal::ZERO),
            side: match self.field(2) {
                0 => Some(Side::Buy),
                1 => Some(Side::Sell),
                _ => None,
            },
            id: match self.field(3) {
                0 => TradeId::Number(id),
                1 => TradeId::Uuid(id),
                _ => TradeId::None,
            },
        }
    }

    fn pack_quote(&mut self, quote: Quote) {
        self.set_kind(EventKind::Quote);
        self.set_decimal(0, 0, quote.bid);
        self.set_decimal(1, 1, quote.bid_size);
        self.set_decimal(2, 2, quote.ask);
        self.set_decimal(3, 3, quote.ask_size);
        self.payload[4] = seq_word(quote.venue_seq);
    }

    fn pack_book(&mut self, book: Book) {
        self.set_kind(EventKind::Book);
        self.set_action(book.action);
        self.set_field(3, if book.checksum.is_some() { 0 } else { ABSENT_FIELD });
        self.payload = [
            seq_word(book.seq_first),
            seq_word(book.seq_last),
            seq_word(book.seq_prev),
            pair(book.bids, book.asks),
            u64::from(book.checksum.unwrap_or(0)),
        ];
    }

    fn pack_level(&mut self, level: Level) {
        self.set_kind(EventKind::Level);
        self.set_decimal(0, 0, Some(level.price));
        self.set_decimal(1, 1, Some(level.size));
        self.set_action(level.action);
        self.set_field(3, u32::from(level.side == Side::Sell));
        self.payload[2] = seq_word(level.venue_seq);
        self.payload[3] = u64::from(level.index);
    }

    fn pack_gap(&mut self, gap: Gap) {
        self.set_kind(EventKind::Gap);
        self.set_field(0, gap.reason as u32);
        self.payload = [
            seq_word(gap.first_missing),
            seq_word(gap.last_missing),
            time_word(gap.from_ts),
            time_word(gap.to_ts),
            gap.events.unwrap_or(u64::MAX),
        ];
    }

    fn pack_status(&mut self, status: Status) {
        self.set_kind(EventKind::Status);
        self.set_field(0, status.code as u32);
        self.payload[0] = status.detail;
    }

    fn pack_slot(&mut self, slot: Slot) {
        self.set_kind(slot.kind);
        slot.fields.iter().enumerate().for_each(|(at, &field)| self.set_field(at, u32::from(field)));
        self.payload = slot.words;
    }

    fn unpack_slot(&self, kind: EventKind) -> Slot {
        #[allow(clippy::cast_possible_truncation, reason = "five bits")]
        Slot { kind, fields: std::array::from_fn(|at| self.field(at) as u8), words: self.payload }
    }

    fn set_kind(&mut self, kind: EventKind) {
        self.tag |= kind as u32;
    }

    fn set_field(&mut self, field: usize, value: u32) {
        debug_assert!(value <= ABSENT_FIELD, "a field has five bits");
        self.tag |= value << FIELD[field];
    }

    #[inline]
    fn field(&self, field: usize) -> u32 {
        self.tag >> FIELD[field] & 31
    }

    /// The action stands in field 2 of both book and level.
    fn set_action(&mut self, action: BookAction) {
        self.set_field(2, u32::from(action == BookAction::Delta));
    }

    fn action(&self) -> BookAction {
        if self.field(2) == 0 { BookAction::Snapshot } else { BookAction::Delta }
    }

    fn set_decimal(&mut self, field: usize, at: usize, value: Option<Decimal>) {
        self.set_field(field, value.map_or(ABSENT_FIELD, |v| u32::from(v.scale())));
        self.payload[at] = value.map_or(0, |v| word(v.mantissa()));
    }

    #[inline]
    fn decimal(&self, field: usize, at: usize) -> Option<Decimal> {
        let scale = self.field(field);
        if scale == ABSENT_FIELD {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "five bits")]
        Decimal::new(self.payload[at].cast_signed(), scale as u8)
    }

    fn venue_seq(&self, at: usize) -> Option<VenueSeq> {
        opt(self.payload[at].cast_signed()).map(VenueSeq)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("head", &self.head()).field("body", &self.body()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal() -> impl Strategy<Value = Decimal> {
        (-i64::MAX..=i64::MAX, 0u8..=30).prop_map(|(m, s)| Decimal::new(m, s).unwrap())
    }
    fn seq() -> impl Strategy<Value = Option<VenueSeq>> {
        prop_oneof![Just(None), Just(Some(VenueSeq(-1))), (0..=i64::MAX).prop_map(|s| Some(VenueSeq(s)))]
    }
    fn time() -> impl Strategy<Value = Option<UnixNanos>> {
        prop_oneof![Just(None), (-i64::MAX..=i64::MAX).prop_map(|t| Some(UnixNanos(t)))]
    }
    fn side() -> impl Strategy<Value = Side> {
        prop_oneof![Just(Side::Buy), Just(Side::Sell)]
    }
    fn action() -> impl Strategy<Value = BookAction> {
        prop_oneof![Just(BookAction::Snapshot), Just(BookAction::Delta)]
    }
    fn id() -> impl Strategy<Value = TradeId> {
        prop_oneof![Just(TradeId::None), any::<u128>().prop_map(TradeId::Number), any::<u128>().prop_map(TradeId::Uuid)]
    }

    fn body() -> impl Strategy<Value = EventBody> {
        prop_oneof![
            (decimal(), decimal(), prop::option::of(side()), id())
                .prop_map(|(price, size, side, id)| EventBody::Trade(Trade { price, size, side, id })),
            (
                prop::option::of(decimal()),
                prop::option::of(decimal()),
                prop::option::of(decimal()),
                prop::option::of(decimal()),
                seq()
            )
                .prop_map(|(bid, bid_size, ask, ask_size, venue_seq)| EventBody::Quote(Quote {
                    bid,
                    bid_size,
                    ask,
                    ask_size,
                    venue_seq
                })),
            (action(), seq(), seq(), seq(), prop::option::of(any::<u32>()), any::<u32>(), any::<u32>()).prop_map(
                |(action, seq_first, seq_last, seq_prev, checksum, bids, asks)| EventBody::Book(Book {
                    action,
                    seq_first,
                    seq_last,
                    seq_prev,
                    checksum,
                    bids,
                    asks
                })
            ),
            (action(), side(), decimal(), decimal(), seq(), any::<u32>()).prop_map(
                |(action, side, price, size, venue_seq, index)| EventBody::Level(Level {
                    action,
                    side,
                    price,
                    size,
                    venue_seq,
                    index
                })
            ),
            (0usize..6, seq(), seq(), time(), time(), prop::option::of(0..u64::MAX)).prop_map(
                |(reason, first_missing, last_missing, from_ts, to_ts, events)| EventBody::Gap(Gap {
                    reason: GapReason::ALL[reason],
                    first_missing,
                    last_missing,
                    from_ts,
                    to_ts,
                    events
                })
            ),
            (0usize..4, any::<u64>())
                .prop_map(|(code, detail)| EventBody::Status(Status { code: StatusCode::ALL[code], detail })),
        ]
    }

    proptest! {
        /// Nothing is lost by packing: every field reads back, digits and absences included.
        #[test]
        fn packing_loses_nothing(body in body(), venue_ts in time(), recv_ts in time(), instrument in any::<u32>(), bits in 0u8..32, scales in any::<[u8; 2]>()) {
            let head = EventHead { instrument: InstrumentId(instrument), venue_ts, recv_ts, flags: Flags::from_bits(bits) };
            let event = Event::new(head, body);
            prop_assert_eq!(event.head(), head);
            let expected = match body {
                EventBody::Trade(trade) => [Some(trade.price), Some(trade.size), None, None],
                EventBody::Level(level) => [Some(level.price), Some(level.size), None, None],
                EventBody::Quote(quote) => [quote.bid, quote.bid_size, quote.ask, quote.ask_size],
                _ => [None; 4],
            };
            prop_assert_eq!(event.decimals(), expected);
            let there = match body {
                EventBody::Trade(_) | EventBody::Level(_) => 2,
                EventBody::Quote(_) => 4,
                _ => 0,
            };
            let scale = |at: usize| expected[at].map_or(31, Decimal::scale);
            for (price, size) in [(scales[0], scales[1]), (scale(0), scale(1))] {
                let is_at = |at: usize| scale(at) == [price, size][at % 2] && expected[at].is_some();
                prop_assert_eq!(event.is_at_scales(price, size), there > 0 && (0..there).all(is_at));
            }
            // Debug compares scales too; `==` on decimals compares values only.
            prop_assert_eq!(format!("{:?}", event.body()), format!("{body:?}"));
            prop_assert_eq!(event.trade(), if let EventBody::Trade(trade) = body { Some(trade) } else { None });
            prop_assert_eq!(Event::from_bytes(&event.to_bytes()), Some(event));
        }

        #[test]
        fn a_quote_is_at_the_scales_of_all_its_decimals(mantissas in any::<[i32; 4]>(), scales in [0u8..=30, 0u8..=30], odd in 0usize..4) {
            let values = [0, 1, 2, 3].map(|at| Decimal::new(mantissas[at].into(), scales[at % 2]));
            let quote = |values: [Option<Decimal>; 4]| {
                let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
                let [bid, bid_size, ask, ask_size] = values;
                Event::new(head, EventBody::Quote(Quote { bid, bid_size, ask, ask_size, venue_seq: None }))
            };
            let [price, size] = scales;
            prop_assert!(quote(values).is_at_scales(price, size));
            for other in [None, Decimal::new(1, (scales[odd % 2] + 1) % 31)] {
                let mut values = values;
                values[odd] = other;
                prop_assert!(!quote(values).is_at_scales(price, size));
            }
        }

        /// Bytes from a file are an event that can be looked at, or none.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 64)) {
            if let Some(event) = Event::from_bytes(&bytes.try_into().unwrap()) {
                let _ = format!("{event:?}");
            }
        }
    }
}
