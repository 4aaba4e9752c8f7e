//! Exact sums of decimals and of products of decimals.

use crate::decimal::{Decimal, SCALE_MAX, pow10};
use crate::money::{Money, wide_divide, wide_product};
use std::cmp::Ordering;
use std::fmt;

/// An exact sum: 128-bit mantissa at its own scale. Grows its scale as needed and never rounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    mantissa: i128,
    scale: u32,
}

/// A sum left 128 bits: it is reported, never wrapped or rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sum leaves 128 bits")]
pub struct SumOverflow;

/// Most decimals of a sum: those of a product of two decimals.
const SUM_SCALE_MAX: u32 = 2 * SCALE_MAX as u32;

impl Sum {
    /// `mantissa` x 10^-`scale`; `None` when `scale` is above 60, which no sum of decimals or of products of two needs.
    #[must_use]
    pub const fn from_parts(mantissa: i128, scale: u32) -> Option<Self> {
        if scale > SUM_SCALE_MAX { None } else { Some(Self { mantissa, scale }) }
    }

    /// The digits without the point, signed.
    #[must_use]
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Number of decimals.
    #[must_use]
    pub const fn scale(self) -> u32 {
        self.scale
    }

    /// The same value without trailing zeros.
    #[must_use]
    pub const fn canonical(self) -> Self {
        let Self { mut mantissa, mut scale } = self;
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The mantissa at another scale; `None` when that is not exact or leaves 128 bits.
    #[must_use]
    pub fn mantissa_at(self, scale: u32) -> Option<i128> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let short = self.canonical();
        pow10(scale.checked_sub(short.scale)?)?.checked_mul(short.mantissa)
    }

    /// This sum / `divisor`, rounded half to even at the 18th decimal; `None` for a divisor of 0, and beyond the range.
    #[must_use]
    pub fn quotient(self, divisor: Self) -> Option<Money> {
        let by = divisor.mantissa.unsigned_abs();
        if by == 0 {
            return None;
        }
        let (mut quotient, mut rest) = (self.mantissa.unsigned_abs() / by, self.mantissa.unsigned_abs() % by);
        let shift = i64::from(divisor.scale) + i64::from(Money::SCALE) - i64::from(self.scale);
        // Long division: up to 38 digits at once, exact in 256 bits.
        let mut digits = u32::try_from(shift).unwrap_or(0);
        while digits > 0 {
            let factor = pow10(digits.min(38))?.unsigned_abs();
            let (high, low) = wide_product(rest, factor);
            let next;
            (next, rest) = wide_divide(high, low, by);
            quotient = quotient.checked_mul(factor)?.checked_add(next)?;
            digits = digits.saturating_sub(38);
        }
        // Twice the rest against the divisor, and, where decimals are cut off, first twice what is cut off against its unit.
        let mut half = (by - rest).cmp(&rest).reverse();
        if let Ok(cut @ 1..) = u32::try_from(-shift) {
            let Some(unit) = pow10(cut).map(i128::unsigned_abs) else { return Some(Money::ZERO) };
            let below = quotient % unit;
            quotient /= unit;
            let is_more = if rest > 0 { Ordering::Greater } else { Ordering::Equal };
            half = (2 * below).cmp(&unit).then(is_more);
        }
        let up = half == Ordering::Greater || half == Ordering::Equal && !quotient.is_multiple_of(2);
        let value = i128::try_from(quotient.checked_add(u128::from(up))?).ok()?;
        Some(Money::from_mantissa(if (self.mantissa < 0) ^ (divisor.mantissa < 0) { -value } else { value }))
    }

    /// Adds a value.
    ///
    /// # Errors
    /// [`SumOverflow`]; the sum keeps its former value.
    pub fn add(&mut self, value: Decimal) -> Result<(), SumOverflow> {
        let value = value.canonical();
        self.add_at(i128::from(value.mantissa()), u32::from(value.scale()))
    }

    /// Adds `a` x `b`.
    ///
    /// # Errors
    /// [`SumOverflow`]; the sum keeps its former value.
    pub fn add_product(&mut self, a: Decimal, b: Decimal) -> Result<(), SumOverflow> {
        let (a, b) = (a.canonical(), b.canonical());
        let product = i128::from(a.mantissa()).checked_mul(i128::from(b.mantissa())).ok_or(SumOverflow)?;
        self.add_at(product, u32::from(a.scale()) + u32::from(b.scale()))
    }

    fn add_at(&mut self, mantissa: i128, scale: u32) -> Result<(), SumOverflow> {
        let wide = self.scale.max(scale);
        let widen = |mantissa: i128, from: u32| pow10(wide - from).and_then(|factor| mantissa.checked_mul(factor));
        let old = widen(self.mantissa, self.scale).ok_or(SumOverflow)?;
        let new = widen(mantissa, scale).ok_or(SumOverflow)?;
        *self = Self { mantissa: old.checked_add(new).ok_or(SumOverflow)?, scale: wide };
        Ok(())
    }
}

impl fmt::Display for Sum {
    /// Plain notation without trailing zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mantissa, scale } = self.canonical();
        let scale = scale as usize;
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale + 1);
        let (int, frac) = digits.split_at(digits.len() - scale);
        let sign = if mantissa < 0 { "-" } else { "" };
        if frac.is_empty() { write!(f, "{sign}{int}") } else { write!(f, "{sign}{int}.{frac}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::num_bigint::BigInt;
    use bigdecimal::{BigDecimal, RoundingMode};
    use proptest::prelude::*;

    #[test]
    fn overflow_is_named_and_keeps_the_sum() {
        let mut sum = Sum::default();
        let large = Decimal::new(i64::MAX, 0).unwrap();
        sum.add_product(large, large).unwrap();
        let before = sum;
        assert_eq!(sum.add(Decimal::new(1, 1).unwrap()), Err(SumOverflow));
        assert_eq!(sum, before);
    }

    fn any_sum() -> impl Strategy<Value = Sum> {
        // Few digits, so that ties occur, and many.
        let mantissa = prop_oneof![any::<i128>(), -1000i128..1000, Just(i128::MIN), Just(i128::MAX)];
        (mantissa, 0u32..=60).prop_map(|(mantissa, scale)| Sum::from_parts(mantissa, scale).unwrap())
    }

    fn big(mantissa: i128, scale: u32) -> BigDecimal {
        BigDecimal::new(BigInt::from(mantissa), scale.into())
    }

    /// `a` / `b` at 18 decimals, half to even, as a whole number of units: on integers, after the definition.
    fn rounded(a: Sum, b: Sum) -> BigInt {
        let ten = |exponent: u32| BigInt::from(10).pow(exponent);
        let doubled: BigInt = BigInt::from(a.mantissa()) * ten(b.scale() + 18) * 2;
        let twice: BigInt = BigInt::from(b.mantissa()) * ten(a.scale()) * 2;
        let (doubled, twice) = if b.mantissa() < 0 { (-doubled, -twice) } else { (doubled, twice) };
        // Floor of the value plus one half, less one where that was a tie and the result is odd.
        let top = &doubled + &twice / 2;
        let mut floor = &top / &twice;
        let mut rest = &top % &twice;
        if rest < BigInt::from(0) {
            (floor, rest) = (floor - 1, rest + &twice);
        }
        if rest == BigInt::from(0) && &floor % 2 != BigInt::from(0) { floor - 1 } else { floor }
    }

    #[test]
    fn quotients_are_rounded_half_to_even() {
        let sum = |mantissa, scale| Sum::from_parts(mantissa, scale).unwrap();
        let cases = [
            ("a third", sum(1, 0), sum(3, 0), Some("0.333333333333333333")),
            ("two thirds", sum(2, 0), sum(-3, 0), Some("-0.666666666666666667")),
            ("a tie stays even", sum(5, 19), sum(1, 0), Some("0")),
            ("a tie becomes even", sum(15, 19), sum(1, 0), Some("0.000000000000000002")),
            ("more than a tie", sum(51, 20), sum(1, 0), Some("0.000000000000000001")),
            ("a tie with a rest", sum(151, 19), sum(10, 0), Some("0.000000000000000002")),
            ("nothing is left", sum(i128::MAX, 60), sum(i128::MAX, 0), Some("0")),
            ("divided by nothing", sum(1, 0), sum(0, 0), None),
            ("out of range", sum(i128::MAX, 0), sum(1, 0), None),
        ];
        for (name, a, b, expected) in cases {
            assert_eq!(a.quotient(b).map(|q| q.to_string()), expected.map(str::to_owned), "{name}");
        }
    }

    proptest! {
        #[test]
        fn quotients_agree_with_whole_numbers_of_any_size(a in any_sum(), b in any_sum()) {
            let quotient = a.quotient(b);
            if b.mantissa() == 0 {
                prop_assert_eq!(quotient, None);
            } else {
                let expected = rounded(a, b);
                match quotient {
                    Some(money) => prop_assert_eq!(BigInt::from(money.mantissa()), expected),
                    None => prop_assert!(expected > BigInt::from(i128::MAX) || expected < -BigInt::from(i128::MAX)),
                }
            }
        }

        #[test]
        fn another_scale_is_exact_or_none(sum in any_sum(), zeros in 0u32..20, scale in 0u32..=60) {
            let zeros = 10i128.pow(zeros);
            let sum = Sum::from_parts(sum.mantissa() / zeros * zeros, sum.scale()).unwrap();
            let exact = big(sum.mantissa(), sum.scale());
            prop_assert_eq!(big(sum.canonical().mantissa(), sum.canonical().scale()), exact.clone());
            match sum.mantissa_at(scale) {
                Some(mantissa) => prop_assert_eq!(big(mantissa, scale), exact),
                None => {
                    let there = exact.with_scale_round(scale.into(), RoundingMode::Down);
                    prop_assert!(there != exact || there.into_bigint_and_scale().0.bits() >= 127);
                }
            }
        }

        /// Equal to an independent library, term by term.
        #[test]
        fn agrees_with_an_independent_library(
            terms in prop::collection::vec((1i64..10_000_000_000, 0u8..9, 1i64..10_000_000_000, 0u8..9), 1..50)
        ) {
            let (mut sum, mut reference) = (Sum::default(), BigDecimal::from(0));
            for (a, sa, b, sb) in terms {
                sum.add_product(Decimal::new(a, sa).unwrap(), Decimal::new(b, sb).unwrap()).unwrap();
                reference += BigDecimal::new(a.into(), sa.into()) * BigDecimal::new(b.into(), sb.into());
            }
            prop_assert_eq!(sum.to_string().parse::<BigDecimal>().unwrap(), reference);
        }
    }
}
