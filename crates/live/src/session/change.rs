//! What is recorded changes while the session runs: symbols join and leave, periods change. What stays is not touched.
//!
//! Places of streams are never taken away, so that every connection's list of them stays as it is: a symbol that has left
//! keeps its places, and has them again when it comes back.

use super::action::Action;
use super::books::Book;
use super::connection::Conn;
use super::pairs::Ear;
use super::requests::Sub;
use super::streams::Care;
use super::{Session, Symbol};
use crate::config::Periods;
use crate::stream::{Stream, StreamKind};
use feedd_model::MonoNanos;

/// Whether a symbol is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// It is recorded.
    Here,
    /// Its streams are being ended; what still comes of them is recorded.
    Leaving,
    /// It has left.
    Gone,
}

impl Session {
    /// Records a symbol from now on, with the kinds of streams that the others have, on the connections that there are. Whether
    /// it was never here.
    pub fn join(&mut self, now: MonoNanos, name: &str) -> bool {
        self.now = now;
        let found = self.symbols.iter().position(|symbol| symbol.name == name);
        let places: Vec<usize> = match found {
            Some(at) => {
                let before = std::mem::replace(&mut self.symbols[at].stay, Stay::Here);
                let places: Vec<usize> = self.symbols[at].streams.iter().flatten().copied().collect();
                match before {
                    Stay::Here => return false,
                    Stay::Leaving => {}
                    Stay::Gone => self.begin_anew(&places),
                }
                places
            }
            None => self.add_symbol(name),
        };
        for conn in self.conns.iter_mut().filter(|conn| conn.is_open) {
            conn.subscriptions.begin(places.iter().copied());
        }
        self.listen(now);
        self.send(now);
        found.is_none()
    }

    /// Ends the streams of a symbol. [`Action::Left`] follows when nothing of it comes any more.
    pub fn leave(&mut self, now: MonoNanos, name: &str) {
        self.now = now;
        let found = self.symbols.iter_mut().find(|symbol| symbol.name == name && symbol.stay == Stay::Here);
        let Some(symbol) = found else { return };
        symbol.stay = Stay::Leaving;
        for place in symbol.streams.into_iter().flatten() {
            self.streams[place].leave();
            for conn in &mut self.conns {
                conn.subscriptions.end(place);
                if let Some(ear) = conn.ears.get_mut(place) {
                    *ear = Ear::default();
                }
            }
            for (at, book) in self.books.iter_mut().enumerate().filter(|(_, book)| book.stream == place) {
                book.due = None;
                if self.pulls.unqueue_book(at) {
                    book.is_pulled = false;
                }
            }
        }
        self.pulls.forget_trades(name);
        self.listen(now);
        self.send(now);
        self.let_leave();
    }

    /// Other periods from now on. The age at which a connection is replaced counts for those that are opened later.
    pub fn set_periods(&mut self, periods: Periods) {
        self.slots.iter_mut().for_each(|slot| slot.backoff.set_periods(&periods));
        self.config.periods = periods;
    }

    /// Lets those leave of which nothing comes any more: the venue has answered, or its time to do so is over.
    pub(super) fn let_leave(&mut self) {
        for symbol in self.symbols.iter_mut().filter(|symbol| symbol.stay == Stay::Leaving) {
            let is_ending = |conn: &Conn| symbol.streams.iter().flatten().any(|&at| conn.subscriptions.is_ending(at));
            let is_asked = |book: &Book| book.is_pulled && symbol.streams.contains(&Some(book.stream));
            let is_busy = self.conns.iter().any(is_ending)
                || self.books.iter().any(is_asked)
                || self.pulls.is_flying(&symbol.name);
            if !is_busy {
                symbol.stay = Stay::Gone;
                self.actions.push(Action::Left { symbol: symbol.name.clone() });
            }
        }
    }

    /// Whether the stream at a place is wanted.
    pub(super) fn is_here(&self, place: usize) -> bool {
        self.symbols[self.streams[place].symbol].stay == Stay::Here
    }

    /// A symbol that was never here: its places come behind those of the others.
    fn add_symbol(&mut self, name: &str) -> Vec<usize> {
        let is_kind = |kind: &StreamKind| self.streams.iter().any(|care| care.stream.kind == *kind);
        let kinds: Vec<StreamKind> = StreamKind::ALL.into_iter().filter(is_kind).collect();
        let mut symbol = Symbol { name: name.to_owned(), streams: Default::default(), stay: Stay::Here };
        let mut added = Vec::new();
        for kind in kinds {
            let stream = Stream { kind, symbol: name.to_owned() };
            self.places.add(&stream);
            let place = self.streams.len();
            self.streams.push(Care::new(stream, self.symbols.len()));
            symbol.streams[kind.index()] = Some(place);
            if kind == StreamKind::Depth {
                self.books.push(Book::new(place, self.how()));
            }
            for conn in &mut self.conns {
                conn.subscriptions.states.push(Sub::Off);
                if !conn.ears.is_empty() {
                    conn.ears.push(Ear::default());
                }
            }
            added.push(place);
        }
        self.symbols.push(symbol);
        added
    }

    /// A symbol that had left: nothing has been heard of it.
    fn begin_anew(&mut self, places: &[usize]) {
        let how = self.how();
        for &place in places {
            let care = &mut self.streams[place];
            *care = Care::new(care.stream.clone(), care.symbol);
            self.books.iter_mut().filter(|book| book.stream == place).for_each(|book| *book = Book::new(place, how));
        }
    }
}
