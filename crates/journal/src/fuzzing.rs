//! Entry point of the fuzzer.

use crate::disk::DiskFile;
use crate::format;
use crate::segment::{SegmentReader, Step};
use std::io;
use std::sync::Arc;

/// Reads arbitrary bytes as a segment, by its own number and by the one they claim.
///
/// # Panics
/// Never: that is what is tested.
pub fn fuzz_bytes(bytes: &[u8]) {
    let claimed = format::outline(bytes).map_or(1, |header| header.segment);
    for number in [1, claimed] {
        let limit = bytes.len() as u64;
        let mut reader = SegmentReader::new(Arc::new(Bytes(bytes.to_vec())), number, limit, format::FRAME_BYTES_MAX);
        let mut events = Vec::new();
        let mut steps = 0;
        while let Ok(step) = reader.step() {
            steps += 1;
            assert!(steps <= bytes.len() + 2, "every step goes forward");
            match step {
                Step::End => break,
                Step::Frame { header, .. } => {
                    let payload = reader.payload();
                    let _ = format::Control::from_payload(payload);
                    if header.kind == format::Kind::Events && format::read_events(payload, &mut events) {
                        assert_eq!(events.len(), header.count as usize, "as many events as the frame says");
                    }
                }
                Step::Damaged(region) | Step::Rest(region) => {
                    let part = reader.written_part(region).map_or(0, |part| part.bytes);
                    assert!(part <= region.bytes, "a part is no longer than the whole");
                    let _ = reader.used_part(region);
                }
            }
        }
    }
}

#[derive(Debug)]
struct Bytes(Vec<u8>);

impl DiskFile for Bytes {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let count = bytes.len().min(self.0.len() - from);
        bytes[..count].copy_from_slice(&self.0[from..from + count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn preallocate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }
}
