//! The market's thread: makes steps at the pace that was asked for, logs what happened and hands it to the connections.

use crate::config::Pace;
use crate::facts_log::push_facts;
use crate::hub::{Batch, Hub, count};
use crate::market::Fact;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the thread sleeps between two turns.
const TURN: Duration = Duration::from_millis(1);
/// Steps of one turn: the connections take theirs in between.
const STEPS_MAX: u64 = 512;
/// Steps that the market is behind are made up for, up to so long; beyond it the machine is too slow for the pace.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// Runs until the server ends.
pub(crate) fn run(hub: &Hub) {
    let mut clock = PaceClock::new(hub.config.pace);
    while !hub.is_ending() {
        let due = match hub.config.pace {
            Pace::PerSecond(_) => clock.due().min(STEPS_MAX),
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
            clock = PaceClock::new(hub.config.pace);
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
    if !facts.is_empty() {
        tally(hub, &facts);
        let mut lines = String::new();
        if hub.is_logged() {
            push_facts(&mut lines, now_ns, &market, &hub.names, &facts);
        }
        // First logged, then sent: what is on the wire is in the log.
        hub.log.put_all(&lines);
        market.serial += 1;
        hub.publish(&Arc::new(Batch::new(market.serial, facts)));
    }
    true
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
    start: Instant,
    rate: u64,
    made: u64,
}

impl PaceClock {
    fn new(pace: Pace) -> Self {
        let rate = match pace {
            Pace::PerSecond(rate) => rate,
            Pace::Max => 0,
        };
        Self { start: Instant::now(), rate, made: 0 }
    }

    fn due(&mut self) -> u64 {
        let elapsed_ns = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let all = u128::from(elapsed_ns) * u128::from(self.rate) / 1_000_000_000;
        let due = u64::try_from(all).unwrap_or(u64::MAX).saturating_sub(self.made);
        let most = self.rate.saturating_mul(BEHIND_MAX.as_secs()).max(1);
        if due > most {
            self.made += due - most;
        }
        due.min(most)
    }

    fn made(&mut self, steps: u64) {
        self.made += steps;
    }
}
