//! The table of a soak: each row a figure, its bound, and whether it holds.

use super::cli::Fault;
use crate::commands::write_table;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Version of the JSON.
const VERSION: u32 = 1;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It does not, which is what the fault is for.
    Expected,
    /// There is nothing to judge; the words say why.
    Told,
}

impl Outcome {
    pub(super) const fn of(holds: bool) -> Self {
        if holds { Self::Pass } else { Self::Fail }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Expected => "expected",
            Self::Told => "-",
        }
    }

    /// For programs.
    const fn key(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Told => "told",
            other => other.name(),
        }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// For programs.
    pub(super) key: &'static str,
    /// For people.
    pub(super) name: String,
    pub(super) measured: String,
    /// The same as a number, where it is one.
    pub(super) figure: Value,
    pub(super) bound: String,
    pub(super) outcome: Outcome,
}

/// A soak, measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Table {
    pub(super) fault: Fault,
    pub(super) rate: u64,
    pub(super) symbols: u64,
    /// How long was recorded.
    pub(super) seconds: u64,
    /// Whether somebody ended it early.
    pub(super) interrupted: bool,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// Whether no row fails.
    pub(super) fn passes(&self) -> bool {
        self.rows.iter().all(|row| row.outcome != Outcome::Fail)
    }

    /// For people.
    ///
    /// # Errors
    /// The writer's.
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { fault, rate, symbols, seconds, .. } = self;
        writeln!(
            out,
            "feedd soak: {symbols} symbols, {rate} frames/s, {seconds} s, fault {}{}",
            fault.name(),
            if self.interrupted { "; interrupted, so this is what was measured until then" } else { "" }
        )?;
        let cells = self
            .rows
            .iter()
            .map(|row| [row.name.clone(), row.measured.clone(), row.bound.clone(), row.outcome.name().to_owned()]);
        write_table(out, ["", "measured", "bound", "verdict"], &cells.collect::<Vec<_>>())?;
        writeln!(out, "{}", if self.passes() { "PASS" } else { "FAIL" })
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.key, "what": row.name, "measured": row.measured, "figure": row.figure, "bound": row.bound,
                "verdict": row.outcome.key(),
            })
        });
        json!({
            "version": VERSION, "pass": self.passes(), "fault": self.fault.name(), "rate": self.rate,
            "symbols": self.symbols, "seconds": self.seconds, "interrupted": self.interrupted,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}
