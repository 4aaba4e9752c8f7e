//! What a measurement says: tables for people, as text or Markdown, and one object for machines.

use crate::machine::Machine;
use crate::meter;
use crate::rounds::{Case, Unit};
use crate::spread::Spread;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Version of the JSON. 2: `cases` and `ratios` in every report.
const VERSION: u32 = 2;

/// Head of the column that [`Limit`]s stand in.
pub(crate) const LIMIT_HEAD: &str = "the same of what does less";

/// A figure with what is wanted of it. Where the gate lies above the target, less is better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) target: f64,
    /// Beyond it something is broken.
    pub(crate) gate: f64,
}

impl Goal {
    fn is_at_most(&self) -> bool {
        self.target < self.gate
    }

    fn verdict(&self, value: f64) -> &'static str {
        let reaches = |bound: f64| if self.is_at_most() { value <= bound } else { value >= bound };
        match (reaches(self.target), reaches(self.gate), self.is_at_most()) {
            (true, ..) => "reached",
            (false, true, false) => "above the gate",
            (false, true, true) => "within the gate",
            (false, false, false) => "below the gate",
            (false, false, true) => "beyond the gate",
        }
    }

    /// Target or gate for people.
    fn bound(&self, bound: f64) -> String {
        let at_most = if self.is_at_most() { "at most " } else { "" };
        format!("{at_most}{bound:.2}")
    }
}

/// What stops a goal on this machine: the same figure of something that does less, measured in the same run.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// The goal's name.
    pub(crate) goal: &'static str,
    /// Whose figure.
    pub(crate) whose: &'static str,
    pub(crate) value: Option<f64>,
}

impl Limit {
    /// For people.
    fn text(&self) -> Option<String> {
        Some(format!("{:.2}: {}", self.value?, self.whose))
    }
}

/// Rows of text under heads.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A contender and what it did.
#[derive(Clone, Debug)]
pub(crate) struct CaseFigure {
    pub(crate) case: Case,
    pub(crate) unit: Unit,
    /// `None`: no run counts.
    pub(crate) spread: Option<Spread>,
}

/// Everything a measurement has to say.
pub(crate) struct Report {
    /// The subcommand.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    /// How it was measured.
    pub(crate) notes: Vec<String>,
    /// What makes the figures doubtful.
    pub(crate) warnings: Vec<String>,
    pub(crate) cases: Vec<CaseFigure>,
    /// Speed of one case over that of another.
    pub(crate) ratios: Vec<(String, Option<Spread>)>,
    /// What the cases and ratios do not tell, or tell better.
    pub(crate) tables: Vec<Table>,
    /// Whether those say all that the cases and ratios say.
    pub(crate) tables_say_all: bool,
    pub(crate) goals: Vec<(Goal, Option<f64>)>,
    /// Of some of those goals.
    pub(crate) limits: Vec<Limit>,
    /// More for machines.
    pub(crate) figures: Map<String, Value>,
}

impl Report {
    pub(crate) fn new(command: &str, machine: Machine) -> Self {
        let warnings = machine.warnings();
        Self {
            command: command.to_owned(),
            machine,
            notes: Vec::new(),
            warnings,
            cases: Vec::new(),
            ratios: Vec::new(),
            tables: Vec::new(),
            tables_say_all: false,
            goals: Vec::new(),
            limits: Vec::new(),
            figures: Map::new(),
        }
    }

    /// Median of a ratio.
    pub(crate) fn ratio(&self, key: &str) -> Option<f64> {
        self.ratios.iter().find(|(name, _)| name == key).and_then(|(_, spread)| Some((*spread)?.median))
    }

    fn limit(&self, goal: &Goal) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.goal == goal.name)
    }

    pub(crate) fn json(&self) -> Value {
        let goals = self.goals.iter().map(|(goal, value)| {
            json!({
                "name": goal.name, "what": goal.what, "value": value, "target": goal.target, "gate": goal.gate,
                "verdict": value.map(|value| goal.verdict(value)),
                "limit": self.limit(goal).map(|limit| json!({ "whose": limit.whose, "value": limit.value })),
            })
        });
        let cases = self.cases.iter().map(|figure| {
            let of = |part: fn(Spread) -> f64| figure.spread.map(part);
            json!({
                "name": figure.case.key, "title": figure.case.name, "side": figure.case.side.name(),
                "unit": figure.unit.name, "runs": figure.spread.map_or(0, |spread| spread.runs),
                "median": of(|s| s.median), "p25": of(|s| s.p25), "p75": of(|s| s.p75), "min": of(|s| s.min),
                "max": of(|s| s.max),
            })
        });
        let ratios = self.ratios.iter().map(|(key, spread)| (key.clone(), json!(spread.map(|spread| spread.median))));
        let spreads = self.ratios.iter().map(|(key, spread)| (key.clone(), json!(spread.map(Spread::json))));
        let mut all = self.figures.clone();
        all.extend([
            ("version".to_owned(), json!(VERSION)),
            ("command".to_owned(), json!(self.command)),
            ("machine".to_owned(), self.machine.json()),
            ("warnings".to_owned(), json!(self.warnings)),
            ("notes".to_owned(), json!(self.notes)),
            ("cases".to_owned(), cases.collect()),
            ("ratios".to_owned(), Value::Object(ratios.collect())),
            ("ratio_spreads".to_owned(), Value::Object(spreads.collect())),
            ("goals".to_owned(), goals.collect()),
            ("rss_peak_mib".to_owned(), json!(meter::rss_peak_mib())),
        ]);
        Value::Object(all)
    }

    pub(crate) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "bench-pipeline {}", self.command)?;
        for line in self.machine.lines().iter().chain(&self.notes) {
            writeln!(out, "{line}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "WARNING: {warning}")?;
        }
        for table in self.all_tables() {
            writeln!(out)?;
            table.write(out)?;
        }
        let rss = meter::rss_peak_mib().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
        writeln!(out, "\npeak memory of this process, its rows included: {rss}")
    }

    /// A section of a document, under a heading of the given level.
    pub(crate) fn write_markdown(&self, out: &mut dyn Write, level: usize) -> io::Result<()> {
        writeln!(out, "{} {}\n\n`{}`\n", "#".repeat(level), self.command, self.machine.command_line())?;
        for line in self.machine.lines().iter().chain(&self.notes) {
            writeln!(out, "- {line}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "- **{warning}**")?;
        }
        for table in self.all_tables() {
            writeln!(out)?;
            table.write_markdown(out)?;
        }
        Ok(())
    }

    fn all_tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        if !self.cases.is_empty() && !self.tables_say_all {
            tables.push(self.cases_table());
        }
        if !self.ratios.is_empty() && !self.tables_say_all {
            let row = |(key, spread): &(String, Option<Spread>)| vec![key.replace('_', " "), Spread::text(*spread, 2)];
            let rows = self.ratios.iter().map(row).collect();
            tables.push(Table { heads: vec!["speed of", "ratio: median (p25 to p75)"], rows });
        }
        let tables = tables.into_iter().chain(self.tables.iter().cloned());
        let goals = (!self.goals.is_empty()).then(|| self.goals_table());
        tables.chain(goals).collect()
    }

    fn cases_table(&self) -> Table {
        let rows = self.cases.iter().map(|figure| {
            let digits = match figure.spread {
                Some(spread) if spread.median >= 1000.0 => 0,
                _ => 2,
            };
            // What a time per event is as a rate, which people ask for.
            let rate = match (figure.unit.name, figure.spread) {
                ("ns/event", Some(spread)) => format!("{:.2} M events/s", 1e3 / spread.median),
                _ => String::new(),
            };
            let runs = figure.spread.map_or(0, |spread| spread.runs).to_string();
            vec![figure.case.name.clone(), figure.unit.name.to_owned(), Spread::text(figure.spread, digits), runs, rate]
        });
        Table { heads: vec!["case", "unit", "median (p25 to p75)", "runs", "that is"], rows: rows.collect() }
    }

    fn goals_table(&self) -> Table {
        let rows = self.goals.iter().map(|(goal, value)| {
            let figure = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let verdict = value.map_or("not measured", |value| goal.verdict(value));
            let (target, gate) = (goal.bound(goal.target), goal.bound(goal.gate));
            let limit = self.limit(goal).and_then(Limit::text).unwrap_or_default();
            vec![goal.name.to_owned(), goal.what.to_owned(), figure, target, gate, verdict.to_owned(), limit]
        });
        Table { heads: vec!["goal", "what", "figure", "target", "gate", "verdict", LIMIT_HEAD], rows: rows.collect() }
    }
}

impl Table {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let width_of = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([self.heads[at].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heads.len()).map(width_of).collect();
        let heads: Vec<String> = self.heads.iter().map(|&head| head.to_owned()).collect();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            writeln!(out, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

impl Table {
    fn write_markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        writeln!(out, "{}", line(&mut self.heads.iter().map(|&head| head.to_owned())))?;
        writeln!(out, "{}", line(&mut self.heads.iter().map(|_| "---".to_owned())))?;
        for row in &self.rows {
            writeln!(out, "{}", line(&mut row.iter().map(|cell| cell.replace('|', "\\|"))))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_target_then_gate() {
        let goal = Goal { name: "G", what: "w", target: 0.95, gate: 0.8 };
        let cases = [(0.95, "reached"), (0.949, "above the gate"), (0.8, "above the gate"), (0.79, "below the gate")];
        for (value, verdict) in cases {
            assert_eq!(goal.verdict(value), verdict, "{value}");
        }
        assert_eq!(goal.verdict(f64::NAN), "below the gate");
        assert_eq!(goal.bound(goal.gate), "0.80");
        let goal = Goal { name: "G", what: "w", target: 0.8, gate: 0.95 };
        let cases = [(0.8, "reached"), (0.81, "within the gate"), (0.95, "within the gate"), (0.96, "beyond the gate")];
        for (value, verdict) in cases {
            assert_eq!(goal.verdict(value), verdict, "{value}");
        }
        assert_eq!(goal.verdict(f64::NAN), "beyond the gate");
        assert_eq!(goal.bound(goal.gate), "at most 0.95");
    }

    #[test]
    fn a_limit_stands_beside_its_goal() {
        let mut report = Report::new("c", Machine::look(&std::env::temp_dir()));
        let goal = |name| Goal { name, what: "w", target: 0.95, gate: 0.8 };
        report.goals = ["A", "B", "C"].map(|name| (goal(name), Some(0.9))).into();
        report.limits =
            [("B", Some(0.912)), ("C", None)].map(|(goal, value)| Limit { goal, whose: "psql", value }).into();
        let shown: Vec<String> = report.goals_table().rows.iter().map(|row| row[6].clone()).collect();
        assert_eq!(shown, ["", "0.91: psql", ""]);
        let goals = report.json()["goals"].clone();
        assert_eq!(goals[1]["limit"], json!({ "whose": "psql", "value": 0.912 }));
        assert!(goals[0]["limit"].is_null() && goals[2]["limit"]["value"].is_null());
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table { heads: vec!["a", "long"], rows: vec![vec!["wide".into(), "1".into()]] };
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a     long\nwide  1\n");
        let mut out = Vec::new();
        let table = Table { heads: vec!["a", "b"], rows: vec![vec!["x|y".into(), "1".into()]] };
        table.write_markdown(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "| a | b |\n| --- | --- |\n| x\\|y | 1 |\n");
    }
}
