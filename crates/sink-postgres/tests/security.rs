//! A server is authenticated or refused, with the reason; the password is printed nowhere. Needs a server.
#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

use feedd_core::contract::sink::{STREAM, instruments};
use feedd_core::{Sink, SinkError, error_text};
use feedd_model::Epoch;
use feedd_sink_postgres::{PostgresConfig, PostgresSink, Secret, Tls, migrate, status};
use feedd_testkit::postgres::{Options, Server};
use feedd_testkit::promise;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};

/// Certificates of one test, as files.
struct Files {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // By default all certificates of the library have one name.
        params.distinguished_name.push(DnType::CommonName, "the issuer");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate for `host` by the issuer, or by itself.
    fn server(&self, host: &str, is_expired: bool, is_self_signed: bool) -> Option<Server> {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        if is_expired {
            (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        }
        let key = KeyPair::generate().unwrap();
        let certificate = if is_self_signed { params.self_signed(&key) } else { params.signed_by(&key, &self.issuer) };
        let (certificate_file, key_file) = (self.path("server.pem"), self.path("server.key"));
        std::fs::write(&certificate_file, certificate.unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        Server::start_with(Options { tls: Some((certificate_file, key_file)), tcp: true, ..Options::default() })
    }
}

fn config(server: &Server, host: &str, ca: Option<&Path>) -> PostgresConfig {
    let mut config = PostgresConfig::new(host, "postgres", server.user());
    (config.port, config.tls) = (server.port(), Tls::VerifyFull);
    config.tls_ca = ca.map(Path::to_owned);
    config.password = Some(Secret::new(server.password()));
    config
}

/// The text of the refusal, from the sink and from the administrative functions alike.
fn refusal(config: &PostgresConfig) -> String {
    let mut sink = PostgresSink::open(config.clone(), instruments()).unwrap();
    let error = sink.recover(STREAM, Epoch(1)).unwrap_err();
    assert!(matches!(error, SinkError::Unavailable { .. }), "somebody may mend the server: {error:?}");
    let text = error_text(&error);
    assert!(matches!(status(config), Err(SinkError::Unavailable { .. })));
    assert!(matches!(migrate(config), Err(SinkError::Unavailable { .. })));
    text
}

#[test]
fn only_a_valid_certificate_of_a_known_issuer_is_accepted() {
    let files = Files::new();
    let ca = files.path("ca.pem");
    let cases = [
        // name, host in the certificate, expired, self-signed, reason
        ("self-signed", "localhost", false, true, "the issuer of the server's certificate is not known"),
        ("another name", "db.example", false, false, "certificate is for another name"),
        ("expired", "localhost", true, false, "certificate has expired"),
    ];
    let mut refused = 0;
    for (name, host, is_expired, is_self_signed, reason) in cases {
        let Some(server) = files.server(host, is_expired, is_self_signed) else { return };
        let text = refusal(&config(&server, "localhost", Some(&ca)));
        assert!(text.contains(reason), "{name}: {text}");
        refused += 1;
    }
    let Some(server) = files.server("localhost", false, false) else { return };
    // Without the file the system's issuers are asked, where there are any; they do not know this one.
    let without = PostgresSink::open(config(&server, "localhost", None), instruments());
    match without.and_then(|mut sink| sink.recover(STREAM, Epoch(1))) {
        Err(error @ SinkError::Unavailable { .. }) => {
            assert!(error_text(&error).contains("issuer of the server's certificate is not known"));
        }
        Err(SinkError::Fatal { what, .. }) => assert!(what.contains("the system has no certificates"), "{what}"),
        other => panic!("{other:?}"),
    }
    refused += 1;
    let good = config(&server, "localhost", Some(&ca));
    let mut sink = PostgresSink::open(good, instruments()).unwrap();
    sink.recover(STREAM, Epoch(1)).unwrap();
    let encrypted = server.psql(
        "postgres",
        "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'feedd'",
    );
    assert_eq!(encrypted, "t", "the sink's connection is encrypted");
    promise::Report::new("P18").runs(5).faults(refused).fault_kinds("bad certificates").lost(0).finish();
}

#[test]
fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let Some(server) = Server::start_with(Options { tcp: true, ..Options::default() }) else { return };
    let files = Files::new();
    let text = refusal(&config(&server, "127.0.0.1", Some(&files.path("ca.pem"))));
    assert!(text.contains("server does not support TLS"), "{text}");
    // On this host itself, without being asked, no TLS is needed.
    let mut plain = config(&server, "127.0.0.1", None);
    plain.tls = Tls::Auto;
    PostgresSink::open(plain, instruments()).unwrap().recover(STREAM, Epoch(1)).unwrap();
}

#[test]
fn issuers_that_cannot_be_read_stop_the_start() {
    let files = Files::new();
    std::fs::write(files.path("empty.pem"), "").unwrap();
    std::fs::write(files.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for name in ["missing.pem", "empty.pem", "broken.pem"] {
        let mut config = PostgresConfig::new("db.example", "market", "feedd");
        config.tls_ca = Some(files.path(name));
        match PostgresSink::open(config, instruments()) {
            Err(SinkError::Fatal { what, .. }) => assert!(what.contains(name), "{what}"),
            other => panic!("{name}: {:?}", other.err()),
        }
    }
}

#[test]
fn a_wrong_password_is_refused_with_the_reason_and_never_printed() {
    let Some(server) = Server::start_with(Options { tcp: true, ..Options::default() }) else { return };
    let mut config = config(&server, "127.0.0.1", None);
    config.tls = Tls::Auto;
    config.password = Some(Secret::new("canary-51a7e"));
    let text = refusal(&config);
    assert!(text.contains("SQLSTATE 28P01"), "{text}");
    let sink_error = PostgresSink::open(config.clone(), instruments()).unwrap().recover(STREAM, Epoch(1)).unwrap_err();
    for printed in [text, format!("{config:?}"), format!("{sink_error:?}"), format!("{sink_error}"), server.log()] {
        assert!(!printed.contains("canary-51a7e"), "{printed}");
    }
    config.password = None;
    assert!(refusal(&config).contains("password missing"));
    config.password = Some(Secret::new(server.password()));
    PostgresSink::open(config, instruments()).unwrap().recover(STREAM, Epoch(1)).unwrap();
}

#[test]
fn a_missing_server_database_or_role_can_be_mended_later() {
    let Some(server) = Server::start() else { return };
    let socket = server.socket_dir().to_str().unwrap();
    let missing = PostgresConfig::new(socket, "nowhere", server.user());
    assert!(refusal(&missing).contains("SQLSTATE 3D000"));
    let nobody = PostgresConfig::new(socket, "postgres", "nobody");
    assert!(refusal(&nobody).contains("SQLSTATE 28000"));
    let no_server = PostgresConfig { port: 1, ..PostgresConfig::new(socket, "postgres", "nobody") };
    let text = refusal(&no_server);
    assert!(text.contains("nobody@") && text.contains(":1/postgres"), "the address is named: {text}");
}
