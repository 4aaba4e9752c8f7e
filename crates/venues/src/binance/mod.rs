//! Binance spot, USD-M, COIN-M and US: one decoder, because the frames differ only in which fields they carry.
//!
//! Hot path: no allocation once the level buffers have grown; the cold ways are an escaped symbol, a REST answer and a
//! partial-depth stream without `s`.

mod list;
mod parse;
mod plain;
mod rest;
mod usual;
mod wire;

use crate::answers::Answers;
use crate::decoder::{
    CONTROL_ACK, CONTROL_ERROR, CONTROL_SHUTDOWN, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::message::{Message, MessageSink};
use crate::scan::{Token, TokenKind, unescape};
use feedd_model::BookAction;
use wire::{DepthLevels, Fields, Wire};

/// Reads frames of every Binance market.
#[derive(Debug, Default)]
pub struct BinanceDecoder {
    levels: DepthLevels,
    answers: Answers,
    /// Symbols that do not stand in the frame as they are: escaped, upper-cased or asked for.
    symbol: String,
}

/// Which book a stream name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DepthStream {
    /// `@depth`, or a raw frame without a name: changes.
    Diff,
    /// `@depth5`, `@depth10`, `@depth20`: the whole top.
    Partial,
    /// `@rpiDepth`: another book (with retail price improvement orders) under the same event name.
    Other,
}

impl Decoder for BinanceDecoder {
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, rest::asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        if usual::decode(frame, &mut self.levels, out).or_else(|| plain::decode(frame, &mut self.levels, out)).is_some()
        {
            return Outcome::Messages(1);
        }
        if self.answers.are_expected()
            && let Some(outcome) = self.answers.trades(conn, frame, out)
        {
            return outcome;
        }
        match self.try_decode(conn, frame, out) {
            Ok(outcome) => outcome,
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl BinanceDecoder {
    fn try_decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let mut wire = Wire::default();
        wire::read_frame(frame, &mut wire, &mut self.levels)?;
        if let Some(list) = wire.list {
            return list::decode(frame, list, &mut self.symbol, out);
        }
        if wire.fields.event.kind != TokenKind::String {
            return self.nameless(conn, frame, &wire, out);
        }
        let event = wire.fields.event.text(frame);
        match event {
            "trade" => self.trade(frame, &wire.fields, wire.fields.trade_id, out),
            "aggTrade" => self.trade(frame, &wire.fields, wire.fields.a, out),
            "bookTicker" => self.quote(frame, &wire.fields, out),
            "depthUpdate" => self.depth_update(frame, &wire, out),
            "serverShutdown" => Ok(Outcome::Control { name: CONTROL_SHUTDOWN, label: event_label(Some(event)) }),
            _ => Ok(Outcome::Unknown(event_label(Some(event)))),
        }
    }

    fn trade<'f>(
        &mut self,
        frame: &'f str,
        fields: &Fields,
        id: Token,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let symbol = symbol_of(frame, fields, &mut self.symbol)?;
        out.message(frame, &Message::Trade(parse::trade(frame, fields, symbol, id)?));
        Ok(Outcome::Messages(1))
    }

    fn quote<'f>(&mut self, frame: &'f str, fields: &Fields, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let symbol = symbol_of(frame, fields, &mut self.symbol)?;
        out.message(frame, &Message::Quote(parse::quote(frame, fields, symbol)?));
        Ok(Outcome::Messages(1))
    }

    fn depth_update<'f>(
        &mut self,
        frame: &'f str,
        wire: &Wire,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let stream = wire.stream.text(frame);
        let action = match depth_stream(stream) {
            DepthStream::Diff => BookAction::Delta,
            DepthStream::Partial => BookAction::Snapshot,
            DepthStream::Other => {
                return Ok(Outcome::Unknown(Label { field: "stream", name: stream.split('@').nth(1) }));
            }
        };
        let symbol = symbol_of(frame, &wire.fields, &mut self.symbol)?;
        let book = parse::depth_update(frame, &wire.fields, symbol, action, &self.levels)?;
        out.message(frame, &Message::Book(book));
        Ok(Outcome::Messages(1))
    }

    /// Frames without `e`: spot's bookTicker and partial depth, REST answers, answers to requests.
    fn nameless<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        wire: &Wire,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        let fields = &wire.fields;
        if fields.last_update_id.is_present() && (fields.bids.is_present() || fields.asks.is_present()) {
            return self.snapshot(conn, frame, wire, out);
        }
        if is_book_ticker(fields) || stream_kind(wire.stream.text(frame)) == Some("bookTicker") {
            return self.quote(frame, fields, out);
        }
        let label = event_label(None);
        if fields.error.is_present() || fields.code.is_present() && fields.msg.is_present() {
            self.answers.forget(conn); // A refused request is answered too.
            return Ok(Outcome::Control { name: CONTROL_ERROR, label });
        }
        if fields.result.is_present() && fields.id.is_present() {
            return Ok(Outcome::Control { name: CONTROL_ACK, label });
        }
        Ok(Outcome::Unknown(label))
    }

    /// A whole book without a symbol of its own: the stream's name or the request tells. Neither: of no use.
    fn snapshot<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        wire: &Wire,
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        self.symbol.clear();
        if wire.stream.is_present() {
            let name = wire.stream.text(frame).split('@').next().unwrap_or("");
            self.symbol.extend(name.chars().flat_map(char::to_uppercase));
            if self.symbol.is_empty() {
                return Err(Reject::new(RejectReason::NoSymbol, "stream"));
            }
        } else if let Some(symbol) = self.answers.take_book(conn) {
            self.symbol.push_str(&symbol);
        } else {
            return Ok(Outcome::Unknown(event_label(None)));
        }
        let book = parse::snapshot(frame, &wire.fields, &self.symbol, &self.levels)?;
        out.message(frame, &Message::Book(book));
        Ok(Outcome::Messages(1))
    }
}

/// The symbol in `s`; `scratch` holds it when it was escaped.
#[inline]
fn symbol_of<'a>(frame: &'a str, fields: &Fields, scratch: &'a mut String) -> Result<&'a str, Reject> {
    let symbol = fields.symbol;
    if symbol.kind != TokenKind::String || symbol.len == 0 {
        return Err(Reject::new(RejectReason::NoSymbol, "s"));
    }
    if symbol.escaped {
        scratch.clear();
        unescape(symbol.text(frame), scratch).map_err(|_| Reject::new(RejectReason::NoSymbol, "s"))?;
        return Ok(scratch);
    }
    Ok(symbol.text(frame))
}

/// Spot's bookTicker has no event name: it is told by its shape.
fn is_book_ticker(fields: &Fields) -> bool {
    fields.symbol.is_present() && fields.last_id.is_present() && fields.b.is_scalar_text() && fields.a.is_scalar_text()
}

/// What a stream carries: `bookTicker` of `btcusdt@bookTicker` and of `!bookTicker`.
fn stream_kind(stream: &str) -> Option<&str> {
    stream.strip_prefix('!').map_or_else(|| stream.split('@').nth(1), |all| all.split('@').next())
}

fn depth_stream(stream: &str) -> DepthStream {
    match stream_kind(stream) {
        None | Some("depth") => DepthStream::Diff,
        Some("rpiDepth") => DepthStream::Other,
        Some(kind) => match kind.strip_prefix("depth") {
            Some(levels) if levels.bytes().all(|byte| byte.is_ascii_digit()) => DepthStream::Partial,
            _ => DepthStream::Diff,
        },
    }
}

const fn event_label(name: Option<&str>) -> Label<'_> {
    Label { field: "event", name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_tells_which_book() {
        let cases = [
            ("", DepthStream::Diff),
            ("btcusdt@depth", DepthStream::Diff),
            ("btcusdt@depth@100ms", DepthStream::Diff),
            ("btcusdt@depth@0ms", DepthStream::Diff),
            ("btcusdt@depth5", DepthStream::Partial),
            ("btcusd_perp@depth20@500ms", DepthStream::Partial),
            ("btcusdt@rpiDepth@500ms", DepthStream::Other),
        ];
        for (stream, expected) in cases {
            assert_eq!(depth_stream(stream), expected, "{stream}");
        }
    }
}
