//! Deribit, futures, perpetuals, options and spot: trades, best bid and ask, books.
//!
//! JSON-RPC: data come as notifications of the method `subscription`. Channels: `trades`, `ticker` and `quote` (quotes),
//! `book` (raw and by interval: a whole book, then changes; grouped: the whole top each time). Left out on purpose: what is
//! told another way (`incremental_ticker`, charts) or is no market data; such frames are unknown under the first word of
//! their channel. Answers of REST have no method and count as such. Bounds: 16,384 trades a frame and
//! 262,144 levels a side; nothing is remembered from one frame to the next. No allocation once the buffers have
//! grown, but for an escaped symbol. Source: docs.deribit.com, "Subscriptions" (as public clients report it), and recorded frames of 2021
//! and 2022.

mod parse;
mod wire;

use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::message::{LevelNum, Message, MessageSink};
use crate::names::{optional_text, symbol};
use crate::scan::TokenKind;
use wire::{Fields, Wire};

/// Reads frames of every Deribit market.
#[derive(Debug, Default)]
pub struct DeribitDecoder {
    rows: Vec<Fields>,
    bids: Vec<LevelNum>,
    asks: Vec<LevelNum>,
    /// A symbol that was escaped.
    symbol: String,
}

impl Decoder for DeribitDecoder {
    /// Frames name what they are about.
    fn request(&mut self, _: &str, _: &str) {}

    fn decode<'f>(&mut self, _: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        match self.try_decode(frame, out) {
            Ok(outcome) => outcome,
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl DeribitDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let mut wire = Wire::default();
        wire::read_frame(frame, &mut wire, &mut self.rows)?;
        let method = optional_text(frame, wire.method);
        if method != Some("subscription") {
            return Ok(other(&wire, method));
        }
        let Some(channel) = optional_text(frame, wire.channel) else {
            return Ok(Outcome::Unknown(Label { field: "channel", name: None }));
        };
        let kind = channel.split_once('.').map_or(channel, |(kind, _)| kind);
        if !matches!(kind, "trades" | "ticker" | "quote" | "book") {
            return Ok(Outcome::Unknown(Label { field: "channel", name: Some(kind) }));
        }
        match wire.data {
            TokenKind::Array if kind == "trades" && !wire.has_odd_row => {}
            TokenKind::Object if kind != "trades" => {}
            TokenKind::Absent => return Err(Reject::new(RejectReason::MissingField, "data")),
            _ => return Err(Reject::new(RejectReason::BadField, "data")),
        }
        if kind == "trades" { self.trades(frame, out) } else { self.one(frame, kind, out) }
    }

    fn trades<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        // A fault in the last trade must leave nothing handed out. One alone is shown behind all that can be wrong with it.
        if self.rows.len() > 1 {
            for row in &self.rows {
                parse::trade(frame, row, symbol(frame, row.symbol, "instrument_name", &mut self.symbol)?)?;
            }
        }
        for row in &self.rows {
            let symbol = symbol(frame, row.symbol, "instrument_name", &mut self.symbol)?;
            out.message(frame, &Message::Trade(parse::trade(frame, row, symbol)?));
        }
        Ok(Outcome::Messages(self.rows.len()))
    }

    /// A channel whose data are one object.
    fn one<'f>(&mut self, frame: &'f str, kind: &str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let Some(fields) = self.rows.first() else { return Err(Reject::new(RejectReason::MissingField, "data")) };
        let symbol = symbol(frame, fields.symbol, "instrument_name", &mut self.symbol)?;
        let message = if kind == "book" {
            let has_bids = parse::levels(frame, fields.bids, "bids", &mut self.bids)?;
            let has_asks = parse::levels(frame, fields.asks, "asks", &mut self.asks)?;
            if !has_bids && !has_asks {
                return Err(Reject::new(RejectReason::MissingField, "bids"));
            }
            Message::Book(parse::book(frame, fields, symbol, (&self.bids, &self.asks))?)
        } else {
            Message::Quote(parse::quote(frame, fields, symbol)?)
        };
        out.message(frame, &message);
        Ok(Outcome::Messages(1))
    }
}

/// A frame without data: the answer to a request, which has no method, or a sign of life.
fn other<'f>(wire: &Wire, method: Option<&'f str>) -> Outcome<'f> {
    let label = Label { field: "method", name: method };
    let name = match method {
        None if wire.error.is_present() => CONTROL_ERROR,
        None if wire.result.is_present() => CONTROL_ACK,
        Some("heartbeat") => CONTROL_ALIVE,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name, label }
}
