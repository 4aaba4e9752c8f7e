//! The first protocol as it is usually printed; see `usual.rs`.

use super::usual::{end, push, symbol};
use super::wire::{HeldTrade, ITEMS_MAX, Levels, Lists};
use crate::cursor::Cursor;
use crate::message::{BookMsg, LevelNum, Message, MessageSink, Num, QuoteMsg, TradeMsg};
use crate::scan::Token;
use crate::time_text::unix_seconds;
use feedd_model::{BookAction, Side, TradeId, UnixNanos};

/// From the channel's id on.
#[inline]
pub(super) fn decode(mut at: Cursor<'_>, frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    at.integer()?;
    if at.take(br#",[["#) {
        return trades(at, frame, &mut lists.trades, out);
    }
    if at.take(br#",[""#) {
        return spread(at, frame, out);
    }
    at.need(br#",{""#)?;
    objects(at, frame, &mut lists.levels, out)
}

/// What the objects of a frame say: a book, whose levels lie in [`Levels`], or a ticker. Only the name behind them tells.
#[derive(Default)]
struct Payload {
    is_snapshot: bool,
    is_change: bool,
    /// Holds what no book does.
    is_odd: bool,
    newest: Option<UnixNanos>,
    checksum: Option<u32>,
    ask: Option<[Num; 2]>,
    bid: Option<[Num; 2]>,
}

/// From the first object's first key on.
fn objects(mut at: Cursor<'_>, frame: &str, levels: &mut Levels, out: &mut dyn MessageSink) -> Option<usize> {
    levels.clear();
    let mut payload = Payload::default();
    payload.read(&mut at, levels)?;
    if at.take(br#",{""#) {
        payload.read(&mut at, levels)?;
    }
    at.need(br#",""#)?;
    let name = at.string()?;
    let symbol = pair(&mut at)?;
    if name == "ticker" {
        return show_quote(frame, symbol, None, payload.bid?, payload.ask?, out);
    }
    let is_book = name == "book" || name.starts_with("book-");
    if !is_book || payload.is_odd || payload.is_snapshot == payload.is_change {
        return None;
    }
    let book = BookMsg {
        symbol,
        exchange_ts: payload.newest,
        event_ts: None,
        action: if payload.is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
        bids: &levels.bids,
        asks: &levels.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum: payload.checksum,
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Some(1)
}

impl Payload {
    /// An object, from its first key up to its brace.
    #[inline]
    fn read(&mut self, at: &mut Cursor<'_>, levels: &mut Levels) -> Option<()> {
        loop {
            match at.peek()? {
                b'a' if at.take(br#"a":"#) => self.ask = self.change(at, &mut levels.asks)?,
                b'b' if at.take(br#"b":"#) => self.bid = self.change(at, &mut levels.bids)?,
                b'c' if at.take(br#"c":""#) => {
                    self.checksum = Some(u32::try_from(at.integer()?).ok()?);
                    at.need(br#"""#)?;
                }
                b'a' if at.take(br#"as":"#) => {
                    self.is_snapshot = true;
                    side(at, &mut levels.asks, &mut self.newest)?;
                }
                b'b' if at.take(br#"bs":"#) => {
                    self.is_snapshot = true;
                    side(at, &mut levels.bids, &mut self.newest)?;
                }
                _ => {
                    self.is_odd = true;
                    pair_of_values(at)?;
                }
            }
            if !at.take(br#",""#) {
                return at.need(b"}");
            }
        }
    }

    /// A side of a book, whose levels are kept, or of a ticker.
    #[inline(always)]
    fn change(&mut self, at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>) -> Option<Option<[Num; 2]>> {
        if at.take(br#"[""#) {
            self.is_odd = true;
            return price_and_size(at).map(Some);
        }
        self.is_change = true;
        side(at, levels, &mut self.newest)?;
        Some(None)
    }
}

/// `[["price","volume","time"],..]`. What `newest` is when it is no such list has no meaning.
#[inline(always)]
pub(super) fn side(at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>, newest: &mut Option<UnixNanos>) -> Option<()> {
    at.need(b"[")?;
    if at.take(b"]") {
        return Some(());
    }
    loop {
        at.need(br#"[""#)?;
        let price = at.decimal()?;
        at.need(br#",""#)?;
        let size = at.decimal()?;
        at.need(br#",""#)?;
        *newest = (*newest).max(Some(time(at)?));
        // Sent again, because it moved into the depth that was asked for.
        at.take(br#","r""#);
        push(levels, price, size)?;
        if !at.take(b"],") {
            return at.need(b"]]");
        }
    }
}

/// From the first trade on.
fn trades(mut at: Cursor<'_>, frame: &str, trades: &mut Vec<HeldTrade>, out: &mut dyn MessageSink) -> Option<usize> {
    trades.clear();
    loop {
        if trades.len() == ITEMS_MAX {
            return None;
        }
        trades.push(HeldTrade { symbol: Token::default(), trade: one_trade(&mut at)? });
        if !at.take(b",[") {
            break;
        }
    }
    at.need(br#"],"trade""#)?;
    let symbol = pair(&mut at)?;
    for held in &*trades {
        out.message(frame, &Message::Trade(TradeMsg { symbol, ..held.trade }));
    }
    Some(trades.len())
}

/// Without its symbol, which stands behind all trades.
#[inline(always)]
fn one_trade(at: &mut Cursor<'_>) -> Option<TradeMsg<'static>> {
    at.need(br#"""#)?;
    let price = at.decimal()?;
    at.need(br#",""#)?;
    let size = at.decimal()?;
    at.need(br#",""#)?;
    let time = time(at)?;
    let side = if at.take(br#","b",""#) {
        Side::Buy
    } else {
        at.need(br#","s",""#)?;
        Side::Sell
    };
    at.skip_string()?;
    at.need(br#",""#)?;
    at.skip_string()?;
    at.need(b"]")?;
    Some(TradeMsg {
        symbol: "",
        exchange_ts: Some(time),
        event_ts: None,
        price,
        size,
        side: Some(side),
        id: TradeId::None,
        seq: None,
        replay: false,
    })
}

/// `price",whole lots,"volume"]`.
#[inline(always)]
fn price_and_size(at: &mut Cursor<'_>) -> Option<[Num; 2]> {
    let price = at.decimal()?;
    at.need(b",")?;
    at.integer()?; // Whole lots.
    at.need(br#",""#)?;
    let size = at.decimal()?;
    at.need(b"]")?;
    Some([price, size])
}

/// What else a ticker says, for today and for 24 hours: `"v":["1","2"]`, `"t":[640,1353]`. From the key's letter on.
#[inline(always)]
fn pair_of_values(at: &mut Cursor<'_>) -> Option<()> {
    at.short_key()?;
    at.need(b"[")?;
    at.plain_value()?;
    at.need(b",")?;
    at.plain_value()?;
    at.need(b"]")
}

/// From the bid on.
fn spread(mut at: Cursor<'_>, frame: &str, out: &mut dyn MessageSink) -> Option<usize> {
    let bid = at.decimal()?;
    at.need(br#",""#)?;
    let ask = at.decimal()?;
    at.need(br#",""#)?;
    let time = time(&mut at)?;
    at.need(br#",""#)?;
    let bid_size = at.decimal()?;
    at.need(br#",""#)?;
    let ask_size = at.decimal()?;
    at.need(br#"],"spread""#)?;
    let symbol = pair(&mut at)?;
    show_quote(frame, symbol, Some(time), [bid, bid_size], [ask, ask_size], out)
}

fn show_quote(
    frame: &str,
    symbol: &str,
    exchange_ts: Option<UnixNanos>,
    bid: [Num; 2],
    ask: [Num; 2],
    out: &mut dyn MessageSink,
) -> Option<usize> {
    let quote = QuoteMsg {
        symbol,
        exchange_ts,
        event_ts: None,
        bid: Some(bid[0]),
        bid_size: Some(bid[1]),
        ask: Some(ask[0]),
        ask_size: Some(ask[1]),
        seq: None,
        replay: false,
    };
    out.message(frame, &Message::Quote(quote));
    Some(1)
}

/// The pair and the end of the frame.
#[inline(always)]
fn pair<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.need(br#",""#)?;
    let pair = symbol(at)?;
    end(at, b"]")?;
    Some(pair)
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    unix_seconds(at.string()?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed as the venue prints it is read here: without this the way would be right and of no use.
    #[test]
    fn every_channel_s_frames_are_taken() {
        let cases = [
            (
                "snapshot",
                1,
                r#"[320,{"as":[["39090.60000","0.00007039","1622714245.847093"]],"bs":[["39071.4","7.9","1622714255.963942"],["39071","1","1622714255.9"]]},"book-25","XBT/USD"]"#,
            ),
            ("empty snapshot", 1, r#"[320,{"as":[],"bs":[]},"book-25","XBT/USD"]"#),
            (
                "change",
                1,
                r#"[992,{"b":[["354.15","5.0","1618678133.365913","r"]],"c":"2583817756"},"book-1000","XMR/USD"]"#,
            ),
            (
                "change of both sides",
                1,
                r#"[1920,{"a":[["0.042990","364630.2","1618678145.920470"]]},{"b":[["0.042990","0","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]"#,
            ),
            (
                "trades",
                2,
                r#"[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""],["57126","1","1616333925","s","l","x"]],"trade","XBT/USD"]"#,
            ),
            (
                "ticker",
                1,
                r#"[1668,{"a":["13.2539",35,"35.72892241"],"b":["13.2329",0,"0.18432037"],"c":["13.2539","3.71672"],"v":["1","2"],"p":["13.5","13.7"],"t":[640,1353],"l":["13.0","13.0"],"h":["13.9","14.2"],"o":["13.8","13.4"]},"ticker","WAVES/EUR"]"#,
            ),
            (
                "spread",
                1,
                r#"[7,["5698.4","5700.0","1542057299.545897","1.01234567","0.98765432"],"spread","XBT/USD"]"#,
            ),
            (
                "change, turned round",
                1,
                r#"[992,{"c":"2583817756","b":[["354.15","5.0","1618678133.365913","r"]]},"book-1000","XMR/USD"]"#,
            ),
            (
                "ticker, turned round",
                1,
                r#"[1668,{"o":["13.8","13.4"],"t":[640,1353],"c":["13.2539","3.71672"],"b":["13.2329",0,"0.18432037"],"a":["13.2539",35,"35.72892241"]},"ticker","WAVES/EUR"]"#,
            ),
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let mut sink = |_: &str, _: &Message<'_>| messages += 1;
            let taken = super::super::usual::decode(frame, &mut Lists::default(), &mut sink);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
