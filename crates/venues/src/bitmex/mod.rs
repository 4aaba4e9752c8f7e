//! BitMEX, the realtime feed of every market: trades, best bid and ask, books.
//!
//! Tables: `trade`, `quote`, `orderBook10` (the whole top each time), `orderBookL2` and `orderBookL2_25` (a whole book, then
//! changes of its levels by id; `ids.rs`). Left out on purpose: what is no market data of one instrument (`funding`,
//! `instrument`, `tradeBin1m`, accounts); such frames are unknown under the name of their table. Lists without an envelope,
//! which are answers of REST, are unknown, too. Bounds: 262,144 rows a frame, and the ids of `ids.rs`.
//! No allocation once the buffers have grown, but for a new book's ids. Source: recorded frames of 2021 to 2023, and the
//! venue's "WebSocket API" page as public clients follow it.

mod depth;
mod ids;
mod parse;
mod wire;

use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::message::MessageSink;
use crate::names::optional_text;
use crate::scan::{Token, TokenKind};
use depth::Depth;
use parse::Buffers;
use wire::{Row, Wire};

/// Reads frames of every BitMEX market.
#[derive(Debug, Default)]
pub struct BitmexDecoder {
    rows: Vec<Row>,
    buffers: Buffers,
    depth: Depth,
}

/// What a frame does to its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// The table as it is at the subscription.
    Partial,
    /// New rows.
    Insert,
    /// Rows that have changed.
    Update,
    /// Rows that are gone.
    Delete,
}

impl Decoder for BitmexDecoder {
    /// Frames name what they are about.
    fn request(&mut self, _: &str, _: &str) {}

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        match self.try_decode(conn, frame, out) {
            Ok(outcome) => outcome,
            // The answer to the text `ping` is no JSON.
            Err(_) if frame.trim() == "pong" => Outcome::Control { name: CONTROL_ALIVE, label: word("pong") },
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl BitmexDecoder {
    fn try_decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let mut wire = Wire::default();
        wire::read_frame(frame, &mut wire, &mut self.rows)?;
        if wire.is_list {
            return Ok(Outcome::Unknown(Label { field: "top-level", name: Some("array") }));
        }
        let Some(table) = optional_text(frame, wire.table) else { return Ok(answer(&wire)) };
        let is_depth = matches!(table, "orderBookL2" | "orderBookL2_25");
        if !is_depth && !matches!(table, "trade" | "quote" | "orderBook10") {
            return Ok(Outcome::Unknown(Label { field: "table", name: Some(table) }));
        }
        match wire.data.kind {
            TokenKind::Array if !wire.has_odd_row => {}
            TokenKind::Absent => return Err(Reject::new(RejectReason::MissingField, "data")),
            _ => return Err(Reject::new(RejectReason::BadField, "data")),
        }
        let unknown_action = Outcome::Unknown(Label { field: "action", name: optional_text(frame, wire.action) });
        let Some(action) = action(frame, wire.action)? else { return Ok(unknown_action) };
        match (table, action) {
            ("trade" | "quote", Action::Partial | Action::Insert) | ("orderBook10", _) if action != Action::Delete => {
                parse::decode(frame, table, action, &self.rows, &mut self.buffers, out)
            }
            _ if is_depth => self.depth.decode(conn, frame, (table, action), &wire, &self.rows, out),
            _ => Ok(unknown_action),
        }
    }
}

/// `action`; `None` for one that the venue has not had so far.
fn action(frame: &str, token: Token) -> Result<Option<Action>, Reject> {
    Ok(Some(match (token.kind, token.bytes(frame)) {
        (TokenKind::String, b"partial") => Action::Partial,
        (TokenKind::String, b"insert") => Action::Insert,
        (TokenKind::String, b"update") => Action::Update,
        (TokenKind::String, b"delete") => Action::Delete,
        (TokenKind::String, _) => return Ok(None),
        (TokenKind::Absent, _) => return Err(Reject::new(RejectReason::MissingField, "action")),
        _ => return Err(Reject::new(RejectReason::BadField, "action")),
    }))
}

/// A frame without a table: a greeting, or the answer to a request.
fn answer(wire: &Wire) -> Outcome<'static> {
    let accepted = if wire.success.kind == TokenKind::False { CONTROL_ERROR } else { CONTROL_ACK };
    let (name, label) = if wire.error.is_present() {
        (CONTROL_ERROR, "error")
    } else if wire.info.is_present() {
        (CONTROL_ALIVE, "info")
    } else if wire.subscribe.is_present() {
        (accepted, "subscribe")
    } else if wire.unsubscribe.is_present() {
        (accepted, "unsubscribe")
    } else if wire.success.is_present() {
        (accepted, "success")
    } else {
        return Outcome::Unknown(Label { field: "table", name: None });
    };
    Outcome::Control { name, label: word(label) }
}

/// What is named by its one field alone.
const fn word(name: &'static str) -> Label<'static> {
    Label { field: "", name: Some(name) }
}
