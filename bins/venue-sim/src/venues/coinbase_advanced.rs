//! Coinbase Advanced Trade: `market_trades`, `ticker`, `level2` and `heartbeats`, one sequence for all frames.
//!
//! Source: docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket, read mid 2026; the shapes as recorded on
//! 2026-08-09. `side` of a trade is the maker's; trades of a frame are listed newest first.

use super::coinbase::cut_without_subscription;
use super::write::{any_text, decimal_text, number, raw, side, text, time};
use super::{Activity, Ids, Out, Session, Subs};
use crate::hub::Hub;
use crate::market::{Depth, Fact, Level, Quote, Trade};
use serde_json::Value;
use std::time::{Duration, Instant};

const TRADES: usize = 0;
const TICKER: usize = 1;
const LEVEL2: usize = 2;
const CHANNELS: [&str; 3] = ["market_trades", "ticker", "level2"];
const HEARTBEATS: &str = "heartbeats";
/// Trades of a snapshot.
const SNAPSHOT_TRADES: usize = 50;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// A connection.
pub(crate) struct Advanced {
    subs: Subs,
    /// `sequence_num` of the next frame.
    sequence: u64,
    last_price: Vec<i64>,
    heartbeat_at: Option<Instant>,
    heartbeats: u64,
}

impl Advanced {
    pub(super) fn new(hub: &Hub) -> Self {
        let count = hub.names.symbols.len();
        let last_price = vec![0; count];
        Self { subs: Subs::new(count, CHANNELS.len()), sequence: 0, last_price, heartbeat_at: None, heartbeats: 0 }
    }

    /// Begins a frame: its number is used up, whatever becomes of it.
    fn begin(&mut self, channel: &str, venue_ns: i64) -> (String, u64) {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut out = String::with_capacity(256);
        out.push('{');
        text(&mut out, "channel", channel);
        time(&mut out, "timestamp", venue_ns, 9);
        number(&mut out, "sequence_num", sequence);
        out.push_str(",\"events\":[{");
        (out, sequence)
    }

    fn change(&mut self, request: &Value, add: bool, out: &mut Out<'_>) {
        let name = request.get("channel").and_then(Value::as_str).unwrap_or_default();
        if name == HEARTBEATS {
            self.heartbeat_at = add.then(|| Instant::now() + HEARTBEAT_EVERY);
            return self.subscriptions(out);
        }
        let Some(channel) = CHANNELS.iter().position(|known| *known == name) else {
            return error(out, &format!("channel {name} is not supported"));
        };
        let products = request.get("product_ids").and_then(Value::as_array).filter(|products| !products.is_empty());
        let Some(products) = products else { return error(out, "product_ids must be a list of products") };
        let mut symbols = Vec::new();
        for product in products {
            let product = product.as_str().unwrap_or_default();
            match out.hub.names.find(product) {
                Some(symbol) => symbols.push(symbol),
                None => return error(out, &format!("product {product} is not supported")),
            }
        }
        for symbol in symbols {
            if add {
                self.subscribe(symbol, channel, out);
            } else {
                self.subs.remove(symbol, channel);
            }
        }
        self.subscriptions(out);
    }

    fn subscribe(&mut self, symbol: usize, channel: usize, out: &mut Out<'_>) {
        let hub = out.hub;
        let now_ns = hub.log.now_ns();
        let mut market = hub.market();
        if !self.subs.add(symbol, channel, market.serial) {
            return;
        }
        let depth = (channel == LEVEL2).then(|| market.snapshot(symbol, 0, now_ns));
        let instrument = &market.instruments()[symbol];
        let trades: Vec<Trade> = instrument.history.iter().rev().take(SNAPSHOT_TRADES).rev().copied().collect();
        let (quote, update_id) = (instrument.quote, instrument.update_id);
        drop(market);
        self.last_price[symbol] = trades.last().map_or(0, |trade| trade.price);
        let venue_ns = out.venue_ns;
        if let Some(depth) = depth {
            let (text, sequence) = self.depth(&depth, hub);
            out.first("l2_data", symbol, Ids::Range(sequence, sequence), text);
        } else if channel == TRADES && !trades.is_empty() {
            let (text, _) = self.trades("snapshot", &trades, symbol, venue_ns, hub);
            out.first("market_trades", symbol, Ids::Range(trades[0].id, trades[trades.len() - 1].id), text);
        } else if let (TICKER, Some((bid, ask))) = (channel, quote) {
            let quote = Quote { symbol, update_id, bid, ask, venue_ns };
            let (text, sequence) = self.ticker("snapshot", &quote, hub);
            out.first("ticker", symbol, Ids::Range(sequence, sequence), text);
        }
    }

    fn subscriptions(&mut self, out: &mut Out<'_>) {
        let (mut text, _) = self.begin("subscriptions", out.venue_ns);
        text.push_str("\"subscriptions\":{");
        if self.heartbeat_at.is_some() {
            raw(&mut text, HEARTBEATS, "[\"heartbeats\"]");
        }
        for (channel, name) in CHANNELS.iter().enumerate() {
            let products = self.subs.iter().filter(|&(_, subscribed)| subscribed == channel);
            let products: Vec<&str> = products.map(|(symbol, _)| out.hub.names.symbols[symbol].name.as_str()).collect();
            if !products.is_empty() {
                raw(&mut text, name, &serde_json::json!(products).to_string());
            }
        }
        text.push_str("}}]}");
        out.answer(text);
    }

    fn trades(&mut self, kind: &str, trades: &[Trade], symbol: usize, venue_ns: i64, hub: &Hub) -> (String, u64) {
        let names = &hub.names.symbols[symbol];
        let (mut out, sequence) = self.begin("market_trades", venue_ns);
        text(&mut out, "type", kind);
        out.push_str(",\"trades\":[");
        for trade in trades.iter().rev() {
            out.push_str(if out.ends_with('[') { "{" } else { ",{" });
            text(&mut out, "product_id", &names.name);
            super::write::number_text(&mut out, "trade_id", trade.id);
            decimal_text(&mut out, "price", trade.price, names.price);
            decimal_text(&mut out, "size", trade.size, names.size);
            time(&mut out, "time", trade.venue_ns, 6);
            text(&mut out, "side", side(trade.taker.other(), "BUY", "SELL"));
            out.push('}');
        }
        out.push_str("]}]}");
        (out, sequence)
    }

    fn ticker(&mut self, kind: &str, quote: &Quote, hub: &Hub) -> (String, u64) {
        let names = &hub.names.symbols[quote.symbol];
        let price = self.last_price[quote.symbol];
        let (mut out, sequence) = self.begin("ticker", quote.venue_ns);
        text(&mut out, "type", kind);
        out.push_str(",\"tickers\":[{");
        text(&mut out, "type", "ticker");
        text(&mut out, "product_id", &names.name);
        decimal_text(&mut out, "price", price, names.price);
        for key in ["volume_24_h", "low_24_h", "high_24_h", "low_52_w", "high_52_w"] {
            decimal_text(&mut out, key, price, names.price);
        }
        text(&mut out, "price_percent_chg_24_h", "0.25");
        decimal_text(&mut out, "best_bid", quote.bid.price, names.price);
        decimal_text(&mut out, "best_ask", quote.ask.price, names.price);
        decimal_text(&mut out, "best_bid_quantity", quote.bid.size, names.size);
        decimal_text(&mut out, "best_ask_quantity", quote.ask.size, names.size);
        out.push_str("}]}]}");
        (out, sequence)
    }

    fn depth(&mut self, depth: &Depth, hub: &Hub) -> (String, u64) {
        let names = &hub.names.symbols[depth.symbol];
        let (mut out, sequence) = self.begin("l2_data", depth.venue_ns);
        text(&mut out, "type", if depth.whole { "snapshot" } else { "update" });
        text(&mut out, "product_id", &names.name);
        out.push_str(",\"updates\":[");
        let level = |out: &mut String, side: &str, level: &Level| {
            out.push_str(if out.ends_with('[') { "{" } else { ",{" });
            text(out, "side", side);
            time(out, "event_time", depth.venue_ns, 6);
            decimal_text(out, "price_level", level.price, names.price);
            decimal_text(out, "new_quantity", level.size, names.size);
            out.push('}');
        };
        depth.bids.iter().for_each(|bid| level(&mut out, "bid", bid));
        depth.asks.iter().for_each(|ask| level(&mut out, "offer", ask));
        out.push_str("]}]}");
        (out, sequence)
    }
}

impl Session for Advanced {
    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        let Ok(request) = serde_json::from_str::<Value>(text) else { return error(out, "malformed JSON") };
        match request.get("type").and_then(Value::as_str) {
            Some("subscribe") => self.change(&request, true, out),
            Some("unsubscribe") => self.change(&request, false, out),
            _ => error(out, "type must be subscribe or unsubscribe"),
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        let hub = out.hub;
        match fact {
            Fact::Trades(together) => {
                let (symbol, trades) = (together.symbol, &together.trades);
                self.last_price[symbol] = trades[trades.len() - 1].price;
                if self.subs.wants(symbol, TRADES, serial) {
                    let (text, _) = self.trades("update", trades, symbol, out.venue_ns, hub);
                    out.live("market_trades", symbol, Ids::Range(trades[0].id, trades[trades.len() - 1].id), text);
                }
            }
            Fact::Quote(quote) => {
                if self.subs.wants(quote.symbol, TICKER, serial) {
                    let (text, sequence) = self.ticker("update", quote, hub);
                    out.live("ticker", quote.symbol, Ids::Range(sequence, sequence), text);
                }
            }
            Fact::Depth(depth) => {
                if self.subs.wants(depth.symbol, LEVEL2, serial) {
                    // A damaged one takes a number that is not its own: the connection's sequence has a hole.
                    self.sequence += u64::from(out.takes_damage());
                    let (text, sequence) = self.depth(depth, hub);
                    out.live("l2_data", depth.symbol, Ids::Range(sequence, sequence), text);
                }
            }
        }
    }

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        cut_without_subscription(&self.subs, self.heartbeat_at.is_some(), activity, out);
        let idle = out.hub.config.limits.idle;
        if idle.is_some_and(|idle| activity.now.duration_since(activity.sent) >= idle) {
            return out.close(1000, "idle");
        }
        if self.heartbeat_at.is_some_and(|at| at <= activity.now) {
            self.heartbeat_at = Some(activity.now + HEARTBEAT_EVERY);
            self.heartbeats += 1;
            let (mut text, _) = self.begin(HEARTBEATS, out.venue_ns);
            text.push_str("\"current_time\":\"");
            crate::text::push_time_with(&mut text, out.venue_ns, 9, " ", " +0000 UTC");
            text.push_str(&format!(" m=+{}.000000001\"", self.heartbeats));
            number(&mut text, "heartbeat_counter", self.heartbeats);
            text.push_str("}]}");
            out.answer(text);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        self.heartbeat_at
    }

    fn reset_sequence(&mut self) {
        self.sequence = 0;
    }
}

fn error(out: &mut Out<'_>, message: &str) {
    let mut text = String::from("{\"type\":\"error\"");
    any_text(&mut text, "message", message);
    text.push('}');
    out.answer(text);
}
