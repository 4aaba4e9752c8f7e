//! `/book`: the books of a symbol in a running recorder, asked of the threads that keep them.

use crate::admin::{Ask, Page};
use crate::observer::Observer;
use crate::query::Query;
use feedd_live::ask_book::{AskedBook, BookCopy, BookDesks, BookState, LEVELS_MAX};
use feedd_venues::check::book::BookLevel;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Version of the document.
const VERSION: u32 = 1;
/// Levels of a side, when nobody says how many.
const LEVELS_USUAL: usize = 10;
/// Longest wait for the threads: each looks at its desk 25 times a second, unless it waits for room in its ring.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);

/// Answers `?symbol=S&levels=N&source=S`.
pub(crate) fn book_page(ask: &Ask, desks: &BookDesks, observer: &Observer) -> Page {
    match asked(ask, desks) {
        Ok((symbol, asked)) => later(symbol, asked, observer),
        Err((status, text)) => Page::text(status, text),
    }
}

fn asked(ask: &Ask, desks: &BookDesks) -> Result<(String, Vec<AskedBook>), (u16, String)> {
    let bad = |text| (400, text);
    let query = Query::parse(&ask.query, &["symbol", "source", "levels"]).map_err(bad)?;
    let symbol = query.text("symbol").ok_or_else(|| bad("say which: /book?symbol=SYMBOL\n".to_owned()))?;
    let levels = query.number("levels", LEVELS_USUAL, 1..=LEVELS_MAX).map_err(bad)?;
    if desks.is_empty() {
        let text = "no source of this recorder keeps books: only live ones do (kind = \"venue\"); the book of a recording or \
                    tape is built by `feedd book SYMBOL --from PATH`\n";
        return Err((404, text.to_owned()));
    }
    let source = query.text("source");
    let asked = desks.ask(symbol, source, levels);
    if asked.is_empty() {
        return Err((404, format!("no live source is called {}\n", source.unwrap_or_default())));
    }
    Ok((symbol.to_owned(), asked))
}

/// The answer, once all threads have answered or the time is over.
fn later(symbol: String, asked: Vec<AskedBook>, observer: &Observer) -> Page {
    let until = Instant::now() + ANSWER_MAX;
    let heard = heard(observer);
    let next = move || {
        let answers: Vec<Option<BookCopy>> = asked.iter().map(AskedBook::answer).collect();
        let is_over = answers.iter().all(Option::is_some) || Instant::now() >= until;
        is_over.then(|| page(&symbol, asked.iter().zip(answers), &heard))
    };
    Page::Later { next: Box::new(next) }
}

fn page<'a>(symbol: &str, answers: impl Iterator<Item = (&'a AskedBook, Option<BookCopy>)>, heard: &[String]) -> Page {
    let is_unheard = |copy: &Option<BookCopy>| copy.as_ref().is_some_and(|copy| copy.state == BookState::Unheard);
    let books: Vec<Value> =
        answers.filter(|(_, copy)| !is_unheard(copy)).map(|(asked, copy)| book(asked, copy)).collect();
    if books.is_empty() {
        return Page::text(404, unheard(symbol, heard));
    }
    Page::json(200, &json!({ "version": VERSION, "symbol": symbol, "books": books }))
}

fn book(asked: &AskedBook, copy: Option<BookCopy>) -> Value {
    let level = |level: &BookLevel| json!([level.price.to_string(), level.size.to_string()]);
    let state = match copy.as_ref().map(|copy| copy.state) {
        Some(BookState::Synchronised) => "synchronised",
        Some(BookState::Resyncing) => "resyncing",
        Some(BookState::NoDepth | BookState::Unheard) => "no_depth",
        None => "no_answer",
    };
    let copy = copy.unwrap_or_default();
    let [bid_levels, ask_levels] = copy.levels;
    json!({
        "source": asked.source, "venue": asked.venue, "state": state, "last_recv_ns": copy.at.map(|at| at.0),
        "bid_levels": bid_levels, "ask_levels": ask_levels,
        "bids": copy.bids.iter().map(level).collect::<Vec<_>>(), "asks": copy.asks.iter().map(level).collect::<Vec<_>>(),
    })
}

/// Symbols that are named to whoever asks for one that is not there.
const HEARD_TOLD: usize = 20;

/// Every symbol that was heard, in order.
pub(crate) fn heard(observer: &Observer) -> Vec<String> {
    let mut heard: Vec<String> = observer.symbols().into_iter().map(|symbol| symbol.symbol).collect();
    heard.sort();
    heard.dedup();
    heard
}

/// Says that a symbol is not heard, and which are.
pub(crate) fn unheard(symbol: &str, heard: &[String]) -> String {
    if heard.is_empty() {
        return format!("{symbol} has not been heard since the start, and no other symbol has\n");
    }
    let more = if heard.len() > HEARD_TOLD { format!(" and {} more", heard.len() - HEARD_TOLD) } else { String::new() };
    let told = heard[..heard.len().min(HEARD_TOLD)].join(", ");
    format!("{symbol} has not been heard since the start; heard are {told}{more}\n")
}
