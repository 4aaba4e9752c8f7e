//! Recorded sessions, checked as live ones are: every message follows, and the books at their end are those that an
//! independent program has built.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use feedd_core::Burst;
use feedd_model::{Event, EventBody, InstrumentId, UnixNanos};
use feedd_venues::capture::{self, CaptureReader, Direction};
use feedd_venues::check::book::BookLevel;
use feedd_venues::check::{BookRule, Checker, Rules, TradeIds};
use feedd_venues::listing::book_of;
use feedd_venues::message::Message;
use feedd_venues::table;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// How the sessions of a venue are checked. Names end in what the sessions of a protocol begin with.
const VENUES: [(&str, &str, BookRule, TradeIds); 13] = [
    ("binance", "", BookRule::JoinFirst, TradeIds::Dense),
    ("binance_us", "", BookRule::JoinFirst, TradeIds::Dense),
    ("binance_usdm", "", BookRule::JoinPrevious, TradeIds::Dense),
    ("binance_coinm", "", BookRule::JoinPrevious, TradeIds::Dense),
    ("coinbase", "advanced", BookRule::Connection, TradeIds::DenseNewestFirst),
    ("coinbase", "exchange", BookRule::Unchecked, TradeIds::Dense),
    ("kraken", "v1", BookRule::Checksum { depth: 1000 }, TradeIds::Opaque),
    ("kraken", "v2", BookRule::Checksum { depth: 10 }, TradeIds::Dense),
    ("okx", "v5", BookRule::Previous, TradeIds::Opaque),
    ("bybit", "v5", BookRule::Next, TradeIds::Opaque),
    ("bybit_linear", "", BookRule::Next, TradeIds::Opaque),
    ("bitfinex", "v2", BookRule::Unchecked, TradeIds::Opaque),
    ("bitstamp", "v2", BookRule::Unchecked, TradeIds::Opaque),
];

/// A session after its last frame.
struct Ended {
    checker: Checker,
    instruments: HashMap<String, InstrumentId>,
    gaps: Vec<Event>,
    duplicates: usize,
}

fn play(file: &Path, venue: &str, rules: Rules) -> Ended {
    let mut decoder = table::decoder_for(venue).unwrap();
    let per_connection = table::venue(venue).unwrap().symbol_scope == table::SymbolScope::Connection;
    let mut reader = CaptureReader::open(file).unwrap();
    let mut burst = Burst::with_capacity(64);
    let mut ended =
        Ended { checker: Checker::new(rules), instruments: HashMap::new(), gaps: Vec::new(), duplicates: 0 };
    while let Some(line) = reader.next_line().unwrap() {
        let now = line.recv_ns.map(UnixNanos);
        match line.dir {
            Direction::Out => decoder.request(line.conn, line.frame),
            Direction::Control => {}
            Direction::In => {
                ended.checker.begin_frame(line.conn);
                decoder.decode(line.conn, line.frame, &mut |_: &str, message: &Message<'_>| {
                    let symbol = message.symbol();
                    let name = if per_connection { format!("{}/{symbol}", line.conn) } else { symbol.to_owned() };
                    let next = InstrumentId(u32::try_from(ended.instruments.len()).unwrap() + 1);
                    let instrument = *ended.instruments.entry(name).or_insert(next);
                    let judgement = ended.checker.message(instrument, message, now, &mut burst);
                    ended.duplicates += usize::from(judgement == feedd_venues::check::Judgement::Duplicate);
                });
                if let Some(number) = decoder.connection_sequence() {
                    ended.checker.connection_sequence(number, now, &mut burst);
                }
                ended.checker.end_frame(now, &mut burst);
                ended.gaps.extend(burst.events().iter().filter(|event| matches!(event.body(), EventBody::Gap(_))));
                burst.clear();
            }
        }
    }
    ended
}

fn levels<'a>(levels: impl Iterator<Item = &'a BookLevel>, count: usize) -> Vec<Value> {
    let level = |level: &BookLevel| {
        serde_json::json!([level.price.canonical().to_string(), level.size.canonical().to_string()])
    };
    levels.take(count).map(level).collect()
}

#[test]
fn recorded_sessions_have_no_hole_and_end_with_the_books_expected() {
    let Some(shared) = common::shared() else { return };
    let mut compared = 0;
    for (venue, prefix, rule, trades) in VENUES {
        let folder = shared.join("captures").join(venue);
        if !folder.is_dir() {
            continue;
        }
        for file in capture::expand(&folder).unwrap() {
            let name = file.file_name().unwrap().to_str().unwrap().strip_suffix(".jsonl.zst").unwrap();
            let summary = shared.join("expected").join(venue).join(format!("{name}.summary.json"));
            let summary: Value = serde_json::from_str(&std::fs::read_to_string(summary).unwrap()).unwrap();
            let Some(books) = summary["final_books"].as_object().filter(|_| name.starts_with(prefix)) else { continue };
            let ended = play(&file, venue, Rules { book: rule, trades, is_global: false });
            assert!(ended.gaps.is_empty(), "{venue}/{name}: {:?}", ended.gaps);
            assert_eq!(ended.duplicates, 0, "{venue}/{name}");
            for (symbol, expected) in books.iter().filter(|(_, book)| book["snapshots"].as_u64() > Some(0)) {
                let place = format!("{venue}/{name} {symbol}");
                let book =
                    ended.checker.book(ended.instruments[symbol]).unwrap_or_else(|| panic!("{place}: not whole"));
                let top = |side: &str| expected[side].as_array().unwrap().clone();
                let (bids, asks) = (top("top_bids"), top("top_asks"));
                assert_eq!(levels(book.bids(), bids.len()), bids, "{place}");
                assert_eq!(levels(book.asks(), asks.len()), asks, "{place}");
                let count = |side: &str| usize::try_from(expected[side].as_u64().unwrap()).unwrap();
                // The expected book is never cut to the window that was subscribed.
                let cut =
                    if let BookRule::Checksum { depth } = rule { usize::try_from(depth).unwrap() } else { usize::MAX };
                assert_eq!(book.bids().len(), count("bids").min(cut), "{place}");
                assert_eq!(book.asks().len(), count("asks").min(cut), "{place}");
                let files = std::slice::from_ref(&file);
                let listed = book_of(files, None, symbol, None, &mut |problem| panic!("{problem}")).unwrap();
                assert_eq!((listed.book.as_ref(), listed.holes), (Some(book), 0), "{place}: as `feedd book` shows it");
                compared += 1;
            }
        }
    }
    assert!(compared > 40, "books were compared: {compared}");
}
