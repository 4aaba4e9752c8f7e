//! Bars of trades: what a trade costs on the processor, and what other events and bars cost it.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_analysis::bars::{BarsConfig, Processor};
use feedd_analysis::flow::{Item, Items, Records};
use feedd_core::Block;
use feedd_model::{
    Decimal, Derived, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Quote, Seq, Side, SourceId, StreamId,
    Trade, TradeId, UnixNanos,
};
use std::hint::black_box;
use std::sync::Arc;

const SYMBOLS: i64 = 10;
const BLOCKS: i64 = 8;
const BLOCK_EVENTS: i64 = 4_096;

/// Takes what comes, and counts it.
#[derive(Default)]
struct Taken {
    items: u64,
}

impl Items for Taken {
    fn put(&mut self, item: Item) {
        self.items += 1;
        black_box(item);
    }
}

struct Stored(u64);

impl Records for Stored {
    fn put(&mut self, record: &Derived) {
        self.0 += 1;
        black_box(record);
    }
}

/// Events of ten symbols in turn, `step_ns` apart, from `start` on.
fn blocks(start: i64, step_ns: i64, body: impl Fn(i64) -> EventBody) -> Vec<Arc<Block>> {
    let event = |count: i64| {
        let instrument = InstrumentId(u32::try_from(count % SYMBOLS).expect("a few symbols") + 1);
        let recv_ts = Some(UnixNanos(start + count * step_ns));
        Event::new(EventHead { instrument, venue_ts: None, recv_ts, flags: Flags::NONE }, body(count))
    };
    let events = |block: i64| (block * BLOCK_EVENTS..(block + 1) * BLOCK_EVENTS).map(event).collect::<Vec<_>>();
    (0..BLOCKS).map(|block| Arc::new(Block::of(StreamId(1), Epoch(1), Seq(1), SourceId(0), &events(block)))).collect()
}

fn trade(count: i64) -> EventBody {
    let price = Decimal::new(5_894_201_000_000 + count % 1_000 * 1_000_000, 8).expect("eight decimals");
    let size = Decimal::new(1_200_000 + count % 7 * 1_000, 8).expect("eight decimals");
    let side = Some(if count % 3 == 0 { Side::Buy } else { Side::Sell });
    EventBody::Trade(Trade { price, size, side, id: TradeId::Number(716_849_523 + count.unsigned_abs() as u128) })
}

fn quote(count: i64) -> EventBody {
    let value = Decimal::new(5_894_201_000_000 + count % 1_000, 8);
    EventBody::Quote(Quote { bid: value, bid_size: value, ask: value, ask_size: value, venue_seq: None })
}

/// Each iteration goes on where the one before ended: the same trades, later.
fn measure(criterion: &mut Criterion, name: &str, intervals: &[&str], step_ns: i64, body: impl Fn(i64) -> EventBody) {
    let mut group = criterion.benchmark_group(format!("bars/{name}"));
    let events = BLOCKS * BLOCK_EVENTS;
    group.throughput(Throughput::Elements(events.unsigned_abs()));
    let intervals_named = intervals.join("+");
    group.bench_function(
        BenchmarkId::from_parameter(format!("intervals={intervals_named}/symbols={SYMBOLS}")),
        |bencher| {
            let config = BarsConfig {
                intervals: intervals.iter().map(|text| text.parse().expect("an interval")).collect(),
                ..BarsConfig::default()
            };
            let mut processor = Processor::new(config, |_| true).expect("the intervals can be made");
            let (mut taken, mut stored) = (Taken::default(), Stored(0));
            let mut start = 1_700_000_000_000_000_000;
            let mut rounds = 0u64;
            bencher.iter_batched(
                || {
                    let made = blocks(start, step_ns, &body);
                    start += events * step_ns;
                    made
                },
                |made| {
                    rounds += 1;
                    for block in &made {
                        processor.block(block, 0, &mut taken, &mut stored);
                    }
                    made
                },
                criterion::BatchSize::PerIteration,
            );
            let counts = processor.counts();
            let trades = if matches!(body(0), EventBody::Trade(_)) { rounds * events.unsigned_abs() } else { 0 };
            assert_eq!(counts.trades, trades, "every trade is counted");
            assert_eq!((taken.items, stored.0), (counts.bars, counts.bars), "every bar comes out once on each way");
            assert_eq!(counts.late + counts.untimed + counts.overflows, 0, "every trade is in its bars");
        },
    );
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // 5,000 trades a second: a bar of a second holds 500 trades of a symbol.
    measure(&mut criterion, "trade", &["1s", "1m"], 200_000, trade);
    measure(&mut criterion, "trade", &["1s", "5s", "15s", "1m", "5m", "15m", "1h", "1d"], 200_000, trade);
    measure(&mut criterion, "trade", &["100t", "2.5v"], 200_000, trade);
    // One trade a second and symbol: each makes a bar.
    measure(&mut criterion, "bar", &["1s", "1m"], 100_000_000, trade);
    measure(&mut criterion, "quote", &["1s", "1m"], 200_000, quote);
    criterion.final_summary();
}
