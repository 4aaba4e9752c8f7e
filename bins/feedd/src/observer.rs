//! What is known of the run, for whoever asks: fed by the telemetry thread, read by the admin server.

use crate::alerting::Alerting;
use crate::dashboard::{History, Look};
use crate::log_lines::LogLines;
use feedd_config::Setting;
use feedd_core::AccountWatch;
use feedd_core::starts::Starts;
use feedd_model::{MonoNanos, UnixNanos};
use feedd_telemetry::metrics::{MetricsView, metrics_page};
use feedd_telemetry::status::{Parts, Program, SettingStatus, Status};
use feedd_telemetry::{
    BeatWatch, DiskView, Evidence, Finding, LATELY_NANOS, Limits, Performance, RECENT_NANOS, RESTARTS_NANOS, Snapshot,
    StageView, StageWatch, StillThread, SymbolView, SymbolWatch, Watched, findings,
};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Time between two snapshots that are kept.
const KEEP_EVERY_NANOS: u64 = 1_000_000_000;
/// How long what happened counts as news: a drop of five minutes ago still makes the verdict.
const NEWS_NANOS: u64 = 300_000_000_000;
/// Over how long rates are taken.
const RATE_NANOS: u64 = 5_000_000_000;
/// What the time between two looks counts at the most, when it is told for how long a thread has stood still.
const STEP_MAX: Duration = Duration::from_secs(1);

/// The run, as facts that do not change.
#[derive(Clone, Debug)]
pub(crate) struct RunFacts {
    /// When it was started.
    pub(crate) started_at: UnixNanos,
    /// The same on the monotonic clock.
    pub(crate) started: MonoNanos,
    /// Start counter of the recorded stream.
    pub(crate) epoch: u32,
    /// The last starts.
    pub(crate) starts: Starts,
    /// Data folder.
    pub(crate) data_dir: PathBuf,
    /// Settings that were given at the start.
    pub(crate) settings: Vec<SettingStatus>,
}

/// What is known now.
pub(crate) struct Observer {
    watched: Watched,
    facts: RunFacts,
    log: LogLines,
    alerting: Alerting,
    seen: Mutex<Seen>,
}

struct Seen {
    now: Snapshot,
    /// One a second, oldest first, over [`NEWS_NANOS`].
    kept: VecDeque<Snapshot>,
    symbols: SymbolWatch,
    views: Vec<SymbolView>,
    stages: StageWatch,
    stage_views: Vec<StageView>,
    beats: BeatWatch,
    threads: Vec<StillThread>,
    violations: u64,
    /// What is wrong now.
    found: Vec<Finding>,
    disks: Vec<DiskView>,
    /// What can change while it runs.
    settings: Vec<SettingStatus>,
    limits: Limits,
}

impl Observer {
    pub(crate) fn new(watched: Watched, facts: RunFacts, log: LogLines, alerting: Alerting) -> Self {
        let now = Snapshot::take(&watched);
        let kept = VecDeque::from([now.clone()]);
        let (mut stages, symbols) = (StageWatch::default(), SymbolWatch::default());
        let stage_views = stages.look(&watched, &now);
        // Whoever scrapes before the first look sees every series, too.
        let disks = alerting.disks();
        let (views, found) = (Vec::new(), Vec::new());
        let (settings, limits) = (facts.settings.clone(), *alerting.limits());
        let seen = Seen {
            now,
            kept,
            symbols,
            views,
            stages,
            stage_views,
            beats: BeatWatch::new(STEP_MAX),
            threads: Vec::new(),
            violations: 0,
            found,
            disks,
            settings,
            limits,
        };
        Self { watched, facts, log, alerting, seen: Mutex::new(seen) }
    }

    /// Takes a look of the telemetry thread, several times a second.
    pub(crate) fn look(&self, snapshot: &Snapshot, watch: &AccountWatch) {
        // Asked first: a disk that does not answer must not keep the others from asking.
        let disks = self.alerting.disks();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let views = seen.symbols.look(&self.watched, snapshot.at);
        seen.views = views;
        let stages = seen.stages.look(&self.watched, snapshot);
        seen.stage_views = stages;
        let threads = seen.beats.look(&self.watched.heartbeats(), snapshot.at);
        seen.threads = threads;
        seen.violations = watch.violations();
        if seen.kept.back().is_none_or(|last| snapshot.at.since(last.at) >= KEEP_EVERY_NANOS) {
            seen.kept.push_back(snapshot.clone());
        }
        while seen.kept.front().is_some_and(|oldest| snapshot.at.since(oldest.at) > NEWS_NANOS) {
            seen.kept.pop_front();
        }
        seen.now = snapshot.clone();
        seen.disks = disks;
        let found = seen.find(&self.facts, &seen.limits);
        let edges = self.alerting.look(&found, snapshot.at, self.watched.clock.wall());
        seen.found = found;
        // Whoever asks does not wait for a log that is slow.
        drop(seen);
        self.alerting.tell(edges);
    }

    /// The status now.
    pub(crate) fn status(&self) -> Status {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = &seen.now;
        let recent = seen.kept.iter().rev().find(|past| now.at.since(past.at) >= RATE_NANOS).or(seen.kept.front());
        Status::new(Parts {
            watched: &self.watched,
            before: recent.unwrap_or(now),
            now,
            symbols: &seen.views,
            stages: &seen.stage_views,
            findings: seen.found.clone(),
            alerts: self.alerting.all(),
            violations: seen.violations,
            program: self.program(now.at),
            analysis: Performance::take(&self.watched).map_or(serde_json::Value::Null, |report| report.json()),
            log: self.log.all(),
            settings: seen.settings.clone(),
        })
    }

    /// Settings were changed while it runs.
    pub(crate) fn reloaded(&self, settings: Vec<SettingStatus>, limits: Limits, silenced: &[String]) {
        self.alerting.silence(silenced);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.settings, seen.limits) = (settings, limits);
    }

    /// The last minutes, for the dashboard's charts.
    pub(crate) fn history(&self) -> History {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |s: &Snapshot| Look { at: s.at, accepted: s.account.accepted, lag_ns: s.lag_ns };
        History::of(seen.kept.iter().map(look), self.watched.clock.wall(), self.watched.clock.mono())
    }

    /// The page of a scrape.
    pub(crate) fn metrics(&self) -> String {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        metrics_page(&MetricsView {
            watched: &self.watched,
            now: &seen.now,
            symbols: &seen.views,
            stages: &seen.stage_views,
            findings: &seen.found,
            alerts: &self.alerting.all(),
            told: self.alerting.told(),
            disks: &seen.disks,
            violations: seen.violations,
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.facts.started_at.0 / 1_000_000_000,
            rss_bytes: rss_bytes(),
        })
    }

    /// Every symbol that was heard.
    pub(crate) fn symbols(&self) -> Vec<SymbolView> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).views.clone()
    }

    /// What is wrong now.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }

    /// The run is over: no more alerts.
    pub(crate) fn end(&self) {
        self.alerting.end();
    }

    fn program(&self, now: MonoNanos) -> Program {
        Program {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.facts.started_at.0,
            uptime_ns: now.since(self.facts.started),
            rss_bytes: rss_bytes(),
            epoch: self.facts.epoch,
            data_dir: self.facts.data_dir.display().to_string(),
        }
    }
}

impl Seen {
    fn find(&self, facts: &RunFacts, limits: &Limits) -> Vec<Finding> {
        findings(&Evidence {
            before: self.ago(NEWS_NANOS),
            recent: self.ago(RECENT_NANOS),
            lately: self.ago(LATELY_NANOS),
            now: &self.now,
            symbols: &self.views,
            violations: self.violations,
            started: facts.started,
            threads: &self.threads,
            restarts: facts.starts.within(RESTARTS_NANOS, self.now.at.since(facts.started)),
            disks: &self.disks,
            limits,
        })
    }

    /// The last look that is at least so old, or the oldest.
    fn ago(&self, nanos: u64) -> &Snapshot {
        let old = self.kept.iter().rev().find(|past| self.now.at.since(past.at) >= nanos);
        old.or(self.kept.front()).unwrap_or(&self.now)
    }
}

/// Settings as the status shows them. The configuration refers to secrets and never holds one.
pub(crate) fn settings(settings: &[Setting]) -> Vec<SettingStatus> {
    let show = |setting: &Setting| SettingStatus {
        key: setting.key.clone(),
        value: setting.value.clone(),
        place: setting.place.to_string(),
    };
    settings.iter().map(show).collect()
}

/// Resident memory; 0 where the system does not tell.
fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) * 1_024
}
