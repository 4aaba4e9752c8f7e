//! The operator's commands against recordings, kills, damage and a database; read back by other means where there are any.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::types::Decimal128Type;
use bigdecimal::BigDecimal;
use common::{Ended, Feedd, run, run_args, stored, synthetic};
use feedd_core::Instruments;
use feedd_delivery::{Quarantine, Refused};
use feedd_journal::FrameKind;
use feedd_model::{
    Decimal, Epoch, Event, EventBody, EventHead, Flags, InstrumentId, Seq, StreamId, Trade, TradeId, UnixNanos,
};
use feedd_testkit::postgres::{Options, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Segments small enough that a test fills several.
const SMALL_SEGMENTS: [&str; 2] = ["--set", "journal.segment_bytes=256KiB"];
/// The simulated market as fast as it goes.
const SIM_MAX: [&str; 4] = ["--source", "sim", "--set", "source.0.rate=max"];

/// Runs a command on a data folder to its end.
fn feedd(dir: &Path, command: &[&str], more: &[&str]) -> Ended {
    let fixed = ["--data-dir", dir.to_str().unwrap()];
    Feedd::start(&command.iter().chain(&fixed).chain(more).map(|&arg| arg.to_owned()).collect::<Vec<_>>()).wait()
}

impl Ended {
    fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Standard output of a command that must end with `code`.
    fn expect(&self, code: i32) -> &str {
        assert_eq!(self.code(), Some(code), "{}\n{}", self.out(), self.stderr);
        self.out()
    }

    fn json_lines(&self) -> Vec<Value> {
        self.expect(0).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A recording of `events` simulated events, all stored; says how many were accepted.
fn record(dir: &Path, events: &str, more: &[&str]) -> u64 {
    let args = [&SIM_MAX[..], &["--events", events], more].concat();
    run(dir, &args).assert_complete("recording").get("events.accepted")
}

/// A recorder killed after it had stored something.
fn record_and_kill(dir: &Path) {
    let args = ["--source", "sim", "--set", "source.0.rate=20000", "--set", "parquet.file_age_max=1s"];
    let mut feedd = Feedd::start(&run_args(dir, &args));
    feedd.wait_until("a stored file", |_| dir.join("trades").is_dir() && !stored::files(dir).is_empty());
    feedd.signal("KILL");
    assert_eq!(feedd.wait().code(), None, "killed");
}

/// Events of epoch 1 as the journal's own reader gives them.
fn journalled(dir: &Path) -> BTreeMap<u64, Event> {
    let mut frames = feedd_journal::dump(&dir.join("journal")).unwrap();
    let mut events = BTreeMap::new();
    while let Some(frame) = frames.next() {
        let frame = frame.unwrap();
        if frame.kind == FrameKind::Events && frame.epoch == Epoch(1) {
            events.extend((frame.first.0..).zip(frames.events().iter().copied()));
        }
    }
    events
}

fn stream(dir: &Path) -> StreamId {
    feedd_core::data_dir::peek(dir).unwrap().unwrap().0
}

/// Puts events into a sink's quarantine, as its lane does.
fn refuse(dir: &Path, sink: &str, events: &[(u64, Event)], reason: &str) {
    let path = Quarantine::path_in(dir, sink);
    let instruments = Instruments::open(&dir.join("_feedd/instruments.jsonl")).unwrap();
    let mut quarantine = Quarantine::open(&path, 1 << 20, instruments).unwrap();
    let stream = stream(dir);
    let refused = events.iter().map(|&(seq, event)| {
        let (epoch, reason) = (Epoch(1), reason.to_owned());
        Refused { stream, epoch, seq: Seq(seq), events: vec![event], reason }
    });
    quarantine.keep(&refused.collect::<Vec<_>>(), sink, UnixNanos(synthetic::START_TS)).unwrap();
}

#[test]
fn the_journal_of_a_clean_run_is_sound_and_holds_what_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = record(dir.path(), "5000", &[]);
    let verified = feedd(dir.path(), &["journal", "verify"], &[]);
    let text = verified.expect(0);
    assert!(text.contains("\nsound\n") && text.contains("stopped 2"), "{text}");
    let stat = &feedd(dir.path(), &["journal", "stat", "--json"], &[]).json_lines()[0];
    let numbers = ["version", "events", "epochs", "torn_bytes", "damaged"].map(|name| stat[name].as_u64().unwrap());
    assert_eq!(numbers, [1, accepted, 1, 0, 0]);
    assert_eq!((&stat["oldest"]["seq"], &stat["newest"]["seq"]), (&1.into(), &accepted.into()));
    assert!(
        feedd(dir.path(), &["journal", "stat"], &[])
            .expect(0)
            .contains(&format!("newest    epoch 1 seq {accepted} at 2"))
    );

    let events = feedd(dir.path(), &["journal", "dump", "--events"], &[]).json_lines();
    assert!(events.iter().map(|event| event["seq"].as_u64().unwrap()).eq(1..=accepted));
    let price = |event: &Value| BigDecimal::from_str(event["event"]["price"].as_str().unwrap()).unwrap().normalized();
    let trades = events.iter().filter(|event| event["event"]["kind"] == "trade");
    let dumped: BTreeMap<_, _> =
        trades.map(|e| (e["seq"].as_u64().unwrap(), (e["symbol"].as_str().unwrap().to_owned(), price(e)))).collect();
    let mut read = BTreeMap::new();
    for rows in stored::of(&stored::read(dir.path()), "trades") {
        assert_eq!(rows.numbers::<Decimal128Type>("price").scale(), 18);
        let symbols = rows.texts("symbol").iter().map(|symbol| symbol.unwrap().to_owned());
        read.extend(rows.places().map(|place| place.1).zip(symbols.zip(rows.decimals("price"))));
    }
    assert!(dumped == read && !read.is_empty(), "{} trades dumped, {} stored", dumped.len(), read.len());

    let limited = feedd(dir.path(), &["journal", "dump", "--limit", "4"], &[]);
    assert_eq!(limited.expect(0).lines().count(), 4);
    assert!(limited.out().starts_with("segment 1 at 0: segment head, "), "{}", limited.out());
    assert_eq!(feedd(dir.path(), &["journal", "dump", "--events", "--limit", "70"], &[]).json_lines().len(), 70);
    let refused = feedd(dir.path(), &["journal", "repair"], &[]);
    assert!(refused.expect(2).is_empty() && refused.stderr.contains("every start repairs the journal by itself"));
    assert_eq!(
        feedd(dir.path(), &["journal", "repair", "--dry-run"], &[]).expect(0),
        "nothing: the journal is sound\n"
    );
    let other = tempfile::tempdir().unwrap();
    assert!(feedd(other.path(), &["journal", "verify"], &[]).stderr.contains("no journal in "));
}

#[test]
fn a_running_and_a_killed_recorder_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut recorder = Feedd::start(&run_args(dir.path(), &["--source", "sim", "--set", "source.0.rate=20000"]));
    let running = format!("running, process {}", recorder.pid());
    recorder.wait_until("its epoch in the journal", |_| {
        feedd(dir.path(), &["journal", "verify"], &[]).out().contains(&running)
    });
    let seen = feedd(dir.path(), &["journal", "verify"], &[]);
    assert!(seen.expect(0).contains("\nsound\n"), "{}", seen.out());
    feedd(dir.path(), &["journal", "dump"], &[]).expect(0);
    feedd(dir.path(), &["journal", "stat"], &[]).expect(0);
    recorder.signal("KILL");
    assert_eq!(recorder.wait().code(), None);
    let seen = feedd(dir.path(), &["journal", "verify"], &[]);
    assert!(seen.expect(0).contains(" killed\n") && seen.out().contains("\nsound\n"), "{}", seen.out());
}

#[test]
fn a_damaged_byte_is_found_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "3000", &SMALL_SEGMENTS);
    let dumped = feedd(dir.path(), &["journal", "dump"], &[]);
    let lines: Vec<&str> = dumped.expect(0).lines().filter(|line| line.contains(": events, ")).collect();
    let line = lines[lines.len() / 2];
    let (place, rest) = line.split_once(": events, ").unwrap();
    let offset: u64 = place.rsplit(' ').next().unwrap().parse().unwrap();
    let bytes = rest.split(' ').next().unwrap();
    let range = rest.split(" (").next().unwrap().split_once(", ").unwrap().1;
    let segment: u64 = place.split(' ').nth(1).unwrap().parse().unwrap();
    let file = dir.path().join(format!("journal/{segment:020}.fdj"));
    let mut content = std::fs::read(&file).unwrap();
    content[usize::try_from(offset).unwrap() + 100] ^= 1;
    std::fs::write(&file, &content).unwrap();

    let verified = feedd(dir.path(), &["journal", "verify"], &[]);
    let expected = format!("damaged: {} at {offset}, {bytes} bytes; lost: {range}\n", file.display());
    assert!(verified.expect(1).contains(&expected), "{expected}\n{}", verified.out());
    assert!(verified.out().ends_with("DAMAGED in 1 place(s)\n"), "{}", verified.out());
    let dumped = feedd(dir.path(), &["journal", "dump"], &[]);
    assert!(dumped.expect(1).contains(&format!("{place}: DAMAGED, {bytes} bytes\n")), "{}", dumped.out());
    let plan = feedd(dir.path(), &["journal", "repair", "--dry-run"], &[]);
    assert!(plan.expect(1).contains(&format!("lost: {range}\n")), "{}", plan.out());
    assert_eq!(std::fs::read(&file).unwrap(), content, "a look changes nothing");
    assert!(!dir.path().join("journal/quarantine").exists());
    // Every event is stored: the damage costs nothing.
    assert!(feedd(dir.path(), &["verify"], &[]).expect(0).ends_with("\nPASS\n"));
}

#[test]
fn what_is_stored_adds_up_after_a_clean_run_and_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = feedd(dir.path(), &["verify"], &[]);
    assert!(nothing.expect(2).is_empty() && nothing.stderr.contains("nothing was ever recorded"), "{}", nothing.stderr);
    record_and_kill(dir.path());
    let killed = feedd(dir.path(), &["verify"], &[]);
    assert!(killed.expect(0).ends_with("\nPASS\n"), "{}", killed.out());
    let accepted = record(dir.path(), "2000", &[]);
    let verified = &feedd(dir.path(), &["verify", "--json"], &[]).json_lines()[0];
    assert_eq!(
        (&verified["version"], &verified["pass"], &verified["running"]),
        (&1.into(), &true.into(), &Value::Null)
    );
    let rows = stored::seqs(&stored::read(dir.path()));
    let lines = verified["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    for (line, epoch) in lines.iter().zip([1, 2]) {
        let count = rows[&epoch].len() as u64;
        assert_eq!(
            (&line["epoch"], &line["pass"], &line["pending"]),
            (&epoch.into(), &true.into(), &0.into()),
            "{line}"
        );
        assert_eq!(line["audit"]["rows"], count, "{line}");
        assert_eq!(line["audit"]["stored_seq"], count, "{line}");
        assert_eq!(line["journal"]["last"], count, "{line}");
    }
    assert_eq!(lines[1]["audit"]["rows"], accepted);
    assert_eq!(
        feedd(dir.path(), &["verify", "--epoch", "2", "--json"], &[]).json_lines()[0]["lines"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(feedd(dir.path(), &["verify", "--epoch", "3"], &[]).stderr.contains("epoch 3 is above 2"));
}

#[test]
fn a_removed_a_doubled_and_a_damaged_file_fail() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = record(dir.path(), "3000", &[]);
    assert!(feedd(dir.path(), &["verify"], &[]).expect(0).ends_with("\nPASS\n"));
    let trades = stored::files(&dir.path().join("trades")).remove(0);
    let content = std::fs::read(&trades).unwrap();
    std::fs::remove_file(&trades).unwrap();
    let left: u64 = stored::read(dir.path()).iter().map(|rows| rows.len() as u64).sum();
    let failed = feedd(dir.path(), &["verify"], &[]);
    let words = format!("parquet epoch 1: {} of the events up to the position are neither stored", accepted - left);
    assert!(failed.expect(1).contains(&words) && failed.out().ends_with("\nFAIL\n"), "{}", failed.out());

    std::fs::write(&trades, &content).unwrap();
    let copy = PathBuf::from(trades.to_str().unwrap().replace("venue=sim", "venue=copy"));
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    std::fs::write(&copy, &content).unwrap();
    let failed = feedd(dir.path(), &["verify"], &[]);
    let words = format!("{} rows stand more than once", accepted - left);
    assert!(failed.expect(1).contains(&words), "{words}\n{}", failed.out());

    std::fs::write(&copy, "no Parquet").unwrap();
    let failed = feedd(dir.path(), &["verify"], &[]);
    assert!(failed.expect(1).contains(copy.to_str().unwrap()), "{}", failed.out());
    std::fs::remove_file(&copy).unwrap();
    feedd(dir.path(), &["verify"], &[]).expect(0);
}

#[test]
fn a_recorder_is_verified_while_it_records() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--source", "sim", "--set", "source.0.rate=20000", "--set", "parquet.file_age_max=1s"];
    let mut recorder = Feedd::start(&run_args(dir.path(), &args));
    for files in [1, 12] {
        recorder.wait_until("stored files", |_| stored::files(dir.path()).len() >= files);
        let verified = feedd(dir.path(), &["verify"], &[]);
        let running = format!("process {} is recording", recorder.pid());
        assert!(verified.expect(0).contains(&running) && verified.out().ends_with("\nPASS\n"), "{}", verified.out());
    }
    recorder.signal("TERM");
    recorder.wait().assert_complete("stopped");
    assert!(!feedd(dir.path(), &["verify"], &[]).expect(0).contains("is recording"));
}

#[test]
fn a_sink_that_cannot_tell_says_so() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "100", &["--sink", "null"]);
    let verified = feedd(dir.path(), &["verify", "--sink", "null"], &[]);
    assert!(verified.expect(0).contains("null: this kind of sink cannot tell"), "{}", verified.out());
    let json = &feedd(dir.path(), &["verify", "--sink", "null", "--json"], &[]).json_lines()[0];
    assert_eq!(json["lines"][0]["pass"], Value::Null);
}

/// A recording whose file of status events is gone; their events are in quarantine, as if the sink had refused them.
fn with_refused_status(dir: &Path) -> Vec<u64> {
    record(dir, "2000", &[]);
    let seqs: Vec<u64> = stored::of(&stored::read(dir), "status")
        .flat_map(|rows| rows.places().collect::<Vec<_>>())
        .map(|place| place.1)
        .collect();
    assert!(seqs.len() >= 2, "{seqs:?}");
    for file in stored::files(&dir.join("status")) {
        std::fs::remove_file(file).unwrap();
    }
    let events = journalled(dir);
    refuse(dir, "parquet", &seqs.iter().map(|seq| (*seq, events[seq])).collect::<Vec<_>>(), "no status today");
    seqs
}

#[test]
fn refused_events_are_listed_and_stored_after_all() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(feedd(dir.path(), &["quarantine", "list"], &[]).expect(0), "no event waits in quarantine\n");
    let seqs = with_refused_status(dir.path());
    let count = seqs.len();
    let listed = feedd(dir.path(), &["quarantine", "list"], &[]);
    assert_eq!(listed.expect(0).lines().count(), count + 1, "{}", listed.out());
    assert!(listed.out().contains("status  waits  no status today"), "{}", listed.out());
    let verified = &feedd(dir.path(), &["verify", "--json"], &[]).json_lines()[0];
    assert_eq!((&verified["pass"], &verified["lines"][0]["quarantined"]), (&true.into(), &count.into()));

    let first = format!("1:{}", seqs[0]);
    let retried = feedd(dir.path(), &["quarantine", "retry", "--seq", &first], &[]);
    assert_eq!(retried.expect(0), format!("parquet epoch 1 seq {}: stored\n", seqs[0]));
    assert_eq!(feedd(dir.path(), &["quarantine", "list", "--json"], &[]).json_lines().len(), count - 1);
    let all = feedd(dir.path(), &["quarantine", "list", "--json", "--all", "--sink", "parquet"], &[]).json_lines();
    assert_eq!(all.len(), count);
    assert!(all[0]["stored_at"].is_i64() && all[1]["stored_at"].is_null(), "{all:?}");
    assert_eq!((&all[0]["version"], &all[0]["event"]["kind"]), (&1.into(), &"status".into()));
    feedd(dir.path(), &["verify"], &[]).expect(0);

    let retried = feedd(dir.path(), &["quarantine", "retry"], &[]);
    assert_eq!(retried.expect(0).lines().count(), count - 1, "{}", retried.out());
    stored::assert_dense(
        "retried",
        &stored::read(dir.path()),
        1,
        stored::read(dir.path()).iter().map(|r| r.len() as u64).sum(),
    );
    let verified = &feedd(dir.path(), &["verify", "--json"], &[]).json_lines()[0];
    assert_eq!((&verified["pass"], &verified["lines"][0]["quarantined"]), (&true.into(), &0.into()));
    assert_eq!(feedd(dir.path(), &["quarantine", "retry", "--seq", &first], &[]).expect(0), "");
    for (more, words) in [("1:999999", "no event of epoch 1 seq 999999"), ("x", "such as 3:1042")] {
        let refused = feedd(dir.path(), &["quarantine", "retry", "--seq", more], &[]);
        assert!(refused.expect(2).is_empty() && refused.stderr.contains(words), "{}", refused.stderr);
    }
    let unknown = feedd(dir.path(), &["quarantine", "list", "--sink", "nobody"], &[]);
    assert!(unknown.expect(2).is_empty() && unknown.stderr.contains("no sink \"nobody\""), "{}", unknown.stderr);
}

#[test]
fn what_was_stored_makes_room_when_the_file_is_more_than_half_full() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = record(dir.path(), "10000", &[]);
    let rows = stored::read(dir.path());
    let trades: Vec<u64> =
        stored::of(&rows, "trades").flat_map(|rows| rows.places().map(|place| place.1).collect::<Vec<_>>()).collect();
    for file in stored::files(&dir.path().join("trades")) {
        std::fs::remove_file(file).unwrap();
    }
    let events = journalled(dir.path());
    refuse(dir.path(), "parquet", &trades.iter().map(|seq| (*seq, events[seq])).collect::<Vec<_>>(), "not today");
    let small = ["--set", "quarantine.bytes_max=64KiB"];
    let retried = feedd(dir.path(), &["quarantine", "retry"], &small);
    assert_eq!(retried.expect(0).lines().count(), trades.len());
    assert!(trades.len() > 256, "more than is noted at once: {}", trades.len());
    assert!(retried.stderr.contains(&format!("took {} stored event(s) out of", trades.len())), "{}", retried.stderr);
    assert_eq!(feedd(dir.path(), &["quarantine", "list", "--json", "--all"], &[]).json_lines().len(), 0);
    stored::assert_dense("retried", &stored::read(dir.path()), 1, accepted);
}

/// A trade with a digit that the Parquet columns have no place for.
fn too_fine() -> Event {
    let head = EventHead { instrument: InstrumentId(1), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    let price = Decimal::new(1, 19).unwrap();
    Event::new(head, EventBody::Trade(Trade { price, size: Decimal::ZERO, side: None, id: TradeId::None }))
}

#[test]
fn what_is_refused_again_remains_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "500", &[]);
    refuse(dir.path(), "parquet", &[(7, too_fine())], "too fine");
    refuse(dir.path(), "null", &[(8, too_fine())], "never");
    refuse(dir.path(), "gone", &[(9, too_fine())], "never");
    let retried = feedd(dir.path(), &["quarantine", "retry"], &[]);
    assert!(
        retried.expect(1).contains("parquet epoch 1 seq 7: refused: price or size has digits below 10^-18\n"),
        "{}",
        retried.out()
    );
    assert!(
        retried.stderr.contains("sink gone is not configured") && retried.stderr.contains("3 remain"),
        "{}",
        retried.stderr
    );
    assert_eq!(feedd(dir.path(), &["quarantine", "list", "--json"], &[]).json_lines().len(), 3);
    let retried = feedd(dir.path(), &["quarantine", "retry", "--sink", "null", "--set", "sink.kind=null"], &[]);
    assert!(
        retried.expect(1).contains("null epoch 1 seq 8: not stored: null: single events cannot be added"),
        "{}",
        retried.out()
    );
}

#[test]
fn files_are_not_shared_with_a_running_recorder() {
    let dir = tempfile::tempdir().unwrap();
    let seqs = with_refused_status(dir.path());
    let mut recorder = Feedd::start(&run_args(dir.path(), &["--source", "sim"]));
    recorder.wait_until_said("Data pipeline initialized");
    let refused = feedd(dir.path(), &["quarantine", "retry"], &[]);
    let words = format!("is in use by process {}", recorder.pid());
    assert!(refused.expect(2).is_empty() && refused.stderr.contains(&words), "{}", refused.stderr);
    assert_eq!(feedd(dir.path(), &["quarantine", "list", "--json"], &[]).json_lines().len(), seqs.len());
    recorder.signal("TERM");
    recorder.wait().assert_complete("stopped");
    feedd(dir.path(), &["quarantine", "retry"], &[]).expect(0);
    feedd(dir.path(), &["verify"], &[]).expect(0);
}

#[test]
fn a_reader_of_a_pipe_may_leave() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "20000", &[]);
    let mut dump = common::command(&["journal", "dump", "--events", "--data-dir", dir.path().to_str().unwrap()]);
    let mut child = dump.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

/// Settings of a sink in a new database of the server.
fn postgres(server: &Server, database: &str) -> Vec<String> {
    let keys = [
        ("sink.kind", "postgres"),
        ("postgres.host", server.socket_dir().to_str().unwrap()),
        ("postgres.port", &server.port().to_string()),
        ("postgres.user", server.user()),
        ("postgres.database", database),
    ];
    keys.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
}

#[test]
fn a_database_is_migrated_filled_verified_indexed_and_thinned_out_needs_postgresql() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let dir = tempfile::tempdir().unwrap();
    let settings = postgres(&server, &database);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let db = |command: &[&str]| feedd(dir.path(), &[&["db"], command].concat(), &settings);
    assert!(db(&["status"]).expect(0).contains("version 0, layout not chosen yet"));
    let missing = db(&["maintain"]);
    assert!(missing.expect(2).is_empty() && missing.stderr.contains("migrations are missing"), "{}", missing.stderr);
    assert!(db(&["migrate"]).expect(0).starts_with("applied 1 "));
    assert_eq!(db(&["migrate"]).expect(0), "schema public is up to date\n");

    // A recording of 2024: its days are over.
    let recording = tempfile::tempdir().unwrap();
    let capture = synthetic::source(recording.path(), &synthetic::session(500, 10_000_000));
    let ended = run(dir.path(), &[&["--source", &capture], &settings[..]].concat());
    let accepted = ended.assert_complete("to PostgreSQL").get("events.accepted");
    let status = &db(&["status", "--json"]).json_lines()[0];
    assert_eq!((&status["version"], &status["layout"]), (&1.into(), &"compact".into()));
    assert_eq!(status["ledger"][0]["stored_seq"], accepted);
    assert_eq!(server.psql(&database, "SELECT stored_seq FROM ledger").trim(), accepted.to_string());
    let verify = |code: i32| feedd(dir.path(), &["verify"], &settings).expect(code).to_owned();
    assert!(verify(0).ends_with("\nPASS\n"));

    let indexes = || server.psql(&database, "SELECT count(*) FROM pg_indexes WHERE indexname LIKE '%20240808%'");
    let told = db(&["maintain"]);
    assert!(told.expect(0).contains("built "), "{}", told.out());
    assert_ne!(indexes().trim(), "0");
    let nothing = "the partitions of today and 2 day(s) ahead are there\nevery finished day has its index\n";
    assert_eq!(db(&["maintain"]).expect(0), nothing);
    // Of a day that is missing, by hand, all six.
    let newest = "SELECT max(substring(relname FROM '\\d{8}')) FROM pg_class WHERE relname LIKE 'trade\\_2%'";
    let newest = server.psql(&database, newest).trim().to_owned();
    for table in ["trade", "quote", "book", "level", "gap", "state"] {
        server.psql(&database, &format!("DROP TABLE {table}_{newest}"));
    }
    let told = db(&["maintain"]);
    assert_eq!(told.expect(0).matches("made ").count(), 6, "{}", told.out());
    assert_eq!(server.psql(&database, &format!("SELECT to_regclass('gap_{newest}') IS NOT NULL")).trim(), "t");
    let day =
        || server.psql(&database, "SELECT count(*) FROM pg_class WHERE relname LIKE '%_20240808' AND relkind = 'r'");
    let (partitions, none) = (day(), "0");
    let told = db(&["retain", "--keep-days", "30", "--dry-run"]);
    assert!(told.expect(0).contains("would drop trade_20240808: "), "{}", told.out());
    assert_eq!(day(), partitions);
    assert!(db(&["retain", "--keep-days", "30"]).expect(0).contains("dropped trade_20240808: "));
    assert_eq!(day().trim(), none);
    let told = verify(0);
    assert!(told.contains(&format!("postgres epoch 1: dropped by retention: {accepted} rows\n")), "{told}");
    // The record is what explains it.
    server.psql(&database, "DELETE FROM feedd_dropped WHERE partition LIKE 'gap%' OR partition LIKE 'trade%'");
    assert!(verify(1).contains("dropped by retention without a record"));
}

#[test]
fn a_refused_row_is_stored_beside_a_running_recorder_needs_postgresql() {
    let Some(server) = Server::start() else { return };
    let database = server.create_database();
    let dir = tempfile::tempdir().unwrap();
    let settings = postgres(&server, &database);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    // The first 2,000 are the books of the start.
    record(dir.path(), "5000", &settings);
    let rows = || server.psql(&database, "SELECT count(*) FROM trades WHERE epoch = 1");
    let before = rows();
    // One trade taken out by hand, as if the database had refused it.
    let seq = server.psql(&database, "SELECT max(seq) FROM trades WHERE epoch = 1").trim().parse().unwrap();
    server.psql(&database, &format!("DELETE FROM trade WHERE seq = {seq}"));
    let verify = |code| feedd(dir.path(), &["verify", "--epoch", "1"], &settings).expect(code).to_owned();
    assert!(verify(1).contains("1 of the events up to the position are neither stored"));
    let event = journalled(dir.path())[&seq];
    refuse(dir.path(), "postgres", &[(seq, event)], "refused");
    assert!(verify(0).ends_with("\nPASS\n"));

    let args = [&["--source", "sim", "--set", "source.0.rate=5000"], &settings[..]].concat();
    let mut recorder = Feedd::start(&run_args(dir.path(), &args));
    recorder.wait_until("stored rows of epoch 2", |_| {
        server.psql(&database, "SELECT count(*) > 100 FROM trades WHERE epoch = 2").trim() == "t"
    });
    let retried = feedd(dir.path(), &["quarantine", "retry"], &settings);
    assert_eq!(retried.expect(0), format!("postgres epoch 1 seq {seq}: stored\n"));
    let running = feedd(dir.path(), &["verify"], &settings);
    assert!(running.expect(0).contains("is recording") && running.out().ends_with("\nPASS\n"), "{}", running.out());
    recorder.signal("TERM");
    recorder.wait().assert_complete("stopped");
    assert_eq!(rows(), before);
    // As after a retry that was cut short before it was noted.
    std::fs::remove_file(Quarantine::path_in(dir.path(), "postgres")).unwrap();
    refuse(dir.path(), "postgres", &[(seq, event)], "refused");
    assert!(verify(1).contains("if a retry of the quarantine was cut short, repeat it"));
    assert!(feedd(dir.path(), &["quarantine", "retry"], &settings).expect(0).contains("had been stored before"));
    assert_eq!(rows(), before);
    assert!(verify(0).ends_with("\nPASS\n"));
}

#[test]
fn a_password_is_never_printed_needs_postgresql() {
    let Some(server) = Server::start_with(Options { tcp: true, ..Options::default() }) else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "canary-7261\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, mode).unwrap();
    let (port, password) =
        (format!("postgres.port={}", server.port()), format!("postgres.password_file={}", file.display()));
    let user = format!("postgres.user={}", server.user());
    let settings = ["--set", "postgres.host=127.0.0.1", "--set", &port, "--set", &user, "--set", &password];
    for command in
        [&["migrate"][..], &["status"], &["status", "--json"], &["maintain"], &["retain", "--keep-days", "1"]]
    {
        let refused = feedd(dir.path(), &[&["db"], command].concat(), &settings);
        assert!(refused.expect(2).is_empty() && refused.stderr.contains("28P01"), "{command:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("canary"), "{command:?}: {}", refused.stderr);
    }
}
