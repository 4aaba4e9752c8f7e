//! The loop of a live source's thread: sockets, timers, REST answers and the session, polled in turn by one task.
//!
//! Hot path, for each frame: socket, TLS, decoder, checker, burst; nothing is handed to another thread before the ring.

use super::dial::{Net, NetError};
use super::socket::{End, Incoming, Socket};
use crate::ask_book::BookDesk;
use crate::change::Change;
use crate::session::{ConnId, Heard, PullId, Purpose, Session, StreamState};
use crate::source::Earlier;
use crate::stream::StreamKind;
use crate::tape::Tape;
use feedd_core::counters::{SessionCounters, SourceCounters};
use feedd_core::mailbox::Mailbox;
use feedd_core::outlet::Ended;
use feedd_core::{Outlet, SourceError};
use feedd_model::{MonoNanos, StatusCode, UnixNanos};
use feedd_venues::capture::{Direction, TapeNote};
use feedd_venues::decoder::{Reject, RejectReason};
use feedd_venues::intake::Intake;
use feedd_venues::sources::publish_status;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longest wait: a stop is seen within it, and a source that stops is to be gone after 100 ms.
const WAIT_MAX: Duration = Duration::from_millis(40);
/// Shortest wait for something that is due: what tokio's timers resolve.
const WAIT_MIN: Duration = Duration::from_millis(1);
/// Frames of one connection before the others, and timers, are looked at.
const FRAMES_PER_TURN: usize = 512;
/// A wait for room in the ring from which on the end of a connection is taken for its consequence, and how long.
const BLOCKED_NANOS_MIN: u64 = 1_000_000_000;
const BLOCKED_FELT_NANOS: u64 = 15_000_000_000;
/// Time between two looks at the session for the counters.
const VIEW_NANOS: u64 = 500_000_000;

/// What a driver is made of.
pub(crate) struct DriverParts {
    pub(crate) net: Arc<Net>,
    pub(crate) session: Session,
    pub(crate) intake: Intake,
    pub(crate) tape: Option<Tape>,
    pub(crate) desk: Arc<BookDesk>,
    pub(crate) mailbox: Arc<Mailbox<Change>>,
    pub(crate) earlier: Option<Earlier>,
}

/// The session's hands and ears.
pub(crate) struct Driver<'a> {
    pub(super) net: Arc<Net>,
    pub(super) session: Session,
    pub(super) intake: Intake,
    pub(super) tape: Option<Tape>,
    pub(super) outlet: &'a mut Outlet,
    pub(super) links: Vec<Link>,
    pub(super) opening: Vec<Opening>,
    pub(super) asking: Vec<Asking>,
    /// Connections opened so far, for their names.
    pub(super) opened: u64,
    /// Connections that broke and have not been replaced yet.
    pub(super) broken: u64,
    /// The last long wait for room in the ring: its end, and how long it was.
    pub(super) blocked: Option<(MonoNanos, u64)>,
    /// Steps of the clock that the tape knows of, and whether its last line about them said that there was one.
    pub(super) steps_taped: (u64, bool),
    /// The last time that was given to something received.
    stamped: UnixNanos,
    timer: Pin<Box<Sleep>>,
    timer_at: MonoNanos,
    viewed_at: MonoNanos,
    /// Where it is asked for books.
    desk: Arc<BookDesk>,
    /// Where it is told what is to change.
    pub(super) mailbox: Arc<Mailbox<Change>>,
    /// For symbols that are added.
    pub(super) earlier: Option<Earlier>,
}

/// An open connection.
pub(super) struct Link {
    pub(super) conn: ConnId,
    pub(super) name: String,
    pub(super) socket: Socket,
    /// When the socket was read last, by both clocks.
    pub(super) read_at: (UnixNanos, MonoNanos),
}

/// A connection that is being opened.
pub(super) struct Opening {
    pub(super) conn: ConnId,
    pub(super) result: Pin<Box<dyn Future<Output = Result<Socket, NetError>>>>,
}

/// A REST request under way.
pub(super) struct Asking {
    pub(super) pull: PullId,
    pub(super) purpose: Purpose,
    pub(super) url: String,
    pub(super) result: Pin<Box<dyn Future<Output = Result<String, NetError>>>>,
}

/// Why the loop ends.
pub(super) enum Over {
    /// The run wants no more.
    Ended,
    /// Something of the recorder failed.
    Failed(SourceError),
}

impl From<Ended> for Over {
    fn from(_: Ended) -> Self {
        Self::Ended
    }
}

impl From<SourceError> for Over {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

/// What the session judges liveness by.
struct Ears<'a> {
    intake: &'a Intake,
    links: &'a [Link],
}

impl Heard for Ears<'_> {
    fn heard(&self, symbol: &str) -> [u64; StreamKind::ALL.len()] {
        self.intake.heard(symbol)
    }

    fn heard_on(&self, symbol: &str, conn: ConnId) -> [u64; StreamKind::ALL.len()] {
        let link = self.links.iter().find(|link| link.conn == conn);
        link.map_or([0; StreamKind::ALL.len()], |link| self.intake.heard_on(symbol, &link.name))
    }

    fn is_book_whole(&self, symbol: &str) -> bool {
        self.intake.book(symbol).is_some()
    }
}

impl<'a> Driver<'a> {
    /// To be made within the runtime, whose timer it uses.
    pub(crate) fn new(parts: DriverParts, outlet: &'a mut Outlet) -> Self {
        let now = outlet.clock().mono();
        let DriverParts { net, session, intake, tape, desk, mailbox, earlier } = parts;
        Self {
            net,
            session,
            intake,
            tape,
            outlet,
            links: Vec::new(),
            opening: Vec::new(),
            asking: Vec::new(),
            opened: 0,
            broken: 0,
            blocked: None,
            steps_taped: (0, false),
            stamped: UnixNanos(0),
            timer: Box::pin(sleep_until(Instant::now())),
            timer_at: now,
            viewed_at: now,
            desk,
            mailbox,
            earlier,
        }
    }

    /// Records until the run wants no more.
    ///
    /// # Errors
    /// [`SourceError`] when something of the recorder failed. What was decoded is published all the same.
    pub(crate) async fn drive(mut self) -> Result<(), SourceError> {
        self.tick();
        let over = poll_fn(|cx| self.turn(cx)).await;
        poll_fn(|cx| {
            self.finish(cx);
            Poll::Ready(())
        })
        .await;
        match over {
            Over::Ended => Ok(()),
            Over::Failed(error) => Err(error),
        }
    }

    pub(super) fn counters(&self) -> &SourceCounters {
        self.outlet.counters()
    }

    pub(super) fn session_counters(&self) -> &SessionCounters {
        &self.outlet.counters().session
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        match self.work(cx) {
            Ok(()) => Poll::Pending,
            Err(over) => Poll::Ready(over),
        }
    }

    /// Does all that can be done now.
    fn work(&mut self, cx: &mut Context<'_>) -> Result<(), Over> {
        loop {
            // Sockets before timers: after a long wait for the ring there is much to read, and nobody was silent.
            let mut moved = self.read_links(cx)?;
            moved |= self.take_opened(cx);
            moved |= self.take_answers(cx)?;
            let Self { session, intake, outlet, .. } = self;
            let now = outlet.clock().mono();
            outlet.beat_at(now);
            for want in intake.wants() {
                session.want(now, want);
            }
            if now >= self.session.due() {
                self.tick();
            }
            if self.desk.is_asked() {
                self.desk.answer(&self.intake);
            }
            if self.mailbox.is_there() {
                self.change();
            }
            moved |= self.act(cx);
            self.publish()?;
            if !moved && self.is_asleep(cx) {
                return Ok(());
            }
        }
    }

    /// Sets the timer; false when it is due already.
    fn is_asleep(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.outlet.clock().mono();
        if now >= self.timer_at || self.session.due() < self.timer_at {
            let wait = Duration::from_nanos(self.session.due().since(now)).clamp(WAIT_MIN, WAIT_MAX);
            self.timer_at = MonoNanos(now.0.saturating_add(feedd_model::duration_nanos(wait)));
            self.timer.as_mut().reset(Instant::now() + wait);
        }
        self.timer.as_mut().poll(cx).is_pending()
    }

    /// Lets the session look at the time.
    fn tick(&mut self) {
        let Self { session, intake, outlet, links, .. } = self;
        let now = outlet.clock().mono();
        session.tick(now, &Ears { intake, links });
        if let Some(tape) = &mut self.tape {
            tape.hand_over();
            self.outlet.counters().session.tape_lines_dropped.set(tape.dropped());
        }
        if now.since(self.viewed_at) >= VIEW_NANOS || self.viewed_at == now {
            self.viewed_at = now;
            let view = self.session.view();
            let mute = view.streams.iter().filter(|(_, state)| *state == StreamState::Mute).count();
            let counters = self.session_counters();
            counters.streams.set(view.streams.len() as u64);
            counters.streams_mute.set((mute + view.streams_half_mute) as u64);
            counters.connections_live.set(view.connections_live as u64);
        }
    }

    /// Publishes what waits; a long wait for room is remembered.
    pub(super) fn publish(&mut self) -> Result<(), Over> {
        let before = self.counters().blocked_ns.get();
        let published = self.intake.publish(self.outlet);
        let blocked = self.counters().blocked_ns.get() - before;
        if blocked >= BLOCKED_NANOS_MIN {
            self.blocked = Some((self.outlet.clock().mono(), blocked));
        }
        Ok(published?)
    }

    /// When what is taken now was received; to be called before it is decoded.
    pub(super) fn stamp(&mut self) -> (UnixNanos, MonoNanos) {
        let at = self.intake.received(self.outlet);
        self.stamped = at;
        if self.tape.is_some() {
            self.tape_clock(at);
        }
        (at, self.outlet.clock().mono())
    }

    /// Reads every connection. True when anything came.
    fn read_links(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let (mut moved, mut index) = (false, 0);
        while index < self.links.len() {
            match self.read_link(index, cx, &mut moved)? {
                Some(end) => self.lost(index, &end),
                None => index += 1,
            }
        }
        Ok(moved)
    }

    /// Takes what one connection has ready. `Some` when it has ended.
    fn read_link(&mut self, index: usize, cx: &mut Context<'_>, moved: &mut bool) -> Result<Option<End>, Over> {
        for _ in 0..FRAMES_PER_TURN {
            let link = &mut self.links[index];
            let Poll::Ready(incoming) = link.socket.poll(cx) else { break };
            *moved = true;
            if link.socket.was_read() {
                let now = self.stamp();
                self.links[index].read_at = now;
            }
            match incoming {
                Incoming::Ended(end) => return Ok(Some(end)),
                Incoming::Alive => {
                    let link = &self.links[index];
                    self.session.alive(link.read_at.1, link.conn);
                }
                Incoming::Message(message) => match message.as_text() {
                    Some(text) => self.take(index, text)?,
                    None => self.take_binary(index, message.as_payload())?,
                },
            }
            if self.intake.is_due(self.outlet) {
                self.publish()?;
            }
        }
        Ok(None)
    }

    /// One frame.
    fn take(&mut self, index: usize, frame: &str) -> Result<(), Over> {
        let link = &self.links[index];
        let (at, now) = link.read_at;
        if let Some(tape) = &mut self.tape {
            tape.line(at, &link.name, Direction::In, frame);
        }
        let outcome = self.intake.frame_outcome(&link.name, frame, Some(at), self.outlet.counters())?;
        self.session.frame(now, link.conn, frame, &outcome);
        Ok(())
    }

    /// A binary frame: none of the protocols has one, some proxies make them of texts.
    #[cold]
    fn take_binary(&mut self, index: usize, frame: &[u8]) -> Result<(), Over> {
        if let Ok(text) = std::str::from_utf8(frame) {
            return self.take(index, text);
        }
        let place = format!("binary frame on {}", self.links[index].name);
        let reject = Reject::new(RejectReason::NotUtf8, "frame");
        self.intake.bad_input(reject, &place, frame, self.outlet.counters());
        Ok(())
    }

    /// The end of the run.
    fn finish(&mut self, cx: &mut Context<'_>) {
        let (at, now) = self.stamp();
        // First of all, so that only what was interrupted before is marked as such.
        self.note(at, "-", TapeNote::Ended);
        self.intake.ended(Some(at), self.outlet.counters());
        self.session.stop(now);
        self.act(cx);
        while !self.links.is_empty() {
            self.hang_up(0, "the recorder stops", cx);
        }
        self.opening.clear();
        self.asking.clear();
        // Ended anyway: the status is the last event, whatever the outlet answers.
        let _ = self.intake.publish(self.outlet);
        let _ = publish_status(self.outlet, StatusCode::Ended, Some(self.stamped));
        if let Some(tape) = self.tape.take() {
            tape.end();
        }
        let counters = self.session_counters();
        counters.connections_live.set(0);
        counters.streams_mute.set(0);
    }

    /// Puts a note on the tape, if there is one.
    pub(super) fn note(&mut self, at: UnixNanos, conn: &str, note: TapeNote) {
        if let Some(tape) = &mut self.tape {
            tape.line(at, conn, Direction::Control, &note.to_string());
        }
    }

    /// Puts a step of the clock on the tape, and that there was none since.
    #[cold]
    fn tape_clock(&mut self, at: UnixNanos) {
        let steps = self.counters().clock_steps.get();
        let (known, was_step) = self.steps_taped;
        self.steps_taped = (steps, steps != known);
        if steps != known {
            let step = self.counters().clock_step_ns.load(std::sync::atomic::Ordering::Relaxed);
            self.note(at, "-", TapeNote::Clock(step));
        } else if was_step {
            self.note(at, "-", TapeNote::Clock(0));
        }
    }

    /// Whether the recorder itself had not read for so long that it may be why a connection ended.
    pub(super) fn own_doing(&self) -> String {
        let now = self.outlet.clock().mono();
        match self.blocked {
            Some((end, nanos)) if now.since(end) < BLOCKED_FELT_NANOS => {
                let seconds = nanos / 1_000_000_000;
                format!(
                    "; feedd's own doing: it had not read for {seconds} s because its ring was full (storage is too slow)"
                )
            }
            _ => String::new(),
        }
    }
}
