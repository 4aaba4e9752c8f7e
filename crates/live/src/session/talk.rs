//! What is said on the connections and what the venue answers: subscriptions, pings, refusals.

use super::Session;
use super::action::{Action, Why};
use super::requests::Pen;
use super::streams::REST_NS_MAX;
use crate::protocol::Answer;
use feedd_model::{MonoNanos, duration_nanos};

impl Session {
    /// Asks for every stream that is to be asked for.
    pub(super) fn subscribe_all(&mut self, now: MonoNanos, at: usize) {
        let is_wanted = |&place: &usize| self.is_here(place) && self.streams[place].rest_until.is_none();
        let wanted = (0..self.streams.len()).filter(is_wanted);
        let (apart, together): (Vec<usize>, Vec<usize>) = wanted.partition(|&place| self.streams[place].is_unanswered);
        self.conns[at].subscriptions.begin(together);
        self.conns[at].subscriptions.begin_apart(apart);
        self.send(now);
        self.settle(now, at);
    }

    /// Sends pings and subscriptions, as far as the budget of each connection goes; pings first.
    pub(super) fn send(&mut self, now: MonoNanos) {
        for at in 0..self.conns.len() {
            if self.conns[at].is_open {
                self.ping(now, at);
                self.send_subscriptions(now, at);
            }
        }
    }

    fn ping(&mut self, now: MonoNanos, at: usize) {
        let conn = &mut self.conns[at];
        if let Some(ping) = &self.text_ping {
            let every = duration_nanos(ping.every);
            let is_due = now.since(conn.text_pinged_at) >= every
                && (!ping.only_when_silent || now.since(conn.frame_at) >= every);
            if is_due && conn.subscriptions.budget.take(now, 1) {
                conn.text_pinged_at = now;
                self.actions.push(Action::Send { conn: conn.id, text: ping.text.clone() });
            }
        }
        let after = duration_nanos(self.config.periods.ping_after);
        let is_due = now.since(conn.heard_at) >= after && now.since(conn.pinged_at) >= after;
        if is_due && conn.subscriptions.budget.take(now, 1) {
            conn.pinged_at = now;
            self.actions.push(Action::Ping { conn: conn.id });
        }
    }

    fn send_subscriptions(&mut self, now: MonoNanos, at: usize) {
        let mut lost = Vec::new();
        let streams = &mut self.streams;
        let conn = &mut self.conns[at];
        let mut pen = Pen { protocol: &*self.protocol, places: &self.places, next_id: &mut self.next_request };
        while let Some((text, asked)) = conn.subscriptions.next(now, &mut pen, &mut lost) {
            for place in asked {
                // Where it is listened to on another connection, its words go on.
                if streams[place].listening.is_none() {
                    streams[place].asked_at = Some(now);
                }
            }
            self.actions.push(Action::Send { conn: conn.id, text });
        }
        for place in lost {
            self.refused(now, place, "the protocol has no request for it");
        }
    }

    /// A frame without market data came.
    #[cold]
    pub(super) fn answered(&mut self, now: MonoNanos, at: usize, frame: &str) {
        match self.protocol.answer(frame) {
            Answer::Accepted(subject) => {
                if self.conns[at].subscriptions.accept(&subject, &self.places) {
                    self.conns[at].acknowledged_at.get_or_insert(now);
                    self.settle(now, at);
                }
            }
            Answer::Refused(subject, text) => {
                let refusal = self.conns[at].subscriptions.refuse(&subject, &self.places);
                if refusal.streams.is_empty() && !refusal.is_split && !refusal.is_of_end {
                    let text = format!("{}: the venue says: {text}", self.name);
                    self.tell(now, true, text);
                }
                for place in refusal.streams {
                    self.refused(now, place, &text);
                }
                self.settle(now, at);
            }
            Answer::Shutdown => {
                let id = self.conns[at].id;
                if self.conns[at].retire.is_none() {
                    let text = format!("{}: the venue announces the end of connection {}; replaced", self.name, id.0);
                    self.tell(now, false, text);
                    // Not in step with everybody else who was told, and as soon as that allows: no lead time is promised.
                    let delay = self.rng.u64(0..=duration_nanos(self.config.periods.retry_min));
                    self.retire(now, id, Why::Replaced, delay);
                }
            }
            Answer::Alive | Answer::Other => {}
        }
    }

    /// The venue will not give a stream: the others go on, and it is asked for again in an hour.
    fn refused(&mut self, now: MonoNanos, place: usize, text: &str) {
        if !self.is_here(place) {
            return;
        }
        let care = &mut self.streams[place];
        if care.rest_until.replace(MonoNanos(now.0.saturating_add(REST_NS_MAX))).is_none() {
            let text = format!("{}: the venue refuses {}: {text}; asked for again in an hour", self.name, care.stream);
            self.tell(now, true, text);
        }
    }

    pub(super) fn tell(&mut self, now: MonoNanos, is_warning: bool, text: String) {
        self.voice.tell(now, is_warning, text, &mut self.actions);
    }
}
