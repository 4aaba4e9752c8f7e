//! Frames with their keys in the order that Binance sends them, in all four markets: most of what arrives.
//!
//! Hot path: read along the template, straight into the message. The first deviation, whatever it is, gives `None` and
//! hands nothing out; the frame is then read from its front by the walk that takes any order (`plain.rs`), and after it by
//! the general way. tests/usual_order.rs checks that nobody can tell the ways apart.

use super::wire::DepthLevels;
use super::{DepthStream, depth_stream};
use crate::cursor::Cursor;
use crate::fields::time_of;
use crate::levels::read_plain_levels;
use crate::message::{BookMsg, Message, MessageSink, QuoteMsg, TradeMsg};
use feedd_model::{BookAction, Side, TradeId, UnixNanos, VenueSeq};

/// Hands out the message of a frame; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(frame: &str, levels: &mut DepthLevels, out: &mut dyn MessageSink) -> Option<()> {
    let mut at = Cursor::new(frame, 0)?;
    let stream = if at.take(br#"{"stream":""#) {
        let stream = at.string()?;
        at.need(br#","data":{"#)?;
        Some(stream)
    } else {
        at.need(b"{")?;
        None
    };
    let is_wrapped = stream.is_some();
    if at.take(br#""u":"#) {
        return quote(at, frame, is_wrapped, out);
    }
    at.need(br#""e":""#)?;
    if at.take(br#"depthUpdate","E":"#) {
        return depth(at, frame, stream, levels, out);
    }
    if at.take(br#"bookTicker","u":"#) {
        return quote(at, frame, is_wrapped, out);
    }
    let is_aggregate = !at.take(br#"trade","E":"#);
    if is_aggregate {
        at.need(br#"aggTrade","E":"#)?;
    }
    trade(at, frame, is_wrapped, is_aggregate, out)
}

/// From the event time on. Spot states the time behind the size, futures' `trade` before the symbol; futures' `aggTrade`
/// has its id before the symbol.
#[inline]
fn trade(
    mut at: Cursor<'_>,
    frame: &str,
    is_wrapped: bool,
    is_aggregate: bool,
    out: &mut dyn MessageSink,
) -> Option<()> {
    let event_ts = time(&mut at)?;
    let mut exchange_ts = if at.take(br#","T":"#) { Some(time(&mut at)?) } else { None };
    let early_id = if is_aggregate && at.take(br#","a":"#) { Some(at.integer()?) } else { None };
    let symbol = symbol(&mut at)?;
    let id = match early_id {
        Some(id) => id,
        None if is_aggregate => after(&mut at, br#","a":"#)?,
        None => after(&mut at, br#","t":"#)?,
    };
    at.need(br#","p":""#)?;
    let price = at.decimal()?;
    at.need(br#","q":""#)?;
    let size = at.decimal()?;
    if is_aggregate {
        if at.take(br#","nq":""#) {
            at.skip_string()?;
        }
        after(&mut at, br#","f":"#)?;
        after(&mut at, br#","l":"#)?;
    } else if at.take(br#","X":""#) {
        at.skip_string()?;
    }
    if exchange_ts.is_none() {
        at.need(br#","T":"#)?;
        exchange_ts = Some(time(&mut at)?);
    }
    // `m`: the buyer is the maker, so the taker sold.
    let side = if at.take(br#","m":true"#) {
        Side::Sell
    } else {
        at.need(br#","m":false"#)?;
        Side::Buy
    };
    if !at.take(br#","M":true"#) {
        at.take(br#","M":false"#);
    }
    end(&mut at, is_wrapped)?;
    let trade = TradeMsg {
        symbol,
        exchange_ts,
        event_ts: Some(event_ts),
        price,
        size,
        side: Some(side),
        id: TradeId::Number(u128::try_from(id).ok()?),
        seq: None,
        replay: false,
    };
    out.message(frame, &Message::Trade(trade));
    Some(())
}

/// From the update id on. Only futures send an event name, COIN-M here and USD-M in front, and times.
#[inline]
fn quote(mut at: Cursor<'_>, frame: &str, is_wrapped: bool, out: &mut dyn MessageSink) -> Option<()> {
    let seq = VenueSeq(at.integer()?);
    at.take(br#","e":"bookTicker""#);
    let symbol = symbol(&mut at)?;
    at.need(br#","b":""#)?;
    let bid = at.decimal()?;
    at.need(br#","B":""#)?;
    let bid_size = at.decimal()?;
    at.need(br#","a":""#)?;
    let ask = at.decimal()?;
    at.need(br#","A":""#)?;
    let ask_size = at.decimal()?;
    let (mut exchange_ts, mut event_ts) = (None, None);
    if at.take(br#","T":"#) {
        exchange_ts = Some(time(&mut at)?);
        at.need(br#","E":"#)?;
        event_ts = Some(time(&mut at)?);
    }
    end(&mut at, is_wrapped)?;
    let quote = QuoteMsg {
        symbol,
        exchange_ts,
        event_ts,
        bid: Some(bid),
        bid_size: Some(bid_size),
        ask: Some(ask),
        ask_size: Some(ask_size),
        seq: Some(seq),
        replay: false,
    };
    out.message(frame, &Message::Quote(quote));
    Some(())
}

/// From the event time on. Only futures send `T` and `pu`.
fn depth(
    mut at: Cursor<'_>,
    frame: &str,
    stream: Option<&str>,
    levels: &mut DepthLevels,
    out: &mut dyn MessageSink,
) -> Option<()> {
    let action = match depth_stream(stream.unwrap_or("")) {
        DepthStream::Diff => BookAction::Delta,
        DepthStream::Partial => BookAction::Snapshot,
        DepthStream::Other => return None,
    };
    let event_ts = time(&mut at)?;
    let exchange_ts = if at.take(br#","T":"#) { time(&mut at)? } else { event_ts };
    let symbol = symbol(&mut at)?;
    let seq_first = VenueSeq(after(&mut at, br#","U":"#)?);
    let seq_last = VenueSeq(after(&mut at, br#","u":"#)?);
    let seq_prev = if at.take(br#","pu":"#) { Some(VenueSeq(at.integer()?)) } else { None };
    at.need(br#","b":"#)?;
    levels.bids.levels.clear();
    read_plain_levels(&mut at, &mut levels.bids.levels)?;
    at.need(br#","a":"#)?;
    levels.asks.levels.clear();
    read_plain_levels(&mut at, &mut levels.asks.levels)?;
    end(&mut at, stream.is_some())?;
    let book = BookMsg {
        symbol,
        exchange_ts: Some(exchange_ts),
        event_ts: Some(event_ts),
        action,
        bids: &levels.bids.levels,
        asks: &levels.asks.levels,
        seq_first: Some(seq_first),
        seq_last: Some(seq_last),
        seq_prev,
        checksum: None,
        replay: false,
    };
    out.message(frame, &Message::Book(book));
    Some(())
}

/// `s`, and behind it COIN-M's `ps`, which nobody needs.
#[inline(always)]
fn symbol<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.need(br#","s":""#)?;
    let symbol = at.string()?;
    if at.take(br#","ps":""#) {
        at.skip_string()?;
    }
    (!symbol.is_empty()).then_some(symbol)
}

#[inline(always)]
fn after<const N: usize>(at: &mut Cursor<'_>, key: &[u8; N]) -> Option<i64> {
    at.need(key)?;
    at.integer()
}

#[inline(always)]
fn time(at: &mut Cursor<'_>) -> Option<UnixNanos> {
    time_of(at.integer()?)
}

#[inline(always)]
fn end(at: &mut Cursor<'_>, is_wrapped: bool) -> Option<()> {
    at.need(b"}")?;
    if is_wrapped {
        at.need(b"}")?;
    }
    at.is_at_end().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed by the template is read by it: without this the way would be right and of no use.
    #[test]
    fn every_market_s_frames_are_taken() {
        let cases = [
            (
                "spot trade",
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
            ),
            (
                "futures trade",
                r#"{"stream":"x@trade","data":{"e":"trade","E":1723161256560,"T":1723161256560,"s":"ETHUSDT","t":4308068523,"p":"2681.62","q":"1.000","X":"MARKET","m":false}}"#,
            ),
            (
                "spot aggTrade, raw",
                r#"{"e":"aggTrade","E":1617647603484,"s":"ZILUSDT","a":18938405,"p":"0.21448000","q":"2062.90000000","f":23806928,"l":23806928,"T":1617647603483,"m":false,"M":true}"#,
            ),
            (
                "USD-M aggTrade",
                r#"{"stream":"x@aggTrade","data":{"e":"aggTrade","E":1617647797640,"a":9445517,"s":"SANDUSDT","p":"0.69067","q":"369","nq":"369","f":12821738,"l":12821738,"T":1617647797485,"m":true}}"#,
            ),
            ("spot quote, raw", r#"{"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#),
            (
                "USD-M quote",
                r#"{"stream":"x@bookTicker","data":{"e":"bookTicker","u":5123107838717,"s":"ETHUSDT","b":"2681.62","B":"1.165","a":"2681.63","A":"73.077","T":1723161256310,"E":1723161256311}}"#,
            ),
            (
                "COIN-M quote",
                r#"{"stream":"x@bookTicker","data":{"u":1007202248291,"e":"bookTicker","s":"ETHUSD_PERP","ps":"ETHUSD","b":"2682.01","B":"1991","a":"2682.02","A":"2018","T":1723161601293,"E":1723161601299}}"#,
            ),
            (
                "spot depth",
                r#"{"stream":"x@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"],["61730.17000000","12345678.90000000"]],"a":[]}}"#,
            ),
            (
                "COIN-M depth",
                r#"{"stream":"x@depth@0ms","data":{"e":"depthUpdate","E":1723161601286,"T":1723161601274,"s":"ETHUSD_PERP","ps":"ETHUSD","U":1007202248094,"u":1007202248133,"pu":1007202247937,"b":[],"a":[["2682.70","1331"]]}}"#,
            ),
        ];
        for (name, frame) in cases {
            let mut messages = 0;
            let taken = decode(frame, &mut DepthLevels::default(), &mut |_: &str, _: &Message<'_>| messages += 1);
            assert_eq!((taken, messages), (Some(()), 1), "{name}");
        }
    }
}
