//! Bybit v5: `publicTrade`, `orderbook` and `tickers`, spot and linear. The two markets have the same names on different
//! paths; in the configuration and the log the linear ones begin with `linear/`.
//!
//! Source: bybit-exchange/docs, v5 websocket public and connect, read mid 2026; shapes as recorded on 2026-08-09.

use super::bybit_frames as frames;
use super::write::{any_text, raw, text};
use super::{Activity, Ids, Out, Session, Subs};
use crate::http::Request;
use crate::hub::Hub;
use crate::market::{Fact, Quote};
use serde_json::Value;
use std::time::{Duration, Instant};

const TRADE: usize = 0;
const TICKERS: usize = 1;
/// Book topics, in the order of the feeds.
const BOOK: usize = 2;
const CHANNELS: usize = 6;
/// `orderbook.1` comes first among the feeds.
const FEED_BEST: usize = 0;
/// The best levels are sent again when they did not change for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(3);
/// Topics of a request on spot.
const SPOT_ARGS_MAX: usize = 10;

/// A connection.
pub(crate) struct Bybit {
    linear: bool,
    connection: String,
    subs: Subs,
    /// Best levels as last sent, and when.
    best: Vec<Option<(String, u64, Instant)>>,
    quotes: Vec<Option<Quote>>,
}

/// Opens a session; `None`: no such path.
pub(super) fn open(hub: &Hub, request: &Request) -> Option<Bybit> {
    let linear = match request.path.as_str() {
        "/v5/public/spot" => false,
        "/v5/public/linear" => true,
        _ => return None,
    };
    let count = hub.names.symbols.len();
    let mut rng = fastrand::Rng::with_seed(hub.log.now_ns().unsigned_abs());
    let connection: String = (0..20).map(|_| rng.lowercase()).collect::<String>() + "-1a2b3";
    Some(Bybit {
        linear,
        connection,
        subs: Subs::new(count, CHANNELS),
        best: vec![None; count],
        quotes: vec![None; count],
    })
}

impl Bybit {
    /// Channel and instrument of a topic, or the venue's words against it.
    fn topic(&self, topic: &str, hub: &Hub) -> Result<(usize, usize), String> {
        let (name, symbol) = topic.rsplit_once('.').unwrap_or((topic, ""));
        let channel = match name {
            "publicTrade" => TRADE,
            "tickers" => TICKERS,
            name => {
                let feeds = hub.config.venue.feeds();
                let feed = feeds.iter().position(|feed| feed.name == name);
                BOOK + feed.ok_or_else(|| format!("error:handler not found,topic:{topic}"))?
            }
        };
        let symbol = hub.names.symbols.iter().position(|known| known.linear == self.linear && known.printed == symbol);
        Ok((channel, symbol.ok_or_else(|| format!("Invalid symbol :[{topic}]"))?))
    }

    fn change(&mut self, request: &Value, op: &str, out: &mut Out<'_>) {
        let args = request.get("args").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let answer = |out: &mut Out<'_>, outcome: Result<(), String>| {
            let words = match &outcome {
                Ok(()) if self.linear => "",
                Ok(()) => op,
                Err(words) => words,
            };
            out.answer(reply(request, op, words, outcome.is_ok(), self.linear, &self.connection));
        };
        if !self.linear && args.len() > SPOT_ARGS_MAX {
            return answer(out, Err("args size >10".to_owned()));
        }
        let topics: Result<Vec<_>, _> =
            args.iter().map(|topic| self.topic(topic.as_str().unwrap_or_default(), out.hub)).collect();
        match topics {
            Ok(topics) if !topics.is_empty() => {
                answer(out, Ok(()));
                for (channel, symbol) in topics {
                    if op == "subscribe" {
                        self.begin(symbol, channel, out);
                    } else {
                        self.subs.remove(symbol, channel);
                    }
                }
            }
            Ok(_) => answer(out, Err("args is empty".to_owned())),
            Err(words) => answer(out, Err(words)),
        }
    }

    /// Begins a subscription, with the book or the ticker as it is. Trades have no past here.
    fn begin(&mut self, symbol: usize, channel: usize, out: &mut Out<'_>) {
        let hub = out.hub;
        let now_ns = hub.log.now_ns();
        let mut market = hub.market();
        if !self.subs.add(symbol, channel, market.serial) {
            return;
        }
        let depth = (channel >= BOOK).then(|| market.snapshot(symbol, channel - BOOK, now_ns));
        let instrument = &market.instruments()[symbol];
        let (update_id, venue_ns) = (instrument.update_id, out.venue_ns);
        self.quotes[symbol] = instrument.quote.map(|(bid, ask)| Quote { symbol, update_id, bid, ask, venue_ns });
        let last = instrument.history.back().copied();
        drop(market);
        if let Some(depth) = depth {
            let text = frames::depth(&depth, false, hub);
            if depth.feed == FEED_BEST {
                self.best[symbol] = Some((text.clone(), depth.message, Instant::now()));
            }
            out.first("orderbook", symbol, Ids::Range(depth.message, depth.message), text);
        } else if let (TICKERS, Some(quote), Some(last)) = (channel, self.quotes[symbol], last) {
            out.first("tickers", symbol, Ids::None, frames::ticker(&quote, last.price, hub));
        }
    }
}

impl Session for Bybit {
    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        let request = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        match request.get("op").and_then(Value::as_str) {
            Some(op @ ("subscribe" | "unsubscribe")) => self.change(&request, op, out),
            Some("ping") => out.answer(reply(&request, "ping", "pong", true, true, &self.connection)),
            op => {
                let words = format!("error:unknown op {}", op.unwrap_or_default());
                out.answer(reply(&request, op.unwrap_or_default(), &words, false, true, &self.connection));
            }
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        let hub = out.hub;
        match fact {
            Fact::Trades(together) => {
                let (symbol, trades) = (together.symbol, &together.trades);
                let (first, last) = (&trades[0], &trades[trades.len() - 1]);
                if self.subs.wants(symbol, TRADE, serial) {
                    let ids = Ids::Texts(hub.names.trade_id(symbol, first), hub.names.trade_id(symbol, last));
                    out.live("publicTrade", symbol, ids, frames::trades(trades, symbol, hub));
                }
                // Spot tickers are whole each time; linear ones tell the best levels below.
                if let (false, Some(quote)) = (self.linear, self.quotes[symbol])
                    && self.subs.wants(symbol, TICKERS, serial)
                {
                    let quote = Quote { venue_ns: last.venue_ns, ..quote };
                    out.live("tickers", symbol, Ids::None, frames::ticker(&quote, last.price, hub));
                }
            }
            Fact::Quote(quote) => {
                let symbol = quote.symbol;
                let before = self.quotes[symbol].replace(*quote);
                if self.linear && self.subs.wants(symbol, TICKERS, serial) {
                    let text = frames::ticker_delta(before.as_ref(), quote, hub);
                    out.live("tickers", symbol, Ids::Range(quote.update_id, quote.update_id), text);
                }
            }
            Fact::Depth(depth) => {
                let symbol = depth.symbol;
                if self.subs.wants(symbol, BOOK + depth.feed, serial) {
                    let damaged = out.takes_damage();
                    let text = frames::depth(depth, damaged, hub);
                    if depth.feed == FEED_BEST {
                        self.best[symbol] = Some((text.clone(), depth.message, Instant::now()));
                    }
                    out.live("orderbook", symbol, Ids::Range(depth.message, depth.message), text);
                }
            }
        }
    }

    fn tick(&mut self, activity: &Activity, out: &mut Out<'_>) {
        let quiet = activity.now.duration_since(activity.received);
        if out.hub.config.limits.idle.is_some_and(|idle| quiet >= idle) {
            return out.close(1000, "no ping");
        }
        for symbol in 0..self.best.len() {
            let again = self.best[symbol].as_mut().filter(|(.., at)| activity.now.duration_since(*at) >= AGAIN_AFTER);
            if let Some((text, message, at)) = again
                && self.subs.has(symbol, BOOK + FEED_BEST)
            {
                *at = activity.now;
                out.first("orderbook", symbol, Ids::Range(*message, *message), text.clone());
            }
        }
    }
}

/// An answer to a request. Spot leaves `req_id` out when there was none.
fn reply(request: &Value, op: &str, words: &str, success: bool, id_always: bool, connection: &str) -> String {
    let mut out = String::from("{");
    raw(&mut out, "success", if success { "true" } else { "false" });
    any_text(&mut out, "ret_msg", words);
    text(&mut out, "conn_id", connection);
    match request.get("req_id").and_then(Value::as_str) {
        Some(id) => any_text(&mut out, "req_id", id),
        None if id_always => text(&mut out, "req_id", ""),
        None => {}
    }
    any_text(&mut out, "op", op);
    out.push('}');
    out
}
