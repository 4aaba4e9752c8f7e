//! `latency`: how long an event takes at a fixed rate, from when it was due, until the batching thread has handed it over,
//! until it is durable and until it is stored; and what waiting costs.
//!
//! Open loop: a source that is late catches up, and what had to wait counts from its due time.

mod hop;
mod run;
mod schedule;
mod taker;

use crate::Interrupt;
use crate::cli::{LatencyArgs, WaitsArg};
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::report::{Goal, Limit, Report, Table};
use crate::rounds::{Case, NS, Plan, Rounds, Sample, Side};
use crate::spread::Spread;
use anyhow::{Result, bail};
use feedd_core::wait::WaitStrategy;
use hop::Hop;
use run::{Setup, Threads};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Above this rate only the strategy that never sleeps is measured, unless one is asked for.
const RATE_OF_ALL_MAX: u64 = 1_000_000;
/// Rounds that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 5;
/// Idle time is measured in so many rounds at most: it varies little and takes long.
const IDLE_ROUNDS_MAX: u32 = 3;
/// The longest silence before it is measured what it costs, and for how long that is.
const SILENCE_S: f64 = 2.0;
const WINDOW_S: f64 = 1.0;
/// A source that published its last event later than this part of the run could not keep up.
const LATE_PART_MAX: f64 = 0.01;

const STRATEGIES: [(WaitStrategy, &str); 4] = [
    (WaitStrategy::Adaptive, "adaptive"),
    (WaitStrategy::Spin, "spin"),
    (WaitStrategy::Yield, "yield"),
    (WaitStrategy::Park, "park"),
];

const fn goal(name: &'static str, what: &'static str, target: f64, gate: f64) -> Goal {
    Goal { name, what, target, gate }
}

const L1: Goal = goal("L1", "1m/s, spin: p50 of the hand-over / core to core", 2.0, 8.0);
const L2: Goal = goal("L2", "1m/s, spin: p99 of the hand-over, us", 10.0, 100.0);
const L3: Goal = goal("L3", "5m/s, spin: p50 from the due time, us", 1.0, 10.0);
const L4: Goal = goal("L4", "adaptive: % of a core between bursts", 6.0, 15.0);
const L5: Goal = goal("L5", "adaptive: % of a core after 2 s of silence", 1.0, 5.0);

/// What a case measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Through the bare ring.
    Bare,
    HandOver,
    Durable,
    Stored,
}

impl What {
    const fn key(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::HandOver => "hand_over",
            Self::Durable => "durable",
            Self::Stored => "stored",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "out of the bare ring",
            Self::HandOver => "handed over",
            Self::Durable => "durable",
            Self::Stored => "at a null sink behind the journal",
        }
    }
}

/// A case and how it runs.
#[derive(Clone, Copy, Debug)]
struct Contender {
    wait: (WaitStrategy, &'static str),
    rate: u64,
    what: What,
}

impl Contender {
    fn case(&self) -> Case {
        let rate = rate_text(self.rate);
        Case {
            key: format!("{}_{rate}_{}", self.wait.1, self.what.key()),
            name: format!("{}, {rate}/s, {}", self.wait.1, self.what.name()),
            side: if self.what == What::Bare { Side::Limit } else { Side::Ours },
        }
    }
}

/// # Errors
/// When a run fails, or not every event arrived in order.
pub(crate) fn measure(args: &LatencyArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("latency", Machine::look(&place));
    let cores = two_cores();
    if cores.is_none() {
        report.warnings.push("one core: source and batching thread share it, nothing is pinned".to_owned());
    }
    if args.rounds < ROUNDS_QUOTABLE || args.seconds < 1.0 {
        report.warnings.push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE} --seconds 1"));
    }
    let contenders = contenders(&args.rates, args.wait)?;
    let length = Duration::from_secs_f64(args.seconds);
    let plan = Plan { cases: contenders.iter().map(Contender::case).collect(), unit: NS, rounds: args.rounds, cores };
    // One run tells both when events were durable and when they were stored.
    let mut stored = None;
    let rounds = plan.hold(interrupt, &mut |at, _| {
        let Contender { wait: (wait, _), rate, what } = contenders[at];
        let setup = Setup { wait, cores };
        Ok(match what {
            What::Bare => {
                let (hop, threads) = setup.bare(rate, length)?;
                hand_over_sample(&hop, threads, wait)
            }
            What::HandOver => {
                let (hop, threads) = setup.hand_over(rate, length)?;
                hand_over_sample(&hop, threads, wait)
            }
            What::Durable => {
                let [durable, behind] = setup.storage(rate, length, &place)?;
                stored = Some(due_sample(&behind));
                due_sample(&durable)
            }
            What::Stored => match stored.take() {
                Some(sample) => sample,
                None => due_sample(&setup.storage(rate, length, &place)?[1]),
            },
        })
    })?;
    let idle = idle(args, cores, interrupt)?;
    tell(&mut report, &rounds, &contenders, &idle, length);
    Ok(report)
}

/// Every strategy at every rate, and the recorder's own in front of a journal.
fn contenders(rates: &[u64], waits: WaitsArg) -> Result<Vec<Contender>> {
    let chosen: Vec<_> = STRATEGIES.into_iter().filter(|(wait, _)| waits.includes(*wait)).collect();
    let mut all = Vec::new();
    for &rate in rates {
        let is_measured = |wait| rate <= RATE_OF_ALL_MAX || waits != WaitsArg::All || wait == WaitStrategy::Spin;
        let strategies = chosen.iter().filter(|(wait, _)| is_measured(*wait));
        all.extend(strategies.map(|&wait| Contender { wait, rate, what: What::HandOver }));
        let spinning = chosen.iter().find(|(wait, _)| *wait == WaitStrategy::Spin);
        all.extend(spinning.map(|&wait| Contender { wait, rate, what: What::Bare }));
    }
    let Some(&wait) = chosen.first() else { bail!("no waiting strategy") };
    for &rate in rates.iter().filter(|rate| **rate <= RATE_OF_ALL_MAX) {
        all.extend([What::Durable, What::Stored].map(|what| Contender { wait, rate, what }));
    }
    Ok(all)
}

/// The value is the median from the stamp on: what the threads do, without how exactly the source could wait.
fn hand_over_sample(hop: &Hop, threads: Threads, wait: WaitStrategy) -> Sample {
    let mut details = hop.details();
    details.insert("source_core_share".to_owned(), json!(threads.source_share));
    details.insert("batching_core_share".to_owned(), json!(threads.batching_share));
    details.insert("source_end_late_ns".to_owned(), json!(threads.end_late.as_secs_f64() * 1e9));
    // The source never waits; nor does a batching thread that spins.
    let spinning = if wait == WaitStrategy::Spin { threads.batching_share } else { 1.0 };
    Sample { value: hop.stamp_p50(), core_share: Some(threads.source_share.min(spinning)), details }
}

/// The value is the median from the due time on.
fn due_sample(hop: &Hop) -> Sample {
    let mut details = hop.details();
    details.retain(|name, _| !name.starts_with("stamp"));
    Sample { value: hop.due_p50(), core_share: None, details }
}

/// What a strategy's waiting costs.
struct Idle {
    strategy: &'static str,
    /// Percent of a core.
    silence: Option<Spread>,
    between_bursts: Option<Spread>,
    /// Of the events of those bursts, ns from their stamp on: the source sleeps, and may be late.
    burst_p50_ns: Option<Spread>,
    burst_p99_ns: Option<Spread>,
}

fn idle(args: &LatencyArgs, cores: Option<[usize; 2]>, interrupt: &Interrupt) -> Result<Vec<Idle>> {
    let silence = Duration::from_secs_f64(args.seconds.min(WINDOW_S) * SILENCE_S / WINDOW_S);
    let window = Duration::from_secs_f64(args.seconds.min(WINDOW_S));
    let chosen: Vec<_> = STRATEGIES.into_iter().filter(|(wait, _)| args.wait.includes(*wait)).collect();
    let mut figures = vec![[const { Vec::new() }; 4]; chosen.len()];
    for _ in 0..args.rounds.min(IDLE_ROUNDS_MAX) {
        for ((wait, _), [quiet, between, p50, p99]) in chosen.iter().zip(&mut figures) {
            interrupt.check()?;
            let setup = Setup { wait: *wait, cores };
            quiet.extend(setup.silence(silence, window)?.map(|share| share * 100.0));
            let (hop, share) = setup.bursts(window)?;
            between.extend(share.map(|share| share * 100.0));
            let details = hop.details();
            p50.extend(details["stamp_p50"].as_f64());
            p99.extend(details["stamp_p99"].as_f64());
        }
    }
    let told = chosen.iter().zip(figures).map(|((_, strategy), figures)| {
        let [silence, between_bursts, burst_p50_ns, burst_p99_ns] = figures.map(Spread::of);
        Idle { strategy, silence, between_bursts, burst_p50_ns, burst_p99_ns }
    });
    Ok(told.collect())
}

fn tell(report: &mut Report, rounds: &Rounds, contenders: &[Contender], idle: &[Idle], length: Duration) {
    report.notes = vec![
        "hand-over: from a source that never sleeps and publishes one by one, until whoever is served by the batching \
         thread has the block"
            .to_owned(),
        "bare ring: the same events at the same times through rtrb alone, until a thread that does nothing but look has \
         taken them out, one cache line after the other; in its percentiles stands what the machine takes away, too"
            .to_owned(),
        "durable, stored: the source looks every 200 us; the journal is synced every 10 ms; a null sink gets batches of \
         500, or what is 5 s old"
            .to_owned(),
        "medians over the rounds of each round's percentiles; every event is checked for its place in the order".to_owned(),
        format!("{:.1} s a run, of which the first tenth does not count", length.as_secs_f64()),
    ];
    rounds.tell(report, &[]);
    let (spin_1m, bare_1m) = ("spin_1m_hand_over", "spin_1m_bare");
    let [over_ping_pong, bare_over_ping_pong] = [spin_1m, bare_1m].map(|case| rounds.over_ping_pong(case));
    let over_bare = |detail| Spread::of(rounds.detail_pairs([spin_1m, bare_1m], detail).iter().map(|[a, b]| a / b));
    // What stops it: the bare ring by the same clock.
    let limits = [
        ("hand_over_1m_spin_over_ping_pong", "p50 of the hand-over / core to core", over_ping_pong),
        ("bare_ring_1m_spin_over_ping_pong", "p50 of the bare ring / core to core", bare_over_ping_pong),
        ("hand_over_1m_spin_p50_over_bare_ring", "p50 of the hand-over / bare ring", over_bare("stamp_p50")),
        ("hand_over_1m_spin_p99_over_bare_ring", "p99 of the hand-over / bare ring", over_bare("stamp_p99")),
    ];
    report.ratios.extend(limits.map(|(key, _, spread)| (key.to_owned(), spread)));
    let limits = limits.map(|(_, what, spread)| vec![what.to_owned(), Spread::text(spread, 2)]);
    let limits = Table { heads: vec!["1m/s, spin", "ratio: median (p25 to p75)"], rows: limits.to_vec() };
    report.tables = vec![hops_table(rounds, contenders), limits, idle_table(idle)];
    report.tables_say_all = true;
    let late_max = length.as_secs_f64() * 1e9 * LATE_PART_MAX;
    for contender in contenders {
        let case = contender.case();
        if rounds.detail(&case.key, "source_end_late_ns").is_some_and(|late| late.median > late_max) {
            report.warnings.push(format!("{}: the source could not keep up with the rate", case.name));
        }
    }
    let adaptive = idle.iter().find(|idle| idle.strategy == "adaptive");
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let us = |key: &str, detail| rounds.detail(key, detail).map(|spread| spread.median / 1e3);
    report.goals = vec![
        (L1, median(over_ping_pong)),
        (L2, us(spin_1m, "stamp_p99")),
        (L3, us("spin_5m_hand_over", "due_p50")),
        (L4, adaptive.and_then(|idle| median(idle.between_bursts))),
        (L5, adaptive.and_then(|idle| median(idle.silence))),
    ];
    report.limits.push(Limit { goal: L1.name, whose: "bare ring / core to core", value: median(bare_over_ping_pong) });
    let json = |spread: Option<Spread>| json!(spread.map(Spread::json));
    let idle = idle.iter().map(|idle| {
        let figures = json!({
            "silence_percent_of_core": json(idle.silence), "between_bursts_percent_of_core": json(idle.between_bursts),
            "burst_p50_ns": json(idle.burst_p50_ns), "burst_p99_ns": json(idle.burst_p99_ns),
        });
        (idle.strategy.to_owned(), figures)
    });
    report.figures.insert("idle".to_owned(), Value::Object(idle.collect::<Map<_, _>>()));
}

fn hops_table(rounds: &Rounds, contenders: &[Contender]) -> Table {
    let rows = contenders.iter().map(|contender| {
        let case = contender.case();
        let time = |detail: &str| time_text(rounds.detail(&case.key, detail));
        let mut row = vec![case.name.clone()];
        row.extend(["stamp_p50", "stamp_p99"].map(time));
        row.extend(["due_p50", "due_p90", "due_p99", "due_p999", "due_p9999", "due_max"].map(time));
        let share = rounds.detail(&case.key, "batching_core_share");
        row.push(share.map_or_else(|| "-".to_owned(), |share| format!("{:.2}", share.median)));
        row
    });
    let heads = vec!["until", "stamp p50", "p99", "due p50", "p90", "p99", "p99.9", "p99.99", "max", "batching, cores"];
    Table { heads, rows: rows.collect() }
}

fn idle_table(idle: &[Idle]) -> Table {
    let rows = idle.iter().map(|idle| {
        vec![
            idle.strategy.to_owned(),
            Spread::text(idle.silence, 2),
            Spread::text(idle.between_bursts, 2),
            time_text(idle.burst_p50_ns),
            time_text(idle.burst_p99_ns),
        ]
    });
    let heads = vec!["waiting", "% of a core in silence", "% between bursts of 64 each 10 ms", "stamp p50", "p99"];
    Table { heads, rows: rows.collect() }
}

/// A median time with its unit.
fn time_text(nanos: Option<Spread>) -> String {
    let Some(nanos) = nanos.map(|spread| spread.median) else { return "-".to_owned() };
    match nanos {
        _ if nanos < 1e4 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} us", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

/// A rate as it is typed: `10k`, `1m`.
fn rate_text(rate: u64) -> String {
    match rate {
        _ if rate.is_multiple_of(1_000_000) => format!("{}m", rate / 1_000_000),
        _ if rate.is_multiple_of(1_000) => format!("{}k", rate / 1_000),
        _ => rate.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(rates: &[u64], waits: WaitsArg) -> Vec<String> {
        contenders(rates, waits).unwrap().iter().map(|contender| contender.case().key).collect()
    }

    #[test]
    fn every_strategy_has_every_rate_but_the_highest_are_for_spinning() {
        let all = keys(&[10_000, 1_000_000, 5_000_000], WaitsArg::All);
        assert_eq!(all.len(), 4 + 4 + 1 + 3 + 2 * 2);
        for key in [
            "park_10k_hand_over",
            "spin_10k_bare",
            "spin_5m_bare",
            "spin_5m_hand_over",
            "adaptive_1m_durable",
            "adaptive_10k_stored",
        ] {
            assert!(all.iter().any(|known| known == key), "{key}: {all:?}");
        }
        assert!(!all.iter().any(|key| key == "adaptive_5m_hand_over" || key.starts_with("adaptive_5m")), "{all:?}");
        let park = keys(&[1_500, 5_000_000], WaitsArg::Park);
        assert_eq!(park, ["park_1500_hand_over", "park_5m_hand_over", "park_1500_durable", "park_1500_stored"]);
    }
}
