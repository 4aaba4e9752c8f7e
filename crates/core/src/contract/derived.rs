//! Derived records in the streams of the sinks' suite.

use super::sink::{decimal, sample_events};
use crate::records::records;
use feedd_model::{
    Action, Bar, BarFlags, Decimal, Derived, Epoch, Equity, Event, EventKind, Fill, InstrumentId, Interval, Money,
    Outcome, Seq, Side, Signal, Sum, UnixNanos,
};

/// 2024-08-08T23:59:59Z in ns, as the other events of the suite.
const START_TS: i64 = 1_723_161_599_000_000_000;
/// Most digits that the stores share: 38, 18 of them decimals.
const WIDEST: i128 = 10i128.pow(38) - 1;

/// `count` events: those of [`sample_events`], and behind each sixth of them a derived record. The same for the same
/// `count`.
#[must_use]
pub fn sample_stream(count: usize) -> Vec<Event> {
    let mut events = Vec::with_capacity(count);
    for (at, event) in sample_events(count).into_iter().enumerate() {
        let slots = sample_derived(at / 6).to_events();
        if at % 6 == 5 && events.len() + slots.events().len() < count {
            events.extend(slots.events());
        }
        events.push(event);
        if events.len() == count {
            break;
        }
    }
    events
}

/// The first place at or behind `at` where a batch may end: not inside a derived record.
#[must_use]
pub fn whole_end(events: &[Event], at: usize) -> usize {
    at + events.get(at..).unwrap_or_default().iter().take_while(|event| event.kind() == EventKind::More).count()
}

/// The record number `i`: kinds, instruments, strategies, signs and absences go through their combinations at unrelated
/// periods, values go to the edges of what every store holds.
#[must_use]
pub fn sample_derived(i: usize) -> Derived {
    let n = i64::try_from(i).unwrap_or(0);
    let instrument = InstrumentId(u32::try_from(i % 4).unwrap_or(0) + 1);
    // The dictionary of the suite: four symbols, then two strategies.
    let strategy = InstrumentId(u32::try_from(i % 2).unwrap_or(0) + 5);
    let (at, number) = (UnixNanos(START_TS + n * 18_000_007), i as u64 + 1);
    match i % 7 {
        0..=2 => Derived::Bar(sample_bar(i, n, instrument, at)),
        3 => Derived::Signal(Signal {
            instrument,
            strategy,
            at,
            action: if i.is_multiple_of(2) { Action::Buy } else { Action::Sell },
            size: (!i.is_multiple_of(3)).then(|| decimal(n + 1, 18)),
            price: decimal(i64::MAX - n, 18),
            value: [f64::NAN, -0.5, 1e-300, 101.25, f64::INFINITY][i % 5],
            number,
        }),
        4 | 5 => Derived::Fill(sample_fill(i, n, (instrument, strategy), at)),
        _ => Derived::Equity(Equity {
            instrument,
            strategy,
            at,
            price: decimal(5_894_201_000_000 + n, 8),
            position: decimal(n, 3),
            cash: money(i, 0),
            equity: money(i, 1),
            realised: money(i, 2),
            unrealised: money(i, 3),
            number,
        }),
    }
}

fn sample_bar(i: usize, n: i64, instrument: InstrumentId, closed_at: UnixNanos) -> Bar {
    let digits = i128::from(n);
    let sums = match i % 4 {
        0 => [(0, 0), (0, 60), (0, 12)],
        1 => [(3, 0), (1, 1), (digits + 1, 18)],
        2 => [(WIDEST - digits, 18), (WIDEST / 7, 18), (10i128.pow(37) + digits * 10i128.pow(18), 36)],
        _ => [(digits * 1000 + 7, 8), (digits, 8), (digits * 77_777_777_777 + 1, 16)],
    };
    let [volume, buy_volume, notional] = sums.map(|(mantissa, scale)| sum(mantissa, scale));
    Bar {
        instrument,
        interval: [Interval::Seconds(1), Interval::Seconds(300), Interval::Trades(100), Interval::Volume(250_000_000)]
            [i % 4],
        start: UnixNanos(closed_at.0 - 2_000_000_001),
        end: UnixNanos(closed_at.0 - 1_000_000_000),
        closed_at,
        open: decimal(n + 1, 18),
        high: decimal(i64::MAX, 18),
        low: decimal(-n, 2),
        close: decimal(5_894_201_000_000 + n, 8),
        volume,
        buy_volume,
        notional,
        trades: u32::MAX - u32::try_from(i).unwrap_or(0),
        flags: BarFlags::from_bits(u8::try_from(i % 16).unwrap_or(0)),
        revision: u16::try_from(i % 3).unwrap_or(0),
        quality_bp: 10_000 - u16::try_from(i % 100).unwrap_or(0),
        number: i as u64 + 1,
    }
}

fn sample_fill(i: usize, n: i64, whose: (InstrumentId, InstrumentId), at: UnixNanos) -> Fill {
    Fill {
        instrument: whose.0,
        strategy: whose.1,
        signal: i as u64 / 2,
        at,
        ordered_at: UnixNanos(at.0 - 5),
        side: if i.is_multiple_of(3) { Side::Buy } else { Side::Sell },
        outcome: Outcome::ALL[i % Outcome::ALL.len()],
        price: decimal(n, 5),
        size: decimal(n + 1, 18),
        // None now and then: an average cost needs one.
        position: if i.is_multiple_of(5) { Decimal::ZERO } else { decimal(n + 3, 4) },
        fee: money(i, 0),
        realised: money(i, 1),
        cash: money(i, 2),
        cost: Money::from_mantissa(i128::from(n) * 10i128.pow(15) + 1),
        number: i as u64 + 1,
    }
}

fn money(i: usize, which: usize) -> Money {
    let units = i as i128 + 1;
    Money::from_mantissa(match (i + which) % 5 {
        0 => 0,
        1 => -units,
        2 => WIDEST - units,
        3 => units - WIDEST,
        _ => units * 10i128.pow(18),
    })
}

fn sum(mantissa: i128, scale: u32) -> Sum {
    Sum::from_parts(mantissa, scale).unwrap_or_default()
}

/// Every record with its decimals in their shortest form.
pub(super) fn shorten(events: &mut [(Epoch, Seq, Event)]) {
    let mut at = 0;
    while at < events.len() {
        let (epoch, slots) = (events[at].0, events[at].2.kind().slots());
        let run = events[at..].iter().take(slots).filter(|event| event.0 == epoch);
        let run: Vec<(Seq, Event)> = run.map(|(_, seq, event)| (*seq, *event)).collect();
        let found = records(run.iter().map(|(seq, event)| (*seq, event))).next();
        if let Some(Ok(record)) = found {
            let short = canonical_record(&record.record).to_events();
            for (event, short) in events[at..].iter_mut().zip(short.events()) {
                event.2 = *short;
            }
        }
        at += slots;
    }
}

/// The record with every decimal in its shortest form, so that stores that keep values but not printed zeros compare equal.
#[must_use]
pub fn canonical_record(record: &Derived) -> Derived {
    match *record {
        Derived::Bar(bar) => Derived::Bar(Bar {
            open: bar.open.canonical(),
            high: bar.high.canonical(),
            low: bar.low.canonical(),
            close: bar.close.canonical(),
            volume: bar.volume.canonical(),
            buy_volume: bar.buy_volume.canonical(),
            notional: bar.notional.canonical(),
            ..bar
        }),
        Derived::Signal(signal) => Derived::Signal(Signal {
            size: signal.size.map(Decimal::canonical),
            price: signal.price.canonical(),
            ..signal
        }),
        Derived::Fill(fill) => Derived::Fill(Fill {
            price: fill.price.canonical(),
            size: fill.size.canonical(),
            position: fill.position.canonical(),
            ..fill
        }),
        Derived::Equity(equity) => {
            Derived::Equity(Equity { price: equity.price.canonical(), position: equity.position.canonical(), ..equity })
        }
    }
}
