//! A live venue: the keys of `kind = "venue"`, and what each venue's market offers to choose from.

use crate::choice::Channel;
use crate::error::Wrong;
use crate::reader::Section;
use crate::suggest::nearest;
use crate::tree::{Node, Origin, Value};
use crate::units;
use crate::url::{is_loopback, rest_beside, rest_url, ws_url};
use crate::values::{Parsed, choice, count, duration, flag, list, path, size, text};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The keys of `kind = "venue"`. What is `None` or empty is the market's documented default.
#[derive(Clone, Debug, PartialEq)]
pub struct Venue {
    /// Which venue's market. `venue` is required; `market` has a default where the venue has several.
    pub market: &'static VenueMarket,
    /// Symbols as the venue writes them in its messages, each once. Required.
    pub symbols: Vec<String>,
    /// Kinds of messages, each once. Default: all that the market has.
    pub channels: Vec<Channel>,
    /// Connections that carry the same streams, 1 or 2. Default 1.
    pub redundancy: u8,
    /// Levels a side of the depth stream, where the venue offers a choice.
    pub depth_levels: Option<u32>,
    /// Addresses of the stream, `wss://host[:port]`, tried in turn.
    pub urls: Vec<String>,
    /// Address of the REST side, `https://host[:port]`; `"none"` is an empty text. Default: the venue's; beside a `url` that
    /// is a loopback address the same host and port.
    pub rest_url: Option<String>,
    /// File of certificates (PEM) that are trusted besides the usual roots.
    pub ca_file: Option<PathBuf>,
    /// Whether addresses without encryption are meant over a network, too. Default false.
    pub insecure: bool,
    /// `[source.limits]`.
    pub limits: VenueLimits,
    /// `[source.periods]`.
    pub periods: VenuePeriods,
}

/// `[source.limits]`: what may be asked of the venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VenueLimits {
    /// Streams on one connection; 1 to 100,000. Decides over how many connections, each with a thread, the symbols spread.
    pub streams_per_connection: Option<usize>,
    /// Streams named in one request; 1 to 10,000.
    pub streams_per_request: Option<usize>,
    /// Bytes of one request; 256 B to 1 MiB.
    pub request_bytes: Option<usize>,
    /// Messages sent on a connection.
    pub messages: Option<Allowance>,
    /// Of these at once; 1 to 1,000,000, as the others.
    pub messages_burst: Option<u32>,
    /// Attempts to connect, over all connections of the source.
    pub connects: Option<Allowance>,
    /// Of these at once.
    pub connects_burst: Option<u32>,
    /// Weight of REST requests, over all connections of the source.
    pub rest_weight: Option<Allowance>,
    /// Of this at once.
    pub rest_weight_burst: Option<u32>,
}

/// So many in a period: `"300/5m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many; 1 to 1,000,000.
    pub count: u32,
    /// In what time; 1 ms to 1 d.
    pub period: Duration,
}

/// `[source.periods]`: 10 ms to 30 d each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VenuePeriods {
    /// Until a connection must be open: name, TCP, TLS and WebSocket handshake together.
    pub connect: Option<Duration>,
    /// Until every subscription must be acknowledged.
    pub acknowledge: Option<Duration>,
    /// Until quotes or depth must have come for the first time.
    pub first_data: Option<Duration>,
    /// Until a trade must have.
    pub first_trade: Option<Duration>,
    /// Silence of a connection after which it is pinged.
    pub ping_after: Option<Duration>,
    /// Silence of a connection after which it is dead.
    pub silence: Option<Duration>,
    /// Shortest silence of a single stream that makes it mute.
    pub mute_min: Option<Duration>,
    /// Longest silence of a single stream that is believed.
    pub mute_max: Option<Duration>,
    /// Shortest wait between attempts to connect.
    pub retry_min: Option<Duration>,
    /// Longest wait between attempts to connect.
    pub retry_max: Option<Duration>,
    /// How long a connection must have been well before its waits begin anew.
    pub stable: Option<Duration>,
    /// Age at which a connection is replaced.
    pub lifetime: Option<Lifetime>,
}

/// Whether a connection is replaced after some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// `"never"`.
    Never,
    /// At this age.
    After(Duration),
}

/// A venue's market that can be recorded live.
#[derive(Debug, PartialEq, Eq)]
pub struct VenueMarket {
    /// Its name in logs and counters: `binance_usdm`.
    pub name: &'static str,
    /// `venue`.
    pub venue: &'static str,
    /// `market`; the first one of a venue is its default.
    pub market: &'static str,
    /// The kinds of messages it has.
    pub channels: &'static [Channel],
    /// The levels of depth to choose from; empty: no choice.
    pub depth_levels: &'static [u32],
    spelling: Spelling,
}

/// How a market writes its symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// `BTCUSDT`, `BTCUSD_PERP`.
    Joined,
    /// `BTC-USDT`, `BTC-USDT-SWAP`.
    Dashed,
    /// `BTC-USD`; `-USDC` is called `-USD` in messages.
    DashedUsd,
    /// `BTC/USD`, and bitcoin is BTC.
    Slashed,
    /// `BTCUSDT`, `BTC-26JUN26`.
    Capitals,
}

const ALL: &[Channel] = &[Channel::Trades, Channel::Quotes, Channel::Depth];
const SPOT_LEVELS: &[u32] = &[5, 10, 20, 50, 100, 500, 1_000, 5_000];
const FUTURES_LEVELS: &[u32] = &[5, 10, 20, 50, 100, 500, 1_000];
const BYBIT_LEVELS: &[u32] = &[1, 50, 200, 1_000];

/// Every market that can be recorded live, those of a venue together.
pub const VENUE_MARKETS: &[VenueMarket] = &[
    row("binance", "binance", "spot", SPOT_LEVELS, Spelling::Joined),
    row("binance_usdm", "binance", "usdm", FUTURES_LEVELS, Spelling::Joined),
    row("binance_coinm", "binance", "coinm", FUTURES_LEVELS, Spelling::Joined),
    row("binance_us", "binance", "us", SPOT_LEVELS, Spelling::Joined),
    row("coinbase", "coinbase", "exchange", &[], Spelling::Dashed),
    row("coinbase_advanced", "coinbase", "advanced", &[], Spelling::DashedUsd),
    row("kraken", "kraken", "spot", &[10, 25, 100, 500, 1_000], Spelling::Slashed),
    row("okx", "okx", "all", &[5, 400], Spelling::Dashed),
    VenueMarket {
        channels: &[Channel::Trades, Channel::Depth],
        ..row("bybit_spot", "bybit", "spot", BYBIT_LEVELS, Spelling::Capitals)
    },
    row("bybit_linear", "bybit", "linear", BYBIT_LEVELS, Spelling::Capitals),
];

const fn row(
    name: &'static str,
    venue: &'static str,
    market: &'static str,
    depth_levels: &'static [u32],
    spelling: Spelling,
) -> VenueMarket {
    VenueMarket { name, venue, market, channels: ALL, depth_levels, spelling }
}

/// Names of the keys, for a source of another kind.
pub(crate) const VENUE_KEYS: [&str; 12] = [
    "venue",
    "market",
    "symbols",
    "channels",
    "redundancy",
    "depth_levels",
    "url",
    "rest_url",
    "ca_file",
    "insecure",
    "limits",
    "periods",
];

impl Default for Venue {
    fn default() -> Self {
        Self {
            market: &VENUE_MARKETS[0],
            symbols: Vec::new(),
            channels: VENUE_MARKETS[0].channels.to_vec(),
            redundancy: 1,
            depth_levels: None,
            urls: Vec::new(),
            rest_url: None,
            ca_file: None,
            insecure: false,
            limits: VenueLimits::default(),
            periods: VenuePeriods::default(),
        }
    }
}

/// The keys of a section that begins at `origin`.
pub(crate) fn read_venue(s: &mut Section<'_, '_>, origin: &Origin) -> Venue {
    let mut venue = Venue::default();
    let mut name = None;
    s.optional("venue", &mut name, venue_name);
    if !s.has("venue") {
        let venues = venue_names().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        s.missing("venue", origin, &format!("write venue = one of {venues}"));
    }
    let of_venue = VENUE_MARKETS.iter().filter(|row| name.is_none_or(|name| row.venue == name));
    let of_venue: Vec<&'static VenueMarket> = of_venue.collect();
    venue.market = of_venue.first().copied().unwrap_or(venue.market);
    s.key("market", &mut venue.market, |node| market(node, &of_venue));
    // Without a venue its rules are not known.
    let rules = name.map(|_| venue.market);
    venue.channels = venue.market.channels.to_vec();
    s.key("symbols", &mut venue.symbols, list("symbol", |node| venue_symbol(node, rules)));
    if !s.has("symbols") {
        let example = venue.market.spelling.example();
        s.missing("symbols", origin, &format!("name what to record, such as symbols = [{example:?}]"));
    }
    s.key("channels", &mut venue.channels, list("channel", |node| channel(node, rules)));
    s.key("redundancy", &mut venue.redundancy, count(1..=2));
    s.optional("depth_levels", &mut venue.depth_levels, |node| depth_levels(node, rules));
    s.key("insecure", &mut venue.insecure, flag);
    let insecure = venue.insecure;
    s.key("url", &mut venue.urls, list("address", |node| ws_url(node, insecure)));
    s.optional("rest_url", &mut venue.rest_url, |node| rest_url(node, insecure));
    if venue.rest_url.is_none() && venue.urls.first().is_some_and(|url| is_loopback(url)) {
        venue.rest_url = venue.urls.first().map(|url| rest_beside(url));
    }
    s.optional("ca_file", &mut venue.ca_file, path);
    s.section("limits", |s| read_limits(s, &mut venue.limits));
    s.section("periods", |s| read_periods(s, &mut venue.periods));
    venue
}

fn read_limits(s: &mut Section<'_, '_>, limits: &mut VenueLimits) {
    s.optional("streams_per_connection", &mut limits.streams_per_connection, count(1..=100_000));
    s.optional("streams_per_request", &mut limits.streams_per_request, count(1..=10_000));
    s.optional("request_bytes", &mut limits.request_bytes, size(256..=1 << 20));
    let burst = || count(1..=COUNT_MAX);
    s.optional("messages", &mut limits.messages, allowance);
    s.optional("messages_burst", &mut limits.messages_burst, burst());
    s.optional("connects", &mut limits.connects, allowance);
    s.optional("connects_burst", &mut limits.connects_burst, burst());
    s.optional("rest_weight", &mut limits.rest_weight, allowance);
    s.optional("rest_weight_burst", &mut limits.rest_weight_burst, burst());
}

fn read_periods(s: &mut Section<'_, '_>, periods: &mut VenuePeriods) {
    let all = [
        ("connect", &mut periods.connect),
        ("acknowledge", &mut periods.acknowledge),
        ("first_data", &mut periods.first_data),
        ("first_trade", &mut periods.first_trade),
        ("ping_after", &mut periods.ping_after),
        ("silence", &mut periods.silence),
        ("mute_min", &mut periods.mute_min),
        ("mute_max", &mut periods.mute_max),
        ("retry_min", &mut periods.retry_min),
        ("retry_max", &mut periods.retry_max),
        ("stable", &mut periods.stable),
    ];
    for (name, period) in all {
        s.optional(name, period, duration(PERIOD_MIN..=PERIOD_MAX));
    }
    s.optional("lifetime", &mut periods.lifetime, lifetime);
}

fn venue_names() -> impl Iterator<Item = &'static str> {
    VENUE_MARKETS.chunk_by(|a, b| a.venue == b.venue).filter_map(|rows| Some(rows.first()?.venue))
}

fn venue_name(node: &Node) -> Parsed<&'static str> {
    let given = text(node)?;
    if let Some(name) = venue_names().find(|name| *name == given) {
        return Ok(name);
    }
    // `binance_usdm` is the name of a market in stored data.
    if let Some(row) = VENUE_MARKETS.iter().find(|row| row.name == given) {
        let VenueMarket { venue, market, .. } = row;
        return Err(Wrong::new(format!("{given:?} is a market; write venue = {venue:?} and market = {market:?}")));
    }
    Err(unknown("venue", &given, &venue_names().collect::<Vec<_>>()))
}

fn market(node: &Node, of_venue: &[&'static VenueMarket]) -> Parsed<&'static VenueMarket> {
    let given = text(node)?;
    let row = of_venue.iter().find(|row| row.market == given);
    let words = || of_venue.iter().map(|row| row.market).collect::<Vec<_>>();
    row.copied().ok_or_else(|| unknown("market", &given, &words()))
}

fn unknown(noun: &str, given: &str, words: &[&str]) -> Wrong {
    let all = words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    Wrong::new(match nearest(given, words.iter().copied()) {
        Some(word) => format!("unknown {noun} {given:?}, did you mean {word:?}?"),
        None => format!("unknown {noun} {given:?}; choose from {all}"),
    })
}

fn channel(node: &Node, rules: Option<&VenueMarket>) -> Parsed<Channel> {
    let channel: Channel = choice(node)?;
    match rules {
        // The only market without one of them.
        Some(row) if !row.channels.contains(&channel) => Err(Wrong::new(format!(
            "{} has no {channel}; record \"depth\", with depth_levels = 1 for the best bid and ask alone",
            row.name
        ))),
        _ => Ok(channel),
    }
}

fn depth_levels(node: &Node, rules: Option<&VenueMarket>) -> Parsed<u32> {
    let levels = count(1..=100_000)(node)?;
    let Some(row) = rules else { return Ok(levels) };
    if row.depth_levels.is_empty() {
        return Err(Wrong::new(format!("{} offers no choice of levels; leave depth_levels out", row.name)));
    }
    if row.depth_levels.contains(&levels) {
        return Ok(levels);
    }
    let all = row.depth_levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Err(Wrong::new(format!("{} has no depth of {levels} levels; choose from {all}", row.name)))
}

/// A symbol as the market writes it: a venue may accept another spelling and never send anything.
fn venue_symbol(node: &Node, rules: Option<&VenueMarket>) -> Parsed<String> {
    let symbol = text(node)?;
    if symbol.len() > SYMBOL_BYTES_MAX || symbol.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Wrong::new(format!(
            "{symbol:?} is not a symbol; write at most {SYMBOL_BYTES_MAX} bytes without spaces"
        )));
    }
    match rules.and_then(|row| Some((row, row.spelling.right(&symbol)?))) {
        Some((row, right)) => Err(Wrong::new(format!("{} does not write {symbol:?}; {right}", row.name))),
        None => Ok(symbol),
    }
}

impl Spelling {
    const fn example(self) -> &'static str {
        match self {
            Self::Joined | Self::Capitals => "BTCUSDT",
            Self::Dashed => "BTC-USDT",
            Self::DashedUsd => "BTC-USD",
            Self::Slashed => "BTC/USD",
        }
    }

    /// What to write instead of a symbol that is wrong.
    fn right(self, symbol: &str) -> Option<String> {
        let is_low = symbol.bytes().any(|byte| byte.is_ascii_lowercase());
        let is_wrong = match self {
            Self::Joined => is_low || symbol.contains(['-', '/']),
            Self::Dashed | Self::DashedUsd => is_low || !symbol.contains('-') || symbol.contains(['/', '_']),
            Self::Capitals => is_low || symbol.contains(['/', '_']),
            // Tokenised stocks have a lower case x: `AAPLx/USD`.
            Self::Slashed => symbol.matches('/').count() != 1,
        };
        if is_wrong {
            return Some(format!("write it as the venue does, such as {:?}", self.example()));
        }
        let (from, to) = match self {
            Self::DashedUsd if symbol.ends_with("-USDC") => ("-USDC", "-USD"),
            Self::Slashed if symbol.split('/').any(|part| part == "XBT") => ("XBT", "BTC"),
            _ => return None,
        };
        Some(format!("its messages say {:?}, write that", symbol.replace(from, to)))
    }
}

/// `"300/5m"`.
fn allowance(node: &Node) -> Parsed<Allowance> {
    let parts = node.text().and_then(|text| text.split_once('/'));
    let read = |(count, period): (&str, &str)| {
        let count = count.trim().parse().ok().filter(|count| (1..=COUNT_MAX).contains(&u64::from(*count)))?;
        let period = units::duration(period).filter(|period| (ALLOWANCE_MIN..=ALLOWANCE_MAX).contains(period))?;
        Some(Allowance { count, period })
    };
    parts.and_then(read).ok_or_else(|| {
        let remedy = "write how many in what time, such as \"300/5m\": 1 to 1000000 in \"1ms\" to \"1d\"";
        Wrong::new(format!("{} is not an allowance; {remedy}", node.value))
    })
}

fn lifetime(node: &Node) -> Parsed<Lifetime> {
    match &node.value {
        Value::Text(text) | Value::Raw(text) if text == "never" => Ok(Lifetime::Never),
        _ => duration(LIFETIME_MIN..=PERIOD_MAX)(node)
            .map(Lifetime::After)
            .map_err(|wrong| Wrong { message: format!("{}; or \"never\"", wrong.message), ..wrong }),
    }
}

impl fmt::Display for Allowance {
    /// `300/5m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, units::show_duration(self.period))
    }
}

const COUNT_MAX: u64 = 1_000_000;
const ALLOWANCE_MIN: Duration = Duration::from_millis(1);
const ALLOWANCE_MAX: Duration = Duration::from_secs(86_400);
const PERIOD_MIN: Duration = Duration::from_millis(10);
const PERIOD_MAX: Duration = Duration::from_secs(30 * 86_400);
const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// No venue's symbol is longer.
const SYMBOL_BYTES_MAX: usize = 64;
