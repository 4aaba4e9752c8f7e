//! Connections: a small pool for the sink, single ones for administration. Every wait has a limit.

use crate::config::PostgresConfig;
use crate::error::{Fault, fatal, unavailable};
use deadpool_postgres::{
    ClientWrapper, Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use feedd_core::SinkError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections of one sink: one writes; a second may be asked for while the first is being given up.
const CONNECTIONS_MAX: usize = 2;

/// How long a connection may be dead before the kernel says so.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(15);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;

/// Longest wait for a lock in a batch: another recorder's transaction, or a person's DDL.
const LOCK_TIMEOUT_MAX: Duration = Duration::from_secs(20);

/// The way to one database.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) config: PostgresConfig,
    pg: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    /// Whether the operator has been told of settings that weaken the server's promises.
    warned: Arc<AtomicBool>,
}

impl Database {
    /// Checks the settings; connects to nothing.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] for settings that cannot work.
    pub(crate) fn new(config: PostgresConfig) -> Result<Self, SinkError> {
        config.check()?;
        let tls = crate::tls::connector(&config)?;
        let mut pg = tokio_postgres::Config::new();
        if config.is_socket() {
            pg.host_path(&config.host);
        } else {
            pg.host(&config.host);
        }
        // Never "prefer": that falls back to plain text when the server, or somebody between, says so.
        let ssl_mode = if config.encrypts()? { SslMode::Require } else { SslMode::Disable };
        pg.port(config.port)
            .dbname(&config.database)
            .user(&config.user)
            .application_name("feedd")
            .ssl_mode(ssl_mode)
            .connect_timeout(config.connect_timeout)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        if let Some(password) = &config.password {
            pg.password(password.reveal());
        }
        Ok(Self { config, pg, tls, warned: Arc::default() })
    }

    /// The sink's pool. Its connections wait for nothing without a limit.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] when the pool cannot be made: a defect.
    pub(crate) fn pool(&self) -> Result<Pool, SinkError> {
        // `Fast`: whether a connection still works is seen at the first step of a transaction, which is safe to repeat.
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.pg.clone(), self.tls.clone(), manager);
        let (session, warned) = (writer_session(self.config.batch_timeout), self.warned.clone());
        let prepare = Hook::async_fn(move |client: &mut ClientWrapper, _| {
            let (session, warned) = (session.clone(), warned.clone());
            Box::pin(async move { prepare(client, &session, &warned).await.map_err(HookError::Backend) })
        });
        Pool::builder(manager)
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(self.config.connect_timeout))
            .create_timeout(Some(self.config.connect_timeout))
            .recycle_timeout(Some(self.config.connect_timeout))
            .post_create(prepare)
            .build()
            .map_err(|e| fatal("making the pool of connections".to_owned(), Some(e.into())))
    }

    /// A connection of the pool.
    pub(crate) async fn client(&self, pool: &Pool) -> Result<Object, Fault> {
        let limit = self.config.connect_timeout * 2;
        match tokio::time::timeout(limit, pool.get()).await {
            Err(_) => Err(Fault::of_time(limit)),
            Ok(Ok(client)) => Ok(client),
            Ok(Err(PoolError::Backend(e) | PoolError::PostCreateHook(HookError::Backend(e)))) => Err(e.into()),
            Ok(Err(PoolError::Timeout(_))) => Err(Fault::of_time(self.config.connect_timeout)),
            Ok(Err(other)) => Err(Fault::of_connection(other.to_string())),
        }
    }

    /// A connection of its own without limits on statements: for indexes, counting and migrations.
    pub(crate) async fn admin(&self) -> Result<ClientWrapper, Fault> {
        let limit = self.config.connect_timeout;
        let connecting = async {
            let (client, connection) = self.pg.connect(self.tls.clone()).await?;
            let task = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    // Whoever waits for an answer gets an error of its own; this one has the server's words.
                    tracing::debug!(error = %Fault::from(error), "an administrative connection ended");
                }
            });
            let client = ClientWrapper::new(client, task);
            prepare(&client, ADMIN_SESSION, &self.warned).await?;
            Ok::<_, tokio_postgres::Error>(client)
        };
        match tokio::time::timeout(limit, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(Fault::of_time(limit)),
        }
    }

    /// For errors: what was tried, and where.
    pub(crate) fn what(&self, action: &str) -> String {
        format!("{action} ({})", self.config.address())
    }

    /// Runs one piece of administration on a connection and a runtime of its own.
    ///
    /// # Errors
    /// [`SinkError::Unavailable`] when there is no connection, else what `work` says.
    pub(crate) fn administer<T>(
        &self,
        work: impl AsyncFnOnce(ClientWrapper) -> Result<T, SinkError>,
    ) -> Result<T, SinkError> {
        runtime()?.block_on(async {
            let client = self.admin().await.map_err(|fault| fault.not_stored(self.what("connecting")))?;
            work(client).await
        })
    }
}

/// The runtime of a sink or of one piece of administration: all on the calling thread.
///
/// # Errors
/// [`SinkError::Unavailable`] when the system refuses its file descriptors.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, SinkError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| unavailable("starting the connections' runtime", e))
}

/// Limits of a batch's session.
fn writer_session(batch_timeout: Duration) -> String {
    let batch_ms = batch_timeout.as_millis();
    let lock_ms = (batch_timeout / 3).min(LOCK_TIMEOUT_MAX).as_millis().max(1);
    format!(
        "SET statement_timeout = {batch_ms}; SET lock_timeout = {lock_ms}; \
         SET idle_in_transaction_session_timeout = {batch_ms}"
    )
}

/// Indexes and counting take their time; the system notices a dead server.
const ADMIN_SESSION: &str =
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = '1h'";

/// COPY heeds no statement timeout while it reads from the client, so the server's own look at the socket matters: it
/// ends the transaction of a client that is gone. The ledger's compare and set needs to see what others committed.
const EVERY_SESSION: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
                             SET tcp_keepalives_count = 3; SET tcp_user_timeout = 15000; \
                             SET default_transaction_isolation = 'read committed'; \
                             SET client_min_messages = warning";

/// Sets the session up, and looks whether what the server calls stored is stored.
async fn prepare(client: &ClientWrapper, session: &str, warned: &AtomicBool) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("{session}; {EVERY_SESSION}")).await?;
    let query = "SELECT current_setting('synchronous_commit'), current_setting('fsync')";
    let row = client.query_one(query, &[]).await?;
    let (commit, fsync): (&str, &str) = (row.get(0), row.get(1));
    if commit == "off" {
        client.batch_execute("SET synchronous_commit = on").await?;
    }
    if (commit == "off" || fsync == "off") && !warned.swap(true, Ordering::Relaxed) {
        if commit == "off" {
            tracing::warn!("synchronous_commit is off for this role; the sink turns it on for its own sessions");
        }
        if fsync == "off" {
            tracing::warn!("the server runs with fsync = off: a power cut can lose rows that it has called stored");
        }
    }
    Ok(())
}
