//! Signs of life of the pinned threads, and how long events take from hop to hop, by a clock that the test moves.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::counters::{BatchingCounters, Counter, SourceCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::histogram::Histogram;
use feedd_core::link::{LinkReceiver, link};
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Clock, ManualClock, Stop};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, SourceId, Status, StatusCode, StreamId, UnixNanos,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SECOND: u64 = 1_000_000_000;
const MICRO: u64 = 1_000;

struct Rig {
    clock: Arc<ManualClock>,
    counters: Arc<CachePadded<SourceCounters>>,
    batching: Arc<CachePadded<BatchingCounters>>,
    lane: LinkReceiver<Arc<Block>>,
    stop: Stop,
    outlet: Outlet,
    fan_in: FanIn,
}

/// One source with a ring of `ring` events, and a link of two blocks to storage.
fn rig(ring: usize, wait: WaitStrategy) -> Rig {
    let clock = Arc::new(ManualClock::at(UnixNanos(0)));
    clock.advance(SECOND);
    let (producer, consumer) = rtrb::RingBuffer::new(ring);
    let (sender, lane) = link(2);
    let (wake, stop) = (Arc::new(Wake::new(wait.parks())), Stop::new());
    let counters = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
    let outlet = Outlet::new(OutletParts {
        ring: producer,
        wake: wake.clone(),
        counters: counters.clone(),
        policy: FullPolicy::Block,
        stop: stop.clone(),
        clock: clock.clone(),
        budget: None,
    });
    let batching = Arc::new(CachePadded::new(BatchingCounters::default()));
    let fan_in = FanIn::new(FanInParts {
        stream: StreamId(1),
        epoch: Epoch(1),
        inputs: vec![Input { source: SourceId(0), ring: consumer, counters: counters.clone() }],
        derived: Vec::new(),
        lanes: vec![sender],
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(3),
        wait,
        wake,
        counters: batching.clone(),
        clock: clock.clone(),
        stop: stop.clone(),
    });
    Rig { clock, counters, batching, lane, stop, outlet, fan_in }
}

fn event() -> Event {
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: 0 }))
}

fn publish(outlet: &mut Outlet, events: usize) {
    let mut burst = Burst::with_capacity(events);
    for _ in 0..events {
        burst.push(event());
        burst.end_message();
    }
    outlet.publish(&mut burst).unwrap();
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Three times a second passes, and each time a sign of life of that moment comes.
fn beats(what: &str, clock: &ManualClock, beat_at: &Counter) {
    for _ in 0..3 {
        clock.advance(SECOND);
        wait_until(what, || beat_at.get() == clock.mono().0);
    }
}

fn values(histogram: &Histogram) -> (u64, u64, u64) {
    let all = histogram.snapshot();
    (all.count(), all.min(), all.max())
}

#[test]
fn a_source_that_waits_for_room_is_alive() {
    for is_heard in [true, false] {
        let Rig { clock, counters, stop, outlet, fan_in, .. } = rig(4, WaitStrategy::Adaptive);
        let mut outlet = if is_heard { outlet } else { outlet.unheard() };
        let thread = std::thread::spawn(move || {
            let mut burst = Burst::with_capacity(8);
            (0..8).for_each(|_| burst.push_own(event()));
            // It ends by the stop.
            let _ = outlet.publish(&mut burst);
        });
        wait_until("it waits", || counters.blocked_since.get() > 0);
        if is_heard {
            beats("of a source that waits", &clock, &counters.beat_at);
        }
        stop.abort();
        thread.join().unwrap();
        assert!(is_heard || counters.beat_at.get() == 0, "a stage of the analysis gives no sign of life here");
        drop(fan_in);
    }
}

#[test]
fn the_batching_thread_is_alive_however_it_waits() {
    for wait in [WaitStrategy::Adaptive, WaitStrategy::Spin, WaitStrategy::Yield, WaitStrategy::Park] {
        let Rig { clock, batching, mut lane, mut outlet, fan_in, .. } = rig(64, wait);
        let thread = std::thread::spawn(move || fan_in.run());
        beats("in silence", &clock, &batching.beat_at);
        // Two blocks fill the link, the third waits for room in it.
        for blocks in 0..3 {
            publish(&mut outlet, 1);
            wait_until("a block is made", || batching.accepted.get() == blocks + 1);
        }
        wait_until("it waits", || batching.blocked_since.get() > 0);
        beats("of a thread that waits for storage", &clock, &batching.beat_at);
        lane.register();
        let mut events = 0;
        drop(outlet);
        while !lane.is_ended() {
            match lane.take() {
                Some(block) => events += block.events().len(),
                None => lane.sleep(10_000_000),
            }
            lane.signal_ready();
        }
        thread.join().unwrap();
        assert_eq!(events, 3);
    }
}

#[test]
fn the_way_to_the_ring_and_the_time_in_it_are_measured_now_and_then() {
    let Rig { clock, counters, mut lane, mut outlet, fan_in, .. } = rig(64, WaitStrategy::Spin);
    let mut burst = Burst::with_capacity(4);
    let mut receive_and_publish = |outlet: &mut Outlet, nanos: u64| {
        outlet.received(&mut burst);
        clock.advance(nanos);
        publish(outlet, 2);
    };
    receive_and_publish(&mut outlet, 5 * MICRO);
    assert_eq!(values(&counters.to_ring_ns), (1, 5 * MICRO, 5 * MICRO));
    for _ in 0..9 {
        receive_and_publish(&mut outlet, 10 * MICRO);
    }
    assert_eq!(values(&counters.to_ring_ns).0, 1, "not again within 100 us");
    clock.advance(20 * MICRO);
    receive_and_publish(&mut outlet, 7 * MICRO);
    assert_eq!(values(&counters.to_ring_ns), (2, 5 * MICRO, 7 * MICRO));
    drop(outlet);
    // 117 us since the first was published, and it is the one that is measured in the ring.
    clock.advance(1_000 * MICRO);
    fan_in.run();
    assert_eq!(lane.take().unwrap().events().len(), 22);
    assert_eq!(values(&counters.in_ring_ns), (1, 1_117 * MICRO, 1_117 * MICRO));
}

#[test]
fn what_comes_long_after_the_last_burst_is_not_measured_from_it() {
    let Rig { clock, counters, mut outlet, .. } = rig(64, WaitStrategy::Spin);
    let mut burst = Burst::with_capacity(4);
    outlet.received(&mut burst);
    publish(&mut outlet, 1);
    assert_eq!(values(&counters.to_ring_ns), (1, 0, 0));
    // The round that finds nothing, and an event of a timer, ten seconds later.
    publish(&mut outlet, 0);
    clock.advance(10 * SECOND);
    outlet.beat();
    outlet.publish_own(event()).unwrap();
    assert_eq!(values(&counters.to_ring_ns).0, 1);
    assert_eq!(counters.beat_at.get(), 11 * SECOND);
}

#[test]
fn a_source_that_never_looks_at_the_clock_is_measured_every_4096_events() {
    let Rig { clock, counters, mut lane, mut outlet, fan_in, .. } = rig(16_384, WaitStrategy::Spin);
    for events in 1..=8_191_u64 {
        publish(&mut outlet, 1);
        assert_eq!(counters.beat_at.get() > 0, events >= 4_096, "event {events}");
    }
    assert_eq!(values(&counters.to_ring_ns).0, 0, "nobody knows when they were received");
    clock.advance(3 * MICRO);
    drop(outlet);
    let reader = std::thread::spawn(move || {
        let mut events = 0;
        while !lane.is_ended() {
            events += lane.take().map_or(0, |block| block.events().len());
            lane.signal_ready();
            std::thread::yield_now();
        }
        events
    });
    fan_in.run();
    assert_eq!(reader.join().unwrap(), 8_191);
    assert_eq!(values(&counters.in_ring_ns), (1, 3 * MICRO, 3 * MICRO));
}
