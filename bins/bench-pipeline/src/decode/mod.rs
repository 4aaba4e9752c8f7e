//! `decode`: recorded frames read by feedd, and by serde_json and sonic-rs into typed structs, on one pinned thread.
//!
//! The frames are measured twice: with their keys as the venue sent them, where feedd reads along a template, and with
//! the keys turned round, where it reads as it does whatever comes.

mod contest;
mod frames;
mod tally;
mod typed;
mod typed_bybit;
mod typed_coinbase;
mod typed_kraken;
mod typed_okx;

use crate::Interrupt;
use crate::cli::DecodeArgs;
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::rounds::{Case, NS_PER_FRAME, Plan, Rounds, Side};
use crate::spread::Spread;
use anyhow::Result;
use contest::{Contest, Entry, Way};
use frames::Recorded;
use serde_json::json;

/// Rounds that a figure worth quoting needs.
const ROUNDS_QUOTABLE: u32 = 9;

/// Median ratio to the better of the two libraries; its key. With the keys turned round no template helps.
const GOALS: [(Goal, &str); 6] = [
    (goal("D1", "trades / better library", 2.2, 1.5), "trade_over_best"),
    (goal("D2", "quotes / better library", 2.2, 1.5), "quote_over_best"),
    (goal("D3", "depth / better library", 1.4, 1.1), "depth_over_best"),
    (goal("D4", "trades, keys turned round / better library", 1.5, 1.1), "trade_turned_over_best"),
    (goal("D5", "quotes, keys turned round / better library", 1.5, 1.1), "quote_turned_over_best"),
    (goal("D6", "depth, keys turned round / better library", 1.4, 1.1), "depth_turned_over_best"),
];

const fn goal(name: &'static str, what: &'static str, target: f64, gate: f64) -> Goal {
    Goal { name, what, target, gate }
}

/// # Errors
/// When there are no captures, or a way does not read all of every frame.
pub(crate) fn measure(args: &DecodeArgs, interrupt: &Interrupt) -> Result<Report> {
    let folder = args.captures.clone().unwrap_or_else(frames::default_folder);
    let recorded = frames::read(&folder, args.venue.as_deref())?;
    let mut report = Report::new("decode", Machine::look(&folder));
    report.notes = notes(&recorded);
    if args.rounds < ROUNDS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rounds {ROUNDS_QUOTABLE}"));
    }
    let cores = two_cores();
    if cores.is_none() {
        report.warnings.push("one core: nothing is pinned".to_owned());
    }
    let contests = contest::of(&recorded.sets)?;
    let entries: Vec<(&Contest, &Entry)> =
        contests.iter().flat_map(|contest| contest.entries.iter().map(move |entry| (contest, entry))).collect();
    let case = |&(contest, entry): &(&Contest, &Entry)| Case {
        key: entry.key.clone(),
        name: format!("{}: {}", contest.name, entry.way.name()),
        side: if entry.way.is_ours() { Side::Ours } else { Side::Theirs },
    };
    let plan = Plan { cases: entries.iter().map(case).collect(), unit: NS_PER_FRAME, rounds: args.rounds, cores };
    let rounds = plan.hold(interrupt, &mut |at, _| {
        let (contest, entry) = entries[at];
        contest.run(entry.way, cores.map(|[_, core]| core))
    })?;
    rounds.tell(&mut report, &[]);
    for contest in &contests {
        tell(contest, &rounds, &mut report);
    }
    report.tables.push(venues_table(&contests, &rounds));
    report.goals = GOALS.map(|(goal, key)| (goal, report.ratio(key))).into();
    report.figures.insert("frames".to_owned(), recorded.sets.iter().map(|set| frames_json(set)).collect());
    Ok(report)
}

fn notes(recorded: &Recorded) -> Vec<String> {
    let frames: usize = recorded.sets.iter().map(|set| set.len()).sum();
    let bytes: usize = recorded.sets.iter().map(|set| set.bytes()).sum();
    let mut notes = vec![
        format!("{frames} recorded frames, {:.1} MB, in memory; one pinned thread", bytes as f64 / 1e6),
        "each way adds up every number, id, time, side and symbol that it reads; the sums must be equal".to_owned(),
        "the libraries fill structs that borrow their texts, and know which struct; decimals by feedd's parser"
            .to_owned(),
        format!("left out: {} frames without a message (answers, candles)", recorded.frames_without_message),
    ];
    if recorded.frames_unlike > 0 {
        notes.push(format!("left out: {} frames of other forms than the structs have", recorded.frames_unlike));
    }
    if !recorded.incomparable.is_empty() {
        notes.push(format!("no structs to compare with for {}", recorded.incomparable.join(", ")));
    }
    if !recorded.absent.is_empty() {
        notes.push(format!("no captures of {}", recorded.absent.join(", ")));
    }
    notes
}

fn frames_json(set: &frames::Set) -> serde_json::Value {
    json!({
        "venue": set.venue.name, "kind": set.kind.name(), "frames": set.len(), "bytes": set.bytes(), "events": set.events,
    })
}

/// The ratios of a contest: to each library, and to the one that is faster by its median.
fn tell(contest: &Contest, rounds: &Rounds, report: &mut Report) {
    let Some(ours) = contest.key(Way::Messages) else { return };
    let median = |way: Way| rounds.spread(contest.key(way)?).map(|spread| spread.median);
    let theirs = [Way::SerdeJson, Way::SonicRs];
    for way in theirs {
        if let Some(key) = contest.key(way) {
            report.ratios.push((format!("{}_over_{}", contest.stem, way.key()), rounds.ratio(ours, key)));
        }
    }
    if contest.key(Way::SerdeJson).is_some() {
        let medians = theirs.into_iter().filter_map(|way| Some((way, median(way)?)));
        let best = medians.min_by(|a, b| a.1.total_cmp(&b.1)).and_then(|(way, _)| contest.key(way));
        report.ratios.push((format!("{}_over_best", contest.stem), best.and_then(|key| rounds.ratio(ours, key))));
    }
}

/// Each venue's share of each contest.
fn venues_table(contests: &[Contest], rounds: &Rounds) -> Table {
    let heads = vec![
        "frames",
        "venue",
        "number",
        "bytes a frame",
        "feedd, ns/frame",
        "MB/s",
        "into events, ns/event",
        "serde_json, ns/frame",
        "sonic-rs, ns/frame",
    ];
    let mut rows = Vec::new();
    for contest in contests {
        for set in contest.sets() {
            let (frames, bytes) = (set.len() as f64, set.bytes() as f64);
            let figure = |way: Way| rounds.detail(contest.key(way)?, set.venue.name);
            let text = |way: Way| Spread::text(figure(way), 0);
            let mb_per_s = figure(Way::Messages).map(|spread| bytes / frames / spread.median * 1e3);
            let per_event = figure(Way::Events).map(|spread| spread.median * frames / set.events as f64);
            let number =
                |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.digits$}"));
            rows.push(vec![
                contest.name.clone(),
                set.venue.name.to_owned(),
                set.len().to_string(),
                number(Some(bytes / frames), 0),
                text(Way::Messages),
                number(mb_per_s, 0),
                number(per_event, 1),
                text(Way::SerdeJson),
                text(Way::SonicRs),
            ]);
        }
    }
    Table { heads, rows }
}
