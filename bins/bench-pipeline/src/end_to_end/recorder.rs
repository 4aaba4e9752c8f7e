//! The recorder, in a process of its own: feedd's own wiring with feedd's own configuration, and one lane more.

use super::child::{Asked, Child, answer};
use super::observer::{Hops, Observer};
use crate::cli::RoleArg;
use anyhow::{Context, Result, ensure};
use feedd_config::{Config, Machine, Overrides, load};
use feedd_core::affinity::usable_cores;
use feedd_core::{Clock, SystemClock};
use feedd_run::Run;
use feedd_telemetry::Watched;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at what is durable and stored, while it is noted: the journal is synced every 10 ms.
const LOOK: Duration = Duration::from_millis(1);
/// Between two looks at whether the run is over, and how long it may take.
const POLL: Duration = Duration::from_millis(5);
const END_MAX: Duration = Duration::from_secs(60);

/// What to record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    /// A folder of its own.
    pub(super) dir: PathBuf,
    /// The text of the configuration.
    pub(super) config: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Request {
    Look,
    /// Notes when events come and where they are.
    Observe,
    /// Ends that.
    Hops,
    /// Stops as at a signal, and stores everything.
    End,
}

/// What was set up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Started {
    connections: u64,
}

/// The counters that matter here.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Look {
    /// Time since the start of the process.
    pub(super) wall_ns: u64,
    /// CPU time of the process, and of each kind of thread.
    pub(super) cpu_ns: u64,
    pub(super) threads_ns: BTreeMap<String, u64>,
    pub(super) rss_kib: u64,
    pub(super) rss_peak_kib: u64,
    /// Connections that are subscribed and heard.
    pub(super) live: u64,
    /// Connections that ended.
    pub(super) closed: u64,
    /// Frames with data, of the stream.
    pub(super) frames: u64,
    /// Books that came by REST, each in one answer.
    pub(super) snapshots: u64,
    /// Frames or events that were not recorded as they came: rejected, unknown, dropped, taken for known; gaps.
    pub(super) bad: u64,
    pub(super) accepted: u64,
    /// Events that will be accepted of the frames above, and of the recorder's own.
    pub(super) due: u64,
    /// `None` without a journal.
    pub(super) durable: Option<u64>,
    /// Written to the sink, and stored by it.
    pub(super) written: u64,
    pub(super) stored: u64,
    /// Events of the sink's open batch.
    pub(super) buffered: u64,
    /// Time that sources waited for room in their rings, and the batching thread for room behind it.
    pub(super) blocked_ns: u64,
}

/// How it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// What went wrong.
    pub(super) troubles: Vec<String>,
    pub(super) look: Look,
}

/// The process, as it is seen from outside.
#[derive(Debug)]
pub(super) struct Recorder {
    child: Child,
    /// That it opens.
    pub(super) connections: u64,
}

impl Recorder {
    /// # Errors
    /// When it does not start.
    pub(super) fn start(setup: &Setup, cores: &[usize]) -> Result<Self> {
        let (child, Started { connections }) = Child::start(RoleArg::Recorder, cores, setup)?;
        Ok(Self { child, connections })
    }

    /// # Errors
    /// When it does not answer; likewise below.
    pub(super) fn look(&mut self) -> Result<Look> {
        self.child.ask(&Request::Look)
    }

    /// From now on it is noted when events come and where they are.
    pub(super) fn observe(&mut self) -> Result<()> {
        self.child.ask(&Request::Observe)
    }

    /// What was noted.
    pub(super) fn hops(&mut self) -> Result<Hops> {
        self.child.ask(&Request::Hops)
    }

    /// Stops it and waits until everything is stored.
    pub(super) fn end(mut self) -> Result<Ended> {
        self.child.ask(&Request::End)
    }
}

/// The process itself, until its input ends.
///
/// # Errors
/// When nobody listens.
pub(super) fn record(mut asked: Asked) -> Result<()> {
    let setup: Setup = asked.next()?.context("nothing to set up")?;
    let observer = Arc::<Observer>::default();
    let (run, connections) = match start(&setup, &observer) {
        Ok(started) => started,
        Err(error) => return answer::<()>(Err(error)),
    };
    answer(Ok(Started { connections }))?;
    let (began, watched, ended) = (Instant::now(), run.watched().clone(), Arc::new(AtomicBool::new(false)));
    let watch = (watched.clone(), observer.clone(), ended.clone());
    let watch =
        std::thread::Builder::new().name("observer".to_owned()).spawn(move || note(&watch.0, &watch.1, &watch.2))?;
    let mut run = Some(run);
    while let Some(request) = asked.next()? {
        match request {
            Request::Look => answer(Ok(look(&watched, began)))?,
            Request::Observe => {
                observer.start();
                answer(Ok(()))?;
            }
            Request::Hops => {
                // What was reached since the thread last looked is asked for as well.
                note_now(&watched, &observer);
                answer(observer.end())?;
            }
            Request::End => {
                let troubles = run.take().context("ended twice").and_then(end);
                answer(troubles.map(|troubles| Ended { troubles, look: look(&watched, began) }))?;
            }
        }
    }
    // Relaxed: nothing else hangs on it.
    ended.store(true, Ordering::Relaxed);
    watch.join().map_err(|_| anyhow::anyhow!("the thread that notes what is stored panicked"))?;
    run.map_or(Ok(()), |run| end(run).map(drop))
}

fn start(setup: &Setup, observer: &Arc<Observer>) -> Result<(Run, u64)> {
    let file = setup.dir.join("feedd.toml");
    std::fs::write(&file, &setup.config).with_context(|| format!("writing {}", file.display()))?;
    let (cores, venues): (_, Vec<_>) = (usable_cores(), feedd_venues::table::names().collect());
    let machine = Machine { cores: &cores, venues: &venues };
    let config: Config = load(Some(&file), std::iter::empty(), &Overrides::default(), &machine)?.config;
    let connections = feedd_run::live::shards(&config)?.len() as u64;
    Ok((feedd_run::start_with(&config, None, Some(observer.lane()))?, connections))
}

/// Stops as at a signal.
fn end(run: Run) -> Result<Vec<String>> {
    run.stop().request();
    let began = Instant::now();
    while !run.is_over() {
        ensure!(began.elapsed() < END_MAX, "the recorder has not ended after {END_MAX:?}");
        std::thread::sleep(POLL);
    }
    Ok(run.join().troubles)
}

/// Notes what is durable and stored, until it is over.
fn note(watched: &Watched, observer: &Observer, ended: &AtomicBool) {
    while !ended.load(Ordering::Relaxed) {
        if observer.is_on() {
            note_now(watched, observer);
        }
        std::thread::sleep(LOOK);
    }
}

fn note_now(watched: &Watched, observer: &Observer) {
    let durable = watched.journal.as_ref().map_or(0, |journal| journal.counters.durable_seq.get());
    let stored = watched.sinks.iter().map(|sink| sink.counters.stored_seq.get()).min().unwrap_or(0);
    observer.reached(durable, stored, SystemClock::new().wall().0);
}

fn look(watched: &Watched, began: Instant) -> Look {
    let mut look =
        Look { wall_ns: nanos(began.elapsed()), cpu_ns: cpu_ns(), threads_ns: threads_ns(), ..Look::default() };
    [look.rss_kib, look.rss_peak_kib] = ["VmRSS:", "VmHWM:"].map(memory_kib);
    // From the end of the way to its start, so that no difference is negative.
    for sink in &watched.sinks {
        look.stored += sink.counters.stored_seq.get();
        look.written += sink.counters.events_written.get();
        look.buffered += sink.counters.buffered.get();
    }
    look.durable = watched.journal.as_ref().map(|journal| journal.counters.durable_seq.get());
    look.accepted = watched.batching.accepted.get();
    look.blocked_ns = watched.batching.blocked_ns.get();
    for source in &watched.sources {
        let counters = &source.counters;
        let session = &counters.session;
        let snapshots = session.pulls.get() - session.pulls_failed.get();
        look.snapshots += snapshots;
        look.frames += counters.frames_decoded.get().saturating_sub(snapshots);
        look.bad += counters.frames_rejected.total() + counters.frames_unknown.get() + counters.events_rejected.total();
        let kept_out = counters.events_dropped.total() + counters.events_duplicate.get();
        look.bad += kept_out + counters.gaps.get();
        // Read after the frames, which are counted after their events: where as many are accepted, nothing of those frames is
        // on its way.
        let made = counters.events_decoded.get() + counters.events_own.get();
        look.due += made.saturating_sub(kept_out + counters.events_rejected.total());
        look.blocked_ns += counters.blocked_ns.get();
        look.live += session.connections_live.get();
        look.closed += session.connections_closed.get();
    }
    look
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of this process.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// CPU time of the threads by their names, those of all sources together; nothing where the system does not tell.
fn threads_ns() -> BTreeMap<String, u64> {
    let mut threads = BTreeMap::new();
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |file: &str| std::fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let (name, schedstat) = (read("comm"), read("schedstat"));
        let name = if name.starts_with("source-") { "sources" } else { name.trim() };
        let on_core: u64 = schedstat.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        *threads.entry(name.to_owned()).or_default() += on_core;
    }
    threads
}

/// Memory of this process, by the name of a line in its status; 0 where the system does not tell.
fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
