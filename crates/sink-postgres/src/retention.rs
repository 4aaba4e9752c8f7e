//! Dropping days that are too old. What is dropped is counted in the same transaction, so that the store still accounts for
//! every event of a start.

use crate::config::{Layout, PostgresConfig};
use crate::connect::Database;
use crate::error::Fault;
use crate::ledger::missed_reasons;
use crate::partitions::{Leaf, leaves};
use crate::schema::Table;
use deadpool_postgres::ClientWrapper;
use feedd_core::{Clock, SinkError, SystemClock};
use feedd_model::EventKind;

/// One partition that was dropped, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The partition.
    pub partition: String,
    /// Its rows: counted when it was dropped, the server's estimate when it was only told of.
    pub rows: i64,
    /// With its indexes.
    pub bytes: i64,
}

/// Drops the partitions of days that ended `keep_days` or more before today, UTC; tells only, when `dry_run`. Partitions
/// that are not one day's, and rows without receive time, are never touched. A partition is read once before it is dropped.
///
/// # Errors
/// [`SinkError`] when the server cannot be asked or the role may not.
pub fn retain(config: &PostgresConfig, keep_days: u32, dry_run: bool) -> Result<Vec<Dropped>, SinkError> {
    let database = Database::new(config.clone())?;
    let today = SystemClock::new().wall().unix_day();
    database.administer(async |client| {
        crate::migrate::verify(&client, &database).await?;
        let dropped = drop_older(&client, config, today - i64::from(keep_days), dry_run).await;
        dropped.map_err(|fault| fault.not_stored(database.what("dropping old partitions")))
    })
}

/// Drops days that ended at or before the beginning of day `keep_from`.
pub(crate) async fn drop_older(
    client: &ClientWrapper,
    config: &PostgresConfig,
    keep_from: i64,
    dry_run: bool,
) -> Result<Vec<Dropped>, Fault> {
    // A reader's query holds the parent: better an error now than writers that queue behind this.
    client.batch_execute("SET lock_timeout = '10s'").await?;
    let mut dropped = Vec::new();
    for leaf in leaves(client, config).await? {
        if leaf.day.is_none_or(|day| day + 1 > keep_from) {
            continue;
        }
        let rows = if dry_run { leaf.rows } else { count_and_drop(client, config, &leaf).await? };
        dropped.push(Dropped { partition: leaf.name, rows, bytes: leaf.bytes });
    }
    Ok(dropped)
}

/// Drops one partition and records what was in it; tells how many rows.
async fn count_and_drop(client: &ClientWrapper, config: &PostgresConfig, leaf: &Leaf) -> Result<i64, Fault> {
    let done = try_count_and_drop(client, config, leaf).await;
    match &done {
        Ok(rows) => tracing::info!(partition = leaf.name, rows, bytes = leaf.bytes, "old partition dropped"),
        Err(fault) if fault.is_session_alive => client.batch_execute("ROLLBACK").await?,
        Err(_) => {}
    }
    done
}

async fn try_count_and_drop(client: &ClientWrapper, config: &PostgresConfig, leaf: &Leaf) -> Result<i64, Fault> {
    let relation = config.relation(&leaf.name);
    let (record, start) = (config.relation("feedd_dropped"), start_columns(config.layout));
    let marks = if leaf.table == Table::of(EventKind::Gap) {
        let is_mark = format!("WHERE reason IN ({})", missed_reasons());
        format!("count(*) FILTER ({is_mark}), coalesce(sum(events) FILTER ({is_mark}), 0)")
    } else {
        "0, 0".to_owned()
    };
    let slots = leaf.table.slots();
    // Late rows wait until the count is over and find no partition then; readers are not held up by the count.
    client.batch_execute(&format!("BEGIN; LOCK TABLE {relation} IN SHARE MODE")).await?;
    let counted = client
        .query(
            &format!(
                "INSERT INTO {record} (partition, {start}, rows, events, markers, missed) \
                 SELECT $1, {start}, count(*), count(*) * {slots}, {marks} FROM {relation} GROUP BY {start} RETURNING rows"
            ),
            &[&leaf.name],
        )
        .await?;
    client.batch_execute(&format!("DROP TABLE {relation}; COMMIT")).await?;
    Ok(counted.iter().map(|row| row.get::<_, i64>(0)).sum())
}

/// How a row names its start.
const fn start_columns(layout: Layout) -> &'static str {
    match layout {
        Layout::Compact => "run",
        Layout::Readable => "stream, epoch",
    }
}
