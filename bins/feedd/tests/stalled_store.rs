//! A store that stalls, or that was never there, stops nothing: events go into the journal, memory stays bounded, and
//! everything is stored when the store is back.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::pg::{self, Size};
use common::{Feedd, stored};
use feedd_testkit::postgres::Server;
use feedd_testkit::promise::Report;
use feedd_testkit::proxy::{Faults, Plan, Proxy, Sides, Target};
use std::time::{Duration, Instant};

/// Trades and nothing else: a frame gives one event.
const SIM: [&str; 6] =
    ["--source", "sim", "--set", "source.0.channels=trades", "--set", "source.0.burst_every_frames=0"];
/// A server that accepts and never answers.
const STALL: Faults = faults(false, Sides::BOTH);
/// A port that is closed.
const REFUSE: Faults = faults(true, Sides { to_server: false, to_client: false });

const fn faults(refuse: bool, stall: Sides) -> Faults {
    let none = Sides { to_server: false, to_client: false };
    Faults { refuse, stall, swallow: none, delay: Duration::ZERO, piece_bytes_max: 0, bytes_per_second_max: 0 }
}

/// Events come at a rate, for so long while the store stalls.
struct Load {
    events_per_second: u64,
    stall_seconds: u64,
}

/// 1,000 a second for ten seconds and 166 a second for a minute, times a factor; shorter with every run of the tests.
fn loads(factor: u64) -> [Load; 2] {
    let (burst, long) = if Size::of_this_run() == Size::Day { (3, 5) } else { (10, 60) };
    [(1_000, burst), (166, long)].map(|(rate, stall_seconds)| Load { events_per_second: rate * factor, stall_seconds })
}

const BLOCK_BYTES: u64 = 4_096 * 64;
/// What a configuration of one source, the journal and the PostgreSQL sink may hold, in KiB, beside what it holds at rest:
///
/// - ring: 10,000 events of 64 bytes;
/// - 22 blocks of 4,096 events on the way to the journal: 16 in the link, and those being filled or copied;
/// - two buffers of about 1 MiB for a commit of the journal;
/// - 34 and 30 blocks of the sink's lane, which gathers batches of up to 50,000 events: read, and gathered;
/// - the batch as rows: 50,000 of at most 256 bytes, twice while the buffer grows. A trade takes about 100: what is left
///   over is the allocator's and the connection's.
///
/// That is about 50 MB. The million events of the full size would take 64 MB in a queue without a bound.
const GROWTH_KIB_MAX: u64 = (10_000 * 64 + (22 + 34 + 30) * BLOCK_BYTES + 2 * (1 << 20) + 2 * 50_000 * 256) / 1024;

#[test]
fn a_store_that_stalls_gets_everything_afterwards() {
    report_stalls(&loads(1));
}

#[test]
fn a_store_that_stalls_under_a_hundredfold_rate_gets_everything_afterwards() {
    report_stalls(&loads(100));
}

fn report_stalls(loads: &[Load]) {
    let mut report = Report::new("P9").fault_kinds("stalls of the store");
    let (mut runs, mut lost, mut duplicated, mut notes) = (0, 0, 0, Vec::new());
    for load in loads {
        let Some(outcome) = stall(load) else { return };
        runs += 1;
        lost += outcome.lost;
        duplicated += outcome.duplicated;
        report = report.demand(outcome.growth_kib <= GROWTH_KIB_MAX, &format!("memory grew: {}", outcome.note));
        notes.push(outcome.note);
    }
    let note = format!("{}; growth at most {GROWTH_KIB_MAX} KiB by configuration", notes.join("; "));
    println!("{note}");
    report.runs(runs).faults(runs).lost(lost).duplicated(duplicated).note(&note).finish();
}

struct Outcome {
    lost: u64,
    duplicated: u64,
    growth_kib: u64,
    note: String,
}

/// Records a fixed number of events, more than the stall takes; `None` without a server.
fn stall(load: &Load) -> Option<Outcome> {
    let server = Server::start()?;
    let database = server.create_database();
    let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
    let settings = pg::settings("127.0.0.1", proxy.address().port(), &database);
    let rate = load.events_per_second;
    // One second with the store, then the stall.
    let events = rate * (1 + load.stall_seconds);
    // At the lower rates the sink gives up batches while the store stalls; at the higher ones it waits for the answer.
    let batch_timeout = if rate < 10_000 { "1s" } else { "60s" };
    let (rate_text, bound) = (format!("source.0.rate={rate}"), events.to_string());
    let timeout = format!("postgres.batch_timeout={batch_timeout}");
    let more = ["--sink", "postgres", "--events", &bound, "--set", &rate_text, "--set", &timeout];
    let dir = tempfile::tempdir().unwrap();
    let mut feedd = Feedd::start(&pg::run_args(dir.path(), &settings, &[&SIM[..], &more].concat()));
    let most = Duration::from_secs(60 + 4 * load.stall_seconds);

    pg::wait(&mut feedd, most, "rows in the store", |_| pg::confirmed(&server, &database, 1) > 0);
    let at_rest_kib = pg::memory_peak_kib(feedd.pid()).unwrap();
    proxy.set(STALL);
    let begun = Instant::now();
    let health_lines = |feedd: &Feedd| feedd.said().matches("Pipeline Health").count();
    let lines = health_lines(&feedd);
    // Two lines later, what the line tells of was read behind the stall's begin: nothing above it can have been sent.
    pg::wait(&mut feedd, most, "two health lines", |feedd| health_lines(feedd) >= lines + 2);
    let durable_at_stall = pg::durable(&feedd.said()).unwrap();
    // The source goes on as if nothing was: everything it has to give becomes durable.
    pg::wait(&mut feedd, most, "everything durable", |feedd| pg::durable(&feedd.said()) >= Some(events));
    let stalled = begun.elapsed();
    let confirmed = pg::confirmed(&server, &database, 1);
    assert!(confirmed <= durable_at_stall, "it was stalled: {confirmed} stored, {durable_at_stall} durable before");
    let mut peak_kib = pg::memory_peak_kib(feedd.pid()).unwrap();

    proxy.set(Faults::default());
    let back = Instant::now();
    while feedd.is_running() {
        peak_kib = pg::memory_peak_kib(feedd.pid()).unwrap_or(peak_kib);
        assert!(back.elapsed() < most, "the store is back, and the recorder does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
    let account = feedd.wait().assert_complete("after a stall");
    let (accepted, decoded) = (account.get("events.accepted"), account.get("events.decoded"));
    assert_eq!((decoded, account.get("unaccounted")), (events, 0), "{account:?}");
    let spreads = pg::spreads(&server, &database);
    let [spread] = spreads.as_slice() else { panic!("one start: {spreads:?}") };
    let note = format!(
        "{rate}/s, {events} events, {} behind at the end of a stall of {:.1} s, {at_rest_kib} KiB at rest, {peak_kib} KiB most",
        events - confirmed,
        stalled.as_secs_f64()
    );
    Some(Outcome {
        lost: accepted - spread.different,
        duplicated: spread.rows - spread.different,
        growth_kib: peak_kib.saturating_sub(at_rest_kib),
        note,
    })
}

#[test]
fn a_server_that_is_not_there_stops_neither_start_nor_files_nor_end() {
    report_absent("closed port", &REFUSE);
}

#[test]
fn a_server_that_never_answers_stops_neither_start_nor_files_nor_end() {
    report_absent("mute server", &STALL);
}

/// The recorder's `stop.deadline`.
const DEADLINE: Duration = Duration::from_secs(4);

fn report_absent(name: &str, faults: &Faults) {
    let (mut lost, mut duplicated, mut ends) = (0, 0, Vec::new());
    for required in [false, true] {
        let case = format!("{name}, required = {required}");
        let Some(absent) = absent(&case, faults, required) else { return };
        // The program that waits is not woken at once on a busy machine.
        let late = absent.end.saturating_sub(DEADLINE);
        assert!(late < Duration::from_secs(1), "{case}: {:?} from the signal to the end", absent.end);
        lost += absent.lost;
        duplicated += absent.duplicated;
        let [start, end] = [absent.start, absent.end].map(|time| time.as_secs_f64());
        ends.push(format!("{case}: recording {start:.2} s after the start, ended {end:.2} s after the signal"));
    }
    let note = format!("{}; stop.deadline {DEADLINE:?}", ends.join("; "));
    println!("{note}");
    Report::new("P8")
        .runs(2)
        .faults(2)
        .fault_kinds(&format!("{name}, at the start and at the signal"))
        .lost(lost)
        .duplicated(duplicated)
        .note(&note)
        .finish();
}

struct Absent {
    lost: u64,
    duplicated: u64,
    /// Until it records.
    start: Duration,
    /// From the signal to the end.
    end: Duration,
}

/// A start, some events and a signal without a server; then a start with it.
fn absent(case: &str, faults: &Faults, required: bool) -> Option<Absent> {
    let server = Server::start()?;
    let database = server.create_database();
    let proxy = Proxy::start(Target::Unix(server.socket()), Plan::default());
    proxy.set(faults.clone());
    let mut settings = pg::settings("127.0.0.1", proxy.address().port(), &database);
    for setting in [format!("sink.1.required={required}"), format!("stop.deadline={}s", DEADLINE.as_secs())] {
        settings.extend(["--set".to_owned(), setting]);
    }
    let dir = tempfile::tempdir().unwrap();
    let args = |more: &[&str]| {
        let sinks = ["--sink", "parquet", "--sink", "postgres", "--set", "source.0.rate=2000"];
        pg::run_args(dir.path(), &settings, &[&SIM[..], &sinks, more].concat())
    };
    let begun = Instant::now();
    let mut feedd = Feedd::start(&args(&[]));
    feedd.wait_until_said("recording 1 source(s)");
    let start = begun.elapsed();
    pg::wait(&mut feedd, Duration::from_secs(60), "events", |feedd| pg::durable(&feedd.said()) > Some(2_000));
    feedd.signal("TERM");
    let signalled = Instant::now();
    let ended = feedd.wait();
    let end = signalled.elapsed();
    assert_eq!(ended.code(), Some(0), "{case}: {}", ended.stderr);
    let account = ended.account();
    let accepted = account.get("events.accepted");
    assert!(account.verdict.ends_with("pending in the journal for the next start"), "{case}: {account:?}");
    assert_eq!(account.get("sink parquet.stored"), accepted, "{case}: {account:?}");
    assert_eq!(account.get("sink postgres.pending"), accepted, "{case}: {account:?}");
    assert_eq!(account.get("unaccounted"), 0, "{case}: {account:?}");
    stored::assert_dense(case, &stored::read(dir.path()), 1, accepted);
    assert_eq!(pg::spreads_or_none(&server, &database), [], "{case}: nothing got through");

    proxy.set(Faults::default());
    let ended = Feedd::start(&args(&["--events", "1000"])).wait();
    assert_eq!(ended.code(), Some(0), "{case}: {}", ended.stderr);
    let next = ended.account();
    assert!(next.is_complete(), "{case}: {next:?}");
    let earlier = ["found", "stored"].map(|term| next.get(&format!("earlier starts postgres.{term}")));
    assert_eq!(earlier, [accepted; 2], "{case}: {next:?}");
    let spreads = pg::spreads(&server, &database);
    let expected = accepted + next.get("events.accepted");
    let (rows, different) = spreads.iter().fold((0, 0), |sum, s| (sum.0 + s.rows, sum.1 + s.different));
    assert!(spreads.len() == 2 && spreads.iter().all(pg::Spread::is_dense), "{case}: {spreads:?}");
    Some(Absent { lost: expected - different, duplicated: rows - different, start, end })
}
