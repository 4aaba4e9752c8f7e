//! What the batching thread hands over reaches the sink exactly once, in order, whatever the sink does.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::contract::sink::sample_stream;
use feedd_core::counters::{SinkState, StorageCounters};
use feedd_core::link::{LinkSender, link};
use feedd_core::{Batch, Block, Instruments, Sink, SinkError, Stop, SystemClock, records};
use feedd_delivery::{BatchLimits, LaneEnd, LaneParts, LinkFeed, Quarantine, Retry, SinkMark, StorageLane};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Seq, SourceId, Status, StatusCode, StreamId,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the sink does with the next calls of `write`; `Take` when the script is over.
#[derive(Clone, Copy, Debug)]
enum Act {
    Take,
    Unavailable,
    TakeButAnswerUnknown,
    /// Gives up what it has taken since the last flush, as after a failed sync, until it is asked for its position.
    GiveUp,
    Fatal,
    Panic,
}

#[derive(Default)]
struct Store {
    events: Vec<(u64, u64)>,
    batch_sizes: Vec<usize>,
    /// Events of derived records, and those of them that stood in a batch without the rest of their record.
    slots: usize,
    lone: usize,
    flushed: bool,
}

struct Scripted {
    store: Arc<Mutex<Store>>,
    script: VecDeque<Act>,
    refuses: BTreeSet<u64>,
    /// Names only the first event it refuses, as a database does.
    one_by_one: bool,
    /// False from giving up to the next `recover`.
    asked: bool,
    /// Stores only at a flush, as a sink of files.
    lazy: bool,
    flushed: Seq,
    last: Seq,
}

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn recover(&mut self, _: StreamId, _: Epoch) -> Result<Seq, SinkError> {
        self.asked = true;
        Ok(self.last)
    }
    fn write(&mut self, batch: &Batch, _: MonoNanos) -> Result<(), SinkError> {
        let unavailable = || SinkError::Unavailable { sink: "scripted", what: "write".into(), source: "away".into() };
        let act = self.script.pop_front().unwrap_or(Act::Take);
        match act {
            Act::Unavailable => return Err(unavailable()),
            Act::Panic => panic!("a defect of the sink"),
            Act::Fatal => return Err(SinkError::Fatal { sink: "scripted", what: "broken".into(), source: None }),
            Act::GiveUp => {
                (self.last, self.asked) = (Seq(0), false);
                self.store.lock().unwrap().events.clear();
            }
            Act::Take | Act::TakeButAnswerUnknown => {}
        }
        if !self.asked {
            return Err(SinkError::Unknown { sink: "scripted", what: "sync".into(), source: "failed".into() });
        }
        let mut seqs: Vec<Seq> = batch.events().map(|e| e.0).filter(|s| self.refuses.contains(&s.0)).collect();
        if !seqs.is_empty() {
            seqs.truncate(if self.one_by_one { 1 } else { usize::MAX });
            return Err(SinkError::Refused { sink: "scripted", seqs, reason: "can't take \"größe\"".into() });
        }
        let mut store = self.store.lock().unwrap();
        store.batch_sizes.push(batch.len());
        store.slots += batch.events().filter(|(_, event)| event.kind().is_slot()).count();
        store.lone += records(batch.events()).filter(Result::is_err).count();
        for (seq, event) in batch.events().filter(|(seq, _)| *seq > self.last) {
            store.events.push((seq.0, detail(event)));
        }
        self.last = self.last.max(batch.id().unwrap().last);
        if matches!(act, Act::TakeButAnswerUnknown) {
            return Err(SinkError::Unknown { sink: "scripted", what: "commit".into(), source: "no answer".into() });
        }
        Ok(())
    }
    fn stored_seq(&self) -> Seq {
        if self.lazy { self.flushed } else { self.last }
    }
    fn tick(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        self.store.lock().unwrap().flushed = true;
        self.flushed = self.last;
        Ok(())
    }
}

fn event(number: u64) -> Event {
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

fn detail(event: &Event) -> u64 {
    match event.body() {
        EventBody::Status(status) => status.detail,
        _ => u64::MAX,
    }
}

struct Run {
    store: Arc<Mutex<Store>>,
    counters: Arc<CachePadded<StorageCounters>>,
    end: LaneEnd,
    quarantine: String,
}

fn send(sender: &mut LinkSender<Arc<Block>>, first: u64, body: &[Event]) {
    let mut item = Arc::new(Block::of(StreamId(1), Epoch(2), Seq(first), SourceId(0), body));
    while let Err(back) = sender.send(item, body.len() as u64) {
        if sender.is_closed() {
            return;
        }
        item = back;
        std::thread::yield_now();
    }
}

/// Sends blocks of `sizes` events through a lane whose sink follows `script`.
fn run(sizes: &[u64], events_max: usize, script: &[Act], refuses: &[u64]) -> Run {
    run_with(sizes, events_max, script, refuses, false)
}

fn run_with(sizes: &[u64], events_max: usize, script: &[Act], refuses: &[u64], one_by_one: bool) -> Run {
    let events: Vec<Event> = (1..=sizes.iter().sum()).map(event).collect();
    run_events(&events, sizes, events_max, script, refuses, one_by_one)
}

fn run_events(
    events: &[Event],
    sizes: &[u64],
    events_max: usize,
    script: &[Act],
    refuses: &[u64],
    one_by_one: bool,
) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = dir.path().join("quarantine.jsonl");
    let (mut sender, blocks) = link(8);
    let store = Arc::new(Mutex::new(Store::default()));
    let counters = Arc::new(CachePadded::new(StorageCounters::default()));
    let lane = StorageLane::new(
        LaneParts {
            feed: Box::new(LinkFeed::new(blocks, StreamId(1), Epoch(2))),
            mark: Arc::new(SinkMark::new("scripted".into(), true)),
            epoch: Epoch(2),
            earlier: None,
            sink: Box::new(Scripted {
                store: store.clone(),
                script: script.iter().copied().collect(),
                refuses: refuses.iter().copied().collect(),
                one_by_one,
                asked: true,
                lazy: script.iter().any(|act| matches!(act, Act::GiveUp)),
                flushed: Seq(0),
                last: Seq(0),
            }),
            limits: BatchLimits { events_max, age_max: Duration::from_secs(3600) },
            retry: Retry {
                attempts: 3,
                delay: Duration::from_micros(10),
                delay_max: Duration::from_micros(50),
                stable: Duration::ZERO,
            },
            quarantine: Quarantine::open(&quarantine, 1 << 20, Instruments::in_memory()).unwrap(),
            counters: counters.clone(),
            clock: Arc::new(SystemClock::new()),
            stop: Stop::new(),
        },
        1,
    );
    let thread = std::thread::spawn(move || lane.run());
    let mut first = 0;
    for &size in sizes {
        let end = first + usize::try_from(size).unwrap();
        send(&mut sender, first as u64 + 1, &events[first..end]);
        first = end;
    }
    drop(sender);
    let end = thread.join().unwrap();
    let quarantine = std::fs::read_to_string(&quarantine).unwrap_or_default();
    Run { store, counters, end, quarantine }
}

fn expected(events: u64, without: &[u64]) -> Vec<(u64, u64)> {
    (1..=events).filter(|n| !without.contains(n)).map(|n| (n, n)).collect()
}

#[test]
fn every_event_is_stored_once_and_the_rest_is_flushed_at_the_end() {
    let run = run(&[1, 499, 500, 3, 4096, 7], 500, &[], &[]);
    let store = run.store.lock().unwrap();
    assert_eq!(store.events, expected(5106, &[]));
    assert!(store.flushed && matches!(run.end, LaneEnd::Drained));
    assert!(store.batch_sizes.iter().all(|&size| size <= 20_000), "{:?}", store.batch_sizes);
    assert_eq!((run.counters.received_seq.get(), run.counters.stored_seq.get()), (5106, 5106));
    assert_eq!(run.counters.events_written.get(), 5106);
    assert_eq!(run.counters.batches.get(), store.batch_sizes.len() as u64);
}

#[test]
fn failures_are_retried_counted_and_lose_nothing() {
    use Act::{Take, TakeButAnswerUnknown, Unavailable};
    let script = [
        Unavailable,
        Unavailable,
        Unavailable,
        Unavailable,
        Unavailable,
        Take,
        TakeButAnswerUnknown,
        Take,
        Unavailable,
    ];
    let run = run(&[600, 600, 600], 500, &script, &[]);
    assert_eq!(run.store.lock().unwrap().events, expected(1800, &[]));
    assert_eq!(run.counters.retries.get(), 7, "five, one after the unknown outcome, one");
    assert_eq!(run.counters.batches_failed.get(), 1, "only the first used up its quick attempts");
    assert_eq!(run.counters.sink_state(), SinkState::Working);
}

#[test]
fn refused_events_go_to_quarantine_and_the_rest_of_their_batch_is_stored() {
    let refused = [1, 2, 250, 500, 501, 777, 1000];
    let run = run(&[400, 600], 500, &[], &refused);
    assert_eq!(run.store.lock().unwrap().events, expected(1000, &refused));
    assert_eq!((run.counters.quarantined.get(), run.counters.stored_seq.get()), (7, 1000));
    let lines: Vec<&str> = run.quarantine.lines().collect();
    assert_eq!(lines.len(), 7);
    let line: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!((&line["stream"], &line["epoch"], &line["seq"]), (&1.into(), &2.into(), &250.into()));
    assert_eq!(line["reason"], "can't take \"größe\"");
    let event = &line["event"];
    assert_eq!((&event["kind"], &event["detail"]), (&"status".into(), &250.into()), "all decoded fields: {line}");
}

#[test]
fn a_derived_record_is_offered_whole_and_refused_whole() {
    let events = sample_stream(600);
    let slots = events.iter().filter(|event| event.kind().is_slot()).count();
    let starts = |at: &usize| events[at - 1].kind().slots() == 3;
    let records: Vec<usize> = (1..=events.len()).filter(starts).collect();
    // One slot of three records: a first, a middle, a last one; and an event that is none.
    let (a, b, c) = (records[1] as u64, records[20] as u64, records[40] as u64);
    let other = (1..=600).find(|&at| !events[at - 1].kind().is_slot()).unwrap() as u64;
    let refused = [other, a, b + 1, c + 2];
    for one_by_one in [false, true] {
        let run = run_events(&events, &[600], 4, &[], &refused, one_by_one);
        assert!(matches!(run.end, LaneEnd::Drained));
        let store = run.store.lock().unwrap();
        let aside = [other, a, a + 1, a + 2, b, b + 1, b + 2, c, c + 1, c + 2];
        let stored: Vec<u64> = store.events.iter().map(|(seq, _)| *seq).collect();
        assert_eq!(stored, (1..=600).filter(|seq| !aside.contains(seq)).collect::<Vec<_>>());
        assert_eq!((store.slots, store.lone), (slots - 9, 0), "no batch held a part of a record");
        assert_eq!((run.counters.quarantined.get(), run.counters.stored_seq.get()), (10, 600));
        let lines: Vec<serde_json::Value> = run.quarantine.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let seqs: BTreeSet<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
        assert_eq!((lines.len(), seqs), (4, BTreeSet::from([other, a, b, c])), "one line a record, at its first slot");
    }
}

#[test]
fn a_refused_end_over_several_batches_leaves_nothing_pending() {
    let refused = [10, 11, 12];
    let run = run(&[10, 1, 1], 1, &[], &refused);
    assert_eq!(run.store.lock().unwrap().events, expected(12, &refused));
    assert_eq!((run.counters.quarantined.get(), run.counters.skipped_ahead.get()), (3, 0));
    assert_eq!(run.counters.stored_seq.get(), 12);
}

#[test]
fn a_sink_that_names_one_refused_event_at_a_time_is_followed_to_the_end() {
    let refused: Vec<u64> = (1..=500).collect();
    let run = run_with(&[500, 1], 500, &[Act::Unavailable], &refused, true);
    assert!(matches!(run.end, LaneEnd::Drained));
    assert_eq!(run.store.lock().unwrap().events, [(501, 501)]);
    assert_eq!((run.counters.quarantined.get(), run.counters.stored_seq.get()), (500, 501));
    assert_eq!(run.counters.sink_state(), SinkState::Working, "a refusal is an answer");
}

#[test]
fn a_sink_that_lost_nothing_goes_on_after_it_was_asked() {
    let run = run(&[500], 500, &[Act::GiveUp], &[]);
    assert!(matches!(run.end, LaneEnd::Drained));
    assert_eq!(run.store.lock().unwrap().events, expected(500, &[]));
}

#[test]
fn a_sink_that_gave_up_what_it_had_taken_ends_the_lane_instead_of_leaving_a_hole() {
    let run = run(&[500, 500, 500], 500, &[Act::Take, Act::GiveUp], &[]);
    let LaneEnd::Fatal(error) = run.end else { panic!("{:?}", run.end) };
    assert!(error.to_string().contains("500 of epoch 2 seq 1..=500"), "{error}");
    assert_eq!(run.counters.stored_seq.get(), 0);
}

#[test]
fn a_fatal_sink_ends_the_lane_and_the_pending_events_are_counted() {
    let run = run(&[500, 500, 500], 500, &[Act::Take, Act::Fatal], &[]);
    assert!(matches!(run.end, LaneEnd::Fatal(_)));
    let stored = run.counters.stored_seq.get();
    assert_eq!(run.store.lock().unwrap().events, expected(stored, &[]));
    assert!((500..1500).contains(&stored) && run.counters.received_seq.get() > stored);
}

#[test]
fn a_sink_that_panics_stops_its_lane_alone_and_says_so() {
    let run = run(&[500, 500], 500, &[Act::Take, Act::Panic], &[]);
    assert!(matches!(run.end, LaneEnd::Panicked), "{:?}", run.end);
    assert_eq!(run.counters.sink_state(), SinkState::Stopped);
    assert_eq!(run.store.lock().map_or_else(|poisoned| poisoned.into_inner().events.len(), |s| s.events.len()), 500);
}
