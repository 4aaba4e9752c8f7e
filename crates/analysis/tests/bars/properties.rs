//! Rules that hold for any stream of events.

use crate::common::{Line, NOON, SECOND, config, latest, quote};
use bigdecimal::BigDecimal;
use feedd_analysis::bars::{BarsConfig, Empty};
use feedd_model::{
    Bar, BarFlags, Decimal, Event, EventBody, EventHead, Flags, Gap, GapReason, InstrumentId, Interval, Side, Status,
    StatusCode, Sum, Trade, TradeId, UnixNanos, VenueSeq,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const INTERVALS: [&str; 8] = ["1s", "5s", "7s", "1m", "1h", "10t", "30t", "3v"];
const MINUTE: i64 = 60 * SECOND;

/// One event, relative to the time before it.
#[derive(Clone, Debug)]
enum Step {
    Trade {
        instrument: u32,
        after: i64,
        price: (i64, u8),
        size: (i64, u8),
        side: Option<Side>,
    },
    /// Fetched later; `age` old.
    Old {
        instrument: u32,
        after: i64,
        age: i64,
        id: i64,
        price: i64,
    },
    Quote {
        instrument: u32,
        after: i64,
    },
    Tick {
        after: i64,
    },
    Gap {
        instrument: u32,
        after: i64,
        length: i64,
        ids: Option<(i64, i64)>,
        reason: GapReason,
    },
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly on, now and then back as from another source, seldom a long silence.
    let after = || {
        prop_oneof![
            6 => 0..SECOND / 2,
            1 => -3 * SECOND..0,
            1 => 0..3 * SECOND,
            1 => Just(0),
            1 => 0..3 * MINUTE,
        ]
    };
    let instrument = || 1u32..=3;
    let side = prop_oneof![Just(Some(Side::Buy)), Just(Some(Side::Sell)), Just(None)];
    let price = (1i64..10_000, 0u8..4);
    let size = (1i64..2_000, 0u8..4);
    let reason = prop_oneof![Just(GapReason::Disconnected), Just(GapReason::VenueSequence), Just(GapReason::RingFull)];
    prop_oneof![
        12 => (instrument(), after(), price, size, side)
            .prop_map(|(instrument, after, price, size, side)| Step::Trade { instrument, after, price, size, side }),
        2 => (instrument(), after(), 0..5 * MINUTE, 1i64..10, 1i64..100)
            .prop_map(|(instrument, after, age, id, price)| Step::Old { instrument, after, age, id, price }),
        1 => (instrument(), after()).prop_map(|(instrument, after)| Step::Quote { instrument, after }),
        2 => after().prop_map(|after| Step::Tick { after }),
        1 => (0u32..=3, after(), 0..2 * MINUTE, prop::option::of((1i64..10, 0i64..3)), reason).prop_map(
            |(instrument, after, length, ids, reason)| {
                let ids = ids.map(|(first, more)| (first, first + more));
                Step::Gap { instrument, after, length, ids, reason }
            }
        ),
    ]
}

fn events_of(steps: &[Step]) -> Vec<Event> {
    let mut now = NOON;
    let mut events = Vec::new();
    for step in steps {
        let (instrument, after) = match step {
            Step::Trade { instrument, after, .. }
            | Step::Old { instrument, after, .. }
            | Step::Quote { instrument, after }
            | Step::Gap { instrument, after, .. } => (*instrument, *after),
            Step::Tick { after } => (0, *after),
        };
        let recv = now + after;
        now = now.max(recv);
        let head = EventHead {
            instrument: InstrumentId(instrument),
            venue_ts: None,
            recv_ts: Some(UnixNanos(recv)),
            flags: Flags::NONE,
        };
        events.push(match *step {
            Step::Trade { price, size, side, .. } => {
                let [price, size] = [price, size].map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap());
                Event::new(head, EventBody::Trade(Trade { price, size, side, id: TradeId::None }))
            }
            Step::Old { age, id, price, .. } => {
                let head = EventHead { venue_ts: Some(UnixNanos(recv - age)), flags: Flags::BACKFILLED, ..head };
                let (price, size) = (Decimal::new(price, 1).unwrap(), Decimal::new(1, 0).unwrap());
                let id = TradeId::Number(id.unsigned_abs().into());
                Event::new(head, EventBody::Trade(Trade { price, size, side: None, id }))
            }
            Step::Quote { .. } => quote(instrument, recv),
            Step::Tick { .. } => Event::new(head, EventBody::Status(Status { code: StatusCode::Tick, detail: 0 })),
            Step::Gap { length, ids, reason, .. } => Event::new(
                head,
                EventBody::Gap(Gap {
                    reason,
                    first_missing: ids.map(|ids| VenueSeq(ids.0)),
                    last_missing: ids.map(|ids| VenueSeq(ids.1)),
                    from_ts: Some(UnixNanos(recv - length)),
                    to_ts: Some(UnixNanos(recv)),
                    events: ids.map(|(first, last)| (last - first + 1).unsigned_abs()),
                }),
            ),
        });
    }
    events
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..250)
}

/// Nothing is too late.
fn patient(intervals: &[&str], empty: Empty) -> BarsConfig {
    BarsConfig { revise: Duration::from_secs(86_400), kept_max: 1_000_000, empty, ..config(intervals) }
}

fn run(config: BarsConfig, events: &[Event]) -> Line {
    let mut line = Line::new(config);
    line.feed(events).finish();
    line
}

/// A trade: time, price, size, whether it was bought.
type Plain = (i64, Decimal, Decimal, bool);

/// Trades of one instrument.
fn trades_of(events: &[Event], instrument: InstrumentId) -> Vec<Plain> {
    let trade = |event: &Event| match event.body() {
        EventBody::Trade(trade) if event.instrument() == instrument => {
            let old = event.flags().contains(Flags::BACKFILLED);
            let time = if old { event.venue_ts() } else { event.recv_ts() }.unwrap();
            Some((time.0, trade.price, trade.size, trade.side == Some(Side::Buy)))
        }
        _ => None,
    };
    events.iter().filter_map(trade).collect()
}

fn big(value: Decimal) -> BigDecimal {
    BigDecimal::new(value.mantissa().into(), value.scale().into())
}

fn big_sum(value: Sum) -> BigDecimal {
    value.to_string().parse().unwrap()
}

/// Every value of a bar against its trades, in their order.
fn check(bar: &Bar, trades: &[Plain]) {
    let prices: Vec<_> = trades.iter().map(|trade| trade.1).collect();
    let (open, close) = (*prices.first().unwrap(), *prices.last().unwrap());
    let (high, low) = (*prices.iter().max().unwrap(), *prices.iter().min().unwrap());
    assert_eq!((bar.open, bar.high, bar.low, bar.close), (open, high, low, close), "{bar:?}");
    let sum = |of: &dyn Fn(&Plain) -> BigDecimal| trades.iter().map(of).sum::<BigDecimal>();
    assert_eq!(big_sum(bar.volume), sum(&|trade| big(trade.2)));
    assert_eq!(big_sum(bar.buy_volume), sum(&|trade| if trade.3 { big(trade.2) } else { 0.into() }));
    assert_eq!(big_sum(bar.notional), sum(&|trade| big(trade.1) * big(trade.2)));
    assert_eq!(bar.trades as usize, trades.len());
}

fn with_number(bar: &Bar, number: u64) -> Bar {
    Bar { number, ..*bar }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Every bar's last revision is what its trades give, computed plainly with an independent library; every span with
    /// trades has a bar, and no other.
    #[test]
    fn bars_are_what_their_trades_give(steps in steps()) {
        let events = events_of(&steps);
        let bars = run(patient(&INTERVALS, Empty::None), &events).bars();
        for seconds in [1i64, 5, 7, 60, 3_600] {
            let latest = latest(&bars, Interval::Seconds(u32::try_from(seconds).unwrap()));
            let mut expected = BTreeSet::new();
            for instrument in [1, 2, 3].map(InstrumentId) {
                let mut spans = BTreeMap::<i64, Vec<_>>::new();
                for trade in trades_of(&events, instrument) {
                    spans.entry(trade.0.div_euclid(seconds * SECOND)).or_default().push(trade);
                }
                for (span, mut trades) in spans {
                    trades.sort_by_key(|trade| trade.0);
                    let start = UnixNanos(span * seconds * SECOND);
                    let bar = latest.get(&(instrument, start)).expect("a span with trades has a bar");
                    check(bar, &trades);
                    prop_assert_eq!(bar.end.0 - bar.start.0, seconds * SECOND);
                    expected.insert((instrument, start));
                }
            }
            prop_assert_eq!(latest.keys().copied().collect::<BTreeSet<_>>(), expected);
        }
    }

    /// Numbers of trades and amounts cut the record where they are reached.
    #[test]
    fn counted_bars_are_what_their_trades_give(steps in steps()) {
        let events = events_of(&steps);
        let bars = run(patient(&INTERVALS, Empty::None), &events).bars();
        for instrument in [1, 2, 3].map(InstrumentId) {
            let trades = trades_of(&events, instrument);
            for interval in [Interval::Trades(10), Interval::Trades(30), Interval::Volume(300_000_000)] {
                let made = bars.iter().filter(|bar| (bar.instrument, bar.interval) == (instrument, interval));
                let mut rest = &trades[..];
                for bar in made {
                    let mut amount = BigDecimal::from(0);
                    let is_full = |place: usize, size: Decimal| {
                        amount += big(size);
                        match interval {
                            Interval::Trades(trades) => place + 1 == trades as usize,
                            _ => amount >= 3,
                        }
                    };
                    let mut is_full = is_full;
                    let full = rest.iter().enumerate().position(|(place, trade)| is_full(place, trade.2));
                    prop_assert_eq!(bar.flags.contains(BarFlags::TRUNCATED), full.is_none());
                    let (front, back) = rest.split_at(full.map_or(rest.len(), |place| place + 1));
                    check(bar, front);
                    rest = back;
                }
                prop_assert!(rest.is_empty(), "every trade is in a bar");
            }
        }
    }

    /// Where a batch happens to end must not change the bars.
    #[test]
    fn bars_ignore_batch_boundaries(steps in steps(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let events = events_of(&steps);
        let whole = run(patient(&INTERVALS, Empty::Synthetic), &events);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(events.len())).collect();
        cuts.extend([0, events.len()]);
        cuts.sort_unstable();
        let mut line = Line::new(patient(&INTERVALS, Empty::Synthetic));
        for cut in cuts.windows(2) {
            line.feed(&events[cut[0]..cut[1]]);
        }
        line.finish();
        prop_assert_eq!(line.bars(), whole.bars());
        prop_assert_eq!(line.processor.save(), whole.processor.save());
    }

    /// An interval that is made of another's bars gives what it gives when it is made of trades, revisions and flags included.
    #[test]
    fn derived_bars_equal_direct_ones(steps in steps(), synthetic in any::<bool>()) {
        let events = events_of(&steps);
        let empty = if synthetic { Empty::Synthetic } else { Empty::None };
        let all = run(patient(&INTERVALS, empty), &events).bars();
        for text in INTERVALS {
            let alone = run(patient(&[text], empty), &events).bars();
            let interval: Interval = text.parse().unwrap();
            let among: Vec<_> = all.iter().filter(|bar| bar.interval == interval).map(|bar| with_number(bar, 0)).collect();
            prop_assert_eq!(among, alone.iter().map(|bar| with_number(bar, 0)).collect::<Vec<_>>(), "{}", text);
        }
    }

    /// No record twice, revisions and numbers without holes, volumes that add up.
    #[test]
    fn every_record_has_a_name_of_its_own(steps in steps(), synthetic in any::<bool>()) {
        let events = events_of(&steps);
        let empty = if synthetic { Empty::Synthetic } else { Empty::None };
        let bars = run(patient(&INTERVALS, empty), &events).bars();
        let mut revisions = BTreeMap::new();
        for (bar, number) in bars.iter().zip(1..) {
            prop_assert_eq!(bar.number, number);
            let next = revisions.entry((bar.instrument, bar.interval, bar.start)).or_insert(0u16);
            prop_assert_eq!(bar.revision, *next);
            prop_assert_eq!(bar.flags.contains(BarFlags::REVISED), bar.revision > 0);
            prop_assert_eq!(bar.flags.contains(BarFlags::SYNTHETIC), bar.trades == 0);
            prop_assert!(bar.quality_bp == 10_000 || bar.flags.contains(BarFlags::PARTIAL));
            *next += 1;
        }
        let volume: BigDecimal =
            [1, 2, 3].iter().flat_map(|&id| trades_of(&events, InstrumentId(id))).map(|trade| big(trade.2)).sum();
        for text in INTERVALS {
            let latest = latest(&bars, text.parse().unwrap());
            prop_assert_eq!(latest.values().map(|bar| big_sum(bar.volume)).sum::<BigDecimal>(), volume.clone(), "{}", text);
        }
    }

    /// From a symbol's first empty bar on there is a bar for every span that has ended, and an empty one repeats the close before.
    #[test]
    fn empty_bars_leave_no_span_out(steps in steps()) {
        let events = events_of(&steps);
        let bars = run(patient(&["5s"], Empty::Synthetic), &events).bars();
        for instrument in [1, 2, 3].map(InstrumentId) {
            let is_its = |bar: &Bar| bar.instrument == instrument && !bar.flags.contains(BarFlags::TRUNCATED);
            let all: Vec<_> = latest(&bars, Interval::Seconds(5)).into_values().filter(is_its).collect();
            let first = all.iter().position(|bar| bar.trades == 0).unwrap_or(all.len());
            for (before, bar) in all[first..].iter().zip(all[first..].iter().skip(1)) {
                prop_assert_eq!(bar.start, before.end);
                if bar.trades == 0 {
                    prop_assert_eq!([bar.open, bar.high, bar.low, bar.close], [before.close; 4]);
                }
            }
        }
    }

    /// A restart in the middle changes nothing.
    #[test]
    fn a_saved_state_goes_on_as_if_nothing_had_happened(steps in steps(), cut in any::<prop::sample::Index>(), kept_max in 1usize..20) {
        let events = events_of(&steps);
        let config = BarsConfig { kept_max, empty: Empty::Synthetic, ..config(&INTERVALS) };
        let whole = run(config.clone(), &events);
        let (front, back) = events.split_at(cut.index(events.len()));
        let mut line = Line::new(config.clone());
        line.feed(front).restart(config).feed(back).finish();
        prop_assert_eq!(line.bars(), whole.bars());
        prop_assert_eq!(line.processor.save(), whole.processor.save());
    }
}
