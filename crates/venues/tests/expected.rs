//! Every recorded session of every venue in the table decodes to exactly what an independent program says.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use feedd_venues::listing::{list_events, summarize};
use feedd_venues::{capture, table};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Recordings of all venues in the table, each with the folder-relative name of its expected files.
fn recordings() -> Vec<(PathBuf, PathBuf)> {
    let Some(shared) = common::shared() else { return Vec::new() };
    let folders = table::names().map(|venue| shared.join("captures").join(venue)).filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| capture::expand(&folder).unwrap());
    let pairs: Vec<_> = files
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().strip_suffix(".jsonl.zst").unwrap();
            let expected = shared.join("expected").join(capture::venue_of(&file).unwrap()).join(name);
            (file, expected)
        })
        .collect();
    assert!(!pairs.is_empty(), "the folder of recorded data holds sessions of known venues");
    pairs
}

fn read(expected: &Path, suffix: &str) -> String {
    let path = PathBuf::from(format!("{}{suffix}", expected.display()));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn summaries_are_equal_in_every_count_sum_and_digest() {
    for (file, expected) in recordings() {
        let mut expected: Value = serde_json::from_str(&read(&expected, ".summary.json")).unwrap();
        expected.as_object_mut().unwrap().remove("final_books"); // Of the book builder, not of the decoder.
        let mut problems = Vec::new();
        let summary = summarize(&file, None, &mut |problem| problems.push(problem.to_string())).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(serde_json::to_value(&summary).unwrap(), expected, "{}", file.display());
    }
}

#[test]
fn every_sampled_event_is_listed_to_the_letter() {
    for (file, expected) in recordings() {
        let mut listing = Vec::new();
        let listed = list_events(&file, None, &mut listing, &mut |problem| panic!("{problem}")).unwrap();
        let lines: Vec<Value> = listing.split(|&b| b == b'\n').filter(|l| !l.is_empty()).map(parse).collect();
        assert_eq!(lines.len() as u64, listed.events + listed.frames_without_event);
        let by_place: HashMap<_, &Value> = lines.iter().map(|line| (place(line), line)).collect();
        assert_eq!(by_place.len(), lines.len(), "each place is listed once");
        let expected = read(&expected, ".events.jsonl");
        for event in expected.lines().map(|line| parse(line.as_bytes())) {
            let got = by_place.get(&place(&event));
            assert_eq!(got, Some(&&event), "{}", file.display());
        }
        if expected.lines().count() <= 150 && lines.len() <= 150 {
            assert_eq!(lines.len(), expected.lines().count(), "{}: nothing but what is expected", file.display());
        }
    }
}

fn parse(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

/// Line and place within the frame; a frame without an event has one line and no `sub`.
fn place(event: &Value) -> (u64, Option<u64>) {
    (event["line"].as_u64().unwrap(), event["sub"].as_u64())
}
