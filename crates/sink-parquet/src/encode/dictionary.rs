//! Dictionary encoding: each distinct value once, and for each row its place among them.
//!
//! A table of open addressing leads from value to code. When the dictionary is full, the page at hand and all later ones
//! of the chunk are written plainly, as other writers do.

use super::Coder;
use super::bits::width_of;
use super::hybrid;
use super::value::Value;
use parquet::basic::Encoding;

/// Largest dictionary page: 256 KiB measured 7 % more bytes, more than 1 MiB no fewer.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// Slots of a small dictionary.
const SLOTS_MIN: usize = 16;

/// Values that are looked up together, few enough that most values new to a page are found from the second time on.
/// Measured no slower and no faster than one by one: what takes the time is that large dictionaries leave the caches.
const LOOK_AHEAD: usize = 128;

/// For values that recur.
pub(crate) struct Dictionary<V> {
    /// By code.
    values: Vec<V>,
    /// The values as the dictionary's page holds them.
    plain: Vec<u8>,
    /// One above the code of the value whose hash leads there; 0 where there is none. A power of two, at most half full.
    slots: Vec<u32>,
    /// Pages refer to the dictionary.
    used: bool,
    full: bool,
}

impl<V> Default for Dictionary<V> {
    fn default() -> Self {
        Self { values: Vec::new(), plain: Vec::new(), slots: Vec::new(), used: false, full: false }
    }
}

impl<V: Value> Dictionary<V> {
    /// The value's code, a new one when it is new; `None` when there is no room for it.
    fn code(&mut self, value: V, words: &[String]) -> Option<u32> {
        if self.slots.len() < 2 * (self.values.len() + 1) {
            self.place_all((4 * self.values.len()).next_power_of_two().max(SLOTS_MIN));
        }
        let mask = self.slots.len() - 1;
        let mut at = slot(value, self.slots.len());
        loop {
            match self.slots[at] {
                0 => break,
                next if self.values[next as usize - 1] == value => return Some(next - 1),
                _ => at = (at + 1) & mask,
            }
        }
        let end = self.plain.len();
        value.put_plain(words, &mut self.plain);
        if self.plain.len() > BYTES_MAX {
            self.plain.truncate(end);
            return None;
        }
        self.values.push(value);
        self.slots[at] = u32::try_from(self.values.len()).expect("a value takes bytes, so there are at most 2^20");
        self.slots[at].checked_sub(1)
    }

    /// Makes the table anew, with `len` slots.
    fn place_all(&mut self, len: usize) {
        self.slots.clear();
        self.slots.resize(len, 0);
        for (next, value) in (1..).zip(&self.values) {
            let mut at = slot(*value, len);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = next;
        }
    }

    /// Codes of all values; false when the dictionary became full on the way.
    fn codes(&mut self, values: &[V], words: &[String], codes: &mut Vec<u32>) -> bool {
        codes.clear();
        if self.slots.is_empty() {
            self.place_all(SLOTS_MIN);
        }
        for block in values.chunks(LOOK_AHEAD) {
            // First the slots of all, then the values there: loads that need not wait for each other.
            let start = codes.len();
            codes.extend(block.iter().map(|&value| self.slots[slot(value, self.slots.len())]));
            for (code, &value) in codes[start..].iter_mut().zip(block) {
                let found = (*code).checked_sub(1).filter(|&found| self.values[found as usize] == value);
                match found.or_else(|| self.code(value, words)) {
                    Some(found) => *code = found,
                    None => return false,
                }
            }
        }
        true
    }
}

/// The first of `len` slots, a power of two above 1, where a value may stand.
#[inline]
fn slot(value: impl Value, len: usize) -> usize {
    (value.hash() >> (u32::BITS - len.trailing_zeros())) as usize
}

impl<V: Value> Coder<V> for Dictionary<V> {
    fn encode(&mut self, values: &[V], words: &[String], codes: &mut Vec<u32>, out: &mut Vec<u8>) -> Encoding {
        let known = (self.values.len(), self.plain.len());
        if !self.full && self.codes(values, words, codes) {
            self.used = true;
            let width = width_of(self.values.len().saturating_sub(1) as u64);
            let [byte, ..] = width.to_le_bytes();
            out.push(byte);
            hybrid::encode(codes, width, out);
            return Encoding::RLE_DICTIONARY;
        }
        if !self.full {
            // Of this page nothing refers to it; the table is not needed any more.
            self.full = true;
            self.values.truncate(known.0);
            self.plain.truncate(known.1);
            self.slots = Vec::new();
        }
        values.iter().for_each(|value| value.put_plain(words, out));
        Encoding::PLAIN
    }

    fn dictionary(&self) -> Option<(&[u8], usize)> {
        self.used.then_some((&self.plain, self.values.len()))
    }

    fn memory_bytes(&self) -> usize {
        self.values.capacity() * size_of::<V>() + self.plain.capacity() + self.slots.capacity() * size_of::<u32>()
    }
}
