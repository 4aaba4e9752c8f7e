//! The order book of one simulated symbol: a walking price, the levels around it, and what changed since the last diff.
//!
//! Hot path: no allocation, lock, log or syscall.

use super::profile::Profile;
use fastrand::Rng;

/// Rungs per side that belong to the book. The snapshot shows all of them.
pub(super) const LEVELS: u64 = 100;
/// Most levels in one diff, both sides together.
pub(super) const CHANGES_MAX: usize = 40;

/// Slots for the sizes: a power of two above both sides with the widest spread between them.
const SLOTS: u64 = 256;
/// Widest spread, in rungs.
const SPREAD_MAX: u64 = 3;
/// Most levels that one move of the market changes: two that leave, two that come, one that was empty.
const MOVE_CHANGES: usize = 5;
/// Kept free for the best bid and the best ask, whose sizes change also when the price may not move.
const RESIZE_CHANGES: usize = 2;

const _: () = assert!(2 * LEVELS + SPREAD_MAX + 2 <= SLOTS && SLOTS.is_power_of_two());

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Buyers.
    Bid,
    /// Sellers.
    Ask,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Bid => Self::Ask,
            Self::Ask => Self::Bid,
        }
    }

    fn random(rng: &mut Rng) -> Self {
        if rng.bool() { Self::Bid } else { Self::Ask }
    }
}

/// One level: price and total size in 10^-8; a size of 0 removes the level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) price_e8: u64,
    pub(super) size_e8: u64,
}

/// The book. The best bid is always below the best ask, and neither is ever empty.
#[derive(Debug)]
pub(super) struct Book {
    profile: Profile,
    bid: u64,
    ask: u64,
    /// Size in lots of each rung of both sides, at `rung % SLOTS`; 0 outside the book, so that a level that enters
    /// it always counts as a change.
    lots: Box<[u64]>,
    /// Rungs changed since the last diff; `None` when no diffs are wanted.
    changed: Option<Changed>,
    /// Id of the latest change; every changed level takes one.
    update_id: u64,
    /// `update_id` at the last diff or snapshot.
    reported_id: u64,
    /// Bid and ask of the last quote, as rung and size in lots.
    quoted: [(u64, u64); 2],
}

#[derive(Debug)]
struct Changed {
    bids: Vec<u64>,
    asks: Vec<u64>,
}

impl Book {
    /// A full book around the profile's price. `tracks_changes`: whether diffs will be asked for.
    pub(super) fn new(profile: Profile, tracks_changes: bool, update_id: u64, rng: &mut Rng) -> Self {
        let (bid, ask) = (profile.rung_first(), profile.rung_first() + 1);
        let mut lots = vec![0; slot(SLOTS - 1) + 1].into_boxed_slice();
        for rung in bid + 1 - LEVELS..ask + LEVELS {
            lots[slot(rung)] = fresh_lots(profile, rng);
        }
        let changed = tracks_changes
            .then(|| Changed { bids: Vec::with_capacity(CHANGES_MAX), asks: Vec::with_capacity(CHANGES_MAX) });
        Self { profile, bid, ask, lots, changed, update_id, reported_id: update_id, quoted: [(0, 0); 2] }
    }

    /// Best level of a side.
    pub(super) fn best(&self, side: Side) -> Level {
        self.level(side, self.rung_at(side, 0))
    }

    /// Id of the latest change.
    pub(super) const fn update_id(&self) -> u64 {
        self.update_id
    }

    /// First id that the next diff covers.
    pub(super) const fn diff_first_id(&self) -> u64 {
        self.reported_id + 1
    }

    /// The levels of a side that are not empty, best first.
    pub(super) fn levels(&self, side: Side) -> impl Iterator<Item = Level> {
        (0..LEVELS).map(move |depth| self.level(side, self.rung_at(side, depth))).filter(|level| level.size_e8 > 0)
    }

    /// The levels of a side that changed since the last diff, best first.
    pub(super) fn changes(&mut self, side: Side) -> impl Iterator<Item = Level> {
        if let Some(changed) = &mut self.changed {
            match side {
                Side::Bid => changed.bids.sort_unstable_by_key(|&rung| std::cmp::Reverse(rung)),
                Side::Ask => changed.asks.sort_unstable(),
            }
        }
        let book = &*self;
        let rungs = book.changed.as_ref().map_or(&[][..], |changed| changed.side(side));
        rungs.iter().map(move |&rung| book.level(side, rung))
    }

    /// The diff was written: the next one starts after it.
    pub(super) fn mark_reported(&mut self) {
        self.reported_id = self.update_id;
        if let Some(changed) = &mut self.changed {
            changed.bids.clear();
            changed.asks.clear();
        }
    }

    /// Changes the top of the book: mostly a size, sometimes the spread or the price.
    pub(super) fn requote(&mut self, rng: &mut Rng) {
        let side = Side::random(rng);
        let spread = self.ask - self.bid;
        match rng.u32(..16) {
            0 if self.may_retreat(side) => {
                self.retreat(side, rng);
                self.improve(side.other(), rng);
            }
            1 if spread < SPREAD_MAX && self.may_retreat(side) => self.retreat(side, rng),
            2 | 3 if spread > 1 && self.has_room_to_move() => self.improve(side, rng),
            _ => self.resize_best(side, rng),
        }
    }

    /// A quote comes next. What came since the last one may have led back to it; then a size changes, for a quote always says
    /// something new.
    pub(super) fn mark_quoted(&mut self, rng: &mut Rng) {
        if self.top() == self.quoted {
            self.resize_best(Side::random(rng), rng);
        }
        self.quoted = self.top();
    }

    fn top(&self) -> [(u64, u64); 2] {
        [self.bid, self.ask].map(|rung| (rung, self.lots[slot(rung)]))
    }

    /// Executes one trade against the best level of `side` and says what was traded.
    pub(super) fn trade(&mut self, side: Side, rng: &mut Rng) -> Level {
        let rung = self.rung_at(side, 0);
        let there = self.lots[slot(rung)];
        // Orders that take are smaller than the levels they meet.
        let wanted = (fresh_lots(self.profile, rng) >> 3).max(1);
        let lots = wanted.min(there);
        if lots < there {
            self.put(side, rung, there - lots);
        } else if self.may_retreat(side) {
            self.retreat(side, rng);
            if self.ask - self.bid > SPREAD_MAX || rng.bool() {
                self.improve(side.other(), rng);
            }
        } else {
            // The price may not move now: what was taken is offered again.
            self.resize_best(side, rng);
        }
        Level { price_e8: self.profile.price_e8(rung), size_e8: lots * self.profile.lot_e8 }
    }

    /// Changes levels behind the best ones, until the diff has at least one level and at most [`CHANGES_MAX`].
    pub(super) fn churn(&mut self, rng: &mut Rng) {
        // Most diffs are small, a few are full.
        let wanted = 1 + (rng.usize(..CHANGES_MAX) >> rng.u32(..5));
        for _ in 0..wanted {
            if self.changed_len() >= CHANGES_MAX {
                break;
            }
            let side = Side::random(rng);
            let depth = 1 + (rng.u64(..LEVELS - 1) >> rng.u32(..4));
            let rung = self.rung_at(side, depth);
            let is_removed = self.lots[slot(rung)] > 0 && rng.u32(..4) == 0;
            let lots = if is_removed { 0 } else { self.other_lots(rung, rng) };
            self.put(side, rung, lots);
        }
    }

    /// The best level of `side` leaves and the next one is the best: the spread widens by a rung.
    fn retreat(&mut self, side: Side, rng: &mut Rng) {
        self.put(side, self.rung_at(side, 0), 0);
        self.put(side, self.rung_at(side, LEVELS), fresh_lots(self.profile, rng));
        match side {
            Side::Bid => self.bid -= 1,
            Side::Ask => self.ask += 1,
        }
        let best = self.rung_at(side, 0);
        if self.lots[slot(best)] == 0 {
            self.put(side, best, fresh_lots(self.profile, rng));
        }
    }

    /// A better level comes on `side`: the spread narrows by a rung. The spread must be above one rung.
    fn improve(&mut self, side: Side, rng: &mut Rng) {
        debug_assert!(self.ask - self.bid > 1, "a quote is never crossed");
        self.put(side, self.rung_at(side, LEVELS - 1), 0);
        match side {
            Side::Bid => self.bid += 1,
            Side::Ask => self.ask -= 1,
        }
        self.put(side, self.rung_at(side, 0), fresh_lots(self.profile, rng));
    }

    fn resize_best(&mut self, side: Side, rng: &mut Rng) {
        let rung = self.rung_at(side, 0);
        let lots = self.other_lots(rung, rng);
        self.put(side, rung, lots);
    }

    /// Whether the price may walk away on `side`: it stays between half and twice its start.
    fn may_retreat(&self, side: Side) -> bool {
        let first = self.profile.rung_first();
        self.has_room_to_move()
            && match side {
                Side::Bid => self.bid > first / 2,
                Side::Ask => self.ask < first * 2,
            }
    }

    fn has_room_to_move(&self) -> bool {
        self.changed_len() + MOVE_CHANGES + RESIZE_CHANGES <= CHANGES_MAX
    }

    fn changed_len(&self) -> usize {
        self.changed.as_ref().map_or(0, |changed| changed.bids.len() + changed.asks.len())
    }

    /// A size above 0 that differs from what the rung has now.
    fn other_lots(&self, rung: u64, rng: &mut Rng) -> u64 {
        let lots = fresh_lots(self.profile, rng);
        if lots == self.lots[slot(rung)] { lots + 1 } else { lots }
    }

    fn put(&mut self, side: Side, rung: u64, lots: u64) {
        let there = &mut self.lots[slot(rung)];
        if *there == lots {
            return;
        }
        *there = lots;
        self.update_id += 1;
        if let Some(changed) = &mut self.changed {
            let rungs = changed.side_mut(side);
            if !rungs.contains(&rung) {
                rungs.push(rung);
            }
        }
    }

    /// The rung `depth` levels behind the best one of a side.
    const fn rung_at(&self, side: Side, depth: u64) -> u64 {
        match side {
            Side::Bid => self.bid - depth,
            Side::Ask => self.ask + depth,
        }
    }

    /// The level on a rung; size 0 when the rung does not belong to that side (any more).
    fn level(&self, side: Side, rung: u64) -> Level {
        let is_on_side = match side {
            Side::Bid => rung <= self.bid && rung + LEVELS > self.bid,
            Side::Ask => rung >= self.ask && rung < self.ask + LEVELS,
        };
        let lots = if is_on_side { self.lots[slot(rung)] } else { 0 };
        Level { price_e8: self.profile.price_e8(rung), size_e8: lots * self.profile.lot_e8 }
    }
}

impl Changed {
    fn side(&self, side: Side) -> &[u64] {
        match side {
            Side::Bid => &self.bids,
            Side::Ask => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut Vec<u64> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a remainder of SLOTS fits any usize")]
const fn slot(rung: u64) -> usize {
    (rung % SLOTS) as usize
}

/// A size above 0 in lots: many small ones, few large ones.
fn fresh_lots(profile: Profile, rng: &mut Rng) -> u64 {
    let draw = rng.u64(..);
    let largest = (1u64 << profile.size_bits) - 1;
    // Low bits give the size, the topmost four how much smaller than the largest it is.
    1 + ((draw & largest) >> (draw >> 60).min(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without a diff in between the list of changes fills up; from then on only the best sizes change.
    #[test]
    fn changes_never_exceed_one_diff() {
        for seed in 0..500 {
            let mut rng = Rng::with_seed(seed);
            let mut book = Book::new(Profile::of("TRXUSDT"), true, 0, &mut rng);
            // Trades against one side alone: the price walks away.
            let side = Side::random(&mut rng);
            for _ in 0..500 {
                book.trade(side, &mut rng);
                book.requote(&mut rng);
            }
            let filled = book.changed_len();
            assert!(filled > CHANGES_MAX - MOVE_CHANGES - RESIZE_CHANGES && filled <= CHANGES_MAX, "{seed}: {filled}");
            book.churn(&mut rng);
            assert!(book.changed_len() <= CHANGES_MAX, "{seed}");
        }
    }

    /// Where a trade and a new order lead back to what the last quote said, the next one says something else.
    #[test]
    fn a_quote_says_something_new() {
        let mut rng = Rng::with_seed(1);
        let mut book = Book::new(Profile::of("TRXUSDT"), false, 0, &mut rng);
        book.mark_quoted(&mut rng);
        for side in [Side::Bid, Side::Ask] {
            let (before, rung, update_id) = (book.top(), book.rung_at(side, 0), book.update_id());
            let lots = book.lots[slot(rung)];
            book.put(side, rung, lots + 1);
            book.put(side, rung, lots);
            book.mark_quoted(&mut rng);
            assert_ne!(book.top(), before);
            assert_eq!(book.update_id(), update_id + 3);
        }
        // What is new already stays as it is.
        let rung = book.rung_at(Side::Bid, 0);
        book.put(Side::Bid, rung, book.lots[slot(rung)] + 1);
        let told = book.top();
        book.mark_quoted(&mut rng);
        assert_eq!((book.top(), book.quoted), (told, told));
    }

    /// Without diffs the price walks on, within its bounds.
    #[test]
    fn the_price_stays_between_half_and_twice_its_start() {
        let mut rng = Rng::with_seed(1);
        let profile = Profile::of("TRXUSDT");
        let mut book = Book::new(profile, false, 0, &mut rng);
        for side in [Side::Ask, Side::Bid] {
            let mut reached = profile.rung_first();
            for _ in 0..100_000 {
                book.trade(side, &mut rng);
                reached = if side == Side::Ask { reached.max(book.ask) } else { reached.min(book.bid) };
            }
            let bound = if side == Side::Ask { profile.rung_first() * 2 } else { profile.rung_first() / 2 };
            assert_eq!(reached, bound, "{side:?}");
            assert!(book.levels(Side::Bid).count() + book.levels(Side::Ask).count() == 200);
        }
    }
}
