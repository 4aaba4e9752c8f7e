//! P4: a journal of 10 GiB that a crash left behind costs a start neither memory nor a manual step, and all of it arrives.
//!
//! The journal is written by its own writer and never closed. What a start leaves of it is read by a second reader, written
//! from the description of the format; what arrives, by the Parquet library's own.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
#[path = "../../../crates/journal/tests/common/raw.rs"]
#[allow(dead_code, unreachable_pub, reason = "this test uses a part")]
mod raw;
mod tally;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, UInt64Type};
use common::pg::{self, Size};
use common::{Account, Feedd, run_args};
use feedd_core::Instruments;
use feedd_core::data_dir::DataDir;
use feedd_journal::{Journal, JournalConfig, Start, Sync};
use feedd_model::{
    Decimal, Event, EventBody, EventHead, Flags, InstrumentId, Seq, Side, SourceId, Trade, TradeId, UnixNanos,
};
use feedd_testkit::promise::Report;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tally::Tally;

/// What the promise allows a start to hold while it recovers.
const RECOVERY_KIB_MAX: u64 = 64 << 10;
/// Events of one append.
const APPEND_EVENTS: u64 = 4_032;
/// Receive time of the first event: 2026-01-01 00:00:00 UTC; the next come a microsecond apart.
const FIRST_NS: i64 = 1_767_225_600_000_000_000;
/// The epoch of the crashed start.
const CRASHED: u32 = 1;

/// Bytes of the journal, and of its segments; longest time for a step, which finds what hangs.
fn size() -> (u64, u64, Duration) {
    let (bytes, segment, minutes) = match Size::of_this_run() {
        Size::Day => (64 << 20, 4 << 20, 2),
        Size::Ci => (1 << 30, 64 << 20, 15),
        Size::Full => (10 << 30, 64 << 20, 120),
    };
    (bytes, segment, Duration::from_secs(60 * minutes))
}

/// What identifies the events that were written, without keeping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    events: u64,
    /// Of trade ids.
    ids: u128,
    /// Of prices, in units of 10^-18.
    prices: i128,
    /// Of all words of all events, each times its place; wraps.
    words: u64,
}

impl Sums {
    fn add_bytes(&mut self, event: &[u8]) {
        for (word, place) in event.chunks_exact(8).zip(1u64..) {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            self.words = self.words.wrapping_add(word.wrapping_mul(2 * place + 1));
        }
    }
}

fn price(number: u64) -> i64 {
    i64::try_from(1 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_000_000).unwrap()
}

fn event(instrument: InstrumentId, number: u64) -> Event {
    let at = FIRST_NS + i64::try_from(number).unwrap() * 1_000;
    let head =
        EventHead { instrument, venue_ts: Some(UnixNanos(at - 5)), recv_ts: Some(UnixNanos(at)), flags: Flags::NONE };
    let body = EventBody::Trade(Trade {
        price: Decimal::new(price(number), 2).unwrap(),
        size: Decimal::new(i64::try_from(number % 1_000 + 1).unwrap(), 3).unwrap(),
        side: Some(if number.is_multiple_of(3) { Side::Buy } else { Side::Sell }),
        id: TradeId::Number(u128::from(number)),
    });
    Event::new(head, body)
}

/// Writes the journal of a start that never ends in order.
fn write(data_dir: &Path, bytes: u64, segment_bytes: u64) -> Sums {
    let state = DataDir::open(data_dir).unwrap();
    assert_eq!(state.epoch().0, CRASHED);
    let instruments = Instruments::open(&state.instruments_path()).unwrap();
    let instrument = instruments.resolve("binance", "BTCUSDT").unwrap();
    // Synced as a whole below.
    let config = JournalConfig { dir: data_dir.join("journal"), segment_bytes, bytes_max: 4 * bytes, sync: Sync::Os };
    let start = Start { stream: state.stream(), epoch: state.epoch(), at: UnixNanos(FIRST_NS) };
    let (mut journal, _) = Journal::open(config, start, instruments).unwrap();
    // A frame of one page holds 63 events.
    let (events, mut sums, mut number) = (bytes / 4096 * 63, Sums::default(), 0);
    let mut piece = Vec::new();
    while number < events {
        piece.clear();
        for _ in 0..APPEND_EVENTS.min(events - number) {
            number += 1;
            piece.push(event(instrument, number));
            sums.ids += u128::from(number);
            sums.prices += i128::from(price(number)) * 10i128.pow(16);
            sums.add_bytes(&piece.last().unwrap().to_bytes());
        }
        journal.append(Seq(sums.events + 1), SourceId(0), &piece, UnixNanos(FIRST_NS + 1));
        sums.events = number;
        journal.commit().unwrap();
    }
    sums
}

/// What the segments hold of the crashed start, in order and without a hole, by the second reader.
fn sums_of_segments(journal: &Path) -> (u64, u64) {
    let mut paths: Vec<_> = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "fdj"));
    paths.sort();
    let mut sums = Sums::default();
    for path in paths {
        let file = std::fs::read(&path).unwrap();
        for frame in raw::frames(&file).iter().filter(|f| f.kind == raw::EVENTS && f.epoch == CRASHED) {
            assert_eq!(frame.first, sums.events + 1, "{}: dense", path.display());
            assert_eq!(frame.payload.len() as u64, u64::from(frame.count) * 64, "{}", path.display());
            sums.events += u64::from(frame.count);
            frame.payload.chunks_exact(64).for_each(|event| sums.add_bytes(event));
        }
    }
    (sums.events, sums.words)
}

/// What the files hold of the crashed start, and how many different sequences.
fn sums_of_files(data_dir: &Path) -> (Sums, u64) {
    let mut sums = Sums::default();
    let tally = Tally::of(&data_dir.join("trades"), CRASHED, |batch, row| {
        let column = |name: &str| batch.column_by_name(name).unwrap();
        sums.ids += u128::from(column("trade_id").as_primitive::<UInt64Type>().value(row));
        sums.prices += column("price").as_primitive::<Decimal128Type>().value(row);
    });
    sums.events = tally.rows;
    (sums, tally.different())
}

/// A start over the whole journal.
struct Recovery {
    /// Reading all checksums, as the recorder says.
    scan: String,
    /// From the start of the process until it records.
    start: Duration,
    /// The most memory until then.
    peak_kib: u64,
    account: Account,
}

/// Recovers with a sink that is not there, so that the journal stays as it is.
fn recover(data_dir: &Path, settings: &[String], most: Duration) -> Recovery {
    let mut away = pg::settings("127.0.0.1", closed_port(), "none");
    away.extend_from_slice(settings);
    let more = ["--source", "sim", "--set", "source.0.rate=10", "--sink", "postgres"];
    let begun = Instant::now();
    let mut feedd = Feedd::start(&pg::run_args(data_dir, &away, &more));
    pg::wait(&mut feedd, most, "recording", |feedd| feedd.said().contains("recording 1 source(s)"));
    let (start, peak_kib) = (begun.elapsed(), pg::memory_peak_kib(feedd.pid()).unwrap());
    pg::wait(&mut feedd, most, "an event", |feedd| pg::durable(&feedd.said()) > Some(0));
    feedd.signal("TERM");
    let ended = feedd.wait();
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let scan = ended.stderr.split_once("read in ").and_then(|(_, rest)| rest.split_once(';')).unwrap().0.to_owned();
    assert!(ended.stderr.contains("0 damaged place(s)"), "{}", ended.stderr);
    Recovery { scan, start, peak_kib, account: ended.account() }
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Whether the system's memory of file contents could be emptied; for root.
fn forget_files() -> bool {
    assert!(Command::new("sync").status().unwrap().success());
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Stores the whole backlog into files; the most memory meanwhile, and how long it took.
fn store(data_dir: &Path, settings: &[String], most: Duration) -> (Account, u64, Duration) {
    let more = ["--source", "sim", "--set", "source.0.rate=100", "--sink", "parquet", "--events", "100"];
    let mut args = run_args(data_dir, &more);
    args.extend_from_slice(settings);
    let (begun, mut peak_kib) = (Instant::now(), 0);
    let mut feedd = Feedd::start(&args);
    while feedd.is_running() {
        peak_kib = pg::memory_peak_kib(feedd.pid()).unwrap_or(peak_kib);
        assert!(begun.elapsed() < most, "the backlog is not stored\n{}", feedd.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    (feedd.wait().assert_complete("the backlog"), peak_kib, took)
}

#[test]
fn a_big_journal_that_a_crash_left_is_recovered_in_bounded_memory_and_stored() {
    let (bytes, segment_bytes, most) = size();
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data_dir = dir.path().join("data");
    let written = write(&data_dir, bytes, segment_bytes);
    let sizes = [format!("journal.segment_bytes={segment_bytes}B"), format!("journal.bytes_max={}B", 4 * bytes)];
    let settings: Vec<String> = sizes.into_iter().flat_map(|pair| ["--set".to_owned(), pair]).collect();

    // Other tests of every day need the system's memory of their files.
    let is_cold = Size::of_this_run() != Size::Day && forget_files();
    let first = recover(&data_dir, &settings, most);
    assert_eq!(first.account.get("earlier starts postgres.found"), written.events, "{:?}", first.account);
    let (events, words) = sums_of_segments(&data_dir.join("journal"));
    assert_eq!((events, words), (written.events, written.words), "recovery changes nothing");
    let warm = recover(&data_dir, &settings, most);

    let (account, drain_kib, took) = store(&data_dir, &settings, most);
    let [found, stored] = ["found", "stored"].map(|term| account.get(&format!("earlier starts parquet.{term}")));
    assert_eq!(found, stored, "{account:?}");
    let (in_files, different) = sums_of_files(&data_dir);
    let gib = bytes as f64 / f64::from(1 << 30);
    let figures = |name: &str, r: &Recovery| {
        let seconds = r.start.as_secs_f64();
        format!("{name}: read in {}, recording after {seconds:.2} s, {} KiB at most", r.scan, r.peak_kib)
    };
    let note = format!(
        "{gib:.2} GiB, {} events; {}; {}; stored in {:.1} s, {drain_kib} KiB at most",
        written.events,
        figures(if is_cold { "cold" } else { "first" }, &first),
        figures("warm", &warm),
        took.as_secs_f64()
    );
    println!("{note}");
    let peak_kib = first.peak_kib.max(warm.peak_kib);
    Report::new("P4")
        .runs(3)
        .faults(1)
        .fault_kinds("a crash with a big journal")
        .lost(written.events.saturating_sub(different))
        .duplicated(in_files.events - different)
        .demand(Sums { words: written.words, ..in_files } == written, "events were altered")
        .demand(peak_kib <= RECOVERY_KIB_MAX, &format!("recovery took {peak_kib} KiB"))
        .note(&note)
        .finish();
}
