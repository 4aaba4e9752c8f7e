//! `feedd book`: the book of a symbol, of a running recorder (`running`) or built from a recording by the venue's own rule.

mod running;

use crate::cli::BookArgs;
use crate::commands::{time_text, write_json, write_table};
use crate::{EXIT_TROUBLE, EXIT_USAGE};
use feedd_core::error_text;
use feedd_venues::capture::expand;
use feedd_venues::check::book::{BookLevel, OrderBook};
use feedd_venues::listing::{FinalBook, ListingError, Problem, book_of};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Prints the book. Exit code 0; 1 when it is not whole or the recording ends early; 2 when path, venue or symbol is wrong; 3
/// when no recorder answers.
pub(crate) fn book(args: &BookArgs) -> ExitCode {
    args.from.as_ref().map_or_else(|| running::book(args), |from| recorded(args, from))
}

fn recorded(args: &BookArgs, from: &Path) -> ExitCode {
    let files = match expand(from) {
        Ok(files) => files,
        Err(error) => return refuse(&error_text(&error), EXIT_USAGE),
    };
    let mut tell = |problem: &Problem<'_>| eprintln!("feedd: {problem}");
    let found = match book_of(&files, args.venue.as_deref(), &args.symbol, args.at, &mut tell) {
        Ok(found) => found,
        Err(error) => {
            let is_usage = matches!(error, ListingError::UnknownVenue { .. });
            return refuse(&error_text(&error), if is_usage { EXIT_USAGE } else { EXIT_TROUBLE });
        }
    };
    if found.messages == 0 {
        let what = format!("{} has no depth messages of {}", from.display(), args.symbol);
        return refuse(&format!("{what}; `feedd decode --summary` lists the symbols"), EXIT_USAGE);
    }
    let Some(whole) = &found.book else {
        let what = format!("the book of {} is not whole after {} messages", args.symbol, found.messages);
        return refuse(
            &format!("{what} with {} holes: its snapshot is not in the recording", found.holes),
            EXIT_TROUBLE,
        );
    };
    let out = &mut io::stdout().lock();
    let written =
        if args.json { write_json(out, &object(args, &found, whole)) } else { table(args, &found, whole, out) };
    ended(written, ExitCode::SUCCESS)
}

fn ended(written: io::Result<()>, code: ExitCode) -> ExitCode {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            refuse(&format!("writing to standard output failed: {error}"), EXIT_TROUBLE)
        }
        _ => code,
    }
}

fn refuse(text: &str, code: u8) -> ExitCode {
    eprintln!("feedd: {text}");
    ExitCode::from(code)
}

fn object(args: &BookArgs, found: &FinalBook, book: &OrderBook) -> Value {
    let level = |level: &BookLevel| json!([level.price.to_string(), level.size.to_string()]);
    json!({
        "version": 1,
        "symbol": args.symbol,
        "messages": found.messages,
        "holes": found.holes,
        "last_recv_ns": found.last_recv.map(|at| at.0),
        "bid_levels": book.bids().len(),
        "ask_levels": book.asks().len(),
        "bids": book.bids().take(args.levels).map(level).collect::<Vec<_>>(),
        "asks": book.asks().take(args.levels).map(level).collect::<Vec<_>>(),
    })
}

fn table(args: &BookArgs, found: &FinalBook, book: &OrderBook, out: &mut dyn Write) -> io::Result<()> {
    let at = found.last_recv.map_or_else(|| "an unknown time".to_owned(), time_text);
    let (bids, asks) = (book.bids().len(), book.asks().len());
    writeln!(out, "{}: {bids} bids, {asks} asks after {} messages, at {at}", args.symbol, found.messages)?;
    if found.holes > 0 {
        writeln!(out, "{} times a message did not follow; the book was whole again each time", found.holes)?;
    }
    let text = |level: &BookLevel| [level.price.to_string(), level.size.to_string()];
    let [bids, asks]: [Vec<_>; 2] =
        [book.bids().take(args.levels).map(text).collect(), book.asks().take(args.levels).map(text).collect()];
    ladder(&bids, &asks, out)
}

/// Both sides beside each other, best first; each level is price and size.
fn ladder(bids: &[[String; 2]], asks: &[[String; 2]], out: &mut dyn Write) -> io::Result<()> {
    let rows = (0..bids.len().max(asks.len())).map(|row| {
        let [bid, bid_size] = bids.get(row).cloned().unwrap_or_default();
        let [ask, ask_size] = asks.get(row).cloned().unwrap_or_default();
        [bid_size, bid, ask, ask_size]
    });
    write_table(out, ["size", "bid", "ask", "size"], &rows.collect::<Vec<_>>())
}
