//! Hyperliquid frames as sent: one walk over the text finds channel and data in any order of keys, a second one reads the
//! data as what the channel carries.

use crate::decoder::{Reject, RejectReason};
use crate::fields::{number, time};
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{LevelNum, TradeMsg};
use crate::nested::{each_element, each_member, each_member_of_frame, scanner_at};
use crate::scan::{JsonError, Scanner, Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::Side;

/// Most trades of a frame: the venue sends those of a block, or a few dozen old ones. Bounds what a hostile frame makes us
/// hold.
const TRADES_MAX: usize = 1 << 14;

/// `channel` and `data`. A duplicate key: the last one wins.
pub(super) fn read_frame(frame: &str) -> Result<(Token, Token), JsonError> {
    let (mut channel, mut data) = (Token::default(), Token::default());
    each_member_of_frame(frame, &mut |key, value| match key {
        b"channel" => channel = value,
        b"data" => data = value,
        _ => {}
    })?;
    Ok((channel, data))
}

/// What books and quotes say beside levels.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Envelope {
    /// `coin`.
    pub(super) symbol: Token,
    /// `time`.
    pub(super) time: Token,
}

/// A trade that is handed out when the whole frame is good; its name stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldTrade {
    /// `coin`.
    pub(super) symbol: Token,
    /// Without its symbol.
    pub(super) trade: TradeMsg<'static>,
}

/// Everything in lists, in buffers that keep their room.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) bids: Vec<LevelNum>,
    pub(super) asks: Vec<LevelNum>,
    pub(super) trades: Vec<HeldTrade>,
}

impl Lists {
    /// `[{"coin":..,"side":..,"px":..,"sz":..,"time":..,"tid":..},..]`.
    pub(super) fn read_trades(&mut self, frame: &str, data: Token) -> Result<(), Reject> {
        self.trades.clear();
        each_element(&mut scanner_at(frame, data, "data")?, "data", &mut |scanner| {
            if self.trades.len() == TRADES_MAX {
                return Err(Reject::new(RejectReason::TooLarge, "data"));
            }
            self.trades.push(read_trade(scanner, frame)?);
            Ok(())
        })
    }

    /// `{"coin":..,"time":..,"levels":[bids,asks]}`.
    pub(super) fn read_book(&mut self, frame: &str, data: Token) -> Result<Envelope, Reject> {
        let (envelope, levels) = read_envelope(frame, data, b"levels")?;
        let mut sides = [&mut self.bids, &mut self.asks].into_iter();
        each_element(&mut scanner_at(frame, levels, "levels")?, "levels", &mut |scanner| {
            let side = sides.next().ok_or(Reject::new(RejectReason::BadField, "levels"))?;
            side.clear();
            each_element(scanner, "levels", &mut |scanner| {
                if side.len() == SIDE_LEVELS_MAX {
                    return Err(Reject::new(RejectReason::TooManyLevels, "levels"));
                }
                side.push(read_level(scanner, frame, "levels")?);
                Ok(())
            })
        })?;
        // A book with one side only would say that the other is empty.
        if sides.next().is_some() { Err(Reject::new(RejectReason::MissingField, "levels")) } else { Ok(envelope) }
    }
}

/// `{"coin":..,"time":..,"bbo":[bid or null,ask or null]}`.
pub(super) fn read_best(frame: &str, data: Token) -> Result<(Envelope, [Option<LevelNum>; 2]), Reject> {
    let (envelope, best) = read_envelope(frame, data, b"bbo")?;
    let mut levels = [None; 2];
    let mut sides = levels.iter_mut();
    each_element(&mut scanner_at(frame, best, "bbo")?, "bbo", &mut |scanner| {
        let side = sides.next().ok_or(Reject::new(RejectReason::BadField, "bbo"))?;
        if scanner.peek() == Some(b'n') {
            scanner.value()?;
        } else {
            *side = Some(read_level(scanner, frame, "bbo")?);
        }
        Ok(())
    })?;
    if sides.next().is_some() { Err(Reject::new(RejectReason::MissingField, "bbo")) } else { Ok((envelope, levels)) }
}

/// Coin and time, and where the list under `list` stands.
fn read_envelope(frame: &str, data: Token, list: &[u8]) -> Result<(Envelope, Token), Reject> {
    let mut envelope = Envelope::default();
    let mut listed = Token::default();
    each_member(&mut scanner_at(frame, data, "data")?, frame, "data", &mut |key, scanner| {
        let value = scanner.value()?;
        match key {
            b"coin" => envelope.symbol = value,
            b"time" => envelope.time = value,
            key if key == list => listed = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok((envelope, listed))
}

/// `{"px":..,"sz":..,"n":..}`, where `n` counts orders.
fn read_level(scanner: &mut Scanner<'_>, frame: &str, field: &'static str) -> Result<LevelNum, Reject> {
    let (mut price, mut size) = (Token::default(), Token::default());
    each_member(scanner, frame, field, &mut |key, scanner| {
        let value = scanner.value()?;
        match key {
            b"px" => price = value,
            b"sz" => size = value,
            _ => {}
        }
        Ok(())
    })?;
    Ok(LevelNum { price: number(frame, price, "px")?, size: number(frame, size, "sz")? })
}

/// `tid` is a hash over both orders: unique together with coin and time, without order.
fn read_trade(scanner: &mut Scanner<'_>, frame: &str) -> Result<HeldTrade, Reject> {
    let [mut symbol, mut side, mut price, mut size, mut stamp, mut id] = [Token::default(); 6];
    each_member(scanner, frame, "data", &mut |key, scanner| {
        let value = scanner.value()?;
        match key {
            b"coin" => symbol = value,
            b"side" => side = value,
            b"px" => price = value,
            b"sz" => size = value,
            b"time" => stamp = value,
            b"tid" => id = value,
            _ => {}
        }
        Ok(())
    })?;
    let trade = TradeMsg {
        symbol: "",
        exchange_ts: time(frame, stamp, "time")?,
        event_ts: None,
        price: number(frame, price, "px")?,
        size: number(frame, size, "sz")?,
        side: taker_side(frame, side)?,
        id: trade_id(frame, id, "tid")?,
        seq: None,
        replay: false,
    };
    Ok(HeldTrade { symbol, trade })
}

/// The taker's: `B` bought, `A` sold.
fn taker_side(frame: &str, side: Token) -> Result<Option<Side>, Reject> {
    match (side.kind, side.bytes(frame)) {
        (TokenKind::String, b"B") => Ok(Some(Side::Buy)),
        (TokenKind::String, b"A") => Ok(Some(Side::Sell)),
        (TokenKind::Absent | TokenKind::Null, _) => Ok(None),
        _ => Err(Reject::new(RejectReason::BadField, "side")),
    }
}
