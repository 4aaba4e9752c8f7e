//! What Kraken's frames mean, beyond those that were recorded: every channel of both protocols, other key orders and types
//! of values, missing and broken fields. A frame is taken whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use values::values;

fn check(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("kraken", frame), *expected, "{name}");
    }
}

#[test]
fn frames_of_the_second_protocol() {
    check(&[
        (
            "two books, keys turned round, texts for numbers, no time",
            r#"{"data":[{"checksum":"4294967295","asks":[{"qty":"0.00000000","price":"0.5666"}],"bids":[{"qty":1e-7,"price":0.5}],"symbol":"MATIC/USD"},{"symbol":"A\/B","bids":[{"price":2,"qty":1},{"price":1,"qty":3,"orders":7}],"timestamp":"2023-10-06T17:35:55.440295Z"}],"type":"snapshot","channel":"book"}"#,
            "Snapshot MATIC/USD - - bids 0.5@0.0000001 asks 0.5666@0 seq - - - sum Some(4294967295)\n\
             Snapshot A/B 1696613755440295000 - bids 2@1,1@3 asks  seq - - - sum None",
        ),
        (
            "a book with only asks",
            r#"{"channel":"book","type":"update","data":[{"symbol":"X","asks":[{"price":1,"qty":2}],"bids":[],"checksum":0}]}"#,
            "Delta X - - bids  asks 1@2 seq - - - sum Some(0)",
        ),
        (
            "trades",
            r#"{"channel":"trade","type":"update","data":[{"symbol":"X/Y","side":"buy","qty":23374.2,"price":0.5117,"ord_type":"limit","trade_id":"4665847","timestamp":"2023-09-25T07:48:36.925533Z"},{"symbol":"X/Y","side":"sell","price":"0.5","qty":"1e3","trade_id":2}]}"#,
            "trade X/Y 1695628116925533000 - 0.5117x23374.2 Some(Buy) id 4665847 seq -\n\
             trade X/Y - - 0.5x1000 Some(Sell) id 2 seq -",
        ),
        (
            "tickers: without time, with one side, with none",
            r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"ALGO/USD","bid":0.10025,"bid_qty":740.0,"ask":0.10036,"ask_qty":1361.44813783,"last":0.10035},{"symbol":"X","bid":null,"bid_qty":null,"ask":"1","ask_qty":2},{"symbol":"Y","last":1}]}"#,
            "quote ALGO/USD - - 0.10025x740 0.10036x1361.44813783 seq -\n\
             quote X - - -x- 1x2 seq -",
        ),
        (
            "a ticker without prices",
            r#"{"channel":"ticker","type":"update","data":[{"symbol":"X","last":1}]}"#,
            r#"Unknown(Label { field: "tickers", name: Some("without bid/ask") })"#,
        ),
        ("no element", r#"{"channel":"trade","type":"update","data":[]}"#, "Messages(0)"),
    ]);
}

#[test]
fn frames_of_the_first_protocol() {
    check(&[
        (
            "a snapshot: the newest time of any level",
            r#"[0,{"bs":[["5541.2","1.5","1534614248.123678"],["5541.1","2",1534614000]],"as":[["5541.3","2.5","1534614248.456738"],["5542.7","0.4","1534614248.4"]]},"book-100","XBT/USD"]"#,
            "Snapshot XBT/USD 1534614248456738000 - bids 5541.2@1.5,5541.1@2 asks 5541.3@2.5,5542.7@0.4 seq - - - sum None",
        ),
        ("an empty one", r#"[0,{"as":[],"bs":[]},"book-10","X/Y"]"#, "Snapshot X/Y - - bids  asks  seq - - - sum None"),
        (
            "both sides in one object, a level sent again, no option in the name",
            r#"[ 1234, {"a":[["5541.3","2.5","1534614248.456738","r"]],"b":[["5541.2","0e1"]],"c":974942666,"x":1}, "book", "X\/Y" ]"#,
            "Delta X/Y 1534614248456738000 - bids 5541.2@0 asks 5541.3@2.5 seq - - - sum Some(974942666)",
        ),
        (
            "remove, then add at the same price",
            r#"[1,{"a":[["1","0","10.5"],["1","2","10.6"]],"c":"1"},"book-10","X"]"#,
            "Delta X 10600000000 - bids  asks 1@0,1@2 seq - - - sum Some(1)",
        ),
        (
            "trades",
            r#"[0,[["5541.2","0.15",1534614057.321597,"s","l",""],["6060.0","2","1534614057.324998","b","l","",9]],"trade","XBT/USD"]"#,
            "trade XBT/USD 1534614057321597000 - 5541.2x0.15 Some(Sell) id  seq -\n\
             trade XBT/USD 1534614057324998000 - 6060x2 Some(Buy) id  seq -",
        ),
        (
            "a ticker, sides turned round",
            r#"[0,{"o":["1","2"],"b":["5525.1",1,"1.000"],"a":["5525.4","1",1.5]},"ticker","X"]"#,
            "quote X - - 5525.1x1 5525.4x1.5 seq -",
        ),
        (
            "a ticker with one side",
            r#"[0,{"a":["5525.4",1,"1"],"b":[]},"ticker","X"]"#,
            "quote X - - -x- 5525.4x1 seq -",
        ),
        (
            "a ticker with none",
            r#"[0,{"c":["1","1"]},"ticker","X"]"#,
            r#"Unknown(Label { field: "tickers", name: Some("without bid/ask") })"#,
        ),
        (
            "a spread, and one without sizes",
            r#"[0,["5698.4","5700.0","1542057299.545897"],"spread","XBT/USD"]"#,
            "quote XBT/USD 1542057299545897000 - 5698.4x- 5700x- seq -",
        ),
        ("no trade", r#"[0,[],"trade","X"]"#, "Messages(0)"),
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
        (r#"{"channel":"heartbeat"}"#, control("alive", "channel", "heartbeat")),
        (r#"{"channel":"status","type":"update","data":[{}]}"#, control("alive", "channel", "status")),
        (r#"{"channel":"ohlc","type":"update","data":[{"symbol":7}]}"#, unknown("channel", Some("ohlc"))),
        (r#"{"channel":"instrument","type":"snapshot","data":{}}"#, unknown("channel", Some("instrument"))),
        (r#"{"channel":"level3","type":"update","data":[{"bids":[{}]}]}"#, unknown("channel", Some("level3"))),
        (r#"{"method":"subscribe","result":{},"success":true}"#, control("ack", "event", "subscribe")),
        (r#"{"method":"unsubscribe","success":true}"#, control("ack", "event", "unsubscribe")),
        (
            r#"{"error":"Currency pair not supported","method":"subscribe","success":false}"#,
            control("error", "event", "subscribe"),
        ),
        (r#"{"method":"pong","req_id":101}"#, control("alive", "event", "pong")),
        (r#"{"event":"pong","reqid":42}"#, control("alive", "event", "pong")),
        (r#"{"event":"heartbeat"}"#, control("alive", "event", "heartbeat")),
        (r#"{"event":"systemStatus","status":"online"}"#, control("alive", "event", "systemStatus")),
        (r#"{"event":"subscriptionStatus","status":"subscribed"}"#, control("ack", "event", "subscriptionStatus")),
        (
            r#"{"event":"subscriptionStatus","status":"error","errorMessage":"x"}"#,
            control("error", "event", "subscriptionStatus"),
        ),
        (r#"{"event":"error","errorMessage":"Malformed request"}"#, control("error", "event", "error")),
        (r#"{"error":["EGeneral:Invalid arguments"]}"#, {
            r#"Control { name: "error", label: Label { field: "event", name: None } }"#.to_owned()
        }),
        (r#"{"error":[],"result":{"XXBTZUSD":{}}}"#, unknown("event", None)),
        (r#"{"feed":"trade","product_id":"PI_XBTUSD","side":"sell"}"#, unknown("futures", Some("feed"))),
        (r#"{"feed":"heartbeat","time":1}"#, control("alive", "futures", "feed")),
        (r#"{"event":"subscribed","feed":"book","product_ids":[]}"#, control("ack", "futures", "feed")),
        (r#"{"event":"alert","message":"Bad request"}"#, control("error", "event", "alert")),
        (r#"[343,["1","2"],"ohlc-1","XBT/USD"]"#, unknown("v1", Some("ohlc"))),
        (r#"[[{"a":{}}],"openOrders",{"sequence":1}]"#, unknown("v1", Some("openOrders"))),
        (r#"[1,2]"#, unknown("v1", None)),
        ("[]", unknown("v1", None)),
        (r#"[1,{},{},{},{},{},{},{},"book-10","X"]"#, unknown("v1", None)),
        ("{}", unknown("event", None)),
        ("7", unknown("event", None)),
    ];
    for (frame, expected) in cases {
        assert_eq!(values("kraken", frame), expected, "{frame}");
    }
}

#[test]
fn a_fault_leaves_nothing_of_the_frame() {
    let trades = |second: &str| {
        format!(r#"{{"channel":"trade","type":"update","data":[{{"symbol":"X","price":1,"qty":1}},{second}]}}"#)
    };
    let rows = |second: &str| format!(r#"[0,[["1","2","3","b","l",""],{second}],"trade","X"]"#);
    let second = |text: &str| text.to_owned();
    let cases = [
        (trades(r#"{"symbol":"X","qty":1}"#), "MissingField", "price"),
        (trades(r#"{"symbol":"X","price":1,"qty":"x"}"#), "BadNumber", "qty"),
        (trades(r#"{"symbol":"X","price":1,"qty":1,"side":"up"}"#), "BadField", "side"),
        (trades(r#"{"symbol":"X","price":1,"qty":1,"timestamp":5}"#), "BadTime", "timestamp"),
        (trades(r#"{"price":1,"qty":1}"#), "NoSymbol", "symbol"),
        (trades("[]"), "BadField", "data"),
        (second(r#"{"channel":"trade","data":[]}"#), "MissingField", "type"),
        (second(r#"{"channel":"trade","type":"delete","data":[]}"#), "BadField", "type"),
        (second(r#"{"channel":"trade","type":"update"}"#), "MissingField", "data"),
        (second(r#"{"channel":"book","type":"update","data":[{"symbol":"X"}]}"#), "MissingField", "asks"),
        (
            second(r#"{"channel":"book","type":"update","data":[{"symbol":"X","asks":[],"bids":[{"price":1}]}]}"#),
            "MissingField",
            "bids",
        ),
        (
            second(r#"{"channel":"book","type":"update","data":[{"symbol":"X","asks":[],"checksum":4294967296}]}"#),
            "NumberOutOfRange",
            "checksum",
        ),
        (rows(r#"["1","2","x","b"]"#), "BadTime", "time"),
        (rows(r#"["1"]"#), "MissingField", "volume"),
        (rows(r#"["1","2","3","up"]"#), "BadField", "side"),
        (rows("7"), "BadField", "trade"),
        (second(r#"[0,{"a":[["1","2","3"]],"as":[]},"book-10","X"]"#), "BadField", "as"),
        (second(r#"[0,{"c":"1"},"book-10","X"]"#), "MissingField", "a"),
        (second(r#"[0,{"a":[["1"]]},"book-10","X"]"#), "MissingField", "a"),
        (second(r#"[0,{"a":7},"book-10","X"]"#), "BadField", "a"),
        (second(r#"[0,7,"book-10","X"]"#), "BadField", "payload"),
        (second(r#"[0,"book-10","X"]"#), "MissingField", "payload"),
        (second(r#"[0,{"a":[]},"book-10",7]"#), "NoSymbol", "pair"),
        (second(r#"[0,7,"ticker","X"]"#), "BadField", "payload"),
        (second(r#"[0,{},"spread","X"]"#), "BadField", "spread"),
        (second(r#"[0,{"a":[]},"book-10","X""#), "NotJson", "frame"),
    ];
    for (frame, reason, field) in cases {
        let expected = format!("Rejected(Reject {{ reason: {reason}, field: {field:?} }})");
        assert_eq!(values("kraken", &frame), expected, "{frame}");
    }
}

#[test]
fn lists_are_bounded() {
    let rejected = |reason: &str, field: &str| format!("Rejected(Reject {{ reason: {reason}, field: {field:?} }})");
    let level = r#"["1","1","1"],"#.repeat(1 << 18);
    let book = format!(r#"[0,{{"a":[{level}["1","1","1"]]}},"book-1000","X"]"#);
    assert_eq!(values("kraken", &book), rejected("TooManyLevels", "a"));
    let level = r#"{"price":1,"qty":1},"#.repeat(1 << 18);
    let books = format!(
        r#"{{"channel":"book","type":"update","data":[{{"symbol":"X","bids":[{level}{{"price":1,"qty":1}}]}}]}}"#
    );
    assert_eq!(values("kraken", &books), rejected("TooManyLevels", "bids"));
    let row = r#"["1","2","3","b","l",""],"#.repeat(1 << 14);
    let rows = |last: &str| values("kraken", &format!(r#"[0,[{}{last}],"trade","X"]"#, &row[..row.len() - 1]));
    assert_eq!(rows("").lines().count(), 1 << 14);
    assert_eq!(rows(r#",["1","2","3","b","l",""]"#), rejected("TooLarge", "trade"));
}
