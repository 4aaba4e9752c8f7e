//! The format's RLE / bit-packing hybrid: runs of one number as (length, number), everything else in packed bits.

use super::bits::{bytes_of, pack, put_varint};

/// Shortest run that is written as one. Shorter ones, and those that take fewer bytes packed, are not worth ending the
/// packed numbers before them.
fn run_min(width: u32) -> usize {
    8.max(32 / width.max(1)) as usize
}

/// Appends the values, of `width` bits each.
pub(super) fn encode(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let run_min = run_min(width);
    // From `packed` to `at` stand whole groups of eight that are not written yet.
    let (mut packed, mut at) = (0, 0);
    while let Some(&value) = values.get(at) {
        let run = values[at..].iter().take_while(|&&next| next == value).count();
        if run >= run_min {
            put_packed(&values[packed..at], width, out);
            put_run(value, run, width, out);
            at += run;
            packed = at;
        } else {
            at = values.len().min(at + 8);
        }
    }
    put_packed(&values[packed..], width, out);
}

/// Appends `count` times the same value.
pub(super) fn put_run(value: u32, count: usize, width: u32, out: &mut Vec<u8>) {
    put_varint((count as u64) << 1, out);
    out.extend_from_slice(&value.to_le_bytes()[..bytes_of(width)]);
}

fn put_packed(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    put_varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    pack(values.iter().map(|&value| u64::from(value)), width, out);
    // The last group is whole, too.
    out.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder after the format's text.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_usize, 0);
            loop {
                header |= usize::from(bytes[0] & 127) << shift;
                shift += 7;
                let more = bytes[0] & 128 != 0;
                bytes = &bytes[1..];
                if !more {
                    break;
                }
            }
            let bit = |at: usize, bytes: &[u8]| u32::from(bytes[at / 8] >> (at % 8) & 1);
            let width = width as usize;
            if header & 1 == 0 {
                let value = (0..width).fold(0, |value, at| value | bit(at, bytes) << at);
                values.extend(std::iter::repeat_n(value, header >> 1));
                bytes = &bytes[width.div_ceil(8)..];
            } else {
                for first in (0..(header >> 1) * 8 * width.max(1)).step_by(width.max(1)) {
                    values.push((0..width).fold(0, |value, at| value | bit(first + at, bytes) << at));
                }
                bytes = &bytes[(header >> 1) * width..];
            }
        }
        assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
        assert!(values.len() < count + 8 && values[count..].iter().all(|&value| value == 0));
        values.truncate(count);
        values
    }

    proptest::proptest! {
        /// Runs and other numbers in any mixture read back.
        #[test]
        fn it_reads_back(
            width in 0u32..=20,
            pieces in proptest::collection::vec((proptest::num::u32::ANY, 1_u32..70, proptest::bool::ANY), 0..40),
        ) {
            let mask = (1 << width) - 1;
            let piece = |(seed, count, run): (u32, u32, bool)| {
                (0..count).map(move |i| seed.wrapping_mul(if run { 1 } else { 2 * i + 1 }) & mask)
            };
            let values: Vec<u32> = pieces.into_iter().flat_map(piece).collect();
            let mut out = Vec::new();
            encode(&values, width, &mut out);
            proptest::prop_assert_eq!(decode(&out, width, values.len()), values);
        }
    }

    #[test]
    fn a_run_takes_a_few_bytes_and_a_short_one_of_single_bits_does_not_end_the_others() {
        let size = |values: &[u32], width| {
            let mut out = Vec::new();
            encode(values, width, &mut out);
            out.len()
        };
        assert_eq!(size(&[3; 20_480], 2), 4);
        assert_eq!(size(&[7; 8], 9), 3);
        let bits: Vec<u32> = (0..80).map(|i| u32::from(i < 40 && i % 2 == 0 || i >= 64)).collect();
        assert_eq!(size(&bits, 1), 11, "24 and 16 of the same inside, yet packed");
    }
}
