//! Whether the trades of one instrument are all there, each once.

use super::ids::{IdSet, RecentIds, Seen};
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

/// So many ids must have followed each other before a hole among them counts.
const LEARNED_AFTER: u64 = 500;
/// And so many for each hole that there was.
const LEARNED_PER_HOLE: u64 = 200;

/// The trades of one instrument.
#[derive(Debug, Default)]
pub(super) struct TradeTrack {
    dense: IdSet,
    recent: RecentIds,
    /// Of ids that may be dense: how many followed the one before, and how many left a hole.
    followed: u64,
    holes: u64,
    /// What this frame has shown to be missing; it may still bring it itself.
    suspected: Vec<RangeInclusive<u64>>,
    /// When the last trade before what is missing was received.
    pub(super) before_ts: Option<UnixNanos>,
    pub(super) last_ts: Option<UnixNanos>,
}

impl TradeTrack {
    /// Takes the id of a trade; false when it is known. Says with [`TradeTrack::suspects`] whether something is missing
    /// before it.
    #[inline]
    pub(super) fn take(&mut self, rule: TradeIds, id: TradeId, recv_ts: Option<UnixNanos>) -> bool {
        let is_new = match (rule, id) {
            (_, TradeId::None) => true,
            (TradeIds::Dense | TradeIds::DenseNewestFirst, TradeId::Number(id)) => match u64::try_from(id) {
                Ok(id) => self.take_dense(id),
                Err(_) => self.recent.insert(id),
            },
            (TradeIds::Learned, TradeId::Number(id)) => {
                let is_new = self.recent.insert(id);
                if let Some(id) = u64::try_from(id).ok().filter(|_| is_new) {
                    self.learn(id);
                }
                is_new
            }
            (_, TradeId::Number(id) | TradeId::Uuid(id)) => self.recent.insert(id),
        };
        if is_new {
            self.last_ts = recv_ts.or(self.last_ts);
        }
        is_new
    }

    #[inline]
    fn take_dense(&mut self, id: u64) -> bool {
        match self.dense.insert(id) {
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

    /// Of numbers that may be dense: holes count when they are rare.
    fn learn(&mut self, id: u64) {
        match self.dense.insert(id) {
            Seen::Next => self.followed += 1,
            Seen::Ahead(hole) => {
                if self.followed >= LEARNED_AFTER && self.followed >= self.holes * LEARNED_PER_HOLE {
                    self.before_ts = self.last_ts;
                    self.suspected.push(hole);
                }
                self.holes += 1;
            }
            Seen::First | Seen::FillsHole | Seen::Before | Seen::Again => {}
        }
    }

    /// Whether this frame has left a hole so far.
    pub(super) fn suspects(&self) -> bool {
        !self.suspected.is_empty()
    }

    /// What this frame has left missing, ascending.
    pub(super) fn confirm(&mut self) -> Vec<RangeInclusive<u64>> {
        let suspected = std::mem::take(&mut self.suspected);
        suspected.into_iter().flat_map(|range| self.dense.missing_in(range).collect::<Vec<_>>()).collect()
    }

    /// Whether an id is one of those that are missing.
    pub(super) fn is_missing(&self, id: TradeId) -> bool {
        let TradeId::Number(id) = id else { return false };
        u64::try_from(id).is_ok_and(|id| self.dense.missing_in(id..=id).next().is_some())
    }

    /// The first and last of the missing ids of a range.
    pub(super) fn still_missing(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        self.dense
            .missing_in(first..=last)
            .fold(None, |found, range| Some((found.map_or(*range.start(), |(low, _)| low), *range.end())))
    }
}
