//! What goes in and out of a session: connections and pulls by number, what is to be done, how it ended.

use crate::stream::{Stream, StreamKind};
use std::time::Duration;

/// A connection of a session; rises, so that a late word of an old one is not taken for the new one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A REST request of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullId(pub u64);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a connection. Answered by [`super::Session::connected`] or [`super::Session::connect_failed`].
    Connect {
        /// Which.
        conn: ConnId,
        /// Where.
        url: String,
    },
    /// Send a text.
    Send {
        /// Where.
        conn: ConnId,
        /// What.
        text: String,
    },
    /// Send a WebSocket ping.
    Ping {
        /// Where.
        conn: ConnId,
    },
    /// Close a connection, open or still opening. Nothing more is heard of it: [`super::Session::closed`] is not called.
    Close {
        /// Which.
        conn: ConnId,
        /// Why, for the log and the data.
        why: Why,
    },
    /// Fetch by REST. Answered by [`super::Session::pulled`].
    Pull {
        /// Which.
        pull: PullId,
        /// Where.
        url: String,
        /// What for.
        purpose: Purpose,
    },
    /// A stream that should have spoken was silent: its interruption is to be marked.
    Silent {
        /// As the venue writes it.
        symbol: String,
        /// Which of its streams.
        kind: StreamKind,
        /// On this connection, while another one gives it; `None`: on all.
        conn: Option<ConnId>,
    },
    /// A symbol has left: nothing of it comes any more.
    Left {
        /// As the venue writes it.
        symbol: String,
    },
    /// Something an operator should read, once: already limited in rate.
    Tell {
        /// Whether it is a fault or news.
        is_warning: bool,
        /// The sentence.
        text: String,
    },
}

/// Why a connection was closed by the recorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Not open in time.
    ConnectTimeout,
    /// A subscription was not acknowledged in time.
    NoAcknowledgement,
    /// No stream of it spoke in time.
    NoFirstData,
    /// Nothing came, not even a pong.
    Silent,
    /// A stream stayed mute after it was subscribed anew, or every stream of it fell mute.
    Mute,
    /// Replaced before the venue cuts it.
    Replaced,
    /// The run ends.
    Stopping,
}

impl Why {
    /// For people: `the connection was closed by the recorder: ...`.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "not open in time",
            Self::NoAcknowledgement => "a subscription was not acknowledged",
            Self::NoFirstData => "subscribed, but no data came",
            Self::Silent => "silent, not even a pong came",
            Self::Mute => "its streams fell mute",
            Self::Replaced => "replaced by a new one",
            Self::Stopping => "the run ends",
        }
    }
}

/// What a REST request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The book of a symbol.
    Snapshot {
        /// As the venue writes it.
        symbol: String,
    },
    /// Missing trades.
    Trades {
        /// As the venue writes it.
        symbol: String,
        /// First missing id.
        first: u64,
        /// Last missing id.
        last: u64,
    },
}

/// How a REST request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// Answered, and the answer has gone through the intake. Of trades: the first and last id that are still missing.
    Done {
        /// What is left to fetch.
        still_missing: Option<(u64, u64)>,
    },
    /// Refused or failed.
    Failed {
        /// HTTP status, 0 without an answer.
        status: u16,
        /// What the venue asks to wait.
        retry_after: Option<Duration>,
        /// For the log.
        text: String,
    },
}

/// How many messages of each kind a symbol has given since the start, over all connections: what liveness is judged by, so
/// that the hot path needs no clock.
pub trait Heard {
    /// By [`StreamKind::index`].
    fn heard(&self, symbol: &str) -> [u64; StreamKind::ALL.len()];

    /// The same of one connection, since it was opened.
    fn heard_on(&self, symbol: &str, conn: ConnId) -> [u64; StreamKind::ALL.len()];

    /// Whether the depth of a symbol is whole at the moment.
    fn is_book_whole(&self, symbol: &str) -> bool;
}

/// State of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// Asked for, or to be asked for.
    Subscribing,
    /// Acknowledged; has not spoken yet.
    Acknowledged,
    /// Spoke within what is usual for it.
    Alive,
    /// Longer silent than usual, not yet suspect.
    Quiet,
    /// Silent for so long that it must be broken.
    Mute,
    /// The venue refused it, or never answered; asked for again now and then.
    Refused,
}

/// What a session is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Connections that are subscribed and heard.
    pub connections_live: usize,
    /// Connections that are being opened or subscribed.
    pub connections_opening: usize,
    /// Streams that one connection does not give although another one does, once for each such connection.
    pub streams_half_mute: usize,
    /// Every stream.
    pub streams: Vec<(Stream, StreamState)>,
}
