//! Bitstamp frames as sent: one walk over the text finds the envelope and the members of `data`, in any order of keys.
//!
//! Hot path. What `data` means is told by `event` and `channel`, which may stand behind it: so a field is only a [`Token`]
//! here, and a fault in a list of levels is kept until it matters.

use crate::decoder::{Reject, RejectReason};
use crate::levels::{SideLevels, check_levels, read_levels};
use crate::message::LevelNum;
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// A frame after the walk. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `event`.
    pub(super) event: Token,
    /// `channel`: its kind and the instrument.
    pub(super) channel: Token,
    /// `data`.
    pub(super) data: Token,
    /// What is in `data`.
    pub(super) body: Body,
    /// The same at the top: the book of an answer of REST. Its levels have not been read.
    pub(super) answer: Body,
    /// `error`, or `status` with a `reason`: a refusal of REST.
    pub(super) error: Token,
}

/// The members that a trade or a book is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Body {
    /// `id` of a trade.
    pub(super) id: Token,
    /// `timestamp`: seconds.
    pub(super) seconds: Token,
    /// `microtimestamp`: microseconds.
    pub(super) micros: Token,
    /// `price_str`.
    pub(super) price_text: Token,
    /// `price`: a number, perhaps one that went through a float.
    pub(super) price: Token,
    /// `amount_str`.
    pub(super) size_text: Token,
    /// `amount`.
    pub(super) size: Token,
    /// `type`: the taker's side.
    pub(super) side: Token,
    /// `bids`.
    pub(super) bids: Token,
    /// `asks`.
    pub(super) asks: Token,
}

impl Body {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"id" => &mut self.id,
            b"timestamp" => &mut self.seconds,
            b"microtimestamp" => &mut self.micros,
            b"price_str" => &mut self.price_text,
            b"price" => &mut self.price,
            b"amount_str" => &mut self.size_text,
            b"amount" => &mut self.size,
            b"type" => &mut self.side,
            b"bids" => &mut self.bids,
            b"asks" => &mut self.asks,
            _ => return None,
        })
    }
}

/// Levels of the book of a frame, in buffers that keep their room.
#[derive(Debug, Default)]
pub(super) struct Levels {
    bids: SideLevels,
    asks: SideLevels,
}

impl Levels {
    fn clear(&mut self) {
        for side in [&mut self.bids, &mut self.asks] {
            side.levels.clear();
            side.fault = None;
        }
    }

    fn side(&mut self, key: &[u8]) -> Option<(&mut SideLevels, &'static str)> {
        match key {
            b"bids" => Some((&mut self.bids, "bids")),
            b"asks" => Some((&mut self.asks, "asks")),
            _ => None,
        }
    }

    /// Reads the levels of an answer; the walk has only seen that they are JSON.
    pub(super) fn load(&mut self, frame: &str, body: &Body) -> Result<(), JsonError> {
        self.clear();
        for (token, key) in [(body.bids, b"bids"), (body.asks, b"asks")] {
            let Some((side, field)) = self.side(key) else { continue };
            if token.kind == TokenKind::Array {
                let mut scanner = Scanner::new(frame)?;
                scanner.rewind((token.start as usize, 0));
                side.fault = read_levels(&mut scanner, frame, field, &mut side.levels).err();
            }
        }
        Ok(())
    }

    /// Bids and asks, when both are lists of levels.
    pub(super) fn both(&self, body: &Body) -> Result<(&[LevelNum], &[LevelNum]), Reject> {
        check_levels(body.bids, "bids", self.bids.fault)?;
        check_levels(body.asks, "asks", self.asks.fault)?;
        Ok((&self.bids.levels, &self.asks.levels))
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, levels: &mut Levels) -> Result<Wire, JsonError> {
    let mut wire = Wire::default();
    levels.clear();
    let mut scanner = Scanner::new(frame)?;
    if scanner.peek() == Some(b'{') {
        let mut more = scanner.open_object()?;
        while more {
            let key = scanner.key()?;
            read_member(&mut scanner, frame, &key_name(frame, key), &mut wire, levels)?;
            more = scanner.next_member()?;
        }
    } else {
        scanner.value()?;
    }
    scanner.end()?;
    Ok(wire)
}

fn read_member(
    scanner: &mut Scanner<'_>,
    frame: &str,
    key: &[u8],
    wire: &mut Wire,
    levels: &mut Levels,
) -> Result<(), JsonError> {
    if key == b"data" {
        wire.body = Body::default();
        levels.clear();
        let is_object = scanner.peek() == Some(b'{');
        wire.data = if is_object { read_data(scanner, frame, &mut wire.body, levels)? } else { scanner.value()? };
        return Ok(());
    }
    let value = scanner.value()?;
    let slot = match key {
        b"event" => Some(&mut wire.event),
        b"channel" => Some(&mut wire.channel),
        b"error" | b"reason" => Some(&mut wire.error),
        _ => wire.answer.slot(key),
    };
    if let Some(slot) = slot {
        *slot = value;
    }
    Ok(())
}

fn read_data(scanner: &mut Scanner<'_>, frame: &str, body: &mut Body, levels: &mut Levels) -> Result<Token, JsonError> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let key = key_name(frame, key);
        let value = match levels.side(&key) {
            Some((side, field)) => read_side(scanner, frame, side, field)?,
            None => scanner.value()?,
        };
        if let Some(slot) = body.slot(&key) {
            *slot = value;
        }
        more = scanner.next_member()?;
    }
    Ok(Token { kind: TokenKind::Object, ..Token::default() })
}

/// One side of a book; what is no list of levels is taken as what it is, and why is kept.
fn read_side(
    scanner: &mut Scanner<'_>,
    frame: &str,
    side: &mut SideLevels,
    field: &'static str,
) -> Result<Token, JsonError> {
    side.levels.clear();
    side.fault = None;
    if scanner.peek() != Some(b'[') {
        return scanner.value();
    }
    let mark = scanner.mark();
    match read_levels(scanner, frame, field, &mut side.levels) {
        Ok(()) => Ok(Token { kind: TokenKind::Array, ..Token::default() }),
        Err(fault) => {
            side.fault = Some(fault);
            scanner.rewind(mark);
            scanner.value()
        }
    }
}

/// Why `data` is not what an event needs.
pub(super) fn check_data(data: Token) -> Result<(), Reject> {
    match data.kind {
        TokenKind::Object => Ok(()),
        TokenKind::Absent => Err(Reject::new(RejectReason::MissingField, "data")),
        _ => Err(Reject::new(RejectReason::BadField, "data")),
    }
}
