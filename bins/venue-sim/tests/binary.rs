//! The program itself: its first line, its end by a signal, and its exit codes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Duration;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_venue-sim"))
}

#[test]
fn it_says_where_it_is_and_ends_by_a_signal() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut child = program()
        .args(["coinbase", "--tls", "--quiet", "--log"])
        .arg(log.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(ready["venue"], "coinbase");
    assert!(ready["ws"].as_str().unwrap().starts_with("wss://127.0.0.1:"));
    assert!(ready["rest"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    let pem = std::fs::read_to_string(ready["ca"].as_str().unwrap()).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let text = std::fs::read_to_string(log.path()).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!((&last["what"], &last["panics"]), (&"end".into(), &0.into()));
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "one line and no more");
}

#[test]
fn it_ends_after_its_time_and_says_what_it_did() {
    let output = program().args(["okx", "--duration", "200ms", "--rate", "500"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("okx 0s: 0 connections (0 so far, 0 refused), 0 frames sent"), "{text}");
    let steps: u64 = text.trim_end().rsplit(", ").next().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(steps > 0 && steps < 500 * Duration::from_secs(60).as_secs());
}

#[test]
fn what_it_cannot_do_is_refused_with_exit_code_2() {
    for (args, words) in [
        (vec!["mtgox"], "the venues are binance"),
        (vec!["okx", "--listen", "0.0.0.0"], "is not a loopback address"),
        (vec!["okx", "--faults", "5s fire"], "fire is no fault; there are close, reset"),
        (vec!["okx", "--chaos", "1", "--chaos-kinds", "fire"], "fire is no fault"),
        (vec!["okx", "--capture", "/nonexistent.jsonl"], "/nonexistent.jsonl"),
    ] {
        let output = program().args(&args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words), "{args:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}
