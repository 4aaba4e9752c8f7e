//! The market's thread: makes steps at the pace that was asked for, logs what happened and hands it to the connections.

use crate::config::Pace;
use crate::facts_log::push_facts;
use crate::hub::{Batch, Hub, Totals, count};
use crate::market::{Fact, Market};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How long the thread sleeps between two turns.
const TURN: Duration = Duration::from_millis(1);
/// Steps of one turn: the connections take theirs in between.
const STEPS_MAX: u64 = 512;
/// Steps that the market is behind are made up for, up to so long; beyond it the machine is too slow for the pace.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// Runs until the server ends.
pub(crate) fn run(hub: &Hub) {
    let mut clock = PaceClock::new(hub.pace());
    while !hub.is_ending() {
        if hub.pace() != clock.pace {
            clock = PaceClock::new(hub.pace());
        }
        let due = match clock.pace {
            Pace::PerSecond(rate) => clock.due(rate, &hub.totals).min(STEPS_MAX),
            Pace::Max if hub.wait_for_room(10 * TURN) => STEPS_MAX,
            Pace::Max => 0,
        };
        if due == 0 {
            std::thread::sleep(TURN);
            continue;
        }
        if turn(hub, due) {
            clock.made(due);
        } else {
            clock = PaceClock::new(clock.pace);
            std::thread::sleep(TURN);
        }
    }
}

/// Makes so many steps; `false`: the market is paused.
fn turn(hub: &Hub, steps: u64) -> bool {
    let mut market = hub.market_to_step();
    if hub.is_paused() {
        return false;
    }
    let now_ns = hub.log.now_ns();
    let mut facts = Vec::new();
    for _ in 0..steps {
        market.step(now_ns, &mut facts);
    }
    count(&hub.totals.steps, steps);
    hand_out(hub, &mut market, now_ns, facts);
    true
}

/// Stops the market, and hands out what it has collected to be sent later.
pub(crate) fn settle(hub: &Hub) {
    hub.pause(true);
    let mut market = hub.market();
    let (now_ns, mut facts) = (hub.log.now_ns(), Vec::new());
    market.settle(now_ns, &mut facts);
    hand_out(hub, &mut market, now_ns, facts);
}

/// Logs facts that were made together, and hands them to the connections.
fn hand_out(hub: &Hub, market: &mut Market, now_ns: i64, facts: Vec<Fact>) {
    if facts.is_empty() {
        return;
    }
    tally(hub, &facts);
    let mut lines = String::new();
    if hub.is_logged() {
        push_facts(&mut lines, now_ns, market, &hub.names, &facts);
    }
    // First logged, then sent: what is on the wire is in the log.
    hub.log.put_all(&lines);
    market.serial += 1;
    hub.publish(&Arc::new(Batch::new(market.serial, facts)));
}

/// Adds facts to the totals.
pub(crate) fn tally(hub: &Hub, facts: &[Fact]) {
    let (mut trades, mut quotes, mut depths) = (0, 0, 0);
    for fact in facts {
        match fact {
            Fact::Trades(together) => trades += together.trades.len(),
            Fact::Quote(_) => quotes += 1,
            Fact::Depth(_) => depths += 1,
        }
    }
    count(&hub.totals.trades, trades as u64);
    count(&hub.totals.quotes, quotes);
    count(&hub.totals.depths, depths);
}

/// Says how many steps are due.
struct PaceClock {
    pace: Pace,
    start: Instant,
    made: u64,
}

impl PaceClock {
    fn new(pace: Pace) -> Self {
        Self { pace, start: Instant::now(), made: 0 }
    }

    /// Steps that are due; what is late, and what never will be made, is told to the totals.
    fn due(&mut self, rate: u64, totals: &Totals) -> u64 {
        let elapsed_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let all = u128::from(elapsed_ns) * u128::from(rate) / 1_000_000_000;
        let due = u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(self.made);
        let most = rate.saturating_mul(BEHIND_MAX.as_secs()).max(1);
        if due > most {
            self.made += due - most;
            count(&totals.steps_skipped, due - most);
        }
        // Relaxed, as all totals.
        totals.steps_late.store(due.min(most).saturating_sub(STEPS_MAX), Ordering::Relaxed);
        due.min(most)
    }

    fn made(&mut self, steps: u64) {
        self.made += steps;
    }
}
