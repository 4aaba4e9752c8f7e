//! Making bars allocates nothing per event, and copies no event: an engine is handed the block itself.
//!
//! One test alone in its binary: the allocator counts for the whole process.

#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_analysis::bars::{BarsConfig, Empty, Processor};
use feedd_analysis::flow::{Item, Items, Records};
use feedd_core::Block;
use feedd_model::{
    Decimal, Derived, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Interval, Seq, Side, SourceId, StreamId,
    Trade, TradeId, UnixNanos,
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

#[test]
fn bars_cost_no_allocation_and_no_copy() {
    let before = allocations();
    drop(black_box(Box::new(before)));
    assert!(allocations() > before, "the counter counts");
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
