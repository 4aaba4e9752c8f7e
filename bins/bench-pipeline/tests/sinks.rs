//! The sinks' subcommands work at a tiny size and store what they wrote. Nothing is said about speed.

#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

mod common;

use common::report;
use feedd_testkit::postgres::Server;
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

fn names(report: &Value, list: &str, of: &str) -> Vec<String> {
    report[list].as_array().unwrap().iter().map(|entry| entry[of].as_str().unwrap().to_owned()).collect()
}

#[test]
fn postgres_on_a_server_of_its_own_checks_every_run() {
    if Server::start().is_none() {
        return;
    }
    let report = report(&["sink", "postgres", "--rows", "1201", "--pairs", "2"]);
    // One to warm up, and two pairs of seven contests.
    assert_eq!((report["runs_checked"].as_u64(), report["stored"]["rows"].as_u64()), (Some(29), Some(1201)));
    assert_eq!((&report["server"]["fsync"], &report["server"]["autovacuum"]), (&"on".into(), &"off".into()));
    assert_eq!(names(&report, "goals", "name"), ["G1", "G2", "G3", "G4", "G6"]);
    let limited = report["goals"].as_array().unwrap().iter().map(|goal| goal["limit"]["whose"].is_string());
    assert_eq!(limited.collect::<Vec<_>>(), [true; 5]);
    // Whether a pair counts is the machine's affair.
    assert!(report["ratios"].as_object().unwrap().contains_key("client_cpu_over_copy_writer"));
    let contests = report["contests"].as_array().unwrap();
    assert!(contests.iter().all(|contest| contest["pairs"] == 2 && contest["ratio_all_pairs"]["median"].is_number()));
    assert_eq!(
        names(&report, "contests", "theirs")[3..],
        [
            "INSERT of 500 rows",
            "psql \\copy with a ledger, 50000 rows a file",
            "psql \\copy with a ledger, 5000 rows a file",
            "BinaryCopyInWriter, 50000 rows a COPY"
        ]
    );
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
    assert_eq!((report["runs_checked"].as_u64(), report["layout"].as_str()), (Some(13), Some("readable")));
    assert_eq!(names(&report, "goals", "name"), ["G1", "G2", "G3"]);
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname = 'feedd_bench'";
    assert_eq!(server.psql(&database, schemas), "0");

    server.psql(&database, "CREATE SCHEMA feedd_bench; CREATE TABLE feedd_bench.precious (n int)");
    let refused = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(small).args(given).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("drop it first"));
    assert_eq!(server.psql(&database, "SELECT count(*) FROM feedd_bench.precious"), "0");
}

/// A stand-in for Python that knows the rows as they are, keeps them for pyarrow, and writes something else for Polars.
const STAND_IN: &str = r#"#!/bin/sh
cp "$3" "$0.rows"
none='{"error": "no such module"}'
echo '{"pyarrow": "1.2", "polars": "3.4", "pyarrow_same_encodings": '$none', "duckdb": '$none'}'
while read -r line; do
  path=${line##*,\"}
  path=${path%\"]}
  case "$line" in *pyarrow*) cp "$0.rows" "$path" ;; *) echo PAR1 > "$path" ;; esac
  echo '{"wall_s": 0.5, "cpu_s": 0.25}'
done
"#;

fn parquet(dir: &Path, python: &Path) -> Value {
    let files = dir.join("files");
    std::fs::create_dir(&files).unwrap();
    let [place, python] = [&files, python].map(|path| path.to_str().unwrap());
    let args = ["sink", "parquet", "--rows", "9000", "--rounds", "2", "--dir", place, "--python", python];
    let report = report(&args);
    assert_eq!(std::fs::read_dir(&files).unwrap().count(), 0, "files were left behind");
    report
}

/// What of the warnings is about ways that were left out.
fn left_out(report: &Value) -> Vec<String> {
    let warnings = report["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap().to_owned());
    warnings.filter(|warning| warning.contains("left out")).collect()
}

#[test]
fn parquet_compares_with_what_stores_the_same_rows() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let python = dir.path().join("python");
    std::fs::write(&python, STAND_IN).unwrap();
    std::fs::set_permissions(&python, Permissions::from_mode(0o755)).unwrap();
    let report = parquet(dir.path(), &python);
    assert_eq!(names(&report, "cases", "name"), ["sink", "arrow_rs", "pyarrow"]);
    assert_eq!(report["cases"][2]["title"], "pyarrow 1.2, its defaults");
    // Whether a run counts is the machine's affair; what it did is not.
    let rounds = report["rounds"].as_array().unwrap();
    let figure = |round: &Value, case: &str, name: &str| round["cases"][case][name].as_f64().unwrap();
    for round in rounds {
        let theirs = (figure(round, "pyarrow", "value"), figure(round, "pyarrow", "cpu_us_per_row"));
        assert_eq!(theirs, (18e3, 0.25e6 / 9e3));
    }
    let reasons = left_out(&report);
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(reasons[0].contains("no such module") && reasons[0].contains("--python"), "{reasons:?}");
    assert!(reasons[1].contains("polars") && reasons[1].contains("reading"), "{reasons:?}");
    // The median of two rounds' ratios, of which theirs is always the same.
    let ours = rounds.iter().map(|round| figure(round, "sink", "value")).sum::<f64>() / 2.0;
    let ratio = report["ratios_of_all_runs"]["sink_over_pyarrow"]["median"].as_f64().unwrap();
    assert!((ratio - ours / 18e3).abs() < 1e-6 * ours, "{ratio}");
    // It has copied the file that the library wrote with the sink's encodings.
    let bytes_ratio = report["ratios"]["bytes_over_pyarrow"].as_f64().unwrap();
    assert!((0.5..2.0).contains(&bytes_ratio), "{bytes_ratio}");
    assert!(report["ratios"]["sink_over_polars"].is_null());
}

#[test]
fn parquet_without_python_measures_the_rest() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let report = parquet(dir.path(), &dir.path().join("no-python"));
    assert_eq!(names(&report, "cases", "name"), ["sink", "arrow_rs"]);
    assert_eq!(left_out(&report).len(), 1);
    assert!(report["ratios_of_all_runs"]["sink_over_arrow_rs"]["median"].as_f64().unwrap() > 0.0);
    assert!(report["bytes_per_row"].as_f64().unwrap() > 0.0);
    assert_eq!(names(&report, "goals", "name"), ["G7", "G7", "G7", "G8", "G10", "G9", "G12"]);
    assert!(report["goals"][0]["value"].is_null() && report["goals"][5]["value"].is_number());
}

/// With whatever libraries are installed here: a way either takes part or is left out with its reason.
#[test]
fn parquet_with_the_python_of_this_machine() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv/bin/python");
    let python = if own.exists() { own } else { "python3".into() };
    let report = parquet(dir.path(), &python);
    let theirs = names(&report, "cases", "name").len() - 2;
    let reasons = left_out(&report);
    assert!(theirs + reasons.len() == 4 || (theirs == 0 && reasons.len() == 1), "{reasons:?}");
    eprintln!("{theirs} of 4 ways took part; {reasons:?}");
}

#[test]
fn null_reads_every_row() {
    let [one, other] = [2, 3].map(|runs: u32| report(&["sink", "null", "--rows", "5000", "--runs", &runs.to_string()]));
    assert_eq!((one["runs_checked"].as_u64(), other["runs_checked"].as_u64()), (Some(2), Some(3)));
    assert!(one["checksum"].as_u64().unwrap() > 0);
    assert_eq!(one["checksum"], other["checksum"]);
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
