//! Exact sums of decimals and of products of decimals.

use crate::decimal::{Decimal, pow10};
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

impl Sum {
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
        let (mut mantissa, mut scale) = (self.mantissa, self.scale as usize);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale + 1);
        let (int, frac) = digits.split_at(digits.len() - scale);
        let sign = if mantissa < 0 { "-" } else { "" };
        if frac.is_empty() { write!(f, "{sign}{int}") } else { write!(f, "{sign}{int}.{frac}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
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

    proptest! {
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
