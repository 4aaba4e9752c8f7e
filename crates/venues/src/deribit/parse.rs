//! Deribit fields to normalised messages. Pure: what it needs to know stands in its arguments.
//!
//! Field meanings: docs.deribit.com, `trades.(instrument_name).(interval)`, `ticker`, `quote` and `book` (as public clients report it),
//! checked against recorded frames.

use super::wire::Fields;
use crate::decoder::{Reject, RejectReason};
use crate::fields::{number, optional_seq, required_time, time};
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{BookMsg, LevelNum, Num, QuoteMsg, TradeMsg};
use crate::scan::{Scanner, Token, TokenKind};
use crate::trade_ids::{trade_id, trade_id_of};
use feedd_model::{BookAction, Side, TradeId};

/// A trade; `trade_seq` counts those of an instrument.
pub(super) fn trade<'a>(frame: &'a str, fields: &Fields, symbol: &'a str) -> Result<TradeMsg<'a>, Reject> {
    Ok(TradeMsg {
        symbol,
        exchange_ts: Some(required_time(frame, fields.time, "timestamp")?),
        event_ts: None,
        price: number(frame, fields.price, "price")?,
        size: number(frame, fields.amount, "amount")?,
        side: Some(direction(frame, fields.direction)?),
        id: id(frame, fields.trade_id)?,
        seq: optional_seq(frame, fields.trade_seq, "trade_seq")?,
        replay: false,
    })
}

fn direction(frame: &str, token: Token) -> Result<Side, Reject> {
    match (token.kind, token.bytes(frame)) {
        (TokenKind::String, b"buy") => Ok(Side::Buy),
        (TokenKind::String, b"sell") => Ok(Side::Sell),
        (TokenKind::Absent | TokenKind::Null, _) => Err(Reject::new(RejectReason::MissingField, "direction")),
        _ => Err(Reject::new(RejectReason::BadField, "direction")),
    }
}

/// Ids count the trades of a currency, and all but those of BTC are printed behind its name: `ETH-34066`. An instrument has
/// one currency, so the number tells its trades apart.
fn id(frame: &str, token: Token) -> Result<TradeId, Reject> {
    if token.kind == TokenKind::String
        && let Some((currency, number)) = token.text(frame).rsplit_once('-')
        && !currency.is_empty()
        && currency.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        && let Some(id @ TradeId::Number(_)) = trade_id_of(number.as_bytes())
    {
        return Ok(id);
    }
    trade_id(frame, token, "trade_id")
}

/// `ticker` and `quote`. Without orders the venue sends 0 or `null` for a price: the first is kept as sent.
pub(super) fn quote<'a>(frame: &'a str, fields: &Fields, symbol: &'a str) -> Result<QuoteMsg<'a>, Reject> {
    if ![fields.bid, fields.bid_size, fields.ask, fields.ask_size].iter().any(|token| token.is_present()) {
        return Err(Reject::new(RejectReason::MissingField, "best_bid_price"));
    }
    Ok(QuoteMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "timestamp")?,
        event_ts: None,
        bid: optional_number(frame, fields.bid, "best_bid_price")?,
        bid_size: optional_number(frame, fields.bid_size, "best_bid_amount")?,
        ask: optional_number(frame, fields.ask, "best_ask_price")?,
        ask_size: optional_number(frame, fields.ask_size, "best_ask_amount")?,
        seq: None,
        replay: false,
    })
}

fn optional_number(frame: &str, token: Token, field: &'static str) -> Result<Option<Num>, Reject> {
    if matches!(token.kind, TokenKind::Absent | TokenKind::Null) {
        return Ok(None);
    }
    number(frame, token, field).map(Some)
}

/// A book whose levels have been read. Grouped ones have no `type` and are whole each time; what follows another message is
/// a change.
pub(super) fn book<'a>(
    frame: &'a str,
    fields: &Fields,
    symbol: &'a str,
    (bids, asks): (&'a [LevelNum], &'a [LevelNum]),
) -> Result<BookMsg<'a>, Reject> {
    let seq_prev = optional_seq(frame, fields.prev_change_id, "prev_change_id")?;
    let action = match (fields.kind.kind, fields.kind.bytes(frame)) {
        (TokenKind::String, b"snapshot") => BookAction::Snapshot,
        (TokenKind::String, b"change") => BookAction::Delta,
        (TokenKind::Absent | TokenKind::Null, _) if seq_prev.is_none() => BookAction::Snapshot,
        (TokenKind::Absent | TokenKind::Null, _) => BookAction::Delta,
        _ => return Err(Reject::new(RejectReason::BadField, "type")),
    };
    Ok(BookMsg {
        symbol,
        exchange_ts: time(frame, fields.time, "timestamp")?,
        event_ts: None,
        action,
        bids,
        asks,
        seq_first: None,
        seq_last: optional_seq(frame, fields.change_id, "change_id")?,
        seq_prev,
        checksum: None,
        replay: false,
    })
}

/// `["new"|"change"|"delete", price, amount]`, or `[price, amount]` of a grouped book. A list that is not there has no
/// levels: false.
pub(super) fn levels(
    frame: &str,
    list: Token,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
) -> Result<bool, Reject> {
    levels.clear();
    match list.kind {
        TokenKind::Array => {}
        TokenKind::Absent | TokenKind::Null => return Ok(false),
        _ => return Err(Reject::new(RejectReason::BadField, field)),
    }
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((list.start as usize, 0));
    let mut more = scanner.open_array()?;
    while more {
        if levels.len() == SIDE_LEVELS_MAX {
            return Err(Reject::new(RejectReason::TooManyLevels, field));
        }
        levels.push(level(&mut scanner, frame, field)?);
        more = scanner.next_element()?;
    }
    Ok(true)
}

fn level(scanner: &mut Scanner<'_>, frame: &str, field: &'static str) -> Result<LevelNum, Reject> {
    let missing = Reject::new(RejectReason::MissingField, field);
    if scanner.peek() != Some(b'[') || !scanner.open_array()? {
        return Err(Reject::new(RejectReason::BadField, field));
    }
    let first = scanner.value()?;
    let word = if first.kind == TokenKind::String { first.bytes(frame) } else { b"" };
    let has_word = matches!(word, b"new" | b"change" | b"delete");
    let price = if !has_word {
        first
    } else if scanner.next_element()? {
        scanner.value()?
    } else {
        return Err(missing);
    };
    let price = number(frame, price, field)?;
    if !scanner.next_element()? {
        return Err(missing);
    }
    let size = number(frame, scanner.value()?, field)?;
    while scanner.next_element()? {
        scanner.value()?;
    }
    // The size tells whether a level goes: one that goes and has a size would stay.
    if word == b"delete" && !size.value.is_zero() {
        return Err(Reject::new(RejectReason::BadField, field));
    }
    Ok(LevelNum { price, size })
}
