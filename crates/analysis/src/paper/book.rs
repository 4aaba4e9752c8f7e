//! One paper book: what a strategy has of one symbol, and its open orders.
//!
//! Value, fee and the cost of a part of the position are each rounded half to even at the 18th decimal, once; everything else
//! is sums of these. So these hold exactly after any row of fills:
//!
//! - cash + cost = cash at the beginning + realised;
//! - cash = cash at the beginning - values bought + values sold - fees;
//! - without a position the cost is 0.

use super::Settings;
use super::amounts::{affordable, difference, lot, slipped, sum, value_and_fee};
use crate::engine::bytes::{Reader, Writer};
use feedd_model::{Decimal, Money, Outcome, Side, UnixNanos};
use std::collections::VecDeque;

/// An order that waits for a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Number of the signal it comes from.
    pub signal: u64,
    /// The lane's clock when it was given.
    pub at: UnixNanos,
    /// Buy or sell.
    pub side: Side,
    /// How much; `None` is all of the cash, or the whole position.
    pub size: Option<Decimal>,
}

/// What an order can be filled against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// A quote: buys at the ask, sells at the bid, if there is one.
    Quote {
        /// Best bid.
        bid: Option<Decimal>,
        /// Best ask.
        ask: Option<Decimal>,
    },
    /// A trade.
    Trade(Decimal),
}

impl Market {
    /// The price for an order, without slippage.
    #[must_use]
    pub fn price(self, side: Side) -> Option<Decimal> {
        match (self, side) {
            (Self::Quote { ask, .. }, Side::Buy) => ask,
            (Self::Quote { bid, .. }, Side::Sell) => bid,
            (Self::Trade(price), _) => Some(price),
        }
    }
}

/// How an order ended, and what it moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Filled, or why not.
    pub outcome: Outcome,
    /// Price with slippage; 0 unless filled.
    pub price: Decimal,
    /// Size; of a refused order what was asked for, 0 when that was left to the book.
    pub size: Decimal,
    /// Fee paid.
    pub fee: Money,
    /// Profit or loss that it realised, its fee and the fees of buying included.
    pub realised: Money,
}

impl Filled {
    /// An order that moves nothing.
    #[must_use]
    pub fn refused(order: &Order, outcome: Outcome) -> Self {
        let size = order.size.unwrap_or(Decimal::ZERO);
        Self { outcome, price: Decimal::ZERO, size, fee: Money::ZERO, realised: Money::ZERO }
    }
}

/// Cash, position and open orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Cash.
    pub cash: Money,
    /// Position in base currency.
    pub position: Decimal,
    /// What the position has cost, fees included.
    pub cost: Money,
    /// Profit or loss since the beginning, fees included.
    pub realised: Money,
    /// Fees paid since the beginning.
    pub fees: Money,
    orders: VecDeque<Order>,
}

/// Most orders that wait in one book. Another one makes the oldest give up.
const ORDERS_MAX: usize = 64;

impl Book {
    /// A new book. `None` when the cash leaves the range of [`Money`].
    #[must_use]
    pub fn new(cash: Decimal) -> Option<Self> {
        Some(Self {
            cash: Money::of(cash)?,
            position: Decimal::ZERO,
            cost: Money::ZERO,
            realised: Money::ZERO,
            fees: Money::ZERO,
            orders: VecDeque::new(),
        })
    }

    /// Orders that wait.
    #[must_use]
    pub fn open_orders(&self) -> usize {
        self.orders.len()
    }

    /// Puts an order behind the others; gives back the oldest when there are too many: no price came for it.
    pub fn place(&mut self, order: Order) -> Option<Order> {
        let given_up = if self.orders.len() == ORDERS_MAX { self.orders.pop_front() } else { None };
        self.orders.push_back(order);
        given_up
    }

    /// When the oldest order was given.
    #[must_use]
    pub fn oldest(&self) -> Option<UnixNanos> {
        // They are given in the order of the lane's clock, which never goes back.
        self.orders.front().map(|order| order.at)
    }

    /// Takes out the oldest order.
    pub fn take_oldest(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Takes out the oldest order that has a price here.
    pub fn take_fillable(&mut self, market: Market) -> Option<(Order, Decimal)> {
        let at = self.orders.iter().position(|order| market.price(order.side).is_some())?;
        let order = self.orders.remove(at)?;
        market.price(order.side).map(|price| (order, price))
    }

    /// Fills `order` at the market's `price`, or refuses it: then nothing has moved.
    pub fn settle(&mut self, order: &Order, price: Decimal, settings: &Settings) -> Filled {
        let done = match order.side {
            Side::Buy => self.buy(order.size, price, settings),
            Side::Sell => self.sell(order.size, price, settings),
        };
        done.unwrap_or_else(|outcome| Filled::refused(order, outcome))
    }

    fn buy(&mut self, size: Option<Decimal>, price: Decimal, settings: &Settings) -> Result<Filled, Outcome> {
        let price = slipped(price, settings.slippage, true).ok_or(Outcome::OutOfRange)?;
        let size = match size {
            None => affordable(self.cash, price, settings.fee).ok_or(Outcome::OutOfRange)?,
            Some(size) => lot_of(size)?,
        };
        if size.is_zero() {
            return Err(Outcome::NoCash);
        }
        let (value, fee) = value_and_fee(price, size, settings.fee).ok_or(Outcome::OutOfRange)?;
        let paid = value.plus(fee).ok_or(Outcome::OutOfRange)?;
        if paid > self.cash {
            return Err(Outcome::NoCash);
        }
        let moved =
            || Some((self.cash.minus(paid)?, sum(self.position, size)?, self.cost.plus(paid)?, self.fees.plus(fee)?));
        (self.cash, self.position, self.cost, self.fees) = moved().ok_or(Outcome::OutOfRange)?;
        Ok(Filled { outcome: Outcome::Filled, price, size, fee, realised: Money::ZERO })
    }

    fn sell(&mut self, size: Option<Decimal>, price: Decimal, settings: &Settings) -> Result<Filled, Outcome> {
        let price = slipped(price, settings.slippage, false).ok_or(Outcome::OutOfRange)?;
        let size = size.map_or(Ok(self.position), lot_of)?;
        if size > self.position || self.position.is_zero() {
            return Err(Outcome::NoPosition);
        }
        let moved = || {
            let (value, fee) = value_and_fee(price, size, settings.fee)?;
            let got = value.minus(fee)?;
            // All of it when all is sold: nothing is left behind by rounding.
            let cost = if size == self.position { self.cost } else { self.cost.part(size, self.position)? };
            let realised = got.minus(cost)?;
            let after = Self {
                cash: self.cash.plus(got)?,
                position: difference(self.position, size)?,
                cost: self.cost.minus(cost)?,
                realised: self.realised.plus(realised)?,
                fees: self.fees.plus(fee)?,
                orders: VecDeque::new(),
            };
            Some((after, fee, realised))
        };
        let (after, fee, realised) = moved().ok_or(Outcome::OutOfRange)?;
        *self = Self { orders: std::mem::take(&mut self.orders), ..after };
        Ok(Filled { outcome: Outcome::Filled, price, size, fee, realised })
    }

    /// Cash with the position's value at `price`, and that value less its cost. `None` when it leaves the range.
    #[must_use]
    pub fn value(&self, price: Decimal) -> Option<(Money, Money)> {
        let value = Money::product(price, self.position)?;
        Some((self.cash.plus(value)?, value.minus(self.cost)?))
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        for money in [self.cash, self.cost, self.realised, self.fees] {
            out.money(money);
        }
        out.decimal(self.position);
        out.len(self.orders.len());
        for order in &self.orders {
            out.u64(order.signal);
            out.time(order.at);
            out.u8(u8::from(order.side == Side::Sell));
            out.optional(order.size, Writer::decimal);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Option<Self> {
        let [cash, cost, realised, fees] = [from.money()?, from.money()?, from.money()?, from.money()?];
        let position = from.decimal()?;
        let orders = (0..from.len()?)
            .map(|_| {
                Some(Order {
                    signal: from.u64()?,
                    at: from.time()?,
                    side: if from.u8()? == 0 { Side::Buy } else { Side::Sell },
                    size: from.optional(Reader::decimal)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self { cash, position, cost, realised, fees, orders })
    }
}

/// A size that was asked for, rounded down; refused when nothing is left.
fn lot_of(size: Decimal) -> Result<Decimal, Outcome> {
    lot(size).filter(|size| size.is_positive()).ok_or(Outcome::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn order(side: Side, size: Option<&str>) -> Order {
        Order { signal: 1, at: UnixNanos(0), side, size: size.map(d) }
    }

    /// Book and last fill as text: outcome, price, size, fee, realised; cash, position, cost, realised, fees.
    fn text(filled: &Filled, book: &Book) -> String {
        let Filled { outcome, price, size, fee, realised } = filled;
        let Book { cash, position, cost, realised: total, fees, .. } = book;
        format!("{} {price} {size} {fee} {realised} | {cash} {position} {cost} {total} {fees}", outcome.name())
    }

    /// Computed by Python's `decimal` with 60 digits, `quantize(1e-18, ROUND_HALF_EVEN)` where a rounding is stated.
    #[test]
    fn a_walk_through_with_slippage_and_parts() {
        let settings = Settings { slippage: d("0.0005"), ..Settings::default() };
        let mut book = Book::new(d("10000")).unwrap();
        let steps = [
            (Side::Sell, None, "100", "no_position 0 0 0 0 | 10000 0 0 0 0"),
            (Side::Buy, Some("30"), "100", BOUGHT_30),
            (Side::Buy, None, "90.5", BOUGHT_ALL),
            (Side::Buy, None, "90.5", NO_CASH),
            (Side::Sell, Some("7.123456789"), "110", SOLD_PART),
            (Side::Sell, Some("1000"), "110", TOO_MUCH),
            (Side::Sell, None, "80.25", SOLD_REST),
            (Side::Buy, Some("1000"), "100", TOO_DEAR),
            (Side::Buy, Some("0.000000001"), "100", TOO_SMALL),
        ];
        for (side, size, price, expected) in steps {
            let filled = book.settle(&order(side, size), d(price), &settings);
            assert_eq!(text(&filled, &book), expected, "{side:?} {size:?} at {price}");
        }
    }

    const BOUGHT_30: &str = "filled 100.05 30 3.0015 0 | 6995.4985 30 3004.5015 0 3.0015";
    const BOUGHT_ALL: &str = "filled 90.54525 77.1825136 6.9885099895404 0 | 0.0000004700596 107.1825136 9999.9999995299404 0 9.9900099895404";
    const NO_CASH: &str = "no_cash 0 0 0 0 | 0.0000004700596 107.1825136 9999.9999995299404 0 9.9900099895404";
    const SOLD_PART: &str = "filled 109.945 7.12345678 0.7831884556771 117.795291171639805947 | 782.4052676914825 100.05905682 9335.390023480157305947 117.795291171639805947 10.7731984452175";
    const TOO_MUCH: &str = "no_position 0 1000 0 0 | 782.4052676914825 100.05905682 9335.390023480157305947 117.795291171639805947 10.7731984452175";
    const SOLD_REST: &str = "filled 80.209875 100.05905682 8.0257244401500975 -1317.691307770209903447 | 8800.1039834014299025 0 0 -1199.8960165985700975 18.7989228853675975";
    const TOO_DEAR: &str = "no_cash 0 1000 0 0 | 8800.1039834014299025 0 0 -1199.8960165985700975 18.7989228853675975";
    const TOO_SMALL: &str =
        "out_of_range 0 0.000000001 0 0 | 8800.1039834014299025 0 0 -1199.8960165985700975 18.7989228853675975";

    #[test]
    fn what_leaves_the_range_is_refused_and_moves_nothing() {
        let huge = Decimal::new(i64::MAX, 0).unwrap();
        let mut book = Book::new(huge).unwrap();
        let before = book.clone();
        let settings = Settings { fee: Decimal::ZERO, ..Settings::default() };
        let tiny = Decimal::new(1, 30).unwrap();
        let filled = book.settle(&order(Side::Buy, None), tiny, &settings);
        assert_eq!((filled.outcome, &book), (Outcome::OutOfRange, &before));
        let filled = book.settle(&Order { size: Some(huge), ..order(Side::Buy, None) }, huge, &settings);
        assert_eq!((filled.outcome, &book), (Outcome::OutOfRange, &before));
        assert_eq!(Book { position: huge, ..before }.value(huge), None);
    }

    #[test]
    fn the_oldest_of_too_many_orders_gives_up() {
        let mut book = Book::new(d("1")).unwrap();
        let numbered = |signal| Order { signal, ..order(Side::Buy, None) };
        assert!((0..64).all(|signal| book.place(numbered(signal)).is_none()));
        assert_eq!(book.place(numbered(64)), Some(numbered(0)));
        assert_eq!(book.open_orders(), 64);
    }

    #[test]
    fn a_quote_with_one_side_fills_only_what_it_has_a_price_for() {
        let mut book = Book::new(d("1")).unwrap();
        let (buy, sell) = (order(Side::Buy, None), order(Side::Sell, None));
        book.place(buy);
        book.place(sell);
        let quote = Market::Quote { bid: Some(d("99")), ask: None };
        assert_eq!(book.take_fillable(quote), Some((sell, d("99"))));
        assert_eq!(book.take_fillable(quote), None);
        assert_eq!(book.take_fillable(Market::Trade(d("98"))), Some((buy, d("98"))));
    }

    fn any_order() -> impl Strategy<Value = (bool, Option<(i64, u8)>, i64, u8)> {
        (any::<bool>(), prop::option::of((1i64..10_000_000, 0u8..10)), 1i64..10_000_000, 0u8..10)
    }

    proptest! {
        /// Nothing appears and nothing is lost, to the last decimal, whatever is bought and sold.
        #[test]
        fn the_accounts_add_up(
            orders in prop::collection::vec(any_order(), 1..60), cash in 1i64..1_000_000_000, fee in 0i64..100, slippage in 0i64..100,
        ) {
            let share = |mantissa| Decimal::new(mantissa, 4).unwrap();
            let settings = Settings {
                cash: Decimal::new(cash, 2).unwrap(), fee: share(fee), slippage: share(slippage), ..Settings::default()
            };
            let start = Money::of(settings.cash).unwrap();
            let mut book = Book::new(settings.cash).unwrap();
            let (mut bought, mut sold): (i128, i128) = (0, 0);
            for (is_buy, size, price, scale) in orders {
                let side = if is_buy { Side::Buy } else { Side::Sell };
                let size = size.map(|(mantissa, scale)| Decimal::new(mantissa, scale).unwrap());
                let before = book.clone();
                let filled = book.settle(&Order { size, ..order(side, None) }, Decimal::new(price, scale).unwrap(), &settings);
                if filled.outcome == Outcome::Filled {
                    let value = Money::product(filled.price, filled.size).unwrap().mantissa();
                    let side = if is_buy { &mut bought } else { &mut sold };
                    // Of a book that grows beyond all bounds the sums may leave 128 bits; what wraps is still equal.
                    *side = side.wrapping_add(value);
                } else {
                    prop_assert_eq!(&before, &book);
                }
                let all = |money: Money| money.mantissa();
                let (cash, cost) = (all(book.cash), all(book.cost));
                prop_assert_eq!(cash.wrapping_add(cost), all(start).wrapping_add(all(book.realised)));
                prop_assert_eq!(cash, all(start).wrapping_sub(bought).wrapping_add(sold).wrapping_sub(all(book.fees)));
                prop_assert!(book.cash >= Money::ZERO && book.cost >= Money::ZERO && book.position >= Decimal::ZERO);
                prop_assert!(!book.position.is_zero() || book.cost == Money::ZERO);
            }
            let mut out = Writer::default();
            book.place(order(Side::Buy, Some("1.50")));
            book.place(order(Side::Sell, None));
            book.write(&mut out);
            let bytes = out.finish();
            prop_assert_eq!(Book::read(&mut Reader::new(&bytes)).unwrap(), book);
        }
    }
}
