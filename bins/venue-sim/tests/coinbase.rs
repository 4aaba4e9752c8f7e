//! Coinbase: the Exchange feed and Advanced Trade.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, OwnBook, collect, exact, facts, get, last_facts, serve, set};
use serde_json::{Value, json};
use std::time::Duration;
use venue_sim::Venue;

fn opposite(side: &Value) -> &'static str {
    if side.as_str().unwrap().eq_ignore_ascii_case("buy") { "sell" } else { "buy" }
}

#[test]
fn the_exchange_feed_is_the_logs() {
    let server = serve(Venue::Coinbase);
    let mut client = Client::connect(&server, "/");
    let channels = json!(["matches", "level2_batch", "heartbeat", "ticker"]);
    client.send(&json!({ "type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels }).to_string());
    let last_match = client.json();
    assert_eq!(last_match["type"], "last_match");
    let answer = client.json();
    assert_eq!(answer["type"], "subscriptions");
    assert_eq!(answer["channels"].as_array().unwrap().len(), 4);
    let snapshot = client.json();
    assert_eq!(snapshot["type"], "snapshot");
    let (frames, log) = collect(server, client, 2500);
    let of = |kind: &str| frames.iter().filter(|frame| frame["type"] == kind).collect::<Vec<_>>();

    let matches = of("match");
    let mut id = last_match["trade_id"].as_u64().unwrap();
    let logged = last_facts(&log, "trade", "BTC-USD", matches.len());
    for (found, line) in matches.iter().zip(&logged) {
        id += 1;
        assert_eq!((found["trade_id"].as_u64(), line["id"].as_str().unwrap()), (Some(id), id.to_string().as_str()));
        assert_eq!((&found["price"], &found["size"]), (&line["price"], &line["size"]));
        // The venue names the maker's side.
        assert_eq!(opposite(&found["side"]), line["side"]);
        assert_ne!(found["maker_order_id"], found["taker_order_id"]);
    }
    assert!(matches.len() > 200 && of("ticker").len() == matches.len());
    for heartbeat in of("heartbeat") {
        let last = heartbeat["last_trade_id"].as_u64().unwrap();
        let before = frames.iter().take_while(|frame| *frame != heartbeat).filter(|frame| frame["type"] == "match");
        assert_eq!(before.last().map_or(&last_match, |found| found)["trade_id"], last);
    }
    assert!(!of("heartbeat").is_empty());

    let mut book = OwnBook::default();
    book.apply(&snapshot["bids"], &snapshot["asks"]);
    for update in of("l2update") {
        for change in update["changes"].as_array().unwrap() {
            let text = |at: usize| change[at].as_str().unwrap();
            let side = if text(0) == "buy" { &mut book.bids } else { &mut book.asks };
            set(side, exact(text(1)), exact(text(2)));
        }
        assert!(book.is_apart());
    }
    let mut expected = OwnBook::default();
    expected.apply(&snapshot["bids"], &snapshot["asks"]);
    for line in facts(&log, "depth", "BTC-USD") {
        expected.apply(&line["bids"], &line["asks"]);
    }
    assert_eq!(book, expected);
    assert!(of("l2update").len() > 20);
}

#[test]
fn past_trades_go_back_by_cursor() {
    let server = serve(Venue::Coinbase);
    server.pause_market();
    let log = server.log();
    let logged = facts(&log, "trade", "ETH-USD");
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(&server, &format!("/products/ETH-USD/trades?limit=70{cursor}"));
        let trades = page.json().as_array().unwrap().clone();
        found.extend(trades.clone());
        if trades.len() < 70 {
            break;
        }
        cursor = format!("&after={}", page.headers["cb-after"]);
    }
    found.reverse();
    assert_eq!(found.len(), logged.len());
    for (trade, line) in found.iter().zip(&logged) {
        assert_eq!(trade["trade_id"].to_string(), line["id"].as_str().unwrap());
        assert_eq!((&trade["price"], opposite(&trade["side"])), (&line["price"], line["side"].as_str().unwrap()));
    }
    let book = get(&server, "/products/ETH-USD/book?level=2").json();
    server.end();
    let mut own = OwnBook::default();
    own.apply(&book["bids"], &book["asks"]);
    assert_eq!(own, OwnBook::of_log(&server.log(), "ETH-USD"));
    assert_eq!(get_after_end(), 404);
}

/// A product that is not traded, on a server of its own.
fn get_after_end() -> u16 {
    get(&serve(Venue::Coinbase), "/products/NO-USD/trades").status
}

#[test]
fn advanced_numbers_every_frame_of_a_connection() {
    let server = serve(Venue::CoinbaseAdvanced);
    let mut client = Client::connect(&server, "/");
    for channel in ["market_trades", "level2", "ticker", "heartbeats"] {
        let request = json!({ "type": "subscribe", "product_ids": ["BTC-USD", "ETH-USD"], "channel": channel });
        client.send(&request.to_string());
    }
    let (frames, log) = collect(server, client, 2500);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_num"], number, "{frame}");
    }
    let of = |channel: &str| frames.iter().filter(|frame| frame["channel"] == channel).collect::<Vec<_>>();
    assert_eq!(of("subscriptions").len(), 4);
    assert!(!of("heartbeats").is_empty());

    let (mut ids, mut book, mut apart) = (Vec::new(), OwnBook::default(), 0);
    for frame in of("market_trades") {
        let event = &frame["events"][0];
        // Newest first.
        let mut trades: Vec<&Value> = event["trades"].as_array().unwrap().iter().collect();
        trades.reverse();
        for trade in trades.iter().filter(|trade| trade["product_id"] == "BTC-USD" && event["type"] == "update") {
            ids.push((*trade).clone());
        }
    }
    let logged = last_facts(&log, "trade", "BTC-USD", ids.len());
    assert!(ids.len() > 100);
    for (trade, line) in ids.iter().zip(&logged) {
        assert_eq!((&trade["trade_id"], &trade["price"]), (&line["id"], &line["price"]));
        assert_eq!((&trade["size"], opposite(&trade["side"])), (&line["size"], line["side"].as_str().unwrap()));
    }
    for frame in of("l2_data") {
        let event = &frame["events"][0];
        if event["product_id"] != "BTC-USD" {
            continue;
        }
        for update in event["updates"].as_array().unwrap() {
            let side = if update["side"] == "bid" { &mut book.bids } else { &mut book.asks };
            let text = |key: &str| exact(update[key].as_str().unwrap());
            set(side, text("price_level"), text("new_quantity"));
        }
        assert!(book.is_apart());
        apart += 1;
    }
    assert!(apart > 10 && book.bids.len() >= 200);
}

#[test]
fn what_cannot_be_subscribed_is_refused() {
    let server = serve(Venue::Coinbase);
    let mut client = Client::connect(&server, "/");
    for (channel, product, words) in [
        ("full", "BTC-USD", "requires authentication"),
        ("nothing", "BTC-USD", "not a valid channel"),
        ("matches", "NO-USD", "not a valid product"),
    ] {
        client.send(&json!({ "type": "subscribe", "product_ids": [product], "channels": [channel] }).to_string());
        let answer = client.json();
        assert_eq!(answer["type"], "error");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{answer}");
    }
    let server = serve(Venue::CoinbaseAdvanced);
    let mut client = Client::connect(&server, "/");
    client.send(r#"{"type":"subscribe","product_ids":["NO-USD"],"channel":"level2"}"#);
    assert_eq!(client.json()["message"], "product NO-USD is not supported");
    assert!(client.is_silent(Duration::from_millis(100)));
}
