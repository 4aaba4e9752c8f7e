//! The book of an instrument, built out of what was recorded, as a reader of the stored rows has to: nothing of it is the
//! recorder's own book.

use super::venue::Depth;
use crate::harness::plain;
use feedd_model::{Book, BookAction, Decimal, Level, Side};
use serde_json::Value;
use std::collections::BTreeMap;

/// A depth message with its levels.
struct Message {
    head: Book,
    levels: Vec<Level>,
}

/// The two sides as texts without zeros at the end, best first.
pub(crate) type Sides = [Vec<(String, String)>; 2];

/// A book in the making.
pub(crate) struct Rebuilt {
    depth: Depth,
    open: Option<Message>,
    /// Changes that wait for the whole book.
    waiting: Vec<Message>,
    sides: Option<[BTreeMap<Decimal, Decimal>; 2]>,
    last: Option<i64>,
}

impl Rebuilt {
    pub(crate) fn new(depth: Depth) -> Self {
        Self { depth, open: None, waiting: Vec::new(), sides: None, last: None }
    }

    /// The head of a message; its levels follow.
    pub(crate) fn head(&mut self, head: Book) {
        assert!(self.open.is_none(), "the levels of the message before are there");
        self.open = Some(Message { head, levels: Vec::new() });
        self.close();
    }

    /// A level of the message whose head came last.
    pub(crate) fn level(&mut self, level: Level) {
        self.open.as_mut().unwrap().levels.push(level);
        self.close();
    }

    /// A gap in the data: nothing is known until the next whole book.
    pub(crate) fn lose(&mut self) {
        self.sides = None;
        self.waiting.clear();
    }

    fn close(&mut self) {
        let message = self.open.take_if(|open| open.levels.len() == (open.head.bids + open.head.asks) as usize);
        if let Some(message) = message {
            self.take(message);
        }
    }

    fn take(&mut self, message: Message) {
        let joins = matches!(self.depth, Depth::Numbers { joins: true });
        match (message.head.action, self.sides.is_some()) {
            (BookAction::Snapshot, true) if joins => {}
            (BookAction::Snapshot, _) if joins => self.join(&message),
            (BookAction::Snapshot, _) => {
                self.sides = Some(Default::default());
                self.last = last(&message);
                self.apply(&message);
            }
            (BookAction::Delta, false) if joins => self.waiting.push(message),
            (BookAction::Delta, false) => {}
            (BookAction::Delta, true) => self.follow(&message),
        }
    }

    /// A whole book by REST, and the changes that came before it and reach beyond it.
    fn join(&mut self, whole: &Message) {
        let number = last(whole).unwrap();
        let waiting: Vec<Message> = std::mem::take(&mut self.waiting);
        let mut later = waiting.into_iter().filter(|change| last(change).unwrap() > number).peekable();
        if later.peek().is_some_and(|first| first.head.seq_first.unwrap().0 > number + 1) {
            // It is older than the first change that was heard; the next one will do.
            self.waiting.extend(later);
            return;
        }
        self.sides = Some(Default::default());
        self.last = Some(number);
        self.apply(whole);
        later.for_each(|change| self.follow(&change));
    }

    fn follow(&mut self, change: &Message) {
        let is_numbered = matches!(self.depth, Depth::Numbers { .. });
        let is_known = last(change).zip(self.last).is_some_and(|(last, known)| last <= known);
        // OKX's numbers may fall; what follows is told by the number before.
        let follows = change.head.seq_prev.is_some_and(|before| self.last == Some(before.0));
        if !is_numbered || follows || !is_known {
            self.last = last(change);
            self.apply(change);
        }
    }

    fn apply(&mut self, message: &Message) {
        let sides = self.sides.as_mut().unwrap();
        for level in &message.levels {
            let side = &mut sides[usize::from(level.side == Side::Sell)];
            if level.size.is_zero() {
                side.remove(&level.price);
            } else {
                side.insert(level.price, level.size);
            }
        }
        if let Depth::Checksum { levels } = self.depth {
            while sides[0].len() > levels {
                sides[0].pop_first();
            }
            while sides[1].len() > levels {
                sides[1].pop_last();
            }
        }
    }

    /// The book, when it is whole.
    pub(crate) fn sides(&self) -> Option<Sides> {
        let [bids, asks] = self.sides.as_ref()?;
        let text = |(price, size): (&Decimal, &Decimal)| {
            (plain(&price.to_string()).to_owned(), plain(&size.to_string()).to_owned())
        };
        Some([bids.iter().rev().map(text).collect(), asks.iter().map(text).collect()])
    }
}

fn last(message: &Message) -> Option<i64> {
    message.head.seq_last.map(|seq| seq.0)
}

/// A book as the exchange says it.
pub(crate) fn said(line: &Value) -> Sides {
    ["bids", "asks"].map(|side| {
        let level = |level: &Value| {
            (plain(level[0].as_str().unwrap()).to_owned(), plain(level[1].as_str().unwrap()).to_owned())
        };
        line[side].as_array().unwrap().iter().map(level).collect()
    })
}
