//! Answers to REST requests for trades: shapes as the venues document them, whole or rejected, each for one request.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use feedd_model::Side;
use feedd_venues::decoder::{Decoder, Outcome, RejectReason};
use feedd_venues::message::{Message, MessageSink};
use feedd_venues::table::decoder_for;
use proptest::prelude::*;

/// One venue's way: name, venue, request, answer, trades.
type Case = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "single trades",
        "binance",
        "GET https://api.binance.com/api/v3/historicalTrades?symbol=BNBBTC&fromId=28457&limit=2",
        r#"[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true},{"isBestMatch":false,"isBuyerMaker":false,"time":1499865549591,"quoteQty":"4.0","qty":"1.0","price":"4.0","id":28458}]"#,
        &[
            "BNBBTC 28457 4.00000100 12.00000000 sell 1499865549590000000 -",
            "BNBBTC 28458 4.0 1.0 buy 1499865549591000000 -",
        ],
    ),
    (
        "the latest trades",
        "binance_us",
        "GET https://api.binance.us/api/v3/trades?symbol=btcusd&limit=1000",
        r#"[ {"id": 1, "price": "2", "qty": "3", "time": 4, "isBuyerMaker": true} ]"#,
        &["BTCUSD 1 2 3 sell 4000000 -"],
    ),
    (
        "aggregate trades",
        "binance_usdm",
        "GET https://fapi.binance.com/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=26129&limit=1",
        r#"[{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true}]"#,
        &["BTCUSDT 26129 0.01633102 4.70443515 sell 1498793709153000000 -"],
    ),
    (
        "aggregate trades in other order",
        "binance_coinm",
        "GET https://dapi.binance.com/dapi/v1/aggTrades?symbol=BTCUSD_PERP&fromId=7&limit=1",
        r#"[{"m":false,"T":1591257600001,"l":9,"f":8,"q":"16","p":"9600.7","a":7,"nq":"0"}]"#,
        &["BTCUSD_PERP 7 9600.7 16 buy 1591257600001000000 -"],
    ),
    (
        "the maker's side",
        "coinbase",
        "GET https://api.exchange.coinbase.com/products/BTC-USD/trades?limit=1000&after=86326523",
        r#"[{"trade_id":86326522,"side":"sell","size":"0.00698254","price":"20764.75","time":"2023-01-15T01:15:32.123456Z"},{"trade_id":86326521,"side":"buy","size":"0.2","price":"20764.7","time":"2023-01-15T01:15:31Z"}]"#,
        &[
            "BTC-USD 86326522 20764.75 0.00698254 buy 1673745332123456000 -",
            "BTC-USD 86326521 20764.7 0.2 sell 1673745331000000000 -",
        ],
    ),
    (
        "lists, and a pair by another name",
        "kraken",
        "GET https://api.kraken.com/0/public/Trades?pair=BTC%2FUSD&count=1000",
        r#"{"error":[],"result":{"last":"1688671969993150842","XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],["30243.30000","0.00376960",1688669598.2804112,"s","l","",61044953]]}}"#,
        &[
            "BTC/USD 61044952 30243.40000 0.34507674 buy 1688669597827736900 -",
            "BTC/USD 61044953 30243.30000 0.00376960 sell 1688669598280411200 -",
        ],
    ),
    (
        "numbers as text",
        "okx",
        "GET https://www.okx.com/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=242720721&limit=100",
        r#"{"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0","px":"29963.2","tradeId":"242720720","ts":"1654161646974"}]}"#,
        &["BTC-USDT 242720720 29963.2 0.00001 sell 1654161646974000000 -"],
    ),
    (
        "ids that are no numbers",
        "bybit_linear",
        "GET https://api.bybit.com/v5/market/recent-trade?category=linear&symbol=BTCUSDT&limit=1000",
        r#"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"execId":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":false,"isRPITrade":true,"seq":"123456"}]},"retExtInfo":{},"time":1672053054358}"#,
        &["BTCUSDT a9188a0a-82bc-50de-be60-03eedbe3cdd7 16618.49 0.00012 buy 1672052955758000000 123456"],
    ),
    (
        "ids that are numbers",
        "bybit_spot",
        "GET https://api.bybit.com/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60",
        r#"{"result":{"list":[{"execId":"2100000000007764263","symbol":"BTCUSDT","price":"1","size":"2","side":"Sell","time":"1672052955758"}]},"retCode":0}"#,
        &["BTCUSDT 2100000000007764263 1 2 sell 1672052955758000000 -"],
    ),
];

/// Every trade as text.
#[derive(Default)]
struct Printed(Vec<String>);

impl MessageSink for Printed {
    fn message(&mut self, frame: &str, message: &Message<'_>) {
        let Message::Trade(trade) = message else { panic!("only trades: {message:?}") };
        let side = match trade.side {
            Some(Side::Buy) => "buy",
            Some(Side::Sell) => "sell",
            None => "-",
        };
        assert!(trade.event_ts.is_none() && !trade.replay);
        let seq = trade.seq.map_or_else(|| "-".to_owned(), |seq| seq.0.to_string());
        let (price, size) = (trade.price.text(frame), trade.size.text(frame));
        let time = trade.exchange_ts.map_or(0, |time| time.0);
        self.0.push(format!("{} {} {price} {size} {side} {time} {seq}", trade.symbol, trade.id));
    }
}

fn asked(venue: &str, request: &str) -> Box<dyn Decoder> {
    let mut decoder = decoder_for(venue).unwrap();
    decoder.request("rest", request);
    decoder
}

#[test]
fn documented_answers_are_trades() {
    for &(name, venue, request, answer, expected) in CASES {
        let mut decoder = asked(venue, request);
        let mut printed = Printed::default();
        // Frames of streams come in between.
        assert!(!matches!(decoder.decode("ws-1", answer, &mut printed), Outcome::Messages(1..)), "{venue} {name}");
        assert_eq!(decoder.decode("rest", answer, &mut printed), Outcome::Messages(expected.len()), "{venue} {name}");
        assert_eq!(printed.0, expected, "{venue} {name}");
        // The request is answered now; the same again is nobody's.
        assert!(!matches!(decoder.decode("rest", answer, &mut printed), Outcome::Messages(1..)), "{venue} {name}");
        assert_eq!(printed.0, expected, "{venue} {name}");
    }
}

#[test]
fn a_list_is_taken_whole_or_not_at_all() {
    let number = RejectReason::BadNumber;
    let cases = [
        (
            "binance",
            r#"[{"id":1,"price":"1","qty":"1","time":1,"isBuyerMaker":true},{"id":2,"price":"x","qty":"1","time":1,"isBuyerMaker":true}]"#,
            number,
            "price",
        ),
        (
            "binance",
            r#"[{"id":1,"price":"1","qty":"1","time":1,"isBuyerMaker":true},{"price":"1","qty":"1","time":1,"isBuyerMaker":true}]"#,
            RejectReason::MissingField,
            "id",
        ),
        ("binance", r#"[{"id":1,"price":"1","qty":"1","time":1,"isBuyerMaker":"no"}]"#, RejectReason::BadField, "m"),
        ("binance", r#"[[1,2,3]]"#, RejectReason::BadField, "trades"),
        ("binance", r#"[{"id":1,"price":"1","qty":"1","isBuyerMaker":true}]"#, RejectReason::MissingField, "time"),
        ("binance", r#"[{"id":1,"price":"1","qty":"1","time":1,"isBuyerMaker":true}"#, RejectReason::NotJson, "frame"),
        (
            "coinbase",
            r#"[{"trade_id":1,"price":"1","size":"1","side":"up","time":"2023-01-15T01:15:31Z"}]"#,
            RejectReason::BadField,
            "side",
        ),
        (
            "kraken",
            r#"{"error":[],"result":{"X":[["1","1",1.0,"b","m","",1],["1","1","soon","b","m","",2]]}}"#,
            RejectReason::BadTime,
            "time",
        ),
        ("kraken", r#"{"error":[],"result":{"X":[["1","1",1.0,"b","m",""]]}}"#, RejectReason::MissingField, "trade_id"),
        ("okx", r#"{"code":"0","data":[{"tradeId":"1","px":"","sz":"1","side":"buy","ts":"1"}]}"#, number, "px"),
        ("bybit_spot", r#"{"result":{"list":[7]}}"#, RejectReason::BadField, "trades"),
    ];
    for (venue, answer, reason, field) in cases {
        let (_, _, request, ..) = CASES.iter().find(|(_, other, ..)| *other == venue).unwrap();
        let mut printed = Printed::default();
        let outcome = asked(venue, request).decode("rest", answer, &mut printed);
        let Outcome::Rejected(reject) = outcome else { panic!("{venue} {answer}: {outcome:?}") };
        assert_eq!((reject.reason, reject.field), (reason, field), "{venue} {answer}");
        assert!(printed.0.is_empty(), "{venue} {answer}");
    }
}

#[test]
fn refusals_and_empty_answers_are_no_trades() {
    let cases = [
        ("binance", "[]", true),
        ("binance", r#"{"code":-1121,"msg":"Invalid symbol."}"#, false),
        ("coinbase", "[]", true),
        ("coinbase", r#"{"message":"NotFound"}"#, false),
        ("kraken", r#"{"error":["EQuery:Unknown asset pair"]}"#, false),
        ("kraken", r#"{"error":[],"result":{"XXBTZUSD":[],"last":"0"}}"#, true),
        ("okx", r#"{"code":"51001","data":[],"msg":"Instrument ID doesn't exist"}"#, true),
        ("bybit_spot", r#"{"retCode":10001,"retMsg":"params error","result":{},"time":1672053054358}"#, false),
    ];
    for (venue, answer, is_list) in cases {
        let (_, _, request, ..) = CASES.iter().find(|(_, other, ..)| *other == venue).unwrap();
        let mut decoder = asked(venue, request);
        let mut printed = Printed::default();
        let outcome = decoder.decode("rest", answer, &mut printed);
        assert_eq!(outcome == Outcome::Messages(0), is_list, "{venue} {answer}: {outcome:?}");
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{venue} {answer}: {outcome:?}");
        // It was an answer all the same.
        assert!(!matches!(decoder.decode("rest", CASES[0].3, &mut printed), Outcome::Messages(1..)), "{venue}");
        assert!(printed.0.is_empty(), "{venue} {answer}");
    }
}

#[test]
fn a_newer_request_takes_the_place_of_the_older() {
    let mut decoder = asked("binance", "GET https://api.binance.com/api/v3/historicalTrades?symbol=A&fromId=1");
    decoder.request("rest", "GET https://api.binance.com/api/v3/depth?symbol=B&limit=5");
    let mut symbols = Vec::new();
    let book = r#"{"lastUpdateId":1,"bids":[],"asks":[]}"#;
    let outcome = decoder.decode("rest", book, &mut |_: &str, message: &Message<'_>| {
        symbols.push(message.symbol().to_owned());
    });
    assert_eq!((outcome, symbols), (Outcome::Messages(1), vec!["B".to_owned()]));
}

/// Whatever answers, nothing panics, and what is told was handed out.
fn check(venue: &str, request: &str, answer: &str) {
    let mut count = 0;
    let outcome = asked(venue, request).decode("rest", answer, &mut |_: &str, _: &Message<'_>| count += 1);
    assert_eq!(if let Outcome::Messages(told) = outcome { told } else { 0 }, count, "{venue} {answer}");
}

#[test]
fn damaged_answers_are_rejected_or_read() {
    for (_, venue, request, answer, _) in CASES {
        for end in (0..answer.len()).filter(|end| answer.is_char_boundary(*end)) {
            check(venue, request, &answer[..end]);
            check(venue, request, &format!("{}{}", &answer[..end], &answer[end + 1..]));
            check(venue, request, &format!("{}[{}", &answer[..end], &answer[end..]));
        }
    }
}

proptest! {
    #[test]
    fn any_request_and_answer(case in 0..CASES.len(), url in "[ -~]{0,60}", answer in r#"[\[\]{}",:a-z0-9. ]{0,80}"#) {
        let (_, venue, request, ..) = CASES[case];
        check(venue, request, &answer);
        check(venue, &format!("GET {url}"), &answer);
    }
}
