//! The telemetry thread: live line or log lines, health line, backpressure levels, and the check of the account. Reads
//! counters only, so it goes on during an outage.

use crate::observer::Observer;
use feedd_config::Health;
use feedd_core::{AccountWatch, Stop, Violation};
use feedd_telemetry::{
    BackpressureWatch, Levels, Notice, Severity, Snapshot, Thresholds, Watched, health_line, status_line,
};
use feedd_venues::sources::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often counters are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often the live line changes.
const LIVE: Duration = Duration::from_millis(200);
/// When a run without a terminal first says how it goes.
const FIRST_LINE: Duration = Duration::from_secs(1);

/// The live line: hidden when standard error is no terminal.
pub(crate) fn live_line() -> ProgressBar {
    let live = ProgressBar::no_length();
    if !std::io::stderr().is_terminal() {
        live.set_draw_target(ProgressDrawTarget::hidden());
    }
    live.set_style(ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()));
    live
}

/// The running telemetry thread.
pub(crate) struct Operator {
    thread: JoinHandle<AccountWatch>,
    over: Arc<AtomicBool>,
    other_health: OtherHealth,
}

struct Look {
    watched: Watched,
    progress: Vec<Arc<Progress>>,
    live: ProgressBar,
    health: Health,
    stop: Stop,
    levels: Levels,
    watch: AccountWatch,
    backpressure: BackpressureWatch,
    observer: Arc<Observer>,
    other_health: OtherHealth,
}

/// Where the thread is told other settings of the health line; it looks there as often as at the counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct OtherHealth(Arc<Mutex<Option<Health>>>);

impl OtherHealth {
    /// These from now on.
    pub(crate) fn set(&self, health: Health) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(health);
    }

    fn take(&self) -> Option<Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn thresholds(health: &Health) -> Thresholds {
    Thresholds {
        utilisation_debug: u64::from(health.utilisation_debug),
        utilisation_warn: u64::from(health.utilisation_warn),
        batch_buffer_warn: u64::from(health.batch_buffer_warn),
    }
}

impl Operator {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start(
        watched: Watched,
        progress: Vec<Arc<Progress>>,
        live: ProgressBar,
        health: Health,
        stop: Stop,
        observer: Arc<Observer>,
    ) -> std::io::Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let levels = Levels::new(thresholds(&health), watched.sources.len());
        let other_health = OtherHealth::default();
        let watch = AccountWatch::default();
        let look = Look {
            watched,
            progress,
            live,
            health,
            stop,
            levels,
            watch,
            backpressure: BackpressureWatch::default(),
            observer,
            other_health: other_health.clone(),
        };
        look.set_up_progress();
        let thread_over = over.clone();
        let thread = std::thread::Builder::new().name("telemetry".into()).spawn(move || look.run(&thread_over))?;
        Ok(Self { thread, over, other_health })
    }

    /// Where it is told other settings while it runs.
    pub(crate) fn other_health(&self) -> OtherHealth {
        self.other_health.clone()
    }

    /// Ends the thread, removes the live line and gives what the check of the account has found; none when the thread
    /// panicked, which has been printed and does not affect the recording.
    pub(crate) fn end(self) -> Option<AccountWatch> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().ok()
    }
}

impl Look {
    /// A recording has a known length: its line is a bar with rate and remaining time.
    fn set_up_progress(&self) {
        // A pipe has no known length.
        let lengths_known = self.progress.iter().all(|p| p.total.get() > 0);
        let total: u64 = self.progress.iter().map(|p| p.total.get()).sum();
        if total > 0 && lengths_known && self.progress.len() == self.watched.sources.len() {
            let template = "[{bar:20}] {percent}% of {total_bytes}, {bytes_per_sec}, {eta} left | {wide_msg}";
            self.live.set_length(total);
            self.live
                .set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
    }

    fn run(mut self, over: &AtomicBool) -> AccountWatch {
        let start = Instant::now();
        let (mut live_at, mut health_at) = (start, start + self.health.interval);
        let first = Snapshot::take(&self.watched);
        let (mut live_before, mut health_before) = (first.clone(), first);
        let mut said = false;
        while !over.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            let (now, snapshot) = (Instant::now(), Snapshot::take(&self.watched));
            if let Some(health) = self.other_health.take() {
                self.levels.set_thresholds(thresholds(&health));
                (health_at, self.health) = (now + health.interval, health);
            }
            if let Err(violation) = self.watch.check(&snapshot.account) {
                tell(&violation, self.watch.violations());
            }
            self.observer.look(&snapshot, &self.watch);
            for notice in self.levels.look(&self.watched, snapshot.at) {
                log(&notice);
            }
            if let Some(analysis) = &self.watched.analysis {
                for notice in self.backpressure.look(analysis, snapshot.at) {
                    log(&notice);
                }
            }
            if now.duration_since(live_at) >= LIVE {
                self.show(&live_before, &snapshot, now.duration_since(start));
                if self.live.is_hidden() && !said && now.duration_since(start) >= FIRST_LINE {
                    tracing::info!("{}", status_line(&health_before, &snapshot, now.duration_since(start)));
                    said = true;
                }
                (live_at, live_before) = (now, snapshot.clone());
            }
            if now >= health_at {
                tracing::info!("{}", health_line(&health_before, &snapshot, self.health.interval));
                (health_at, health_before) = (now + self.health.interval, snapshot);
            }
        }
        self.live.finish_and_clear();
        self.watch
    }

    fn show(&self, before: &Snapshot, now: &Snapshot, running: Duration) {
        let bytes = self.progress.iter().map(|p| p.bytes.get()).sum();
        self.live.set_position(bytes);
        let stopping = if self.stop.is_requested() { "stopping | " } else { "" };
        self.live.set_message(format!("{stopping}{}", status_line(before, now, running)));
        self.live.tick();
    }
}

/// Tells of the first violation; the others are counted and told at the end.
pub(crate) fn tell(violation: &Violation, violations: u64) {
    if violations == 1 {
        tracing::error!("the accounting does not hold, a defect of feedd, please report it: {violation}");
    }
}

fn log(notice: &Notice) {
    let suppressed = match notice.suppressed {
        0 => String::new(),
        n => format!(" ({n} more like this since the last line)"),
    };
    match notice.severity {
        Severity::Debug => tracing::debug!(who = notice.who, "{}{suppressed}", notice.text),
        Severity::Warn => tracing::warn!(who = notice.who, "{}{suppressed}", notice.text),
    }
}
