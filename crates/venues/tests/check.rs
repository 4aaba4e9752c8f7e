//! Sequences: every hole, repetition and restart that a stream is given is found, and nothing else, by the rule of each
//! venue.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_core::Burst;
use feedd_model::{
    BookAction, Decimal, Event, EventBody, Flags, Gap, GapReason, InstrumentId, Side, StatusCode, TradeId, UnixNanos,
    VenueSeq,
};
use feedd_venues::check::{BookRule, Checker, Judgement, Rules, StreamKind, TradeIds, Want};
use feedd_venues::message::{BookMsg, LevelNum, Message, Num, QuoteMsg, TradeMsg};
use proptest::prelude::*;

const INSTRUMENT: InstrumentId = InstrumentId(7);
const SYMBOL: &str = "X-USD";

fn num(mantissa: i64) -> Num {
    Num { value: Decimal::new(mantissa, 0).unwrap(), start: 0, len: 0 }
}

fn at(ns: i64) -> Option<UnixNanos> {
    Some(UnixNanos(ns))
}

fn trade(id: u64, made: Option<UnixNanos>) -> TradeMsg<'static> {
    TradeMsg {
        symbol: SYMBOL,
        exchange_ts: made,
        event_ts: None,
        price: num(1),
        size: num(1),
        side: Some(Side::Buy),
        id: TradeId::Number(u128::from(id)),
        seq: None,
        replay: false,
    }
}

/// First, last, previous sequence number; whether it is a snapshot; the price of one bid, whose size is the last number.
#[derive(Clone, Copy, Debug)]
struct Depth(Option<i64>, Option<i64>, Option<i64>, bool, i64);

/// A checker with its burst and a clock that ticks once a frame.
struct Line {
    checker: Checker,
    burst: Burst,
    now: i64,
}

impl Line {
    fn new(book: BookRule, trades: TradeIds, is_global: bool) -> Self {
        let mut line = Self {
            checker: Checker::new(Rules { book, trades, is_global }),
            burst: Burst::with_capacity(64),
            now: 1_000_000_000_000,
        };
        line.open("a");
        line.take();
        line
    }

    fn open(&mut self, conn: &str) {
        self.now += 1;
        self.checker.opened(conn, at(self.now), &mut self.burst);
    }

    fn close(&mut self, conn: &str) {
        self.now += 1;
        self.checker.closed(conn, 1006, at(self.now), &mut self.burst);
    }

    fn frame(&mut self, conn: &str, messages: &[Message<'_>]) -> Vec<Judgement> {
        self.now += 1;
        let now = at(self.now);
        self.checker.begin_frame(conn);
        let judged = messages.iter().map(|m| self.checker.message(INSTRUMENT, m, now, &mut self.burst)).collect();
        self.checker.end_frame(now, &mut self.burst);
        judged
    }

    fn trades(&mut self, conn: &str, ids: &[u64]) -> Vec<Judgement> {
        let messages: Vec<Message<'_>> = ids.iter().map(|id| Message::Trade(trade(*id, None))).collect();
        self.frame(conn, &messages)
    }

    fn depth(&mut self, conn: &str, depth: Depth) -> Judgement {
        self.depth_made(conn, depth, None)
    }

    /// The same at a time of the venue.
    fn depth_made(
        &mut self,
        conn: &str,
        Depth(first, last, previous, is_snapshot, price): Depth,
        made: Option<UnixNanos>,
    ) -> Judgement {
        let bids = [LevelNum { price: num(price), size: num(last.unwrap_or(1).max(0)) }];
        let message = BookMsg {
            symbol: SYMBOL,
            exchange_ts: made,
            event_ts: None,
            action: if is_snapshot { BookAction::Snapshot } else { BookAction::Delta },
            bids: &bids,
            asks: &[],
            seq_first: first.map(VenueSeq),
            seq_last: last.map(VenueSeq),
            seq_prev: previous.map(VenueSeq),
            checksum: None,
            replay: false,
        };
        self.frame(conn, &[Message::Book(message)])[0]
    }

    /// Own events since the last call.
    fn take(&mut self) -> Vec<Event> {
        let own = self.checker.take_own();
        let events = self.burst.events().to_vec();
        self.burst.clear();
        assert_eq!(own.events, events.len() as u64, "each is counted");
        let gaps = events.iter().filter(|event| matches!(event.body(), EventBody::Gap(_))).count();
        assert_eq!(own.gaps, gaps as u64);
        events
    }

    fn gaps(&mut self) -> Vec<Gap> {
        let gap = |event: &Event| if let EventBody::Gap(gap) = event.body() { Some(gap) } else { None };
        self.take().iter().filter_map(gap).collect()
    }

    /// Reasons and missing numbers alone.
    fn holes(&mut self) -> Vec<(GapReason, Option<i64>, Option<i64>)> {
        let number = |seq: Option<VenueSeq>| seq.map(|seq| seq.0);
        self.gaps().iter().map(|gap| (gap.reason, number(gap.first_missing), number(gap.last_missing))).collect()
    }

    fn wants(&mut self) -> Vec<Want> {
        self.checker.wants().collect()
    }

    /// Sizes of the bids of a whole book, best first.
    fn bids(&self) -> Option<Vec<String>> {
        Some(self.checker.book(INSTRUMENT)?.bids().map(|level| level.size.to_string()).collect())
    }
}

const SECOND: i64 = 1_000_000_000;
const STORE: Judgement = Judgement::Store(Flags::NONE);
const AFTER_GAP: Judgement = Judgement::Store(Flags::AFTER_GAP);
const BACKFILLED: Judgement = Judgement::Store(Flags::BACKFILLED);

#[test]
fn missing_trades_are_a_gap_at_once_and_wanted_and_come_back_marked() {
    let mut line = Line::new(BookRule::Unchecked, TradeIds::Dense, true);
    assert_eq!(line.trades("a", &[100]), [STORE]);
    let before = line.now;
    assert_eq!(line.trades("a", &[101, 104, 105]), [STORE, AFTER_GAP, STORE]);
    let gaps = line.gaps();
    let expected = Gap {
        reason: GapReason::VenueSequence,
        first_missing: Some(VenueSeq(102)),
        last_missing: Some(VenueSeq(103)),
        from_ts: at(before + 1),
        to_ts: at(before + 1),
        events: Some(2),
    };
    assert_eq!(gaps, [expected]);
    assert_eq!(line.wants(), [Want::Trades { symbol: SYMBOL.into(), first: 102, last: 103 }]);
    // The answer holds more than was asked for: what is known stays single.
    let judged = line.trades("rest", &[101, 102, 103, 104]);
    assert_eq!(judged, [Judgement::Duplicate, BACKFILLED, BACKFILLED, Judgement::Duplicate]);
    let own = line.take();
    let [event] = own.as_slice() else { panic!("{own:?}") };
    assert!(
        matches!(event.body(), EventBody::Status(status) if status.code == StatusCode::Backfilled && status.detail == 2)
    );
    assert_eq!(line.trades("a", &[103, 106]), [Judgement::Duplicate, STORE]);
    assert!(line.take().is_empty() && line.wants().is_empty());
}

#[test]
fn a_frame_that_lists_the_newest_first_has_no_hole() {
    let mut line = Line::new(BookRule::Connection, TradeIds::DenseNewestFirst, false);
    assert_eq!(line.trades("a", &[12, 11, 10]), [STORE; 3], "ids from before the first one are new");
    assert_eq!(line.trades("a", &[15, 14, 13]), [STORE; 3]);
    assert!(line.take().is_empty());
    assert_eq!(line.trades("a", &[19, 17]), [STORE; 2]);
    let hole = |id| (GapReason::VenueSequence, Some(id), Some(id));
    assert_eq!(line.holes(), [hole(16), hole(18)]);
}

#[test]
fn opaque_ids_are_told_apart_and_old_trades_are_marked() {
    let mut line = Line::new(BookRule::Unchecked, TradeIds::Opaque, false);
    let opened = line.now;
    let cases = [
        // id, made so many seconds after the connection was opened, judgement
        (5, 1, STORE),
        (900, 2, STORE),
        (5, 1, Judgement::Duplicate),
        (901, -4, STORE),
        (902, -6, Judgement::Store(Flags::REPLAYED)),
    ];
    for (id, seconds, expected) in cases {
        let made = at(opened + seconds * 1_000_000_000);
        assert_eq!(line.frame("a", &[Message::Trade(trade(id, made))]), [expected], "{id}");
    }
    assert!(line.take().is_empty());
}

#[test]
fn holes_in_ids_that_no_source_calls_dense_count_once_enough_have_followed_each_other() {
    let mut line = Line::new(BookRule::Unchecked, TradeIds::Learned, false);
    let mut id = 1000;
    let follow = |line: &mut Line, from: u64, count: u64| {
        for next in 0..count {
            assert_eq!(line.trades("a", &[from + next]), [STORE]);
        }
        from + count
    };
    id = follow(&mut line, id, 100) + 3;
    id = follow(&mut line, id, 600);
    assert!(line.take().is_empty(), "one hole among a hundred says nothing");
    assert_eq!(line.trades("a", &[id + 2]), [AFTER_GAP]);
    let (first, last) = (i64::try_from(id).unwrap(), i64::try_from(id + 1).unwrap());
    assert_eq!(line.holes(), [(GapReason::VenueSequence, Some(first), Some(last))]);
    assert_eq!(line.wants(), [Want::Trades { symbol: SYMBOL.into(), first: id, last: id + 1 }]);
    assert_eq!(line.trades("rest", &[id, id, 1000]), [BACKFILLED, Judgement::Duplicate, Judgement::Duplicate]);
    line.take();
    // However many there were, those that the venue's history has filled say nothing against the numbers.
    id += 3;
    for _ in 0..50 {
        id = follow(&mut line, id, 20);
        assert_eq!(line.trades("a", &[id + 1]), [AFTER_GAP], "{id}");
        assert_eq!(line.holes().len(), 1);
        assert_eq!(line.trades("rest", &[id]), [BACKFILLED]);
        line.take();
        id += 2;
    }
    // Ids with many holes are never taken for dense.
    let mut line = Line::new(BookRule::Unchecked, TradeIds::Learned, false);
    for n in 0..5000 {
        assert_eq!(line.trades("a", &[n * 10 + n % 3]), [STORE]);
    }
    for n in 60_000..60_400 {
        assert_eq!(line.trades("a", &[n]), [STORE]);
    }
    line.trades("a", &[60_500]);
    assert!(line.take().is_empty() && line.wants().is_empty());
}

/// Frames that are lost while a book waits for its snapshot may have carried trades, too.
#[test]
fn what_is_missing_while_a_book_is_not_whole_is_marked_each_time() {
    let hole = |first, last| (GapReason::BookSequence, first, last);
    let mut line = Line::new(BookRule::Previous, TradeIds::Opaque, false);
    line.depth("a", Depth(None, Some(10), Some(-1), true, 1));
    let cases = [
        // the one before, its own, what is missing
        (10, 13, None),
        (15, 20, Some(hole(Some(14), Some(15)))),
        (20, 20, None),
        (20, 27, None),
        // Known already.
        (13, 20, None),
        (30, 31, Some(hole(Some(28), Some(30)))),
        // The venue counts anew.
        (31, 5, None),
        (5, 6, None),
        // Comes late.
        (2, 3, None),
        (6, 9, None),
        // The venue counts anew, and what came before is missing.
        (1, 2, None),
        (2, 4, Some(hole(None, None))),
        (4, 6, None),
    ];
    for (previous, last, expected) in cases {
        let judged = line.depth("a", Depth(None, Some(last), Some(previous), false, 2));
        assert_eq!(judged, if expected.is_some() { AFTER_GAP } else { STORE }, "{previous} {last}");
        assert_eq!(line.holes(), Vec::from_iter(expected), "{previous} {last}");
    }
    // A connection that was away begins anew, and the first message says nothing about the one before.
    line.close("a");
    line.open("b");
    line.take();
    line.depth("b", Depth(None, Some(90), Some(80), false, 2));
    assert_eq!(line.holes().iter().map(|hole| hole.0).collect::<Vec<_>>(), [GapReason::Disconnected]);
    let mut line = Line::new(BookRule::Next, TradeIds::Opaque, false);
    line.depth("a", Depth(None, Some(7), None, true, 1));
    for (last, expected) in [(9, Some(hole(Some(8), Some(8)))), (10, None), (12, Some(hole(Some(11), Some(11))))] {
        line.depth("a", Depth(None, Some(last), None, false, 2));
        assert_eq!(line.holes(), Vec::from_iter(expected), "{last}");
    }
}

/// A venue may count anew while nothing of it is heard: what follows has numbers that are known, and later times.
#[test]
fn a_number_that_is_known_with_a_later_time_is_a_gap_and_a_repetition_is_none() {
    // Last number and time of the venue, and whether something is missing before it.
    let cases = [
        (2, 20, false),
        (3, 30, false),
        (4, 40, false),
        // Repeated, late, and twice in one millisecond.
        (3, 30, false),
        (4, 40, false),
        (5, 40, false),
        (4, 40, false),
        (6, 50, false),
        // Counts anew: first while the book is whole, then while it is not.
        (3, 60, true),
        (4, 70, false),
        (5, 80, false),
        (4, 70, false),
        (4, 90, true),
        (5, 100, false),
    ];
    for rule in [BookRule::Next, BookRule::Previous, BookRule::JoinFirst, BookRule::JoinPrevious] {
        let mut line = Line::new(rule, TradeIds::Opaque, false);
        let joins = matches!(rule, BookRule::JoinFirst | BookRule::JoinPrevious);
        line.depth_made("a", Depth(Some(1), Some(1), Some(0), !joins, 1), at(10));
        if joins {
            line.depth("rest", Depth(None, Some(1), None, true, 1));
        }
        // Changes that wait to be joined are judged when they are.
        for (last, made, is_hole) in cases.into_iter().take(if joins { 9 } else { cases.len() }) {
            line.depth_made("a", Depth(Some(last), Some(last), Some(last - 1), false, 2), at(made));
            let hole = (GapReason::BookSequence, None, None);
            assert_eq!(line.holes(), Vec::from_iter(is_hole.then_some(hole)), "{rule:?}: {last} at {made}");
        }
        assert_eq!(line.bids(), None, "{rule:?}: it waits for a snapshot");
        // From below all of them, and later: the first of a venue that counts anew.
        if !joins {
            line.depth_made("a", Depth(Some(2), Some(2), Some(1), false, 2), at(110));
            assert_eq!(line.holes(), [(GapReason::BookSequence, None, None)], "{rule:?}");
        }
    }
}

/// A silent stream that is subscribed anew without proof that it was mute: its snapshot is the proof.
#[test]
fn a_snapshot_that_jumps_over_changes_says_what_is_missing() {
    for rule in [BookRule::Previous, BookRule::Next] {
        let mut line = Line::new(rule, TradeIds::Opaque, false);
        let snapshot = |last| Depth(None, Some(last), None, true, 1);
        // A stream of whole books alone: each says everything.
        for last in [2, 5, 7] {
            assert_eq!(line.depth("a", snapshot(last)), STORE, "{rule:?} {last}");
        }
        line.depth("a", Depth(None, Some(8), Some(7), false, 2));
        // Nothing has happened; the venue counts anew.
        for last in [8, 8, 3] {
            assert_eq!(line.depth("a", snapshot(last)), STORE, "{rule:?} {last}");
        }
        assert_eq!(line.take().len(), 0, "{rule:?}");
        let before = line.now;
        assert_eq!(line.depth("a", snapshot(9)), AFTER_GAP);
        let events = line.take();
        let [EventBody::Gap(gap), EventBody::Status(status)] = [events[0].body(), events[1].body()] else {
            panic!("{events:?}")
        };
        let missing = (gap.reason, gap.first_missing, gap.last_missing);
        assert_eq!(missing, (GapReason::BookSequence, Some(VenueSeq(4)), Some(VenueSeq(9))));
        assert_eq!((gap.from_ts, gap.to_ts), (at(before), at(line.now)));
        assert_eq!((status.code, events.len()), (StatusCode::Resynchronised, 2));
        assert!(line.bids().is_some() && line.wants().is_empty(), "the book is whole, and nothing is asked for");
        // Another connection takes over: what was on its way on this one is in its snapshot.
        line.open("b");
        line.take();
        assert_eq!(line.depth("b", snapshot(12)), STORE);
        assert_eq!(line.holes(), []);
        // After a hole the snapshot that was asked for leaves out some changes; one that comes late, everything since.
        let numbers = |first, last| vec![(GapReason::BookSequence, first, last)];
        for (wait, expected) in [(SECOND - 2, vec![]), (SECOND - 1, numbers(Some(21), Some(25)))] {
            line.depth("b", Depth(None, Some(20), Some(19), false, 2));
            assert_eq!(line.holes(), numbers(Some(13), Some(19)), "{rule:?}");
            line.now += wait;
            let judged = line.depth("b", snapshot(25));
            assert_eq!(judged, if expected.is_empty() { STORE } else { AFTER_GAP }, "{rule:?}");
            assert_eq!(line.holes(), expected, "{rule:?} {wait}");
            // The venue counts anew: with or without a silence before.
            for (wait, expected) in [(0, vec![]), (SECOND, numbers(None, None))] {
                line.depth("b", snapshot(30));
                line.take();
                line.now += wait;
                line.depth("b", snapshot(12));
                assert_eq!(line.holes(), expected, "{rule:?} {wait}");
            }
        }
    }
}

#[test]
fn an_interruption_is_one_gap_an_instrument_from_its_last_message_to_its_next() {
    let mut line = Line::new(BookRule::JoinFirst, TradeIds::Dense, true);
    line.trades("a", &[1]);
    let last = line.now;
    line.close("a");
    line.open("b");
    let codes: Vec<_> = line.take().iter().map(Event::body).collect();
    assert!(matches!(
        codes.as_slice(),
        [EventBody::Status(off), EventBody::Status(on)]
            if (off.code, off.detail, on.code) == (StatusCode::Disconnected, 1006, StatusCode::Connected)
    ));
    assert_eq!(line.trades("b", &[2]), [AFTER_GAP]);
    let gaps = line.gaps();
    assert_eq!(gaps.len(), 1);
    assert_eq!((gaps[0].reason, gaps[0].from_ts, gaps[0].to_ts), (GapReason::Disconnected, at(last), at(line.now)));
    assert_eq!(line.trades("b", &[3]), [STORE], "told once");
    // One that nothing ends lasts until the end.
    line.close("b");
    line.take();
    line.checker.ended(at(line.now + 5), &mut line.burst);
    assert_eq!(line.gaps().iter().map(|gap| gap.to_ts).collect::<Vec<_>>(), [at(line.now + 5)]);
}

#[test]
fn with_two_connections_the_first_arrival_counts_and_nothing_is_missed_when_one_ends() {
    let mut line = Line::new(BookRule::JoinFirst, TradeIds::Dense, true);
    line.open("b");
    line.take();
    let quote = |seq| {
        Message::Quote(QuoteMsg {
            symbol: SYMBOL,
            exchange_ts: None,
            event_ts: None,
            bid: None,
            bid_size: None,
            ask: None,
            ask_size: None,
            seq: Some(VenueSeq(seq)),
            replay: false,
        })
    };
    assert_eq!(line.trades("a", &[1, 2]), [STORE; 2]);
    assert_eq!(line.trades("b", &[1, 2, 3]), [Judgement::Duplicate, Judgement::Duplicate, STORE]);
    assert_eq!(line.frame("b", &[quote(10), quote(12)]), [STORE; 2]);
    assert_eq!(line.frame("a", &[quote(10), quote(11)]), [Judgement::Duplicate, STORE], "11 was lost on b");
    assert_eq!(line.depth("a", Depth(Some(1), Some(2), None, false, 5)), STORE);
    assert_eq!(line.depth("b", Depth(Some(1), Some(2), None, false, 5)), Judgement::Duplicate);
    line.close("a");
    assert_eq!(line.trades("b", &[4]), [STORE]);
    assert!(line.gaps().is_empty());
}

#[test]
fn where_numbers_are_not_global_the_connection_opened_last_counts_from_its_snapshot_on() {
    let mut line = Line::new(BookRule::Previous, TradeIds::Opaque, false);
    let snapshot = |seq| Depth(None, Some(seq), Some(-1), true, 5);
    let delta = |previous, seq| Depth(None, Some(seq), Some(previous), false, 5);
    assert_eq!(line.depth("a", snapshot(10)), STORE);
    line.open("b");
    assert_eq!(line.depth("a", delta(10, 12)), STORE);
    assert_eq!(line.depth("b", delta(10, 12)), Judgement::Duplicate, "not begun yet");
    assert_eq!(line.depth("b", snapshot(12)), STORE);
    assert_eq!(line.depth("a", delta(12, 15)), Judgement::Duplicate);
    assert_eq!(line.depth("b", delta(12, 15)), STORE);
    line.close("a");
    assert_eq!(line.depth("b", delta(15, 16)), STORE);
    assert!(line.holes().is_empty() && line.wants().is_empty());
    assert_eq!(line.bids(), Some(vec!["16".to_owned()]));
    // The one that counts ends: the book of the other has to begin again.
    line.open("c");
    line.close("b");
    assert_eq!(line.wants(), [Want::Resubscribe { symbol: SYMBOL.into() }]);
    assert_eq!((line.holes(), line.bids()), (vec![], None));
    assert_eq!(line.depth("c", snapshot(20)), STORE);
    assert_eq!(line.bids(), Some(vec!["20".to_owned()]));
}

#[test]
fn a_hole_in_the_connections_own_numbers_is_the_whole_connections() {
    let mut line = Line::new(BookRule::Connection, TradeIds::DenseNewestFirst, false);
    let number = |line: &mut Line, seq| line.checker.connection_sequence(VenueSeq(seq), at(line.now), &mut line.burst);
    line.depth("a", Depth(None, None, None, true, 5));
    number(&mut line, 0);
    number(&mut line, 1);
    assert!(line.bids().is_some() && line.holes().is_empty());
    number(&mut line, 4);
    assert_eq!(line.holes(), [(GapReason::VenueSequence, Some(2), Some(3))]);
    assert!(matches!(line.wants().as_slice(), [Want::ResubscribeAll { .. }]));
    assert_eq!(line.bids(), None);
    line.depth("a", Depth(None, None, None, true, 5));
    let own = line.take();
    assert!(matches!(own[0].body(), EventBody::Status(status) if status.code == StatusCode::Resynchronised));
}

#[test]
fn a_binance_book_is_joined_to_its_snapshot() {
    // Changes before the answer, the answer's number, what follows, how it ends.
    type Case = (&'static str, BookRule, &'static [(i64, i64, i64)], i64, &'static [(i64, i64, i64)], &'static str);
    const SPOT: BookRule = BookRule::JoinFirst;
    const FUTURES: BookRule = BookRule::JoinPrevious;
    let cases: [Case; 9] = [
        ("older ones are dropped", SPOT, &[(1, 5, 0), (6, 9, 5)], 5, &[(10, 12, 9)], "whole"),
        ("the first kept spans it", SPOT, &[(1, 5, 0), (6, 9, 5)], 7, &[(10, 12, 9)], "whole"),
        ("all are older", SPOT, &[(1, 5, 0)], 7, &[(6, 9, 5), (10, 11, 9)], "whole"),
        ("the snapshot is older", SPOT, &[(6, 9, 5)], 3, &[], "asks again"),
        ("a hole after it", SPOT, &[(1, 5, 0)], 5, &[(7, 9, 6)], "hole 6 6"),
        ("futures follow by pu", FUTURES, &[(1, 5, 0), (8, 9, 5)], 4, &[(20, 22, 9)], "whole"),
        ("futures, pu is the snapshot", FUTURES, &[(8, 9, 5)], 5, &[(20, 22, 9)], "whole"),
        ("futures, the snapshot is older", FUTURES, &[(8, 9, 6)], 5, &[], "asks again"),
        ("futures, a hole", FUTURES, &[(1, 5, 0)], 5, &[(8, 9, 5), (20, 22, 12)], "hole 10 12"),
    ];
    for (name, rule, before, snapshot, after, expected) in cases {
        let mut line = Line::new(rule, TradeIds::Dense, true);
        let delta = |line: &mut Line, (first, last, previous): (i64, i64, i64)| {
            line.depth("a", Depth(Some(first), Some(last), Some(previous), false, last))
        };
        for change in before {
            assert_eq!(delta(&mut line, *change), STORE, "{name}");
        }
        assert_eq!(line.wants(), [Want::Snapshot { symbol: SYMBOL.into() }], "{name}: asked for once");
        line.depth("rest", Depth(None, Some(snapshot), None, true, snapshot));
        for change in after {
            delta(&mut line, *change);
        }
        let got = match (line.holes().as_slice(), line.wants().as_slice()) {
            ([], []) => "whole".to_owned(),
            ([], [Want::Snapshot { .. }]) => "asks again".to_owned(),
            ([(GapReason::BookSequence, Some(first), Some(last))], [Want::Snapshot { .. }]) => {
                format!("hole {first} {last}")
            }
            other => format!("{other:?}"),
        };
        assert_eq!(got, expected, "{name}");
        assert_eq!(line.bids().is_some(), expected == "whole", "{name}");
    }
}

#[test]
fn what_waits_behind_the_snapshot_is_in_the_book() {
    let mut line = Line::new(BookRule::JoinFirst, TradeIds::Dense, true);
    for (first, last) in [(1, 5), (6, 9), (10, 11)] {
        line.depth("a", Depth(Some(first), Some(last), None, false, last));
    }
    line.depth("rest", Depth(None, Some(7), None, true, 2));
    assert_eq!(line.bids().unwrap(), ["11", "9", "7"], "5 is older than the snapshot");
}

/// One step of a stream.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Drop(u8),
    Again,
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let fault = prop_oneof![20 => Just(Fault::None), 1 => (1_u8..5).prop_map(Fault::Drop), 1 => Just(Fault::Again)];
    prop::collection::vec(fault, 1..400)
}

#[test]
fn a_silent_stream_is_marked_from_its_own_last_message_on() {
    let mut line = Line::new(BookRule::Next, TradeIds::Dense, false);
    line.depth("a", Depth(None, Some(5), None, true, 5));
    let last_depth = line.now;
    for id in 10..20 {
        line.trades("a", &[id]);
    }
    line.take();
    line.checker.silent(INSTRUMENT, Some(StreamKind::Depth), None);
    assert_eq!(line.bids(), None, "not known any more");
    assert_eq!(line.trades("a", &[20]), [STORE], "trades go on");
    assert!(line.gaps().is_empty());
    assert_eq!(line.depth("a", Depth(None, Some(9), None, true, 9)), AFTER_GAP);
    let gaps = line.gaps();
    assert_eq!(gaps.len(), 1);
    let of = (gaps[0].reason, gaps[0].from_ts, gaps[0].to_ts);
    assert_eq!(of, (GapReason::Disconnected, at(last_depth), at(line.now)));
    // Trades that fall silent say nothing about the book.
    line.checker.silent(INSTRUMENT, Some(StreamKind::Trades), None);
    assert!(line.bids().is_some());
    assert_eq!(line.trades("a", &[21]), [AFTER_GAP]);
    assert_eq!(line.gaps().len(), 1);
    // What nothing has ended lasts until the end, from its begin, as one.
    line.checker.silent(INSTRUMENT, Some(StreamKind::Depth), None);
    let depth_at = line.now - 1;
    line.close("a");
    line.now += 1;
    line.checker.ended(at(line.now), &mut line.burst);
    let gaps = line.gaps();
    assert_eq!((gaps.len(), gaps[0].from_ts), (1, at(depth_at)));
}

#[test]
fn where_one_connection_counts_another_one_takes_its_place_when_it_lacks_the_stream() {
    let mut line = Line::new(BookRule::Next, TradeIds::Dense, false);
    line.open("b");
    line.depth("a", Depth(None, Some(5), None, true, 5));
    line.depth("b", Depth(None, Some(5), None, true, 5));
    let last_counted = line.now;
    let delta = |seq: i64| Depth(Some(seq), Some(seq), None, false, seq);
    assert_eq!(line.depth("a", delta(6)), Judgement::Duplicate, "the one opened last counts");
    line.take();
    line.wants();
    // Of the one that does not count nothing is missing.
    line.checker.silent(INSTRUMENT, Some(StreamKind::Depth), Some("a"));
    line.checker.silent(INSTRUMENT, Some(StreamKind::Trades), Some("b"));
    assert!(line.wants().is_empty() && line.bids().is_some());
    line.checker.silent(INSTRUMENT, Some(StreamKind::Depth), Some("b"));
    assert_eq!(line.wants(), [Want::Resubscribe { symbol: SYMBOL.to_owned() }], "its book begins anew");
    assert_eq!(line.depth("a", Depth(None, Some(8), None, true, 8)), AFTER_GAP);
    let gaps = line.gaps();
    assert_eq!((gaps.len(), gaps[0].from_ts, gaps[0].to_ts), (1, at(last_counted), at(line.now)));
    assert_eq!(line.bids(), Some(vec!["8".to_owned()]));
    // One that numbers alike everywhere loses nothing.
    let mut line = Line::new(BookRule::JoinFirst, TradeIds::Dense, true);
    line.open("b");
    line.depth("a", Depth(Some(1), Some(1), None, false, 5));
    line.take();
    line.wants();
    line.checker.silent(INSTRUMENT, Some(StreamKind::Depth), Some("a"));
    assert!(line.wants().is_empty());
    line.depth("b", Depth(Some(2), Some(2), None, false, 5));
    assert!(line.gaps().is_empty());
}

#[test]
fn messages_are_counted_by_connection_from_its_opening_on() {
    let mut line = Line::new(BookRule::Next, TradeIds::Dense, false);
    line.open("b");
    line.trades("a", &[1]);
    line.trades("b", &[1]);
    line.trades("b", &[2]);
    line.trades("rest", &[2]);
    let heard = |line: &Line, conn| line.checker.heard_on(INSTRUMENT, conn);
    assert_eq!((heard(&line, "a"), heard(&line, "b"), heard(&line, "c")), ([1, 0, 0], [2, 0, 0], [0; 3]));
    line.close("a");
    line.open("c");
    assert_eq!((heard(&line, "a"), heard(&line, "c")), ([0; 3], [0; 3]), "its place was another one's");
    line.trades("c", &[3]);
    assert_eq!((heard(&line, "c"), line.checker.heard(INSTRUMENT)), ([1, 0, 0], [4, 0, 0]));
}

proptest! {
    /// Trades: exactly the holes that were made are told, and what is sent again is known.
    #[test]
    fn trade_holes_are_exactly_those_that_were_made(faults in faults()) {
        let mut line = Line::new(BookRule::Unchecked, TradeIds::Dense, true);
        let (mut id, mut expected) = (1000, Vec::new());
        line.trades("a", &[id]);
        for fault in faults {
            match fault {
                Fault::None => {}
                Fault::Drop(count) => {
                    let hole = (id + 1, id + u64::from(count));
                    let number = |id: u64| i64::try_from(id).ok();
                    expected.push((GapReason::VenueSequence, number(hole.0), number(hole.1)));
                    id = hole.1;
                }
                Fault::Again => {
                    prop_assert_eq!(line.trades("a", &[id]), [Judgement::Duplicate]);
                    continue;
                }
            }
            id += 1;
            let judged = line.trades("a", &[id]);
            prop_assert_eq!(judged[0], if matches!(fault, Fault::Drop(_)) { AFTER_GAP } else { STORE });
        }
        prop_assert_eq!(line.holes(), expected);
    }

    /// Books: a hole is told exactly where one was made, once until the next snapshot, and the book that follows is right.
    #[test]
    fn book_holes_are_exactly_those_that_were_made(
        faults in faults(),
        rule in prop::sample::select(&[BookRule::JoinFirst, BookRule::JoinPrevious, BookRule::Previous, BookRule::Next][..]),
        steps in prop::collection::vec(1_i64..9, 400),
    ) {
        let mut line = Line::new(rule, TradeIds::Opaque, false);
        let is_joined = matches!(rule, BookRule::JoinFirst | BookRule::JoinPrevious);
        let conn = if is_joined { "rest" } else { "a" };
        let mut last = 100;
        // A first change, so that a book that has to be joined asks for its snapshot.
        let step = |rule, steps: i64| if rule == BookRule::Next { 1 } else { steps };
        line.depth("a", Depth(Some(99), Some(last), Some(98), false, last));
        line.depth(conn, Depth(None, Some(last), Some(-1), true, last));
        line.take();
        line.wants();
        for (fault, steps) in faults.into_iter().zip(steps) {
            let next = last + step(rule, steps);
            let delta = |from: i64, to: i64| Depth(Some(from + 1), Some(to), Some(from), false, to);
            let hole = match fault {
                Fault::None => {
                    prop_assert_eq!(line.depth("a", delta(last, next)), STORE);
                    last = next;
                    continue;
                }
                Fault::Again => {
                    // Recorded as it came; it changes nothing.
                    prop_assert_eq!(line.depth("a", delta(last - 1, last)), STORE);
                    continue;
                }
                Fault::Drop(count) => (last, next + i64::from(count)),
            };
            let after = hole.1 + step(rule, steps);
            prop_assert_eq!(line.depth("a", delta(hole.1, after)), AFTER_GAP);
            prop_assert_eq!(line.holes(), [(GapReason::BookSequence, Some(hole.0 + 1), Some(hole.1))]);
            prop_assert_eq!(line.wants().len(), 1);
            prop_assert_eq!(line.bids(), None);
            line.depth("a", delta(after, after + step(rule, steps)));
            prop_assert!(line.holes().is_empty(), "told once");
            last = after + step(rule, steps);
            line.depth(conn, Depth(None, Some(last), Some(-1), true, last));
            let own = line.take();
            prop_assert!(
                matches!(own[0].body(), EventBody::Status(status) if status.code == StatusCode::Resynchronised)
            );
            prop_assert_eq!(line.bids().map(|bids| bids[0].clone()), Some(last.to_string()));
        }
        prop_assert!(line.holes().is_empty() && line.wants().is_empty());
    }
}

#[test]
fn an_instrument_that_leaves_says_so_and_comes_back_with_its_trades_known() {
    let mut line = Line::new(BookRule::Unchecked, TradeIds::Dense, true);
    assert_eq!(line.trades("a", &[100, 101]), [STORE, STORE]);
    assert!(line.take().is_empty());
    let left = |line: &mut Line| {
        line.now += 1;
        let now = at(line.now);
        line.checker.left(INSTRUMENT, now, &mut line.burst);
    };
    left(&mut line);
    let own = line.take();
    let [only] = own.as_slice() else { panic!("{own:?}") };
    let EventBody::Status(status) = only.body() else { panic!("{only:?}") };
    assert_eq!((status.code, only.instrument(), only.recv_ts()), (StatusCode::Ended, INSTRUMENT, at(line.now)));
    assert_eq!(line.checker.heard(INSTRUMENT), [0; 3]);
    // It is not there, so a connection that ends interrupts nothing of it, nor does the end of the run.
    line.close("a");
    line.checker.ended(at(line.now), &mut line.burst);
    assert_eq!(line.gaps(), []);
    line.open("b");
    // Back again: what is known is known, and what was made meanwhile is missing.
    assert_eq!(line.trades("b", &[101, 104]), [Judgement::Duplicate, AFTER_GAP]);
    assert_eq!(line.holes(), [(GapReason::VenueSequence, Some(102), Some(103))]);
    assert_eq!(line.wants(), [Want::Trades { symbol: SYMBOL.to_owned(), first: 102, last: 103 }]);
    // One that leaves while it is away: the interruption lasts until then, and not longer.
    line.close("b");
    left(&mut line);
    let gaps = line.gaps();
    assert_eq!(
        gaps.iter().map(|gap| (gap.reason, gap.to_ts)).collect::<Vec<_>>(),
        [(GapReason::Disconnected, at(line.now))]
    );
    line.checker.ended(at(line.now + 9), &mut line.burst);
    assert_eq!(line.gaps(), []);
}
