//! The books of a symbol in a running recorder.

use super::{ended, ladder, refuse};
use crate::EXIT_TROUBLE;
use crate::admin_client::exit_code;
use crate::cli::BookArgs;
use crate::commands::{time_text, write_json};
use crate::query::with_query;
use crate::status_cmd::recorder;
use anyhow::{Context, Result};
use feedd_model::UnixNanos;
use serde::Deserialize;
use serde_json::Value;
use std::io::{self, Write};
use std::process::ExitCode;

/// The document of `/book`, as far as people are shown it.
#[derive(Debug, Deserialize)]
struct Books {
    symbol: String,
    books: Vec<LiveBook>,
}

#[derive(Debug, Deserialize)]
struct LiveBook {
    source: String,
    venue: String,
    state: String,
    last_recv_ns: Option<i64>,
    bid_levels: usize,
    ask_levels: usize,
    bids: Vec<[String; 2]>,
    asks: Vec<[String; 2]>,
}

pub(super) fn book(args: &BookArgs) -> ExitCode {
    let (document, books) = match asked(args) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("feedd: {error:#}");
            return exit_code(&error);
        }
    };
    let out = &mut io::stdout().lock();
    let written = if args.json { write_json(out, &document) } else { table(&books, out) };
    for book in books.books.iter().filter(|book| book.state != "synchronised") {
        refuse(&why(&books.symbol, book), EXIT_TROUBLE);
    }
    let is_whole = books.books.iter().all(|book| book.state == "synchronised");
    ended(written, if is_whole { ExitCode::SUCCESS } else { ExitCode::from(EXIT_TROUBLE) })
}

fn asked(args: &BookArgs) -> Result<(Value, Books)> {
    let levels = args.levels.to_string();
    let pairs =
        [("symbol", Some(args.symbol.as_str())), ("source", args.source.as_deref()), ("levels", Some(levels.as_str()))];
    let body = recorder(&args.ask)?.get(&with_query("/book", &pairs))?;
    let what = "the recorder's book is of another version of feedd; use the feedd that runs";
    let document: Value = serde_json::from_slice(&body).context(what)?;
    let books = serde_json::from_value(document.clone()).context(what)?;
    Ok((document, books))
}

fn table(books: &Books, out: &mut dyn Write) -> io::Result<()> {
    for book in books.books.iter().filter(|book| book.state == "synchronised") {
        let LiveBook { source, venue, bid_levels, ask_levels, .. } = book;
        let at = book.last_recv_ns.map_or_else(|| "an unknown time".to_owned(), |at| time_text(UnixNanos(at)));
        let symbol = &books.symbol;
        writeln!(
            out,
            "{symbol} of {source} ({venue}): synchronised, {bid_levels} bids, {ask_levels} asks, changed at {at}"
        )?;
        ladder(&book.bids, &book.asks, out)?;
    }
    Ok(())
}

/// Why there is no book.
fn why(symbol: &str, book: &LiveBook) -> String {
    let source = &book.source;
    match book.state.as_str() {
        "resyncing" => {
            format!("the book of {symbol} at {source} is not whole: its snapshot has been asked for; try again")
        }
        "no_depth" => format!("{source} has heard no depth message of {symbol}; does its `channels` name depth?"),
        "no_answer" => format!("{source} does not answer: its thread has ended or waits for room, see feedd status"),
        other => format!("{source} says that the book of {symbol} is {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_are_shown_with_their_state_and_exact_decimals() {
        let document = r#"{"version":1,"symbol":"BTC/USD","books":[{"source":"kraken","venue":"kraken","state":"synchronised",
            "last_recv_ns":1723075200000000001,"bid_levels":2,"ask_levels":1,"bids":[["100.10","0.50"],["99.9","12"]],
            "asks":[["100.20","1.000"]]},{"source":"other","venue":"okx","state":"resyncing","last_recv_ns":null,
            "bid_levels":0,"ask_levels":0,"bids":[],"asks":[]}]}"#;
        let books: Books = serde_json::from_str(document).unwrap();
        let mut out = Vec::new();
        table(&books, &mut out).unwrap();
        let expected = "BTC/USD of kraken (kraken): synchronised, 2 bids, 1 asks, changed at 2024-08-08T00:00:00.000000001Z\n\
                        size  bid     ask     size\n0.50  100.10  100.20  1.000\n12    99.9\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let told = why("BTC/USD", &books.books[1]);
        assert_eq!(told, "the book of BTC/USD at other is not whole: its snapshot has been asked for; try again");
    }
}
