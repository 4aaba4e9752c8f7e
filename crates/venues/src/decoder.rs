//! The contract of a decoder: one frame in, its messages out, or a countable reason why there are none.
//!
//! A frame is taken whole or rejected whole. Every frame has exactly one [`Outcome`], so frames received equal frames
//! decoded plus control plus unknown plus rejected.

use crate::message::MessageSink;
use crate::scan::JsonError;
use feedd_model::VenueSeq;
use std::fmt;

/// Largest frame that is decoded, in bytes. The largest ones recorded so far have 5 MB.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Turns a venue's text into messages. One decoder a source: it remembers what was asked for.
pub trait Decoder: Send {
    /// Notes what the recorder sent on `conn`: a subscription, or `GET <url>` of a REST call.
    fn request(&mut self, conn: &str, text: &str);

    /// Reads one frame that arrived on `conn`.
    fn decode<'f>(&mut self, conn: &str, frame: &'f str, out: &mut dyn MessageSink) -> Outcome<'f>;

    /// The venue's own number of the last frame among all of its connection, where it counts every one, also those without a
    /// message.
    fn connection_sequence(&self) -> Option<VenueSeq> {
        None
    }

    /// As [`Decoder::decode`], for bytes that have not been checked to be UTF-8.
    fn decode_bytes<'f>(&mut self, conn: &str, frame: &'f [u8], out: &mut dyn MessageSink) -> Outcome<'f> {
        if frame.len() > FRAME_BYTES_MAX {
            return Outcome::Rejected(Reject::new(RejectReason::TooLarge, "frame"));
        }
        match std::str::from_utf8(frame) {
            Ok(frame) => self.decode(conn, frame, out),
            Err(_) => Outcome::Rejected(Reject::new(RejectReason::NotUtf8, "frame")),
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'f> {
    /// So many messages were handed out.
    Messages(usize),
    /// Belongs to the connection, not to the market, or says nothing new.
    Control {
        /// What it is: [`CONTROL_ACK`], [`CONTROL_ERROR`], [`CONTROL_ALIVE`], [`CONTROL_SHUTDOWN`] or [`CONTROL_REPEAT`].
        name: &'static str,
        /// How the venue calls it.
        label: Label<'f>,
    },
    /// Good text that the decoder has no use for.
    Unknown(Label<'f>),
    /// Nothing of the frame was taken.
    Rejected(Reject),
}

/// The venue accepted a request.
pub const CONTROL_ACK: &str = "ack";
/// The venue refused a request.
pub const CONTROL_ERROR: &str = "error";
/// The venue tells that the connection or its system is alive: a heartbeat, the answer to a ping, a status.
pub const CONTROL_ALIVE: &str = "alive";
/// The venue is about to close the connection.
pub const CONTROL_SHUTDOWN: &str = "server_shutdown";
/// The venue says once more what another frame has said.
pub const CONTROL_REPEAT: &str = "repeat";

/// How the venue calls a frame; borrowed, so that counting unknown frames allocates nothing. Prints `event kline`,
/// or `event None` for a frame without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<'f> {
    /// Which field names it; empty where a word alone is all there is to say (`info`).
    pub field: &'static str,
    /// The name.
    pub name: Option<&'f str>,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.unwrap_or("None");
        if self.field.is_empty() { f.write_str(name) } else { write!(f, "{} {name}", self.field) }
    }
}

/// Why a frame was rejected, and at which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} ({field})", .reason.name())]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// The venue's name of the field, or `frame`.
    pub field: &'static str,
}

impl Reject {
    /// A rejection.
    #[must_use]
    pub const fn new(reason: RejectReason, field: &'static str) -> Self {
        Self { reason, field }
    }
}

impl From<JsonError> for Reject {
    fn from(error: JsonError) -> Self {
        let reason = match error {
            JsonError::Syntax { .. } => RejectReason::NotJson,
            JsonError::TooDeep => RejectReason::TooDeep,
            JsonError::TooLarge => RejectReason::TooLarge,
        };
        Self::new(reason, "frame")
    }
}

/// The closed set of reasons. Their names are stable: counters, metrics and stored rows carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RejectReason {
    /// Not JSON.
    NotJson,
    /// Not UTF-8.
    NotUtf8,
    /// Larger than [`FRAME_BYTES_MAX`].
    TooLarge,
    /// Nested deeper than is read.
    TooDeep,
    /// A field that the message must have is not there.
    MissingField,
    /// A field holds another type of value than it must.
    BadField,
    /// A price, size or sequence that is no number.
    BadNumber,
    /// A number that cannot be held exactly.
    NumberOutOfRange,
    /// A time that is none, or lies outside 1970 to 2262.
    BadTime,
    /// No instrument is named.
    NoSymbol,
    /// More levels than any venue sends.
    TooManyLevels,
}

impl RejectReason {
    /// Number of reasons: the size of a counter array.
    pub const COUNT: usize = Self::ALL.len();

    /// Every reason, in the order of [`RejectReason::index`].
    pub const ALL: [Self; 11] = [
        Self::NotJson,
        Self::NotUtf8,
        Self::TooLarge,
        Self::TooDeep,
        Self::MissingField,
        Self::BadField,
        Self::BadNumber,
        Self::NumberOutOfRange,
        Self::BadTime,
        Self::NoSymbol,
        Self::TooManyLevels,
    ];

    /// Place in a counter array, below [`RejectReason::COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name as counted and stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::MissingField => "missing_field",
            Self::BadField => "bad_field",
            Self::BadNumber => "bad_number",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::BadTime => "bad_time",
            Self::NoSymbol => "no_symbol",
            Self::TooManyLevels => "too_many_levels",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_a_counter_array_and_have_names_of_their_own() {
        for (at, reason) in RejectReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), at, "{}", reason.name());
            assert!(RejectReason::ALL[..at].iter().all(|other| other.name() != reason.name()), "{}", reason.name());
        }
    }
}
