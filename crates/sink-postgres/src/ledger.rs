//! The ledger: one row a (sink, stream, epoch), moved first in the transaction that stores the rows.

use crate::config::{Layout, PostgresConfig};
use crate::error::Fault;
use crate::schema::Table;
use crate::writer::Current;
use deadpool_postgres::ClientWrapper;
use feedd_core::EpochAudit;
use feedd_model::{Epoch, EventKind, GapReason, Seq, StreamId};

/// One start in the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerRow {
    pub(crate) id: i32,
    pub(crate) stored: Seq,
}

/// The row of a start, made when it is new. Waits for a transaction that holds it: its outcome decides the position.
pub(crate) async fn row(
    client: &ClientWrapper,
    config: &PostgresConfig,
    stream: StreamId,
    epoch: Epoch,
) -> Result<LedgerRow, Fault> {
    let ledger = config.relation("ledger");
    let key: (&str, i64, i64) = (&config.sink_name, stream.0.into(), epoch.0.into());
    let select =
        format!("SELECT id, stored_seq FROM {ledger} WHERE sink = $1 AND stream = $2 AND epoch = $3 FOR UPDATE");
    let mut found = client.query_opt(&select, &[&key.0, &key.1, &key.2]).await?;
    if found.is_none() {
        let insert = format!("INSERT INTO {ledger} (sink, stream, epoch) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        client.execute(&insert, &[&key.0, &key.1, &key.2]).await?;
        found = Some(client.query_one(&select, &[&key.0, &key.1, &key.2]).await?);
    }
    let Some(found) = found else { return Err(Fault::of_connection("the ledger row that was made is gone")) };
    let stored = u64::try_from(found.get::<_, i64>(1)).unwrap_or(0);
    Ok(LedgerRow { id: found.get(0), stored: Seq(stored) })
}

/// Begins a batch: moves the position by compare and set. Stream and epoch are compared as well: after a restore of the
/// database the row's id may be another start's.
pub(crate) fn move_guard(config: &PostgresConfig, known: &Current, last: Seq) -> String {
    let Current { stream, epoch, run, stored } = known;
    format!(
        "BEGIN; UPDATE {} SET stored_seq = {last} \
         WHERE id = {run} AND stored_seq = {stored} AND stream = {stream} AND epoch = {epoch}",
        config.relation("ledger")
    )
}

/// Begins the storing of one event, or of the record that begins with it, that was in quarantine: changes nothing when it was stored before.
pub(crate) fn late_guard(config: &PostgresConfig, run: i32, seq: Seq) -> String {
    let (late, ledger) = (config.relation("feedd_late"), config.relation("ledger"));
    format!(
        "BEGIN; INSERT INTO {late} (sink, stream, epoch, seq) SELECT sink, stream, epoch, {seq} FROM {ledger} \
         WHERE id = {run} AND stored_seq >= {seq} ON CONFLICT DO NOTHING"
    )
}

/// Counts the rows of a start in every table, in one snapshot; the row of a derived record as all of its events. Reads the
/// whole store.
pub(crate) async fn audit(
    client: &ClientWrapper,
    config: &PostgresConfig,
    stream: StreamId,
    epoch: Epoch,
) -> Result<EpochAudit, Fault> {
    let row = row(client, config, stream, epoch).await?;
    let of_run = match config.layout {
        Layout::Compact => format!("run = {}", row.id),
        Layout::Readable => format!("stream = {stream} AND epoch = {epoch}"),
    };
    let seqs: Vec<String> = Table::all()
        .map(|table| {
            let relation = config.relation(table.name(config.layout));
            match table.slots() {
                1 => format!("SELECT seq FROM {relation} WHERE {of_run}"),
                slots => format!(
                    "SELECT seq + part FROM {relation}, generate_series(0, {}) AS part WHERE {of_run}",
                    slots - 1
                ),
            }
        })
        .collect();
    let gaps = config.relation(Table::of(EventKind::Gap).name(config.layout));
    let query = format!(
        "WITH at AS (SELECT stored_seq FROM {} WHERE id = {}), \
         seqs AS (SELECT seq, count(*) AS n FROM ({}) AS every GROUP BY seq), \
         marks AS (SELECT count(*) AS n, coalesce(sum(events), 0)::text AS missed FROM {gaps} \
                   WHERE {of_run} AND reason IN ({})), \
         gone AS (SELECT coalesce(sum(rows), 0)::bigint AS n, \
                  coalesce(sum(events + missed - markers), 0)::text AS accounted FROM {} WHERE {of_run}) \
         SELECT (SELECT stored_seq FROM at), \
                coalesce(sum(n) FILTER (WHERE seq <= (SELECT stored_seq FROM at)), 0)::bigint, \
                coalesce(sum(n - 1), 0)::bigint, \
                coalesce(sum(n) FILTER (WHERE seq > (SELECT stored_seq FROM at)), 0)::bigint, \
                (SELECT n FROM marks), (SELECT missed FROM marks), \
                (SELECT n FROM gone), (SELECT accounted FROM gone) FROM seqs",
        config.relation("ledger"),
        row.id,
        seqs.join(" UNION ALL "),
        missed_reasons(),
        config.relation("feedd_dropped")
    );
    let counted = client.query_one(&query, &[]).await?;
    let number = |at: usize| u64::try_from(counted.get::<_, i64>(at)).unwrap_or(0);
    Ok(EpochAudit {
        stored_seq: Seq(number(0)),
        rows: number(1),
        duplicates: number(2),
        beyond: number(3),
        markers: number(4),
        missed: counted.get::<_, &str>(5).parse().unwrap_or(u64::MAX),
        dropped_rows: number(6),
        dropped_events: counted.get::<_, &str>(7).parse().unwrap_or(u64::MAX),
    })
}

/// Reasons of gap rows that stand for events which the store did not get, as an SQL list.
pub(crate) fn missed_reasons() -> String {
    [GapReason::JournalDamaged, GapReason::SinkBehind].map(|reason| format!("'{}'", reason.name())).join(", ")
}
