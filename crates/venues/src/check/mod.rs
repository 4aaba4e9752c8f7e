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
mod kraken_crc;
mod links;
mod sequence;
mod trades;

pub use links::LinkId;
pub use sequence::BookRule;
pub use trades::TradeIds;

use crate::message::{BookMsg, Message, QuoteMsg, TradeMsg};
use book::OrderBook;
use feedd_core::Burst;
use feedd_model::{
    Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Status, StatusCode, UnixNanos, VenueSeq,
};
use ids::RecentIds;
use links::Links;
use rustc_hash::FxHashMap;
use sequence::{BookTrack, Step};
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

/// Events of the recorder's own that were added to bursts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// All of them.
    pub events: u64,
    /// Gap events among them.
    pub gaps: u64,
    /// Books that are whole again.
    pub resynchronised: u64,
    /// Trades that were missing and came by REST.
    pub backfilled: u64,
}

/// What has been seen of one instrument.
#[derive(Debug)]
struct Track {
    symbol: Box<str>,
    trades: TradeTrack,
    book: BookTrack,
    /// The book has been whole, or has been missed: the next time is a resynchronisation.
    was_lost: bool,
    /// Its snapshot has been asked for, and not come yet.
    has_asked: bool,
    /// Numbers of quotes and depth messages while more than one connection is open.
    quotes_seen: RecentIds,
    depth_seen: RecentIds,
    /// Whose depth messages and quotes count where numbers are not global.
    book_link: Option<LinkId>,
    quote_link: Option<LinkId>,
    last_ts: Option<UnixNanos>,
    book_ts: Option<UnixNanos>,
    /// Receive time of the last message before an interruption that no message has ended yet.
    away_since: Option<Option<UnixNanos>>,
    /// Trades of the answer that is being read.
    answered: u64,
    /// Messages heard on connections: trades, quotes, depth.
    heard: [u64; 3],
}

/// Checks the messages of one source.
#[derive(Debug)]
pub struct Checker {
    rules: Rules,
    links: Links,
    tracks: FxHashMap<InstrumentId, Track>,
    /// Instruments whose trades left a hole, or were answered, in this frame.
    touched: Vec<InstrumentId>,
    wants: Vec<Want>,
    own: Own,
    last_ts: Option<UnixNanos>,
}

/// A trade made so long before its connection was opened is from before the subscription, whatever the clocks say.
const OLD_TRADE_NANOS: i64 = 5_000_000_000;

impl Checker {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            links: Links::default(),
            tracks: FxHashMap::default(),
            touched: Vec::new(),
            wants: Vec::new(),
            own: Own::default(),
            last_ts: None,
        }
    }

    /// A connection was opened and subscribed.
    pub fn opened(&mut self, conn: &str, at: Option<UnixNanos>, burst: &mut Burst) {
        self.links.open(conn, at);
        self.status(InstrumentId::NONE, StatusCode::Connected, 0, at, burst);
    }

    /// A connection ended. `code`: the venue's close code, 0 when there was none. When no other is open, every
    /// instrument is away until its next message.
    pub fn closed(&mut self, conn: &str, code: u16, at: Option<UnixNanos>, burst: &mut Burst) {
        let Some(link) = self.links.close(conn) else { return };
        self.status(InstrumentId::NONE, StatusCode::Disconnected, u64::from(code), at, burst);
        let is_last = self.links.open_count() == 0;
        for track in self.tracks.values_mut() {
            if is_last {
                track.away_since.get_or_insert(track.last_ts);
            }
            if is_last || !self.rules.is_global && track.book_link == Some(link) {
                track.lose_book();
            }
        }
    }

    /// A symbol that should have spoken was silent although its connection is open.
    pub fn silent(&mut self, instrument: InstrumentId) {
        if let Some(track) = self.tracks.get_mut(&instrument) {
            track.away_since.get_or_insert(track.last_ts);
            track.lose_book();
        }
    }

    /// The source ends: interruptions that no message has ended are marked as lasting until now.
    pub fn ended(&mut self, at: Option<UnixNanos>, burst: &mut Burst) {
        let away = self.tracks.iter_mut().filter_map(|(&id, track)| Some((id, track.away_since.take()?)));
        let mut away: Vec<_> = away.collect();
        away.sort_unstable_by_key(|(id, _)| *id);
        for (instrument, since) in away {
            self.gap(instrument, Hole::away(since, at), at, burst);
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
        let track = self.tracks.entry(instrument).or_insert_with(|| Track::new(message.symbol()));
        if !self.links.is_answer() {
            let kind = match message {
                Message::Trade(_) => 0,
                Message::Quote(_) => 1,
                Message::Book(_) => 2,
            };
            track.heard[kind] += 1;
        }
        self.last_ts = recv_ts.or(self.last_ts);
        let judgement = match message {
            Message::Trade(trade) => self.trade(instrument, trade, recv_ts),
            Message::Quote(quote) => self.quote(instrument, quote),
            Message::Book(book) => self.book_message(instrument, book, recv_ts, burst),
        };
        let Judgement::Store(flags) = judgement else { return judgement };
        let Some(track) = self.tracks.get_mut(&instrument) else { return judgement };
        if self.links.is_answer() {
            return judgement;
        }
        track.last_ts = recv_ts.or(track.last_ts);
        match track.away_since.take() {
            None => Judgement::Store(flags),
            Some(since) => {
                self.gap(instrument, Hole::away(since, recv_ts), recv_ts, burst);
                Judgement::Store(flags.with(Flags::AFTER_GAP))
            }
        }
    }

    fn trade(&mut self, instrument: InstrumentId, trade: &TradeMsg<'_>, recv_ts: Option<UnixNanos>) -> Judgement {
        let Some(track) = self.tracks.get_mut(&instrument) else { return Judgement::Store(Flags::NONE) };
        let is_dense = self.rules.trades != TradeIds::Opaque;
        if self.links.is_answer() {
            let is_wanted = !is_dense || track.trades.is_missing(trade.id);
            if !is_wanted || !track.trades.take(self.rules.trades, trade.id, track.trades.last_ts) {
                return Judgement::Duplicate;
            }
            if track.answered == 0 {
                self.touched.push(instrument);
            }
            track.answered += 1;
            return Judgement::Store(Flags::BACKFILLED);
        }
        let suspected = track.trades.suspects();
        if !track.trades.take(self.rules.trades, trade.id, recv_ts) {
            return Judgement::Duplicate;
        }
        let mut flags = Flags::NONE;
        if track.trades.suspects() && !suspected {
            self.touched.push(instrument);
            if self.rules.trades == TradeIds::Dense {
                flags = flags.with(Flags::AFTER_GAP);
            }
        }
        // Some venues send the last trade of a quiet instrument after a subscription and do not say so.
        let opened = self.links.opened_at();
        let is_old = |(opened, made): (UnixNanos, UnixNanos)| made.0.saturating_add(OLD_TRADE_NANOS) < opened.0;
        if opened.zip(trade.exchange_ts).is_some_and(is_old) {
            flags = flags.with(Flags::REPLAYED);
        }
        Judgement::Store(flags)
    }

    fn quote(&mut self, instrument: InstrumentId, quote: &QuoteMsg<'_>) -> Judgement {
        let several = self.links.open_count() > 1;
        let Some(track) = self.tracks.get_mut(&instrument) else { return Judgement::Store(Flags::NONE) };
        let is_known = match quote.seq {
            _ if !several => false,
            Some(seq) if self.rules.is_global => !track.quotes_seen.insert(key(seq)),
            _ => !self.links.counts(&mut track.quote_link, true),
        };
        if is_known { Judgement::Duplicate } else { Judgement::Store(Flags::NONE) }
    }

    fn book_message(
        &mut self,
        instrument: InstrumentId,
        book: &BookMsg<'_>,
        recv_ts: Option<UnixNanos>,
        burst: &mut Burst,
    ) -> Judgement {
        let several = self.links.open_count() > 1;
        let is_answer = self.links.is_answer();
        let Some(track) = self.tracks.get_mut(&instrument) else { return Judgement::Store(Flags::NONE) };
        if !is_answer {
            let is_snapshot = book.action == feedd_model::BookAction::Snapshot;
            let is_known = match book.seq_last {
                Some(seq) if several && self.rules.is_global => !track.depth_seen.insert(key(seq)),
                _ if self.rules.is_global => false,
                _ => !self.links.counts(&mut track.book_link, is_snapshot),
            };
            if is_known {
                return Judgement::Duplicate;
            }
        }
        let before = track.book_ts;
        track.book_ts = recv_ts.or(before);
        let is_new = track.book.last().is_none();
        let step = track.book.take(self.rules.book, is_answer, book);
        match step {
            Step::Fine | Step::Stale => {
                // A book that has to be joined begins by asking for its snapshot.
                if is_new && track.is_first_delta(self.rules.book) {
                    self.wants.push(want_book(self.rules.book, &track.symbol));
                }
                Judgement::Store(Flags::NONE)
            }
            Step::TooOld => {
                self.wants.push(want_book(self.rules.book, &track.symbol));
                Judgement::Store(Flags::NONE)
            }
            Step::Whole => {
                if std::mem::take(&mut track.was_lost) {
                    self.status(instrument, StatusCode::Resynchronised, 0, recv_ts, burst);
                }
                Judgement::Store(Flags::NONE)
            }
            Step::Hole { first, last } => {
                track.was_lost = true;
                track.has_asked = true;
                self.wants.push(want_book(self.rules.book, &track.symbol));
                let hole = Hole {
                    reason: GapReason::BookSequence,
                    first: first.map(VenueSeq),
                    last: last.map(VenueSeq),
                    from_ts: before,
                    to_ts: recv_ts,
                    events: None,
                };
                self.gap(instrument, hole, recv_ts, burst);
                Judgement::Store(Flags::AFTER_GAP)
            }
        }
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
        self.gap(InstrumentId::NONE, hole, recv_ts, burst);
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
                self.status(instrument, StatusCode::Backfilled, answered, recv_ts, burst);
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
                self.gap(instrument, hole, recv_ts, burst);
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

    /// Messages of an instrument that came on connections since the start, also those that were known already: trades,
    /// quotes, depth messages.
    #[must_use]
    pub fn heard(&self, instrument: InstrumentId) -> [u64; 3] {
        self.tracks.get(&instrument).map_or([0; 3], |track| track.heard)
    }

    /// The first and last trade of a range that are still missing.
    #[must_use]
    pub fn still_missing(&self, instrument: InstrumentId, first: u64, last: u64) -> Option<(u64, u64)> {
        self.tracks.get(&instrument)?.trades.still_missing(first, last)
    }

    fn status(
        &mut self,
        instrument: InstrumentId,
        code: StatusCode,
        detail: u64,
        at: Option<UnixNanos>,
        burst: &mut Burst,
    ) {
        match code {
            StatusCode::Resynchronised => self.own.resynchronised += 1,
            StatusCode::Backfilled => self.own.backfilled += detail,
            _ => {}
        }
        self.push(instrument, EventBody::Status(Status { code, detail }), at, burst);
    }

    #[cold]
    fn gap(&mut self, instrument: InstrumentId, hole: Hole, at: Option<UnixNanos>, burst: &mut Burst) {
        self.own.gaps += 1;
        let gap = Gap {
            reason: hole.reason,
            first_missing: hole.first,
            last_missing: hole.last,
            from_ts: hole.from_ts,
            to_ts: hole.to_ts,
            events: hole.events,
        };
        self.push(instrument, EventBody::Gap(gap), at, burst);
    }

    fn push(&mut self, instrument: InstrumentId, body: EventBody, at: Option<UnixNanos>, burst: &mut Burst) {
        self.own.events += 1;
        let head = EventHead { instrument, venue_ts: None, recv_ts: at, flags: Flags::NONE };
        burst.push(Event::new(head, body));
        burst.end_message();
    }
}

/// What a gap event will say.
struct Hole {
    reason: GapReason,
    first: Option<VenueSeq>,
    last: Option<VenueSeq>,
    from_ts: Option<UnixNanos>,
    to_ts: Option<UnixNanos>,
    events: Option<u64>,
}

impl Hole {
    const fn away(from_ts: Option<UnixNanos>, to_ts: Option<UnixNanos>) -> Self {
        Self { reason: GapReason::Disconnected, first: None, last: None, from_ts, to_ts, events: None }
    }
}

impl Track {
    fn new(symbol: &str) -> Self {
        Self {
            symbol: symbol.into(),
            trades: TradeTrack::default(),
            book: BookTrack::default(),
            was_lost: false,
            has_asked: false,
            quotes_seen: RecentIds::default(),
            depth_seen: RecentIds::default(),
            book_link: None,
            quote_link: None,
            last_ts: None,
            book_ts: None,
            away_since: None,
            answered: 0,
            heard: [0; 3],
        }
    }

    /// The book does not follow any more. One that never was is not missed.
    fn lose_book(&mut self) {
        self.was_lost |= self.book_ts.is_some();
        self.has_asked = false;
        self.book.lose();
    }

    /// Whether a snapshot has to be asked for now.
    fn is_first_delta(&mut self, rule: BookRule) -> bool {
        let joins = matches!(rule, BookRule::JoinFirst | BookRule::JoinPrevious);
        joins && self.book.last().is_none() && !std::mem::replace(&mut self.has_asked, true)
    }
}

const fn key(seq: VenueSeq) -> u128 {
    seq.0.cast_unsigned() as u128
}

fn want_book(rule: BookRule, symbol: &str) -> Want {
    let symbol = symbol.to_owned();
    match rule {
        BookRule::JoinFirst | BookRule::JoinPrevious => Want::Snapshot { symbol },
        _ => Want::Resubscribe { symbol },
    }
}
