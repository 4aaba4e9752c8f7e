//! Amounts of quote currency: cash, fees, profit and loss.

use crate::decimal::Decimal;
use std::fmt;

/// An amount of quote currency: 128-bit mantissa at scale 18, so up to 1.7e20 units with 18 decimals.
///
/// Sums are exact. A product or quotient with more decimals is rounded half to even at the 18th; each operation that can
/// leave the range says so by `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i128);

impl Money {
    /// Decimals of the mantissa.
    pub const SCALE: u8 = 18;
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From a mantissa at [`Money::SCALE`].
    #[must_use]
    pub const fn from_mantissa(mantissa: i128) -> Self {
        Self(mantissa)
    }

    /// The mantissa at [`Money::SCALE`].
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.0
    }

    /// Exact when the value has at most 18 decimals, else rounded half to even.
    #[must_use]
    pub fn of(value: Decimal) -> Option<Self> {
        scaled(i128::from(value.mantissa()), u32::from(value.scale())).map(Self)
    }

    /// `a` x `b`, rounded half to even at the 18th decimal.
    #[must_use]
    pub fn product(a: Decimal, b: Decimal) -> Option<Self> {
        let (a, b) = (a.canonical(), b.canonical());
        let mantissa = i128::from(a.mantissa()).checked_mul(i128::from(b.mantissa()))?;
        scaled(mantissa, u32::from(a.scale()) + u32::from(b.scale())).map(Self)
    }

    /// This amount x `numerator` / `denominator`, rounded half to even; `None` also for a denominator of 0.
    #[must_use]
    pub fn part(self, numerator: Decimal, denominator: Decimal) -> Option<Self> {
        let scale = numerator.scale().max(denominator.scale());
        let (n, d) = (numerator.mantissa_at(scale)?, denominator.mantissa_at(scale)?);
        mul_div(self.0, n, d).map(Self)
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Money {
    /// Plain notation without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10i128.pow(u32::from(Self::SCALE)).unsigned_abs();
        let (whole, rest) = (self.0.unsigned_abs() / unit, self.0.unsigned_abs() % unit);
        let sign = if self.0 < 0 { "-" } else { "" };
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{rest:018}").trim_end_matches('0'))
    }
}

/// A mantissa at another scale as one at scale 18.
fn scaled(mantissa: i128, scale: u32) -> Option<i128> {
    let wanted = u32::from(Money::SCALE);
    if scale <= wanted {
        return mantissa.checked_mul(10i128.checked_pow(wanted - scale)?);
    }
    match 10i128.checked_pow(scale - wanted) {
        Some(divisor) => Some(div_half_even(mantissa, divisor)),
        // Smaller than half of the last decimal.
        None => Some(0),
    }
}

/// `a` / `b` rounded half to even; `b` is above 0.
fn div_half_even(a: i128, b: i128) -> i128 {
    let (quotient, rest) = (a.div_euclid(b), a.rem_euclid(b));
    let up = match (b - rest).cmp(&rest) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => quotient % 2 != 0,
        std::cmp::Ordering::Greater => false,
    };
    quotient + i128::from(up)
}

/// `a` x `b` / `c`, rounded half to even, with a product of 256 bits.
fn mul_div(a: i128, b: i128, c: i128) -> Option<i128> {
    if c == 0 {
        return None;
    }
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let (high, low) = wide_product(a.unsigned_abs(), b.unsigned_abs());
    let divisor = c.unsigned_abs();
    if high >= divisor {
        return None;
    }
    let (quotient, rest) = wide_divide(high, low, divisor);
    let up = match (divisor - rest).cmp(&rest) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Equal => quotient % 2 == 1,
        std::cmp::Ordering::Greater => false,
    };
    let quotient = i128::try_from(quotient.checked_add(u128::from(up))?).ok()?;
    Some(if negative { -quotient } else { quotient })
}

/// The 256-bit product as its upper and lower half.
pub(crate) fn wide_product(a: u128, b: u128) -> (u128, u128) {
    const HALF: u128 = u64::MAX as u128;
    let (a1, a0, b1, b0) = (a >> 64, a & HALF, b >> 64, b & HALF);
    let (low, mid1, mid2, high) = (a0 * b0, a1 * b0, a0 * b1, a1 * b1);
    let mid = (low >> 64) + (mid1 & HALF) + (mid2 & HALF);
    (high + (mid1 >> 64) + (mid2 >> 64) + (mid >> 64), (mid << 64) | (low & HALF))
}

/// (`high`, `low`) / `divisor` bit by bit, as `high` is below `divisor`: quotient and rest. Rare: once a fill.
pub(crate) fn wide_divide(high: u128, low: u128, divisor: u128) -> (u128, u128) {
    let (mut rest, mut quotient) = (high, 0u128);
    for bit in (0..128).rev() {
        let carry = rest >> 127 == 1;
        rest = (rest << 1) | (low >> bit & 1);
        quotient <<= 1;
        if carry || rest >= divisor {
            rest = rest.wrapping_sub(divisor);
            quotient |= 1;
        }
    }
    (quotient, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::num_bigint::BigInt;
    use bigdecimal::{BigDecimal, RoundingMode};
    use proptest::prelude::*;

    fn big(money: Money) -> BigDecimal {
        BigDecimal::new(BigInt::from(money.mantissa()), 18)
    }

    fn exact(value: Decimal) -> BigDecimal {
        BigDecimal::new(value.mantissa().into(), value.scale().into())
    }

    #[test]
    fn prints_plainly() {
        let cases =
            [(0, "0"), (1, "0.000000000000000001"), (-1_500_000_000_000_000_000, "-1.5"), (10i128.pow(20), "100")];
        for (mantissa, text) in cases {
            assert_eq!(Money::from_mantissa(mantissa).to_string(), text);
        }
    }

    proptest! {
        /// Equal to an independent library, rounding included.
        #[test]
        fn products_and_parts_agree_with_an_independent_library(
            a in -10i64.pow(15)..10i64.pow(15), sa in 0u8..=18, b in 1i64..10i64.pow(15), sb in 0u8..=18, part in 1i64..10i64.pow(15),
        ) {
            let (a, b) = (Decimal::new(a, sa).unwrap(), Decimal::new(b, sb).unwrap());
            let expected = (exact(a) * exact(b)).with_scale_round(18, RoundingMode::HalfEven);
            match Money::product(a, b) {
                Some(product) => {
                    prop_assert_eq!(big(product), expected);
                    let part = Decimal::new(part, sb).unwrap();
                    if let Some(cut) = product.part(part, b) {
                        let whole = big(product) * BigDecimal::from(part.mantissa());
                        let low = &whole / BigDecimal::from(b.mantissa());
                        let error = (big(cut) - low).abs();
                        prop_assert!(error <= BigDecimal::new(5.into(), 19), "{error}");
                    }
                }
                None => prop_assert!(expected.abs() > BigDecimal::new(BigInt::from(i128::MAX), 18)),
            }
        }
    }
}
