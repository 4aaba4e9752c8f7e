//! The common way: multi-row INSERTs that skip conflicts, into a table with a unique key and two indexes.

use super::Session;
use super::rows::totals;
use super::server::{SCHEMA, Target};
use crate::meter::{self, ClientCpu, Run};
use crate::trades::{Totals, Trades, number_of, trade_of};
use anyhow::{Context, Result, ensure};
use feedd_model::{Event, Side};
use std::error::Error;
use std::time::{Duration, SystemTime};
use tokio_postgres::Statement;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, accepts, to_sql_checked};

/// Rows of one statement.
pub(crate) const ROWS: usize = 500;
/// Parameters of one row.
const COLUMNS: usize = 7;

/// The writing connection, and the rows in its terms.
pub(crate) struct Inserts {
    session: Session,
    rows: Vec<Row>,
    /// For [`ROWS`] rows, and for those that remain.
    statements: [Statement; 2],
}

struct Row {
    timestamp: SystemTime,
    symbol: String,
    price: Numeric,
    quantity: Numeric,
    side: &'static str,
    trade_id: String,
    is_buyer_maker: bool,
}

impl Row {
    fn parameters(&self) -> [&(dyn ToSql + Sync); COLUMNS] {
        [&self.timestamp, &self.symbol, &self.price, &self.quantity, &self.side, &self.trade_id, &self.is_buyer_maker]
    }
}

/// An exact decimal, sent as text: the client has no type for it.
#[derive(Debug)]
struct Numeric(String);

impl ToSql for Numeric {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    accepts!(NUMERIC);
    to_sql_checked!();
}

impl Inserts {
    /// Makes the table.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) fn new(target: &Target, trades: &Trades) -> Result<Self> {
        let session = Session::open(target)?;
        session.execute(&format!(
            "CREATE TABLE {SCHEMA}.inserted (id bigserial PRIMARY KEY, \"timestamp\" timestamptz NOT NULL, \
               symbol varchar NOT NULL, price numeric NOT NULL, quantity numeric NOT NULL, side varchar NOT NULL, \
               trade_id varchar NOT NULL, is_buyer_maker boolean NOT NULL, UNIQUE (symbol, trade_id, \"timestamp\"));
             CREATE INDEX ON {SCHEMA}.inserted (symbol, \"timestamp\" DESC);
             CREATE INDEX ON {SCHEMA}.inserted (\"timestamp\" DESC)"
        ))?;
        let prepare = |rows: usize| session.block_on(session.client.prepare(&statement(rows)));
        let rest = trades.events.len() % ROWS;
        // One row where none remains: it is not used.
        let statements = [prepare(ROWS)?, prepare(rest.max(1))?];
        let rows = rows(trades)?;
        Ok(Self { session, rows, statements })
    }

    /// Empties the table.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) fn clear(&self) -> Result<()> {
        self.session.execute(&format!("TRUNCATE {SCHEMA}.inserted"))
    }

    /// Inserts all rows, each statement a transaction.
    ///
    /// # Errors
    /// When a statement fails or skips a row.
    pub(crate) fn run(&self) -> Result<Run> {
        let session = &self.session;
        meter::run(self.rows.len() as u64, session.backend, ClientCpu::ThisThread, || {
            for rows in self.rows.chunks(ROWS) {
                let statement = &self.statements[usize::from(rows.len() < ROWS)];
                let parameters: Vec<&(dyn ToSql + Sync)> = rows.iter().flat_map(Row::parameters).collect();
                let inserted = session.block_on(session.client.execute(statement, &parameters))?;
                ensure!(inserted == rows.len() as u64, "{inserted} of {} rows were inserted", rows.len());
            }
            Ok(())
        })
    }

    /// Whether exactly these rows stand there.
    ///
    /// # Errors
    /// When they do not.
    pub(crate) fn check(&self, expected: &Totals) -> Result<()> {
        let venue_us = "(extract(epoch FROM \"timestamp\") * 1000000)::bigint";
        let relation = format!("{SCHEMA}.inserted");
        let found = totals(&self.session, &relation, venue_us, ["price", "quantity"], "is_buyer_maker")?;
        ensure!(found == *expected, "inserted was {found:?} instead of {expected:?}");
        Ok(())
    }
}

fn statement(rows: usize) -> String {
    let values: Vec<String> = (0..rows)
        .map(|row| {
            let parameters: Vec<String> = (1..=COLUMNS).map(|n| format!("${}", row * COLUMNS + n)).collect();
            format!("({})", parameters.join(","))
        })
        .collect();
    format!(
        "INSERT INTO {SCHEMA}.inserted (\"timestamp\", symbol, price, quantity, side, trade_id, is_buyer_maker) \
         VALUES {} ON CONFLICT DO NOTHING",
        values.join(",")
    )
}

fn rows(trades: &Trades) -> Result<Vec<Row>> {
    let row = |event: &Event| {
        let trade = trade_of(event)?;
        let at = event.venue_ts().and_then(|time| u64::try_from(time.0).ok()).context("a trade has a time")?;
        let instrument = trades.instruments.get(event.instrument()).context("a trade has an instrument")?;
        let is_sell = trade.side == Some(Side::Sell);
        Ok(Row {
            timestamp: SystemTime::UNIX_EPOCH + Duration::from_nanos(at),
            symbol: instrument.symbol.to_string(),
            price: Numeric(trade.price.to_string()),
            quantity: Numeric(trade.size.to_string()),
            side: if is_sell { "sell" } else { "buy" },
            trade_id: number_of(&trade)?.to_string(),
            is_buyer_maker: is_sell,
        })
    };
    trades.events.iter().map(row).collect()
}
