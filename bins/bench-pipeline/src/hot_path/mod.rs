//! `hot-path`: events from producers to a sink that keeps none, beside the bare ring (the limit) and the usual tokio
//! channel; and the same with storage, so that nobody takes the one for the other.

mod bare;
mod channels;
pub(crate) mod pipeline;
mod work;

use crate::Interrupt;
use crate::cli::{HotPathArgs, WaitArg};
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::processes;
use crate::report::{Goal, Limit, Report};
use crate::rounds::{Case, NS_PER_EVENT, Plan, Ratio, Sample, Side};
use crate::trades::Trades;
use anyhow::{Result, ensure};
use bare::Reads;
use channels::Use;
use feedd_core::wait::WaitStrategy;
use pipeline::{Setup, Store};
use serde_json::{Map, json};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;
use work::Work;

/// Events made beforehand and sent again and again: 64 KiB stay in cache.
const READY: usize = 1024;
/// Events that a slow case gets at least.
const EVENTS_MIN: u64 = 10_000;
/// Rounds and processes that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 7;
const PROCESSES_QUOTABLE: u32 = 5;

/// A case: its name in tables, its share of `--events`, and how it runs.
struct Contender {
    key: &'static str,
    name: &'static str,
    /// Slower ways get fewer events, so that all take some 0.2 s.
    part: u64,
    way: Way,
}

enum Way {
    /// `burst`: events published at once; those of the command line when `None`.
    Ring {
        burst: Option<usize>,
        reads: Reads,
    },
    Pipeline {
        producers: usize,
        burst: Option<usize>,
        store: Store,
    },
    Channel {
        producers: usize,
        use_: Use,
    },
}

const BARE: &str = "rtrb";
const PIPELINE: &str = "pipeline";
const BARE_KEPT: &str = "rtrb_kept_over_rtrb";
const BARE_BURST_1: &str = "rtrb_burst_1_over_burst_64";

const CONTENDERS: [Contender; 14] = [
    ring(BARE, "bare rtrb, chunks", 1, None, Reads::InPlace),
    ring("rtrb_kept", "bare rtrb, chunks, kept by the reader", 1, None, Reads::Kept),
    ring("rtrb_burst_1", "bare rtrb, one event a publish", 4, Some(1), Reads::InPlace),
    pipeline(PIPELINE, "feedd, 1 producer, null", 1, 1, None, Store::Null),
    pipeline("pipeline_burst_1", "feedd, 1 producer, one event a publish, null", 4, 1, Some(1), Store::Null),
    pipeline("pipeline_2_producers", "feedd, 2 producers, null", 1, 2, None, Store::Null),
    pipeline("pipeline_4_producers", "feedd, 4 producers, null", 1, 4, None, Store::Null),
    pipeline("pipeline_lane", "feedd, null in a thread of its own", 2, 1, None, Store::NullLane),
    pipeline("pipeline_journal", "feedd, journal, null", 8, 1, None, Store::Journal),
    pipeline("pipeline_parquet", "feedd, journal, Parquet", 64, 1, None, Store::Parquet),
    channel("source_task_per_event", "tokio channel, a task an event", 200, 1, Use::TaskPerEvent),
    channel("source_as_documented", "tokio channel, one by one", 50, 1, Use::AsDocumented),
    channel("source_best", "tokio channel, recv_many", 20, 1, Use::Best),
    channel("source_4_producers", "tokio channel, one by one, 4 producers", 50, 4, Use::AsDocumented),
];

const fn ring(key: &'static str, name: &'static str, part: u64, burst: Option<usize>, reads: Reads) -> Contender {
    Contender { key, name, part, way: Way::Ring { burst, reads } }
}

const fn pipeline(
    key: &'static str,
    name: &'static str,
    part: u64,
    producers: usize,
    burst: Option<usize>,
    store: Store,
) -> Contender {
    Contender { key, name, part, way: Way::Pipeline { producers, burst, store } }
}

const fn channel(key: &'static str, name: &'static str, part: u64, producers: usize, use_: Use) -> Contender {
    Contender { key, name, part, way: Way::Channel { producers, use_ } }
}

const RATIOS: [Ratio; 13] = [
    ratio("pipeline_over_rtrb", PIPELINE, BARE),
    ratio(BARE_KEPT, "rtrb_kept", BARE),
    ratio("burst_1_over_rtrb_burst_1", "pipeline_burst_1", "rtrb_burst_1"),
    ratio("burst_1_over_burst_64", "pipeline_burst_1", PIPELINE),
    ratio(BARE_BURST_1, "rtrb_burst_1", PIPELINE),
    ratio("producers_2_over_1", "pipeline_2_producers", PIPELINE),
    ratio("producers_4_over_1", "pipeline_4_producers", PIPELINE),
    ratio("lane_over_pipeline", "pipeline_lane", PIPELINE),
    ratio("journal_over_null", "pipeline_journal", PIPELINE),
    ratio("parquet_over_null", "pipeline_parquet", PIPELINE),
    ratio("pipeline_over_source_task_per_event", PIPELINE, "source_task_per_event"),
    ratio("pipeline_over_source_as_documented", PIPELINE, "source_as_documented"),
    ratio("pipeline_over_source_best", PIPELINE, "source_best"),
];

const fn ratio(key: &'static str, ours: &'static str, theirs: &'static str) -> Ratio {
    Ratio { key, ours, theirs }
}

const GOALS: [(Goal, &str); 5] = [
    (goal("H1", "pipeline with null sink / bare rtrb", 0.90, 0.45), "pipeline_over_rtrb"),
    (goal("H2", "one event a publish / bursts of 64", 0.40, 0.10), "burst_1_over_burst_64"),
    (goal("H3", "pipeline / tokio channel one by one", 45.0, 15.0), "pipeline_over_source_as_documented"),
    (goal("H5", "pipeline / tokio channel, recv_many", 15.0, 5.0), "pipeline_over_source_best"),
    (goal("H4", "4 producers / 1 producer", 0.70, 0.35), "producers_4_over_1"),
];

const fn goal(name: &'static str, what: &'static str, target: f64, gate: f64) -> Goal {
    Goal { name, what, target, gate }
}

/// # Errors
/// When a case fails, or not every event arrived.
pub(crate) fn measure(args: &HotPathArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("hot-path", Machine::look(&place));
    report.notes = vec![
        format!("64-byte events; rings of {} slots, bursts of {}, wait {:?}", args.ring, args.burst, args.wait),
        "each case has its turn in each round; every event is counted and summed where it arrives".to_owned(),
        "a null sink reads each event and keeps none: the rows with a journal and Parquet are storage".to_owned(),
    ];
    if args.rounds < ROUNDS_QUOTABLE || args.processes < PROCESSES_QUOTABLE {
        report
            .warnings
            .push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE} --processes {PROCESSES_QUOTABLE}"));
    }
    if args.processes > 1 {
        processes::measure(&mut report, args.processes, &for_one_process(args), interrupt)?;
    } else {
        one_process(args, interrupt, &mut report, &place)?;
    }
    report.goals = GOALS.map(|(goal, key)| (goal, report.ratio(key))).into();
    let whose = "bare rtrb, one event a publish / bursts of 64 of feedd";
    report.limits = vec![
        Limit { goal: "H1", whose: "bare rtrb, kept by the reader / read in place", value: report.ratio(BARE_KEPT) },
        Limit { goal: "H2", whose, value: report.ratio(BARE_BURST_1) },
    ];
    Ok(report)
}

fn one_process(args: &HotPathArgs, interrupt: &Interrupt, report: &mut Report, place: &Path) -> Result<()> {
    let cores = if args.no_pin { None } else { two_cores() };
    if cores.is_none() && !args.no_pin {
        report.warnings.push("one core: producers and batching thread share it, nothing is pinned".to_owned());
    }
    let trades = Trades::simulate(READY)?;
    let case = |contender: &Contender| Case {
        key: contender.key.to_owned(),
        name: contender.name.to_owned(),
        side: match contender.way {
            Way::Ring { .. } => Side::Limit,
            Way::Pipeline { .. } => Side::Ours,
            Way::Channel { .. } => Side::Theirs,
        },
    };
    let contenders = chosen(&args.only)?;
    let plan = Plan {
        cases: contenders.iter().map(|contender| case(contender)).collect(),
        unit: NS_PER_EVENT,
        rounds: args.rounds,
        cores,
    };
    let (ring, bursts) = (usize::try_from(args.ring)?, usize::try_from(args.burst)?);
    let rounds = plan.hold(interrupt, &mut |at, _| {
        let contender = contenders[at];
        let events = (args.events / contender.part).max(EVENTS_MIN);
        let work = match contender.way {
            Way::Ring { burst, reads } => {
                bare::ring(cores, ring, burst.unwrap_or(bursts), reads, &trades.events, events)
            }
            Way::Pipeline { producers, burst, store } => {
                let burst = burst.unwrap_or(bursts);
                let setup = Setup { producers, burst, ring, wait: wait(args.wait), cores, store };
                pipeline::run(&setup, &trades, events, place)
            }
            Way::Channel { producers, use_ } => channels::run(use_, producers, &trades.events, events),
        }?;
        Ok(sample(&contender.way, &work))
    })?;
    rounds.tell(report, &RATIOS);
    Ok(())
}

/// The contenders of these names; all without a name.
fn chosen(only: &[String]) -> Result<Vec<&'static Contender>> {
    let known = || CONTENDERS.iter().map(|contender| contender.key).collect::<Vec<_>>().join(", ");
    for name in only {
        ensure!(CONTENDERS.iter().any(|contender| contender.key == name), "no case {name}; there are {}", known());
    }
    Ok(CONTENDERS.iter().filter(|contender| only.is_empty() || only.iter().any(|name| name == contender.key)).collect())
}

/// The bare ring's two threads have nothing to wait for: what they lack of their cores, others had.
fn sample(way: &Way, work: &Work) -> Sample {
    let shares = work.producer_shares.iter().copied();
    let walls: Vec<f64> = work.producer_walls.iter().map(Duration::as_secs_f64).collect();
    let details = [
        ("events", json!(work.events)),
        ("consumer_core_share", json!(work.consumer_share)),
        ("producer_core_shares", json!(work.producer_shares)),
        ("producer_wall_s", json!(walls)),
        ("blocked_s", json!(work.blocked.as_secs_f64())),
        ("blocks", json!(work.blocks)),
        ("hot_threads_cpu_ns_per_event", json!(work.cpu_ns_per_event())),
    ];
    Sample {
        value: work.ns_per_event(),
        core_share: matches!(way, Way::Ring { burst: None, .. }).then(|| shares.fold(work.consumer_share, f64::min)),
        details: details.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Map<_, _>>(),
    }
}

const fn wait(wait: WaitArg) -> WaitStrategy {
    match wait {
        WaitArg::Adaptive => WaitStrategy::Adaptive,
        WaitArg::Spin => WaitStrategy::Spin,
        WaitArg::Yield => WaitStrategy::Yield,
        WaitArg::Park => WaitStrategy::Park,
    }
}

/// The same in one process.
fn for_one_process(args: &HotPathArgs) -> Vec<OsString> {
    let texts = [
        ("--processes", "1".to_owned()),
        ("--events", args.events.to_string()),
        ("--rounds", args.rounds.to_string()),
        ("--ring", args.ring.to_string()),
        ("--burst", args.burst.to_string()),
        ("--wait", args.wait.name().to_owned()),
    ];
    let mut all = vec![OsString::from("hot-path")];
    all.extend(texts.into_iter().flat_map(|(name, value)| [name.into(), value.into()]));
    if !args.only.is_empty() {
        all.extend(["--only".into(), args.only.join(",").into()]);
    }
    all.extend(args.no_pin.then(|| "--no-pin".into()));
    if let Some(dir) = &args.dir {
        all.extend(["--dir".into(), dir.into()]);
    }
    all
}
