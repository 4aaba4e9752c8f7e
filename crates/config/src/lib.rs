//! The configuration of a run: defaults, then a profile, a TOML file, the environment and flags, each over the last.
//!
//! Every fault is reported, not only the first, and each names its place: line, column and text of the file, the
//! environment variable, or the flag. Leaves out on purpose: wiring, command lines and any knowledge of single sinks or
//! venues; what the machine offers comes in as [`Machine`]. Start with [`load`]; `config/feedd.example.toml`
//! explains every key.
//!
//! ```
//! use feedd_config::{Machine, Overrides, load};
//! let flags = Overrides { sets: vec!["batch.max_events=250".into()], ..Overrides::default() };
//! let env = [("FEEDD_SINK__KIND".to_owned(), "null".to_owned())];
//! let loaded = load(None, env.into_iter(), &flags, &Machine { cores: &[0, 1], venues: &["binance"] })?;
//! assert_eq!(loaded.config.batch.max_events, 250);
//! assert_eq!(loaded.config.sinks[0].kind, feedd_config::SinkKind::Null);
//! # Ok::<(), feedd_config::ConfigErrors>(())
//! ```
#![forbid(unsafe_code)]

mod admin;
mod alerts;
mod analysis;
mod changes;
mod check;
mod choice;
mod error;
mod hide;
mod journal;
mod load;
mod locate;
mod machine;
mod overlay;
mod postgres;
mod read;
mod reader;
mod schema;
mod secret;
mod sinks;
mod source;
mod suggest;
mod tape;
mod tree;
mod units;
mod url;
mod values;
mod venue;

#[cfg(test)]
mod example;

pub use admin::Admin;
pub use alerts::{Alerts, Webhook};
pub use analysis::{Analysis, Paper, StrategySettings};
pub use changes::{Changed, changes};
pub use check::{Report, check};
pub use choice::{
    Channel, EmptyBars, FillAt, FullPolicy, JournalMode, JumpAction, Level, LogFormat, PostgresLayout, PostgresTls,
    Profile, SinkKind, Wait,
};
pub use error::{ConfigError, ConfigErrors, Place};
pub use journal::{Journal, JournalSync};
pub use load::{Loaded, Setting, load};
pub use locate::Spot;
pub use machine::Machine;
pub use overlay::{Overrides, environment};
pub use postgres::Postgres;
pub use schema::{
    Batch, Batching, Config, Data, DeadLetters, Decode, Health, Log, LogLevels, Parquet, Quarantine, Retry, Ring, Stop,
    Validation,
};
pub use secret::{Secret, SecretError, SecretRef};
pub use sinks::Sink;
pub use source::{Capture, Core, DEFAULT_SYMBOLS, Rate, Sim, Source, SourceKind, Speed};
pub use tape::Tape;
pub use units::{Percent, duration as parse_duration};
pub use venue::{Allowance, Lifetime, VENUE_MARKETS, Venue, VenueLimits, VenueMarket, VenuePeriods};
