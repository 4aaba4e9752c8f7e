//! Five exchanges at once under random faults: every trade that they made is stored once, to the last digit, or lies in a
//! recorded gap; and when the faults end, everything is heard again.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::Array;
use arrow_array::types::{Int64Type, TimestampNanosecondType, UInt64Type};
use bigdecimal::BigDecimal;
use common::pg::Size;
use common::stored::{self, Rows};
use common::{Feedd, run_args};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};
use venue_sim::{Config, Fault, Pace, Server, Venue};

/// What is played, its keys in the configuration, its name in the store, and whether its trade ids are dense.
const VENUES: [(Venue, &str, &str, bool); 5] = [
    (Venue::Binance, "venue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]", "binance", true),
    (
        Venue::CoinbaseAdvanced,
        "venue = \"coinbase\"\nmarket = \"advanced\"\nsymbols = [\"BTC-USD\", \"ETH-USD\"]",
        "coinbase",
        true,
    ),
    (Venue::Kraken, "venue = \"kraken\"\nsymbols = [\"BTC/USD\", \"ETH/USD\"]", "kraken", true),
    (Venue::Okx, "venue = \"okx\"\nsymbols = [\"BTC-USDT\", \"ETH-USDT\"]", "okx", false),
    (
        Venue::Bybit,
        "venue = \"bybit\"\nmarket = \"spot\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]\nchannels = [\"trades\", \"depth\"]",
        "bybit_spot",
        false,
    ),
];

/// Faults to choose among. `drop` is not for venues whose ids are opaque: nothing tells of a single lost trade there.
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

/// For how long, and the mean time between two faults.
fn size() -> (Duration, Duration) {
    match Size::of_this_run() {
        Size::Day => (Duration::from_secs(15), Duration::from_millis(500)),
        Size::Ci => (Duration::from_secs(120), Duration::from_secs(1)),
        Size::Full => (Duration::from_secs(600), Duration::from_secs(2)),
    }
}

fn configured(folder: &Path, servers: &[Server]) -> String {
    let mut text = String::new();
    for (server, (_, keys, ..)) in servers.iter().zip(VENUES) {
        let url = server.ws_url("");
        write!(
            text,
            "[[source]]\nkind = \"venue\"\n{keys}\nurl = {url:?}\n[source.periods]\nretry_min = \"50ms\"\n\
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
    // Bybit's server plays a linear market, too, which nobody records here.
    let is_ours = |line: &serde_json::Value| !line["symbol"].as_str().unwrap_or_default().starts_with("linear/");
    for line in server.log().iter().filter(|line| line["what"] == "trade" && is_ours(line)) {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let number = |key: &str| BigDecimal::from_str(&text(key)).unwrap().normalized();
        let made = Made { price: number("price"), size: number("size"), at_ns: line["t"].as_i64().unwrap() };
        all.entry(text("symbol")).or_default().push((text("id"), made));
    }
    all
}

/// Stored trades by symbol and id; fails when one is stored twice.
fn trades(rows: &[Rows], venue: &str) -> BTreeMap<(String, String), (BigDecimal, BigDecimal)> {
    let mut all = BTreeMap::new();
    for rows in stored::of(rows, "trades").filter(|rows| rows.venue == venue) {
        let (symbols, ids) = (rows.texts("symbol"), rows.numbers::<UInt64Type>("trade_id"));
        let texts = rows.texts("trade_id_text");
        for (row, value) in rows.decimals("price").zip(rows.decimals("size")).enumerate() {
            let id = if ids.is_null(row) { texts.value(row).to_owned() } else { ids.value(row).to_string() };
            let key = (symbols.value(row).to_owned(), id);
            assert!(all.insert(key.clone(), value).is_none(), "{venue} {key:?} is stored twice");
        }
    }
    all
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

/// Lets faults strike by chance for a time.
fn rage(servers: &[Server], feedd: &mut Feedd, rng: &mut fastrand::Rng) {
    let (long, pause) = size();
    let begin = Instant::now();
    let mut struck = 0;
    while begin.elapsed() < long {
        let at = rng.usize(..servers.len());
        let fault = rng.choice(FAULTS).unwrap();
        if VENUES[at].3 || !fault.starts_with("drop") {
            servers[at].inject(Fault::parse(fault).unwrap());
            struck += 1;
        }
        assert!(feedd.is_running(), "{}", feedd.said());
        std::thread::sleep(pause.mul_f64(rng.f64() * 2.0));
    }
    println!("{struck} faults in {} s", long.as_secs());
}

/// Every trade is stored once and right, or recorded as missing; and the last ones are there.
fn judge(rows: &[Rows], server: &Server, venue: &str, is_dense: bool, calm_ns: i64) {
    let (stored, gaps, made) = (trades(rows, venue), gaps(rows, venue), made(server));
    let (mut found, mut missing) = (0, 0);
    for (symbol, trades) in &made {
        let is_stored = |id: &str| stored.get(&(symbol.clone(), id.to_owned()));
        let first = trades.iter().position(|(id, _)| is_stored(id).is_some());
        let last = trades.iter().rposition(|(id, _)| is_stored(id).is_some());
        let (Some(first), Some(last)) = (first, last) else { panic!("{venue} {symbol}: no trade is stored") };
        assert!(trades[last].1.at_ns > calm_ns, "{venue} {symbol}: nothing was heard after the last fault");
        for (id, made) in &trades[first..=last] {
            if let Some((price, size)) = is_stored(id) {
                assert_eq!((price, size), (&made.price, &made.size), "{venue} {symbol} {id}");
                found += 1;
                continue;
            }
            missing += 1;
            let is_named = gaps.ids.contains(&(symbol.clone(), id.clone()));
            let is_in = |(of, from, to): &(String, i64, i64)| of == symbol && (*from..=*to).contains(&made.at_ns);
            let is_told = is_named || (!is_dense && gaps.spans.iter().any(is_in));
            assert!(
                is_told,
                "{venue} {symbol} {id}, made at {}, is neither stored nor recorded as missing",
                made.at_ns
            );
        }
    }
    assert_eq!(found, stored.len(), "{venue}: nothing is stored that was not made");
    println!("{venue}: {found} trades stored once, {missing} recorded as missing");
}

#[test]
fn five_exchanges_under_random_faults_are_stored_to_the_event() {
    let seed = std::env::var("FEEDD_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("FEEDD_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let config = |venue| Config { seed, pace: Pace::PerSecond(200), ..Config::for_tests(venue) };
    let servers = VENUES.map(|(venue, ..)| Server::start(config(venue)).unwrap());
    let data = folder.path().join("data");
    let mut feedd = Feedd::start(&run_args(&data, &["--config", &configured(folder.path(), &servers)]));
    let heard = |server: &Server, from: usize| server.log()[from..].iter().any(|line| line["what"] == "sent");
    feedd.wait_until("every exchange is heard", |_| servers.iter().all(|server| heard(server, 0)));
    rage(&servers, &mut feedd, &mut rng);
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
    servers.iter().for_each(Server::pause_market);
    feedd.signal("TERM");
    let ended = feedd.wait();
    ended.assert_complete("chaos");
    let rows = stored::read(&data);
    for (server, (_, _, venue, is_dense)) in servers.iter().zip(VENUES) {
        judge(&rows, server, venue, is_dense, calm_ns);
    }
    let verified = run_verify(&data);
    assert!(verified.stdout.starts_with(b"stream") && verified.code() == Some(0), "{}", verified.stderr);
}

fn run_verify(data: &Path) -> common::Ended {
    Feedd::start(&["verify".to_owned(), "--data-dir".to_owned(), data.to_str().unwrap().to_owned()]).wait()
}
