//! The circuit breaker of one sink: whether an attempt may be made now, and when the next one.
//!
//! A state machine without clock, thread or sleep; the time comes in as an argument. One attempt is in flight at a time:
//! [`Breaker::permit`] grants it, [`Breaker::succeeded`] or [`Breaker::failed`] ends it.

use crate::retry::Retry;
use feedd_model::{MonoNanos, duration_nanos};

/// Whether a sink is called at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BreakerState {
    /// It works, or its quick attempts are not used up.
    Closed = 0,
    /// It is left alone until the wait is over.
    Open = 1,
    /// One attempt, the probe, is in flight.
    HalfOpen = 2,
}

impl BreakerState {
    /// Every state, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// As shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Decides when a sink is tried.
///
/// Closed: every attempt is allowed; after a failure, `attempts` quick ones follow, `delay` apart. When they fail, too, it
/// opens: a wait with full jitter, then one probe (half-open), which is the real next batch. A probe that fails opens it
/// again with twice the bound, one that succeeds closes it. The bound falls back only when the sink has worked for `stable`;
/// a failure before that opens at once with the bound it had. So a sink that comes and goes costs no more attempts than
/// one that stays away, and one that fails now and then, but takes each batch at the first probe, is not slowed down further.
#[derive(Debug)]
pub struct Breaker {
    retry: Retry,
    rng: fastrand::Rng,
    state: BreakerState,
    /// Whether an attempt was permitted and has not ended.
    in_flight: bool,
    /// No attempt before.
    next_attempt: MonoNanos,
    /// Failed attempts since the last success.
    failures: u32,
    /// Exponent of the bound: openings in a row without success between them; 0 when the sink is stable.
    exponent: u32,
    /// First success since the last failure.
    works_since: Option<MonoNanos>,
    /// When it left the closed state.
    opened_at: Option<MonoNanos>,
    /// Nanoseconds not closed, finished spans alone.
    open_ns: u64,
    transitions: u64,
}

impl Breaker {
    /// Closed. `seed` makes the jitter repeatable; recorders that share a store need different ones.
    #[must_use]
    pub fn new(retry: Retry, seed: u64) -> Self {
        Self {
            retry,
            rng: fastrand::Rng::with_seed(seed),
            state: BreakerState::Closed,
            in_flight: false,
            next_attempt: MonoNanos(0),
            failures: 0,
            exponent: 0,
            works_since: None,
            opened_at: None,
            open_ns: 0,
            transitions: 0,
        }
    }

    /// Asks for an attempt now. True grants it: [`Breaker::succeeded`] or [`Breaker::failed`] must follow. False while
    /// another is in flight, or before its time. Open becomes half-open when the wait is over.
    #[must_use]
    pub fn permit(&mut self, now: MonoNanos) -> bool {
        if self.in_flight || now < self.next_attempt {
            return false;
        }
        if self.state == BreakerState::Open {
            self.enter(BreakerState::HalfOpen);
        }
        self.in_flight = true;
        true
    }

    /// Nanoseconds until the next attempt is due; 0 when it is, or is in flight already.
    #[must_use]
    pub fn wait(&self, now: MonoNanos) -> u64 {
        self.next_attempt.since(now)
    }

    /// The attempt was answered: the sink took the range, or refused events of it, which it can only do when it works.
    pub fn succeeded(&mut self, now: MonoNanos) {
        debug_assert!(self.in_flight, "an attempt is permitted before it ends");
        self.in_flight = false;
        self.failures = 0;
        if let Some(opened_at) = self.opened_at.take() {
            self.open_ns += now.since(opened_at);
            self.enter(BreakerState::Closed);
        }
        // Judged by what it has answered, not by the time that passed: on a quiet stream nothing proves that it works.
        let since = *self.works_since.get_or_insert(now);
        if now.since(since) >= duration_nanos(self.retry.stable) {
            self.exponent = 0;
        }
    }

    /// The attempt failed. What follows: a quick attempt, or a wait with jitter (open).
    pub fn failed(&mut self, now: MonoNanos) {
        debug_assert!(self.in_flight, "an attempt is permitted before it ends");
        self.in_flight = false;
        self.works_since = None;
        self.failures = self.failures.saturating_add(1);
        let was_closed = self.state == BreakerState::Closed;
        if was_closed && self.exponent == 0 && self.failures <= self.retry.attempts {
            return self.wait_from(now, self.retry.quick_nanos());
        }
        // An exponent that was kept is used again as it is; it grows only while nothing succeeds.
        if !was_closed || self.exponent == 0 {
            self.exponent = self.exponent.saturating_add(1);
        }
        self.enter(BreakerState::Open);
        self.opened_at.get_or_insert(now);
        let wait = self.retry.wait_nanos(self.exponent, &mut self.rng);
        self.wait_from(now, wait);
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// Failed attempts since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// When it left the closed state; `None` while closed.
    #[must_use]
    pub const fn opened_at(&self) -> Option<MonoNanos> {
        self.opened_at
    }

    /// Changes of the state.
    #[must_use]
    pub const fn transitions(&self) -> u64 {
        self.transitions
    }

    /// Nanoseconds it was not closed, up to now.
    #[must_use]
    pub fn open_ns_total(&self, now: MonoNanos) -> u64 {
        self.open_ns + self.opened_at.map_or(0, |opened_at| now.since(opened_at))
    }

    fn wait_from(&mut self, now: MonoNanos, nanos: u64) {
        self.next_attempt = MonoNanos(now.0.saturating_add(nanos));
    }

    fn enter(&mut self, state: BreakerState) {
        self.transitions += 1;
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Lets the next attempt begin when it is due, and fail; says when the one after it is due.
    fn fail_next(breaker: &mut Breaker, now: &mut MonoNanos) -> u64 {
        now.0 += breaker.wait(*now);
        assert!(breaker.permit(*now));
        breaker.failed(*now);
        breaker.wait(*now)
    }

    #[test]
    fn quick_attempts_then_open_then_one_probe() {
        let mut breaker = Breaker::new(Retry::default(), 1);
        let mut now = MonoNanos(5);
        for failed in 1..=3 {
            assert_eq!(fail_next(&mut breaker, &mut now), SECOND, "quick attempt {failed}");
            assert_eq!((breaker.state(), breaker.failures()), (BreakerState::Closed, failed));
            assert!(!breaker.permit(MonoNanos(now.0 + SECOND - 1)), "not before its time");
        }
        assert_eq!(breaker.opened_at(), None);
        let wait = fail_next(&mut breaker, &mut now);
        assert_eq!((breaker.state(), breaker.opened_at()), (BreakerState::Open, Some(now)));
        assert!((SECOND / 20..=2 * SECOND).contains(&wait), "{wait}");
        let due = MonoNanos(now.0 + wait);
        assert!(!breaker.permit(MonoNanos(due.0 - 1)));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.permit(due));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(!breaker.permit(due) && !breaker.permit(MonoNanos(due.0 + 3600 * SECOND)), "one probe in flight");
        breaker.succeeded(MonoNanos(due.0 + 7));
        assert_eq!((breaker.state(), breaker.failures(), breaker.opened_at()), (BreakerState::Closed, 0, None));
        assert_eq!(breaker.open_ns_total(due), due.since(now) + 7);
        assert_eq!(breaker.transitions(), 3);
        assert!(breaker.permit(MonoNanos(due.0 + 8)), "and works on without a wait");
    }

    #[test]
    fn without_quick_attempts_the_first_failure_opens() {
        let mut breaker = Breaker::new(Retry { attempts: 0, ..Retry::default() }, 1);
        fail_next(&mut breaker, &mut MonoNanos(0));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn the_bound_doubles_while_nothing_succeeds() {
        // Attempt, seconds of the longest wait after it.
        let cases = [(4, 2), (5, 4), (6, 8), (7, 16), (8, 30), (9, 30)];
        let mut longest = [0; 10];
        for seed in 0..500 {
            let (mut breaker, mut now) = (Breaker::new(Retry::default(), seed), MonoNanos(0));
            for longest in &mut longest[1..] {
                *longest = fail_next(&mut breaker, &mut now).max(*longest);
            }
        }
        for (attempt, seconds) in cases {
            let bound = seconds * SECOND;
            assert!((bound * 97 / 100..=bound).contains(&longest[attempt]), "{attempt}: {}", longest[attempt]);
        }
    }

    /// Opens a breaker with eight failures (bound at 30 s), lets it work from then on for `seconds`, and fails once.
    fn fail_after_working(seconds: u64, seed: u64) -> Breaker {
        let (mut breaker, mut now) = (Breaker::new(Retry::default(), seed), MonoNanos(0));
        for _ in 0..8 {
            fail_next(&mut breaker, &mut now);
        }
        now.0 += breaker.wait(now);
        for _ in 0..=seconds {
            assert!(breaker.permit(now));
            breaker.succeeded(now);
            now.0 += SECOND;
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.permit(now));
        breaker.failed(now);
        breaker
    }

    #[test]
    fn a_failure_before_the_sink_was_stable_opens_at_once_with_the_kept_bound() {
        let longest = (0..500)
            .map(|seed| {
                let breaker = fail_after_working(59, seed);
                assert_eq!((breaker.state(), breaker.failures()), (BreakerState::Open, 1));
                breaker.next_attempt.since(breaker.opened_at.unwrap())
            })
            .max();
        assert!((29 * SECOND..=30 * SECOND).contains(&longest.unwrap()), "{longest:?}");
    }

    #[test]
    fn an_outage_lasts_from_its_opening_to_the_success_and_outages_add_up() {
        let (mut breaker, mut now) = (Breaker::new(Retry::default(), 1), MonoNanos(0));
        let mut total = 0;
        for (failures, transitions) in [(7, 9), (1, 12)] {
            for _ in 0..failures {
                fail_next(&mut breaker, &mut now);
            }
            let opened_at = breaker.opened_at().unwrap();
            assert_eq!(opened_at < now, failures > 1, "failed probes do not begin another outage");
            now.0 += breaker.wait(now);
            assert!(breaker.permit(now));
            assert_eq!(breaker.open_ns_total(now), total + now.since(opened_at), "while it lasts");
            breaker.succeeded(now);
            total += now.since(opened_at);
            now.0 += SECOND;
            assert_eq!((breaker.open_ns_total(now), breaker.transitions()), (total, transitions));
        }
    }

    #[test]
    fn a_sink_that_takes_each_batch_at_the_probe_keeps_the_shortest_bound() {
        let (mut breaker, mut now) = (Breaker::new(Retry::default(), 1), MonoNanos(0));
        for _ in 0..4 {
            fail_next(&mut breaker, &mut now);
        }
        for flap in 0..100 {
            now.0 += breaker.wait(now);
            assert!(breaker.permit(now));
            breaker.succeeded(now);
            let wait = fail_next(&mut breaker, &mut now);
            assert_eq!(breaker.state(), BreakerState::Open);
            assert!(wait <= 2 * SECOND, "flap {flap}: {wait}");
        }
    }

    #[test]
    fn a_sink_that_was_stable_gets_its_quick_attempts_again() {
        assert_eq!(fail_after_working(60, 1).state(), BreakerState::Closed);
    }

    #[test]
    fn silence_is_no_proof_that_a_sink_works() {
        let (mut breaker, mut now) = (Breaker::new(Retry::default(), 1), MonoNanos(0));
        for _ in 0..4 {
            fail_next(&mut breaker, &mut now);
        }
        now.0 += breaker.wait(now);
        assert!(breaker.permit(now));
        breaker.succeeded(now);
        now.0 += 3600 * SECOND;
        fail_next(&mut breaker, &mut now);
        assert_eq!(breaker.state(), BreakerState::Open, "one success an hour ago");
    }

    #[test]
    fn the_numbers_of_the_states_are_fixed() {
        let named: Vec<(u8, &str)> = BreakerState::ALL.iter().map(|&state| (state as u8, state.name())).collect();
        assert_eq!(named, [(0, "closed"), (1, "open"), (2, "half-open")]);
    }
}
