//! The first protocol: `[channel id, payload, .., "name-option", "pair"]`.
//!
//! Source: docs.kraken.com, "Spot WebSockets v1": book, trade, ticker, spread (read mid 2026), checked against a recording
//! of 2021-04-17. Numbers are texts, times are seconds with six decimals. A book has no time of its own: the newest time
//! of its levels is taken. One frame can hold both sides in an object each; the checksum is in the second.

use super::usual_first;
use super::values::{NO_QUOTE, checksum, optional_number, side};
use super::wire::{HeldTrade, ITEMS_MAX, Levels, Lists, Wire, push, read_plain};
use crate::decoder::{Label, Outcome, Reject, RejectReason};
use crate::fields::number;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::names::{key_name, optional_text, symbol};
use crate::scan::{JsonError, Scanner, Token, TokenKind};
use crate::time_text::unix_seconds;
use feedd_model::{BookAction, TradeId, UnixNanos};

pub(super) fn decode<'f>(
    frame: &'f str,
    wire: &Wire,
    lists: &mut Lists,
    scratch: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let parts = wire.parts.get(..wire.parts_len).unwrap_or_default();
    let (payloads, name, pair) = match parts {
        [_, payloads @ .., name, pair] => (payloads, *name, *pair),
        [.., name, _] => (&[][..], *name, Token::default()),
        _ => (&[][..], Token::default(), Token::default()),
    };
    // `book-1000` is the book, `ohlc-5` candles.
    let name = optional_text(frame, name).map(|name| name.split_once('-').map_or(name, |(name, _)| name));
    if !matches!(name, Some("book" | "trade" | "ticker" | "spread")) {
        return Ok(Outcome::Unknown(Label { field: "v1", name }));
    }
    let Some(&payload) = payloads.first() else {
        return Err(Reject::new(RejectReason::MissingField, "payload"));
    };
    let symbol = symbol(frame, pair, "pair", scratch)?;
    match name {
        Some("book") => {
            let book = book(frame, payloads, &wire.payload, symbol, &lists.levels)?;
            out.message(frame, &Message::Book(book));
        }
        Some("trade") => return trades(frame, payload, symbol, &mut lists.trades, out),
        Some("ticker") => match ticker(frame, payloads, &wire.payload, symbol)? {
            Some(quote) => out.message(frame, &Message::Quote(quote)),
            None => return Ok(NO_QUOTE),
        },
        _ => match read_spread(frame, payload, symbol)? {
            Some(quote) => out.message(frame, &Message::Quote(quote)),
            None => return Ok(NO_QUOTE),
        },
    }
    Ok(Outcome::Messages(1))
}

/// What the objects of a list say: a book or a ticker. The levels of a book are read at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Payload {
    is_snapshot: bool,
    is_change: bool,
    newest: Option<UnixNanos>,
    /// `c`.
    checksum: Token,
    /// `a` of a ticker: price, whole lots, volume.
    ask: [Token; 3],
    /// `b` of a ticker.
    bid: [Token; 3],
    /// Why it is no book.
    book_fault: Option<Reject>,
}

/// Reads an object of a list: `{"as":[..],"bs":[..]}`, `{"a":[..],"c":".."}`, or `{"a":["price",1,"volume"],..}`.
pub(super) fn read_payload(
    scanner: &mut Scanner<'_>,
    frame: &str,
    payload: &mut Payload,
    levels: &mut Levels,
) -> Result<Token, JsonError> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match &*key_name(frame, key) {
            b"as" => {
                payload.is_snapshot = true;
                read_side(scanner, frame, "as", &mut levels.asks, payload)?;
            }
            b"bs" => {
                payload.is_snapshot = true;
                read_side(scanner, frame, "bs", &mut levels.bids, payload)?;
            }
            b"a" => {
                payload.is_change = true;
                payload.ask = read_side(scanner, frame, "a", &mut levels.asks, payload)?;
            }
            b"b" => {
                payload.is_change = true;
                payload.bid = read_side(scanner, frame, "b", &mut levels.bids, payload)?;
            }
            b"c" => payload.checksum = scanner.value()?,
            _ => {
                scanner.value()?;
            }
        }
        more = scanner.next_member()?;
    }
    Ok(Token { kind: TokenKind::Object, ..Token::default() })
}

/// A side of a book as levels; of a ticker as three values. What is wrong with either is kept until it matters.
fn read_side(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
    payload: &mut Payload,
) -> Result<[Token; 3], JsonError> {
    if scanner.peek() != Some(b'[') {
        payload.book_fault = Some(Reject::new(RejectReason::BadField, field));
        return scanner.value().map(|_| [Token::default(); 3]);
    }
    let newest = &mut payload.newest;
    if read_plain(scanner, frame, levels, |at, levels| usual_first::side(at, levels, newest)) {
        return Ok([Token::default(); 3]);
    }
    let mark = scanner.mark();
    match read_levels(scanner, frame, field, levels, newest) {
        Ok(()) => Ok([Token::default(); 3]),
        Err(fault) => {
            payload.book_fault = Some(fault);
            scanner.rewind(mark);
            read_values(scanner)
        }
    }
}

fn book<'a>(
    frame: &'a str,
    payloads: &[Token],
    payload: &Payload,
    symbol: &'a str,
    levels: &'a Levels,
) -> Result<BookMsg<'a>, Reject> {
    check_objects(payloads)?;
    if let Some(fault) = payload.book_fault {
        return Err(fault);
    }
    let action = match (payload.is_snapshot, payload.is_change) {
        (true, false) => BookAction::Snapshot,
        (false, true) => BookAction::Delta,
        (false, false) => return Err(Reject::new(RejectReason::MissingField, "a")),
        (true, true) => return Err(Reject::new(RejectReason::BadField, "as")),
    };
    Ok(BookMsg {
        symbol,
        exchange_ts: payload.newest,
        event_ts: None,
        action,
        bids: &levels.bids,
        asks: &levels.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: checksum(frame, payload.checksum, "c")?,
        replay: false,
    })
}

fn check_objects(payloads: &[Token]) -> Result<(), Reject> {
    let are_objects = payloads.iter().all(|payload| payload.kind == TokenKind::Object);
    if are_objects { Ok(()) } else { Err(Reject::new(RejectReason::BadField, "payload")) }
}

/// `[["price","volume","time"],..]`; a fourth element says that the level is sent again.
fn read_levels(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
    newest: &mut Option<UnixNanos>,
) -> Result<(), Reject> {
    let mut more = scanner.open_array()?;
    while more {
        let [price, size, time] = read_row(scanner, field)?;
        let level = LevelNum { price: number(frame, price, field)?, size: number(frame, size, field)? };
        push(levels, level, field)?;
        *newest = (*newest).max(seconds(frame, time, field)?);
        more = scanner.next_element()?;
    }
    Ok(())
}

/// `[["price","volume","time","b or s","m or l","misc"],..]`. Trades have no id. All are read, then handed out.
fn trades<'f>(
    frame: &'f str,
    payload: Token,
    symbol: &str,
    trades: &mut Vec<HeldTrade>,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    if payload.kind != TokenKind::Array {
        return Err(Reject::new(RejectReason::BadField, "trade"));
    }
    trades.clear();
    let mut scanner = scanner_at(frame, payload)?;
    let mut more = scanner.open_array()?;
    while more {
        if trades.len() == ITEMS_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "trade"));
        }
        let [price, size, time, taker] = read_row(&mut scanner, "trade")?;
        let trade = TradeMsg {
            symbol: "",
            exchange_ts: seconds(frame, time, "time")?,
            event_ts: None,
            price: number(frame, price, "price")?,
            size: number(frame, size, "volume")?,
            side: side(frame, taker)?,
            id: TradeId::None,
            seq: None,
            replay: false,
        };
        trades.push(HeldTrade { symbol: Token::default(), trade });
        more = scanner.next_element()?;
    }
    for held in &*trades {
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
    }
    Ok(Outcome::Messages(trades.len()))
}

/// `{"a":["price",whole lots,"volume"],"b":[..],..}`; no time.
fn ticker<'a>(
    frame: &'a str,
    payloads: &[Token],
    payload: &Payload,
    symbol: &'a str,
) -> Result<Option<QuoteMsg<'a>>, Reject> {
    check_objects(payloads)?;
    let ([bid, _, bid_size], [ask, _, ask_size]) = (payload.bid, payload.ask);
    quote(frame, symbol, None, [bid, bid_size], [ask, ask_size])
}

/// `["bid","ask","time","bid volume","ask volume"]`.
fn read_spread<'a>(frame: &'a str, payload: Token, symbol: &'a str) -> Result<Option<QuoteMsg<'a>>, Reject> {
    if payload.kind != TokenKind::Array {
        return Err(Reject::new(RejectReason::BadField, "spread"));
    }
    let mut scanner = scanner_at(frame, payload)?;
    let [bid, ask, time, bid_size, ask_size] = read_row(&mut scanner, "spread")?;
    quote(frame, symbol, seconds(frame, time, "time")?, [bid, bid_size], [ask, ask_size])
}

/// `None` when it has neither price.
fn quote<'a>(
    frame: &'a str,
    symbol: &'a str,
    exchange_ts: Option<UnixNanos>,
    bid: [Token; 2],
    ask: [Token; 2],
) -> Result<Option<QuoteMsg<'a>>, Reject> {
    let read = |token, field| -> Result<Option<Num>, Reject> { optional_number(frame, token, field) };
    let (best_bid, best_ask) = (read(bid[0], "bid")?, read(ask[0], "ask")?);
    let quote = QuoteMsg {
        symbol,
        exchange_ts,
        event_ts: None,
        bid: best_bid,
        bid_size: read(bid[1], "bid volume")?,
        ask: best_ask,
        ask_size: read(ask[1], "ask volume")?,
        seq: None,
        replay: false,
    };
    Ok((best_bid.is_some() || best_ask.is_some()).then_some(quote))
}

/// The elements of a list; those that are not there stay absent, those behind are skipped.
fn read_row<const N: usize>(scanner: &mut Scanner<'_>, field: &'static str) -> Result<[Token; N], Reject> {
    if scanner.peek() != Some(b'[') {
        return Err(Reject::new(RejectReason::BadField, field));
    }
    Ok(read_values(scanner)?)
}

fn read_values<const N: usize>(scanner: &mut Scanner<'_>) -> Result<[Token; N], JsonError> {
    let mut row = [Token::default(); N];
    let mut at = 0;
    let mut more = scanner.open_array()?;
    while more {
        let value = scanner.value()?;
        if let Some(slot) = row.get_mut(at) {
            *slot = value;
        }
        at += 1;
        more = scanner.next_element()?;
    }
    Ok(row)
}

/// Seconds with decimals, as a text or a number; absent, `null` or an empty text: none.
fn seconds(frame: &str, token: Token, field: &'static str) -> Result<Option<UnixNanos>, Reject> {
    let is_empty = token.kind == TokenKind::String && token.len == 0;
    match token.kind {
        TokenKind::Absent | TokenKind::Null => Ok(None),
        _ if is_empty => Ok(None),
        TokenKind::String | TokenKind::Number => {
            unix_seconds(token.bytes(frame)).map(Some).ok_or(Reject::new(RejectReason::BadTime, field))
        }
        _ => Err(Reject::new(RejectReason::BadTime, field)),
    }
}

/// Back at a value that the walk has passed.
fn scanner_at(frame: &str, token: Token) -> Result<Scanner<'_>, Reject> {
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((token.start as usize, 0));
    Ok(scanner)
}
