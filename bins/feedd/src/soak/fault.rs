//! What goes wrong on purpose: when, how, whom it is about, and how one sees that it is over.

use super::cli::{Fault, SoakArgs};
use super::disk::{FRAMES_MAX, SmallDisk};
use super::place::{Place, SLOW};
use super::recorder::Recorder;
use super::seen::{Seen, Sighting, since};
use super::stall::Forwarder;
use anyhow::{Context, Result, ensure};
use feedd_config::SinkKind;
use feedd_telemetry::status::Status;
use std::time::Duration;

/// Least and most time that a fault lasts: it has to be seen, and nothing is learned from more.
const LASTS_MIN: Duration = Duration::from_secs(6);
const LASTS_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a recorder to be well again, after the time of the soak.
pub(super) const WELL_AGAIN_MAX: Duration = Duration::from_secs(60);
/// What a recorder marks that was killed before.
const DOWN: &str = "recorder_down";
/// The rule of a disk without room; it names the folder.
const DISK_FULL: &str = "FeeddDiskFull";
/// Rules about what is now, beside what the states of sinks and journal tell.
const NOW: [&str; 2] = [DISK_FULL, "FeeddSinkStalled"];

/// When a fault begins and ends, since the start of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) begins: Duration,
    pub(super) ends: Duration,
    /// When the recorder is asked to end.
    pub(super) whole: Duration,
}

impl Schedule {
    /// Of a soak.
    pub(super) fn of(args: &SoakArgs) -> Self {
        let begins = args.bound_time / 3;
        let ends = begins + (args.bound_time / 4).clamp(LASTS_MIN, LASTS_MAX);
        let whole = match args.fault {
            Fault::StalledSink | Fault::DiskFull => args.bound_time.max(ends),
            Fault::None | Fault::SlowStrategy | Fault::Kill => args.bound_time,
        };
        Self { begins, ends, whole }
    }
}

/// Moments of a fault: wall clock, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Times {
    /// When it was made.
    pub(super) begun_at: Option<i64>,
    /// When the first operation was blocked by it.
    pub(super) blocked_at: Option<i64>,
    /// When it was ended.
    pub(super) over_at: Option<i64>,
    /// When the recorder was well again.
    pub(super) well_at: Option<i64>,
}

/// Makes the fault.
pub(super) struct Injector {
    fault: Fault,
    way: Option<Forwarder>,
    disk: Option<SmallDisk>,
    sinks: Vec<String>,
    pub(super) times: Times,
}

impl Injector {
    /// Prepares it.
    ///
    /// # Errors
    /// When this configuration, or this machine, cannot have it.
    pub(super) fn prepare(args: &SoakArgs, place: &Place) -> Result<Self> {
        let config = &place.config;
        let sinks = |wanted: fn(SinkKind) -> bool| {
            let sinks = config.sinks.iter().filter(|sink| wanted(sink.kind));
            sinks.map(|sink| sink.name.clone()).collect::<Vec<_>>()
        };
        let mut injector =
            Self { fault: args.fault, way: None, disk: None, sinks: Vec::new(), times: Times::default() };
        match args.fault {
            Fault::None | Fault::SlowStrategy => {}
            Fault::Kill => ensure!(
                config.is_journalled(),
                "a recorder without a journal loses what its sinks have not stored when it is killed: set journal.mode = \"on\""
            ),
            Fault::StalledSink => {
                injector.sinks = sinks(|kind| kind == SinkKind::Postgres);
                ensure!(!injector.sinks.is_empty(), "a stalled-sink soak needs a postgres sink: add --sink postgres");
                injector.way = Some(Forwarder::start(&config.postgres)?);
            }
            Fault::DiskFull => {
                injector.sinks = sinks(|kind| kind == SinkKind::Parquet);
                ensure!(
                    config.is_journalled() || !injector.sinks.is_empty(),
                    "this configuration writes to no disk; a disk-full soak needs the journal or a parquet sink"
                );
                let frames = args.rate.saturating_mul(Schedule::of(args).whole.as_secs());
                ensure!(
                    frames <= FRAMES_MAX,
                    "{frames} frames do not fit on the small disk of this fault; at most {FRAMES_MAX}: lower --for or --rate"
                );
                injector.disk = Some(SmallDisk::mount(place.data_dir())?);
            }
        }
        Ok(injector)
    }

    /// Settings that the recorder needs beside those of the place.
    pub(super) fn settings(&self) -> Vec<String> {
        self.way.as_ref().map_or_else(Vec::new, Forwarder::settings)
    }

    /// Whether something ends before the end of the soak.
    pub(super) fn lasts(&self) -> bool {
        matches!(self.fault, Fault::StalledSink | Fault::DiskFull)
    }

    /// Makes it, at that time.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn begin(&mut self, at: i64, place: &Place, recorder: Recorder) -> Result<Recorder> {
        self.times.begun_at = Some(at);
        match self.fault {
            Fault::None | Fault::SlowStrategy => {}
            Fault::StalledSink => self.way.iter().for_each(|way| way.stall(true)),
            Fault::DiskFull => self.disk.iter().try_for_each(SmallDisk::fill)?,
            Fault::Kill => {
                recorder.kill()?;
                return Recorder::start(place, &self.settings(), true).context("starting again after the kill");
            }
        }
        Ok(recorder)
    }

    /// Ends it, at that time.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(super) fn end(&mut self, at: i64) -> Result<()> {
        if !self.lasts() || self.times.begun_at.is_none() || self.times.over_at.is_some() {
            return Ok(());
        }
        self.times.over_at = Some(at);
        self.way.iter().for_each(|way| way.stall(false));
        self.disk.iter().try_for_each(SmallDisk::free)
    }

    /// Sees what a status says of the fault.
    pub(super) fn look(&mut self, status: &Status) {
        if self.times.begun_at.is_some() && self.times.blocked_at.is_none() {
            self.times.blocked_at = self.blocked_since(status);
        }
        let is_over = match self.fault {
            Fault::None | Fault::SlowStrategy => false,
            Fault::Kill => self.times.begun_at.is_some(),
            Fault::StalledSink | Fault::DiskFull => self.times.over_at.is_some(),
        };
        if is_over && self.times.well_at.is_none() && self.is_well(status) {
            self.times.well_at = Some(status.at);
        }
    }

    /// When the first operation was blocked, as soon as a status tells.
    fn blocked_since(&self, status: &Status) -> Option<i64> {
        let ago = |ns: u64| status.at.saturating_sub(i64::try_from(ns).unwrap_or(i64::MAX));
        match self.fault {
            Fault::None => None,
            // The next insert is; it comes a moment later.
            Fault::StalledSink | Fault::Kill => self.times.begun_at,
            Fault::SlowStrategy => {
                let strategies = status.analysis["strategies"].as_array();
                let mut called = strategies.into_iter().flatten().map(|strategy| strategy["calls"].as_u64());
                called.any(|calls| calls > Some(0)).then(|| ago(u64::try_from(SLOW.as_nanos()).unwrap_or(u64::MAX)))
            }
            Fault::DiskFull => {
                let sinks = status.sinks.iter().map(|sink| sink.failing_ns);
                let waits = sinks.chain(status.journal.as_ref().map(|journal| journal.waiting_ns)).max().unwrap_or(0);
                (waits > 0).then(|| ago(waits))
            }
        }
    }

    /// Whether a finding names what the fault is about.
    fn is_culprit(&self, rule: &str, who: &str) -> bool {
        is_culprit(self.fault, &self.sinks, (rule, who))
    }

    fn is_well(&self, status: &Status) -> bool {
        if self.fault == Fault::Kill {
            return status.gaps.iter().any(|gap| gap.reason == DOWN) && status.totals.decoded > 0;
        }
        let sinks_work = status.sinks.iter().all(|sink| sink.failing_ns == 0 && sink.state == "closed");
        let journal_works = status.journal.as_ref().is_none_or(|journal| journal.waiting_ns == 0);
        // Other rules look back: they tell for a while of what was.
        let is_found = status.findings.iter().any(|finding| NOW.contains(&finding.rule.as_str()));
        sinks_work && journal_works && !is_found
    }

    /// The first finding since the fault that names what it is about, and how long after the first blocked operation.
    pub(super) fn named<'a>(&self, seen: &'a Seen) -> Option<(&'a Sighting, u64)> {
        let begun = self.times.begun_at?;
        let blocked = self.times.blocked_at.unwrap_or(begun);
        let sightings = seen.sightings.iter().filter(|sighting| self.is_culprit(&sighting.rule, &sighting.who));
        let first = sightings.min_by_key(|sighting| sighting.first_at)?;
        Some((first, since(blocked, first.first_at)))
    }
}

fn is_culprit(fault: Fault, sinks: &[String], (rule, who): (&str, &str)) -> bool {
    let is_sink = || sinks.iter().any(|sink| sink == who);
    match fault {
        Fault::None | Fault::Kill => false,
        Fault::StalledSink => is_sink(),
        Fault::SlowStrategy => who.starts_with("slow("),
        Fault::DiskFull => is_sink() || who == "journal" || rule == DISK_FULL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_culprit_is_what_the_fault_is_about_and_nobody_else() {
        let sinks = ["postgres".to_owned()];
        let cases = [
            (Fault::StalledSink, ("FeeddSinkStalled", "postgres"), true),
            (Fault::StalledSink, ("FeeddRingSaturated", "sim"), false),
            (Fault::StalledSink, ("FeeddJournalWaiting", "journal"), false),
            (Fault::DiskFull, ("FeeddJournalWaiting", "journal"), true),
            (Fault::DiskFull, ("FeeddDiskFull", "/data"), true),
            (Fault::DiskFull, ("FeeddRingSaturated", "sim"), false),
            (Fault::SlowStrategy, ("FeeddSlowStrategy", "slow(1000)"), true),
            (Fault::SlowStrategy, ("FeeddSlowStrategy", "sma(10,30)"), false),
            (Fault::None, ("FeeddSinkStalled", "postgres"), false),
        ];
        for (fault, named, expected) in cases {
            assert_eq!(is_culprit(fault, &sinks, named), expected, "{fault:?} {named:?}");
        }
    }
}
