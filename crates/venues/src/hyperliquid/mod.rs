//! Hyperliquid (`wss://api.hyperliquid.xyz/ws`): trades, best bid and ask, and books of perpetuals and spot.
//!
//! No allocation once the buffers have grown; the cold way is an escaped name. Channels: `trades`, `l2Book` (the whole top
//! each time), `bbo`. Left out on purpose: candles, mid prices, contexts of assets, and what belongs to a user; such frames
//! are unknown under their `channel`. At most 16,384 trades and `SIDE_LEVELS_MAX` levels a side are read of a frame;
//! nothing is remembered from one frame to the next. Trades from before the subscription are not marked by the venue.
//! Source: hyperliquid.gitbook.io, "For developers", "API", "Websocket", "Subscriptions" (as public clients report it) and a recording of
//! 2025.

mod wire;

use crate::decoder::{
    CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, FRAME_BYTES_MAX, Label, Outcome, Reject, RejectReason,
};
use crate::fields::time;
use crate::message::{BookMsg, Message, MessageSink, QuoteMsg, TradeMsg};
use crate::names::{optional_text, symbol};
use crate::scan::Token;
use feedd_model::BookAction;
use wire::Lists;

/// What the venue says first on a connection; it is no JSON (as public clients report it).
const GREETING: &str = "Websocket connection established.";

/// Reads frames of Hyperliquid.
#[derive(Debug, Default)]
pub struct HyperliquidDecoder {
    lists: Lists,
    /// A name that was escaped.
    symbol: String,
}

impl Decoder for HyperliquidDecoder {
    /// Frames name what they are about.
    fn request(&mut self, _: &str, _: &str) {}

    fn decode<'f>(&mut self, _: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        match self.try_decode(frame, out) {
            Ok(outcome) => outcome,
            Err(_) if frame.trim() == GREETING => {
                Outcome::Control { name: CONTROL_ALIVE, label: channel_label(Some(GREETING)) }
            }
            Err(reject) => Outcome::Rejected(reject),
        }
    }
}

impl HyperliquidDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let (channel, data) = wire::read_frame(frame)?;
        let name = optional_text(frame, channel);
        let count = match name {
            Some("trades") => self.trades(frame, data, out)?,
            Some("l2Book") => self.book(frame, data, out)?,
            Some("bbo") => self.quote(frame, data, out)?,
            _ => return Ok(other(name)),
        };
        Ok(Outcome::Messages(count))
    }

    /// All are read, then handed out.
    fn trades(&mut self, frame: &str, data: Token, out: &mut dyn MessageSink) -> Result<usize, Reject> {
        let lists = &mut self.lists;
        lists.read_trades(frame, data)?;
        for held in &lists.trades {
            symbol(frame, held.symbol, "coin", &mut self.symbol)?;
        }
        for held in &lists.trades {
            let symbol = symbol(frame, held.symbol, "coin", &mut self.symbol)?;
            out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
        }
        Ok(lists.trades.len())
    }

    fn book(&mut self, frame: &str, data: Token, out: &mut dyn MessageSink) -> Result<usize, Reject> {
        let envelope = self.lists.read_book(frame, data)?;
        let book = BookMsg {
            symbol: symbol(frame, envelope.symbol, "coin", &mut self.symbol)?,
            exchange_ts: time(frame, envelope.time, "time")?,
            event_ts: None,
            action: BookAction::Snapshot,
            bids: &self.lists.bids,
            asks: &self.lists.asks,
            seq_first: None,
            seq_last: None,
            seq_prev: None,
            checksum: None,
            replay: false,
        };
        out.message(frame, &Message::Book(book));
        Ok(1)
    }

    /// A side without orders is `null`.
    fn quote(&mut self, frame: &str, data: Token, out: &mut dyn MessageSink) -> Result<usize, Reject> {
        let (envelope, [bid, ask]) = wire::read_best(frame, data)?;
        let quote = QuoteMsg {
            symbol: symbol(frame, envelope.symbol, "coin", &mut self.symbol)?,
            exchange_ts: time(frame, envelope.time, "time")?,
            event_ts: None,
            bid: bid.map(|level| level.price),
            bid_size: bid.map(|level| level.size),
            ask: ask.map(|level| level.price),
            ask_size: ask.map(|level| level.size),
            seq: None,
            replay: false,
        };
        out.message(frame, &Message::Quote(quote));
        Ok(1)
    }
}

/// A frame that gives no message: whether it belongs to the connection, or is of no use.
fn other(name: Option<&str>) -> Outcome<'_> {
    let control = match name {
        Some("subscriptionResponse") => CONTROL_ACK,
        Some("error") => CONTROL_ERROR,
        Some("pong") => CONTROL_ALIVE,
        _ => return Outcome::Unknown(channel_label(name)),
    };
    Outcome::Control { name: control, label: channel_label(name) }
}

const fn channel_label(name: Option<&str>) -> Label<'_> {
    Label { field: "channel", name }
}
