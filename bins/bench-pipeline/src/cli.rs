//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use feedd_sink_postgres::Layout;
use std::path::PathBuf;

/// Measures feedd, beside what is possible on the same machine.
#[derive(Debug, Parser)]
#[command(name = "bench-pipeline", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Where it goes. Without any of these, tables go to standard output.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Writes one JSON object, with a version; `-` is standard output, in place of the tables.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Writes the tables as Markdown.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) markdown: Option<PathBuf>,
    /// Draws the cases as an SVG chart.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) svg: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A sink alone: rows that exist already, written in batches.
    #[command(subcommand)]
    Sink(SinkCommand),
    /// Events from producers to a lane, against the bare ring and against a tokio channel.
    HotPath(HotPathArgs),
    /// Every measurement in turn. `--markdown FILE` writes one document, with charts in a folder beside it.
    All(AllArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// Against psql's \copy of encoded files, and against multi-row INSERT into an indexed table.
    Postgres(PostgresArgs),
    /// Rows a second and bytes a row.
    Parquet(LocalArgs),
    /// The journal's group commits against a bare loop of writes and syncs.
    Journal(JournalArgs),
    /// Rows a second that a sink which stores nothing reads.
    Null(LocalArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PostgresArgs {
    /// Rows of one run. Below 200,000 the start of a COPY weighs in.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// Pairs of runs for each comparison. Figures worth quoting need 21.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pairs: u32,
    /// How the sink keeps rows.
    #[arg(long, value_enum, default_value_t = LayoutArg::Compact)]
    pub(crate) layout: LayoutArg,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// A server that is there already. Without these a server of its own is started, with fsync on, and removed.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Host name, or folder of the Unix socket. The server must run on this machine: CPU times are read from /proc. The
    /// password, if any, is read from PGPASSWORD.
    #[arg(long, value_name = "HOST", requires = "database")]
    pub(crate) host: Option<String>,
    /// Port.
    #[arg(long, value_name = "N", default_value_t = 5432, requires = "host")]
    pub(crate) port: u16,
    /// Role: may create a schema and run CHECKPOINT.
    #[arg(long, value_name = "NAME", default_value = "postgres", requires = "host")]
    pub(crate) user: String,
    /// Database. A schema `feedd_bench` is made in it and removed.
    #[arg(long, value_name = "NAME", requires = "host")]
    pub(crate) database: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct LocalArgs {
    /// Rows of one run.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// Runs.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
    /// Folder for the files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct JournalArgs {
    /// Time for all sizes together, preparing excluded. Each size gets at least three pairs.
    #[arg(long, value_name = "S", default_value_t = 6.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Bytes of a segment. The default is the recorder's.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, value_parser = clap::value_parser!(u64).range(4 << 20..=1 << 30))]
    pub(crate) segment_bytes: u64,
    /// Folder for the files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct HotPathArgs {
    /// Events of a run of the fastest case; slower ones get a fixed part of it.
    #[arg(long, value_name = "N", default_value_t = 20_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..))]
    pub(crate) events: u64,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 7.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Processes that measure, one after the other. Figures worth quoting need 5.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) processes: u32,
    /// Slots of each ring. The default is the recorder's.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=1 << 24))]
    pub(crate) ring: u32,
    /// Events that a producer publishes at once, and the bare ring writes at once.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) burst: u32,
    /// How the batching thread waits.
    #[arg(long, value_enum, default_value_t = WaitArg::Adaptive)]
    pub(crate) wait: WaitArg,
    /// Leaves the threads where the system puts them.
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Folder for the journal and the files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct AllArgs {
    /// Less than five minutes on two cores. The figures are not worth quoting.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Folder for what is measured on a disk, which is removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitArg {
    /// Spins, naps, parks in silence.
    Adaptive,
    /// Never sleeps.
    Spin,
    /// Gives its core away between two looks.
    Yield,
    /// Spins, then parks.
    Park,
}

impl WaitArg {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Spin => "spin",
            Self::Yield => "yield",
            Self::Park => "park",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LayoutArg {
    /// Integer ids and mantissas; views show the values.
    Compact,
    /// Texts, times and NUMERIC in the tables.
    Readable,
}

impl LayoutArg {
    pub(crate) const fn layout(self) -> Layout {
        match self {
            Self::Compact => Layout::Compact,
            Self::Readable => Layout::Readable,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 6 or 0.5".to_owned())?;
    if seconds > 0.0 && seconds <= 86_400.0 { Ok(seconds) } else { Err("more than 0, at most a day".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
