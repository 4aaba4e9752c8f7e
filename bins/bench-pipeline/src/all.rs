//! `all`: every measurement in turn, each in a process of its own, and one document of what they said.

use crate::Interrupt;
use crate::cli::AllArgs;
use crate::machine::Machine;
use crate::report::{LIMIT_HEAD, Report, Table};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A measurement: its arguments when there is time, and with `--quick`.
struct Part {
    name: &'static str,
    full: &'static [&'static str],
    quick: &'static [&'static str],
    /// Whether it makes files, so that it takes `--dir`.
    takes_dir: bool,
}

const PARQUET: &str = "sink-parquet";

/// In the order of a reader's questions. With `--quick` all of them take less than five minutes on two cores.
const PARTS: [Part; 12] = [
    Part {
        name: "hot-path",
        full: &["hot-path", "--rounds", "7", "--processes", "5"],
        quick: &["hot-path", "--rounds", "5", "--events", "20000000"],
        takes_dir: true,
    },
    Part {
        name: "latency",
        full: &["latency", "--rounds", "5"],
        quick: &["latency", "--rounds", "3", "--seconds", "0.2"],
        takes_dir: true,
    },
    Part {
        name: "end-to-end",
        full: &["end-to-end", "--rounds", "3", "--seconds", "4"],
        quick: &["end-to-end", "--quick", "--rounds", "1", "--seconds", "0.4"],
        takes_dir: true,
    },
    Part { name: "decode", full: &["decode"], quick: &["decode", "--rounds", "5"], takes_dir: false },
    Part {
        name: "analysis",
        full: &["analysis", "--rounds", "7"],
        quick: &["analysis", "--rounds", "3", "--events", "1000000"],
        takes_dir: false,
    },
    Part {
        name: "scrape",
        full: &["scrape", "--rounds", "20"],
        quick: &["scrape", "--rounds", "2", "--seconds", "0.6"],
        takes_dir: true,
    },
    Part {
        name: "growth",
        full: &["growth", "--rounds", "5"],
        quick: &["growth", "--quick", "--rounds", "3"],
        takes_dir: true,
    },
    Part {
        name: "size",
        full: &["size", "--symbols", "10", "--rate", "20000"],
        quick: &["size", "--symbols", "10", "--rate", "20000"],
        takes_dir: true,
    },
    Part {
        name: "sink-null",
        full: &["sink", "null", "--runs", "7"],
        quick: &["sink", "null", "--rows", "500000", "--runs", "3"],
        takes_dir: false,
    },
    Part {
        name: "sink-journal",
        full: &["sink", "journal", "--seconds", "15"],
        quick: &["sink", "journal", "--seconds", "3"],
        takes_dir: true,
    },
    Part {
        name: PARQUET,
        full: &["sink", "parquet"],
        quick: &["sink", "parquet", "--rows", "200000", "--rounds", "5"],
        takes_dir: true,
    },
    Part {
        name: "sink-postgres",
        full: &["sink", "postgres", "--rows", "200000", "--pairs", "21"],
        quick: &["sink", "postgres", "--rows", "100000", "--pairs", "5"],
        takes_dir: false,
    },
];

/// One part's result.
struct Told {
    name: &'static str,
    json: Value,
    markdown: String,
    svg: String,
    seconds: f64,
}

/// What all parts said.
pub(crate) struct All {
    told: Vec<Told>,
    /// Parts that failed, and how.
    failed: Vec<(&'static str, String)>,
    pub(crate) report: Report,
}

/// # Errors
/// When a temporary folder cannot be made, or a signal has come. A part that fails is told, the others go on.
pub(crate) fn measure(args: &AllArgs, interrupt: &Interrupt) -> Result<All> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let report = Report::new("all", Machine::look(&place));
    let dir = tempfile::Builder::new().prefix("feedd-bench-").tempdir()?;
    let outputs = args.keep.as_deref().unwrap_or_else(|| dir.path());
    std::fs::create_dir_all(outputs).with_context(|| format!("making {}", outputs.display()))?;
    let mut all = All { told: Vec::new(), failed: Vec::new(), report };
    for part in &PARTS {
        interrupt.check()?;
        if let Some(told) = kept(part, args, outputs, all.report.machine.commit()) {
            eprintln!("bench-pipeline {}: kept", part.name);
            all.told.push(told);
            continue;
        }
        eprintln!("bench-pipeline {}", part.name);
        match run(part, args, outputs) {
            Ok(told) => all.told.push(told),
            Err(error) => all.failed.push((part.name, format!("{error:#}"))),
        }
    }
    all.summarise(args.quick);
    Ok(all)
}

/// Where a part writes what it found: JSON, Markdown, SVG.
fn files(part: &Part, outputs: &Path) -> [PathBuf; 3] {
    ["json", "md", "svg"].map(|kind| outputs.join(format!("{}.{kind}", part.name)))
}

/// What a part found in a run before this one, of the same commit and with the same options; where files were changed, nobody
/// knows what was measured.
fn kept(part: &Part, args: &AllArgs, outputs: &Path, commit: &str) -> Option<Told> {
    let seconds_file = outputs.join(format!("{}.seconds", part.name));
    let seconds = std::fs::read_to_string(seconds_file).ok()?.trim().parse().ok()?;
    let told = read(part, outputs, seconds).ok()?;
    let machine = &told.json["machine"];
    let mut words = machine["command_line"].as_str()?.split_whitespace().skip(1);
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        // Where, and not what.
        if ["--python", "--dir"].contains(&word) {
            words.next();
        } else {
            options.push(word);
        }
    }
    let is_same = machine["commit"] == commit && options == if args.quick { part.quick } else { part.full };
    (is_same && !commit.ends_with("-dirty")).then_some(told)
}

fn read(part: &Part, outputs: &Path, seconds: f64) -> Result<Told> {
    let [json, markdown, svg] = files(part, outputs)
        .map(|path| std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display())));
    Ok(Told { name: part.name, json: serde_json::from_str(&json?)?, markdown: markdown?, svg: svg?, seconds })
}

fn run(part: &Part, args: &AllArgs, outputs: &Path) -> Result<Told> {
    let [json, markdown, svg] = files(part, outputs);
    let mut child = Command::new(std::env::current_exe()?);
    child.args(if args.quick { part.quick } else { part.full });
    if part.name == PARQUET {
        child.arg("--python").arg(&args.python);
    }
    if let Some(dir) = args.dir.as_ref().filter(|_| part.takes_dir) {
        child.arg("--dir").arg(dir);
    }
    child.arg("--json").arg(&json).arg("--markdown").arg(&markdown).arg("--svg").arg(&svg);
    let begin = Instant::now();
    let output = child.stdout(Stdio::null()).output().context("running a process of this program")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{}: {}", output.status, errors.trim());
    }
    let seconds = begin.elapsed().as_secs_f64();
    if args.keep.is_some() {
        // Last: a part without it was not finished.
        let path = outputs.join(format!("{}.seconds", part.name));
        std::fs::write(&path, seconds.to_string()).with_context(|| format!("writing {}", path.display()))?;
    }
    read(part, outputs, seconds)
}

impl All {
    /// Whether every part was measured.
    pub(crate) fn failures(&self) -> &[(&'static str, String)] {
        &self.failed
    }

    fn summarise(&mut self, quick: bool) {
        if quick {
            self.report.warnings.push("--quick: too short for figures worth quoting".to_owned());
        }
        for (name, error) in &self.failed {
            self.report.warnings.push(format!("{name} could not be measured: {error}"));
        }
        let rows = self.told.iter().map(|told| {
            let warnings = told.json["warnings"].as_array().map_or(0, Vec::len);
            vec![told.name.to_owned(), format!("{:.0}", told.seconds), warnings.to_string()]
        });
        let rows = rows.collect();
        self.report.tables.push(Table { heads: vec!["measurement", "seconds", "warnings"], rows });
        self.report.tables.push(self.goals());
        let parts: Map<String, Value> =
            self.told.iter().map(|told| (told.name.to_owned(), told.json.clone())).collect();
        self.report.figures.insert("parts".to_owned(), Value::Object(parts));
        let failed: Map<String, Value> =
            self.failed.iter().map(|(name, why)| ((*name).to_owned(), json!(why))).collect();
        self.report.figures.insert("failed".to_owned(), Value::Object(failed));
    }

    /// Every goal of every part.
    fn goals(&self) -> Table {
        let empty = Vec::new();
        let mut rows = Vec::new();
        for told in &self.told {
            for goal in told.json["goals"].as_array().unwrap_or(&empty) {
                let text = |field: &str| goal[field].as_str().unwrap_or("not measured").to_owned();
                let figure =
                    |field: &str| goal[field].as_f64().map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
                let limit = &goal["limit"];
                let limit = limit["value"].as_f64().zip(limit["whose"].as_str());
                let limit = limit.map(|(value, whose)| format!("{value:.2}: {whose}")).unwrap_or_default();
                rows.push(vec![text("name"), text("what"), figure("value"), figure("target"), text("verdict"), limit]);
            }
        }
        Table { heads: vec!["goal", "what", "figure", "target", "verdict", LIMIT_HEAD], rows }
    }

    /// One document, with a chart beside it for each part, in a folder named as the document.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write_document(&self, path: &Path) -> Result<()> {
        let charts = path.with_extension("");
        std::fs::create_dir_all(&charts).with_context(|| format!("making {}", charts.display()))?;
        let folder = charts.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut text = String::from("# Benchmarks\n\nGenerated by the command below; do not edit.\n\n").into_bytes();
        self.report.write_markdown(&mut text, 2)?;
        for told in &self.told {
            let svg = charts.join(format!("{}.svg", told.name));
            std::fs::write(&svg, &told.svg).with_context(|| format!("writing {}", svg.display()))?;
            text.extend_from_slice(format!("\n{}\n![{2}]({1}/{2}.svg)\n", told.markdown, folder, told.name).as_bytes());
        }
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_part_of_the_same_commit_and_options_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let part = PARTS.iter().find(|part| part.name == PARQUET).unwrap();
        let args = |quick| AllArgs { quick, dir: None, python: "python3".into(), keep: Some(dir.path().into()) };
        let [json, markdown, svg] = files(part, dir.path());
        let command = "bench-pipeline sink parquet --python /v/python --dir /d";
        let told = json!({ "machine": { "commit": "abc", "command_line": command } });
        for (path, text) in [(json, told.to_string()), (markdown, "# M".to_owned()), (svg, "<svg/>".to_owned())] {
            std::fs::write(path, text).unwrap();
        }
        let kept = |quick, commit| kept(part, &args(quick), dir.path(), commit).map(|told| told.seconds);
        assert_eq!(kept(false, "abc"), None, "it was not finished");
        std::fs::write(dir.path().join("sink-parquet.seconds"), "1.5").unwrap();
        assert_eq!(kept(false, "abc"), Some(1.5));
        assert_eq!((kept(true, "abc"), kept(false, "abd")), (None, None), "other options, another commit");
        let told = told.to_string().replace("abc", "abc-dirty");
        std::fs::write(dir.path().join("sink-parquet.json"), told).unwrap();
        assert_eq!(kept(false, "abc-dirty"), None, "nobody knows what was changed");
    }
}
