//! What each rule sees, whom it blames, and what it advises.

use super::*;
use crate::snapshot::{AnalysisView, JournalView, RingView, StrategyView};
use feedd_core::accounting::{Account, SinkTotals, SourceTotals};
use feedd_core::counters::SinkState;
use feedd_core::link::LinkTotals;
use feedd_model::MonoNanos;

/// A live run that is well: one source with its ring and feed, a journal, two sinks.
fn well() -> Snapshot {
    let sink = |name: &str| SinkView {
        name: name.into(),
        required: true,
        state: SinkState::Working,
        failing_ns: 0,
        next_attempt_ns: 0,
        lag_ns: 0,
        written: 0,
        calling_ns: 0,
        error: String::new(),
        totals: SinkTotals { name: name.into(), ..SinkTotals::default() },
    };
    Snapshot {
        at: MonoNanos(0),
        simulated: false,
        account: Account::default(),
        rings: vec![RingView {
            source: "binance".into(),
            capacity: 1_000,
            depth: 0,
            peak_ever: 0,
            blocked_ns: 0,
            waiting_ns: 0,
        }],
        feeds: vec![FeedView { source: "binance".into(), connections: 1, streams: 4, mute: 0, failed: 0 }],
        journal: Some(JournalView { bytes_max: 1_000, ..JournalView::default() }),
        sinks: vec![sink("parquet"), sink("postgres")],
        analysis: None,
        batches: 0,
        batches_failed: 0,
        retries: 0,
        buffered: 0,
        buffer_limit: 0,
        lag_ns: 0,
        gaps: 0,
        clock_steps: 0,
        batching_blocked_ns: 0,
        batching_waiting_ns: 0,
    }
}

/// The same, changed.
fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = well();
    change(&mut snapshot);
    snapshot
}

fn waiting(journal: &mut Option<JournalView>) {
    let journal = journal.as_mut().unwrap();
    (journal.bytes, journal.waiting_ns) = (1_000, 2_500_000_000);
}

fn found(before: &Snapshot, now: &Snapshot) -> Vec<Finding> {
    findings(&evidence(before, now, &[]))
}

/// The three looks back are one.
fn evidence<'a>(before: &'a Snapshot, now: &'a Snapshot, symbols: &'a [SymbolView]) -> Evidence<'a> {
    let (recent, lately) = (before, before);
    Evidence {
        before,
        recent,
        lately,
        now,
        symbols,
        violations: 0,
        started: MonoNanos(0),
        threads: &[],
        restarts: 0,
        disks: &[],
        limits: &LIMITS,
    }
}

const LIMITS: Limits = Limits {
    blocked_ns: 300_000_000,
    commit_ns: 500_000_000,
    call_ns: 3_000_000_000,
    strategy_ns: 1_000_000_000,
    disk_free_bytes: 1_000,
};

/// Seconds, in ns.
const S: u64 = 1_000_000_000;

#[test]
fn a_run_that_is_well_finds_nothing() {
    assert_eq!(found(&well(), &well()), []);
    let none = with(|s| {
        s.journal = None;
        s.feeds.clear();
        s.sinks.iter_mut().for_each(|sink| sink.state = SinkState::Starting);
    });
    assert_eq!(found(&none, &none), [], "a sink that starts, no journal, no live source");
}

#[test]
fn each_rule_names_who_and_what_helps() {
    use Level::{Critical, Warning};
    type Case = (Level, &'static str, &'static str, &'static str, &'static str, Snapshot);
    // level, rule, who, part of the text, part of the remedy, what is seen
    let cases: Vec<Case> = vec![
        (
            Critical,
            "FeeddDroppingEvents",
            "rings",
            "1,234 events dropped",
            "full = \"block\"",
            with(|s| {
                s.account.sources.dropped = 1_234;
            }),
        ),
        (
            Critical,
            "FeeddSinkMissedEvents",
            "parquet",
            "7 events are not to be had",
            "journal.bytes_max",
            with(|s| {
                (s.sinks[0].totals.missed, s.sinks[0].totals.earlier.missed) = (3, 4);
            }),
        ),
        (
            Warning,
            "FeeddQuarantine",
            "postgres",
            "5 events refused",
            "feedd quarantine list",
            with(|s| {
                (s.sinks[1].totals.quarantined, s.sinks[1].totals.earlier.quarantined) = (2, 3);
            }),
        ),
        (
            Warning,
            "FeeddRejectingFrames",
            "decoding",
            "9 frames",
            "dead-letters.jsonl",
            with(|s| {
                s.account.sources.frames_rejected = 9;
            }),
        ),
        (Warning, "FeeddClockStep", "clock", "was set", "chrony", with(|s| s.clock_steps = 1)),
        (
            Critical,
            "FeeddSinkStopped",
            "postgres",
            "cannot go on",
            "restart feedd",
            with(|s| {
                s.sinks[1].state = SinkState::Stopped;
            }),
        ),
        (
            Warning,
            "FeeddSinkBreakerOpen",
            "postgres",
            "fails since 95.0 s, next attempt in 12.3 s; recording goes on into the journal, 4,000 events wait",
            "database or disk of this sink",
            with(|s| {
                let sink = &mut s.sinks[1];
                (sink.state, sink.failing_ns, sink.next_attempt_ns) = (SinkState::Open, 95 * S, 12_300_000_000);
                sink.totals.in_lane = 4_000;
            }),
        ),
        (
            Warning,
            "FeeddSinkBreakerOpen",
            "parquet",
            "fails since 1.0 s",
            "stores what waits by itself",
            with(|s| {
                (s.sinks[0].state, s.sinks[0].failing_ns) = (SinkState::Failing, S);
            }),
        ),
        (
            Warning,
            "FeeddSinkBreakerOpen",
            "parquet",
            "fails since 1.0 s",
            "stores what waits by itself",
            with(|s| {
                (s.sinks[0].state, s.sinks[0].failing_ns) = (SinkState::HalfOpen, S);
            }),
        ),
        (
            Critical,
            "FeeddJournalWaiting",
            "journal",
            "waits for room since 2.5 s (100%",
            "journal.bytes_max",
            with(|s| {
                waiting(&mut s.journal);
            }),
        ),
        (
            Warning,
            "FeeddJournalFullSoon",
            "journal",
            "80% of journal.bytes_max is used",
            "which sink",
            with(|s| {
                s.journal.as_mut().unwrap().bytes = 800;
            }),
        ),
        (
            Critical,
            "FeeddFeedDown",
            "binance",
            "no connection delivers",
            "why connecting fails",
            with(|s| {
                (s.feeds[0].connections, s.feeds[0].mute, s.feeds[0].failed) = (0, 4, 2);
            }),
        ),
        (Warning, "FeeddStreamMute", "binance", "1 of 4 streams", "halted", with(|s| s.feeds[0].mute = 1)),
        (
            Warning,
            "FeeddRingSaturated",
            "binance",
            "90% full; it waited 0 us of the last 30.0 s",
            "a core of its own",
            with(|s| {
                s.rings[0].depth = 900;
            }),
        ),
        (
            Warning,
            "FeeddRingSaturated",
            "binance",
            "0% full; it waited 2.0 s",
            "ring.capacity",
            with(|s| {
                s.rings[0].blocked_ns = 2 * S;
            }),
        ),
    ];
    for (level, rule, who, text, remedy, now) in cases {
        let all = found(&well(), &now);
        let [one] = all.as_slice() else { panic!("{rule}: one finding, not {all:?}") };
        assert_eq!((one.level, one.rule.as_str(), one.who.as_str()), (level, rule, who), "{one:?}");
        assert!(one.text.contains(text) && one.remedy.contains(remedy), "{one:?}");
    }
}

#[test]
fn what_is_below_its_limit_is_not_told() {
    let cases = [
        ("journal", with(|s| s.journal.as_mut().unwrap().bytes = 799)),
        ("a journal without a limit", with(|s| s.journal.as_mut().unwrap().bytes_max = 0)),
        ("ring", with(|s| s.rings[0].depth = 899)),
    ];
    for (name, now) in cases {
        assert_eq!(found(&well(), &now), [], "{name}");
    }
}

#[test]
fn what_was_lost_long_ago_does_not_alarm_for_ever() {
    let long_ago = with(|s| {
        s.account.sources.dropped = 10;
        s.account.sources.frames_rejected = 10;
        s.sinks[0].totals.missed = 10;
        s.sinks[1].totals.quarantined = 10;
        s.clock_steps = 2;
        s.rings[0].blocked_ns = S;
    });
    assert_eq!(found(&long_ago, &long_ago), []);
    let mut now = long_ago.clone();
    (now.account.sources.dropped, now.sinks[0].totals.missed) = (11, 12);
    let texts: Vec<String> = found(&long_ago, &now).into_iter().map(|finding| finding.text).collect();
    assert!(texts[0].starts_with("1 events dropped") && texts[1].starts_with("2 events are not"), "{texts:?}");
}

#[test]
fn a_defect_and_a_silent_symbol_are_told_and_the_worst_comes_first() {
    let symbol = SymbolView {
        source: "binance".into(),
        venue: "binance".into(),
        symbol: "BTCUSDT".into(),
        messages: 100,
        last_at: None,
        quiet_ns: 60 * S,
        usual_ns: S / 10,
        is_silent: true,
    };
    let fresh = SymbolView { symbol: "ETHUSDT".into(), is_silent: false, ..symbol.clone() };
    let now = well();
    let all = findings(&Evidence { violations: 2, ..evidence(&now, &now, &[symbol, fresh]) });
    let told: Vec<_> = all.iter().map(|f| (f.level, f.rule.as_str(), f.who.as_str(), f.text.as_str())).collect();
    let expected = [
        (Level::Critical, "FeeddUnaccountedEvents", "accounting", "the accounting did not hold 2 times"),
        (Level::Warning, "FeeddFeedStale", "binance BTCUSDT", "not heard for 60.0 s, usually every 100 ms"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_thread_that_hangs_is_named_and_so_is_a_recorder_that_starts_again_and_again() {
    let still = |thread: &str, seconds| StillThread { thread: thread.to_owned(), still: Duration::from_secs(seconds) };
    let (now, threads) = (well(), [still("binance", 10), still("batching", 11)]);
    let all = findings(&Evidence { threads: &threads, restarts: 2, ..evidence(&now, &now, &[]) });
    let [stuck] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (stuck.level, stuck.rule.as_str(), stuck.who.as_str()),
        (Level::Critical, "FeeddThreadStuck", "batching")
    );
    assert_eq!(stuck.text, "thread batching has shown no sign of life for 11 s");
    assert!(stuck.remedy.contains("gdb"), "{stuck:?}");
    let all = findings(&Evidence { restarts: 3, ..evidence(&now, &now, &[]) });
    let [again] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(
        (again.level, again.rule.as_str(), again.who.as_str()),
        (Level::Critical, "FeeddRestarting", "recorder")
    );
    assert_eq!(again.text, "started 3 times in 15 minutes; each start marks a hole in the data");
}

#[test]
fn a_ring_that_waits_for_a_full_journal_blames_the_journal() {
    let now = with(|s| {
        waiting(&mut s.journal);
        s.rings[0].depth = 1_000;
    });
    let all = found(&well(), &now);
    let rules: Vec<&str> = all.iter().map(|finding| finding.rule.as_str()).collect();
    assert_eq!(rules, ["FeeddJournalWaiting", "FeeddRingSaturated"], "the cause first");
    assert_eq!(all[1].remedy, "the journal is the cause: mend that first");
}

/// The operators' guide says of every rule what it means, and of nothing else.
#[test]
fn every_rule_stands_in_the_guide() {
    let guide = include_str!("../../../docs/operations.md");
    let rules = |text: &'static str, mark: &str, end: &str| {
        let names = text.split(mark).skip(1).filter_map(|rest| rest.split(end).next());
        names.filter(|name| name.starts_with("Feedd")).collect::<std::collections::BTreeSet<&str>>()
    };
    let told = rules(guide, "| `", "`");
    let mut made = std::collections::BTreeSet::new();
    for text in [include_str!("findings.rs"), include_str!("findings_storage.rs"), include_str!("findings_analysis.rs")]
    {
        made.extend(rules(text, "\"", "\""));
    }
    assert_eq!(told, made);
    assert_eq!(made, crate::alerts::RULES.iter().map(|rule| rule.name).collect());
}

#[path = "culprit_tests.rs"]
mod culprits;
