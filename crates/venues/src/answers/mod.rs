//! Answers to REST requests: what was asked for on a connection, and lists of trades, which say neither what they are nor
//! of which instrument.
//!
//! Cold: a decoder asks [`Answers::are_expected`] for each frame, and only then what for.

mod trades;

pub(crate) use trades::Shape;

use crate::decoder::Outcome;
use crate::message::{MessageSink, TradeMsg};

/// Connections remembered at once; a recorder uses one, and a capture cannot make us hold more.
const CONNECTIONS_MAX: usize = 64;

/// What an answer will be about.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// The book of a symbol.
    Book(String),
    /// Trades of a symbol, in this shape.
    Trades(String, &'static Shape),
}

/// For each connection, the request that has not been answered yet.
///
/// Request and answer come in pairs, so a newer request takes the place of one that was never answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pending: Vec<(String, Asked)>,
    /// Trades of the answer that is being read; keeps its room.
    held: Vec<TradeMsg<'static>>,
}

impl Answers {
    /// Notes what the recorder sent on `conn`. Any `GET` ends the wait for an earlier answer; `asked` tells what its address
    /// asks for.
    pub(crate) fn note(&mut self, conn: &str, text: &str, asked: impl FnOnce(Url<'_>) -> Option<Asked>) {
        let Some(url) = text.trim().strip_prefix("GET ") else { return };
        self.forget(conn);
        let Some(asked) = asked(Url::new(url.trim())) else { return };
        if self.pending.len() == CONNECTIONS_MAX {
            self.pending.remove(0);
        }
        self.pending.push((conn.to_owned(), asked));
    }

    /// Whether any answer is expected.
    #[inline]
    pub(crate) const fn are_expected(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The request on `conn` has been answered, by whatever.
    pub(crate) fn forget(&mut self, conn: &str) {
        self.pending.retain(|(waiting, _)| waiting != conn);
    }

    /// The symbol of the book that was asked for on `conn`; the request counts as answered then.
    pub(crate) fn take_book(&mut self, conn: &str) -> Option<String> {
        self.take(conn, |asked| if let Asked::Book(symbol) = asked { Ok(symbol) } else { Err(asked) })
    }

    /// Reads the trades that were asked for on `conn`; the request counts as answered then. `None`: none were asked for, or
    /// the frame is something else, such as a refusal.
    pub(crate) fn trades<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Option<Outcome<'f>> {
        let only_trades = |asked| match asked {
            Asked::Trades(symbol, shape) => Ok((symbol, shape)),
            other @ Asked::Book(_) => Err(other),
        };
        let (symbol, shape) = self.take(conn, only_trades)?;
        match trades::decode(frame, shape, &symbol, &mut self.held, out) {
            Ok(count) => count.map(Outcome::Messages),
            Err(reject) => Some(Outcome::Rejected(reject)),
        }
    }

    /// Takes what is expected on `conn`, unless `open` gives it back.
    fn take<T>(&mut self, conn: &str, open: impl FnOnce(Asked) -> Result<T, Asked>) -> Option<T> {
        let at = self.pending.iter().position(|(waiting, _)| waiting == conn)?;
        let (conn, asked) = self.pending.remove(at);
        open(asked).map_err(|asked| self.pending.insert(at, (conn, asked))).ok()
    }
}

/// The parts of an address: scheme and host are of no interest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Url<'a> {
    /// `https://host/api/v3/depth`.
    pub(crate) path: &'a str,
    query: &'a str,
}

impl<'a> Url<'a> {
    fn new(url: &'a str) -> Self {
        let url = url.split('#').next().unwrap_or("");
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        Self { path, query }
    }

    /// A parameter of the query, its escapes resolved; `None` when it is not there, empty or broken.
    pub(crate) fn parameter(self, name: &str) -> Option<String> {
        let value = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        decoded(value)
    }

    /// What stands between `before` and `after`, which ends the path.
    pub(crate) fn between(self, before: &str, after: &str) -> Option<String> {
        let (_, rest) = self.path.split_once(before)?;
        decoded(rest.strip_suffix(after)?)
    }
}

/// Resolves `%XX`; `None` when that is broken, or nothing is there. Some symbols are not ASCII.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? << 4 | digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn book(url: Url<'_>) -> Option<Asked> {
        url.path.ends_with("/depth").then(|| url.parameter("symbol").map(Asked::Book))?
    }

    #[test]
    fn an_answer_is_given_once_and_only_to_its_connection() {
        let mut answers = Answers::default();
        assert!(!answers.are_expected());
        answers.note("rest", "GET /api/v3/depth?symbol=A", book);
        answers.note("rest", "{\"method\":\"SUBSCRIBE\"}", book);
        assert!(answers.are_expected());
        let none = &mut |_: &str, _: &Message<'_>| panic!("no trades were asked for");
        assert_eq!((answers.take_book("ws-1"), answers.trades("rest", "[]", none)), (None, None));
        assert_eq!(answers.take_book("rest").as_deref(), Some("A"));
        assert_eq!(answers.take_book("rest"), None);
        answers.note("rest", "GET /api/v3/depth?symbol=B", book);
        answers.note("rest", "GET /api/v3/exchangeInfo", book);
        assert!(!answers.are_expected());
        for i in 0..1000 {
            answers.note(&i.to_string(), "GET /api/v3/depth?symbol=C", book);
        }
        assert_eq!(answers.pending.len(), CONNECTIONS_MAX);
    }

    #[test]
    fn parts_of_an_address() {
        let cases = [
            // address, symbol parameter
            ("https://host/depth?symbol=ETHUSDT&limit=1000", Some("ETHUSDT")),
            ("https://host/depth?limit=1000&symbol=BTC%2FUSD#top", Some("BTC/USD")),
            ("/depth?symbol=%E5%B8%81USDT", Some("币USDT")),
            ("/depth?symbols=A", None),
            ("/depth?symbol=", None),
            ("/depth?symbol=%E", None),
            ("/depth?symbol=%FF", None),
            ("/depth", None),
        ];
        for (url, symbol) in cases {
            assert_eq!(Url::new(url).parameter("symbol").as_deref(), symbol, "{url}");
        }
        let between = |url| Url::new(url).between("/products/", "/trades");
        assert_eq!(between("https://host/products/BTC-USD/trades?limit=5").as_deref(), Some("BTC-USD"));
        assert_eq!(between("https://host/products/BTC-USD/book"), None);
        assert_eq!(between("https://host/products//trades"), None);
    }
}
