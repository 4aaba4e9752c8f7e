//! The load at which copied lists begin to fall behind, and what is told of it.

use super::lane::{Lists, Pace, run};
use super::market::Market;
use crate::Interrupt;
use crate::report::{Report, Table};
use crate::rounds::Rounds;
use crate::spread::Spread;
use anyhow::Result;
use feedd_core::BLOCK_EVENTS_MAX;
use serde_json::json;

/// Backpressure of copied lists that is looked for, in per cent of all events: the bottom, what is best, and the top.
const BAND: [f64; 3] = [5.0, 10.0, 15.0];
/// What ends the search.
const NEAR: f64 = 2.0;
/// Looked for from as fast as the lane takes blocks to so many times as slowly.
const SLOWEST: u64 = 64;
/// Loads that are tried: each halves what is left of that range, on the scale of ratios.
const PROBES: u32 = 10;
/// Runs at each of them, of which the middle one counts.
const RUNS_A_PROBE: usize = 3;
/// The part of a load by which it is mended from round to round.
const MEND: u64 = 32;

/// One block each so many ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) every_ns: u64,
    /// Of copied lists, when it was looked for.
    pub(super) percent: f64,
}

impl Load {
    /// Looks for the load at which copied lists have about 10 % backpressure.
    ///
    /// # Errors
    /// When a run fails, or a signal has come.
    pub(super) fn find(market: &Market, cores: Option<[usize; 2]>, interrupt: &Interrupt) -> Result<Self> {
        let full = run(market, Pace::Full, Lists::Copied, cores)?;
        let floor = u64::try_from(full.wall.as_nanos())? / market.blocks.len() as u64;
        let (mut fast, mut slow) = (floor.max(1), floor.max(1) * SLOWEST);
        let mut best = Self { every_ns: fast, percent: full.backpressure_percent() };
        for _ in 0..PROBES {
            interrupt.check()?;
            let every_ns = (fast * slow).isqrt();
            let mut percents = [0.0; RUNS_A_PROBE];
            for percent in &mut percents {
                *percent = run(market, Pace::Due(every_ns), Lists::Copied, cores)?.backpressure_percent();
            }
            percents.sort_by(f64::total_cmp);
            let percent = percents[RUNS_A_PROBE / 2];
            let found = Self { every_ns, percent };
            if found.distance() < best.distance() {
                best = found;
            }
            if best.distance() < NEAR {
                break;
            }
            if percent > BAND[1] {
                fast = every_ns;
            } else {
                slow = every_ns;
            }
        }
        Ok(best)
    }

    /// The load of the next round, after what copied lists had in this one: how fast the machine is changes while it is
    /// measured, and the band is narrow.
    pub(super) fn mended(self, percent: f64) -> Self {
        let step = self.every_ns / MEND;
        let every_ns = match percent {
            above if above > BAND[2] => self.every_ns + step,
            below if below < BAND[0] => self.every_ns - step,
            _ => self.every_ns,
        };
        Self { every_ns, ..self }
    }

    fn distance(&self) -> f64 {
        (self.percent - BAND[1]).abs()
    }

    fn trades_per_s(&self) -> f64 {
        BLOCK_EVENTS_MAX as f64 * 1e9 / self.every_ns as f64
    }
}

/// How many times fewer events shared blocks had, of each pair of runs in which copied lists were within the band. A run
/// that had none is taken to have had one block of them.
fn times_fewer(rounds: &Rounds, [copied, shared]: [&str; 2]) -> Option<Spread> {
    let percents = rounds.detail_pairs([copied, shared], "backpressure_percent");
    let events = rounds.detail_pairs([copied, shared], "backpressure_events");
    let kept = percents.iter().zip(&events).filter(|([copied, _], _)| (BAND[0]..=BAND[2]).contains(copied));
    Spread::of(kept.map(|(_, &events)| fewer(events)))
}

fn fewer([copied, shared]: [f64; 2]) -> f64 {
    copied / if shared > 0.0 { shared } else { BLOCK_EVENTS_MAX as f64 }
}

/// Tells both ways at the same load: how many times fewer events the shared blocks had; `None` when no run counts.
pub(super) fn tell(report: &mut Report, rounds: &Rounds, load: Load, [copied, shared]: [&str; 2]) -> Option<f64> {
    let events = |key: &str| rounds.detail(key, "backpressure_events");
    let percent = |key: &str| rounds.detail(key, "backpressure_percent");
    let row = |key: &str, name: &str| {
        let text = |detail, digits| Spread::text(rounds.detail(key, detail), digits);
        vec![
            name.to_owned(),
            Spread::text(percent(key), 2),
            Spread::text(events(key), 0),
            text("overruns", 0),
            text("engine_backpressure_percent", 2),
            text("late_blocks", 0),
            Spread::text(rounds.spread(key), 1),
        ]
    };
    report.tables.push(Table {
        heads: vec![
            "at the same load",
            "% of events before the credit",
            "events",
            "overruns",
            "engine: % of items",
            "late blocks",
            "CPU ns/trade",
        ],
        rows: vec![row(copied, "a list copied for each reader"), row(shared, "shared blocks")],
    });
    let rate = load.trades_per_s() / 1e6;
    report.notes.push(format!(
        "backpressure: a block each {:.0} us, {rate:.2} M trades/s, never closer, links in clock mode; the load was looked for \
         until copied lists had about {} % ({:.1} % then)",
        load.every_ns as f64 / 1e3,
        BAND[1],
        load.percent
    ));
    let fewer = times_fewer(rounds, [copied, shared]);
    report.notes.push(format!(
        "times fewer: {} in the {} pairs of runs in which copied lists had {} to {} %; a run without backpressure counts as one \
         block of it; after a round outside of that the load is mended a little",
        Spread::text(fewer, 1),
        fewer.map_or(0, |fewer| fewer.runs),
        BAND[0],
        BAND[2]
    ));
    report.figures.insert("load_trades_per_s".to_owned(), json!(load.trades_per_s()));
    report.figures.insert("backpressure_times_fewer".to_owned(), json!(fewer.map(Spread::json)));
    if fewer.is_none() {
        report.warnings.push(format!(
            "in no round copied lists had {} to {} % backpressure: the machine was busy, or --rounds or --events is too low",
            BAND[0], BAND[2]
        ));
    }
    fewer.map(|fewer| fewer.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_outside_the_band_is_mended() {
        let load = Load { every_ns: 64_000, percent: 10.0 };
        assert_eq!(load.mended(15.1).every_ns, 66_000);
        assert_eq!(load.mended(4.9).every_ns, 62_000);
        assert_eq!(load.mended(10.0).every_ns, 64_000);
    }

    #[test]
    fn times_fewer_are_bounded_by_one_block_where_there_was_none() {
        let times = [[81_920.0, 8_192.0], [81_920.0, 0.0], [4_096.0, 8_192.0], [0.0, 0.0]].map(fewer);
        assert!(
            times.iter().zip([10.0, 20.0, 0.5, 0.0]).all(|(found, wanted)| (found - wanted).abs() < 1e-9),
            "{times:?}"
        );
    }
}
