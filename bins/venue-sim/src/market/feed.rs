//! Depth feeds: what each sends of a book, and when.

use super::book::{Book, Touched};
use super::fact::{Depth, Level, Side};

/// What a feed sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedKind {
    /// Every level that was touched, of the whole book.
    Changes,
    /// What changed among so many best levels of each side, and what moved into them or out of them.
    Window(usize),
    /// The same, but what falls out of the window at its end is not told: the client cuts it off.
    Cut(usize),
    /// So many best levels, whole each time.
    Top(usize),
}

/// A feed of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeedSpec {
    pub(crate) name: &'static str,
    pub(crate) kind: FeedKind,
    /// Time between two messages; 0: at each change.
    pub(crate) interval_ms: u64,
}

/// A feed of one instrument that somebody has asked for.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    index: usize,
    kind: FeedKind,
    /// Step at which the next message is due.
    due: u64,
    every: u64,
    touched: Touched,
    /// First update id that was not sent yet.
    first: Option<u64>,
    /// Last update id that was sent.
    last: u64,
    message: u64,
    /// What was sent of a window.
    sent: [Vec<Level>; 2],
    /// The next message is the whole window, although it is no answer to anybody: after a reset.
    whole_next: bool,
}

/// What of an instrument a message needs.
pub(crate) struct View<'a> {
    pub(crate) symbol: usize,
    pub(crate) book: &'a Book,
    pub(crate) update_id: u64,
    pub(crate) seq: u64,
    pub(crate) venue_ns: i64,
}

impl Feed {
    /// A feed that begins now.
    pub(crate) fn new(index: usize, spec: FeedSpec, every: u64, step: u64, message: u64, view: &View<'_>) -> Self {
        Self {
            index,
            kind: spec.kind,
            due: step + every,
            every,
            touched: Touched::new(),
            first: None,
            last: view.update_id,
            message,
            sent: window(spec.kind, view.book),
            whole_next: false,
        }
    }

    /// Step at which the next message is due.
    pub(crate) const fn due_at(&self) -> u64 {
        self.due
    }

    /// Another time between two messages, in steps.
    pub(crate) fn set_every(&mut self, step: u64, every: u64) {
        (self.every, self.due) = (every, self.due.min(step + every));
    }

    /// Takes what a step touched. `first` is the first update id of it.
    pub(crate) fn touch(&mut self, touched: &[(Side, i64)], first: u64) {
        self.first.get_or_insert(first);
        self.touched.extend_from_slice(touched);
    }

    /// The message that is due after this step, when something changed.
    pub(crate) fn due(&mut self, step: u64, view: &View<'_>) -> Option<Depth> {
        if step < self.due {
            return None;
        }
        self.due = step + self.every;
        let first = self.first?;
        let [bids, asks] = match self.kind {
            FeedKind::Changes => self.changes(view.book),
            FeedKind::Top(_) | FeedKind::Window(_) | FeedKind::Cut(_) => {
                let now = window(self.kind, view.book);
                if now == self.sent && !self.whole_next {
                    return None;
                }
                let whole = self.whole_next || matches!(self.kind, FeedKind::Top(_));
                let mut out = if whole { now.clone() } else { difference(&self.sent, &now) };
                if matches!(self.kind, FeedKind::Cut(_)) {
                    for (side, levels) in [Side::Buy, Side::Sell].into_iter().zip(&mut out) {
                        levels.retain(|level| level.size > 0 || view.book.size_at(side, level.price) == 0);
                    }
                }
                self.sent = now;
                out
            }
        };
        let whole = self.whole_next || matches!(self.kind, FeedKind::Top(_));
        self.whole_next = false;
        self.touched.clear();
        self.first = None;
        self.message += 1;
        let prev = Some(std::mem::replace(&mut self.last, view.update_id));
        let checksum = Book::checksum(&self.sent[0], &self.sent[1]);
        let venue_ns = view.venue_ns;
        let (symbol, seq, last) = (view.symbol, view.seq, view.update_id);
        let (feed, message) = (self.index, self.message);
        Some(Depth { symbol, feed, whole, first, last, prev, message, seq, bids, asks, checksum, venue_ns })
    }

    /// The message that would be due later, now.
    pub(crate) fn settle(&mut self, step: u64, view: &View<'_>) -> Option<Depth> {
        self.due = step;
        self.due(step, view)
    }

    /// The book as a client has it that took every message so far.
    pub(crate) fn snapshot(&self, view: &View<'_>) -> Depth {
        // A feed of changes names every level that was touched since, so the book as it is now is as good.
        let [bids, asks] = match self.kind {
            FeedKind::Changes => [Side::Buy, Side::Sell].map(|side| view.book.top(side, usize::MAX)),
            FeedKind::Top(_) | FeedKind::Window(_) | FeedKind::Cut(_) => self.sent.clone(),
        };
        let checksum = Book::checksum(&bids, &asks);
        Depth {
            symbol: view.symbol,
            feed: self.index,
            whole: true,
            first: self.last,
            last: self.last,
            prev: None,
            message: self.message,
            seq: view.seq,
            bids,
            asks,
            checksum,
            venue_ns: view.venue_ns,
        }
    }

    /// The venue's sequence starts again.
    pub(crate) fn reset(&mut self, whole: bool) {
        // What waits to be told is told, under the first of the new ids.
        self.first = self.first.map(|_| 1);
        if whole {
            self.message = 0;
            self.whole_next = true;
        }
    }

    fn changes(&mut self, book: &Book) -> [Vec<Level>; 2] {
        // Best first on either side: bids from the highest price down.
        self.touched.sort_unstable_by_key(|&(side, price)| (side, if side == Side::Buy { -price } else { price }));
        self.touched.dedup();
        let mut out = [Vec::new(), Vec::new()];
        for &(side, price) in &self.touched {
            out[usize::from(side == Side::Sell)].push(Level { price, size: book.size_at(side, price) });
        }
        out
    }
}

/// What a feed of that kind shows of the book; nothing for one of changes.
fn window(kind: FeedKind, book: &Book) -> [Vec<Level>; 2] {
    match kind {
        FeedKind::Changes => [Vec::new(), Vec::new()],
        FeedKind::Window(count) | FeedKind::Cut(count) | FeedKind::Top(count) => {
            [Side::Buy, Side::Sell].map(|side| book.top(side, count))
        }
    }
}

/// The levels to send so that a client who has `old` gets `new`: removals as size 0.
fn difference(old: &[Vec<Level>; 2], new: &[Vec<Level>; 2]) -> [Vec<Level>; 2] {
    let mut out = [Vec::new(), Vec::new()];
    for (index, out) in out.iter_mut().enumerate() {
        let better = |a: i64, b: i64| if index == 0 { a > b } else { a < b };
        let (mut old, mut new) = (old[index].iter().peekable(), new[index].iter().peekable());
        loop {
            match (old.peek(), new.peek()) {
                (Some(&&was), Some(&&is)) if was.price == is.price => {
                    if was.size != is.size {
                        out.push(is);
                    }
                    old.next();
                    new.next();
                }
                (Some(&&was), Some(&&is)) if better(is.price, was.price) => {
                    out.push(is);
                    debug_assert!(better(is.price, was.price), "in order");
                    new.next();
                }
                (Some(&&was), _) => {
                    out.push(Level { price: was.price, size: 0 });
                    old.next();
                }
                (None, Some(&&is)) => {
                    out.push(is);
                    new.next();
                }
                (None, None) => break,
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_leads_from_one_window_to_the_next() {
        let level = |price, size| Level { price, size };
        let old = [vec![level(9, 1), level(8, 2), level(6, 3)], vec![level(10, 1), level(12, 2)]];
        let new = [vec![level(9, 1), level(7, 2), level(6, 4)], vec![level(11, 1), level(12, 2)]];
        let expected = [vec![level(8, 0), level(7, 2), level(6, 4)], vec![level(10, 0), level(11, 1)]];
        assert_eq!(difference(&old, &new), expected);
        assert_eq!(difference(&old, &old), [Vec::new(), Vec::new()]);
    }
}
