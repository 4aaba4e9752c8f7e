//! Bybit's data frames, and its REST side: recent trades.

use super::Symbol;
use super::write::{decimal_text, number, number_text, raw, side, text};
use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::{Depth, Level, Quote, Trade};
use crate::text::{millis, push_decimal};

/// Most trades of a REST answer: spot, linear.
const TRADES_MAX: [usize; 2] = [60, 1000];

/// `publicTrade`.
pub(super) fn trades(trades: &[Trade], symbol: usize, hub: &Hub) -> String {
    let names = &hub.names.symbols[symbol];
    let venue_ns = trades[trades.len() - 1].venue_ns;
    let mut out = begin("publicTrade", names, "snapshot", venue_ns);
    out.push_str(",\"data\":[");
    for trade in trades {
        let id = hub.names.trade_id(symbol, trade);
        let word = side(trade.taker, "Buy", "Sell");
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        if names.linear {
            number(&mut out, "T", millis(trade.venue_ns));
            text(&mut out, "s", &names.printed);
            text(&mut out, "S", word);
            decimal_text(&mut out, "v", trade.size, names.size);
            decimal_text(&mut out, "p", trade.price, names.price);
            text(&mut out, "L", "ZeroPlusTick");
            text(&mut out, "i", &id);
            out.push_str(",\"BT\":false,\"RPI\":false");
            number(&mut out, "seq", trade.seq);
        } else {
            text(&mut out, "i", &id);
            number(&mut out, "T", millis(trade.venue_ns));
            decimal_text(&mut out, "p", trade.price, names.price);
            decimal_text(&mut out, "v", trade.size, names.size);
            text(&mut out, "S", word);
            number(&mut out, "seq", trade.seq);
            text(&mut out, "s", &names.printed);
            out.push_str(",\"BT\":false,\"RPI\":false");
        }
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// `orderbook.N`. A damaged one carries the number of the message after it.
pub(super) fn depth(depth: &Depth, damaged: bool, hub: &Hub) -> String {
    let names = &hub.names.symbols[depth.symbol];
    let kind = if depth.whole { "snapshot" } else { "delta" };
    let mut out = begin(hub.names.feed(depth.feed), names, kind, depth.venue_ns);
    out.push_str(",\"data\":{");
    text(&mut out, "s", &names.printed);
    for (key, side) in [("b", &depth.bids), ("a", &depth.asks)] {
        levels(&mut out, key, side, names);
    }
    number(&mut out, "u", depth.message + u64::from(damaged));
    number(&mut out, "seq", depth.seq);
    out.push('}');
    number(&mut out, "cts", millis(depth.venue_ns));
    out.push('}');
    out
}

/// `tickers` whole: spot without best levels, linear with them.
pub(super) fn ticker(quote: &Quote, last: i64, hub: &Hub) -> String {
    let names = &hub.names.symbols[quote.symbol];
    let mut out = begin("tickers", names, "snapshot", quote.venue_ns);
    number(&mut out, "cs", quote.update_id);
    out.push_str(",\"data\":{");
    text(&mut out, "symbol", &names.printed);
    for key in ["lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h"] {
        decimal_text(&mut out, key, last, names.price);
    }
    raw(&mut out, "volume24h", "\"2953.835931\"");
    raw(&mut out, "turnover24h", "\"191907024.69597728\"");
    raw(&mut out, "price24hPcnt", "\"0.0015\"");
    if names.linear {
        best(&mut out, ["bid1Price", "bid1Size"], quote.bid, names);
        best(&mut out, ["ask1Price", "ask1Size"], quote.ask, names);
    } else {
        decimal_text(&mut out, "usdIndexPrice", last, names.price);
    }
    out.push_str("}}");
    out
}

/// `tickers` of the linear market: only what changed.
pub(super) fn ticker_delta(before: Option<&Quote>, quote: &Quote, hub: &Hub) -> String {
    let names = &hub.names.symbols[quote.symbol];
    let mut out = String::with_capacity(256);
    out.push_str("{\"topic\":\"tickers.");
    out.push_str(&names.printed);
    out.push_str("\",\"type\":\"delta\",\"data\":{");
    text(&mut out, "symbol", &names.printed);
    if before.is_none_or(|before| before.bid != quote.bid) {
        best(&mut out, ["bid1Price", "bid1Size"], quote.bid, names);
    }
    if before.is_none_or(|before| before.ask != quote.ask) {
        best(&mut out, ["ask1Price", "ask1Size"], quote.ask, names);
    }
    out.push('}');
    number(&mut out, "cs", quote.update_id);
    number(&mut out, "ts", millis(quote.venue_ns));
    out.push('}');
    out
}

fn best(out: &mut String, keys: [&str; 2], level: Level, names: &Symbol) {
    decimal_text(out, keys[0], level.price, names.price);
    decimal_text(out, keys[1], level.size, names.size);
}

/// Topic, type and time; spot and linear have the last two in another order.
fn begin(topic: &str, names: &Symbol, kind: &str, venue_ns: i64) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("{\"topic\":\"");
    out.push_str(topic);
    out.push('.');
    out.push_str(&names.printed);
    out.push('"');
    if names.linear {
        text(&mut out, "type", kind);
    }
    number(&mut out, "ts", millis(venue_ns));
    if !names.linear {
        text(&mut out, "type", kind);
    }
    out
}

/// Levels; a size of zero is printed without decimals.
fn levels(out: &mut String, key: &str, levels: &[Level], names: &Symbol) {
    super::write::key(out, key);
    out.push('[');
    for level in levels {
        out.push_str(if out.ends_with('[') { "[\"" } else { ",[\"" });
        push_decimal(out, level.price, names.price);
        out.push_str("\",\"");
        if level.size == 0 {
            out.push('0');
        } else {
            push_decimal(out, level.size, names.size);
        }
        out.push_str("\"]");
    }
    out.push(']');
}

/// `/v5/market/recent-trade`: newest first. `None`: no such path.
pub(super) fn rest(hub: &Hub, request: &Request) -> Option<Answer> {
    if request.path != "/v5/market/recent-trade" {
        return None;
    }
    let category = request.parameter("category").unwrap_or_else(|| "spot".to_owned());
    let linear = category == "linear";
    let wanted = request.parameter("symbol").unwrap_or_default();
    let symbols = &hub.names.symbols;
    let symbol = symbols.iter().position(|known| known.linear == linear && known.printed == wanted);
    let Some(symbol) = symbol.filter(|_| linear || category == "spot") else {
        let words =
            "{\"retCode\":10001,\"retMsg\":\"Not supported symbols\",\"result\":{},\"retExtInfo\":{},\"time\":0}";
        return Some(Answer::json(words.to_owned()));
    };
    let most = TRADES_MAX[usize::from(linear)];
    let limit = request.parameter("limit").and_then(|text| text.parse::<usize>().ok()).unwrap_or(most.min(500));
    let now_ns = hub.log.now_ns() + hub.skew_ns();
    let market = hub.market();
    let names = &symbols[symbol];
    let mut out = String::from("{\"retCode\":0,\"retMsg\":\"OK\",\"result\":{");
    text(&mut out, "category", &category);
    out.push_str(",\"list\":[");
    for trade in market.instruments()[symbol].history.iter().rev().take(limit.clamp(1, most)) {
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text(&mut out, "execId", &hub.names.trade_id(symbol, trade));
        text(&mut out, "symbol", &names.printed);
        decimal_text(&mut out, "price", trade.price, names.price);
        decimal_text(&mut out, "size", trade.size, names.size);
        text(&mut out, "side", side(trade.taker, "Buy", "Sell"));
        number_text(&mut out, "time", millis(trade.venue_ns));
        out.push_str(",\"isBlockTrade\":false,\"isRPITrade\":false");
        number_text(&mut out, "seq", trade.seq);
        out.push('}');
    }
    out.push_str("]},\"retExtInfo\":{}");
    number(&mut out, "time", millis(now_ns));
    out.push('}');
    Some(Answer::json(out))
}
