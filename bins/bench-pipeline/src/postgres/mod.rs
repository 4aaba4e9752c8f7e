//! `sink postgres`: feedd's sink against psql's COPY of the same rows, against the usual way to COPY from Rust, and against
//! the way of multi-row INSERTs.

mod copy_writer;
mod encoded;
mod inserts;
mod psql;
mod rows;
mod server;
mod session;

use crate::Interrupt;
use crate::cli::{LayoutArg, PostgresArgs, ServerArgs};
use crate::contest::{Contest, Keep, ratios_table, ways_table};
use crate::machine::Machine;
use crate::meter::Run;
use crate::report::{Goal, Limit, Report};
use crate::spread::Spread;
use crate::trades::Trades;
use anyhow::Result;
use copy_writer::CopyWriter;
use feedd_sink_postgres::Layout;
use inserts::Inserts;
use psql::Psql;
use rows::Tables;
use serde_json::json;
pub(crate) use server::{SCHEMA, Target};
pub(crate) use session::Session;
use std::path::PathBuf;

/// Rows of a batch, and of a file that psql copies at once.
const BATCHES: [usize; 3] = [50_000, 5_000, 500];

/// Fewer rows are over before a COPY is in its stride, fewer pairs leave the quartiles to chance.
const ROWS_QUOTABLE: u32 = 200_000;
const PAIRS_QUOTABLE: u32 = 21;

const G1: Goal = Goal { name: "G1", what: "sink with ledger, 50k batches / psql \\copy", target: 0.95, gate: 0.80 };
const G2: Goal = Goal { name: "G2", what: "sink, 5k batches / psql, 5k files", target: 1.0, gate: 0.85 };
const G3: Goal = Goal { name: "G3", what: "saturation of the backend, 50k batches", target: 0.95, gate: 0.85 };
const G4: Goal =
    Goal { name: "G4", what: "client CPU a row, sink / tokio-postgres' COPY writer", target: 0.15, gate: 0.30 };
const G6: Goal = Goal { name: "G6", what: "sink, 50k batches / INSERT, indexed table", target: 20.0, gate: 12.0 };

/// # Errors
/// When there is no server, a run fails, or what was stored is not what was written.
pub(crate) fn measure(args: &PostgresArgs, interrupt: &Interrupt) -> Result<Report> {
    let trades = Trades::simulate(usize::try_from(args.rows)?)?;
    let layout = args.layout.layout();
    // First, so that it is dropped last: it removes what was made.
    let target = Target::new(&args.server)?;
    let machine = Machine::look(&target.data_dir()?);
    let files = tempfile::Builder::new().prefix("feedd-bench-").tempdir()?;
    let mut ours = rows::Sink::open(&target, layout, &trades)?;
    let tables = Tables::new(&target, layout)?;
    let mut inserts = Inserts::new(&target, &trades)?;
    let mut psql = Psql::start(&target)?;

    let mut bench = Bench { tables, trades: &trades, runs_checked: 0 };
    // Warms up, makes the partition, and leaves the rows that psql is to copy.
    bench.run_sink(&mut ours, BATCHES[0])?;
    let encoded = encoded::Encoded::read(&mut psql, bench.tables.leaf(), files.path())?;
    // Its rows are those of the compact layout.
    let copy_writer = match args.layout {
        LayoutArg::Compact => Some(CopyWriter::new(&target, bench.tables.leaf())?),
        LayoutArg::Readable => None,
    };
    let mut contests = Vec::new();
    for batch_rows in BATCHES {
        interrupt.check()?;
        // One file for all rows is psql at its best.
        let file_rows = if batch_rows == BATCHES[0] { trades.events.len() } else { batch_rows };
        let paths = encoded.write_files(file_rows)?;
        let names = [format!("sink, {batch_rows} rows a batch"), psql_name(file_rows, trades.events.len())];
        let (bench, psql, ours) = (std::cell::RefCell::new(&mut bench), &mut psql, &mut ours);
        let keys = ["sink", "psql", "sink_over_psql"].map(|way| format!("{way}_{batch_rows}"));
        contests.push(Contest::hold(
            keys,
            [&names[0], &names[1]],
            Keep::SameServerCpu,
            args.pairs,
            [&mut || bench.borrow_mut().run_sink(ours, batch_rows), &mut || {
                bench.borrow_mut().run_psql(psql, &paths, encoded.first_seq, None)
            }],
            interrupt,
        )?);
    }
    {
        let (bench, ours) = (std::cell::RefCell::new(&mut bench), &mut ours);
        let keys = ["sink_beside_insert", "insert", "sink_over_insert"].map(str::to_owned);
        contests.push(Contest::hold(
            keys,
            [&format!("sink, {} rows a batch", BATCHES[0]), &format!("INSERT of {} rows", inserts::ROWS)],
            Keep::All,
            args.pairs,
            [&mut || bench.borrow_mut().run_sink(ours, BATCHES[0]), &mut || {
                bench.borrow_mut().run_inserts(&mut inserts)
            }],
            interrupt,
        )?);
    }
    let ledger = bench.tables.psql_ledger()?;
    for batch_rows in &BATCHES[..2] {
        let psql = (&mut psql, ledger.as_str());
        contests.push(against_ledger(args, *batch_rows, &mut bench, &mut ours, psql, &encoded, interrupt)?);
    }
    let copied = copy_writer.map(|writer| against_copy_writer(args, &mut bench, &mut ours, &writer, interrupt));
    report(args, machine, &mut bench, contests, copied.transpose()?)
}

/// Against psql that pays for a ledger, too: what a batch that is stored exactly once costs whoever stores it.
fn against_ledger(
    args: &PostgresArgs,
    rows: usize,
    bench: &mut Bench<'_>,
    ours: &mut rows::Sink<'_>,
    (psql, ledger): (&mut Psql, &str),
    encoded: &encoded::Encoded,
    interrupt: &Interrupt,
) -> Result<Contest> {
    let files = encoded.write_files(rows)?;
    let bench = std::cell::RefCell::new(bench);
    Contest::hold(
        ["sink_beside_ledger", "psql_with_ledger", "sink_over_psql_with_ledger"].map(|way| format!("{way}_{rows}")),
        [&format!("sink, {rows} rows a batch"), &format!("psql \\copy with a ledger, {rows} rows a file")],
        Keep::SameServerCpu,
        args.pairs,
        [&mut || bench.borrow_mut().run_sink(ours, rows), &mut || {
            bench.borrow_mut().run_psql(psql, &files, encoded.first_seq, Some(ledger))
        }],
        interrupt,
    )
}

fn against_copy_writer(
    args: &PostgresArgs,
    bench: &mut Bench<'_>,
    ours: &mut rows::Sink<'_>,
    writer: &CopyWriter,
    interrupt: &Interrupt,
) -> Result<Contest> {
    let bench = std::cell::RefCell::new(bench);
    Contest::hold(
        ["sink_beside_copy_writer", "copy_writer", "sink_over_copy_writer"].map(str::to_owned),
        [&format!("sink, {} rows a batch", BATCHES[0]), &format!("BinaryCopyInWriter, {} rows a COPY", BATCHES[0])],
        Keep::SameServerCpu,
        args.pairs,
        [&mut || bench.borrow_mut().run_sink(ours, BATCHES[0]), &mut || bench.borrow_mut().run_copy_writer(writer)],
        interrupt,
    )
}

/// What the sink's best batches cost, and the bytes of all rows in their table.
///
/// # Errors
/// When there is no server, or what was stored is not what was written.
pub(crate) fn cost(server: &ServerArgs, layout: Layout, trades: &Trades) -> Result<(Run, u64)> {
    // First, so that it is dropped last: it removes what was made.
    let target = Target::new(server)?;
    let mut sink = rows::Sink::open(&target, layout, trades)?;
    let tables = Tables::new(&target, layout)?;
    // Warms up, and makes the partition.
    sink.run(BATCHES[0])?;
    tables.clear()?;
    let (run, first_seq) = sink.run(BATCHES[0])?;
    tables.check(&trades.totals, first_seq)?;
    let bytes = Session::open(&target)?.value(&format!("SELECT pg_total_relation_size('{}')", tables.leaf()))?;
    Ok((run, bytes.parse()?))
}

/// A median over another one.
fn over(ours: Option<Spread>, theirs: Option<Spread>) -> Option<f64> {
    Some(ours?.median / theirs?.median)
}

fn psql_name(file_rows: usize, rows: usize) -> String {
    if file_rows == rows { "psql \\copy, one file".to_owned() } else { format!("psql \\copy, {file_rows} rows a file") }
}

/// What a run needs around it: an empty table before, the check of what is stored after it.
struct Bench<'a> {
    tables: Tables,
    trades: &'a Trades,
    runs_checked: u64,
}

impl Bench<'_> {
    fn run_sink(&mut self, sink: &mut rows::Sink<'_>, batch_rows: usize) -> Result<Run> {
        self.tables.clear()?;
        let (run, first_seq) = sink.run(batch_rows)?;
        self.check_stored(first_seq)?;
        Ok(run)
    }

    fn run_psql(&mut self, psql: &mut Psql, files: &[PathBuf], first_seq: u64, ledger: Option<&str>) -> Result<Run> {
        self.tables.clear()?;
        let run = psql.copy(self.tables.leaf(), files, self.trades.totals.rows, ledger)?;
        self.check_stored(first_seq)?;
        Ok(run)
    }

    fn run_copy_writer(&mut self, writer: &CopyWriter) -> Result<Run> {
        self.tables.clear()?;
        let run = writer.run(BATCHES[0])?;
        self.check_stored(writer.first_seq)?;
        Ok(run)
    }

    fn run_inserts(&mut self, inserts: &mut Inserts) -> Result<Run> {
        inserts.clear()?;
        self.tables.checkpoint()?;
        let run = inserts.run()?;
        inserts.check(&self.trades.totals)?;
        self.runs_checked += 1;
        Ok(run)
    }

    fn check_stored(&mut self, first_seq: u64) -> Result<()> {
        self.tables.check(&self.trades.totals, first_seq)?;
        self.runs_checked += 1;
        Ok(())
    }
}

/// `contests`: by [`BATCHES`], then INSERT, then psql with a ledger by the larger two; `copied`: against tokio-postgres'
/// writer, of the compact layout.
fn report(
    args: &PostgresArgs,
    machine: Machine,
    bench: &mut Bench<'_>,
    mut contests: Vec<Contest>,
    copied: Option<Contest>,
) -> Result<Report> {
    let mut report = Report::new("sink postgres", machine);
    let settings = bench.tables.settings()?;
    let layout = args.layout.layout().name();
    report.notes = vec![
        format!("{} rows a run, {} pairs, layout {layout}; one connection each, same socket", args.rows, args.pairs),
        settings.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", "),
        "psql copies encoded files; its start is not in its time. BinaryCopyInWriter and INSERT send typed values that are \
         ready; the sink makes them from events."
            .to_owned(),
        format!("{} runs checked: rows, sequences and exact sums as written", bench.runs_checked),
    ];
    if args.layout == LayoutArg::Compact {
        let note = "G4's limits are those of a table of texts and NUMERIC, whose values cost a typed writer more than integers do";
        report.notes.push(note.to_owned());
    }
    if args.rows < ROWS_QUOTABLE || args.pairs < PAIRS_QUOTABLE {
        report.warnings.push(format!("figures worth quoting need --rows {ROWS_QUOTABLE} --pairs {PAIRS_QUOTABLE}"));
    }
    if contests[0].is_disturbed() {
        report.warnings.push("something else used the cores: psql's own backend had to wait; measure again".to_owned());
    }
    let client_cpu = copied.as_ref().and_then(Contest::client_cpu_ratio);
    let [_, psql] = contests[0].ways(Run::client_us_per_row);
    let copy_writer = copied.as_ref().and_then(|contest| contest.ways(Run::client_us_per_row)[1]);
    let psql_cpu = over(psql, copy_writer);
    contests.extend(copied);
    report.tables = vec![ways_table(&contests), ratios_table(&contests)];
    report.tables_say_all = true;
    contests.iter().for_each(|contest| contest.tell(&mut report));
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    report.goals = vec![
        (G1, median(contests[0].ratio())),
        (G2, median(contests[1].ratio())),
        (G3, median(contests[0].ways(Run::saturation)[0])),
    ];
    let [_, saturation] = contests[4].ways(Run::saturation);
    let ledger_over_psql = [(&contests[4], &contests[0]), (&contests[5], &contests[1])]
        .map(|(with_ledger, psql)| over(with_ledger.ways(Run::rows_per_s)[1], psql.ways(Run::rows_per_s)[1]));
    report.limits = vec![
        Limit {
            goal: G1.name,
            whose: "psql that moves a ledger's row with every 50k, too / psql, one file",
            value: ledger_over_psql[0],
        },
        Limit { goal: G2.name, whose: "psql that moves a ledger's row, too / psql", value: ledger_over_psql[1] },
        Limit { goal: G3.name, whose: "psql that moves a ledger's row with every 50k, too", value: median(saturation) },
    ];
    // These goals are the default layout's.
    if args.layout == LayoutArg::Compact {
        report.ratios.push(("client_cpu_over_copy_writer".to_owned(), client_cpu));
        report.goals.push((G4, median(client_cpu)));
        report.goals.push((G6, median(contests[3].ratio())));
        let [[_, psql], [_, insert]] = [&contests[0], &contests[3]].map(|contest| contest.ways(Run::rows_per_s));
        report.limits.extend([
            Limit { goal: G4.name, whose: "psql, which sends bytes that are ready / the COPY writer", value: psql_cpu },
            Limit {
                goal: G6.name,
                whose: "psql, which sends bytes that are ready / INSERT",
                value: over(psql, insert),
            },
        ]);
    }
    let totals = &bench.trades.totals;
    report.figures.extend([
        ("rows".to_owned(), json!(args.rows)),
        ("pairs".to_owned(), json!(args.pairs)),
        ("layout".to_owned(), json!(layout)),
        ("server".to_owned(), settings.into_iter().map(|(name, value)| (name, json!(value))).collect()),
        ("runs_checked".to_owned(), json!(bench.runs_checked)),
        (
            "stored".to_owned(),
            json!({ "rows": totals.rows, "prices": totals.prices, "sizes": totals.sizes, "notional": totals.notional }),
        ),
        ("contests".to_owned(), contests.iter().map(Contest::json).collect()),
    ]);
    Ok(report)
}
