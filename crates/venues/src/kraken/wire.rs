//! Kraken frames as sent: one walk over the text finds the fields of an object, in any order, or the elements of a list.
//!
//! Hot path. What the elements of `data` mean is known only when `channel` has been read, so levels are taken as what
//! their keys say, and a fault in them is kept until it matters.

use super::first::{self, Payload};
use super::usual_second;
use crate::cursor::Cursor;
use crate::decoder::{Reject, RejectReason};
use crate::fields::number;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{LevelNum, TradeMsg};
use crate::names::key_name;
use crate::nested::read_plain_object;
use crate::scan::{JsonError, Scanner, Token, TokenKind};
use std::ops::Range;

/// Most elements of `data`, and most trades of a list. Kraken sends up to 1000 at once.
pub(super) const ITEMS_MAX: usize = 1 << 14;

/// Most elements of a list of the first protocol: it sends five.
const PARTS_MAX: usize = 8;

/// A frame after the walk; the elements of `data` are in [`Lists`]. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `channel`, second protocol.
    pub(super) channel: Token,
    /// `type`: snapshot or update.
    pub(super) kind: Token,
    /// `data`.
    pub(super) data: Listed,
    /// `method` of an answer of the second protocol.
    pub(super) method: Token,
    /// `success` of such an answer.
    pub(super) success: Token,
    /// `error` of such an answer, or of REST.
    pub(super) error: Token,
    /// `event` of an object of the first protocol, or of the futures feed.
    pub(super) event: Token,
    /// `status` of a subscription of the first protocol.
    pub(super) status: Token,
    /// `feed` of the futures feed.
    pub(super) feed: Token,
    /// Whether the frame is a list.
    pub(super) is_list: bool,
    /// Its elements in front.
    pub(super) parts: [Token; PARTS_MAX],
    /// How many it has.
    pub(super) parts_len: usize,
    /// What its objects say.
    pub(super) payload: Payload,
}

/// A list, and why it is not what its key says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub(super) token: Token,
    fault: Option<Reject>,
}

impl Listed {
    /// Whether it was a list as its key says; otherwise why not.
    pub(super) fn check(&self, field: &'static str) -> Result<(), Reject> {
        crate::levels::check_levels(self.token, field, self.fault)
    }
}

/// One element of `data`.
#[derive(Clone, Debug, Default)]
pub(super) struct Item {
    /// `symbol`.
    pub(super) symbol: Token,
    /// `timestamp`.
    pub(super) time: Token,
    /// `side`: the taker's.
    pub(super) side: Token,
    /// `price`.
    pub(super) price: Token,
    /// `qty`.
    pub(super) size: Token,
    /// `trade_id`.
    pub(super) trade_id: Token,
    /// `bid`.
    pub(super) bid: Token,
    /// `bid_qty`.
    pub(super) bid_size: Token,
    /// `ask`.
    pub(super) ask: Token,
    /// `ask_qty`.
    pub(super) ask_size: Token,
    /// `checksum`.
    pub(super) checksum: Token,
    /// `bids`: levels.
    pub(super) bids: Listed,
    /// Where they stand in [`Levels::bids`].
    pub(super) bids_at: Range<usize>,
    /// `asks`: levels.
    pub(super) asks: Listed,
    /// Where they stand in [`Levels::asks`].
    pub(super) asks_at: Range<usize>,
}

impl Item {
    #[inline]
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"symbol" => &mut self.symbol,
            b"timestamp" => &mut self.time,
            b"side" => &mut self.side,
            b"price" => &mut self.price,
            b"qty" => &mut self.size,
            b"trade_id" => &mut self.trade_id,
            b"bid" => &mut self.bid,
            b"bid_qty" => &mut self.bid_size,
            b"ask" => &mut self.ask,
            b"ask_qty" => &mut self.ask_size,
            b"checksum" => &mut self.checksum,
            _ => return None,
        })
    }
}

/// Levels of all books of a frame, in buffers that keep their room.
#[derive(Debug, Default)]
pub(super) struct Levels {
    pub(super) bids: Vec<LevelNum>,
    pub(super) asks: Vec<LevelNum>,
}

impl Levels {
    /// Forgets all levels and keeps the room.
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

/// Adds a level, within the bound.
#[inline]
pub(super) fn push(levels: &mut Vec<LevelNum>, level: LevelNum, field: &'static str) -> Result<(), Reject> {
    if levels.len() == SIDE_LEVELS_MAX {
        return Err(Reject::new(RejectReason::TooManyLevels, field));
    }
    levels.push(level);
    Ok(())
}

/// A trade that is handed out when the whole frame is good; its symbol stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldTrade {
    pub(super) symbol: Token,
    /// Without its symbol.
    pub(super) trade: TradeMsg<'static>,
}

/// Everything in lists, in buffers that keep their room.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) levels: Levels,
    /// Trades that have been read.
    pub(super) trades: Vec<HeldTrade>,
    /// Under `data`.
    pub(super) items: Vec<Item>,
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, lists: &mut Lists) -> Result<Wire, JsonError> {
    let mut wire = Wire::default();
    let mut scanner = Scanner::new(frame)?;
    match scanner.peek() {
        Some(b'{') => {
            let mut more = scanner.open_object()?;
            while more {
                let key = scanner.key()?;
                read_member(&mut scanner, frame, &key_name(frame, key), &mut wire, lists)?;
                more = scanner.next_member()?;
            }
        }
        Some(b'[') => {
            wire.is_list = true;
            lists.levels.clear();
            let mut more = scanner.open_array()?;
            while more {
                let is_object = scanner.peek() == Some(b'{');
                let value = if is_object {
                    first::read_payload(&mut scanner, frame, &mut wire.payload, &mut lists.levels)?
                } else {
                    scanner.value()?
                };
                if let Some(part) = wire.parts.get_mut(wire.parts_len) {
                    *part = value;
                }
                wire.parts_len += 1;
                more = scanner.next_element()?;
            }
        }
        _ => {
            scanner.value()?;
        }
    }
    scanner.end()?;
    Ok(wire)
}

#[inline]
fn read_member(
    scanner: &mut Scanner<'_>,
    frame: &str,
    key: &[u8],
    wire: &mut Wire,
    lists: &mut Lists,
) -> Result<(), JsonError> {
    let slot = match key {
        b"data" => {
            wire.data = listed(scanner, |scanner| read_items(scanner, frame, lists))?;
            return Ok(());
        }
        b"channel" => &mut wire.channel,
        b"type" => &mut wire.kind,
        b"method" => &mut wire.method,
        b"success" => &mut wire.success,
        b"error" => &mut wire.error,
        b"event" => &mut wire.event,
        b"status" => &mut wire.status,
        b"feed" => &mut wire.feed,
        _ => return scanner.value().map(|_| ()),
    };
    *slot = scanner.value()?;
    Ok(())
}

/// Reads a list, or takes what stands there and keeps why it is not read.
fn listed<'a>(
    scanner: &mut Scanner<'a>,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<(), Reject>,
) -> Result<Listed, JsonError> {
    if scanner.peek() != Some(b'[') {
        return Ok(Listed { token: scanner.value()?, fault: None });
    }
    let mark = scanner.mark();
    match read(scanner) {
        Ok(()) => Ok(Listed { token: Token { kind: TokenKind::Array, ..Token::default() }, fault: None }),
        Err(fault) => {
            scanner.rewind(mark);
            Ok(Listed { token: scanner.value()?, fault: Some(fault) })
        }
    }
}

fn read_items(scanner: &mut Scanner<'_>, frame: &str, lists: &mut Lists) -> Result<(), Reject> {
    lists.items.clear();
    lists.levels.clear();
    let mut more = scanner.open_array()?;
    while more {
        if lists.items.len() == ITEMS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "data"));
        }
        if scanner.peek() != Some(b'{') {
            return Err(Reject::new(RejectReason::BadField, "data"));
        }
        let item = read_item(scanner, frame, &mut lists.levels)?;
        lists.items.push(item);
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_item(scanner: &mut Scanner<'_>, frame: &str, levels: &mut Levels) -> Result<Item, JsonError> {
    let mut item = Item::default();
    let mark = scanner.mark();
    let mut has_side = false;
    let is_plain = read_plain_object(scanner, frame, |key, value| match item.slot(key) {
        Some(slot) => *slot = value,
        None => has_side |= matches!(key, b"bids" | b"asks"),
    });
    if is_plain && !has_side {
        return Ok(item);
    }
    scanner.rewind(mark);
    item = Item::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"bids" => (item.bids, item.bids_at) = read_side(scanner, frame, "bids", &mut levels.bids)?,
            b"asks" => (item.asks, item.asks_at) = read_side(scanner, frame, "asks", &mut levels.asks)?,
            key => {
                let token = scanner.value()?;
                if let Some(slot) = item.slot(key) {
                    *slot = token;
                }
            }
        }
        more = scanner.next_member()?;
    }
    Ok(item)
}

/// One side of one book, and where its levels stand among those of the frame.
fn read_side(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
) -> Result<(Listed, Range<usize>), JsonError> {
    let start = levels.len();
    let list = listed(scanner, |scanner| read_levels(scanner, frame, field, levels))?;
    Ok((list, start..levels.len()))
}

/// Reads a list as it is mostly printed; false, and nothing taken, when this one is another. What is read twice then is
/// one list.
#[inline]
pub(super) fn read_plain(
    scanner: &mut Scanner<'_>,
    frame: &str,
    levels: &mut Vec<LevelNum>,
    read: impl FnOnce(&mut Cursor<'_>, &mut Vec<LevelNum>) -> Option<()>,
) -> bool {
    let (at, depth) = scanner.mark();
    let len = levels.len();
    let Some(mut cursor) = Cursor::new(frame, at) else { return false };
    let is_plain = read(&mut cursor, levels).is_some();
    if is_plain {
        scanner.rewind((cursor.at(), depth));
    } else {
        levels.truncate(len);
    }
    is_plain
}

/// `[{"price":62802.5,"qty":0.02987767},..]`.
fn read_levels(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
) -> Result<(), Reject> {
    if read_plain(scanner, frame, levels, usual_second::side) {
        return Ok(());
    }
    let mut more = scanner.open_array()?;
    while more {
        if scanner.peek() != Some(b'{') {
            return Err(Reject::new(RejectReason::BadField, field));
        }
        let (mut price, mut size) = (Token::default(), Token::default());
        let mut more_members = scanner.open_object()?;
        while more_members {
            let key = scanner.key()?;
            let value = scanner.value()?;
            match &*key_name(frame, key) {
                b"price" => price = value,
                b"qty" => size = value,
                _ => {}
            }
            more_members = scanner.next_member()?;
        }
        let level = LevelNum { price: number(frame, price, field)?, size: number(frame, size, field)? };
        push(levels, level, field)?;
        more = scanner.next_element()?;
    }
    Ok(())
}
