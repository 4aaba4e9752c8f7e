//! `analysis`: what a trade costs on its way to a bar and to strategies, step by step, and what shared blocks spare.

mod inline;
mod lane;
mod market;
mod paced;
mod stages;
mod tally;

use crate::Interrupt;
use crate::cli::AnalysisArgs;
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::rounds::{Case, NS_PER_EVENT, Plan, Ratio, Rounds, Sample, Side};
use crate::spread::Spread;
use anyhow::{Result, ensure};
use inline::Work;
use lane::{Lists, Pace};
use market::Market;
use paced::Load;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::time::Duration;
use tally::Agreed;

/// Rounds that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 7;

/// How a case runs.
#[derive(Clone, Copy)]
enum Way {
    InLine(Work),
    Lane,
    Paced(Lists),
}

struct Contender {
    key: &'static str,
    name: &'static str,
    side: Side,
    way: Way,
}

const WALK: &str = "walk";
const BARS: &str = "bars_1s";
const MORE_BARS: &str = "bars_1s_1m";
const ENGINE: &str = "engine";
const BOOKS: &str = "engine_paper";
const LANE: &str = "lane";
const COPIED: &str = "paced_copied";
const SHARED: &str = "paced_shared";

const CONTENDERS: [Contender; 8] = [
    in_line(WALK, "events of blocks walked", Side::Limit, Work::Walk),
    in_line(BARS, "bars of 1s", Side::Ours, Work::Bars { minutes: false }),
    in_line(MORE_BARS, "bars of 1s and 1m", Side::Ours, Work::Bars { minutes: true }),
    in_line(ENGINE, "bars of 1s, SMA and RSI", Side::Ours, Work::Strategies { books: false }),
    in_line(BOOKS, "bars of 1s, SMA and RSI, paper books", Side::Ours, Work::Strategies { books: true }),
    Contender { key: LANE, name: "the lane: two threads and links, SMA and RSI", side: Side::Ours, way: Way::Lane },
    Contender {
        key: COPIED,
        name: "CPU of the lane, paced, a list copied for each reader",
        side: Side::Theirs,
        way: Way::Paced(Lists::Copied),
    },
    Contender {
        key: SHARED,
        name: "CPU of the lane, paced, shared blocks",
        side: Side::Ours,
        way: Way::Paced(Lists::Shared),
    },
];

const fn in_line(key: &'static str, name: &'static str, side: Side, work: Work) -> Contender {
    Contender { key, name, side, way: Way::InLine(work) }
}

const RATIOS: [Ratio; 3] = [
    Ratio { key: "engine_over_walk", ours: ENGINE, theirs: WALK },
    Ratio { key: "lane_over_engine", ours: LANE, theirs: ENGINE },
    Ratio { key: "shared_over_copied", ours: SHARED, theirs: COPIED },
];

/// What a step is: its name, the case that has it, and the one that lacks nothing else.
const STEPS: [(&str, &str, Option<&str>); 6] = [
    ("walking the events of blocks", WALK, None),
    ("bars of 1s", BARS, Some(WALK)),
    ("bars of 1m beside them", MORE_BARS, Some(BARS)),
    ("SMA and RSI over bars of 1s", ENGINE, Some(BARS)),
    ("their paper books", BOOKS, Some(ENGINE)),
    ("two threads and their links", LANE, Some(ENGINE)),
];

const A1: Goal = Goal { name: "A1", what: "M trades/s of one core: bars of 1s, SMA and RSI", target: 5.0, gate: 2.5 };
const A2: Goal = Goal { name: "A2", what: "M trades/s a core of the lane on its two threads", target: 5.0, gate: 2.5 };
const A3: Goal =
    Goal { name: "A3", what: "backpressure events of copied lists / of shared blocks", target: 8.0, gate: 3.0 };

/// # Errors
/// When a case fails, or a trade or a bar is missing.
pub(crate) fn measure(args: &AnalysisArgs, interrupt: &Interrupt) -> Result<Report> {
    let mut report = Report::new("analysis", Machine::look(Path::new(".")));
    let market = Market::prepare(args.events, args.rate)?;
    report.notes = vec![
        format!(
            "{} trades of {} symbols, {} in each second of the market, in prepared blocks of 4096: {} bars of 1s, {} of 1m",
            market.trades, market.symbols, args.rate, market.seconds, market.minutes
        ),
        "an event is a trade; blocks come from memory, not from a core that has just written them".to_owned(),
        "the first five cases run on one pinned thread; the lane at full speed is left where the system puts its threads; paced, \
         the processor has a core to itself"
            .to_owned(),
        "in each run every trade is counted and stands in one bar of each interval; signals are the same in all"
            .to_owned(),
    ];
    if args.rounds < ROUNDS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE}"));
    }
    let cores = two_cores();
    if cores.is_none() {
        report.warnings.push("one core: the lane's threads share it, nothing is pinned".to_owned());
    }
    let mut load = Load::find(&market, cores, interrupt)?;
    let mut copied_percent = load.percent;
    let case = |contender: &Contender| Case {
        key: contender.key.to_owned(),
        name: contender.name.to_owned(),
        side: contender.side,
    };
    let cases = CONTENDERS.iter().map(case).collect();
    let plan = Plan { cases, unit: NS_PER_EVENT, rounds: args.rounds, cores };
    let mut agreed = Agreed::default();
    let rounds = plan.hold(interrupt, &mut |at, _| match CONTENDERS[at].way {
        Way::InLine(work) => in_line_run(work, &market, cores.map(|[_, core]| core), &mut agreed),
        Way::Lane => lane_run(&market, Pace::Credit, Lists::Shared, None, &mut agreed),
        Way::Paced(Lists::Copied) => {
            // Both ways of a round have the same load.
            load = load.mended(copied_percent);
            let sample = lane_run(&market, Pace::Due(load.every_ns), Lists::Copied, cores, &mut agreed)?;
            copied_percent = sample.details["backpressure_percent"].as_f64().unwrap_or(copied_percent);
            Ok(sample)
        }
        Way::Paced(Lists::Shared) => lane_run(&market, Pace::Due(load.every_ns), Lists::Shared, cores, &mut agreed),
    })?;
    rounds.tell(&mut report, &RATIOS);
    tell_steps(&mut report, &rounds);
    tell_lane(&mut report, &rounds);
    let fewer = paced::tell(&mut report, &rounds, load, [COPIED, SHARED]);
    let rate = |ns: Option<Spread>| ns.map(|ns| 1e3 / ns.median);
    report.goals =
        vec![(A1, rate(rounds.spread(ENGINE))), (A2, rate(rounds.detail(LANE, "lane_cpu_ns_per_trade"))), (A3, fewer)];
    Ok(report)
}

fn in_line_run(work: Work, market: &Market, core: Option<usize>, agreed: &mut Agreed) -> Result<Sample> {
    let ran = inline::run(work, market, core)?;
    let mut details = details([("passes", json!(ran.passes))]);
    if let (Some(found), Work::Strategies { books }) = (ran.strategies, work) {
        agreed.check(books, found)?;
        details.insert("signals".to_owned(), json!(found.signals));
        details.insert("fills".to_owned(), json!(found.fills));
    }
    let core_share = core.map(|_| ran.cpu.as_secs_f64() / ran.wall.as_secs_f64());
    Ok(Sample { value: nanos(ran.wall, market.trades * ran.passes), core_share, details })
}

fn lane_run(
    market: &Market,
    pace: Pace,
    lists: Lists,
    cores: Option<[usize; 2]>,
    agreed: &mut Agreed,
) -> Result<Sample> {
    let ran = lane::run(market, pace, lists, cores)?;
    agreed.check(false, ran.strategies)?;
    let per_trade = |time: Duration| nanos(time, market.trades);
    let (blocks, items) = (&ran.to_processor, &ran.to_engine);
    let engine_percent = items.backpressure_items as f64 * 100.0 / items.items.max(1) as f64;
    let is_paced = pace != Pace::Credit;
    ensure!(is_paced || blocks.backpressure_items == 0, "data mode has delivered without credit");
    let details = details([
        ("signals", json!(ran.strategies.signals)),
        ("wall_ns_per_trade", json!(per_trade(ran.wall))),
        ("lane_cpu_ns_per_trade", json!(per_trade(ran.lane_cpu()))),
        ("processor_cpu_ns_per_trade", json!(per_trade(ran.processor_cpu))),
        ("engine_cpu_ns_per_trade", json!(per_trade(ran.engine_cpu))),
        ("sender_cpu_ns_per_trade", json!(per_trade(ran.sender_cpu))),
        ("backpressure_percent", json!(ran.backpressure_percent())),
        ("backpressure_events", json!(blocks.backpressure_events)),
        ("overruns", json!(blocks.overruns)),
        ("waits", json!(blocks.waits)),
        ("engine_backpressure_percent", json!(engine_percent)),
        ("late_blocks", json!(ran.late_blocks)),
    ]);
    let value = per_trade(if is_paced { ran.lane_cpu() } else { ran.wall });
    Ok(Sample { value, core_share: None, details })
}

fn details<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn nanos(time: Duration, trades: u64) -> f64 {
    time.as_secs_f64() * 1e9 / trades as f64
}

/// A step is what a case takes longer than the one before it in the same round.
fn tell_steps(report: &mut Report, rounds: &Rounds) {
    let mut steps = Map::new();
    let rows = STEPS.iter().map(|&(name, with, without)| {
        let step = without.map_or_else(|| rounds.spread(with), |without| rounds.longer(with, without));
        let whole = rounds.spread(with);
        steps.insert(with.to_owned(), json!(step.map(Spread::json)));
        let rate = whole.map_or_else(|| "-".to_owned(), |whole| format!("{:.1}", 1e3 / whole.median));
        vec![name.to_owned(), Spread::text(step, 2), Spread::text(whole, 2), rate]
    });
    let rows = rows.collect();
    let heads = vec!["step", "ns/trade: median (p25 to p75)", "with all it needs", "M trades/s"];
    report.tables.push(Table { heads, rows });
    report.figures.insert("steps_ns_per_trade".to_owned(), Value::Object(steps));
}

/// The whole lane: what goes through, and whose CPU time it takes.
fn tell_lane(report: &mut Report, rounds: &Rounds) {
    let row = |name: &str, detail: &str| {
        let spread = rounds.detail(LANE, detail);
        let rate = spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.1}", 1e3 / spread.median));
        vec![name.to_owned(), Spread::text(spread, 2), rate]
    };
    let rows = vec![
        row("from end to end", "wall_ns_per_trade"),
        row("CPU of the processor's thread", "processor_cpu_ns_per_trade"),
        row("CPU of the engine's thread", "engine_cpu_ns_per_trade"),
        row("CPU of both", "lane_cpu_ns_per_trade"),
        row("CPU of the thread that delivers", "sender_cpu_ns_per_trade"),
    ];
    report
        .tables
        .push(Table { heads: vec!["the lane, data mode", "ns/trade: median (p25 to p75)", "M trades/s"], rows });
}
