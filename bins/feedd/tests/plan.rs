//! `feedd plan` and `feedd check` of live sources, without any network.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const USDM: &str = r#"
[[source]]
kind = "venue"
venue = "binance"
market = "usdm"
symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
url = "ws://127.0.0.1:9"
core = "none"
[source.limits]
streams_per_connection = 4
streams_per_request = 2
messages = "1/2s"
[[source]]
kind = "venue"
venue = "kraken"
symbols = "BTC/USD"
channels = "trades"
redundancy = 2
core = "none"
[batching]
core = "none"
"#;

fn feedd(dir: &Path, toml: &str, args: &[&str]) -> Output {
    let file = dir.join("feedd.toml");
    std::fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_feedd"));
    command.args(args).arg("--config").arg(&file).arg("--data-dir").arg(dir.join("data"));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_plan_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let out = feedd(dir.path(), USDM, &["plan", "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let plan: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(plan["version"], 1);
    let threads = ["batching", "binance_usdm", "binance_usdm.2", "binance_usdm.3", "kraken"];
    assert_eq!(plan["threads"], json!(threads.map(|thread| json!({"thread": thread, "core": null}))));
    let shards = plan["shards"].as_array().unwrap();
    let columns = |shard: &Value| {
        let names = ["thread", "address", "symbols", "channels", "streams", "requests", "subscribe_ms", "connections"];
        names.map(|name| shard[name].clone())
    };
    let public = "ws://127.0.0.1:9/public/stream";
    let book = json!(["quotes", "depth"]);
    // Two messages a request and one request each two seconds.
    let expected = [
        [
            json!("binance_usdm"),
            json!(public),
            json!(["BTCUSDT", "ETHUSDT"]),
            book.clone(),
            json!(4),
            json!(2),
            json!(2_000),
            json!(1),
        ],
        [json!("binance_usdm.2"), json!(public), json!(["SOLUSDT"]), book, json!(2), json!(1), json!(0), json!(1)],
        [
            json!("binance_usdm.3"),
            json!("ws://127.0.0.1:9/market/stream"),
            json!(["BTCUSDT", "ETHUSDT", "SOLUSDT"]),
            json!(["trades"]),
            json!(3),
            json!(2),
            json!(2_000),
            json!(1),
        ],
        [
            json!("kraken"),
            json!("wss://ws.kraken.com/v2"),
            json!(["BTC/USD"]),
            json!(["trades"]),
            json!(1),
            json!(1),
            json!(0),
            json!(2),
        ],
    ];
    assert_eq!(shards.iter().map(columns).collect::<Vec<_>>(), expected);
    assert_eq!((&shards[0]["rest"], &shards[0]["market"]), (&json!("http://127.0.0.1:9"), &json!("binance_usdm")));
    assert_eq!(shards[0]["messages"], json!({"count": 1, "period_ms": 2_000, "burst": 1}));
}

#[test]
fn the_plan_as_a_table() {
    let dir = tempfile::tempdir().unwrap();
    let out = feedd(dir.path(), USDM, &["plan"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let table = text(&out.stdout);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let heads = ["source", "thread", "core", "connections", "symbols", "streams", "requests", "subscribed", "address"];
    assert_eq!(lines[0], heads);
    let row = "binance_usdm binance_usdm.3 any 1 3 3 of 4 2 2.0 s ws://127.0.0.1:9/market/stream";
    assert_eq!(lines[3].join(" "), row);
    assert!(table.contains("\nbinance_usdm.3: trades of BTCUSDT ETHUSDT SOLUSDT\n"), "{table}");
    assert!(
        table.contains("\n5 threads (batching and one for each connection or other source), 0 pinned, "),
        "{table}"
    );
}

#[test]
fn without_a_live_source_there_is_little_to_say() {
    let dir = tempfile::tempdir().unwrap();
    let out = feedd(dir.path(), "", &["plan"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(text(&out.stdout).starts_with("no live source is configured: "), "{}", text(&out.stdout));
}

#[test]
fn what_cannot_be_recorded_is_refused_by_check_and_plan() {
    let dir = tempfile::tempdir().unwrap();
    let narrow = USDM.replace("streams_per_connection = 4", "streams_per_connection = 1");
    let expected =
        "source binance_usdm: streams_per_connection = 1 is less than the 2 streams of one symbol: allow 2 or more";
    for command in ["check", "plan"] {
        let out = feedd(dir.path(), &narrow, &[command]);
        assert_eq!(out.status.code(), Some(2), "{command}");
        assert!(text(&out.stderr).contains(expected), "{command}: {}", text(&out.stderr));
    }
    let out = feedd(dir.path(), USDM, &["check"]);
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    let line = "source   kraken: LIVE kraken, 1 symbol, trades, 2 connections each, core none, full: block";
    assert!(text(&out.stdout).contains(line), "{}", text(&out.stdout));
}
