//! Names in a frame: keys, which no venue escapes though JSON allows it, and instruments as the venue writes them.
//!
//! Hot path: borrowed from the frame; only a name with an escape in it is written anew.

use crate::decoder::{Reject, RejectReason};
use crate::scan::{Token, TokenKind, unescape};
use std::borrow::Cow;

/// What a key spells: `"\u0065"` is `"e"`.
#[inline(always)]
pub(crate) fn key_name(frame: &str, key: Token) -> Cow<'_, [u8]> {
    if key.escaped { spelled(frame, key) } else { Cow::Borrowed(key.bytes(frame)) }
}

/// Halves of pairs spell nothing, and no key here has none.
#[cold]
fn spelled(frame: &str, key: Token) -> Cow<'_, [u8]> {
    let mut name = String::new();
    Cow::Owned(unescape(key.text(frame), &mut name).map_or_else(|_| Vec::new(), |()| name.into_bytes()))
}

/// The venue's text for an instrument; `scratch` holds it when it was escaped.
#[inline]
pub(crate) fn symbol<'a>(
    frame: &'a str,
    token: Token,
    field: &'static str,
    scratch: &'a mut String,
) -> Result<&'a str, Reject> {
    let no_symbol = Reject::new(RejectReason::NoSymbol, field);
    if token.kind != TokenKind::String || token.len == 0 {
        return Err(no_symbol);
    }
    if !token.escaped {
        return Ok(token.text(frame));
    }
    scratch.clear();
    unescape(token.text(frame), scratch).map_err(|_| no_symbol)?;
    Ok(scratch)
}

/// The text of a name such as an event's; `None` when it is no text.
#[inline]
pub(crate) fn optional_text(frame: &str, token: Token) -> Option<&str> {
    (token.kind == TokenKind::String).then(|| token.text(frame))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scanner;

    #[test]
    fn escaped_names_are_what_they_spell() {
        let cases = [
            // name, text, key, symbol
            ("plain", r#""BTC-USD""#, "BTC-USD", Some("BTC-USD")),
            ("a slash", r#""BTC\/USD""#, "BTC/USD", Some("BTC/USD")),
            ("four digits", r#""\u0058""#, "X", Some("X")),
            ("half a pair", r#""\ud83d""#, "", None),
            ("empty", r#""""#, "", None),
        ];
        for (name, text, key, expected) in cases {
            let token = Scanner::new(text).unwrap().value().unwrap();
            assert_eq!(&*key_name(text, token), key.as_bytes(), "{name}");
            let mut scratch = "old".to_owned();
            let got = symbol(text, token, "s", &mut scratch);
            assert_eq!(got, expected.ok_or(Reject::new(RejectReason::NoSymbol, "s")), "{name}");
        }
    }
}
