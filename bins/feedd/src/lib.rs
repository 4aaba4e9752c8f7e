//! From a configuration to running threads: the wiring of feedd.
//!
//! Start with [`start`]: it builds every stage of `docs/ARCHITECTURE.md` and returns a [`Run`] to watch and to stop. To
//! add a sink or a kind of source, see [`registry`].
//!
//! ```no_run
//! use feedd_config::{Machine, Overrides, load};
//! let machine = Machine { cores: &[0, 1], venues: &["binance", "sim"] };
//! let loaded = load(None, std::iter::empty(), &Overrides::default(), &machine)?;
//! let run = feedd_run::start(&loaded.config, None)?;
//! run.stop().request();
//! # Ok::<(), anyhow::Error>(())
//! ```
#![forbid(unsafe_code)]

mod analysis;
pub mod identity;
mod known_trades;
pub mod live;
pub mod recording;
pub mod registry;
mod storage;
mod threads;
mod wiring;

pub use analysis::RecordTap;
pub use storage::journal_config;
pub use threads::{Run, RunEnd, SourceMailboxes};
pub use wiring::{DEAD_LETTERS_FILE, MeasuringLane, start, start_replay, start_with};
