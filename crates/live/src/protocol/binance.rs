//! Binance spot, USD-M, COIN-M and US: streams by name over the combined address, books joined by REST.
//!
//! Sources (read mid 2026): binance-spot-api-docs `web-socket-streams.md`, `rest-api.md` and changelog; developers.binance.com
//! "Websocket Market Streams" and "Important WebSocket Change Notice" of USD-M, "Websocket Market Streams" of COIN-M;
//! binance-us-api-docs `web-socket-streams.md` and `rest-api.md`.

use super::json::{about, parse, quoted, refused, request_id, text};
use super::request::{Shape, any_two, base, cut, in_address, page};
use super::{Answer, Defaults, Market, Protocol, Pull, Request, Route, TextPing};
use crate::config::{Budget, Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use std::time::Duration;

/// Diff and partial depth and bookTicker of USD-M; the only route of the others.
const PUBLIC: Route = Route(0);
/// Trades of USD-M. A stream that is asked for on the other route is accepted there as well, and stays mute.
const MARKET: Route = Route(1);
/// Trades of one answer.
const PAGE: u64 = 1_000;

/// One of Binance's four markets.
#[derive(Debug)]
pub(super) struct Binance {
    market: Market,
    limits: Limits,
    rest: String,
    /// Levels a side of a REST book.
    levels: u32,
}

pub(super) fn defaults(market: Market) -> Defaults {
    let (ws, rest): (&[&str], _) = match market {
        Market::BinanceUsdm => (&["wss://fstream.binance.com"], "https://fapi.binance.com"),
        Market::BinanceCoinm => (&["wss://dstream.binance.com"], "https://dapi.binance.com"),
        Market::BinanceUs => (&["wss://stream.binance.us:9443"], "https://api.binance.us"),
        _ => (&SPOT_ADDRESSES, "https://api.binance.com"),
    };
    Defaults {
        endpoints: Endpoints {
            ws: ws.iter().map(|&url| url.to_owned()).collect(),
            rest: rest.to_owned(),
            ca_file: None,
        },
        limits: limits(market),
        // The venue cuts after 24 hours.
        periods: Periods { lifetime: Some(Duration::from_secs(23 * 3_600 + 1_800)), ..Periods::default() },
        depth_levels: 1_000,
    }
}

/// The last one carries market data alone.
const SPOT_ADDRESSES: [&str; 3] =
    ["wss://stream.binance.com:9443", "wss://stream.binance.com:443", "wss://data-stream.binance.vision"];

fn limits(market: Market) -> Limits {
    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);
    let is_futures = is_futures(market);
    Limits {
        // COIN-M: "a single connection can listen to a maximum of 200 streams"; elsewhere 1,024.
        streams_per_connection: if market == Market::BinanceCoinm { 200 } else { 1_024 },
        streams_per_request: 100,
        request_bytes: 4_096,
        // 5 (futures: 10) messages a second, the pongs counted: room is left for those.
        messages: if is_futures {
            Budget { count: 8, period: SECOND, burst: 4 }
        } else {
            Budget { count: 4, period: SECOND, burst: 2 }
        },
        // 300 attempts in 5 minutes for an address.
        connects: Budget { count: 280, period: 5 * MINUTE, burst: 60 },
        // 6,000 a minute on spot, 2,400 on futures, 1,200 in the US, for an address; a part is left to others on it.
        rest_weight: match market {
            Market::BinanceUs => Budget { count: 1_000, period: MINUTE, burst: 200 },
            _ if is_futures => Budget { count: 2_000, period: MINUTE, burst: 400 },
            _ => Budget { count: 5_000, period: MINUTE, burst: 1_000 },
        },
    }
}

const fn is_futures(market: Market) -> bool {
    matches!(market, Market::BinanceUsdm | Market::BinanceCoinm)
}

impl Binance {
    pub(super) fn new(config: &LiveConfig) -> Self {
        Self {
            market: config.market,
            limits: config.limits,
            rest: base(&config.endpoints.rest).to_owned(),
            levels: config.depth_levels,
        }
    }

    /// `btcusdt@trade`: lower case on the wire, unlike in the messages.
    fn name(&self, stream: &Stream) -> String {
        let channel = match stream.kind {
            // USD-M documents no `@trade`.
            StreamKind::Trades if is_futures(self.market) => "aggTrade",
            StreamKind::Trades => "trade",
            StreamKind::Quotes => "bookTicker",
            StreamKind::Depth => "depth@100ms",
        };
        format!("{}@{channel}", stream.symbol.to_lowercase())
    }

    fn request(&self, method: &str, streams: &[Stream], first_id: u64) -> Vec<Request> {
        let item = |stream: &Stream| quoted(&self.name(stream));
        let around =
            |id: u64, _: &Stream, list: &str| format!(r#"{{"method":"{method}","params":[{list}],"id":{id}}}"#);
        cut(streams, &self.limits, first_id, &Shape { may_join: any_two, item: &item, around: &around })
    }

    /// The folder of the market's REST requests.
    const fn folder(&self) -> &'static str {
        match self.market {
            Market::BinanceUsdm => "/fapi/v1",
            Market::BinanceCoinm => "/dapi/v1",
            _ => "/api/v3",
        }
    }

    /// What a book of so many levels costs, by the table of each market.
    const fn snapshot_weight(&self) -> u32 {
        let levels = self.levels;
        match self.market {
            Market::BinanceUsdm | Market::BinanceCoinm => match levels {
                0..=50 => 2,
                51..=100 => 5,
                101..=500 => 10,
                _ => 20,
            },
            Market::BinanceUs => match levels {
                0..=100 => 1,
                101..=500 => 5,
                501..=1_000 => 10,
                _ => 50,
            },
            _ => match levels {
                0..=100 => 5,
                101..=500 => 25,
                501..=1_000 => 50,
                _ => 250,
            },
        }
    }

    fn pull(&self, request: &str, weight: u32) -> Option<Pull> {
        (!self.rest.is_empty()).then(|| Pull { url: format!("{}{}{request}", self.rest, self.folder()), weight })
    }
}

impl Protocol for Binance {
    fn rules(&self) -> Rules {
        let book = if is_futures(self.market) { BookRule::JoinPrevious } else { BookRule::JoinFirst };
        Rules { book, trades: TradeIds::Dense, is_global: true }
    }

    fn refuses(&self, _: StreamKind) -> Option<&'static str> {
        None
    }

    fn route(&self, kind: StreamKind) -> Route {
        match (self.market, kind) {
            (Market::BinanceUsdm, StreamKind::Trades) => MARKET,
            _ => PUBLIC,
        }
    }

    fn url(&self, endpoint: &str, route: Route) -> String {
        let path = match (self.market, route) {
            (Market::BinanceUsdm, MARKET) => "/market/stream",
            (Market::BinanceUsdm, _) => "/public/stream",
            _ => "/stream",
        };
        format!("{}{path}", base(endpoint))
    }

    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("SUBSCRIBE", streams, first_id)
    }

    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request> {
        self.request("UNSUBSCRIBE", streams, first_id)
    }

    /// `{"result":null,"id":1}`; `{"code":2,"msg":"..","id":1}`, which may stand in `error`; `serverShutdown`, which may stand
    /// in `data`.
    fn answer(&self, frame: &str) -> Answer {
        let Some(frame) = parse(frame) else { return Answer::Other };
        let event = frame.get("data").unwrap_or(&frame);
        if text(event, "e") == Some("serverShutdown") {
            return Answer::Shutdown;
        }
        let subject = about(request_id(&frame, "id"));
        let error = frame.get("error").unwrap_or(&frame);
        if error.get("code").is_some() {
            let code = error.get("code").map(ToString::to_string);
            return refused(subject, &[code.as_deref(), text(error, "msg")]);
        }
        match (frame.get("result"), subject) {
            (Some(_), subject @ super::Subject::Request(_)) => Answer::Accepted(subject),
            _ => Answer::Other,
        }
    }

    fn text_ping(&self) -> Option<TextPing> {
        None
    }

    fn snapshot(&self, symbol: &str) -> Option<Pull> {
        let request = format!("/depth?symbol={}&limit={}", in_address(symbol), self.levels);
        self.pull(&request, self.snapshot_weight())
    }

    /// Futures show only aggregate trades, which is what their stream carries. The US market asks for a key when older trades
    /// are looked up by id, and shows the latest ones to everybody.
    fn trades(&self, symbol: &str, first: u64, last: u64) -> Option<Pull> {
        let (symbol, limit) = (in_address(symbol), page(first, last, PAGE));
        match self.market {
            Market::BinanceUs => self.pull(&format!("/trades?symbol={symbol}&limit={PAGE}"), 10),
            Market::Binance => {
                self.pull(&format!("/historicalTrades?symbol={symbol}&fromId={first}&limit={limit}"), 25)
            }
            _ => self.pull(&format!("/aggTrades?symbol={symbol}&fromId={first}&limit={limit}"), 20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, streams, texts};
    use super::super::{Subject, protocol_of};
    use super::*;

    #[test]
    fn streams_are_named_in_lower_case() {
        let spot = protocol_of(&config(Market::Binance));
        let wanted = streams(&StreamKind::ALL, &["BTCUSDT", "币USDT"]);
        let params = r#"["btcusdt@trade","btcusdt@bookTicker","btcusdt@depth@100ms","币usdt@trade","币usdt@bookTicker","币usdt@depth@100ms"]"#;
        assert_eq!(
            texts(&spot.subscribe(&wanted, 1)),
            [format!(r#"{{"method":"SUBSCRIBE","params":{params},"id":1}}"#)]
        );
        assert_eq!(
            texts(&spot.unsubscribe(&wanted[2..3], 9)),
            [r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":9}"#]
        );
        let coinm = protocol_of(&config(Market::BinanceCoinm));
        let wanted = streams(&[StreamKind::Trades], &["BTCUSD_PERP"]);
        assert_eq!(
            texts(&coinm.subscribe(&wanted, 2)),
            [r#"{"method":"SUBSCRIBE","params":["btcusd_perp@aggTrade"],"id":2}"#]
        );
    }

    #[test]
    fn usdm_trades_have_a_route_of_their_own() {
        let cases = [
            (Market::Binance, StreamKind::Trades, "wss://host:1/stream"),
            (Market::BinanceUs, StreamKind::Quotes, "wss://host:1/stream"),
            (Market::BinanceCoinm, StreamKind::Trades, "wss://host:1/stream"),
            (Market::BinanceUsdm, StreamKind::Trades, "wss://host:1/market/stream"),
            (Market::BinanceUsdm, StreamKind::Quotes, "wss://host:1/public/stream"),
            (Market::BinanceUsdm, StreamKind::Depth, "wss://host:1/public/stream"),
        ];
        for (market, kind, url) in cases {
            let protocol = protocol_of(&config(market));
            assert_eq!(protocol.url("wss://host:1/", protocol.route(kind)), url, "{}", market.name());
        }
    }

    #[test]
    fn pulls_name_their_cost() {
        let cases = [
            // market, levels, book, cost, trades 7 to 1,500, cost
            (
                Market::Binance,
                1_000,
                "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000",
                50,
                "https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=1000",
                25,
            ),
            (
                Market::BinanceUs,
                5_000,
                "https://api.binance.us/api/v3/depth?symbol=BTCUSDT&limit=5000",
                50,
                "https://api.binance.us/api/v3/trades?symbol=BTCUSDT&limit=1000",
                10,
            ),
            (
                Market::BinanceUsdm,
                500,
                "https://fapi.binance.com/fapi/v1/depth?symbol=BTCUSDT&limit=500",
                10,
                "https://fapi.binance.com/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=7&limit=1000",
                20,
            ),
            (
                Market::BinanceCoinm,
                1_000,
                "https://dapi.binance.com/dapi/v1/depth?symbol=BTCUSDT&limit=1000",
                20,
                "https://dapi.binance.com/dapi/v1/aggTrades?symbol=BTCUSDT&fromId=7&limit=1000",
                20,
            ),
        ];
        for (market, depth_levels, book, book_weight, trades, trades_weight) in cases {
            let protocol = protocol_of(&LiveConfig { depth_levels, ..config(market) });
            assert_eq!(protocol.snapshot("BTCUSDT"), Some(Pull { url: book.to_owned(), weight: book_weight }));
            let pull = protocol.trades("BTCUSDT", 7, 1_500);
            assert_eq!(pull, Some(Pull { url: trades.to_owned(), weight: trades_weight }));
        }
        let spot = protocol_of(&config(Market::Binance));
        let url = spot.trades("BTCUSDT", 7, 9).map(|pull| pull.url);
        let expected = "https://api.binance.com/api/v3/historicalTrades?symbol=BTCUSDT&fromId=7&limit=3";
        assert_eq!(url.as_deref(), Some(expected));
        let mut without = config(Market::Binance);
        without.endpoints.rest = String::new();
        let without = protocol_of(&without);
        assert_eq!((without.snapshot("BTCUSDT"), without.trades("BTCUSDT", 1, 2)), (None, None));
    }

    #[test]
    fn answers() {
        let spot = protocol_of(&config(Market::Binance));
        let refused = |subject, why: &str| Answer::Refused(subject, why.to_owned());
        let cases = [
            (r#"{"result":null,"id":3}"#, Answer::Accepted(Subject::Request(3))),
            (r#"{"id":4,"result":["btcusdt@trade"]}"#, Answer::Accepted(Subject::Request(4))),
            (
                r#"{"error":{"code":2,"msg":"Invalid request: unknown variant `SUBSCIRBE`"},"id":5}"#,
                refused(Subject::Request(5), "2: Invalid request: unknown variant `SUBSCIRBE`"),
            ),
            (
                r#"{"code":3,"msg":"Invalid JSON: EOF while parsing"}"#,
                refused(Subject::Unknown, "3: Invalid JSON: EOF while parsing"),
            ),
            (r#"{"code":1,"id":6}"#, refused(Subject::Request(6), "1")),
            (r#"{"e":"serverShutdown","E":1770123456789}"#, Answer::Shutdown),
            (r#"{"stream":"","data":{"e":"serverShutdown","E":1770123456789}}"#, Answer::Shutdown),
            (r#"{"e":"kline","s":"BTCUSDT"}"#, Answer::Other),
            (r#"{"result":null,"id":null}"#, Answer::Other),
            ("not json", Answer::Other),
        ];
        for (frame, answer) in cases {
            assert_eq!(spot.answer(frame), answer, "{frame}");
        }
    }
}
