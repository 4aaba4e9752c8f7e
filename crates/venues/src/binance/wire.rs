//! Binance frames as sent: one walk over the text finds the fields, raw or inside `{"stream":..,"data":..}`.
//!
//! Hot path. The same letters mean other things in other events (`a` is an id, a price or a list), so a field is only a
//! [`Token`] here; `parse.rs` gives it a meaning once the event is known.

use crate::levels::{SideLevels, read_levels};
use crate::scan::{JsonError, Scanner, Token, TokenKind, unescape};

/// A frame after the walk.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wire {
    /// Stream name of the wrapper.
    pub(super) stream: Token,
    /// Whether the event stands in a wrapper, under `data`.
    wrapped: bool,
    /// Fields of the event.
    pub(super) fields: Fields,
    /// The payload when it is a list.
    pub(super) list: Option<Token>,
}

/// The fields that some event is made of, by their names on the wire. A duplicate key: the last one wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// `e`: event.
    pub(super) event: Token,
    /// `E`: when it was sent.
    pub(super) event_time: Token,
    /// `T`: when it happened.
    pub(super) time: Token,
    /// `s`: symbol.
    pub(super) symbol: Token,
    /// `t`: trade id.
    pub(super) trade_id: Token,
    /// `a`: aggregate trade id, best ask price, or ask levels.
    pub(super) a: Token,
    /// `A`: size at the best ask.
    pub(super) ask_size: Token,
    /// `b`: best bid price, or bid levels.
    pub(super) b: Token,
    /// `B`: size at the best bid.
    pub(super) bid_size: Token,
    /// `p`: price.
    pub(super) price: Token,
    /// `q`: size.
    pub(super) size: Token,
    /// `m`: the buyer is the maker.
    pub(super) buyer_is_maker: Token,
    /// `U`: first update id.
    pub(super) first_id: Token,
    /// `u`: last update id.
    pub(super) last_id: Token,
    /// `pu`: last update id of the message before.
    pub(super) prev_id: Token,
    /// `lastUpdateId` of a snapshot.
    pub(super) last_update_id: Token,
    /// `bids` of a snapshot.
    pub(super) bids: Token,
    /// `asks` of a snapshot.
    pub(super) asks: Token,
    /// `result` of an answer.
    pub(super) result: Token,
    /// `error` of an answer.
    pub(super) error: Token,
    /// `code` of an error answer.
    pub(super) code: Token,
    /// `msg` of an error answer.
    pub(super) msg: Token,
    /// `id` of an answer.
    pub(super) id: Token,
}

impl Fields {
    #[inline]
    fn slot(&mut self, key: &[u8]) -> Option<&mut Token> {
        Some(match key {
            [letter] => match letter {
                b'e' => &mut self.event,
                b'E' => &mut self.event_time,
                b'T' => &mut self.time,
                b's' => &mut self.symbol,
                b't' => &mut self.trade_id,
                b'a' => &mut self.a,
                b'A' => &mut self.ask_size,
                b'b' => &mut self.b,
                b'B' => &mut self.bid_size,
                b'p' => &mut self.price,
                b'q' => &mut self.size,
                b'm' => &mut self.buyer_is_maker,
                b'U' => &mut self.first_id,
                b'u' => &mut self.last_id,
                _ => return None,
            },
            b"pu" => &mut self.prev_id,
            b"lastUpdateId" => &mut self.last_update_id,
            b"bids" => &mut self.bids,
            b"asks" => &mut self.asks,
            b"result" => &mut self.result,
            b"error" => &mut self.error,
            b"code" => &mut self.code,
            b"msg" => &mut self.msg,
            b"id" => &mut self.id,
            _ => return None,
        })
    }
}

/// Both sides of the frame being read.
#[derive(Debug, Default)]
pub(super) struct DepthLevels {
    /// Under `b` or `bids`.
    pub(super) bids: SideLevels,
    /// Under `a` or `asks`.
    pub(super) asks: SideLevels,
}

impl DepthLevels {
    fn side(&mut self, key: &[u8]) -> Option<(&mut SideLevels, &'static str)> {
        match key {
            b"b" => Some((&mut self.bids, "b")),
            b"bids" => Some((&mut self.bids, "bids")),
            b"a" => Some((&mut self.asks, "a")),
            b"asks" => Some((&mut self.asks, "asks")),
            _ => None,
        }
    }
}

/// Walks a whole frame.
pub(super) fn read_frame(frame: &str, wire: &mut Wire, levels: &mut DepthLevels) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(frame)?;
    match scanner.peek() {
        Some(b'{') => read_object(&mut scanner, frame, wire, levels)?,
        Some(b'[') => wire.list = Some(scanner.value()?),
        _ => {
            scanner.value()?;
        }
    }
    scanner.end()
}

/// The outermost object. With `data` in it, only `stream` and `data` count.
fn read_object(
    scanner: &mut Scanner<'_>,
    frame: &str,
    wire: &mut Wire,
    levels: &mut DepthLevels,
) -> Result<(), JsonError> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        match plain_key(frame, key) {
            b"stream" => wire.stream = scanner.value()?,
            b"data" => read_data(scanner, frame, wire, levels)?,
            _ if wire.wrapped => {
                scanner.value()?;
            }
            key => read_member(scanner, frame, key, &mut wire.fields, levels)?,
        }
        more = scanner.next_member()?;
    }
    Ok(())
}

fn read_data(
    scanner: &mut Scanner<'_>,
    frame: &str,
    wire: &mut Wire,
    levels: &mut DepthLevels,
) -> Result<(), JsonError> {
    wire.fields = Fields::default();
    wire.list = None;
    wire.wrapped = true;
    match scanner.peek() {
        Some(b'{') => read_fields(scanner, frame, &mut wire.fields, levels),
        Some(b'[') => {
            wire.list = Some(scanner.value()?);
            Ok(())
        }
        _ => scanner.value().map(|_| ()),
    }
}

/// The fields of one event.
pub(super) fn read_fields(
    scanner: &mut Scanner<'_>,
    frame: &str,
    fields: &mut Fields,
    levels: &mut DepthLevels,
) -> Result<(), JsonError> {
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        read_member(scanner, frame, plain_key(frame, key), fields, levels)?;
        more = scanner.next_member()?;
    }
    Ok(())
}

#[inline]
fn read_member(
    scanner: &mut Scanner<'_>,
    frame: &str,
    key: &[u8],
    fields: &mut Fields,
    levels: &mut DepthLevels,
) -> Result<(), JsonError> {
    let token = if scanner.peek() == Some(b'[') { read_list(scanner, frame, key, levels)? } else { scanner.value()? };
    if let Some(slot) = fields.slot(key) {
        *slot = token;
    }
    Ok(())
}

/// A list: of levels when the key says so. What turns out to be something else is skipped and its fault kept.
fn read_list(scanner: &mut Scanner<'_>, frame: &str, key: &[u8], levels: &mut DepthLevels) -> Result<Token, JsonError> {
    let Some((side, field)) = levels.side(key) else { return scanner.value() };
    let mark = scanner.mark();
    side.levels.clear();
    side.fault = None;
    match read_levels(scanner, frame, field, &mut side.levels) {
        Ok(()) => Ok(Token { kind: TokenKind::Array, ..Token::default() }),
        Err(fault) => {
            side.fault = Some(fault);
            scanner.rewind(mark);
            scanner.value()
        }
    }
}

/// A key's text; one with escapes is resolved to the name it spells.
#[inline]
fn plain_key(frame: &str, key: Token) -> &[u8] {
    if key.escaped { spelled_key(frame, key) } else { key.bytes(frame) }
}

/// No venue escapes its keys, but JSON allows it: `"\u0065"` is `"e"`.
#[cold]
fn spelled_key(frame: &str, key: Token) -> &'static [u8] {
    let mut name = String::new();
    if unescape(key.text(frame), &mut name).is_err() {
        return b"";
    }
    KEYS.iter().find(|known| **known == name).map_or(b"", |known| known.as_bytes())
}

/// Every key that has a meaning here.
const KEYS: [&str; 25] = [
    "stream",
    "data",
    "e",
    "E",
    "T",
    "s",
    "t",
    "a",
    "A",
    "b",
    "B",
    "p",
    "q",
    "m",
    "U",
    "u",
    "pu",
    "lastUpdateId",
    "bids",
    "asks",
    "result",
    "error",
    "code",
    "msg",
    "id",
];
