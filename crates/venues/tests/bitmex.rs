//! What BitMEX's frames mean, beyond those that were recorded: other key orders, rows of several symbols, ids without a
//! price, answers, broken fields. A frame is taken whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use feedd_venues::decoder::{CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Decoder, Outcome};
use feedd_venues::message::Message;
use feedd_venues::table;
use values::values;

fn check(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("bitmex", frame), *expected, "{name}");
    }
}

/// The texts of a book's levels, bids then asks; any other outcome as counted.
fn levels(decoder: &mut dyn Decoder, conn: &str, frame: &str) -> String {
    let mut lines = Vec::new();
    let outcome = decoder.decode(conn, frame, &mut |text: &str, message: &Message<'_>| {
        let Message::Book(book) = message else { panic!("a book") };
        let side = |levels: &[feedd_venues::message::LevelNum]| -> Vec<String> {
            levels.iter().map(|level| format!("{}@{}", level.price.text(text), level.size.text(text))).collect()
        };
        lines.push(format!("{} {:?} {:?} {:?}", book.symbol, book.action, side(book.bids), side(book.asks)));
    });
    match outcome {
        Outcome::Messages(_) => lines.join("\n"),
        Outcome::Unknown(label) => label.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn trades_quotes_and_tops() {
    check(&[
        (
            "a settlement, keys turned round, an escaped name, and the value of an index",
            r#"{ "data" : [ {"trdMatchID":"00000000-0000-0000-0000-000000000001","price":6e-8,"size":1e3,"symbol":"X\u0042T","timestamp":"2022-12-30T12:00:00.007Z","pool":null}, {"symbol":".BXBT","price":2,"size":null,"timestamp":"2022-12-30T12:00:00.007Z"}], "action":"insert", "t\u0061ble":"trade" }"#,
            "trade XBT 1672401600007000000 - 0.00000006x1000 None id 00000000-0000-0000-0000-000000000001 seq -",
        ),
        (
            "values of indices",
            r#"{"table":"trade","action":"insert","data":[{"symbol":".BXBT","side":"Buy","price":2,"timestamp":"2022-12-30T12:00:00.007Z"}]}"#,
            r#"Unknown(Label { field: "trade", name: Some("without size") })"#,
        ),
        (
            "one side, and none",
            r#"{"table":"quote","action":"partial","data":[{"timestamp":"2022-07-01T00:00:08.858Z","symbol":"A","bidSize":5,"bidPrice":1.50},{"symbol":"B","bidPrice":null}]}"#,
            "quote A 1656633608858000000 - 1.5x5 -x- seq -\nquote B - - -x- -x- seq -",
        ),
        (
            "one book of two is whole",
            r#"{"table":"orderBook10","action":"partial","data":[{"symbol":"A","bids":[[1,2]]},{"symbol":"B","bids":[],"asks":[[3,4,5]]}]}"#,
            "Snapshot B - - bids  asks 3@4 seq - - - sum None",
        ),
        (
            "the second trade is broken",
            r#"{"table":"trade","action":"insert","data":[{"symbol":"A","price":1,"size":1},{"symbol":"A","price":true,"size":1}]}"#,
            r#"Rejected(Reject { reason: BadNumber, field: "price" })"#,
        ),
        ("no rows", r#"{"table":"quote","action":"partial","data":[]}"#, "Messages(0)"),
        (
            "no data",
            r#"{"table":"quote","action":"partial"}"#,
            r#"Rejected(Reject { reason: MissingField, field: "data" })"#,
        ),
        (
            "no object",
            r#"{"table":"quote","action":"insert","data":[7]}"#,
            r#"Rejected(Reject { reason: BadField, field: "data" })"#,
        ),
        (
            "no action",
            r#"{"table":"quote","data":[]}"#,
            r#"Rejected(Reject { reason: MissingField, field: "action" })"#,
        ),
        (
            "an action that trades do not have",
            r#"{"table":"trade","action":"delete","data":[]}"#,
            r#"Unknown(Label { field: "action", name: Some("delete") })"#,
        ),
        (
            "another table",
            r#"{"data":[{"symbol":"A"}],"table":"instrument","action":"update"}"#,
            r#"Unknown(Label { field: "table", name: Some("instrument") })"#,
        ),
        ("no table", r#"{"a":1}"#, r#"Unknown(Label { field: "table", name: None })"#),
        ("half a frame", r#"{"table":"trade""#, r#"Rejected(Reject { reason: NotJson, field: "frame" })"#),
    ]);
}

#[test]
fn answers_belong_to_the_connection() {
    let cases = [
        // name, frame, what it is, how it is counted
        ("ping", "pong", CONTROL_ALIVE, "pong"),
        (
            "unsubscribed",
            r#"{"success":true,"unsubscribe":"trade:A","request":{"op":"x"}}"#,
            CONTROL_ACK,
            "unsubscribe",
        ),
        ("refused", r#"{"success":false,"subscribe":"trade:A"}"#, CONTROL_ERROR, "subscribe"),
        ("an error", r#"{"status":400,"error":"Unknown table","meta":{},"request":{}}"#, CONTROL_ERROR, "error"),
        ("another request", r#"{"success":true,"request":{"op":"authKeyExpires"}}"#, CONTROL_ACK, "success"),
    ];
    for (name, frame, kind, counted) in cases {
        let mut decoder = table::decoder_for("bitmex").unwrap();
        let outcome = decoder.decode("ws-1", frame, &mut |_: &str, _: &Message<'_>| panic!("no message"));
        let Outcome::Control { name: got, label } = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!((got, label.to_string().as_str()), (kind, counted), "{name}");
    }
}

#[test]
fn a_level_is_known_by_its_id_until_it_goes() {
    let mut decoder = table::decoder_for("bitmex").unwrap();
    let steps = [
        // name, connection, frame, expected
        (
            "before the partial",
            "ws-1",
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"A","id":7,"side":"Buy","size":5}]}"#,
            "orderBookL2 id without price",
        ),
        (
            "two books in one frame, their rows mixed",
            "ws-1",
            r#"{"data":[{"symbol":"B","id":7,"side":"Sell","size":1,"price":9.50},{"symbol":"A","id":7,"side":"Buy","size":2,"price":6e-8},{"symbol":"B","id":8,"side":"Buy","size":3,"price":9},{"symbol":"A","id":9,"side":"Sell","size":4,"price":7E-8}],"action":"partial","table":"orderBookL2"}"#,
            "B Snapshot [\"9@3\"] [\"9.50@1\"]\nA Snapshot [\"6e-8@2\"] [\"7E-8@4\"]",
        ),
        (
            "prices as first sent",
            "ws-1",
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"A","id":7,"side":"Buy","size":50},{"symbol":"B","id":7,"side":"Sell","size":60},{"symbol":"A","id":9,"side":"Sell"}]}"#,
            "A Delta [\"6e-8@50\"] []\nB Delta [] [\"9.50@60\"]",
        ),
        (
            "another connection knows nothing of it",
            "ws-2",
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"A","id":7,"side":"Buy"}]}"#,
            "orderBookL2 id without price",
        ),
        (
            "nor does the other table; what the row says is enough",
            "ws-1",
            r#"{"table":"orderBookL2_25","action":"delete","data":[{"symbol":"A","id":7,"side":"Buy","size":42000000,"price":0.1}]}"#,
            "A Delta [\"0.1@0\"] []",
        ),
        (
            "a change of a price moves the id",
            "ws-1",
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"A","id":9,"side":"Sell","size":1,"price":8}]}"#,
            "A Delta [] [\"8@1\"]",
        ),
        (
            "one of two is not known: nothing is taken",
            "ws-1",
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"A","id":9,"side":"Sell"},{"symbol":"A","id":10,"side":"Sell"}]}"#,
            "orderBookL2 id without price",
        ),
        (
            "removed",
            "ws-1",
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"A","id":9,"side":"Sell"}]}"#,
            "A Delta [] [\"8@0\"]",
        ),
        (
            "removed again",
            "ws-1",
            r#"{"table":"orderBookL2","action":"delete","data":[{"symbol":"A","id":9,"side":"Sell"}]}"#,
            "orderBookL2 id without price",
        ),
        (
            "an insert is known, too",
            "ws-1",
            r#"{"table":"orderBookL2","action":"insert","data":[{"symbol":"A","id":11,"side":"Buy","size":1,"price":0.50}]}"#,
            "A Delta [\"0.50@1\"] []",
        ),
        (
            "a partial without rows is an empty book",
            "ws-1",
            r#"{"table":"orderBookL2","action":"partial","filter":{"symbol":"A"},"data":[]}"#,
            "A Snapshot [] []",
        ),
        (
            "and forgets the ids",
            "ws-1",
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"A","id":11,"side":"Buy","size":1}]}"#,
            "orderBookL2 id without price",
        ),
        (
            "a price too long to be kept",
            "ws-1",
            r#"{"table":"orderBookL2","action":"insert","data":[{"symbol":"A","id":11,"side":"Buy","size":1,"price":1.00000000000000000000000}]}"#,
            r#"Rejected(Reject { reason: NumberOutOfRange, field: "price" })"#,
        ),
        (
            "a level without a side",
            "ws-1",
            r#"{"table":"orderBookL2","action":"insert","data":[{"symbol":"A","id":11,"size":1,"price":1}]}"#,
            r#"Rejected(Reject { reason: MissingField, field: "side" })"#,
        ),
    ];
    for (name, conn, frame, expected) in steps {
        assert_eq!(levels(&mut *decoder, conn, frame), expected, "{name}");
    }
}

#[test]
fn the_newest_row_tells_the_time_of_a_book() {
    check(&[(
        "two times and none",
        r#"{"table":"orderBookL2","action":"insert","data":[{"symbol":"A","id":1,"side":"Buy","size":1,"price":1,"timestamp":"2022-03-01T01:55:45.088Z"},{"symbol":"A","id":2,"side":"Buy","size":1,"price":2,"timestamp":"2022-03-01T01:55:45.089Z"},{"symbol":"A","id":3,"side":"Sell","size":1,"price":3}]}"#,
        "Delta A 1646099745089000000 - bids 1@1,2@1 asks 3@1 seq - - - sum None",
    )]);
}
