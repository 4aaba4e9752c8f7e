//! How far a reader has come in a stream, and which sequence numbers it has not seen: the one rule by which recovery and
//! cursors find holes and repetitions.

use feedd_model::{Epoch, Position, Seq};

/// The last position that was read, or is known to be missing. `None` before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress(pub(crate) Option<Position>);

/// Events of one epoch that were not found, both ends inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) epoch: Epoch,
    pub(crate) first: Seq,
    pub(crate) last: Seq,
}

impl Hole {
    pub(crate) fn ends(self) -> (Position, Position) {
        let at = |seq| Position { epoch: self.epoch, seq };
        (at(self.first), at(self.last))
    }
}

impl Progress {
    /// Everything up to `known` existed: what of it has not been read. The first position known is no hole.
    pub(crate) fn pass(&mut self, known: Position) -> Option<Hole> {
        let at = self.0.replace(self.0.map_or(known, |at| at.max(known)))?;
        if known <= at {
            return None;
        }
        let first = if known.epoch == at.epoch { at.seq.next() } else { Seq(1) };
        (first <= known.seq).then_some(Hole { epoch: known.epoch, first, last: known.seq })
    }

    /// The next run of events: the hole before it, and how many of its events were read before.
    pub(crate) fn run(&mut self, epoch: Epoch, first: Seq, last: Seq) -> (Option<Hole>, u64) {
        let hole = self.pass(Position { epoch, seq: Seq(first.0 - 1) });
        let end = Position { epoch, seq: last };
        let count = last.0 + 1 - first.0;
        let known = match self.0 {
            Some(at) if at >= end => count,
            Some(at) if at.epoch == epoch => (at.seq.0 + 1).saturating_sub(first.0),
            _ => 0,
        };
        if known < count {
            self.0 = Some(end);
        }
        (hole, known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u32, seq: u64) -> Position {
        Position { epoch: Epoch(epoch), seq: Seq(seq) }
    }

    fn hole(epoch: u32, first: u64, last: u64) -> Option<Hole> {
        Some(Hole { epoch: Epoch(epoch), first: Seq(first), last: Seq(last) })
    }

    #[test]
    fn holes_and_repetitions() {
        let cases = [
            // name, read before, epoch and run, hole, known
            ("in line", at(1, 5), (1, 6, 9), None, 0),
            ("hole", at(1, 5), (1, 8, 9), hole(1, 6, 7), 0),
            ("repeated whole", at(1, 9), (1, 4, 9), None, 6),
            ("repeated in part", at(1, 9), (1, 8, 11), None, 2),
            ("next epoch", at(1, 9), (2, 1, 3), None, 0),
            ("next epoch without its beginning", at(1, 9), (2, 4, 6), hole(2, 1, 3), 0),
            ("an epoch before", at(2, 1), (1, 4, 6), None, 3),
        ];
        for (name, before, (epoch, first, last), expected, known) in cases {
            let mut progress = Progress(Some(before));
            assert_eq!(progress.run(Epoch(epoch), Seq(first), Seq(last)), (expected, known), "{name}");
            assert_eq!(progress.0, Some(before.max(at(epoch, last))), "{name}");
        }
        let mut fresh = Progress::default();
        assert_eq!(fresh.run(Epoch(3), Seq(7), Seq(8)), (None, 0), "where reading begins is no hole");
        assert_eq!(fresh.pass(at(3, 8)), None);
        assert_eq!(fresh.pass(at(3, 10)), hole(3, 9, 10));
    }
}
