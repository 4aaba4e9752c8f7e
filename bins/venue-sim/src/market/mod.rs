//! The market: instruments whose books move step by step. Everything but the times follows from the seed and the
//! configuration.

mod book;
mod fact;
mod feed;

pub(crate) use fact::{Depth, Fact, Level, Quote, Side, Trade, Trades};
pub(crate) use feed::{FeedKind, FeedSpec};

use crate::config::{Config, Pace, SymbolSpec};
use crate::text::Digits;
use crate::venue::Venue;
use book::{Book, Touched};
use fastrand::Rng;
use feed::{Feed, View};
use std::collections::VecDeque;

/// Steps before the first connection: so that there is a past to ask for.
const STEPS_BEFORE: u64 = 2000;

/// How update ids rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdStyle {
    /// By one for each level.
    Dense,
    /// By 1 to `max` for each level.
    Jumps {
        /// Largest step.
        max: u64,
    },
}

/// An instrument.
#[derive(Debug)]
pub(crate) struct Instrument {
    pub(crate) spec: SymbolSpec,
    pub(crate) price_digits: Digits,
    pub(crate) size_digits: Digits,
    /// Oldest first.
    pub(crate) history: VecDeque<Trade>,
    pub(crate) book: Book,
    pub(crate) update_id: u64,
    pub(crate) seq: u64,
    trade_id: u64,
    trade_ns: i64,
    aggregate: u64,
    /// Best bid and ask as last told.
    pub(crate) quote: Option<(Level, Level)>,
    feeds: Vec<Option<Feed>>,
    /// Executions that wait to be sent together, and the step at which they are.
    collected: Vec<Trade>,
    collected_due: u64,
}

/// All instruments.
#[derive(Debug)]
pub(crate) struct Market {
    venue: Venue,
    rng: Rng,
    instruments: Vec<Instrument>,
    step: u64,
    history_max: usize,
    collect_every: u64,
    feed_every: Vec<u64>,
    /// Time between two messages of each feed.
    feed_interval_ms: Vec<u64>,
    /// No message is due before this step: a thousand instruments are not looked through at each.
    next_due: u64,
    /// Number of the last batch of facts that was handed to the connections.
    pub(crate) serial: u64,
    /// What is added to the clock.
    pub(crate) skew_ns: i64,
    touched: Touched,
}

impl Market {
    /// A market at its beginning, with a past. The facts of the past are put into `past`.
    pub(crate) fn new(config: &Config, now_ns: i64, past: &mut Vec<Fact>) -> Self {
        let mut rng = Rng::with_seed(config.seed);
        let venue = config.venue;
        let feeds = venue.feeds();
        let instruments = config.symbols.iter().map(|spec| {
            let book = Book::new(spec.price, spec.size_decimals, config.levels, &mut rng);
            let digits = |scale| Digits { scale, printed: venue.printed(&spec.name, scale) };
            Instrument {
                price_digits: digits(spec.price_decimals),
                size_digits: digits(spec.size_decimals),
                spec: spec.clone(),
                history: VecDeque::new(),
                book,
                update_id: rng.u64(1_000_000_000..60_000_000_000),
                seq: rng.u64(1_000_000..1_000_000_000),
                trade_id: rng.u64(1_000_000..4_000_000_000),
                trade_ns: 0,
                aggregate: rng.u64(500_000..1_000_000),
                quote: None,
                feeds: vec![None; feeds.len()],
                collected: Vec::new(),
                collected_due: 0,
            }
        });
        let instruments = instruments.collect();
        let interval = |feed: &FeedSpec| config.depth_interval_ms.unwrap_or(feed.interval_ms);
        let feed_interval_ms: Vec<u64> = feeds.iter().map(interval).collect();
        let mut market = Self {
            venue,
            rng,
            instruments,
            step: 0,
            history_max: config.history_trades,
            collect_every: 0,
            feed_every: Vec::new(),
            feed_interval_ms,
            next_due: 0,
            serial: 0,
            skew_ns: 0,
            touched: Touched::new(),
        };
        market.set_pace(config.pace);
        let before = if market.instruments.is_empty() { 0 } else { STEPS_BEFORE };
        // The past is a second long, by the venue's clock.
        let each_ns = 500_000;
        let start_ns = now_ns - i64::try_from(before).unwrap_or(0) * each_ns;
        for n in 0..before {
            market.step(start_ns + i64::try_from(n).unwrap_or(0) * each_ns, past);
        }
        market
    }

    /// Counts the venue's intervals in steps of this pace from now on.
    pub(crate) fn set_pace(&mut self, pace: Pace) {
        self.collect_every = match self.venue.trades_collected_ms() {
            0 => 0,
            ms => pace.steps_in(ms),
        };
        self.feed_every = self.feed_interval_ms.iter().map(|&ms| if ms == 0 { 1 } else { pace.steps_in(ms) }).collect();
        for instrument in &mut self.instruments {
            for (feed, &every) in instrument.feeds.iter_mut().zip(&self.feed_every) {
                feed.iter_mut().for_each(|feed| feed.set_every(self.step, every));
            }
        }
        self.next_due = self.step;
    }

    /// The instruments, in the order of the configuration.
    pub(crate) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// One step: what happened is added to `facts`. `now_ns` is the true time; the venue's clock may be skewed.
    pub(crate) fn step(&mut self, now_ns: i64, facts: &mut Vec<Fact>) {
        self.step += 1;
        let venue_ns = now_ns + self.skew_ns;
        let count = self.instruments.len();
        if count == 0 {
            return;
        }
        // The earlier an instrument stands, the busier it is.
        let symbol = self.rng.usize(0..count).min(self.rng.usize(0..count));
        let take = self.rng.u32(0..5) == 0;
        let mut touched = std::mem::take(&mut self.touched);
        touched.clear();
        let instrument = &mut self.instruments[symbol];
        if take {
            let (taker, fills) = instrument.book.take(&mut self.rng, &mut touched);
            let trades = instrument.trades(taker, &fills, venue_ns);
            if self.collect_every == 0 {
                instrument.publish(Trades { symbol, trades }, self.history_max, facts);
            } else {
                if instrument.collected.is_empty() {
                    instrument.collected_due = self.step + self.collect_every;
                    self.next_due = self.next_due.min(instrument.collected_due);
                }
                instrument.collected.extend(trades);
            }
        } else {
            instrument.book.change(&mut self.rng, &mut touched);
        }
        if !touched.is_empty() {
            let first = instrument.update_id + 1;
            for _ in &touched {
                instrument.update_id += match self.venue.ids() {
                    IdStyle::Dense => 1,
                    IdStyle::Jumps { max } => self.rng.u64(1..=max),
                };
            }
            instrument.seq += 1;
            for feed in instrument.feeds.iter_mut().flatten() {
                feed.touch(&touched, first);
            }
            instrument.quote(symbol, venue_ns, facts);
        }
        self.touched = touched;
        self.send_due(venue_ns, facts);
    }

    /// Messages that are due, of every instrument: a quiet one's last changes must not wait for its next step.
    fn send_due(&mut self, venue_ns: i64, facts: &mut Vec<Fact>) {
        let step = self.step;
        if step < self.next_due {
            return;
        }
        self.next_due = u64::MAX;
        for (symbol, instrument) in self.instruments.iter_mut().enumerate() {
            if !instrument.collected.is_empty() && step >= instrument.collected_due {
                let trades = std::mem::take(&mut instrument.collected);
                instrument.publish(Trades { symbol, trades }, self.history_max, facts);
            }
            let (book, update_id, seq) = (&instrument.book, instrument.update_id, instrument.seq);
            let view = View { symbol, book, update_id, seq, venue_ns };
            facts.extend(
                instrument.feeds.iter_mut().flatten().filter_map(|feed| feed.due(step, &view)).map(Fact::Depth),
            );
            let collected = (!instrument.collected.is_empty()).then_some(instrument.collected_due);
            let due = instrument.feeds.iter().flatten().map(Feed::due_at).chain(collected).min();
            self.next_due = self.next_due.min(due.unwrap_or(u64::MAX));
        }
    }

    /// What was collected to be sent later, at once: after it, who took every message has the book as it is.
    pub(crate) fn settle(&mut self, now_ns: i64, facts: &mut Vec<Fact>) {
        let (step, venue_ns) = (self.step, now_ns + self.skew_ns);
        for (symbol, instrument) in self.instruments.iter_mut().enumerate() {
            let trades = std::mem::take(&mut instrument.collected);
            instrument.publish(Trades { symbol, trades }, self.history_max, facts);
            let (book, update_id, seq) = (&instrument.book, instrument.update_id, instrument.seq);
            let view = View { symbol, book, update_id, seq, venue_ns };
            let feeds = instrument.feeds.iter_mut().flatten();
            facts.extend(feeds.filter_map(|feed| feed.settle(step, &view)).map(Fact::Depth));
        }
    }

    /// The book of each feed that somebody has asked for, as a client has it that took every message so far.
    pub(crate) fn shown(&self) -> impl Iterator<Item = Depth> {
        self.instruments.iter().enumerate().flat_map(|(symbol, instrument)| {
            let view = instrument.view(symbol, 0);
            instrument.feeds.iter().flatten().map(move |feed| feed.snapshot(&view))
        })
    }

    /// Begins a feed of an instrument, when nobody asked for it before.
    pub(crate) fn watch(&mut self, symbol: usize, feed: usize) {
        let (spec, every, step) = (self.venue.feeds()[feed], self.feed_every[feed], self.step);
        let message = self.rng_free_start(symbol);
        let instrument = &mut self.instruments[symbol];
        if instrument.feeds[feed].is_none() {
            let new = Feed::new(feed, spec, every, step, message, &instrument.view(symbol, 0));
            self.next_due = self.next_due.min(new.due_at());
            instrument.feeds[feed] = Some(new);
        }
    }

    /// Where the dense number of a feed begins: taken from the instrument, not from the generator, so that who subscribes
    /// when does not change the market.
    fn rng_free_start(&self, symbol: usize) -> u64 {
        self.instruments[symbol].update_id / 1000
    }

    /// The book as the feed's messages have it so far. The feed must be watched.
    pub(crate) fn snapshot(&mut self, symbol: usize, feed: usize, now_ns: i64) -> Depth {
        self.watch(symbol, feed);
        let instrument = &self.instruments[symbol];
        let view = instrument.view(symbol, now_ns + self.skew_ns);
        match &instrument.feeds[feed] {
            Some(feed) => feed.snapshot(&view),
            None => unreachable!("watched above"),
        }
    }

    /// The venue's counters start again: update ids from a low number, feeds from 1.
    pub(crate) fn reset_sequences(&mut self) {
        let whole = self.venue.reset_is_whole();
        for instrument in &mut self.instruments {
            instrument.update_id = 1;
            instrument.seq = 1;
            for feed in instrument.feeds.iter_mut().flatten() {
                feed.reset(whole);
            }
        }
    }
}

impl Instrument {
    fn view(&self, symbol: usize, venue_ns: i64) -> View<'_> {
        View { symbol, book: &self.book, update_id: self.update_id, seq: self.seq, venue_ns }
    }

    /// The executions of a taker order.
    fn trades(&mut self, taker: Side, fills: &[book::Fill], venue_ns: i64) -> Vec<Trade> {
        let mut price_before = None;
        let mut trades = Vec::with_capacity(fills.len());
        for fill in fills {
            self.trade_id += 1;
            self.seq += 1;
            if price_before.replace(fill.price) != Some(fill.price) {
                self.aggregate += 1;
            }
            // No two at one nanosecond, so that a page of history can begin after a time. A clock that is set back is.
            let near = (0..1_000_000).contains(&(self.trade_ns - venue_ns));
            let venue_ns = if near { self.trade_ns + 1 } else { venue_ns };
            self.trade_ns = venue_ns;
            let (id, aggregate, seq) = (self.trade_id, self.aggregate, self.seq);
            trades.push(Trade { id, aggregate, price: fill.price, size: fill.size, taker, venue_ns, seq });
        }
        trades
    }

    /// Executions become known, and can be asked for from now on.
    fn publish(&mut self, trades: Trades, history_max: usize, facts: &mut Vec<Fact>) {
        self.history.extend(trades.trades.iter().copied());
        self.history.drain(..self.history.len().saturating_sub(history_max));
        if !trades.trades.is_empty() {
            facts.push(Fact::Trades(trades));
        }
    }

    fn quote(&mut self, symbol: usize, venue_ns: i64, facts: &mut Vec<Fact>) {
        let (bid, ask) = (self.book.best(Side::Buy), self.book.best(Side::Sell));
        if self.quote.replace((bid, ask)) != Some((bid, ask)) {
            facts.push(Fact::Quote(Quote { symbol, update_id: self.update_id, bid, ask, venue_ns }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(seed: u64, count: u64) -> Vec<Fact> {
        let config = Config { seed, ..Config::new(Venue::Binance) };
        let mut facts = Vec::new();
        let mut market = Market::new(&config, 0, &mut facts);
        market.watch(0, 1);
        for n in 0..count {
            market.step(i64::try_from(n).unwrap(), &mut facts);
        }
        facts
    }

    #[test]
    fn the_same_seed_gives_the_same_market_and_another_one_another() {
        assert_eq!(facts(5, 5000), facts(5, 5000));
        assert_ne!(facts(5, 5000), facts(6, 5000));
    }

    #[test]
    fn who_listens_does_not_change_trades_and_quotes() {
        let without_depth = |watch: bool| {
            let mut facts = Vec::new();
            let mut market = Market::new(&Config::new(Venue::Okx), 0, &mut facts);
            for n in 0..3000 {
                if watch && n == 1000 {
                    market.snapshot(0, 0, 0);
                    market.watch(1, 2);
                }
                market.step(n, &mut facts);
            }
            facts.retain(|fact| !matches!(fact, Fact::Depth(_)));
            facts
        };
        assert_eq!(without_depth(true), without_depth(false));
    }

    #[test]
    fn depth_comes_as_often_a_second_at_every_pace() {
        let config = Config { pace: Pace::PerSecond(1000), ..Config::new(Venue::Binance) };
        let mut market = Market::new(&config, 0, &mut Vec::new());
        let feed = Venue::Binance.feeds().iter().position(|feed| feed.interval_ms == 100).unwrap();
        market.watch(0, feed);
        let mut messages = |pace, steps| {
            market.set_pace(pace);
            let mut facts = Vec::new();
            (0..steps).for_each(|n| market.step(n, &mut facts));
            facts.iter().filter(|fact| matches!(fact, Fact::Depth(_))).count()
        };
        // Two seconds each.
        assert_eq!(messages(Pace::PerSecond(1000), 2_000), 20);
        assert_eq!(messages(Pace::PerSecond(50_000), 100_000), 20);
        assert_eq!(messages(Pace::PerSecond(1000), 2_000), 20);
    }

    #[test]
    fn ids_are_dense_and_diffs_join() {
        let (mut trade_ids, mut last) = (vec![Vec::new(); 2], None);
        for fact in facts(9, 20_000) {
            match fact {
                Fact::Trades(trades) => trade_ids[trades.symbol].extend(trades.trades.iter().map(|trade| trade.id)),
                Fact::Depth(depth) => {
                    assert_eq!(last.replace(depth.last).unwrap_or(depth.first - 1) + 1, depth.first);
                    assert!(!depth.whole && depth.bids.len() + depth.asks.len() > 0);
                }
                Fact::Quote(_) => {}
            }
        }
        for ids in trade_ids {
            assert!(ids.len() > 500);
            assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        }
        assert!(last.is_some());
    }
}
