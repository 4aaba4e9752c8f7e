//! Lists of price levels, `[["price","size",..],..]`: how nearly every venue prints a side of a book.
//!
//! Hot path: into buffers that keep their room.

use crate::cursor::Cursor;
use crate::decoder::{Reject, RejectReason};
use crate::fields::number;
use crate::message::LevelNum;
use crate::scan::{Scanner, Token, TokenKind};

/// Most levels a side: the largest recorded book (Coinbase, BTC-USD) has 44 thousand on both. Bounds what a hostile frame
/// makes us hold.
pub(crate) const SIDE_LEVELS_MAX: usize = 1 << 18;

/// Levels of one side, in a buffer that keeps its room.
#[derive(Debug, Default)]
pub(crate) struct SideLevels {
    /// The levels in the order sent.
    pub(crate) levels: Vec<LevelNum>,
    /// Why the list under this key is no list of levels. It only matters when the event is a depth message.
    pub(crate) fault: Option<Reject>,
}

/// As [`read_levels`], of a list as it is mostly printed: pairs of texts, no white space. `None` for any other.
#[inline]
pub(crate) fn read_plain_levels(at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>) -> Option<()> {
    if !at.take(br#"[[""#) {
        return at.need(b"[]");
    }
    for _ in 0..SIDE_LEVELS_MAX {
        let price = at.decimal()?;
        at.need(br#",""#)?;
        let size = at.decimal()?;
        levels.push(LevelNum { price, size });
        if !at.take(br#"],[""#) {
            return at.need(b"]]");
        }
    }
    None
}

/// `[["price","size"],..]`; further elements of a level are skipped (Binance spot sent an empty list there until 2019, OKX
/// counts orders).
pub(crate) fn read_levels(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
) -> Result<(), Reject> {
    // Nearly always all of them are as usual; what is read twice otherwise is one list.
    if let Some(mut cursor) = Cursor::new(frame, scanner.mark().0)
        && read_plain_levels(&mut cursor, levels).is_some()
    {
        scanner.rewind((cursor.at(), scanner.mark().1));
        return Ok(());
    }
    levels.clear();
    let mut more = scanner.open_array()?;
    while more {
        if levels.len() == SIDE_LEVELS_MAX {
            return Err(Reject::new(RejectReason::TooManyLevels, field));
        }
        if scanner.peek() != Some(b'[') || !scanner.open_array()? {
            return Err(Reject::new(RejectReason::BadField, field));
        }
        let price = number(frame, scanner.value()?, field)?;
        if !scanner.next_element()? {
            return Err(Reject::new(RejectReason::MissingField, field));
        }
        let size = number(frame, scanner.value()?, field)?;
        while scanner.next_element()? {
            scanner.value()?;
        }
        levels.push(LevelNum { price, size });
        more = scanner.next_element()?;
    }
    Ok(())
}

/// Whether a side was a list of levels; otherwise why not.
pub(crate) fn check_levels(list: Token, field: &'static str, fault: Option<Reject>) -> Result<(), Reject> {
    match (list.kind, fault) {
        (TokenKind::Absent, _) => Err(Reject::new(RejectReason::MissingField, field)),
        (TokenKind::Array, None) => Ok(()),
        (TokenKind::Array, Some(fault)) => Err(fault),
        _ => Err(Reject::new(RejectReason::BadField, field)),
    }
}
