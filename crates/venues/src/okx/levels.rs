//! OKX's levels: `["price","size","0","orders"]`, where the third element has no meaning any more.
//!
//! Hot path: into buffers that keep their room. Source: okx.com/docs-v5, "WS / Order book channel" (mid 2026).

use crate::cursor::Cursor;
use crate::decoder::Reject;
use crate::levels::SIDE_LEVELS_MAX;
use crate::message::LevelNum;
use crate::scan::Scanner;

/// As [`read_levels`], of a list as the venue prints it: four texts a level, no white space. `None` for any other.
#[inline]
pub(super) fn read_plain_levels(at: &mut Cursor<'_>, levels: &mut Vec<LevelNum>) -> Option<()> {
    if !at.take(br#"[[""#) {
        return at.need(b"[]");
    }
    for _ in 0..SIDE_LEVELS_MAX {
        let price = at.decimal()?;
        at.need(br#",""#)?;
        let size = at.decimal()?;
        at.need(br#",""#)?;
        if !at.take(br#"0",""#) {
            at.string()?;
            at.need(br#",""#)?;
        }
        at.string()?;
        levels.push(LevelNum { price, size });
        if !at.take(br#"],[""#) {
            return at.need(b"]]");
        }
    }
    None
}

/// Levels of any form that [`crate::levels::read_levels`] takes.
pub(super) fn read_levels(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    levels: &mut Vec<LevelNum>,
) -> Result<(), Reject> {
    if let Some(mut cursor) = Cursor::new(frame, scanner.mark().0)
        && read_plain_levels(&mut cursor, levels).is_some()
    {
        scanner.rewind((cursor.at(), scanner.mark().1));
        return Ok(());
    }
    levels.clear();
    crate::levels::read_levels(scanner, frame, field, levels)
}
