//! Figures of a backtest, from the fills and values of the books. Statistics: floats.

use super::curve::Curve;
use feedd_model::{Derived, Equity, Fill, InstrumentId, Money, Outcome, UnixNanos};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::fmt::Write;

/// Fewest trades and quotes that a backtest says anything about.
pub const EVENTS_MIN: u64 = 100;

/// Too little to test with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a backtest needs at least {EVENTS_MIN} trades and quotes, this one had {events}; take a longer span, more symbols, or \
     more files"
)]
pub struct TooFewEvents {
    /// How many there were.
    pub events: u64,
}

/// Whether `events` trades and quotes are enough.
///
/// # Errors
/// [`TooFewEvents`], with the remedy.
pub fn check_events(events: u64) -> Result<(), TooFewEvents> {
    if events < EVENTS_MIN { Err(TooFewEvents { events }) } else { Ok(()) }
}

/// The periods that a Sharpe ratio can be of: name, length, how many in a year of 365 days. The longest of which there are at
/// least [`RETURNS_MIN`] is taken.
const PERIODS: [(&str, i64, f64); 3] =
    [("day", 86_400_000_000_000, 365.0), ("hour", 3_600_000_000_000, 8_760.0), ("minute", 60_000_000_000, 525_600.0)];

/// Fewest returns that a deviation is taken of.
const RETURNS_MIN: u64 = 30;

/// Collects the records of a backtest. Memory does not grow with its length.
#[derive(Debug)]
pub struct Collector {
    cash: Money,
    books: Vec<BookRun>,
    places: FxHashMap<(InstrumentId, InstrumentId), usize>,
}

/// What was seen of one book.
#[derive(Debug)]
struct BookRun {
    strategy: InstrumentId,
    instrument: InstrumentId,
    orders: u64,
    refused: u64,
    sales: u64,
    won: u64,
    gain: f64,
    loss: f64,
    fees: f64,
    equity: f64,
    peak: f64,
    drawdown: f64,
    returns: [Returns; PERIODS.len()],
    curve: Curve,
}

/// Mean and deviation of the returns of one period, by Welford's method.
#[derive(Clone, Copy, Debug)]
struct Returns {
    length_ns: i64,
    /// Number of the period of the last value, and that value.
    last: Option<(i64, f64)>,
    /// Value at the end of the period before.
    base: f64,
    count: u64,
    mean: f64,
    squares: f64,
}

/// The figures of one book.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Of which strategy.
    pub strategy: InstrumentId,
    /// Of which instrument.
    pub instrument: InstrumentId,
    /// Value at the end.
    pub equity: f64,
    /// Gain or loss as a share of the cash at the beginning.
    pub total_return: f64,
    /// Orders filled, bought or sold.
    pub orders: u64,
    /// Orders refused or given up.
    pub refused: u64,
    /// Sales: each realises a gain or a loss.
    pub sales: u64,
    /// Share of the sales with a gain, fees included.
    pub win_rate: Option<f64>,
    /// Gains of sales by losses of sales.
    pub profit_factor: Option<f64>,
    /// Fees paid.
    pub fees: f64,
    /// Deepest fall from a peak of the value, as a share of that peak.
    pub drawdown: f64,
    /// Mean return by its deviation, of a year; the risk-free return is taken to be 0.
    pub sharpe: Option<Sharpe>,
}

/// A Sharpe ratio, and what it was made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sharpe {
    /// Times the square root of the periods in a year of 365 days.
    pub annualised: f64,
    /// Period of the returns.
    pub period: &'static str,
    /// How many.
    pub returns: u64,
}

impl Collector {
    /// For books that begin with `cash`.
    #[must_use]
    pub fn new(cash: Money) -> Self {
        Self { cash, books: Vec::new(), places: FxHashMap::default() }
    }

    /// Looks at a record.
    pub fn see(&mut self, record: &Derived) {
        match record {
            Derived::Fill(fill) => self.book(fill.strategy, fill.instrument).fill(fill),
            Derived::Equity(row) => self.book(row.strategy, row.instrument).value(row),
            Derived::Bar(_) | Derived::Signal(_) => {}
        }
    }

    fn book(&mut self, strategy: InstrumentId, instrument: InstrumentId) -> &mut BookRun {
        let (books, cash) = (&mut self.books, float(self.cash));
        let place = *self.places.entry((strategy, instrument)).or_insert_with(|| {
            books.push(BookRun::new(strategy, instrument, cash));
            books.len() - 1
        });
        &mut self.books[place]
    }

    /// The figures of every book, in the order in which they came.
    #[must_use]
    pub fn figures(&self) -> Vec<Figures> {
        self.books.iter().map(|book| book.figures(float(self.cash))).collect()
    }

    /// The curves of every book: strategy, instrument, values.
    pub fn curves(&self) -> impl Iterator<Item = (InstrumentId, InstrumentId, &Curve)> {
        self.books.iter().map(|book| (book.strategy, book.instrument, &book.curve))
    }
}

impl BookRun {
    fn new(strategy: InstrumentId, instrument: InstrumentId, cash: f64) -> Self {
        Self {
            strategy,
            instrument,
            orders: 0,
            refused: 0,
            sales: 0,
            won: 0,
            gain: 0.0,
            loss: 0.0,
            fees: 0.0,
            equity: cash,
            peak: cash,
            drawdown: 0.0,
            returns: PERIODS.map(|(_, length_ns, _)| Returns::new(length_ns, cash)),
            curve: Curve::default(),
        }
    }

    fn fill(&mut self, fill: &Fill) {
        if fill.outcome != Outcome::Filled {
            self.refused += 1;
            return;
        }
        self.orders += 1;
        self.fees += float(fill.fee);
        if fill.side == feedd_model::Side::Sell {
            let realised = float(fill.realised);
            self.sales += 1;
            self.won += u64::from(realised > 0.0);
            self.gain += realised.max(0.0);
            self.loss += (-realised).max(0.0);
        }
    }

    fn value(&mut self, row: &Equity) {
        self.equity = float(row.equity);
        self.peak = self.peak.max(self.equity);
        self.drawdown = self.drawdown.max((self.peak - self.equity) / self.peak);
        self.returns.iter_mut().for_each(|returns| returns.value(row.at, float(row.equity)));
        self.curve.push(row.at, float(row.equity));
    }

    fn figures(&self, cash: f64) -> Figures {
        let share = |part: f64, of: f64| (of > 0.0).then(|| part / of);
        let sharpe = self.returns.iter().zip(PERIODS).find_map(|(returns, (period, _, in_a_year))| {
            let (count, ratio) = returns.ratio()?;
            Some(Sharpe { annualised: ratio * f64::sqrt(in_a_year), period, returns: count })
        });
        Figures {
            strategy: self.strategy,
            instrument: self.instrument,
            equity: self.equity,
            total_return: self.equity / cash - 1.0,
            orders: self.orders,
            refused: self.refused,
            sales: self.sales,
            win_rate: share(self.won as f64, self.sales as f64),
            profit_factor: share(self.gain, self.loss),
            fees: self.fees,
            drawdown: self.drawdown,
            sharpe,
        }
    }
}

impl Returns {
    fn new(length_ns: i64, cash: f64) -> Self {
        Self { length_ns, last: None, base: cash, count: 0, mean: 0.0, squares: 0.0 }
    }

    /// A value closes the period of the one before when it belongs to a later one. Periods without a value have a return of 0.
    fn value(&mut self, at: UnixNanos, equity: f64) {
        // What stands at the end of a period belongs to it.
        let period = (at.0 - 1).div_euclid(self.length_ns);
        if let Some((last, value)) = self.last
            && period > last
        {
            self.take(value / self.base - 1.0, 1);
            self.base = value;
            self.take(0.0, u64::try_from(period - last - 1).unwrap_or(0));
        }
        self.last = Some((period, equity));
    }

    /// `times` equal returns at once.
    fn take(&mut self, value: f64, times: u64) {
        if times == 0 {
            return;
        }
        let (before, n) = (self.count as f64, times as f64);
        let (apart, total) = (value - self.mean, before + n);
        self.mean += apart * n / total;
        self.squares += apart * apart * before * n / total;
        self.count += times;
    }

    /// How many returns, and their mean by their sample deviation; the period that is not over counts, too.
    fn ratio(&self) -> Option<(u64, f64)> {
        let mut all = *self;
        if let Some((_, value)) = all.last {
            all.take(value / all.base - 1.0, 1);
        }
        let deviation = (all.squares / (all.count.max(2) - 1) as f64).sqrt();
        (all.count >= RETURNS_MIN && deviation > 0.0).then(|| (all.count, all.mean / deviation))
    }
}

/// For statistics: off by at most one in 10^15.
fn float(money: Money) -> f64 {
    money.mantissa() as f64 / 1e18
}

/// The figures as a table for a terminal. `name` gives a strategy or an instrument its name.
#[must_use]
pub fn table(figures: &[Figures], name: impl Fn(InstrumentId) -> String) -> String {
    let head = [
        "strategy",
        "symbol",
        "return",
        "equity",
        "fills",
        "refused",
        "sales",
        "won",
        "profit factor",
        "drawdown",
        "Sharpe",
        "fees",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for figures in figures {
        rows.push([
            name(figures.strategy),
            name(figures.instrument),
            percent(figures.total_return),
            format!("{:.2}", figures.equity),
            figures.orders.to_string(),
            figures.refused.to_string(),
            figures.sales.to_string(),
            figures.win_rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0)),
            figures.profit_factor.map_or("-".to_owned(), |factor| format!("{factor:.2}")),
            percent(-figures.drawdown),
            figures.sharpe.map_or("-".to_owned(), |sharpe| format!("{:.2} ({})", sharpe.annualised, sharpe.period)),
            format!("{:.2}", figures.fees),
        ]);
    }
    let mut text = aligned(&rows);
    text.push_str(
        "\nSharpe: mean by deviation of the returns of each day (hour, minute), annualised to 365 days; risk-free return 0.\n",
    );
    text
}

/// Columns as wide as they need; the first two to the left, numbers to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let mut text = String::new();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let cell = |(column, (cell, width)): (usize, (&String, &usize))| {
            if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        let line: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        // Into a string: cannot fail.
        let _ = writeln!(text, "{}", line.join("  ").trim_end());
    }
    text
}

fn percent(share: f64) -> String {
    // Not "-0.00 %".
    let share = if share == 0.0 { 0.0 } else { share };
    format!("{:+.2} %", share * 100.0).replace("+0.00 %", "0.00 %").replace("-0.00 %", "0.00 %")
}

/// The figures as JSON: shares as fractions of 1, `null` where there is nothing to tell.
#[must_use]
pub fn json(figures: &[Figures], name: impl Fn(InstrumentId) -> String) -> Value {
    let book = |figures: &Figures| {
        json!({
            "strategy": name(figures.strategy),
            "symbol": name(figures.instrument),
            "equity": figures.equity,
            "return": figures.total_return,
            "fills": figures.orders,
            "refused": figures.refused,
            "sales": figures.sales,
            "win_rate": figures.win_rate,
            "profit_factor": figures.profit_factor,
            "fees": figures.fees,
            "max_drawdown": figures.drawdown,
            "sharpe": figures.sharpe.map(|sharpe| json!({
                "annualised": sharpe.annualised,
                "period": sharpe.period,
                "returns": sharpe.returns,
                "risk_free": 0,
            })),
        })
    };
    json!({ "books": figures.iter().map(book).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use feedd_model::{Decimal, Side};

    fn money(text: &str) -> Money {
        Money::of(Decimal::parse(text.as_bytes()).unwrap()).unwrap()
    }

    const HOUR: i64 = 3_600_000_000_000;

    fn row(at_ns: i64, equity: &str) -> Derived {
        Derived::Equity(Equity {
            instrument: InstrumentId(1),
            strategy: InstrumentId(7),
            at: UnixNanos(at_ns),
            price: Decimal::ZERO,
            position: Decimal::ZERO,
            cash: money(equity),
            equity: money(equity),
            realised: Money::ZERO,
            unrealised: Money::ZERO,
            number: 1,
        })
    }

    fn fill(side: Side, outcome: Outcome, realised: &str) -> Derived {
        Derived::Fill(Fill {
            instrument: InstrumentId(1),
            strategy: InstrumentId(7),
            signal: 1,
            at: UnixNanos(0),
            ordered_at: UnixNanos(0),
            side,
            outcome,
            price: Decimal::ZERO,
            size: Decimal::ZERO,
            position: Decimal::ZERO,
            fee: money("1.5"),
            realised: money(realised),
            cash: Money::ZERO,
            cost: Money::ZERO,
            number: 1,
        })
    }

    /// Values of 48 hours: each third hour loses.
    fn hours() -> Vec<(i64, i64)> {
        let mut value = 1_000_000;
        (1..=48)
            .map(|hour| {
                value += if hour % 3 == 0 { -1_700 } else { 1_300 };
                (hour * HOUR, value)
            })
            .collect()
    }

    fn collected() -> Collector {
        let mut collector = Collector::new(money("10000"));
        let records = [
            fill(Side::Buy, Outcome::Filled, "0"),
            fill(Side::Sell, Outcome::Filled, "30"),
            fill(Side::Buy, Outcome::NoCash, "0"),
            fill(Side::Sell, Outcome::Filled, "-12.5"),
            fill(Side::Sell, Outcome::Filled, "0"),
            fill(Side::Sell, Outcome::Expired, "0"),
        ];
        records.iter().for_each(|record| collector.see(record));
        for (at, cents) in hours() {
            collector.see(&row(at, &Decimal::new(cents, 2).unwrap().to_string()));
        }
        collector
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn figures_of_a_small_run() {
        let figures = collected().figures().remove(0);
        assert_eq!((figures.orders, figures.refused, figures.sales), (4, 2, 3));
        assert!(near(figures.win_rate.unwrap(), 1.0 / 3.0) && near(figures.profit_factor.unwrap(), 2.4));
        assert!(near(figures.fees, 6.0) && near(figures.equity, 10_144.0) && near(figures.total_return, 0.0144));
        // By Python's `statistics` over the 48 hourly returns: see the constants.
        assert!(near(figures.drawdown, DRAWDOWN), "{}", figures.drawdown);
        let sharpe = figures.sharpe.unwrap();
        assert_eq!((sharpe.period, sharpe.returns), ("hour", 48));
        assert!((sharpe.annualised - SHARPE).abs() < 1e-6, "{}", sharpe.annualised);
    }

    const DRAWDOWN: f64 = 0.001_695_591_462_198_284_4;
    const SHARPE: f64 = 19.739_715_817_573_72;

    #[test]
    fn periods_without_a_value_have_a_return_of_nothing() {
        let mut with = Returns::new(HOUR, 100.0);
        let mut without = with;
        for (hour, value) in [(1, 101.0), (2, 101.0), (3, 101.0), (4, 99.0)] {
            with.value(UnixNanos(hour * HOUR), value);
            if hour == 1 || hour == 4 {
                without.value(UnixNanos(hour * HOUR), value);
            }
        }
        assert!(near(with.mean, without.mean) && near(with.squares, without.squares));
        assert_eq!((with.count, without.count), (3, 3));
    }

    #[test]
    fn nothing_is_made_up_where_there_is_nothing() {
        let mut collector = Collector::new(money("10000"));
        collector.see(&row(HOUR, "10000"));
        let figures = collector.figures().remove(0);
        assert_eq!((figures.win_rate, figures.profit_factor, figures.sharpe), (None, None, None));
        assert!(table(std::slice::from_ref(&figures), |id| id.0.to_string()).contains(" 0.00 %  10000.00 "));
        assert_eq!(json(&[figures], |id| id.0.to_string())["books"][0]["sharpe"], Value::Null);
    }

    #[test]
    fn the_table_and_json_say_the_same() {
        let name = |id: InstrumentId| if id.0 == 7 { "sma(10,30)@1m".to_owned() } else { "BTCUSDT".to_owned() };
        let figures = collected().figures();
        let expected = "\
strategy       symbol    return    equity  fills  refused  sales     won  profit factor  drawdown        Sharpe  fees
sma(10,30)@1m  BTCUSDT  +1.44 %  10144.00      4        2      3  33.3 %           2.40   -0.17 %  19.74 (hour)  6.00

Sharpe: mean by deviation of the returns of each day (hour, minute), annualised to 365 days; risk-free return 0.
";
        assert_eq!(table(&figures, name), expected);
        let json = json(&figures, name);
        assert_eq!(json["books"][0]["strategy"], "sma(10,30)@1m");
        assert_eq!(
            (&json["books"][0]["fills"], &json["books"][0]["sharpe"]["period"]),
            (&Value::from(4), &Value::from("hour"))
        );
    }

    #[test]
    fn a_backtest_of_too_few_events_is_refused_with_the_remedy() {
        assert_eq!(check_events(100), Ok(()));
        let error = check_events(99).unwrap_err().to_string();
        assert_eq!(
            error,
            "a backtest needs at least 100 trades and quotes, this one had 99; take a longer span, more symbols, or more files"
        );
    }
}
