//! Two ways that take turns, and what their pairs of runs say.

use crate::Interrupt;
use crate::meter::Run;
use crate::report::{CaseFigure, Report, Table};
use crate::rounds::{Case, ROWS_PER_S, Side};
use crate::spread::Spread;
use anyhow::Result;
use serde_json::{Value, json};

/// Largest difference of the two sides' server CPU a row in a pair that counts: a larger one means that something else
/// disturbed one of them.
const CPU_DIFFERENCE_MAX: f64 = 0.15;

/// Below it a COPY of one large file was not alone on the machine: measured 0.88 to 0.93 where it was.
const SATURATION_QUIET: f64 = 0.75;

/// Which pairs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Those in which both sides cost the server the same, within [`CPU_DIFFERENCE_MAX`]: the two do the same work.
    SameServerCpu,
    /// All: the two make the server do different work.
    All,
}

/// Two ways and their runs, pair by pair.
pub(crate) struct Contest {
    /// For machines: of our case, of theirs, of the ratio.
    keys: [String; 3],
    pub(crate) ours: String,
    pub(crate) theirs: String,
    keep: Keep,
    pairs: Vec<(Run, Run)>,
}

/// A way that takes part.
pub(crate) type Way<'a> = &'a mut dyn FnMut() -> Result<Run>;

impl Contest {
    /// Runs `pairs` pairs.
    ///
    /// # Errors
    /// When a run fails, or a signal has come.
    pub(crate) fn hold(
        keys: [String; 3],
        names: [&str; 2],
        keep: Keep,
        pairs: u32,
        [ours, theirs]: [Way<'_>; 2],
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut runs = Vec::new();
        for _ in 0..pairs {
            interrupt.check()?;
            let a = ours()?;
            interrupt.check()?;
            runs.push((a, theirs()?));
        }
        let [ours, theirs] = names.map(str::to_owned);
        Ok(Self { keys, ours, theirs, keep, pairs: runs })
    }

    /// The pairs that count.
    fn kept(&self) -> impl Iterator<Item = &(Run, Run)> + Clone {
        self.pairs.iter().filter(|(a, b)| self.keep == Keep::All || costs_the_same(a, b))
    }

    /// Our rows a second over theirs; `None` when no pair counts.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        Spread::of(self.kept().map(rate_ratio))
    }

    /// A figure of ours and of theirs; `None` when no pair counts.
    pub(crate) fn ways(&self, figure: fn(&Run) -> f64) -> [Option<Spread>; 2] {
        let runs = || self.kept();
        [Spread::of(runs().map(|(a, _)| figure(a))), Spread::of(runs().map(|(_, b)| figure(b)))]
    }

    /// Our client's CPU time a row over theirs; `None` when no pair counts.
    pub(crate) fn client_cpu_ratio(&self) -> Option<Spread> {
        Spread::of(self.kept().map(|(a, b)| a.client_us_per_row() / b.client_us_per_row()))
    }

    /// Whether theirs, too, left the server waiting: then something else used the cores.
    pub(crate) fn is_disturbed(&self) -> bool {
        Spread::of(self.pairs.iter().map(|(_, b)| b.saturation())).is_some_and(|s| s.median < SATURATION_QUIET)
    }

    /// Adds both ways and their ratio to a report.
    pub(crate) fn tell(&self, report: &mut Report) {
        let (ours, theirs) = (self.kept().map(|(a, _)| a.rows_per_s()), self.kept().map(|(_, b)| b.rows_per_s()));
        let [our_key, their_key, ratio_key] = self.keys.clone();
        for (key, name, side, spread) in [
            (our_key, &self.ours, Side::Ours, Spread::of(ours)),
            (their_key, &self.theirs, Side::Theirs, Spread::of(theirs)),
        ] {
            let case = Case { key, name: name.clone(), side };
            report.cases.push(CaseFigure { case, unit: ROWS_PER_S, spread });
        }
        report.ratios.push((ratio_key, self.ratio()));
    }

    pub(crate) fn json(&self) -> Value {
        let all = Spread::of(self.pairs.iter().map(rate_ratio)).map(Spread::json);
        json!({
            "ours": self.ours, "theirs": self.theirs, "ratio": self.ratio().map(Spread::json), "ratio_all_pairs": all,
            "pairs": self.pairs.len(), "pairs_kept": self.kept().count(),
            "ways": [
                way_json(&self.ours, self.kept().map(|(a, _)| a)), way_json(&self.theirs, self.kept().map(|(_, b)| b)),
            ],
        })
    }
}

fn rate_ratio((a, b): &(Run, Run)) -> f64 {
    a.rows_per_s() / b.rows_per_s()
}

fn costs_the_same(a: &Run, b: &Run) -> bool {
    let (a, b) = (a.server_us_per_row(), b.server_us_per_row());
    a.max(b) <= a.min(b) * (1.0 + CPU_DIFFERENCE_MAX)
}

/// A figure of a run.
type Figure = fn(&Run) -> f64;

const FIGURES: [(&str, Figure); 4] = [
    ("rows_per_s", Run::rows_per_s),
    ("saturation", Run::saturation),
    ("server_us_per_row", Run::server_us_per_row),
    ("client_us_per_row", Run::client_us_per_row),
];

fn way_json<'a>(name: &str, runs: impl Iterator<Item = &'a Run> + Clone) -> Value {
    let mut way = json!({ "name": name });
    for (figure, of) in FIGURES {
        way[figure] = json!(Spread::of(runs.clone().map(of)).map(Spread::json));
    }
    way
}

/// Each way of each contest.
pub(crate) fn ways_table(contests: &[Contest]) -> Table {
    let mut rows = Vec::new();
    for contest in contests {
        let (ours, theirs): (Vec<&Run>, Vec<&Run>) = contest.kept().map(|(a, b)| (a, b)).unzip();
        for (name, runs) in [(&contest.ours, ours), (&contest.theirs, theirs)] {
            let figure = |of: Figure, digits: usize| {
                Spread::of(runs.iter().map(|run| of(run)))
                    .map_or_else(|| "-".to_owned(), |spread| format!("{:.digits$}", spread.median))
            };
            rows.push(vec![
                name.clone(),
                Spread::of(runs.iter().map(|run| run.rows_per_s()))
                    .map_or_else(|| "-".to_owned(), |s| format!("{:.0} ({:.0} to {:.0})", s.median, s.p25, s.p75)),
                figure(Run::server_us_per_row, 2),
                figure(Run::saturation, 3),
                figure(Run::client_us_per_row, 2),
            ]);
        }
    }
    let heads = vec!["way", "rows/s: median (p25 to p75)", "server CPU us/row", "saturation", "client CPU us/row"];
    Table { heads, rows }
}

/// What the contests say.
pub(crate) fn ratios_table(contests: &[Contest]) -> Table {
    let rows = contests.iter().map(|contest| {
        let text = |spread: Option<Spread>| {
            spread.map_or_else(|| "-".to_owned(), |s| format!("{:.2} ({:.2} to {:.2})", s.median, s.p25, s.p75))
        };
        vec![
            format!("{} / {}", contest.ours, contest.theirs),
            text(contest.ratio()),
            format!("{} of {}", contest.kept().count(), contest.pairs.len()),
            text(Spread::of(contest.pairs.iter().map(rate_ratio))),
        ]
    });
    Table { heads: vec!["rows/s of", "ratio: median (p25 to p75)", "pairs kept", "of all pairs"], rows: rows.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    fn run(wall_ms: u64, server_ms: u64) -> Run {
        let [wall, server_cpu] = [wall_ms, server_ms].map(Duration::from_millis);
        Run { rows: 1000, wall, server_cpu, client_cpu: Duration::from_millis(1) }
    }

    fn keys() -> [String; 3] {
        ["a", "b", "a_over_b"].map(str::to_owned)
    }

    fn contest(keep: Keep, runs: &[(Run, Run)]) -> Contest {
        let (mut ours, mut theirs) = (runs.iter().map(|pair| pair.0), runs.iter().map(|pair| pair.1));
        let [mut a, mut b] = [
            Box::new(|| Ok(ours.next().unwrap())) as Box<dyn FnMut() -> Result<Run>>,
            Box::new(|| Ok(theirs.next().unwrap())),
        ];
        let interrupt = Interrupt(Arc::default());
        Contest::hold(keys(), ["a", "b"], keep, u32::try_from(runs.len()).unwrap(), [&mut *a, &mut *b], &interrupt)
            .unwrap()
    }

    #[test]
    fn a_disturbed_pair_does_not_count_where_both_sides_do_the_same_work() {
        let pairs = [(run(100, 50), run(200, 55)), (run(100, 90), run(100, 200)), (run(100, 116), run(100, 100))];
        let same = contest(Keep::SameServerCpu, &pairs);
        assert_eq!((same.ratio().unwrap().median, same.kept().count()), (2.0, 1));
        assert_eq!(same.ways(Run::saturation).map(|way| (way.unwrap().median * 1e3).round()), [500.0, 275.0]);
        assert!(!same.is_disturbed());
        let all = contest(Keep::All, &pairs);
        assert_eq!((all.ratio().unwrap().median, all.kept().count()), (1.0, 3));
        assert_eq!(same.json()["ratio_all_pairs"]["median"], 1.0);
    }

    #[test]
    fn no_pair_that_counts_is_no_figure() {
        let none = contest(Keep::SameServerCpu, &[(run(1, 1), run(1, 100))]);
        assert_eq!(none.ratio(), None);
        assert!(contest(Keep::All, &[(run(1, 1), run(100, 74))]).is_disturbed());
        assert!(none.json()["ratio"].is_null());
        assert_eq!(ratios_table(&[none]).rows[0][1..3], ["-".to_owned(), "0 of 1".to_owned()]);
    }

    #[test]
    fn a_signal_ends_it_between_two_runs() {
        let flag = Arc::new(AtomicBool::new(false));
        let interrupt = Interrupt(flag.clone());
        let mut ours = || {
            flag.store(true, Ordering::Relaxed);
            Ok(run(1, 1))
        };
        let mut theirs = || -> Result<Run> { panic!("ran on") };
        let held = Contest::hold(keys(), ["a", "b"], Keep::All, 3, [&mut ours, &mut theirs], &interrupt);
        assert!(held.err().unwrap().to_string().contains("interrupted"));
    }
}
