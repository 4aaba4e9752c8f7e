//! Kraken spot: the second protocol (objects with `channel`) and the first one (lists; objects with `event`). Frames of
//! the futures feed (`feed`) are told apart and counted.
//!
//! Hot path: no allocation once the buffers have grown; the cold way is an escaped key or pair.
//! Bounds: `SIDE_LEVELS_MAX` levels a side and `ITEMS_MAX` elements a frame; nothing is
//! remembered from one frame to the next.

mod first;
mod rest;
mod second;
mod usual;
mod usual_first;
mod usual_second;
mod values;
mod wire;

use crate::answers::Answers;
use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::message::MessageSink;
use crate::names::optional_text;
use crate::scan::{Token, TokenKind};
use wire::{Lists, Wire};

/// Reads frames of both spot protocols.
#[derive(Debug, Default)]
pub struct KrakenDecoder {
    answers: Answers,
    lists: Lists,
    /// A pair that was escaped.
    symbol: String,
}

impl Decoder for KrakenDecoder {
    /// Frames name what they are about; answers of REST do not.
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, rest::asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        if let Some(messages) = usual::decode(frame, &mut self.lists, out) {
            return Outcome::Messages(messages);
        }
        if self.answers.are_expected()
            && let Some(outcome) = self.answers.trades(conn, frame, out)
        {
            return outcome;
        }
        match self.try_decode(frame, out) {
            Ok(outcome) => outcome,
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl KrakenDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let wire = wire::read_frame(frame, &mut self.lists)?;
        if wire.is_list {
            return first::decode(frame, &wire, &mut self.lists, &mut self.symbol, out);
        }
        if wire.channel.is_present() {
            return second::decode(frame, &wire, &self.lists, &mut self.symbol, out);
        }
        Ok(answer(frame, &wire))
    }
}

/// Objects without a channel: answers of both protocols, the futures feed, REST.
///
/// Source: docs.kraken.com, "Spot WebSockets" v1 and v2, "Futures WebSockets" (read mid 2026).
fn answer<'f>(frame: &'f str, wire: &Wire) -> Outcome<'f> {
    let named = optional_text(frame, wire.event).or(optional_text(frame, wire.method));
    let is_feed = wire.feed.is_present();
    let label =
        if is_feed { Label { field: "futures", name: Some("feed") } } else { Label { field: "event", name: named } };
    let is_refused = wire.success.kind == TokenKind::False
        || optional_text(frame, wire.status) == Some("error")
        || is_told(wire.error)
        || matches!(named, Some("error" | "alert"));
    let name = match named {
        _ if is_refused => CONTROL_ERROR,
        Some("heartbeat" | "pong" | "systemStatus" | "info") => CONTROL_ALIVE,
        Some(_) => CONTROL_ACK,
        None if is_feed && optional_text(frame, wire.feed) == Some("heartbeat") => CONTROL_ALIVE,
        None => return Outcome::Unknown(label),
    };
    Outcome::Control { name, label }
}

/// Whether an error is there: the REST answer to a good request has an empty list.
const fn is_told(error: Token) -> bool {
    match error.kind {
        TokenKind::String => error.len > 0,
        TokenKind::Array => error.len > 2,
        _ => false,
    }
}
