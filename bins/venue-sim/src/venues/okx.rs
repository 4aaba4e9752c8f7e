//! OKX v5: `trades`, `books`, `books5`, `bbo-tbt` and `tickers` on the public endpoint, `trades-all` on the business one.
//!
//! Source: okx.com/docs-v5, WebSocket overview, order book and trades channels, read mid 2026.

use super::write::{any_text, decimal_text, number, number_text, raw, side, text};
use super::{Activity, Ids, Out, Session, Subs};
use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::{Depth, Fact, Level, Quote, Trade};
use crate::text::{Digits, millis, push_decimal};
use serde_json::Value;
use std::time::{Duration, Instant};

const TRADES: usize = 0;
const TRADES_ALL: usize = 1;
const TICKERS: usize = 2;
/// Book channels, in the order of the feeds.
const BOOKS: usize = 3;
const CHANNELS: usize = 6;
/// `books` comes first among the feeds, and is the one with a chain.
const FEED_BOOKS: usize = 0;
/// A book that did not change for so long is told to be unchanged.
const UNCHANGED_AFTER: Duration = Duration::from_secs(60);
/// Shortest time between two tickers of an instrument.
const TICKER_EVERY_NS: i64 = 100_000_000;
/// How long after its notice a server closes.
const SHUTDOWN_AFTER: Duration = Duration::from_secs(2);
/// Bytes of a request.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Most trades of a REST answer.
const TRADES_MAX: usize = 100;

/// A connection.
pub(crate) struct Okx {
    business: bool,
    connection: String,
    subs: Subs,
    /// Last sequence of `books` that was sent, and when.
    chain: Vec<Option<(u64, Instant)>>,
    last_price: Vec<(i64, i64)>,
    ticker_ns: Vec<i64>,
}

/// Opens a session; `None`: no such path.
pub(super) fn open(hub: &Hub, request: &Request) -> Option<Okx> {
    let business = match request.path.as_str() {
        "/ws/v5/public" => false,
        "/ws/v5/business" => true,
        _ => return None,
    };
    let count = hub.names.symbols.len();
    let connection = format!("{:08x}", fastrand::Rng::with_seed(hub.log.now_ns().unsigned_abs()).u32(..));
    let subs = Subs::new(count, CHANNELS);
    Some(Okx {
        business,
        connection,
        subs,
        chain: vec![None; count],
        last_price: vec![(0, 0); count],
        ticker_ns: vec![0; count],
    })
}

impl Okx {
    fn name(channel: usize) -> &'static str {
        ["trades", "trades-all", "tickers", "books", "books5", "bbo-tbt"][channel]
    }

    fn change(&mut self, request: &Value, op: &str, out: &mut Out<'_>) {
        let Some(args) = request.get("args").and_then(Value::as_array).filter(|args| !args.is_empty()) else {
            return self.error(out, "60012", &format!("Invalid request: {request}"));
        };
        for arg in args {
            let part = |key: &str| arg.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, inst) = (part("channel"), part("instId"));
            let channel = (0..CHANNELS).find(|&channel| Self::name(channel) == name);
            // trades-all is on the business endpoint, the others on the public one.
            let channel = channel.filter(|&channel| (channel == TRADES_ALL) == self.business);
            let (Some(channel), Some(symbol)) = (channel, out.hub.names.find(inst)) else {
                let vip = matches!(name, "books-l2-tbt" | "books50-l2-tbt");
                let words = format!(
                    "Wrong URL or channel:{name},instId:{inst} doesn't exist. Please use the correct URL, channel and parameters referring to API document."
                );
                if vip {
                    self.error(out, "60011", "Please log in");
                } else {
                    self.error(out, "60018", &words);
                }
                continue;
            };
            let mut answer = String::from("{");
            text(&mut answer, "event", op);
            raw(&mut answer, "arg", &arg_of(channel, inst));
            text(&mut answer, "connId", &self.connection);
            answer.push('}');
            out.answer(answer);
            if op == "subscribe" {
                self.begin(symbol, channel, out);
            } else {
                self.subs.remove(symbol, channel);
            }
        }
    }

    /// Begins a subscription, with what comes first: the book, or the latest trade, which may be old.
    fn begin(&mut self, symbol: usize, channel: usize, out: &mut Out<'_>) {
        let hub = out.hub;
        let now_ns = hub.log.now_ns();
        let mut market = hub.market();
        if !self.subs.add(symbol, channel, market.serial) {
            return;
        }
        let depth = (channel >= BOOKS).then(|| market.snapshot(symbol, channel - BOOKS, now_ns));
        let instrument = &market.instruments()[symbol];
        let (last, quote, update_id) = (instrument.history.back().copied(), instrument.quote, instrument.update_id);
        drop(market);
        self.last_price[symbol] = last.map_or((0, 0), |trade| (trade.price, trade.size));
        if let Some(depth) = depth {
            let text = self.depth(&depth, false, hub);
            out.first(Self::name(channel), symbol, Ids::Range(depth.last, depth.last), text);
        } else if let (TICKERS, Some((bid, ask))) = (channel, quote) {
            let quote = Quote { symbol, update_id, bid, ask, venue_ns: out.venue_ns };
            out.first("tickers", symbol, Ids::Range(update_id, update_id), self.ticker(&quote, hub));
        } else if let (TRADES | TRADES_ALL, Some(trade)) = (channel, last) {
            let text = trades(channel, &[&[trade]], symbol, hub);
            out.first(Self::name(channel), symbol, Ids::Range(trade.id, trade.id), text);
        }
    }

    fn ticker(&self, quote: &Quote, hub: &Hub) -> String {
        let names = &hub.names.symbols[quote.symbol];
        let (price, size) = self.last_price[quote.symbol];
        let mut out = frame(TICKERS, &names.name);
        out.push('{');
        text(&mut out, "instType", "SPOT");
        text(&mut out, "instId", &names.name);
        decimal_text(&mut out, "last", price, names.price);
        decimal_text(&mut out, "lastSz", size, names.size);
        decimal_text(&mut out, "askPx", quote.ask.price, names.price);
        decimal_text(&mut out, "askSz", quote.ask.size, names.size);
        decimal_text(&mut out, "bidPx", quote.bid.price, names.price);
        decimal_text(&mut out, "bidSz", quote.bid.size, names.size);
        for key in ["open24h", "high24h", "low24h", "sodUtc0", "sodUtc8"] {
            decimal_text(&mut out, key, price, names.price);
        }
        for key in ["volCcy24h", "vol24h"] {
            decimal_text(&mut out, key, 1000 * size, names.size);
        }
        number_text(&mut out, "ts", millis(quote.venue_ns));
        out.push_str("}]}");
        out
    }

    /// A frame of a book channel. A damaged one names a predecessor that never was.
    fn depth(&mut self, depth: &Depth, damaged: bool, hub: &Hub) -> String {
        let names = &hub.names.symbols[depth.symbol];
        let books = depth.feed == FEED_BOOKS;
        let mut out = format!("{{\"arg\":{}", arg_of(BOOKS + depth.feed, &names.name));
        if books {
            text(&mut out, "action", if depth.whole { "snapshot" } else { "update" });
            self.chain[depth.symbol] = Some((depth.last, Instant::now()));
        }
        out.push_str(",\"data\":[{");
        for (key, side) in [("asks", &depth.asks), ("bids", &depth.bids)] {
            super::write::key(&mut out, key);
            push_levels(&mut out, side, [names.price, names.size]);
        }
        if !books {
            text(&mut out, "instId", &names.name);
        }
        number_text(&mut out, "ts", millis(depth.venue_ns));
        if books {
            out.push_str(",\"checksum\":0");
            match depth.prev {
                Some(prev) => number(&mut out, "prevSeqId", prev + u64::from(damaged)),
                None => out.push_str(",\"prevSeqId\":-1"),
            }
        }
        number(&mut out, "seqId", depth.last);
        out.push_str("}]}");
        out
    }

    fn error(&self, out: &mut Out<'_>, code: &str, message: &str) {
        self.event(out, "error", code, message);
    }

    fn event(&self, out: &mut Out<'_>, event: &str, code: &str, message: &str) {
        let mut answer = String::from("{");
        text(&mut answer, "event", event);
        text(&mut answer, "code", code);
        any_text(&mut answer, "msg", message);
        text(&mut answer, "connId", &self.connection);
        answer.push('}');
        out.answer(answer);
    }
}

impl Session for Okx {
    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        if text == "ping" {
            return out.answer("pong");
        }
        if text.len() > REQUEST_BYTES_MAX {
            return self.error(out, "60012", "Invalid request: longer than 64 KB");
        }
        let request = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        match request.get("op").and_then(Value::as_str) {
            Some(op @ ("subscribe" | "unsubscribe")) => self.change(&request, op, out),
            Some("login") => self.error(out, "60009", "Login failed."),
            _ => self.error(out, "60012", &format!("Invalid request: {text}")),
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        let hub = out.hub;
        match fact {
            Fact::Trades(together) => {
                let (symbol, all) = (together.symbol, &together.trades);
                let last = all[all.len() - 1];
                self.last_price[symbol] = (last.price, last.size);
                if self.subs.wants(symbol, TRADES, serial) {
                    let groups: Vec<&[Trade]> = all.chunk_by(|a, b| a.aggregate == b.aggregate).collect();
                    let text = trades(TRADES, &groups, symbol, hub);
                    out.live("trades", symbol, Ids::Range(all[0].id, last.id), text);
                }
                if self.subs.wants(symbol, TRADES_ALL, serial) {
                    for trade in all {
                        let text = trades(TRADES_ALL, &[&[*trade]], symbol, hub);
                        out.live("trades-all", symbol, Ids::Range(trade.id, trade.id), text);
                    }
                }
            }
            Fact::Quote(quote) => {
                let symbol = quote.symbol;
                let due = (quote.venue_ns - self.ticker_ns[symbol]).abs() >= TICKER_EVERY_NS;
                if due && self.subs.wants(symbol, TICKERS, serial) {
                    self.ticker_ns[symbol] = quote.venue_ns;
                    let text = self.ticker(quote, hub);
                    out.live("tickers", symbol, Ids::Range(quote.update_id, quote.update_id), text);
                }
            }
            Fact::Depth(depth) => {
                let channel = BOOKS + depth.feed;
                if self.subs.wants(depth.symbol, channel, serial) {
                    // The others have no chain to break.
                    let damaged = depth.feed == FEED_BOOKS && out.takes_damage();
                    let text = self.depth(depth, damaged, hub);
                    out.live(Self::name(channel), depth.symbol, Ids::Range(depth.first, depth.last), text);
                }
            }
        }
    }

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        let quiet = activity.now.duration_since(activity.data_sent.max(activity.received));
        if out.hub.config.limits.idle.is_some_and(|idle| quiet >= idle) {
            return out.close(4004, "No data received in 30s.");
        }
        for symbol in 0..self.chain.len() {
            let Some((last, at)) = self.chain[symbol] else { continue };
            if self.subs.has(symbol, BOOKS) && activity.now.duration_since(at) >= UNCHANGED_AFTER {
                let (feed, whole, prev) = (FEED_BOOKS, false, Some(last));
                let (bids, asks, venue_ns) = (Vec::new(), Vec::new(), out.venue_ns);
                let depth = Depth {
                    symbol,
                    feed,
                    whole,
                    first: last,
                    last,
                    prev,
                    message: 0,
                    seq: 0,
                    bids,
                    asks,
                    checksum: 0,
                    venue_ns,
                };
                let text = self.depth(&depth, false, out.hub);
                out.first("books", symbol, Ids::Range(last, last), text);
            }
        }
    }

    fn counts(&self, text: Option<&str>) -> bool {
        // "480 subscribe, unsubscribe and login requests an hour": pings are free.
        text.is_some_and(|text| text != "ping")
    }

    fn too_many(&mut self, _text: Option<&str>, out: &mut Out<'_>) -> bool {
        self.error(out, "60014", "Requests too frequent");
        true
    }

    fn shutdown(&mut self, out: &mut Out<'_>) -> Option<Duration> {
        let words = "The connection will soon be closed for a service upgrade. Please reconnect.";
        self.event(out, "notice", "64008", words);
        Some(SHUTDOWN_AFTER)
    }
}

fn arg_of(channel: usize, inst: &str) -> String {
    format!("{{\"channel\":\"{}\",\"instId\":\"{inst}\"}}", Okx::name(channel))
}

fn frame(channel: usize, inst: &str) -> String {
    format!("{{\"arg\":{},\"data\":[", arg_of(channel, inst))
}

/// `[["price","size","0","orders"],...]`: a removed level has no orders; how many stand behind another is made up.
fn push_levels(out: &mut String, side: &[Level], [price, size]: [Digits; 2]) {
    out.push('[');
    for level in side {
        out.push_str(if out.ends_with('[') { "[\"" } else { ",[\"" });
        push_decimal(out, level.price, price);
        out.push_str("\",\"");
        push_decimal(out, level.size, size);
        out.push_str(if level.size == 0 { "\",\"0\",\"0\"]" } else { "\",\"0\",\"1\"]" });
    }
    out.push(']');
}

/// A frame of trades: one row for each group of executions of one order at one price.
fn trades(channel: usize, groups: &[&[Trade]], symbol: usize, hub: &Hub) -> String {
    let names = &hub.names.symbols[symbol];
    let mut out = frame(channel, &names.name);
    for group in groups {
        let last = group[group.len() - 1];
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text(&mut out, "instId", &names.name);
        number_text(&mut out, "tradeId", last.id);
        decimal_text(&mut out, "px", last.price, names.price);
        decimal_text(&mut out, "sz", group.iter().map(|trade| trade.size).sum(), names.size);
        text(&mut out, "side", side(last.taker, "buy", "sell"));
        number_text(&mut out, "ts", millis(last.venue_ns));
        if channel == TRADES {
            number_text(&mut out, "count", group.len() as u64);
            number(&mut out, "seqId", last.seq);
        }
        out.push('}');
    }
    out.push_str("]}");
    out
}

/// `/api/v5/market/history-trades`: newest first, older than `after`, newer than `before`. `None`: no such path.
pub(super) fn rest(hub: &Hub, request: &Request) -> Option<Answer> {
    if request.path != "/api/v5/market/history-trades" {
        return None;
    }
    let Some(symbol) = request.parameter("instId").and_then(|inst| hub.names.find(&inst)) else {
        let words = "{\"code\":\"51001\",\"msg\":\"Instrument ID does not exist\",\"data\":[]}";
        return Some(Answer::json(words.to_owned()));
    };
    let number_of = |key| request.parameter(key).and_then(|text| text.parse::<u64>().ok());
    // Type 1 pages by trade id, type 2 by time.
    let by_time = number_of("type") == Some(2);
    let place = |trade: &Trade| if by_time { millis(trade.venue_ns) } else { trade.id };
    let limit = number_of("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(TRADES_MAX);
    let market = hub.market();
    let history = &market.instruments()[symbol].history;
    let end = number_of("after").map_or(history.len(), |after| history.partition_point(|trade| place(trade) < after));
    let start = number_of("before").map_or(0, |before| history.partition_point(|trade| place(trade) <= before));
    let names = &hub.names.symbols[symbol];
    let mut out = String::from("{\"code\":\"0\",\"msg\":\"\",\"data\":[");
    for trade in history.range(start.min(end)..end).rev().take(limit.clamp(1, TRADES_MAX)) {
        out.push_str(if out.ends_with('[') { "{" } else { ",{" });
        text(&mut out, "instId", &names.name);
        text(&mut out, "side", side(trade.taker, "buy", "sell"));
        decimal_text(&mut out, "sz", trade.size, names.size);
        decimal_text(&mut out, "px", trade.price, names.price);
        number_text(&mut out, "tradeId", trade.id);
        number_text(&mut out, "ts", millis(trade.venue_ns));
        out.push('}');
    }
    out.push_str("]}");
    Some(Answer::json(out))
}
