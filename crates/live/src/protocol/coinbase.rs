//! Coinbase, Exchange feed: channels that need no key.
//!
//! Sources (read mid 2026): docs.cdp.coinbase.com/exchange, "WebSocket Overview", "Channels", "Rate Limits", and REST "Get
//! product trades".

use super::json::{parse, quoted, refused, text};
use super::request::{Shape, base, cut, in_address, same_symbol};
use super::{Answer, Defaults, Protocol, Pull, Request, Route, Subject, TextPing};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

/// The address of REST requests, also for the trades that the other feed shows.
pub(super) const REST: &str = "https://api.exchange.coinbase.com";
/// Trades of one answer.
const PAGE: u64 = 1_000;

/// Coinbase's market by its Exchange feed.
#[derive(Debug)]
pub(super) struct Coinbase {
    limits: Limits,
    rest: String,
}

pub(super) fn defaults() -> Defaults {
    const SECOND: Duration = Duration::from_secs(1);
    Defaults {
        endpoints: Endpoints {
            ws: vec!["wss://ws-feed.exchange.coinbase.com".to_owned()],
            rest: REST.to_owned(),
            ca_file: None,
        },
        limits: Limits {
            // No number is documented.
            streams_per_connection: 150,
            streams_per_request: 3,
            request_bytes: 4_096,
            // 100 messages a second for an address.
            messages: Budget { count: 20, period: SECOND, burst: 10 },
            // 8 a second for an address, at once 20.
            connects: Budget { count: 4, period: SECOND, burst: 4 },
            // 10 public requests a second for an address.
            rest_weight: Budget { count: 5, period: SECOND, burst: 5 },
        },
        periods: Periods::default(),
        depth_levels: 0,
    }
}

const fn channel(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Trades => "matches",
        StreamKind::Quotes => "ticker",
        // `level2` needs a key; this is the same, each 50 ms.
        StreamKind::Depth => "level2_batch",
    }
}

fn kind_of(channel: &str) -> Option<StreamKind> {
    match channel {
        "level2" | "level2_50" => Some(StreamKind::Depth),
        _ => StreamKind::ALL.into_iter().find(|&kind| self::channel(kind) == channel),
    }
}

/// Trades of a product by id: `after` counts down from an id, which is not shown.
pub(super) fn trades(rest: &str, symbol: &str, first: u64, last: u64) -> Option<Pull> {
    let after = last.min(first.saturating_add(PAGE - 1)).saturating_add(1);
    let url = format!("{rest}/products/{}/trades?limit={PAGE}&after={after}", in_address(symbol));
    (!rest.is_empty()).then_some(Pull { url, weight: 1 })
}

impl Coinbase {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self { limits: config.limits, rest: base(&config.endpoints.rest).to_owned() }
    }

    /// One product a request: one that the venue does not know would spoil the others with it.
    fn request(&self, verb: &str, more: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let item = |stream: &Stream| quoted(channel(stream.kind));
        let around = |_: u64, first: &Stream, list: &str| {
            let symbol = quoted(&first.symbol);
            format!(r#"{{"type":"{verb}","product_ids":[{symbol}],"channels":[{list}{more}]}}"#)
        };
        cut(streams, &self.limits, first_id, &Shape { may_join: same_symbol, item: &item, around: &around })
    }
}

impl Protocol for Coinbase {
    /// Sequence numbers of these channels skip by nature; the ids of trades do not.
    fn rules(&self) -> Rules {
        Rules { book: BookRule::Unchecked, trades: TradeIds::Dense, is_global: false }
    }

    fn refuses(&self, _: StreamKind) -> Option<&'static str> {
        None
    }

    fn route(&self, _: StreamKind) -> Route {
        Route(0)
    }

    fn url(&self, endpoint: &str, _: Route) -> String {
        base(endpoint).to_owned()
    }

    /// With heartbeats, which come each second, say the last trade's id and keep a quiet connection open.
    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("subscribe", r#","heartbeat""#, streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("unsubscribe", "", streams, first_id)
    }

    /// Each request is answered by everything that is subscribed now.
    fn answer(&self, frame: &str) -> Answer {
        let Some(frame) = parse(frame) else { return Answer::Other };
        match text(&frame, "type") {
            Some("subscriptions") => {
                let channels = frame.get("channels").and_then(|channels| channels.as_array());
                let named = channels.into_iter().flatten().filter_map(|channel| {
                    Some((kind_of(text(channel, "name")?)?, channel.get("product_ids")?.as_array()?))
                });
                let streams = named.flat_map(|(kind, products)| {
                    let symbols = products.iter().filter_map(|product| product.as_str());
                    symbols.map(move |symbol| Stream { kind, symbol: symbol.to_owned() })
                });
                Answer::Accepted(Subject::Streams(streams.collect()))
            }
            Some("error") => refusal(&frame),
            Some("heartbeat" | "status") => Answer::Alive,
            _ => Answer::Other,
        }
    }

    fn text_ping(&self) -> Option<TextPing> {
        None
    }

    fn snapshot(&self, _: &str) -> Option<Pull> {
        None
    }

    fn trades(&self, symbol: &str, first: u64, last: u64) -> Option<Pull> {
        trades(&self.rest, symbol, first, last)
    }
}

/// `{"type":"error","message":"Failed to subscribe","reason":"BTC-XYZ is not a valid product"}`: a product that is named
/// there is refused in every channel.
fn refusal(frame: &serde_json::Value) -> Answer {
    let reason = text(frame, "reason");
    let product = reason.and_then(|reason| reason.strip_suffix(" is not a valid product"));
    let product = product.filter(|product| !product.contains(char::is_whitespace));
    let subject = product.map_or(Subject::Unknown, |symbol| {
        Subject::Streams(StreamKind::ALL.map(|kind| Stream { kind, symbol: symbol.to_owned() }).to_vec())
    });
    refused(subject, &[text(frame, "message"), reason])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{accepted, config, refused, streams, texts};
    use super::super::{Market, protocol_of};
    use super::*;

    #[test]
    fn one_product_a_request_with_its_heartbeat() {
        let exchange = protocol_of(&config(Market::Coinbase));
        let wanted = streams(&StreamKind::ALL, &["BTC-USD", "ETH-USD"]);
        assert_eq!(
            texts(&exchange.subscribe(&wanted, 1)),
            [
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches","ticker","level2_batch","heartbeat"]}"#,
                r#"{"type":"subscribe","product_ids":["ETH-USD"],"channels":["matches","ticker","level2_batch","heartbeat"]}"#,
            ]
        );
        assert_eq!(
            texts(&exchange.unsubscribe(&wanted[2..3], 1)),
            [r#"{"type":"unsubscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}"#]
        );
        assert_eq!(exchange.url("wss://host/", Route(0)), "wss://host");
    }

    #[test]
    fn trades_are_counted_down_to_the_first() {
        let exchange = protocol_of(&config(Market::Coinbase));
        let url = |first, last| exchange.trades("BTC-USD", first, last).map(|pull| pull.url);
        let expected = "https://api.exchange.coinbase.com/products/BTC-USD/trades?limit=1000&after=";
        assert_eq!(url(5, 9), Some(format!("{expected}10")));
        assert_eq!(url(5, 9_000), Some(format!("{expected}1005")));
    }

    #[test]
    fn answers() {
        let exchange = protocol_of(&config(Market::Coinbase));
        let all = StreamKind::ALL.map(|kind| (kind, "BTC-XYZ"));
        let cases = [
            (
                r#"{"type":"subscriptions","channels":[{"name":"level2_batch","product_ids":["A-B","C-D"]},{"name":"heartbeat","product_ids":["A-B"]},{"name":"matches","product_ids":["A-B"]}]}"#,
                accepted(&[(StreamKind::Depth, "A-B"), (StreamKind::Depth, "C-D"), (StreamKind::Trades, "A-B")]),
            ),
            (r#"{"type":"subscriptions","channels":[]}"#, accepted(&[])),
            (
                r#"{"type":"error","message":"Failed to subscribe","reason":"BTC-XYZ is not a valid product"}"#,
                refused(&all, "Failed to subscribe: BTC-XYZ is not a valid product"),
            ),
            (
                r#"{"type":"error","message":"Malformed JSON"}"#,
                Answer::Refused(Subject::Unknown, "Malformed JSON".to_owned()),
            ),
            (
                r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}"#,
                Answer::Alive,
            ),
            (r#"{"type":"received"}"#, Answer::Other),
        ];
        for (frame, answer) in cases {
            assert_eq!(exchange.answer(frame), answer, "{frame}");
        }
    }
}
