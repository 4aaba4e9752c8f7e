//! Many ordered streams as one, of which only those are open that overlap: memory does not grow with their number.

use crate::context::Context;
use feedd_core::SourceError;
use feedd_model::Event;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A file that is being read: events whose keys never fall.
pub(crate) trait Stream {
    /// Where an event stands among those of all streams.
    type Key: Ord + Copy;

    /// Moves on to the next event.
    ///
    /// # Errors
    /// What ends the whole recording; what ends this file alone is told, and is its end.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<Step<Self::Key>, SourceError>;

    /// The event it stands at, behind [`Step::Event`].
    fn event(&self) -> Event;
}

/// What [`Stream::advance`] came to.
pub(crate) enum Step<K> {
    /// An event.
    Event(K),
    /// Rows that are not wanted; there may be more.
    Passed,
    /// There is no more.
    End,
}

/// A file that is not open yet.
pub(crate) trait Waiting {
    /// The file when it is open.
    type Stream: Stream;

    /// No event of the file stands before this.
    fn first(&self) -> Key<Self>;

    /// Opens it; `None` when that failed, which is told.
    fn open(self, context: &mut Context<'_>) -> Option<Self::Stream>;
}

/// The key of a file's events.
pub(crate) type Key<W> = <<W as Waiting>::Stream as Stream>::Key;

/// The streams, merged: of equal keys, the file that was named first comes first.
pub(crate) struct Merge<W: Waiting> {
    /// The next one last.
    waiting: Vec<(Place<Key<W>>, W)>,
    heads: BinaryHeap<Head<W::Stream>>,
    /// The stream that gave the last event: where its next one stands is not known yet.
    moving: Option<(usize, Box<W::Stream>)>,
}

/// Key, then the file's place in the list.
type Place<K> = (K, usize);

/// A stream that stands at an event.
struct Head<S: Stream> {
    place: Place<S::Key>,
    stream: Box<S>,
}

impl<W: Waiting> Merge<W> {
    /// Over files in any order.
    pub(crate) fn new(files: Vec<W>) -> Self {
        let mut waiting: Vec<_> =
            files.into_iter().enumerate().map(|(order, file)| ((file.first(), order), file)).collect();
        waiting.sort_by(|(a, _), (b, _)| b.cmp(a));
        Self { waiting, heads: BinaryHeap::new(), moving: None }
    }

    /// The next event of all, with its key.
    ///
    /// # Errors
    /// As [`Stream::advance`].
    pub(crate) fn next(&mut self, context: &mut Context<'_>) -> Result<Step<(Key<W>, Event)>, SourceError> {
        if let Some((order, mut stream)) = self.moving.take() {
            match stream.advance(context)? {
                Step::End => {}
                Step::Passed => {
                    self.moving = Some((order, stream));
                    return Ok(Step::Passed);
                }
                // Mostly one file goes on for a while.
                Step::Event(key) if self.is_before_all((key, order)) => return Ok(self.give(key, order, stream)),
                Step::Event(key) => self.heads.push(Head { place: (key, order), stream }),
            }
        }
        let first = self.heads.peek().map(|head| head.place);
        let is_due = |place: &Place<Key<W>>| first.is_none_or(|first| *place < first);
        if self.waiting.last().is_some_and(|(place, _)| is_due(place))
            && let Some(((_, order), file)) = self.waiting.pop()
        {
            self.moving = file.open(context).map(|stream| (order, Box::new(stream)));
            return Ok(Step::Passed);
        }
        let Some(Head { place: (key, order), stream }) = self.heads.pop() else { return Ok(Step::End) };
        Ok(self.give(key, order, stream))
    }

    fn give(&mut self, key: Key<W>, order: usize, stream: Box<W::Stream>) -> Step<(Key<W>, Event)> {
        let event = stream.event();
        self.moving = Some((order, stream));
        Step::Event((key, event))
    }

    fn is_before_all(&self, place: Place<Key<W>>) -> bool {
        self.heads.peek().is_none_or(|head| place < head.place)
            && self.waiting.last().is_none_or(|(first, _)| place < *first)
    }
}

impl<S: Stream> PartialEq for Head<S> {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl<S: Stream> Eq for Head<S> {}

impl<S: Stream> PartialOrd for Head<S> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<S: Stream> Ord for Head<S> {
    /// The heap gives the largest first: the lowest place is the largest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.place.cmp(&self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::testing::with_context;
    use feedd_model::{EventBody, EventHead, Flags, InstrumentId, Status, StatusCode};
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::rc::Rc;

    /// A list that counts how many of its kind are open.
    struct Numbers {
        file: u32,
        keys: Vec<u32>,
        passes: bool,
        open: Rc<Cell<usize>>,
        open_max: Rc<Cell<usize>>,
    }

    struct Open {
        numbers: Numbers,
        at: usize,
        passed: bool,
    }

    impl Waiting for Numbers {
        type Stream = Open;

        fn first(&self) -> u32 {
            self.keys.first().copied().unwrap_or(0)
        }

        fn open(self, _: &mut Context<'_>) -> Option<Open> {
            self.open.set(self.open.get() + 1);
            self.open_max.set(self.open_max.get().max(self.open.get()));
            Some(Open { numbers: self, at: 0, passed: false })
        }
    }

    impl Drop for Open {
        fn drop(&mut self) {
            self.numbers.open.set(self.numbers.open.get() - 1);
        }
    }

    impl Stream for Open {
        type Key = u32;

        fn advance(&mut self, _: &mut Context<'_>) -> Result<Step<u32>, SourceError> {
            self.passed = !self.passed;
            if self.passed && self.numbers.passes {
                return Ok(Step::Passed);
            }
            let next = self.numbers.keys.get(self.at);
            self.at += 1;
            Ok(next.map_or(Step::End, |key| Step::Event(*key)))
        }

        /// The file as instrument, the place in it as detail.
        fn event(&self) -> Event {
            let head = EventHead {
                instrument: InstrumentId(self.numbers.file),
                venue_ts: None,
                recv_ts: None,
                flags: Flags::NONE,
            };
            Event::new(head, EventBody::Status(Status { code: StatusCode::Ended, detail: self.at as u64 - 1 }))
        }
    }

    fn merged(files: &[(Vec<u32>, bool)]) -> (Vec<(u32, u32, u64)>, usize) {
        let (open, open_max) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let files = (0..).zip(files).map(|(file, (keys, passes))| Numbers {
            file,
            keys: keys.clone(),
            passes: *passes,
            open: open.clone(),
            open_max: open_max.clone(),
        });
        let mut merge = Merge::new(files.collect());
        let mut found = Vec::new();
        with_context(|context| {
            loop {
                match merge.next(context).unwrap() {
                    Step::Event((key, event)) => {
                        let EventBody::Status(status) = event.body() else { panic!("{event:?}") };
                        found.push((key, event.instrument().0, status.detail));
                    }
                    Step::Passed => {}
                    Step::End => break,
                }
            }
        });
        assert_eq!(open.get(), 0, "all are closed");
        (found, open_max.get())
    }

    proptest! {
        /// The order is that of sorting by key, then by file, then by place in the file.
        #[test]
        fn it_is_a_stable_sort(
            files in prop::collection::vec((prop::collection::vec(0u32..40, 0..30), any::<bool>()), 0..9)
        ) {
            let files: Vec<(Vec<u32>, bool)> = files
                .into_iter()
                .map(|(mut keys, passes)| {
                    keys.sort_unstable();
                    (keys, passes)
                })
                .collect();
            let mut expected: Vec<(u32, u32, u64)> = (0..)
                .zip(&files)
                .flat_map(|(file, (keys, _))| (0..).zip(keys).map(move |(at, key)| (*key, file, at)))
                .collect();
            expected.sort_unstable();
            prop_assert_eq!(merged(&files).0, expected);
        }
    }

    #[test]
    fn files_that_do_not_overlap_are_open_one_at_a_time() {
        let files: Vec<(Vec<u32>, bool)> = (0..100).map(|file| ((file * 10..file * 10 + 10).collect(), true)).collect();
        let (found, open_max) = merged(&files);
        assert_eq!((found.len(), open_max), (1000, 1));
        // Two partitions whose files go on side by side.
        let side =
            |first: u32| (0..50).map(move |file| ((file * 20 + first..file * 20 + 20).step_by(2).collect(), false));
        let (found, open_max) = merged(&side(0).chain(side(1)).collect::<Vec<_>>());
        assert_eq!((found.len(), open_max), (1000, 2));
        assert!(found.is_sorted());
    }
}
