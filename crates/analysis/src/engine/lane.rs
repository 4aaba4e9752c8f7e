//! The engine on one thread: walks items, hands out calls, takes back what strategies ask for.

use super::call::{Call, Done, Given, Told};
use super::guard::Guard;
use super::slot::Slot;
use super::{EngineError, Figures, Notice, OVERLONG_ROW, Overlong, Plan, Settings};
use crate::flow::{Item, Records};
use crate::paper::Book;
use feedd_core::counters::AnalysisCounters;
use feedd_core::{Block, Clock, Instruments, Seq};
use feedd_model::{Bar, Decimal, Epoch, Event, EventKind, InstrumentId, Interval, MonoNanos, StreamId, UnixNanos};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// What is known of one instrument.
#[derive(Clone, Debug)]
pub(super) struct Market {
    /// Its slots, in the order of the plans.
    pub(super) slots: Vec<usize>,
    /// Of the last bar or trade.
    pub(super) price: Option<Decimal>,
    pub(super) priced_at: UnixNanos,
    /// Whether a quote of it has been seen.
    pub(super) has_quotes: bool,
}

/// What is to be done next.
#[allow(clippy::large_enum_variant, reason = "moved once, and a box would be an allocation for each call")]
pub enum Step {
    /// A call: to be run, and handed to [`Engine::done`].
    Call(Call),
    /// Nothing: the item is finished.
    Idle,
}

/// The item that is being walked.
struct Current {
    block: Option<Arc<Block>>,
    upto: usize,
    bar: Option<Bar>,
}

/// Runs the strategies of one lane. `R` takes the records it makes.
///
/// Either give it whole items ([`Engine::item`]), or do its steps: [`Engine::begin`] an item, then [`Engine::step`] until it
/// is idle, each call run and handed back by [`Engine::done`].
pub struct Engine<R> {
    pub(super) settings: Settings,
    pub(super) plans: Vec<Plan>,
    pub(super) slots: Vec<Slot>,
    pub(super) markets: FxHashMap<InstrumentId, Market>,
    pub(super) records: R,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) counters: Arc<AnalysisCounters>,
    pub(super) dictionary: Instruments,
    /// The lane's clock: the highest time of a bar or a walked event.
    pub(super) now: UnixNanos,
    pub(super) pending: VecDeque<(usize, Told, Option<Given>)>,
    pub(super) notices: Vec<Notice>,
    pub(super) figures: Figures,
    /// Numbers of the last records.
    pub(super) numbers: Numbers,
    /// Open orders in all books.
    pub(super) open_orders: usize,
    /// When the oldest of them expires.
    pub(super) next_expiry: UnixNanos,
    /// Instruments with books of which no quote has been seen, while that matters.
    pub(super) unquoted: usize,
    /// Saved slots whose strategy or symbol is not configured; kept for the next save.
    pub(super) strangers: Vec<super::save::Saved>,
    pub(super) looks_at_events: bool,
    pub(super) guard: Option<Guard>,
    pub(super) left_out_before: u64,
    current: Option<Current>,
    cycle_since: Option<MonoNanos>,
    block: Option<(StreamId, Epoch, Seq)>,
    cursor: usize,
}

/// Dense numbers of the records, of the last one each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) signals: u64,
    pub(super) fills: u64,
    pub(super) equity: u64,
}

impl<R: Records> Engine<R> {
    /// An engine for `plans`. `dictionary` gives instruments their names in notices, `clock` measures calls, `counters`
    /// have one set for each plan, in their order.
    ///
    /// # Errors
    /// [`EngineError`] when two plans have one name, or a book's cash is out of range.
    ///
    /// # Panics
    /// When `counters` were made for other strategies.
    pub fn new(
        settings: Settings,
        plans: Vec<Plan>,
        records: R,
        dictionary: Instruments,
        clock: Arc<dyn Clock>,
        counters: Arc<AnalysisCounters>,
    ) -> Result<Self, EngineError> {
        assert_eq!(counters.engine.strategies.len(), plans.len(), "one set of counters for each strategy");
        for (at, plan) in plans.iter().enumerate() {
            let name = plan.blueprint.name();
            if plans[..at].iter().any(|before| before.blueprint.name() == name) {
                return Err(EngineError::TwoOfOneName { name: name.to_owned() });
            }
        }
        if let Some(paper) = settings.paper
            && Book::new(paper.cash).is_none()
        {
            return Err(EngineError::TooMuchCash { cash: paper.cash });
        }
        let subscriptions: Vec<_> = plans.iter().map(|plan| plan.blueprint.subscription()).collect();
        let intervals = subscriptions.iter().flat_map(|subscription| subscription.intervals.iter().copied());
        Ok(Self {
            settings,
            guard: settings.lag.map(|lag| Guard::new(lag, intervals)),
            looks_at_events: subscriptions.iter().any(|subscription| subscription.trades || subscription.quotes),
            plans,
            slots: Vec::new(),
            markets: FxHashMap::default(),
            records,
            clock,
            counters,
            dictionary,
            now: UnixNanos(0),
            pending: VecDeque::new(),
            notices: Vec::new(),
            figures: Figures::default(),
            numbers: Numbers::default(),
            open_orders: 0,
            next_expiry: UnixNanos(i64::MAX),
            unquoted: 0,
            strangers: Vec::new(),
            left_out_before: 0,
            current: None,
            cycle_since: None,
            block: None,
            cursor: 0,
        })
    }

    /// The bars that strategies want to see, each interval once: what the processor has to build.
    #[must_use]
    pub fn intervals(&self) -> Vec<Interval> {
        let mut all: Vec<_> = self.plans.iter().flat_map(|plan| plan.blueprint.subscription().intervals).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether it looks at single events, so that the processor must send [`Item::BlockEnd`] as well.
    #[must_use]
    pub fn needs_block_ends(&self) -> bool {
        self.looks_at_events || self.settings.paper.is_some()
    }

    /// Counts of the whole, since it was made.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Whether an item or a call is not finished.
    pub(super) fn is_busy(&self) -> bool {
        self.current.is_some() || !self.pending.is_empty()
    }

    /// Numbers of its records go on above `last`.
    pub fn numbers_from(&mut self, last: u64) {
        let Numbers { signals, fills, equity } = &mut self.numbers;
        for number in [signals, fills, equity] {
            *number = (*number).max(last);
        }
    }

    /// What there is to tell, once.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Where its records go.
    pub fn records(&mut self) -> &mut R {
        &mut self.records
    }

    /// Does all the work of one item on this thread.
    pub fn item(&mut self, item: Item) {
        self.begin(item);
        self.work();
    }

    /// Makes all calls that are due.
    pub(super) fn work(&mut self) {
        while let Step::Call(call) = self.step() {
            self.done(call.run());
        }
    }

    /// Takes the next item; the one before must be finished.
    pub fn begin(&mut self, item: Item) {
        debug_assert!(self.current.is_none(), "one item at a time");
        self.current = match item {
            Item::Bar { bar, block, upto } => {
                let upto = usize::try_from(upto).unwrap_or(usize::MAX).min(block.events().len());
                Some(Current { upto, bar: Some(bar), block: Some(block) })
            }
            Item::BlockEnd { block } => Some(Current { upto: block.events().len(), bar: None, block: Some(block) }),
            Item::Skipped { .. } => {
                self.skipped();
                None
            }
        };
        if self.current.as_ref().is_some_and(|current| current.bar.is_some()) {
            self.cycle_since = Some(self.clock.mono());
        }
        if let Some(block) = self.current.as_ref().and_then(|current| current.block.as_ref()) {
            let key = Some((block.stream(), block.epoch(), block.first_seq()));
            if self.block != key {
                (self.block, self.cursor) = (key, 0);
            }
        }
    }

    /// Goes on until a strategy is to be called, or the item is finished.
    pub fn step(&mut self) -> Step {
        loop {
            while let Some((slot, told, given)) = self.pending.pop_front() {
                if let Some(runner) = self.slots[slot].runner.take() {
                    let since = self.clock.mono();
                    self.note_running(slot, since);
                    return Step::Call(Call { slot, runner, told, given, since });
                }
            }
            let Some(current) = self.current.take() else {
                if let Some(since) = self.cycle_since.take() {
                    let engine = &self.counters.engine;
                    engine.cycles.add(1);
                    engine.cycle_ns.record(self.clock.mono().since(since));
                }
                self.records.end();
                return Step::Idle;
            };
            self.advance(current);
        }
    }

    /// Tells whoever watches which call runs.
    fn note_running(&self, slot: usize, since: MonoNanos) {
        let Slot { plan, instrument, .. } = &self.slots[slot];
        let counters = &self.counters.engine.strategies[*plan];
        counters.running_instrument.set(u64::from(instrument.0));
        // 0 means that none runs.
        counters.running_since.set(since.0.max(1));
    }

    /// Takes back a call, and what the strategy asked for.
    pub fn done(&mut self, done: Done) {
        let Done { slot: at, runner, given, since } = done;
        let took_ns = self.clock.mono().since(since);
        let counters = &self.counters.engine.strategies[self.slots[at].plan];
        counters.running_since.set(0);
        counters.calls.add(1);
        counters.call_ns.record(took_ns);
        let mut runner = match runner {
            Ok(runner) => runner,
            Err(message) => {
                counters.panics.add(1);
                self.stop(at, |who| Notice::Panicked { who, message });
                return;
            }
        };
        let slot = &mut self.slots[at];
        if let Some(given) = given
            && slot.is_warm()
        {
            for wanted in runner.orders.drain() {
                self.signal(at, given, wanted);
            }
        } else {
            runner.orders.drain();
        }
        self.slots[at].runner = Some(runner);
        self.judge_time(at, took_ns);
    }

    fn judge_time(&mut self, at: usize, took_ns: u64) {
        let slot = &mut self.slots[at];
        if took_ns <= self.settings.call_ns_max {
            slot.overlong_row = 0;
            return;
        }
        self.counters.engine.strategies[slot.plan].overlong.add(1);
        slot.overlong += 1;
        slot.overlong_row += 1;
        let (row, total) = (slot.overlong_row, slot.overlong);
        if row == OVERLONG_ROW && self.settings.overlong == Overlong::Suspend {
            self.stop(at, |who| Notice::TooSlow { who, row });
        } else if row == OVERLONG_ROW || total.ilog10() > (total - 1).max(1).ilog10() || total == 1 {
            // The first, each tenfold, and each time they come in a row.
            let who = self.who(at);
            self.notices.push(Notice::Overlong { who, took_ns, row, total });
        }
    }

    /// Leaves the call of `slot` behind: it has run for `ran_ns` and not returned.
    pub(super) fn abandon(&mut self, slot: usize, ran_ns: u64) {
        self.figures.hangs += 1;
        self.counters.engine.strategies[self.slots[slot].plan].running_since.set(0);
        self.stop(slot, |who| Notice::Hung { who, ran_ns });
    }

    fn stop(&mut self, at: usize, notice: impl FnOnce(String) -> Notice) {
        let slot = &mut self.slots[at];
        slot.is_stopped = true;
        slot.runner = None;
        self.counters.engine.strategies[slot.plan].suspended.add(1);
        let notice = notice(self.who(at));
        self.notices.push(notice);
    }

    /// Strategy and symbol, as notices show them.
    pub(super) fn who(&self, at: usize) -> String {
        let Slot { plan, instrument, .. } = &self.slots[at];
        self.named(self.plans[*plan].blueprint.name(), *instrument)
    }

    pub(super) fn named(&self, strategy: &str, instrument: InstrumentId) -> String {
        match self.dictionary.get(instrument) {
            Some(entry) => format!("{strategy} on {} {}", entry.venue, entry.symbol),
            None => format!("{strategy} on instrument {}", instrument.0),
        }
    }

    /// Walks events up to the next call, or to the end of the item.
    fn advance(&mut self, current: Current) {
        if let Some(block) = &current.block {
            let from = self.cursor.min(current.upto);
            let walked = self.walk(&block.events()[from..current.upto]);
            self.cursor = from + walked;
            if !self.pending.is_empty() {
                self.current = Some(current);
                return;
            }
        }
        if let Some(bar) = &current.bar {
            self.bar(bar);
        }
    }

    /// Looks at events until one gives a call; how many it looked at.
    fn walk(&mut self, events: &[Event]) -> usize {
        for (at, event) in events.iter().enumerate() {
            // Asked before each one, so that where blocks end makes no difference.
            if !self.looks_at_events && self.open_orders == 0 && self.unquoted == 0 {
                return events.len();
            }
            if let Some(received) = event.recv_ts() {
                self.now = self.now.max(received);
            }
            if self.now >= self.next_expiry {
                self.expire();
            }
            if matches!(event.kind(), EventKind::Trade | EventKind::Quote) {
                self.market_event(event);
            }
            if !self.pending.is_empty() {
                return at + 1;
            }
        }
        events.len()
    }
}
