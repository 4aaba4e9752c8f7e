//! The analysis lane: `[analysis]`, `[paper]` and `[[strategy]]`.

use crate::choice::{EmptyBars, FillAt};
use crate::error::Wrong;
use crate::reader::{Reader, Section};
use crate::schema::Config;
use crate::source::Core;
use crate::tree::{Node, Origin};
use crate::units::show_duration;
use crate::values::{Parsed, choice, core, count, duration, exact, flag, list_or_none, path, share, text};
use feedd_model::{Decimal, Interval};
use std::path::PathBuf;
use std::time::Duration;

/// `[analysis]`: bars, and the strategies that look at them. Off while no interval and no strategy is named.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// What bars span: `"1s"`, `"1m"` and any number of s, m, h, d, w, trades (`"100t"`) or base currency (`"2.5v"`), each
    /// once. Those that strategies look at are built, too. Default: none.
    pub bars: Vec<Interval>,
    /// Symbols of which bars are built, as the venues spell them. Default: empty, which is all.
    pub symbols: Vec<String>,
    /// How long after its end a bar is open for late trades; 0 s to 1 h. Default 1 s.
    pub grace: Duration,
    /// How long after its end a bar can be revised by later trades; 0 s to 7 d. Default 10 m.
    pub revise: Duration,
    /// What an interval without trades gives. Default `"none"`.
    pub empty: EmptyBars,
    /// File of the sessions. Default: none, trading never stops.
    pub calendar: Option<PathBuf>,
    /// Blocks that may wait for the bars; 2 to 4,096. Default 64.
    pub queue_blocks: usize,
    /// Items (bars, ends of blocks) that may wait for the strategies; 16 to 65,536, each of which can hold a block of 256 KiB.
    /// Default 256.
    pub queue_items: usize,
    /// Core of the thread that builds bars. Default `"none"`.
    pub core: Core,
    /// Whether strategies trade on paper. Default false.
    pub paper: bool,
    /// Longest call of a strategy before it counts as overlong; 100 us to 1 h. Default 10 ms.
    pub strategy_time_max: Duration,
    /// Longest call before the others go on without it; 100 ms to 1 h, above `strategy_time_max`. Default 5 s.
    pub strategy_hang_max: Duration,
    /// How far behind strategies may be before they are left out until they have caught up; 1 s to 1 d. Default 60 s.
    pub lag_max: Duration,
}

/// `[paper]`: the books of strategies that trade on paper. Nothing of this ever goes to a venue.
#[derive(Clone, Debug, PartialEq)]
pub struct Paper {
    /// Cash of each book, one for each strategy and symbol, in quote currency; above 0. Default 10,000.
    pub cash: Decimal,
    /// Fee of a fill, in percent of its value; 0 to 10 %. Default 0.1 %.
    pub fee: Decimal,
    /// How much worse than the market a fill is, in percent of the price; 0 to 10 %. Default 0 %.
    pub slippage: Decimal,
    /// Against what an order is filled. Default `"quote_or_trade"`.
    pub fill: FillAt,
    /// How long an order waits for a price; 1 ms to 1 d. Default 60 s.
    pub order_life: Duration,
    /// Least time between two rows of a book's value apart from fills; 1 s to 1 d. Default 60 s.
    pub equity_every: Duration,
}

/// One `[[strategy]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategySettings {
    /// Which one, of those `feedd strategies` lists. Required.
    pub kind: String,
    /// The bars it looks at. Default `"1m"`.
    pub interval: Interval,
    /// Symbols, as the venues spell them. Default: empty, which is all that have bars.
    pub symbols: Vec<String>,
    /// `"name=value"`, such as `"fast=10"`. Default: those of the strategy.
    pub parameters: Vec<(String, String)>,
}

impl Config {
    /// Whether the analysis lane runs.
    #[must_use]
    pub fn is_analysed(&self) -> bool {
        !self.analysis.bars.is_empty() || !self.strategies.is_empty()
    }
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            bars: Vec::new(),
            symbols: Vec::new(),
            grace: Duration::from_secs(1),
            revise: Duration::from_secs(600),
            empty: EmptyBars::None,
            calendar: None,
            queue_blocks: 64,
            queue_items: 256,
            core: Core::None,
            paper: false,
            strategy_time_max: Duration::from_millis(10),
            strategy_hang_max: Duration::from_secs(5),
            lag_max: Duration::from_secs(60),
        }
    }
}

impl Default for Paper {
    fn default() -> Self {
        let decimal = |mantissa, scale| Decimal::new(mantissa, scale).unwrap_or(Decimal::ZERO);
        Self {
            cash: decimal(10_000, 0),
            fee: decimal(1, 3),
            slippage: Decimal::ZERO,
            fill: FillAt::QuoteOrTrade,
            order_life: Duration::from_secs(60),
            equity_every: Duration::from_secs(60),
        }
    }
}

pub(crate) fn read_analysis(s: &mut Section<'_, '_>, analysis: &mut Analysis) {
    s.key("bars", &mut analysis.bars, list_or_none("interval", interval));
    s.key("symbols", &mut analysis.symbols, list_or_none("symbol", text));
    s.key("grace", &mut analysis.grace, duration(Duration::ZERO..=HOUR));
    s.key("revise", &mut analysis.revise, duration(Duration::ZERO..=7 * DAY));
    s.key("empty", &mut analysis.empty, choice);
    s.optional("calendar", &mut analysis.calendar, path);
    s.key("queue_blocks", &mut analysis.queue_blocks, count(2..=4_096));
    s.key("queue_items", &mut analysis.queue_items, count(16..=65_536));
    s.key("core", &mut analysis.core, core);
    s.key("paper", &mut analysis.paper, flag);
    s.key("strategy_time_max", &mut analysis.strategy_time_max, duration(Duration::from_micros(100)..=HOUR));
    s.key("strategy_hang_max", &mut analysis.strategy_hang_max, duration(Duration::from_millis(100)..=HOUR));
    s.key("lag_max", &mut analysis.lag_max, duration(Duration::from_secs(1)..=DAY));
}

pub(crate) fn read_paper(s: &mut Section<'_, '_>, paper: &mut Paper) {
    s.key("cash", &mut paper.cash, |node| {
        let cash = exact(node)?;
        let remedy = "give an amount above 0, such as 10000";
        cash.is_positive().then_some(cash).ok_or_else(|| Wrong::new(format!("{} is no cash; {remedy}", node.value)))
    });
    s.key("fee", &mut paper.fee, share);
    s.key("slippage", &mut paper.slippage, share);
    s.key("fill", &mut paper.fill, choice);
    s.key("order_life", &mut paper.order_life, duration(Duration::from_millis(1)..=DAY));
    s.key("equity_every", &mut paper.equity_every, duration(Duration::from_secs(1)..=DAY));
}

/// One `[[strategy]]`, whose header stands at `origin`.
pub(crate) fn read_strategy(s: &mut Section<'_, '_>, origin: &Origin) -> StrategySettings {
    let mut strategy = StrategySettings {
        kind: String::new(),
        interval: Interval::Seconds(60),
        symbols: Vec::new(),
        parameters: Vec::new(),
    };
    s.key("kind", &mut strategy.kind, text);
    if !s.has("kind") {
        s.missing("kind", origin, "write kind = \"sma\", or another that `feedd strategies` lists");
    }
    s.key("interval", &mut strategy.interval, interval);
    s.key("symbols", &mut strategy.symbols, list_or_none("symbol", text));
    s.key("parameters", &mut strategy.parameters, list_or_none("parameter", parameter));
    strategy
}

/// Finds values that are each in range but contradict each other.
pub(crate) fn check_together(config: &Config, reader: &mut Reader) {
    let Analysis { strategy_time_max: overlong, strategy_hang_max: hang, .. } = config.analysis;
    if overlong >= hang {
        let (origin, key) = reader.origin_of(&["analysis.strategy_time_max", "analysis.strategy_hang_max"]);
        let [overlong, hang] = [overlong, hang].map(show_duration);
        let message = format!("strategy_time_max = \"{overlong}\" must be below strategy_hang_max = \"{hang}\"");
        reader.fault(origin, &key, message);
    }
    if config.analysis.paper && config.strategies.is_empty() {
        let (origin, key) = reader.origin_of(&["analysis.paper"]);
        reader.fault(origin, &key, "nobody would trade on paper; add a [[strategy]], or set paper = false");
    }
}

fn interval(node: &Node) -> Parsed<Interval> {
    text(node)?.parse().map_err(|error| Wrong::new(format!("{error}")))
}

/// `name=value`.
fn parameter(node: &Node) -> Parsed<(String, String)> {
    let written = text(node)?;
    let parts = written.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    parts.filter(|(name, value)| !name.is_empty() && !value.is_empty()).ok_or_else(|| {
        Wrong::new(format!("{written:?} is not a parameter; write its name and value, such as \"fast=10\""))
    })
}

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Machine, Overrides, load};

    fn loaded(sets: &[&str]) -> Result<Config, String> {
        let flags = Overrides { sets: sets.iter().map(|set| (*set).to_owned()).collect(), ..Overrides::default() };
        let machine = Machine { cores: &[0], venues: &[] };
        load(None, std::iter::empty(), &flags, &machine).map(|l| l.config).map_err(|e| e.to_string())
    }

    #[test]
    fn bars_books_and_strategies_are_read() {
        let config = loaded(&[
            "analysis.bars=1s,5m,100t,2.5v",
            "analysis.paper=true",
            "paper.cash=2500.50",
            "paper.fee=0.075%",
            "strategy.0.kind=sma",
            "strategy.0.interval=1m",
            "strategy.0.parameters=fast=5, slow = 20",
            "strategy.0.symbols=BTC-USD,ETH-USD",
        ])
        .unwrap();
        let bars = [Interval::Seconds(1), Interval::Seconds(300), Interval::Trades(100), Interval::Volume(250_000_000)];
        assert_eq!(config.analysis.bars, bars);
        assert!(config.is_analysed() && config.analysis.paper);
        assert_eq!(config.paper.cash.to_string(), "2500.50");
        assert_eq!(config.paper.fee.to_string(), "0.00075");
        let strategy = &config.strategies[0];
        assert_eq!((strategy.kind.as_str(), strategy.interval), ("sma", Interval::Seconds(60)));
        assert_eq!(strategy.symbols, ["BTC-USD", "ETH-USD"]);
        let parameters = [("fast".to_owned(), "5".to_owned()), ("slow".to_owned(), "20".to_owned())];
        assert_eq!(strategy.parameters, parameters);
        assert!(!Config::default().is_analysed());
    }

    #[test]
    fn what_is_wrong_is_told_with_the_remedy() {
        let cases = [
            (&["analysis.bars=1s,5x"][..], "\"5x\" is not an interval; write a whole number"),
            (&["analysis.bars=1s,1s"][..], "name each interval once"),
            (&["analysis.paper=true"][..], "nobody would trade on paper; add a [[strategy]]"),
            (&["paper.cash=0"][..], "is no cash; give an amount above 0"),
            (&["paper.fee=11%"][..], "write a percentage from 0% to 10%"),
            (&["strategy.0.interval=1m"][..], "missing; write kind = \"sma\""),
            (&["strategy.0.kind=sma", "strategy.0.parameters=fast"][..], "write its name and value"),
            (
                &["analysis.strategy_time_max=6s", "analysis.strategy_hang_max=5s"][..],
                "strategy_time_max = \"6s\" must be below strategy_hang_max = \"5s\"",
            ),
        ];
        for (sets, expected) in cases {
            let found = loaded(sets).unwrap_err();
            assert!(found.contains(expected), "{sets:?}: {found}");
        }
    }
}
