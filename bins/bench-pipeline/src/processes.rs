//! The same measurement in several processes: where memory lies differs from process to process, and decides a part of the
//! figures.

use crate::Interrupt;
use crate::report::{CaseFigure, Report};
use crate::rounds::{Case, Side, Unit};
use crate::spread::Spread;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::ffi::OsString;
use std::process::{Command, Stdio};

/// Runs this program `processes` times with `args`, and reports the medians of the processes' medians.
///
/// # Errors
/// When one of them fails, or a signal has come.
pub(crate) fn measure(report: &mut Report, processes: u32, args: &[OsString], interrupt: &Interrupt) -> Result<()> {
    let mut runs: Vec<Value> = Vec::new();
    for _ in 0..processes {
        interrupt.check()?;
        let mut child = Command::new(std::env::current_exe()?);
        let output = child.args(args).args(["--json", "-"]).stderr(Stdio::inherit()).output();
        let output = output.context("running a process of this program")?;
        ensure!(output.status.success(), "a process of this program ended with {}", output.status);
        runs.push(serde_json::from_slice(&output.stdout).context("reading what a process of this program said")?);
    }
    report.notes.push(format!("{processes} processes; the medians of their medians, with quartiles"));
    combine(report, &runs);
    report.figures.insert("processes".to_owned(), Value::Array(runs));
    Ok(())
}

fn combine(report: &mut Report, runs: &[Value]) {
    let Some(first) = runs.first() else { return };
    let empty = Vec::new();
    let median = |path: &str| Spread::of(runs.iter().filter_map(|run| run.pointer(path)?.as_f64()));
    for (at, case) in first["cases"].as_array().unwrap_or(&empty).iter().enumerate() {
        let text = |field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let side = match case["side"].as_str() {
            Some("theirs") => Side::Theirs,
            Some("limit") => Side::Limit,
            _ => Side::Ours,
        };
        let Some(unit) = Unit::named(&text("unit")) else { continue };
        let case = Case { key: text("name"), name: text("title"), side };
        report.cases.push(CaseFigure { case, unit, spread: median(&format!("/cases/{at}/median")) });
    }
    for key in first["ratios"].as_object().into_iter().flat_map(|ratios| ratios.keys()) {
        report.ratios.push((key.clone(), median(&format!("/ratios/{key}"))));
    }
    for run in runs {
        for warning in run["warnings"].as_array().unwrap_or(&empty).iter().filter_map(Value::as_str) {
            if !report.warnings.iter().any(|known| known == warning) {
                report.warnings.push(warning.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use serde_json::json;

    #[test]
    fn the_median_of_the_processes_counts() {
        let run = |ns: f64, ratio: Option<f64>| {
            json!({
                "cases": [{ "name": "a", "title": "A", "side": "limit", "unit": "ns/event", "median": ns }],
                "ratios": { "a_over_b": ratio }, "warnings": ["w"],
            })
        };
        let mut report = Report::new("x", Machine::look(std::path::Path::new(".")));
        let before = report.warnings.len();
        combine(&mut report, &[run(3.0, Some(0.9)), run(5.0, None), run(4.0, Some(0.7))]);
        let figure = &report.cases[0];
        assert_eq!((figure.case.key.as_str(), figure.case.side, figure.unit.name), ("a", Side::Limit, "ns/event"));
        assert_eq!(figure.spread.map(|spread| (spread.median, spread.runs)), Some((4.0, 3)));
        assert!((report.ratio("a_over_b").unwrap() - 0.8).abs() < 1e-9);
        assert_eq!(report.warnings.len(), before + 1, "each warning once");
    }
}
