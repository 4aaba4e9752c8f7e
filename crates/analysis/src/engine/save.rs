//! The engine's state as bytes: books, open orders, numbers, and the bars that strategies are warmed up with again.

use super::bytes::{Reader, Writer};
use super::lane::{Engine, Numbers};
use super::notice::Notice;
use super::slot::Shown;
use crate::flow::Records;
use crate::paper::Book;
use feedd_model::{Bar, InstrumentId, UnixNanos};

/// Version of the form.
const VERSION: u8 = 1;

/// Why a saved state was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Another version wrote it.
    #[error(
        "the state of the strategies has version {found}, this program reads {VERSION}; start without it, or with the program that wrote it"
    )]
    Version {
        /// What it says.
        found: u8,
    },
    /// Not what this program writes.
    #[error("the state of the strategies is damaged; start without it: books begin anew")]
    Damaged,
}

/// One slot as saved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Saved {
    strategy: String,
    instrument: InstrumentId,
    quality_bp: u16,
    valued_at: Option<UnixNanos>,
    book: Option<Book>,
    shown: Vec<SavedBars>,
}

#[derive(Clone, Debug, PartialEq)]
struct SavedBars {
    last: Option<UnixNanos>,
    bars: Vec<Bar>,
}

impl<R: Records> Engine<R> {
    /// The state between two items. A strategy's own state is not in it: it is warmed up again with the bars it has seen.
    ///
    /// `None` within an item.
    #[must_use]
    pub fn save(&self) -> Option<Vec<u8>> {
        if self.is_busy() {
            return None;
        }
        let mut out = Writer::default();
        out.u8(VERSION);
        let Numbers { signals, fills, equity } = self.numbers;
        [signals, fills, equity].into_iter().for_each(|number| out.u64(number));
        out.time(self.now);
        let mut markets: Vec<_> = self.markets.iter().collect();
        // In the order in which they were met, which is the order of their slots; those without a slot come last.
        markets.sort_by_key(|(id, market)| (market.slots.first().copied().unwrap_or(usize::MAX), id.0));
        out.len(markets.len());
        for (id, market) in markets {
            out.u32(id.0);
            out.optional(market.price, Writer::decimal);
            out.time(market.priced_at);
            out.u8(u8::from(market.has_quotes));
        }
        out.len(self.slots.len() + self.strangers.len());
        for slot in &self.slots {
            Saved {
                strategy: self.plans[slot.plan].blueprint.name().to_owned(),
                instrument: slot.instrument,
                quality_bp: slot.quality_bp,
                valued_at: slot.valued_at,
                book: slot.book.clone(),
                shown: slot.shown.iter().map(SavedBars::of).collect(),
            }
            .write(&mut out);
        }
        self.strangers.iter().for_each(|saved| saved.write(&mut out));
        Some(out.finish())
    }

    /// Goes on from a saved state: to be called once, before the first item. Books whose strategy or symbol is not configured
    /// any more are told, kept, and saved again.
    ///
    /// # Errors
    /// [`StateError`]; the engine is as before.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        let mut from = Reader::new(bytes);
        match from.u8() {
            Some(VERSION) => {}
            Some(found) => return Err(StateError::Version { found }),
            None => return Err(StateError::Damaged),
        }
        let (numbers, now, markets, slots) = read(&mut from).ok_or(StateError::Damaged)?;
        (self.numbers, self.now) = (numbers, now);
        for SavedMarket { id, price, priced_at, has_quotes } in markets {
            self.meet(id);
            let Some(market) = self.markets.get_mut(&id) else { continue };
            (market.price, market.priced_at) = (price, priced_at);
            if has_quotes {
                market.has_quotes = true;
                self.unquoted = self.unquoted.saturating_sub(usize::from(!market.slots.is_empty()));
            }
        }
        for saved in slots {
            self.restore(saved);
        }
        self.set_next_expiry();
        Ok(())
    }

    fn restore(&mut self, saved: Saved) {
        let is_its = |at: &usize| {
            let slot = &self.slots[*at];
            slot.instrument == saved.instrument && self.plans[slot.plan].blueprint.name() == saved.strategy
        };
        let Some(at) = (0..self.slots.len()).find(is_its) else {
            let who = self.named(&saved.strategy, saved.instrument);
            self.notices.push(Notice::NotConfigured { who });
            self.strangers.push(saved);
            return;
        };
        let slot = &mut self.slots[at];
        (slot.quality_bp, slot.valued_at) = (saved.quality_bp, saved.valued_at);
        if let Some(book) = saved.book {
            if self.settings.paper.is_some() {
                self.open_orders += book.open_orders();
            }
            slot.book = Some(book);
        }
        for (shown, saved) in slot.shown.iter_mut().zip(saved.shown) {
            for bar in saved.bars {
                if bar.interval == shown.interval {
                    shown.keep(&bar);
                }
            }
            shown.last = saved.last;
        }
        self.show_again(at);
    }
}

impl SavedBars {
    fn of(shown: &Shown) -> Self {
        Self { last: shown.last, bars: shown.bars.iter().copied().collect() }
    }
}

struct SavedMarket {
    id: InstrumentId,
    price: Option<feedd_model::Decimal>,
    priced_at: UnixNanos,
    has_quotes: bool,
}

fn read(from: &mut Reader<'_>) -> Option<(Numbers, UnixNanos, Vec<SavedMarket>, Vec<Saved>)> {
    let numbers = Numbers { signals: from.u64()?, fills: from.u64()?, equity: from.u64()? };
    let now = from.time()?;
    let market = |from: &mut Reader<'_>| {
        Some(SavedMarket {
            id: InstrumentId(from.u32()?),
            price: from.optional(Reader::decimal)?,
            priced_at: from.time()?,
            has_quotes: from.u8()? != 0,
        })
    };
    let markets = (0..from.len()?).map(|_| market(from)).collect::<Option<_>>()?;
    let slots = (0..from.len()?).map(|_| Saved::read(from)).collect::<Option<_>>()?;
    from.is_at_end().then_some((numbers, now, markets, slots))
}

impl Saved {
    fn write(&self, out: &mut Writer) {
        out.text(&self.strategy);
        out.u32(self.instrument.0);
        out.u16(self.quality_bp);
        out.optional(self.valued_at, Writer::time);
        out.optional(self.book.as_ref(), |out, book| book.write(out));
        out.len(self.shown.len());
        for shown in &self.shown {
            out.optional(shown.last, Writer::time);
            out.len(shown.bars.len());
            shown.bars.iter().for_each(|bar| out.bar(bar));
        }
    }

    fn read(from: &mut Reader<'_>) -> Option<Self> {
        let (strategy, instrument) = (from.text()?, InstrumentId(from.u32()?));
        let (quality_bp, valued_at) = (from.u16()?, from.optional(Reader::time)?);
        let book = from.optional(Book::read)?;
        let bars = |from: &mut Reader<'_>| {
            let last = from.optional(Reader::time)?;
            let bars = (0..from.len()?).map(|_| from.bar()).collect::<Option<_>>()?;
            Some(SavedBars { last, bars })
        };
        let shown = (0..from.len()?).map(|_| bars(from)).collect::<Option<_>>()?;
        Some(Self { strategy, instrument, quality_bp, valued_at, book, shown })
    }
}
