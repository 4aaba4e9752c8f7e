//! `DELTA_BINARY_PACKED`: the differences from value to value, less the smallest of their block, in packed bits.

use super::Coder;
use super::bits::{pack, put_varint, put_zigzag, width_of};
use super::value::Rising;
use parquet::basic::Encoding;

/// Differences of a block, which share their smallest.
const BLOCK: usize = 256;
/// Differences of one width.
const MINI_BLOCK: usize = 64;

/// For numbers that mostly rise by little.
#[derive(Default)]
pub(crate) struct Delta;

impl<V: Rising> Coder<V> for Delta {
    fn encode(&mut self, values: &[V], _words: &[String], _codes: &mut Vec<u32>, out: &mut Vec<u8>) -> Encoding {
        put_varint(BLOCK as u64, out);
        put_varint((BLOCK / MINI_BLOCK) as u64, out);
        put_varint(values.len() as u64, out);
        let mut last = values.first().map_or(0, |first| first.bits());
        put_zigzag(last, out);
        let mut differences = [0_i64; BLOCK];
        for block in values.get(1..).unwrap_or_default().chunks(BLOCK) {
            for (difference, value) in differences.iter_mut().zip(block) {
                *difference = value.bits().wrapping_sub(last);
                last = value.bits();
            }
            put_block(&differences[..block.len()], out);
        }
        Encoding::DELTA_BINARY_PACKED
    }
}

/// Appends a block of at least one difference; a mini block that holds none takes only its width, 0.
fn put_block(differences: &[i64], out: &mut Vec<u8>) {
    let least = differences.iter().copied().min().unwrap_or(0);
    put_zigzag(least, out);
    let mut excess = [0_u64; BLOCK];
    for (excess, difference) in excess.iter_mut().zip(differences) {
        *excess = difference.wrapping_sub(least).cast_unsigned();
    }
    let widths = out.len();
    out.resize(widths + BLOCK / MINI_BLOCK, 0);
    for (at, mini) in excess.chunks(MINI_BLOCK).enumerate() {
        let width = width_of(mini.iter().fold(0, |bits, excess| bits | excess));
        [out[widths + at], ..] = width.to_le_bytes();
        pack(mini.iter().copied(), width, out);
    }
}
