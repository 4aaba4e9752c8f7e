//! Bitstamp, second protocol: live trades, order books (`order_book`: the top each time) and their changes
//! (`diff_order_book`, joined to the book that REST gives).
//!
//! Hot path: no allocation once the buffers have grown; the cold ways are an escaped channel and an answer of REST. Left
//! out on purpose: single orders (`live_orders`, `detail_order_book`) and private channels, unknown under the name of
//! their event or channel. Bounds: `SIDE_LEVELS_MAX` levels a side; between frames only open requests of REST are
//! remembered, 64 at most.
//! Source: bitstamp.net/websocket/v2 and a recording of 2022.

mod parse;
mod wire;

use crate::answers::{Answers, Asked, Url};
use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, CONTROL_SHUTDOWN, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject,
    RejectReason,
};
use crate::message::{Message, MessageSink};
use crate::names::{optional_text, symbol};
use feedd_model::BookAction;
use wire::{Levels, Wire, check_data};

/// Reads Bitstamp's frames.
#[derive(Debug, Default)]
pub struct BitstampDecoder {
    answers: Answers,
    levels: Levels,
    /// A channel that was escaped.
    channel: String,
}

impl Decoder for BitstampDecoder {
    /// Frames name what they are about; answers of REST do not.
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        self.try_decode(conn, frame, out).unwrap_or_else(Outcome::Rejected)
    }
}

impl BitstampDecoder {
    fn try_decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let wire = wire::read_frame(frame, &mut self.levels)?;
        match optional_text(frame, wire.event) {
            Some("trade") => self.market(frame, &wire, &["live_trades_"], out),
            Some("data") => self.market(frame, &wire, &["diff_order_book_", "order_book_"], out),
            Some(event) => Ok(answer(event)),
            None => self.nameless(conn, frame, &wire, out),
        }
    }

    /// A frame of a channel whose name begins in one of these ways and ends in the instrument.
    fn market<'f>(
        &mut self,
        frame: &'f str,
        wire: &Wire,
        channels: &[&str],
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let name = symbol(frame, wire.channel, "channel", &mut self.channel)?;
        let Some((channel, symbol)) = channels.iter().find_map(|&channel| Some((channel, name.strip_prefix(channel)?)))
        else {
            let kind =
                optional_text(frame, wire.channel).map(|name| name.rsplit_once('_').map_or(name, |(kind, _)| kind));
            return Ok(Outcome::Unknown(Label { field: "channel", name: kind }));
        };
        if symbol.is_empty() {
            return Err(Reject::new(RejectReason::NoSymbol, "channel"));
        }
        check_data(wire.data)?;
        let message = match channel {
            "live_trades_" => Message::Trade(parse::trade(frame, &wire.body, symbol)?),
            _ => {
                let action = if channel == "order_book_" { BookAction::Snapshot } else { BookAction::Delta };
                Message::Book(parse::book(frame, &wire.body, symbol, action, &self.levels)?)
            }
        };
        out.message(frame, &message);
        Ok(Outcome::Messages(1))
    }

    /// An answer of REST: a book that was asked for, or something of no use.
    fn nameless<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        wire: &Wire,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let label = Label { field: "event", name: None };
        let is_book = wire.answer.bids.is_present() && wire.answer.asks.is_present();
        let asked = self.answers.take_book(conn);
        if wire.error.is_present() && !is_book {
            return Ok(Outcome::Control { name: CONTROL_ERROR, label });
        }
        let Some(symbol) = asked.filter(|_| is_book) else { return Ok(Outcome::Unknown(label)) };
        self.levels.load(frame, &wire.answer)?;
        let book = parse::book(frame, &wire.answer, &symbol, BookAction::Snapshot, &self.levels)?;
        out.message(frame, &Message::Book(book));
        Ok(Outcome::Messages(1))
    }
}

/// `/api/v2/order_book/btcusd`. With another `group` than 1 (the default) prices are not summed up: no levels then.
fn asked(url: Url<'_>) -> Option<Asked> {
    if url.parameter("group").is_some_and(|group| group != "1") {
        return None;
    }
    let symbol = url.between("/order_book/", "")?.trim_end_matches('/').to_ascii_lowercase();
    (!symbol.is_empty()).then_some(Asked::Book(symbol))
}

/// What is no event of a market. `bts:` marks news of the connection; all of it is told as `bts`.
fn answer(event: &str) -> Outcome<'_> {
    let (family, news) = event.split_once(':').unwrap_or((event, ""));
    let label = Label { field: "event", name: Some(family) };
    if family != "bts" {
        return Outcome::Unknown(label);
    }
    let name = match news {
        "subscription_succeeded" | "unsubscription_succeeded" => CONTROL_ACK,
        "error" => CONTROL_ERROR,
        "heartbeat" => CONTROL_ALIVE,
        "request_reconnect" => CONTROL_SHUTDOWN,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name, label }
}
