//! Bitfinex, second protocol, public channels of trading pairs and derivatives: tickers (quotes), trades, books.
//!
//! Hot path: no allocation once the buffers have grown; only the answer to a subscription is remembered, within the bounds
//! of `channels.rs`. A trade comes twice (`te` when it is matched, `tu` when it is booked): the first one counts. With the
//! configuration flag 65536 every list is numbered: see [`Decoder::connection_sequence`]. Left out on purpose, as unknown
//! frames under the name of their channel: funding (symbols that begin with `f`: rates, not prices), raw books (`R0`,
//! single orders), candles, status, and the checksums of flag 131072. A channel whose subscription was not seen is
//! `channel None`.
//! Source: docs.bitfinex.com, "WebSocket general" and "public channels", and a recording of 2021.

mod channels;
mod parse;
mod wire;

use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, CONTROL_REPEAT, CONTROL_SHUTDOWN, Decoder, FRAME_BYTES_MAX, Label,
    Outcome, Reject, RejectReason,
};
use crate::fields::{integer, optional_seq};
use crate::message::{BookMsg, Message, MessageSink, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::scan::{Token, TokenKind};
use channels::{Channel, Connections, Kind};
use feedd_model::{BookAction, VenueSeq};
use parse::Held;
use wire::Wire;

/// `code` of the `info` that says that the server stops or starts anew: reconnect.
const INFO_RESTART: &str = "20051";

/// Reads frames of Bitfinex' public channels.
#[derive(Debug, Default)]
pub struct BitfinexDecoder {
    connections: Connections,
    held: Held,
    /// A symbol that was escaped.
    symbol: String,
    /// The number of the last frame.
    number: Option<VenueSeq>,
}

impl Decoder for BitfinexDecoder {
    /// An answer to a configuration does not always say what was configured.
    fn request(&mut self, conn: &str, text: &str) {
        let Ok(wire) = wire::read_frame(text) else { return };
        if optional_text(text, wire.event) == Some("conf") {
            self.connections.entry(conn).flags_asked = integer(text, wire.flags, "flags").unwrap_or_default();
        }
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        self.number = None;
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        let outcome = match wire::read_frame(frame) {
            Ok(wire) if wire.is_list => self.list(conn, frame, &wire, out),
            Ok(wire) => self.object(conn, frame, &wire),
            Err(error) => Err(error.into()),
        };
        outcome.unwrap_or_else(Outcome::Rejected)
    }

    /// With flag 65536 every list of a connection is numbered without holes, also heartbeats and what is not read here.
    fn connection_sequence(&self) -> Option<VenueSeq> {
        self.number
    }
}

impl BitfinexDecoder {
    /// `[channel, payload, ..]` or `[channel, "type", payload, ..]`.
    fn list<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        wire: &Wire,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let [id, payload, third, fourth, _] = wire.parts;
        let kind = optional_text(frame, payload);
        let mut connection = self.connections.get(conn);
        if connection.as_ref().is_some_and(|connection| connection.is_numbered()) {
            let has_payload_behind = !matches!(kind, None | Some("hb"));
            let number = if has_payload_behind { fourth } else { third };
            self.number = optional_seq(frame, number, "sequence").ok().flatten();
        }
        if kind == Some("hb") {
            return Ok(Outcome::Control { name: CONTROL_ALIVE, label: word("hb") });
        }
        let is_bulk = connection.as_ref().is_some_and(|connection| connection.has_bulk_updates());
        let id = if id.kind == TokenKind::Number { integer(frame, id, "channel").ok() } else { None };
        let Some(channel) = id.and_then(|id| connection.as_mut()?.channel(id)) else {
            return Ok(Outcome::Unknown(Label { field: "channel", name: None }));
        };
        let held = &mut self.held;
        match (channel.kind, kind) {
            (Kind::Other(name), _) => Ok(Outcome::Unknown(Label { field: "channel", name: Some(name) })),
            (Kind::Ticker, None) => quote(frame, payload, channel, out),
            (Kind::Trades, None) => replayed_trades(frame, payload, channel, held, out),
            (Kind::Trades, Some("te")) => {
                let trade = parse::trade(frame, third)?;
                out.message(frame, &Message::Trade(TradeMsg { symbol: &channel.symbol, ..trade }));
                Ok(Outcome::Messages(1))
            }
            (Kind::Trades, Some("tu")) => {
                Ok(Outcome::Control { name: CONTROL_REPEAT, label: word("tu (repeat of te)") })
            }
            (Kind::Book, None) => book(frame, payload, channel, is_bulk, held, out),
            (_, Some(kind)) => Ok(Outcome::Unknown(word(kind))),
        }
    }

    /// Answers to requests and news of the connection.
    fn object<'f>(&mut self, conn: &str, frame: &'f str, wire: &Wire) -> Result<Outcome<'f>, Reject> {
        let event = optional_text(frame, wire.event);
        let label = Label { field: "event", name: event };
        let is_refused = optional_text(frame, wire.status) == Some("FAILED");
        let name = match event {
            Some("subscribed") => {
                self.subscribed(conn, frame, wire)?;
                CONTROL_ACK
            }
            Some("unsubscribed") if !is_refused => {
                let id = integer(frame, wire.chan_id, "chanId")?;
                self.connections.entry(conn).unsubscribe(id);
                CONTROL_ACK
            }
            Some("conf") if !is_refused => {
                let connection = self.connections.entry(conn);
                connection.flags = integer(frame, wire.flags, "flags").unwrap_or(connection.flags_asked);
                CONTROL_ACK
            }
            Some("auth" | "unauth") if !is_refused => CONTROL_ACK,
            Some("error" | "conf" | "auth" | "unauth" | "unsubscribed") => CONTROL_ERROR,
            Some("info") if wire.code.is_scalar_text() && wire.code.text(frame) == INFO_RESTART => CONTROL_SHUTDOWN,
            Some("info") => {
                // Each connection begins with one that tells the version; numbers of channels are given anew then.
                if wire.version.is_present() {
                    self.connections.entry(conn).begin();
                }
                CONTROL_ALIVE
            }
            Some("pong") => CONTROL_ALIVE,
            _ => return Ok(Outcome::Unknown(label)),
        };
        Ok(Outcome::Control { name, label })
    }

    fn subscribed(&mut self, conn: &str, frame: &str, wire: &Wire) -> Result<(), Reject> {
        let id = integer(frame, wire.chan_id, "chanId")?;
        let kind = match optional_text(frame, wire.channel) {
            Some("ticker") => Kind::Ticker,
            Some("trades") => Kind::Trades,
            Some("book") if optional_text(frame, wire.prec) == Some("R0") => Kind::Other("raw book"),
            Some("book") => Kind::Book,
            Some("candles") => Kind::Other("candles"),
            Some("status") => Kind::Other("status"),
            _ => Kind::Other("other"),
        };
        let is_market = matches!(kind, Kind::Ticker | Kind::Trades | Kind::Book);
        let symbol = if is_market { symbol(frame, wire.symbol, "symbol", &mut self.symbol)? } else { "" };
        let channel = if symbol.starts_with('f') {
            Channel { kind: Kind::Other("funding"), symbol: "".into(), has_snapshot: false }
        } else {
            Channel { kind, symbol: symbol.into(), has_snapshot: false }
        };
        self.connections.entry(conn).subscribe(id, channel);
        Ok(())
    }
}

fn quote<'f>(
    frame: &'f str,
    payload: Token,
    channel: &Channel,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let Some(quote) = parse::ticker(frame, payload, &channel.symbol)? else {
        return Ok(Outcome::Unknown(Label { field: "ticker", name: Some("without bid/ask") }));
    };
    out.message(frame, &Message::Quote(quote));
    Ok(Outcome::Messages(1))
}

fn replayed_trades<'f>(
    frame: &'f str,
    payload: Token,
    channel: &Channel,
    held: &mut Held,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    parse::trades(frame, payload, held)?;
    for trade in &held.trades {
        out.message(frame, &Message::Trade(TradeMsg { symbol: &channel.symbol, ..*trade }));
    }
    Ok(Outcome::Messages(held.trades.len()))
}

/// `is_bulk`: a list of levels can be changes. The first one is the book.
fn book<'f>(
    frame: &'f str,
    payload: Token,
    channel: &mut Channel,
    is_bulk: bool,
    held: &mut Held,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let is_list = parse::levels(frame, payload, held)?;
    let is_whole = is_list && !(is_bulk && channel.has_snapshot);
    channel.has_snapshot |= is_whole;
    let book = BookMsg {
        symbol: &channel.symbol,
        exchange_ts: None,
        event_ts: None,
        action: if is_whole { BookAction::Snapshot } else { BookAction::Delta },
        bids: &held.bids,
        asks: &held.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: None,
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Ok(Outcome::Messages(1))
}

/// A label that is one word.
const fn word(name: &str) -> Label<'_> {
    Label { field: "", name: Some(name) }
}
