//! What a live source that runs can be told to change, by its [`feedd_core::mailbox::Mailbox`].

use crate::config::Periods;

/// What is to change on one thread; all of it at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Symbols that are not recorded any more.
    pub leave: Vec<String>,
    /// Symbols that are recorded from now on.
    pub join: Vec<String>,
    /// Other periods.
    pub periods: Option<Periods>,
}
