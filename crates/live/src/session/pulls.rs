//! What is fetched by REST: books and missing trades, one after the other within the weight budget.

use super::Session;
use super::action::{Action, PullId, Pulled, Purpose};
use super::backoff::doubled;
use super::budget::Budget;
use feedd_model::{MonoNanos, duration_nanos};
use std::collections::VecDeque;
use std::time::Duration;

/// Requests on their way at once.
const FLIGHTS_MAX: usize = 4;
/// A request that nobody has reported on after this is taken as failed: whoever carries it out has a shorter time limit.
const FLIGHT_NS_MAX: u64 = 60_000_000_000;
/// Holes that wait; beyond them new ones are told as lasting.
const TRADES_MAX: usize = 4096;
/// Attempts of one hole that bring nothing.
const ATTEMPTS_MAX: u32 = 5;
/// First and longest pause between them; doubles, with full jitter on top of half.
const PAUSE_NS: u64 = 1_000_000_000;
const PAUSE_NS_MAX: u64 = 60_000_000_000;
/// What a venue that says "too many" without a time is given: its weights are counted by the minute.
const LIMITED_NS: u64 = 60_000_000_000;
/// As above for 418, which is a ban: the shortest one is two minutes (binance-spot-api-docs, rest-api.md, read mid 2026).
const BANNED_NS: u64 = 120_000_000_000;

/// A hole in the trades of a symbol.
#[derive(Debug)]
struct Hole {
    number: u64,
    symbol: String,
    first: u64,
    last: u64,
    due: MonoNanos,
    attempts: u32,
    is_flying: bool,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// Place of a book.
    Book(usize),
    /// Number of a hole.
    Trades(u64),
}

#[derive(Debug)]
struct Flight {
    pull: PullId,
    what: What,
    sent_at: MonoNanos,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Pulls {
    /// Places of books that are to be fetched; they go before trades, because changes gather behind them.
    pub(super) books: VecDeque<usize>,
    holes: VecDeque<Hole>,
    flights: Vec<Flight>,
    budget: Budget,
    /// The venue asked to wait.
    not_before: MonoNanos,
    next_pull: u64,
    next_hole: u64,
    /// The operator was told that there is no request for trades, and none for books.
    is_told: [bool; 2],
    /// Of the request that was looked at last and that the budget did not allow.
    waits_for: u32,
}

impl Pulls {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            books: VecDeque::new(),
            holes: VecDeque::new(),
            flights: Vec::new(),
            budget,
            not_before: MonoNanos(0),
            next_pull: 0,
            next_hole: 0,
            is_told: [false; 2],
            waits_for: 1,
        }
    }

    /// Notes a hole; `None` when it cannot be kept. One that touches a known hole enlarges it.
    fn add(&mut self, now: MonoNanos, symbol: String, first: u64, last: u64) -> Option<()> {
        let touches = |hole: &&mut Hole| {
            hole.symbol == symbol && first <= hole.last.saturating_add(1) && hole.first <= last.saturating_add(1)
        };
        if let Some(hole) = self.holes.iter_mut().find(touches) {
            hole.first = hole.first.min(first);
            hole.last = hole.last.max(last);
            return Some(());
        }
        if self.holes.len() >= TRADES_MAX {
            return None;
        }
        let number = self.next_hole;
        self.next_hole += 1;
        self.holes.push_back(Hole { number, symbol, first, last, due: now, attempts: 0, is_flying: false });
        Some(())
    }

    /// Takes the book at a place out of the queue; whether it waited there.
    pub(super) fn unqueue_book(&mut self, book: usize) -> bool {
        let before = self.books.len();
        self.books.retain(|&other| other != book);
        self.books.len() < before
    }

    /// The holes of a symbol are not filled any more.
    pub(super) fn forget_trades(&mut self, symbol: &str) {
        self.holes.retain(|hole| hole.is_flying || hole.symbol != symbol);
    }

    /// Whether trades of a symbol are on their way.
    pub(super) fn is_flying(&self, symbol: &str) -> bool {
        self.holes.iter().any(|hole| hole.is_flying && hole.symbol == symbol)
    }

    /// When something is to be looked at.
    pub(super) fn due(&self) -> Option<MonoNanos> {
        let late = self.flights.iter().map(|flight| MonoNanos(flight.sent_at.0 + FLIGHT_NS_MAX)).min();
        if self.flights.len() >= FLIGHTS_MAX {
            return late;
        }
        let hole = self.holes.iter().filter(|hole| !hole.is_flying).map(|hole| hole.due).min();
        let first = if self.books.is_empty() { hole } else { Some(MonoNanos(0)) };
        let first = first.map(|due| due.max(self.not_before).max(self.budget.ready_at(self.waits_for)));
        first.into_iter().chain(late).min()
    }
}

impl Session {
    /// A hole in the trades of a symbol is to be filled.
    pub(super) fn want_trades(&mut self, now: MonoNanos, symbol: String, first: u64, last: u64) {
        if self.protocol.trades(&symbol, first, last).is_none() {
            if !std::mem::replace(&mut self.pulls.is_told[0], true) {
                let text = format!(
                    "{}: trades {first} to {last} of {symbol} are missing, and the venue has no request for them; holes stay in gaps",
                    self.name
                );
                self.tell(now, true, text);
            }
            return;
        }
        let is_kept = self.pulls.add(now, symbol.clone(), first, last).is_some();
        if !is_kept {
            let text =
                format!("{}: trades {first} to {last} of {symbol} stay missing: too many holes at once", self.name);
            self.tell(now, true, text);
        }
    }

    /// Sends what the budget allows.
    pub(super) fn pull(&mut self, now: MonoNanos) {
        self.end_late_flights(now);
        while self.pulls.flights.len() < FLIGHTS_MAX && now >= self.pulls.not_before {
            let hole = self.pulls.holes.iter().find(|hole| !hole.is_flying && hole.due <= now);
            let (what, purpose, pull) = match (self.pulls.books.front(), hole) {
                (Some(&book), _) => {
                    let symbol = self.streams[self.books[book].stream].stream.symbol.clone();
                    let pull = self.protocol.snapshot(&symbol);
                    (What::Book(book), Purpose::Snapshot { symbol }, pull)
                }
                (None, Some(hole)) => {
                    let (symbol, first, last) = (hole.symbol.clone(), hole.first, hole.last);
                    let pull = self.protocol.trades(&symbol, first, last);
                    (What::Trades(hole.number), Purpose::Trades { symbol, first, last }, pull)
                }
                (None, None) => return,
            };
            let Some(pull) = pull else {
                self.cannot(now, what, &purpose);
                continue;
            };
            if !self.pulls.budget.take(now, pull.weight) {
                self.pulls.waits_for = pull.weight;
                return;
            }
            match what {
                What::Book(_) => drop(self.pulls.books.pop_front()),
                What::Trades(number) => {
                    self.pulls
                        .holes
                        .iter_mut()
                        .filter(|hole| hole.number == number)
                        .for_each(|hole| hole.is_flying = true);
                }
            }
            let id = PullId(self.pulls.next_pull);
            self.pulls.next_pull += 1;
            self.pulls.waits_for = 1;
            self.pulls.flights.push(Flight { pull: id, what, sent_at: now });
            self.actions.push(Action::Pull { pull: id, url: pull.url, purpose });
        }
    }

    /// There is no request for it.
    fn cannot(&mut self, now: MonoNanos, what: What, purpose: &Purpose) {
        match what {
            What::Book(place) => {
                self.pulls.books.pop_front();
                self.books[place].is_pulled = false;
                self.books[place].is_impossible = true;
                if !std::mem::replace(&mut self.pulls.is_told[1], true) {
                    let text = format!(
                        "{}: books cannot be joined without REST; set rest_url, or leave out the depth channel",
                        self.name
                    );
                    self.tell(now, true, text);
                }
            }
            What::Trades(number) => {
                self.pulls.holes.retain(|hole| hole.number != number);
                let text = format!("{}: {purpose:?} cannot be fetched any more and stays missing", self.name);
                self.tell(now, true, text);
            }
        }
    }

    fn end_late_flights(&mut self, now: MonoNanos) {
        while let Some(flight) = self.pulls.flights.iter().find(|flight| now.since(flight.sent_at) >= FLIGHT_NS_MAX) {
            let end = Pulled::Failed { status: 0, retry_after: None, text: "no answer in time".to_owned() };
            self.end_pull(now, flight.pull, end);
        }
    }

    /// A request ended; one that is not known any more is of no consequence.
    pub(super) fn end_pull(&mut self, now: MonoNanos, pull: PullId, end: Pulled) {
        let Some(at) = self.pulls.flights.iter().position(|flight| flight.pull == pull) else { return };
        let flight = self.pulls.flights.swap_remove(at);
        if let Pulled::Failed { status, retry_after, .. } = &end {
            let wait = retry_after.map(duration_nanos).or(match status {
                429 => Some(LIMITED_NS),
                418 => Some(BANNED_NS),
                _ => None,
            });
            if let Some(wait) = wait {
                self.pulls.not_before = self.pulls.not_before.max(MonoNanos(now.0.saturating_add(wait)));
                let wait = Duration::from_nanos(wait);
                let text = format!("{}: REST answered {status}; no requests for {wait:?}", self.name);
                self.tell(now, true, text);
            }
        }
        match flight.what {
            What::Book(place) => {
                let book = &mut self.books[place];
                book.pulled(now);
                // An answer may have come too early for the changes that wait; the checker says so, or the poll finds out.
                if let Pulled::Failed { status, text, .. } = end {
                    book.want(now, &mut self.rng);
                    tracing::debug!(status, text, symbol = self.streams[book.stream].stream.symbol, "no snapshot");
                }
            }
            What::Trades(number) => self.end_trades(now, number, end),
        }
    }

    fn end_trades(&mut self, now: MonoNanos, number: u64, end: Pulled) {
        let Some(at) = self.pulls.holes.iter().position(|hole| hole.number == number) else { return };
        if !self.is_wanted(&self.pulls.holes[at].symbol) {
            self.pulls.holes.remove(at);
            return;
        }
        let hole = &mut self.pulls.holes[at];
        hole.is_flying = false;
        let (is_progress, reason) = match end {
            Pulled::Done { still_missing: None } => {
                self.pulls.holes.remove(at);
                return;
            }
            Pulled::Done { still_missing: Some((first, last)) } => {
                // The hole may have grown meanwhile.
                let is_progress = first > hole.first || last < hole.last;
                (hole.first, hole.last) = (first, last.max(first));
                (is_progress, "the venue does not give them".to_owned())
            }
            // An attempt that was not let in is none.
            Pulled::Failed { status: 418 | 429, .. } => return,
            Pulled::Failed { status, text, .. } => (false, format!("{status} {text}")),
        };
        if is_progress {
            (hole.attempts, hole.due) = (0, now);
            return;
        }
        hole.attempts += 1;
        if hole.attempts >= ATTEMPTS_MAX {
            let Some(hole) = self.pulls.holes.remove(at) else { return };
            let text = format!(
                "{}: trades {} to {} of {} stay missing after {ATTEMPTS_MAX} attempts: {reason}",
                self.name, hole.first, hole.last, hole.symbol
            );
            self.tell(now, true, text);
            return;
        }
        let pause = doubled(PAUSE_NS, hole.attempts - 1).min(PAUSE_NS_MAX);
        hole.due = MonoNanos(now.0.saturating_add(pause / 2 + self.rng.u64(0..=pause)));
    }
}
