//! A cursor for text whose shape is known beforehand: it takes what is expected, or nothing.
//!
//! Hot path: nothing is copied or allocated. A venue prints its frames by one template each; reading along the template
//! costs half of a walk that expects any key. What deviates is never judged here: the caller starts again with
//! [`crate::scan::Scanner`], which takes all that JSON allows. So whatever is taken here must mean the same there.

use crate::message::Num;
use crate::scan::{Token, TokenKind, number_len, plain_len};
use feedd_model::{Decimal, front_digits};

/// Walks one text from front to back, as long as it is as expected.
#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At byte `at` of `text`; `None` when that lies outside, or when offsets do not fit 32 bits.
    #[must_use]
    pub fn new(text: &'a str, at: usize) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        Some(Self { text, rest: text.as_bytes().get(at..)? })
    }

    /// Where it stands.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    /// The next byte, without taking it.
    #[must_use]
    pub const fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes exactly `expected`; false, and nothing taken, when something else stands here.
    #[inline(always)]
    pub fn take<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        match self.rest.split_first_chunk::<N>() {
            Some((front, rest)) if front == expected => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// As [`Cursor::take`], for `?`.
    #[inline(always)]
    pub fn need<const N: usize>(&mut self, expected: &[u8; N]) -> Option<()> {
        self.take(expected).then_some(())
    }

    /// The text up to the closing quote, which is taken too; the opening one has been. `None` when an escape is in it.
    #[inline(always)]
    pub fn string(&mut self) -> Option<&'a str> {
        let start = self.at();
        let len = self.skip_string()?;
        self.text.get(start..start + len)
    }

    /// As [`Cursor::string`], when nobody needs the text; tells how many bytes it has.
    #[inline(always)]
    pub fn skip_string(&mut self) -> Option<usize> {
        let len = plain_len(self.rest);
        let (b'"', rest) = self.rest.get(len..)?.split_first()? else { return None };
        self.rest = rest;
        Some(len)
    }

    /// A whole number without sign, as JSON prints it: 1 to 16 digits, the first one 0 only when it is alone.
    #[inline(always)]
    pub fn integer(&mut self) -> Option<i64> {
        let (mut value, mut len) = front_digits(self.rest, 0)?;
        if len == 8 {
            let (low, low_len) = front_digits(self.rest, 8)?;
            if low_len == 8 && self.rest.get(16).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            value = value * POW10[low_len] + low;
            len += low_len;
        }
        if len == 0 || len > 1 && self.peek() == Some(b'0') {
            return None;
        }
        self.rest = &self.rest[len..];
        Some(value)
    }

    /// A key of one or two letters up to its colon, which is taken too; the opening quote has been.
    #[inline(always)]
    pub fn short_key(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest;
        let len = match rest {
            [_, b'"', b':', ..] => 1,
            [_, _, b'"', b':', ..] => 2,
            _ => return None,
        };
        let key = &rest[..len];
        self.rest = &rest[len + 2..];
        key.iter().all(u8::is_ascii_alphabetic).then_some(key)
    }

    /// A text without escapes, a number, `true`, `false` or `null`: as the scanner tells it.
    #[inline(always)]
    pub fn plain_value(&mut self) -> Option<Token> {
        let (kind, start, len) = match self.peek()? {
            b'"' => {
                self.rest = &self.rest[1..];
                let start = self.at();
                (TokenKind::String, start, self.skip_string()?)
            }
            b't' => (TokenKind::True, self.at(), self.need(b"true").map(|()| 4)?),
            b'f' => (TokenKind::False, self.at(), self.need(b"false").map(|()| 5)?),
            b'n' => (TokenKind::Null, self.at(), self.need(b"null").map(|()| 4)?),
            _ => {
                let (start, rest) = (self.at(), self.rest);
                // Ids and times are whole, and their digits are cheaper to take than any number's.
                let is_whole = self.integer().is_some() && !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
                if !is_whole {
                    self.rest = rest.get(number_len(rest)?..)?;
                }
                (TokenKind::Number, start, self.at() - start)
            }
        };
        Some(Token { kind, escaped: false, start: u32::try_from(start).ok()?, len: u32::try_from(len).ok()? })
    }

    /// A member that nobody needs, without a list or an object in it; the opening quote of its key has been taken.
    #[inline]
    pub fn skip_member(&mut self) -> Option<()> {
        self.skip_string()?;
        if self.take(br#":""#) {
            return self.skip_string().map(|_| ());
        }
        self.need(b":")?;
        self.plain_value().map(|_| ())
    }

    /// A decimal up to the closing quote, which is taken too; the opening one has been.
    #[inline(always)]
    pub fn decimal(&mut self) -> Option<Num> {
        if let Some((value, len)) = Decimal::parse_front(self.rest)
            && let Some((b'"', rest)) = self.rest[len..].split_first()
        {
            let num = self.num(value, len)?;
            self.rest = rest;
            return Some(num);
        }
        self.any_decimal()
    }

    /// The general form of [`Cursor::decimal`]: any length, signs, exponents, the end of the text.
    fn any_decimal(&mut self) -> Option<Num> {
        let len = plain_len(self.rest);
        let (text, rest) = self.rest.split_at_checked(len)?;
        let (b'"', rest) = rest.split_first()? else { return None };
        let num = self.num(Decimal::parse(text).ok()?, len)?;
        self.rest = rest;
        Some(num)
    }

    /// A decimal printed as a number of JSON: up to the comma, brace or bracket behind it, which is not taken.
    #[inline(always)]
    pub fn number(&mut self) -> Option<Num> {
        // A zero in front has to be followed by the point, and the front of a number ends with a digit.
        if let Some((value, len)) = Decimal::parse_front(self.rest)
            && matches!(self.rest.get(len), Some(b',' | b'}' | b']'))
            && !matches!(self.rest, [b'0', b'0'..=b'9', ..])
        {
            let num = self.num(value, len)?;
            self.rest = &self.rest[len..];
            return Some(num);
        }
        self.any_number()
    }

    /// The general form of [`Cursor::number`]: any length, signs, exponents.
    fn any_number(&mut self) -> Option<Num> {
        let len = number_len(self.rest)?;
        let (text, rest) = self.rest.split_at_checked(len)?;
        if !matches!(rest.first(), Some(b',' | b'}' | b']')) {
            return None;
        }
        let num = self.num(Decimal::parse(text).ok()?, len)?;
        self.rest = rest;
        Some(num)
    }

    #[inline(always)]
    fn num(&self, value: Decimal, len: usize) -> Option<Num> {
        Some(Num { value, start: u32::try_from(self.at()).ok()?, len: u32::try_from(len).ok()? })
    }
}

/// Powers of ten for the lower half of a number's digits.
const POW10: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cursor(text: &str) -> Cursor<'_> {
        Cursor::new(text, 0).unwrap()
    }

    #[test]
    fn what_is_not_expected_is_not_taken() {
        let mut cursor = cursor(r#"{"e":"#);
        assert!(!cursor.take(b"{\"E\""));
        assert_eq!(cursor.at(), 0);
        assert!(cursor.take(b"{\"e\""));
        assert_eq!((cursor.at(), cursor.peek()), (4, Some(b':')));
        assert_eq!(cursor.need(b":\""), None);
        assert!(cursor.take(b":") && cursor.is_at_end() && !cursor.take(b":"));
        assert!(Cursor::new("abc", 4).is_none());
    }

    #[test]
    fn integers_are_as_json_prints_them() {
        let cases = [
            // name, text, value and place after it
            ("one digit", "7,       ", Some((7, 1))),
            ("eight digits", "12345678,       ", Some((12_345_678, 8))),
            ("13 digits", "1723161255208,  ", Some((1_723_161_255_208, 13))),
            ("16 digits", "1234567890123456,", Some((1_234_567_890_123_456, 16))),
            ("17 digits", "12345678901234567,       ", None),
            ("a zero in front", "0123456789,", None),
            ("a zero", "0,       ", Some((0, 1))),
            ("minus", "-1234567", None),
            ("a letter", "x1234567", None),
            ("13 digits at the end", "1723161255208", Some((1_723_161_255_208, 13))),
            ("the text is shorter than a word", "7,", None),
        ];
        for (name, text, expected) in cases {
            let mut cursor = cursor(text);
            let got = cursor.integer().map(|value| (value, cursor.at()));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[test]
    fn keys_and_values_are_those_of_the_scanner_or_none() {
        for text in ["a\":1", "pu\":1", "abc\":1", "\":1", "a\" :1", "1\":1", "é\":1", "a"] {
            let expected = text.split_once("\":").map(|(key, _)| key);
            let expected =
                expected.filter(|key| matches!(key.len(), 1 | 2) && key.bytes().all(|b| b.is_ascii_alphabetic()));
            assert_eq!(cursor(text).short_key(), expected.map(str::as_bytes), "{text}");
        }
        let values = [
            r#""x""#,
            r#""""#,
            r#""a\"b""#,
            "true",
            "false",
            "null",
            "0",
            "-1",
            "12",
            "1.5",
            "1723161255208",
            "{}",
            "t",
        ];
        for value in values {
            let text = format!("{value},      ");
            let mut cursor = cursor(&text);
            let Some(token) = cursor.plain_value() else {
                assert!([r#""a\"b""#, "{}", "t"].contains(&value), "{value}");
                continue;
            };
            let mut scanner = crate::scan::Scanner::new(&text).unwrap();
            let expected = (scanner.value(), scanner.mark().0);
            assert_eq!((Ok(token), cursor.at()), expected, "{value}");
        }
    }

    proptest! {
        /// Wherever it ends, a string is cut at its quote and an escape is not taken.
        #[test]
        fn strings_end_at_their_quote(text in "[ -~é\u{1}-\u{20}]{0,20}", behind in "[ -~]{0,12}") {
            let source = format!("{text}\"{behind}");
            let mut cursor = cursor(&source);
            let plain = source.bytes().take_while(|byte| *byte >= 0x20 && !b"\"\\".contains(byte)).count();
            let expected = (source.as_bytes()[plain] == b'"').then(|| &source[..plain]);
            prop_assert_eq!(cursor.string(), expected);
        }

        /// A number is taken exactly when the scanner takes it as one, and means the same.
        #[test]
        fn numbers_are_those_of_the_scanner(text in "-?[0-9]{0,12}(\\.[0-9]{0,12})?([eE][+-]?[0-9])?", end in "[,}\\]]", behind in "[ -~]{0,12}") {
            let source = format!("{text}{end}{behind}");
            let mut scanner = crate::scan::Scanner::new(&source).unwrap();
            let token = scanner.value().ok().filter(|token| token.kind == TokenKind::Number && token.len as usize == text.len());
            let expected = token.and_then(|token| Some((Decimal::parse(token.bytes(&source)).ok()?, token.start, token.len)));
            let mut cursor = cursor(&source);
            let got = cursor.number();
            let printed = |value: Decimal| (value.mantissa(), value.scale());
            prop_assert_eq!(
                got.map(|num| (printed(num.value), num.start, num.len)),
                expected.map(|(value, start, len)| (printed(value), start, len))
            );
            prop_assert_eq!(cursor.at(), if got.is_some() { text.len() } else { 0 });
        }

        /// The value is that of the one parser of decimals, wherever the text ends.
        #[test]
        fn decimals_are_those_of_the_parser(text in "-?[0-9]{0,12}(\\.[0-9]{0,12})?(e-?[0-9])?", behind in "[ -~]{0,12}") {
            let source = format!("{text}\"{behind}");
            let mut cursor = cursor(&source);
            let got = cursor.decimal();
            let printed = |value: Decimal| (value.mantissa(), value.scale());
            prop_assert_eq!(got.map(|num| printed(num.value)), Decimal::parse(text.as_bytes()).ok().map(printed));
            if let Some(num) = got {
                prop_assert_eq!((num.text(&source), cursor.at()), (text.as_str(), text.len() + 1));
            }
        }
    }
}
