//! The types of values: how each is written plainly, ordered and hashed.

use super::text::ShortText;
use std::sync::Arc;

/// Texts of a column of [`Word`]s, by word.
pub(crate) type Words = Arc<Vec<String>>;

/// A value of a column. `words` are the texts of the column's words.
pub(crate) trait Value: Copy + PartialEq + Send {
    /// Spreads similar values; the highest bits are the best.
    fn hash(self) -> u32;

    /// Appends the value as the format stores it plainly.
    fn put_plain(self, words: &[String], out: &mut Vec<u8>);

    /// The value as statistics hold it.
    fn statistic(self, words: &[String]) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.put_plain(words, &mut bytes);
        bytes
    }

    /// Whether it stands before another value, in the order of its column.
    fn is_less(self, other: Self, words: &[String]) -> bool;

    /// Smallest and largest.
    fn bounds(values: &[Self], words: &[String]) -> Option<(Self, Self)> {
        let (first, rest) = values.split_first()?;
        Some(rest.iter().fold((*first, *first), |(min, max), &value| {
            (if value.is_less(min, words) { value } else { min }, if max.is_less(value, words) { value } else { max })
        }))
    }

    /// Bytes of all texts; `None` when the values are no texts.
    fn text_bytes(_values: &[Self], _words: &[String]) -> Option<usize> {
        None
    }
}

/// A number of at most 64 bits that mostly rises by little.
pub(crate) trait Rising: Value {
    /// The number's bits: differences of unsigned numbers wrap as those of signed ones do.
    fn bits(self) -> i64;
}

impl Rising for i64 {
    fn bits(self) -> i64 {
        self
    }
}

impl Rising for u64 {
    fn bits(self) -> i64 {
        self.cast_signed()
    }
}

/// Fibonacci hashing, with 2^64 over the golden ratio: the highest bits of the product depend on all bits.
fn mix(bits: u64) -> u32 {
    (bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u32
}

macro_rules! numbers {
    ($($number:ty, $stored:ty, $bits:expr;)*) => {$(
        impl Value for $number {
            #[inline]
            fn hash(self) -> u32 {
                let bits: fn(Self) -> u64 = $bits;
                mix(bits(self))
            }

            fn put_plain(self, _words: &[String], out: &mut Vec<u8>) {
                out.extend_from_slice(&<$stored>::from(self).to_le_bytes());
            }

            #[inline]
            fn is_less(self, other: Self, _words: &[String]) -> bool {
                self < other
            }
        }
    )*};
}

// The second type has the size in which the format stores the first.
numbers! {
    u8, u32, u64::from;
    u32, u32, u64::from;
    u64, u64, |value| value;
    i64, i64, i64::cast_unsigned;
}

/// A decimal's digits: 16 bytes, the highest first.
impl Value for i128 {
    #[inline]
    fn hash(self) -> u32 {
        let bits = self.cast_unsigned();
        let (low, high) = ((bits & 0xFFFF_FFFF_FFFF_FFFF) as u64, (bits >> 64) as u64);
        mix(low ^ high.rotate_left(29))
    }

    fn put_plain(self, _words: &[String], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    #[inline]
    fn is_less(self, other: Self, _words: &[String]) -> bool {
        self < other
    }
}

/// A float; never NaN, which statistics have no place for.
#[derive(Clone, Copy)]
pub(crate) struct Float(pub(crate) f64);

/// By bits: 0 and -0 are two values.
impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Value for Float {
    fn hash(self) -> u32 {
        mix(self.0.to_bits())
    }

    fn put_plain(self, _words: &[String], out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    /// -0 before 0, as the format asks of bounds.
    fn is_less(self, other: Self, _words: &[String]) -> bool {
        self.0.total_cmp(&other.0).is_lt()
    }
}

/// A text out of the column's list, by its place there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u32);

impl Word {
    fn text(self, words: &[String]) -> &[u8] {
        words[self.0 as usize].as_bytes()
    }
}

impl Value for Word {
    #[inline]
    fn hash(self) -> u32 {
        self.0.hash()
    }

    fn put_plain(self, words: &[String], out: &mut Vec<u8>) {
        put_text(self.text(words), out);
    }

    fn statistic(self, words: &[String]) -> Vec<u8> {
        self.text(words).to_vec()
    }

    fn is_less(self, other: Self, words: &[String]) -> bool {
        self.text(words) < other.text(words)
    }

    /// Compares the texts of each word once.
    fn bounds(values: &[Self], words: &[String]) -> Option<(Self, Self)> {
        let mut used = vec![false; words.len()];
        values.iter().for_each(|word| used[word.0 as usize] = true);
        let used = (0..).map(Self).zip(used).filter_map(|(word, used)| used.then_some(word));
        used.fold(None, |bounds, word| {
            let (min, max) = bounds.unwrap_or((word, word));
            Some((if word.is_less(min, words) { word } else { min }, if max.is_less(word, words) { word } else { max }))
        })
    }

    fn text_bytes(values: &[Self], words: &[String]) -> Option<usize> {
        Some(values.iter().map(|word| word.text(words).len()).sum())
    }
}

impl Value for ShortText {
    fn hash(self) -> u32 {
        let fold = |hash: u32, piece: &[u8]| {
            let mut bytes = [0; 4];
            bytes[..piece.len()].copy_from_slice(piece);
            mix(u64::from(hash) << 32 | u64::from(u32::from_le_bytes(bytes)))
        };
        self.as_bytes().chunks(4).fold(0, fold)
    }

    fn put_plain(self, _words: &[String], out: &mut Vec<u8>) {
        put_text(self.as_bytes(), out);
    }

    fn statistic(self, _words: &[String]) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn is_less(self, other: Self, _words: &[String]) -> bool {
        self.as_bytes() < other.as_bytes()
    }

    fn text_bytes(values: &[Self], _words: &[String]) -> Option<usize> {
        Some(values.iter().map(|text| text.as_bytes().len()).sum())
    }
}

/// Appends a text behind its length.
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(text.len()).expect("symbols, labels and ids stay far below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text);
}
