//! The commit buffer: frames that are not durable yet.
//!
//! They are kept until a sync has succeeded, so that they can be written again elsewhere.

use crate::config::Stamp;
use crate::format::{self, Control, FRAME_BYTES_MAX, FRAME_EVENTS_MAX, HEADER_BYTES, Identity, Kind};
use feedd_core::Instruments;
use feedd_model::{Event, InstrumentId, Seq, SourceId, UnixNanos};

/// Frames in order, not stamped.
#[derive(Debug)]
pub(crate) struct Pending {
    identity: Identity,
    bytes: Vec<u8>,
}

/// The frames that fit into what is left of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: usize,
    pub(crate) events: u64,
    /// Last event, and since when what follows it was received, when there is one.
    pub(crate) last: Option<(Seq, UnixNanos)>,
    /// The clean stop is among them.
    pub(crate) stopped_at: Option<UnixNanos>,
}

impl Pending {
    pub(crate) const fn new(identity: Identity) -> Self {
        Self { identity, bytes: Vec::new() }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn push_events(&mut self, first: Seq, source: SourceId, events: &[Event], stamp: Stamp) {
        let mut first = first;
        for part in events.chunks(FRAME_EVENTS_MAX) {
            self.identity.push_events(&mut self.bytes, first, source, part, stamp);
            first = Seq(first.0 + part.len() as u64);
        }
    }

    pub(crate) fn push_control(&mut self, kind: Kind, last: Seq, at: UnixNanos, control: Control) {
        self.identity.push_control(&mut self.bytes, kind, last, at, control);
    }

    /// Appends the instruments with numbers above `known` up to `len`.
    pub(crate) fn push_dictionary(&mut self, instruments: &Instruments, known: usize, len: usize, at: UnixNanos) {
        push_dictionary(self.identity, &mut self.bytes, instruments, known, len, at);
    }

    /// What of the frames fits into `room` bytes; a clean stop may also use `reserve`, which is kept for it.
    pub(crate) fn fit(&self, room: u64, reserve: u64) -> Piece {
        let mut piece = Piece::default();
        while let Some(header) = self.bytes.get(piece.bytes..).and_then(format::outline) {
            let end = piece.bytes as u64 + header.frame_bytes();
            let is_stop = header.kind == Kind::CleanStop;
            if end > room + if is_stop { reserve } else { 0 } {
                break;
            }
            piece.bytes += HEADER_BYTES + header.payload_bytes as usize;
            if header.kind == Kind::Events {
                piece.events += u64::from(header.count);
                piece.last = Some((header.last(), header.complete_until()));
            }
            piece.stopped_at = is_stop.then_some(header.at);
        }
        piece
    }

    /// The first `bytes` of the frames, stamped, followed by `after`, for one write.
    pub(crate) fn stamped(&mut self, bytes: usize, segment: u64, base: Seq, after: &[u8]) -> Stamped<'_> {
        format::stamp(&mut self.bytes[..bytes], segment, base);
        if bytes == self.bytes.len() {
            // The usual case: no copy of the frames.
            self.bytes.extend_from_slice(after);
            Stamped { pending: &mut self.bytes, frames: bytes, copy: Vec::new() }
        } else {
            let copy = [&self.bytes[..bytes], after].concat();
            Stamped { frames: self.bytes.len(), pending: &mut self.bytes, copy }
        }
    }

    /// Forgets the first `bytes`: they are durable.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.bytes.drain(..bytes);
    }
}

/// Bytes to be written; the buffer is as before when this is dropped.
pub(crate) struct Stamped<'a> {
    pending: &'a mut Vec<u8>,
    frames: usize,
    copy: Vec<u8>,
}

impl Stamped<'_> {
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.copy.is_empty() { self.pending } else { &self.copy }
    }
}

impl Drop for Stamped<'_> {
    fn drop(&mut self) {
        self.pending.truncate(self.frames);
    }
}

/// Appends dictionary frames of the instruments with numbers above `known` up to `len`, each frame at most a page.
pub(crate) fn push_dictionary(
    identity: Identity,
    out: &mut Vec<u8>,
    instruments: &Instruments,
    known: usize,
    len: usize,
    at: UnixNanos,
) {
    let mut lines = Vec::new();
    let mut count = 0;
    for number in known + 1..=len {
        let id = InstrumentId(u32::try_from(number).unwrap_or(u32::MAX));
        let Some(instrument) = instruments.get(id) else { continue };
        let Ok(mut line) = serde_json::to_vec(&instrument) else { continue };
        line.push(b'\n');
        if line.len() > FRAME_BYTES_MAX - HEADER_BYTES {
            // No venue has such a symbol. The id stays in the dictionary's own file.
            tracing::error!(
                id = id.0,
                bytes = line.len(),
                "journal: a symbol is too long for its segment's dictionary"
            );
            continue;
        }
        if lines.len() + line.len() > FRAME_BYTES_MAX - HEADER_BYTES {
            identity.push_dictionary(out, &lines, count, at);
            (lines, count) = (Vec::new(), 0);
        }
        lines.extend_from_slice(&line);
        count += 1;
    }
    if count > 0 {
        identity.push_dictionary(out, &lines, count, at);
    }
}
