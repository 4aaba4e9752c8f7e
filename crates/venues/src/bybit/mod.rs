//! Bybit v5, the public feeds of spot, linear, inverse and options: trades, best bid and ask, books.
//!
//! Hot path: no allocation once the buffers have grown and every ticker has been seen; the cold way is an escaped symbol.
//! Topics: `publicTrade`, `tickers`, `orderbook.<depth>`. Left out on purpose: `orderbook.rpi` and `orderbook.full`, which
//! are other books, and the feeds before v5; such frames are unknown under the name of their topic. A ticker without bid
//! and ask (spot has none; a change of something else) is unknown, too. At most 16,384 elements of `data` are read, and
//! 4,096 tickers are remembered (`tickers.rs`).
//! Source: bybit-exchange/docs, `docs/v5/websocket` (2026-07-24), and recorded frames of 2026.

mod parse;
mod rest;
mod tickers;
mod usual;
mod wire;

use crate::answers::Answers;
use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::fields::{optional_seq, time};
use crate::message::{Message, MessageSink, QuoteMsg};
use crate::names::{optional_text, symbol};
use crate::scan::{Token, TokenKind};
use feedd_model::BookAction;
use tickers::Tickers;
use usual::Buffers;
use wire::{Elements, Fields, Wire};

/// A ticker that says nothing about the best bid and ask.
const WITHOUT_BEST: Outcome<'static> = Outcome::Unknown(Label { field: "tickers", name: Some("without bid/ask") });
/// Longest symbol of a ticker: it is kept.
const TICKER_SYMBOL_BYTES_MAX: usize = 128;

/// Reads frames of every Bybit market.
#[derive(Debug, Default)]
pub struct BybitDecoder {
    answers: Answers,
    elements: Elements,
    usual: Buffers,
    tickers: Tickers,
    /// A symbol that was escaped.
    symbol: String,
}

/// What a topic carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Topic {
    Trades,
    Tickers,
    Book,
}

/// What an element becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Trade,
    /// Whether what is not said has not changed.
    Ticker(BookAction),
    Book(BookAction),
}

impl Decoder for BybitDecoder {
    /// Frames name what they are about; answers of REST do not.
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, rest::asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        if let Some(outcome) = usual::decode(conn, frame, &mut self.usual, &mut self.tickers, out) {
            return outcome;
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

impl BybitDecoder {
    fn try_decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let mut wire = Wire::default();
        wire::read_frame(frame, &mut wire, &mut self.elements)?;
        let Some(name) = optional_text(frame, wire.topic) else { return Ok(answer(frame, &wire)) };
        let Some(topic) = topic(name) else {
            return Ok(Outcome::Unknown(Label { field: "topic", name: Some(topic_name(name)) }));
        };
        match wire.data.kind {
            TokenKind::Array | TokenKind::Object if !wire.has_odd_element => {}
            TokenKind::Absent => return Err(Reject::new(RejectReason::MissingField, "data")),
            _ => return Err(Reject::new(RejectReason::BadField, "data")),
        }
        let content = match topic {
            Topic::Trades => Content::Trade,
            Topic::Tickers => Content::Ticker(action(frame, wire.kind)?),
            Topic::Book => Content::Book(action(frame, wire.kind)?),
        };
        let says_something = |fields: &Fields| fields.best.values.iter().any(|token| token.is_present());
        if topic == Topic::Tickers && !self.elements.fields.iter().any(says_something) {
            return Ok(WITHOUT_BEST);
        }
        let count = self.elements.fields.len();
        // First without handing out, so that a fault in the last element leaves nothing handed out, and no ticker changed.
        if count > 1 {
            self.each(conn, frame, &wire, content, None)?;
        }
        self.each(conn, frame, &wire, content, Some(out))?;
        Ok(Outcome::Messages(count))
    }

    /// Looks at every element; with `out`, hands its message out.
    fn each(
        &mut self,
        conn: &str,
        frame: &str,
        wire: &Wire,
        content: Content,
        mut out: Option<&mut (dyn MessageSink + '_)>,
    ) -> Result<(), Reject> {
        let event_ts = if content == Content::Trade { time(frame, wire.sent, "ts")? } else { None };
        let count = self.elements.fields.len();
        for at in 0..count {
            let Some(&fields) = self.elements.fields.get(at) else { break };
            let message = match content {
                Content::Trade => {
                    let symbol = symbol(frame, fields.symbol, "s", &mut self.symbol)?;
                    Message::Trade(parse::trade(frame, &fields, symbol, event_ts)?)
                }
                Content::Book(action) => {
                    if count > 1 {
                        self.elements.load_levels(frame, &fields)?;
                    }
                    let symbol = symbol(frame, fields.symbol, "s", &mut self.symbol)?;
                    Message::Book(parse::book(frame, wire, &fields, symbol, action, &self.elements)?)
                }
                Content::Ticker(action) => {
                    let out = out.as_mut().map(|out| &mut **out as &mut dyn MessageSink);
                    self.ticker(conn, frame, wire, &fields, action, out)?;
                    continue;
                }
            };
            if let Some(out) = &mut out {
                out.message(frame, &message);
            }
        }
        Ok(())
    }

    /// A ticker: without `out` it is only looked at.
    fn ticker(
        &mut self,
        conn: &str,
        frame: &str,
        wire: &Wire,
        fields: &Fields,
        action: BookAction,
        out: Option<&mut dyn MessageSink>,
    ) -> Result<(), Reject> {
        let symbol = symbol(frame, fields.ticker_symbol, "symbol", &mut self.symbol)?;
        if symbol.len() > TICKER_SYMBOL_BYTES_MAX {
            return Err(Reject::new(RejectReason::BadField, "symbol"));
        }
        let exchange_ts = time(frame, wire.sent, "ts")?;
        let seq = optional_seq(frame, wire.seq, "cs")?;
        let said = parse::best(frame, &fields.best)?;
        let Some(out) = out else { return Ok(()) };
        let (text, best) = if fields.best.is_option {
            // Options send whole tickers only, of thousands of symbols: nothing of them is kept.
            (frame, said.map(Option::flatten))
        } else {
            self.tickers.update((conn, symbol), action == BookAction::Snapshot, frame, said)
        };
        let [bid, bid_size, ask, ask_size] = best;
        let quote = QuoteMsg { symbol, exchange_ts, event_ts: None, bid, bid_size, ask, ask_size, seq, replay: false };
        out.message(text, &Message::Quote(quote));
        Ok(())
    }
}

fn topic(name: &str) -> Option<Topic> {
    let (kind, rest) = name.split_once('.')?;
    match kind {
        "publicTrade" => Some(Topic::Trades),
        "tickers" => Some(Topic::Tickers),
        "orderbook" => {
            let depth = rest.split_once('.').map_or(rest, |(depth, _)| depth);
            (!depth.is_empty() && depth.bytes().all(|byte| byte.is_ascii_digit())).then_some(Topic::Book)
        }
        _ => None,
    }
}

/// How an unknown topic is counted: without its parameters, but for the books that are other ones (`orderbook.rpi`).
fn topic_name(topic: &str) -> &str {
    let mut dots = topic.match_indices('.').map(|(at, _)| at);
    let end = if topic.starts_with("orderbook.") { dots.nth(1) } else { dots.next() };
    topic.get(..end.unwrap_or(topic.len())).unwrap_or(topic)
}

fn action(frame: &str, kind: Token) -> Result<BookAction, Reject> {
    match optional_text(frame, kind) {
        Some("snapshot") => Ok(BookAction::Snapshot),
        Some("delta") => Ok(BookAction::Delta),
        None if !kind.is_present() => Err(Reject::new(RejectReason::MissingField, "type")),
        _ => Err(Reject::new(RejectReason::BadField, "type")),
    }
}

/// A frame without a topic: the answer to a request. A ping is answered with `op` `ping` on spot, linear and inverse, with
/// `pong` on options; a request on options without any `op`.
fn answer<'f>(frame: &'f str, wire: &Wire) -> Outcome<'f> {
    let op = optional_text(frame, wire.op);
    let label = Label { field: "op", name: op };
    let name = match (op, wire.success.kind) {
        (_, TokenKind::False) => CONTROL_ERROR,
        (Some("ping" | "pong"), _) => CONTROL_ALIVE,
        (Some("subscribe" | "unsubscribe" | "auth"), _) | (None, TokenKind::True) => CONTROL_ACK,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name, label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_tells_what_is_carried() {
        let cases = [
            // topic, what it carries, how it is counted when unknown
            ("publicTrade.BTCUSDT", Some(Topic::Trades), "publicTrade"),
            ("tickers.BTC-6JAN23-17500-C", Some(Topic::Tickers), "tickers"),
            ("orderbook.1.BTCUSDT", Some(Topic::Book), "orderbook.1"),
            ("orderbook.1000.10000.X", Some(Topic::Book), "orderbook.1000"),
            ("orderbook.rpi.BTCUSDT", None, "orderbook.rpi"),
            ("orderbook.full.BTCUSDT", None, "orderbook.full"),
            ("orderbook..BTCUSDT", None, "orderbook."),
            ("orderBookL2_25.BTCUSD", None, "orderBookL2_25"),
            ("instrument_info.100ms.BTCUSD", None, "instrument_info"),
            ("kline.1.BTCUSDT", None, "kline"),
            ("tickers", None, "tickers"),
            ("", None, ""),
        ];
        for (name, carried, counted) in cases {
            assert_eq!((topic(name), topic_name(name)), (carried, counted), "{name}");
        }
    }
}
