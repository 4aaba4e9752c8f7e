//! What a venue, or somebody who pretends to be one, may send: each frame has one outcome and a reason.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_model::{BookAction, Side, TradeId};
use feedd_venues::decoder::{CONTROL_ACK, CONTROL_ERROR, CONTROL_SHUTDOWN, Decoder, FRAME_BYTES_MAX, Outcome};
use feedd_venues::message::Message;
use feedd_venues::table;

/// The outcome in one word or two.
fn outcome(decoder: &mut dyn Decoder, frame: &[u8]) -> String {
    let mut messages = 0;
    let outcome = decoder.decode_bytes("ws-1", frame, &mut |_: &str, _: &Message<'_>| messages += 1);
    match outcome {
        Outcome::Messages(count) => {
            assert_eq!(count, messages);
            return format!("messages {count}");
        }
        _ => assert_eq!(messages, 0, "a frame is taken whole or not at all"),
    }
    match outcome {
        Outcome::Control { name, .. } => name.to_owned(),
        Outcome::Unknown(label) => format!("unknown {label}"),
        Outcome::Rejected(reject) => reject.to_string(),
        Outcome::Messages(_) => unreachable!(),
    }
}

fn trade(price: &str) -> String {
    format!(r#"{{"e":"trade","E":1,"s":"X","t":1,"p":{price},"q":"1","T":1,"m":true}}"#)
}

#[test]
fn each_frame_has_one_outcome() {
    let digits = |count| format!("\"{}\"", "1".repeat(count));
    let cases: Vec<(&str, String, &str)> = vec![
        ("a trade", trade("\"1.5\""), "messages 1"),
        ("price as a literal", trade("1.50"), "messages 1"),
        ("price with an exponent, exact", trade("\"6e-8\""), "messages 1"),
        ("price of 40 digits", trade(&digits(40)), "number_out_of_range (p)"),
        ("price of a million digits", trade(&digits(1_000_000)), "number_out_of_range (p)"),
        ("exponent too large", trade("1e400"), "number_out_of_range (p)"),
        ("exponent too small", trade("\"1e-31\""), "number_out_of_range (p)"),
        ("empty price", trade("\"\""), "bad_number (p)"),
        ("price in words", trade("\"NaN\""), "bad_number (p)"),
        ("price with a space", trade("\" 1\""), "bad_number (p)"),
        ("price null", trade("null"), "bad_number (p)"),
        ("price a list", trade("[1]"), "bad_number (p)"),
        ("no price", r#"{"e":"trade","E":1,"s":"X","t":1,"q":"1","T":1,"m":true}"#.into(), "missing_field (p)"),
        ("no size", r#"{"e":"trade","E":1,"s":"X","t":1,"p":"1","T":1,"m":true}"#.into(), "missing_field (q)"),
        ("no time", r#"{"e":"trade","E":1,"s":"X","t":1,"p":"1","q":"1","m":true}"#.into(), "missing_field (T)"),
        ("no id", r#"{"e":"trade","E":1,"s":"X","p":"1","q":"1","T":1,"m":true}"#.into(), "missing_field (id)"),
        ("no side", r#"{"e":"trade","E":1,"s":"X","t":1,"p":"1","q":"1","T":1}"#.into(), "missing_field (m)"),
        (
            "side a text",
            r#"{"e":"trade","E":1,"s":"X","t":1,"p":"1","q":"1","T":1,"m":"true"}"#.into(),
            "bad_field (m)",
        ),
        ("no symbol", r#"{"e":"trade","E":1,"t":1,"p":"1","q":"1","T":1,"m":true}"#.into(), "no_symbol (s)"),
        ("empty symbol", r#"{"e":"trade","s":"","t":1,"p":"1","q":"1","T":1,"m":true}"#.into(), "no_symbol (s)"),
        ("negative time", r#"{"e":"trade","s":"X","t":1,"p":"1","q":"1","T":-1,"m":true}"#.into(), "bad_time (T)"),
        ("empty", String::new(), "not_json (frame)"),
        ("no JSON", "pong".into(), "not_json (frame)"),
        ("cut off", r#"{"e":"trade","E":1"#.into(), "not_json (frame)"),
        ("two values", "{}{}".into(), "not_json (frame)"),
        ("a comma too many", r#"{"e":"trade",}"#.into(), "not_json (frame)"),
        ("nested bomb", "[".repeat(100_000), "too_deep (frame)"),
        ("nested bomb in a field", format!("{{\"x\":{}", "{\"a\":".repeat(100_000)), "too_deep (frame)"),
        ("no object", "17".into(), "unknown event None"),
        ("empty object", "{}".into(), "unknown event None"),
        ("empty wrapper", r#"{"stream":"x@trade","data":null}"#.into(), "unknown event None"),
    ];
    for (name, frame, expected) in cases {
        // The frames are Binance's.
        for venue in table::names().filter(|venue| venue.starts_with("binance") || *venue == "sim") {
            let mut decoder = table::decoder_for(venue).unwrap();
            assert_eq!(outcome(&mut *decoder, frame.as_bytes()), expected, "{name} at {venue}");
        }
    }
}

#[test]
fn size_and_encoding_are_checked_first() {
    let mut decoder = table::decoder_for("binance").unwrap();
    let padded = |bytes: usize| {
        let mut frame = trade("\"1\"").into_bytes();
        frame.resize(bytes, b' ');
        frame
    };
    assert_eq!(outcome(&mut *decoder, &padded(FRAME_BYTES_MAX)), "messages 1");
    assert_eq!(outcome(&mut *decoder, &padded(FRAME_BYTES_MAX + 1)), "too_large (frame)");
    assert_eq!(outcome(&mut *decoder, &padded(20 << 20)), "too_large (frame)");
    assert_eq!(outcome(&mut *decoder, b"{\"e\":\"tr\xffade\"}"), "not_utf8 (frame)");
}

#[test]
fn depth_is_taken_whole_or_not_at_all() {
    let depth = |rest: &str| format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,{rest}}}"#);
    let cases = [
        ("both sides", depth(r#""b":[["1","2"]],"a":[["3","0"]]"#), "messages 1"),
        ("both empty", depth(r#""b":[],"a":[]"#), "messages 1"),
        ("a third element, as spot sent once", depth(r#""b":[["1","2",[]]],"a":[]"#), "messages 1"),
        ("no asks", depth(r#""b":[]"#), "missing_field (a)"),
        ("asks null", depth(r#""b":[],"a":null"#), "bad_field (a)"),
        ("last level bad", depth(r#""b":[["1","2"],["1","x"]],"a":[]"#), "bad_number (b)"),
        ("level without size", depth(r#""b":[["1"]],"a":[]"#), "missing_field (b)"),
        ("empty level", depth(r#""b":[[]],"a":[]"#), "bad_field (b)"),
        ("flat list", depth(r#""b":["1","2"],"a":[]"#), "bad_field (b)"),
        ("level of objects", depth(r#""b":[{"p":1}],"a":[]"#), "bad_field (b)"),
        ("bad, then repeated well: the last counts", depth(r#""b":[["x","y"]],"b":[],"a":[]"#), "messages 1"),
        ("bad behind the levels", depth(r#""b":[["1","2"]],"a":[],"T":"x""#), "bad_time (T)"),
        (
            "too many levels",
            depth(&format!(r#""b":[{}["1","2"]],"a":[]"#, r#"["1","2"],"#.repeat(1 << 18))),
            "too_many_levels (b)",
        ),
        ("no sequence", r#"{"e":"depthUpdate","E":1,"s":"X","b":[],"a":[]}"#.into(), "missing_field (U)"),
        (
            "sequence too large",
            r#"{"e":"depthUpdate","E":1,"s":"X","U":1,"u":9223372036854775808,"b":[],"a":[]}"#.into(),
            "number_out_of_range (u)",
        ),
        ("answer without a request", r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#.into(), "unknown event None"),
        (
            "partial depth, asks missing",
            r#"{"stream":"x@depth5","data":{"lastUpdateId":1,"bids":[]}}"#.into(),
            "missing_field (asks)",
        ),
        (
            "stream without a symbol",
            r#"{"stream":"","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#.into(),
            "no_symbol (stream)",
        ),
    ];
    let mut decoder = table::decoder_for("binance").unwrap();
    for (name, frame, expected) in cases {
        assert_eq!(outcome(&mut *decoder, frame.as_bytes()), expected, "{name}");
    }
}

#[test]
fn what_is_no_market_data_is_named() {
    let cases = [
        ("subscribed", r#"{"result":null,"id":1}"#, CONTROL_ACK),
        ("list of subscriptions", r#"{"result":["btcusdt@trade"],"id":3}"#, CONTROL_ACK),
        ("refused", r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#, CONTROL_ERROR),
        ("refused by REST", r#"{"code":-1121,"msg":"Invalid symbol."}"#, CONTROL_ERROR),
        ("shutdown", r#"{"e":"serverShutdown","E":1770123456789}"#, CONTROL_SHUTDOWN),
        ("kline", r#"{"e":"kline","s":"X","k":{"t":1,"b":[1]}}"#, "unknown event kline"),
        (
            "other letters, other meanings",
            r#"{"e":"ACCOUNT_UPDATE","a":{"B":[{"a":"USDT"}]},"b":[[]]}"#,
            "unknown event ACCOUNT_UPDATE",
        ),
        (
            "list of tickers",
            r#"{"stream":"!ticker@arr","data":[{"e":"24hrTicker","s":"X"}]}"#,
            "unknown list of 24hrTicker",
        ),
        ("bare list of tickers", r#"[{"e":"24hrMiniTicker","s":"X"}]"#, "unknown list of 24hrMiniTicker"),
        ("empty list", r#"{"stream":"!ticker@arr","data":[]}"#, "unknown list of None"),
        (
            "list of quotes",
            r#"[{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"},{"u":2,"s":"Y","b":"1","B":"1","a":"2","A":"1"}]"#,
            "messages 2",
        ),
        (
            "list of quotes, the last one bad",
            r#"[{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"},{"u":2,"s":"Y","b":"","B":"1","a":"2","A":"1"}]"#,
            "bad_number (b)",
        ),
        (
            "another book under the same event name",
            r#"{"stream":"x@rpiDepth@500ms","data":{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[],"a":[]}}"#,
            "unknown stream rpiDepth",
        ),
        ("open interest", r#"{"symbol":"X","openInterest":"1","time":1}"#, "unknown event None"),
    ];
    let mut decoder = table::decoder_for("binance_usdm").unwrap();
    for (name, frame, expected) in cases {
        assert_eq!(outcome(&mut *decoder, frame.as_bytes()), expected, "{name}");
    }
}

/// Key order, white space, escapes and wrapping are the sender's business: the message is the same.
#[test]
fn one_trade_in_many_spellings() {
    let spellings = [
        r#"{"e":"trade","E":3,"s":"BTCUSDT","t":7,"p":"1.50","q":"2","T":1723161255342,"m":true,"M":true}"#,
        r#"{"M":true,"m":true,"T":1723161255342,"q":"2","p":"1.50","t":7,"s":"BTCUSDT","E":3,"e":"trade"}"#,
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":3,"s":"BTCUSDT","t":7,"p":"1.50","q":"2","T":1723161255342,"m":true}}"#,
        r#"{"data":{"e":"trade","E":3,"s":"BTCUSDT","t":7,"p":"1.50","q":"2","T":1723161255342,"m":true},"stream":"btcusdt@trade"}"#,
        " {\n\t\"e\" : \"trade\" ,\r\n \"E\":3, \"s\" : \"BTCUSDT\", \"t\":7, \"p\": 1.50, \"q\":\"2\", \"T\" : 1723161255342000, \"m\" : true } ",
        r#"{"\u0065":"trade","E":3,"s":"BTC\u0055SDT","t":"7","p":"9","p":"1.50","q":"2","T":"1723161255342","m":true,"st":{"x":[1,"\"}"]}}"#,
        r#"{"e":"aggTrade","E":3,"s":"BTCUSDT","a":7,"f":5,"l":6,"p":"1.50","q":"2","T":1723161255342,"m":true,"X":"NA"}"#,
    ];
    for frame in spellings {
        let mut decoder = table::decoder_for("binance").unwrap();
        let mut trades = 0;
        decoder.decode("ws-1", frame, &mut |frame: &str, message: &Message<'_>| {
            let Message::Trade(trade) = message else { panic!("a trade: {frame}") };
            trades += 1;
            assert_eq!((trade.symbol, trade.price.text(frame), trade.size.text(frame)), ("BTCUSDT", "1.50", "2"));
            assert_eq!((trade.side, trade.id), (Some(Side::Sell), TradeId::Number(7)));
            assert_eq!(trade.exchange_ts.map(|time| time.0), Some(1_723_161_255_342_000_000));
        });
        assert_eq!(trades, 1, "{frame}");
    }
}

#[test]
fn books_without_a_symbol_get_it_from_the_stream_or_the_request() {
    let mut decoder = table::decoder_for("binance").unwrap();
    let rest = r#"{"lastUpdateId":9,"bids":[["1","2"]],"asks":[]}"#;
    let partial = r#"{"stream":"ethusdt@depth20@100ms","data":{"lastUpdateId":9,"bids":[["1","2"]],"asks":[]}}"#;
    decoder.request("rest", "GET https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000");
    let mut seen = Vec::new();
    for (conn, frame) in [("ws-1", rest), ("ws-1", partial), ("rest", rest), ("rest", rest)] {
        decoder.decode(conn, frame, &mut |_: &str, message: &Message<'_>| {
            let Message::Book(book) = message else { panic!("a book") };
            assert_eq!((book.action, book.bids.len(), book.asks.len()), (BookAction::Snapshot, 1, 0));
            assert_eq!(book.seq_last.map(|seq| seq.0), Some(9));
            seen.push((conn, book.symbol.to_owned()));
        });
    }
    assert_eq!(seen, [("ws-1", "ETHUSDT".to_owned()), ("rest", "BTCUSDT".to_owned())]);
}
