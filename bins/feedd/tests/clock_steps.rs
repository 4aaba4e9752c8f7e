//! Steps of the wall clock hurt nothing: they are counted, marked in the data at their place, and no timer sees them. From
//! a source to finished files, read back with the Parquet library's own reader; the clocks are the test's.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt8Type, UInt64Type};
use common::stored::{self, Rows};
use crossbeam_utils::CachePadded;
use feedd_core::accounting::Account;
use feedd_core::counters::{BatchingCounters, SourceCounters, StorageCounters};
use feedd_core::dead_letters::DeadLetters;
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::link;
use feedd_core::outlet::OutletParts;
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{AccountWatch, BlockPool, Burst, FullPolicy, Instruments, ManualClock, Outlet, Source, Stop};
use feedd_delivery::{
    BatchLimits, LaneEnd, LaneParts, LinkFeed, Quarantine, Retry, SinkMark, StorageLane, pool_blocks,
};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, SourceId, Status, StatusCode, StreamId, UnixNanos,
};
use feedd_sink_parquet::{ParquetConfig, ParquetSink};
use feedd_testkit::promise::Report;
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::pace::Rate;
use feedd_venues::sim::SimConfig;
use feedd_venues::sources::{SimSource, SourceParts};
use feedd_venues::validate::ValidationConfig;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// 2024-08-08T12:00:00Z in ns.
const START_TS: i64 = 1_723_118_400_000_000_000;
const HOUR: i64 = 3_600_000_000_000;
/// Age at which a batch is due.
const BATCH_AGE: Duration = Duration::from_secs(5);
/// Far above what anything here takes.
const WAIT_MAX: Duration = Duration::from_secs(60);
const LINK_BLOCKS: usize = 4;
/// More than a simulated market's first snapshots, and so than any one burst.
const FLOWING: u64 = 50_000;

/// One source's way into Parquet files, by the test's clocks.
struct Line {
    clock: Arc<ManualClock>,
    stop: Stop,
    source: Arc<CachePadded<SourceCounters>>,
    batching: Arc<CachePadded<BatchingCounters>>,
    sink: Arc<CachePadded<StorageCounters>>,
    fan_in: JoinHandle<()>,
    lane: JoinHandle<LaneEnd>,
    watch: AccountWatch,
}

impl Line {
    fn start(dir: &Path, instruments: &Instruments, events_max: usize) -> (Self, Outlet) {
        let clock = Arc::new(ManualClock::at(UnixNanos(START_TS)));
        let (stop, wake) = (Stop::new(), Arc::new(Wake::new(false)));
        let source = Arc::new(CachePadded::new(SourceCounters::new(&FRAME_REASONS, &TRADE_REASONS)));
        let (batching, sink): (Arc<CachePadded<BatchingCounters>>, Arc<CachePadded<StorageCounters>>) =
            Default::default();
        let (producer, ring) = rtrb::RingBuffer::new(256);
        let outlet = Outlet::new(OutletParts {
            ring: producer,
            wake: wake.clone(),
            counters: source.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        });
        let (sender, blocks) = link(LINK_BLOCKS);
        let parquet = ParquetSink::open(ParquetConfig::new(dir.join("parquet")), instruments.clone()).unwrap();
        let limits = BatchLimits { events_max, age_max: BATCH_AGE };
        let fan_in = FanIn::new(FanInParts {
            stream: StreamId(1),
            epoch: Epoch(1),
            inputs: vec![Input { source: SourceId(0), ring, counters: source.clone() }],
            derived: Vec::new(),
            lanes: vec![sender],
            analysis: None,
            is_replay: false,
            served: Vec::new(),
            pool: BlockPool::new(pool_blocks(LINK_BLOCKS, limits.backlog_max(&parquet))),
            wait: WaitStrategy::Yield,
            wake,
            counters: batching.clone(),
            clock: clock.clone(),
            stop: stop.clone(),
        });
        let lane = StorageLane::new(
            LaneParts {
                feed: Box::new(LinkFeed::new(blocks, StreamId(1), Epoch(1))),
                sink: Box::new(parquet),
                mark: Arc::new(SinkMark::new("parquet".into(), true)),
                epoch: Epoch(1),
                earlier: None,
                limits,
                retry: Retry::default(),
                quarantine: Quarantine::open(&dir.join("quarantine"), 1 << 20, instruments.clone()).unwrap(),
                counters: sink.clone(),
                clock: clock.clone(),
                stop: stop.clone(),
            },
            1,
        );
        let fan_in = std::thread::spawn(move || fan_in.run());
        let lane = std::thread::spawn(move || lane.run());
        (Self { clock, stop, source, batching, sink, fan_in, lane, watch: AccountWatch::default() }, outlet)
    }

    /// Checks the account as the recorder does while it runs.
    fn check(&mut self) -> Account {
        let sinks = [(&"parquet".into(), &**self.sink)];
        let account = Account::read(std::iter::once(&**self.source), &self.batching, None, sinks.into_iter());
        self.watch.check(&account).unwrap();
        account
    }

    fn wait_until(&mut self, what: &str, reached: impl Fn(&Self) -> bool) {
        let limit = Instant::now() + WAIT_MAX;
        while !reached(self) {
            self.check();
            assert!(Instant::now() < limit, "{what} within {WAIT_MAX:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end after the source's, and gives what is in the files, in order.
    fn end(mut self, dir: &Path) -> Vec<Row> {
        self.wait_until("the lane ends", |line| line.lane.is_finished());
        let account = self.check();
        self.fan_in.join().unwrap();
        assert!(matches!(self.lane.join().unwrap(), LaneEnd::Drained));
        assert_eq!(account.unaccounted(), 0, "{account}");
        let files = stored::read(&dir.join("parquet"));
        stored::assert_dense("all of it", &files, 1, account.accepted);
        let mut rows: Vec<Row> = files.iter().flat_map(rows).collect();
        rows.sort_by_key(|row| row.seq);
        rows
    }
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    seq: i64,
    recv_ts: i64,
    doubtful: bool,
    /// Code and detail of a status.
    status: Option<(String, u64)>,
}

fn rows(rows: &Rows) -> Vec<Row> {
    let (seqs, times) = (rows.numbers::<Int64Type>("seq"), rows.numbers::<TimestampNanosecondType>("recv_ts"));
    let flags = rows.numbers::<UInt8Type>("flags");
    let statuses = (rows.dataset == "status").then(|| (rows.texts("code"), rows.numbers::<UInt64Type>("detail")));
    let row = |at: usize| Row {
        seq: seqs.value(at),
        recv_ts: times.value(at),
        // The bit that docs/querying.md states.
        doubtful: flags.value(at) & 8 != 0,
        status: statuses.map(|(codes, details)| (codes.value(at).to_owned(), details.value(at))),
    };
    (0..rows.len()).map(row).collect()
}

#[test]
fn a_step_is_a_row_between_the_last_event_with_the_old_time_and_the_first_with_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let instruments = Instruments::in_memory();
    let (mut line, mut outlet) = Line::start(folder.path(), &instruments, 500);
    let parts = SourceParts {
        name: "sim".to_owned(),
        validation: ValidationConfig::default(),
        instruments,
        dead_letters: DeadLetters::disabled(),
        keep_unknown: false,
        frame_bytes_max: 16 << 20,
    };
    let mut sim = SimSource::new(parts, &SimConfig::default(), Rate::Max, None).unwrap();
    let source = std::thread::spawn(move || sim.run(&mut outlet));
    let steps = [("clock_forward", HOUR), ("clock_back", -2 * HOUR), ("clock_back", -1_000_000_000)];
    for (number, (_, step)) in (1..).zip(steps) {
        let before = line.source.events_accepted.get();
        line.wait_until("events flow", |line| line.source.events_accepted.get() > before + FLOWING);
        line.clock.step_wall(step);
        line.wait_until("the step is seen", |line| line.source.clock_steps.get() == number);
    }
    let before = line.source.events_accepted.get();
    line.wait_until("events flow on", |line| line.source.events_accepted.get() > before + FLOWING);
    line.stop.request();
    source.join().unwrap().unwrap();
    let rows = line.end(folder.path());

    let marks: Vec<usize> = (0..rows.len())
        .filter(|&at| rows[at].status.as_ref().is_some_and(|(code, _)| code.starts_with("clock_")))
        .collect();
    assert_eq!(marks.len(), steps.len(), "{marks:?}");
    let (mut now, mut from) = (START_TS, 0);
    for (&mark, (code, step)) in marks.iter().zip(steps) {
        assert!(rows[from..mark].iter().all(|row| row.recv_ts == now), "the old time up to {mark}");
        now += step;
        let expected = Row {
            recv_ts: now,
            doubtful: true,
            status: Some((code.to_owned(), step.unsigned_abs())),
            ..rows[mark].clone()
        };
        assert_eq!(rows[mark], expected);
        // The first burst behind it, and no more.
        let doubtful = rows[mark + 1..].iter().take_while(|row| row.doubtful).count();
        assert!(
            (1..rows.len() / 10).contains(&doubtful),
            "{doubtful} doubtful events behind {mark} of {marks:?}: {:?}",
            &rows[mark.saturating_sub(2)..(mark + 4).min(rows.len())]
        );
        from = mark + 1 + doubtful;
    }
    assert!(rows[from..].iter().all(|row| row.recv_ts == now), "the last time to the end");
    let doubtful = rows.iter().filter(|row| row.doubtful).count();
    let marked: usize = marks.iter().map(|&mark| rows[mark..].iter().take_while(|row| row.doubtful).count()).sum();
    assert_eq!(doubtful, marked, "no event is doubtful elsewhere");
    let note = format!("{} rows, {doubtful} of them marked as doubtful", rows.len());
    Report::new("P23").runs(1).faults(steps.len() as u64).fault_kinds("steps of -2 h to +1 h").note(&note).finish();
}

#[test]
fn a_batch_is_as_old_as_the_monotonic_clock_says_while_the_wall_clock_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (mut line, mut outlet) = Line::start(folder.path(), &Instruments::in_memory(), 500);
    let mut burst = Burst::with_capacity(4);
    let mut publish = |line: &mut Line, buffered: u64| {
        let received = outlet.received(&mut burst);
        let head = EventHead {
            instrument: InstrumentId::NONE,
            venue_ts: None,
            recv_ts: Some(received.at),
            flags: received.flags,
        };
        let status = Status { code: StatusCode::Connected, detail: buffered };
        line.source.events_decoded.add(1);
        burst.push(Event::new(head, EventBody::Status(status)));
        burst.end_message();
        outlet.publish(&mut burst).unwrap();
        line.wait_until("the lane waits for the batch's age", |line| line.sink.buffered.get() == buffered);
    };
    publish(&mut line, 1);
    line.clock.step_wall(HOUR);
    // A mark and an event; nothing was stored meanwhile.
    publish(&mut line, 3);
    line.clock.step_wall(-2 * HOUR);
    publish(&mut line, 5);
    line.clock.advance(5_000_000_000);
    line.wait_until("the batch is stored", |line| line.sink.events_written.get() == 5);
    assert_eq!(line.sink.batches.get(), 1, "at once, when it was due");
    drop(outlet);
    let rows = line.end(folder.path());
    let status = |code: &str, detail: i64| Some((code.to_owned(), detail.unsigned_abs()));
    let expected = [
        Row { seq: 1, recv_ts: START_TS, doubtful: false, status: status("connected", 1) },
        Row { seq: 2, recv_ts: START_TS + HOUR, doubtful: true, status: status("clock_forward", HOUR) },
        Row { seq: 3, recv_ts: START_TS + HOUR, doubtful: true, status: status("connected", 3) },
        Row { seq: 4, recv_ts: START_TS - HOUR, doubtful: true, status: status("clock_back", 2 * HOUR) },
        Row { seq: 5, recv_ts: START_TS - HOUR, doubtful: true, status: status("connected", 5) },
    ];
    assert_eq!(rows, expected);
    assert_eq!(Flags::DOUBTFUL_CLOCK.bits(), 8);
    Report::new("P23").runs(1).faults(2).fault_kinds("steps while a batch waits for its age").finish();
}
