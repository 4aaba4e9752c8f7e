//! A sink that stores events as Parquet files which appear whole or not at all.
//!
//! One row per event, in six datasets: `trades`, `quotes`, `books` (headers of depth messages), `levels` (their price
//! levels), `gaps` and `status`, each partitioned as `<dataset>/venue=<venue>/date=<YYYY-MM-DD>/`. The date is the UTC
//! day of the receive time, else of the venue's time, else 1970-01-01. Events of a whole connection have venue `_` and
//! no symbol. Arrival order is (`epoch`, `seq`).
//!
//! What it guarantees: each event is stored once, whenever the process or the machine stops ([`ParquetSink`] implements
//! [`feedd_core::Sink`] and passes its contract suite); a file carries its final name only when it is complete and
//! durable; a full disk loses nothing. What it leaves out on purpose: merging small files, and serving rows of open
//! files. Start with [`ParquetConfig`] and [`ParquetSink`].
//!
//! Prices and sizes are `DECIMAL(38, 18)` in every file, exact for everything venues print. To multiply two of them,
//! cast one or both: see `docs/querying.md`.
//!
//! The `flags` column holds bits: 1 after a gap, 2 replayed by the venue, 4 backfilled, 8 doubtful clock, 16 price jump.
//!
//! ```
//! use feedd_core::{Instruments, Sink};
//! use feedd_model::{Epoch, MonoNanos, Seq, StreamId};
//! use feedd_sink_parquet::{ParquetConfig, ParquetSink};
//! let dir = tempfile::tempdir().unwrap();
//! let mut sink = ParquetSink::open(ParquetConfig::new(dir.path()), Instruments::in_memory()).unwrap();
//! assert_eq!(sink.recover(StreamId(1), Epoch(1)).unwrap(), Seq(0));
//! sink.flush(MonoNanos(0)).unwrap();
//! ```
#![forbid(unsafe_code)]

mod audit;
mod config;
mod dataset;
mod derived;
mod disk;
mod encode;
mod error;
mod late;
mod names;
mod part;
mod positions;
mod rows;
mod sink;
mod venues;

#[cfg(test)]
mod fault_tests;

pub use config::ParquetConfig;
pub use dataset::{DECIMAL_PRECISION, DECIMAL_SCALE, Dataset, SCHEMA_VERSION};
pub use sink::ParquetSink;
