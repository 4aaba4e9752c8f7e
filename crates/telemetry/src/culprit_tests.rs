//! The right culprit, and soon: with looks as the telemetry thread takes them, and a clock that the test turns.

use super::*;

/// Ten looks a second.
const LOOK_NS: u64 = S / 10;

/// Turns the clock until `rule` is found about `who`, with the looks back as the observer has them; gives the time and
/// everything that was found then.
fn first(rule: &str, who: &str, at: impl Fn(u64, &mut Snapshot)) -> (u64, Vec<Finding>) {
    let mut seen: Vec<Snapshot> = Vec::new();
    for step in 0..600 {
        let now_ns = step * LOOK_NS;
        let now = with(|s| {
            s.at = MonoNanos(now_ns);
            at(now_ns, s);
        });
        seen.push(now);
        let now = seen.last().unwrap();
        let ago = |nanos: u64| {
            let old = seen.iter().rev().find(|past| now.at.since(past.at) >= nanos);
            old.unwrap_or(&seen[0])
        };
        let all = findings(&Evidence {
            before: &seen[0],
            recent: ago(RECENT_NANOS),
            lately: ago(LATELY_NANOS),
            ..evidence(&seen[0], now, &[])
        });
        if all.iter().any(|finding| finding.rule == rule && finding.who == who) {
            return (now_ns, all);
        }
    }
    panic!("{rule} is never found about {who}");
}

/// When whatever it is begins to hang.
const HANGS_AT: u64 = 20 * S;

const fn hung_for(now_ns: u64) -> u64 {
    now_ns.saturating_sub(HANGS_AT)
}

#[test]
fn a_database_that_hangs_is_named_before_its_call_gives_up() {
    let (at, found) = first("FeeddSinkStalled", "postgres", |now, s| {
        s.sinks[1].calling_ns = hung_for(now);
        s.sinks[1].totals.in_lane = 700;
    });
    assert!(at - HANGS_AT <= 5 * S, "{at}");
    let [finding] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(finding.text, "has not answered for 3.1 s; recording goes on into the journal, 700 events wait");
    assert!(finding.remedy.starts_with("its database or disk hangs"), "{finding:?}");
}

#[test]
fn without_a_journal_the_sink_that_hangs_is_blamed_for_all_who_wait() {
    let (at, found) = first("FeeddRingSaturated", "binance", |now, s| {
        s.journal = None;
        s.sinks[1].calling_ns = hung_for(now);
        s.batching_waiting_ns = hung_for(now);
        (s.rings[0].waiting_ns, s.rings[0].blocked_ns) = (hung_for(now), hung_for(now));
    });
    assert!(at - HANGS_AT <= 5 * S, "{at}");
    let ring = found.iter().find(|finding| finding.rule == "FeeddRingSaturated").unwrap();
    assert_eq!(ring.remedy, "postgres is the cause: mend that first");
    let (_, found) = first("FeeddBackpressure", "postgres", |now, s| {
        s.journal = None;
        s.sinks[1].calling_ns = hung_for(now);
        s.batching_waiting_ns = hung_for(now);
    });
    assert!(found.iter().any(|finding| finding.remedy.contains("switch the journal on")), "{found:?}");
}

#[test]
fn a_slow_strategy_is_named_with_its_share() {
    let strategies = |now: u64| {
        let strategy = |name: &str, busy_ns: u64, running_ns: u64| StrategyView {
            name: name.into(),
            calls: now / S,
            busy_ns,
            running_ns,
            ..StrategyView::default()
        };
        vec![strategy("sma(10,30)", now / 100, 0), strategy("slow(5000)", now / 10, hung_for(now))]
    };
    let (at, found) = first("FeeddSlowStrategy", "slow(5000)", |now, s| {
        s.analysis = Some(analysis(LinkTotals::default(), strategies(now)));
    });
    assert!(at - HANGS_AT <= 5 * S, "{at}");
    assert_eq!(found[0].text, "its running call takes 1.0 s so far");
    assert!(found[0].remedy.contains("recording and the other strategies go on"));

    // Cycles come before the engine is ready for them, and some find no room.
    let (_, found) = first("FeeddBackpressure", "AnalysisEngine", |now, s| {
        let events = now / S * 10;
        let engine = LinkTotals {
            events,
            backpressure_events: if now > HANGS_AT { events / 2 } else { 0 },
            skipped_events: u64::from(now > HANGS_AT),
            ..LinkTotals::default()
        };
        s.analysis = Some(analysis(engine, strategies(now)));
    });
    let engine = |rule: &str| found.iter().find(|finding| finding.rule == rule).unwrap();
    assert!(engine("FeeddBackpressure").text.contains("; slow(5000) took 9"), "{found:?}");
    assert!(engine("FeeddNoCredit").text.starts_with("its queue was full: 1 cycles were left out"), "{found:?}");
}

fn analysis(engine: LinkTotals, strategies: Vec<StrategyView>) -> AnalysisView {
    AnalysisView {
        processor: LinkTotals::default(),
        engine,
        bars: 0,
        cycles: 0,
        running: None,
        waiting_ns: [0; 2],
        strategies,
    }
}

#[test]
fn bands_of_backpressure_are_those_of_the_report() {
    let at = |count: u64, of: u64| {
        let engine = LinkTotals { events: of, backpressure_events: count, ..LinkTotals::default() };
        let now = with(|s| s.analysis = Some(analysis(engine, Vec::new())));
        let before = with(|s| s.analysis = Some(analysis(LinkTotals::default(), Vec::new())));
        found(&before, &now).into_iter().map(|finding| finding.text).collect::<Vec<_>>()
    };
    assert_eq!(at(99, 1_000), [""; 0], "good below 10 %");
    assert_eq!(at(100, 1_000), ["10% of the last 1,000 cycles came before it was ready"]);
    assert_eq!(at(19, 19), [""; 0], "too few to mean anything");
}

#[test]
fn a_full_disk_is_named_as_the_cause_of_everything_that_waits() {
    let disks =
        [DiskView { folder: "/data/journal".into(), has_journal: true, free_bytes: 0, total_bytes: 32_000_000 }];
    let now = with(|s| {
        s.journal.as_mut().unwrap().waiting_ns = S / 5;
        s.batching_waiting_ns = 2 * S;
        (s.rings[0].waiting_ns, s.rings[0].depth) = (S, 1_000);
        (s.sinks[0].state, s.sinks[0].failing_ns) = (SinkState::Open, S);
        s.sinks[0].error = "writing part.tmp: No space left on device (os error 28)".into();
    });
    let before = well();
    let all = findings(&Evidence { disks: &disks, ..evidence(&before, &now, &[]) });
    let told: Vec<(&str, &str)> = all.iter().map(|f| (f.rule.as_str(), f.who.as_str())).collect();
    let expected = [
        ("FeeddDiskFull", "/data/journal"),
        ("FeeddJournalWaiting", "journal"),
        ("FeeddSinkBreakerOpen", "parquet"),
        ("FeeddBackpressure", "journal"),
        ("FeeddRingSaturated", "binance"),
    ];
    assert_eq!(told, expected, "the cause first");
    assert_eq!(all[0].text, "0 MB of 32 MB are free on this disk");
    assert_eq!(all[1].remedy, "its disk is the cause: make room below /data/journal");
    assert!(all[2].text.ends_with("No space left on device (os error 28)"), "{:?}", all[2]);
    assert!(all[2].remedy.starts_with("make room on the disk of this sink"), "{:?}", all[2]);
    let room = [DiskView { free_bytes: 1_000, ..disks[0].clone() }];
    let well = well();
    assert_eq!(findings(&Evidence { disks: &room, ..evidence(&well, &well, &[]) }), []);
}

#[test]
fn the_journal_waits_for_the_required_sink_that_is_behind() {
    let now = with(|s| {
        waiting(&mut s.journal);
        s.sinks[1].totals.in_lane = 5_000;
    });
    assert_eq!(
        found(&well(), &now)[0].remedy,
        "sink postgres is the cause, 5,000 events behind: mend it; or raise journal.bytes_max"
    );
}

#[test]
fn a_journal_that_grows_is_foretold_to_be_full() {
    let grown = |bytes: u64, minutes: u64| {
        let before = with(|s| s.journal.as_mut().unwrap().bytes_max = 100_000);
        let now = with(|s| {
            s.at = MonoNanos(minutes * 60 * S);
            let journal = s.journal.as_mut().unwrap();
            (journal.bytes, journal.bytes_max) = (bytes, 100_000);
        });
        let told = found(&before, &now);
        told.into_iter().map(|f| (f.level, f.rule, f.text)).collect::<Vec<_>>()
    };
    use Level::{Critical, Warning};
    let expected = (Critical, "FeeddJournalFullIn4h".to_owned());
    let [(level, rule, text)] = grown(50_000, 5).try_into().unwrap();
    assert_eq!((level, rule), expected);
    assert_eq!(text, "50% of journal.bytes_max is used; as it grows now, it is full in 5 min");
    let [(level, rule, text)] = grown(10_000, 40).try_into().unwrap();
    assert_eq!((level, rule), (Warning, "FeeddJournalFullIn12h".to_owned()), "360 min");
    assert_eq!(text, "10% of journal.bytes_max is used; as it grows now, it is full in 360 min");
    assert_eq!(grown(10_000, 80), [], "in 12 h");
    assert_eq!(grown(9_000, 5), [], "hardly begun");
    assert_eq!(grown(70_000, 0), [], "no pace is known yet");
}

#[test]
fn a_disk_that_syncs_slowly_or_not_at_all_is_named() {
    let journal = |commits: u64, commit_ns: u64, received_seq: u64| {
        with(|s| {
            s.at = MonoNanos(commits.min(1) * 4 * S);
            let journal = s.journal.as_mut().unwrap();
            (journal.commits, journal.commit_ns, journal.received_seq) = (commits, commit_ns, received_seq);
            journal.durable_seq = 0;
        })
    };
    let texts = |before: &Snapshot, now: &Snapshot| {
        let told = found(before, now);
        told.into_iter().map(|f| format!("{} {}", f.rule, f.text)).collect::<Vec<_>>()
    };
    let slow = journal(10, 6 * S, 0);
    assert_eq!(
        texts(&journal(0, 0, 0), &slow),
        ["FeeddJournalFsyncSlow the last 10 group commits took 600 ms on the mean"]
    );
    assert_eq!(texts(&journal(0, 0, 0), &journal(10, 4 * S, 0)), [""; 0]);
    let mut hung = journal(0, 0, 7);
    hung.at = MonoNanos(4 * S);
    assert_eq!(
        texts(&journal(0, 0, 5), &hung),
        ["FeeddJournalFsyncSlow no group commit has ended for 4.0 s, though events wait for one"]
    );
    assert_eq!(texts(&journal(0, 0, 0), &hung), [""; 0], "nothing waited before");
}

#[test]
fn failed_syncs_and_damage_are_told_while_they_are_news() {
    let now = with(|s| {
        let journal = s.journal.as_mut().unwrap();
        (journal.failed_syncs, journal.damaged) = (2, 3);
    });
    let all = found(&well(), &now);
    assert_eq!((all[0].rule.as_str(), all[0].who.as_str()), ("FeeddJournalDegraded", "journal"));
    assert!(all[0].text.starts_with("2 writes or syncs failed") && all[0].text.contains("3 damaged places"), "{all:?}");
    let mut later = now.clone();
    later.at = MonoNanos(300 * S);
    let mut before = now;
    before.at = MonoNanos(S);
    assert_eq!(found(&before, &later), []);
}

#[test]
fn a_tiny_wait_is_no_saturation() {
    let waited = |blocked_ns: u64, waiting_ns: u64| {
        let now = with(|s| (s.rings[0].blocked_ns, s.rings[0].waiting_ns) = (blocked_ns, waiting_ns));
        found(&well(), &now).len()
    };
    assert_eq!([waited(300_000_000, 0), waited(300_000_001, 0)], [0, 1], "one percent of the last 30 s");
    assert_eq!([waited(0, S - 1), waited(0, S)], [0, 1], "it waits now");
    // What was long ago is in the look of 30 s ago, too.
    let then = with(|s| s.rings[0].blocked_ns = 100 * S);
    assert_eq!(found(&then, &then), []);
}

#[test]
fn a_start_is_given_time_to_connect_unless_it_fails() {
    let down = |age_s: u64, failed: u64| {
        let now = with(|s| {
            s.at = MonoNanos(age_s * S);
            (s.feeds[0].connections, s.feeds[0].failed) = (0, failed);
        });
        found(&well(), &now).len()
    };
    assert_eq!([down(0, 0), down(19, 1), down(20, 0), down(0, 2)], [0, 0, 1, 1]);
}

#[test]
fn the_source_that_dropped_is_named() {
    let totals = |dropped| SourceTotals { dropped, ..SourceTotals::default() };
    let both = |dropped: u64| {
        with(|s| {
            let okx = RingView { source: "okx".into(), ..s.rings[0].clone() };
            s.rings.push(okx);
            s.account.each_source = vec![totals(3), totals(dropped)];
            s.account.sources.dropped = 3 + dropped;
        })
    };
    let [finding] = found(&both(0), &both(9)).try_into().unwrap();
    assert_eq!((finding.who.as_str(), finding.text.as_str()), ("okx", "9 events dropped by the configured policy"));
}
