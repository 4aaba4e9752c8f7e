//! What differs between venues on a connection: addresses, subscriptions, answers, pings, requests. Pure: texts in, texts
//! out. Rules carry their source and the date it was read.

mod binance;
mod bybit;
mod coinbase;
mod coinbase_advanced;
mod json;
mod kraken;
mod okx;
mod request;

use crate::config::{Endpoints, Limits, LiveConfig, Periods};
use crate::stream::{Stream, StreamKind};
use feedd_venues::check::Rules;
use std::time::Duration;

/// A venue and market that can be recorded live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Market {
    /// Binance spot.
    Binance,
    /// Binance futures margined in USD.
    BinanceUsdm,
    /// Binance futures margined in coins.
    BinanceCoinm,
    /// Binance US.
    BinanceUs,
    /// Coinbase, Exchange feed.
    Coinbase,
    /// Coinbase, Advanced Trade feed.
    CoinbaseAdvanced,
    /// Kraken spot, second protocol.
    Kraken,
    /// OKX, fifth protocol.
    Okx,
    /// Bybit spot, fifth protocol.
    BybitSpot,
    /// Bybit linear derivatives, fifth protocol.
    BybitLinear,
}

impl Market {
    /// Every market.
    pub const ALL: [Self; 10] = [
        Self::Binance,
        Self::BinanceUsdm,
        Self::BinanceCoinm,
        Self::BinanceUs,
        Self::Coinbase,
        Self::CoinbaseAdvanced,
        Self::Kraken,
        Self::Okx,
        Self::BybitSpot,
        Self::BybitLinear,
    ];

    /// The word of the configuration: `binance_usdm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binance => "binance",
            Self::BinanceUsdm => "binance_usdm",
            Self::BinanceCoinm => "binance_coinm",
            Self::BinanceUs => "binance_us",
            Self::Coinbase => "coinbase",
            Self::CoinbaseAdvanced => "coinbase_advanced",
            Self::Kraken => "kraken",
            Self::Okx => "okx",
            Self::BybitSpot => "bybit_spot",
            Self::BybitLinear => "bybit_linear",
        }
    }

    /// The venue's name in the table of decoders and in stored data. Coinbase's two feeds show one market.
    #[must_use]
    pub const fn venue(self) -> &'static str {
        match self {
            Self::CoinbaseAdvanced => Self::Coinbase.name(),
            other => other.name(),
        }
    }

    /// The market's documented addresses, limits and periods.
    #[must_use]
    pub fn defaults(self) -> Defaults {
        match self {
            Self::Binance | Self::BinanceUsdm | Self::BinanceCoinm | Self::BinanceUs => binance::defaults(self),
            Self::Coinbase => coinbase::defaults(),
            Self::CoinbaseAdvanced => coinbase_advanced::defaults(),
            Self::Kraken => kraken::defaults(),
            Self::Okx => okx::defaults(),
            Self::BybitSpot | Self::BybitLinear => bybit::defaults(self),
        }
    }
}

/// Documented defaults of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Addresses.
    pub endpoints: Endpoints,
    /// Limits.
    pub limits: Limits,
    /// Periods.
    pub periods: Periods,
    /// Levels a side of the depth stream.
    pub depth_levels: u32,
}

/// A path of an address that carries some kinds of streams and no others (Binance USD-M, OKX): streams of different
/// routes never share a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route(pub u8);

/// What the venue says about a request or about the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted: the whole request with this number, or these streams.
    Accepted(Subject),
    /// Refused, and why in the venue's words.
    Refused(Subject, String),
    /// The answer to an application ping, or a sign of life without data.
    Alive,
    /// The venue is about to close the connection.
    Shutdown,
    /// Nothing that a session has to know.
    Other,
}

/// What an answer is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The request with this number ([`Request::id`]).
    Request(u64),
    /// These streams.
    Streams(Vec<Stream>),
    /// It does not say.
    Unknown,
}

/// A text to send that the venue will answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number; the venue repeats it in the answer where its protocol has a place for it.
    pub id: u64,
    /// What is sent.
    pub text: String,
    /// What it is about. Empty: nothing that an answer could be waited for (Coinbase's heartbeats).
    pub streams: Vec<Stream>,
}

/// A pull over REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// The whole address.
    pub url: String,
    /// What it costs of [`Limits::rest_weight`].
    pub weight: u32,
}

/// Pings that the recorder has to send as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPing {
    /// Whether sent always, or only after so long a silence.
    pub only_when_silent: bool,
    /// How often, or after what silence.
    pub every: Duration,
    /// What is sent.
    pub text: String,
}

/// What differs between venues. Implementations hold no state but their configuration.
pub trait Protocol: Send + Sync {
    /// How messages are to be checked.
    fn rules(&self) -> Rules;

    /// Why a kind of stream cannot be recorded on this market, with the remedy; `None` when it can.
    fn refuses(&self, kind: StreamKind) -> Option<&'static str>;

    /// On which route a kind of stream is carried.
    fn route(&self, kind: StreamKind) -> Route;

    /// The address of a route; `endpoint` is one of [`Endpoints::ws`].
    fn url(&self, endpoint: &str, route: Route) -> String;

    /// Requests that subscribe these streams, cut to the venue's limits; ids from `first_id` on, one each. Includes what the
    /// venue needs to be subscribed besides (Coinbase's heartbeats).
    fn subscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request>;

    /// Requests that end these streams.
    fn unsubscribe(&self, streams: &[Stream], first_id: u64) -> Vec<Request>;

    /// What a frame that carries no market data says.
    fn answer(&self, frame: &str) -> Answer;

    /// Pings that the recorder has to send as text, if any; WebSocket pings are answered below this.
    fn text_ping(&self) -> Option<TextPing>;

    /// The book of a symbol by REST, where books are joined so.
    fn snapshot(&self, symbol: &str) -> Option<Pull>;

    /// Trades of a symbol from `first` to `last` by REST, as many as one page holds, from the first one on; `None` where the
    /// venue has no such request.
    fn trades(&self, symbol: &str, first: u64, last: u64) -> Option<Pull>;
}

/// The protocol of a live source.
#[must_use]
pub fn protocol_of(config: &LiveConfig) -> Box<dyn Protocol> {
    match config.market {
        Market::Binance | Market::BinanceUsdm | Market::BinanceCoinm | Market::BinanceUs => {
            Box::new(binance::Binance::new(config))
        }
        Market::Coinbase => Box::new(coinbase::Coinbase::new(config)),
        Market::CoinbaseAdvanced => Box::new(coinbase_advanced::CoinbaseAdvanced::new(config)),
        Market::Kraken => Box::new(kraken::Kraken::new(config)),
        Market::Okx => Box::new(okx::Okx::new(config)),
        Market::BybitSpot | Market::BybitLinear => Box::new(bybit::Bybit::new(config)),
    }
}

/// What the tests of the venues share.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A source with the market's defaults.
    pub(crate) fn config(market: Market) -> LiveConfig {
        let Defaults { endpoints, limits, periods, depth_levels } = market.defaults();
        let (symbols, channels) = (Vec::new(), StreamKind::ALL.to_vec());
        LiveConfig { market, symbols, channels, redundancy: 1, depth_levels, endpoints, limits, periods }
    }

    pub(crate) fn stream(kind: StreamKind, symbol: &str) -> Stream {
        Stream { kind, symbol: symbol.to_owned() }
    }

    /// Every kind of every symbol, symbol by symbol.
    pub(crate) fn streams(kinds: &[StreamKind], symbols: &[&str]) -> Vec<Stream> {
        symbols.iter().flat_map(|symbol| kinds.iter().map(|&kind| stream(kind, symbol))).collect()
    }

    pub(crate) fn texts(requests: &[Request]) -> Vec<&str> {
        requests.iter().map(|request| request.text.as_str()).collect()
    }

    pub(crate) fn accepted(streams: &[(StreamKind, &str)]) -> Answer {
        Answer::Accepted(Subject::Streams(streams.iter().map(|&(kind, symbol)| stream(kind, symbol)).collect()))
    }

    pub(crate) fn refused(streams: &[(StreamKind, &str)], why: &str) -> Answer {
        let streams = streams.iter().map(|&(kind, symbol)| stream(kind, symbol)).collect();
        Answer::Refused(Subject::Streams(streams), why.to_owned())
    }
}
