//! Frames whose payload is a list of events: `!ticker@arr`, `!miniTicker@arr`, and lists of bookTickers.

use super::wire::{DepthLevels, Fields, read_fields};
use super::{is_book_ticker, parse, symbol_of};
use crate::decoder::{Label, Outcome, Reject, RejectReason};
use crate::message::{Message, MessageSink};
use crate::scan::{Scanner, Token, TokenKind};

/// Quotes when the first element is a bookTicker; otherwise the list is unknown, under the name of its first event.
///
/// A list of quotes is walked twice, so that a fault in its last element leaves nothing handed out.
pub(super) fn decode<'f>(
    frame: &'f str,
    list: Token,
    symbol: &mut String,
    out: &mut dyn MessageSink,
) -> Result<Outcome<'f>, Reject> {
    let first = first_element(frame, list)?;
    if !first.is_some_and(|fields| is_quote(frame, &fields)) {
        let named = first.filter(|fields| fields.event.kind == TokenKind::String);
        let name = named.map(|fields| fields.event.text(frame));
        return Ok(Outcome::Unknown(Label { field: "list of", name }));
    }
    for_each(frame, list, &mut |fields| parse::quote(frame, fields, symbol_of(frame, fields, symbol)?).map(|_| ()))?;
    let mut quotes = 0;
    for_each(frame, list, &mut |fields| {
        let quote = parse::quote(frame, fields, symbol_of(frame, fields, symbol)?)?;
        out.message(frame, &Message::Quote(quote));
        quotes += 1;
        Ok(())
    })?;
    Ok(Outcome::Messages(quotes))
}

fn is_quote(frame: &str, fields: &Fields) -> bool {
    match fields.event.kind {
        TokenKind::String => fields.event.text(frame) == "bookTicker",
        _ => is_book_ticker(fields),
    }
}

/// The fields of the first element, when that is an object.
fn first_element(frame: &str, list: Token) -> Result<Option<Fields>, Reject> {
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((list.start as usize, 0));
    if !scanner.open_array()? || scanner.peek() != Some(b'{') {
        return Ok(None);
    }
    let mut fields = Fields::default();
    read_fields(&mut scanner, frame, &mut fields, &mut DepthLevels::default())?;
    Ok(Some(fields))
}

/// Shows every element's fields.
fn for_each(frame: &str, list: Token, visit: &mut dyn FnMut(&Fields) -> Result<(), Reject>) -> Result<(), Reject> {
    let mut levels = DepthLevels::default(); // Levels inside a list have no meaning here.
    let mut scanner = Scanner::new(frame)?;
    scanner.rewind((list.start as usize, 0));
    let mut more = scanner.open_array()?;
    while more {
        if scanner.peek() != Some(b'{') {
            return Err(Reject::new(RejectReason::BadField, "data"));
        }
        let mut fields = Fields::default();
        read_fields(&mut scanner, frame, &mut fields, &mut levels)?;
        visit(&fields)?;
        more = scanner.next_element()?;
    }
    Ok(())
}
