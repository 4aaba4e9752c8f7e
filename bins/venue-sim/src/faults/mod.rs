//! Faults: what they are, how they are written, when they strike, and what they do to a connection.

mod active;
mod chaos;
mod parse;

pub(crate) use active::{Active, Fate};
pub use chaos::Chaos;
pub(crate) use chaos::ChaosClock;
pub use parse::FaultError;
pub(crate) use parse::duration;

use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The server ends the TCP stream; with a code, after a WebSocket close frame, else without one (1006).
    Close {
        /// Code of the close frame.
        code: Option<u16>,
    },
    /// The TCP connection is reset.
    Reset,
    /// The socket stays open, nothing is read or written.
    Blackhole,
    /// No data any more; requests and pings are answered.
    Mute,
    /// No data of one instrument any more.
    MuteSymbol {
        /// The venue's spelling.
        symbol: String,
    },
    /// The next data frames are sent twice.
    Duplicate {
        /// How many.
        count: u32,
    },
    /// The next data frame is sent after the one that follows it in its stream.
    Reorder,
    /// The next data frames are not sent; the market goes on.
    Drop {
        /// How many.
        count: u32,
    },
    /// The next depth frame carries a wrong checksum; where the venue has none, a wrong sequence.
    BadChecksum,
    /// The venue's counters start again.
    SequenceReset,
    /// The answer to the handshake comes one byte a second.
    SlowHandshake,
    /// A text frame of that size, which nobody asked for.
    Giant {
        /// Bytes of the frame.
        bytes: usize,
    },
    /// A text frame that is not UTF-8.
    InvalidUtf8,
    /// The venue says that it goes down, its own way, and closes two seconds later.
    Shutdown,
    /// New connections and REST requests are answered 429.
    Status429,
    /// The venue's clock is wrong by so much.
    Skew {
        /// Milliseconds; below zero: behind.
        ms: i64,
    },
}

/// Names of all kinds, as they are written.
pub const FAULT_NAMES: [&str; 16] = [
    "close",
    "reset",
    "blackhole",
    "mute",
    "mute-symbol",
    "duplicate",
    "reorder",
    "drop",
    "bad-checksum",
    "sequence-reset",
    "slow-handshake",
    "giant",
    "invalid-utf8",
    "shutdown",
    "status-429",
    "skew",
];

impl FaultKind {
    /// As it is written.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Close { .. } => FAULT_NAMES[0],
            Self::Reset => FAULT_NAMES[1],
            Self::Blackhole => FAULT_NAMES[2],
            Self::Mute => FAULT_NAMES[3],
            Self::MuteSymbol { .. } => FAULT_NAMES[4],
            Self::Duplicate { .. } => FAULT_NAMES[5],
            Self::Reorder => FAULT_NAMES[6],
            Self::Drop { .. } => FAULT_NAMES[7],
            Self::BadChecksum => FAULT_NAMES[8],
            Self::SequenceReset => FAULT_NAMES[9],
            Self::SlowHandshake => FAULT_NAMES[10],
            Self::Giant { .. } => FAULT_NAMES[11],
            Self::InvalidUtf8 => FAULT_NAMES[12],
            Self::Shutdown => FAULT_NAMES[13],
            Self::Status429 => FAULT_NAMES[14],
            Self::Skew { .. } => FAULT_NAMES[15],
        }
    }

    /// Whether it lasts. What does not strikes once.
    pub(crate) const fn lasts(&self) -> bool {
        matches!(
            self,
            Self::Blackhole
                | Self::Mute
                | Self::MuteSymbol { .. }
                | Self::SlowHandshake
                | Self::Status429
                | Self::Skew { .. }
        )
    }
}

/// A fault, when it strikes, and for how long and on which connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Time from the start on; `None`: at once.
    pub at: Option<Duration>,
    /// What.
    pub kind: FaultKind,
    /// How long a lasting fault lasts, for connections that come meanwhile as well. `None`: it holds for the connections
    /// that are open, until they end (`slow-handshake`, `status-429` and `skew`: until the server ends).
    pub lasts: Option<Duration>,
    /// Number of the only connection that is hit; `None`: all.
    pub conn: Option<u64>,
}

impl From<FaultKind> for Fault {
    /// At once, on all connections.
    fn from(kind: FaultKind) -> Self {
        Self { at: None, kind, lasts: None, conn: None }
    }
}
