//! What the batching thread does while nothing arrives.
//!
//! Hot path: [`Waiter::idle`] is called once per round that brought little; time comes from the injected clock.

use crate::wake::Wake;
use feedd_model::MonoNanos;
use std::time::Duration;

/// How a consumer waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStrategy {
    /// Spin for up to 50 µs, then nap as long as costs some 4 % of a core, after 200 ms of silence park until woken.
    Adaptive,
    /// Look again at once, for ever, without a pause: lowest latency, one core at 100 %, both hardware threads of it.
    Spin,
    /// As spin, giving the core to others in between.
    Yield,
    /// Spin for up to 50 µs, then park until woken.
    Park,
}

/// Pause after a look that brought few events: a reader that takes each event as it comes slows the writer (measured 29
/// against 9 ns an event).
const PACE_NANOS: u64 = 300;
/// The same where traffic is dense: each look takes the news from the core of a writer that is busy with it. Measured 7.0
/// against 8.0 ns an event.
const PACE_DENSE_NANOS: u64 = 1_000;
/// Looks between two readings of the clock, each after a pause that leaves the core to its other hardware thread.
const LOOKS: u32 = 16;
/// The same under [`WaitStrategy::Spin`], without the pause: in it an event is not seen. `bench-pipeline latency` measures
/// p50 some 20 ns less for it (6 to 24 in five pairs of runs).
const LOOKS_WITHOUT_PAUSE: u32 = 256;
/// Spinning longer than this saves no wake-up at 100,000 events/s and more; measured.
const SPIN_NANOS_MAX: u64 = 50_000;
/// Spinning is shortened to this while it never pays.
const SPIN_NANOS_MIN: u64 = 3_000;
/// So many events after a nap or a pause mean that traffic is dense; after a nap, spinning pays again.
const DENSE_EVENTS: usize = 8;
/// A nap is this many times as long as its own cost: 4 % of a core. `bench-pipeline latency` measures 6 with the looks in
/// between.
const NAP_COSTS: u64 = 24;
/// Shortest and longest nap. A wake-up costs 4 µs on bare metal and was seen to cost 30 µs in a virtual machine.
const NAP_NANOS: std::ops::RangeInclusive<u64> = 100_000..=2_000_000;
/// The nap when its cost cannot be measured.
const NAP_NANOS_UNMEASURED: u64 = 500_000;
/// Naps that are measured at the start of a thread.
const NAPS_MEASURED: u64 = 16;
/// After this silence the naps cost more than a wake-up does.
const SILENCE_NANOS: u64 = 200_000_000;
/// Longest sleep: published state is looked at again after it, whatever happened to a wake-up.
const PARK_NANOS: u64 = 40_000_000;

/// The waiting state of one consumer.
#[derive(Debug)]
pub struct Waiter {
    strategy: WaitStrategy,
    idle_since: Option<MonoNanos>,
    /// Whether the running idle time has got beyond spinning.
    slept: bool,
    /// How long spinning is tried: halved when it was in vain, doubled when it paid.
    spin_ns: u64,
    nap_ns: u64,
}

/// What the strategy asks for at a given moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Look again.
    Look,
    /// Give the core away, then look again.
    Yield,
    /// Sleep for the length of a nap.
    Nap,
    /// Sleep until woken, for a bounded time.
    Park,
}

impl WaitStrategy {
    /// Whether a consumer of this strategy ever parks, so that producers must notify it.
    #[must_use]
    pub const fn parks(self) -> bool {
        matches!(self, Self::Adaptive | Self::Park)
    }

    /// What to do after `idle_ns` without work, when spinning is tried for `spin_ns`.
    const fn step(self, idle_ns: u64, spin_ns: u64) -> Step {
        match self {
            Self::Spin => Step::Look,
            Self::Yield => Step::Yield,
            _ if idle_ns < spin_ns => Step::Look,
            Self::Adaptive if idle_ns < SILENCE_NANOS => Step::Nap,
            Self::Adaptive | Self::Park => Step::Park,
        }
    }
}

impl Waiter {
    /// A waiter that has just worked. Under [`WaitStrategy::Adaptive`] it first takes some naps (about 3 ms) to learn
    /// what they cost on this machine.
    #[must_use]
    pub fn new(strategy: WaitStrategy) -> Self {
        let nap_ns = if strategy == WaitStrategy::Adaptive { nap_of_cost(measured_nap_cost()) } else { 0 };
        Self { strategy, idle_since: None, slept: false, spin_ns: SPIN_NANOS_MAX, nap_ns }
    }

    /// Notes that `events` arrived.
    #[inline]
    pub fn worked(&mut self, events: usize) {
        if self.idle_since.take().is_some() {
            if !self.slept {
                self.spin_ns = (self.spin_ns * 2).min(SPIN_NANOS_MAX);
            } else if events >= DENSE_EVENTS {
                self.spin_ns = SPIN_NANOS_MAX;
            }
            self.slept = false;
        }
    }

    /// Waits once, as the strategy asks for at `now`. `has_work` is asked while looking and before parking. Tells whether
    /// it was found by looking, within a microsecond of `now`.
    pub fn idle(&mut self, now: MonoNanos, wake: &Wake, has_work: impl FnMut() -> bool) -> bool {
        let since = *self.idle_since.get_or_insert(now);
        let step = self.strategy.step(now.since(since), self.spin_ns);
        if !self.slept && matches!(step, Step::Nap | Step::Park) {
            self.slept = true;
            self.spin_ns = (self.spin_ns / 2).max(SPIN_NANOS_MIN);
        }
        match step {
            Step::Look if self.strategy == WaitStrategy::Spin => return look_without_pause(has_work),
            Step::Look => return look(has_work),
            Step::Yield => std::thread::yield_now(),
            Step::Nap => wake.nap(self.nap_ns),
            Step::Park => wake.sleep(PARK_NANOS, has_work),
        }
        false
    }
}

/// Looks some times in a row: what comes meanwhile does not wait for a reading of the clock and what else a round does.
fn look(mut has_work: impl FnMut() -> bool) -> bool {
    (0..LOOKS).any(|_| {
        std::hint::spin_loop();
        has_work()
    })
}

/// The same for who has a core of its own, and gives all of it.
fn look_without_pause(mut has_work: impl FnMut() -> bool) -> bool {
    (0..LOOKS_WITHOUT_PAUSE).any(|_| has_work())
}

/// How long to nap when one nap costs `cost_ns` of the core.
fn nap_of_cost(cost_ns: Option<u64>) -> u64 {
    cost_ns.map_or(NAP_NANOS_UNMEASURED, |cost| (cost * NAP_COSTS).clamp(*NAP_NANOS.start(), *NAP_NANOS.end()))
}

/// Time on a core that one short nap costs the calling thread; `None` where the system does not tell.
fn measured_nap_cost() -> Option<u64> {
    let before = thread_cpu_ns()?;
    for _ in 0..NAPS_MEASURED {
        std::thread::sleep(Duration::from_nanos(*NAP_NANOS.start()));
    }
    Some(thread_cpu_ns()?.saturating_sub(before) / NAPS_MEASURED)
}

/// Nanoseconds the calling thread has been on a core (first field of schedstat, see proc(5)).
fn thread_cpu_ns() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

/// Waits after a look that brought `events`, so that more come together. By the clock: the pause instruction takes 4 to 45 ns
/// depending on the processor.
pub fn pace(events: usize) {
    let nanos = if events < DENSE_EVENTS { PACE_NANOS } else { PACE_DENSE_NANOS };
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_nanos(nanos) {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPIN: u64 = SPIN_NANOS_MAX;

    #[test]
    fn strategies_follow_the_silence() {
        let cases = [
            ("adaptive spins at first", WaitStrategy::Adaptive, SPIN - 1, Step::Look),
            ("adaptive naps between bursts", WaitStrategy::Adaptive, SPIN, Step::Nap),
            ("adaptive naps up to 200 ms", WaitStrategy::Adaptive, 199_999_999, Step::Nap),
            ("adaptive parks in silence", WaitStrategy::Adaptive, 200_000_000, Step::Park),
            ("park parks after the spin", WaitStrategy::Park, SPIN, Step::Park),
            ("spin never stops", WaitStrategy::Spin, u64::MAX, Step::Look),
            ("yield never sleeps", WaitStrategy::Yield, u64::MAX, Step::Yield),
        ];
        for (name, strategy, idle, expected) in cases {
            assert_eq!(strategy.step(idle, SPIN), expected, "{name}");
        }
        // The last event of a quiet stream is handed on within 50 ms even if every wake-up were lost.
        assert!(PARK_NANOS + NAP_NANOS.end() < 50_000_000);
    }

    #[test]
    fn work_that_comes_while_it_looks_is_told_and_after_some_looks_it_gives_up() {
        let (wake, asked) = (Wake::new(false), std::cell::Cell::new(0));
        let comes_at = |strategy: WaitStrategy, look: u32| {
            asked.set(0);
            let has_work = || {
                asked.set(asked.get() + 1);
                asked.get() == look
            };
            Waiter::new(strategy).idle(MonoNanos(1), &wake, has_work)
        };
        for (strategy, looks) in [(WaitStrategy::Spin, LOOKS_WITHOUT_PAUSE), (WaitStrategy::Park, LOOKS)] {
            assert_eq!((comes_at(strategy, 3), asked.get()), (true, 3));
            assert_eq!((comes_at(strategy, looks), asked.get()), (true, looks));
            assert_eq!((comes_at(strategy, looks + 1), asked.get()), (false, looks));
        }
        assert!(!Waiter::new(WaitStrategy::Yield).idle(MonoNanos(1), &wake, || true), "it has not looked");
    }

    #[test]
    fn a_nap_costs_the_same_share_whatever_a_wake_up_costs() {
        let cases =
            [(Some(4_000), 100_000), (Some(10_000), 240_000), (Some(30_000), 720_000), (Some(900_000), 2_000_000)];
        for (cost, nap) in cases {
            assert_eq!(nap_of_cost(cost), nap, "{cost:?}");
        }
        assert_eq!(nap_of_cost(None), NAP_NANOS_UNMEASURED);
    }

    #[test]
    fn spinning_is_shortened_while_it_is_in_vain_and_comes_back_with_traffic() {
        let wake = Wake::new(true);
        let mut waiter = Waiter { nap_ns: 1, ..Waiter::new(WaitStrategy::Park) };
        waiter.strategy = WaitStrategy::Adaptive;
        let mut now = 0;
        let mut sparse = |waiter: &mut Waiter, events| {
            for idle in [0, SPIN, SPIN + 1] {
                waiter.idle(MonoNanos(now + idle), &wake, || true);
            }
            now += 1_000_000;
            waiter.worked(events);
        };
        for _ in 0..10 {
            sparse(&mut waiter, 1);
        }
        assert_eq!(waiter.spin_ns, SPIN_NANOS_MIN, "one event now and then: spinning does not pay");
        sparse(&mut waiter, DENSE_EVENTS);
        assert_eq!(waiter.spin_ns, SPIN_NANOS_MAX, "many at once: traffic is dense again");
        sparse(&mut waiter, 1);
        waiter.idle(MonoNanos(0), &wake, || true);
        waiter.worked(1);
        assert_eq!(waiter.spin_ns, SPIN_NANOS_MAX, "work that came while spinning: it pays");
    }
}
