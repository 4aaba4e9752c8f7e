//! OKX's and Bybit's frames as they are usually printed are read along a template, all others by the general way: nobody
//! can tell the two apart. White space behind a frame means nothing, but the templates have none: so the same frame is read
//! each way.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;
#[path = "common/values.rs"]
mod values;

use feedd_venues::capture::{CaptureReader, Direction, expand};
use feedd_venues::message::Message;
use feedd_venues::table;
use proptest::prelude::*;
use serde_json::Value;
use std::fmt::Write;
use values::values;

/// Synthetic frames of every shape, and numbers and texts at the edges of what a template takes.
const FRAMES: [(&str, &str); 26] = [
    (
        "okx",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"314161276","px":"43474.1","sz":"0.00373695","side":"buy","ts":"1646311839593"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1","px":"43474.1","sz":"1","side":"sell","ts":"1646311839593","count":"3","source":"0","seqId":1234},{"instId":"ETH-USDT","tradeId":"2","px":"2","sz":"1e1","side":"buy","ts":"1646311839594","count":"1","seqId":1235}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"trades-all","instId":"X"},"data":[{"instId":"\u0058","tradeId":"0","px":"6e-8","sz":"-1","side":"sell","ts":"0"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"29934","lastSz":"0.00001468","askPx":"29934.1","askSz":"0.30918743","bidPx":"29934","bidSz":"0.05181315","open24h":"31588.3","high24h":"31899.8","low24h":"29318.7","sodUtc0":"29806.5","sodUtc8":"30747","volCcy24h":"302140058.01215828","vol24h":"9935.14546361","ts":"1654166073135"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"tickers","instId":"BTC-USD-220624-C"},"data":[{"instType":"OPTION","instId":"BTC-USD-220624-C","last":"","lastSz":"0","askPx":"","askSz":"","bidPx":"0.0005","bidSz":"10","open24h":"","vol24h":"0","ts":"1654166073135"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"tickers","instId":"X"},"data":[{"instType":"SPOT","instId":"X","last":"1","lastSz":"1","askPx":"3","askSz":"1","bidPx":"2","bidSz":"1","bidPx":"1.5","ts":"1"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],"bids":[["111.05","57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"bbo-tbt","instId":"X"},"data":[{"asks":[],"bids":[["1","2","7","x"]],"ts":"1670324386802"}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[["30249.4","0","0","0"],["30261","4","0","1"]],"bids":[],"ts":"1652459225464","checksum":-914047754}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"books-l2-tbt","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":0,"seqId":123456,"prevSeqId":-1}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"books50-l2-tbt","instId":"X"},"action":"update","data":[{"asks":[],"bids":[],"ts":"1597026383085","checksum":2147483648,"prevSeqId":0,"seqId":9007199254740993}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"books5","instId":"BTC-USDT-220624"},"data":[{"asks":[["30351.5","18","0","2"]],"bids":[["30346.1","1","0","1"]],"instId":"BTC-USDT-220624","ts":"1652672165391","seqId":7}]}"#,
    ),
    (
        "okx",
        r#"{"arg":{"channel":"books","instId":"X"},"action":"update","data":[{"asks":[["1","2","0","1"]],"bids":[],"ts":"1"},{"asks":[],"bids":[["3","4","0","1"],["2","0"]],"ts":"2"}]}"#,
    ),
    ("okx", r#"{"event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"4a0c3369"}"#),
    (
        "bybit",
        r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT","S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,"RPI":false,"seq":753843954913}]}"#,
    ),
    (
        "bybit",
        r#"{"topic":"publicTrade.BTCUSDT","ts":1786310822606,"type":"snapshot","data":[{"i":"2290000001189048101","T":1786310822605,"p":"65140.5","v":"0.002705","S":"Buy","seq":112488547164,"s":"BTCUSDT","BT":false,"RPI":true},{"i":"0","T":1786310822605,"p":"1","v":"1e-3","S":"Sell","s":"ETHUSDT","BT":true}]}"#,
    ),
    (
        "bybit",
        r#"{"topic":"publicTrade.BTC","id":"x","ts":1,"type":"snapshot","data":[{"p":"1","v":"1","i":"abc","T":1,"BT":false,"s":"BTC-C","S":"Buy"}]}"#,
    ),
    (
        "bybit",
        r#"{"topic":"orderbook.200.BTCUSDT","ts":1786310816618,"type":"delta","data":{"s":"BTCUSDT","b":[["65140.4","0.875077"]],"a":[["65154.6","0.09948"],["65239.1","0"]],"u":62505425,"seq":112488545865},"cts":1786310816585}"#,
    ),
    (
        "bybit",
        r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT","b":[["16493.50","0.006"]],"a":[],"u":1,"seq":7961638724}}"#,
    ),
    (
        "bybit",
        r#"{"topic":"orderbook.50.X","type":"delta","ts":99999999999999,"data":{"s":"币","b":[["1","2"],["1.5","-3"]],"a":[["1","2","9"]],"u":0,"seq":-7},"cts":1}"#,
    ),
    (
        "bybit",
        r#"{"topic":"orderbook.rpi.X","type":"delta","ts":1,"data":{"s":"X","b":[["1","2","3"]],"a":[],"u":1,"seq":1},"cts":1}"#,
    ),
    (
        "bybit",
        r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"ZeroPlusTick","lastPrice":"65114.30","bid1Price":"65114.20","bid1Size":"5.954","ask1Price":"65114.30","ask1Size":"10.470","preOpenPrice":"","curPreListingPhase":""},"cs":753843900397,"ts":1786310817583}"#,
    ),
    (
        "bybit",
        r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"65117.43","ask1Price":"","ask1Size":"10.488"},"cs":753843915209,"ts":1786310818183}"#,
    ),
    (
        "bybit",
        r#"{"topic":"tickers.BTCUSDT","ts":1786310819126,"type":"snapshot","cs":112488546160,"data":{"symbol":"BTCUSDT","lastPrice":"65140.5","usdIndexPrice":"65091.459221"}}"#,
    ),
    (
        "bybit",
        r#"{"id":"m","topic":"tickers.BTC-6JAN23-17500-C","ts":1672917511074,"data":{"symbol":"BTC-6JAN23-17500-C","bidPrice":"0","bidSize":"0","bidIv":"0","askPrice":"10","askSize":"5.1","delta":"0.047831"},"type":"snapshot"}"#,
    ),
    ("bybit", r#"{"success":true,"ret_msg":"subscribe","conn_id":"d9avt8shteepr00gfc1g-4zd1x","op":"subscribe"}"#),
];

/// Outcome and messages, with the place of every number.
fn told(venue: &str, frame: &str) -> String {
    let mut decoder = table::decoder_for(venue).unwrap();
    let mut messages = String::new();
    let outcome = decoder.decode("ws-1", frame, &mut |_: &str, message: &Message<'_>| {
        let _ = writeln!(messages, "{message:?}");
    });
    messages + &format!("{outcome:?}")
}

fn assert_same_each_way(venue: &str, frame: &str) {
    let spaced = format!("{frame} ");
    assert_eq!(told(venue, frame), told(venue, &spaced), "{frame}");
    // Also where the numbers stand in a text of the decoder's own.
    assert_eq!(values(venue, frame), values(venue, &spaced), "{frame}");
}

#[test]
fn every_form_is_read_the_same_each_way() {
    for (venue, frame) in FRAMES {
        assert_same_each_way(venue, frame);
        for end in 0..frame.len() {
            if frame.is_char_boundary(end) {
                assert_same_each_way(venue, &frame[..end]);
            }
        }
    }
}

#[test]
fn the_order_of_keys_and_white_space_mean_nothing() {
    for (venue, frame) in FRAMES {
        // A key that stands there twice is there once in `value`; the frame without the first is another frame.
        if frame.matches("bidPx").count() > 1 {
            continue;
        }
        let value: Value = serde_json::from_str(frame).unwrap();
        assert_eq!(values(venue, &serde_json::to_string_pretty(&value).unwrap()), values(venue, frame), "{frame}");
        let turned = turned_round(&value);
        assert_eq!(values(venue, &turned), values(venue, frame), "{turned}");
    }
}

/// As text, with the keys of each object from last to first.
fn turned_round(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let member =
                |(key, value): (&String, &Value)| format!("{}:{}", Value::from(key.as_str()), turned_round(value));
            let members: Vec<String> = members.iter().rev().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(turned_round).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}

/// One decoder a way for a whole recording, because tickers are remembered.
#[test]
fn recorded_frames_are_read_the_same_each_way() {
    let Some(shared) = common::shared() else { return };
    let mut frames = 0;
    for venue in ["okx", "bybit"] {
        let (mut usual, mut general) = (table::decoder_for(venue).unwrap(), table::decoder_for(venue).unwrap());
        for path in expand(&shared.join("captures").join(venue)).unwrap() {
            let mut reader = CaptureReader::open(&path).unwrap();
            while let Some(line) = reader.next_line().unwrap() {
                if line.dir != Direction::In {
                    continue;
                }
                frames += 1;
                let spaced = format!("{} ", line.frame);
                let [one, other] =
                    [(&mut usual, line.frame), (&mut general, spaced.as_str())].map(|(decoder, frame)| {
                        let mut lines = String::new();
                        let outcome = decoder.decode(line.conn, frame, &mut |text: &str, message: &Message<'_>| {
                            lines += &format!("{message:?}\n");
                            if text != frame {
                                lines += text;
                            }
                        });
                        lines + &format!("{outcome:?}")
                    });
                assert_eq!(one, other, "{}", line.frame);
            }
        }
    }
    assert!(frames > 3500, "{frames}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Bytes in the place of others, also of numbers and of what holds the template together.
    #[test]
    fn bytes_are_damaged(
        (venue, frame) in prop::sample::select(&FRAMES[..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9.eE+ \\\\-]{0,3}|[a-zA-Z]|[0-9]{8,20}"), 1..3),
    ) {
        let mut text: Vec<char> = frame.chars().collect();
        for (at, piece) in damage {
            let at = at.index(text.len());
            text.splice(at..=at, piece.chars());
            if text.is_empty() {
                break;
            }
        }
        assert_same_each_way(venue, &text.iter().collect::<String>());
    }

    /// Pieces between commas in another place, left out, or there twice.
    #[test]
    fn pieces_are_moved(
        (venue, frame) in prop::sample::select(&FRAMES[..]),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3), 1..3),
    ) {
        let mut pieces: Vec<&str> = frame.split(',').collect();
        for (from, to, how) in moves {
            let at = from.index(pieces.len());
            let piece = pieces[at];
            if how < 2 && pieces.len() > 1 {
                pieces.remove(at);
            }
            if how != 1 {
                pieces.insert(to.index(pieces.len() + 1), piece);
            }
        }
        assert_same_each_way(venue, &pieces.join(","));
    }

    /// Numbers of any length in the places of numbers.
    #[test]
    fn numbers_have_any_length(
        decimals in prop::collection::vec("-?[0-9]{0,20}(\\.[0-9]{0,20})?(e-?[0-9])?", 2),
        integers in prop::collection::vec("-?[0-9]{1,20}", 2),
        id in "[0-9]{1,41}|[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-g]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    ) {
        let ([a, b], [i, j]) = (&decimals[..], &integers[..]) else { return Ok(()) };
        for (venue, frame) in [
            ("okx", format!(r#"{{"arg":{{"channel":"trades","instId":"X"}},"data":[{{"instId":"X","tradeId":"{id}","px":"{a}","sz":"{b}","side":"buy","ts":"{i}","count":"1","seqId":{j}}}]}}"#)),
            ("okx", format!(r#"{{"arg":{{"channel":"books","instId":"X"}},"action":"update","data":[{{"asks":[["{a}","{b}","0","1"]],"bids":[],"ts":"1","checksum":{i},"seqId":{j},"prevSeqId":{i}}}]}}"#)),
            ("bybit", format!(r#"{{"topic":"publicTrade.X","type":"snapshot","ts":{i},"data":[{{"T":{j},"s":"X","S":"Buy","v":"{a}","p":"{b}","i":"{id}","seq":{i}}}]}}"#)),
            ("bybit", format!(r#"{{"topic":"orderbook.50.X","type":"delta","ts":1,"data":{{"s":"X","b":[["{a}","{b}"]],"a":[],"u":{i},"seq":{j}}}}}"#)),
            ("bybit", format!(r#"{{"topic":"tickers.X","type":"delta","data":{{"symbol":"X","bid1Price":"{a}","ask1Size":"{b}"}},"cs":{i},"ts":1}}"#)),
        ] {
            assert_same_each_way(venue, &frame);
        }
    }
}
