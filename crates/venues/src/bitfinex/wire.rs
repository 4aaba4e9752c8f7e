//! Bitfinex frames as sent: the fields of an object in any order, or the first elements of a list.
//!
//! Hot path. What a list holds depends on its channel: so an element is only a [`Token`] here; `parse.rs` reads it again
//! with a meaning.

use crate::decoder::{Reject, RejectReason};
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Elements of a list that are kept: channel, type, payload, sequence, time.
const PARTS_MAX: usize = 5;

/// A frame after the walk. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `event` of an object.
    pub(super) event: Token,
    /// `channel` of an answer.
    pub(super) channel: Token,
    /// `chanId` of an answer: the number that the frames of the channel begin with.
    pub(super) chan_id: Token,
    /// `symbol` of an answer.
    pub(super) symbol: Token,
    /// `prec` of an answer: precision of a book, `R0` for single orders.
    pub(super) prec: Token,
    /// `status` of an answer.
    pub(super) status: Token,
    /// `flags` of a configuration.
    pub(super) flags: Token,
    /// `code` of an `info` or an `error`.
    pub(super) code: Token,
    /// `version` of the `info` that a connection begins with.
    pub(super) version: Token,
    /// Whether the frame is a list.
    pub(super) is_list: bool,
    /// Its elements in front; those that are not there are absent.
    pub(super) parts: [Token; PARTS_MAX],
}

impl Wire {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"event" => &mut self.event,
            b"channel" => &mut self.channel,
            b"chanId" => &mut self.chan_id,
            b"symbol" => &mut self.symbol,
            b"prec" => &mut self.prec,
            b"status" => &mut self.status,
            b"flags" => &mut self.flags,
            b"code" => &mut self.code,
            b"version" => &mut self.version,
            _ => return None,
        })
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str) -> Result<Wire, JsonError> {
    let mut wire = Wire::default();
    let mut scanner = Scanner::new(frame)?;
    match scanner.peek() {
        Some(b'{') => {
            let mut more = scanner.open_object()?;
            while more {
                let key = scanner.key()?;
                let value = scanner.value()?;
                if let Some(slot) = wire.slot(&key_name(frame, key)) {
                    *slot = value;
                }
                more = scanner.next_member()?;
            }
        }
        Some(b'[') => {
            wire.is_list = true;
            wire.parts = read_values(&mut scanner)?;
        }
        _ => {
            scanner.value()?;
        }
    }
    scanner.end()?;
    Ok(wire)
}

/// The elements of a list; those that are not there stay absent, those behind are skipped.
pub(super) fn read_row<const N: usize>(scanner: &mut Scanner<'_>, field: &'static str) -> Result<[Token; N], Reject> {
    if scanner.peek() != Some(b'[') {
        return Err(Reject::new(RejectReason::BadField, field));
    }
    Ok(read_values(scanner)?)
}

fn read_values<const N: usize>(scanner: &mut Scanner<'_>) -> Result<[Token; N], JsonError> {
    let mut row = [Token::default(); N];
    let mut slots = row.iter_mut();
    let mut more = scanner.open_array()?;
    while more {
        let value = scanner.value()?;
        if let Some(slot) = slots.next() {
            *slot = value;
        }
        more = scanner.next_element()?;
    }
    Ok(row)
}

/// Back at a list that the walk has passed.
pub(super) fn list_at<'f>(frame: &'f str, token: Token, field: &'static str) -> Result<Scanner<'f>, Reject> {
    match token.kind {
        TokenKind::Array => {}
        TokenKind::Absent => return Err(Reject::new(RejectReason::MissingField, field)),
        _ => return Err(Reject::new(RejectReason::BadField, field)),
    }
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((token.start as usize, 0));
    Ok(scanner)
}
