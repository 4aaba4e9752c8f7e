//! Every subcommand works at a tiny size and stores what it wrote. Nothing is said about speed.

#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_testkit::postgres::Server;
use serde_json::Value;
use std::process::Command;

/// The report of a run, as an object.
#[track_caller]
fn report(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(args).args(["--json", "-"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["version"], 2);
    let is_warned = report["warnings"].to_string().contains("debug assertions");
    assert_eq!(is_warned, cfg!(debug_assertions), "{}", report["warnings"]);
    report
}

fn names(report: &Value, list: &str, of: &str) -> Vec<String> {
    report[list].as_array().unwrap().iter().map(|entry| entry[of].as_str().unwrap().to_owned()).collect()
}

#[test]
fn postgres_on_a_server_of_its_own_checks_every_run() {
    if Server::start().is_none() {
        return;
    }
    let report = report(&["sink", "postgres", "--rows", "1201", "--pairs", "2"]);
    // One to warm up, and two pairs of four contests.
    assert_eq!((report["runs_checked"].as_u64(), report["stored"]["rows"].as_u64()), (Some(17), Some(1201)));
    assert_eq!((&report["server"]["fsync"], &report["server"]["autovacuum"]), (&"on".into(), &"off".into()));
    assert_eq!(names(&report, "goals", "name"), ["G1", "G2", "G3", "G6"]);
    let contests = report["contests"].as_array().unwrap();
    assert!(contests.iter().all(|contest| contest["pairs"] == 2 && contest["ratio_all_pairs"]["median"].is_number()));
    assert_eq!(names(&report, "contests", "theirs")[3], "INSERT of 500 rows");
}

#[test]
fn postgres_on_a_given_server_leaves_nothing_behind() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let port = server.port().to_string();
    let host = server.socket_dir().to_str().unwrap();
    let given = ["--host", host, "--port", &port, "--user", server.user(), "--database", &database];
    let small = ["sink", "postgres", "--rows", "700", "--pairs", "1", "--layout", "readable"];
    let report = report(&[&small[..], &given].concat());
    assert_eq!((report["runs_checked"].as_u64(), report["layout"].as_str()), (Some(9), Some("readable")));
    assert_eq!(names(&report, "goals", "name"), ["G1", "G2", "G3"]);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'feedd_bench'";
    assert_eq!(server.psql(&database, schemas), "0");

    server.psql(&database, "CREATE SCHEMA feedd_bench; CREATE TABLE feedd_bench.precious (n int)");
    let refused = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(small).args(given).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("drop it first"));
    assert_eq!(server.psql(&database, "SELECT count(*) FROM feedd_bench.precious"), "0");
}

#[test]
fn journal_reads_back_what_it_committed() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = dir.path().to_str().unwrap();
    let report = report(&["sink", "journal", "--seconds", "0.01", "--segment-bytes", "4194304", "--dir", place]);
    // 20 MiB to warm up, and at least three turns of 2 MiB of each size.
    let [appended, read] = ["events_appended", "events_read_back"].map(|name| report[name].as_u64().unwrap());
    assert!(appended >= (20 + 9 * 2) << 14, "{appended}");
    assert!((4 << 14..=appended).contains(&read), "{read}");
    let sizes: Vec<u64> =
        report["sizes"].as_array().unwrap().iter().map(|size| size["commit_bytes"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [64 << 10, 256 << 10, 1 << 20]);
    assert_eq!(names(&report, "goals", "name"), ["G11"]);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}

#[test]
fn parquet_files_hold_every_row() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let report = report(&["sink", "parquet", "--rows", "5000", "--runs", "2", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!((report["rows"].as_u64(), report["runs_checked"].as_u64()), (Some(5000), Some(2)));
    assert!(report["bytes_per_row"].as_f64().unwrap() > 0.0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "files were left behind");
}

#[test]
fn null_reads_every_row() {
    let [one, other] = [2, 3].map(|runs: u32| report(&["sink", "null", "--rows", "5000", "--runs", &runs.to_string()]));
    assert_eq!((one["runs_checked"].as_u64(), other["runs_checked"].as_u64()), (Some(2), Some(3)));
    assert!(one["checksum"].as_u64().unwrap() > 0);
    assert_eq!(one["checksum"], other["checksum"]);
}
