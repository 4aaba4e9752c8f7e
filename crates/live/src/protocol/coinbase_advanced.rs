//! Coinbase, Advanced Trade feed: one channel a request, and heartbeats on every connection.
//!
//! Sources (read mid 2026): docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket, "Overview", "Channels", "Rate
//! Limits". Trades are filled by the Exchange's REST: both feeds show one market, with the same ids of trades.

use super::json::{parse, quoted, refused, text};
use super::request::{Shape, base, cut, same_kind};
use super::{Answer, Defaults, Protocol, Pull, Request, Route, Subject, TextPing, coinbase};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

/// Coinbase's market by its Advanced Trade feed.
#[derive(Debug)]
pub(super) struct CoinbaseAdvanced {
    limits: Limits,
    rest: String,
}

pub(super) fn defaults() -> Defaults {
    const SECOND: Duration = Duration::from_secs(1);
    Defaults {
        endpoints: Endpoints {
            ws: vec!["wss://advanced-trade-ws.coinbase.com".to_owned()],
            rest: coinbase::REST.to_owned(),
            ca_file: None,
        },
        limits: Limits {
            // No number is documented. A book begins with up to 5 MB, and a hole in a connection's numbers costs every book
            // on it: few to a connection.
            streams_per_connection: 30,
            // A product that the venue does not know spoils the request it stands in.
            streams_per_request: 1,
            request_bytes: 4_096,
            // 8 unauthenticated messages a second for an address.
            messages: Budget { count: 5, period: SECOND, burst: 2 },
            // 8 a second for an address; another page says 750.
            connects: Budget { count: 4, period: SECOND, burst: 4 },
            rest_weight: Budget { count: 5, period: SECOND, burst: 5 },
        },
        periods: Periods::default(),
        depth_levels: 0,
    }
}

const fn channel(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Trades => "market_trades",
        StreamKind::Quotes => "ticker",
        StreamKind::Depth => "level2",
    }
}

fn kind_of(channel: &str) -> Option<StreamKind> {
    // Its data come as `l2_data`.
    let channel = if channel == "l2_data" { "level2" } else { channel };
    StreamKind::ALL.into_iter().find(|&kind| self::channel(kind) == channel)
}

impl CoinbaseAdvanced {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self { limits: config.limits, rest: base(&config.endpoints.rest).to_owned() }
    }

    fn request(&self, verb: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let item = |stream: &Stream| quoted(&stream.symbol);
        let around = |_: u64, first: &Stream, list: &str| {
            let channel = channel(first.kind);
            format!(r#"{{"type":"{verb}","product_ids":[{list}],"channel":"{channel}"}}"#)
        };
        cut(streams, &self.limits, first_id, &Shape { may_join: same_kind, item: &item, around: &around })
    }
}

impl Protocol for CoinbaseAdvanced {
    fn rules(&self) -> Rules {
        Rules { book: BookRule::Connection, trades: TradeIds::DenseNewestFirst, is_global: false }
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

    /// With heartbeats, once each second: without them a quiet connection is closed after 60 to 90 seconds.
    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let text = r#"{"type":"subscribe","channel":"heartbeats"}"#.to_owned();
        let heartbeats = Request { id: first_id, text, streams: Vec::new() };
        std::iter::once(heartbeats).chain(self.request("subscribe", streams, first_id + 1)).collect()
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("unsubscribe", streams, first_id)
    }

    /// Each request is answered by everything that is subscribed now.
    fn answer(&self, frame: &str) -> Answer {
        let Some(frame) = parse(frame) else { return Answer::Other };
        if text(&frame, "type") == Some("error") {
            return refused(Subject::Unknown, &[text(&frame, "message"), text(&frame, "reason")]);
        }
        match text(&frame, "channel") {
            Some("subscriptions") => {
                let events = frame.get("events").and_then(|events| events.as_array());
                let channels = events.into_iter().flatten().filter_map(|event| event.get("subscriptions")?.as_object());
                let named =
                    channels.flatten().filter_map(|(name, products)| Some((kind_of(name)?, products.as_array()?)));
                let streams = named.flat_map(|(kind, products)| {
                    let symbols = products.iter().filter_map(|product| product.as_str());
                    symbols.map(move |symbol| Stream { kind, symbol: symbol.to_owned() })
                });
                Answer::Accepted(Subject::Streams(streams.collect()))
            }
            Some("heartbeats" | "status") => Answer::Alive,
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
        coinbase::trades(&self.rest, symbol, first, last)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{accepted, config, streams, texts};
    use super::super::{Market, protocol_of};
    use super::*;

    #[test]
    fn one_channel_a_request_and_heartbeats_first() {
        let mut source = config(Market::CoinbaseAdvanced);
        let wanted = streams(&StreamKind::ALL, &["BTC-USD"]);
        let advanced = protocol_of(&source);
        let requests = advanced.subscribe(&wanted, 3);
        assert_eq!(
            texts(&requests),
            [
                r#"{"type":"subscribe","channel":"heartbeats"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"ticker"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}"#,
            ]
        );
        assert_eq!(requests.iter().map(|request| request.id).collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!((requests[0].streams.len(), requests[3].streams.clone()), (0, wanted[2..].to_vec()));
        assert_eq!(
            texts(&advanced.unsubscribe(&wanted[2..], 1)),
            [r#"{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"level2"}"#]
        );
        source.limits.streams_per_request = 9;
        let wanted = streams(&[StreamKind::Depth, StreamKind::Trades], &["BTC-USD", "ETH-USD"]);
        assert_eq!(
            texts(&protocol_of(&source).unsubscribe(&wanted, 1)),
            [
                r#"{"type":"unsubscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}"#,
                r#"{"type":"unsubscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"market_trades"}"#,
            ]
        );
        let url = advanced.trades("BTC-USD", 5, 9).map(|pull| pull.url);
        let expected = "https://api.exchange.coinbase.com/products/BTC-USD/trades?limit=1000&after=10";
        assert_eq!(url.as_deref(), Some(expected));
    }

    #[test]
    fn answers() {
        let advanced = protocol_of(&config(Market::CoinbaseAdvanced));
        let cases = [
            (
                r#"{"channel":"subscriptions","timestamp":"2026-08-09T21:05:48.2Z","sequence_num":5,"events":[{"subscriptions":{"heartbeats":["heartbeats"],"level2":["A-B"],"market_trades":["C-D","A-B"]}}]}"#,
                accepted(&[(StreamKind::Depth, "A-B"), (StreamKind::Trades, "C-D"), (StreamKind::Trades, "A-B")]),
            ),
            (
                r#"{"type":"error","message":"failure to subscribe"}"#,
                Answer::Refused(Subject::Unknown, "failure to subscribe".to_owned()),
            ),
            (
                r#"{"channel":"heartbeats","sequence_num":35,"events":[{"current_time":"..","heartbeat_counter":41691}]}"#,
                Answer::Alive,
            ),
            (r#"{"channel":"candles","sequence_num":7,"events":[]}"#, Answer::Other),
        ];
        for (frame, answer) in cases {
            assert_eq!(advanced.answer(frame), answer, "{frame}");
        }
    }
}
