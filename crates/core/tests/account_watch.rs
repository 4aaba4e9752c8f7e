//! The account holds at every moment: read in a tight loop while real threads count, and once they are through.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::accounting::{Account, JournalAt};
use feedd_core::counters::{BatchingCounters, JournalCounters, SourceCounters, StorageCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::{LinkReceiver, link};
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{AccountWatch, Block, BlockPool, Stop, SystemClock};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, SourceId, Status, StatusCode, StreamId,
};
use feedd_testkit::promise::Report;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Events of each source.
const EVENTS: u64 = 60_000;
/// How often a producer looks whether its burst was taken, before it goes on.
const LOOKS_MAX: u32 = 2_000;

type Shared<T> = Arc<CachePadded<T>>;

fn event(number: u64) -> Event {
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

/// Publishes as a source does: what is decoded is counted first. In step with the batching thread, so that the ring is
/// mostly empty and hides no wrong order of counting.
fn produce(mut outlet: Outlet) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut burst = Burst::with_capacity(64);
        for number in 1..=EVENTS {
            outlet.counters().events_decoded.add(1);
            burst.push(event(number));
            if number % 3 == 0 {
                burst.end_message();
            }
            if number % 7 == 0 || number == EVENTS {
                burst.end_message();
                outlet.publish(&mut burst).unwrap();
                let counters = outlet.counters();
                let taken = || counters.events_accepted.get() >= counters.events_published.get();
                for _ in 0..LOOKS_MAX {
                    if taken() {
                        break;
                    }
                    std::hint::spin_loop();
                }
            }
        }
    })
}

/// Takes what is accepted as the journal and a sink do: it may be read before its commit is counted.
fn store(
    mut blocks: LinkReceiver<Arc<Block>>,
    now: Arc<AtomicU64>,
    journal: Shared<JournalCounters>,
    sink: Shared<StorageCounters>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        blocks.register();
        let mut last = Seq(0);
        while !blocks.is_ended() {
            let Some(block) = blocks.take() else {
                blocks.sleep(1_000_000);
                continue;
            };
            now.store(block.last_seq().0, Ordering::Release);
            sink.received_seq.set(block.last_seq().0);
            // One of 1,000 is refused, and known as refused before what surrounds it is stored.
            if block.last_seq().0 / 1_000 > last.0 / 1_000 {
                sink.quarantined.add(1);
                sink.skipped_ahead.set(1);
            }
            sink.skipped_ahead.set(0);
            sink.stored_seq.raise(block.last_seq().0);
            // The next block may be read before this one's commit is counted.
            journal.durable_seq.set(last.0);
            last = block.last_seq();
            blocks.signal_ready();
        }
        journal.durable_seq.set(last.0);
    })
}

#[test]
fn no_step_is_ever_seen_ahead_of_the_one_before_it() {
    let (clock, stop, wake) = (Arc::new(SystemClock::new()), Stop::new(), Arc::new(Wake::new(false)));
    let (mut inputs, mut sources, mut producers) = (Vec::new(), Vec::new(), Vec::new());
    for (id, policy) in [(0, FullPolicy::Block), (1, FullPolicy::Drop)] {
        let (ring, consumer) = rtrb::RingBuffer::new(64);
        let counters: Shared<SourceCounters> = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        let (stop, wake, clock) = (stop.clone(), wake.clone(), clock.clone());
        let parts = OutletParts { ring, wake, counters: counters.clone(), policy, stop, clock, budget: None };
        producers.push(Outlet::new(parts));
        inputs.push(Input { source: SourceId(id), ring: consumer, counters: counters.clone() });
        sources.push(counters);
    }
    let (batching, journal, sink): (Shared<BatchingCounters>, Shared<JournalCounters>, Shared<StorageCounters>) =
        Default::default();
    let (sender, blocks) = link(4);
    let fan_in = FanIn::new(FanInParts {
        stream: StreamId(1),
        epoch: Epoch(1),
        inputs,
        derived: Vec::new(),
        lanes: vec![sender],
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(6),
        wait: WaitStrategy::Yield,
        wake,
        counters: batching.clone(),
        clock,
        stop,
    });
    let now = Arc::new(AtomicU64::new(0));
    let storing = store(blocks, now.clone(), journal.clone(), sink.clone());
    let batching_thread = std::thread::spawn(move || fan_in.run());
    let producers: Vec<_> = producers.into_iter().map(produce).collect();
    let now = move || now.load(Ordering::Acquire);
    let name = "sink".into();
    let read = || {
        let journal = JournalAt { counters: &journal, now: &now };
        let sinks = std::iter::once((&name, &**sink));
        Account::read(sources.iter().map(|source| &***source), &batching, Some(journal), sinks)
    };
    let mut watch = AccountWatch::default();
    while !storing.is_finished() {
        watch.check(&read()).unwrap();
    }
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    batching_thread.join().unwrap();
    storing.join().unwrap();
    let account = read();
    watch.check(&account).unwrap();
    assert_eq!((account.unaccounted(), account.pending(), watch.violations()), (0, 0, 0), "{account}");
    assert_eq!(account.sources.decoded, 2 * EVENTS);
    let note = format!("{} looks at {} events, {} of them dropped", watch.looks(), 2 * EVENTS, account.sources.dropped);
    Report::new("P3").runs(1).fault_kinds("none: real threads, read in a tight loop").note(&note).finish();
}

#[test]
fn whoever_takes_an_event_finds_it_counted() {
    const EVENTS: u64 = 1_000_000;
    let (producer, mut ring) = rtrb::RingBuffer::new(64);
    let counters: Shared<SourceCounters> = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
    let mut outlet = Outlet::new(OutletParts {
        ring: producer,
        wake: Arc::new(Wake::new(false)),
        counters: counters.clone(),
        policy: FullPolicy::Block,
        stop: Stop::new(),
        clock: Arc::new(SystemClock::new()),
        budget: None,
    });
    let producing = std::thread::spawn(move || {
        for number in 1..=EVENTS {
            outlet.publish_own(event(number)).unwrap();
        }
    });
    for taken in 1..=EVENTS {
        while ring.pop().is_err() {
            std::hint::spin_loop();
        }
        let (published, own) = (counters.events_published.get(), counters.events_own.get());
        assert!(published >= taken && own >= taken, "{taken} taken, {published} published, {own} own");
    }
    producing.join().unwrap();
}

/// One thread counts one event after the other on its whole way, so that every difference between two steps is one of
/// reading them.
#[test]
fn every_step_is_read_before_the_one_that_comes_before_it() {
    const EVENTS: u64 = 1_000_000;
    let source = SourceCounters::new(&["x"], &["y"]);
    let (batching, journal, sink) =
        (BatchingCounters::default(), JournalCounters::default(), StorageCounters::default());
    let ended = AtomicBool::new(false);
    let mut watch = AccountWatch::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=EVENTS {
                source.frames.add(1);
                match number % 4 {
                    0 => source.frames_decoded.add(1),
                    1 => source.frames_control.add(1),
                    2 => source.frames_unknown.add(1),
                    _ => source.frames_rejected.add(0, 1),
                }
                // One that is published, and one that is not.
                source.events_own.add(1);
                source.events_decoded.add(1);
                match number % 3 {
                    0 => source.events_rejected.add(0, 1),
                    1 => source.events_dropped.add(0, 1),
                    _ => source.events_duplicate.add(1),
                }
                source.events_published.add(1);
                source.events_accepted.add(1);
                batching.accepted.set(number);
                journal.durable_seq.set(number);
                sink.received_seq.set(number);
                // Every other one is skipped before its position is reached.
                sink.skipped_ahead.set(number % 2);
                if number % 2 == 0 {
                    sink.stored_seq.set(number);
                }
            }
            ended.store(true, Ordering::Release);
        });
        let now = || unreachable!("the journal counts before anyone reads");
        let name = "sink".into();
        while !ended.load(Ordering::Acquire) {
            let journal = JournalAt { counters: &journal, now: &now };
            let sinks = std::iter::once((&name, &sink));
            let account = Account::read(std::iter::once(&source), &batching, Some(journal), sinks);
            watch.check(&account).unwrap();
        }
    });
    println!("{} looks", watch.looks());
}
