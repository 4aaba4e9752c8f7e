//! Paper books: cash, position, profit and loss of each strategy and symbol. Nothing of this ever goes to a venue.
//!
//! [`Book`] fills orders and keeps the accounts, exactly; [`report`] makes figures of its rows after a backtest, and
//! [`curve`] a picture.

mod amounts;
mod book;
pub mod curve;
pub mod report;

pub use book::{Book, Filled, Market, Order};

use feedd_model::Decimal;

/// How books are kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Cash of each book at its beginning, in quote currency.
    pub cash: Decimal,
    /// Fee of a fill, as a share of its value: 0.001 is 0.1 %.
    pub fee: Decimal,
    /// How much worse than the market a fill is, as a share of the price.
    pub slippage: Decimal,
    /// Against what orders are filled.
    pub fill: Fill,
    /// How long an order waits for a price.
    pub order_life_ns: i64,
    /// Least time between two rows of a book's value, apart from those of fills.
    pub equity_every_ns: i64,
}

/// Against what an order is filled: always the first after it, never what it was ordered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// A quote with a price on the other side: to buy at the ask, to sell at the bid, whole. A trade, until the first quote of
    /// the symbol has been seen; it is looked for from the symbol's first bar on.
    QuoteOrTrade,
    /// A trade, at its price.
    Trade,
}

impl Default for Settings {
    /// 10,000 of cash, 0.1 % fee, no slippage, orders live for a minute.
    fn default() -> Self {
        let decimal = |mantissa, scale| Decimal::new(mantissa, scale).unwrap_or(Decimal::ZERO);
        Self {
            cash: decimal(10_000, 0),
            fee: decimal(1, 3),
            slippage: Decimal::ZERO,
            fill: Fill::QuoteOrTrade,
            order_life_ns: 60_000_000_000,
            equity_every_ns: 60_000_000_000,
        }
    }
}
