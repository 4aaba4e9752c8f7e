//! What Deribit's notifications mean, beyond those that were recorded: other key orders, trades of several instruments,
//! missing and broken fields, answers. A frame is taken whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use feedd_venues::decoder::{CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Outcome};
use feedd_venues::message::Message;
use feedd_venues::table;
use values::values;

fn check(cases: &[(&str, &str, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(values("deribit", frame), *expected, "{name}");
    }
}

#[test]
fn trades_and_quotes() {
    check(&[
        (
            "trades of several instruments, keys turned round, ids with a currency",
            r#"{"params":{"data":[{"amount":6.50,"direction":"sell","instrument_name":"ETH-PERPETUAL","price":1e-5,"timestamp":1616321287195,"trade_id":"ETH-34066","trade_seq":5},{"trade_seq":1,"trade_id":"7","timestamp":1616321287196,"price":-0.5,"instrument_name":"BTC\u002dX","direction":"buy","amount":1}],"ch\u0061nnel":"trades.future.any.100ms"},"method":"subscription"}"#,
            "trade ETH-PERPETUAL 1616321287195000000 - 0.00001x6.5 Some(Sell) id 34066 seq 5\n\
             trade BTC-X 1616321287196000000 - -0.5x1 Some(Buy) id 7 seq 1",
        ),
        (
            "an id that is none",
            r#"{"method":"subscription","params":{"channel":"trades.X.raw","data":[{"trade_id":"eth-1","timestamp":1,"price":1,"instrument_name":"X","direction":"buy","amount":1}]}}"#,
            r#"Rejected(Reject { reason: BadField, field: "trade_id" })"#,
        ),
        (
            "the second trade has no direction",
            r#"{"method":"subscription","params":{"channel":"trades.X.raw","data":[{"timestamp":1,"price":1,"instrument_name":"X","direction":"buy","amount":1},{"timestamp":1,"price":1,"instrument_name":"X","amount":1}]}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "direction" })"#,
        ),
        (
            "no price, and zero for one",
            r#"{"method":"subscription","params":{"channel":"ticker.X.100ms","data":{"instrument_name":"X","timestamp":1654161839367,"best_bid_price":null,"best_bid_amount":0.0,"best_ask_price":0.0}}}"#,
            "quote X 1654161839367000000 - -x0 0x- seq -",
        ),
        (
            "a ticker without bid and ask",
            r#"{"method":"subscription","params":{"channel":"ticker.X.100ms","data":{"instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "best_bid_price" })"#,
        ),
        (
            "another channel",
            r#"{"method":"subscription","params":{"channel":"deribit_price_index.btc_usd","data":{"price":1}}}"#,
            r#"Unknown(Label { field: "channel", name: Some("deribit_price_index") })"#,
        ),
        (
            "tickers of changes",
            r#"{"method":"subscription","params":{"channel":"incremental_ticker.X","data":{"best_bid_price":1}}}"#,
            r#"Unknown(Label { field: "channel", name: Some("incremental_ticker") })"#,
        ),
        (
            "a list where one object stands",
            r#"{"method":"subscription","params":{"channel":"quote.X","data":[]}}"#,
            r#"Rejected(Reject { reason: BadField, field: "data" })"#,
        ),
        (
            "no data",
            r#"{"method":"subscription","params":{"channel":"quote.X"}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "data" })"#,
        ),
        ("no channel", r#"{"method":"subscription"}"#, r#"Unknown(Label { field: "channel", name: None })"#),
    ]);
}

#[test]
fn books() {
    check(&[
        (
            "one side, white space, a level longer than usual",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"asks":[ ["delete", 2.50, 0.0, 1] , ["new",3,1e1]],"type":"change","change_id":9,"prev_change_id":0,"instrument_name":"X","timestamp":1622626784890}}}"#,
            "Delta X 1622626784890000000 - bids  asks 2.5@0,3@10 seq - 9 0 sum None",
        ),
        (
            "no type behind another message",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"bids":[],"asks":[],"change_id":9,"prev_change_id":8,"instrument_name":"X"}}}"#,
            "Delta X - - bids  asks  seq - 9 8 sum None",
        ),
        (
            "another type",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"x","bids":[],"instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: BadField, field: "type" })"#,
        ),
        (
            "a level that goes and has a size",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"change","bids":[["delete",1,2]],"instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: BadField, field: "bids" })"#,
        ),
        (
            "another word",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"change","asks":[["old",1,2]],"instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: BadNumber, field: "asks" })"#,
        ),
        (
            "a level without a size",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"change","asks":[["new",1]],"instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "asks" })"#,
        ),
        (
            "no sides",
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"change","instrument_name":"X"}}}"#,
            r#"Rejected(Reject { reason: MissingField, field: "bids" })"#,
        ),
    ]);
}

#[test]
fn answers_belong_to_the_connection() {
    let cases = [
        // name, frame, what it is, how it is counted
        ("subscribed", r#"{"id":1,"result":["trades.X.raw"]}"#, CONTROL_ACK, "method None"),
        ("refused", r#"{"id":1,"error":{"code":11050,"message":"bad_request"}}"#, CONTROL_ERROR, "method None"),
        ("alive", r#"{"method":"heartbeat","params":{"type":"test_request"}}"#, CONTROL_ALIVE, "method heartbeat"),
    ];
    for (name, frame, kind, counted) in cases {
        let mut decoder = table::decoder_for("deribit").unwrap();
        let outcome = decoder.decode("ws-1", frame, &mut |_: &str, _: &Message<'_>| panic!("no message"));
        let Outcome::Control { name: got, label } = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!((got, label.to_string().as_str()), (kind, counted), "{name}");
    }
    check(&[
        ("another method", r#"{"method":"x"}"#, r#"Unknown(Label { field: "method", name: Some("x") })"#),
        ("nothing", "[]", r#"Unknown(Label { field: "method", name: None })"#),
    ]);
}
