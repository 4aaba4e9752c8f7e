//! Alerts of a run: told in the log at both edges, and to a webhook. Driven by the telemetry thread; nothing here waits.

use crate::webhook::Webhook;
use anyhow::{Result, bail};
use feedd_config::{Alerts as Settings, Config, SinkKind};
use feedd_core::data_dir::STATE_DIR;
use feedd_model::{MonoNanos, UnixNanos, duration_nanos};
use feedd_telemetry::alerts::{Alert, Alerts, RULES, State, Told};
use feedd_telemetry::{DiskView, Finding, Level, Limits, RECENT_NANOS, duration};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// The alerts of a run.
pub(crate) struct Alerting {
    limits: Limits,
    is_enabled: bool,
    /// Folders that are written to, and whether the journal is there.
    folders: Vec<(PathBuf, bool)>,
    webhook: Option<Webhook>,
    alerts: Mutex<Alerts>,
}

impl Alerting {
    /// Reads what the configuration names and starts the thread of the webhook, when there is one. Before a run begins:
    /// a mistake refuses the start, it does not end a recording.
    ///
    /// # Errors
    /// When a rule does not exist, a token or certificate cannot be read, or the thread cannot be started.
    pub(crate) fn start(config: &Config) -> Result<Self> {
        let settings = &config.alerts;
        check_rules(&settings.silence)?;
        let mut folders = vec![(config.data.dir.join(STATE_DIR), false)];
        if config.is_journalled() {
            folders.insert(0, (config.journal.dir.clone(), true));
        }
        if config.has_sink(SinkKind::Parquet) {
            folders.push((config.parquet.dir.clone(), false));
        }
        Ok(Self {
            limits: limits(settings),
            is_enabled: settings.enabled,
            folders,
            webhook: if settings.enabled { Webhook::start(&settings.webhook, &config.data.dir)? } else { None },
            alerts: Mutex::new(Alerts::new(&settings.silence)),
        })
    }

    /// From where on something is wrong.
    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The disks that are written to, now. Asked after a look at the counters: who waits for a full disk is never seen
    /// without it.
    pub(crate) fn disks(&self) -> Vec<DiskView> {
        disks(&self.folders)
    }

    /// Takes what is found now; gives what is to be told.
    #[must_use]
    pub(crate) fn look(&self, found: &[Finding], now: MonoNanos, wall: UnixNanos) -> Vec<Alert> {
        if !self.is_enabled {
            return Vec::new();
        }
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).look(found, now, wall)
    }

    /// Tells what has begun or ended.
    pub(crate) fn tell(&self, edges: Vec<Alert>) {
        for alert in edges {
            log(&alert);
            if let Some(webhook) = &self.webhook {
                webhook.tell(alert);
            }
        }
    }

    /// These rules are not told from now on.
    pub(crate) fn silence(&self, rules: &[String]) {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).silence(rules);
    }

    /// Every alert, those that fire first.
    pub(crate) fn all(&self) -> Vec<Alert> {
        self.alerts.lock().unwrap_or_else(PoisonError::into_inner).all()
    }

    /// What became of the alerts that were to be sent.
    pub(crate) fn told(&self) -> Told {
        self.webhook.as_ref().map_or_else(Told::default, Webhook::told)
    }

    /// The run is over: what waits to be sent is tried once more, for a moment.
    pub(crate) fn end(&self) {
        if let Some(webhook) = &self.webhook {
            webhook.end();
        }
    }
}

/// Whether every rule that is not to be told is one.
///
/// # Errors
/// When a rule does not exist.
pub(crate) fn check_rules(silenced: &[String]) -> Result<()> {
    match silenced.iter().find(|name| RULES.iter().all(|rule| rule.name != name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let names = RULES.iter().map(|rule| rule.name).collect::<Vec<_>>().join(", ");
            bail!("alerts.silence: there is no rule {name}; there are: {names}")
        }
    }
}

/// From where on something is wrong, as configured.
pub(crate) fn limits(settings: &Settings) -> Limits {
    Limits {
        blocked_ns: duration_nanos(settings.wait_max).min(RECENT_NANOS),
        commit_ns: duration_nanos(settings.commit_max),
        call_ns: duration_nanos(settings.call_max),
        strategy_ns: duration_nanos(settings.strategy_max),
        disk_free_bytes: settings.disk_free_min,
    }
}

/// One for each file system; a folder that is not there yet, or whose disk does not answer, is left out.
fn disks(folders: &[(PathBuf, bool)]) -> Vec<DiskView> {
    let (mut disks, mut devices) = (Vec::<DiskView>::new(), Vec::new());
    for (folder, has_journal) in folders {
        let Ok(device) = std::fs::metadata(folder).map(|metadata| metadata.dev()) else { continue };
        let Ok(room) = rustix::fs::statvfs(folder) else { continue };
        if devices.contains(&device) {
            continue;
        }
        devices.push(device);
        disks.push(DiskView {
            folder: folder.clone(),
            has_journal: *has_journal,
            free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
            total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
        });
    }
    disks
}

fn log(alert: &Alert) {
    let Alert { rule, who, text, remedy, .. } = alert;
    match (alert.state, alert.level) {
        (State::Pending, _) => {}
        (State::Resolved, _) => {
            let lasted = alert.until.unwrap_or(alert.since).saturating_sub(alert.since);
            let lasted = duration(u64::try_from(lasted).unwrap_or(0));
            tracing::info!("alert resolved: {rule}: {who}, after {lasted}");
        }
        (State::Firing, Level::Critical) => {
            tracing::error!("alert firing: {rule}: {who}: {text}; what helps: {remedy}")
        }
        (State::Firing, _) => tracing::warn!("alert firing: {rule}: {who}: {text}; what helps: {remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_that_does_not_exist_cannot_be_silenced() {
        assert!(check_rules(&["FeeddClockStep".to_owned()]).is_ok());
        let error = check_rules(&["FeeddClockSteps".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("alerts.silence: there is no rule FeeddClockSteps; there are: "), "{error}");
    }

    #[test]
    fn the_defaults_of_the_configuration_are_those_of_the_rules() {
        assert_eq!(limits(&Settings::default()), Limits::default());
    }

    #[test]
    fn folders_on_one_disk_are_one_disk_and_a_missing_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, data) = (folder.path().join("journal"), folder.path().to_owned());
        std::fs::create_dir(&journal).unwrap();
        let missing = folder.path().join("missing");
        let [disk] = disks(&[(missing, false), (journal.clone(), true), (data, false)]).try_into().unwrap();
        assert_eq!((disk.folder, disk.has_journal), (journal, true));
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 0);
    }
}
