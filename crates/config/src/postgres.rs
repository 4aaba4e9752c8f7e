//! The PostgreSQL sink: `[postgres]`.

use crate::choice::{PostgresLayout, PostgresTls};
use crate::reader::{Reader, Section};
use crate::secret::SecretRef;
use crate::tree::Node;
use crate::values::{
    Parsed, choice, count, credential, database_name, duration, flag, host, path, schema_name, variable_name,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[postgres]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// Name or address of the server, or the folder of its Unix socket, which starts with `/`. Default `"localhost"`.
    pub host: String,
    /// Port, which is a part of a Unix socket's name, too; 1 to 65,535. Default 5,432.
    pub port: u16,
    /// Database. Default `"feedd"`.
    pub database: String,
    /// User. Default `"feedd"`.
    pub user: String,
    /// Where the password lies: `password_file`, `password_env` or `password_credential`. Default: there is none.
    pub password: Option<SecretRef>,
    /// Schema of the tables. Default `"public"`.
    pub schema: String,
    /// How rows are laid out; chosen when the tables are made. Default `"compact"`.
    pub layout: PostgresLayout,
    /// How the connection is encrypted. Default `"auto"`.
    pub tls: PostgresTls,
    /// File of the certificates (PEM) that the server's must descend from. Default: those of the system.
    pub tls_ca: Option<PathBuf>,
    /// Whether an unencrypted connection over a network is meant. Default false.
    pub tls_insecure: bool,
    /// Whether the sink makes and changes its tables itself. Default true.
    pub migrate: bool,
    /// Longest time until a connection is made; 100 ms to 1 h. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time until a batch is stored, after which its outcome is unknown; 100 ms to 1 h. Default 60 s.
    pub batch_timeout: Duration,
    /// Days for which partitions are made ahead; 0 to 30. Default 2.
    pub partitions_ahead: u16,
    /// Days after which partitions are dropped; 0 keeps everything, at most 36,500. Default 0.
    pub retain_days: u32,
}

impl Postgres {
    /// Whether the server is on this machine: what is sent to it passes no network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let is_loopback = self.host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
        is_loopback || Path::new(&self.host).is_absolute() || self.host.eq_ignore_ascii_case("localhost")
    }
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 5_432,
            database: "feedd".to_owned(),
            user: "feedd".to_owned(),
            password: None,
            schema: "public".to_owned(),
            layout: PostgresLayout::default(),
            tls: PostgresTls::default(),
            tls_ca: None,
            tls_insecure: false,
            migrate: true,
            connect_timeout: Duration::from_secs(10),
            batch_timeout: Duration::from_secs(60),
            partitions_ahead: 2,
            retain_days: 0,
        }
    }
}

pub(crate) fn read_postgres(s: &mut Section<'_, '_>, postgres: &mut Postgres) {
    s.key("host", &mut postgres.host, host);
    s.key("port", &mut postgres.port, count(1..=u64::from(u16::MAX)));
    s.key("database", &mut postgres.database, database_name);
    s.key("user", &mut postgres.user, database_name);
    read_password(s, &mut postgres.password);
    s.key("schema", &mut postgres.schema, schema_name);
    s.key("layout", &mut postgres.layout, choice);
    s.key("tls", &mut postgres.tls, choice);
    s.optional("tls_ca", &mut postgres.tls_ca, path);
    s.key("tls_insecure", &mut postgres.tls_insecure, flag);
    s.key("migrate", &mut postgres.migrate, flag);
    s.key("connect_timeout", &mut postgres.connect_timeout, duration(TIMEOUT_MIN..=TIMEOUT_MAX));
    s.key("batch_timeout", &mut postgres.batch_timeout, duration(TIMEOUT_MIN..=TIMEOUT_MAX));
    s.key("partitions_ahead", &mut postgres.partitions_ahead, count(0..=30));
    s.key("retain_days", &mut postgres.retain_days, count(0..=36_500));
}

fn read_password(s: &mut Section<'_, '_>, password: &mut Option<SecretRef>) {
    let reference = |parse: fn(&Node) -> Parsed<SecretRef>| move |node: &Node| parse(node);
    s.optional("password_file", password, reference(|node| path(node).map(SecretRef::File)));
    s.optional("password_env", password, reference(|node| variable_name(node).map(SecretRef::Variable)));
    s.optional("password_credential", password, reference(|node| credential(node).map(SecretRef::Credential)));
}

/// Finds values that are each in range but contradict each other.
pub(crate) fn check_together(postgres: &Postgres, reader: &mut Reader) {
    reader.at_most_one(&PASSWORD_KEYS, "the password");
    if postgres.tls == PostgresTls::Disable && !postgres.is_local() && !postgres.tls_insecure {
        let (origin, key) = reader.origin_of(&["postgres.tls"]);
        let message = format!(
            "tls = \"disable\" would send everything to {} unencrypted; choose \"auto\" or \"verify-full\", or say \
             tls_insecure = true",
            postgres.host
        );
        reader.fault(origin, &key, message);
    }
}

const PASSWORD_KEYS: [&str; 3] = ["postgres.password_file", "postgres.password_env", "postgres.password_credential"];

const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(3_600);
