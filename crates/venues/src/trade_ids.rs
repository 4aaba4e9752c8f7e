//! Trade ids as text: whole numbers, or UUIDs.
//!
//! Hot path: nothing is allocated.

use crate::decoder::{Reject, RejectReason};
use crate::scan::{Token, TokenKind};
use feedd_model::{TradeId, digits_value};

/// The id in a token: a whole number or a UUID, as text or as a literal. Absent, `null` or an empty text: none.
pub(crate) fn trade_id(frame: &str, token: Token, field: &'static str) -> Result<TradeId, Reject> {
    match token.kind {
        TokenKind::Absent | TokenKind::Null => Ok(TradeId::None),
        TokenKind::String if token.len == 0 => Ok(TradeId::None),
        TokenKind::String | TokenKind::Number => {
            trade_id_of(token.bytes(frame)).ok_or(Reject::new(RejectReason::BadField, field))
        }
        _ => Err(Reject::new(RejectReason::BadField, field)),
    }
}

/// The id that a text spells; `None` when it would not be printed like that again, but for the case of letters.
#[inline]
pub(crate) fn trade_id_of(text: &[u8]) -> Option<TradeId> {
    if let Ok(text) = <&[u8; 36]>::try_from(text)
        && let Some(id) = uuid(text)
    {
        return Some(TradeId::Uuid(id));
    }
    number(text).map(TradeId::Number)
}

fn number(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > 1 && text[0] == b'0' {
        return None;
    }
    if text.len() <= 18 {
        return u128::try_from(digits_value(text)?).ok();
    }
    text.iter().try_fold(0_u128, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u128::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
fn uuid(text: &[u8; 36]) -> Option<u128> {
    if [8, 13, 18, 23].iter().any(|&at| text[at] != b'-') {
        return None;
    }
    let mut bits = 0_u128;
    for (from, to) in [(0, 8), (9, 13), (14, 18), (19, 23), (24, 36)] {
        // Digits of no value are collected and looked at once, at the end of a group.
        let mut bad = 0;
        let mut group = 0_u64;
        for &byte in &text[from..to] {
            let digit = HEX[usize::from(byte)];
            bad |= digit;
            group = group << 4 | u64::from(digit & 0xf);
        }
        if bad > 0xf {
            return None;
        }
        bits = bits << ((to - from) * 4) | u128::from(group);
    }
    Some(bits)
}

/// The value of a hexadecimal digit; 0xff for every other byte.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        table[b"0123456789ABCDEF"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scanner;
    use proptest::prelude::*;

    #[test]
    fn ids_are_numbers_uuids_or_refused() {
        let cases = [
            // name, text, printed
            ("a number as text", r#""2290000001189048101""#, Some("2290000001189048101")),
            ("a literal", "7", Some("7")),
            ("zero", r#""0""#, Some("0")),
            (
                "largest",
                r#""340282366920938463463374607431768211455""#,
                Some("340282366920938463463374607431768211455"),
            ),
            ("one more", r#""340282366920938463463374607431768211456""#, None),
            ("36 digits", r#""100000000000000000000000000000000007""#, Some("100000000000000000000000000000000007")),
            ("zeros in front", r#""007""#, None),
            ("minus", "-7", None),
            ("a fraction", "1.5", None),
            ("a UUID", r#""a9188a0a-82bc-50de-be60-03eedbe3cdd7""#, Some("a9188a0a-82bc-50de-be60-03eedbe3cdd7")),
            ("in capitals", r#""A9188A0A-82BC-50DE-BE60-03EEDBE3CDD7""#, Some("a9188a0a-82bc-50de-be60-03eedbe3cdd7")),
            ("no hexadecimal digit", r#""g9188a0a-82bc-50de-be60-03eedbe3cdd7""#, None),
            ("a dash elsewhere", r#""a9188a0a82-bc-50de-be60-03eedbe3cdd7""#, None),
            ("other text", r#""abc""#, None),
            ("empty", r#""""#, Some("")),
            ("null", "null", Some("")),
            ("a list", "[]", None),
        ];
        for (name, text, printed) in cases {
            let token = Scanner::new(text).unwrap().value().unwrap();
            let got = trade_id(text, token, "i");
            let expected = printed.map(str::to_owned).ok_or(Reject::new(RejectReason::BadField, "i"));
            assert_eq!(got.map(|id| id.to_string()), expected, "{name}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[0-9]{1,41}|[ -~]{0,5}") {
            let expected = text.parse::<u128>().ok().filter(|number| number.to_string() == text).map(TradeId::Number);
            prop_assert_eq!(trade_id_of(text.as_bytes()), expected);
        }

        #[test]
        fn uuids_are_read_back(bits: u128) {
            let id = TradeId::Uuid(bits);
            prop_assert_eq!(trade_id_of(id.to_string().as_bytes()), Some(id));
        }
    }
}
