//! Bybit spot and linear, fifth protocol: topics, books in band, a ping of its own.
//!
//! Sources (read mid 2026): bybit-exchange/docs, `docs/v5/websocket/wss-authentication.mdx`,
//! `docs/v5/websocket/public/{orderbook,trade,ticker}.mdx`, `docs/v5/rate-limit/rate-limit.mdx`,
//! `docs/v5/market/recent-trade.mdx`.

use super::json::{about, parse, quoted, refused, request_id, text};
use super::request::{Shape, base, cut, in_address, same_symbol};
use super::{Answer, Defaults, Market, Protocol, Pull, Request, Route, Subject, TextPing};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use serde_json::Value;
use std::time::Duration;

/// One of Bybit's markets.
#[derive(Debug)]
pub(super) struct Bybit {
    market: Market,
    limits: Limits,
    rest: String,
    levels: u32,
}

pub(super) fn defaults(market: Market) -> Defaults {
    const SECOND: Duration = Duration::from_secs(1);
    Defaults {
        endpoints: Endpoints {
            ws: vec!["wss://stream.bybit.com".to_owned()],
            rest: "https://api.bybit.com".to_owned(),
            ca_file: None,
        },
        limits: Limits {
            // Arguments of a connection: 21,000 characters. The longest topic has about 40.
            streams_per_connection: 500,
            // Spot: 10 arguments a request.
            streams_per_request: if market == Market::BybitSpot { 10 } else { 50 },
            request_bytes: 4_096,
            // No number is documented.
            messages: Budget { count: 10, period: SECOND, burst: 10 },
            // 500 connections in 5 minutes for a domain.
            connects: Budget { count: 400, period: Duration::from_secs(300), burst: 80 },
            // 600 requests in 5 seconds for an address.
            rest_weight: Budget { count: 50, period: SECOND, burst: 20 },
        },
        periods: Periods::default(),
        depth_levels: 200,
    }
}

impl Bybit {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self {
            market: config.market,
            limits: config.limits,
            rest: base(&config.endpoints.rest).to_owned(),
            levels: config.depth_levels,
        }
    }

    const fn category(&self) -> &'static str {
        if matches!(self.market, Market::BybitSpot) { "spot" } else { "linear" }
    }

    fn topic(&self, stream: &Stream) -> String {
        let symbol = &stream.symbol;
        match stream.kind {
            StreamKind::Trades => format!("publicTrade.{symbol}"),
            StreamKind::Quotes => format!("tickers.{symbol}"),
            StreamKind::Depth => format!("orderbook.{}.{symbol}", self.levels),
        }
    }

    /// One symbol a request: a topic that the venue does not know spoils the whole request.
    fn request(&self, op: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let item = |stream: &Stream| quoted(&self.topic(stream));
        let around = |id: u64, _: &Stream, list: &str| format!(r#"{{"req_id":"{id}","op":"{op}","args":[{list}]}}"#);
        cut(streams, &self.limits, first_id, &Shape { may_join: same_symbol, item: &item, around: &around })
    }
}

fn stream(topic: &str) -> Option<Stream> {
    let (channel, rest) = topic.split_once('.')?;
    let (kind, symbol) = match channel {
        "publicTrade" => (StreamKind::Trades, rest),
        "tickers" => (StreamKind::Quotes, rest),
        "orderbook" => (StreamKind::Depth, rest.split_once('.')?.1),
        _ => return None,
    };
    Some(Stream { kind, symbol: symbol.to_owned() })
}

/// The streams of the topics in `data.failTopics` or `data.successTopics`, where the venue lists them.
fn listed(frame: &Value, list: &str) -> Vec<Stream> {
    let topics = frame.get("data").and_then(|data| data.get(list)).and_then(Value::as_array);
    topics.into_iter().flatten().filter_map(|topic| stream(topic.as_str()?)).collect()
}

/// The topic in `error:handler not found,topic:orderbook.50.XYZ` and in `Invalid symbol :[publicTrade.XYZ]`.
fn named_in(message: &str) -> Option<Stream> {
    let (_, topic) = message.split_once("topic:").or_else(|| message.split_once('['))?;
    stream(topic.split([']', ',', ' ']).next()?)
}

impl Protocol for Bybit {
    fn rules(&self) -> Rules {
        // Recorded ids of spot are numbers, those of derivatives UUIDs.
        let trades = if self.market == Market::BybitSpot { TradeIds::Learned } else { TradeIds::Opaque };
        Rules { book: BookRule::Next, trades, is_global: false }
    }

    /// The tickers of spot carry neither bid nor ask.
    fn refuses(&self, kind: StreamKind) -> Option<&'static str> {
        let is_spot_quotes = self.market == Market::BybitSpot && kind == StreamKind::Quotes;
        is_spot_quotes.then_some("record depth, with depth_levels = 1 for the best bid and ask alone")
    }

    fn route(&self, _: StreamKind) -> Route {
        Route(0)
    }

    fn url(&self, endpoint: &str, _: Route) -> String {
        format!("{}/v5/public/{}", base(endpoint), self.category())
    }

    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("subscribe", streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("unsubscribe", streams, first_id)
    }

    /// `{"success":true,"ret_msg":"","conn_id":"..","req_id":"1","op":"subscribe"}`. The answer to a ping names itself
    /// `ping`, with `ret_msg` pong, or `pong`, by product.
    fn answer(&self, frame: &str) -> Answer {
        let Some(frame) = parse(frame) else { return Answer::Other };
        match text(&frame, "op") {
            Some("ping" | "pong") => return Answer::Alive,
            Some("subscribe") => {}
            // Products differ in whether they say `op`.
            None if frame.get("success").is_some() => {}
            _ => return Answer::Other,
        }
        if text(&frame, "ret_msg") == Some("pong") {
            return Answer::Alive;
        }
        let (failed, accepted) = (listed(&frame, "failTopics"), listed(&frame, "successTopics"));
        let words = text(&frame, "ret_msg");
        if !failed.is_empty() {
            return refused(Subject::Streams(failed), &[words]);
        }
        let subject = about(request_id(&frame, "req_id"));
        if frame.get("success").and_then(Value::as_bool) == Some(true) {
            return Answer::Accepted(if accepted.is_empty() { subject } else { Subject::Streams(accepted) });
        }
        // The request was refused as a whole; what it names is to blame, but nothing of it is subscribed.
        let named = words.and_then(named_in).map(|stream| Subject::Streams(vec![stream]));
        let subject = if subject == Subject::Unknown { named.unwrap_or(subject) } else { subject };
        refused(subject, &[words])
    }

    /// Asked for every 20 s; cut after 10 minutes without. More often, so that a dead connection is seen sooner.
    fn text_ping(&self) -> Option<TextPing> {
        Some(TextPing { only_when_silent: false, every: Duration::from_secs(10), text: r#"{"op":"ping"}"#.to_owned() })
    }

    fn snapshot(&self, _: &str) -> Option<Pull> {
        None
    }

    /// The latest ones: older trades cannot be asked for by id.
    fn trades(&self, symbol: &str, _: u64, _: u64) -> Option<Pull> {
        let (category, symbol) = (self.category(), in_address(symbol));
        let limit = if self.market == Market::BybitSpot { 60 } else { 1_000 };
        let url = format!("{}/v5/market/recent-trade?category={category}&symbol={symbol}&limit={limit}", self.rest);
        (!self.rest.is_empty()).then_some(Pull { url, weight: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol_of;
    use super::super::testing::{accepted, config, refused, streams, texts};
    use super::*;

    #[test]
    fn one_symbol_a_request() {
        let linear = protocol_of(&config(Market::BybitLinear));
        let wanted = streams(&StreamKind::ALL, &["BTCUSDT", "ETHUSDT"]);
        assert_eq!(
            texts(&linear.subscribe(&wanted, 1)),
            [
                r#"{"req_id":"1","op":"subscribe","args":["publicTrade.BTCUSDT","tickers.BTCUSDT","orderbook.200.BTCUSDT"]}"#,
                r#"{"req_id":"2","op":"subscribe","args":["publicTrade.ETHUSDT","tickers.ETHUSDT","orderbook.200.ETHUSDT"]}"#,
            ]
        );
        let spot = protocol_of(&LiveConfig { depth_levels: 1, ..config(Market::BybitSpot) });
        assert_eq!(
            texts(&spot.unsubscribe(&wanted[2..3], 5)),
            [r#"{"req_id":"5","op":"unsubscribe","args":["orderbook.1.BTCUSDT"]}"#]
        );
        let url = |protocol: &dyn Protocol| protocol.url("wss://stream.bybit.com", Route(0));
        assert_eq!(url(&*linear), "wss://stream.bybit.com/v5/public/linear");
        assert_eq!(url(&*spot), "wss://stream.bybit.com/v5/public/spot");
        let pull = |protocol: &dyn Protocol| protocol.trades("BTCUSDT", 1, 2).map(|pull| pull.url).unwrap();
        let recent = "https://api.bybit.com/v5/market/recent-trade?category=";
        assert_eq!(pull(&*linear), format!("{recent}linear&symbol=BTCUSDT&limit=1000"));
        assert_eq!(pull(&*spot), format!("{recent}spot&symbol=BTCUSDT&limit=60"));
    }

    #[test]
    fn spot_has_no_quotes() {
        for market in Market::ALL {
            let protocol = protocol_of(&config(market));
            let refused = StreamKind::ALL.map(|kind| protocol.refuses(kind).is_some());
            assert_eq!(refused, [false, market == Market::BybitSpot, false], "{}", market.name());
        }
    }

    #[test]
    fn answers() {
        let linear = protocol_of(&config(Market::BybitLinear));
        let not_found = "error:handler not found,topic:orderbook.50.XYZ";
        let by_number = |id, why: &str| Answer::Refused(Subject::Request(id), why.to_owned());
        let cases = [
            (
                r#"{"success":true,"ret_msg":"subscribe","conn_id":"a","req_id":"12","op":"subscribe"}"#.to_owned(),
                Answer::Accepted(Subject::Request(12)),
            ),
            (
                r#"{"success":true,"ret_msg":"","conn_id":"a","req_id":"","op":"subscribe"}"#.to_owned(),
                Answer::Accepted(Subject::Unknown),
            ),
            (
                format!(r#"{{"success":false,"ret_msg":"{not_found}","conn_id":"a","req_id":"3","op":"subscribe"}}"#),
                by_number(3, not_found),
            ),
            (
                format!(r#"{{"success":false,"ret_msg":"{not_found}","conn_id":"a","op":"subscribe"}}"#),
                refused(&[(StreamKind::Depth, "XYZ")], not_found),
            ),
            (
                r#"{"success":false,"ret_msg":"Invalid symbol :[publicTrade.XYZ]","op":"subscribe"}"#.to_owned(),
                refused(&[(StreamKind::Trades, "XYZ")], "Invalid symbol :[publicTrade.XYZ]"),
            ),
            (
                r#"{"success":true,"conn_id":"a","data":{"failTopics":[],"successTopics":["tickers.A"]},"type":"COMMAND_RESP"}"#
                    .to_owned(),
                accepted(&[(StreamKind::Quotes, "A")]),
            ),
            (
                r#"{"success":false,"conn_id":"a","data":{"failTopics":["tickers.B"],"successTopics":[]},"type":"COMMAND_RESP"}"#
                    .to_owned(),
                refused(&[(StreamKind::Quotes, "B")], "without a reason"),
            ),
            (r#"{"success":true,"ret_msg":"pong","conn_id":"a","req_id":"","op":"ping"}"#.to_owned(), Answer::Alive),
            (r#"{"args":["1672916271846"],"op":"pong"}"#.to_owned(), Answer::Alive),
            (
                r#"{"success":true,"ret_msg":"","conn_id":"a","req_id":"4","op":"unsubscribe"}"#.to_owned(),
                Answer::Other,
            ),
            (r#"{"topic":"kline.1.BTCUSDT","data":[]}"#.to_owned(), Answer::Other),
        ];
        for (frame, answer) in cases {
            assert_eq!(linear.answer(&frame), answer, "{frame}");
        }
    }
}
