//! Captures as they are found: cut off, damaged, missing. One bad line costs one line.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_venues::capture::{CaptureError, CaptureReader, Direction, LineFault, expand, venue_of};
use feedd_venues::listing::{ListingError, list_events, summarize};
use std::path::{Path, PathBuf};

const GOOD: &str = r#"{"recv_ns": 5, "conn": "ws-1", "dir": "in", "frame": "{\"e\":\"kline\"}"}"#;

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Every delivered frame, and every error in one line; the fatal ones are marked.
fn read_all(path: &Path) -> (Vec<String>, Vec<String>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    let mut reader = CaptureReader::open(path).unwrap();
    loop {
        match reader.next_line() {
            Ok(Some(line)) => frames.push(line.frame.to_owned()),
            Ok(None) => return (frames, errors),
            Err(error) => {
                let text = error.to_string().replace(&format!("{}:", path.display()), "");
                errors.push(if error.is_line() { text } else { format!("fatal{text}") });
            }
        }
    }
}

#[test]
fn a_bad_line_costs_one_line() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("no JSON", b"hello", "not a JSON object"),
        ("a list", b"[1]", "not a JSON object"),
        ("cut off", br#"{"recv_ns": 5, "conn": "ws-"#, "not a JSON object"),
        ("not UTF-8", b"{\"recv_ns\":1,\"conn\":\"\xff\",\"dir\":\"in\",\"frame\":\"\"}", "not UTF-8"),
        ("no frame", br#"{"recv_ns":1,"conn":"a","dir":"in"}"#, "field `frame` is missing"),
        ("no time", br#"{"conn":"a","dir":"in","frame":""}"#, "field `recv_ns` is missing"),
        ("no conn", br#"{"recv_ns":1,"dir":"in","frame":""}"#, "field `conn` is missing"),
        ("no direction", br#"{"recv_ns":1,"conn":"a","frame":""}"#, "field `dir` is missing"),
        (
            "other direction",
            br#"{"recv_ns":1,"conn":"a","dir":"up","frame":""}"#,
            "field `dir` has a value that cannot be used",
        ),
        (
            "frame an object",
            br#"{"recv_ns":1,"conn":"a","dir":"in","frame":{}}"#,
            "field `frame` has a value that cannot be used",
        ),
        (
            "half a character",
            br#"{"recv_ns":1,"conn":"a","dir":"in","frame":"\ud83d"}"#,
            "field `frame` has a value that cannot be used",
        ),
        (
            "time with a fraction",
            br#"{"recv_ns":1.5,"conn":"a","dir":"in","frame":""}"#,
            "field `recv_ns` has a value that cannot be used",
        ),
        (
            "time too large",
            br#"{"recv_ns":9223372036854775808,"conn":"a","dir":"in","frame":""}"#,
            "field `recv_ns` has a value that cannot be used",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (name, line, expected) in cases {
        let text = [GOOD.as_bytes(), line, b"", GOOD.as_bytes()].join(&b'\n');
        let (frames, errors) = read_all(&write(folder.path(), "c.jsonl", &text));
        assert_eq!(frames, [r#"{"e":"kline"}"#; 2], "{name}");
        assert_eq!(errors, [format!("2: {expected}")], "{name}");
        let (frames, errors) = read_all(&write(folder.path(), "c.jsonl.zst", &zstd::encode_all(&text[..], 1).unwrap()));
        assert_eq!((frames.len(), errors.len()), (2, 1), "{name}, compressed");
    }
}

#[test]
fn fields_are_read_exactly_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\u{feff}{\"frame\":\"a\\\"\\u00e9\\ud83d\\ude00\\n\",\"x\":[{}],\"dir\":\"out\",\"conn\":\"c\\/1\",\"recv_ns\":null}\r\n\
                {\"recv_ns\":-9223372036854775807,\"conn\":\"\",\"dir\":\"ctl\",\"frame\":\"\"}";
    let mut reader = CaptureReader::open(&write(folder.path(), "c.jsonl", text.as_bytes())).unwrap();
    let line = reader.next_line().unwrap().unwrap();
    assert_eq!((line.number, line.recv_ns, line.conn, line.dir), (1, None, "c/1", Direction::Out));
    assert_eq!(line.frame, "a\"é😀\n");
    let line = reader.next_line().unwrap().unwrap();
    assert_eq!((line.number, line.recv_ns, line.dir, line.frame), (2, Some(-i64::MAX), Direction::Control, ""));
    assert!(reader.next_line().unwrap().is_none());
    assert_eq!(reader.progress(), (text.len() as u64, text.len() as u64));
}

#[test]
fn frames_have_a_limit_of_16_mebibytes() {
    let folder = tempfile::tempdir().unwrap();
    let of_bytes = |bytes: usize| format!(r#"{{"recv_ns":1,"conn":"a","dir":"in","frame":"{}"}}"#, "x".repeat(bytes));
    let lines = [of_bytes(16 << 20), of_bytes((16 << 20) + 1), of_bytes(20 << 20), of_bytes(40 << 20), GOOD.to_owned()];
    let path = write(folder.path(), "c.jsonl.zst", &zstd::encode_all(lines.join("\n").as_bytes(), 1).unwrap());
    let mut reader = CaptureReader::open(&path).unwrap();
    assert_eq!(reader.next_line().unwrap().unwrap().frame.len(), 16 << 20);
    for number in 2..=4 {
        let Err(CaptureError::Line { line, fault, raw, .. }) = reader.next_line() else { panic!("line {number}") };
        assert_eq!((line, fault, raw.len()), (number, LineFault::TooLarge, 64 << 10));
    }
    assert_eq!(reader.next_line().unwrap().unwrap().number, 5);
    assert!(reader.next_line().unwrap().is_none());
}

/// Cut at every byte: what was complete is delivered, then the broken line, then one error that names the file.
#[test]
fn a_truncated_file_delivers_its_complete_lines_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..3 {
        // Flushed after each line and a half, so that cuts fall between lines and into them.
        std::io::Write::write_all(&mut encoder, format!("{GOOD}\n{}", &GOOD[..20]).as_bytes()).unwrap();
        std::io::Write::flush(&mut encoder).unwrap();
        std::io::Write::write_all(&mut encoder, format!("{}\n", &GOOD[20..]).as_bytes()).unwrap();
    }
    let whole = encoder.finish().unwrap();
    assert_eq!(read_all(&write(folder.path(), "whole.jsonl.zst", &whole)).0.len(), 6);
    let (mut most_frames, mut incomplete) = (0, 0);
    for cut in 1..whole.len() {
        let (frames, errors) = read_all(&write(folder.path(), "cut.jsonl.zst", &whole[..cut]));
        assert!(frames.iter().all(|frame| frame == r#"{"e":"kline"}"#));
        let fatal = errors.last().unwrap();
        assert!(fatal.starts_with("fatal compressed data ends early after line"), "{cut}: {errors:?}");
        let number = frames.len() + 1;
        incomplete += usize::from(errors[0] == format!("{number}: incomplete last line"));
        assert!(errors.len() == 1 || errors[0] == format!("{number}: incomplete last line"), "{cut}: {errors:?}");
        most_frames = most_frames.max(frames.len());
    }
    assert!(most_frames >= 5 && incomplete > 0, "{most_frames} {incomplete}");
}

#[test]
fn damaged_compression_is_an_error_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "c.jsonl.zst", b"this is not zstd at all, whatever the name says");
    let (frames, errors) = read_all(&path);
    assert!(frames.is_empty());
    assert!(errors.len() == 1 && errors[0].starts_with("fatal reading failed after line 0"), "{errors:?}");
    // The first bytes count, not the name.
    let plain = write(folder.path(), "c.txt", &zstd::encode_all(GOOD.as_bytes(), 1).unwrap());
    assert_eq!(read_all(&plain).0.len(), 1);
    assert_eq!(read_all(&write(folder.path(), "empty.jsonl", b"")), (vec![], vec![]));
}

#[test]
fn paths_are_expanded_or_named_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let missing = CaptureReader::open(&root.join("none.jsonl")).unwrap_err().to_string();
    assert!(missing.contains("none.jsonl: cannot open the capture"), "{missing}");
    assert!(matches!(CaptureReader::open(root), Err(CaptureError::Open { .. })));
    assert!(matches!(expand(root), Err(CaptureError::NoCaptures { .. })));
    assert!(matches!(expand(&root.join("none")), Err(CaptureError::Open { .. })));
    std::fs::create_dir_all(root.join("binance/deep")).unwrap();
    let files = [
        write(root, "binance/b.jsonl.zst", b""),
        write(root, "binance/deep/a.jsonl", b""),
        write(root, "z.jsonl", b""),
    ];
    write(root, "binance/b.meta.json", b"");
    assert_eq!(expand(root).unwrap(), files);
    assert_eq!(expand(&files[0]).unwrap(), files[..1]);
    assert_eq!(venue_of(&files[0]).as_deref(), Some("binance"));
    let unknown = summarize(&files[1], None, &mut |_| ()).unwrap_err();
    assert!(matches!(&unknown, ListingError::UnknownVenue { venue, .. } if venue == "deep"), "{unknown}");
}

/// Bad lines and rejected frames are told and do not end the listing.
#[test]
fn a_listing_goes_on_behind_what_is_bad() {
    let folder = tempfile::tempdir().unwrap();
    let line = |frame: &str| serde_json::json!({"recv_ns": 9, "conn": "c", "dir": "in", "frame": frame}).to_string();
    let trade =
        |price: &str| line(&format!(r#"{{"e":"trade","s":"X","t":1,"p":"{price}","q":"1E1","T":1,"m":false}}"#));
    let text = [trade("1.50"), "nonsense".into(), trade("x"), line("pong"), trade("2")].join("\n");
    let path = write(folder.path(), "c.jsonl", text.as_bytes());
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    let mut note = |problem: &feedd_venues::listing::Problem<'_>| {
        problems.push(problem.to_string().replace(&format!("{}:", path.display()), ""));
    };
    let listed = list_events(&path, Some("binance"), &mut out, &mut note).unwrap();
    assert_eq!((listed.events, listed.frames_without_event), (2, 2));
    let expected = r#"{"line": 1, "sub": 0, "venue": "binance", "kind": "trade", "symbol": "X", "exchange_ts": 1000000, "event_ts": null, "price": "1.50", "size": "1E1", "side": "buy", "id": "1", "seq": null, "size_plain": "10", "conn": "c", "recv_ns": 9}
{"line": 3, "venue": "binance", "kind": "none", "reason": "rejected: bad_number (p)"}
{"line": 4, "venue": "binance", "kind": "none", "reason": "rejected: not_json (frame)"}
{"line": 5, "sub": 0, "venue": "binance", "kind": "trade", "symbol": "X", "exchange_ts": 1000000, "event_ts": null, "price": "2", "size": "1E1", "side": "buy", "id": "1", "seq": null, "size_plain": "10", "conn": "c", "recv_ns": 9}
"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    assert_eq!(
        problems,
        ["2: not a JSON object", "3: frame rejected: bad_number (p)", "4: frame rejected: not_json (frame)"]
    );
    let summary = summarize(&path, Some("binance"), &mut |_| ()).unwrap();
    assert_eq!((summary.frames_in, summary.events["trade"]), (4, 2));
    assert_eq!(summary.symbols["X"].trade.as_ref().unwrap().sum_price_x_size.unwrap().to_string(), "35");
}
