//! What goes in comes out once, in each producer's order, with dense sequence numbers, whatever the timing.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::accounting::Account;
use feedd_core::counters::{BatchingCounters, SourceCounters, StorageCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::{LinkReceiver, link};
use feedd_core::outlet::{Budget, Burst, Ended, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Stop, SystemClock};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, GapReason, InstrumentId, Seq, SourceId, Status, StatusCode, StreamId,
    UnixNanos,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::thread::JoinHandle;

type Counters = Arc<CachePadded<SourceCounters>>;

/// Event `number` of producer `source`.
fn event(source: u16, number: u64) -> Event {
    let head = EventHead {
        instrument: InstrumentId(u32::from(source) + 1),
        venue_ts: None,
        recv_ts: Some(UnixNanos(number.cast_signed())),
        flags: Flags::NONE,
    };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

fn detail(event: &Event) -> u64 {
    match event.body() {
        EventBody::Status(status) => status.detail,
        _ => u64::MAX,
    }
}

struct Rig {
    outlets: Vec<Outlet>,
    counters: Vec<Counters>,
    batching: Arc<CachePadded<BatchingCounters>>,
    lane: LinkReceiver<Arc<Block>>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    fan_in: Option<FanIn>,
}

fn rig(producers: u16, ring: usize, policy: FullPolicy, wait: WaitStrategy, budget: Option<&Budget>) -> Rig {
    let clock = Arc::new(SystemClock::new());
    let stop = Stop::new();
    let wake = Arc::new(Wake::new(wait.parks()));
    let (sender, lane) = link(4);
    let (mut outlets, mut inputs, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for source in 0..producers {
        let (producer, consumer) = rtrb::RingBuffer::new(ring);
        let counters: Counters = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        outlets.push(Outlet::new(OutletParts {
            ring: producer,
            wake: wake.clone(),
            counters: counters.clone(),
            policy,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: budget.cloned(),
        }));
        inputs.push(Input { source: SourceId(source), ring: consumer, counters: counters.clone() });
        all.push(counters);
    }
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let fan_in = FanIn::new(FanInParts {
        stream: StreamId(1),
        epoch: Epoch(3),
        inputs,
        derived: Vec::new(),
        lanes: vec![sender],
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(6),
        wait,
        wake,
        counters: batching.clone(),
        clock,
        stop: stop.clone(),
    });
    Rig { outlets, counters: all, batching, lane, stop, thread: None, fan_in: Some(fan_in) }
}

impl Rig {
    fn start(&mut self) {
        let fan_in = self.fan_in.take().unwrap();
        self.thread = Some(std::thread::spawn(move || fan_in.run()));
    }

    /// Everything until the batching thread ends: (seq, source, number).
    fn collect(&mut self) -> Vec<(u64, u16, u64)> {
        self.lane.register();
        let mut out = Vec::new();
        while !self.lane.is_ended() {
            let Some(block) = self.lane.take() else {
                self.lane.sleep(10_000_000);
                continue;
            };
            assert_eq!((block.stream(), block.epoch()), (StreamId(1), Epoch(3)));
            let sources = block.runs().iter().flat_map(|run| std::iter::repeat_n(run.source.0, run.events as usize));
            for ((i, event), source) in block.events().iter().enumerate().zip(sources) {
                assert_eq!(event.instrument().0, u32::from(source) + 1, "runs name the right source");
                out.push((block.first_seq().0 + i as u64, source, detail(event)));
            }
            self.lane.signal_ready();
        }
        self.thread.take().unwrap().join().unwrap();
        out
    }
}

/// Publishes `messages` (sizes) in bursts of up to `burst_messages`.
fn produce(mut outlet: Outlet, source: u16, messages: Vec<usize>, burst_messages: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut burst = Burst::with_capacity(64);
        let mut number = 0;
        for chunk in messages.chunks(burst_messages) {
            for &size in chunk {
                for _ in 0..size {
                    number += 1;
                    outlet.counters().events_decoded.add(1);
                    burst.push(event(source, number));
                }
                burst.end_message();
            }
            if outlet.publish(&mut burst).is_err() {
                return;
            }
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// No event lost, doubled or out of order, for any shape of messages, rings and wait strategies.
    #[test]
    fn order_per_producer_is_kept(
        shapes in prop::collection::vec(prop::collection::vec(0usize..90, 0..60), 1..4),
        ring in 64usize..300,
        burst in 1usize..8,
        wait in prop_oneof![Just(WaitStrategy::Adaptive), Just(WaitStrategy::Park), Just(WaitStrategy::Yield)],
    ) {
        let producers = u16::try_from(shapes.len()).unwrap();
        let mut rig = rig(producers, ring, FullPolicy::Block, wait, None);
        rig.start();
        let totals: Vec<u64> = shapes.iter().map(|s| s.iter().sum::<usize>() as u64).collect();
        let threads: Vec<_> = std::mem::take(&mut rig.outlets).into_iter().zip(shapes)
            .enumerate()
            .map(|(i, (outlet, shape))| produce(outlet, u16::try_from(i).unwrap(), shape, burst))
            .collect();
        let got = rig.collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let seqs: Vec<u64> = got.iter().map(|g| g.0).collect();
        prop_assert_eq!(seqs, (1..=got.len() as u64).collect::<Vec<_>>(), "dense from 1");
        for (source, &total) in totals.iter().enumerate() {
            let numbers: Vec<u64> = got.iter().filter(|g| usize::from(g.1) == source).map(|g| g.2).collect();
            prop_assert_eq!(numbers, (1..=total).collect::<Vec<_>>(), "order of source {}", source);
        }
        let storage = StorageCounters::default();
        storage.received_seq.set(got.len() as u64);
        storage.stored_seq.set(got.len() as u64);
        let account = Account::read(
            rig.counters.iter().map(|c| &***c),
            &rig.batching,
            None,
            [(&"test".into(), &storage)].into_iter(),
        );
        prop_assert_eq!(account.unaccounted(), 0, "{}", account);
    }
}

#[test]
fn a_hot_source_cannot_starve_another() {
    let mut rig = rig(2, 65_536, FullPolicy::Block, WaitStrategy::Yield, None);
    let mut outlets = std::mem::take(&mut rig.outlets).into_iter();
    for (source, events) in [(0u16, 40_000u64), (1, 1)] {
        let mut outlet = outlets.next().unwrap();
        let mut burst = Burst::with_capacity(64);
        for number in 1..=events {
            outlet.counters().events_decoded.add(1);
            burst.push(event(source, number));
            burst.end_message();
        }
        outlet.publish(&mut burst).unwrap();
    }
    rig.start();
    let got = rig.collect();
    assert_eq!(got.len(), 40_001);
    let place = got.iter().position(|g| g.1 == 1).unwrap();
    assert!(place <= 1024, "the quiet source had its turn after one turn of the hot one, not at {place}");
}

#[test]
fn policy_drop_drops_whole_messages_counts_and_marks_them() {
    let mut rig = rig(1, 64, FullPolicy::Drop, WaitStrategy::Yield, None);
    let mut outlet = rig.outlets.pop().unwrap();
    let mut burst = Burst::with_capacity(64);
    // Messages of 10 into a ring of 64 that nobody reads yet: six fit, four do not.
    for number in 1..=100 {
        outlet.counters().events_decoded.add(1);
        burst.push(event(0, number));
        if number % 10 == 0 {
            burst.end_message();
        }
    }
    outlet.publish(&mut burst).unwrap();
    let counters = outlet.counters().clone();
    assert_eq!(counters.events_dropped.total(), 40);
    assert_eq!(counters.events_dropped.iter().next(), Some(("ring_full", 40)));
    rig.start();
    let end = std::thread::spawn(move || drop(outlet));
    rig.lane.register();
    let mut events = Vec::new();
    while !rig.lane.is_ended() {
        match rig.lane.take() {
            Some(block) => events.extend_from_slice(block.events()),
            None => rig.lane.sleep(10_000_000),
        }
    }
    end.join().unwrap();
    rig.thread.take().unwrap().join().unwrap();
    let (gap, kept) = events.split_last().unwrap();
    assert_eq!(kept.iter().map(detail).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    let EventBody::Gap(gap) = gap.body() else { panic!("the hole is marked") };
    assert_eq!((gap.reason, gap.events), (GapReason::RingFull, Some(40)));
    assert_eq!((gap.from_ts, gap.to_ts), (Some(UnixNanos(61)), Some(UnixNanos(91))));
    assert_eq!((counters.events_own.get(), counters.events_accepted.get()), (1, 61));
}

#[test]
fn a_blocked_producer_names_the_event_that_waits_and_counts_what_the_deadline_costs() {
    let mut rig = rig(1, 64, FullPolicy::Block, WaitStrategy::Yield, None);
    let mut outlet = rig.outlets.pop().unwrap();
    let counters = outlet.counters().clone();
    let stop = rig.stop.clone();
    let thread = std::thread::spawn(move || {
        let mut burst = Burst::with_capacity(128);
        for number in 1..=100 {
            outlet.counters().events_decoded.add(1);
            burst.push(event(0, number));
            burst.end_message();
        }
        outlet.publish(&mut burst)
    });
    // The ring holds four pieces of 16; the rest waits until waiting is over.
    while counters.blocked_since.get() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(counters.blocked_instrument.get(), 1);
    stop.request();
    stop.abort();
    assert_eq!(thread.join().unwrap(), Err(Ended::Stopped));
    assert_eq!((counters.events_published.get(), counters.events_dropped.total()), (64, 36));
    assert!(counters.blocked_times.get() >= 1 && counters.blocked_ns.get() > 0);
    assert_eq!(counters.blocked_since.get(), 0);
}

#[test]
fn a_budget_ends_a_source_after_the_message_that_reaches_it() {
    let budget = Budget::new(25);
    let mut rig = rig(1, 128, FullPolicy::Block, WaitStrategy::Yield, Some(&budget));
    let mut outlet = rig.outlets.pop().unwrap();
    let mut burst = Burst::with_capacity(64);
    let mut results = Vec::new();
    for number in 1..=3 {
        for i in 0..10 {
            burst.push(event(0, number * 10 + i));
        }
        burst.end_message();
        results.push(outlet.publish(&mut burst));
    }
    assert_eq!(results, [Ok(()), Ok(()), Err(Ended::Budget)]);
    assert_eq!(outlet.counters().events_published.get(), 30);
}

#[test]
fn a_lane_that_never_takes_does_not_outlive_the_deadline() {
    let mut rig = rig(1, 65_536, FullPolicy::Block, WaitStrategy::Yield, None);
    let mut outlet = rig.outlets.pop().unwrap();
    let mut burst = Burst::with_capacity(64);
    for number in 1..=60_000 {
        burst.push(event(0, number));
        burst.end_message();
    }
    outlet.publish(&mut burst).unwrap();
    rig.start();
    while rig.batching.blocked_since.get() == 0 {
        std::thread::yield_now();
    }
    rig.stop.request();
    rig.stop.abort();
    rig.thread.take().unwrap().join().unwrap();
    assert!(Seq(rig.batching.accepted.get()) < Seq(60_000), "the rest stayed in the ring, counted there");
}
