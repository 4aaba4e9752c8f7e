//! Batches out of blocks: large blocks are passed on, small ones copied together.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_benches::samples::{blocks, trades};
use feedd_core::{BLOCK_EVENTS_MAX, Batch};
use feedd_delivery::Gather;
use feedd_model::Seq;
use std::hint::black_box;

/// Two full blocks.
const EVENTS: u32 = 8192;
/// The most of a batch.
const BATCH_EVENTS: usize = 1000;

fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gather/batches");
    group.throughput(Throughput::Elements(u64::from(EVENTS)));
    let events = trades(EVENTS);
    for block_events in [16, 256, BLOCK_EVENTS_MAX] {
        let blocks = blocks(&events, block_events, Seq(1));
        let mut gather = Gather::new(EVENTS as usize);
        let mut batch = Batch::new();
        group.bench_function(BenchmarkId::from_parameter(format!("block={block_events}")), |bencher| {
            bencher.iter(|| {
                for block in &blocks {
                    gather.push(black_box(block).clone());
                }
                let mut taken = 0;
                while !gather.is_empty() {
                    gather.fill(&mut batch, BATCH_EVENTS);
                    taken += black_box(&batch).len();
                }
                batch.clear();
                assert_eq!(taken, events.len(), "every event is in a batch");
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    gather(&mut criterion);
    criterion.final_summary();
}
