//! The stream below a WebSocket or a REST call: TCP, with TLS on it or without.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Longest answer to a handshake, the first frames behind it included.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// A TCP stream that counts its reads: what came in one read was received at one time.
pub(super) struct Counted {
    tcp: TcpStream,
    reads: u64,
}

impl Counted {
    pub(super) const fn new(tcp: TcpStream) -> Self {
        Self { tcp, reads: 0 }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buffer))?;
        self.reads += 1;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// TCP or TLS.
enum Stream {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

/// A connection to a venue.
pub(super) struct Wire {
    stream: Stream,
    /// What came, while a handshake goes on.
    head: Option<Head>,
}

/// What came during a handshake: the client's library tells the status of a refusal, and not its headers.
pub(super) type Head = Rc<RefCell<Vec<u8>>>;

impl Wire {
    pub(super) const fn plain(stream: Counted) -> Self {
        Self { stream: Stream::Plain(stream), head: None }
    }

    pub(super) fn tls(stream: TlsStream<Counted>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)), head: None }
    }

    /// Reads of the socket so far.
    pub(super) fn reads(&self) -> u64 {
        match &self.stream {
            Stream::Plain(stream) => stream.reads,
            Stream::Tls(stream) => stream.get_ref().0.reads,
        }
    }

    /// Notes what comes from now on, and bounds it.
    pub(super) fn begin_handshake(&mut self) -> Head {
        let head = Head::default();
        self.head = Some(head.clone());
        head
    }

    /// The handshake is through.
    pub(super) fn end_handshake(&mut self) {
        self.head = None;
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        };
        if let Some(head) = &self.head {
            let mut head = head.borrow_mut();
            head.extend_from_slice(&buffer.filled()[before..]);
            if head.len() > HEAD_BYTES_MAX {
                return Poll::Ready(Err(io::Error::other("the answer to the handshake is too long")));
            }
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
