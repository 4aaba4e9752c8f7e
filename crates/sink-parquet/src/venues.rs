//! From instrument id to venue and symbol by index: no text is hashed per event.

use crate::encode::Words;
use crate::rows::Texts;
use feedd_core::{Instruments, STRATEGY_VENUE};
use feedd_model::InstrumentId;
use std::sync::Arc;

/// Folder name of events that concern a whole connection.
pub(crate) const NO_VENUE: &str = "_";

/// Place of a venue in [`Venues`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VenueIndex(pub(crate) u16);

/// What the sink has seen of the dictionary.
pub(crate) struct Venues {
    instruments: Instruments,
    /// By instrument id; place 0 is [`InstrumentId::NONE`].
    places: Vec<(VenueIndex, Option<u32>)>,
    venues: Vec<Venue>,
    /// The one of strategies.
    strategies: VenueIndex,
}

struct Venue {
    name: String,
    symbols: Words,
}

impl Venues {
    pub(crate) fn new(instruments: Instruments) -> Self {
        let mut venues = Self { instruments, places: Vec::new(), venues: Vec::new(), strategies: VenueIndex(0) };
        let none = venues.index_of(NO_VENUE);
        venues.strategies = venues.index_of(STRATEGY_VENUE);
        venues.places.push((none, None));
        venues
    }

    /// Whether the instrument is known; looks into the dictionary when it grew.
    pub(crate) fn knows(&mut self, id: InstrumentId) -> bool {
        if (id.0 as usize) < self.places.len() {
            return true;
        }
        self.learn();
        (id.0 as usize) < self.places.len()
    }

    /// Venue and symbol key of an instrument that [`Venues::knows`].
    pub(crate) fn place(&self, id: InstrumentId) -> (VenueIndex, Option<u32>) {
        self.places[id.0 as usize]
    }

    pub(crate) fn name(&self, venue: VenueIndex) -> &str {
        &self.venues[usize::from(venue.0)].name
    }

    /// The texts of a venue's rows: its symbols, and the strategies, in the order of their keys.
    pub(crate) fn texts(&self, venue: VenueIndex) -> Texts {
        let symbols = |venue: VenueIndex| self.venues[usize::from(venue.0)].symbols.clone();
        Texts { symbols: symbols(venue), strategies: symbols(self.strategies) }
    }

    /// The key of a strategy; `None` when the dictionary has no strategy of that id.
    pub(crate) fn strategy(&mut self, id: InstrumentId) -> Option<u32> {
        if !self.knows(id) {
            return None;
        }
        let (venue, key) = self.place(id);
        key.filter(|_| venue == self.strategies)
    }

    /// The venue of that name, new or known.
    pub(crate) fn index_of(&mut self, name: &str) -> VenueIndex {
        let at = self.venues.iter().position(|venue| venue.name == name).unwrap_or_else(|| {
            self.venues.push(Venue { name: name.to_owned(), symbols: Words::default() });
            self.venues.len() - 1
        });
        VenueIndex(u16::try_from(at).expect("venues are named in the configuration, far below 65,536"))
    }

    fn learn(&mut self) {
        while let Some(next) =
            u32::try_from(self.places.len()).ok().and_then(|id| self.instruments.get(InstrumentId(id)))
        {
            let index = self.index_of(&next.venue);
            let venue = &mut self.venues[usize::from(index.0)];
            let key = u32::try_from(venue.symbols.len()).expect("symbols of a venue stay below 2^32");
            // Copied once for each time that it grew while a file was open.
            Arc::make_mut(&mut venue.symbols).push(next.symbol.to_string());
            self.places.push((index, Some(key)));
        }
    }
}
