//! The rules that a venue's feed keeps, checked over the emitted text with an independent JSON reader and book.

use super::*;
use crate::{decoder::Outcome, message::Message, table};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// 2024-08-08 23:54:13 UTC, in ns.
const START_NS: i64 = 1_723_161_253_000_000_000;

/// The first `count` frames, with a clock that moves 100 us a frame.
fn frames(config: &SimConfig, count: usize) -> Vec<(SimFrame, String)> {
    let mut market = SimMarket::new(config).unwrap();
    let mut text = String::new();
    (0..).take(count).map(|i| (market.next_frame(UnixNanos(START_NS + i * 100_000), &mut text), text.clone())).collect()
}

/// A printed amount in 10^-8: exactly eight decimals, as Binance prints.
fn e8(value: &Value) -> u64 {
    let (int, frac) = value.as_str().unwrap().split_once('.').unwrap();
    assert_eq!(frac.len(), 8, "{value}");
    int.parse::<u64>().unwrap() * 100_000_000 + frac.parse::<u64>().unwrap()
}

/// What an observer of one symbol knows.
#[derive(Default)]
struct Observed {
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
    update_id: u64,
    trade_id: Option<u64>,
    quote: Option<[u64; 4]>,
}

impl Observed {
    fn apply(&mut self, bids: &Value, asks: &Value) -> usize {
        let mut levels = 0;
        for (side, changes) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for change in changes.as_array().unwrap() {
                levels += 1;
                match (e8(&change[0]), e8(&change[1])) {
                    (price, 0) => drop(side.remove(&price)),
                    (price, size) => drop(side.insert(price, size)),
                }
            }
        }
        levels
    }

    fn best(&self) -> [u64; 4] {
        let (bid, ask) = (self.bids.last_key_value().unwrap(), self.asks.first_key_value().unwrap());
        [*bid.0, *bid.1, *ask.0, *ask.1]
    }
}

/// Counts of what was seen, after every rule has been checked.
#[derive(Default)]
struct Seen {
    trades: usize,
    quotes: usize,
    diffs: usize,
    swept: usize,
    levels_max: usize,
}

fn observe(config: &SimConfig, count: usize) -> Seen {
    observe_all(frames(config, count)).0
}

/// The same of any frames; and how many came of each symbol.
fn observe_all(frames: Vec<(SimFrame, String)>) -> (Seen, BTreeMap<String, usize>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut observed: HashMap<String, Observed> = HashMap::new();
    let mut seen = Seen::default();
    let mut requested = String::new();
    let mut last_trade = (String::new(), 0);
    for (frame, text) in frames {
        if frame.kind == SimKind::Request {
            let rest = text.strip_prefix("GET https://sim.invalid/api/v3/depth?symbol=").unwrap();
            requested = rest.strip_suffix("&limit=100").unwrap().to_owned();
            continue;
        }
        let json: Value = serde_json::from_str(&text).unwrap();
        let Some(stream) = json["stream"].as_str() else {
            assert_eq!(frame.conn, "rest");
            let book = observed.entry(requested.clone()).or_default();
            (book.update_id, book.quote) = (json["lastUpdateId"].as_u64().unwrap(), None);
            book.bids.clear();
            book.asks.clear();
            // One that comes back has the levels that it had come to.
            let (levels, is_new) = (book.apply(&json["bids"], &json["asks"]), !counts.contains_key(&requested));
            assert!(if is_new { levels == 200 } else { (100..=200).contains(&levels) }, "{levels} levels");
            continue;
        };
        assert_eq!(frame.conn, "ws-1");
        let (data, symbol) = (&json["data"], json["data"]["s"].as_str().unwrap());
        *counts.entry(symbol.to_owned()).or_default() += 1;
        let tick = Profile::of(symbol).tick_e8;
        let (lower, kind) = stream.split_once('@').unwrap();
        assert_eq!(lower, symbol.to_lowercase());
        let book = observed.entry(symbol.to_owned()).or_default();
        match kind {
            "trade" => {
                seen.trades += 1;
                let id = data["t"].as_u64().unwrap();
                assert!(book.trade_id.is_none_or(|last| id == last + 1), "trade ids are dense: {text}");
                book.trade_id = Some(id);
                assert!(e8(&data["p"]) > 0 && e8(&data["p"]).is_multiple_of(tick) && e8(&data["q"]) > 0, "{text}");
                let at = (symbol.to_owned(), data["T"].as_u64().unwrap());
                assert!(data["E"].as_u64().unwrap() >= at.1);
                seen.swept += usize::from(at == last_trade);
                last_trade = at;
            }
            "bookTicker" => {
                seen.quotes += 1;
                let quote = ["b", "B", "a", "A"].map(|key| e8(&data[key]));
                assert!(quote[0] < quote[2] && quote[1] > 0 && quote[3] > 0, "never crossed or empty: {text}");
                assert!(quote[0].is_multiple_of(tick) && quote[2].is_multiple_of(tick), "{text}");
                assert_ne!(Some(quote), book.quote, "a quote says something new: {text}");
                book.quote = Some(quote);
            }
            _ => {
                assert_eq!(kind, "depth@100ms");
                seen.diffs += 1;
                let (first, last) = (data["U"].as_u64().unwrap(), data["u"].as_u64().unwrap());
                assert_eq!(first, book.update_id + 1, "diffs are contiguous: {text}");
                assert!(last >= first, "{text}");
                book.update_id = last;
                let levels = book.apply(&data["b"], &data["a"]);
                assert!((1..=40).contains(&levels), "{levels}: {text}");
                seen.levels_max = seen.levels_max.max(levels);
                let best = book.best();
                assert!(best[0] < best[2], "bids stay below asks: {text}");
                assert!(book.quote.is_none_or(|quote| quote == best), "quotes and diffs tell of one book: {text}");
            }
        }
    }
    (seen, counts)
}

/// Whatever stands between two frames when the list changes (an opening, a sweep, a quote that is owed), every rule holds on.
#[test]
fn symbols_come_and_go_at_any_frame() {
    let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lists = ["SOLUSDT BTCUSDT", "BTCUSDT ETHUSDT SOLUSDT", "ETHUSDT", "XRPUSDT ETHUSDT BTCUSDT"].map(names);
    for period in 1..40 {
        let config = SimConfig { symbols: names("BTCUSDT ETHUSDT"), burst_every_frames: 50, ..SimConfig::default() };
        let mut market = SimMarket::new(&config).unwrap();
        let (mut all, mut listed, mut text) = (Vec::new(), config.symbols.clone(), String::new());
        for (number, at) in (0..4_000).zip((START_NS..).step_by(100_000)) {
            if number % period == period - 1 && number < 2_000 {
                let new = &lists[number / period % lists.len()];
                let gone = market.set_symbols(new).unwrap();
                let expected = listed.iter().filter(|symbol| !new.contains(symbol)).cloned().collect::<Vec<_>>();
                assert_eq!(gone, expected);
                listed.clone_from(new);
            }
            let frame = market.next_frame(UnixNanos(at), &mut text);
            let upper = text.to_uppercase();
            let is_snapshot = text.starts_with("{\"lastUpdateId");
            assert!(is_snapshot || listed.iter().any(|symbol| upper.contains(symbol.as_str())), "{listed:?}: {text}");
            all.push((frame, text.clone()));
        }
        let (_, counts) = observe_all(all);
        assert!(listed.iter().all(|symbol| counts[symbol] > 50), "{listed:?}: {counts:?}");
    }
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    assert_eq!(market.set_symbols(&[]), Err(SimConfigError::NoSymbol));
    assert_eq!(market.set_symbols(&SimConfig::default().symbols).unwrap(), Vec::<String>::new());
}

#[test]
fn frames_read_as_binance_sends_them() {
    let config = SimConfig { symbols: vec!["BTCUSDT".into()], ..SimConfig::default() };
    let all = frames(&config, 200);
    let first =
        |stream: &str| all.iter().map(|(_, text)| text.as_str()).find(|text| text.contains(stream)).unwrap().to_owned();
    // Digits differ from seed to seed; the shape does not.
    let shape = |text: String| {
        let mut shape = String::new();
        for c in text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }) {
            if c != '0' || !shape.ends_with('0') {
                shape.push(c);
            }
        }
        shape
    };
    assert!(all[1].1.starts_with(r#"{"lastUpdateId":"#) && all[1].1.ends_with(r#""]]}"#));
    assert_eq!(
        shape(first("@trade")).replace("true,\"M", "false,\"M"),
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":0,"s":"BTCUSDT","t":0,"p":"0.0","q":"0.0","T":0,"m":false,"M":true}}"#
    );
    assert_eq!(
        shape(first("@bookTicker")),
        r#"{"stream":"btcusdt@bookTicker","data":{"u":0,"s":"BTCUSDT","b":"0.0","B":"0.0","a":"0.0","A":"0.0"}}"#
    );
    assert!(shape(first("@depth")).starts_with(
        r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":0,"s":"BTCUSDT","U":0,"u":0,"b":["#
    ));
}

#[test]
fn prices_start_where_the_symbols_trade() {
    let config = SimConfig { depth: false, trades: false, ..SimConfig::default() };
    let mut bids: HashMap<String, u64> = HashMap::new();
    for (_, text) in frames(&config, 2_000) {
        let json: Value = serde_json::from_str(&text).unwrap();
        bids.entry(json["data"]["s"].as_str().unwrap().to_owned()).or_insert_with(|| e8(&json["data"]["b"]));
    }
    // Symbol, price expected within 2 %, in 10^-8.
    let cases =
        [("BTCUSDT", 6_000_000_000_000), ("XRPUSDT", 58_000_000), ("DOGEUSDT", 10_500_000), ("DOTUSDT", 480_000_000)];
    assert_eq!(bids.len(), SYMBOLS_DEFAULT.len());
    for (symbol, price) in cases {
        assert!(bids[symbol].abs_diff(price) < price / 50, "{symbol}: {}", bids[symbol]);
    }
}

#[test]
fn the_mix_is_that_of_a_real_feed() {
    let config = SimConfig { burst_every_frames: 0, ..SimConfig::default() };
    let seen = observe(&config, 40_020);
    let share = |count: usize| count * 100 / 40_000;
    assert!((57..=63).contains(&share(seen.quotes)), "{} quotes", seen.quotes);
    assert!((22..=28).contains(&share(seen.trades)), "{} trades", seen.trades);
    assert!((12..=18).contains(&share(seen.diffs)), "{} diffs", seen.diffs);
    assert!(seen.swept * 3 > seen.trades, "{} of {} trades share a millisecond", seen.swept, seen.trades);
    assert_eq!(seen.levels_max, 40);
}

#[test]
fn a_burst_is_one_sweep_of_one_symbol() {
    let config = SimConfig { burst_every_frames: 1_000, burst_trades: 300, ..SimConfig::default() };
    let (mut run, mut longest, mut last) = (0, 0, (String::new(), 0));
    for (_, text) in frames(&config, 5_000) {
        if !text.contains("@trade") {
            run = 0;
            continue;
        }
        let data = &serde_json::from_str::<Value>(&text).unwrap()["data"];
        let at = (data["s"].as_str().unwrap().to_owned(), data["T"].as_u64().unwrap());
        run = if at == last { run + 1 } else { 1 };
        last = at;
        longest = longest.max(run);
    }
    assert_eq!(longest, 300);
}

#[test]
fn bursts_without_a_pause_leave_other_frames_their_turn() {
    let config = SimConfig { burst_every_frames: 1, burst_trades: 100, quotes: false, ..SimConfig::default() };
    let seen = observe(&config, 20_000);
    assert!(seen.diffs > 50 && seen.trades > 19_000, "{} diffs, {} trades", seen.diffs, seen.trades);
}

#[test]
fn only_the_times_follow_the_clock() {
    let mut one = SimMarket::new(&SimConfig::default()).unwrap();
    let mut two = SimMarket::new(&SimConfig::default()).unwrap();
    let (mut a, mut b) = (String::new(), String::new());
    for i in 0..5_000 {
        // Within one millisecond each, and both times have 13 digits.
        let now = UnixNanos(START_NS + i * 10);
        let later = UnixNanos(now.0 + 5_000_000_000);
        assert_eq!(one.next_frame(now, &mut a), two.next_frame(later, &mut b));
        assert_eq!(a.replace("1723161253000", "1723161258000"), b);
    }
}

#[test]
fn the_decoder_of_the_venue_takes_every_frame() {
    let mut decoder = table::decoder_for("sim").unwrap();
    let mut symbols = BTreeSet::new();
    for (frame, text) in frames(&SimConfig::default(), 5_000) {
        if frame.kind == SimKind::Request {
            decoder.request(frame.conn, &text);
            continue;
        }
        let outcome = decoder.decode(frame.conn, &text, &mut |_: &str, message: &Message<'_>| {
            if let Message::Book(book) = message {
                symbols.insert(book.symbol.to_owned());
            }
        });
        assert_eq!(outcome, Outcome::Messages(1), "{text}");
    }
    assert!(symbols.iter().map(String::as_str).eq(BTreeSet::from(SYMBOLS_DEFAULT)));
}

#[test]
fn seeds_differ() {
    let other = SimConfig { seed: 2, ..SimConfig::default() };
    assert_ne!(frames(&SimConfig::default(), 100), frames(&other, 100));
}

#[test]
fn the_buffer_stops_growing() {
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    let mut text = String::new();
    for _ in 0..SYMBOLS_DEFAULT.len() * 2 {
        market.next_frame(UnixNanos(START_NS), &mut text);
    }
    let (capacity, at) = (text.capacity(), text.as_ptr());
    for _ in 0..20_000 {
        market.next_frame(UnixNanos(START_NS), &mut text);
        assert_eq!((text.capacity(), text.as_ptr()), (capacity, at));
    }
}

#[test]
fn what_cannot_be_simulated_is_refused() {
    let with =
        |symbols: &[&str]| SimConfig { symbols: symbols.iter().map(|s| s.to_string()).collect(), ..Default::default() };
    let silent = SimConfig { trades: false, quotes: false, depth: false, ..Default::default() };
    let bad = |symbol: &str| SimConfigError::BadSymbol { symbol: symbol.into() };
    let cases = [
        ("no symbol", with(&[]), SimConfigError::NoSymbol),
        ("lower case", with(&["BTCUSDT", "ethusdt"]), bad("ethusdt")),
        ("too short", with(&["BT"]), bad("BT")),
        ("a quote mark", with(&["BTC\"USD"]), bad("BTC\"USD")),
        ("twice", with(&["BTCUSDT", "BTCUSDT"]), SimConfigError::SymbolTwice { symbol: "BTCUSDT".into() }),
        ("all off", silent, SimConfigError::NothingToSend),
    ];
    for (name, config, expected) in cases {
        assert_eq!(SimMarket::new(&config).err(), Some(expected), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Every rule holds for any seed and any choice of streams.
    #[test]
    fn rules_hold_for_any_seed(seed: u64, trades: bool, quotes: bool, depth: bool, symbols in 1usize..=3, burst in 0u64..600) {
        prop_assume!(trades || quotes || depth);
        let symbols = ["TRXUSDT", "BTCUSDT", "PEPEUSDT"][..symbols].iter().map(|s| s.to_string()).collect();
        let config = SimConfig { symbols, seed, trades, quotes, depth, burst_every_frames: burst, burst_trades: 20 };
        let seen = observe(&config, 3_000);
        prop_assert_eq!([seen.trades > 0, seen.quotes > 0, seen.diffs > 0], [trades, quotes, depth]);
    }

    /// Same seed and configuration, same frames.
    #[test]
    fn frames_replay(seed: u64) {
        let config = SimConfig { seed, ..SimConfig::default() };
        prop_assert_eq!(frames(&config, 500), frames(&config, 500));
    }
}
