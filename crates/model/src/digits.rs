//! The value of ASCII digits, eight at a time: the one place that turns digits into a number.
//!
//! Hot path: no allocation, no float.

/// The value of `text`, which is digits only, at most 18 of them; `None` when another byte is among them. An empty text
/// has the value 0.
#[inline]
#[must_use]
pub fn digits_value(mut text: &[u8]) -> Option<i64> {
    debug_assert!(text.len() <= 18, "18 digits fit 63 bits");
    let mut value = 0;
    while let Some((eight, rest)) = text.split_first_chunk() {
        value = value * 100_000_000 + eight_digits(u64::from_le_bytes(*eight))?;
        text = rest;
    }
    text.iter().try_fold(value, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
}

/// The value of eight ASCII digits at once, the first one lowest in `word`: neighbours are joined to pairs, pairs to
/// fours, fours to eight, because one by one each digit would wait for the product before it.
#[inline]
const fn eight_digits(word: u64) -> Option<i64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    if word & HIGH != ZEROS || word.wrapping_add(0x0606_0606_0606_0606) & HIGH != ZEROS {
        return None;
    }
    let digits = word - ZEROS;
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours * 10_000 + (fours >> 32)).cast_signed() & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn any_byte_that_is_no_digit_is_found() {
        for at in 0..16 {
            for byte in (0..=255u8).filter(|b| !b.is_ascii_digit()) {
                let mut text = *b"1234567890123456";
                text[at] = byte;
                assert_eq!(digits_value(&text), None, "{byte:#x} at {at}");
            }
        }
        assert_eq!(digits_value(b""), Some(0));
    }

    proptest! {
        #[test]
        fn equals_the_standard_library(text in "[0-9]{1,18}") {
            prop_assert_eq!(digits_value(text.as_bytes()), text.parse().ok());
        }
    }
}
