//! Either kind of socket, and the ways to end it.

use rustix::net::sockopt::set_socket_linger;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How long the rest of a connection that ended in order is read and thrown away: closing earlier would reset it.
const DRAIN_MAX: Duration = Duration::from_secs(1);
/// Bytes of that read at once.
const DRAIN_BYTES: usize = 16 << 10;

/// Either kind of socket.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(super) fn prepare(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                // Small pieces shall leave as small pieces.
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)
            }
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Makes closing a reset. A peer that is gone already needs none.
    pub(super) fn reset(&self) {
        if let Self::Tcp(stream) = self {
            let _ = set_socket_linger(stream, Some(Duration::ZERO));
        }
    }

    /// Ends the stream towards the peer. A peer that is gone already knows.
    pub(super) fn finish(&self) {
        let _ = match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Self::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }
}

/// Reads what both peers still send, until they end, for a moment at most.
pub(super) fn drain(client: &mut Stream, server: &mut Stream) {
    let mut buffer = vec![0; DRAIN_BYTES];
    for stream in [client, server] {
        crate::wait_until(DRAIN_MAX, || {
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return true,
                    Ok(_) => {}
                    Err(error) => return !is_not_yet(&error),
                }
            }
        });
    }
}

pub(super) fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
