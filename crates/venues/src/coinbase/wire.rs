//! Coinbase frames as sent: the fields of both feeds, as `walk.rs` finds them. What they mean is told by `exchange.rs`
//! and `advanced.rs`.

use crate::decoder::{Reject, RejectReason};
use crate::levels::{SIDE_LEVELS_MAX, SideLevels};
use crate::message::{LevelNum, TradeMsg};
use crate::scan::Token;
use feedd_model::VenueSeq;
use std::ops::Range;

/// Most events, and most trades and tickers, of one frame. Coinbase sends 100 trades at once.
pub(super) const ITEMS_MAX: usize = 1 << 14;

/// A frame after the walk; its lists are in [`Lists`]. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `type`: name of a frame of the Exchange feed.
    pub(super) kind: Token,
    /// `channel`: name of a frame of Advanced Trade.
    pub(super) channel: Token,
    /// `sequence` of the product, Exchange feed.
    pub(super) sequence: Token,
    /// `sequence_num` of the connection, Advanced Trade.
    pub(super) sequence_num: Token,
    /// `timestamp` of the envelope, Advanced Trade.
    pub(super) timestamp: Token,
    /// What the Exchange feed has beside these.
    pub(super) item: Item,
    /// `bids` of a snapshot.
    pub(super) bids: Token,
    /// `asks` of a snapshot.
    pub(super) asks: Token,
    /// `changes` of an l2update.
    pub(super) changes: Listed,
    /// `events` of Advanced Trade.
    pub(super) events: Listed,
    /// First element of a frame that is a list.
    pub(super) list_head: Token,
}

impl Wire {
    /// Takes what stands under a key, unless it is a list.
    #[inline]
    pub(super) fn put(&mut self, key: &[u8], value: Token) {
        let slot = match key {
            b"type" => &mut self.kind,
            b"channel" => &mut self.channel,
            b"sequence" => &mut self.sequence,
            b"sequence_num" => &mut self.sequence_num,
            b"timestamp" => &mut self.timestamp,
            b"bids" => &mut self.bids,
            b"asks" => &mut self.asks,
            b"changes" => &mut self.changes.token,
            b"events" => &mut self.events.token,
            key => match self.item.slot(key) {
                Some(slot) => slot,
                None => return,
            },
        };
        *slot = value;
    }
}

/// A list, and why it is not what its key says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Listed {
    pub(super) token: Token,
    pub(super) fault: Option<Reject>,
}

impl Listed {
    /// Whether it was a list as its key says; otherwise why not.
    pub(super) fn check(&self, field: &'static str) -> Result<(), Reject> {
        crate::levels::check_levels(self.token, field, self.fault)
    }
}

/// A trade or a ticker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Item {
    /// `product_id`.
    pub(super) product: Token,
    /// `trade_id`.
    pub(super) trade_id: Token,
    /// `price`.
    pub(super) price: Token,
    /// `size`.
    pub(super) size: Token,
    /// `side`: the maker's.
    pub(super) side: Token,
    /// `time`.
    pub(super) time: Token,
    /// `best_bid`.
    pub(super) bid: Token,
    /// `best_bid_size`, in Advanced Trade `best_bid_quantity`.
    pub(super) bid_size: Token,
    /// `best_ask`.
    pub(super) ask: Token,
    /// `best_ask_size`, in Advanced Trade `best_ask_quantity`.
    pub(super) ask_size: Token,
}

impl Item {
    #[inline]
    pub(super) fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"product_id" => &mut self.product,
            b"trade_id" => &mut self.trade_id,
            b"price" => &mut self.price,
            b"size" => &mut self.size,
            b"side" => &mut self.side,
            b"time" => &mut self.time,
            b"best_bid" => &mut self.bid,
            b"best_bid_size" | b"best_bid_quantity" => &mut self.bid_size,
            b"best_ask" => &mut self.ask,
            b"best_ask_size" | b"best_ask_quantity" => &mut self.ask_size,
            _ => return None,
        })
    }
}

/// One element of `events`.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    /// `type`: snapshot or update.
    pub(super) kind: Token,
    /// `product_id`.
    pub(super) product: Token,
    /// `updates`: levels.
    pub(super) updates: Listed,
    /// Where its levels stand in [`Lists::updates`].
    pub(super) bids: Range<usize>,
    /// As `bids`.
    pub(super) asks: Range<usize>,
    /// `trades`.
    pub(super) trades: Listed,
    /// Where they stand in [`Lists::items`].
    pub(super) trades_at: Range<usize>,
    /// `tickers`.
    pub(super) tickers: Listed,
    /// Where they stand in [`Lists::items`].
    pub(super) tickers_at: Range<usize>,
}

/// Levels with a side of their own.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// Those that buy.
    pub(super) bids: Vec<LevelNum>,
    /// Those that sell.
    pub(super) asks: Vec<LevelNum>,
}

impl Updates {
    /// Forgets all levels and keeps the room.
    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    #[inline]
    pub(super) fn push(
        &mut self,
        side: Token,
        frame: &str,
        level: LevelNum,
        field: &'static str,
    ) -> Result<(), Reject> {
        let levels = match side.bytes(frame) {
            b"bid" | b"buy" => &mut self.bids,
            b"offer" | b"ask" | b"sell" => &mut self.asks,
            _ if !side.is_present() => return Err(Reject::new(RejectReason::MissingField, "side")),
            _ => return Err(Reject::new(RejectReason::BadField, "side")),
        };
        if levels.len() == SIDE_LEVELS_MAX {
            return Err(Reject::new(RejectReason::TooManyLevels, field));
        }
        levels.push(level);
        Ok(())
    }
}

/// A trade that is handed out when the whole frame is good; its symbol stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldTrade {
    pub(super) symbol: Token,
    /// Without its symbol.
    pub(super) trade: TradeMsg<'static>,
}

/// Everything in lists, in buffers that keep their room.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Under `bids`.
    pub(super) bids: SideLevels,
    /// Under `asks`.
    pub(super) asks: SideLevels,
    /// Of `changes`, or of all `updates`.
    pub(super) updates: Updates,
    /// Under `events`.
    pub(super) events: Vec<Event>,
    /// Trades and tickers of all events.
    pub(super) items: Vec<Item>,
    /// Trades that have been read.
    pub(super) trades: Vec<HeldTrade>,
    /// `sequence_num` of the frame, Advanced Trade.
    pub(super) number: Option<VenueSeq>,
}
