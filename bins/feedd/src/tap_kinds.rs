//! What of a symbol is tapped.

use feedd_model::EventKind;

/// A choice of kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(Vec<EventKind>);

/// Words and what they stand for.
const WORDS: [(&str, &[EventKind]); 9] = [
    ("trades", &[EventKind::Trade]),
    ("quotes", &[EventKind::Quote]),
    ("depth", &[EventKind::Book, EventKind::Level]),
    ("gaps", &[EventKind::Gap]),
    ("status", &[EventKind::Status]),
    ("bars", &[EventKind::Bar]),
    ("signals", &[EventKind::Signal]),
    ("fills", &[EventKind::Fill]),
    ("equity", &[EventKind::Equity]),
];

impl Kinds {
    /// Reads words with commas between them; none stands for everything.
    ///
    /// # Errors
    /// A sentence, when there is no such word.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut kinds = Vec::new();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let found = WORDS.iter().find(|(name, _)| *name == word);
            let (_, found) = found.ok_or_else(|| {
                let names: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
                format!("there is no kind {word:?}; write {}\n", names.join(", "))
            })?;
            kinds.extend_from_slice(found);
        }
        if kinds.is_empty() {
            kinds.extend(WORDS.iter().flat_map(|(_, kinds)| *kinds));
        }
        Ok(Self(kinds))
    }

    pub(crate) fn has(&self, kind: EventKind) -> bool {
        self.0.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_kinds() {
        let kinds = Kinds::parse("trades, depth").unwrap();
        let chosen: Vec<&str> =
            EventKind::ALL.into_iter().filter(|kind| kinds.has(*kind)).map(EventKind::name).collect();
        assert_eq!(chosen, ["trade", "book", "level"]);
        let all = Kinds::parse("").unwrap();
        let left_out: Vec<&str> =
            EventKind::ALL.into_iter().filter(|kind| !all.has(*kind)).map(EventKind::name).collect();
        assert_eq!(left_out, ["more"], "a slot that begins nothing");
        let error = Kinds::parse("trades,books").unwrap_err();
        let words = "trades, quotes, depth, gaps, status, bars, signals, fills, equity";
        assert_eq!(error, format!("there is no kind \"books\"; write {words}\n"));
    }
}
