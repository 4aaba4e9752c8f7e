//! Whether the trades of one instrument are all there, each once.

use super::ids::{IdSet, RecentIds, Seen};
use super::known::KnownTrades;
use feedd_model::{TradeId, UnixNanos};
use std::ops::RangeInclusive;

/// How a venue numbers its trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeIds {
    /// Each id is the one before plus one: a hole is a loss.
    Dense,
    /// As dense, and one frame lists the newest first (Coinbase Advanced).
    DenseNewestFirst,
    /// No source says that each id is the one before plus one, but it may be so: a hole counts once enough ids have followed
    /// each other (OKX, Bybit spot).
    Learned,
    /// Ids tell trades apart, no more: they are no numbers (Bybit linear).
    Opaque,
}

impl TradeIds {
    const ALL: [Self; 4] = [Self::Dense, Self::DenseNewestFirst, Self::Learned, Self::Opaque];

    /// The word for it in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dense => "dense",
            Self::DenseNewestFirst => "dense_newest_first",
            Self::Learned => "learned",
            Self::Opaque => "opaque",
        }
    }

    /// What [`TradeIds::name`] gave.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Whether each id is the one before plus one.
    #[must_use]
    pub const fn is_dense(self) -> bool {
        matches!(self, Self::Dense | Self::DenseNewestFirst)
    }
}

/// So many ids must have followed each other before a hole among them counts.
const LEARNED_AFTER: u64 = 500;
/// And so many for each hole that nothing has filled. Where numbers stand for something else, such as the orders that a trade
/// consists of, holes are far more frequent; faults of a bad day are not.
const LEARNED_PER_HOLE: u64 = 100;
/// A known id of a trade that was made so much later than every other one stands for another trade: the venue's numbers
/// have begun again. Trades of one instrument are numbered in their order, to a few milliseconds.
const ANEW_NANOS: i64 = 10_000_000_000;
/// Of the holes that an earlier start left, so many of the newest are asked for again: filling them may have been
/// interrupted. Older ones were, or the venue did not have them.
const ASKED_AGAIN: usize = 4;

/// Ids that are numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) ids: IdSet,
    /// How many followed the one before, and how many holes were left that nothing has filled.
    pub(super) followed: u64,
    pub(super) holes: u64,
    /// When the venue made the newest trade.
    pub(super) made_ts: Option<UnixNanos>,
}

impl Numbers {
    /// Notes an id.
    #[inline]
    pub(super) fn insert(&mut self, id: u64) -> Seen {
        let before = self.ids.holes();
        let seen = self.ids.insert(id);
        match seen {
            Seen::Next => self.followed += 1,
            Seen::Ahead(_) => self.holes += 1,
            // What was filled, by a late frame or out of the venue's history, was a loss and says nothing against the
            // numbers; what is left of it on both sides of a trade does.
            Seen::FillsHole => self.holes = (self.holes + self.ids.holes() as u64).saturating_sub(before as u64),
            Seen::First | Seen::Before | Seen::Again => {}
        }
        seen
    }

    /// Whether the hole that was just left counts where nobody says that ids are dense: when holes are rare.
    const fn is_rare(&self) -> bool {
        self.followed >= LEARNED_AFTER && self.followed >= self.holes.saturating_sub(1) * LEARNED_PER_HOLE
    }

    /// Whether a trade made then, with an id that is known, is another one.
    pub(super) fn is_anew(&self, made_ts: Option<UnixNanos>) -> bool {
        let both = made_ts.zip(self.made_ts);
        both.is_some_and(|(made, newest)| made.0 > newest.0.saturating_add(ANEW_NANOS))
    }
}

/// The trades of one instrument.
#[derive(Debug, Default)]
pub(super) struct TradeTrack {
    numbers: Numbers,
    recent: RecentIds,
    /// What this frame has shown to be missing; it may still bring it itself.
    suspected: Vec<RangeInclusive<u64>>,
    /// The venue's numbers have begun again with the last trade.
    begins_anew: bool,
    /// When the last trade before what is missing was received.
    pub(super) before_ts: Option<UnixNanos>,
    pub(super) last_ts: Option<UnixNanos>,
}

impl TradeTrack {
    /// Goes on from what an earlier start has stored; and the holes in it that are to be asked for again.
    pub(super) fn after(rule: TradeIds, known: KnownTrades) -> (Self, Vec<RangeInclusive<u64>>) {
        let mut track = Self::default();
        if known.rule != rule && !(known.rule.is_dense() && rule.is_dense()) {
            return (track, Vec::new());
        }
        for id in known.recent {
            track.recent.insert(id);
        }
        track.last_ts = known.last_ts;
        track.numbers = known.numbers;
        if !rule.is_dense() {
            return (track, Vec::new());
        }
        let mut holes: Vec<_> = track.numbers.ids.missing_in(0..=u64::MAX).collect();
        holes.drain(..holes.len().saturating_sub(ASKED_AGAIN));
        (track, holes)
    }

    /// Takes the id of a trade that the venue made at `made_ts`; false when it is known. Says with
    /// [`TradeTrack::suspects`] whether something is missing before it.
    #[inline]
    pub(super) fn take(
        &mut self,
        rule: TradeIds,
        id: TradeId,
        recv_ts: Option<UnixNanos>,
        made_ts: Option<UnixNanos>,
    ) -> bool {
        let is_new = self.is_new(rule, id, made_ts) || self.is_anew(rule, id, made_ts);
        if is_new {
            self.last_ts = recv_ts.or(self.last_ts);
            self.numbers.made_ts = self.numbers.made_ts.max(made_ts);
        }
        is_new
    }

    #[inline]
    fn is_new(&mut self, rule: TradeIds, id: TradeId, made_ts: Option<UnixNanos>) -> bool {
        match (rule, id) {
            (_, TradeId::None) => true,
            (TradeIds::Dense | TradeIds::DenseNewestFirst, TradeId::Number(id)) => match u64::try_from(id) {
                Ok(id) => self.take_dense(id),
                Err(_) => self.recent.insert(id),
            },
            (TradeIds::Learned, TradeId::Number(id)) => {
                let is_new = self.recent.insert(id);
                match u64::try_from(id) {
                    Ok(id) if is_new => self.learn(id, made_ts),
                    _ => is_new,
                }
            }
            (_, TradeId::Number(id) | TradeId::Uuid(id)) => self.recent.insert(id),
        }
    }

    /// A known number that stands for another trade: everything known of the numbers before is given up.
    #[cold]
    fn is_anew(&mut self, rule: TradeIds, id: TradeId, made_ts: Option<UnixNanos>) -> bool {
        let is_anew = matches!(id, TradeId::Number(_)) && self.numbers.is_anew(made_ts);
        if is_anew {
            (self.numbers, self.recent) = Default::default();
            self.suspected.clear();
            self.is_new(rule, id, made_ts);
            self.before_ts = self.last_ts;
            self.begins_anew = true;
        }
        is_anew
    }

    /// Whether the venue's numbers have begun again with the last trade, told once.
    pub(super) fn takes_anew(&mut self) -> bool {
        std::mem::take(&mut self.begins_anew)
    }

    #[inline]
    fn take_dense(&mut self, id: u64) -> bool {
        match self.numbers.insert(id) {
            Seen::Next => true,
            Seen::Again => false,
            Seen::Ahead(hole) => {
                self.before_ts = self.last_ts;
                self.suspected.push(hole);
                true
            }
            Seen::First | Seen::FillsHole | Seen::Before => true,
        }
    }

    /// Of numbers that may be dense: holes count when they are rare. False when the trade is known although its number is
    /// not a recent one: an answer over REST that fills a long hole goes on to what was stored before it. A trade that was
    /// made after all others is none of these, whatever its number.
    fn learn(&mut self, id: u64, made_ts: Option<UnixNanos>) -> bool {
        let is_dense = self.numbers.is_rare();
        match self.numbers.insert(id) {
            Seen::Ahead(hole) => {
                if self.numbers.is_rare() {
                    self.before_ts = self.last_ts;
                    self.suspected.push(hole);
                }
                true
            }
            Seen::Again => {
                let is_older = made_ts.zip(self.numbers.made_ts).is_some_and(|(made, newest)| made <= newest);
                !(is_dense && is_older)
            }
            Seen::Next | Seen::First | Seen::FillsHole | Seen::Before => true,
        }
    }

    /// Whether this frame has left a hole so far.
    pub(super) fn suspects(&self) -> bool {
        !self.suspected.is_empty()
    }

    /// What this frame has left missing, ascending.
    pub(super) fn confirm(&mut self) -> Vec<RangeInclusive<u64>> {
        let suspected = std::mem::take(&mut self.suspected);
        suspected.into_iter().flat_map(|range| self.numbers.ids.missing_in(range).collect::<Vec<_>>()).collect()
    }

    /// Whether an id is one of those that are missing.
    pub(super) fn is_missing(&self, id: TradeId) -> bool {
        let TradeId::Number(id) = id else { return false };
        u64::try_from(id).is_ok_and(|id| self.numbers.ids.missing_in(id..=id).next().is_some())
    }

    /// The first and last of the missing ids of a range.
    pub(super) fn still_missing(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        self.numbers
            .ids
            .missing_in(first..=last)
            .fold(None, |found, range| Some((found.map_or(*range.start(), |(low, _)| low), *range.end())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More trades than recent ids are kept of: those before them are still known, unless they were made after all others.
    #[test]
    fn trades_before_the_recent_ones_are_known_by_their_learned_numbers() {
        let mut track = TradeTrack::default();
        let mut take = |id: i128, made: i128| {
            let made_ts = i64::try_from(made).ok().map(UnixNanos);
            track.take(TradeIds::Learned, TradeId::Number(id.try_into().unwrap()), made_ts, made_ts)
        };
        assert!((1..=1_000).all(|id| take(id, id)));
        // A hole, and later what fills it.
        assert!((4_001..=4_100).all(|id| take(id, id)));
        assert!((1_001..=4_000).all(|id| take(id, id)), "what was missing is taken");
        assert!((1..=4_100).all(|id| !take(id, id)), "each once");
        assert!(take(10, 5_000), "made after all others: the venue's numbers have begun again");
    }
}
