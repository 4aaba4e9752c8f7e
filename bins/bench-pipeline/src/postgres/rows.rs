//! The sink's side: its runs, and the tables it writes to, which psql fills as well.

use super::Session;
use super::server::{SCHEMA, Target};
use crate::meter::{self, ClientCpu, Run};
use crate::trades::{DAY, EPOCH, STREAM, Totals, Trades};
use anyhow::{Context, Result, ensure};
use feedd_core::Sink as _;
use feedd_model::{MonoNanos, Seq};
use feedd_sink_postgres::{Layout, PostgresSink};

/// The sink that is measured.
pub(crate) struct Sink<'a> {
    sink: PostgresSink,
    backend: u32,
    trades: &'a Trades,
    next: Seq,
}

impl<'a> Sink<'a> {
    /// Opens it; makes its tables.
    ///
    /// # Errors
    /// When the server refuses something.
    pub(crate) fn open(target: &Target, layout: Layout, trades: &'a Trades) -> Result<Self> {
        let known = backends(target)?;
        let mut sink = PostgresSink::open(target.sink_config(layout), trades.instruments.clone())?;
        let stored = sink.recover(STREAM, EPOCH)?;
        ensure!(stored == Seq(0), "the ledger of a new schema stands at {stored}");
        let mut new = backends(target)?;
        new.retain(|backend| !known.contains(backend));
        ensure!(new.len() == 1, "{} new connections instead of the sink's one: is a recorder starting?", new.len());
        Ok(Self { sink, backend: new[0], trades, next: Seq(1) })
    }

    /// Writes all rows, as rows that follow those of the run before; also the first sequence.
    ///
    /// # Errors
    /// When the sink fails or does not count them as stored.
    pub(crate) fn run(&mut self, batch_rows: usize) -> Result<(Run, u64)> {
        let first = self.next;
        let batches = self.trades.batches(first, batch_rows);
        let rows = self.trades.totals.rows;
        let sink = &mut self.sink;
        let run = meter::run(rows, self.backend, ClientCpu::ThisThread, || {
            for batch in &batches {
                sink.write(batch, MonoNanos(0))?;
            }
            Ok(())
        })?;
        self.next = Seq(first.0 + rows);
        ensure!(self.sink.stored_seq().next() == self.next, "the sink says that not everything is stored");
        Ok((run, first.0))
    }
}

/// Processes that serve a sink in this database.
fn backends(target: &Target) -> Result<Vec<u32>> {
    let rows = Session::open(target)?
        .query("SELECT pid FROM pg_stat_activity WHERE application_name = 'feedd' AND datname = current_database()")?;
    rows.iter().map(|row| super::session::backend_pid(&row[0])).collect()
}

/// The tables of the sink.
pub(crate) struct Tables {
    session: Session,
    table: &'static str,
    leaf: String,
}

impl Tables {
    pub(crate) fn new(target: &Target, layout: Layout) -> Result<Self> {
        let table = match layout {
            Layout::Compact => "trade",
            Layout::Readable => "trades",
        };
        Ok(Self { session: Session::open(target)?, table, leaf: format!("{SCHEMA}.{table}_{DAY}") })
    }

    /// The partition that all rows are in.
    pub(crate) fn leaf(&self) -> &str {
        &self.leaf
    }

    /// Empties the table; nothing of the run before is left to be written.
    pub(crate) fn clear(&self) -> Result<()> {
        self.session.execute(&format!("TRUNCATE {SCHEMA}.{}", self.table))?;
        self.checkpoint()
    }

    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.session.execute("CHECKPOINT").context("needs a superuser, or a member of pg_checkpoint")
    }

    /// Makes a ledger for psql, of one row, and the statement that moves it as the sink moves its own.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) fn psql_ledger(&self) -> Result<String> {
        let ledger = format!("{SCHEMA}.psql_ledger");
        self.session
            .execute(&format!("CREATE TABLE {ledger} (LIKE {SCHEMA}.ledger INCLUDING ALL) WITH (fillfactor = 50)"))?;
        self.session.execute(&format!("INSERT INTO {ledger} (sink, stream, epoch) VALUES ('psql', 1, 1)"))?;
        let id = self.session.value(&format!("SELECT id FROM {ledger}"))?;
        Ok(format!(
            "UPDATE {ledger} SET stored_seq = stored_seq + 1 WHERE id = {id} AND stored_seq >= 0 AND stream = 1 AND epoch = 1"
        ))
    }

    /// Whether exactly these rows stand there, with sequences from `first` on.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) fn check(&self, expected: &Totals, first: u64) -> Result<()> {
        let source = format!("{SCHEMA}.trades");
        let found = totals(&self.session, &source, "venue_ts / 1000", ["price", "size"], "side = 'sell'")?;
        ensure!(found == *expected, "stored was {found:?} instead of {expected:?}");
        let query = format!("SELECT count(DISTINCT seq), min(seq), max(seq) FROM {}", self.leaf);
        let seqs = self.session.query(&query)?;
        let wanted = [expected.rows, first, first + expected.rows - 1].map(|number| number.to_string());
        ensure!(seqs.iter().flatten().eq(&wanted), "sequences are {seqs:?} instead of {wanted:?}");
        Ok(())
    }

    /// What of the server's settings matters.
    pub(crate) fn settings(&self) -> Result<Vec<(String, String)>> {
        let names = ["server_version", "fsync", "synchronous_commit", "shared_buffers", "max_wal_size", "autovacuum"];
        names.map(|name| Ok((name.to_owned(), self.session.value(&format!("SHOW {name}"))?))).into_iter().collect()
    }
}

/// The sums of a relation's rows, in the words of [`Totals`].
pub(crate) fn totals(
    session: &Session,
    relation: &str,
    venue_us: &str,
    [price, size]: [&str; 2],
    is_sell: &str,
) -> Result<Totals> {
    let query = format!(
        "SELECT count(*), sum(trade_id::numeric), sum({venue_us}), trim_scale(sum({price})), trim_scale(sum({size})), \
         trim_scale(sum({price} * {size})), count(*) FILTER (WHERE {is_sell}) FROM {relation}"
    );
    let mut row = session.query(&query)?.into_iter().next().unwrap_or_default().into_iter();
    let mut next = || row.next().with_context(|| format!("too few columns: {query}"));
    Ok(Totals {
        rows: next()?.parse()?,
        trade_ids: next()?,
        venue_us: next()?,
        prices: next()?,
        sizes: next()?,
        notional: next()?,
        sells: next()?.parse()?,
    })
}
