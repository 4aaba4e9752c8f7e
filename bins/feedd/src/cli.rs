//! The command line.

use clap::{Args, Parser, Subcommand};
use feedd_config::Overrides;
use std::path::PathBuf;
use std::time::Duration;

/// Records market data without losing any silently.
#[derive(Debug, Parser)]
#[command(name = "feedd", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record. Without a configuration: ten simulated symbols to Parquet files below ./feedd-data.
    Run(RunArgs),
    /// Check a configuration and say what a run would do. Exit code 0, or 2 when something is wrong.
    Check(ConfigArgs),
    /// Print the normalised events of capture files as JSON lines, or a summary with exact sums and digests.
    Decode(DecodeArgs),
}

/// Where the configuration comes from; later ones win: profile, file, environment (FEEDD_SECTION__KEY), flags.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    /// Configuration file (TOML); config/feedd.example.toml explains every key. Also FEEDD_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Defaults for one purpose: default, low-memory, low-latency, high-volume.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Data folder (data.dir).
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Sink instead of the configured ones: parquet, postgres, null. May be given again.
    #[arg(long = "sink", value_name = "KIND")]
    sinks: Vec<String>,
    /// Source instead of the configured ones: sim, or capture:PATH. May be given again.
    #[arg(long = "source", value_name = "SPEC")]
    sources: Vec<String>,
    /// Any key: --set batch.max_events=250. May be given again.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Stop after this time: 30s, 10m, 1h.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) bound_time: Option<Duration>,
    /// Stop after this many events (each source ends with the message that reaches the bound).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct DecodeArgs {
    /// Capture files (*.jsonl, *.jsonl.zst) or folders of them.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Venue of the frames; otherwise the name of each file's folder.
    #[arg(long, value_name = "VENUE")]
    pub(crate) venue: Option<String>,
    /// One summary a file instead of its events: counts, exact sums, SHA-256 digests.
    #[arg(long)]
    pub(crate) summary: bool,
}

impl ConfigArgs {
    /// As the loader takes them.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides {
            profile: self.profile.clone(),
            data_dir: self.data_dir.clone(),
            sinks: self.sinks.clone(),
            sources: self.sources.clone(),
            sets: self.sets.clone(),
        }
    }

    /// The file, by flag or environment.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("FEEDD_CONFIG").map(PathBuf::from))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    feedd_config::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a number and a unit (ms, s, m, h, d), such as 30s".to_owned())
}
