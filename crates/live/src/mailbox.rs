//! Telling a source that runs what is to change. The word is put into the mailbox of its thread, which looks there once a turn:
//! one load of a line that hardly ever changes, nothing for an event.

use crate::config::Periods;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// The mailbox of one source's thread.
#[derive(Debug)]
pub struct Mailbox {
    source: String,
    is_there: AtomicBool,
    changes: Mutex<Vec<Change>>,
}

/// The mailboxes of all live sources. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Mailboxes(Arc<Mutex<Vec<Arc<Mailbox>>>>);

impl Mailboxes {
    /// One more source.
    pub fn add(&self, mailbox: Arc<Mailbox>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mailbox);
    }

    /// Tells the thread of this name; false when there is none.
    #[must_use]
    pub fn tell(&self, source: &str, change: Change) -> bool {
        let mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = mailboxes.iter().find(|mailbox| mailbox.source == source);
        found.map(|mailbox| mailbox.put(change)).is_some()
    }
}

impl Mailbox {
    pub(crate) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), is_there: AtomicBool::new(false), changes: Mutex::default() }
    }

    fn put(&self, change: Change) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.push(change);
        // Within the lock, as it is taken back: a change is never left unseen. The lock orders what it protects.
        self.is_there.store(true, Ordering::Relaxed);
    }

    /// Whether something is to change.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    /// What is to change, in order. While somebody is putting something there, it is left for the next turn.
    #[cold]
    pub(crate) fn take(&self) -> Vec<Change> {
        let Ok(mut changes) = self.changes.try_lock() else { return Vec::new() };
        self.is_there.store(false, Ordering::Relaxed);
        std::mem::take(&mut *changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_taken_once_by_whom_it_is_for() {
        let (mailboxes, kraken) = (Mailboxes::default(), Arc::new(Mailbox::new("kraken")));
        mailboxes.add(Arc::new(Mailbox::new("okx")));
        mailboxes.add(kraken.clone());
        let change = |join: &str| Change { join: vec![join.to_owned()], ..Change::default() };
        assert!(!mailboxes.tell("kraken.2", change("A")), "nobody is called so");
        assert!(!kraken.is_there());
        assert!(mailboxes.tell("kraken", change("A")) && mailboxes.tell("kraken", change("B")));
        assert!(kraken.is_there());
        assert_eq!(kraken.take(), [change("A"), change("B")]);
        assert!(!kraken.is_there());
        assert_eq!(kraken.take(), []);
    }
}
