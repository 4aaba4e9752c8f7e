//! The way of an event between threads: outlet, ring, batching thread, block, link, lane.
//!
//! Three threads run: this one publishes, the batching thread drains, a lane thread counts. A machine with two cores
//! shares one of them, so only figures from the same machine compare.

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
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
};
use std::sync::Arc;
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

/// The default of `ring.capacity`.
const RING_SLOTS: usize = 10_000;
/// Blocks the link holds.
const LINK_BLOCKS: usize = 8;
/// Events made beforehand and published again and again, so that packing them is not measured: 64 KiB stay in cache.
const CYCLE_EVENTS: u64 = 1024;
/// Events of one measured run: with fewer, the first nap of the batching thread and the last wake-up of the lane would
/// be measured instead (together up to 0.2 ms).
const RUN_EVENTS: u64 = 1 << 20;
/// Runs for one figure.
const SAMPLES: usize = 20;
/// Longest sleep of the lane; an item wakes it earlier.
const LANE_SLEEP_NANOS: u64 = 10_000_000;

/// One source, the batching thread and one lane, wired as a run wires them.
struct Rig {
    outlet: Outlet,
    batching: JoinHandle<()>,
    lane: JoinHandle<(u64, Instant)>,
}

/// Starts the threads; the lane notes when it has all events of the run.
fn start() -> Rig {
    let (producer, consumer) = rtrb::RingBuffer::new(RING_SLOTS);
    let (sender, receiver) = link(LINK_BLOCKS);
    let wait = WaitStrategy::Adaptive;
    let wake = Arc::new(Wake::new(wait.parks()));
    let clock = Arc::new(SystemClock::new());
    let stop = Stop::new();
    let counters = Arc::new(CachePadded::new(SourceCounters::new(&["rejected"], &["rejected"])));
    let fan_in = FanIn::new(FanInParts {
        stream: StreamId(1),
        epoch: Epoch(1),
        inputs: vec![Input { source: SourceId(0), ring: consumer, counters: counters.clone() }],
        derived: Vec::new(),
        lanes: vec![sender],
        analysis: None,
        is_replay: false,
        served: Vec::new(),
        pool: BlockPool::new(LINK_BLOCKS + 4),
        wait,
        wake: wake.clone(),
        counters: Arc::new(CachePadded::new(BatchingCounters::default())),
        clock: clock.clone(),
        stop: stop.clone(),
    });
    let policy = FullPolicy::Block;
    let outlet = Outlet::new(OutletParts { ring: producer, wake, counters, policy, stop, clock, budget: None });
    Rig { outlet, batching: spawn(move || fan_in.run()), lane: spawn(move || drain(receiver)) }
}

/// Takes every block until the batching thread is gone, checks order and numbering, and tells how many events came
/// and when the last expected one was there.
fn drain(mut lane: LinkReceiver<Arc<Block>>) -> (u64, Instant) {
    lane.register();
    let mut arrived = 0;
    let mut complete = Instant::now();
    while !lane.is_ended() {
        let Some(block) = lane.take() else {
            lane.sleep(LANE_SLEEP_NANOS);
            continue;
        };
        assert_eq!(block.first_seq().0, arrived + 1, "sequence numbers have no holes");
        arrived += block.events().len() as u64;
        assert_eq!(last_id(&block), Some(u128::from(id_of(arrived))), "events come in the order they were published");
        if arrived == RUN_EVENTS {
            complete = Instant::now();
        }
        lane.signal_ready();
    }
    (arrived, complete)
}

/// Trade id of the last event of a block.
fn last_id(block: &Block) -> Option<u128> {
    match block.events().last()?.body() {
        EventBody::Trade(Trade { id: TradeId::Number(id), .. }) => Some(id),
        _ => None,
    }
}

/// Trade id of the event with the given number, both from 1.
fn id_of(number: u64) -> u64 {
    (number - 1) % CYCLE_EVENTS + 1
}

/// A trade with the given id.
fn trade(id: u64) -> Event {
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    let id = TradeId::Number(u128::from(id));
    Event::new(head, EventBody::Trade(Trade { price: Decimal::ZERO, size: Decimal::ZERO, side: Some(Side::Buy), id }))
}

/// Time of one run, from the first publish until the lane has every event.
fn publish_run(burst_events: usize) -> Duration {
    let cycle: Vec<Event> = (1..=CYCLE_EVENTS).map(trade).collect();
    let mut burst = Burst::with_capacity(64);
    let Rig { mut outlet, batching, lane } = start();
    let start = Instant::now();
    for _ in 0..RUN_EVENTS / CYCLE_EVENTS {
        for events in cycle.chunks_exact(burst_events) {
            for &event in events {
                burst.push(event);
                burst.end_message();
            }
            outlet.publish(&mut burst).expect("nobody asks to stop");
        }
    }
    drop(outlet);
    batching.join().expect("the batching thread does not panic");
    let (arrived, complete) = lane.join().expect("the lane does not panic");
    assert_eq!(arrived, RUN_EVENTS, "every event arrived");
    complete.duration_since(start)
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring/publish");
    group.sampling_mode(SamplingMode::Flat).sample_size(SAMPLES).throughput(Throughput::Elements(RUN_EVENTS));
    // Each divides the cycle, so that no event is left out.
    for burst_events in [1, 8, 64] {
        group.bench_function(BenchmarkId::from_parameter(format!("burst={burst_events}")), |bencher| {
            bencher.iter_custom(|runs| (0..runs).map(|_| publish_run(burst_events)).sum());
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    publish(&mut criterion);
    criterion.final_summary();
}
