//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use feedd_core::wait::WaitStrategy;
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
    /// How long events take at fixed rates, until handed over, durable and stored; and what each way of waiting costs.
    Latency(LatencyArgs),
    /// From a socket to what is stored: the rate that is kept up with, what it costs, and how long events take.
    EndToEnd(EndToEndArgs),
    /// Whether an event costs the same with more symbols, and after more events.
    Growth(GrowthArgs),
    /// What a host needs for a number of symbols and a rate: cores, memory and disk, step by step.
    Size(SizeArgs),
    /// Recorded frames to messages, against typed structs of serde_json and sonic-rs.
    Decode(DecodeArgs),
    /// From a trade to a bar and to strategies, step by step; and what shared blocks spare, beside lists that are copied.
    Analysis(AnalysisArgs),
    /// What it costs to be looked at: throughput with ten scrapes a second and a dashboard, against nobody who looks.
    Scrape(ScrapeArgs),
    /// Every measurement in turn. `--markdown FILE` writes one document, with charts in a folder beside it.
    All(AllArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinkCommand {
    /// Against psql's \copy of encoded files, tokio-postgres' COPY writer, and multi-row INSERT into an indexed table.
    Postgres(PostgresArgs),
    /// Against the sink's library alone, and against pyarrow, Polars and DuckDB.
    Parquet(ParquetArgs),
    /// The journal's group commits against a bare loop of writes and syncs.
    Journal(JournalArgs),
    /// Rows a second that a sink which stores nothing reads.
    Null(NullArgs),
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
pub(crate) struct ParquetArgs {
    /// Rows of one run.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// Rounds of all ways, after one that does not count.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Folder for the files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Python that has pyarrow, polars and duckdb; the ways of those that it lacks are left out.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct NullArgs {
    /// Rows of one run.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// Runs.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) runs: u32,
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
    #[arg(long, value_name = "N", default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..))]
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
    /// Only these cases, by their names in the JSON, such as `pipeline,rtrb`.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
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
pub(crate) struct DecodeArgs {
    /// Folder with a folder of captures for each venue; `captures` in $FEEDD_SHARED or in ../shared by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) captures: Option<PathBuf>,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 9.
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only this venue.
    #[arg(long, value_name = "VENUE")]
    pub(crate) venue: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AnalysisArgs {
    /// Trades that are prepared, 64 bytes each in memory. A run on one thread goes over them several times.
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(50_000..=20_000_000))]
    pub(crate) events: u64,
    /// Trades in each second of the market, of ten symbols: how many make a bar. It is played faster than that.
    #[arg(long, value_name = "N", default_value = "10k", value_parser = rate)]
    pub(crate) rate: u64,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 7.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
}

#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// Events a second; those above 1m only for `spin`, unless one strategy is chosen.
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "10k,100k,1m,5m", value_parser = rate)]
    pub(crate) rates: Vec<u64>,
    /// Length of a run. Idle time is measured for as long, a second at most, after twice as long a silence.
    #[arg(long, value_name = "S", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 5.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// How the batching thread waits. In front of a journal it is adaptive, unless one is chosen.
    #[arg(long, value_enum, default_value_t = WaitsArg::All)]
    pub(crate) wait: WaitsArg,
    /// Folder for the journal, which is removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct EndToEndArgs {
    /// A part of the cases. The figures are not worth quoting.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How long a rate is held that was kept up with; a step on the way there is three eighths of it.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Rounds of all cases, after one that finds the rates. Figures worth quoting need 3.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Only cases whose names in the JSON contain one of these words, such as `parquet_ws,symbols_1000`.
    #[arg(long, value_name = "WORD,...", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Folder for the journal and the files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Which of the processes that measuring starts this is.
    #[arg(long, value_enum, hide = true)]
    pub(crate) role: Option<RoleArg>,
    /// Where it runs.
    #[arg(long, value_delimiter = ',', hide = true, requires = "role")]
    pub(crate) cores: Vec<usize>,
}

/// A process of `end-to-end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Sends frames.
    Generator,
    /// Records them.
    Recorder,
}

impl RoleArg {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Recorder => "recorder",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct GrowthArgs {
    /// Up to 1e8 events instead of 1e9. The figures are not worth quoting.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Events of the longest run: every power of ten from 1e6 up to it is measured.
    #[arg(long, value_name = "N", default_value_t = 1_000_000_000, value_parser = clap::value_parser!(u64).range(1_000_000..=1_000_000_000))]
    pub(crate) events_max: u64,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 5.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Folder for files, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct SizeArgs {
    /// Symbols, over all venues.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) symbols: u32,
    /// Events a second over all symbols that have to be kept up with: trades, quotes and depth levels, at the peak.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: u64,
    /// Events a second over a whole day, for the disk. The peak by default.
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) mean_rate: Option<u64>,
    /// Where the events go.
    #[arg(long, value_enum, default_value_t = StoreArg::Parquet)]
    pub(crate) sink: StoreArg,
    /// Days that are kept, for the size of the disk.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) retain_days: Option<u32>,
    /// Folder for the journal and the files that are measured, which are removed; the system's temporary folder by default.
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ScrapeArgs {
    /// Length of a run.
    #[arg(long, value_name = "S", default_value_t = 2.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Rounds of all cases, after one that does not count. Figures worth quoting need 20.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// The recorder's program, built with the same profile. By default `feedd` beside this program.
    #[arg(long, value_name = "PATH")]
    pub(crate) feedd: Option<PathBuf>,
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
    /// Python that has pyarrow, polars and duckdb; the ways of those that it lacks are left out.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Keeps what each measurement found in this folder, and measures what is not there yet: a run of more than an hour can
    /// be stopped and gone on with. What another commit or other options gave is measured anew.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
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
pub(crate) enum StoreArg {
    /// Files.
    Parquet,
    /// A database. Without --host a server of its own is started and removed.
    Postgres,
}

impl StoreArg {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Postgres => "postgres",
        }
    }
}

/// One waiting strategy, or each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WaitsArg {
    /// Each of them.
    All,
    /// Spins, naps, parks in silence.
    Adaptive,
    /// Never sleeps.
    Spin,
    /// Gives its core away between two looks.
    Yield,
    /// Spins, then parks.
    Park,
}

impl WaitsArg {
    pub(crate) const fn includes(self, wait: WaitStrategy) -> bool {
        match self {
            Self::All => true,
            Self::Adaptive => matches!(wait, WaitStrategy::Adaptive),
            Self::Spin => matches!(wait, WaitStrategy::Spin),
            Self::Yield => matches!(wait, WaitStrategy::Yield),
            Self::Park => matches!(wait, WaitStrategy::Park),
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

/// Events a second: a whole number, `k` for thousands, `m` for millions.
fn rate(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let rate = digits.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    let rate = rate.filter(|rate| (1..=RATE_MAX).contains(rate));
    rate.ok_or_else(|| "write events a second from 1 to 1000m, such as 500, 10k or 1m".to_owned())
}

/// One event a nanosecond.
const RATE_MAX: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn rates_are_read_with_their_unit() {
        let good = [("1", 1), ("500", 500), ("10k", 10_000), ("1M", 1_000_000), ("1000m", RATE_MAX)];
        for (text, expected) in good {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "0", "k", "1.5m", "-1", "1001m", "99999999999999999999m", "1g"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }
}
