//! The command line.

use crate::backtest_cmd::BacktestArgs;
use crate::quality_cmd::QualityArgs;
use crate::replay_cmd::ReplayArgs;
use crate::soak::SoakArgs;
use clap::{Args, Parser, Subcommand};
use feedd_config::Overrides;
use feedd_model::{Epoch, Position, Seq, UnixNanos};
use std::ffi::OsString;
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
    /// Show how a running recorder is: what is lost, who waits, what helps. Exit code 0 ok, 1 warning, 2 critical, 3 not reached.
    Status(StatusPageArgs),
    /// The same alive in a terminal: sources, symbols, sinks, gaps, findings and log of a running recorder. `?` lists the keys.
    Top(TopArgs),
    /// Show samples of what a running recorder records of a symbol, as they become durable. Exit code 3 when it is not reached.
    Tap(TapArgs),
    /// One line about a running recorder, for monitoring systems. Exit codes as of `status`.
    Health(HealthArgs),
    /// Let a running recorder read its configuration again: symbols, thresholds and log level change without an interruption. Exit
    /// code 0 when everything is in effect, 1 when some of it waits for the next start, 2 for mistakes, 3 when it was not reached.
    Reload(ReloadArgs),
    /// Check a configuration and say what a run would do. Exit code 0, or 2 when something is wrong.
    Check(ConfigArgs),
    /// Show how the live sources spread over connections and threads, within the venues' limits. Needs no network.
    Plan(PlanArgs),
    /// Print the normalised events of capture files as JSON lines, or a summary with exact sums and digests.
    Decode(DecodeArgs),
    /// Show the book of a symbol: of a running recorder, or with --from at the end of a recording or tape, or at a moment in
    /// it. Exit code 1 when it is not whole, 3 when the recorder is not reached.
    Book(BookArgs),
    /// Replay what was recorded, or public files of trades, in order and at any speed. Exit code 1 when a part could not be read.
    Replay(ReplayArgs),
    /// Replay with strategies on paper, and say how they did.
    Backtest(BacktestArgs),
    /// List the strategies and their parameters.
    Strategies,
    /// Show how whole the stored bars are, by symbol and interval, and where something is missing.
    Quality(QualityArgs),
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
    /// Try this host: record a simulated market for a while, and hold what is measured against bounds. Exit code 0 when all
    /// hold, 1 when one does not, 2 when it could not run.
    Soak(SoakArgs),
    /// Write the manual pages: feedd(1) and one for each command.
    Man(ManArgs),
    /// Print the completions of a shell.
    Completions(CompletionsArgs),
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
    /// Let the configured strategies trade on paper (analysis.paper = true).
    #[arg(long)]
    pub(crate) paper_trading: bool,
    /// Stop after this time: 30s, 10m, 1h.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) bound_time: Option<Duration>,
    /// Stop after this many events (each source ends with the message that reaches the bound).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: Option<u64>,
}

/// Which running recorder is asked.
#[derive(Args, Clone, Debug)]
pub(crate) struct AskArgs {
    /// Data folder of the recorder; otherwise that of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Ask over HTTP instead: http://HOST:PORT.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    pub(crate) url: Option<String>,
    /// Configuration file of the recorder. Also FEEDD_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Changes are made over the socket alone.
#[derive(Args, Debug)]
pub(crate) struct ReloadArgs {
    /// Data folder of the recorder; otherwise that of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Configuration file, to find the data folder by. The recorder reads the file that it was started with. Also
    /// FEEDD_CONFIG.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The answer as JSON; docs/operations.md describes it.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct StatusPageArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// The whole document as JSON; version 1 is described in docs/operations.md.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show it again and again, each second or as often as said.
    #[arg(long, value_name = "EVERY", value_parser = duration, num_args = 0..=1, default_missing_value = "1s")]
    pub(crate) watch: Option<Duration>,
}

#[derive(Args, Debug)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// How often the recorder is asked.
    #[arg(long, value_name = "EVERY", value_parser = duration, default_value = "1s")]
    pub(crate) every: Duration,
    /// Print one frame as text and end; exit codes as of `status`. It takes two looks, for the rates.
    #[arg(long)]
    pub(crate) once: bool,
    /// Write one frame into this file and end, as --once does.
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Columns and rows of that frame.
    #[arg(long, value_name = "COLSxROWS", value_parser = frame_size, default_value = "120x40")]
    pub(crate) size: (u16, u16),
}

/// Columns and rows.
fn frame_size(text: &str) -> Result<(u16, u16), String> {
    let size = text.split_once('x').and_then(|(columns, rows)| Some((columns.parse().ok()?, rows.parse().ok()?)));
    let size = size.filter(|(columns, rows)| (40..=500).contains(columns) && (10..=500).contains(rows));
    size.ok_or_else(|| "write columns and rows such as 120x40; 40x10 at least, 500x500 at most".to_owned())
}

#[derive(Args, Debug)]
pub(crate) struct TapArgs {
    /// Symbol as the venue writes it.
    #[arg(value_name = "SYMBOL")]
    pub(crate) symbol: String,
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Only of this source.
    #[arg(long, value_name = "NAME")]
    pub(crate) source: Option<String>,
    /// Only these: trades, quotes, depth, gaps, status, bars, signals, fills, equity; with commas between them.
    #[arg(long, value_name = "KINDS")]
    pub(crate) kind: Option<String>,
    /// Most events a second that are shown; the others are counted.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) rate: u32,
    /// End after so many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) ask: AskArgs,
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
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Only of this source of the running recorder.
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    pub(crate) source: Option<String>,
    /// Capture file, or a folder of them that go on one after the other, as a tape does; instead of a running recorder.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["data_dir", "url", "config"])]
    pub(crate) from: Option<PathBuf>,
    /// Venue of the frames; otherwise the name of the file's folder.
    #[arg(long, value_name = "VENUE", requires = "from")]
    pub(crate) venue: Option<String>,
    /// Receive time up to which frames are read, RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = rfc3339, requires = "from")]
    pub(crate) at: Option<UnixNanos>,
    /// Levels of each side.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) levels: usize,
    /// One JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A receive time.
pub(crate) fn rfc3339(text: &str) -> Result<UnixNanos, String> {
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

#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Folder of the files; it is made when it is missing. Otherwise feedd(1) is printed.
    #[arg(value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// For which shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
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

    /// The same with another data folder, with the simulator as the only source, and with more settings over all.
    pub(crate) fn in_place_of(&self, data_dir: PathBuf, sets: Vec<String>) -> Self {
        let sets = self.sets.iter().cloned().chain(sets).collect();
        Self { data_dir: Some(data_dir), sources: vec!["sim".to_owned()], sets, ..self.clone() }
    }

    /// Sources that were given here.
    pub(crate) fn sources_given(&self) -> usize {
        self.sources.len()
    }

    /// As they are given to another start of this program.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut all = Vec::new();
        let mut add = |flag: &str, value: OsString| all.extend([flag.into(), value]);
        self.config.iter().for_each(|file| add("--config", file.into()));
        self.profile.iter().for_each(|name| add("--profile", name.into()));
        self.data_dir.iter().for_each(|dir| add("--data-dir", dir.into()));
        self.sinks.iter().for_each(|kind| add("--sink", kind.into()));
        self.sources.iter().for_each(|spec| add("--source", spec.into()));
        self.sets.iter().for_each(|set| add("--set", set.into()));
        all
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

/// A duration that is no 0, as the configuration writes it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    feedd_config::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "write a number and a unit (ms, s, m, h, d), such as 30s".to_owned())
}
