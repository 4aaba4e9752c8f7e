//! OKX v5, the public and business feeds: trades, best bid and ask, books, of spot and of every derivative.
//!
//! Hot path: no allocation once the buffers have grown; the cold way is an escaped symbol. Channels: `trades`,
//! `trades-all`; `tickers` and `bbo-tbt` (quotes); `books`, `books5`, `books50-l2-tbt`, `books-l2-tbt`. Left out on
//! purpose: what says the same again or is another market (`option-trades`, block trades, spreads, `books-elp`); such
//! frames are unknown under the name of their channel. At most 16,384 elements of `data` are read.
//! Source: okx.com/docs-v5 "WebSocket" (mid 2026) and recorded frames of 2021, 2022 and 2026.

mod levels;
mod parse;
mod rest;
mod usual;
mod wire;

use crate::answers::Answers;
use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, CONTROL_SHUTDOWN, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject,
    RejectReason,
};
use crate::message::{Message, MessageSink};
use crate::names::{optional_text, symbol};
use crate::scan::{Token, TokenKind};
use feedd_model::BookAction;
use wire::{Elements, Fields, Wire};

/// `code` of the notice that the connection will be closed for an upgrade of the service.
const NOTICE_UPGRADE: &str = "64008";

/// Reads frames of every OKX market.
#[derive(Debug, Default)]
pub struct OkxDecoder {
    answers: Answers,
    elements: Elements,
    /// A symbol that was escaped.
    symbol: String,
}

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Trades,
    Tickers,
    /// The best level of each side, as a book of its own.
    Best,
    /// The whole top each time.
    Top,
    /// A whole book, then changes: `action` tells.
    Books,
}

impl Decoder for OkxDecoder {
    /// Frames name what they are about; answers of REST do not.
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, rest::asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        if let Some(count) = usual::decode(frame, &mut self.elements, out) {
            return Outcome::Messages(count);
        }
        if self.answers.are_expected()
            && let Some(outcome) = self.answers.trades(conn, frame, out)
        {
            return outcome;
        }
        match self.try_decode(frame, out) {
            Ok(outcome) => outcome,
            // The answer to the text `ping` is no JSON.
            Err(_) if frame.trim() == "pong" => {
                Outcome::Control { name: CONTROL_ALIVE, label: event_label(Some("pong")) }
            }
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl OkxDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let mut wire = Wire::default();
        wire::read_frame(frame, &mut wire, &mut self.elements)?;
        if wire.event.kind == TokenKind::String {
            return Ok(answer(frame, &wire));
        }
        let name = optional_text(frame, wire.channel);
        let Some(channel) = name.and_then(channel) else {
            return Ok(Outcome::Unknown(Label { field: "channel", name }));
        };
        match wire.data.kind {
            TokenKind::Array if !wire.has_odd_element => {}
            TokenKind::Absent => return Err(Reject::new(RejectReason::MissingField, "data")),
            _ => return Err(Reject::new(RejectReason::BadField, "data")),
        }
        let action = action(frame, channel, wire.action)?;
        let count = self.elements.fields.len();
        if count > 1 {
            // Twice, so that a fault in the last element leaves nothing handed out.
            self.each(frame, &wire, channel, action, &mut |_: &str, _: &Message<'_>| ())?;
        }
        self.each(frame, &wire, channel, action, out)?;
        Ok(Outcome::Messages(count))
    }

    fn each(
        &mut self,
        frame: &str,
        wire: &Wire,
        channel: Channel,
        action: BookAction,
        out: &mut dyn MessageSink,
    ) -> Result<(), Reject> {
        let count = self.elements.fields.len();
        for at in 0..count {
            let Some(&fields) = self.elements.fields.get(at) else { break };
            if count > 1 && matches!(channel, Channel::Best | Channel::Top | Channel::Books) {
                self.elements.load_levels(frame, &fields)?;
            }
            let symbol = symbol_of(frame, wire, &fields, &mut self.symbol)?;
            let elements = &self.elements;
            let message = match channel {
                Channel::Trades => Message::Trade(parse::trade(frame, &fields, symbol)?),
                Channel::Tickers => Message::Quote(parse::ticker(frame, &fields, symbol)?),
                Channel::Best => Message::Quote(parse::best(frame, &fields, symbol, elements)?),
                Channel::Top | Channel::Books => Message::Book(parse::book(frame, &fields, symbol, action, elements)?),
            };
            out.message(frame, &message);
        }
        Ok(())
    }
}

/// The element's own instrument; books name it in the envelope only.
fn symbol_of<'a>(frame: &'a str, wire: &Wire, fields: &Fields, scratch: &'a mut String) -> Result<&'a str, Reject> {
    let token = if fields.inst_id.kind == TokenKind::String { fields.inst_id } else { wire.inst_id };
    symbol(frame, token, "instId", scratch)
}

fn channel(name: &str) -> Option<Channel> {
    Some(match name {
        "trades" | "trades-all" => Channel::Trades,
        "tickers" => Channel::Tickers,
        "bbo-tbt" => Channel::Best,
        "books5" => Channel::Top,
        "books" | "books50-l2-tbt" | "books-l2-tbt" => Channel::Books,
        _ => return None,
    })
}

/// What a book is; of no interest to other channels.
fn action(frame: &str, channel: Channel, action: Token) -> Result<BookAction, Reject> {
    if channel != Channel::Books {
        return Ok(BookAction::Snapshot);
    }
    match optional_text(frame, action) {
        Some("snapshot") => Ok(BookAction::Snapshot),
        Some("update") => Ok(BookAction::Delta),
        None if !action.is_present() => Err(Reject::new(RejectReason::MissingField, "action")),
        _ => Err(Reject::new(RejectReason::BadField, "action")),
    }
}

/// A frame with an `event`: the answer to a request, or news of the connection.
fn answer<'f>(frame: &'f str, wire: &Wire) -> Outcome<'f> {
    let event = wire.event.text(frame);
    let label = event_label(Some(event));
    let name = match event {
        "subscribe" | "unsubscribe" | "login" => CONTROL_ACK,
        "error" | "channel-conn-count-error" => CONTROL_ERROR,
        // How many connections read a channel.
        "channel-conn-count" => CONTROL_ALIVE,
        "notice" if wire.code.is_scalar_text() && wire.code.text(frame) == NOTICE_UPGRADE => CONTROL_SHUTDOWN,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name, label }
}

const fn event_label(name: Option<&str>) -> Label<'_> {
    Label { field: "event", name }
}
