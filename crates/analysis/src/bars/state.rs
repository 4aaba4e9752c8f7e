//! The processor's state as bytes, to go on with open bars after a restart. Little-endian, exact; who stores it adds a
//! checksum.

use super::counted::Counted;
use super::exit::{Counts, Ledger};
use super::holes::{Hole, Holes};
use super::processor::Processor;
use super::series::Series;
use super::slot::Slot;
use super::symbol::Symbol;
use super::total::Total;
use feedd_model::{BarFlags, Decimal, GapReason, InstrumentId, UnixNanos};
use std::collections::VecDeque;

/// Begins every state; the last byte is the version.
const MAGIC: [u8; 8] = *b"fdbars\0\x01";

/// Why a state cannot be used. Bars then begin anew, numbered from [`Processor::number_from`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Other bytes, or of another version.
    #[error("this is no state of bars of this version; leave it out, and bars begin anew")]
    Foreign,
    /// Too few or too many bytes, or values that none has.
    #[error("the state of bars is damaged; leave it out, and bars begin anew")]
    Damaged,
    /// Made by another configuration.
    #[error("the state of bars is of other intervals ({saved}, now {now}); leave it out, and bars begin anew")]
    OtherBars {
        /// What the state is of.
        saved: String,
        /// What is configured.
        now: String,
        /// Number of the next bar.
        number: u64,
    },
}

impl Processor {
    /// All that is to be known to go on, but for the configuration.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out = Out(MAGIC.to_vec());
        out.text(&self.plan.shape);
        out.u64(self.ledger.number);
        out.i64(self.ledger.clock);
        out.i64(self.ledger.limit);
        for count in counts_of(&mut self.ledger.counts.clone()) {
            out.u64(*count);
        }
        out.option(self.blind_since);
        out.bool(self.has_changed);
        out.u64(self.places.values().filter(|place| place.is_none()).count() as u64);
        let mut unwanted: Vec<_> =
            self.places.iter().filter(|(_, place)| place.is_none()).map(|(id, _)| id.0).collect();
        unwanted.sort_unstable();
        unwanted.into_iter().for_each(|id| out.u32(id));
        out.u64(self.symbols.len() as u64);
        for symbol in &self.symbols {
            out.symbol(symbol);
        }
        out.0
    }

    /// Takes a saved state over. What was recorded while nobody looked is to be told by [`Processor::interrupted`].
    ///
    /// # Errors
    /// [`StateError`]; the processor is as it was.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let mut bytes = In(bytes.strip_prefix(&MAGIC).ok_or(StateError::Foreign)?);
        let shape = bytes.text().ok_or(StateError::Damaged)?;
        let number = bytes.u64().ok_or(StateError::Damaged)?;
        if shape != self.plan.shape {
            return Err(StateError::OtherBars { saved: shape, now: self.plan.shape.clone(), number });
        }
        self.take_over(&mut bytes, number).ok_or(StateError::Damaged)
    }

    fn take_over(&mut self, bytes: &mut In<'_>, number: u64) -> Option<()> {
        let mut ledger = Ledger { number, clock: bytes.i64()?, limit: bytes.i64()?, counts: Counts::default() };
        for count in counts_of(&mut ledger.counts) {
            *count = bytes.u64()?;
        }
        let blind_since = bytes.option()?;
        let has_changed = bytes.bool()?;
        let mut places = rustc_hash::FxHashMap::default();
        for _ in 0..bytes.count(4)? {
            places.insert(InstrumentId(bytes.u32()?), None);
        }
        let mut symbols = Vec::new();
        for place in 0..bytes.count(1)? {
            let symbol = bytes.symbol(self.plan.times.len(), self.plan.counts.len())?;
            places.insert(symbol.instrument, Some(place));
            symbols.push(symbol);
        }
        if !bytes.0.is_empty() || places.values().flatten().count() != symbols.len() {
            return None;
        }
        (self.ledger, self.blind_since, self.has_changed) = (ledger, blind_since, has_changed);
        (self.places, self.symbols) = (places, symbols);
        self.find_next_end();
        Some(())
    }
}

/// Every counter, in the order of the state.
fn counts_of(counts: &mut Counts) -> [&mut u64; 10] {
    let Counts { trades, bars, revised, synthetic, empties_skipped, late, overflows, outside, untimed, skipped } =
        counts;
    [trades, bars, revised, synthetic, empties_skipped, late, overflows, outside, untimed, skipped]
}

struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    fn bool(&mut self, value: bool) {
        self.u8(u8::from(value));
    }

    fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend(value.to_le_bytes());
    }

    fn option(&mut self, value: Option<i64>) {
        self.bool(value.is_some());
        self.i64(value.unwrap_or(0));
    }

    fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.0.extend(text.bytes());
    }

    fn decimal(&mut self, value: Decimal) {
        self.i64(value.mantissa());
        self.u8(value.scale());
    }

    fn total(&mut self, value: Total) {
        let (mantissa, scale) = value.parts();
        self.0.extend(mantissa.to_le_bytes());
        self.u8(scale);
    }

    fn slot(&mut self, slot: &Slot) {
        [slot.start, slot.end, slot.first_at, slot.last_at].into_iter().for_each(|time| self.i64(time));
        [slot.open, slot.high, slot.low, slot.close].into_iter().for_each(|price| self.decimal(price));
        [slot.volume, slot.buy_volume, slot.notional].into_iter().for_each(|total| self.total(total));
        self.u32(slot.trades);
        self.u8(slot.kept_flags.bits());
        self.u32(slot.told.into());
        self.bool(slot.told_quality.0);
        self.u32(slot.told_quality.1.into());
        self.bool(slot.is_changed);
    }

    fn symbol(&mut self, symbol: &Symbol) {
        self.u32(symbol.instrument.0);
        let holes = &symbol.holes;
        self.i64(holes.since);
        self.u64(holes.forgotten);
        self.i64(holes.forgotten_nanos);
        self.u64(holes.list.len() as u64);
        for hole in &holes.list {
            self.i64(hole.from.0);
            self.i64(hole.to.0);
            self.u8(hole.reason.map_or(NO_REASON, |reason| reason as u8));
            self.option(hole.ids.map(|ids| ids.0));
            self.option(hole.ids.map(|ids| ids.1));
            self.u64(hole.missing);
        }
        for series in &symbol.times {
            [series.next_end, series.changed_from, series.forgotten_until].into_iter().for_each(|time| self.i64(time));
            self.option(series.closed_until);
            self.u64(series.closed as u64);
            self.u64(series.slots.len() as u64);
            series.slots.iter().for_each(|slot| self.slot(slot));
        }
        for counted in &symbol.counted {
            self.option(counted.last_start);
            self.option(counted.last_end);
            self.bool(counted.slot.is_some());
            counted.slot.iter().for_each(|slot| self.slot(slot));
        }
        self.i64(symbol.next_end);
        self.bool(symbol.is_changed);
    }
}

/// Stands for no reason.
const NO_REASON: u8 = u8::MAX;

struct In<'a>(&'a [u8]);

impl In<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u16(&mut self) -> Option<u16> {
        u16::try_from(self.u32()?).ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    /// A number of things that take at least `bytes` each: never more than there can be.
    fn count(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.u64()?).ok().filter(|&count| count <= self.0.len() / bytes)
    }

    fn option(&mut self) -> Option<Option<i64>> {
        let is_some = self.bool()?;
        let value = self.i64()?;
        Some(is_some.then_some(value))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.count(1)?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn decimal(&mut self) -> Option<Decimal> {
        let mantissa = self.i64()?;
        Decimal::new(mantissa, self.u8()?)
    }

    fn total(&mut self) -> Option<Total> {
        let mantissa = self.take().map(i128::from_le_bytes)?;
        Total::from_parts(mantissa, self.u8()?)
    }

    fn slot(&mut self) -> Option<Slot> {
        Some(Slot {
            start: self.i64()?,
            end: self.i64()?,
            first_at: self.i64()?,
            last_at: self.i64()?,
            open: self.decimal()?,
            high: self.decimal()?,
            low: self.decimal()?,
            close: self.decimal()?,
            volume: self.total()?,
            buy_volume: self.total()?,
            notional: self.total()?,
            trades: self.u32()?,
            kept_flags: BarFlags::from_bits(self.u8()?),
            told: self.u16()?,
            told_quality: (self.bool()?, self.u16()?),
            is_changed: self.bool()?,
        })
    }

    fn hole(&mut self) -> Option<Hole> {
        let (from, to) = (UnixNanos(self.i64()?), UnixNanos(self.i64()?));
        let reason = match self.u8()? {
            NO_REASON => None,
            number => Some(*GapReason::ALL.get(usize::from(number))?),
        };
        let ids = self.option()?.zip(self.option()?);
        Some(Hole { from, to, reason, ids, missing: self.u64()? })
    }

    fn symbol(&mut self, times: usize, counts: usize) -> Option<Symbol> {
        let instrument = InstrumentId(self.u32()?);
        let mut holes = Holes::since(self.i64()?);
        (holes.forgotten, holes.forgotten_nanos) = (self.u64()?, self.i64()?);
        for _ in 0..self.count(1)? {
            holes.list.push(self.hole()?);
        }
        let times = (0..times).map(|_| self.series()).collect::<Option<_>>()?;
        let counted = (0..counts).map(|_| self.counted()).collect::<Option<_>>()?;
        let (next_end, is_changed) = (self.i64()?, self.bool()?);
        Some(Symbol { instrument, holes, times, counted, next_end, is_changed })
    }

    fn series(&mut self) -> Option<Series> {
        let (next_end, changed_from, forgotten_until) = (self.i64()?, self.i64()?, self.i64()?);
        let closed_until = self.option()?;
        let closed = usize::try_from(self.u64()?).ok()?;
        let count = self.count(1)?;
        let slots = (0..count).map(|_| self.slot()).collect::<Option<VecDeque<_>>>()?;
        let is_in_order = slots.iter().zip(slots.iter().skip(1)).all(|(one, next)| one.end <= next.start);
        (is_in_order && closed <= slots.len()).then_some(Series {
            slots,
            closed,
            closed_until,
            next_end,
            changed_from,
            forgotten_until,
        })
    }

    fn counted(&mut self) -> Option<Counted> {
        let (last_start, last_end) = (self.option()?, self.option()?);
        let slot = if self.bool()? { Some(self.slot()?) } else { None };
        Some(Counted { slot, last_start, last_end })
    }
}
