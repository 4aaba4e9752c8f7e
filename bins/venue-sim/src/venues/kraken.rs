//! Kraken spot, v2: `trade`, `ticker`, `book` and `instrument`.
//!
//! Source: docs.kraken.com, spot-ws v2 and the checksum guide, read mid 2026. Prices and sizes are JSON numbers.

use super::kraken_frames::{self as frames, BookFrame};
use super::write::{any_text, number, raw, text, time};
use super::{Activity, Ids, Out, Session, Subs};
use crate::hub::Hub;
use crate::market::{Fact, Quote, Trade};
use serde_json::Value;
use std::time::Duration;

const TRADE: usize = 0;
const TICKER: usize = 1;
/// Book channels, by depth.
const BOOK: usize = 2;
const CHANNELS: usize = 7;
/// Book depth when none is named.
const DEPTH_USUAL: u64 = 10;
/// Trades of a snapshot.
const SNAPSHOT_TRADES: usize = 50;
/// A heartbeat is sent when nothing else was for so long.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// A connection.
pub(crate) struct Kraken {
    subs: Subs,
    /// Whether a ticker is to tell every change of the best levels, not trades alone.
    ticker_bbo: bool,
    best: Vec<Option<Quote>>,
    last_price: Vec<i64>,
}

impl Kraken {
    pub(super) fn new(hub: &Hub) -> Self {
        let count = hub.names.symbols.len();
        let (best, last_price) = (vec![None; count], vec![0; count]);
        Self { subs: Subs::new(count, CHANNELS), ticker_bbo: false, best, last_price }
    }

    fn subscribe(&mut self, request: &Value, add: bool, out: &mut Out<'_>) {
        let method = if add { "subscribe" } else { "unsubscribe" };
        let params = request.get("params").unwrap_or(&Value::Null);
        let name = params.get("channel").and_then(Value::as_str).unwrap_or_default();
        let snapshot = params.get("snapshot").and_then(Value::as_bool).unwrap_or(true);
        let depth = params.get("depth").and_then(Value::as_u64).unwrap_or(DEPTH_USUAL);
        let channel = match name {
            "trade" => TRADE,
            "ticker" => TICKER,
            "book" => {
                let feeds = out.hub.config.venue.feeds();
                match feeds.iter().position(|feed| feed.name == depth.to_string()) {
                    Some(feed) => BOOK + feed,
                    None => return refuse(out, request, method, "Subscription depth not supported", None),
                }
            }
            "instrument" => return self.instrument(request, method, add && snapshot, out),
            name => return refuse(out, request, method, &format!("Unsupported channel {name}"), None),
        };
        if let Some(trigger) = params.get("event_trigger").and_then(Value::as_str).filter(|_| channel == TICKER) {
            self.ticker_bbo = trigger == "bbo";
        }
        let symbols = params.get("symbol").and_then(Value::as_array).filter(|symbols| !symbols.is_empty());
        let Some(symbols) = symbols else {
            return refuse(out, request, method, "symbol must be a list of pairs", None);
        };
        for symbol in symbols {
            let pair = symbol.as_str().unwrap_or_default();
            let Some(symbol) = out.hub.names.find(pair) else {
                refuse(out, request, method, &format!("Currency pair not supported {pair}"), Some(pair));
                continue;
            };
            if !add {
                self.subs.remove(symbol, channel);
            } else if self.subs.has(symbol, channel) {
                refuse(out, request, method, "Already subscribed to one channel on the same symbol", Some(pair));
                continue;
            }
            let mut result = format!("{{\"channel\":\"{name}\"");
            if channel >= BOOK {
                number(&mut result, "depth", depth);
            }
            raw(&mut result, "snapshot", if snapshot { "true" } else { "false" });
            text(&mut result, "symbol", pair);
            result.push('}');
            accept(out, request, method, &result);
            if add {
                self.begin(symbol, channel, snapshot, out);
            }
        }
    }

    /// Begins a subscription, with what comes first.
    fn begin(&mut self, symbol: usize, channel: usize, snapshot: bool, out: &mut Out<'_>) {
        let hub = out.hub;
        let now_ns = hub.log.now_ns();
        let mut market = hub.market();
        self.subs.add(symbol, channel, market.serial);
        let book = (channel >= BOOK).then(|| market.snapshot(symbol, channel - BOOK, now_ns));
        let instrument = &market.instruments()[symbol];
        let trades: Vec<Trade> = instrument.history.iter().rev().take(SNAPSHOT_TRADES).rev().copied().collect();
        let (update_id, venue_ns) = (instrument.update_id, out.venue_ns);
        self.best[symbol] = instrument.quote.map(|(bid, ask)| Quote { symbol, update_id, bid, ask, venue_ns });
        drop(market);
        self.last_price[symbol] = trades.last().map_or(0, |trade| trade.price);
        if !snapshot {
            return;
        }
        if let Some(depth) = book {
            let text = frames::book(&depth, BookFrame { snapshot: true, damaged: false }, hub);
            out.first("book", symbol, Ids::Range(depth.message, depth.message), text);
        } else if channel == TRADE && !trades.is_empty() {
            let text = frames::trades("snapshot", &trades, symbol, hub);
            out.first("trade", symbol, Ids::Range(trades[0].id, trades[trades.len() - 1].id), text);
        } else if let (TICKER, Some(quote)) = (channel, self.best[symbol]) {
            let text = frames::ticker("snapshot", &quote, self.last_price[symbol], hub);
            out.first("ticker", symbol, Ids::None, text);
        }
    }

    /// The pairs with their precisions, which the checksum needs.
    fn instrument(&mut self, request: &Value, method: &str, snapshot: bool, out: &mut Out<'_>) {
        accept(out, request, method, "{\"channel\":\"instrument\",\"snapshot\":true}");
        if snapshot {
            let text = frames::instruments(out.hub);
            out.answer(text);
        }
    }
}

impl Session for Kraken {
    fn open(&mut self, out: &mut Out<'_>) {
        // Connection ids of the venue exceed a signed 64-bit number.
        let id = fastrand::Rng::with_seed(out.venue_ns.unsigned_abs()).u64(1 << 63..);
        let data =
            format!("{{\"version\":\"2.0.10\",\"system\":\"online\",\"api_version\":\"v2\",\"connection_id\":{id}}}");
        out.answer(format!("{{\"channel\":\"status\",\"type\":\"update\",\"data\":[{data}]}}"));
    }

    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return out.answer("{\"error\":\"Malformed request\"}");
        };
        match request.get("method").and_then(Value::as_str) {
            Some("subscribe") => self.subscribe(&request, true, out),
            Some("unsubscribe") => self.subscribe(&request, false, out),
            Some("ping") => {
                let mut pong = String::from("{\"method\":\"pong\"");
                request_id(&mut pong, &request);
                times(&mut pong, out);
                out.answer(pong);
            }
            Some(other) => refuse(out, &request, other, "Unsupported method", None),
            None => out.answer("{\"error\":\"Method is missing\"}"),
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        let hub = out.hub;
        match fact {
            Fact::Trades(together) => {
                let (symbol, trades) = (together.symbol, &together.trades);
                let last = trades[trades.len() - 1];
                self.last_price[symbol] = last.price;
                if self.subs.wants(symbol, TRADE, serial) {
                    let text = frames::trades("update", trades, symbol, hub);
                    out.live("trade", symbol, Ids::Range(trades[0].id, last.id), text);
                }
                if let (true, Some(quote)) = (self.subs.wants(symbol, TICKER, serial), self.best[symbol]) {
                    let quote = Quote { venue_ns: last.venue_ns, ..quote };
                    let text = frames::ticker("update", &quote, last.price, hub);
                    out.live("ticker", symbol, Ids::Range(last.id, last.id), text);
                }
            }
            Fact::Quote(quote) => {
                self.best[quote.symbol] = Some(*quote);
                if self.ticker_bbo && self.subs.wants(quote.symbol, TICKER, serial) {
                    let text = frames::ticker("update", quote, self.last_price[quote.symbol], hub);
                    out.live("ticker", quote.symbol, Ids::Range(quote.update_id, quote.update_id), text);
                }
            }
            Fact::Depth(depth) => {
                if self.subs.wants(depth.symbol, BOOK + depth.feed, serial) {
                    let style = BookFrame { snapshot: depth.whole, damaged: out.takes_damage() };
                    let text = frames::book(depth, style, hub);
                    out.live("book", depth.symbol, Ids::Range(depth.message, depth.message), text);
                }
            }
        }
    }

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        if self.subs.len() > 0 && activity.now.duration_since(activity.sent) >= HEARTBEAT_EVERY {
            out.answer("{\"channel\":\"heartbeat\"}");
        }
    }

    fn too_many(&mut self, text: Option<&str>, out: &mut Out<'_>) -> bool {
        let request = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        let method = request.get("method").and_then(Value::as_str).unwrap_or("subscribe").to_owned();
        refuse(out, &request, &method, "Exceeded msg rate", None);
        true
    }
}

fn accept(out: &mut Out<'_>, request: &Value, method: &str, result: &str) {
    let mut text = format!("{{\"method\":\"{method}\"");
    request_id(&mut text, request);
    raw(&mut text, "result", result);
    raw(&mut text, "success", "true");
    times(&mut text, out);
    out.answer(text);
}

fn refuse(out: &mut Out<'_>, request: &Value, method: &str, error: &str, pair: Option<&str>) {
    let mut text = String::from("{");
    any_text(&mut text, "error", error);
    any_text(&mut text, "method", method);
    request_id(&mut text, request);
    raw(&mut text, "success", "false");
    if let Some(pair) = pair {
        any_text(&mut text, "symbol", pair);
    }
    times(&mut text, out);
    out.answer(text);
}

/// The request's own number, when it has one.
fn request_id(text: &mut String, request: &Value) {
    if let Some(id) = request.get("req_id").filter(|id| id.is_u64()) {
        raw(text, "req_id", &id.to_string());
    }
}

/// When the request came and when it was answered; closes the object.
fn times(text: &mut String, out: &Out<'_>) {
    time(text, "time_in", out.venue_ns, 6);
    time(text, "time_out", out.venue_ns, 6);
    text.push('}');
}
