//! Indicators: floats, O(1) work for each value however long their window, no drift however long the run.

mod deviation;
mod mean;
mod rsi;

pub use deviation::Deviation;
pub use mean::Mean;
pub use rsi::Rsi;

use feedd_model::Decimal;

/// The nearest float to an exact decimal of up to 15 digits; of longer ones it is off by at most one in 10^15.
#[must_use]
pub fn float(value: Decimal) -> f64 {
    value.mantissa() as f64 / 10f64.powi(i32::from(value.scale()))
}

/// Which side of a line a value is on. What is nearer to it than rounding can tell is on neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Above.
    Above,
    /// Below.
    Below,
}

impl Side {
    /// The side of `value` seen from `line`; `None` when they differ by less than one part in 10^9 of `scale`.
    #[must_use]
    pub fn of(value: f64, line: f64, scale: f64) -> Option<Self> {
        let apart = value - line;
        if apart.abs() <= scale.abs() * TIE_PART {
            return None;
        }
        Some(if apart > 0.0 { Self::Above } else { Self::Below })
    }
}

/// Well above what the rounding of a window's sum can be, well below what a price step is.
const TIE_PART: f64 = 1e-9;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Closes of a made-up market, for the tables of the indicators. The expected values were computed by Python 3.11 with
    /// `fractions.Fraction` (exact; square roots by `decimal` at 50 digits) and rounded once, at the end.
    pub(crate) const CLOSES: [f64; 20] = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00,
        46.03, 46.41, 46.22, 45.64,
    ];

    /// Equal but for rounding.
    pub(crate) fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
    }

    #[test]
    fn decimals_become_the_nearest_float() {
        for text in ["58942.01000000", "0.1", "0.00000006", "-1.5", "0", "123456789012345"] {
            assert_eq!(float(Decimal::parse(text.as_bytes()).unwrap()), text.parse::<f64>().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_rounding_cannot_tell_apart_is_on_no_side() {
        assert_eq!(Side::of(0.1 + 0.2, 0.3, 0.3), None);
        assert_eq!(Side::of(0.300001, 0.3, 0.3), Some(Side::Above));
        assert_eq!(Side::of(0.299999, 0.3, 0.3), Some(Side::Below));
    }
}
