//! When an alert is told: after its hold, once, when it becomes worse, and when it is over.

use super::*;

/// Seconds, in ns.
const S: u64 = 1_000_000_000;

fn finding(rule: &str, who: &str, level: Level) -> Finding {
    Finding { level, rule: rule.into(), who: who.into(), text: "seen".into(), remedy: "mend".into() }
}

fn look(alerts: &mut Alerts, found: &[Finding], second: u64) -> Vec<(String, String, State)> {
    let wall = i64::try_from(1_000 + second).unwrap();
    let edges = alerts.look(found, MonoNanos(second * S), UnixNanos(wall));
    edges.into_iter().map(|alert| (alert.rule, alert.who, alert.state)).collect()
}

fn edge(rule: &str, who: &str, state: State) -> (String, String, State) {
    (rule.to_owned(), who.to_owned(), state)
}

#[test]
fn an_alert_fires_once_after_its_hold_and_is_resolved_once() {
    let down = [finding("FeeddSinkBreakerOpen", "postgres", Level::Warning)];
    let mut alerts = Alerts::new(&[]);
    for second in 0..60 {
        assert_eq!(look(&mut alerts, &down, second), [], "pends at {second}");
    }
    assert_eq!(alerts.all()[0].state, State::Pending);
    assert_eq!(look(&mut alerts, &down, 60), [edge("FeeddSinkBreakerOpen", "postgres", State::Firing)]);
    for second in 61..100 {
        assert_eq!(look(&mut alerts, &down, second), [], "told already at {second}");
    }
    for second in 100..109 {
        assert_eq!(look(&mut alerts, &[], second), [], "it may come back at {second}");
    }
    assert_eq!(look(&mut alerts, &[], 109), [edge("FeeddSinkBreakerOpen", "postgres", State::Resolved)]);
    let [alert] = alerts.all().try_into().unwrap();
    assert_eq!((alert.state, alert.since, alert.until), (State::Resolved, 1_000, Some(1_109)));
    assert_eq!(look(&mut alerts, &[], 398), []);
    assert_eq!(alerts.all().len(), 1, "shown for some minutes");
    look(&mut alerts, &[], 399);
    assert_eq!(alerts.all(), []);
}

#[test]
fn what_comes_and_goes_is_told_once() {
    let stale = [finding("FeeddFeedStale", "binance BTCUSDT", Level::Warning)];
    let mut alerts = Alerts::new(&[]);
    let mut told = Vec::new();
    // Found for a second, not found for five, for ten minutes.
    for second in 0..600 {
        told.extend(look(&mut alerts, if second % 6 == 0 { &stale } else { &[] }, second));
    }
    assert_eq!(told, [edge("FeeddFeedStale", "binance BTCUSDT", State::Firing)]);
}

#[test]
fn what_passes_before_its_hold_is_never_told_and_holds_begin_anew() {
    let stale = [finding("FeeddFeedStale", "binance BTCUSDT", Level::Warning)];
    let mut alerts = Alerts::new(&[]);
    for second in 0..9 {
        assert_eq!(look(&mut alerts, &stale, second), []);
    }
    for second in 9..30 {
        assert_eq!(look(&mut alerts, &[], second), []);
    }
    assert_eq!(alerts.all(), [], "forgotten");
    assert_eq!(look(&mut alerts, &stale, 30), []);
    assert_eq!(look(&mut alerts, &stale, 39), []);
    assert_eq!(look(&mut alerts, &stale, 40), [edge("FeeddFeedStale", "binance BTCUSDT", State::Firing)]);
}

#[test]
fn a_resolved_alert_that_comes_back_is_a_new_one() {
    let lost = [finding("FeeddDroppingEvents", "binance", Level::Critical)];
    let mut alerts = Alerts::new(&[]);
    let firing = [edge("FeeddDroppingEvents", "binance", State::Firing)];
    assert_eq!(look(&mut alerts, &lost, 0), firing, "no hold");
    assert_eq!(look(&mut alerts, &[], 10), [edge("FeeddDroppingEvents", "binance", State::Resolved)]);
    assert_eq!(look(&mut alerts, &lost, 20), firing);
    assert_eq!((alerts.all()[0].since, alerts.all()[0].until), (1_020, None));
}

#[test]
fn an_alert_that_becomes_worse_is_told_again_but_not_one_that_becomes_better() {
    let at = |level| [finding("FeeddDiskFull", "/data", level)];
    let mut alerts = Alerts::new(&[]);
    let firing = [edge("FeeddDiskFull", "/data", State::Firing)];
    assert_eq!(look(&mut alerts, &at(Level::Warning), 0), firing);
    assert_eq!(look(&mut alerts, &at(Level::Critical), 1), firing);
    assert_eq!(alerts.all()[0].level, Level::Critical);
    assert_eq!(look(&mut alerts, &at(Level::Warning), 2), []);
    assert_eq!(look(&mut alerts, &at(Level::Critical), 3), [], "as bad as was told");
}

#[test]
fn alerts_are_told_apart_by_whom_they_are_about_and_a_silenced_rule_is_not_told() {
    let found = [
        finding("FeeddDiskFull", "/data", Level::Critical),
        finding("FeeddDiskFull", "/journal", Level::Critical),
        finding("FeeddClockStep", "clock", Level::Warning),
    ];
    let mut alerts = Alerts::new(&["FeeddClockStep".to_owned()]);
    let expected = ["/data", "/journal"].map(|who| edge("FeeddDiskFull", who, State::Firing));
    assert_eq!(look(&mut alerts, &found, 0), expected);
    assert_eq!(alerts.all().len(), 2);
}

#[test]
fn every_rule_has_a_hold_and_they_are_named_once() {
    let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    assert!(RULES.iter().all(|rule| rule.hold_ns <= 60 * S));
}
