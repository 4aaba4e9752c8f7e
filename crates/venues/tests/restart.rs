//! A recorder that is cut off again and again, while its venue trades on: each trade is stored once, nothing that is stored
//! is called missing, and what is missing is asked for.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_core::Burst;
use feedd_model::{
    Decimal, Epoch, Event, EventBody, Flags, GapReason, InstrumentId, Position, Seq, StreamId, TradeId, UnixNanos,
};
use feedd_venues::check::{BookRule, Checker, Judgement, KnownTrades, Rules, TradeIds, Want};
use feedd_venues::known_trades::{KnownFile, KnownFileError};
use feedd_venues::message::{Message, Num, TradeMsg};
use feedd_venues::to_events;
use proptest::prelude::*;
use std::collections::BTreeSet;

const INSTRUMENT: InstrumentId = InstrumentId(7);
const SYMBOL: &str = "X-USD";
/// Between two trades.
const STEP_NS: i64 = 1_000_000;
const START_NS: i64 = 1_800_000_000_000_000_000;

fn made_at(id: u64) -> UnixNanos {
    UnixNanos(START_NS + i64::try_from(id).unwrap() * STEP_NS)
}

fn trade_made(id: TradeId, made: UnixNanos) -> TradeMsg<'static> {
    let num = Num { value: Decimal::new(1, 0).unwrap(), start: 0, len: 0 };
    TradeMsg {
        symbol: SYMBOL,
        exchange_ts: Some(made),
        event_ts: None,
        price: num,
        size: num,
        side: None,
        id,
        seq: None,
        replay: false,
    }
}

fn trade(id: u64) -> TradeMsg<'static> {
    trade_made(TradeId::Number(u128::from(id)), made_at(id))
}

/// A recorder with a journal, of which the front is durable.
struct Recorder {
    rule: TradeIds,
    checker: Checker,
    journal: Vec<Event>,
    /// What the file says, and up to which event of the journal.
    file: Option<(String, usize)>,
    /// Ids that gap events named, with how many events stood in the journal.
    named: Vec<(u64, usize)>,
    epoch: u32,
    now: i64,
}

impl Recorder {
    fn new(rule: TradeIds) -> Self {
        let checker = Checker::new(Self::rules(rule));
        let (journal, named) = (Vec::new(), Vec::new());
        Self { rule, checker, journal, file: None, named, epoch: 1, now: START_NS }
    }

    const fn rules(trades: TradeIds) -> Rules {
        Rules { book: BookRule::Unchecked, trades, is_global: false }
    }

    /// What a start knows: the file, and what the journal holds behind it.
    fn known(&self) -> KnownFile {
        let rules = vec![Some(self.rule)];
        let (mut file, from) = match &self.file {
            Some((text, from)) => (KnownFile::parse(text.as_bytes()).unwrap(), *from),
            None => (KnownFile::new(StreamId(1), Epoch(self.epoch), rules), 0),
        };
        self.journal[from..].iter().for_each(|event| file.note(self.rule, event));
        file.at = Position { epoch: Epoch(self.epoch), seq: Seq(self.journal.len() as u64) };
        file
    }

    fn save(&mut self) {
        self.file = Some((self.known().to_text(), self.journal.len()));
    }

    /// Loses the last `lost` events, but none that the file knows, and starts again.
    fn restart(&mut self, lost: usize) {
        let safe = self.file.as_ref().map_or(0, |(_, from)| *from);
        self.journal.truncate(self.journal.len().saturating_sub(lost).max(safe));
        let left = self.journal.len();
        self.named.retain(|(_, at)| *at <= left);
        let known = self.known();
        self.epoch += 1;
        self.checker = Checker::new(Self::rules(self.rule));
        if let Some(known) = known.trades.get(&INSTRUMENT) {
            self.checker.know(SYMBOL, known.clone());
        }
        self.save();
    }

    fn frame(&mut self, conn: &str, trades: &[TradeMsg<'_>]) {
        self.now += STEP_NS;
        let now = Some(UnixNanos(self.now));
        let mut burst = Burst::with_capacity(64);
        self.checker.begin_frame(conn);
        for trade in trades {
            let message = Message::Trade(*trade);
            if let Judgement::Store(flags) = self.checker.message(INSTRUMENT, &message, now, &mut burst) {
                to_events::append(&message, INSTRUMENT, now, flags, &mut burst);
            }
        }
        self.checker.end_frame(now, &mut burst);
        for event in burst.events() {
            if let EventBody::Gap(gap) = event.body()
                && let (Some(first), Some(last)) = (gap.first_missing, gap.last_missing)
            {
                assert_eq!(gap.reason, GapReason::VenueSequence);
                let ids = u64::try_from(first.0).unwrap()..=u64::try_from(last.0).unwrap();
                self.named.extend(ids.map(|id| (id, self.journal.len())));
            }
            self.journal.push(*event);
        }
    }

    fn hear(&mut self, ids: impl Iterator<Item = u64>) {
        for id in ids {
            self.frame("ws-1", &[trade(id)]);
        }
    }

    /// Answers what is asked for, as the venue's REST does: with more than was asked for.
    fn answer(&mut self, last_made: u64) {
        let wants: Vec<Want> = self.checker.wants().collect();
        for want in wants {
            let Want::Trades { first, last, .. } = want else { panic!("{want:?}") };
            let trades: Vec<_> = (first.saturating_sub(3).max(1)..=last_made.min(last + 3)).map(trade).collect();
            self.frame("rest", &trades);
        }
        assert_eq!(self.checker.wants().count(), 0, "an answer asks for nothing");
    }

    fn stored(&self) -> Vec<(u64, Flags)> {
        let trade = |event: &Event| match event.body() {
            EventBody::Trade(trade) => match trade.id {
                TradeId::Number(id) => Some((u64::try_from(id).unwrap(), event.flags())),
                _ => None,
            },
            _ => None,
        };
        self.journal.iter().filter_map(trade).collect()
    }
}

/// One life of the recorder.
#[derive(Clone, Copy, Debug)]
struct Life {
    /// Trades made while it is away, then trades sent again, then new ones.
    away: u64,
    again: u64,
    new: u64,
    /// New ones until the file is written.
    saved_after: u64,
    answers: bool,
    /// Events that the cut takes.
    lost: usize,
}

fn life() -> impl Strategy<Value = Life> {
    (0..40_u64, 0..60_u64, 1..60_u64, 0..60_u64, any::<bool>(), 0..30_usize).prop_map(
        |(away, again, new, saved_after, answers, lost)| Life { away, again, new, saved_after, answers, lost },
    )
}

proptest! {
    /// Whenever it is cut off, and whatever is sent again: each trade once; what a gap names was not stored when it was named;
    /// and when the last life's holes are filled, nothing from the first trade on is missing.
    #[test]
    fn each_trade_once_across_cuts(lives in prop::collection::vec(life(), 1..8), rule in 0..2) {
        let rule = if rule == 0 { TradeIds::Dense } else { TradeIds::DenseNewestFirst };
        let mut recorder = Recorder::new(rule);
        let mut made = 1_000;
        for life in &lives {
            made += life.away;
            recorder.hear((made - life.again)..=made);
            let half = made + life.saved_after.min(life.new);
            recorder.hear(made + 1..=half);
            recorder.save();
            recorder.hear(half + 1..=made + life.new);
            made += life.new;
            if life.answers {
                recorder.answer(made);
            }
            recorder.restart(life.lost);
        }
        recorder.hear(made + 1..=made + 1);
        recorder.answer(made + 1);
        let stored = recorder.stored();
        let ids: BTreeSet<u64> = stored.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!(ids.len(), stored.len(), "each once");
        for (id, at) in &recorder.named {
            let is_stored = |event: &Event| matches!(event.body(), EventBody::Trade(trade) if trade.id == TradeId::Number(u128::from(*id)));
            prop_assert!(!recorder.journal[..*at].iter().any(is_stored), "{} is named as missing and stored", id);
        }
        // Holes that more than four later ones followed without an answer are given up.
        let first = *ids.first().unwrap();
        let missing: Vec<u64> = (first..=made + 1).filter(|id| !ids.contains(id)).collect();
        if lives.iter().all(|life| life.answers) {
            prop_assert_eq!(&missing, &Vec::<u64>::new());
        }
        let named: BTreeSet<u64> = recorder.named.iter().map(|(id, _)| *id).collect();
        let outside: Vec<_> = missing.iter().filter(|id| !named.contains(id)).collect();
        prop_assert!(outside.is_empty(), "missing and not named: {:?}", outside);
    }

    /// Ids that are no numbers in a row: what was stored of late is known again.
    #[test]
    fn opaque_ids_are_known_again(count in 1..3_000_u64, saved in 0..3_000_u64) {
        let mut recorder = Recorder::new(TradeIds::Opaque);
        let uuid = |id: u64| trade_made(TradeId::Uuid(u128::from(id) << 70 | 5), made_at(id));
        for id in 1..=count {
            recorder.frame("ws-1", &[uuid(id)]);
            if id == saved {
                recorder.save();
            }
        }
        recorder.restart(0);
        let before = recorder.journal.len();
        for id in 1..=count {
            recorder.frame("ws-1", &[uuid(id)]);
        }
        // Beyond the window the oldest are new again, and push the next ones out.
        let again = if count <= 2_048 { 0 } else { usize::try_from(count).unwrap() };
        prop_assert_eq!(recorder.journal.len() - before, again);
    }
}

#[test]
fn a_hole_across_a_restart_is_named_at_once_and_filled() {
    let mut recorder = Recorder::new(TradeIds::Dense);
    recorder.hear(100..=120);
    let last_heard = recorder.now;
    recorder.restart(0);
    recorder.hear(119..=120);
    assert!(recorder.named.is_empty(), "sent again, and known");
    recorder.hear(131..=131);
    let ids: Vec<u64> = recorder.named.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (121..=130).collect::<Vec<_>>());
    let gap = recorder.journal.iter().find_map(|event| match event.body() {
        EventBody::Gap(gap) => Some(gap),
        _ => None,
    });
    let gap = gap.unwrap();
    assert_eq!((gap.from_ts, gap.events), (Some(UnixNanos(last_heard)), Some(10)), "since the last one before the cut");
    recorder.answer(131);
    let backfilled = recorder.stored().into_iter().filter(|(_, flags)| flags.contains(Flags::BACKFILLED));
    assert_eq!(backfilled.map(|(id, _)| id).collect::<Vec<_>>(), (121..=130).collect::<Vec<_>>());
}

#[test]
fn a_cut_while_a_hole_is_filled_leaves_no_hole() {
    let mut recorder = Recorder::new(TradeIds::Dense);
    recorder.hear(100..=120);
    recorder.hear(131..=140);
    // The answer comes after the end.
    recorder.restart(0);
    recorder.hear(141..=141);
    recorder.answer(141);
    let mut ids: Vec<u64> = recorder.stored().into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (100..=141).collect::<Vec<_>>());
}

#[test]
fn numbers_that_begin_again_are_other_trades() {
    for rule in [TradeIds::Dense, TradeIds::Learned] {
        let mut recorder = Recorder::new(rule);
        recorder.hear(1..=50);
        recorder.restart(0);
        let later = |id: u64, nanos: i64| {
            trade_made(TradeId::Number(u128::from(id)), UnixNanos(made_at(50).0 + nanos + i64::try_from(id).unwrap()))
        };
        // A repetition with a clock that is a little off.
        recorder.frame("ws-1", &[later(49, 9_000_000_000)]);
        assert_eq!(recorder.stored().len(), 50);
        for id in 1..=60 {
            recorder.frame("ws-1", &[later(id, 60_000_000_000)]);
        }
        assert_eq!(recorder.stored().len(), 110, "{rule:?}: a venue that was set up anew");
        let gaps = recorder.journal.iter().filter(|event| matches!(event.body(), EventBody::Gap(_))).count();
        assert_eq!(gaps, 1, "{rule:?}: what lies between is not known");
        recorder.restart(0);
        for id in 1..=60 {
            recorder.frame("ws-1", &[later(id, 60_000_000_000)]);
        }
        assert_eq!(recorder.stored().len(), 110, "{rule:?}: those are known now");
    }
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_damaged() {
    let mut recorder = Recorder::new(TradeIds::Learned);
    recorder.hear((100..=200).filter(|id| id % 9 != 0));
    let file = recorder.known();
    let text = file.to_text();
    assert_eq!(KnownFile::parse(text.as_bytes()).unwrap(), file);
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(KnownFile::parse(&bytes).is_err(), "a bit of byte {at}");
        assert!(KnownFile::parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_file_of_another_version_or_hand_is_refused_as_such() {
    let whole = KnownFile::new(StreamId(1), Epoch(3), vec![None, Some(TradeIds::Dense)]).to_text();
    let signed = |body: &str| format!("{body}\n{{\"crc32\":{}}}\n", crc(format!("{body}\n").as_bytes()));
    let head = whole.lines().next().unwrap();
    assert_eq!(signed(head), whole, "as feedd writes it");
    let parse = |text: &str| KnownFile::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(parse(&signed(&head.replace("\"format\":1", "\"format\":2"))), KnownFileError::Version));
    assert!(matches!(parse(&signed(&head.replace("dense", "odd"))), KnownFileError::Line { line: 1 }));
    let known = KnownTrades::new(TradeIds::Dense).to_json();
    let line = |trades: &serde_json::Value| {
        signed(&format!("{head}\n{}", serde_json::json!({"instrument": 1, "trades": trades})))
    };
    assert!(KnownFile::parse(line(&known).as_bytes()).is_ok());
    let bad = [
        ("seen", serde_json::json!([9, 3])),
        ("holes", serde_json::json!([[4, 5]])),
        ("recent", serde_json::json!(["x"])),
    ];
    for (key, value) in bad {
        let mut known = known.clone();
        known[key] = value;
        assert!(matches!(parse(&line(&known)), KnownFileError::Line { line: 2 }), "{key}");
    }
}

/// CRC-32 by its definition.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
