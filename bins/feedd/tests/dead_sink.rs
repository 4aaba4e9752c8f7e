//! P8: a sink that is dead or slow stops neither capture, nor the other sink, nor start and stop; what it lacks is in the
//! journal and is stored when it is well again.
//!
//! PostgreSQL behind a proxy is refused, hangs, crawls at one byte a second, or raises an error for every batch: while the
//! recorder runs, while it is told to stop, and while it starts with a backlog. The files are the other sink.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
mod dead_store;
mod oracled;

use common::pg::{self, Size};
use common::{Account, Feedd};
use dead_store::{Fault, Store, stored};
use feedd_core::{Clock, SystemClock};
use feedd_model::{Epoch, Position, Seq};
use feedd_testkit::judge::{Evidence, Gap, Verdict, judge};
use feedd_testkit::oracle::SentLog;
use feedd_testkit::promise::{Report, seed};
use oracled::Sender;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything that a busy machine makes slow: it finds what hangs.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// What the promise allows from the start of the process until it records; the end has `stop.deadline`.
const START_MAX: Duration = Duration::from_secs(5);
/// What a machine that does other things beside may add: the figures stand in the note.
const MACHINE_SLACK: Duration = Duration::from_secs(2);

/// What one kind of fault did, over the three moments.
#[derive(Default)]
struct Outcome {
    lost: u64,
    duplicated: u64,
    altered: u64,
    same: bool,
    /// Events that the other sink stored while this one stored none.
    beside: u64,
    /// Events of the backlog that the start with the dead sink found.
    backlog: u64,
    /// From the start of the process until it records, with a dead sink and a backlog.
    start: Duration,
    /// The longest from the signal to the end, with a dead sink.
    end: Duration,
}

struct Scene {
    store: Store,
    folder: TempDir,
    /// Until it has ended.
    sender: Option<Sender>,
    feedd: Option<Feedd>,
    starts: u32,
    /// Accepted and so durable at the end of each start.
    durable: Vec<Position>,
    /// From a signal until the next start records: what is sent then is lost with the pipe.
    gaps: Vec<Gap>,
    down_since_ns: Option<i64>,
    outcome: Outcome,
}

impl Scene {
    fn new(seed: u64, rate: u64) -> Option<Self> {
        let store = Store::new()?;
        let folder = tempfile::tempdir().unwrap();
        let sender = Sender::start(folder.path(), seed, rate);
        Some(Self {
            store,
            folder,
            sender: Some(sender),
            feedd: None,
            starts: 0,
            durable: Vec::new(),
            gaps: Vec::new(),
            down_since_ns: None,
            outcome: Outcome::default(),
        })
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the recorder; how long until it records.
    fn start(&mut self) -> Duration {
        let mut settings = self.store.settings();
        // A batch is given up while the store hangs; files are finished within the run.
        let deadline = format!("stop.deadline={}s", sizes().deadline.as_secs());
        for setting in ["postgres.batch_timeout=1s", "parquet.file_age_max=1s", &deadline] {
            settings.extend(["--set".to_owned(), setting.to_owned()]);
        }
        let source = self.sender.as_ref().unwrap().source();
        let more = ["--sink", "parquet", "--sink", "postgres", "--source", &source];
        let begun = Instant::now();
        let mut feedd = Feedd::start(&pg::run_args(&self.data_dir(), &settings, &more));
        feedd.wait_until_said("recording 1 source(s)");
        let took = begun.elapsed();
        if let Some(from_ns) = self.down_since_ns.take() {
            self.gaps.push(Gap { from_ns, to_ns: now_ns() });
        }
        self.starts += 1;
        self.feedd = Some(feedd);
        took
    }

    /// Waits until the recorder says so.
    fn wait(&mut self, what: &str, mut reached: impl FnMut(&Store, &Feedd) -> bool) {
        let (feedd, store) = (self.feedd.as_mut().unwrap(), &self.store);
        pg::wait(feedd, WAIT_MAX, what, |feedd| reached(store, feedd));
    }

    fn durable(&self) -> u64 {
        pg::durable(&self.feedd.as_ref().unwrap().said()).unwrap_or(0)
    }

    /// The other sink stores all that comes, for so long; nothing gets into the dead one.
    fn stand(&mut self, pause: Duration) {
        // Two lines on, what the line tells of came behind the begin of the fault: all above it cannot have been sent.
        let lines = health_lines(self.feedd.as_ref().unwrap());
        self.wait("two health lines", |_, feedd| health_lines(feedd) >= lines + 2);
        let at_begin = self.durable();
        std::thread::sleep(pause);
        self.wait("events beside the dead sink", |_, feedd| pg::durable(&feedd.said()) > Some(at_begin + 100));
        let last = self.durable();
        self.wait("the other sink", |_, feedd| stored(&feedd.said(), "parquet") >= last);
        let (epoch, confirmed) = (self.starts, self.store.confirmed(self.starts));
        assert!(confirmed <= at_begin, "the sink was dead: {confirmed} stored, {at_begin} durable at the begin");
        let rows = oracled::rows_of_files(&self.data_dir());
        let mut seqs: Vec<u64> =
            rows.iter().filter(|row| row.at.epoch == Epoch(epoch)).map(|row| row.at.seq.0).collect();
        seqs.sort_unstable();
        let whole = seqs.iter().copied().take_while(|seq| *seq <= last).eq(1..=last);
        assert!(whole, "the other sink stored every event up to {last} once");
        self.outcome.beside += last - confirmed;
    }

    /// Tells the recorder to stop while its sink is dead.
    fn stop_beside_a_dead_sink(&mut self, case: &str) {
        let (account, took) = self.stop(case);
        let accepted = account.get("events.accepted");
        assert!(account.verdict.ends_with("pending in the journal for the next start"), "{case}: {account:?}");
        assert_eq!(account.get("sink parquet.stored"), accepted, "{case}: {account:?}");
        assert!(account.get("sink postgres.pending") > 0, "{case}: {account:?}");
        self.outcome.end = self.outcome.end.max(took);
    }

    /// Tells it to stop, and waits; its account, and how long it took.
    fn stop(&mut self, case: &str) -> (Account, Duration) {
        let feedd = self.feedd.take().unwrap();
        // What lies in the pipe at the signal was never received; with a reader that keeps up that is the last instant.
        self.down_since_ns = Some(now_ns() - 1_000_000_000);
        feedd.signal("TERM");
        let signalled = Instant::now();
        let ended = feedd.wait();
        let took = signalled.elapsed();
        assert_eq!(ended.code(), Some(0), "{case}: {}", ended.stderr);
        let account = ended.account();
        assert_eq!(account.get("unaccounted"), 0, "{case}: {account:?}");
        let seq = Seq(account.get("events.accepted"));
        self.durable.push(Position { epoch: Epoch(self.starts), seq });
        (account, took)
    }

    /// The last start, with a sink that is well: everything arrives, and both stores are held against the oracle.
    fn finish(mut self, case: &str) -> Outcome {
        let feedd = self.feedd.as_mut().unwrap();
        let before = pg::durable(&feedd.said()).unwrap_or(0);
        pg::wait(feedd, WAIT_MAX, "fresh events", |feedd| pg::durable(&feedd.said()) > Some(before + 100));
        let (sent, held) = self.sender.take().unwrap().end();
        let last = sent.ranges().last().unwrap().last;
        let newest = "SELECT coalesce(max(trade_id), 0) FROM trade";
        self.wait("the last trade in PostgreSQL", |store, _| store.sql(newest).parse::<u64>().unwrap() >= last);
        let (account, _) = self.stop(case);
        drop(held);
        assert!(account.is_complete(), "{case}: {account:?}");
        self.down_since_ns = None;
        self.judge(&sent);
        self.outcome
    }

    fn judge(&mut self, sent: &SentLog) {
        let evidence = Evidence { sent, gaps: &self.gaps, durable: &self.durable };
        let files = oracled::rows_of_files(&self.data_dir());
        let tables = oracled::rows_of_tables(&self.store.server, &self.store.database);
        let places = |rows: &[feedd_testkit::judge::StoredRow]| {
            let mut all: Vec<_> = rows.iter().map(|row| (row.at.epoch.0, row.at.seq.0, row.trade_id)).collect();
            all.sort_unstable();
            all
        };
        self.outcome.same = places(&files) == places(&tables);
        for (name, rows) in [("Parquet", files), ("PostgreSQL", tables)] {
            let holes = oracled::holes_within_starts(&rows);
            let verdict: Verdict = judge(rows, &evidence);
            println!("{name}: {verdict}\n  holes within a start: {holes}");
            self.outcome.lost += verdict.lost() + holes;
            self.outcome.duplicated += verdict.duplicates.count;
            self.outcome.altered += verdict.altered.count + verdict.phantoms.count;
        }
    }
}

fn now_ns() -> i64 {
    SystemClock::new().wall().0
}

fn health_lines(feedd: &Feedd) -> usize {
    feedd.said().matches("Pipeline Health").count()
}

struct Sizes {
    /// How long the sink is dead in each moment.
    pause: Duration,
    trades_per_second: u64,
    /// `stop.deadline`: a recorder whose sink hangs needs it.
    deadline: Duration,
}

fn sizes() -> Sizes {
    let (pause_ms, trades_per_second, deadline_s) = match Size::of_this_run() {
        Size::Day => (500, 2_000, 3),
        // The default deadline is what is promised.
        Size::Ci => (5_000, 10_000, 10),
        Size::Full => (30_000, 10_000, 10),
    };
    let [pause, deadline] = [Duration::from_millis(pause_ms), Duration::from_secs(deadline_s)];
    Sizes { pause, trades_per_second, deadline }
}

/// Dead while it runs, and well again; dead at the signal, at the start behind it and at its signal; then well.
fn dead_in_every_moment(fault: Fault) {
    let seed = seed();
    let Sizes { pause, trades_per_second, .. } = sizes();
    let Some(mut scene) = Scene::new(seed, trades_per_second) else { return };
    let case = fault.name();
    scene.start();
    scene.wait("rows in the store", |store, _| store.confirmed(1) > 100);
    scene.store.spoil(fault);
    scene.stand(pause);
    let behind = scene.durable();
    scene.store.heal(fault);
    scene.wait("what it lacked", |store, _| store.confirmed(1) >= behind);

    scene.store.spoil(fault);
    let at_begin = scene.durable();
    scene.wait("events for the dead sink", |_, feedd| pg::durable(&feedd.said()) > Some(at_begin + 100));
    scene.stop_beside_a_dead_sink(&format!("{case}, at the signal"));
    scene.outcome.backlog = scene.durable[0].seq.0 - scene.store.confirmed(1);
    scene.sender.as_ref().unwrap().wait_until_alone();

    scene.outcome.start = scene.start();
    scene.stand(pause);
    scene.stop_beside_a_dead_sink(&format!("{case}, from the start to the signal"));
    assert_eq!(scene.store.confirmed(2), 0, "{case}: nothing of the second start got through");
    scene.sender.as_ref().unwrap().wait_until_alone();

    scene.store.heal(fault);
    scene.start();
    let outcome = scene.finish(case);
    report(fault, seed, &outcome);
}

fn report(fault: Fault, seed: u64, outcome: &Outcome) {
    let note = format!(
        "{} events stored beside it, a backlog of {} at the start; recording {:.2} s after the start, ended {:.2} s after \
         the signal at most, stop.deadline {:?}",
        outcome.beside,
        outcome.backlog,
        outcome.start.as_secs_f64(),
        outcome.end.as_secs_f64(),
        sizes().deadline
    );
    println!("{note}");
    Report::new("P8")
        .runs(3)
        .faults(3)
        .fault_kinds(&format!("{}: running, at a signal, at a start with a backlog", fault.name()))
        .lost(outcome.lost)
        .duplicated(outcome.duplicated)
        .demand(outcome.altered == 0, "events altered or made up")
        .demand(outcome.same, "PostgreSQL and Parquet differ")
        .demand(outcome.backlog > 0 && outcome.beside > 0, "the sink was not dead")
        .demand(outcome.start <= START_MAX + MACHINE_SLACK, &format!("a start took {:?}", outcome.start))
        .demand(outcome.end <= sizes().deadline + MACHINE_SLACK, &format!("an end took {:?}", outcome.end))
        .seed(seed)
        .note(&note)
        .finish();
}

#[test]
fn a_store_that_refuses_stops_nothing_else_and_gets_everything_later() {
    dead_in_every_moment(Fault::Refuse);
}

#[test]
fn a_store_that_hangs_stops_nothing_else_and_gets_everything_later() {
    dead_in_every_moment(Fault::Hang);
}

#[test]
fn a_store_that_crawls_stops_nothing_else_and_gets_everything_later() {
    dead_in_every_moment(Fault::Crawl);
}

#[test]
fn a_store_that_fails_every_batch_stops_nothing_else_and_gets_everything_later() {
    dead_in_every_moment(Fault::Raise);
}
