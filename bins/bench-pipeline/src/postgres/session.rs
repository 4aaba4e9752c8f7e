//! One connection of the measuring program itself, and its backend.

use super::server::Target;
use anyhow::{Context, Result, ensure};
use std::future::Future;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// A connection driven by the calling thread.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Of the server's process for this connection.
    pub(crate) backend: u32,
    runtime: Runtime,
}

impl Session {
    /// # Errors
    /// When the server cannot be reached, or runs on another machine.
    pub(crate) fn open(target: &Target) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("making a runtime")?;
        let client = runtime.block_on(async {
            let mut config = tokio_postgres::Config::new();
            config.host(&target.host).port(target.port).user(&target.user).dbname(&target.database);
            config.application_name("feedd-bench");
            if let Some(password) = &target.password {
                config.password(password);
            }
            let (client, connection) = config.connect(NoTls).await?;
            // What ends it, a statement sees too.
            tokio::spawn(async { drop(connection.await) });
            Ok::<_, tokio_postgres::Error>(client)
        });
        let client = client.with_context(|| format!("connecting to {}:{}", target.host, target.port))?;
        let mut session = Self { client, backend: 0, runtime };
        session.backend = backend_pid(&session.value("SELECT pg_backend_pid()")?)?;
        Ok(session)
    }

    /// Drives the connection until `work` is done.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// # Errors
    /// When a statement fails.
    pub(crate) fn execute(&self, sql: &str) -> Result<()> {
        self.block_on(self.client.batch_execute(sql)).with_context(|| sql.to_owned())
    }

    /// The rows of a query, as text; NULL is empty.
    ///
    /// # Errors
    /// When it fails.
    pub(crate) fn query(&self, sql: &str) -> Result<Vec<Vec<String>>> {
        let messages = self.block_on(self.client.simple_query(sql)).with_context(|| sql.to_owned())?;
        let rows = messages.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).unwrap_or("").to_owned()).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The one value of a query.
    ///
    /// # Errors
    /// When it fails or has no row.
    pub(crate) fn value(&self, sql: &str) -> Result<String> {
        let row = self.query(sql)?.into_iter().next().and_then(|row| row.into_iter().next());
        row.with_context(|| format!("no row: {sql}"))
    }
}

/// Reads a backend's id, and whether that process is on this machine.
///
/// # Errors
/// When it is not: its CPU time could not be read.
pub(crate) fn backend_pid(text: &str) -> Result<u32> {
    let pid = text.trim().parse().with_context(|| format!("{text:?} is no process id"))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    ensure!(
        name.starts_with("postgres"),
        "the server does not run on this machine, or in another container: its CPU time is read from /proc/{pid}"
    );
    Ok(pid)
}
