//! A venue and what records it, from the first frame to the judgement.

use super::books::said;
use super::oracle::{Oracle, is_depth, merge, symbol, time};
use super::recorded::{Recorded, TradeKey};
use super::venue::{Depth, Played};
use crate::harness::Recorder;
use feedd_core::accounting::SourceTotals;
use feedd_model::{GapReason, StatusCode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use venue_sim::{Fault, Server};

/// Far above what anything here takes.
const TIME_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);
/// Trades of the quieter instrument before a strike, where ids are dense: two seconds and more, in which it is learned how
/// often a stream speaks.
const TRADES_BEFORE: usize = 320;
/// And where the recorder has to learn that they are: 500 that followed each other, and some more.
const TRADES_LEARNED: usize = 540;
/// The venue's clock as the rows have it: some venues print milliseconds.
const CLOCK_GRAIN_NS: i64 = 1_000_000;

/// What a fault does to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing at all, or frames are lost, late, twice or wrong: connections stay, and each hole is named.
    Frames,
    /// Every connection ends, and everything that was sent before arrives.
    Ends,
    /// Every connection ends, and what was on its way may be lost.
    Breaks,
    /// Connections stay, and nothing comes for a while.
    Silence,
}

/// A venue that is played, and recorded.
pub(crate) struct Stand {
    pub(crate) played: Played,
    pub(crate) server: Server,
    pub(crate) recorders: Vec<Recorder>,
    pub(crate) recorded: Vec<Recorded>,
    pub(crate) oracle: Oracle,
}

impl Stand {
    /// Starts both, and lets the market move until everything has been heard for a while.
    pub(crate) fn start(played: Played, seed: u64) -> Self {
        let server = played.serve(seed);
        let recorders = Recorder::start_shards(&played.recorded(&server));
        let recorded = recorders.iter().map(|_| Recorded::new(played.depth)).collect();
        let mut stand = Self { played, server, recorders, recorded, oracle: Oracle::default() };
        stand.server.resume_market();
        let least = if played.is_learned { TRADES_LEARNED } else { TRADES_BEFORE };
        stand.until("every stream is heard", |stand| {
            let mut trades: BTreeMap<&str, usize> = BTreeMap::new();
            stand.trade_keys().for_each(|(symbol, _)| *trades.entry(symbol).or_default() += 1);
            trades.len() == 2 && trades.values().all(|count| *count >= least) && stand.whole_books() == 2
        });
        stand
    }

    /// Reads what is new until something holds.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let since = Instant::now();
        loop {
            for (recorder, recorded) in self.recorders.iter_mut().zip(&mut self.recorded) {
                assert!(recorder.is_running(), "{}: the source ended before: {what}", self.played.name());
                recorder.read();
                recorded.take(&recorder.events, &recorder.instruments);
            }
            self.oracle.read(&self.server);
            if holds(self) {
                return;
            }
            assert!(
                since.elapsed() < TIME_MAX,
                "{}: {what}: not within {TIME_MAX:?}: {}",
                self.played.name(),
                self.seen()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// For a test that fails: how far it is.
    fn seen(&self) -> String {
        let sessions: Vec<_> = self.recorders.iter().map(|recorder| &recorder.counters.session).collect();
        let (missing, books) = (self.missing().len(), self.books_differ());
        format!("{missing} trades missing, books {books:?}, {:?}, {sessions:#?}", self.server.summary())
    }

    /// Lets a fault strike; when it did, by the exchange's clock.
    pub(crate) fn strike(&mut self, fault: &str) -> i64 {
        let strikes = self.server.summary().faults;
        self.server.inject(Fault::parse(fault).unwrap());
        self.until("the fault strikes", |stand| stand.server.summary().faults > strikes);
        let struck = self.oracle.lines.iter().rfind(|line| line["what"] == "fault");
        time(struck.expect("every fault is logged"))
    }

    pub(crate) fn trade_keys(&self) -> impl Iterator<Item = &TradeKey> {
        self.recorded.iter().flat_map(|recorded| recorded.trades.keys())
    }

    fn whole_books(&self) -> usize {
        self.recorded.iter().flat_map(|recorded| recorded.books.values()).filter(|book| book.sides().is_some()).count()
    }

    /// Waits until the venue speaks as before on every connection that is wanted, and nothing is left over of what was.
    pub(crate) fn heal(&mut self) {
        self.until("the connections are those that are wanted", |stand| {
            let live = |recorder: &Recorder| recorder.counters.session.connections_live.get() == 1;
            stand.server.summary().open == stand.recorders.len() as u64 && stand.recorders.iter().all(live)
        });
        self.oracle.read(&self.server);
        let calm = self.oracle.lines.iter().map(time).max().unwrap();
        self.until("trades are heard again", |stand| {
            let mut heard = BTreeSet::new();
            for (key, stored) in stand.recorded.iter().flat_map(|recorded| &recorded.trades) {
                if stored.venue_ns > calm && !stored.is_backfilled {
                    heard.insert(&key.0);
                }
            }
            heard.len() == 2
        });
        self.server.settle_market();
        self.until("every trade is there, and every book is that of the exchange", |stand| {
            stand.missing().is_empty() && stand.books_differ().is_empty()
        });
    }

    /// Trades that were made, and are neither recorded nor, where the venue does not give them any more, named as missing.
    fn missing(&self) -> Vec<TradeKey> {
        let (made, named) = (self.oracle.made(), self.named());
        let is_recorded = |key: &TradeKey| self.recorded.iter().any(|recorded| recorded.trades.contains_key(key));
        let is_given_up = |key: &TradeKey| !self.played.gives_all && named.contains(key);
        made.into_keys().filter(|key| !is_recorded(key) && !is_given_up(key)).collect()
    }

    /// Symbols whose book is not that of the exchange.
    fn books_differ(&self) -> Vec<String> {
        let mut books = self.server.books();
        // OKX's quotes are books of one level.
        books.retain(|line| line["feed"] != "bbo-tbt");
        // A change that was lost without a trace.
        let is_lost = |line: &serde_json::Value| is_depth(line) && (line["fault"] == "drop" || line["late"] == true);
        if self.played.depth == Depth::Nothing && self.oracle.disturbed(0).any(is_lost) {
            return Vec::new();
        }
        let differs = |line: &&serde_json::Value| {
            let book = self.recorded.iter().find_map(|recorded| recorded.books.get(symbol(line)));
            book.and_then(super::books::Rebuilt::sides) != Some(said(line))
        };
        books.iter().filter(differs).map(|line| symbol(line).to_owned()).collect()
    }

    fn named(&self) -> BTreeSet<TradeKey> {
        self.recorded.iter().flat_map(Recorded::named_trades).collect()
    }

    /// Stops it, and compares everything that was recorded with the exchange's log. `from_ns`: when the fault struck.
    pub(crate) fn judge(mut self, effect: Effect, from_ns: i64) -> Verdict {
        let name = self.played.name();
        for (recorder, recorded) in std::mem::take(&mut self.recorders).into_iter().zip(&mut self.recorded) {
            let (counters, instruments) = (recorder.counters.clone(), recorder.instruments.clone());
            let events = recorder.stop();
            assert_closed(name, &SourceTotals::read(&counters), events.len());
            recorded.take(&events, &instruments);
        }
        self.server.end();
        self.oracle.read(&self.server);
        assert_eq!(self.server.summary().panics, 0, "{name}: the exchange is whole");
        let trades = self.judge_trades(effect);
        let books = if effect == Effect::Frames { self.judge_holes(from_ns) } else { 0 };
        self.judge_absences(effect, from_ns);
        Verdict { trades, named: self.named().len(), books }
    }

    /// Each trade once and right; what is named as missing was missing, and what was missing is named.
    fn judge_trades(&self, effect: Effect) -> usize {
        let name = self.played.name();
        let made = self.oracle.made();
        let mut not_heard = BTreeSet::new();
        let mut stored = 0;
        for (key, made) in &made {
            let found = self.recorded.iter().find_map(|recorded| recorded.trades.get(key));
            if found.is_none_or(|found| found.is_backfilled) {
                not_heard.insert(key.clone());
            }
            let Some(found) = found else { continue };
            stored += 1;
            assert_eq!(found.text, made.text, "{name}: {key:?}");
            let apart = found.venue_ns.abs_diff(made.venue_ns);
            assert!(apart < CLOCK_GRAIN_NS.unsigned_abs(), "{name}: {key:?} is {apart} ns apart");
        }
        let all = self.trade_keys().count();
        assert_eq!(stored, all, "{name}: nothing is recorded that was not made");
        let named = self.named();
        // What was on its way when a connection broke only the recorder knows.
        let missing = if effect == Effect::Breaks { not_heard.clone() } else { self.oracle.trades_missing() };
        let excess: Vec<_> = named.difference(&missing).collect();
        assert!(
            excess.is_empty(),
            "{name}: named as missing, and not missing: {} of {}: {excess:?}",
            excess.len(),
            named.len()
        );
        let silent: Vec<_> = missing.difference(&named).collect();
        assert!(silent.is_empty(), "{name}: missing, and not named: {} of {}: {silent:?}", silent.len(), missing.len());
        assert!(not_heard.is_subset(&named), "{name}: what came by REST alone, or not at all, is named");
        stored
    }

    /// Holes in depth: those that the exchange's log has, and no others. How many gaps there are.
    fn judge_holes(&self, from_ns: i64) -> usize {
        let name = self.played.name();
        let gaps = || self.recorded.iter().flat_map(|recorded| &recorded.gaps);
        let mut found: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
        let mut unnumbered: BTreeMap<String, usize> = BTreeMap::new();
        for told in gaps().filter(|told| told.gap.reason == GapReason::BookSequence) {
            let symbol = told.symbol.clone().unwrap();
            match (told.gap.first_missing, told.gap.last_missing) {
                (Some(first), Some(last)) => {
                    let range = (u64::try_from(first.0).unwrap(), u64::try_from(last.0).unwrap());
                    found.entry(symbol).or_default().push(range);
                }
                _ => *unnumbered.entry(symbol).or_default() += 1,
            }
        }
        found.values_mut().for_each(merge);
        let of_connection: Vec<_> = gaps().filter(|told| told.symbol.is_none()).collect();
        let disturbed = self.oracle.depth_disturbed(from_ns);
        let is_reset =
            self.oracle.since(from_ns).any(|line| line["fault"] == "sequence-reset" && line["what"] == "fault");
        match self.played.depth {
            Depth::Numbers { .. } => {
                assert_eq!(found, disturbed, "{name}: numbers of depth messages");
                // Bybit begins anew with the whole book, and OKX's chain goes on: nothing is missing there.
                let is_hole = is_reset && self.played.venue == venue_sim::Venue::Binance;
                let expected = if is_hole { vec![1, 1] } else { Vec::new() };
                assert_eq!(
                    unnumbered.values().copied().collect::<Vec<_>>(),
                    expected,
                    "{name}: restarts of the numbers"
                );
            }
            // Of a book that nothing is known about but that its sides must not meet, the damaged one is found.
            Depth::Nothing
                if disturbed.is_empty() || self.oracle.disturbed(from_ns).all(|line| line["damaged"] == true) =>
            {
                assert_eq!(
                    unnumbered.keys().collect::<Vec<_>>(),
                    disturbed.keys().collect::<Vec<_>>(),
                    "{name}: books"
                );
            }
            Depth::Nothing => {}
            Depth::Checksum { .. } => {
                let symbols = |map: &BTreeMap<String, Vec<(u64, u64)>>| map.keys().cloned().collect::<Vec<_>>();
                assert_eq!(unnumbered.keys().cloned().collect::<Vec<_>>(), symbols(&disturbed), "{name}: checksums");
                assert!(found.is_empty(), "{name}: there are no numbers: {found:?}");
            }
            Depth::Frames => {
                let range = |told: &&super::recorded::Told| {
                    told.gap.last_missing.unwrap().0 - told.gap.first_missing.unwrap().0 + 1
                };
                let missing: i64 = of_connection.iter().map(range).sum();
                let disturbed = self.oracle.disturbed(from_ns).count();
                assert_eq!(missing, i64::try_from(disturbed).unwrap(), "{name}: numbers of frames: {of_connection:#?}");
                assert!(found.is_empty() && unnumbered.is_empty(), "{name}: {found:?} {unnumbered:?}");
            }
        }
        if self.played.depth != Depth::Frames {
            assert!(of_connection.is_empty(), "{name}: {of_connection:#?}");
        }
        found.values().map(Vec::len).sum::<usize>() + unnumbered.values().sum::<usize>() + of_connection.len()
    }

    /// An absence for each symbol on each connection that was away, and for none that was not.
    fn judge_absences(&self, effect: Effect, from_ns: i64) {
        let name = self.played.name();
        let away = |reason| reason == GapReason::Disconnected;
        for recorded in &self.recorded {
            let gaps: Vec<_> = recorded.gaps.iter().filter(|told| away(told.gap.reason)).collect();
            let symbols: BTreeSet<_> = gaps.iter().map(|told| told.symbol.as_deref()).collect();
            match effect {
                Effect::Frames => assert!(gaps.is_empty(), "{name}: nothing was away: {gaps:#?}"),
                Effect::Ends | Effect::Breaks => assert_eq!(symbols.len(), 2, "{name}: both were away: {gaps:#?}"),
                Effect::Silence => {}
            }
            for told in gaps {
                let (from, to) = (told.gap.from_ts.unwrap().0, told.gap.to_ts.unwrap().0);
                assert!(from < to && to >= from_ns, "{name}: {told:?}, struck at {from_ns}");
            }
        }
    }

    /// When every connection had ended, by what the data say.
    pub(crate) fn ended_at(&self, from_ns: i64) -> Option<i64> {
        let ended = |recorded: &Recorded| {
            let is_end = |(code, _, at): &&(StatusCode, u64, i64)| *code == StatusCode::Disconnected && *at >= from_ns;
            recorded.statuses.iter().find(is_end).map(|(.., at)| *at)
        };
        self.recorded.iter().map(ended).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When the exchange was first asked for a stream again.
    pub(crate) fn asked_at(&self, from_ns: i64) -> Option<i64> {
        let is_asked = |line: &&serde_json::Value| {
            line["what"] == "request"
                && line["text"].as_str().is_some_and(|text| text.to_lowercase().contains("subscribe"))
        };
        self.oracle.since(from_ns).find(is_asked).map(time)
    }

    /// When the last gap was written after the last frame that was disturbed; `None` when there is neither.
    pub(crate) fn marked_after(&self, from_ns: i64) -> Option<Duration> {
        let disturbed = self.oracle.disturbed(from_ns).filter(|line| is_depth(line) || line["id"].is_null());
        let disturbed = disturbed.map(time).max()?;
        let marked = self.recorded.iter().flat_map(|recorded| &recorded.gaps).map(|told| told.at_ns);
        let marked = marked.filter(|at| *at >= from_ns).max()?;
        Some(Duration::from_nanos(u64::try_from(marked - disturbed).unwrap_or(0)))
    }
}

/// What a judgement found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    /// Trades recorded.
    pub(crate) trades: usize,
    /// Trades that gaps name.
    pub(crate) named: usize,
    /// Gaps of depth.
    pub(crate) books: usize,
}

/// Frames and events are accounted for to the last one.
fn assert_closed(name: &str, totals: &SourceTotals, events: usize) {
    let t = totals;
    let frames = t.frames_decoded + t.frames_control + t.frames_unknown + t.frames_rejected;
    assert_eq!(t.frames, frames, "{name}: frames: {t:?}");
    assert_eq!(t.decoded + t.own, t.published + t.duplicate + t.rejected + t.dropped, "{name}: events: {t:?}");
    assert_eq!((t.published, t.dropped), (events as u64, 0), "{name}: published is what was read");
}
