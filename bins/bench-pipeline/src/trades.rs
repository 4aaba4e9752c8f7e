//! The rows that are measured: trades of the simulated market, decoded as a recorder decodes them, and their exact sums.

use anyhow::{Context, Result, ensure};
use feedd_core::{BLOCK_EVENTS_MAX, Batch, Block, Burst, Instruments};
use feedd_model::{Epoch, Event, EventBody, Flags, Seq, SourceId, StreamId, Sum, Trade, TradeId, UnixNanos};
use feedd_venues::decoder::Outcome;
use feedd_venues::message::Message;
use feedd_venues::sim::{SimConfig, SimMarket};
use feedd_venues::{table, to_events};
use std::collections::HashMap;
use std::sync::Arc;

/// Venue of the rows.
const VENUE: &str = "sim";
/// 2024-08-08T00:00:00Z: all rows lie within this day.
const START: UnixNanos = UnixNanos(1_723_075_200_000_000_000);
/// That day in names of partitions.
pub(crate) const DAY: &str = "20240808";
/// From one trade to the next. The day has room for twice as many as can be asked for.
const STEP_NANOS: i64 = 10_000;

/// Whose rows they are.
pub(crate) const STREAM: StreamId = StreamId(1);
/// The start they belong to.
pub(crate) const EPOCH: Epoch = Epoch(1);

/// Trades, in the order of their arrival.
pub(crate) struct Trades {
    pub(crate) events: Vec<Event>,
    pub(crate) instruments: Instruments,
    pub(crate) totals: Totals,
}

/// Exact sums over rows, as decimals in plain notation: two sets of rows with the same sums are taken to be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) rows: u64,
    pub(crate) trade_ids: String,
    /// The venue's times in microseconds.
    pub(crate) venue_us: String,
    pub(crate) prices: String,
    pub(crate) sizes: String,
    /// Price times size: a price on another row's size shows.
    pub(crate) notional: String,
    pub(crate) sells: u64,
}

impl Trades {
    /// So many trades; the same for the same number.
    ///
    /// # Errors
    /// When the market's text is not understood.
    pub(crate) fn simulate(rows: usize) -> Result<Self> {
        let mut market = SimMarket::new(&SimConfig { quotes: false, depth: false, ..SimConfig::default() })?;
        let mut decoder = table::decoder_for(VENUE).context("there is no decoder for the simulated market")?;
        let instruments = Instruments::in_memory();
        let mut ids = HashMap::new();
        for symbol in &SimConfig::default().symbols {
            ids.insert(symbol.clone(), instruments.resolve(VENUE, symbol)?);
        }
        let mut burst = Burst::with_capacity(1);
        let mut text = String::new();
        let mut events = Vec::with_capacity(rows);
        let mut now = START;
        while events.len() < rows {
            now = UnixNanos(now.0 + STEP_NANOS);
            let frame = market.next_frame(now, &mut text);
            let mut append = |_: &str, message: &Message<'_>| {
                if let Message::Trade(trade) = message
                    && let Some(&id) = ids.get(trade.symbol)
                {
                    to_events::append(message, id, Some(now), Flags::NONE, &mut burst);
                }
            };
            let outcome = decoder.decode(frame.conn, &text, &mut append);
            ensure!(outcome == Outcome::Messages(1), "the decoder says {outcome:?} to {text}");
            events.extend_from_slice(burst.events());
            burst.clear();
        }
        let totals = Totals::of(&events)?;
        ensure!(totals.rows == rows as u64, "the simulated market sent something else than trades");
        Ok(Self { events, instruments, totals })
    }

    /// All rows in batches of `batch_rows`, numbered from `first` on, in blocks as a recorder makes them.
    pub(crate) fn batches(&self, first: Seq, batch_rows: usize) -> Vec<Batch> {
        let mut batches = vec![Batch::new()];
        let mut seq = first;
        for part in self.events.chunks(BLOCK_EVENTS_MAX) {
            let block = Arc::new(Block::of(STREAM, EPOCH, seq, SourceId(0), part));
            let mut start = 0;
            while start < part.len() {
                if batches.last().is_none_or(|batch| batch.len() == batch_rows) {
                    batches.push(Batch::new());
                }
                let Some(batch) = batches.last_mut() else { break };
                let end = part.len().min(start + batch_rows - batch.len());
                batch.push(block.clone(), start, end);
                start = end;
            }
            seq = Seq(seq.0 + part.len() as u64);
        }
        batches
    }
}

impl Totals {
    fn of(events: &[Event]) -> Result<Self> {
        let (mut prices, mut sizes, mut notional) = (Sum::default(), Sum::default(), Sum::default());
        let (mut ids, mut times, mut rows, mut sells) = (0_u128, 0_i128, 0, 0);
        for event in events {
            let trade = trade_of(event)?;
            prices.add(trade.price)?;
            sizes.add(trade.size)?;
            notional.add_product(trade.price, trade.size)?;
            ids += number_of(&trade)?;
            times += i128::from(event.venue_ts().context("a simulated trade has a time")?.0 / 1000);
            sells += u64::from(trade.side == Some(feedd_model::Side::Sell));
            rows += 1;
        }
        Ok(Self {
            rows,
            trade_ids: ids.to_string(),
            venue_us: times.to_string(),
            prices: prices.to_string(),
            sizes: sizes.to_string(),
            notional: notional.to_string(),
            sells,
        })
    }
}

/// The trade in an event.
///
/// # Errors
/// When it is none.
pub(crate) fn trade_of(event: &Event) -> Result<Trade> {
    match event.body() {
        EventBody::Trade(trade) => Ok(trade),
        other => anyhow::bail!("not a trade: {other:?}"),
    }
}

/// The trade's number.
///
/// # Errors
/// When its id is none.
pub(crate) fn number_of(trade: &Trade) -> Result<u128> {
    match trade.id {
        TradeId::Number(id) => Ok(id),
        other => anyhow::bail!("not a number: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::{Decimal, Side};

    #[test]
    fn batches_hold_every_event_once_in_order_whatever_their_size() {
        let trades = Trades::simulate(10_000).unwrap();
        for batch_rows in [1, 500, 4096, 5000, 9999, 10_000, 50_000] {
            let batches = trades.batches(Seq(7), batch_rows);
            assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == batch_rows), "{batch_rows}");
            let events: Vec<(Seq, Event)> =
                batches.iter().flat_map(Batch::events).map(|(seq, event)| (seq, *event)).collect();
            let expected: Vec<(Seq, Event)> = (7..).map(Seq).zip(trades.events.iter().copied()).collect();
            assert!(events == expected, "{batch_rows}");
        }
    }

    #[test]
    fn sums_tell_every_field_that_is_altered() {
        let trades = Trades::simulate(100).unwrap();
        assert_eq!(trades.totals, Trades::simulate(100).unwrap().totals);
        let altered = |at: usize, alter: &dyn Fn(&mut Trade)| {
            let mut events = trades.events.clone();
            let mut trade = trade_of(&events[at]).unwrap();
            alter(&mut trade);
            events[at] = Event::new(events[at].head(), EventBody::Trade(trade));
            Totals::of(&events).unwrap()
        };
        assert_eq!(altered(3, &|_| {}), trades.totals);
        assert_ne!(altered(3, &|trade| trade.price = Decimal::new(1, 18).unwrap()), trades.totals);
        assert_ne!(altered(3, &|trade| trade.size = Decimal::new(1, 18).unwrap()), trades.totals);
        assert_ne!(altered(3, &|trade| trade.id = TradeId::Number(1)), trades.totals);
        let flip = |trade: &mut Trade| {
            trade.side = Some(if trade.side == Some(Side::Sell) { Side::Buy } else { Side::Sell });
        };
        assert_ne!(altered(3, &flip), trades.totals);
        // Sizes exchanged between two rows: only the notional shows it.
        let a = trade_of(&trades.events[0]).unwrap();
        let differs = |trade: &Trade| trade.price != a.price && trade.size != a.size;
        let at = trades.events.iter().position(|event| differs(&trade_of(event).unwrap())).unwrap();
        let b = trade_of(&trades.events[at]).unwrap();
        let mut events = trades.events.clone();
        events[0] = Event::new(events[0].head(), EventBody::Trade(Trade { size: b.size, ..a }));
        events[at] = Event::new(events[at].head(), EventBody::Trade(Trade { size: a.size, ..b }));
        assert_ne!(Totals::of(&events).unwrap(), trades.totals);
        assert_ne!(Totals::of(&events[1..]).unwrap(), trades.totals);
    }
}
