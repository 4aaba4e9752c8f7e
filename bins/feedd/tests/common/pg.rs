//! A recorder that stores into a PostgreSQL server of the test's own: its settings, what it says of itself, what `psql`
//! finds. Nothing here is the sink's code.

use super::Feedd;
use feedd_testkit::postgres::Server;
use std::path::Path;
use std::time::{Duration, Instant};

/// Pause between two looks at a server or at a recorder's standard error.
const LOOK: Duration = Duration::from_millis(20);

/// How much a test of a promise does: `FEEDD_SOAK`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// With every run of the tests.
    Day,
    /// `ci`: on a build machine.
    Ci,
    /// `full`: before a release.
    Full,
}

impl Size {
    pub(crate) fn of_this_run() -> Self {
        match std::env::var("FEEDD_SOAK").as_deref() {
            Ok("full") => Self::Full,
            Ok("ci") => Self::Ci,
            Ok("") | Err(_) => Self::Day,
            Ok(other) => panic!("FEEDD_SOAK={other:?}: ci or full"),
        }
    }
}

/// Settings of a recorder that says every 0.1 s how it stands, and is quick to try a server again.
pub(crate) fn settings(host: &str, port: u16, database: &str) -> Vec<String> {
    let pairs = [
        ("postgres.host", host.to_owned()),
        ("postgres.port", port.to_string()),
        ("postgres.database", database.to_owned()),
        ("postgres.user", "postgres".to_owned()),
        ("health.interval", "100ms".to_owned()),
        ("batch.max_age", "200ms".to_owned()),
        ("retry.delay", "100ms".to_owned()),
        ("retry.max_delay", "500ms".to_owned()),
    ];
    pairs.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
}

/// Arguments of `feedd run`.
pub(crate) fn run_args(data_dir: &Path, settings: &[String], more: &[&str]) -> Vec<String> {
    let mut args = super::run_args(data_dir, more);
    args.extend_from_slice(settings);
    args
}

/// The last durable sequence that a recorder told of; `None` before its first health line.
pub(crate) fn durable(said: &str) -> Option<u64> {
    let (_, last) = said.rsplit_once("| Durable: ")?;
    // The line may have been cut by a kill: a number counts with what follows it.
    let (number, _) = last.split_once(" (journal")?;
    number.parse().ok()
}

/// Waits until `reached`, while the recorder runs; `most` is generous, a busy machine is slow.
pub(crate) fn wait(feedd: &mut Feedd, most: Duration, what: &str, mut reached: impl FnMut(&Feedd) -> bool) {
    let limit = Instant::now() + most;
    while !reached(feedd) {
        assert!(feedd.is_running() || reached(feedd), "ended before: {what}\n{}", feedd.said());
        assert!(Instant::now() < limit, "still waiting for: {what}\n{}", tail(&feedd.said()));
        std::thread::sleep(LOOK);
    }
}

/// The last lines: health lines come ten a second.
fn tail(said: &str) -> &str {
    let at = said.rmatch_indices('\n').nth(30).map_or(0, |(at, _)| at);
    &said[at..]
}

/// The most memory that a process has ever held, in KiB; `None` when it has ended.
pub(crate) fn memory_peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Every view, which together hold each event once.
pub(crate) const VIEWS: [&str; 6] = ["trades", "quotes", "books", "levels", "gaps", "status"];

/// Rows, different identities, lowest and highest sequence of one start, over all views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) epoch: u32,
    pub(crate) rows: u64,
    pub(crate) different: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Spread {
    /// 1 to `last`, each once.
    pub(crate) fn is_dense(&self) -> bool {
        self.first == 1 && self.rows == self.last && self.different == self.last
    }
}

/// What each start has left in the tables.
pub(crate) fn spreads(server: &Server, database: &str) -> Vec<Spread> {
    let all = VIEWS.map(|view| format!("SELECT epoch, seq FROM {view}")).join(" UNION ALL ");
    let sql = format!(
        "SELECT epoch, count(*), count(DISTINCT seq), min(seq), max(seq) FROM ({all}) e GROUP BY epoch ORDER BY epoch"
    );
    server.psql(database, &sql).lines().map(spread).collect()
}

fn spread(line: &str) -> Spread {
    let columns: Vec<u64> = line.split('|').map(|text| text.parse().unwrap()).collect();
    let &[epoch, rows, different, first, last] = columns.as_slice() else { panic!("five columns: {line}") };
    Spread { epoch: u32::try_from(epoch).unwrap(), rows, different, first, last }
}

/// What the sink has confirmed of a start: its ledger. 0 while the server or the table is not there yet.
pub(crate) fn confirmed(server: &Server, database: &str, epoch: u32) -> u64 {
    let sql = format!("SELECT coalesce(max(stored_seq), 0) FROM ledger WHERE epoch = {epoch}");
    server.try_psql(database, &sql).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// As [`spreads`], for a database that may have no tables yet.
pub(crate) fn spreads_or_none(server: &Server, database: &str) -> Vec<Spread> {
    let exists = server.psql(database, "SELECT to_regclass('ledger') IS NOT NULL");
    if exists == "t" { spreads(server, database) } else { Vec::new() }
}
