//! The command line.

use clap::{Args, Parser, Subcommand};
use feedd_config::Overrides;
use feedd_model::{Epoch, Position, Seq, UnixNanos};
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
    /// Show how the live sources spread over connections and threads, within the venues' limits. Needs no network.
    Plan(PlanArgs),
    /// Print the normalised events of capture files as JSON lines, or a summary with exact sums and digests.
    Decode(DecodeArgs),
    /// Show the book of a symbol at the end of a recording or tape, or at a moment in it. Exit code 1 when it is not whole.
    Book(BookArgs),
    /// Look into the journal; works beside a running recorder and changes nothing.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Look after the tables of the PostgreSQL sink.
    #[command(subcommand)]
    Db(DbCommand),
    /// Events a sink refused: list them, and store them after all.
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Count what every sink holds and compare it with its position, its quarantine and the journal. Exit code 0 for PASS,
    /// 1 for FAIL, 2 when something could not be looked at.
    Verify(VerifyArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Read everything and check every checksum. Exit code 0, or 1 when something is damaged.
    Verify(ConfigArgs),
    /// Sizes, and the oldest and newest event.
    Stat(StatArgs),
    /// Print every frame, or every event as a JSON line. Exit code 1 when a frame is damaged.
    Dump(DumpArgs),
    /// Show what the next start would do about damaged places. Exit code 1 when there are any.
    Repair(RepairArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the schema up to date.
    Migrate(ConfigArgs),
    /// Version, layout, sizes and stored positions; changes nothing.
    Status(StatusArgs),
    /// Drop the partitions of days that are too old.
    Retain(RetainArgs),
    /// Do now what the sink does by itself in the background: make the partitions ahead, index finished days.
    Maintain(ConfigArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Events that wait.
    #[command(mut_arg("sinks", by_name))]
    List(ListArgs),
    /// Offer events to their sinks once more. Exit code 1 when some remain.
    #[command(mut_arg("sinks", by_name))]
    Retry(RetryArgs),
}

/// Where the configuration comes from; later ones win: profile, file, environment (FEEDD_SECTION__KEY), flags.
#[derive(Args, Clone, Debug)]
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

#[derive(Args, Debug)]
pub(crate) struct BookArgs {
    /// Symbol as the venue writes it; Bybit's recordings of several markets: `connection/symbol`.
    #[arg(value_name = "SYMBOL")]
    pub(crate) symbol: String,
    /// Capture file, or a folder of them that go on one after the other, as a tape does.
    #[arg(long, value_name = "PATH")]
    pub(crate) from: PathBuf,
    /// Venue of the frames; otherwise the name of the file's folder.
    #[arg(long, value_name = "VENUE")]
    pub(crate) venue: Option<String>,
    /// Receive time up to which frames are read, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    pub(crate) at: Option<UnixNanos>,
    /// Levels of each side.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) levels: usize,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A receive time.
fn rfc3339(text: &str) -> Result<UnixNanos, String> {
    feedd_venues::time_text::rfc3339(text.as_bytes())
        .ok_or_else(|| "write a time such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.123456789+01:00".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// One JSON object, with a version.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// One JSON object, with a version.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DumpArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Stop after this many lines.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// One JSON line an event instead of one line a frame.
    #[arg(long)]
    pub(crate) events: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RepairArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// The only way: a start of the recorder repairs by itself.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// One JSON object, with a version.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RetainArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Whole days before today (UTC) that stay.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_days: u32,
    /// Only say what would be dropped.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// One JSON line an event, with a version.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also those that were stored since.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Only this event. May be given again.
    #[arg(long = "seq", value_name = "EPOCH:SEQ", value_parser = place)]
    pub(crate) seqs: Vec<Position>,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// One JSON object, with a version.
    #[arg(long)]
    pub(crate) json: bool,
    /// Only this start. May be given again.
    #[arg(long = "epoch", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) epochs: Vec<u32>,
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

    /// Takes the values of `--sink` as names of sinks to work on, in the place of the kinds that `run` gives them to.
    pub(crate) fn sink_names(&self) -> (Self, Vec<String>) {
        (Self { sinks: Vec::new(), ..self.clone() }, self.sinks.clone())
    }

    /// The file, by flag or environment.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| std::env::var_os("FEEDD_CONFIG").map(PathBuf::from))
    }
}

/// `--sink` where it chooses among the sinks that there are.
fn by_name(sinks: clap::Arg) -> clap::Arg {
    sinks.value_name("NAME").help("Only this sink, by its name. May be given again")
}

fn place(text: &str) -> Result<Position, String> {
    let parts = text.split_once(':').and_then(|(epoch, seq)| Some((epoch.parse().ok()?, seq.parse().ok()?)));
    let (epoch, seq) = parts.ok_or_else(|| "write an epoch and a sequence number, such as 3:1042".to_owned())?;
    Ok(Position { epoch: Epoch(epoch), seq: Seq(seq) })
}

fn duration(text: &str) -> Result<Duration, String> {
    feedd_config::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a number and a unit (ms, s, m, h, d), such as 30s".to_owned())
}
