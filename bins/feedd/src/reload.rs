//! Other settings while it runs: the configuration is read again by the one loader, checked whole, and what can change without
//! an interruption is changed. Everything else is named and takes effect at the next start.
//!
//! The main thread does it, for `POST /reload` over the socket and for SIGHUP alike, so that two never meet.

use crate::admin::Page;
use crate::alerting;
use crate::logging::LogLevel;
use crate::observer::{Observer, settings};
use crate::operator::OtherHealth;
use crate::service::Service;
use anyhow::Result;
use feedd_config::{Changed, Config, Loaded, SourceKind, changes};
use feedd_live::change::Change;
use feedd_live::plan_change::{Move, moves};
use feedd_run::SourceMailboxes;
use feedd_run::live::{LiveShard, live_config, shards};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Of this document: 1.
    pub(crate) version: u32,
    /// False when there were mistakes; then nothing was changed.
    pub(crate) is_applied: bool,
    /// Every mistake, in words; empty when there were none.
    pub(crate) mistakes: String,
    /// What is in effect now.
    pub(crate) changed: Vec<String>,
    /// What differs and takes effect at the next start.
    pub(crate) at_next_start: Vec<String>,
}

impl Outcome {
    fn refused(mistakes: impl Into<String>) -> Self {
        Self { version: 1, mistakes: mistakes.into(), ..Self::default() }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_applied {
            return write!(f, "{}\nnothing was changed", self.mistakes);
        }
        let mut lines = Vec::new();
        lines.extend(self.changed.iter().map(|line| format!("changed: {line}")));
        lines.extend(self.at_next_start.iter().map(|line| format!("takes effect at the next start: {line}")));
        if lines.is_empty() {
            lines.push("nothing differs from what runs".to_owned());
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Where the main thread is asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Reloads(SyncSender<SyncSender<Outcome>>);

/// Requests that may wait for the main thread.
const WAITING_MAX: usize = 4;

impl Reloads {
    /// The way to ask, and its other end.
    pub(crate) fn new() -> (Self, Receiver<SyncSender<Outcome>>) {
        let (sender, asked) = sync_channel(WAITING_MAX);
        (Self(sender), asked)
    }

    /// Asks; the answer comes when the main thread has done it.
    pub(crate) fn page(&self) -> Page {
        let (sender, outcome) = sync_channel(1);
        // When nobody takes it, the answer says so.
        if let Err(TrySendError::Full(_)) = self.0.try_send(sender) {
            return Page::text(503, "other reloads are waiting; ask again\n");
        }
        Page::Later {
            next: Box::new(move || match outcome.try_recv() {
                Ok(outcome) => Some(Page::json(200, &outcome)),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Page::text(503, "the recorder is stopping\n")),
            }),
        }
    }
}

/// What runs, as far as it can be changed.
pub(crate) struct Running {
    /// The settings in effect.
    pub(crate) loaded: Loaded,
    pub(crate) mailboxes: SourceMailboxes,
    pub(crate) health: OtherHealth,
    pub(crate) log_level: LogLevel,
    pub(crate) observer: Arc<Observer>,
}

/// Reads the configuration as the start did.
type Load = Box<dyn Fn() -> Result<Loaded, String>>;

/// Does it, when asked.
pub(crate) struct Reloader {
    running: Running,
    /// The shards of live sources, with the symbols that they carry now.
    shards: Vec<LiveShard>,
    load: Load,
    asked: Receiver<SyncSender<Outcome>>,
    hung_up: Arc<AtomicBool>,
}

/// What is to be done, when everything has been checked.
#[derive(Default)]
struct Todo {
    /// By the names of threads.
    threads: BTreeMap<String, Change>,
    /// All symbols of simulated sources, by the names of theirs.
    sims: BTreeMap<String, Vec<String>>,
    /// By places of shards.
    moves: Vec<(usize, Move)>,
    changed: Vec<String>,
    at_next_start: Vec<String>,
    done: Vec<Changed>,
}

impl Reloader {
    /// For a run whose shards are those of its configuration.
    ///
    /// # Errors
    /// When there are none.
    pub(crate) fn new(
        running: Running,
        load: impl Fn() -> Result<Loaded, String> + 'static,
        asked: Receiver<SyncSender<Outcome>>,
        hung_up: Arc<AtomicBool>,
    ) -> Result<Self> {
        let shards = shards(&running.loaded.config)?;
        Ok(Self { running, shards, load: Box::new(load), asked, hung_up })
    }

    /// Does what has been asked for since the last look.
    pub(crate) fn look(&mut self, service: &Service) {
        let askers: Vec<_> = self.asked.try_iter().collect();
        if askers.is_empty() && !self.hung_up.swap(false, Ordering::Relaxed) {
            return;
        }
        service.notify().reloading();
        let outcome = self.reload();
        service.notify().ready();
        if outcome.is_applied {
            tracing::info!("configuration read again: {}", outcome.to_string().replace('\n', "; "));
        } else {
            tracing::error!("configuration read again: {outcome}");
        }
        for asker in askers {
            // Whoever has gone away since then does not want to know.
            let _ = asker.send(outcome.clone());
        }
    }

    fn reload(&mut self) -> Outcome {
        let new = match (self.load)() {
            Ok(new) => new,
            Err(mistakes) => return Outcome::refused(mistakes),
        };
        if let Err(error) = shards(&new.config) {
            return Outcome::refused(format!("{error:#}"));
        }
        if let Err(error) = alerting::check_rules(&new.config.alerts.silence) {
            return Outcome::refused(format!("{error:#}"));
        }
        let todo = match self.plan(&new) {
            Ok(todo) => todo,
            Err(error) => return Outcome::refused(format!("{error:#}")),
        };
        self.apply(&new, todo)
    }

    /// What is to be done about each key that differs.
    fn plan(&self, new: &Loaded) -> Result<Todo> {
        let mut todo = Todo::default();
        for changed in changes(&self.running.loaded, new) {
            let waits = match reach(&changed.key) {
                Reach::Now => None,
                Reach::Symbols(at) => self.plan_symbols(at, &new.config, &mut todo)?,
                Reach::Periods(at) => self.plan_periods(at, &new.config, &mut todo)?,
                Reach::NextStart => Some(String::new()),
            };
            match waits {
                Some(why) if why.is_empty() => todo.at_next_start.push(changed.to_string()),
                Some(why) => todo.at_next_start.push(format!("{changed}: {why}")),
                None => {
                    todo.changed.push(changed.to_string());
                    todo.done.push(changed);
                }
            }
        }
        Ok(todo)
    }

    /// The source at a place of the configuration, when it is the one that runs there; else why it has to wait.
    fn source<'c>(&self, at: usize, new: &'c Config) -> Result<&'c feedd_config::Source, String> {
        let old = &self.running.loaded.config.sources;
        let is_same = |(old, new): (&feedd_config::Source, &feedd_config::Source)| match (&old.kind, &new.kind) {
            (SourceKind::Venue(one), SourceKind::Venue(other)) => old.name == new.name && one.market == other.market,
            (SourceKind::Sim(_), SourceKind::Sim(_)) | (SourceKind::Capture(_), SourceKind::Capture(_)) => {
                old.name == new.name
            }
            _ => false,
        };
        let is_each_same = old.len() == new.sources.len() && old.iter().zip(&new.sources).all(is_same);
        new.sources.get(at).filter(|_| is_each_same).ok_or_else(|| "sources come, go or change their names".to_owned())
    }

    /// Whether the source that runs at a place is a simulated one whose times follow from the number of the frame.
    fn has_start_time(&self, at: usize) -> bool {
        let running = self.running.loaded.config.sources.get(at).map(|source| &source.kind);
        matches!(running, Some(SourceKind::Sim(sim)) if sim.start_time.is_some())
    }

    /// Threads of the source at a place: places of its shards.
    fn shards_of(&self, at: usize) -> Vec<usize> {
        (0..self.shards.len()).filter(|&shard| self.shards[shard].source == at).collect()
    }

    fn plan_symbols(&self, at: usize, new: &Config, todo: &mut Todo) -> Result<Option<String>> {
        let venue = match self.source(at, new).map(|source| (&source.kind, source)) {
            Ok((SourceKind::Venue(venue), _)) => venue,
            Ok((SourceKind::Sim(sim), _)) if sim.start_time.is_some() || self.has_start_time(at) => {
                return Ok(Some("with start_time a run can be repeated to the bit, so its symbols stay".to_owned()));
            }
            Ok((SourceKind::Sim(sim), source)) => {
                todo.sims.insert(source.name.clone(), sim.symbols.clone());
                return Ok(None);
            }
            Ok((SourceKind::Capture(_), _)) => return Ok(Some(String::new())),
            Err(why) => return Ok(Some(why)),
        };
        let places = self.shards_of(at);
        let of_source: Vec<_> = places.iter().map(|&place| self.shards[place].shard.clone()).collect();
        // The limit of the running connections, whatever the new configuration says.
        let limit = places.first().map_or(0, |&place| self.shards[place].config.limits.streams_per_connection);
        let moves = match moves(&of_source, &venue.symbols, limit) {
            Ok(moves) => moves,
            Err(why) => return Ok(Some(why.to_string())),
        };
        for moved in moves {
            let place = places[moved.shard];
            let name = self.shards[place].shard.name.clone();
            let list = |verb: &str, symbols: &[String]| {
                if symbols.is_empty() { String::new() } else { format!("{verb} {}", symbols.join(", ")) }
            };
            let (joins, leaves) = (list("records also", &moved.join), list("ends", &moved.leave));
            let both = [joins, leaves].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
            todo.changed.push(format!("{name} {both}"));
            let change = todo.threads.entry(name).or_default();
            (change.join, change.leave) = (moved.join.clone(), moved.leave.clone());
            todo.moves.push((place, moved));
        }
        Ok(None)
    }

    fn plan_periods(&self, at: usize, new: &Config, todo: &mut Todo) -> Result<Option<String>> {
        let venue = match self.source(at, new).map(|source| &source.kind) {
            Ok(SourceKind::Venue(venue)) => venue,
            Ok(_) => return Ok(Some(String::new())),
            Err(why) => return Ok(Some(why)),
        };
        let periods = live_config(venue)?.periods;
        for place in self.shards_of(at) {
            let name = self.shards[place].shard.name.clone();
            todo.threads.entry(name).or_default().periods = Some(periods);
        }
        Ok(None)
    }

    /// Changes what can be, all of it.
    fn apply(&mut self, new: &Loaded, todo: Todo) -> Outcome {
        let Running { loaded, mailboxes, health, log_level, observer } = &mut self.running;
        let mut at_next_start = todo.at_next_start;
        let is_changed = |section: &str| todo.done.iter().any(|changed| changed.key.starts_with(section));
        if is_changed("log.") {
            if let Err(error) = log_level.set(&new.config.log.level) {
                return Outcome::refused(format!("{error:#}"));
            }
            loaded.config.log.level.clone_from(&new.config.log.level);
        }
        if is_changed("health.") {
            health.set(new.config.health.clone());
            loaded.config.health.clone_from(&new.config.health);
        }
        take_alerts(&mut loaded.config, &new.config);
        for (name, change) in todo.threads {
            if !mailboxes.live.tell(&name, change) {
                at_next_start.push(format!("thread {name} is not there"));
            }
        }
        for (name, symbols) in todo.sims {
            if !mailboxes.sim.tell(&name, symbols) {
                at_next_start.push(format!("thread {name} is not there"));
            }
        }
        for (place, moved) in &todo.moves {
            moved.apply(&mut self.shards[*place].shard);
        }
        for changed in &todo.done {
            take_source(&mut loaded.config, &new.config, &changed.key);
            loaded.settings.retain(|setting| setting.key != changed.key);
            loaded.settings.extend(changed.after.clone());
        }
        loaded.settings.sort_by(|a, b| a.key.cmp(&b.key));
        let alerts = &loaded.config.alerts;
        observer.reloaded(settings(&loaded.settings), alerting::limits(alerts), &alerts.silence);
        Outcome { version: 1, is_applied: true, mistakes: String::new(), changed: todo.changed, at_next_start }
    }
}

/// When a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// At once.
    Now,
    /// The symbols of the source at this place, if it is simulated, or a live one whose connections have room.
    Symbols(usize),
    /// Its periods, if it is a live one.
    Periods(usize),
    /// With the next start.
    NextStart,
}

fn reach(key: &str) -> Reach {
    let mut names = key.split('.');
    match (names.next(), names.next(), names.next(), names.next()) {
        (Some("log"), Some("level"), None, _) | (Some("health"), Some(_), None, _) => Reach::Now,
        (Some("alerts"), Some(name), None, _) if ALERTS_NOW.contains(&name) => Reach::Now,
        (Some("source"), Some(at), Some("symbols"), None) => at.parse().map_or(Reach::NextStart, Reach::Symbols),
        (Some("source"), Some(at), Some("periods"), Some(_)) => at.parse().map_or(Reach::NextStart, Reach::Periods),
        _ => Reach::NextStart,
    }
}

/// Keys of `[alerts]` that take effect at once: from where on something is wrong, and what is not told.
const ALERTS_NOW: [&str; 6] = ["wait_max", "commit_max", "call_max", "strategy_max", "disk_free_min", "silence"];

fn take_alerts(running: &mut Config, new: &Config) {
    let (running, new) = (&mut running.alerts, &new.alerts);
    (running.wait_max, running.commit_max, running.call_max) = (new.wait_max, new.commit_max, new.call_max);
    (running.strategy_max, running.disk_free_min) = (new.strategy_max, new.disk_free_min);
    running.silence.clone_from(&new.silence);
}

/// Symbols or periods of a source that were changed.
fn take_source(running: &mut Config, new: &Config, key: &str) {
    let (Reach::Symbols(at) | Reach::Periods(at)) = reach(key) else { return };
    let kinds = running.sources.get_mut(at).zip(new.sources.get(at));
    match (kinds.map(|(running, new)| (&mut running.kind, &new.kind)), reach(key)) {
        (Some((SourceKind::Venue(running), SourceKind::Venue(new))), Reach::Symbols(_)) => {
            running.symbols.clone_from(&new.symbols);
        }
        (Some((SourceKind::Venue(running), SourceKind::Venue(new))), _) => running.periods.clone_from(&new.periods),
        (Some((SourceKind::Sim(running), SourceKind::Sim(new))), _) => running.symbols.clone_from(&new.symbols),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_change_while_it_runs() {
        let cases = [
            ("log.level", Reach::Now),
            ("log.format", Reach::NextStart),
            ("health.interval", Reach::Now),
            ("alerts.call_max", Reach::Now),
            ("alerts.silence", Reach::Now),
            ("alerts.webhook.url", Reach::NextStart),
            ("source.0.symbols", Reach::Symbols(0)),
            ("source.12.periods.mute_max", Reach::Periods(12)),
            ("source.0.channels", Reach::NextStart),
            ("source.0.limits.messages", Reach::NextStart),
            ("ring.capacity", Reach::NextStart),
            ("profile", Reach::NextStart),
        ];
        for (key, expected) in cases {
            assert_eq!(reach(key), expected, "{key}");
        }
    }

    #[test]
    fn an_outcome_in_words() {
        let text = |text: &str| text.to_owned();
        assert_eq!(Outcome::refused("two mistakes").to_string(), "two mistakes\nnothing was changed");
        let nothing = Outcome { version: 1, is_applied: true, ..Outcome::default() };
        assert_eq!(nothing.to_string(), "nothing differs from what runs");
        let both = Outcome { changed: vec![text("a = 1")], at_next_start: vec![text("b = 2")], ..nothing };
        assert_eq!(both.to_string(), "changed: a = 1\ntakes effect at the next start: b = 2");
    }
}
