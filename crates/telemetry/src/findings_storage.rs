//! Rules for what stores: disks, the journal, sinks, and whoever waits for them.

use crate::findings::{DiskView, Evidence, Finding, Level, RECENT_NANOS, WAIT_NANOS};
use crate::number::{duration, grouped, percent};
use crate::snapshot::{JournalView, RingView, SinkView};
use feedd_core::counters::SinkState;

/// Fill of a ring from which it is saturated, percent.
const RING_SATURATED_PERCENT: u64 = 90;
/// Fill of the journal from which room is short, percent.
const JOURNAL_SHORT_PERCENT: u64 = 80;
/// Fill of the journal below which its growth foretells nothing, percent.
const JOURNAL_GROWN_PERCENT: u64 = 10;
/// Over how long growth must have been seen to foretell anything.
const GROWTH_NANOS_MIN: u64 = 60_000_000_000;
/// An hour.
const HOUR_NANOS: u64 = 3_600_000_000_000;
/// How much of a sink's words is told.
const TOLD_CHARS_MAX: usize = 200;

/// What the system says when a disk is full.
const NO_SPACE: &str = "No space left on device";

/// Disks without room.
pub(crate) fn disks(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    for disk in full_disks(evidence) {
        let (folder, free) = (disk.folder.display(), megabytes(disk.free_bytes));
        found.push(Finding::new(
            (Level::Critical, "FeeddDiskFull"),
            folder.to_string(),
            format!("{free} MB of {} MB are free on this disk", megabytes(disk.total_bytes)),
            "make room on it: see what fills it (du -x), move something away, or enlarge it; feedd goes on by itself",
        ));
    }
}

fn full_disks<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = &'a DiskView> {
    let least = evidence.limits.disk_free_bytes;
    evidence.disks.iter().filter(move |disk| disk.free_bytes < least)
}

const fn megabytes(bytes: u64) -> u64 {
    bytes / 1_000_000
}

/// Whether the journal waits, is slow, or will be full.
pub(crate) fn journal(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let Some(journal) = evidence.now.journal else { return };
    if journal.waiting_ns > 0 {
        let full = percent(journal.bytes, journal.bytes_max);
        found.push(Finding::new(
            (Level::Critical, "FeeddJournalWaiting"),
            "journal",
            format!(
                "waits for room since {} ({full}% of journal.bytes_max); sources wait",
                duration(journal.waiting_ns)
            ),
            why_no_room(evidence),
        ));
    } else {
        commits(&journal, evidence, found);
        room(&journal, evidence, found);
    }
}

/// The remedy by what keeps the journal from having room.
fn why_no_room(evidence: &Evidence<'_>) -> String {
    if let Some(disk) = full_disks(evidence).find(|disk| disk.has_journal) {
        return format!("its disk is the cause: make room below {}", disk.folder.display());
    }
    // Below its limit it waits for the disk, whatever the sinks lack.
    let is_at_limit = evidence.now.journal.is_some_and(|j| percent(j.bytes, j.bytes_max) >= JOURNAL_SHORT_PERCENT);
    let behind = evidence.now.sinks.iter().filter(|sink| is_at_limit && sink.required && sink.backlog() > 0);
    match behind.max_by_key(|sink| sink.backlog()) {
        Some(sink) => format!(
            "sink {} is the cause, {} events behind: mend it; or raise journal.bytes_max",
            sink.name,
            grouped(sink.backlog())
        ),
        None => "make room on the disk of journal.dir, raise journal.bytes_max, or mend the sink that is behind".into(),
    }
}

fn commits(journal: &JournalView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let remedy = "its disk is slow or shared with too much: see iostat -x; give journal.dir a faster disk of its own";
    let rule = (Level::Warning, "FeeddJournalFsyncSlow");
    if is_commit_stuck(journal, evidence) {
        let lately = duration(evidence.now.at.since(evidence.lately.at));
        let text = format!("no group commit has ended for {lately}, though events wait for one");
        found.push(Finding::new(rule, "journal", text, remedy));
        return;
    }
    let past = evidence.recent.journal.unwrap_or_default();
    let commits = journal.commits.saturating_sub(past.commits);
    let mean_ns = journal.commit_ns.saturating_sub(past.commit_ns).checked_div(commits).unwrap_or(0);
    if mean_ns > evidence.limits.commit_ns {
        let text = format!("the last {} group commits took {} on the mean", grouped(commits), duration(mean_ns));
        found.push(Finding::new(rule, "journal", text, remedy));
    }
}

/// Whether there was something to commit a while ago, and nothing has been committed since.
fn is_commit_stuck(journal: &JournalView, evidence: &Evidence<'_>) -> bool {
    let Some(past) = evidence.lately.journal else { return false };
    evidence.now.at.since(evidence.lately.at) >= WAIT_NANOS
        && past.received_seq > past.durable_seq
        && past.durable_seq == journal.durable_seq
        && past.commits == journal.commits
}

fn room(journal: &JournalView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    if journal.bytes_max == 0 {
        return;
    }
    let used = percent(journal.bytes, journal.bytes_max);
    let behind = evidence.now.sinks.iter().max_by_key(|sink| sink.backlog()).filter(|sink| sink.backlog() > 0);
    let remedy = behind.map_or_else(
        || "see which sink is behind, or raise journal.bytes_max".to_owned(),
        |sink| format!("see which sink is behind (most: {}), or raise journal.bytes_max", sink.name),
    );
    if let Some(left_ns) = time_left(journal, evidence).filter(|left| *left < 12 * HOUR_NANOS) {
        let rule = if left_ns < 4 * HOUR_NANOS {
            (Level::Critical, "FeeddJournalFullIn4h")
        } else {
            (Level::Warning, "FeeddJournalFullIn12h")
        };
        let minutes = left_ns / 60_000_000_000;
        let text = format!("{used}% of journal.bytes_max is used; as it grows now, it is full in {minutes} min");
        found.push(Finding::new(rule, "journal", text, remedy.clone()));
    }
    if used >= JOURNAL_SHORT_PERCENT {
        let text = format!("{used}% of journal.bytes_max is used");
        found.push(Finding::new((Level::Warning, "FeeddJournalFullSoon"), "journal", text, remedy));
    }
}

/// Until the journal has no room, at the pace of the last minutes; none while it does not grow.
fn time_left(journal: &JournalView, evidence: &Evidence<'_>) -> Option<u64> {
    let window_ns = evidence.now.at.since(evidence.before.at);
    let grown = journal.bytes.saturating_sub(evidence.before.journal?.bytes);
    let disk_free = evidence.disks.iter().filter(|disk| disk.has_journal).map(|disk| disk.free_bytes).min();
    let room = journal.bytes_max.saturating_sub(journal.bytes).min(disk_free.unwrap_or(u64::MAX));
    let is_grown = percent(journal.bytes, journal.bytes.saturating_add(room)) >= JOURNAL_GROWN_PERCENT;
    if window_ns < GROWTH_NANOS_MIN || grown == 0 || !is_grown {
        return None;
    }
    u64::try_from(u128::from(room) * u128::from(window_ns) / u128::from(grown)).ok()
}

/// A sink that fails, hangs or has given up.
pub(crate) fn sink(sink: &SinkView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let waits = || {
        let whole = if evidence.now.journal.is_some() { "recording goes on into the journal, " } else { "" };
        format!("{whole}{} events wait", grouped(sink.backlog()))
    };
    let (rule, text, remedy) = match sink.state {
        SinkState::Stopped => (
            (Level::Critical, "FeeddSinkStopped"),
            "cannot go on without a person; what it lacks is kept in the journal".to_owned(),
            "the log says why; mend it and restart feedd",
        ),
        SinkState::Open | SinkState::HalfOpen | SinkState::Failing => {
            let error: String = sink.error.chars().take(TOLD_CHARS_MAX).collect();
            let says = if error.is_empty() { String::new() } else { format!("; it says: {error}") };
            let (since, next) = (duration(sink.failing_ns), duration(sink.next_attempt_ns));
            (
                (Level::Warning, "FeeddSinkBreakerOpen"),
                format!("fails since {since}, next attempt in {next}; {}{says}", waits()),
                if sink.error.contains(NO_SPACE) {
                    "make room on the disk of this sink; feedd stores what waits by itself then"
                } else {
                    "see that the database or disk of this sink answers; feedd stores what waits by itself then"
                },
            )
        }
        SinkState::Starting | SinkState::Working if sink.calling_ns > evidence.limits.call_ns => (
            (Level::Warning, "FeeddSinkStalled"),
            format!("has not answered for {}; {}", duration(sink.calling_ns), waits()),
            "its database or disk hangs: look for locks, a network that drops packets, a disk that is busy; after its time \
             limit the call is made again",
        ),
        SinkState::Starting | SinkState::Working => return,
    };
    found.push(Finding::new(rule, sink.name.to_string(), text, remedy));
}

/// The batching thread waits: whatever it waits for is to blame.
pub(crate) fn batching(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let now = evidence.now;
    let blocked_ns = now.batching_blocked_ns.saturating_sub(evidence.recent.batching_blocked_ns);
    if now.batching_waiting_ns < WAIT_NANOS && blocked_ns <= evidence.limits.blocked_ns {
        return;
    }
    let (who, remedy) = slowest_store(evidence);
    let text = format!(
        "the batching thread waits for it: {} of the last {}",
        duration(blocked_ns.max(now.batching_waiting_ns)),
        duration(RECENT_NANOS)
    );
    found.push(Finding::new((Level::Warning, "FeeddBackpressure"), who, text, remedy));
}

/// For whom the batching thread waits: the journal when there is one, otherwise the sink that is furthest behind.
fn slowest_store(evidence: &Evidence<'_>) -> (String, String) {
    match evidence.now.journal {
        Some(journal) if journal.waiting_ns > 0 => ("journal".into(), why_no_room(evidence)),
        Some(_) => (
            "journal".into(),
            "its disk is too slow for the rate: see iostat -x; give journal.dir a faster disk, or raise batch.max_events"
                .into(),
        ),
        None => {
            let sinks = &evidence.now.sinks;
            let slowest = sinks.iter().max_by_key(|sink| (sink.calling_ns, sink.backlog()));
            let who = slowest.map_or_else(|| "storage".to_owned(), |sink| sink.name.to_string());
            (who, "this sink is too slow for the rate; switch the journal on, so that nobody waits for it".into())
        }
    }
}

/// A source waits for room in its ring.
pub(crate) fn ring(ring: &RingView, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let past = evidence.recent.rings.iter().find(|other| other.source == ring.source);
    let blocked_ns = ring.blocked_ns.saturating_sub(past.map_or(0, |past| past.blocked_ns));
    let fill = percent(ring.depth, ring.capacity);
    let waits = ring.waiting_ns >= WAIT_NANOS || blocked_ns > evidence.limits.blocked_ns;
    if !waits && fill < RING_SATURATED_PERCENT {
        return;
    }
    let storage_waits = evidence.now.batching_waiting_ns > 0;
    let remedy = if evidence.now.journal.is_some_and(|journal| journal.waiting_ns > 0) {
        "the journal is the cause: mend that first".to_owned()
    } else if storage_waits {
        format!("{} is the cause: mend that first", slowest_store(evidence).0)
    } else {
        "give the batching thread a core of its own, or raise ring.capacity for longer bursts".to_owned()
    };
    let text = format!(
        "its ring is {fill}% full; it waited {} of the last {} for room",
        duration(blocked_ns),
        duration(RECENT_NANOS)
    );
    found.push(Finding::new((Level::Warning, "FeeddRingSaturated"), ring.source.clone(), text, remedy));
}
