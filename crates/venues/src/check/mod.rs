//! What a venue's messages say about each other: holes, repetitions, old trades sent again, books that do not follow.
//!
//! A [`Checker`] stands between decoder and events, one for each source. It is a function of what came in and nothing
//! else (no clock, no randomness), so that a tape of a session, played again, gives the same rows. It marks holes by gap
//! events at once, tells known trades from new ones, and says what should be asked for again ([`Want`]); asking is the
//! matter of the session.
//!
//! Hot path: one look-up for a message; nothing is allocated while everything follows.

pub mod book;
pub mod ids;
mod known;
mod kraken_crc;
mod links;
mod own;
mod sequence;
mod stream_kind;
mod track;
mod trades;

pub use known::KnownTrades;
pub use links::LinkId;
pub use own::Own;
pub use sequence::BookRule;
pub use stream_kind::StreamKind;
pub use trades::TradeIds;

use crate::message::Message;
use book::OrderBook;
use feedd_core::Burst;
use feedd_model::{Flags, GapReason, InstrumentId, StatusCode, UnixNanos, VenueSeq};
use links::Links;
use own::Hole;
use rustc_hash::FxHashMap;
use track::{Scene, Track};
use trades::TradeTrack;

/// How a venue's messages are to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Its depth messages.
    pub book: BookRule,
    /// Its trades.
    pub trades: TradeIds,
    /// Whether the numbers of depth messages and quotes are the same on every connection (Binance), so that with two
    /// connections the first arrival counts. Elsewhere the connection opened last counts.
    pub is_global: bool,
}

/// What the session should ask the venue for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The book of a symbol, by REST.
    Snapshot {
        /// As the venue writes it.
        symbol: String,
    },
    /// The depth channel of a symbol anew, which begins with a snapshot.
    Resubscribe {
        /// As the venue writes it.
        symbol: String,
    },
    /// Every depth channel of a connection anew.
    ResubscribeAll {
        /// Whose frames had a hole.
        link: LinkId,
    },
    /// Trades by id, by REST.
    Trades {
        /// As the venue writes it.
        symbol: String,
        /// First missing id.
        first: u64,
        /// Last missing id.
        last: u64,
    },
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is recorded, with these flags.
    Store(Flags),
    /// It is known already.
    Duplicate,
}

/// Checks the messages of one source.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    links: Links,
    tracks: FxHashMap<InstrumentId, Track>,
    /// What earlier starts have stored, by symbol, of instruments that have not spoken yet.
    known: FxHashMap<Box<str>, KnownTrades>,
    /// The trades of instruments that have left, for when they come back.
    left: FxHashMap<InstrumentId, TradeTrack>,
    /// Instruments whose trades left a hole, or were answered, in this frame.
    touched: Vec<InstrumentId>,
    wants: Vec<Want>,
    own: Own,
    last_ts: Option<UnixNanos>,
}

impl Checker {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            links: Links::default(),
            tracks: FxHashMap::default(),
            known: FxHashMap::default(),
            left: FxHashMap::default(),
            touched: Vec::new(),
            wants: Vec::new(),
            own: Own::default(),
            last_ts: None,
        }
    }

    /// Earlier starts have stored these trades of a symbol: they are not stored again, and what is missing behind them is
    /// marked and asked for. To be told before its first message.
    pub fn know(&mut self, symbol: &str, known: KnownTrades) {
        self.known.insert(symbol.into(), known);
    }

    /// A connection was opened and subscribed.
    pub fn opened(&mut self, conn: &str, at: Option<UnixNanos>, burst: &mut Burst) {
        let place = self.links.open(conn, at);
        self.tracks.values_mut().for_each(|track| track.heard_on[place] = [0; StreamKind::ALL.len()]);
        self.own.status(InstrumentId::NONE, StatusCode::Connected, 0, at, burst);
    }

    /// A connection ended. `code`: the venue's close code, 0 when there was none. When no other is open, every
    /// instrument is away until its next message.
    pub fn closed(&mut self, conn: &str, code: u16, at: Option<UnixNanos>, burst: &mut Burst) {
        let Some(link) = self.links.close(conn) else { return };
        self.own.status(InstrumentId::NONE, StatusCode::Disconnected, u64::from(code), at, burst);
        let is_last = self.links.open_count() == 0;
        for track in self.tracks.values_mut() {
            if is_last {
                track.go_away();
            } else if !self.rules.is_global && track.book_link == Some(link) {
                // The other connection's book began while this one counted: it has to begin again.
                track.lose_book();
                self.wants.push(Want::Resubscribe { symbol: track.symbol.to_string() });
            }
        }
    }

    /// A stream that should have spoken was silent although its connection is open. `kind`: `None` for all of the instrument.
    /// `conn`: only there; nothing is missing then where it is not what counts, and where it is, another connection counts
    /// from now on.
    pub fn silent(&mut self, instrument: InstrumentId, kind: Option<StreamKind>, conn: Option<&str>) {
        let Some(track) = self.tracks.get_mut(&instrument) else { return };
        let (Some(kind), Some(conn)) = (kind, conn) else { return track.fall_silent(kind) };
        if self.rules.is_global || !self.links.id(conn).is_some_and(|link| track.gives_up(kind, link)) {
            return;
        }
        track.fall_silent(Some(kind));
        if kind == StreamKind::Depth {
            self.wants.push(Want::Resubscribe { symbol: track.symbol.to_string() });
        }
    }

    /// An instrument is not recorded any more, by order: an interruption that no message has ended lasts until now, and a status
    /// says that nothing follows. When it comes back, it goes on from the trades that are known.
    pub fn left(&mut self, instrument: InstrumentId, at: Option<UnixNanos>, burst: &mut Burst) {
        if let Some(mut track) = self.tracks.remove(&instrument) {
            if let Some(since) = track.take_away() {
                self.own.gap(instrument, &Hole::away(since, at), at, burst);
            }
            self.left.insert(instrument, track.trades);
        }
        self.own.status(instrument, StatusCode::Ended, 0, at, burst);
    }

    /// The source ends: interruptions that no message has ended are marked as lasting until now.
    pub fn ended(&mut self, at: Option<UnixNanos>, burst: &mut Burst) {
        let away = self.tracks.iter_mut().filter_map(|(&id, track)| Some((id, track.take_away()?)));
        let mut away: Vec<_> = away.collect();
        away.sort_unstable_by_key(|(id, _)| *id);
        for (instrument, since) in away {
            self.own.gap(instrument, &Hole::away(since, at), at, burst);
        }
    }

    /// The messages that follow came in one frame on this connection.
    #[inline]
    pub fn begin_frame(&mut self, conn: &str) {
        self.links.enter(conn);
    }

    /// Judges a message of the frame, and marks before it what is missing.
    #[inline]
    pub fn message(
        &mut self,
        instrument: InstrumentId,
        message: &Message<'_>,
        recv_ts: Option<UnixNanos>,
        burst: &mut Burst,
    ) -> Judgement {
        self.last_ts = recv_ts.or(self.last_ts);
        let (rules, known, wants, left) = (self.rules, &mut self.known, &mut self.wants, &mut self.left);
        let begin = || match left.remove(&instrument) {
            Some(trades) => {
                let mut track = Track::new(message.symbol());
                track.trades = trades;
                track
            }
            None => begin(message.symbol(), rules, known, wants),
        };
        let track = self.tracks.entry(instrument).or_insert_with(begin);
        let mut scene = Scene {
            instrument,
            recv_ts,
            rules: self.rules,
            links: &self.links,
            touched: &mut self.touched,
            wants: &mut self.wants,
            own: &mut self.own,
            burst,
        };
        track.message(message, &mut scene)
    }

    /// The connection's own number of the frame, where the venue counts every frame (Coinbase Advanced). A hole in it can
    /// be anything's: it is marked for the whole connection, and no book on it is whole any more.
    pub fn connection_sequence(&mut self, seq: VenueSeq, recv_ts: Option<UnixNanos>, burst: &mut Burst) {
        let Some((before, link)) = self.links.number(seq.0) else { return };
        if seq.0 <= before + 1 {
            return;
        }
        let hole = Hole {
            reason: GapReason::VenueSequence,
            first: Some(VenueSeq(before + 1)),
            last: Some(VenueSeq(seq.0 - 1)),
            from_ts: self.last_ts,
            to_ts: recv_ts,
            events: None,
        };
        self.own.gap(InstrumentId::NONE, &hole, recv_ts, burst);
        for track in self.tracks.values_mut().filter(|track| track.book_link == Some(link)) {
            track.lose_book();
        }
        self.wants.push(Want::ResubscribeAll { link });
    }

    /// The frame has been read: marks the trades that it has shown to be missing, and those it has brought back.
    #[inline]
    pub fn end_frame(&mut self, recv_ts: Option<UnixNanos>, burst: &mut Burst) {
        if !self.touched.is_empty() {
            self.settle(recv_ts, burst);
        }
    }

    #[cold]
    fn settle(&mut self, recv_ts: Option<UnixNanos>, burst: &mut Burst) {
        for instrument in std::mem::take(&mut self.touched) {
            let Some(track) = self.tracks.get_mut(&instrument) else { continue };
            let answered = std::mem::take(&mut track.answered);
            let missing = track.trades.confirm();
            let from_ts = track.trades.before_ts;
            let symbol = track.symbol.to_string();
            if answered > 0 {
                self.own.status(instrument, StatusCode::Backfilled, answered, recv_ts, burst);
            }
            for range in missing {
                let (first, last) = (*range.start(), *range.end());
                let hole = Hole {
                    reason: GapReason::VenueSequence,
                    first: i64::try_from(first).ok().map(VenueSeq),
                    last: i64::try_from(last).ok().map(VenueSeq),
                    from_ts,
                    to_ts: recv_ts,
                    events: Some(last - first + 1),
                };
                self.own.gap(instrument, &hole, recv_ts, burst);
                self.wants.push(Want::Trades { symbol: symbol.clone(), first, last });
            }
        }
    }

    /// What should be asked for, since the last call.
    pub fn wants(&mut self) -> impl Iterator<Item = Want> {
        self.wants.drain(..)
    }

    /// Events of the recorder's own since the last call.
    #[inline]
    pub fn take_own(&mut self) -> Own {
        std::mem::take(&mut self.own)
    }

    /// The book of an instrument, while it is whole.
    #[must_use]
    pub fn book(&self, instrument: InstrumentId) -> Option<&OrderBook> {
        self.tracks.get(&instrument)?.book.book()
    }

    /// Receive time of the last depth message of an instrument.
    #[must_use]
    pub fn book_at(&self, instrument: InstrumentId) -> Option<UnixNanos> {
        self.tracks.get(&instrument)?.book_ts
    }

    /// Messages of an instrument that came on connections since the start, also those that were known already: trades,
    /// quotes, depth messages.
    #[must_use]
    pub fn heard(&self, instrument: InstrumentId) -> [u64; 3] {
        self.tracks.get(&instrument).map_or([0; 3], |track| track.heard)
    }

    /// Of these, those that came on one connection since it was opened.
    #[must_use]
    pub fn heard_on(&self, instrument: InstrumentId, conn: &str) -> [u64; 3] {
        let heard = self.links.place_of(conn).zip(self.tracks.get(&instrument));
        heard.map_or([0; 3], |(place, track)| track.heard_on[place])
    }

    /// The first and last trade of a range that are still missing.
    #[must_use]
    pub fn still_missing(&self, instrument: InstrumentId, first: u64, last: u64) -> Option<(u64, u64)> {
        self.tracks.get(&instrument)?.trades.still_missing(first, last)
    }
}

/// The first message of an instrument: goes on from what earlier starts have stored of its trades.
#[cold]
fn begin(symbol: &str, rules: Rules, known: &mut FxHashMap<Box<str>, KnownTrades>, wants: &mut Vec<Want>) -> Track {
    let mut track = Track::new(symbol);
    if let Some(known) = known.remove(symbol) {
        let (trades, holes) = TradeTrack::after(rules.trades, known);
        track.trades = trades;
        let want = |hole: std::ops::RangeInclusive<u64>| {
            let (first, last) = hole.into_inner();
            Want::Trades { symbol: symbol.to_owned(), first, last }
        };
        wants.extend(holes.into_iter().map(want));
    }
    track
}
