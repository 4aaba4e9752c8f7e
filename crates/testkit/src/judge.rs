//! Compares what is stored with what was sent, and with what was durable before each fault.
//!
//! The expectation never comes from the store: "everything from 0 to the highest" holds too when the tail is lost. It comes
//! from the oracle's log, and from positions that were read before the fault.

mod set;

use crate::oracle::{Expected, Oracle, SentLog, Side};
use feedd_model::{Epoch, Position, Seq};
use set::NumberSet;
use std::collections::BTreeMap;
use std::fmt;

/// Examples that a finding names.
const EXAMPLES_MAX: usize = 8;

/// One stored row, of any dataset: with only some of them, the others look lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Its identity.
    pub at: Position,
    /// The number of the trade; `None` for a row that is no trade.
    pub trade_id: Option<u64>,
    /// What else is stored of the trade, when that is to be compared.
    pub content: Option<Expected>,
}

impl StoredRow {
    /// Reads `epoch|seq|trade_id` or `epoch|seq|trade_id|symbol|price|size|side|venue_ms`, parted by `|` or by commas, as
    /// `psql` and CSV writers print them. An empty trade id is a row that is no trade.
    ///
    /// # Errors
    /// When the text is none of both.
    pub fn parse(line: &str) -> Result<Self, String> {
        let error = |what: &str| format!("{what}: {line:?}");
        let separator = if line.contains('|') { '|' } else { ',' };
        let columns: Vec<&str> = line.trim_end_matches('\r').split(separator).collect();
        let (&[epoch, seq, trade_id], content) =
            columns.split_first_chunk().ok_or_else(|| error("a row has at least 3 columns"))?;
        let number = |text: &str| text.parse::<u64>().map_err(|_| error("not a number"));
        let epoch = epoch.parse().map_err(|_| error("not an epoch"))?;
        let at = Position { epoch: Epoch(epoch), seq: Seq(number(seq)?) };
        if trade_id.is_empty() {
            return Ok(Self { at, trade_id: None, content: None });
        }
        let trade_id = number(trade_id)?;
        let content = match *content {
            [] => None,
            [symbol, price, size, side, venue_ms] => Some(Expected {
                symbol: symbol.to_owned(),
                trade_id,
                price: price.to_owned(),
                size: size.to_owned(),
                side: side_of(side).ok_or_else(|| error("no side"))?,
                venue_ms: venue_ms.parse().map_err(|_| error("no venue time"))?,
            }),
            _ => return Err(error("a row has 3 or 8 columns")),
        };
        Ok(Self { at, trade_id: Some(trade_id), content })
    }
}

fn side_of(text: &str) -> Option<Side> {
    [Side::Buy, Side::Sell].into_iter().find(|side| side.name() == text)
}

/// A time that the recorder itself says it has not seen, by its receive clock; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Nanoseconds since 1970 UTC.
    pub from_ns: i64,
    /// Nanoseconds since 1970 UTC.
    pub to_ns: i64,
}

/// What the stored rows are held against.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// What was sent.
    pub sent: &'a SentLog,
    /// What the recorder owned up to have missed. A trade counts as inside when all of the range of the log that it was sent
    /// in lies in one gap: exactly its receive time, where the log is exact.
    pub gaps: &'a [Gap],
    /// Positions that were called durable before a fault: all up to there must be stored.
    pub durable: &'a [Position],
}

/// How many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// How many.
    pub count: u64,
    /// The first few, in words.
    pub examples: Vec<String>,
}

impl Finding {
    fn add(&mut self, count: u64, example: impl FnOnce() -> String) {
        self.count += count;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example());
        }
    }
}

/// What the comparison found. `Display` shows all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    /// Rows that were compared.
    pub rows: u64,
    /// Trades that were sent.
    pub sent: u64,
    /// Events that were durable and are not stored.
    pub missing_below_durable: Finding,
    /// Rows whose identity, or whose trade, is stored already.
    pub duplicates: Finding,
    /// Trades that were sent, are not stored, and nobody says why.
    pub missing_outside_gaps: Finding,
    /// Trades that were sent and not seen, as a gap says.
    pub missing_inside_gaps: Finding,
    /// Trades that are stored with another content.
    pub altered: Finding,
    /// Trades that were never sent.
    pub phantoms: Finding,
}

impl Verdict {
    /// Nothing lost, doubled, altered or made up; what was missed is recorded as missed.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost() == 0 && self.duplicates.count == 0 && self.altered.count == 0 && self.phantoms.count == 0
    }

    /// Events that are lost against the promise.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.missing_below_durable.count + self.missing_outside_gaps.count
    }

    const fn findings(&self) -> [(&'static str, &Finding); 6] {
        [
            ("missing below durable", &self.missing_below_durable),
            ("duplicates", &self.duplicates),
            ("missing outside gaps", &self.missing_outside_gaps),
            ("missing inside gaps", &self.missing_inside_gaps),
            ("altered", &self.altered),
            ("phantoms", &self.phantoms),
        ]
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_clean() { "clean" } else { "BROKEN" };
        write!(f, "{word}: {} rows stored, {} trades sent", self.rows, self.sent)?;
        for (name, finding) in self.findings() {
            write!(f, "\n  {name}: {}", finding.count)?;
            for example in &finding.examples {
                write!(f, "\n    {example}")?;
            }
        }
        Ok(())
    }
}

/// Compares all stored rows, in any order, with the evidence.
pub fn judge(rows: impl IntoIterator<Item = StoredRow>, evidence: &Evidence<'_>) -> Verdict {
    let mut verdict = Verdict { sent: evidence.sent.count(), ..Verdict::default() };
    let mut seqs: BTreeMap<Epoch, NumberSet> = BTreeMap::new();
    let mut trades = NumberSet::default();
    for row in rows {
        verdict.rows += 1;
        let new_place = seqs.entry(row.at.epoch).or_default().insert(row.at.seq.0);
        let new_trade = row.trade_id.is_none_or(|n| trades.insert(n));
        if !new_place || !new_trade {
            let what = if new_place { "trade" } else { "identity" };
            verdict.duplicates.add(1, || format!("{} (trade {:?}): {what} is stored already", row.at, row.trade_id));
        }
        judge_trade(&row, evidence.sent, &mut verdict);
    }
    find_lost_positions(&seqs, evidence.durable, &mut verdict.missing_below_durable);
    find_missing_trades(&trades, evidence, &mut verdict);
    verdict
}

fn judge_trade(row: &StoredRow, sent: &SentLog, verdict: &mut Verdict) {
    let Some(n) = row.trade_id else { return };
    if sent.range_of(n).is_none() {
        verdict.phantoms.add(1, || format!("{}: trade {n} was never sent", row.at));
        return;
    }
    if let Some(difference) = row.content.as_ref().and_then(|content| difference(&sent.oracle, n, content)) {
        verdict.altered.add(1, || format!("{}: trade {n}: {difference}", row.at));
    }
}

/// What differs from what was sent. Decimals are compared by value: a store need not keep trailing zeros.
fn difference(oracle: &Oracle, n: u64, stored: &Expected) -> Option<String> {
    let expected = oracle.expect(n);
    let pairs = [
        ("symbol", expected.symbol.as_str(), stored.symbol.as_str()),
        ("price", without_zeros(&expected.price), without_zeros(&stored.price)),
        ("size", without_zeros(&expected.size), without_zeros(&stored.size)),
        ("side", expected.side.name(), stored.side.name()),
    ];
    let differing = pairs.iter().find(|(_, expected, stored)| expected != stored);
    let text = differing.map(|(name, expected, stored)| format!("{name} {stored} instead of {expected}"));
    let times = (expected.venue_ms, stored.venue_ms);
    text.or_else(|| (times.0 != times.1).then(|| format!("venue time {} instead of {}", times.1, times.0)))
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn find_lost_positions(seqs: &BTreeMap<Epoch, NumberSet>, durable: &[Position], finding: &mut Finding) {
    let mut highest: BTreeMap<Epoch, Seq> = BTreeMap::new();
    for position in durable {
        let seq = highest.entry(position.epoch).or_default();
        *seq = (*seq).max(position.seq);
    }
    let none = NumberSet::default();
    for (epoch, last) in highest {
        for (from, to) in seqs.get(&epoch).unwrap_or(&none).holes(1, last.0) {
            finding.add(to - from + 1, || format!("epoch {epoch} seq {from} to {to}, durable to {last}"));
        }
    }
}

fn find_missing_trades(stored: &NumberSet, evidence: &Evidence<'_>, verdict: &mut Verdict) {
    for range in evidence.sent.ranges() {
        let gap = evidence.gaps.iter().find(|gap| gap.from_ns <= range.first_ns && range.last_ns <= gap.to_ns);
        let finding = match gap {
            Some(_) => &mut verdict.missing_inside_gaps,
            None => &mut verdict.missing_outside_gaps,
        };
        for (from, to) in stored.holes(range.first, range.last) {
            finding.add(to - from + 1, || {
                format!("trade {from} to {to}, sent at {} to {} ns", range.first_ns, range.last_ns)
            });
        }
    }
}

#[cfg(test)]
mod tests;
