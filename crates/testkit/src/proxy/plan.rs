//! What a proxy can be told, and what it tells: targets, faults, cuts, counters.

use super::wire::Message;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the proxy connects to.
#[derive(Clone, Debug)]
pub enum Target {
    /// A TCP server.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// A fault in either direction, or in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// On the way to the server.
    pub to_server: bool,
    /// On the way to the client.
    pub to_client: bool,
}

impl Sides {
    /// Both ways.
    pub const BOTH: Self = Self { to_server: true, to_client: true };
    /// Only on the way to the server.
    pub const TO_SERVER: Self = Self { to_server: true, to_client: false };
    /// Only on the way to the client.
    pub const TO_CLIENT: Self = Self { to_server: false, to_client: true };

    pub(super) const fn has(self, direction: Direction) -> bool {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// What is wrong with the network as long as it is set. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// New connections are refused; those there are go on.
    pub refuse: bool,
    /// Connections are accepted, and nothing is taken from this side.
    pub stall: Sides,
    /// What is sent this way is taken and vanishes, also the end: the other end of a half-open connection.
    pub swallow: Sides,
    /// Every chunk arrives later by this.
    pub delay: Duration,
    /// Most bytes passed on at once; 0 for no limit.
    pub piece_bytes_max: usize,
    /// Most bytes a second, in each direction of each connection; 0 for no limit.
    pub bytes_per_second_max: u64,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// In order: both peers read the end of the stream.
    Fin,
    /// By a reset: both peers get an error. A Unix socket knows no reset and just ends.
    Rst,
}

/// On which side of a message a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The message is not passed on; everything before it is.
    Before,
    /// The message is the last that is passed on.
    Behind,
}

/// Where a connection is cut. `nth` counts from 1, from when the cut was armed, over all connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At a message of PostgreSQL's protocol.
    Message {
        /// Which way it goes.
        direction: Direction,
        /// Its type, as a letter, [`STARTUP`](super::STARTUP) or [`ENCRYPTION_ANSWER`](super::ENCRYPTION_ANSWER); `None` for any.
        kind: Option<u8>,
        /// Which of them.
        nth: u64,
        /// On which side of it.
        place: Place,
    },
    /// At a COMMIT on its way to the server. Behind it: the server may or may not get to answer.
    Commit {
        /// Which of them.
        nth: u64,
        /// On which side of it.
        place: Place,
    },
    /// Behind a COMMIT, when the server has answered it; the answer is not passed on.
    CommitReply {
        /// Which COMMIT.
        nth: u64,
    },
    /// After so many bytes, whatever they mean.
    Bytes {
        /// Which way they go.
        direction: Direction,
        /// How many, from when the cut was armed.
        count: u64,
    },
}

/// One cut, done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Where.
    pub at: At,
    /// How.
    pub how: How,
}

/// What passes through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes; cuts at messages never happen.
    #[default]
    Opaque,
    /// PostgreSQL's, version 3. What is encrypted is passed on as bytes.
    Postgres,
}

/// How a proxy begins.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What passes through.
    pub protocol: Protocol,
    /// What is wrong from the start.
    pub faults: Faults,
    /// Cuts that are armed from the start.
    pub cuts: Vec<Cut>,
    /// When, from the start, these faults take the place of those before; in the order of time.
    pub schedule: Vec<(Duration, Faults)>,
}

impl Plan {
    /// PostgreSQL without any fault.
    #[must_use]
    pub fn postgres() -> Self {
        Self { protocol: Protocol::Postgres, ..Self::default() }
    }
}

/// What has passed, from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Connections accepted that the target did not take.
    pub target_refused: u64,
    /// Bytes taken from the sender, by direction.
    pub bytes: BTreeMap<Direction, u64>,
    /// Messages begun, by direction and type.
    pub messages: BTreeMap<(Direction, u8), u64>,
    /// Connections cut, on request or by an armed cut.
    pub cuts: u64,
    /// COMMITs that the server confirmed and whose confirmation was not passed on.
    pub commits_swallowed: u64,
}

impl Counters {
    /// Messages of any type that went this way.
    #[must_use]
    pub fn messages_of(&self, direction: Direction) -> u64 {
        self.messages.iter().filter(|((way, _), _)| *way == direction).map(|(_, count)| count).sum()
    }
}

impl Place {
    pub(super) const fn of(self, message: &Message) -> u64 {
        match self {
            Self::Before => message.begin,
            Self::Behind => message.end,
        }
    }
}
