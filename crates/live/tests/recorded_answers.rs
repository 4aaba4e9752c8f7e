//! What the venues answered in recordings is understood: acknowledgements name their streams.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_live::config::LiveConfig;
use feedd_live::protocol::{Answer, Defaults, Market, Subject, protocol_of};
use feedd_live::stream::{Stream, StreamKind};
use feedd_venues::capture::{CaptureReader, Direction};
use feedd_venues::decoder::{CONTROL_ACK, CONTROL_ALIVE, CONTROL_ERROR, Outcome};
use feedd_venues::message::Message;
use feedd_venues::table::decoder_for;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The folder of recorded data: `$FEEDD_SHARED`, default `../shared` beside the workspace. `None`, with a printed note,
/// when it is not there; a failure on CI, where it must be.
fn shared() -> Option<PathBuf> {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    let folder = std::env::var_os("FEEDD_SHARED").map_or_else(default, PathBuf::from);
    if folder.join("captures").is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "no recorded data in {}", folder.display());
    eprintln!("skipped: no recorded data in {} (set FEEDD_SHARED)", folder.display());
    None
}

fn config(market: Market) -> LiveConfig {
    let Defaults { endpoints, limits, periods, depth_levels } = market.defaults();
    let (symbols, channels) = (Vec::new(), StreamKind::ALL.to_vec());
    LiveConfig { market, symbols, channels, redundancy: 1, depth_levels, endpoints, limits, periods }
}

/// Frames of a recording that carry no market data: how many of each kind, and the streams that were acknowledged.
struct Seen {
    acks: usize,
    alive: usize,
    streams: BTreeSet<Stream>,
}

fn seen(folder: &str, file: &str, market: Market) -> Option<Seen> {
    let path = shared()?.join("captures").join(folder).join(file);
    let protocol = protocol_of(&config(market));
    let mut decoder = decoder_for(market.venue()).unwrap();
    let mut reader = CaptureReader::open(&path).unwrap();
    let mut seen = Seen { acks: 0, alive: 0, streams: BTreeSet::new() };
    while let Some(line) = reader.next_line().unwrap() {
        if line.dir != Direction::In {
            continue;
        }
        let outcome = decoder.decode(line.conn, line.frame, &mut |_: &str, _: &Message<'_>| ());
        let Outcome::Control { name, .. } = outcome else { continue };
        let answer = protocol.answer(line.frame);
        match (name, answer) {
            (CONTROL_ACK, Answer::Accepted(subject)) => {
                seen.acks += 1;
                if let Subject::Streams(streams) = subject {
                    seen.streams.extend(streams);
                }
            }
            (CONTROL_ALIVE, Answer::Alive) => seen.alive += 1,
            (CONTROL_ERROR, Answer::Refused(..)) => {}
            (name, answer) => panic!("{name} is {answer:?}: {}", line.frame),
        }
    }
    Some(seen)
}

fn streams(kinds: &[StreamKind], symbols: &[&str]) -> BTreeSet<Stream> {
    let all =
        kinds.iter().flat_map(|&kind| symbols.iter().map(move |symbol| Stream { kind, symbol: (*symbol).to_owned() }));
    all.collect()
}

#[test]
fn coinbase_lists_what_is_subscribed() {
    let Some(exchange) = seen("coinbase", "exchange-a-2021-04-17.jsonl.zst", Market::Coinbase) else { return };
    assert_eq!((exchange.acks, exchange.streams.len()), (3, 30));
    let Some(advanced) = seen("coinbase", "advanced-2026-08-09-part1.jsonl.zst", Market::CoinbaseAdvanced) else {
        return;
    };
    assert_eq!((advanced.acks, advanced.alive), (5, 14));
    assert_eq!(advanced.streams, streams(&StreamKind::ALL, &["BTC-USD", "ETH-USD"]));
}

#[test]
fn kraken_answers_for_each_symbol() {
    let Some(book) = seen("kraken", "v2-book10-btcusd-2026-08-16.jsonl.zst", Market::Kraken) else { return };
    assert_eq!((book.acks, book.alive), (1, 7));
    assert_eq!(book.streams, streams(&[StreamKind::Depth], &["BTC/USD"]));
    let Some(excerpts) = seen("kraken", "excerpts-v2.jsonl.zst", Market::Kraken) else { return };
    assert_eq!((excerpts.acks, excerpts.alive), (1, 2));
    assert_eq!(excerpts.streams, streams(&[StreamKind::Depth], &["BTC/USD"]));
}

#[test]
fn okx_answers_for_each_argument() {
    let Some(all) = seen("okx", "v5-3inst-2022-05-13.jsonl.zst", Market::Okx) else { return };
    assert_eq!(all.streams, streams(&StreamKind::ALL, &["BTC-USD-220527", "BTC-USDT", "UNI-USD-SWAP"]));
    assert_eq!(all.acks, 18);
    let Some(many) = seen("okx", "v5-10inst-2021-07-22.jsonl.zst", Market::Okx) else { return };
    assert_eq!((many.acks, many.streams.len()), (30, 30));
}

#[test]
fn bybit_answers_for_a_request() {
    let Some(all) = seen("bybit", "v5-a-2026-08-09.jsonl.zst", Market::BybitLinear) else { return };
    // Nobody had numbered the requests.
    assert_eq!((all.acks, all.streams.len()), (24, 0));
}
