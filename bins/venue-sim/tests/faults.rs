//! Each fault does what it says, as the client sees it, and the log says whom it hit.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, End, get, serve, serve_fast, wait_for};
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use venue_sim::{Config, Fault, FaultKind, Server, Venue};

const TRADES: &str = "/ws/btcusdt@trade";

fn fault(server: &Server, text: &str) {
    server.inject(Fault::parse(text).unwrap());
}

/// A connection that has had its first frame.
fn connected(server: &Server, path: &str) -> Client {
    let mut client = Client::connect(server, path);
    client.json();
    client
}

fn id(frame: &Value) -> u64 {
    frame["t"].as_u64().unwrap()
}

#[test]
fn connections_end_the_way_that_was_asked_for() {
    let cases = [
        ("close", End::Eof, "fault close"),
        ("close-frame=1001", End::Close(1001), "closed with 1001: fault close-frame"),
        ("close close-frame=4000", End::Close(4000), "closed with 4000: fault close-frame"),
        ("reset", End::Reset, "fault reset"),
        ("shutdown", End::Close(1001), "closed with 1001: shutdown"),
    ];
    for (text, end, why) in cases {
        let server = serve(Venue::Binance);
        let mut client = connected(&server, TRADES);
        fault(&server, text);
        assert_eq!(client.end(), end, "{text}");
        drop(client);
        wait_for(&server, |line| line["what"] == "closed" && line["why"] == why);
        wait_for(&server, |line| line["what"] == "hit" && line["conn"] == 1);
        // The next one is served.
        connected(&server, TRADES);
    }
}

#[test]
fn a_fault_for_one_connection_spares_the_others() {
    let server = serve(Venue::Binance);
    let (mut one, mut two) = (connected(&server, TRADES), connected(&server, TRADES));
    fault(&server, "reset conn=2");
    assert_eq!(two.end(), End::Reset);
    for _ in 0..200 {
        one.json();
    }
}

#[test]
fn venues_say_that_they_go_down_in_their_own_way() {
    let server = serve(Venue::Binance);
    let mut client = connected(&server, TRADES);
    fault(&server, "shutdown");
    assert!(client.until(|frame| frame["e"] == "serverShutdown")["E"].is_u64());
    let server = serve(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/public");
    wait_for(&server, |line| line["what"] == "open");
    fault(&server, "shutdown");
    assert_eq!(client.json()["code"], "64008");
    assert_eq!(client.end(), End::Close(1001));
}

#[test]
fn drop_duplicate_and_reorder_do_so_to_data_frames_and_the_log_knows_them() {
    let server = serve(Venue::Binance);
    let mut client = Client::connect(&server, TRADES);
    let mut read = |count: usize| (0..count).map(|_| id(&client.json())).collect::<Vec<u64>>();
    let mut ids = read(1);
    fault(&server, "drop=3");
    wait_for(&server, |line| line["what"] == "dropped" && line["reason"] == "fault");
    fault(&server, "duplicate");
    wait_for(&server, |line| line["dup"] == true);
    fault(&server, "reorder");
    wait_for(&server, |line| line["late"] == true);
    server.pause_market();
    let sent = server.log().iter().filter(|line| line["what"] == "sent").count();
    ids.extend(read(sent - 1));
    let (mut holes, mut twice, mut back) = (0, 0, 0);
    for pair in ids.windows(2) {
        match i128::from(pair[1]) - i128::from(pair[0]) {
            1 => {}
            0 => twice += 1,
            4 => holes += 1,
            // Overtaken: one step too far, one back, one too far again.
            2 => {}
            -1 => back += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!((holes, twice, back), (1, 1, 1));
    let log = server.log();
    let dropped: Vec<&Value> = log.iter().filter(|line| line["what"] == "dropped").collect();
    assert_eq!(dropped.len(), 3);
    for line in dropped {
        assert_eq!((&line["fault"], &line["kind"]), (&json!("drop"), &json!("trade")));
        assert!(!ids.contains(&line["first"].as_u64().unwrap()));
    }
}

#[test]
fn a_mute_connection_still_answers() {
    let server = serve(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/public");
    client.send(r#"{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}"#);
    client.until(|frame| frame.get("data").is_some());
    fault(&server, "mute");
    wait_for(&server, |line| line["fault"] == "mute" && line["what"] == "dropped");
    client.send("ping");
    while client.text() != "pong" {}
    assert!(client.is_silent(Duration::from_millis(300)));
    client.send(r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#);
    assert_eq!(client.json()["event"], "subscribe");
    assert!(client.is_silent(Duration::from_millis(300)), "acknowledged, and no snapshot");
}

#[test]
fn a_mute_symbol_is_mute_alone_and_for_as_long_as_was_said() {
    let server = serve(Venue::Binance);
    let mut client = Client::connect(&server, "/ws/btcusdt@trade/ethusdt@trade");
    // Known before the fault: with the first frame read after it there would be no hole to see.
    let first = id(&client.until(|frame| frame["s"] == "BTCUSDT"));
    fault(&server, "mute-symbol=BTCUSDT for=1s");
    let lost = wait_for(&server, |line| line["fault"] == "mute-symbol" && line["what"] == "dropped");
    assert_eq!(lost["symbol"], "BTCUSDT");
    // Who comes meanwhile is under it as well.
    let mut other = Client::connect(&server, "/ws/btcusdt@trade/ethusdt@trade");
    assert_eq!(other.json()["s"], "ETHUSDT");
    let hole = |client: &mut Client| {
        let mut last = first;
        loop {
            let frame = client.until(|frame| frame["s"] == "BTCUSDT");
            let before = std::mem::replace(&mut last, id(&frame));
            if before + 1 != id(&frame) {
                return id(&frame) - before;
            }
        }
    };
    assert!(hole(&mut client) > 1);
    assert_eq!(other.until(|frame| frame["s"] == "BTCUSDT")["e"], "trade");
}

#[test]
fn in_a_black_hole_nothing_is_answered_and_nothing_closed() {
    let server = serve(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/public");
    client.send(r#"{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}"#);
    client.until(|frame| frame.get("data").is_some());
    fault(&server, "blackhole for=1500ms");
    wait_for(&server, |line| line["fault"] == "blackhole" && line["what"] == "dropped");
    while !client.is_silent(Duration::from_millis(200)) {}
    client.send("ping");
    client.ws.send(tungstenite::Message::Ping("x".into())).unwrap();
    assert!(client.is_silent(Duration::from_millis(300)));
    // A new connection is accepted by the system and then left alone until the end of the hole.
    let struck = Instant::now();
    let mut late = Client::connect(&server, "/ws/v5/public");
    assert!(struck.elapsed() > Duration::from_millis(300), "the handshake waited");
    late.send("ping");
    assert_eq!(late.text(), "pong");
    while client.text() != "pong" {}
}

/// A server with one book stream, subscribed; the first frame of the stream was read.
fn with_book(venue: Venue) -> (Server, Client) {
    let (path, request) = match venue {
        Venue::Binance => ("/ws", r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}"#),
        Venue::BinanceUsdm => ("/public/ws", r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}"#),
        Venue::Coinbase => ("/", r#"{"type":"subscribe","product_ids":["BTC-USD"],"channels":["level2_batch"]}"#),
        Venue::CoinbaseAdvanced => ("/", r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}"#),
        Venue::Kraken => {
            ("/v2", r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10}}"#)
        }
        Venue::Okx => ("/ws/v5/public", r#"{"op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"}]}"#),
        _ => ("/v5/public/spot", r#"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#),
    };
    let server = serve_fast(venue);
    let mut client = Client::connect(&server, path);
    client.send(request);
    let first = client.until(|frame| numbers(venue, frame).is_some());
    assert!(numbers(venue, &first).is_some());
    (server, client)
}

/// What must hold between a book frame and the one before: its own number, and the one that the next must name.
fn numbers(venue: Venue, frame: &Value) -> Option<(i64, i64)> {
    let pair = |own: &Value, next: i64| own.as_i64().map(|own| (own, next));
    match venue {
        Venue::Binance => pair(&frame["U"], frame["u"].as_i64()? + 1),
        Venue::BinanceUsdm => pair(&frame["pu"], frame["u"].as_i64()?),
        Venue::CoinbaseAdvanced => pair(&frame["sequence_num"], frame["sequence_num"].as_i64()? + 1),
        Venue::Okx => pair(&frame["data"][0]["prevSeqId"], frame["data"][0]["seqId"].as_i64()?),
        Venue::Bybit => pair(&frame["data"]["u"], frame["data"]["u"].as_i64()? + 1),
        Venue::Kraken => frame["data"][0]["checksum"].as_i64().map(|sum| (sum, sum)),
        _ => frame.get("changes").map(|_| (0, 0)),
    }
}

#[test]
fn a_damaged_frame_breaks_the_chain_of_its_venue() {
    for venue in [Venue::Binance, Venue::BinanceUsdm, Venue::CoinbaseAdvanced, Venue::Okx, Venue::Bybit] {
        let (server, mut client) = with_book(venue);
        let mut last = None;
        let mut read = |count: usize| {
            let mut breaks = 0;
            for _ in 0..count {
                let frame = client.until(|frame| numbers(venue, frame).is_some());
                let (own, next) = numbers(venue, &frame).unwrap();
                breaks += usize::from(last.replace(next).is_some_and(|last| last != own));
            }
            breaks
        };
        assert_eq!(read(50), 0, "{venue:?}");
        fault(&server, "bad-checksum");
        wait_for(&server, |line| line["what"] == "hit");
        let breaks = read(200);
        // Where the damaged number is also what the next is compared with, both neighbours are off.
        assert_eq!(breaks, if venue == Venue::Bybit { 2 } else { 1 }, "{venue:?}");
    }
}

#[test]
fn a_damaged_checksum_is_not_the_logs() {
    let (server, mut client) = with_book(Venue::Kraken);
    fault(&server, "bad-checksum");
    let sum = |frame: &Value| frame["data"][0]["checksum"].as_u64();
    let found: Vec<u64> = (0..100).map(|_| sum(&client.until(|frame| sum(frame).is_some())).unwrap()).collect();
    let known: Vec<u64> = server.log().iter().filter_map(|line| line["checksum"].as_u64()).collect();
    let wrong: Vec<&u64> = found.iter().filter(|sum| !known.contains(sum)).collect();
    assert_eq!(wrong.len(), 1);
    assert!(known.contains(&(wrong[0] ^ 1)));
}

#[test]
fn a_damaged_update_without_a_sequence_crosses_the_book() {
    let (server, mut client) = with_book(Venue::Coinbase);
    let highest = |frame: &Value| {
        let changes = frame["changes"].as_array().unwrap().iter();
        changes.filter(|change| change[0] == "buy").map(|change| common::exact(change[1].as_str().unwrap())).max()
    };
    let usual = common::exact("65083.67");
    assert!(highest(&client.until(|frame| frame["type"] == "l2update")).unwrap_or(0) < usual * 3 / 2);
    fault(&server, "bad-checksum");
    client.until(|frame| frame["type"] == "l2update" && highest(frame).unwrap_or(0) > usual * 3 / 2);
}

#[test]
fn counters_start_again() {
    // The number at which they do, and where the venue sends the whole book with it.
    for (venue, whole) in
        [(Venue::Binance, false), (Venue::CoinbaseAdvanced, false), (Venue::Okx, false), (Venue::Bybit, true)]
    {
        let (server, mut client) = with_book(venue);
        let mut last = 0;
        for _ in 0..30 {
            last = numbers(venue, &client.until(|frame| numbers(venue, frame).is_some())).unwrap().1;
        }
        fault(&server, "sequence-reset");
        loop {
            let frame = client.until(|frame| numbers(venue, frame).is_some());
            let (own, next) = numbers(venue, &frame).unwrap();
            if next < last {
                match venue {
                    // The chain itself still holds at OKX.
                    Venue::Okx => assert_eq!(own, last),
                    Venue::CoinbaseAdvanced => assert_eq!(own, 0),
                    Venue::Bybit => assert_eq!((own, &frame["type"]), (1, &json!("snapshot"))),
                    _ => assert!(own < 1_000_000),
                }
                assert_eq!(frame["type"] == "snapshot", whole);
                break;
            }
            last = next;
        }
    }
}

#[test]
fn a_giant_and_a_text_that_is_none_are_sent() {
    let server = serve(Venue::Binance);
    let mut client = connected(&server, TRADES);
    fault(&server, "giant=2MiB");
    let giant = loop {
        let text = client.text();
        if text.starts_with("{\"giant\"") {
            break text;
        }
    };
    assert_eq!(giant.len(), 2 << 20);
    fault(&server, "invalid-utf8");
    let End::Broken(why) = client.end() else { panic!("a broken end") };
    assert!(why.contains("UTF-8"), "{why}");
}

#[test]
fn a_slow_handshake_comes_byte_by_byte() {
    let server = serve(Venue::Binance);
    fault(&server, "slow-handshake for=2500ms");
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut buffer = [0u8; 1024];
    assert_eq!(stream.read(&mut buffer).unwrap(), 1);
    let mut text = vec![buffer[0]];
    while !text.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        text.extend_from_slice(&buffer[..count]);
    }
    assert!(String::from_utf8(text).unwrap().contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "the key of RFC 6455");
}

#[test]
fn too_many_requests_are_answered_so_for_a_while() {
    let server = serve(Venue::Binance);
    fault(&server, "status-429 for=500ms");
    let answer = get(&server, "/api/v3/depth?symbol=BTCUSDT");
    assert_eq!((answer.status, answer.headers["retry-after"].as_str()), (429, "1"));
    let refused = tungstenite::client(server.ws_url("/ws"), TcpStream::connect(server.address()).unwrap());
    assert!(format!("{:?}", refused.err().unwrap()).contains("429"));
    let start = Instant::now();
    while get(&server, "/api/v3/depth?symbol=BTCUSDT").status == 429 {
        assert!(start.elapsed() < common::WAIT_MAX);
    }
}

#[test]
fn a_skewed_clock_is_wrong_by_what_was_said_and_comes_back() {
    let server = serve(Venue::Binance);
    let mut client = connected(&server, TRADES);
    let now_ms = || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        i64::try_from(now.as_millis()).unwrap()
    };
    let behind = |client: &mut Client| now_ms() - client.json()["T"].as_i64().unwrap();
    assert!(behind(&mut client) < 60_000);
    fault(&server, "skew=-1h for=1s");
    while behind(&mut client) < 3_600_000 {}
    while behind(&mut client) > 60_000 {}
}

#[test]
fn a_schedule_and_chance_strike_by_themselves() {
    let config = Config {
        faults: Fault::parse_schedule("300ms close; 600ms mute").unwrap(),
        chaos: Some(venue_sim::Chaos { per_minute_milli: 300_000, kinds: vec!["drop".to_owned()], seed: 1 }),
        ..Config::for_tests(Venue::Binance)
    };
    let server = Server::start(config).unwrap();
    let mut client = connected(&server, TRADES);
    assert_eq!(client.end(), End::Eof);
    let mut client = connected(&server, TRADES);
    wait_for(&server, |line| line["what"] == "hit" && line["fault"] == "mute");
    wait_for(&server, |line| line["what"] == "fault" && line["fault"] == "drop");
    while !client.is_silent(Duration::from_millis(200)) {}
    // A time from now on works as well.
    server.inject(Fault { at: Some(Duration::from_millis(50)), ..FaultKind::Reset.into() });
    assert_eq!(client.end(), End::Reset);
}
