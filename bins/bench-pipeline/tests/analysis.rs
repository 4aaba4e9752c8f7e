//! `analysis` measures every step, finds every trade in a bar, and tells its figures in every form.

mod common;

use common::report;

const CASES: [&str; 8] =
    ["walk", "bars_1s", "bars_1s_1m", "engine", "engine_paper", "lane", "paced_copied", "paced_shared"];

#[test]
fn every_step_is_measured_and_told() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let markdown = dir.path().join("a.md");
    let outputs = ["--markdown", markdown.to_str().unwrap()];
    // A hundred seconds of the market: enough bars for the averages to cross.
    let asked = ["analysis", "--events", "100000", "--rate", "1k", "--rounds", "1"];
    let report = report(&[&asked[..], &outputs].concat());
    let names: Vec<&str> =
        report["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names, CASES);
    // Whether a run counts is the machine's affair; that each was made and has a figure is not.
    let round = report["rounds"][0]["cases"].as_object().unwrap();
    assert!(CASES.iter().all(|case| round[*case]["value"].as_f64().unwrap() > 0.0), "{round:?}");
    let signals = |case: &str| round[case]["signals"].as_u64().unwrap();
    assert!(signals("engine") > 0);
    for case in ["engine_paper", "lane", "paced_copied", "paced_shared"] {
        assert_eq!(signals(case), signals("engine"), "{case}");
    }
    assert!(round["engine_paper"]["fills"].as_u64().unwrap() > 0);
    assert_eq!(round["lane"]["backpressure_events"], 0, "data mode waits for the credit");
    for case in ["paced_copied", "paced_shared"] {
        let percent = round[case]["backpressure_events"].as_f64().unwrap() * 100.0 / 100_000.0;
        assert!((round[case]["backpressure_percent"].as_f64().unwrap() - percent).abs() < 1e-9, "{case}");
    }
    assert!(report["load_trades_per_s"].as_f64().unwrap() > 0.0);
    let steps = report["steps_ns_per_trade"].as_object().unwrap();
    assert!(CASES[..6].iter().all(|case| steps.contains_key(*case)), "{steps:?}");
    let goals: Vec<&str> =
        report["goals"].as_array().unwrap().iter().map(|goal| goal["name"].as_str().unwrap()).collect();
    assert_eq!(goals, ["A1", "A2", "A3"]);
    // A thousand trades a second of ten symbols: no symbol is silent for a second.
    let notes = report["notes"].to_string();
    assert!(notes.contains("1000 bars of 1s, 20 of 1m"), "{notes}");
    let text = std::fs::read_to_string(&markdown).unwrap();
    assert!(text.starts_with("## analysis\n") && text.contains("| SMA and RSI over bars of 1s | "), "{text}");
}
