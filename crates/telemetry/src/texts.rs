//! The lines an operator reads. The first part of the health line is the source design's, word for word.

use crate::number::{duration, grouped, percent};
use crate::snapshot::Snapshot;
use crate::watched::Watched;
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
    let account = &now.account;
    let _ = write!(
        line,
        " | Stored {}: {} | Lag: {} | Dropped: {} | Gaps: {}",
        now.sink,
        account.sink.stored,
        duration(now.lag_ns),
        account.sources.dropped,
        now.gaps
    );
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

/// The live line of a terminal: what is wrong first, because a narrow terminal cuts the end; then rate since `before`,
/// totals, fill of the fullest ring, lag.
#[must_use]
pub fn status_line(before: &Snapshot, now: &Snapshot, running: Duration) -> String {
    let account = &now.account;
    let nanos = now.at.since(before.at).max(1);
    let rate = u128::from(account.accepted - before.account.accepted) * 1_000_000_000 / u128::from(nanos);
    let fullest = now.rings.iter().max_by_key(|ring| percent(ring.depth, ring.capacity));
    let fill = fullest.map_or(0, |ring| percent(ring.depth, ring.capacity));
    let peak = now.rings.iter().map(|ring| percent(ring.peak_ever, ring.capacity)).max().unwrap_or(0);
    let seconds = running.as_secs();
    format!(
        "{}{}{:02}:{:02}:{:02} | {} events/s | {} accepted, {} stored | ring {fill}% max {peak}% | lag {}",
        if now.simulated { "SIMULATED " } else { "" },
        alarms(now),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        grouped(u64::try_from(rate).unwrap_or(u64::MAX)),
        grouped(account.accepted),
        grouped(account.sink.stored),
        duration(now.lag_ns),
    )
}

/// What is wrong, or nothing.
fn alarms(now: &Snapshot) -> String {
    let account = &now.account;
    let rejected = account.sources.frames_rejected + account.sources.rejected + account.sink.quarantined;
    let mut out = String::new();
    if now.sink_failing {
        let _ = write!(out, "SINK {} FAILING, retrying | ", now.sink);
    }
    for (count, what) in [(account.sources.dropped, "DROPPED"), (rejected, "rejected")] {
        if count > 0 {
            let _ = write!(out, "{} {what} | ", grouped(count));
        }
    }
    out
}

/// The end of a run: the account in one line, then each source, with reasons where something was not stored.
#[must_use]
pub fn final_report(watched: &Watched) -> String {
    let account = watched.account();
    let kept_out = account.sources.frames_rejected + account.sources.rejected + account.sink.quarantined;
    let verdict = match (account.unaccounted(), account.sink.in_lane + account.sink.in_sink + account.sources.in_ring) {
        (0, 0) => match (kept_out, account.sources.dropped) {
            (0, 0) => "complete".to_owned(),
            (rejected, 0) => format!("complete, {} rejected", grouped(rejected)),
            (rejected, dropped) => format!("complete, {} rejected, {} DROPPED", grouped(rejected), grouped(dropped)),
        },
        (0, pending) => format!("{} events pending when the run ended", grouped(pending)),
        (n, _) => format!("{} UNACCOUNTED: a defect of feedd, please report it", grouped(n)),
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
            percent(c.ring_peak_ever.get().min(source.ring_capacity), source.ring_capacity),
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
        if c.dead_letters_missed.get() > 0 {
            let _ = write!(out, ", {} raw texts not kept", c.dead_letters_missed.get());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::RingView;
    use feedd_core::accounting::{Account, SinkTotals, SourceTotals};
    use feedd_model::MonoNanos;

    fn snapshot(at: u64, accepted: u64) -> Snapshot {
        let sources = SourceTotals { accepted, decoded: accepted, ..SourceTotals::default() };
        let sink = SinkTotals { stored: accepted, ..SinkTotals::default() };
        Snapshot {
            at: MonoNanos(at),
            simulated: true,
            sink: "parquet",
            account: Account { sources, sink, accepted },
            rings: vec![RingView {
                source: "sim".into(),
                capacity: 10_000,
                depth: 300,
                peak_ever: 1_250,
                blocked_ns: 2_000_000,
            }],
            batches: 12,
            batches_failed: 1,
            retries: 3,
            buffered: 42,
            buffer_limit: 500,
            lag_ns: 14_000_000,
            gaps: 0,
            sink_failing: false,
        }
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
    fn the_status_line_says_simulated_the_rate_and_first_what_is_wrong() {
        let line = |now: &Snapshot| status_line(&snapshot(0, 1_000), now, Duration::from_secs(3_725));
        let mut now = snapshot(500_000_000, 61_000);
        let well = "01:02:05 | 120,000 events/s | 61,000 accepted, 61,000 stored | ring 3% max 12% | lag 14 ms";
        assert_eq!(line(&now), format!("SIMULATED {well}"));
        (now.sink_failing, now.account.sources.dropped, now.account.sources.rejected) = (true, 40, 1_200);
        assert_eq!(
            line(&now),
            format!("SIMULATED SINK parquet FAILING, retrying | 40 DROPPED | 1,200 rejected | {well}")
        );
    }
}
