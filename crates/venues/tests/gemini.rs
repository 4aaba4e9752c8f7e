//! What Gemini may send besides what has been recorded: each frame gives exactly its messages, or a reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use values::values;

fn assert_given(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("gemini", frame), *expected, "{name}");
    }
}

#[test]
fn trades() {
    assert_given(&[
        (
            "any order, white space, an unknown key",
            " { \"side\" : \"sell\" , \"quantity\":\"1E-8\",\n\"new\":{\"price\":\"9\"},\"price\":\"2.50\",\"tid\":8,\"event_id\":9,\
             \"timestamp\":1560976400428,\"symbol\":\"BTC\\u0055SD\",\"type\":\"trade\"}",
            "trade BTCUSD 1560976400428000000 - 2.5x0.00000001 Some(Sell) id 8 seq 9",
        ),
        (
            "without `tid` the event's number is the id",
            r#"{"type":"trade","symbol":"X","event_id":7,"tid":null,"price":"1","quantity":"2","side":"auction"}"#,
            "trade X - - 1x2 None id 7 seq 7",
        ),
        (
            "no symbol",
            r#"{"type":"trade","price":"1","quantity":"2"}"#,
            r#"Rejected(Reject { reason: NoSymbol, field: "symbol" })"#,
        ),
        (
            "no price",
            r#"{"type":"trade","symbol":"X","quantity":"2"}"#,
            r#"Rejected(Reject { reason: MissingField, field: "price" })"#,
        ),
        (
            "another side",
            r#"{"type":"trade","symbol":"X","price":"1","quantity":"2","side":"bid"}"#,
            r#"Rejected(Reject { reason: BadField, field: "side" })"#,
        ),
    ]);
}

#[test]
fn books() {
    let earlier = r#"{"event_id":5,"price":"3","quantity":"4","side":"buy","timestamp":1000}"#;
    let whole = format!(
        r#"{{"trades":[{earlier},{{"symbol":"Y","price":"1","quantity":"1"}}],"symbol":"X","changes":[["sell","2","0.0"],["buy","1","5","?"]],"type":"l2_updates"}}"#
    );
    let broken = whole.replace(r#""quantity":"1""#, r#""quantity":"?""#);
    assert_given(&[
        (
            "a snapshot and the trades before it; one that names no symbol is of the frame's",
            &whole,
            "Snapshot X - - bids 1@5 asks 2@0 seq - - - sum None\n\
             trade X 1000000000 - 3x4 Some(Buy) id 5 seq 5 replay\n\
             trade Y - - 1x1 None id  seq - replay",
        ),
        (
            "a fault in the last trade takes the book with it",
            &broken,
            r#"Rejected(Reject { reason: BadNumber, field: "quantity" })"#,
        ),
        (
            "a snapshot of an empty market",
            r#"{"type":"l2_updates","symbol":"X","changes":[],"auction_events":[]}"#,
            "Snapshot X - - bids  asks  seq - - - sum None",
        ),
        (
            "a price twice keeps its order; the last of a key twice wins",
            r#"{"type":"l2_updates","symbol":"X","changes":7,"changes":[["buy","1","0"],["buy","1","5"]]}"#,
            "Delta X - - bids 1@0,1@5 asks  seq - - - sum None",
        ),
        (
            "no changes",
            r#"{"type":"l2_updates","symbol":"X"}"#,
            r#"Rejected(Reject { reason: MissingField, field: "changes" })"#,
        ),
        (
            "changes in an object",
            r#"{"type":"l2_updates","symbol":"X","changes":{}}"#,
            r#"Rejected(Reject { reason: BadField, field: "changes" })"#,
        ),
        (
            "half a change",
            r#"{"type":"l2_updates","symbol":"X","changes":[["buy","1"]]}"#,
            r#"Rejected(Reject { reason: MissingField, field: "changes" })"#,
        ),
        (
            "neither side",
            r#"{"type":"l2_updates","symbol":"X","changes":[["bid","1","2"]]}"#,
            r#"Rejected(Reject { reason: BadField, field: "changes" })"#,
        ),
    ]);
}

#[test]
fn other_frames() {
    assert_given(&[
        (
            "a heartbeat",
            r#"{"timestamp":1786313195331,"type":"heartbeat"}"#,
            r#"Control { name: "alive", label: Label { field: "type", name: Some("heartbeat") } }"#,
        ),
        (
            "a refusal",
            r#"{"result":"error","reason":"InvalidJson","message":"?"}"#,
            r#"Control { name: "error", label: Label { field: "type", name: None } }"#,
        ),
        (
            "candles",
            r#"{"type":"candles_1m_updates","symbol":"X","changes":[[1561054500000,9350.18,9358.35,9350.18,9355.51,2.07]]}"#,
            r#"Unknown(Label { field: "type", name: Some("candles_1m_updates") })"#,
        ),
        ("a list", "[1]", r#"Unknown(Label { field: "type", name: None })"#),
        (
            "cut off",
            r#"{"type":"l2_updates","symbol":"X","changes":[["buy","1","2"]"#,
            r#"Rejected(Reject { reason: NotJson, field: "frame" })"#,
        ),
    ]);
}
