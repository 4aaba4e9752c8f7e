//! Looking into a running recorder: samples of what it records, and its books.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Place, Recorded, feedd, get};
use common::{Feedd, command, run_args};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use venue_sim::{Config, Server, Venue};

/// Starts a recorder that has heard three trades of `BTCUSDT`.
fn heard(place: &Place, sets: &[&str]) -> Recorded {
    let mut recorder = place.start(sets);
    recorder.trade(1..=3);
    recorder.wait_until("the symbol is heard", |status| status["symbols"][0]["messages"] == 3);
    recorder
}

/// A tap that runs.
fn tap(place: &Place, args: &[&str]) -> Child {
    let data_dir = place.data_dir();
    let all = [&["tap", "BTCUSDT", "--data-dir", data_dir.to_str().unwrap()], args].concat();
    command(&all).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Trades, from id 4 on, until the tap has ended, and gives its lines.
fn trade_until_ended(recorder: &mut Recorded, mut tap: Child) -> Vec<String> {
    let stdout = BufReader::new(tap.stdout.take().unwrap());
    let lines = std::thread::spawn(move || stdout.lines().map(Result::unwrap).collect::<Vec<_>>());
    let mut next = 4;
    while !lines.is_finished() {
        recorder.trade(next..=next + 9);
        next += 10;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(tap.wait().unwrap().success());
    lines.join().unwrap()
}

#[test]
fn a_tap_shows_what_is_stored_to_the_last_digit_and_counts_what_it_passes_over() {
    let place = Place::new();
    let mut recorder = heard(&place, &[]);
    // Twenty a second of some hundreds.
    let tap = tap(&place, &["--kind", "trades", "--rate", "20", "--count", "12", "--json"]);
    let lines = trade_until_ended(&mut recorder, tap);
    let shown: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown.len(), 12);
    let number = |value: &Value| value.as_str().unwrap().parse::<u64>().unwrap();
    for event in &shown {
        let fields = &event["event"];
        assert_eq!((&event["symbol"], &event["venue"]), (&"BTCUSDT".into(), &"binance".into()), "{event}");
        assert_eq!(
            (&fields["kind"], &fields["price"], &fields["size"]),
            (&"trade".into(), &"100.25".into(), &"0.50".into())
        );
        assert_eq!(
            (&fields["side"], &event["version"], &event["unread"]),
            (&"buy".into(), &1.into(), &0.into()),
            "{event}"
        );
    }
    for pair in shown.windows(2) {
        let [before, after] = pair else { unreachable!() };
        let between = number(&after["event"]["trade_id"]) - number(&before["event"]["trade_id"]) - 1;
        assert_eq!(after["passed"], between, "every trade between two that are shown is counted: {before} {after}");
        assert_eq!(after["seq"].as_u64().unwrap() - before["seq"].as_u64().unwrap() - 1, between);
    }
    assert!(shown.iter().any(|event| event["passed"].as_u64().unwrap() > 0), "some were passed over");
    recorder.end().assert_complete("tapped");
}

#[test]
fn people_get_lines_and_the_end_of_the_recorder_ends_a_tap() {
    let place = Place::new();
    let mut recorder = heard(&place, &[]);
    let lines = trade_until_ended(&mut recorder, tap(&place, &["--count", "2"]));
    assert_eq!(lines.len(), 2);
    for line in &lines {
        assert!(line.starts_with("2024-08-08T00:00:0"), "{line}");
        assert!(line.contains("Z binance BTCUSDT ") && line.contains(" trade 100.25 x 0.50 buy id "), "{line}");
    }
    let mut last = tap(&place, &[]);
    let mut shown = BufReader::new(last.stdout.take().unwrap());
    let first = std::thread::spawn(move || {
        let mut line = String::new();
        shown.read_line(&mut line).unwrap();
        // Open until the end of the recorder.
        (line, shown)
    });
    let mut next = 100_000;
    while !first.is_finished() {
        recorder.trade(next..=next);
        next += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let (line, _open) = first.join().unwrap();
    assert!(line.contains(" trade 100.25 x 0.50 "), "{line}");
    recorder.end().assert_complete("tapped");
    assert!(last.wait().unwrap().success());
    let mut told = String::new();
    last.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(told, "feedd: the recorder has ended the tap\n");
    let (code, _, error) = place.ask(&["tap", "BTCUSDT"]);
    assert!(code == 3 && error.contains("no recorder answers at"), "{code}: {error}");
}

/// Names of the threads of a process.
fn threads(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    // A thread may end while it is looked at.
    let name = |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn what_cannot_be_tapped_is_refused_with_what_helps() {
    let place = Place::new();
    let mut recorder = heard(&place, &[]);
    let cases: [(&[&str], &str); 4] = [
        (&["tap", "BTCUSD"], "/tap: HTTP 404: BTCUSD has not been heard since the start; heard are BTCUSDT"),
        (&["tap", "BTCUSDT", "--source", "kraken"], "/tap: HTTP 404: no source is called kraken; there are capture"),
        (
            &["tap", "BTCUSDT", "--kind", "book"],
            "/tap: HTTP 400: there is no kind \"book\"; write trades, quotes, depth, gaps",
        ),
        (&["book", "BTCUSDT"], "/book: HTTP 404: no source of this recorder keeps books: only live ones do"),
    ];
    for (args, expected) in cases {
        let (code, out, error) = place.ask(args);
        assert!(code == 2 && out.is_empty() && error.contains(expected), "{args:?}: {code} {out}{error}");
    }
    let asked = |path: &str| get(&recorder.address, path);
    for (path, expected) in [
        ("/tap", "say which: /tap?symbol=SYMBOL\n"),
        ("/tap?symbol=BTCUSDT&rate=0", "rate=0: write a number from 1 to 1000\n"),
        ("/tap?symbol=BTCUSDT&rat=1", "there is no \"rat\" here; known are symbol, source, kind, rate\n"),
    ] {
        let answer = asked(path);
        assert_eq!((answer.status, answer.body.as_str()), (400, expected), "{path}");
    }
    recorder.trade(4..=4);
    recorder.end().assert_complete("asked");

    let place = Place::new();
    let recorder = heard(&place, &["journal.mode=off"]);
    let (code, _, error) = place.ask(&["tap", "BTCUSDT"]);
    assert!(code == 2 && error.contains("this recorder has no journal, which is what a tap reads"), "{code}: {error}");
    recorder.end().assert_complete("without a journal");
}

#[test]
fn a_few_taps_at_once_and_a_place_is_free_again_when_one_ends() {
    const TAPS: usize = 4;
    let place = Place::new();
    let mut recorder = heard(&place, &[]);
    let address = recorder.address.clone();
    let open = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        let request = format!("GET /tap?symbol=BTCUSDT HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        (stream, String::from_utf8(head.to_vec()).unwrap())
    };
    let mut taps: Vec<_> = (0..TAPS).map(|_| open()).collect();
    assert!(taps.iter().all(|(_, head)| head == "HTTP/1.1 200 OK"), "{taps:?}");
    let answer = get(&address, "/tap?symbol=BTCUSDT");
    assert_eq!((answer.status, answer.body.as_str()), (503, "4 taps are open already; end one of them\n"));
    taps.pop();
    recorder.feedd.wait_until("its place is free", |_| open().1 == "HTTP/1.1 200 OK");
    drop(taps);
    recorder.feedd.wait_until("all have ended", |feedd| !threads(feedd.pid()).iter().any(|name| name == "tap"));
    recorder.trade(4..=10);
    recorder.end().assert_complete("tapped by many");
}

/// The levels of one side, as the exchange says them.
fn levels(book: &Value, side: &str) -> Vec<[bigdecimal::BigDecimal; 2]> {
    let number = |value: &Value| value.as_str().unwrap().parse::<bigdecimal::BigDecimal>().unwrap().normalized();
    book[side].as_array().unwrap().iter().map(|level| [number(&level[0]), number(&level[1])]).collect()
}

#[test]
fn the_books_of_a_running_recorder_are_those_of_the_exchange() {
    let server = Server::start(Config { paused: true, ..Config::for_tests(Venue::Binance) }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("feedd.toml");
    let text = format!(
        "[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nsymbols = [\"BTCUSDT\", \"ETHUSDT\"]\n\
         channels = [\"trades\", \"depth\"]\nurl = {:?}\nrest_url = {:?}\n\
         [source.periods]\nretry_min = \"50ms\"\nretry_max = \"200ms\"\n",
        server.ws_url(""),
        server.rest_url()
    );
    std::fs::write(&config, text).unwrap();
    let data = folder.path().join("data");
    let args = ["--config", config.to_str().unwrap(), "--set", "admin.listen=127.0.0.1:0"];
    let mut recorder = Feedd::start(&run_args(&data, &args));
    let asked = |args: &[&str]| feedd(&[&["book"], args, &["--data-dir", data.to_str().unwrap()]].concat());
    recorder
        .wait_until("subscribed", |_| server.log().iter().any(|line| line["what"] == "answer" && line["conn"] == 1));
    server.resume_market();
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    recorder.wait_until("whole books", |_| {
        let whole = |symbol: &str| asked(&[symbol]).0 == 0;
        whole("BTCUSDT") && whole("ETHUSDT")
    });
    server.settle_market();
    // Asked with all levels: what was on its way has arrived when they are equal.
    recorder.wait_until("the books of the exchange", |_| {
        let books = server.books();
        assert_eq!(books.len(), 2, "{books:?}");
        books.iter().all(|book| {
            let (code, out, error) = asked(&[book["symbol"].as_str().unwrap(), "--levels", "1000", "--json"]);
            assert_eq!(code, 0, "{error}");
            let document = json(&out);
            let found = &document["books"][0];
            assert_eq!((&document["version"], &found["state"]), (&1.into(), &"synchronised".into()));
            assert_eq!((&found["source"], &found["venue"]), (&"binance".into(), &"binance".into()));
            ["bids", "asks"].iter().all(|side| levels(found, side) == levels(book, side))
        })
    });
    let (_, two, _) = asked(&["BTCUSDT", "--levels", "2", "--json"]);
    let (two, book) = (json(&two), &server.books()[0]);
    for side in ["bids", "asks"] {
        assert_eq!(levels(&two["books"][0], side), levels(book, side)[..2], "{side}");
    }
    assert_eq!(two["books"][0]["bid_levels"], levels(book, "bids").len());
    let (_, page, _) = asked(&["BTCUSDT", "--levels", "2"]);
    let best = format!("BTCUSDT of binance (binance): synchronised, {} bids, ", levels(book, "bids").len());
    assert!(page.starts_with(&best) && page.lines().count() == 4, "{page}");

    let cases: [(&[&str], &str); 3] = [
        (&["DOGEUSDT"], "DOGEUSDT has not been heard since the start; heard are BTCUSDT, ETHUSDT"),
        (&["BTCUSDT", "--source", "kraken"], "no live source is called kraken"),
        (&["BTCUSDT", "--levels", "100000"], "levels=100000: write a number from 1 to 1000"),
    ];
    for (args, expected) in cases {
        let (code, out, error) = asked(args);
        assert!(code == 2 && out.is_empty() && error.contains(expected), "{args:?}: {code} {out}{error}");
    }
    recorder.signal("TERM");
    recorder.wait().assert_complete("live");
    assert_eq!(asked(&["BTCUSDT"]).0, 3, "nobody answers");
}
