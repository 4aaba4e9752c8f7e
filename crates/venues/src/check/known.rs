//! What a later start has to know of the trades of one instrument that this one has stored.

use super::ids::{IdSet, RECENT_IDS, Seen};
use super::trades::{Numbers, TradeIds};
use feedd_model::{TradeId, UnixNanos};
use std::collections::VecDeque;

/// Trades of one instrument that are stored: of dense ids every one since the first, but for at most
/// [`super::ids::HOLES_MAX`] holes; of others the last [`RECENT_IDS`].
///
/// Fed with what was stored, in its order, it knows what the checker that judged it knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownTrades {
    pub(super) rule: TradeIds,
    pub(super) numbers: Numbers,
    /// Oldest first.
    pub(super) recent: VecDeque<u128>,
    /// When the last of them was received, of those that were not fetched later.
    pub(super) last_ts: Option<UnixNanos>,
}

impl KnownTrades {
    /// None yet, of a venue that numbers its trades so.
    #[must_use]
    pub fn new(rule: TradeIds) -> Self {
        Self { rule, numbers: Numbers::default(), recent: VecDeque::new(), last_ts: None }
    }

    /// How the venue numbers its trades.
    #[must_use]
    pub const fn rule(&self) -> TradeIds {
        self.rule
    }

    /// A trade is stored that the venue made at `made_ts`. `recv_ts`: when it was received; `None` when it was fetched
    /// later.
    pub fn note(&mut self, id: TradeId, made_ts: Option<UnixNanos>, recv_ts: Option<UnixNanos>) {
        match (self.rule, id) {
            (_, TradeId::None) => {}
            (TradeIds::Dense | TradeIds::DenseNewestFirst, TradeId::Number(id)) => match u64::try_from(id) {
                Ok(id) => self.number(id, made_ts),
                Err(_) => self.remember(id),
            },
            (TradeIds::Learned, TradeId::Number(id)) => {
                if let Ok(id) = u64::try_from(id) {
                    self.number(id, made_ts);
                }
                self.remember(id);
            }
            (_, TradeId::Number(id) | TradeId::Uuid(id)) => self.remember(id),
        }
        self.numbers.made_ts = self.numbers.made_ts.max(made_ts);
        self.last_ts = recv_ts.or(self.last_ts);
    }

    fn number(&mut self, id: u64, made_ts: Option<UnixNanos>) {
        // As the checker did: it was stored although its number was known.
        if self.numbers.insert(id) == Seen::Again && self.numbers.is_anew(made_ts) {
            self.numbers = Numbers::default();
            self.recent.clear();
            self.numbers.insert(id);
        }
    }

    fn remember(&mut self, id: u128) {
        if self.recent.len() == RECENT_IDS {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
    }

    /// As one JSON object.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let holes = self.numbers.ids.missing_in(0..=u64::MAX).map(std::ops::RangeInclusive::into_inner);
        let recent = self.recent.iter().map(|id| format!("{id:x}"));
        serde_json::json!({
            "ids": self.rule.name(),
            "seen": self.numbers.ids.seen(),
            "holes": holes.collect::<Vec<_>>(),
            "followed": self.numbers.followed,
            "left": self.numbers.holes,
            "made_ns": self.numbers.made_ts.map(|at| at.0),
            "last_ns": self.last_ts.map(|at| at.0),
            "recent": recent.collect::<Vec<_>>(),
        })
    }

    /// Reads what [`KnownTrades::to_json`] gave; `None` for anything else.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> Option<Self> {
        let text: Text = serde::Deserialize::deserialize(json).ok()?;
        let holes = text.holes.into_iter().map(|(first, last)| first..=last).collect::<Vec<_>>();
        let ids = match text.seen {
            Some(seen) => IdSet::with_holes(seen, holes)?,
            None if holes.is_empty() => IdSet::default(),
            None => return None,
        };
        let recent = text.recent.iter().map(|id| u128::from_str_radix(id, 16).ok()).collect::<Option<VecDeque<_>>>()?;
        let made_ts = text.made_ns.map(UnixNanos);
        let numbers = Numbers { ids, followed: text.followed, holes: text.left, made_ts };
        let rule = TradeIds::from_name(&text.ids)?;
        let last_ts = text.last_ns.map(UnixNanos);
        (recent.len() <= RECENT_IDS).then_some(Self { rule, numbers, recent, last_ts })
    }
}

#[derive(serde::Deserialize)]
struct Text {
    ids: String,
    seen: Option<(u64, u64)>,
    holes: Vec<(u64, u64)>,
    followed: u64,
    left: u64,
    made_ns: Option<i64>,
    last_ns: Option<i64>,
    recent: Vec<String>,
}
