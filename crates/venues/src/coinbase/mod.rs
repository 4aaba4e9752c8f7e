//! Coinbase: the Exchange feed and Advanced Trade, told apart by the envelope: Exchange names its frames by `type`,
//! Advanced Trade by `channel`.
//!
//! Hot path: no allocation once the buffers have grown; the cold way is an escaped key or product.
//! Bounds: `SIDE_LEVELS_MAX` levels a side and `ITEMS_MAX` events, trades and tickers a frame;
//! nothing is remembered from one frame to the next.

mod advanced;
mod exchange;
mod rest;
mod usual;
mod values;
mod walk;
mod wire;

use crate::answers::Answers;
use crate::decoder::{Decoder, FRAME_BYTES_MAX, Outcome, Reject, RejectReason};
use crate::fields::optional_seq;
use crate::message::MessageSink;
use feedd_model::VenueSeq;
use wire::Lists;

/// Reads frames of both feeds.
#[derive(Debug, Default)]
pub struct CoinbaseDecoder {
    answers: Answers,
    lists: Lists,
    /// A product that was escaped.
    symbol: String,
}

impl Decoder for CoinbaseDecoder {
    /// Frames name what they are about; answers of REST do not.
    fn request(&mut self, conn: &str, text: &str) {
        self.answers.note(conn, text, rest::asked);
    }

    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        self.lists.number = None;
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

    /// `sequence_num`: Advanced Trade counts every frame of a connection (docs.cdp.coinbase.com, Advanced Trade
    /// WebSocket overview, read mid 2026).
    fn connection_sequence(&self) -> Option<VenueSeq> {
        self.lists.number
    }
}

impl CoinbaseDecoder {
    fn try_decode<'f>(&mut self, frame: &'f str, out: &mut dyn MessageSink) -> Result<Outcome<'f>, Reject> {
        let wire = walk::read_frame(frame, &mut self.lists)?;
        if wire.channel.is_present() {
            // Frames without a message are counted by the venue, too.
            self.lists.number = optional_seq(frame, wire.sequence_num, "sequence_num").ok().flatten();
            return advanced::decode(frame, &wire, &mut self.lists, &mut self.symbol, out);
        }
        exchange::decode(frame, &wire, &self.lists, &mut self.symbol, out)
    }
}
