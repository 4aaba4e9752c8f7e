//! With a journal in front: what is durable reaches every sink exactly once, whatever the sinks and the process do.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use crossbeam_utils::CachePadded;
use feedd_core::counters::{JournalCounters, SinkState, StorageCounters};
use feedd_core::link::{LinkSender, link};
use feedd_core::{Batch, Block, Instruments, Sink, SinkError, Stop, SystemClock};
use feedd_delivery::{
    BatchLimits, JournalEnd, JournalFeed, JournalLane, JournalLaneParts, LaneEnd, LaneParts, Quarantine, Retry,
    SinkMark, StorageLane, feed_blocks,
};
use feedd_journal::{Journal, JournalConfig, Recovered, Start, Sync};
use feedd_model::{
    Epoch, Event, EventBody, EventHead, Flags, GapReason, InstrumentId, MonoNanos, Seq, SourceId, Status, StatusCode,
    StreamId, UnixNanos,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const STREAM: StreamId = StreamId(9);

/// A store that outlives its sinks: rows by identity, and a position that moves with them.
#[derive(Default)]
struct Store {
    rows: BTreeMap<(u32, u64), Event>,
    positions: BTreeMap<u32, u64>,
    /// Rows offered again after they were stored.
    twice: u64,
    /// The row stored last, and how often one came behind its successor.
    last: (u32, u64),
    disorder: u64,
}

/// Faults, changed by the test while the lane runs.
#[derive(Default)]
struct Faults {
    away: bool,
    /// Calls of `write` until one gives up everything that is not stored; 0 for never.
    give_up_in: u32,
    refuses: BTreeSet<u64>,
    /// A defect of the sink.
    panics: bool,
}

/// Takes rows into memory and stores them at every tenth write, as a sink of files does.
struct Files {
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<Faults>>,
    at: Option<(StreamId, Epoch)>,
    open: Vec<(u64, Event)>,
    taken: u64,
    writes: u32,
    lost: bool,
}

impl Files {
    fn store_open(&mut self) {
        let Some((_, epoch)) = self.at else { return };
        let mut store = self.store.lock().unwrap();
        for (seq, event) in self.open.drain(..) {
            let key = (epoch.0, seq);
            store.twice += u64::from(store.rows.insert(key, event).is_some());
            store.disorder += u64::from(key <= store.last);
            store.last = key;
        }
        store.positions.insert(epoch.0, self.taken);
    }
}

impl Sink for Files {
    fn name(&self) -> &'static str {
        "files"
    }
    fn recover(&mut self, stream: StreamId, epoch: Epoch) -> Result<Seq, SinkError> {
        if self.faults.lock().unwrap().away {
            return Err(SinkError::Unavailable { sink: "files", what: "asking".into(), source: "away".into() });
        }
        self.open.clear();
        self.lost = false;
        self.at = Some((stream, epoch));
        self.taken = self.store.lock().unwrap().positions.get(&epoch.0).copied().unwrap_or(0);
        Ok(Seq(self.taken))
    }
    fn write(&mut self, batch: &Batch, _: MonoNanos) -> Result<(), SinkError> {
        let mut faults = self.faults.lock().unwrap();
        if faults.away {
            return Err(SinkError::Unavailable { sink: "files", what: "write".into(), source: "away".into() });
        }
        if faults.give_up_in > 0 {
            faults.give_up_in -= 1;
            self.lost |= faults.give_up_in == 0;
        }
        if self.lost {
            return Err(SinkError::Unknown { sink: "files", what: "sync".into(), source: "failed".into() });
        }
        let seqs: Vec<Seq> = batch.events().map(|e| e.0).filter(|seq| faults.refuses.contains(&seq.0)).collect();
        if !seqs.is_empty() {
            return Err(SinkError::Refused { sink: "files", seqs, reason: "poison".into() });
        }
        let panics = faults.panics;
        drop(faults);
        assert!(!panics, "a defect of the sink");
        for (seq, event) in batch.events().filter(|(seq, _)| seq.0 > self.taken) {
            self.open.push((seq.0, *event));
        }
        self.taken = self.taken.max(batch.id().unwrap().last.0);
        self.writes += 1;
        if self.writes.is_multiple_of(10) {
            self.store_open();
        }
        Ok(())
    }
    fn stored_seq(&self) -> Seq {
        let epoch = self.at.map_or(0, |at| at.1.0);
        Seq(self.store.lock().unwrap().positions.get(&epoch).copied().unwrap_or(0))
    }
    fn tick(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        Ok(())
    }
    fn flush(&mut self, _: MonoNanos) -> Result<(), SinkError> {
        if self.faults.lock().unwrap().away {
            return Err(SinkError::Unavailable { sink: "files", what: "flush".into(), source: "away".into() });
        }
        self.store_open();
        Ok(())
    }
    fn batch_events_best(&self) -> usize {
        2_000
    }
}

/// One sink of a run: its store and faults outlive the run.
struct Target {
    name: &'static str,
    required: bool,
    store: Arc<Mutex<Store>>,
    faults: Arc<Mutex<Faults>>,
}

impl Target {
    fn new(name: &'static str, required: bool) -> Self {
        Self { name, required, store: Arc::default(), faults: Arc::default() }
    }

    fn seqs(&self, epoch: u32) -> Vec<u64> {
        self.store.lock().unwrap().rows.keys().filter(|key| key.0 == epoch).map(|key| key.1).collect()
    }

    fn assert_has(&self, epoch: u32, events: u64, without: &[u64]) {
        let expected: Vec<u64> = (1..=events).filter(|seq| !without.contains(seq)).collect();
        assert_eq!(self.seqs(epoch), expected, "{} epoch {epoch}", self.name);
        let store = self.store.lock().unwrap();
        assert_eq!(store.twice, 0, "{}: each row once", self.name);
        for ((_, seq), event) in store.rows.range((epoch, 0)..(epoch + 1, 0)) {
            assert_eq!(*event, self::event(*seq), "{} seq {seq}", self.name);
        }
    }

    /// The gap rows: epoch, seq, reason and missing events.
    fn gaps(&self) -> Vec<(u32, u64, GapReason, Option<u64>)> {
        let store = self.store.lock().unwrap();
        let gap = |(key, event): (&(u32, u64), &Event)| match event.body() {
            EventBody::Gap(gap) => Some((key.0, key.1, gap.reason, gap.events)),
            _ => None,
        };
        store.rows.iter().filter_map(gap).collect()
    }
}

/// A running journal with its lanes.
struct Rig {
    sender: Option<LinkSender<Arc<Block>>>,
    epoch: Epoch,
    next: u64,
    found: Recovered,
    stop: Stop,
    journal_counters: Arc<CachePadded<JournalCounters>>,
    counters: Vec<Arc<CachePadded<StorageCounters>>>,
    journal: JoinHandle<JournalEnd>,
    lanes: Vec<JoinHandle<LaneEnd>>,
}

fn start(dir: &Path, epoch: u32, bytes_max: u64, targets: &[&Target]) -> Rig {
    let epoch = Epoch(epoch);
    let config = JournalConfig {
        dir: dir.join("journal"),
        segment_bytes: 64 << 10,
        bytes_max,
        sync: Sync::Every(Duration::from_millis(1)),
    };
    std::fs::create_dir_all(&config.dir).unwrap();
    let begin = Start { stream: STREAM, epoch, at: UnixNanos(1_000) };
    let (journal, found) = Journal::open(config, begin, Instruments::in_memory()).unwrap();
    let (stop, clock) = (Stop::new(), Arc::new(SystemClock::new()));
    let (mut marks, mut lanes, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    for target in targets {
        let mark = Arc::new(SinkMark::new(target.name.into(), target.required));
        let lane_counters: Arc<CachePadded<StorageCounters>> = Arc::default();
        let sink = Files {
            store: target.store.clone(),
            faults: target.faults.clone(),
            at: None,
            open: Vec::new(),
            taken: 0,
            writes: 0,
            lost: false,
        };
        let quarantine = Quarantine::path_in(dir, target.name);
        std::fs::create_dir_all(quarantine.parent().unwrap()).unwrap();
        let retry = Retry {
            attempts: 3,
            delay: Duration::from_millis(1),
            delay_max: Duration::from_millis(5),
            stable: Duration::ZERO,
        };
        let parts = LaneParts {
            feed: Box::new(JournalFeed::new(journal.cursor(), journal.tail(), feed_blocks(2_000), clock.clone())),
            sink: Box::new(sink),
            mark: mark.clone(),
            epoch,
            earlier: Some(found.epochs.clone()),
            limits: BatchLimits { events_max: 100, age_max: Duration::from_millis(20) },
            retry,
            quarantine: Quarantine::open(&quarantine, 1 << 20, Instruments::in_memory()).unwrap(),
            counters: lane_counters.clone(),
            clock: clock.clone(),
            stop: stop.clone(),
        };
        let lane = StorageLane::new(parts, 7);
        lanes.push(std::thread::spawn(move || lane.run()));
        marks.push(mark);
        counters.push(lane_counters);
    }
    let (sender, blocks) = link(4);
    let journal_counters: Arc<CachePadded<JournalCounters>> = Arc::default();
    let lane = JournalLane::new(JournalLaneParts {
        blocks,
        journal,
        sources: 1,
        interval: Duration::from_millis(1),
        marks,
        counters: journal_counters.clone(),
        clock,
        stop: stop.clone(),
    });
    let journal = std::thread::spawn(move || lane.run());
    Rig { sender: Some(sender), epoch, next: 1, found, stop, journal_counters, counters, journal, lanes }
}

impl Rig {
    fn send(&mut self, events: u64) {
        let end = self.next + events;
        while self.next < end {
            let size = (end - self.next).min(4_000);
            let body: Vec<Event> = (self.next..self.next + size).map(event).collect();
            let mut item = Arc::new(Block::of(STREAM, self.epoch, Seq(self.next), SourceId(0), &body));
            while let Err(back) = self.sender.as_mut().unwrap().send(item, size) {
                item = back;
                std::thread::yield_now();
            }
            self.next += size;
        }
    }

    fn wait(&self, what: &str, reached: impl Fn(&Self) -> bool) {
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while !reached(self) {
            assert!(std::time::Instant::now() < limit, "still waiting for: {what}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn wait_durable(&self) {
        self.wait("durable", |rig| rig.journal_counters.durable_seq.get() == rig.next - 1);
    }

    /// The sources end; waits for everything.
    fn finish(mut self) -> (JournalEnd, Vec<LaneEnd>, Vec<Arc<CachePadded<StorageCounters>>>) {
        drop(self.sender.take());
        let end = self.journal.join().unwrap();
        let lanes = self.lanes.into_iter().map(|lane| lane.join().unwrap()).collect();
        (end, lanes, self.counters)
    }

    /// Ends as a kill does, as far as the sinks are concerned: what they hold in memory is gone.
    fn kill(mut self) {
        self.stop.abort();
        drop(self.sender.take());
        let _ = self.journal.join().unwrap();
        for lane in self.lanes {
            let _ = lane.join().unwrap();
        }
    }
}

fn event(number: u64) -> Event {
    let head = EventHead {
        instrument: InstrumentId::NONE,
        venue_ts: None,
        recv_ts: Some(UnixNanos(i64::try_from(number).unwrap())),
        flags: Flags::NONE,
    };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Connected, detail: number }))
}

#[test]
fn every_sink_gets_everything_once_at_its_own_pace() {
    let dir = tempfile::tempdir().unwrap();
    let (quick, slow) = (Target::new("quick", true), Target::new("slow", true));
    slow.faults.lock().unwrap().away = true;
    let mut rig = start(dir.path(), 1, 64 << 20, &[&quick, &slow]);
    rig.send(30_000);
    rig.wait("the quick one", |rig| rig.counters[0].received_seq.get() == 30_000);
    assert!(matches!(rig.counters[1].sink_state(), SinkState::Failing | SinkState::Open | SinkState::HalfOpen));
    assert_eq!(slow.seqs(1), Vec::<u64>::new(), "away");
    slow.faults.lock().unwrap().away = false;
    rig.send(1);
    let (end, lanes, counters) = rig.finish();
    assert!(
        matches!(end, JournalEnd::Closed) && lanes.iter().all(|lane| matches!(lane, LaneEnd::Drained)),
        "{lanes:?}"
    );
    quick.assert_has(1, 30_001, &[]);
    slow.assert_has(1, 30_001, &[]);
    assert!(counters.iter().all(|c| c.stored_seq.get() == 30_001 && c.sink_state() == SinkState::Working));
    assert!(counters[1].transitions.get() >= 3, "open, half-open, closed");
}

#[test]
fn a_sink_that_panics_stops_no_other_and_gets_everything_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (sound, broken) = (Target::new("sound", true), Target::new("broken", true));
    let mut rig = start(dir.path(), 1, 64 << 20, &[&sound, &broken]);
    rig.send(5_000);
    rig.wait("both", |rig| rig.counters.iter().all(|c| c.received_seq.get() == 5_000));
    broken.faults.lock().unwrap().panics = true;
    rig.send(20_000);
    rig.wait("the panic", |rig| rig.counters[1].sink_state() == SinkState::Stopped);
    rig.send(5_000);
    let (end, lanes, _) = rig.finish();
    assert!(matches!(end, JournalEnd::Closed), "{end:?}");
    assert!(matches!(lanes.as_slice(), [LaneEnd::Drained, LaneEnd::Panicked]), "{lanes:?}");
    sound.assert_has(1, 30_000, &[]);
    assert!(broken.seqs(1).len() < 30_000, "it was broken");
    broken.faults.lock().unwrap().panics = false;
    let (_, lanes, _) = start(dir.path(), 2, 64 << 20, &[&sound, &broken]).finish();
    assert!(lanes.iter().all(|lane| matches!(lane, LaneEnd::Drained)), "{lanes:?}");
    for target in [&sound, &broken] {
        target.assert_has(1, 30_000, &[]);
    }
}

#[test]
fn what_a_sink_gave_up_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::new("files", true);
    let mut rig = start(dir.path(), 1, 64 << 20, &[&target]);
    for round in 0..6 {
        target.faults.lock().unwrap().give_up_in = 3 + round * 2;
        rig.send(3_000);
        rig.wait("taken", |rig| {
            rig.counters[0].received_seq.get() == rig.next - 1 && rig.counters[0].buffered.get() == 0
        });
    }
    let (_, lanes, counters) = rig.finish();
    assert!(matches!(lanes[0], LaneEnd::Drained), "{lanes:?}");
    target.assert_has(1, 18_000, &[]);
    assert_eq!(counters[0].stored_seq.get(), 18_000);
    assert!(counters[0].events_written.get() > 18_000, "some were given up and written again");
}

#[test]
fn refused_events_are_kept_aside_once_over_rewinds_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::new("files", true);
    target.faults.lock().unwrap().refuses = [5, 700, 701, 1_999].into();
    let mut rig = start(dir.path(), 1, 64 << 20, &[&target]);
    target.faults.lock().unwrap().give_up_in = 9;
    rig.send(2_000);
    rig.wait("refused", |rig| rig.counters[0].quarantined.get() == 4);
    rig.kill();
    let rig = start(dir.path(), 2, 64 << 20, &[&target]);
    let (_, lanes, counters) = rig.finish();
    assert!(matches!(lanes[0], LaneEnd::Drained), "{lanes:?}");
    target.assert_has(1, 2_000, &[5, 700, 701, 1_999]);
    let kept = std::fs::read_to_string(Quarantine::path_in(dir.path(), "files")).unwrap();
    assert_eq!(kept.lines().count(), 4, "each once:\n{kept}");
    let c = &counters[0];
    let (found, parts) = (c.earlier_found.get(), c.earlier_stored.get() + c.earlier_quarantined.get());
    assert_eq!((found, c.earlier_pending.get(), c.earlier_missed.get()), (parts, 0, 0));
}

#[test]
fn a_new_start_first_stores_what_the_last_one_left_then_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::new("files", true);
    let mut sent = Vec::new();
    for epoch in 1..=5u32 {
        // Every second start finds the sink away and leaves everything to the next.
        target.faults.lock().unwrap().away = epoch.is_multiple_of(2);
        let mut rig = start(dir.path(), epoch, 64 << 20, &[&target]);
        assert!(rig.found.clean, "the journal itself ended well each time");
        rig.send(1_000 * u64::from(epoch) + 17);
        rig.wait_durable();
        sent.push((epoch, rig.next - 1));
        if epoch.is_multiple_of(2) {
            rig.stop.request();
            let (end, lanes, counters) = rig.finish();
            assert!(matches!(end, JournalEnd::Closed) && matches!(lanes[0], LaneEnd::Deadline), "left in the journal");
            assert!(counters[0].earlier_pending.get() > 0 && counters[0].stored_seq.get() == 0);
        } else {
            rig.kill();
        }
    }
    target.faults.lock().unwrap().away = false;
    let rig = start(dir.path(), 6, 64 << 20, &[&target]);
    let (_, lanes, counters) = rig.finish();
    assert!(matches!(lanes[0], LaneEnd::Drained), "{lanes:?}");
    for (epoch, events) in sent {
        target.assert_has(epoch, events, &[]);
    }
    let c = &counters[0];
    assert_eq!((c.earlier_found.get(), c.earlier_pending.get()), (c.earlier_stored.get(), 0));
}

#[test]
fn at_the_byte_limit_a_required_sink_makes_the_source_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let target = Target::new("files", true);
    target.faults.lock().unwrap().away = true;
    let mut rig = start(dir.path(), 1, 256 << 10, &[&target]);
    // The journal holds some 3,900 events.
    let faults = target.faults.clone();
    let counters = rig.journal_counters.clone();
    let watcher = std::thread::spawn(move || {
        let limit = std::time::Instant::now() + Duration::from_secs(60);
        while counters.blocked_since.get() == 0 {
            assert!(std::time::Instant::now() < limit, "the journal does not wait for room");
            std::thread::sleep(Duration::from_millis(1));
        }
        let durable = counters.durable_seq.get();
        faults.lock().unwrap().away = false;
        durable
    });
    rig.send(100_000);
    let durable = watcher.join().unwrap();
    assert!(durable < 5_000, "{durable} of 100,000 before it waited");
    let (end, lanes, counters) = rig.finish();
    assert!(matches!(end, JournalEnd::Closed) && matches!(lanes[0], LaneEnd::Drained), "{end:?} {lanes:?}");
    target.assert_has(1, 100_000, &[]);
    assert_eq!(counters[0].missed.get(), 0);
}

#[test]
fn at_the_byte_limit_a_sink_that_is_not_required_misses_the_oldest_and_the_hole_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let (required, optional) = (Target::new("required", true), Target::new("optional", false));
    optional.faults.lock().unwrap().away = true;
    let mut rig = start(dir.path(), 1, 256 << 10, &[&required, &optional]);
    rig.send(100_000);
    rig.wait_durable();
    rig.wait("the required one", |rig| rig.counters[0].received_seq.get() == 100_000);
    optional.faults.lock().unwrap().away = false;
    rig.send(500);
    let (end, lanes, counters) = rig.finish();
    assert!(matches!(end, JournalEnd::Closed) && lanes.iter().all(|l| matches!(l, LaneEnd::Drained)), "{lanes:?}");
    required.assert_has(1, 100_500, &[]);
    // Each marker stands in the place of the last event that is missing.
    let gaps = optional.gaps();
    assert!(!gaps.is_empty(), "the hole is marked");
    let missed: u64 = gaps.iter().map(|gap| gap.3.unwrap()).sum();
    assert!(missed > 80_000, "{missed}");
    assert_eq!(counters[1].missed.get(), missed);
    let seqs: BTreeSet<u64> = optional.seqs(1).into_iter().collect();
    for &(_, last, reason, events) in &gaps {
        assert_eq!(reason, GapReason::SinkBehind);
        let first = last + 1 - events.unwrap();
        assert!((first..last).all(|seq| !seqs.contains(&seq)), "{first}..{last} is missing");
    }
    assert_eq!(seqs.len() as u64 + missed - gaps.len() as u64, 100_500, "nothing is missing beside the marked holes");
    assert_eq!(counters[1].stored_seq.get(), 100_500);
    assert!((99_500..=100_500).all(|seq| seqs.contains(&seq)), "the newest are there");
}

/// What one random run did.
#[derive(Default)]
struct Chaos {
    sent: Vec<(u32, u64)>,
    faults: u64,
}

/// Starts, outages, given-up rows, kills and stops at random; at the end everything is healthy once.
fn chaos(dir: &Path, targets: &[&Target], rng: &mut fastrand::Rng) -> Chaos {
    let mut done = Chaos::default();
    let starts = rng.u32(1..=4);
    for epoch in 1..=starts {
        let last = epoch == starts;
        let mut rig = start(dir, epoch, 64 << 20, targets);
        for _ in 0..rng.u32(1..12) {
            let target = targets[rng.usize(..targets.len())];
            match rng.u8(..5) {
                0 => target.faults.lock().unwrap().away ^= true,
                1 => target.faults.lock().unwrap().give_up_in = rng.u32(1..8),
                2 => std::thread::sleep(Duration::from_micros(rng.u64(..3_000))),
                _ => rig.send(rng.u64(1..3_000)),
            }
            done.faults += 1;
        }
        done.sent.push((epoch, rig.next - 1));
        if last {
            targets.iter().for_each(|target| target.faults.lock().unwrap().away = false);
            let (_, lanes, _) = rig.finish();
            assert!(lanes.iter().all(|lane| matches!(lane, LaneEnd::Drained)), "{lanes:?}");
        } else if rng.bool() {
            rig.wait_durable();
            rig.kill();
        } else {
            rig.stop.request();
            let _ = rig.finish();
        }
    }
    done
}

#[test]
fn order_and_single_storage_survive_any_mix_of_outages_rewinds_kills_and_stops() {
    let seed = feedd_testkit::promise::seed();
    let runs = match std::env::var("FEEDD_SOAK").as_deref() {
        Ok(_) => 1_000,
        Err(_) => 25,
    };
    let (mut faults, mut events, mut disorder) = (0, 0, 0);
    for run in 0..runs {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (Target::new("one", true), Target::new("other", true));
        let done = chaos(dir.path(), &[&one, &other], &mut fastrand::Rng::with_seed(seed.wrapping_add(run)));
        for target in [&one, &other] {
            for &(epoch, sent) in &done.sent {
                target.assert_has(epoch, sent, &[]);
                events += sent;
            }
            disorder += target.store.lock().unwrap().disorder;
        }
        faults += done.faults;
    }
    feedd_testkit::promise::Report::new("P15")
        .runs(runs)
        .faults(faults)
        .fault_kinds("outages, rewinds, kills, stops")
        .demand(disorder == 0, "a row was stored behind its successor")
        .seed(seed)
        .note(&format!("{events} events"))
        .finish();
}
