//! `end-to-end` at a tiny size: everything that is sent is stored, and every figure is there. Nothing is said about speed.

mod common;

use common::report;
use std::process::Command;

#[test]
fn what_is_sent_is_stored_and_every_hop_tells_its_percentiles() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path().to_str().unwrap();
    let only = ["--only", "null_ws,parquet_wss"];
    let args = ["end-to-end", "--quick", "--rounds", "1", "--seconds", "0.2", "--dir", place];
    let report = report(&[&args[..], &only[..]].concat());
    let names: Vec<&str> =
        report["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect();
    let (null, parquet) = ("null_ws_sources_1_symbols_10", "parquet_wss_sources_1_symbols_10");
    assert_eq!(names, [null, parquet]);
    assert!(report["cases"].as_array().unwrap().iter().all(|case| case["unit"] == "events/s"));
    for (name, hops) in [(null, &["handed"][..]), (parquet, &["handed", "durable"][..])] {
        let figures = &report["rounds"][0]["cases"][name];
        let number = |key: &str| figures[key].as_u64().unwrap_or_else(|| panic!("{name}: {key}"));
        for rate in ["held", "half"] {
            for hop in ["handed", "durable", "stored"] {
                let key = |part: &str| format!("{rate}_{hop}_{part}");
                assert_eq!(figures.get(key("p50")).is_some(), hops.contains(&hop), "{name}: {hop}");
                if hops.contains(&hop) {
                    let parts = ["p50", "p99", "p999", "max"].map(|part| number(&key(part)));
                    assert!(parts.is_sorted() && parts[0] > 0, "{name}: {parts:?}");
                    assert_eq!(number(&key("waiting")), 0, "{name}: everything has arrived");
                }
            }
        }
        // A lane sees each event of the hold and of what is sent after it until nothing waits.
        let held = number("held_handed_events");
        assert!(held > 0 && number("events_stored") > held, "{name}");
        assert!(figures["generator_frames_per_s"].as_f64().unwrap() > 0.0);
        assert!(figures["held_cpu_s_per_million"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}

#[test]
fn a_case_that_does_not_exist_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-pipeline"));
    let output = command.args(["end-to-end", "--only", "mysql"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("--only leaves no case"), "{error}");
}
