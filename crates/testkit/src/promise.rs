//! What a test of a promise found, as one line of a report: promise, runs, faults injected, lost, duplicated, verdict.
//!
//! With `FEEDD_PROMISE_REPORT` naming a file, every line is appended there as JSON; [`table`] makes a table of it.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// The seed of a randomised test: `FEEDD_SEED` (decimal, or hexadecimal behind `0x`), else a random one. Printed.
///
/// # Panics
/// When `FEEDD_SEED` is no number.
#[must_use]
pub fn seed() -> u64 {
    let seed = match std::env::var("FEEDD_SEED") {
        Ok(text) => parse_seed(&text).unwrap_or_else(|| panic!("FEEDD_SEED={text:?} is no number")),
        Err(_) => fastrand::u64(..),
    };
    println!("seed: FEEDD_SEED={seed:#x}");
    seed
}

/// Whether the full sizes shall run (`FEEDD_SOAK=full`) instead of those of every day.
#[must_use]
pub fn full() -> bool {
    std::env::var("FEEDD_SOAK").is_ok_and(|value| value == "full")
}

fn parse_seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// One line of the report, while it is gathered.
#[derive(Clone, Debug)]
#[must_use = "a report counts when it is finished"]
pub struct Report {
    promise: String,
    runs: u64,
    faults: u64,
    fault_kinds: String,
    lost: u64,
    duplicated: u64,
    broken: Vec<String>,
    seed: Option<u64>,
    note: String,
}

impl Report {
    /// About one promise, such as `P2`.
    pub fn new(promise: &str) -> Self {
        Self {
            promise: promise.to_owned(),
            runs: 0,
            faults: 0,
            fault_kinds: String::new(),
            lost: 0,
            duplicated: 0,
            broken: Vec::new(),
            seed: None,
            note: String::new(),
        }
    }

    /// Runs, each with its faults and its own verdict.
    pub const fn runs(mut self, runs: u64) -> Self {
        self.runs = runs;
        self
    }

    /// Faults that really happened, in all runs.
    pub const fn faults(mut self, faults: u64) -> Self {
        self.faults = faults;
        self
    }

    /// Which faults, in a few words.
    pub fn fault_kinds(mut self, kinds: &str) -> Self {
        kinds.clone_into(&mut self.fault_kinds);
        self
    }

    /// Events that were promised and are not there.
    pub const fn lost(mut self, lost: u64) -> Self {
        self.lost = lost;
        self
    }

    /// Events that are there more than once.
    pub const fn duplicated(mut self, duplicated: u64) -> Self {
        self.duplicated = duplicated;
        self
    }

    /// Another demand of the promise: without `held`, it is broken, as `what` says.
    pub fn demand(mut self, held: bool, what: &str) -> Self {
        if !held {
            self.broken.push(what.to_owned());
        }
        self
    }

    /// The seed that repeats these runs.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Further figures, in words.
    pub fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }

    /// Whether the promise was kept. Without a single run it was not tested, which is no keeping.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.runs > 0 && self.lost == 0 && self.duplicated == 0 && self.broken.is_empty()
    }

    /// Prints the line, appends it to the report when there is one, and fails the test when the promise was not kept.
    ///
    /// # Panics
    /// When the promise was not kept, or the report cannot be written.
    #[track_caller]
    pub fn finish(self) {
        println!("{HEAD}\n{}", row(&self.json()));
        if let Some(path) = std::env::var_os("FEEDD_PROMISE_REPORT").filter(|path| !path.is_empty()) {
            self.append(Path::new(&path));
        }
        self.assert_kept();
    }

    #[track_caller]
    fn assert_kept(&self) {
        assert!(self.is_kept(), "promise {} is {}", self.promise, self.verdict());
    }

    /// One write of one line: tests in other processes append too.
    fn append(&self, path: &Path) {
        let file = File::options().create(true).append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(format!("{}\n", self.json()).as_bytes()));
        written.unwrap_or_else(|e| panic!("FEEDD_PROMISE_REPORT {}: {e}", path.display()));
    }

    fn verdict(&self) -> String {
        let mut faults = self.broken.clone();
        let counts =
            [(self.lost > 0, "events lost"), (self.duplicated > 0, "events duplicated"), (self.runs == 0, "no run")];
        faults.extend(counts.iter().filter(|(broken, _)| *broken).map(|(_, what)| (*what).to_owned()));
        if faults.is_empty() { "kept".to_owned() } else { format!("broken: {}", faults.join("; ")) }
    }

    fn json(&self) -> Value {
        json!({
            "promise": self.promise, "runs": self.runs, "faults": self.faults, "fault_kinds": self.fault_kinds,
            "lost": self.lost, "duplicated": self.duplicated, "kept": self.is_kept(), "verdict": self.verdict(),
            "seed": self.seed.map(|seed| format!("{seed:#x}")), "full": full(), "note": self.note,
        })
    }
}

const HEAD: &str = "| promise | runs | faults injected | lost | duplicated | verdict |\n|---|---|---|---|---|---|";

fn row(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let faults = [line["faults"].to_string(), text("fault_kinds")].join(" ");
    let mut row = format!("| {} | {} | {} |", text("promise"), line["runs"], faults.trim_end());
    let _ = write!(row, " {} | {} | {} |", line["lost"], line["duplicated"], text("verdict")); // to a text: cannot fail
    row
}

/// The lines of a report as a Markdown table, sorted by promise, in the order of a file otherwise.
///
/// # Panics
/// When the file cannot be read, or a line of it is none of a report.
#[must_use]
pub fn table(report: &Path) -> String {
    let mut lines = read(report);
    lines.sort_by_key(|line| {
        let name = name(line);
        (name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap_or(u32::MAX), name)
    });
    std::iter::once(HEAD.to_owned()).chain(lines.iter().map(row)).collect::<Vec<_>>().join("\n")
}

/// The table, and what is wrong: promises that were broken, and those of `demanded` without a line. A report that is not
/// there has no lines.
///
/// # Panics
/// As [`table`], for lines.
#[must_use]
pub fn judge(report: &Path, demanded: &[String]) -> (String, Vec<String>) {
    if !report.exists() {
        return (HEAD.to_owned(), vec![format!("{}: no test has reported", report.display())]);
    }
    let lines = read(report);
    let broken = lines.iter().filter(|line| line["kept"] != true);
    let broken = broken.map(|line| format!("{} is {}", name(line), line["verdict"].as_str().unwrap_or_default()));
    let missing = demanded.iter().filter(|promise| !lines.iter().any(|line| name(line) == **promise));
    let faults = broken.chain(missing.map(|promise| format!("{promise} was not tested"))).collect();
    (table(report), faults)
}

fn read(report: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(report).unwrap_or_else(|e| panic!("{}: {e}", report.display()));
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", report.display()));
    text.lines().map(parse).collect()
}

fn name(line: &Value) -> String {
    line["promise"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_run_and_lost_nothing_is_kept() {
        let good = || Report::new("P2").runs(3).faults(2);
        let cases = [
            ("good", good(), "kept"),
            ("no run", Report::new("P2"), "broken: no run"),
            ("lost", good().lost(1), "broken: events lost"),
            ("twice", good().duplicated(1), "broken: events duplicated"),
            ("blunt", good().demand(false, "too few faults").lost(1), "broken: too few faults; events lost"),
            ("demand held", good().demand(true, "too few faults"), "kept"),
        ];
        for (name, report, verdict) in cases {
            assert_eq!(report.verdict(), verdict, "{name}");
            assert_eq!(report.is_kept(), verdict == "kept", "{name}");
        }
    }

    #[test]
    fn lines_of_a_report_become_a_table_in_the_order_of_promises() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        Report::new("P10").runs(1).append(&path);
        Report::new("P2").runs(500).faults(120).fault_kinds("resets").duplicated(1).append(&path);
        let table = table(&path);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            ["| P2 | 500 | 120 resets | 0 | 1 | broken: events duplicated |", "| P10 | 1 | 0 | 0 | 0 | kept |"]
        );
    }

    #[test]
    fn a_promise_that_was_broken_or_not_tested_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let demanded = ["P1".to_owned(), "P2".to_owned()];
        assert_eq!(judge(&path, &demanded).1.len(), 1, "no report at all");
        Report::new("P1").runs(1).append(&path);
        Report::new("P3").runs(1).lost(2).append(&path);
        assert_eq!(judge(&path, &demanded).1, ["P3 is broken: events lost", "P2 was not tested"]);
        Report::new("P2").runs(1).append(&path);
        assert_eq!(judge(&path, &demanded).1, ["P3 is broken: events lost"]);
    }

    #[test]
    #[should_panic(expected = "promise P1 is broken: events lost")]
    fn a_broken_promise_fails_the_test() {
        Report::new("P1").runs(1).lost(1).assert_kept();
    }

    #[test]
    fn seeds_are_read_in_both_ways_of_writing() {
        assert_eq!(parse_seed("0xff"), Some(255));
        assert_eq!(parse_seed("255"), Some(255));
        assert_eq!(parse_seed("ff"), None);
    }
}
