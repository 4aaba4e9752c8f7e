//! Events and derived records with every field by its name: in quarantine files and listings.

use feedd_model::{
    Bar, BookAction, Decimal, Derived, Event, EventBody, EventHead, EventKind, Flags, InstrumentId, Side, TradeId,
    UnixNanos, VenueSeq,
};
use serde_json::Value;

/// Every field of an event, or of the derived record whose slots `events` are, by its name: as the lines of a quarantine show
/// it under `event`.
///
/// # Errors
/// When JSON cannot hold it, which no value of these types causes.
pub fn event_fields(events: &[Event]) -> serde_json::Result<Value> {
    serde_json::to_value(Shown::of(events))
}

/// Of no event.
const NO_HEAD: EventHead =
    EventHead { instrument: InstrumentId::NONE, venue_ts: None, recv_ts: None, flags: Flags::NONE };

/// An event with every field by its name, as the datasets name their columns. Decimals are exact texts, as printed by the
/// venue; times are nanoseconds since 1970; what is absent is null.
#[derive(serde::Serialize)]
pub(crate) struct Shown {
    instrument: u32,
    venue_ts: Option<i64>,
    recv_ts: Option<i64>,
    flags: Vec<&'static str>,
    #[serde(flatten)]
    body: ShownBody,
}

#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum ShownBody {
    Trade {
        price: String,
        size: String,
        side: Option<&'static str>,
        trade_id: Option<String>,
    },
    Quote {
        bid: Option<String>,
        bid_size: Option<String>,
        ask: Option<String>,
        ask_size: Option<String>,
        venue_seq: Option<i64>,
    },
    Book {
        action: &'static str,
        seq_first: Option<i64>,
        seq_last: Option<i64>,
        seq_prev: Option<i64>,
        checksum: Option<u32>,
        bids: u32,
        asks: u32,
    },
    Level {
        action: &'static str,
        side: &'static str,
        price: String,
        size: String,
        venue_seq: Option<i64>,
        level: u32,
    },
    Gap {
        reason: &'static str,
        first_missing: Option<i64>,
        last_missing: Option<i64>,
        from_ts: Option<i64>,
        to_ts: Option<i64>,
        events: Option<u64>,
    },
    Status {
        code: &'static str,
        detail: u64,
    },
    /// A part of a derived record without the others; what is in it is told by the bytes alone.
    Slot {
        record: Option<&'static str>,
        part: usize,
    },
    Bar {
        interval: String,
        start_ts: i64,
        end_ts: i64,
        closed_ts: i64,
        open: String,
        high: String,
        low: String,
        close: String,
        volume: String,
        buy_volume: String,
        notional: String,
        trades: u32,
        bar_flags: u8,
        state: String,
        revision: u16,
        quality_bp: u16,
        number: u64,
    },
    Signal {
        strategy: u32,
        at_ts: i64,
        action: &'static str,
        size: Option<String>,
        price: String,
        /// A text: JSON has no place for NaN, and not every reader keeps the last digit of a float.
        value: String,
        number: u64,
    },
    Fill {
        strategy: u32,
        signal: u64,
        at_ts: i64,
        ordered_ts: i64,
        side: &'static str,
        outcome: &'static str,
        price: String,
        size: String,
        position: String,
        fee: String,
        realised: String,
        cash: String,
        cost: String,
        number: u64,
    },
    Equity {
        strategy: u32,
        at_ts: i64,
        price: String,
        position: String,
        cash: String,
        equity: String,
        realised: String,
        unrealised: String,
        number: u64,
    },
    /// Of no event.
    Nothing,
}

impl Shown {
    /// One event, or the slots of one record.
    pub(crate) fn of(events: &[Event]) -> Self {
        let head = events.first().map_or(NO_HEAD, Event::head);
        let flags = Flags::NAMES.iter().enumerate();
        Self {
            instrument: head.instrument.0,
            venue_ts: nanos(head.venue_ts),
            recv_ts: nanos(head.recv_ts),
            flags: flags.filter(|(bit, _)| head.flags.bits() >> bit & 1 == 1).map(|(_, &name)| name).collect(),
            body: match (Derived::from_events(events), events) {
                (Ok(record), _) => ShownBody::of_record(&record),
                (Err(_), [event, ..]) => ShownBody::of(event.body()),
                (Err(_), []) => ShownBody::Nothing,
            },
        }
    }
}

impl ShownBody {
    fn of(body: EventBody) -> Self {
        match body {
            EventBody::Trade(trade) => Self::Trade {
                price: trade.price.to_string(),
                size: trade.size.to_string(),
                side: trade.side.map(side),
                trade_id: (trade.id != TradeId::None).then(|| trade.id.to_string()),
            },
            EventBody::Quote(quote) => Self::Quote {
                bid: text(quote.bid),
                bid_size: text(quote.bid_size),
                ask: text(quote.ask),
                ask_size: text(quote.ask_size),
                venue_seq: number(quote.venue_seq),
            },
            EventBody::Book(book) => Self::Book {
                action: action(book.action),
                seq_first: number(book.seq_first),
                seq_last: number(book.seq_last),
                seq_prev: number(book.seq_prev),
                checksum: book.checksum,
                bids: book.bids,
                asks: book.asks,
            },
            EventBody::Level(level) => Self::Level {
                action: action(level.action),
                side: if level.side == Side::Buy { "bid" } else { "ask" },
                price: level.price.to_string(),
                size: level.size.to_string(),
                venue_seq: number(level.venue_seq),
                level: level.index,
            },
            EventBody::Gap(gap) => Self::Gap {
                reason: gap.reason.name(),
                first_missing: number(gap.first_missing),
                last_missing: number(gap.last_missing),
                from_ts: nanos(gap.from_ts),
                to_ts: nanos(gap.to_ts),
                events: gap.events,
            },
            EventBody::Status(status) => Self::Status { code: status.code.name(), detail: status.detail },
            EventBody::Slot(slot) => Self::Slot { record: slot.record().map(EventKind::name), part: slot.part() },
        }
    }

    fn of_record(record: &Derived) -> Self {
        match record {
            Derived::Bar(bar) => Self::of_bar(bar),
            Derived::Signal(signal) => Self::Signal {
                strategy: signal.strategy.0,
                at_ts: signal.at.0,
                action: signal.action.name(),
                size: text(signal.size),
                price: signal.price.to_string(),
                value: format!("{:?}", signal.value),
                number: signal.number,
            },
            Derived::Fill(fill) => Self::Fill {
                strategy: fill.strategy.0,
                signal: fill.signal,
                at_ts: fill.at.0,
                ordered_ts: fill.ordered_at.0,
                side: side(fill.side),
                outcome: fill.outcome.name(),
                price: fill.price.to_string(),
                size: fill.size.to_string(),
                position: fill.position.to_string(),
                fee: fill.fee.to_string(),
                realised: fill.realised.to_string(),
                cash: fill.cash.to_string(),
                cost: fill.cost.to_string(),
                number: fill.number,
            },
            Derived::Equity(equity) => Self::Equity {
                strategy: equity.strategy.0,
                at_ts: equity.at.0,
                price: equity.price.to_string(),
                position: equity.position.to_string(),
                cash: equity.cash.to_string(),
                equity: equity.equity.to_string(),
                realised: equity.realised.to_string(),
                unrealised: equity.unrealised.to_string(),
                number: equity.number,
            },
        }
    }

    fn of_bar(bar: &Bar) -> Self {
        Self::Bar {
            interval: bar.interval.to_string(),
            start_ts: bar.start.0,
            end_ts: bar.end.0,
            closed_ts: bar.closed_at.0,
            open: bar.open.to_string(),
            high: bar.high.to_string(),
            low: bar.low.to_string(),
            close: bar.close.to_string(),
            volume: bar.volume.to_string(),
            buy_volume: bar.buy_volume.to_string(),
            notional: bar.notional.to_string(),
            trades: bar.trades,
            bar_flags: bar.flags.bits(),
            state: bar.flags.to_string(),
            revision: bar.revision,
            quality_bp: bar.quality_bp,
            number: bar.number,
        }
    }
}

fn text(value: Option<Decimal>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn side(side: Side) -> &'static str {
    if side == Side::Buy { "buy" } else { "sell" }
}

fn number(seq: Option<VenueSeq>) -> Option<i64> {
    seq.map(|seq| seq.0)
}

fn nanos(time: Option<UnixNanos>) -> Option<i64> {
    time.map(|time| time.0)
}

fn action(action: BookAction) -> &'static str {
    match action {
        BookAction::Snapshot => "snapshot",
        BookAction::Delta => "delta",
    }
}
