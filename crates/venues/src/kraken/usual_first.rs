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
    at.need(br#",{"#)?;
    if at.take(br#""a":[""#) {
        return ticker(at, frame, out);
    }
    book(at, frame, &mut lists.levels, out)
}

/// From the first object's first key on.
fn book(mut at: Cursor<'_>, frame: &str, levels: &mut Levels, out: &mut dyn MessageSink) -> Option<usize> {
    levels.clear();
    let mut newest = None;
    let mut checksum = None;
    let is_snapshot = at.take(br#""as":"#);
    if is_snapshot {
        side(&mut at, &mut levels.asks, &mut newest)?;
        at.need(br#","bs":"#)?;
        side(&mut at, &mut levels.bids, &mut newest)?;
        at.need(br#"},""#)?;
    } else {
        change(&mut at, levels, &mut newest, &mut checksum)?;
        if at.take(b"{") {
            change(&mut at, levels, &mut newest, &mut checksum)?;
        }
        at.need(br#"""#)?;
    }
    let name = at.string()?;
    if name != "book" && !name.starts_with("book-") {
        return None;
    }
    let symbol = pair(&mut at)?;
    let book = BookMsg {
        symbol,
        exchange_ts: newest,
        event_ts: None,
        action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
        bids: &levels.bids,
        asks: &levels.asks,
        seq_first: None,
        seq_last: None,
        seq_prev: None,
        checksum,
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Some(1)
}

/// One object, up to what follows its comma.
#[inline(always)]
fn change(
    at: &mut Cursor<'_>,
    levels: &mut Levels,
    newest: &mut Option<UnixNanos>,
    checksum: &mut Option<u32>,
) -> Option<()> {
    if at.take(br#""a":"#) {
        side(at, &mut levels.asks, newest)?;
    } else {
        at.need(br#""b":"#)?;
        side(at, &mut levels.bids, newest)?;
    }
    if at.take(br#","c":""#) {
        *checksum = Some(u32::try_from(at.integer()?).ok()?);
        at.need(br#"""#)?;
    }
    at.need(b"},")
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
    at.string()?;
    at.need(br#",""#)?;
    at.string()?;
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

/// From the ask's price on.
fn ticker(mut at: Cursor<'_>, frame: &str, out: &mut dyn MessageSink) -> Option<usize> {
    let [ask, ask_size] = price_and_size(&mut at)?;
    at.need(br#","b":[""#)?;
    let [bid, bid_size] = price_and_size(&mut at)?;
    two_texts(&mut at, br#","c":[""#)?;
    two_texts(&mut at, br#","v":[""#)?;
    two_texts(&mut at, br#","p":[""#)?;
    at.need(br#","t":["#)?;
    at.integer()?;
    at.need(b",")?;
    at.integer()?;
    at.need(b"]")?;
    two_texts(&mut at, br#","l":[""#)?;
    two_texts(&mut at, br#","h":[""#)?;
    two_texts(&mut at, br#","o":[""#)?;
    at.need(br#"},"ticker""#)?;
    let symbol = pair(&mut at)?;
    show_quote(frame, symbol, None, [bid, bid_size], [ask, ask_size], out)
}

/// `price",whole lots,"volume"]`.
#[inline(always)]
fn price_and_size(at: &mut Cursor<'_>) -> Option<[Num; 2]> {
    let price = at.decimal()?;
    at.need(b",")?;
    // No whole lot is a zero.
    if !at.take(b"0") {
        at.integer()?;
    }
    at.need(br#",""#)?;
    let size = at.decimal()?;
    at.need(b"]")?;
    Some([price, size])
}

#[inline(always)]
fn two_texts<const N: usize>(at: &mut Cursor<'_>, key: &[u8; N]) -> Option<()> {
    at.need(key)?;
    at.string()?;
    at.need(br#",""#)?;
    at.string()?;
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

    /// What is printed by the template is read by it: without this the way would be right and of no use.
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
        ];
        for (name, expected, frame) in cases {
            let mut messages = 0;
            let mut sink = |_: &str, _: &Message<'_>| messages += 1;
            let taken = super::super::usual::decode(frame, &mut Lists::default(), &mut sink);
            assert_eq!((taken, messages), (Some(expected), expected), "{name}");
        }
    }
}
