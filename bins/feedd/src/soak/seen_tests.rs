//! Looks are made from documents, as they come from a recorder.

use super::*;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000_000;

/// A status document with what a soak reads of it.
fn document(at_s: i64, epoch: u32, more: &Value) -> Value {
    let mut document = json!({
        "version": 1, "at": at_s * SECOND,
        "program": {
            "version": "0", "pid": 1, "started_at": 0, "uptime_ns": 0, "rss_bytes": 20_000_000, "epoch": epoch,
            "data_dir": "d",
        },
        "verdict": {
            "level": "ok", "text": "", "simulated": true, "symbols_fresh": 10, "symbols": 10, "lost": 0,
            "durable_seq": 900, "lag_ns": 0,
        },
        "findings": [],
        "totals": {
            "frames": 0, "bytes": 0, "frames_rejected": 0, "decoded": 999, "own": 1, "duplicate": 0, "rejected": 0,
            "dropped": 0, "accepted": 1_000, "accepted_per_s": 0, "gaps": 0, "batches": 50, "batches_failed": 0,
            "retries": 0, "account_violations": 0,
        },
        "sources": [], "symbols": [],
        "batching": { "blocks": 0, "blocked_ns": 0, "link_depth": 0, "link_capacity": 0 },
        "journal": {
            "durable_seq": 900, "bytes": 0, "bytes_max": 0, "waiting_ns": 0, "commits": 0, "commit_ns_mean": 0,
            "failed_syncs": 0,
        },
        "sinks": [], "gaps": [], "analysis": null, "log": [], "settings": [],
        "latency": [
            { "hop": "sink_insert", "name": "parquet", "count": 50, "p50_ns": 1, "p99_ns": 3_210_000, "p999_ns": 2, "max_ns": 3 },
        ],
    });
    merge(&mut document, more);
    document
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// A look at such a document.
pub(in crate::soak) fn look(at_s: i64, epoch: u32, more: &Value) -> Status {
    serde_json::from_value(document(at_s, epoch, more)).unwrap()
}

/// What was seen of ten symbols, with a health interval of ten seconds.
pub(in crate::soak) fn seen(looks: impl IntoIterator<Item = Status>) -> Seen {
    let mut seen = Seen::new(10, 10_000_000_000);
    looks.into_iter().for_each(|look| seen.add(look));
    seen
}

/// A log of warnings.
pub(in crate::soak) fn log(lines: &[(i64, &str)]) -> Value {
    let lines = lines.iter().map(|(at_s, text)| json!({ "at": at_s * SECOND, "level": "WARN", "text": text }));
    json!({ "log": lines.collect::<Vec<_>>() })
}

#[test]
fn each_line_counts_once_and_a_warning_marks_its_interval() {
    let full = "Channel full! Blocking until space available. Symbol: A, Price: 1 who=\"sim\"";
    let first = log(&[(105, full)]);
    let more = log(&[(105, full), (131, "Batch buffer 90% full (7/500), database writes may be slow")]);
    let seen = seen([look(100, 1, &json!({})), look(110, 1, &first), look(135, 1, &more), look(140, 1, &more)]);
    assert_eq!(seen.channel_full, 1);
    assert_eq!(seen.intervals(), (2, 4));
}

#[test]
fn a_line_that_stands_for_others_marks_every_interval_since_the_last_of_its_kind() {
    let text = "Processing backpressure detected: channel 90% full (9/10), data processing may be falling behind";
    let again = format!("{text} (7 more like this since the last line)");
    let lines = log(&[(101, text), (145, &again), (146, "disk slow (2 more like this since the last line)")]);
    let seen = seen([look(100, 1, &json!({})), look(150, 1, &lines)]);
    assert_eq!(seen.intervals(), (5, 5), "0 to 4");
    assert_eq!(seen.channel_full, 0);
}

#[test]
fn symbols_count_from_when_all_were_heard_in_each_start() {
    let fresh = |fresh: u64, heard: u64| json!({ "verdict": { "symbols_fresh": fresh, "symbols": heard } });
    let beginning = look(1, 1, &fresh(3, 3));
    let mut seen = seen([beginning, look(2, 1, &fresh(10, 10))]);
    assert_eq!(seen.fresh_min, Some(10));
    seen.add(look(3, 2, &fresh(2, 2)));
    assert_eq!(seen.fresh_min, Some(10), "a start that has just begun");
    seen.add(look(4, 2, &fresh(10, 10)));
    seen.add(look(5, 2, &fresh(9, 10)));
    assert_eq!(seen.fresh_min, Some(9));
    assert_eq!(seen.sum(|status| status.totals.accepted), 2_000, "the last of each start");
}

#[test]
fn a_finding_is_remembered_from_its_first_sight() {
    let stalled = json!({ "findings": [
        { "level": "warning", "rule": "R", "who": "postgres", "text": "t", "remedy": "see that it answers" },
    ] });
    let seen = seen([look(1, 1, &json!({})), look(2, 1, &stalled), look(3, 1, &stalled)]);
    let [sighting] = seen.sightings.as_slice() else { panic!("{:?}", seen.sightings) };
    assert_eq!((sighting.first_at, sighting.last_at), (2 * SECOND, 3 * SECOND));
    assert_eq!((sighting.rule.as_str(), sighting.who.as_str()), ("R", "postgres"));
}
