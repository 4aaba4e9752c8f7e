//! Who is to blame: a database that hangs, a disk that is full and a thread that hangs are provoked, and the status, the
//! alerts, the log and a webhook each name the culprit. Judged by the order of events, not by the clock of a busy machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Place, address, get};
use common::disk::fill_up;
use common::held::Held;
use common::pg;
use common::{Feedd, run_args};
use feedd_core::{Clock, SystemClock};
use feedd_testkit::disk::LoopFs;
use feedd_testkit::postgres::Server;
use feedd_testkit::proxy::{Faults, Plan, Proxy, Sides, Target};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Longest wait for anything that a busy machine makes slow.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// A server that accepts and never answers.
const STALL: Faults = Faults {
    refuse: false,
    stall: Sides::BOTH,
    swallow: Sides { to_server: false, to_client: false },
    delay: Duration::ZERO,
    piece_bytes_max: 0,
    bytes_per_second_max: 0,
};

fn status(feedd: &Feedd) -> Value {
    let address = address(&feedd.said()).unwrap();
    serde_json::from_str(&get(&address, "/status").body).unwrap()
}

/// The findings: rule and whom it is about, the worst first.
fn findings(status: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    status["findings"].as_array().unwrap().iter().map(|f| (text(&f["rule"]), text(&f["who"]))).collect()
}

/// Waits until the status is as it should be, and gives the first that is.
fn wait(feedd: &mut Feedd, what: &str, reached: impl Fn(&Value) -> bool) -> Value {
    let mut found = Value::Null;
    pg::wait(feedd, WAIT_MAX, what, |feedd| {
        if address(&feedd.said()).is_none() {
            return false;
        }
        found = status(feedd);
        reached(&found)
    });
    found
}

fn has(status: &Value, rule: &str, who: &str) -> bool {
    findings(status).iter().any(|(r, w)| r == rule && w == who)
}

/// A webhook that takes everything and gives the alerts it was sent: status, name, whom it is about.
fn webhook() -> (String, Receiver<(String, String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, taken) = sync_channel(1_000);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let mut reader = BufReader::new(&stream);
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let lower = line.to_lowercase();
                length = lower.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            for alert in body["alerts"].as_array().unwrap() {
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let labels = &alert["labels"];
                let told = (text(&alert["status"]), text(&labels["alertname"]), text(&labels["who"]));
                if sender.send(told).is_err() {
                    return;
                }
            }
        }
    });
    (url, taken)
}

fn told(state: &str, rule: &str, who: &str) -> (String, String, String) {
    (state.to_owned(), rule.to_owned(), who.to_owned())
}

#[test]
fn a_database_that_hangs_is_named_before_its_call_gives_up() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
    let settings = pg::settings("127.0.0.1", proxy.address().port(), &database);
    let (url, taken) = webhook();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("alerts.webhook.url={url}");
    let more = ["--source", "sim", "--sink", "postgres", "--set", "admin.listen=127.0.0.1:0", "--set", &url];
    // Longer than the test: what is told is told of a call that has not failed.
    let calls = ["--set", "postgres.batch_timeout=10m", "--set", "source.0.rate=500"];
    // A disk that other work keeps busy is told of, and rightly.
    let disk = ["--set", "alerts.silence=FeeddBackpressure,FeeddJournalWaiting,FeeddJournalFsyncSlow"];
    let mut feedd = Feedd::start(&pg::run_args(dir.path(), &settings, &[&more[..], &calls, &disk].concat()));
    wait(&mut feedd, "rows in the store", |status| status["sinks"][0]["stored"].as_u64() > Some(0));
    assert!(!has(&status(&feedd), "FeeddSinkStalled", "postgres"));

    proxy.set(STALL);
    let found = wait(&mut feedd, "the culprit", |status| has(status, "FeeddSinkStalled", "postgres"));
    let mut blamed = findings(&found);
    blamed.retain(|(_, who)| who != "journal");
    assert_eq!(blamed, [("FeeddSinkStalled".to_owned(), "postgres".to_owned())], "nobody else is blamed");
    assert_eq!(found["sinks"][0]["state"], "closed", "before the call has failed");
    assert_eq!((&found["sinks"][0]["failing_ns"], &found["totals"]["batches_failed"]), (&0.into(), &0.into()));
    let mut all = found["findings"].as_array().unwrap().iter();
    let stalled = all.find(|finding| finding["rule"] == "FeeddSinkStalled").unwrap();
    assert!(stalled["remedy"].as_str().unwrap().starts_with("its database or disk hangs"));
    assert_eq!(found["verdict"]["level"], "warning");
    // Recording goes on.
    let durable = found["journal"]["durable_seq"].as_u64();
    wait(&mut feedd, "more that is durable", |status| status["journal"]["durable_seq"].as_u64() > durable);
    wait(&mut feedd, "the alert", |status| status["alerts"][0]["state"] == "firing");
    assert_eq!(taken.recv().unwrap(), told("firing", "FeeddSinkStalled", "postgres"));

    proxy.set(Faults::default());
    let well = wait(&mut feedd, "the end of it", |status| status["alerts"][0]["state"] == "resolved");
    assert!(!has(&well, "FeeddSinkStalled", "postgres"));
    assert_eq!(taken.recv().unwrap(), told("resolved", "FeeddSinkStalled", "postgres"));
    let said = feedd.said();
    for (line, times) in [("alert firing: FeeddSinkStalled: postgres: ", 1), ("alert resolved: FeeddSinkStalled: ", 1)]
    {
        assert_eq!(said.matches(line).count(), times, "{line}\n{said}");
    }
    feedd.signal("TERM");
    feedd.wait().assert_complete("after a stall");
}

#[test]
fn a_full_disk_is_named_first_and_what_waits_for_it_names_it() {
    let Some(disk) = LoopFs::mount(32) else { return };
    let (data_dir, ballast) = (disk.path().join("data"), disk.path().join("ballast"));
    let sets = [
        "admin.listen=127.0.0.1:0",
        "source.0.rate=2000",
        "journal.segment_bytes=64KiB",
        "journal.bytes_max=4MiB",
        "alerts.disk_free_min=1MiB",
        "retry.delay=100ms",
        "retry.max_delay=500ms",
    ];
    let more: Vec<&str> = ["--source", "sim"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    let mut feedd = Feedd::start(&run_args(&data_dir, &more));
    wait(&mut feedd, "events", |status| status["journal"]["durable_seq"].as_u64() > Some(100));
    let folder = data_dir.join("journal").display().to_string();
    assert!(!has(&status(&feedd), "FeeddDiskFull", &folder));

    fill_up(&ballast);
    let found = wait(&mut feedd, "the journal waits", |status| has(status, "FeeddJournalWaiting", "journal"));
    assert_eq!(findings(&found)[0].0, "FeeddDiskFull", "the cause first: {}", found["findings"]);
    assert_eq!(found["verdict"]["level"], "critical");
    let remedy = |rule: &str| {
        let all = found["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["rule"] == rule).unwrap()["remedy"].as_str().unwrap().to_owned()
    };
    assert!(remedy("FeeddDiskFull").starts_with("make room on it"));
    assert!(remedy("FeeddJournalWaiting").starts_with("its disk is the cause: make room below "), "{found}");
    // Found and told at once.
    let firing = |status: &Value| {
        let alerts = status["alerts"].as_array().unwrap().clone();
        alerts.iter().filter(|alert| alert["state"] == "firing").map(|a| a["rule"].clone()).collect::<Vec<_>>()
    };
    assert!(firing(&found).contains(&"FeeddDiskFull".into()), "{}", found["alerts"]);

    std::fs::remove_file(&ballast).unwrap();
    wait(&mut feedd, "the end of it", |status| {
        findings(status).iter().all(|(rule, _)| !["FeeddDiskFull", "FeeddJournalWaiting"].contains(&rule.as_str()))
            && firing(status).is_empty()
    });
    feedd.signal("TERM");
    feedd.wait().assert_complete("after the disk was full");
}

#[test]
fn a_thread_that_hangs_is_named_and_told_of_until_it_goes_on() {
    let (url, taken) = webhook();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("alerts.webhook.url={url}");
    // What waits for the thread is told of too, and rightly.
    let others =
        "alerts.silence=FeeddBackpressure,FeeddRingSaturated,FeeddStreamMute,FeeddFeedStale,FeeddJournalFsyncSlow";
    let sets = ["admin.listen=127.0.0.1:0", "source.0.rate=500", &url, others];
    let more: Vec<&str> = ["--source", "sim"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
    let mut feedd = Feedd::start(&run_args(&dir.path().join("data"), &more));
    wait(&mut feedd, "events", |status| status["journal"]["durable_seq"].as_u64() > Some(100));
    assert!(!has(&status(&feedd), "FeeddThreadStuck", "batching"));

    let Some(held) = Held::hold(&mut feedd, "batching", dir.path()) else { return };
    let found = wait(&mut feedd, "the culprit", |status| has(status, "FeeddThreadStuck", "batching"));
    assert_eq!(findings(&found)[0], ("FeeddThreadStuck".to_owned(), "batching".to_owned()), "the cause first");
    assert_eq!(found["verdict"]["level"], "critical");
    let remedy = found["findings"][0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("let gdb show where it stands and restart feedd"), "{remedy}");
    // The metric on which the rule for Prometheus stands.
    let address = address(&feedd.said()).unwrap();
    let metrics = get(&address, "/metrics").body;
    let beat = metrics.lines().find(|line| {
        line.starts_with("feedd_stage_last_beat_timestamp_seconds{") && line.contains("name=\"batching\"")
    });
    let beat: f64 = beat.expect("the heartbeat of the thread").rsplit(' ').next().unwrap().parse().unwrap();
    let now = std::time::Duration::from_nanos(SystemClock::new().wall().0.cast_unsigned()).as_secs_f64();
    assert!(now - beat > 10.0, "alerts/feedd.yml fires on more than 10 s: {}", now - beat);
    let firing = told("firing", "FeeddThreadStuck", "batching");
    wait(&mut feedd, "the alert", |status| {
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().any(|alert| alert["rule"] == "FeeddThreadStuck" && alert["state"] == "firing")
    });
    assert!(taken.iter().any(|alert| alert == firing));

    drop(held);
    wait(&mut feedd, "the end of it", |status| !has(status, "FeeddThreadStuck", "batching"));
    let resolved = told("resolved", "FeeddThreadStuck", "batching");
    assert!(taken.iter().any(|alert| alert == resolved));
    feedd.signal("TERM");
    feedd.wait().assert_complete("a thread was held for a while");
}

#[test]
fn a_silenced_rule_is_found_and_not_told_and_one_that_does_not_exist_refuses_the_start() {
    let place = Place::new();
    let mut recorder = place.start(&["alerts.silence=FeeddRejectingFrames"]);
    recorder.write(b"not JSON at all");
    let status = recorder.wait_until("a finding", |status| status["verdict"]["level"] == "warning");
    assert_eq!(findings(&status)[0].0, "FeeddRejectingFrames");
    assert_eq!(status["alerts"], serde_json::json!([]));
    assert!(!recorder.end().stderr.contains("alert firing"));

    let ended = Feedd::start(&place.args(&["alerts.silence=FeeddNoSuchRule"])).wait();
    assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("there is no rule FeeddNoSuchRule; there are: FeeddBackpressure, "),
        "{}",
        ended.stderr
    );
}
