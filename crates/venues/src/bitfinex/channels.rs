//! What the channels of each connection stand for: frames of data carry only a number, which the answer to a subscription
//! has explained.
//!
//! Bounds: [`CONNECTIONS_MAX`] connections, of which the one known longest makes room, and [`CHANNELS_MAX`] channels each,
//! beyond which a subscription is not remembered: its frames are then those of no channel.

use rustc_hash::FxHashMap;

/// Connections remembered at once.
const CONNECTIONS_MAX: usize = 64;
/// Channels of a connection; the venue allows some 30 (2021: 250).
const CHANNELS_MAX: usize = 1024;

/// Every frame of a list ends in a number of its own.
const FLAG_SEQUENCE: i64 = 1 << 16;
/// Several changes of a book can stand in one frame.
const FLAG_BULK: i64 = 1 << 29;

/// What a channel carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ticker,
    Trades,
    Book,
    /// Nothing that is read here, under this name.
    Other(&'static str),
}

/// One channel of one connection.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    pub(super) kind: Kind,
    /// The instrument; empty for [`Kind::Other`].
    pub(super) symbol: Box<str>,
    /// Whether a book has begun: what comes then are changes.
    pub(super) has_snapshot: bool,
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    name: String,
    /// `flags` that the recorder has asked for and the venue has not answered yet.
    pub(super) flags_asked: i64,
    /// `flags` in force.
    pub(super) flags: i64,
    channels: FxHashMap<i64, Channel>,
}

impl Connection {
    /// A new connection under the same name.
    pub(super) fn begin(&mut self) {
        self.channels.clear();
        self.flags = 0;
    }

    /// A number stands for a channel from now on.
    pub(super) fn subscribe(&mut self, id: i64, channel: Channel) {
        if self.channels.len() < CHANNELS_MAX || self.channels.contains_key(&id) {
            self.channels.insert(id, channel);
        }
    }

    /// A number stands for nothing any more.
    pub(super) fn unsubscribe(&mut self, id: i64) {
        self.channels.remove(&id);
    }

    /// What a number stands for.
    pub(super) fn channel(&mut self, id: i64) -> Option<&mut Channel> {
        self.channels.get_mut(&id)
    }

    /// Whether frames are numbered.
    pub(super) const fn is_numbered(&self) -> bool {
        self.flags & FLAG_SEQUENCE != 0
    }

    /// Whether a list of levels can be changes.
    pub(super) const fn has_bulk_updates(&self) -> bool {
        self.flags & FLAG_BULK != 0
    }
}

/// Every connection.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Vec<Connection>,
}

impl Connections {
    /// A connection that something is known of.
    pub(super) fn get(&mut self, name: &str) -> Option<&mut Connection> {
        self.all.iter_mut().find(|connection| connection.name == name)
    }

    /// A connection, made known if it is not.
    pub(super) fn entry(&mut self, name: &str) -> &mut Connection {
        let at = self.all.iter().position(|connection| connection.name == name).unwrap_or_else(|| {
            if self.all.len() == CONNECTIONS_MAX {
                self.all.remove(0);
            }
            self.all.push(Connection { name: name.to_owned(), ..Connection::default() });
            self.all.len() - 1
        });
        &mut self.all[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let channel = || Channel { kind: Kind::Trades, symbol: "tX".into(), has_snapshot: false };
        let mut connections = Connections::default();
        for name in 0..1000 {
            connections.entry(&name.to_string());
        }
        assert_eq!(connections.all.len(), CONNECTIONS_MAX);
        assert!(connections.get("0").is_none() && connections.get("999").is_some());
        let connection = connections.entry("999");
        for id in 0..10_000 {
            connection.subscribe(id, channel());
        }
        assert_eq!(connection.channels.len(), CHANNELS_MAX);
        assert!(connection.channel(0).is_some() && connection.channel(9999).is_none());
        connection.unsubscribe(0);
        connection.subscribe(9999, channel());
        assert!(connection.channel(0).is_none() && connection.channel(9999).is_some());
    }
}
