//! Which frame comes next: the opening snapshots, then quotes, trades in sweeps, diffs, and now and then a burst.
//!
//! Hot path: no allocation, lock, log or syscall.

use super::SimConfig;
use super::book::Side;
use fastrand::Rng;

/// The next frame, of the market with the index `market`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The request for a depth snapshot.
    Request { market: usize },
    /// The answer to it.
    Snapshot { market: usize },
    /// A trade against `side`; the trades of one sweep share their time.
    Trade { market: usize, side: Side, starts_sweep: bool },
    /// Best bid and ask.
    Quote { market: usize, is_owed: bool },
    /// The levels that changed.
    Depth { market: usize },
}

/// Decides the order of frames.
#[derive(Debug)]
pub(super) struct Schedule {
    markets: usize,
    /// Markets whose opening is still to come, the next one last.
    opening: Vec<usize>,
    /// Of the next one: whether its snapshot has been asked for.
    is_asked: bool,
    sweep_weight: u32,
    depth_weight: u32,
    quote_weight: u32,
    sweep: Option<Sweep>,
    /// The market whose top a sweep has just changed: its quote comes next.
    quote_owed: Option<usize>,
    burst: Option<Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Sweep {
    market: usize,
    side: Side,
    trades_left: u32,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    every_frames: u64,
    trades: u32,
    frames_left: u64,
}

/// Weights of the three decisions. A sweep brings 2.5 trades and one quote, so the frames come out as 15 % diffs,
/// 25 % trades and 60 % quotes.
const WEIGHT_SWEEP: u32 = 10;
const WEIGHT_DEPTH: u32 = 15;
const WEIGHT_QUOTE: u32 = 50;
/// Lengths of ordinary sweeps, each as likely; 2.5 on average.
const SWEEP_TRADES: [u32; 8] = [1, 1, 1, 1, 2, 2, 4, 8];

impl Schedule {
    /// `config` must have at least one symbol and one kind of frame.
    pub(super) fn new(config: &SimConfig) -> Self {
        let weight = |wanted, weight| if wanted { weight } else { 0 };
        let markets = config.symbols.len();
        let has_bursts = config.trades && config.burst_every_frames > 0 && config.burst_trades > 0;
        Self {
            markets,
            opening: if config.depth { (0..markets).rev().collect() } else { Vec::new() },
            is_asked: false,
            sweep_weight: weight(config.trades, WEIGHT_SWEEP),
            depth_weight: weight(config.depth, WEIGHT_DEPTH),
            quote_weight: weight(config.quotes, WEIGHT_QUOTE),
            sweep: None,
            quote_owed: None,
            burst: has_bursts.then_some(Burst {
                every_frames: config.burst_every_frames,
                trades: config.burst_trades,
                frames_left: config.burst_every_frames,
            }),
        }
    }

    /// Decides the next frame.
    pub(super) fn next(&mut self, rng: &mut Rng) -> Step {
        if let Some(&market) = self.opening.last() {
            return self.next_of_opening(market);
        }
        if let Some(burst) = &mut self.burst {
            burst.frames_left = burst.frames_left.saturating_sub(1);
        }
        if let Some(sweep) = self.sweep {
            return self.next_of_sweep(sweep, false);
        }
        if let Some(market) = self.quote_owed.take() {
            return Step::Quote { market, is_owed: true };
        }
        let market = self.pick_market(rng);
        if let Some(burst) = self.burst.as_mut().filter(|burst| burst.frames_left == 0) {
            // Its own frames and the quote owed after it do not count: other frames always have their turn.
            burst.frames_left = burst.every_frames.saturating_add(u64::from(burst.trades) + 1);
            let trades_left = burst.trades;
            return self.start_sweep(market, trades_left, rng);
        }
        let roll = rng.u32(..self.sweep_weight + self.depth_weight + self.quote_weight);
        if roll < self.sweep_weight {
            let trades_left = SWEEP_TRADES[rng.usize(..SWEEP_TRADES.len())];
            self.start_sweep(market, trades_left, rng)
        } else if roll < self.sweep_weight + self.depth_weight {
            Step::Depth { market }
        } else {
            Step::Quote { market, is_owed: false }
        }
    }

    fn next_of_opening(&mut self, market: usize) -> Step {
        self.is_asked = !self.is_asked;
        if self.is_asked {
            return Step::Request { market };
        }
        self.opening.pop();
        Step::Snapshot { market }
    }

    /// Other markets from the next frame on. `place_of` says where one of the old ones stands now; those in `new` have not
    /// been opened yet. Of a market that has gone nothing follows, not even the rest of its sweep.
    pub(super) fn set_markets(&mut self, markets: usize, place_of: impl Fn(usize) -> Option<usize>, new: &[usize]) {
        self.markets = markets;
        self.sweep = self.sweep.and_then(|sweep| Some(Sweep { market: place_of(sweep.market)?, ..sweep }));
        self.quote_owed = self.quote_owed.and_then(&place_of);
        // One that has been asked for is the last of the old list, and stays the last.
        let asked = self.opening.last().copied().filter(|_| self.is_asked).and_then(&place_of);
        self.is_asked = asked.is_some();
        let has_depth = self.depth_weight > 0;
        let mut opening: Vec<usize> = self.opening.iter().copied().filter_map(&place_of).collect();
        opening.extend(new.iter().filter(|_| has_depth));
        opening.retain(|&market| Some(market) != asked);
        opening.sort_unstable_by(|a, b| b.cmp(a));
        opening.extend(asked);
        self.opening = opening;
    }

    fn start_sweep(&mut self, market: usize, trades_left: u32, rng: &mut Rng) -> Step {
        let side = if rng.bool() { Side::Bid } else { Side::Ask };
        self.next_of_sweep(Sweep { market, side, trades_left }, true)
    }

    fn next_of_sweep(&mut self, sweep: Sweep, starts_sweep: bool) -> Step {
        let Sweep { market, side, trades_left } = sweep;
        if trades_left > 1 {
            self.sweep = Some(Sweep { trades_left: trades_left - 1, ..sweep });
        } else {
            self.sweep = None;
            self.quote_owed = (self.quote_weight > 0).then_some(market);
        }
        Step::Trade { market, side, starts_sweep }
    }

    /// The earlier a symbol stands in the configuration, the busier it is.
    fn pick_market(&self, rng: &mut Rng) -> usize {
        rng.usize(..self.markets).min(rng.usize(..self.markets))
    }
}
