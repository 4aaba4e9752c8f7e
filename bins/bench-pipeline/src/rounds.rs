//! Cases that take turns: in each round every case has its own, so that a ratio is one of neighbours.
//!
//! Rounds in which the machine was disturbed stay in the JSON and count for nothing.

use crate::Interrupt;
use crate::disturbance::{Signs, Steal, judge};
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
pub(crate) const ROWS_PER_S: Unit = Unit { name: "rows/s", is_rate: true };
pub(crate) const MB_PER_S: Unit = Unit { name: "MB/s", is_rate: true };

impl Unit {
    /// Every unit.
    const ALL: [Self; 5] = [NS_PER_EVENT, NS, ROWS_PER_S, MB_PER_S, NS_PER_FRAME];

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

struct Round {
    samples: Vec<Sample>,
    memcpy_gb_per_s: f64,
    signs: Signs,
    /// Why it does not count.
    disturbed: Vec<String>,
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
        // The first one warms up: caches, files, the kernel's threads.
        for _ in 0..=self.rounds {
            rounds.push(self.round(interrupt, run)?);
        }
        rounds.remove(0);
        let signs: Vec<Signs> = rounds.iter().map(|round| round.signs).collect();
        for (round, reasons) in rounds.iter_mut().zip(judge(&signs)) {
            round.disturbed = reasons;
        }
        Ok(Rounds { plan: self, rounds })
    }

    fn round(&self, interrupt: &Interrupt, run: &mut dyn FnMut(usize, &Case) -> Result<Sample>) -> Result<Round> {
        let steal = Steal::read();
        let ping_pong_ns = limits::ping_pong(self.cores)?;
        let mut samples = Vec::new();
        for (at, case) in self.cases.iter().enumerate() {
            interrupt.check()?;
            samples.push(run(at, case).with_context(|| case.name.clone())?);
        }
        let memcpy_gb_per_s = limits::memcpy_gb_per_s();
        let core_share = samples.iter().filter_map(|sample| sample.core_share).reduce(f64::min);
        let signs = Signs { ping_pong_ns, steal: steal.share_since(), core_share };
        Ok(Round { samples, memcpy_gb_per_s, signs, disturbed: Vec::new() })
    }
}

impl Rounds {
    fn quiet(&self) -> impl Iterator<Item = &Round> + Clone {
        self.rounds.iter().filter(|round| round.disturbed.is_empty())
    }

    fn place(&self, key: &str) -> Option<usize> {
        self.plan.cases.iter().position(|case| case.key == key)
    }

    /// The figures of a case, in the unit of the plan; `None` when no round counts.
    pub(crate) fn spread(&self, key: &str) -> Option<Spread> {
        let at = self.place(key)?;
        Spread::of(self.quiet().map(|round| round.samples[at].value))
    }

    /// Of a detail of a case that is a number.
    pub(crate) fn detail(&self, key: &str, detail: &str) -> Option<Spread> {
        let at = self.place(key)?;
        Spread::of(self.quiet().filter_map(|round| round.samples[at].details.get(detail)?.as_f64()))
    }

    /// How many times as fast the one is as the other.
    pub(crate) fn ratio(&self, ours: &str, theirs: &str) -> Option<Spread> {
        let (ours, theirs) = (self.place(ours)?, self.place(theirs)?);
        Spread::of(self.quiet().map(|round| {
            let (ours, theirs) = (round.samples[ours].value, round.samples[theirs].value);
            if self.plan.unit.is_rate { ours / theirs } else { theirs / ours }
        }))
    }

    /// A time of a case over that of a cache line's way between two cores, in the same round.
    pub(crate) fn over_ping_pong(&self, key: &str) -> Option<Spread> {
        let at = self.place(key)?;
        Spread::of(self.quiet().filter_map(|round| Some(round.samples[at].value / round.signs.ping_pong_ns?)))
    }

    /// Puts cases, ratios, rounds and what disturbed them into a report.
    pub(crate) fn tell(&self, report: &mut Report, ratios: &[Ratio]) {
        for case in &self.plan.cases {
            report.cases.push(CaseFigure { case: case.clone(), unit: self.plan.unit, spread: self.spread(&case.key) });
        }
        for ratio in ratios {
            report.ratios.push((ratio.key.to_owned(), self.ratio(ratio.ours, ratio.theirs)));
        }
        let (all, quiet) = (self.rounds.len(), self.quiet().count());
        if quiet < all {
            let disturbed = all - quiet;
            let warning = format!("the machine was disturbed in {disturbed} of {all} rounds; they do not count");
            report.warnings.push(warning);
        }
        let ping_pong = Spread::of(self.quiet().filter_map(|round| round.signs.ping_pong_ns));
        let copy = Spread::of(self.quiet().map(|round| round.memcpy_gb_per_s));
        let (ping_pong_text, copy_text) = (Spread::text(ping_pong, 0), Spread::text(copy, 1));
        report.notes.push(format!("core to core {ping_pong_text} ns; memory copied at {copy_text} GB/s by one core"));
        report.figures.extend([
            ("ping_pong_ns".to_owned(), json!(ping_pong.map(Spread::json))),
            ("memcpy_gb_per_s".to_owned(), json!(copy.map(Spread::json))),
            ("rounds".to_owned(), self.rounds.iter().map(|round| self.round_json(round)).collect()),
        ]);
    }

    fn round_json(&self, round: &Round) -> Value {
        let cases = self.plan.cases.iter().zip(&round.samples).map(|(case, sample)| {
            let mut figures = sample.details.clone();
            figures.insert("value".to_owned(), json!(sample.value));
            (case.key.clone(), Value::Object(figures))
        });
        json!({
            "ping_pong_ns": round.signs.ping_pong_ns, "steal": round.signs.steal, "core_share": round.signs.core_share,
            "memcpy_gb_per_s": round.memcpy_gb_per_s, "disturbed": round.disturbed,
            "cases": cases.collect::<Map<String, Value>>(),
        })
    }
}
