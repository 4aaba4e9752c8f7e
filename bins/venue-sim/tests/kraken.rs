//! Kraken v2: every frame's checksum is recomputed from the client's own book.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, OwnBook, collect_texts, exact, facts, get, last_facts, serve, serve_fast, set};
use serde_json::{Value, json};
use venue_sim::Venue;

/// A frame with its numbers as texts: as they were printed.
fn quoted(text: &str) -> Value {
    let (mut out, mut number, mut in_text) = (String::new(), false, false);
    for c in text.chars() {
        in_text ^= c == '"';
        let begins = !in_text && !number && (c.is_ascii_digit() || c == '-');
        let ends = number && !(c.is_ascii_digit() || c == '.');
        if begins || ends {
            out.push('"');
            number = begins;
        }
        out.push(c);
    }
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// The venue's rule, from a book of numbers with 12 decimals.
fn checksum(book: &OwnBook, precisions: [u32; 2]) -> u32 {
    let mut text = String::new();
    let top = book.asks.iter().take(10).chain(book.bids.iter().rev().take(10));
    for (price, size) in top {
        for (number, precision) in [(price, precisions[0]), (size, precisions[1])] {
            text += &(number / 10i128.pow(12 - precision)).to_string();
        }
    }
    let mut crc = !0u32;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (!(crc & 1)).wrapping_add(1));
        }
    }
    !crc
}

#[test]
fn every_book_frame_has_the_checksum_of_the_book_it_leads_to() {
    let server = serve_fast(Venue::Kraken);
    let mut client = Client::connect(&server, "/v2");
    let status = quoted(&client.text());
    assert!(status["data"][0]["connection_id"].as_str().unwrap().parse::<u64>().unwrap() > i64::MAX as u64);
    client.send(r#"{"method":"subscribe","params":{"channel":"instrument"},"req_id":1}"#);
    assert_eq!(client.json()["success"], true);
    let pairs = client.json()["data"]["pairs"].clone();
    let pair = pairs.as_array().unwrap().iter().find(|pair| pair["symbol"] == "BTC/USD").unwrap();
    let precision = |key: &str| u32::try_from(pair[key].as_u64().unwrap()).unwrap();
    let precisions = [precision("price_precision"), precision("qty_precision")];
    for depth in [10, 100] {
        let params = json!({ "channel": "book", "symbol": ["BTC/USD"], "depth": depth });
        client.send(&json!({ "method": "subscribe", "params": params, "req_id": depth }).to_string());
        let answer = client.until(|frame| frame["req_id"] == depth);
        assert_eq!((&answer["success"], &answer["result"]["depth"]), (&json!(true), &json!(depth)));
        if depth == 10 {
            check(&mut client, precisions);
            client.send(
                r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":10},"req_id":2}"#,
            );
            client.until(|frame| frame["req_id"] == 2);
        } else {
            check(&mut client, precisions);
        }
    }
    server.end();
}

/// Follows the book for a thousand frames.
fn check(client: &mut Client, precisions: [u32; 2]) {
    let (mut book, mut depth, mut frames) = (OwnBook::default(), 0, 0);
    while frames < 1000 {
        let frame = quoted(&client.text());
        if frame["channel"] != "book" {
            continue;
        }
        let data = &frame["data"][0];
        for (side, key) in [(&mut book.bids, "bids"), (&mut book.asks, "asks")] {
            for level in data[key].as_array().unwrap() {
                set(side, exact(level["price"].as_str().unwrap()), exact(level["qty"].as_str().unwrap()));
            }
        }
        if frame["type"] == "snapshot" {
            depth = book.bids.len();
        }
        book.cut(depth);
        assert_eq!(checksum(&book, precisions).to_string(), data["checksum"].as_str().unwrap(), "frame {frames}");
        assert_eq!((book.bids.len(), book.asks.len()), (depth, depth));
        frames += 1;
    }
    assert!(depth == 10 || depth == 100);
}

#[test]
fn trades_are_the_logs_and_can_be_asked_for_again() {
    let server = serve(Venue::Kraken);
    let mut client = Client::connect(&server, "/v2");
    client.send(r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":1}"#);
    client.send(r#"{"method":"subscribe","params":{"channel":"ticker","symbol":["BTC/USD"],"event_trigger":"bbo"}}"#);
    client.send(r#"{"method":"ping","req_id":9}"#);
    let (frames, log) = collect_texts(server, client, 2000);
    let frames: Vec<Value> = frames.iter().map(|text| quoted(text)).collect();
    assert!(frames.iter().any(|frame| frame["method"] == "pong" && frame["req_id"] == "9"));
    let mut trades = Vec::new();
    for frame in frames.iter().filter(|frame| frame["channel"] == "trade") {
        let list = frame["data"].as_array().unwrap();
        if frame["type"] == "snapshot" {
            assert_eq!((list.len(), trades.len()), (50, 0));
        }
        trades.extend(list.clone());
    }
    let logged = last_facts(&log, "trade", "BTC/USD", trades.len());
    assert!(trades.len() > 250);
    for (trade, line) in trades.iter().zip(&logged) {
        assert_eq!((&trade["trade_id"], &trade["price"], &trade["qty"]), (&line["id"], &line["price"], &line["size"]));
        assert_eq!(trade["side"], line["side"]);
    }
    let tickers = frames.iter().filter(|frame| frame["channel"] == "ticker").count();
    assert!(tickers > 500, "{tickers}");
}

#[test]
fn past_trades_go_on_where_the_page_before_ended() {
    let server = serve(Venue::Kraken);
    server.pause_market();
    let log = server.log();
    let logged = facts(&log, "trade", "ETH/USD");
    let (mut found, mut since) = (Vec::new(), "0".to_owned());
    loop {
        let page = get(&server, &format!("/0/public/Trades?pair=ETH%2FUSD&since={since}&count=40")).json();
        let trades = page["result"]["ETH/USD"].as_array().unwrap().clone();
        page["result"]["last"].as_str().unwrap().clone_into(&mut since);
        found.extend(trades.clone());
        if trades.len() < 40 {
            break;
        }
    }
    assert_eq!(found.len(), logged.len());
    for (trade, line) in found.iter().zip(&logged) {
        assert_eq!(trade[6].to_string(), line["id"].as_str().unwrap());
        assert_eq!((&trade[0], &trade[1]), (&line["price"], &line["size"]));
        assert_eq!(trade[3], if line["side"] == "buy" { "b" } else { "s" });
    }
    let unknown = get(&server, "/0/public/Trades?pair=NOUSD").json();
    assert_eq!(unknown["error"][0], "EQuery:Unknown asset pair");
}

#[test]
fn each_symbol_is_answered_alone_and_a_quiet_connection_has_a_heart() {
    let server = serve(Venue::Kraken);
    server.pause_market();
    let mut client = Client::connect(&server, "/v2");
    client.until(|frame| frame["channel"] == "status");
    client
        .send(r#"{"method":"subscribe","params":{"channel":"trade","symbol":["NO/USD","BTC/USD"],"snapshot":false}}"#);
    let (no, yes) = (client.json(), client.json());
    assert_eq!((&no["success"], &no["error"]), (&json!(false), &json!("Currency pair not supported NO/USD")));
    assert_eq!((&yes["success"], &yes["result"]["symbol"]), (&json!(true), &json!("BTC/USD")));
    assert_eq!(client.json(), json!({ "channel": "heartbeat" }));
    client.send(r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":11}}"#);
    assert_eq!(client.until(|frame| frame.get("error").is_some())["error"], "Subscription depth not supported");
}
