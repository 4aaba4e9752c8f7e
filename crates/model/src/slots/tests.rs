use super::*;
use crate::kinds::{Status, StatusCode};
use proptest::prelude::*;

fn decimal() -> impl Strategy<Value = Decimal> {
    (-i64::MAX..=i64::MAX, 0u8..=30).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap())
}

fn wide() -> impl Strategy<Value = i128> {
    prop_oneof![any::<i128>(), Just(i128::MIN), Just(i128::MAX), -9i128..9]
}

fn sum() -> impl Strategy<Value = Sum> {
    (wide(), 0u32..=60).prop_map(|(mantissa, scale)| Sum::from_parts(mantissa, scale).unwrap())
}

fn money() -> impl Strategy<Value = Money> {
    wide().prop_map(Money::from_mantissa)
}

fn time() -> impl Strategy<Value = UnixNanos> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(UnixNanos)
}

fn id() -> impl Strategy<Value = InstrumentId> {
    any::<u32>().prop_map(InstrumentId)
}

fn interval() -> impl Strategy<Value = Interval> {
    prop_oneof![
        any::<u32>().prop_map(Interval::Seconds),
        any::<u32>().prop_map(Interval::Trades),
        any::<u64>().prop_map(Interval::Volume)
    ]
}

fn bar() -> impl Strategy<Value = Derived> {
    let prices = (decimal(), decimal(), decimal(), decimal());
    let rest = (any::<u32>(), any::<u8>(), any::<u16>(), any::<u16>(), any::<u64>());
    ((id(), interval(), time(), time(), time()), prices, (sum(), sum(), sum()), rest).prop_map(
        |((instrument, interval, start, end, closed_at), (open, high, low, close), sums, rest)| {
            Derived::Bar(Bar {
                instrument,
                interval,
                start,
                end,
                closed_at,
                open,
                high,
                low,
                close,
                volume: sums.0,
                buy_volume: sums.1,
                notional: sums.2,
                trades: rest.0,
                flags: BarFlags::from_bits(rest.1),
                revision: rest.2,
                quality_bp: rest.3,
                number: rest.4,
            })
        },
    )
}

fn signal() -> impl Strategy<Value = Derived> {
    let amounts = (prop::option::of(decimal()), decimal(), any::<u64>().prop_map(f64::from_bits));
    ((id(), id()), time(), any::<bool>(), amounts, any::<u64>()).prop_map(
        |((instrument, strategy), at, buys, (size, price, value), number)| {
            let action = if buys { Action::Buy } else { Action::Sell };
            Derived::Signal(Signal { instrument, strategy, at, action, size, price, value, number })
        },
    )
}

fn fill() -> impl Strategy<Value = Derived> {
    let end = (any::<bool>(), prop::sample::select(Outcome::ALL.to_vec()));
    let amounts = (decimal(), decimal(), decimal());
    let money = (money(), money(), money(), money());
    ((id(), id(), any::<u64>(), any::<u64>()), (time(), time()), end, amounts, money).prop_map(
        |((instrument, strategy, signal, number), (at, ordered_at), (buys, outcome), amounts, money)| {
            Derived::Fill(Fill {
                instrument,
                strategy,
                signal,
                at,
                ordered_at,
                side: if buys { Side::Buy } else { Side::Sell },
                outcome,
                price: amounts.0,
                size: amounts.1,
                position: amounts.2,
                fee: money.0,
                realised: money.1,
                cash: money.2,
                cost: money.3,
                number,
            })
        },
    )
}

fn equity() -> impl Strategy<Value = Derived> {
    ((id(), id(), any::<u64>()), time(), (decimal(), decimal()), (money(), money(), money(), money())).prop_map(
        |((instrument, strategy, number), at, (price, position), money)| {
            Derived::Equity(Equity {
                instrument,
                strategy,
                at,
                price,
                position,
                cash: money.0,
                equity: money.1,
                realised: money.2,
                unrealised: money.3,
                number,
            })
        },
    )
}

fn derived() -> impl Strategy<Value = Derived> {
    prop_oneof![bar(), signal(), fill(), equity()]
}

fn raw() -> Event {
    let head = EventHead { instrument: InstrumentId(3), venue_ts: None, recv_ts: None, flags: Flags::NONE };
    Event::new(head, EventBody::Status(Status { code: StatusCode::Tick, detail: 0 }))
}

/// Debug tells scales and the bits of NaN apart from other numbers; `==` on decimals compares values only.
fn shown(record: &Derived) -> String {
    match record {
        Derived::Signal(signal) => format!("{signal:?} {:x}", signal.value.to_bits()),
        other => format!("{other:?}"),
    }
}

proptest! {
    /// Nothing is lost: every value of every field comes back, through the bytes of a file, too.
    #[test]
    fn a_record_comes_back_from_its_slots(record in derived()) {
        let slots = record.to_events();
        prop_assert_eq!(slots.events().len(), record.kind().slots());
        let stored: Vec<Event> = slots.events().iter().map(|e| Event::from_bytes(&e.to_bytes()).unwrap()).collect();
        prop_assert_eq!(shown(&Derived::from_events(&stored).unwrap()), shown(&record));
        for (part, event) in stored.iter().enumerate() {
            prop_assert_eq!(event.kind(), if part == 0 { record.kind() } else { EventKind::More });
            prop_assert_eq!(event.instrument(), record.instrument());
            prop_assert_eq!(event.recv_ts().unwrap_or(UnixNanos(i64::MIN)), record.at());
            prop_assert_eq!((event.flags(), event.decimals()), (Flags::NONE, [None; 4]));
            let EventBody::Slot(slot) = event.body() else { panic!("{event:?}") };
            prop_assert_eq!((slot.part(), slot.record()), (part, Some(record.kind())));
            prop_assert_eq!(Event::new(event.head(), event.body()), *event);
        }
    }

    /// Whatever is lost or stands between: whole records are read, the slots of the others are counted, none is made up.
    #[test]
    fn what_is_not_whole_is_counted(records in prop::collection::vec(derived(), 1..12), kept in prop::collection::vec(0u8..8, 36)) {
        let mut reader = DerivedReader::default();
        let mut kept = kept.into_iter();
        let (mut read, mut whole, mut slots_lost) = (Vec::new(), Vec::new(), 0);
        for (place, record) in records.iter().enumerate() {
            // Numbers that differ in the lower half, as numbers of neighbours do.
            let record = numbered(*record, place as u64);
            let slots = record.to_events();
            let keep: Vec<bool> = slots.events().iter().map(|_| kept.next().unwrap_or(1) > 0).collect();
            let given = slots.events().iter().zip(&keep).filter(|(_, keep)| **keep);
            given.for_each(|(event, _)| read.extend(reader.push(event)));
            if keep.iter().all(|keep| *keep) {
                whole.push(record);
            } else {
                slots_lost += keep.iter().filter(|keep| **keep).count() as u64;
            }
            if place % 3 == 2 {
                prop_assert_eq!(reader.push(&raw()).map(|r| shown(&r)), None);
            }
        }
        reader.reset();
        prop_assert!(!reader.is_inside());
        prop_assert_eq!(read.iter().map(shown).collect::<Vec<_>>(), whole.iter().map(shown).collect::<Vec<_>>());
        prop_assert_eq!(reader.lost(), slots_lost);
    }

    /// Slots with any content are a record or an error.
    #[test]
    fn any_slots_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 192), kind in 7u8..=10) {
        let mut events = Vec::new();
        for (part, bytes) in bytes.chunks_exact(64).enumerate() {
            let mut bytes: [u8; 64] = bytes.try_into().unwrap();
            bytes[20] = bytes[20] & 0xf0 | if part == 0 { kind } else { 11 };
            events.extend(Event::from_bytes(&bytes));
        }
        let _ = Derived::from_events(&events);
        let mut reader = DerivedReader::default();
        for event in &events {
            let _ = format!("{:?} {event:?}", reader.push(event));
        }
    }
}

fn numbered(record: Derived, number: u64) -> Derived {
    match record {
        Derived::Bar(bar) => Derived::Bar(Bar { number, ..bar }),
        Derived::Signal(signal) => Derived::Signal(Signal { number, ..signal }),
        Derived::Fill(fill) => Derived::Fill(Fill { number, ..fill }),
        Derived::Equity(equity) => Derived::Equity(Equity { number, ..equity }),
    }
}

fn sample(number: u64) -> Derived {
    let price = Decimal::new(5, 1).unwrap();
    Derived::Equity(Equity {
        instrument: InstrumentId(1),
        strategy: InstrumentId(2),
        at: UnixNanos(7),
        price,
        position: price,
        cash: Money::ZERO,
        equity: Money::ZERO,
        realised: Money::ZERO,
        unrealised: Money::ZERO,
        number,
    })
}

#[test]
fn what_is_wrong_is_named() {
    let (slots, other) = (sample(1).to_events(), sample(2).to_events());
    let (a, b) = (slots.events(), other.events());
    let cases: [(&str, Vec<Event>, &str); 7] = [
        ("nothing", vec![], "part 0 of a derived record, whose first part is not before it"),
        ("no beginning", a[1..].to_vec(), "part 1 of a derived record, whose first part is not before it"),
        ("an event of another kind", vec![raw()], "part 0 of a derived record, whose first part is not before it"),
        ("a hole", vec![a[0], a[2]], "a derived record (equity) of which part 1 is missing"),
        ("no end", a[..2].to_vec(), "a derived record (equity) of which part 2 is missing"),
        ("the end of another", vec![a[0], a[1], b[2]], "a derived record (equity) of which part 2 is missing"),
        ("too much", [a, b].concat(), "part 3 of a derived record, whose first part is not before it"),
    ];
    for (name, events, expected) in cases {
        assert_eq!(Derived::from_events(&events).unwrap_err().to_string(), expected, "{name}");
    }
}

/// The places of the fields: journals hold them.
#[test]
fn the_bytes_of_a_record_stay_as_they_are() {
    let signal = Signal {
        instrument: InstrumentId(0x0102),
        strategy: InstrumentId(0x0304),
        at: UnixNanos(0x0506),
        action: Action::Sell,
        size: None,
        price: Decimal::new(0x0708, 2).unwrap(),
        value: 1.0,
        number: 0x090a,
    };
    let slots = Derived::Signal(signal).to_events();
    let expected = [
        (0, 0x0506),
        (8, 0x0506),
        (16, 0x0102 | (8 | 2 << 12 | 31 << 17 | 1 << 22 | 31 << 27) << 32),
        (24, 0x0708),
        (32, 0),
        (40, 1.0f64.to_bits()),
        (48, 0x0304),
        (56, 0x090a),
    ];
    let bytes = slots.events()[0].to_bytes();
    for (at, word) in expected {
        assert_eq!(u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()), word, "at {at}");
    }
}
