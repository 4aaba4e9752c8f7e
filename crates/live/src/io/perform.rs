//! What the session asks to be done to connections, and what becomes of them.

use super::dial::NetError;
use super::driver::{Asking, Driver, Link, Opening};
use super::rest;
use super::socket::{End, Socket};
use crate::session::{Action, ConnId, Why};
use crate::stream::StreamKind;
use feedd_venues::capture::{Direction, TapeNote};
use std::task::{Context, Poll};

impl Driver<'_> {
    /// Does what the session asks for. True when there was anything.
    pub(super) fn act(&mut self, cx: &mut Context<'_>) -> bool {
        let actions = self.session.actions();
        let any = !actions.is_empty();
        for action in actions {
            self.perform(action, cx);
        }
        any
    }

    fn perform(&mut self, action: Action, cx: &mut Context<'_>) {
        match action {
            Action::Connect { conn, url } => {
                let result = Box::pin(Socket::open(self.net.clone(), url));
                self.opening.push(Opening { conn, result });
            }
            Action::Send { conn, text } => self.send(conn, text, cx),
            Action::Ping { conn } => {
                if let Some(link) = self.links.iter_mut().find(|link| link.conn == conn) {
                    link.socket.ping(cx);
                }
            }
            Action::Close { conn, why } => self.close(conn, why, cx),
            Action::Pull { pull, url, purpose } => {
                self.session_counters().pulls.add(1);
                let result = Box::pin(rest::get(self.net.clone(), url.clone()));
                self.asking.push(Asking { pull, purpose, url, result });
            }
            Action::Silent { symbol, kind, conn } => self.silent(symbol, kind, conn),
            Action::Left { symbol } => self.left(symbol),
            // It begins with the source's name.
            Action::Tell { is_warning: true, text } => tracing::warn!("{text}"),
            Action::Tell { is_warning: false, text } => tracing::info!("{text}"),
        }
    }

    fn silent(&mut self, symbol: String, kind: StreamKind, conn: Option<ConnId>) {
        let link = conn.map(|conn| self.links.iter().find(|link| link.conn == conn).map(|link| link.name.clone()));
        // Of a connection that is gone there is nothing to say any more.
        let Some(name) = link.unwrap_or_else(|| Some(TapeNote::EVERYWHERE.to_owned())) else { return };
        let at = self.outlet.clock().wall();
        self.intake.silent(&symbol, Some(kind), conn.map(|_| name.as_str()));
        self.note(at, &name, TapeNote::Mute(kind, symbol));
    }

    fn send(&mut self, conn: ConnId, text: String, cx: &mut Context<'_>) {
        let Some(link) = self.links.iter_mut().find(|link| link.conn == conn) else { return };
        self.intake.request(&link.name, &text);
        if let Some(tape) = &mut self.tape {
            tape.line(self.outlet.clock().wall(), &link.name, Direction::Out, &text);
        }
        link.socket.send(text, cx);
    }

    fn close(&mut self, conn: ConnId, why: Why, cx: &mut Context<'_>) {
        if let Some(at) = self.opening.iter().position(|opening| opening.conn == conn) {
            drop(self.opening.remove(at));
            self.session_counters().connections_failed.add(1);
        }
        if let Some(index) = self.links.iter().position(|link| link.conn == conn) {
            self.broken += u64::from(!matches!(why, Why::Replaced | Why::Stopping));
            self.hang_up(index, reason(why), cx);
        }
    }

    /// Ends a connection.
    pub(super) fn hang_up(&mut self, index: usize, reason: &str, cx: &mut Context<'_>) {
        let link = self.links.remove(index);
        link.socket.close(reason, cx);
        self.down(&link.name, 0);
    }

    /// A connection has ended by itself.
    pub(super) fn lost(&mut self, index: usize, end: &End) {
        let Link { conn, name, .. } = self.links.remove(index);
        self.broken += 1;
        self.down(&name, if end.is_venues { end.code } else { 0 });
        let text = format!("{name}: {}{}", end.text, self.own_doing());
        self.session.closed(self.outlet.clock().mono(), conn, end.code, &text);
    }

    fn down(&mut self, name: &str, code: u16) {
        let (at, _) = self.stamp();
        self.note(at, name, TapeNote::Closed(code));
        self.intake.closed(name, code, Some(at), self.outlet.counters());
        self.session_counters().connections_closed.add(1);
    }

    /// Takes connections that are open now, or will not be. True when there were any.
    pub(super) fn take_opened(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut moved, mut index) = (false, 0);
        while let Some(opening) = self.opening.get_mut(index) {
            let Poll::Ready(result) = opening.result.as_mut().poll(cx) else {
                index += 1;
                continue;
            };
            let conn = self.opening.remove(index).conn;
            moved = true;
            match result {
                Ok(socket) => self.up(conn, socket),
                Err(error) => self.not_opened(conn, &error),
            }
        }
        moved
    }

    fn up(&mut self, conn: ConnId, socket: Socket) {
        self.opened += 1;
        let name = format!("ws-{}", self.opened);
        let read_at = self.stamp();
        self.note(read_at.0, &name, TapeNote::Opened);
        self.intake.opened(&name, Some(read_at.0), self.outlet.counters());
        let counters = self.session_counters();
        counters.connections_opened.add(1);
        counters.reconnects.add(u64::from(self.broken > 0));
        self.broken = self.broken.saturating_sub(1);
        self.links.push(Link { conn, name, socket, read_at });
        self.session.connected(read_at.1, conn);
    }

    fn not_opened(&mut self, conn: ConnId, error: &NetError) {
        self.session_counters().connections_failed.add(1);
        let now = self.outlet.clock().mono();
        self.session.connect_failed(now, conn, &error.text, error.retry_after);
    }
}

/// The reason of a close frame.
const fn reason(why: Why) -> &'static str {
    match why {
        Why::ConnectTimeout => "not open in time",
        Why::NoAcknowledgement => "no acknowledgement",
        Why::NoFirstData => "no data",
        Why::Silent => "silent",
        Why::Mute => "a stream is mute",
        Why::Replaced => "replaced",
        Why::Stopping => "the recorder stops",
    }
}
