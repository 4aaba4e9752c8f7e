//! Coinbase's and Kraken's frames as they are usually printed are read by the short way, all others by the general one: nobody
//! can tell the two apart. White space behind a frame means nothing, but the short way has none: so the same frame is read
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
const FRAMES: [(&str, &str); 25] = [
    (
        "coinbase",
        r#"{"type":"l2update","product_id":"BTC-USD","changes":[["buy","37378.26","0.0246"],["sell","37378.27","0"]],"time":"2021-06-02T09:02:09.048568Z"}"#,
    ),
    ("coinbase", r#"{"type":"l2update","product_id":"BTC-USD","changes":[],"time":"0001-01-01T00:00:00Z"}"#),
    (
        "coinbase",
        r#"{"type":"match","trade_id":280232,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#,
    ),
    (
        "coinbase",
        r#"{"type":"last_match","trade_id":0,"maker_order_id":"a","taker_order_id":"b","side":"buy","size":"1e-3","price":"-2","product_id":"X\u002dY","sequence":3,"time":"2021-04-17T16:43:37Z"}"#,
    ),
    (
        "coinbase",
        r#"{"type":"ticker","sequence":38,"product_id":"BTC-USD","price":"29940.91","open_24h":"31677.61","volume_24h":"27.78","low_24h":"29308.01","high_24h":"31888","volume_30d":"778633.1","best_bid":"29940.90","best_ask":"29940.91","side":"buy","time":"2022-06-02T09:20:54.127011Z","trade_id":347875517,"last_size":"0.00061522"}"#,
    ),
    (
        "coinbase",
        r#"{"type":"ticker","sequence":38,"product_id":"BTC-USD","price":"2","open_24h":"3","volume_24h":"2","low_24h":"2","high_24h":"3","volume_30d":"7","best_bid":"29940.90","best_bid_size":"0.5","best_ask":"","best_ask_size":"1","side":"buy","time":"2024-06-02T09:20:54.127011Z","trade_id":3,"last_size":"0.1"}"#,
    ),
    (
        "coinbase",
        r#"{"type":"snapshot","product_id":"BAND-GBP","asks":[["14.8024","12.77"]],"bids":[["14.7","1"],["14.6","2"]]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"l2_data","timestamp":"2026-08-09T21:05:48.506659391Z","sequence_num":15,"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"offer","event_time":"2026-08-09T21:05:48.264069Z","price_level":"65106.54","new_quantity":"0.15"},{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"65100","new_quantity":"0"}]}]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"l2_data","client_id":"","timestamp":"2026-08-09T21:05:48.506659391Z","sequence_num":0,"events":[{"type":"snapshot","product_id":"X-Y","updates":[{"side":"bid","event_time":"","price_level":"1","new_quantity":"2"}]},{"type":"update","product_id":"Y-Z","updates":[{"side":"offer","event_time":"","price_level":"3","new_quantity":"4"}]}]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"market_trades","client_id":"","timestamp":"2026-08-09T21:05:49.25328358Z","sequence_num":50,"events":[{"type":"snapshot","trades":[{"product_id":"BTC-USD","trade_id":"92","price":"65083.66","size":"0.0017","time":"2026-08-09T21:05:49.205817Z","side":"BUY"},{"product_id":"BTC-USD","trade_id":"91","price":"65083","size":"1","time":"2026-08-09T21:05:49Z","side":"SELL"}]}]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"market_trades","timestamp":"2026-08-09T21:05:49.25328358Z","sequence_num":50,"events":[{"type":"update","trades":[{"product_id":"BTC-USD","trade_id":"92","price":"65083.66","size":"0.0017","time":"2026-08-09T21:05:49.205817Z","side":"BUY"}]}]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"ticker","timestamp":"2026-08-09T21:05:48.348050942Z","sequence_num":11,"events":[{"type":"update","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"65086.18","volume_24_h":"2867.5","low_24_h":"64675.22","high_24_h":"65252.99","low_52_w":"57717.55","high_52_w":"126296","price_percent_chg_24_h":"0.096","best_bid":"65083.66","best_ask":"65083.67","best_bid_quantity":"0.2","best_ask_quantity":"0.15"}]}]}"#,
    ),
    (
        "coinbase",
        r#"{"channel":"heartbeats","timestamp":"2026-08-09T21:05:48.8Z","sequence_num":35,"events":[{"current_time":"now","heartbeat_counter":41691}]}"#,
    ),
    (
        "kraken",
        r#"{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":62806.6,"qty":0.00000000},{"price":62808.0,"qty":0.79607759}],"checksum":265834348,"timestamp":"2026-08-16T23:37:05.376419Z"}]}"#,
    ),
    (
        "kraken",
        r#"{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":1,"qty":2.5e-3}],"asks":[],"checksum":0},{"symbol":"A/B","bids":[],"asks":[{"price":3,"qty":4}],"checksum":4294967295}]}"#,
    ),
    (
        "kraken",
        r#"{"channel":"trade","type":"snapshot","data":[{"symbol":"ETH/USD","side":"sell","price":2284.15,"qty":0.001,"ord_type":"market","trade_id":62886870,"timestamp":"2026-05-14T15:03:41.748964Z"},{"symbol":"ETH/USD","side":"buy","price":2284,"qty":1,"ord_type":"limit","trade_id":62886871,"timestamp":"2026-05-14T15:03:42Z"}]}"#,
    ),
    (
        "kraken",
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":60108.6,"bid_qty":2.84311954,"ask":60108.7,"ask_qty":0.00138853,"last":60108.7,"volume":4473.99704028,"vwap":59460.1,"low":58033,"high":61858.8,"change":-1497.7,"change_pct":-2.43,"timestamp":"2026-06-26T06:41:22.476797Z"}]}"#,
    ),
    (
        "kraken",
        r#"[320,{"as":[["39090.60000","0.00007039","1622714245.847093"]],"bs":[["39071.4","7.9","1622714255.963942"],["39071","1","1622714255.9"]]},"book-25","XBT/USD"]"#,
    ),
    ("kraken", r#"[992,{"b":[["354.15","5.0","1618678133.365913","r"]],"c":"2583817756"},"book-1000","XMR/USD"]"#),
    (
        "kraken",
        r#"[1920,{"a":[["0.042990","364630.2","1618678145.920470"]]},{"b":[["0.042990","0","1618678145.920708"]],"c":"4105471083"},"book-1000","SC/EUR"]"#,
    ),
    ("kraken", r#"[0,{"b":[["1","1e3","1618678133"]],"c":"0"},"book-10","币/X"]"#),
    (
        "kraken",
        r#"[321,[["57126.70000","0.02063928","1616333924.737428","b","m",""],["57126","1","1616333925","s","l","x"]],"trade","XBT/USD"]"#,
    ),
    (
        "kraken",
        r#"[1668,{"a":["13.2539",35,"35.72892241"],"b":["13.2329",0,"0.18432037"],"c":["13.2539","3.71672"],"v":["1","2"],"p":["13.5","13.7"],"t":[640,1353],"l":["13.0","13.0"],"h":["13.9","14.2"],"o":["13.8","13.4"]},"ticker","WAVES/EUR"]"#,
    ),
    ("kraken", r#"[7,["5698.4","5700.0","1542057299.545897","1.01234567","0.98765432"],"spread","XBT/USD"]"#),
    ("kraken", r#"{"event":"subscriptionStatus","status":"error","errorMessage":"x"}"#),
];

/// Outcome and messages, with the place of every number.
fn told(venue: &str, frame: &str) -> String {
    let mut decoder = table::decoder_for(venue).unwrap();
    let mut messages = String::new();
    let outcome = decoder.decode("ws-1", frame, &mut |_: &str, message: &Message<'_>| {
        let _ = writeln!(messages, "{message:?}");
    });
    messages + &format!("{outcome:?} {:?}", decoder.connection_sequence())
}

fn assert_same_each_way(venue: &str, frame: &str) {
    assert_eq!(told(venue, frame), told(venue, &format!("{frame} ")), "{frame}");
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
            let members: Vec<String> = members
                .iter()
                .rev()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), turned_round(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(turned_round).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn recorded_frames_are_read_the_same_each_way() {
    let Some(shared) = common::shared() else { return };
    let mut frames = 0;
    for venue in ["coinbase", "kraken"] {
        for path in expand(&shared.join("captures").join(venue)).unwrap() {
            let mut reader = CaptureReader::open(&path).unwrap();
            while let Some(line) = reader.next_line().unwrap() {
                // A frame of 5 MB prints 100 MB here.
                if line.dir == Direction::In && line.frame.len() < 1 << 20 {
                    frames += 1;
                    assert_same_each_way(venue, line.frame);
                }
            }
        }
    }
    assert!(frames > 8000, "{frames}");
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
        integer in "-?[0-9]{1,20}",
        seconds in "[0-9]{0,12}(\\.[0-9]{0,12})?",
    ) {
        let [a, b] = &decimals[..] else { return Ok(()) };
        let i = integer;
        for (venue, frame) in [
            ("coinbase", format!(r#"{{"type":"l2update","product_id":"X","changes":[["buy","{a}","{b}"]],"time":"2021-06-02T09:02:09Z"}}"#)),
            ("coinbase", format!(r#"{{"channel":"market_trades","timestamp":"2026-08-09T21:05:49Z","sequence_num":{i},"events":[{{"type":"update","trades":[{{"product_id":"X","trade_id":"{i}","price":"{a}","size":"{b}","time":"2026-08-09T21:05:49.205817Z","side":"BUY"}}]}}]}}"#)),
            ("kraken", format!(r#"{{"channel":"book","type":"update","data":[{{"symbol":"X","bids":[{{"price":{a},"qty":{b}}}],"asks":[],"checksum":{i}}}]}}"#)),
            ("kraken", format!(r#"{{"channel":"trade","type":"update","data":[{{"symbol":"X","side":"buy","price":{a},"qty":{b},"ord_type":"limit","trade_id":{i},"timestamp":"2026-05-14T15:03:42Z"}}]}}"#)),
            ("kraken", format!(r#"[{i},{{"b":[["{a}","{b}","{seconds}"]],"c":"{i}"}},"book-10","X"]"#)),
        ] {
            assert_same_each_way(venue, &frame);
        }
    }
}
