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

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The digits of `text` from `at` on, at most eight of them: their value, and how many they are; 0 and 0 when none stands
/// there. `None` when `text` has less than eight bytes, or ends before `at`.
#[inline(always)]
#[must_use]
pub fn front_digits(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let word = match text.get(at..)?.first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        // The last eight bytes, without those in front of `at`.
        None => u64::from_le_bytes(*text.last_chunk()?).unbounded_shr(8 * u32::try_from(at + 8 - text.len()).ok()?),
    };
    let digits = word ^ ZEROS;
    // The top bit of each byte that is no digit: of what is above 9, and nothing runs over into the next byte.
    let above_nine = (digits & 0x7f7f_7f7f_7f7f_7f7f) + 0x7676_7676_7676_7676;
    let others = (above_nine | digits) & 0x8080_8080_8080_8080;
    let bits = others.trailing_zeros() & !7; // 64 when all eight are digits.
    // Zeros come in front, and what stands behind the digits falls off.
    Some((joined(digits.unbounded_shl(64 - bits)), bits as usize / 8))
}

/// The value of eight ASCII digits at once, the first one lowest in `word`.
#[inline]
const fn eight_digits(word: u64) -> Option<i64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    if word & HIGH != ZEROS || word.wrapping_add(0x0606_0606_0606_0606) & HIGH != ZEROS {
        return None;
    }
    Some(joined(word - ZEROS))
}

/// The value of eight digits, each a byte from 0 to 9, the first one lowest: neighbours are joined to pairs, pairs to
/// fours, fours to eight, because one by one each digit would wait for the product before it.
#[inline(always)]
const fn joined(digits: u64) -> i64 {
    let pairs = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)).cast_signed() & 0xffff_ffff
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
        /// Whatever stands behind them, the digits in front are counted and have their value.
        #[test]
        fn digits_in_front_equal_the_standard_library(
            before in prop::collection::vec(any::<u8>(), 0..10),
            front in "[0-9]{0,8}",
            behind in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let text = [&before, front.as_bytes(), &behind].concat();
            let here = &text[before.len()..];
            let count = here.iter().take(8).take_while(|byte| byte.is_ascii_digit()).count();
            let value = std::str::from_utf8(&here[..count]).unwrap().parse().unwrap_or(0);
            prop_assert_eq!(front_digits(&text, before.len()), (text.len() >= 8).then_some((value, count)));
            prop_assert_eq!(front_digits(&text, text.len() + 1), None);
        }

        #[test]
        fn equals_the_standard_library(text in "[0-9]{1,18}") {
            prop_assert_eq!(digits_value(text.as_bytes()), text.parse().ok());
        }
    }
}
