//! The arguments of `feedd soak`.

use crate::cli::{ConfigArgs, duration};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Most symbols that can be simulated.
const SYMBOLS_MAX: u64 = 1_000;

#[derive(Args, Debug)]
pub(crate) struct SoakArgs {
    /// The configuration that is tried. Its sources are replaced by the simulator, and its folders by one of its own below
    /// data.dir.
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// How long it records: 30s, 10m, 8h.
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub(crate) bound_time: Duration,
    /// Frames a second over all symbols. The default is a normal load for ten symbols.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) rate: u64,
    /// Symbols that are simulated.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=SYMBOLS_MAX))]
    pub(crate) symbols: u64,
    /// What goes wrong after a third of the time. What it is meant to break is told as expected, the rest must hold.
    #[arg(long, value_enum, default_value_t = Fault::None)]
    pub(crate) fault: Fault,
    /// Writes the table as one JSON object, with a version; `-` is standard output, in place of the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Keeps what was recorded, also when everything passes.
    #[arg(long)]
    pub(crate) keep: bool,
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The database takes connections and answers nothing, for a while.
    StalledSink,
    /// A strategy that takes a second for each bar, from the start on.
    SlowStrategy,
    /// The recorder is killed and started again.
    Kill,
    /// The disk is full for a while. Needs the right to mount: a small disk in memory is filled, no real one.
    DiskFull,
}

impl Fault {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StalledSink => "stalled-sink",
            Self::SlowStrategy => "slow-strategy",
            Self::Kill => "kill",
            Self::DiskFull => "disk-full",
        }
    }
}
