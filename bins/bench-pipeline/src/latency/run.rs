//! The runs: the hand-over alone, the same through the bare ring, the way through the journal, silence, and bursts with pauses.

use super::hop::Hop;
use super::schedule::Schedule;
use super::taker::{Arrivals, Shared, Taker, TimedSink, event, note_durable, take};
use crate::hot_path::pipeline::{Storage, Store, Way};
use crate::line::{Busy, Line};
use anyhow::{Context, Result, anyhow, ensure};
use feedd_core::affinity::pin;
use feedd_core::link::link;
use feedd_core::wait::WaitStrategy;
use feedd_core::{Burst, Clock, Instruments, Outlet, Stop, SystemClock};
use feedd_delivery::pool_blocks;
use feedd_journal::Tail;
use feedd_model::{Event, duration_nanos};
use feedd_sink_null::NullSink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

/// As the recorder has them by default.
const RING: usize = 10_000;
const LINK_BLOCKS: usize = 16;
/// One part of so many events at the beginning does not count.
const WARM_PARTS: u64 = 10;
/// From the start of the threads to the first event: the waiting strategy has learnt its costs by then.
const LEAD: Duration = Duration::from_millis(20);
/// Pause between two looks of a source that sleeps in between, as one does that reads a socket.
const NAP: Duration = Duration::from_micros(200);
/// Bursts with pauses: so many a second, of so many events.
const BURSTS_PER_S: u64 = 100;
const BURST_EVENTS: u64 = 64;
/// Longest wait for a commit before the run is looked at.
const COMMIT_WAIT: Duration = Duration::from_millis(50);

/// How a run is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) wait: WaitStrategy,
    /// Cores of the source and of the batching thread.
    pub(crate) cores: Option<[usize; 2]>,
}

/// What the two threads of a run did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    /// Part of a core.
    pub(crate) source_share: f64,
    pub(crate) batching_share: f64,
    /// How late the last event was published: what the source could not keep up with.
    pub(crate) end_late: Duration,
}

impl Setup {
    fn line(&self) -> Line {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Line { ring: RING, wait: self.wait, cores: self.cores, clock, stop: Stop::new(), budget: None }
    }

    /// Events one by one, each at its time, from a source that never sleeps, to whoever takes blocks from the batching
    /// thread.
    ///
    /// # Errors
    /// When a thread fails, or not every event arrived in order.
    pub(crate) fn hand_over(&self, rate: u64, length: Duration) -> Result<(Hop, Threads)> {
        let (line, events) = (self.line(), events(rate, length));
        let schedule = Schedule::new(rate, 1);
        let (way, arrivals, _) = taken(&line, &schedule, events)?;
        let ran = line.run(way, move |outlet| {
            let (mut burst, clock) = (Burst::with_capacity(1), outlet.clock().clone());
            publish_each(&*clock, &schedule, events, |event| {
                burst.push(event);
                burst.end_message();
                outlet.publish(&mut burst).map_err(Into::into)
            })
        })?;
        Ok((Arrivals::all(&arrivals, events)?, threads(&ran.source, &ran.batching, ran.told)))
    }

    /// The same through the bare ring, to a thread that does nothing but look: what the machine and the ring take by themselves.
    ///
    /// # Errors
    /// When a thread fails, or not every event arrived in order.
    pub(crate) fn bare(&self, rate: u64, length: Duration) -> Result<(Hop, Threads)> {
        let (clock, events) = (SystemClock::new(), events(rate, length));
        let schedule = Schedule::new(rate, 1);
        let arrivals = Arrivals::new(&schedule, events / WARM_PARTS)?;
        let (mut writer, reader) = rtrb::RingBuffer::<Event>::new(RING);
        let line = Barrier::new(2);
        let (told, source, reading) = std::thread::scope(|scope| {
            let source = scope.spawn(|| {
                let is_pinned = self.cores.is_none_or(|[core, _]| pin(core));
                line.wait();
                is_pinned.then_some(()).context("the source's thread could not be pinned")?;
                let (told, busy) = Busy::of(|| {
                    publish_each(&clock, &schedule, events, |event| {
                        while writer.push(event).is_err() {
                            ensure!(!writer.is_abandoned(), "nobody reads the ring any more");
                            std::hint::spin_loop();
                        }
                        Ok(())
                    })
                });
                Ok::<_, anyhow::Error>((told?, busy))
            });
            let reading = scope.spawn(|| {
                let is_pinned = self.cores.is_none_or(|[_, core]| pin(core));
                line.wait();
                is_pinned.then_some(()).context("the reader's thread could not be pinned")?;
                let read = || read_each(reader, events, &arrivals, &clock);
                Ok::<_, anyhow::Error>(Busy::of(read).1)
            });
            let (told, source) = source.join().map_err(|_| anyhow!("the source's thread panicked"))??;
            let reading = reading.join().map_err(|_| anyhow!("the reader's thread panicked"))??;
            Ok::<_, anyhow::Error>((told, source, reading))
        })?;
        Ok((Arrivals::all(&arrivals, events)?, threads(&source, &reading, told)))
    }

    /// Events as they become due between two naps of the source, through a journal that is synced every 10 ms, to a null
    /// sink behind it: until they are durable, and until they are stored.
    ///
    /// # Errors
    /// When a thread fails, or not every event arrived in order.
    pub(crate) fn storage(&self, rate: u64, length: Duration, dir: &Path) -> Result<[Hop; 2]> {
        let (line, events) = (self.line(), events(rate, length));
        let dir = tempfile::Builder::new().prefix("latency-").tempdir_in(dir).context("making a folder")?;
        let schedule = Schedule::new(rate, 1);
        let warm = events / WARM_PARTS;
        let (durable, stored) = (Arrivals::new(&schedule, warm)?, Arrivals::new(&schedule, warm)?);
        let sink = Box::new(TimedSink { null: NullSink::new(), clock: line.clock.clone(), arrivals: stored.clone() });
        let instruments = Instruments::in_memory();
        let (storage, way) =
            Storage::start_with(Store::Journal, sink, &instruments, dir.path(), &line.clock, &line.stop)?;
        let tail = storage.tail.clone().context("a store with a journal has its end")?;
        let watch = (durable.clone(), line.clock.clone(), line.stop.clone());
        let watch = std::thread::spawn(move || watch_durable(&tail, events, &watch.0, &*watch.1, &watch.2));
        let begin = Instant::now();
        let ran = line.run(way, move |outlet| publish_due(outlet, &schedule, events));
        if ran.is_err() {
            line.stop.request();
        }
        watch.join().map_err(|_| anyhow!("the thread that watches the journal panicked"))?;
        ran?;
        storage.drain(begin)?;
        Ok([Arrivals::all(&durable, events)?, Arrivals::all(&stored, events)?])
    }

    /// Part of a core that the batching thread takes for `window`, after such a silence; `None` where the system does
    /// not tell.
    ///
    /// # Errors
    /// When a thread fails.
    pub(crate) fn silence(&self, silence: Duration, window: Duration) -> Result<Option<f64>> {
        let line = self.line();
        let (way, arrivals, thread) = taken(&line, &Schedule::new(1, 1), 1)?;
        let ran = line.run(way, move |outlet| {
            let mut burst = Burst::with_capacity(1);
            burst.push(event(0, outlet.clock().mono().0));
            burst.end_message();
            outlet.publish(&mut burst)?;
            std::thread::sleep(silence);
            let watch = CpuWatch::start(&thread);
            std::thread::sleep(window);
            Ok(watch.share())
        })?;
        Arrivals::all(&arrivals, 1)?;
        Ok(ran.told)
    }

    /// The same while a burst of 64 events comes every 10 ms; and how long its events took.
    ///
    /// # Errors
    /// When a thread fails, or not every event arrived in order.
    pub(crate) fn bursts(&self, window: Duration) -> Result<(Hop, Option<f64>)> {
        let line = self.line();
        let events = events(BURSTS_PER_S, window).max(2) * BURST_EVENTS;
        let schedule = Schedule::new(BURSTS_PER_S, BURST_EVENTS);
        let (way, arrivals, thread) = taken(&line, &schedule, events)?;
        let ran = line.run(way, move |outlet| {
            let mut burst = Burst::with_capacity(64);
            let mut watch = None;
            begin(&**outlet.clock(), &schedule);
            let mut dues = schedule.dues();
            for first in (0..events).step_by(64) {
                let due = dues.peek();
                std::thread::sleep(Duration::from_nanos(due.saturating_sub(outlet.clock().mono().0)));
                if first > events / WARM_PARTS {
                    watch.get_or_insert_with(|| CpuWatch::start(&thread));
                }
                let now = outlet.clock().mono().0;
                for number in first..first + BURST_EVENTS {
                    dues.next();
                    burst.push(event(number, now));
                    burst.end_message();
                }
                outlet.publish(&mut burst)?;
            }
            Ok(watch.and_then(|watch| watch.share()))
        })?;
        Ok((Arrivals::all(&arrivals, events)?, ran.told))
    }
}

/// Events of a run; at least enough to be told apart from its beginning.
fn events(rate: u64, length: Duration) -> u64 {
    let nanos = u128::from(rate) * u128::from(duration_nanos(length)) / 1_000_000_000;
    u64::try_from(nanos).unwrap_or(u64::MAX).max(WARM_PARTS)
}

/// A way that ends in the batching thread.
fn taken(line: &Line, schedule: &Schedule, events: u64) -> Result<(Way, Shared, Arc<OnceLock<PathBuf>>)> {
    let (link, blocks) = link(LINK_BLOCKS);
    let arrivals = Arrivals::new(schedule, events / WARM_PARTS)?;
    let thread = Arc::new(OnceLock::new());
    let taker = Taker { blocks, clock: line.clock.clone(), arrivals: arrivals.clone(), thread: thread.clone() };
    Ok((Way { link, served: Some(Box::new(taker)), pool_blocks: pool_blocks(LINK_BLOCKS, 0) }, arrivals, thread))
}

fn threads(source: &Busy, batching: &Busy, end_late: Duration) -> Threads {
    Threads { source_share: source.share(), batching_share: batching.share(), end_late }
}

/// Sets the start of the schedule.
fn begin(clock: &dyn Clock, schedule: &Schedule) {
    schedule.begin(clock.mono().0 + duration_nanos(LEAD));
}

/// One `publish` an event, at its time; what is late comes at once. Tells how late the last one was.
fn publish_each(
    clock: &dyn Clock,
    schedule: &Schedule,
    events: u64,
    mut publish: impl FnMut(Event) -> Result<()>,
) -> Result<Duration> {
    begin(clock, schedule);
    let (mut dues, mut late_ns) = (schedule.dues(), 0);
    for number in 0..events {
        let due = dues.next();
        let now = loop {
            let now = clock.mono().0;
            if now >= due {
                break now;
            }
            std::hint::spin_loop();
        };
        publish(event(number, now))?;
        late_ns = now - due;
    }
    Ok(Duration::from_nanos(late_ns))
}

/// Takes events out of the bare ring as they come, until all are here or their source is gone.
fn read_each(mut reader: rtrb::Consumer<Event>, events: u64, arrivals: &Shared, clock: &dyn Clock) {
    let (mut here, mut taken) = (Vec::with_capacity(RING), 0);
    while taken < events && !(reader.is_abandoned() && reader.is_empty()) {
        let Ok(chunk) = reader.read_chunk(reader.slots()) else { continue };
        if chunk.is_empty() {
            std::hint::spin_loop();
            continue;
        }
        // Whoever only knows that an event is there does not have it.
        let (first, second) = chunk.as_slices();
        here.extend_from_slice(first);
        here.extend_from_slice(second);
        chunk.commit_all();
        let now = clock.mono();
        taken += here.len() as u64;
        take(arrivals, &here, now);
        here.clear();
    }
}

/// Everything that is due at once, then a nap: leaves the core to the threads that store.
fn publish_due(outlet: &mut Outlet, schedule: &Schedule, events: u64) -> Result<()> {
    let mut burst = Burst::with_capacity(RING);
    begin(&**outlet.clock(), schedule);
    let (mut dues, mut number) = (schedule.dues(), 0);
    loop {
        let now = outlet.clock().mono().0;
        while number < events && dues.peek() <= now && burst.events().len() < RING / 4 {
            dues.next();
            burst.push(event(number, now));
            burst.end_message();
            number += 1;
        }
        outlet.publish(&mut burst)?;
        if number == events {
            return Ok(());
        }
        if dues.peek() > outlet.clock().mono().0 {
            std::thread::sleep(NAP);
        }
    }
}

/// Notes each commit until everything is durable, or the run is stopped.
fn watch_durable(tail: &Tail, events: u64, arrivals: &Shared, clock: &dyn Clock, stop: &Stop) {
    let mut generation = tail.generation();
    loop {
        let durable = tail.durable().seq;
        note_durable(arrivals, durable, clock.mono());
        if durable.0 >= events || tail.is_closed() || stop.is_requested() {
            return;
        }
        generation = tail.wait(generation, COMMIT_WAIT);
    }
}

/// CPU time of the batching thread from a moment on.
struct CpuWatch {
    file: Option<PathBuf>,
    cpu: Option<Duration>,
    at: Instant,
}

impl CpuWatch {
    fn start(thread: &OnceLock<PathBuf>) -> Self {
        let file = thread.get().map(|thread| thread.join("schedstat"));
        let cpu = file.as_deref().and_then(on_core);
        Self { file, cpu, at: Instant::now() }
    }

    /// Part of a core since then.
    fn share(&self) -> Option<f64> {
        let now = on_core(self.file.as_deref()?)?;
        Some(now.saturating_sub(self.cpu?).as_secs_f64() / self.at.elapsed().as_secs_f64())
    }
}

/// Time that a thread has been on a core: the first field of its schedstat, see proc(5).
fn on_core(schedstat: &Path) -> Option<Duration> {
    let nanos = std::fs::read_to_string(schedstat).ok()?.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}
