//! Exact sums at the scale that venues print. Hot path: two trades of one scale cost one addition.

use feedd_model::Sum;

/// A sum of mantissas at a common scale; what does not fit is refused, never rounded.
///
/// [`Sum`] drops trailing zeros of every value that it takes; here that is done once, when a bar comes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    mantissa: i128,
    scale: u8,
}

impl Total {
    /// With `mantissa` x 10^-`scale` added; `None` when 128 bits do not hold it.
    #[inline]
    pub(super) fn plus(self, mantissa: i128, scale: u8) -> Option<Self> {
        if self.scale == scale
            && let Some(mantissa) = self.mantissa.checked_add(mantissa)
        {
            return Some(Self { mantissa, scale });
        }
        self.plus_any(mantissa, scale)
    }

    /// With another total added; `None` when 128 bits do not hold it.
    pub(super) fn plus_total(self, other: Self) -> Option<Self> {
        self.plus(other.mantissa, other.scale)
    }

    /// Of different scales: as it is, and failing this without the zeros that 128 bits have no room for.
    #[cold]
    fn plus_any(self, mantissa: i128, scale: u8) -> Option<Self> {
        let other = Self { mantissa, scale };
        self.aligned(other).or_else(|| self.canonical().aligned(other.canonical()))
    }

    fn aligned(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let mantissa = self.mantissa_at(scale)?.checked_add(other.mantissa_at(scale)?)?;
        Some(Self { mantissa, scale })
    }

    fn mantissa_at(self, scale: u8) -> Option<i128> {
        if self.mantissa == 0 || self.scale == scale {
            return Some(self.mantissa);
        }
        self.mantissa.checked_mul(10i128.checked_pow(u32::from(scale - self.scale))?)
    }

    /// Without trailing zeros, so that equal totals are the same however they came about.
    fn canonical(self) -> Self {
        let mut total = self;
        while total.scale > 0 && total.mantissa % 10 == 0 {
            total.mantissa /= 10;
            total.scale -= 1;
        }
        total
    }

    /// Whether it is at least `units` x 1e-8.
    pub(super) fn reaches(self, units: u64) -> bool {
        let wanted = Self { mantissa: i128::from(units), scale: 8 };
        let compared = |mine: Self, wanted: Self| {
            let scale = mine.scale.max(wanted.scale);
            Some(mine.mantissa_at(scale)? >= wanted.mantissa_at(scale)?)
        };
        // What 128 bits do not hold even without zeros: the one with fewer decimals is by far the larger.
        let by_scale = || self.mantissa > 0 && self.canonical().scale < wanted.canonical().scale;
        compared(self, wanted).or_else(|| compared(self.canonical(), wanted.canonical())).unwrap_or_else(by_scale)
    }

    /// As bars carry it.
    pub(super) fn sum(self) -> Sum {
        let Self { mantissa, scale } = self.canonical();
        Sum::from_parts(mantissa, u32::from(scale)).expect("products of two decimals have at most 60 decimals")
    }

    pub(super) const fn parts(self) -> (i128, u8) {
        (self.mantissa, self.scale)
    }

    pub(super) const fn from_parts(mantissa: i128, scale: u8) -> Option<Self> {
        if scale > 60 { None } else { Some(Self { mantissa, scale }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    fn big(mantissa: i128, scale: u8) -> BigDecimal {
        BigDecimal::new(mantissa.into(), scale.into())
    }

    #[test]
    fn zeros_give_way_before_a_sum_is_refused() {
        let fine = Total::default().plus(1, 30).unwrap();
        assert_eq!(fine.plus(10i128.pow(10), 0), None, "1e10 with 30 decimals needs more than 128 bits");
        let round = Total::default().plus(i128::MAX / 10 * 10, 1).unwrap();
        assert_eq!(round.plus(10, 1).unwrap().sum().to_string(), (i128::MAX / 10 + 1).to_string());
        assert_eq!(Total::default().plus(i128::MAX, 0).unwrap().plus(1, 0), None);
    }

    proptest! {
        /// Equal to an independent library; and the same value in whatever order it was added.
        #[test]
        fn agrees_with_an_independent_library(
            terms in prop::collection::vec((-10i128.pow(20)..10i128.pow(20), 0u8..9), 0..40), units in 1u64..10u64.pow(12),
        ) {
            let fold = |terms: &[(i128, u8)]| {
                terms.iter().fold(Total::default(), |total, &(mantissa, scale)| total.plus(mantissa, scale).unwrap())
            };
            let expected = terms.iter().fold(BigDecimal::from(0), |sum, &(mantissa, scale)| sum + big(mantissa, scale));
            let total = fold(&terms);
            prop_assert_eq!(total.sum().to_string().parse::<BigDecimal>().unwrap(), expected.clone());
            prop_assert_eq!(total.reaches(units), expected >= big(units.into(), 8));
            let (front, back) = terms.split_at(terms.len() / 2);
            prop_assert_eq!(fold(back).plus_total(fold(front)).unwrap().sum(), total.sum());
        }
    }
}
