//! What is wrong, who is to blame, and what helps: one set of rules for the status, the exit codes and the alerts.
//!
//! Pure: judges two snapshots, so that what was long ago does not alarm for ever.

use crate::beats::StillThread;
use crate::number::{duration, grouped};
use crate::snapshot::{FeedView, SinkView, Snapshot};
use crate::symbols::SymbolView;
use crate::{findings_analysis as analysis, findings_storage as storage};
use feedd_model::MonoNanos;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// All is well.
    Ok,
    /// Something needs a look; nothing is lost by it yet.
    Warning,
    /// Data are lost or not recorded, or will be soon.
    Critical,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// Name of the rule, as the alert is called.
    pub rule: String,
    /// Source, sink, symbol or stage.
    pub who: String,
    /// What is seen, with its figures.
    pub text: String,
    /// What helps.
    pub remedy: String,
}

impl Finding {
    /// A finding of `rule` about `who`.
    pub(crate) fn new(
        (level, rule): (Level, &str),
        who: impl Into<String>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { level, rule: rule.into(), who: who.into(), text: text.into(), remedy: remedy.into() }
    }
}

/// A disk that something is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskView {
    /// The folder by which it is known: the first of those on it.
    pub folder: PathBuf,
    /// Whether the journal is on it.
    pub has_journal: bool,
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
}

/// From where on something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most time of the last [`RECENT_NANOS`] that a source, or the batching thread, may wait, ns.
    pub blocked_ns: u64,
    /// Longest mean time of a group commit of the journal, ns.
    pub commit_ns: u64,
    /// Longest call of a sink, ns.
    pub call_ns: u64,
    /// Longest running call of a strategy, ns.
    pub strategy_ns: u64,
    /// Least room on a disk, bytes.
    pub disk_free_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocked_ns: RECENT_NANOS / 100,
            commit_ns: 500_000_000,
            call_ns: 3_000_000_000,
            strategy_ns: 1_000_000_000,
            disk_free_bytes: 64 << 20,
        }
    }
}

/// How long ago [`Evidence::recent`] is, once the run is that old: shares of time are taken over this.
pub const RECENT_NANOS: u64 = 30_000_000_000;
/// How long ago [`Evidence::lately`] is: what has not moved since then hangs.
pub const LATELY_NANOS: u64 = 3_000_000_000;
/// A wait that lasts for so long is told while it lasts.
pub(crate) const WAIT_NANOS: u64 = 1_000_000_000;
/// How long a live source may take to connect, while none of its attempts fails.
const CONNECT_NANOS: u64 = 20_000_000_000;
/// Attempts that failed from which a source is down whatever the age of the run.
const CONNECT_FAILURES: u64 = 2;
/// How long damage that a start found is news.
const DAMAGE_NEWS_NANOS: u64 = 300_000_000_000;
/// A pinned thread beats at least once a second; one that gives no sign of life for longer than this hangs.
const STILL_MAX: Duration = Duration::from_secs(10);
/// Over how long starts are counted.
pub const RESTARTS_NANOS: u64 = 900_000_000_000;
/// Most starts in [`RESTARTS_NANOS`]; an operator who tries two settings is not told of them.
const RESTARTS_MAX: u64 = 2;

/// What the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Some minutes ago, or the start.
    pub before: &'a Snapshot,
    /// [`RECENT_NANOS`] ago, or the start.
    pub recent: &'a Snapshot,
    /// [`LATELY_NANOS`] ago, or the start.
    pub lately: &'a Snapshot,
    /// Now.
    pub now: &'a Snapshot,
    /// Every symbol now.
    pub symbols: &'a [SymbolView],
    /// How often the accounting did not hold.
    pub violations: u64,
    /// When the run began.
    pub started: MonoNanos,
    /// Every pinned thread that has not ended.
    pub threads: &'a [StillThread],
    /// Starts in the last [`RESTARTS_NANOS`], this one included.
    pub restarts: u64,
    /// Every disk that is written to.
    pub disks: &'a [DiskView],
    /// From where on something is wrong.
    pub limits: &'a Limits,
}

/// Everything that is wrong, worst first, and of what is equally bad the cause first.
#[must_use]
pub fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    accounting(evidence, &mut found);
    running(evidence, &mut found);
    storage::disks(evidence, &mut found);
    storage::journal(evidence, &mut found);
    losses(evidence, &mut found);
    evidence.now.sinks.iter().for_each(|sink| storage::sink(sink, evidence, &mut found));
    degraded(evidence, &mut found);
    evidence.now.feeds.iter().for_each(|feed| feed_findings(feed, evidence, &mut found));
    silent(evidence.symbols, &mut found);
    analysis::findings(evidence, &mut found);
    storage::batching(evidence, &mut found);
    evidence.now.rings.iter().for_each(|ring| storage::ring(ring, evidence, &mut found));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    found
}

fn accounting(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    if evidence.violations > 0 {
        found.push(Finding {
            level: Level::Critical,
            rule: "FeeddUnaccountedEvents".into(),
            who: "accounting".into(),
            text: format!("the accounting did not hold {} times", grouped(evidence.violations)),
            remedy: "a defect of feedd: keep its log and report it".into(),
        });
    }
}

/// Threads that hang, and a recorder that is started again and again.
fn running(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    for StillThread { thread, still } in evidence.threads.iter().filter(|thread| thread.still > STILL_MAX) {
        found.push(Finding::new(
            (Level::Critical, "FeeddThreadStuck"),
            thread.as_str(),
            format!("thread {thread} has shown no sign of life for {} s", still.as_secs()),
            "a defect, or a machine without time for it: keep the log, let gdb show where it stands and restart feedd; a \
             service manager with its watchdog does that by itself",
        ));
    }
    if evidence.restarts > RESTARTS_MAX {
        let minutes = RESTARTS_NANOS / 60_000_000_000;
        found.push(Finding::new(
            (Level::Critical, "FeeddRestarting"),
            "recorder",
            format!("started {} times in {minutes} minutes; each start marks a hole in the data", evidence.restarts),
            "the log before each start says why the one before ended",
        ));
    }
}

/// What was lost, kept out or doubtful since `before`.
fn losses(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let (before, now) = (evidence.before, evidence.now);
    let dropped = now.account.sources.dropped.saturating_sub(before.account.sources.dropped);
    if dropped > 0 {
        found.push(Finding {
            level: Level::Critical,
            rule: "FeeddDroppingEvents".into(),
            who: who_dropped(before, now),
            text: format!("{} events dropped by the configured policy", grouped(dropped)),
            remedy: "storage or the machine is too slow for the rate: set full = \"block\", or see which stage waits"
                .into(),
        });
    }
    for sink in &now.sinks {
        let past = before.sinks.iter().find(|other| other.name == sink.name);
        let missed = |s: &SinkView| s.totals.missed + s.totals.earlier.missed;
        let refused = |s: &SinkView| s.totals.quarantined + s.totals.earlier.quarantined;
        let new = |count: fn(&SinkView) -> u64| count(sink).saturating_sub(past.map_or(0, count));
        if new(missed) > 0 {
            found.push(Finding {
                level: Level::Critical,
                rule: "FeeddSinkMissedEvents".into(),
                who: sink.name.to_string(),
                text: format!(
                    "{} events are not to be had for this sink; the range is marked in its data",
                    grouped(new(missed))
                ),
                remedy: "raise journal.bytes_max, or say required = true for the sink".into(),
            });
        }
        if new(refused) > 0 {
            found.push(Finding {
                level: Level::Warning,
                rule: "FeeddQuarantine".into(),
                who: sink.name.to_string(),
                text: format!("{} events refused and kept aside", grouped(new(refused))),
                remedy: "feedd quarantine list says why; feedd quarantine retry stores them when that is mended".into(),
            });
        }
    }
    let rejected = now.account.sources.frames_rejected.saturating_sub(before.account.sources.frames_rejected);
    if rejected > 0 {
        found.push(Finding {
            level: Level::Warning,
            rule: "FeeddRejectingFrames".into(),
            who: "decoding".into(),
            text: format!("{} frames could not be decoded", grouped(rejected)),
            remedy: "their text and the reason stand in dead-letters.jsonl in the data folder".into(),
        });
    }
    if now.clock_steps > before.clock_steps {
        found.push(Finding {
            level: Level::Warning,
            rule: "FeeddClockStep".into(),
            who: "clock".into(),
            text: "the wall clock of this machine was set; receive times before and after do not compare".into(),
            remedy: "let chrony slew the clock; the step is marked in the data".into(),
        });
    }
}

/// The sources whose rings let events go.
fn who_dropped(before: &Snapshot, now: &Snapshot) -> String {
    let pairs = now.rings.iter().zip(&now.account.each_source).enumerate();
    let dropped = pairs.filter(|(index, (_, totals))| {
        totals.dropped > before.account.each_source.get(*index).map_or(0, |past| past.dropped)
    });
    let names: Vec<&str> = dropped.map(|(_, (ring, _))| ring.source.as_str()).collect();
    if names.is_empty() { "rings".to_owned() } else { names.join(", ") }
}

/// What the journal had to repair, or has lost of its redundancy.
fn degraded(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let Some(now) = evidence.now.journal else { return };
    let failed = now.failed_syncs.saturating_sub(evidence.before.journal.map_or(0, |past| past.failed_syncs));
    let is_new = evidence.now.at.since(evidence.started) < DAMAGE_NEWS_NANOS;
    let damaged = if is_new { now.damaged } else { 0 };
    if failed == 0 && damaged == 0 {
        return;
    }
    let mut seen = Vec::new();
    if failed > 0 {
        seen.push(format!("{} writes or syncs failed and were done again elsewhere", grouped(failed)));
    }
    if damaged > 0 {
        seen.push(format!("{} damaged places were found at this start and are marked", grouped(damaged)));
    }
    found.push(Finding::new(
        (Level::Warning, "FeeddJournalDegraded"),
        "journal",
        seen.join("; "),
        "look after the disk of journal.dir (kernel log, smartctl); feedd journal verify reads it whole",
    ));
}

fn feed_findings(feed: &FeedView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let age_ns = evidence.now.at.since(evidence.started);
    if feed.connections == 0 && (age_ns >= CONNECT_NANOS || feed.failed >= CONNECT_FAILURES) {
        found.push(Finding {
            level: Level::Critical,
            rule: "FeeddFeedDown".into(),
            who: feed.source.clone(),
            text: "no connection delivers; feedd keeps trying".into(),
            remedy: "the log says why connecting fails: network, name, certificate or the venue's limits".into(),
        });
    } else if feed.connections > 0 && feed.mute > 0 {
        found.push(Finding {
            level: Level::Warning,
            rule: "FeeddStreamMute".into(),
            who: feed.source.clone(),
            text: format!("{} of {} streams are mute", feed.mute, feed.streams),
            remedy: "feedd has asked again for them; see whether the venue has halted these markets".into(),
        });
    }
}

fn silent(symbols: &[SymbolView], found: &mut Vec<Finding>) {
    for symbol in symbols.iter().filter(|symbol| symbol.is_silent) {
        found.push(Finding {
            level: Level::Warning,
            rule: "FeeddFeedStale".into(),
            who: format!("{} {}", symbol.venue, symbol.symbol),
            text: format!("not heard for {}, usually every {}", duration(symbol.quiet_ns), duration(symbol.usual_ns)),
            remedy: "see whether the venue has halted this market, or renamed it".into(),
        });
    }
}

#[cfg(test)]
#[path = "findings_tests.rs"]
mod tests;
