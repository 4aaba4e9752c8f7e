//! Binance's REST side: books and past trades, spot and futures.

use super::Symbol;
use super::binance_frames::{Style, sides};
use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::{Instrument, Side, Trade};
use crate::text::{millis, push_decimal, push_int};
use crate::venue::Venue;

/// Most trades of an answer.
const TRADES_MAX: usize = 1000;
/// Trades of an answer when no limit is named.
const TRADES_USUAL: usize = 500;

/// Answers; `None`: no such path.
pub(super) fn answer(hub: &Hub, request: &Request) -> Option<Answer> {
    let base = match hub.config.venue {
        Venue::BinanceUsdm => "/fapi/v1/",
        Venue::BinanceCoinm => "/dapi/v1/",
        _ => "/api/v3/",
    };
    let path = request.path.strip_prefix(base)?;
    if !matches!(path, "depth" | "aggTrades" | "historicalTrades" | "trades") {
        return None;
    }
    let Some(name) = request.parameter("symbol") else {
        let words =
            "{\"code\":-1102,\"msg\":\"Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.\"}";
        return Some(Answer::error(400, words));
    };
    let market = hub.market();
    let Some(symbol) = hub.names.find(&name) else {
        return Some(Answer::error(400, "{\"code\":-1121,\"msg\":\"Invalid symbol.\"}"));
    };
    let instrument = &market.instruments()[symbol];
    let names = &hub.names.symbols[symbol];
    let number = |key| request.parameter(key).and_then(|text| text.parse::<u64>().ok());
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
    let style =
        Style { futures: hub.config.venue.is_binance_futures(), coinm: base.starts_with("/dapi"), micros: false };
    let body = match path {
        "depth" => depth(names, instrument, style, limit, hub.log.now_ns() + market.skew_ns),
        "aggTrades" => agg_trades(names, instrument, style, number("fromId"), trades_limit(limit)),
        "trades" => trades(names, instrument, style, None, trades_limit(limit)),
        _ => trades(names, instrument, style, number("fromId"), trades_limit(limit)),
    };
    Some(Answer::json(body))
}

fn trades_limit(limit: Option<usize>) -> usize {
    limit.unwrap_or(TRADES_USUAL).clamp(1, TRADES_MAX)
}

fn depth(names: &Symbol, instrument: &Instrument, style: Style, limit: Option<usize>, venue_ns: i64) -> String {
    let limit =
        limit.unwrap_or(if style.futures { 500 } else { 100 }).clamp(1, if style.futures { 1000 } else { 5000 });
    let mut out = String::from("{\"lastUpdateId\":");
    push_int(&mut out, instrument.update_id);
    if style.futures {
        let time = millis(venue_ns);
        out.push_str(&format!(",\"E\":{time},\"T\":{time}"));
        if style.coinm {
            let pair = names.name.split('_').next().unwrap_or_default();
            out.push_str(&format!(",\"symbol\":\"{}\",\"pair\":\"{pair}\"", names.name));
        }
    }
    let (bids, asks) = (instrument.book.top(Side::Buy, limit), instrument.book.top(Side::Sell, limit));
    sides(&mut out, ["bids", "asks"], names, &bids, &asks);
    out.push('}');
    out
}

/// Trades from an id on, or the latest; oldest first.
fn trades(names: &Symbol, instrument: &Instrument, style: Style, from: Option<u64>, limit: usize) -> String {
    let history = &instrument.history;
    let start = match from {
        Some(from) => history.partition_point(|trade| trade.id < from),
        None => history.len().saturating_sub(limit),
    };
    let mut out = String::from("[");
    for trade in history.range(start..).take(limit) {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str("{\"id\":");
        push_int(&mut out, trade.id);
        price_size(&mut out, ["price", "qty"], names, trade.price, trade.size);
        out.push_str(",\"quoteQty\":\"");
        quote_size(&mut out, names, trade);
        out.push_str("\",\"time\":");
        push_int(&mut out, millis(trade.venue_ns));
        out.push_str(if trade.taker == Side::Sell { ",\"isBuyerMaker\":true" } else { ",\"isBuyerMaker\":false" });
        out.push_str(if style.futures { "}" } else { ",\"isBestMatch\":true}" });
    }
    out.push(']');
    out
}

/// Price times size, exactly.
fn quote_size(out: &mut String, names: &Symbol, trade: &Trade) {
    let product = i128::from(trade.price) * i128::from(trade.size);
    let mut scale = names.price.scale + names.size.scale;
    let mut product = product.unsigned_abs();
    while scale > 8 {
        product /= 10;
        scale -= 1;
    }
    let digits = crate::text::Digits { scale, printed: names.price.printed };
    push_decimal(out, i64::try_from(product).unwrap_or(i64::MAX), digits);
}

fn agg_trades(names: &Symbol, instrument: &Instrument, style: Style, from: Option<u64>, limit: usize) -> String {
    let history = &instrument.history;
    let whole: Vec<Trade> = match from {
        Some(from) => history.range(history.partition_point(|trade| trade.aggregate < from)..).copied().collect(),
        None => history.iter().copied().collect(),
    };
    let mut groups: Vec<&[Trade]> = whole.chunk_by(|a, b| a.aggregate == b.aggregate).collect();
    if from.is_none() {
        groups.drain(..groups.len().saturating_sub(limit));
    }
    groups.truncate(limit);
    let mut out = String::from("[");
    for group in groups {
        if out.len() > 1 {
            out.push(',');
        }
        let (first, last) = (&group[0], &group[group.len() - 1]);
        out.push_str("{\"a\":");
        push_int(&mut out, first.aggregate);
        let size = group.iter().map(|trade| trade.size).sum();
        price_size(&mut out, ["p", "q"], names, first.price, size);
        out.push_str(&format!(",\"f\":{},\"l\":{},\"T\":{}", first.id, last.id, millis(first.venue_ns)));
        out.push_str(if first.taker == Side::Sell { ",\"m\":true" } else { ",\"m\":false" });
        out.push_str(if style.futures { "}" } else { ",\"M\":true}" });
    }
    out.push(']');
    out
}

fn price_size(out: &mut String, keys: [&str; 2], names: &Symbol, price: i64, size: i64) {
    for (key, value, digits) in [(keys[0], price, names.price), (keys[1], size, names.size)] {
        out.push_str(&format!(",\"{key}\":\""));
        push_decimal(out, value, digits);
        out.push('"');
    }
}
