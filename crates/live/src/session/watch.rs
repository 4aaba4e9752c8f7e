//! What is looked at a few times a second: does each connection live, does each stream speak, and what is done when not.

use super::Session;
use super::action::{Action, ConnId, Heard, Why};
use super::backoff::doubled;
use super::books::How;
use super::connection::Conn;
use super::requests::Sub;
use super::streams::{Care, REST_NS_MAX};
use feedd_model::{MonoNanos, duration_nanos};
use std::time::Duration;

/// How often. A twentieth of the shortest limit, so that none is missed by much.
pub(super) const POLL_NS: u64 = 200_000_000;
/// A connection is replaced for a stream that stays mute at most so often, so that dying symbols do not make the others suffer.
const MUTE_REPLACE_NS: u64 = 600_000_000_000;
/// A venue that answers late is late with many: so many streams are named to the operator.
const NAMED_MAX: usize = 5;

impl Session {
    /// Takes how much has been heard of what.
    pub(super) fn poll(&mut self, now: MonoNanos, heard: &dyn Heard) {
        for symbol in &self.symbols {
            let counts = heard.heard(&symbol.name);
            for (place, count) in symbol.streams.iter().zip(counts) {
                let Some(place) = *place else { continue };
                let care = &mut self.streams[place];
                if care.poll(now, count, &self.config.periods) {
                    let text = format!("{}: {} speaks again", self.name, care.stream);
                    self.voice.tell(now, false, text, &mut self.actions);
                }
            }
        }
        for conn in &mut self.conns {
            conn.pulse.poll(now, conn.messages);
        }
        self.poll_pairs(now, heard);
        self.poll_books(now, &|symbol| heard.is_book_whole(symbol));
    }

    /// Looks at every connection, and closes what is dead.
    pub(super) fn judge_connections(&mut self, now: MonoNanos) {
        // From the last one, because those that are closed are taken out.
        for at in (0..self.conns.len()).rev() {
            let Some(why) = self.verdict(now, &self.conns[at]) else {
                if self.is_doubtful(now, &self.conns[at]) {
                    self.replace_doubtful(now, at);
                }
                continue;
            };
            let conn = &self.conns[at];
            if matches!(why, Why::NoFirstData | Why::Mute) {
                let slot = &mut self.slots[conn.slot];
                slot.strikes = slot.strikes.saturating_add(1);
            }
            let id = conn.id;
            self.give_up(now, id, why);
        }
    }

    fn verdict(&self, now: MonoNanos, conn: &Conn) -> Option<Why> {
        let periods = &self.config.periods;
        if !conn.is_open {
            return (now.since(conn.began_at) >= duration_nanos(periods.connect)).then_some(Why::ConnectTimeout);
        }
        if now.since(conn.heard_at) >= duration_nanos(periods.silence) {
            return Some(Why::Silent);
        }
        let most = duration_nanos(periods.mute_max);
        let strikes = self.slots[conn.slot].strikes;
        let raised = |limit: u64| doubled(limit, strikes).min(limit.max(most));
        if conn.messages == 0 {
            let first = self.acknowledged(conn).map(|care| care.first_ns(periods)).min()?;
            let since = conn.acknowledged_at?;
            return (now.since(since) > raised(first)).then_some(Why::NoFirstData);
        }
        // A single stream is judged as a stream, unless another connection gives what this one does not.
        let heard = conn.pulse.heard_at?;
        let is_heard_elsewhere = self.conns.iter().any(|other| {
            other.id != conn.id && other.pulse.heard_at.is_some_and(|other| now.since(other) < now.since(heard) / 4)
        });
        let limit = match conn.pulse.certain_ns(periods) {
            Some(certain) => raised(certain),
            None if is_heard_elsewhere => raised(most),
            None => return None,
        };
        let several = || self.acknowledged(conn).filter(|care| care.pulse.has_spoken()).nth(1).is_some();
        (now.since(heard) > limit && (is_heard_elsewhere || several())).then_some(Why::Mute)
    }

    /// Whether a connection that spoke, though not for long enough to know what is usual, has been silent of every stream for
    /// longer than the first word of each of them may take. Pongs may go on.
    fn is_doubtful(&self, now: MonoNanos, conn: &Conn) -> bool {
        let periods = &self.config.periods;
        let Some(heard) = conn.pulse.heard_at.filter(|_| conn.retire.is_none()) else { return false };
        if conn.pulse.certain_ns(periods).is_some() {
            return false;
        }
        let mut spoke = self.acknowledged(conn).filter(|care| care.pulse.has_spoken());
        // One stream alone is judged as a stream.
        let (Some(first), Some(second)) = (spoke.next(), spoke.next()) else { return false };
        let slowest = spoke.chain([first, second]).map(|care| care.first_ns(periods)).max().unwrap_or(0);
        let most = duration_nanos(periods.mute_max);
        let limit = doubled(slowest.max(conn.pulse.limit_unproved_ns(periods)), self.slots[conn.slot].strikes);
        now.since(heard) > limit.min(slowest.max(most))
    }

    /// What is in doubt is replaced, not closed: if its streams are only quiet, nothing is interrupted.
    fn replace_doubtful(&mut self, now: MonoNanos, at: usize) {
        let conn = &self.conns[at];
        let (id, silence) = (conn.id, now.since(conn.pulse.heard_at.unwrap_or(now)));
        let slot = &mut self.slots[conn.slot];
        slot.strikes = slot.strikes.saturating_add(1);
        self.retire(now, id, Why::Mute, 0);
        let silence = Duration::from_millis(silence / 1_000_000);
        let text =
            format!("{}: connection {} is silent on every stream for {silence:?}: it is replaced", self.name, id.0);
        self.tell(now, true, text);
    }

    fn acknowledged<'s>(&'s self, conn: &'s Conn) -> impl Iterator<Item = &'s Care> {
        let states = conn.subscriptions.states.iter();
        self.streams.iter().zip(states).filter(|(_, state)| **state == Sub::Acked).map(|(care, _)| care)
    }

    /// Subscriptions that were not answered: the connection is dead, or something is wrong with these streams.
    pub(super) fn judge_answers(&mut self, now: MonoNanos) {
        let limit = duration_nanos(self.config.periods.acknowledge);
        for at in (0..self.conns.len()).rev() {
            let conn = &mut self.conns[at];
            let late = conn.subscriptions.unanswered(now, limit);
            if late.is_empty() {
                continue;
            }
            let id = conn.id;
            if conn.messages == 0 {
                self.give_up(now, id, Why::NoAcknowledgement);
                continue;
            }
            let mut unanswered = Vec::new();
            for place in late {
                // A stream that speaks needs no acknowledgement.
                if self.streams[place].has_spoken() {
                    self.conns[at].subscriptions.states[place] = Sub::Acked;
                } else {
                    unanswered.push(place);
                }
            }
            self.unanswered(now, id, &unanswered);
            self.settle(now, at);
        }
    }

    fn unanswered(&mut self, now: MonoNanos, id: ConnId, streams: &[usize]) {
        let mut again = Vec::new();
        let mut worst = 0;
        for &place in streams {
            let care = &mut self.streams[place];
            care.strike();
            care.is_unanswered = true;
            worst = worst.max(care.strikes);
            if care.strikes > 2 {
                let rest = doubled(duration_nanos(self.config.periods.acknowledge), care.strikes).min(REST_NS_MAX);
                care.rest_until = Some(MonoNanos(now.0.saturating_add(rest)));
            } else {
                again.push(place);
            }
        }
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            conn.subscriptions.begin_apart(again);
        }
        if matches!(worst, 1 | 3) {
            let named: Vec<String> =
                streams.iter().take(NAMED_MAX).map(|&place| self.streams[place].stream.to_string()).collect();
            let more = streams.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = if worst == 1 { "asked for again" } else { "asked for ever more rarely from now on" };
            let text = format!("{}: no answer to the subscription of {}{more}; {what}", self.name, named.join(", "));
            self.tell(now, true, text);
        }
        if worst == 2 {
            self.replace_for_mute(now, id, Why::NoAcknowledgement);
        }
    }

    /// Replaces a connection for the sake of a stream, unless one was of late.
    pub(super) fn replace_for_mute(&mut self, now: MonoNanos, id: ConnId, why: Why) -> bool {
        if self.mute_replaced_at.is_some_and(|at| now.since(at) < MUTE_REPLACE_NS) {
            return false;
        }
        self.mute_replaced_at = Some(now);
        self.retire(now, id, why, 0);
        true
    }

    /// Looks at every stream that should be speaking, and at those that rest.
    pub(super) fn judge_streams(&mut self, now: MonoNanos) {
        let mut is_changed = false;
        for place in 0..self.streams.len() {
            if !self.is_here(place) {
                continue;
            }
            let care = &mut self.streams[place];
            if care.rest_until.is_some_and(|until| until <= now) {
                care.rest_until = None;
                is_changed = true;
                self.conns.iter_mut().filter(|conn| conn.is_open).for_each(|conn| conn.subscriptions.begin([place]));
            } else if care.is_overdue(now, &self.config.periods) {
                is_changed = true;
                self.alarm(now, place);
            }
        }
        if is_changed {
            self.listen(now);
        }
    }

    /// A stream is mute: marked, subscribed anew; the second time in a row its connection is replaced; then it is tried ever
    /// more rarely.
    fn alarm(&mut self, now: MonoNanos, place: usize) {
        let periods = &self.config.periods;
        let care = &self.streams[place];
        let (is_certain, has_spoken) = (care.is_certain(now, periods), care.pulse.has_spoken());
        let silence = Duration::from_millis(care.silence_ns(now).unwrap_or(0) / 1_000_000);
        // Without certainty (few trades a day) another stream of the symbol is proof enough that it is there.
        let symbol = care.symbol;
        let others = self.symbols[symbol].streams.iter().flatten().filter(|&&other| other != place);
        let is_symbol_alive = others.clone().any(|&other| self.streams[other].is_alive(now, periods));
        let care = &mut self.streams[place];
        care.strike();
        let (strikes, stream) = (care.strikes, care.stream.to_string());
        if has_spoken && (is_certain || !is_symbol_alive) {
            let (kind, symbol) = (self.streams[place].stream.kind, self.symbols[symbol].name.clone());
            self.actions.push(Action::Silent { symbol, kind, conn: None });
            // Its book is in doubt from now on.
            for book in self.books.iter_mut().filter(|book| book.stream == place) {
                match book.how {
                    How::Resubscribe => book.act(now),
                    How::Pull => book.want(now, &mut self.rng),
                }
            }
        }
        let holder = self.conns.iter().find(|conn| conn.subscriptions.states[place] == Sub::Acked).map(|conn| conn.id);
        let is_replaced =
            strikes == 2 && is_certain && holder.is_some_and(|holder| self.replace_for_mute(now, holder, Why::Mute));
        let done = match (strikes, is_replaced) {
            (2, true) => "its connection is replaced",
            (1, _) => "subscribed anew",
            _ => "subscribed anew, ever more rarely from now on",
        };
        self.resubscribe(place);
        if strikes == 1 || is_replaced || strikes == 3 {
            let what = if has_spoken { "is silent" } else { "has said nothing since it was subscribed" };
            let text = format!("{}: {stream} {what} for {silence:?}: {done}", self.name);
            self.tell(now, true, text);
        }
    }

    /// Brings up to date which streams are listened to.
    pub(super) fn listen(&mut self, now: MonoNanos) {
        for (place, care) in self.streams.iter_mut().enumerate() {
            let is_acknowledged = self.conns.iter().any(|conn| conn.subscriptions.states[place] == Sub::Acked);
            care.listen(now, is_acknowledged);
        }
    }

    /// After an answer: whether a connection is subscribed by now.
    pub(super) fn settle(&mut self, now: MonoNanos, at: usize) {
        self.listen(now);
        let conn = &self.conns[at];
        if conn.subscribed_at.is_some() || !conn.subscriptions.is_settled() {
            return;
        }
        let slot = &self.slots[conn.slot];
        let before = slot.current.filter(|&current| current != conn.id).and_then(|current| self.conn(current));
        let before = before.map_or(0, |before| before.messages);
        let conn = &mut self.conns[at];
        conn.before_messages = before;
        conn.subscribed_at = Some(now);
    }

    /// The thread was held up (by a full ring, say): what was not heard meanwhile may wait in the sockets.
    pub(super) fn forgive(&mut self, now: MonoNanos) {
        self.conns.iter_mut().for_each(|conn| conn.forgive(now));
        self.streams.iter_mut().for_each(|care| care.forgive(now));
    }
}
