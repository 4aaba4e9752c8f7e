//! From a frame of Binance text to messages, and on to 64-byte events.
//!
//! The frames are synthetic, in the shape and length of real ones.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_core::Burst;
use feedd_model::{Flags, InstrumentId, UnixNanos};
use feedd_venues::decoder::{Decoder, Outcome};
use feedd_venues::message::Message;
use feedd_venues::{table, to_events};
use std::fmt::Write as _;
use std::hint::black_box;

const TRADE: &str = r#"{"e":"trade","E":1769860800124,"s":"BTCUSDT","t":5123456789,"p":"61837.63000000","q":"0.00127000","T":1769860800123,"m":true,"M":true}"#;
const QUOTE: &str =
    r#"{"u":74512345678,"s":"BTCUSDT","b":"61837.63000000","B":"1.20456000","a":"61837.64000000","A":"0.87310000"}"#;

/// A frame to decode and what it must give.
struct Case {
    name: &'static str,
    frame: String,
    /// Events of its one message: a depth message is a header and its levels.
    events: usize,
}

fn cases() -> [Case; 3] {
    [
        Case { name: "trade", frame: TRADE.to_owned(), events: 1 },
        Case { name: "book_ticker", frame: QUOTE.to_owned(), events: 1 },
        Case { name: "depth_20_20", frame: depth(20), events: 41 },
    ]
}

/// A depth update with `levels` levels on each side.
fn depth(levels: u32) -> String {
    let mut frame =
        String::from(r#"{"e":"depthUpdate","E":1769860800124,"s":"BTCUSDT","U":74512345600,"u":74512345678,"b":["#);
    push_levels(&mut frame, (0..levels).map(|i| 6_183_763 - i));
    frame.push_str(r#"],"a":["#);
    push_levels(&mut frame, (0..levels).map(|i| 6_183_764 + i));
    frame.push_str("]}");
    frame
}

/// Levels at the given prices, in hundredths.
fn push_levels(frame: &mut String, prices: impl Iterator<Item = u32>) {
    for (i, price) in prices.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        let (int, frac) = (price / 100, price % 100);
        write!(frame, r#"{comma}["{int}.{frac:02}000000","{i}.{price:08}"]"#).expect("a string takes any text");
    }
}

/// Decodes into messages only: the decoder's own cost.
fn messages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode/messages");
    for case in cases() {
        let mut decoder = binance();
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
        let mut decoder = binance();
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

fn binance() -> Box<dyn Decoder> {
    table::decoder_for("binance").expect("the table has Binance")
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    messages(&mut criterion);
    events(&mut criterion);
    criterion.final_summary();
}
