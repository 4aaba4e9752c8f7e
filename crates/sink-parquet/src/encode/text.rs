//! Short texts without an allocation each.

use std::fmt::{self, Display, Write};

/// Longest text: a UUID has 36 bytes, the largest number of 128 bits 39.
const BYTES_MAX: usize = 39;

/// A text of at most 39 bytes.
#[derive(Clone, Copy)]
pub(crate) struct ShortText {
    len: u8,
    bytes: [u8; BYTES_MAX],
}

impl ShortText {
    /// What a value prints; `None` when that is longer than 39 bytes.
    pub(crate) fn of(value: impl Display) -> Option<Self> {
        let mut text = Self { len: 0, bytes: [0; BYTES_MAX] };
        write!(text, "{value}").ok()?;
        Some(text)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Write for ShortText {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let start = usize::from(self.len);
        let end = start + more.len();
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(more.as_bytes());
        self.len = u8::try_from(end).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

/// Bytes behind the end are zero in every text.
impl PartialEq for ShortText {
    fn eq(&self, other: &Self) -> bool {
        (self.len, &self.bytes) == (other.len, &other.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fit() {
        let text = ShortText::of(u128::MAX).unwrap();
        assert_eq!(text.as_bytes(), u128::MAX.to_string().as_bytes());
        assert!(ShortText::of("x".repeat(40)).is_none());
        assert!(ShortText::of(12).unwrap() == ShortText::of("12").unwrap());
        assert!(ShortText::of(12).unwrap() != ShortText::of("12\0").unwrap());
    }
}
