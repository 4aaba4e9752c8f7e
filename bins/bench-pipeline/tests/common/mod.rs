//! What the tests of subcommands share.

#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use serde_json::Value;
use std::process::Command;

/// The report of a run, as an object.
#[track_caller]
pub(crate) fn report(args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(args).args(["--json", "-"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["version"], 2);
    let is_warned = report["warnings"].to_string().contains("debug assertions");
    assert_eq!(is_warned, cfg!(debug_assertions), "{}", report["warnings"]);
    report
}
