//! OKX frames as sent: one walk over the text finds the envelope and the elements of `data`, in any order of keys.
//!
//! Hot path. What a field means depends on the channel, and the channel may stand behind the data: so a field is only a
//! [`Token`] here; `parse.rs` gives it a meaning.

use super::levels::read_levels;
use crate::decoder::{Reject, RejectReason};
use crate::levels::SideLevels;
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Most elements of `data`: the venue sends one, or a few trades. Bounds what a hostile frame makes us hold.
const ELEMENTS_MAX: usize = 1 << 14;

/// A frame's envelope. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `event` of an answer.
    pub(super) event: Token,
    /// `code` of an answer.
    pub(super) code: Token,
    /// `arg.channel`.
    pub(super) channel: Token,
    /// `arg.instId`.
    pub(super) inst_id: Token,
    /// `action`: whether a book is whole or a change.
    pub(super) action: Token,
    /// `data`.
    pub(super) data: Token,
    /// An element of `data` is no object.
    pub(super) has_odd_element: bool,
}

/// The fields that some element of `data` is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// `instId`: the instrument.
    pub(super) inst_id: Token,
    /// `ts`: when it happened.
    pub(super) time: Token,
    /// `seqId`.
    pub(super) seq: Token,
    /// `prevSeqId`.
    pub(super) prev_seq: Token,
    /// `checksum` of a book.
    pub(super) checksum: Token,
    /// `asks` of a book.
    pub(super) asks: Token,
    /// `bids` of a book.
    pub(super) bids: Token,
    /// `tradeId`.
    pub(super) trade_id: Token,
    /// `px` of a trade.
    pub(super) price: Token,
    /// `sz` of a trade.
    pub(super) size: Token,
    /// `side` of a trade.
    pub(super) side: Token,
    /// `bidPx` of a ticker.
    pub(super) bid: Token,
    /// `bidSz` of a ticker.
    pub(super) bid_size: Token,
    /// `askPx` of a ticker.
    pub(super) ask: Token,
    /// `askSz` of a ticker.
    pub(super) ask_size: Token,
}

impl Fields {
    #[inline]
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"px" => &mut self.price,
            b"sz" => &mut self.size,
            b"ts" => &mut self.time,
            b"asks" => &mut self.asks,
            b"bids" => &mut self.bids,
            b"side" => &mut self.side,
            b"seqId" => &mut self.seq,
            b"bidPx" => &mut self.bid,
            b"bidSz" => &mut self.bid_size,
            b"askPx" => &mut self.ask,
            b"askSz" => &mut self.ask_size,
            b"instId" => &mut self.inst_id,
            b"tradeId" => &mut self.trade_id,
            b"checksum" => &mut self.checksum,
            b"prevSeqId" => &mut self.prev_seq,
            _ => return None,
        })
    }
}

/// What is kept between frames for its room: the elements of the frame being read, and the levels of one of them.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Every element.
    pub(super) fields: Vec<Fields>,
    /// `bids` of the first element, or of the one given to [`Elements::load_levels`].
    pub(super) bids: SideLevels,
    /// `asks` likewise.
    pub(super) asks: SideLevels,
}

impl Elements {
    fn side(&mut self, key: &[u8]) -> Option<(&mut SideLevels, &'static str)> {
        match key {
            b"bids" => Some((&mut self.bids, "bids")),
            b"asks" => Some((&mut self.asks, "asks")),
            _ => None,
        }
    }

    /// Forgets the frame before.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        for side in [&mut self.bids, &mut self.asks] {
            side.levels.clear();
            side.fault = None;
        }
    }

    /// Reads the levels of an element behind the first; the walk has only seen that they are JSON.
    pub(super) fn load_levels(&mut self, frame: &str, fields: &Fields) -> Result<(), JsonError> {
        for (token, key) in [(fields.bids, b"bids"), (fields.asks, b"asks")] {
            let Some((side, field)) = self.side(key) else { continue };
            side.levels.clear();
            side.fault = None;
            if token.kind == TokenKind::Array {
                let mut scanner = Scanner::new(frame)?;
                scanner.rewind((token.start as usize, 0));
                side.fault = read_levels(&mut scanner, frame, field, &mut side.levels).err();
            }
        }
        Ok(())
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, wire: &mut Wire, elements: &mut Elements) -> Result<(), Reject> {
    elements.clear();
    let mut scanner = Scanner::new(frame)?;
    if scanner.peek() == Some(b'{') {
        read_envelope(&mut scanner, frame, wire, elements)?;
    } else {
        scanner.value()?;
    }
    Ok(scanner.end()?)
}

fn read_envelope(
    scanner: &mut Scanner<'_>,
    frame: &str,
    wire: &mut Wire,
    elements: &mut Elements,
) -> Result<(), Reject> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"arg" => read_arg(scanner, frame, wire)?,
            b"action" => wire.action = scanner.value()?,
            b"event" => wire.event = scanner.value()?,
            b"code" => wire.code = scanner.value()?,
            b"data" => read_data(scanner, frame, wire, elements)?,
            _ => {
                scanner.value()?;
            }
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_arg(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire) -> Result<(), JsonError> {
    (wire.channel, wire.inst_id) = (Token::default(), Token::default());
    if scanner.peek() != Some(b'{') {
        return scanner.value().map(|_| ());
    }
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        match &*key_name(frame, key) {
            b"channel" => wire.channel = value,
            b"instId" => wire.inst_id = value,
            _ => {}
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_data(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, elements: &mut Elements) -> Result<(), Reject> {
    elements.clear();
    wire.has_odd_element = false;
    if scanner.peek() != Some(b'[') {
        wire.data = scanner.value()?;
        return Ok(());
    }
    wire.data = Token { kind: TokenKind::Array, ..Token::default() };
    let mut more = scanner.open_array()?;
    while more {
        if elements.fields.len() == ELEMENTS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "data"));
        }
        let mut fields = Fields::default();
        if scanner.peek() == Some(b'{') {
            read_element(scanner, frame, &mut fields, elements)?;
        } else {
            scanner.value()?;
            wire.has_odd_element = true;
        }
        elements.fields.push(fields);
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_element(
    scanner: &mut Scanner<'_>,
    frame: &str,
    fields: &mut Fields,
    elements: &mut Elements,
) -> Result<(), JsonError> {
    let is_first = elements.fields.is_empty();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let key = key_name(frame, key);
        let is_list = is_first && scanner.peek() == Some(b'[');
        let token = if is_list { read_list(scanner, frame, &key, elements)? } else { scanner.value()? };
        if let Some(slot) = fields.slot(&key) {
            *slot = token;
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

/// A list: of levels when the key says so. What turns out to be something else is skipped and its fault kept.
fn read_list(scanner: &mut Scanner<'_>, frame: &str, key: &[u8], elements: &mut Elements) -> Result<Token, JsonError> {
    let Some((side, field)) = elements.side(key) else { return scanner.value() };
    let mark = scanner.mark();
    side.levels.clear();
    side.fault = None;
    if let Err(fault) = read_levels(scanner, frame, field, &mut side.levels) {
        side.fault = Some(fault);
        scanner.rewind(mark);
        return scanner.value();
    }
    let (start, end) = (mark.0, scanner.mark().0);
    // The scanner refuses texts whose offsets do not fit.
    let span = u32::try_from(start).ok().zip(u32::try_from(end - start).ok());
    let (start, len) = span.ok_or(JsonError::TooLarge)?;
    Ok(Token { kind: TokenKind::Array, escaped: false, start, len })
}
