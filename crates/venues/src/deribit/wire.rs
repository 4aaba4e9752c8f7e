//! Deribit frames as sent: one walk over the text finds the envelope and the fields of `params.data`, in any order of keys.
//!
//! What a field means depends on the channel, and the channel may stand behind the data: so a field is only a [`Token`]
//! here; `parse.rs` gives it a meaning.

use crate::decoder::{Reject, RejectReason};
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Most trades of a frame. Bounds what a hostile frame makes us hold.
pub(super) const ROWS_MAX: usize = 1 << 14;

/// A frame's envelope. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `method`.
    pub(super) method: Token,
    /// `result` of an answer.
    pub(super) result: Token,
    /// `error` of an answer.
    pub(super) error: Token,
    /// `params.channel`.
    pub(super) channel: Token,
    /// What `params.data` is; its fields are the rows of the walk.
    pub(super) data: TokenKind,
    /// An element of a list in `params.data` is no object.
    pub(super) has_odd_row: bool,
}

/// The fields of a trade, or of the one object of another channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// `instrument_name`.
    pub(super) symbol: Token,
    /// `timestamp`.
    pub(super) time: Token,
    /// `price` of a trade.
    pub(super) price: Token,
    /// `amount` of a trade.
    pub(super) amount: Token,
    /// `direction` of a trade: the taker's side.
    pub(super) direction: Token,
    /// `trade_id`.
    pub(super) trade_id: Token,
    /// `trade_seq`.
    pub(super) trade_seq: Token,
    /// `best_bid_price`.
    pub(super) bid: Token,
    /// `best_bid_amount`.
    pub(super) bid_size: Token,
    /// `best_ask_price`.
    pub(super) ask: Token,
    /// `best_ask_amount`.
    pub(super) ask_size: Token,
    /// `type` of a book.
    pub(super) kind: Token,
    /// `change_id` of a book.
    pub(super) change_id: Token,
    /// `prev_change_id` of a book.
    pub(super) prev_change_id: Token,
    /// `bids` of a book.
    pub(super) bids: Token,
    /// `asks` of a book.
    pub(super) asks: Token,
}

impl Fields {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"instrument_name" => &mut self.symbol,
            b"timestamp" => &mut self.time,
            b"price" => &mut self.price,
            b"amount" => &mut self.amount,
            b"direction" => &mut self.direction,
            b"trade_id" => &mut self.trade_id,
            b"trade_seq" => &mut self.trade_seq,
            b"best_bid_price" => &mut self.bid,
            b"best_bid_amount" => &mut self.bid_size,
            b"best_ask_price" => &mut self.ask,
            b"best_ask_amount" => &mut self.ask_size,
            b"type" => &mut self.kind,
            b"change_id" => &mut self.change_id,
            b"prev_change_id" => &mut self.prev_change_id,
            b"bids" => &mut self.bids,
            b"asks" => &mut self.asks,
            _ => return None,
        })
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, wire: &mut Wire, rows: &mut Vec<Fields>) -> Result<(), Reject> {
    rows.clear();
    let mut scanner = Scanner::new(frame)?;
    if scanner.peek() == Some(b'{') {
        read_envelope(&mut scanner, frame, wire, rows)?;
    } else {
        scanner.value()?;
    }
    Ok(scanner.end()?)
}

fn read_envelope(
    scanner: &mut Scanner<'_>,
    frame: &str,
    wire: &mut Wire,
    rows: &mut Vec<Fields>,
) -> Result<(), Reject> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"method" => wire.method = scanner.value()?,
            b"result" => wire.result = scanner.value()?,
            b"error" => wire.error = scanner.value()?,
            b"params" => read_params(scanner, frame, wire, rows)?,
            _ => {
                scanner.value()?;
            }
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_params(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, rows: &mut Vec<Fields>) -> Result<(), Reject> {
    (wire.channel, wire.data) = (Token::default(), TokenKind::Absent);
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        return Ok(());
    }
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"channel" => wire.channel = scanner.value()?,
            b"data" => read_data(scanner, frame, wire, rows)?,
            _ => {
                scanner.value()?;
            }
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_data(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, rows: &mut Vec<Fields>) -> Result<(), Reject> {
    rows.clear();
    wire.has_odd_row = false;
    match scanner.peek() {
        Some(b'{') => {
            wire.data = TokenKind::Object;
            rows.push(read_fields(scanner, frame)?);
            return Ok(());
        }
        Some(b'[') => wire.data = TokenKind::Array,
        _ => {
            wire.data = scanner.value()?.kind;
            return Ok(());
        }
    }
    let mut more = scanner.open_array()?;
    while more {
        if rows.len() == ROWS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "data"));
        }
        if scanner.peek() == Some(b'{') {
            rows.push(read_fields(scanner, frame)?);
        } else {
            scanner.value()?;
            wire.has_odd_row = true;
        }
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_fields(scanner: &mut Scanner<'_>, frame: &str) -> Result<Fields, JsonError> {
    let mut fields = Fields::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        if let Some(slot) = fields.slot(&key_name(frame, key)) {
            *slot = value;
        }
        more = scanner.next_member()?;
    }
    Ok(fields)
}
