//! What Hyperliquid may send besides what has been recorded: each frame gives exactly its messages, or a reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use values::values;

fn assert_given(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("hyperliquid", frame), *expected, "{name}");
    }
}

#[test]
fn trades() {
    assert_given(&[
        (
            "data before the channel, white space, unknown keys, two coins",
            " {\"data\":[ {\"users\":[\"0x1\",\"0x2\"],\"tid\":7,\"time\":1000,\"sz\":\"1E-8\",\"side\":\"A\",\"px\":\"2.50\",\"coin\":\"kPEPE\"},\
             {\"coin\":\"@107\",\"side\":\"B\",\"px\":1,\"sz\":2}],\"more\":[{}],\n\"channel\":\"trades\" }",
            "trade kPEPE 1000000000 - 2.5x0.00000001 Some(Sell) id 7 seq -\n\
             trade @107 - - 1x2 Some(Buy) id  seq -",
        ),
        (
            "a fault in the second takes the first with it",
            r#"{"channel":"trades","data":[{"coin":"X","px":"1","sz":"1"},{"coin":"X","px":"1"}]}"#,
            r#"Rejected(Reject { reason: MissingField, field: "sz" })"#,
        ),
        (
            "a nameless second takes the first with it",
            r#"{"channel":"trades","data":[{"coin":"X","px":"1","sz":"1"},{"px":"1","sz":"1"}]}"#,
            r#"Rejected(Reject { reason: NoSymbol, field: "coin" })"#,
        ),
        (
            "another side",
            r#"{"channel":"trades","data":[{"coin":"X","px":"1","sz":"1","side":"buy"}]}"#,
            r#"Rejected(Reject { reason: BadField, field: "side" })"#,
        ),
        (
            "one trade without its list",
            r#"{"channel":"trades","data":{"coin":"X","px":"1","sz":"1"}}"#,
            r#"Rejected(Reject { reason: BadField, field: "data" })"#,
        ),
        ("none", r#"{"channel":"trades","data":[]}"#, "Messages(0)"),
    ]);
}

#[test]
fn books_and_quotes() {
    assert_given(&[
        (
            "a side without orders",
            r#"{"channel":"l2Book","data":{"levels":[[],[{"n":1,"sz":"2","px":"3.0"}]],"time":5,"coin":"X"}}"#,
            "Snapshot X 5000000 - bids  asks 3@2 seq - - - sum None",
        ),
        (
            "the last of a key twice wins",
            r#"{"channel":"l2Book","data":{"coin":"X","levels":[[{"px":"1","sz":"1"}],[]],"levels":[[],[]]}}"#,
            "Snapshot X - - bids  asks  seq - - - sum None",
        ),
        (
            "one side",
            r#"{"channel":"l2Book","data":{"coin":"X","levels":[[]]}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "levels" })"#,
        ),
        (
            "three sides",
            r#"{"channel":"l2Book","data":{"coin":"X","levels":[[],[],[]]}}"#,
            r#"Rejected(Reject { reason: BadField, field: "levels" })"#,
        ),
        (
            "a level in a list",
            r#"{"channel":"l2Book","data":{"coin":"X","levels":[[["1","2"]],[]]}}"#,
            r#"Rejected(Reject { reason: BadField, field: "levels" })"#,
        ),
        (
            "best of both sides",
            r#"{"channel":"bbo","data":{"coin":"X","time":5,"bbo":[{"px":"1.50","sz":"2","n":1},{"px":"3","sz":"4","n":2}]}}"#,
            "quote X 5000000 - 1.5x2 3x4 seq -",
        ),
        (
            "nobody buys",
            r#"{"channel":"bbo","data":{"bbo":[null,{"px":"3","sz":"4","n":2}],"coin":"X","time":5}}"#,
            "quote X 5000000 - -x- 3x4 seq -",
        ),
        (
            "half a quote",
            r#"{"channel":"bbo","data":{"coin":"X","time":5,"bbo":[null]}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "bbo" })"#,
        ),
        (
            "a time as text",
            r#"{"channel":"bbo","data":{"coin":"X","time":"now","bbo":[null,null]}}"#,
            r#"Rejected(Reject { reason: BadTime, field: "time" })"#,
        ),
        ("no data", r#"{"channel":"bbo"}"#, r#"Rejected(Reject { reason: MissingField, field: "data" })"#),
    ]);
}

#[test]
fn other_frames() {
    assert_given(&[
        (
            "an acknowledgement",
            r#"{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"trades","coin":"X"}}}"#,
            r#"Control { name: "ack", label: Label { field: "channel", name: Some("subscriptionResponse") } }"#,
        ),
        (
            "a refusal",
            r#"{"channel":"error","data":"Invalid subscription"}"#,
            r#"Control { name: "error", label: Label { field: "channel", name: Some("error") } }"#,
        ),
        (
            "the answer to a ping",
            r#"{"channel":"pong"}"#,
            r#"Control { name: "alive", label: Label { field: "channel", name: Some("pong") } }"#,
        ),
        (
            "the greeting",
            "Websocket connection established.",
            r#"Control { name: "alive", label: Label { field: "channel", name: Some("Websocket connection established.") } }"#,
        ),
        (
            "mid prices",
            r#"{"channel":"allMids","data":{"mids":{"X":"1"}}}"#,
            r#"Unknown(Label { field: "channel", name: Some("allMids") })"#,
        ),
        ("nothing known", r#"{"data":1}"#, r#"Unknown(Label { field: "channel", name: None })"#),
        ("other text", "hello", r#"Rejected(Reject { reason: NotJson, field: "frame" })"#),
    ]);
}
