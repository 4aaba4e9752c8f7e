//! Each row by what it is made of.

use super::super::seen::tests::{log, look, seen};
use super::super::verified::{Audit, Line};
use super::*;
use serde_json::json;

const SECOND: i64 = 1_000_000_000;

/// What `verify` says of so many rows.
fn counted(rows: u64) -> Verified {
    let line =
        Line { sink: "parquet".into(), epoch: 1, audit: Some(Audit { rows }), pending: Some(0), faults: Vec::new() };
    Verified { pass: true, lines: vec![line] }
}

fn facts(seen: &Seen) -> Facts<'_> {
    Facts {
        seen,
        fault: Fault::None,
        times: Times::default(),
        named: None,
        symbols: 10,
        sinks: vec![SinkKind::Postgres],
        file_age_max: Duration::from_secs(300),
        parquet_bytes_max: 64 << 20,
        ended: Ended::InOrder,
        verified: Ok(counted(1_000)),
    }
}

fn verdicts(facts: &Facts<'_>) -> Vec<(&'static str, Outcome)> {
    rows(facts).into_iter().map(|row| (row.key, row.outcome)).collect()
}

/// Keys of the rows that are not as said; all others pass.
fn others(facts: &Facts<'_>) -> Vec<(&'static str, Outcome)> {
    verdicts(facts).into_iter().filter(|(_, outcome)| *outcome != Outcome::Pass).collect()
}

fn well() -> Seen {
    seen((1..=30).map(|at| look(at, 1, &json!({}))))
}

#[test]
fn a_recorder_that_is_well_passes_every_row_with_its_figures() {
    let seen = well();
    let rows = rows(&facts(&seen));
    let told: Vec<_> = rows.iter().map(|row| (row.key, row.measured.as_str(), row.outcome)).collect();
    let expected = [
        ("channel_full", "0 (sources waited 0.00 ms for room)"),
        ("backpressure", "0 of 3 health intervals (0.00 %)"),
        ("insert_p99", "parquet 3.21 ms of 50"),
        ("failed_batches", "0 of 50 (0 retries)"),
        ("fresh", "10 at the end, 10 at least"),
        ("memory_growth", "20.0 MB in the last third, 20.0 MB in the middle one"),
        ("memory", "20.0 MB"),
        ("lost", "0 of 1,000"),
        ("account", "0 violations, ended in order"),
        ("verify", "parquet: 1,000 rows"),
    ];
    assert_eq!(told, expected.map(|(key, measured)| (key, measured, Outcome::Pass)));
}

#[test]
fn each_bound_is_a_bound() {
    let rss = |at: i64, bytes: u64| look(at, 1, &json!({ "program": { "rss_bytes": bytes } }));
    let grown = |last: u64| (1..=30).map(move |at| rss(at, if at > 25 { last } else { 20_000_000 }));
    let with = |more: serde_json::Value| (1..=30).map(move |at| look(at, 1, &more)).collect::<Vec<_>>();
    let full = "Channel full! Blocking until space available. Symbol: A, Price: 1";
    let insert = |p99: u64| {
        json!({ "latency": [{
            "hop": "sink_insert", "name": "postgres", "count": 9, "p50_ns": 1, "p99_ns": p99, "p999_ns": 1, "max_ns": 1,
        }] })
    };
    let cases: Vec<(&str, Vec<_>, Vec<&str>)> = vec![
        ("a full channel", with(log(&[(12, full)])), vec!["channel_full", "backpressure"]),
        ("p99 just below", with(insert(99_999_999)), vec![]),
        ("p99 at the bound", with(insert(100_000_000)), vec!["insert_p99"]),
        ("a failed batch", with(json!({ "totals": { "batches_failed": 1 } })), vec!["failed_batches"]),
        ("a silent symbol", with(json!({ "verdict": { "symbols_fresh": 9 } })), vec!["fresh"]),
        ("never all symbols", with(json!({ "verdict": { "symbols": 9, "symbols_fresh": 9 } })), vec!["fresh"]),
        ("memory that grows by 4 MiB", grown(20_000_000 + (4 << 20)).collect(), vec![]),
        ("memory that grows by more", grown(20_000_001 + (4 << 20)).collect(), vec!["memory_growth"]),
        ("more than 25 MB, always", with(json!({ "program": { "rss_bytes": 25_000_001 } })), vec!["memory"]),
        ("a loss", with(json!({ "verdict": { "lost": 1 } })), vec!["lost"]),
        ("an account that did not hold", with(json!({ "totals": { "account_violations": 1 } })), vec!["account"]),
        ("more durable than stored", with(json!({ "journal": { "durable_seq": 1_001 } })), vec!["verify"]),
    ];
    for (name, looks, expected) in cases {
        let seen = seen(looks);
        let expected: Vec<_> = expected.into_iter().map(|key| (key, Outcome::Fail)).collect();
        assert_eq!(others(&facts(&seen)), expected, "{name}");
    }
}

#[test]
fn a_large_recorder_may_grow_by_a_tenth_and_files_that_fill_by_what_they_may_hold() {
    let rss = |last: u64| {
        (1..=30).map(move |at| {
            look(at, 1, &json!({ "program": { "rss_bytes": if at > 25 { last } else { 100_000_000 } } }))
        })
    };
    let outcome = |last: u64, sink: SinkKind, age_s: u64| {
        let seen = seen(rss(last));
        let facts = Facts { sinks: vec![sink], file_age_max: Duration::from_secs(age_s), ..facts(&seen) };
        rows(&facts).into_iter().find(|row| row.key == "memory_growth").map(|row| row.outcome)
    };
    assert_eq!(outcome(110_000_000, SinkKind::Null, 300), Some(Outcome::Pass));
    assert_eq!(outcome(110_000_001, SinkKind::Null, 300), Some(Outcome::Fail));
    assert_eq!(outcome(110_000_001, SinkKind::Parquet, 300), Some(Outcome::Pass));
    assert_eq!(outcome(110_000_001, SinkKind::Parquet, 10), Some(Outcome::Fail), "two files were finished");
    assert_eq!(outcome(100_000_000 + (64 << 20) + 1, SinkKind::Parquet, 300), Some(Outcome::Fail));
}

#[test]
fn what_cannot_be_judged_is_told() {
    let null = json!({ "latency": [] });
    let seen = seen([look(1, 1, &null)]);
    let line = Line { sink: "null".into(), epoch: 1, audit: None, pending: None, faults: Vec::new() };
    let verified = Verified { pass: true, lines: vec![line] };
    let facts = Facts { sinks: vec![SinkKind::Null], verified: Ok(verified), ..facts(&seen) };
    let told = ["insert_p99", "memory_growth", "memory", "verify"].map(|key| (key, Outcome::Told));
    assert_eq!(others(&facts), told);
}

#[test]
fn what_verify_finds_fails() {
    let seen = well();
    let line = |pending, faults: &[&str]| Line {
        pending: Some(pending),
        faults: faults.iter().map(|&fault| fault.to_owned()).collect(),
        ..counted(1_000).lines[0].clone()
    };
    let verified = |pass, line| Ok(Verified { pass, lines: vec![line] });
    for (name, verified) in [
        ("pending", verified(true, line(3, &[]))),
        ("a fault", verified(false, line(0, &["2 rows are doubled"]))),
        ("not to be had", Err("no".to_owned())),
    ] {
        let facts = Facts { verified, ..facts(&seen) };
        assert_eq!(others(&facts), [("verify", Outcome::Fail)], "{name}");
    }
    let facts = Facts { ended: Ended::Otherwise("killed".into()), ..facts(&seen) };
    assert_eq!(others(&facts), [("account", Outcome::Fail)]);
}

#[test]
fn with_a_fault_what_it_breaks_is_expected_and_the_rest_must_hold() {
    let broken = json!({ "totals": { "batches_failed": 4 }, "latency": [
        {
            "hop": "sink_insert", "name": "postgres", "count": 9, "p50_ns": 1, "p99_ns": 9_000_000_000_u64, "p999_ns": 1,
            "max_ns": 1,
        },
    ] });
    let seen = seen((1..=30).map(|at| look(at, 1, &broken)));
    let sighting = Sighting {
        rule: "FeeddSinkBreakerOpen".into(),
        who: "postgres".into(),
        remedy: "see that it answers".into(),
        first_at: 14 * SECOND,
        last_at: 16 * SECOND,
    };
    let times = Times {
        begun_at: Some(10 * SECOND),
        blocked_at: Some(10 * SECOND),
        over_at: Some(16 * SECOND),
        well_at: Some(18 * SECOND),
    };
    let stalled = |times, named| Facts { fault: Fault::StalledSink, times, named, ..facts(&seen) };
    let expected = [("insert_p99", Outcome::Expected), ("failed_batches", Outcome::Expected)];
    let good = stalled(times, Some((&sighting, 4_000_000_000)));
    assert_eq!(others(&good), expected);
    let told: Vec<_> = rows(&good).into_iter().skip(10).map(|row| (row.key, row.measured)).collect();
    let measured = "postgres after 4,000 ms: FeeddSinkBreakerOpen: see that it answers";
    assert_eq!(told, [("culprit", measured.to_owned()), ("recovery", "2,000 ms later".to_owned())]);

    let failed = |facts: &Facts<'_>| others(facts)[2..].to_vec();
    assert_eq!(failed(&stalled(times, Some((&sighting, 5_000_000_001)))), [("culprit", Outcome::Fail)]);
    assert_eq!(failed(&stalled(times, None)), [("culprit", Outcome::Fail)]);
    let never = Times { well_at: None, ..times };
    assert_eq!(failed(&stalled(never, Some((&sighting, 0)))), [("recovery", Outcome::Fail)]);
    let early = stalled(Times::default(), None);
    assert_eq!(failed(&early), [("culprit", Outcome::Told), ("recovery", Outcome::Told)]);

    // Nothing of that is expected of a kill.
    let killed = Facts { fault: Fault::Kill, times, ..facts(&seen) };
    assert_eq!(others(&killed), [("insert_p99", Outcome::Fail), ("failed_batches", Outcome::Fail)]);
    let unmarked = Facts { fault: Fault::Kill, times: never, ..facts(&seen) };
    assert_eq!(others(&unmarked)[2..], [("restart", Outcome::Fail)]);
}
