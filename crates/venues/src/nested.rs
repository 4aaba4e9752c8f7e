//! Walks over the objects and lists inside a frame: by a closure a member or element, at any depth.
//!
//! Pure, nothing is allocated. A container of another kind than asked for is told by its field.

use crate::cursor::Cursor;
use crate::decoder::{Reject, RejectReason};
use crate::names::key_name;
use crate::scan::{JsonError, Scanner, Token, TokenKind};

/// Is given a key, and takes the value behind it.
pub(crate) type VisitMember<'v> = dyn FnMut(&[u8], &mut Scanner<'_>) -> Result<(), Reject> + 'v;

/// Takes an element.
pub(crate) type VisitElement<'v> = dyn FnMut(&mut Scanner<'_>) -> Result<(), Reject> + 'v;

/// A scanner that stands on a list or object of the frame, which has been taken as a token before.
pub(crate) fn scanner_at<'f>(frame: &'f str, token: Token, field: &'static str) -> Result<Scanner<'f>, Reject> {
    match token.kind {
        TokenKind::Object | TokenKind::Array => {}
        TokenKind::Absent | TokenKind::Null => return Err(Reject::new(RejectReason::MissingField, field)),
        _ => return Err(Reject::new(RejectReason::BadField, field)),
    }
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((token.start as usize, 0));
    Ok(scanner)
}

/// Calls `visit` with the key of each member; it takes the member's value.
pub(crate) fn each_member(
    scanner: &mut Scanner<'_>,
    frame: &str,
    field: &'static str,
    visit: &mut VisitMember<'_>,
) -> Result<(), Reject> {
    need(scanner, b'{', field)?;
    let mut more = scanner.open_object()?;
    while more {
        let key = scanner.key()?;
        visit(&key_name(frame, key), scanner)?;
        more = scanner.next_member()?;
    }
    Ok(())
}

/// Calls `visit` for each element, which it takes.
pub(crate) fn each_element(
    scanner: &mut Scanner<'_>,
    field: &'static str,
    visit: &mut VisitElement<'_>,
) -> Result<(), Reject> {
    need(scanner, b'[', field)?;
    let mut more = scanner.open_array()?;
    while more {
        visit(scanner)?;
        more = scanner.next_element()?;
    }
    Ok(())
}

/// Takes a whole frame: an object's members are visited, anything else is only checked to be JSON.
pub(crate) fn each_member_of_frame(frame: &str, visit: &mut dyn FnMut(&[u8], Token)) -> Result<(), JsonError> {
    let mut scanner = Scanner::new(frame)?;
    if scanner.peek() == Some(b'{') {
        let mut more = scanner.open_object()?;
        while more {
            let key = scanner.key()?;
            let value = scanner.value()?;
            visit(&key_name(frame, key), value);
            more = scanner.next_member()?;
        }
    } else {
        scanner.value()?;
    }
    scanner.end()
}

/// Shows the members of an object of texts without escapes, numbers, `true`, `false` and `null`, without white space: nearly
/// every object that holds no list. False, and nothing taken, for any other; what was shown then is to be forgotten.
#[inline]
pub(crate) fn read_plain_object(scanner: &mut Scanner<'_>, frame: &str, mut visit: impl FnMut(&[u8], Token)) -> bool {
    let (at, depth) = scanner.mark();
    let Some(mut cursor) = Cursor::new(frame, at) else { return false };
    let mut read = || {
        cursor.need(br#"{""#)?;
        loop {
            let key = cursor.string()?;
            cursor.need(b":")?;
            visit(key.as_bytes(), cursor.plain_value()?);
            if !cursor.take(br#",""#) {
                return cursor.need(b"}");
            }
        }
    };
    let is_plain = read().is_some();
    if is_plain {
        scanner.rewind((cursor.at(), depth));
    }
    is_plain
}

fn need(scanner: &mut Scanner<'_>, opening: u8, field: &'static str) -> Result<(), Reject> {
    if scanner.peek() == Some(opening) { Ok(()) } else { Err(Reject::new(RejectReason::BadField, field)) }
}
