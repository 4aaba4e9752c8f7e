//! Asking a source that runs for one of its books. The question is put on the desk of its thread, which looks there once a
//! turn, copies the best levels into the room that the question brings, and never waits or allocates for it.

use feedd_model::UnixNanos;
use feedd_venues::check::book::BookLevel;
use feedd_venues::intake::Intake;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Most levels of a side that are answered.
pub const LEVELS_MAX: usize = 1_000;
/// Questions that may wait on one desk; a further one replaces the oldest, which is not answered then.
const QUESTIONS_MAX: usize = 16;

/// How a book stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BookState {
    /// This source has not heard the symbol.
    #[default]
    Unheard,
    /// It has heard the symbol, but no depth message of it.
    NoDepth,
    /// Something is missing; the snapshot that mends it has been asked for.
    Resyncing,
    /// Whole.
    Synchronised,
}

/// The best levels of a book at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookCopy {
    /// How it stands. Only a synchronised one has levels.
    pub state: BookState,
    /// Receive time of its last depth message.
    pub at: Option<UnixNanos>,
    /// All its levels: bids, asks.
    pub levels: [usize; 2],
    /// The best bids, best first.
    pub bids: Vec<BookLevel>,
    /// The best asks, best first.
    pub asks: Vec<BookLevel>,
}

/// A question, and the room for its answer.
#[derive(Debug)]
pub struct BookQuestion {
    symbol: String,
    levels: usize,
    is_answered: AtomicBool,
    copy: Mutex<BookCopy>,
}

/// Where questions to one source lie.
#[derive(Debug)]
pub struct BookDesk {
    source: String,
    venue: &'static str,
    is_asked: AtomicBool,
    questions: Mutex<Vec<Arc<BookQuestion>>>,
}

/// The desks of all sources that keep books. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BookDesks(Arc<Mutex<Vec<Arc<BookDesk>>>>);

/// A question that lies on a desk.
#[derive(Clone, Debug)]
pub struct AskedBook {
    /// Name of the source.
    pub source: String,
    /// Its venue and market.
    pub venue: &'static str,
    question: Arc<BookQuestion>,
}

impl AskedBook {
    /// The answer, once it is there.
    #[must_use]
    pub fn answer(&self) -> Option<BookCopy> {
        // Acquire pairs with the Release of the answer.
        let is_answered = self.question.is_answered.load(Ordering::Acquire);
        is_answered.then(|| self.question.copy.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl BookDesks {
    /// One more source.
    pub fn add(&self, desk: Arc<BookDesk>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(desk);
    }

    /// Whether any source keeps books.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Asks every source (or the one of this name, with all its threads) for `levels` levels a side.
    #[must_use]
    pub fn ask(&self, symbol: &str, source: Option<&str>, levels: usize) -> Vec<AskedBook> {
        let desks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = desks.iter().filter(|desk| source.is_none_or(|source| is_of(&desk.source, source)));
        asked.map(|desk| desk.ask(symbol, levels.min(LEVELS_MAX))).collect()
    }
}

/// Whether a thread belongs to a source: it is called so, with a number behind it from the second on (`kraken`, `kraken.2`).
#[must_use]
pub fn is_of(thread: &str, source: &str) -> bool {
    let rest = thread.strip_prefix(source);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok()))
}

impl BookDesk {
    pub(crate) fn new(source: &str, venue: &'static str) -> Self {
        let questions = Mutex::new(Vec::with_capacity(QUESTIONS_MAX));
        Self { source: source.to_owned(), venue, is_asked: AtomicBool::new(false), questions }
    }

    fn ask(&self, symbol: &str, levels: usize) -> AskedBook {
        let room =
            BookCopy { bids: Vec::with_capacity(levels), asks: Vec::with_capacity(levels), ..BookCopy::default() };
        let question = BookQuestion {
            symbol: symbol.to_owned(),
            levels,
            is_answered: AtomicBool::new(false),
            copy: Mutex::new(room),
        };
        let question = Arc::new(question);
        let mut questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.len() == QUESTIONS_MAX {
            questions.remove(0);
        }
        questions.push(question.clone());
        // Within the lock, as it is taken back: a question is never left unseen. The lock orders what it protects.
        self.is_asked.store(true, Ordering::Relaxed);
        drop(questions);
        AskedBook { source: self.source.clone(), venue: self.venue, question }
    }

    /// Whether questions wait. Once a turn of the source's thread: one load of a line that hardly ever changes.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Answers what lies here. While somebody is putting a question there, it is left for the next turn.
    #[cold]
    pub(crate) fn answer(&self, intake: &Intake) {
        let Ok(mut questions) = self.questions.try_lock() else { return };
        self.is_asked.store(false, Ordering::Relaxed);
        for question in questions.drain(..) {
            question.answer(intake);
        }
    }
}

impl BookQuestion {
    fn answer(&self, intake: &Intake) {
        // Whoever asked looks at it only when it is answered.
        let Ok(mut copy) = self.copy.try_lock() else { return };
        let BookCopy { state, at, levels, bids, asks } = &mut *copy;
        *at = intake.book_at(&self.symbol);
        if let Some(book) = intake.book(&self.symbol) {
            *state = BookState::Synchronised;
            *levels = [book.bids().len(), book.asks().len()];
            // As many as there is room for.
            bids.extend(book.bids().take(self.levels));
            asks.extend(book.asks().take(self.levels));
        } else {
            let heard = intake.heard(&self.symbol);
            *state = match heard {
                [0, 0, 0] => BookState::Unheard,
                [_, _, 0] => BookState::NoDepth,
                _ => BookState::Resyncing,
            };
        }
        drop(copy);
        self.is_answered.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_of_the_source_whose_name_it_has_with_a_number_or_without() {
        let cases = [
            ("kraken", "kraken", true),
            ("kraken.2", "kraken", true),
            ("kraken.2", "kraken.2", true),
            ("kraken.x", "kraken", false),
            ("kraken2", "kraken", false),
            ("kraken", "kraken.2", false),
            ("krak", "kraken", false),
        ];
        for (thread, source, expected) in cases {
            assert_eq!(is_of(thread, source), expected, "{thread} of {source}");
        }
    }

    #[test]
    fn every_desk_is_asked_and_none_is_overloaded() {
        let desks = BookDesks::default();
        assert!(desks.is_empty());
        let [one, two] = ["kraken", "okx"].map(|name| Arc::new(BookDesk::new(name, name)));
        desks.add(one.clone());
        desks.add(two.clone());
        assert!(!one.is_asked());
        let asked = desks.ask("BTC/USD", Some("okx"), usize::MAX);
        assert_eq!(asked.iter().map(|asked| asked.source.as_str()).collect::<Vec<_>>(), ["okx"]);
        assert_eq!((asked[0].answer(), asked[0].question.levels), (None, LEVELS_MAX));
        assert!(two.is_asked() && !one.is_asked());
        for _ in 0..QUESTIONS_MAX + 3 {
            assert_eq!(desks.ask("BTC/USD", None, 1).len(), 2);
        }
        assert_eq!(one.questions.lock().unwrap().len(), QUESTIONS_MAX);
    }
}
