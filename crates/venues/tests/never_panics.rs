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
const VENUES: [&str; 10] =
    ["coinbase", "kraken", "okx", "bybit", "bitfinex", "bitmex", "bitstamp", "deribit", "gemini", "hyperliquid"];

/// The committed corpus of a fuzz target, in the order of its names.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{} holds the committed corpus", folder.display());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

thread_local! {
    static CORPORA: HashMap<&'static str, Vec<Vec<u8>>> =
        VENUES.into_iter().map(|venue| (venue, corpus(&format!("decode_{venue}")))).collect();
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
