//! The usual way to COPY from Rust: tokio-postgres' writer, which is given each row as typed values.

use super::Session;
use super::server::Target;
use crate::meter::{self, ClientCpu, Run};
use anyhow::{Context, Result, ensure};
use std::pin::pin;
use tokio_postgres::Row as Fetched;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

/// Columns of a row.
const COLUMNS: usize = 11;

/// The writing connection, and the rows in its terms.
pub(crate) struct CopyWriter {
    session: Session,
    table: String,
    types: Vec<Type>,
    rows: Vec<Row>,
    /// The first one's sequence.
    pub(crate) first_seq: u64,
}

/// A row of the compact layout, in the order of its columns.
struct Row {
    recv_ts: Option<i64>,
    venue_ts: Option<i64>,
    seq: i64,
    trade_id: Option<i64>,
    price: i64,
    size: i64,
    run: i32,
    instrument: Option<i32>,
    flags: i16,
    side: Option<i8>,
    trade_id_text: Option<String>,
}

impl Row {
    fn of(row: &Fetched) -> Result<Self> {
        Ok(Self {
            recv_ts: row.try_get("recv_ts")?,
            venue_ts: row.try_get("venue_ts")?,
            seq: row.try_get("seq")?,
            trade_id: row.try_get("trade_id")?,
            price: row.try_get("price")?,
            size: row.try_get("size")?,
            run: row.try_get("run")?,
            instrument: row.try_get("instrument")?,
            flags: row.try_get("flags")?,
            side: row.try_get("side")?,
            trade_id_text: row.try_get("trade_id_text")?,
        })
    }

    fn values(&self) -> [&(dyn ToSql + Sync); COLUMNS] {
        [
            &self.recv_ts,
            &self.venue_ts,
            &self.seq,
            &self.trade_id,
            &self.price,
            &self.size,
            &self.run,
            &self.instrument,
            &self.flags,
            &self.side,
            &self.trade_id_text,
        ]
    }
}

impl CopyWriter {
    /// Reads the rows of a table that holds one run of the compact layout from sequence 1 on.
    ///
    /// # Errors
    /// When the server refuses it, or the columns are others.
    pub(crate) fn new(target: &Target, table: &str) -> Result<Self> {
        let session = Session::open(target)?;
        let query = format!("SELECT * FROM {table} ORDER BY seq");
        let fetched = session.block_on(session.client.query(&query, &[])).context(query)?;
        let columns = fetched.first().context("the sink stored no row")?.columns();
        ensure!(columns.len() == COLUMNS, "{table} has {} columns instead of {COLUMNS}", columns.len());
        let types = columns.iter().map(|column| column.type_().clone()).collect();
        let rows = fetched.iter().map(Row::of).collect::<Result<_>>()?;
        Ok(Self { session, table: table.to_owned(), types, rows, first_seq: 1 })
    }

    /// Copies all rows, each batch a statement and a transaction.
    ///
    /// # Errors
    /// When a copy fails or skips a row.
    pub(crate) fn run(&self, batch_rows: usize) -> Result<Run> {
        let session = &self.session;
        let statement = format!("COPY {} FROM STDIN (FORMAT binary)", self.table);
        meter::run(self.rows.len() as u64, session.backend, ClientCpu::ThisThread, || {
            for rows in self.rows.chunks(batch_rows) {
                let copied = session.block_on(async {
                    let sink = session.client.copy_in(&statement).await?;
                    let mut writer = pin!(BinaryCopyInWriter::new(sink, &self.types));
                    for row in rows {
                        writer.as_mut().write(&row.values()).await?;
                    }
                    writer.finish().await
                })?;
                ensure!(copied == rows.len() as u64, "{copied} of {} rows were copied", rows.len());
            }
            Ok(())
        })
    }
}
