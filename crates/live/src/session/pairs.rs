//! Streams that one connection does not give although another one, which carries the same, does.
//!
//! A stream is judged by all connections together ([`super::watch`]), so that a word on one is enough for it to be alive. What
//! one of two does not say is found here: by itself it would be silence for the second connection to hide, until the first one
//! ends. And where the messages of one connection count, nothing of the stream would be recorded.

use super::Session;
use super::action::{Action, Heard, Why};
use super::backoff::doubled;
use super::requests::Sub;
use super::streams::REST_NS_MAX;
use crate::stream::StreamKind;
use feedd_model::{MonoNanos, duration_nanos};
use std::time::Duration;

/// So often another connection must have spoken meanwhile: a single word can be the snapshot of a subscription.
const WORDS_MIN: u32 = 3;
/// The connections say the same at about the same time, but each may be counted as a word of its own: what is usual for a
/// stream is then twice what is usual on one of them.
const SHARE: u64 = 2;

/// What one connection says of one stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    /// Messages until the last look.
    count: u64,
    /// Its last word, or since when it should be speaking.
    since: Option<MonoNanos>,
    has_spoken: bool,
    /// Looks since then at which another connection had spoken.
    others: u32,
    /// Times it was found mute, since it last spoke.
    strikes: u32,
}

impl Ear {
    /// Whether it has been found mute and has not spoken since.
    pub(super) const fn is_mute(&self) -> bool {
        self.strikes > 0
    }

    /// What was not heard meanwhile was the recorder's own doing.
    pub(super) fn forgive(&mut self, now: MonoNanos) {
        self.since = self.since.map(|_| now);
        self.others = 0;
    }
}

impl Session {
    /// Takes what was heard on each connection, while there are several.
    pub(super) fn poll_pairs(&mut self, now: MonoNanos, heard: &dyn Heard) {
        let is_single = self.conns.iter().filter(|conn| conn.is_live()).nth(1).is_none();
        for conn in &mut self.conns {
            if is_single {
                conn.ears.clear();
            } else if conn.ears.is_empty() && conn.is_live() {
                conn.ears.resize(self.streams.len(), Ear::default());
            }
        }
        if is_single {
            return;
        }
        for symbol in &self.symbols {
            let mut speaking = [0_u32; StreamKind::ALL.len()];
            for conn in self.conns.iter_mut().filter(|conn| !conn.ears.is_empty()) {
                let counts = heard.heard_on(&symbol.name, conn.id);
                for (kind, (place, count)) in symbol.streams.iter().zip(counts).enumerate() {
                    let Some(place) = *place else { continue };
                    let ear = &mut conn.ears[place];
                    if conn.subscriptions.states[place] != Sub::Acked {
                        (ear.count, ear.since) = (count, None);
                    } else if ear.since.is_none() {
                        // What it said before it was looked at says nothing.
                        *ear = Ear { count, since: Some(now), strikes: ear.strikes, ..Ear::default() };
                    } else if std::mem::replace(&mut ear.count, count) != count {
                        speaking[kind] += 1;
                        *ear = Ear { count, since: Some(now), has_spoken: true, ..Ear::default() };
                    }
                }
            }
            for conn in self.conns.iter_mut().filter(|conn| !conn.ears.is_empty()) {
                for (place, speaking) in symbol.streams.iter().zip(speaking) {
                    let Some(ear) = place.map(|place| &mut conn.ears[place]) else { continue };
                    let is_own = ear.has_spoken && ear.since == Some(now);
                    ear.others += u32::from(speaking > u32::from(is_own));
                }
            }
        }
    }

    /// Finds the streams that a connection does not give although another one does.
    pub(super) fn judge_pairs(&mut self, now: MonoNanos) {
        for at in 0..self.conns.len() {
            for place in 0..self.conns[at].ears.len() {
                if let Some(silence) = self.half_mute(now, at, place) {
                    self.alarm_half(now, at, place, silence);
                }
            }
        }
    }

    /// How long a connection has been silent of a stream, when that is too long.
    fn half_mute(&self, now: MonoNanos, at: usize, place: usize) -> Option<u64> {
        let ear = &self.conns[at].ears[place];
        let silence = now.since(ear.since?);
        if ear.others < WORDS_MIN || silence < duration_nanos(self.config.periods.mute_min) {
            return None;
        }
        let care = &self.streams[place];
        let limit = SHARE * care.usual_limit_ns(&self.config.periods, ear.has_spoken);
        (silence > doubled(limit, ear.strikes).min(limit.max(REST_NS_MAX))).then_some(silence)
    }

    /// The connection is replaced, or, when one was of late, only the stream is subscribed there anew; the others go on.
    fn alarm_half(&mut self, now: MonoNanos, at: usize, place: usize, silence: u64) {
        let conn = &mut self.conns[at];
        let id = conn.id;
        let ear = &mut conn.ears[place];
        *ear = Ear { count: ear.count, since: Some(now), strikes: ear.strikes.saturating_add(1), ..Ear::default() };
        let strikes = ear.strikes;
        let stream = self.streams[place].stream.clone();
        let (kind, symbol) = (stream.kind, stream.symbol.clone());
        self.actions.push(Action::Silent { symbol, kind, conn: Some(id) });
        let is_replaced = self.replace_for_mute(now, id, Why::Mute);
        if !is_replaced {
            self.conns[at].subscriptions.begin([place]);
            self.listen(now);
        }
        if strikes == 1 {
            let silence = Duration::from_millis(silence / 1_000_000);
            let done = if is_replaced { "it is replaced" } else { "subscribed there anew" };
            let text = format!(
                "{}: {stream} is silent on connection {} for {silence:?}, while another one gives it: {done}",
                self.name, id.0
            );
            self.tell(now, true, text);
        }
    }
}
