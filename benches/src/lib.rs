//! Criterion micro-benchmarks, one file a component in `benches/`, run by `scripts/bench`; and the programs whose
//! instructions `scripts/budget` counts, in `examples/budget.rs`.
//!
//! Ids are component, operation, parameters: `ring/publish/burst=8`. Every benchmark checks what it measured: a
//! decoder that rejects its frame, or a ring that loses an event, fails instead of being fast.
//!
//! Leaves out on purpose: whole runs, and a database; `bench-pipeline` measures those. This library holds what the
//! benchmarks work on: [`samples`].
#![forbid(unsafe_code)]

pub mod samples;
