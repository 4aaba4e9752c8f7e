//! `size` and `growth` at a tiny size: every figure is there, and the sums are those of their steps.

mod common;

use common::report;
use feedd_testkit::postgres::Server;
use std::process::Command;

#[test]
fn parquet_is_sized_step_by_step() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path().to_str().unwrap();
    let asked = ["--symbols", "3", "--rate", "10k", "--mean-rate", "500", "--retain-days", "7", "--dir", place];
    let report = report(&[&["size"][..], &asked].concat());
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"));
    assert!(number("cores") >= 2.0 && number("sources") >= 1.0 && number("memory_mib") >= 128.0);
    assert!(report["server_cores"].is_null());
    let per_day = 500.0 * 86_400.0 * number("stored_bytes_per_row") / 1e9;
    assert!((number("disk_gb_per_day") / per_day - 1.0).abs() < 1e-9);
    assert!((number("disk_gb") - (per_day * 7.0 * 1.25 + 4.294_967_296).ceil()).abs() < 1e-9);
    assert!(number("journal_bytes_per_event") > 64.0, "an event has 64 bytes");
    let cases = report["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    let parts =
        ["source_trade", "source_quote", "source_depth", "source_mix", "batching", "journal", "read_back", "store"];
    assert_eq!(names, parts);
    assert!(cases.iter().all(|case| case["median"].as_f64().unwrap() > 0.0));
    let steps = report["steps"].to_string();
    assert!(steps.contains("10,000 events/s x") && steps.contains("500 events/s x 86,400 s x"), "{steps}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}

#[test]
fn a_database_is_sized_apart() {
    if Server::start().is_none() {
        return;
    }
    let report = report(&["size", "--symbols", "3", "--rate", "10k", "--sink", "postgres"]);
    assert!(report["server_cores"].as_f64().unwrap() >= 1.0);
    let cases = report["cases"].as_array().unwrap();
    assert!(cases.iter().any(|case| case["name"] == "server" && case["median"].as_f64().unwrap() > 0.0));
    assert!(report["disk_gb"].is_null(), "no days were given");
}

#[test]
fn symbols_and_rate_have_to_be_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(["size", "--symbols", "3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--rate"));
}

#[test]
fn growth_runs_every_number_of_symbols_and_of_events() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path().to_str().unwrap();
    let report = report(&["growth", "--quick", "--events-max", "1000000", "--rounds", "1", "--dir", place]);
    let cases = report["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["symbols_10", "symbols_100", "symbols_1000", "events_1e6"]);
    let round = report["rounds"][0]["cases"].as_object().unwrap();
    for (name, case) in round {
        let events = case["events"].as_u64().unwrap();
        assert!(events >= if name == "events_1e6" { 1_000_000 } else { 100_000 }, "{name}: {events}");
        assert!(case["value"].as_f64().unwrap() > 0.0 && case["rss_mib"].as_f64().unwrap() > 1.0, "{name}");
    }
    assert!(report["ratios"].as_object().unwrap().contains_key("symbols_1000_over_10"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}
