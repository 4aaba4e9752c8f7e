//! Whatever is wrong is said with its place and costs nothing else: every good row is stored, every bad text is kept.
//!
//! All captures here are synthetic.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use common::disk::SmallDisk;
use common::synthetic::{line, source, trade, write};
use common::{Ended, Feedd, run, run_args, stored};
use serde_json::Value;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stored trades' prices in order, as plain numbers.
fn prices(dir: &Path) -> Vec<String> {
    let rows = stored::read(dir);
    let mut trades: Vec<_> =
        stored::of(&rows, "trades").flat_map(|rows| rows.places().zip(rows.decimals("price"))).collect();
    trades.sort();
    trades.into_iter().map(|(_, price)| price.to_plain_string()).collect()
}

/// The kept texts with their reasons.
fn letters(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("dead-letters.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A frame of a trade with another price.
fn priced(price: &str) -> Vec<u8> {
    trade(2, price)
}

/// What becomes of one line between two good ones.
enum Becomes {
    /// It is stored, with this price.
    Stored(&'static str),
    /// It is kept aside: reason, end of the detail.
    Kept(&'static str, &'static str),
}

#[test]
fn a_bad_line_or_frame_costs_itself_alone() {
    use Becomes::{Kept, Stored};
    let large = |mib: usize| line(1, "ws-1", "in", &format!("{{\"x\":\"{}\"}}", "x".repeat(mib << 20)));
    let cases: Vec<(&str, Vec<u8>, Becomes)> = vec![
        // name, the line in the middle, what becomes of it
        ("a line that is no JSON", b"hello".to_vec(), Kept("not_json", "synthetic.jsonl:2: capture line")),
        ("a line that is cut off", trade(2, "7")[..40].to_vec(), Kept("not_json", "synthetic.jsonl:2: capture line")),
        ("a line without a frame", br#"{"recv_ns":1,"conn":"a","dir":"in"}"#.to_vec(), Kept("missing_field", "frame")),
        (
            "a frame that is not UTF-8",
            b"{\"recv_ns\":1,\"conn\":\"a\",\"dir\":\"in\",\"frame\":\"\xff\xfe\"}".to_vec(),
            Kept("not_utf8", "synthetic.jsonl:2: capture line"),
        ),
        ("a frame that is no JSON", line(1, "ws-1", "in", "pong"), Kept("not_json", "frame")),
        ("a price of 40 digits", priced(&"1".repeat(40)), Kept("number_out_of_range", "p")),
        ("a price with an exponent", priced("1.0050E2"), Stored("100.5")),
        ("a small price with an exponent", priced("1005e-1"), Stored("100.5")),
        ("an empty price", priced(""), Kept("bad_number", "p")),
        ("a price that is no number", priced("NaN"), Kept("bad_number", "p")),
        ("a price of zero", priced("0.00"), Kept("price_not_positive", "trade rejected by validation")),
        ("a negative price", priced("-1"), Kept("price_not_positive", "trade rejected by validation")),
        ("a frame of 20 MiB", large(20), Kept("too_large", "synthetic.jsonl:2: capture line")),
        ("a line of 40 MiB", large(40), Kept("too_large", "synthetic.jsonl:2: capture line")),
    ];
    for (name, bad, becomes) in cases {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let spec = source(folder.path(), &[trade(1, "100"), bad.clone(), trade(3, "101")]);
        let ended = run(&dir, &["--source", &spec]);
        let account = ended.assert_complete(name);
        assert_eq!(account.get("frames.received"), 3, "{name}");
        let rejected = account.get("frames.rejected") + account.get("events.rejected");
        let letters = letters(&dir);
        match becomes {
            Stored(price) => {
                assert_eq!(prices(&dir), ["100", price, "101"], "{name}");
                assert_eq!((rejected, letters.len()), (0, 0), "{name}");
            }
            Kept(reason, detail) => {
                assert_eq!(prices(&dir), ["100", "101"], "{name}");
                assert_eq!((rejected, letters.len()), (1, 1), "{name}");
                assert_kept(name, &letters[0], reason, detail, &bad);
                assert!(ended.stderr.contains(&format!("rejected: {reason}")), "{name}: {}", ended.stderr);
                assert!(ended.stderr.contains("Kept aside, with reasons: "), "{name}: {}", ended.stderr);
            }
        }
    }
}

/// Asserts that a letter holds the text: the frame of a good line, or the bad line itself (its beginning, when too long).
fn assert_kept(name: &str, letter: &Value, reason: &str, detail: &str, bad: &[u8]) {
    assert_eq!((&letter["source"], &letter["reason"]), (&"capture".into(), &reason.into()), "{name}");
    assert!(letter["detail"].as_str().unwrap().ends_with(detail), "{name}: {}", letter["detail"]);
    let text = letter["text"].as_str().unwrap();
    match serde_json::from_slice::<Value>(bad).ok().and_then(|line| Some(line["frame"].as_str()?.to_owned())) {
        Some(frame) if frame.len() < 1 << 20 => assert_eq!(text, frame, "{name}"),
        Some(_) => assert_eq!(text.as_bytes(), &bad[..text.len()], "{name}"),
        None => assert_eq!(text, String::from_utf8_lossy(bad), "{name}"),
    }
    if reason == "too_large" {
        assert_eq!(text.len(), 64 << 10, "{name}: a bounded beginning is kept");
    }
    let hex = bad.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let exact = std::str::from_utf8(bad).is_err().then_some(hex);
    assert_eq!(letter.get("bytes_hex").and_then(Value::as_str), exact.as_deref(), "{name}");
}

/// Arguments for a run with something wrong; the folder is the case's own.
type Given = fn(&Path) -> Vec<String>;

fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A capture with two good trades in a folder.
fn good(folder: &Path, venue: &str) -> PathBuf {
    write(folder, venue, "good.jsonl", &[trade(1, "100"), trade(3, "101")].join(&b'\n'))
}

fn captures(paths: &[&Path]) -> Vec<String> {
    paths.iter().flat_map(|path| ["--source".to_owned(), format!("capture:{}", path.display())]).collect()
}

#[test]
fn what_cannot_be_run_is_refused_with_its_place_and_nothing_is_recorded() {
    let cases: Vec<(&str, Given, &[&str])> = vec![
        // name, what is given, what is said
        (
            "a missing file",
            |f| captures(&[&f.join("none.jsonl")]),
            &["cannot read", "none.jsonl: No such file or directory"],
        ),
        (
            "a path below a file",
            |f| captures(&[&good(f, "binance").join("deeper.jsonl")]),
            &["good.jsonl/deeper.jsonl: Not a directory"],
        ),
        (
            "a good file beside a missing one",
            |f| captures(&[&good(f, "binance"), &f.join("none.jsonl")]),
            &["cannot read", "none.jsonl: No such file or directory"],
        ),
        (
            "a folder without captures",
            |f| {
                std::fs::create_dir(f.join("empty")).unwrap();
                captures(&[&f.join("empty")])
            },
            &["/empty: no *.jsonl or *.jsonl.zst in this folder"],
        ),
        (
            "a capture whose folder names no venue",
            |f| captures(&[&good(f, "atlantis")]),
            &["good.jsonl lies in folder \"atlantis\", which is no venue; set venue"],
        ),
        (
            "a folder of captures that names no venue",
            |f| captures(&[good(f, "atlantis").parent().unwrap()]),
            &["the folder's name \"atlantis\" is no venue; give the venue (one of ", "binance_usdm"],
        ),
        ("an unknown kind of source", |_| args(&["--source", "telex"]), &["unknown source \"telex\""]),
        (
            "an unknown key in the file",
            |f| {
                std::fs::write(f.join("feedd.toml"), "[batch]\nmax_evnts = 250\n").unwrap();
                args(&["--config", f.join("feedd.toml").to_str().unwrap()])
            },
            &["feedd.toml:2:1: batch.max_evnts: unknown key", "did you mean `max_events`?"],
        ),
        (
            "a value out of range in the file",
            |f| {
                std::fs::write(f.join("feedd.toml"), "[ring]\n  capacity = 0\n").unwrap();
                args(&["--config", f.join("feedd.toml").to_str().unwrap()])
            },
            &["feedd.toml:2:14: ring.capacity: 0 is out of range"],
        ),
        (
            "a missing configuration",
            |f| args(&["--config", f.join("none.toml").to_str().unwrap()]),
            &["none.toml: cannot be read", "No such file or directory"],
        ),
        (
            "a data folder below a file",
            |f| {
                std::fs::write(f.join("file"), "").unwrap();
                args(&["--data-dir", f.join("file/data").to_str().unwrap()])
            },
            &["data.dir: cannot write to", "/file is not a folder"],
        ),
    ];
    for (name, given, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        let mut all = args(&["run"]);
        all.extend(given(folder.path()));
        if !all.iter().any(|arg| arg == "--data-dir") {
            all.extend(args(&["--data-dir", dir.to_str().unwrap()]));
        }
        let ended = Feedd::start(&all).wait();
        assert_eq!(ended.code(), Some(2), "{name}: {}", ended.stderr);
        for text in said {
            assert!(ended.stderr.contains(text), "{name}: {text:?} is not in:\n{}", ended.stderr);
        }
        assert!(!ended.stderr.contains("panicked"), "{name}: {}", ended.stderr);
        assert!(!dir.exists() || stored::files(&dir).is_empty(), "{name}: nothing is recorded");
    }
}

/// Asserts an end with exit code 1 that accounts for everything all the same.
fn assert_troubled(case: &str, ended: &Ended, said: &[&str]) {
    assert_eq!(ended.code(), Some(1), "{case}: {}", ended.stderr);
    for text in said {
        assert!(ended.stderr.contains(text), "{case}: {text:?} is not in:\n{}", ended.stderr);
    }
    let account = ended.account();
    assert!(account.is_complete(), "{case}: {}", ended.stderr);
}

#[test]
fn a_truncated_file_is_stored_up_to_the_cut_and_the_next_file_whole() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<Vec<u8>> = (1..=5000).map(|id| trade(id, "100.25")).collect();
    let whole = zstd::encode_all(&lines.join(&b'\n')[..], 3).unwrap();
    for part in [3, 40, 99] {
        let case = format!("cut at {part} %");
        let dir = folder.path().join(format!("data-{part}"));
        let input = folder.path().join(format!("input-{part}"));
        write(&input, "binance", "a-cut.jsonl.zst", &whole[..whole.len() * part / 100]);
        write(&input, "binance", "b-good.jsonl", &[trade(1, "7"), trade(2, "7.5")].join(&b'\n'));
        let ended = run(&dir, &["--source", &format!("capture:{}", input.display())]);
        assert_troubled(&case, &ended, &["a-cut.jsonl.zst: compressed data ends early after line "]);
        let account = ended.account();
        let rows = stored::read(&dir);
        stored::assert_dense(&case, &rows, 1, account.get("events.accepted"));
        // The line that the cut broke off, if it began, is kept like any bad line.
        let broken = account.get("frames.rejected");
        assert!(broken <= 1 && letters(&dir).len() as u64 == broken, "{case}: {account:?}");
        let before_cut = account.get("frames.decoded") - 2;
        let prices = prices(&dir);
        assert_eq!(prices.len() as u64, before_cut + 2, "{case}");
        assert!(prices[..prices.len() - 2].iter().all(|price| price == "100.25"), "{case}");
        assert_eq!(prices[prices.len() - 2..], ["7", "7.5"], "{case}");
        let after_line = format!("ends early after line {before_cut}");
        assert!(ended.stderr.contains(&after_line), "{case}: {after_line}: {}", ended.stderr);
    }
}

#[test]
fn a_damaged_file_is_an_end_with_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    write(folder.path(), "binance", "a-bad.jsonl.zst", b"this is not zstd at all, whatever the name says");
    let good = write(folder.path(), "binance", "b-good.jsonl", &trade(1, "7"));
    let ended = run(&dir, &["--source", &format!("capture:{}", good.parent().unwrap().display())]);
    assert_troubled("damaged", &ended, &["a-bad.jsonl.zst: reading failed after line 0"]);
    assert_eq!(prices(&dir), ["7"]);
}

#[test]
fn a_second_recorder_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Feedd::start(&run_args(dir.path(), &["--source", "sim"]));
    first.wait_until_said("recording 1 source(s)");
    let second = run(dir.path(), &["--source", "sim"]);
    assert_eq!(second.code(), Some(2), "{}", second.stderr);
    let expected = format!("{} is in use by process {}", dir.path().display(), first.pid());
    assert!(second.stderr.contains(&expected), "{expected}: {}", second.stderr);
    assert!(first.is_running(), "{}", first.said());
    first.signal("TERM");
    let accepted = first.wait().assert_complete("the first").get("events.accepted");
    stored::assert_dense("the first", &stored::read(dir.path()), 1, accepted);
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::mount(8 << 10) else { return };
    let folder = tempfile::tempdir().unwrap();
    let spec = source(folder.path(), &common::synthetic::session(40_000, 1_000_000));
    let dir = disk.path().join("data");
    disk.fill((8 << 10) - 128);
    let args = [
        "--source",
        &spec,
        "--set",
        "retry.delay=50ms",
        "--set",
        "parquet.memory_max=1MiB",
        "--set",
        "journal.mode=off",
    ];
    let mut feedd = Feedd::start(&run_args(&dir, &args));
    feedd.wait_until_said("it is tried again, nothing is given up");
    assert!(feedd.said().contains("No space left on device"), "{}", feedd.said());
    assert!(feedd.is_running(), "{}", feedd.said());
    disk.free();
    let ended = feedd.wait();
    let account = ended.assert_complete("full disk");
    assert!(ended.stderr.contains("sink works again"), "{}", ended.stderr);
    assert_eq!(account.get("frames.decoded"), account.get("frames.received"));
    stored::assert_dense("full disk", &stored::read(&dir), 1, account.get("events.accepted"));
}

/// Runs feedd as a user without rights: `None`, with a printed note, when the tests do not run as root.
fn run_without_rights(binary: &Path, args: &[&str]) -> Option<(Option<i32>, String)> {
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let output = Command::new("setpriv").args(user).arg(binary).args(args).current_dir("/").output().ok()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if stderr.starts_with("setpriv: ") {
        println!("skipped: another user cannot be taken here ({})", stderr.trim());
        return None;
    }
    Some((output.status.code(), stderr))
}

#[test]
fn what_this_user_may_not_read_or_write_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let open_to_all = |path: &Path| std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    open_to_all(folder.path());
    let binary = folder.path().join("feedd");
    std::fs::copy(env!("CARGO_BIN_EXE_feedd"), &binary).unwrap();
    open_to_all(&binary);
    let closed = folder.path().join("binance");
    write(folder.path(), "binance", "a.jsonl", &trade(1, "7"));
    std::fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let data = closed.join("data");
    let capture = format!("capture:{}", closed.display());
    let cases: [(&str, Vec<&str>, &str); 2] = [
        ("a data folder", vec!["run", "--data-dir", data.to_str().unwrap()], "data.dir: cannot write to"),
        ("a folder of captures", vec!["run", "--source", &capture, "--data-dir", "/tmp"], "source.0.path: cannot read"),
    ];
    for (name, args, said) in cases {
        let Some((code, stderr)) = run_without_rights(&binary, &args) else { return };
        assert_eq!(code, Some(2), "{name}: {stderr}");
        assert!(stderr.contains(said) && stderr.contains("Permission denied"), "{name}: {stderr}");
    }
}
