//! Arithmetic of orders on exact decimals. Each rounding is named; what leaves the range is `None`.

use feedd_model::{Decimal, Money};

/// Decimals of a size: what an order is rounded down to.
pub(super) const SIZE_DECIMALS: u8 = 8;

/// From a mantissa of 128 bits, without trailing zeros; `None` when 64 bits do not hold what is left.
fn decimal(mut mantissa: i128, mut scale: u32) -> Option<Decimal> {
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Decimal::new(i64::try_from(mantissa).ok()?, u8::try_from(scale).ok()?)
}

/// `a` + `b`, exact.
pub(super) fn sum(a: Decimal, b: Decimal) -> Option<Decimal> {
    let scale = a.scale().max(b.scale());
    decimal(a.mantissa_at(scale)?.checked_add(b.mantissa_at(scale)?)?, u32::from(scale))
}

/// `a` - `b`, exact.
pub(super) fn difference(a: Decimal, b: Decimal) -> Option<Decimal> {
    sum(a, Decimal::new(-b.mantissa(), b.scale())?)
}

/// `price` x (1 + `share`), or x (1 - `share`): exact when that has no more decimals than the price or [`SIZE_DECIMALS`],
/// else rounded at them, against the order: up when `is_buy`, down when not. Never 0 or below.
pub(super) fn slipped(price: Decimal, share: Decimal, is_buy: bool) -> Option<Decimal> {
    if share.is_zero() {
        return price.is_positive().then_some(price);
    }
    let one = Decimal::new(1, 0)?;
    let factor = if is_buy { sum(one, share)? } else { difference(one, share)? };
    let mantissa = i128::from(price.mantissa()).checked_mul(i128::from(factor.mantissa()))?;
    let scale = u32::from(price.scale()) + u32::from(factor.scale());
    let wanted = u32::from(price.scale().max(SIZE_DECIMALS)).min(scale);
    let unit = 10i128.checked_pow(scale - wanted)?;
    let down = mantissa.div_euclid(unit);
    let up = down + i128::from(mantissa.rem_euclid(unit) != 0);
    decimal(if is_buy { up } else { down }, wanted).filter(|price| price.is_positive())
}

/// `size` rounded down to [`SIZE_DECIMALS`].
pub(super) fn lot(size: Decimal) -> Option<Decimal> {
    let extra = u32::from(size.scale().saturating_sub(SIZE_DECIMALS));
    let mantissa = i128::from(size.mantissa()).div_euclid(10i128.checked_pow(extra)?);
    decimal(mantissa, u32::from(size.scale()) - extra)
}

/// Value and fee of `size` at `price`, each rounded half to even at the 18th decimal.
pub(super) fn value_and_fee(price: Decimal, size: Decimal, fee: Decimal) -> Option<(Money, Money)> {
    let value = Money::product(price, size)?;
    Some((value, value.part(fee, Decimal::new(1, 0)?)?))
}

/// The largest size at `price` that `cash` pays for, fee included, with at most [`SIZE_DECIMALS`] decimals (fewer when 64
/// bits do not hold them). Zero when not even the smallest is paid for.
pub(super) fn affordable(cash: Money, price: Decimal, fee: Decimal) -> Option<Decimal> {
    let one = Decimal::new(1, 0)?;
    // Off by the rounding of two quotients: less than one step at whatever price, which the look around it mends.
    let near = cash.part(one, price)?.part(one, sum(one, fee)?)?;
    let (mut decimals, mut unit) = (SIZE_DECIMALS, 10i128.pow(u32::from(Money::SCALE - SIZE_DECIMALS)));
    while near.mantissa() / unit >= i128::from(i64::MAX) {
        decimals = decimals.checked_sub(1)?;
        unit = unit.checked_mul(10)?;
    }
    let steps = near.mantissa().div_euclid(unit);
    for steps in [steps + 1, steps, steps - 1] {
        if steps <= 0 {
            break;
        }
        let size = decimal(steps, u32::from(decimals))?;
        let (value, fee) = value_and_fee(price, size, fee)?;
        if value.plus(fee)? <= cash {
            return Some(size);
        }
    }
    Some(Decimal::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn d(text: &str) -> Decimal {
        Decimal::parse(text.as_bytes()).unwrap()
    }

    fn text(value: Option<Decimal>) -> String {
        value.map_or("none".to_owned(), |value| value.to_string())
    }

    #[test]
    fn slippage_is_against_the_order_and_so_is_its_rounding() {
        let cases = [
            // price, share, buy, sell
            ("100", "0", "100", "100"),
            ("100", "0.001", "100.1", "99.9"),
            ("58942.01", "0.0005", "58971.481005", "58912.538995"),
            ("0.00000123", "0.001", "0.00000124", "0.00000122"),
            ("0.0000001234", "0.001", "0.0000001236", "0.0000001232"),
            ("0.00000001", "0.5", "0.00000002", "none"),
            ("0", "0", "none", "none"),
        ];
        for (price, share, buy, sell) in cases {
            let [got_buy, got_sell] = [true, false].map(|is_buy| text(slipped(d(price), d(share), is_buy)));
            assert_eq!((got_buy.as_str(), got_sell.as_str()), (buy, sell), "{price} {share}");
        }
    }

    #[test]
    fn sizes_are_rounded_down() {
        for (size, expected) in [("1.234567899", "1.23456789"), ("0.000000001", "0"), ("5", "5"), ("1.50", "1.5")] {
            assert_eq!(text(lot(d(size))), expected);
        }
    }

    #[test]
    fn all_of_the_cash() {
        let cases = [
            // cash, price, fee, size: by Python's decimal, rounded down and checked one step up
            ("10000", "100", "0.001", "99.9000999"),
            ("10000", "58942.01", "0.001", "0.16948879"),
            ("10000", "3", "0", "3333.33333333"),
            ("10000", "0.00000001", "0", "1000000000000"),
            ("10000", "0.00000003", "0.001", "333000333000.3330003"),
            ("0.000001", "58942.01", "0.001", "0"),
            ("0", "1", "0", "0"),
        ];
        for (cash, price, fee, size) in cases {
            let got = affordable(Money::of(d(cash)).unwrap(), d(price), d(fee));
            assert_eq!(text(got), size, "{cash} at {price}");
        }
    }

    proptest! {
        /// What is said to be paid for is, and one step more is not.
        #[test]
        fn the_largest_size_is_found(
            cash in 0i64..10i64.pow(14), cash_scale in 0u8..10, price in 1i64..10i64.pow(12), price_scale in 0u8..10, fee in 0i64..100,
        ) {
            let cash = Money::of(Decimal::new(cash, cash_scale).unwrap()).unwrap();
            let (price, fee) = (Decimal::new(price, price_scale).unwrap(), Decimal::new(fee, 3).unwrap());
            let Some(size) = affordable(cash, price, fee) else { return Ok(()) };
            let cost = |size| value_and_fee(price, size, fee).and_then(|(value, fee)| value.plus(fee)).unwrap();
            prop_assert!(cost(size) <= cash);
            if let Some(more) = sum(size, Decimal::new(1, SIZE_DECIMALS).unwrap()) {
                prop_assert!(cost(more) > cash, "{} at {} for {}", more, price, cash);
            }
        }
    }
}
