//! Bodies of answers: whole, or a stream of events.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// What is sent.
pub(super) enum Answer {
    /// All of it; taken when it is sent.
    Whole(Option<Bytes>),
    /// Server-sent events.
    Events {
        /// When the next is due.
        due: Interval,
        /// Makes it.
        next: Box<dyn FnMut() -> String + Send>,
    },
}

impl Answer {
    pub(super) fn events(every_ms: u64, next: Box<dyn FnMut() -> String + Send>) -> Self {
        let mut due = interval(Duration::from_millis(every_ms));
        // A client that was slow gets the newest, not what it has missed.
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Events { due, next }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events { due, next } => due.poll_tick(context).map(|_| {
                // JSON has no line breaks of its own.
                Some(Ok(Frame::data(Bytes::from(format!("data: {}\n\n", next())))))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Events { .. } => SizeHint::default(),
        }
    }
}
