//! `decode` at a tiny size, over captures of its own: every way reads everything. Nothing is said about speed.

#![allow(clippy::unwrap_used, reason = "helpers outside #[test] fail the test that calls them")]

mod common;

use common::report;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const TRADE: &str = r#"{"stream":"x@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":37,"p":"61837.63","q":"0.02","T":1723161255342,"m":true,"M":true}}"#;
const QUOTE: &str =
    r#"{"stream":"x@bookTicker","data":{"u":35,"s":"ETHUSDT","b":"2683.80","B":"3.02","a":"2683.81","A":"31.4"}}"#;
const DEPTH: &str = r#"{"stream":"x@depth","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":5,"u":9,"b":[["61737.63","0.5"],["61730.17","0"]],"a":[["61837.64","1.5"]]}}"#;
/// A price as a literal: feedd reads it, the structs do not.
const UNLIKE: &str = r#"{"stream":"x@trade","data":{"e":"trade","E":1,"s":"X","t":1,"p":1.5,"q":"1","T":1,"m":false}}"#;
const ANSWER: &str = r#"{"result":null,"id":1}"#;

/// A folder of captures with one file for each venue.
fn captures(folder: &Path, venues: &[(&str, &[&str])]) {
    for (venue, frames) in venues {
        let lines =
            frames.iter().map(|frame| json!({"recv_ns": 1, "conn": "c", "dir": "in", "frame": frame}).to_string());
        std::fs::create_dir(folder.join(venue)).unwrap();
        std::fs::write(folder.join(venue).join("a.jsonl"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
}

fn keys(report: &Value) -> Vec<&str> {
    report["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect()
}

#[test]
fn every_way_reads_every_frame() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let venues: [(&str, &[&str]); 2] =
        [("binance", &[TRADE, QUOTE, ANSWER, UNLIKE, DEPTH, TRADE]), ("binance_usdm", &[DEPTH])];
    captures(folder.path(), &venues);
    let path = folder.path().to_str().unwrap();
    let all = report(&["decode", "--captures", path, "--rounds", "1"]);
    let mut expected = Vec::new();
    for kind in ["trade", "quote", "depth"] {
        expected.extend(["feedd", "feedd_events", "serde_json", "sonic_rs"].map(|way| format!("{kind}_{way}")));
        expected.extend(["feedd", "serde_json", "sonic_rs"].map(|way| format!("{kind}_turned_{way}")));
    }
    assert_eq!(keys(&all), expected);
    let frame = |venue: &str, kind: &str, frame: &str, count: usize, events: usize| json!({"venue": venue, "kind": kind, "frames": count, "bytes": frame.len() * count, "events": events});
    let frames = [
        frame("binance", "trade", TRADE, 2, 2),
        frame("binance", "quote", QUOTE, 1, 1),
        frame("binance", "depth", DEPTH, 1, 4),
        frame("binance_usdm", "depth", DEPTH, 1, 4),
    ];
    assert_eq!(all["frames"], json!(frames));
    let notes = all["notes"].to_string();
    for note in ["1 frames without a message", "1 frames of other forms", "no captures of binance_coinm, binance_us, "]
    {
        assert!(notes.contains(note), "{note}: {notes}");
    }
    for kind in ["trade", "quote", "depth", "depth_turned"] {
        for theirs in ["serde_json", "sonic_rs", "best"] {
            // It has no value where the only round was disturbed.
            assert!(all["ratios"].get(format!("{kind}_over_{theirs}")).is_some(), "{kind} {theirs}");
        }
    }
    assert_eq!(all["goals"].as_array().unwrap().len(), 6);

    let one = report(&["decode", "--captures", path, "--rounds", "1", "--venue", "binance_usdm"]);
    assert_eq!(one["frames"], json!(frames[3..]));
    assert!(one["ratios"].get("trade_over_best").is_none() && one["ratios"].get("depth_over_best").is_some());
}

#[test]
fn what_is_missing_is_named_with_its_remedy() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().to_str().unwrap();
    let failure = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).arg("decode").args(args).output().unwrap();
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let none = failure(&["--captures", path]);
    assert!(none.contains(&format!("{path}: no captures of any venue")) && none.contains("FEEDD_SHARED"), "{none}");
    let venue = failure(&["--captures", path, "--venue", "nowhere"]);
    assert!(venue.contains("no such venue; there are binance, "), "{venue}");
    captures(folder.path(), &[("binance", &[])]);
    let empty = failure(&["--captures", path]);
    assert!(empty.contains("no captures of any venue"), "{empty}");
    std::fs::write(folder.path().join("binance/b.jsonl.zst"), b"no zstd").unwrap();
    let broken = failure(&["--captures", path]);
    assert!(broken.contains("b.jsonl.zst"), "{broken}");
}
