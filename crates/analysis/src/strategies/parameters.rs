//! Parameters of strategies: read from text once, checked, named in errors.

use super::table::StrategyError;
use std::fmt::Write;

/// One parameter of a kind of strategy.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As in the configuration.
    pub name: &'static str,
    /// What it does, one sentence.
    pub help: &'static str,
    /// What it is when nothing is said, and what it may be.
    pub values: Range,
}

/// Default, least and largest value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// A whole number.
    Count {
        /// When nothing is said.
        default: u32,
        /// Least.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// Any number.
    Number {
        /// When nothing is said.
        default: f64,
        /// Least.
        min: f64,
        /// Largest.
        max: f64,
    },
}

/// The parameters of one strategy, in the order of its table, each in its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Vec<f64>);

impl Values {
    /// Reads (name, text) pairs; what is not named has its default.
    ///
    /// # Errors
    /// [`StrategyError`] names the parameter and what it may be.
    pub(super) fn read(
        kind: &'static str,
        parameters: &'static [Parameter],
        given: &[(String, String)],
    ) -> Result<Self, StrategyError> {
        let mut values: Vec<f64> = parameters.iter().map(|parameter| parameter.values.default()).collect();
        for (at, (name, text)) in given.iter().enumerate() {
            let Some(place) = parameters.iter().position(|parameter| parameter.name == name) else {
                return Err(StrategyError::UnknownParameter {
                    kind,
                    name: name.clone(),
                    known: names(parameters),
                    nearest: nearest(name, parameters.iter().map(|parameter| parameter.name)),
                });
            };
            if given[..at].iter().any(|(before, _)| before == name) {
                return Err(StrategyError::TwiceGiven { kind, name: name.clone() });
            }
            let parameter = &parameters[place];
            values[place] = parameter.values.read(text).ok_or_else(|| StrategyError::BadValue {
                kind,
                name: parameter.name,
                text: text.clone(),
                wanted: parameter.values.wanted(),
            })?;
        }
        Ok(Self(values))
    }

    /// The value at `place` of the table.
    #[must_use]
    pub fn number(&self, place: usize) -> f64 {
        self.0[place]
    }

    /// The value at `place` of the table, which is a [`Range::Count`].
    #[must_use]
    pub fn count(&self, place: usize) -> usize {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "read from a u32")]
        let count = self.0[place] as usize;
        count
    }

    /// All of them as in a strategy's name: `10,30`.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (at, value) in self.0.iter().enumerate() {
            // Into a string: cannot fail.
            let _ = write!(text, "{}{value}", if at == 0 { "" } else { "," });
        }
        text
    }
}

impl Range {
    fn default(self) -> f64 {
        match self {
            Self::Count { default, .. } => f64::from(default),
            Self::Number { default, .. } => default,
        }
    }

    fn read(self, text: &str) -> Option<f64> {
        match self {
            Self::Count { min, max, .. } => {
                text.parse().ok().filter(|value| (min..=max).contains(value)).map(f64::from)
            }
            Self::Number { min, max, .. } => text.parse().ok().filter(|value| (min..=max).contains(value)),
        }
    }

    /// What it may be, in words.
    #[must_use]
    pub fn wanted(self) -> String {
        match self {
            Self::Count { default, min, max } => format!("a whole number from {min} to {max}, such as {default}"),
            Self::Number { default, min, max } => format!("a number from {min} to {max}, such as {default}"),
        }
    }
}

fn names(parameters: &[Parameter]) -> String {
    parameters.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ")
}

/// The word a slip of the hand most likely meant.
pub(super) fn nearest(word: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    // A bound on what comes from outside; no known word is half as long.
    let word: String = word.chars().take(80).collect();
    let edits_max = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(&word, candidate), candidate))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}
