//! Other settings while it runs: symbols come and go without an interruption of what stays, thresholds and log level follow,
//! what cannot change is named, and a mistake changes nothing.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod common;

use arrow_array::types::{Int64Type, UInt64Type};
use common::stored::{self, Rows};
use common::{Feedd, command, run_args};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use venue_sim::{Config, Server, SymbolSpec, Venue};

/// A recorder of a simulated exchange, with the file that configures it.
struct Place {
    folder: TempDir,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let mut symbols = Venue::Binance.symbols_default();
        symbols.push(SymbolSpec { name: "SOLUSDT".to_owned(), price: 14_235, price_decimals: 2, size_decimals: 2 });
        let config = Config { paused: true, symbols, ..Config::for_tests(Venue::Binance) };
        let server = Server::start(config).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), server }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("feedd.toml")
    }

    /// Writes the file anew: these symbols, and what comes before and after the source.
    fn configure(&self, before: &str, symbols: &[&str], after: &str) {
        let text = format!(
            "{before}[[source]]\nkind = \"venue\"\nvenue = \"binance\"\nsymbols = {symbols:?}\nchannels = [\"trades\", \"depth\"]\n\
             url = {:?}\nrest_url = {:?}\n{after}",
            self.server.ws_url(""),
            self.server.rest_url()
        );
        std::fs::write(self.file(), text).unwrap();
    }

    fn start(&self, more: &[&str]) -> Feedd {
        let file = self.file();
        let fixed = ["--config", file.to_str().unwrap(), "--set", "admin.listen=off", "--set", "tape.enabled=true"];
        Feedd::start(&run_args(&self.data(), &[&fixed, more].concat()))
    }

    /// Runs a command for this recorder: exit code, standard output, standard error.
    fn ask(&self, args: &[&str]) -> (i32, String, String) {
        let data = self.data();
        let output = command(&[args, &["--data-dir", data.to_str().unwrap()]].concat()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.ask(&["status", "--json"]).1).unwrap()
    }

    /// Lets the market make so many trades, all of them recorded before it goes on.
    fn trade(&self, feedd: &mut Feedd, trades: u64) {
        let before = self.server.summary().trades;
        self.server.resume_market();
        feedd.wait_until("trades", |_| self.server.summary().trades >= before + trades);
        self.server.pause_market();
    }

    /// Requests that the exchange was sent on connections: method and parameters.
    fn requests(&self) -> Vec<(String, Vec<String>)> {
        let log = self.server.log();
        let texts = log.iter().filter(|line| line["what"] == "request").filter_map(|line| line["text"].as_str());
        let request = |text: &str| {
            let json: Value = serde_json::from_str(text).ok()?;
            let names = json["params"].as_array()?.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            Some((json["method"].as_str()?.to_owned(), names))
        };
        texts.filter_map(request).collect()
    }

    fn answers(&self) -> usize {
        self.server.log().iter().filter(|line| line["what"] == "answer").count()
    }

    /// Frames that the exchange has sent, and answers of its REST side.
    fn frames_sent(&self) -> usize {
        let is_frame = |line: &&Value| line["what"] == "sent" || line["what"] == "answer" || line["what"] == "rest";
        self.server.log().iter().filter(is_frame).count()
    }

    /// Ids of the trades that the exchange has sent, by symbol.
    fn sent_trades(&self) -> BTreeMap<String, BTreeSet<u64>> {
        let mut sent: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for line in self.server.log().iter().filter(|line| line["what"] == "sent") {
            if line["kind"] == "trade" {
                let (symbol, id) = (line["symbol"].as_str().unwrap(), line["first"].as_u64().unwrap());
                assert!(sent.entry(symbol.to_owned()).or_default().insert(id), "{line} is sent once");
            }
        }
        sent
    }
}

/// Ids of stored trades by symbol; fails when one is stored twice.
fn stored_trades(rows: &[Rows]) -> BTreeMap<String, BTreeSet<u64>> {
    let mut all: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for rows in stored::of(rows, "trades") {
        let (symbols, ids) = (rows.texts("symbol"), rows.numbers::<UInt64Type>("trade_id"));
        for row in 0..rows.len() {
            let (symbol, id) = (symbols.value(row).to_owned(), ids.value(row));
            assert!(all.entry(symbol.clone()).or_default().insert(id), "{symbol} {id} is stored twice");
        }
    }
    all
}

/// Status rows in order: code and symbol.
fn statuses(rows: &[Rows]) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for rows in stored::of(rows, "status") {
        let (codes, symbols, seqs) = (rows.texts("code"), rows.texts("symbol"), rows.numbers::<Int64Type>("seq"));
        for row in 0..rows.len() {
            let symbol = Some(symbols.value(row).to_owned()).filter(|symbol| !symbol.is_empty());
            all.push((seqs.value(row), (codes.value(row).to_owned(), symbol)));
        }
    }
    all.sort();
    all.into_iter().map(|(_, status)| status).collect()
}

fn is_stored(dir: &Path, wanted: &BTreeMap<String, BTreeSet<u64>>) -> bool {
    stored_trades(&stored::read(dir)) == *wanted
}

#[test]
fn symbols_come_and_go_without_an_interruption_of_what_stays() {
    let place = Place::new();
    place.configure("", &["BTCUSDT", "ETHUSDT"], "");
    let mut feedd = place.start(&[]);
    feedd.wait_until("subscribed", |_| place.answers() == 1);
    place.trade(&mut feedd, 100);

    place.configure("", &["BTCUSDT", "SOLUSDT"], "");
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(said.contains("changed: binance records also SOLUSDT; ends ETHUSDT"), "{said}");
    assert!(said.contains("changed: source.0.symbols = [\"BTCUSDT\", \"SOLUSDT\"] ("), "{said}");
    feedd.wait_until("answers to both", |_| place.answers() == 3);
    let requests = place.requests();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let expected = [
        ("SUBSCRIBE", names(&["btcusdt@trade", "btcusdt@depth@100ms", "ethusdt@trade", "ethusdt@depth@100ms"])),
        ("UNSUBSCRIBE", names(&["ethusdt@trade", "ethusdt@depth@100ms"])),
        ("SUBSCRIBE", names(&["solusdt@trade", "solusdt@depth@100ms"])),
    ];
    let expected = expected.map(|(method, names)| (method.to_owned(), names));
    assert_eq!(requests, expected, "what stays is not asked for again");
    place.trade(&mut feedd, 100);
    feedd.wait_until("the symbols of the status", |_| {
        let status = place.status();
        let symbols = status["symbols"].as_array().unwrap();
        let symbols: BTreeSet<&str> = symbols.iter().map(|symbol| symbol["symbol"].as_str().unwrap()).collect();
        symbols == BTreeSet::from(["BTCUSDT", "SOLUSDT"])
    });
    let settings = place.status()["settings"].as_array().unwrap().clone();
    let symbols = settings.iter().find(|setting| setting["key"] == "source.0.symbols").unwrap();
    assert_eq!(symbols["value"], "[\"BTCUSDT\", \"SOLUSDT\"]");
    let sent = place.sent_trades();
    assert!(["BTCUSDT", "ETHUSDT", "SOLUSDT"].iter().all(|symbol| !sent[*symbol].is_empty()), "{sent:?}");
    feedd.wait_until("all of it recorded", |_| place.status()["sources"][0]["frames"] == place.frames_sent());
    feedd.signal("TERM");
    feedd.wait().assert_complete("reloaded");
    let rows = stored::read(&place.data());
    assert_eq!(stored_trades(&rows), sent, "every trade that was sent, once");
    assert_eq!(stored::of(&rows, "gaps").map(Rows::len).sum::<usize>(), 0, "no gap");
    let (ended, lives): (Vec<_>, Vec<_>) = statuses(&rows).into_iter().partition(|(code, _)| code == "ended");
    assert_eq!(ended[0].1.as_deref(), Some("ETHUSDT"), "it was told to stop");
    assert_eq!(ended.len(), 2, "and the run: {ended:?}");
    let connected = lives.iter().filter(|(code, _)| code == "connected").count();
    assert_eq!(connected, 1, "one connection: {lives:?}");
    // Its tape gives the same.
    let again = place.folder.path().join("again");
    let tape = format!("capture:{}", place.data().join("tape").display());
    let played = common::run(&again, &["--source", &tape]);
    played.assert_complete("played");
    let played = stored::read(&again);
    assert!(is_stored(&again, &sent));
    assert_eq!(statuses(&played), statuses(&rows));
}

#[test]
fn symbols_of_a_simulated_market_come_and_go_while_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (file, data) = (folder.path().join("feedd.toml"), folder.path().join("data"));
    let configure = |symbols: &str, more: &str| {
        let text = format!("[[source]]\nkind = \"sim\"\nrate = 2000\nsymbols = {symbols}\n{more}");
        std::fs::write(&file, text).unwrap();
    };
    let ask = |args: &[&str]| {
        let output = command(&[args, &["--data-dir", data.to_str().unwrap()]].concat()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let heard = |least: u64| {
        // Before it serves there is no answer.
        let status: Value = serde_json::from_str(&ask(&["status", "--json"]).1).unwrap_or_default();
        let symbols = status["symbols"].as_array().cloned().unwrap_or_default();
        let heard = symbols.iter().filter(|symbol| symbol["messages"].as_u64().unwrap() >= least);
        heard.map(|symbol| symbol["symbol"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    configure(r#"["BTCUSDT", "ETHUSDT"]"#, "");
    let fixed = ["--config", file.to_str().unwrap(), "--set", "admin.listen=off"];
    let mut feedd = Feedd::start(&run_args(&data, &fixed));
    feedd.wait_until("both", |_| heard(100) == names(&["BTCUSDT", "ETHUSDT"]));
    configure(r#"["SOLUSDT", "BTCUSDT"]"#, "");
    let (code, said) = ask(&["reload"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("changed: source.0.symbols = [\"SOLUSDT\", \"BTCUSDT\"] ("), "{said}");
    feedd.wait_until("the new one, and the old one no more", |_| heard(100) == names(&["BTCUSDT", "SOLUSDT"]));
    // It comes back, and its market goes on.
    configure(r#"["SOLUSDT", "BTCUSDT", "ETHUSDT"]"#, "");
    assert_eq!(ask(&["reload"]).0, 0);
    feedd.wait_until("all three", |_| heard(100) == names(&["BTCUSDT", "ETHUSDT", "SOLUSDT"]));
    configure(r#"["BTCUSDT"]"#, "start_time = \"2024-01-01T00:00:00Z\"\n");
    let (code, said) = ask(&["reload"]);
    assert_eq!((code, said.lines().count()), (1, 2), "{said}");
    assert!(said.contains("to the bit"), "{said}");
    feedd.signal("TERM");
    feedd.wait().assert_complete("reloaded");
    let rows = stored::read(&data);
    for (symbol, ids) in stored_trades(&rows) {
        let (first, last) = (ids.first().unwrap(), ids.last().unwrap());
        assert_eq!(last - first + 1, ids.len() as u64, "{symbol}: every number from {first} to {last}");
    }
    assert_eq!(stored_trades(&rows).len(), 3);
    assert_eq!(stored::of(&rows, "gaps").map(Rows::len).sum::<usize>(), 0, "no gap");
    let ended = |text: &str| ("ended".to_owned(), Some(text.to_owned()));
    let all = statuses(&rows);
    assert_eq!(all.iter().filter(|(code, _)| code == "connected").count(), 1, "{all:?}");
    let told: Vec<_> = all.into_iter().filter(|(code, symbol)| code == "ended" && symbol.is_some()).collect();
    assert_eq!(told, [ended("ETHUSDT")], "it was told to stop, once");
}

#[test]
fn a_mistake_changes_nothing_and_all_of_them_are_told() {
    let place = Place::new();
    place.configure("", &["BTCUSDT"], "");
    let mut feedd = place.start(&[]);
    feedd.wait_until("subscribed", |_| place.answers() == 1);
    let before = place.status()["settings"].clone();
    place.configure("[health]\ninterval = \"soon\"\n[log]\nlevel = \"loud\"\n", &["BTCUSDT", "SOLUSDT"], "");
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!((code, said.as_str()), (2, ""));
    for part in ["feedd.toml:2:12: health.interval: ", "feedd.toml:4:9: log.level: ", "nothing was changed"] {
        assert!(error.contains(part), "{part} in\n{error}");
    }
    // Periods that contradict each other are found by another part of the program, and by SIGHUP as well.
    place.configure("", &["SOLUSDT"], "[source.periods]\nmute_min = \"60s\"\nmute_max = \"1s\"\n");
    feedd.signal("HUP");
    feedd.wait_until_said("periods.mute_min = 60s must not be above periods.mute_max = 1s");
    assert!(feedd.said().contains("nothing was changed"), "{}", feedd.said());
    assert_eq!(place.status()["settings"], before);
    assert_eq!(place.requests().len(), 1, "{:?}", place.requests());
    feedd.signal("TERM");
    feedd.wait().assert_complete("mistakes");
}

#[test]
fn what_cannot_change_is_named_and_what_can_follows() {
    let place = Place::new();
    place.configure("", &["BTCUSDT"], "");
    let mut feedd = place.start(&["--set", "health.interval=1h"]);
    feedd.wait_until("subscribed", |_| place.answers() == 1);
    assert_eq!(place.ask(&["reload"]).1, "nothing differs from what runs\n");
    place.configure(
        "[ring]\ncapacity = 4096\n[log]\nlevel = \"warn\"\n[alerts]\ncall_max = \"9s\"\n",
        &["BTCUSDT"],
        "[source.periods]\nsilence = \"33s\"\n",
    );
    let (code, said, error) = place.ask(&["reload", "--json"]);
    assert_eq!(code, 1, "{said}{error}");
    let outcome: Value = serde_json::from_str(&said).unwrap();
    let file = place.file();
    let at = |place: &str| format!("({}:{place})", file.display());
    let list =
        |key: &str| outcome[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>();
    let changed = [
        format!("alerts.call_max = \"9s\" {}", at("6:12")),
        format!("log.level = \"warn\" {}", at("4:9")),
        format!("source.0.periods.silence = \"33s\" {}", at("15:11")),
    ];
    assert_eq!(
        (outcome["is_applied"].as_bool(), list("changed")),
        (Some(true), changed.iter().map(String::as_str).collect())
    );
    assert_eq!(list("at_next_start"), [format!("ring.capacity = 4096 {}", at("2:12"))]);
    let settings = place.status()["settings"].as_array().unwrap().clone();
    let value =
        |key: &str| settings.iter().find(|setting| setting["key"] == key).map(|setting| setting["value"].clone());
    assert_eq!(value("alerts.call_max"), Some("\"9s\"".into()));
    assert_eq!(value("ring.capacity"), None, "what waits is not in effect");
    // What waits is told again, and nothing else is; the level of the log is the new one.
    let before = feedd.said().matches("configuration read again").count();
    let (code, said, _) = place.ask(&["reload"]);
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert!(said.starts_with("takes effect at the next start: ring.capacity = 4096 ("), "{said}");
    let after = feedd.said().matches("configuration read again").count();
    assert_eq!(after, before, "no line of information: {}", feedd.said());
    feedd.signal("TERM");
    feedd.wait().assert_complete("named");
}

#[test]
fn a_recorder_that_restarts_again_and_again_says_so_until_that_is_silenced() {
    let place = Place::new();
    let alerts = |silence: &str| format!("[alerts]\nsilence = [{silence}]\n");
    place.configure(&alerts(""), &["BTCUSDT"], "");
    for start in 1..=3 {
        let mut feedd = place.start(&[]);
        feedd.wait_until("subscribed", |_| place.answers() == start);
        feedd.signal("TERM");
        let ended = feedd.wait();
        ended.assert_complete("a start");
    }
    let mut feedd = place.start(&[]);
    feedd.wait_until_said("alert firing: FeeddRestarting: recorder: started 3 times in 15 minutes");
    feedd.wait_until("subscribed", |_| place.answers() == 4);
    place.configure(&alerts("\"FeeddRestarts\""), &["BTCUSDT"], "");
    let (code, _, error) = place.ask(&["reload"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("there is no rule FeeddRestarts;") && error.contains("nothing was changed"), "{error}");
    place.configure(&alerts("\"FeeddRestarting\""), &["BTCUSDT"], "");
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!(code, 0, "{said}{error}");
    assert!(said.starts_with("changed: alerts.silence = [\"FeeddRestarting\"] ("), "{said}");
    feedd.wait_until_said("alert resolved: FeeddRestarting: recorder, after ");
    let findings = place.status()["findings"].clone();
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["rule"] == "FeeddRestarting"), "{findings}");
    place.configure(&alerts(""), &["BTCUSDT"], "");
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!(code, 0, "{said}{error}");
    feedd.wait_until("it fires again", |feedd| feedd.said().matches("alert firing: FeeddRestarting: ").count() == 2);
    feedd.signal("TERM");
    feedd.wait().assert_complete("silenced for a while");
}

#[test]
fn symbols_without_room_wait_for_the_next_start() {
    let place = Place::new();
    place.configure("[health]\ninterval = \"1h\"\n", &["BTCUSDT"], "[source.limits]\nstreams_per_connection = 4\n");
    let mut feedd = place.start(&["--set", "health.interval=1h"]);
    feedd.wait_until("subscribed", |_| place.answers() == 1);
    let wider = "[source.limits]\nstreams_per_connection = 40\n";
    place.configure("[health]\ninterval = \"5s\"\n", &["BTCUSDT", "ETHUSDT", "SOLUSDT"], wider);
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!(code, 1, "{said}{error}");
    let room = "no connection has room for SOLUSDT (streams_per_connection = 4); a further one is opened at a start";
    assert!(said.contains("takes effect at the next start: source.0.symbols = ") && said.contains(room), "{said}");
    assert!(said.contains("next start: source.0.limits.streams_per_connection = 40 ("), "{said}");
    assert_eq!(said.lines().count(), 2, "the flag of the start stays in front of the file: {said}");
    assert_eq!(place.requests().len(), 1, "all of a source's symbols or none");
    // With room for one.
    place.configure(
        "[health]\ninterval = \"1h\"\n",
        &["BTCUSDT", "SOLUSDT"],
        "[source.limits]\nstreams_per_connection = 4\n",
    );
    let (code, said, error) = place.ask(&["reload"]);
    assert_eq!(code, 0, "{said}{error}");
    feedd.wait_until("subscribed to both", |_| place.answers() == 2);
    feedd.signal("TERM");
    feedd.wait().assert_complete("without room");
}

#[test]
fn nobody_answers_where_no_recorder_runs() {
    let place = Place::new();
    let (code, _, error) = place.ask(&["reload"]);
    assert_eq!(code, 3);
    assert!(error.contains("no recorder answers at "), "{error}");
}
