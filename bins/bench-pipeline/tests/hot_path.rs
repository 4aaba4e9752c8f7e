//! `hot-path` runs every case, checks what arrived, and writes its figures in every form.

mod common;

use common::report;
use serde_json::Value;
use std::process::Command;

const RATIOS: [&str; 13] = [
    "pipeline_over_rtrb",
    "burst_1_over_rtrb_burst_1",
    "burst_1_over_burst_64",
    "rtrb_burst_1_over_burst_64",
    "producers_2_over_1",
    "producers_4_over_1",
    "lane_over_pipeline",
    "journal_over_null",
    "parquet_over_null",
    "pipeline_over_source_task_per_event",
    "pipeline_over_source_as_documented",
    "pipeline_over_source_best",
    "rtrb_kept_over_rtrb",
];

#[test]
fn every_case_is_measured_and_told() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let [markdown, svg] = ["a.md", "a.svg"].map(|name| dir.path().join(name));
    let place = dir.path().join("measured");
    std::fs::create_dir(&place).unwrap();
    let [place_text, markdown_text, svg_text] = [&place, &markdown, &svg].map(|path| path.to_str().unwrap());
    let outputs = ["--dir", place_text, "--markdown", markdown_text, "--svg", svg_text];
    let report = report(&[&["hot-path", "--events", "1000000", "--rounds", "1"], &outputs[..]].concat());
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 14);
    assert!(cases.iter().all(|case| case["unit"] == "ns/event" && case["name"].is_string()));
    // Whether a run counts is the machine's affair; that each was made and has a figure is not.
    let round = report["rounds"][0]["cases"].as_object().unwrap();
    assert_eq!(round.len(), 14);
    assert!(round.values().all(|case| case["value"].as_f64().unwrap() > 0.0), "{round:?}");
    let [ratios, of_all] = ["ratios", "ratios_of_all_runs"].map(|name| report[name].as_object().unwrap());
    for key in RATIOS {
        assert!(ratios.contains_key(key) && of_all[key]["median"].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!((ratios.len(), of_all.len()), (RATIOS.len(), RATIOS.len()));
    let text = std::fs::read_to_string(&markdown).unwrap();
    assert!(text.starts_with("## hot-path\n") && text.contains("| bare rtrb, chunks | ns/event |"), "{text}");
    assert!(std::fs::read_to_string(&svg).unwrap().ends_with("</svg>\n"));
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0, "files were left behind");
}

#[test]
fn some_cases_in_several_processes() {
    let args = ["hot-path", "--events", "1000000", "--rounds", "1", "--processes", "2", "--only", "rtrb,pipeline"];
    let report = report(&args);
    assert_eq!(report["processes"].as_array().map(Vec::len), Some(2));
    let names: Vec<&Value> = report["cases"].as_array().unwrap().iter().map(|case| &case["name"]).collect();
    assert_eq!(names, ["rtrb", "pipeline"]);
}

#[test]
fn a_case_that_there_is_not_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench-pipeline")).args(["hot-path", "--only", "pipelin"]).output();
    let output = output.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("no case pipelin; there are rtrb, "), "{errors}");
}
