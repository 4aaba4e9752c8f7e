//! How long something that speaks is usually silent, learned from when it was seen to have spoken.
//!
//! Seen at polls: what comes between two of them is one word, so that a sweep of hundred trades in a millisecond does not make
//! ten seconds of silence look long. Usual is the mean interval, or a quarter of the longest of the last half hour when that is
//! more: busy hours are followed by quiet ones.

use crate::config::Periods;
use feedd_model::{MonoNanos, duration_nanos};

/// So many intervals make a usual one.
const LEARNED_AT: u32 = 8;
/// The mean forgets like one of so many.
const MEAN_OF: u64 = 16;
/// Longer than so many times the usual is not quiet any more. For arrivals at random one interval in 5e8 is.
const LIMIT_FACTOR: u64 = 20;
/// A maximum is remembered for one to two of these.
const WINDOW_NS: u64 = 900_000_000_000;
/// What has been watched for less than this may have been watched in a busy moment.
const WATCHED_NS_MIN: u64 = 60_000_000_000;

/// When something spoke, and how often it usually does.
#[derive(Clone, Debug, Default)]
pub(super) struct Pulse {
    /// Words until the last poll.
    count: u64,
    /// The last poll that found new ones.
    pub(super) heard_at: Option<MonoNanos>,
    /// Begin of the interval at hand, and whether it began with a word, not with a subscription.
    from: Option<(MonoNanos, bool)>,
    mean_ns: u64,
    intervals: u32,
    /// Sum of the intervals.
    watched_ns: u64,
    /// Longest interval of the window at hand, and of the one before.
    longest_ns: [u64; 2],
    window_from: MonoNanos,
}

impl Pulse {
    /// Takes the number of words until now; whether there are new ones.
    #[inline]
    pub(super) fn poll(&mut self, now: MonoNanos, count: u64) -> bool {
        if count == self.count {
            return false;
        }
        self.count = count;
        if let Some((from, began_with_word)) = self.from {
            self.learn(now, now.since(from), began_with_word);
        }
        self.from = Some((now, true));
        self.heard_at = Some(now);
        true
    }

    /// It was asked to speak anew: the interval at hand says nothing about what is usual.
    pub(super) const fn interrupt(&mut self, now: MonoNanos) {
        self.from = Some((now, false));
    }

    /// For another connection with the same streams: what is usual is known, nothing was heard.
    pub(super) fn heir(&self) -> Self {
        Self { count: 0, heard_at: None, from: None, ..self.clone() }
    }

    fn learn(&mut self, now: MonoNanos, interval_ns: u64, is_whole: bool) {
        let behind = now.since(self.window_from);
        if behind >= WINDOW_NS {
            let before = if behind < 2 * WINDOW_NS { self.longest_ns[0] } else { 0 };
            self.longest_ns = [0, before];
            self.window_from = now;
        }
        self.longest_ns[0] = self.longest_ns[0].max(interval_ns);
        // Since a subscription: it was at least so long silent by itself, but how long is usual it does not say.
        if !is_whole {
            return;
        }
        self.watched_ns = self.watched_ns.saturating_add(interval_ns);
        self.intervals = self.intervals.saturating_add(1);
        let weight = u64::from(self.intervals).min(MEAN_OF);
        self.mean_ns = self.mean_ns - self.mean_ns / weight + interval_ns / weight;
    }

    /// Whether it has ever spoken.
    pub(super) const fn has_spoken(&self) -> bool {
        self.count > 0
    }

    /// Whether enough was heard to judge by.
    pub(super) const fn is_learned(&self) -> bool {
        self.intervals >= LEARNED_AT
    }

    /// What is usual. The longest silence of late counts, not only the mean.
    pub(super) fn usual_ns(&self) -> u64 {
        self.mean_ns.max(self.longest_ns[0].max(self.longest_ns[1]) / 4)
    }

    /// The silence that can hardly be chance, however long; `None` while that is unknown.
    pub(super) fn certain_ns(&self, periods: &Periods) -> Option<u64> {
        let certain = self.usual_ns().saturating_mul(LIMIT_FACTOR).max(duration_nanos(periods.mute_min));
        (self.is_learned() && self.watched_ns >= WATCHED_NS_MIN).then_some(certain)
    }

    /// The silence that is more than was seen so far, while too little was heard to be certain of anything.
    pub(super) fn limit_unproved_ns(&self, periods: &Periods) -> u64 {
        self.usual_ns().saturating_mul(LIMIT_FACTOR).max(duration_nanos(periods.mute_min))
    }

    /// The silence that is believed: 20 times the usual, within `mute_min` and `mute_max`. `first`: what is believed at the least
    /// while it has been watched for a short time only.
    pub(super) fn limit_ns(&self, periods: &Periods, first_ns: u64) -> u64 {
        let most = duration_nanos(periods.mute_max);
        if !self.is_learned() {
            return most.max(first_ns);
        }
        let limit = self.usual_ns().saturating_mul(LIMIT_FACTOR).max(duration_nanos(periods.mute_min)).min(most);
        if self.watched_ns < WATCHED_NS_MIN { limit.max(first_ns) } else { limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const FIRST: u64 = 20 * SECOND;

    fn spoken_every(interval_ns: u64, words: u64) -> (Pulse, MonoNanos) {
        let (mut pulse, mut now) = (Pulse::default(), MonoNanos(SECOND));
        for count in 1..=words {
            now = MonoNanos(now.0 + interval_ns);
            assert!(pulse.poll(now, count * 3));
            assert!(!pulse.poll(now, count * 3), "the same count is no word");
        }
        (pulse, now)
    }

    #[test]
    fn limits_follow_what_is_usual() {
        let periods = Periods::default();
        // interval in s, words, limit in s, certain in s
        let cases = [
            (1, 3, 900, None),            // too few
            (1, 20, 20, None),            // 19 s watched: not below the first deadline, nor certain
            (1, 100, 20, Some(20)),       // 20 times
            (3, 100, 60, Some(60)),       //
            (100, 100, 900, Some(2_000)), // believed for mute_max, certain later
        ];
        for (interval, words, limit, certain) in cases {
            let (pulse, _) = spoken_every(interval * SECOND, words);
            let what = format!("{interval} s, {words} words");
            assert_eq!(pulse.limit_ns(&periods, FIRST).div_ceil(SECOND), limit, "{what}");
            assert_eq!(pulse.certain_ns(&periods).map(|ns| ns.div_ceil(SECOND)), certain, "{what}");
        }
        let (fast, _) = spoken_every(SECOND / 10, 1_000);
        assert_eq!(fast.limit_ns(&periods, FIRST), 10 * SECOND, "mute_min");
    }

    #[test]
    fn a_long_silence_is_remembered_for_a_while_and_then_forgotten() {
        let (mut pulse, now) = spoken_every(SECOND, 100);
        assert!(pulse.poll(MonoNanos(now.0 + 40 * SECOND), 1_000));
        assert_eq!(pulse.usual_ns(), 10 * SECOND);
        let mut at = now.0 + 40 * SECOND;
        for count in 0..2_000 {
            at += SECOND;
            pulse.poll(MonoNanos(at), 2_000 + count);
        }
        assert_eq!(pulse.usual_ns() / 1_000, SECOND / 1_000, "{}", pulse.usual_ns());
        // A day of silence does not take a day of steps, and leaves one long interval.
        pulse.poll(MonoNanos(at + 86_400 * SECOND), 9_000);
        assert_eq!(pulse.usual_ns(), 86_400 * SECOND / 4);
    }

    #[test]
    fn an_interrupted_interval_counts_as_silence_but_not_for_the_mean() {
        let (mut pulse, now) = spoken_every(SECOND, 100);
        pulse.interrupt(MonoNanos(now.0 + 60 * SECOND));
        pulse.poll(MonoNanos(now.0 + 61 * SECOND), 1_000);
        assert_eq!(pulse.usual_ns().div_ceil(SECOND), 1, "a minute's outage is not usual");
        pulse.interrupt(MonoNanos(now.0 + 61 * SECOND));
        pulse.poll(MonoNanos(now.0 + 101 * SECOND), 1_001);
        assert_eq!(pulse.usual_ns(), 10 * SECOND, "it was silent by itself");
    }

    #[test]
    fn an_heir_knows_what_is_usual_and_has_heard_nothing() {
        let (pulse, _) = spoken_every(SECOND, 100);
        let heir = pulse.heir();
        assert_eq!((heir.has_spoken(), heir.heard_at, heir.usual_ns()), (false, None, pulse.usual_ns()));
    }
}
