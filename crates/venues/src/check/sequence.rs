//! Whether the depth messages of one instrument follow each other, by the venue's own rule, and the book they make.
//!
//! Rules: `BookRule`, each with its source. A book is whole from a snapshot on, until something is missing; then it waits
//! for the next snapshot. What comes meanwhile is recorded all the same.

use super::book::{BookLevel, OrderBook};
use super::kraken_crc::{Precision, checksum, learn};
use crate::message::BookMsg;
use feedd_model::{BookAction, Side, UnixNanos, VenueSeq};

/// How a venue's depth messages are numbered (sources read mid 2026).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookRule {
    /// Binance spot: each `U` is the `u` before plus one; joined to a REST snapshot, of which the first message kept spans
    /// `lastUpdateId + 1` (binance-spot-api-docs, `web-socket-streams.md`).
    JoinFirst,
    /// Binance futures: each `pu` is the `u` before; the first message kept spans `lastUpdateId` of the REST snapshot, or
    /// follows it (developers.binance.com, "How to manage a local order book correctly").
    JoinPrevious,
    /// OKX: each `prevSeqId` is the `seqId` before, which is not dense and may fall; a snapshot says -1 (okx.com docs-v5).
    Previous,
    /// Bybit: each `u` is the one before plus one; a snapshot replaces the book (bybit-exchange docs v5, orderbook).
    Next,
    /// Kraken: a CRC-32 of the ten best levels in each message; `depth` levels a side are kept (docs.kraken.com).
    Checksum {
        /// Levels a side, as subscribed.
        depth: u32,
    },
    /// Coinbase Advanced: the connection's own sequence covers every frame on it; see `Checker::connection_sequence`.
    Connection,
    /// The venue gives nothing to check by (Coinbase Exchange `level2_batch`), but that the best bid is below the best ask.
    Unchecked,
}

/// What a depth message means for its book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It follows, or the book waits for its snapshot anyway.
    Fine,
    /// It says what is known already.
    Stale,
    /// The book is whole from here on.
    Whole,
    /// The same, and changes between what was heard last and the snapshot are in no message.
    Jump {
        /// Whether the book was whole before: nothing was asked for because of a hole.
        was_whole: bool,
        /// First missing, unless the venue counts anew.
        first: Option<i64>,
        /// Last missing, likewise.
        last: Option<i64>,
    },
    /// The snapshot is older than what has been received: another one is needed.
    TooOld,
    /// Something is missing before it: these sequence numbers, where the venue numbers.
    Hole {
        /// First missing.
        first: Option<i64>,
        /// Last missing.
        last: Option<i64>,
    },
}

/// Most levels that wait for a snapshot; beyond them all are given up, and the snapshot is asked for again.
const WAITING_LEVELS_MAX: usize = 1 << 18;

/// A change that waits for the snapshot it belongs to.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    first: i64,
    last: i64,
    previous: Option<i64>,
    /// When it became true, by the venue's clock.
    at: Option<UnixNanos>,
    /// End of its levels.
    end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No snapshot yet, or something was missing since.
    Waiting,
    /// Whole up to `last`; `is_joined` once a change has followed the snapshot. `base`: the lowest number since it is whole.
    Whole { last: i64, is_joined: bool, base: i64 },
}

/// Numbers of depth messages that followed each other.
#[derive(Clone, Copy, Debug)]
struct Heard {
    last: i64,
    /// The lowest since the first of them.
    base: i64,
    /// One from before them: a frame that came late, or the first of a venue that counts anew. The next one tells.
    late: Option<i64>,
}

/// What a change is beside the number up to which everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Next,
    Known,
    /// Something is missing between.
    Beyond,
}

/// The depth messages of one instrument.
#[derive(Debug)]
pub(super) struct BookTrack {
    state: State,
    /// What has been heard in a row while the book waits for its snapshot.
    heard: Option<Heard>,
    /// The venue's time of the newest message that followed. What has an earlier number and a later time is no repetition:
    /// the venue counts anew, and the message with which it began was lost.
    newest: Option<UnixNanos>,
    /// Whether its stream brings changes. Of one that brings whole books alone (the top of it) each says everything.
    has_changes: bool,
    book: OrderBook,
    waiting: Vec<Waiting>,
    waiting_levels: Vec<(Side, BookLevel)>,
    precision: Option<Precision>,
    /// For the checksum.
    text: Vec<u8>,
}

impl Default for BookTrack {
    fn default() -> Self {
        Self {
            state: State::Waiting,
            heard: None,
            newest: None,
            has_changes: false,
            book: OrderBook::default(),
            waiting: Vec::new(),
            waiting_levels: Vec::new(),
            precision: None,
            text: Vec::new(),
        }
    }
}

impl BookTrack {
    /// The book, when it is whole.
    pub(super) const fn book(&self) -> Option<&OrderBook> {
        match self.state {
            State::Whole { .. } => Some(&self.book),
            State::Waiting => None,
        }
    }

    /// Last sequence number of a whole book.
    pub(super) const fn last(&self) -> Option<i64> {
        match self.state {
            State::Whole { last, .. } => Some(last),
            State::Waiting => None,
        }
    }

    /// Nothing is known of it any more: the connection was away.
    pub(super) fn lose(&mut self) {
        self.state = State::Waiting;
        self.heard = None;
        self.newest = None;
        self.waiting.clear();
        self.waiting_levels.clear();
    }

    /// Takes one depth message. `is_answer`: it answers a request of the recorder (REST).
    #[inline]
    pub(super) fn take(&mut self, rule: BookRule, is_answer: bool, message: &BookMsg<'_>) -> Step {
        match (message.action, rule) {
            (BookAction::Snapshot, BookRule::JoinFirst | BookRule::JoinPrevious) => {
                // What a stream sends as a whole book (`@depth20`) is the top of it, complete in itself.
                if is_answer { self.join(rule, message) } else { Step::Fine }
            }
            (BookAction::Snapshot, _) => self.replace(rule, message),
            (BookAction::Delta, _) => self.change(rule, message),
        }
    }

    fn replace(&mut self, rule: BookRule, message: &BookMsg<'_>) -> Step {
        let (whole, heard) = (self.last(), self.heard.take().map(|heard| heard.last));
        self.book.clear();
        self.book.apply(message.bids, message.asks);
        let last = number(message.seq_last).unwrap_or(0);
        self.state = State::Whole { last, is_joined: true, base: last };
        self.newest = message.exchange_ts;
        let step = self.check(rule, message);
        if step != Step::Fine {
            return step;
        }
        let is_numbered = self.has_changes && matches!(rule, BookRule::Previous | BookRule::Next);
        match whole.or(heard).filter(|known| is_numbered && *known != last) {
            Some(known) => {
                let is_ahead = last > known;
                let (first, last) = (is_ahead.then_some(known + 1), is_ahead.then_some(last));
                Step::Jump { was_whole: whole.is_some(), first, last }
            }
            None if whole.is_some() => Step::Fine,
            None => Step::Whole,
        }
    }

    /// Joins a REST snapshot with the changes that waited for it.
    fn join(&mut self, rule: BookRule, message: &BookMsg<'_>) -> Step {
        let State::Waiting = self.state else { return Step::Fine };
        let Some(snapshot) = number(message.seq_last) else { return Step::TooOld };
        let kept = self.waiting.partition_point(|change| is_before(rule, change.last, snapshot));
        if let Some(first) = self.waiting.get(kept)
            && !joins(rule, first, snapshot)
        {
            return Step::TooOld;
        }
        self.book.clear();
        self.book.apply(message.bids, message.asks);
        self.state = State::Whole { last: snapshot, is_joined: false, base: snapshot };
        self.newest = None;
        let (waiting, levels) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.waiting_levels));
        let mut start = kept.checked_sub(1).map_or(0, |before| waiting[before].end);
        let mut step = Step::Whole;
        for change in &waiting[kept..] {
            match self.follow(rule, change) {
                Step::Fine => {
                    for (side, level) in &levels[start..change.end] {
                        self.book.set(*side, *level);
                    }
                }
                Step::Stale => {}
                // A second hole while the first one waited.
                hole => {
                    self.state = State::Waiting;
                    step = hole;
                    break;
                }
            }
            start = change.end;
        }
        step
    }

    #[inline]
    fn change(&mut self, rule: BookRule, message: &BookMsg<'_>) -> Step {
        self.has_changes = true;
        let change = Waiting {
            first: number(message.seq_first).unwrap_or(0),
            last: number(message.seq_last).unwrap_or(0),
            previous: number(message.seq_prev),
            at: message.exchange_ts,
            end: 0,
        };
        if self.state == State::Waiting {
            self.wait(rule, change, message);
            return self.hear(rule, &change);
        }
        let step = self.follow(rule, &change);
        match step {
            Step::Fine => {
                self.book.apply(message.bids, message.asks);
                self.check(rule, message)
            }
            Step::Hole { .. } => {
                self.lose();
                self.wait(rule, change, message);
                self.hear(rule, &change);
                step
            }
            step => step,
        }
    }

    /// Whether a change follows the one before while the book is not whole: frames that are lost meanwhile may have carried
    /// trades too, of which nothing else tells where their ids are not dense. Where changes wait for a snapshot to be
    /// joined, that finds what is missing among them.
    fn hear(&mut self, rule: BookRule, change: &Waiting) -> Step {
        if !matches!(rule, BookRule::Previous | BookRule::Next) {
            return Step::Fine;
        }
        let begun = Heard { last: change.last, base: change.last, late: None };
        let newest = self.newest;
        let Some(heard) = self.heard.replace(begun) else {
            self.newest = change.at;
            return Step::Fine;
        };
        let since = Some(Since { base: heard.base, newest });
        let follows = |last| relation(rule, change, last, since) == Relation::Next;
        match relation(rule, change, heard.last, since) {
            Relation::Next => {
                self.heard = Some(Heard { base: heard.base.min(change.last), ..begun });
                self.newest = newest.max(change.at);
                Step::Fine
            }
            Relation::Known => {
                self.heard = Some(heard);
                Step::Stale
            }
            Relation::Beyond
                if change.last < heard.base && !is_later(change, newest) && !heard.late.is_some_and(follows) =>
            {
                self.heard = Some(Heard { late: Some(change.last), ..heard });
                Step::Stale
            }
            Relation::Beyond => {
                self.newest = change.at;
                hole(rule, change, heard.last)
            }
        }
    }

    /// Whether a change follows a whole book; moves its position.
    #[inline]
    fn follow(&mut self, rule: BookRule, change: &Waiting) -> Step {
        let State::Whole { last, is_joined, base } = self.state else { return Step::Fine };
        let since = is_joined.then_some(Since { base, newest: self.newest });
        match relation(rule, change, last, since) {
            Relation::Next => {}
            Relation::Known => return Step::Stale,
            Relation::Beyond => return hole(rule, change, last),
        }
        self.state = State::Whole { last: change.last, is_joined: true, base: base.min(change.last) };
        self.newest = self.newest.max(change.at);
        Step::Fine
    }

    /// The checksum, where there is one.
    #[inline]
    fn check(&mut self, rule: BookRule, message: &BookMsg<'_>) -> Step {
        let BookRule::Checksum { depth } = rule else {
            // Where nothing else can be checked: a book whose sides meet lacks something.
            if rule == BookRule::Unchecked && self.book.is_crossed() {
                self.lose();
                return Step::Hole { first: None, last: None };
            }
            return Step::Fine;
        };
        self.book.cut(usize::try_from(depth).unwrap_or(usize::MAX));
        let Some(expected) = message.checksum else { return Step::Fine };
        let is_right = |precision| checksum(&self.book, precision, &mut self.text) == Some(expected);
        if self.precision.is_some_and(is_right) {
            return Step::Fine;
        }
        // A pair whose precision is not known yet, or has been changed.
        if let Some(precision) = learn(&self.book, expected, &mut self.text) {
            self.precision = Some(precision);
            return Step::Fine;
        }
        self.lose();
        Step::Hole { first: None, last: None }
    }

    /// Keeps a change for the snapshot that is to come, where one has to be joined.
    fn wait(&mut self, rule: BookRule, change: Waiting, message: &BookMsg<'_>) {
        if !matches!(rule, BookRule::JoinFirst | BookRule::JoinPrevious) {
            return;
        }
        if self.waiting_levels.len() + message.bids.len() + message.asks.len() > WAITING_LEVELS_MAX {
            self.waiting.clear();
            self.waiting_levels.clear();
        }
        for (side, levels) in [(Side::Buy, message.bids), (Side::Sell, message.asks)] {
            let level = |level: &crate::message::LevelNum| {
                (side, BookLevel { price: level.price.value, size: level.size.value })
            };
            self.waiting_levels.extend(levels.iter().map(level));
        }
        self.waiting.push(Waiting { end: self.waiting_levels.len(), ..change });
    }
}

/// What has followed the snapshot, or the first message that was heard.
#[derive(Clone, Copy, Debug)]
struct Since {
    /// The lowest number.
    base: i64,
    /// The latest time of the venue.
    newest: Option<UnixNanos>,
}

impl Since {
    /// Whether a change with a number below the last one has been heard before. It has not when its number is from before all
    /// of them, or its time from after them: then the venue counts anew, and without this the book would stand still until
    /// its numbers are reached again.
    fn has_heard(self, change: &Waiting) -> bool {
        change.last >= self.base && !is_later(change, self.newest)
    }
}

/// Whether the venue's time of a change is after that of everything that followed; not where it says none.
fn is_later(change: &Waiting, newest: Option<UnixNanos>) -> bool {
    change.at.zip(newest).is_some_and(|(at, newest)| at > newest)
}

/// What a change is when everything up to `last` is known; `since`: of the changes that have followed the snapshot, if any.
#[inline]
fn relation(rule: BookRule, change: &Waiting, last: i64, since: Option<Since>) -> Relation {
    let is_joined = since.is_some();
    let is_known = change.last == last || (change.last < last && since.is_none_or(|since| since.has_heard(change)));
    let follows = match rule {
        BookRule::JoinFirst if is_known => return Relation::Known,
        BookRule::JoinFirst if is_joined => change.last > last && change.first <= last + 1,
        BookRule::JoinPrevious if is_joined && change.previous == Some(last) => true,
        BookRule::JoinPrevious if is_joined && is_known => return Relation::Known,
        BookRule::JoinPrevious if !is_joined && is_before(rule, change.last, last) => return Relation::Known,
        BookRule::JoinFirst | BookRule::JoinPrevious if !is_joined => joins(rule, change, last),
        BookRule::JoinFirst | BookRule::JoinPrevious => false,
        BookRule::Previous => match change.previous {
            None => true,
            Some(previous) if previous == last => true,
            Some(previous) if previous < last && is_known => return Relation::Known,
            Some(_) => false,
        },
        BookRule::Next if change.last == last + 1 => true,
        // 1 is a restart of the venue's service, which sends a snapshot; without one something is missing.
        BookRule::Next if is_known && change.last != 1 => return Relation::Known,
        BookRule::Next => false,
        BookRule::Checksum { .. } | BookRule::Connection | BookRule::Unchecked => true,
    };
    if follows { Relation::Next } else { Relation::Beyond }
}

/// What is missing between `last` and a change that does not follow it.
#[cold]
fn hole(rule: BookRule, change: &Waiting, last: i64) -> Step {
    let until = match rule {
        BookRule::JoinFirst => change.first - 1,
        BookRule::Next => change.last - 1,
        _ => change.previous.unwrap_or(change.first - 1),
    };
    // A service that began anew counts from below: what is missing has no numbers then.
    let is_ahead = until > last;
    Step::Hole { first: is_ahead.then(|| last + 1), last: is_ahead.then_some(until) }
}

/// Whether a change lies before the snapshot as a whole. Spot drops `u <= lastUpdateId`, futures `u < lastUpdateId`.
const fn is_before(rule: BookRule, last: i64, snapshot: i64) -> bool {
    match rule {
        BookRule::JoinPrevious => last < snapshot,
        _ => last <= snapshot,
    }
}

/// Whether the first change that is kept belongs to the snapshot.
fn joins(rule: BookRule, change: &Waiting, snapshot: i64) -> bool {
    match rule {
        BookRule::JoinPrevious => {
            (change.first <= snapshot && snapshot <= change.last) || change.previous == Some(snapshot)
        }
        _ => change.first <= snapshot + 1 && snapshot < change.last,
    }
}

fn number(seq: Option<VenueSeq>) -> Option<i64> {
    seq.map(|seq| seq.0)
}
