//! The venues that can be played: names, paths, default instruments, depth feeds and limits.

use crate::config::{Limits, Rate, SymbolSpec};
use crate::market::{FeedKind, FeedSpec, IdStyle};
use std::time::Duration;

/// A venue, or the part of one that has endpoints of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Venue {
    /// Binance spot.
    Binance,
    /// Binance USD-M futures.
    BinanceUsdm,
    /// Binance COIN-M futures.
    BinanceCoinm,
    /// Binance US.
    BinanceUs,
    /// Coinbase Exchange.
    Coinbase,
    /// Coinbase Advanced Trade.
    CoinbaseAdvanced,
    /// Kraken spot, v2.
    Kraken,
    /// OKX v5, public and business.
    Okx,
    /// Bybit v5, spot and linear.
    Bybit,
}

impl Venue {
    /// Every venue, in the order of the help.
    pub const ALL: [Self; 9] = [
        Self::Binance,
        Self::BinanceUsdm,
        Self::BinanceCoinm,
        Self::BinanceUs,
        Self::Coinbase,
        Self::CoinbaseAdvanced,
        Self::Kraken,
        Self::Okx,
        Self::Bybit,
    ];

    /// As on the command line.
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
            Self::Bybit => "bybit",
        }
    }

    /// The venue of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.name() == name)
    }

    /// One of Binance's futures.
    pub(crate) const fn is_binance_futures(self) -> bool {
        matches!(self, Self::BinanceUsdm | Self::BinanceCoinm)
    }

    /// The path that a client connects to when it has no reason for another one.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Binance | Self::BinanceUs | Self::BinanceCoinm => "/ws",
            Self::BinanceUsdm => "/public/ws",
            Self::Coinbase | Self::CoinbaseAdvanced => "/",
            Self::Kraken => "/v2",
            Self::Okx => "/ws/v5/public",
            Self::Bybit => "/v5/public/spot",
        }
    }

    /// The instruments that are traded when none are named.
    #[must_use]
    pub fn symbols_default(self) -> Vec<SymbolSpec> {
        // Name, price, decimals of the price, decimals of the size.
        let rows: &[(&str, i64, u32, u32)] = match self {
            Self::Binance | Self::BinanceUs => &[("BTCUSDT", 6_183_763, 2, 5), ("ETHUSDT", 268_380, 2, 4)],
            Self::BinanceUsdm => &[("BTCUSDT", 618_376, 1, 3), ("ETHUSDT", 268_162, 2, 3)],
            Self::BinanceCoinm => &[("BTCUSD_PERP", 618_376, 1, 0), ("ETHUSD_PERP", 268_201, 2, 0)],
            Self::Coinbase | Self::CoinbaseAdvanced => &[("BTC-USD", 6_508_367, 2, 8), ("ETH-USD", 191_602, 2, 8)],
            Self::Kraken => &[("BTC/USD", 628_025, 1, 8), ("ETH/USD", 191_602, 2, 8)],
            Self::Okx => &[("BTC-USDT", 302_360, 1, 8), ("ETH-USDT", 191_602, 2, 6)],
            Self::Bybit => &[
                ("BTCUSDT", 651_142, 1, 6),
                ("ETHUSDT", 191_602, 2, 5),
                ("linear/BTCUSDT", 651_110, 1, 3),
                ("linear/ETHUSDT", 191_580, 2, 2),
            ],
        };
        let spec = |&(name, price, price_decimals, size_decimals): &(&str, i64, u32, u32)| SymbolSpec {
            name: name.to_owned(),
            price,
            price_decimals,
            size_decimals,
        };
        rows.iter().map(spec).collect()
    }

    /// Decimals of prices and sizes that are printed always; `None`: no zeros at the end.
    pub(crate) fn printed(self, symbol: &str, decimals: u32) -> Option<u32> {
        match self {
            Self::Binance | Self::BinanceUs => Some(8),
            Self::BinanceUsdm | Self::BinanceCoinm | Self::Kraken => Some(decimals),
            Self::Bybit => self.linear(symbol).map(|_| decimals),
            Self::Coinbase | Self::CoinbaseAdvanced | Self::Okx => None,
        }
    }

    /// The venue's spelling of an instrument of Bybit's linear market, which `linear/` before it marks: spot has the same
    /// names.
    pub(crate) fn linear(self, symbol: &str) -> Option<&str> {
        symbol.strip_prefix("linear/").filter(|_| matches!(self, Self::Bybit))
    }

    /// How update ids of the book rise.
    pub(crate) const fn ids(self) -> IdStyle {
        match self {
            Self::Binance | Self::BinanceUs | Self::Coinbase | Self::CoinbaseAdvanced | Self::Kraken => IdStyle::Dense,
            // One counter for all instruments there: an instrument sees every so-manieth id.
            Self::BinanceUsdm | Self::BinanceCoinm => IdStyle::Jumps { max: 900 },
            Self::Okx | Self::Bybit => IdStyle::Jumps { max: 60 },
        }
    }

    /// Whether a restart of the sequence is told by a whole book.
    pub(crate) const fn reset_is_whole(self) -> bool {
        matches!(self, Self::Bybit | Self::Kraken)
    }

    /// How long trades are collected before they are sent together, in milliseconds.
    pub(crate) const fn trades_collected_ms(self) -> u64 {
        // "collected over 250 ms and sent together": Coinbase, market trades channel.
        if matches!(self, Self::CoinbaseAdvanced) { 250 } else { 0 }
    }

    /// The depth feeds, by the names that the venue's streams or channels have.
    pub(crate) const fn feeds(self) -> &'static [FeedSpec] {
        match self {
            Self::Binance | Self::BinanceUs => &BINANCE_SPOT,
            Self::BinanceUsdm | Self::BinanceCoinm => &BINANCE_FUTURES,
            Self::Coinbase => &COINBASE,
            Self::CoinbaseAdvanced => &COINBASE_ADVANCED,
            Self::Kraken => &KRAKEN,
            Self::Okx => &OKX,
            Self::Bybit => &BYBIT,
        }
    }

    /// The limits that the venue states.
    #[must_use]
    pub fn limits(self) -> Limits {
        let rate = |count, seconds| Some(Rate { count, window: Duration::from_secs(seconds) });
        let (messages, connects, streams_max, idle_seconds, first_subscription) = match self {
            Self::Binance | Self::BinanceUs => (rate(5, 1), rate(300, 300), 1024, 0, 0),
            Self::BinanceUsdm | Self::BinanceCoinm => (rate(10, 1), rate(300, 300), 1024, 0, 0),
            Self::Coinbase => (rate(100, 1), rate(8, 1), 0, 0, 5),
            Self::CoinbaseAdvanced => (rate(8, 1), rate(8, 1), 0, 75, 5),
            Self::Kraken => (rate(20, 1), rate(150, 600), 0, 0, 0),
            Self::Okx => (rate(480, 3600), rate(3, 1), 0, 30, 0),
            Self::Bybit => (None, rate(500, 300), 0, 600, 0),
        };
        let seconds = |n: u64| (n > 0).then(|| Duration::from_secs(n));
        Limits {
            messages,
            connects,
            streams_max: (streams_max > 0).then_some(streams_max),
            idle: seconds(idle_seconds),
            first_subscription: seconds(first_subscription),
        }
    }
}

const fn feed(name: &'static str, kind: FeedKind, interval_ms: u64) -> FeedSpec {
    FeedSpec { name, kind, interval_ms }
}

const BINANCE_SPOT: [FeedSpec; 8] = [
    feed("depth", FeedKind::Changes, 1000),
    feed("depth@100ms", FeedKind::Changes, 100),
    feed("depth5", FeedKind::Top(5), 1000),
    feed("depth10", FeedKind::Top(10), 1000),
    feed("depth20", FeedKind::Top(20), 1000),
    feed("depth5@100ms", FeedKind::Top(5), 100),
    feed("depth10@100ms", FeedKind::Top(10), 100),
    feed("depth20@100ms", FeedKind::Top(20), 100),
];
const BINANCE_FUTURES: [FeedSpec; 10] = [
    feed("depth", FeedKind::Changes, 250),
    feed("depth@0ms", FeedKind::Changes, 0),
    feed("depth@100ms", FeedKind::Changes, 100),
    feed("depth@500ms", FeedKind::Changes, 500),
    feed("depth5", FeedKind::Top(5), 250),
    feed("depth10", FeedKind::Top(10), 250),
    feed("depth20", FeedKind::Top(20), 250),
    feed("depth5@100ms", FeedKind::Top(5), 100),
    feed("depth10@100ms", FeedKind::Top(10), 100),
    feed("depth20@100ms", FeedKind::Top(20), 100),
];
const COINBASE: [FeedSpec; 1] = [feed("level2_batch", FeedKind::Changes, 50)];
const COINBASE_ADVANCED: [FeedSpec; 1] = [feed("level2", FeedKind::Changes, 50)];
const KRAKEN: [FeedSpec; 5] = [
    feed("10", FeedKind::Cut(10), 20),
    feed("25", FeedKind::Cut(25), 20),
    feed("100", FeedKind::Cut(100), 20),
    feed("500", FeedKind::Cut(500), 20),
    feed("1000", FeedKind::Cut(1000), 20),
];
const OKX: [FeedSpec; 3] = [
    feed("books", FeedKind::Window(400), 100),
    feed("books5", FeedKind::Top(5), 100),
    feed("bbo-tbt", FeedKind::Top(1), 10),
];
const BYBIT: [FeedSpec; 4] = [
    feed("orderbook.1", FeedKind::Top(1), 10),
    feed("orderbook.50", FeedKind::Window(50), 20),
    feed("orderbook.200", FeedKind::Window(200), 100),
    feed("orderbook.1000", FeedKind::Window(1000), 200),
];
