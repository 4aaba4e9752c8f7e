//! `latency` at a tiny size: every event arrives, and every figure is there. Nothing is said about speed.

mod common;

use common::report;
use std::process::Command;

#[test]
fn every_hop_of_every_strategy_tells_its_percentiles() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path().to_str().unwrap();
    let report = report(&["latency", "--rates", "2k,20k,1001k", "--seconds", "0.05", "--rounds", "1", "--dir", place]);
    let cases = report["cases"].as_array().unwrap();
    let mut expected = ["hand_over", "bare"].map(|hop| format!("spin_1001k_{hop}")).to_vec();
    for rate in ["2k", "20k"] {
        expected.extend(["adaptive", "spin", "yield", "park"].map(|wait| format!("{wait}_{rate}_hand_over")));
        expected.push(format!("spin_{rate}_bare"));
        expected.extend(["durable", "stored"].map(|hop| format!("adaptive_{rate}_{hop}")));
    }
    let mut found: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(cases.iter().all(|case| case["unit"] == "ns"));

    let round = &report["rounds"][0]["cases"];
    for (name, events) in
        [("park_20k_hand_over", 900), ("adaptive_2k_durable", 90), ("adaptive_20k_stored", 900), ("spin_20k_bare", 900)]
    {
        let figures = &round[name];
        // The first tenth does not count.
        assert_eq!(figures["events"], events, "{name}");
        let of = |part: &str| figures[format!("due_{part}")].as_u64().unwrap();
        let parts = ["p50", "p90", "p99", "p999", "p9999", "max"].map(of);
        assert!(parts.is_sorted() && parts[0] > 0, "{name}: {parts:?}");
        assert_eq!(figures["stamp_p50"].is_number(), !name.starts_with("adaptive"), "{name}");
    }
    let of = |name: &str| round[name]["due_p50"].as_u64().unwrap();
    assert!(of("adaptive_20k_stored") >= of("adaptive_20k_durable"), "only what is durable is stored");
    for idle in ["adaptive", "spin", "yield", "park"] {
        let figures = report["idle"][idle].as_object().unwrap();
        assert!(figures.len() == 4 && figures.values().all(|spread| spread["median"].is_number()), "{figures:?}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}

#[test]
fn a_rate_that_is_none_is_refused_with_what_to_write() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench-pipeline"));
    let output = command.args(["latency", "--rates", "10k,fast"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("fast") && error.contains("such as 500, 10k or 1m"), "{error}");
}
