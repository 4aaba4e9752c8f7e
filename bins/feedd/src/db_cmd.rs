//! `feedd db`: the tables of the PostgreSQL sink. Works with the `[postgres]` section, whether or not such a sink is
//! configured, and never prints its password.

use crate::cli::{DbCommand, RetainArgs, StatusArgs};
use crate::commands::{Verdict, bytes_text, run, write_json, write_table};
use anyhow::Result;
use feedd_config::{Config, SinkKind};
use feedd_run::registry::postgres_config;
use feedd_sink_postgres::{Layout, PostgresConfig, SchemaStatus, TableStatus, maintain, migrate, retain, status};
use feedd_telemetry::grouped;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Version of the JSON that `feedd db status --json` prints.
const STATUS_VERSION: u32 = 1;

pub(crate) fn db(command: &DbCommand) -> ExitCode {
    match command {
        DbCommand::Migrate(args) => run(args, |config, out| migrate_now(&settings(config)?, out)),
        DbCommand::Status(args) => run(&args.config, |config, out| show_status(&settings(config)?, args, out)),
        DbCommand::Retain(args) => run(&args.config, |config, out| retain_now(&settings(config)?, args, out)),
        DbCommand::Maintain(args) => run(args, |config, out| maintain_now(&settings(config)?, out)),
    }
}

/// The section, under the name of the configured sink of its kind.
fn settings(config: &Config) -> Result<PostgresConfig> {
    let sink = config.sinks.iter().find(|sink| sink.kind == SinkKind::Postgres);
    postgres_config(config, sink.map_or("postgres", |sink| &sink.name))
}

fn migrate_now(config: &PostgresConfig, out: &mut dyn Write) -> Result<Verdict> {
    let applied = migrate(config)?;
    for migration in &applied {
        writeln!(out, "applied {} {}", migration.version, migration.name)?;
    }
    if applied.is_empty() {
        writeln!(out, "schema {} is up to date", config.schema)?;
    }
    Ok(Verdict::Good)
}

fn show_status(config: &PostgresConfig, args: &StatusArgs, out: &mut dyn Write) -> Result<Verdict> {
    let status = status(config)?;
    if args.json {
        write_json(out, &status_json(config, &status))?;
        return Ok(Verdict::Good);
    }
    let layout = status.layout.map_or("not chosen yet", Layout::name);
    writeln!(out, "schema {}: version {}, layout {layout}", config.schema, status.version)?;
    if !status.pending.is_empty() {
        writeln!(out, "migrations to be applied: {} (`feedd db migrate`)", status.pending.join(", "))?;
    }
    if !status.tables.is_empty() {
        writeln!(out)?;
        let heads = ["table", "days", "rows (estimate)", "bytes", "without day", "indexed", "to index", "unfinished"];
        write_table(out, heads, &status.tables.iter().map(table_cells).collect::<Vec<_>>())?;
    }
    if !status.ledger.is_empty() {
        writeln!(out)?;
        let cells = status
            .ledger
            .iter()
            .map(|row| [row.sink.clone(), row.stream.to_string(), row.epoch.to_string(), row.stored_seq.to_string()]);
        write_table(out, ["sink", "stream", "epoch", "stored_seq"], &cells.collect::<Vec<_>>())?;
    }
    Ok(Verdict::Good)
}

fn table_cells(table: &TableStatus) -> [String; 8] {
    [
        table.table.to_owned(),
        table.partitions.to_string(),
        grouped(unsigned(table.rows)),
        bytes_text(unsigned(table.bytes)),
        bytes_text(unsigned(table.bytes_default)),
        table.indexed.to_string(),
        table.unindexed.to_string(),
        table.unfinished.to_string(),
    ]
}

/// The server counts with signed numbers; -1 stands for "not known yet".
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn status_json(config: &PostgresConfig, status: &SchemaStatus) -> Value {
    let tables = status.tables.iter().map(|table| {
        json!({
            "table": table.table, "partitions": table.partitions, "rows_estimate": table.rows, "bytes": table.bytes,
            "bytes_default_partition": table.bytes_default, "indexed": table.indexed, "unindexed": table.unindexed,
            "unfinished": table.unfinished,
        })
    });
    let ledger = status
        .ledger
        .iter()
        .map(|row| json!({ "sink": row.sink, "stream": row.stream, "epoch": row.epoch, "stored_seq": row.stored_seq }));
    json!({
        "version": STATUS_VERSION, "schema": config.schema, "schema_version": status.version,
        "layout": status.layout.map(Layout::name), "pending": status.pending,
        "tables": tables.collect::<Vec<_>>(), "ledger": ledger.collect::<Vec<_>>(),
    })
}

fn retain_now(config: &PostgresConfig, args: &RetainArgs, out: &mut dyn Write) -> Result<Verdict> {
    let dropped = retain(config, args.keep_days, args.dry_run)?;
    let (word, about) = if args.dry_run { ("would drop", "about ") } else { ("dropped", "") };
    for partition in &dropped {
        let (rows, bytes) = (grouped(unsigned(partition.rows)), bytes_text(unsigned(partition.bytes)));
        writeln!(out, "{word} {}: {about}{rows} rows, {bytes}", partition.partition)?;
    }
    if dropped.is_empty() {
        writeln!(out, "no partition is older than {} days", args.keep_days)?;
    }
    Ok(Verdict::Good)
}

fn maintain_now(config: &PostgresConfig, out: &mut dyn Write) -> Result<Verdict> {
    let done = maintain(config)?;
    for partition in &done.made {
        writeln!(out, "made {partition}")?;
    }
    for partition in &done.denied {
        writeln!(
            out,
            "{partition} cannot be made: the role may not create tables in schema {}, or another partition, table or row \
             of that day is in the way; until then its rows go where the server puts them",
            config.schema
        )?;
    }
    if done.made.is_empty() && done.denied.is_empty() {
        let days = config.partitions_ahead_days;
        writeln!(out, "the partitions of today and {days} day(s) ahead are there")?;
    }
    for index in &done.built {
        writeln!(out, "built {} on {}", index.index, index.partition)?;
    }
    if done.built.is_empty() {
        writeln!(out, "every finished day has its index")?;
    }
    Ok(Verdict::of(done.denied.is_empty()))
}
