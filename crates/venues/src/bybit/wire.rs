//! Bybit frames as sent: one walk over the text finds the envelope and the elements of `data`, in any order of keys.
//!
//! Hot path. What a field means depends on the topic, and the topic may stand behind the data: so a field is only a
//! [`Token`] here; `parse.rs` gives it a meaning.

use crate::decoder::{Reject, RejectReason};
use crate::levels::{SideLevels, read_levels};
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Most elements of `data`: the venue sends up to 1,024 trades. Bounds what a hostile frame makes us hold.
const ELEMENTS_MAX: usize = 1 << 14;

/// A frame's envelope. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `topic`.
    pub(super) topic: Token,
    /// `type`: whether the data are whole or a change.
    pub(super) kind: Token,
    /// `ts`: when it was sent.
    pub(super) sent: Token,
    /// `cts`: when the matching engine made it.
    pub(super) matched: Token,
    /// `cs`: sequence number of a ticker.
    pub(super) seq: Token,
    /// `op` of an answer.
    pub(super) op: Token,
    /// `success` of an answer.
    pub(super) success: Token,
    /// `data`: an object, or a list of them.
    pub(super) data: Token,
    /// An element of `data` is no object.
    pub(super) has_odd_element: bool,
}

impl Wire {
    #[inline]
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"ts" => &mut self.sent,
            b"cs" => &mut self.seq,
            b"op" => &mut self.op,
            b"cts" => &mut self.matched,
            b"type" => &mut self.kind,
            b"topic" => &mut self.topic,
            b"success" => &mut self.success,
            _ => return None,
        })
    }
}

/// The fields that some element of `data` is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// `s` of a trade or book: the instrument.
    pub(super) symbol: Token,
    /// `T` of a trade: when it was matched.
    pub(super) time: Token,
    /// `S` of a trade: the taker's side.
    pub(super) side: Token,
    /// `v` of a trade: its size.
    pub(super) size: Token,
    /// `p` of a trade.
    pub(super) price: Token,
    /// `i` of a trade.
    pub(super) id: Token,
    /// `seq` of a trade or book.
    pub(super) seq: Token,
    /// `u` of a book: its update id.
    pub(super) update_id: Token,
    /// `b` of a book.
    pub(super) bids: Token,
    /// `a` of a book.
    pub(super) asks: Token,
    /// `symbol` of a ticker.
    pub(super) ticker_symbol: Token,
    /// What a ticker says about the best bid and ask.
    pub(super) best: Best,
}

/// The best bid and ask of a ticker: `bid1Price` and so on of futures and perpetuals, `bidPrice` and so on of options.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Best {
    /// Bid, its size, ask, its size.
    pub(super) values: [Token; 4],
    /// In the names that options have.
    pub(super) is_option: bool,
}

impl Best {
    fn option_slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        let slot = self.values.get_mut(option_field(key)?)?;
        self.is_option = true;
        Some(slot)
    }
}

/// Place in [`Best`] of a field of options.
fn option_field(key: &[u8]) -> Option<usize> {
    OPTION_FIELDS.iter().position(|field| *field == key)
}

const OPTION_FIELDS: [&[u8]; 4] = [b"bidPrice", b"bidSize", b"askPrice", b"askSize"];

impl Fields {
    #[inline]
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            [letter] => match letter {
                b's' => &mut self.symbol,
                b'T' => &mut self.time,
                b'S' => &mut self.side,
                b'v' => &mut self.size,
                b'p' => &mut self.price,
                b'i' => &mut self.id,
                b'u' => &mut self.update_id,
                b'b' => &mut self.bids,
                b'a' => &mut self.asks,
                _ => return None,
            },
            b"seq" => &mut self.seq,
            b"symbol" => &mut self.ticker_symbol,
            b"bid1Price" => &mut self.best.values[0],
            b"bid1Size" => &mut self.best.values[1],
            b"ask1Price" => &mut self.best.values[2],
            b"ask1Size" => &mut self.best.values[3],
            _ => return self.best.option_slot(key),
        })
    }
}

/// What is kept between frames for its room: the elements of the frame being read, and the levels of one of them.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Every element.
    pub(super) fields: Vec<Fields>,
    /// `b` of the first element, or of the one given to [`Elements::load_levels`].
    pub(super) bids: SideLevels,
    /// `a` likewise.
    pub(super) asks: SideLevels,
}

impl Elements {
    fn side(&mut self, key: &[u8]) -> Option<(&mut SideLevels, &'static str)> {
        match key {
            b"b" => Some((&mut self.bids, "b")),
            b"a" => Some((&mut self.asks, "a")),
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
        for (token, key) in [(fields.bids, b"b"), (fields.asks, b"a")] {
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
        let mut more = scanner.open_object()?;
        while more {
            let key = scanner.key()?;
            match &*key_name(frame, key) {
                b"data" => read_data(&mut scanner, frame, wire, elements)?,
                key => {
                    let value = scanner.value()?;
                    if let Some(slot) = wire.slot(key) {
                        *slot = value;
                    }
                }
            }
            more = scanner.next_member()?;
        }
    } else {
        scanner.value()?;
    }
    Ok(scanner.end()?)
}

fn read_data(scanner: &mut Scanner<'_>, frame: &str, wire: &mut Wire, elements: &mut Elements) -> Result<(), Reject> {
    elements.clear();
    wire.has_odd_element = false;
    match scanner.peek() {
        Some(b'{') => {
            wire.data = Token { kind: TokenKind::Object, ..Token::default() };
            read_element(scanner, frame, elements)?;
        }
        Some(b'[') => {
            wire.data = Token { kind: TokenKind::Array, ..Token::default() };
            let mut more = scanner.open_array()?;
            while more {
                if elements.fields.len() == ELEMENTS_MAX {
                    return Err(Reject::new(RejectReason::TooLarge, "data"));
                }
                if scanner.peek() == Some(b'{') {
                    read_element(scanner, frame, elements)?;
                } else {
                    scanner.value()?;
                    wire.has_odd_element = true;
                }
                more = scanner.next_element()?;
            }
        }
        _ => wire.data = scanner.value()?,
    }
    Ok(())
}

fn read_element(scanner: &mut Scanner<'_>, frame: &str, elements: &mut Elements) -> Result<(), JsonError> {
    let is_first = elements.fields.is_empty();
    let mut fields = Fields::default();
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
    elements.fields.push(fields);
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
