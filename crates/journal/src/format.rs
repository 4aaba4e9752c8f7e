//! Frames as bytes: the only place that knows the layout (FORMAT.md describes it).
//!
//! A frame is encoded without segment number and checksum; [`stamp`] adds both when it is known where it will stand, so that
//! frames can move to another segment after a failed write.

use crate::config::Stamp;
use crate::le::{get_i64, get_u16, get_u32, get_u64, put};
use feedd_model::{Epoch, Event, Position, Seq, SourceId, StreamId, UnixNanos};

/// Frames begin at multiples of this many bytes, and are as long.
pub(crate) const UNIT_BYTES: usize = 64;
/// A frame's header.
pub(crate) const HEADER_BYTES: usize = 64;
/// Largest frame: one page, so that one damaged page costs at most two frames.
pub(crate) const FRAME_BYTES_MAX: usize = 4096;
/// Most events of a frame: what is appended is cut into frames of so many.
pub const FRAME_EVENTS_MAX: usize = (FRAME_BYTES_MAX - HEADER_BYTES) / UNIT_BYTES;
/// Every control frame: header and [`Control`].
pub(crate) const CONTROL_FRAME_BYTES: usize = HEADER_BYTES + UNIT_BYTES;
/// The segment format this program writes, and the newest it reads.
pub(crate) const FORMAT_VERSION: u32 = 1;
/// What stands after the last frame of a commit.
pub(crate) const END_MARK: [u8; UNIT_BYTES] = [0; UNIT_BYTES];

/// [`UNIT_BYTES`] as headers hold it.
const UNIT: u32 = 64;
const _: () = assert!(UNIT as usize == UNIT_BYTES);
const MAGIC: [u8; 4] = *b"FDJf";
const NANOS_PER_MS: i64 = 1_000_000;
/// "Unknown" in a time field.
const NO_TIME: i64 = i64::MIN;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// First of a segment.
    Segment = 1,
    /// Instruments, one JSON object a line.
    Dictionary = 2,
    /// Events.
    Events = 3,
    /// A start of the recorder.
    EpochStart = 4,
    /// The recorder stopped in order.
    CleanStop = 5,
    /// Last of a full segment.
    Seal = 6,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        const ALL: [Kind; 6] =
            [Kind::Segment, Kind::Dictionary, Kind::Events, Kind::EpochStart, Kind::CleanStop, Kind::Seal];
        ALL.into_iter().find(|&kind| kind as u8 == byte)
    }

    /// Whether the payload is a [`Control`].
    pub(crate) const fn is_control(self) -> bool {
        !matches!(self, Self::Dictionary | Self::Events)
    }
}

/// What every frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) source: SourceId,
    pub(crate) payload_bytes: u32,
    /// Given by [`stamp`].
    pub(crate) segment: u64,
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
    /// First event; of a seal or clean stop: the last event so far.
    pub(crate) first: Seq,
    /// Events, or instruments.
    pub(crate) count: u32,
    /// How long before `at` an event behind this frame may have been received, in ms; 0 in frames of older versions.
    pub(crate) lag_ms: u32,
    pub(crate) at: UnixNanos,
    /// Last event of the epoch before this segment. In every frame, so that a segment knows its place without its
    /// first page. Given by [`stamp`].
    pub(crate) base: Seq,
}

impl Header {
    /// Length of the whole frame.
    pub(crate) const fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.payload_bytes as u64
    }

    /// Last event of an events frame.
    pub(crate) const fn last(&self) -> Seq {
        Seq(self.first.0 + self.count as u64 - 1)
    }

    /// No event behind this frame was received earlier.
    pub(crate) const fn complete_until(&self) -> UnixNanos {
        UnixNanos(self.at.0.saturating_sub(self.lag_ms as i64 * NANOS_PER_MS))
    }
}

/// Payload of every control frame; each kind fills what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    /// Format of the segment.
    pub(crate) version: u32,
    /// The run before ended in order (epoch start).
    pub(crate) clean: bool,
    /// Last event known before this segment, or before this start.
    pub(crate) before: Position,
    /// No event behind the newest one before was received earlier.
    pub(crate) complete_until: Option<UnixNanos>,
    /// When the epoch started.
    pub(crate) started_at: UnixNanos,
    /// Events of the segment (seal).
    pub(crate) events: u64,
}

impl Control {
    fn to_bytes(self) -> [u8; UNIT_BYTES] {
        let mut bytes = [0; UNIT_BYTES];
        put(&mut bytes, 0, self.version.to_le_bytes());
        put(&mut bytes, 4, u32::from(self.clean).to_le_bytes());
        put(&mut bytes, 8, self.before.epoch.0.to_le_bytes());
        put(&mut bytes, 16, self.before.seq.0.to_le_bytes());
        put(&mut bytes, 24, self.complete_until.map_or(NO_TIME, |at| at.0).to_le_bytes());
        put(&mut bytes, 32, self.started_at.0.to_le_bytes());
        put(&mut bytes, 40, self.events.to_le_bytes());
        bytes
    }

    /// Reads the payload of a control frame.
    pub(crate) fn from_payload(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < UNIT_BYTES {
            return None;
        }
        let complete_until = get_i64(bytes, 24);
        Some(Self {
            version: get_u32(bytes, 0),
            clean: get_u32(bytes, 4) != 0,
            before: Position { epoch: Epoch(get_u32(bytes, 8)), seq: Seq(get_u64(bytes, 16)) },
            complete_until: (complete_until != NO_TIME).then_some(UnixNanos(complete_until)),
            started_at: UnixNanos(get_i64(bytes, 32)),
            events: get_u64(bytes, 40),
        })
    }
}

/// What the frames of one start have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    pub(crate) stream: StreamId,
    pub(crate) epoch: Epoch,
}

impl Identity {
    /// Header of a frame of this start, without payload.
    fn header(self, kind: Kind, at: UnixNanos) -> Header {
        Header {
            kind,
            source: SourceId(0),
            payload_bytes: 0,
            segment: 0,
            stream: self.stream,
            epoch: self.epoch,
            first: Seq(0),
            count: 0,
            lag_ms: 0,
            at,
            base: Seq(0),
        }
    }

    /// Appends an events frame.
    pub(crate) fn push_events(self, out: &mut Vec<u8>, first: Seq, source: SourceId, events: &[Event], stamp: Stamp) {
        debug_assert!((1..=FRAME_EVENTS_MAX).contains(&events.len()), "a frame holds 1 to 63 events");
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let payload_bytes = count * UNIT;
        push_header(
            out,
            &Header {
                source,
                payload_bytes,
                first,
                count,
                lag_ms: lag_ms(stamp),
                ..self.header(Kind::Events, stamp.at)
            },
        );
        for event in events {
            out.extend_from_slice(&event.to_bytes());
        }
    }

    /// Appends a control frame. `last` as in [`Header::first`].
    pub(crate) fn push_control(self, out: &mut Vec<u8>, kind: Kind, last: Seq, at: UnixNanos, control: Control) {
        let header = Header { payload_bytes: UNIT, first: last, ..self.header(kind, at) };
        push_header(out, &header);
        out.extend_from_slice(&control.to_bytes());
    }

    /// Appends a dictionary frame of `lines` (`count` instruments), padded by line ends to whole units.
    pub(crate) fn push_dictionary(self, out: &mut Vec<u8>, lines: &[u8], count: u32, at: UnixNanos) {
        debug_assert!(lines.len() <= FRAME_BYTES_MAX - HEADER_BYTES, "a frame is at most one page");
        let padded = lines.len().next_multiple_of(UNIT_BYTES);
        let payload_bytes = u32::try_from(padded).unwrap_or(u32::MAX);
        push_header(out, &Header { payload_bytes, count, ..self.header(Kind::Dictionary, at) });
        out.extend_from_slice(lines);
        out.resize(out.len() + padded - lines.len(), b'\n');
    }
}

/// Rounded up, so that nothing is called complete that is not.
fn lag_ms(stamp: Stamp) -> u32 {
    let nanos = stamp.at.0.saturating_sub(stamp.complete_until.0).max(0).cast_unsigned();
    u32::try_from(nanos.div_ceil(NANOS_PER_MS.cast_unsigned())).unwrap_or(u32::MAX)
}

fn push_header(out: &mut Vec<u8>, header: &Header) {
    let mut bytes = [0; HEADER_BYTES];
    put(&mut bytes, 0, MAGIC);
    bytes[8] = header.kind as u8;
    put(&mut bytes, 10, header.source.0.to_le_bytes());
    put(&mut bytes, 12, header.payload_bytes.to_le_bytes());
    put(&mut bytes, 24, header.stream.0.to_le_bytes());
    put(&mut bytes, 28, header.epoch.0.to_le_bytes());
    put(&mut bytes, 32, header.first.0.to_le_bytes());
    put(&mut bytes, 40, header.count.to_le_bytes());
    put(&mut bytes, 44, header.lag_ms.to_le_bytes());
    put(&mut bytes, 48, header.at.0.to_le_bytes());
    out.extend_from_slice(&bytes);
}

/// Gives every frame in `frames` its place: segment number, base, checksum.
pub(crate) fn stamp(frames: &mut [u8], segment: u64, base: Seq) {
    let mut rest = frames;
    while rest.len() >= HEADER_BYTES {
        let frame_bytes = (HEADER_BYTES + get_u32(rest, 12) as usize).min(rest.len());
        let (frame, next) = rest.split_at_mut(frame_bytes);
        put(frame, 16, segment.to_le_bytes());
        put(frame, 56, base.0.to_le_bytes());
        let sum = checksum(frame);
        put(frame, 4, sum.to_le_bytes());
        rest = next;
    }
}

/// CRC-32 over the whole frame apart from the field of the checksum itself.
fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..4]);
    hasher.update(&frame[8..]);
    hasher.finalize()
}

/// Reads a header without judging the checksum: tells how long the frame would be. `None`: no frame begins here.
pub(crate) fn outline(bytes: &[u8]) -> Option<Header> {
    if bytes.len() < HEADER_BYTES || bytes[..4] != MAGIC {
        return None;
    }
    let header = Header {
        kind: Kind::from_byte(bytes[8])?,
        source: SourceId(get_u16(bytes, 10)),
        payload_bytes: get_u32(bytes, 12),
        segment: get_u64(bytes, 16),
        stream: StreamId(get_u32(bytes, 24)),
        epoch: Epoch(get_u32(bytes, 28)),
        first: Seq(get_u64(bytes, 32)),
        count: get_u32(bytes, 40),
        lag_ms: get_u32(bytes, 44),
        at: UnixNanos(get_i64(bytes, 48)),
        base: Seq(get_u64(bytes, 56)),
    };
    let fits = header.payload_bytes as usize <= FRAME_BYTES_MAX - HEADER_BYTES
        && (header.payload_bytes as usize).is_multiple_of(UNIT_BYTES);
    (fits && has_sound_shape(&header)).then_some(header)
}

/// Bounds that keep the arithmetic of readers safe, whatever the bytes are.
fn has_sound_shape(header: &Header) -> bool {
    /// No journal lives to see it; leaves room for additions.
    const SEQ_MAX: u64 = 1 << 62;
    let seqs = header.first.0 <= SEQ_MAX && header.base.0 <= SEQ_MAX && header.segment < SEQ_MAX;
    seqs && match header.kind {
        Kind::Events => {
            header.count > 0
                && header.first.0 > 0
                && header.payload_bytes as usize == header.count as usize * UNIT_BYTES
        }
        Kind::Dictionary => true,
        _ => header.payload_bytes as usize == UNIT_BYTES,
    }
}

/// Whether `frame` (whole, as long as its outline says) is what was written.
pub(crate) fn is_intact(frame: &[u8]) -> bool {
    get_u32(frame, 4) == checksum(frame)
}

/// Whether every event of a payload is of a known kind: otherwise the frame is damaged, or not ours.
pub(crate) fn are_events(payload: &[u8]) -> bool {
    payload.as_chunks::<UNIT_BYTES>().0.iter().all(|bytes| Event::from_bytes(bytes).is_some())
}

/// Reads the events of a payload into `out`. False when one is of no known kind; `out` is to be thrown away then.
pub(crate) fn read_events(payload: &[u8], out: &mut Vec<Event>) -> bool {
    out.clear();
    payload
        .as_chunks::<UNIT_BYTES>()
        .0
        .iter()
        .all(|bytes| Event::from_bytes(bytes).map(|event| out.push(event)).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { stream: StreamId(7), epoch: Epoch(3) };

    #[test]
    fn the_bytes_of_a_frame_are_those_of_the_document() {
        let mut bytes = Vec::new();
        let control = Control {
            version: 1,
            clean: true,
            before: Position { epoch: Epoch(2), seq: Seq(9) },
            complete_until: None,
            started_at: UnixNanos(5),
            events: 4,
        };
        IDENTITY.push_control(&mut bytes, Kind::Seal, Seq(0x0102), UnixNanos(-2), control);
        stamp(&mut bytes, 0x0a, Seq(8));
        let mut expected = vec![0; 128];
        expected[..4].copy_from_slice(b"FDJf");
        expected[4..8].copy_from_slice(&bytes[4..8]);
        expected[8] = 6;
        expected[12] = 64;
        expected[16] = 0x0a;
        (expected[24], expected[28]) = (7, 3);
        (expected[32], expected[33]) = (2, 1);
        expected[48] = 0xfe;
        expected[49..56].fill(0xff);
        expected[56] = 8;
        (expected[64], expected[68], expected[72], expected[80]) = (1, 1, 2, 9);
        expected[95] = 0x80;
        (expected[96], expected[104]) = (5, 4);
        assert_eq!(bytes, expected);
        let sum = crc32fast::hash(&[&bytes[..4], &bytes[8..]].concat());
        assert_eq!(bytes[4..8], sum.to_le_bytes());
        assert_eq!(Control::from_payload(&bytes[64..]), Some(control));
    }

    #[test]
    fn any_flipped_bit_of_a_frame_is_seen() {
        let mut bytes = Vec::new();
        IDENTITY.push_dictionary(&mut bytes, b"{\"id\":1}\n", 1, UnixNanos(1));
        stamp(&mut bytes, 4, Seq(0));
        assert!(outline(&bytes).is_some() && is_intact(&bytes));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(outline(&damaged).is_none() || !is_intact(&damaged), "bit {bit}");
        }
    }
}
