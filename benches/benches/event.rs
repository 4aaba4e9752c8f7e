//! Packing an event into its 64 bytes and reading it back.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_model::{
    BookAction, Decimal, Event, EventBody, EventHead, Flags, InstrumentId, Level, Quote, Side, Trade, TradeId,
    UnixNanos, VenueSeq,
};
use std::hint::black_box;

const HEAD: EventHead = EventHead {
    instrument: InstrumentId(7),
    venue_ts: Some(UnixNanos(1_769_860_800_123_000_000)),
    recv_ts: Some(UnixNanos(1_769_860_800_125_678_901)),
    flags: Flags::NONE,
};

fn decimal(text: &str) -> Decimal {
    text.parse().expect("the text is a number")
}

/// Name of the case, body.
fn bodies() -> [(&'static str, EventBody); 3] {
    let (price, size) = (decimal("61837.63000000"), decimal("0.00127000"));
    let trade = Trade { price, size, side: Some(Side::Buy), id: TradeId::Number(5_123_456_789) };
    let quote = Quote {
        bid: Some(price),
        bid_size: Some(size),
        ask: Some(decimal("61837.64000000")),
        ask_size: Some(size),
        venue_seq: Some(VenueSeq(74_512_345_678)),
    };
    let level = Level {
        action: BookAction::Delta,
        side: Side::Sell,
        price,
        size,
        venue_seq: Some(VenueSeq(74_512_345_678)),
        index: 3,
    };
    [("trade", EventBody::Trade(trade)), ("quote", EventBody::Quote(quote)), ("level", EventBody::Level(level))]
}

fn pack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event/pack");
    group.throughput(Throughput::Elements(1));
    for (name, body) in bodies() {
        group.bench_function(BenchmarkId::from_parameter(format!("kind={name}")), |bencher| {
            bencher.iter(|| Event::new(black_box(HEAD), black_box(body)));
        });
    }
    group.finish();
}

fn unpack(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event/unpack");
    group.throughput(Throughput::Elements(1));
    for (name, body) in bodies() {
        let event = Event::new(HEAD, body);
        assert_eq!((event.head(), event.body()), (HEAD, body), "{name} loses nothing by packing");
        group.bench_function(BenchmarkId::from_parameter(format!("kind={name}")), |bencher| {
            bencher.iter(|| {
                let event = black_box(&event);
                (event.head(), event.body())
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    pack(&mut criterion);
    unpack(&mut criterion);
    criterion.final_summary();
}
