//! The session of a source: what it should be hearing, and what is to be done when it does not.
//!
//! A state machine without sockets and without a clock: each call says what time it is, and what is to be done comes out
//! as [`Action`]s. So an hour of failures is tested in a millisecond. The same calls and seed give the same actions.
//!
//! Hot path: [`Session::frame`] of a frame with messages allocates nothing (tests/session_no_alloc.rs counts). How often each
//! stream spoke is not noted there, but asked of [`Heard`] a few times a second.

mod action;
mod backoff;
mod books;
mod budget;
mod change;
mod connect;
mod connection;
mod liveness;
mod pairs;
mod pulls;
mod requests;
mod streams;
mod talk;
mod view;
mod voice;
mod watch;

pub use action::{Action, ConnId, Heard, PullId, Pulled, Purpose, StreamState, View, Why};

use crate::config::LiveConfig;
use crate::plan::Shard;
use crate::protocol::{Protocol, Route, TextPing};
use crate::stream::{Stream, StreamKind};
use books::{Book, How};
use budget::Budget;
use change::Stay;
use connect::Slot;
use connection::Conn;
use feedd_model::MonoNanos;
use feedd_venues::check::{BookRule, Want};
use feedd_venues::decoder::Outcome;
use pulls::Pulls;
use requests::Places;
use std::time::Duration;
use streams::Care;
use voice::Voice;
use watch::POLL_NS;

/// A tick that comes so late was held up by the recorder itself: what the venue said meanwhile may not have been read.
const HELD_UP_NS: u64 = 2_000_000_000;

/// A symbol and the places of its streams.
#[derive(Debug)]
struct Symbol {
    name: String,
    streams: [Option<usize>; StreamKind::ALL.len()],
    stay: Stay,
}

/// The session of one shard.
pub struct Session {
    config: LiveConfig,
    protocol: Box<dyn Protocol>,
    text_ping: Option<TextPing>,
    name: String,
    route: Route,
    rng: fastrand::Rng,
    /// Of the last call.
    now: MonoNanos,
    streams: Vec<Care>,
    places: Places,
    symbols: Vec<Symbol>,
    books: Vec<Book>,
    slots: Vec<Slot>,
    conns: Vec<Conn>,
    connects: Budget,
    /// The venue asked to wait.
    not_before: MonoNanos,
    pulls: Pulls,
    voice: Voice,
    actions: Vec<Action>,
    next_conn: u64,
    next_request: u64,
    poll_at: MonoNanos,
    mute_replaced_at: Option<MonoNanos>,
    is_stopped: bool,
}

impl Session {
    /// A session that has done nothing yet; call [`Session::tick`] at once. `seed`: of the jitter.
    #[must_use]
    pub fn new(config: LiveConfig, protocol: Box<dyn Protocol>, shard: Shard, seed: u64) -> Self {
        let mut symbols: Vec<Symbol> = Vec::new();
        let (mut streams, mut places) = (Vec::new(), Places::default());
        for stream in shard.streams {
            if !places.add(&stream) {
                continue;
            }
            let symbol = symbols.iter().position(|symbol| symbol.name == stream.symbol).unwrap_or_else(|| {
                let stay = Stay::Here;
                symbols.push(Symbol { name: stream.symbol.clone(), streams: Default::default(), stay });
                symbols.len() - 1
            });
            symbols[symbol].streams[stream.kind.index()] = Some(streams.len());
            streams.push(Care::new(stream, symbol));
        }
        let how = how_of(&*protocol);
        let depth = streams.iter().enumerate().filter(|(_, care)| care.stream.kind == StreamKind::Depth);
        let slots = (0..usize::from(config.redundancy.max(1))).map(|place| Slot::new(&config.periods, place));
        Self {
            books: depth.map(|(place, _)| Book::new(place, how)).collect(),
            slots: slots.collect(),
            connects: Budget::new(config.limits.connects),
            pulls: Pulls::new(Budget::new(config.limits.rest_weight)),
            text_ping: protocol.text_ping(),
            name: shard.name,
            route: shard.route,
            rng: fastrand::Rng::with_seed(seed),
            now: MonoNanos(0),
            conns: Vec::new(),
            not_before: MonoNanos(0),
            voice: Voice::default(),
            actions: Vec::new(),
            next_conn: 1,
            next_request: 1,
            poll_at: MonoNanos(0),
            mute_replaced_at: None,
            is_stopped: false,
            config,
            protocol,
            streams,
            places,
            symbols,
        }
    }

    /// A connection is open.
    pub fn connected(&mut self, now: MonoNanos, conn: ConnId) {
        self.now = now;
        let Some(at) = self.place_of(conn) else { return };
        let conn = &mut self.conns[at];
        conn.is_open = true;
        (conn.began_at, conn.heard_at, conn.frame_at) = (now, now, now);
        (conn.pinged_at, conn.text_pinged_at) = (now, now);
        self.subscribe_all(now, at);
    }

    /// A connection could not be opened. `retry_after`: what the venue asked to wait (429, 418, 503).
    pub fn connect_failed(&mut self, now: MonoNanos, conn: ConnId, text: &str, retry_after: Option<Duration>) {
        self.now = now;
        self.failed(now, conn, text, retry_after);
    }

    /// A frame came and was decoded. Hot path: a frame with messages costs a comparison and a store.
    #[inline]
    pub fn frame(&mut self, now: MonoNanos, conn: ConnId, frame: &str, outcome: &Outcome<'_>) {
        let Some(at) = self.place_of(conn) else { return };
        let conn = &mut self.conns[at];
        (conn.heard_at, conn.frame_at) = (now, now);
        match outcome {
            Outcome::Messages(count) => conn.messages += *count as u64,
            Outcome::Control { .. } | Outcome::Unknown(_) => {
                self.now = now;
                self.answered(now, at, frame);
            }
            // A sign of life, and no word to be relied on.
            Outcome::Rejected(_) => {}
        }
    }

    /// A WebSocket ping or pong came.
    pub fn alive(&mut self, now: MonoNanos, conn: ConnId) {
        if let Some(at) = self.place_of(conn) {
            self.conns[at].heard_at = now;
        }
    }

    /// A connection ended by itself or by the venue. `code`: its close code, 1006 when there was none.
    pub fn closed(&mut self, now: MonoNanos, conn: ConnId, code: u16, text: &str) {
        self.now = now;
        let text = if text.is_empty() { format!("code {code}") } else { format!("code {code}, {text}") };
        self.failed(now, conn, &text, None);
    }

    /// A REST request ended.
    pub fn pulled(&mut self, now: MonoNanos, pull: PullId, end: Pulled) {
        self.now = now;
        self.end_pull(now, pull, end);
    }

    /// The checker wants something.
    pub fn want(&mut self, now: MonoNanos, want: Want) {
        self.now = now;
        match want {
            Want::Snapshot { symbol } => self.want_book(now, &symbol, How::Pull),
            Want::Resubscribe { symbol } => self.want_book(now, &symbol, How::Resubscribe),
            // Those that are whole are found to be so at the next look.
            Want::ResubscribeAll { .. } => self.books.iter_mut().for_each(|book| book.want(now, &mut self.rng)),
            Want::Trades { symbol, .. } if !self.is_wanted(&symbol) => {}
            Want::Trades { symbol, first, last } => self.want_trades(now, symbol, first, last),
        }
    }

    /// Whether a symbol is recorded; one that is leaving is not asked for any more.
    fn is_wanted(&self, name: &str) -> bool {
        self.symbols.iter().any(|symbol| symbol.name == name && symbol.stay == Stay::Here)
    }

    fn how(&self) -> How {
        how_of(&*self.protocol)
    }

    fn want_book(&mut self, now: MonoNanos, symbol: &str, how: How) {
        if !self.is_wanted(symbol) {
            return;
        }
        let is_it = |book: &&mut Book| self.streams[book.stream].stream.symbol == symbol;
        if let Some(book) = self.books.iter_mut().find(is_it) {
            book.how = how;
            book.want(now, &mut self.rng);
        }
    }

    /// Looks at everything that depends on time. Call it when [`Session::due`] has come, sooner does no harm.
    pub fn tick(&mut self, now: MonoNanos, heard: &dyn Heard) {
        if self.is_stopped {
            return;
        }
        self.now = now;
        if now >= self.poll_at && !self.conns.is_empty() {
            if now.since(self.poll_at) >= HELD_UP_NS {
                self.forgive(now);
            }
            self.poll_at = MonoNanos(now.0.saturating_add(POLL_NS));
            self.poll(now, heard);
            self.advance(now);
            self.judge_connections(now);
            self.judge_answers(now);
            self.judge_streams(now);
            self.judge_pairs(now);
        }
        self.connect(now);
        self.send(now);
        self.pull(now);
        self.let_leave();
    }

    /// When [`Session::tick`] is to be called next; the largest time when the session has been stopped.
    #[must_use]
    pub fn due(&self) -> MonoNanos {
        if self.is_stopped {
            return MonoNanos(u64::MAX);
        }
        let poll = (!self.conns.is_empty()).then_some(self.poll_at);
        let connects = self.slots.iter().filter_map(|slot| self.connect_due(slot));
        let sends = self.conns.iter().filter(|conn| conn.is_open).filter_map(|conn| conn.subscriptions.ready_at());
        connects.chain(sends).chain(poll).chain(self.pulls.due()).min().unwrap_or(MonoNanos(u64::MAX))
    }

    /// What is to be done, since the last call, in order.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The run ends: closes everything.
    pub fn stop(&mut self, now: MonoNanos) {
        self.now = now;
        self.is_stopped = true;
        let ends = self.conns.drain(..).map(|conn| Action::Close { conn: conn.id, why: Why::Stopping });
        self.actions.extend(ends);
        for slot in &mut self.slots {
            (slot.current, slot.next) = (None, None);
        }
        self.listen(now);
    }

    fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.iter().find(|conn| conn.id == id)
    }

    #[inline]
    fn place_of(&self, id: ConnId) -> Option<usize> {
        self.conns.iter().position(|conn| conn.id == id)
    }
}

/// How a venue gives a book anew.
fn how_of(protocol: &dyn Protocol) -> How {
    let joins = matches!(protocol.rules().book, BookRule::JoinFirst | BookRule::JoinPrevious);
    if joins { How::Pull } else { How::Resubscribe }
}

/// Names the shard and its streams; the protocol behind it has no `Debug`.
impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let streams: Vec<&Stream> = self.streams.iter().map(|care| &care.stream).collect();
        f.debug_struct("Session").field("name", &self.name).field("streams", &streams).finish_non_exhaustive()
    }
}
