//! Derived records in 64-byte events: each takes a fixed number of consecutive events, its *slots*, and nothing is lost.
//!
//! The first slot has the kind of the record ([`EventKind::Bar`], ...), the others are [`EventKind::More`] and say which
//! part of what they are. Every slot carries the instrument and, as receive time, the time of the record, so that all of
//! it belongs to the same day. The later slots repeat the lower half of the record's number: parts of two records never
//! make a third.
//!
//! Every value of the types fits: nothing is refused, rounded or cut.

use crate::decimal::Decimal;
use crate::derived::{Action, Bar, BarFlags, Derived, Equity, Fill, Interval, Outcome, Signal};
use crate::event::Event;
use crate::ids::InstrumentId;
use crate::kinds::{EventBody, EventHead, EventKind, Flags, Side};
use crate::money::Money;
use crate::sum::Sum;
use crate::time::UnixNanos;

/// Most slots of a record.
pub const SLOTS_MAX: usize = 3;

/// "Absent" in a field, as in the other kinds of events.
const ABSENT: u8 = 31;

/// What one event holds of a derived record. Means something only together with the other slots: [`DerivedReader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Of this event: that of the record, or [`EventKind::More`].
    pub(crate) kind: EventKind,
    /// Five bits each.
    pub(crate) fields: [u8; 4],
    pub(crate) words: [u64; 5],
}

impl Slot {
    /// The kind of the record; `None` when the slot names none, which no slot of ours does.
    #[must_use]
    pub fn record(&self) -> Option<EventKind> {
        match self.kind {
            EventKind::More => {
                EventKind::ALL.into_iter().find(|kind| kind.slots() > 1 && *kind as u8 == self.fields[1])
            }
            kind => Some(kind),
        }
    }

    /// Which part of the record, from 0.
    #[must_use]
    pub const fn part(&self) -> usize {
        match self.kind {
            EventKind::More => self.fields[0] as usize,
            _ => 0,
        }
    }
}

/// The slots of one record, in order.
#[derive(Clone, Copy, Debug)]
pub struct Slots {
    events: [Event; SLOTS_MAX],
    len: usize,
}

impl Slots {
    const fn of(first: Event) -> Self {
        Self { events: [first; SLOTS_MAX], len: 1 }
    }

    fn push(&mut self, event: Event) {
        self.events[self.len] = event;
        self.len += 1;
    }

    /// The events, to be recorded one behind the other.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events[..self.len]
    }
}

/// Why events are no derived record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlotError {
    /// The first event begins no record.
    #[error("part {part} of a derived record, whose first part is not before it")]
    NoBeginning {
        /// What it says it is.
        part: usize,
    },
    /// The events behind the first are not its others.
    #[error("a derived record ({}) of which part {part} is missing", kind.name())]
    PartMissing {
        /// Of the record.
        kind: EventKind,
        /// Which, from 0.
        part: usize,
    },
    /// A number stands for nothing in this version.
    #[error("a derived record ({}) whose {what} is none that this version knows", kind.name())]
    Unknown {
        /// Of the record.
        kind: EventKind,
        /// Which value.
        what: &'static str,
    },
}

impl Derived {
    /// The kind of the record's first event.
    #[must_use]
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::Bar(_) => EventKind::Bar,
            Self::Signal(_) => EventKind::Signal,
            Self::Fill(_) => EventKind::Fill,
            Self::Equity(_) => EventKind::Equity,
        }
    }

    /// The time of the record on the lane's clock: when the bar came out, when the signal was given, ...
    #[must_use]
    pub const fn at(&self) -> UnixNanos {
        match self {
            Self::Bar(bar) => bar.closed_at,
            Self::Signal(signal) => signal.at,
            Self::Fill(fill) => fill.at,
            Self::Equity(equity) => equity.at,
        }
    }

    /// Whose.
    #[must_use]
    pub const fn instrument(&self) -> InstrumentId {
        match self {
            Self::Bar(bar) => bar.instrument,
            Self::Signal(signal) => signal.instrument,
            Self::Fill(fill) => fill.instrument,
            Self::Equity(equity) => equity.instrument,
        }
    }

    /// The record as events; [`Derived::from_events`] gives back the same record.
    #[must_use]
    pub fn to_events(&self) -> Slots {
        match self {
            Self::Bar(bar) => bar_slots(bar),
            Self::Signal(signal) => signal_slots(signal),
            Self::Fill(fill) => fill_slots(fill),
            Self::Equity(equity) => equity_slots(equity),
        }
    }

    /// The record that `events` are: exactly its slots, in order.
    ///
    /// # Errors
    /// [`SlotError`] when they are not.
    pub fn from_events(events: &[Event]) -> Result<Self, SlotError> {
        let Some(slots) = Parts::of(events)? else { return Err(SlotError::NoBeginning { part: 0 }) };
        match slots.kind {
            EventKind::Bar => slots.bar().map(Self::Bar),
            EventKind::Signal => slots.signal().map(Self::Signal),
            EventKind::Fill => slots.fill().map(Self::Fill),
            _ => slots.equity().map(Self::Equity),
        }
    }
}

/// Puts records together from a stream of events that also holds others.
///
/// Slots without the rest of their record make no record; they are counted. A record is whole only when its slots stand
/// one behind the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct DerivedReader {
    open: Option<Slots>,
    lost: u64,
}

impl DerivedReader {
    /// Takes the next event; the record that it completes.
    pub fn push(&mut self, event: &Event) -> Option<Derived> {
        let kind = event.kind();
        if !kind.is_slot() {
            self.reset();
            return None;
        }
        let slots = match self.open.take() {
            Some(mut open) if kind == EventKind::More => {
                open.push(*event);
                open
            }
            before => {
                self.lost += before.map_or(0, |open| open.len as u64);
                Slots::of(*event)
            }
        };
        match Derived::from_events(slots.events()) {
            Ok(record) => Some(record),
            Err(SlotError::PartMissing { part, .. }) if part == slots.len => {
                self.open = Some(slots);
                None
            }
            Err(_) => {
                self.lost += slots.len as u64;
                None
            }
        }
    }

    /// Events that were slots of no whole record, so far; those of a record that is not complete yet are not among them.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether the last event left a record incomplete.
    #[must_use]
    pub const fn is_inside(&self) -> bool {
        self.open.is_some()
    }

    /// What follows stands elsewhere in the stream: an incomplete record stays so.
    pub fn reset(&mut self) {
        self.lost += self.open.take().map_or(0, |open| open.len as u64);
    }
}

/// The parts of one record, checked to belong together.
struct Parts<'a> {
    kind: EventKind,
    events: &'a [Event],
    slots: [Slot; SLOTS_MAX],
}

impl<'a> Parts<'a> {
    /// `None` for no events.
    fn of(events: &'a [Event]) -> Result<Option<Self>, SlotError> {
        let Some(EventBody::Slot(first)) = events.first().map(Event::body) else { return Ok(None) };
        let kind = first.kind;
        if kind == EventKind::More {
            return Err(SlotError::NoBeginning { part: first.part() });
        }
        let mut slots = [first; SLOTS_MAX];
        let number = slots[0].words[NUMBER_AT];
        for (part, place) in slots.iter_mut().enumerate().take(kind.slots()).skip(1) {
            let missing = SlotError::PartMissing { kind, part };
            let (event, head) = (events.get(part).ok_or(missing)?, &events[0]);
            let EventBody::Slot(slot) = event.body() else { return Err(missing) };
            let same = event.instrument() == head.instrument() && event.recv_ts() == head.recv_ts();
            let tied = slot.kind == EventKind::More && slot.words[4] & LOW == number & LOW;
            if !(same && tied && slot.part() == part && slot.record() == Some(kind)) {
                return Err(missing);
            }
            *place = slot;
        }
        if events.len() > kind.slots() {
            return Err(SlotError::NoBeginning { part: kind.slots() });
        }
        Ok(Some(Self { kind, events, slots }))
    }

    fn word(&self, part: usize, at: usize) -> u64 {
        self.slots[part].words[at]
    }

    fn number(&self) -> u64 {
        self.word(0, NUMBER_AT)
    }

    fn at(&self) -> UnixNanos {
        time(self.events[0].recv_ts())
    }

    /// The time in the place of the venue's.
    fn time(&self, part: usize) -> UnixNanos {
        time(self.events[part].venue_ts())
    }

    fn wide(&self, part: usize, at: usize) -> i128 {
        (u128::from(self.word(part, at)) | u128::from(self.word(part, at + 1)) << 64).cast_signed()
    }

    fn money(&self, part: usize, at: usize) -> Money {
        Money::from_mantissa(self.wide(part, at))
    }

    fn unknown(&self, what: &'static str) -> SlotError {
        SlotError::Unknown { kind: self.kind, what }
    }

    /// The decimal in word `at` of the first slot, its scale in the field of the same place.
    fn decimal(&self, at: usize, what: &'static str) -> Result<Decimal, SlotError> {
        Decimal::new(self.word(0, at).cast_signed(), self.slots[0].fields[at]).ok_or_else(|| self.unknown(what))
    }

    fn bar(&self) -> Result<Bar, SlotError> {
        let shape = self.word(2, 3);
        let sum = |part, at, shift| {
            Sum::from_parts(self.wide(part, at), u32::from(byte(shape, shift))).ok_or_else(|| self.unknown("sum"))
        };
        let span = self.word(2, 2);
        let interval = match byte(shape, 8) {
            0 => u32::try_from(span).ok().map(Interval::Seconds),
            1 => u32::try_from(span).ok().map(Interval::Trades),
            2 => Some(Interval::Volume(span)),
            _ => None,
        };
        let rest = half(self.word(2, 4));
        Ok(Bar {
            instrument: self.events[0].instrument(),
            interval: interval.ok_or_else(|| self.unknown("interval"))?,
            start: self.time(0),
            end: self.time(1),
            closed_at: self.at(),
            open: self.decimal(0, "price")?,
            high: self.decimal(1, "price")?,
            low: self.decimal(2, "price")?,
            close: self.decimal(3, "price")?,
            volume: sum(1, 0, 16)?,
            buy_volume: sum(1, 2, 24)?,
            notional: sum(2, 0, 32)?,
            trades: half(self.word(1, 4)),
            flags: BarFlags::from_bits(byte(shape, 0)),
            revision: quarter(rest, 0),
            quality_bp: quarter(rest, 16),
            number: self.number(),
        })
    }

    fn signal(&self) -> Result<Signal, SlotError> {
        let fields = self.slots[0].fields;
        Ok(Signal {
            instrument: self.events[0].instrument(),
            strategy: InstrumentId(low(self.word(0, 3))),
            at: self.at(),
            action: match fields[2] {
                0 => Action::Buy,
                1 => Action::Sell,
                _ => return Err(self.unknown("action")),
            },
            size: if fields[1] == ABSENT { None } else { Some(self.decimal(1, "size")?) },
            price: self.decimal(0, "price")?,
            value: f64::from_bits(self.word(0, 2)),
            number: self.number(),
        })
    }

    fn fill(&self) -> Result<Fill, SlotError> {
        let end = self.slots[0].fields[3];
        let outcome = Outcome::ALL.get(usize::from(end >> 1)).copied();
        Ok(Fill {
            instrument: self.events[0].instrument(),
            strategy: InstrumentId(half(self.word(1, 4))),
            signal: self.word(0, 3),
            at: self.at(),
            ordered_at: self.time(0),
            side: if end & 1 == 0 { Side::Buy } else { Side::Sell },
            outcome: outcome.ok_or_else(|| self.unknown("outcome"))?,
            price: self.decimal(0, "price")?,
            size: self.decimal(1, "size")?,
            position: self.decimal(2, "position")?,
            fee: self.money(1, 0),
            realised: self.money(1, 2),
            cash: self.money(2, 0),
            cost: self.money(2, 2),
            number: self.number(),
        })
    }

    fn equity(&self) -> Result<Equity, SlotError> {
        Ok(Equity {
            instrument: self.events[0].instrument(),
            strategy: InstrumentId(half(self.word(1, 4))),
            at: self.at(),
            price: self.decimal(0, "price")?,
            position: self.decimal(1, "position")?,
            cash: self.money(1, 0),
            equity: self.money(1, 2),
            realised: self.money(2, 0),
            unrealised: self.money(2, 2),
            number: self.number(),
        })
    }
}

/// Word of a first slot that holds the record's number. The later slots repeat its lower half in the lower half of theirs.
const NUMBER_AT: usize = 4;
const LOW: u64 = u32::MAX as u64;

fn bar_slots(bar: &Bar) -> Slots {
    let prices = [bar.open, bar.high, bar.low, bar.close];
    let (unit, span) = match bar.interval {
        Interval::Seconds(seconds) => (0u64, u64::from(seconds)),
        Interval::Trades(trades) => (1, u64::from(trades)),
        Interval::Volume(units) => (2, units),
    };
    let scale = |sum: Sum| u64::from(sum.scale());
    let scales = scale(bar.volume) << 16 | scale(bar.buy_volume) << 24 | scale(bar.notional) << 32;
    let shape = u64::from(bar.flags.bits()) | unit << 8 | scales;
    let rest = u32::from(bar.revision) | u32::from(bar.quality_bp) << 16;
    let build = Build { kind: EventKind::Bar, instrument: bar.instrument, at: bar.closed_at, number: bar.number };
    let [a, b, c, d] = prices.map(|price| price.mantissa().cast_unsigned());
    let mut slots = Slots::of(build.first(bar.start, prices.map(Decimal::scale), [a, b, c, d]));
    let sums = [bar.volume, bar.buy_volume].map(|sum| halves(sum.mantissa()));
    slots.push(build.more(1, bar.end, sums, bar.trades));
    slots.push(build.more(2, bar.end, [halves(bar.notional.mantissa()), [span, shape]], rest));
    slots
}

fn signal_slots(signal: &Signal) -> Slots {
    let Signal { instrument, at, number, .. } = *signal;
    let build = Build { kind: EventKind::Signal, instrument, at, number };
    let size = signal.size.map_or(0, |size| size.mantissa().cast_unsigned());
    let price = signal.price.mantissa().cast_unsigned();
    let action = match signal.action {
        Action::Buy => 0,
        Action::Sell => 1,
    };
    let fields = [signal.price.scale(), signal.size.map_or(ABSENT, Decimal::scale), action, ABSENT];
    Slots::of(build.first(at, fields, [price, size, signal.value.to_bits(), u64::from(signal.strategy.0)]))
}

fn fill_slots(fill: &Fill) -> Slots {
    let build = Build { kind: EventKind::Fill, instrument: fill.instrument, at: fill.at, number: fill.number };
    let amounts = [fill.price, fill.size, fill.position];
    let [a, b, c] = amounts.map(Decimal::scale);
    let outcome = Outcome::ALL.iter().position(|outcome| *outcome == fill.outcome).unwrap_or_default();
    let end = u8::try_from(outcome).unwrap_or(0) << 1 | u8::from(fill.side == Side::Sell);
    let [x, y, z] = amounts.map(|amount| amount.mantissa().cast_unsigned());
    let mut slots = Slots::of(build.first(fill.ordered_at, [a, b, c, end], [x, y, z, fill.signal]));
    let money = |pair: [Money; 2]| pair.map(|money| halves(money.mantissa()));
    slots.push(build.more(1, fill.at, money([fill.fee, fill.realised]), fill.strategy.0));
    slots.push(build.more(2, fill.at, money([fill.cash, fill.cost]), fill.strategy.0));
    slots
}

fn equity_slots(equity: &Equity) -> Slots {
    let Equity { instrument, at, number, price, position, .. } = *equity;
    let build = Build { kind: EventKind::Equity, instrument, at, number };
    let words = [price.mantissa().cast_unsigned(), position.mantissa().cast_unsigned(), 0, 0];
    let mut slots = Slots::of(build.first(at, [price.scale(), position.scale(), ABSENT, ABSENT], words));
    let money = |pair: [Money; 2]| pair.map(|money| halves(money.mantissa()));
    slots.push(build.more(1, at, money([equity.cash, equity.equity]), equity.strategy.0));
    slots.push(build.more(2, at, money([equity.realised, equity.unrealised]), equity.strategy.0));
    slots
}

/// What all slots of a record share.
struct Build {
    kind: EventKind,
    instrument: InstrumentId,
    at: UnixNanos,
    number: u64,
}

impl Build {
    fn first(&self, time: UnixNanos, fields: [u8; 4], [a, b, c, d]: [u64; 4]) -> Event {
        self.event(time, Slot { kind: self.kind, fields, words: [a, b, c, d, self.number] })
    }

    fn more(&self, part: u8, time: UnixNanos, [[a, b], [c, d]]: [[u64; 2]; 2], rest: u32) -> Event {
        let last = self.number & LOW | u64::from(rest) << 32;
        let fields = [part, self.kind as u8, ABSENT, ABSENT];
        self.event(time, Slot { kind: EventKind::More, fields, words: [a, b, c, d, last] })
    }

    fn event(&self, time: UnixNanos, slot: Slot) -> Event {
        let head =
            EventHead { instrument: self.instrument, venue_ts: Some(time), recv_ts: Some(self.at), flags: Flags::NONE };
        Event::new(head, EventBody::Slot(slot))
    }
}

/// The number that events read as "unknown" is a time like others here.
fn time(time: Option<UnixNanos>) -> UnixNanos {
    time.unwrap_or(UnixNanos(i64::MIN))
}

#[allow(clippy::cast_possible_truncation, reason = "the two halves of the number")]
const fn halves(wide: i128) -> [u64; 2] {
    let bits = wide.cast_unsigned();
    [bits as u64, (bits >> 64) as u64]
}

#[allow(clippy::cast_possible_truncation, reason = "takes the named part of a word")]
const fn low(word: u64) -> u32 {
    word as u32
}

/// The upper half: what a later slot holds beside the number.
const fn half(word: u64) -> u32 {
    low(word >> 32)
}

#[allow(clippy::cast_possible_truncation, reason = "takes the named part of a word")]
const fn byte(word: u64, shift: u32) -> u8 {
    (word >> shift) as u8
}

#[allow(clippy::cast_possible_truncation, reason = "takes the named part of a word")]
const fn quarter(word: u32, shift: u32) -> u16 {
    (word >> shift) as u16
}

#[cfg(test)]
mod tests;
