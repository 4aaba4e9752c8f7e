//! The analysis lane gets the sources' events as its mode says, what it makes of them comes back whole, and storage is never
//! slowed or deadlocked by it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::accounting::Account;
use feedd_core::contract::sink::sample_derived;
use feedd_core::counters::{BatchingCounters, SourceCounters, StorageCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input, analysis_blocks};
use feedd_core::link::{LinkMode, LinkReceiver, LinkTotals, LinkWatch, link, stage_link};
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};

use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{AccountWatch, Block, BlockPool, Stop, SystemClock, records};
use feedd_model::{
    Derived, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, SourceId, Status, StatusCode, StreamId,
    UnixNanos,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const STORAGE_BLOCKS: usize = 4;

/// How a run is wired.
#[derive(Clone, Copy, Debug)]
struct Shape {
    mode: LinkMode,
    /// Blocks in the link to the analysis.
    link: usize,
    ring: usize,
    /// Slots of each ring of derived records.
    derived_ring: usize,
    derived: u16,
    is_replay: bool,
}

const SHAPE: Shape = Shape { mode: LinkMode::Live, link: 2, ring: 256, derived_ring: 4, derived: 1, is_replay: false };

struct Rig {
    source: Outlet,
    /// Of the analysis threads.
    derived: Vec<Outlet>,
    analysis: LinkReceiver<Arc<Block>>,
    watch: LinkWatch,
    counters: Vec<Arc<CachePadded<SourceCounters>>>,
    batching: Arc<CachePadded<BatchingCounters>>,
    storage: JoinHandle<Vec<(u64, Event)>>,
    thread: JoinHandle<()>,
}

/// What a run left behind.
struct Outcome {
    /// In the order of storage: sequence and event.
    stored: Vec<(u64, Event)>,
    link: LinkTotals,
    account: Account,
}

fn rig(shape: Shape, wait: WaitStrategy) -> Rig {
    let (clock, stop) = (Arc::new(SystemClock::new()), Stop::new());
    let wake = Arc::new(Wake::new(wait.parks()));
    let (sender, storage) = link(STORAGE_BLOCKS);
    let (analysis, receiver) = stage_link("processor", shape.link, shape.mode, wake.clone());
    let (mut outlets, mut inputs, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    for source in 0..=shape.derived {
        let slots = if source == 0 { shape.ring } else { shape.derived_ring };
        let (ring, consumer) = rtrb::RingBuffer::new(slots);
        let own = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        outlets.push(Outlet::new(OutletParts {
            ring,
            wake: wake.clone(),
            counters: own.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        }));
        inputs.push(Input { source: SourceId(source), ring: consumer, counters: own.clone() });
        counters.push(own);
    }
    let (derived, batching) = (inputs.split_off(1), Arc::new(CachePadded::new(BatchingCounters::default())));
    let watch = analysis.watch();
    let fan_in = FanIn::new(FanInParts {
        stream: StreamId(1),
        epoch: Epoch(3),
        inputs,
        derived,
        lanes: vec![sender],
        analysis: Some(analysis),
        is_replay: shape.is_replay,
        served: Vec::new(),
        // What the storage lane holds, and the one that is being filled.
        pool: BlockPool::new(STORAGE_BLOCKS + 2 + analysis_blocks(shape.link, 0)),
        wait,
        wake,
        counters: batching.clone(),
        clock,
        stop,
    });
    Rig {
        derived: outlets.split_off(1),
        source: outlets.pop().unwrap(),
        analysis: receiver,
        watch,
        counters,
        batching,
        storage: std::thread::spawn(move || store(storage)),
        thread: std::thread::spawn(move || fan_in.run()),
    }
}

/// A storage lane that keeps up.
fn store(mut lane: LinkReceiver<Arc<Block>>) -> Vec<(u64, Event)> {
    lane.register();
    let mut stored = Vec::new();
    while !lane.is_ended() {
        let Some(block) = lane.take() else {
            lane.sleep(10_000_000);
            continue;
        };
        stored.extend((block.first_seq().0..).zip(block.events().iter().copied()));
        drop(block);
        lane.signal_ready();
    }
    stored
}

fn event(number: u64) -> Event {
    let (instrument, recv_ts) = (InstrumentId(1), Some(UnixNanos(number.cast_signed())));
    let head = EventHead { instrument, venue_ts: None, recv_ts, flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

/// The number of an event of the source.
fn number(event: &Event) -> Option<u64> {
    match event.body() {
        EventBody::Status(status) => Some(status.detail),
        _ => None,
    }
}

/// Publishes events 1 to `events` in bursts of `burst`, and ends the source.
fn produce(mut outlet: Outlet, events: u64, burst: u64) {
    let mut waiting = Burst::with_capacity(64);
    for number in 1..=events {
        outlet.counters().events_decoded.add(1);
        waiting.push(event(number));
        waiting.end_message();
        if number % burst == 0 || number == events {
            outlet.publish(&mut waiting).unwrap();
        }
    }
}

/// What the analysis was given: (skipped before, first sequence, numbers).
type Given = Vec<(u64, u64, Vec<u64>)>;

/// Takes blocks until the lane ends; `work` is done with each before the credit is granted.
fn analyse(mut lane: LinkReceiver<Arc<Block>>, mut work: impl FnMut(&Block)) -> Given {
    lane.register();
    let mut given = Vec::new();
    while !lane.is_ended() {
        let Some(block) = lane.take() else {
            lane.sleep(10_000_000);
            continue;
        };
        let numbers = block.events().iter().map(|event| number(event).expect("events of sources only")).collect();
        given.push((block.skipped(), block.first_seq().0, numbers));
        work(&block);
        drop(block);
        lane.signal_ready();
    }
    given
}

/// Waits for the end and reads what is left of the run.
fn outcome(
    (thread, storage): (JoinHandle<()>, JoinHandle<Vec<(u64, Event)>>),
    watch: &LinkWatch,
    counters: &[Arc<CachePadded<SourceCounters>>],
    batching: &BatchingCounters,
) -> Outcome {
    thread.join().unwrap();
    let stored = storage.join().unwrap();
    let sink = StorageCounters::default();
    sink.received_seq.set(stored.len() as u64);
    sink.stored_seq.set(stored.len() as u64);
    let sources = counters.iter().map(|counters| &***counters);
    let account = Account::read(sources, batching, None, [(&"test".into(), &sink)].into_iter());
    AccountWatch::default().check(&account).unwrap();
    assert_eq!((account.unaccounted(), account.pending()), (0, 0), "{account}");
    let seqs: Vec<u64> = stored.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=stored.len() as u64).collect::<Vec<_>>(), "dense from 1");
    Outcome { stored, link: watch.totals(), account }
}

/// Numbers of the sources' events among what was stored.
fn outside(stored: &[(u64, Event)]) -> Vec<u64> {
    stored.iter().filter_map(|(_, event)| number(event)).collect()
}

/// The derived records among what was stored, each whole.
fn derived(stored: &[(u64, Event)]) -> Vec<Derived> {
    let found = records(stored.iter().map(|(seq, event)| (Seq(*seq), event)));
    found.map(|record| record.expect("every slot is in a whole record").record).collect()
}

fn slots(records: impl Iterator<Item = usize>) -> Vec<Event> {
    records.flat_map(|i| sample_derived(i).to_events().events().to_vec()).collect()
}

#[test]
fn live_never_waits_for_a_stalled_lane_and_storage_gets_everything() {
    const EVENTS: u64 = 100_000;
    let Rig { source, derived, analysis, watch, counters, batching, storage, thread } =
        rig(SHAPE, WaitStrategy::Adaptive);
    drop(derived);
    produce(source, EVENTS, 32);
    let Outcome { stored, link, account } = outcome((thread, storage), &watch, &counters, &batching);
    assert_eq!(outside(&stored), (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!((link.items, link.backpressure_items, link.overruns), (2, 1, 1), "the link was filled");
    assert_eq!(link.events + link.skipped_events, EVENTS, "what was not given is counted");
    assert_eq!((link.waits, link.blocked_ns), (0, 0), "nobody waited for it");
    let refused: Vec<_> = watch.by_instrument();
    assert_eq!(refused, [(InstrumentId(1), link.backpressure_events)]);
    assert_eq!((account.accepted, account.replayed), (EVENTS, 0));
    assert_eq!(analysis.waiting(), 2, "never taken");
}

#[test]
fn a_lane_that_keeps_blocks_does_not_take_the_last_one_from_storage() {
    const EVENTS: u64 = 60_000;
    let Rig { source, derived, mut analysis, watch, counters, batching, storage, thread } =
        rig(SHAPE, WaitStrategy::Yield);
    drop(derived);
    // More than the pool was told: each block is kept for ever, as by a call that never comes back.
    let is_over = Arc::new(AtomicBool::new(false));
    let over = is_over.clone();
    let keeping = std::thread::spawn(move || {
        let mut kept = Vec::new();
        while !over.load(Ordering::Acquire) {
            kept.extend(analysis.take());
            analysis.signal_ready();
            std::thread::yield_now();
        }
        kept.len()
    });
    produce(source, EVENTS, 32);
    let Outcome { stored, link, .. } = outcome((thread, storage), &watch, &counters, &batching);
    is_over.store(true, Ordering::Release);
    assert!(keeping.join().unwrap() >= 4, "more than a link of 2 holds");
    assert_eq!(outside(&stored), (1..=EVENTS).collect::<Vec<_>>());
    assert_eq!(link.events + link.skipped_events, EVENTS);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Live: what the lane is not given is told with its next block, exactly and in its place.
    #[test]
    fn what_was_skipped_is_told_in_its_place(
        link in 1usize..4,
        burst in 1u64..64,
        pauses in prop::collection::vec(0u64..400, 1..8),
        wait in prop_oneof![Just(WaitStrategy::Adaptive), Just(WaitStrategy::Park), Just(WaitStrategy::Yield)],
    ) {
        const EVENTS: u64 = 3_000;
        let shape = Shape { link, ..SHAPE };
        let Rig { source, derived, analysis, watch, counters, batching, storage, thread } = rig(shape, wait);
        drop(derived);
        let mut pauses = pauses.into_iter().cycle();
        let slow = std::thread::spawn(move || {
            analyse(analysis, |_| std::thread::sleep(std::time::Duration::from_micros(pauses.next().unwrap_or(0))))
        });
        produce(source, EVENTS, burst);
        let Outcome { stored, link, .. } = outcome((thread, storage), &watch, &counters, &batching);
        prop_assert_eq!(outside(&stored), (1..=EVENTS).collect::<Vec<_>>());
        let (mut next, mut told) = (1, 0);
        for (skipped, first, numbers) in slow.join().unwrap() {
            prop_assert_eq!(first, next + skipped, "the hole lies where it is told");
            prop_assert_eq!(numbers[0], first);
            (next, told) = (first + numbers.len() as u64, told + skipped);
        }
        prop_assert_eq!(next + link.skipped_events - told, EVENTS + 1, "what is untold is the end");
    }

    /// Where the lane is waited for it is given everything; its records come back whole and in order although their rings hold
    /// hardly one, and so nobody can wait for ever.
    #[test]
    fn where_it_is_waited_for_nothing_is_skipped_and_nothing_locks(
        mode in prop_oneof![Just(LinkMode::Clock), Just(LinkMode::Data)],
        link in 1usize..4,
        ring in 64usize..200,
        derived_ring in 3usize..9,
        each in 1u64..40,
        is_replay: bool,
        wait in prop_oneof![Just(WaitStrategy::Adaptive), Just(WaitStrategy::Park), Just(WaitStrategy::Spin)],
    ) {
        const EVENTS: u64 = 1_500;
        let shape = Shape { mode, link, ring, derived_ring, derived: 2, is_replay };
        let Rig { source, derived: outlets, analysis, watch, counters, batching, storage, thread } = rig(shape, wait);
        let [mut bars, mut signals]: [Outlet; 2] = outlets.try_into().ok().unwrap();
        // Two analysis threads, of which the second gets its work from the first.
        let (hand_on, work) = std::sync::mpsc::sync_channel::<usize>(1);
        let engine = std::thread::spawn(move || {
            work.iter().for_each(|i| signals.publish_record(sample_derived(i).to_events().events()).unwrap());
        });
        let processor = std::thread::spawn(move || {
            analyse(analysis, |block| {
                for event in block.events().iter().filter(|event| number(event).unwrap().is_multiple_of(each)) {
                    let i = 2 * usize::try_from(number(event).unwrap()).unwrap();
                    bars.publish_record(sample_derived(i).to_events().events()).unwrap();
                    hand_on.send(i + 1).unwrap();
                }
            })
        });
        produce(source, EVENTS, 16);
        let Outcome { stored, link, account } = outcome((thread, storage), &watch, &counters, &batching);
        engine.join().unwrap();
        let given = processor.join().unwrap();
        let numbers: Vec<u64> = given.iter().flat_map(|given| given.2.clone()).collect();
        prop_assert_eq!(numbers, (1..=EVENTS).collect::<Vec<_>>(), "everything, in order");
        prop_assert!(given.iter().all(|given| given.0 == 0));
        prop_assert_eq!((link.events, link.skipped_items), (EVENTS, 0));
        if mode == LinkMode::Data {
            prop_assert_eq!((link.backpressure_items, link.overruns), (0, 0));
        }
        // Storage: the sources' events unless they are stored already, and every record whole.
        let recorded = if is_replay { 0 } else { EVENTS };
        prop_assert_eq!(outside(&stored), (1..=recorded).collect::<Vec<_>>());
        let stored_slots = derived(&stored).into_iter().flat_map(|record| record.to_events().events().to_vec());
        let (first, second): (Vec<Event>, Vec<Event>) = {
            let mut made: [Vec<Event>; 2] = Default::default();
            for record in derived(&stored) {
                let is_second = record_number(&record).is_multiple_of(2);
                made[usize::from(is_second)].extend(record.to_events().events());
            }
            let [first, second] = made;
            (first, second)
        };
        prop_assert_eq!(stored_slots.count() as u64 + recorded, stored.len() as u64);
        let worked = || (each..=EVENTS).step_by(usize::try_from(each).unwrap()).map(|n| 2 * usize::try_from(n).unwrap());
        prop_assert_eq!(first, slots(worked()));
        prop_assert_eq!(second, slots(worked().map(|i| i + 1)));
        prop_assert_eq!((account.accepted, account.replayed), (stored.len() as u64, EVENTS - recorded));
        // What was made of an event stands behind it.
        if !is_replay {
            let at = |wanted: u64| stored.iter().position(|(_, event)| number(event) == Some(wanted)).unwrap();
            let found = records(stored.iter().map(|(seq, event)| (Seq(*seq), event))).map(Result::unwrap);
            for record in found {
                let cause = (record_number(&record.record) - 1) / 2;
                prop_assert!(record.first.0 > at(cause) as u64 + 1);
            }
        }
    }
}

/// The number that [`sample_derived`] gave a record: one more than its place.
fn record_number(record: &Derived) -> u64 {
    match record {
        Derived::Bar(bar) => bar.number,
        Derived::Signal(signal) => signal.number,
        Derived::Fill(fill) => fill.number,
        Derived::Equity(equity) => equity.number,
    }
}
