//! The venues, and what each of them makes knowable.

use crate::harness::FRAME_BYTES_MAX;
use feedd_live::config::{Endpoints, LiveConfig};
use feedd_live::protocol::Market;
use feedd_live::stream::StreamKind;
use std::time::Duration;
use venue_sim::{Config, Pace, Server, Venue};

/// What tells that depth messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Numbers of the messages or of their changes: what is missing can be named. `joins`: the whole book comes by REST.
    Numbers { joins: bool },
    /// A checksum of the best levels: that something is missing, and not what. The client keeps so many levels.
    Checksum { levels: usize },
    /// Numbers of all frames of a connection: how many are missing, and not whose.
    Frames,
    /// Nothing.
    Nothing,
}

/// A venue as it is played and recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Played {
    pub(crate) venue: Venue,
    pub(crate) market: Market,
    pub(crate) channels: &'static [StreamKind],
    pub(crate) depth: Depth,
    /// Whether no source says that its trade ids are dense: the recorder has to learn it.
    pub(crate) is_learned: bool,
    /// Whether REST gives every trade that is missing. Kraken is asked for the last 1000, Bybit gives the last 60.
    pub(crate) gives_all: bool,
    /// Whether it says beforehand that it closes.
    pub(crate) has_notice: bool,
    /// Frames that `drop` withholds: so many that some of them are depth, and that they do not take long.
    pub(crate) drops: u32,
}

/// Every venue. The rows of the table are in this order.
pub(crate) const VENUES: [Played; 6] = [
    Played {
        venue: Venue::Binance,
        market: Market::Binance,
        channels: &StreamKind::ALL,
        depth: Depth::Numbers { joins: true },
        is_learned: false,
        gives_all: true,
        has_notice: true,
        drops: 400,
    },
    Played {
        venue: Venue::Coinbase,
        market: Market::Coinbase,
        channels: &StreamKind::ALL,
        depth: Depth::Nothing,
        is_learned: false,
        gives_all: true,
        has_notice: false,
        drops: 100,
    },
    Played {
        venue: Venue::CoinbaseAdvanced,
        market: Market::CoinbaseAdvanced,
        channels: &StreamKind::ALL,
        depth: Depth::Frames,
        is_learned: false,
        gives_all: true,
        has_notice: false,
        drops: 400,
    },
    Played {
        venue: Venue::Kraken,
        market: Market::Kraken,
        channels: &StreamKind::ALL,
        depth: Depth::Checksum { levels: 100 },
        is_learned: false,
        gives_all: false,
        has_notice: false,
        drops: 200,
    },
    Played {
        venue: Venue::Okx,
        market: Market::Okx,
        channels: &StreamKind::ALL,
        depth: Depth::Numbers { joins: false },
        is_learned: true,
        gives_all: true,
        has_notice: true,
        drops: 30,
    },
    Played {
        venue: Venue::Bybit,
        market: Market::BybitSpot,
        channels: &[StreamKind::Trades, StreamKind::Depth],
        depth: Depth::Numbers { joins: false },
        is_learned: true,
        gives_all: false,
        has_notice: false,
        drops: 200,
    },
];

/// Steps of a market in a second. At one trade in five steps, the quieter of two instruments makes a hundred trades or so.
const STEPS_A_SECOND: u64 = 2500;
/// Until a handshake has to be done.
pub(crate) const CONNECT_MAX: Duration = Duration::from_millis(800);
/// Silence of a connection, its pongs included, that makes it dead.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Until a subscription that was acknowledged has to bring something.
pub(crate) const FIRST_MAX: Duration = Duration::from_millis(1500);
/// Longest wait before another attempt to connect.
pub(crate) const RETRY_MAX: Duration = Duration::from_millis(200);

impl Played {
    pub(crate) fn name(&self) -> &'static str {
        self.market.name()
    }

    /// The exchange, its market at rest.
    pub(crate) fn serve(&self, seed: u64) -> Server {
        let mut config = Config {
            paused: true,
            seed,
            pace: Pace::PerSecond(STEPS_A_SECOND),
            log_lines_max: usize::MAX,
            ..Config::for_tests(self.venue)
        };
        // A market of Bybit's that nobody records here.
        config.symbols.retain(|symbol| !symbol.name.starts_with("linear/"));
        Server::start(config).unwrap()
    }

    /// What records it, with shorter waits.
    pub(crate) fn recorded(&self, server: &Server) -> LiveConfig {
        let defaults = self.market.defaults();
        let mut periods = defaults.periods;
        periods.connect = CONNECT_MAX;
        (periods.retry_min, periods.retry_max) = (Duration::from_millis(50), RETRY_MAX);
        (periods.ping_after, periods.silence) = (SILENCE_MAX / 3, SILENCE_MAX);
        (periods.first_data, periods.first_trade) = (FIRST_MAX, FIRST_MAX);
        periods.mute_min = Duration::from_secs(1);
        let endpoints = Endpoints { ws: vec![server.ws_url("")], rest: server.rest_url(), ca_file: None };
        LiveConfig {
            market: self.market,
            symbols: self.venue.symbols_default().into_iter().map(|symbol| symbol.name).take(2).collect(),
            channels: self.channels.to_vec(),
            redundancy: 1,
            depth_levels: defaults.depth_levels,
            endpoints,
            limits: defaults.limits,
            periods,
        }
    }
}

/// The fault `giant`, one byte longer than is taken.
pub(crate) fn giant() -> String {
    format!("giant={}", FRAME_BYTES_MAX + 1)
}
