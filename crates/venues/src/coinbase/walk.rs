//! One walk over the text of a frame finds the fields of both feeds, in any order.
//!
//! Hot path. Which fields matter is known only when `type` or `channel` has been read, so lists are taken as what their
//! keys say, and a fault in one is kept until it matters.

use super::usual;
use super::wire::{Event, ITEMS_MAX, Item, Listed, Lists, Updates, Wire};
use crate::cursor::Cursor;
use crate::decoder::{Reject, RejectReason};
use crate::fields::number;
use crate::levels::{SideLevels, read_levels};
use crate::message::LevelNum;
use crate::names::key_name;
use crate::nested::read_plain_object;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, lists: &mut Lists) -> Result<Wire, JsonError> {
    let mut wire = Wire::default();
    let mut scanner = Scanner::new(frame)?;
    lists.updates.clear();
    match scanner.peek() {
        Some(b'{') if read_plain_object(&mut scanner, frame, |key, value| wire.put(key, value)) => {}
        Some(b'{') => {
            wire = Wire::default();
            let mut more = scanner.open_object()?;
            while more {
                let key = scanner.key()?;
                read_member(&mut scanner, frame, &key_name(frame, key), &mut wire, lists)?;
                more = scanner.next_member()?;
            }
        }
        Some(b'[') => {
            let mut more = scanner.open_array()?;
            while more {
                let value = scanner.value()?;
                if !wire.list_head.is_present() {
                    wire.list_head = value;
                }
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
    match key {
        b"bids" => wire.bids = read_side(scanner, frame, "bids", &mut lists.bids)?,
        b"asks" => wire.asks = read_side(scanner, frame, "asks", &mut lists.asks)?,
        b"changes" => {
            lists.updates.clear();
            wire.changes = listed(scanner, |scanner| read_changes(scanner, frame, &mut lists.updates))?;
        }
        b"events" => {
            lists.updates.clear();
            wire.events = listed(scanner, |scanner| read_events(scanner, frame, lists))?;
        }
        key => wire.put(key, scanner.value()?),
    }
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

fn read_side(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    side: &mut SideLevels,
) -> Result<Token, JsonError> {
    side.levels.clear();
    let list = listed(scanner, |scanner| read_levels(scanner, frame, field, &mut side.levels))?;
    side.fault = list.fault;
    Ok(list.token)
}

/// Reads a list as it is mostly printed; false, and nothing taken, when this one is another. What is read twice then is
/// one list.
#[inline]
fn read_plain(
    scanner: &mut Scanner<'_>,
    frame: &str,
    updates: &mut Updates,
    read: impl FnOnce(&mut Cursor<'_>, &mut Updates) -> Option<()>,
) -> bool {
    let (at, depth) = scanner.mark();
    let (bids, asks) = (updates.bids.len(), updates.asks.len());
    let Some(mut cursor) = Cursor::new(frame, at) else { return false };
    let is_plain = read(&mut cursor, updates).is_some();
    if is_plain {
        scanner.rewind((cursor.at(), depth));
    } else {
        updates.bids.truncate(bids);
        updates.asks.truncate(asks);
    }
    is_plain
}

/// `[["buy","price","size"],..]`.
fn read_changes(scanner: &mut Scanner<'_>, frame: &str, updates: &mut Updates) -> Result<(), Reject> {
    if read_plain(scanner, frame, updates, usual::changes) {
        return Ok(());
    }
    let missing = Reject::new(RejectReason::MissingField, "changes");
    let mut more = scanner.open_array()?;
    while more {
        if scanner.peek() != Some(b'[') || !scanner.open_array()? {
            return Err(Reject::new(RejectReason::BadField, "changes"));
        }
        let side = scanner.value()?;
        let mut next = || if scanner.next_element()? { Ok(scanner.value()?) } else { Err(missing) };
        let price = number(frame, next()?, "changes")?;
        let size = number(frame, next()?, "changes")?;
        while scanner.next_element()? {
            scanner.value()?;
        }
        updates.push(side, frame, LevelNum { price, size }, "changes")?;
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_events(scanner: &mut Scanner<'_>, frame: &str, lists: &mut Lists) -> Result<(), Reject> {
    lists.events.clear();
    lists.items.clear();
    let mut more = scanner.open_array()?;
    while more {
        if lists.events.len() == ITEMS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "events"));
        }
        let event = read_event(scanner, frame, lists)?;
        lists.events.push(event);
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_event(scanner: &mut Scanner<'_>, frame: &str, lists: &mut Lists) -> Result<Event, Reject> {
    if scanner.peek() != Some(b'{') {
        return Err(Reject::new(RejectReason::BadField, "events"));
    }
    let mut event = Event::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"type" => event.kind = scanner.value()?,
            b"product_id" => event.product = scanner.value()?,
            b"updates" => {
                let updates = &mut lists.updates;
                let (bids, asks) = (updates.bids.len(), updates.asks.len());
                event.updates = listed(scanner, |scanner| read_updates(scanner, frame, updates))?;
                (event.bids, event.asks) = (bids..updates.bids.len(), asks..updates.asks.len());
            }
            b"trades" => {
                let start = lists.items.len();
                event.trades = listed(scanner, |scanner| read_items(scanner, frame, "trades", &mut lists.items))?;
                event.trades_at = start..lists.items.len();
            }
            b"tickers" => {
                let start = lists.items.len();
                event.tickers = listed(scanner, |scanner| read_items(scanner, frame, "tickers", &mut lists.items))?;
                event.tickers_at = start..lists.items.len();
            }
            _ => {
                scanner.value()?;
            }
        }
        more = scanner.next_member()?;
    }
    Ok(event)
}

/// `[{"side":"bid","event_time":..,"price_level":"..","new_quantity":".."},..]`.
fn read_updates(scanner: &mut Scanner<'_>, frame: &str, updates: &mut Updates) -> Result<(), Reject> {
    if read_plain(scanner, frame, updates, usual::level_updates) {
        return Ok(());
    }
    let mut more = scanner.open_array()?;
    while more {
        if scanner.peek() != Some(b'{') {
            return Err(Reject::new(RejectReason::BadField, "updates"));
        }
        let (mut side, mut price, mut size) = (Token::default(), Token::default(), Token::default());
        let mut more_members = scanner.open_object()?;
        while more_members {
            let key = scanner.key()?;
            let value = scanner.value()?;
            match &*key_name(frame, key) {
                b"side" => side = value,
                b"price_level" => price = value,
                b"new_quantity" => size = value,
                _ => {}
            }
            more_members = scanner.next_member()?;
        }
        let level =
            LevelNum { price: number(frame, price, "price_level")?, size: number(frame, size, "new_quantity")? };
        updates.push(side, frame, level, "updates")?;
        more = scanner.next_element()?;
    }
    Ok(())
}

/// Trades or tickers.
fn read_items(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    items: &mut Vec<Item>,
) -> Result<(), Reject> {
    let mut more = scanner.open_array()?;
    while more {
        if items.len() == ITEMS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, field));
        }
        if scanner.peek() != Some(b'{') {
            return Err(Reject::new(RejectReason::BadField, field));
        }
        items.push(read_item(scanner, frame)?);
        more = scanner.next_element()?;
    }
    Ok(())
}

fn read_item(scanner: &mut Scanner<'_>, frame: &str) -> Result<Item, JsonError> {
    let mut item = Item::default();
    let is_plain = read_plain_object(scanner, frame, |key, value| {
        if let Some(slot) = item.slot(key) {
            *slot = value;
        }
    });
    if is_plain {
        return Ok(item);
    }
    item = Item::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        if let Some(slot) = item.slot(&key_name(frame, key)) {
            *slot = value;
        }
        more = scanner.next_member()?;
    }
    Ok(item)
}
