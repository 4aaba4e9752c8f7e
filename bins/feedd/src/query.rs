//! What stands behind the question mark of a request, read and written.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Names and values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `name=value&name=value`.
    ///
    /// # Errors
    /// A sentence, when a name is not one of `known`, stands twice, or the text is not UTF-8.
    pub(crate) fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = |text: &str| {
                let decoded = percent_decode_str(text).decode_utf8();
                decoded.map(|text| text.into_owned()).map_err(|_| format!("{text} is not UTF-8\n"))
            };
            let (name, value) = (decoded(name)?, decoded(value)?);
            if !known.contains(&name.as_str()) {
                return Err(format!("there is no {name:?} here; known are {}\n", known.join(", ")));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("{name} is given twice\n"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A value that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name)?;
        (!found.1.is_empty()).then_some(found.1.as_str())
    }

    /// A number within `range`, or `usual` when it is not given.
    ///
    /// # Errors
    /// A sentence, when it is none, or out of range.
    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        usual: T,
        range: RangeInclusive<T>,
    ) -> Result<T, String> {
        let Some(text) = self.text(name) else { return Ok(usual) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("{name}={text}: write a number from {} to {}\n", range.start(), range.end()))
    }
}

/// `path?name=value&name=value`, without the pairs that have no value.
pub(crate) fn with_query(path: &str, pairs: &[(&str, Option<&str>)]) -> String {
    let mut out = path.to_owned();
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(name);
        out.push('=');
        out.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let written =
            with_query("/book", &[("symbol", Some("BTC/USD & é=1")), ("source", None), ("levels", Some("5"))]);
        assert_eq!(written, "/book?symbol=BTC%2FUSD%20%26%20%C3%A9%3D1&levels=5");
        let (_, text) = written.split_once('?').unwrap();
        let query = Query::parse(text, &["symbol", "source", "levels"]).unwrap();
        assert_eq!((query.text("symbol"), query.text("source")), (Some("BTC/USD & é=1"), None));
        assert_eq!((query.number("levels", 10, 1..=20), query.number("other", 10, 1..=20)), (Ok(5), Ok(10)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("symbl=X", "there is no \"symbl\" here; known are symbol, rate\n"),
            ("symbol=A&symbol=B", "symbol is given twice\n"),
            ("symbol=%ff", "%ff is not UTF-8\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(Query::parse(text, &["symbol", "rate"]), Err(expected.to_owned()), "{text}");
        }
        for text in ["rate=0", "rate=1001", "rate=x", "rate=-1"] {
            let query = Query::parse(text, &["symbol", "rate"]).unwrap();
            let expected = format!("{text}: write a number from 1 to 1000\n");
            assert_eq!(query.number("rate", 10_u32, 1..=1_000), Err(expected));
        }
    }
}
