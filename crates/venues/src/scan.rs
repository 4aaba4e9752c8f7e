//! A pull scanner over JSON text: any key order, any white space, numbers kept as text.
//!
//! Hot path: nothing is copied or allocated. The caller walks the text once and names what it wants; everything else is
//! skipped, but still checked to be JSON. Accepts what `serde_json` accepts, up to [`DEPTH_MAX`] levels of nesting.
//! A duplicate key is the caller's matter; the decoders here let the last one win.

use feedd_model::front_digits;

/// Deepest nesting that is read; market data needs five.
pub const DEPTH_MAX: u32 = 32;

/// Why a text is not read as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, or JSON of another shape than asked for.
    #[error("not JSON at byte {at}")]
    Syntax {
        /// Byte offset of the first surprise.
        at: u32,
    },
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("JSON nested deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// Offsets do not fit 32 bits.
    #[error("JSON text over 4 GiB")]
    TooLarge,
}

/// What a [`Token`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenKind {
    /// The key was not in the text.
    #[default]
    Absent,
    /// `null`.
    Null,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A number literal; the span is the literal.
    Number,
    /// A string; the span is what stands between the quotes.
    String,
    /// An object; the span includes the braces.
    Object,
    /// An array; the span includes the brackets.
    Array,
}

/// A value and where it stands: twelve bytes, so that a frame's fields fit few cache lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Whether a string contains an escape sequence.
    pub escaped: bool,
    /// First byte of the span.
    pub start: u32,
    /// Bytes of the span.
    pub len: u32,
}

impl Token {
    /// Whether the key was in the text.
    #[must_use]
    pub const fn is_present(self) -> bool {
        !matches!(self.kind, TokenKind::Absent)
    }

    /// Whether it is a string or a number.
    #[must_use]
    pub const fn is_scalar_text(self) -> bool {
        matches!(self.kind, TokenKind::String | TokenKind::Number)
    }

    /// The span in the text it was read from; escapes as they stand there.
    #[must_use]
    pub fn text(self, source: &str) -> &str {
        let start = self.start as usize;
        source.get(start..start + self.len as usize).unwrap_or("")
    }

    /// The span's bytes in the text it was read from: as [`Token::text`], without the look for character boundaries.
    #[must_use]
    pub fn bytes(self, source: &str) -> &[u8] {
        let start = self.start as usize;
        source.as_bytes().get(start..start + self.len as usize).unwrap_or(b"")
    }
}

/// Walks one JSON text from front to back.
#[derive(Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    /// At the start of `text`.
    ///
    /// # Errors
    /// [`JsonError::TooLarge`] above 4 GiB.
    pub const fn new(text: &'a str) -> Result<Self, JsonError> {
        if text.len() > u32::MAX as usize {
            return Err(JsonError::TooLarge);
        }
        Ok(Self { bytes: text.as_bytes(), at: 0, depth: 0 })
    }

    /// The first byte of the next value, without taking it; `None` at the end of the text.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Where the scanner stands, to come back by [`Scanner::rewind`].
    #[must_use]
    pub const fn mark(&self) -> (usize, u32) {
        (self.at, self.depth)
    }

    /// Goes back to a [`Scanner::mark`].
    pub const fn rewind(&mut self, mark: (usize, u32)) {
        (self.at, self.depth) = mark;
    }

    /// Enters an object; false when it is empty (and left again).
    ///
    /// # Errors
    /// [`JsonError`] when no object stands here.
    #[inline]
    pub fn open_object(&mut self) -> Result<bool, JsonError> {
        self.open(b'{', b'}')
    }

    /// Enters an array; false when it is empty (and left again).
    ///
    /// # Errors
    /// [`JsonError`] when no array stands here.
    #[inline]
    pub fn open_array(&mut self) -> Result<bool, JsonError> {
        self.open(b'[', b']')
    }

    #[inline]
    fn open(&mut self, opening: u8, closing: u8) -> Result<bool, JsonError> {
        self.take(opening)?;
        if self.peek() == Some(closing) {
            self.at += 1;
            return Ok(false);
        }
        if self.depth == DEPTH_MAX {
            return Err(JsonError::TooDeep);
        }
        self.depth += 1;
        Ok(true)
    }

    /// The key of the next member, with its colon.
    ///
    /// # Errors
    /// [`JsonError`] when no key stands here.
    #[inline]
    pub fn key(&mut self) -> Result<Token, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax());
        }
        // Most keys of market data are one letter.
        if let Some([_, letter, b'"', b':']) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk)
            && letter.is_ascii_alphabetic()
        {
            self.at += 4;
            return Ok(self.token(TokenKind::String, self.at - 3, self.at - 2, false));
        }
        let key = self.string()?;
        self.take(b':')?;
        Ok(key)
    }

    /// Goes on after a member's value; false when the object has ended.
    ///
    /// # Errors
    /// [`JsonError`] when neither a comma nor the end stands here.
    #[inline]
    pub fn next_member(&mut self) -> Result<bool, JsonError> {
        self.next(b'}')
    }

    /// Goes on after an element; false when the array has ended.
    ///
    /// # Errors
    /// [`JsonError`] when neither a comma nor the end stands here.
    #[inline]
    pub fn next_element(&mut self) -> Result<bool, JsonError> {
        self.next(b']')
    }

    #[inline]
    fn next(&mut self, closing: u8) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == closing => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.syntax()),
        }
    }

    /// Takes any value; objects and arrays are checked and skipped.
    ///
    /// # Errors
    /// [`JsonError`] when no value stands here.
    #[inline(always)]
    pub fn value(&mut self) -> Result<Token, JsonError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.skip(TokenKind::Object),
            Some(b'[') => self.skip(TokenKind::Array),
            _ => self.literal(),
        }
    }

    /// Checks that nothing but white space follows.
    ///
    /// # Errors
    /// [`JsonError::Syntax`] when something does.
    pub fn end(&mut self) -> Result<(), JsonError> {
        if self.peek().is_none() { Ok(()) } else { Err(self.syntax()) }
    }

    /// Skips an object or array without recursion: one bit a level says which of the two it is.
    fn skip(&mut self, kind: TokenKind) -> Result<Token, JsonError> {
        let (start, outside) = (self.at, self.depth);
        let mut objects: u64 = 0; // The innermost container is the lowest bit.
        loop {
            let entered = match self.peek() {
                Some(b'{') => {
                    self.open_object()? && {
                        objects = objects << 1 | 1;
                        true
                    }
                }
                Some(b'[') => {
                    self.open_array()? && {
                        objects <<= 1;
                        true
                    }
                }
                Some(b'"') => self.string().map(|_| false)?,
                _ => self.literal().map(|_| false)?,
            };
            if !entered {
                while self.depth > outside && !self.next(if objects & 1 == 1 { b'}' } else { b']' })? {
                    objects >>= 1;
                }
                if self.depth == outside {
                    return Ok(self.token(kind, start, self.at, false));
                }
            }
            if objects & 1 == 1 {
                self.key()?;
            }
        }
    }

    /// Takes a string; the scanner stands on its opening quote.
    #[inline(always)]
    fn string(&mut self) -> Result<Token, JsonError> {
        let start = self.at + 1;
        let at = start + plain_len(self.bytes.get(start..).unwrap_or(b""));
        if self.bytes.get(at) == Some(&b'"') {
            self.at = at + 1;
            return Ok(self.token(TokenKind::String, start, at, false));
        }
        self.string_with_escapes(start, at)
    }

    #[cold]
    fn string_with_escapes(&mut self, start: usize, from: usize) -> Result<Token, JsonError> {
        self.at = from;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.token(TokenKind::String, start, self.at - 1, true));
                }
                Some(b'\\') => {
                    let length = match self.bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if hex4(self.bytes, self.at + 2).is_some() => 6,
                        _ => return Err(self.syntax()),
                    };
                    self.at += length;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.syntax()),
            }
        }
    }

    /// Takes a number, `true`, `false` or `null`.
    #[inline]
    fn literal(&mut self) -> Result<Token, JsonError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or(b"");
        let (kind, length) = match rest.first() {
            Some(b'-' | b'0'..=b'9') => (TokenKind::Number, number_len(rest).ok_or_else(|| self.syntax())?),
            Some(b't') if rest.starts_with(b"true") => (TokenKind::True, 4),
            Some(b'f') if rest.starts_with(b"false") => (TokenKind::False, 5),
            Some(b'n') if rest.starts_with(b"null") => (TokenKind::Null, 4),
            _ => return Err(self.syntax()),
        };
        self.at += length;
        Ok(self.token(kind, start, self.at, false))
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn token(&self, kind: TokenKind, start: usize, end: usize, escaped: bool) -> Token {
        debug_assert!(start <= end && end <= self.bytes.len(), "a span lies inside its text");
        #[allow(clippy::cast_possible_truncation, reason = "`new` refuses texts over 4 GiB")]
        Token { kind, escaped, start: start as u32, len: (end - start) as u32 }
    }

    #[cold]
    const fn syntax(&self) -> JsonError {
        #[allow(clippy::cast_possible_truncation, reason = "`new` refuses texts over 4 GiB")]
        JsonError::Syntax { at: self.at as u32 }
    }
}

/// Bytes in front of the first quote, backslash or control character; all of them when there is none.
#[inline(always)]
pub(crate) fn plain_len(text: &[u8]) -> usize {
    let mut rest = text;
    // Eight bytes a step: texts here have 1 to 15, and one step costs less than three bytes one by one.
    while let Some((word, behind)) = rest.split_first_chunk() {
        let ends = ends_of_plain_text(u64::from_le_bytes(*word));
        if ends != 0 {
            return text.len() - rest.len() + ends.trailing_zeros() as usize / 8;
        }
        rest = behind;
    }
    let plain = rest.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count();
    text.len() - rest.len() + plain
}

/// Which of eight bytes end the plain part of a string (quote, backslash, control character): the top bit of the first
/// such byte is set and no bit below it. Bits above may be wrong, because a borrow runs upwards.
const fn ends_of_plain_text(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    // Turned by this bit, the quote stands right behind the control characters, and these stay below it: one test for both.
    let turned = word ^ (ONES * 0x02);
    let quote_or_control = turned.wrapping_sub(ONES * 0x21) & !turned;
    let backslash = word ^ (ONES * b'\\' as u64);
    let zero_backslash = backslash.wrapping_sub(ONES) & !backslash;
    (quote_or_control | zero_backslash) & TOPS
}

/// Length of the number literal at the front of `text`; `None` when it breaks JSON's grammar.
#[inline]
pub(crate) fn number_len(text: &[u8]) -> Option<usize> {
    // Ids and times are plain digits, prices digits with a point; their length is all there is to find.
    let int = digits_len(text, 0);
    if int == 0 || int > 1 && text[0] == b'0' {
        return any_number_len(text);
    }
    let (has_fraction, end) = match text.get(int) {
        Some(b'.') => (true, int + 1 + digits_len(text, int + 1)),
        _ => (false, int),
    };
    let is_plain = !matches!(text.get(end), Some(b'e' | b'E')) && (!has_fraction || end > int + 1);
    if is_plain { Some(end) } else { any_number_len(text) }
}

/// How many digits stand in `text` from `at` on.
#[inline]
fn digits_len(text: &[u8], at: usize) -> usize {
    let mut len = 0;
    while let Some((_, digits)) = front_digits(text, at + len) {
        len += digits;
        if digits < 8 {
            return len;
        }
    }
    len + text.iter().skip(at + len).take_while(|byte| byte.is_ascii_digit()).count()
}

/// The general form of [`number_len`]: signs, fractions, exponents, zeros.
fn any_number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text.get(from..).unwrap_or(b"").iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = usize::from(text.first() == Some(&b'-'));
    let int = digits(at);
    if int == 0 || int > 1 && text[at] == b'0' {
        return None;
    }
    at += int;
    if text.get(at) == Some(&b'.') {
        let frac = digits(at + 1);
        if frac == 0 {
            return None;
        }
        at += 1 + frac;
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// Four hexadecimal digits from `at`.
fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, &byte| Some(value << 4 | char::from(byte).to_digit(16)?))
}

/// Appends a string's span (see [`Token`]) with its escapes resolved. `out` keeps its room between uses.
///
/// # Errors
/// [`JsonError::Syntax`] for a broken escape or half of a surrogate pair; `at` counts from the start of `raw`.
pub fn unescape(raw: &str, out: &mut String) -> Result<(), JsonError> {
    let mut rest = raw;
    while let Some(plain) = rest.find('\\') {
        out.push_str(&rest[..plain]);
        let at = u32::try_from(raw.len() - rest.len() + plain).unwrap_or(u32::MAX);
        let (character, length) = escape(&rest.as_bytes()[plain..]).ok_or(JsonError::Syntax { at })?;
        out.push(character);
        rest = rest.get(plain + length..).ok_or(JsonError::Syntax { at })?;
    }
    out.push_str(rest);
    Ok(())
}

/// The character of the escape at the front of `text` and the escape's length.
fn escape(text: &[u8]) -> Option<(char, usize)> {
    let short = match text.get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex4(text, 2)?;
            if !(0xd800..0xdc00).contains(&first) {
                return Some((char::from_u32(first)?, 6));
            }
            let second = hex4(text, 8).filter(|second| (0xdc00..0xe000).contains(second))?;
            let pair = text[6] == b'\\' && text[7] == b'u';
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return pair.then(|| char::from_u32(code)).flatten().map(|character| (character, 12));
        }
        _ => return None,
    };
    Some((short, 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn plain_text_ends_at_a_quote_a_backslash_or_a_control_character() {
        for at in 0..20 {
            for before in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff] {
                for byte in 0..=255 {
                    let mut text = [before; 20];
                    text[at] = byte;
                    let is_end = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(plain_len(&text), if is_end { at } else { 20 }, "{byte:#x} at {at} among {before:#x}");
                }
            }
        }
    }

    /// Rebuilds a tree from the scanner's tokens; numbers stay text.
    fn tree(scanner: &mut Scanner<'_>, text: &str) -> Result<Value, JsonError> {
        let string = |token: Token| {
            let mut out = String::new();
            unescape(token.text(text), &mut out).map(|()| out)
        };
        Ok(match scanner.peek() {
            Some(b'{') => {
                let mut members = serde_json::Map::new();
                let mut more = scanner.open_object()?;
                while more {
                    let key = string(scanner.key()?)?;
                    members.insert(key, tree(scanner, text)?);
                    more = scanner.next_member()?;
                }
                Value::Object(members)
            }
            Some(b'[') => {
                let mut elements = Vec::new();
                let mut more = scanner.open_array()?;
                while more {
                    elements.push(tree(scanner, text)?);
                    more = scanner.next_element()?;
                }
                Value::Array(elements)
            }
            _ => {
                let token = scanner.value()?;
                match token.kind {
                    TokenKind::Null => Value::Null,
                    TokenKind::True => Value::Bool(true),
                    TokenKind::False => Value::Bool(false),
                    TokenKind::Number => serde_json::from_str(token.text(text)).unwrap(),
                    _ => Value::String(string(token)?),
                }
            }
        })
    }

    fn walk(text: &str) -> Result<Value, JsonError> {
        let mut scanner = Scanner::new(text)?;
        let value = tree(&mut scanner, text)?;
        scanner.end()?;
        Ok(value)
    }

    fn skim(text: &str) -> Result<(), JsonError> {
        let mut scanner = Scanner::new(text)?;
        scanner.value()?;
        scanner.end()
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            "[ -~\u{80}-\u{10ffff}\\\\\"\n\t]{0,8}".prop_map(Value::String),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::vec(("[a-z\"\\\\é]{0,3}", inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Lengths of numbers are those of the general way.
        #[test]
        fn short_numbers_are_as_long_as_the_general_way_says(
            text in "-?[0-9]{0,18}(\\.[0-9]{0,18})?([eE][+-]?[0-9]{0,3})?[,}. a]?[0-9]{0,9}",
        ) {
            prop_assert_eq!(number_len(text.as_bytes()), any_number_len(text.as_bytes()));
        }

        /// Any order, white space and escapes: the same values as an independent parser.
        #[test]
        fn reads_what_serde_json_reads(value in json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(walk(&text), Ok(value));
            prop_assert_eq!(skim(&text), Ok(()));
        }

        /// Damaged text is accepted exactly when serde_json accepts it, walked or skipped.
        #[test]
        fn accepts_what_serde_json_accepts(value in json(), at: prop::sample::Index, piece in "[\\[\\]{},:\"0-9.eE+ntfu\\\\ -]{0,2}") {
            let mut text: Vec<char> = value.to_string().chars().collect();
            let at = at.index(text.len());
            text.splice(at..=at, piece.chars());
            let text: String = text.into_iter().collect();
            let accepted = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(skim(&text).is_ok(), accepted, "{}", text);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nest = |levels: usize| "[".repeat(levels) + "1" + &"]".repeat(levels);
        assert_eq!(skim(&nest(32)), Ok(()));
        assert_eq!(skim(&nest(33)), Err(JsonError::TooDeep));
        assert_eq!(skim(&nest(1_000_000)), Err(JsonError::TooDeep));
        assert_eq!(skim(&(r#"{"a":"#.repeat(33) + "1" + &"}".repeat(33))), Err(JsonError::TooDeep));
    }

    #[test]
    fn escapes_resolve_as_the_standard_says() {
        let cases = [
            // name, between the quotes, expected
            ("plain", "BTCUSDT", Some("BTCUSDT")),
            ("short ones", r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\u{8}\u{c}\n\r\t")),
            ("four digits", r"\u00e9\u5e01", Some("é币")),
            ("a pair", r"\ud83d\ude00!", Some("😀!")),
            ("half a pair", r"\ud83d", None),
            ("second half alone", r"\ude00", None),
            ("pair broken off", r"\ud83dxxude00", None),
            ("no such escape", r"\x", None),
            ("short of digits", r"\u12", None),
            ("ends in a backslash", "\\", None),
        ];
        for (name, raw, expected) in cases {
            let mut out = String::new();
            let result = unescape(raw, &mut out);
            assert_eq!(result.is_ok().then_some(out.as_str()), expected, "{name}");
        }
    }
}
