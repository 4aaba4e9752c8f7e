//! The settings that are one word of a few.

use std::fmt;

/// A closed set of words.
pub(crate) trait Choice: Copy + PartialEq + 'static {
    /// What a word stands for, in messages.
    const NOUN: &'static str;
    /// Every word with its value.
    const ALL: &'static [(&'static str, Self)];

    /// The word of a value.
    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// Defaults for one purpose; single keys override them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// The defaults as documented at each key.
    #[default]
    Default,
    /// `ring.capacity` 5,000 and `batch.max_events` 250.
    LowMemory,
    /// `batch.max_age` 2 s.
    LowLatency,
    /// `batch.max_events` 1,000.
    HighVolume,
}

/// What a producer does with a message that finds its ring full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FullPolicy {
    /// Waits for room: nothing is lost here, the socket pushes back.
    #[default]
    Block,
    /// Drops whole messages, counts them and marks the place by a gap event.
    Drop,
}

/// How the batching thread waits for events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Spins for a moment, then sleeps shortly, after a longer silence parks.
    #[default]
    Adaptive,
    /// Spins always: lowest latency, a whole core.
    Spin,
    /// Gives its turn to other threads between looks.
    Yield,
    /// Parks at once when there is nothing: least CPU, a wake-up for each burst.
    Park,
}

/// Which sink stores the events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkKind {
    /// Parquet files, see [`crate::Parquet`].
    #[default]
    Parquet,
    /// Tables of a PostgreSQL database, see [`crate::Postgres`].
    Postgres,
    /// Counts the events and stores nothing: for measuring.
    Null,
}

/// Whether events pass through the journal on their way to the sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JournalMode {
    /// Yes, unless every sink is `"null"`.
    #[default]
    Auto,
    /// Yes.
    On,
    /// No, for measuring: a crash loses what is not stored yet.
    Off,
}

/// How the PostgreSQL sink lays its rows out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostgresLayout {
    /// Narrow tables of whole numbers, with views that show exact values.
    #[default]
    Compact,
    /// Tables that show exact values themselves, at the cost of size and speed.
    Readable,
}

/// How the connection to PostgreSQL is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostgresTls {
    /// As `"verify-full"` over a network, not at all on this machine.
    #[default]
    Auto,
    /// Always, and the server's certificate and name are checked.
    VerifyFull,
    /// Never.
    Disable,
}

/// What happens to a trade that jumps away from the last agreed price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JumpAction {
    /// Stored with a flag.
    #[default]
    Flag,
    /// Kept as a dead letter.
    Reject,
}

/// What an interval without trades gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyBars {
    /// Nothing.
    #[default]
    None,
    /// One bar with the last close and volume 0, marked as synthetic.
    Synthetic,
}

/// Against what a paper order is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FillAt {
    /// The next quote; where the venue sends none, the next trade.
    #[default]
    QuoteOrTrade,
    /// The next trade.
    Trade,
}

/// Which messages of a market are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Executions.
    Trades,
    /// Best bid and ask.
    Quotes,
    /// Price levels: a snapshot, then deltas.
    Depth,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Data lost or a person needed.
    Error,
    /// Recovered troubles, too.
    Warn,
    /// Milestones and the health line, too.
    #[default]
    Info,
    /// Changes of state, too.
    Debug,
    /// Everything.
    Trace,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Which kind of source; its own keys depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Sim,
    Capture,
    Venue,
}

impl Choice for Profile {
    const NOUN: &'static str = "profile";
    const ALL: &'static [(&'static str, Self)] = &[
        ("default", Self::Default),
        ("low-memory", Self::LowMemory),
        ("low-latency", Self::LowLatency),
        ("high-volume", Self::HighVolume),
    ];
}

impl Choice for FullPolicy {
    const NOUN: &'static str = "policy";
    const ALL: &'static [(&'static str, Self)] = &[("block", Self::Block), ("drop", Self::Drop)];
}

impl Choice for Wait {
    const NOUN: &'static str = "wait strategy";
    const ALL: &'static [(&'static str, Self)] =
        &[("adaptive", Self::Adaptive), ("spin", Self::Spin), ("yield", Self::Yield), ("park", Self::Park)];
}

impl Choice for SinkKind {
    const NOUN: &'static str = "sink";
    const ALL: &'static [(&'static str, Self)] =
        &[("parquet", Self::Parquet), ("postgres", Self::Postgres), ("null", Self::Null)];
}

impl Choice for JournalMode {
    const NOUN: &'static str = "mode";
    const ALL: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];
}

impl Choice for PostgresLayout {
    const NOUN: &'static str = "layout";
    const ALL: &'static [(&'static str, Self)] = &[("compact", Self::Compact), ("readable", Self::Readable)];
}

impl Choice for PostgresTls {
    const NOUN: &'static str = "kind of encryption";
    const ALL: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("verify-full", Self::VerifyFull), ("disable", Self::Disable)];
}

impl Choice for JumpAction {
    const NOUN: &'static str = "action";
    const ALL: &'static [(&'static str, Self)] = &[("flag", Self::Flag), ("reject", Self::Reject)];
}

impl Choice for EmptyBars {
    const NOUN: &'static str = "policy";
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::None), ("synthetic", Self::Synthetic)];
}

impl Choice for FillAt {
    const NOUN: &'static str = "way to fill";
    const ALL: &'static [(&'static str, Self)] = &[("quote_or_trade", Self::QuoteOrTrade), ("trade", Self::Trade)];
}

impl Choice for Channel {
    const NOUN: &'static str = "channel";
    const ALL: &'static [(&'static str, Self)] =
        &[("trades", Self::Trades), ("quotes", Self::Quotes), ("depth", Self::Depth)];
}

impl Choice for Level {
    const NOUN: &'static str = "log level";
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl Choice for LogFormat {
    const NOUN: &'static str = "log format";
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for Kind {
    const NOUN: &'static str = "kind of source";
    const ALL: &'static [(&'static str, Self)] =
        &[("sim", Self::Sim), ("capture", Self::Capture), ("venue", Self::Venue)];
}

/// Shows a choice as the configuration spells it.
macro_rules! display_as_word {
    ($($choice:ty),*) => {$(
        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    )*};
}

display_as_word!(
    Profile,
    FullPolicy,
    Wait,
    SinkKind,
    JournalMode,
    PostgresLayout,
    PostgresTls,
    JumpAction,
    EmptyBars,
    FillAt,
    Channel,
    Level,
    LogFormat,
    Kind
);
