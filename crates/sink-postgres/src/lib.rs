//! A sink that stores events in PostgreSQL by binary COPY, each exactly once.
//!
//! A batch is one transaction: it first moves the batch's position in the `ledger` by compare and set, then copies the
//! rows, then commits. So whatever happens to the connection, the server or the answer to COMMIT, a range is stored once or
//! not at all ([`PostgresSink`] implements [`feedd_core::Sink`] and passes its contract suite). A row that the database
//! refuses is found and named; the others are stored.
//!
//! One table a kind of event, partitioned by UTC day, in one of two layouts ([`Layout`]); `trades`, `quotes`, `books`,
//! `levels`, `gaps` and `status` show exact values in both. What it leaves out on purpose: unique keys and live indexes
//! (they cost a factor of two to four; finished days are indexed), and changing the schema of a newer program.
//!
//! Start with [`PostgresConfig`] and [`PostgresSink`]; [`migrate()`], [`status()`], [`maintain()`] and [`retain()`] are for
//! the command line. Inside: `writer.rs` is the life of a batch, `transaction.rs` its transaction, `encode.rs` its bytes.
//!
//! ```no_run
//! use feedd_core::{Instruments, Sink};
//! use feedd_model::{Epoch, StreamId};
//! use feedd_sink_postgres::{PostgresConfig, PostgresSink};
//! let config = PostgresConfig::new("/run/postgresql", "market", "feedd");
//! let mut sink = PostgresSink::open(config, Instruments::in_memory()).unwrap();
//! let stored = sink.recover(StreamId(1), Epoch(1)).unwrap();
//! println!("everything up to {stored} is stored");
//! ```
#![forbid(unsafe_code)]

mod config;
mod connect;
mod discard;
mod encode;
mod encode_records;
mod error;
mod instruments;
mod ledger;
mod locate;
mod maintenance;
mod migrate;
mod numeric;
mod partitions;
mod plan;
mod retention;
mod schema;
mod sink;
mod status;
mod tls;
mod transaction;
mod writer;

pub use config::{Layout, PostgresConfig, Secret, Tls};
pub use discard::discard;
pub use maintenance::{Built, Maintained, maintain};
pub use migrate::{Applied, migrate};
pub use retention::{Dropped, retain};
pub use sink::PostgresSink;
pub use status::{LedgerStatus, SchemaStatus, TableStatus, status};
