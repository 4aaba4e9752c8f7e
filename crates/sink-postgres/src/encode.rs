//! Rows in PostgreSQL's binary COPY form.
//!
//! Hot path: per event only bytes are appended to a buffer that is used again; texts are made for trade ids alone.

use crate::config::Layout;
use crate::instruments::{Scales, mantissa_at};
use crate::numeric::Numeric;
use bytes::{BufMut, Bytes, BytesMut};
use feedd_model::{
    Book, BookAction, Decimal, Event, EventBody, EventKind, Gap, Level, Quote, Side, Status, Trade, TradeId, UnixNanos,
    VenueSeq,
};
use std::io::Write;

/// Bytes handed to the connection at once: smaller pieces cost calls. The first ones of a COPY are small, because the server
/// waits for them.
const PIECE_BYTES: usize = 64 * 1024;
const PIECE_BYTES_FIRST: usize = 8 * 1024;

/// What stands before the first row: signature, flags, length of an extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands behind the last row.
const TRAILER: [u8; 2] = [0xff, 0xff];

/// Microseconds from 1970 to 2000, where PostgreSQL's times begin.
const PG_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Which start the rows belong to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Id of the ledger's row.
    pub(crate) run: i32,
    pub(crate) stream: u32,
    pub(crate) epoch: u32,
}

/// What a row carries in place of the local instrument id.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose<'a> {
    /// Compact layout: id and scales of the instrument row.
    Row(Option<(i32, Scales)>),
    /// Readable layout: venue and symbol.
    Names(Option<(&'a str, &'a str)>),
}

/// Encodes the rows of one COPY after the other.
#[derive(Default)]
pub(crate) struct Encoder {
    buffer: BytesMut,
    /// The next piece is sent at this size.
    piece_bytes: usize,
}

impl Encoder {
    /// Begins a COPY.
    pub(crate) fn begin(&mut self) {
        self.buffer.clear();
        self.buffer.extend_from_slice(HEADER);
        self.piece_bytes = PIECE_BYTES_FIRST;
    }

    /// Ends a COPY: the last piece.
    pub(crate) fn end(&mut self) -> Bytes {
        self.buffer.extend_from_slice(&TRAILER);
        self.buffer.split().freeze()
    }

    /// A piece that is large enough to be sent.
    pub(crate) fn piece(&mut self) -> Option<Bytes> {
        if self.buffer.len() < self.piece_bytes {
            return None;
        }
        self.piece_bytes = (self.piece_bytes * 2).min(PIECE_BYTES);
        Some(self.buffer.split().freeze())
    }

    /// Appends one row, in the order of [`crate::schema::Table::columns`].
    pub(crate) fn push(&mut self, start: Start, seq: u64, whose: Whose<'_>, event: &Event) {
        let mut row = self.row(whose);
        let (body, layout) = (event.body(), if row.is_compact() { Layout::Compact } else { Layout::Readable });
        row.out.put_u16(columns(&body, layout));
        row.head(start, seq, whose, event);
        match body {
            EventBody::Trade(trade) => row.trade(&trade),
            EventBody::Quote(quote) => row.quote(&quote),
            EventBody::Book(book) => row.book(&book),
            EventBody::Level(level) => row.level(&level),
            EventBody::Gap(gap) => row.gap(&gap),
            EventBody::Status(status) => row.status(status),
            EventBody::Slot(_) => debug_assert!(false, "records are pushed whole"),
        }
    }

    /// A new row.
    #[inline]
    pub(crate) fn row(&mut self, whose: Whose<'_>) -> RowWriter<'_> {
        if self.buffer.capacity() - self.buffer.len() < ROW_BYTES {
            // Takes the memory of pieces that have been sent, when none of them is held any more.
            self.buffer.reserve(PIECE_BYTES + ROW_BYTES);
        }
        let scales = match whose {
            Whose::Row(row) => Some(row.map_or(Scales::default(), |(_, scales)| scales)),
            Whose::Names(_) => None,
        };
        RowWriter { out: &mut self.buffer, scales }
    }
}

/// Room that a row without long names needs.
const ROW_BYTES: usize = 512;

/// Number of columns of a row.
fn columns(body: &EventBody, layout: Layout) -> u16 {
    let own = match (body, layout) {
        (EventBody::Trade(_), Layout::Compact) | (EventBody::Quote(_), _) => 5,
        (EventBody::Trade(_), Layout::Readable) => 4,
        (EventBody::Book(_), _) => 7,
        (EventBody::Level(_) | EventBody::Gap(_), _) => 6,
        (EventBody::Status(_), _) => 2,
        (EventBody::Slot(_), _) => 0,
    };
    own + match layout {
        Layout::Compact => 6,
        Layout::Readable => 10,
    }
}

/// Whether every whole number of the event has a place in the columns.
#[inline]
pub(crate) fn fits(event: &Event) -> bool {
    let is_int = |value: u32| i32::try_from(value).is_ok();
    if !matches!(event.kind(), EventKind::Book | EventKind::Level) {
        return true;
    }
    match event.body() {
        EventBody::Book(book) => is_int(book.bids) && is_int(book.asks),
        EventBody::Level(level) => is_int(level.index),
        _ => true,
    }
}

/// Appends the fields of one row.
pub(crate) struct RowWriter<'a> {
    pub(crate) out: &'a mut BytesMut,
    /// Of the instrument row; `None` in the readable layout.
    scales: Option<Scales>,
}

impl RowWriter<'_> {
    pub(crate) const fn is_compact(&self) -> bool {
        self.scales.is_some()
    }

    fn head(&mut self, start: Start, seq: u64, whose: Whose<'_>, event: &Event) {
        match whose {
            Whose::Row(row) => {
                self.time_ns(event.recv_ts());
                self.time_ns(event.venue_ts());
                self.long(seq.cast_signed());
                self.int(start.run);
                match row {
                    Some((id, _)) => self.int(id),
                    None => self.null(),
                }
            }
            Whose::Names(names) => {
                self.long(start.stream.into());
                self.long(start.epoch.into());
                self.long(seq.cast_signed());
                for time in [event.venue_ts(), event.recv_ts()] {
                    self.time_of_people(time);
                    self.time_ns(time);
                }
                self.names(names);
            }
        }
        self.short(event.flags().bits().into());
    }

    /// Venue and symbol.
    pub(crate) fn names(&mut self, names: Option<(&str, &str)>) {
        for name in [names.map(|names| names.0), names.map(|names| names.1)] {
            match name {
                Some(name) => self.bytes(name.as_bytes()),
                None => self.null(),
            }
        }
    }

    fn trade(&mut self, trade: &Trade) {
        self.price(Some(trade.price));
        self.size(Some(trade.size));
        match trade.side {
            None => self.null(),
            Some(Side::Buy) => self.word("buy"),
            Some(Side::Sell) => self.word("sell"),
        }
        if self.scales.is_none() {
            return self.id_text(trade.id);
        }
        let small = match trade.id {
            TradeId::Number(id) => i64::try_from(id).ok(),
            TradeId::None | TradeId::Uuid(_) => None,
        };
        self.optional(small);
        if small.is_some() { self.null() } else { self.id_text(trade.id) }
    }

    fn quote(&mut self, quote: &Quote) {
        self.price(quote.bid);
        self.size(quote.bid_size);
        self.price(quote.ask);
        self.size(quote.ask_size);
        self.venue_seq(quote.venue_seq);
    }

    fn book(&mut self, book: &Book) {
        self.action(book.action);
        self.venue_seq(book.seq_first);
        self.venue_seq(book.seq_last);
        self.venue_seq(book.seq_prev);
        self.optional(book.checksum.map(i64::from));
        self.int(book.bids.cast_signed());
        self.int(book.asks.cast_signed());
    }

    fn level(&mut self, level: &Level) {
        self.action(level.action);
        self.word(if level.side == Side::Buy { "bid" } else { "ask" });
        self.price(Some(level.price));
        self.size(Some(level.size));
        self.venue_seq(level.venue_seq);
        self.int(level.index.cast_signed());
    }

    fn gap(&mut self, gap: &Gap) {
        self.bytes(gap.reason.name().as_bytes());
        self.venue_seq(gap.first_missing);
        self.venue_seq(gap.last_missing);
        self.time_ns(gap.from_ts);
        self.time_ns(gap.to_ts);
        match gap.events {
            Some(events) => self.out.extend_from_slice(Numeric::of_u64(events).as_bytes()),
            None => self.null(),
        }
    }

    fn status(&mut self, status: Status) {
        self.bytes(status.code.name().as_bytes());
        self.out.extend_from_slice(Numeric::of_u64(status.detail).as_bytes());
    }

    fn price(&mut self, value: Option<Decimal>) {
        self.decimal(value, self.scales.map(|scales| scales.price));
    }

    fn size(&mut self, value: Option<Decimal>) {
        self.decimal(value, self.scales.map(|scales| scales.size));
    }

    fn decimal(&mut self, value: Option<Decimal>, scale: Option<u8>) {
        match (value, scale) {
            (None, _) => self.null(),
            (Some(value), None) => self.out.extend_from_slice(Numeric::of_decimal(value).as_bytes()),
            (Some(value), Some(scale)) => {
                let mantissa = mantissa_at(value, scale);
                debug_assert!(mantissa.is_some(), "the instrument row was chosen so that its values fit");
                // A row that does not fit would be refused by the table rather than stored wrong.
                self.optional(mantissa);
            }
        }
    }

    fn action(&mut self, action: BookAction) {
        self.word(if action == BookAction::Snapshot { "snapshot" } else { "delta" });
    }

    /// One of a few words; the compact layout keeps its first letter.
    fn word(&mut self, word: &str) {
        let kept = if self.scales.is_some() { &word.as_bytes()[..1] } else { word.as_bytes() };
        self.bytes(kept);
    }

    fn id_text(&mut self, id: TradeId) {
        if id == TradeId::None {
            return self.null();
        }
        // At most 39 digits or 36 characters.
        let mut text = [0u8; 40];
        let mut rest = &mut text[..];
        let written = write!(rest, "{id}").map(|()| 40 - rest.len());
        debug_assert!(written.is_ok(), "an id has at most 39 characters");
        self.bytes(&text[..written.unwrap_or(0)]);
    }

    fn venue_seq(&mut self, seq: Option<VenueSeq>) {
        self.optional(seq.map(|seq| seq.0));
    }

    /// As a time of PostgreSQL, rounded down to its microseconds.
    pub(crate) fn time_of_people(&mut self, time: Option<UnixNanos>) {
        self.optional(time.map(|time| time.0.div_euclid(1000) - PG_EPOCH_MICROS));
    }

    fn time_ns(&mut self, time: Option<UnixNanos>) {
        self.optional(time.map(|time| time.0));
    }

    fn optional(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.long(value),
            None => self.null(),
        }
    }

    pub(crate) fn long(&mut self, value: i64) {
        let mut field = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        field[4..].copy_from_slice(&value.to_be_bytes());
        self.out.extend_from_slice(&field);
    }

    pub(crate) fn int(&mut self, value: i32) {
        let mut field = [0, 0, 0, 4, 0, 0, 0, 0];
        field[4..].copy_from_slice(&value.to_be_bytes());
        self.out.extend_from_slice(&field);
    }

    pub(crate) fn short(&mut self, value: i16) {
        let mut field = [0, 0, 0, 2, 0, 0];
        field[4..].copy_from_slice(&value.to_be_bytes());
        self.out.extend_from_slice(&field);
    }

    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(&[0xff; 4]);
    }

    /// Texts of ours and names of instruments: far below 2 GiB.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.out.extend_from_slice(bytes);
    }
}
