//! NUMERIC in PostgreSQL's binary form: digits of base 10,000, exact for every decimal of an event.

use feedd_model::Decimal;

/// Digits of base 10,000 that 39 decimal digits and three zeros to fill up can need.
const DIGITS_MAX: usize = 11;

/// Most bytes of one value: length, head, digits.
pub(crate) const NUMERIC_BYTES_MAX: usize = 4 + 8 + 2 * DIGITS_MAX;

/// One value with its length before it, ready to be appended to a row.
pub(crate) struct Numeric {
    bytes: [u8; NUMERIC_BYTES_MAX],
    len: usize,
}

impl Numeric {
    /// A decimal in its shortest form, as `trim_scale` gives it.
    pub(crate) fn of_decimal(value: Decimal) -> Self {
        let value = value.canonical();
        Self::of_mantissa(value.mantissa().into(), value.scale())
    }

    /// A whole number.
    pub(crate) fn of_u64(value: u64) -> Self {
        Self::new(value.into(), false, 0)
    }

    /// `mantissa` x 10^-`scale`, with as many decimals as that.
    pub(crate) fn of_mantissa(mantissa: i128, scale: u8) -> Self {
        Self::new(mantissa.unsigned_abs(), mantissa < 0, scale)
    }

    fn new(magnitude: u128, is_negative: bool, scale: u8) -> Self {
        // Digits hold four decimals each, counted from the point: the last one is filled up with zeros.
        let filled = scale.div_ceil(4) * 4;
        let zeros = POW10[usize::from(filled - scale)];
        let mut digits = [0u16; DIGITS_MAX];
        let mut count = 0usize;
        let (mut rest, mut unit) = (magnitude, 10_000 / zeros);
        while rest > 0 {
            let digit = rest % unit * (10_000 / unit);
            digits[count] = u16::try_from(digit).unwrap_or(0);
            (rest, unit) = (rest / unit, 10_000);
            count += 1;
        }
        // The weight of the first digit, in powers of 10,000.
        let weight = if count == 0 { 0 } else { count as i64 - 1 - i64::from(filled / 4) };
        let zeros = digits[..count].iter().take_while(|&&digit| digit == 0).count();
        let mut numeric = Self { bytes: [0; NUMERIC_BYTES_MAX], len: 0 };
        let payload = 8 + 2 * (count - zeros);
        numeric.put(&u32::try_from(payload).unwrap_or(0).to_be_bytes());
        numeric.put(&u16::try_from(count - zeros).unwrap_or(0).to_be_bytes());
        numeric.put(&i16::try_from(weight).unwrap_or(0).to_be_bytes());
        numeric.put(&(if is_negative { 0x4000u16 } else { 0 }).to_be_bytes());
        numeric.put(&u16::from(scale).to_be_bytes());
        for digit in digits[zeros..count].iter().rev() {
            numeric.put(&digit.to_be_bytes());
        }
        numeric
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What fills a digit of base 10,000 up.
const POW10: [u128; 4] = [1, 10, 100, 1000];

#[cfg(test)]
mod tests {
    use super::*;
    use bigdecimal::BigDecimal;
    use proptest::prelude::*;

    /// Reads the binary form by its definition.
    fn read(bytes: &[u8]) -> (BigDecimal, u16) {
        let word = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len() - 4);
        let digits = usize::try_from(word(4)).unwrap();
        assert_eq!(bytes.len(), 12 + 2 * digits);
        let mut value = BigDecimal::from(0);
        for i in 0..digits {
            let exponent = (i64::from(word(6)) - i as i64) * 4;
            value += BigDecimal::new(word(12 + 2 * i).into(), -exponent);
        }
        (if word(8) == 0x4000 { -value } else { value }, u16::try_from(word(10)).unwrap())
    }

    #[test]
    fn known_values_have_the_bytes_that_the_server_sends() {
        let cases: [(&str, &[u8]); 5] = [
            ("0", &[0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("1", &[0, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("-1.5", &[0, 0, 0, 12, 0, 2, 0, 0, 0x40, 0, 0, 1, 0, 1, 0x13, 0x88]),
            ("10000", &[0, 0, 0, 10, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1]),
            ("0.00000006", &[0, 0, 0, 10, 0, 1, 0xff, 0xfe, 0, 0, 0, 8, 0, 6]),
        ];
        for (text, bytes) in cases {
            assert_eq!(Numeric::of_decimal(text.parse().unwrap()).as_bytes(), bytes, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_is_exact(mantissa in -i64::MAX..=i64::MAX, digits in 0u32..19, scale in 0u8..=30) {
            let value = Decimal::new(mantissa / 10i64.pow(digits), scale).unwrap();
            let (read, decimals) = read(Numeric::of_decimal(value).as_bytes());
            prop_assert_eq!(read, BigDecimal::new(value.mantissa().into(), scale.into()));
            prop_assert_eq!(decimals, u16::from(value.canonical().scale()));
        }

        #[test]
        fn every_sum_is_exact(mantissa in prop_oneof![any::<i128>(), Just(i128::MIN), Just(i128::MAX)], digits in 0u32..38, scale in 0u8..=60) {
            let mantissa = mantissa / 10i128.pow(digits);
            let (read, decimals) = read(Numeric::of_mantissa(mantissa, scale).as_bytes());
            prop_assert_eq!(read, BigDecimal::new(mantissa.into(), scale.into()));
            prop_assert_eq!(decimals, u16::from(scale));
        }

        #[test]
        fn every_count_is_exact(value: u64) {
            prop_assert_eq!(read(Numeric::of_u64(value).as_bytes()).0, BigDecimal::from(value));
        }
    }
}
