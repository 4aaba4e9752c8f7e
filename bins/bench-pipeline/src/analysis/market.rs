//! What every case is given: trades of the simulated market at a steady rate, in blocks, and the bars they must give.

use crate::trades::{EPOCH, STREAM, Trades, trade_of};
use anyhow::{Result, ensure};
use feedd_core::{BLOCK_EVENTS_MAX, Block, Instruments};
use feedd_model::{Event, EventBody, EventHead, Seq, SourceId, UnixNanos};
use std::collections::HashSet;
use std::sync::Arc;

/// Trades that are simulated; what is more repeats them at later times.
const READY: usize = 65_536;
/// 2024-08-08T00:00:00Z.
const START: UnixNanos = UnixNanos(1_723_075_200_000_000_000);
const NANOS_PER_S: u64 = 1_000_000_000;
const MINUTE_S: i64 = 60;

/// Prepared blocks, and what must come of them.
pub(super) struct Market {
    pub(super) blocks: Vec<Arc<Block>>,
    pub(super) instruments: Instruments,
    pub(super) trades: u64,
    /// Of the receive times, so that a walk is known to have read each.
    pub(super) times: u64,
    /// Bars of a second, those that the end cuts off included: one for each second and symbol with a trade.
    pub(super) seconds: u64,
    /// The same of a minute.
    pub(super) minutes: u64,
    pub(super) symbols: u64,
}

impl Market {
    /// So many trades of ten symbols, so many in each second of the market.
    ///
    /// # Errors
    /// When the simulated market is not understood.
    pub(super) fn prepare(trades: u64, per_s: u64) -> Result<Self> {
        let count = usize::try_from(trades)?;
        let simulated = Trades::simulate(count.min(READY))?;
        let mut market = Self {
            blocks: Vec::with_capacity(count.div_ceil(BLOCK_EVENTS_MAX)),
            instruments: simulated.instruments,
            trades,
            times: 0,
            seconds: 0,
            minutes: 0,
            symbols: 0,
        };
        let (mut seconds, mut minutes, mut symbols) = (HashSet::new(), HashSet::new(), HashSet::new());
        let mut events = Vec::with_capacity(BLOCK_EVENTS_MAX);
        let mut first = 0;
        for (number, event) in (0..trades).zip(simulated.events.iter().cycle()) {
            let at =
                UnixNanos(START.0 + i64::try_from(u128::from(number) * u128::from(NANOS_PER_S) / u128::from(per_s))?);
            let event = moved(event, at)?;
            let second = at.0.div_euclid(i64::try_from(NANOS_PER_S)?);
            seconds.insert((event.instrument(), second));
            minutes.insert((event.instrument(), second.div_euclid(MINUTE_S)));
            symbols.insert(event.instrument());
            market.times = market.times.wrapping_add(at.0.cast_unsigned());
            events.push(event);
            if events.len() == BLOCK_EVENTS_MAX || number + 1 == trades {
                market.blocks.push(Arc::new(Block::of(STREAM, EPOCH, Seq(first + 1), SourceId(0), &events)));
                first += events.len() as u64;
                events.clear();
            }
        }
        ensure!(first == trades, "the blocks hold {first} trades instead of {trades}");
        market.seconds = seconds.len() as u64;
        market.minutes = minutes.len() as u64;
        market.symbols = symbols.len() as u64;
        Ok(market)
    }
}

/// The same trade at another time.
fn moved(event: &Event, at: UnixNanos) -> Result<Event> {
    let trade = trade_of(event)?;
    let head = EventHead { recv_ts: Some(at), venue_ts: Some(at), ..event.head() };
    Ok(Event::new(head, EventBody::Trade(trade)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_hold_every_trade_in_order_at_the_markets_rate() {
        let market = Market::prepare(10_000, 1_000).unwrap();
        let events: Vec<&Event> = market.blocks.iter().flat_map(|block| block.events()).collect();
        assert_eq!((events.len(), market.blocks.len(), market.symbols), (10_000, 3, 10));
        assert_eq!(market.blocks[1].first_seq(), market.blocks[0].last_seq().next());
        let times: Vec<i64> = events.iter().map(|event| event.recv_ts().unwrap().0).collect();
        assert_eq!((times[0], times[9_999]), (START.0, START.0 + 9_999_000_000));
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 1_000_000));
        assert_eq!(market.times, times.iter().fold(0_u64, |sum, time| sum.wrapping_add(time.cast_unsigned())));
        // A thousand trades a second of ten symbols: none is silent for a second.
        assert_eq!((market.seconds, market.minutes), (100, 10));
    }
}
