//! The schema's versions: numbered, checksummed, each in one transaction, one program at a time.

use crate::config::{Layout, PostgresConfig};
use crate::connect::Database;
use crate::error::{Fault, fatal};
use deadpool_postgres::ClientWrapper;
use feedd_core::SinkError;

/// One migration that was run now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its number.
    pub version: i32,
    /// Its name.
    pub name: &'static str,
}

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

/// What a schema of `layout` consists of, in order.
const fn migrations(layout: Layout) -> [Migration; 5] {
    let (tables, records) = match layout {
        Layout::Compact => (
            Migration { version: 2, name: "compact", sql: include_str!("sql/0002_compact.sql") },
            Migration { version: 5, name: "records", sql: include_str!("sql/0005_compact_records.sql") },
        ),
        Layout::Readable => (
            Migration { version: 2, name: "readable", sql: include_str!("sql/0002_readable.sql") },
            Migration { version: 5, name: "records", sql: include_str!("sql/0005_readable_records.sql") },
        ),
    };
    [
        Migration { version: 1, name: "ledger", sql: include_str!("sql/0001_ledger.sql") },
        tables,
        Migration { version: 3, name: "derived", sql: include_str!("sql/0003_derived.sql") },
        Migration { version: 4, name: "dropped", sql: include_str!("sql/0004_dropped.sql") },
        records,
    ]
}

/// What the schema says of itself.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Version and checksum of the applied migrations.
    applied: Vec<(i32, String)>,
    pub(crate) layout: Option<Layout>,
}

impl Found {
    pub(crate) fn version(&self) -> i32 {
        self.applied.iter().map(|(version, _)| *version).max().unwrap_or(0)
    }

    /// Names of the migrations that are not applied yet.
    pub(crate) fn pending(&self, layout: Layout) -> Vec<&'static str> {
        self.to_do(layout).map(|migration| migration.name).collect()
    }

    fn to_do(&self, layout: Layout) -> impl Iterator<Item = Migration> {
        let version = self.version();
        migrations(layout).into_iter().filter(move |migration| migration.version > version)
    }
}

/// PostgreSQL 13: `trim_scale`, and times on idle transactions.
const SERVER_VERSION_MIN: i32 = 130_000;

/// The advisory lock of migrations ("feedd" in ASCII).
const LOCK: i64 = 0x0066_6565_6464;

/// Brings the schema up to date and tells what was done; nothing when it was.
///
/// # Errors
/// [`SinkError::Unavailable`] when the server cannot be asked or the role may not; [`SinkError::Fatal`] for a newer
/// schema, a changed migration, or the other layout.
pub fn migrate(config: &PostgresConfig) -> Result<Vec<Applied>, SinkError> {
    let database = Database::new(config.clone())?;
    database.administer(async |client| bring_up(&client, &database).await)
}

/// As [`migrate`], on a connection.
pub(crate) async fn bring_up(client: &ClientWrapper, database: &Database) -> Result<Vec<Applied>, SinkError> {
    let failed = |fault: Fault| fault.not_stored(database.what("migrating the schema"));
    // Where all is done no lock is taken and no right to create is needed.
    if look(client, database).await?.is_empty() {
        return Ok(Vec::new());
    }
    client.batch_execute("SET lock_timeout = '60s'").await.map_err(|e| failed(e.into()))?;
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(|e| failed(e.into()))?;
    let done = run_pending(client, &database.config).await;
    // The lock goes with the session at the latest; the outcome of the migrations matters more.
    let _ = client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await;
    done.map_err(|error| match error {
        Broken::Server(fault) => failed(fault),
        Broken::Refused(error) => error,
    })
}

/// Looks whether the schema is what this program works with, and names the migrations that are missing.
pub(crate) async fn look(client: &ClientWrapper, database: &Database) -> Result<Vec<&'static str>, SinkError> {
    check_server(client, database).await?;
    let found = find(client, &database.config).await;
    let found = found.map_err(|fault| fault.not_stored(database.what("reading the schema")))?;
    check(&found, client, &database.config).await?;
    Ok(found.pending(database.config.layout))
}

/// A schema with missing migrations is not worked with; somebody may run them.
pub(crate) fn demand_nothing(missing: &[&'static str], database: &Database) -> Result<(), SinkError> {
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("migrations are missing: {}; run the migration of the schema", missing.join(", "));
    Err(Fault::of_connection(text).not_stored(database.what("reading the schema")))
}

/// Both.
pub(crate) async fn verify(client: &ClientWrapper, database: &Database) -> Result<(), SinkError> {
    demand_nothing(&look(client, database).await?, database)
}

async fn check_server(client: &ClientWrapper, database: &Database) -> Result<(), SinkError> {
    let asked = client.query_one("SELECT current_setting('server_version_num')::int", &[]).await;
    let row = asked.map_err(|e| Fault::from(e).not_stored(database.what("asking the server's version")))?;
    let version: i32 = row.get(0);
    if version >= SERVER_VERSION_MIN {
        return Ok(());
    }
    Err(fatal(format!("server version {}: PostgreSQL 13 or later is needed", version / 10_000), None))
}

/// Reads what the schema says of itself; nothing for a schema that is missing or empty.
pub(crate) async fn find(client: &ClientWrapper, config: &PostgresConfig) -> Result<Found, Fault> {
    let (migrations, settings) = (config.relation("feedd_migrations"), config.relation("feedd_settings"));
    let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&migrations]).await?;
    if !exists.get::<_, bool>(0) {
        return Ok(Found::default());
    }
    let rows = client.query(&format!("SELECT version, checksum FROM {migrations} ORDER BY version"), &[]).await?;
    let applied = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let row = client.query_opt(&format!("SELECT value FROM {settings} WHERE key = 'layout'"), &[]).await?;
    let layout = row.and_then(|row| Layout::from_name(row.get(0)));
    Ok(Found { applied, layout })
}

/// Refuses a schema that is newer, changed, or of the other layout.
async fn check(found: &Found, client: &ClientWrapper, config: &PostgresConfig) -> Result<(), SinkError> {
    let schema = &config.schema;
    if let Some(layout) = found.layout
        && layout != config.layout
    {
        let (is, wanted) = (layout.name(), config.layout.name());
        let what = format!("schema {schema} has layout {is}, not {wanted}; set layout = {is}, or use another schema");
        return Err(fatal(what, None));
    }
    let known = migrations(config.layout);
    for (version, checksum) in &found.applied {
        let Some(migration) = known.iter().find(|migration| migration.version == *version) else {
            let newest = known[known.len() - 1].version;
            let what = format!(
                "schema {schema} has version {version}, this program knows {newest}: use the program that made it"
            );
            return Err(fatal(what, None));
        };
        let own = checksum_of(client, migration.sql)
            .await
            .map_err(|fault| fault.not_stored(format!("checking migration {version} of schema {schema}")))?;
        if own != *checksum {
            let what = format!(
                "migration {version} ({}) of schema {schema} is not the one of this program; use the program that made \
                 the schema, or another schema",
                migration.name
            );
            return Err(fatal(what, None));
        }
    }
    Ok(())
}

async fn checksum_of(client: &ClientWrapper, sql: &str) -> Result<String, Fault> {
    let query = "SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')";
    Ok(client.query_one(query, &[&sql]).await?.get(0))
}

enum Broken {
    Server(Fault),
    Refused(SinkError),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Server(fault)
    }
}

impl From<tokio_postgres::Error> for Broken {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error.into())
    }
}

/// Runs what is missing; the caller holds the lock, so what another program did meanwhile is looked at first.
async fn run_pending(client: &ClientWrapper, config: &PostgresConfig) -> Result<Vec<Applied>, Broken> {
    let schema = &config.schema;
    let exists = client.query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&format!("\"{schema}\"")]).await?;
    if !exists.get::<_, bool>(0) {
        client.batch_execute(&format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    let found = find(client, config).await?;
    check(&found, client, config).await.map_err(Broken::Refused)?;
    let mut done = Vec::new();
    for migration in found.to_do(config.layout) {
        let Migration { version, name, sql } = migration;
        let checksum = checksum_of(client, sql).await?;
        let first = if version == 1 { bookkeeping(config.layout) } else { String::new() };
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL search_path = \"{schema}\"; {first} {sql};
                 INSERT INTO feedd_migrations (version, name, checksum) VALUES ({version}, '{name}', '{checksum}');
                 COMMIT"
            ))
            .await?;
        tracing::info!(version, name, schema, "schema migrated");
        done.push(Applied { version, name });
    }
    Ok(done)
}

/// The tables in which the schema tells its version and layout, made with the first migration.
fn bookkeeping(layout: Layout) -> String {
    format!(
        "CREATE TABLE feedd_migrations (version int PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
           applied_at timestamptz NOT NULL DEFAULT now());
         CREATE TABLE feedd_settings (key text PRIMARY KEY, value text NOT NULL);
         INSERT INTO feedd_settings VALUES ('layout', '{}');",
        layout.name()
    )
}
