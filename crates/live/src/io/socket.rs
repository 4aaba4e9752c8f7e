//! A WebSocket to a venue, as a client.
//!
//! Pings are answered below this; a frame that is too long or no UTF-8 ends the connection with a close code and a reason.

use super::dial::{Net, NetError, Step, dial, retry_after, within};
use super::wire::Wire;
use futures_util::{Sink, Stream};
use hyper::Uri;
use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio_websockets::proto::ProtocolError;
use tokio_websockets::{ClientBuilder, CloseCode, Error, Limits, Message, WebSocketStream, upgrade};

/// An open WebSocket.
pub(super) struct Socket {
    stream: WebSocketStream<Wire>,
    /// Reads whose frames have been taken or are being taken.
    reads_seen: u64,
}

/// What came.
pub(super) enum Incoming {
    /// A message.
    Message(Message),
    /// A ping or pong.
    Alive,
    /// The connection ended.
    Ended(End),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Close code; 1006 when nobody gave one.
    pub(super) code: u16,
    /// Whether the venue gave the code.
    pub(super) is_venues: bool,
    /// For the log.
    pub(super) text: String,
}

/// Nobody gave a close code (RFC 6455).
pub(super) const ABNORMAL: u16 = 1006;

impl Socket {
    /// Opens one: name, TCP, TLS and WebSocket handshake within [`Net::connect`].
    pub(super) async fn open(net: Arc<Net>, url: String) -> Result<Self, NetError> {
        let step = Cell::new("");
        within(net.connect, &step, shake_hands(&net, &url, &step)).await
    }

    /// The next thing that came.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        Pin::new(&mut self.stream).poll_next(cx).map(|next| match next {
            None => Incoming::Ended(abnormal("the venue ended the connection without a word".to_owned())),
            Some(Ok(message)) if message.is_ping() || message.is_pong() => Incoming::Alive,
            Some(Ok(message)) => match message.as_close() {
                None => Incoming::Message(message),
                Some((code, text)) => {
                    self.flush(cx);
                    let (code, is_venues) = (u16::from(code), true);
                    Incoming::Ended(End { code, is_venues, text: format!("the venue closed it: {code} {text}") })
                }
            },
            Some(Err(error)) => {
                // Whatever close frame the error has given rise to.
                self.flush(cx);
                Incoming::Ended(end_of(&error))
            }
        })
    }

    /// Whether the socket has been read since the last call.
    pub(super) fn was_read(&mut self) -> bool {
        let reads = self.stream.get_ref().reads();
        std::mem::replace(&mut self.reads_seen, reads) != reads
    }

    /// Sends a text. What cannot go out now goes out as the socket takes it; when the connection has ended, that is told by
    /// [`Socket::poll`].
    pub(super) fn send(&mut self, text: String, cx: &mut Context<'_>) {
        self.put(Message::text(text), cx);
    }

    /// Sends a ping.
    pub(super) fn ping(&mut self, cx: &mut Context<'_>) {
        self.put(Message::ping(""), cx);
    }

    /// Says goodbye, as far as that goes without waiting.
    pub(super) fn close(mut self, reason: &str, cx: &mut Context<'_>) {
        self.put(Message::close(Some(CloseCode::NORMAL_CLOSURE), reason), cx);
    }

    fn put(&mut self, message: Message, cx: &mut Context<'_>) {
        if Pin::new(&mut self.stream).start_send(message).is_ok() {
            self.flush(cx);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        // A failure is told by the next read.
        let _ = Pin::new(&mut self.stream).poll_flush(cx);
    }
}

async fn shake_hands(net: &Net, url: &str, step: &Step) -> Result<Socket, NetError> {
    let uri: Uri = url.parse().map_err(|error| NetError::new(format!("{url}: not an address: {error}")))?;
    let mut wire = dial(net, &uri, step).await?;
    step.set("the WebSocket handshake");
    let head = wire.begin_handshake();
    let limits = Limits::default().max_payload_len(Some(net.frame_bytes_max));
    let opened = ClientBuilder::from_uri(uri).limits(limits).connect_on(wire).await;
    let (mut stream, _) = opened.map_err(|error| refused(url, &error, &head.borrow()))?;
    stream.get_mut().end_handshake();
    Ok(Socket { stream, reads_seen: 0 })
}

/// Why the handshake failed, by the venue's answer as far as it came.
fn refused(url: &str, error: &Error, head: &[u8]) -> NetError {
    let Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(status)) = error else {
        return NetError::new(format!("{url}: the WebSocket handshake failed: {error}"));
    };
    let lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let header = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        line[..colon].eq_ignore_ascii_case(b"retry-after").then(|| retry_after(&line[colon + 1..])).flatten()
    });
    NetError { status: *status, retry_after: header, text: format!("{url}: the venue answers with status {status}") }
}

const fn abnormal(text: String) -> End {
    End { code: ABNORMAL, is_venues: false, text }
}

fn end_of(error: &Error) -> End {
    let (code, text) = match error {
        Error::PayloadTooLong { len, max_len } => {
            (1009, format!("a frame of {len} bytes; decode.frame_bytes_max is {max_len}"))
        }
        Error::Protocol(ProtocolError::InvalidUtf8) => (1007, "a text that is not UTF-8".to_owned()),
        Error::Protocol(error) => (1002, format!("the venue broke the WebSocket protocol: {error}")),
        error => (ABNORMAL, format!("the connection broke: {error}")),
    };
    End { code, is_venues: false, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_refusal_tells_its_status_and_what_the_venue_asks_to_wait() {
        let error = Error::Upgrade(upgrade::Error::DidNotSwitchProtocols(429));
        let cases: [(&[u8], Option<u64>); 4] = [
            (b"HTTP/1.1 429 Too Many\r\nserver: x\r\nRetry-After:  30 \r\n\r\n", Some(30)),
            (b"HTTP/1.1 429 Too Many\r\n\r\nRetry-After: 30\r\n", None),
            (b"HTTP/1.1 429 Too Many\r\nretry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\n", None),
            (b"", None),
        ];
        for (head, seconds) in cases {
            let refused = refused("ws://venue", &error, head);
            assert_eq!((refused.status, refused.retry_after), (429, seconds.map(Duration::from_secs)));
            assert_eq!(refused.text, "ws://venue: the venue answers with status 429");
        }
    }
}
