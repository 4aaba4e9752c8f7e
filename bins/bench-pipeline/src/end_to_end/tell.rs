//! The tables: rates and what they cost, latencies, and what the generator could have sent.

use super::Cores;
use super::contender::Contender;
use crate::report::{Report, Table};
use crate::rounds::Rounds;
use crate::spread::Spread;
use std::time::Duration;

/// Below so many times what was held, the generator may be what was measured.
const GENERATOR_OVER_HELD_MIN: f64 = 1.1;

/// Tells what the rounds have shown.
pub(super) fn tell(report: &mut Report, rounds: &Rounds, contenders: &[Contender], cores: &Cores, hold: Duration) {
    let of = |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if !cores.recorder.is_empty() {
        let (generator, recorder) = (of(&cores.generator), of(&cores.recorder));
        report
            .notes
            .push(format!("generator on core {generator}, feedd (and the server of PostgreSQL) on core {recorder}"));
    }
    report.notes.extend([
        "venue-sim speaks Binance's protocol over loopback: trades, quotes, and depth each 100 ms; a trade, a quote, the \
         header of a depth message and each of its levels are one event each"
            .to_owned(),
        format!(
            "the offered rate goes up in short steps until a thread waits for room for more than 1 % of the time, frames are \
             50 ms late, or journal or sink 250 ms behind; what was kept up with is held for {:.1} s (PostgreSQL: three times \
             as long), then half of it",
            hold.as_secs_f64()
        ),
        "latency counts from the receive time of the frame, for every event of the hold; durable and stored are looked at \
         each ms; what is in the sink's open batch in the end does not count; Parquet files are stored when they are \
         finished, which says nothing here"
            .to_owned(),
        "checked in every run: frames sent = frames received = rows stored (Parquet: the files' footers; PostgreSQL: \
         count(*)), none of them twice, no gap; the account closed"
            .to_owned(),
        "in brackets: of disturbed runs, where none of a case was undisturbed".to_owned(),
        "memory is that of the process that records: feedd's wiring in this program, which is some MiB larger".to_owned(),
    ]);
    rounds.tell(report, &[]);
    report.tables = vec![
        rates(rounds, contenders),
        latencies(rounds, contenders, "held", "latency at that rate, until"),
        latencies(rounds, contenders, "half", "latency at half of it, until"),
    ];
    report.tables_say_all = true;
    for contender in contenders {
        let case = contender.case();
        let over = rounds.steady_detail(&case.key, "generator_over_held").map(|spread| spread.median);
        if over.is_some_and(|over| over < GENERATOR_OVER_HELD_MIN) {
            report.warnings.push(format!(
                "{}: the generator can send hardly more than was held; feedd may keep up with more",
                case.name
            ));
        }
    }
}

fn rates(rounds: &Rounds, contenders: &[Contender]) -> Table {
    let rows = contenders.iter().map(|contender| {
        let case = contender.case();
        let detail = |name: &str, digits| figure(rounds, &case.key, name, |value| format!("{value:.digits$}"));
        let rate = rounds.spread(&case.key);
        vec![
            case.name.clone(),
            rate.map_or_else(|| detail("held_events_per_s", 0), |rate| Spread::text(Some(rate), 0)),
            detail("held_frames_per_s", 0),
            detail("generator_frames_per_s", 0),
            detail("held_cpu_s_per_million", 2),
            detail("half_cpu_s_per_million", 2),
            detail("rss_mib", 0),
            detail("rss_peak_mib", 0),
            rounds.last_text(&case.key, "limited_by").unwrap_or_else(|| "-".to_owned()),
        ]
    });
    let heads = vec![
        "case",
        "events/s sustained: median (p25 to p75)",
        "frames/s",
        "frames/s the generator can send",
        "CPU s per million events",
        "at half the rate",
        "memory, MiB",
        "peak",
        "what a higher rate met",
    ];
    Table { heads, rows: rows.collect() }
}

fn latencies(rounds: &Rounds, contenders: &[Contender], rate: &str, head: &'static str) -> Table {
    let mut rows = Vec::new();
    for contender in contenders {
        let case = contender.case();
        for (hop, name) in [("handed", "handed over"), ("durable", "durable"), ("stored", "stored")] {
            let part = |part: &str| format!("{rate}_{hop}_{part}");
            if rounds.steady_detail(&case.key, &part("events")).is_none() {
                continue;
            }
            let mut row = vec![format!("{}: {name}", case.name)];
            row.extend(["p50", "p99", "p999", "max"].map(|of| figure(rounds, &case.key, &part(of), time_text)));
            row.push(figure(rounds, &case.key, &part("events"), |events| format!("{events:.0}")));
            rows.push(row);
        }
    }
    Table { heads: vec![head, "p50", "p99", "p99.9", "max", "events"], rows }
}

/// The median of the runs that count; of all of them, in brackets, where none does.
fn figure(rounds: &Rounds, key: &str, detail: &str, text: impl Fn(f64) -> String) -> String {
    match (rounds.detail(key, detail), rounds.steady_detail(key, detail)) {
        (Some(quiet), _) => text(quiet.median),
        (None, Some(all)) => format!("({})", text(all.median)),
        (None, None) => "-".to_owned(),
    }
}

/// A time in a unit that suits it.
fn time_text(ns: f64) -> String {
    match ns {
        ns if ns < 1e6 => format!("{:.0} us", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_that_suits_them() {
        let cases = [(999.0, "1 us"), (250_400.0, "250 us"), (10_240_000.0, "10.2 ms"), (1_500_000_000.0, "1.50 s")];
        for (ns, text) in cases {
            assert_eq!(time_text(ns), text);
        }
    }
}
