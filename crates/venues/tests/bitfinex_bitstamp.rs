//! What Bitfinex and Bitstamp may send besides what has been recorded: each frame gives exactly its messages, or a reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use feedd_venues::decoder::{Decoder, Outcome};
use feedd_venues::message::Message;
use feedd_venues::table;
use proptest::prelude::*;
use values::{line, values};

/// Messages one a line, or the outcome in a few words.
fn given(decoder: &mut dyn Decoder, conn: &str, frame: &str) -> String {
    let mut lines = Vec::new();
    let outcome = decoder.decode(conn, frame, &mut |frame: &str, message: &Message<'_>| {
        lines.push(line(frame, message));
    });
    let told = if let Outcome::Messages(count) = outcome { count } else { 0 };
    assert_eq!(told, lines.len(), "a frame is taken whole or not at all: {frame}");
    match outcome {
        Outcome::Messages(0) => "no event".to_owned(),
        Outcome::Messages(_) => lines.join("\n"),
        Outcome::Control { name, label } => format!("{name}: {label}"),
        Outcome::Unknown(label) => format!("unknown: {label}"),
        Outcome::Rejected(reject) => format!("rejected: {reject}"),
    }
}

/// Frames of one connection, each with what it gives.
fn assert_session(venue: &str, cases: &[(&str, &str)]) {
    let mut decoder = table::decoder_for(venue).unwrap();
    for (frame, expected) in cases {
        assert_eq!(given(&mut *decoder, "ws-1", frame), *expected, "{frame}");
    }
}

const SUBSCRIBED: [&str; 3] = [
    r#"{"event":"subscribed","channel":"ticker","chanId":1,"symbol":"tX","pair":"X"}"#,
    r#"{ "chanId" : 2, "symbol" : "t\u0058:Y", "channel" : "trades", "event" : "subscribed", "new" : [{}] }"#,
    r#"{"event":"subscribed","channel":"book","chanId":3,"symbol":"tX","prec":"P0","freq":"F0","len":"25"}"#,
];

fn subscribed() -> Box<dyn Decoder> {
    let mut decoder = table::decoder_for("bitfinex").unwrap();
    for frame in SUBSCRIBED {
        assert_eq!(given(&mut *decoder, "ws-1", frame), "ack: event subscribed");
    }
    decoder
}

#[test]
fn bitfinex_lists_are_what_their_channel_says() {
    let quote = "quote tX - - 0.00000015x2 2x0.5 seq -";
    let cases = [
        // frame, expected
        ("[1,[1.5e-7,2,2,0.5,0,0,0,0,0,0]]", quote),
        (" [ 1 , [ 1.5E-7 , 2 , 2 , 0.5 , \"new\" ] , 9 ] ", quote),
        ("[1,[null,null,2,0.5]]", "quote tX - - -x- 2x0.5 seq -"),
        ("[1,[null,2,null,0.5]]", "unknown: ticker without bid/ask"),
        ("[1,[1.5,2,2]]", "rejected: missing_field (ask size)"),
        ("[1,[1.5,2,{},1]]", "rejected: bad_number (ask)"),
        ("[1,[]]", "rejected: missing_field (bid)"),
        (
            "[2,[[8,1617643611128,-2.5e-7,1.5],[7,1617643611127,3,2]]]",
            "trade tX:Y 1617643611128000000 - 1.5x0.00000025 Some(Sell) id 8 seq - replay\n\
             trade tX:Y 1617643611127000000 - 2x3 Some(Buy) id 7 seq - replay",
        ),
        ("[2,[]]", "no event"),
        ("[2,[[8,1617643611128,-1,1.5],[7,1617643611127,3,\"x\"]]]", "rejected: bad_number (price)"),
        ("[2,[8,1617643611128,-1,1.5]]", "rejected: bad_field (trade)"),
        ("[2,\"te\",[9,1617643611129,0.5,2]]", "trade tX:Y 1617643611129000000 - 2x0.5 Some(Buy) id 9 seq -"),
        ("[2,\"tu\",[9,1617643611129,0.5,2]]", "repeat: tu (repeat of te)"),
        ("[2,\"te\"]", "rejected: missing_field (trade)"),
        ("[2,\"te\",{}]", "rejected: bad_field (trade)"),
        ("[2,\"te\",[9,-1,0.5,2]]", "rejected: bad_time (mts)"),
        ("[2,\"te\",[9,1617643611129,\"--5\",2]]", "rejected: bad_number (amount)"),
        ("[2,\"te\",[9,1617643611129,\"-\",2]]", "rejected: bad_number (amount)"),
        (
            "[2,\"te\",[\"9\",\"1617643611129\",\"-5.0\",\"2\"]]",
            "trade tX:Y 1617643611129000000 - 2x5 Some(Sell) id 9 seq -",
        ),
        ("[2,\"te\",[9,1617643611129]]", "rejected: missing_field (amount)"),
        ("[2,\"hb\"]", "alive: hb"),
        ("[3,[[2,1,0.5],[3,2,-4],[1,1,7]]]", "Snapshot tX - - bids 2@0.5,1@7 asks 3@4 seq - - - sum None"),
        ("[3,[2,0,1]]", "Delta tX - - bids 2@0 asks  seq - - - sum None"),
        ("[3,[3e0,0,-1]]", "Delta tX - - bids  asks 3@0 seq - - - sum None"),
        ("[3,[3,1,0]]", "rejected: bad_number (amount)"),
        ("[3,[3,-1,1]]", "rejected: bad_number (count)"),
        ("[3,[3,1.5,1]]", "rejected: bad_number (count)"),
        ("[3,[[3,1,1],4]]", "rejected: bad_field (level)"),
        ("[3,[]]", "Snapshot tX - - bids  asks  seq - - - sum None"),
        ("[3,\"cs\",-1234]", "unknown: cs"),
        ("[3]", "rejected: missing_field (levels)"),
        ("[3,7]", "rejected: bad_field (levels)"),
        ("[4,[1,2,3]]", "unknown: channel None"),
        ("[]", "unknown: channel None"),
        ("[\"3\",[2,0,1]]", "unknown: channel None"),
        ("[3,[2,0,1]", "rejected: not_json (frame)"),
        ("7", "unknown: event None"),
    ];
    let mut decoder = subscribed();
    for (frame, expected) in cases {
        assert_eq!(given(&mut *decoder, "ws-1", frame), expected, "{frame}");
    }
    assert_eq!(given(&mut *decoder, "ws-2", "[3,[2,0,1]]"), "unknown: channel None", "numbers are a connection's own");
}

#[test]
fn bitfinex_answers_and_news() {
    assert_session(
        "bitfinex",
        &[
            (r#"{"event":"info","version":2}"#, "alive: event info"),
            (r#"{"event":"info","code":20051,"msg":"Stopping"}"#, "server_shutdown: event info"),
            (r#"{"event":"info","code":20060}"#, "alive: event info"),
            (r#"{"event":"pong","ts":1,"cid":2}"#, "alive: event pong"),
            (r#"{"event":"conf","status":"OK"}"#, "ack: event conf"),
            (r#"{"event":"conf","status":"FAILED"}"#, "error: event conf"),
            (r#"{"event":"error","msg":"symbol: invalid","code":10300}"#, "error: event error"),
            (r#"{"event":"dance"}"#, "unknown: event dance"),
            (r#"{"event":"subscribed","channel":"book","symbol":"tX"}"#, "rejected: missing_field (chanId)"),
            (r#"{"event":"subscribed","channel":"book","chanId":1}"#, "rejected: no_symbol (symbol)"),
            (
                r#"{"event":"subscribed","channel":"book","chanId":1,"symbol":"tX","prec":"R0"}"#,
                "ack: event subscribed",
            ),
            ("[1,[[7,2,3]]]", "unknown: channel raw book"),
            (r#"{"event":"subscribed","channel":"trades","chanId":1,"symbol":"fUSD"}"#, "ack: event subscribed"),
            (r#"[1,"fte",[1,2,3,4,5]]"#, "unknown: channel funding"),
            (r#"{"event":"subscribed","channel":"candles","chanId":1,"key":"trade:1m:tX"}"#, "ack: event subscribed"),
            ("[1,[[1,2,3,4,5,6]]]", "unknown: channel candles"),
            (r#"{"event":"unsubscribed","status":"OK","chanId":1}"#, "ack: event unsubscribed"),
            ("[1,[[1,2,3,4,5,6]]]", "unknown: channel None"),
        ],
    );
    // A new connection under the same name has told nothing yet.
    let mut decoder = subscribed();
    assert_eq!(given(&mut *decoder, "ws-1", r#"{"event":"info","code":20061}"#), "alive: event info");
    assert_eq!(given(&mut *decoder, "ws-1", "[2,[]]"), "no event");
    given(&mut *decoder, "ws-1", r#"{"event":"info","version":2}"#);
    assert_eq!(given(&mut *decoder, "ws-1", "[2,[]]"), "unknown: channel None");
}

#[test]
fn bitfinex_flags_number_frames_and_make_lists_changes() {
    let mut decoder = subscribed();
    let mut number = |frame: &str| {
        given(&mut *decoder, "ws-1", frame);
        decoder.connection_sequence().map(|seq| seq.0)
    };
    assert_eq!(number("[3,[2,0,1],17]"), None, "without the flag it could be a time");
    number(r#"{"event":"conf","status":"OK","flags":98304}"#);
    assert_eq!(number("[3,[2,0,1],17,1617643611129]"), Some(17));
    assert_eq!(number("[3,\"hb\",18,1617643611129]"), Some(18));
    assert_eq!(number("[2,\"te\",[9,1617643611129,0.5,2],19]"), Some(19));
    assert_eq!(number("[9,\"cs\",-5,20]"), Some(20), "what is not read has a number, too");
    assert_eq!(number(r#"{"event":"pong"}"#), None);
    // What the answer leaves out is what was asked for.
    decoder.request("ws-1", r#"{"event":"conf","flags":536870912}"#);
    given(&mut *decoder, "ws-1", r#"{"event":"conf","status":"OK"}"#);
    let (whole, change) = ("Snapshot tX - - bids 2@1 asks ", "Delta tX - - bids 2@1 asks ");
    for expected in [whole, change, change] {
        assert!(given(&mut *decoder, "ws-1", "[3,[[2,1,1]]]").starts_with(expected), "the first list is the book");
    }
    given(&mut *decoder, "ws-1", SUBSCRIBED[2]);
    assert!(given(&mut *decoder, "ws-1", "[3,[[2,1,1]]]").starts_with(whole), "a new subscription begins anew");
}

#[test]
fn bitstamp_channels() {
    let data = |channel: &str, data: &str| format!(r#"{{"data":{data},"channel":"{channel}","event":"data"}}"#);
    let book = r#"{"asks":[["3","4e-8"]],"bids":[["1","2"]],"microtimestamp":"1641343691244908"}"#;
    let levels = "x 1641343691244908000 - bids 1@2 asks 3@0.00000004 seq - - - sum None";
    let trade = |rest: &str| format!(r#"{{"event":"trade","channel":"live_trades_x","data":{{{rest}}}}}"#);
    let cases = [
        // frame, expected
        (data("order_book_x", book), format!("Snapshot {levels}")),
        (data("diff_order_book_x", book), format!("Delta {levels}")),
        (data("diff_order_book_\\u0078", book), format!("Delta {levels}")),
        (data("detail_order_book_x", book), "unknown: channel detail_order_book".to_owned()),
        (data("order_book_", book), "rejected: no_symbol (channel)".to_owned()),
        (data("", book), "rejected: no_symbol (channel)".to_owned()),
        (data("order_book_x", "[]"), "rejected: bad_field (data)".to_owned()),
        (r#"{"event":"data","channel":"order_book_x"}"#.to_owned(), "rejected: missing_field (data)".to_owned()),
        (
            data("order_book_x", r#"{"bids":[],"asks":[],"timestamp":"1641343691"}"#),
            "Snapshot x 1641343691000000000 - bids  asks  seq - - - sum None".to_owned(),
        ),
        (data("order_book_x", r#"{"bids":[],"asks":[]}"#), "rejected: missing_field (microtimestamp)".to_owned()),
        (data("order_book_x", r#"{"bids":[],"microtimestamp":"1"}"#), "rejected: missing_field (asks)".to_owned()),
        (
            data("order_book_x", r#"{"bids":[["1","x"]],"asks":[],"microtimestamp":"1"}"#),
            "rejected: bad_number (bids)".to_owned(),
        ),
        (
            trade(
                r#""id":7,"amount":1.44e-05,"amount_str":"0.00001440","price":2,"price_str":"2.0","type":1,"microtimestamp":"1616297318187000""#,
            ),
            "trade x 1616297318187000000 - 2x0.0000144 Some(Sell) id 7 seq -".to_owned(),
        ),
        (
            trade(r#""id":7,"amount":1.44e-05,"price":2,"timestamp":"1616297318""#),
            "trade x 1616297318000000000 - 2x0.0000144 None id 7 seq -".to_owned(),
        ),
        (trade(r#""amount":1,"price":2,"timestamp":"1","type":2"#), "rejected: bad_field (type)".to_owned()),
        (trade(r#""amount":1,"price":2,"timestamp":"-1""#), "rejected: bad_time (timestamp)".to_owned()),
        (trade(r#""price":2,"timestamp":"1""#), "rejected: missing_field (amount)".to_owned()),
        (
            r#"{"event":"order_created","channel":"live_orders_x","data":{}}"#.to_owned(),
            "unknown: event order_created".to_owned(),
        ),
        (r#"{"event":"bts:error","channel":"","data":{}}"#.to_owned(), "error: event bts".to_owned()),
        (r#"{"event":"bts:heartbeat","data":{}}"#.to_owned(), "alive: event bts".to_owned()),
        (r#"{"event":"bts:request_reconnect","data":""}"#.to_owned(), "server_shutdown: event bts".to_owned()),
        ("[]".to_owned(), "unknown: event None".to_owned()),
    ];
    let mut decoder = table::decoder_for("bitstamp").unwrap();
    for (frame, expected) in &cases {
        assert_eq!(given(&mut *decoder, "ws-1", frame), *expected, "{frame}");
        if !expected.contains(": ") {
            assert_eq!(values("bitstamp", frame), *expected, "nothing is remembered: {frame}");
        }
    }
}

#[test]
fn bitstamp_answers_belong_to_their_request() {
    let frame =
        r#"{"timestamp": "1641343695", "microtimestamp": "1641343695572693", "bids": [["1", "2"]], "asks": []}"#;
    let book = "Snapshot btcusd 1641343695572693000 - bids 1@2 asks  seq - - - sum None";
    let cases = [
        // request, frame, expected
        ("GET https://www.bitstamp.net/api/v2/order_book/btcusd", frame, book),
        ("GET https://www.bitstamp.net/api/v2/order_book/btcusd/?group=1", frame, book),
        ("GET https://www.bitstamp.net/api/v2/order_book/btcusd/?group=2", frame, "unknown: event None"),
        ("GET https://www.bitstamp.net/api/v2/ticker/btcusd", frame, "unknown: event None"),
        ("GET /api/v2/order_book/btcusd", r#"{"error": "Invalid pair"}"#, "error: event None"),
    ];
    for (request, frame, expected) in cases {
        let mut decoder = table::decoder_for("bitstamp").unwrap();
        decoder.request("rest", request);
        let unasked = given(&mut *decoder, "ws-1", frame);
        assert!(!unasked.starts_with("Snapshot"), "not its connection: {unasked}");
        assert_eq!(given(&mut *decoder, "rest", frame), expected, "{request}");
        assert_eq!(given(&mut *decoder, "rest", frame), unasked, "answered once");
    }
}

proptest! {
    /// Lists of known channels, damaged: whatever they give, the outcome tells.
    #[test]
    fn damaged_lists_of_bitfinex(
        frame in prop::sample::select(vec![
            "[1,[1.5e-7,2,2,0.5,0,0],1]",
            "[2,[[8,1617643611128,-2.5e-7,1.5],[7,1617643611127,3,2]],2]",
            "[2,\"te\",[9,1617643611129,0.5,2],3]",
            "[3,[[2,1,0.5],[3,2,-4]],4]",
            "[3,[2,0,-1],5]",
        ]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9.e\\-]{0,3}"), 1..4),
    ) {
        let mut text = frame.to_owned();
        for (at, piece) in damage {
            let at = at.index(text.len().max(1));
            text.replace_range(at..(at + 1).min(text.len()), &piece);
        }
        let mut decoder = subscribed();
        given(&mut *decoder, "ws-1", r#"{"event":"conf","status":"OK","flags":65536}"#);
        let first = given(&mut *decoder, "ws-1", &text);
        prop_assert_eq!(given(&mut *decoder, "ws-1", &text), first);
    }
}
