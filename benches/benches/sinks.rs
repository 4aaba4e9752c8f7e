//! Sinks without a server: a batch read by the null sink, and rows of Parquet files in a temporary folder.

use criterion::{Criterion, SamplingMode, Throughput};
use feedd_benches::samples::{EPOCH, STREAM, batch, trades};
use feedd_core::{Instruments, Sink};
use feedd_model::{Event, MonoNanos, Seq};
use feedd_sink_null::NullSink;
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use std::hint::black_box;

/// A full block.
const NULL_EVENTS: u32 = 4096;
/// Rows of one file: enough that its opening and closing weigh little.
const PARQUET_EVENTS: u32 = 65_536;

fn null(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sinks/null");
    group.throughput(Throughput::Elements(u64::from(NULL_EVENTS)));
    let batch = batch(&trades(NULL_EVENTS), Seq(1));
    group.bench_function(format!("events={NULL_EVENTS}"), |bencher| {
        bencher.iter(|| {
            let mut sink = NullSink::new();
            sink.write(black_box(&batch), MonoNanos(0)).expect("it takes everything");
            assert_eq!(sink.counts().events(), u64::from(NULL_EVENTS));
        });
    });
    group.finish();
}

fn parquet(criterion: &mut Criterion) {
    let instruments = Instruments::in_memory();
    instruments.resolve("binance", "BTCUSDT").expect("memory has room");
    let mut group = criterion.benchmark_group("sinks/parquet");
    group.throughput(Throughput::Elements(u64::from(PARQUET_EVENTS)));
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    let events = trades(PARQUET_EVENTS);
    group.bench_function(format!("events={PARQUET_EVENTS}"), |bencher| {
        bencher.iter_with_large_drop(|| write_file(&events, &instruments));
    });
    group.finish();
}

/// One file, from opening the sink until its rows are stored; the folder is removed by the caller's drop.
fn write_file(events: &[Event], instruments: &Instruments) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("there is a temporary folder");
    let mut sink = ParquetSink::open(ParquetConfig::new(dir.path()), instruments.clone()).expect("the folder is new");
    sink.recover(STREAM, EPOCH).expect("the folder is new");
    sink.write(black_box(&batch(events, Seq(1))), MonoNanos(0)).expect("the rows are good");
    sink.flush(MonoNanos(0)).expect("the folder has room");
    assert_eq!(sink.stored_seq(), Seq(events.len() as u64), "every row is stored");
    dir
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    null(&mut criterion);
    parquet(&mut criterion);
    criterion.final_summary();
}
