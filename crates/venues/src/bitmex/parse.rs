//! Rows that say all there is to say: trades, quotes and `orderBook10`.
//!
//! Field meanings: recorded frames of 2021 to 2023, whose partials name the columns of a table and their types.

use super::Action;
use super::wire::Row;
use crate::decoder::{Label, Outcome, Reject, RejectReason};
use crate::fields::number;
use crate::levels::read_levels;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::names::symbol;
use crate::scan::{Scanner, Token, TokenKind};
use crate::time_text::optional_rfc3339;
use crate::trade_ids::trade_id;
use feedd_model::{BookAction, Side};

/// What is kept between rows for its room.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// A symbol that was escaped.
    symbol: String,
    bids: Vec<LevelNum>,
    asks: Vec<LevelNum>,
}

/// One row as a message; `None` when it gives none.
type Build = for<'a> fn(&'a str, &Row, Action, &'a mut Buffers) -> Result<Option<Message<'a>>, Reject>;

/// The rows of `trade`, `quote` or `orderBook10`.
pub(super) fn decode<'f>(
    frame: &'f str,
    table: &str,
    action: Action,
    rows: &[Row],
    buffers: &mut Buffers,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let (build, nothing): (Build, _) = match table {
        "trade" => (trade, Label { field: "trade", name: Some("without size") }),
        // Each row of quotes gives one.
        "quote" => (quote, Label { field: "table", name: Some("quote") }),
        _ => (top, Label { field: "orderBook10", name: Some("with one side only") }),
    };
    // A fault in the last row must leave nothing handed out. One alone is shown behind all that can be wrong with it.
    if rows.len() > 1 {
        for row in rows {
            build(frame, row, action, buffers)?;
        }
    }
    let mut messages = 0;
    for row in rows {
        if let Some(message) = build(frame, row, action, buffers)? {
            out.message(frame, &message);
            messages += 1;
        }
    }
    Ok(if messages == 0 && !rows.is_empty() { Outcome::Unknown(nothing) } else { Outcome::Messages(messages) })
}

/// Those of a partial are from before the subscription. A row without a size is the value of an index; one without a side
/// is a settlement.
fn trade<'a>(
    frame: &'a str,
    row: &Row,
    action: Action,
    buffers: &'a mut Buffers,
) -> Result<Option<Message<'a>>, Reject> {
    if is_none(row.size) {
        return Ok(None);
    }
    Ok(Some(Message::Trade(TradeMsg {
        symbol: symbol(frame, row.symbol, "symbol", &mut buffers.symbol)?,
        exchange_ts: optional_rfc3339(frame, row.time, "timestamp")?,
        event_ts: None,
        price: number(frame, row.price, "price")?,
        size: number(frame, row.size, "size")?,
        side: if is_none(row.side) { None } else { Some(side(frame, row.side)?) },
        id: trade_id(frame, row.trade_id, "trdMatchID")?,
        seq: None,
        replay: action == Action::Partial,
    })))
}

/// A side without orders is not there.
fn quote<'a>(frame: &'a str, row: &Row, _: Action, buffers: &'a mut Buffers) -> Result<Option<Message<'a>>, Reject> {
    Ok(Some(Message::Quote(QuoteMsg {
        symbol: symbol(frame, row.symbol, "symbol", &mut buffers.symbol)?,
        exchange_ts: optional_rfc3339(frame, row.time, "timestamp")?,
        event_ts: None,
        bid: optional_number(frame, row.bid, "bidPrice")?,
        bid_size: optional_number(frame, row.bid_size, "bidSize")?,
        ask: optional_number(frame, row.ask, "askPrice")?,
        ask_size: optional_number(frame, row.ask_size, "askSize")?,
        seq: None,
        replay: false,
    })))
}

/// `orderBook10`: the best ten levels, whatever the action. With one side only it is no whole book, and nothing says
/// whether the other side is empty or unchanged.
fn top<'a>(frame: &'a str, row: &Row, _: Action, buffers: &'a mut Buffers) -> Result<Option<Message<'a>>, Reject> {
    if is_none(row.bids) || is_none(row.asks) {
        return Ok(None);
    }
    side_levels(frame, row.bids, "bids", &mut buffers.bids)?;
    side_levels(frame, row.asks, "asks", &mut buffers.asks)?;
    Ok(Some(Message::Book(BookMsg {
        symbol: symbol(frame, row.symbol, "symbol", &mut buffers.symbol)?,
        exchange_ts: optional_rfc3339(frame, row.time, "timestamp")?,
        event_ts: None,
        action: BookAction::Snapshot,
        bids: &buffers.bids,
        asks: &buffers.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: None,
        replay: false,
    })))
}

fn side_levels(frame: &str, list: Token, field: &'static str, levels: &mut Vec<LevelNum>) -> Result<(), Reject> {
    levels.clear();
    if list.kind != TokenKind::Array {
        return Err(Reject::new(RejectReason::BadField, field));
    }
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((list.start as usize, 0));
    read_levels(&mut scanner, frame, field, levels)
}

/// The taker's side of a trade, or that of a level.
pub(super) fn side(frame: &str, token: Token) -> Result<Side, Reject> {
    match (token.kind, token.bytes(frame)) {
        (TokenKind::String, b"Buy") => Ok(Side::Buy),
        (TokenKind::String, b"Sell") => Ok(Side::Sell),
        (TokenKind::Absent | TokenKind::Null, _) => Err(Reject::new(RejectReason::MissingField, "side")),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}

fn optional_number(frame: &str, token: Token, field: &'static str) -> Result<Option<Num>, Reject> {
    if is_none(token) { Ok(None) } else { number(frame, token, field).map(Some) }
}

/// Not there, `null`, or an empty text.
pub(super) const fn is_none(token: Token) -> bool {
    match token.kind {
        TokenKind::Absent | TokenKind::Null => true,
        TokenKind::String => token.len == 0,
        _ => false,
    }
}
