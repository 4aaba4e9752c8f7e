//! Numbers of a few bits each, and numbers of variable length.

/// Bits that numbers up to `max` need.
pub(super) const fn width_of(max: u64) -> u32 {
    u64::BITS - max.leading_zeros()
}

/// Bytes that so many bits fill.
pub(super) const fn bytes_of(bits: u32) -> usize {
    bits.div_ceil(8) as usize
}

/// Appends the lowest `width` bits of each value, the first value in the lowest bits; the rest of the last byte is zero.
/// No value has higher bits.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut word, mut used) = (0_u64, 0);
    for value in values {
        word |= value << used;
        used += width;
        if used >= u64::BITS {
            out.extend_from_slice(&word.to_le_bytes());
            used -= u64::BITS;
            word = if used == 0 { 0 } else { value >> (width - used) };
        }
    }
    out.extend_from_slice(&word.to_le_bytes()[..bytes_of(used)]);
}

/// Appends a number in groups of seven bits, the lowest first.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Appends a signed number: small ones of either sign are short.
pub(super) fn put_zigzag(value: i64, out: &mut Vec<u8>) {
    put_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_lowest_on() {
        let packed = |values: &[u64], width| {
            let mut out = Vec::new();
            pack(values.iter().copied(), width, &mut out);
            out
        };
        // The example of the format's text: 0 to 7 of three bits each.
        assert_eq!(packed(&[0, 1, 2, 3, 4, 5, 6, 7], 3), [0b1000_1000, 0b1100_0110, 0b1111_1010]);
        assert_eq!(packed(&[5, 5, 5], 0), [0_u8; 0]);
        assert_eq!(packed(&[u64::MAX, 1], 64), [[255; 8], [1, 0, 0, 0, 0, 0, 0, 0]].concat());
        assert_eq!(packed(&[(1 << 63) - 1, 1, 1], 63), {
            let bits: u128 = ((1 << 63) - 1) | (1 << 63) | (1 << 126);
            [&bits.to_le_bytes()[..], &[0_u8; 8]].concat()
        });
    }

    #[test]
    fn numbers_of_variable_length() {
        let varint = |value| {
            let mut out = Vec::new();
            put_varint(value, &mut out);
            out
        };
        assert_eq!((varint(0), varint(127), varint(300)), (vec![0], vec![127], vec![0xAC, 2]));
        assert_eq!(varint(u64::MAX).len(), 10);
        let zigzag = |value| {
            let mut out = Vec::new();
            put_zigzag(value, &mut out);
            out
        };
        assert_eq!([0, -1, 1, -64].map(zigzag), [vec![0], vec![1], vec![2], vec![127]]);
        assert_eq!(zigzag(i64::MIN), varint(u64::MAX));
    }
}
