//! The engine as its users see it: items in, records out.

mod isolation;
mod market;
mod replay;
mod seen;
mod walk;

use super::{Engine, Plan, Settings};
use crate::flow::Item;
use crate::strategies::{Blueprint, Orders, Strategy, Subscription};
use feedd_core::counters::AnalysisCounters;
use feedd_core::{Block, Clock, Instruments, ManualClock};
use feedd_model::{Bar, Derived, Fill, InstrumentId, Interval, UnixNanos};
use std::sync::{Arc, Mutex};

pub(super) const MINUTE: Interval = Interval::Seconds(60);
/// The first instrument: `sim TEST`.
pub(super) const TEST: InstrumentId = InstrumentId(1);
/// The second one: `sim OTHER`.
pub(super) const OTHER: InstrumentId = InstrumentId(2);

/// What a strategy was shown, as text.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// What it does at a bar.
pub(super) type Act = fn(&Bar, &mut Orders);

/// A strategy that does what the test says and writes down what it sees.
pub(super) struct Script {
    pub(super) subscription: Subscription,
    pub(super) log: Log,
    pub(super) act: Act,
}

impl Script {
    fn note(&self, text: String) {
        self.log.lock().unwrap().push(text);
    }
}

impl Strategy for Script {
    fn subscription(&self) -> Subscription {
        self.subscription.clone()
    }

    fn on_added(&mut self, instrument: InstrumentId) {
        self.note(format!("added {}", instrument.0));
    }

    fn reset(&mut self) {
        self.note("reset".to_owned());
    }

    fn on_bar(&mut self, bar: &Bar, orders: &mut Orders) {
        self.note(format!("bar {} {}", bar.end.0 / 1_000_000_000, bar.close));
        (self.act)(bar, orders);
    }

    fn on_trade(&mut self, _: UnixNanos, trade: &feedd_model::Trade, _: &mut Orders) {
        self.note(format!("trade {}", trade.price));
    }

    fn on_quote(&mut self, _: UnixNanos, quote: &feedd_model::Quote, orders: &mut Orders) {
        self.note("quote".to_owned());
        if quote.bid_size.is_some() {
            orders.buy(f64::NAN);
        }
    }

    fn on_fill(&mut self, fill: &Fill) {
        self.note(format!("fill {} {}", fill.signal, fill.outcome.name()));
    }

    fn on_quality(&mut self, quality_bp: u16) {
        self.note(format!("quality {quality_bp}"));
    }
}

/// Bars of a minute.
pub(super) fn on_minutes() -> Subscription {
    Subscription { intervals: vec![MINUTE], ..Subscription::default() }
}

/// A plan for every instrument; the dictionary id is a hundred and its place.
pub(super) fn plan(place: u32, name: &str, make: impl Fn() -> Box<dyn Strategy> + Send + Sync + 'static) -> Plan {
    let blueprint = Blueprint::new(name.to_owned(), make);
    Plan { blueprint, id: InstrumentId(100 + place), wants: Box::new(|_| true) }
}

/// A script and what it sees.
pub(super) fn script(place: u32, name: &str, subscription: Subscription, act: Act) -> (Plan, Log) {
    let log = Log::default();
    let its = log.clone();
    let make =
        move || Box::new(Script { subscription: subscription.clone(), log: its.clone(), act }) as Box<dyn Strategy>;
    (plan(place, name, make), log)
}

/// One of the table.
pub(super) fn built_in(place: u32, kind: &str, parameters: &[(&str, &str)]) -> Plan {
    let given: Vec<_> = parameters.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    let blueprint = Blueprint::read(kind, MINUTE, &given).unwrap();
    Plan { blueprint, id: InstrumentId(100 + place), wants: Box::new(|_| true) }
}

pub(super) fn engine(settings: Settings, plans: Vec<Plan>) -> Engine<Vec<Derived>> {
    engine_with(settings, plans, Arc::new(ManualClock::at(UnixNanos(0)))).0
}

pub(super) fn engine_with(
    settings: Settings,
    plans: Vec<Plan>,
    clock: Arc<dyn Clock>,
) -> (Engine<Vec<Derived>>, Arc<AnalysisCounters>) {
    let dictionary = Instruments::in_memory();
    dictionary.resolve("sim", "TEST").unwrap();
    dictionary.resolve("sim", "OTHER").unwrap();
    let names: Vec<_> = plans.iter().map(|plan| plan.blueprint.name().to_owned()).collect();
    let counters = Arc::new(AnalysisCounters::new(&names));
    let engine = Engine::new(settings, plans, Vec::new(), dictionary, clock, counters.clone()).unwrap();
    (engine, counters)
}

/// Items that bring these bars, without events.
pub(super) fn bars(all: &[Bar]) -> Vec<Item> {
    let block = |at: usize| {
        let seq = feedd_core::Seq(u64::try_from(at).unwrap() + 1);
        Arc::new(Block::of(feedd_core::StreamId(1), feedd_core::Epoch(1), seq, feedd_core::SourceId(0), &[]))
    };
    all.iter().enumerate().map(|(at, &bar)| Item::Bar { bar, block: block(at), upto: 0 }).collect()
}

pub(super) fn seen(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}
