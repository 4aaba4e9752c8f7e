//! From a span of bytes to a line, a column and the line's text with a caret below.

use crate::hide::{self, HIDDEN};
use std::ops::Range;

/// A spot of a text file, counted as editors count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text, cut around the spot when it is long, and before a password.
    pub excerpt: String,
    /// A line with carets that stands below `excerpt`.
    pub carets: String,
}

/// Finds the first byte of `span`; a span outside the text is its end. What lies in `hidden` is not shown.
pub(crate) fn spot(text: &str, span: &Range<usize>, hidden: &[Range<usize>]) -> Spot {
    let start = floor_char_boundary(text, span.start);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let column = text[line_start..start].chars().count() + 1;
    let full = text[line_start..line_end].trim_end_matches('\r');
    let shown_end = line_start + shown_bytes(full, line_start, hidden);
    let is_cut = shown_end < line_start + full.len();
    let line_text = format!("{}{}", &text[line_start..shown_end], if is_cut { HIDDEN } else { "" });
    // A spot inside the hidden part is shown at its beginning.
    let start = if is_cut { start.min(shown_end) } else { start };
    let indent = text[line_start..start].chars().count();
    let end = floor_char_boundary(text, span.end.min(if is_cut { shown_end } else { line_end })).max(start);
    let width = match text[start..end].trim_end().chars().count() {
        0 if is_cut => HIDDEN.len(),
        width => width.max(1),
    };

    // A list on one line can be thousands of characters: show the surroundings of the spot.
    let cut = indent.saturating_sub(BEFORE_CHARS_MAX);
    let excerpt: String = line_text.chars().skip(cut).take(LINE_CHARS_MAX).collect();
    let shown_indent = indent - cut;
    let padding: String = excerpt.chars().take(shown_indent).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = format!("{padding}{}", "^".repeat(width.min(LINE_CHARS_MAX - BEFORE_CHARS_MAX)));
    Spot { line: before.matches('\n').count() + 1, column, excerpt, carets }
}

/// Bytes of a line before the first hidden one; the line begins at `line_start` of the text.
fn shown_bytes(line: &str, line_start: usize, hidden: &[Range<usize>]) -> usize {
    let line_end = line_start + line.len();
    let touching = hidden.iter().filter(|range| range.start < line_end && range.end > line_start);
    let first = touching.map(|range| range.start.saturating_sub(line_start)).min();
    let first = first.into_iter().chain(hide::hidden_from(line)).min().unwrap_or(line.len());
    floor_char_boundary(line, first)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// Characters of a line that are shown; a terminal's usual width.
const LINE_CHARS_MAX: usize = 120;
/// Of them, before the spot.
const BEFORE_CHARS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_columns_and_carets() {
        let text = "a = 1\r\n\tbé = xyz\n";
        let cases = [
            ("first line", 0..1, (1, 1, "a = 1", "^")),
            ("tab and wide character", 14..17, (2, 7, "\tbé = xyz", "\t     ^^^")),
            ("to the end of the line only", 14..99, (2, 7, "\tbé = xyz", "\t     ^^^")),
            ("behind the end", 99..100, (3, 1, "", "^")),
        ];
        for (name, span, (line, column, excerpt, carets)) in cases {
            let expected = Spot { line, column, excerpt: excerpt.to_owned(), carets: carets.to_owned() };
            assert_eq!(spot(text, &span, &[]), expected, "{name}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_spot() {
        let text = format!("{}XYZ{}", "-".repeat(500), "-".repeat(500));
        let found = spot(&text, &(500..503), &[]);
        assert_eq!((found.column, found.excerpt.chars().count()), (501, LINE_CHARS_MAX));
        let caret = found.carets.find('^').unwrap();
        assert_eq!(&found.excerpt[caret..caret + 3], "XYZ");
    }

    proptest! {
        /// No span of any text panics.
        #[test]
        fn any_span(text: String, start in 0usize..40, len in 0usize..40, hidden in 0usize..40) {
            let found = spot(&text, &(start..start + len), std::slice::from_ref(&(hidden..hidden + 3)));
            prop_assert!(found.line >= 1 && found.column >= 1);
        }
    }
}
