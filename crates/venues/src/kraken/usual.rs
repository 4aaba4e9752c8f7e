//! Kraken frames printed as Kraken prints them, in both protocols: texts without escapes, plain whole numbers, levels in their
//! usual form, no white space; keys in any order. Most of what arrives.
//!
//! Hot path: read straight into the message. The first deviation, whatever it is, gives `None` and hands nothing out; the
//! general way (`wire.rs`, `first.rs`, `second.rs`) then reads the frame from its front and alone decides what it is, or
//! why it is refused. tests/usual_order_coinbase_kraken.rs checks that nobody can tell the two ways apart.

use super::wire::Lists;
use super::{usual_first, usual_second};
use crate::cursor::Cursor;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::{LevelNum, MessageSink, Num};

/// Hands out the messages of a frame and tells how many; `None`, and nothing handed out, when it is not quite as usual.
#[inline]
pub(super) fn decode(frame: &str, lists: &mut Lists, out: &mut dyn MessageSink) -> Option<usize> {
    let mut at = Cursor::new(frame, 0)?;
    if at.take(br#"{""#) {
        return usual_second::decode(at, frame, lists, out);
    }
    at.need(b"[")?;
    usual_first::decode(at, frame, lists, out)
}

/// Adds a level, within the bound.
#[inline(always)]
pub(super) fn push(levels: &mut Vec<LevelNum>, price: Num, size: Num) -> Option<()> {
    if levels.len() == SIDE_LEVELS_MAX {
        return None;
    }
    levels.push(LevelNum { price, size });
    Some(())
}

/// An instrument; the opening quote has been taken.
#[inline(always)]
pub(super) fn symbol<'a>(at: &mut Cursor<'a>) -> Option<&'a str> {
    at.string().filter(|symbol| !symbol.is_empty())
}

/// What ends the frame.
#[inline(always)]
pub(super) fn end<const N: usize>(at: &mut Cursor<'_>, tail: &[u8; N]) -> Option<()> {
    at.need(tail)?;
    at.is_at_end().then_some(())
}
