//! BitMEX frames as sent: one walk over the text finds the envelope and the rows of `data`, in any order of keys.
//!
//! What a field means depends on the table, and the table may stand behind the data: so a field is only a [`Token`] here.

use crate::decoder::{Reject, RejectReason};
use crate::levels::SIDE_LEVELS_MAX;
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Most rows of `data`: a whole book has some ten thousand. Bounds what a hostile frame makes us hold.
pub(super) const ROWS_MAX: usize = SIDE_LEVELS_MAX;

/// A frame's envelope. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// The frame is a list.
    pub(super) is_list: bool,
    /// `table`.
    pub(super) table: Token,
    /// `action`: what the frame does to the table.
    pub(super) action: Token,
    /// `filter.symbol` of a partial: the instrument, also when there are no rows.
    pub(super) filter_symbol: Token,
    /// `data`.
    pub(super) data: Token,
    /// A row is no object.
    pub(super) has_odd_row: bool,
    /// `info`: a greeting.
    pub(super) info: Token,
    /// `subscribe` of an answer: what has been subscribed.
    pub(super) subscribe: Token,
    /// `unsubscribe` likewise.
    pub(super) unsubscribe: Token,
    /// `success` of an answer.
    pub(super) success: Token,
    /// `error` of an answer.
    pub(super) error: Token,
}

impl Wire {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"table" => &mut self.table,
            b"action" => &mut self.action,
            b"info" => &mut self.info,
            b"subscribe" => &mut self.subscribe,
            b"unsubscribe" => &mut self.unsubscribe,
            b"success" => &mut self.success,
            b"error" => &mut self.error,
            _ => return None,
        })
    }
}

/// One row of `data`, of whatever table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    /// `symbol`.
    pub(super) symbol: Token,
    /// `timestamp`.
    pub(super) time: Token,
    /// `side` of a trade or a level.
    pub(super) side: Token,
    /// `size` of a trade or a level.
    pub(super) size: Token,
    /// `price` of a trade or a level.
    pub(super) price: Token,
    /// `id` of a level.
    pub(super) id: Token,
    /// `trdMatchID` of a trade.
    pub(super) trade_id: Token,
    /// `bidPrice` of a quote.
    pub(super) bid: Token,
    /// `bidSize` of a quote.
    pub(super) bid_size: Token,
    /// `askPrice` of a quote.
    pub(super) ask: Token,
    /// `askSize` of a quote.
    pub(super) ask_size: Token,
    /// `bids` of a book.
    pub(super) bids: Token,
    /// `asks` of a book.
    pub(super) asks: Token,
}

impl Row {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"symbol" => &mut self.symbol,
            b"timestamp" => &mut self.time,
            b"side" => &mut self.side,
            b"size" => &mut self.size,
            b"price" => &mut self.price,
            b"id" => &mut self.id,
            b"trdMatchID" => &mut self.trade_id,
            b"bidPrice" => &mut self.bid,
            b"bidSize" => &mut self.bid_size,
            b"askPrice" => &mut self.ask,
            b"askSize" => &mut self.ask_size,
            b"bids" => &mut self.bids,
            b"asks" => &mut self.asks,
            _ => return None,
        })
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, wire: &mut Wire, rows: &mut Vec<Row>) -> Result<(), Reject> {
    rows.clear();
    let mut scanner = Scanner::new(frame)?;
    if scanner.peek() == Some(b'{') {
        read_envelope(&mut scanner, frame, wire, rows)?;
    } else {
        wire.is_list = scanner.value()?.kind == TokenKind::Array;
    }
    Ok(scanner.end()?)
}

fn read_envelope(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, rows: &mut Vec<Row>) -> Result<(), Reject> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"data" => read_data(scanner, frame, wire, rows)?,
            b"filter" => wire.filter_symbol = read_filter(scanner, frame)?,
            name => {
                let value = scanner.value()?;
                if let Some(slot) = wire.slot(name) {
                    *slot = value;
                }
            }
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_filter(scanner: &mut Scanner<'_>, frame: &str) -> Result<Token, JsonError> {
    let mut symbol = Token::default();
    if scanner.peek() != Some(b'{') {
        scanner.value()?;
        return Ok(symbol);
    }
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        if &*key_name(frame, key) == b"symbol" {
            symbol = value;
        }
        more = scanner.next_member()?;
    }
    Ok(symbol)
}

fn read_data(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, rows: &mut Vec<Row>) -> Result<(), Reject> {
    rows.clear();
    wire.has_odd_row = false;
    if scanner.peek() != Some(b'[') {
        wire.data = scanner.value()?;
        return Ok(());
    }
    wire.data = Token { kind: TokenKind::Array, ..Token::default() };
    let mut more = scanner.open_array()?;
    while more {
        if rows.len() == ROWS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "data"));
        }
        let mut row = Row::default();
        if scanner.peek() == Some(b'{') {
            read_row(scanner, frame, &mut row)?;
        } else {
            scanner.value()?;
            wire.has_odd_row = true;
        }
        rows.push(row);
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_row(scanner: &mut Scanner<'_>, frame: &str, row: &mut Row) -> Result<(), JsonError> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        if let Some(slot) = row.slot(&key_name(frame, key)) {
            *slot = value;
        }
        more = scanner.next_member()?;
    }
    Ok(())
}
