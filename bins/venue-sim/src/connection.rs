//! An open WebSocket: reads requests, sends what the session makes of the market's facts, and ends the way it is told.

use crate::faults::FaultKind;
use crate::hub::{Batch, Found, Hub, Inbox, Order, is_within};
use crate::outgoing::{Ending, Outgoing};
use crate::stream::is_for_later;
use crate::venues::{Activity, Out, Session};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::{Error, Message};

/// Longest sleep: timers of this grain need no wake-up of their own.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// Batches between two looks at the socket.
const BATCHES_AT_ONCE: usize = 8;
/// Messages that are read between two looks at the market.
const READS_AT_ONCE: usize = 64;
/// How long the peer may take to answer a close frame.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(1);

/// An open WebSocket.
pub(crate) struct Connection {
    hub: Arc<Hub>,
    inbox: Arc<Inbox>,
    session: Box<dyn Session>,
    outgoing: Outgoing,
    opened: Instant,
    received: Instant,
    recent: VecDeque<Instant>,
    pinged: Instant,
    /// Since when a ping has no answer.
    unanswered: Option<Instant>,
    /// A close frame is to be sent at this time: after the venue's notice.
    close_at: Option<(Instant, u16, String)>,
    /// A close frame was sent: until when its answer is waited for, and why it was sent.
    closing: Option<(Instant, String)>,
}

impl Connection {
    pub(crate) fn new(hub: Arc<Hub>, inbox: Arc<Inbox>, session: Box<dyn Session>, outgoing: Outgoing) -> Self {
        let now = Instant::now();
        Self {
            hub,
            inbox,
            session,
            outgoing,
            opened: now,
            received: now,
            recent: VecDeque::new(),
            pinged: now,
            unanswered: None,
            close_at: None,
            closing: None,
        }
    }

    /// Runs until the end; says why it ended.
    pub(crate) fn run(mut self) -> String {
        let mut ending = match self.with_session(|session, out| session.open(out)) {
            Ok(()) => loop {
                if let Err(ending) = self.turn() {
                    break ending;
                }
            },
            Err(ending) => ending,
        };
        // After a close frame it does not matter how the peer left.
        if let Some((_, why)) = self.closing.take() {
            ending.why = why;
        }
        self.outgoing.end(&ending);
        ending.why
    }

    fn turn(&mut self) -> Result<(), Ending> {
        self.inbox.silence();
        let room = if self.outgoing.is_blocked() { 0 } else { BATCHES_AT_ONCE };
        let Found { batches, orders, overflowed, empty } = self.inbox.take(room);
        let took = !batches.is_empty();
        for order in orders {
            self.obey(order)?;
        }
        let blackhole = self.outgoing.active.is_blackhole(Instant::now());
        if !blackhole {
            self.read()?;
        }
        if self.closing.is_none() {
            for batch in &batches {
                self.facts(batch)?;
            }
            if !blackhole {
                self.timers(overflowed)?;
            }
        }
        if took {
            self.hub.made_room();
        }
        self.outgoing.flush(blackhole)?;
        self.check_end(empty)?;
        if empty || self.outgoing.is_blocked() {
            self.sleep(blackhole)?;
        }
        Ok(())
    }

    /// Sends what a batch means for this connection.
    fn facts(&mut self, batch: &Batch) -> Result<(), Ending> {
        self.with_session(|session, out| {
            for fact in &batch.facts {
                session.fact(fact, batch.serial, out);
            }
        })
    }

    /// Lets the session act, and sends what it wants sent.
    fn with_session(&mut self, act: impl FnOnce(&mut dyn Session, &mut Out<'_>)) -> Result<(), Ending> {
        let venue_ns = self.hub.log.now_ns() + self.hub.skew_ns();
        let mut out = Out::new(&self.hub, venue_ns);
        out.damage = self.outgoing.active.damage;
        act(&mut *self.session, &mut out);
        self.outgoing.active.damage = out.damage;
        let (frames, close) = (out.frames, out.close);
        for frame in frames {
            self.outgoing.frame(frame)?;
        }
        match close {
            Some((code, reason)) => self.close(code, &reason),
            None => Ok(()),
        }
    }

    fn read(&mut self) -> Result<(), Ending> {
        for _ in 0..READS_AT_ONCE {
            match self.outgoing.socket.read() {
                Ok(message) => self.message(&message)?,
                Err(Error::Io(error)) if is_for_later(&error) => return Ok(()),
                Err(Error::ConnectionClosed) => return Err(Ending::fin("the client closed")),
                Err(error) => return Err(Ending::fin(format!("the client is gone: {error}"))),
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &Message) -> Result<(), Ending> {
        self.received = Instant::now();
        let text = match message {
            Message::Text(text) => Some(text.as_str()),
            Message::Pong(_) => {
                self.unanswered = None;
                None
            }
            Message::Ping(_) => None,
            Message::Binary(_) => return self.close(1003, "binary frames are not understood"),
            Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        if let Some(text) = text {
            self.outgoing.log_text("request", text);
        }
        let within = match self.hub.config.limits.messages {
            Some(rate) if self.session.counts(text) => is_within(&mut self.recent, rate),
            _ => true,
        };
        let mut refused = false;
        if !within {
            self.with_session(|session, out| refused = session.too_many(text, out))?;
        }
        match text {
            Some(text) if !refused && self.closing.is_none() => {
                self.with_session(|session, out| session.text(text, out))
            }
            _ => Ok(()),
        }
    }

    /// Pings, heartbeats, and cuts that time brings.
    fn timers(&mut self, overflowed: bool) -> Result<(), Ending> {
        let now = Instant::now();
        if overflowed {
            return Err(Ending::fin("the client is too slow: its queue is full"));
        }
        if let Some((_, code, reason)) = self.close_at.take_if(|(at, ..)| *at <= now) {
            return self.close(code, &reason);
        }
        if self.hub.config.lifetime.is_some_and(|lifetime| now.duration_since(self.opened) >= lifetime) {
            return self.close(1001, "lifetime");
        }
        if self.unanswered.is_some_and(|since| now.duration_since(since) >= self.hub.config.pong_within) {
            return Err(Ending::fin("a ping was not answered"));
        }
        if self.hub.config.ping_every.is_some_and(|every| now.duration_since(self.pinged) >= every) {
            self.pinged = now;
            self.unanswered.get_or_insert(now);
            self.outgoing.ping()?;
        }
        self.outgoing.release_late(now)?;
        let (data_sent, sent) = (self.outgoing.data_sent, self.outgoing.sent);
        let activity = Activity { now, opened: self.opened, data_sent, sent, received: self.received };
        self.with_session(|session, out| session.tick(&activity, out))
    }

    /// Takes a fault.
    fn obey(&mut self, order: Order) -> Result<(), Ending> {
        let Order { kind, until } = order;
        self.outgoing.log_fault(&kind);
        match kind {
            FaultKind::Close { code: None } => Err(Ending::fin("fault close")),
            FaultKind::Close { code: Some(code) } => self.close(code, "fault close-frame"),
            FaultKind::Reset => Err(Ending::reset("fault reset")),
            FaultKind::Giant { bytes } => self.outgoing.giant(bytes),
            FaultKind::InvalidUtf8 => self.outgoing.invalid_utf8(),
            FaultKind::Shutdown => {
                let mut after = None;
                self.with_session(|session, out| after = session.shutdown(out))?;
                match after {
                    Some(after) => {
                        self.close_at = Some((Instant::now() + after, 1001, "shutdown".to_owned()));
                        Ok(())
                    }
                    None => self.close(1001, "shutdown"),
                }
            }
            FaultKind::SequenceReset => {
                self.session.reset_sequence();
                Ok(())
            }
            kind => {
                self.outgoing.active.add(&kind, until);
                Ok(())
            }
        }
    }

    /// Sends a close frame; the connection ends when it is answered.
    fn close(&mut self, code: u16, reason: &str) -> Result<(), Ending> {
        if self.closing.is_none() {
            let why = format!("closed with {code}: {reason}");
            self.closing = Some((Instant::now() + CLOSE_WAIT_MAX, why));
            self.outgoing.close(code, reason)?;
        }
        Ok(())
    }

    fn check_end(&mut self, empty: bool) -> Result<(), Ending> {
        if let Some((_, why)) = self.closing.take_if(|(until, _)| *until <= Instant::now()) {
            return Err(Ending::fin(why));
        }
        // What was made before the end is sent before the end, unless the client does not take it.
        if self.hub.is_ending() && empty && (!self.outgoing.is_blocked() || self.hub.is_overdue()) {
            self.outgoing.release()?;
            self.close(1001, "the server ends")?;
        }
        if self.hub.is_overdue() && self.closing.is_none() {
            return Err(Ending::fin("the server ends, and the client does not take what is left"));
        }
        Ok(())
    }

    fn sleep(&mut self, blackhole: bool) -> Result<(), Ending> {
        let until = self.session.wake_at().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = until.unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
        let timeout = Timespec::try_from(timeout).ok();
        let mut wanted = PollFlags::IN;
        if self.outgoing.is_blocked() {
            wanted |= PollFlags::OUT;
        }
        let mut fds = vec![PollFd::new(&self.inbox.wake, PollFlags::IN)];
        if !blackhole {
            fds.push(PollFd::new(self.outgoing.socket.get_ref().tcp(), wanted));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Ending::fin(format!("waiting failed: {error}"))),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.leave(self.inbox.conn);
    }
}
