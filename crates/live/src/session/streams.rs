//! What a session knows of each stream: whether it should be speaking, whether it does, and what was done when it did not.

use super::action::StreamState;
use super::backoff::doubled;
use super::liveness::Pulse;
use crate::config::Periods;
use crate::stream::{Stream, StreamKind};
use feedd_model::{MonoNanos, duration_nanos};

/// Longest wait before a stream that stays mute, or was refused, is asked for again.
pub(super) const REST_NS_MAX: u64 = 3_600_000_000_000;
/// More than so many times the usual silence is quiet.
const QUIET_FACTOR: u64 = 4;
/// Less than this is never quiet: words are only looked for every 200 ms.
const QUIET_NS_MIN: u64 = 1_000_000_000;

/// One stream.
#[derive(Debug)]
pub(super) struct Care {
    pub(super) stream: Stream,
    /// Place of its symbol.
    pub(super) symbol: usize,
    pub(super) pulse: Pulse,
    /// When the last subscription of it was sent.
    pub(super) asked_at: Option<MonoNanos>,
    /// Since when it is acknowledged on a connection at least; `None` when it is on none.
    pub(super) listening: Option<MonoNanos>,
    /// Times it was silent for too long, since it was well.
    pub(super) strikes: u32,
    /// Since when it speaks again.
    speaks_since: Option<MonoNanos>,
    /// Its last subscription was not answered.
    pub(super) is_unanswered: bool,
    /// It was refused or never answered: not asked for until then.
    pub(super) rest_until: Option<MonoNanos>,
}

impl Care {
    pub(super) fn new(stream: Stream, symbol: usize) -> Self {
        Self {
            stream,
            symbol,
            pulse: Pulse::default(),
            asked_at: None,
            listening: None,
            strikes: 0,
            speaks_since: None,
            is_unanswered: false,
            rest_until: None,
        }
    }

    /// Takes the number of messages until now. True when it has just been well for so long that its silences are forgotten.
    #[inline]
    pub(super) fn poll(&mut self, now: MonoNanos, count: u64, periods: &Periods) -> bool {
        if !self.pulse.poll(now, count) || self.strikes == 0 {
            return false;
        }
        // A single word may be the snapshot of a subscription and no more.
        let since = *self.speaks_since.get_or_insert(now);
        let is_well = now.since(since) >= duration_nanos(periods.stable);
        if is_well {
            self.strikes = 0;
            self.speaks_since = None;
        }
        is_well
    }

    /// It was silent for too long once more.
    pub(super) const fn strike(&mut self) {
        self.strikes = self.strikes.saturating_add(1);
        self.speaks_since = None;
    }

    /// It is not wanted any more: whatever was wrong with it is of no consequence.
    pub(super) const fn leave(&mut self) {
        (self.strikes, self.is_unanswered, self.rest_until, self.speaks_since) = (0, false, None, None);
    }

    /// Begins or ends listening, by whether a connection has it.
    pub(super) const fn listen(&mut self, now: MonoNanos, is_acknowledged: bool) {
        match (self.listening, is_acknowledged) {
            (None, true) => {
                self.listening = Some(now);
                self.is_unanswered = false;
                self.pulse.interrupt(now);
            }
            (Some(_), false) => self.listening = None,
            _ => {}
        }
    }

    /// What was not heard since was the recorder's own doing.
    pub(super) const fn forgive(&mut self, now: MonoNanos) {
        if self.listening.is_some() {
            self.listening = Some(now);
            self.pulse.interrupt(now);
        }
    }

    /// Whether it has spoken since it was subscribed last.
    pub(super) fn has_spoken(&self) -> bool {
        self.pulse.heard_at.is_some_and(|heard| self.asked_at.is_none_or(|asked| heard >= asked))
    }

    /// The deadline of its first word, as configured.
    const fn first(&self, periods: &Periods) -> u64 {
        let first = match self.stream.kind {
            StreamKind::Trades => periods.first_trade,
            StreamKind::Quotes | StreamKind::Depth => periods.first_data,
        };
        // `duration_nanos`, which is not const; no period has 584 years.
        first.as_secs().saturating_mul(1_000_000_000).saturating_add(first.subsec_nanos() as u64)
    }

    /// The deadline of its first word for judging its whole connection: as configured, or what is usual for it when that is more.
    pub(super) fn first_ns(&self, periods: &Periods) -> u64 {
        self.first(periods).max(self.pulse.certain_ns(periods).unwrap_or(0))
    }

    /// The silence that is still believed of it; doubles with each strike after the first.
    pub(super) fn limit_ns(&self, periods: &Periods) -> u64 {
        let first = self.first(periods);
        let limit = match (self.has_spoken(), self.pulse.is_learned()) {
            (false, false) => first,
            (has_spoken, _) => self.usual_limit_ns(periods, has_spoken),
        };
        doubled(limit, self.strikes.saturating_sub(1)).min(limit.max(REST_NS_MAX))
    }

    /// The same by what is usual alone. `has_spoken`: since it was subscribed.
    pub(super) fn usual_limit_ns(&self, periods: &Periods, has_spoken: bool) -> u64 {
        let first = self.first(periods);
        let usual = self.pulse.limit_ns(periods, first);
        if has_spoken { usual } else { usual.max(first) }
    }

    /// How long it has been silent although it should have spoken.
    pub(super) fn silence_ns(&self, now: MonoNanos) -> Option<u64> {
        let since = self.listening?;
        Some(now.since(self.pulse.heard_at.map_or(since, |heard| heard.max(since))))
    }

    /// Whether it is silent for longer than is believed.
    pub(super) fn is_overdue(&self, now: MonoNanos, periods: &Periods) -> bool {
        self.silence_ns(now).is_some_and(|silence| silence > self.limit_ns(periods))
    }

    /// Whether its silence, subscriptions in between or not, can hardly be chance.
    pub(super) fn is_certain(&self, now: MonoNanos, periods: &Periods) -> bool {
        self.pulse.heard_at.zip(self.pulse.certain_ns(periods)).is_some_and(|(heard, limit)| now.since(heard) > limit)
    }

    pub(super) fn is_alive(&self, now: MonoNanos, periods: &Periods) -> bool {
        matches!(self.state(now, periods), StreamState::Alive | StreamState::Quiet)
    }

    pub(super) fn state(&self, now: MonoNanos, periods: &Periods) -> StreamState {
        if self.rest_until.is_some() {
            return StreamState::Refused;
        }
        let is_struck = self.strikes > 0 && self.speaks_since.is_none();
        let Some(silence) = self.silence_ns(now) else {
            return if is_struck { StreamState::Mute } else { StreamState::Subscribing };
        };
        if is_struck || silence > self.limit_ns(periods) {
            StreamState::Mute
        } else if !self.has_spoken() {
            StreamState::Acknowledged
        } else if self.pulse.is_learned() && silence > (QUIET_FACTOR * self.pulse.usual_ns()).max(QUIET_NS_MIN) {
            StreamState::Quiet
        } else {
            StreamState::Alive
        }
    }
}
