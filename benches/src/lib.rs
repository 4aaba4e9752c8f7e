//! Criterion micro-benchmarks, one file a component in `benches/`; run by `scripts/bench`.
//!
//! Ids are component, operation, parameters: `ring/publish/burst=8`. Every benchmark checks what it measured: a
//! decoder that rejects its frame, or a ring that loses an event, fails instead of being fast.
//!
//! Leaves out on purpose: storage and whole runs. What is here needs no sink, so that it builds in a minute or two.
#![forbid(unsafe_code)]
