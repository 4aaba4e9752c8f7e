//! `orderBookL2` and `orderBookL2_25`: levels as rows, the change of a level by its id.
//!
//! Source: recorded frames: those of 2021 have no time, and their changes and removals no price; a removal of 2023 has both,
//! and the size it had. A change before the partial has no meaning yet, and public clients tell of changes of ids that had
//! gone: a frame that names an id of unknown price is unknown as a whole. The time of a frame is that of its newest row.

use super::Action;
use super::ids::{Books, Change, PRICE_BYTES_MAX, Price};
use super::parse::{is_none, side};
use super::wire::{Row, Wire};
use crate::decoder::{Label, Outcome, Reject, RejectReason};
use crate::fields::{integer, number};
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num};
use crate::names::symbol;
use crate::scan::{Token, TokenKind};
use crate::time_text::optional_rfc3339;
use feedd_model::{BookAction, Decimal, Side, UnixNanos};
use std::ops::Range;

/// Longest symbol of a book: it is kept.
const SYMBOL_BYTES_MAX: usize = 128;

/// Reads levels, and knows the prices of their ids.
#[derive(Debug, Default)]
pub(super) struct Depth {
    books: Books,
    /// Places of the rows, those of a symbol together.
    order: Vec<usize>,
    groups: Vec<Group>,
    levels: Vec<Level>,
    /// The numbers of changes and removals: prices and zeros that do not stand in the frame.
    text: String,
    bids: Vec<LevelNum>,
    asks: Vec<LevelNum>,
    /// A symbol that was escaped.
    symbol: String,
}

/// The rows of one symbol.
#[derive(Clone, Debug)]
struct Group {
    symbol: Token,
    /// In [`Depth::order`].
    rows: Range<usize>,
    /// In [`Depth::levels`].
    levels: Range<usize>,
    time: Option<UnixNanos>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    id: i64,
    side: Side,
    level: LevelNum,
}

impl Depth {
    /// The rows of one of the two tables.
    pub(super) fn decode<'f>(
        &mut self,
        conn: &str,
        frame: &'f str,
        (table, action): (&'f str, Action),
        wire: &Wire,
        rows: &[Row],
        out: &mut dyn MessageSink,
    ) -> Result<Outcome<'f>, Reject> {
        self.group(frame, action, wire, rows);
        self.levels.clear();
        self.text.clear();
        for at in 0..self.groups.len() {
            if !self.resolve(at, (conn, table), frame, action, rows)? {
                let field = if table == "orderBookL2" { "orderBookL2" } else { "orderBookL2_25" };
                return Ok(Outcome::Unknown(Label { field, name: Some("id without price") }));
            }
        }
        for at in 0..self.groups.len() {
            self.hand_out(at, (conn, table), frame, action, out)?;
        }
        Ok(Outcome::Messages(self.groups.len()))
    }

    /// Brings the rows of each symbol together, the symbols in the order of their first rows. A partial without rows is
    /// an empty book.
    fn group(&mut self, frame: &str, action: Action, wire: &Wire, rows: &[Row]) {
        let name = |at: &usize| rows.get(*at).map_or(&b""[..], |row| row.symbol.bytes(frame));
        let group = |symbol, rows| Group { symbol, rows, levels: 0..0, time: None };
        self.groups.clear();
        self.order.clear();
        self.order.extend(0..rows.len());
        let Some(first) = rows.first() else {
            if action == Action::Partial && wire.filter_symbol.kind == TokenKind::String {
                self.groups.push(group(wire.filter_symbol, 0..0));
            }
            return;
        };
        if self.order.iter().all(|at| name(at) == name(&0)) {
            self.groups.push(group(first.symbol, 0..rows.len()));
            return;
        }
        self.order.sort_unstable_by(|a, b| name(a).cmp(name(b)).then(a.cmp(b)));
        let mut start = 0;
        for run in self.order.chunk_by(|a, b| name(a) == name(b)) {
            let symbol = run.first().and_then(|&at| rows.get(at)).map_or(Token::default(), |row| row.symbol);
            self.groups.push(group(symbol, start..start + run.len()));
            start += run.len();
        }
        let order = &self.order;
        self.groups.sort_unstable_by_key(|group| order.get(group.rows.start).copied());
    }

    /// Finds the prices of a group; false when one is not known.
    fn resolve(
        &mut self,
        at: usize,
        (conn, table): (&str, &str),
        frame: &str,
        action: Action,
        rows: &[Row],
    ) -> Result<bool, Reject> {
        let Some(group) = self.groups.get_mut(at) else { return Ok(true) };
        let symbol = symbol(frame, group.symbol, "symbol", &mut self.symbol)?;
        if symbol.len() > SYMBOL_BYTES_MAX {
            return Err(Reject::new(RejectReason::BadField, "symbol"));
        }
        let is_whole = matches!(action, Action::Partial | Action::Insert);
        let book = if is_whole { None } else { self.books.find((conn, table, symbol)) };
        let start = self.levels.len();
        for row in self.order.get(group.rows.clone()).unwrap_or_default().iter().filter_map(|&at| rows.get(at)) {
            group.time = group.time.max(optional_rfc3339(frame, row.time, "timestamp")?);
            let id = integer(frame, row.id, "id")?;
            let side = side(frame, row.side)?;
            let level = if is_whole {
                LevelNum { price: price(frame, row.price)?, size: number(frame, row.size, "size")? }
            } else if action == Action::Update && is_none(row.size) {
                continue; // Something else of the level has changed.
            } else {
                let price = if is_none(row.price) {
                    let known = book.and_then(|book| self.books.price(book, id)).map(Price::text);
                    match known.and_then(|text| push(&mut self.text, text)) {
                        Some(price) => price,
                        None => return Ok(false),
                    }
                } else {
                    copied(&mut self.text, frame, price(frame, row.price)?)?
                };
                let size = if action == Action::Delete {
                    push(&mut self.text, "0").ok_or(TOO_LARGE)?
                } else {
                    copied(&mut self.text, frame, number(frame, row.size, "size")?)?
                };
                LevelNum { price, size }
            };
            self.levels.push(Level { id, side, level });
        }
        group.levels = start..self.levels.len();
        Ok(true)
    }

    fn hand_out(
        &mut self,
        at: usize,
        (conn, table): (&str, &str),
        frame: &str,
        action: Action,
        out: &mut dyn MessageSink,
    ) -> Result<(), Reject> {
        let Some(group) = self.groups.get(at) else { return Ok(()) };
        let levels = self.levels.get(group.levels.clone()).unwrap_or_default();
        self.bids.clear();
        self.asks.clear();
        for level in levels {
            let side = if level.side == Side::Buy { &mut self.bids } else { &mut self.asks };
            side.push(level.level);
        }
        let symbol = symbol(frame, group.symbol, "symbol", &mut self.symbol)?;
        let message = Message::Book(BookMsg {
            symbol,
            exchange_ts: group.time,
            event_ts: None,
            action: if action == Action::Partial { BookAction::Snapshot } else { BookAction::Delta },
            bids: &self.bids,
            asks: &self.asks,
            seq_first: None,
            seq_last: None,
            seq_prev: None,
            checksum: None,
            replay: false,
        });
        let text = if matches!(action, Action::Partial | Action::Insert) { frame } else { &self.text };
        out.message(text, &message);
        let change = match action {
            Action::Partial => Change::Replace,
            Action::Insert | Action::Update => Change::Add,
            Action::Delete => Change::Remove,
        };
        let prices = levels.iter().filter_map(|level| Some((level.id, Price::new(level.level.price.text(text))?)));
        self.books.apply((conn, table, symbol), change, prices);
        Ok(())
    }
}

const TOO_LARGE: Reject = Reject::new(RejectReason::TooLarge, "data");

/// A price that can be kept.
fn price(frame: &str, token: Token) -> Result<Num, Reject> {
    let price = number(frame, token, "price")?;
    if price.len as usize > PRICE_BYTES_MAX {
        return Err(Reject::new(RejectReason::NumberOutOfRange, "price"));
    }
    Ok(price)
}

/// The number of `num`, at the end of `text`.
fn copied(text: &mut String, frame: &str, num: Num) -> Result<Num, Reject> {
    let start = u32::try_from(text.len()).map_err(|_| TOO_LARGE)?;
    text.push_str(num.text(frame));
    Ok(Num { start, ..num })
}

/// A number at the end of `text`; `None` when it is none.
fn push(text: &mut String, number: &str) -> Option<Num> {
    let (start, len) = (u32::try_from(text.len()).ok()?, u32::try_from(number.len()).ok()?);
    let value = Decimal::parse(number.as_bytes()).ok()?;
    text.push_str(number);
    Some(Num { value, start, len })
}
