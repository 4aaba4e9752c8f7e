//! What is recorded: the keys of one `[[source]]`.

use crate::choice::{Channel, Choice, FullPolicy, Kind};
use crate::schema::Validation;
use crate::venue::Venue;
use feedd_model::UnixNanos;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// One `[[source]]`: its thread, its ring, and where its frames come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Unique name, in logs and counters. Default: the kind, or the market of a venue; from the second one on with its
    /// number, `sim-2`.
    pub name: String,
    /// Core of its thread: `"auto"`, `"none"` or a number. Default `"auto"`.
    pub core: Core,
    /// What it does when its ring is full. Default `"block"`.
    pub full: FullPolicy,
    /// `[validation]` with this source's own `[source.validation]` keys laid over it.
    pub validation: Validation,
    /// `kind`, with the keys of that kind.
    pub kind: SourceKind,
}

/// Where the frames of a source come from.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// `kind = "sim"`: a simulated market.
    Sim(Sim),
    /// `kind = "capture"`: recorded frames.
    Capture(Capture),
    /// `kind = "venue"`: a live market.
    Venue(Box<Venue>),
}

/// The keys of `kind = "sim"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sim {
    /// Symbols of 3 to 20 capital letters and digits, each once. Default: the ten of [`DEFAULT_SYMBOLS`].
    pub symbols: Vec<String>,
    /// Seed of the market: the same seed gives the same frames. Default 1.
    pub seed: u64,
    /// Frames per second over all symbols, or `"max"`. Default 1,000.
    pub rate: Rate,
    /// Time of the first frame, RFC 3339 with an offset. Default: the time of the start.
    pub start_time: Option<UnixNanos>,
    /// Frames from one burst of trades to the next; 0 for no bursts, at most 1,000,000,000. Default 20,000.
    pub burst_every_frames: u64,
    /// Trades in a burst; 1 to 10,000. Default 200.
    pub burst_trades: u32,
    /// Kinds of messages, each once. Default: all three.
    pub channels: Vec<Channel>,
}

/// The keys of `kind = "capture"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Files, and folders of files, in the order they are read. Required.
    pub paths: Vec<PathBuf>,
    /// Venue whose decoder reads the frames. Default: the name of each file's folder.
    pub venue: Option<String>,
    /// Times the recorded pace, or `"max"`. Default `"max"`.
    pub speed: Speed,
}

/// How fast the simulated market sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as frames are taken.
    Max,
    /// Whole frames per second, from 1.
    PerSecond(u64),
}

/// How fast a recording is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As fast as frames are taken.
    Max,
    /// Thousandths of the recorded pace: 1000 is as recorded.
    Thousandths(NonZeroU32),
}

/// Which core a thread stays on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Core {
    /// One that no other thread of the run was given, when there are enough.
    #[default]
    Auto,
    /// None: the system moves the thread as it likes.
    None,
    /// This one, as the system numbers them.
    Pinned(usize),
}

/// The ten symbols of a simulated market that is not told otherwise.
pub const DEFAULT_SYMBOLS: [&str; 10] =
    ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "TRXUSDT", "ADAUSDT", "DOGEUSDT", "AVAXUSDT", "DOTUSDT"];

impl Source {
    /// The source of a run that names none.
    pub(crate) fn sim(validation: &Validation) -> Self {
        Self {
            name: Kind::Sim.to_string(),
            core: Core::Auto,
            full: FullPolicy::Block,
            validation: validation.clone(),
            kind: SourceKind::Sim(Sim::default()),
        }
    }
}

impl SourceKind {
    /// The kind alone, without its keys.
    pub(crate) const fn tag(&self) -> Kind {
        match self {
            Self::Sim(_) => Kind::Sim,
            Self::Capture(_) => Kind::Capture,
            Self::Venue(_) => Kind::Venue,
        }
    }

    /// What a source of it is called that has no name of its own.
    pub(crate) fn usual_name(&self) -> &'static str {
        match self {
            Self::Venue(venue) => venue.market.name,
            _ => self.tag().word(),
        }
    }
}

impl Default for Sim {
    fn default() -> Self {
        Self {
            symbols: DEFAULT_SYMBOLS.map(str::to_owned).to_vec(),
            seed: 1,
            rate: Rate::PerSecond(1_000),
            start_time: None,
            burst_every_frames: 20_000,
            burst_trades: 200,
            channels: vec![Channel::Trades, Channel::Quotes, Channel::Depth],
        }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self { paths: Vec::new(), venue: None, speed: Speed::Max }
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Pinned(core) => write!(f, "{core}"),
        }
    }
}
