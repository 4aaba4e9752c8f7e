//! `Decimal::parse` and its text form, on numbers as Binance prints them.

use criterion::{BenchmarkId, Criterion, Throughput};
use feedd_model::Decimal;
use std::hint::black_box;

/// Name of the case, text as sent.
const TEXTS: [(&str, &str); 6] = [
    ("price_8_decimals", "61837.63000000"),
    ("size_8_decimals", "0.00127000"),
    ("price_2_decimals", "61837.63"),
    ("low_price", "0.00001234"),
    // Beyond the quick way: more than 19 bytes, and an exponent.
    ("20_digits", "123456789012.00000000"),
    ("exponent", "6e-8"),
];

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decimal/parse");
    group.throughput(Throughput::Elements(1));
    for (name, text) in TEXTS {
        let value = Decimal::parse(text.as_bytes()).expect("the text is a number");
        assert_eq!(value, text.parse().expect("the text is a number"), "{name}");
        group.bench_function(BenchmarkId::from_parameter(format!("text={name}")), |bencher| {
            bencher.iter(|| Decimal::parse(black_box(text.as_bytes())));
        });
    }
    group.finish();
}

fn print(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decimal/print");
    group.throughput(Throughput::Elements(1));
    for (name, text) in &TEXTS[..2] {
        let value = Decimal::parse(text.as_bytes()).expect("the text is a number");
        let mut out = Vec::with_capacity(64);
        value.write_plain(&mut out);
        assert_eq!(out, text.as_bytes(), "printed as sent");
        group.bench_function(BenchmarkId::from_parameter(format!("text={name}")), |bencher| {
            bencher.iter(|| {
                out.clear();
                black_box(value).write_plain(&mut out);
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    parse(&mut criterion);
    print(&mut criterion);
    criterion.final_summary();
}
