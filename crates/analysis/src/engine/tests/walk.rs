//! A small market from its first bar to its last order, with every number.

use super::market::{Step, assert_seen, bar, items, quote, quote_of, text, tick, trade, trade_of};
use super::{OTHER, TEST, built_in, engine, on_minutes, script};
use crate::engine::Settings;
use crate::paper;
use crate::strategies::{Orders, Wanted};
use feedd_model::{Action, Bar, Flags, Interval};

fn act(bar: &Bar, orders: &mut Orders) {
    let five = feedd_model::Decimal::new(5, 0);
    match bar.close.to_string().as_str() {
        "100" => orders.buy(1.5),
        "110" | "120" => orders.sell(-0.25),
        "130" => orders.want(Wanted { action: Action::Buy, size: five, value: 0.0 }),
        _ => {}
    }
}

fn market() -> Vec<Step> {
    use Step::{Bar as B, Event as E};
    let half_minute = Bar { interval: Interval::Seconds(30), ..bar(270, "100") };
    vec![
        E(tick("61")),
        B(bar(60, "98")),
        E(quote("62", "99", "101")),
        E(trade("119", "100")),
        E(tick("121")),
        // Buy: not at what came before, not at a trade of a market with quotes, nor where nobody asks.
        B(bar(120, "100")),
        E(trade("121.5", "105")),
        E(quote_of(OTHER, "121.6", Some("1"), Some("2"), Flags::NONE)),
        E(quote_of(TEST, "122", Some("104"), None, Flags::NONE)),
        E(quote_of(TEST, "122.5", Some("90"), Some("91"), Flags::REPLAYED)),
        E(quote("123", "104", "106")),
        E(quote("124", "107", "109")),
        E(trade("179", "110")),
        E(tick("181")),
        // Sell all.
        B(bar(180, "110")),
        E(quote("181.5", "111", "112")),
        E(tick("241")),
        // Sell what is not there.
        B(bar(240, "120")),
        E(quote("241.25", "119", "121")),
        // Nobody looks at half minutes, and the last value is not a minute old.
        E(tick("271")),
        B(half_minute),
        E(tick("301")),
        // Buy five: no quote comes in time.
        B(bar(300, "130")),
        E(trade("360.9", "131")),
        E(trade_of(OTHER, "361", "1")),
        E(quote("361.1", "130", "131")),
    ]
}

/// Numbers computed by Python's `decimal`: size 10000 / 106.106 rounded down to 8 decimals, products rounded half to even at 18.
const RECORDS: &[&str] = &[
    "equity 1 @60 at 98 position 0 cash 10000 equity 10000 realised 0 unrealised 0",
    "equity 2 @120 at 100 position 0 cash 10000 equity 10000 realised 0 unrealised 0",
    "signal 1 @120 Buy all price 100 value 1.5 by 107",
    "fill 1 of 1 @123 ordered @121 Buy filled 94.24537726 x 106 fee 9.99000998956 realised 0 cash 0.00000045044 position 94.24537726 cost 9999.99999954956",
    "equity 3 @123 at 106 position 94.24537726 cash 0.00000045044 equity 9990.00999001044 realised 0 unrealised -9.99000998956",
    "equity 4 @180 at 110 position 94.24537726 cash 0.00000045044 equity 10366.99149905044 realised 0 unrealised 366.99149905044",
    "signal 2 @180 Sell all price 110 value -0.25 by 107",
    "fill 2 of 2 @181.5 ordered @181 Sell filled 94.24537726 x 111 fee 10.46123687586 realised 450.77563943458 cash 10450.77563943458 position 0 cost 0",
    "equity 5 @181.5 at 111 position 0 cash 10450.77563943458 equity 10450.77563943458 realised 450.77563943458 unrealised 0",
    "equity 6 @240 at 120 position 0 cash 10450.77563943458 equity 10450.77563943458 realised 450.77563943458 unrealised 0",
    "signal 3 @240 Sell all price 120 value -0.25 by 107",
    "fill 3 of 3 @241.25 ordered @241 Sell no_position 0 x 0 fee 0 realised 0 cash 10450.77563943458 position 0 cost 0",
    "equity 7 @300 at 130 position 0 cash 10450.77563943458 equity 10450.77563943458 realised 450.77563943458 unrealised 0",
    "signal 4 @300 Buy 5 price 130 value 0 by 107",
    "fill 4 of 4 @361 ordered @301 Buy expired 5 x 0 fee 0 realised 0 cash 10450.77563943458 position 0 cost 0",
];

#[test]
fn every_record_of_a_small_market() {
    let settings = Settings { paper: Some(paper::Settings::default()), ..Settings::default() };
    for block_events in [1, 2, 3, 7, 100] {
        let (plan, log) = script(7, "script", on_minutes(), act);
        let mut engine = engine(settings, vec![plan]);
        assert!(engine.needs_block_ends());
        items(&market(), block_events).into_iter().for_each(|item| engine.item(item));
        assert_eq!(text(engine.records()), RECORDS, "blocks of {block_events}");
        assert_seen(
            &log,
            &[
                "added 1",
                "bar 60 98",
                "bar 120 100",
                "fill 1 filled",
                "bar 180 110",
                "fill 2 filled",
                "bar 240 120",
                "fill 3 no_position",
                "bar 300 130",
                "fill 4 expired",
            ],
        );
        assert_eq!(engine.figures().fills, 4);
        assert!(engine.take_notices().is_empty());
    }
}

#[test]
fn at_trades_when_told_so_or_when_nobody_quotes() {
    let fills = |fill, steps: &[Step]| {
        let paper = paper::Settings { fill, ..paper::Settings::default() };
        let mut engine = engine(
            Settings { paper: Some(paper), ..Settings::default() },
            vec![script(0, "script", on_minutes(), act).0],
        );
        items(steps, 3).into_iter().for_each(|item| engine.item(item));
        let lines = text(engine.records());
        lines.into_iter().filter(|line| line.starts_with("fill")).map(|line| line[..70].to_owned()).collect::<Vec<_>>()
    };
    let at_trade = "fill 1 of 1 @121.5 ordered @121 Buy filled 95.14295228 x 105 fee 9.990";
    assert_eq!(fills(paper::Fill::Trade, &market())[0], at_trade);
    let unquoted: Vec<Step> = market()
        .into_iter()
        .filter(|step| !matches!(step, Step::Event(event) if event.kind() == feedd_model::EventKind::Quote))
        .collect();
    assert_eq!(fills(paper::Fill::QuoteOrTrade, &unquoted)[0], at_trade);
}

#[test]
fn without_paper_there_are_only_signals() {
    let mut engine = engine(Settings::default(), vec![script(7, "script", on_minutes(), act).0]);
    assert!(!engine.needs_block_ends());
    items(&market(), 3).into_iter().for_each(|item| engine.item(item));
    let signals: Vec<_> = RECORDS.iter().filter(|line| line.starts_with("signal")).collect();
    assert_eq!(text(engine.records()).iter().collect::<Vec<_>>(), signals);
}

#[test]
fn the_end_of_a_run_gives_up_what_is_open() {
    let settings = Settings { paper: Some(paper::Settings::default()), ..Settings::default() };
    let (plan, log) = script(7, "script", on_minutes(), act);
    let mut engine = engine(settings, vec![plan]);
    items(&[Step::Bar(bar(60, "100"))], 1).into_iter().for_each(|item| engine.item(item));
    engine.finish();
    assert_seen(&log, &["added 1", "bar 60 100", "fill 1 expired"]);
}

#[test]
fn each_interval_is_wanted_once() {
    let plans = vec![built_in(0, "sma", &[]), built_in(1, "rsi", &[])];
    assert_eq!(engine(Settings::default(), plans).intervals(), [super::MINUTE]);
}
