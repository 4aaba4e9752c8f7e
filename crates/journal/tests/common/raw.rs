//! A second reader of segment files, written from FORMAT.md: shares no code with the crate.

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    pub offset: usize,
    pub bytes: usize,
    pub kind: u8,
    pub source: u16,
    pub segment: u64,
    pub stream: u32,
    pub epoch: u32,
    pub first: u64,
    pub count: u32,
    pub at: i64,
    pub payload: Vec<u8>,
}

pub const SEGMENT: u8 = 1;
pub const DICTIONARY: u8 = 2;
pub const EVENTS: u8 = 3;
pub const CLEAN_STOP: u8 = 5;
pub const SEAL: u8 = 6;

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

pub fn checksum(frame: &[u8]) -> u32 {
    crc32fast::hash(&[&frame[..4], &frame[8..]].concat())
}

/// Frames from the beginning to the end mark.
pub fn frames(file: &[u8]) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    let mut offset = 0;
    while file.len() - offset >= 64 && &file[offset..offset + 4] == b"FDJf" {
        let bytes = 64 + usize::try_from(number(&file[offset + 12..offset + 16])).unwrap();
        let frame = &file[offset..offset + bytes];
        assert_eq!(number(&frame[4..8]), u64::from(checksum(frame)), "checksum at {offset}");
        frames.push(RawFrame {
            offset,
            bytes,
            kind: frame[8],
            source: u16::try_from(number(&frame[10..12])).unwrap(),
            segment: number(&frame[16..24]),
            stream: u32::try_from(number(&frame[24..28])).unwrap(),
            epoch: u32::try_from(number(&frame[28..32])).unwrap(),
            first: number(&frame[32..40]),
            count: u32::try_from(number(&frame[40..44])).unwrap(),
            at: number(&frame[48..56]).cast_signed(),
            payload: frame[64..].to_vec(),
        });
        if frame[8] == SEAL || frame[8] == CLEAN_STOP {
            break;
        }
        offset += bytes;
    }
    frames
}
