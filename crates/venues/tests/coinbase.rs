//! What Coinbase's frames mean, beyond those that were recorded: every channel, other key orders and types of values,
//! missing and broken fields. A frame is taken whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use values::values;

fn check(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("coinbase", frame), *expected, "{name}");
    }
}

#[test]
fn frames_of_the_exchange_feed() {
    check(&[
        (
            "a match in the full channel",
            r#"{"sequence":50,"trade_id":10,"type":"match","maker_order_id":"ac","taker_order_id":"13","time":"2014-11-07T08:19:27.028459Z","product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"buy","profile_id":null,"taker_fee_rate":"0.005"}"#,
            "trade BTC-USD 1415348367028459000 - 400.23x5.23512 Some(Sell) id 10 seq 50",
        ),
        (
            "texts for numbers, numbers for texts, no time, no side",
            r#"{ "type" : "match", "trade_id" : "10", "product_id" : "A-B", "size" : 5.5e-7, "price" : 4, "sequence":"7" }"#,
            "trade A-B - - 4x0.00000055 None id 10 seq 7",
        ),
        (
            "a ticker with one side, sizes, and escaped names",
            r#"{"type":"ticker","sequence":1,"product_i\u0064":"A\u002dB","best_bid":"","best_bid_size":null,"best_ask":"0.1","best_ask_size":2,"time":"2024-01-01T00:00:00+01:00"}"#,
            "quote A-B 1704063600000000000 - -x- 0.1x2 seq 1",
        ),
        (
            "the first ticker of a new product",
            r#"{"type":"ticker","sequence":1,"product_id":"A-B","price":"0","time":"2024-01-01T00:00:00Z"}"#,
            r#"Unknown(Label { field: "tickers", name: Some("without bid/ask") })"#,
        ),
        (
            "a snapshot with a time, lists turned round",
            r#"{"time":"2024-01-01T00:00:00.5Z","bids":[["2","1","x"],["1","3"]],"asks":[],"product_id":"A-B","type":"snapshot"}"#,
            "Snapshot A-B 1704067200500000000 - bids 2@1,1@3 asks  seq - - - sum None",
        ),
        (
            "a time that was never set",
            r#"{"type":"l2update","product_id":"A-B","changes":[["sell","2",0],["buy",1e1,"3"],["sell","1","1"]],"time":"0001-01-01T00:00:00Z"}"#,
            "Delta A-B - - bids 10@3 asks 2@0,1@1 seq - - - sum None",
        ),
        (
            "no change",
            r#"{"type":"l2update","product_id":"A-B","changes":[],"time":"2024-01-01T00:00:00Z"}"#,
            "Delta A-B 1704067200000000000 - bids  asks  seq - - - sum None",
        ),
    ]);
}

#[test]
fn frames_of_advanced_trade() {
    check(&[
        (
            "an id that would not be printed as sent",
            r#"{"events":[{"trades":[{"side":"SELL","time":"2023-02-09T20:19:35.39625135Z","size":"0.06","price":"1260.01","product_id":"ETH-USD","trade_id":"000000000"}],"type":"snapshot"},{"type":"update","trades":[{"product_id":"A-B","trade_id":7,"price":1,"size":2,"side":"UNKNOWN_ORDER_SIDE"},{"product_id":"C-D","trade_id":"8","price":"1","size":"2","side":"BUY","time":""}]}],"sequence_num":3,"timestamp":"2023-02-09T20:19:36Z","client_id":"","channel":"market_trades"}"#,
            r#"Rejected(Reject { reason: BadField, field: "trade_id" })"#,
        ),
        (
            "several events, trades of several products, keys turned round",
            r#"{"events":[{"trades":[{"side":"SELL","time":"2023-02-09T20:19:35.39625135Z","size":"0.06","price":"1260.01","product_id":"ETH-USD","trade_id":"9"}],"type":"snapshot"},{"type":"update","trades":[{"product_id":"A-B","trade_id":7,"price":1,"size":2,"side":"UNKNOWN_ORDER_SIDE"},{"product_id":"C-D","trade_id":"8","price":"1","size":"2","side":"BUY","time":""}]}],"sequence_num":3,"timestamp":"2023-02-09T20:19:36Z","client_id":"","channel":"market_trades"}"#,
            "trade ETH-USD 1675973975396251350 1675973976000000000 1260.01x0.06 Some(Buy) id 9 seq 3 replay\n\
             trade A-B 1675973976000000000 1675973976000000000 1x2 None id 7 seq 3\n\
             trade C-D 1675973976000000000 1675973976000000000 1x2 Some(Sell) id 8 seq 3",
        ),
        (
            "tickers of several products, one of them without prices",
            r#"{"channel":"ticker","timestamp":"2023-02-09T20:30:37Z","sequence_num":0,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"2"},{"type":"ticker","product_id":"A-B","best_bid":"1","best_bid_quantity":"5","best_ask":"2","best_ask_quantity":""}]}]}"#,
            "quote A-B 1675974637000000000 - 1x5 2x- seq 0",
        ),
        (
            "tickers without prices",
            r#"{"channel":"ticker","timestamp":"2023-02-09T20:30:37Z","sequence_num":0,"events":[{"type":"update","tickers":[{"product_id":"BTC-USD","price":"2"}]}]}"#,
            r#"Unknown(Label { field: "tickers", name: Some("without bid/ask") })"#,
        ),
        (
            "batches of tickers have no prices",
            r#"{"channel":"ticker_batch","timestamp":"2023-02-09T20:30:37Z","sequence_num":0,"events":[{"type":"update","tickers":[{"product_id":"BTC-USD","price":"2"}]}]}"#,
            r#"Unknown(Label { field: "channel", name: Some("ticker_batch") })"#,
        ),
        (
            "two books in a frame",
            r#"{"channel":"l2_data","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":4,"events":[{"type":"snapshot","product_id":"A-B","updates":[{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"21921.73","new_quantity":"0.06"},{"side":"offer","price_level":"3","new_quantity":"4"}]},{"updates":[{"new_quantity":0,"price_level":5,"side":"offer"}],"product_id":"C-D","type":"update"}]}"#,
            "Snapshot A-B 1675974770714964855 - bids 21921.73@0.06 asks 3@4 seq - 4 - sum None\n\
             Delta C-D 1675974770714964855 - bids  asks 5@0 seq - 4 - sum None",
        ),
        (
            "no envelope time, no sequence",
            r#"{"channel":"l2_data","events":[{"type":"update","product_id":"A-B","updates":[]}]}"#,
            "Delta A-B - - bids  asks  seq - - - sum None",
        ),
        ("no event", r#"{"channel":"market_trades","sequence_num":1,"events":[]}"#, "Messages(0)"),
    ]);
}

#[test]
fn frames_without_an_event_are_named() {
    let control = |name: &str, field: &str, called: &str| {
        format!("Control {{ name: {name:?}, label: Label {{ field: {field:?}, name: Some({called:?}) }} }}")
    };
    let unknown =
        |field: &str, called: Option<&str>| format!("Unknown(Label {{ field: {field:?}, name: {called:?} }})");
    let cases = [
        (r#"{"type":"subscriptions","channels":[]}"#, control("ack", "type", "subscriptions")),
        (r#"{"type":"error","message":"Failed to subscribe","reason":"x"}"#, control("error", "type", "error")),
        (r#"{"type":"heartbeat","sequence":90,"last_trade_id":20}"#, control("alive", "type", "heartbeat")),
        (r#"{"type":"status","products":[],"currencies":[]}"#, unknown("type", Some("status"))),
        (r#"{"type":"auction","product_id":"LTC-USD","best_bid_price":"1"}"#, unknown("type", Some("auction"))),
        (r#"{"type":"received","size":"1","price":"x","side":"buy"}"#, unknown("type", Some("received"))),
        (r#"{"type":"rfq_match","trade_id":"a"}"#, unknown("type", Some("rfq_match"))),
        (r#"["open","BTC-USD","1","2"]"#, unknown("level3", Some("open"))),
        (r#"{"channel":"subscriptions","events":[{"subscriptions":{}}]}"#, control("ack", "channel", "subscriptions")),
        (r#"{"channel":"heartbeats","events":[{"heartbeat_counter":1}]}"#, control("alive", "channel", "heartbeats")),
        (r#"{"channel":"candles","events":[{"updates":[7],"trades":0}]}"#, unknown("channel", Some("candles"))),
        (r#"{"channel":"user","events":7}"#, unknown("channel", Some("user"))),
        (r#"{"channel":5}"#, unknown("channel", None)),
        ("{}", unknown("type", None)),
        ("[]", unknown("type", None)),
        ("7", unknown("type", None)),
    ];
    for (frame, expected) in cases {
        assert_eq!(values("coinbase", frame), expected, "{frame}");
    }
}

#[test]
fn a_fault_leaves_nothing_of_the_frame() {
    let good =
        r#"{"product_id":"A-B","trade_id":"7","price":"1","size":"2","side":"BUY","time":"2023-02-09T20:19:36Z"}"#;
    let trades = |last: &str| {
        format!(r#"{{"channel":"market_trades","events":[{{"type":"update","trades":[{good},{last}]}}]}}"#)
    };
    let cases = [
        (trades(&good.replace(r#""price":"1","#, "")), "MissingField", "price"),
        (trades(&good.replace(r#""size":"2""#, r#""size":"2x""#)), "BadNumber", "size"),
        (trades(&good.replace("BUY", "HOLD")), "BadField", "side"),
        (trades(&good.replace("A-B", "")), "NoSymbol", "product_id"),
        (trades(&good.replace("20:19", "25:19")), "BadTime", "time"),
        (trades("7"), "BadField", "trades"),
        (r#"{"channel":"market_trades","sequence_num":1}"#.to_owned(), "MissingField", "events"),
        (r#"{"channel":"market_trades","events":[{"trades":[]}]}"#.to_owned(), "MissingField", "type"),
        (r#"{"channel":"market_trades","events":[{"type":"update"}]}"#.to_owned(), "MissingField", "trades"),
        (r#"{"channel":"l2_data","events":[{"type":"new","updates":[]}]}"#.to_owned(), "BadField", "type"),
        (r#"{"channel":"l2_data","events":[{"type":"update","updates":[]}]}"#.to_owned(), "NoSymbol", "product_id"),
        (r#"{"channel":"l2_data","events":[7]}"#.to_owned(), "BadField", "events"),
        (
            r#"{"channel":"l2_data","events":[{"type":"update","product_id":"X","updates":[{"side":"bid","price_level":"1"}]}]}"#
                .to_owned(),
            "MissingField",
            "new_quantity",
        ),
        (
            r#"{"type":"l2update","product_id":"X","changes":[["buy","1","1"],["up","1","1"]]}"#.to_owned(),
            "BadField",
            "side",
        ),
        (r#"{"type":"l2update","product_id":"X","changes":[["buy","1"]]}"#.to_owned(), "MissingField", "changes"),
        (r#"{"type":"l2update","product_id":"X"}"#.to_owned(), "MissingField", "changes"),
        (r#"{"type":"snapshot","product_id":"X","bids":[]}"#.to_owned(), "MissingField", "asks"),
        (r#"{"type":"snapshot","product_id":"X","bids":[],"asks":{}}"#.to_owned(), "BadField", "asks"),
        (
            r#"{"type":"match","product_id":"X","price":"1","size":"99999999999999999999999999"}"#.to_owned(),
            "NumberOutOfRange",
            "size",
        ),
        (r#"{"type":"match","product_id":"X""#.to_owned(), "NotJson", "frame"),
    ];
    for (frame, reason, field) in cases {
        let expected = format!("Rejected(Reject {{ reason: {reason}, field: {field:?} }})");
        assert_eq!(values("coinbase", &frame), expected, "{frame}");
    }
}

/// A snapshot as large as the largest one recorded (5 MB), and one with more levels than are held.
#[test]
fn snapshots_are_large_and_bounded() {
    let snapshot = |levels: usize| {
        let level = r#"{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z","price_level":"65083.66","new_quantity":"0.20371215"}"#;
        let all = vec![level; levels].join(",");
        format!(
            r#"{{"channel":"l2_data","timestamp":"2026-08-09T21:05:48Z","sequence_num":1,"events":[{{"type":"snapshot","product_id":"BTC-USD","updates":[{all}]}}]}}"#
        )
    };
    let large = snapshot(48_000);
    assert!(large.len() > 5 << 20);
    assert_eq!(values("coinbase", &large).matches("65083.66@0.20371215").count(), 48_000);
    let short = r#"["buy","1","1"],"#.repeat(1 << 18);
    let most = |more: &str| {
        values("coinbase", &format!(r#"{{"type":"l2update","product_id":"X","changes":[{short}["{more}","1","1"]]}}"#))
    };
    assert!(most("sell").starts_with("Delta X"));
    assert_eq!(most("buy"), r#"Rejected(Reject { reason: TooManyLevels, field: "changes" })"#);
    let ticker = r#"{"product_id":"A-B","best_bid":"1"},"#.repeat(1 << 14);
    let tickers = |last: &str| {
        values(
            "coinbase",
            &format!(
                r#"{{"channel":"ticker","events":[{{"type":"update","tickers":[{}{last}]}}]}}"#,
                &ticker[..ticker.len() - 1]
            ),
        )
    };
    assert_eq!(tickers("").lines().count(), 1 << 14);
    assert_eq!(tickers(",{}"), r#"Rejected(Reject { reason: TooLarge, field: "tickers" })"#);
}
