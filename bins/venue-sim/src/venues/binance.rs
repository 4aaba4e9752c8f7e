//! Binance: requests for streams, and which stream a fact goes to. Spot, US, USD-M and COIN-M.
//!
//! Source: binance-spot-api-docs `web-socket-streams.md` and developers.binance.com, "Important WebSocket Change Notice",
//! read mid 2026.

use super::binance_frames::{self as frames, Style};
use super::{Ids, Out, Session, Subs};
use crate::http::Request;
use crate::hub::Hub;
use crate::market::{Depth, Fact, FeedKind, Trades};
use crate::text::push_json;
use crate::venue::Venue;
use serde_json::Value;
use std::time::Duration;

/// Channels before the depth feeds.
const TRADE: usize = 0;
const AGG_TRADE: usize = 1;
const BOOK_TICKER: usize = 2;
const DEPTH: usize = 3;
/// How long after its notice a server closes. The venue promises no time.
const SHUTDOWN_AFTER: Duration = Duration::from_secs(2);

/// Which streams an endpoint delivers. USD-M acknowledges the others as well, and stays mute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    All,
    /// Depth, quotes, and trades one by one.
    Public,
    /// Aggregated trades.
    Market,
}

/// A connection.
pub(crate) struct Binance {
    venue: Venue,
    style: Style,
    class: Class,
    /// `/stream`: frames are wrapped with the name of their stream.
    wrapped: bool,
    subs: Subs,
    /// Streams of the URL, subscribed when the connection opens.
    url_streams: Vec<String>,
}

/// Opens a session; `None`: no such path.
pub(super) fn open(hub: &Hub, request: &Request) -> Option<Binance> {
    let venue = hub.config.venue;
    let (class, rest) = match request.path.as_str() {
        path if venue == Venue::BinanceUsdm => {
            if let Some(rest) = path.strip_prefix("/public") {
                (Class::Public, rest)
            } else if let Some(rest) = path.strip_prefix("/market") {
                (Class::Market, rest)
            } else {
                // The legacy paths: only what is public is delivered since 2026-04-23.
                (Class::Public, path)
            }
        }
        path => (Class::All, path),
    };
    let (wrapped, url_streams) = match rest {
        "/ws" | "/ws/" => (false, Vec::new()),
        "/stream" => (true, split(&request.parameter("streams").unwrap_or_default())),
        rest => (false, split(rest.strip_prefix("/ws/")?)),
    };
    let style = Style {
        futures: venue.is_binance_futures(),
        coinm: venue == Venue::BinanceCoinm,
        micros: request.parameter("timeUnit").is_some_and(|unit| unit.eq_ignore_ascii_case("microsecond")),
    };
    let subs = Subs::new(hub.names.symbols.len(), DEPTH + venue.feeds().len());
    Some(Binance { venue, style, class, wrapped, subs, url_streams })
}

fn split(streams: &str) -> Vec<String> {
    streams.split('/').filter(|stream| !stream.is_empty()).map(str::to_owned).collect()
}

impl Session for Binance {
    fn open(&mut self, out: &mut Out<'_>) {
        for stream in std::mem::take(&mut self.url_streams) {
            // A stream in the URL that does not exist is taken without a word, as the venue does.
            if let Some((symbol, channel)) = self.stream(&stream, out) {
                self.subscribe(symbol, channel, out);
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Out<'_>) {
        let Ok(request) = serde_json::from_str::<Value>(text) else {
            return out.answer("{\"error\":{\"code\":3,\"msg\":\"Invalid JSON: expected value at line 1 column 1\"}}");
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        if !(id.is_u64() || id.is_string() || id.is_null()) {
            return refuse(out, &Value::Null, 2, "Invalid request: request ID must be an unsigned integer or a string");
        }
        match request.get("method").and_then(Value::as_str) {
            Some("SUBSCRIBE") => self.change(&request, &id, true, out),
            Some("UNSUBSCRIBE") => self.change(&request, &id, false, out),
            Some("LIST_SUBSCRIPTIONS") => {
                let names: Vec<String> = self.subs.iter().map(|(s, c)| self.stream_name(s, c, out)).collect();
                out.answer(serde_json::json!({ "result": names, "id": id }).to_string());
            }
            Some(other) => {
                let words = format!(
                    "Invalid request: unknown variant {other}, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS"
                );
                refuse(out, &id, 2, &words);
            }
            None => refuse(out, &id, 2, "Invalid request: missing field `method`"),
        }
    }

    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>) {
        match fact {
            Fact::Trades(trades) => self.trades(trades, serial, out),
            Fact::Quote(quote) => {
                if self.wants(quote.symbol, BOOK_TICKER, serial) {
                    let mut text = self.begin(quote.symbol, BOOK_TICKER, out);
                    frames::quote(&mut text, &out.hub.names.symbols[quote.symbol], self.style, quote);
                    self.end(&mut text);
                    out.live("quote", quote.symbol, Ids::Range(quote.update_id, quote.update_id), text);
                }
            }
            Fact::Depth(depth) => {
                if self.wants(depth.symbol, DEPTH + depth.feed, serial) {
                    self.depth(depth, out);
                }
            }
        }
    }

    fn counts(&self, _text: Option<&str>) -> bool {
        // "Ping frames, pong frames, JSON control messages": all of them.
        true
    }

    fn shutdown(&mut self, out: &mut Out<'_>) -> Option<Duration> {
        let time = self.style.time(out.venue_ns);
        let event = format!("{{\"e\":\"serverShutdown\",\"E\":{time}}}");
        out.answer(if self.wrapped { format!("{{\"stream\":\"\",\"data\":{event}}}") } else { event });
        Some(SHUTDOWN_AFTER)
    }
}

impl Binance {
    /// SUBSCRIBE or UNSUBSCRIBE: all streams of the request, or none.
    fn change(&mut self, request: &Value, id: &Value, add: bool, out: &mut Out<'_>) {
        let names: Option<Vec<&str>> = request
            .get("params")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect());
        let Some(names) = names.filter(|names| !names.is_empty()) else {
            return refuse(out, id, 2, "Invalid request: params must be an array of stream names");
        };
        let mut streams = Vec::with_capacity(names.len());
        for name in names {
            match self.stream(name, out) {
                Some(stream) => streams.push(stream),
                None => return refuse(out, id, 2, &format!("Invalid request: unknown stream {name}")),
            }
        }
        let streams_max = out.hub.config.limits.streams_max.unwrap_or(usize::MAX);
        if add && self.subs.len() + streams.len() > streams_max {
            return out.close(1008, format!("more than {streams_max} streams"));
        }
        out.answer(format!("{{\"result\":null,\"id\":{id}}}"));
        for (symbol, channel) in streams {
            if add {
                self.subscribe(symbol, channel, out);
            } else {
                self.subs.remove(symbol, channel);
            }
        }
    }

    fn subscribe(&mut self, symbol: usize, channel: usize, out: &Out<'_>) {
        let mut market = out.hub.market();
        if channel >= DEPTH {
            market.watch(symbol, channel - DEPTH);
        }
        self.subs.add(symbol, channel, market.serial);
    }

    /// Instrument and channel of a stream's name.
    fn stream(&self, name: &str, out: &Out<'_>) -> Option<(usize, usize)> {
        let (symbol, channel) = name.split_once('@')?;
        let symbol = out.hub.names.symbols.iter().position(|known| known.small == symbol)?;
        let channel = match channel {
            "trade" => TRADE,
            "aggTrade" => AGG_TRADE,
            "bookTicker" => BOOK_TICKER,
            name => DEPTH + self.venue.feeds().iter().position(|feed| is_feed(feed.name, name))?,
        };
        Some((symbol, channel))
    }

    fn stream_name(&self, symbol: usize, channel: usize, out: &Out<'_>) -> String {
        let channel = match channel {
            TRADE => "trade",
            AGG_TRADE => "aggTrade",
            BOOK_TICKER => "bookTicker",
            feed => self.venue.feeds()[feed - DEPTH].name,
        };
        format!("{}@{channel}", out.hub.names.symbols[symbol].small)
    }

    fn wants(&self, symbol: usize, channel: usize, serial: u64) -> bool {
        let delivered = match self.class {
            Class::All => true,
            Class::Public => channel != AGG_TRADE,
            Class::Market => channel == AGG_TRADE,
        };
        delivered && self.subs.wants(symbol, channel, serial)
    }

    fn trades(&self, trades: &Trades, serial: u64, out: &mut Out<'_>) {
        let symbol = trades.symbol;
        if self.wants(symbol, TRADE, serial) {
            for trade in &trades.trades {
                let mut text = self.begin(symbol, TRADE, out);
                frames::trade(&mut text, &out.hub.names.symbols[symbol], self.style, trade);
                self.end(&mut text);
                out.live("trade", symbol, Ids::Range(trade.id, trade.id), text);
            }
        }
        if self.wants(symbol, AGG_TRADE, serial) {
            for together in trades.trades.chunk_by(|a, b| a.aggregate == b.aggregate) {
                let mut text = self.begin(symbol, AGG_TRADE, out);
                frames::agg_trade(&mut text, &out.hub.names.symbols[symbol], self.style, together);
                self.end(&mut text);
                out.live("aggTrade", symbol, Ids::Range(together[0].aggregate, together[0].aggregate), text);
            }
        }
    }

    fn depth(&self, depth: &Depth, out: &mut Out<'_>) {
        let symbol = depth.symbol;
        let mut text = self.begin(symbol, DEPTH + depth.feed, out);
        let mut damaged = None;
        if out.takes_damage() {
            // No checksum here: the chain of ids is what is broken. The first id, and on futures the one before, is
            // one too high.
            let (first, prev) = (depth.first + 1, depth.prev.map(|prev| prev + 1));
            damaged = Some(Depth { first, prev, last: depth.last.max(first), ..depth.clone() });
        }
        let ids = Ids::Range(depth.first, depth.last);
        let depth = damaged.as_ref().unwrap_or(depth);
        let names = &out.hub.names.symbols[symbol];
        let changes = self.venue.feeds()[depth.feed].kind == FeedKind::Changes;
        if changes || self.style.futures {
            frames::depth_update(&mut text, names, self.style, depth);
        } else {
            frames::depth_partial(&mut text, names, depth);
        }
        self.end(&mut text);
        let kind = if changes { "depth" } else { "depth-partial" };
        out.live(kind, symbol, ids, text);
    }

    fn begin(&self, symbol: usize, channel: usize, out: &Out<'_>) -> String {
        let mut text = String::with_capacity(256);
        if self.wrapped {
            text.push_str("{\"stream\":\"");
            text.push_str(&self.stream_name(symbol, channel, out));
            text.push_str("\",\"data\":");
        }
        text
    }

    fn end(&self, text: &mut String) {
        if self.wrapped {
            text.push('}');
        }
    }
}

/// Whether a feed is meant. The interval of the plain name may be written out: `depth@1000ms` is `depth`.
fn is_feed(feed: &str, name: &str) -> bool {
    feed == name || name.strip_suffix("@1000ms").or_else(|| name.strip_suffix("@250ms")) == Some(feed)
}

fn refuse(out: &mut Out<'_>, id: &Value, code: u32, words: &str) {
    let mut text = format!("{{\"error\":{{\"code\":{code},\"msg\":");
    push_json(&mut text, words);
    text.push_str(&format!("}},\"id\":{id}}}"));
    out.answer(text);
}
