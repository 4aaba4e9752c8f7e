//! The admin port is harmless: whoever reaches it can read what they may, and neither change, stop nor slow anything.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Place, Recorded, get_by_socket, raw};
use common::Feedd;
use feedd_testkit::promise;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

/// Connections of the crowd.
const CROWD: usize = 1_000;
/// Those that are let in at once.
const LIMIT: usize = 32;
/// How much more memory the recorder may take meanwhile: a few KiB for each of those let in, and 24 MiB of blocks that may all
/// come into use while the machine is busy. What each connection that was turned away left behind would be far more.
const MEMORY_KIB_MAX: u64 = 40 << 10;
const TRADES: i64 = 12;

/// Pages that there are, and names that a page for changes might have.
const PATHS: [&str; 20] = [
    "/",
    "/status",
    "/metrics",
    "/livez",
    "/readyz",
    "/events",
    "/history",
    "/book?symbol=BTCUSDT",
    "/tap?symbol=BTCUSDT",
    "/reload",
    "/stop",
    "/pause",
    "/strategy",
    "/strategies",
    "/sink",
    "/symbols",
    "/log",
    "/settings",
    "/quit",
    "/debug",
];

fn recorded(recorder: &mut Recorded, trades: i64) -> Value {
    recorder.wait_until("all trades durable", |status| {
        let totals = &status["totals"];
        totals["decoded"] == trades && status["journal"]["durable_seq"] == totals["accepted"]
    })
}

/// The status line of an answer that may never end (a stream of events): the connection is left after it.
fn status_of(address: &str, request: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let _ = stream.write_all(request.as_bytes());
    let (mut head, mut piece) = (Vec::new(), [0; 256]);
    while !head.windows(2).any(|end| end == b"\r\n") {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => head.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{request:?}: {error}"),
        }
    }
    String::from_utf8_lossy(&head).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// What a request could change: all but what time changes.
fn still(status: &Value) -> Vec<Value> {
    let fields = [
        "/program/pid",
        "/program/epoch",
        "/settings",
        "/totals/accepted",
        "/totals/decoded",
        "/sources/0/ended",
        "/sinks/0/state",
        "/symbols/0/symbol",
        "/journal/durable_seq",
        "/totals/dropped",
    ];
    fields.iter().map(|field| status.pointer(field).unwrap_or_else(|| panic!("{field}")).clone()).collect()
}

#[test]
fn no_request_over_the_address_changes_anything() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=TRADES);
    let before = still(&recorded(&mut recorder, TRADES));
    let address = recorder.address.clone();
    let mut asked = 0;
    for path in PATHS {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "RELOAD"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            let status = status_of(&address, &request);
            asked += 1;
            if method == "GET" || method == "HEAD" {
                assert!([200, 400, 404, 405, 503].contains(&status), "{method} {path}: {status}");
            } else {
                // CONNECT takes an address in the place of a path.
                assert!(status == 405 || (status == 400 && method == "CONNECT"), "{method} {path}: {status}");
            }
        }
        // A method in a header or in the query is none.
        let overridden = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nX-HTTP-Method-Override: POST\r\nConnection: close\r\n\r\n"
        );
        assert!([200, 400, 404, 405].contains(&status_of(&address, &overridden)), "{path}");
        asked += 1;
    }
    let after = recorder.status();
    assert_eq!(still(&after), before);
    let log = after["log"].to_string();
    assert!(!log.contains("reload") && !log.contains("stopping"), "{log}");
    // What reads, over the socket, is not made a change by POST either.
    assert_eq!(get_by_socket(&place.socket(), "/status").status, 200);
    recorder.trade(TRADES + 1..=TRADES + 3);
    recorded(&mut recorder, TRADES + 3);
    recorder.end().assert_complete("asked for changes");
    promise::Report::new("P19").runs(asked).faults(asked).fault_kinds("requests for changes").lost(0).finish();
}

#[test]
fn names_that_are_not_ours_are_turned_away_in_every_spelling() {
    let place = Place::new();
    let recorder = place.start(&[]);
    let address = recorder.address.clone();
    let port = address.rsplit_once(':').unwrap().1;
    let hosts = [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("evil.example#127.0.0.1:{port}"),
        format!("127.0.0.1@evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        format!("localhost.:{port}"),
        format!("[::ffff:10.0.0.1]:{port}"),
        format!("169.254.169.254:{port}"),
        "localhost:80".to_owned(),
        "localhost:".to_owned(),
        "[::1".to_owned(),
        "\u{442}\u{435}\u{441}\u{442}".to_owned(),
        String::new(),
    ];
    for host in &hosts {
        for path in ["/", "/status", "/metrics", "/events", "/livez"] {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = raw(&address, &request);
            assert!([400, 421].contains(&answer.status), "{host:?} {path}: {answer:?}");
            assert!(!answer.body.contains("feedd_") && !answer.body.contains("version"), "{host:?} {path}: {answer:?}");
            // And no page of another site may read what it gets.
            assert!(!answer.head.contains("access-control-allow-origin"), "{answer:?}");
        }
    }
    let origin = format!("GET /status HTTP/1.0\r\nHost: {address}\r\nOrigin: http://evil.example\r\n\r\n");
    assert!(!raw(&address, &origin).head.contains("access-control"), "no other site is named");
    promise::Report::new("P19")
        .runs(hosts.len() as u64)
        .faults(hosts.len() as u64)
        .fault_kinds("foreign names")
        .lost(0)
        .finish();
    recorder.end();
}

#[test]
fn a_start_that_others_could_reach_is_refused_for_every_such_address() {
    let place = Place::new();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9717", "[::ffff:192.0.2.1]:9717", "[fe80::1]:9717"] {
        let ended = Feedd::start(&place.args(&[&format!("admin.listen={listen}")])).wait();
        assert_eq!(ended.code(), Some(2), "{listen}: {}", ended.stderr);
        assert!(ended.stderr.contains("can be reached by others; name a token"), "{listen}: {}", ended.stderr);
        assert!(!place.data_dir().exists(), "{listen}: nothing was begun");
    }
}

/// Whether the other side has closed it.
fn is_closed(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn a_thousand_slow_requests_cost_neither_memory_nor_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let limit = format!("admin.connections_max={LIMIT}");
    let args = common::run_args(
        &data,
        &[
            "--source",
            "sim",
            "--set",
            "source.0.rate=20000",
            "--sink",
            "null",
            "--set",
            "journal.mode=on",
            "--set",
            "admin.listen=127.0.0.1:0",
            "--set",
            &limit,
        ],
    );
    let mut feedd = Feedd::start(&args);
    feedd.wait_until("its address", |feedd| asking::address(&feedd.said()).is_some());
    let address = asking::address(&feedd.said()).unwrap();
    let accepted = |data: &std::path::Path| -> u64 {
        let answer = get_by_socket(&data.join("_feedd").join("feedd.sock"), "/status");
        let status: Value = serde_json::from_str(&answer.body).unwrap();
        status["totals"]["accepted"].as_u64().unwrap()
    };
    feedd.wait_until("it records", |_| accepted(&data) > 100_000);
    let before_kib = common::pg::memory_peak_kib(feedd.pid()).unwrap();

    // Each sends a header that never ends, a byte at a time; whoever is turned away comes again.
    let connect = || {
        let stream = TcpStream::connect(&address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect()).collect();
    let (mut closed, begun) = (0u64, accepted(&data));
    let mut text = b"GET /status HTTP/1.1\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'x'));
    // Several times as long as a request may take.
    feedd.wait_until("the crowd was turned away many times", |feedd| {
        let byte = [text.next().unwrap()];
        for stream in &mut crowd {
            let is_sent = stream.write(&byte).is_ok();
            if !is_sent && is_closed(stream) {
                closed += 1;
                *stream = connect();
            }
        }
        assert!(accepted(&data) > 0, "who asks over the socket is not kept out");
        assert!(!feedd.said().contains("ERROR"), "{}", feedd.said());
        closed > 10 * CROWD as u64
    });
    assert!(accepted(&data) > begun, "it went on recording");
    let grown_kib = common::pg::memory_peak_kib(feedd.pid()).unwrap().saturating_sub(before_kib);
    println!("{closed} connections turned away, {grown_kib} KiB more memory at most");
    assert!(grown_kib < MEMORY_KIB_MAX, "{grown_kib} KiB more for a crowd that is mostly turned away");
    drop(crowd);
    feedd.wait_until("the others are answered again", |_| asking::get(&address, "/livez").status == 200);
    feedd.signal("TERM");
    let account = feedd.wait().assert_complete("recording went on below the crowd");
    assert!(account.get("events.accepted") > begun);
    promise::Report::new("P19").runs(closed).faults(closed).fault_kinds("slow requests").lost(0).finish();
}

#[test]
fn heads_without_end_and_bytes_that_are_no_request_are_cut_off() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    let address = recorder.address.clone();
    let megabyte = "x".repeat(1 << 20);
    let host = format!("Host: {address}\r\n");
    let cases = [
        ("a long path", format!("GET /{megabyte} HTTP/1.1\r\n{host}\r\n")),
        ("a long method", format!("{megabyte} / HTTP/1.1\r\n{host}\r\n")),
        ("a long value", format!("GET /status HTTP/1.1\r\n{host}A: {megabyte}\r\n\r\n")),
        ("a long name", format!("GET /status HTTP/1.1\r\n{host}{megabyte}: a\r\n\r\n")),
        ("a long host", format!("GET /status HTTP/1.1\r\nHost: {megabyte}\r\n\r\n")),
        ("a long token", format!("GET /status HTTP/1.1\r\n{host}Authorization: Bearer {megabyte}\r\n\r\n")),
        ("many headers", format!("GET /status HTTP/1.1\r\n{host}{}\r\n", "a: b\r\n".repeat(100_000))),
        ("a folded header", format!("GET /status HTTP/1.1\r\n{host}A: b\r\n c\r\n\r\n")),
        (
            "both lengths",
            format!("GET /status HTTP/1.1\r\n{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
        ("a negative length", format!("GET /status HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n")),
        ("the second version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".to_owned()),
        ("zeros", "\0".repeat(100_000)),
        ("line feeds", "\n".repeat(100_000)),
    ];
    for (name, request) in &cases {
        let status = status_of(&address, request);
        // Turned away in words, or cut off before they could be sent.
        assert!([0, 400, 413, 431, 414, 421].contains(&status), "{name}: {status}");
        assert_eq!(recorder.get("/livez").status, 200, "after {name}");
    }
    recorder.trade(1..=TRADES);
    recorded(&mut recorder, TRADES);
    recorder.end().assert_complete("recording went on");
    let runs = cases.len() as u64;
    promise::Report::new("P19").runs(runs).faults(runs).fault_kinds("malformed requests").lost(0).finish();
}
