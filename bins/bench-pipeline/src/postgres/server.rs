//! The server that is measured: one of its own, or one that is there; the schema in it is removed in the end.

use super::Session;
use crate::cli::ServerArgs;
use anyhow::{Context, Result, ensure};
use feedd_sink_postgres::{Layout, PostgresConfig, Secret};
use feedd_testkit::postgres::{Options, Server};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Everything is made in it.
pub(crate) const SCHEMA: &str = "feedd_bench";

/// Of a server of its own: nothing runs beside, and no checkpoint falls into a run.
const SETTINGS: [(&str, &str); 4] =
    [("autovacuum", "off"), ("max_wal_size", "4GB"), ("checkpoint_timeout", "1h"), ("shared_buffers", "256MB")];

/// Where to connect to.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) password: Option<String>,
    /// `None`: it was there before.
    own: Option<Server>,
    schema_made: bool,
}

impl Target {
    /// Starts a server, or takes the one that is named; makes the schema.
    ///
    /// # Errors
    /// When there is none, or the schema is there already.
    pub(crate) fn new(args: &ServerArgs) -> Result<Self> {
        let mut target = match (&args.host, &args.database) {
            (Some(host), Some(database)) => Self {
                host: host.clone(),
                port: args.port,
                user: args.user.clone(),
                database: database.clone(),
                password: std::env::var("PGPASSWORD").ok(),
                own: None,
                schema_made: false,
            },
            _ => Self::start()?,
        };
        let session = Session::open(&target)?;
        let known = session.value(&format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{SCHEMA}'"))?;
        ensure!(known == "0", "there is a schema {SCHEMA} in database {}: drop it first", target.database);
        session.execute(&format!("CREATE SCHEMA {SCHEMA}"))?;
        target.schema_made = true;
        Ok(target)
    }

    fn start() -> Result<Self> {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let server = Server::start_with(Options { settings, fsync: true, ..Options::default() })
            .context("no PostgreSQL server could be started; name one with --host and --database")?;
        Ok(Self {
            host: server.socket_dir().to_str().context("the temporary folder's name is not UTF-8")?.to_owned(),
            port: server.port(),
            user: server.user().to_owned(),
            database: server.create_database(),
            password: None,
            own: Some(server),
            schema_made: false,
        })
    }

    /// Settings of the sink.
    pub(crate) fn sink_config(&self, layout: Layout) -> PostgresConfig {
        PostgresConfig {
            port: self.port,
            password: self.password.clone().map(Secret::new),
            schema: SCHEMA.to_owned(),
            layout,
            sink_name: "bench".to_owned(),
            // Measured is what a batch costs.
            build_indexes: false,
            ..PostgresConfig::new(&self.host, &self.database, &self.user)
        }
    }

    /// `psql`, reading statements from its standard input.
    pub(crate) fn psql(&self) -> Command {
        let mut command = match &self.own {
            Some(server) => server.psql_command(&self.database),
            None => {
                let mut command = Command::new("psql");
                command.args(["-X", "-q", "-w", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
                command.args(["-h", &self.host, "-p", &self.port.to_string()]);
                command.args(["-U", &self.user, "-d", &self.database]);
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
    }

    /// Where the tables lie.
    ///
    /// # Errors
    /// When the server does not say.
    pub(crate) fn data_dir(&self) -> Result<PathBuf> {
        Ok(Session::open(self)?.value("SHOW data_directory")?.into())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.own.is_some() || !self.schema_made {
            return;
        }
        let dropped = Session::open(self).and_then(|session| session.execute(&format!("DROP SCHEMA {SCHEMA} CASCADE")));
        if let Err(error) = dropped {
            eprintln!("bench-pipeline: schema {SCHEMA} stays in database {}: {error:#}", self.database);
        }
    }
}
