//! A protocol of the tests' own: `SUB 7 trades:A,depth:A`, answered by `ACK 7`, `ACKS trades:A`, `NO 7 why`, `NOS trades:A why`;
//! `HB`, `PONG` and `SHUTDOWN`.

use feedd_live::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use feedd_live::plan::Shard;
use feedd_live::protocol::{Answer, Market, Protocol, Pull, Request, Route, Subject, TextPing};
use feedd_live::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

pub const STREAMS_PER_REQUEST: usize = 3;
pub const SNAPSHOT_WEIGHT: u32 = 25;
pub const TRADES_WEIGHT: u32 = 10;

pub struct TestProtocol {
    pub book: BookRule,
    pub text_ping: Option<TextPing>,
}

pub fn write_streams(streams: &[Stream]) -> String {
    let names: Vec<String> = streams.iter().map(|stream| format!("{}:{}", stream.kind.name(), stream.symbol)).collect();
    names.join(",")
}

pub fn read_streams(text: &str) -> Vec<Stream> {
    let read = |name: &str| {
        let (kind, symbol) = name.split_once(':').unwrap();
        let kind = StreamKind::ALL.into_iter().find(|known| known.name() == kind).unwrap();
        Stream { kind, symbol: symbol.to_owned() }
    };
    text.split(',').map(read).collect()
}

fn requests(verb: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
    let part = |(id, streams): (u64, &[Stream])| Request {
        id,
        text: format!("{verb} {id} {}", write_streams(streams)),
        streams: streams.to_vec(),
    };
    (first_id..).zip(streams.chunks(STREAMS_PER_REQUEST)).map(part).collect()
}

impl Protocol for TestProtocol {
    fn rules(&self) -> Rules {
        Rules { book: self.book, trades: TradeIds::Dense, is_global: true }
    }

    fn refuses(&self, _: StreamKind) -> Option<&'static str> {
        None
    }

    fn route(&self, _: StreamKind) -> Route {
        Route(0)
    }

    fn url(&self, endpoint: &str, _: Route) -> String {
        format!("{endpoint}/stream")
    }

    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        requests("SUB", streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        requests("UNS", streams, first_id)
    }

    fn answer(&self, frame: &str) -> Answer {
        let (word, rest) = frame.split_once(' ').unwrap_or((frame, ""));
        let (subject, why) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "ACK" => Answer::Accepted(Subject::Request(subject.parse().unwrap())),
            "ACKS" => Answer::Accepted(Subject::Streams(read_streams(subject))),
            "OK" => Answer::Accepted(Subject::Unknown),
            "NO" => Answer::Refused(Subject::Request(subject.parse().unwrap()), why.to_owned()),
            "NOS" => Answer::Refused(Subject::Streams(read_streams(subject)), why.to_owned()),
            "BAD" => Answer::Refused(Subject::Unknown, rest.to_owned()),
            "HB" | "PONG" => Answer::Alive,
            "SHUTDOWN" => Answer::Shutdown,
            _ => Answer::Other,
        }
    }

    fn text_ping(&self) -> Option<TextPing> {
        self.text_ping.clone()
    }

    fn snapshot(&self, symbol: &str) -> Option<Pull> {
        Some(Pull { url: format!("https://rest/depth?{symbol}"), weight: SNAPSHOT_WEIGHT })
    }

    fn trades(&self, symbol: &str, first: u64, last: u64) -> Option<Pull> {
        Some(Pull { url: format!("https://rest/trades?{symbol}&{first}-{last}"), weight: TRADES_WEIGHT })
    }
}

pub fn config(redundancy: u8) -> LiveConfig {
    let budget = |count, secs, burst| Budget { count, period: Duration::from_secs(secs), burst };
    LiveConfig {
        market: Market::Binance,
        symbols: Vec::new(),
        channels: Vec::new(),
        redundancy,
        depth_levels: 1000,
        endpoints: Endpoints {
            ws: vec!["wss://one".to_owned(), "wss://two".to_owned()],
            rest: "https://rest".to_owned(),
            ca_file: None,
        },
        limits: Limits {
            streams_per_connection: 1024,
            streams_per_request: STREAMS_PER_REQUEST,
            request_bytes: 4096,
            messages: budget(5, 1, 3),
            connects: budget(300, 300, 5),
            rest_weight: budget(600, 60, 200),
        },
        periods: Periods::default(),
    }
}

pub fn shard(streams: Vec<Stream>) -> Shard {
    Shard { name: "test".to_owned(), route: Route(0), streams }
}

pub fn stream(kind: StreamKind, symbol: &str) -> Stream {
    Stream { kind, symbol: symbol.to_owned() }
}

/// Every kind of two symbols.
pub fn six() -> Vec<Stream> {
    let all = |symbol| StreamKind::ALL.map(|kind| stream(kind, symbol));
    ["AAA", "BBB"].into_iter().flat_map(all).collect()
}
