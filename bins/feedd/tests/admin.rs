//! Asking a recorder: over the socket of its data folder, over HTTP, over TLS; who is let in, and what a crowd cannot do.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Answer, Place, Recorded, exchange, feedd, get, get_by_socket, raw};
use common::Feedd;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::sync::Arc;
use std::time::Instant;

/// Fewer than a symbol needs to be missed when it falls silent.
const TRADES: i64 = 12;

/// Waits until so many trades are durable and seen.
fn recorded(recorder: &mut Recorded, trades: i64) -> Value {
    recorder.wait_until("all trades durable", |status| {
        // Beside them, the recorder's own: that the source began.
        let totals = &status["totals"];
        totals["decoded"] == trades && status["journal"]["durable_seq"] == totals["accepted"]
    })
}

/// What does not change while nothing comes in.
fn still(status: &Value) -> Vec<String> {
    let fields = [
        "/version",
        "/program/version",
        "/program/pid",
        "/program/started_at",
        "/program/epoch",
        "/program/data_dir",
        "/verdict/level",
        "/verdict/lost",
        "/verdict/symbols",
        "/verdict/durable_seq",
        "/findings",
        "/totals/frames",
        "/totals/bytes",
        "/totals/decoded",
        "/totals/accepted",
        "/totals/dropped",
        "/totals/account_violations",
        "/sources/0/name",
        "/sources/0/frames",
        "/sources/0/accepted",
        "/sources/0/ended",
        "/symbols/0/symbol",
        "/symbols/0/messages",
        "/sinks/0/name",
        "/sinks/0/state",
        "/settings",
    ];
    fields.iter().map(|field| format!("{field} {}", status.pointer(field).expect(field))).collect()
}

#[test]
fn the_socket_and_the_address_tell_the_same() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    let status = recorded(&mut recorder, TRADES);
    assert_eq!(status["verdict"]["level"], "ok", "{}", status["verdict"]);
    assert_eq!(status["version"], 1);
    assert_eq!(status["program"]["pid"], recorder.feedd.pid());
    assert_eq!(status["symbols"][0]["symbol"], "BTCUSDT");
    assert_eq!(status["symbols"][0]["messages"], TRADES);
    assert_eq!(status["sources"][0]["frames"], TRADES);

    let url = format!("http://{}", recorder.address);
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let by_socket = get_by_socket(&place.socket(), "/status");
    assert_eq!(by_socket.status, 200);
    let by_command = place.ask(&["status", "--json"]);
    let by_url = feedd(&["status", "--json", "--url", &url]);
    assert_eq!((by_command.0, by_url.0), (0, 0), "{} {}", by_command.2, by_url.2);
    for text in [&by_socket.body, &by_command.1, &by_url.1] {
        assert_eq!(still(&json(text)), still(&status));
    }
    let metrics = recorder.get("/metrics").body;
    for line in [
        "feedd_events_accepted_total{source=\"capture\"} 13",
        "feedd_symbol_messages_total{source=\"capture\",venue=\"binance\",symbol=\"BTCUSDT\"} 12",
        "feedd_journal_durable_seq 13",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }

    let (code, page, _) = place.ask(&["status"]);
    assert!(code == 0 && page.starts_with("OK ") && page.contains("durable to seq 13"), "{code}: {page}");
    let (code, line, _) = place.ask(&["health"]);
    assert!(code == 0 && line.starts_with("FEEDD OK - recording 1/1 symbols, 0 lost"), "{code}: {line}");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(feedd(&["health", "--url", &url]).0, 0);
    assert_eq!((recorder.get("/livez").body.as_str(), recorder.get("/readyz").body.as_str()), ("ok\n", "ok\n"));
    assert_eq!(recorder.get("/no-such-page").status, 404);
    recorder.end().assert_complete("asked");
}

#[test]
fn events_are_sent_while_the_client_stays() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    let mut stream = TcpStream::connect(&recorder.address).unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", recorder.address);
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    while text.matches("data: {\"version\":1,").count() < 2 {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "ended after {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
    // A client that listens does not keep the recorder from ending.
    recorder.end().assert_complete("listened to");
}

#[test]
fn the_socket_is_its_owners_and_gone_at_the_end() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    let found = std::fs::symlink_metadata(place.socket()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o600);
    recorder.end().assert_complete("the first");
    assert!(!place.socket().exists(), "removed at the end");
    for command in ["status", "health"] {
        let (code, out, error) = place.ask(&[command]);
        assert_eq!(code, 3, "{command}");
        assert!(format!("{out}{error}").contains("no recorder answers at"), "{command}: {out}{error}");
    }
    let (code, line, _) = feedd(&["health", "--url", "http://127.0.0.1:1"]);
    assert!(code == 3 && line.starts_with("FEEDD UNKNOWN - no recorder answers at http://127.0.0.1:1"), "{line}");
    assert_eq!(feedd(&["status", "--url", "ftp://127.0.0.1"]).0, 3);
}

#[test]
fn the_socket_of_a_killed_recorder_is_replaced_and_the_guide_names_every_field() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    recorder.kill();
    assert!(place.socket().exists(), "a killed recorder leaves it");
    assert_eq!(place.ask(&["status"]).0, 3, "nobody is behind it");

    let mut recorder = place.start(&[]);
    recorder.trade(TRADES + 1..=TRADES + 3);
    recorder.write(&common::synthetic::line(common::synthetic::START_TS, "ws-1", "in", "{\"e\":"));
    let status = recorder.wait_until("a gap, and a frame that is rejected", |status| {
        status["totals"]["frames_rejected"] == 1 && !status["gaps"].as_array().unwrap().is_empty()
    });
    assert_eq!(status["gaps"][0]["reason"], "recorder_down");
    assert_eq!(status["program"]["epoch"], 2);
    assert_eq!(status["findings"][0]["rule"], "FeeddRejectingFrames");
    assert_eq!(status["findings"][0]["level"], "warning");
    let (code, page, _) = place.ask(&["status"]);
    assert_eq!(code, 1, "{page}");
    assert!(page.contains("FeeddRejectingFrames: decoding: 1 frames could not be decoded\n         -> "), "{page}");

    let mut paths = BTreeSet::new();
    fields(&status, String::new(), &mut paths);
    let guide = include_str!("../../../docs/operations.md");
    let (_, guide) = guide.split_once("## The status document").unwrap();
    let rows = guide.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    assert_eq!(rows.map(|(path, _)| path.to_owned()).collect::<BTreeSet<_>>(), paths);
    recorder.end();
}

/// The paths of all values; elements of a list are one.
fn fields(value: &Value, path: String, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            let dot = if path.is_empty() { "" } else { "." };
            object.iter().for_each(|(name, value)| fields(value, format!("{path}{dot}{name}"), paths));
        }
        Value::Array(list) => {
            assert!(!list.is_empty(), "{path} is empty, so its fields are not seen");
            list.iter().for_each(|value| fields(value, format!("{path}[]"), paths));
        }
        _ => {
            paths.insert(path);
        }
    }
}

#[test]
fn strangers_changes_bodies_and_endless_heads_are_turned_away() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    let address = recorder.address.clone();
    let port = address.rsplit_once(':').unwrap().1.to_owned();
    let cases = [
        ("its address", format!("GET /livez HTTP/1.0\r\nHost: {address}\r\n\r\n"), 200),
        ("localhost", format!("GET /livez HTTP/1.0\r\nHost: localhost:{port}\r\n\r\n"), 200),
        ("only the head", format!("HEAD /livez HTTP/1.0\r\nHost: {address}\r\n\r\n"), 200),
        ("a stranger", format!("GET /livez HTTP/1.0\r\nHost: evil.example:{port}\r\n\r\n"), 421),
        ("another port", "GET /livez HTTP/1.0\r\nHost: localhost:1\r\n\r\n".to_owned(), 421),
        ("no name", "GET /livez HTTP/1.0\r\n\r\n".to_owned(), 421),
        ("a change", format!("POST /status HTTP/1.0\r\nHost: {address}\r\n\r\n"), 405),
        ("a removal", format!("DELETE /status HTTP/1.0\r\nHost: {address}\r\n\r\n"), 405),
        ("a body", format!("GET /status HTTP/1.0\r\nHost: {address}\r\nContent-Length: 4\r\n\r\nbody"), 413),
        (
            "an announced body",
            format!("POST / HTTP/1.0\r\nHost: {address}\r\nContent-Length: 99999999999\r\n\r\n"),
            413,
        ),
        (
            "a body in pieces",
            format!("POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"),
            413,
        ),
    ];
    for (name, request, status) in cases {
        let answer = raw(&address, &request);
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert!(answer.head.contains("x-content-type-options: nosniff"), "{name}: {answer:?}");
    }
    let empty = raw(&address, &format!("HEAD /status HTTP/1.0\r\nHost: {address}\r\n\r\n"));
    assert_eq!(empty.body, "");

    let megabyte = "x".repeat(1 << 20);
    let many: String = (0..1_000).map(|i| format!("h{i}: x\r\n")).collect();
    for (name, more) in [("one long header", format!("Long: {megabyte}\r\n")), ("many headers", many)] {
        let answer = raw(&address, &format!("GET /livez HTTP/1.0\r\nHost: {address}\r\n{more}\r\n"));
        // The refusal, or nothing when the connection broke over what was still on the way.
        assert!([0, 431].contains(&answer.status), "{name}: {answer:?}");
    }
    assert!([0, 400].contains(&raw(&address, "\u{16}\u{3}\u{1}\r\n\r\n").status), "no HTTP");
    assert_eq!(recorder.get("/livez").status, 200, "the others are answered all the same");
    recorder.trade(1..=TRADES);
    recorder.end().assert_complete("recording went on");
}

#[test]
fn a_crowd_that_says_nothing_is_bounded_and_keeps_neither_operators_nor_scrapes_out() {
    const CROWD: usize = 200;
    const LIMIT: usize = 16;
    let place = Place::new();
    let mut recorder = place.start(&[&format!("admin.connections_max={LIMIT}")]);
    let address = recorder.address.clone();
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| TcpStream::connect(&address).unwrap()).collect();
    crowd.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    // Half of them begin a request and never end it.
    for stream in crowd.iter_mut().step_by(2) {
        let _ = std::io::Write::write_all(stream, b"GET /status HTT");
    }
    let mut open = CROWD;
    recorder.feedd.wait_until("those beyond the limit are closed", |_| {
        open = crowd.iter().filter(|stream| is_open(stream)).count();
        open <= LIMIT
    });
    let (code, _, error) = place.ask(&["status"]);
    assert_eq!(code, 0, "the socket has a limit of its own: {error}");
    recorder.feedd.wait_until("a scrape beside the crowd", |_| get(&address, "/metrics").status == 200);
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    drop(crowd);
    recorder.end().assert_complete("recording went on");
}

fn is_open(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(0) => false,
        // A late answer: a request that took too long is told so.
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}

#[test]
fn what_others_could_reach_needs_a_token_and_a_certificate() {
    let place = Place::new();
    let file = |name: &str, text: &str| {
        std::fs::write(place.file(name), text).unwrap();
        std::fs::set_permissions(place.file(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        place.file(name).display().to_string()
    };
    let token = format!("admin.token_file={}", file("token", "secret\n"));
    let (certificate, key) = certificate();
    let certificate = format!("admin.tls_certificate={}", file("crt", &certificate));
    let key = format!("admin.tls_key={}", file("key", &key));
    let other_key = format!("admin.tls_key={}", file("other", &self::certificate().1));
    let no_key = format!("admin.tls_key={}", file("empty", ""));
    let reachable = "admin.listen=0.0.0.0:0";
    let cases: [(&str, &[&str], &str); 7] = [
        ("neither", &[reachable], "can be reached by others; name a token (token_file) and a certificate"),
        ("no token", &[reachable, &certificate, &key], "can be reached by others; name a token"),
        ("no certificate", &[reachable, &token], "can be reached by others; name a token"),
        ("no such variable", &["admin.token_env=NO_SUCH_TOKEN"], "environment variable NO_SUCH_TOKEN is not set"),
        ("no such file", &["admin.tls_certificate=no/such", &key], "cannot read no/such"),
        ("an empty key", &[&certificate, &no_key], "reading admin.tls_key"),
        ("the key of another", &[&certificate, &other_key], "the admin certificate and key cannot be used"),
    ];
    for (name, sets, said) in cases {
        let ended = Feedd::start(&place.args(sets)).wait();
        assert_eq!(ended.code(), Some(2), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{name}: {}", ended.stderr);
        assert!(!place.data_dir().exists(), "{name}: nothing was begun");
        assert!(!ended.stderr.contains("secret\n"), "{name}");
    }
}

/// A certificate for 127.0.0.1 and its key, PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn with_token_and_certificate_only_the_token_is_let_in() {
    let place = Place::new();
    let (certificate, key) = certificate();
    for (name, text) in [("crt", &*certificate), ("key", &*key), ("token", "s3cret")] {
        std::fs::write(place.file(name), text).unwrap();
        std::fs::set_permissions(place.file(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let set = |key: &str, name: &str| format!("admin.{key}={}", place.file(name).display());
    let sets = [set("token_file", "token"), set("tls_certificate", "crt"), set("tls_key", "key")];
    let mut recorder = place.start(&sets.each_ref().map(String::as_str));
    assert!(recorder.feedd.said().contains("dashboard and metrics: https://127.0.0.1:"));
    let address = recorder.address.clone();
    let ask = |authorization: &str| {
        let request = format!("GET /livez HTTP/1.0\r\nHost: {address}\r\n{authorization}\r\n");
        ask_over_tls(&address, &certificate, &request)
    };
    assert_eq!(ask("").status, 401);
    assert_eq!(ask("Authorization: Bearer other\r\n").status, 401);
    let answer = ask("Authorization: Bearer s3cret\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    assert_eq!(get(&address, "/livez").status, 0, "no TLS, no answer");
    recorder.trade(1..=TRADES);
    assert_eq!(place.ask(&["status"]).0, 0, "the socket needs no token");
    let ended = recorder.end();
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    ended.assert_complete("asked over TLS");
}

fn ask_over_tls(address: &str, trusted: &str, request: &str) -> Answer {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    exchange(StreamOwned::new(connection, TcpStream::connect(address).unwrap()), request)
}

#[test]
fn a_taken_port_is_told_and_recording_goes_on() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = common::synthetic::session(300, 1_000_000);
    let source = common::synthetic::source(folder.path(), &session);
    let mut args = common::run_args(&place.data_dir(), &["--source", &source]);
    args.extend(["--set".to_owned(), format!("admin.listen={listen}")]);
    let ended = Feedd::start(&args).wait();
    let said = format!("admin.listen = \"{listen}\": Address already in use");
    assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    assert!(ended.stderr.contains("no dashboard and no metrics in this run"), "{}", ended.stderr);
    assert!(ended.assert_complete("without HTTP").get("events.accepted") > 0);
}

#[test]
fn a_sink_that_is_away_is_a_warning_that_names_it_and_the_remedy() {
    let place = Place::new();
    // A port that was free a moment ago: whoever connects is refused.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (host, port) = ("postgres.host=127.0.0.1", format!("postgres.port={port}"));
    let begun = Instant::now();
    let mut recorder = place.start(&["sink.kind=postgres", host, &port]);
    recorder.trade(1..=TRADES);
    let status = recorder.wait_until("the sink is found away", |status| status["verdict"]["level"] == "warning");
    println!("told {:.1} s after the start", begun.elapsed().as_secs_f64());
    let findings = status["findings"].as_array().unwrap();
    let [finding] = findings.as_slice() else { panic!("one finding: {findings:?}") };
    assert_eq!(finding["rule"], "FeeddSinkBreakerOpen");
    assert_eq!(finding["who"], "postgres");
    recorded(&mut recorder, TRADES);
    let (code, page, _) = place.ask(&["status"]);
    assert_eq!(code, 1, "{page}");
    for part in ["WARNING ", "FeeddSinkBreakerOpen: postgres: fails since", "-> see that the database", "last error: "]
    {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    let (code, line, _) = place.ask(&["health"]);
    assert!(code == 1 && line.starts_with("FEEDD WARNING - SinkBreakerOpen: postgres: "), "{code}: {line}");
    let ready = recorder.get("/readyz");
    assert_eq!(ready.status, 200, "the journal is there for that");
    assert!(ready.body.starts_with("degraded\nFeeddSinkBreakerOpen: postgres: "), "{ready:?}");
    let metrics = recorder.get("/metrics").body;
    assert!(metrics.contains("feedd_findings{level=\"warning\"} 1\n"), "{metrics}");
}

#[test]
fn a_feed_that_is_down_is_critical() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = folder.path().join("feedd.toml");
    let text = format!(
        "[data]\ndir = {:?}\n[admin]\nlisten = \"127.0.0.1:0\"\n[[source]]\nkind = \"venue\"\nvenue = \"binance\"\n\
         symbols = [\"BTCUSDT\"]\nchannels = [\"trades\"]\nurl = \"ws://127.0.0.1:{port}\"\nrest_url = \"http://127.0.0.1:{port}\"\n",
        folder.path().join("data").to_str().unwrap()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let mut recorder = Feedd::start(&["run", "--config", config].map(str::to_owned));
    recorder.wait_until("its address", |feedd| asking::address(&feedd.said()).is_some());
    let mut health = (0, String::new(), String::new());
    recorder.wait_until("a feed that is down", |_| {
        health = feedd(&["health", "--config", config]);
        health.0 == 2
    });
    assert!(health.1.starts_with("FEEDD CRITICAL - FeedDown: binance: no connection delivers"), "{health:?}");
    assert_eq!(feedd(&["status", "--config", config]).0, 2);
    recorder.signal("TERM");
    assert_eq!(recorder.wait().code(), Some(0));
}

/// The value of a sample that is on the page.
fn sample(page: &str, name: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("{name} in\n{page}")).parse().unwrap()
}

#[test]
fn a_burst_between_two_scrapes_shows_in_the_second_and_only_there() {
    const DEPTH_MAX: &str = "feedd_ring_depth_max{source=\"capture\"}";
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.get("/metrics");
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    let page = recorder.get("/metrics").body;
    assert_eq!(sample(&page, "feedd_ring_depth{source=\"capture\"}"), 0.0, "the burst is over");
    assert!((1.0..=13.0).contains(&sample(&page, DEPTH_MAX)), "{page}");
    assert_eq!(sample(&recorder.get("/metrics").body, DEPTH_MAX), 0.0, "a window of its own");
    recorder.end().assert_complete("scraped three times");
}

#[test]
fn stages_show_signs_of_life_in_silence_and_what_each_hop_took() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    let status = recorded(&mut recorder, TRADES);
    let stages = |status: &Value| status["stages"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sink = text(&status["sinks"][0]["name"]);
    let names: Vec<_> = stages(&status).iter().map(|s| (text(&s["stage"]), text(&s["name"]))).collect();
    let expected = [("source", "capture"), ("batching", "batching"), ("journal", "journal"), ("sink", &sink)];
    assert_eq!(names, expected.map(|(stage, name)| (stage.to_owned(), name.to_owned())));
    // Twelve trades, and that the source began.
    let passed: Vec<_> = stages(&status)[..3].iter().map(|s| (s["items_in"].clone(), s["items_out"].clone())).collect();
    assert_eq!(passed, [(12.into(), 13.into()), (13.into(), 13.into()), (13.into(), 13.into())]);

    // Nothing comes for more than two seconds, and every thread goes on giving signs of life.
    let beats = |status: &Value| stages(status).iter().map(|s| s["beat_at"].as_i64().unwrap()).collect::<Vec<_>>();
    let before = beats(&status);
    let status = recorder.wait_until("signs of life", |status| {
        beats(status).iter().zip(&before).all(|(now, before)| now - before > 2_000_000_000)
    });
    assert_eq!(status["totals"]["decoded"], TRADES);

    let hops = status["latency"].as_array().unwrap();
    let of = |hop: &str| hops.iter().find(|found| found["hop"] == hop).unwrap_or_else(|| panic!("{hop} in {hops:?}"));
    for hop in ["ring_to_batch", "batch_to_durable", "journal_sync"] {
        let number = |field: &str| of(hop)[field].as_u64().unwrap();
        assert!(number("count") > 0 && number("max_ns") > 0, "{hops:?}");
        assert!(number("p50_ns") <= number("p99_ns") && number("p99_ns") <= number("p999_ns"), "{hops:?}");
        assert!(number("p999_ns") <= number("max_ns"), "{hops:?}");
    }
    assert_eq!(of("socket_to_ring")["count"], 0, "a recording was received long ago");
    let page = recorder.get("/metrics").body;
    for (hop, name) in [("ring_to_batch", "capture"), ("batch_to_durable", "journal")] {
        let count = sample(&page, &format!("feedd_hop_duration_seconds_count{{hop=\"{hop}\",name=\"{name}\"}}"));
        assert_eq!(count, of(hop)["count"].as_f64().unwrap(), "{hop}");
    }
    recorder.end().assert_complete("watched");
}

/// One row of the page or of the guide: kind and label names of a metric.
type Rows = std::collections::BTreeMap<String, (String, BTreeSet<String>)>;

#[test]
fn the_guide_lists_every_metric_and_each_has_its_samples_from_the_start() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    let before = parsed(&recorder.get("/metrics").body);
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    let page = recorder.get("/metrics");
    assert!(page.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", page.head);
    let mut after = parsed(&page.body);

    let guide = include_str!("../../../docs/metrics.md");
    let listed = guide.lines().filter(|line| line.starts_with("| `feedd_")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[2].split(',').map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels.collect::<BTreeSet<String>>()))
    });
    let listed: Vec<_> = listed.collect();
    let count = listed.len();
    let listed: Rows = listed.into_iter().collect();
    assert_eq!(listed.len(), count, "each once");
    // Nothing is told of strategies where there are none.
    let of_strategies = after.rows.iter_mut().filter(|(name, _)| name.starts_with("feedd_strategy_"));
    of_strategies.for_each(|(_, (_, labels))| labels.extend(["strategy".to_owned()]));
    assert_eq!(after.rows, listed);

    // From the start: every series that is there later, apart from those of symbols.
    let of_symbols = |series: &&String| series.starts_with("feedd_symbol_");
    let late: Vec<&String> = after.series.difference(&before.series).filter(|series| !of_symbols(series)).collect();
    assert_eq!(late, Vec::<&String>::new());
    check_with_promtool(&page.body);
    recorder.end().assert_complete("scraped");
}

struct Page {
    rows: Rows,
    /// Name and labels of every sample.
    series: BTreeSet<String>,
}

/// Reads a page strictly: a help, a type, then samples with values that are numbers.
fn parsed(page: &str) -> Page {
    let (mut rows, mut series, mut name, mut helped) = (Rows::new(), BTreeSet::new(), String::new(), String::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (of, help) = help.split_once(' ').unwrap();
            assert!(!help.is_empty() && !rows.contains_key(of), "{line}");
            helped = of.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (of, kind) = kind.split_once(' ').unwrap();
            assert_eq!((of, kind == "counter"), (helped.as_str(), of.ends_with("_total")), "{line}");
            assert!(kind != "histogram" || of.ends_with("_seconds"), "{line}");
            name = of.to_owned();
            rows.insert(name.clone(), (kind.to_owned(), BTreeSet::new()));
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite() && value >= 0.0, "{line}");
            let (of, labels) = sample.split_once('{').unwrap_or((sample, "}"));
            let (kind, labelled) = rows.get_mut(&name).unwrap();
            let is_bucket = kind == "histogram" && of.strip_suffix("_bucket") == Some(&name);
            let is_part =
                kind == "histogram" && ["_sum", "_count"].iter().any(|end| of.strip_suffix(end) == Some(&name));
            assert!(is_bucket || is_part || (of == name && kind != "histogram"), "{line}");
            assert_eq!(is_bucket, labels.contains("le=\""), "{line}");
            assert!(series.insert(sample.to_owned()), "{line} is there twice");
            let labels = labels.strip_suffix('}').unwrap().split("\",").filter(|label| !label.is_empty());
            let names = labels.map(|label| label.split_once("=\"").unwrap().0.to_owned());
            labelled.extend(names.filter(|name| name != "le"));
        }
    }
    Page { rows, series }
}

/// Prometheus' own judgement, where its tool is installed.
fn check_with_promtool(page: &str) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let started = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn();
    let Ok(mut promtool) = started else {
        println!("skipped: promtool is not installed (it comes with Prometheus)");
        return;
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    assert!(promtool.wait().unwrap().success(), "promtool finds fault with\n{page}");
}
