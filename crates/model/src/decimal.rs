//! Exact decimals: the one parser of digits in feedd.
//!
//! Hot path: [`Decimal::parse`] neither allocates nor touches a float.

use crate::digits::{digits_value, front_digits};
use std::cmp::Ordering;
use std::fmt;

/// Most decimals a [`Decimal`] carries: five bits of an event's tag, less the value that means "absent".
pub const SCALE_MAX: u8 = 30;

/// Powers of ten that fit an `i128`.
const POW10: [i128; 39] = {
    let mut table = [1i128; 39];
    let mut i = 1;
    while i < 39 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Powers of ten that the decimals of 18 digits need.
const POW10_I64: [i64; 19] = {
    let mut table = [1i64; 19];
    let mut i = 1;
    while i < 19 {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// `10^exponent`, exact; `None` above 38.
pub(crate) const fn pow10(exponent: u32) -> Option<i128> {
    if exponent < 39 { Some(POW10[exponent as usize]) } else { None }
}

/// An exact decimal: `mantissa` x 10^-`scale`, as the venue printed it.
///
/// Built from venue text, never from `f64`: a book checksum is computed over the digits as sent, and 0.1 has no exact
/// binary form. The scale keeps the printed trailing zeros, so `1.50` and `1.5` render differently and compare equal
/// (see [`Decimal::cmp`]). `i64::MIN` is never a mantissa: events use it for "absent".
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i64,
    scale: u8,
}

/// Why a text is not an exact decimal of ours. The message that carried it is rejected, never rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// The text has no character at all.
    #[error("empty number")]
    Empty,
    /// The text is not a decimal number.
    #[error("not a decimal number")]
    NotANumber,
    /// More digits than 64 bits hold, also after dropping trailing zeros.
    #[error("number has more digits than 64 bits hold")]
    TooManyDigits,
    /// More decimals than [`SCALE_MAX`], also after dropping trailing zeros.
    #[error("number has more than 30 decimals")]
    TooManyDecimals,
}

impl Decimal {
    /// Zero, without decimals.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One, without decimals.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// `mantissa` x 10^-`scale`; `None` when `scale` exceeds [`SCALE_MAX`] or the mantissa is `i64::MIN`.
    #[must_use]
    pub const fn new(mantissa: i64, scale: u8) -> Option<Self> {
        if scale > SCALE_MAX || mantissa == i64::MIN { None } else { Some(Self { mantissa, scale }) }
    }

    /// The digits without the point, signed.
    #[must_use]
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// Number of decimals.
    #[must_use]
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Whether the value is 0.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether the value is above 0.
    #[must_use]
    pub const fn is_positive(self) -> bool {
        self.mantissa > 0
    }

    /// Reads plain or exponent notation, with an optional sign: `58942.01000000`, `6e-8`, `1.44E-05`, `-0.5`, `.5`.
    ///
    /// Printed decimals are kept. When the digits exceed 64 bits, trailing zeros are dropped until they fit
    /// (`123456789012.00000000` is read as `123456789012.0000000`).
    ///
    /// # Errors
    /// [`DecimalError`] when the text is empty, is no number, or does not fit exactly.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        match Self::parse_front(text) {
            Some((value, len)) if len == text.len() => Ok(value),
            _ => Self::parse_plain(text).map_or_else(|| Self::parse_any(text), Ok),
        }
    }

    /// Up to 18 digits with at most one point: nearly all that venues send. 18 digits cannot overflow.
    #[inline]
    fn parse_plain(text: &[u8]) -> Option<Self> {
        let Some(point) = text.iter().position(|&byte| byte == b'.') else {
            let mantissa = if (1..=18).contains(&text.len()) { digits_value(text)? } else { return None };
            return Some(Self { mantissa, scale: 0 });
        };
        if !(2..=19).contains(&text.len()) {
            return None;
        }
        let (int, frac) = (&text[..point], &text[point + 1..]);
        let scale = u8::try_from(frac.len()).ok()?;
        let mantissa = digits_value(int)? * POW10_I64[usize::from(scale)] + digits_value(frac)?;
        Some(Self { mantissa, scale })
    }

    /// Reads the decimal at the front of `text`, and tells how many bytes it has: up to the first byte that is neither a
    /// digit nor the point, so that nobody has to look for its end first. `None` when it is not of the usual kind (1 to 7
    /// digits, and a point with 1 to 8 more or none), or `text` has less than eight bytes: then [`Decimal::parse`] tells what
    /// it is.
    #[inline]
    #[must_use]
    pub fn parse_front(text: &[u8]) -> Option<(Self, usize)> {
        let (int, int_len) = front_digits(text, 0)?;
        if !(1..=7).contains(&int_len) {
            return None;
        }
        if text[int_len] != b'.' {
            return Some((Self { mantissa: int, scale: 0 }, int_len));
        }
        let (frac, frac_len) = front_digits(text, int_len + 1)?;
        let end = int_len + 1 + frac_len;
        let goes_on = text.get(end).is_some_and(|&byte| byte.is_ascii_digit() || byte == b'.');
        if frac_len == 0 || goes_on {
            return None;
        }
        let scale = u8::try_from(frac_len).ok()?;
        Some((Self { mantissa: int * POW10_I64[frac_len] + frac, scale }, end))
    }

    /// The general form of [`Decimal::parse`]: signs, exponents, any length.
    #[cold]
    fn parse_any(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, rest) = match text.split_first() {
            None => return Err(DecimalError::Empty),
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            Some(_) => (false, text),
        };
        let (digits, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
            None => (rest, 0),
            Some(at) => (&rest[..at], parse_exponent(&rest[at + 1..])?),
        };
        let (int, frac) = match digits.iter().position(|&b| b == b'.') {
            None => (digits, &digits[digits.len()..]),
            Some(at) => (&digits[..at], &digits[at + 1..]),
        };
        if int.is_empty() && frac.is_empty() || !int.iter().chain(frac).all(u8::is_ascii_digit) {
            return Err(DecimalError::NotANumber);
        }
        let frac_len = i64::try_from(frac.len()).map_err(|_| DecimalError::TooManyDecimals)?;
        let magnitude = Magnitude::fit(int, frac, frac_len - exponent)?;
        let mantissa = if negative { -magnitude.mantissa } else { magnitude.mantissa };
        Ok(Self { mantissa, scale: magnitude.scale })
    }

    /// The same value without trailing zeros after the point; zero has scale 0.
    #[must_use]
    pub const fn canonical(self) -> Self {
        let mut out = self;
        while out.scale > 0 && out.mantissa % 10 == 0 {
            out.mantissa /= 10;
            out.scale -= 1;
        }
        out
    }

    /// The mantissa at `scale` decimals, exact: `None` when digits would be lost or 128 bits do not hold it.
    #[must_use]
    pub const fn mantissa_at(self, scale: u8) -> Option<i128> {
        let mantissa = self.mantissa as i128;
        if scale >= self.scale {
            return match pow10((scale - self.scale) as u32) {
                Some(factor) => mantissa.checked_mul(factor),
                None => None,
            };
        }
        match pow10((self.scale - scale) as u32) {
            Some(factor) if mantissa % factor == 0 => Some(mantissa / factor),
            _ => None,
        }
    }

    /// Appends the plain text (`-0.00000006`), with the printed decimals.
    pub fn write_plain(self, out: &mut Vec<u8>) {
        let mut buffer = [0u8; 64];
        let start = self.render(&mut buffer);
        out.extend_from_slice(&buffer[start..]);
    }

    /// Renders at the end of `buffer` and returns where the text starts.
    fn render(self, buffer: &mut [u8; 64]) -> usize {
        let mut at = buffer.len();
        let mut rest = self.mantissa.unsigned_abs();
        let mut written = 0;
        loop {
            at -= 1;
            #[allow(clippy::cast_possible_truncation, reason = "a remainder of ten fits a byte")]
            let digit = (rest % 10) as u8;
            buffer[at] = b'0' + digit;
            rest /= 10;
            written += 1;
            if written == self.scale {
                at -= 1;
                buffer[at] = b'.';
            }
            if rest == 0 && written > self.scale {
                break;
            }
        }
        if self.mantissa < 0 {
            at -= 1;
            buffer[at] = b'-';
        }
        at
    }
}

/// Digits that have been fitted into 63 bits.
struct Magnitude {
    mantissa: i64,
    scale: u8,
}

impl Magnitude {
    /// Fits `int` and `frac` (ASCII digits) with `scale` decimals, dropping trailing zeros only where it must.
    fn fit(int: &[u8], frac: &[u8], scale: i64) -> Result<Self, DecimalError> {
        let digits = || int.iter().chain(frac).map(|b| b - b'0').skip_while(|&d| d == 0);
        let count = digits().count();
        if count == 0 {
            let scale = u8::try_from(scale.clamp(0, i64::from(SCALE_MAX))).unwrap_or(0);
            return Ok(Self { mantissa: 0, scale });
        }
        let zeros = int.iter().chain(frac).rev().take_while(|&&b| b == b'0').count();
        let mut scale = scale;
        let mut dropped = 0;
        while (count - dropped > 19 || scale > i64::from(SCALE_MAX)) && dropped < zeros && scale > 0 {
            dropped += 1;
            scale -= 1;
        }
        if count - dropped > 19 {
            return Err(DecimalError::TooManyDigits);
        }
        let mut value = digits().take(count - dropped).fold(0i128, |value, d| value * 10 + i128::from(d));
        while value > i128::from(i64::MAX) && dropped < zeros && scale > 0 {
            value /= 10;
            dropped += 1;
            scale -= 1;
        }
        if scale < 0 {
            // A positive exponent: the zeros it stands for are written out.
            let factor = u32::try_from(-scale).ok().and_then(pow10).ok_or(DecimalError::TooManyDigits)?;
            value = value.checked_mul(factor).ok_or(DecimalError::TooManyDigits)?;
            scale = 0;
        }
        let scale = u8::try_from(scale).ok().filter(|&s| s <= SCALE_MAX).ok_or(DecimalError::TooManyDecimals)?;
        let mantissa = i64::try_from(value).map_err(|_| DecimalError::TooManyDigits)?;
        Ok(Self { mantissa, scale })
    }
}

/// The exponent after `e`, bounded so that later arithmetic cannot overflow.
fn parse_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotANumber);
    }
    let value = digits.iter().fold(0i64, |value, b| (value * 10 + i64::from(b - b'0')).min(1_000_000_000));
    Ok(if negative { -value } else { value })
}

impl PartialEq for Decimal {
    /// By value: `1.50` equals `1.5`.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    /// By value, exact.
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        // The larger scale is at most 30 above the other: 2^63 x 10^30 leaves i128, so a mantissa that cannot be
        // widened decides by its sign and size alone.
        let scale = self.scale.max(other.scale);
        match (self.mantissa_at(scale), other.mantissa_at(scale)) {
            (Some(a), Some(b)) => a.cmp(&b),
            (None, _) => self.mantissa.cmp(&0),
            (_, None) => 0.cmp(&other.mantissa),
        }
    }
}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let canonical = self.canonical();
        canonical.mantissa.hash(state);
        canonical.scale.hash(state);
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0u8; 64];
        let start = self.render(&mut buffer);
        f.write_str(std::str::from_utf8(&buffer[start..]).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    #[test]
    fn reads_what_venues_print() {
        let cases = [
            // name, text, as printed
            ("Binance, eight decimals", "58942.01000000", Ok("58942.01000000")),
            ("one digit", "7", Ok("7")),
            ("exponent, BitMEX", "6e-8", Ok("0.00000006")),
            ("exponent, Bitstamp text", "1E-8", Ok("0.00000001")),
            ("positive exponent", "1.5e3", Ok("1500")),
            ("positive exponent within the decimals", "1.5000e3", Ok("1500.0")),
            ("20 digits, zeros dropped until they fit", "123456789012.00000000", Ok("123456789012.0000000")),
            ("float artefact, Bitfinex", "47.914412330000005", Ok("47.914412330000005")),
            ("18 decimals", "0.000000000000000001", Ok("0.000000000000000001")),
            ("largest", "9223372036854775807", Ok("9223372036854775807")),
            ("largest plus one", "9223372036854775808", Err(DecimalError::TooManyDigits)),
            ("largest plus one, zero after the point", "922337203685477580.70", Ok("922337203685477580.7")),
            ("40 digits", "1234567890123456789012345678901234567890", Err(DecimalError::TooManyDigits)),
            (
                "40 decimals of zero",
                "0.0000000000000000000000000000000000000000",
                Ok("0.000000000000000000000000000000"),
            ),
            ("31 decimals", "0.0000000000000000000000000000001", Err(DecimalError::TooManyDecimals)),
            (
                "31 decimals, the last is zero",
                "0.0000000000000000000000000000010",
                Ok("0.000000000000000000000000000001"),
            ),
            ("huge exponent", "1e999999999999", Err(DecimalError::TooManyDigits)),
            ("tiny exponent", "1e-999999999999", Err(DecimalError::TooManyDecimals)),
            ("zero with an exponent", "0e5", Ok("0")),
            ("negative", "-0.50", Ok("-0.50")),
            ("no integer part", ".5", Ok("0.5")),
            ("empty", "", Err(DecimalError::Empty)),
            ("point alone", ".", Err(DecimalError::NotANumber)),
            ("minus alone", "-", Err(DecimalError::NotANumber)),
            ("two points", "1.2.3", Err(DecimalError::NotANumber)),
            ("space", " 1", Err(DecimalError::NotANumber)),
            ("not a number", "NaN", Err(DecimalError::NotANumber)),
            ("exponent without digits", "1e", Err(DecimalError::NotANumber)),
            ("hexadecimal", "0x10", Err(DecimalError::NotANumber)),
        ];
        for (name, text, expected) in cases {
            let got = Decimal::parse(text.as_bytes()).map(|d| d.to_string());
            assert_eq!(got.as_deref(), expected.as_ref().map(|s| *s), "{name}: {text}");
        }
    }

    #[test]
    fn orders_across_scales_beyond_128_bits() {
        let large = Decimal::new(i64::MAX, 0).unwrap();
        let small = Decimal::new(i64::MAX, 30).unwrap();
        assert!(large > small && small > Decimal::ZERO && Decimal::new(-i64::MAX, 0).unwrap() < small);
        assert_eq!(Decimal::parse(b"1.50"), Decimal::parse(b"1.5"));
    }

    proptest! {
        /// An independent big-decimal library reads the same value and the text survives a round trip.
        #[test]
        fn agrees_with_an_independent_library(text in "[+-]?[0-9]{1,22}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?") {
            let reference: BigDecimal = text.parse().unwrap();
            match Decimal::parse(text.as_bytes()) {
                Ok(ours) => {
                    let back: BigDecimal = ours.to_string().parse().unwrap();
                    prop_assert_eq!(&back, &reference);
                    let canonical: BigDecimal = ours.canonical().to_string().parse().unwrap();
                    prop_assert_eq!(canonical, reference);
                }
                Err(DecimalError::TooManyDigits) => {
                    let (digits, exponent) = reference.normalized().into_bigint_and_exponent();
                    let widened = if exponent < 0 { digits * num_pow(-exponent) } else { digits };
                    prop_assert!(widened.magnitude() > &i64::MAX.unsigned_abs().into(), "{} fits", text);
                }
                Err(error) => {
                    prop_assert_eq!(error, DecimalError::TooManyDecimals);
                    prop_assert!(reference.normalized().into_bigint_and_exponent().1 > i64::from(SCALE_MAX));
                }
            }
        }

        /// What is read from the front is what the whole parser reads there; what is not read is never wrong.
        #[test]
        fn the_front_of_a_text_is_read_as_the_text_itself(text in "[0-9]{0,9}(\\.[0-9]{0,9})?", behind in "[\",}e.+0-9-][\",}e.+0-9-]{0,12}") {
            let whole = format!("{text}{behind}");
            let Some((value, len)) = Decimal::parse_front(whole.as_bytes()) else { return Ok(()) };
            // Not by `parse`, which asks the front first.
            let read = &whole.as_bytes()[..len];
            let expected = Decimal::parse_plain(read).map_or_else(|| Decimal::parse_any(read), Ok).unwrap();
            prop_assert_eq!((value.mantissa(), value.scale()), (expected.mantissa(), expected.scale()));
            let next = whole.as_bytes().get(len);
            prop_assert!(!next.is_some_and(|byte| byte.is_ascii_digit()), "{} cut at {}", whole, len);
        }

        /// Text that is printed back equals what was read, digit for digit, when nothing had to be dropped.
        #[test]
        fn prints_what_it_read(int in "0|[1-9][0-9]{0,8}", frac in "[0-9]{1,9}") {
            let text = format!("{int}.{frac}");
            prop_assert_eq!(Decimal::parse(text.as_bytes()).unwrap().to_string(), text);
        }

        /// Order and equality are those of the values.
        #[test]
        fn orders_by_value(a in any::<i64>(), b in any::<i64>(), sa in 0u8..=30, sb in 0u8..=30) {
            prop_assume!(a != i64::MIN && b != i64::MIN);
            let (x, y) = (Decimal::new(a, sa).unwrap(), Decimal::new(b, sb).unwrap());
            let big = |m: i64, s: u8| BigDecimal::new(m.into(), i64::from(s));
            prop_assert_eq!(x.cmp(&y), big(a, sa).cmp(&big(b, sb)));
        }
    }

    fn num_pow(exponent: i64) -> bigdecimal::num_bigint::BigInt {
        bigdecimal::num_bigint::BigInt::from(10).pow(u32::try_from(exponent).unwrap())
    }
}
