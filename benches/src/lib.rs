//! Criterion micro-benchmarks, one file a component in `benches/`.
