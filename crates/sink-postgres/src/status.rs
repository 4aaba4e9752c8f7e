//! What a schema holds, for a person.

use crate::config::{Layout, PostgresConfig};
use crate::connect::Database;
use crate::error::Fault;
use crate::maintenance::{IndexState, index_state, is_finished};
use crate::partitions::leaves;
use crate::schema::Table;
use deadpool_postgres::ClientWrapper;
use feedd_core::{Clock, SinkError, SystemClock};
use feedd_model::UnixNanos;

/// The state of one schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaStatus {
    /// Highest migration that was applied; 0 for a new schema.
    pub version: i32,
    /// Migrations to be applied, by name.
    pub pending: Vec<&'static str>,
    /// The layout of the schema; `None` for a new one.
    pub layout: Option<Layout>,
    /// The tables of events, and those of derived records.
    pub tables: Vec<TableStatus>,
    /// Positions, by sink, stream and epoch.
    pub ledger: Vec<LedgerStatus>,
}

/// The state of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableStatus {
    /// Its name.
    pub table: &'static str,
    /// Daily partitions.
    pub partitions: usize,
    /// The server's estimate of all rows, as of the last analyze.
    pub rows: i64,
    /// With indexes.
    pub bytes: i64,
    /// The part of the bytes that lies outside of daily partitions.
    pub bytes_default: i64,
    /// Finished days with their index.
    pub indexed: usize,
    /// Finished days that wait for their index.
    pub unindexed: usize,
    /// Indexes that are under construction, or were left by a build that failed.
    pub unfinished: usize,
}

/// One row of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerStatus {
    /// Name of the sink.
    pub sink: String,
    /// Stream.
    pub stream: i64,
    /// Start of the stream.
    pub epoch: i64,
    /// Up to where it is stored.
    pub stored_seq: i64,
}

/// Looks at the schema and changes nothing.
///
/// # Errors
/// [`SinkError::Unavailable`] when the server cannot be asked.
pub fn status(config: &PostgresConfig) -> Result<SchemaStatus, SinkError> {
    let database = Database::new(config.clone())?;
    let now = SystemClock::new().wall();
    database.administer(async |client| {
        look(&client, config, now).await.map_err(|fault| fault.not_stored(database.what("reading the schema")))
    })
}

async fn look(client: &ClientWrapper, config: &PostgresConfig, now: UnixNanos) -> Result<SchemaStatus, Fault> {
    let found = crate::migrate::find(client, config).await?;
    let layout = found.layout.unwrap_or(config.layout);
    let mut status = SchemaStatus {
        version: found.version(),
        pending: found.pending(layout),
        layout: found.layout,
        ..SchemaStatus::default()
    };
    if found.layout.is_none() {
        return Ok(status);
    }
    let config = &PostgresConfig { layout, ..config.clone() };
    for table in Table::all() {
        status.tables.push(TableStatus { table: table.name(layout), ..TableStatus::default() });
    }
    for leaf in leaves(client, config).await? {
        let name = leaf.table.name(layout);
        let Some(table) = status.tables.iter_mut().find(|table| table.table == name) else { continue };
        table.rows += leaf.rows;
        table.bytes += leaf.bytes;
        if leaf.day.is_none() {
            table.bytes_default += leaf.bytes;
            continue;
        }
        table.partitions += 1;
        match index_state(client, config, &leaf.name).await? {
            IndexState::Built => table.indexed += 1,
            IndexState::Unfinished => table.unfinished += 1,
            IndexState::Missing if is_finished(&leaf, now) => table.unindexed += 1,
            IndexState::Missing => {}
        }
    }
    let query = format!(
        "SELECT sink, stream, epoch, stored_seq FROM {} ORDER BY sink, stream, epoch",
        config.relation("ledger")
    );
    for row in client.query(&query, &[]).await? {
        status.ledger.push(LedgerStatus {
            sink: row.get(0),
            stream: row.get(1),
            epoch: row.get(2),
            stored_seq: row.get(3),
        });
    }
    Ok(status)
}
