//! `scrape`: what being looked at costs a recorder. The same recorder, as its own process and at the highest rate that it
//! reaches, without an admin server and with one that is scraped ten times a second and feeds a dashboard.

mod recorder;
mod scraper;

use crate::Interrupt;
use crate::cli::ScrapeArgs;
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::rounds::{Case, EVENTS_PER_S, Plan, Ratio, Rounds, Sample, Side};
use crate::spread::{Spread, median_interval};
use anyhow::{Context, Result};
use recorder::{Recorded, Store};
use scraper::Scraper;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Rounds that the figure is asked for with.
const ROUNDS_QUOTABLE: u32 = 20;
/// What may be lost by being looked at.
const GOALS: [(Goal, &str); 2] = [
    (goal("S1", "looked at / not, Parquet, upper end of 95 %"), "parquet_scraped_over_alone"),
    (goal("S2", "looked at / not, journal and null, upper end of 95 %"), "null_scraped_over_alone"),
];
const RATIOS: [Ratio; 2] = [
    Ratio { key: "parquet_scraped_over_alone", ours: "parquet_scraped", theirs: "parquet_alone" },
    Ratio { key: "null_scraped_over_alone", ours: "null_scraped", theirs: "null_alone" },
];
/// Detail of a run: its rate, of which pairs are made.
const RATE: &str = "events_per_s";

const fn goal(name: &'static str, what: &'static str) -> Goal {
    Goal { name, what, target: 0.98, gate: 0.95 }
}

/// A case.
struct Contender {
    key: &'static str,
    name: &'static str,
    store: Store,
    is_scraped: bool,
}

const CONTENDERS: [Contender; 4] = [
    contender("parquet_alone", "to Parquet, nobody looks", Store::Parquet, false),
    contender("parquet_scraped", "to Parquet, 10 scrapes/s and a dashboard", Store::Parquet, true),
    contender("null_alone", "journal and null, nobody looks", Store::JournalledNull, false),
    contender("null_scraped", "journal and null, 10 scrapes/s and a dashboard", Store::JournalledNull, true),
];

const fn contender(key: &'static str, name: &'static str, store: Store, is_scraped: bool) -> Contender {
    Contender { key, name, store, is_scraped }
}

/// # Errors
/// When a run fails, or what it accepted is not stored.
pub(crate) fn measure(args: &ScrapeArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("scrape", Machine::look(&place));
    let program = match program(args.feedd.as_deref()) {
        Ok(program) => program,
        Err(error) => {
            report.warnings.push(format!("left out: {error:#}"));
            report.goals = GOALS.map(|(goal, _)| (goal, None)).into();
            return Ok(report);
        }
    };
    report.notes = vec![
        "a simulated market at the highest rate; both ways take turns; what was accepted is stored, by feedd verify"
            .to_owned(),
        "looked at: /metrics over a new connection each 100 ms, and one stream of /events, by this process".to_owned(),
    ];
    if args.rounds < ROUNDS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE}"));
    }
    let cases = CONTENDERS.iter().map(|contender| Case {
        key: contender.key.to_owned(),
        name: contender.name.to_owned(),
        side: if contender.is_scraped { Side::Ours } else { Side::Limit },
    });
    let plan = Plan { cases: cases.collect(), unit: EVENTS_PER_S, rounds: args.rounds, cores: two_cores() };
    let length = Duration::from_secs_f64(args.seconds);
    let rounds = plan.hold(interrupt, &mut |at, _| run(&program, &CONTENDERS[at], length, &place))?;
    rounds.tell(&mut report, &RATIOS);
    judge(&mut report, &rounds);
    Ok(report)
}

/// The recorder's program: the one that was named, or that beside this one.
fn program(named: Option<&Path>) -> Result<PathBuf> {
    let beside = || Ok::<_, anyhow::Error>(std::env::current_exe()?.with_file_name("feedd"));
    let program = named.map_or_else(beside, |path| Ok(path.to_owned()))?;
    let remedy =
        || format!("no {}: build it with the same profile (cargo build -p feedd), or use --feedd", program.display());
    std::fs::metadata(&program).with_context(remedy)?;
    Ok(program)
}

/// One run of one case.
fn run(program: &Path, contender: &Contender, length: Duration, place: &Path) -> Result<Sample> {
    let dir = tempfile::Builder::new().prefix("feedd-bench-").tempdir_in(place).context("making a folder")?;
    let mut recorder = recorder::start(program, dir.path(), contender.store, contender.is_scraped, length)?;
    let scraper = if contender.is_scraped { Some(Scraper::start(&recorder.address()?)) } else { None };
    let recorded = recorder.end()?;
    let looks = scraper.map(Scraper::end).transpose()?;
    if contender.store == Store::Parquet {
        recorder::verify(program, dir.path(), recorded.accepted)?;
    }
    let Recorded { accepted, events_per_s } = recorded;
    let mut details = Map::new();
    details.extend([("accepted".to_owned(), json!(accepted)), (RATE.to_owned(), json!(events_per_s))]);
    if let Some(looks) = looks {
        details.extend([("scrapes".to_owned(), json!(looks.scrapes)), ("events_seen".to_owned(), json!(looks.events))]);
    }
    Ok(Sample { value: events_per_s, core_share: None, details })
}

/// The interval of each ratio, and whether it includes a loss that is allowed.
fn judge(report: &mut Report, rounds: &Rounds) {
    let mut rows = Vec::new();
    for ratio in &RATIOS {
        let pairs = rounds.detail_pairs([ratio.ours, ratio.theirs], RATE);
        let ratios: Vec<f64> = pairs.iter().map(|[with, without]| with / without).collect();
        let interval = median_interval(&ratios);
        let spread = Spread::of(ratios.iter().copied());
        let percent = |ratio: f64| format!("{:+.2} %", (ratio - 1.0) * 100.0);
        rows.push(vec![
            ratio.key.replace('_', " "),
            spread.map_or_else(|| "-".to_owned(), |spread| percent(spread.median)),
            interval.map_or_else(
                || "fewer than 6 rounds have none".to_owned(),
                |[low, high]| format!("{} to {}", percent(low), percent(high)),
            ),
            ratios.len().to_string(),
        ]);
        let figure = json!({ "median": spread.map(|spread| spread.median), "interval_95": interval, "pairs": ratios });
        report.figures.insert(ratio.key.to_owned(), figure);
    }
    report.tables.push(Table { heads: vec!["throughput", "median change", "95 % interval", "pairs"], rows });
    let upper = |key: &str| report.figures.get(key)?.pointer("/interval_95/1").and_then(Value::as_f64);
    report.goals = GOALS.map(|(goal, key)| (goal, upper(key))).into();
}
