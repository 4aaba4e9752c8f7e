//! HTTP as far as it is needed: requests without a body, answers with one, and the upgrade to a WebSocket.

use crate::stream::{Stream, is_for_later};
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a client may take for it.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a kept connection may be quiet.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// A header, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query, with `%2F` and the like resolved.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| unescaped(value))
    }

    /// The key of a handshake; `None`: this is no request for a WebSocket.
    pub(crate) fn websocket_key(&self) -> Option<&str> {
        let upgrade = self.header("upgrade")?.eq_ignore_ascii_case("websocket");
        self.header("sec-websocket-key").filter(|_| upgrade)
    }

    /// Whether the client wants to ask again on the same connection.
    pub(crate) fn keeps(&self) -> bool {
        !self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Method, path and query.
    pub(crate) fn line(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, self.query)
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        words.next().filter(|version| version.starts_with("HTTP/1."))?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        Some(Self { method: method.to_owned(), path: path.to_owned(), query: query.to_owned(), headers })
    }
}

/// Resolves `%2F`.
pub(crate) fn unescaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads a request; `rest` holds what came after the one before, and afterwards what came after this one. `None`: the
/// client is gone or silent, or the server ends.
///
/// # Errors
/// When it is no request.
pub(crate) fn read_request(
    stream: &mut Stream,
    rest: &mut Vec<u8>,
    is_over: impl Fn() -> bool,
) -> io::Result<Option<Request>> {
    let start = Instant::now();
    let mut buffer = [0u8; 4096];
    loop {
        if let Some(end) = rest.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = rest.drain(..end + 4).collect();
            let request = std::str::from_utf8(&head).ok().and_then(Request::parse);
            return request.map(Some).ok_or_else(|| io::Error::other("this is no HTTP/1 request"));
        }
        if rest.len() > HEAD_BYTES_MAX {
            return Err(io::Error::other("the head of the request is too long"));
        }
        let wait_max = if rest.is_empty() { IDLE_MAX } else { HEAD_WAIT_MAX };
        if is_over() || start.elapsed() > wait_max {
            return Ok(None);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(None),
            Ok(count) => rest.extend_from_slice(&buffer[..count]),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(body: String) -> Self {
        Self { status: 200, headers: Vec::new(), body }
    }

    pub(crate) fn error(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Too many requests, with the time after which one more may be tried.
    pub(crate) fn too_many() -> Self {
        let headers = vec![("Retry-After", "1".to_owned())];
        let body = "{\"code\":-1003,\"msg\":\"Too many requests.\"}".to_owned();
        Self { status: 429, headers, body }
    }

    /// Writes it whole.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn write(&self, stream: &mut Stream, keeps: bool) -> io::Result<()> {
        let reason = match self.status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            429 => "Too Many Requests",
            _ => "Error",
        };
        let mut text = format!("HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\n", self.status);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let connection = if keeps { "keep-alive" } else { "close" };
        text.push_str(&format!("Content-Length: {}\r\nConnection: {connection}\r\n\r\n", self.body.len()));
        text.push_str(&self.body);
        stream.write_all(text.as_bytes())?;
        stream.flush()
    }
}

/// The answer that makes a WebSocket of the connection.
pub(crate) fn switch(key: &str) -> String {
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read() {
        let head = "GET /0/public/Trades?pair=BTC%2FUSD&since=5 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
            UPGRADE: WebSocket\r\nSec-WebSocket-Key: abc\r\n\r\n";
        let request = Request::parse(head).unwrap();
        assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/0/public/Trades"));
        assert_eq!(request.parameter("pair").as_deref(), Some("BTC/USD"));
        assert_eq!(request.parameter("since").as_deref(), Some("5"));
        assert_eq!((request.parameter("count"), request.websocket_key()), (None, Some("abc")));
        assert_eq!(request.line(), "GET /0/public/Trades?pair=BTC%2FUSD&since=5");
        assert_eq!(Request::parse("nonsense\r\n\r\n"), None);
        assert_eq!(unescaped("a%2"), "a%2");
    }
}
