//! Cases that take turns: in each round every case has its own, so that a ratio is one of neighbours.
//!
//! Runs in which the machine was disturbed stay in the JSON and count for nothing. Each run is judged by itself: a virtual
//! machine's cores can be moved between two runs of a round. A disturbed run is made again at once, so that the round
//! stays one of neighbours; in all at most as many times as there are runs in the plan.

use crate::Interrupt;
use crate::disturbance::{Signs, Steal, is_disturbed, judge};
use crate::limits;
use crate::report::{CaseFigure, Report};
use crate::spread::Spread;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// What a case stands for in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// feedd.
    Ours,
    /// Another way to do the same.
    Theirs,
    /// What the machine can do.
    Limit,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Limit => "limit",
        }
    }
}

/// A unit of figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// Whether more is better.
    pub(crate) is_rate: bool,
}

pub(crate) const NS_PER_EVENT: Unit = Unit { name: "ns/event", is_rate: false };
pub(crate) const NS: Unit = Unit { name: "ns", is_rate: false };
pub(crate) const NS_PER_FRAME: Unit = Unit { name: "ns/frame", is_rate: false };
pub(crate) const EVENTS_PER_S: Unit = Unit { name: "events/s", is_rate: true };
pub(crate) const ROWS_PER_S: Unit = Unit { name: "rows/s", is_rate: true };
pub(crate) const MB_PER_S: Unit = Unit { name: "MB/s", is_rate: true };

impl Unit {
    /// Every unit.
    const ALL: [Self; 6] = [NS_PER_EVENT, NS, ROWS_PER_S, MB_PER_S, NS_PER_FRAME, EVENTS_PER_S];

    /// The unit of a name in the JSON.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name == name)
    }
}

/// A contender.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// For machines.
    pub(crate) key: String,
    /// For people.
    pub(crate) name: String,
    pub(crate) side: Side,
}

/// One run of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// In the unit of the comparison.
    pub(crate) value: f64,
    /// Smallest part of its core that one of its pinned threads had, of a case whose threads never wait.
    pub(crate) core_share: Option<f64>,
    /// Anything else, kept in the JSON.
    pub(crate) details: Map<String, Value>,
}

/// Speed of one case over that of another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) key: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) theirs: &'static str,
}

/// What is to be compared.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) unit: Unit,
    pub(crate) rounds: u32,
    /// Where the ping-pong of each round runs; `None` leaves it to the system.
    pub(crate) cores: Option<[usize; 2]>,
}

/// A run of a case in its round.
struct Turn {
    sample: Sample,
    signs: Signs,
    /// Why it does not count.
    disturbed: Vec<String>,
    /// Runs before it that were disturbed when they ended.
    given_up: Vec<Sample>,
}

/// A disturbed run is made again so many times in its turn.
const AGAIN_MAX: usize = 3;

struct Round {
    turns: Vec<Turn>,
    memcpy_gb_per_s: f64,
}

/// The rounds of a plan.
pub(crate) struct Rounds {
    plan: Plan,
    rounds: Vec<Round>,
}

impl Plan {
    /// Runs one round that does not count, and then those of the plan.
    ///
    /// # Errors
    /// When a run fails, or a signal has come.
    pub(crate) fn hold(
        self,
        interrupt: &Interrupt,
        run: &mut dyn FnMut(usize, &Case) -> Result<Sample>,
    ) -> Result<Rounds> {
        let mut rounds = Vec::new();
        let mut past = Past { signs: Vec::new(), again: usize::try_from(self.rounds)? * self.cases.len() };
        // The first one warms up: caches, files, the kernel's threads.
        for _ in 0..=self.rounds {
            rounds.push(self.round(interrupt, &mut past, run)?);
        }
        rounds.remove(0);
        let signs: Vec<Signs> = rounds.iter().flat_map(|round| &round.turns).map(|turn| turn.signs).collect();
        for (turn, reasons) in rounds.iter_mut().flat_map(|round| &mut round.turns).zip(judge(&signs)) {
            turn.disturbed = reasons;
        }
        Ok(Rounds { plan: self, rounds })
    }

    fn round(
        &self,
        interrupt: &Interrupt,
        past: &mut Past,
        run: &mut dyn FnMut(usize, &Case) -> Result<Sample>,
    ) -> Result<Round> {
        let mut turns = Vec::new();
        let mut before = limits::ping_pong(self.cores)?;
        for (at, case) in self.cases.iter().enumerate() {
            let mut given_up = Vec::new();
            loop {
                interrupt.check()?;
                let steal = Steal::read();
                let sample = run(at, case).with_context(|| case.name.clone())?;
                let steal = steal.since();
                let after = limits::ping_pong(self.cores)?;
                let ping_pong_ns = before.zip(after).map(<[f64; 2]>::from);
                before = after;
                let signs = Signs { ping_pong_ns, steal, core_share: sample.core_share };
                past.signs.push(signs);
                if given_up.len() < AGAIN_MAX && past.again > 0 && is_disturbed(&signs, &past.signs) {
                    past.again -= 1;
                    given_up.push(sample);
                    continue;
                }
                turns.push(Turn { sample, signs, disturbed: Vec::new(), given_up });
                break;
            }
        }
        Ok(Round { turns, memcpy_gb_per_s: limits::memcpy_gb_per_s() })
    }
}

/// What the runs so far have shown.
struct Past {
    signs: Vec<Signs>,
    /// Runs that may still be made again.
    again: usize,
}

impl Turn {
    fn is_quiet(&self) -> bool {
        self.disturbed.is_empty()
    }
}

/// Which runs a figure is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Quiet,
    All,
}

impl Rounds {
    /// The runs of a case that count.
    fn quiet(&self, at: usize) -> impl Iterator<Item = &Turn> + Clone {
        self.rounds.iter().map(move |round| &round.turns[at]).filter(|turn| turn.is_quiet())
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.plan.cases.iter().position(|case| case.key == key)
    }

    /// The figures of a case, in the unit of the plan; `None` when no run counts.
    pub(crate) fn spread(&self, key: &str) -> Option<Spread> {
        Spread::of(self.quiet(self.place(key)?).map(|turn| turn.sample.value))
    }

    /// Of a detail of a case that is a number.
    pub(crate) fn detail(&self, key: &str, detail: &str) -> Option<Spread> {
        Spread::of(self.quiet(self.place(key)?).filter_map(|turn| turn.sample.details.get(detail)?.as_f64()))
    }

    /// A detail that is a text: that of the last run.
    pub(crate) fn last_text(&self, key: &str, detail: &str) -> Option<String> {
        let at = self.place(key)?;
        let runs = self.rounds.iter().map(|round| &round.turns[at]);
        runs.filter_map(|turn| turn.sample.details.get(detail)?.as_str().map(str::to_owned)).next_back()
    }

    /// Of a detail that does not depend on what else the machine does, such as a size: of all runs.
    pub(crate) fn steady_detail(&self, key: &str, detail: &str) -> Option<Spread> {
        let at = self.place(key)?;
        Spread::of(self.rounds.iter().filter_map(|round| round.turns[at].sample.details.get(detail)?.as_f64()))
    }

    /// How many times as fast the one is as the other, in rounds in which the runs of both count.
    pub(crate) fn ratio(&self, ours: &str, theirs: &str) -> Option<Spread> {
        self.ratio_of(Of::Quiet, ours, theirs)
    }

    fn ratio_of(&self, of: Of, ours: &str, theirs: &str) -> Option<Spread> {
        let (ours, theirs) = (self.place(ours)?, self.place(theirs)?);
        let pairs = self.rounds.iter().map(|round| (&round.turns[ours], &round.turns[theirs]));
        let kept = pairs.filter(|(ours, theirs)| of == Of::All || (ours.is_quiet() && theirs.is_quiet()));
        Spread::of(kept.map(|(ours, theirs)| {
            let (ours, theirs) = (ours.sample.value, theirs.sample.value);
            if self.plan.unit.is_rate { ours / theirs } else { theirs / ours }
        }))
    }

    /// How much more the one takes than the other, in rounds in which the runs of both count.
    pub(crate) fn longer(&self, with: &str, without: &str) -> Option<Spread> {
        let (with, without) = (self.place(with)?, self.place(without)?);
        let pairs = self.rounds.iter().map(|round| (&round.turns[with], &round.turns[without]));
        let kept = pairs.filter(|(with, without)| with.is_quiet() && without.is_quiet());
        Spread::of(kept.map(|(with, without)| with.sample.value - without.sample.value))
    }

    /// A detail of two cases, of each round in which the runs of both count.
    pub(crate) fn detail_pairs(&self, cases: [&str; 2], detail: &str) -> Vec<[f64; 2]> {
        let (Some(one), Some(other)) = (self.place(cases[0]), self.place(cases[1])) else { return Vec::new() };
        let pairs = self.rounds.iter().map(|round| [&round.turns[one], &round.turns[other]]);
        let quiet = pairs.filter(|pair| pair.iter().all(|turn| turn.is_quiet()));
        let read = |[one, other]: [&Turn; 2]| {
            let read = |turn: &Turn| turn.sample.details.get(detail)?.as_f64();
            Some([read(one)?, read(other)?])
        };
        quiet.filter_map(read).collect()
    }

    /// A time of a case over that of a cache line's way between two cores, before and after the same run.
    pub(crate) fn over_ping_pong(&self, key: &str) -> Option<Spread> {
        let at = self.place(key)?;
        Spread::of(self.quiet(at).filter_map(|turn| {
            let [before, after] = turn.signs.ping_pong_ns?;
            Some(turn.sample.value * 2.0 / (before + after))
        }))
    }

    /// Puts cases, ratios, rounds and what disturbed them into a report.
    pub(crate) fn tell(&self, report: &mut Report, ratios: &[Ratio]) {
        for case in &self.plan.cases {
            report.cases.push(CaseFigure { case: case.clone(), unit: self.plan.unit, spread: self.spread(&case.key) });
        }
        let mut of_all = Map::new();
        for ratio in ratios {
            report.ratios.push((ratio.key.to_owned(), self.ratio(ratio.ours, ratio.theirs)));
            let all = self.ratio_of(Of::All, ratio.ours, ratio.theirs);
            of_all.insert(ratio.key.to_owned(), json!(all.map(Spread::json)));
        }
        let turns = || self.rounds.iter().flat_map(|round| &round.turns);
        let (all, quiet) = (turns().count(), turns().filter(|turn| turn.is_quiet()).count());
        let again: usize = turns().map(|turn| turn.given_up.len()).sum();
        if again > 0 {
            report.notes.push(format!("{again} disturbed runs were made again at once"));
        }
        if quiet < all {
            let disturbed = all - quiet;
            report.warnings.push(format!("the machine was disturbed in {disturbed} of {all} runs; they do not count"));
        }
        let ping_pong =
            Spread::of(turns().filter(|turn| turn.is_quiet()).filter_map(|turn| Some(turn.signs.ping_pong_ns?[1])));
        let copy = Spread::of(self.rounds.iter().map(|round| round.memcpy_gb_per_s));
        let (ping_pong_text, copy_text) = (Spread::text(ping_pong, 0), Spread::text(copy, 1));
        report.notes.push(format!("core to core {ping_pong_text} ns; memory copied at {copy_text} GB/s by one core"));
        report.figures.extend([
            ("ping_pong_ns".to_owned(), json!(ping_pong.map(Spread::json))),
            ("memcpy_gb_per_s".to_owned(), json!(copy.map(Spread::json))),
            ("ratios_of_all_runs".to_owned(), Value::Object(of_all)),
            ("rounds".to_owned(), self.rounds.iter().map(|round| self.round_json(round)).collect()),
        ]);
    }

    fn round_json(&self, round: &Round) -> Value {
        let cases = self.plan.cases.iter().zip(&round.turns).map(|(case, turn)| {
            let mut figures = turn.sample.details.clone();
            figures.extend([
                ("value".to_owned(), json!(turn.sample.value)),
                ("ping_pong_ns".to_owned(), json!(turn.signs.ping_pong_ns)),
                ("steal".to_owned(), json!(turn.signs.steal.share())),
                ("disturbed".to_owned(), json!(turn.disturbed)),
                ("given_up".to_owned(), turn.given_up.iter().map(|sample| json!(sample.value)).collect()),
            ]);
            (case.key.clone(), Value::Object(figures))
        });
        json!({ "memcpy_gb_per_s": round.memcpy_gb_per_s, "cases": cases.collect::<Map<String, Value>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    /// Rounds of two cases; a run marked so was disturbed.
    fn rounds(unit: Unit, runs: &[[(f64, bool); 2]]) -> Rounds {
        let case = |key: &str| Case { key: key.to_owned(), name: key.to_owned(), side: Side::Ours };
        let turn = |(value, is_disturbed): (f64, bool)| Turn {
            sample: Sample { value, ..Sample::default() },
            signs: Signs { ping_pong_ns: Some([40.0, 60.0]), steal: Steal::default(), core_share: None },
            disturbed: is_disturbed.then(|| "stolen".to_owned()).into_iter().collect(),
            given_up: Vec::new(),
        };
        let round = |runs: &[(f64, bool); 2]| Round { turns: runs.map(turn).into(), memcpy_gb_per_s: 1.0 };
        let plan = Plan { cases: vec![case("a"), case("b")], unit, rounds: 3, cores: None };
        Rounds { plan, rounds: runs.iter().map(round).collect() }
    }

    #[test]
    fn a_disturbed_run_counts_neither_for_its_case_nor_for_a_ratio_and_stays_in_the_json() {
        let runs = [[(10.0, false), (20.0, false)], [(99.0, true), (30.0, false)], [(10.0, false), (40.0, false)]];
        let rounds = rounds(NS_PER_EVENT, &runs);
        assert_eq!(rounds.spread("a").map(|s| (s.runs, s.max)), Some((2, 10.0)));
        assert_eq!(rounds.spread("b").map(|s| s.runs), Some(3), "its own runs are quiet");
        assert_eq!(rounds.ratio("a", "b").map(|s| (s.runs, s.median)), Some((2, 3.0)), "less time is faster");
        assert_eq!(rounds.longer("b", "a").map(|s| (s.runs, s.median)), Some((2, 20.0)));
        assert_eq!(rounds.over_ping_pong("a").map(|s| s.median), Some(0.2));
        assert_eq!(rounds.ratio("a", "none"), None);
        let mut report = Report::new("x", Machine::look(std::path::Path::new(".")));
        rounds.tell(&mut report, &[Ratio { key: "a_over_b", ours: "a", theirs: "b" }]);
        assert_eq!(report.ratio("a_over_b"), Some(3.0));
        assert!(report.warnings.iter().any(|warning| warning.contains("1 of 6 runs")));
        let json = report.json();
        assert_eq!(json["ratios_of_all_runs"]["a_over_b"]["runs"], 3);
        assert_eq!(json["rounds"][1]["cases"]["a"]["value"], 99.0);
        assert_eq!(json["rounds"][1]["cases"]["a"]["disturbed"][0], "stolen");
        assert_eq!(json["cases"][0]["name"], "a");
    }

    #[test]
    fn more_of_a_rate_is_faster() {
        let rounds = rounds(ROWS_PER_S, &[[(30.0, false), (10.0, false)]]);
        assert_eq!(rounds.ratio("a", "b").map(|s| s.median), Some(3.0));
        assert_eq!(rounds.ratio("b", "a").map(|s| s.median), Some(1.0 / 3.0));
    }

    #[test]
    fn a_plan_runs_each_case_once_a_round_in_turn_and_the_first_round_does_not_count() {
        let case = |key: &str| Case { key: key.to_owned(), name: key.to_owned(), side: Side::Ours };
        let plan = Plan { cases: vec![case("a"), case("b")], unit: NS_PER_EVENT, rounds: 2, cores: None };
        let mut order = Vec::new();
        let interrupt = Interrupt(std::sync::Arc::default());
        let rounds = plan.hold(&interrupt, &mut |at, case| {
            order.push(at);
            // The second case lacks its core each time: that is made again, while the plan allows it.
            let core_share = (at == 1).then_some(0.5);
            Ok(Sample { value: f64::from(u32::try_from(order.len())?), details: Map::new(), core_share })
                .inspect(|_| assert_eq!(case.key, ["a", "b"][at]))
        });
        let rounds = rounds.unwrap();
        order.dedup();
        assert_eq!(order, [0, 1, 0, 1, 0, 1]);
        assert_eq!(rounds.rounds.len(), 2);
        let turns: Vec<&Turn> = rounds.rounds.iter().map(|round| &round.turns[1]).collect();
        assert!(turns.iter().all(|turn| !turn.is_quiet()));
        let again: usize = turns.iter().map(|turn| turn.given_up.len()).sum();
        assert!(again <= 4, "four runs are planned, so at most four are made again: {again}");
        assert_eq!(rounds.spread("b"), None);
        for turn in turns {
            let last = turn.given_up.last().map_or(0.0, |sample| sample.value);
            assert!(turn.sample.value > last, "the last of them counts");
        }
    }
}
