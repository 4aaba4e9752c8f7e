//! Frames in the venue's usual order of keys are read along a template, in another order by a walk that takes any, all others
//! by the general way: nobody can tell the three apart. White space means nothing, but the first two have none: so the same
//! frame is read by its own way and by the general one.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use feedd_venues::capture::{CaptureReader, Direction, expand};
use feedd_venues::message::Message;
use feedd_venues::table;
use proptest::prelude::*;

/// Synthetic frames as each market prints them, and numbers and texts at the edges of what a template takes.
const FRAMES: [&str; 17] = [
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
    r#"{"stream":"ethusdt@trade","data":{"e":"trade","E":1723161256560,"T":1723161256560,"s":"ETHUSDT","t":4308068523,"p":"2681.62","q":"1.000","X":"MARKET","m":false}}"#,
    r#"{"e":"trade","E":1723161255343123,"s":"BTCUSDT","t":7,"p":"1.5","q":"2","T":1723161255342123,"m":true}"#,
    r#"{"e":"trade","E":1,"s":"\u0058","t":1,"p":"6e-8","q":"-1","T":1,"m":true}"#,
    r#"{"e":"trade","E":99999999999999,"s":"X","t":0,"p":"1","q":"1","T":1,"m":true}"#,
    r#"{"stream":"zilusdt@aggTrade","data":{"e":"aggTrade","E":1617647603484,"s":"ZILUSDT","a":18938405,"p":"0.21448000","q":"2062.90000000","f":23806928,"l":23806928,"T":1617647603483,"m":false,"M":true}}"#,
    r#"{"stream":"x@aggTrade","data":{"e":"aggTrade","E":1617647797640,"a":9445517,"s":"SANDUSDT","p":"0.69067","q":"369","nq":"369","f":12821738,"l":12821738,"T":1617647797485,"m":true}}"#,
    r#"{"stream":"ethusdt@bookTicker","data":{"u":35346513501,"s":"ETHUSDT","b":"2683.80000000","B":"3.02920000","a":"2683.81000000","A":"31.43950000"}}"#,
    r#"{"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#,
    r#"{"stream":"ethusdt@bookTicker","data":{"e":"bookTicker","u":5123107838717,"s":"ETHUSDT","b":"2681.62","B":"1.165","a":"2681.63","A":"73.077","T":1723161256310,"E":1723161256311}}"#,
    r#"{"u":9223372036854775807,"s":"币","b":"9223372036854775808","B":"1","a":"123456789012.00000000","A":".5"}"#,
    r#"{"stream":"ethusd_perp@bookTicker","data":{"u":1007202248291,"e":"bookTicker","s":"ETHUSD_PERP","ps":"ETHUSD","b":"2682.01","B":"1991","a":"2682.02","A":"2018","T":1723161601293,"E":1723161601299}}"#,
    r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,"b":[["61737.63000000","0.00000000"],["61730.17000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}}"#,
    r#"{"stream":"ethusd_perp@depth5@0ms","data":{"e":"depthUpdate","E":1723161601286,"T":1723161601274,"s":"ETHUSD_PERP","ps":"ETHUSD","U":1007202248094,"u":1007202248133,"pu":1007202247937,"b":[],"a":[["2682.70","1331"],["2685.97","0"]]}}"#,
    r#"{"stream":"x@rpiDepth","data":{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[],"a":[]}}"#,
    r#"{"e":"depthUpdate","E":1,"T":1,"s":"X","U":157,"u":160,"pu":149,"b":[["0.0024","10"],["1","x"]],"a":[["0.0026","100",[]],["1e-3","0"]]}"#,
    r#"{"lastUpdateId":160,"bids":[["0.0024","10"],[ "1","2"]],"asks":[["0.0026","100"]]}"#,
];

/// Outcome and messages, with the place of every number.
fn told(frame: &str) -> String {
    let mut decoder = table::decoder_for("binance").unwrap();
    decoder.request("rest", "GET https://host/api/v3/depth?symbol=BTCUSDT");
    let mut messages = String::new();
    let outcome = format!(
        "{:?}",
        decoder.decode("rest", frame, &mut |_: &str, message: &Message<'_>| {
            messages.push_str(&format!("{message:?}\n"));
        })
    );
    messages + &outcome
}

fn assert_same_each_way(frame: &str) {
    let plain = told(&format!("{frame} "));
    assert_eq!(told(frame), plain, "{frame}");
    // Before the brace that ends the event: no number stands behind it.
    let end = frame.len() - if frame.ends_with("}}") { 2 } else { usize::from(frame.ends_with('}')) };
    let spaced = format!("{} {}", &frame[..end], &frame[end..]);
    assert_eq!(told(&spaced), plain, "{frame}");
}

/// Members of an object, cut at commas that stand in no inner object, list or text.
fn members(object: &str) -> Vec<&str> {
    let (mut depth, mut is_text, mut start, mut members) = (0, false, 1, Vec::new());
    for (at, byte) in object.bytes().enumerate() {
        match byte {
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth -= 1,
            _ => {}
        }
        if byte == b',' && depth == 1 && !is_text || depth == 0 {
            members.push(&object[start..at]);
            start = at + 1;
        }
    }
    members
}

/// The frame with its event's members put together anew.
fn rebuilt(frame: &str, change: impl FnOnce(&mut Vec<&str>)) -> String {
    let (head, event, tail) = match frame.split_once(r#","data":"#) {
        Some((head, data)) => (format!(r#"{head},"data":"#), &data[..data.len() - 1], "}"),
        None => (String::new(), frame, ""),
    };
    let mut members = members(event);
    change(&mut members);
    format!("{head}{{{}}}{tail}", members.join(","))
}

#[test]
fn every_form_is_read_the_same_each_way() {
    for frame in FRAMES {
        assert_eq!(rebuilt(frame, |_| ()), frame);
        assert_same_each_way(frame);
        for end in 0..frame.len() {
            if frame.is_char_boundary(end) {
                assert_same_each_way(&frame[..end]);
            }
        }
    }
}

#[test]
fn recorded_frames_are_read_the_same_each_way() {
    let Some(shared) = common::shared() else { return };
    let mut frames = 0;
    for venue in ["binance", "binance_usdm", "binance_coinm", "binance_us"] {
        for path in expand(&shared.join("captures").join(venue)).unwrap() {
            let mut reader = CaptureReader::open(&path).unwrap();
            while let Some(line) = reader.next_line().unwrap() {
                // Every seventh: the forms repeat.
                if line.dir == Direction::In && line.number % 7 == 0 {
                    frames += 1;
                    assert_same_each_way(line.frame);
                }
            }
        }
    }
    assert!(frames > 10_000, "{frames}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// Keys in another order, left out, or there twice.
    #[test]
    fn members_are_moved(
        frame in prop::sample::select(&FRAMES[..]),
        moves in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3), 1..4),
    ) {
        let changed = rebuilt(frame, |members| {
            for (from, to, how) in moves {
                let member = members[from.index(members.len())];
                match how {
                    0 => {
                        let at = from.index(members.len());
                        members.remove(at);
                        members.insert(to.index(members.len() + 1), member);
                    }
                    1 if members.len() > 1 => {
                        members.remove(from.index(members.len()));
                    }
                    _ => members.insert(to.index(members.len() + 1), member),
                }
            }
        });
        assert_same_each_way(&changed);
    }

    /// Bytes in the place of others, also of numbers and of what holds the template together.
    #[test]
    fn bytes_are_damaged(
        frame in prop::sample::select(&FRAMES[..]),
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
        assert_same_each_way(&text.iter().collect::<String>());
    }

    /// Numbers of any length in the places of numbers.
    #[test]
    fn numbers_have_any_length(
        decimals in prop::collection::vec("-?[0-9]{0,20}(\\.[0-9]{0,20})?(e-?[0-9])?", 4),
        integers in prop::collection::vec("-?[0-9]{1,20}", 3),
    ) {
        let ([a, b, c, d], [i, j, k]) = (&decimals[..], &integers[..]) else { return Ok(()) };
        assert_same_each_way(&format!(r#"{{"e":"trade","E":{i},"s":"X","t":{j},"p":"{a}","q":"{b}","T":{k},"m":true}}"#));
        assert_same_each_way(&format!(r#"{{"u":{i},"s":"X","b":"{a}","B":"{b}","a":"{c}","A":"{d}"}}"#));
        assert_same_each_way(&format!(
            r#"{{"e":"depthUpdate","E":1,"s":"X","U":{i},"u":{j},"b":[["{a}","{b}"],["{c}","{d}"]],"a":[]}}"#
        ));
    }
}
