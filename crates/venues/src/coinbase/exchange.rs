//! Frames of the Exchange feed, named by `type`.
//!
//! Source: docs.cdp.coinbase.com/exchange, "WebSocket channels" (read mid 2026), checked against recordings of 2021 and
//! 2022. `match` (in `matches` and `full`), `last_match`, `ticker`, `snapshot` and `l2update` (`level2`, `level2_batch`)
//! give messages. Left out: single orders (`received`, `open`, `done`, `change`, `activate`, the lists of `level3`), the
//! indicative book of an `auction`, and `rfq_match`, which is traded outside the book.

use super::values::{NO_QUOTE, other, quote, taker_side, time};
use super::wire::{Lists, Wire};
use crate::decoder::{Label, Outcome, Reject};
use crate::fields::{number, optional_seq};
use crate::levels::check_levels;
use crate::message::{BookMsg, Message, MessageSink, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::trade_ids::trade_id;
use feedd_model::BookAction;

pub(super) fn decode<'f>(
    frame: &'f str,
    wire: &Wire,
    lists: &Lists,
    scratch: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    if let Some(name) = optional_text(frame, wire.list_head) {
        return Ok(Outcome::Unknown(Label { field: "level3", name: Some(name) }));
    }
    let name = optional_text(frame, wire.kind);
    let message = match name {
        Some("match") => Message::Trade(trade(frame, wire, false, scratch)?),
        Some("last_match") => Message::Trade(trade(frame, wire, true, scratch)?),
        Some("ticker") => {
            let time = time(frame, wire.item.time, "time")?;
            let seq = optional_seq(frame, wire.sequence, "sequence")?;
            match quote(frame, &wire.item, time, seq, scratch)? {
                Some(quote) => Message::Quote(quote),
                None => return Ok(NO_QUOTE),
            }
        }
        Some("snapshot") => {
            check_levels(wire.bids, "bids", lists.bids.fault)?;
            check_levels(wire.asks, "asks", lists.asks.fault)?;
            Message::Book(BookMsg {
                bids: &lists.bids.levels,
                asks: &lists.asks.levels,
                ..book(frame, wire, BookAction::Snapshot, scratch)?
            })
        }
        Some("l2update") => {
            wire.changes.check("changes")?;
            Message::Book(BookMsg {
                bids: &lists.updates.bids,
                asks: &lists.updates.asks,
                ..book(frame, wire, BookAction::Delta, scratch)?
            })
        }
        _ => return Ok(other("type", name)),
    };
    out.message(frame, &message);
    Ok(Outcome::Messages(1))
}

/// `last_match` is the last trade before the subscription.
fn trade<'a>(frame: &'a str, wire: &Wire, replay: bool, scratch: &'a mut String) -> Result<TradeMsg<'a>, Reject> {
    let item = &wire.item;
    Ok(TradeMsg {
        symbol: symbol(frame, item.product, "product_id", scratch)?,
        exchange_ts: time(frame, item.time, "time")?,
        event_ts: None,
        price: number(frame, item.price, "price")?,
        size: number(frame, item.size, "size")?,
        side: taker_side(frame, item.side)?,
        id: trade_id(frame, item.trade_id, "trade_id")?,
        seq: optional_seq(frame, wire.sequence, "sequence")?,
        replay,
    })
}

/// All but the levels. Depth has no sequence number; a snapshot of 2021 has no time either.
fn book<'a>(frame: &'a str, wire: &Wire, action: BookAction, scratch: &'a mut String) -> Result<BookMsg<'a>, Reject> {
    Ok(BookMsg {
        symbol: symbol(frame, wire.item.product, "product_id", scratch)?,
        exchange_ts: time(frame, wire.item.time, "time")?,
        event_ts: None,
        action,
        bids: &[],
        asks: &[],
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: None,
        replay: false,
    })
}
