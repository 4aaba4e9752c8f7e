//! What a live source is told: the venue, what to record, and every limit and period. The defaults are the venue's
//! documented ones ([`crate::protocol::Market::defaults`]).

use crate::protocol::Market;
use crate::stream::StreamKind;
use std::time::Duration;

/// One live source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// Which venue and market.
    pub market: Market,
    /// Symbols as the venue writes them in its messages, each once.
    pub symbols: Vec<String>,
    /// Kinds of streams, each once.
    pub channels: Vec<StreamKind>,
    /// Connections that carry the same streams: 1, or 2 so that the end of one is no interruption.
    pub redundancy: u8,
    /// Levels a side of the depth stream, where the venue offers a choice.
    pub depth_levels: u32,
    /// Addresses.
    pub endpoints: Endpoints,
    /// The venue's limits.
    pub limits: Limits,
    /// Periods.
    pub periods: Periods,
}

/// Addresses, without a path where the venue's route adds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// `wss://host[:port]`; `ws://` only for loopback addresses.
    pub ws: Vec<String>,
    /// `https://host[:port]`; `http://` only for loopback addresses. Empty: no REST.
    pub rest: String,
    /// A file of PEM certificates that are trusted besides the usual roots.
    pub ca_file: Option<std::path::PathBuf>,
}

/// Limits of a venue, with its documented values as defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams on one connection.
    pub streams_per_connection: usize,
    /// Streams named in one request.
    pub streams_per_request: usize,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// Messages that the recorder may send on a connection.
    pub messages: Budget,
    /// Connections that may be attempted.
    pub connects: Budget,
    /// Weight of REST requests.
    pub rest_weight: Budget,
}

/// So many in a period, spread evenly, at most `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In what time.
    pub period: Duration,
    /// At once.
    pub burst: u32,
}

/// Periods of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Periods {
    /// Until a connection must be open: name, TCP, TLS and WebSocket handshake together.
    pub connect: Duration,
    /// Until every subscription must be acknowledged.
    pub acknowledge: Duration,
    /// Until a stream of quotes or depth must have spoken for the first time after its acknowledgement.
    pub first_data: Duration,
    /// Until a stream of trades must have.
    pub first_trade: Duration,
    /// Silence of a whole connection after which it is pinged.
    pub ping_after: Duration,
    /// Silence of a whole connection, its pongs included, after which it is dead.
    pub silence: Duration,
    /// Shortest silence of a single stream that makes it mute, however busy it was.
    pub mute_min: Duration,
    /// Longest silence of a single stream that is still believed.
    pub mute_max: Duration,
    /// Waits between attempts to connect: full jitter from `retry_min` doubling up to `retry_max`.
    pub retry_min: Duration,
    /// See `retry_min`.
    pub retry_max: Duration,
    /// How long a connection must have been well before its waits begin anew.
    pub stable: Duration,
    /// The venue cuts every connection after so long; it is replaced before that. `None`: it does not.
    pub lifetime: Option<Duration>,
}

impl Default for Periods {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            acknowledge: Duration::from_secs(10),
            first_data: Duration::from_secs(20),
            first_trade: Duration::from_secs(120),
            ping_after: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            mute_min: Duration::from_secs(10),
            mute_max: Duration::from_secs(900),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            stable: Duration::from_secs(60),
            lifetime: None,
        }
    }
}
