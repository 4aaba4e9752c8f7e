//! From a span of bytes to a line, a column and the line's text with a caret below.

use std::ops::Range;

/// A spot of a text file, counted as editors count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line's text, cut around the spot when it is long.
    pub excerpt: String,
    /// A line with carets that stands below `excerpt`.
    pub carets: String,
}

/// Finds the first byte of `span`; a span outside the text is its end.
pub(crate) fn spot(text: &str, span: &Range<usize>) -> Spot {
    let start = floor_char_boundary(text, span.start);
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line_text = text[line_start..line_end].trim_end_matches('\r');
    let indent = text[line_start..start].chars().count();
    let end = floor_char_boundary(text, span.end.min(line_end)).max(start);
    let width = text[start..end].trim_end().chars().count().max(1);

    // A list on one line can be thousands of characters: show the surroundings of the spot.
    let cut = indent.saturating_sub(BEFORE_CHARS_MAX);
    let excerpt: String = line_text.chars().skip(cut).take(LINE_CHARS_MAX).collect();
    let shown_indent = indent - cut;
    let padding: String = excerpt.chars().take(shown_indent).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = format!("{padding}{}", "^".repeat(width.min(LINE_CHARS_MAX - BEFORE_CHARS_MAX)));
    Spot { line: before.matches('\n').count() + 1, column: indent + 1, excerpt, carets }
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
            assert_eq!(spot(text, &span), expected, "{name}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_spot() {
        let text = format!("{}XYZ{}", "-".repeat(500), "-".repeat(500));
        let found = spot(&text, &(500..503));
        assert_eq!((found.column, found.excerpt.chars().count()), (501, LINE_CHARS_MAX));
        let caret = found.carets.find('^').unwrap();
        assert_eq!(&found.excerpt[caret..caret + 3], "XYZ");
    }

    proptest! {
        /// No span of any text panics.
        #[test]
        fn any_span(text: String, start in 0usize..40, len in 0usize..40) {
            let found = spot(&text, &(start..start + len));
            prop_assert!(found.line >= 1 && found.column >= 1);
        }
    }
}
