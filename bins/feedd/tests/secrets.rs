//! Secrets are read and used, and never told: not to the log, to those who ask, to the disk, or to other users. Needs a
//! PostgreSQL server.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Place, exchange, feedd, get};
use common::Feedd;
use feedd_testkit::postgres::{Options, Server};
use feedd_testkit::promise;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The password, in a file.
const PASSWORD: &str = "canary-of-the-password-7f3a";
/// The token, in a variable.
const TOKEN: &str = "canary-of-the-token-91bc";
/// What the webhook is to get, in a file.
const WEBHOOK: &str = "canary-of-the-webhook-e052";
/// Of the journal.
const SEGMENT_BYTES: usize = 1 << 20;
/// Every one of them begins with it.
const CANARY: &str = "canary-of-the-";

/// The certificate and key of the admin server, PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    /// A line of the key that no other text has.
    fn canary(&self) -> &str {
        self.key.lines().nth(1).unwrap()
    }

    /// Asks over TLS.
    fn ask(&self, address: &str, path: &str, token: &str) -> asking::Answer {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let connection = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
        let stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        exchange(stream, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"))
    }
}

/// Writes a file of the operator's.
fn file(place: &Place, name: &str, text: &str, mode: u32) -> String {
    let path = place.file(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// What was told, with where: looked through at the end.
#[derive(Default)]
struct Told(Vec<(String, Vec<u8>)>);

impl Told {
    fn add(&mut self, place: impl Into<String>, text: impl AsRef<[u8]>) {
        self.0.push((place.into(), text.as_ref().to_vec()));
    }

    /// Every file below a folder.
    fn add_folder(&mut self, folder: &Path) {
        let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    self.add(entry.path().display().to_string(), std::fs::read(entry.path()).unwrap());
                }
            }
        }
    }

    /// Where any of these stands, with what stands there.
    fn holding(&self, secrets: &[&str]) -> Vec<String> {
        let holds =
            |text: &[u8]| secrets.iter().any(|secret| text.windows(secret.len()).any(|part| part == secret.as_bytes()));
        let found = self.0.iter().filter(|(_, text)| holds(text));
        found
            .map(|(place, text)| format!("{place}: {}", String::from_utf8_lossy(&text[..text.len().min(2_000)])))
            .collect()
    }

    fn place(&self, part: &str) -> &[u8] {
        let found = self.0.iter().find(|(place, _)| place.contains(part));
        &found.unwrap_or_else(|| panic!("nothing told by {part}")).1
    }
}

#[test]
fn no_secret_is_told_by_anything_whatever_fails() {
    let Some(server) = Server::start_with(Options { tcp: true, ..Options::default() }) else { return };
    // At first the server has another password for the user.
    server.psql("postgres", "CREATE ROLE recorder LOGIN PASSWORD 'another'");
    server.psql("postgres", "CREATE DATABASE recorded OWNER recorder");
    let (place, pair) = (Place::new(), Pair::new());
    let password = file(&place, "password", &format!("{PASSWORD}\n"), 0o600);
    let (certificate, key) = (file(&place, "crt", &pair.certificate, 0o644), file(&place, "key", &pair.key, 0o600));
    let sets = [
        "log.level=trace".to_owned(),
        "sink.kind=postgres".to_owned(),
        "postgres.host=127.0.0.1".to_owned(),
        format!("postgres.port={}", server.port()),
        "postgres.user=recorder".to_owned(),
        "postgres.database=recorded".to_owned(),
        format!("postgres.password_file={password}"),
        "admin.token_env=ADMIN_TOKEN".to_owned(),
        format!("admin.tls_certificate={certificate}"),
        format!("admin.tls_key={key}"),
        // Nobody takes the alerts.
        "alerts.webhook.url=http://127.0.0.1:1/alerts".to_owned(),
        format!("alerts.webhook.token_file={}", file(&place, "webhook", WEBHOOK, 0o600)),
        format!("journal.segment_bytes={SEGMENT_BYTES}"),
        "batch.max_age=100ms".to_owned(),
        "retry.delay=100ms".to_owned(),
        "retry.max_delay=200ms".to_owned(),
        "health.interval=100ms".to_owned(),
    ];
    let variables = [("ADMIN_TOKEN", TOKEN), ("RUST_BACKTRACE", "1")];
    let mut recorder = place.start_with(&sets.each_ref().map(String::as_str), &variables);
    let (address, mut told) = (recorder.address.clone(), Told::default());

    // Refused by the server, then stored; a frame that is none, a row that is refused, a server that goes away.
    recorder.trade(1..=5);
    recorder.feedd.wait_until("the password is refused", |_| {
        String::from_utf8_lossy(&ask(&pair, &address)).contains("password authentication failed")
    });
    told.add("status while refused", ask(&pair, &address));
    server.psql("postgres", &format!("ALTER ROLE recorder PASSWORD '{PASSWORD}'"));
    let stored = |recorder: &mut asking::Recorded, rows: u64| {
        recorder.feedd.wait_until("rows", |_| {
            server.try_psql("recorded", "SELECT count(*) FROM trades").is_ok_and(|found| found == rows.to_string())
        });
    };
    stored(&mut recorder, 5);
    server.psql(
        "recorded",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.trade_id = 6 THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON trade FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    recorder.trade(6..=9);
    recorder.write(&common::synthetic::line(common::synthetic::START_TS, "ws-1", "in", "{\"e\":"));
    stored(&mut recorder, 8);

    // Everybody who can ask, with the right token and with wrong ones.
    for path in ["/", "/status", "/metrics", "/livez", "/readyz", "/history", "/book?symbol=BTCUSDT", "/no-such-page"] {
        told.add(format!("GET {path}"), format!("{:?}", pair.ask(&address, path, TOKEN)));
        told.add(format!("GET {path}, wrong token"), format!("{:?}", pair.ask(&address, path, "wrong")));
        told.add(format!("GET {path} over the socket"), format!("{:?}", asking::get_by_socket(&place.socket(), path)));
    }
    told.add("no TLS", format!("{:?}", get(&address, "/status")));
    for command in [&["status"][..], &["status", "--json"], &["health"]] {
        told.add(format!("feedd {command:?}"), format!("{:?}", place.ask(command)));
    }
    let mut check = vec!["check".to_owned()];
    check.extend(place.args(&sets.each_ref().map(String::as_str)).into_iter().skip(1));
    told.add("feedd check", format!("{:?}", feedd(&check.iter().map(String::as_str).collect::<Vec<_>>())));
    let process = PathBuf::from(format!("/proc/{}", recorder.feedd.pid()));
    told.add("its command line", std::fs::read(process.join("cmdline")).unwrap());
    let environment = std::fs::read(process.join("environ")).unwrap();
    let rights = std::fs::metadata(process.join("environ")).unwrap().permissions().mode();
    assert_eq!(rights & 0o077, 0, "other users cannot read its variables");
    server.psql("postgres", "ALTER ROLE recorder PASSWORD 'another'");
    server.psql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'recorder'");
    recorder.trade(10..=12);
    recorder.feedd.wait_until("refused once more", |_| {
        ask(&pair, &address).windows(8).any(|part| part == b"retrying") || get_breaker(&pair, &address) != "closed"
    });
    told.add("status at the end", ask(&pair, &address));
    recorder.feedd.signal("TERM");
    let ended = recorder.end();
    told.add("standard error", &ended.stderr);
    told.add("standard output", &ended.stdout);
    told.add_folder(&place.data_dir());

    // What was looked through is what was meant to be.
    assert!(ended.stderr.contains("TRACE") || ended.stderr.contains("DEBUG"), "{}", ended.stderr);
    for (part, holds) in [
        ("status while refused", "password authentication failed"),
        ("GET /status", "admin.token_env"),
        ("feedd check", "password from file"),
        ("dead-letters.jsonl", "e"),
        ("quarantine", "poison"),
    ] {
        let text = String::from_utf8_lossy(told.place(part));
        assert!(text.contains(holds), "{part}: {text}");
    }
    let segments = told.0.iter().filter(|(place, text)| place.contains("/journal/") && text.len() >= SEGMENT_BYTES);
    assert_ne!(segments.count(), 0, "the journal");
    assert_eq!(told.holding(&[CANARY, PASSWORD, TOKEN, WEBHOOK, pair.canary()]), <[String; 0]>::default());
    // A variable is seen by its process, its user and root: that is why a file or a credential is better.
    let told_by_environment = String::from_utf8_lossy(&environment);
    assert!(told_by_environment.contains(TOKEN) && !told_by_environment.contains(PASSWORD));
    let places = told.0.len() as u64;
    promise::Report::new("P17")
        .runs(places)
        .faults(4)
        .fault_kinds("refused, poison, cut, wrong token")
        .lost(0)
        .finish();
}

/// The status document.
fn ask(pair: &Pair, address: &str) -> Vec<u8> {
    pair.ask(address, "/status", TOKEN).body.into_bytes()
}

/// State of the sink's breaker.
fn get_breaker(pair: &Pair, address: &str) -> String {
    let status: serde_json::Value = serde_json::from_slice(&ask(pair, address)).unwrap();
    status["sinks"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_secret_that_others_can_read_refuses_the_start() {
    let pair = Pair::new();
    let modes = [0o644, 0o640, 0o604, 0o660, 0o620];
    for mode in modes {
        let place = Place::new();
        let certificate = format!("admin.tls_certificate={}", file(&place, "crt", &pair.certificate, 0o644));
        let key = format!("admin.tls_key={}", file(&place, "key", &pair.key, mode));
        let token = format!("admin.token_file={}", file(&place, "token", TOKEN, mode));
        let password = format!("postgres.password_file={}", file(&place, "password", PASSWORD, mode));
        let webhook = format!("alerts.webhook.token_file={}", file(&place, "webhook", WEBHOOK, mode));
        let cases: [(&str, &[&str]); 4] = [
            ("webhook", &["alerts.webhook.url=http://127.0.0.1:1/alerts", &webhook]),
            ("key", &[&certificate, &key]),
            ("token", &[&token]),
            ("password", &["sink.kind=postgres", &password]),
        ];
        for (name, sets) in cases {
            let ended = Feedd::start(&place.args(sets)).wait();
            assert_eq!(ended.code(), Some(2), "{name} {mode:o}: {}", ended.stderr);
            let path = place.file(name);
            let said = format!(
                "{} is open to other users (mode {mode:04o}); take their rights away: chmod 600",
                path.display()
            );
            assert!(ended.stderr.contains(&said), "{said}\nin {}", ended.stderr);
            assert!(!ended.stderr.contains(CANARY) && !ended.stderr.contains(pair.canary()), "{}", ended.stderr);
        }
    }
    promise::Report::new("P17").runs(20).faults(20).fault_kinds("files that others can read").lost(0).finish();
}
