//! Kraken spot, second protocol: one acknowledgement a symbol, a snapshot of every channel in band.
//!
//! Source: docs.kraken.com spot-ws v2 (book, trade, ticker, ping, status) and REST "Get Recent Trades" (read mid 2026).

use super::json::{about, parse, quoted, refused, request_id, text};
use super::request::{Shape, base, cut, in_address, same_kind};
use super::{Answer, Defaults, Protocol, Pull, Request, Route, Subject, TextPing};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

/// Kraken's market.
#[derive(Debug)]
pub(super) struct Kraken {
    limits: Limits,
    rest: String,
    /// Levels a side of the book.
    depth: u32,
}

pub(super) fn defaults() -> Defaults {
    const SECOND: Duration = Duration::from_secs(1);
    Defaults {
        endpoints: Endpoints {
            ws: vec!["wss://ws.kraken.com".to_owned()],
            rest: "https://api.kraken.com".to_owned(),
            ca_file: None,
        },
        limits: Limits {
            // No number is documented.
            streams_per_connection: 300,
            streams_per_request: 100,
            request_bytes: 4_096,
            // No number is documented for "Exceeded msg rate"; nautilus keeps 20 a second, burst 10.
            messages: Budget { count: 10, period: SECOND, burst: 5 },
            // About 150 attempts in 10 minutes (hummingbot, Kraken.Net); not on a page of the venue.
            connects: Budget { count: 120, period: Duration::from_secs(600), burst: 40 },
            // Public requests: one a second for an address and pair.
            rest_weight: Budget { count: 1, period: SECOND, burst: 1 },
        },
        periods: Periods::default(),
        depth_levels: 100,
    }
}

const fn channel(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Trades => "trade",
        StreamKind::Quotes => "ticker",
        StreamKind::Depth => "book",
    }
}

fn kind_of(channel: &str) -> Option<StreamKind> {
    StreamKind::ALL.into_iter().find(|&kind| self::channel(kind) == channel)
}

impl Kraken {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self { limits: config.limits, rest: base(&config.endpoints.rest).to_owned(), depth: config.depth_levels }
    }

    fn request(&self, method: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let is_subscribe = method == "subscribe";
        let item = |stream: &Stream| quoted(&stream.symbol);
        let around = |id: u64, first: &Stream, list: &str| {
            let more = match first.kind {
                // The latest trades: after a reconnect they show what was missed, and fill it.
                StreamKind::Trades if is_subscribe => r#","snapshot":true"#.to_owned(),
                // At every change of the best bid or ask, not only at trades.
                StreamKind::Quotes if is_subscribe => r#","event_trigger":"bbo","snapshot":true"#.to_owned(),
                StreamKind::Quotes => r#","event_trigger":"bbo""#.to_owned(),
                StreamKind::Depth if is_subscribe => format!(r#","depth":{},"snapshot":true"#, self.depth),
                StreamKind::Depth => format!(r#","depth":{}"#, self.depth),
                StreamKind::Trades => String::new(),
            };
            let channel = channel(first.kind);
            format!(
                r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":[{list}]{more}}},"req_id":{id}}}"#
            )
        };
        cut(streams, &self.limits, first_id, &Shape { may_join: same_kind, item: &item, around: &around })
    }
}

impl Protocol for Kraken {
    fn rules(&self) -> Rules {
        Rules { book: BookRule::Checksum { depth: self.depth }, trades: TradeIds::Dense, is_global: false }
    }

    fn refuses(&self, _: StreamKind) -> Option<&'static str> {
        None
    }

    fn route(&self, _: StreamKind) -> Route {
        Route(0)
    }

    fn url(&self, endpoint: &str, _: Route) -> String {
        format!("{}/v2", base(endpoint))
    }

    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("subscribe", streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("unsubscribe", streams, first_id)
    }

    /// One answer for each symbol of a request, all with the request's number. A refusal names the symbol and not the
    /// channel: what is not traded is not traded in any.
    fn answer(&self, frame: &str) -> Answer {
        let Some(frame) = parse(frame) else { return Answer::Other };
        match (text(&frame, "method"), text(&frame, "channel")) {
            (Some("subscribe" | "unsubscribe"), _) => {}
            (Some("pong"), _) | (_, Some("heartbeat" | "status")) => return Answer::Alive,
            _ if frame.get("error").is_some() => {
                return refused(about(request_id(&frame, "req_id")), &[text(&frame, "error")]);
            }
            _ => return Answer::Other,
        }
        let result = frame.get("result").unwrap_or(&frame);
        let symbol = text(result, "symbol").or_else(|| text(&frame, "symbol"));
        let kind = text(result, "channel").and_then(kind_of);
        let kinds = kind.map_or(StreamKind::ALL.to_vec(), |kind| vec![kind]);
        let subject = match symbol {
            Some(symbol) => {
                Subject::Streams(kinds.into_iter().map(|kind| Stream { kind, symbol: symbol.to_owned() }).collect())
            }
            None => about(request_id(&frame, "req_id")),
        };
        match frame.get("success").and_then(serde_json::Value::as_bool) {
            Some(true) if text(&frame, "method") == Some("unsubscribe") => Answer::Other,
            Some(true) => Answer::Accepted(subject),
            _ => refused(subject, &[text(&frame, "error")]),
        }
    }

    /// The venue sends a heartbeat each second when there is nothing else, once something is subscribed.
    fn text_ping(&self) -> Option<TextPing> {
        let text = r#"{"method":"ping"}"#.to_owned();
        Some(TextPing { only_when_silent: true, every: Duration::from_secs(5), text })
    }

    fn snapshot(&self, _: &str) -> Option<Pull> {
        None
    }

    /// The latest 1,000 trades: `since` is a time here, not an id.
    fn trades(&self, symbol: &str, _: u64, _: u64) -> Option<Pull> {
        let url = format!("{}/0/public/Trades?pair={}&count=1000", self.rest, in_address(symbol));
        (!self.rest.is_empty()).then_some(Pull { url, weight: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{accepted, config, refused, streams, texts};
    use super::super::{Market, protocol_of};
    use super::*;

    #[test]
    fn one_channel_a_request() {
        let kraken = protocol_of(&config(Market::Kraken));
        let wanted = streams(&StreamKind::ALL, &["BTC/USD", "ETH/USD"]);
        let requests = kraken.subscribe(&wanted, 4);
        assert_eq!(
            texts(&requests),
            [
                r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","ETH/USD"],"snapshot":true},"req_id":4}"#,
                r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD","ETH/USD"],"event_trigger":"bbo","snapshot":true},"req_id":5}"#,
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":100,"snapshot":true},"req_id":6}"#,
            ]
        );
        assert_eq!(requests[2].streams, streams(&[StreamKind::Depth], &["BTC/USD", "ETH/USD"]));
        let texts_of_end: Vec<String> = kraken.unsubscribe(&wanted[..3], 7).into_iter().map(|r| r.text).collect();
        assert_eq!(
            texts_of_end,
            [
                r#"{"method":"unsubscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":7}"#,
                r#"{"method":"unsubscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo"},"req_id":8}"#,
                r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":100},"req_id":9}"#,
            ]
        );
        assert_eq!(kraken.url("wss://ws.kraken.com", Route(0)), "wss://ws.kraken.com/v2");
        let pull = kraken.trades("BTC/USD", 1, 2).unwrap();
        assert_eq!(pull.url, "https://api.kraken.com/0/public/Trades?pair=BTC%2FUSD&count=1000");
        assert_eq!(kraken.rules().book, BookRule::Checksum { depth: 100 });
    }

    #[test]
    fn answers() {
        let kraken = protocol_of(&config(Market::Kraken));
        let all = [StreamKind::Trades, StreamKind::Quotes, StreamKind::Depth].map(|kind| (kind, "BTC/BLAH"));
        let not_traded = refused(&all, "Currency pair not supported BTC/BLAH");
        let cases = [
            (
                r#"{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD","depth":10,"snapshot":true},"success":true,"time_in":"2026-08-16T23:37:04.334090Z","time_out":"2026-08-16T23:37:04.334135Z","req_id":1}"#,
                accepted(&[(StreamKind::Depth, "BTC/USD")]),
            ),
            (
                r#"{"method":"subscribe","result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,"symbol":"ETH/USD"},"success":true}"#,
                accepted(&[(StreamKind::Quotes, "ETH/USD")]),
            ),
            (
                r#"{"error":"Currency pair not supported BTC/BLAH","method":"subscribe","req_id":1,"success":false,"symbol":"BTC/BLAH","time_in":"2026-08-16T23:37:04.334090Z"}"#,
                not_traded,
            ),
            (
                r#"{"error":"Subscription depth not supported","method":"subscribe","success":false,"req_id":8}"#,
                Answer::Refused(Subject::Request(8), "Subscription depth not supported".to_owned()),
            ),
            (
                r#"{"error":"Exceeded msg rate","success":false}"#,
                Answer::Refused(Subject::Unknown, "Exceeded msg rate".to_owned()),
            ),
            (
                r#"{"method":"unsubscribe","result":{"channel":"book","symbol":"BTC/USD","depth":10},"success":true,"req_id":2}"#,
                Answer::Other,
            ),
            (r#"{"method":"pong","req_id":101,"time_in":"2026-08-16T23:37:04.334090Z"}"#, Answer::Alive),
            (r#"{"channel":"heartbeat"}"#, Answer::Alive),
            (r#"{"channel":"status","type":"update","data":[{"system":"online"}]}"#, Answer::Alive),
            (r#"{"channel":"ohlc","type":"update","data":[]}"#, Answer::Other),
            ("[1]", Answer::Other),
        ];
        for (frame, answer) in cases {
            assert_eq!(kraken.answer(frame), answer, "{frame}");
        }
    }
}
