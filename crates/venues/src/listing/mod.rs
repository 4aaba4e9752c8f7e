//! What `feedd decode` prints: every event of a capture as a JSON line, or one summary of a whole capture.
//!
//! Both walk the capture with the decoder that live recording uses. A bad line or a rejected frame is reported and the
//! walk goes on. Off the hot path: allocates freely.

mod book;
mod events;
mod summary;
mod symbols;
mod words;

pub use book::{FinalBook, book_of};
pub use events::{Listed, list_events};
pub use summary::{Summary, summarize};
pub use symbols::{BookSummary, QuoteSummary, SymbolSummary, TradeSummary};

use crate::capture::{CaptureError, CaptureReader, Direction, venue_of};
use crate::decoder::{Decoder, Outcome, Reject};
use crate::message::Message;
use crate::table::{self, Venue};
use std::path::{Path, PathBuf};

/// Why a capture could not be listed to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListingError {
    /// No decoder has this name.
    #[error("{}: no venue named `{venue}`; known: {}", path.display(), names())]
    UnknownVenue {
        /// The capture.
        path: PathBuf,
        /// The name asked for, or the name of the capture's folder.
        venue: String,
    },
    /// The capture could not be read to its end; what came before has been listed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The listing could not be written.
    #[error("writing the listing failed")]
    Write(#[source] std::io::Error),
}

fn names() -> String {
    table::names().collect::<Vec<_>>().join(", ")
}

/// Something that did not stop the walk.
#[derive(Debug)]
#[non_exhaustive]
pub enum Problem<'a> {
    /// A line of the capture is bad ([`CaptureError::Line`]).
    Line(&'a CaptureError),
    /// The decoder rejected a frame.
    Rejected {
        /// The capture.
        path: &'a Path,
        /// Line, from 1.
        line: u64,
        /// Why.
        reject: Reject,
    },
}

impl std::fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Rejected { path, line, reject } => write!(f, "{}:{line}: frame rejected: {reject}", path.display()),
        }
    }
}

/// Where a message stands.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    venue: &'static Venue,
    line: u64,
    recv_ns: Option<i64>,
    conn: &'a str,
}

/// What a walk feeds.
trait Listener {
    /// One message; `sub` counts from 0 within the frame.
    fn message(&mut self, place: Place<'_>, sub: usize, frame: &str, message: &Message<'_>);
    /// The frame gave no message.
    fn none(&mut self, place: Place<'_>, reason: &dyn std::fmt::Display);
    /// A frame the recorder sent.
    fn sent(&mut self, text: &str);
    /// Whether the walk goes on; asked after each line.
    fn check(&mut self) -> Result<(), ListingError>;
}

/// Reads a capture from front to back. `venue`: `None` takes the name of the capture's folder.
fn walk(
    path: &Path,
    venue: Option<&str>,
    listener: &mut dyn Listener,
    problems: &mut dyn FnMut(&Problem<'_>),
) -> Result<(), ListingError> {
    let venue = venue.map(str::to_owned).or_else(|| venue_of(path)).unwrap_or_default();
    let Some(venue) = table::venue(&venue) else {
        return Err(ListingError::UnknownVenue { path: path.to_owned(), venue });
    };
    let mut decoder = (venue.decoder)();
    let mut reader = CaptureReader::open(path)?;
    loop {
        let line = match reader.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(()),
            Err(error) if error.is_line() => {
                problems(&Problem::Line(&error));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let place = Place { venue, line: line.number, recv_ns: line.recv_ns, conn: line.conn };
        match line.dir {
            Direction::In => {
                if let Some(reject) = decode(&mut *decoder, place, line.frame, listener) {
                    problems(&Problem::Rejected { path, line: line.number, reject });
                }
            }
            Direction::Out => {
                decoder.request(line.conn, line.frame);
                listener.sent(line.frame);
            }
            Direction::Control => {}
        }
        listener.check()?;
    }
}

/// Decodes one frame into the listener; a rejection is handed back.
fn decode(decoder: &mut dyn Decoder, place: Place<'_>, frame: &str, listener: &mut dyn Listener) -> Option<Reject> {
    let mut sub = 0;
    let outcome = decoder.decode(place.conn, frame, &mut |frame: &str, message: &Message<'_>| {
        listener.message(place, sub, frame, message);
        sub += 1;
    });
    match outcome {
        // An empty list of events: the venue sent it, and there is nothing in it.
        Outcome::Messages(0) => listener.none(place, &"no event"),
        Outcome::Messages(_) => {}
        Outcome::Control { label, .. } | Outcome::Unknown(label) => listener.none(place, &label),
        Outcome::Rejected(reject) => {
            listener.none(place, &format_args!("rejected: {reject}"));
            return Some(reject);
        }
    }
    None
}
