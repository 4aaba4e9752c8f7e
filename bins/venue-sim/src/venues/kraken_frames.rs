//! Kraken's data frames, and its REST side: past trades.

use super::write::{decimal, number, raw, side, text, time};
use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::{Depth, Level, Quote, Side, Trade};
use crate::text::push_decimal;

/// Most trades of a REST answer.
const TRADES_MAX: usize = 1000;

/// What kind of book frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct BookFrame {
    pub(super) snapshot: bool,
    /// With a checksum that is wrong.
    pub(super) damaged: bool,
}

/// A book frame.
pub(super) fn book(depth: &Depth, style: BookFrame, hub: &Hub) -> String {
    let names = &hub.names.symbols[depth.symbol];
    let mut out = begin("book", if style.snapshot { "snapshot" } else { "update" });
    text(&mut out, "symbol", &names.name);
    for (key, levels) in [("bids", &depth.bids), ("asks", &depth.asks)] {
        super::write::key(&mut out, key);
        out.push('[');
        for Level { price, size } in levels {
            out.push_str(if out.ends_with('[') { "{" } else { ",{" });
            decimal(&mut out, "price", *price, names.price);
            decimal(&mut out, "qty", *size, names.size);
            out.push('}');
        }
        out.push(']');
    }
    number(&mut out, "checksum", u64::from(depth.checksum ^ u32::from(style.damaged)));
    time(&mut out, "timestamp", depth.venue_ns, 6);
    out.push_str("}]}");
    out
}

/// A frame of trades, oldest first.
pub(super) fn trades(kind: &str, trades: &[Trade], symbol: usize, hub: &Hub) -> String {
    let names = &hub.names.symbols[symbol];
    let mut out = format!("{{\"channel\":\"trade\",\"type\":\"{kind}\",\"data\":[");
    for trade in trades {
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text(&mut out, "symbol", &names.name);
        text(&mut out, "side", side(trade.taker, "buy", "sell"));
        decimal(&mut out, "price", trade.price, names.price);
        decimal(&mut out, "qty", trade.size, names.size);
        text(&mut out, "ord_type", "market");
        number(&mut out, "trade_id", trade.id);
        time(&mut out, "timestamp", trade.venue_ns, 6);
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// A ticker.
pub(super) fn ticker(kind: &str, quote: &Quote, last: i64, hub: &Hub) -> String {
    let names = &hub.names.symbols[quote.symbol];
    let mut out = begin("ticker", kind);
    text(&mut out, "symbol", &names.name);
    decimal(&mut out, "bid", quote.bid.price, names.price);
    decimal(&mut out, "bid_qty", quote.bid.size, names.size);
    decimal(&mut out, "ask", quote.ask.price, names.price);
    decimal(&mut out, "ask_qty", quote.ask.size, names.size);
    decimal(&mut out, "last", last, names.price);
    raw(&mut out, "volume", "4473.99704028");
    for key in ["vwap", "low", "high"] {
        decimal(&mut out, key, last, names.price);
    }
    out.push_str(",\"change\":-1497.7,\"change_pct\":-2.43");
    time(&mut out, "timestamp", quote.venue_ns, 6);
    out.push_str("}]}");
    out
}

/// The pairs, with their precisions.
pub(super) fn instruments(hub: &Hub) -> String {
    let mut out = String::from("{\"channel\":\"instrument\",\"type\":\"snapshot\",\"data\":{\"assets\":[],\"pairs\":[");
    for names in &hub.names.symbols {
        let (base, quote) = names.name.split_once('/').unwrap_or((&names.name, ""));
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text(&mut out, "symbol", &names.name);
        text(&mut out, "base", base);
        text(&mut out, "quote", quote);
        text(&mut out, "status", "online");
        number(&mut out, "qty_precision", u64::from(names.size.scale));
        decimal(&mut out, "qty_increment", 1, names.size);
        number(&mut out, "price_precision", u64::from(names.price.scale));
        decimal(&mut out, "price_increment", 1, names.price);
        decimal(&mut out, "tick_size", 1, names.price);
        decimal(&mut out, "qty_min", 1, names.size);
        out.push('}');
    }
    out.push_str("]}}");
    out
}

fn begin(channel: &str, kind: &str) -> String {
    format!("{{\"channel\":\"{channel}\",\"type\":\"{kind}\",\"data\":[{{")
}

/// `/0/public/Trades`: what came after `since`, oldest first, and where to go on. `None`: no such path.
pub(super) fn rest(hub: &Hub, request: &Request) -> Option<Answer> {
    if request.path != "/0/public/Trades" {
        return None;
    }
    let pair = request.parameter("pair").unwrap_or_default();
    // The venue takes `BTC/USD`, `BTCUSD` and its own `XBTUSD`.
    let plain = |name: &str| name.replace('/', "").replace("XBT", "BTC");
    let symbol = hub.names.symbols.iter().position(|symbol| plain(&symbol.name) == plain(&pair));
    let Some(symbol) = symbol else {
        return Some(Answer::json("{\"error\":[\"EQuery:Unknown asset pair\"]}".to_owned()));
    };
    let number_of = |key| request.parameter(key).and_then(|text| text.parse::<i64>().ok());
    let count = number_of("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(TRADES_MAX);
    let market = hub.market();
    let history = &market.instruments()[symbol].history;
    let start = match number_of("since") {
        Some(since) => history.partition_point(|trade| trade.venue_ns <= since),
        None => history.len().saturating_sub(count),
    };
    let names = &hub.names.symbols[symbol];
    let mut out = String::from("{\"error\":[],\"result\":{");
    crate::text::push_json(&mut out, &pair);
    out.push_str(":[");
    let mut last_ns = number_of("since").unwrap_or(0);
    for trade in history.range(start..).take(count.clamp(1, TRADES_MAX)) {
        out.push_str(if out.ends_with('[') { "[\"" } else { ",[\"" });
        push_decimal(&mut out, trade.price, names.price);
        out.push_str("\",\"");
        push_decimal(&mut out, trade.size, names.size);
        out.push_str("\",");
        let seconds = crate::text::Digits { scale: 9, printed: Some(9) };
        push_decimal(&mut out, trade.venue_ns, seconds);
        out.push_str(if trade.taker == Side::Buy { ",\"b\",\"m\",\"\"," } else { ",\"s\",\"m\",\"\"," });
        crate::text::push_int(&mut out, trade.id);
        out.push(']');
        last_ns = trade.venue_ns;
    }
    out.push_str(&format!("],\"last\":\"{last_ns}\"}}}}"));
    Some(Answer::json(out))
}
