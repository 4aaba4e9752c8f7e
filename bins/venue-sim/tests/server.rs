//! TLS, limits, recordings, and how a server begins and ends.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, End, get, serve, wait_for};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::json;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use venue_sim::{Config, Limits, Pace, Rate, Replay, Server, Venue};

const SUBSCRIBE: &str = r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#;

fn tls_client(server: &Server, roots: RootCertStore) -> Result<Client<impl std::io::Read + std::io::Write>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(common::WAIT_MAX)).unwrap();
    let stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    match tungstenite::client("wss://localhost/ws", stream) {
        Ok((ws, _)) => Ok(Client { ws }),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn tls_is_trusted_by_who_knows_the_authority_alone() {
    let server = Server::start(Config { tls: true, ..Config::for_tests(Venue::Binance) }).unwrap();
    assert!(server.ws_url("/ws").starts_with("wss://"));
    let pem = std::fs::read(server.ca_path().unwrap()).unwrap();
    assert_eq!(server.ca_pem().unwrap().as_bytes(), pem);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let mut client = tls_client(&server, roots).unwrap();
    client.send(SUBSCRIBE);
    assert_eq!(client.json()["id"], 1);
    for _ in 0..500 {
        assert_eq!(client.json()["e"], "trade");
    }
    assert!(tls_client(&server, RootCertStore::empty()).err().unwrap().contains("UnknownIssuer"));
    let path = server.ca_path().unwrap().to_owned();
    drop(client);
    server.stop();
    assert!(!path.exists(), "the temporary file is gone");
}

#[test]
fn limits_are_the_venues() {
    let limited = |venue: Venue| Server::start(Config { limits: venue.limits(), ..Config::for_tests(venue) }).unwrap();
    let server = limited(Venue::Binance);
    let mut client = Client::connect(&server, "/ws");
    for _ in 0..6 {
        client.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
    }
    assert_eq!(client.end(), End::Close(1008));
    let server = limited(Venue::Kraken);
    let mut client = Client::connect(&server, "/v2");
    for _ in 0..21 {
        client.send(r#"{"method":"ping"}"#);
    }
    assert_eq!(client.until(|frame| frame.get("error").is_some())["error"], "Exceeded msg rate");
    let rate = Rate { count: 2, window: Duration::from_secs(60) };
    let limits = Limits { connects: Some(rate), streams_max: Some(1), ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::for_tests(Venue::Binance) }).unwrap();
    let mut client = Client::connect(&server, "/ws");
    Client::connect(&server, "/ws");
    let third = tungstenite::client(server.ws_url("/ws"), TcpStream::connect(server.address()).unwrap());
    assert!(format!("{:?}", third.err().unwrap()).contains("429"));
    client.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"],"id":1}"#);
    assert_eq!(client.end(), End::Close(1008));
}

#[test]
fn idle_connections_are_cut_by_the_venues_rule() {
    let idle = |venue: Venue| {
        let limits = Limits { idle: Some(Duration::from_secs(2)), ..Limits::default() };
        Server::start(Config { limits, paused: true, ..Config::for_tests(venue) }).unwrap()
    };
    let lives_as_long_as_it_speaks = |venue: Venue, path: &str, ping: &str, code: u16| {
        let server = idle(venue);
        let mut client = Client::connect(&server, path);
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(200));
            client.send(ping);
            client.text();
        }
        assert_eq!(client.end(), End::Close(code), "{venue:?}");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| lives_as_long_as_it_speaks(Venue::Okx, "/ws/v5/public", "ping", 4004));
        scope.spawn(|| lives_as_long_as_it_speaks(Venue::Bybit, "/v5/public/spot", r#"{"op":"ping"}"#, 1000));
        scope.spawn(|| lives_as_long_as_it_speaks(Venue::CoinbaseAdvanced, "/", "{}", 1000));
    });
    let limits = Limits { first_subscription: Some(Duration::from_millis(300)), ..Limits::default() };
    let server = Server::start(Config { limits, ..Config::for_tests(Venue::Coinbase) }).unwrap();
    assert_eq!(Client::connect(&server, "/").end(), End::Close(1008));
}

#[test]
fn pings_want_answers_and_connections_have_a_lifetime() {
    let config = Config {
        ping_every: Some(Duration::from_millis(100)),
        pong_within: Duration::from_secs(1),
        lifetime: Some(Duration::from_millis(2500)),
        ..Config::for_tests(Venue::Binance)
    };
    let server = Server::start(config).unwrap();
    let mut client = Client::connect(&server, "/ws");
    // Reading answers pings, so this one lives until its time is over.
    assert_eq!(client.end(), End::Close(1001));
    wait_for(&server, |line| line["conn"] == 1 && line["why"] == "closed with 1001: lifetime");
    let _silent = Client::connect(&server, "/ws");
    wait_for(&server, |line| line["conn"] == 2 && line["why"] == "a ping was not answered");
}

#[test]
fn a_recording_is_replayed_to_each_connection() {
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    let line = |ns: u64, conn: &str, dir: &str, frame: &str| {
        json!({ "recv_ns": ns, "conn": conn, "dir": dir, "frame": frame }).to_string() + "\n"
    };
    let mut text = line(5, "rest", "out", "GET https://host.invalid/api/v3/depth?symbol=A&limit=5");
    text += &line(5, "rest", "in", "{\"lastUpdateId\":1}");
    text += &line(6, "ws-1", "out", "subscribe");
    for n in 0..50 {
        text += &line(10 + n * 1_000_000, if n % 2 == 0 { "ws-1" } else { "ws-2" }, "in", &format!("frame {n}"));
    }
    std::fs::write(file.path(), text).unwrap();
    let replay = |speed_milli, conn: Option<&str>| Replay {
        file: file.path().to_owned(),
        speed_milli,
        conn: conn.map(str::to_owned),
    };
    for (speed, conn, step) in [(Some(1000), None, 1), (None, Some("ws-2"), 2)] {
        let config = Config { replay: Some(replay(speed, conn)), ..Config::for_tests(Venue::Binance) };
        let server = Server::start(config).unwrap();
        for _ in 0..2 {
            let mut client = Client::connect(&server, "/anything");
            client.send("subscribe");
            for n in (step - 1..50).step_by(step) {
                assert_eq!(client.text(), format!("frame {n}"));
            }
            assert!(client.is_silent(Duration::from_millis(50)));
        }
        assert_eq!(get(&server, "/api/v3/depth?symbol=A&limit=1000").body, "{\"lastUpdateId\":1}");
        assert_eq!(get(&server, "/api/v3/trades").status, 404);
    }
    let config = Config { replay: Some(replay(None, Some("ws-9"))), ..Config::for_tests(Venue::Binance) };
    assert!(Server::start(config).err().unwrap().to_string().contains("no incoming frame of connection \"ws-9\""));
}

#[test]
fn what_cannot_be_played_is_refused_with_the_remedy() {
    let refused = |config: Config| Server::start(config).err().unwrap().to_string();
    let config = || Config::for_tests(Venue::Binance);
    let listen = "0.0.0.0".parse().unwrap();
    assert!(refused(Config { listen, ..config() }).contains("add --listen-beyond-loopback if you mean it"));
    assert!(refused(Config { levels: 1, ..config() }).contains("choose 20 to 20000"));
    assert!(refused(Config { symbols: Vec::new(), ..config() }).contains("name at least one"));
    let twice = vec![config().symbols[0].clone(), config().symbols[0].clone()];
    assert!(refused(Config { symbols: twice, ..config() }).contains("named twice"));
    let server = serve(Venue::Binance);
    assert!(refused(Config { port: server.address().port(), ..config() }).contains("listening on"));
    let log_file = Some("/nonexistent/log".into());
    assert!(refused(Config { log_file, ..config() }).contains("/nonexistent/log"));
}

#[test]
fn at_full_speed_the_market_waits_for_the_client_and_nothing_is_lost() {
    let server =
        Server::start(Config { pace: Pace::Max, log_lines_max: 0, ..Config::for_tests(Venue::Binance) }).unwrap();
    let mut client = Client::connect(&server, "/ws/btcusdt@trade");
    let mut last = client.json()["t"].as_u64().unwrap();
    for n in 0..100_000u32 {
        if n == 1000 {
            // A client that pauses is waited for.
            std::thread::sleep(Duration::from_millis(300));
        }
        let text = client.text();
        let at = text.find("\"t\":").unwrap() + 4;
        let id = text[at..].split(',').next().unwrap().parse().unwrap();
        assert_eq!(id, last + 1);
        last = id;
    }
    assert_eq!(server.summary().connections, 1);
}

#[test]
fn the_log_accounts_for_every_frame() {
    let log_file = tempfile::NamedTempFile::new().unwrap();
    let config = Config { log_file: Some(log_file.path().to_owned()), ..Config::for_tests(Venue::Binance) };
    let server = Server::start(config).unwrap();
    let mut client = Client::connect(&server, "/ws");
    client.send(SUBSCRIBE);
    client.json();
    let reader = std::thread::spawn(move || {
        let mut count = 0u64;
        while client.try_text().is_ok() {
            count += 1;
        }
        count
    });
    std::thread::sleep(Duration::from_millis(300));
    let in_memory = {
        server.end();
        server.log()
    };
    let received = reader.join().unwrap();
    let total = server.stop();
    let text = std::fs::read_to_string(log_file.path()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, in_memory);
    let of = |what: &str| lines.iter().filter(|line| line["what"] == what).collect::<Vec<_>>();
    assert_eq!((of("start").len(), of("end").len(), of("open").len(), of("closed").len()), (1, 1, 1, 1));
    assert_eq!(of("request")[0]["text"], SUBSCRIBE);
    assert_eq!(of("answer")[0]["text"], r#"{"result":null,"id":1}"#);
    let sent = of("sent");
    assert!(received > 0);
    assert_eq!((sent.len() as u64, total.frames_sent), (received, received));
    for (n, line) in (1..).zip(&sent) {
        assert_eq!(line["n"], n);
    }
    assert_eq!(of("trade").len() as u64, total.trades);
    assert_eq!(of("book").len(), 2);
    assert_eq!(of("end")[0]["frames_sent"], received);
}
