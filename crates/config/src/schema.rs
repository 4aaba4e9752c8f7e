//! The resolved configuration: plain values, with the default and unit of every key.

use crate::admin::Admin;
use crate::alerts::Alerts;
use crate::analysis::{Analysis, Paper, StrategySettings};
use crate::choice::{JournalMode, JumpAction, Level, LogFormat, Profile, SinkKind, Wait};
use crate::journal::Journal;
use crate::postgres::Postgres;
use crate::sinks::Sink;
use crate::source::{Core, Source};
use crate::tape::Tape;
use crate::units::Percent;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Everything a run needs to know, valid by construction when it comes from [`crate::load`].
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `profile = "default"`: defaults for one purpose, below every single key.
    pub profile: Profile,
    /// `[data]`: where the recorder keeps its files.
    pub data: Data,
    /// `[[source]]`: what is recorded, each with a ring and a thread of its own. Default: one simulated market.
    pub sources: Vec<Source>,
    /// `[tape]`: the frames of live sources as they came.
    pub tape: Tape,
    /// `[ring]`: the queue between each source and the batching thread.
    pub ring: Ring,
    /// `[batching]`: the thread that drains the rings.
    pub batching: Batching,
    /// `[journal]`: what is kept of the events until the sinks have them.
    pub journal: Journal,
    /// `[batch]`: how much is offered to a sink at once.
    pub batch: Batch,
    /// `[retry]`: what happens when a sink cannot store.
    pub retry: Retry,
    /// `[quarantine]`: what happens to events that a sink refuses.
    pub quarantine: Quarantine,
    /// `[sink]` or `[[sink]]`: where the events go; at least one, each kind once. Default: Parquet files.
    pub sinks: Vec<Sink>,
    /// `[parquet]`: the files of the Parquet sink.
    pub parquet: Parquet,
    /// `[postgres]`: the database of the PostgreSQL sink.
    pub postgres: Postgres,
    /// `[analysis]`: bars and strategies.
    pub analysis: Analysis,
    /// `[paper]`: the books of strategies.
    pub paper: Paper,
    /// `[[strategy]]`: what trades on paper or only signals. Default: none.
    pub strategies: Vec<StrategySettings>,
    /// `[validation]`: doubtful trades; the starting point of every source's own values.
    pub validation: Validation,
    /// `[decode]`: from frames to events.
    pub decode: Decode,
    /// `[dead_letters]`: what could not be decoded or was refused.
    pub dead_letters: DeadLetters,
    /// `[log]`: what is written to standard error.
    pub log: Log,
    /// `[health]`: the health line and its warning levels.
    pub health: Health,
    /// `[admin]`: what operators look at.
    pub admin: Admin,
    /// `[alerts]`: what is told when something is wrong.
    pub alerts: Alerts,
    /// `[stop]`: the way down.
    pub stop: Stop,
}

/// `[data]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// Folder of everything that outlives a run, created when missing. Default `./feedd-data`.
    pub dir: PathBuf,
}

/// `[ring]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Slots of each source's ring, in events of 64 bytes; 64 to 16,777,216. Default 10,000.
    pub capacity: usize,
}

/// `[batching]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batching {
    /// Core of the batching thread: `"auto"`, `"none"` or a number. Default `"auto"`.
    pub core: Core,
    /// How it waits when there is nothing to do. Default `"adaptive"`.
    pub wait: Wait,
}

/// `[batch]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Events in a batch at rest; 1 to 1,000,000. Default 500.
    pub max_events: usize,
    /// Age of the oldest event at which a smaller batch is offered; 1 ms to 1 h. Default 5 s.
    pub max_age: Duration,
}

/// `[retry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Quick attempts before the waits begin to grow; 0 to 1,000. Default 3. Nothing is discarded after them.
    pub attempts: u32,
    /// Wait before a quick attempt; 1 ms to 1 h. Default 1 s.
    pub delay: Duration,
    /// Longest wait between later attempts; at least `delay`, at most 1 d. Default 30 s.
    pub max_delay: Duration,
    /// How long a sink must have worked before its waits begin anew from the shortest; 0 s to 1 h. Default 60 s.
    pub stable: Duration,
}

/// `[quarantine]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantine {
    /// Most bytes of a sink's file of refused events; 64 KiB to 1 TiB. Default 256 MiB. At the limit the sink waits
    /// until the file is emptied: nothing is thrown away.
    pub bytes_max: u64,
}

/// `[parquet]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parquet {
    /// Folder of the datasets. Default: the value of `data.dir`.
    pub dir: PathBuf,
    /// A file is finished when it holds this many bytes; 64 KiB to 1 TiB. Default 128 MiB.
    pub file_bytes_max: u64,
    /// A file is finished when it is this old; 1 s to 30 d. Default 5 m.
    pub file_age_max: Duration,
    /// Rows of a row group; 1,024 to 16,777,216. Default 131,072.
    pub row_group_rows_max: usize,
    /// Bytes buffered over all open row groups; 1 MiB to 1 TiB. Default 64 MiB.
    pub memory_max: u64,
    /// Zstandard level; 1 to 22. Default 1.
    pub compression_level: i32,
}

/// `[validation]`, and `[source.validation]` with single keys of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// Whether trades are checked at all. Default true.
    pub enabled: bool,
    /// Largest step from the last agreed price that counts as normal; up to 100,000 %. Default 10 %.
    pub price_jump: Percent,
    /// What happens to a larger step. Default `"flag"`.
    pub price_jump_action: JumpAction,
    /// Trades near each other that make a new agreed price; 1 to 1,000. Default 5.
    pub price_jump_confirm_trades: u32,
    /// How far the venue's time may be ahead of ours; 1 ms to 36,500 d. Default 5 m.
    pub future_max: Duration,
    /// How far the venue's time may be behind ours; 1 ms to 36,500 d. Default 3,650 d.
    pub past_max: Duration,
}

/// `[decode]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decode {
    /// Largest frame in bytes; a larger one is a dead letter; 1 KiB to 16 MiB, the decoders' own limit. Default
    /// 16 MiB.
    pub frame_bytes_max: u64,
    /// Whether frames of unknown kinds are kept as dead letters, too. Default false: they are only counted.
    pub keep_unknown: bool,
}

/// `[dead_letters]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// Whether rejected frames and events are kept in a file below `data.dir`. Default true; they are always counted.
    pub enabled: bool,
    /// Most bytes of that file; 64 KiB to 1 TiB. Default 256 MiB.
    pub bytes_max: u64,
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// A level, or a list of a level and levels of single targets. Default `"info"`.
    pub level: LogLevels,
    /// `"text"` or `"json"`. Default `"text"`.
    pub format: LogFormat,
}

/// The level of everything, and of single targets such as `feedd_core`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLevels {
    /// Of every target that is not named.
    pub default: Level,
    /// Of named targets, in the order given.
    pub targets: Vec<(String, Level)>,
}

/// `[health]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Time between two health lines; 100 ms to 1 d. Default 30 s.
    pub interval: Duration,
    /// Ring fill in percent above which a debug line is written; 1 to 100, below `utilisation_warn`. Default 50.
    pub utilisation_debug: u8,
    /// Ring fill in percent above which a warning is written; 1 to 100. Default 80.
    pub utilisation_warn: u8,
    /// Fill of the batch buffer in percent above which a warning is written; 1 to 100. Default 80.
    pub batch_buffer_warn: u8,
}

/// `[stop]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Longest time from the signal to stop until the process ends; 100 ms to 1 h. Default 10 s.
    pub deadline: Duration,
}

impl Config {
    /// The defaults of a profile.
    #[must_use]
    pub fn of_profile(profile: Profile) -> Self {
        let mut config = Self { profile, ..Self::default() };
        match profile {
            Profile::Default => {}
            Profile::LowMemory => (config.ring.capacity, config.batch.max_events) = (5_000, 250),
            Profile::LowLatency => config.batch.max_age = Duration::from_secs(2),
            Profile::HighVolume => config.batch.max_events = 1_000,
        }
        config
    }

    /// Whether one of the sinks is of this kind.
    #[must_use]
    pub fn has_sink(&self, kind: SinkKind) -> bool {
        self.sinks.iter().any(|sink| sink.kind == kind)
    }

    /// Whether events pass through the journal.
    #[must_use]
    pub fn is_journalled(&self) -> bool {
        match self.journal.mode {
            JournalMode::Auto => self.sinks.iter().any(|sink| sink.kind != SinkKind::Null),
            JournalMode::On => true,
            JournalMode::Off => false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let (data, validation) = (Data::default(), Validation::default());
        Self {
            profile: Profile::Default,
            parquet: Parquet { dir: data.dir.clone(), ..Parquet::default() },
            postgres: Postgres::default(),
            journal: Journal::below(&data.dir),
            tape: Tape::below(&data.dir),
            data,
            sources: vec![Source::sim(&validation)],
            ring: Ring::default(),
            batching: Batching::default(),
            batch: Batch::default(),
            retry: Retry::default(),
            quarantine: Quarantine::default(),
            sinks: vec![Sink::of_kind(SinkKind::default())],
            analysis: Analysis::default(),
            paper: Paper::default(),
            strategies: Vec::new(),
            validation,
            decode: Decode::default(),
            dead_letters: DeadLetters::default(),
            log: Log::default(),
            health: Health::default(),
            admin: Admin::default(),
            alerts: Alerts::default(),
            stop: Stop::default(),
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self { dir: "./feedd-data".into() }
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self { capacity: 10_000 }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self { max_events: 500, max_age: Duration::from_secs(5) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            stable: Duration::from_secs(60),
        }
    }
}

impl Default for Quarantine {
    fn default() -> Self {
        Self { bytes_max: 256 << 20 }
    }
}

impl Default for Parquet {
    fn default() -> Self {
        Self {
            dir: Data::default().dir,
            file_bytes_max: 128 << 20,
            file_age_max: Duration::from_secs(5 * 60),
            row_group_rows_max: 131_072,
            memory_max: 64 << 20,
            compression_level: 1,
        }
    }
}

impl Default for Validation {
    fn default() -> Self {
        Self {
            enabled: true,
            price_jump: Percent::from_bp(1_000),
            price_jump_action: JumpAction::Flag,
            price_jump_confirm_trades: 5,
            future_max: Duration::from_secs(5 * 60),
            past_max: Duration::from_secs(3_650 * 86_400),
        }
    }
}

impl Default for Decode {
    fn default() -> Self {
        Self { frame_bytes_max: 16 << 20, keep_unknown: false }
    }
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self { enabled: true, bytes_max: 256 << 20 }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), utilisation_debug: 50, utilisation_warn: 80, batch_buffer_warn: 80 }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10) }
    }
}

impl fmt::Display for LogLevels {
    /// As `info,feedd_core=debug`, which log filters read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.default)?;
        self.targets.iter().try_for_each(|(target, level)| write!(f, ",{target}={level}"))
    }
}
