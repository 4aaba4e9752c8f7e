//! Which connections there should be, and when they are opened, replaced and given up.
//!
//! A slot is what one connection is for; `redundancy` slots carry the same streams. While a connection is replaced, its slot has
//! two: the old one goes on until the new one is heard.

use super::Session;
use super::action::{Action, ConnId, Why};
use super::backoff::{Backoff, doubled};
use super::budget::Budget;
use super::connection::Conn;
use super::liveness::Pulse;
use super::requests::Subscriptions;
use super::watch::POLL_NS;
use crate::config::Periods;
use feedd_model::{MonoNanos, duration_nanos};
use std::time::Duration;

/// A connection is replaced before the venue's cut by 1/48 of its lifetime to twice that: half an hour to an hour of a day.
const LIFETIME_PART: u64 = 48;
/// Longest time that an old connection waits for its replacement to be heard on every stream.
const HANDOVER_NS_MAX: u64 = 30_000_000_000;
/// Shortest, so that what the new one says is more than the snapshots of its subscriptions.
const HANDOVER_NS_MIN: u64 = 2_000_000_000;
/// Failures in a row are told the first time, and again after so long.
const TELL_NS: u64 = 300_000_000_000;

/// What one connection is for.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) current: Option<ConnId>,
    /// Replaces the current one once it is heard.
    pub(super) next: Option<ConnId>,
    pub(super) backoff: Backoff,
    /// Not before.
    pub(super) connect_at: MonoNanos,
    endpoint: usize,
    /// What is usual on its connections.
    pulse: Pulse,
    /// Connections in a row that were open and gave no data, or stopped to.
    pub(super) strikes: u32,
    /// Failures since one was live.
    failures: u32,
    told_at: Option<MonoNanos>,
}

impl Slot {
    pub(super) fn new(periods: &Periods, endpoint: usize) -> Self {
        Self {
            current: None,
            next: None,
            backoff: Backoff::new(periods),
            connect_at: MonoNanos(0),
            endpoint,
            pulse: Pulse::default(),
            strikes: 0,
            failures: 0,
            told_at: None,
        }
    }
}

impl Session {
    /// When a slot wants another connection.
    pub(super) fn connect_due(&self, slot: &Slot) -> Option<MonoNanos> {
        let is_wanted = match (slot.current, slot.next) {
            (None, None) => true,
            (Some(current), None) => self.conn(current).is_some_and(|conn| conn.retire.is_some()),
            (_, Some(_)) => false,
        };
        is_wanted.then(|| slot.connect_at.max(self.not_before).max(self.connects.ready_at(1)))
    }

    /// Opens what is due.
    pub(super) fn connect(&mut self, now: MonoNanos) {
        for place in 0..self.slots.len() {
            let is_due = self.connect_due(&self.slots[place]).is_some_and(|due| due <= now);
            if is_due && self.connects.take(now, 1) {
                self.open(now, place);
            }
        }
    }

    fn open(&mut self, now: MonoNanos, place: usize) {
        if self.conns.is_empty() {
            self.poll_at = MonoNanos(now.0.saturating_add(POLL_NS));
        }
        let id = ConnId(self.next_conn);
        self.next_conn += 1;
        let lifetime = self.config.periods.lifetime.map(|lifetime| {
            let part = duration_nanos(lifetime) / LIFETIME_PART;
            MonoNanos(now.0.saturating_add(duration_nanos(lifetime) - part - self.rng.u64(0..=part)))
        });
        let slot = &mut self.slots[place];
        if slot.current.is_none() {
            slot.current = Some(id);
        } else {
            slot.next = Some(id);
        }
        let ws = &self.config.endpoints.ws;
        let endpoint = ws.get(slot.endpoint % ws.len().max(1)).map_or("", String::as_str);
        let url = self.protocol.url(endpoint, self.route);
        let subscriptions = Subscriptions::new(self.streams.len(), Budget::new(self.config.limits.messages));
        self.conns.push(Conn::new(now, id, place, lifetime, (slot.pulse.heir(), subscriptions)));
        self.actions.push(Action::Connect { conn: id, url });
    }

    /// Marks a connection to be replaced; `delay_ns`: not at once.
    pub(super) fn retire(&mut self, now: MonoNanos, id: ConnId, why: Why, delay_ns: u64) {
        let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) else { return };
        if conn.retire.is_none() {
            conn.retire = Some(why);
            let slot = &mut self.slots[conn.slot];
            slot.connect_at = slot.connect_at.max(MonoNanos(now.0.saturating_add(delay_ns)));
        }
    }

    /// Closes a connection that has failed.
    pub(super) fn give_up(&mut self, now: MonoNanos, id: ConnId, why: Why) {
        self.actions.push(Action::Close { conn: id, why });
        self.failed(now, id, why.text(), None);
    }

    /// A connection is gone, and not because it was replaced.
    pub(super) fn failed(&mut self, now: MonoNanos, id: ConnId, text: &str, retry_after: Option<Duration>) {
        let Some(conn) = self.remove(now, id) else { return };
        let slot = &mut self.slots[conn.slot];
        if conn.live_at.is_some_and(|live| now.since(live) >= duration_nanos(self.config.periods.stable)) {
            slot.backoff.reset();
        }
        let wait = slot.backoff.fail(&mut self.rng);
        slot.connect_at = slot.connect_at.max(MonoNanos(now.0.saturating_add(wait)));
        slot.endpoint = slot.endpoint.wrapping_add(1);
        slot.failures = slot.failures.saturating_add(1);
        if let Some(asked) = retry_after {
            self.not_before = self.not_before.max(MonoNanos(now.0.saturating_add(duration_nanos(asked))));
        }
        let is_news = slot.failures == 1 || slot.told_at.is_none_or(|told| now.since(told) >= TELL_NS);
        if is_news {
            slot.told_at = Some(now);
            let what = if conn.is_open { "lost" } else { "could not be opened" };
            let times = if slot.failures > 1 { format!(", {} times in a row", slot.failures) } else { String::new() };
            let next = Duration::from_millis(slot.connect_at.max(self.not_before).since(now) / 1_000_000);
            let text = format!("{}: connection {} {what}{times}: {text}; next attempt in {next:?}", self.name, id.0);
            self.tell(now, true, text);
        }
    }

    /// Takes a connection out; its slot's next one, if any, takes its place.
    fn remove(&mut self, now: MonoNanos, id: ConnId) -> Option<Conn> {
        let at = self.conns.iter().position(|conn| conn.id == id)?;
        let conn = self.conns.remove(at);
        let slot = &mut self.slots[conn.slot];
        if slot.current == Some(id) {
            slot.current = slot.next.take();
        } else {
            slot.next = None;
        }
        slot.pulse = conn.pulse.heir();
        self.listen(now);
        Some(conn)
    }

    /// Looks at how far the connections are that are being replaced or have just become live.
    pub(super) fn advance(&mut self, now: MonoNanos) {
        for at in 0..self.conns.len() {
            let stable_ns = duration_nanos(self.config.periods.stable);
            let conn = &mut self.conns[at];
            let slot = &mut self.slots[conn.slot];
            if conn.live_at.is_none() && conn.is_live() {
                conn.live_at = Some(now);
                if slot.failures > 0 {
                    let text = format!("{}: connected again after {} failures", self.name, slot.failures);
                    slot.failures = 0;
                    self.voice.tell(now, false, text, &mut self.actions);
                }
            }
            if !conn.is_stable && conn.live_at.is_some_and(|live| now.since(live) >= stable_ns) {
                conn.is_stable = true;
                slot.backoff.reset();
            }
            // Strikes last as long as the silence that they have made believable.
            if conn.is_stable && slot.strikes > 0 {
                let proof = doubled(stable_ns, slot.strikes).min(duration_nanos(self.config.periods.mute_max));
                if conn.live_at.is_some_and(|live| now.since(live) >= proof) {
                    slot.strikes = 0;
                }
            }
            if conn.replace_at.is_some_and(|at| at <= now) {
                let id = conn.id;
                self.retire(now, id, Why::Replaced, 0);
            }
        }
        for place in 0..self.slots.len() {
            let Slot { current: Some(old), next: Some(new), .. } = self.slots[place] else { continue };
            if self.is_handed_over(now, old, new) {
                let why = self.conn(old).and_then(|conn| conn.retire).unwrap_or(Why::Replaced);
                self.actions.push(Action::Close { conn: old, why });
                self.remove(now, old);
            }
        }
    }

    /// Whether a new connection has taken over from the old one: every stream is acknowledged, and it says as much as the old
    /// one. Which streams spoke on which connection is not known, so messages are counted.
    fn is_handed_over(&self, now: MonoNanos, old: ConnId, new: ConnId) -> bool {
        let Some((old, new)) = self.conn(old).zip(self.conn(new)) else { return false };
        let Some(since) = new.subscribed_at else { return false };
        let old_messages = old.messages - new.before_messages;
        let waited = now.since(since);
        if waited >= HANDOVER_NS_MAX {
            return new.messages > 0 || old_messages == 0;
        }
        let alive = self.streams.iter().filter(|care| care.is_alive(now, &self.config.periods)).count() as u64;
        waited >= HANDOVER_NS_MIN && new.messages >= alive.max(1) && new.messages >= old_messages / 2
    }
}
