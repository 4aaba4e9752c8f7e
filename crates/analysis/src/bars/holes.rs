//! What is known to be missing of one instrument, and what that does to its bars.

use feedd_model::{Gap, GapReason, UnixNanos};

/// A span in which trades may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// From here.
    pub from: UnixNanos,
    /// To here.
    pub to: UnixNanos,
    /// Why; `None` when it was recorded, but not shown to the lane, or is several old holes in one.
    pub reason: Option<GapReason>,
    /// Ids of the missing trades, first and last, where they are known.
    pub ids: Option<(i64, i64)>,
    /// How many of them are still missing.
    pub missing: u64,
}

/// How whole the data of an instrument are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality<'a> {
    /// First event of the instrument.
    pub since: UnixNanos,
    /// The lane's clock.
    pub until: UnixNanos,
    /// Share of this span without holes, in basis points, rounded down.
    pub quality_bp: u16,
    /// The holes, by their beginning; of very many, old ones are given up or taken together.
    pub holes: &'a [Hole],
    /// Holes that are not listed any more.
    pub forgotten: u64,
}

/// The holes of an instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holes {
    /// Nothing is known from before.
    pub(super) since: i64,
    pub(super) list: Vec<Hole>,
    pub(super) forgotten: u64,
    /// Nanoseconds within those.
    pub(super) forgotten_nanos: i64,
}

impl Holes {
    pub(super) const fn since(since: i64) -> Self {
        Self { since, list: Vec::new(), forgotten: 0, forgotten_nanos: 0 }
    }

    /// What a gap event, seen at `now`, says of trades; `None` for a hole in the depth alone.
    pub(super) fn of(&self, gap: &Gap, now: i64) -> Option<Hole> {
        if gap.reason == GapReason::BookSequence {
            return None;
        }
        let to = gap.to_ts.map_or(now, |to| to.0);
        let from = gap.from_ts.map_or(self.since, |from| from.0).min(to);
        let ids = gap.first_missing.zip(gap.last_missing).filter(|_| gap.reason == GapReason::VenueSequence);
        let ids = ids.map(|(first, last)| (first.0, last.0));
        Some(Hole {
            from: UnixNanos(from),
            to: UnixNanos(to),
            reason: Some(gap.reason),
            ids,
            missing: gap.events.unwrap_or(0),
        })
    }

    /// Notes a hole. At most `holes_max` are kept: when there are more, the oldest is given up when it lies before
    /// `horizon`, where no bar can change any more; else the two oldest become one, which is coarser but never better.
    pub(super) fn note(&mut self, hole: Hole, holes_max: usize, horizon: i64) {
        if self.list.len() >= holes_max && self.list.len() > 1 {
            let oldest = self.list.remove(0);
            self.forgotten += 1;
            if oldest.to.0 <= horizon {
                self.forgotten_nanos = self.forgotten_nanos.saturating_add(oldest.to.0.saturating_sub(oldest.from.0));
            } else {
                let next = &mut self.list[0];
                *next = Hole { from: oldest.from, to: next.to.max(oldest.to), reason: None, ids: None, missing: 0 };
            }
        }
        let place = self.list.partition_point(|known| known.from <= hole.from);
        self.list.insert(place, hole);
    }

    /// A trade with this id was fetched. The span that is whole now, if it was the last missing one of a hole.
    ///
    /// Ids follow each other, so an interruption within that span has lost nothing more.
    pub(super) fn fetched(&mut self, id: i64) -> Option<(i64, i64)> {
        let is_it =
            |hole: &Hole| hole.missing > 0 && hole.ids.is_some_and(|(first, last)| (first..=last).contains(&id));
        let place = self.list.iter().position(is_it)?;
        let hole = &mut self.list[place];
        hole.missing -= 1;
        if hole.missing > 0 {
            return None;
        }
        let (from, to) = (hole.from, hole.to);
        self.list.remove(place);
        let is_within = |hole: &Hole| from <= hole.from && hole.to <= to;
        self.list.retain(|hole| hole.reason != Some(GapReason::Disconnected) || !is_within(hole));
        Some((from.0, to.0))
    }

    /// Whether trades of `[start, end)` may be missing, and the share of it without holes in basis points, rounded down.
    pub(super) fn judge(&self, start: i64, end: i64) -> (bool, u16) {
        if self.since <= start && self.list.is_empty() {
            return (false, WHOLE);
        }
        let mut is_partial = self.since > start;
        let mut seen_until = self.since.clamp(start, end.max(start));
        let mut missing = seen_until - start;
        for hole in self.list.iter().take_while(|hole| hole.from.0 < end) {
            let (from, to) = (hole.from.0, hole.to.0);
            is_partial |= to > start || from == to && from >= start;
            let (from, to) = (from.max(seen_until), to.min(end));
            if from < to {
                missing += to - from;
                seen_until = to;
            }
        }
        (is_partial, share(missing, end.saturating_sub(start)))
    }

    pub(super) fn quality(&self, clock: i64) -> Quality<'_> {
        let span = clock.saturating_sub(self.since);
        let whole = i64::from(WHOLE);
        let listed = i128::from(whole - i64::from(self.judge(self.since, clock).1)) * i128::from(span.max(0))
            / i128::from(whole);
        let missing = i64::try_from(listed).unwrap_or(i64::MAX).saturating_add(self.forgotten_nanos);
        Quality {
            since: UnixNanos(self.since),
            until: UnixNanos(clock),
            quality_bp: share(missing, span),
            holes: &self.list,
            forgotten: self.forgotten,
        }
    }
}

/// All of it, in basis points.
pub(super) const WHOLE: u16 = 10_000;

/// `span` less `missing` in basis points of `span`, rounded down; all of a span without length.
fn share(missing: i64, span: i64) -> u16 {
    if span <= 0 {
        return WHOLE;
    }
    let kept = i128::from(span) - i128::from(missing.clamp(0, span));
    u16::try_from(kept * i128::from(WHOLE) / i128::from(span)).unwrap_or(WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::VenueSeq;

    fn gap(reason: GapReason, from: i64, to: i64, ids: Option<(i64, i64)>) -> Gap {
        Gap {
            reason,
            first_missing: ids.map(|ids| VenueSeq(ids.0)),
            last_missing: ids.map(|ids| VenueSeq(ids.1)),
            from_ts: Some(UnixNanos(from)),
            to_ts: Some(UnixNanos(to)),
            events: ids.map(|(first, last)| (last - first + 1).unsigned_abs()),
        }
    }

    fn noted(gaps: &[Gap]) -> Holes {
        let mut holes = Holes::since(0);
        for gap in gaps {
            let hole = holes.of(gap, 10_000).expect("a hole in the trades");
            holes.note(hole, 8, i64::MIN);
        }
        holes
    }

    #[test]
    fn shares_are_of_the_union_and_rounded_down() {
        let away = |from, to| gap(GapReason::Disconnected, from, to, None);
        let cases = [
            // name, holes, span, expected
            ("none", vec![], (0, 100), (false, 10_000)),
            ("before the first event", vec![], (-50, 50), (true, 5_000)),
            ("inside", vec![away(10, 20)], (0, 100), (true, 9_000)),
            ("overlapping ones count once", vec![away(10, 30), away(20, 40), away(25, 28)], (0, 100), (true, 7_000)),
            ("across the edges", vec![away(-5, 10), away(90, 200)], (0, 100), (true, 8_000)),
            ("ends where it starts", vec![away(50, 100)], (100, 200), (false, 10_000)),
            ("starts where it ends", vec![away(200, 300)], (100, 200), (false, 10_000)),
            ("without length", vec![away(150, 150)], (100, 200), (true, 10_000)),
            ("one of three", vec![away(0, 1)], (0, 3), (true, 6_666)),
            ("all of it", vec![away(0, 500)], (100, 200), (true, 0)),
        ];
        for (name, gaps, (start, end), expected) in cases {
            assert_eq!(noted(&gaps).judge(start, end), expected, "{name}");
        }
    }

    #[test]
    fn a_hole_in_the_depth_is_none_in_the_trades() {
        let holes = noted(&[]);
        assert_eq!(holes.of(&gap(GapReason::BookSequence, 1, 2, None), 5), None);
        let unknown = Gap { from_ts: None, to_ts: None, ..gap(GapReason::Disconnected, 0, 0, None) };
        let hole = holes.of(&unknown, 5).expect("a hole");
        assert_eq!((hole.from.0, hole.to.0), (0, 5), "from the first event until now");
    }

    #[test]
    fn the_last_missing_trade_heals_the_hole_and_the_interruption_in_it() {
        let mut holes = noted(&[
            gap(GapReason::Disconnected, 12, 18, None),
            gap(GapReason::RingFull, 13, 14, None),
            gap(GapReason::VenueSequence, 10, 20, Some((5, 6))),
        ]);
        assert_eq!(holes.fetched(7), None);
        assert_eq!(holes.fetched(5), None);
        assert_eq!(holes.fetched(6), Some((10, 20)));
        assert_eq!(holes.list.iter().map(|hole| hole.reason).collect::<Vec<_>>(), [Some(GapReason::RingFull)]);
        assert_eq!(holes.fetched(6), None, "it is whole already");
    }

    #[test]
    fn of_too_many_holes_the_oldest_are_given_up_or_taken_together() {
        let hole =
            |from: i64, to| Hole { from: UnixNanos(from), to: UnixNanos(to), reason: None, ids: None, missing: 0 };
        let mut holes = Holes::since(0);
        for (from, horizon) in [(10, 0), (20, 0), (30, 15), (40, 0)] {
            holes.note(hole(from, from + 2), 2, horizon);
        }
        assert_eq!(holes.list, [hole(20, 32), hole(40, 42)], "the first was over, the next two became one");
        let quality = holes.quality(100);
        assert_eq!((quality.forgotten, quality.quality_bp), (2, 8_400), "2 forgotten, 12 and 2 listed of 100");
    }
}
