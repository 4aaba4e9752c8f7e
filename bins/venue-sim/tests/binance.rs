//! Binance spot and futures: what a client sees is what the log says, joined by the venue's own rules.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, OwnBook, collect, facts, get, serve};
use serde_json::{Value, json};
use std::time::Duration;
use venue_sim::{Config, Server, Venue};

fn of<'a>(frames: &'a [Value], event: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["e"] == event).collect()
}

/// Joins diffs to a snapshot; `first`: the rule for the first diff, `next`: for each pair.
fn join(
    snapshot: &Value,
    diffs: &[&Value],
    first: impl Fn(u64, u64, u64) -> bool,
    next: impl Fn(&Value, &Value) -> bool,
) -> OwnBook {
    let last_id = snapshot["lastUpdateId"].as_u64().unwrap();
    let mut book = OwnBook::default();
    book.apply(&snapshot["bids"], &snapshot["asks"]);
    let kept: Vec<&&Value> = diffs.iter().filter(|diff| diff["u"].as_u64().unwrap() > last_id).collect();
    let (from, to) = (kept[0]["U"].as_u64().unwrap(), kept[0]["u"].as_u64().unwrap());
    assert!(first(last_id, from, to), "{last_id}: {from}..={to}");
    for pair in diffs.windows(2) {
        assert!(next(pair[0], pair[1]), "{} {}", pair[0], pair[1]);
    }
    for diff in kept {
        book.apply(&diff["b"], &diff["a"]);
        assert!(book.is_apart());
    }
    book
}

#[test]
fn spot_streams_and_snapshot_join_to_the_book_of_the_log() {
    let server = serve(Venue::Binance);
    let mut client = Client::connect(&server, "/ws");
    let names = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"];
    client.send(&json!({ "method": "SUBSCRIBE", "params": names, "id": 1 }).to_string());
    assert_eq!(client.json(), json!({ "result": null, "id": 1 }));
    let mut before = vec![client.json()];
    while before.last().unwrap()["e"] != "depthUpdate" {
        before.push(client.json());
    }
    let snapshot = get(&server, "/api/v3/depth?symbol=BTCUSDT&limit=5000").json();
    let (frames, log) = collect(server, client, 2500);
    before.extend(frames);
    let diffs = of(&before, "depthUpdate");
    let book = join(
        &snapshot,
        &diffs,
        |last, from, to| from <= last + 1 && last < to,
        |one, two| two["U"].as_u64().unwrap() == one["u"].as_u64().unwrap() + 1,
    );
    // The market stood still before the end; what changed since the last diff is not told, so compare with what was.
    let last_u = diffs.last().unwrap()["u"].as_u64().unwrap();
    let mut expected = OwnBook::default();
    expected.apply(&snapshot["bids"], &snapshot["asks"]);
    for line in facts(&log, "depth", "BTCUSDT") {
        if line["last"].as_u64().unwrap() > snapshot["lastUpdateId"].as_u64().unwrap() {
            assert!(line["last"].as_u64().unwrap() <= last_u, "a diff of the log was not received");
            expected.apply(&line["bids"], &line["asks"]);
        }
    }
    assert_eq!(book, expected);
    trades_are_the_logs(&before, &log);
    let quotes: Vec<&Value> = before.iter().filter(|frame| frame.get("B").is_some()).collect();
    let logged = facts(&log, "quote", "BTCUSDT");
    let logged = &logged[logged.len() - quotes.len()..];
    for (quote, line) in quotes.iter().zip(logged) {
        let sent = [&quote["u"], &quote["b"], &quote["B"], &quote["a"], &quote["A"]];
        assert_eq!(sent, [&line["u"], &line["bid"], &line["bid_size"], &line["ask"], &line["ask_size"]]);
    }
    assert!(quotes.len() > 500);
}

/// Every trade is the log's, dense, and none of the log's last ones is missing.
fn trades_are_the_logs(frames: &[Value], log: &[Value]) {
    let trades = of(frames, "trade");
    let logged = facts(log, "trade", "BTCUSDT");
    let logged = &logged[logged.len() - trades.len()..];
    assert!(trades.len() > 300);
    for (trade, line) in trades.iter().zip(logged) {
        let side = if trade["m"] == json!(true) { "sell" } else { "buy" };
        assert_eq!(trade["t"].to_string(), line["id"].as_str().unwrap());
        assert_eq!((&trade["p"], &trade["q"], side), (&line["price"], &line["size"], line["side"].as_str().unwrap()));
        assert_eq!(trade["T"].as_i64().unwrap(), line["venue_ns"].as_i64().unwrap() / 1_000_000);
    }
    assert!(trades.windows(2).all(|pair| pair[1]["t"].as_u64().unwrap() == pair[0]["t"].as_u64().unwrap() + 1));
}

#[test]
fn futures_chain_by_pu_and_route_by_class() {
    for (venue, symbol, rest) in
        [(Venue::BinanceUsdm, "BTCUSDT", "/fapi/v1"), (Venue::BinanceCoinm, "BTCUSD_PERP", "/dapi/v1")]
    {
        let server = serve(venue);
        let path = if venue == Venue::BinanceUsdm { "/public/stream" } else { "/stream" };
        let small = symbol.to_lowercase();
        let mut client = Client::connect(&server, &format!("{path}?streams={small}@depth@0ms/{small}@bookTicker"));
        let mut frames: Vec<Value> = (0..20).map(|_| client.json()).collect();
        let snapshot = get(&server, &format!("{rest}/depth?symbol={symbol}&limit=1000")).json();
        let (more, log) = collect(server, client, 2000);
        frames.extend(more);
        let frames: Vec<Value> = frames
            .into_iter()
            .map(|mut frame| {
                assert!(frame["stream"].as_str().unwrap().starts_with(&small));
                frame["data"].take()
            })
            .collect();
        let diffs = of(&frames, "depthUpdate");
        let book = join(
            &snapshot,
            &diffs,
            |last, _, to| last < to,
            |one, two| two["pu"] == one["u"] && two["U"].as_u64() > one["u"].as_u64(),
        );
        // At each change a diff: the last one leads to the book of the end.
        assert_eq!(book, OwnBook::of_log(&log, symbol));
        assert!(diffs.len() > 500 && diffs[0]["T"].is_u64());
        assert_eq!(diffs[0].get("ps").is_some(), venue == Venue::BinanceCoinm);
        let quote = of(&frames, "bookTicker")[0];
        assert!(quote["T"].is_u64() && quote["E"].is_u64());
    }
}

#[test]
fn the_wrong_class_of_usdm_is_acknowledged_and_mute() {
    let server = serve(Venue::BinanceUsdm);
    let mut client = Client::connect(&server, "/market/ws");
    client.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@0ms"],"id":7}"#);
    assert_eq!(client.json(), json!({ "result": null, "id": 7 }));
    assert!(client.is_silent(Duration::from_millis(400)));
    client.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":8}"#);
    assert_eq!(client.json(), json!({ "result": null, "id": 8 }));
    let mut last: Option<Value> = None;
    for _ in 0..300 {
        let trade = client.json();
        assert_eq!(trade["e"], "aggTrade");
        if let Some(last) = last {
            assert_eq!(trade["a"].as_u64().unwrap(), last["a"].as_u64().unwrap() + 1);
            assert_eq!(trade["f"].as_u64().unwrap(), last["l"].as_u64().unwrap() + 1);
        }
        last = Some(trade);
    }
}

#[test]
fn past_trades_are_the_logs() {
    let server = serve(Venue::Binance);
    server.pause_market();
    let log = server.log();
    let logged = facts(&log, "trade", "ETHUSDT");
    let from = logged[7]["id"].as_str().unwrap();
    let trades = get(&server, &format!("/api/v3/historicalTrades?symbol=ETHUSDT&fromId={from}&limit=50")).json();
    let trades = trades.as_array().unwrap();
    assert_eq!(trades.len(), 50);
    for (trade, line) in trades.iter().zip(&logged[7..]) {
        assert_eq!(trade["id"].to_string(), line["id"].as_str().unwrap());
        assert_eq!((&trade["price"], &trade["qty"]), (&line["price"], &line["size"]));
        assert_eq!(trade["isBuyerMaker"], json!(line["side"] == "sell"));
    }
    let from = logged[7]["aggregate"].as_u64().unwrap();
    let aggregates = get(&server, &format!("/api/v3/aggTrades?symbol=ETHUSDT&fromId={from}&limit=30")).json();
    let aggregates = aggregates.as_array().unwrap();
    assert_eq!(aggregates.len(), 30);
    for (aggregate, number) in aggregates.iter().zip(from..) {
        let parts: Vec<&&Value> = logged.iter().filter(|line| line["aggregate"] == number).collect();
        let size: i128 = parts.iter().map(|line| common::exact(line["size"].as_str().unwrap())).sum();
        assert_eq!((aggregate["a"].as_u64(), &aggregate["p"]), (Some(number), &parts[0]["price"]));
        assert_eq!(common::exact(aggregate["q"].as_str().unwrap()), size);
        assert_eq!(aggregate["f"].to_string(), parts[0]["id"].as_str().unwrap());
        assert_eq!(aggregate["l"].to_string(), parts.last().unwrap()["id"].as_str().unwrap());
    }
}

#[test]
fn requests_that_cannot_be_are_refused() {
    let server = serve(Venue::Binance);
    let mut client = Client::connect(&server, "/ws");
    let cases = [
        (r#"{"method":"SUBSCRIBE","params":["dogeusdt@trade"],"id":1}"#, 2, "unknown stream dogeusdt@trade"),
        (r#"{"method":"SUBSCRIBE","params":["btcusdt@nothing"],"id":"x"}"#, 2, "unknown stream"),
        (r#"{"method":"SUBSCRIBE","params":[],"id":1}"#, 2, "params must be"),
        (r#"{"method":"DANCE","id":1}"#, 2, "unknown variant DANCE"),
        ("nonsense", 3, "Invalid JSON"),
    ];
    for (request, code, words) in cases {
        client.send(request);
        let answer = client.json();
        assert_eq!(answer["error"]["code"], code, "{request}");
        assert!(answer["error"]["msg"].as_str().unwrap().contains(words), "{answer}");
    }
    client.send(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth20@100ms"],"id":2}"#);
    assert_eq!(client.json()["id"], 2);
    let partial = client.json();
    assert_eq!(partial["bids"].as_array().unwrap().len(), 20);
    client.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#);
    assert_eq!(client.until(|frame| frame["id"] == 3)["result"], json!(["btcusdt@depth20@100ms"]));
    client.send(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth20@100ms"],"id":4}"#);
    client.until(|frame| frame["id"] == 4);
    assert!(client.is_silent(Duration::from_millis(300)));
    assert_eq!(get(&server, "/api/v3/depth?symbol=NONE").json()["code"], -1121);
    assert_eq!(get(&server, "/api/v3/nothing").status, 404);
}

#[test]
fn the_same_seed_is_the_same_market() {
    let trades = |seed| {
        let server = Server::start(Config { seed, ..Config::for_tests(Venue::Binance) }).unwrap();
        let mut client = Client::connect(&server, "/ws/btcusdt@trade");
        let frames: Vec<Value> = (0..200).map(|_| client.json()).collect();
        let first = frames[0]["t"].as_u64().unwrap();
        drop(client);
        let log = common::stopped(&server);
        let logged: Vec<[String; 4]> = facts(&log, "trade", "BTCUSDT")
            .into_iter()
            .map(|line| ["id", "price", "size", "side"].map(|key| line[key].as_str().unwrap().to_owned()))
            .collect();
        assert!(logged.iter().any(|[id, ..]| *id == first.to_string()));
        logged
    };
    let (one, two, other) = (trades(3), trades(3), trades(4));
    let count = one.len().min(two.len());
    assert!(count > 400);
    assert_eq!(one[..count], two[..count]);
    assert_ne!(one[..50], other[..50]);
}
