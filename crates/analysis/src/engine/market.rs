//! What comes by: trades and quotes for orders and for those who look at them, bars for strategies and books.

use super::call::{Given, Told};
use super::guard::Guard;
use super::lane::{Engine, Market};
use super::notice::Notice;
use super::slot::Slot;
use crate::flow::Records;
use crate::paper::{self, Book};
use feedd_model::{Bar, Decimal, Event, EventBody, Flags, InstrumentId, UnixNanos};

impl<R: Records> Engine<R> {
    pub(super) fn market_event(&mut self, event: &Event) {
        // What was sent again or fetched later is no market that an order could meet.
        if event.flags().contains(Flags::REPLAYED) || event.flags().contains(Flags::BACKFILLED) {
            return;
        }
        if !self.markets.contains_key(&event.instrument()) {
            if !self.looks_at_events {
                return;
            }
            self.meet(event.instrument());
        }
        let at = event.recv_ts().unwrap_or(self.now);
        let Some(market) = self.markets.get_mut(&event.instrument()) else { return };
        let body = event.body();
        let offer = match &body {
            EventBody::Trade(trade) => {
                (market.price, market.priced_at) = (Some(trade.price), at);
                paper::Market::Trade(trade.price)
            }
            EventBody::Quote(quote) => {
                if !market.has_quotes {
                    market.has_quotes = true;
                    self.unquoted = self.unquoted.saturating_sub(usize::from(!market.slots.is_empty()));
                }
                let [bid, ask] = [quote.bid, quote.ask].map(|price| price.filter(|price| price.is_positive()));
                paper::Market::Quote { bid, ask }
            }
            _ => return,
        };
        let price = market.price;
        let is_filling = self.open_orders > 0 && self.fills_at(offer, event.instrument());
        let is_shown = self.looks_at_events && !self.is_behind();
        if !is_filling && !is_shown {
            return;
        }
        // Taken out for the loops, so that the engine is free: nobody meets this instrument meanwhile.
        let slots = self.markets.get_mut(&event.instrument()).map(|market| std::mem::take(&mut market.slots));
        let slots = slots.unwrap_or_default();
        if is_filling {
            for &slot in &slots {
                self.fill(slot, offer, at);
            }
        }
        if is_shown {
            self.show_event(&slots, &body, at, price);
        }
        if let Some(market) = self.markets.get_mut(&event.instrument()) {
            market.slots = slots;
        }
    }

    fn show_event(&mut self, slots: &[usize], body: &EventBody, at: UnixNanos, price: Option<Decimal>) {
        for &slot in slots {
            let subscription = &self.slots[slot].subscription;
            let told = match body {
                EventBody::Trade(trade) if subscription.trades => Told::Trade(at, *trade),
                EventBody::Quote(quote) if subscription.quotes => Told::Quote(at, *quote),
                _ => continue,
            };
            let shown = match body {
                EventBody::Quote(quote) => price.or(quote.bid).or(quote.ask),
                _ => price,
            };
            self.pending.push_back((slot, told, Some(Given { at, price: shown.unwrap_or(Decimal::ZERO) })));
        }
    }

    pub(super) fn bar(&mut self, bar: &Bar) {
        self.now = self.now.max(bar.closed_at);
        self.look_at_lag(bar);
        if self.now >= self.next_expiry {
            self.expire();
        }
        self.meet(bar.instrument);
        let is_behind = self.is_behind();
        let Some(market) = self.markets.get_mut(&bar.instrument) else { return };
        if bar.revision == 0 && bar.end >= market.priced_at {
            (market.price, market.priced_at) = (Some(bar.close), bar.end);
        }
        // Taken out for the loop, so that the engine is free: nobody meets this instrument meanwhile.
        let slots = std::mem::take(&mut market.slots);
        for &at in &slots {
            if bar.revision == 0 {
                self.value_at_bar(at, bar);
            }
            let slot = &mut self.slots[at];
            let is_called = !is_behind && !slot.is_stopped;
            if !slot.shows(bar, is_called) {
                continue;
            }
            if !is_called {
                self.figures.bars_left_out += u64::from(is_behind);
                continue;
            }
            if slot.quality_bp != bar.quality_bp {
                slot.quality_bp = bar.quality_bp;
                self.pending.push_back((at, Told::Quality(bar.quality_bp), None));
            }
            let given = Given { at: bar.end, price: bar.close };
            self.pending.push_back((at, Told::Bar(*bar), Some(given)));
        }
        if let Some(market) = self.markets.get_mut(&bar.instrument) {
            market.slots = slots;
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.guard.as_ref().is_some_and(Guard::is_behind)
    }

    fn look_at_lag(&mut self, bar: &Bar) {
        let Some(guard) = &mut self.guard else { return };
        let Some(lag_ns) = guard.look(self.clock.wall(), bar.closed_at) else { return };
        if guard.is_behind() {
            self.figures.suspensions += 1;
            self.left_out_before = self.figures.bars_left_out;
            self.notices.push(Notice::Behind { lag_ns });
            return;
        }
        let bars = self.figures.bars_left_out - self.left_out_before;
        self.notices.push(Notice::CaughtUp { bars });
        // What they were not shown is shown to them now, but too late to act on.
        (0..self.slots.len()).for_each(|slot| self.show_again(slot));
    }

    /// Lets the strategy begin again with what is kept.
    pub(super) fn show_again(&mut self, slot: usize) {
        let bars = self.slots[slot].again();
        self.pending.push_back((slot, Told::Reset, None));
        if !bars.is_empty() {
            self.pending.push_back((slot, Told::Again(bars), None));
        }
    }

    /// The lane was not given some events.
    pub(super) fn skipped(&mut self) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            slot.forget();
            self.pending.push_back((at, Told::Reset, None));
        }
    }

    /// Makes the slots of an instrument when it comes for the first time.
    pub(super) fn meet(&mut self, instrument: InstrumentId) {
        if self.markets.contains_key(&instrument) {
            return;
        }
        let first = self.slots.len();
        for (at, plan) in self.plans.iter().enumerate() {
            if (plan.wants)(instrument) {
                let book = self.settings.paper.and_then(|paper| Book::new(paper.cash));
                self.slots.push(Slot::new(at, instrument, plan.blueprint.make(), book));
            }
        }
        let slots: Vec<usize> = (first..self.slots.len()).collect();
        for &slot in &slots {
            self.pending.push_back((slot, Told::Added(instrument), None));
        }
        let by_quotes = self.settings.paper.is_some_and(|paper| paper.fill == paper::Fill::QuoteOrTrade);
        self.unquoted += usize::from(by_quotes && !slots.is_empty());
        let market = Market { slots, price: None, priced_at: UnixNanos(i64::MIN), has_quotes: false };
        self.markets.insert(instrument, market);
    }
}
