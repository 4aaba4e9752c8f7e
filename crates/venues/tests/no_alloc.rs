//! The hot path allocates nothing: frame, decoder, validation, burst, ring, batching thread, block, consumer.
//!
//! One test alone in its binary: the allocator counts for the whole process.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use crossbeam_utils::CachePadded;
use feedd_core::counters::{BatchingCounters, SourceCounters};
use feedd_core::dead_letters::DeadLetters;
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::{LinkReceiver, link};
use feedd_core::outlet::OutletParts;
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Block, BlockPool, Epoch, FullPolicy, Instruments, Outlet, SourceId, Stop, StreamId, SystemClock};
use feedd_model::UnixNanos;
use feedd_venues::capture::{CaptureReader, Direction};
use feedd_venues::check::{BookRule, Rules, TradeIds};
use feedd_venues::intake::{FRAME_REASONS, Intake, IntakeParts, TRADE_REASONS};
use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
use feedd_venues::table::decoder_for;
use feedd_venues::validate::ValidationConfig;
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every method hands its arguments to `System` unchanged, so that its guarantees are ours.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`; `pointer` came from `System`.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::SeqCst)
}

/// Frames before counting: every symbol has had its snapshot and a burst of trades, every buffer has its size.
const WARM_UP_FRAMES: usize = 60_000;
/// Frames while counting; ten bursts are among them.
const COUNTED_FRAMES: usize = 200_000;

/// Producer, batching thread and consumer, each on a thread of its own.
struct Line {
    outlet: Outlet,
    intake: Intake,
    counters: Arc<CachePadded<SourceCounters>>,
    /// Events the consumer has seen.
    consumed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Line {
    fn start(venue: &str, check: Option<Rules>) -> Self {
        let (clock, stop, wake) = (Arc::new(SystemClock::new()), Stop::new(), Arc::new(Wake::new(true)));
        let (producer, ring) = rtrb::RingBuffer::new(10_000);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        let outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: wake.clone(),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        });
        let parts = IntakeParts {
            source: venue.to_owned(),
            venue: venue.to_owned(),
            decoder: decoder_for(venue).unwrap(),
            validation: ValidationConfig::default(),
            instruments: Instruments::in_memory(),
            dead_letters: DeadLetters::disabled(),
            keep_unknown: false,
            frame_bytes_max: 16 << 20,
            check,
        };
        let intake = Intake::new(parts, &outlet);
        let (sender, lane) = link(4);
        let fan_in = FanIn::new(FanInParts {
            stream: StreamId(1),
            epoch: Epoch(1),
            inputs: vec![Input { source: SourceId(0), ring, counters: counters.clone() }],
            derived: Vec::new(),
            lanes: vec![sender],
            analysis: None,
            is_replay: false,
            served: Vec::new(),
            pool: BlockPool::new(6),
            wait: WaitStrategy::Adaptive,
            wake,
            counters: Arc::new(CachePadded::new(BatchingCounters::default())),
            clock,
            stop,
        });
        let consumed = Arc::new(AtomicU64::new(0));
        let seen = consumed.clone();
        let threads = vec![std::thread::spawn(move || fan_in.run()), std::thread::spawn(move || consume(lane, &seen))];
        Self { outlet, intake, counters, consumed, threads }
    }

    fn frame(&mut self, conn: &str, text: &str, recv_ts: Option<UnixNanos>) {
        self.intake.frame(conn, text, recv_ts, &self.counters).unwrap();
        if self.intake.is_due(&self.outlet) {
            self.intake.publish(&mut self.outlet).unwrap();
        }
    }

    /// Waits until the consumer has seen everything.
    fn settle(&mut self) {
        self.intake.publish(&mut self.outlet).unwrap();
        while self.consumed.load(Ordering::Acquire) < self.counters.events_published.get() {
            std::thread::yield_now();
        }
    }

    /// Ends every thread; the events of the whole run.
    fn end(self) -> u64 {
        let Self { outlet, intake, counters, consumed, threads } = self;
        drop((outlet, intake));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counters.frames_rejected.total() + counters.events_rejected.total(), 0, "only good frames are sent");
        assert_eq!(consumed.load(Ordering::Acquire), counters.events_decoded.get(), "every event arrived");
        counters.events_decoded.get()
    }
}

fn consume(mut lane: LinkReceiver<Arc<Block>>, consumed: &AtomicU64) {
    lane.register();
    while !lane.is_ended() {
        match lane.take() {
            Some(block) => {
                // Every line of the block is read, as a sink does.
                black_box(block.events().iter().map(|event| u64::from(event.instrument().0)).sum::<u64>());
                consumed.fetch_add(block.events().len() as u64, Ordering::Release);
                drop(block);
                lane.signal_ready();
            }
            None => lane.sleep(10_000_000),
        }
    }
}

/// Allocations of the whole process for the counted frames of the simulated market.
fn simulated(check: Option<Rules>) -> u64 {
    let mut line = Line::start("sim", check);
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    let mut text = String::with_capacity(1 << 16);
    let mut before = 0;
    for number in 0..WARM_UP_FRAMES + COUNTED_FRAMES {
        if number == WARM_UP_FRAMES {
            line.settle();
            before = allocations();
        }
        let recv_ts = UnixNanos(1_700_000_000_000_000_000 + i64::try_from(number).unwrap() * 10_000);
        // As for what the recorder receives itself, whose times are not repeatable.
        black_box(line.intake.received(&mut line.outlet));
        let frame = market.next_frame(recv_ts, &mut text);
        match frame.kind {
            SimKind::Request => line.intake.request(frame.conn, &text),
            SimKind::Frame => line.frame(frame.conn, &text, Some(recv_ts)),
        }
    }
    line.settle();
    let counted = allocations() - before;
    assert!(line.end() > 300_000, "trades, quotes and depth have been sent");
    counted
}

/// Recorded sessions: one of each decoder that needs other buffers.
const SESSIONS: [(&str, &str); 7] = [
    ("binance_usdm", "usdm-ethusdt-2024-08-08"),
    ("coinbase", "exchange-a-2021-04-17"),
    ("coinbase", "advanced-2026-08-09-part1"),
    ("kraken", "v1-10pair-2021-04-17"),
    ("kraken", "v2-book10-btcusd-2026-08-16"),
    ("okx", "v5-10inst-2021-07-22"),
    ("bybit", "v5-a-2026-08-09"),
];

/// Allocations for the second passage of a recorded session; `None` when there are no recordings.
fn recorded(venue: &str, session: &str) -> Option<u64> {
    let path = common::shared()?.join("captures").join(venue).join(format!("{session}.jsonl.zst"));
    let mut reader = CaptureReader::open(&path).unwrap();
    let mut frames = Vec::new();
    while let Some(line) = reader.next_line().unwrap() {
        // What answers a request is rare: its request is remembered as text.
        if line.dir == Direction::In && line.conn != "rest" {
            frames.push((line.conn.to_owned(), line.frame.to_owned(), line.recv_ns.map(UnixNanos)));
        }
    }
    let mut line = Line::start(venue, None);
    let mut before = 0;
    for _ in 0..2 {
        line.settle();
        before = allocations();
        for (conn, frame, recv_ts) in &frames {
            line.frame(conn, frame, *recv_ts);
        }
    }
    line.settle();
    let counted = allocations() - before;
    assert!(line.end() > 2 * frames.len() as u64, "depth messages give many events");
    Some(counted)
}

#[test]
fn events_cost_no_allocation() {
    let before = allocations();
    drop(black_box(Box::new(before)));
    assert!(allocations() > before, "the counter counts");
    assert_eq!(simulated(None), 0, "allocations for {COUNTED_FRAMES} simulated frames");
    // As a live source has it: holes looked for, books built.
    let check = Rules { book: BookRule::JoinFirst, trades: TradeIds::Dense, is_global: true };
    assert_eq!(simulated(Some(check)), 0, "allocations for {COUNTED_FRAMES} checked frames");
    for (venue, session) in SESSIONS {
        assert!(recorded(venue, session).is_none_or(|counted| counted == 0), "allocations for {venue}/{session}");
    }
}
