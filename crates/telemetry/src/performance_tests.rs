//! The sample reports of the source design, word for word, and what a difference says.

use super::*;
use crate::performance_report::percent;
use crate::watched::WatchedAnalysis;
use feedd_core::counters::{AnalysisCounters, BatchingCounters};
use feedd_core::histogram::Histogram;
use feedd_core::link::{Delivered, stage_link};
use feedd_core::wake::Wake;
use feedd_core::{Instruments, ManualClock, Stop};
use feedd_model::UnixNanos;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn times_of(values: &[u64]) -> HistogramSnapshot {
    let histogram = Histogram::default();
    values.iter().for_each(|&value| histogram.record(value));
    histogram.snapshot()
}

/// Backpressure of `processor` blocks of 50,000 and `engine` cycles of 10,000.
fn sample(processor: u64, engine: u64) -> Performance {
    let totals = |items, events, backpressure_items, backpressure_events| LinkTotals {
        items,
        events,
        backpressure_items,
        backpressure_events,
        ..LinkTotals::default()
    };
    let edge = |edge, totals, by_instrument| EdgeTotals { edge, mode: LinkMode::Live, totals, by_instrument };
    let symbols = [("BTCUSDT", 1_200), ("ETHUSDT", 34)].iter().zip(1..);
    let symbols = symbols.map(|(&(name, n), id)| (InstrumentId(id), name.to_owned(), n)).collect();
    Performance {
        elapsed_ns: 61_250_000_000,
        processor: ProcessorTotals {
            items: 50_000,
            events: 3_200_000,
            item_ns: times_of(&[40, 45, 60]),
            bars: 10_000,
            revised: 12,
            late: 3,
        },
        engine: EngineTotals { cycles: 10_000, cycle_ns: times_of(&[1_000, 1_000_000, 60_000_000]) },
        strategies: vec![StrategyTotals {
            name: "sma(10,30)".into(),
            calls: 10_000,
            call_ns: times_of(&[500]),
            signals: 21,
            panics: 0,
            overlong: 2,
            suspended: 1,
        }],
        edges: [
            edge(Edge::Processor, totals(50_000, 3_200_000, processor, 1_234), symbols),
            // 40,000 ends of blocks are no cycles.
            edge(Edge::Engine, totals(50_000, 10_000, engine + 40, engine), Vec::new()),
        ],
    }
}

const TIMES: &str = "\
Performance Report (61.2 s)
  Engine cycles:         10,000  min 1.0 us | max 60.0 ms | avg 20.3 ms | p50 1.0 ms | p99 60.0 ms | p99.9 60.0 ms
  Processor items:       50,000  min 40 ns | max 60 ns | avg 48 ns | p50 45 ns | p99 60 ns | p99.9 60 ns
    3,200,000 events, 10,000 bars, 12 of them revisions, 3 trades too late
  Strategy sma(10,30): 10,000 calls  min 500 ns | max 500 ns | avg 500 ns | p50 500 ns | p99 500 ns | p99.9 500 ns
    21 signals, 0 panics, 2 overlong, suspended for 1 symbols

Pipeline Backpressure (Bottlenecks)
";

#[test]
fn a_healthy_run() {
    let expected = "  Coordinator→Processor (live mode): 123 of 50,000 blocks (0.25%): GOOD
    keeps up but for single peaks, nothing to do
    overruns 0, skipped blocks 0, waits 0 (0 ns)
    most by symbol: BTCUSDT 1,200, ETHUSDT 34
  Processor→Analysis (live mode): 45 of 10,000 cycles (0.45%): GOOD
    keeps up but for single peaks, nothing to do
    overruns 0, skipped cycles 0, waits 0 (0 ns)
  Overall: healthy
";
    assert_eq!(sample(123, 45).text(), format!("{TIMES}{expected}"));
}

#[test]
fn an_engine_that_is_the_bottleneck() {
    let expected = "  Coordinator→Processor (live mode): 234 of 50,000 blocks (0.47%): GOOD
    keeps up but for single peaks, nothing to do
    overruns 0, skipped blocks 0, waits 0 (0 ns)
    most by symbol: BTCUSDT 1,200, ETHUSDT 34
  Processor→Analysis (live mode): 8,500 of 10,000 cycles (85.00%): CRITICAL
    the engine is the bottleneck: configure fewer strategies (the slowest stand first in this report), replay at a lower \
speed, or give it more cores
    overruns 0, skipped cycles 0, waits 0 (0 ns)
  Overall: CRITICAL
";
    assert_eq!(sample(234, 8_500).text(), format!("{TIMES}{expected}"));
}

/// Whoever has only the document prints the same text.
#[test]
fn the_text_is_made_from_the_document() {
    for sample in [sample(123, 45), sample(234, 8_500), sample(0, 0)] {
        let read: PerformanceReport = serde_json::from_str(&sample.json().to_string()).unwrap();
        assert_eq!(read.text(), sample.text());
    }
}

#[test]
fn the_same_for_programs() {
    let json = sample(234, 8_500).json();
    let edge = &json["backpressure"]["processor_analysis"];
    assert_eq!((&edge["delivered"], &edge["backpressure"]), (&json!(10_000), &json!(8_500)));
    assert_eq!(
        (&edge["percent"], &edge["verdict"], &edge["unit"]),
        (&json!(85.0), &json!("critical"), &json!("cycles"))
    );
    let edge = &json["backpressure"]["coordinator_processor"];
    assert_eq!((&edge["percent"], &edge["verdict"], &edge["mode"]), (&json!(0.47), &json!("good"), &json!("live")));
    assert_eq!(edge["by_symbol"][1], json!({"instrument": 2, "symbol": "ETHUSDT", "events": 34}));
    assert_eq!(json["engine"]["cycle_ns"]["max"], json!(60_000_000));
    assert_eq!(
        json["processor"]["item_ns"],
        json!({"count": 3, "min": 40, "max": 60, "average": 48, "p50": 45, "p99": 60, "p999": 60})
    );
    assert_eq!((&json["strategies"][0]["overlong"], &json["verdict"]), (&json!(2), &json!("critical")));
}

#[test]
fn shares_are_rounded_and_of_nothing_there_is_none() {
    let cases = [
        (0, 0, "-"),
        (0, 7, "0.00%"),
        (1, 3, "33.33%"),
        (2, 3, "66.67%"),
        (5, 100_000, "0.01%"),
        (u64::MAX, u64::MAX, "100.00%"),
    ];
    for (count, of, expected) in cases {
        assert_eq!(percent(count, of), expected, "{count} of {of}");
    }
    let none = Performance {
        edges: sample(0, 0).edges.map(|edge| EdgeTotals { totals: LinkTotals::default(), ..edge }),
        ..sample(0, 0)
    };
    assert_eq!(none.verdict(), Verdict::Perfect);
    assert_eq!(none.json()["backpressure"]["processor_analysis"]["percent"], Value::Null);
}

/// Counters and links of a run, looked at twice: a session shows what came in between.
#[test]
fn a_session_is_the_difference_of_two_looks() {
    let clock = Arc::new(ManualClock::at(UnixNanos(0)));
    let instruments = Instruments::in_memory();
    let [btc, eth] = ["BTCUSDT", "ETHUSDT"].map(|symbol| instruments.resolve("binance", symbol).unwrap());
    let (mut blocks, _processor) = stage_link("processor", 64, LinkMode::Live, Arc::new(Wake::new(true)));
    let (cycles, _engine) = stage_link::<u32>("engine", 1, LinkMode::Data, Arc::new(Wake::new(true)));
    let counters = Arc::new(AnalysisCounters::new(&["sma".to_owned(), "rsi".to_owned()]));
    let watched = Watched {
        sources: Vec::new(),
        batching: Arc::new(crossbeam_utils::CachePadded::new(BatchingCounters::default())),
        journal: None,
        links: Vec::new(),
        link_capacity: 0,
        sinks: Vec::new(),
        analysis: Some(WatchedAnalysis {
            processor_link: blocks.watch(),
            engine_link: cycles.watch(),
            counters: counters.clone(),
        }),
        batch_age_max: Duration::ZERO,
        instruments,
        simulated: false,
        clock: clock.clone(),
    };
    let mut work = |symbol: InstrumentId, slowest: usize| {
        for _ in 0..10 {
            counters.processor.items.add(1);
            counters.processor.item_ns.record(70);
            counters.engine.cycles.add(2);
            counters.engine.strategies[slowest].call_ns.record(5_000);
            if blocks.deliver(0, 4, &*clock, &Stop::new()) == (Delivered::Yes { with_credit: false }) {
                blocks.count_instruments([symbol; 4].into_iter());
            }
        }
        clock.advance(1_500_000_000);
    };
    work(btc, 0);
    let first = Performance::take(&watched).unwrap();
    work(eth, 1);
    let both = Performance::take(&watched).unwrap();
    let second = both.since(&first);
    assert_eq!((first.edges[0].backpressure(), first.edges[0].delivered()), (9, 10), "the first had the credit");
    assert_eq!((second.edges[0].backpressure(), second.edges[0].delivered()), (10, 10));
    assert_eq!((second.edges[0].totals.overruns, both.edges[0].totals.overruns), (10, 19));
    assert_eq!((second.elapsed_ns, both.elapsed_ns), (1_500_000_000, 3_000_000_000));
    assert_eq!(second.edges[0].by_instrument, [(eth, "ETHUSDT".to_owned(), 40)]);
    assert_eq!(both.edges[0].by_instrument, [(eth, "ETHUSDT".to_owned(), 40), (btc, "BTCUSDT".to_owned(), 36)]);
    assert_eq!((second.processor.items, second.processor.item_ns.count(), second.engine.cycles), (10, 10, 20));
    assert_eq!(&*first.strategies[0].name, "sma", "the slowest first");
    assert_eq!((&*second.strategies[0].name, second.strategies[1].call_ns.count()), ("rsi", 0));
    assert_eq!(second.edges[1].verdict(), Verdict::Perfect);
}
