//! The whole way, with the real programs: a source in a process of its own, the recorder, a PostgreSQL server. Both are
//! killed at random moments; in the end both stores hold the same, each event once, and what is missing is recorded.
//!
//! The source is this test's own binary, started again for [`the_process_of_the_oracle`]: it runs the same `Feed` as the
//! program `oracle-feed`, and is there wherever the test is. A program of another package would have to be built while
//! tests run, with the lock of the target folder taken, and one that lies there may be of yesterday.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
#[allow(dead_code, reason = "its sender is a thread; here the oracle is a process")]
mod oracled;

use common::pg::{self, Size};
use common::{Ended, Feedd, stored};
use feedd_model::{Epoch, Position, Seq};
use feedd_testkit::judge::{Evidence, Gap, StoredRow, Verdict, judge};
use feedd_testkit::oracle::{Feed, Oracle, SentLog};
use feedd_testkit::postgres::Server;
use feedd_testkit::promise::{Report, seed};
use oracled::rows_of_file;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
/// What the process of the oracle is told: folder, seed and rate, parted by tabs.
const ORACLE: &str = "ORACLE_RUN_FEED";
/// Longest wait for anything that a busy machine makes slow.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// How much a run does.
struct Plan {
    events_per_second: u64,
    /// Kills of the server, and as many of the recorder.
    kills: u32,
    /// Longest pause before a fault.
    pause_ms_max: u64,
}

fn plan() -> Plan {
    match Size::of_this_run() {
        Size::Day => Plan { events_per_second: 5_000, kills: 2, pause_ms_max: 1_500 },
        Size::Ci => Plan { events_per_second: 50_000, kills: 5, pause_ms_max: 4_000 },
        Size::Full => Plan { events_per_second: 20_000, kills: 50, pause_ms_max: 4_000 },
    }
}

/// The oracle: sends until standard input ends, which it also does when the test dies.
#[test]
#[ignore = "a process that the other test starts"]
fn the_process_of_the_oracle() {
    let Ok(told) = std::env::var(ORACLE) else { return };
    let told: Vec<&str> = told.split('\t').collect();
    let &[folder, seed, rate] = told.as_slice() else { panic!("{told:?}") };
    let feed = Feed {
        oracle: Oracle::new(seed.parse().unwrap(), &SYMBOLS),
        first: 1,
        rate: rate.parse().unwrap(),
        duration: Duration::from_secs(24 * 3600),
        out: pipe_in(Path::new(folder)),
        log: log_in(Path::new(folder)),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let set = stop.clone();
    std::thread::spawn(move || {
        // Whatever ends it, an error too, ends the feed.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        set.store(true, Ordering::Relaxed);
    });
    feed.run(&stop).unwrap();
}

/// The folder's name is the venue.
fn pipe_in(folder: &Path) -> PathBuf {
    folder.join("binance").join("feed")
}

fn log_in(folder: &Path) -> PathBuf {
    folder.join("sent.log")
}

/// The running oracle; killed when the test fails before its end.
struct OracleProcess {
    child: Child,
    log: PathBuf,
}

impl OracleProcess {
    fn start(folder: &Path, seed: u64, rate: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_process_of_the_oracle", "--ignored", "--nocapture"]);
        command.env(ORACLE, format!("{}\t{seed}\t{rate}", folder.display()));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        Self { child, log: log_in(folder) }
    }

    /// Waits until it has seen that its reader is gone: then the pipe is empty, and the next reader begins with a line.
    fn wait_until_alone(&self) {
        let limit = Instant::now() + WAIT_MAX;
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if log.matches("\"reader there\"").count() == log.matches("\"reader gone\"").count() {
                return;
            }
            assert!(Instant::now() < limit, "the oracle does not notice that nobody reads");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it in order, and gives what it has sent.
    fn end(mut self) -> SentLog {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "the oracle failed");
        SentLog::read(&self.log).unwrap()
    }
}

impl Drop for OracleProcess {
    fn drop(&mut self) {
        // Nothing to do when it has ended, which it mostly has.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Server,
    Recorder,
    /// The recorder is killed and started again while the server is away.
    Both,
}

/// Everything that runs.
struct Scene {
    folder: TempDir,
    server: Server,
    database: String,
    settings: Vec<String>,
    feedd: Option<Feedd>,
    starts: u32,
    /// What was durable before each kill of the recorder.
    durable: Vec<Position>,
}

impl Scene {
    fn new() -> Option<Self> {
        let server = Server::start()?;
        let database = server.create_database();
        let mut settings = pg::settings(server.socket_dir().to_str().unwrap(), server.port(), &database);
        // Files are finished and the journal's segments given back within the run; a backlog has time at the end.
        let more = ["parquet.file_age_max=1s", "journal.segment_bytes=1MiB", "stop.deadline=50s"];
        settings.extend(more.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]));
        let folder = tempfile::tempdir().unwrap();
        let pipe = pipe_in(folder.path());
        std::fs::create_dir(pipe.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        Some(Self { folder, server, database, settings, feedd: None, starts: 0, durable: Vec::new() })
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start_recorder(&mut self) {
        let source = format!("capture:{}", pipe_in(self.folder.path()).display());
        let more = ["--sink", "parquet", "--sink", "postgres", "--source", &source];
        let mut feedd = Feedd::start(&pg::run_args(&self.data_dir(), &self.settings, &more));
        // From here on the start has its epoch.
        feedd.wait_until_said("recording 1 source(s)");
        self.starts += 1;
        self.feedd = Some(feedd);
    }

    fn kill_recorder(&mut self, oracle: &OracleProcess) {
        let feedd = self.feedd.take().unwrap();
        let durable = pg::durable(&feedd.said());
        feedd.signal("KILL");
        let ended = feedd.wait();
        assert_eq!(ended.code(), None, "killed: {}", ended.stderr);
        self.durable.extend(durable.map(|seq| Position { epoch: Epoch(self.starts), seq: Seq(seq) }));
        oracle.wait_until_alone();
    }

    fn inject(&mut self, fault: Fault, oracle: &OracleProcess, rng: &mut fastrand::Rng) {
        match fault {
            Fault::Server => {
                self.server.kill9();
                std::thread::sleep(Duration::from_millis(rng.u64(..1_000)));
                self.server.start_again();
            }
            Fault::Recorder => {
                self.kill_recorder(oracle);
                std::thread::sleep(Duration::from_millis(rng.u64(..300)));
                self.start_recorder();
            }
            Fault::Both => {
                self.server.kill9();
                self.kill_recorder(oracle);
                self.start_recorder();
                std::thread::sleep(Duration::from_millis(rng.u64(..1_000)));
                self.server.start_again();
            }
        }
    }

    /// A phase without faults: what comes now arrives, too. Then the oracle ends, and the recorder is told to.
    fn finish(&mut self, oracle: OracleProcess, rate: u64) -> (SentLog, Ended) {
        let mut feedd = self.feedd.take().unwrap();
        pg::wait(&mut feedd, WAIT_MAX, "a second of events", |feedd| pg::durable(&feedd.said()) > Some(rate));
        // The pipe has a writer until the signal: its end is not what ends the recorder.
        let held = File::options().write(true).open(pipe_in(self.folder.path())).unwrap();
        let sent = oracle.end();
        let last = sent.ranges().last().unwrap().last;
        let newest = "SELECT coalesce(max(trade_id), 0) FROM trade";
        let arrived = || self.server.psql(&self.database, newest).parse::<u64>().unwrap() >= last;
        pg::wait(&mut feedd, WAIT_MAX, "the last trade in PostgreSQL", |_| arrived());
        feedd.signal("TERM");
        let ended = feedd.wait();
        drop(held);
        (sent, ended)
    }

    fn sql(&self, sql: &str) -> String {
        self.server.psql(&self.database, sql)
    }

    /// All rows, read by `psql`: one a line, as [`StoredRow::parse`] takes it.
    fn rows_by_sql(&self) -> String {
        let others = pg::VIEWS[1..]
            .iter()
            .map(|view| format!(" UNION ALL SELECT epoch, seq, NULL, NULL, NULL, NULL, NULL, NULL FROM {view}"));
        let trades = "SELECT epoch, seq, trade_id, symbol, price, size, side, venue_ts / 1000000 FROM trades";
        self.sql(&others.fold(trades.to_owned(), |sql, other| sql + &other))
    }

    /// The spans that the recorder owns up to.
    fn gaps(&self) -> Vec<Gap> {
        let text = self.sql("SELECT from_ts, to_ts FROM gaps WHERE reason = 'recorder_down'");
        let gap = |line: &str| {
            let (from, to) = line.split_once('|').unwrap();
            Gap { from_ns: from.parse().unwrap(), to_ns: to.parse().unwrap() }
        };
        text.lines().map(gap).collect()
    }
}

/// Rows are made one by one: with millions, their texts would fill the memory.
fn parsed(text: &str) -> impl Iterator<Item = StoredRow> {
    text.lines().map(|line| StoredRow::parse(line).unwrap())
}

/// What identifies the rows of both stores; their contents are compared with the oracle's.
fn identities(rows: impl Iterator<Item = StoredRow>) -> Vec<(Position, Option<u64>)> {
    let mut all: Vec<_> = rows.map(|row| (row.at, row.trade_id)).collect();
    all.sort_unstable_by_key(|(at, trade_id)| (at.epoch.0, at.seq.0, *trade_id));
    all
}

#[test]
fn kills_of_recorder_and_server_lose_double_and_alter_nothing() {
    let plan = plan();
    let Some(mut scene) = Scene::new() else { return };
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let begun = Instant::now();
    let oracle = OracleProcess::start(scene.folder.path(), seed, plan.events_per_second);
    scene.start_recorder();
    // What the first kill must not lose.
    let is_under_way = |feedd: &Feedd| pg::durable(&feedd.said()) > Some(100);
    pg::wait(scene.feedd.as_mut().unwrap(), WAIT_MAX, "the first events", is_under_way);
    let mut faults = vec![Fault::Both];
    for _ in 1..plan.kills {
        faults.extend([Fault::Server, Fault::Recorder]);
    }
    rng.shuffle(&mut faults);
    for &fault in &faults {
        std::thread::sleep(Duration::from_millis(rng.u64(..plan.pause_ms_max)));
        scene.inject(fault, &oracle, &mut rng);
    }
    let (sent, ended) = scene.finish(oracle, plan.events_per_second);
    let recorded = begun.elapsed();
    assert_end(&ended);

    let gaps = scene.gaps();
    let evidence = Evidence { sent: &sent, gaps: &gaps, durable: &scene.durable };
    let (text, files) = (scene.rows_by_sql(), stored::read(&scene.data_dir()));
    let rows_of_files = || files.iter().flat_map(rows_of_file);
    let same = identities(parsed(&text)) == identities(rows_of_files());
    let (in_tables, in_files) = (judge(parsed(&text), &evidence), judge(rows_of_files(), &evidence));
    let durable: Vec<String> = scene.durable.iter().map(ToString::to_string).collect();
    println!("{faults:?} within {recorded:?}, durable before kills: {durable:?}");
    println!("PostgreSQL: {in_tables}\nParquet: {in_files}");
    assert_whole_starts(&scene);
    // A start that is killed before its first event is durable leaves its gap to the next.
    assert!((1..=plan.kills as usize).contains(&gaps.len()), "at most one gap a kill of the recorder: {gaps:?}");
    let note = format!(
        "{} events, {} sent at {}/s, {} missed, each received in a recorded gap",
        in_tables.rows,
        sent.count(),
        plan.events_per_second,
        in_tables.missing_inside_gaps.count
    );
    println!("{note}");
    assert_twins_are_found(&scene, &evidence, &mut rng);
    report(&plan, seed, &note, (&in_tables, &in_files), same);
}

fn assert_end(ended: &Ended) {
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let account = ended.account();
    assert!(account.is_complete(), "{account:?}");
    for sink in ["parquet", "postgres"] {
        assert_eq!(account.get(&format!("sink {sink}.stored")), account.get("events.accepted"), "{account:?}");
    }
}

/// Each start: sequences without a hole, as far as the ledger says, and trades without a hole, as far as they go.
fn assert_whole_starts(scene: &Scene) {
    let spreads = pg::spreads(&scene.server, &scene.database);
    assert!(spreads.iter().all(pg::Spread::is_dense), "{spreads:?}");
    for spread in &spreads {
        assert_eq!(pg::confirmed(&scene.server, &scene.database, spread.epoch), spread.last, "the ledger: {spread:?}");
    }
    let holes = "SELECT epoch, count(*), min(trade_id::bigint), max(trade_id::bigint) FROM trades GROUP BY epoch
                 HAVING count(*) <> max(trade_id::bigint) - min(trade_id::bigint) + 1";
    assert_eq!(scene.sql(holes), "", "trades are missing between starts only");
}

/// What is removed, doubled or altered behind the recorder's back is found, and named as what it is.
fn assert_twins_are_found(scene: &Scene, evidence: &Evidence<'_>, rng: &mut fastrand::Rng) {
    let position = evidence.durable.iter().max_by_key(|position| position.seq.0).unwrap();
    let (epoch, last) = (position.epoch.0, position.seq.0);
    let pick = format!("SELECT seq FROM trades WHERE epoch = {epoch} AND seq <= {last} ORDER BY seq");
    let seqs: Vec<String> = scene.sql(&pick).lines().map(str::to_owned).collect();
    let seq = &seqs[rng.usize(..seqs.len())];
    let row = format!("seq = {seq} AND run = (SELECT id FROM ledger WHERE epoch = {epoch})");
    let judged = || judge(parsed(&scene.rows_by_sql()), evidence);
    let counts = |verdict: &Verdict| {
        [verdict.altered.count, verdict.duplicates.count, verdict.missing_below_durable.count, verdict.phantoms.count]
    };
    assert_eq!(counts(&judged()), [0; 4]);
    scene.sql(&format!("UPDATE trade SET price = price + 1 WHERE {row}"));
    assert_eq!(counts(&judged()), [1, 0, 0, 0], "an altered price of epoch {epoch} seq {seq}");
    scene.sql(&format!("UPDATE trade SET price = price - 1 WHERE {row}"));
    scene.sql(&format!("INSERT INTO trade SELECT * FROM trade WHERE {row}"));
    assert_eq!(counts(&judged()), [0, 1, 0, 0], "a doubled row: epoch {epoch} seq {seq}");
    scene.sql(&format!("DELETE FROM trade WHERE {row}"));
    assert_eq!(counts(&judged()), [0, 0, 1, 0], "a missing row: epoch {epoch} seq {seq}");
}

fn report(plan: &Plan, seed: u64, note: &str, (tables, files): (&Verdict, &Verdict), same: bool) {
    let kills = u64::from(plan.kills);
    let sum = |verdicts: &[&Verdict], count: fn(&Verdict) -> u64| verdicts.iter().map(|verdict| count(verdict)).sum();
    let line = |promise: &str, faults: u64, kinds: &str, verdicts: &[&Verdict]| {
        let altered: u64 = sum(verdicts, |verdict| verdict.altered.count + verdict.phantoms.count);
        Report::new(promise)
            .runs(1)
            .faults(faults)
            .fault_kinds(kinds)
            .lost(sum(verdicts, |verdict| verdict.missing_below_durable.count))
            .duplicated(sum(verdicts, |verdict| verdict.duplicates.count))
            .demand(altered == 0, "events altered or made up")
            .demand(same, "PostgreSQL and Parquet differ")
            .seed(seed)
            .note(note)
    };
    let both = [tables, files];
    line("P2", kills, "kills of the server", &[tables]).finish();
    line("P4", kills, "kills of the recorder", &both).finish();
    line("done-when", 2 * kills, "kills of server and recorder", &both)
        .demand(
            both.iter().all(|verdict| verdict.missing_outside_gaps.count == 0),
            "events missed outside recorded gaps",
        )
        .finish();
}
