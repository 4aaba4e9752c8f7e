//! Events, runs of the processor, and what tests look at.

use feedd_analysis::bars::{BarsConfig, Processor};
use feedd_analysis::flow::Item;
use feedd_core::Block;
use feedd_model::{
    Bar, Decimal, Derived, Epoch, Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Interval, Quote,
    Seq, Side, SourceId, Status, StatusCode, StreamId, Trade, TradeId, UnixNanos, VenueSeq,
};
use std::sync::Arc;

pub(crate) const SECOND: i64 = 1_000_000_000;
/// Thursday 2024-08-08 12:00 UTC.
pub(crate) const NOON: i64 = 1_723_118_400 * SECOND;

/// A moment `seconds` after noon.
pub(crate) fn at(seconds: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a few digits")]
    let nanos = (seconds * 1e9).round() as i64;
    NOON + nanos
}

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn head(instrument: u32, recv: Option<i64>) -> EventHead {
    let recv_ts = recv.map(UnixNanos);
    EventHead { instrument: InstrumentId(instrument), venue_ts: None, recv_ts, flags: Flags::NONE }
}

/// A trade of instrument 1 by a buyer.
pub(crate) fn trade(seconds: f64, price: &str, size: &str) -> Event {
    trade_of(head(1, Some(at(seconds))), price, size, Some(Side::Buy), TradeId::None)
}

pub(crate) fn trade_of(head: EventHead, price: &str, size: &str, side: Option<Side>, id: TradeId) -> Event {
    Event::new(head, EventBody::Trade(Trade { price: decimal(price), size: decimal(size), side, id }))
}

/// A trade made at `venue` that came at `recv`, flagged.
pub(crate) fn old_trade(recv: f64, venue: f64, flags: Flags, id: u128, price: &str, size: &str) -> Event {
    let head = EventHead { venue_ts: Some(UnixNanos(at(venue))), flags, ..head(1, Some(at(recv))) };
    trade_of(head, price, size, Some(Side::Sell), TradeId::Number(id))
}

pub(crate) fn tick(seconds: f64) -> Event {
    Event::new(head(0, Some(at(seconds))), EventBody::Status(Status { code: StatusCode::Tick, detail: 0 }))
}

pub(crate) fn quote(instrument: u32, recv: i64) -> Event {
    let body = Quote { bid: None, bid_size: None, ask: None, ask_size: None, venue_seq: None };
    Event::new(head(instrument, Some(recv)), EventBody::Quote(body))
}

/// A gap between two moments, recorded at the second.
pub(crate) fn gap(instrument: u32, reason: GapReason, from: f64, to: f64, ids: Option<(i64, i64)>) -> Event {
    let body = Gap {
        reason,
        first_missing: ids.map(|ids| VenueSeq(ids.0)),
        last_missing: ids.map(|ids| VenueSeq(ids.1)),
        from_ts: Some(UnixNanos(at(from))),
        to_ts: Some(UnixNanos(at(to))),
        events: ids.map(|(first, last)| (last - first + 1).unsigned_abs()),
    };
    Event::new(head(instrument, Some(at(to))), EventBody::Gap(body))
}

pub(crate) fn config(intervals: &[&str]) -> BarsConfig {
    let intervals = intervals.iter().map(|text| text.parse().unwrap()).collect();
    BarsConfig { intervals, ..BarsConfig::default() }
}

/// A processor, what came out of it, and how many events it has had.
pub(crate) struct Line {
    pub(crate) processor: Processor,
    pub(crate) items: Vec<Item>,
    pub(crate) records: Vec<Derived>,
    pub(crate) events: u64,
}

impl Line {
    pub(crate) fn new(config: BarsConfig) -> Self {
        let processor = Processor::new(config, |_| true).unwrap();
        Self { processor, items: Vec::new(), records: Vec::new(), events: 0 }
    }

    pub(crate) fn feed(&mut self, events: &[Event]) -> &mut Self {
        self.feed_after(0, events)
    }

    pub(crate) fn feed_after(&mut self, skipped: u64, events: &[Event]) -> &mut Self {
        let block = Block::of(StreamId(1), Epoch(1), Seq(self.events + 1), SourceId(0), events);
        self.events += events.len() as u64;
        self.processor.block(&Arc::new(block), skipped, &mut self.items, &mut self.records);
        self
    }

    pub(crate) fn finish(&mut self) -> &mut Self {
        self.processor.finish(&mut self.items, &mut self.records);
        self
    }

    /// Goes on in a new processor with the saved state of this one.
    pub(crate) fn restart(&mut self, config: BarsConfig) -> &mut Self {
        let saved = self.processor.save();
        self.processor = Processor::new(config, |_| true).unwrap();
        self.processor.load(&saved).unwrap();
        self
    }

    pub(crate) fn bars(&self) -> Vec<Bar> {
        self.records.iter().map(bar_of).collect()
    }

    /// Takes the bars that came out since the last call, as lines.
    pub(crate) fn told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.records).iter().map(|record| line_of(&bar_of(record))).collect()
    }
}

pub(crate) fn bar_of(record: &Derived) -> Bar {
    match record {
        Derived::Bar(bar) => *bar,
        other => panic!("a processor makes bars alone, not {other:?}"),
    }
}

/// `interval start..end open/high/low/close volume(buy) notional xtrades quality flags rREVISION @closed`, seconds after noon.
pub(crate) fn line_of(bar: &Bar) -> String {
    let seconds = |time: UnixNanos| {
        let (whole, rest) = ((time.0 - NOON).div_euclid(SECOND), (time.0 - NOON).rem_euclid(SECOND));
        if rest == 0 { whole.to_string() } else { format!("{whole}.{}", format!("{rest:09}").trim_end_matches('0')) }
    };
    let flags: Vec<_> = feedd_model::BarFlags::NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| bar.flags.bits() >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    let flags = if flags.is_empty() { "complete".to_owned() } else { flags.join("+") };
    format!(
        "{} {}..{} {}/{}/{}/{} {}({}) {} x{} {} {flags} r{} @{}",
        bar.interval,
        seconds(bar.start),
        seconds(bar.end),
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.buy_volume,
        bar.notional,
        bar.trades,
        bar.quality_bp,
        bar.revision,
        seconds(bar.closed_at)
    )
}

/// The latest revision of each bar of an interval, by symbol and start.
pub(crate) fn latest(bars: &[Bar], interval: Interval) -> std::collections::BTreeMap<(InstrumentId, UnixNanos), Bar> {
    let of = bars.iter().filter(|bar| bar.interval == interval);
    of.map(|bar| ((bar.instrument, bar.start), *bar)).collect()
}
