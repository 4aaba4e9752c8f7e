//! What a recorder holds at its default configuration: ten symbols, no backlog.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::{Feedd, pg, run_args};
use feedd_testkit::postgres::Server;
use std::time::Duration;

/// Most that a recorder may hold at rest: 25 MB.
const REST_KIB_MAX: u64 = 25_000_000 / 1024;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(50);

/// Most that the process held while it recorded, in KiB: the peak that the kernel keeps, as long as it can be asked.
fn peak_kib(more: &[&str]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let args = [&["--for", "4s"][..], more].concat();
    let mut feedd = Feedd::start(&run_args(dir.path(), &args));
    let mut peak = 0;
    while feedd.is_running() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", feedd.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = kib.unwrap_or(0).max(peak);
        std::thread::sleep(LOOK);
    }
    let ended = feedd.wait();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    assert!(ended.account().get("events.accepted") > 1000, "it recorded");
    println!("{more:?}: {peak} KiB");
    peak
}

/// 25 MB, and `parquet.memory_max` for what the files need on top.
#[test]
fn a_recorder_at_rest_is_small() {
    const PARQUET_KIB_MAX: u64 = REST_KIB_MAX + 64 * 1024;
    let null = peak_kib(&["--sink", "null"]);
    assert!((1..REST_KIB_MAX).contains(&null), "{null} KiB");
    let journal = peak_kib(&["--sink", "null", "--set", "journal.mode=on"]);
    assert!((1..REST_KIB_MAX).contains(&journal), "{journal} KiB");
    let parquet = peak_kib(&[]);
    assert!((1..PARQUET_KIB_MAX).contains(&parquet), "{parquet} KiB");
}

#[test]
fn a_recorder_into_postgresql_is_small() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let host = format!("postgres.host={}", server.socket_dir().display());
    let (port, name) = (format!("postgres.port={}", server.port()), format!("postgres.database={database}"));
    let user = format!("postgres.user={}", server.user());
    let peak = peak_kib(&["--sink", "postgres", "--set", &host, "--set", &port, "--set", &name, "--set", &user]);
    assert!((1..REST_KIB_MAX).contains(&peak), "{peak} KiB");
    let stored = pg::spreads(&server, &database);
    assert!(stored.len() == 1 && stored[0].is_dense() && stored[0].rows > 1000, "{stored:?}");
}
