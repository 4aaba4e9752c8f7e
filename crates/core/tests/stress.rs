//! P10: millions of messages from real threads through rings, wake-ups, the batching thread and links, each looked at
//! whole. `scripts/soak` runs the same under ThreadSanitizer.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::{LinkReceiver, link};
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Stop, SystemClock};
use feedd_model::{
    Decimal, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Side, SourceId, StreamId, Trade, TradeId,
    UnixNanos,
};
use feedd_testkit::promise::{Report, seed};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;
use std::time::Duration;

const STREAM: StreamId = StreamId(5);
const EPOCH: Epoch = Epoch(2);
/// Blocks of a link, and of the pool: as many as two lanes can hold, and two to fill.
const LINK_BLOCKS: usize = 4;
const POOL_BLOCKS: usize = 2 * (LINK_BLOCKS + 1) + 2;
/// Longest sleep of a lane, as in operation.
const LOOK_NANOS: u64 = 50_000_000;
/// A sleep that only a wake-up ends.
const FOR_EVER_NANOS: u64 = 24 * 3_600_000_000_000;
/// How long a lane that was woken may take, on a machine that is very busy: it finds one that sleeps for ever.
const HANGS: Duration = Duration::from_secs(60);

/// A number for every run of the tests, for a build machine, and for a release.
fn size(day: u64, ci: u64, full: u64) -> u64 {
    match std::env::var("FEEDD_SOAK").as_deref() {
        Ok("full") => full,
        Ok("ci") => ci,
        _ => day,
    }
}

/// SplitMix64's output function: all bits of an event follow from its number.
const fn mix(input: u64) -> u64 {
    let z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Event `number` of a source: no two have the same bytes, and a torn one has the bytes of none.
fn event(source: u16, number: u64) -> Event {
    let bits = mix(number << 16 | u64::from(source));
    let head = EventHead {
        instrument: InstrumentId(u32::from(source) + 1),
        venue_ts: Some(UnixNanos((bits >> 1).cast_signed())),
        recv_ts: Some(UnixNanos(number.cast_signed())),
        flags: Flags::NONE,
    };
    let body = EventBody::Trade(Trade {
        price: Decimal::new((bits >> 3).cast_signed(), 8).unwrap(),
        size: Decimal::new((bits >> 5).cast_signed(), 3).unwrap(),
        side: Some(if bits.is_multiple_of(2) { Side::Buy } else { Side::Sell }),
        id: TradeId::Number(u128::from(bits) << 64 | u128::from(number)),
    });
    Event::new(head, body)
}

/// The number of an event that is whole, or `None` for one of the recorder's own.
fn number_of(source: u16, event: &Event) -> Option<u64> {
    let EventBody::Trade(_) = event.body() else { return None };
    let number = event.recv_ts().unwrap().0.cast_unsigned();
    assert_eq!(*event, self::event(source, number), "source {source}: an event is whole");
    Some(number)
}

struct Rig {
    outlets: Vec<Outlet>,
    counters: Vec<Arc<CachePadded<SourceCounters>>>,
    lanes: Vec<LinkReceiver<Arc<Block>>>,
    fan_in: FanIn,
}

fn rig(sources: u16, lanes: usize, ring: usize, policy: FullPolicy, wait: WaitStrategy) -> Rig {
    let (clock, stop, wake) = (Arc::new(SystemClock::new()), Stop::new(), Arc::new(Wake::new(wait.parks())));
    let (mut outlets, mut inputs, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for source in 0..sources {
        let (producer, consumer) = rtrb::RingBuffer::new(ring);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        outlets.push(Outlet::new(OutletParts {
            ring: producer,
            wake: wake.clone(),
            counters: counters.clone(),
            policy,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        }));
        inputs.push(Input { source: SourceId(source), ring: consumer, counters: counters.clone() });
        all.push(counters);
    }
    let (senders, lanes) = (0..lanes).map(|_| link(LINK_BLOCKS)).unzip();
    let fan_in = FanIn::new(FanInParts {
        stream: STREAM,
        epoch: EPOCH,
        inputs,
        derived: Vec::new(),
        lanes: senders,
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(POOL_BLOCKS),
        wait,
        wake,
        counters: Arc::new(CachePadded::new(BatchingCounters::default())),
        clock,
        stop,
    });
    Rig { outlets, counters: all, lanes, fan_in }
}

/// Publishes `events` events, numbered from 1, in messages and bursts of random sizes. With `pauses` it now and then waits
/// for the ring to be empty, so that there are many short floods and not a single long one.
fn produce(mut outlet: Outlet, source: u16, events: u64, seed: u64, pauses: bool) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let (mut burst, mut number, mut bits) = (Burst::with_capacity(64), 0, mix(seed ^ u64::from(source)));
        while number < events {
            bits = mix(bits);
            // Up to four messages of up to eight events: a ring of 64 takes a message of 16 in one piece.
            for message in 0..=bits % 4 {
                let size = 1 + (bits >> (8 * message)) % 8;
                for _ in 0..size.min(events - number) {
                    number += 1;
                    outlet.counters().events_decoded.add(1);
                    burst.push(event(source, number));
                }
                burst.end_message();
            }
            outlet.publish(&mut burst).unwrap();
            let counters = outlet.counters();
            while pauses && bits.is_multiple_of(64) && counters.events_accepted.get() < counters.events_published.get()
            {
                std::thread::yield_now();
            }
        }
    })
}

/// Takes every block of a lane and gives each event, with its source, to `look`; ends with the last sequence number.
fn drain(mut lane: LinkReceiver<Arc<Block>>, mut look: impl FnMut(u16, &Event)) -> u64 {
    lane.register();
    let mut last = 0;
    while !lane.is_ended() {
        let Some(block) = lane.take() else {
            lane.signal_ready();
            // The end of a link wakes nobody: it is seen after the bounded sleep.
            lane.sleep(LOOK_NANOS);
            continue;
        };
        assert_eq!((block.stream(), block.epoch(), block.first_seq().0), (STREAM, EPOCH, last + 1), "dense");
        let sources = block.runs().iter().flat_map(|run| std::iter::repeat_n(run.source.0, run.events as usize));
        assert_eq!(sources.clone().count(), block.events().len(), "every event has a source");
        for (source, event) in sources.zip(block.events()) {
            look(source, event);
        }
        last = block.last_seq().0;
    }
    last
}

#[test]
fn what_goes_in_comes_out_of_every_lane_once_in_order_and_whole() {
    const SOURCES: u16 = 3;
    let (seed, messages) = (seed(), size(1_000_000, 10_000_000, 100_000_000));
    let shapes = [
        (64, WaitStrategy::Park),
        (64, WaitStrategy::Adaptive),
        (1_024, WaitStrategy::Yield),
        (10_000, WaitStrategy::Adaptive),
    ];
    let events = messages / (shapes.len() as u64 * u64::from(SOURCES));
    let mut sent = 0;
    for (ring, wait) in shapes {
        let Rig { outlets, counters, lanes, fan_in } = rig(SOURCES, 2, ring, FullPolicy::Block, wait);
        let producers: Vec<_> =
            outlets.into_iter().zip(0..).map(|(outlet, source)| produce(outlet, source, events, seed, false)).collect();
        let lanes: Vec<_> = lanes.into_iter().map(|lane| std::thread::spawn(move || verify_all(lane))).collect();
        fan_in.run();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        for lane in lanes {
            let (last, numbers) = lane.join().unwrap();
            assert_eq!(numbers, [events; SOURCES as usize], "ring {ring}, {wait:?}: every source to its end");
            assert_eq!(last, events * u64::from(SOURCES), "ring {ring}, {wait:?}: nothing beside them");
        }
        assert!(counters.iter().all(|c| c.events_dropped.total() == 0 && c.events_accepted.get() == events));
        sent += last_of(&counters);
    }
    let note = format!("{sent} messages of 64 bytes from 3 threads through rings of 64 to 10,000, to two lanes each");
    Report::new("P10").runs(shapes.len() as u64).fault_kinds("none: real threads").seed(seed).note(&note).finish();
}

fn last_of(counters: &[Arc<CachePadded<SourceCounters>>]) -> u64 {
    counters.iter().map(|counters| counters.events_accepted.get()).sum()
}

/// The last sequence, and the last number of each source: each source's numbers rise by one.
fn verify_all<const SOURCES: usize>(lane: LinkReceiver<Arc<Block>>) -> (u64, [u64; SOURCES]) {
    let mut numbers = [0; SOURCES];
    let last = drain(lane, |source, event| {
        let number = &mut numbers[usize::from(source)];
        assert_eq!(number_of(source, event), Some(*number + 1), "source {source}: in order, once");
        *number += 1;
    });
    (last, numbers)
}

#[test]
fn policy_drop_counts_exactly_what_is_missing_and_marks_each_hole_in_its_place() {
    const SOURCES: u16 = 2;
    let (seed, events) = (seed(), size(250_000, 2_500_000, 25_000_000) / u64::from(SOURCES));
    let Rig { outlets, counters, mut lanes, fan_in } = rig(SOURCES, 1, 64, FullPolicy::Drop, WaitStrategy::Park);
    let producers: Vec<_> =
        outlets.into_iter().zip(0..).map(|(outlet, source)| produce(outlet, source, events, seed, true)).collect();
    let lane = lanes.remove(0);
    let lane = std::thread::spawn(move || {
        let (mut numbers, mut missing, mut holes) = ([0; SOURCES as usize], [0; SOURCES as usize], 0);
        drain(lane, |source, event| {
            let (number, missing) = (&mut numbers[usize::from(source)], &mut missing[usize::from(source)]);
            match (number_of(source, event), event.body()) {
                (Some(found), _) => {
                    assert_eq!(found, *number + 1, "source {source}: nothing is missing but in marked holes");
                    *number = found;
                }
                (None, EventBody::Gap(gap)) => {
                    let dropped = gap.events.unwrap();
                    // The hole's times are the receive times of its first and last message's first events.
                    assert_eq!(gap.from_ts, Some(UnixNanos((*number + 1).cast_signed())), "source {source}");
                    (*number, *missing, holes) = (*number + dropped, *missing + dropped, holes + 1);
                }
                (None, other) => panic!("source {source}: {other:?}"),
            }
        });
        (numbers, missing, holes)
    });
    fan_in.run();
    producers.into_iter().for_each(|producer| producer.join().unwrap());
    let (numbers, missing, holes) = lane.join().unwrap();
    assert_eq!(numbers, [events; SOURCES as usize], "kept and marked events are all there were");
    for (counters, missing) in counters.iter().zip(missing) {
        assert_eq!(counters.events_dropped.total(), missing, "counted exactly");
        assert_eq!(counters.events_dropped.get(feedd_core::counters::DROP_RING_FULL), missing, "by its reason");
        assert_eq!(counters.events_accepted.get(), events - missing + counters.events_own.get());
    }
    let dropped: u64 = missing.iter().sum();
    let note = format!("policy drop: {} messages, {dropped} dropped in {holes} marked holes", 2 * events);
    println!("{note}");
    Report::new("P10")
        .runs(1)
        .faults(holes)
        .fault_kinds("full rings under policy drop")
        .demand(dropped > 0, "no ring was ever full")
        .seed(seed)
        .note(&note)
        .finish();
}

/// One event after a silence, and none behind it: a lane that sleeps until it is woken must get it, every time.
#[test]
fn a_single_event_wakes_a_consumer_that_sleeps_until_it_is_woken() {
    let trials = size(20_000, 200_000, 2_000_000);
    // Ring to consumer by the wake flag, consumer to the next one by a link, and a word back: the next trial begins with
    // both asleep, or about to be.
    let wake = Arc::new(Wake::new(true));
    let (producer, mut ring) = rtrb::RingBuffer::<Event>::new(64);
    let mut outlet = Outlet::new(OutletParts {
        ring: producer,
        wake: wake.clone(),
        counters: Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"]))),
        policy: FullPolicy::Block,
        stop: Stop::new(),
        clock: Arc::new(SystemClock::new()),
        budget: None,
    });
    let (mut sender, mut receiver) = link::<Event>(LINK_BLOCKS);
    // An event behind the last trial ends them: the end of a ring or link wakes nobody for sure.
    let first = std::thread::spawn(move || {
        wake.register();
        loop {
            let Ok(event) = ring.pop() else {
                wake.sleep(FOR_EVER_NANOS, || !ring.is_empty());
                continue;
            };
            sender.send(event, 1).unwrap();
            if number_of(0, &event) > Some(trials) {
                return;
            }
        }
    });
    let (word, words) = sync_channel(1);
    let second = std::thread::spawn(move || {
        receiver.register();
        loop {
            let Some(event) = receiver.take() else {
                receiver.sleep(FOR_EVER_NANOS);
                continue;
            };
            receiver.signal_ready();
            let number = number_of(0, &event).unwrap();
            word.send(number).unwrap();
            if number > trials {
                return;
            }
        }
    });
    let (seed, mut burst) = (seed(), Burst::with_capacity(1));
    for trial in 1..=trials + 1 {
        // The moment moves over the consumers' way to sleep.
        for _ in 0..mix(seed ^ trial) % 2_000 {
            std::hint::spin_loop();
        }
        burst.push(event(0, trial));
        burst.end_message();
        outlet.publish(&mut burst).unwrap();
        let arrived = words.recv_timeout(HANGS);
        assert_eq!(arrived, Ok(trial), "trial {trial}: a wake-up was lost");
    }
    first.join().unwrap();
    second.join().unwrap();
    let note = format!("{trials} single events, each to two sleepers in a row");
    Report::new("P10").runs(trials).fault_kinds("none: silences").seed(seed).note(&note).finish();
}
