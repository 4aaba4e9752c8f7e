//! Gemini, the second market data feed (`wss://api.gemini.com/v2/marketdata`): trades and depth of spot and perpetuals.
//!
//! No allocation once the buffers have grown; the cold way is an escaped symbol. `l2_updates` gives a book, and, when it
//! is the first one of a subscription, the trades before it as replay; `trade` gives a trade. Left out on purpose: candles,
//! mark prices, funding and auctions; such frames are unknown under their `type`. At most 16,384 trades and
//! `SIDE_LEVELS_MAX` levels a side are read of a frame; nothing is remembered from one frame to the next.
//! Source: docs.gemini.com, "WebSocket API", "Market Data Version 2" (as public clients report it) and recordings of 2021 and 2026.

mod parse;
mod wire;

use crate::decoder::{CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason};
use crate::message::{BookMsg, Message, MessageSink, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::scan::TokenKind;
use feedd_model::BookAction;
use wire::{Lists, Wire};

/// Reads frames of Gemini's second market data feed.
#[derive(Debug, Default)]
pub struct GeminiDecoder {
    lists: Lists,
    /// A symbol that was escaped.
    symbol: String,
}

impl Decoder for GeminiDecoder {
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

impl GeminiDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let wire = wire::read_frame(frame)?;
        let name = optional_text(frame, wire.kind);
        match name {
            Some("l2_updates") => self.depth(frame, &wire, out).map(Outcome::Messages),
            Some("trade") => {
                let symbol = symbol(frame, wire.trade.symbol, "symbol", &mut self.symbol)?;
                let trade = parse::trade(frame, &wire.trade, false)?;
                out.message(frame, &Message::Trade(TradeMsg { symbol, ..trade }));
                Ok(Outcome::Messages(1))
            }
            _ => Ok(other(frame, &wire, name)),
        }
    }

    /// The first one of a subscription, and only that, has lists of earlier trades and auctions, be they empty: then the
    /// book is whole.
    fn depth(&mut self, frame: &str, wire: &Wire, out: &mut dyn MessageSink) -> Result<usize, Reject> {
        let is_snapshot = [wire.trades, wire.auction_events].iter().any(|token| token.kind == TokenKind::Array);
        let lists = &mut self.lists;
        lists.read_changes(frame, wire.changes)?;
        lists.read_trades(frame, wire)?;
        // All that can be wrong is wrong by now: a frame is handed out whole.
        for held in &lists.trades {
            symbol(frame, held.symbol, "symbol", &mut self.symbol)?;
        }
        let book = BookMsg {
            symbol: symbol(frame, wire.trade.symbol, "symbol", &mut self.symbol)?,
            exchange_ts: None,
            event_ts: None,
            action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
            bids: &lists.bids,
            asks: &lists.asks,
            seq_first: None,
            seq_last: None,
            seq_prev: None,
            checksum: None,
            replay: false,
        };
        out.message(frame, &Message::Book(book));
        for held in &lists.trades {
            let symbol = symbol(frame, held.symbol, "symbol", &mut self.symbol)?;
            out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
        }
        Ok(1 + lists.trades.len())
    }
}

/// A frame that gives no message: whether it belongs to the connection, or is of no use.
fn other<'f>(frame: &str, wire: &Wire, name: Option<&'f str>) -> Outcome<'f> {
    let label = Label { field: "type", name };
    let control = match name {
        Some("heartbeat") => CONTROL_ALIVE,
        Some("error") => CONTROL_ERROR,
        // Refusals look as in REST: `{"result":"error","reason":..,"message":..}` (docs.gemini.com, "Error Codes").
        None if optional_text(frame, wire.result) == Some("error") => CONTROL_ERROR,
        _ => return Outcome::Unknown(label),
    };
    Outcome::Control { name: control, label }
}
