//! The sending half of a connection: each data frame gets its number, its fate under the faults, and its line in the log.

use crate::faults::{Active, Fate, FaultKind};
use crate::hub::{Hub, count};
use crate::log::Line;
use crate::stream::{Stream, is_for_later};
use crate::venues::{Data, Frame, Ids};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::protocol::frame::coding::{Data as DataCode, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame as RawFrame};
use tungstenite::{Error, Message, WebSocket};

/// A frame that waits to be overtaken is sent after so long all the same.
const HELD_MAX: Duration = Duration::from_secs(1);
/// Characters of a request or an answer that the log keeps.
const LOGGED_TEXT_MAX: usize = 2000;

/// Why and how a connection ends.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) why: String,
    reset: bool,
}

impl Ending {
    /// The stream ends in order.
    pub(crate) fn fin(why: impl Into<String>) -> Self {
        Self { why: why.into(), reset: false }
    }

    /// The stream is reset.
    pub(crate) fn reset(why: impl Into<String>) -> Self {
        Self { why: why.into(), reset: true }
    }
}

/// The sending half of a connection.
pub(crate) struct Outgoing {
    hub: Arc<Hub>,
    conn: u64,
    pub(crate) socket: WebSocket<Stream>,
    pub(crate) active: Active,
    /// Number of the last data frame that was made.
    number: u64,
    /// A frame that is to be overtaken.
    held: Option<(Frame, u64, Instant)>,
    blocked: bool,
    pub(crate) data_sent: Instant,
    pub(crate) sent: Instant,
    lines: String,
}

impl Outgoing {
    pub(crate) fn new(hub: Arc<Hub>, conn: u64, socket: WebSocket<Stream>) -> Self {
        let now = Instant::now();
        Self {
            hub,
            conn,
            socket,
            active: Active::default(),
            number: 0,
            held: None,
            blocked: false,
            data_sent: now,
            sent: now,
            lines: String::new(),
        }
    }

    /// Whether the socket has not taken everything.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Sends a frame, or does to it what a fault wants.
    pub(crate) fn frame(&mut self, frame: Frame) -> Result<(), Ending> {
        let now = Instant::now();
        let Some(data) = &frame.data else {
            if self.active.is_blackhole(now) {
                return Ok(());
            }
            self.log_text("answer", &frame.text);
            return self.write(Message::text(frame.text));
        };
        self.number += 1;
        let number = self.number;
        let symbol = data.symbol.map_or("", |symbol| self.hub.names.symbols[symbol].name.as_str());
        match self.active.fate(symbol, data.live, now) {
            Fate::Lost(fault) => {
                count(&self.hub.totals.frames_lost, 1);
                self.log_frame("dropped", number, data, |line| line.text("reason", "fault").text("fault", fault));
                Ok(())
            }
            Fate::Hold if self.held.is_none() => {
                self.held = Some((frame, number, now));
                Ok(())
            }
            Fate::SendTwice => {
                self.send(frame.clone(), number, "")?;
                self.send(frame, number, "dup")
            }
            Fate::Send | Fate::Hold => {
                let overtakes = self.held.as_ref().and_then(|(held, ..)| held.data.as_ref());
                let overtakes = overtakes.is_some_and(|held| (held.kind, held.symbol) == (data.kind, data.symbol));
                self.send(frame, number, "")?;
                if overtakes { self.release() } else { Ok(()) }
            }
        }
    }

    /// Sends the frame that waits to be overtaken.
    pub(crate) fn release(&mut self) -> Result<(), Ending> {
        match self.held.take() {
            Some((frame, number, _)) => self.send(frame, number, "late"),
            None => Ok(()),
        }
    }

    /// The same, when it has waited too long.
    pub(crate) fn release_late(&mut self, now: Instant) -> Result<(), Ending> {
        let late = self.held.as_ref().is_some_and(|(.., since)| now.duration_since(*since) >= HELD_MAX);
        if late { self.release() } else { Ok(()) }
    }

    /// Pings, with the time as payload.
    pub(crate) fn ping(&mut self) -> Result<(), Ending> {
        let payload = (self.hub.log.now_ns() / 1_000_000).to_string();
        self.write(Message::Ping(payload.into_bytes().into()))
    }

    /// Sends a text that nobody asked for.
    pub(crate) fn giant(&mut self, bytes: usize) -> Result<(), Ending> {
        let (before, after) = ("{\"giant\":\"", "\"}");
        let filling = "x".repeat(bytes.saturating_sub(before.len() + after.len()));
        self.write(Message::text(format!("{before}{filling}{after}")))
    }

    /// Sends a text frame that is none.
    pub(crate) fn invalid_utf8(&mut self) -> Result<(), Ending> {
        let bytes = b"{\"text\":\"\xc3\x28\xff\"}".to_vec();
        self.write(Message::Frame(RawFrame::message(bytes, OpCode::Data(DataCode::Text), true)))
    }

    /// Sends a close frame.
    pub(crate) fn close(&mut self, code: u16, reason: &str) -> Result<(), Ending> {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let closed = self.socket.close(Some(frame));
        self.outcome(closed)
    }

    /// Hands everything to the socket, and the lines to the log.
    pub(crate) fn flush(&mut self, blackhole: bool) -> Result<(), Ending> {
        self.hub.log.put_all(&self.lines);
        self.lines.clear();
        if blackhole {
            return Ok(());
        }
        self.blocked = false;
        let flushed = self.socket.flush();
        self.blocked |= self.socket.get_ref().wants_write();
        let outcome = self.outcome(flushed);
        count(&self.hub.totals.blocked, u64::from(self.blocked));
        outcome
    }

    /// Ends the stream.
    pub(crate) fn end(&mut self, ending: &Ending) {
        if ending.reset {
            self.socket.get_ref().reset();
        } else {
            // What the peer does not take now it never will; a dead socket says so here, and is gone anyway.
            let _ = self.socket.flush();
            self.socket.get_mut().finish();
        }
        self.hub.log.put_all(&self.lines);
    }

    /// A line about a request or an answer.
    pub(crate) fn log_text(&mut self, what: &str, text: &str) {
        if self.hub.is_logged() {
            let cut = text.char_indices().nth(LOGGED_TEXT_MAX).map_or(text.len(), |(at, _)| at);
            let lines = std::mem::take(&mut self.lines);
            let line = Line::begin(lines, self.hub.log.now_ns(), what).number("conn", self.conn);
            let line = line.text("text", &text[..cut]);
            self.lines = if cut < text.len() { line.yes("cut") } else { line }.end();
        }
    }

    /// A line about a fault that hit this connection.
    pub(crate) fn log_fault(&mut self, kind: &FaultKind) {
        let lines = std::mem::take(&mut self.lines);
        let line = Line::begin(lines, self.hub.log.now_ns(), "hit").number("conn", self.conn);
        self.lines = line.text("fault", kind.name()).end();
    }

    fn send(&mut self, frame: Frame, number: u64, mark: &str) -> Result<(), Ending> {
        if let Some(data) = &frame.data {
            self.data_sent = Instant::now();
            count(if mark == "dup" { &self.hub.totals.frames_twice } else { &self.hub.totals.frames_sent }, 1);
            self.log_frame("sent", number, data, |line| if mark.is_empty() { line } else { line.yes(mark) });
        }
        self.write(Message::text(frame.text))
    }

    fn log_frame(&mut self, what: &str, number: u64, data: &Data, more: impl FnOnce(Line) -> Line) {
        if !self.hub.is_logged() {
            return;
        }
        let line = Line::begin(std::mem::take(&mut self.lines), self.hub.log.now_ns(), what);
        let line = line.number("conn", self.conn).number("n", number).text("kind", data.kind);
        let line = match data.symbol {
            Some(symbol) => line.text("symbol", &self.hub.names.symbols[symbol].name),
            None => line,
        };
        let line = match &data.ids {
            Ids::Range(first, last) => line.number("first", *first).number("last", *last),
            Ids::Texts(first, last) => line.text("first", first).text("last", last),
            Ids::None => line,
        };
        let line = if data.live { line } else { line.yes("snapshot") };
        let line = if data.damaged { line.yes("damaged") } else { line };
        self.lines = more(line).end();
    }

    fn write(&mut self, message: Message) -> Result<(), Ending> {
        self.sent = Instant::now();
        let written = self.socket.write(message);
        self.outcome(written)
    }

    fn outcome(&mut self, outcome: Result<(), Error>) -> Result<(), Ending> {
        match outcome {
            Ok(()) => Ok(()),
            // The frame is kept, and goes with the next flush.
            Err(Error::Io(error)) if is_for_later(&error) => {
                self.blocked = true;
                Ok(())
            }
            // The peer's close frame came first, or its answer is here: reading says so.
            Err(Error::ConnectionClosed | Error::Protocol(_)) => Ok(()),
            Err(error) => Err(Ending::fin(format!("the client is gone: {error}"))),
        }
    }
}
