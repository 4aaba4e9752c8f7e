//! The books of the depth streams: asked for anew when they are not whole, ever more rarely when that does not last.

use super::Session;
use super::backoff::doubled;
use super::connection::Conn;
use super::requests::Sub;
use feedd_model::MonoNanos;

/// A book that has not been whole for so long, and that nobody asked for, is asked for: when a connection with its snapshot ends,
/// nothing that comes afterwards says so.
const GRACE_NS: u64 = 5_000_000_000;
/// First pause between two attempts; doubles.
const PAUSE_NS: u64 = 1_000_000_000;
/// Longest pause.
const PAUSE_NS_MAX: u64 = 60_000_000_000;
/// A book that was whole for so long begins with short pauses again.
const WELL_NS: u64 = 60_000_000_000;
/// The operator is told after so many attempts.
const TELL_AT: u32 = 4;

/// How a book is had anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By REST.
    Pull,
    /// By subscribing its depth anew.
    Resubscribe,
}

/// The book of one depth stream.
#[derive(Debug)]
pub(super) struct Book {
    /// Place of its stream.
    pub(super) stream: usize,
    pub(super) how: How,
    /// When it is to be asked for.
    pub(super) due: Option<MonoNanos>,
    /// It waits in the queue of pulls, or is on its way.
    pub(super) is_pulled: bool,
    /// There is no way to have it.
    pub(super) is_impossible: bool,
    attempts: u32,
    acted_at: Option<MonoNanos>,
    whole_since: Option<MonoNanos>,
    broken_since: Option<MonoNanos>,
    is_told: bool,
}

impl Book {
    pub(super) const fn new(stream: usize, how: How) -> Self {
        Self {
            stream,
            how,
            due: None,
            is_pulled: false,
            is_impossible: false,
            attempts: 0,
            acted_at: None,
            whole_since: None,
            broken_since: None,
            is_told: false,
        }
    }

    /// It is to be asked for, at once or when its pause is over.
    pub(super) fn want(&mut self, now: MonoNanos, rng: &mut fastrand::Rng) {
        if self.due.is_some() || self.is_pulled {
            return;
        }
        let pause = match self.attempts.checked_sub(1) {
            None => 0,
            Some(times) => doubled(PAUSE_NS, times).min(PAUSE_NS_MAX),
        };
        let pause = pause + rng.u64(0..=pause / 4);
        self.due = Some(self.acted_at.map_or(now, |acted| now.max(MonoNanos(acted.0.saturating_add(pause)))));
    }

    /// Asked for.
    pub(super) const fn act(&mut self, now: MonoNanos) {
        self.attempts = self.attempts.saturating_add(1);
        self.acted_at = Some(now);
        self.due = None;
    }

    /// A pull of it ended.
    pub(super) const fn pulled(&mut self, now: MonoNanos) {
        self.is_pulled = false;
        self.acted_at = Some(now);
    }

    /// Takes whether it is whole; true when it has been broken for so long that somebody should have asked.
    fn poll(&mut self, now: MonoNanos, is_whole: bool) -> bool {
        if is_whole {
            self.broken_since = None;
            self.due = None;
            let since = *self.whole_since.get_or_insert(now);
            if now.since(since) >= WELL_NS {
                self.attempts = 0;
            }
            return false;
        }
        self.whole_since = None;
        let broken = *self.broken_since.get_or_insert(now);
        let is_waited_for = self.due.is_some() || self.is_pulled || self.is_impossible;
        !is_waited_for && now.since(self.acted_at.map_or(broken, |acted| acted.max(broken))) >= GRACE_NS
    }

    /// Whether to tell that it does not become whole, or that it has.
    fn news(&mut self) -> Option<bool> {
        let is_bad = self.attempts >= TELL_AT && self.whole_since.is_none();
        let is_good = self.is_told && self.attempts == 0 && self.whole_since.is_some();
        if is_bad && !self.is_told || is_good {
            self.is_told = is_bad;
            return Some(is_bad);
        }
        None
    }
}

impl Session {
    /// Looks at every book.
    pub(super) fn poll_books(&mut self, now: MonoNanos, is_whole: &dyn Fn(&str) -> bool) {
        for at in 0..self.books.len() {
            if !self.is_here(self.books[at].stream) {
                continue;
            }
            let book = &mut self.books[at];
            let care = &self.streams[book.stream];
            let is_listened_to = care.has_spoken() && care.listening.is_some_and(|since| now.since(since) >= GRACE_NS);
            let is_forgotten = book.poll(now, is_whole(&care.stream.symbol));
            if let Some(is_bad) = book.news() {
                let (name, symbol, attempts) = (&self.name, &care.stream.symbol, book.attempts);
                let text = if is_bad {
                    format!("{name}: the book of {symbol} is not whole after {attempts} attempts; tried on")
                } else {
                    format!("{name}: the book of {symbol} is whole again")
                };
                self.voice.tell(now, is_bad, text, &mut self.actions);
            }
            let book = &mut self.books[at];
            if is_listened_to && is_forgotten {
                book.want(now, &mut self.rng);
            }
            if care.listening.is_some() && book.due.is_some_and(|due| due <= now) {
                book.act(now);
                match book.how {
                    How::Pull => {
                        book.is_pulled = true;
                        self.pulls.books.push_back(at);
                    }
                    How::Resubscribe => {
                        let stream = book.stream;
                        self.resubscribe(stream);
                        self.listen(now);
                    }
                }
            }
        }
    }

    /// Subscribes a stream anew wherever it is subscribed.
    pub(super) fn resubscribe(&mut self, stream: usize) {
        let is_open = |conn: &&mut Conn| conn.is_open && conn.subscriptions.states[stream] != Sub::Off;
        for conn in self.conns.iter_mut().filter(is_open) {
            conn.subscriptions.begin([stream]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn pauses_double_to_a_minute_and_begin_anew_after_a_well_one() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut book = Book::new(0, How::Pull);
        let mut now = MonoNanos(100 * SECOND);
        for pause in [0, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
            book.want(now, &mut rng);
            let due = book.due.unwrap();
            book.want(MonoNanos(now.0 + 5), &mut rng);
            assert_eq!(book.due, Some(due), "wanted twice is wanted once");
            let pause = pause * SECOND;
            assert!((pause..=pause + pause / 4).contains(&due.since(now)), "{pause}: {}", due.since(now));
            now = due;
            book.act(now);
            assert!(!book.poll(now, true) && !book.poll(now, false), "whole at once, and lost again at once");
        }
        book.poll(now, true);
        book.poll(MonoNanos(now.0 + 60 * SECOND), true);
        now = MonoNanos(now.0 + 61 * SECOND);
        book.want(now, &mut rng);
        assert_eq!(book.due, Some(now));
    }

    #[test]
    fn a_book_that_nobody_asked_for_is_remembered() {
        let mut book = Book::new(0, How::Resubscribe);
        assert!(!book.poll(MonoNanos(10 * SECOND), false));
        assert!(!book.poll(MonoNanos(14 * SECOND), false));
        assert!(book.poll(MonoNanos(15 * SECOND), false));
        book.act(MonoNanos(15 * SECOND));
        assert!(!book.poll(MonoNanos(19 * SECOND), false), "its answer is waited for");
        assert!(book.poll(MonoNanos(20 * SECOND), false));
        book.is_impossible = true;
        assert!(!book.poll(MonoNanos(99 * SECOND), false));
    }
}
