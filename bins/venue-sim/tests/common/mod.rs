//! A client of another implementation's making (tungstenite's own), a REST client in a few lines, and an own book.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tungstenite::{Error, Message, WebSocket};
use venue_sim::{Config, Pace, Server, Venue};

/// Longest silence before a test gives up.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// A server for tests.
pub fn serve(venue: Venue) -> Server {
    Server::start(Config::for_tests(venue)).unwrap()
}

/// A server whose depth feeds send every 2 ms: a test needs many messages soon.
pub fn serve_fast(venue: Venue) -> Server {
    let pace = Pace::PerSecond(5000);
    Server::start(Config { pace, depth_interval_ms: Some(2), ..Config::for_tests(venue) }).unwrap()
}

/// How a connection ended, as the client saw it.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// A close frame with this code.
    Close(u16),
    /// The stream ended without one.
    Eof,
    /// The stream was reset.
    Reset,
    /// Something that is no WebSocket frame, or no text.
    Broken(String),
}

/// A WebSocket client.
pub struct Client<S = TcpStream> {
    pub ws: WebSocket<S>,
}

impl Client<TcpStream> {
    pub fn connect(server: &Server, path: &str) -> Self {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        let (ws, _) = tungstenite::client(server.ws_url(path), stream).unwrap();
        Self { ws }
    }

    /// Whether nothing comes for so long.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        self.ws.get_ref().set_read_timeout(Some(time)).unwrap();
        let read = self.ws.read();
        self.ws.get_ref().set_read_timeout(Some(WAIT_MAX)).unwrap();
        matches!(read, Err(Error::Io(_)))
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, text: &str) {
        self.ws.send(Message::text(text)).unwrap();
    }

    /// The next text.
    pub fn text(&mut self) -> String {
        self.try_text().unwrap_or_else(|end| panic!("the connection ended: {end:?}"))
    }

    /// The next text, or how the connection ended.
    pub fn try_text(&mut self) -> Result<String, End> {
        loop {
            match self.ws.read() {
                Ok(Message::Text(text)) => return Ok(text.as_str().to_owned()),
                Ok(Message::Close(frame)) => return Err(End::Close(frame.map_or(1005, |frame| frame.code.into()))),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => return Err(End::Reset),
                Err(Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Err(End::Eof);
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Err(End::Eof),
                Err(error) => return Err(End::Broken(error.to_string())),
            }
        }
    }

    /// The next text, as JSON.
    pub fn json(&mut self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The next text that satisfies a condition.
    pub fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json();
            if wanted(&value) {
                return value;
            }
        }
    }

    /// Reads to the end.
    pub fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.try_text() {
                return end;
            }
        }
    }
}

/// An answer of the REST side.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// One request on a connection of its own.
pub fn get(server: &Server, target: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: HashMap<String, String> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    assert_eq!(headers["content-length"].parse(), Ok(body.len()));
    Answer { status, headers, body: body.to_owned() }
}

/// A decimal text as a number to sort by: its digits after 12 decimals were filled up.
pub fn exact(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{fraction:0<12}").parse().unwrap()
}

/// A decimal text that may be a JSON number.
pub fn number_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An order book, kept by a client. Prices and sizes are compared by value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnBook {
    pub bids: BTreeMap<i128, i128>,
    pub asks: BTreeMap<i128, i128>,
}

impl OwnBook {
    /// Sets levels of `[[price, size, ...], ...]`.
    pub fn apply(&mut self, bids: &Value, asks: &Value) {
        for (side, levels) in [(&mut self.bids, bids), (&mut self.asks, asks)] {
            for level in levels.as_array().unwrap() {
                let (price, size) = (exact(level[0].as_str().unwrap()), exact(level[1].as_str().unwrap()));
                set(side, price, size);
            }
        }
    }

    /// Keeps the best levels of each side.
    pub fn cut(&mut self, depth: usize) {
        while self.bids.len() > depth {
            self.bids.pop_first();
        }
        while self.asks.len() > depth {
            self.asks.pop_last();
        }
    }

    pub fn is_apart(&self) -> bool {
        self.bids.last_key_value().unwrap().0 < self.asks.first_key_value().unwrap().0
    }

    /// The book that the log ends with.
    pub fn of_log(log: &[Value], symbol: &str) -> Self {
        let line = log.iter().rfind(|line| line["what"] == "book" && line["symbol"] == symbol).unwrap();
        let mut book = Self::default();
        book.apply(&line["bids"], &line["asks"]);
        book
    }
}

pub fn set(side: &mut BTreeMap<i128, i128>, price: i128, size: i128) {
    if size == 0 {
        side.remove(&price);
    } else {
        side.insert(price, size);
    }
}

/// The lines of the log about something, of one symbol.
pub fn facts<'a>(log: &'a [Value], what: &str, symbol: &str) -> Vec<&'a Value> {
    log.iter().filter(|line| line["what"] == what && line["symbol"] == symbol).collect()
}

/// Waits until the log has a line.
pub fn wait_for(server: &Server, wanted: impl Fn(&Value) -> bool) -> Value {
    let start = std::time::Instant::now();
    loop {
        if let Some(line) = server.log().into_iter().find(&wanted) {
            return line;
        }
        assert!(start.elapsed() < WAIT_MAX, "the log has no such line");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a server and returns its whole log.
pub fn stopped(server: &Server) -> Vec<Value> {
    server.end();
    server.log()
}

/// Reads so many frames, ends the server, and reads what is left; then the log.
pub fn collect(server: Server, client: Client, count: usize) -> (Vec<Value>, Vec<Value>) {
    let (texts, log) = collect_texts(server, client, count);
    (texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect(), log)
}

/// The same, as they came.
pub fn collect_texts(server: Server, mut client: Client, count: usize) -> (Vec<String>, Vec<Value>) {
    let mut frames: Vec<String> = (0..count).map(|_| client.text()).collect();
    server.pause_market();
    // Who ends the server waits for its connections, so somebody else has to read.
    let reader = std::thread::spawn(move || {
        let mut rest = Vec::new();
        loop {
            match client.try_text() {
                Ok(text) => rest.push(text),
                Err(end) => return (rest, end),
            }
        }
    });
    let log = stopped(&server);
    let (rest, end) = reader.join().unwrap();
    assert_eq!(end, End::Close(1001));
    frames.extend(rest);
    (frames, log)
}

/// The last lines of the log about something, as many as there are frames of it: those that the frames must be.
pub fn last_facts<'a>(log: &'a [Value], what: &str, symbol: &str, count: usize) -> Vec<&'a Value> {
    let all = facts(log, what, symbol);
    all[all.len() - count..].to_vec()
}
