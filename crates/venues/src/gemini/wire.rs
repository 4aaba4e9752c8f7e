//! Gemini frames as sent: one walk over the text finds the envelope in any order of keys, a second one reads the lists that
//! its `type` makes matter.

use super::parse;
use crate::decoder::{Reject, RejectReason};
use crate::fields::number;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{LevelNum, TradeMsg};
use crate::nested::{each_element, each_member, each_member_of_frame, scanner_at};
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Most trades of a frame: the venue sends up to 100. Bounds what a hostile frame makes us hold.
const TRADES_MAX: usize = 1 << 14;

/// A frame's envelope. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// `type`.
    pub(super) kind: Token,
    /// `changes` of a book.
    pub(super) changes: Token,
    /// `trades` before the subscription.
    pub(super) trades: Token,
    /// `auction_events` before the subscription.
    pub(super) auction_events: Token,
    /// `result` of a refusal.
    pub(super) result: Token,
    /// A trade alone; its symbol is also a book's.
    pub(super) trade: TradeFields,
}

/// The fields of a trade.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TradeFields {
    /// `symbol`.
    pub(super) symbol: Token,
    /// `event_id`: the sequence number, in recordings of 2021 also the only id.
    pub(super) event_id: Token,
    /// `tid`: the id.
    pub(super) trade_id: Token,
    /// `timestamp`.
    pub(super) time: Token,
    /// `price`.
    pub(super) price: Token,
    /// `quantity`.
    pub(super) size: Token,
    /// `side`.
    pub(super) side: Token,
}

impl TradeFields {
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            b"symbol" => &mut self.symbol,
            b"event_id" => &mut self.event_id,
            b"tid" => &mut self.trade_id,
            b"timestamp" => &mut self.time,
            b"price" => &mut self.price,
            b"quantity" => &mut self.size,
            b"side" => &mut self.side,
            _ => return None,
        })
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str) -> Result<Wire, JsonError> {
    let mut wire = Wire::default();
    each_member_of_frame(frame, &mut |key, value| {
        let slot = match key {
            b"type" => &mut wire.kind,
            b"changes" => &mut wire.changes,
            b"trades" => &mut wire.trades,
            b"auction_events" => &mut wire.auction_events,
            b"result" => &mut wire.result,
            key => match wire.trade.slot(key) {
                Some(slot) => slot,
                None => return,
            },
        };
        *slot = value;
    })?;
    Ok(wire)
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
    /// Changes that buy.
    pub(super) bids: Vec<LevelNum>,
    /// Changes that sell.
    pub(super) asks: Vec<LevelNum>,
    /// Trades before the subscription, in the order sent.
    pub(super) trades: Vec<HeldTrade>,
}

impl Lists {
    /// `changes`: `[["buy","price","size"],..]`.
    pub(super) fn read_changes(&mut self, frame: &str, changes: Token) -> Result<(), Reject> {
        self.bids.clear();
        self.asks.clear();
        let mut scanner = scanner_at(frame, changes, "changes")?;
        each_element(&mut scanner, "changes", &mut |scanner| {
            let (side, level) = read_change(scanner, frame)?;
            let levels = match side.bytes(frame) {
                b"buy" if side.kind == TokenKind::String => &mut self.bids,
                b"sell" if side.kind == TokenKind::String => &mut self.asks,
                _ => return Err(Reject::new(RejectReason::BadField, "changes")),
            };
            if levels.len() == SIDE_LEVELS_MAX {
                return Err(Reject::new(RejectReason::TooManyLevels, "changes"));
            }
            levels.push(level);
            Ok(())
        })
    }

    /// `trades`, where there are some. One that names no symbol is of the frame's.
    pub(super) fn read_trades(&mut self, frame: &str, wire: &Wire) -> Result<(), Reject> {
        self.trades.clear();
        if matches!(wire.trades.kind, TokenKind::Absent | TokenKind::Null) {
            return Ok(());
        }
        let mut scanner = scanner_at(frame, wire.trades, "trades")?;
        each_element(&mut scanner, "trades", &mut |scanner| {
            if self.trades.len() == TRADES_MAX {
                return Err(Reject::new(RejectReason::TooLarge, "trades"));
            }
            let mut fields = TradeFields::default();
            each_member(scanner, frame, "trades", &mut |key, scanner| {
                let value = scanner.value()?;
                if let Some(slot) = fields.slot(key) {
                    *slot = value;
                }
                Ok(())
            })?;
            let symbol = if fields.symbol.is_present() { fields.symbol } else { wire.trade.symbol };
            self.trades.push(HeldTrade { symbol, trade: parse::trade(frame, &fields, true)? });
            Ok(())
        })
    }
}

/// One change: side, price, size. Further elements are skipped.
fn read_change(scanner: &mut Scanner<'_>, frame: &str) -> Result<(Token, LevelNum), Reject> {
    let mut parts = [Token::default(); 3];
    let mut count = 0;
    each_element(scanner, "changes", &mut |scanner| {
        let value = scanner.value()?;
        if let Some(part) = parts.get_mut(count) {
            *part = value;
            count += 1;
        }
        Ok(())
    })?;
    let [side, price, size] = parts;
    let level = LevelNum { price: number(frame, price, "changes")?, size: number(frame, size, "changes")? };
    Ok((side, level))
}
