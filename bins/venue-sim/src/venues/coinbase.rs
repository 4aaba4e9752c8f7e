//! Coinbase Exchange: `matches`, `ticker`, `level2_batch` and `heartbeat`.
//!
//! Source: docs.cdp.coinbase.com/exchange, WebSocket overview and channels, read mid 2026. `side` is the maker's.

use super::write::{any_text, decimal_text, levels, number, raw, side, text, time};
use super::{Activity, Ids, Out, Session, Subs};
use crate::hub::Hub;
use crate::market::{Depth, Fact, Level, Market, Trade};
use serde_json::Value;
use std::time::{Duration, Instant};

const MATCHES: usize = 0;
const TICKER: usize = 1;
const LEVEL2: usize = 2;
const HEARTBEAT: usize = 3;
const CHANNELS: [&str; 4] = ["matches", "ticker", "level2_batch", "heartbeat"];
/// Channels that need a key.
const PRIVATE: [&str; 4] = ["level2", "level3", "full", "user"];
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// What a ticker and a heartbeat tell besides the trade.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    trade_id: u64,
    seq: u64,
    best: Option<(Level, Level)>,
}

/// A connection.
pub(crate) struct Coinbase {
    subs: Subs,
    last: Vec<Last>,
    heartbeat_at: Option<Instant>,
}

impl Coinbase {
    pub(super) fn new(hub: &Hub) -> Self {
        let count = hub.names.symbols.len();
        Self { subs: Subs::new(count, CHANNELS.len()), last: vec![Last::default(); count], heartbeat_at: None }
    }

    fn change(&mut self, request: &Value, add: bool, out: &mut Out<'_>) {
        let wanted = match wanted(request, out.hub) {
            Ok(wanted) => wanted,
            Err(why) => return error(out, if add { "Failed to subscribe" } else { "Failed to unsubscribe" }, &why),
        };
        let mut snapshots = Vec::new();
        for (channel, symbol) in wanted {
            if !add {
                self.subs.remove(symbol, channel);
                continue;
            }
            let now_ns = out.hub.log.now_ns();
            let mut market = out.hub.market();
            if !self.subs.add(symbol, channel, market.serial) {
                continue;
            }
            self.look(symbol, &market);
            match channel {
                LEVEL2 => snapshots.push(market.snapshot(symbol, 0, now_ns)),
                MATCHES => {
                    let last = market.instruments()[symbol].history.back().copied();
                    drop(market);
                    if let Some(trade) = last {
                        let text = matched("last_match", &trade, symbol, out.hub);
                        out.first("last_match", symbol, Ids::Range(trade.id, trade.id), text);
                    }
                }
                HEARTBEAT => {
                    self.heartbeat_at.get_or_insert_with(|| Instant::now() + HEARTBEAT_EVERY);
                }
                _ => {}
            }
        }
        out.answer(self.subscriptions(out.hub));
        for depth in snapshots {
            let text = snapshot(&depth, out.hub);
            out.first("snapshot", depth.symbol, Ids::Range(depth.last, depth.last), text);
        }
    }

    /// Takes what the subscriber would know if it had been there from the beginning.
    fn look(&mut self, symbol: usize, market: &Market) {
        let instrument = &market.instruments()[symbol];
        let trade_id = instrument.history.back().map_or(0, |trade| trade.id);
        let seen = self.last[symbol];
        let (trade_id, seq) = (trade_id.max(seen.trade_id), instrument.seq.max(seen.seq));
        self.last[symbol] = Last { trade_id, seq, best: instrument.quote };
    }

    /// All subscriptions, as the venue answers.
    fn subscriptions(&self, hub: &Hub) -> String {
        let mut out = String::from("{\"type\":\"subscriptions\",\"channels\":[");
        for (channel, name) in CHANNELS.iter().enumerate() {
            let products = self.subs.iter().filter(|&(_, subscribed)| subscribed == channel);
            let products: Vec<&str> = products.map(|(symbol, _)| hub.names.symbols[symbol].name.as_str()).collect();
            if !products.is_empty() {
                out.push_str(if out.ends_with('[') { "{" } else { ",{" });
                text(&mut out, "name", name);
                raw(&mut out, "product_ids", &serde_json::json!(products).to_string());
                out.push('}');
            }
        }
        out.push_str("]}");
        out
    }

    fn ticker(&self, trade: &Trade, symbol: usize, hub: &Hub) -> Option<String> {
        let names = &hub.names.symbols[symbol];
        let (bid, ask) = self.last[symbol].best?;
        let mut out = String::from("{");
        text(&mut out, "type", "ticker");
        number(&mut out, "sequence", trade.seq);
        text(&mut out, "product_id", &names.name);
        decimal_text(&mut out, "price", trade.price, names.price);
        for key in ["open_24h", "volume_24h", "low_24h", "high_24h", "volume_30d"] {
            let digits = if key.starts_with("volume") { names.size } else { names.price };
            decimal_text(&mut out, key, trade.price, digits);
        }
        decimal_text(&mut out, "best_bid", bid.price, names.price);
        decimal_text(&mut out, "best_bid_size", bid.size, names.size);
        decimal_text(&mut out, "best_ask", ask.price, names.price);
        decimal_text(&mut out, "best_ask_size", ask.size, names.size);
        text(&mut out, "side", side(trade.taker, "buy", "sell"));
        time(&mut out, "time", trade.venue_ns, 6);
        number(&mut out, "trade_id", trade.id);
        decimal_text(&mut out, "last_size", trade.size, names.size);
        out.push('}');
        Some(out)
    }
}

impl Session for Coinbase {
    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return error(out, "Malformed JSON", "");
        };
        match request.get("type").and_then(Value::as_str) {
            Some("subscribe") => self.change(&request, true, out),
            Some("unsubscribe") => self.change(&request, false, out),
            _ => error(out, "Invalid message type", ""),
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        match fact {
            Fact::Trades(trades) => {
                let symbol = trades.symbol;
                for trade in &trades.trades {
                    let last = &mut self.last[symbol];
                    (last.trade_id, last.seq) = (last.trade_id.max(trade.id), last.seq.max(trade.seq));
                    let ids = Ids::Range(trade.id, trade.id);
                    if self.subs.wants(symbol, MATCHES, serial) {
                        let text = matched("match", trade, symbol, out.hub);
                        out.live("match", symbol, ids.clone(), text);
                    }
                    if self.subs.wants(symbol, TICKER, serial)
                        && let Some(text) = self.ticker(trade, symbol, out.hub)
                    {
                        out.live("ticker", symbol, ids, text);
                    }
                }
            }
            Fact::Quote(quote) => self.last[quote.symbol].best = Some((quote.bid, quote.ask)),
            Fact::Depth(depth) => {
                if self.subs.wants(depth.symbol, LEVEL2, serial) {
                    let damaged = out.takes_damage();
                    let text = update(depth, damaged, out.hub);
                    out.live("l2update", depth.symbol, Ids::Range(depth.first, depth.last), text);
                }
            }
        }
    }

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        cut_without_subscription(&self.subs, false, activity, out);
        if self.heartbeat_at.is_some_and(|at| at <= activity.now) {
            self.heartbeat_at = Some(activity.now + HEARTBEAT_EVERY);
            for (symbol, channel) in self.subs.iter() {
                if channel == HEARTBEAT {
                    let mut text = String::from("{\"type\":\"heartbeat\"");
                    number(&mut text, "last_trade_id", self.last[symbol].trade_id);
                    super::write::text(&mut text, "product_id", &out.hub.names.symbols[symbol].name);
                    number(&mut text, "sequence", self.last[symbol].seq);
                    time(&mut text, "time", out.venue_ns, 6);
                    text.push('}');
                    out.answer(text);
                }
            }
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.heartbeat_at
    }
}

/// A connection that subscribes to nothing in time is closed; both feeds have the rule.
pub(super) fn cut_without_subscription(subs: &Subs, other: bool, activity: &Activity, out: &mut Out<'_>) {
    let Some(limit) = out.hub.config.limits.first_subscription else { return };
    if !other && subs.len() == 0 && activity.now.duration_since(activity.opened) >= limit {
        out.close(1008, "no subscription in time");
    }
}

/// Channels and instruments of a request: products of the message, or of a channel of its own.
fn wanted(request: &Value, hub: &Hub) -> Result<Vec<(usize, usize)>, String> {
    let channels = request.get("channels").and_then(Value::as_array).filter(|channels| !channels.is_empty());
    let mut wanted = Vec::new();
    for entry in channels.ok_or("channels must be a list of channels")? {
        let name = entry.as_str().or_else(|| entry.get("name")?.as_str()).ok_or("a channel is a name or has one")?;
        if PRIVATE.contains(&name) {
            return Err(format!("{name} requires authentication"));
        }
        let channel =
            CHANNELS.iter().position(|known| *known == name).ok_or(format!("{name} is not a valid channel"))?;
        let products = entry.get("product_ids").or_else(|| request.get("product_ids")).and_then(Value::as_array);
        for product in
            products.filter(|products| !products.is_empty()).ok_or("product_ids must be a list of products")?
        {
            let product = product.as_str().unwrap_or_default();
            let symbol = hub.names.find(product).ok_or(format!("{product} is not a valid product"))?;
            wanted.push((channel, symbol));
        }
    }
    Ok(wanted)
}

fn error(out: &mut Out<'_>, message: &str, reason: &str) {
    let mut text = String::from("{\"type\":\"error\"");
    any_text(&mut text, "message", message);
    any_text(&mut text, "reason", reason);
    text.push('}');
    out.answer(text);
}

fn matched(kind: &str, trade: &Trade, symbol: usize, hub: &Hub) -> String {
    let names = &hub.names.symbols[symbol];
    let mut out = String::with_capacity(360);
    out.push('{');
    text(&mut out, "type", kind);
    number(&mut out, "trade_id", trade.id);
    text(&mut out, "maker_order_id", &hub.names.order_id(symbol, trade.id));
    text(&mut out, "taker_order_id", &hub.names.order_id(symbol, trade.aggregate.rotate_left(32)));
    text(&mut out, "side", side(trade.taker.other(), "buy", "sell"));
    decimal_text(&mut out, "size", trade.size, names.size);
    decimal_text(&mut out, "price", trade.price, names.price);
    text(&mut out, "product_id", &names.name);
    number(&mut out, "sequence", trade.seq);
    time(&mut out, "time", trade.venue_ns, 6);
    out.push('}');
    out
}

fn snapshot(depth: &Depth, hub: &Hub) -> String {
    let names = &hub.names.symbols[depth.symbol];
    let mut out = String::from("{\"type\":\"snapshot\"");
    text(&mut out, "product_id", &names.name);
    levels(&mut out, "asks", &depth.asks, [names.price, names.size], "");
    levels(&mut out, "bids", &depth.bids, [names.price, names.size], "");
    time(&mut out, "time", depth.venue_ns, 6);
    out.push('}');
    out
}

/// `l2update`. There is no sequence to damage, so a damaged one crosses the book: a bid at twice the price.
fn update(depth: &Depth, damaged: bool, hub: &Hub) -> String {
    let names = &hub.names.symbols[depth.symbol];
    let mut out = String::from("{\"type\":\"l2update\"");
    text(&mut out, "product_id", &names.name);
    out.push_str(",\"changes\":[");
    let wrong = depth.asks.iter().chain(&depth.bids).next().filter(|_| damaged);
    let wrong = wrong.map(|level| Level { price: 2 * level.price, size: level.size.max(1) });
    let sides = [("buy", &depth.bids), ("sell", &depth.asks)];
    let changes = sides.into_iter().flat_map(|(side, levels)| levels.iter().map(move |level| (side, *level)));
    for (at, (side, level)) in changes.chain(wrong.map(|level| ("buy", level))).enumerate() {
        out.push_str(if at == 0 { "[\"" } else { ",[\"" });
        out.push_str(side);
        out.push_str("\",\"");
        crate::text::push_decimal(&mut out, level.price, names.price);
        out.push_str("\",\"");
        crate::text::push_decimal(&mut out, level.size, names.size);
        out.push_str("\"]");
    }
    out.push(']');
    time(&mut out, "time", depth.venue_ns, 6);
    out.push('}');
    out
}
