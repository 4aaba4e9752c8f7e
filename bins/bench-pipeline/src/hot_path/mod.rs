//! `hot-path`: events from producers to a lane, beside the bare ring (the limit) and the usual tokio channel.
//!
//! In each round every case has its turn, so a ratio is one of neighbours. Rounds in which the machine was disturbed stay in
//! the JSON and count for nothing.

mod bare;
mod channels;
mod disturbance;
mod pipeline;
mod work;

use crate::Interrupt;
use crate::cli::{HotPathArgs, WaitArg};
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::spread::Spread;
use crate::trades::Trades;
use anyhow::{Context, Result, ensure};
use channels::Use;
use disturbance::{Disturbance, Steal};
use feedd_core::affinity::usable_cores;
use feedd_core::wait::WaitStrategy;
use pipeline::{Setup, Store};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use work::Work;

/// Events made beforehand and sent again and again: 64 KiB stay in cache.
const READY: usize = 1024;
/// Events that a slow case gets at least.
const EVENTS_MIN: u64 = 10_000;
/// Rounds and processes that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 7;
const PROCESSES_QUOTABLE: u32 = 5;

/// A case: its name in tables, its share of `--events`, and how it runs.
struct Case {
    key: &'static str,
    name: &'static str,
    /// Slower ways get fewer events, so that all take some 0.2 s.
    part: u64,
    way: Way,
}

enum Way {
    Ring,
    Pipeline { producers: usize, burst: usize, store: Store },
    Channel { producers: usize, use_: Use },
}

const BARE: &str = "rtrb";
const PIPELINE: &str = "pipeline";

const CASES: [Case; 11] = [
    Case { key: BARE, name: "bare rtrb, chunks", part: 1, way: Way::Ring },
    pipeline(PIPELINE, "feedd, 1 producer, null", 1, 1, 64, Store::Null),
    pipeline("pipeline_burst_1", "feedd, 1 producer, one event a publish, null", 4, 1, 1, Store::Null),
    pipeline("pipeline_2_producers", "feedd, 2 producers, null", 1, 2, 64, Store::Null),
    pipeline("pipeline_4_producers", "feedd, 4 producers, null", 1, 4, 64, Store::Null),
    pipeline("pipeline_journal", "feedd, journal, null", 8, 1, 64, Store::Journal),
    pipeline("pipeline_parquet", "feedd, journal, Parquet", 64, 1, 64, Store::Parquet),
    channel("source_task_per_event", "tokio channel, a task an event", 200, 1, Use::TaskPerEvent),
    channel("source_as_documented", "tokio channel, one by one", 50, 1, Use::AsDocumented),
    channel("source_best", "tokio channel, recv_many", 20, 1, Use::Best),
    channel("source_4_producers", "tokio channel, one by one, 4 producers", 50, 4, Use::AsDocumented),
];

const fn pipeline(
    key: &'static str,
    name: &'static str,
    part: u64,
    producers: usize,
    burst: usize,
    store: Store,
) -> Case {
    Case { key, name, part, way: Way::Pipeline { producers, burst, store } }
}

const fn channel(key: &'static str, name: &'static str, part: u64, producers: usize, use_: Use) -> Case {
    Case { key, name, part, way: Way::Channel { producers, use_ } }
}

/// Rates of two cases of one round: the first over the second.
const RATIOS: [(&str, &str, &str); 9] = [
    ("pipeline_over_rtrb", PIPELINE, BARE),
    ("burst_1_over_burst_64", "pipeline_burst_1", PIPELINE),
    ("producers_2_over_1", "pipeline_2_producers", PIPELINE),
    ("producers_4_over_1", "pipeline_4_producers", PIPELINE),
    ("journal_over_null", "pipeline_journal", PIPELINE),
    ("parquet_over_null", "pipeline_parquet", PIPELINE),
    ("pipeline_over_source_task_per_event", PIPELINE, "source_task_per_event"),
    ("pipeline_over_source_as_documented", PIPELINE, "source_as_documented"),
    ("pipeline_over_source_best", PIPELINE, "source_best"),
];

const GOALS: [(Goal, &str); 4] = [
    (goal("H1", "pipeline with null sink / bare rtrb", 0.90, 0.45), "pipeline_over_rtrb"),
    (goal("H2", "one event a publish / bursts of 64", 0.40, 0.10), "burst_1_over_burst_64"),
    (goal("H3", "pipeline / tokio channel one by one", 45.0, 15.0), "pipeline_over_source_as_documented"),
    (goal("H4", "4 producers / 1 producer", 0.70, 0.35), "producers_4_over_1"),
];

const fn goal(name: &'static str, what: &'static str, target: f64, gate: f64) -> Goal {
    Goal { name, what, target, gate }
}

/// One round: every case in turn.
struct Round {
    works: Vec<Work>,
    ping_pong_ns: f64,
    memcpy_gb_per_s: f64,
    disturbance: Disturbance,
}

impl Round {
    fn of(&self, key: &str) -> Option<&Work> {
        let at = CASES.iter().position(|case| case.key == key)?;
        self.works.get(at)
    }

    fn ratio(&self, ours: &str, theirs: &str) -> Option<f64> {
        Some(self.of(theirs)?.ns_per_event() / self.of(ours)?.ns_per_event())
    }
}

/// # Errors
/// When a case fails, or not every event arrived.
pub(crate) fn measure(args: &HotPathArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("hot-path", Machine::look(&place));
    if args.processes > 1 {
        return processes(args, interrupt, report);
    }
    let cores = cores(args, &mut report);
    let trades = Trades::simulate(READY)?;
    let mut rounds = Vec::new();
    // The first one warms up: caches, files, the kernel's threads.
    for _ in 0..=args.rounds {
        rounds.push(round(args, cores, &trades, &place, interrupt)?);
    }
    rounds.remove(0);
    disturbance::judge(&mut rounds);
    describe(args, &mut report, &rounds);
    Ok(report)
}

fn cores(args: &HotPathArgs, report: &mut Report) -> Option<[usize; 2]> {
    let usable = usable_cores();
    if args.no_pin {
        return None;
    }
    let [.., a, b] = usable[..] else {
        report.warnings.push("one core: producers and batching thread share it, nothing is pinned".to_owned());
        return None;
    };
    Some([a, b])
}

fn round(
    args: &HotPathArgs,
    cores: Option<[usize; 2]>,
    trades: &Trades,
    dir: &Path,
    interrupt: &Interrupt,
) -> Result<Round> {
    let steal = Steal::read();
    let ping_pong_ns = bare::ping_pong(cores)?;
    let mut works = Vec::new();
    for case in &CASES {
        interrupt.check()?;
        let events = (args.events / case.part).max(EVENTS_MIN);
        let work = match case.way {
            Way::Ring => bare::ring(cores, args.ring, &trades.events, events),
            Way::Pipeline { producers, burst, store } => {
                let setup = Setup { producers, burst, ring: args.ring, wait: wait(args.wait), cores, store };
                pipeline::run(&setup, trades, events, dir)
            }
            Way::Channel { producers, use_ } => channels::run(use_, producers, &trades.events, events),
        };
        works.push(work.with_context(|| case.name.to_owned())?);
    }
    let memcpy_gb_per_s = bare::memcpy_gb_per_s();
    Ok(Round { works, ping_pong_ns, memcpy_gb_per_s, disturbance: Disturbance::new(steal.share_since()) })
}

const fn wait(wait: WaitArg) -> WaitStrategy {
    match wait {
        WaitArg::Adaptive => WaitStrategy::Adaptive,
        WaitArg::Spin => WaitStrategy::Spin,
        WaitArg::Yield => WaitStrategy::Yield,
        WaitArg::Park => WaitStrategy::Park,
    }
}

fn describe(args: &HotPathArgs, report: &mut Report, rounds: &[Round]) {
    let quiet: Vec<&Round> = rounds.iter().filter(|round| !round.disturbance.is_disturbed()).collect();
    report.notes = vec![
        format!("64-byte events; rings of {} slots, wait {:?}, {} rounds", args.ring, args.wait, rounds.len()),
        "each case has its turn in each round; every event is counted and summed where it arrives".to_owned(),
        "a null sink reads each event and keeps none: the rows with a journal and Parquet are storage".to_owned(),
    ];
    if quiet.len() < rounds.len() {
        let disturbed = rounds.len() - quiet.len();
        report
            .warnings
            .push(format!("the machine was disturbed in {disturbed} of {} rounds; they do not count", rounds.len()));
    }
    if args.rounds < ROUNDS_QUOTABLE {
        report
            .warnings
            .push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE} --processes {PROCESSES_QUOTABLE}"));
    }
    let text = |spread: Option<Spread>, digits: usize| {
        spread.map_or_else(
            || "-".to_owned(),
            |s| format!("{:.digits$} ({:.digits$} to {:.digits$})", s.median, s.p25, s.p75),
        )
    };
    let mut cases: Vec<Value> = Vec::new();
    let rows = CASES.iter().map(|case| {
        let works = || quiet.iter().filter_map(|round| round.of(case.key));
        let ns = Spread::of(works().map(Work::ns_per_event));
        cases.push(json!({
            "name": case.key, "unit": "ns/event", "runs": works().count(), "median": ns.map(|s| s.median),
            "min": works().map(Work::ns_per_event).reduce(f64::min), "max": works().map(Work::ns_per_event).reduce(f64::max),
        }));
        let cpu = Spread::of(works().map(Work::cpu_ns_per_event)).filter(|cpu| cpu.median > 0.0);
        vec![
            case.name.to_owned(),
            text(ns, 2),
            ns.map_or_else(|| "-".to_owned(), |ns| format!("{:.2}", 1e3 / ns.median)),
            text(cpu, 2),
        ]
    });
    let rows = rows.collect();
    report.tables.push(Table {
        heads: vec!["case", "ns/event: median (p25 to p75)", "M events/s", "hot threads' CPU ns/event"],
        rows,
    });
    let ratios =
        RATIOS.map(|(key, ours, theirs)| (key, Spread::of(quiet.iter().filter_map(|round| round.ratio(ours, theirs)))));
    ratios_into(report, &ratios);
    let ping_pong = Spread::of(quiet.iter().map(|round| round.ping_pong_ns));
    let copy = Spread::of(quiet.iter().map(|round| round.memcpy_gb_per_s));
    report.notes.push(format!(
        "core to core {} ns; memory copied at {} GB/s by one core",
        text(ping_pong, 0),
        text(copy, 1)
    ));
    report.figures.extend([
        ("cases".to_owned(), Value::Array(cases)),
        ("ping_pong_ns".to_owned(), json!(ping_pong.map(Spread::json))),
        ("memcpy_gb_per_s".to_owned(), json!(copy.map(Spread::json))),
        ("rounds".to_owned(), rounds.iter().map(round_json).collect()),
    ]);
}

fn ratios_into(report: &mut Report, ratios: &[(&'static str, Option<Spread>)]) {
    let of = |key: &str| ratios.iter().find(|(name, _)| *name == key).and_then(|(_, spread)| *spread);
    let rows = ratios.iter().map(|(key, spread)| {
        let text = spread.map_or_else(|| "-".to_owned(), |s| format!("{:.2} ({:.2} to {:.2})", s.median, s.p25, s.p75));
        vec![key.replace('_', " "), text]
    });
    report.tables.push(Table { heads: vec!["events/s of", "ratio: median (p25 to p75)"], rows: rows.collect() });
    report.goals = GOALS.map(|(goal, key)| (goal, of(key).map(|spread| spread.median))).into();
    let ratios: Map<String, Value> =
        ratios.iter().map(|(key, spread)| ((*key).to_owned(), json!(spread.map(Spread::json)))).collect();
    report.figures.insert("ratios".to_owned(), Value::Object(ratios));
}

fn round_json(round: &Round) -> Value {
    let cases: Map<String, Value> = CASES
        .iter()
        .zip(&round.works)
        .map(|(case, work)| {
            let walls: Vec<f64> = work.producer_walls.iter().map(std::time::Duration::as_secs_f64).collect();
            let figures = json!({
                "events": work.events, "ns_per_event": work.ns_per_event(), "consumer_core_share": work.consumer_share,
                "producer_core_shares": work.producer_shares, "producer_wall_s": walls,
            });
            (case.key.to_owned(), figures)
        })
        .collect();
    json!({
        "ping_pong_ns": round.ping_pong_ns, "memcpy_gb_per_s": round.memcpy_gb_per_s,
        "disturbed": round.disturbance.reasons(), "cases": cases,
    })
}

/// The same in so many processes: where memory lies differs from process to process, and decides a part of the figures.
fn processes(args: &HotPathArgs, interrupt: &Interrupt, mut report: Report) -> Result<Report> {
    let mut runs: Vec<Value> = Vec::new();
    for _ in 0..args.processes {
        interrupt.check()?;
        let mut child = Command::new(std::env::current_exe()?);
        child.args(["hot-path", "--json", "--processes", "1"]);
        child.args(["--events", &args.events.to_string(), "--rounds", &args.rounds.to_string()]);
        child.args(["--ring", &args.ring.to_string(), "--wait", args.wait.name()]);
        child.args(args.no_pin.then_some("--no-pin"));
        if let Some(dir) = &args.dir {
            child.arg("--dir").arg(dir);
        }
        let output = child.stderr(Stdio::inherit()).output().context("running a process of this program")?;
        ensure!(output.status.success(), "a process of this program ended with {}", output.status);
        runs.push(serde_json::from_slice(&output.stdout).context("reading what a process of this program said")?);
    }
    report.notes = vec![
        format!("{} processes of {} rounds each; the median of their medians, with quartiles", runs.len(), args.rounds),
        format!("64-byte events; rings of {} slots, wait {:?}", args.ring, args.wait),
    ];
    let median = |path: &str| Spread::of(runs.iter().filter_map(|run| run.pointer(path)?.as_f64()));
    let mut rows = Vec::new();
    let mut cases = Vec::new();
    for (at, case) in CASES.iter().enumerate() {
        let spread = median(&format!("/cases/{at}/median"));
        let all: Vec<f64> =
            runs.iter().filter_map(|run| run.pointer(&format!("/cases/{at}/median"))?.as_f64()).collect();
        rows.push(vec![
            case.name.to_owned(),
            spread.map_or_else(|| "-".to_owned(), |s| format!("{:.2} ({:.2} to {:.2})", s.median, s.p25, s.p75)),
            spread.map_or_else(|| "-".to_owned(), |s| format!("{:.2}", 1e3 / s.median)),
        ]);
        cases.push(json!({
            "name": case.key, "unit": "ns/event", "runs": all.len(), "median": spread.map(|s| s.median),
            "min": all.iter().copied().reduce(f64::min), "max": all.iter().copied().reduce(f64::max),
        }));
    }
    report.tables.push(Table { heads: vec!["case", "ns/event: median (p25 to p75)", "M events/s"], rows });
    let ratios = RATIOS.map(|(key, _, _)| (key, median(&format!("/ratios/{key}/median"))));
    ratios_into(&mut report, &ratios);
    report.figures.extend([("cases".to_owned(), Value::Array(cases)), ("processes".to_owned(), Value::Array(runs))]);
    Ok(report)
}
