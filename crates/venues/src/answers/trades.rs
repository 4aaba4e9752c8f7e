//! Lists of trades as REST sends them: objects under their names, or lists by place.

use crate::decoder::{Reject, RejectReason};
use crate::fields::{number, optional_seq};
use crate::message::{Message, MessageSink, TradeMsg};
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};
use crate::trade_ids::trade_id;
use feedd_model::{Side, TradeId, UnixNanos};

/// Most trades of an answer; venues send up to 1,000.
const TRADES_MAX: usize = 1 << 14;

/// Places in [`Shape::names`].
const PRICE: usize = 0;
const SIZE: usize = 1;
const ID: usize = 2;
const TIME: usize = 3;
const SIDE: usize = 4;
const SEQ: usize = 5;
const FIELDS: usize = 6;

/// How a venue sends its list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Names of the members that lead to the list, `*` for the first one that holds a list; none: it is the whole answer.
    pub(crate) list: &'static [&'static str],
    /// Names of price, size, id, time, side and sequence number in each element; an empty one is not read.
    pub(crate) names: [&'static str; FIELDS],
    /// The places of these where an element is a list.
    pub(crate) places: Option<[usize; FIELDS]>,
    /// Reads the time.
    pub(crate) time: fn(&str, Token, &'static str) -> Result<Option<UnixNanos>, Reject>,
    /// Reads the taker's side.
    pub(crate) side: fn(&str, Token) -> Result<Option<Side>, Reject>,
}

/// Hands the trades of an answer out, in the order sent, when all of them are good, and says how many. `None`: no such list
/// is there, so it is another answer.
pub(super) fn decode(
    frame: &str,
    shape: &Shape,
    symbol: &str,
    held: &mut Vec<TradeMsg<'static>>,
    out: &mut dyn MessageSink,
) -> Result<Option<usize>, Reject> {
    let Some(list) = find_list(frame, shape.list)? else { return Ok(None) };
    held.clear();
    let mut scanner = at(frame, list)?;
    let mut more = scanner.open_array()?;
    while more {
        if held.len() == TRADES_MAX {
            return Err(Reject::new(RejectReason::TooLarge, "trades"));
        }
        let fields = read_element(&mut scanner, frame, shape)?;
        held.push(trade(frame, shape, &fields)?);
        more = scanner.next_element()?;
    }
    for trade in &*held {
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..*trade }));
    }
    Ok(Some(held.len()))
}

/// A scanner in front of a value that has been read before.
fn at(frame: &str, token: Token) -> Result<Scanner<'_>, JsonError> {
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((token.start as usize, 0));
    Ok(scanner)
}

fn find_list(frame: &str, path: &[&str]) -> Result<Option<Token>, JsonError> {
    let mut scanner = Scanner::new(frame)?;
    let mut found = scanner.value()?;
    // All of it must be JSON.
    scanner.end()?;
    for name in path {
        if found.kind != TokenKind::Object {
            return Ok(None);
        }
        found = member(frame, found, name)?;
    }
    Ok((found.kind == TokenKind::Array).then_some(found))
}

/// A member of an object; a duplicate key: the last one wins.
fn member(frame: &str, object: Token, name: &str) -> Result<Token, JsonError> {
    let mut scanner = at(frame, object)?;
    let mut found = Token::default();
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        let value = scanner.value()?;
        let is_it = match name {
            "*" => value.kind == TokenKind::Array && !found.is_present(),
            name => *key_name(frame, key) == *name.as_bytes(),
        };
        if is_it {
            found = value;
        }
        more = scanner.next_member()?;
    }
    Ok(found)
}

fn read_element(scanner: &mut Scanner<'_>, frame: &str, shape: &Shape) -> Result<[Token; FIELDS], Reject> {
    let mut fields = [Token::default(); FIELDS];
    match (scanner.peek(), shape.places) {
        (Some(b'{'), None) => {
            let mut more = scanner.open_object()?;
            while more {
                let key = scanner.key()?;
                let value = scanner.value()?;
                let key = key_name(frame, key);
                if let Some(at) = shape.names.iter().position(|name| !name.is_empty() && *key == *name.as_bytes()) {
                    fields[at] = value;
                }
                more = scanner.next_member()?;
            }
        }
        (Some(b'['), Some(places)) => {
            let mut place = 0;
            let mut more = scanner.open_array()?;
            while more {
                let value = scanner.value()?;
                if let Some(at) = places.iter().position(|&other| other == place) {
                    fields[at] = value;
                }
                place += 1;
                more = scanner.next_element()?;
            }
        }
        _ => return Err(Reject::new(RejectReason::BadField, "trades")),
    }
    Ok(fields)
}

fn trade(frame: &str, shape: &Shape, fields: &[Token; FIELDS]) -> Result<TradeMsg<'static>, Reject> {
    let names = &shape.names;
    let id = trade_id(frame, fields[ID], names[ID])?;
    // Only by its id a trade can be told from one that is known.
    if id == TradeId::None {
        return Err(Reject::new(RejectReason::MissingField, names[ID]));
    }
    let time = (shape.time)(frame, fields[TIME], names[TIME])?;
    Ok(TradeMsg {
        symbol: "",
        exchange_ts: Some(time.ok_or(Reject::new(RejectReason::MissingField, names[TIME]))?),
        event_ts: None,
        price: number(frame, fields[PRICE], names[PRICE])?,
        size: number(frame, fields[SIZE], names[SIZE])?,
        side: (shape.side)(frame, fields[SIDE])?,
        id,
        seq: optional_seq(frame, fields[SEQ], names[SEQ])?,
        replay: false,
    })
}
