//! The engine's part in paper trading: from wishes to orders, fills and the books' values.

use super::call::{Given, Told};
use super::lane::Engine;
use super::notice::Notice;
use crate::flow::Records;
use crate::paper::{self, Filled, Market, Order};
use crate::strategies::Wanted;
use feedd_model::{Action, Bar, Decimal, Derived, Equity, Fill, InstrumentId, Outcome, Side, Signal, UnixNanos};

impl<R: Records> Engine<R> {
    /// Records what a strategy asks for; with a book it becomes an order.
    pub(super) fn signal(&mut self, at: usize, given: Given, wanted: Wanted) {
        let (instrument, strategy) = self.ids(at);
        self.counters.engine.strategies[self.slots[at].plan].signals.add(1);
        self.numbers.signals += 1;
        let Wanted { action, size, value } = wanted;
        let number = self.numbers.signals;
        let signal = Signal { instrument, strategy, at: given.at, action, size, price: given.price, value, number };
        self.records.put(&Derived::Signal(signal));
        if self.settings.paper.is_none() {
            return;
        }
        let Some(book) = &mut self.slots[at].book else { return };
        let side = match action {
            Action::Buy => Side::Buy,
            Action::Sell => Side::Sell,
        };
        let given_up = book.place(Order { signal: number, at: self.now, side, size });
        self.open_orders += 1;
        if let Some(order) = given_up {
            self.ended(at, &order, &Filled::refused(&order, Outcome::Expired), self.now);
        }
        self.set_next_expiry();
    }

    /// Whether orders of `instrument` meet this kind of market.
    pub(super) fn fills_at(&self, market: Market, instrument: InstrumentId) -> bool {
        let has_quotes = self.markets.get(&instrument).is_some_and(|market| market.has_quotes);
        match (self.settings.paper.map(|paper| paper.fill), market) {
            (Some(paper::Fill::Trade), Market::Trade(_)) | (Some(paper::Fill::QuoteOrTrade), Market::Quote { .. }) => {
                true
            }
            (Some(paper::Fill::QuoteOrTrade), Market::Trade(_)) => !has_quotes,
            _ => false,
        }
    }

    /// Fills what can be filled here.
    pub(super) fn fill(&mut self, at: usize, market: Market, received: UnixNanos) {
        let Some(paper) = self.settings.paper else { return };
        while let Some(book) = &mut self.slots[at].book
            && let Some((order, price)) = book.take_fillable(market)
        {
            let filled = book.settle(&order, price, &paper);
            self.ended(at, &order, &filled, received);
            if filled.outcome == Outcome::Filled {
                self.value(at, price, received);
            }
        }
        self.set_next_expiry();
    }

    /// Gives up the orders that have waited too long.
    pub(super) fn expire(&mut self) {
        let Some(paper) = self.settings.paper else { return };
        let now = self.now;
        self.give_up(|order_at| now.0.saturating_sub(order_at.0) >= paper.order_life_ns);
    }

    /// Gives up every open order: the run is over and nothing will fill them. Not before a restart that is to go on.
    pub fn finish(&mut self) {
        self.give_up(|_| true);
        self.work();
    }

    fn give_up(&mut self, is_over: impl Fn(UnixNanos) -> bool) {
        for at in 0..self.slots.len() {
            while let Some(book) = &mut self.slots[at].book
                && book.oldest().is_some_and(&is_over)
                && let Some(order) = book.take_oldest()
            {
                self.ended(at, &order, &Filled::refused(&order, Outcome::Expired), self.now);
            }
        }
        self.set_next_expiry();
    }

    pub(super) fn set_next_expiry(&mut self) {
        let life = self.settings.paper.map_or(i64::MAX, |paper| paper.order_life_ns);
        let oldest = if self.open_orders == 0 {
            None
        } else {
            self.slots.iter().filter_map(|slot| slot.book.as_ref()?.oldest()).min()
        };
        self.next_expiry = oldest.map_or(UnixNanos(i64::MAX), |at| UnixNanos(at.0.saturating_add(life)));
    }

    /// Records the end of an order and tells the strategy.
    fn ended(&mut self, at: usize, order: &Order, filled: &Filled, received: UnixNanos) {
        let (instrument, strategy) = self.ids(at);
        self.open_orders -= 1;
        self.figures.fills += 1;
        self.numbers.fills += 1;
        let Some(book) = &self.slots[at].book else { return };
        let fill = Fill {
            instrument,
            strategy,
            signal: order.signal,
            at: received,
            ordered_at: order.at,
            side: order.side,
            outcome: filled.outcome,
            price: filled.price,
            size: filled.size,
            position: book.position,
            fee: filled.fee,
            realised: filled.realised,
            cash: book.cash,
            cost: book.cost,
            number: self.numbers.fills,
        };
        self.records.put(&Derived::Fill(fill));
        if !self.slots[at].is_stopped {
            self.pending.push_back((at, Told::Fill(fill), None));
        }
    }

    /// A row of the book's value at the end of a bar, when the last such row is old enough.
    pub(super) fn value_at_bar(&mut self, at: usize, bar: &Bar) {
        let Some(paper) = self.settings.paper else { return };
        let slot = &mut self.slots[at];
        let is_due = slot.valued_at.is_none_or(|last| bar.end.0.saturating_sub(last.0) >= paper.equity_every_ns);
        if is_due {
            slot.valued_at = Some(bar.end);
            self.value(at, bar.close, bar.end);
        }
    }

    /// A row of the book's value.
    fn value(&mut self, at: usize, price: Decimal, when: UnixNanos) {
        let (instrument, strategy) = self.ids(at);
        let Some(book) = &self.slots[at].book else { return };
        let Some((equity, unrealised)) = book.value(price) else {
            self.figures.unvalued += 1;
            if !std::mem::replace(&mut self.slots[at].is_unvalued_told, true) {
                let who = self.who(at);
                self.notices.push(Notice::Unvalued { who });
            }
            return;
        };
        self.numbers.equity += 1;
        let equity = Equity {
            instrument,
            strategy,
            at: when,
            price,
            position: book.position,
            cash: book.cash,
            equity,
            realised: book.realised,
            unrealised,
            number: self.numbers.equity,
        };
        self.records.put(&Derived::Equity(equity));
    }

    fn ids(&self, at: usize) -> (InstrumentId, InstrumentId) {
        let slot = &self.slots[at];
        (slot.instrument, self.plans[slot.plan].id)
    }
}
