//! OKX, fifth protocol: single trades on the business route, everything else on the public one.
//!
//! Sources (read mid 2026): okx.com/docs-v5, "WebSocket", "Order Book Trading / Market Data"; codes 60018 and 64008 as
//! gocryptotrader and nautilus handle them.

use super::json::{about, parse, quoted, refused, request_id, text};
use super::request::{Shape, any_two, base, cut, in_address};
use super::{Answer, Defaults, Protocol, Pull, Request, Route, Subject, TextPing};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

const PUBLIC: Route = Route(0);
/// `trades-all` is carried here.
const BUSINESS: Route = Route(1);

/// OKX's instruments.
#[derive(Debug)]
pub(super) struct Okx {
    limits: Limits,
    rest: String,
    levels: u32,
}

pub(super) fn defaults() -> Defaults {
    const SECOND: Duration = Duration::from_secs(1);
    Defaults {
        endpoints: Endpoints {
            ws: vec!["wss://ws.okx.com:8443".to_owned()],
            rest: "https://www.okx.com".to_owned(),
            ca_file: None,
        },
        limits: Limits {
            // No number is documented.
            streams_per_connection: 300,
            streams_per_request: 100,
            // All arguments of a request: 64 KB.
            request_bytes: 60_000,
            // 480 requests to subscribe and unsubscribe an hour on a connection.
            messages: Budget { count: 460, period: Duration::from_secs(3_600), burst: 60 },
            // 3 a second for an address.
            connects: Budget { count: 2, period: SECOND, burst: 1 },
            // 20 requests in 2 seconds for an address.
            rest_weight: Budget { count: 8, period: SECOND, burst: 4 },
        },
        // Cut after 30 s without data, whatever pings say; the text ping below is what counts.
        periods: Periods { silence: Duration::from_secs(25), ..Periods::default() },
        depth_levels: 400,
    }
}

impl Okx {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self { limits: config.limits, rest: base(&config.endpoints.rest).to_owned(), levels: config.depth_levels }
    }

    const fn channel(&self, kind: StreamKind) -> &'static str {
        match kind {
            // `trades` merges the fills of an order at a price.
            StreamKind::Trades => "trades-all",
            StreamKind::Quotes => "bbo-tbt",
            StreamKind::Depth if self.levels <= 5 => "books5",
            StreamKind::Depth => "books",
        }
    }

    fn request(&self, op: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let item = |stream: &Stream| {
            format!(r#"{{"channel":"{}","instId":{}}}"#, self.channel(stream.kind), quoted(&stream.symbol))
        };
        let around = |id: u64, _: &Stream, list: &str| format!(r#"{{"id":"{id}","op":"{op}","args":[{list}]}}"#);
        cut(streams, &self.limits, first_id, &Shape { may_join: any_two, item: &item, around: &around })
    }
}

fn stream(channel: &str, symbol: &str) -> Option<Stream> {
    let kind = match channel {
        "trades-all" | "trades" => StreamKind::Trades,
        "bbo-tbt" | "tickers" => StreamKind::Quotes,
        _ if channel.starts_with("books") => StreamKind::Depth,
        _ => return None,
    };
    Some(Stream { kind, symbol: symbol.to_owned() })
}

/// The stream in `Wrong URL or channel:books,instId:XYZ-USDT doesn't exist. ..`.
fn named_in(message: &str) -> Option<Stream> {
    let (_, rest) = message.split_once("channel:")?;
    let (channel, rest) = rest.split_once(",instId:")?;
    stream(channel.trim(), rest.split_whitespace().next()?)
}

impl Protocol for Okx {
    /// Ids of trades are not known to be dense.
    fn rules(&self) -> Rules {
        Rules { book: BookRule::Previous, trades: TradeIds::Learned, is_global: false }
    }

    fn refuses(&self, _: StreamKind) -> Option<&'static str> {
        None
    }

    fn route(&self, kind: StreamKind) -> Route {
        if kind == StreamKind::Trades { BUSINESS } else { PUBLIC }
    }

    fn url(&self, endpoint: &str, route: Route) -> String {
        let path = if route == BUSINESS { "business" } else { "public" };
        format!("{}/ws/v5/{path}", base(endpoint))
    }

    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("subscribe", streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("unsubscribe", streams, first_id)
    }

    /// One answer for each argument of a request.
    fn answer(&self, frame: &str) -> Answer {
        if frame == "pong" {
            return Answer::Alive;
        }
        let Some(frame) = parse(frame) else { return Answer::Other };
        match text(&frame, "event") {
            Some("subscribe") => {
                let arg = frame.get("arg").unwrap_or(&frame);
                let named = text(arg, "channel").zip(text(arg, "instId"));
                let stream = named.and_then(|(channel, symbol)| stream(channel, symbol));
                Answer::Accepted(match stream {
                    Some(stream) => Subject::Streams(vec![stream]),
                    None => about(request_id(&frame, "id")),
                })
            }
            Some("error") => {
                let words = text(&frame, "msg");
                let subject = match words.and_then(named_in) {
                    Some(stream) => Subject::Streams(vec![stream]),
                    None => about(request_id(&frame, "id")),
                };
                refused(subject, &[text(&frame, "code"), words])
            }
            // The service is upgraded: connect anew soon.
            Some("notice") if text(&frame, "code") == Some("64008") => Answer::Shutdown,
            _ => Answer::Other,
        }
    }

    /// Data must be pushed every 30 s, or a text come from here.
    fn text_ping(&self) -> Option<TextPing> {
        Some(TextPing { only_when_silent: true, every: Duration::from_secs(15), text: "ping".to_owned() })
    }

    fn snapshot(&self, _: &str) -> Option<Pull> {
        None
    }

    /// `after` counts down from an id, which is not shown; 100 to a page.
    fn trades(&self, symbol: &str, first: u64, last: u64) -> Option<Pull> {
        let after = last.min(first.saturating_add(99)).saturating_add(1);
        let symbol = in_address(symbol);
        let url = format!("{}/api/v5/market/history-trades?instId={symbol}&type=1&after={after}&limit=100", self.rest);
        (!self.rest.is_empty()).then_some(Pull { url, weight: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{accepted, config, refused, streams, texts};
    use super::super::{Market, protocol_of};
    use super::*;

    #[test]
    fn requests_and_routes() {
        let okx = protocol_of(&config(Market::Okx));
        let wanted = streams(&StreamKind::ALL, &["BTC-USDT", "ETH-USDT-SWAP"]);
        assert_eq!(
            texts(&okx.subscribe(&wanted[..3], 1)),
            [
                r#"{"id":"1","op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"},{"channel":"bbo-tbt","instId":"BTC-USDT"},{"channel":"books","instId":"BTC-USDT"}]}"#
            ]
        );
        assert_eq!(
            texts(&okx.unsubscribe(&wanted[5..], 2)),
            [r#"{"id":"2","op":"unsubscribe","args":[{"channel":"books","instId":"ETH-USDT-SWAP"}]}"#]
        );
        let top = protocol_of(&LiveConfig { depth_levels: 5, ..config(Market::Okx) });
        assert_eq!(
            texts(&top.subscribe(&wanted[5..], 3)),
            [r#"{"id":"3","op":"subscribe","args":[{"channel":"books5","instId":"ETH-USDT-SWAP"}]}"#]
        );
        let urls = StreamKind::ALL.map(|kind| okx.url("wss://ws.okx.com:8443", okx.route(kind)));
        let [public, business] = ["public", "business"].map(|path| format!("wss://ws.okx.com:8443/ws/v5/{path}"));
        assert_eq!(urls, [business, public.clone(), public]);
        let url = okx.trades("BTC-USDT", 5, 500).map(|pull| pull.url);
        let expected = "https://www.okx.com/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=105&limit=100";
        assert_eq!(url.as_deref(), Some(expected));
    }

    #[test]
    fn answers() {
        let okx = protocol_of(&config(Market::Okx));
        let wrong = "Wrong URL or channel:books,instId:NOPE-USDT doesn't exist. Please use the correct URL";
        let cases = [
            (
                r#"{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"4a0c3369"}"#.to_owned(),
                accepted(&[(StreamKind::Depth, "BTC-USDT")]),
            ),
            (
                r#"{"id":"7","event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"}}"#.to_owned(),
                accepted(&[(StreamKind::Trades, "BTC-USDT")]),
            ),
            (
                format!(r#"{{"event":"error","code":"60018","msg":"{wrong}","connId":"b2b0944b"}}"#),
                refused(&[(StreamKind::Depth, "NOPE-USDT")], &format!("60018: {wrong}")),
            ),
            (
                r#"{"id":"3","event":"error","code":"60012","msg":"Invalid request: {}","connId":"a"}"#.to_owned(),
                Answer::Refused(Subject::Request(3), "60012: Invalid request: {}".to_owned()),
            ),
            (
                r#"{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade."}"#
                    .to_owned(),
                Answer::Shutdown,
            ),
            (
                r#"{"event":"unsubscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a"}"#.to_owned(),
                Answer::Other,
            ),
            (
                r#"{"event":"channel-conn-count","channel":"books","connCount":"2","connId":"a"}"#.to_owned(),
                Answer::Other,
            ),
            ("pong".to_owned(), Answer::Alive),
        ];
        for (frame, answer) in cases {
            assert_eq!(okx.answer(&frame), answer, "{frame}");
        }
    }
}
