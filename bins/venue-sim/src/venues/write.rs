//! Pieces of templates: keys and values appended to a text.

use crate::market::{Level, Side};
use crate::text::{Digits, push_decimal, push_int, push_json};

/// `"key":`, with a comma before it where one is due.
pub(super) fn key(out: &mut String, key: &str) {
    if !out.ends_with(['{', '[']) {
        out.push(',');
    }
    out.push('"');
    out.push_str(key);
    out.push_str("\":");
}

/// A text that needs no escapes.
pub(super) fn text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    out.push('"');
    out.push_str(value);
    out.push('"');
}

/// A text that may need escapes.
pub(super) fn any_text(out: &mut String, name: &str, value: &str) {
    key(out, name);
    push_json(out, value);
}

/// A number.
pub(super) fn number(out: &mut String, name: &str, value: u64) {
    key(out, name);
    push_int(out, value);
}

/// A number as a text.
pub(super) fn number_text(out: &mut String, name: &str, value: u64) {
    key(out, name);
    out.push('"');
    push_int(out, value);
    out.push('"');
}

/// A decimal as a text.
pub(super) fn decimal_text(out: &mut String, name: &str, value: i64, digits: Digits) {
    key(out, name);
    out.push('"');
    push_decimal(out, value, digits);
    out.push('"');
}

/// A decimal as a number.
pub(super) fn decimal(out: &mut String, name: &str, value: i64, digits: Digits) {
    key(out, name);
    push_decimal(out, value, digits);
}

/// A time as a text, `2026-08-09T21:05:48.228568Z`.
pub(super) fn time(out: &mut String, name: &str, ns: i64, places: u32) {
    key(out, name);
    out.push('"');
    crate::text::push_time(out, ns, places);
    out.push('"');
}

/// JSON as it is.
pub(super) fn raw(out: &mut String, name: &str, json: &str) {
    key(out, name);
    out.push_str(json);
}

/// Levels as `[["price","size"<more>],...]`.
pub(super) fn levels(out: &mut String, name: &str, levels: &[Level], [price, size]: [Digits; 2], more: &str) {
    key(out, name);
    out.push('[');
    for (at, level) in levels.iter().enumerate() {
        out.push_str(if at == 0 { "[\"" } else { ",[\"" });
        push_decimal(out, level.price, price);
        out.push_str("\",\"");
        push_decimal(out, level.size, size);
        out.push('"');
        out.push_str(more);
        out.push(']');
    }
    out.push(']');
}

/// A side in words of the venue.
pub(super) const fn side(side: Side, buy: &'static str, sell: &'static str) -> &'static str {
    match side {
        Side::Buy => buy,
        Side::Sell => sell,
    }
}
