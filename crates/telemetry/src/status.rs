//! The status document: what `feedd status`, the dashboard and `/status` show, made from one snapshot.
//!
//! Version 1. Fields are only added within a version; readers must pass over what they do not know.

use crate::alerts::Alert;
use crate::findings::{Finding, Level};
use crate::hops::StageView;
use crate::number::{duration, grouped};
use crate::snapshot::Snapshot;
use crate::status_hops::{latency, stage};
use crate::symbols::SymbolView;
use crate::watched::Watched;
use feedd_core::accounting::SourceTotals;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::status_hops::{LatencyStatus, StageStatus};

/// Version of [`Status`].
pub const STATUS_VERSION: u32 = 1;

/// Everything an operator can know of a run at one moment. Times are Unix nanoseconds, durations nanoseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// The program and its run.
    pub program: Program,
    /// When this was read.
    pub at: i64,
    /// The first line.
    pub verdict: Verdict,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// Findings that last: those that fire, that pend, and that were resolved in the last minutes.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Sums over the run.
    pub totals: Totals,
    /// Every source with its ring.
    pub sources: Vec<SourceStatus>,
    /// Every symbol that was heard.
    pub symbols: Vec<SymbolStatus>,
    /// The batching thread.
    pub batching: BatchingStatus,
    /// The journal, unless it is off.
    pub journal: Option<JournalStatus>,
    /// Every sink.
    pub sinks: Vec<SinkStatus>,
    /// The last holes that were marked, oldest first; all of them stand in the data.
    pub gaps: Vec<GapStatus>,
    /// The analysis lane's report; null while it is off.
    pub analysis: Value,
    /// How long events take from hop to hop, since the start.
    #[serde(default)]
    pub latency: Vec<LatencyStatus>,
    /// Every stage of the way.
    #[serde(default)]
    pub stages: Vec<StageStatus>,
    /// The last log lines, oldest first.
    pub log: Vec<LogLine>,
    /// Settings that are not defaults, secrets hidden.
    pub settings: Vec<SettingStatus>,
}

/// See [`Status::program`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Version of feedd.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When it was started.
    pub started_at: i64,
    /// Since then.
    pub uptime_ns: u64,
    /// Bytes of memory it holds (resident set).
    pub rss_bytes: u64,
    /// Start counter of the recorded stream.
    pub epoch: u32,
    /// Data folder.
    pub data_dir: String,
}

/// See [`Status::verdict`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst finding's.
    pub level: Level,
    /// One line for people.
    pub text: String,
    /// Whether any source is simulated.
    pub simulated: bool,
    /// Symbols that are heard as usual.
    pub symbols_fresh: u64,
    /// Symbols in all.
    pub symbols: u64,
    /// Events lost by policy, or not to be had for a sink.
    pub lost: u64,
    /// Highest sequence that survives a power cut; none without a journal.
    pub durable_seq: Option<u64>,
    /// Age of the oldest event that some sink has not been given.
    pub lag_ns: u64,
}

/// See [`Status::totals`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames received.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Frames rejected.
    pub frames_rejected: u64,
    /// Events decoded.
    pub decoded: u64,
    /// Events of the recorder's own (gaps, states, bars).
    pub own: u64,
    /// Events known already.
    pub duplicate: u64,
    /// Events rejected by validation.
    pub rejected: u64,
    /// Events lost by policy.
    pub dropped: u64,
    /// Events with a sequence number.
    pub accepted: u64,
    /// Accepted a second, over the last seconds.
    pub accepted_per_s: u64,
    /// Holes marked in the data.
    pub gaps: u64,
    /// Batches the sinks took.
    pub batches: u64,
    /// Batches that used up their quick attempts.
    pub batches_failed: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// How often the account did not hold: a defect of feedd unless 0.
    pub account_violations: u64,
}

/// One of [`Status::sources`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// As configured.
    pub name: String,
    /// Whether it has no more to deliver.
    pub ended: bool,
    /// Frames received.
    pub frames: u64,
    /// Frames rejected.
    pub frames_rejected: u64,
    /// Events accepted.
    pub accepted: u64,
    /// Accepted a second, over the last seconds.
    pub accepted_per_s: u64,
    /// Events lost by policy.
    pub dropped: u64,
    /// Holes marked.
    pub gaps: u64,
    /// Slots of its ring.
    pub ring_capacity: u64,
    /// Events in its ring.
    pub ring_depth: u64,
    /// Highest fill since the start.
    pub ring_peak: u64,
    /// How long it waited for room.
    pub blocked_ns: u64,
    /// Live: connections that deliver.
    pub connections: u64,
    /// Live: streams.
    pub streams: u64,
    /// Live: streams that are mute.
    pub streams_mute: u64,
    /// Live: connections opened in place of one that broke.
    pub reconnects: u64,
}

/// One of [`Status::symbols`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolStatus {
    /// Its source.
    pub source: String,
    /// Venue and market.
    pub venue: String,
    /// As the venue spells it.
    pub symbol: String,
    /// Messages of this start.
    pub messages: u64,
    /// Receive time of the last.
    pub last_at: Option<i64>,
    /// How long it has not been heard.
    pub quiet_ns: u64,
    /// Its usual pause; 0 while unknown.
    pub usual_ns: u64,
    /// Whether it has been quiet for too long.
    pub silent: bool,
}

/// See [`Status::batching`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchingStatus {
    /// Blocks handed on.
    pub blocks: u64,
    /// How long it waited for the lanes.
    pub blocked_ns: u64,
    /// Blocks that wait in the fullest link behind it.
    pub link_depth: u64,
    /// Blocks a link holds.
    pub link_capacity: u64,
    /// Most blocks that have waited in one of them.
    #[serde(default)]
    pub link_peak: u64,
}

/// See [`Status::journal`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStatus {
    /// Everything up to here survives a power cut.
    pub durable_seq: u64,
    /// Bytes of its segments.
    pub bytes: u64,
    /// Most bytes they may take.
    pub bytes_max: u64,
    /// How long it has waited for room; 0 while it has some.
    pub waiting_ns: u64,
    /// Group commits.
    pub commits: u64,
    /// Mean time of one.
    pub commit_ns_mean: u64,
    /// Writes or syncs that failed.
    pub failed_syncs: u64,
}

/// One of [`Status::sinks`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkStatus {
    /// As configured.
    pub name: String,
    /// Whether the recorder waits for it when the journal is full.
    pub required: bool,
    /// State of its breaker: starting, closed, "closed, retrying", open, half-open, stopped.
    pub state: String,
    /// How long it has failed.
    pub failing_ns: u64,
    /// Until its next attempt.
    pub next_attempt_ns: u64,
    /// Age of the oldest event that it was not given.
    pub lag_ns: u64,
    /// Events its lane has not read yet.
    pub backlog: u64,
    /// Events stored.
    pub stored: u64,
    /// Everything up to here is stored or kept aside.
    pub stored_seq: u64,
    /// Events refused and kept aside.
    pub quarantined: u64,
    /// Events it will not get.
    pub missed: u64,
    /// Events in its open batch.
    pub buffered: u64,
    /// Events a batch may hold now.
    #[serde(default)]
    pub buffer_limit: u64,
    /// Most events that an open batch has held.
    #[serde(default)]
    pub buffered_peak: u64,
    /// Batches it took.
    pub batches: u64,
    /// Attempts after the first.
    pub retries: u64,
    /// What it said when it failed last; empty when it never did.
    pub last_error: String,
}

/// One of [`Status::gaps`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapStatus {
    /// Its source.
    pub source: String,
    /// Its symbol; empty for a whole connection.
    pub symbol: String,
    /// Why, as stored.
    pub reason: String,
    /// Receive time of the last event before.
    pub from: Option<i64>,
    /// Receive time of the first event after.
    pub to: Option<i64>,
    /// First missing number.
    pub first_missing: Option<i64>,
    /// Last missing number.
    pub last_missing: Option<i64>,
    /// Events known to be missing.
    pub events: Option<u64>,
}

/// One of [`Status::log`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: i64,
    /// ERROR, WARN, INFO, DEBUG.
    pub level: String,
    /// What was said.
    pub text: String,
}

/// One of [`Status::settings`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingStatus {
    /// Path of the key.
    pub key: String,
    /// Its value; `***` for a secret.
    pub value: String,
    /// Where it was given.
    pub place: String,
}

/// What a status is made of beside the counters.
#[derive(Clone)]
pub struct Parts<'a> {
    /// Everything that is watched.
    pub watched: &'a Watched,
    /// A few seconds ago: for rates.
    pub before: &'a Snapshot,
    /// Now.
    pub now: &'a Snapshot,
    /// Every symbol now.
    pub symbols: &'a [SymbolView],
    /// Every stage now.
    pub stages: &'a [StageView],
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What of it lasts.
    pub alerts: Vec<Alert>,
    /// How often the account did not hold.
    pub violations: u64,
    /// The run.
    pub program: Program,
    /// The analysis lane's report.
    pub analysis: Value,
    /// The last log lines.
    pub log: Vec<LogLine>,
    /// Settings.
    pub settings: Vec<SettingStatus>,
}

impl Status {
    /// Puts a status together.
    #[must_use]
    pub fn new(parts: Parts<'_>) -> Self {
        let Parts {
            watched,
            before,
            now,
            symbols,
            stages,
            findings,
            alerts,
            violations,
            program,
            analysis,
            log,
            settings,
        } = parts;
        let nanos = now.at.since(before.at);
        Self {
            version: STATUS_VERSION,
            program,
            at: watched.clock.wall().0,
            verdict: verdict(now, symbols, &findings),
            findings,
            alerts,
            totals: Totals { account_violations: violations, ..totals(before, now, nanos) },
            sources: sources(watched, before, now, nanos),
            symbols: symbols.iter().map(symbol).collect(),
            batching: BatchingStatus {
                blocks: watched.batching.blocks.get(),
                blocked_ns: now.batching_blocked_ns + now.batching_waiting_ns,
                link_depth: watched.links.iter().map(feedd_core::link::LinkWatch::waiting).max().unwrap_or(0),
                link_capacity: watched.link_capacity,
                link_peak: watched.links.iter().map(|link| link.counters().depth_peak.ever()).max().unwrap_or(0),
            },
            journal: journal(watched, now),
            sinks: sinks(watched, now),
            gaps: gaps(watched),
            analysis,
            latency: latency(watched),
            stages: stages.iter().map(|view| stage(watched, view)).collect(),
            log,
            settings,
        }
    }
}

/// The first line: how much is recorded, what is lost, how safe it is; or what is wrong.
fn verdict(now: &Snapshot, symbols: &[SymbolView], findings: &[Finding]) -> Verdict {
    let count = symbols.len() as u64;
    let fresh = symbols.iter().filter(|symbol| !symbol.is_silent).count() as u64;
    let missed: u64 = now.account.sinks.iter().map(|sink| sink.missed + sink.earlier.missed).sum();
    let lost = now.account.sources.dropped + missed;
    let mut text = format!("recording {fresh}/{count} symbols, {} lost", grouped(lost));
    if let Some(journal) = now.journal {
        text = format!("{text}, durable to seq {}", grouped(journal.durable_seq));
    }
    text = format!("{text}, lag {}", duration(now.lag_ns));
    if let Some(worst) = findings.first() {
        text = format!("{}: {}: {} | {text}", worst.rule.trim_start_matches("Feedd"), worst.who, worst.text);
    }
    if now.simulated {
        text = format!("SIMULATED {text}");
    }
    Verdict {
        level: findings.first().map_or(Level::Ok, |finding| finding.level),
        text,
        simulated: now.simulated,
        symbols_fresh: fresh,
        symbols: count,
        lost,
        durable_seq: now.journal.map(|journal| journal.durable_seq),
        lag_ns: now.lag_ns,
    }
}

fn per_second(events: u64, nanos: u64) -> u64 {
    u64::try_from(u128::from(events) * 1_000_000_000 / u128::from(nanos.max(1))).unwrap_or(u64::MAX)
}

fn totals(before: &Snapshot, now: &Snapshot, nanos: u64) -> Totals {
    let s = &now.account.sources;
    Totals {
        frames: s.frames,
        bytes: s.bytes,
        frames_rejected: s.frames_rejected,
        decoded: s.decoded,
        own: s.own,
        duplicate: s.duplicate,
        rejected: s.rejected,
        dropped: s.dropped,
        accepted: now.account.accepted,
        accepted_per_s: per_second(now.account.accepted.saturating_sub(before.account.accepted), nanos),
        gaps: now.gaps,
        batches: now.batches,
        batches_failed: now.batches_failed,
        retries: now.retries,
        account_violations: 0,
    }
}

fn sources(watched: &Watched, before: &Snapshot, now: &Snapshot, nanos: u64) -> Vec<SourceStatus> {
    let each = watched.sources.iter().zip(&now.account.each_source).zip(&now.rings).enumerate();
    each.map(|(index, ((source, totals), ring))| {
        let c = &source.counters;
        let past = before.account.each_source.get(index).map_or(0, |past: &SourceTotals| past.accepted);
        SourceStatus {
            name: source.name.clone(),
            ended: c.ended.get() != 0,
            frames: totals.frames,
            frames_rejected: totals.frames_rejected,
            accepted: totals.accepted,
            accepted_per_s: per_second(totals.accepted.saturating_sub(past), nanos),
            dropped: totals.dropped,
            gaps: c.gaps.get(),
            ring_capacity: ring.capacity,
            ring_depth: ring.depth,
            ring_peak: ring.peak_ever,
            blocked_ns: ring.blocked_ns,
            connections: c.session.connections_live.get(),
            streams: c.session.streams.get(),
            streams_mute: c.session.streams_mute.get(),
            reconnects: c.session.reconnects.get(),
        }
    })
    .collect()
}

fn symbol(view: &SymbolView) -> SymbolStatus {
    SymbolStatus {
        source: view.source.clone(),
        venue: view.venue.clone(),
        symbol: view.symbol.clone(),
        messages: view.messages,
        last_at: view.last_at.map(|at| at.0),
        quiet_ns: view.quiet_ns,
        usual_ns: view.usual_ns,
        silent: view.is_silent,
    }
}

fn journal(watched: &Watched, now: &Snapshot) -> Option<JournalStatus> {
    let (view, journal) = (now.journal?, watched.journal.as_ref()?);
    let c = &journal.counters;
    Some(JournalStatus {
        durable_seq: view.durable_seq,
        bytes: view.bytes,
        bytes_max: view.bytes_max,
        waiting_ns: view.waiting_ns,
        commits: c.commits.get(),
        commit_ns_mean: c.commit_ns.get().checked_div(c.commits.get()).unwrap_or(0),
        failed_syncs: c.failed_syncs.get(),
    })
}

fn sinks(watched: &Watched, now: &Snapshot) -> Vec<SinkStatus> {
    let each = watched.sinks.iter().zip(&now.sinks);
    each.map(|(sink, view)| SinkStatus {
        name: view.name.to_string(),
        required: view.required,
        state: view.state.name().to_owned(),
        failing_ns: view.failing_ns,
        next_attempt_ns: view.next_attempt_ns,
        lag_ns: view.lag_ns,
        backlog: view.backlog(),
        stored: view.totals.stored,
        stored_seq: view.totals.position,
        quarantined: view.totals.quarantined + view.totals.earlier.quarantined,
        missed: view.totals.missed + view.totals.earlier.missed,
        buffered: sink.counters.buffered.get(),
        buffer_limit: sink.counters.buffer_limit.get(),
        buffered_peak: sink.counters.buffered_peak.ever(),
        batches: sink.counters.batches.get(),
        retries: sink.counters.retries.get(),
        last_error: sink.counters.last_error(),
    })
    .collect()
}

fn gaps(watched: &Watched) -> Vec<GapStatus> {
    let mut gaps = Vec::new();
    for source in &watched.sources {
        for (instrument, gap) in source.counters.gap_ledger.all() {
            gaps.push(GapStatus {
                source: source.name.clone(),
                symbol: watched.instruments.get(instrument).map_or_else(String::new, |i| i.symbol.to_string()),
                reason: gap.reason.name().to_owned(),
                from: gap.from_ts.map(|at| at.0),
                to: gap.to_ts.map(|at| at.0),
                first_missing: gap.first_missing.map(|seq| seq.0),
                last_missing: gap.last_missing.map(|seq| seq.0),
                events: gap.events,
            });
        }
    }
    gaps.sort_by_key(|gap| gap.to.or(gap.from));
    gaps
}
