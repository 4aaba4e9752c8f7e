//! The lane allocates nothing per event, and copies no event: an engine is handed the block itself.
//!
//! One test alone in its binary: the allocator counts for the whole process.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_analysis::bars::{BarsConfig, Empty, Processor};
use feedd_analysis::engine::{Engine, Plan, Settings};
use feedd_analysis::flow::{Item, Items, Records};
use feedd_analysis::paper;
use feedd_analysis::strategies::{Blueprint, Orders, Strategy, Subscription};
use feedd_core::counters::AnalysisCounters;
use feedd_core::{Block, Instruments, ManualClock};
use feedd_model::{
    Bar, Decimal, Derived, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Interval, Seq, Side, SourceId,
    StreamId, Trade, TradeId, UnixNanos,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

const SYMBOLS: u32 = 10;
const BLOCK_EVENTS: i64 = 4_096;
/// A trade each 2 ms: a block spans 8.2 s.
const STEP: i64 = 2_000_000;

/// Counts, and looks at where the items' blocks are.
#[derive(Default)]
struct Seen {
    bars: u64,
    items: u64,
    /// Items whose block is another one than that handed in.
    copies: u64,
    block: usize,
}

impl Items for Seen {
    fn put(&mut self, item: Item) {
        self.items += 1;
        if let Item::Bar { block, .. } | Item::BlockEnd { block } = &item {
            self.copies += u64::from(Arc::as_ptr(block).addr() != self.block);
        }
        black_box(&item);
    }
}

struct Stored(u64);

impl Records for Stored {
    fn put(&mut self, record: &Derived) {
        self.0 += 1;
        black_box(record);
    }
}

/// Trades of ten symbols; now and then one is late, which revises bars.
fn block(number: i64) -> Arc<Block> {
    let event = |place: i64| {
        let count = number * BLOCK_EVENTS + place;
        let late = if count % 97 == 0 { 5_000_000_000 } else { 0 };
        let recv_ts = UnixNanos(1_700_000_000_000_000_000 + count * STEP - late);
        let instrument = InstrumentId(u32::try_from(count % 10).unwrap() % SYMBOLS + 1);
        let head = EventHead { instrument, venue_ts: None, recv_ts: Some(recv_ts), flags: Flags::NONE };
        let price = Decimal::new(5_894_201_000_000 + count % 1_000 * 1_000_000, 8).unwrap();
        let trade = Trade {
            price,
            size: Decimal::new(1_200 + count % 7, 5).unwrap(),
            side: Some(Side::Buy),
            id: TradeId::None,
        };
        Event::new(head, EventBody::Trade(trade))
    };
    let events: Vec<_> = (0..BLOCK_EVENTS).map(event).collect();
    let first = Seq(u64::try_from(number * BLOCK_EVENTS).unwrap() + 1);
    Arc::new(Block::of(StreamId(1), Epoch(1), first, SourceId(0), &events))
}

/// Is told of every trade, and buys and sells by turns.
#[derive(Default)]
struct Trader {
    trades: u64,
}

impl Strategy for Trader {
    fn subscription(&self) -> Subscription {
        Subscription { trades: true, ..Subscription::default() }
    }

    fn reset(&mut self) {}

    fn on_bar(&mut self, _: &Bar, _: &mut Orders) {}

    fn on_trade(&mut self, _: UnixNanos, _: &Trade, orders: &mut Orders) {
        self.trades += 1;
        match self.trades % 200 {
            50 => orders.buy(f64::NAN),
            150 => orders.sell(f64::NAN),
            _ => {}
        }
    }
}

/// SMA and RSI of each symbol over bars of a second and one that is told of trades, with paper books, which look at every
/// trade while an order is open.
fn engine() -> Engine<Stored> {
    let dictionary = Instruments::in_memory();
    for number in 0..SYMBOLS {
        dictionary.resolve("sim", &format!("TEST{number}")).unwrap();
    }
    let plan = |blueprint: Blueprint| {
        let id = dictionary.resolve("strategy", blueprint.name()).unwrap();
        Plan { blueprint, id, wants: Box::new(|_| true) }
    };
    let [sma, rsi] = ["sma", "rsi"].map(|kind| Blueprint::read(kind, "1s".parse().unwrap(), &[]).unwrap());
    let trader = Blueprint::new("trader".to_owned(), || Box::new(Trader::default()));
    let plans = vec![plan(sma), plan(rsi), plan(trader)];
    let names: Vec<_> = plans.iter().map(|plan| plan.blueprint.name().to_owned()).collect();
    let settings = Settings { paper: Some(paper::Settings::default()), ..Settings::default() };
    let clock = Arc::new(ManualClock::at(UnixNanos(0)));
    Engine::new(settings, plans, Stored(0), dictionary.clone(), clock, Arc::new(AnalysisCounters::new(&names))).unwrap()
}

/// Works on the items at once.
struct Inline(Engine<Stored>);

impl Items for Inline {
    fn put(&mut self, item: Item) {
        self.0.item(item);
    }
}

#[test]
fn the_lane_costs_no_allocation_and_no_copy() {
    let before = allocations();
    drop(black_box(Box::new(before)));
    assert!(allocations() > before, "the counter counts");
    bars_cost_none();
    strategies_cost_none();
}

/// The engine looks at each trade, its strategies at each bar, and orders are made and filled.
fn strategies_cost_none() {
    let config = BarsConfig {
        intervals: vec!["1s".parse().unwrap()],
        revise: Duration::from_secs(30),
        block_ends: true,
        ..BarsConfig::default()
    };
    let mut processor = Processor::new(config, |_| true).unwrap();
    let (mut lane, mut bars) = (Inline(engine()), Stored(0));
    // Each book has had an order and each strategy all the bars that it keeps.
    let blocks: Vec<_> = (0..60).map(block).collect();
    let (warm_up, counted) = blocks.split_at(40);
    for block in warm_up {
        processor.block(block, 0, &mut lane, &mut bars);
    }
    let fills = lane.0.figures().fills;
    let before = allocations();
    for block in counted {
        processor.block(block, 0, &mut lane, &mut bars);
    }
    let allocated = allocations() - before;
    let fills = lane.0.figures().fills - fills;
    assert_eq!(allocated, 0, "for {} blocks and {fills} fills", counted.len());
    assert!(fills > 300, "of 820 orders that the one told of trades gave {fills} were filled");
}

fn bars_cost_none() {
    let texts = ["1s", "5s", "1m", "7s", "100t", "2.5v"];
    let config = BarsConfig {
        intervals: texts.map(|text| text.parse::<Interval>().unwrap()).to_vec(),
        empty: Empty::Synthetic,
        revise: Duration::from_secs(30),
        block_ends: true,
        ..BarsConfig::default()
    };
    let mut processor = Processor::new(config, |_| true).unwrap();
    // Warm-up: each symbol keeps as many bars as it ever will.
    let blocks: Vec<_> = (0..60).map(block).collect();
    let (warm_up, counted) = blocks.split_at(20);
    let (mut seen, mut records) = (Seen::default(), Stored(0));
    let mut run = |blocks: &[Arc<Block>], seen: &mut Seen, records: &mut Stored| {
        for block in blocks {
            seen.block = Arc::as_ptr(block).addr();
            processor.block(block, 0, seen, records);
        }
        *processor.counts()
    };
    let first = run(warm_up, &mut seen, &mut records);
    let before = allocations();
    let last = run(counted, &mut seen, &mut records);
    let allocated = allocations() - before;
    seen.bars = records.0;
    assert_eq!((allocated, seen.copies), (0, 0), "for {} blocks", counted.len());
    assert_eq!(seen.items, seen.bars + blocks.len() as u64, "each bar once, and the end of each block");
    assert_eq!(last.bars, seen.bars);
    assert!(last.bars - first.bars > 3_000 && last.revised - first.revised > 1_000, "{last:?}");
}
