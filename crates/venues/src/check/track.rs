//! What has been seen of one instrument, and what its next message is beside that.

use super::links::{LinkId, Links, PLACES};
use super::own::{Hole, Own};
use super::sequence::{BookRule, BookTrack, Step};
use super::trades::{TradeIds, TradeTrack};
use super::{Judgement, Rules, StreamKind, Want};
use crate::check::ids::RecentIds;
use crate::message::{BookMsg, Message, QuoteMsg, TradeMsg};
use feedd_core::Burst;
use feedd_model::{BookAction, Flags, GapReason, InstrumentId, StatusCode, UnixNanos, VenueSeq};

/// One instrument of a source.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) symbol: Box<str>,
    pub(super) trades: TradeTrack,
    pub(super) book: BookTrack,
    /// The book has been whole, or has been missed: the next time is a resynchronisation.
    was_lost: bool,
    /// Its snapshot has been asked for, and not come yet.
    has_asked: bool,
    /// Numbers of quotes and depth messages while more than one connection is open.
    quotes_seen: RecentIds,
    depth_seen: RecentIds,
    /// Whose depth messages and quotes count where numbers are not global.
    pub(super) book_link: Option<LinkId>,
    quote_link: Option<LinkId>,
    /// Receive time of the last message of each kind.
    last_ts: [Option<UnixNanos>; KINDS],
    /// Of the last depth message.
    pub(super) book_ts: Option<UnixNanos>,
    /// Receive time of the last message before an interruption that no message has ended yet.
    away_since: Option<Option<UnixNanos>>,
    /// The same of each kind, where the others may have gone on.
    silent_since: [Option<Option<UnixNanos>>; KINDS],
    /// There is any of these.
    is_interrupted: bool,
    /// Trades of the answer that is being read.
    pub(super) answered: u64,
    /// Messages heard on connections: trades, quotes, depth.
    pub(super) heard: [u64; KINDS],
    /// The same by the connections' places.
    pub(super) heard_on: [[u64; KINDS]; PLACES],
}

const KINDS: usize = StreamKind::ALL.len();

/// What judging a message needs to know and may change, beside the instrument's track.
pub(super) struct Scene<'a> {
    pub(super) instrument: InstrumentId,
    pub(super) recv_ts: Option<UnixNanos>,
    pub(super) rules: Rules,
    pub(super) links: &'a Links,
    /// Instruments whose trades have to be settled at the end of the frame.
    pub(super) touched: &'a mut Vec<InstrumentId>,
    pub(super) wants: &'a mut Vec<Want>,
    pub(super) own: &'a mut Own,
    pub(super) burst: &'a mut Burst,
}

/// A trade made so long before its connection was opened is from before the subscription, whatever the clocks say.
const OLD_TRADE_NANOS: i64 = 5_000_000_000;
/// A snapshot that was asked for because of a hole comes sooner than this after the last change.
const SNAPSHOT_NANOS_MAX: i64 = 1_000_000_000;

impl Track {
    pub(super) fn new(symbol: &str) -> Self {
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
            last_ts: [None; KINDS],
            book_ts: None,
            away_since: None,
            silent_since: [None; KINDS],
            is_interrupted: false,
            answered: 0,
            heard: [0; KINDS],
            heard_on: [[0; KINDS]; PLACES],
        }
    }

    /// Nothing is heard from now on, until its next message.
    pub(super) fn go_away(&mut self) {
        self.away_since.get_or_insert(self.last_ts.into_iter().max().flatten());
        self.is_interrupted = true;
        self.lose_book();
    }

    /// Nothing of a kind is heard from now on, until its next message; `None`: of any.
    pub(super) fn fall_silent(&mut self, kind: Option<StreamKind>) {
        let Some(kind) = kind else { return self.go_away() };
        self.silent_since[kind.index()].get_or_insert(self.last_ts[kind.index()]);
        self.is_interrupted = true;
        if kind == StreamKind::Depth {
            self.lose_book();
        }
    }

    /// If messages of a kind count on this connection: they count on any other one from now on.
    pub(super) fn gives_up(&mut self, kind: StreamKind, link: LinkId) -> bool {
        let counting = match kind {
            StreamKind::Trades => return false,
            StreamKind::Quotes => &mut self.quote_link,
            StreamKind::Depth => &mut self.book_link,
        };
        counting.take_if(|counting| *counting == link).is_some()
    }

    /// Since when nothing was heard, if that has not been marked yet; it counts as marked then.
    pub(super) fn take_away(&mut self) -> Option<Option<UnixNanos>> {
        self.is_interrupted = false;
        let silent = std::mem::take(&mut self.silent_since).into_iter().flatten();
        self.away_since.take().into_iter().chain(silent).min()
    }

    /// The same of what a message of a kind ends.
    #[cold]
    fn resume(&mut self, kind: StreamKind) -> Option<Option<UnixNanos>> {
        let silent = self.silent_since[kind.index()].take();
        self.is_interrupted = self.silent_since.iter().any(Option::is_some);
        self.away_since.take().into_iter().chain(silent).min()
    }

    /// The book does not follow any more. One that never was is not missed.
    pub(super) fn lose_book(&mut self) {
        self.was_lost |= self.book_ts.is_some();
        self.has_asked = false;
        self.book.lose();
    }

    /// Judges a message, and marks before it what is missing.
    #[inline]
    pub(super) fn message(&mut self, message: &Message<'_>, scene: &mut Scene<'_>) -> Judgement {
        let (kind, judgement) = match message {
            Message::Trade(trade) => (StreamKind::Trades, self.trade(trade, scene)),
            Message::Quote(quote) => (StreamKind::Quotes, self.quote(quote, scene)),
            Message::Book(book) => (StreamKind::Depth, self.book_message(book, scene)),
        };
        let Some(place) = scene.links.current_place() else { return judgement };
        self.heard[kind.index()] += 1;
        self.heard_on[place][kind.index()] += 1;
        let Judgement::Store(flags) = judgement else { return judgement };
        let last_ts = &mut self.last_ts[kind.index()];
        *last_ts = scene.recv_ts.or(*last_ts);
        if !self.is_interrupted {
            return judgement;
        }
        let Some(since) = self.resume(kind) else { return judgement };
        scene.own.gap(scene.instrument, &Hole::away(since, scene.recv_ts), scene.recv_ts, scene.burst);
        Judgement::Store(flags.with(Flags::AFTER_GAP))
    }

    #[inline]
    fn trade(&mut self, trade: &TradeMsg<'_>, scene: &mut Scene<'_>) -> Judgement {
        let rule = scene.rules.trades;
        if scene.links.is_answer() {
            return self.answered_trade(trade, scene);
        }
        let suspected = self.trades.suspects();
        if !self.trades.take(rule, trade.id, scene.recv_ts, trade.exchange_ts) {
            return Judgement::Duplicate;
        }
        let mut flags = Flags::NONE;
        if self.trades.takes_anew() {
            // Nobody can say how many trades lie between the last number and the first one.
            let hole = Hole::unnumbered(self.trades.before_ts, scene.recv_ts);
            scene.own.gap(scene.instrument, &hole, scene.recv_ts, scene.burst);
            flags = flags.with(Flags::AFTER_GAP);
        }
        if self.trades.suspects() && !suspected {
            scene.touched.push(scene.instrument);
            if matches!(rule, TradeIds::Dense | TradeIds::Learned) {
                flags = flags.with(Flags::AFTER_GAP);
            }
        }
        // Some venues send the last trade of a quiet instrument after a subscription and do not say so.
        let opened = scene.links.opened_at();
        let is_old = |(opened, made): (UnixNanos, UnixNanos)| made.0.saturating_add(OLD_TRADE_NANOS) < opened.0;
        if opened.zip(trade.exchange_ts).is_some_and(is_old) {
            flags = flags.with(Flags::REPLAYED);
        }
        Judgement::Store(flags)
    }

    /// A trade out of the venue's history: one that is missing, or known.
    #[cold]
    fn answered_trade(&mut self, trade: &TradeMsg<'_>, scene: &mut Scene<'_>) -> Judgement {
        let rule = scene.rules.trades;
        let is_wanted = rule == TradeIds::Opaque || self.trades.is_missing(trade.id);
        if !is_wanted || !self.trades.take(rule, trade.id, self.trades.last_ts, None) {
            return Judgement::Duplicate;
        }
        if self.answered == 0 {
            scene.touched.push(scene.instrument);
        }
        self.answered += 1;
        Judgement::Store(Flags::BACKFILLED)
    }

    #[inline]
    fn quote(&mut self, quote: &QuoteMsg<'_>, scene: &Scene<'_>) -> Judgement {
        let is_known = match quote.seq {
            _ if scene.links.open_count() < 2 => false,
            Some(seq) if scene.rules.is_global => !self.quotes_seen.insert(key(seq)),
            _ => !scene.links.counts(&mut self.quote_link, true),
        };
        if is_known { Judgement::Duplicate } else { Judgement::Store(Flags::NONE) }
    }

    #[inline]
    fn book_message(&mut self, book: &BookMsg<'_>, scene: &mut Scene<'_>) -> Judgement {
        let rule = scene.rules.book;
        let (is_answer, link) = (scene.links.is_answer(), self.book_link);
        if !is_answer && self.is_known_depth(book, scene) {
            return Judgement::Duplicate;
        }
        let before = self.book_ts;
        self.book_ts = scene.recv_ts.or(before);
        match self.book.take(rule, is_answer, book) {
            Step::Fine | Step::Stale => {
                // A book that has to be joined begins by asking for its snapshot.
                if self.needs_snapshot(rule) {
                    scene.wants.push(want_book(rule, &self.symbol));
                }
            }
            Step::TooOld => scene.wants.push(want_book(rule, &self.symbol)),
            Step::Whole => {
                if std::mem::take(&mut self.was_lost) {
                    let code = StatusCode::Resynchronised;
                    scene.own.status(scene.instrument, code, 0, scene.recv_ts, scene.burst);
                }
            }
            Step::Jump { was_whole, first, last } => {
                // Subscribing anew leaves out some changes each time, and after a hole nothing counts until the snapshot. But
                // of a whole book none may be missing, and in a long silence trades may have been lost as well. What the
                // connection that counted before still had on its way is missed by nobody: the snapshot has it.
                let is_long = before.zip(scene.recv_ts).is_some_and(|(from, to)| to.0 - from.0 >= SNAPSHOT_NANOS_MAX);
                let is_hole = is_long || (was_whole && first.is_some() && self.book_link == link);
                if is_hole {
                    mark_hole(scene, before, first, last);
                }
                if std::mem::take(&mut self.was_lost) || is_hole {
                    scene.own.status(scene.instrument, StatusCode::Resynchronised, 0, scene.recv_ts, scene.burst);
                }
                return Judgement::Store(if is_hole { Flags::AFTER_GAP } else { Flags::NONE });
            }
            Step::Hole { first, last } => {
                self.was_lost = true;
                self.has_asked = true;
                scene.wants.push(want_book(rule, &self.symbol));
                mark_hole(scene, before, first, last);
                return Judgement::Store(Flags::AFTER_GAP);
            }
        }
        Judgement::Store(Flags::NONE)
    }

    /// Whether another connection has brought a depth message, or counts in the place of this one.
    #[inline]
    fn is_known_depth(&mut self, book: &BookMsg<'_>, scene: &Scene<'_>) -> bool {
        if scene.rules.is_global {
            let seq = book.seq_last.filter(|_| scene.links.open_count() > 1);
            return seq.is_some_and(|seq| !self.depth_seen.insert(key(seq)));
        }
        !scene.links.counts(&mut self.book_link, book.action == BookAction::Snapshot)
    }

    /// Whether a snapshot has to be asked for now.
    fn needs_snapshot(&mut self, rule: BookRule) -> bool {
        let joins = matches!(rule, BookRule::JoinFirst | BookRule::JoinPrevious);
        joins && self.book.last().is_none() && !std::mem::replace(&mut self.has_asked, true)
    }
}

/// Marks depth messages as missing, since the one received at `before`.
#[cold]
fn mark_hole(scene: &mut Scene<'_>, before: Option<UnixNanos>, first: Option<i64>, last: Option<i64>) {
    let hole = Hole {
        reason: GapReason::BookSequence,
        first: first.map(VenueSeq),
        last: last.map(VenueSeq),
        from_ts: before,
        to_ts: scene.recv_ts,
        events: None,
    };
    scene.own.gap(scene.instrument, &hole, scene.recv_ts, scene.burst);
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
