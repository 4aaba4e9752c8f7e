//! Outside bytes never panic: the committed fuzz corpus is replayed, and random and damaged frames are tried.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_venues::fuzzing::{capture_reader, decode_frame, decode_frame_of};
use proptest::prelude::*;
use std::collections::HashMap;
use std::path::Path;

/// Synthetic frames of every shape, to be damaged below.
const FRAMES: [&str; 6] = [
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":7,"p":"1.5","q":"0.02","T":1723161255342,"m":true}}"#,
    r#"{"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}"#,
    r#"{"e":"depthUpdate","E":1,"T":1,"s":"X","U":157,"u":160,"pu":149,"b":[["0.0024","10"]],"a":[["0.0026","100"],["1e-3","0"]]}"#,
    r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}"#,
    r#"[{"u":1,"s":"X","b":"1","B":"1","a":"2","A":"1"},{"u":2,"s":"\u00e9","b":"1","B":"1","a":"2","A":"1"}]"#,
    r#"{"result":null,"id":1}"#,
];

/// Venues with a fuzz target `decode_<venue>` and a corpus of its own.
const VENUES: [&str; 4] = ["coinbase", "kraken", "okx", "bybit"];

/// Venues without a fuzz target, each with synthetic frames in place of a corpus.
const SYNTHETIC: &[(&str, &[&str])] = &[
    (
        "bitfinex",
        &[
            r#"{"event":"subscribed","channel":"book","chanId":7,"symbol":"tX","prec":"P0","freq":"F0","len":"25","pair":"X"}"#,
            r#"{"event":"info","version":2,"serverId":"a","platform":{"status":1}}"#,
            r#"[7,[[1.5,1,2.5e-7],[2,0,-1]],1]"#,
            r#"[7,"te",[9,1617643611128,-0.5,2.25],2]"#,
        ],
    ),
    (
        "bitstamp",
        &[
            r#"{"data":{"timestamp":"1641343691","microtimestamp":"1641343691244908","bids":[["1.5","2"]],"asks":[["2","0.0"]]},"channel":"diff_order_book_x","event":"data"}"#,
            r#"{"event":"trade","channel":"live_trades_\u00e9","data":{"id":9,"amount_str":"1E-8","price":1.5,"type":1,"microtimestamp":"1616297318187000"}}"#,
            r#"{"microtimestamp":"1641343691244908","bids":[["1.5","2"]],"asks":[]}"#,
            r#"{"event":"bts:subscription_succeeded","channel":"live_trades_x","data":{}}"#,
        ],
    ),
    (
        "bitmex",
        &[
            r#"{"table":"orderBookL2","action":"update","data":[{"symbol":"X","id":7,"side":"Buy","size":5,"price":6e-8,"timestamp":"2022-03-01T01:55:45.088Z"},{"symbol":"\u00e9","id":8,"side":"Sell","size":1,"price":2}]}"#,
            r#"{"table":"orderBookL2_25","action":"partial","filter":{"symbol":"X"},"data":[{"symbol":"X","id":7,"side":"Sell","size":5,"price":1.5}]}"#,
            r#"{"table":"orderBook10","action":"update","data":[{"symbol":"X","bids":[[1.5,2]],"asks":[[2,1e3]],"timestamp":"2022-05-30T22:19:48.301Z"}]}"#,
            r#"{"table":"trade","action":"partial","data":[{"timestamp":"2021-03-21T01:12:42.361Z","symbol":"X","side":"Sell","size":8,"price":1.5,"trdMatchID":"68624a99-e949-33cd-d7e9-63307cf15cfc"}]}"#,
        ],
    ),
    (
        "deribit",
        &[
            r#"{"method":"subscription","params":{"channel":"book.X.raw","data":{"type":"change","timestamp":1622626784890,"prev_change_id":1,"instrument_name":"X","change_id":2,"bids":[["new",1.5,3e-1]],"asks":[["delete",2.0,0.0],[3,4]]}}}"#,
            r#"{"method":"subscription","params":{"channel":"trades.X.raw","data":[{"trade_seq":5,"trade_id":"ETH-7","timestamp":1616321287195,"price":1.5,"instrument_name":"\u00e9","direction":"buy","amount":6.0}]}}"#,
            r#"{"method":"subscription","params":{"channel":"quote.X","data":{"timestamp":1654012882984,"instrument_name":"X","best_bid_price":null,"best_bid_amount":0.0,"best_ask_price":1.5,"best_ask_amount":2.0}}}"#,
            r#"{"jsonrpc":"2.0","id":0,"result":["trades.X.raw"]}"#,
        ],
    ),
    (
        "gemini",
        &[
            r#"{"type":"l2_updates","symbol":"X","changes":[["buy","1.5","2"],["sell","2","0"]],"trades":[{"type":"trade","symbol":"X","event_id":9,"tid":8,"timestamp":1560976400428,"price":"1.5","quantity":"2","side":"sell"}],"auction_events":[]}"#,
            r#"{"changes":[["sell","1e-3","0.0"]],"symbol":"\u00e9","type":"l2_updates"}"#,
            r#"{"event_id":9,"price":"1.5","quantity":"2","side":"buy","symbol":"X","tid":8,"timestamp":1560976400428,"type":"trade"}"#,
            r#"{"type":"heartbeat","timestamp":1624493666869}"#,
        ],
    ),
    (
        "hyperliquid",
        &[
            r#"{"channel":"l2Book","data":{"coin":"X","levels":[[{"n":1,"px":"1.5","sz":"2"}],[{"n":1,"px":"2","sz":"1e-3"}]],"time":1737918843542}}"#,
            r#"{"channel":"trades","data":[{"coin":"X","side":"A","px":"1.5","sz":"2","time":1737918843542,"hash":"0x0","tid":7,"users":["a","b"]},{"coin":"\u00e9","side":"B","px":"1","sz":"2"}]}"#,
            r#"{"channel":"bbo","data":{"coin":"X","time":1737918843542,"bbo":[null,{"px":"1.5","sz":"2","n":1}]}}"#,
            r#"{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":{"type":"bbo","coin":"X"}}}"#,
        ],
    ),
];

/// The committed corpus of a fuzz target, in the order of its names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{} holds the committed corpus", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

thread_local! {
    static CORPORA: HashMap<&'static str, Vec<Vec<u8>>> = VENUES
        .into_iter()
        .map(|venue| (venue, corpus(&format!("decode_{venue}"))))
        .chain(SYNTHETIC.iter().map(|(venue, frames)| {
            (*venue, frames.iter().map(|frame| frame.as_bytes().to_vec()).collect())
        }))
        .collect();
}

#[test]
fn the_committed_corpus_passes() {
    corpus("decode_frame").iter().for_each(|bytes| decode_frame(bytes));
    corpus("capture_reader").iter().for_each(|bytes| capture_reader(bytes));
    CORPORA.with(|corpora| {
        for (venue, frames) in corpora {
            frames.iter().for_each(|bytes| decode_frame_of(venue, bytes));
        }
    });
}

proptest! {
    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_frame(&bytes);
        capture_reader(&bytes);
    }

    #[test]
    fn damaged_frames(
        frame in prop::sample::select(&FRAMES[..]),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9.eEsptTab \\\\u\\-]{0,3}"), 1..4),
    ) {
        let mut bytes = frame.as_bytes().to_vec();
        for (at, piece) in damage {
            let at = at.index(bytes.len());
            bytes.splice(at..=at, piece.bytes());
            if bytes.is_empty() {
                break;
            }
        }
        decode_frame(&bytes);
        let line = serde_json::json!({"recv_ns": 1, "conn": "c", "dir": "in", "frame": String::from_utf8_lossy(&bytes)});
        capture_reader(line.to_string().as_bytes());
        let line = line.to_string();
        capture_reader(&[line.as_bytes(), b"\n", &line.as_bytes()[..line.len() / 2]].concat());
    }

    /// Frames of each venue's corpus, damaged.
    #[test]
    fn damaged_corpus(
        frame in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{},:\"0-9.eETZ \\\\u\\-]{0,3}"), 1..4),
    ) {
        let picked: Vec<_> = CORPORA.with(|corpora| {
            corpora.iter().map(|(venue, frames)| (*venue, frame.get(frames).clone())).collect()
        });
        for (venue, mut bytes) in picked {
            for (at, piece) in &damage {
                let at = at.index(bytes.len());
                bytes.splice(at..=at, piece.bytes());
                if bytes.is_empty() {
                    break;
                }
            }
            decode_frame_of(venue, &bytes);
        }
    }
}
