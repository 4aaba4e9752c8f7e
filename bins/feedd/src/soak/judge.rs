//! From what was seen to the rows of the table. Pure.

use super::cli::Fault;
use super::fault::Times;
use super::seen::{Memory, Seen, Sighting, since};
use super::table::{Outcome, Row};
use super::verified::Verified;
use feedd_config::SinkKind;
use feedd_telemetry::grouped;
use feedd_telemetry::status::LatencyStatus;
use serde_json::{Value, json};
use std::time::Duration;

/// 99 of 100 inserts are done sooner.
const INSERT_P99_NS_MAX: u64 = 100_000_000;
/// What memory may grow by from the middle of the time to its end: this, or a tenth of it, whichever is more.
const GROWTH_BYTES_MAX: u64 = 4 << 20;
/// What a recorder of ten symbols into PostgreSQL may hold.
const MEMORY_BYTES_MAX: u64 = 25_000_000;
const MEMORY_SYMBOLS_MAX: u64 = 10;
/// From the first blocked operation until the culprit is named.
const NAMED_NS_MAX: u64 = 5_000_000_000;

/// How the recorder ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// In order, every event accounted for.
    InOrder,
    /// In another way, in words.
    Otherwise(String),
}

/// What the rows are made of.
pub(super) struct Facts<'a> {
    pub(super) seen: &'a Seen,
    pub(super) fault: Fault,
    pub(super) times: Times,
    /// See [`super::fault::Injector::named`].
    pub(super) named: Option<(&'a Sighting, u64)>,
    pub(super) symbols: u64,
    pub(super) sinks: Vec<SinkKind>,
    /// How long a Parquet file is written, and what its open parts may hold.
    pub(super) file_age_max: Duration,
    pub(super) parquet_bytes_max: u64,
    pub(super) ended: Ended,
    /// What `feedd verify` says, or why it could not.
    pub(super) verified: Result<Verified, String>,
}

/// Every row.
pub(super) fn rows(facts: &Facts<'_>) -> Vec<Row> {
    let mut rows = vec![
        channel_full(facts),
        backpressure(facts),
        insert_p99(facts),
        failed_batches(facts),
        fresh(facts),
        growth(facts),
        memory(facts),
        lost(facts),
        account(facts),
        verified(facts),
    ];
    let breaks = broken_by(facts.fault);
    for row in rows.iter_mut().filter(|row| row.outcome == Outcome::Fail && breaks.contains(&row.key)) {
        row.outcome = Outcome::Expected;
    }
    match facts.fault {
        Fault::None => {}
        Fault::Kill => rows.push(restarted(facts)),
        Fault::SlowStrategy => rows.push(culprit(facts)),
        Fault::StalledSink | Fault::DiskFull => rows.extend([culprit(facts), recovered(facts)]),
    }
    rows
}

/// What a fault is meant to break.
const fn broken_by(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::None => &[],
        // The journal takes what the sink does not; sources see nothing of it.
        Fault::StalledSink => &["backpressure", "insert_p99", "failed_batches", "memory_growth", "memory"],
        // Bars and strategies have queues of their own.
        Fault::SlowStrategy => &["backpressure", "memory"],
        Fault::Kill => &["memory_growth"],
        // Nothing can be made durable, so everything waits.
        Fault::DiskFull => {
            &["channel_full", "backpressure", "insert_p99", "failed_batches", "fresh", "memory_growth", "memory"]
        }
    }
}

fn row(key: &'static str, name: &str, measured: String, figure: Value, bound: &str, outcome: Outcome) -> Row {
    Row { key, name: name.to_owned(), measured, figure, bound: bound.to_owned(), outcome }
}

fn channel_full(facts: &Facts<'_>) -> Row {
    let count = facts.seen.channel_full;
    let waited = facts.seen.sum(|status| status.sources.iter().map(|source| source.blocked_ns).sum());
    let measured = format!("{count} (sources waited {} for room)", millis(waited));
    row("channel_full", "\"channel full\" warnings", measured, json!(count), "0", Outcome::of(count == 0))
}

fn backpressure(facts: &Facts<'_>) -> Row {
    let (warned, intervals) = facts.seen.intervals();
    let hundredths = warned.saturating_mul(10_000).checked_div(intervals).unwrap_or(0);
    let measured = format!("{warned} of {intervals} health intervals ({}.{:02} %)", hundredths / 100, hundredths % 100);
    let figure = json!({ "warned": warned, "intervals": intervals });
    row("backpressure", "backpressure warnings", measured, figure, "< 1 %", Outcome::of(hundredths < 100))
}

fn insert_p99(facts: &Facts<'_>) -> Row {
    let inserts: Vec<&LatencyStatus> = facts.seen.inserts().collect();
    let told =
        |insert: &&LatencyStatus| format!("{} {} of {}", insert.name, millis(insert.p99_ns), grouped(insert.count));
    let (key, name, bound) = ("insert_p99", "insert p99", "< 100 ms");
    let Some(worst) = inserts.iter().map(|insert| insert.p99_ns).max() else {
        return row(key, name, "no sink was given a batch".to_owned(), Value::Null, bound, Outcome::Told);
    };
    let measured = inserts.iter().map(told).collect::<Vec<_>>().join(", ");
    row(key, name, measured, json!(worst), bound, Outcome::of(worst < INSERT_P99_NS_MAX))
}

fn failed_batches(facts: &Facts<'_>) -> Row {
    let failed = facts.seen.sum(|status| status.totals.batches_failed);
    let batches = facts.seen.sum(|status| status.totals.batches);
    let retries = facts.seen.sum(|status| status.totals.retries);
    let measured = format!("{failed} of {} ({retries} retries)", grouped(batches));
    row("failed_batches", "failed batches", measured, json!(failed), "0", Outcome::of(failed == 0))
}

fn fresh(facts: &Facts<'_>) -> Row {
    let (last, fewest) = (facts.seen.last().map_or(0, |status| status.verdict.symbols_fresh), facts.seen.fresh_min);
    let symbols = facts.symbols;
    let measured = match fewest {
        Some(fewest) => format!("{last} at the end, {fewest} at least"),
        None => format!("{last} at the end, never all {symbols}"),
    };
    let bound = format!("{symbols} of {symbols}");
    let holds = last == symbols && fewest == Some(symbols);
    row("fresh", "symbols heard as usual", measured, json!(fewest.unwrap_or(0).min(last)), &bound, Outcome::of(holds))
}

/// The highest of each third of the time.
fn thirds(memory: &[Memory]) -> Option<[u64; 3]> {
    let whole = memory.last()?.at_ns.max(1);
    let third = |at: &Memory| at.at_ns.saturating_mul(3) / whole;
    let highest = |number: u64| {
        memory.iter().filter(|at| third(at).min(2) == number).map(|at| at.bytes).max().filter(|bytes| *bytes > 0)
    };
    Some([highest(0)?, highest(1)?, highest(2)?])
}

fn growth(facts: &Facts<'_>) -> Row {
    let (key, name) = ("memory_growth", "memory is stable");
    let Some([_, middle, last]) = thirds(&facts.seen.memory) else {
        let measured = "too short: each third of the time needs a look".to_owned();
        return row(key, name, measured, Value::Null, "-", Outcome::Told);
    };
    // Until the first files were finished, what is open grows as it is meant to.
    let elapsed = facts.seen.memory.last().map_or(0, |at| at.at_ns);
    let is_filling =
        facts.sinks.contains(&SinkKind::Parquet) && u128::from(elapsed) < facts.file_age_max.as_nanos() * 2;
    let (allowed, why) = if is_filling {
        (facts.parquet_bytes_max, "parquet.memory_max: shorter than two files")
    } else {
        (GROWTH_BYTES_MAX.max(middle / 10), "10 %, at least 4 MiB")
    };
    let grown = last.saturating_sub(middle);
    let measured = format!("{} in the last third, {} in the middle one", megabytes(last), megabytes(middle));
    let bound = format!("<= {} more ({why})", megabytes(allowed));
    let figure = json!({ "middle": middle, "last": last });
    row(key, name, measured, figure, &bound, Outcome::of(grown <= allowed))
}

fn memory(facts: &Facts<'_>) -> Row {
    let most = facts.seen.memory.iter().map(|at| at.bytes).max().unwrap_or(0);
    let is_judged = facts.sinks == [SinkKind::Postgres] && facts.symbols <= MEMORY_SYMBOLS_MAX;
    let (bound, outcome) = if is_judged {
        ("<= 25 MB", Outcome::of(most <= MEMORY_BYTES_MAX))
    } else {
        ("25 MB is for PostgreSQL alone and ten symbols", Outcome::Told)
    };
    row("memory", "memory (RSS), most", megabytes(most), json!(most), bound, outcome)
}

fn lost(facts: &Facts<'_>) -> Row {
    let lost = facts.seen.sum(|status| status.verdict.lost);
    let accepted = facts.seen.sum(|status| status.totals.accepted);
    let measured = format!("{} of {}", grouped(lost), grouped(accepted));
    row("lost", "events lost", measured, json!(lost), "0", Outcome::of(lost == 0))
}

fn account(facts: &Facts<'_>) -> Row {
    let violations = facts.seen.sum(|status| status.totals.account_violations);
    let (words, in_order) = match &facts.ended {
        Ended::InOrder => ("ended in order".to_owned(), true),
        Ended::Otherwise(words) => (words.clone(), false),
    };
    let measured = format!("{violations} violations, {words}");
    let outcome = Outcome::of(violations == 0 && in_order);
    row("account", "the account holds", measured, json!(violations), "unaccounted 0, a clean end", outcome)
}

fn verified(facts: &Facts<'_>) -> Row {
    let (key, name, bound) = ("verify", "feedd verify", "every event once, none pending");
    let verified = match &facts.verified {
        Ok(verified) => verified,
        Err(why) => return row(key, name, why.clone(), Value::Null, bound, Outcome::Fail),
    };
    let mut faults: Vec<String> = verified.lines.iter().flat_map(|line| line.faults.clone()).collect();
    let mut told = Vec::new();
    let mut rows = 0;
    for line in &verified.lines {
        let Some(audit) = &line.audit else {
            told.push(format!("{} keeps nothing to count", line.sink));
            continue;
        };
        rows += audit.rows;
        told.push(format!("{}: {} rows", line.sink, grouped(audit.rows)));
        let pending = line.pending.unwrap_or(0);
        if pending > 0 {
            faults.push(format!("{}: {} events of start {} are pending", line.sink, grouped(pending), line.epoch));
        }
        // What was seen to be durable, or, without a journal, accepted, is there.
        let look = facts.seen.starts.get(&line.epoch).map(|start| &start.last);
        let seen = look.map_or(0, |status| status.journal.as_ref().map_or(0, |journal| journal.durable_seq));
        if audit.rows < seen {
            faults.push(format!("{}: {} were seen to be durable", line.sink, grouped(seen)));
        }
    }
    if verified.lines.iter().all(|line| line.audit.is_none()) {
        return row(key, name, told.join(", "), Value::Null, bound, Outcome::Told);
    }
    let outcome = Outcome::of(verified.pass && faults.is_empty());
    told.extend(faults);
    row(key, name, told.join(", "), json!(rows), bound, outcome)
}

fn culprit(facts: &Facts<'_>) -> Row {
    let (key, name, bound) = ("culprit", "the culprit is named", "within 5 s of the first blocked operation");
    if facts.times.begun_at.is_none() {
        return row(key, name, "ended before the fault".to_owned(), Value::Null, bound, Outcome::Told);
    }
    let Some((sighting, delay)) = facts.named else {
        return row(key, name, "not named".to_owned(), Value::Null, bound, Outcome::Fail);
    };
    let measured = format!("{} after {}: {}: {}", sighting.who, millis(delay), sighting.rule, sighting.remedy);
    let holds = delay <= NAMED_NS_MAX && !sighting.remedy.is_empty();
    row(key, name, measured, json!(delay), bound, Outcome::of(holds))
}

fn recovered(facts: &Facts<'_>) -> Row {
    let (key, name, bound) = ("recovery", "well again by itself", "soon after the fault");
    let Some(over) = facts.times.over_at else {
        return row(key, name, "ended before the end of the fault".to_owned(), Value::Null, bound, Outcome::Told);
    };
    match facts.times.well_at {
        Some(well) => {
            let delay = since(over, well);
            row(key, name, format!("{} later", millis(delay)), json!(delay), bound, Outcome::Pass)
        }
        None => row(key, name, "not until the end".to_owned(), Value::Null, bound, Outcome::Fail),
    }
}

fn restarted(facts: &Facts<'_>) -> Row {
    let (key, name, bound) = ("restart", "started again after the kill", "records, the hole is marked");
    let Some(begun) = facts.times.begun_at else {
        return row(key, name, "ended before the kill".to_owned(), Value::Null, bound, Outcome::Told);
    };
    match facts.times.well_at {
        Some(well) => {
            let delay = since(begun, well);
            row(key, name, format!("{} later, marked recorder_down", millis(delay)), json!(delay), bound, Outcome::Pass)
        }
        None => row(key, name, "no mark of the hole".to_owned(), Value::Null, bound, Outcome::Fail),
    }
}

/// Milliseconds, with two decimals below ten.
fn millis(ns: u64) -> String {
    match ns {
        0..10_000_000 => format!("{}.{:02} ms", ns / 1_000_000, ns % 1_000_000 / 10_000),
        _ => format!("{} ms", grouped(ns / 1_000_000)),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
