//! A named pipe as a source: lines arrive as they are written, and none is lost when it ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::accounting::SourceTotals;
use feedd_core::contract::source::{SourceHarness, SourceRun, source_contract};
use feedd_core::counters::SourceCounters;
use feedd_core::dead_letters::DeadLetters;
use feedd_core::outlet::OutletParts;
use feedd_core::wake::Wake;
use feedd_core::{FullPolicy, Instruments, Outlet, Source, SourceError, Stop, SystemClock};
use feedd_model::{Event, EventBody, StatusCode, UnixNanos};
use feedd_venues::capture::{CaptureError, CaptureReader, LineFault};
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::pace::Speed;
use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
use feedd_venues::sources::{CaptureConfig, CaptureSource, SourceParts};
use feedd_venues::validate::ValidationConfig;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const REASONS: [&[&str]; 2] = [&FRAME_REASONS, &TRADE_REASONS];
/// 2024-08-08T00:00:00Z in ns.
const START_TS: i64 = 1_723_075_200_000_000_000;
/// Far above what anything here takes.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A pipe below a folder that names the venue.
fn pipe(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("binance/feed");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Opens the pipe's writing end; a reader must be there.
fn writer(path: &Path) -> File {
    File::options().write(true).open(path).unwrap()
}

/// The line of a trade, with its line feed, received so many milliseconds after the start.
fn trade(id: i64) -> String {
    let frame = format!(
        r#"{{"e":"trade","E":{0},"s":"BTCUSDT","t":{id},"p":"100.5","q":"0.50","T":{0},"m":false}}"#,
        START_TS / 1_000_000
    );
    json!({"recv_ns": START_TS + id * 1_000_000, "conn": "ws-1", "dir": "in", "frame": frame}).to_string() + "\n"
}

fn trades(ids: Range<i64>) -> String {
    ids.map(trade).collect()
}

/// A simulated session of `frames` frames, as a recorder writes it down.
fn session(frames: i64) -> String {
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    let (mut text, mut lines) = (String::new(), String::new());
    for number in 0..frames {
        let recv_ns = START_TS + number * 1_000_000;
        let frame = market.next_frame(UnixNanos(recv_ns), &mut text);
        let dir = if frame.kind == SimKind::Request { "out" } else { "in" };
        lines += &(json!({"recv_ns": recv_ns, "conn": frame.conn, "dir": dir, "frame": text}).to_string() + "\n");
    }
    lines
}

fn source(path: &Path, speed: Speed, instruments: &Instruments) -> Result<CaptureSource, SourceError> {
    let parts = SourceParts {
        name: "under-test".to_owned(),
        validation: ValidationConfig::default(),
        instruments: instruments.clone(),
        dead_letters: DeadLetters::disabled(),
        keep_unknown: false,
        frame_bytes_max: 16 << 20,
    };
    CaptureSource::new(parts, &CaptureConfig { paths: vec![path.to_owned()], venue: None, speed })
}

/// A source on its thread.
struct Live {
    ring: rtrb::Consumer<Event>,
    counters: Arc<CachePadded<SourceCounters>>,
    stop: Stop,
    thread: JoinHandle<Result<(), SourceError>>,
    events: Vec<Event>,
}

impl Live {
    /// Starts a source and waits until it has opened the pipe.
    fn start(path: &Path, ring_slots: usize) -> Self {
        let mut source = source(path, Speed::Max, &Instruments::in_memory()).unwrap();
        let (producer, ring) = rtrb::RingBuffer::new(ring_slots);
        let counters = Arc::new(CachePadded::new(SourceCounters::new(REASONS[0], REASONS[1])));
        let stop = Stop::new();
        let mut outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: Arc::new(Wake::new(false)),
            counters: counters.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: Arc::new(SystemClock::new()),
            budget: None,
        });
        let open_before = times_open(path);
        let thread = std::thread::spawn(move || source.run(&mut outlet));
        wait_until("the source opens the pipe", || times_open(path) > open_before);
        Self { ring, counters, stop, thread, events: Vec::new() }
    }

    fn read(&mut self) {
        let count = self.ring.slots();
        self.events.extend(self.ring.read_chunk(count).unwrap());
        self.counters.events_accepted.add(count as u64);
    }

    /// Reads until there are so many events in all.
    fn read_until(&mut self, count: usize) {
        wait_until("events arrive", || {
            self.read();
            self.events.len() >= count
        });
    }

    /// Reads until the source has ended by itself or by the stop that was asked for.
    fn end(mut self) -> (Vec<Event>, SourceTotals) {
        wait_until("the source ends", || {
            self.read();
            self.thread.is_finished()
        });
        self.read();
        self.thread.join().unwrap().unwrap();
        (self.events, SourceTotals::read(&self.counters))
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + WAIT_MAX;
    while !done() {
        assert!(Instant::now() < limit, "{what} within {WAIT_MAX:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How often this process has the pipe open.
fn times_open(path: &Path) -> usize {
    let path = path.canonicalize().unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    // A file that another thread closed meanwhile is no longer there to be looked at.
    open.filter(|entry| entry.as_ref().is_ok_and(|e| std::fs::read_link(e.path()).is_ok_and(|to| to == path))).count()
}

/// The trades' numbers; each must carry the receive time of its line.
fn ids(events: &[Event]) -> Vec<i64> {
    let trades = events.iter().filter(|event| matches!(event.body(), EventBody::Trade(_)));
    trades.map(|event| (event.recv_ts().unwrap().0 - START_TS) / 1_000_000).collect()
}

fn statuses(events: &[Event]) -> Vec<StatusCode> {
    let code = |event: &Event| if let EventBody::Status(status) = event.body() { Some(status.code) } else { None };
    events.iter().filter_map(code).collect()
}

#[test]
fn a_pipe_gives_what_a_file_gives_and_ends_with_its_writer() {
    let folder = tempfile::tempdir().unwrap();
    let (path, text) = (pipe(&folder), session(3000));
    let recorded = path.with_file_name("recorded.jsonl");
    std::fs::write(&recorded, &text).unwrap();
    let file = source(&recorded, Speed::Max, &Instruments::in_memory()).unwrap();
    let expected = SourceRun::new(REASONS).run(Box::new(file));
    for piece_bytes in [997, 8 << 10, 300 << 10] {
        // The writer comes when the source already waits for it.
        let live = Live::start(&path, 4096);
        let (mut writer, text) = (writer(&path), text.clone());
        let writing = std::thread::spawn(move || {
            text.as_bytes().chunks(piece_bytes).for_each(|piece| writer.write_all(piece).unwrap());
        });
        let (events, totals) = live.end();
        writing.join().unwrap();
        assert!(events == expected.events, "pieces of {piece_bytes}: the same events");
        assert_eq!(totals, expected.totals, "pieces of {piece_bytes}");
        assert_eq!(statuses(&events), [StatusCode::Connected, StatusCode::Ended]);
    }
}

#[test]
fn a_line_arrives_while_the_writer_is_quiet_and_a_stop_ends_the_source_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(&folder);
    let mut live = Live::start(&path, 4096);
    let mut writer = writer(&path);
    for id in 1..=3 {
        writer.write_all(trade(id).as_bytes()).unwrap();
        live.read_until(1 + usize::try_from(id).unwrap());
    }
    live.stop.request();
    let (events, totals) = live.end();
    assert_eq!(ids(&events), [1, 2, 3]);
    assert_eq!(statuses(&events), [StatusCode::Connected, StatusCode::Ended]);
    assert_eq!((totals.frames, totals.frames_rejected, totals.dropped), (3, 0, 0));
    // The writer had the pipe open to here.
    drop(writer);
}

#[test]
fn a_stop_ends_a_source_that_no_writer_has_come_to() {
    let folder = tempfile::tempdir().unwrap();
    let live = Live::start(&pipe(&folder), 4096);
    live.stop.request();
    let (events, totals) = live.end();
    assert_eq!(statuses(&events), [StatusCode::Ended]);
    assert_eq!((events.len(), totals.frames), (1, 0));
}

#[test]
fn what_a_stop_finds_read_is_delivered_and_the_next_run_goes_on_behind_it() {
    const PIPE_BYTES: usize = 1 << 20;
    const TRADES: i64 = 4000;
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(&folder);
    // Holds what is in the pipe while no source is there.
    let mut both = File::options().read(true).write(true).open(&path).unwrap();
    rustix::pipe::fcntl_setpipe_size(&both, PIPE_BYTES).unwrap();
    let text = trades(1..TRADES + 1);
    assert!((PIPE_BYTES / 2..PIPE_BYTES).contains(&text.len()), "larger than one read, not than the pipe");
    both.write_all(text.as_bytes()).unwrap();

    // Its small ring is full long before the first read is delivered, and that read ends within a line.
    let live = Live::start(&path, 64);
    wait_until("the ring is full", || live.counters.blocked_since.get() > 0);
    live.stop.request();
    let (first, totals) = live.end();
    assert_eq!((totals.frames_rejected, totals.dropped), (0, 0));
    let next = 1 + i64::try_from(ids(&first).len()).unwrap();
    assert!((1000..TRADES).contains(&next), "one read is delivered: {next}");

    let live = Live::start(&path, 4096);
    // The last writer goes; what it has written is still read.
    drop(both);
    let (second, totals) = live.end();
    assert_eq!((totals.frames_rejected, totals.dropped), (0, 0));
    assert_eq!(ids(&first), (1..next).collect::<Vec<_>>());
    assert_eq!(ids(&second), (next..=TRADES).collect::<Vec<_>>());
}

#[test]
fn a_line_that_the_writer_or_a_stop_breaks_off_is_a_bad_line() {
    for stopped in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(&folder);
        let mut live = Live::start(&path, 4096);
        let mut writer = writer(&path);
        writer.write_all((trade(1) + &trade(2)[..50]).as_bytes()).unwrap();
        live.read_until(2);
        let kept = if stopped {
            live.stop.request();
            Some(writer)
        } else {
            drop(writer);
            None
        };
        let (events, totals) = live.end();
        assert_eq!((ids(&events), totals.frames, totals.frames_rejected), (vec![1], 2, 1), "stopped {stopped}");
        drop(kept);
    }
}

/// Reads what there is: trades' numbers, and the faults of bad lines.
fn read_now(reader: &mut CaptureReader) -> (Vec<i64>, Vec<LineFault>) {
    let (mut ids, mut faults) = (Vec::new(), Vec::new());
    loop {
        match reader.next_line() {
            Ok(Some(line)) => ids.push((line.recv_ns.unwrap() - START_TS) / 1_000_000),
            Ok(None) => return (ids, faults),
            Err(CaptureError::Line { fault, .. }) => faults.push(fault),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[test]
fn a_reader_told_to_end_takes_the_rest_of_its_line_and_leaves_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(&folder);
    let mut reader = CaptureReader::open_pipe(&path).unwrap();
    assert_eq!((read_now(&mut reader), reader.is_ended()), ((vec![], vec![]), false), "no writer yet");
    let mut writer = writer(&path);
    let (second, third) = (trade(2), trade(3));
    writer.write_all((trade(1) + &second[..70]).as_bytes()).unwrap();
    assert_eq!((read_now(&mut reader), reader.is_ended()), ((vec![1], vec![]), false), "a writer in a line");
    reader.end_after_line(WAIT_MAX);
    assert_eq!((read_now(&mut reader), reader.is_ended()), ((vec![], vec![]), false), "the writer may go on");
    writer.write_all((second[70..].to_owned() + &third).as_bytes()).unwrap();
    assert_eq!((read_now(&mut reader), reader.is_ended()), ((vec![2], vec![]), true));

    let mut next = CaptureReader::open_pipe(&path).unwrap();
    assert_eq!((read_now(&mut next), next.is_ended()), ((vec![3], vec![]), false));
    writer.write_all(&third.as_bytes()[..70]).unwrap();
    assert_eq!(read_now(&mut next), (vec![], vec![]));
    next.end_after_line(Duration::ZERO);
    assert_eq!((read_now(&mut next), next.is_ended()), ((vec![], vec![LineFault::NotJson]), true), "no time left");
}

#[test]
fn what_is_no_pipe_is_not_read_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.jsonl");
    std::fs::write(&path, trade(1)).unwrap();
    assert!(matches!(CaptureReader::open_pipe(&path), Err(CaptureError::Open { .. })));
}

#[test]
fn a_pipe_has_no_length_and_no_speed_but_its_writer_s() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(&folder);
    let made = source(&path, Speed::Max, &Instruments::in_memory()).unwrap();
    assert_eq!(made.progress().total.get(), 0);
    let as_recorded = Speed::Thousandths(NonZeroU32::new(1000).unwrap());
    let error = source(&path, as_recorded, &Instruments::in_memory()).map(|_| ()).unwrap_err();
    let expected =
        format!("{}: a named pipe is taken as its writer sends it; leave speed out, or \"max\"", path.display());
    assert_eq!(error.to_string(), expected);
}

/// Each source has a pipe and a writer of its own.
struct Piped {
    text: String,
    folders: Vec<TempDir>,
}

impl SourceHarness for Piped {
    fn make(&mut self, instruments: &Instruments) -> Box<dyn Source> {
        let folder = tempfile::tempdir().unwrap();
        let (path, text) = (pipe(&folder), self.text.clone());
        self.folders.push(folder);
        let source = Box::new(source(&path, Speed::Max, instruments).unwrap());
        std::thread::spawn(move || {
            // A source that ends before all is written breaks the pipe.
            let _ = writer(&path).write_all(text.as_bytes());
        });
        source
    }

    fn reasons(&self) -> [&'static [&'static str]; 2] {
        REASONS
    }
}

#[test]
fn a_pipe_keeps_the_contract() {
    source_contract(&mut Piped { text: session(3000), folders: Vec::new() });
}
