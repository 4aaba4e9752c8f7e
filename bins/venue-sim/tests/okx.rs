//! OKX v5: the chain of `prevSeqId` and `seqId`, and merged trades.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::{Client, OwnBook, collect, exact, facts, get, last_facts, serve, serve_fast};
use serde_json::{Value, json};
use venue_sim::Venue;

fn channel<'a>(frames: &'a [Value], name: &str) -> Vec<&'a Value> {
    frames.iter().filter(|frame| frame["arg"]["channel"] == name && frame.get("data").is_some()).collect()
}

fn subscribe(client: &mut Client, channels: &[&str]) {
    let args: Vec<Value> = channels.iter().map(|name| json!({ "channel": name, "instId": "BTC-USDT" })).collect();
    client.send(&json!({ "op": "subscribe", "args": args }).to_string());
}

#[test]
fn the_book_chains_and_trades_are_the_logs() {
    let server = serve_fast(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/public");
    client.send("ping");
    assert_eq!(client.text(), "pong");
    subscribe(&mut client, &["books", "trades", "bbo-tbt", "books5", "tickers"]);
    let (frames, log) = collect(server, client, 2500);
    assert_eq!(frames.iter().filter(|frame| frame["event"] == "subscribe").count(), 5);

    let books = channel(&frames, "books");
    let (mut book, mut last) = (OwnBook::default(), json!(-1));
    for (at, frame) in books.iter().enumerate() {
        let data = &frame["data"][0];
        assert_eq!(frame["action"], if at == 0 { "snapshot" } else { "update" });
        assert_eq!(data["prevSeqId"], last);
        assert_eq!(data["checksum"], 0);
        last = data["seqId"].clone();
        book.apply(&data["bids"], &data["asks"]);
        assert!(book.is_apart());
    }
    assert!(books.len() > 15);
    let seqs: Vec<u64> = books.iter().map(|frame| frame["data"][0]["seqId"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] > pair[0] + 1), "not dense");
    let logged: Vec<&Value> =
        facts(&log, "depth", "BTC-USDT").into_iter().filter(|line| line["feed"] == "books").collect();
    assert_eq!(logged.len(), books.len() - 1);
    assert_eq!(logged.last().unwrap()["last"], last);

    // One row for each order and price; the log has every execution.
    let rows: Vec<&Value> =
        channel(&frames, "trades").iter().flat_map(|frame| frame["data"].as_array().unwrap()).collect();
    let all = facts(&log, "trade", "BTC-USDT");
    assert!(rows.len() > 200);
    for row in &rows[1..] {
        let at = all.iter().position(|line| line["id"] == row["tradeId"]).unwrap();
        let count: usize = row["count"].as_str().unwrap().parse().unwrap();
        let size: i128 = all[at + 1 - count..=at].iter().map(|line| exact(line["size"].as_str().unwrap())).sum();
        assert_eq!((&row["px"], &row["side"]), (&all[at]["price"], &all[at]["side"]));
        assert_eq!(exact(row["sz"].as_str().unwrap()), size);
    }
    let counted: usize = rows[1..].iter().map(|row| row["count"].as_str().unwrap().parse::<usize>().unwrap()).sum();
    let first = all.iter().position(|line| line["id"] == rows[0]["tradeId"]).unwrap();
    assert_eq!(counted, all.len() - 1 - first, "every execution of the log came");
    for frame in channel(&frames, "bbo-tbt") {
        assert_eq!(frame["data"][0]["bids"].as_array().unwrap().len(), 1);
    }
    assert!(channel(&frames, "bbo-tbt").len() > 100 && !channel(&frames, "tickers").is_empty());
    assert!(channel(&frames, "books5").iter().all(|frame| frame["data"][0]["asks"].as_array().unwrap().len() == 5));
}

#[test]
fn single_trades_are_on_the_business_endpoint_and_in_the_history() {
    let server = serve(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/business");
    subscribe(&mut client, &["trades-all"]);
    client.json();
    let rows: Vec<Value> = (0..300).map(|_| client.json()["data"][0].clone()).collect();
    server.pause_market();
    let log = server.log();
    let all = facts(&log, "trade", "BTC-USDT");
    let first = all.iter().position(|line| line["id"] == rows[0]["tradeId"]).unwrap();
    for (row, line) in rows.iter().zip(&all[first..]) {
        assert_eq!((&row["tradeId"], &row["px"], &row["sz"]), (&line["id"], &line["price"], &line["size"]));
    }
    let after = rows[250]["tradeId"].as_str().unwrap();
    let url = format!("/api/v5/market/history-trades?instId=BTC-USDT&type=1&after={after}&limit=100");
    let past = get(&server, &url).json();
    let past: Vec<&Value> = past["data"].as_array().unwrap().iter().rev().collect();
    assert_eq!(past.len(), 100);
    for (row, old) in rows[150..250].iter().zip(past) {
        assert_eq!((&row["tradeId"], &row["px"], &row["side"]), (&old["tradeId"], &old["px"], &old["side"]));
    }
    assert_eq!(last_facts(&log, "trade", "BTC-USDT", 1).len(), 1);
    assert_eq!(get(&server, "/api/v5/market/history-trades?instId=NO").json()["code"], "51001");
}

#[test]
fn what_cannot_be_subscribed_is_refused() {
    let server = serve(Venue::Okx);
    let mut client = Client::connect(&server, "/ws/v5/public");
    for (request, code) in [
        (r#"{"op":"subscribe","args":[{"channel":"books","instId":"NO-USDT"}]}"#, "60018"),
        (r#"{"op":"subscribe","args":[{"channel":"trades-all","instId":"BTC-USDT"}]}"#, "60018"),
        (r#"{"op":"subscribe","args":[{"channel":"books-l2-tbt","instId":"BTC-USDT"}]}"#, "60011"),
        (r#"{"op":"subscribe"}"#, "60012"),
        ("nonsense", "60012"),
    ] {
        client.send(request);
        let answer = client.json();
        assert_eq!((&answer["event"], &answer["code"]), (&json!("error"), &json!(code)), "{request}");
    }
    assert_eq!(get(&server, "/api/v5/nothing").status, 404);
}
