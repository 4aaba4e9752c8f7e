//! Binance's data frames: spot and futures.

use super::Symbol;
use super::write::{decimal_text, levels, number, text};
use crate::market::{Depth, Level, Quote, Side, Trade};
use crate::text::push_int;

/// How a connection wants its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) futures: bool,
    /// COIN-M: depth and quotes name the pair beside the symbol.
    pub(crate) coinm: bool,
    /// `?timeUnit=MICROSECOND`.
    pub(crate) micros: bool,
}

impl Style {
    /// A time in the unit that was asked for.
    pub(crate) fn time(self, ns: i64) -> u64 {
        if self.micros { crate::text::micros(ns) } else { crate::text::millis(ns) }
    }
}

/// `{"e":"trade",...}`.
pub(crate) fn trade(out: &mut String, symbol: &Symbol, style: Style, trade: &Trade) {
    let time = style.time(trade.venue_ns);
    begin(out, "trade", time);
    if style.futures {
        number(out, "T", time);
    }
    text(out, "s", &symbol.name);
    number(out, "t", trade.id);
    price_size(out, ["p", "q"], symbol, Level { price: trade.price, size: trade.size });
    if style.futures {
        out.push_str(",\"X\":\"MARKET\"");
    } else {
        number(out, "T", time);
    }
    maker(out, trade.taker);
    out.push_str(if style.futures { "}" } else { ",\"M\":true}" });
}

/// `{"e":"aggTrade",...}` of executions with the same aggregate.
pub(crate) fn agg_trade(out: &mut String, symbol: &Symbol, style: Style, trades: &[Trade]) {
    let (first, last) = (&trades[0], &trades[trades.len() - 1]);
    let time = style.time(first.venue_ns);
    begin(out, "aggTrade", time);
    if style.futures {
        number(out, "a", first.aggregate);
        text(out, "s", &symbol.name);
    } else {
        text(out, "s", &symbol.name);
        number(out, "a", first.aggregate);
    }
    let size = trades.iter().map(|trade| trade.size).sum();
    price_size(out, ["p", "q"], symbol, Level { price: first.price, size });
    number(out, "f", first.id);
    number(out, "l", last.id);
    number(out, "T", time);
    maker(out, first.taker);
    out.push_str(if style.futures { "}" } else { ",\"M\":true}" });
}

/// A quote: on spot without a time.
pub(crate) fn quote(out: &mut String, symbol: &Symbol, style: Style, quote: &Quote) {
    out.push('{');
    if style.futures {
        text(out, "e", "bookTicker");
    }
    number(out, "u", quote.update_id);
    text(out, "s", &symbol.name);
    pair(out, symbol, style);
    price_size(out, ["b", "B"], symbol, quote.bid);
    price_size(out, ["a", "A"], symbol, quote.ask);
    if style.futures {
        let time = style.time(quote.venue_ns);
        number(out, "T", time);
        number(out, "E", time);
    }
    out.push('}');
}

/// `{"e":"depthUpdate",...}`.
pub(crate) fn depth_update(out: &mut String, symbol: &Symbol, style: Style, depth: &Depth) {
    let time = style.time(depth.venue_ns);
    begin(out, "depthUpdate", time);
    if style.futures {
        number(out, "T", time);
    }
    text(out, "s", &symbol.name);
    pair(out, symbol, style);
    number(out, "U", depth.first);
    number(out, "u", depth.last);
    if style.futures {
        number(out, "pu", depth.prev.unwrap_or(0));
    }
    sides(out, ["b", "a"], symbol, &depth.bids, &depth.asks);
    out.push('}');
}

/// Best levels, as spot sends them: without a symbol.
pub(crate) fn depth_partial(out: &mut String, symbol: &Symbol, depth: &Depth) {
    out.push_str("{\"lastUpdateId\":");
    push_int(out, depth.last);
    sides(out, ["bids", "asks"], symbol, &depth.bids, &depth.asks);
    out.push('}');
}

fn begin(out: &mut String, event: &str, time: u64) {
    out.push_str("{\"e\":\"");
    out.push_str(event);
    out.push_str("\",\"E\":");
    push_int(out, time);
}

fn pair(out: &mut String, symbol: &Symbol, style: Style) {
    if style.coinm {
        text(out, "ps", symbol.name.split('_').next().unwrap_or_default());
    }
}

fn price_size(out: &mut String, keys: [&str; 2], symbol: &Symbol, level: Level) {
    decimal_text(out, keys[0], level.price, symbol.price);
    decimal_text(out, keys[1], level.size, symbol.size);
}

/// Bids and asks.
pub(super) fn sides(out: &mut String, keys: [&str; 2], symbol: &Symbol, bids: &[Level], asks: &[Level]) {
    for (key, side) in [(keys[0], bids), (keys[1], asks)] {
        levels(out, key, side, [symbol.price, symbol.size], "");
    }
}

/// `m`: whether the buyer is the maker.
fn maker(out: &mut String, taker: Side) {
    out.push_str(if taker == Side::Sell { ",\"m\":true" } else { ",\"m\":false" });
}
