//! Bybit v5: spot and linear, books by topic, and trade ids that are not numbers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, OwnBook, collect, facts, get, last_facts, serve, serve_fast};
use serde_json::{Value, json};
use std::collections::HashSet;
use venue_sim::Venue;

fn topic<'a>(frames: &'a [Value], name: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["topic"] == name).collect()
}

#[test]
fn both_markets_are_the_logs() {
    for (path, symbol) in [("/v5/public/spot", "BTCUSDT"), ("/v5/public/linear", "linear/BTCUSDT")] {
        let server = serve_fast(Venue::Bybit);
        let mut client = Client::connect(&server, path);
        let topics = ["orderbook.50.BTCUSDT", "orderbook.1.BTCUSDT", "publicTrade.BTCUSDT", "tickers.BTCUSDT"];
        client.send(&json!({ "req_id": "7", "op": "subscribe", "args": topics }).to_string());
        client.send(r#"{"op":"ping"}"#);
        let answer = client.json();
        assert_eq!(
            (&answer["success"], &answer["op"], &answer["req_id"]),
            (&json!(true), &json!("subscribe"), &json!("7"))
        );
        let (frames, log) = collect(server, client, 2000);
        assert!(frames.iter().any(|frame| frame["ret_msg"] == "pong" && frame["op"] == "ping"));

        let (mut book, mut last) = (OwnBook::default(), None);
        let books = topic(&frames, "orderbook.50.BTCUSDT");
        for frame in &books {
            let data = &frame["data"];
            let u = data["u"].as_u64().unwrap();
            assert_eq!(frame["type"], if last.is_none() { "snapshot" } else { "delta" });
            assert!(last.is_none_or(|last: u64| last + 1 == u));
            last = Some(u);
            book.apply(&data["b"], &data["a"]);
            assert!(book.is_apart());
            assert_eq!((book.bids.len(), book.asks.len()), (50, 50));
        }
        assert!(books.len() > 50);
        let best = topic(&frames, "orderbook.1.BTCUSDT");
        assert!(
            best.iter().all(|frame| frame["type"] == "snapshot" && frame["data"]["b"].as_array().unwrap().len() == 1)
        );

        let lists = topic(&frames, "publicTrade.BTCUSDT");
        let trades: Vec<&Value> = lists.iter().flat_map(|frame| frame["data"].as_array().unwrap()).collect();
        let logged = last_facts(&log, "trade", symbol, trades.len());
        assert!(trades.len() > 100);
        for (trade, line) in trades.iter().zip(&logged) {
            assert_eq!((&trade["i"], &trade["p"], &trade["v"]), (&line["id"], &line["price"], &line["size"]));
            assert_eq!(trade["S"].as_str().unwrap().to_lowercase(), line["side"].as_str().unwrap());
        }
        let ids: HashSet<&str> = trades.iter().map(|trade| trade["i"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), trades.len());
        assert_eq!(ids.iter().all(|id| id.len() == 36), path.ends_with("linear"));
        let tickers = topic(&frames, "tickers.BTCUSDT");
        assert_eq!(tickers[0]["data"].get("bid1Price").is_some(), path.ends_with("linear"));
        assert_eq!(tickers.iter().any(|frame| frame["type"] == "delta"), path.ends_with("linear"));
    }
}

#[test]
fn recent_trades_are_the_logs() {
    let server = serve(Venue::Bybit);
    server.pause_market();
    let log = server.log();
    for (category, symbol, count) in [("spot", "ETHUSDT", 60), ("linear", "linear/ETHUSDT", 200)] {
        let url = format!("/v5/market/recent-trade?category={category}&symbol=ETHUSDT&limit={count}");
        let found = get(&server, &url).json();
        let found: Vec<&Value> = found["result"]["list"].as_array().unwrap().iter().rev().collect();
        let logged = facts(&log, "trade", symbol);
        assert_eq!(found.len(), count.min(logged.len()));
        for (trade, line) in found.iter().zip(&logged[logged.len() - found.len()..]) {
            assert_eq!((&trade["execId"], &trade["price"]), (&line["id"], &line["price"]));
        }
    }
    assert_eq!(get(&server, "/v5/market/recent-trade?category=spot&symbol=NO").json()["retCode"], 10001);
}

#[test]
fn what_cannot_be_subscribed_is_refused() {
    let server = serve(Venue::Bybit);
    let mut client = Client::connect(&server, "/v5/public/spot");
    let many: Vec<String> = (0..11).map(|_| "publicTrade.BTCUSDT".to_owned()).collect();
    for (args, words) in [
        (json!(["publicTrade.NO"]), "Invalid symbol :[publicTrade.NO]"),
        (json!(["nothing.BTCUSDT"]), "error:handler not found,topic:nothing.BTCUSDT"),
        (json!(many), "args size >10"),
        (json!([]), "args is empty"),
    ] {
        client.send(&json!({ "op": "subscribe", "args": args }).to_string());
        let answer = client.json();
        assert_eq!((&answer["success"], &answer["ret_msg"]), (&json!(false), &json!(words)));
    }
}
