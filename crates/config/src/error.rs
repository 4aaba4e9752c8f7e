//! What is wrong with a configuration: every fault with its place, one block of text each.

use crate::locate::{self, Spot};
use crate::tree::Origin;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The file as a whole.
    File {
        /// The file.
        path: PathBuf,
    },
    /// A spot of the file.
    Line {
        /// The file.
        path: PathBuf,
        /// Line, column and the line's text.
        spot: Spot,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// A command-line flag.
    Flag {
        /// As typed.
        text: String,
    },
    /// Nowhere: the value is a default.
    Default,
}

/// One fault of a configuration; the operator has to change the setting at `place`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ConfigError {
    /// Where the setting was given.
    pub place: Place,
    /// Path of the key as `--set` takes it; empty when the fault concerns no single key.
    pub key: String,
    /// What is wrong, and the remedy.
    pub message: String,
}

/// Every fault that was found, in the order of the file, then variables, then flags.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// The faults; at least one.
    #[must_use]
    pub fn errors(&self) -> &[ConfigError] {
        &self.errors
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path } => write!(f, "{}", path.display()),
            Self::Line { path, spot } => write!(f, "{}:{}:{}", path.display(), spot.line, spot.column),
            Self::Variable { name } => write!(f, "environment variable {name}"),
            Self::Flag { text } => f.write_str(text),
            Self::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        let Place::Line { spot, .. } = &self.place else { return Ok(()) };
        let number = spot.line.to_string();
        write!(f, "\n {number} | {}\n {:width$} | {}", spot.excerpt, "", spot.carets, width = number.len())
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// What is wrong with one value; whoever asked for it knows its key.
#[derive(Clone, Debug)]
pub(crate) struct Wrong {
    /// A part of the value, such as one item of a list.
    pub(crate) at: Option<Origin>,
    pub(crate) message: String,
    /// Whether the value may be a secret, so that it is not to be shown.
    pub(crate) hide: bool,
}

impl Wrong {
    pub(crate) fn new(message: String) -> Self {
        Self { at: None, message, hide: false }
    }

    pub(crate) fn hidden(message: String) -> Self {
        Self { at: None, message, hide: true }
    }
}

/// A fault before its place has been looked up.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) origin: Origin,
    pub(crate) key: String,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(origin: Origin, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin, key: key.into(), message: message.into() }
    }
}

/// The file's path and text: turns origins into places.
pub(crate) struct Places<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    /// Parts of the text that are not to be shown.
    pub(crate) hidden: Vec<Range<usize>>,
}

impl Places<'_> {
    pub(crate) fn place(&self, origin: &Origin) -> Place {
        match origin {
            Origin::File(span) => {
                Place::Line { path: self.path.to_owned(), spot: locate::spot(self.text, span, &self.hidden) }
            }
            Origin::Variable(name) => Place::Variable { name: name.clone() },
            Origin::Flag(text) => Place::Flag { text: text.clone() },
            Origin::Default => Place::Default,
        }
    }

    /// `Ok` without faults.
    pub(crate) fn errors(&self, mut faults: Vec<Fault>) -> Result<(), ConfigErrors> {
        if faults.is_empty() {
            return Ok(());
        }
        faults.sort_by_key(|fault| match &fault.origin {
            Origin::File(span) => (0, span.start),
            Origin::Variable(_) => (1, 0),
            Origin::Flag(_) => (2, 0),
            Origin::Default => (3, 0),
        });
        let error =
            |fault: Fault| ConfigError { place: self.place(&fault.origin), key: fault.key, message: fault.message };
        Err(ConfigErrors { errors: faults.into_iter().map(error).collect() })
    }
}

/// The fault of a file as a whole.
pub(crate) fn unreadable(path: &Path, cause: &std::io::Error) -> ConfigErrors {
    let message = format!("cannot be read ({cause}); name an existing text file, or none for the defaults");
    ConfigErrors {
        errors: vec![ConfigError { place: Place::File { path: path.to_owned() }, key: String::new(), message }],
    }
}
