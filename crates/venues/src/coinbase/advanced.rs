//! Frames of Advanced Trade, named by `channel`, with a list of events.
//!
//! Source: docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket, "Channels" (read mid 2026), checked against a
//! recording of 2026-08-09. `sequence_num` counts the frames of the connection, so it is the sequence number of all that a
//! frame holds. Trades state their own time; quotes and depth have the envelope's (the `event_time` of a level says when
//! that level changed). Left out: `candles`, `status`, and what needs an account (`user`, `futures_balance_summary`).

use super::values::{NO_QUOTE, other, quote, taker_side, time};
use super::wire::{Event, HeldTrade, Lists, Wire};
use crate::decoder::{Outcome, Reject, RejectReason};
use crate::fields::{number, optional_seq};
use crate::message::{BookMsg, Message, MessageSink, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::scan::{Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{BookAction, UnixNanos, VenueSeq};

/// What the envelope says about all its events.
struct Envelope {
    time: Option<UnixNanos>,
    seq: Option<VenueSeq>,
}

/// Takes each message of an event.
type Visit<'v> = dyn FnMut(&Message<'_>) + 'v;

/// Shows the messages of one event, up to a fault.
type Read = fn(&str, &Envelope, &Event, &Lists, &mut String, &mut Visit<'_>) -> Result<(), Reject>;

pub(super) fn decode<'f>(
    frame: &'f str,
    wire: &Wire,
    lists: &mut Lists,
    scratch: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let name = optional_text(frame, wire.channel);
    let read: Option<Read> = match name {
        Some("market_trades") => None,
        Some("ticker" | "ticker_batch") => Some(tickers),
        Some("l2_data") => Some(depth),
        _ => return Ok(other("channel", name)),
    };
    wire.events.check("events")?;
    let envelope = Envelope {
        time: time(frame, wire.timestamp, "timestamp")?,
        seq: optional_seq(frame, wire.sequence_num, "sequence_num")?,
    };
    let Some(read) = read else { return trades(frame, &envelope, lists, scratch, out) };
    // A fault in the last element must leave nothing handed out: first all are read, then shown.
    // One message is shown behind all that can be wrong with it.
    if !matches!(&lists.events[..], [event] if event.tickers_at.len() <= 1) {
        for event in &lists.events {
            read(frame, &envelope, event, lists, scratch, &mut |_| ())?;
        }
    }
    let mut messages = 0;
    for event in &lists.events {
        read(frame, &envelope, event, lists, scratch, &mut |message| {
            out.message(frame, message);
            messages += 1;
        })?;
    }
    if messages == 0 && lists.events.iter().any(|event| !event.tickers_at.is_empty()) {
        // `ticker_batch` is documented to have no prices of the book.
        return Ok(if name == Some("ticker") { NO_QUOTE } else { other("channel", name) });
    }
    Ok(Outcome::Messages(messages))
}

/// `trades`, the newest first as recorded. Those of a snapshot are from before the subscription. All are read, then
/// handed out.
fn trades<'f>(
    frame: &'f str,
    envelope: &Envelope,
    lists: &mut Lists,
    scratch: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    lists.trades.clear();
    for event in &lists.events {
        event.trades.check("trades")?;
        let replay = is_snapshot(frame, event.kind)?;
        for item in lists.items.get(event.trades_at.clone()).unwrap_or_default() {
            symbol(frame, item.product, "product_id", scratch)?;
            let trade = TradeMsg {
                symbol: "",
                exchange_ts: time(frame, item.time, "time")?.or(envelope.time),
                event_ts: envelope.time,
                price: number(frame, item.price, "price")?,
                size: number(frame, item.size, "size")?,
                side: taker_side(frame, item.side)?,
                id: trade_id(frame, item.trade_id, "trade_id")?,
                seq: envelope.seq,
                replay,
            };
            lists.trades.push(HeldTrade { symbol: item.product, trade });
        }
    }
    for held in &lists.trades {
        let symbol = symbol(frame, held.symbol, "product_id", scratch)?;
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
    }
    Ok(Outcome::Messages(lists.trades.len()))
}

fn tickers(
    frame: &str,
    envelope: &Envelope,
    event: &Event,
    lists: &Lists,
    scratch: &mut String,
    visit: &mut Visit<'_>,
) -> Result<(), Reject> {
    event.tickers.check("tickers")?;
    for item in lists.items.get(event.tickers_at.clone()).unwrap_or_default() {
        if let Some(quote) = quote(frame, item, envelope.time, envelope.seq, scratch)? {
            visit(&Message::Quote(quote));
        }
    }
    Ok(())
}

fn depth(
    frame: &str,
    envelope: &Envelope,
    event: &Event,
    lists: &Lists,
    scratch: &mut String,
    visit: &mut Visit<'_>,
) -> Result<(), Reject> {
    event.updates.check("updates")?;
    let action = if is_snapshot(frame, event.kind)? { BookAction::Snapshot } else { BookAction::Delta };
    visit(&Message::Book(BookMsg {
        symbol: symbol(frame, event.product, "product_id", scratch)?,
        exchange_ts: envelope.time,
        event_ts: None,
        action,
        bids: lists.updates.bids.get(event.bids.clone()).unwrap_or_default(),
        asks: lists.updates.asks.get(event.asks.clone()).unwrap_or_default(),
        seq_first: None,
        seq_last: envelope.seq,
        seq_prev: None,
        checksum: None,
        replay: false,
    }));
    Ok(())
}

/// `type` of an event: without it nobody knows what its elements mean.
fn is_snapshot(frame: &str, kind: Token) -> Result<bool, Reject> {
    match (kind.kind, kind.bytes(frame)) {
        (TokenKind::String, b"snapshot") => Ok(true),
        (TokenKind::String, b"update") => Ok(false),
        (TokenKind::Absent | TokenKind::Null, _) => Err(Reject::new(RejectReason::MissingField, "type")),
        _ => Err(Reject::new(RejectReason::BadField, "type")),
    }
}
