//! P8: the last single event of a quiet stream is delivered, however the threads between source and sink happen to sleep.
//!
//! The clock is the test's own and stands still while threads run: an event that needs more time than the journal's
//! interval and the batch's age never arrives, on a machine of any speed.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::clock::ManualClock;
use feedd_core::counters::{BatchingCounters, JournalCounters, SourceCounters, StorageCounters};
use feedd_core::fanin::{FanIn, FanInParts, Input};
use feedd_core::link::link;
use feedd_core::outlet::{Burst, FullPolicy, Outlet, OutletParts};
use feedd_core::wait::WaitStrategy;
use feedd_core::wake::Wake;
use feedd_core::{Batch, BlockPool, Instruments, Sink, SinkError, Stop, SystemClock};
use feedd_delivery::{
    BatchLimits, Fed, Feed, JournalEnd, JournalFeed, JournalLane, JournalLaneParts, LaneEnd, LaneParts, Quarantine,
    Retry, SinkMark, StorageLane, feed_blocks,
};
use feedd_journal::{Journal, JournalConfig, Start, Sync};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, InstrumentId, MonoNanos, Seq, SourceId, Status, StatusCode, StreamId,
    UnixNanos,
};
use feedd_testkit::promise::{Report, seed};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const STREAM: StreamId = StreamId(9);
const EPOCH: Epoch = Epoch(1);
/// Some moment of this decade.
const START: UnixNanos = UnixNanos(1_800_000_000_000_000_000);
/// Before each event: beyond every pause between bursts, so that all threads park.
const SILENCE_NANOS: u64 = 1_000_000_000;
/// How often the journal commits, and when a batch is due.
const COMMIT_NANOS: u64 = 1_000_000;
const AGE_NANOS: u64 = 2_000_000;
/// A sleep that only a wake-up ends.
const FOR_EVER_NANOS: u64 = 24 * 3_600_000_000_000;
/// How long a step may take on a machine that is very busy: it finds what never comes.
const HANGS: Duration = Duration::from_secs(60);
/// A step that took this long was ended by a bounded sleep, not by a wake-up; or the machine was busy.
const LATE: Duration = Duration::from_millis(35);

fn trials(day: u64, ci: u64, full: u64) -> u64 {
    match std::env::var("FEEDD_SOAK").as_deref() {
        Ok("full") => full,
        Ok("ci") => ci,
        _ => day,
    }
}

fn event(number: u64, at: UnixNanos) -> Event {
    let head = EventHead {
        instrument: InstrumentId(1),
        venue_ts: Some(UnixNanos(at.0 - 1_000)),
        recv_ts: Some(at),
        flags: Flags::NONE,
    };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

/// What the sink was given, in order.
type Stored = Arc<Mutex<Vec<(u64, Event)>>>;

/// Stores at once.
struct Recorder(Stored);

impl Sink for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }
    fn recover(&mut self, _: StreamId, _: Epoch) -> Result<Seq, SinkError> {
        Ok(self.stored_seq())
    }
    fn write(&mut self, batch: &Batch, _: MonoNanos) -> Result<(), SinkError> {
        self.0.lock().unwrap().extend(batch.events().map(|(seq, event)| (seq.0, *event)));
        Ok(())
    }
    fn stored_seq(&self) -> Seq {
        Seq(self.0.lock().unwrap().last().map_or(0, |(seq, _)| *seq))
    }
    fn tick(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }
}

fn journal(dir: &Path) -> Journal {
    let config = JournalConfig {
        dir: dir.join("journal"),
        segment_bytes: 1 << 20,
        bytes_max: 64 << 20,
        // A wake-up does not depend on the disk.
        sync: Sync::Os,
    };
    let start = Start { stream: STREAM, epoch: EPOCH, at: START };
    Journal::open(config, start, Instruments::in_memory()).unwrap().0
}

/// Source, batching thread, journal's thread and a sink's lane, wired as in the recorder.
struct Rig {
    clock: Arc<ManualClock>,
    outlet: Option<Outlet>,
    journal: Arc<CachePadded<JournalCounters>>,
    lane: Arc<CachePadded<StorageCounters>>,
    stored: Stored,
    threads: (JoinHandle<()>, JoinHandle<JournalEnd>, JoinHandle<LaneEnd>),
}

impl Rig {
    fn start(dir: &Path, wait: WaitStrategy) -> Self {
        let (clock, stop) = (Arc::new(ManualClock::at(START)), Stop::new());
        let (ring, consumer) = rtrb::RingBuffer::new(64);
        let source = Arc::new(CachePadded::new(SourceCounters::new(&["x"], &["y"])));
        let wake = Arc::new(Wake::new(wait.parks()));
        let outlet = Outlet::new(OutletParts {
            ring,
            wake: wake.clone(),
            counters: source.clone(),
            policy: FullPolicy::Block,
            stop: stop.clone(),
            clock: clock.clone(),
            budget: None,
        });
        let (sender, blocks) = link(4);
        let fan_in = FanIn::new(FanInParts {
            stream: STREAM,
            epoch: EPOCH,
            inputs: vec![Input { source: SourceId(0), ring: consumer, counters: source }],
            derived: Vec::new(),
            lanes: vec![sender],
            analysis: None,
            is_replay: false,
            served: Vec::new(),
            pool: BlockPool::new(8),
            wait,
            wake,
            counters: Arc::new(CachePadded::new(BatchingCounters::default())),
            clock: clock.clone(),
            stop: stop.clone(),
        });
        let log = journal(dir);
        let mark = Arc::new(SinkMark::new("recorder".into(), true));
        let (journal, lane, stored): (Arc<CachePadded<JournalCounters>>, _, Stored) = Default::default();
        let storage = lane_over(&log, dir, &clock, &stop, (mark.clone(), Arc::clone(&lane)), stored.clone());
        let journal_lane = JournalLane::new(JournalLaneParts {
            blocks,
            journal: log,
            interval: Duration::from_nanos(COMMIT_NANOS),
            sources: 1,
            marks: vec![mark],
            counters: journal.clone(),
            clock: clock.clone(),
            stop,
        });
        let threads = (
            std::thread::spawn(move || fan_in.run()),
            std::thread::spawn(move || journal_lane.run()),
            std::thread::spawn(move || storage.run()),
        );
        Self { clock, outlet: Some(outlet), journal, lane, stored, threads }
    }

    /// One event behind a silence, and none behind it. Gives the times of the two steps that only need wake-ups.
    fn trial(&mut self, number: u64, burst: &mut Burst, rng: &mut fastrand::Rng) -> [Duration; 2] {
        self.clock.advance(SILENCE_NANOS);
        // The moment moves over the threads' way to sleep, and sometimes they sleep for long.
        if number.is_multiple_of(16) {
            std::thread::sleep(Duration::from_millis(rng.u64(..4)));
        }
        for _ in 0..rng.u32(..20_000) {
            std::hint::spin_loop();
        }
        burst.push(event(number, feedd_core::Clock::wall(&*self.clock)));
        burst.end_message();
        self.outlet.as_mut().unwrap().publish(burst).unwrap();
        let taken = until(number, "the journal's thread has it", || self.journal.received_seq.get() == number);
        self.clock.advance(COMMIT_NANOS);
        until(number, "it is durable", || self.journal.durable_seq.get() == number);
        let read = until(number, "the lane has it", || self.lane.received_seq.get() == number);
        self.clock.advance(AGE_NANOS);
        until(number, "the sink has it", || self.stored.lock().unwrap().len() as u64 == number);
        [taken, read]
    }

    fn finish(mut self) -> Vec<(u64, Event)> {
        drop(self.outlet.take());
        self.threads.0.join().unwrap();
        assert!(matches!(self.threads.1.join().unwrap(), JournalEnd::Closed));
        assert!(matches!(self.threads.2.join().unwrap(), LaneEnd::Drained));
        std::mem::take(&mut *self.stored.lock().unwrap())
    }
}

fn lane_over(
    journal: &Journal,
    dir: &Path,
    clock: &Arc<ManualClock>,
    stop: &Stop,
    (mark, counters): (Arc<SinkMark>, Arc<CachePadded<StorageCounters>>),
    stored: Stored,
) -> StorageLane {
    let feed = JournalFeed::new(journal.cursor(), journal.tail(), feed_blocks(2_000), clock.clone());
    let parts = LaneParts {
        feed: Box::new(feed),
        sink: Box::new(Recorder(stored)),
        mark,
        epoch: EPOCH,
        earlier: Some(Vec::new()),
        limits: BatchLimits { events_max: 500, age_max: Duration::from_nanos(AGE_NANOS) },
        retry: Retry::default(),
        quarantine: Quarantine::open(&dir.join("quarantine"), 1 << 20, Instruments::in_memory()).unwrap(),
        counters,
        clock: clock.clone(),
        stop: stop.clone(),
    };
    StorageLane::new(parts, 7)
}

/// Waits for another thread, and for nothing else; how long that took.
fn until(number: u64, what: &str, reached: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < HANGS, "event {number} of a quiet stream never gets there: {what}");
        std::thread::yield_now();
    }
    begun.elapsed()
}

#[test]
fn the_last_event_of_a_quiet_stream_needs_no_other_behind_it() {
    let (seed, trials) = (seed(), trials(200, 10_000, 10_000));
    let mut rng = fastrand::Rng::with_seed(seed);
    let strategies = [WaitStrategy::Adaptive, WaitStrategy::Park];
    let (mut steps, mut burst) = (Vec::new(), Burst::with_capacity(1));
    for wait in strategies {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::start(dir.path(), wait);
        let count = trials / strategies.len() as u64;
        for number in 1..=count {
            steps.extend(rig.trial(number, &mut burst, &mut rng));
        }
        let rows = rig.finish();
        let numbers = rows.iter().map(|(seq, event)| match event.body() {
            EventBody::Status(status) => (*seq, status.detail),
            other => panic!("{wait:?}: {other:?}"),
        });
        assert!(numbers.eq((1..=count).map(|number| (number, number))), "{wait:?}: each once, in order");
    }
    steps.sort();
    let late = steps.iter().filter(|step| **step >= LATE).count();
    let note = format!(
        "{trials} single events delivered within journal.sync and batch.max_age of the clock; {late} of {} hand-overs took \
         {LATE:?} or longer, median {:?}, longest {:?}",
        steps.len(),
        steps[steps.len() / 2],
        steps.last().unwrap()
    );
    println!("{note}");
    Report::new("P8").runs(trials).faults(trials).fault_kinds("silences").seed(seed).note(&note).finish();
}

/// The supply of a lane, asleep until it is woken: every commit of the journal must end its sleep.
#[test]
fn every_commit_wakes_a_lane_that_sleeps_until_it_is_woken() {
    let (seed, trials) = (seed(), trials(5_000, 20_000, 200_000));
    let mut rng = fastrand::Rng::with_seed(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut journal = journal(dir.path());
    let clock = Arc::new(SystemClock::new());
    let mut feed = JournalFeed::new(journal.cursor(), journal.tail(), feed_blocks(500), clock);
    let (word, words) = sync_channel(1);
    let reader = std::thread::spawn(move || {
        feed.register();
        let mut last = 0;
        while last < trials {
            match feed.next().unwrap() {
                Some(Fed::Block(block)) => {
                    last = block.last_seq().0;
                    word.send(last).unwrap();
                }
                Some(_) => {}
                None => feed.sleep(FOR_EVER_NANOS),
            }
        }
    });
    for number in 1..=trials {
        for _ in 0..rng.u32(..2_000) {
            std::hint::spin_loop();
        }
        journal.append(Seq(number), SourceId(0), &[event(number, START)], START);
        journal.commit().unwrap();
        assert_eq!(words.recv_timeout(HANGS), Ok(number), "a wake-up was lost");
    }
    reader.join().unwrap();
    Report::new("P8").runs(trials).faults(trials).fault_kinds("sleeps until a commit").seed(seed).finish();
}
