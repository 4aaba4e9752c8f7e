//! A socket, with or without TLS, and the ways to end it.

use rustix::net::sockopt::set_socket_linger;
use rustls::{ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How long the rest of a connection that ended in order is read and thrown away: closing earlier would reset it.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Either kind of socket.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Makes closing a reset. A peer that is gone already needs none.
    pub(crate) fn reset(&self) {
        let _ = set_socket_linger(self.tcp(), Some(Duration::ZERO));
    }

    /// Ends the stream towards the peer, then waits until the peer ends its own. A peer that is gone already knows.
    pub(crate) fn finish(&mut self) {
        let tcp = self.tcp();
        if tcp.shutdown(Shutdown::Write).is_err() || tcp.set_nonblocking(false).is_err() {
            return;
        }
        let _ = tcp.set_read_timeout(Some(Duration::from_millis(100)));
        let start = Instant::now();
        let mut thrown_away = [0u8; 4096];
        let mut tcp = self.tcp();
        while start.elapsed() < DRAIN_MAX {
            match tcp.read(&mut thrown_away) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if is_for_later(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Whether TLS holds bytes that the socket has not taken.
    pub(crate) fn wants_write(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.conn.wants_write())
    }
}

/// Nothing now, perhaps later.
pub(crate) fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
