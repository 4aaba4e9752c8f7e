//! The second protocol: `{"channel":..,"type":..,"data":[..]}`.
//!
//! Source: docs.kraken.com, "Spot WebSockets v2": book, trade, ticker, status, heartbeat (read mid 2026), checked against a
//! recording of 2026-08-16. Numbers are numbers of JSON. Depth has no sequence number, only a checksum of the ten best
//! levels. Left out: `ohlc`, `instrument`, single orders (`level3`), and what needs an account (`executions`, `balances`).

use super::values::{NO_QUOTE, checksum, optional_number, side};
use super::wire::{Item, Levels, Lists, Wire};
use crate::decoder::{CONTROL_ALIVE, Label, Outcome, Reject, RejectReason};
use crate::fields::number;
use crate::message::{BookMsg, Message, MessageSink, QuoteMsg, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::scan::TokenKind;
use crate::time_text::optional_rfc3339;
use crate::trade_ids::trade_id;
use feedd_model::BookAction;

/// One element of `data` as a message; `None` when it gives none.
type Build = for<'a> fn(&'a str, &Item, bool, &'a Levels, &'a mut String) -> Result<Option<Message<'a>>, Reject>;

pub(super) fn decode<'f>(
    frame: &'f str,
    wire: &Wire,
    lists: &Lists,
    scratch: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let name = optional_text(frame, wire.channel);
    let build: Build = match name {
        Some("book") => book,
        Some("trade") => trade,
        Some("ticker") => ticker,
        _ => return Ok(other(name)),
    };
    wire.data.check("data")?;
    let is_snapshot = is_snapshot(frame, wire)?;
    // A fault in the last element must leave nothing handed out: first all are read, then shown. One alone is shown
    // behind all that can be wrong with it.
    if lists.items.len() > 1 {
        for item in &lists.items {
            build(frame, item, is_snapshot, &lists.levels, scratch)?;
        }
    }
    let mut messages = 0;
    for item in &lists.items {
        if let Some(message) = build(frame, item, is_snapshot, &lists.levels, scratch)? {
            out.message(frame, &message);
            messages += 1;
        }
    }
    if messages == 0 && !lists.items.is_empty() {
        return Ok(NO_QUOTE);
    }
    Ok(Outcome::Messages(messages))
}

/// Channels of the connection, and those nobody has a use for.
const fn other(name: Option<&str>) -> Outcome<'_> {
    let label = Label { field: "channel", name };
    match name {
        Some(known) if matches!(known.as_bytes(), b"heartbeat" | b"status") => {
            Outcome::Control { name: CONTROL_ALIVE, label }
        }
        _ => Outcome::Unknown(label),
    }
}

/// `type`: without it nobody knows whether a book is whole and a trade new.
fn is_snapshot(frame: &str, wire: &Wire) -> Result<bool, Reject> {
    match (wire.kind.kind, wire.kind.bytes(frame)) {
        (TokenKind::String, b"snapshot") => Ok(true),
        (TokenKind::String, b"update") => Ok(false),
        (TokenKind::Absent | TokenKind::Null, _) => Err(Reject::new(RejectReason::MissingField, "type")),
        _ => Err(Reject::new(RejectReason::BadField, "type")),
    }
}

/// The trades of a snapshot are from before the subscription.
fn trade<'a>(
    frame: &'a str,
    item: &Item,
    is_snapshot: bool,
    _: &'a Levels,
    scratch: &'a mut String,
) -> Result<Option<Message<'a>>, Reject> {
    Ok(Some(Message::Trade(TradeMsg {
        symbol: symbol(frame, item.symbol, "symbol", scratch)?,
        exchange_ts: optional_rfc3339(frame, item.time, "timestamp")?,
        event_ts: None,
        price: number(frame, item.price, "price")?,
        size: number(frame, item.size, "qty")?,
        side: side(frame, item.side)?,
        id: trade_id(frame, item.trade_id, "trade_id")?,
        seq: None,
        replay: is_snapshot,
    })))
}

/// The time of a ticker is a newer field.
fn ticker<'a>(
    frame: &'a str,
    item: &Item,
    _: bool,
    _: &'a Levels,
    scratch: &'a mut String,
) -> Result<Option<Message<'a>>, Reject> {
    let bid = optional_number(frame, item.bid, "bid")?;
    let ask = optional_number(frame, item.ask, "ask")?;
    if bid.is_none() && ask.is_none() {
        return Ok(None);
    }
    Ok(Some(Message::Quote(QuoteMsg {
        symbol: symbol(frame, item.symbol, "symbol", scratch)?,
        exchange_ts: optional_rfc3339(frame, item.time, "timestamp")?,
        event_ts: None,
        bid,
        bid_size: optional_number(frame, item.bid_size, "bid_qty")?,
        ask,
        ask_size: optional_number(frame, item.ask_size, "ask_qty")?,
        seq: None,
        replay: false,
    })))
}

/// A side that is not there has not changed; without both it is no book.
fn book<'a>(
    frame: &'a str,
    item: &Item,
    is_snapshot: bool,
    levels: &'a Levels,
    scratch: &'a mut String,
) -> Result<Option<Message<'a>>, Reject> {
    if item.asks.token.is_present() || !item.bids.token.is_present() {
        item.asks.check("asks")?;
    }
    if item.bids.token.is_present() {
        item.bids.check("bids")?;
    }
    Ok(Some(Message::Book(BookMsg {
        symbol: symbol(frame, item.symbol, "symbol", scratch)?,
        exchange_ts: optional_rfc3339(frame, item.time, "timestamp")?,
        event_ts: None,
        action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
        bids: levels.bids.get(item.bids_at.clone()).unwrap_or_default(),
        asks: levels.asks.get(item.asks_at.clone()).unwrap_or_default(),
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: checksum(frame, item.checksum, "checksum")?,
        replay: false,
    })))
}
