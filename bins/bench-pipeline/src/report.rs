//! What a measurement prints: tables for people, one object for machines.

use crate::machine::Machine;
use crate::meter;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Version of the JSON.
const VERSION: u32 = 1;

/// A figure with what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) target: f64,
    /// Below it something is broken.
    pub(crate) gate: f64,
}

impl Goal {
    fn verdict(&self, value: f64) -> &'static str {
        if value >= self.target {
            "reached"
        } else if value >= self.gate {
            "above the gate"
        } else {
            "below the gate"
        }
    }
}

/// Rows of text under heads.
pub(crate) struct Table {
    pub(crate) heads: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Everything a measurement has to say.
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) machine: Machine,
    /// How it was measured.
    pub(crate) notes: Vec<String>,
    /// What makes the figures doubtful.
    pub(crate) warnings: Vec<String>,
    pub(crate) tables: Vec<Table>,
    pub(crate) goals: Vec<(Goal, Option<f64>)>,
    /// The same for machines.
    pub(crate) figures: Map<String, Value>,
}

impl Report {
    pub(crate) fn new(command: &'static str, machine: Machine) -> Self {
        let warnings = machine.warnings();
        Self {
            command,
            machine,
            notes: Vec::new(),
            warnings,
            tables: Vec::new(),
            goals: Vec::new(),
            figures: Map::new(),
        }
    }

    pub(crate) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, &self.json())?;
            writeln!(out)?;
        } else {
            self.write_text(&mut out)?;
        }
        out.flush()
    }

    fn json(&self) -> Value {
        let goals = self.goals.iter().map(|(goal, value)| {
            json!({
                "name": goal.name, "what": goal.what, "value": value, "target": goal.target, "gate": goal.gate,
                "verdict": value.map(|value| goal.verdict(value)),
            })
        });
        let mut all = self.figures.clone();
        all.extend([
            ("version".to_owned(), json!(VERSION)),
            ("command".to_owned(), json!(self.command)),
            ("machine".to_owned(), self.machine.json()),
            ("warnings".to_owned(), json!(self.warnings)),
            ("notes".to_owned(), json!(self.notes)),
            ("goals".to_owned(), goals.collect()),
            ("rss_peak_mib".to_owned(), json!(meter::rss_peak_mib())),
        ]);
        Value::Object(all)
    }

    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "bench-pipeline {}", self.command)?;
        for line in self.machine.lines().iter().chain(&self.notes) {
            writeln!(out, "{line}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "WARNING: {warning}")?;
        }
        for table in &self.tables {
            writeln!(out)?;
            table.write(out)?;
        }
        if !self.goals.is_empty() {
            writeln!(out)?;
            self.goals_table().write(out)?;
        }
        let rss = meter::rss_peak_mib().map_or_else(|| "unknown".to_owned(), |mib| format!("{mib} MiB"));
        writeln!(out, "\npeak memory of this process, its rows included: {rss}")
    }

    fn goals_table(&self) -> Table {
        let rows = self.goals.iter().map(|(goal, value)| {
            let figure = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
            let verdict = value.map_or("not measured", |value| goal.verdict(value));
            let (target, gate) = (format!("{:.2}", goal.target), format!("{:.2}", goal.gate));
            vec![goal.name.to_owned(), goal.what.to_owned(), figure, target, gate, verdict.to_owned()]
        });
        Table { heads: vec!["goal", "what", "figure", "target", "gate", "verdict"], rows: rows.collect() }
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
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let table = Table { heads: vec!["a", "long"], rows: vec![vec!["wide".into(), "1".into()]] };
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a     long\nwide  1\n");
    }
}
