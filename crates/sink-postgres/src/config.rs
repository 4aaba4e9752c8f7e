//! What an operator can set, and what of it is refused before any connection is made.

use crate::error::fatal;
use feedd_core::SinkError;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for the connection alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How rows are kept in the tables. Chosen at the first migration of a schema, fixed afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Integer ids and mantissas in the tables; views show the exact values.
    #[default]
    Compact,
    /// Texts, times and NUMERIC in the tables themselves; measured 1.4 to 2 times slower.
    Readable,
}

impl Layout {
    /// The word in the configuration and in the schema's settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Readable => "readable",
        }
    }

    /// Reads [`Layout::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Compact, Self::Readable].into_iter().find(|layout| layout.name() == name)
    }
}

/// Whether the connection is encrypted and the server's certificate checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tls {
    /// As [`Tls::VerifyFull`], but without encryption to a Unix socket or to this host itself.
    #[default]
    Auto,
    /// Encrypted, with a certificate of a known issuer for the host's name; never anything less.
    VerifyFull,
    /// Not encrypted. Refused for another host unless [`PostgresConfig::tls_insecure`] is set.
    Disable,
}

/// Settings of a [`crate::PostgresSink`] and of the administrative functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Name or address of the server, or the folder of its Unix socket (begins with `/`).
    pub host: String,
    /// Port; part of the socket's file name too.
    pub port: u16,
    /// Database.
    pub database: String,
    /// Role.
    pub user: String,
    /// Its password, when the server asks for one.
    pub password: Option<Secret>,
    /// Schema of all objects; made by the first migration when it is missing.
    pub schema: String,
    /// See [`Layout`].
    pub layout: Layout,
    /// See [`Tls`].
    pub tls: Tls,
    /// PEM file with the issuers to trust; the system's when absent.
    pub tls_ca: Option<PathBuf>,
    /// Allows [`Tls::Disable`] to another host.
    pub tls_insecure: bool,
    /// Whether the sink brings the schema up to date when it connects. Otherwise it waits for [`crate::migrate()`].
    pub migrate: bool,
    /// Longest wait for a connection, handshakes included.
    pub connect_timeout: Duration,
    /// Longest time of one batch. Then its connection is given up.
    pub batch_timeout: Duration,
    /// The ledger's key: two sinks of one recorder in one schema need two names.
    pub sink_name: String,
    /// How many days after today have their partitions made ahead.
    pub partitions_ahead_days: u16,
    /// Whether the sink indexes finished days by itself ([`crate::maintain()`] does so on request).
    pub build_indexes: bool,
    /// Whether, and after how many days, whole days are dropped by the sink itself. None by default.
    pub retain_days: Option<NonZeroU32>,
}

impl PostgresConfig {
    /// The defaults: port 5432, schema `public`, compact layout, TLS away from this host, migrations on connect, 10 s to
    /// connect, 60 s a batch, partitions two days ahead, indexes built by the sink.
    #[must_use]
    pub fn new(host: impl Into<String>, database: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port: 5432,
            database: database.into(),
            user: user.into(),
            password: None,
            schema: "public".to_owned(),
            layout: Layout::Compact,
            tls: Tls::Auto,
            tls_ca: None,
            tls_insecure: false,
            migrate: true,
            connect_timeout: Duration::from_secs(10),
            batch_timeout: Duration::from_secs(60),
            sink_name: "postgres".to_owned(),
            partitions_ahead_days: 2,
            build_indexes: true,
            retain_days: None,
        }
    }

    /// Where it connects to, for messages.
    pub(crate) fn address(&self) -> String {
        format!("{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether the server is this host itself.
    fn is_local(&self) -> bool {
        let is_loopback = |address: IpAddr| address.is_loopback();
        self.is_socket() || self.host == "localhost" || self.host.parse().is_ok_and(is_loopback)
    }

    /// Whether the connection is encrypted.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] for what must not be: no encryption to another host, encryption over a Unix socket.
    pub(crate) fn encrypts(&self) -> Result<bool, SinkError> {
        match self.tls {
            Tls::Auto => Ok(!self.is_local()),
            Tls::VerifyFull if self.is_socket() => {
                Err(fatal(format!("{}: PostgreSQL has no TLS over a Unix socket; use tls = auto", self.host), None))
            }
            Tls::VerifyFull => Ok(true),
            Tls::Disable if self.is_local() || self.tls_insecure => Ok(false),
            Tls::Disable => {
                let what = format!("{}: no TLS to another host; set tls_insecure to allow it", self.host);
                Err(fatal(what, None))
            }
        }
    }

    /// Checks what can be checked without a server.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] with the setting and the remedy.
    pub(crate) fn check(&self) -> Result<(), SinkError> {
        for (name, value) in [("host", &self.host), ("database", &self.database), ("user", &self.user)] {
            if value.is_empty() || value.contains('\0') {
                return Err(fatal(format!("{name} is empty or holds a NUL byte"), None));
            }
        }
        if !is_plain_name(&self.schema) {
            let what = format!("schema {:?}: a name is a letter or _, then up to 62 of [A-Za-z0-9_]", self.schema);
            return Err(fatal(what, None));
        }
        if self.sink_name.is_empty() || self.sink_name.len() > 63 || self.sink_name.contains('\0') {
            return Err(fatal(format!("sink name {:?}: 1 to 63 bytes are needed", self.sink_name), None));
        }
        if self.connect_timeout.is_zero() || self.batch_timeout.is_zero() {
            return Err(fatal("timeouts must be above 0".to_owned(), None));
        }
        self.encrypts().map(|_| ())
    }

    /// A relation of the schema, quoted: `"public"."trade"`.
    pub(crate) fn relation(&self, name: &str) -> String {
        debug_assert!(is_plain_name(name), "relations are named in this crate");
        format!("\"{}\".\"{name}\"", self.schema)
    }
}

/// `[A-Za-z_][A-Za-z0-9_]{0,62}`: what stands between quotes without escaping.
fn is_plain_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let mut config = PostgresConfig::new("db", "market", "feedd");
        config.password = Some(Secret::new("hunter2"));
        assert_eq!(format!("{} {:?}", Secret::new("hunter2"), Secret::new("hunter2")), "*** ***");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!config.address().contains("hunter2"));
    }

    #[test]
    fn encryption_is_left_out_only_where_nobody_can_listen() {
        let cases = [
            // host, tls, insecure, expected
            ("/run/postgresql", Tls::Auto, false, Some(false)),
            ("localhost", Tls::Auto, false, Some(false)),
            ("127.0.0.5", Tls::Auto, false, Some(false)),
            ("::1", Tls::Auto, false, Some(false)),
            ("db.example", Tls::Auto, false, Some(true)),
            ("10.0.0.1", Tls::Auto, true, Some(true)),
            ("localhost", Tls::VerifyFull, false, Some(true)),
            ("/run/postgresql", Tls::VerifyFull, false, None),
            ("localhost", Tls::Disable, false, Some(false)),
            ("db.example", Tls::Disable, false, None),
            ("db.example", Tls::Disable, true, Some(false)),
            ("127.0.0.1.example", Tls::Disable, false, None),
        ];
        for (host, tls, insecure, expected) in cases {
            let config = PostgresConfig { tls, tls_insecure: insecure, ..PostgresConfig::new(host, "market", "feedd") };
            assert_eq!(config.encrypts().ok(), expected, "{host} {tls:?} {insecure}");
        }
    }

    #[test]
    fn a_schema_that_would_need_escaping_is_refused() {
        let long = "a".repeat(64);
        for (schema, good) in [
            ("public", true),
            ("_x9", true),
            ("", false),
            ("9x", false),
            ("a\"b", false),
            ("a b", false),
            (&long, false),
        ] {
            let config = PostgresConfig { schema: schema.to_owned(), ..PostgresConfig::new("/s", "d", "u") };
            assert_eq!(config.check().is_ok(), good, "{schema:?}");
        }
    }
}
