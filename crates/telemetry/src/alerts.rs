//! Alerts: findings that last. One is pending until it has lasted for its rule's hold, fires once, and is resolved when
//! it has not been found for a while, so that what comes and goes does not tell of itself again and again.
//!
//! Pure: it is shown findings and the time, and answers with the edges. The same rules, with the same names, stand in
//! `alerts/feedd.yml` for Prometheus; that nothing answers at all (`FeeddDown`) can be told only from outside.
//!
//! ```
//! use feedd_model::{MonoNanos, UnixNanos};
//! use feedd_telemetry::alerts::{Alerts, State};
//! use feedd_telemetry::{Finding, Level};
//! let found = Finding {
//!     level: Level::Critical,
//!     rule: "FeeddDiskFull".into(),
//!     who: "/var/lib/feedd".into(),
//!     text: "0 MB free".into(),
//!     remedy: "make room".into(),
//! };
//! let mut alerts = Alerts::new(&[]);
//! let edges = alerts.look(&[found], MonoNanos(1), UnixNanos(1));
//! assert_eq!(edges[0].state, State::Firing, "at once: this rule has no hold");
//! ```

use crate::findings::{Finding, Level};
use feedd_model::{MonoNanos, UnixNanos};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A rule, as far as alerts know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As findings name it.
    pub name: &'static str,
    /// How long it must have been found before it fires, ns.
    pub hold_ns: u64,
}

const fn rule(name: &'static str, hold_seconds: u64) -> Rule {
    Rule { name, hold_ns: hold_seconds * 1_000_000_000 }
}

/// Every rule. What is lost fires at once; what mends itself often is given time.
pub const RULES: &[Rule] = &[
    rule("FeeddBackpressure", 30),
    rule("FeeddClockStep", 0),
    rule("FeeddDiskFull", 0),
    rule("FeeddDroppingEvents", 0),
    rule("FeeddFeedDown", 10),
    rule("FeeddFeedStale", 10),
    rule("FeeddJournalDegraded", 0),
    rule("FeeddJournalFsyncSlow", 10),
    rule("FeeddJournalFullIn12h", 60),
    rule("FeeddJournalFullIn4h", 60),
    rule("FeeddJournalFullSoon", 10),
    rule("FeeddJournalWaiting", 0),
    rule("FeeddNoCredit", 10),
    rule("FeeddQuarantine", 0),
    rule("FeeddRejectingFrames", 0),
    rule("FeeddRestarting", 0),
    rule("FeeddRingSaturated", 10),
    rule("FeeddSinkBreakerOpen", 60),
    rule("FeeddSinkMissedEvents", 0),
    rule("FeeddSinkStalled", 10),
    rule("FeeddSinkStopped", 0),
    rule("FeeddSlowStrategy", 10),
    rule("FeeddStreamMute", 30),
    rule("FeeddThreadStuck", 30),
    rule("FeeddUnaccountedEvents", 0),
];

/// An alert is resolved when its rule has not found it for this long; one that only pends is forgotten then.
pub const CLEAR_NANOS: u64 = 10_000_000_000;
/// How long a resolved alert is shown.
const SHOWN_NANOS: u64 = 300_000_000_000;

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Found, but not for long enough.
    Pending,
    /// Told, and still so.
    Firing,
    /// Told, and over.
    Resolved,
}

/// One alert: a rule and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Name of the rule.
    pub rule: String,
    /// Source, sink, symbol or stage.
    pub who: String,
    /// How bad it is, or was last.
    pub level: Level,
    /// How it stands.
    pub state: State,
    /// When it was first found, Unix ns.
    pub since: i64,
    /// When it was resolved, Unix ns; none before.
    pub until: Option<i64>,
    /// What was seen last, with its figures.
    pub text: String,
    /// What helps.
    pub remedy: String,
}

/// What became of alerts that were to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The webhook took them.
    pub sent: u64,
    /// Given up after the last attempt, or refused.
    pub failed: u64,
    /// Found no room in the queue.
    pub dropped: u64,
}

#[derive(Debug)]
struct Tracked {
    alert: Alert,
    first: MonoNanos,
    seen: MonoNanos,
    /// The worst level that was told.
    told: Option<Level>,
}

/// Every alert that is known.
#[derive(Debug, Default)]
pub struct Alerts {
    tracked: BTreeMap<(String, String), Tracked>,
    silenced: BTreeSet<String>,
}

impl Alerts {
    /// None yet. Rules in `silenced` are found and shown, and never fire.
    #[must_use]
    pub fn new(silenced: &[String]) -> Self {
        Self { tracked: BTreeMap::new(), silenced: silenced.iter().cloned().collect() }
    }

    /// These rules are not told from now on. What fires of them is resolved in its time; what was silenced may fire.
    pub fn silence(&mut self, silenced: &[String]) {
        self.silenced = silenced.iter().cloned().collect();
    }

    /// Takes what is found now; gives what is to be told: alerts that begin to fire (also again, when they have become
    /// worse) and alerts that are resolved.
    pub fn look(&mut self, found: &[Finding], now: MonoNanos, wall: UnixNanos) -> Vec<Alert> {
        let mut edges = Vec::new();
        for finding in found.iter().filter(|finding| !self.silenced.contains(&finding.rule)) {
            let key = (finding.rule.clone(), finding.who.clone());
            let tracked = self.tracked.entry(key).or_insert_with(|| Tracked::new(finding, now, wall));
            if tracked.alert.state == State::Resolved {
                *tracked = Tracked::new(finding, now, wall);
            }
            tracked.note(finding, now);
            if tracked.is_due(now) {
                tracked.alert.state = State::Firing;
                tracked.told = Some(finding.level);
                edges.push(tracked.alert.clone());
            }
        }
        self.tracked.retain(|_, tracked| tracked.age(now, wall, &mut edges));
        edges
    }

    /// Every alert: those that fire, then those that pend, then those that were resolved in the last minutes.
    #[must_use]
    pub fn all(&self) -> Vec<Alert> {
        let mut all: Vec<Alert> = self.tracked.values().map(|tracked| tracked.alert.clone()).collect();
        let order = |state: State| match state {
            State::Firing => 0,
            State::Pending => 1,
            State::Resolved => 2,
        };
        all.sort_by_key(|alert| (order(alert.state), std::cmp::Reverse(alert.level)));
        all
    }
}

impl Tracked {
    fn new(finding: &Finding, now: MonoNanos, wall: UnixNanos) -> Self {
        let alert = Alert {
            rule: finding.rule.clone(),
            who: finding.who.clone(),
            level: finding.level,
            state: State::Pending,
            since: wall.0,
            until: None,
            text: finding.text.clone(),
            remedy: finding.remedy.clone(),
        };
        Self { alert, first: now, seen: now, told: None }
    }

    fn note(&mut self, finding: &Finding, now: MonoNanos) {
        self.seen = now;
        self.alert.level = finding.level;
        self.alert.text.clone_from(&finding.text);
        self.alert.remedy.clone_from(&finding.remedy);
    }

    fn is_due(&self, now: MonoNanos) -> bool {
        match self.told {
            Some(told) => self.alert.level > told,
            None => now.since(self.first) >= hold_ns(&self.alert.rule),
        }
    }

    /// Grows older when it is not found; false when it is to be forgotten.
    fn age(&mut self, now: MonoNanos, wall: UnixNanos, edges: &mut Vec<Alert>) -> bool {
        let unseen_ns = now.since(self.seen);
        match self.alert.state {
            State::Pending => unseen_ns < CLEAR_NANOS,
            State::Firing if unseen_ns >= CLEAR_NANOS => {
                (self.alert.state, self.alert.until) = (State::Resolved, Some(wall.0));
                edges.push(self.alert.clone());
                true
            }
            State::Firing => true,
            State::Resolved => unseen_ns < SHOWN_NANOS,
        }
    }
}

/// A rule that is not known fires at once: better told than forgotten.
fn hold_ns(name: &str) -> u64 {
    RULES.iter().find(|rule| rule.name == name).map_or(0, |rule| rule.hold_ns)
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;
