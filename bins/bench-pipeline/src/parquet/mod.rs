//! `sink parquet`: the same trades in Parquet files, written by feedd's sink, by its library alone, and by the libraries
//! that people use from Python. One thread each, zstd level 1.

mod memory;
mod rust;
mod stored;
mod worker;

use crate::Interrupt;
use crate::cli::ParquetArgs;
use crate::limits::two_cores;
use crate::machine::Machine;
use crate::report::{Goal, Report, Table};
use crate::rounds::{Case, Plan, ROWS_PER_S, Ratio, Rounds, Sample, Side};
use crate::spread::Spread;
use crate::trades::Trades;
use anyhow::{Context, Result, ensure};
use feedd_core::Batch;
use feedd_model::Event;
use rust::Columns;
use serde_json::{Map, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use stored::Stored;
use worker::Worker;

/// Rows of a record batch, as the sink gathers them.
const BATCH_ROWS: usize = 8192;
/// Fewer rows are over before fixed costs have faded, fewer rounds leave the quartiles to chance.
const ROWS_QUOTABLE: u32 = 1_000_000;
const ROUNDS_QUOTABLE: u32 = 7;

const SINK: &str = "sink";
const ARROW: &str = "arrow_rs";
const PYARROW: &str = "pyarrow";
const PYARROW_SAME: &str = "pyarrow_same_encodings";
const POLARS: &str = "polars";
const DUCKDB: &str = "duckdb";

/// Ways of the Python process, with their names and packages.
const PYTHON_WAYS: [(&str, &str, &str); 4] = [
    (PYARROW, "its defaults", "pyarrow"),
    (PYARROW_SAME, "with feedd's encodings", "pyarrow"),
    (POLARS, "its defaults", "polars"),
    (DUCKDB, "its defaults", "duckdb"),
];

const RATIOS: [Ratio; 5] = [
    Ratio { key: "sink_over_pyarrow", ours: SINK, theirs: PYARROW },
    Ratio { key: "sink_over_polars", ours: SINK, theirs: POLARS },
    Ratio { key: "sink_over_duckdb", ours: SINK, theirs: DUCKDB },
    Ratio { key: "sink_over_pyarrow_same_encodings", ours: SINK, theirs: PYARROW_SAME },
    Ratio { key: "sink_over_arrow_rs", ours: SINK, theirs: ARROW },
];
/// Not a speed: bytes of ours over theirs.
const BYTES_RATIO: &str = "bytes_over_pyarrow";

/// Goals on ratios.
const GOALS: [(Goal, &str); 5] = [
    (goal("G7", "rows/s of the sink / pyarrow, defaults", 1.4, 1.15), "sink_over_pyarrow"),
    (goal("G7", "rows/s of the sink / Polars, defaults", 1.4, 1.15), "sink_over_polars"),
    (goal("G7", "rows/s of the sink / DuckDB, defaults", 1.4, 1.15), "sink_over_duckdb"),
    (goal("G8", "rows/s of the sink / pyarrow, feedd's encodings", 1.3, 0.85), "sink_over_pyarrow_same_encodings"),
    (goal("G10", "bytes of the sink / pyarrow, defaults", 0.80, 0.95), BYTES_RATIO),
];
const G9: Goal = goal("G9", "bytes a row of the sink", 11.8, 12.0);
const G12: Goal = goal("G12", "MiB the sink takes beside its rows", 64.0, 96.0);

const fn goal(name: &'static str, what: &'static str, target: f64, gate: f64) -> Goal {
    Goal { name, what, target, gate }
}

/// One run of one way.
struct Written {
    wall: Duration,
    cpu: Duration,
    files: Vec<PathBuf>,
}

/// What takes part, and what every way has to have stored.
struct Contest<'a> {
    trades: &'a Trades,
    batches: &'a [Batch],
    columns: Columns,
    worker: Option<Worker>,
    place: PathBuf,
    expected: Stored,
}

/// # Errors
/// When the folder cannot be written to, or files do not hold every row.
pub(crate) fn measure(args: &ParquetArgs, interrupt: &Interrupt) -> Result<Report> {
    let place = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let mut report = Report::new("sink parquet", Machine::look(&place));
    let trades = Trades::simulate(usize::try_from(args.rows)?)?;
    let batches = rust::batches(&trades, &place)?;
    // The first run of the process: nothing that another way left behind can be used again.
    let dir = folder(&place)?;
    let (first, growth_mib) = memory::growth_mib(|| rust::sink(dir.path(), &trades, &batches));
    let first = first?;
    let expected = Stored::read(&first.files)?;
    expected.check_trades(&trades)?;
    let columns = Columns::read(&first.files)?;
    let mut contest = Contest { trades: &trades, batches: &batches, columns, worker: None, place, expected };
    contest.start_worker(&args.python, &mut report)?;
    let cases = contest.cases(args, &mut report);
    drop(dir);
    let plan = Plan { cases, unit: ROWS_PER_S, rounds: args.rounds, cores: two_cores() };
    let rounds = plan.hold(interrupt, &mut |_, case| contest.run(&case.key))?;
    tell(&rounds, args, growth_mib, &mut report);
    Ok(report)
}

/// A folder for the files of one run.
fn folder(place: &Path) -> Result<tempfile::TempDir> {
    let dir = tempfile::Builder::new().prefix("feedd-bench-").tempdir_in(place);
    dir.with_context(|| format!("making a folder in {}", place.display()))
}

impl Contest<'_> {
    /// Starts Python on a file of all rows; without it, its ways are left out.
    fn start_worker(&mut self, python: &Path, report: &mut Report) -> Result<()> {
        let dir = folder(&self.place)?;
        let source = dir.path().join("rows.parquet");
        self.columns.write(&source)?;
        match Worker::start(python, &source) {
            Ok(worker) => self.worker = Some(worker),
            Err(error) => report.warnings.push(format!(
                "pyarrow, Polars and DuckDB are left out: {error:#}; name a Python that has them with --python"
            )),
        }
        Ok(())
    }

    /// Everything that can be run here and stores what it should.
    fn cases(&mut self, args: &ParquetArgs, report: &mut Report) -> Vec<Case> {
        let case = |key: &str, name: String, side| Case { key: key.to_owned(), name, side };
        let mut cases = vec![
            case(SINK, "feedd's sink".to_owned(), Side::Ours),
            case(ARROW, "arrow-rs alone, ready columns, feedd's encodings".to_owned(), Side::Limit),
        ];
        if self.worker.is_none() {
            return cases;
        }
        for (key, how, package) in PYTHON_WAYS {
            match self.run(key).and_then(|_| self.version(key)) {
                Ok(version) => cases.push(case(key, format!("{package} {version}, {how}"), Side::Theirs)),
                Err(error) => report.warnings.push(format!(
                    "{package}, {how}, is left out: {error:#}; `pip install -U {package}`, or name a Python that has it with \
                     --python (now {})",
                    args.python.display()
                )),
            }
        }
        cases
    }

    fn version(&self, way: &str) -> Result<String> {
        self.worker.as_ref().context("Python runs")?.version(way).map(str::to_owned)
    }

    /// One run in a folder of its own, read back.
    fn run(&mut self, way: &str) -> Result<Sample> {
        let dir = folder(&self.place)?;
        let file = dir.path().join("rows.parquet");
        let written = match way {
            SINK => rust::sink(dir.path(), self.trades, self.batches)?,
            ARROW => self.columns.write(&file)?,
            other => {
                let worker = self.worker.as_mut().context("Python runs")?;
                worker.version(other)?;
                worker.write(other, &file)?
            }
        };
        let stored = Stored::read(&written.files)?;
        ensure!(stored == self.expected, "the files hold {stored:?} instead of {:?}", self.expected);
        let sizes = written.files.iter().map(|file| Ok(file.metadata()?.len()));
        let bytes: u64 = sizes.sum::<Result<_>>().context("looking at the files")?;
        let rows = stored.rows as f64;
        let rows_per_s = rows / written.wall.as_secs_f64();
        let details = [
            ("mb_per_s", json!(rows_per_s * size_of::<Event>() as f64 / 1e6)),
            ("bytes", json!(bytes)),
            ("bytes_per_row", json!(bytes as f64 / rows)),
            ("cpu_us_per_row", json!(written.cpu.as_secs_f64() * 1e6 / rows)),
        ];
        let details = details.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Map<_, _>>();
        Ok(Sample { value: rows_per_s, core_share: None, details })
    }
}

fn tell(rounds: &Rounds, args: &ParquetArgs, growth_mib: Option<f64>, report: &mut Report) {
    report.notes.extend([
        format!("{} rows a run, {} rounds; one thread each, zstd level 1, the same columns", args.rows, args.rounds),
        "each run ends with its file and folder synced, and is read back: rows, and sums of every column".to_owned(),
        "the sink gets events: its time holds making columns, checks, positions and the renaming of files; the others have \
         their columns in memory, arrow-rs and pyarrow with texts as keys"
            .to_owned(),
        "MB/s are those of 64-byte events; G9's limits are those of a table of fewer columns (no epoch, seq, flags; prices \
         of 18 digits)"
            .to_owned(),
    ]);
    if args.rows < ROWS_QUOTABLE || args.rounds < ROUNDS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rows {ROWS_QUOTABLE} --rounds {ROUNDS_QUOTABLE}"));
    }
    if growth_mib.is_none() {
        report.notes.push("memory of the sink is unknown: /proc/self/clear_refs cannot be written".to_owned());
    }
    rounds.tell(report, &RATIOS);
    let bytes = |key: &str| rounds.steady_detail(key, "bytes").map(|spread| spread.median);
    let bytes_ratio = bytes(SINK).zip(bytes(PYARROW)).map(|(ours, theirs)| ours / theirs);
    report.ratios.push((BYTES_RATIO.to_owned(), bytes_ratio.and_then(|ratio| Spread::of([ratio]))));
    report.tables = vec![ways_table(rounds, report), ratios_table(report)];
    report.tables_say_all = true;
    let bytes_per_row = rounds.steady_detail(SINK, "bytes_per_row").map(|spread| spread.median);
    report.goals = GOALS.map(|(goal, key)| (goal, report.ratio(key))).into();
    report.goals.extend([(G9, bytes_per_row), (G12, growth_mib)]);
    report.figures.extend([
        ("rows".to_owned(), json!(args.rows)),
        ("bytes_per_row".to_owned(), json!(bytes_per_row)),
        ("sink_memory_mib".to_owned(), json!(growth_mib)),
    ]);
}

fn ways_table(rounds: &Rounds, report: &Report) -> Table {
    let rows = report.cases.iter().map(|figure| {
        let key = &figure.case.key;
        let detail = |name: &str, digits: usize| {
            rounds.detail(key, name).map_or_else(|| "-".to_owned(), |spread| format!("{:.digits$}", spread.median))
        };
        vec![
            figure.case.name.clone(),
            Spread::text(figure.spread, 0),
            detail("mb_per_s", 0),
            detail("bytes_per_row", 2),
            detail("cpu_us_per_row", 3),
            figure.spread.map_or(0, |spread| spread.runs).to_string(),
        ]
    });
    let heads = vec!["way", "rows/s: median (p25 to p75)", "MB/s", "bytes a row", "CPU us/row", "runs"];
    Table { heads, rows: rows.collect() }
}

fn ratios_table(report: &Report) -> Table {
    let rows = report.ratios.iter().map(|(key, spread)| vec![key.replace('_', " "), Spread::text(*spread, 2)]);
    Table { heads: vec!["rows/s of, and bytes", "ratio: median (p25 to p75)"], rows: rows.collect() }
}
