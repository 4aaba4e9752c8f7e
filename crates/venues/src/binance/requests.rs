//! REST requests that wait for their answer: an answer to `GET ../depth?symbol=X` does not say what it is about.

/// Connections remembered at once; a recorder uses one, and a capture cannot make us hold more.
const CONNECTIONS_MAX: usize = 64;

/// For each connection, the symbol of the depth request that has not been answered yet.
///
/// Request and answer come in pairs, so a newer request takes the place of one that was never answered.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pending: Vec<(String, String)>,
}

impl Requests {
    /// Notes what the recorder sent on `conn`. Any `GET` ends the wait for an earlier answer.
    pub(super) fn note(&mut self, conn: &str, text: &str) {
        let Some(url) = text.trim().strip_prefix("GET ") else { return };
        self.pending.retain(|(waiting, _)| waiting != conn);
        let Some(symbol) = depth_symbol(url.trim()) else { return };
        if self.pending.len() == CONNECTIONS_MAX {
            self.pending.remove(0);
        }
        self.pending.push((conn.to_owned(), symbol));
    }

    /// The symbol that an answer on `conn` is about; the request counts as answered then.
    pub(super) fn take(&mut self, conn: &str) -> Option<String> {
        let at = self.pending.iter().position(|(waiting, _)| waiting == conn)?;
        Some(self.pending.remove(at).1)
    }
}

/// The symbol of `https://host/../depth?..symbol=X..`, in upper case as the venue writes it elsewhere.
fn depth_symbol(url: &str) -> Option<String> {
    let (path, query) = url.split_once('?')?;
    if !path.ends_with("/depth") {
        return None;
    }
    let query = query.split('#').next().unwrap_or("");
    let value = query.split('&').find_map(|pair| pair.strip_prefix("symbol="))?;
    let symbol = percent_decoded(value)?.to_ascii_uppercase();
    (!symbol.is_empty()).then_some(symbol)
}

/// Resolves `%XX`; `None` when that is broken. Some symbols are not ASCII.
fn percent_decoded(text: &str) -> Option<String> {
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
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_symbol_of_a_depth_request() {
        let cases = [
            // name, URL, symbol
            ("spot", "https://api.binance.com/api/v3/depth?symbol=ETHUSDT&limit=1000", Some("ETHUSDT")),
            ("other order", "https://fapi.binance.com/fapi/v1/depth?limit=1000&symbol=BTCUSDT", Some("BTCUSDT")),
            ("lower case", "/dapi/v1/depth?symbol=btcusd_perp", Some("BTCUSD_PERP")),
            ("not ASCII", "/fapi/v1/depth?symbol=%E5%B8%81USDT", Some("币USDT")),
            ("other endpoint", "/api/v3/trades?symbol=ETHUSDT", None),
            ("no symbol", "/api/v3/depth?limit=5", None),
            ("empty symbol", "/api/v3/depth?symbol=", None),
            ("broken escape", "/api/v3/depth?symbol=%E", None),
        ];
        for (name, url, symbol) in cases {
            assert_eq!(depth_symbol(url).as_deref(), symbol, "{name}");
        }
    }

    #[test]
    fn an_answer_is_given_once_and_only_to_its_connection() {
        let mut requests = Requests::default();
        requests.note("rest", "GET /api/v3/depth?symbol=A");
        requests.note("rest", "{\"method\":\"SUBSCRIBE\"}");
        assert_eq!(requests.take("ws-1"), None);
        assert_eq!(requests.take("rest").as_deref(), Some("A"));
        assert_eq!(requests.take("rest"), None);
        requests.note("rest", "GET /api/v3/depth?symbol=B");
        requests.note("rest", "GET /api/v3/exchangeInfo");
        assert_eq!(requests.take("rest"), None);
        for i in 0..1000 {
            requests.note(&i.to_string(), "GET /api/v3/depth?symbol=C");
        }
        assert_eq!(requests.pending.len(), CONNECTIONS_MAX);
    }
}
