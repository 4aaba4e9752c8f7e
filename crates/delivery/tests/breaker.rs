//! No retry storm: attempts are bounded whatever the outage, one is in flight at a time, and many recorders do not come
//! back in step. All in virtual time; every seed is a number of a loop, so a failure names it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]
#![allow(clippy::cast_precision_loss, reason = "statistics over small counts")]

use feedd_delivery::{Breaker, BreakerState, Retry};
use feedd_model::MonoNanos;
use feedd_testkit::promise::Report;
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;
const HOUR: u64 = 3_600 * SECOND;
/// What an attempt takes: a refused connection.
const ATTEMPT: u64 = MILLISECOND;

const RETRY: Retry = Retry {
    attempts: 3,
    delay: Duration::from_secs(1),
    delay_max: Duration::from_secs(30),
    stable: Duration::from_secs(60),
};

/// What decides when a sink is tried: the breaker, or a twin that must fail.
trait Policy {
    /// When the next attempt begins. The policy has been asked and has granted it.
    fn next_attempt(&mut self, now: u64) -> u64;
    fn ended(&mut self, now: u64, worked: bool);
}

impl Policy for Breaker {
    fn next_attempt(&mut self, now: u64) -> u64 {
        let due = now + self.wait(MonoNanos(now));
        if due > now {
            assert!(!self.permit(MonoNanos(due - 1)), "not before its time");
        }
        assert!(self.permit(MonoNanos(due)), "when it said");
        assert!(!self.permit(MonoNanos(due)) && !self.permit(MonoNanos(due + HOUR)), "one in flight");
        assert_ne!(self.state(), BreakerState::Open, "an attempt closes or probes");
        due
    }
    fn ended(&mut self, now: u64, worked: bool) {
        if worked {
            self.succeeded(MonoNanos(now));
            assert_eq!(self.state(), BreakerState::Closed);
        } else {
            self.failed(MonoNanos(now));
            assert_ne!(self.state(), BreakerState::HalfOpen, "a failed probe is over");
        }
    }
}

/// Tries again at once.
struct Blind;

impl Policy for Blind {
    fn next_attempt(&mut self, now: u64) -> u64 {
        now
    }
    fn ended(&mut self, _: u64, _: bool) {}
}

/// The same bounds, waited for to the end.
#[derive(Default)]
struct WithoutJitter {
    failures: u32,
}

impl Policy for WithoutJitter {
    fn next_attempt(&mut self, now: u64) -> u64 {
        now + match self.failures {
            0 => 0,
            1..=3 => SECOND,
            failures => bounds().nth(failures as usize - 4).unwrap(),
        }
    }
    fn ended(&mut self, _: u64, worked: bool) {
        self.failures = if worked { 0 } else { self.failures + 1 };
    }
}

/// Forgets the outage at the first success.
struct ForgetsAtOnce {
    breaker: Breaker,
    seed: u64,
}

impl Policy for ForgetsAtOnce {
    fn next_attempt(&mut self, now: u64) -> u64 {
        self.breaker.next_attempt(now)
    }
    fn ended(&mut self, now: u64, worked: bool) {
        self.breaker.ended(now, worked);
        if worked {
            self.seed += 1;
            self.breaker = Breaker::new(RETRY, self.seed);
        }
    }
}

/// Bounds of the waits of a lasting outage, after the quick attempts.
fn bounds() -> impl Iterator<Item = u64> {
    (1..).map(|opened: u32| (SECOND << opened.min(30)).min(30 * SECOND))
}

/// Begins of the attempts of one recorder whose sink is away from 0 to `outage`; the last one succeeds.
fn attempts_in(policy: &mut impl Policy, outage: u64) -> Vec<u64> {
    let (mut now, mut begins) = (0, Vec::new());
    loop {
        now = policy.next_attempt(now);
        begins.push(now);
        let worked = now >= outage;
        now += ATTEMPT;
        policy.ended(now, worked);
        if worked {
            return begins;
        }
    }
}

/// Most failed attempts of an outage, exceeded with a probability below 1e-6.
///
/// The first attempt and the quick ones (1 + 3) end the first 3 s. The k-th attempt after them fails when the k waits before
/// it sum up to less than the rest, T. The waits are uniform from 0 (or a little more) to b(i), so by Chernoff's bound, for
/// every s > 0: P(sum <= T) <= exp(s T) x product of (1 - exp(-s b(i))) / (s b(i)). The least over s is searched; the
/// smallest k for which it is below 1e-6 is one more than can be expected to happen.
///
/// For one hour this is about 6 standard deviations above the mean (the bound is not sharp): 4 quick attempts, 4 at the growing bounds
/// (2, 4, 8, 16 s: 15 s on average), then one in 15.025 s, less 1/3 for the start of the renewal, in the other 3,582 s:
/// 246 on average, with a deviation of sqrt(75 x 3582 / 15^3) = 8.9.
fn attempts_bound(outage: u64) -> usize {
    let rest = outage.saturating_sub(3 * SECOND) as f64 / SECOND as f64;
    let log_probability = |waits: usize, s: f64| {
        let factors = bounds().take(waits).map(|bound| s * bound as f64 / SECOND as f64);
        s * rest + factors.map(|x| (-(-x).exp_m1() / x).ln()).sum::<f64>()
    };
    let unlikely = |waits: usize| {
        let mut steps = (0..120).map(|step| 1e-4 * 1.12f64.powi(step));
        steps.any(|s| log_probability(waits, s) < 1e-6f64.ln())
    };
    let (mut expected, mut impossible) = (0, 16);
    while !unlikely(impossible) {
        (expected, impossible) = (impossible, impossible * 2);
    }
    while impossible - expected > 1 {
        let middle = usize::midpoint(expected, impossible);
        if unlikely(middle) { impossible = middle } else { expected = middle }
    }
    4 + impossible - 1
}

struct Spread {
    mean: f64,
    p99: usize,
    max: usize,
}

fn spread(mut values: Vec<usize>) -> Spread {
    values.sort_unstable();
    let mean = values.iter().sum::<usize>() as f64 / values.len() as f64;
    Spread { mean, p99: values[values.len() * 99 / 100], max: *values.last().unwrap() }
}

fn failed_attempts(policy: &mut impl Policy, outage: u64) -> usize {
    attempts_in(policy, outage).len() - 1
}

#[test]
fn an_outage_of_an_hour_costs_a_bounded_number_of_attempts() {
    let seeds = 10_000;
    let counts = (0..seeds).map(|seed| failed_attempts(&mut Breaker::new(RETRY, seed), HOUR)).collect();
    let (found, bound) = (spread(counts), attempts_bound(HOUR));
    let note = format!("mean {:.1}, p99 {}, max {}, bound {bound}", found.mean, found.p99, found.max);
    println!("n={seeds}: {note}");
    Report::new("P14")
        .runs(seeds)
        .faults(seeds)
        .fault_kinds("outages of an hour, in virtual time")
        .demand(found.max <= bound, "too many attempts")
        .note(&note)
        .finish();
    assert!((found.mean - 246.0).abs() < 1.0, "the theory of the bound: {}", found.mean);
    assert!(found.max <= bound, "{} of {bound}", found.max);
    let blind = failed_attempts(&mut Blind, HOUR);
    assert!(blind > bound, "a twin that tries again at once must fail: {blind}");
}

#[test]
fn outages_of_any_length_cost_bounded_attempts_and_end_soon() {
    let lengths = [1, 2, 4, 10, 30, 120, 600, 3_600, 6 * 3_600, 24 * 3_600];
    let seeds = 1_000;
    for seconds in lengths {
        let (outage, bound) = (seconds * SECOND, attempts_bound(seconds * SECOND));
        let mut counts = Vec::new();
        let mut latest = 0;
        for seed in 0..seeds {
            let mut breaker = Breaker::new(RETRY, seed + seconds * seeds);
            let begins = attempts_in(&mut breaker, outage);
            counts.push(begins.len() - 1);
            latest = latest.max(begins.last().unwrap() - outage);
            let open_ns = breaker.open_ns_total(MonoNanos(u64::MAX));
            assert!(open_ns <= outage + 30 * SECOND + ATTEMPT, "seconds {seconds} seed {seed}: {open_ns}");
        }
        let found = spread(counts);
        println!(
            "n={seeds}, {seconds} s: mean {:.1}, p99 {}, max {}, bound {bound}; back at most {:.1} s later",
            found.mean,
            found.p99,
            found.max,
            latest as f64 / SECOND as f64
        );
        assert!(found.max <= bound, "{seconds} s: {} of {bound}", found.max);
        // A wait that began before the end lasts at most as long as the longest pause.
        assert!(latest <= 30 * SECOND, "{seconds} s: {latest}");
    }
}

/// Failed attempts of one hour with a sink that comes and goes: away for ten minutes, then by turns up and away, each for a
/// random time below 60 s and 20 s. It is offered a batch every 100 ms while it works.
fn failures_when_flapping(policy: &mut impl Policy, seed: u64) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (mut turn_ends, mut is_up) = (600 * SECOND, false);
    let (mut now, mut failures) = (0, 0);
    while now < 600 * SECOND + HOUR {
        now = policy.next_attempt(now);
        while now >= turn_ends {
            is_up = !is_up;
            turn_ends += rng.u64(SECOND..if is_up { 59 * SECOND } else { 20 * SECOND });
        }
        failures += usize::from(!is_up && now > 600 * SECOND);
        now += ATTEMPT;
        policy.ended(now, is_up);
        now += if is_up { 100 * MILLISECOND } else { 0 };
    }
    failures
}

#[test]
fn a_sink_that_comes_and_goes_costs_no_more_failures_than_one_that_stays_away() {
    let seeds = 2_000;
    // After every failure follows a wait of the bound it had when it was last away; a success adds no failure.
    let bound = attempts_bound(HOUR);
    let counts = (0..seeds).map(|seed| failures_when_flapping(&mut Breaker::new(RETRY, seed), seed)).collect();
    let found = spread(counts);
    let twins = (0..20)
        .map(|seed| failures_when_flapping(&mut ForgetsAtOnce { breaker: Breaker::new(RETRY, seed), seed }, seed))
        .collect();
    let twins = spread(twins);
    println!("n={seeds}: mean {:.1}, p99 {}, max {}, bound {bound}", found.mean, found.p99, found.max);
    println!("n=20 twins that forget the outage at the first success: mean {:.1}", twins.mean);
    assert!(found.max <= bound, "{} of {bound}", found.max);
    assert!(twins.mean > bound as f64, "a twin that forgets at the first success must fail: {}", twins.mean);
}

#[test]
fn a_sink_that_takes_every_batch_at_the_second_offer_is_tried_once_a_second_at_most() {
    let seeds = 1_000;
    for seed in 0..seeds {
        let mut breaker = Breaker::new(RETRY, seed);
        let (mut now, mut failures) = (0, 0usize);
        while now < HOUR {
            now = breaker.next_attempt(now) + ATTEMPT;
            breaker.ended(now, failures % 2 == 1);
            failures += 1;
        }
        // Never opened: a quick attempt after each failure.
        assert_eq!((failures / 2, breaker.transitions()), (3_593, 0), "seed {seed}");
    }
    println!("n={seeds}");
}

/// Most of the given times within one second, wherever it begins.
fn peak_in_a_second(times: &mut [u64]) -> usize {
    times.sort_unstable();
    let mut first = 0;
    let mut peak = 0;
    for (last, &time) in times.iter().enumerate() {
        while time - times[first] >= SECOND {
            first += 1;
        }
        peak = peak.max(last + 1 - first);
    }
    peak
}

/// Peaks of 100 recorders in one second.
struct Peaks {
    /// Of returns after the outage, in the worst second, wherever it begins.
    returns: usize,
    /// The same in seconds of the clock.
    returns_of_clock: usize,
    /// Of attempts while the store is away, from the second minute on: the quick attempts before are in step, as the
    /// configuration asks for.
    probes: usize,
}

/// 100 recorders lose their store in the same instant, for an hour.
fn peaks_of_hundred<P: Policy>(policy: impl Fn(u64) -> P) -> Peaks {
    let (mut probes, mut returns) = (Vec::new(), Vec::new());
    for recorder in 0..100 {
        let begins = attempts_in(&mut policy(recorder), HOUR);
        let (last, failed) = begins.split_last().unwrap();
        returns.push(*last);
        probes.extend(failed.iter().filter(|&&begin| begin >= 60 * SECOND));
    }
    let mut of_clock: Vec<u64> = returns.iter().map(|time| time / SECOND * SECOND).collect();
    Peaks {
        returns: peak_in_a_second(&mut returns),
        returns_of_clock: peak_in_a_second(&mut of_clock),
        probes: peak_in_a_second(&mut probes),
    }
}

/// Most returns of 100 recorders in one second.
///
/// A recorder at the cap is at a random place of a wait that is 15 s long on average, so it returns in a given second with a
/// probability of at most 1/15. The number of returns is binomial: 6.7 on average, deviation 2.5. More than 22 in a given
/// second have a probability of 2e-7; 30 seconds in 1,000 groups, and windows that begin anywhere, make that some
/// percent at most. 15 is exceeded in a given second with 0.1 %: over all seconds, in a few groups of a hundred.
const RETURNS_MAX: usize = 22;
/// The same for attempts while the store is away: 3,540 seconds instead of 30, so that 1e-9 a second is needed.
const PROBES_MAX: usize = 28;

#[test]
fn hundred_recorders_do_not_come_back_in_step() {
    let groups = 1_000;
    let peaks: Vec<Peaks> =
        (0..groups).map(|group| peaks_of_hundred(|recorder| Breaker::new(RETRY, group * 100 + recorder))).collect();
    let of = |what: fn(&Peaks) -> usize| spread(peaks.iter().map(what).collect());
    let (returns, of_clock, probes) = (of(|p| p.returns), of(|p| p.returns_of_clock), of(|p| p.probes));
    let within = peaks.iter().filter(|p| p.returns <= 15).count();
    println!("n={groups}, returns in any second: mean {:.1}, p99 {}, max {}", returns.mean, returns.p99, returns.max);
    println!("at most 15 in {within} groups; seconds of the clock: p99 {}, max {}", of_clock.p99, of_clock.max);
    println!("probes in 59 min: mean {:.1}, p99 {}, max {}", probes.mean, probes.p99, probes.max);
    assert!(within * 100 >= 97 * peaks.len() && of_clock.p99 <= 15, "{within} groups, {}", of_clock.p99);
    assert!(returns.max <= RETURNS_MAX, "{}", returns.max);
    assert!(probes.max <= PROBES_MAX, "{}", probes.max);
    let twin = peaks_of_hundred(|_| WithoutJitter::default());
    println!("without jitter: returns {}, probes {}", twin.returns, twin.probes);
    assert!(twin.returns > RETURNS_MAX && twin.probes > PROBES_MAX, "a twin without jitter must fail");
}
