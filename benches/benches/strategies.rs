//! The engine's cost of a bar: `sma` and `rsi` over 1s bars of ten symbols, without and with paper books.

use criterion::{Criterion, Throughput};
use feedd_analysis::engine::{Engine, Plan, Settings};
use feedd_analysis::flow::{Item, Records};
use feedd_analysis::paper;
use feedd_analysis::strategies::Blueprint;
use feedd_core::counters::AnalysisCounters;
use feedd_core::{Block, Instruments, SystemClock};
use feedd_model::{
    Bar, BarFlags, Decimal, Derived, Epoch, InstrumentId, Interval, Seq, SourceId, StreamId, Sum, UnixNanos,
};
use std::hint::black_box;
use std::sync::Arc;

const SYMBOLS: u32 = 10;
const BARS: i64 = 1_000;
const SECOND: i64 = 1_000_000_000;

/// Takes what comes, and counts it.
#[derive(Default)]
struct Stored(u64);

impl Records for Stored {
    fn put(&mut self, record: &Derived) {
        self.0 += 1;
        black_box(record);
    }
}

fn bar(second: i64, symbol: u32) -> Bar {
    // A price that wanders: the averages cross now and then.
    let wave = [0, 3, 5, 6, 5, 3, 0, -3, -5, -6, -5, -3];
    let phase = usize::try_from(second / 7 + i64::from(symbol)).unwrap_or_default() % wave.len();
    let close = Decimal::new(5_894_201 + wave[phase] * 100 + second % 13, 2).unwrap_or(Decimal::ZERO);
    Bar {
        instrument: InstrumentId(symbol),
        interval: Interval::Seconds(1),
        start: UnixNanos(second * SECOND),
        end: UnixNanos((second + 1) * SECOND),
        closed_at: UnixNanos((second + 2) * SECOND),
        open: close,
        high: close,
        low: close,
        close,
        volume: Sum::default(),
        buy_volume: Sum::default(),
        notional: Sum::default(),
        trades: 1,
        flags: BarFlags::COMPLETE,
        revision: 0,
        quality_bp: 10_000,
        number: 1,
    }
}

fn engine(paper: Option<paper::Settings>) -> (Engine<Stored>, Arc<AnalysisCounters>) {
    let plan = |(kind, id): (&str, u32)| {
        let blueprint = Blueprint::read(kind, Interval::Seconds(1), &[]).expect("it is in the table");
        Plan { blueprint, id: InstrumentId(id), wants: Box::new(|_| true) }
    };
    let plans: Vec<Plan> = [("sma", 100), ("rsi", 101)].into_iter().map(plan).collect();
    let names: Vec<String> = plans.iter().map(|plan| plan.blueprint.name().to_owned()).collect();
    let counters = Arc::new(AnalysisCounters::new(&names));
    let settings = Settings { paper, ..Settings::default() };
    let clock = Arc::new(SystemClock::new());
    let engine = Engine::new(settings, plans, Stored::default(), Instruments::in_memory(), clock, counters.clone());
    (engine.expect("two names, and little cash"), counters)
}

fn bars(criterion: &mut Criterion) {
    let block = Arc::new(Block::of(StreamId(1), Epoch(1), Seq(1), SourceId(0), &[]));
    let mut group = criterion.benchmark_group("engine/bar");
    group.throughput(Throughput::Elements(u64::from(SYMBOLS) * BARS.unsigned_abs()));
    for (name, paper) in [("off", None), ("on", Some(paper::Settings::default()))] {
        let (mut engine, counters) = engine(paper);
        let (mut second, mut given) = (0, 0);
        group.bench_function(format!("strategies=sma,rsi/symbols={SYMBOLS}/paper={name}"), |bencher| {
            bencher.iter(|| {
                for _ in 0..BARS {
                    for symbol in 1..=SYMBOLS {
                        engine.item(Item::Bar { bar: bar(second, symbol), block: block.clone(), upto: 0 });
                        given += 1;
                    }
                    second += 1;
                }
            });
        });
        assert_eq!(counters.engine.cycles.get(), given, "each bar was a cycle");
        let calls: u64 = counters.engine.strategies.iter().map(|strategy| strategy.calls.get()).sum();
        assert!(calls >= 2 * given, "each bar was shown to both strategies");
        assert!(engine.records().0 > 0, "and they had something to say");
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bars(&mut criterion);
    criterion.final_summary();
}
