//! What a recorder has recorded of a venue, event by event.

use super::books::Rebuilt;
use super::venue::Depth;
use crate::harness::plain;
use feedd_core::Instruments;
use feedd_model::{Event, EventBody, Flags, Gap, GapReason, InstrumentId, StatusCode, TradeId};
use std::collections::{BTreeMap, BTreeSet};

/// An instrument's symbol and a trade's id.
pub(crate) type TradeKey = (String, u64);

/// A trade: `61837.63 0.02 buy`, when the venue made it, whether it came by REST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) text: String,
    pub(crate) venue_ns: i64,
    pub(crate) is_backfilled: bool,
}

/// A gap: of which symbol (`None`: of the whole connection), and when it was written.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) symbol: Option<String>,
    pub(crate) gap: Gap,
    pub(crate) at_ns: i64,
}

/// What has been read of one recorder.
pub(crate) struct Recorded {
    depth: Depth,
    read: usize,
    pub(crate) trades: BTreeMap<TradeKey, Stored>,
    pub(crate) gaps: Vec<Told>,
    pub(crate) statuses: Vec<(StatusCode, u64, i64)>,
    pub(crate) books: BTreeMap<String, Rebuilt>,
    /// Checksums that depth messages carried.
    pub(crate) checksums: BTreeSet<Option<u32>>,
}

impl Recorded {
    pub(crate) fn new(depth: Depth) -> Self {
        Self {
            depth,
            read: 0,
            trades: BTreeMap::new(),
            gaps: Vec::new(),
            statuses: Vec::new(),
            books: BTreeMap::new(),
            checksums: BTreeSet::new(),
        }
    }

    /// Takes the events that are new; fails when a trade is recorded twice.
    pub(crate) fn take(&mut self, events: &[Event], instruments: &Instruments) {
        for event in &events[self.read..] {
            let symbol = match event.instrument() {
                InstrumentId::NONE => None,
                id => Some(instruments.get(id).unwrap().symbol.to_string()),
            };
            self.event(event, symbol);
        }
        self.read = events.len();
    }

    fn event(&mut self, event: &Event, symbol: Option<String>) {
        let at_ns = event.recv_ts().map_or(0, |at| at.0);
        match event.body() {
            EventBody::Trade(trade) => {
                let TradeId::Number(id) = trade.id else { panic!("ids are numbers here: {trade:?}") };
                let side = trade.side.map_or("-", |side| if side == feedd_model::Side::Buy { "buy" } else { "sell" });
                let (price, size) = (trade.price.to_string(), trade.size.to_string());
                let stored = Stored {
                    text: format!("{} {} {side}", plain(&price), plain(&size)),
                    venue_ns: event.venue_ts().unwrap().0,
                    is_backfilled: event.flags().contains(Flags::BACKFILLED),
                };
                let key = (symbol.unwrap(), u64::try_from(id).unwrap());
                let twice = self.trades.insert(key.clone(), stored);
                assert!(twice.is_none(), "{key:?} is recorded twice");
            }
            EventBody::Book(head) => {
                self.checksums.insert(head.checksum);
                self.book(symbol.unwrap()).head(head);
            }
            EventBody::Level(level) => self.book(symbol.unwrap()).level(level),
            EventBody::Gap(gap) => {
                match &symbol {
                    None => self.books.values_mut().for_each(Rebuilt::lose),
                    // Trades that are missing say nothing about the book.
                    Some(_) if gap.reason == GapReason::VenueSequence => {}
                    Some(symbol) => self.book(symbol.clone()).lose(),
                }
                self.gaps.push(Told { symbol, gap, at_ns });
            }
            EventBody::Status(status) => self.statuses.push((status.code, status.detail, at_ns)),
            // Quotes have no account here.
            _ => {}
        }
    }

    fn book(&mut self, symbol: String) -> &mut Rebuilt {
        let depth = self.depth;
        self.books.entry(symbol).or_insert_with(|| Rebuilt::new(depth))
    }

    /// Ids of trades that gaps name; fails when one is named twice.
    pub(crate) fn named_trades(&self) -> BTreeSet<TradeKey> {
        let mut named = BTreeSet::new();
        for told in self.gaps.iter().filter(|told| told.gap.reason == GapReason::VenueSequence) {
            let Some(symbol) = &told.symbol else { continue };
            let (first, last) = (told.gap.first_missing.unwrap().0, told.gap.last_missing.unwrap().0);
            for id in first..=last {
                let key = (symbol.clone(), u64::try_from(id).unwrap());
                assert!(named.insert(key.clone()), "{key:?} is named as missing twice");
            }
        }
        named
    }
}
