//! `feedd soak`, as an operator runs it: what its table says of what was stored is what other readers find there.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::{command, pg, stored};
use feedd_testkit::postgres::Server;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A finished soak.
#[derive(Debug)]
struct Soaked {
    code: Option<i32>,
    table: Value,
    stderr: String,
}

fn arguments(below: &Path, more: &[&str]) -> Vec<String> {
    let fixed = ["soak", "--data-dir", below.to_str().unwrap(), "--json", "-"];
    fixed.iter().chain(more).map(|&arg| arg.to_owned()).collect()
}

fn soak(below: &Path, more: &[&str]) -> Soaked {
    ended(command(&arguments(below, more)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn ended(child: Child) -> Soaked {
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let table = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    Soaked { code: output.status.code(), table, stderr }
}

impl Soaked {
    /// A row: its verdict and its figure.
    fn row(&self, name: &str) -> (&str, &Value) {
        let rows = self.table["rows"].as_array().unwrap_or_else(|| panic!("a table: {self:?}"));
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}: {self:?}"));
        (row["verdict"].as_str().unwrap(), &row["figure"])
    }

    fn names(&self) -> Vec<&str> {
        self.table["rows"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }

    /// What holds however slow the machine is: nothing is lost, doubled or unaccounted; and the exit code is the table's.
    fn assert_whole(&self) -> u64 {
        for name in ["lost", "account", "verify"] {
            assert_eq!(self.row(name).0, "pass", "{name}: {}\n{}", self.table, self.stderr);
        }
        let passes = self.table["rows"].as_array().unwrap().iter().all(|row| row["verdict"] != "fail");
        assert_eq!(self.table["pass"], passes, "{}", self.table);
        assert_eq!(self.code, Some(if passes { 0 } else { 1 }), "{}", self.table);
        self.row("verify").1.as_u64().unwrap()
    }
}

const EVERY_ROW: [&str; 10] = [
    "channel_full",
    "backpressure",
    "insert_p99",
    "failed_batches",
    "fresh",
    "memory_growth",
    "memory",
    "lost",
    "account",
    "verify",
];

/// The folder of the only soak below.
fn folder(below: &Path) -> PathBuf {
    let mut found: Vec<_> = std::fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.pop().unwrap()
}

#[test]
fn what_it_says_is_stored_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let soaked = soak(dir.path(), &["--for", "3s", "--keep", "--sink", "parquet"]);
    let rows = soaked.assert_whole();
    assert_eq!(soaked.names(), EVERY_ROW);
    assert!(rows > 1_000, "{rows}");
    assert_eq!((&soaked.table["symbols"], &soaked.table["rate"]), (&10.into(), &1_000.into()));
    let data = folder(dir.path()).join("data");
    stored::assert_dense("soak", &stored::read(&data), 1, rows);
}

#[test]
fn nothing_is_left_of_one_that_passes_and_what_fails_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("below");
    let soaked = soak(&below, &["--for", "2s", "--sink", "null", "--symbols", "3", "--rate", "300"]);
    assert_eq!(soaked.row("verify").0, "told", "{}", soaked.table);
    // Whether each row passes is a question of how busy this machine is.
    assert_eq!(below.exists(), soaked.code != Some(0), "{soaked:?}");
    assert_eq!(soaked.stderr.contains("kept: "), soaked.code != Some(0), "{soaked:?}");
}

#[test]
fn what_cannot_run_is_told_with_a_remedy_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--source", "capture:x"], "leave --source out"),
        (&["--fault", "stalled-sink", "--sink", "parquet"], "add --sink postgres"),
        (&["--sink", "postgres", "--set", "postgres.host=127.0.0.1", "--set", "postgres.port=1"], "postgres"),
        (&["--fault", "kill", "--sink", "null"], "set journal.mode"),
        (&["--set", "batch.max_evnts=1"], "batch.max_events"),
    ];
    for (arguments, words) in cases {
        let below = dir.path().join("below");
        let soaked = soak(&below, arguments);
        assert_eq!(soaked.code, Some(2), "{arguments:?}: {soaked:?}");
        assert!(soaked.stderr.contains(words), "{arguments:?}: {}", soaked.stderr);
        assert!(!below.exists(), "{arguments:?} leaves {below:?}");
    }
}

#[test]
fn ctrl_c_ends_it_with_what_was_measured() {
    let dir = tempfile::tempdir().unwrap();
    let child = command(&arguments(dir.path(), &["--for", "10m", "--sink", "parquet"]));
    let mut child = { child }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It records when its data folder knows of a start.
    let is_begun = || {
        let mut below = std::fs::read_dir(dir.path()).unwrap().filter_map(Result::ok);
        below.next().is_some_and(|folder| folder.path().join("data/_feedd/feedd.sock").exists())
    };
    while !is_begun() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(1));
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let soaked = ended(child);
    assert_eq!(soaked.table["interrupted"], true, "{soaked:?}");
    assert_eq!(soaked.names(), EVERY_ROW);
    soaked.assert_whole();
}

#[test]
fn a_kill_loses_nothing_that_was_durable_and_the_hole_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let soaked = soak(dir.path(), &["--for", "4s", "--keep", "--sink", "parquet", "--fault", "kill"]);
    let rows = soaked.assert_whole();
    assert_eq!(soaked.row("restart").0, "pass", "{}", soaked.table);
    let stored = stored::read(&folder(dir.path()).join("data"));
    let seqs = stored::seqs(&stored);
    assert_eq!(seqs.keys().copied().collect::<Vec<_>>(), [1, 2], "two starts");
    assert_eq!(seqs.values().map(|seqs| seqs.len() as u64).sum::<u64>(), rows);
    for (epoch, seqs) in &seqs {
        stored::assert_dense("killed", &stored, *epoch, seqs.len() as u64);
    }
    let gaps = stored::of(&stored, "gaps").flat_map(|gaps| {
        let reasons = gaps.texts("reason");
        (0..gaps.len()).map(|row| reasons.value(row).to_owned()).collect::<Vec<_>>()
    });
    assert!(gaps.into_iter().any(|reason| reason == "recorder_down"));
}

#[test]
fn a_database_that_stalls_gets_everything_afterwards_and_its_schema_goes() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let dir = tempfile::tempdir().unwrap();
    let sets = [
        format!("postgres.host={}", server.socket_dir().display()),
        format!("postgres.port={}", server.port()),
        format!("postgres.database={database}"),
        format!("postgres.user={}", server.user()),
        "retry.delay=100ms".to_owned(),
        "retry.max_delay=500ms".to_owned(),
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let schemas = || server.psql(&database, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'feedd_soak_%'");
    let stalled = [&["--for", "9s", "--keep", "--sink", "postgres", "--fault", "stalled-sink"], &sets[..]].concat();
    let soaked = soak(dir.path(), &stalled);
    let rows = soaked.assert_whole();
    assert_eq!(soaked.row("recovery").0, "pass", "{}", soaked.table);
    assert_eq!(soaked.row("channel_full").0, "pass", "the journal takes it: {}", soaked.table);
    assert!(soaked.table.to_string().contains("postgres after"), "named: {}", soaked.table);
    let schema = schemas();
    let all = pg::VIEWS.map(|view| format!("SELECT epoch, seq FROM {schema}.{view}")).join(" UNION ALL ");
    let counted =
        server.psql(&database, &format!("SELECT count(*), count(DISTINCT (epoch, seq)), max(seq) FROM ({all}) e"));
    assert_eq!(counted, format!("{rows}|{rows}|{rows}"));

    server.psql(&database, &format!("DROP SCHEMA {schema} CASCADE"));
    let soaked = soak(dir.path(), &[&["--for", "2s", "--sink", "postgres"], &sets[..]].concat());
    soaked.assert_whole();
    // What passes leaves nothing; what does not (on a busy machine) is kept to be looked at.
    assert_eq!(schemas().is_empty(), soaked.code == Some(0), "{soaked:?}");
}

#[test]
fn a_slow_strategy_is_named_and_costs_the_recording_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let soaked = soak(dir.path(), &["--for", "8s", "--sink", "parquet", "--fault", "slow-strategy"]);
    soaked.assert_whole();
    assert!(soaked.table.to_string().contains("slow(1000)@1s after"), "named: {}", soaked.table);
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    if !rustix::process::geteuid().is_root() {
        return feedd_testkit::skipped("mounting a small disk needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let sets = ["--set", "retry.delay=100ms", "--set", "retry.max_delay=500ms"];
    let soaked = soak(dir.path(), &[&["--for", "9s", "--sink", "parquet", "--fault", "disk-full"], &sets[..]].concat());
    if soaked.stderr.contains("not allowed here") {
        return feedd_testkit::skipped("mounting a small disk is not allowed here");
    }
    soaked.assert_whole();
    assert_eq!(soaked.row("recovery").0, "pass", "{}", soaked.table);
    assert_ne!(soaked.row("culprit").1, &Value::Null, "named: {}", soaked.table);
}
