//! The lines an operator reads. The first part of the health line is the source design's, word for word.

use crate::number::{duration, grouped, percent};
use crate::snapshot::{SinkView, Snapshot};
use crate::watched::Watched;
use feedd_core::AccountWatch;
use feedd_core::accounting::Account;
use feedd_core::counters::{SessionCounters, SinkState};
use std::fmt::Write;
use std::time::Duration;

/// Printed once at start.
#[must_use]
pub fn started_line(ring_capacity: u64) -> String {
    format!("Data pipeline initialized with buffer capacity: {ring_capacity} ticks")
}

/// Printed every `interval`: what happened since `before`, and how it stands.
#[must_use]
pub fn health_line(before: &Snapshot, now: &Snapshot, interval: Duration) -> String {
    let mut line = format!(
        "Pipeline Health: {} ticks/{}s | Total: {} | Batches: {} | Failed: {} | Retries: {} | Buffer: {}/{}",
        now.account.accepted - before.account.accepted,
        interval.as_secs(),
        now.account.accepted,
        now.batches,
        now.batches_failed,
        now.retries,
        now.buffered,
        now.buffer_limit,
    );
    if let Some(journal) = &now.journal {
        let percent = percent(journal.bytes, journal.bytes_max);
        let _ = write!(line, " | Durable: {} (journal {percent}%)", journal.durable_seq);
    }
    for sink in &now.sinks {
        let _ = write!(line, " | Stored {}: {}{}", sink.name, sink.totals.stored, sink_trouble(before, now, sink));
    }
    let _ = write!(
        line,
        " | Lag: {} | Dropped: {} | Gaps: {}",
        duration(now.lag_ns),
        now.account.sources.dropped,
        now.gaps
    );
    if now.clock_steps > 0 {
        let _ = write!(line, " | Clock steps: {}", now.clock_steps);
    }
    for feed in &now.feeds {
        let _ = write!(line, " | Feed {}: {} connected", feed.source, feed.connections);
        if feed.mute > 0 {
            let _ = write!(line, ", {} of {} streams mute", feed.mute, feed.streams);
        }
    }
    for ring in &now.rings {
        let _ = write!(
            line,
            " | Ring {}: {}% max {}% blocked {}",
            ring.source,
            percent(ring.depth, ring.capacity),
            percent(ring.peak_ever, ring.capacity),
            duration(ring.blocked_ns)
        );
    }
    line
}

/// What is not as usual with a sink: its breaker, its backlog and how fast that drains. Nothing when all is well.
fn sink_trouble(before: &Snapshot, now: &Snapshot, sink: &SinkView) -> String {
    let mut out = match sink.state {
        SinkState::Starting => " (not reached yet)".to_owned(),
        SinkState::Working => String::new(),
        SinkState::Stopped => " (STOPPED, needs a person)".to_owned(),
        state => format!(
            " ({} for {}, next attempt in {})",
            state.name(),
            duration(sink.failing_ns),
            duration(sink.next_attempt_ns)
        ),
    };
    let backlog = sink.backlog();
    if backlog > BACKLOG_TOLD {
        let _ = write!(out, " backlog {}", grouped(backlog));
        let past = before.sinks.iter().find(|other| other.name == sink.name).map_or(0, |other| other.written);
        let rate = per_second(sink.written.saturating_sub(past), now.at.since(before.at));
        if rate > 0 && sink.state == SinkState::Working {
            let _ = write!(out, ", draining {}/s", grouped(rate));
        }
    }
    out
}

/// A backlog below this is what a batch holds.
const BACKLOG_TOLD: u64 = 100_000;

fn per_second(events: u64, nanos: u64) -> u64 {
    let rate = u128::from(events) * 1_000_000_000 / u128::from(nanos.max(1));
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// The live line of a terminal: what is wrong first, because a narrow terminal cuts the end; then rate since `before`,
/// totals, fill of the fullest ring, lag.
#[must_use]
pub fn status_line(before: &Snapshot, now: &Snapshot, running: Duration) -> String {
    let account = &now.account;
    let rate = per_second(account.accepted - before.account.accepted, now.at.since(before.at));
    let fullest = now.rings.iter().max_by_key(|ring| percent(ring.depth, ring.capacity));
    let fill = fullest.map_or(0, |ring| percent(ring.depth, ring.capacity));
    let peak = now.rings.iter().map(|ring| percent(ring.peak_ever, ring.capacity)).max().unwrap_or(0);
    let seconds = running.as_secs();
    format!(
        "{}{}{:02}:{:02}:{:02} | {} events/s | {} accepted, {}{} | ring {fill}% max {peak}% | lag {}",
        if now.simulated { "SIMULATED " } else { "" },
        alarms(now),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        grouped(rate),
        grouped(account.accepted),
        now.journal.map_or_else(String::new, |journal| format!("{} durable, ", grouped(journal.durable_seq))),
        stored(before, now),
        duration(now.lag_ns),
    )
}

/// What each sink has stored, with a name where there are several.
fn stored(before: &Snapshot, now: &Snapshot) -> String {
    let several = now.sinks.len() > 1;
    let one = |sink: &SinkView| {
        let backlog = if sink.state == SinkState::Working { sink_trouble(before, now, sink) } else { String::new() };
        let name = if several { format!("{} ", sink.name) } else { String::new() };
        format!("{name}{} stored{backlog}", grouped(sink.totals.stored))
    };
    now.sinks.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// What is wrong, or nothing.
fn alarms(now: &Snapshot) -> String {
    let mut out = String::new();
    for feed in now.feeds.iter().filter(|feed| feed.connections == 0) {
        let _ = write!(out, "FEED {} AWAY | ", feed.source);
    }
    for sink in &now.sinks {
        let away = match sink.state {
            SinkState::Starting | SinkState::Working => continue,
            SinkState::Stopped => "STOPPED, needs a person".to_owned(),
            state => format!("FAILING, {} for {}", state.name(), duration(sink.failing_ns)),
        };
        let _ = write!(out, "SINK {} {away} | ", sink.name);
    }
    if let Some(journal) = now.journal.filter(|journal| journal.waiting_ns > 0) {
        let _ = write!(out, "JOURNAL waits for room for {} | ", duration(journal.waiting_ns));
    }
    let missed: u64 = now.account.sinks.iter().map(|sink| sink.missed + sink.earlier.missed).sum();
    let counts = [(now.account.sources.dropped, "DROPPED"), (missed, "MISSED"), (now.account.kept_out(), "rejected")];
    for (count, what) in counts {
        if count > 0 {
            let _ = write!(out, "{} {what} | ", grouped(count));
        }
    }
    out
}

/// The end of a run: the account in one line, then each source, with reasons where something was not stored, and what
/// was found while the run went on.
#[must_use]
pub fn final_report(watched: &Watched, watch: &AccountWatch) -> String {
    let account = watched.account();
    let verdict = match (account.unaccounted(), account.sources.in_ring + undurable(&account), account.pending()) {
        (0, 0, 0) => match (account.kept_out(), account.sources.dropped) {
            (0, 0) => "complete".to_owned(),
            (rejected, 0) => format!("complete, {} rejected", grouped(rejected)),
            (rejected, dropped) => format!("complete, {} rejected, {} DROPPED", grouped(rejected), grouped(dropped)),
        },
        (0, 0, pending) if account.durable.is_some() => {
            format!("complete, {} pending in the journal for the next start", grouped(pending))
        }
        (0, lost, pending) => format!("{} events pending when the run ended", grouped(lost.max(pending))),
        (n, ..) => format!("{} UNACCOUNTED: a defect of feedd, please report it", grouped(n)),
    };
    let mut out = format!("Final accounting ({verdict}): {account}");
    for (source, totals) in watched.source_totals() {
        let c = &source.counters;
        let _ = write!(
            out,
            "\n  {}: {} frames ({} bytes), {} events, blocked {}, ring max {}%",
            source.name,
            grouped(totals.frames),
            grouped(totals.bytes),
            grouped(totals.decoded),
            duration(c.blocked_ns.get()),
            percent(c.ring_peak.ever().min(source.ring_capacity), source.ring_capacity),
        );
        let groups = [
            ("frames rejected", &c.frames_rejected),
            ("trades rejected", &c.events_rejected),
            ("dropped", &c.events_dropped),
        ];
        for (what, reasons) in groups {
            for (reason, count) in reasons.iter().filter(|(_, count)| *count > 0) {
                let _ = write!(out, ", {count} {what}: {reason}");
            }
        }
        out.push_str(&session_words(&c.session));
        if c.dead_letters_missed.get() > 0 {
            let _ = write!(out, ", {} raw texts not kept", c.dead_letters_missed.get());
        }
        if c.clock_steps.get() > 0 {
            let _ = write!(out, ", {} steps of the wall clock", c.clock_steps.get());
        }
    }
    let _ = write!(out, "\n  {}", watch_line(watch));
    out
}

/// What a live source went through; nothing for others.
fn session_words(c: &SessionCounters) -> String {
    if c.connections_opened.get() + c.connections_failed.get() == 0 {
        return String::new();
    }
    let mut out = format!(", {} connections", c.connections_opened.get());
    let counts = [
        (&c.reconnects, "reconnects"),
        (&c.connections_failed, "attempts to connect failed"),
        (&c.resynchronised, "books resynchronised"),
        (&c.trades_backfilled, "trades fetched later"),
        (&c.pulls_failed, "REST requests failed"),
        (&c.tape_lines_dropped, "lines not taped"),
    ];
    for (count, what) in counts {
        if count.get() > 0 {
            let _ = write!(out, ", {} {what}", grouped(count.get()));
        }
    }
    out
}

/// How often the account was checked, and what was found.
fn watch_line(watch: &AccountWatch) -> String {
    let looks = grouped(watch.looks());
    watch.first().map_or_else(
        || format!("account checked {looks} times: no violation"),
        |first| {
            let violations = grouped(watch.violations());
            format!("account checked {looks} times: VIOLATED {violations} times, a defect of feedd, please report it: {first}")
        },
    )
}

/// Events that were accepted and that the journal, where there is one, does not hold.
fn undurable(account: &Account) -> u64 {
    account.durable.map_or(0, |durable| account.accepted.saturating_sub(durable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{FeedView, JournalView, RingView};
    use feedd_core::accounting::{SinkTotals, SourceTotals};
    use feedd_model::MonoNanos;

    fn snapshot(at: u64, accepted: u64) -> Snapshot {
        let sources = SourceTotals { accepted, decoded: accepted, ..SourceTotals::default() };
        let totals = SinkTotals { name: "parquet".into(), stored: accepted, ..SinkTotals::default() };
        let sink = SinkView {
            name: totals.name.clone(),
            required: true,
            state: SinkState::Working,
            failing_ns: 0,
            next_attempt_ns: 0,
            lag_ns: 14_000_000,
            written: accepted,
            calling_ns: 0,
            error: String::new(),
            totals: totals.clone(),
        };
        Snapshot {
            at: MonoNanos(at),
            simulated: true,
            account: Account { sources, sinks: vec![totals], accepted, ..Account::default() },
            rings: vec![RingView {
                source: "sim".into(),
                capacity: 10_000,
                depth: 300,
                peak_ever: 1_250,
                blocked_ns: 2_000_000,
                waiting_ns: 0,
            }],
            feeds: Vec::new(),
            journal: None,
            sinks: vec![sink],
            analysis: None,
            batches: 12,
            batches_failed: 1,
            retries: 3,
            buffered: 42,
            buffer_limit: 500,
            lag_ns: 14_000_000,
            gaps: 0,
            clock_steps: 0,
            batching_blocked_ns: 0,
            batching_waiting_ns: 0,
        }
    }

    /// The same with a journal and a second sink that is away.
    fn with_outage(at: u64, accepted: u64) -> Snapshot {
        let mut now = snapshot(at, accepted);
        now.journal =
            Some(JournalView { durable_seq: accepted - 5, bytes: 300, bytes_max: 1_000, ..JournalView::default() });
        let mut away = now.sinks[0].clone();
        (away.name, away.state) = ("postgres".into(), SinkState::Open);
        (away.failing_ns, away.next_attempt_ns) = (95_000_000_000, 12_300_000_000);
        (away.totals.stored, away.totals.in_lane, away.written) = (1_000, accepted - 1_000, 1_000);
        now.account.sinks.push(away.totals.clone());
        now.sinks.push(away);
        now
    }

    #[test]
    fn an_outage_is_told_with_its_breaker_and_its_backlog() {
        let line = health_line(&with_outage(0, 1_000), &with_outage(30_000_000_000, 601_000), Duration::from_secs(30));
        let expected = " | Durable: 600995 (journal 30%) | Stored parquet: 601000 | Stored postgres: 1000 (open for 95.0 s, \
                        next attempt in 12.3 s) backlog 600,000 | Lag: 14 ms";
        assert!(line.contains(expected), "{line}");
        let mut back = with_outage(30_000_000_000, 601_000);
        (back.sinks[1].state, back.sinks[1].totals.stored) = (SinkState::Working, 301_000);
        (back.sinks[1].totals.in_lane, back.sinks[1].written) = (300_000, 301_000);
        let line = health_line(&with_outage(0, 1_000), &back, Duration::from_secs(30));
        assert!(line.contains("Stored postgres: 301000 backlog 300,000, draining 10,000/s"), "{line}");
        let line = status_line(&with_outage(0, 1_000), &back, Duration::from_secs(1));
        assert!(
            line.contains("600,995 durable, parquet 601,000 stored, postgres 301,000 stored backlog 300,000"),
            "{line}"
        );
    }

    #[test]
    fn the_health_line_keeps_the_settled_words() {
        let line = health_line(&snapshot(0, 1_000), &snapshot(30_000_000_000, 61_000), Duration::from_secs(30));
        assert_eq!(
            line,
            "Pipeline Health: 60000 ticks/30s | Total: 61000 | Batches: 12 | Failed: 1 | Retries: 3 | Buffer: 42/500 | \
             Stored parquet: 61000 | Lag: 14 ms | Dropped: 0 | Gaps: 0 | Ring sim: 3% max 12% blocked 2 ms"
        );
    }

    #[test]
    fn live_sources_are_told_and_one_that_is_away_comes_first() {
        let mut now = snapshot(30_000_000_000, 61_000);
        let feed = |source: &str, connections, mute| FeedView {
            source: source.into(),
            connections,
            streams: 6,
            mute,
            failed: 0,
        };
        now.feeds = vec![feed("binance", 2, 0), feed("kraken", 1, 1), feed("okx", 0, 0)];
        let line = health_line(&snapshot(0, 1_000), &now, Duration::from_secs(30));
        let expected = " | Feed binance: 2 connected | Feed kraken: 1 connected, 1 of 6 streams mute | Feed okx: 0 connected \
                        | Ring sim: ";
        assert!(line.contains(expected), "{line}");
        let line = status_line(&snapshot(0, 1_000), &now, Duration::from_secs(1));
        assert!(line.starts_with("SIMULATED FEED okx AWAY | 00:00:01"), "{line}");
    }

    #[test]
    fn the_end_of_a_live_source_says_what_it_went_through() {
        let counters = SessionCounters::default();
        assert_eq!(session_words(&counters), "");
        counters.connections_opened.add(3);
        counters.reconnects.add(2);
        counters.trades_backfilled.add(1_234);
        assert_eq!(session_words(&counters), ", 3 connections, 2 reconnects, 1,234 trades fetched later");
    }

    #[test]
    fn steps_of_the_wall_clock_are_told_when_there_are_any() {
        let now = Snapshot { clock_steps: 2, ..snapshot(30_000_000_000, 61_000) };
        let line = health_line(&snapshot(0, 1_000), &now, Duration::from_secs(30));
        assert!(line.contains(" | Gaps: 0 | Clock steps: 2 | Ring sim: "), "{line}");
    }

    #[test]
    fn the_watch_says_how_often_it_looked_and_what_it_found_first() {
        let mut watch = AccountWatch::default();
        let mut account = snapshot(0, 0).account;
        assert!(watch.check(&account).is_ok());
        assert_eq!(watch_line(&watch), "account checked 1 times: no violation");
        account.accepted = 7;
        assert!(watch.check(&account).is_err());
        let expected = "account checked 2 times: VIOLATED 1 times, a defect of feedd, please report it: run: 7 sequence \
                        numbers given, but only 0 events accepted";
        assert_eq!(watch_line(&watch), expected);
    }

    #[test]
    fn the_status_line_says_simulated_the_rate_and_first_what_is_wrong() {
        let line = |now: &Snapshot| status_line(&snapshot(0, 1_000), now, Duration::from_secs(3_725));
        let mut now = snapshot(500_000_000, 61_000);
        let well = "01:02:05 | 120,000 events/s | 61,000 accepted, 61,000 stored | ring 3% max 12% | lag 14 ms";
        assert_eq!(line(&now), format!("SIMULATED {well}"));
        (now.sinks[0].state, now.sinks[0].failing_ns) = (SinkState::Failing, 1_500_000_000);
        (now.account.sources.dropped, now.account.sources.rejected) = (40, 1_200);
        assert_eq!(
            line(&now),
            format!(
                "SIMULATED SINK parquet FAILING, closed, retrying for 1.5 s | 40 DROPPED | 1,200 rejected | {well}"
            )
        );
    }
}
