//! From a frame of Binance text to messages, and on to 64-byte events.
//!
//! The frames are synthetic, in the shape and length of real ones.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_benches::samples::{QUOTE, TRADE, TRADE_OTHER_ORDER, decoder, depth};
use feedd_core::Burst;
use feedd_model::{Flags, InstrumentId, UnixNanos};
use feedd_venues::decoder::Outcome;
use feedd_venues::message::Message;
use feedd_venues::to_events;
use std::hint::black_box;

/// A frame to decode and what it must give.
struct Case {
    name: &'static str,
    frame: String,
    /// Events of its one message: a depth message is a header and its levels.
    events: usize,
}

fn cases() -> [Case; 4] {
    [
        Case { name: "trade", frame: TRADE.to_owned(), events: 1 },
        Case { name: "trade_other_order", frame: TRADE_OTHER_ORDER.to_owned(), events: 1 },
        Case { name: "book_ticker", frame: QUOTE.to_owned(), events: 1 },
        Case { name: "depth_20_20", frame: depth(20), events: 41 },
    ]
}

/// Decodes into messages only: the decoder's own cost.
fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/messages");
    for case in cases() {
        let mut decoder = decoder();
        group.throughput(Throughput::Bytes(case.frame.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("frame={}", case.name)), |bencher| {
            bencher.iter(|| {
                let outcome = decoder.decode("ws-1", black_box(&case.frame), &mut |_: &str, message: &Message<'_>| {
                    black_box(message);
                });
                assert_eq!(outcome, Outcome::Messages(1));
            });
        });
    }
    group.finish();
}

/// Decodes into a burst of events: what a source does with a frame before its ring.
fn events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/events");
    for case in cases() {
        let mut decoder = decoder();
        let mut burst = Burst::with_capacity(64);
        let recv_ts = Some(UnixNanos(1_769_860_800_125_678_901));
        group.throughput(Throughput::Elements(case.events as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("frame={}", case.name)), |bencher| {
            bencher.iter(|| {
                burst.clear();
                let outcome = decoder.decode("ws-1", black_box(&case.frame), &mut |_: &str, message: &Message<'_>| {
                    to_events::append(message, InstrumentId(1), recv_ts, Flags::NONE, &mut burst);
                });
                assert_eq!(outcome, Outcome::Messages(1));
                assert_eq!(black_box(burst.events()).len(), case.events);
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion);
    events(&mut criterion);
    criterion.final_summary();
}
