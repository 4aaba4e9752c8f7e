//! Blocks in, bars out.
//!
//! Hot path: a trade costs a look-up, a few comparisons and additions; nothing is allocated once every symbol has its bars
//! (`tests/lane_no_alloc.rs` counts). No clock is asked: the lane's clock is the highest receive time of trades, quotes, gaps
//! and status events. Depth does not move it, so that a replay without depth gives the same bars.

use super::config::{BarsConfig, BarsError, TimeBy};
use super::exit::{Counts, Exit, Ledger};
use super::grid::Span;
use super::holes::{Hole, Quality};
use super::plan::Plan;
use super::series::NEVER;
use super::symbol::Symbol;
use crate::flow::{Item, Items, Records};
use feedd_core::Block;
use feedd_model::{
    BarFlags, Epoch, Event, EventBody, EventKind, Flags, Gap, InstrumentId, Seq, SourceId, StreamId, Trade, TradeId,
    UnixNanos,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Makes bars of trades. A value without threads: who owns it hands it the blocks in order.
pub struct Processor {
    pub(super) plan: Plan,
    wanted: Box<dyn Fn(InstrumentId) -> bool + Send>,
    pub(super) symbols: Vec<Symbol>,
    /// Places in `symbols`; `None` for an instrument that is not wanted.
    pub(super) places: FxHashMap<InstrumentId, Option<usize>>,
    pub(super) ledger: Ledger,
    /// When the next bar of any symbol ends.
    next_end: i64,
    /// Some symbol has bars that changed.
    pub(super) has_changed: bool,
    /// The lane was not shown what came after this moment.
    pub(super) blind_since: Option<i64>,
    /// The session last asked for.
    session: Option<Span>,
    /// Where the last block stood.
    place: (StreamId, Epoch, Seq),
}

impl Processor {
    /// Without bars yet. `wanted` is asked once for each instrument, when it first appears.
    ///
    /// # Errors
    /// [`BarsError`] when the intervals cannot be made so.
    pub fn new(config: BarsConfig, wanted: impl Fn(InstrumentId) -> bool + Send + 'static) -> Result<Self, BarsError> {
        Ok(Self {
            plan: Plan::new(config)?,
            wanted: Box::new(wanted),
            symbols: Vec::new(),
            places: FxHashMap::default(),
            ledger: Ledger::new(),
            next_end: NEVER,
            has_changed: false,
            blind_since: None,
            session: None,
            place: (StreamId(0), Epoch(0), Seq(0)),
        })
    }

    /// Makes the bars of a block of raw events. `skipped`: events that the lane was not given before it.
    pub fn block(&mut self, block: &Arc<Block>, skipped: u64, items: &mut dyn Items, records: &mut dyn Records) {
        if skipped > 0 {
            self.ledger.counts.skipped += skipped;
            self.interrupted();
            items.put(Item::Skipped { events: skipped });
        }
        let mut exit = Exit { items, records, block, upto: 0, is_end: false };
        for (place, event) in block.events().iter().enumerate() {
            exit.upto = place;
            match event.kind() {
                EventKind::Trade | EventKind::Quote | EventKind::Gap | EventKind::Status => {
                    self.event(event, &mut exit)
                }
                // Depth, and derived records.
                _ => {}
            }
        }
        self.place = (block.stream(), block.epoch(), block.last_seq());
        exit.records.end();
        if self.plan.block_ends {
            exit.items.put(Item::BlockEnd { block: block.clone() });
        }
    }

    /// What happens between the last event and the next was not recorded, or not shown to the lane: bars in between are
    /// partial. To be called at the start that goes on with a loaded state.
    pub fn interrupted(&mut self) {
        if self.ledger.clock > i64::MIN {
            self.blind_since = self.blind_since.or(Some(self.ledger.clock));
        }
    }

    /// Ends a run: what has changed comes out, then all open bars as they are, truncated. A saved state goes on with them.
    pub fn finish(&mut self, items: &mut dyn Items, records: &mut dyn Records) {
        let (stream, epoch, last) = self.place;
        // The engine's items stand in a block; after the last one there is nothing more to see.
        let block = Arc::new(Block::of(stream, epoch, last.next(), SourceId(0), &[]));
        let mut exit = Exit { items, records, block: &block, upto: 0, is_end: false };
        self.tell_changed(&mut exit);
        exit.is_end = true;
        for symbol in &mut self.symbols {
            symbol.tell_open(&self.plan, &mut self.ledger, &mut exit);
        }
        exit.records.end();
        self.find_next_end();
    }

    /// What was done so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.ledger.counts
    }

    /// Highest receive time seen; `None` before the first.
    #[must_use]
    pub fn clock(&self) -> Option<UnixNanos> {
        (self.ledger.clock > i64::MIN).then_some(UnixNanos(self.ledger.clock))
    }

    /// How whole the data of an instrument are; `None` when it has no bars.
    #[must_use]
    pub fn quality(&self, instrument: InstrumentId) -> Option<Quality<'_>> {
        let place = self.places.get(&instrument).copied().flatten()?;
        Some(self.symbols[place].holes.quality(self.ledger.clock))
    }

    /// Number of the next bar: above all that the data folder holds.
    pub fn number_from(&mut self, number: u64) {
        self.ledger.number = self.ledger.number.max(number);
    }

    #[inline]
    fn event(&mut self, event: &Event, exit: &mut Exit<'_>) {
        // Recordings without receive times go by those of the venue; what has no time at all is of now.
        let recv = event.recv_ts().or_else(|| event.venue_ts()).map_or(self.ledger.clock, |time| time.0);
        if self.has_changed || self.blind_since.is_some() || event.kind() == EventKind::Gap {
            self.before(event, recv, exit);
        }
        if recv > self.ledger.clock {
            self.ledger.clock = recv;
            self.ledger.limit = recv.saturating_sub(self.plan.grace);
            if self.next_end <= self.ledger.limit {
                self.close_due(exit);
            }
        }
        let instrument = event.instrument();
        if instrument == InstrumentId::NONE {
            return;
        }
        let Some(place) = self.places.get(&instrument).copied().unwrap_or_else(|| self.admit(instrument, recv)) else {
            return;
        };
        if let Some(trade) = event.trade() {
            self.trade(place, event, &trade, recv, exit);
        }
    }

    /// Before the event itself, and before bars end: what changed comes out when time passes, and holes are noted.
    #[cold]
    fn before(&mut self, event: &Event, recv: i64, exit: &mut Exit<'_>) {
        if recv > self.ledger.clock {
            self.tell_changed(exit);
        }
        if let Some(since) = self.blind_since.take() {
            let (from, to) = (UnixNanos(since), UnixNanos(recv.max(since)));
            self.hole_everywhere(Hole { from, to, reason: None, ids: None, missing: 0 });
        }
        if let EventBody::Gap(gap) = event.body() {
            self.gap(event.instrument(), &gap, recv);
        }
    }

    fn tell_changed(&mut self, exit: &mut Exit<'_>) {
        if std::mem::take(&mut self.has_changed) {
            for symbol in self.symbols.iter_mut().filter(|symbol| symbol.is_changed) {
                symbol.tell_changed(&self.plan, &mut self.ledger, exit);
            }
        }
    }

    /// Closes what ends by the limit, of all symbols in the order of time.
    #[cold]
    fn close_due(&mut self, exit: &mut Exit<'_>) {
        while self.next_end <= self.ledger.limit {
            let end = self.next_end;
            for symbol in self.symbols.iter_mut().filter(|symbol| symbol.next_end == end) {
                symbol.close_next(&self.plan, &mut self.ledger, exit);
            }
            self.find_next_end();
        }
    }

    pub(super) fn find_next_end(&mut self) {
        self.next_end = self.symbols.iter().map(|symbol| symbol.next_end).min().unwrap_or(NEVER);
    }

    /// A gap of a connection may be anybody's: what is stored does not say whose connection it was.
    #[cold]
    fn gap(&mut self, instrument: InstrumentId, gap: &Gap, now: i64) {
        let plan = &self.plan;
        let is_its = |symbol: &&mut Symbol| instrument == InstrumentId::NONE || symbol.instrument == instrument;
        for symbol in self.symbols.iter_mut().filter(is_its) {
            if let Some(hole) = symbol.holes.of(gap, now) {
                symbol.hole(hole, plan);
                self.has_changed |= symbol.is_changed;
            }
        }
    }

    #[cold]
    fn hole_everywhere(&mut self, hole: Hole) {
        for symbol in &mut self.symbols {
            symbol.hole(hole, &self.plan);
            self.has_changed |= symbol.is_changed;
        }
    }

    #[cold]
    fn admit(&mut self, instrument: InstrumentId, now: i64) -> Option<usize> {
        let place = (self.wanted)(instrument).then_some(self.symbols.len());
        self.places.insert(instrument, place);
        if place.is_some() {
            self.symbols.push(Symbol::new(instrument, now, &self.plan));
        }
        place
    }

    #[inline]
    fn trade(&mut self, place: usize, event: &Event, trade: &Trade, recv: i64, exit: &mut Exit<'_>) {
        self.ledger.counts.trades += 1;
        if recv == i64::MIN {
            self.ledger.counts.untimed += 1;
            return;
        }
        let at = self.time_of(event, recv);
        let mut flags = BarFlags::COMPLETE;
        if let Some(calendar) = &self.plan.calendar
            && !self.session.is_some_and(|session| session.contains(at))
        {
            self.session = calendar.session_at(at);
            if self.session.is_none() {
                self.ledger.counts.outside += 1;
                if !calendar.keeps_outside {
                    return;
                }
                flags = BarFlags::OUTSIDE;
            }
        }
        let symbol = &mut self.symbols[place];
        if event.flags().contains(Flags::BACKFILLED)
            && let TradeId::Number(id) = trade.id
            && let Ok(id) = i64::try_from(id)
        {
            symbol.fetched(id);
        }
        exit.upto += 1;
        symbol.trade(trade, (at, recv), flags, &self.plan, &mut self.ledger, exit);
        exit.upto -= 1;
        self.next_end = self.next_end.min(symbol.next_end);
        self.has_changed |= symbol.is_changed;
    }

    /// The time that says into which bar a trade goes.
    #[inline]
    fn time_of(&self, event: &Event, recv: i64) -> i64 {
        let Some(UnixNanos(venue)) = event.venue_ts() else { return recv };
        let flags = event.flags();
        if flags.contains(Flags::BACKFILLED) || flags.contains(Flags::REPLAYED) {
            // It came long after it was made.
            return venue.min(recv);
        }
        let is_near = || venue.abs_diff(recv) <= self.plan.venue_tolerance.unsigned_abs();
        if self.plan.by == TimeBy::Venue && is_near() { venue } else { recv }
    }
}

impl std::fmt::Debug for Processor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (shape, symbols) = (&self.plan.shape, self.symbols.len());
        f.debug_struct("Processor")
            .field("shape", shape)
            .field("symbols", &symbols)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
