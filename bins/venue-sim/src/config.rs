//! What to play: everything that the command line or a test can choose.

use crate::faults::{Chaos, Fault};
use crate::venue::Venue;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Steps a second of the market that are assumed where it runs as fast as it is taken: the venue's intervals are counted in
/// steps, so that the same seed gives the same messages.
pub const STEPS_NOMINAL: u64 = 100_000;

/// How fast the market moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Steps a second. A step is a taker order or a change of the book; most steps are one or two frames.
    PerSecond(u64),
    /// As fast as the slowest connection takes it. Without a connection it stands still.
    Max,
}

impl Pace {
    /// Steps in `ms` milliseconds, at least one.
    pub(crate) fn steps_in(self, ms: u64) -> u64 {
        let rate = match self {
            Self::PerSecond(rate) => rate,
            Self::Max => STEPS_NOMINAL,
        };
        (rate.saturating_mul(ms) / 1000).max(1)
    }
}

/// An instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolSpec {
    /// The venue's spelling.
    pub name: String,
    /// Where the price begins, in units of 10^-`price_decimals`. It stays within 4 % of it.
    pub price: i64,
    /// Decimals of a price; one unit is the tick size.
    pub price_decimals: u32,
    /// Decimals of a size; one unit is the lot size.
    pub size_decimals: u32,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many are allowed.
    pub count: u32,
    /// In any time of this length.
    pub window: Duration,
}

/// What a venue allows a client. `None` everywhere: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Messages that a connection may send: requests, pings and pongs.
    pub messages: Option<Rate>,
    /// Attempts to connect, of all clients together: loopback is one address.
    pub connects: Option<Rate>,
    /// Streams of one connection.
    pub streams_max: Option<usize>,
    /// A connection on which so long nothing happened is closed. What counts as nothing is the venue's rule.
    pub idle: Option<Duration>,
    /// A connection that has subscribed to nothing for so long is closed.
    pub first_subscription: Option<Duration>,
}

/// A recording that is replayed in place of the market.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// JSON Lines of `{"recv_ns","conn","dir","frame"}`; `.zst` is decompressed.
    pub file: PathBuf,
    /// So many times as fast as recorded, in thousandths; `None`: as fast as it is taken.
    pub speed_milli: Option<u64>,
    /// Only the frames of this recorded connection; `None`: of all but `rest`.
    pub conn: Option<String>,
}

/// What to play.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose protocol.
    pub venue: Venue,
    /// Where to listen. Anything but loopback needs [`Config::listen_beyond_loopback`].
    pub listen: IpAddr,
    /// The port; 0: any.
    pub port: u16,
    /// Says that listening elsewhere than on loopback is meant.
    pub listen_beyond_loopback: bool,
    /// Whether to speak TLS, with a certificate of an authority made at the start.
    pub tls: bool,
    /// Where the authority's certificate is written; `None`: a temporary file.
    pub ca_file: Option<PathBuf>,
    /// What is traded.
    pub symbols: Vec<SymbolSpec>,
    /// Same seed, same market.
    pub seed: u64,
    /// How fast.
    pub pace: Pace,
    /// Price levels of a side.
    pub levels: usize,
    /// Replaces the interval of every depth feed, in milliseconds.
    pub depth_interval_ms: Option<u64>,
    /// Trades an instrument that can be asked for again.
    pub history_trades: usize,
    /// What a client may do.
    pub limits: Limits,
    /// How often the server pings; `None`: never.
    pub ping_every: Option<Duration>,
    /// A connection that leaves a ping unanswered for so long is closed.
    pub pong_within: Duration,
    /// How long a connection may live; `None`: for ever.
    pub lifetime: Option<Duration>,
    /// Bytes of market facts that may wait for a slow connection, about; then it is closed (or the market waits, at
    /// [`Pace::Max`]).
    pub queue_bytes_max: usize,
    /// Faults by schedule, from the start on.
    pub faults: Vec<Fault>,
    /// Faults by chance.
    pub chaos: Option<Chaos>,
    /// In place of the market.
    pub replay: Option<Replay>,
    /// Where the log is written.
    pub log_file: Option<PathBuf>,
    /// Lines of the log that are kept in memory for [`crate::Server::log`]; later ones are not kept.
    pub log_lines_max: usize,
    /// Whether the market starts paused.
    pub paused: bool,
}

impl Config {
    /// A venue as it is, on a free port of loopback: its limits, its pings, a thousand steps a second, no fault, no log.
    #[must_use]
    pub fn new(venue: Venue) -> Self {
        let ping_seconds = match venue {
            Venue::Binance | Venue::BinanceUs => 20,
            Venue::BinanceUsdm | Venue::BinanceCoinm => 180,
            _ => 0,
        };
        let day = Duration::from_secs(24 * 3600);
        let lifetime = matches!(venue, Venue::Binance | Venue::BinanceUs) || venue.is_binance_futures();
        Self {
            venue,
            listen: IpAddr::from([127, 0, 0, 1]),
            port: 0,
            listen_beyond_loopback: false,
            tls: false,
            ca_file: None,
            symbols: venue.symbols_default(),
            seed: 1,
            pace: Pace::PerSecond(1000),
            levels: 200,
            depth_interval_ms: None,
            history_trades: 100_000,
            limits: venue.limits(),
            ping_every: (ping_seconds > 0).then(|| Duration::from_secs(ping_seconds)),
            pong_within: Duration::from_secs(if venue.is_binance_futures() { 600 } else { 60 }),
            lifetime: lifetime.then_some(day),
            queue_bytes_max: 32 << 20,
            faults: Vec::new(),
            chaos: None,
            replay: None,
            log_file: None,
            log_lines_max: 0,
            paused: false,
        }
    }

    /// For tests: no limit, a log in memory, two thousand steps a second.
    #[must_use]
    pub fn for_tests(venue: Venue) -> Self {
        Self { limits: Limits::default(), pace: Pace::PerSecond(2000), log_lines_max: 2_000_000, ..Self::new(venue) }
    }

    /// What is wrong with it, in one sentence with the remedy.
    pub(crate) fn fault(&self) -> Option<String> {
        if !self.listen.is_loopback() && !self.listen_beyond_loopback {
            return Some(format!(
                "{} is not a loopback address: this server checks nobody; add --listen-beyond-loopback if you mean it",
                self.listen
            ));
        }
        if self.symbols.is_empty() && self.replay.is_none() {
            return Some("no symbol to trade: name at least one".to_owned());
        }
        if self.levels < 20 || self.levels > 20_000 {
            return Some(format!("{} levels a side: choose 20 to 20000", self.levels));
        }
        if self.pace == Pace::PerSecond(0) {
            return Some("a rate of 0 steps a second never moves: choose at least 1, or `max`".to_owned());
        }
        for (at, spec) in self.symbols.iter().enumerate() {
            if self.symbols[..at].iter().any(|other| other.name.eq_ignore_ascii_case(&spec.name)) {
                return Some(format!("symbol {} is named twice", spec.name));
            }
            let plain = |c: char| c.is_ascii_alphanumeric() || "-/_.".contains(c);
            if spec.name.is_empty() || !spec.name.chars().all(plain) {
                return Some(format!("symbol {:?} is not letters, digits and one of -/_.", spec.name));
            }
            if spec.price_decimals > 8 || spec.size_decimals > 8 {
                return Some(format!("symbol {}: at most 8 decimals of price and size", spec.name));
            }
            // The book needs room below the price for its levels.
            let room = i64::try_from(self.levels).unwrap_or(i64::MAX).saturating_mul(20);
            if spec.price < room || spec.price > 1_000_000_000_000 {
                return Some(format!(
                    "symbol {}: a price of {} ticks; choose {room} to 1000000000000, or fewer --levels",
                    spec.name, spec.price
                ));
            }
        }
        None
    }
}
