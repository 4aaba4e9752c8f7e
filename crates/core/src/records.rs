//! Derived records of a batch, put together from their slots.

use feedd_model::{Derived, DerivedReader, Event, Seq};
use std::collections::VecDeque;

/// A whole record of a batch. Its slots are the sequences from `first` on, as many as its kind has.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Sequence of the first slot.
    pub first: Seq,
    /// The first slot: instrument, time and kind of the record.
    pub head: &'a Event,
    /// What the slots say.
    pub record: Derived,
}

impl Record<'_> {
    /// Sequences of its slots.
    pub fn seqs(&self) -> impl Iterator<Item = Seq> + use<> {
        (self.first.0..self.first.0 + self.record.kind().slots() as u64).map(Seq)
    }
}

/// Why an event is refused that is [`Records`]' lone slot.
pub const LONE_SLOT: &str = "a part of a derived record whose other parts are not beside it";

/// See [`records`].
#[derive(Debug)]
pub struct Records<'a, I> {
    events: I,
    reader: DerivedReader,
    /// Read, and in no record yet: sequences of consecutive slots.
    open: VecDeque<(Seq, &'a Event)>,
    /// How many of `open`, from the front, are in no record.
    lone: usize,
    /// What the others of `open` are.
    whole: Option<Derived>,
}

/// The derived records among `events`, in order; slots that are in no whole record by their sequence. Other events are
/// passed over.
pub fn records<'a, I: Iterator<Item = (Seq, &'a Event)>>(events: I) -> Records<'a, I> {
    Records { events, reader: DerivedReader::default(), open: VecDeque::new(), lone: 0, whole: None }
}

impl<'a, I: Iterator<Item = (Seq, &'a Event)>> Iterator for Records<'a, I> {
    type Item = Result<Record<'a>, Seq>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.lone > 0 {
                self.lone -= 1;
                return self.open.pop_front().map(|(seq, _)| Err(seq));
            }
            if let Some(record) = self.whole.take() {
                let (first, head) = self.open.front().copied()?;
                self.open.clear();
                return Some(Ok(Record { first, head, record }));
            }
            let Some((seq, event)) = self.events.by_ref().find(|(_, event)| event.kind().is_slot()) else {
                self.lone = self.open.len();
                self.open.front()?;
                continue;
            };
            let lost = self.reader.lost();
            if self.open.back().is_some_and(|(last, _)| last.next() != seq) {
                self.reader.reset();
            }
            self.open.push_back((seq, event));
            self.whole = self.reader.push(event);
            // A record that is whole may have left the beginning of another one behind.
            self.lone = usize::try_from(self.reader.lost() - lost).unwrap_or(self.open.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::sink::{sample_derived, sample_events};
    use proptest::prelude::*;

    proptest! {
        /// Whatever stands between and whatever is missing: each slot is in one record or told to be alone.
        #[test]
        fn every_slot_is_in_a_record_or_alone(kept in prop::collection::vec((0u8..9, any::<bool>()), 40)) {
            let other = sample_events(1)[0];
            let (mut events, mut expected, mut seq) = (Vec::new(), Vec::new(), 0);
            for (at, (lost, between)) in kept.into_iter().enumerate() {
                let record = sample_derived(at);
                let slots = record.to_events();
                let whole = usize::from(lost) >= slots.events().len();
                for (part, event) in slots.events().iter().enumerate() {
                    seq += 1;
                    if part != usize::from(lost) {
                        events.push((Seq(seq), *event));
                        if !whole {
                            expected.push((seq, None));
                        } else if part == 0 {
                            expected.push((seq, Some(format!("{record:?}"))));
                        }
                    }
                }
                if between {
                    seq += 1;
                    events.push((Seq(seq), other));
                }
            }
            let found: Vec<_> = records(events.iter().map(|(seq, event)| (*seq, event)))
                .map(|found| match found {
                    Ok(record) => {
                        assert_eq!(record.head.kind(), record.record.kind());
                        assert_eq!(record.seqs().count(), record.record.kind().slots());
                        (record.first.0, Some(format!("{:?}", record.record)))
                    }
                    Err(seq) => (seq.0, None),
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
