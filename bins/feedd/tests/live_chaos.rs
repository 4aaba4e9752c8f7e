//! Five exchanges at once under random faults, three of them over TLS, and a sixth that cannot prove who it is: every trade
//! that they made is stored once, to the last digit, or lies in a recorded gap; when the faults end, everything is heard
//! again, and the books that the stored rows make are those of the exchanges; the sixth is never heard.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

#[path = "live_chaos/books.rs"]
mod books;
mod common;

use arrow_array::Array;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt64Type};
use bigdecimal::BigDecimal;
use books::{Rule, last_book, said};
use common::pg::Size;
use common::stored::{self, Rows};
use common::{Feedd, run_args};
use feedd_testkit::promise::{Report, seed};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};
use venue_sim::{Config, Fault, Pace, Server, Venue};

/// An exchange that is played.
struct Played {
    venue: Venue,
    /// Its keys in the configuration.
    keys: &'static str,
    /// Its name in the store.
    name: &'static str,
    /// Whether its trade ids are dense.
    is_dense: bool,
    is_tls: bool,
    rule: Rule,
}

const ALL: usize = usize::MAX;
const VENUES: [Played; 5] = [
    Played {
        venue: Venue::Binance,
        keys: "venue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]",
        name: "binance",
        is_dense: true,
        is_tls: true,
        rule: Rule { joins: true, is_numbered: true, levels_max: ALL, levels_sure: ALL },
    },
    Played {
        venue: Venue::CoinbaseAdvanced,
        keys: "venue = \"coinbase\"\nmarket = \"advanced\"\nsymbols = [\"BTC-USD\", \"ETH-USD\"]",
        name: "coinbase",
        is_dense: true,
        is_tls: false,
        rule: Rule { joins: false, is_numbered: false, levels_max: ALL, levels_sure: ALL },
    },
    Played {
        venue: Venue::Kraken,
        keys: "venue = \"kraken\"\nsymbols = [\"BTC/USD\", \"ETH/USD\"]",
        name: "kraken",
        is_dense: true,
        is_tls: true,
        // Its checksum covers ten levels.
        rule: Rule { joins: false, is_numbered: false, levels_max: 100, levels_sure: 10 },
    },
    Played {
        venue: Venue::Okx,
        keys: "venue = \"okx\"\nsymbols = [\"BTC-USDT\", \"ETH-USDT\"]",
        name: "okx",
        is_dense: false,
        is_tls: false,
        rule: Rule { joins: false, is_numbered: true, levels_max: ALL, levels_sure: ALL },
    },
    Played {
        venue: Venue::Bybit,
        keys: "venue = \"bybit\"\nmarket = \"spot\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]\nchannels = [\"trades\", \"depth\"]",
        name: "bybit_spot",
        is_dense: false,
        is_tls: true,
        rule: Rule { joins: false, is_numbered: true, levels_max: ALL, levels_sure: ALL },
    },
];
/// Offers a certificate that nobody has said to trust.
const IMPOSTOR: &str = "venue = \"binance\"\nmarket = \"us\"\nsymbols = [\"BTCUSDT\"]";

/// Faults to choose among. `drop` is not for venues whose ids need not be dense: nothing tells of a single lost trade there.
/// A mute stream is told of by the numbers of the books, which are mute with it.
const FAULTS: [&str; 12] = [
    "close",
    "close-frame=1001",
    "reset",
    "blackhole for=2s",
    "mute for=2s",
    "duplicate=3",
    "reorder",
    "bad-checksum",
    "sequence-reset",
    "invalid-utf8",
    "giant=17MiB",
    "drop=3",
];

/// For how long, the mean time between two faults, and for how long the exchanges are well afterwards: a book that was lost
/// again and again is asked for once in 75 s.
fn size() -> (Duration, Duration, Duration) {
    let seconds = Duration::from_secs;
    match Size::of_this_run() {
        Size::Day => (seconds(15), Duration::from_millis(500), seconds(0)),
        Size::Ci => (seconds(120), seconds(1), seconds(80)),
        Size::Full => (seconds(600), seconds(2), seconds(80)),
    }
}

fn configured(folder: &Path, servers: &[Server], impostor: &Server) -> String {
    let mut text = String::new();
    let trusted = servers.iter().zip(VENUES).map(|(server, played)| (server, played.keys, server.ca_path()));
    for (server, keys, ca) in trusted.chain([(impostor, IMPOSTOR, None)]) {
        let url = server.ws_url("");
        let ca = ca.map_or_else(String::new, |path| format!("ca_file = {path:?}\n"));
        write!(
            text,
            "[[source]]\nkind = \"venue\"\n{keys}\nurl = {url:?}\n{ca}[source.periods]\nretry_min = \"50ms\"\n\
             retry_max = \"500ms\"\nsilence = \"3s\"\nping_after = \"1s\"\n"
        )
        .unwrap();
    }
    let path = folder.join("feedd.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A trade as the exchange made it.
struct Made {
    price: BigDecimal,
    size: BigDecimal,
    at_ns: i64,
}

/// Symbol to its trades, in their order.
fn made(server: &Server) -> BTreeMap<String, Vec<(String, Made)>> {
    let mut all: BTreeMap<String, Vec<(String, Made)>> = BTreeMap::new();
    for line in server.log().iter().filter(|line| line["what"] == "trade") {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let number = |key: &str| BigDecimal::from_str(&text(key)).unwrap().normalized();
        let made = Made { price: number("price"), size: number("size"), at_ns: line["t"].as_i64().unwrap() };
        all.entry(text("symbol")).or_default().push((text("id"), made));
    }
    all
}

/// Price and size of stored trades, by symbol and id.
type Trades = BTreeMap<(String, String), (BigDecimal, BigDecimal)>;

/// Stored trades, and how many are stored once more.
fn trades(rows: &[Rows], venue: &str) -> (Trades, u64) {
    let (mut all, mut again) = (BTreeMap::new(), 0);
    for rows in stored::of(rows, "trades").filter(|rows| rows.venue == venue) {
        let (symbols, ids) = (rows.texts("symbol"), rows.numbers::<UInt64Type>("trade_id"));
        let texts = rows.texts("trade_id_text");
        for (row, value) in rows.decimals("price").zip(rows.decimals("size")).enumerate() {
            let id = if ids.is_null(row) { texts.value(row).to_owned() } else { ids.value(row).to_string() };
            let key = (symbols.value(row).to_owned(), id);
            if all.insert(key.clone(), value).is_some() {
                println!("{venue} {key:?} is stored twice");
                again += 1;
            }
        }
    }
    (all, again)
}

/// What is recorded as missing: ids by symbol, and spans of time by symbol.
#[derive(Default)]
struct Gaps {
    ids: BTreeSet<(String, String)>,
    spans: Vec<(String, i64, i64)>,
}

fn gaps(rows: &[Rows], venue: &str) -> Gaps {
    let mut gaps = Gaps::default();
    for rows in stored::of(rows, "gaps").filter(|rows| rows.venue == venue) {
        let [first, last] = ["first_missing", "last_missing"].map(|name| rows.numbers::<Int64Type>(name));
        let [from, to] = ["from_ts", "to_ts"].map(|name| rows.numbers::<TimestampNanosecondType>(name));
        for row in 0..rows.len() {
            let symbol = rows.texts("symbol").value(row).to_owned();
            let is_of_trades =
                rows.texts("reason").value(row) == "venue_sequence" && !rows.texts("symbol").is_null(row);
            if is_of_trades {
                let ids = first.value(row)..=last.value(row);
                gaps.ids.extend(ids.map(|id| (symbol.clone(), id.to_string())));
            } else if !from.is_null(row) && !to.is_null(row) {
                gaps.spans.push((symbol, from.value(row), to.value(row)));
            }
        }
    }
    gaps
}

/// Lets faults strike by chance for a time; how many did, and how many of those were frames that no decoder may take.
fn rage(servers: &[Server], feedd: &mut Feedd, rng: &mut fastrand::Rng) -> (u64, u64) {
    let (long, pause, _) = size();
    let begin = Instant::now();
    let (mut struck, mut hostile) = (0, 0);
    while begin.elapsed() < long {
        let at = rng.usize(..servers.len());
        let fault = rng.choice(FAULTS).unwrap();
        if VENUES[at].is_dense || !fault.starts_with("drop") {
            servers[at].inject(Fault::parse(fault).unwrap());
            struck += 1;
            hostile += u64::from(fault.starts_with("giant") || fault.starts_with("invalid"));
        }
        assert!(feedd.is_running(), "{}", feedd.said());
        std::thread::sleep(pause.mul_f64(rng.f64() * 2.0));
    }
    (struck, hostile)
}

/// What the stored rows of an exchange are beside its log.
#[derive(Debug, Default)]
struct Judged {
    /// Trades stored once and right.
    found: u64,
    /// Not stored, and recorded as missing.
    told: u64,
    /// Neither.
    lost: u64,
    /// Stored once more.
    again: u64,
    /// Instruments of which nothing was heard after the last fault.
    deaf: u64,
    /// Books that the rows say are whole.
    whole: u64,
    /// Those that are not the exchange's.
    wrong: u64,
}

/// Every trade is stored once and right, or recorded as missing; the last ones are there; whole books are right.
fn judge(rows: &[Rows], server: &Server, played: &Played, calm_ns: i64) -> Judged {
    let venue = played.name;
    let ((stored, again), gaps, made) = (trades(rows, venue), gaps(rows, venue), made(server));
    let mut judged = Judged { again, ..Judged::default() };
    for (symbol, trades) in &made {
        let is_stored = |id: &str| stored.get(&(symbol.clone(), id.to_owned()));
        let first = trades.iter().position(|(id, _)| is_stored(id).is_some());
        let last = trades.iter().rposition(|(id, _)| is_stored(id).is_some());
        let (Some(first), Some(last)) = (first, last) else { panic!("{venue} {symbol}: no trade is stored") };
        judged.deaf += u64::from(trades[last].1.at_ns <= calm_ns);
        for (id, made) in &trades[first..=last] {
            if let Some((price, size)) = is_stored(id) {
                assert_eq!((price, size), (&made.price, &made.size), "{venue} {symbol} {id}");
                judged.found += 1;
                continue;
            }
            let is_named = gaps.ids.contains(&(symbol.clone(), id.clone()));
            let is_in = |(of, from, to): &(String, i64, i64)| of == symbol && (*from..=*to).contains(&made.at_ns);
            if is_named || (!played.is_dense && gaps.spans.iter().any(is_in)) {
                judged.told += 1;
            } else {
                println!("{venue} {symbol} {id}, made at {}, is neither stored nor recorded as missing", made.at_ns);
                judged.lost += 1;
            }
        }
    }
    assert_eq!(judged.found, stored.len() as u64, "{venue}: nothing is stored that was not made");
    // OKX's quotes are books of one level; nobody records Bybit's other market.
    let is_ours = |line: &serde_json::Value| line["feed"] != "bbo-tbt";
    for line in server.books().iter().filter(|line| is_ours(line)) {
        let symbol = line["symbol"].as_str().unwrap();
        if let Some(book) = last_book(rows, venue, symbol, played.rule) {
            judged.whole += 1;
            if book != said(line, played.rule) {
                println!("{venue} {symbol}: stored {book:?}, and the exchange has {:?}", said(line, played.rule));
                judged.wrong += 1;
            }
        }
    }
    println!("{venue}: {judged:?}");
    judged
}

/// Prints what each promise has come to, and fails when one was broken.
fn report(seed: u64, (struck, hostile): (u64, u64), judged: &[Judged], impostor: &Server) {
    let (long, _, calm) = size();
    let sum = |what: fn(&Judged) -> u64| judged.iter().map(what).sum::<u64>();
    let runs = judged.len() as u64;
    let kinds = "closes, resets, black holes, mute streams, lost, late, double and damaged frames";
    let new = |promise| Report::new(promise).seed(seed).runs(runs);
    let books = sum(|judged| judged.whole);
    let note = format!(
        "five exchanges, {} s: {} trades stored, {} recorded as missing, {books} of 10 books whole and compared",
        long.as_secs(),
        sum(|judged| judged.found),
        sum(|judged| judged.told)
    );
    new("P12")
        .faults(struck)
        .fault_kinds(kinds)
        .demand(sum(|judged| judged.deaf) == 0, "an instrument was not heard again")
        .demand(calm.is_zero() || books == 10, "a book did not become whole again")
        .finish();
    new("P13")
        .faults(struck)
        .fault_kinds(kinds)
        .lost(sum(|judged| judged.lost))
        .duplicated(sum(|judged| judged.again))
        .demand(sum(|judged| judged.wrong) == 0, "a book that is said to be whole is not the exchange's")
        .note(&note)
        .finish();
    // It has run to its end, or the test had failed before.
    new("P16").faults(hostile).fault_kinds("giant frames and texts that are not UTF-8").finish();
    let summary = impostor.summary();
    Report::new("P18")
        .seed(seed)
        .runs(1)
        .faults(summary.refused)
        .fault_kinds("handshakes of an unknown issuer")
        .demand(summary.connections == 0, "a connection whose issuer is unknown was opened")
        .demand(summary.refused > 0, "no handshake was tried")
        .finish();
}

#[test]
fn five_exchanges_under_random_faults_are_stored_to_the_event() {
    let seed = seed();
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let config = |venue, tls| {
        let mut config = Config { seed, tls, pace: Pace::PerSecond(200), ..Config::for_tests(venue) };
        config.symbols.retain(|symbol| !symbol.name.starts_with("linear/"));
        config
    };
    let servers = VENUES.map(|played| Server::start(config(played.venue, played.is_tls)).unwrap());
    let impostor = Server::start(config(Venue::BinanceUs, true)).unwrap();
    let data = folder.path().join("data");
    let config = configured(folder.path(), &servers, &impostor);
    let mut feedd = Feedd::start(&run_args(&data, &["--config", &config]));
    let heard = |server: &Server, from: usize| server.log()[from..].iter().any(|line| line["what"] == "sent");
    feedd.wait_until("every exchange is heard", |_| servers.iter().all(|server| heard(server, 0)));
    let faults = rage(&servers, &mut feedd, &mut rng);
    // A mute stream is noticed after 10 s at the soonest, and what lasts ends before that.
    let calm = servers.iter().map(|server| server.log().len()).collect::<Vec<_>>();
    let calm_ns = servers.iter().filter_map(|server| server.log().last()?["t"].as_i64()).max().unwrap();
    // Each venue has a word of its own for its trades.
    let is_trades =
        |line: &serde_json::Value| line["kind"].as_str().is_some_and(|kind| kind.to_lowercase().contains("trade"));
    let trades_after = |server: &Server, from: usize| {
        server.log()[from..].iter().filter(|line| line["what"] == "sent" && is_trades(line)).count()
    };
    feedd.wait_until("every exchange is heard again", |_| {
        servers.iter().zip(&calm).all(|(server, from)| trades_after(server, *from) > 40)
    });
    let well = Instant::now();
    while well.elapsed() < size().2 {
        assert!(feedd.is_running(), "{}", feedd.said());
        std::thread::sleep(Duration::from_millis(100));
    }
    servers.iter().for_each(Server::settle_market);
    // What was sent is in the sockets, and nothing says when it has been read.
    std::thread::sleep(Duration::from_secs(2));
    feedd.signal("TERM");
    let ended = feedd.wait();
    ended.assert_complete("chaos");
    let rows = stored::read(&data);
    let judged = servers.iter().zip(&VENUES).map(|(server, played)| judge(&rows, server, played, calm_ns));
    let judged: Vec<Judged> = judged.collect();
    assert!(rows.iter().all(|rows| rows.venue != "binance_us"), "nothing is stored of who cannot prove who it is");
    let verified = run_verify(&data);
    assert!(verified.stdout.starts_with(b"stream") && verified.code() == Some(0), "{}", verified.stderr);
    if judged.iter().any(|judged| judged.lost + judged.again + judged.deaf + judged.wrong > 0 || judged.whole < 2) {
        println!("{}", ended.stderr);
    }
    report(seed, faults, &judged, &impostor);
}

fn run_verify(data: &Path) -> common::Ended {
    Feedd::start(&["verify".to_owned(), "--data-dir".to_owned(), data.to_str().unwrap().to_owned()]).wait()
}
