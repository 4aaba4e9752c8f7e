//! What OKX and Bybit may send besides what has been recorded: each frame gives exactly its messages, or a reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "common/values.rs"]
mod values;

use feedd_core::Instruments;
use feedd_core::contract::source::SourceRun;
use feedd_core::dead_letters::DeadLetters;
use feedd_model::InstrumentId;
use feedd_venues::decoder::Outcome;
use feedd_venues::intake::{FRAME_REASONS, TRADE_REASONS};
use feedd_venues::message::Message;
use feedd_venues::pace::Speed;
use feedd_venues::sources::{CaptureConfig, CaptureSource, SourceParts};
use feedd_venues::table;
use feedd_venues::validate::ValidationConfig;
use serde_json::json;
use values::values;

/// Messages one a line, or the outcome in a few words.
fn given(venue: &str, frame: &str) -> String {
    let mut messages = 0;
    let outcome = table::decoder_for(venue).unwrap().decode("ws-1", frame, &mut |_: &str, _: &Message<'_>| {
        messages += 1;
    });
    match outcome {
        Outcome::Messages(count) => {
            assert_eq!(count, messages, "the outcome tells what was handed out");
            if count == 0 { "no event".to_owned() } else { values(venue, frame) }
        }
        _ => {
            assert_eq!(messages, 0, "a frame is taken whole or not at all");
            match outcome {
                Outcome::Control { name, label } => format!("{name}: {label}"),
                Outcome::Unknown(label) => format!("unknown: {label}"),
                Outcome::Rejected(reject) => format!("rejected: {reject}"),
                Outcome::Messages(_) => unreachable!(),
            }
        }
    }
}

fn assert_given(venue: &str, cases: &[(&str, String, &str)]) {
    for (name, frame, expected) in cases {
        assert_eq!(given(venue, frame), *expected, "{name}");
    }
}

fn okx(channel: &str, rest: &str) -> String {
    format!(r#"{{"arg":{{"channel":"{channel}","instId":"X"}},{rest}}}"#)
}

#[test]
fn okx_trades_and_quotes() {
    let trade = |rest: &str| okx("trades", &format!(r#""data":[{{{rest}}}]"#));
    let whole = r#""instId":"X","tradeId":"7","px":"1.50","sz":"2","side":"sell","ts":"1646311839593""#;
    assert_given(
        "okx",
        &[
            (
                "all trades",
                okx("trades-all", &format!(r#""data":[{{{whole}}}]"#)),
                "trade X 1646311839593000000 - 1.5x2 Some(Sell) id 7 seq -",
            ),
            (
                "numbers as literals, time in microseconds, the envelope's instrument",
                trade(r#""ts":1646311839593123,"px":1.5e0,"tradeId":7,"sz":2,"side":"buy","seqId":"9""#),
                "trade X 1646311839593123000 - 1.5x2 Some(Buy) id 7 seq 9",
            ),
            ("neither side, id nor time", trade(r#""px":"1","sz":"2""#), "trade X - - 1x2 None id  seq -"),
            ("no price", trade(r#""sz":"2","side":"buy","ts":"1""#), "rejected: missing_field (px)"),
            ("empty price", trade(r#""px":"","sz":"2""#), "rejected: bad_number (px)"),
            ("another side", trade(r#""px":"1","sz":"2","side":"both""#), "rejected: bad_field (side)"),
            ("a bad time", trade(r#""px":"1","sz":"2","ts":"soon""#), "rejected: bad_time (ts)"),
            (
                "no instrument",
                r#"{"arg":{"channel":"trades"},"data":[{"px":"1","sz":"2"}]}"#.into(),
                "rejected: no_symbol (instId)",
            ),
            (
                "a bad one behind a good one",
                okx("trades", &format!(r#""data":[{{{whole}}},{{"px":"x","sz":"1"}}]"#)),
                "rejected: bad_number (px)",
            ),
            ("no trades", okx("trades", r#""data":[]"#), "no event"),
            ("no list", okx("trades", r#""data":{}"#), "rejected: bad_field (data)"),
            ("a list of lists", okx("trades", r#""data":[[]]"#), "rejected: bad_field (data)"),
            ("no data", okx("trades", r#""code":0"#), "rejected: missing_field (data)"),
            (
                "a ticker without bids",
                okx("tickers", r#""data":[{"instId":"Y","bidPx":"","bidSz":null,"askPx":"3","askSz":4,"ts":"1"}]"#),
                "quote Y 1000000 - -x- 3x4 seq -",
            ),
            (
                "a ticker of something else",
                okx("tickers", r#""data":[{"last":"1","ts":"1"}]"#),
                "rejected: missing_field (bidPx)",
            ),
            (
                "best, two levels",
                okx("bbo-tbt", r#""data":[{"bids":[["2","1"],["1","9"]],"asks":[],"seqId":5}]"#),
                "quote X - - 2x1 -x- seq 5",
            ),
        ],
    );
}

#[test]
fn okx_books() {
    let book = |rest: &str| okx("books", &format!(r#""action":"update","data":[{rest}]"#));
    let one =
        r#"{"bids":[["1","2","0","3"]],"asks":[["2","0","0","0"]],"ts":"1","seqId":7,"prevSeqId":-1,"checksum":-1}"#;
    assert_given(
        "okx",
        &[
            ("a change", book(one), "Delta X 1000000 - bids 1@2 asks 2@0 seq - 7 -1 sum Some(4294967295)"),
            (
                "its keys in another order",
                format!(r#"{{"data":[{one}],"action":"snapshot","arg":{{"instId":"X","channel":"books50-l2-tbt"}}}}"#),
                "Snapshot X 1000000 - bids 1@2 asks 2@0 seq - 7 -1 sum Some(4294967295)",
            ),
            (
                "two elements",
                book(r#"{"bids":[["1","2"]],"asks":[]},{"asks":[["3","4"]],"bids":[]}"#),
                "Delta X - - bids 1@2 asks  seq - - - sum None\nDelta X - - bids  asks 3@4 seq - - - sum None",
            ),
            (
                "the second one bad",
                book(r#"{"bids":[["1","2"]],"asks":[]},{"asks":[["3"]],"bids":[]}"#),
                "rejected: missing_field (asks)",
            ),
            (
                "nothing changed",
                book(r#"{"bids":[],"asks":[],"seqId":7,"prevSeqId":7}"#),
                "Delta X - - bids  asks  seq - 7 7 sum None",
            ),
            ("one side only", book(r#"{"asks":[[1,2.5e1]]}"#), "Delta X - - bids  asks 1@25 seq - - - sum None"),
            ("no side", book(r#"{"ts":"1"}"#), "rejected: missing_field (bids)"),
            ("a side of another kind", book(r#"{"bids":{},"asks":[]}"#), "rejected: bad_field (bids)"),
            ("a level of texts", book(r#"{"bids":["1"],"asks":[]}"#), "rejected: bad_field (bids)"),
            (
                "a checksum of 33 bits",
                book(r#"{"bids":[],"asks":[],"checksum":4294967295}"#),
                "rejected: number_out_of_range (checksum)",
            ),
            (
                "neither whole nor a change",
                okx("books", r#""data":[{"bids":[],"asks":[]}]"#),
                "rejected: missing_field (action)",
            ),
            ("another action", okx("books", r#""action":"partial","data":[]"#), "rejected: bad_field (action)"),
            (
                "the top is always whole",
                okx("books5", r#""data":[{"bids":[["1","2"]],"asks":[]}]"#),
                "Snapshot X - - bids 1@2 asks  seq - - - sum None",
            ),
            (
                "another book",
                okx("books-elp", r#""action":"update","data":[{"bids":[],"asks":[]}]"#),
                "unknown: channel books-elp",
            ),
        ],
    );
}

#[test]
fn okx_answers() {
    let cases = [
        ("pong", "alive: event pong"),
        (" pong\n", "alive: event pong"),
        ("ping", "rejected: not_json (frame)"),
        (r#"{"event":"unsubscribe","arg":{"channel":"books","instId":"X"}}"#, "ack: event unsubscribe"),
        (r#"{"event":"error","code":"60012","msg":"Invalid request","connId":"a"}"#, "error: event error"),
        (r#"{"event":"notice","code":"64008","msg":"soon","connId":"a"}"#, "server_shutdown: event notice"),
        (r#"{"event":"notice","code":64008}"#, "server_shutdown: event notice"),
        (r#"{"event":"notice","code":"1"}"#, "unknown: event notice"),
        (
            r#"{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"a"}"#,
            "alive: event channel-conn-count",
        ),
        (r#"{"event":"news"}"#, "unknown: event news"),
        (r#"{"arg":{"channel":"candle1m","instId":"X"},"data":[["1","2"]]}"#, "unknown: channel candle1m"),
        (r#"{"arg":{"channel":7},"data":[]}"#, "unknown: channel None"),
        (r#"{"code":"0","msg":"","data":[]}"#, "unknown: channel None"),
        ("[]", "unknown: channel None"),
    ];
    for (frame, expected) in cases {
        assert_eq!(given("okx", frame), expected, "{frame}");
    }
}

#[test]
fn bybit_trades_and_books() {
    let trades = |data: &str| format!(r#"{{"data":{data},"ts":2,"type":"snapshot","topic":"publicTrade.X"}}"#);
    let book =
        |kind: &str, data: &str| format!(r#"{{"data":{data},"ts":"2","type":"{kind}","topic":"orderbook.50.X"}}"#);
    let one = r#"{"s":"X","b":[["1","2"]],"a":[["2","0"]],"u":7,"seq":9}"#;
    assert_given(
        "bybit",
        &[
            (
                "in any order",
                trades(r#"[{"v":2,"p":"1.50","S":"Buy","s":"X","i":5,"T":"1"}]"#),
                "trade X 1000000 2000000 1.5x2 Some(Buy) id 5 seq -",
            ),
            (
                "two of an option's coin",
                trades(
                    r#"[{"s":"BTC-C","p":"1","v":"1","i":"20F43950-d8dd-5b31-9112-a178eb6023af"},{"s":"BTC-P","p":"2","v":"1","S":"Sell","seq":3}]"#,
                ),
                "trade BTC-C - 2000000 1x1 None id 20f43950-d8dd-5b31-9112-a178eb6023af seq -\ntrade BTC-P - 2000000 2x1 Some(Sell) id  seq 3",
            ),
            ("an id of another kind", trades(r#"[{"s":"X","p":"1","v":"1","i":"abc"}]"#), "rejected: bad_field (i)"),
            (
                "a bad one behind a good one",
                trades(r#"[{"s":"X","p":"1","v":"1"},{"s":"X","p":"1"}]"#),
                "rejected: missing_field (v)",
            ),
            ("no instrument", trades(r#"[{"p":"1","v":"1"}]"#), "rejected: no_symbol (s)"),
            ("no trades", trades("[]"), "no event"),
            ("no list", trades("1"), "rejected: bad_field (data)"),
            (
                "a change without `cts`",
                book("delta", one),
                "Delta X 2000000 2000000 bids 1@2 asks 2@0 seq 9 7 - sum None",
            ),
            (
                "a whole book in a list",
                book("snapshot", &format!("[{one}]")),
                "Snapshot X 2000000 2000000 bids 1@2 asks 2@0 seq 9 7 - sum None",
            ),
            (
                "one side, no numbers",
                book("delta", r#"{"s":"X","a":[[1,"2"]]}"#),
                "Delta X 2000000 2000000 bids  asks 1@2 seq - - - sum None",
            ),
            ("no side", book("delta", r#"{"s":"X","u":7,"seq":9}"#), "rejected: missing_field (b)"),
            ("a bad level", book("delta", r#"{"s":"X","b":[["1","2"],["1","x"]],"a":[]}"#), "rejected: bad_number (b)"),
            ("another type", book("partial", one), "rejected: bad_field (type)"),
            ("no type", format!(r#"{{"topic":"orderbook.1.X","data":{one}}}"#), "rejected: missing_field (type)"),
            ("no data", r#"{"topic":"orderbook.1.X","type":"delta"}"#.into(), "rejected: missing_field (data)"),
            (
                "with retail orders",
                r#"{"topic":"orderbook.rpi.X","type":"delta","data":{"s":"X","b":[],"a":[]}}"#.into(),
                "unknown: topic orderbook.rpi",
            ),
        ],
    );
}

#[test]
fn bybit_answers() {
    let cases = [
        (r#"{"success":true,"ret_msg":"","conn_id":"a","req_id":"","op":"subscribe"}"#, "ack: op subscribe"),
        (
            r#"{"success":false,"ret_msg":"error:handler not found","conn_id":"a","op":"subscribe"}"#,
            "error: op subscribe",
        ),
        (r#"{"success":true,"ret_msg":"pong","conn_id":"a","req_id":"1","op":"ping"}"#, "alive: op ping"),
        (r#"{"args":["1672916271846"],"op":"pong"}"#, "alive: op pong"),
        (
            r#"{"success":true,"conn_id":"a","data":{"failTopics":[],"successTopics":["tickers.X"]},"type":"COMMAND_RESP"}"#,
            "ack: op None",
        ),
        (r#"{"op":"news"}"#, "unknown: op news"),
        (r#"{"ret_code":0,"ret_msg":"OK","result":[]}"#, "unknown: op None"),
        (r#"{"topic":"kline.1.X","data":[{"start":1}],"type":"snapshot"}"#, "unknown: topic kline"),
        ("pong", "rejected: not_json (frame)"),
    ];
    for (frame, expected) in cases {
        assert_eq!(given("bybit", frame), expected, "{frame}");
    }
}

/// A ticker is told whole, with the numbers as they were sent, whichever of them this frame holds.
#[test]
fn bybit_tickers_are_merged_for_each_connection() {
    let mut decoder = table::decoder_for("bybit").unwrap();
    let ticker = |kind: &str, data: &str| {
        format!(r#"{{"topic":"tickers.X","type":"{kind}","data":{{"symbol":"X",{data}}},"cs":1,"ts":1}}"#)
    };
    let whole = r#""bid1Price":"1.50","bid1Size":"5","ask1Price":"1.60","ask1Size":"1e1""#;
    let frames = [
        // connection, frame, texts of bid, its size, ask, its size; or why not
        ("linear", ticker("snapshot", whole), "1.50 5 1.60 1e1"),
        ("linear", ticker("delta", r#""ask1Size":"7.0""#), "1.50 5 1.60 7.0"),
        ("inverse", ticker("delta", r#""bid1Size":"3","lastPrice":"1""#), "- 3 - -"),
        ("linear", ticker("delta", r#""lastPrice":"1""#), "unknown: tickers without bid/ask"),
        ("linear", ticker("delta", r#""bid1Price":"","bid1Size":"x""#), "rejected: bad_number (bid1Size)"),
        ("linear", ticker("delta", r#""bid1Price":"","bid1Size":"0""#), "- 0 1.60 7.0"),
        ("linear", ticker("delta", r#""bid1Price": 2.25 "#), "2.25 0 1.60 7.0"),
        (
            "linear",
            ticker("delta", &format!(r#""bid1Price":"{}1""#, "0".repeat(64))),
            "rejected: number_out_of_range (bid1Price)",
        ),
        ("linear", ticker("delta", r#""ask1Price":null"#), "2.25 0 - 7.0"),
        ("linear", ticker("snapshot", r#""bid1Price":"9""#), "9 - - -"),
        ("inverse", ticker("delta", r#""bid1Price":"4""#), "4 3 - -"),
        ("option", ticker("snapshot", r#""bidPrice":"0","bidSize":"0","askPrice":"10","askSize":"5.1""#), "0 0 10 5.1"),
    ];
    for (conn, frame, expected) in frames {
        let mut texts = Vec::new();
        let outcome = decoder.decode(conn, &frame, &mut |text: &str, message: &Message<'_>| {
            let Message::Quote(quote) = message else { return };
            let nums = [quote.bid, quote.bid_size, quote.ask, quote.ask_size];
            texts.extend(nums.map(|num| num.map_or("-", |num| num.text(text)).to_owned()));
        });
        let got = match outcome {
            Outcome::Messages(_) => texts.join(" "),
            Outcome::Unknown(label) => format!("unknown: {label}"),
            Outcome::Rejected(reject) => format!("rejected: {reject}"),
            Outcome::Control { .. } => "control".to_owned(),
        };
        assert_eq!(got, expected, "{frame}");
    }
}

/// Spot and linear print the same symbol: in one capture it is one instrument for each connection, alone it is one.
#[test]
fn a_symbol_of_bybit_is_an_instrument_of_its_connection() {
    let lines: Vec<String> = [("ws-2", 1), ("ws-3", 2), ("ws-2", 3)]
        .map(|(conn, at)| {
            let frame = format!(
                r#"{{"topic":"publicTrade.X","type":"snapshot","ts":{at},"data":[{{"T":{at},"s":"X","S":"Buy","v":"1","p":"2","i":"{at}"}}]}}"#
            );
            json!({"recv_ns": at * 1_000_000, "conn": conn, "dir": "in", "frame": frame}).to_string()
        })
        .into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let cases = [
        // venue, instrument of each trade, names of the instruments
        ("bybit", [1, 2, 1], vec!["ws-2/X", "ws-3/X"]),
        ("bybit_spot", [1, 1, 1], vec!["X"]),
        ("bybit_linear", [1, 1, 1], vec!["X"]),
    ];
    for (venue, expected, names) in cases {
        let instruments = Instruments::in_memory();
        let parts = SourceParts {
            name: "under-test".to_owned(),
            validation: ValidationConfig::default(),
            instruments: instruments.clone(),
            dead_letters: DeadLetters::disabled(),
            keep_unknown: false,
            frame_bytes_max: 1 << 20,
        };
        let config = CaptureConfig { paths: vec![path.clone()], venue: Some(venue.to_owned()), speed: Speed::Max };
        let source = CaptureSource::new(parts, &config).unwrap();
        let ran = SourceRun::new([&FRAME_REASONS, &TRADE_REASONS]).run(Box::new(source));
        let got: Vec<u32> = ran.events.iter().map(|event| event.instrument().0).filter(|id| *id > 0).collect();
        assert_eq!(got, expected, "{venue}");
        let known: Vec<String> = (1u32..)
            .map_while(|id| instruments.get(InstrumentId(id)))
            .map(|known| {
                assert_eq!(&*known.venue, venue);
                known.symbol.to_string()
            })
            .collect();
        assert_eq!(known, names, "{venue}");
    }
}
