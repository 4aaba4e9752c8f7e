//! The protocols. Each venue has a session for a connection, which answers requests and turns facts into frames, and a
//! function for its REST side. Frames are written from templates: nothing here is shared with those who read them.

mod binance;
mod binance_frames;
mod binance_rest;
mod bybit;
mod bybit_frames;
mod coinbase;
mod coinbase_advanced;
mod coinbase_rest;
mod kraken;
mod kraken_frames;
mod names;
mod okx;
mod subs;
mod write;

pub(crate) use names::{Names, Symbol};
use subs::Subs;

use crate::http::{Answer, Request};
use crate::hub::Hub;
use crate::market::Fact;
use crate::venue::Venue;
use std::time::{Duration, Instant};

/// What a data frame holds, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) kind: &'static str,
    /// The instrument; `None`: none or several.
    pub(crate) symbol: Option<usize>,
    pub(crate) ids: Ids,
    /// Whether it tells something new, and does not answer a subscription.
    pub(crate) live: bool,
    /// Whether the fault `bad-checksum` has damaged it.
    pub(crate) damaged: bool,
}

/// Which facts a data frame holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    /// From one sequence number or id to another.
    Range(u64, u64),
    /// Texts of the first and the last.
    Texts(String, String),
    /// It has none.
    None,
}

/// A frame to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) text: String,
    /// `None`: an answer, a heartbeat or a notice.
    pub(crate) data: Option<Data>,
}

/// What a session wants done.
pub(crate) struct Out<'a> {
    pub(crate) hub: &'a Hub,
    /// The venue's clock.
    pub(crate) venue_ns: i64,
    pub(crate) frames: Vec<Frame>,
    /// Close with this code and reason.
    pub(crate) close: Option<(u16, String)>,
    /// Depth frames to come that are to be damaged.
    pub(crate) damage: u32,
    /// The next data frame is a damaged one.
    damaged: bool,
}

impl<'a> Out<'a> {
    pub(crate) fn new(hub: &'a Hub, venue_ns: i64) -> Self {
        Self { hub, venue_ns, frames: Vec::new(), close: None, damage: 0, damaged: false }
    }

    /// An answer, a heartbeat or a notice.
    pub(crate) fn answer(&mut self, text: impl Into<String>) {
        self.frames.push(Frame { text: text.into(), data: None });
    }

    /// A data frame that tells something new.
    pub(crate) fn live(&mut self, kind: &'static str, symbol: usize, ids: Ids, text: String) {
        let damaged = std::mem::take(&mut self.damaged);
        self.frames.push(Frame { text, data: Some(Data { kind, symbol: Some(symbol), ids, live: true, damaged }) });
    }

    /// A data frame that belongs to a subscription.
    pub(crate) fn first(&mut self, kind: &'static str, symbol: usize, ids: Ids, text: String) {
        let data = Data { kind, symbol: Some(symbol), ids, live: false, damaged: false };
        self.frames.push(Frame { text, data: Some(data) });
    }

    /// Whether this depth frame is to be damaged.
    pub(crate) fn takes_damage(&mut self) -> bool {
        self.damaged = self.damage > 0;
        self.damage = self.damage.saturating_sub(1);
        self.damaged
    }

    pub(crate) fn close(&mut self, code: u16, reason: impl Into<String>) {
        self.close.get_or_insert((code, reason.into()));
    }
}

/// When something happened on a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activity {
    pub(crate) now: Instant,
    pub(crate) opened: Instant,
    /// The last data frame that was sent.
    pub(crate) data_sent: Instant,
    /// The last frame of any kind that was sent.
    pub(crate) sent: Instant,
    /// The last frame that came.
    pub(crate) received: Instant,
}

/// One connection's side of a venue's protocol.
pub(crate) trait Session: Send {
    /// The connection is open.
    fn open(&mut self, _out: &mut Out<'_>) {}

    /// A text came.
    fn text(&mut self, text: &str, out: &mut Out<'_>);

    /// Something happened in the market.
    fn fact(&mut self, fact: &Fact, serial: u64, out: &mut Out<'_>);

    /// Time passes: heartbeats, and cuts for being idle.
    fn tick(&mut self, _activity: &Activity, _out: &mut Out<'_>) {}

    /// When [`Session::tick`] has something to do at the latest.
    fn wake_at(&self) -> Option<Instant> {
        None
    }

    /// Whether an incoming frame counts for the limit of messages; `None` is a ping or pong.
    fn counts(&self, text: Option<&str>) -> bool {
        text.is_some()
    }

    /// More messages came than are allowed. `true`: the message is not looked at.
    fn too_many(&mut self, _text: Option<&str>, out: &mut Out<'_>) -> bool {
        out.close(1008, "Too many requests");
        true
    }

    /// The venue says that it goes down. The time after which it closes; `None`: at once.
    fn shutdown(&mut self, _out: &mut Out<'_>) -> Option<Duration> {
        None
    }

    /// Counters of the connection itself start again.
    fn reset_sequence(&mut self) {}
}

/// Opens a session at a path; `None`: the venue has no such path.
pub(crate) fn open(hub: &Hub, request: &Request) -> Option<Box<dyn Session>> {
    match hub.config.venue {
        Venue::Binance | Venue::BinanceUs | Venue::BinanceUsdm | Venue::BinanceCoinm => {
            binance::open(hub, request).map(|session| Box::new(session) as _)
        }
        // The feeds of Coinbase have no path.
        Venue::Coinbase => (request.path == "/").then(|| Box::new(coinbase::Coinbase::new(hub)) as _),
        Venue::CoinbaseAdvanced => (request.path == "/").then(|| Box::new(coinbase_advanced::Advanced::new(hub)) as _),
        Venue::Kraken => (request.path == "/v2").then(|| Box::new(kraken::Kraken::new(hub)) as _),
        Venue::Okx => okx::open(hub, request).map(|session| Box::new(session) as _),
        Venue::Bybit => bybit::open(hub, request).map(|session| Box::new(session) as _),
    }
}

/// Answers a REST request.
pub(crate) fn rest(hub: &Hub, request: &Request) -> Answer {
    if request.method != "GET" {
        return Answer::error(405, "{\"error\":\"only GET is served\"}");
    }
    let answer = match hub.config.venue {
        Venue::Binance | Venue::BinanceUs | Venue::BinanceUsdm | Venue::BinanceCoinm => {
            binance_rest::answer(hub, request)
        }
        Venue::Coinbase | Venue::CoinbaseAdvanced => coinbase_rest::answer(hub, request),
        Venue::Kraken => kraken_frames::rest(hub, request),
        Venue::Okx => okx::rest(hub, request),
        Venue::Bybit => bybit_frames::rest(hub, request),
    };
    answer.unwrap_or_else(|| Answer::error(404, "{\"error\":\"no such path; README.md lists what is served\"}"))
}
